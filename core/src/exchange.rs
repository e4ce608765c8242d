//! One request and its answer, between the connection that carries it and the program that answers it. This file holds the
//! shared state and the connection's side of it; the program's side is `request.rs`. No socket and no framing here.
//!
//! Content flows in through [`Content`], the answer out through [`Answer`]; both are bounded, and both sides only ever wait on
//! the reactor's clocks or on their own time-out.

use std::any::Any;
use std::cell::RefCell;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::task::Waker;
use std::time::Duration;

use bytes::Bytes;
use smallvec::SmallVec;

use crate::batch;
use crate::chunks::Chunks;
use crate::connection::{ConnectionInfo, EXCHANGE_OCTETS};
use crate::deadline::{Moment, PhaseClock, PhaseLimits};
use crate::http::fields::FieldLines;
use crate::http::head::{Head, Storage};
use crate::http::trailers::Trailers;
use crate::link::{Link, Order, lock};
use crate::reactor::panicked_at;
use crate::reason::Reason;
use crate::request::fail;
use crate::settings::Settings;

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

pub(crate) struct State {
    pub(crate) content: Content,
    pub(crate) answer: Answer,
    /// The settings of this request, once a handler has moved one.
    pub(crate) overridden: Option<Box<Settings>>,
    pub(crate) handler_clock: PhaseClock,
    pub(crate) content_clock: PhaseClock,
    pub(crate) answer_clock: PhaseClock,
    pub(crate) on_cancel: Option<CancelHook>,
    pub(crate) cancel_hook_used: bool,
    pub(crate) on_ready: Option<ReadyHook>,
    pub(crate) ready_hook_used: bool,
    ready_running: bool,
    ready_again: [bool; 2],
    /// Nothing more can be sent: the exchange is over on the wire.
    pub(crate) over: bool,
    /// How it ended, for the program's last event.
    pub(crate) outcome: Option<Outcome>,
    /// Threads that wait on `changed`.
    pub(crate) sleepers: usize,
}

/// How an exchange ended on the wire.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Outcome {
    /// Status code sent; 0 = no head was sent.
    pub status: u16,
    /// Content octets sent.
    pub sent: u64,
    /// [`Reason::Complete`], or what went wrong.
    pub reason: Reason,
}

/// The limits that a handler may move for one live request (level Q).
#[derive(Clone, Copy, Debug)]
pub(crate) struct Limits {
    pub(crate) max_body_bytes: Option<u64>,
    pub(crate) content: PhaseLimits,
    pub(crate) handler: PhaseLimits,
    pub(crate) answer: PhaseLimits,
}

impl Limits {
    pub(crate) fn of(settings: &Settings) -> Self {
        Self {
            max_body_bytes: settings.max_body_bytes,
            content: PhaseLimits {
                idle: settings.body_idle_timeout,
                rate: settings.min_body_rate,
                grace: settings.min_rate_grace,
                total: settings.body_timeout,
            },
            handler: PhaseLimits { total: settings.handler_timeout, ..PhaseLimits::default() },
            answer: PhaseLimits {
                idle: settings.write_idle_timeout,
                rate: settings.min_write_rate,
                grace: settings.min_rate_grace,
                total: settings.response_timeout,
            },
        }
    }
}

/// Content on its way from the peer to the program.
#[derive(Default)]
pub(crate) struct Content {
    pub(crate) announced: Option<u64>,
    pub(crate) received: u64,
    pub(crate) chunks: Chunks,
    pub(crate) waiting: usize,
    pub(crate) end: Option<ContentEnd>,
    /// A read has said that the content is too large; later ones say that the exchange is over.
    pub(crate) told_too_large: bool,
    /// The program has begun to read: the connection may read ahead.
    pub(crate) asked: bool,
    /// The program waits for octets that are not here: the body clock runs.
    pub(crate) wanted: bool,
    pub(crate) armed: bool,
    /// None where the peer sent no trailer section.
    pub(crate) trailers: Option<Arc<Trailers>>,
    pub(crate) waker: Option<Waker>,
}

