//! A request by its id: the callback that delivers it, what is known of it, its cancel, its limits, its references. Content
//! is `body.rs`, the answer `response.rs`.

use std::ffi::{c_char, c_void};
use std::mem::MaybeUninit;
use std::sync::Arc;

use bartizan_core::settings::OFF;
use bartizan_core::{Failure, Ready, Reason, Request};

use crate::borrow::{NTS, Str, text_octets};
use crate::given::{DropFn, UserData};
use crate::guard::call_out;
use crate::hooks::Call;
use crate::ids::{self, hold, with};
use crate::queue::{EV_BODY, EV_WRITABLE};
use crate::status::{Code, OK, Status};
use crate::view::{RequestId, RequestView};

/// Answers a request, at once or later from any thread. OK: answered, or kept for later. < 0: the library answers 500, with
/// E_REFUSED or E_LIMIT 503, if nothing was sent. The callback's reference is the program's: release it whatever is
/// returned. Must not throw, longjmp or fork; inline it must not block either.
pub type RequestFn =
    Option<unsafe extern "C-unwind" fn(user_data: *mut c_void, view: *const RequestView) -> Status>;

/// Told once why the exchange was cancelled. Must not block, throw, longjmp or fork.
pub type CancelFn =
    Option<unsafe extern "C-unwind" fn(user_data: *mut c_void, request: RequestId, reason: u32)>;

/// Told of armed readiness: what = BARTIZAN_EV_BODY or BARTIZAN_EV_WRITABLE. Inline on the reactor, where it must not block;
/// in workers mode on a worker. Must not throw, longjmp or fork.
pub type ReadyFn = Option<unsafe extern "C-unwind" fn(user_data: *mut c_void, request: RequestId, what: u32)>;

/// Delivers a request to the program's callback.
pub(crate) fn answer(
    callback: Call<unsafe extern "C-unwind" fn(*mut c_void, *const RequestView) -> Status>,
    request: Request,
) {
    let Some(admitted) = ids::admit(request, None, true) else { return };
    let view = admitted.view;
    // SAFETY: the program's own function with its own data; the view lives until the program releases the request.
    let status = call_out(|| unsafe { (callback.function)(callback.data, view) });
    admitted.returned((status < 0).then(|| {
        let refused = status == Code::Refused.status() || status == Code::Limit.status();
        if refused { Failure::Refused } else { Failure::Failed }
    }));
}

/// The view of a request: everything about it in one structure, the request's until it is released, also after an answer, a
/// cancel and bartizan_server_free.
///
/// @own the view is the request's.
/// @null E_NULL.
/// @thread any; never blocks.
/// @life until the last release, also after an answer, a cancel and bartizan_server_free.
/// @err E_NULL, E_HANDLE.
#[unsafe(no_mangle)]
pub extern "C" fn bartizan_request_get(
    request: RequestId,
    out: Option<&mut MaybeUninit<*const RequestView>>,
) -> Status {
    ids::call(request, || {
        let out = out.ok_or(Code::Null)?;
        out.write(with(request, |held| Ok(&raw const *held.view()))?);
        Ok(OK)
    })
}

/// The value of the `nth` field of this name, counted from 0; the name in any case. *value points into the request.
///
/// @own *value points into the request.
/// @null allowed for name of no octets.
/// @thread any; never blocks.
/// @life until the last release.
/// @err E_NULL, E_HANDLE, E_VALUE: no such field.
#[unsafe(no_mangle)]
pub extern "C" fn bartizan_request_header(
    request: RequestId,
    name: *const c_char,
    len: usize,
    nth: usize,
    value: Option<&mut MaybeUninit<Str>>,
) -> Status {
    ids::call(request, || {
        let value = value.ok_or(Code::Null)?;
        let name = text_octets(name, len)?;
        value.write(with(request, |held| {
            let head = held.request()?.exchange().head();
            head.get(name, nth).map(Str::new).ok_or(Code::Value)
        })?);
        Ok(OK)
    })
}

