//! Threads that run Python for a server: `threading.Thread`s, so that debuggers, tracing and thread-local data work as anywhere,
//! and so that each keeps its thread state for life. Reactors, which are the core's, are marked in `inline.rs`.

use std::cell::Cell;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicUsize, Ordering};
use std::time::Duration;

use pyo3::exceptions::PySystemExit;
use pyo3::prelude::*;
use pyo3::types::{PyCFunction, PyDict, PyTuple};
use pyo3::{PyTypeInfo, ffi, intern};

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

// ---- the end of the interpreter ----
//
// Until 3.14 CPython ends a thread that wants the interpreter while it finalizes with `pthread_exit`, which unwinds; where that
// meets a frame of Rust the process aborts. So nobody may be inside of us by then: threads of the program are let out, and a
// handler of ours that does not end by itself is interrupted.

/// Threads of the program that wait in a call of ours, detached or about to be.
static INSIDE: AtomicUsize = AtomicUsize::new(0);
/// Whose they are: a child of `fork` has none of them.
static INSIDE_OF: AtomicU32 = AtomicU32::new(0);
static LEAVING: AtomicBool = AtomicBool::new(false);

/// Counts a thread of the program in, and out.
pub(crate) struct Inside;

impl Inside {
    pub(crate) fn enter() -> Self {
        let process = std::process::id();
        if INSIDE_OF.swap(process, Ordering::AcqRel) != process {
            INSIDE.store(0, Ordering::Release);
        }
        INSIDE.fetch_add(1, Ordering::AcqRel);
        Self
    }
}

impl Drop for Inside {
    fn drop(&mut self) {
        INSIDE.fetch_sub(1, Ordering::AcqRel);
    }
}

/// Waits detached, in a thread that may be the program's.
pub(crate) fn detached<T: Send>(py: Python<'_>, body: impl FnOnce() -> T + Send) -> T {
    let _inside = Inside::enter();
    py.detach(body)
}

/// Whether the interpreter ends, so that nobody may wait on.
pub(crate) fn are_leaving() -> bool {
    LEAVING.load(Ordering::Acquire)
}

/// At interpreter exit, when all servers have ended: lets everybody out who waits in us.
pub(crate) fn let_out(py: Python<'_>) {
    const STEP: Duration = Duration::from_millis(1);
    const STEPS: u32 = 1000;
    if INSIDE_OF.load(Ordering::Acquire) != std::process::id() {
        return;
    }
    LEAVING.store(true, Ordering::Release);
    #[expect(
        clippy::disallowed_methods,
        reason = "nothing else is left to do, and who leaves has no time to tell"
    )]
    py.detach(|| {
        (0..STEPS).take_while(|_| INSIDE.load(Ordering::Acquire) > 0).for_each(|_| std::thread::sleep(STEP));
    });
    LEAVING.store(false, Ordering::Release);
}

/// Raises SystemExit in the Python that a thread runs, as `threading.get_ident` names it.
pub(crate) fn interrupt(py: Python<'_>, ident: u64) {
    // SAFETY: attached; the type is immortal as far as anybody is concerned, and an unknown thread is no error.
    unsafe { ffi::PyThreadState_SetAsyncExc(ident as _, PySystemExit::type_object_raw(py).cast()) };
}
