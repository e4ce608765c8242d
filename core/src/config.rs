//! What a program describes before the start: listeners, TLS, handler, hooks, settings. [`Server::start`](crate::Server::start)
//! checks all of it at once and copies it; nothing here opens, binds or spawns.

use std::net::{IpAddr, SocketAddr};
use std::os::fd::OwnedFd;
use std::path::PathBuf;
use std::str::FromStr;
use std::sync::Arc;

use crate::error::{Error, ErrorKind};
use crate::event::{ConnectionRecord, LogLevel, LogRecord, RequestRecord};
use crate::queue::Queue;
use crate::reason::Reason;
use crate::request::Request;
use crate::settings::{Level, Overrides, Settings};
use crate::tls::Tls;

/// The embedding program: answers requests.
pub trait Handler: Send + Sync {
    /// Answers, keeps the request to answer later from any thread, or drops it, which gives 500. A panic gives 500 too.
    fn handle(&self, request: Request);
}

impl<F: Fn(Request) + Send + Sync> Handler for F {
    fn handle(&self, request: Request) {
        self(request);
    }
}

/// How requests reach the program.
#[derive(Clone)]
pub enum Dispatch {
    /// On the reactor thread: fastest, for handlers that never block.
    Inline(Arc<dyn Handler>),
    /// On our own pool of `worker_threads`.
    Workers(Arc<dyn Handler>),
    /// The program drains completion queues; requests go round-robin.
    Queues(Vec<Arc<Queue>>),
}

/// Where to listen.
#[derive(Clone, Debug)]
pub enum Bind {
    /// An address and port; port 0 lets the system choose.
    Tcp(SocketAddr),
    /// A unix socket; a stale one is replaced, and it is removed at the end.
    Unix(PathBuf),
    /// A listening socket that the program made; the server's own from the start on.
    Descriptor(Arc<OwnedFd>),
}

/// `sun_path` holds 108 octets (unix(7)), and its NUL is one of them.
const MAX_SOCKET_PATH: usize = 107;

impl FromStr for Bind {
    type Err = Error;

    /// `127.0.0.1:0`, `[::]:8443`, `unix:/path`.
    fn from_str(text: &str) -> Result<Self, Error> {
        if let Some(path) = text.strip_prefix("unix:") {
            if !(1..=MAX_SOCKET_PATH).contains(&path.len()) {
                return Err(Error::new(
                    ErrorKind::Value,
                    format!(
                        "the unix socket path {path:?} is {} octets long: 1 to {MAX_SOCKET_PATH}",
                        path.len()
                    ),
                ));
            }
            return Ok(Self::Unix(path.into()));
        }
        let normal = text.strip_prefix("localhost:").map(|port| format!("127.0.0.1:{port}"));
        normal.as_deref().unwrap_or(text).parse().map(Self::Tcp).map_err(|_| {
            Error::new(
                ErrorKind::Value,
                format!("the address {text:?} is none of \"127.0.0.1:8443\", \"[::]:8443\", \"unix:/path\""),
            )
        })
    }
}

/// A network: the addresses that begin with the same bits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cidr {
    network: u128,
    bits: u32,
}

impl Cidr {
    /// Whether `address` lies inside.
    pub fn contains(&self, address: IpAddr) -> bool {
        let shift = 128 - self.bits;
        let address = widen(address);
        shift == 128 || address >> shift == self.network >> shift
    }
}

fn widen(address: IpAddr) -> u128 {
    match address {
        IpAddr::V4(v4) => v4.to_ipv6_mapped().into(),
        IpAddr::V6(v6) => v6.into(),
    }
}

impl FromStr for Cidr {
    type Err = Error;

    /// `10.0.0.0/8`, `2001:db8::/32`, or one address.
    fn from_str(text: &str) -> Result<Self, Error> {
        let fault = || {
            let why = format!("{text:?} is no network: \"10.0.0.0/8\", \"2001:db8::/32\" or one address");
            Error::new(ErrorKind::Value, why)
        };
        let (address, bits) = match text.split_once('/') {
            Some((address, bits)) => (address, Some(bits.parse::<u32>().map_err(|_| fault())?)),
            None => (text, None),
        };
        let address: IpAddr = address.parse().map_err(|_| fault())?;
        let width = if address.is_ipv4() { 32 } else { 128 };
        let bits = bits.unwrap_or(width);
        if bits > width {
            return Err(fault());
        }
        Ok(Self { network: widen(address), bits: bits + 128 - width })
    }
}

