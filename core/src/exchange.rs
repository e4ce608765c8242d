//! One request and its answer, between the connection that carries it and the program that answers it. Here is the connection's
//! side of it; what both share is `exchange/state.rs`, and the program's side `request.rs`. No socket and no framing here.
//!
//! Content flows in through [`Content`], the answer out through [`Answer`]; both are bounded, and both sides only ever wait on
//! the reactor's clocks or on their own time-out.

mod locked;
mod spares;
mod state;

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;

use crate::batch;
use crate::connection::{ConnectionInfo, EXCHANGE_OCTETS};
use crate::deadline::Moment;
use crate::http::head::Head;
use crate::link::{Link, Order, lock};
use crate::reactor::panicked_at;
use crate::reason::Reason;
use crate::request::fail;

pub(crate) use locked::Locked;
pub(crate) use spares::Spares;
pub(crate) use state::{Answer, AnswerHead, ContentEnd, Limits, SHORT, Stage, State};
pub use state::{Failure, Outcome};

/// No queue: there was no room for the request, and the program must not hear of what it was never given.
pub(crate) const NOWHERE: u32 = u32::MAX;

/// What an armed exchange became ready for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ready {
    /// Content is readable, at its end, or will not come.
    Content,
    /// The answer has room, or can no longer be sent.
    Room,
}

pub(crate) type CancelHook = Box<dyn FnOnce(Reason) + Send>;
pub(crate) type ReadyHook = Arc<dyn Fn(Ready) + Send + Sync>;

/// One request and its answer, shared by connection and program. The program's owning handle is
/// [`Request`](crate::request::Request); this is what outlives its release, for views and events.
pub struct Exchange {
    pub(crate) head: Head,
    pub(crate) connection: Arc<ConnectionInfo>,
    /// The connection's own key for this exchange: what [`Link::touch`] carries.
    pub(crate) key: u32,
    /// HTTP/2 stream id; 0 on HTTP/1.
    pub(crate) stream: u32,
    /// Content that came complete with the request.
    pub(crate) buffered: Option<Bytes>,
    /// Which of the server's queues carries the events of this exchange; [`NOWHERE`] until the program is given it.
    pub(crate) queue: AtomicU32,
    delivered: AtomicBool,
    /// The connection is inside the inline callback and will look by itself, under the lock, when it returns.
    dispatching: AtomicBool,
    cancelled: AtomicU32,
    /// Octets that count as kept by the program (`max_total_memory_bytes`).
    retained: AtomicU64,
    tag: AtomicU64,
    token: AtomicU64,
    state: Mutex<State>,
    changed: Condvar,
}

/// What an exchange begins with, besides its head.
pub(crate) struct Opening<'a> {
    pub(crate) connection: &'a Arc<ConnectionInfo>,
    pub(crate) key: u32,
    pub(crate) stream: u32,
    pub(crate) buffered: Option<Bytes>,
    pub(crate) now: Moment,
    /// What the program does inside its callback needs no wake-up.
    pub(crate) inline: bool,
}

impl Exchange {
    fn new(head: Head, opening: Opening<'_>) -> Self {
        let mut exchange = Self {
            head,
            connection: opening.connection.clone(),
            key: 0,
            stream: 0,
            buffered: None,
            queue: AtomicU32::new(NOWHERE),
            delivered: AtomicBool::new(false),
            dispatching: AtomicBool::new(false),
            cancelled: AtomicU32::new(0),
            retained: AtomicU64::new(0),
            tag: AtomicU64::new(0),
            token: AtomicU64::new(0),
            state: Mutex::default(),
            changed: Condvar::new(),
        };
        exchange.begin(opening);
        exchange
    }

    /// Before anybody shares it. Of an exchange that was, all but the state is set anew here, and the state where it ended: built
    /// elsewhere and moved here, it would be written twice.
    fn begin(&mut self, opening: Opening<'_>) {
        let Self {
            head,
            connection,
            key,
            stream,
            buffered,
            queue,
            delivered,
            dispatching,
            cancelled,
            retained,
            tag,
            token,
            state,
            changed: _,
        } = self;
        *connection = opening.connection.clone();
        *key = opening.key;
        *stream = opening.stream;
        *queue.get_mut() = NOWHERE;
        *delivered.get_mut() = false;
        *dispatching.get_mut() = opening.inline;
        *cancelled.get_mut() = 0;
        *retained.get_mut() = 0;
        *tag.get_mut() = 0;
        *token.get_mut() = 0;
        let state = state.get_mut().unwrap_or_else(PoisonError::into_inner);
        state.content.announced = head.content_length();
        if let Some(body) = &opening.buffered {
            state.content.received = body.len() as u64;
            state.content.waiting = body.len();
            state.content.end = Some(ContentEnd::Complete);
            if !body.is_empty() {
                state.content.chunks.push_back(body.clone());
            }
        }
        state.handler_clock.run(opening.now);
        *buffered = opening.buffered;
    }

    /// The limits of this request now: worked out when somebody waits, which most exchanges never do.
    pub(crate) fn limits(&self, state: &State) -> Limits {
        Limits::of(state.overridden.as_deref().unwrap_or(&self.connection.settings))
    }

