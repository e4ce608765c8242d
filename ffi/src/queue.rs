//! Completion queues for C: core's events become structures of 64 bytes, and the records that some of them carry live here
//! until the program releases them. Order, bounds and the descriptor are core's (`queue.rs` there).

use std::cell::RefCell;
use std::collections::HashMap;
use std::ffi::c_void;
use std::mem::MaybeUninit;
use std::os::fd::AsRawFd;
use std::ptr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bartizan_core::{Event as CoreEvent, Exchange, Next, Queue as CoreQueue, Ready};

use crate::borrow::{array, object, places};
use crate::error::{Error, Fault};
use crate::fork::Home;
use crate::given::Given;
use crate::guard::{self, lock};
use crate::hooks::{ConnectionStep, RequestEnd};
use crate::ids;
use crate::log::LogLine;
use crate::owned;
use crate::status::{AGAIN, Code, OK, Status};
use crate::view::{ConnectionId, RequestId};

pub(crate) const EV_REQUEST: u32 = 1;
pub(crate) const EV_BODY: u32 = 2;
pub(crate) const EV_WRITABLE: u32 = 3;
pub(crate) const EV_CANCELLED: u32 = 4;
pub(crate) const EV_DONE: u32 = 5;
pub(crate) const EV_CONNECTION: u32 = 6;
pub(crate) const EV_LOG: u32 = 7;
pub(crate) const EV_DROP: u32 = 8;
pub(crate) const EV_SHUTDOWN: u32 = 9;
pub(crate) const EV_REQUEST_END: u32 = 10;

pub(crate) const CONNECTION: u64 = 1 << EV_CONNECTION;
pub(crate) const LOG: u64 = 1 << EV_LOG;
pub(crate) const REQUEST_END: u64 = 1 << EV_REQUEST_END;
/// Those that come in any case may be asked for as well.
pub(crate) const KNOWN_EVENTS: u64 = (1 << (EV_REQUEST_END + 1)) - 1 - 1;

/// What an event carries: which member is valid depends on its kind.
#[repr(C)]
#[derive(Clone, Copy)]
pub union EventData {
    /// A view, a record, or user data.
    pub ptr: *const c_void,
    /// Unused so far.
    pub u64: u64,
}

/// One event: 64 bytes for ever. Order per request: REQUEST, (BODY | WRITABLE | CANCELLED at most once)*, DONE. DONE does not
/// release the program's reference and may carry an id that is released already. It is the order of handing out: two
/// consumers may hold events of one request.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct Event {
    /// BARTIZAN_EV_*.
    pub kind: u32,
    /// E_CANCELLED with CANCELLED, else 0.
    pub status: Status,
    /// 0 = about none.
    pub request: RequestId,
    /// 0 = about none.
    pub connection: ConnectionId,
    /// As set by bartizan_request_tag, else 0.
    pub tag: u64,
    /// By kind.
    pub data: EventData,
    /// By kind.
    pub arg: [u64; 3],
}

const _: () = assert!(size_of::<Event>() == 64);

impl Event {
    fn new(kind: u32) -> Self {
        let data = EventData { ptr: ptr::null() };
        Self { kind, status: OK, request: 0, connection: 0, tag: 0, data, arg: [0; 3] }
    }

    fn about(kind: u32, exchange: &Exchange, request: RequestId) -> Self {
        Self { request, connection: exchange.connection().id, tag: exchange.tag(), ..Self::new(kind) }
    }

    /// Whether it carries a record that the program releases.
    fn has_record(&self) -> bool {
        matches!(self.kind, EV_CONNECTION | EV_LOG | EV_REQUEST_END)
    }
}

/// A completion queue. Owned by the program; any thread.
pub struct Queue {
    pub(crate) home: Home,
    pub(crate) core: Arc<CoreQueue>,
    /// Records that the program holds, by the serial in the last `arg` of their event: an address could come again.
    records: Mutex<HashMap<u64, Record>>,
    serial: AtomicU64,
}

/// Owns what an event points to.
#[expect(dead_code, reason = "held for their addresses")]
enum Record {
    Connection(Box<ConnectionStep>),
    RequestEnd(Box<RequestEnd>),
    Log(Box<LogLine>),
}

/// Makes a queue without a server.
///
/// @own on success *out is the program's.
/// @null allowed for err.
/// @thread any.
/// @life until bartizan_queue_free.
/// @err E_NULL, E_IO when descriptors ran out.
#[unsafe(no_mangle)]
pub extern "C" fn bartizan_queue_new(
    out: Option<&mut MaybeUninit<Box<Queue>>>,
    err: Option<&mut MaybeUninit<Box<Error>>>,
) -> Status {
    guard::set_up(err, || {
        let out = out.ok_or_else(|| Code::Null.about("out"))?;
        let core = CoreQueue::new().map_err(|error| {
            Fault::new(Code::Io, format!("cannot open a descriptor for the queue: {error}"))
        })?;
        out.write(owned::give(Queue {
            home: Home::here(),
            core,
            records: Mutex::default(),
            serial: AtomicU64::new(1),
        }));
        Ok(())
    })
}

