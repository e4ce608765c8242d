//! The running server: start, addresses, TLS update, drain, end. Its configuration is checked in `server/prepare.rs`, and what its
//! threads share works in `server/shared.rs`. Threads are made here; what they do is `reactor.rs`, `listener.rs` and `dispatch.rs`.

mod prepare;
mod shared;

use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex, PoisonError, RwLock};
use std::thread;
use std::time::Duration;

use tokio::sync::Notify;
use tokio::task::LocalSet;
use tokio::time::Instant;

use prepare::{default_worker_threads, prepare_all};

use crate::admission::{Load, Pending};
use crate::config::{Cidr, Config, Hooks, Role};
use crate::counters::{Accepting, Snapshot, Tally};
use crate::deadline::{Deadlines, outdate};
use crate::dispatch::{self, Dispatcher};
use crate::error::{Error, ErrorKind};
use crate::event::LogLevel;
use crate::link::{Inbox, lock};
use crate::listener::{self, Bound};
use crate::pressure::Pressure;
use crate::reactor::{Reactor, is_library_thread, mark_reactor_thread};
use crate::registry::Registry;
use crate::request::RequestError;
use crate::settings::Settings;
use crate::tls::{NameMap, Tls, TlsConfig};
use crate::watchdog::{self, Watchdog};

/// The target of log records about the library as a whole.
pub(crate) const LIBRARY: &str = "bartizan";
/// The target of those about TLS.
pub(crate) const TLS: &str = "bartizan::tls";

/// What the threads of one server share.
pub(crate) struct Shared {
    pub(crate) settings: Settings,
    pub(crate) listeners: Vec<Arc<ListenerState>>,
    pub(crate) dispatch: Dispatcher,
    pub(crate) hooks: Hooks,
    pub(crate) load: Arc<Load>,
    pub(crate) registry: Arc<Registry>,
    pub(crate) pressure: Pressure,
    pub(crate) tallies: Vec<Arc<Tally>>,
    pub(crate) inboxes: Vec<Arc<Inbox>>,
    /// Connections per reactor, for the choice of the least loaded.
    pub(crate) population: Vec<AtomicUsize>,
    pub(crate) next_connection: AtomicU64,
    draining: AtomicBool,
    /// Raised once, when accepting is to stop.
    pub(crate) stop_accepting: Notify,
    pub(crate) watchdog: Watchdog,
    living: Living,
}

/// Threads that have not ended.
#[derive(Default)]
struct Living {
    count: Mutex<usize>,
    ended: Condvar,
}

/// One listener of a running server.
pub(crate) struct ListenerState {
    pub(crate) index: u32,
    pub(crate) settings: Arc<Settings>,
    /// Level N: settings by server name.
    pub(crate) names: NameMap<Arc<Settings>>,
    tls: Option<RwLock<Arc<TlsConfig>>>,
    pub(crate) pending: Arc<Pending>,
    /// Handshakes that may begin, and when that was worked out.
    handshake_budget: Mutex<(f64, Option<Instant>)>,
    pub(crate) accepting: Accepting,
    pub(crate) trust_proxy: Vec<Cidr>,
    address: String,
}

impl ListenerState {
    pub(crate) fn is_secure(&self) -> bool {
        self.tls.is_some()
    }

    /// Takes one handshake out of this second's budget (`max_handshakes_per_second`); `false`: not now.
    pub(crate) fn handshake_allowed(&self) -> bool {
        let Some(rate) = self.settings.max_handshakes_per_second else { return true };
        let mut budget = lock(&self.handshake_budget);
        let now = Instant::now();
        let rate = f64::from(rate);
        let since = budget.1.map_or(1.0, |then| now.saturating_duration_since(then).as_secs_f64());
        // A bucket of one second: a pause is not saved up for a flood.
        *budget = ((budget.0 + since * rate).min(rate), Some(now));
        let allowed = budget.0 >= 1.0;
        if allowed {
            budget.0 -= 1.0;
        }
        allowed
    }

    /// The configuration for a handshake that begins now.
    pub(crate) fn tls(&self) -> Option<Arc<TlsConfig>> {
        let tls = self.tls.as_ref()?;
        Some(tls.read().unwrap_or_else(PoisonError::into_inner).clone())
    }
}

/// Connection ids carry this mark, so that a binding can tell them from its own ids; they stay below 2^53.
const CONNECTION_ID_BASE: u64 = 1 << 52;

/// A running server. Dropping it stops it at once without waiting; requests that the program holds live on.
pub struct Server {
    shared: Arc<Shared>,
}

