//! The edge itself: no panic crosses it, results leave through it, and errors are written on it. What comes in through
//! pointers is `borrow.rs`.

use std::mem::MaybeUninit;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Mutex, MutexGuard, Once, PoisonError};

use crate::error::{Error, Fault};
use crate::fork::Home;
use crate::owned;
use crate::status::{Code, OK, Status};

/// Runs the inside of a call; a panic, which is a bug of ours, comes out as `None`.
fn caught<T>(call: impl FnOnce() -> T) -> Option<T> {
    silence();
    // Whatever the call left half done is behind a lock whose poison `lock` ignores, or owned by the call alone.
    catch_unwind(AssertUnwindSafe(call)).ok()
}

/// The host's stderr is the host's. The library has its own copy of std, so every panic that would write there is ours, and
/// is caught and told with its place in the log. Not in tests, which share theirs with the harness.
fn silence() {
    static SILENCE: Once = Once::new();
    if !cfg!(test) {
        SILENCE.call_once(|| {
            std::panic::set_hook(Box::new(|panic| bartizan_core::note_panic(panic.location())))
        });
    }
}

/// A call that answers with a code alone.
pub(crate) fn status(call: impl FnOnce() -> Result<Status, Code>) -> Status {
    match caught(call) {
        Some(Ok(status)) => status,
        Some(Err(code)) => code.status(),
        None => Code::Panic.status(),
    }
}

/// A call about a server or a request; after a bug of ours `poison` drains the server behind it.
pub(crate) fn drained(call: impl FnOnce() -> Result<Status, Code>, poison: impl FnOnce()) -> Status {
    let status = status(call);
    if status == Code::Panic.status() {
        // A second panic has nothing more to drain.
        let _ = caught(poison);
    }
    status
}

/// A set-up call: on failure, and only then, `err` receives an error that the program owns.
pub(crate) fn set_up(
    err: Option<&mut MaybeUninit<Box<Error>>>,
    call: impl FnOnce() -> Result<(), Fault>,
) -> Status {
    let result = caught(call).unwrap_or_else(|| {
        Err(Fault::new(Code::Panic, "a bug of the library was caught; its servers should be stopped"))
    });
    let Err(fault) = result else { return OK };
    let code = fault.code;
    if let Some(err) = err {
        err.write(fault.into_error());
    }
    code.status()
}

/// A call that gives an object or a number, or `nothing` after a bug of ours.
pub(crate) fn value<T>(nothing: T, call: impl FnOnce() -> T) -> T {
    caught(call).unwrap_or(nothing)
}

/// Ends an object. One that was inherited through `fork` is leaked: what it holds is the parent's to end.
pub(crate) fn free<T: 'static>(object: *mut T, home: impl FnOnce(&T) -> Home, end: impl FnOnce(Box<T>)) {
    let Some(object) = owned::take_back(object) else { return };
    if home(&object).is_here() {
        // A panic while freeing has nobody to be told to; what was left is leaked.
        let _ = caught(|| end(object));
    } else {
        std::mem::forget(object);
    }
}

/// Locks; a panic of ours elsewhere was caught and told, it must not spread through a poisoned lock.
pub(crate) fn lock<T: ?Sized>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Calls the program. A C++ exception that escapes it must not unwind through our frames, which are left half done: the
/// process aborts, with the runtime's message.
pub(crate) fn call_out<T>(callback: impl FnOnce() -> T) -> T {
    struct NoWayOut;
    impl Drop for NoWayOut {
        fn drop(&mut self) {
            // A host that sees its process end is owed the reason.
            eprintln!("bartizan: an exception left a callback; callbacks must not throw");
            std::process::abort();
        }
    }
    let abort = NoWayOut;
    let result = callback();
    std::mem::forget(abort);
    result
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_becomes_a_status() {
        assert_eq!(status(|| panic!("a bug")), Code::Panic.status());
        assert_eq!(value(7, || panic!("a bug")), 7);
        let mut err = MaybeUninit::uninit();
        assert_eq!(set_up(Some(&mut err), || panic!("a bug")), Code::Panic.status());
        // SAFETY: a failed call has written the error.
        let error = unsafe { err.assume_init() };
        assert_eq!(crate::error::bartizan_error_code(Some(&error)), Code::Panic.status());
    }

    #[test]
    fn success_leaves_the_error_alone() {
        let mut err = MaybeUninit::uninit();
        assert_eq!(set_up(Some(&mut err), || Ok(())), OK);
        assert_eq!(set_up(None, || Err(Code::Null.about("key"))), Code::Null.status());
    }
}
