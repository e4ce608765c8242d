//! Answers from C: in one piece, copied or owned, or begun, written and finished. Framing and hop-by-hop fields are the
//! library's; which fields and octets are refused is decided in core.

use std::ffi::c_void;
use std::mem::MaybeUninit;
use std::sync::Arc;
use std::time::Duration;

use bartizan_core::Body;

use crate::borrow::{Header, fields, octets};
use crate::given::{DropFn, UserData, owned_content};
use crate::ids::{self, hold, with};
use crate::queue::patience;
use crate::status::{AGAIN, Code, OK, Status};
use crate::view::RequestId;

/// A status code that fits; core knows which ones it takes.
fn code_of(code: u32) -> Result<u16, Code> {
    u16::try_from(code).map_err(|_| Code::Value)
}

/// Answers in one piece; headers and body are copied.
///
/// @own headers and body are copied.
/// @null allowed for headers and body of no elements.
/// @thread any; never blocks.
/// @life nothing outlives the call.
/// @err E_NULL, E_VALUE (code, forbidden field or octet), E_HANDLE, E_STATE if answered already, E_CANCELLED.
#[unsafe(no_mangle)]
pub extern "C" fn bartizan_respond(
    request: RequestId,
    code: u32,
    headers: *const Header,
    count: usize,
    body: *const c_void,
    len: usize,
) -> Status {
    ids::call(request, || {
        let (code, fields) = (code_of(code)?, fields(headers, count)?);
        let body = Body::Copied(octets(body, len)?);
        with(request, |held| Ok(held.request()?.respond(code, fields, body)?))?;
        Ok(OK)
    })
}

/// Answers in one piece without a copy. With a queue `body` comes back as BARTIZAN_EV_DROP after a success.
///
/// @own headers are copied; body stays the program's and is lent until drop.
/// @null allowed for drop, drop_arg, headers and body of no elements.
/// @thread any; never blocks.
/// @life body until drop(drop_arg), which runs once, also on failure.
/// @err as for bartizan_respond.
#[unsafe(no_mangle)]
pub extern "C" fn bartizan_respond_owned(
    request: RequestId,
    code: u32,
    headers: *const Header,
    count: usize,
    body: *const c_void,
    len: usize,
    drop: DropFn,
    drop_arg: *mut c_void,
) -> Status {
    let user_data = UserData::new(drop_arg, drop);
    ids::call(request, || {
        let (code, fields) = (code_of(code)?, fields(headers, count)?);
        let content = octets(body, len)?;
        let held = hold(request)?;
        let user_data = Arc::new(user_data);
        if let Some(queue) = held.queue() {
            user_data.return_to(queue);
        }
        let body = Body::Owned(owned_content(content, user_data.clone(), held.request()?.exchange()));
        let sent = held.request()?.respond(code, fields, body);
        if sent.is_err()
            && let Some(user_data) = Arc::into_inner(user_data)
        {
            user_data.return_at_once();
        }
        sent?;
        Ok(OK)
    })
}

/// Sends an informational response, such as 103 early hints, before the answer.
///
/// @own headers are copied.
/// @null allowed for headers of no elements.
/// @thread any; never blocks.
/// @life nothing outlives the call.
/// @err E_NULL, E_VALUE (code not 102 to 199), E_HANDLE, E_STATE, E_CANCELLED.
#[unsafe(no_mangle)]
pub extern "C" fn bartizan_response_informational(
    request: RequestId,
    code: u32,
    headers: *const Header,
    count: usize,
) -> Status {
    ids::call(request, || {
        let (code, fields) = (code_of(code)?, fields(headers, count)?);
        with(request, |held| Ok(held.request()?.inform(code, fields)?))?;
        Ok(OK)
    })
}

