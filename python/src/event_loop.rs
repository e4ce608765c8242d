//! Async handlers: the event loop's own thread drains the core's queue through its descriptor, one wake-up per burst. Tasks and
//! coroutines are Python's (`_aio.py`); this is what they take from.

use std::os::fd::AsRawFd;
use std::sync::Arc;

use bartizan::{Event, Failure, Next, Queue};
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;

use crate::answer::{self, Content, Rest};
use crate::context::Context;
use crate::deferred::Deferred;
use crate::errors;
use crate::request::{Request, lock};
use crate::stream;

/// The queue of one server, as its loop sees it.
#[pyclass(frozen, module = "bartizan._bartizan", name = "_Source")]
pub(crate) struct Source {
    queue: Arc<Queue>,
    context: Arc<Context>,
}

impl Source {
    pub(crate) fn new(queue: Arc<Queue>, context: Arc<Context>) -> Self {
        // Carried by the queue itself: the loop settles its own futures within the same wake-up.
        let bell = queue.clone();
        context.service.waiters.set_route(Arc::new(move |number| bell.push(Event::Drop(Box::new(number)))));
        Self { queue, context }
    }
}

#[pymethods]
impl Source {
    /// The program's coroutine function.
    #[getter]
    fn handler(&self, py: Python<'_>) -> Py<PyAny> {
        self.context.handler.clone_ref(py)
    }

    /// What `add_reader` watches.
    fn fileno(&self) -> i32 {
        self.queue.descriptor().as_raw_fd()
    }

    /// Up to `most` requests; None once the server behind the queue has ended.
    fn take(&self, py: Python<'_>, most: usize) -> PyResult<Option<Vec<Py<Request>>>> {
        let mut events = Vec::with_capacity(most);
        if self.queue.try_next(&mut events, most) == Next::Closed {
            return Ok(None);
        }
        let mut requests = Vec::with_capacity(events.len());
        let mut ended = false;
        for event in events {
            match event {
                Event::Request(request) => {
                    requests.push(Py::new(py, Request::new(request, self.context.clone()))?)
                }
                Event::Drop(number) => {
                    if let Ok(number) = number.downcast::<u64>() {
                        self.context.service.waiters.settle(py, *number);
                    }
                }
                Event::Shutdown => ended = true,
                _ => {}
            }
        }
        Ok((!(ended && requests.is_empty())).then_some(requests))
    }

    /// Gives what a handler returned; a stream comes back for the loop to drive.
    fn give(&self, request: &Bound<'_, Request>, answer: &Bound<'_, PyAny>) -> PyResult<Option<Stream>> {
        if answer.is_exact_instance_of::<Deferred>() {
            return self.context.give(request, answer).map(|()| None);
        }
        Ok(answer::send(request.get(), answer)?.map(Stream::new))
    }

    /// The handler of a request raised.
    fn failed(&self, request: &Bound<'_, Request>, error: Bound<'_, PyAny>) {
        self.context.failed(request, PyErr::from_value(error));
    }

    /// The loop gave the handler up.
    fn cancelled(&self, request: &Bound<'_, Request>) {
        request.get().fail_and_release(Failure::Failed);
    }
}

/// A streamed answer that a loop drives.
#[pyclass(frozen, module = "bartizan._bartizan", name = "_Stream")]
pub(crate) struct Stream {
    rest: std::sync::Mutex<Option<Py<PyAny>>>,
    head: Rest,
}

impl Stream {
    pub(crate) fn new(rest: Rest) -> Self {
        Self { rest: std::sync::Mutex::new(None), head: rest }
    }
}

#[pymethods]
impl Stream {
    /// What gives the pieces: an iterable, an asynchronous one, or an open file.
    fn source(&self, py: Python<'_>) -> PyResult<Py<PyAny>> {
        static OPEN: PyOnceLock<Py<PyAny>> = PyOnceLock::new();
        let mut kept = lock(&self.rest);
        if let Some(source) = &*kept {
            return Ok(source.clone_ref(py));
        }
        let source = match &self.head.content {
            Content::Octets(octets) => pyo3::types::PyList::new(py, [octets])?.into_any().unbind(),
            Content::Iterable(iterable) | Content::AsyncIterable(iterable) => iterable.clone_ref(py),
            Content::File(path) => OPEN.import(py, "io", "open")?.call1((path, intern!(py, "rb")))?.unbind(),
        };
        *kept = Some(source.clone_ref(py));
        Ok(source)
    }

    /// Sends the head.
    #[pyo3(signature = (request, length = None))]
    fn begin(&self, py: Python<'_>, request: &Bound<'_, Request>, length: Option<u64>) -> PyResult<()> {
        let begun =
            request.get().act(|request| request.begin(self.head.status, self.head.fields.iter(), length));
        begun.map_err(|error| errors::of_request(py, error))
    }

    /// Ends the answer, with its trailers.
    fn finish(&self, py: Python<'_>, request: &Bound<'_, Request>) -> PyResult<()> {
        let trailers = self.head.trailers.as_ref().map(|trailers| trailers.clone_ref(py));
        let trailers = stream::trailer_items(py, trailers)?;
        let finished = request.get().complete(|request| request.finish(trailers.iter()));
        finished.map_err(|error| errors::of_request(py, error))
    }
}
