//! One connection from accept to close: it walks through the files named after the phases and ends here, once, with one reason.
//! What happens inside a phase is not decided here; what is counted of it is `connection/books.rs`, and what others may know of
//! it `connection/info.rs`.

mod books;
mod info;

use std::net::{IpAddr, SocketAddr};
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll};

use crate::admission::PendingSlot;
use crate::counters::{ACCEPTED, MEMORY, PHASES};
use crate::deadline::{Deadline, Moment, NEVER, micros};
use crate::link::{Link, Order};
use crate::phase::Phase;
use crate::reactor::Reactor;
use crate::reason::Reason;
use crate::registry::ConnectionSlot;
use crate::server::ListenerState;
use crate::settings::{ProxyProtocol, Settings};
use crate::tls::{Entrance, TlsInfo};
use crate::transport::{Meter, Metered, Transport, Wire};

use books::BASE_OCTETS;
pub(crate) use books::{EXCHANGE_OCTETS, Held, unix_time};
pub use info::{ConnectionInfo, Endpoint, Protocol};

/// Most octets of HTTP/1 content that wait for the program, and of an answer that wait for the peer, unless an eighth of
/// `max_connection_memory_bytes` is less. HTTP/2 has windows of its own.
const HTTP1_WINDOW: usize = 64 * 1024;

/// A connection under way.
pub(crate) struct Connection {
    pub(crate) reactor: Rc<Reactor>,
    pub(crate) listener: Arc<ListenerState>,
    pub(crate) info: Arc<ConnectionInfo>,
    pub(crate) settings: Arc<Settings>,
    pub(crate) protocol: Option<Protocol>,
    /// `None` where each server name asks for the same client certificates, or none.
    pub(crate) entrance: Option<Entrance>,
    /// Requests begun.
    pub(crate) requests: u64,
    pub(crate) pending: Option<PendingSlot>,
    deadline: Deadline,
    phase: Phase,
    entered: Moment,
    times: [u64; Phase::COUNT],
    seq: u64,
    request_seq: u64,
    pub(crate) meter: Rc<Meter>,
    /// Octets in and out that the tally knows of.
    counted: (u64, u64),
    closed: bool,
    /// Memory that the tally knows of.
    held: u64,
    born: Moment,
    source: Option<IpAddr>,
    slot: ConnectionSlot,
}

/// What accept knows of a connection.
pub(crate) struct Arrival {
    pub(crate) id: u64,
    /// `None`: a unix socket.
    pub(crate) peer: Option<SocketAddr>,
    pub(crate) local: Endpoint,
    pub(crate) link: Arc<Link>,
    pub(crate) slot: ConnectionSlot,
}

impl Connection {
    pub(crate) fn new(reactor: Rc<Reactor>, listener: Arc<ListenerState>, arrival: Arrival) -> Self {
        let settings = listener.settings.clone();
        let secure = listener.is_secure();
        let phase = match (listener.settings.proxy_protocol, secure) {
            (ProxyProtocol::Off, true) => Phase::Hello,
            (ProxyProtocol::Off, false) => Phase::Header,
            _ => Phase::Proxy,
        };
        let deadline = reactor.deadlines.register();
        reactor.tally.write(listener.index, |cells| {
            cells.inc(ACCEPTED, 0);
            cells.add(MEMORY, 0, BASE_OCTETS);
            cells.inc(PHASES, phase.id());
        });
        let window = HTTP1_WINDOW.min(settings.max_connection_memory_bytes / 8);
        let info = Arc::new(ConnectionInfo {
            id: arrival.id,
            listener: listener.index,
            peer: Endpoint::of(arrival.peer),
            local: arrival.local,
            proxied: false,
            secure,
            tls: None,
            settings: settings.clone(),
            answer_window: window,
            content_window: window,
            pressed_at: settings.max_connection_memory_bytes as u64 / 2,
            queued: reactor.shared.dispatch.carries_events(),
            load: reactor.shared.load.clone(),
            watcher: reactor.shared.hooks.cancelled,
            link: arrival.link,
        });
        let mut connection = Self {
            pending: None,
            entered: deadline.now(),
            reactor,
            listener,
            info,
            settings,
            protocol: None,
            entrance: None,
            requests: 0,
            deadline,
            phase,
            times: [0; Phase::COUNT],
            seq: 0,
            request_seq: 0,
            meter: Rc::default(),
            counted: (0, 0),
            closed: false,
            held: BASE_OCTETS,
            born: 0,
            source: arrival.peer.map(|peer| peer.ip()),
            slot: arrival.slot,
        };
        connection.born = connection.entered;
        connection.record(phase, None);
        connection
    }

