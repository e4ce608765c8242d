//! `mode="inline"`: the handler runs on the reactor. The only place where a reactor attaches to the interpreter; its thread state
//! lives as long as the reactor, since making and destroying one per request costs more than the request.

use std::cell::Cell;
use std::sync::Weak;

use bartizan::{Handler, Request, Role};
use pyo3::ffi;
use pyo3::prelude::*;

use crate::context::Context;

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

/// The thread hook of an inline server: gives a reactor its thread state, and takes it away at the end.
pub(crate) fn keep_thread_state(role: Role, starts: bool) {
    if role != Role::Reactor {
        return;
    }
    if starts {
        // SAFETY: the interpreter is initialized and not finalizing: the server's own exit hook ends the reactors before.
        let held = unsafe { ffi::PyGILState_Ensure() };
        // SAFETY: this thread has attached in the line above.
        let state = unsafe { ffi::PyEval_SaveThread() };
        STATE.set(Some((held, state)));
    } else if let Some((held, state)) = STATE.take() {
        // SAFETY: it is this thread's own state, detached since it was saved or last used.
        unsafe { ffi::PyEval_RestoreThread(state) };
        // SAFETY: it belongs to the call of PyGILState_Ensure on this thread.
        unsafe { ffi::PyGILState_Release(held) };
    }
}