impl std::fmt::Debug for Server {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let addresses: Vec<_> = self.shared.listeners.iter().map(|listener| &listener.address).collect();
        f.debug_struct("Server").field("listeners", &addresses).finish_non_exhaustive()
    }
}

impl Server {
    /// Checks the whole configuration, binds every listener and starts the threads. Returns when every listener accepts.
    pub fn start(config: &Config) -> Result<Self, Error> {
        let prepared = prepare_all(config)?;
        let mut sockets = Vec::new();
        for (listener, (own, ..)) in config.listeners.iter().zip(&prepared) {
            sockets.push(listener::bind(&listener.bind, own)?);
        }
        let shared = Shared::new(config, prepared, sockets.iter().map(|socket| socket.address.clone()))?;
        *lock(&shared.living.count) = 1;
        let _starting = Ended(shared.clone());
        let server = Self { shared };
        // On failure the server is dropped: the threads that run already end by themselves.
        server.spawn_workers()?;
        server.spawn_reactors(sockets)?;
        server.spawn_watchdog()?;
        server.shared.log(LogLevel::Info, "started");
        for listener in &server.shared.listeners {
            server.shared.warn_of_development(listener);
        }
        Ok(server)
    }

    /// Without threads and sockets: a test runs reactor 0 itself, on its own clock.
    #[cfg(any(test, fuzzing))]
    pub(crate) fn in_memory(config: &Config) -> Result<(Self, Arc<Shared>), Error> {
        let nowhere = std::iter::repeat_n(String::from("memory"), config.listeners.len());
        let shared = Shared::new(config, prepare_all(config)?, nowhere)?;
        Ok((Self { shared: shared.clone() }, shared))
    }

    fn spawn_workers(&self) -> Result<(), Error> {
        let Dispatcher::Workers { .. } = self.shared.dispatch else { return Ok(()) };
        let workers = self.shared.settings.worker_threads.unwrap_or_else(default_worker_threads);
        for index in 0..workers {
            let shared = self.shared.clone();
            self.spawn(format!("bartizan-work-{index}"), move || {
                if let Dispatcher::Workers { handler, queue } = &shared.dispatch {
                    dispatch::work(handler, &queue[0], &shared.hooks);
                }
            })?;
        }
        Ok(())
    }

    fn spawn_reactors(&self, sockets: Vec<Bound>) -> Result<(), Error> {
        let mut sockets = Some(sockets);
        let accepting = Arc::new((Mutex::new(false), Condvar::new()));
        // The last one first: reactor 0 accepts, and hands sockets to reactors that run.
        for index in (0..self.shared.inboxes.len()).rev() {
            let shared = self.shared.clone();
            let sockets = if index == 0 { sockets.take() } else { None };
            let accepting = accepting.clone();
            self.spawn(format!("bartizan-io-{index}"), move || {
                run_reactor(index, &shared, sockets, &accepting);
            })?;
        }
        let (ready, signal) = &*accepting;
        let mut ready = lock(ready);
        while !*ready {
            ready = signal.wait(ready).unwrap_or_else(PoisonError::into_inner);
        }
        Ok(())
    }

    fn spawn_watchdog(&self) -> Result<(), Error> {
        let Some(limit) = self.shared.settings.inline_stall else { return Ok(()) };
        let shared = self.shared.clone();
        self.spawn("bartizan-watch".to_owned(), move || watchdog::watch(&shared, limit))
    }

    /// Starts one of our threads: without the host's signals, and counted until it ends.
    fn spawn(&self, name: String, body: impl FnOnce() + Send + 'static) -> Result<(), Error> {
        *lock(&self.shared.living.count) += 1;
        let ended = Ended(self.shared.clone());
        let spawned = thread::Builder::new().name(name).spawn(move || {
            let _ended = ended;
            // Signals are the host's: its handlers must not run on our threads, and a write to a closed pipe must not kill it.
            let _ = nix::sys::signal::SigSet::all().thread_block();
            body();
        });
        spawned.map(drop).map_err(|error| {
            Error::new(ErrorKind::Io, format!("no thread for the server: {error}")).caused_by(error)
        })
    }

    /// How many listeners there are.
    pub fn listeners(&self) -> u32 {
        self.shared.listeners.len() as u32
    }

    /// `127.0.0.1:45123`, or `unix:/path`; `None` past the last listener.
    pub fn address(&self, listener: u32) -> Option<String> {
        Some(self.shared.listeners.get(listener as usize)?.address.clone())
    }

    /// Whether a listener speaks TLS.
    pub fn is_secure(&self, listener: u32) -> bool {
        self.shared.listeners.get(listener as usize).is_some_and(|listener| listener.is_secure())
    }

    /// The server's settings as they act.
    pub fn settings(&self) -> &Settings {
        &self.shared.settings
    }