/// A certificate of the client's chain in DER, its own at index 0. *der points into the request.
///
/// @own *der points into the request.
/// @null E_NULL.
/// @thread any; never blocks.
/// @life until the last release.
/// @err E_NULL, E_HANDLE, E_VALUE past the end.
#[unsafe(no_mangle)]
pub extern "C" fn bartizan_request_peer_certificate(
    request: RequestId,
    index: usize,
    der: Option<&mut MaybeUninit<*const c_void>>,
    len: Option<&mut MaybeUninit<usize>>,
) -> Status {
    ids::call(request, || {
        let len = len.ok_or(Code::Null)?.write(0);
        let der = der.ok_or(Code::Null)?;
        with(request, |held| {
            let tls = held.request()?.exchange().connection().tls.as_ref();
            let chain = tls.map_or(&[][..], |tls| &tls.peer_certificates);
            let certificate = chain.get(index).ok_or(Code::Value)?;
            der.write(certificate.as_ptr().cast());
            *len = certificate.len();
            Ok(OK)
        })
    })
}

/// Whether cancel was raised: OK while the exchange lives. Lock-free. After peer.closed an answer may still go out.
///
/// @own nothing moves.
/// @null allowed for reason.
/// @thread any; never blocks.
/// @life nothing outlives the call.
/// @err E_CANCELLED with the reason in *reason, E_HANDLE.
#[unsafe(no_mangle)]
pub extern "C" fn bartizan_request_cancelled(
    request: RequestId,
    reason: Option<&mut MaybeUninit<u32>>,
) -> Status {
    ids::call(request, || match ids::cancelled(request)? {
        0 => Ok(OK),
        id => {
            // Written with an error status: here it is the answer.
            if let Some(reason) = reason {
                reason.write(id);
            }
            Err(Code::Cancelled)
        }
    })
}

/// Calls `fn` when the exchange is cancelled, on the reactor, perhaps while bartizan_request_release returns: free in
/// `drop`. If it is cancelled already, `fn` is called before return. Once per request.
///
/// @own user_data and drop move at the call, also when it fails.
/// @null allowed for user_data, drop.
/// @thread any; never blocks.
/// @life user_data until drop, after the last call.
/// @err E_NULL, E_HANDLE, E_STATE the second time or with a queue, which carries the event instead.
#[unsafe(no_mangle)]
pub extern "C" fn bartizan_request_on_cancel(
    request: RequestId,
    r#fn: CancelFn,
    user_data: *mut c_void,
    drop: DropFn,
) -> Status {
    let user_data = UserData::new(user_data, drop);
    ids::call(request, || {
        let function = r#fn.ok_or(Code::Null)?;
        let hook = move |reason: Reason| {
            // SAFETY: the program's own function with its own data.
            call_out(|| unsafe { function(user_data.data(), request, reason.id()) });
        };
        hold(request)?.request()?.on_cancel(Box::new(hook))?;
        Ok(OK)
    })
}

/// Calls `fn` for armed readiness (bartizan_body_arm, bartizan_response_arm): never inside arm nor concurrently with
/// itself, but maybe before the request callback returned. Once per request.
///
/// @own user_data and drop move at the call, also when it fails.
/// @null allowed for user_data, drop.
/// @thread any; never blocks.
/// @life user_data until drop, after the last call.
/// @err E_NULL, E_HANDLE, E_STATE the second time or with a queue, which carries events instead.
#[unsafe(no_mangle)]
pub extern "C" fn bartizan_request_on_ready(
    request: RequestId,
    r#fn: ReadyFn,
    user_data: *mut c_void,
    drop: DropFn,
) -> Status {
    let user_data = UserData::new(user_data, drop);
    ids::call(request, || {
        let function = r#fn.ok_or(Code::Null)?;
        let hook = move |ready| {
            let what = match ready {
                Ready::Content => EV_BODY,
                Ready::Room => EV_WRITABLE,
            };
            // SAFETY: the program's own function with its own data.
            call_out(|| unsafe { function(user_data.data(), request, what) });
        };
        hold(request)?.request()?.on_ready(Arc::new(hook))?;
        Ok(OK)
    })
}

