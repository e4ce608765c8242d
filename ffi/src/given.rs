//! What the program gives away: user data behind a callback, or content to send, each with its drop function. It moves to us
//! at the call even when that fails, and goes back exactly once: by a call, or with queues as a DROP event.

use std::ffi::c_void;
use std::sync::{Arc, OnceLock};

use bartizan_core::{Event, Exchange, Queue};
use bytes::Bytes;

use crate::guard::call_out;

/// Takes `user_data` back, once, after the last call with it. With a queue it comes as BARTIZAN_EV_DROP instead. May be NULL.
/// Must not throw, longjmp or fork.
pub type DropFn = Option<unsafe extern "C-unwind" fn(user_data: *mut c_void)>;

/// A value of the program, and how it goes back. Dropping this calls the function.
pub(crate) struct Given {
    data: *mut c_void,
    drop: DropFn,
}

// SAFETY: the header says that user data is used, and dropped, on threads of ours.
unsafe impl Send for Given {}
// SAFETY: as above; we only hand the pointer on, and never read behind it.
unsafe impl Sync for Given {}

impl Given {
    pub(crate) fn new(data: *mut c_void, drop: DropFn) -> Self {
        Self { data, drop }
    }

    pub(crate) fn data(&self) -> *mut c_void {
        self.data
    }

    /// Hands the value back by an event: the program drops it itself.
    pub(crate) fn hand_back(mut self) -> *mut c_void {
        self.drop = None;
        self.data
    }
}

impl Drop for Given {
    fn drop(&mut self) {
        if let Some(drop) = self.drop.take() {
            // SAFETY: the program's own function on the program's own value; ownership makes this the one call.
            call_out(|| unsafe { drop(self.data) });
        }
    }
}

/// User data of a server or a request. Shared by all who call with it; the last one gives it back.
pub(crate) struct UserData {
    given: Option<Given>,
    /// Where it goes back to, once a server with queues has it.
    queue: OnceLock<Arc<Queue>>,
}

impl UserData {
    pub(crate) fn new(data: *mut c_void, drop: DropFn) -> Self {
        Self { given: Some(Given::new(data, drop)), queue: OnceLock::new() }
    }

    pub(crate) fn data(&self) -> *mut c_void {
        self.given.as_ref().map_or(std::ptr::null_mut(), Given::data)
    }

    pub(crate) fn return_to(&self, queue: &Arc<Queue>) {
        // The first server's queue, if there are several: a value goes back once.
        let _ = self.queue.set(queue.clone());
    }

    /// Gives it back by a call after all: what it was meant for has failed.
    pub(crate) fn return_at_once(mut self) {
        self.queue.take();
    }
}

impl Drop for UserData {
    fn drop(&mut self) {
        if let (Some(queue), Some(given)) = (self.queue.take(), self.given.take()) {
            // A queue that is freed drops the event, and with it the value.
            queue.push(Event::Drop(Box::new(given)));
        }
    }
}

/// Content that stays the program's until it is sent or given up.
struct OwnedContent {
    content: &'static [u8],
    /// Goes back after the last octet was taken.
    user_data: Option<Arc<UserData>>,
    exchange: Arc<Exchange>,
}

/// `content` is the program's until `user_data` has gone back, however long that takes.
pub(crate) fn owned_content(
    content: &'static [u8],
    user_data: Arc<UserData>,
    exchange: &Arc<Exchange>,
) -> Bytes {
    Bytes::from_owner(OwnedContent { content, user_data: Some(user_data), exchange: exchange.clone() })
}

impl Drop for OwnedContent {
    fn drop(&mut self) {
        // Whoever took the last octet may hold the lock of this exchange, which the program's drop function may need.
        if let Some(user_data) = self.user_data.take().and_then(Arc::into_inner) {
            self.exchange.drop_later(Box::new(user_data));
        }
    }
}

impl AsRef<[u8]> for OwnedContent {
    fn as_ref(&self) -> &[u8] {
        self.content
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::time::Duration;

    unsafe extern "C-unwind" fn count(user_data: *mut c_void) {
        // SAFETY: every test below gives the address of a counter that outlives it.
        unsafe { &*user_data.cast::<AtomicUsize>() }.fetch_add(1, Ordering::Relaxed);
    }

    #[test]
    fn a_value_goes_back_once_after_its_last_user() {
        let drops = AtomicUsize::new(0);
        let value = Arc::new(UserData::new((&raw const drops).cast_mut().cast(), Some(count)));
        let other = value.clone();
        drop(value);
        assert_eq!(drops.load(Ordering::Relaxed), 0);
        drop(other);
        assert_eq!(drops.load(Ordering::Relaxed), 1);
    }

    #[test]
    fn with_a_queue_it_goes_back_as_an_event_and_without_a_consumer_by_a_call() {
        let drops = AtomicUsize::new(0);
        let data: *mut c_void = (&raw const drops).cast_mut().cast();
        let queue = Queue::new().unwrap();
        for _ in 0..2 {
            let value = UserData::new(data, Some(count));
            value.return_to(&queue);
            drop(value);
        }
        let mut events = Vec::new();
        queue.next(&mut events, 1, Some(Duration::ZERO));
        let Some(Event::Drop(value)) = events.pop() else { panic!("no event") };
        assert_eq!(value.downcast::<Given>().unwrap().hand_back(), data);
        assert_eq!(drops.load(Ordering::Relaxed), 0);
        queue.abandon();
        assert_eq!(drops.load(Ordering::Relaxed), 1);
        let late = UserData::new(data, Some(count));
        late.return_to(&queue);
        drop(late);
        assert_eq!(drops.load(Ordering::Relaxed), 2);
    }
}
