//! The status of a call, and the names of everything that C sees as a number: static texts that outlive every object.
//! What a failed set-up call says in words is `error.rs`.

use std::ffi::{CStr, CString, c_char};
use std::ptr;
use std::sync::OnceLock;

use bartizan_core::{Error, ErrorKind, Phase, Reason, RequestError};

/// Result of a call: 0 ok, > 0 informational (EOF, AGAIN), < 0 error. On error nothing changed.
pub type Status = i32;

pub(crate) const OK: Status = 0;
pub(crate) const EOF: Status = 1;
pub(crate) const AGAIN: Status = 2;

/// The version of the ABI: `BARTIZAN_ABI`.
pub(crate) const ABI: u32 = 0;

/// Why a call failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(i32)]
pub(crate) enum Code {
    Null = -1,
    Value = -2,
    Struct = -3,
    Option = -4,
    Handle = -5,
    State = -6,
    Cancelled = -7,
    Deadlock = -8,
    Forked = -9,
    Closed = -10,
    Timeout = -11,
    Limit = -12,
    Tls = -13,
    Io = -14,
    Unsupported = -15,
    Panic = -16,
    Refused = -17,
}

impl Code {
    pub(crate) const fn status(self) -> Status {
        self as Status
    }
}

impl From<&Error> for Code {
    fn from(error: &Error) -> Self {
        match error.kind() {
            ErrorKind::Option => Self::Option,
            ErrorKind::Value => Self::Value,
            ErrorKind::State => Self::State,
            ErrorKind::Tls => Self::Tls,
            ErrorKind::Io => Self::Io,
            // A kind that this binding does not know yet.
            _ => Self::Value,
        }
    }
}

impl From<RequestError> for Code {
    fn from(error: RequestError) -> Self {
        match error {
            RequestError::Value(_) => Self::Value,
            RequestError::Option(_) => Self::Option,
            RequestError::State(_) => Self::State,
            RequestError::Cancelled(_) => Self::Cancelled,
            RequestError::TooLarge => Self::Limit,
            RequestError::TimedOut => Self::Timeout,
            RequestError::Deadlock => Self::Deadlock,
            // An error that this binding does not know yet.
            _ => Self::Value,
        }
    }
}

/// Every status by name, without the prefix.
const NAMES: [(Status, &CStr); 20] = [
    (OK, c"OK"),
    (EOF, c"EOF"),
    (AGAIN, c"AGAIN"),
    (Code::Null.status(), c"E_NULL"),
    (Code::Value.status(), c"E_VALUE"),
    (Code::Struct.status(), c"E_STRUCT"),
    (Code::Option.status(), c"E_OPTION"),
    (Code::Handle.status(), c"E_HANDLE"),
    (Code::State.status(), c"E_STATE"),
    (Code::Cancelled.status(), c"E_CANCELLED"),
    (Code::Deadlock.status(), c"E_DEADLOCK"),
    (Code::Forked.status(), c"E_FORKED"),
    (Code::Closed.status(), c"E_CLOSED"),
    (Code::Timeout.status(), c"E_TIMEOUT"),
    (Code::Limit.status(), c"E_LIMIT"),
    (Code::Tls.status(), c"E_TLS"),
    (Code::Io.status(), c"E_IO"),
    (Code::Unsupported.status(), c"E_UNSUPPORTED"),
    (Code::Panic.status(), c"E_PANIC"),
    (Code::Refused.status(), c"E_REFUSED"),
];

/// The library's version: major << 16 | minor << 8 | patch.
///
/// @own nothing.
/// @null takes no pointer.
/// @thread any, also after fork.
/// @life nothing outlives the call.
/// @err none.
#[unsafe(no_mangle)]
pub extern "C" fn bartizan_version() -> u32 {
    const fn number(text: &str) -> u32 {
        let mut number = 0;
        let mut at = 0;
        while at < text.len() {
            number = number * 10 + (text.as_bytes()[at] - b'0') as u32;
            at += 1;
        }
        number
    }
    const MAJOR: u32 = number(env!("CARGO_PKG_VERSION_MAJOR"));
    const MINOR: u32 = number(env!("CARGO_PKG_VERSION_MINOR"));
    const PATCH: u32 = number(env!("CARGO_PKG_VERSION_PATCH"));
    MAJOR << 16 | MINOR << 8 | PATCH
}

/// The library's version as text, such as "0.1.0".
///
/// @own the text is the library's.
/// @null takes no pointer.
/// @thread any, also after fork.
/// @life for ever.
/// @err none.
#[unsafe(no_mangle)]
pub extern "C" fn bartizan_version_text() -> *const c_char {
    const TEXT: &CStr = match CStr::from_bytes_with_nul(concat!(env!("CARGO_PKG_VERSION"), "\0").as_bytes()) {
        Ok(text) => text,
        Err(_) => c"",
    };
    TEXT.as_ptr()
}

