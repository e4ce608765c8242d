//! Why a set-up call failed, in words: an object that the program owns. Calls on the hot path return codes only; the names
//! of codes are `status.rs`.

use std::ffi::{CString, c_char};

use crate::fork::Home;
use crate::guard;
use crate::owned;
use crate::status::{Code, Status, c_string};

/// Why a set-up call failed. Owned by the program once a call has set it; read by one thread at a time.
pub struct Error {
    home: Home,
    code: Code,
    message: CString,
}

/// A failure on its way to C.
#[derive(Debug)]
pub(crate) struct Fault {
    pub(crate) code: Code,
    pub(crate) message: String,
}

impl Fault {
    pub(crate) fn new(code: Code, message: impl Into<String>) -> Self {
        Self { code, message: message.into() }
    }

    pub(crate) fn into_error(self) -> Box<Error> {
        owned::give(Error { home: Home::here(), code: self.code, message: c_string(self.message) })
    }
}

impl Code {
    /// The same failure in words, about one argument.
    pub(crate) fn about(self, argument: &str) -> Fault {
        let deed = match self {
            Self::Null => "is NULL",
            Self::Value => "is malformed",
            Self::Struct => "has a struct_size that this library does not know",
            Self::Handle => "is no live id",
            Self::Forked => "was made before fork(): a child makes its own",
            Self::Panic => "met a bug of the library, which was caught",
            _ => "cannot be used now",
        };
        Fault::new(self, format!("{argument} {deed}"))
    }
}

impl From<bartizan_core::error::Error> for Fault {
    fn from(error: bartizan_core::error::Error) -> Self {
        Self::new(Code::from(&error), error.to_string())
    }
}

/// The status that the failed call returned.
///
/// @own the error stays the program's.
/// @null E_NULL.
/// @thread one at a time.
/// @life nothing outlives the call.
/// @err E_NULL for NULL; E_FORKED in a child of the process that got the error.
#[unsafe(no_mangle)]
pub extern "C" fn bartizan_error_code(error: Option<&Error>) -> Status {
    guard::status(|| {
        let error = error.ok_or(Code::Null)?;
        error.home.check()?;
        Ok(error.code.status())
    })
}

/// What went wrong, in English and UTF-8, with key, value and range, or address. The text is the error's: it lives until
/// bartizan_error_free. Never NULL; for NULL, or after `fork`, a static text that says so.
///
/// @own the text is the error's.
/// @null gives a static text.
/// @thread one at a time.
/// @life until bartizan_error_free.
/// @err none: never NULL.
#[unsafe(no_mangle)]
pub extern "C" fn bartizan_error_message(error: Option<&Error>) -> *const c_char {
    let text = match error {
        None => c"no error",
        Some(error) if !error.home.is_here() => c"this error was made before fork()",
        Some(error) => error.message.as_c_str(),
    };
    text.as_ptr()
}

/// Frees an error that a call has set.
///
/// @own takes the error.
/// @null ignored.
/// @thread any; no other call on it may be running.
/// @life its text ends with it.
/// @err none.
#[unsafe(no_mangle)]
pub extern "C" fn bartizan_error_free(error: *mut Error) {
    guard::free(error, |error| error.home, drop);
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::ffi::CStr;

    #[test]
    fn a_nul_inside_a_message_is_shown_and_does_not_cut_it() {
        let error = Fault::new(Code::Value, "key a\0b is malformed").into_error();
        // SAFETY: the message is a NUL-terminated text that lives as long as the error.
        let message = unsafe { CStr::from_ptr(bartizan_error_message(Some(&error))) };
        assert_eq!(message.to_str().unwrap(), "key a\\0b is malformed");
        assert_eq!(bartizan_error_code(Some(&error)), Code::Value.status());
        bartizan_error_free(Box::into_raw(error));
        bartizan_error_free(std::ptr::null_mut());
        assert_eq!(bartizan_error_code(None), Code::Null.status());
    }
}
