//! Binding and accepting: sockets are taken in bursts on reactor 0 and handed to the least loaded reactor. Failure to accept is
//! backed off from, never spun on. What happens to an accepted socket is `connection.rs`; who may stay is `admission.rs`.

use std::io;
use std::net::SocketAddr;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::FileTypeExt;
use std::path::PathBuf;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::net::{SocketAddrAny, SocketFlags, acceptfrom_with, sockopt};
use socket2::{Domain, Protocol, SockAddr, Socket, TcpKeepalive, Type};
use tokio::io::unix::AsyncFd;
use tokio::net::{TcpStream, UnixStream};
use tokio::time::Instant;

use crate::config::Bind;
use crate::connection::{Arrival, Connection, Endpoint, serve};
use crate::counters::PauseCause;
use crate::error::{Error, ErrorKind};
use crate::event::LogLevel;
use crate::link::{Link, Order};
use crate::reactor::Reactor;
use crate::reason::Reason;
use crate::server::{ListenerState, Shared};
use crate::settings::Settings;

/// Unsent octets that the kernel may hold per socket: makes "written to the socket" an honest measure of "taken" to within
/// this, where an unbounded socket pins 2.8 MB behind a reader that stopped.
const UNSENT: u32 = 128 * 1024;

/// Sockets taken before the reactor looks at its connections again.
const BURST: usize = 32;

/// Connections by which the accepting reactor may be fuller than the emptiest one before a socket crosses threads.
const IMBALANCE: usize = 4;

/// How long newcomers wait for others to give way: short, so that few come at a time and requests between them go on.
const PACE: Duration = Duration::from_millis(2);

/// The first and the longest pause after a failure to accept.
const BACK_OFF: (Duration, Duration) = (Duration::from_millis(5), Duration::from_secs(1));

/// A listening socket with its address.
pub(crate) struct Bound {
    // In front of the socket, so that the path is gone before nobody listens: a successor would take it for left behind, bind it
    // anew, and lose it to us.
    path: Option<RemovedAtTheEnd>,
    socket: OwnedFd,
    pub(crate) address: String,
}

/// A unix socket of ours.
struct RemovedAtTheEnd(PathBuf);

impl Drop for RemovedAtTheEnd {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}

/// Binds and listens. Options that accepted sockets inherit are set here, once: not a system call per connection.
pub(crate) fn bind(bind: &Bind, settings: &Settings) -> Result<Bound, Error> {
    let fault = |what: String| {
        move |error: io::Error| Error::new(ErrorKind::Io, format!("{what}: {error}")).caused_by(error)
    };
    match bind {
        Bind::Tcp(address) => {
            let socket =
                listen_tcp(*address, settings).map_err(fault(format!("cannot listen on {address}")))?;
            inherit(&socket, settings);
            let address = socket.local_addr().ok().and_then(|local| local.as_socket()).unwrap_or(*address);
            Ok(Bound { socket: socket.into(), address: address.to_string(), path: None })
        }
        Bind::Unix(path) => {
            let socket = listen_unix(path, settings)
                .map_err(fault(format!("cannot listen on unix:{}", path.display())))?;
            Ok(Bound {
                socket: socket.into(),
                address: format!("unix:{}", path.display()),
                path: Some(RemovedAtTheEnd(path.clone())),
            })
        }
        Bind::Descriptor(descriptor) => {
            let adopt = || -> io::Result<Socket> {
                let socket = Socket::from(descriptor.try_clone()?);
                socket.set_nonblocking(true)?;
                if !sockopt::socket_acceptconn(&socket)? {
                    return Err(io::Error::new(io::ErrorKind::InvalidInput, "it is not a listening socket"));
                }
                Ok(socket)
            };
            let socket = adopt().map_err(fault("cannot use the given descriptor".to_owned()))?;
            inherit(&socket, settings);
            let local = socket.local_addr().ok();
            let address = match local.as_ref().and_then(SockAddr::as_socket) {
                Some(address) => address.to_string(),
                None => {
                    let path = local.as_ref().and_then(SockAddr::as_pathname).unwrap_or_else(|| "".as_ref());
                    format!("unix:{}", path.display())
                }
            };
            Ok(Bound { socket: socket.into(), address, path: None })
        }
    }
}

fn listen_tcp(address: SocketAddr, settings: &Settings) -> io::Result<Socket> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM.nonblocking(), Some(Protocol::TCP))?;
    // A restart must not wait for the TIME_WAIT of its predecessor.
    socket.set_reuse_address(true)?;
    socket.bind(&address.into())?;
    socket.listen(backlog(settings))?;
    Ok(socket)
}

