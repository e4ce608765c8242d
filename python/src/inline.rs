//! `mode="inline"`: the handler runs on the reactor. The only place where a reactor attaches to the interpreter; its thread state
//! lives as long as the reactor, since making and destroying one per request costs more than the request.

use std::cell::Cell;
use std::sync::{Mutex, Weak};

use bartizan::{Handler, Request, Role};
use pyo3::ffi;
use pyo3::prelude::*;

use crate::context::Context;
use crate::request::lock;
use crate::running::thread_id;

/// Calls the program's handler on the reactor. Weak, since the core keeps it as long as the numbers of an ended server are read,
/// and would keep the program's objects alive with it.
pub(crate) struct Inline(pub(crate) Weak<Context>);

impl Handler for Inline {
    fn handle(&self, request: Request) {
        if let Some(context) = self.0.upgrade() {
            Python::attach(|py| context.serve(py, request));
        }
    }
}

thread_local! {
    static STATE: Cell<Option<(ffi::PyGILState_STATE, *mut ffi::PyThreadState)>> = const { Cell::new(None) };
}

/// Reactors that have a thread state, as `threading.get_ident` names them.
static REACTORS: Mutex<Vec<u64>> = Mutex::new(Vec::new());

pub(crate) fn reactors() -> Vec<u64> {
    lock(&REACTORS).clone()
}

/// The thread hook of an inline server: gives a reactor its thread state, and takes it away at the end.
pub(crate) fn keep_thread_state(role: Role, starts: bool) {
    if role != Role::Reactor {
        return;
    }
    if starts {
        // SAFETY: the interpreter is initialized and not finalizing: the server's own exit hook ends the reactors before.
        let held = unsafe { ffi::PyGILState_Ensure() };
        let own = Python::attach(thread_id);
        lock(&REACTORS).extend(own);
        // SAFETY: this thread has attached above.
        let state = unsafe { ffi::PyEval_SaveThread() };
        STATE.set(Some((held, state)));
    } else if let Some((held, state)) = STATE.take() {
        // SAFETY: it is this thread's own state, detached since it was saved or last used.
        unsafe { ffi::PyEval_RestoreThread(state) };
        if let Ok(own) = Python::attach(thread_id) {
            lock(&REACTORS).retain(|ident| *ident != own);
        }
        // SAFETY: it belongs to the call of PyGILState_Ensure on this thread.
        unsafe { ffi::PyGILState_Release(held) };
    }
}
