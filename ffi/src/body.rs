//! Content of a request for C: pulled with a time-out, or by readiness (arm, peek, consume). Content that came complete stands
//! in the view as well. Windows, limits and clocks are core's.

use std::ffi::c_void;
use std::mem::MaybeUninit;
use std::sync::atomic::{AtomicBool, Ordering};

use bartizan_core::Read;
use bytes::Bytes;

use crate::borrow::{Header, buffer};
use crate::guard::lock;
use crate::ids::{self, hold, with};
use crate::queue::patience;
use crate::status::{AGAIN, Code, EOF, OK, Status};
use crate::view::{Held, RequestId, Trailers};

/// Copies content into `buf`, waiting at most `timeout_ms` (0 = not at all, -1 = for ever). OK: *n > 0 octets. EOF: the
/// content is complete. AGAIN: nothing now (timeout 0).
///
/// @own buf is the program's, and not written to after the call.
/// @null E_NULL.
/// @thread any; blocks with a timeout.
/// @life nothing outlives the call.
/// @err E_TIMEOUT; E_LIMIT when it meets max_body_bytes, and E_CANCELLED afterwards: the library sends 413; E_STATE while
///   another thread reads; E_NULL, E_VALUE (cap 0, timeout below -1), E_HANDLE, E_CANCELLED, E_DEADLOCK on a reactor thread
///   with a timeout.
#[unsafe(no_mangle)]
pub extern "C" fn bartizan_body_read(
    request: RequestId,
    buf: *mut c_void,
    cap: usize,
    timeout_ms: i64,
    n: Option<&mut MaybeUninit<usize>>,
) -> Status {
    ids::call(request, || {
        let n = n.ok_or(Code::Null)?.write(0);
        if buf.is_null() {
            return Err(Code::Null);
        }
        let buffer = buffer(buf, cap)?;
        let patience = patience(timeout_ms)?;
        if buffer.is_empty() {
            return Err(Code::Value);
        }
        let held = hold(request)?;
        let _reader = Reader::only(&held.reading)?;
        unpeek(&held);
        match held.request()?.read(buffer, patience)? {
            Read::Octets(octets) => {
                *n = octets;
                Ok(OK)
            }
            Read::End => Ok(EOF),
            Read::Again => Ok(AGAIN),
        }
    })
}

/// The one reader of a request's content, while it reads.
struct Reader<'a>(&'a AtomicBool);

impl<'a> Reader<'a> {
    fn only(reading: &'a AtomicBool) -> Result<Self, Code> {
        if reading.swap(true, Ordering::Acquire) { Err(Code::State) } else { Ok(Self(reading)) }
    }
}

impl Drop for Reader<'_> {
    fn drop(&mut self) {
        self.0.store(false, Ordering::Release);
    }
}

/// What was peeked at may go now.
fn unpeek(held: &Held) {
    *lock(&held.peeked) = Bytes::new();
}

/// Shows the content that is here without taking it: *ptr is valid until the next consume, read or release; the program
/// orders its own peek and consume. OK: *len > 0. EOF: complete. AGAIN: nothing now.
///
/// @own *ptr points into the request.
/// @null E_NULL.
/// @thread any; never blocks.
/// @life until the next consume, read or release.
/// @err E_LIMIT, E_CANCELLED as for bartizan_body_read; E_NULL, E_HANDLE.
#[unsafe(no_mangle)]
pub extern "C" fn bartizan_body_peek(
    request: RequestId,
    ptr: Option<&mut MaybeUninit<*const c_void>>,
    len: Option<&mut MaybeUninit<usize>>,
) -> Status {
    ids::call(request, || {
        let len = len.ok_or(Code::Null)?.write(0);
        let ptr = ptr.ok_or(Code::Null)?;
        with(request, |held| {
            let (octets, state) = held.request()?.peek()?;
            match state {
                Read::Octets(count) => {
                    ptr.write(octets.as_ptr().cast());
                    *len = count;
                    *lock(&held.peeked) = octets;
                    Ok(OK)
                }
                Read::End => Ok(EOF),
                Read::Again => Ok(AGAIN),
            }
        })
    })
}

/// Takes the first `n` octets of the content that is here, so that the peer may send more.
///
/// @own nothing moves.
/// @null takes no pointer.
/// @thread any; never blocks.
/// @life nothing outlives the call.
/// @err E_HANDLE, E_VALUE if there are fewer.
#[unsafe(no_mangle)]
pub extern "C" fn bartizan_body_consume(request: RequestId, n: usize) -> Status {
    ids::call(request, || {
        with(request, |held| {
            held.request()?.consume(n)?;
            unpeek(held);
            Ok(OK)
        })
    })
}

/// Asks for one BARTIZAN_EV_BODY, or one call of on_ready, when content is readable, complete, or will not come.
///
/// @own nothing moves.
/// @null takes no pointer.
/// @thread any; never blocks.
/// @life nothing outlives the call.
/// @err E_HANDLE, E_STATE with neither a queue nor on_ready, E_CANCELLED.
#[unsafe(no_mangle)]
pub extern "C" fn bartizan_body_arm(request: RequestId) -> Status {
    ids::call(request, || {
        with(request, |held| Ok(held.request()?.arm_content()?))?;
        Ok(OK)
    })
}

/// The trailer fields, which live until the request is released.
///
/// @own *trailers points into the request.
/// @null E_NULL.
/// @thread any; never blocks.
/// @life until the last release.
/// @err E_NULL, E_HANDLE, E_STATE before EOF.
#[unsafe(no_mangle)]
pub extern "C" fn bartizan_body_trailers(
    request: RequestId,
    trailers: Option<&mut MaybeUninit<*const Header>>,
    n: Option<&mut MaybeUninit<usize>>,
) -> Status {
    ids::call(request, || {
        let n = n.ok_or(Code::Null)?.write(0);
        let trailers = trailers.ok_or(Code::Null)?;
        with(request, |held| {
            if held.trailers.get().is_none() {
                let fields = held.request()?.trailers()?;
                // Another thread may be first; the fields are the same.
                let _ = held.trailers.set(Trailers::new(fields));
            }
            let headers = held.trailers.get().map_or(&[][..], Trailers::headers);
            trailers.write(headers.as_ptr());
            *n = headers.len();
            Ok(OK)
        })
    })
}