    /// Octets of memory that the request holds: what the peer sent. The answer is the program's.
    pub(crate) fn held(&self, state: &State) -> usize {
        // Content that came with the request stays for views, whether or not it was read.
        let content = self.buffered.as_ref().map_or(state.content.waiting, Bytes::len);
        let trailers = state.content.trailers.as_ref().map_or(0, |trailers| trailers.block().len());
        EXCHANGE_OCTETS + self.head.heap_bytes() + content + trailers
    }

    /// The request's head.
    pub fn head(&self) -> &Head {
        &self.head
    }

    /// The facts of the connection that carries it.
    pub fn connection(&self) -> &ConnectionInfo {
        &self.connection
    }

    /// HTTP/2 stream id; 0 on HTTP/1.
    pub fn stream(&self) -> u32 {
        self.stream
    }

    /// Content that came complete with the request (`buffer_body_bytes`).
    pub fn buffered(&self) -> Option<&Bytes> {
        self.buffered.as_ref()
    }

    /// The program's own mark, carried by events; 0 at first.
    pub fn tag(&self) -> u64 {
        self.tag.load(Ordering::Relaxed)
    }

    /// Sets the program's own mark.
    pub fn set_tag(&self, tag: u64) {
        self.tag.store(tag, Ordering::Relaxed);
    }

    /// The name under which a binding knows this exchange (a C id); 0 at first.
    pub fn token(&self) -> u64 {
        self.token.load(Ordering::Acquire)
    }

    /// Sets the name under which a binding knows this exchange.
    pub fn set_token(&self, token: u64) {
        self.token.store(token, Ordering::Relaxed);
    }

    /// As [`Exchange::set_token`], for a binding that answers "is it cancelled?" without a look at the exchange
    /// ([`Hooks::cancelled`](crate::Hooks::cancelled)). Who calls this looks at [`Exchange::cancelled`] afterwards,
    /// and calls it inline on the thread of the callback or behind that.
    pub fn watch(&self, token: u64) {
        // Within the inline callback this is the one thread that cancels.
        let order = if self.is_dispatching() { Ordering::Relaxed } else { Ordering::SeqCst };
        self.token.store(token, order);
    }

    /// Drops `value` on the reactor, outside every lock: for values whose end runs the program's code.
    pub fn drop_later(&self, value: Box<dyn Any + Send>) {
        self.link().run(Box::new(move |reactor| {
            reactor.observe(|| drop(value));
        }));
    }

    /// A bug of ours was caught in a call on this exchange: its connection closes (`internal`) and the server drains.
    pub fn poison(&self, what: &'static str) {
        // Before the program hears of it, and reports a failure that is not its own.
        fail(self, &mut self.lock(), Failure::Bug);
        self.link().order(Order::Close(Reason::Internal));
        let what = what.to_owned() + &panicked_at();
        self.link().run(Box::new(move |reactor| reactor.shared.poison(&what)));
    }

    /// Makes the connection's task panic: a bug of ours, on request.
    #[cfg(any(test, feature = "test-panic"))]
    pub fn panic_inside(&self) {
        self.link().panic();
    }

    /// Why the exchange was cancelled; `None` while it lives. One atomic load.
    pub fn cancelled(&self) -> Option<Reason> {
        // Sequentially consistent with `watch` and `raise_cancel`: one of the two sees the other.
        Reason::from_id(self.cancelled.load(Ordering::SeqCst))
    }

    /// How the exchange ended on the wire; `None` while it lives.
    pub fn outcome(&self) -> Option<Outcome> {
        self.lock().outcome
    }

    /// The way to its connection.
    pub(crate) fn link(&self) -> &Arc<Link> {
        &self.connection.link
    }

    /// Whether the program has been given the request.
    pub(crate) fn is_delivered(&self) -> bool {
        self.delivered.load(Ordering::Relaxed)
    }

    pub(crate) fn mark_delivered(&self) {
        self.delivered.store(true, Ordering::Relaxed);
    }

