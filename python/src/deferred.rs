//! `Deferred`: the promise of an answer, kept from any thread: at once, or begun, written and finished.

use std::task::{Context, Poll};
use std::time::Duration;

use bartizan::{Request as CoreRequest, RequestError};
use bytes::Bytes;
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::PyBytes;

use crate::answer::{self, octets_of};
use crate::errors;
use crate::fields::Fields;
use crate::request::{Request, aio};
use crate::stream;
use crate::threads;

/// Return it from the handler, and answer later.
#[pyclass(frozen, module = "bartizan")]
pub(crate) struct Deferred {
    request: Py<Request>,
}

impl Deferred {
    pub(crate) fn new(request: Py<Request>) -> Self {
        Self { request }
    }

    pub(crate) fn is_of(&self, request: &Bound<'_, Request>) -> bool {
        self.request.is(request)
    }

    /// Runs a call on the request; the slot returns if the exchange turns out to be over.
    fn act<R>(
        &self,
        py: Python<'_>,
        act: impl FnOnce(&CoreRequest) -> Result<R, RequestError>,
    ) -> PyResult<R> {
        let request = self.request.get();
        let result = request.act(act);
        if let Err(RequestError::Cancelled(_)) = result {
            request.release();
        }
        result.map_err(|error| errors::of_request(py, error))
    }
}

#[pymethods]
impl Deferred {
    /// The request that this answers.
    #[getter]
    fn request(&self, py: Python<'_>) -> Py<Request> {
        self.request.clone_ref(py)
    }

    /// Answers with anything that a handler may return.
    #[pyo3(signature = (answer, /))]
    fn send(&self, answer: &Bound<'_, PyAny>) -> PyResult<()> {
        let py = answer.py();
        let request = self.request.bind(py);
        let Some(rest) = answer::send(request.get(), answer)? else { return Ok(()) };
        if aio(py)?.call_method0(intern!(py, "in_loop"))?.is_truthy()? {
            aio(py)?.call_method1(intern!(py, "spawn"), (request, crate::event_loop::Stream::new(rest)))?;
            return Ok(());
        }
        if bartizan::is_reactor_thread() {
            return request.get().context.service.stream(request, rest);
        }
        stream::pump(request, rest).inspect_err(|_| {
            // Before the head went out nothing has changed, and another answer may still be sent.
            if request.get().is_begun() {
                request.get().abort_and_release();
            }
        })
    }

    /// Sends the head; content follows.
    #[pyo3(signature = (status = 200, headers = None, *, content_length = None))]
    fn begin(
        &self,
        py: Python<'_>,
        status: u16,
        headers: Option<&Bound<'_, PyAny>>,
        content_length: Option<u64>,
    ) -> PyResult<()> {
        let fields = headers.map(Fields::read).transpose()?.unwrap_or_default();
        self.act(py, |request| request.begin(status, fields.iter(), content_length))
    }

    /// Writes content, and says how much was taken: all of it, unless `timeout` seconds passed before.
    #[pyo3(signature = (data, /, *, timeout = None))]
    fn write(&self, data: &Bound<'_, PyAny>, timeout: Option<f64>) -> PyResult<usize> {
        let py = data.py();
        let octets = octets_of(data)?;
        let octets = octets.as_bytes();
        let mut taken = self.act(py, |request| request.write(octets, Some(Duration::ZERO)))?;
        if taken == octets.len() || timeout.is_some_and(|timeout| timeout <= 0.0) {
            return Ok(taken);
        }
        let handle = self.request.get().share().map_err(|error| errors::of_request(py, error))?;
        let patience = timeout.and_then(|timeout| Duration::try_from_secs_f64(timeout).ok());
        let result = threads::detached(py, || -> Result<(), RequestError> {
            #[expect(
                clippy::disallowed_types,
                reason = "a caller's own patience, which no phase and no test's clock knows"
            )]
            let started = std::time::Instant::now();
            while taken < octets.len() {
                let left = patience.map(|patience| patience.saturating_sub(started.elapsed()));
                match handle.write(&octets[taken..], left) {
                    Ok(0) | Err(RequestError::TimedOut) => return Ok(()),
                    Ok(more) => taken += more,
                    Err(error) => return Err(error),
                }
            }
            Ok(())
        });
        if let Err(RequestError::Cancelled(_)) = result {
            self.request.get().release();
        }
        result.map_err(|error| errors::of_request(py, error))?;
        Ok(taken)
    }

    /// As `write`, in a coroutine.
    #[pyo3(signature = (data, /))]
    fn awrite<'py>(slf: &Bound<'py, Self>, data: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyAny>> {
        aio(slf.py())?.call_method1(intern!(slf.py(), "awrite"), (slf, octets_of(data)?))
    }

    /// Ends the answer.
    #[pyo3(signature = (trailers = None))]
    fn finish(&self, py: Python<'_>, trailers: Option<&Bound<'_, PyAny>>) -> PyResult<()> {
        let fields = trailers.map(Fields::read).transpose()?.unwrap_or_default();
        let request = self.request.get();
        let begun = request.is_begun();
        let finished = request.complete(|request| request.finish(fields.iter()));
        if begun && matches!(finished, Err(RequestError::State(_))) {
            // Short of the announced length it is aborted, and nothing more can be done with it.
            request.release();
        }
        finished.map_err(|error| errors::of_request(py, error))
    }

    /// Ends the exchange without a complete answer.
    fn abort(&self) {
        self.request.get().abort_and_release();
    }

    /// How much of `data` was taken, or a future that is done when there is room again.
    fn _poll_write<'py>(&self, data: &Bound<'py, PyBytes>, start: usize) -> PyResult<Bound<'py, PyAny>> {
        let py = data.py();
        let octets = data.as_bytes().get(start..).unwrap_or_default();
        let taken = self.act(py, |request| request.write(octets, Some(Duration::ZERO)))?;
        if taken > 0 || octets.is_empty() {
            return Ok(taken.into_pyobject(py)?.into_any());
        }
        let waiters = &self.request.get().context.service.waiters;
        let waiter = waiters.enter(py)?;
        let rest = Bytes::copy_from_slice(octets);
        let polled = self.act(py, |request| {
            match request.poll_write(&mut Context::from_waker(&waiter.waker), &rest) {
                Poll::Pending => Ok(false),
                Poll::Ready(written) => written.map(|()| true),
            }
        });
        if let Ok(false) = polled {
            return Ok(waiter.future);
        }
        waiter.leave(waiters);
        polled?;
        Ok(octets.len().into_pyobject(py)?.into_any())
    }
}
