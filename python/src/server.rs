//! `Server`: what the program describes, starts, watches and stops. What runs behind it is `running.rs`.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use bartizan::settings::Settings;
use bartizan::{
    Config, Dispatch, Hooks as CoreHooks, Listener as CoreListener, LogLevel, Queue, Server as CoreServer,
};
use pyo3::exceptions::{PyRuntimeError, PyTypeError, PyValueError};

use pyo3::intern;
use pyo3::prelude::*;
use pyo3::pyclass::{PyTraverseError, PyVisit};
use pyo3::types::{PyDict, PyInt, PyList, PyMappingProxy, PyString, PyTuple};

use crate::context::Context;
use crate::errors::{self, ConfigError, ServerClosed};
use crate::event_loop::Source;
use crate::inline::{Inline, keep_thread_state};
use crate::listener::{Listener, networks, read_bind};
use crate::records;
use crate::request::{aio, lock};
use crate::running::{self, Running};
use crate::service::{Hooks, Service};
use crate::settings::{self, Value};
use crate::threads;
use crate::tls::Tls;
use crate::workers;

/// A server: settings and handler first, then start, stop and wait.
#[pyclass(frozen, weakref, module = "bartizan")]
pub(crate) struct Server {
    plan: Mutex<Plan>,
    running: Mutex<Option<Arc<Running>>>,
}

struct Plan {
    settings: Settings,
    listeners: Vec<CoreListener>,
    handler: Option<Py<PyAny>>,
    inline: bool,
    hooks: Hooks,
    /// Told by the running server, and kept after its end.
    places: Vec<String>,
    urls: Vec<String>,
    started: bool,
}

#[pymethods]
impl Server {
    #[new]
    #[pyo3(signature = (bind = None, handler = None, *, mode = "workers", tls = None, trust_proxy = Vec::new(), **settings))]
    fn new(
        py: Python<'_>,
        bind: Option<&Bound<'_, PyAny>>,
        handler: Option<Py<PyAny>>,
        mode: &str,
        tls: Option<&Bound<'_, Tls>>,
        trust_proxy: Vec<String>,
        settings: Option<&Bound<'_, PyDict>>,
    ) -> PyResult<Self> {
        let mut faults = Vec::new();
        let mut own = Settings::default();
        settings::apply(settings, &mut faults, |key, value| {
            let set = match value {
                Value::Number(number) => own.set(key, number),
                Value::Text(text) => own.set_text(key, &text),
            };
            set.map_err(|error| error.faults().to_vec())
        })?;
        let inline = is_inline(mode).unwrap_or_else(|fault| {
            faults.push(fault);
            false
        });
        let trust_proxy = networks(&trust_proxy, &mut faults);
        let mut listeners = Vec::new();
        let default = PyString::new(py, "127.0.0.1:0").into_any();
        for bind in each_bind(bind.unwrap_or(&default))? {
            if let Ok(listener) = bind.cast::<Listener>() {
                listeners.push(listener.get().description().clone());
            } else if let Some(bind) = read_bind(&bind, &mut faults)? {
                let tls = tls.map(|tls| tls.get().description().clone());
                listeners
                    .push(CoreListener { trust_proxy: trust_proxy.clone(), ..CoreListener::new(bind, tls) });
            }
        }
        if !faults.is_empty() {
            return Err(errors::of_faults::<ConfigError>(py, &faults));
        }
        let plan = Plan {
            settings: own,
            listeners,
            handler,
            inline,
            hooks: Hooks::default(),
            places: Vec::new(),
            urls: Vec::new(),
            started: false,
        };
        Ok(Self { plan: Mutex::new(plan), running: Mutex::new(None) })
    }

