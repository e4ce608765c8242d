//! What the threads of one server share, at work: its numbers, its log records, drain and end. How a connection is counted is
//! `counters.rs`.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, RwLock};
use std::time::Duration;

use tokio::sync::Notify;

use super::prepare::{Prepared, default_io_threads, resolve_autos};
use super::{CONNECTION_ID_BASE, LIBRARY, ListenerState, Living, Shared, TLS};
use crate::admission::{Load, Pending};
use crate::config::Config;
use crate::counters::{self, Accepting, Snapshot, Sum, Tally};
use crate::deadline::outdate;
use crate::dispatch::Dispatcher;
use crate::error::{Error, ErrorKind};
use crate::event::{Event, LogLevel, LogRecord};
use crate::http::head::Head;
use crate::link::{Inbox, Order};
use crate::phase::Phase;
use crate::pressure::{Pressure, descriptor_limit, open_descriptors};
use crate::reason::Reason;
use crate::registry::Registry;
use crate::watchdog::Watchdog;

impl Shared {
    /// What was checked, with the addresses that were bound for it.
    pub(super) fn new(
        config: &Config,
        prepared: Vec<Prepared>,
        addresses: impl Iterator<Item = String>,
    ) -> Result<Arc<Self>, Error> {
        let mut settings = config.settings.effective();
        resolve_autos(&mut settings);
        let described = config.listeners.iter().zip(prepared).zip(addresses).enumerate();
        let listeners: Vec<_> = described
            .map(|(index, ((listener, (own, names, tls)), address))| {
                Arc::new(ListenerState {
                    index: index as u32,
                    pending: Pending::new(own.max_pending_handshakes),
                    handshake_budget: Mutex::default(),
                    accepting: Accepting::default(),
                    settings: Arc::new(own),
                    names,
                    tls: tls.map(|tls| RwLock::new(Arc::new(tls))),
                    trust_proxy: listener.trust_proxy.clone(),
                    address,
                })
            })
            .collect();
        if listeners.iter().any(|listener| listener.is_secure()) {
            crate::tls::warm()?;
        }
        let dispatch = Dispatcher::new(&config.dispatch).map_err(|error| {
            Error::new(ErrorKind::Io, format!("no descriptor for the queue: {error}")).caused_by(error)
        })?;
        let load = Load::new(settings.max_running_handlers, settings.max_queued_requests);
        for (index, queue) in dispatch.queues().iter().enumerate() {
            if !queue.attach(load.clone()) {
                dispatch.queues()[..index].iter().for_each(|taken| taken.detach());
                return Err(Error::new(ErrorKind::State, "a queue serves another server already"));
            }
        }
        let reactors = settings.io_threads.unwrap_or_else(default_io_threads);
        let clocks: Vec<_> = (0..reactors).map(|_| Arc::new(AtomicU64::new(0))).collect();
        Ok(Arc::new(Self {
            tallies: (0..reactors).map(|_| Tally::new(listeners.len())).collect(),
            inboxes: clocks.iter().map(|clock| Inbox::new(clock.clone())).collect(),
            population: (0..reactors).map(|_| AtomicUsize::new(0)).collect(),
            settings,
            listeners,
            dispatch,
            hooks: config.hooks.clone(),
            load,
            registry: Registry::new(),
            pressure: Pressure::default(),
            next_connection: AtomicU64::new(CONNECTION_ID_BASE),
            draining: AtomicBool::new(false),
            stop_accepting: Notify::new(),
            watchdog: Watchdog::new(reactors),
            living: Living::default(),
        }))
    }

    pub(crate) fn is_draining(&self) -> bool {
        self.draining.load(Ordering::Acquire)
    }

    pub(crate) fn sum(&self) -> Sum {
        Sum::of(self.tallies.iter(), self.listeners.len())
    }

    pub(crate) fn snapshot(&self) -> Snapshot {
        let sum = self.sum();
        let total = |cell, index| sum.total(cell, index);
        let open_by_phase = std::array::from_fn(|id| total(counters::PHASES, id));
        let closed_by_reason = std::array::from_fn(|id| total(counters::CLOSED, id));
        let started = total(counters::STARTED, 0);
        let ended: u64 = (0..counters::PROTOCOLS * Reason::COUNT).map(|id| total(counters::ENDED, id)).sum();
        Snapshot {
            connections_accepted: total(counters::ACCEPTED, 0),
            connections_open: open_by_phase.iter().sum(),
            connections_closed: closed_by_reason.iter().sum(),
            handshakes_completed: sum.handshakes.values().sum(),
            handshakes_failed: total(counters::HANDSHAKES_FAILED, 0),
            handshakes_resumed: sum
                .handshakes
                .iter()
                .filter(|(key, _)| key.resumed)
                .map(|(_, count)| count)
                .sum(),
            handshakes_pending: open_by_phase[Phase::Hello.id()] + open_by_phase[Phase::Handshake.id()],
            requests_started: started,
            requests_ended: ended,
            requests_live: started - ended,
            handlers_running: self.load.running() as u64,
            requests_queued: self.load.queued() as u64,
            requests_unanswered: total(counters::UNANSWERED, 0),
            bytes_received: total(counters::RECEIVED, 0),
            bytes_sent: total(counters::SENT, 0),
            memory_bytes: self.memory(),
            descriptors_open: open_descriptors(),
            descriptors_limit: descriptor_limit(),
            open_by_phase,
            closed_by_reason,
        }
    }

