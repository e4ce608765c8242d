//! Answers that go back together. A thread that takes several events at once says here how many, and its answers then wake a
//! reactor once, behind the last of them: with a wake-up for each, reactor and consumer of one core take turns for every request.
//! Inboxes are `link.rs`; how long a letter may lie there is the reactor's promise (`Inbox::promise`).

use std::cell::{Cell, RefCell};
use std::sync::Arc;

use crate::link::Inbox;

/// So many that the thread is sure to come back for more before it is through.
pub(crate) const MORE_WAIT: usize = usize::MAX;

struct Batch {
    /// Acts that may still come before the thread has nothing left to do.
    left: Cell<usize>,
    /// Inboxes that this thread has left letters in without a wake-up.
    owed: RefCell<Vec<Arc<Inbox>>>,
}

thread_local! {
    static BATCH: Batch = const { Batch { left: Cell::new(0), owed: RefCell::new(Vec::new()) } };
}

/// The calling thread has taken this many events and will treat them one after the other.
pub(crate) fn begin(events: usize) {
    BATCH.with(|batch| batch.left.set(events));
}

/// Whether an act of the calling thread may wait for the next: not the last one of a batch.
pub(crate) fn may_wait() -> bool {
    // A thread that ends, or never took a batch, has nothing to wait for.
    BATCH
        .try_with(|batch| {
            let left = batch.left.get();
            batch.left.set(left.saturating_sub(1));
            left > 1
        })
        .unwrap_or(false)
}

/// A letter of the calling thread lies in `inbox`, and nobody was woken.
pub(crate) fn owe(inbox: &Arc<Inbox>) {
    BATCH.with(|batch| {
        let mut owed = batch.owed.borrow_mut();
        if !owed.iter().any(|known| Arc::ptr_eq(known, inbox)) {
            owed.push(inbox.clone());
        }
    });
}

/// Whether [`settle`] would wake anybody.
pub(crate) fn is_owed() -> bool {
    BATCH.try_with(|batch| !batch.owed.borrow().is_empty()).unwrap_or(false)
}

/// The calling thread is through, or about to wait: whoever was not woken is.
pub(crate) fn settle() {
    // What a thread that ends has left behind is found when the reactor looks.
    let _ = BATCH.try_with(|batch| {
        batch.left.set(0);
        if !batch.owed.borrow().is_empty() {
            for inbox in batch.owed.take() {
                inbox.hurry();
            }
        }
    });
}
