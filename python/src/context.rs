//! What every request of one server shares: the handler, the service thread's mailbox, and how a handler is called. Where it is
//! called from (worker, reactor, event loop) is the business of `workers.rs`, `inline.rs` and `event_loop.rs`.

use std::sync::Arc;

use bartizan::{Failure, Request as CoreRequest};
use pyo3::exceptions::PyTypeError;
use pyo3::intern;
use pyo3::prelude::*;

use crate::answer;
use crate::deferred::Deferred;
use crate::errors::{self, Abort};
use crate::headers::latin1;
use crate::request::Request;
use crate::service::Service;
use crate::stream;

/// The program's side of one server.
pub(crate) struct Context {
    pub(crate) handler: Py<PyAny>,
    pub(crate) service: Arc<Service>,
    logger: Py<PyAny>,
}

impl Context {
    pub(crate) fn new(py: Python<'_>, handler: Py<PyAny>, service: Arc<Service>) -> PyResult<Arc<Self>> {
        Ok(Arc::new(Self { handler, service, logger: logger(py, "bartizan")?.unbind() }))
    }

    /// Calls the handler and gives its answer. Whatever it does costs this exchange only.
    pub(crate) fn serve(self: &Arc<Self>, py: Python<'_>, request: CoreRequest) {
        let request = match Bound::new(py, Request::new(request, self.clone())) {
            Ok(request) => request,
            // Without memory for the object the request is dropped, which is a 500.
            Err(error) => return error.write_unraisable(py, None),
        };
        let answer = match self.handler.bind(py).call1((&request,)) {
            Ok(answer) => answer,
            Err(error) => return self.failed(&request, error),
        };
        if let Err(error) = self.give(&request, &answer) {
            self.failed(&request, error);
        }
    }

    /// Gives what a handler returned: an answer, or the promise of one.
    pub(crate) fn give(
        self: &Arc<Self>,
        request: &Bound<'_, Request>,
        answer: &Bound<'_, PyAny>,
    ) -> PyResult<()> {
        if let Ok(deferred) = answer.cast_exact::<Deferred>() {
            return if deferred.get().is_of(request) {
                Ok(())
            } else {
                Err(PyTypeError::new_err("this Deferred belongs to another request"))
            };
        }
        match answer::send(request.get(), answer)? {
            None => Ok(()),
            Some(rest) if bartizan::is_reactor_thread() => self.service.stream(request, rest),
            Some(rest) => stream::pump(request, rest),
        }
    }

    /// The handler, or its answer, raised: 500 if nothing was sent yet, and a record, unless the peer is the one to blame.
    pub(crate) fn failed(&self, request: &Bound<'_, Request>, error: PyErr) {
        let py = request.py();
        if error.is_instance_of::<Abort>(py) {
            request.get().abort_and_release();
            return;
        }
        if !errors::is_end_of_exchange(py, &error) {
            self.record(request, error);
        }
        request.get().fail_and_release(Failure::Failed);
    }

    fn record(&self, request: &Bound<'_, Request>, error: PyErr) {
        let py = request.py();
        let head = request.get().exchange().head();
        let subject = (latin1(head.method()), latin1(head.target()));
        if bartizan::is_reactor_thread() {
            // A log handler may block on a disk or a socket, and a reactor must not.
            self.service.record(subject, error);
            return;
        }
        log_handler_failure(self.logger.bind(py), subject, error);
    }
}

/// A logger of Python's by its name.
pub(crate) fn logger<'py>(py: Python<'py>, name: &str) -> PyResult<Bound<'py, PyAny>> {
    py.import(intern!(py, "logging"))?.call_method1(intern!(py, "getLogger"), (name,))
}

/// Logs that the handler failed on a request, which its method and target name.
pub(crate) fn log_handler_failure(logger: &Bound<'_, PyAny>, subject: (String, String), error: PyErr) {
    log_failure(logger, intern!(logger.py(), "the handler failed on %s %r").as_any(), subject, error);
}

/// Logs one failure of the program's code, with its traceback.
pub(crate) fn log_failure(
    logger: &Bound<'_, PyAny>,
    text: &Bound<'_, PyAny>,
    subject: (String, String),
    error: PyErr,
) {
    let py = logger.py();
    let keywords = pyo3::types::PyDict::new(py);
    let logged = keywords.set_item(intern!(py, "exc_info"), error.into_value(py)).and_then(|()| {
        logger.call_method(intern!(py, "error"), (text, subject.0, subject.1), Some(&keywords))
    });
    if let Err(error) = logged {
        error.write_unraisable(py, None);
    }
}
