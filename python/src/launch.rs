//! From a plan to a running server: the core's server, and the threads or the loop source that serve it in Python.

use std::sync::Arc;

use bartizan::{Config, Dispatch, Hooks as CoreHooks, LogLevel, Queue, Server as CoreServer};
use pyo3::exceptions::PyRuntimeError;
use pyo3::intern;
use pyo3::prelude::*;

use crate::context::{Context, logger};
use crate::errors::{self, ConfigError};
use crate::event_loop::Source;
use crate::inline::{Inline, keep_thread_state};
use crate::plan::Plan;
use crate::request::aio;
use crate::running::Running;
use crate::service::{Hooks, Service};
use crate::threads;
use crate::workers;

/// What a start has made.
pub(crate) struct Launched {
    pub(crate) running: Arc<Running>,
    /// For an async handler: what its loop drains.
    pub(crate) source: Option<Py<Source>>,
    pub(crate) places: Vec<String>,
    pub(crate) urls: Vec<String>,
}

/// Starts what the plan says; `loop_thread` is the thread of a running event loop, if it is started on one.
pub(crate) fn launch(py: Python<'_>, plan: Plan, loop_thread: Option<u64>) -> PyResult<Launched> {
    let Plan { settings, listeners, handler, inline, hooks } = plan;
    let Some(handler) = handler else {
        return Err(errors::of_faults::<ConfigError>(py, &["handler: none was given".to_owned()]));
    };
    let is_async = aio(py)?.call_method1(intern!(py, "is_async"), (&handler,))?.is_truthy()?;
    if is_async && (loop_thread.is_none() || inline) {
        return Err(PyRuntimeError::new_err(
            "an async handler runs on the loop of `async with server` or `server.run`, and in no other mode",
        ));
    }
    // Asked once: a server that nobody listens to makes no records.
    let access = level_of(py, "bartizan.access")? <= INFO;
    let service = Service::new(access);
    let context = Context::new(py, handler, service.clone())?;
    let queue = Queue::for_requests()?;
    let dispatch = if inline {
        Dispatch::Inline(Arc::new(Inline(Arc::downgrade(&context))))
    } else {
        Dispatch::Queues(vec![queue.clone()])
    };
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
    let config =
        Config { settings, listeners, dispatch, hooks: core_hooks(py, &service, &hooks, access, inline)? };
    // Detached: an inline server's reactors attach as they start.
    let server = py.detach(|| CoreServer::start(&config)).map_err(|error| errors::of_core(py, &error))?;
    let mut threads = Vec::new();
    if !inline && !is_async {
        let workers = server.settings().get("worker_threads").unwrap_or(1).max(1);
        threads = workers::start(py, workers.unsigned_abs() as usize, &queue, &context)?;
    }
    let telling = service.clone();
    threads.push(threads::start(py, "bartizan-service", move |py| telling.run(py, &hooks))?);
    let places: Vec<_> = (0..server.listeners()).filter_map(|index| server.address(index)).collect();
    let urls = places.iter().zip(0..).map(|(place, index)| url(place, server.is_secure(index))).collect();
    let loop_thread = loop_thread.filter(|_| is_async);
    Ok(Launched {
        running: Running::new(server, service, context, threads, loop_thread),
        source,
        places,
        urls,
    })
}

/// What the core is to tell: nothing that nobody asked for.
fn core_hooks(
    py: Python<'_>,
    service: &Arc<Service>,
    hooks: &Hooks,
    access: bool,
    inline: bool,
) -> PyResult<CoreHooks> {
    let mut core = CoreHooks::default();
    if !hooks.connection.is_empty() {
        let service = service.clone();
        core.connection = Some(Arc::new(move |record| service.connection(record)));
    }
    if !hooks.request_end.is_empty() || access {
        let service = service.clone();
        core.request_end = Some(Arc::new(move |record| service.request_end(record)));
    }
    let losing = service.clone();
    core.lost = Some(Arc::new(move || losing.lost()));
    let service = service.clone();
    core.log = Some((log_level(py)?, Arc::new(move |record| service.log(record))));
    if inline {
        core.thread = Some(Arc::new(keep_thread_state));
    }
    Ok(core)
}

/// `logging.INFO`.
const INFO: i64 = 20;

/// The level of the loggers as the server starts: what they would drop is not even made.
fn log_level(py: Python<'_>) -> PyResult<LogLevel> {
    let level = level_of(py, "bartizan")?.min(level_of(py, "bartizan.tls")?);
    Ok(match level {
        ..=10 => LogLevel::Debug,
        11..=INFO => LogLevel::Info,
        21..=30 => LogLevel::Warn,
        _ => LogLevel::Error,
    })
}

fn level_of(py: Python<'_>, name: &str) -> PyResult<i64> {
    logger(py, name)?.call_method0(intern!(py, "getEffectiveLevel"))?.extract()
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