    /// Reads the clock.
    pub(crate) fn now(&self) -> Moment {
        self.deadline.now()
    }

    /// When this turn begins: [`Deadlines::begin`](crate::deadline::Deadlines::begin).
    pub(crate) fn begin_turn(&self) -> Moment {
        self.reactor.deadlines.begin()
    }

    /// The clock as it was last read: within a turn, what costs nothing and is not older than the turn.
    pub(crate) fn latest(&self) -> Moment {
        self.reactor.deadlines.latest()
    }

    pub(crate) fn phase(&self) -> Phase {
        self.phase
    }

    /// Since when it is in this phase.
    pub(crate) fn entered(&self) -> Moment {
        self.entered
    }

    /// Asked to make room, but something is under way: somebody else must.
    pub(crate) fn decline(&self) {
        if self.info.link.decline() {
            self.reactor.shared.registry.declined();
        }
    }

    /// Arms the deadline of a wait and looks whether the wait is over: by an order, or because `due` is past.
    pub(crate) fn struck(&mut self, cx: &mut Context<'_>, due: Moment, reason: Reason) -> Option<Reason> {
        self.info.link.attend(cx.waker());
        match self.info.link.current_order() {
            Order::Serve => {}
            Order::Drain => return Some(Reason::Drain),
            Order::MakeRoom(reason) | Order::Close(reason) => {
                self.count_order(reason);
                return Some(reason);
            }
        }
        if self.now() >= due {
            self.limit(reason);
            return Some(reason);
        }
        self.wake_at(due, cx);
        None
    }

    /// The task is polled again at the first sweep at or after `due`.
    pub(crate) fn wake_at(&self, due: Moment, cx: &mut Context<'_>) {
        self.deadline.set(due, cx.waker());
    }

    /// Nothing to wait for but I/O and the program.
    pub(crate) fn wake_never(&self, cx: &mut Context<'_>) {
        self.deadline.set(NEVER, cx.waker());
    }

    /// Counts the peer's address; `false` at `max_connections_per_ip`.
    fn admit_address(&mut self) -> bool {
        let admitted = match (self.source, self.settings.max_connections_per_ip) {
            (Some(source), Some(cap)) => self.slot.count_address(source, cap),
            _ => true,
        };
        if !admitted {
            self.limit(Reason::AcceptPerIp);
        }
        admitted
    }

    /// A handshake is to come (`max_pending_handshakes`). Who is turned away by its address must not have cost others theirs.
    fn pend(&mut self) {
        if self.info.secure && self.pending.is_none() {
            self.pending = Some(self.listener.pending.enter(self.info.link.clone()));
        }
    }

    /// The ends that a PROXY header named.
    fn proxied(&mut self, (peer, local): (SocketAddr, SocketAddr)) {
        self.source = Some(peer.ip());
        let info = Arc::make_mut(&mut self.info);
        (info.peer, info.local, info.proxied) = (Endpoint::of(Some(peer)), Endpoint::of(Some(local)), true);
    }

    /// When the connection has lived long enough (`max_connection_age`, +-10 % so that a fleet of clients does not come back
    /// at once).
    pub(crate) fn retires_at(&self) -> Moment {
        let Some(age) = self.settings.max_connection_age else { return NEVER };
        // Any spread that differs between neighbours will do; ids count up.
        let spread = self.info.id.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 54;
        let micros = micros(age);
        self.born + micros - micros / 10 + micros / 5 / 1024 * spread
    }

    /// Why no further request may follow the one that is answered now.
    pub(crate) fn retires(&self, now: Moment) -> Option<Reason> {
        if self.settings.max_requests_per_connection.is_some_and(|cap| self.requests >= u64::from(cap)) {
            return Some(Reason::Requests);
        }
        (now >= self.retires_at()).then_some(Reason::Age)
    }

