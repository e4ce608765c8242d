//! `Request`: a frozen, lazy view of one request, and the owner of its slot until it is answered. How content is read stands in
//! `content.rs`; how an answer is given in `answer.rs` and `deferred.rs`.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bartizan::{Exchange, Failure, Request as CoreRequest, RequestError, Version};
use bytes::Bytes;
use pyo3::exceptions::PyRuntimeError;
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::{PyBytes, PyDict, PyString};

use crate::context::Context;
use crate::deferred::Deferred;
use crate::errors;
use crate::fields::Fields;
use crate::headers::{Headers, latin1};
use crate::server::callable;
use crate::settings::{self, Value};
use crate::tls_info::TlsInfo;

/// One request. Everything about it is computed when it is asked for.
#[pyclass(frozen, freelist = 64, module = "bartizan")]
pub(crate) struct Request {
    exchange: Arc<Exchange>,
    slot: Mutex<Slot>,
    pub(crate) context: Arc<Context>,
    pub(crate) content: Mutex<Content>,
    pub(crate) body: PyOnceLock<Py<PyBytes>>,
    headers: PyOnceLock<Py<Headers>>,
    /// Under which number the service thread knows its cancel callbacks.
    pub(crate) watch: Mutex<Option<u64>>,
}

/// The core's handle, whose drop gives the running-handler slot back.
enum Slot {
    Owned(CoreRequest),
    /// A blocking call uses it as well; the last user drops it.
    Shared(Arc<CoreRequest>),
    Answered,
}

/// Content between the core's chunks and the sizes that the program reads.
#[derive(Default)]
pub(crate) struct Content {
    /// What is left of a chunk that was larger than asked for.
    pub(crate) rest: Bytes,
}

/// Locks; nothing that runs under these locks can panic half-way.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Request {
    pub(crate) fn new(request: CoreRequest, context: Arc<Context>) -> Self {
        Self {
            exchange: request.exchange().clone(),
            slot: Mutex::new(Slot::Owned(request)),
            context,
            content: Mutex::default(),
            body: PyOnceLock::new(),
            headers: PyOnceLock::new(),
            watch: Mutex::default(),
        }
    }

    pub(crate) fn exchange(&self) -> &Arc<Exchange> {
        &self.exchange
    }

    /// Runs a call that does not block.
    pub(crate) fn act<R>(
        &self,
        act: impl FnOnce(&CoreRequest) -> Result<R, RequestError>,
    ) -> Result<R, RequestError> {
        match &*lock(&self.slot) {
            Slot::Owned(request) => act(request),
            Slot::Shared(request) => act(request),
            Slot::Answered => Err(RequestError::State("this request is answered already")),
        }
    }

    /// The handle, for a call that may block.
    pub(crate) fn share(&self) -> Result<Arc<CoreRequest>, RequestError> {
        let mut slot = lock(&self.slot);
        let shared = match std::mem::replace(&mut *slot, Slot::Answered) {
            Slot::Owned(request) => Arc::new(request),
            Slot::Shared(request) => request,
            Slot::Answered => return Err(RequestError::State("this request is answered already")),
        };
        *slot = Slot::Shared(shared.clone());
        Ok(shared)
    }

    /// Gives the slot back: the answer is complete, or there will be none.
    pub(crate) fn release(&self) {
        let slot = std::mem::replace(&mut *lock(&self.slot), Slot::Answered);
        drop(slot);
    }

    /// Runs the call that completes the answer; the slot returns with it, and also when the exchange is over anyway.
    pub(crate) fn complete(
        &self,
        act: impl FnOnce(&CoreRequest) -> Result<(), RequestError>,
    ) -> Result<(), RequestError> {
        let result = self.act(act);
        if matches!(result, Ok(()) | Err(RequestError::Cancelled(_))) {
            self.release();
        }
        result
    }

    /// Whether a streamed answer was begun and is not finished.
    pub(crate) fn is_begun(&self) -> bool {
        self.act(|request| request.write(b"", Some(Duration::ZERO))).is_ok()
    }

    pub(crate) fn abort_and_release(&self) {
        // It fails only where the exchange is over already.
        let _ = self.act(CoreRequest::abort);
        self.release();
    }

    pub(crate) fn fail_and_release(&self, failure: Failure) {
        let _ = self.act(|request| {
            request.fail(failure);
            Ok(())
        });
        self.release();
    }

    fn head(&self) -> &bartizan::Head {
        self.exchange.head()
    }
}

