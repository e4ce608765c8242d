//! A hardened TLS and HTTP server that lives inside other people's programs.
//!
//! A connection walks through the files of this crate in order, and each step has one deadline, one set of limits, one close
//! reason:
//!
//! ```text
//!   accept        listener.rs      connections, descriptors, back-off
//!   admit         admission.rs     pending handshakes, running and queued handlers
//!   PROXY header  proxy.rs         proxy
//!   handshake     tls/handshake.rs hello, handshake
//!   HTTP          http/h1.rs       header, body, idle, linger       (http/h2.rs: opening, streams)
//!   handler       dispatch.rs      inline, workers, queues
//!   response      exchange.rs      response, flush
//!   close         connection.rs    one reason, one record
//! ```
//!
//! Every limit is a row of [`settings`]; every way to end is a [`Reason`].
//!
//! ```no_run
//! use std::sync::Arc;
//! use bartizan::tls::{Identity, Tls};
//! use bartizan::{Body, Config, Dispatch, Listener, Request, Server};
//!
//! let mut tls = Tls::new();
//! tls.identity(None, Identity::self_signed("localhost")?)?;
//! let hello = |request: Request| {
//!     let fields: [(&[u8], &[u8]); 1] = [(b"content-type", b"text/plain")];
//!     let _ = request.respond(200, fields, Body::Copied(b"Hello, World!"));
//! };
//! let listener = Listener::new("127.0.0.1:8443".parse()?, Some(tls));
//! let config = Config::new(vec![listener], Dispatch::Inline(Arc::new(hello)));
//! let server = Server::start(&config)?;
//! server.wait(None)?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
#![forbid(unsafe_code)]

mod admission;
mod batch;
mod buffer;
mod chunks;
mod config;
mod connection;
mod counters;
mod deadline;
mod dispatch;
pub mod error;
mod event;
mod exchange;
mod http;
mod link;
mod listener;
mod metrics;
mod phase;
mod pressure;
mod proxy;
mod queue;
mod reactor;
mod reason;
mod registry;
mod request;
mod server;
pub mod service;
pub mod settings;
#[cfg(test)]
mod tests;
/// What fuzzing drives connections with is what the tests drive them with.
#[cfg(all(fuzzing, not(test)))]
#[allow(unused, reason = "the tests use more of it")]
mod tests {
    mod books;
    mod chaos;
    mod frames;
    pub mod fuzzing;
    mod peer;
    mod pipe;
    mod support;
}
pub mod tls;
mod transport;
mod watchdog;

pub use config::{Bind, Cidr, Config, Dispatch, Handler, Hooks, Listener, Role};
pub use connection::{ConnectionInfo, Endpoint, Protocol};
pub use counters::Snapshot;
pub use error::{Error, ErrorKind};
pub use event::{ConnectionRecord, Done, Event, LogLevel, LogRecord, PhaseTimes, RequestRecord};
pub use exchange::{Exchange, Failure, Outcome, Ready};
pub use http::head::{Framing, Head, Version};
pub use http::trailers::Trailers;
pub use phase::Phase;
pub use queue::{Next, Queue};
pub use reactor::{is_library_thread, is_reactor_thread, note_panic};
pub use reason::Reason;
pub use request::{Body, Patience, Read, Request, RequestError};
pub use server::Server;
/// For the targets of `fuzz/` alone: parsers and connections that no program may reach, since what it could reach, it could depend
/// on. The cfg is set by the fuzzer's build and by no other.
#[cfg(any(test, fuzzing))]
#[doc(hidden)]
pub use tests::fuzzing;
