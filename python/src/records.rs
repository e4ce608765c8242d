//! Records of the core as the dictionaries of the stub: `ConnectionEvent`, `RequestEnd`, `Stats`.

use bartizan::tls::TlsInfo;
use bartizan::{ConnectionRecord, Endpoint, Phase, Reason, RequestRecord, Snapshot};
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::PyDict;

use crate::headers::latin1;

/// A `ConnectionEvent`.
pub(crate) fn connection<'py>(
    py: Python<'py>,
    seq: u64,
    record: &ConnectionRecord,
) -> PyResult<Bound<'py, PyAny>> {
    let event = PyDict::new(py);
    let kind = if record.closed.is_some() { intern!(py, "closed") } else { intern!(py, "entered") };
    event.set_item(intern!(py, "event"), kind)?;
    event.set_item(intern!(py, "seq"), seq)?;
    event.set_item(intern!(py, "time"), record.time.as_secs_f64())?;
    event.set_item(intern!(py, "conn"), record.connection.id)?;
    event.set_item(intern!(py, "listener"), record.connection.listener)?;
    event.set_item(intern!(py, "peer"), address(&record.connection.peer))?;
    event.set_item(intern!(py, "phase"), record.phase.name())?;
    if let Some(reason) = record.closed {
        event.set_item(intern!(py, "reason"), reason.name())?;
    }
    event.set_item(intern!(py, "protocol"), record.protocol.map(bartizan::Protocol::name))?;
    event.set_item(
        intern!(py, "tls"),
        record.connection.tls.as_ref().map(|facts| tls(py, facts)).transpose()?,
    )?;
    event.set_item(intern!(py, "bytes_in"), record.bytes_in)?;
    event.set_item(intern!(py, "bytes_out"), record.bytes_out)?;
    event.set_item(intern!(py, "requests"), record.requests)?;
    event.set_item(intern!(py, "millis"), millis(py, &record.times, Some(record.phase))?)?;
    Ok(event.into_any())
}

/// As people write it; empty for a unix socket.
pub(crate) fn address(peer: &Endpoint) -> String {
    if peer.ip.is_empty() {
        "unix:".into()
    } else if peer.ip.contains(':') {
        format!("[{}]:{}", peer.ip, peer.port)
    } else {
        format!("{}:{}", peer.ip, peer.port)
    }
}

fn tls<'py>(py: Python<'py>, facts: &TlsInfo) -> PyResult<Bound<'py, PyDict>> {
    let record = PyDict::new(py);
    record.set_item(intern!(py, "version"), facts.version_name)?;
    record.set_item(intern!(py, "suite"), facts.suite_name)?;
    record.set_item(intern!(py, "group"), facts.group_name)?;
    record.set_item(intern!(py, "server_name"), facts.server_name.as_deref())?;
    record.set_item(intern!(py, "alpn"), facts.alpn)?;
    record.set_item(intern!(py, "resumed"), facts.resumed)?;
    record.set_item(intern!(py, "peer_certificates"), facts.peer_certificates.len())?;
    Ok(record)
}

/// Phases in which no time was spent were not entered, but for the one that was entered just now.
fn millis<'py>(
    py: Python<'py>,
    times: &bartizan::PhaseTimes,
    current: Option<Phase>,
) -> PyResult<Bound<'py, PyDict>> {
    let millis = PyDict::new(py);
    for phase in Phase::ALL {
        let time = times[phase.id()];
        if !time.is_zero() || current == Some(phase) {
            millis.set_item(phase.name(), time.as_secs_f64() * 1000.0)?;
        }
    }
    Ok(millis)
}

/// A `RequestEnd`.
pub(crate) fn request_end<'py>(
    py: Python<'py>,
    seq: u64,
    record: &RequestRecord,
) -> PyResult<Bound<'py, PyAny>> {
    let event = PyDict::new(py);
    event.set_item(intern!(py, "event"), intern!(py, "request"))?;
    event.set_item(intern!(py, "seq"), seq)?;
    event.set_item(intern!(py, "time"), record.time.as_secs_f64())?;
    event.set_item(intern!(py, "conn"), record.connection.id)?;
    event.set_item(intern!(py, "stream"), (record.stream != 0).then_some(record.stream))?;
    event.set_item(intern!(py, "method"), latin1(&record.method))?;
    event.set_item(intern!(py, "target"), latin1(&record.target))?;
    event.set_item(intern!(py, "status"), (record.status != 0).then_some(record.status))?;
    event.set_item(intern!(py, "reason"), record.reason.name())?;
    event.set_item(intern!(py, "bytes_in"), record.bytes_in)?;
    event.set_item(intern!(py, "bytes_out"), record.bytes_out)?;
    event.set_item(intern!(py, "millis"), millis(py, &record.times, None)?)?;
    Ok(event.into_any())
}

/// `Stats`.
pub(crate) fn stats<'py>(py: Python<'py>, now: &Snapshot) -> PyResult<Bound<'py, PyDict>> {
    let stats = PyDict::new(py);
    let (phases, reasons) = (PyDict::new(py), PyDict::new(py));
    for phase in Phase::ALL {
        phases.set_item(phase.name(), now.open_by_phase[phase.id()])?;
    }
    for (reason, count) in Reason::ALL.iter().zip(now.closed_by_reason) {
        reasons.set_item(reason.name(), count)?;
    }
    for (name, number) in now.numbers() {
        stats.set_item(name, number)?;
    }
    stats.set_item("phases", phases)?;
    stats.set_item("reasons", reasons)?;
    Ok(stats)
}