/// Begins an answer that is written piece by piece; `content_length` is announced and then enforced, -1 = unknown.
///
/// @own headers are copied.
/// @null allowed for headers of no elements.
/// @thread any; never blocks.
/// @life nothing outlives the call.
/// @err E_NULL, E_VALUE, E_HANDLE, E_STATE, E_CANCELLED.
#[unsafe(no_mangle)]
pub extern "C" fn bartizan_response_begin(
    request: RequestId,
    code: u32,
    headers: *const Header,
    count: usize,
    content_length: i64,
) -> Status {
    ids::call(request, || {
        let (code, fields) = (code_of(code)?, fields(headers, count)?);
        let length = match content_length {
            -1 => None,
            0.. => Some(content_length.unsigned_abs()),
            _ => return Err(Code::Value),
        };
        with(request, |held| Ok(held.request()?.begin(code, fields, length)?))?;
        Ok(OK)
    })
}

/// Writes content, waiting for room at most `timeout_ms` (0 = not at all, -1 = for ever). OK: *accepted octets were copied,
/// perhaps fewer than `len`. AGAIN: none now.
///
/// @own what was accepted is copied.
/// @null allowed for buf of no octets.
/// @thread any; blocks with a timeout.
/// @life nothing outlives the call.
/// @err E_TIMEOUT, E_VALUE over the announced length, E_NULL, E_HANDLE, E_STATE before begin or after finish, E_CANCELLED,
///   E_DEADLOCK on a reactor thread with a timeout.
#[unsafe(no_mangle)]
pub extern "C" fn bartizan_response_write(
    request: RequestId,
    buf: *const c_void,
    len: usize,
    timeout_ms: i64,
    accepted: Option<&mut MaybeUninit<usize>>,
) -> Status {
    ids::call(request, || {
        let accepted = accepted.ok_or(Code::Null)?.write(0);
        let (content, patience) = (octets(buf, len)?, patience(timeout_ms)?);
        *accepted = if patience == Some(Duration::ZERO) {
            with(request, |held| Ok(held.request()?.write(content, patience)?))?
        } else {
            hold(request)?.request()?.write(content, patience)?
        };
        Ok(if *accepted == 0 && len > 0 { AGAIN } else { OK })
    })
}

/// Asks for one BARTIZAN_EV_WRITABLE, or one call of on_ready, when the answer has room, or can no longer be sent.
///
/// @own nothing moves.
/// @null takes no pointer.
/// @thread any; never blocks.
/// @life nothing outlives the call.
/// @err E_HANDLE, E_STATE before begin or with neither a queue nor on_ready, E_CANCELLED.
#[unsafe(no_mangle)]
pub extern "C" fn bartizan_response_arm(request: RequestId) -> Status {
    ids::call(request, || {
        with(request, |held| Ok(held.request()?.arm_room()?))?;
        Ok(OK)
    })
}

/// Ends an answer that was begun, with trailer fields if there are any. Short of the announced length it is aborted.
///
/// @own trailers are copied.
/// @null allowed for trailers of no elements.
/// @thread any; never blocks.
/// @life nothing outlives the call.
/// @err E_STATE before begin, after finish, or short of the announced length, E_NULL, E_VALUE, E_HANDLE, E_CANCELLED.
#[unsafe(no_mangle)]
pub extern "C" fn bartizan_response_finish(
    request: RequestId,
    trailers: *const Header,
    count: usize,
) -> Status {
    ids::call(request, || {
        let fields = fields(trailers, count)?;
        with(request, |held| Ok(held.request()?.finish(fields)?))?;
        Ok(OK)
    })
}

/// Ends the exchange without a (complete) answer: TCP reset, or on HTTP/2 RST_STREAM INTERNAL_ERROR. Nothing is logged.
///
/// @own nothing moves.
/// @null takes no pointer.
/// @thread any; never blocks.
/// @life nothing outlives the call.
/// @err E_HANDLE, E_STATE after a complete answer, E_CANCELLED.
#[unsafe(no_mangle)]
pub extern "C" fn bartizan_response_abort(request: RequestId) -> Status {
    ids::call(request, || {
        with(request, |held| Ok(held.request()?.abort()?))?;
        Ok(OK)
    })
}
