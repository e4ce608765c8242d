//! `Response`: an answer with a name for each part, and the only one that can carry trailers.

use pyo3::prelude::*;
use pyo3::pyclass::{PyTraverseError, PyVisit};
use pyo3::types::{PyBytes, PyTuple};

/// Status, header items and body of an answer.
#[pyclass(module = "bartizan")]
pub(crate) struct Response {
    /// 200 to 599.
    #[pyo3(get, set)]
    pub(crate) status: u16,
    /// A mapping, or pairs.
    #[pyo3(get, set)]
    pub(crate) headers: Py<PyAny>,
    /// bytes, str, a Path, or an iterable of bytes.
    #[pyo3(get, set)]
    pub(crate) body: Py<PyAny>,
    pub(crate) trailers: Option<Py<PyAny>>,
}

#[pymethods]
impl Response {
    #[new]
    #[pyo3(signature = (status = 200, headers = None, body = None, *, trailers = None))]
    fn new(
        py: Python<'_>,
        status: u16,
        headers: Option<Py<PyAny>>,
        body: Option<Py<PyAny>>,
        trailers: Option<Py<PyAny>>,
    ) -> Self {
        let headers = headers.unwrap_or_else(|| PyTuple::empty(py).into_any().unbind());
        let body = body.unwrap_or_else(|| PyBytes::new(py, b"").into_any().unbind());
        Self { status, headers, body, trailers }
    }

    fn __traverse__(&self, visit: PyVisit<'_>) -> Result<(), PyTraverseError> {
        visit.call(&self.headers)?;
        visit.call(&self.body)?;
        visit.call(&self.trailers)
    }

    fn __clear__(&mut self, py: Python<'_>) {
        self.headers = py.None();
        self.body = py.None();
        self.trailers = None;
    }

    fn __repr__(&self) -> String {
        format!("<Response {}>", self.status)
    }
}