/// How content ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ContentEnd {
    Complete,
    /// A limit struck, or the peer broke off; a cut message is never delivered as complete.
    Failed(Reason),
}

/// The answer on its way from the program to the peer.
#[derive(Default)]
pub(crate) struct Answer {
    pub(crate) stage: Stage,
    pub(crate) informational: Vec<AnswerHead>,
    /// Handed over and not yet taken by the connection.
    pub(crate) head: Option<AnswerHead>,
    /// All content of a short answer in one piece, for the connection to take with the head; else empty.
    pub(crate) short: Short,
    pub(crate) chunks: Chunks,
    /// Octets in `chunks`, and those the connection took but the peer did not.
    pub(crate) queued: usize,
    pub(crate) announced: Option<u64>,
    pub(crate) written: u64,
    pub(crate) trailers: Option<FieldLines>,
    pub(crate) armed: bool,
    pub(crate) waker: Option<Waker>,
}

/// Content that lies in place, as short field lines do.
pub(crate) type Short = SmallVec<[u8; SHORT]>;

/// Most octets of it.
pub(crate) const SHORT: usize = 64;

/// How far the program's side of the answer is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Stage {
    #[default]
    Awaited,
    /// Head handed over, content to come.
    Begun,
    /// All of it handed over.
    Finished,
    /// The program gave up: no status can be sent, or none shall.
    Aborted,
    /// The program failed before it answered: the library answers with this status.
    Failed(Failure),
}

/// Why the library answers in the program's place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Failure {
    /// The handler reported failure: 500.
    Failed,
    /// The handler refused (overload): 503 with Retry-After.
    Refused,
    /// The last handle went without an answer: 500.
    Unanswered,
    /// A bug of ours was caught in a call on the request: 500, `internal`.
    Bug,
}

/// A response head; framing, connection and date are the connection's to add.
#[derive(Debug)]
pub(crate) struct AnswerHead {
    pub(crate) status: u16,
    pub(crate) lines: FieldLines,
}

