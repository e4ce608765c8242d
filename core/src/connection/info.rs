//! What a connection is to those who only look: its two ends, its protocol, its settings, and how much of an answer may wait. It
//! does not change once the connection is ready for requests, and is shared with every exchange; what does change is
//! `../connection.rs`.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::Ordering;

use crate::admission::Load;
use crate::link::Link;
use crate::reason::Reason;
use crate::settings::Settings;
use crate::tls::TlsInfo;

/// The HTTP version that a connection speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Protocol {
    /// HTTP/1.0.
    Http10,
    /// HTTP/1.1.
    Http11,
    /// HTTP/2.
    Http2,
}

impl Protocol {
    /// The label in metrics and events.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Http10 => "http/1.0",
            Self::Http11 => "http/1.1",
            Self::Http2 => "h2",
        }
    }
}

/// One end of a connection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Endpoint {
    /// Text of the address; empty for a unix socket.
    pub ip: String,
    /// 0 for a unix socket.
    pub port: u16,
}

impl Endpoint {
    pub(crate) fn of(address: Option<SocketAddr>) -> Self {
        match address {
            Some(address) => {
                let ip = match address.ip() {
                    IpAddr::V6(v6) => v6.to_ipv4_mapped().map_or(IpAddr::V6(v6), IpAddr::V4),
                    v4 => v4,
                };
                Self { ip: ip.to_string(), port: address.port() }
            }
            None => Self { ip: String::new(), port: 0 },
        }
    }
}

/// The facts of one connection that do not change once it is ready for requests.
#[derive(Clone, Debug)]
pub struct ConnectionInfo {
    /// For correlation; below 2^53, never 0.
    pub id: u64,
    /// Which listener, counted from 0.
    pub listener: u32,
    /// The other end; after a PROXY header, the end that it names.
    pub peer: Endpoint,
    /// Our end.
    pub local: Endpoint,
    /// Whether `peer` comes from a PROXY header.
    pub proxied: bool,
    /// Whether the listener speaks TLS.
    pub secure: bool,
    /// `None` on cleartext, and before the handshake ended.
    pub tls: Option<TlsInfo>,
    /// The settings in force: server, listener, server name.
    pub settings: Arc<Settings>,
    /// Most octets of an answer that wait for the peer.
    pub(crate) answer_window: usize,
    /// Most octets of content that wait for the program.
    pub(crate) content_window: usize,
    /// From here on, in octets that the connection holds, answers are held back harder.
    pub(super) pressed_at: u64,
    /// Requests go to a queue, which carries their events too.
    pub(crate) queued: bool,
    /// The handlers of the server.
    pub(crate) load: Arc<Load>,
    /// [`Hooks::cancelled`](crate::Hooks::cancelled).
    pub(crate) watcher: Option<fn(u64, Reason)>,
    /// The way to the connection from any thread.
    pub(crate) link: Arc<Link>,
}

/// Room for a streamed answer once the connection holds half of what it may: enough to keep moving.
const PRESSED_WINDOW: usize = 4 * 1024;

impl ConnectionInfo {
    /// Most octets of an answer that wait for the peer now. Whoever says that there is room says it by this, and whoever takes it.
    pub(crate) fn window(&self) -> usize {
        let pressed = self.link.held.load(Ordering::Relaxed) >= self.pressed_at;
        if pressed { self.answer_window.min(PRESSED_WINDOW) } else { self.answer_window }
    }
}