/// The descriptor to wait on: readable while events wait, level-triggered, for poll, epoll or an event loop. The queue's:
/// never read or close it; it ends with bartizan_queue_free. -1 for NULL, and after `fork`.
///
/// @own the descriptor is the queue's.
/// @null gives -1.
/// @thread any; never blocks.
/// @life until bartizan_queue_free.
/// @err -1, also after fork.
#[unsafe(no_mangle)]
pub extern "C" fn bartizan_queue_fd(queue: *const Queue) -> i64 {
    guard::value(-1, || match object(queue) {
        Ok(queue) if queue.home.is_here() => queue.core.descriptor().as_raw_fd().into(),
        _ => -1,
    })
}

/// Takes up to `max` events, waiting at most `timeout_ms` for the first (0 = not at all, -1 = for ever). OK: *n > 0 events.
/// AGAIN: none, the time is over or bartizan_queue_wake was called.
///
/// @own a REQUEST carries one reference, a record is the program's until released; the array is the program's.
/// @null E_NULL.
/// @thread any, several at once; blocks with a timeout.
/// @life events may be copied; what they point to lives until released.
/// @err E_CLOSED once SHUTDOWN was handed out, E_NULL, E_VALUE (max 0, timeout below -1), E_DEADLOCK on a reactor thread
///   with a timeout.
#[unsafe(no_mangle)]
pub extern "C" fn bartizan_queue_next(
    queue: *mut Queue,
    events: *mut Event,
    max: usize,
    timeout_ms: i64,
    n: Option<&mut MaybeUninit<usize>>,
) -> Status {
    guard::status(|| {
        let n = n.ok_or(Code::Null)?.write(0);
        let queue = object(queue)?;
        queue.home.check()?;
        if events.is_null() {
            return Err(Code::Null);
        }
        // Nobody takes more at once; beyond it a wild number is likelier than so large an array.
        let places = places(events, max.min(MOST_EVENTS))?;
        if places.is_empty() {
            return Err(Code::Value);
        }
        let patience = patience(timeout_ms)?;
        if timeout_ms != 0 && bartizan_core::is_reactor_thread() {
            return Err(Code::Deadlock);
        }
        queue.next(places, patience, n)
    })
}

/// Most events of one call.
const MOST_EVENTS: usize = 65_536;

/// How long a call may block, from C's milliseconds: `None` = for ever.
pub(crate) fn patience(timeout_ms: i64) -> Result<Option<Duration>, Code> {
    match timeout_ms {
        -1 => Ok(None),
        0.. => Ok(Some(Duration::from_millis(timeout_ms.unsigned_abs()))),
        _ => Err(Code::Value),
    }
}

thread_local! {
    /// Core's events on their way through; kept for its capacity.
    static BATCH: RefCell<Vec<CoreEvent>> = const { RefCell::new(Vec::new()) };
}

impl Queue {
    fn next(
        &self,
        places: &mut [MaybeUninit<Event>],
        patience: Option<Duration>,
        n: &mut usize,
    ) -> Result<Status, Code> {
        let mut batch = BATCH.take();
        let found = self.core.next(&mut batch, places.len(), patience);
        for event in batch.drain(..) {
            if let Some(event) = self.convert(event) {
                // `next` gave no more events than there are places.
                places[*n].write(event);
                *n += 1;
            }
        }
        BATCH.set(batch);
        match found {
            Next::Closed => Err(Code::Closed),
            // Events of requests that were refused for want of an id are nothing to tell.
            Next::Events if *n > 0 => Ok(OK),
            Next::Events | Next::Again => Ok(AGAIN),
        }
    }