    /// Where a cleartext request is to go: its own host and target, over TLS, on the port of our first TLS listener.
    pub(crate) fn https_location(&self, head: &Head) -> Vec<u8> {
        let authority = head.authority();
        // The port is behind the last colon, unless that colon stands inside the brackets of an IPv6 address.
        let host = match authority.iter().rposition(|octet| *octet == b':') {
            Some(colon) if !authority[colon..].contains(&b']') => &authority[..colon],
            _ => authority,
        };
        let port = self.listeners.iter().find(|listener| listener.is_secure()).and_then(|listener| {
            listener
                .address
                .rsplit_once(':')
                .map(|(_, port)| port)
                .filter(|port| *port != "443" && port.parse::<u16>().is_ok())
        });
        let mut location = [b"https://", host].concat();
        if let Some(port) = port {
            location.push(b':');
            location.extend_from_slice(port.as_bytes());
        }
        match head.target() {
            // The target as it came, with a `?` that nothing follows; the asterisk stands for the server itself.
            target if target.starts_with(b"/") => location.extend_from_slice(target),
            b"*" => {}
            _ => {
                location.extend_from_slice(head.path());
                if !head.query().is_empty() {
                    location.push(b'?');
                    location.extend_from_slice(head.query());
                }
            }
        }
        location
    }

    pub(super) fn drain(self: &Arc<Self>, grace: Duration) {
        let first = !self.draining.swap(true, Ordering::AcqRel);
        if first {
            self.log(LogLevel::Info, "draining");
        }
        self.stop_accepting.notify_one();
        if grace.is_zero() {
            self.registry.order_all(Order::Close(Reason::ProgramStop));
        } else {
            self.registry.order_all(Order::Drain);
            let shared = self.clone();
            self.inboxes[0].run(Box::new(move |_| {
                tokio::task::spawn_local(async move {
                    tokio::time::sleep(grace).await;
                    shared.registry.order_all(Order::Close(Reason::Drain));
                });
            }));
        }
        // Every reactor looks whether it is done.
        for inbox in &self.inboxes {
            inbox.run(Box::new(|reactor| reactor.changed()));
        }
    }

    /// A bug of ours was caught: the state is not trusted any more, so the server drains.
    pub(crate) fn poison(self: &Arc<Self>, what: &str) {
        self.log(LogLevel::Error, &format!("a bug of ours was caught, the server drains: {what}"));
        self.drain(self.settings.drain_timeout);
    }

    pub(crate) fn log(&self, level: LogLevel, text: &str) {
        self.log_about(level, LIBRARY, 0, text);
    }

    /// A record of one part of the library, about one connection (0 = none).
    pub(crate) fn log_about(&self, level: LogLevel, target: &'static str, connection: u64, text: &str) {
        if let Some((most, hook)) = &self.hooks.log
            && level <= *most
        {
            let text = text
                .chars()
                .map(|c| if c.is_control() { c.escape_default().to_string() } else { c.into() })
                .collect();
            let record = LogRecord { level, connection, target, text };
            // A panic in it is the program's fault; what is told of goes on.
            let _ = catch_unwind(AssertUnwindSafe(|| hook(&record)));
            outdate();
        }
    }

    /// Whether somebody hears records of this level.
    pub(crate) fn is_heard(&self, level: LogLevel) -> bool {
        self.hooks.log.as_ref().is_some_and(|(most, _)| level <= *most)
    }

    /// An identity that no client can verify must not go into production unnoticed: said once per listener and configuration.
    pub(super) fn warn_of_development(&self, listener: &ListenerState) {
        if listener.tls().is_some_and(|tls| tls.certificates().iter().any(|end| end.development)) {
            let address = &listener.address;
            let text = format!("{address} has a self-signed identity, for development only");
            self.log_about(LogLevel::Warn, TLS, 0, &text);
        }
    }

    pub(crate) fn log_stall(&self, deed: &str, took: Duration) {
        let took = took.as_millis();
        self.log(LogLevel::Warn, &format!("an inline callback {deed}: {took} ms (inline_stall)"));
    }

    /// Whether no reactor has a connection.
    pub(crate) fn is_empty(&self) -> bool {
        self.population.iter().all(|population| matches!(population.load(Ordering::Relaxed), 0 | usize::MAX))
    }

    /// The last reactor has ended: so may who works for them.
    pub(super) fn reactors_ended(&self) {
        self.watchdog.close();
        if !self.dispatch.is_queued() {
            self.close_queues();
        }
    }

    /// The last thread is about to end: the program is told, and then whoever drains its queues.
    pub(super) fn ended(&self) {
        if let Some(hook) = &self.hooks.ended {
            hook();
        }
        if self.dispatch.is_queued() {
            self.close_queues();
        }
    }

    fn close_queues(&self) {
        for queue in self.dispatch.queues() {
            queue.push(Event::Shutdown);
        }
    }
}