#[pymethods]
impl Request {
    /// The method, in the peer's spelling.
    #[getter]
    fn method<'py>(&self, py: Python<'py>) -> Bound<'py, PyString> {
        match self.head().method() {
            b"GET" => intern!(py, "GET").clone(),
            b"POST" => intern!(py, "POST").clone(),
            b"HEAD" => intern!(py, "HEAD").clone(),
            b"PUT" => intern!(py, "PUT").clone(),
            other => PyString::new(py, &latin1(other)),
        }
    }

    /// `https` on a TLS connection.
    #[getter]
    fn scheme<'py>(&self, py: Python<'py>) -> Bound<'py, PyString> {
        if self.head().scheme() == b"https" {
            intern!(py, "https").clone()
        } else {
            intern!(py, "http").clone()
        }
    }

    /// Host and port as the client named them.
    #[getter]
    fn authority(&self) -> String {
        latin1(self.head().authority())
    }

    /// The request target, as sent.
    #[getter]
    fn target<'py>(&self, py: Python<'py>) -> Bound<'py, PyBytes> {
        PyBytes::new(py, self.head().target())
    }

    /// The path, percent-decoded.
    #[getter]
    fn path<'py>(&self, py: Python<'py>) -> Bound<'py, PyString> {
        let path = self.head().path();
        if path == b"/" {
            return intern!(py, "/").clone();
        }
        PyString::new(py, &String::from_utf8_lossy(&percent_decoded(path)))
    }

    /// What follows the `?`, as sent.
    #[getter]
    fn query(&self) -> String {
        latin1(self.head().query())
    }

    /// `1.0`, `1.1` or `2`.
    #[getter]
    fn http_version<'py>(&self, py: Python<'py>) -> Bound<'py, PyString> {
        match self.head().version() {
            Version::Http10 => intern!(py, "1.0").clone(),
            Version::Http11 => intern!(py, "1.1").clone(),
            Version::Http2 => intern!(py, "2").clone(),
        }
    }

    /// The header section.
    #[getter]
    fn headers<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, Headers>> {
        let make = || Py::new(py, Headers::of_head(self.exchange.clone()));
        Ok(self.headers.get_or_try_init(py, make)?.bind(py).clone())
    }

    /// The announced length of the content.
    #[getter]
    fn content_length(&self) -> Option<u64> {
        self.head().content_length()
    }

    /// The other end, after a PROXY header the one that it names.
    #[getter]
    fn peer(&self) -> (&str, u16) {
        let peer = &self.exchange.connection().peer;
        (&peer.ip, peer.port)
    }

    /// Our end.
    #[getter]
    fn local(&self) -> (&str, u16) {
        let local = &self.exchange.connection().local;
        (&local.ip, local.port)
    }

    /// What the handshake negotiated; None on cleartext.
    #[getter]
    fn tls(&self) -> Option<TlsInfo> {
        TlsInfo::of(&self.exchange)
    }

    /// Id of the connection, for correlation.
    #[getter]
    fn connection(&self) -> u64 {
        self.exchange.connection().id
    }

    /// Which listener, counted from 0.
    #[getter]
    fn listener(&self) -> u32 {
        self.exchange.connection().listener
    }

    /// HTTP/2 stream id; None on HTTP/1.
    #[getter]
    fn stream(&self) -> Option<u32> {
        (self.head().version() == Version::Http2).then(|| self.exchange.stream())
    }

    /// Seconds left for the handler; None = off.
    #[getter]
    fn deadline(&self, py: Python<'_>) -> PyResult<Option<f64>> {
        let left = self.act(|request| request.remaining("handler_timeout"));
        Ok(left.map_err(|error| errors::of_request(py, error))?.map(|left| left.as_secs_f64()))
    }

    /// Why the exchange was cancelled; None while it lives.
    #[getter]
    fn cancelled(&self) -> Option<&'static str> {
        self.exchange.cancelled().map(bartizan::Reason::name)
    }

    /// The whole content; blocks until it is here, and is kept.
    #[getter]
    fn body(&self, py: Python<'_>) -> PyResult<Py<PyBytes>> {
        Ok(self.body.get_or_try_init(py, || self.read_all(py))?.clone_ref(py))
    }

    /// The content as JSON.
    fn json<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        py.import(intern!(py, "json"))?.call_method1(intern!(py, "loads"), (self.body(py)?,))
    }

    /// Content as it comes, at most `size` octets; to the end without a size. Empty at the end.
    #[pyo3(signature = (size = -1, /))]
    fn read(&self, py: Python<'_>, size: isize) -> PyResult<Py<PyBytes>> {
        match usize::try_from(size) {
            Ok(size) => self.read_some(py, size),
            Err(_) => self.read_all(py),
        }
    }

    /// The content, piece by piece.
    fn __iter__<'py>(slf: &Bound<'py, Self>) -> PyResult<Bound<'py, PyAny>> {
        let py = slf.py();
        let read = slf.getattr(intern!(py, "_read_piece"))?;
        py.import(intern!(py, "builtins"))?.call_method1(intern!(py, "iter"), (read, PyBytes::new(py, b"")))
    }

    fn _read_piece(&self, py: Python<'_>) -> PyResult<Py<PyBytes>> {
        self.read_some(py, usize::MAX)
    }

    /// As `read`, in a coroutine.
    #[pyo3(signature = (size = -1, /))]
    fn aread<'py>(slf: &Bound<'py, Self>, size: isize) -> PyResult<Bound<'py, PyAny>> {
        aio(slf.py())?.call_method1(intern!(slf.py(), "aread"), (slf, size))
    }

    fn _poll_read<'py>(&self, py: Python<'py>, size: usize) -> PyResult<Bound<'py, PyAny>> {
        self.poll_read(py, size)
    }

    /// The trailer section, after the end of the content.
    #[getter]
    fn trailers(&self, py: Python<'_>) -> PyResult<Headers> {
        if !lock(&self.content).rest.is_empty() {
            return Err(PyRuntimeError::new_err("the content has not been read to its end"));
        }
        let fields = self.act(CoreRequest::trailers).map_err(|error| errors::of_request(py, error))?;
        Ok(Headers::of_trailers(fields))
    }

    /// Moves limits of this request, on the phase's own clock.
    #[pyo3(signature = (**limits))]
    fn set(&self, py: Python<'_>, limits: Option<&Bound<'_, PyDict>>) -> PyResult<()> {
        let mut faults = Vec::new();
        let mut over = None;
        settings::apply(limits, &mut faults, |key, value| {
            let set = self.act(|request| match value {
                Value::Number(number) => request.set_limit(key, number),
                Value::Text(text) => request.set_limit_text(key, &text),
            });
            match set {
                Err(RequestError::Value(fault) | RequestError::Option(fault)) => return Err(vec![fault]),
                Err(error) => over = Some(error),
                Ok(()) => {}
            }
            Ok(())
        })?;
        match over {
            _ if !faults.is_empty() => Err(errors::of_faults::<errors::ConfigError>(py, &faults)),
            Some(error) => Err(errors::of_request(py, error)),
            None => Ok(()),
        }
    }

    /// Calls `callback` with the close reason, on the service thread, if the exchange is cancelled.
    #[pyo3(signature = (callback, /))]
    fn on_cancel(&self, callback: Bound<'_, PyAny>) -> PyResult<()> {
        callable("callback", &callback)?;
        self.context.service.watch(self, callback.unbind());
        Ok(())
    }

    /// Sends an informational response, such as 103.
    #[pyo3(signature = (status, headers = None))]
    fn inform(&self, py: Python<'_>, status: u16, headers: Option<&Bound<'_, PyAny>>) -> PyResult<()> {
        let fields = headers.map(Fields::read).transpose()?.unwrap_or_default();
        self.act(|request| request.inform(status, fields.iter()))
            .map_err(|error| errors::of_request(py, error))
    }

    /// The promise of an answer: return it, and answer later from any thread.
    fn defer(slf: Bound<'_, Self>) -> Deferred {
        Deferred::new(slf.unbind())
    }

    fn __repr__(&self) -> String {
        format!("<Request {} {:?}>", latin1(self.head().method()), latin1(self.head().path()))
    }
}

/// Where coroutines are written: in Python.
pub(crate) fn aio(py: Python<'_>) -> PyResult<&Bound<'_, PyModule>> {
    static MODULE: PyOnceLock<Py<PyModule>> = PyOnceLock::new();
    let import = || py.import("bartizan._aio").map(Bound::unbind);
    Ok(MODULE.get_or_try_init(py, import)?.bind(py))
}

/// Turns `%41` into `A`; what is no such triple stays as it is.
fn percent_decoded(path: &[u8]) -> Vec<u8> {
    let digit = |octet: u8| char::from(octet).to_digit(16).map(|digit| digit as u8);
    let mut decoded = Vec::with_capacity(path.len());
    let mut rest = path;
    while let Some((&first, tail)) = rest.split_first() {
        if let (b'%', [high, low, after @ ..]) = (first, tail)
            && let (Some(high), Some(low)) = (digit(*high), digit(*low))
        {
            decoded.push(high << 4 | low);
            rest = after;
        } else {
            decoded.push(first);
            rest = tail;
        }
    }
    decoded
}
