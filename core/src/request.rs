//! The program's handle on one request: watch it die, give it limits of its own. Its content is `request/content.rs`, its answer
//! `request/answer.rs`. Any thread, at any time; the network may end the exchange at any moment, and every call then says so. What
//! the connection does with it is `exchange.rs`.
//!
//! Dropping a [`Request`] releases it: unanswered it becomes a 500, begun but unfinished it is aborted, and its running-handler
//! slot is free again.

mod answer;
mod content;

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, MutexGuard};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use tokio::time::Instant;

use crate::admission::SlotState;
use crate::deadline::PhaseLimits;
use crate::error::ErrorKind;
use crate::exchange::{ContentEnd, Exchange, Failure, Ready, Stage, State};
use crate::reason::Reason;
use crate::settings::{Level, Overrides};

/// Why a call on a request failed. Nothing changed.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum RequestError {
    /// An argument is out of range, malformed, or holds a forbidden octet.
    Value(String),
    /// The key is no setting, or none that a request may move.
    Option(String),
    /// Not now: a second answer, a write before begin or after finish, a second reader.
    State(&'static str),
    /// The exchange is over; the reason says why.
    Cancelled(Reason),
    /// The content is larger than `max_body_bytes`.
    TooLarge,
    /// The caller's own time-out passed.
    TimedOut,
    /// This call would block the reactor thread that it waits for.
    Deadlock,
}

impl std::fmt::Display for RequestError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Value(text) | Self::Option(text) => f.write_str(text),
            Self::State(text) => f.write_str(text),
            Self::Cancelled(reason) => write!(f, "the exchange is over: {reason}"),
            Self::TooLarge => f.write_str("the content is larger than max_body_bytes"),
            Self::TimedOut => f.write_str("timed out"),
            Self::Deadlock => f.write_str("would block the reactor thread"),
        }
    }
}

impl std::error::Error for RequestError {}

/// What a read found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Read {
    /// This many octets, at least one.
    Octets(usize),
    /// The content is complete.
    End,
    /// Nothing now.
    Again,
}

/// How long a call may block: `None` = for ever, zero = not at all.
pub type Patience = Option<Duration>;

/// Content of a one-shot answer.
#[derive(Debug)]
pub enum Body<'a> {
    /// Copied before the call returns.
    Copied(&'a [u8]),
    /// Handed over without a copy.
    Owned(Bytes),
}

/// The program's owning handle on one request.
#[derive(Debug)]
pub struct Request {
    exchange: Arc<Exchange>,
    slot: SlotState,
    /// The answer is complete and no hook is set: the release has nothing to look at under the lock.
    settled: AtomicBool,
}

impl Request {
    pub(crate) fn new(exchange: Arc<Exchange>, slot: SlotState) -> Self {
        Self { exchange, slot, settled: AtomicBool::new(false) }
    }

    /// The shared part, which outlives the release of this handle.
    pub fn exchange(&self) -> &Arc<Exchange> {
        &self.exchange
    }

    /// The program is about to be given a request that waited; `false`: not now, too many run.
    pub(crate) fn start(&mut self) -> bool {
        self.exchange.connection.load.start(&mut self.slot)
    }

    /// `None` while the exchange lives; the reason once cancel was raised. After [`Reason::PeerClosed`] an answer may still go out.
    pub fn cancelled(&self) -> Option<Reason> {
        self.exchange.cancelled()
    }

    /// Calls `hook` when the exchange is cancelled: on the reactor, or before return if it is cancelled already. Once per
    /// request; with a queue the event comes there instead.
    pub fn on_cancel(&self, hook: Box<dyn FnOnce(Reason) + Send>) -> Result<(), RequestError> {
        let mut state = self.exchange.lock();
        if state.cancel_hook_used || self.exchange.connection.queued {
            return Err(RequestError::State("a cancel hook is set already, or a queue carries the event"));
        }
        state.cancel_hook_used = true;
        match self.exchange.cancelled() {
            Some(reason) => {
                drop(state);
                hook(reason);
            }
            // An exchange that ended well is never cancelled: the hook is dropped, which tells its owner.
            None if state.over => drop(state),
            None => state.on_cancel = Some(hook),
        }
        Ok(())
    }

    /// Calls `hook` for armed readiness: on the reactor (inline) or a worker. Once per request.
    pub fn on_ready(&self, hook: Arc<dyn Fn(Ready) + Send + Sync>) -> Result<(), RequestError> {
        let mut state = self.exchange.lock();
        if state.ready_hook_used || self.exchange.connection.queued {
            return Err(RequestError::State("a readiness hook is set already, or a queue carries the event"));
        }
        state.ready_hook_used = true;
        state.on_ready = Some(hook);
        self.settled.store(false, Ordering::Relaxed);
        Ok(())
    }

    /// Moves a level-Q limit of this request; counted on the phase's own clock, from its start.
    pub fn set_limit(&self, key: &str, value: i64) -> Result<(), RequestError> {
        self.override_limits(|overrides| overrides.set(key, value))
    }

    /// As [`Request::set_limit`], from the text form.
    pub fn set_limit_text(&self, key: &str, text: &str) -> Result<(), RequestError> {
        self.override_limits(|overrides| overrides.set_text(key, text))
    }

