//! `Server`: what the program describes, starts, watches and stops. The description is `plan.rs`, the start `launch.rs`, and what
//! runs behind it `running.rs`.

use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use bartizan::settings::Settings;
use pyo3::exceptions::{PyRuntimeError, PyTypeError};
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::pyclass::{PyTraverseError, PyVisit};
use pyo3::types::{PyDict, PyMappingProxy, PyString, PyTuple};

use crate::errors::{self, ConfigError, ServerClosed};
use crate::event_loop::Source;
use crate::launch;
use crate::plan::{Plan, is_inline};
use crate::records;
use crate::request::{aio, lock};
use crate::running::{self, Running};
use crate::settings;
use crate::tls::Tls;

/// A server: settings and handler first, then start, stop and wait.
#[pyclass(frozen, weakref, module = "bartizan")]
pub(crate) struct Server {
    state: Mutex<State>,
    running: Mutex<Option<Arc<Running>>>,
}

/// What the program has said, and what the start has found.
struct State {
    plan: Plan,
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
        handler.as_ref().map_or(Ok(()), |handler| callable("handler", handler.bind(py)))?;
        let plan = Plan::read(py, bind, handler, mode, tls, &trust_proxy, settings)?;
        let state = State { plan, places: Vec::new(), urls: Vec::new(), started: false };
        Ok(Self { state: Mutex::new(state), running: Mutex::new(None) })
    }

    /// Sets the handler; a decorator, with or without a mode.
    #[pyo3(signature = (handler = None, /, *, mode = None))]
    fn on_request<'py>(
        slf: &Bound<'py, Self>,
        handler: Option<Bound<'py, PyAny>>,
        mode: Option<&str>,
    ) -> PyResult<Bound<'py, PyAny>> {
        let py = slf.py();
        handler.as_ref().map_or(Ok(()), |handler| callable("handler", handler))?;
        let inline = mode
            .map(is_inline)
            .transpose()
            .map_err(|fault| errors::of_faults::<ConfigError>(py, &[fault]))?;
        let mut state = slf.get().open()?;
        if let Some(inline) = inline {
            state.plan.inline = inline;
        }
        let Some(handler) = handler else {
            drop(state);
            return slf.getattr(intern!(py, "on_request"));
        };
        let before = state.plan.handler.replace(handler.clone().unbind());
        drop(state);
        drop(before);
        Ok(handler)
    }

    /// Adds a hook for batches of connection events; a decorator.
    #[pyo3(signature = (hook, /))]
    fn on_connection<'py>(&self, hook: Bound<'py, PyAny>) -> PyResult<Bound<'py, PyAny>> {
        callable("hook", &hook)?;
        self.open()?.plan.hooks.connection.push(hook.clone().unbind());
        Ok(hook)
    }

    /// Adds a hook for batches of ended requests; a decorator.
    #[pyo3(signature = (hook, /))]
    fn on_request_end<'py>(&self, hook: Bound<'py, PyAny>) -> PyResult<Bound<'py, PyAny>> {
        callable("hook", &hook)?;
        self.open()?.plan.hooks.request_end.push(hook.clone().unbind());
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
        let py = slf.py();
        let handler = lock(&slf.get().state).plan.handler.as_ref().map(|handler| handler.clone_ref(py));
        let on_loop = aio(py)?.call_method1(intern!(py, "is_async"), (handler,))?.is_truthy()?;
        let name = if on_loop { intern!(py, "run_on_loop") } else { intern!(py, "run") };
        py.import("bartizan._run")?.call_method1(name, (slf, install_signal_handlers)).map(drop)
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
            None => settings::effective(py, &lock(&self.state).plan.settings.effective())?,
        };
        Ok(PyMappingProxy::new(py, values.as_mapping()))
    }

    /// Where each listener listens.
    #[getter]
    fn addresses<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyTuple>> {
        self.known()?;
        PyTuple::new(py, &lock(&self.state).places)
    }

    /// Where the first listener listens.
    #[getter]
    fn address(&self) -> PyResult<String> {
        self.known()?;
        Ok(lock(&self.state).places.first().cloned().unwrap_or_default())
    }

    /// The first listener as a URL.
    #[getter]
    fn url(&self) -> PyResult<String> {
        self.known()?;
        Ok(lock(&self.state).urls.first().cloned().unwrap_or_default())
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
        let Ok(state) = self.state.try_lock() else { return Ok(()) };
        let plan = &state.plan;
        let hooks = plan.hooks.connection.iter().chain(&plan.hooks.request_end);
        plan.handler.iter().chain(hooks).try_for_each(|object| visit.call(object))
    }

    fn __clear__(&self) {
        let (handler, hooks) = {
            let plan = &mut lock(&self.state).plan;
            (plan.handler.take(), std::mem::take(&mut plan.hooks))
        };
        drop((handler, hooks));
    }

    fn __repr__(&self) -> String {
        let places = lock(&self.state).places.join(" ");
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

    /// The state, while the plan may change.
    fn open(&self) -> PyResult<MutexGuard<'_, State>> {
        let state = lock(&self.state);
        if state.started { Err(PyRuntimeError::new_err("the server was started already")) } else { Ok(state) }
    }

    fn launch(&self, py: Python<'_>, loop_thread: Option<u64>) -> PyResult<Option<Py<Source>>> {
        let plan = {
            let mut state = self.open()?;
            // From here on: a second start at the same moment is refused.
            state.started = true;
            state.plan.copy(py)
        };
        let launched = launch::launch(py, plan, loop_thread);
        let mut state = lock(&self.state);
        state.started = launched.is_ok();
        let launched = launched?;
        (state.places, state.urls) = (launched.places, launched.urls);
        drop(state);
        *lock(&self.running) = Some(launched.running);
        Ok(launched.source)
    }
}

/// What cannot be called is refused where it is given, not by the first request.
pub(crate) fn callable(what: &str, object: &Bound<'_, PyAny>) -> PyResult<()> {
    if object.is_callable() {
        return Ok(());
    }
    Err(PyTypeError::new_err(format!("{what} = {} is not callable", object.repr()?)))
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
        None => {
            let fault = format!("grace = {} is no duration", grace.repr()?);
            Err(errors::of_faults::<ConfigError>(grace.py(), &[fault]))
        }
    }
}