/// Whether the loaded library serves programs compiled against this header: pass BARTIZAN_ABI.
///
/// @own nothing.
/// @null takes no pointer.
/// @thread any; never blocks.
/// @life nothing outlives the call.
/// @err E_UNSUPPORTED if it does not; then call nothing else.
#[unsafe(no_mangle)]
pub extern "C" fn bartizan_abi_check(header_abi: u32) -> Status {
    if header_abi == ABI { OK } else { Code::Unsupported.status() }
}

/// The name of a status, such as "E_VALUE"; "unknown" for any other number. Never NULL.
///
/// @own the text is the library's.
/// @null takes no pointer.
/// @thread any; never blocks.
/// @life for ever.
/// @err none.
#[unsafe(no_mangle)]
pub extern "C" fn bartizan_status_name(status: Status) -> *const c_char {
    let known = NAMES.iter().find(|(known, _)| *known == status);
    known.map_or(c"unknown", |(_, name)| name).as_ptr()
}

/// The name of a phase, such as "header"; ids count from 0, NULL past the end.
///
/// @own the text is the library's.
/// @null takes no pointer.
/// @thread any; never blocks.
/// @life for ever.
/// @err none.
#[unsafe(no_mangle)]
pub extern "C" fn bartizan_phase_name(phase: u32) -> *const c_char {
    static NAMES: OnceLock<Vec<CString>> = OnceLock::new();
    let names = NAMES.get_or_init(|| Phase::ALL.iter().map(|phase| c_string(phase.name())).collect());
    names.get(phase as usize).map_or(ptr::null(), |name| name.as_ptr())
}

/// The name of a reason, such as "header.timeout"; ids count from 1, 0 is "none", NULL past the end.
///
/// @own the text is the library's.
/// @null takes no pointer.
/// @thread any; never blocks.
/// @life for ever.
/// @err none.
#[unsafe(no_mangle)]
pub extern "C" fn bartizan_reason_name(reason: u32) -> *const c_char {
    static NAMES: OnceLock<Vec<CString>> = OnceLock::new();
    let names = NAMES.get_or_init(|| {
        std::iter::once("none").chain(Reason::ALL.iter().map(|reason| reason.name())).map(c_string).collect()
    });
    names.get(reason as usize).map_or(ptr::null(), |name| name.as_ptr())
}

/// Text for C. A NUL inside, which only text from outside can hold, is shown as the escape that people know.
pub(crate) fn c_string(text: impl AsRef<str>) -> CString {
    CString::new(text.as_ref().replace('\0', "\\0")).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(name: *const c_char) -> Option<&'static str> {
        // SAFETY: the functions under test return NULL or a static NUL-terminated text.
        (!name.is_null()).then(|| unsafe { CStr::from_ptr(name) }.to_str().unwrap())
    }

    #[test]
    fn every_status_has_its_own_name_and_others_are_unknown() {
        assert_eq!(text(bartizan_status_name(0)), Some("OK"));
        assert_eq!(text(bartizan_status_name(-2)), Some("E_VALUE"));
        assert_eq!(text(bartizan_status_name(-17)), Some("E_REFUSED"));
        for status in [3, -18, Status::MIN, Status::MAX] {
            assert_eq!(text(bartizan_status_name(status)), Some("unknown"));
        }
        let mut statuses: Vec<_> = NAMES.iter().map(|(status, _)| *status).collect();
        statuses.sort_unstable();
        assert!(statuses.iter().copied().eq(-17..=2));
    }

    #[test]
    fn phases_count_from_zero_and_reasons_from_one() {
        assert_eq!(text(bartizan_phase_name(0)), Some("proxy"));
        assert_eq!(text(bartizan_phase_name(Phase::COUNT as u32 - 1)), Some("streams"));
        assert_eq!(text(bartizan_phase_name(Phase::COUNT as u32)), None);
        assert_eq!(text(bartizan_reason_name(0)), Some("none"));
        assert_eq!(text(bartizan_reason_name(1)), Some("complete"));
        assert_eq!(text(bartizan_reason_name(Reason::COUNT as u32)), Some("internal"));
        assert_eq!(text(bartizan_reason_name(Reason::COUNT as u32 + 1)), None);
        assert_eq!(text(bartizan_reason_name(u32::MAX)), None);
    }

    #[test]
    fn the_version_is_cargos() {
        let number = bartizan_version();
        let text = text(bartizan_version_text()).unwrap();
        assert_eq!(text, format!("{}.{}.{}", number >> 16, number >> 8 & 0xff, number & 0xff));
        assert_eq!(bartizan_abi_check(ABI), OK);
        assert_eq!(bartizan_abi_check(ABI + 1), Code::Unsupported.status());
    }
}
