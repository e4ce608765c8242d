//! The probe: a small server that shows everything the library does, for black-box checks. Here: start, signals, reload, stop.
//! Its options are `probe/options.rs`, its routes `probe/routes.rs` and `probe/steps.rs`, its events `probe/journal.rs`.

#[path = "probe/configure.rs"]
mod configure;
#[path = "probe/flow.rs"]
mod flow;
#[path = "probe/journal.rs"]
mod journal;
#[path = "probe/options.rs"]
mod options;
#[path = "probe/report.rs"]
mod report;
#[path = "probe/routes.rs"]
mod routes;
#[path = "probe/steps.rs"]
mod steps;

use std::future::pending;
use std::process::ExitCode;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex, OnceLock, Weak};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use bartizan::{Config, Dispatch, Event, Hooks, Listener, LogLevel, Next, Queue, Request, Server};
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::iterator::Signals;

use flow::Flows;
use journal::{Events, Log};
use options::{Asked, Mode, Options};

/// Events of one call of a consumer: enough that a burst costs one wake-up, few enough to leave the rest to another.
const BATCH: usize = 64;

/// Most that a forced stop waits for the last events.
const STOP: Duration = Duration::from_secs(2);

/// Exit code of a forced stop: 128 + SIGINT, as shells count.
const FORCED: u8 = 130;

/// What every part of the probe shares.
pub(crate) struct Probe {
    mode: Mode,
    events: Option<Arc<Events>>,
    timer: tokio::runtime::Handle,
    flows: Flows,
    /// What the second answer of the last `/double` gave.
    second: Mutex<Option<&'static str>>,
    /// Weak: the server holds the handlers, which hold this.
    server: OnceLock<Weak<Server>>,
}

impl Probe {
    fn server(&self) -> Option<Arc<Server>> {
        self.server.get()?.upgrade()
    }
}

/// What the main thread waits for.
enum Happened {
    Signal(i32),
    /// Every connection is closed and every thread of the library gone.
    Ended,
}

fn main() -> ExitCode {
    match start_and_serve() {
        Ok(code) => code,
        Err(why) => {
            eprintln!("probe: {}", one_line(&why));
            ExitCode::from(2)
        }
    }
}

fn one_line(text: &str) -> String {
    text.replace(['\n', '\r'], " ")
}

fn start_and_serve() -> Result<ExitCode, String> {
    let options = match options::parse(std::env::args().skip(1))? {
        Asked::Run(options) => options,
        Asked::Help => {
            print!("{}", options::USAGE);
            return Ok(ExitCode::SUCCESS);
        }
    };
    let settings = configure::settings(&options.settings)?;
    let listeners = options.listeners.iter().map(configure::listener).collect::<Result<_, _>>()?;
    if options.print_settings {
        println!("{}", configure::printed(&settings));
        return Ok(ExitCode::SUCCESS);
    }
    let timer = timer().map_err(|error| format!("cannot start the timer: {error}"))?;
    let events =
        options.events.as_deref().map(|path| told(path, Events::create(path))).transpose()?.map(Arc::new);
    let log = options.log.as_deref().map(|path| told(path, Log::create(path))).transpose()?;
    let probe = Arc::new(Probe {
        mode: options.mode,
        events,
        timer,
        flows: Flows::default(),
        second: Mutex::default(),
        server: OnceLock::new(),
    });

    let (sender, happened) = channel();
    take_signals(sender.clone()).map_err(|error| format!("cannot take signals: {error}"))?;
    let (dispatch, queues) = dispatch(&probe, &options)?;
    let config = Config { settings, listeners, dispatch, hooks: hooks(&probe, log) };
    let server = Arc::new(Server::start(&config).map_err(|error| error.to_string())?);
    // Set once, here.
    let _ = probe.server.set(Arc::downgrade(&server));
    drop(config);
    let consumers = consume(&probe, &queues, options.consumers.max(1));
    let admin = options.admin.as_deref().map(|address| start_admin(&probe, address)).transpose()?;
    for listener in 0..server.listeners() {
        println!("listening {}", url(&server, listener));
    }
    if let Some(admin) = &admin {
        println!("listening {}", url(admin, 0));
    }
    println!("ready");

    await_stop(&happened, &server, &options);
    if let Some(events) = &probe.events {
        events.draining();
    }
    let code = drain(&happened, sender, &server);
    for consumer in consumers {
        let _ = consumer.join();
    }
    if let Some(admin) = admin {
        admin.shutdown(Some(Duration::ZERO));
        let _ = admin.wait(Some(STOP));
    }
    Ok(code)
}

/// Where whatever waits does so: the callbacks' threads are the library's.
fn timer() -> std::io::Result<tokio::runtime::Handle> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build()?;
    let handle = runtime.handle().clone();
    thread::Builder::new().name("timer".to_owned()).spawn(move || runtime.block_on(pending::<()>()))?;
    Ok(handle)
}

fn told<T>(what: &str, result: std::io::Result<T>) -> Result<T, String> {
    result.map_err(|error| format!("{what}: {error}"))
}

fn url(server: &Server, listener: u32) -> String {
    let address = server.address(listener).unwrap_or_default();
    match server.is_secure(listener) {
        _ if address.starts_with("unix:") => address,
        true => format!("https://{address}"),
        false => format!("http://{address}"),
    }
}

