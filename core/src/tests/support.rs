//! The host of a test: a reactor on the test's own runtime, paused time, and connections through the production connection
//! function. What it records is what a program's hooks are told; what it counts is what a program's snapshot shows.

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::future::poll_fn;
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::atomic::Ordering;
use std::sync::{Arc, OnceLock};

use bytes::Bytes;
use rustls::{ClientConfig, ClientConnection, RootCertStore};
use rustls_pki_types::ServerName;
use tokio::sync::mpsc;
use tokio::task::{JoinHandle, LocalSet};
use tokio::time::timeout;
#[cfg(test)]
use tokio_rustls::TlsConnector;

use super::books::Books;
use super::peer::{Peer, millis, secs};
use super::pipe::{Line, pipe};
use crate::config::{Config, Dispatch, Hooks, Listener};
use crate::connection::{Arrival, Connection, Endpoint, serve};
use crate::counters::{self, PROTOCOLS};
use crate::deadline::Deadlines;
use crate::event::{ConnectionRecord, LogLevel, RequestRecord};
use crate::link::{Link, Order};
use crate::phase::Phase;
use crate::reactor::Reactor;
use crate::reason::Reason;
use crate::request::{Body, Request, RequestError};
use crate::server::{Server, Shared};
use crate::settings::{Level, Overrides};
use crate::tls::{Identity, Tls};

/// A server to be tested.
pub(super) struct Setup {
    config: Config,
    capacity: usize,
    alpn: &'static str,
    source: Option<SocketAddr>,
    kept: Option<mpsc::UnboundedReceiver<Request>>,
}

impl Setup {
    /// Requests are answered by `handler`, on the reactor.
    pub(super) fn inline(handler: impl Fn(Request) + Send + Sync + 'static) -> Self {
        Self::dispatching(Dispatch::Inline(Arc::new(handler)))
    }

    /// Every request is answered with `hello`.
    pub(super) fn hello() -> Self {
        Self::inline(|request| hello(&request))
    }

    /// Every request is kept, for the test to take with [`Host::request`].
    pub(super) fn kept() -> Self {
        let (keep, kept) = mpsc::unbounded_channel();
        let mut setup = Self::inline(move |request| drop(keep.send(request)));
        setup.kept = Some(kept);
        setup
    }

    pub(super) fn dispatching(dispatch: Dispatch) -> Self {
        let anywhere = "127.0.0.1:0".parse().unwrap();
        let mut config = Config::new(vec![Listener::new(anywhere, None)], dispatch);
        config.settings.set("io_threads", 1).unwrap();
        Self { config, capacity: 64 * 1024, alpn: "http/1.1", source: None, kept: None }
    }

    /// The listener speaks TLS.
    pub(super) fn tls(mut self) -> Self {
        let mut tls = Tls::new();
        tls.identity(None, identity().clone()).unwrap();
        self.config.listeners[0].tls = Some(tls);
        self
    }

    /// More of the listener's TLS than its identity.
    pub(super) fn described(mut self, describe: impl FnOnce(&mut Tls)) -> Self {
        self.config.listeners[0].tls.as_mut().map(describe);
        self
    }

    pub(super) fn alpn(mut self, protocol: &'static str) -> Self {
        self.alpn = protocol;
        self
    }

    /// A setting of the server, in its text form.
    pub(super) fn set(mut self, key: &str, text: &str) -> Self {
        self.config.settings.set_text(key, text).unwrap();
        self
    }

    /// A setting of the listener.
    pub(super) fn listening(mut self, key: &str, text: &str) -> Self {
        self.config.listeners[0].settings.set_text(key, text).unwrap();
        self
    }

    /// A setting of the server name `localhost`.
    pub(super) fn named(mut self, key: &str, text: &str) -> Self {
        let mut overrides = Overrides::new(Level::ServerName);
        overrides.set_text(key, text).unwrap();
        self.config.listeners[0].server_names.push(("localhost".to_owned(), overrides));
        self
    }

    /// Peers come from this address, as over TCP.
    pub(super) fn from(mut self, source: &str) -> Self {
        self.source = Some(source.parse().unwrap());
        self
    }

    /// The listener demands a PROXY header, and believes it from one network.
    pub(super) fn proxied(mut self, trusted: &str) -> Self {
        self.config.settings.set_text("proxy_protocol", "any").unwrap();
        self.config.listeners[0].trust_proxy.push(trusted.parse().unwrap());
        self
    }

    /// Octets that the network holds in each direction.
    pub(super) fn capacity(mut self, octets: usize) -> Self {
        self.capacity = octets;
        self
    }

    /// Runs the scenario, and checks afterwards that the books balance.
    pub(super) fn run(self, scenario: impl AsyncFnOnce(&Host)) {
        let runtime =
            tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build().unwrap();
        LocalSet::new().block_on(&runtime, async {
            let (host, running) = Host::start(self);
            // Hours of paused time pass in a moment.
            timeout(secs(4 * 3_600), scenario(&host)).await.expect("the scenario ends");
            host.end(running).await;
        });
    }
}