/// One listener.
#[derive(Clone)]
pub struct Listener {
    /// Where.
    pub bind: Bind,
    /// Identity and policy; `None` = cleartext.
    pub tls: Option<Tls>,
    /// Settings of level L that differ here.
    pub settings: Overrides,
    /// Settings of level N that differ for a server name; `*.example` stands for one label.
    pub server_names: Vec<(String, Overrides)>,
    /// Sources whose PROXY header is believed.
    pub trust_proxy: Vec<Cidr>,
}

impl Listener {
    /// A listener with the server's settings.
    pub fn new(bind: Bind, tls: Option<Tls>) -> Self {
        Self {
            bind,
            tls,
            settings: Overrides::new(Level::Listener),
            server_names: Vec::new(),
            trust_proxy: Vec::new(),
        }
    }
}

/// What a thread of ours is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// Runs worker handlers.
    Worker,
    /// Runs connections, and inline handlers.
    Reactor,
}

type Hook<T> = Arc<dyn Fn(&T) + Send + Sync>;

/// Who else is told. Connection and request hooks run on the reactor that owns the connection: in order, never concurrently
/// for one connection.
#[derive(Clone, Default)]
pub struct Hooks {
    /// Each phase entered, and the close.
    pub connection: Option<Hook<ConnectionRecord>>,
    /// Each request, when it ended.
    pub request_end: Option<Hook<RequestRecord>>,
    /// Log records up to a level, from any thread.
    pub log: Option<(LogLevel, Hook<LogRecord>)>,
    /// A binding's own mark of a cancelled exchange, by [`Exchange::token`](crate::Exchange::token): runs inside the cancel and
    /// must only take note.
    pub cancelled: Option<fn(u64, Reason)>,
    /// How many records a binding has lost behind these hooks: they join those that queues lost (`bartizan_log_records_lost`).
    pub lost: Option<Arc<dyn Fn() -> u64 + Send + Sync>>,
    /// On each of our threads as it starts (`true`) and as it ends (`false`).
    pub thread: Option<Arc<dyn Fn(Role, bool) + Send + Sync>>,
    /// When all else has ended, once, on the last thread: handler and hooks but `log` are not called any more. Queues get
    /// their last event, and [`Server::wait`](crate::Server::wait) returns, afterwards.
    pub ended: Option<Arc<dyn Fn() + Send + Sync>>,
}

/// A server to be started.
#[derive(Clone)]
pub struct Config {
    /// The server's settings; listeners and names may differ.
    pub settings: Settings,
    /// At least one.
    pub listeners: Vec<Listener>,
    /// Who answers.
    pub dispatch: Dispatch,
    /// Who else is told.
    pub hooks: Hooks,
}

impl Config {
    /// Default settings, no hooks.
    pub fn new(listeners: Vec<Listener>, dispatch: Dispatch) -> Self {
        Self { settings: Settings::default(), listeners, dispatch, hooks: Hooks::default() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn networks_contain_what_their_prefix_says() {
        let network: Cidr = "10.1.0.0/16".parse().unwrap();
        assert!(network.contains("10.1.255.255".parse().unwrap()));
        assert!(!network.contains("10.2.0.0".parse().unwrap()));
        assert!(network.contains("::ffff:10.1.2.3".parse().unwrap()));
        let all: Cidr = "::/0".parse().unwrap();
        assert!(all.contains("2001:db8::1".parse().unwrap()));
        for bad in ["10.0.0.0/33", "10.0.0/8", "", "::/129", "a/8", "10.0.0.0/"] {
            assert!(bad.parse::<Cidr>().is_err(), "{bad}");
        }
    }

    #[test]
    fn addresses_are_told_apart() {
        assert!(matches!("127.0.0.1:0".parse(), Ok(Bind::Tcp(_))));
        assert!(matches!("[::]:8443".parse(), Ok(Bind::Tcp(_))));
        assert!(matches!("localhost:80".parse(), Ok(Bind::Tcp(_))));
        assert!(matches!("unix:/tmp/x".parse(), Ok(Bind::Unix(_))));
        for bad in ["", "unix:", "8443", "127.0.0.1", "127.0.0.1:65536", "example.org:80"] {
            assert!(bad.parse::<Bind>().is_err(), "{bad}");
        }
    }
}
