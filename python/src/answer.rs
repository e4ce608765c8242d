//! What a handler may return, turned into an answer of the core: octets at once, or the rest of a stream that somebody has to
//! drive (`stream.rs` on a thread, `_aio.py` on a loop).

use std::path::PathBuf;

use bartizan::Body;
use bytes::Bytes;
use pyo3::Borrowed;
use pyo3::exceptions::{PyTypeError, PyValueError};
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::pybacked::PyBackedBytes;
use pyo3::sync::PyOnceLock;
use pyo3::types::{PyByteArray, PyBytes, PyDict, PyMemoryView, PyString, PyTuple, PyType};

use crate::errors;
use crate::fields::Fields;
use crate::request::Request;
use crate::response::Response;

/// Up to this size a body is copied. Above it the core holds the Python object itself, which is let go on a reactor: that only
/// queues the reference until a thread is attached again, and is worth it only where the copy costs more than the queue.
const COPIED_BODY: usize = 64 * 1024;

/// An answer whose content is still to be produced.
pub(crate) struct Rest {
    pub(crate) status: u16,
    pub(crate) fields: Fields,
    pub(crate) content: Content,
    /// Header items, or a callable that gives them after the content.
    pub(crate) trailers: Option<Py<PyAny>>,
}

/// Where the octets of a [`Rest`] come from.
pub(crate) enum Content {
    Octets(Py<PyBytes>),
    File(PathBuf),
    Iterable(Py<PyAny>),
    AsyncIterable(Py<PyAny>),
}

/// Answers if the answer is complete in itself; otherwise gives back what is to be streamed.
pub(crate) fn send(request: &Request, answer: &Bound<'_, PyAny>) -> PyResult<Option<Rest>> {
    if let Ok(octets) = answer.cast_exact::<PyBytes>() {
        respond(request, 200, &Fields::default(), octets)?;
        return Ok(None);
    }
    let rest = match answer.cast_exact::<PyTuple>() {
        Ok(parts) => {
            let (status, fields, body) = split(parts)?;
            if let Ok(octets) = body.cast_exact::<PyBytes>() {
                respond(request, status, &fields, &octets)?;
                return Ok(None);
            }
            rest(status, fields, &body, None)?
        }
        Err(_) => match answer.cast::<Response>() {
            Ok(response) => of_response(answer.py(), &response.borrow())?,
            Err(_) => rest(200, Fields::default(), answer, None)?,
        },
    };
    match (&rest.content, &rest.trailers) {
        (Content::Octets(octets), None) => {
            respond(request, rest.status, &rest.fields, octets.bind(answer.py()))?;
            Ok(None)
        }
        _ => Ok(Some(rest)),
    }
}

/// `(status, headers, body)`, or `(status, body)`.
fn split<'a, 'py>(parts: &'a Bound<'py, PyTuple>) -> PyResult<(u16, Fields, Borrowed<'a, 'py, PyAny>)> {
    match parts.len() {
        3 => {
            let (code, headers) = (parts.get_borrowed_item(0)?, parts.get_borrowed_item(1)?);
            Ok((status(&code)?, Fields::read(&headers)?, parts.get_borrowed_item(2)?))
        }
        2 => {
            let code = parts.get_borrowed_item(0)?;
            Ok((status(&code)?, Fields::default(), parts.get_borrowed_item(1)?))
        }
        other => Err(PyTypeError::new_err(format!(
            "a tuple answer is (status, body) or (status, headers, body), not {other} items"
        ))),
    }
}

fn of_response(py: Python<'_>, response: &Response) -> PyResult<Rest> {
    let fields = Fields::read(response.headers.bind(py))?;
    let trailers = response.trailers.as_ref().map(|trailers| trailers.clone_ref(py));
    rest(response.status, fields, response.body.bind(py), trailers)
}

fn status(value: &Bound<'_, PyAny>) -> PyResult<u16> {
    value.extract().map_err(|_| {
        let shown = value.repr().map_or_else(|_| "?".into(), |repr| repr.to_string());
        PyValueError::new_err(format!("status code {shown} is out of range: 200 to 599"))
    })
}

fn rest(
    status: u16,
    mut fields: Fields,
    body: &Bound<'_, PyAny>,
    trailers: Option<Py<PyAny>>,
) -> PyResult<Rest> {
    let py = body.py();
    let content = if let Ok(octets) = body.cast::<PyBytes>() {
        Content::Octets(octets.clone().unbind())
    } else if let Ok(text) = body.cast::<PyString>() {
        // We chose the encoding, so nobody else could name it.
        fields.or_insert(b"content-type", b"text/plain; charset=utf-8");
        Content::Octets(PyBytes::new(py, text.to_str()?.as_bytes()).unbind())
    } else if body.is_instance_of::<PyByteArray>() || body.is_instance_of::<PyMemoryView>() {
        Content::Octets(octets_of(body)?.unbind())
    } else if is_path(body)? {
        fields.or_insert(b"content-type", media_type(body)?.as_bytes());
        Content::File(body.extract()?)
    } else if body.hasattr(intern!(py, "__aiter__"))? {
        Content::AsyncIterable(body.clone().unbind())
    } else if !body.is_none() && !body.is_instance_of::<PyDict>() && body.hasattr(intern!(py, "__iter__"))? {
        Content::Iterable(body.clone().unbind())
    } else {
        let kind = body.get_type().name()?;
        return Err(PyTypeError::new_err(format!(
            "{kind} is no answer: bytes, str, Response, iterator, Path or a tuple"
        )));
    };
    Ok(Rest { status, fields, content, trailers })
}

/// The octets of a bytes-like object; only bytes come without a copy.
pub(crate) fn octets_of<'py>(data: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyBytes>> {
    if let Ok(octets) = data.cast::<PyBytes>() {
        return Ok(octets.clone());
    }
    if !(data.is_instance_of::<PyByteArray>() || data.is_instance_of::<PyMemoryView>()) {
        let kind = data.get_type().name()?;
        return Err(PyTypeError::new_err(format!("content is bytes, bytearray or memoryview, not {kind}")));
    }
    Ok(data.py().get_type::<PyBytes>().call1((data,))?.cast_into()?)
}

fn is_path(body: &Bound<'_, PyAny>) -> PyResult<bool> {
    static PATH: PyOnceLock<Py<PyType>> = PyOnceLock::new();
    body.is_instance(PATH.import(body.py(), "pathlib", "PurePath")?)
}

fn media_type(path: &Bound<'_, PyAny>) -> PyResult<String> {
    let py = path.py();
    let guess =
        py.import(intern!(py, "mimetypes"))?.call_method1(intern!(py, "guess_type"), (path.str()?,))?;
    let (kind, encoding): (Option<String>, Option<String>) = guess.extract()?;
    // A compressed file is not of its inner type unless content-encoding says so, which is the program's choice.
    Ok(kind.filter(|_| encoding.is_none()).unwrap_or_else(|| "application/octet-stream".into()))
}

fn respond(request: &Request, status: u16, fields: &Fields, octets: &Bound<'_, PyBytes>) -> PyResult<()> {
    let content = octets.as_bytes();
    let body = if content.len() <= COPIED_BODY {
        Body::Copied(content)
    } else {
        Body::Owned(Bytes::from_owner(PyBackedBytes::from(octets.clone())))
    };
    request
        .complete(|request| request.respond(status, fields.iter(), body))
        .map_err(|error| errors::of_request(octets.py(), error))
}