/// Answers with `hello`.
pub(super) fn hello(request: &Request) {
    request.respond(200, [], Body::Copied(b"hello")).unwrap();
}

pub(super) fn identity() -> &'static Identity {
    static IDENTITY: OnceLock<Identity> = OnceLock::new();
    IDENTITY.get_or_init(|| Identity::self_signed("localhost").unwrap())
}

/// Of the tests alone, as tokio-rustls is: peers of a fuzzer speak in the clear.
#[cfg(test)]
fn connector(alpn: &str) -> TlsConnector {
    let mut roots = RootCertStore::empty();
    roots.add(identity().certificates()[0].clone()).unwrap();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let mut config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.alpn_protocols = vec![alpn.into()];
    Arc::new(config).into()
}

/// A running server without sockets.
pub(super) struct Host {
    pub(super) server: Server,
    pub(super) shared: Arc<Shared>,
    reactor: Rc<Reactor>,
    records: Arc<Books>,
    #[cfg(test)]
    pub(super) connector: TlsConnector,
    secure: bool,
    capacity: usize,
    source: Option<SocketAddr>,
    kept: RefCell<Option<mpsc::UnboundedReceiver<Request>>>,
}

impl Host {
    fn start(setup: Setup) -> (Self, JoinHandle<()>) {
        let Setup { mut config, capacity, alpn, source, kept } = setup;
        let records = Arc::new(Books::default());
        let (connections, requests, log) = (records.clone(), records.clone(), records.clone());
        config.hooks = Hooks {
            connection: Some(Arc::new(move |record| connections.stepped(record))),
            request_end: Some(Arc::new(move |record| requests.ended(record))),
            log: Some((LogLevel::Debug, Arc::new(move |record| log.logged(&record.text)))),
            ..Hooks::default()
        };
        let (server, shared) = Server::in_memory(&config).unwrap();
        let inbox = shared.inboxes[0].clone();
        let reactor =
            Reactor::new(0, shared.clone(), inbox.clone(), Deadlines::new(inbox.coarse_now.clone(), false));
        let running = tokio::task::spawn_local({
            let reactor = reactor.clone();
            async move { reactor.run().await }
        });
        let host = Self {
            secure: config.listeners[0].tls.is_some(),
            #[cfg(test)]
            connector: connector(alpn),
            server,
            shared,
            reactor,
            records,
            capacity,
            source,
            kept: RefCell::new(kept),
        };
        (host, running)
    }

    /// A peer that has connected, and on TLS shaken hands.
    pub(super) async fn connect(&self) -> Peer {
        let peer = self.dial();
        #[cfg(test)]
        let peer = if self.secure { self.shake_hands(peer).await } else { peer };
        peer
    }

    /// Puts TLS over what was dialled.
    #[cfg(test)]
    pub(super) async fn shake_hands(&self, peer: Peer) -> Peer {
        let name = ServerName::try_from("localhost").unwrap();
        let Peer { stream, id, resetter, .. } = peer;
        let stream = self.connector.connect(name, stream).await.expect("a handshake");
        Peer::new(id, Box::new(stream), resetter)
    }

    /// A peer below TLS, that has said nothing yet.
    pub(super) fn dial(&self) -> Peer {
        let (id, line) = self.accept();
        let resetter = Box::new(line.resetter());
        Peer::new(id, Box::new(line), resetter)
    }

    /// The first flight of a TLS client that will say nothing else.
    #[cfg(test)]
    pub(super) fn client_hello(&self) -> Vec<u8> {
        let name = ServerName::try_from("localhost").unwrap();
        let mut client = ClientConnection::new(self.connector.config().clone(), name).unwrap();
        let mut hello = Vec::new();
        client.write_tls(&mut hello).unwrap();
        hello
    }

    /// As the acceptor does, with a pipe in place of a socket.
    fn accept(&self) -> (u64, Line) {
        let (ours, theirs) = pipe(self.capacity);
        let shared = &self.shared;
        let id = shared.next_connection.fetch_add(1, Ordering::Relaxed);
        let link = Link::new(shared.inboxes[0].clone());
        if shared.is_draining() {
            link.order(Order::Drain);
        }
        let slot = shared.registry.enter(id, link.clone());
        let arrival = Arrival { id, peer: self.source, local: Endpoint::of(None), link, slot };
        let connection = Connection::new(self.reactor.clone(), shared.listeners[0].clone(), arrival);
        self.reactor.spawn(serve(Box::new(connection), ours));
        (id, theirs)
    }

    /// The next request that the program was given and keeps.
    #[expect(clippy::await_holding_refcell_ref, reason = "one scenario, one taker")]
    pub(super) async fn request(&self) -> Request {
        let mut kept = self.kept.borrow_mut();
        kept.as_mut().expect("a setup that keeps").recv().await.expect("a request")
    }

    /// Whether a request waits to be taken.
    pub(super) fn is_request_waiting(&self) -> bool {
        self.kept.borrow().as_ref().is_some_and(|kept| !kept.is_empty())
    }