    /// Sets the handler; a decorator, with or without a mode.
    #[pyo3(signature = (handler = None, /, *, mode = None))]
    fn on_request<'py>(
        slf: &Bound<'py, Self>,
        handler: Option<Bound<'py, PyAny>>,
        mode: Option<&str>,
    ) -> PyResult<Bound<'py, PyAny>> {
        let py = slf.py();
        let inline = mode
            .map(is_inline)
            .transpose()
            .map_err(|fault| errors::of_faults::<ConfigError>(py, &[fault]))?;
        let mut plan = slf.get().plan()?;
        if let Some(inline) = inline {
            plan.inline = inline;
        }
        match handler {
            Some(handler) => {
                plan.handler = Some(handler.clone().unbind());
                Ok(handler)
            }
            None => {
                drop(plan);
                slf.getattr(intern!(py, "on_request"))
            }
        }
    }

    /// Adds a hook for batches of connection events; a decorator.
    #[pyo3(signature = (hook, /))]
    fn on_connection<'py>(&self, hook: Bound<'py, PyAny>) -> PyResult<Bound<'py, PyAny>> {
        self.plan()?.hooks.connection.push(hook.clone().unbind());
        Ok(hook)
    }

    /// Adds a hook for batches of ended requests; a decorator.
    #[pyo3(signature = (hook, /))]
    fn on_request_end<'py>(&self, hook: Bound<'py, PyAny>) -> PyResult<Bound<'py, PyAny>> {
        self.plan()?.hooks.request_end.push(hook.clone().unbind());
        Ok(hook)
    }

    /// Binds every listener and starts the threads.
    fn start(&self, py: Python<'_>) -> PyResult<()> {
        self.launch(py, None).map(drop)
    }

    fn _start_on_loop(&self, py: Python<'_>) -> PyResult<Option<Py<Source>>> {
        self.launch(py, Some(running::thread_id(py)?))
    }

    /// Starts the drain; any thread, again with less means sooner.
    #[pyo3(signature = (grace = None))]
    fn stop(&self, grace: Option<&Bound<'_, PyAny>>) -> PyResult<()> {
        let grace = grace.map(read_grace).transpose()?;
        match self.running() {
            Some(running) if !running.has_ended() => running.stop(grace),
            _ => Ok(()),
        }
    }

    /// True when everything is closed and every callback has returned; False when `timeout` seconds passed before.
    #[pyo3(signature = (timeout = None))]
    fn wait(&self, py: Python<'_>, timeout: Option<f64>) -> PyResult<bool> {
        let timeout =
            timeout.map(|timeout| Duration::try_from_secs_f64(timeout.max(0.0)).unwrap_or(Duration::MAX));
        match self.running() {
            Some(running) if !running.has_ended() => running.wait(py, timeout),
            Some(_) => Ok(true),
            None => Err(ServerClosed::new_err("the server was not started")),
        }
    }

    /// Awaits the end.
    fn closed<'py>(slf: &Bound<'py, Self>) -> PyResult<Bound<'py, PyAny>> {
        aio(slf.py())?.call_method1(intern!(slf.py(), "closed"), (slf,))
    }

    /// Starts, and serves until a signal or `stop`.
    #[pyo3(signature = (*, install_signal_handlers = true))]
    fn run(slf: &Bound<'_, Self>, install_signal_handlers: bool) -> PyResult<()> {
        let run = slf.py().import("bartizan._run")?.getattr(intern!(slf.py(), "run"))?;
        run.call1((slf, install_signal_handlers)).map(drop)
    }

    /// Replaces identities and policy of a listener, for new handshakes only.
    #[pyo3(signature = (tls, listener = 0))]
    fn reload_tls(&self, py: Python<'_>, tls: &Bound<'_, Tls>, listener: u32) -> PyResult<()> {
        let running = self.alive()?;
        let (server, tls) = (running.server()?, tls.get().description());
        py.detach(|| server.update_tls(listener, tls)).map_err(|error| errors::of_core(py, &error))
    }

    /// One consistent snapshot of the numbers.
    fn stats<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        let running = self.known()?;
        let server = running.server()?;
        records::stats(py, &py.detach(|| server.snapshot()))
    }

    /// The numbers as OpenMetrics 1.0 text.
    fn metrics(&self, py: Python<'_>) -> PyResult<String> {
        let running = self.known()?;
        let server = running.server()?;
        Ok(py.detach(|| server.metrics_text()))
    }

    /// The settings in force, in their rows' units.
    #[getter]
    fn settings<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyMappingProxy>> {
        let values = match self.running() {
            Some(running) => settings::effective(py, running.server()?.settings())?,
            None => settings::effective(py, &lock(&self.plan).settings.effective())?,
        };
        Ok(PyMappingProxy::new(py, values.as_mapping()))
    }

    /// Where each listener listens.
    #[getter]
    fn addresses<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyTuple>> {
        self.known()?;
        PyTuple::new(py, &lock(&self.plan).places)
    }

    /// Where the first listener listens.
    #[getter]
    fn address(&self) -> PyResult<String> {
        self.known()?;
        Ok(lock(&self.plan).places.first().cloned().unwrap_or_default())
    }

    /// The first listener as a URL.
    #[getter]
    fn url(&self) -> PyResult<String> {
        self.known()?;
        Ok(lock(&self.plan).urls.first().cloned().unwrap_or_default())
    }

    /// Whether it was started and has not ended.
    #[getter]
    #[pyo3(name = "running")]
    fn is_running(&self) -> bool {
        self.running().is_some_and(|running| !running.has_ended())
    }

    fn __enter__<'py>(slf: Bound<'py, Self>) -> PyResult<Bound<'py, Self>> {
        slf.get().start(slf.py())?;
        Ok(slf)
    }

    #[pyo3(signature = (_kind, _value, _tb, /))]
    fn __exit__(
        slf: &Bound<'_, Self>,
        _kind: Option<&Bound<'_, PyAny>>,
        _value: Option<&Bound<'_, PyAny>>,
        _tb: Option<&Bound<'_, PyAny>>,
    ) -> PyResult<()> {
        let server = slf.get();
        server.stop(None)?;
        let waited = server.wait(slf.py(), None);
        if waited.is_err() {
            // Ctrl-C while it drains: at once, then.
            server.running().map(|running| running.stop(Some(Duration::ZERO))).transpose()?;
            server.wait(slf.py(), None)?;
        }
        waited.map(drop)
    }

    fn __aenter__<'py>(slf: &Bound<'py, Self>) -> PyResult<Bound<'py, PyAny>> {
        aio(slf.py())?.call_method1(intern!(slf.py(), "enter"), (slf,))
    }

    #[pyo3(signature = (_kind, _value, _tb, /))]
    fn __aexit__<'py>(
        slf: &Bound<'py, Self>,
        _kind: Option<&Bound<'_, PyAny>>,
        _value: Option<&Bound<'_, PyAny>>,
        _tb: Option<&Bound<'_, PyAny>>,
    ) -> PyResult<Bound<'py, PyAny>> {
        aio(slf.py())?.call_method1(intern!(slf.py(), "leave"), (slf,))
    }

    fn __traverse__(&self, visit: PyVisit<'_>) -> Result<(), PyTraverseError> {
        // Somebody who holds the lock is no garbage.
        let Ok(plan) = self.plan.try_lock() else { return Ok(()) };
        let hooks = plan.hooks.connection.iter().chain(&plan.hooks.request_end);
        plan.handler.iter().chain(hooks).try_for_each(|object| visit.call(object))
    }

    fn __clear__(&self) {
        let (handler, hooks) = {
            let mut plan = lock(&self.plan);
            (plan.handler.take(), std::mem::take(&mut plan.hooks))
        };
        drop((handler, hooks));
    }

    fn __repr__(&self) -> String {
        let places = lock(&self.plan).places.join(" ");
        format!("<Server {}{places}>", if self.is_running() { "running " } else { "" })
    }
}