    fn override_limits(
        &self,
        set: impl FnOnce(&mut Overrides) -> Result<(), crate::error::Error>,
    ) -> Result<(), RequestError> {
        let mut overrides = Overrides::new(Level::Request);
        set(&mut overrides).map_err(|error| match error.kind() {
            ErrorKind::Option => RequestError::Option(error.to_string()),
            _ => RequestError::Value(error.to_string()),
        })?;
        let mut state = self.exchange.lock();
        if state.over {
            return Err(self.gone());
        }
        let settings =
            overrides.over(state.overridden.as_deref().unwrap_or(&self.exchange.connection.settings));
        state.overridden = Some(Box::new(settings));
        self.exchange.touch(&state);
        Ok(())
    }

    /// Time left on the clock that `key` (a time-out of level Q) bounds; `None` = off.
    pub fn remaining(&self, key: &str) -> Result<Option<Duration>, RequestError> {
        let state = self.exchange.lock();
        let now = self.exchange.link().coarse_now();
        let limits = self.exchange.limits(&state);
        let (clock, limits, total) = match key {
            "handler_timeout" => (&state.handler_clock, &limits.handler, true),
            "body_timeout" => (&state.content_clock, &limits.content, true),
            "body_idle_timeout" => (&state.content_clock, &limits.content, false),
            "response_timeout" => (&state.answer_clock, &limits.answer, true),
            "write_idle_timeout" => (&state.answer_clock, &limits.answer, false),
            _ => {
                return Err(RequestError::Option(format!(
                    "{key:?} is not a time-out that a request may move"
                )));
            }
        };
        if total {
            return Ok(limits.total.map(|total| total.saturating_sub(clock.spent(now))));
        }
        let alone = PhaseLimits { idle: limits.idle, ..PhaseLimits::default() };
        Ok(match clock.due(&alone) {
            Some((due, _)) => Some(Duration::from_micros(due.saturating_sub(now))),
            None => limits.idle,
        })
    }

    /// Whether an answer can no longer be sent: raised before anybody is told, so that who was told is refused. After
    /// [`Reason::PeerClosed`], which may be a half-close, it can until the connection is over.
    fn is_over(&self, state: &State) -> bool {
        state.over || self.cancelled().is_some_and(|reason| reason != Reason::PeerClosed)
    }

    /// Pending while an answer may still go out. Shares its waker with [`Request::poll_write`]: one task polls both.
    pub(crate) fn poll_gone(&self, cx: &mut Context<'_>) -> Poll<()> {
        let mut state = self.exchange.lock();
        if self.is_over(&state) {
            return Poll::Ready(());
        }
        if !state.answer.waker.as_ref().is_some_and(|waker| waker.will_wake(cx.waker())) {
            let other = state.answer.waker.replace(cx.waker().clone());
            drop(state);
            // Not under the lock: it may own a request.
            drop(other);
        }
        Poll::Pending
    }

    fn gone(&self) -> RequestError {
        RequestError::Cancelled(self.cancelled().unwrap_or(Reason::Complete))
    }

    /// Waits until `ready`, for as long as `patience` says. Whether it is so is for the caller to look if nobody was to wait.
    fn wait_until(
        &self,
        patience: Patience,
        mut ready: impl FnMut(&mut State) -> Result<bool, RequestError>,
    ) -> Result<MutexGuard<'_, State>, RequestError> {
        let blocking = patience != Some(Duration::ZERO);
        if blocking && crate::reactor::is_reactor_thread() {
            return Err(RequestError::Deadlock);
        }
        let until = patience.filter(|_| blocking).map(|patience| Instant::now() + patience);
        let mut state = self.exchange.lock();
        loop {
            if ready(&mut state)? || !blocking {
                return Ok(state);
            }
            let left = until.map(|until| until.saturating_duration_since(Instant::now()));
            if left == Some(Duration::ZERO) {
                return Err(RequestError::TimedOut);
            }
            state = self.exchange.wait(state, left);
        }
    }
}

impl Drop for Request {
    fn drop(&mut self) {
        self.exchange.connection.load.leave(self.slot, self.exchange.link());
        if *self.settled.get_mut() {
            return;
        }
        let mut state = self.exchange.lock();
        match state.answer.stage {
            _ if state.over => {}
            Stage::Awaited => fail(&self.exchange, &mut state, Failure::Unanswered),
            Stage::Begun => {
                state.answer.stage = Stage::Aborted;
                self.exchange.touch(&state);
            }
            _ => {}
        }
        // Nobody can arm it any more, and one that holds the exchange would keep it, and what it holds, for ever.
        let hook = state.on_ready.take();
        drop(state);
        drop(hook);
    }
}

pub(crate) fn fail(exchange: &Exchange, state: &mut State, failure: Failure) {
    // After a read that met `max_body_bytes` the 413 is on its way: a program that then gives up must not turn it into a 500.
    let refused = state.content.end == Some(ContentEnd::Failed(Reason::BodySize));
    if state.answer.stage == Stage::Awaited && !state.over && !refused {
        state.answer.stage = Stage::Failed(failure);
        exchange.touch(state);
    }
}
