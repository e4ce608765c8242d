//! Driving a streamed answer from a thread that may block: iterators and files. On an event loop `_aio.py` does the same.

use std::fs::File;
use std::io::Read;

use bartizan::RequestError;
use pyo3::exceptions::PyTypeError;
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::PyBytes;

use crate::answer::{Content, Rest, octets_of};
use crate::errors;
use crate::fields::Fields;
use crate::request::Request;
use crate::threads;

/// Octets of a file per read: as much as the core lets wait for the peer.
const FILE_CHUNK: usize = 64 * 1024;

/// Sends the answer to its end.
pub(crate) fn pump(request: &Bound<'_, Request>, rest: Rest) -> PyResult<()> {
    let (py, request) = (request.py(), request.get());
    let Rest { status, fields, content, trailers } = rest;
    match content {
        Content::Octets(octets) => {
            begin(py, request, status, &fields, None)?;
            write(py, request, octets.bind(py).as_bytes())?;
        }
        Content::Iterable(iterable) => {
            let iterator = iterable.bind(py).try_iter()?;
            let sent = each(py, request, status, &fields, &iterator);
            if sent.is_err()
                && let Some(close) = iterator.getattr_opt(intern!(py, "close"))?
            {
                // A generator's `finally` runs now, not when it is collected.
                close.call0()?;
            }
            sent?;
        }
        Content::File(path) => {
            let mut chunk = vec![0; FILE_CHUNK];
            // Read before the head goes out: a directory can be opened, and only then cannot be read.
            let opened = threads::detached(py, || -> std::io::Result<_> {
                let mut file = File::open(&path)?;
                let length = file.metadata()?.len();
                let octets = file.read(&mut chunk)?;
                Ok((file, length, octets))
            });
            let (mut file, length, mut octets) = opened.map_err(|error| errors::of_file(&path, &error))?;
            begin(py, request, status, &fields, Some(length))?;
            let handle = request.share().map_err(|error| errors::of_request(py, error))?;
            threads::detached(py, || -> std::io::Result<Result<(), RequestError>> {
                while octets > 0 {
                    if let Err(error) = write_all(&handle, &chunk[..octets]) {
                        return Ok(Err(error));
                    }
                    octets = file.read(&mut chunk)?;
                }
                Ok(Ok(()))
            })
            .map_err(|error| errors::of_file(&path, &error))?
            .map_err(|error| errors::of_request(py, error))?;
        }
        Content::AsyncIterable(_) => {
            return Err(PyTypeError::new_err("an asynchronous iterator needs an async handler"));
        }
    }
    let trailers = trailer_items(py, trailers)?;
    request.complete(|request| request.finish(trailers.iter())).map_err(|error| errors::of_request(py, error))
}

/// The head goes out with the first piece, so that an iterator that fails at once is still a 500.
fn each(
    py: Python<'_>,
    request: &Request,
    status: u16,
    fields: &Fields,
    iterator: &Bound<'_, PyAny>,
) -> PyResult<()> {
    let mut begun = false;
    for piece in iterator.try_iter()? {
        let piece: Bound<'_, PyBytes> = octets_of(&piece?)?;
        if !begun {
            begin(py, request, status, fields, None)?;
            begun = true;
        }
        write(py, request, piece.as_bytes())?;
    }
    if begun { Ok(()) } else { begin(py, request, status, fields, None) }
}

fn begin(
    py: Python<'_>,
    request: &Request,
    status: u16,
    fields: &Fields,
    length: Option<u64>,
) -> PyResult<()> {
    request
        .act(|request| request.begin(status, fields.iter(), length))
        .map_err(|error| errors::of_request(py, error))
}

fn write(py: Python<'_>, request: &Request, octets: &[u8]) -> PyResult<()> {
    let handle = request.share().map_err(|error| errors::of_request(py, error))?;
    threads::detached(py, || write_all(&handle, octets)).map_err(|error| errors::of_request(py, error))
}

fn write_all(request: &bartizan::Request, mut octets: &[u8]) -> Result<(), RequestError> {
    while !octets.is_empty() {
        let taken = request.write(octets, None)?;
        octets = &octets[taken..];
    }
    Ok(())
}

/// What a `Response` was given as trailers, called if it is a callable.
pub(crate) fn trailer_items(py: Python<'_>, trailers: Option<Py<PyAny>>) -> PyResult<Fields> {
    let Some(trailers) = trailers else { return Ok(Fields::default()) };
    let trailers = trailers.bind(py);
    if trailers.is_callable() { Fields::read(&trailers.call0()?) } else { Fields::read(trailers) }
}
