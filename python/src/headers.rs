//! `Headers`: a read-only mapping over the header section of a request, or its trailer section, made when it is asked for.

use std::sync::Arc;

use bartizan::{Exchange, Trailers};
use pyo3::exceptions::PyKeyError;
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyList, PyString, PyTuple};

/// Header fields: names without case, values decoded as Latin-1.
#[pyclass(frozen, mapping, module = "bartizan")]
pub(crate) struct Headers {
    source: Source,
}

enum Source {
    Head(Arc<Exchange>),
    Trailers(Arc<Trailers>),
}

impl Headers {
    pub(crate) fn of_head(exchange: Arc<Exchange>) -> Self {
        Self { source: Source::Head(exchange) }
    }

    pub(crate) fn of_trailers(fields: Arc<Trailers>) -> Self {
        Self { source: Source::Trailers(fields) }
    }

    fn each(&self, mut see: impl FnMut(&[u8], &[u8])) {
        match &self.source {
            Source::Head(exchange) => exchange.head().fields().for_each(|(name, value)| see(name, value)),
            Source::Trailers(fields) => fields.iter().for_each(|(name, value)| see(name, value)),
        }
    }

    fn find(&self, name: &str) -> Option<String> {
        let name = name.as_bytes();
        let separator = if name.eq_ignore_ascii_case(b"cookie") { "; " } else { ", " };
        let mut joined: Option<String> = None;
        self.each(|known, value| {
            if known.eq_ignore_ascii_case(name) {
                let value = latin1(value);
                match &mut joined {
                    None => joined = Some(value),
                    Some(joined) => {
                        joined.push_str(separator);
                        joined.push_str(&value);
                    }
                }
            }
        });
        joined
    }

    /// Each name once, in the order of first appearance.
    fn names(&self) -> Vec<String> {
        let mut names: Vec<String> = Vec::new();
        self.each(|name, _| {
            if !names.iter().any(|known| known.as_bytes().eq_ignore_ascii_case(name)) {
                names.push(latin1(name).to_ascii_lowercase());
            }
        });
        names
    }

    fn pairs(&self) -> Vec<(String, String)> {
        let names = self.names();
        names.into_iter().filter_map(|name| self.find(&name).map(|value| (name, value))).collect()
    }
}

#[pymethods]
impl Headers {
    fn __getitem__(&self, name: &str) -> PyResult<String> {
        self.find(name).ok_or_else(|| PyKeyError::new_err(name.to_owned()))
    }

    fn __contains__(&self, name: &Bound<'_, PyAny>) -> bool {
        name.extract::<&str>().is_ok_and(|name| self.find(name).is_some())
    }

    fn __iter__<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        Ok(PyList::new(py, self.names())?.try_iter()?.into_any())
    }

    fn __len__(&self) -> usize {
        self.names().len()
    }

    fn __eq__(&self, other: &Bound<'_, PyAny>) -> PyResult<bool> {
        let ours = pyo3::types::PyDict::new(other.py());
        for (name, value) in self.pairs() {
            ours.set_item(name, value)?;
        }
        match other.cast::<Self>() {
            Ok(other) => Ok(other.get().pairs().len() == ours.len() && self.pairs() == other.get().pairs()),
            Err(_) => ours.eq(other),
        }
    }

    fn __repr__(&self) -> String {
        // Names only: values hold credentials, and a repr ends in logs.
        format!("<Headers {}>", self.names().join(" "))
    }

    /// The value of this name, or `default`.
    #[pyo3(signature = (key, default = None))]
    fn get<'py>(
        &self,
        py: Python<'py>,
        key: &str,
        default: Option<Bound<'py, PyAny>>,
    ) -> Option<Bound<'py, PyAny>> {
        self.find(key).map(|value| PyString::new(py, &value).into_any()).or(default)
    }

    /// Each name once.
    fn keys<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyList>> {
        PyList::new(py, self.names())
    }

    /// Each name's value.
    fn values<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyList>> {
        PyList::new(py, self.pairs().into_iter().map(|(_, value)| value))
    }

    /// Each name with its value.
    fn items<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyList>> {
        PyList::new(py, self.pairs())
    }

    /// The values of this name, one per field line.
    fn get_all<'py>(&self, py: Python<'py>, name: &str) -> PyResult<Bound<'py, PyTuple>> {
        let mut values = Vec::new();
        self.each(|known, value| {
            if known.eq_ignore_ascii_case(name.as_bytes()) {
                values.push(latin1(value));
            }
        });
        PyTuple::new(py, values)
    }

    /// Every field as octets: lower-case names, order of the wire.
    #[getter]
    fn raw<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyTuple>> {
        let mut fields = Vec::new();
        self.each(|name, value| {
            fields.push((PyBytes::new(py, &name.to_ascii_lowercase()), PyBytes::new(py, value)));
        });
        PyTuple::new(py, fields)
    }
}

/// Octets as text, one character each.
pub(crate) fn latin1(octets: &[u8]) -> String {
    octets.iter().map(|octet| char::from(*octet)).collect()
}
