//! The lock of an exchange as its connection holds it: wakers that are woken under it, and content that is spent, wait until it is
//! given back. The program holds it bare (`Exchange::lock`): it wakes nobody.

use std::ops::{Deref, DerefMut};
use std::sync::MutexGuard;
use std::task::Waker;

use bytes::Bytes;
use smallvec::SmallVec;

use super::{Exchange, State};

/// A waker that is woken, or the owner of content that is dropped, is the program's code and may hold the last handle on this very
/// request, whose end takes the lock.
pub(crate) struct Locked<'a> {
    // Dropped in this order.
    state: MutexGuard<'a, State>,
    left: Left,
}

/// What was left until the lock is given back.
#[derive(Default)]
struct Left {
    wakers: Vec<Waker>,
    spent: SmallVec<[Bytes; 1]>,
}

impl Exchange {
    /// For the connection, which wakes who waits on the exchange.
    pub(crate) fn locked(&self) -> Locked<'_> {
        Locked { state: self.lock(), left: Left::default() }
    }
}

impl Locked<'_> {
    /// Wakes who waits for content, behind the lock.
    pub(super) fn wake_reader(&mut self) {
        if let Some(waker) = self.state.content.waker.take() {
            self.left.wakers.push(waker);
        }
    }

    /// Wakes who waits for room, or for the end of the exchange, behind the lock.
    pub(super) fn wake_writer(&mut self) {
        if let Some(waker) = self.state.answer.waker.take() {
            self.left.wakers.push(waker);
        }
    }

    /// Content of the answer that nobody needs any more.
    pub(crate) fn spend(&mut self, content: Bytes) {
        self.left.spent.push(content);
    }

    /// All that is left of it.
    pub(crate) fn spend_rest(&mut self) {
        while let Some(content) = self.state.answer.chunks.pop_front() {
            self.spend(content);
        }
    }
}

impl Deref for Locked<'_> {
    type Target = State;

    fn deref(&self) -> &State {
        &self.state
    }
}

impl DerefMut for Locked<'_> {
    fn deref_mut(&mut self) -> &mut State {
        &mut self.state
    }
}

impl Drop for Left {
    fn drop(&mut self) {
        for waker in &self.wakers {
            waker.wake_by_ref();
        }
    }
}