    fn convert(&self, event: CoreEvent) -> Option<Event> {
        Some(match event {
            CoreEvent::Request(request) => {
                let event = Event::about(EV_REQUEST, request.exchange(), 0);
                let admitted = ids::admit(request, Some(self.core.clone()), false)?;
                let data = EventData { ptr: admitted.view.cast() };
                Event { request: admitted.id, data, ..event }
            }
            CoreEvent::Ready(exchange, Ready::Content) => Event::about(EV_BODY, &exchange, named(&exchange)?),
            CoreEvent::Ready(exchange, Ready::Room) => {
                Event::about(EV_WRITABLE, &exchange, named(&exchange)?)
            }
            CoreEvent::Cancelled(exchange, reason) => Event {
                status: Code::Cancelled.status(),
                arg: [reason.id().into(), 0, 0],
                ..Event::about(EV_CANCELLED, &exchange, named(&exchange)?)
            },
            CoreEvent::Done(done) => Event {
                request: match &done.exchange {
                    Some(exchange) => named(exchange)?,
                    None => known(done.token)?,
                },
                connection: done.connection,
                tag: done.tag,
                arg: [done.outcome.status.into(), done.outcome.sent, done.outcome.reason.id().into()],
                ..Event::new(EV_DONE)
            },
            CoreEvent::Connection(step) => {
                let connection = step.connection.id;
                let (step, record) = ConnectionStep::boxed(step);
                Event { connection, ..self.keep(EV_CONNECTION, record, Record::Connection(step)) }
            }
            CoreEvent::RequestEnd(end) => {
                let (connection, request) = (end.connection.id, end.token);
                let (end, record) = RequestEnd::boxed(end);
                Event { connection, request, ..self.keep(EV_REQUEST_END, record, Record::RequestEnd(end)) }
            }
            CoreEvent::Log(line, lost) => {
                let connection = line.connection;
                let (line, record) = LogLine::boxed(line);
                let mut event = self.keep(EV_LOG, record, Record::Log(line));
                event.arg[0] = lost;
                Event { connection, ..event }
            }
            CoreEvent::Drop(value) => {
                // Nobody else pushes values, and another one frees itself.
                let given = value.downcast::<Given>().ok()?;
                Event { data: EventData { ptr: given.hand_back() }, ..Event::new(EV_DROP) }
            }
            CoreEvent::Shutdown => Event::new(EV_SHUTDOWN),
        })
    }

    fn keep(&self, kind: u32, data: *const c_void, record: Record) -> Event {
        let serial = self.serial.fetch_add(1, Ordering::Relaxed);
        lock(&self.records).insert(serial, record);
        Event { data: EventData { ptr: data }, arg: [0, 0, serial], ..Event::new(kind) }
    }
}

/// The id of a request that was handed out; `None` if it was refused instead.
fn named(exchange: &Exchange) -> Option<RequestId> {
    loop {
        match exchange.token() {
            // Another consumer has just taken the request and is about to name it; it holds no lock that we hold.
            0 => std::thread::yield_now(),
            token => return known(token),
        }
    }
}

/// The id that is this name.
fn known(token: u64) -> Option<RequestId> {
    (token != ids::REFUSED).then_some(token)
}

/// Ends the records of a batch (CONNECTION, LOG, REQUEST_END), which are not read any more; events of other kinds are
/// skipped.
///
/// @own takes the records of the events.
/// @null allowed for events when n is 0.
/// @thread any; never blocks.
/// @life what the events point to ends.
/// @err E_NULL; E_HANDLE if one of them is no event of this queue or was released, and then none is.
#[unsafe(no_mangle)]
pub extern "C" fn bartizan_queue_release(queue: *mut Queue, events: *const Event, n: usize) -> Status {
    guard::status(|| {
        let queue = object(queue)?;
        queue.home.check()?;
        let events = array(events, n)?;
        let mut records = lock(&queue.records);
        let mut taken = Vec::new();
        for event in events.iter().filter(|event| event.has_record()) {
            match records.remove_entry(&event.arg[2]) {
                Some(entry) => taken.push(entry),
                None => {
                    records.extend(taken);
                    return Err(Code::Handle);
                }
            }
        }
        drop(records);
        Ok(OK)
    })
}

/// Lets one bartizan_queue_next return AGAIN; remembered until then, and async-signal-safe.
///
/// @own nothing moves.
/// @null E_NULL.
/// @thread any, also in a signal handler.
/// @life nothing outlives the call.
/// @err E_NULL.
#[unsafe(no_mangle)]
pub extern "C" fn bartizan_queue_wake(queue: *mut Queue) -> Status {
    // No guard: nothing here can panic, and a signal handler must not touch thread-local state.
    let Ok(queue) = object(queue) else { return Code::Null.status() };
    if let Err(code) = queue.home.check() {
        return code.status();
    }
    queue.core.wake();
    OK
}

/// Frees a queue and the records that it handed out. Its requests that are not answered get 503, whether they wait in it, were
/// handed out, or are sent there later; ids that were handed out stay valid.
///
/// @own takes the queue and the records that it handed out.
/// @null ignored.
/// @thread any; no other call on it may be running.
/// @life ids that were handed out stay valid.
/// @err none.
#[unsafe(no_mangle)]
pub extern "C" fn bartizan_queue_free(queue: *mut Queue) {
    guard::free(
        queue,
        |queue| queue.home,
        |queue| {
            queue.core.abandon();
            ids::refuse_those_of(&queue.core);
        },
    );
}
