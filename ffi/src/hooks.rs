//! What an observer is told: records of connections and requests, and thread starts, as C reads them, by callback or through a
//! queue. What the records mean is core's `event.rs`; log records are `log.rs`.

use std::ffi::c_void;
use std::ptr;
use std::sync::Arc;
use std::time::Duration;

use bartizan_core::{self as event, Phase, PhaseTimes, Protocol, Role};

use crate::borrow::Str;
use crate::given::UserData;
use crate::guard::call_out;
use crate::view::{ConnectionId, RequestId, TlsInfo};

pub(crate) const ENTERED: u32 = 1;
pub(crate) const CLOSED: u32 = 2;

/// One step of a connection: a phase was entered, or it closed. All that it points to lives until the callback returns or the
/// event is released.
#[repr(C)]
#[derive(Debug)]
pub struct ConnectionRecord {
    /// Octets of this structure; it only grows at the end.
    pub struct_size: u32,
    /// BARTIZAN_CONNECTION_ENTERED or BARTIZAN_CONNECTION_CLOSED.
    pub what: u32,
    /// The connection.
    pub connection: ConnectionId,
    /// The phase that was entered, or in which it closed.
    pub phase: u32,
    /// Why it closed; 0 unless CLOSED.
    pub reason: u32,
    /// The listener, as counted by bartizan_config_listen.
    pub listener: u32,
    /// 10, 11 or 20; 0 = not known yet.
    pub http_version: u32,
    /// Text of the client's address; empty for a unix socket.
    pub peer_ip: Str,
    /// 0 for a unix socket.
    pub peer_port: u32,
    /// 1 = the peer comes from a PROXY header.
    pub proxied: u32,
    /// NULL before the handshake ended, and on cleartext.
    pub tls: *const TlsInfo,
    /// Octets read from the socket, TLS included.
    pub bytes_in: u64,
    /// Octets written to the socket, TLS included.
    pub bytes_out: u64,
    /// Requests begun on it.
    pub requests: u64,
    /// Time spent per phase; index = phase id.
    pub phase_micros: *const u64,
    /// Elements of phase_micros.
    pub phase_count: usize,
    /// Order of happening on this connection, from 1.
    pub seq: u64,
    /// Unix time.
    pub time_micros: i64,
}

/// How one request ended. All that it points to lives until the callback returns or the event is released.
#[repr(C)]
#[derive(Debug)]
pub struct RequestRecord {
    /// Octets of this structure; it only grows at the end.
    pub struct_size: u32,
    /// Status code sent, 0 = none.
    pub code: u32,
    /// Order of happening on its connection, from 1.
    pub seq: u64,
    /// Unix time.
    pub time_micros: i64,
    /// For correlation; may be released already. 0 = it never reached the program.
    pub request: RequestId,
    /// The connection that carried it.
    pub connection: ConnectionId,
    /// HTTP/2 stream id; 0 = HTTP/1.
    pub stream: u32,
    /// 1 = complete.
    pub reason: u32,
    /// Empty if it could not be parsed.
    pub method: Str,
    /// Empty if it could not be parsed.
    pub target: Str,
    /// Content octets received.
    pub bytes_in: u64,
    /// Content octets sent.
    pub bytes_out: u64,
    /// Time spent per phase; index = phase id.
    pub phase_micros: *const u64,
    /// Elements of phase_micros.
    pub phase_count: usize,
}

/// Told of each step of a connection, on the reactor that owns it: for one connection in order and never concurrently. Must
/// not block, throw, longjmp or fork.
pub type ConnectionFn =
    Option<unsafe extern "C-unwind" fn(user_data: *mut c_void, record: *const ConnectionRecord)>;

/// Told of each request when it ended, on the reactor that owns its connection. Must not block, throw, longjmp or fork.
pub type RequestEndFn =
    Option<unsafe extern "C-unwind" fn(user_data: *mut c_void, record: *const RequestRecord)>;

/// Told on each thread of the library as it starts, and as it ends: role = BARTIZAN_ROLE_WORKER or BARTIZAN_ROLE_REACTOR.
/// Must not throw, longjmp or fork.
pub type ThreadFn = Option<unsafe extern "C-unwind" fn(user_data: *mut c_void, role: u32)>;

type Micros = [u64; Phase::COUNT];

fn micros(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)
}

fn unix_micros(time: Duration) -> i64 {
    i64::try_from(time.as_micros()).unwrap_or(i64::MAX)
}

fn per_phase(times: &PhaseTimes) -> Micros {
    times.map(micros)
}

/// A connection record and what it points into.
pub(crate) struct ConnectionStep {
    record: ConnectionRecord,
    tls: Option<TlsInfo>,
    micros: Micros,
    /// Of an event: keeps what the texts point into.
    source: Option<Box<event::ConnectionRecord>>,
}

// SAFETY: the pointers lead into the value itself, which does not move (see `new`), and into the record that it keeps or that
// is borrowed for a call; none of it changes.
unsafe impl Send for ConnectionStep {}

