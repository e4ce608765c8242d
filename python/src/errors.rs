//! Failures of the core as Python exceptions. The classes are Python's own work (`bartizan/_errors.py`), since each has two
//! bases; which failure becomes which class is decided here and nowhere else.

use std::error::Error as _;
use std::path::Path;

use bartizan::{Error, ErrorKind, Reason, RequestError};
use pyo3::PyTypeInfo;
use pyo3::exceptions::{PyOSError, PyRuntimeError, PyTimeoutError, PyValueError};
use pyo3::import_exception;
use pyo3::prelude::*;
use pyo3::types::PyTuple;

import_exception!(bartizan._errors, Abort);
import_exception!(bartizan._errors, BindError);
import_exception!(bartizan._errors, BodyTooLarge);
import_exception!(bartizan._errors, ClientDisconnected);
import_exception!(bartizan._errors, ConfigError);
import_exception!(bartizan._errors, RequestTimeout);
import_exception!(bartizan._errors, ServerClosed);
import_exception!(bartizan._errors, TlsError);

/// An error of set-up.
pub(crate) fn of_core(py: Python<'_>, error: &Error) -> PyErr {
    match error.kind() {
        ErrorKind::Tls => of_faults::<TlsError>(py, error.faults()),
        ErrorKind::Io => of_system(error),
        ErrorKind::Option | ErrorKind::Value => of_faults::<ConfigError>(py, error.faults()),
        _ => PyRuntimeError::new_err(error.to_string()),
    }
}

/// `ConfigError`, or `TlsError`, with everything that is wrong.
pub(crate) fn of_faults<T: PyTypeInfo>(py: Python<'_>, faults: &[String]) -> PyErr {
    match PyTuple::new(py, faults) {
        Ok(faults) => PyErr::from_type(T::type_object(py), faults.unbind()),
        Err(error) => error,
    }
}

fn of_system(error: &Error) -> PyErr {
    let mut source = error.source();
    while let Some(cause) = source {
        if let Some(number) = cause.downcast_ref::<std::io::Error>().and_then(std::io::Error::raw_os_error) {
            return BindError::new_err((number, error.to_string()));
        }
        source = cause.source();
    }
    BindError::new_err(error.to_string())
}

/// What the system says of a descriptor that is to be listened on.
pub(crate) fn of_descriptor(number: &Bound<'_, PyAny>, error: PyErr) -> PyErr {
    let why = error.value(number.py()).getattr("errno").and_then(|errno| errno.extract::<i32>());
    match why {
        Ok(errno) => BindError::new_err((errno, format!("descriptor {number} cannot be used: {error}"))),
        Err(_) => error,
    }
}

/// What the system says of a file that is to be sent: with its name, as `open` would say it.
pub(crate) fn of_file(path: &Path, error: &std::io::Error) -> PyErr {
    let text = error.to_string();
    match error.raw_os_error() {
        Some(number) => {
            let text = text.split(" (os error").next().unwrap_or(&text).to_owned();
            PyOSError::new_err((number, text, path.as_os_str().to_owned()))
        }
        None => PyOSError::new_err(text),
    }
}

/// An error of a call on one request.
pub(crate) fn of_request(py: Python<'_>, error: RequestError) -> PyErr {
    match error {
        RequestError::Value(text) => PyValueError::new_err(text),
        RequestError::Option(text) => of_faults::<ConfigError>(py, &[text]),
        RequestError::Cancelled(reason) => of_reason(reason),
        RequestError::TooLarge => BodyTooLarge::new_err(RequestError::TooLarge.to_string()),
        RequestError::TimedOut => PyTimeoutError::new_err("timed out"),
        RequestError::Deadlock => PyRuntimeError::new_err(
            "would block a reactor thread: use defer() and another thread, or mode=\"workers\"",
        ),
        other => PyRuntimeError::new_err(other.to_string()),
    }
}

/// Why an exchange is over.
pub(crate) fn of_reason(reason: Reason) -> PyErr {
    match reason {
        Reason::BodyIdle
        | Reason::BodyRate
        | Reason::BodyTimeout
        | Reason::HandlerTimeout
        | Reason::WriteIdle
        | Reason::WriteRate
        | Reason::WriteTimeout
        | Reason::FlushTimeout => RequestTimeout::new_err(reason.name()),
        Reason::BodySize => BodyTooLarge::new_err(RequestError::TooLarge.to_string()),
        Reason::Drain | Reason::ProgramStop => {
            ServerClosed::new_err(format!("the server has stopped: {reason}"))
        }
        _ => ClientDisconnected::new_err(reason.name()),
    }
}

/// Whether this error only says that the peer or a limit ended the exchange: no fault of the program's, so nothing that a
/// peer could fill its log with.
pub(crate) fn is_end_of_exchange(py: Python<'_>, error: &PyErr) -> bool {
    error.is_instance_of::<ClientDisconnected>(py)
        || error.is_instance_of::<RequestTimeout>(py)
        || error.is_instance_of::<BodyTooLarge>(py)
        || error.is_instance_of::<ServerClosed>(py)
}
