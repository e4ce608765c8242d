//! Reading a request's content: blocking, detached from the interpreter while it waits, or by polling from an event loop. The
//! core bounds and times all of it; nothing is buffered here but the tail of one chunk.

use std::task::{Context, Poll};
use std::time::Duration;

use bartizan::RequestError;
use bytes::Bytes;
use pyo3::prelude::*;
use pyo3::types::PyBytes;

use crate::errors;
use crate::request::{Request, lock};
use crate::threads;

impl Request {
    /// At most `size` octets, at least one; empty at the end.
    pub(crate) fn read_some(&self, py: Python<'_>, size: usize) -> PyResult<Py<PyBytes>> {
        not_on_reactor(py)?;
        if size == 0 {
            return Ok(PyBytes::new(py, b"").unbind());
        }
        let chunk = self.next_chunk(py)?.unwrap_or_default();
        Ok(PyBytes::new(py, &self.within(chunk, size)).unbind())
    }

    /// Everything up to the end.
    pub(crate) fn read_all(&self, py: Python<'_>) -> PyResult<Py<PyBytes>> {
        not_on_reactor(py)?;
        let first = self.next_chunk(py)?.unwrap_or_default();
        let mut more = Vec::new();
        if !first.is_empty() {
            while let Some(chunk) = self.next_chunk(py)? {
                if more.is_empty() {
                    more.extend_from_slice(&first);
                }
                more.extend_from_slice(&chunk);
            }
        }
        Ok(PyBytes::new(py, if more.is_empty() { &first } else { &more }).unbind())
    }

    fn next_chunk(&self, py: Python<'_>) -> PyResult<Option<Bytes>> {
        if let Some(rest) = self.take_rest() {
            return Ok(Some(rest));
        }
        let chunk = match self.act(|request| request.read_chunk(Some(Duration::ZERO))) {
            // Nothing is here yet: only now is it worth giving the interpreter away.
            Err(RequestError::TimedOut) => {
                self.share().and_then(|request| threads::detached(py, || request.read_chunk(None)))
            }
            found => found,
        };
        chunk.map_err(|error| errors::of_request(py, error))
    }

    fn take_rest(&self) -> Option<Bytes> {
        let mut content = lock(&self.content);
        (!content.rest.is_empty()).then(|| std::mem::take(&mut content.rest))
    }

    /// The first `size` octets of a chunk; the others wait for the next read.
    fn within(&self, mut chunk: Bytes, size: usize) -> Bytes {
        if chunk.len() > size {
            lock(&self.content).rest = chunk.split_off(size);
        }
        chunk
    }

    /// As [`Request::read_some`], or a future that is done when it is worth looking again.
    pub(crate) fn poll_read<'py>(&self, py: Python<'py>, size: usize) -> PyResult<Bound<'py, PyAny>> {
        let failed = |error| errors::of_request(py, error);
        let bytes =
            |chunk: Option<Bytes>| PyBytes::new(py, &self.within(chunk.unwrap_or_default(), size)).into_any();
        if size == 0 {
            return Ok(PyBytes::new(py, b"").into_any());
        }
        if let Some(rest) = self.take_rest() {
            return Ok(bytes(Some(rest)));
        }
        match self.act(|request| request.read_chunk(Some(Duration::ZERO))) {
            Err(RequestError::TimedOut) => {}
            found => return found.map(bytes).map_err(failed),
        }
        let waiter = self.context.service.waiters.enter(py)?;
        let polled =
            self.act(|request| match request.poll_content(&mut Context::from_waker(&waiter.waker)) {
                Poll::Pending => Ok(None),
                Poll::Ready(found) => found.map(Some),
            });
        if let Ok(None) = polled {
            return Ok(waiter.future);
        }
        waiter.leave(&self.context.service.waiters);
        polled.map(|found| bytes(found.flatten())).map_err(failed)
    }
}

/// Content may have to be waited for, and a reactor waits for nobody: so it never begins to, whatever has come already.
fn not_on_reactor(py: Python<'_>) -> PyResult<()> {
    if bartizan::is_reactor_thread() { Err(errors::of_request(py, RequestError::Deadlock)) } else { Ok(()) }
}