    pub(crate) fn lock(&self) -> MutexGuard<'_, State> {
        lock(&self.state)
    }

    /// Blocks the calling thread until the connection changed something, at most for `timeout`.
    pub(crate) fn wait<'a>(
        &'a self,
        mut state: MutexGuard<'a, State>,
        timeout: Option<Duration>,
    ) -> MutexGuard<'a, State> {
        // What it asked for a moment ago is what it waits for.
        batch::settle();
        state.sleepers += 1;
        let mut state = match timeout {
            None => self.changed.wait(state).unwrap_or_else(PoisonError::into_inner),
            Some(timeout) => {
                self.changed.wait_timeout(state, timeout).unwrap_or_else(PoisonError::into_inner).0
            }
        };
        state.sleepers -= 1;
        state
    }

    /// Read under the lock: who finds it set has changed the state before the connection looks.
    fn is_dispatching(&self) -> bool {
        self.dispatching.load(Ordering::Relaxed)
    }

    /// The program did something: the connection is to look, unless it is about to anyway.
    pub(crate) fn touch(&self, state: &State) {
        if !self.is_dispatching() && !state.over {
            self.link().touch(self.key);
        }
    }

    /// As [`Exchange::touch`], behind the lock: on one core the connection, once woken, runs at once and would meet it.
    pub(crate) fn unlock_and_touch(&self, state: MutexGuard<'_, State>) {
        let announce = !self.is_dispatching() && !state.over;
        drop(state);
        if announce {
            self.link().touch(self.key);
        }
    }

    // ---- the connection's side ----

    /// After the callback returned: from here on the program's acts are announced through the link.
    pub(crate) fn end_dispatch(&self) {
        self.dispatching.store(false, Ordering::Relaxed);
    }

    /// Content octets arrived.
    pub(crate) fn push_content(&self, state: &mut Locked<'_>, now: Moment, octets: Bytes) {
        let length = octets.len();
        let limits = self.limits(state).content;
        state.content_clock.progress(now, length as u64, &limits);
        if length == 0 {
            return;
        }
        state.content.received += length as u64;
        state.content.waiting += length;
        state.content.chunks.push_back(octets);
        state.content.wanted = false;
        self.announce_content(state);
    }

    /// Content is complete, or will not come.
    pub(crate) fn end_content(&self, state: &mut Locked<'_>, end: ContentEnd) {
        if state.content.end.is_none() {
            state.content.end = Some(end);
            state.content.wanted = false;
            self.announce_content(state);
        }
    }

    fn announce_content(&self, state: &mut Locked<'_>) {
        if state.sleepers > 0 {
            self.changed.notify_all();
        }
        state.wake_reader();
    }

    /// The peer took `octets` of the answer's content.
    pub(crate) fn release_room(&self, state: &mut Locked<'_>, octets: usize) {
        state.answer.queued = state.answer.queued.saturating_sub(octets);
        if state.sleepers > 0 {
            self.changed.notify_all();
        }
        state.wake_writer();
    }

    /// Which armed readiness is due now; each is disarmed by being reported.
    pub(crate) fn take_ready(&self, state: &mut State) -> [Option<Ready>; 2] {
        let gone = state.over;
        let content = &mut state.content;
        let readable = content.waiting > 0 || content.end.is_some() || gone;
        let first = (content.armed && readable).then(|| {
            content.armed = false;
            Ready::Content
        });
        let answer = &mut state.answer;
        let room = |queued| queued <= self.connection.window() / 2 || gone;
        let second = (answer.armed && room(answer.queued)).then(|| {
            answer.armed = false;
            Ready::Room
        });
        [first, second]
    }

    /// Raises the cancel signal once. Returns the hook that the caller runs outside the lock, on the reactor.
    pub(crate) fn raise_cancel(&self, state: &mut Locked<'_>, reason: Reason) -> (bool, Option<CancelHook>) {
        if self.cancelled.load(Ordering::Acquire) != 0 {
            return (false, None);
        }
        self.cancelled.store(reason.id(), Ordering::SeqCst);
        if let (token @ 1.., Some(watcher)) = (self.token.load(Ordering::SeqCst), self.connection.watcher) {
            watcher(token, reason);
        }
        self.wake_all(state);
        (true, state.on_cancel.take())
    }

    /// The exchange is over on the wire: nothing more can be sent or received.
    pub(crate) fn close(&self, state: &mut Locked<'_>, outcome: Outcome) {
        state.over = true;
        state.outcome = Some(outcome);
        state.spend_rest();
        state.answer.short.clear();
        state.answer.head = None;
        state.answer.queued = 0;
        if state.content.end.is_none() {
            state.content.end = Some(ContentEnd::Failed(outcome.reason));
        }
        self.wake_all(state);
    }

    fn wake_all(&self, state: &mut Locked<'_>) {
        if state.sleepers > 0 {
            self.changed.notify_all();
        }
        state.wake_reader();
        state.wake_writer();
    }

    /// Runs the program's readiness hook: never concurrently with itself, whoever calls.
    pub(crate) fn run_ready_hook(&self, ready: Ready) {
        let mut state = self.lock();
        state.ready_again[ready as usize] = true;
        if state.ready_running {
            return;
        }
        state.ready_running = true;
        while let Some(next) =
            [Ready::Content, Ready::Room].into_iter().find(|kind| state.ready_again[*kind as usize])
        {
            state.ready_again[next as usize] = false;
            let hook = state.on_ready.clone();
            drop(state);
            if let Some(hook) = hook {
                // After a panic, which is the program's fault, the next readiness is told all the same.
                let _ = catch_unwind(AssertUnwindSafe(|| hook(next)));
            }
            state = self.lock();
        }
        state.ready_running = false;
    }
}

impl Drop for Exchange {
    fn drop(&mut self) {
        let retained = *self.retained.get_mut();
        if retained > 0 {
            self.connection.load.forget(retained);
        }
    }
}

impl std::fmt::Debug for Exchange {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Exchange")
            .field("stream", &self.stream)
            .field("cancelled", &self.cancelled())
            .finish()
    }
}