impl Server {
    fn running(&self) -> Option<Arc<Running>> {
        lock(&self.running).clone()
    }

    /// The server, running or ended.
    fn known(&self) -> PyResult<Arc<Running>> {
        self.running().ok_or_else(|| ServerClosed::new_err("the server was not started"))
    }

    fn alive(&self) -> PyResult<Arc<Running>> {
        match self.known()? {
            running if running.has_ended() => Err(ServerClosed::new_err("the server has stopped")),
            running => Ok(running),
        }
    }

    /// The plan, while it may change.
    fn plan(&self) -> PyResult<std::sync::MutexGuard<'_, Plan>> {
        let plan = lock(&self.plan);
        if plan.started { Err(PyRuntimeError::new_err("the server was started already")) } else { Ok(plan) }
    }

    fn launch(&self, py: Python<'_>, loop_thread: Option<u64>) -> PyResult<Option<Py<Source>>> {
        let (settings, listeners, handler, inline, hooks) = {
            let plan = self.plan()?;
            let Some(handler) = &plan.handler else {
                return Err(errors::of_faults::<ConfigError>(py, &["handler: none was given".to_owned()]));
            };
            let copy = |hooks: &[Py<PyAny>]| hooks.iter().map(|hook| hook.clone_ref(py)).collect();
            let hooks = Hooks {
                connection: copy(&plan.hooks.connection),
                request_end: copy(&plan.hooks.request_end),
            };
            (plan.settings.clone(), plan.listeners.clone(), handler.clone_ref(py), plan.inline, hooks)
        };
        let is_async = aio(py)?.call_method1(intern!(py, "is_async"), (&handler,))?.is_truthy()?;
        if is_async && (loop_thread.is_none() || inline) {
            return Err(PyRuntimeError::new_err(
                "an async handler runs on the loop of `async with server`, and in no other mode",
            ));
        }
        let service = Service::new();
        let context = Context::new(py, handler, service.clone())?;
        let queue = Queue::for_requests()?;
        let dispatch = if inline {
            Dispatch::Inline(Arc::new(Inline(Arc::downgrade(&context))))
        } else {
            Dispatch::Queues(vec![queue.clone()])
        };
        let config =
            Config { settings, listeners, dispatch, hooks: core_hooks(py, &service, &hooks, inline)? };
        let source = if is_async {
            Some(Py::new(py, Source::new(queue.clone(), context.clone()))?)
        } else {
            let bell = Arc::downgrade(&service);
            service.waiters.set_route(Arc::new(move |number| {
                if let Some(service) = bell.upgrade() {
                    service.settle(number);
                }
            }));
            None
        };
        // Detached: an inline server's reactors attach as they start.
        let server = py.detach(|| CoreServer::start(&config)).map_err(|error| errors::of_core(py, &error))?;
        let mut threads = Vec::new();
        if !inline && !is_async {
            let workers = server.settings().get("worker_threads").unwrap_or(1).max(1);
            threads = workers::start(py, workers.unsigned_abs() as usize, &queue, &context)?;
        }
        let telling = service.clone();
        threads.push(threads::start(py, "bartizan-service", move |py| telling.run(py, &hooks))?);
        {
            let mut plan = lock(&self.plan);
            plan.started = true;
            plan.places = (0..server.listeners()).filter_map(|index| server.address(index)).collect();
            plan.urls = plan
                .places
                .iter()
                .zip(0..)
                .map(|(place, index)| url(place, server.is_secure(index)))
                .collect();
        }
        let loop_thread = loop_thread.filter(|_| is_async);
        *lock(&self.running) = Some(Running::new(server, service, context, threads, loop_thread));
        Ok(source)
    }
}

