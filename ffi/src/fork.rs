//! Whether this process is the one that made an object. A child of `fork` has our memory but none of our threads: locks may
//! be held for ever and answers go nowhere, so every inherited object is refused before any of its locks is touched, while
//! objects that the child makes itself work.

use std::sync::Once;
use std::sync::atomic::{AtomicU32, Ordering};

use crate::status::Code;

/// How many forks lie between the first process and this one, counted since [`watch`].
static GENERATION: AtomicU32 = AtomicU32::new(0);

/// Async-signal-safe, as a child handler of a threaded process must be: one atomic addition.
extern "C" fn in_child() {
    GENERATION.fetch_add(1, Ordering::Relaxed);
}

/// Counts forks from now on. A handler costs nothing per call of ours, where asking for the process id is a system call.
fn watch() {
    static WATCH: Once = Once::new();
    WATCH.call_once(|| {
        // SAFETY: the handler is an `extern "C"` function without arguments that lives as long as the library, which is
        // never unloaded (nodelete). Out of memory, the one failure, leaves forks unnoticed.
        let _ = unsafe { libc::pthread_atfork(None, None, Some(in_child)) };
    });
}

pub(crate) fn generation() -> u32 {
    GENERATION.load(Ordering::Relaxed)
}

/// The process that an object was made in.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Home(u32);

impl Home {
    pub(crate) fn here() -> Self {
        watch();
        Self(generation())
    }

    pub(crate) fn is_here(self) -> bool {
        self.0 == generation()
    }

    /// `E_FORKED` in a child of that process.
    pub(crate) fn check(self) -> Result<(), Code> {
        if self.is_here() { Ok(()) } else { Err(Code::Forked) }
    }
}
