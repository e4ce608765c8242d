//! Threads that run Python for a server: `threading.Thread`s, so that debuggers, tracing and thread-local data work as anywhere,
//! and so that each keeps its thread state for life. Reactors, which are the core's, are marked in `inline.rs`.

use std::cell::Cell;
use std::sync::Mutex;

use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::{PyCFunction, PyDict, PyTuple};

use crate::request::lock;

thread_local! {
    static OURS: Cell<bool> = const { Cell::new(false) };
}

/// Whether the calling thread runs a server's Python: it cannot wait for itself to end.
pub(crate) fn is_ours() -> bool {
    OURS.get() || bartizan::is_library_thread()
}

/// Starts a thread. Daemonic, since our own exit hook ends it in good order, with the interpreter detached.
pub(crate) fn start(
    py: Python<'_>,
    name: &str,
    body: impl FnOnce(Python<'_>) + Send + 'static,
) -> PyResult<Py<PyAny>> {
    let body = Mutex::new(Some(body));
    let target = PyCFunction::new_closure(
        py,
        None,
        None,
        move |args: &Bound<'_, PyTuple>, _: Option<&Bound<'_, PyDict>>| {
            OURS.set(true);
            if let Some(body) = lock(&body).take() {
                body(args.py());
            }
        },
    )?;
    let keywords = PyDict::new(py);
    keywords.set_item(intern!(py, "target"), target)?;
    keywords.set_item(intern!(py, "name"), name)?;
    keywords.set_item(intern!(py, "daemon"), true)?;
    let thread =
        py.import(intern!(py, "threading"))?.call_method(intern!(py, "Thread"), (), Some(&keywords))?;
    thread.call_method0(intern!(py, "start"))?;
    Ok(thread.unbind())
}