/// What the core is to tell: nothing that nobody asked for.
fn core_hooks(py: Python<'_>, service: &Arc<Service>, hooks: &Hooks, inline: bool) -> PyResult<CoreHooks> {
    let mut core = CoreHooks::default();
    if !hooks.connection.is_empty() {
        let service = service.clone();
        core.connection = Some(Arc::new(move |record| service.connection(record)));
    }
    if !hooks.request_end.is_empty() {
        let service = service.clone();
        core.request_end = Some(Arc::new(move |record| service.request_end(record)));
    }
    let service = service.clone();
    core.log = Some((log_level(py)?, Arc::new(move |record| service.log(record))));
    if inline {
        core.thread = Some(Arc::new(keep_thread_state));
    }
    Ok(core)
}

/// The level of the logger `bartizan` as the server starts: what it would drop is not even made.
fn log_level(py: Python<'_>) -> PyResult<LogLevel> {
    let logger = py.import(intern!(py, "logging"))?.call_method1(intern!(py, "getLogger"), ("bartizan",))?;
    let level: i64 = logger.call_method0(intern!(py, "getEffectiveLevel"))?.extract()?;
    Ok(match level {
        ..=10 => LogLevel::Debug,
        11..=20 => LogLevel::Info,
        21..=30 => LogLevel::Warn,
        _ => LogLevel::Error,
    })
}

fn is_inline(mode: &str) -> Result<bool, String> {
    match mode {
        "workers" => Ok(false),
        "inline" => Ok(true),
        other => Err(format!("mode = {other:?} is none of \"workers\", \"inline\"")),
    }
}

fn each_bind<'py>(bind: &Bound<'py, PyAny>) -> PyResult<Vec<Bound<'py, PyAny>>> {
    if bind.is_instance_of::<PyString>()
        || bind.is_instance_of::<PyInt>()
        || bind.is_instance_of::<Listener>()
    {
        return Ok(vec![bind.clone()]);
    }
    if bind.is_instance_of::<PyList>()
        || bind.is_instance_of::<PyTuple>()
        || bind.hasattr(intern!(bind.py(), "__iter__"))?
    {
        return bind.try_iter()?.collect();
    }
    Err(PyTypeError::new_err(
        "bind is \"host:port\", \"unix:/path\", a descriptor, a Listener or a list of these",
    ))
}

fn read_grace(grace: &Bound<'_, PyAny>) -> PyResult<Duration> {
    if let Ok(text) = grace.cast::<PyString>() {
        let mut settings = Settings::default();
        settings
            .set_text("drain_timeout", text.to_str()?)
            .map_err(|error| errors::of_core(grace.py(), &error))?;
        return Ok(settings.drain_timeout);
    }
    match settings::seconds(grace)?.and_then(|seconds| Duration::try_from_secs_f64(seconds).ok()) {
        Some(grace) => Ok(grace),
        None => Err(PyValueError::new_err(format!("grace = {} is no duration", grace.repr()?))),
    }
}

/// What a client on this machine would connect to.
fn url(place: &str, secure: bool) -> String {
    if place.starts_with("unix:") {
        return place.to_owned();
    }
    let scheme = if secure { "https" } else { "http" };
    let place = match (place.strip_prefix("0.0.0.0:"), place.strip_prefix("[::]:")) {
        (Some(port), _) => format!("127.0.0.1:{port}"),
        (_, Some(port)) => format!("[::1]:{port}"),
        _ => place.to_owned(),
    };
    format!("{scheme}://{place}")
}