impl Exchange {
    pub(crate) fn new(
        head: Head,
        connection: Arc<ConnectionInfo>,
        place: (u32, u32),
        buffered: Option<Bytes>,
    ) -> Self {
        let mut content = Content { announced: head.content_length(), ..Content::default() };
        if let Some(body) = &buffered {
            content.received = body.len() as u64;
            content.waiting = body.len();
            content.end = Some(ContentEnd::Complete);
            if !body.is_empty() {
                content.chunks.push_back(body.clone());
            }
        }
        Self {
            head,
            connection,
            key: place.0,
            stream: place.1,
            buffered,
            queue: AtomicU32::new(NOWHERE),
            delivered: AtomicBool::new(false),
            dispatching: AtomicBool::new(false),
            cancelled: AtomicU32::new(0),
            retained: AtomicU64::new(0),
            tag: AtomicU64::new(0),
            token: AtomicU64::new(0),
            state: Mutex::new(State {
                content,
                answer: Answer::default(),
                overridden: None,
                handler_clock: PhaseClock::default(),
                content_clock: PhaseClock::default(),
                answer_clock: PhaseClock::default(),
                on_cancel: None,
                cancel_hook_used: false,
                on_ready: None,
                ready_hook_used: false,
                ready_running: false,
                ready_again: [false; 2],
                over: false,
                outcome: None,
                sleepers: 0,
            }),
            changed: Condvar::new(),
        }
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
    /// ([`Hooks::cancelled`](crate::Hooks::cancelled)). Who calls this looks at [`Exchange::cancelled`] afterwards.
    pub fn watch(&self, token: u64) {
        self.token.store(token, Ordering::SeqCst);
    }

    /// Drops `value` on the reactor, outside every lock: for values whose end runs the program's code.
    pub fn drop_later(&self, value: Box<dyn Any + Send>) {
        self.link().run(Box::new(move |_| drop(value)));
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

    /// Before anybody shares it. `inline`: what the program does inside its callback needs no wake-up.
    pub(crate) fn begin_dispatch(&mut self, now: Moment, inline: bool) {
        *self.dispatching.get_mut() = inline;
        let state = self.state.get_mut().unwrap_or_else(PoisonError::into_inner);
        state.handler_clock.run(now);
    }

    /// After the callback returned: from here on the program's acts are announced through the link.
    pub(crate) fn end_dispatch(&self) {
        self.dispatching.store(false, Ordering::Relaxed);
    }

    /// Content octets arrived.
    pub(crate) fn push_content(&self, state: &mut State, now: Moment, octets: Bytes) {
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
    pub(crate) fn end_content(&self, state: &mut State, end: ContentEnd) {
        if state.content.end.is_none() {
            state.content.end = Some(end);
            state.content.wanted = false;
            self.announce_content(state);
        }
    }

    fn announce_content(&self, state: &mut State) {
        if state.sleepers > 0 {
            self.changed.notify_all();
        }
        if let Some(waker) = state.content.waker.take() {
            waker.wake();
        }
    }

    /// The peer took `octets` of the answer's content.
    pub(crate) fn release_room(&self, state: &mut State, octets: usize) {
        state.answer.queued = state.answer.queued.saturating_sub(octets);
        if state.sleepers > 0 {
            self.changed.notify_all();
        }
        if let Some(waker) = state.answer.waker.take() {
            waker.wake();
        }
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
    pub(crate) fn raise_cancel(&self, state: &mut State, reason: Reason) -> (bool, Option<CancelHook>) {
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
    pub(crate) fn close(&self, state: &mut State, outcome: Outcome) {
        state.over = true;
        state.outcome = Some(outcome);
        state.answer.chunks.clear();
        state.answer.short.clear();
        state.answer.head = None;
        state.answer.queued = 0;
        if state.content.end.is_none() {
            state.content.end = Some(ContentEnd::Failed(outcome.reason));
        }
        self.wake_all(state);
    }

    fn wake_all(&self, state: &mut State) {
        if state.sleepers > 0 {
            self.changed.notify_all();
        }
        for waker in [state.content.waker.take(), state.answer.waker.take()].into_iter().flatten() {
            waker.wake();
        }
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
                hook(next);
            }
            state = self.lock();
        }
        state.ready_running = false;
    }
}

/// Exchanges and heads that nobody holds any more, kept for their memory: with a burst of streams under way, an allocation of an
/// exchange's size misses the allocator's fast path each time.
#[derive(Default)]
pub(crate) struct Spares {
    exchanges: RefCell<Vec<Arc<Exchange>>>,
    heads: RefCell<Vec<Storage>>,
}

impl Spares {
    /// Most that a reactor keeps.
    const MAX: usize = 64;

    pub(crate) fn make(&self, exchange: Exchange) -> Arc<Exchange> {
        let Some(mut spare) = self.exchanges.borrow_mut().pop() else { return Arc::new(exchange) };
        match Arc::get_mut(&mut spare) {
            Some(place) => {
                *place = exchange;
                spare
            }
            None => Arc::new(exchange),
        }
    }

    /// For the head of the next exchange.
    pub(crate) fn storage(&self) -> Storage {
        self.heads.borrow_mut().pop().unwrap_or_default()
    }

    /// Takes an exchange that is over, if the program has let go of it too; else it counts to the server's memory until then.
    pub(crate) fn keep(&self, mut exchange: Arc<Exchange>) {
        let Some(place) = Arc::get_mut(&mut exchange) else {
            let held = exchange.held(&exchange.lock()) as u64;
            exchange.connection.load.retain(held);
            exchange.retained.store(held, Ordering::Relaxed);
            return;
        };
        let state = place.state.get_mut().unwrap_or_else(PoisonError::into_inner);
        // What the program gave away is its own again now, not when the memory is used next.
        let given = (state.on_ready.take(), state.on_cancel.take(), place.buffered.take());
        drop(given);
        let head = Storage::of(&mut place.head);
        let mut spares = self.exchanges.borrow_mut();
        if spares.len() < Self::MAX {
            self.heads.borrow_mut().extend(head);
            spares.push(exchange);
        }
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