fn listen_unix(path: &PathBuf, settings: &Settings) -> io::Result<Socket> {
    let socket = Socket::new(Domain::UNIX, Type::STREAM.nonblocking(), None)?;
    let address = SockAddr::unix(path)?;
    if let Err(error) = socket.bind(&address) {
        // What a crashed predecessor left behind: a socket, and nobody listens on it. A file that is none refuses to be connected
        // to just as well; a full backlog would hold a connect that waits.
        let stale = error.kind() == io::ErrorKind::AddrInUse
            && path.symlink_metadata().is_ok_and(|found| found.file_type().is_socket())
            && Socket::new(Domain::UNIX, Type::STREAM.nonblocking(), None)?
                .connect(&address)
                .is_err_and(|refused| refused.kind() == io::ErrorKind::ConnectionRefused);
        if !stale {
            return Err(error);
        }
        std::fs::remove_file(path)?;
        socket.bind(&address)?;
    }
    socket.listen(backlog(settings))?;
    Ok(socket)
}

fn backlog(settings: &Settings) -> i32 {
    i32::try_from(settings.backlog).unwrap_or(i32::MAX)
}

/// Linux copies these from the listening socket to every accepted one.
fn inherit(socket: &Socket, settings: &Settings) {
    let _ = socket.set_tcp_nodelay(true);
    let _ = socket.set_tcp_notsent_lowat(UNSENT);
    if let Some(idle) = settings.tcp_keepalive_idle {
        let keepalive = TcpKeepalive::new()
            .with_time(idle)
            .with_interval(settings.tcp_keepalive_interval)
            .with_retries(settings.tcp_keepalive_probes);
        let _ = socket.set_tcp_keepalive(&keepalive);
    }
}

/// Accepts on every listener until the server drains.
pub(crate) fn accept(reactor: &Rc<Reactor>, sockets: Vec<Bound>) {
    let mut tasks = Vec::new();
    for (bound, listener) in sockets.into_iter().zip(reactor.shared.listeners.clone()) {
        let reactor = reactor.clone();
        tasks.push(tokio::task::spawn_local(async move {
            // tokio's listeners cannot wait without accepting, which the pause at `max_connections` needs.
            #[expect(
                deprecated,
                reason = "unsound for types that lie about their descriptor; this one owns it"
            )]
            let socket = AsyncFd::new(bound.socket);
            match socket {
                Ok(socket) => {
                    Acceptor { _path: bound.path, socket, reactor, listener, pause: BACK_OFF.0, told: None }
                        .run()
                        .await
                }
                Err(error) => reactor.shared.log(LogLevel::Error, &format!("cannot accept: {error}")),
            }
        }));
    }
    let shared = reactor.shared.clone();
    tokio::task::spawn_local(async move {
        shared.stop_accepting.notified().await;
        for task in tasks {
            task.abort();
        }
    });
}

/// Whether a connection waits to be accepted.
fn somebody_waits(socket: &OwnedFd) -> bool {
    let mut looked = [PollFd::new(socket, PollFlags::IN)];
    // What cannot be told is told by accepting.
    poll(&mut looked, Some(&Timespec::default())).is_err() || !looked[0].revents().is_empty()
}

struct Acceptor {
    /// As in [`Bound`].
    _path: Option<RemovedAtTheEnd>,
    socket: AsyncFd<OwnedFd>,
    reactor: Rc<Reactor>,
    listener: Arc<ListenerState>,
    pause: Duration,
    /// When a pause was last logged: a flood must not be one of the log, too.
    told: Option<Instant>,
}

impl Acceptor {
    async fn run(mut self) {
        loop {
            let Ok(mut ready) = self.socket.readable().await else { return };
            if !self.reactor.shared.has_room() {
                // The last one was accepted in front of the queue's end, which tells that nobody waits: then no one has to go.
                if somebody_waits(self.socket.get_ref()) {
                    drop(ready);
                    self.make_room().await;
                } else {
                    ready.clear_ready();
                }
                continue;
            }
            let newcomers = self.listener.pending.newcomers(Instant::now(), self.reactor.has_time());
            if newcomers == 0 {
                drop(ready);
                tokio::time::sleep(PACE).await;
                continue;
            }
            let mut failed = None;
            for _ in 0..newcomers.min(BURST) {
                if !self.reactor.shared.has_room() {
                    break;
                }
                match ready.try_io(|socket| {
                    Ok(acceptfrom_with(socket, SocketFlags::NONBLOCK | SocketFlags::CLOEXEC)?)
                }) {
                    Ok(Ok((socket, address))) => {
                        self.pause = BACK_OFF.0;
                        self.admit(socket, address);
                    }
                    Ok(Err(error)) => {
                        failed = Some(error);
                        break;
                    }
                    Err(_would_block) => break,
                }
            }
            drop(ready);
            if let Some(error) = failed {
                self.back_off(&error).await;
            } else {
                tokio::task::yield_now().await;
            }
        }
    }

