//! The watchdog of code of the program that runs on reactors (`inline_stall`): marks that a reactor sets around it, and a thread
//! that looks at them, since nobody else can tell of a callback that does not return. The measure of one that does is taken
//! where it is called (`dispatch.rs`).

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use crate::link::lock;
use crate::reactor::mark_worker_thread;
use crate::server::Shared;

/// What one reactor runs. A cache line of its own: it is written twice per callback.
#[derive(Debug, Default)]
#[repr(align(64))]
pub(crate) struct Mark {
    /// The number of the run, odd while code of the program runs.
    run: AtomicU64,
    /// The last run that was told of.
    told: AtomicU64,
}

impl Mark {
    /// Code of the program begins; `None` inside a run, which is watched as a whole. By the reactor's own thread.
    pub(crate) fn enter(&self) -> Option<u64> {
        let run = self.run.load(Ordering::Relaxed) + 1;
        (run % 2 == 1).then(|| {
            self.run.store(run, Ordering::Relaxed);
            run
        })
    }

    /// The run is over.
    pub(crate) fn leave(&self, run: u64) {
        self.run.store(run + 1, Ordering::Relaxed);
    }

    /// Whether nobody has told of this run before: it counts once.
    pub(crate) fn tell(&self, run: u64) -> bool {
        self.told.fetch_max(run, Ordering::Relaxed) < run
    }
}

/// The marks of a server, and where its watchdog sleeps.
#[derive(Debug)]
pub(crate) struct Watchdog {
    pub(crate) marks: Vec<Arc<Mark>>,
    closed: Mutex<bool>,
    changed: Condvar,
}

impl Watchdog {
    pub(crate) fn new(reactors: usize) -> Self {
        let marks = (0..reactors).map(|_| Arc::default()).collect();
        Self { marks, closed: Mutex::default(), changed: Condvar::new() }
    }

    /// A first connection has come.
    pub(crate) fn wake(&self) {
        let _closed = lock(&self.closed);
        self.changed.notify_one();
    }

    /// No reactor is left to look at.
    pub(crate) fn close(&self) {
        *lock(&self.closed) = true;
        self.changed.notify_one();
    }

    /// Sleeps until the next look is due; `false` at the end. Without a connection nothing runs, and an idle host is not woken.
    fn sleep(&self, shared: &Shared, step: Duration) -> bool {
        let closed = lock(&self.closed);
        if *closed {
            return false;
        }
        let closed = if shared.is_empty() {
            self.changed.wait(closed).unwrap_or_else(PoisonError::into_inner)
        } else {
            self.changed.wait_timeout(closed, step).unwrap_or_else(PoisonError::into_inner).0
        };
        !*closed
    }
}

/// The body of the watchdog thread: a run is told of between one and two times `limit` after it began.
pub(crate) fn watch(shared: &Shared, limit: Duration) {
    // It may call the program's log hook, which cannot wait for this thread to end.
    mark_worker_thread();
    let watchdog = &shared.watchdog;
    let mut seen = vec![(0, Instant::now()); watchdog.marks.len()];
    while watchdog.sleep(shared, limit) {
        let now = Instant::now();
        for (reactor, (mark, (run, since))) in watchdog.marks.iter().zip(&mut seen).enumerate() {
            let current = mark.run.load(Ordering::Relaxed);
            if current != *run {
                (*run, *since) = (current, now);
            }
            let took = now.saturating_duration_since(*since);
            if current % 2 == 1 && took >= limit && mark.tell(current) {
                shared.tallies[reactor].inline_stalled();
                shared.log_stall("holds a reactor and has not returned", took);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_run_is_told_of_once_and_the_next_one_anew() {
        let mark = Mark::default();
        let first = mark.enter().unwrap();
        assert_eq!(mark.enter(), None);
        assert!(mark.tell(first));
        assert!(!mark.tell(first));
        mark.leave(first);
        let second = mark.enter().unwrap();
        assert!(mark.tell(second));
        assert!(!mark.tell(first));
    }
}