    /// The handshake ended well.
    pub(crate) fn secured(&mut self, tls: TlsInfo) {
        let mut info = (*self.info).clone();
        info.tls = Some(tls);
        info.settings = self.settings.clone();
        self.info = Arc::new(info);
    }

    /// The protocol is known.
    pub(crate) fn speaks(&mut self, protocol: Protocol) {
        self.protocol = Some(protocol);
        if protocol == Protocol::Http2 {
            let most = self.settings.max_connection_memory_bytes / 8;
            Arc::make_mut(&mut self.info).answer_window = self.settings.h2_send_buffer_bytes.min(most);
        }
    }

    /// Most octets of content that the TLS session may seal for a socket that takes none of it: as many as a window of HTTP/1.
    pub(crate) fn tls_backlog(&self) -> usize {
        self.info.content_window
    }

    /// What the TLS session keeps while the socket takes nothing.
    pub(crate) fn backlog(&self, blocked: bool) -> usize {
        if blocked && self.info.secure { self.tls_backlog() } else { 0 }
    }

    /// Settings of level N for the server name that the client sent.
    pub(crate) fn apply_server_name(&mut self, name: &str) {
        if let Some(settings) = self.listener.names.get(name) {
            self.settings = settings.clone();
        }
    }

    /// Whether a request to `authority` would pass by the check for client certificates of another server name.
    pub(crate) fn is_misdirected(&self, authority: &[u8]) -> bool {
        self.entrance.as_ref().is_some_and(|entrance| entrance.is_misdirected(authority))
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        // Reached without a reason only when our own code panicked.
        self.close(Reason::Internal);
        self.reactor.changed();
    }
}

/// The reason behind a failed read or write.
pub(crate) fn reason_of_io(error: &std::io::Error) -> Reason {
    use std::io::ErrorKind;
    if let Some(tls) = error.get_ref().and_then(|source| source.downcast_ref::<rustls::Error>()) {
        return crate::tls::reason_of(tls);
    }
    match error.kind() {
        ErrorKind::ConnectionReset | ErrorKind::ConnectionAborted | ErrorKind::BrokenPipe => {
            Reason::PeerReset
        }
        // The stream ended without close_notify; whether that cut a message is for the phase to say.
        ErrorKind::UnexpectedEof => Reason::TlsShutdown,
        _ => Reason::Io,
    }
}

/// Serves one connection to its end. Generic over the transport, so that tests run it over pipes in memory. Boxed, since each
/// future that a value is moved through keeps room for it.
pub(crate) async fn serve<T: Transport>(mut connection: Box<Connection>, socket: T) {
    let mut socket = Metered::new(socket, connection.meter.clone());
    // Behind a balancer the address is not known yet, and silence must not be without a cap until it is.
    if connection.phase() == Phase::Proxy {
        connection.pend();
        let source = connection.source;
        match crate::proxy::receive(&mut connection, &mut socket, source).await {
            Ok(Some(named)) => connection.proxied(named),
            Ok(None) => {}
            Err(reason) => {
                drop(socket);
                return connection.close(reason);
            }
        }
    }
    if !connection.admit_address() {
        drop(socket);
        return connection.close(Reason::AcceptPerIp);
    }
    connection.pend();
    let since = connection.now();
    let wire = match connection.listener.tls() {
        None => Ok(Wire::Plain(socket)),
        Some(config) => {
            Box::pin(crate::tls::handshake::perform(&mut connection, socket, config, since)).await
        }
    };
    let reason = match wire {
        Ok(wire) => crate::http::serve(&mut connection, wire).await,
        Err(failed) => crate::http::end_without_tls(&mut connection, failed).await,
    };
    connection.close(reason);
}

/// Closes a wire in the way that the peer is to see.
pub(crate) async fn end<T: Transport>(connection: &mut Connection, mut wire: Wire<T>, how: End) {
    let patience = connection.settings.flush_timeout;
    std::future::poll_fn(|cx| {
        match how {
            End::Close => wire.close(cx, patience),
            End::Reset => wire.reset(),
        }
        Poll::Ready(())
    })
    .await;
    drop(wire);
}

/// What the peer sees at the end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum End {
    /// close_notify and FIN.
    Close,
    /// TCP reset.
    Reset,
}