/// Moves a limit of level Q of this request, tighter or wider, at any time before it strikes; counted on the phase's own
/// clock, from its start.
///
/// @own what is passed in is copied.
/// @null E_NULL.
/// @thread any; never blocks.
/// @life nothing outlives the call.
/// @err E_NULL, E_HANDLE, E_OPTION, E_VALUE, E_CANCELLED.
#[unsafe(no_mangle)]
pub extern "C" fn bartizan_request_set(request: RequestId, key: *const c_char, value: i64) -> Status {
    ids::call(request, || {
        let key = key_of(key)?;
        with(request, |held| Ok(held.request()?.set_limit(key, value)?))?;
        Ok(OK)
    })
}

/// As bartizan_request_set, from the text form: "10s", "16KiB", "off".
///
/// @own what is passed in is copied.
/// @null E_NULL.
/// @thread any; never blocks.
/// @life nothing outlives the call.
/// @err E_NULL, E_HANDLE, E_OPTION, E_VALUE, E_CANCELLED.
#[unsafe(no_mangle)]
pub extern "C" fn bartizan_request_set_text(
    request: RequestId,
    key: *const c_char,
    text: *const c_char,
    len: usize,
) -> Status {
    ids::call(request, || {
        let key = key_of(key)?;
        let text = std::str::from_utf8(text_octets(text, len)?).map_err(|_| Code::Value)?;
        with(request, |held| Ok(held.request()?.set_limit_text(key, text)?))?;
        Ok(OK)
    })
}

/// The time left on the clock that a timeout of level Q bounds; BARTIZAN_OFF = none.
///
/// @own nothing moves.
/// @null E_NULL.
/// @thread any; never blocks.
/// @life nothing outlives the call.
/// @err E_NULL, E_HANDLE, E_OPTION.
#[unsafe(no_mangle)]
pub extern "C" fn bartizan_request_remaining(
    request: RequestId,
    key: *const c_char,
    ms: Option<&mut MaybeUninit<i64>>,
) -> Status {
    ids::call(request, || {
        let ms = ms.ok_or(Code::Null)?;
        let key = key_of(key)?;
        let left = with(request, |held| Ok(held.request()?.remaining(key)?))?;
        ms.write(left.map_or(OFF, |left| i64::try_from(left.as_millis()).unwrap_or(i64::MAX)));
        Ok(OK)
    })
}

fn key_of<'a>(key: *const c_char) -> Result<&'a str, Code> {
    // A key that is not UTF-8 is no setting.
    std::str::from_utf8(text_octets(key, NTS)?).map_err(|_| Code::Option)
}

/// Marks a request; its events carry the mark from now on.
///
/// @own nothing moves.
/// @null takes no pointer.
/// @thread any; never blocks.
/// @life nothing outlives the call.
/// @err E_HANDLE.
#[unsafe(no_mangle)]
pub extern "C" fn bartizan_request_tag(request: RequestId, tag: u64) -> Status {
    ids::call(request, || {
        with(request, |held| {
            held.request()?.exchange().set_tag(tag);
            Ok(OK)
        })
    })
}

/// Adds a reference, for another owner to release.
///
/// @own one reference more.
/// @null takes no pointer.
/// @thread any; never blocks.
/// @life the id lives until as many releases.
/// @err E_HANDLE.
#[unsafe(no_mangle)]
pub extern "C" fn bartizan_request_retain(request: RequestId) -> Status {
    ids::call(request, || ids::retain(request).map(|()| OK))
}

/// Gives one reference back. With the last one the id and the view end; a request without an answer gets 500, an unfinished
/// answer is aborted.
///
/// @own takes one reference.
/// @null takes no pointer.
/// @thread any; never blocks.
/// @life with the last reference id and view end.
/// @err E_HANDLE.
#[unsafe(no_mangle)]
pub extern "C" fn bartizan_request_release(request: RequestId) -> Status {
    ids::call(request, || ids::release(request).map(|()| OK))
}

/// For the probes' /panic: a panic inside the library, on request.
#[cfg(feature = "test-panic")]
#[unsafe(no_mangle)]
pub extern "C" fn bartizan_test_panic(request: RequestId) -> Status {
    ids::call(request, || panic!("asked for by bartizan_test_panic"))
}
