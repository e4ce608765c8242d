//! What an observer is told: records of connections, requests and log lines, and the events of a completion queue. Who delivers
//! them is `queue.rs` and `dispatch.rs`; who counts is `counters.rs`.

use std::any::Any;
use std::sync::Arc;
use std::time::Duration;

use crate::connection::{ConnectionInfo, Protocol};
use crate::exchange::{Exchange, Outcome, Ready};
use crate::phase::Phase;
use crate::reason::Reason;
use crate::request::Request;

/// Time spent per phase, indexed by [`Phase::id`].
pub type PhaseTimes = [Duration; Phase::COUNT];

/// One step of a connection: a phase was entered, or it closed.
#[derive(Clone, Debug)]
pub struct ConnectionRecord {
    /// The facts of the connection, with TLS once the handshake has ended.
    pub connection: Arc<ConnectionInfo>,
    /// The phase that was entered, or in which it closed.
    pub phase: Phase,
    /// Why it closed; `None` while it lives.
    pub closed: Option<Reason>,
    /// `None` until ALPN or the first octets have decided.
    pub protocol: Option<Protocol>,
    /// Octets read from the socket, TLS included.
    pub bytes_in: u64,
    /// Octets written to the socket, TLS included.
    pub bytes_out: u64,
    /// Requests begun on it.
    pub requests: u64,
    /// Time spent per phase so far.
    pub times: PhaseTimes,
    /// Order of happening on this connection, from 1.
    pub seq: u64,
    /// Unix time.
    pub time: Duration,
}

/// How one request ended.
#[derive(Clone, Debug)]
pub struct RequestRecord {
    /// The facts of the connection that carried it.
    pub connection: Arc<ConnectionInfo>,
    /// HTTP/2 stream id; 0 on HTTP/1.
    pub stream: u32,
    /// The binding's name for the request, see [`Exchange::token`]; 0 if it never reached the program.
    pub token: u64,
    /// Request method; empty if it could not be parsed.
    pub method: Box<[u8]>,
    /// Request target; empty if it could not be parsed.
    pub target: Box<[u8]>,
    /// Status code sent; 0 = none.
    pub status: u16,
    /// [`Reason::Complete`], or what went wrong.
    pub reason: Reason,
    /// Content octets received.
    pub bytes_in: u64,
    /// Content octets sent.
    pub bytes_out: u64,
    /// Time spent per phase.
    pub times: PhaseTimes,
    /// Order of happening on this connection, from 1.
    pub seq: u64,
    /// Unix time.
    pub time: Duration,
}

/// How loud a log record is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum LogLevel {
    /// A fault of ours, or of the program.
    Error,
    /// Something that the operator should look at.
    Warn,
    /// Start, stop, reload.
    Info,
    /// Expected Internet noise, sampled.
    Debug,
}

/// One log record; control octets are escaped, secrets never stand in it.
#[derive(Clone, Debug)]
pub struct LogRecord {
    /// How loud.
    pub level: LogLevel,
    /// Id of the connection that it is about; 0 = none.
    pub connection: u64,
    /// `bartizan`, or `bartizan::tls`.
    pub target: &'static str,
    /// UTF-8 text of one line.
    pub text: String,
}

/// An exchange that is over on the wire.
#[derive(Debug)]
pub struct Done {
    /// How it ended.
    pub outcome: Outcome,
    /// Id of the connection that carried it.
    pub connection: u64,
    /// The binding's name for the request, see [`Exchange::token`].
    pub token: u64,
    /// The program's own mark.
    pub tag: u64,
    /// The exchange, unless a binding knows it by its name: then its memory can serve the next one at once.
    pub exchange: Option<Arc<Exchange>>,
}

impl Done {
    pub(crate) fn of(exchange: &Arc<Exchange>, outcome: Outcome) -> Self {
        let token = exchange.token();
        Self {
            outcome,
            connection: exchange.connection.id,
            token,
            tag: exchange.tag(),
            exchange: (token == 0).then(|| exchange.clone()),
        }
    }
}

/// One entry of a completion queue.
#[derive(Debug)]
pub enum Event {
    /// A request to answer.
    Request(Request),
    /// Armed readiness.
    Ready(Arc<Exchange>, Ready),
    /// The exchange was cancelled; at most once per exchange.
    Cancelled(Arc<Exchange>, Reason),
    /// An exchange is over on the wire.
    Done(Done),
    /// A connection took a step.
    Connection(Box<ConnectionRecord>),
    /// A request ended.
    RequestEnd(Box<RequestRecord>),
    /// A log record, and how many were lost before it.
    Log(Box<LogRecord>, u64),
    /// A value that the program gave away is its own again (a binding's own business). Dropped unseen, it frees itself.
    Drop(Box<dyn Any + Send>),
    /// The server behind the queue has ended: the last event.
    Shutdown,
}

impl Event {
    /// The exchange whose end, or whose cancel, this is. `None` where a binding knows it by its name: it has been given it.
    pub(crate) fn exchange(&self) -> Option<&Arc<Exchange>> {
        match self {
            Self::Cancelled(exchange, _) => Some(exchange),
            Self::Done(done) => done.exchange.as_ref(),
            _ => None,
        }
    }
}