    /// Replaces identities and policy; atomic, for new handshakes only.
    pub fn update_tls(&self, listener: u32, tls: &Tls) -> Result<(), Error> {
        let Some(state) = self.shared.listeners.get(listener as usize) else {
            let fault = format!("listener {listener} does not exist: 0 to {}", self.listeners() - 1);
            return Err(Error::new(ErrorKind::Value, fault));
        };
        let Some(current) = &state.tls else {
            return Err(Error::new(ErrorKind::State, format!("listener {listener} is cleartext")));
        };
        let compiled = Arc::new(tls.build(state.settings.http2)?);
        *current.write().unwrap_or_else(PoisonError::into_inner) = compiled;
        self.shared.log_about(LogLevel::Info, TLS, 0, "TLS configuration replaced");
        self.shared.warn_of_development(state);
        Ok(())
    }

    /// Starts the drain: accepting stops, idle connections close, exchanges in flight complete. After `grace` (`None` =
    /// `drain_timeout`) what is left is cut; zero cuts at once. Again with less means sooner.
    pub fn shutdown(&self, grace: Option<Duration>) {
        self.shared.drain(grace.unwrap_or(self.shared.settings.drain_timeout));
    }

    /// Waits until every connection is closed, every callback has returned and every thread has ended; `false` = timed out.
    pub fn wait(&self, timeout: Option<Duration>) -> Result<bool, RequestError> {
        if is_library_thread() {
            return Err(RequestError::Deadlock);
        }
        let until = timeout.map(|timeout| Instant::now() + timeout);
        let living = &self.shared.living;
        let mut count = lock(&living.count);
        while *count > 0 {
            let left = until.map(|until| until.saturating_duration_since(Instant::now()));
            count = match left {
                Some(Duration::ZERO) => return Ok(false),
                Some(left) => {
                    living.ended.wait_timeout(count, left).unwrap_or_else(PoisonError::into_inner).0
                }
                None => living.ended.wait(count).unwrap_or_else(PoisonError::into_inner),
            };
        }
        Ok(true)
    }

    /// The numbers of this moment.
    pub fn snapshot(&self) -> Snapshot {
        self.shared.snapshot()
    }

    /// OpenMetrics 1.0 text of this moment.
    pub fn metrics_text(&self) -> String {
        crate::metrics::render(&self.shared)
    }

    /// Frees the buffers that connections have left for others, after a peak. What becomes of their pages the allocator decides.
    pub fn trim(&self) {
        for inbox in &self.shared.inboxes {
            inbox.run(Box::new(|reactor| {
                reactor.buffers.trim();
                reactor.exchanges.trim();
            }));
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.shared.drain(Duration::ZERO);
    }
}

/// Counts a thread out, however it ends.
struct Ended(Arc<Shared>);

impl Drop for Ended {
    fn drop(&mut self) {
        let living = &self.0.living;
        let mut count = lock(&living.count);
        if *count == 1 {
            // The start counts itself, so that nobody comes after the last one.
            drop(count);
            self.0.ended();
            count = lock(&living.count);
        }
        *count -= 1;
        living.ended.notify_all();
    }
}

fn run_reactor(
    index: usize,
    shared: &Arc<Shared>,
    sockets: Option<Vec<Bound>>,
    accepting: &(Mutex<bool>, Condvar),
) {
    mark_reactor_thread();
    if let Some(hook) = &shared.hooks.thread {
        hook(Role::Reactor, true);
    }
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_all().on_thread_unpark(outdate).build();
    match runtime {
        Ok(runtime) => {
            let tasks = LocalSet::new();
            tasks.block_on(&runtime, async {
                let deadlines = Deadlines::new(shared.inboxes[index].coarse_now.clone(), true);
                let reactor = Reactor::new(index, shared.clone(), shared.inboxes[index].clone(), deadlines);
                if let Some(sockets) = sockets {
                    listener::accept(&reactor, sockets);
                    *lock(&accepting.0) = true;
                    accepting.1.notify_all();
                }
                reactor.run().await;
            });
        }
        Err(error) => {
            shared.log(LogLevel::Error, &format!("no runtime for a reactor: {error}"));
            *lock(&accepting.0) = true;
            accepting.1.notify_all();
            shared.drain(Duration::ZERO);
        }
    }
    if shared.population[index].swap(usize::MAX, Ordering::AcqRel) != usize::MAX
        && shared.population.iter().all(|population| population.load(Ordering::Acquire) == usize::MAX)
    {
        shared.reactors_ended();
    }
    if let Some(hook) = &shared.hooks.thread {
        hook(Role::Reactor, false);
    }
}

#[cfg(test)]
mod tests;