/// Signals reach the main thread as messages: its handlers do nothing else, whatever the process was started with.
fn take_signals(sender: Sender<Happened>) -> std::io::Result<()> {
    let mut signals = Signals::new([SIGINT, SIGTERM, SIGHUP])?;
    thread::Builder::new().name("signals".to_owned()).spawn(move || {
        for signal in signals.forever() {
            if sender.send(Happened::Signal(signal)).is_err() {
                return;
            }
        }
    })?;
    Ok(())
}

fn dispatch(probe: &Arc<Probe>, options: &Options) -> Result<(Dispatch, Vec<Arc<Queue>>), String> {
    let probe = probe.clone();
    Ok(match options.mode {
        Mode::Inline => (
            Dispatch::Inline(Arc::new(move |request: Request| routes::route(&probe, request, false))),
            Vec::new(),
        ),
        Mode::Workers => (
            Dispatch::Workers(Arc::new(move |request: Request| routes::route(&probe, request, true))),
            Vec::new(),
        ),
        Mode::Queue => {
            let queues = (0..options.queues.max(1)).map(|_| Queue::new()).collect::<Result<Vec<_>, _>>();
            let queues = told("cannot make a queue", queues)?;
            (Dispatch::Queues(queues.clone()), queues)
        }
    })
}

/// Records go to callbacks in every mode: two consumers of a queue would write them out of order.
fn hooks(probe: &Arc<Probe>, log: Option<Log>) -> Hooks {
    let mut hooks = Hooks::default();
    if let Some(events) = &probe.events {
        let (connections, requests) = (events.clone(), events.clone());
        hooks.connection = Some(Arc::new(move |record| connections.connection(record)));
        hooks.request_end = Some(Arc::new(move |record| requests.request_end(record)));
    }
    if let Some(log) = log {
        hooks.log = Some((LogLevel::Debug, Arc::new(move |record| log.write(record))));
    }
    hooks
}

fn consume(probe: &Arc<Probe>, queues: &[Arc<Queue>], consumers: usize) -> Vec<JoinHandle<()>> {
    let each = queues.iter().flat_map(|queue| (0..consumers).map(move |_| queue.clone()));
    each.map(|queue| {
        let probe = probe.clone();
        thread::spawn(move || {
            let mut events = Vec::with_capacity(BATCH);
            while queue.next(&mut events, BATCH, None) != Next::Closed {
                events.drain(..).for_each(|event| take(&probe, event));
            }
        })
    })
    .collect()
}

fn take(probe: &Arc<Probe>, event: Event) {
    match event {
        Event::Request(request) => routes::route(probe, request, false),
        Event::Ready(exchange, _) => probe.flows.of(&exchange).iter().for_each(|flow| flow.post(false)),
        Event::Cancelled(exchange, reason) => {
            probe.flows.of(&exchange).iter().for_each(|flow| flow.cancel(reason));
        }
        Event::Done(done) => {
            done.exchange.iter().flat_map(|exchange| probe.flows.of(exchange)).for_each(|flow| flow.over());
        }
        _ => {}
    }
}

/// A server of its own: what it serves is neither counted nor slowed by what the other one suffers.
fn start_admin(probe: &Arc<Probe>, address: &str) -> Result<Server, String> {
    let probe = probe.clone();
    let handler = move |request: Request| routes::route_admin(&probe, request);
    let bind = address.parse().map_err(|error: bartizan::Error| error.to_string())?;
    let mut config = Config::new(vec![Listener::new(bind, None)], Dispatch::Inline(Arc::new(handler)));
    config.settings.io_threads = 1.into();
    Server::start(&config).map_err(|error| error.to_string())
}

/// Everything is read and checked before anything is replaced.
fn reload(server: &Server, options: &Options) -> Result<(), String> {
    let fresh = options.listeners.iter().map(configure::tls).collect::<Result<Vec<_>, _>>()?;
    for (listener, tls) in fresh.iter().enumerate() {
        if let Some(tls) = tls {
            server.update_tls(listener as u32, tls).map_err(|error| error.to_string())?;
        }
    }
    Ok(())
}

fn await_stop(happened: &Receiver<Happened>, server: &Server, options: &Options) {
    while let Ok(Happened::Signal(SIGHUP)) = happened.recv() {
        match reload(server, options) {
            Ok(()) => println!("reloaded"),
            Err(why) => println!("reload failed: {}", one_line(&why)),
        }
    }
}

/// 0 when everything ended by itself, [`FORCED`] after a second signal.
fn drain(happened: &Receiver<Happened>, sender: Sender<Happened>, server: &Arc<Server>) -> ExitCode {
    let waiting = server.clone();
    thread::spawn(move || {
        let _ = waiting.wait(None);
        let _ = sender.send(Happened::Ended);
    });
    server.shutdown(None);
    while let Ok(Happened::Signal(signal)) = happened.recv() {
        if signal == SIGHUP {
            continue;
        }
        server.shutdown(Some(Duration::ZERO));
        if server.wait(Some(STOP)) != Ok(true) {
            // A handler that does not return cannot be ended; the process can.
            std::process::exit(FORCED.into());
        }
        return ExitCode::from(FORCED);
    }
    ExitCode::SUCCESS
}
