//! `TlsInfo`: what the handshake of a request's connection negotiated.

use std::sync::Arc;

use bartizan::Exchange;
use bartizan::tls::TlsInfo as Facts;
use pyo3::exceptions::PyRuntimeError;
use pyo3::prelude::*;
use pyo3::types::PyTuple;

use crate::tls::certificates;

/// What was negotiated.
#[pyclass(frozen, module = "bartizan")]
pub(crate) struct TlsInfo {
    exchange: Arc<Exchange>,
}

impl TlsInfo {
    /// `None` on cleartext.
    pub(crate) fn of(exchange: &Arc<Exchange>) -> Option<Self> {
        exchange.connection().tls.is_some().then(|| Self { exchange: exchange.clone() })
    }

    fn facts(&self) -> PyResult<&Facts> {
        // `of` saw it there, and the facts of a connection do not change.
        self.exchange.connection().tls.as_ref().ok_or_else(|| PyRuntimeError::new_err("no TLS here"))
    }
}

#[pymethods]
impl TlsInfo {
    /// `TLSv1.3`.
    #[getter]
    fn version(&self) -> PyResult<&'static str> {
        Ok(self.facts()?.version_name)
    }

    /// IANA name of the cipher suite.
    #[getter]
    fn suite(&self) -> PyResult<&'static str> {
        Ok(self.facts()?.suite_name)
    }

    /// Name of the key-exchange group; empty for a resumed TLS 1.2 session.
    #[getter]
    fn group(&self) -> PyResult<&'static str> {
        Ok(self.facts()?.group_name)
    }

    /// The name that the client asked for.
    #[getter]
    fn server_name(&self) -> PyResult<Option<&str>> {
        Ok(self.facts()?.server_name.as_deref())
    }

    /// The negotiated ALPN protocol.
    #[getter]
    fn alpn(&self) -> PyResult<Option<&'static str>> {
        Ok(self.facts()?.alpn)
    }

    /// Whether an earlier session was resumed.
    #[getter]
    fn resumed(&self) -> PyResult<bool> {
        Ok(self.facts()?.resumed)
    }

    /// The client's chain in DER, leaf first.
    #[getter]
    fn peer_certificates<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyTuple>> {
        certificates(py, &self.facts()?.peer_certificates)
    }

    fn __repr__(&self) -> PyResult<String> {
        let facts = self.facts()?;
        Ok(format!("<TlsInfo {} {} {}>", facts.version_name, facts.suite_name, facts.group_name))
    }
}
