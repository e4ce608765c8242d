//! A started server: the core's server with the threads that serve it in Python, from start to the last join. It outlives the
//! `Server` object if that is dropped while it runs, so that the exit hook can end it in good order.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bartizan::Server as CoreServer;
use pyo3::exceptions::PyRuntimeError;
use pyo3::intern;
use pyo3::prelude::*;

use crate::context::Context;
use crate::errors::{self, ServerClosed};
use crate::inline;
use crate::request::lock;
use crate::service::Service;
use crate::threads::{self, Inside};

/// How long a wait stays detached before it looks for signals: Ctrl-C must work, and only the main thread runs handlers.
const SIGNALS: Duration = Duration::from_millis(50);

/// Servers that run, or whose threads were not joined yet.
static ALL: Mutex<Vec<Arc<Running>>> = Mutex::new(Vec::new());

pub(crate) struct Running {
    server: Option<CoreServer>,
    service: Arc<Service>,
    /// What the handler runs in; let go at the end, so that nothing of the program's lives on with the numbers.
    context: Mutex<Option<Arc<Context>>>,
    /// Worker threads, then the service thread.
    threads: Mutex<Vec<Py<PyAny>>>,
    /// In whose event loop handlers run: that thread cannot wait for them.
    loop_thread: Option<u64>,
    ended: AtomicBool,
    process: u32,
}

impl Running {
    pub(crate) fn new(
        server: CoreServer,
        service: Arc<Service>,
        context: Arc<Context>,
        threads: Vec<Py<PyAny>>,
        loop_thread: Option<u64>,
    ) -> Arc<Self> {
        let running = Arc::new(Self {
            server: Some(server),
            service,
            context: Mutex::new(Some(context)),
            threads: Mutex::new(threads),
            loop_thread,
            ended: AtomicBool::new(false),
            process: std::process::id(),
        });
        lock(&ALL).push(running.clone());
        running
    }

    /// The core's server; not in a child of the process that started it.
    pub(crate) fn server(&self) -> PyResult<&CoreServer> {
        match &self.server {
            Some(server) if self.process == std::process::id() => Ok(server),
            _ => Err(PyRuntimeError::new_err(
                "this server belongs to the parent process: start one after the fork",
            )),
        }
    }

    pub(crate) fn has_ended(&self) -> bool {
        self.ended.load(Ordering::Acquire)
    }

    /// Starts the drain, or hastens it.
    pub(crate) fn stop(&self, grace: Option<Duration>) -> PyResult<()> {
        self.server()?.shutdown(grace);
        Ok(())
    }

    /// Waits for the end of everything: connections, handlers, hooks, threads. `false` = the time is over.
    pub(crate) fn wait(&self, py: Python<'_>, timeout: Option<Duration>) -> PyResult<bool> {
        if threads::is_ours() {
            return Err(PyRuntimeError::new_err(
                "a handler or hook cannot wait for the server that calls it",
            ));
        }
        let server = self.server()?;
        let _inside = Inside::enter();
        if self.loop_thread == Some(thread_id(py)?) && !self.has_ended() {
            return Err(PyRuntimeError::new_err(
                "this thread runs the handlers: await server.closed() instead",
            ));
        }
        #[expect(
            clippy::disallowed_types,
            reason = "the caller's own patience, which no phase and no test's clock knows"
        )]
        let started = std::time::Instant::now();
        let left =
            || timeout.map_or(SIGNALS, |timeout| timeout.saturating_sub(started.elapsed()).min(SIGNALS));
        while !py.detach(|| server.wait(Some(left()))).map_err(|error| errors::of_request(py, error))? {
            py.check_signals()?;
            self.may_wait()?;
            if left().is_zero() {
                return Ok(false);
            }
        }
        self.join(py, timeout, || left().is_zero())
    }

    /// Nobody waits on when the interpreter ends; for its own last look at us that is over again.
    fn may_wait(&self) -> PyResult<()> {
        if threads::are_leaving() && !self.has_ended() {
            return Err(ServerClosed::new_err("the interpreter ends"));
        }
        Ok(())
    }

    /// Joins workers, then lets the service thread tell what is left and end.
    fn join(&self, py: Python<'_>, timeout: Option<Duration>, is_over: impl Fn() -> bool) -> PyResult<bool> {
        let handles: Vec<_> = lock(&self.threads).iter().map(|thread| thread.clone_ref(py)).collect();
        for (index, thread) in handles.iter().enumerate() {
            if index + 1 == handles.len() {
                self.service.close();
            }
            let thread = thread.bind(py);
            while thread.call_method0(intern!(py, "is_alive"))?.is_truthy()? {
                thread.call_method1(intern!(py, "join"), (SIGNALS.as_secs_f64(),))?;
                py.check_signals()?;
                self.may_wait()?;
                if timeout.is_some()
                    && is_over()
                    && thread.call_method0(intern!(py, "is_alive"))?.is_truthy()?
                {
                    return Ok(false);
                }
            }
        }
        lock(&self.threads).clear();
        let context = lock(&self.context).take();
        drop(context);
        self.ended.store(true, Ordering::Release);
        lock(&ALL).retain(|running| !std::ptr::eq(&**running, self));
        Ok(true)
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if self.process != std::process::id() {
            // Its sockets and threads are the parent's: closing or waking them here would reach there.
            std::mem::forget(self.server.take());
        }
    }
}

/// As `threading.get_ident`.
pub(crate) fn thread_id(py: Python<'_>) -> PyResult<u64> {
    py.import(intern!(py, "threading"))?.call_method0(intern!(py, "get_ident"))?.extract()
}

/// At interpreter exit: ends every server that still runs and waits for its threads, detached.
#[pyfunction]
pub(crate) fn stop_all(py: Python<'_>) {
    let all: Vec<_> = lock(&ALL).clone();
    for running in &all {
        if running.process == std::process::id() {
            let _ = running.stop(Some(Duration::ZERO));
        }
    }
    for running in all {
        if running.process != std::process::id() {
            continue;
        }
        if let Err(error) = running.end_at_exit(py) {
            error.write_unraisable(py, None);
        }
    }
    threads::let_out(py);
}

impl Running {
    /// A handler or hook that never returns must not keep the process, and must not run into its end either.
    fn end_at_exit(&self, py: Python<'_>) -> PyResult<()> {
        const PATIENCE: Duration = Duration::from_secs(2);
        const INTERRUPTS: usize = 20;
        let mut ended = self.wait_at_exit(py, PATIENCE)?;
        for _ in 0..INTERRUPTS {
            if ended {
                break;
            }
            let handles: Vec<_> = lock(&self.threads).iter().map(|thread| thread.clone_ref(py)).collect();
            for thread in handles {
                if let Some(ident) = thread.bind(py).getattr(intern!(py, "ident"))?.extract()? {
                    threads::interrupt(py, ident);
                }
            }
            inline::reactors().into_iter().for_each(|ident| threads::interrupt(py, ident));
            ended = self.wait_at_exit(py, SIGNALS)?;
        }
        Ok(())
    }

    fn wait_at_exit(&self, py: Python<'_>, patience: Duration) -> PyResult<bool> {
        let server = self.server()?;
        let ended =
            py.detach(|| server.wait(Some(patience))).map_err(|error| errors::of_request(py, error))?;
        if ended {
            #[expect(clippy::disallowed_types, reason = "the exit's own patience, which no phase knows")]
            let started = std::time::Instant::now();
            return self.join(py, Some(patience), || started.elapsed() >= patience);
        }
        Ok(false)
    }
}