impl ConnectionStep {
    /// Not ready until [`ConnectionStep::show`], which lets it point into itself.
    fn new(step: &event::ConnectionRecord) -> Self {
        let connection = &step.connection;
        let http_version = match step.protocol {
            None => 0,
            Some(Protocol::Http10) => 10,
            Some(Protocol::Http11) => 11,
            Some(Protocol::Http2) => 20,
        };
        Self {
            record: ConnectionRecord {
                struct_size: size_of::<ConnectionRecord>() as u32,
                what: if step.closed.is_some() { CLOSED } else { ENTERED },
                connection: connection.id,
                phase: step.phase.id() as u32,
                reason: step.closed.map_or(0, |reason| reason.id()),
                listener: connection.listener,
                http_version,
                peer_ip: Str::new(connection.peer.ip.as_bytes()),
                peer_port: connection.peer.port.into(),
                proxied: connection.proxied.into(),
                tls: ptr::null(),
                bytes_in: step.bytes_in,
                bytes_out: step.bytes_out,
                requests: step.requests,
                phase_micros: ptr::null(),
                phase_count: Phase::COUNT,
                seq: step.seq,
                time_micros: unix_micros(step.time),
            },
            tls: connection.tls.as_ref().map(TlsInfo::of),
            micros: per_phase(&step.times),
            source: None,
        }
    }

    /// The record; `self` must not move as long as it is used.
    fn show(&mut self) -> *const ConnectionRecord {
        self.record.tls = self.tls.as_ref().map_or(ptr::null(), ptr::from_ref);
        self.record.phase_micros = self.micros.as_ptr();
        &raw const self.record
    }

    /// For an event, which outlives this call.
    pub(crate) fn boxed(source: Box<event::ConnectionRecord>) -> (Box<Self>, *const c_void) {
        let mut step = Box::new(Self::new(&source));
        // A box's content stays where it is when the box moves.
        step.source = Some(source);
        let record = step.show();
        (step, record.cast())
    }
}

/// A request record and what it points into.
pub(crate) struct RequestEnd {
    record: RequestRecord,
    micros: Micros,
    /// Of an event: keeps what the texts point into.
    source: Option<Box<event::RequestRecord>>,
}

// SAFETY: as for `ConnectionStep`.
unsafe impl Send for RequestEnd {}

impl RequestEnd {
    /// Not ready until [`RequestEnd::show`], which lets it point into itself.
    fn new(end: &event::RequestRecord) -> Self {
        Self {
            record: RequestRecord {
                struct_size: size_of::<RequestRecord>() as u32,
                code: end.status.into(),
                seq: end.seq,
                time_micros: unix_micros(end.time),
                request: end.token,
                connection: end.connection.id,
                stream: end.stream,
                reason: end.reason.id(),
                method: Str::new(&end.method),
                target: Str::new(&end.target),
                bytes_in: end.bytes_in,
                bytes_out: end.bytes_out,
                phase_micros: ptr::null(),
                phase_count: Phase::COUNT,
            },
            micros: per_phase(&end.times),
            source: None,
        }
    }

    fn show(&mut self) -> *const RequestRecord {
        self.record.phase_micros = self.micros.as_ptr();
        &raw const self.record
    }

    /// For an event, which outlives this call.
    pub(crate) fn boxed(source: Box<event::RequestRecord>) -> (Box<Self>, *const c_void) {
        let mut end = Box::new(Self::new(&source));
        end.source = Some(source);
        let record = end.show();
        (end, record.cast())
    }
}

/// A callback of the program with its user data.
pub(crate) struct Callback<F> {
    pub(crate) function: F,
    pub(crate) user_data: Arc<UserData>,
}

impl<F: Copy> Callback<F> {
    /// For a server, which keeps the user data in `leases` until it has ended and calls without a look at it.
    pub(crate) fn lease(&self, leases: &mut Vec<Arc<UserData>>) -> Call<F> {
        leases.push(self.user_data.clone());
        Call { function: self.function, data: self.user_data.data() }
    }
}

/// What a server calls.
#[derive(Clone, Copy)]
pub(crate) struct Call<F> {
    pub(crate) function: F,
    pub(crate) data: *mut c_void,
}

// SAFETY: the header says that callbacks and their user data are used on threads of ours, concurrently.
unsafe impl<F: Send> Send for Call<F> {}
// SAFETY: as above.
unsafe impl<F: Sync> Sync for Call<F> {}

impl Call<unsafe extern "C-unwind" fn(*mut c_void, *const ConnectionRecord)> {
    pub(crate) fn call(&self, step: &event::ConnectionRecord) {
        let mut step = ConnectionStep::new(step);
        let record = step.show();
        // SAFETY: the program's own function with its own data; the record lives until it returns.
        call_out(|| unsafe { (self.function)(self.data, record) });
    }
}

impl Call<unsafe extern "C-unwind" fn(*mut c_void, *const RequestRecord)> {
    pub(crate) fn call(&self, end: &event::RequestRecord) {
        let mut end = RequestEnd::new(end);
        let record = end.show();
        // SAFETY: the program's own function with its own data; the record lives until it returns.
        call_out(|| unsafe { (self.function)(self.data, record) });
    }
}

/// Both thread hooks; either may be missing.
pub(crate) type ThreadFns = (ThreadFn, ThreadFn);

impl Call<ThreadFns> {
    pub(crate) fn call(&self, role: Role, starts: bool) {
        let (start, stop) = self.function;
        let role = match role {
            Role::Worker => 1,
            Role::Reactor => 2,
        };
        if let Some(function) = if starts { start } else { stop } {
            // SAFETY: the program's own function with its own data.
            call_out(|| unsafe { function(self.data, role) });
        }
    }
}