    /// The phase that a peer's connection is in.
    pub(super) fn phase(&self, peer: &Peer) -> Phase {
        self.records.last(peer.id).unwrap().phase
    }

    /// The last record of a peer's connection.
    pub(super) fn last(&self, peer: &Peer) -> Option<ConnectionRecord> {
        self.records.last(peer.id)
    }

    /// How the connection of a peer closed, once it has.
    pub(super) async fn closed(&self, peer: &Peer, phase: Phase, reason: Reason) -> ConnectionRecord {
        self.closed_id(peer.id, phase, reason).await
    }

    pub(super) async fn closed_id(&self, id: u64, phase: Phase, reason: Reason) -> ConnectionRecord {
        let record = loop {
            match self.records.last(id) {
                Some(record) if record.closed.is_some() => break record,
                _ => tokio::time::sleep(millis(1)).await,
            }
        };
        assert_eq!((record.phase, record.closed), (phase, Some(reason)));
        let snapshot = self.server.snapshot();
        assert_ne!(snapshot.closed_by_reason[reason.index()], 0);
        self.check_sums();
        record
    }

    /// How often a limit struck.
    pub(super) fn limits(&self, reason: Reason) -> u64 {
        let sum = self.shared.sum();
        let index = |protocol| protocol * Reason::COUNT + reason.index();
        (0..PROTOCOLS).map(|protocol| sum.total(counters::LIMITS, index(protocol))).sum()
    }

    /// The requests that have ended, in the order of their end.
    pub(super) fn ended(&self) -> Vec<RequestRecord> {
        self.records.requests()
    }

    /// Status and reason of the requests that have ended.
    pub(super) fn outcomes(&self) -> Vec<(u16, Reason)> {
        self.ended().iter().map(|record| (record.status, record.reason)).collect()
    }

    /// Makes the connection of a request panic in the midst of its next turn.
    #[cfg(test)]
    pub(super) fn break_connection(&self, request: &Request) {
        self.records.bug.store(true, Ordering::Relaxed);
        request.exchange().panic_inside();
    }

    /// What was logged.
    pub(super) fn log(&self) -> Vec<String> {
        self.records.log()
    }

    /// Lets everybody act who can, without the clock going on to a limit.
    pub(super) async fn turn(&self) {
        tokio::time::sleep(millis(1)).await;
    }

    /// What holds in every snapshot.
    pub(super) fn check_sums(&self) {
        let snapshot = self.server.snapshot();
        assert_eq!(snapshot.connections_accepted - snapshot.connections_closed, snapshot.connections_open);
        assert_eq!(snapshot.open_by_phase.iter().sum::<u64>(), snapshot.connections_open);
        assert_eq!(snapshot.closed_by_reason.iter().sum::<u64>(), snapshot.connections_closed);
        assert_eq!(snapshot.requests_started - snapshot.requests_ended, snapshot.requests_live);
        assert_eq!(snapshot.connections_open, self.shared.registry.len() as u64);
    }

    /// What holds whenever everybody has acted who can. Nobody waits without a deadline, but for the program: for the rest of
    /// an answer of which it gave the head, on as many connections as it holds requests of.
    pub(super) fn check_waits(&self, held: &[Request]) {
        let (unbounded, overdue) = self.reactor.deadlines.faults();
        let held: BTreeSet<_> = held.iter().map(|request| request.exchange().connection().id).collect();
        assert!(
            unbounded <= held.len(),
            "{unbounded} waits without a deadline, {} for the program",
            held.len()
        );
        assert_eq!(overdue, 0, "a deadline passed, and the wait went on");
        self.records.check_no_gap();
    }

    /// The peers are gone; nothing is left of them.
    async fn end(self, running: JoinHandle<()>) {
        self.check_sums();
        self.kept.borrow_mut().take();
        self.server.shutdown(Some(secs(60)));
        timeout(secs(120), running).await.expect("the reactor ends").unwrap();
        self.check_sums();
        let snapshot = self.server.snapshot();
        assert_eq!((snapshot.connections_open, snapshot.requests_live), (0, 0));
        assert_eq!((snapshot.handlers_running, snapshot.requests_queued), (0, 0));
        assert_eq!(self.shared.sum().total(counters::ANSWERED, 0), 0);
        assert_eq!(
            snapshot.memory_bytes,
            self.shared.load.retained(),
            "connections have given all of it back"
        );
        self.records.check(snapshot.connections_accepted, snapshot.requests_started);
    }
}

/// The next piece of content; empty at the end.
pub(super) async fn read_some(request: &Request) -> Result<Bytes, RequestError> {
    poll_fn(|cx| request.poll_content(cx)).await.map(Option::unwrap_or_default)
}

/// All content that is left.
pub(super) async fn read_all(request: &Request) -> Result<Vec<u8>, RequestError> {
    let mut content = Vec::new();
    loop {
        let piece = read_some(request).await?;
        if piece.is_empty() {
            return Ok(content);
        }
        content.extend_from_slice(&piece);
    }
}