    /// The longest idle goes for a newcomer that waits; with none idle, accepting pauses and the kernel's queue holds the rest.
    async fn make_room(&mut self) {
        let shared = &self.reactor.shared;
        let left = shared.registry.left();
        let evicted = shared.registry.evict_longest_idle(Reason::AcceptLimit);
        if !shared.has_room() {
            // Whoever leaves says so; the time-out finds connections that turned idle meanwhile.
            let patience = if evicted { BACK_OFF.1 } else { BACK_OFF.1 / 10 };
            let since = Instant::now();
            let _ = tokio::time::timeout(patience, left).await;
            self.listener.accepting.paused(PauseCause::Connections, since.elapsed());
        }
    }

    async fn back_off(&mut self, error: &io::Error) {
        let shared = &self.reactor.shared;
        // Connections that died in the queue cost nothing; what says that we lack something is backed off from.
        if matches!(
            error.kind(),
            io::ErrorKind::ConnectionAborted | io::ErrorKind::ConnectionReset | io::ErrorKind::Interrupted
        ) {
            return;
        }
        if self.told.is_none_or(|told| told.elapsed() >= BACK_OFF.1) {
            self.told = Some(Instant::now());
            let pause = self.pause.as_millis();
            shared.log(LogLevel::Warn, &format!("cannot accept, pausing for {pause} ms: {error}"));
        }
        self.listener.accepting.failed(error);
        shared.registry.evict_longest_idle(Reason::AcceptDescriptors);
        tokio::time::sleep(self.pause).await;
        self.listener.accepting.paused(PauseCause::of(error), self.pause);
        self.pause = (self.pause * 2).min(BACK_OFF.1);
    }

    fn admit(&self, socket: OwnedFd, address: Option<SocketAddrAny>) {
        let shared = &self.reactor.shared;
        let target = shared.least_loaded(self.reactor.index);
        shared.population[target].fetch_add(1, Ordering::AcqRel);
        let peer = address.and_then(|address| SocketAddr::try_from(address).ok());
        let listener = self.listener.clone();
        let id = shared.next_connection.fetch_add(1, Ordering::Relaxed);
        let link = Link::new(shared.inboxes[target].clone());
        let slot = shared.registry.enter(id, link.clone());
        let arrive = move |reactor: &Rc<Reactor>| arrive(reactor, listener, socket, peer, (id, link, slot));
        if target == self.reactor.index {
            arrive(&self.reactor);
        } else {
            shared.inboxes[target].run(Box::new(arrive));
        }
    }
}

/// On the reactor that will serve the socket for ever.
fn arrive(
    reactor: &Rc<Reactor>,
    listener: Arc<ListenerState>,
    socket: OwnedFd,
    peer: Option<SocketAddr>,
    (id, link, slot): (u64, Arc<Link>, crate::registry::ConnectionSlot),
) {
    if reactor.shared.is_draining() {
        link.order(Order::Drain);
    }
    let local =
        rustix::net::getsockname(socket.as_fd()).ok().and_then(|local| SocketAddr::try_from(local).ok());
    let arrival = Arrival { id, peer, local: Endpoint::of(local), link, slot };
    let connection = Box::new(Connection::new(reactor.clone(), listener, arrival));
    let population = Resident(reactor.clone());
    if peer.is_some() {
        if let Ok(socket) = TcpStream::from_std(socket.into()) {
            reactor.spawn(async move {
                let _resident = population;
                serve(connection, socket).await;
            });
        }
    } else if let Ok(socket) = UnixStream::from_std(socket.into()) {
        reactor.spawn(async move {
            let _resident = population;
            serve(connection, socket).await;
        });
    }
}

/// Counts a connection out of its reactor's population.
struct Resident(Rc<Reactor>);

impl Drop for Resident {
    fn drop(&mut self) {
        let _ = self.0.shared.population[self.0.index].fetch_update(
            Ordering::AcqRel,
            Ordering::Acquire,
            |count| (count != usize::MAX).then(|| count.saturating_sub(1)),
        );
    }
}

impl Shared {
    /// Whether `max_connections` allows one more.
    fn has_room(&self) -> bool {
        self.registry.len() < self.settings.max_connections.unwrap_or_else(|| usize::MAX)
    }

    /// The reactor itself, unless another is emptier by more than a few: a socket that stays costs no wake-up.
    fn least_loaded(&self, own: usize) -> usize {
        let count = |index: usize| self.population[index].load(Ordering::Relaxed);
        let least = (0..self.population.len()).min_by_key(|index| count(*index)).unwrap_or(own);
        if count(own).saturating_sub(count(least)) > IMBALANCE { least } else { own }
    }
}

#[cfg(test)]
mod tests;
