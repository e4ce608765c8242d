//! The program's handle on one request: look at it, read its content, answer it, watch it die. Any thread, at any time; the
//! network may end the exchange at any moment, and every call then says so. What the connection does with it is `exchange.rs`.
//!
//! Dropping a [`Request`] releases it: unanswered it becomes a 500, begun but unfinished it is aborted, and its running-handler
//! slot is free again.

use std::sync::{Arc, MutexGuard};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use tokio::time::Instant;

use crate::admission::SlotState;
use crate::deadline::PhaseLimits;
use crate::error::ErrorKind;
use crate::exchange::{AnswerHead, ContentEnd, Exchange, Failure, Ready, SHORT, Stage, State};
use crate::http::fields::{FieldLines, Section};
use crate::http::head::Version;
use crate::http::trailers::Trailers;
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
}

impl Request {
    pub(crate) fn new(exchange: Arc<Exchange>, slot: SlotState) -> Self {
        Self { exchange, slot }
    }

    /// The shared part, which outlives the release of this handle.
    pub fn exchange(&self) -> &Arc<Exchange> {
        &self.exchange
    }

    /// The program is about to be given a request that waited; `false`: not now, too many run.
    pub(crate) fn start(&mut self) -> bool {
        self.exchange.connection.load.start(&mut self.slot)
    }

    /// `Ok` while the exchange lives; the reason once cancel was raised. After [`Reason::PeerClosed`] an answer may still go out.
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

    fn gone(&self) -> RequestError {
        RequestError::Cancelled(self.cancelled().unwrap_or(Reason::Complete))
    }

    // ---- content ----

    /// Copies content into `buffer`, waiting as long as `patience` says.
    pub fn read(&self, buffer: &mut [u8], patience: Patience) -> Result<Read, RequestError> {
        let mut state = self.await_content(patience)?;
        let content = &mut state.content;
        let Some(front) = content.chunks.front_mut() else { return Ok(idle_read(&state)) };
        let length = front.len().min(buffer.len());
        buffer[..length].copy_from_slice(&front[..length]);
        self.consumed(&mut state, length);
        Ok(Read::Octets(length))
    }

    /// The next chunk without a copy, waiting as long as `patience` says; `None` at the end. `Err(TimedOut)` when nothing came.
    pub fn read_chunk(&self, patience: Patience) -> Result<Option<Bytes>, RequestError> {
        let mut state = self.await_content(patience)?;
        let Some(front) = state.content.chunks.front().cloned() else {
            return match idle_read(&state) {
                Read::End => Ok(None),
                _ => Err(RequestError::TimedOut),
            };
        };
        self.consumed(&mut state, front.len());
        Ok(Some(front))
    }

    fn await_content(&self, patience: Patience) -> Result<MutexGuard<'_, State>, RequestError> {
        let blocking = patience != Some(Duration::ZERO);
        if blocking && crate::reactor::is_reactor_thread() {
            return Err(RequestError::Deadlock);
        }
        let until = patience.filter(|_| blocking).map(|patience| Instant::now() + patience);
        let mut state = self.exchange.lock();
        loop {
            if self.content_state(&mut state)? || !blocking {
                return Ok(state);
            }
            let left = until.map(|until| until.saturating_duration_since(Instant::now()));
            if left == Some(Duration::ZERO) {
                return Err(RequestError::TimedOut);
            }
            state = self.exchange.wait(state, left);
        }
    }

    /// Whether there is content or its end; otherwise asks the connection for more.
    fn content_state(&self, state: &mut State) -> Result<bool, RequestError> {
        if state.content.waiting > 0 {
            // A handler that tightens the cap means what it has not read yet as well, whether or not that is here already.
            if state.overridden.is_some() && self.over_the_cap(state) {
                state.content.chunks.clear();
                state.content.waiting = 0;
                return Err(self.too_large(state));
            }
            return Ok(true);
        }
        match state.content.end {
            Some(ContentEnd::Complete) => return Ok(true),
            Some(ContentEnd::Failed(Reason::BodySize)) if !state.content.told_too_large => {
                state.content.told_too_large = true;
                return Err(RequestError::TooLarge);
            }
            Some(ContentEnd::Failed(reason)) => {
                return Err(RequestError::Cancelled(self.cancelled().unwrap_or(reason)));
            }
            None => {}
        }
        if self.over_the_cap(state) {
            return Err(self.too_large(state));
        }
        state.content.asked = true;
        if !state.content.wanted {
            state.content.wanted = true;
            self.exchange.touch(state);
        }
        Ok(false)
    }

    fn over_the_cap(&self, state: &State) -> bool {
        let length = state.content.announced.unwrap_or(state.content.received);
        self.exchange.limits(state).max_body_bytes.is_some_and(|cap| length > cap)
    }

    /// The typed error goes to this read; the connection sends the 413 and raises the cancel signal.
    fn too_large(&self, state: &mut State) -> RequestError {
        state.content.end = Some(ContentEnd::Failed(Reason::BodySize));
        state.content.told_too_large = true;
        self.exchange.touch(state);
        RequestError::TooLarge
    }

    fn consumed(&self, state: &mut State, mut octets: usize) {
        let content = &mut state.content;
        content.waiting -= octets;
        while let Some(front) = content.chunks.front_mut() {
            if front.len() > octets {
                drop(front.split_to(octets));
                break;
            }
            octets -= front.len();
            content.chunks.pop_front();
        }
        if content.end.is_none() {
            // Room for more: HTTP/2 returns window to the peer, HTTP/1 reads on.
            self.exchange.touch(state);
        }
    }

    /// The content that is here now, without consuming it; empty when there is none. Asks for more then.
    pub fn peek(&self) -> Result<(Bytes, Read), RequestError> {
        let mut state = self.exchange.lock();
        self.content_state(&mut state)?;
        Ok(match state.content.chunks.front() {
            Some(front) => (front.clone(), Read::Octets(front.len())),
            None => (Bytes::new(), idle_read(&state)),
        })
    }

    /// Drops the first `octets` of what [`Request::peek`] showed.
    pub fn consume(&self, octets: usize) -> Result<(), RequestError> {
        let mut state = self.exchange.lock();
        if octets > state.content.waiting {
            return Err(RequestError::Value(format!(
                "cannot consume {octets} octets: {} are there",
                state.content.waiting
            )));
        }
        self.consumed(&mut state, octets);
        Ok(())
    }

    /// One readiness call, or event, when content is readable, at its end, or will not come.
    pub fn arm_content(&self) -> Result<(), RequestError> {
        let mut state = self.exchange.lock();
        self.can_arm(&state)?;
        if state.content.waiting == 0 && state.content.end.is_none() {
            state.content.asked = true;
            state.content.wanted = true;
        }
        state.content.armed = true;
        self.exchange.link().touch(self.exchange.key);
        Ok(())
    }

    /// One readiness call, or event, when the answer has room or can no longer be sent.
    pub fn arm_room(&self) -> Result<(), RequestError> {
        let mut state = self.exchange.lock();
        self.writable(&state, 0)?;
        self.can_arm(&state)?;
        state.answer.armed = true;
        self.exchange.link().touch(self.exchange.key);
        Ok(())
    }

    fn can_arm(&self, state: &State) -> Result<(), RequestError> {
        if state.over {
            return Err(self.gone());
        }
        if !self.exchange.connection.queued && !state.ready_hook_used {
            return Err(RequestError::State("neither a queue nor a readiness hook would hear of it"));
        }
        Ok(())
    }

    /// Asynchronous form of [`Request::read_chunk`], for futures that may run on any executor.
    pub fn poll_content(&self, cx: &mut Context<'_>) -> Poll<Result<Option<Bytes>, RequestError>> {
        let mut state = self.exchange.lock();
        if !self.content_state(&mut state)? {
            state.content.waker = Some(cx.waker().clone());
            return Poll::Pending;
        }
        let Some(front) = state.content.chunks.front().cloned() else { return Poll::Ready(Ok(None)) };
        self.consumed(&mut state, front.len());
        Poll::Ready(Ok(Some(front)))
    }

    /// Pending while an answer may still go out. Shares its waker with [`Request::poll_write`]: one task polls both.
    pub(crate) fn poll_gone(&self, cx: &mut Context<'_>) -> Poll<()> {
        let mut state = self.exchange.lock();
        if state.over || self.cancelled().is_some_and(|reason| reason != Reason::PeerClosed) {
            return Poll::Ready(());
        }
        if !state.answer.waker.as_ref().is_some_and(|waker| waker.will_wake(cx.waker())) {
            state.answer.waker = Some(cx.waker().clone());
        }
        Poll::Pending
    }

    /// Trailer fields; only after the end of the content.
    pub fn trailers(&self) -> Result<Arc<Trailers>, RequestError> {
        let state = self.exchange.lock();
        if state.content.end != Some(ContentEnd::Complete) || state.content.waiting > 0 {
            return Err(RequestError::State("the content has not been read to its end"));
        }
        Ok(state.content.trailers.clone().unwrap_or_default())
    }

    // ---- answer ----

    /// Answers in one piece.
    pub fn respond<'f>(
        &self,
        status: u16,
        fields: impl IntoIterator<Item = (&'f [u8], &'f [u8])>,
        body: Body<'_>,
    ) -> Result<(), RequestError> {
        let head = self.head(status, fields)?;
        // What is copied, and shared out in pieces, is copied before the lock.
        let content = match body {
            Body::Copied(octets) if octets.len() > SHORT => Body::Owned(Bytes::copy_from_slice(octets)),
            body => body,
        };
        let mut state = self.awaited()?;
        let length = match content {
            Body::Copied(octets) => {
                state.answer.short.extend_from_slice(octets);
                state.answer.queued += octets.len();
                octets.len() as u64
            }
            Body::Owned(octets) => {
                let length = octets.len() as u64;
                push_chunk(&mut state, octets);
                length
            }
        };
        state.answer.announced = Some(length);
        state.answer.written = length;
        state.answer.head = Some(head);
        state.answer.stage = Stage::Finished;
        self.exchange.unlock_and_touch(state);
        Ok(())
    }

    /// Sends an informational response (102..=199) before the answer.
    pub fn inform<'f>(
        &self,
        status: u16,
        fields: impl IntoIterator<Item = (&'f [u8], &'f [u8])>,
    ) -> Result<(), RequestError> {
        if !(102..=199).contains(&status) {
            return Err(RequestError::Value(format!(
                "status code {status} is not informational: 102 to 199"
            )));
        }
        let lines = lines(Section::Header, fields)?;
        let mut state = self.awaited()?;
        if self.exchange.head.version() == Version::Http10 {
            // RFC 9110 15.2: a server must not send a 1xx response to an HTTP/1.0 client.
            return Ok(());
        }
        state.answer.informational.push(AnswerHead { status, lines });
        self.exchange.unlock_and_touch(state);
        Ok(())
    }

    /// Begins a streamed answer; `length` is announced and then enforced.
    pub fn begin<'f>(
        &self,
        status: u16,
        fields: impl IntoIterator<Item = (&'f [u8], &'f [u8])>,
        length: Option<u64>,
    ) -> Result<(), RequestError> {
        let head = self.head(status, fields)?;
        let mut state = self.awaited()?;
        // Content of 204 and 304 goes nowhere, so that none is missing.
        state.answer.announced = length.filter(|_| !matches!(status, 204 | 304));
        state.answer.head = Some(head);
        state.answer.stage = Stage::Begun;
        self.exchange.unlock_and_touch(state);
        Ok(())
    }

    /// Writes content; takes what there is room for, waiting for room as long as `patience` says. Zero = no room now.
    pub fn write(&self, octets: &[u8], patience: Patience) -> Result<usize, RequestError> {
        let blocking = patience != Some(Duration::ZERO);
        if blocking && crate::reactor::is_reactor_thread() {
            return Err(RequestError::Deadlock);
        }
        let until = patience.filter(|_| blocking).map(|patience| Instant::now() + patience);
        let mut state = self.exchange.lock();
        loop {
            self.writable(&state, octets.len() as u64)?;
            let room = self.room(&state).min(octets.len());
            if room > 0 || octets.is_empty() {
                self.append(state, Bytes::copy_from_slice(&octets[..room]));
                return Ok(room);
            }
            if !blocking {
                return Ok(0);
            }
            let left = until.map(|until| until.saturating_duration_since(Instant::now()));
            if left == Some(Duration::ZERO) {
                return Err(RequestError::TimedOut);
            }
            state = self.exchange.wait(state, left);
        }
    }

    /// Asynchronous write of a whole chunk: pending while there is no room at all.
    pub fn poll_write(&self, cx: &mut Context<'_>, octets: &Bytes) -> Poll<Result<(), RequestError>> {
        let mut state = self.exchange.lock();
        self.writable(&state, octets.len() as u64)?;
        if self.room(&state) == 0 && !octets.is_empty() {
            state.answer.waker = Some(cx.waker().clone());
            return Poll::Pending;
        }
        self.append(state, octets.clone());
        Poll::Ready(Ok(()))
    }

    fn writable(&self, state: &State, octets: u64) -> Result<(), RequestError> {
        match state.answer.stage {
            // The program's own mistake is told as such, however fast the connection was.
            Stage::Finished | Stage::Aborted => {
                return Err(RequestError::State("write after the end of the answer"));
            }
            _ if self.is_over(state) => return Err(self.gone()),
            Stage::Begun => {}
            Stage::Awaited => return Err(RequestError::State("write before begin")),
            Stage::Failed(_) => return Err(RequestError::State("the library answers this request")),
        }
        match state.answer.announced {
            Some(announced) if octets > announced - state.answer.written => {
                Err(RequestError::Value(format!(
                    "the announced content length is {announced}: {octets} octets more than the {} written go over it",
                    state.answer.written
                )))
            }
            _ => Ok(()),
        }
    }

    fn room(&self, state: &State) -> usize {
        self.exchange.connection.window().saturating_sub(state.answer.queued)
    }

    fn append(&self, mut state: MutexGuard<'_, State>, octets: Bytes) {
        state.answer.written += octets.len() as u64;
        push_chunk(&mut state, octets);
        self.exchange.unlock_and_touch(state);
    }

    /// Ends a streamed answer. Short of the announced length the exchange is aborted.
    pub fn finish<'f>(
        &self,
        trailers: impl IntoIterator<Item = (&'f [u8], &'f [u8])>,
    ) -> Result<(), RequestError> {
        let trailers = lines(Section::Trailer, trailers)?;
        let mut state = self.exchange.lock();
        self.writable(&state, 0)?;
        let short = state.answer.announced.is_some_and(|announced| announced != state.answer.written)
            && !self.exchange.head.is_head();
        state.answer.stage = if short { Stage::Aborted } else { Stage::Finished };
        state.answer.trailers = Some(trailers);
        self.exchange.unlock_and_touch(state);
        if short {
            return Err(RequestError::State("finished short of the announced content length: aborted"));
        }
        Ok(())
    }

    /// Ends the exchange without a (complete) answer: TCP reset, or RST_STREAM INTERNAL_ERROR.
    pub fn abort(&self) -> Result<(), RequestError> {
        let mut state = self.exchange.lock();
        if matches!(state.answer.stage, Stage::Finished | Stage::Aborted | Stage::Failed(_)) {
            return Err(RequestError::State("the answer is complete already"));
        }
        if state.over {
            return Err(self.gone());
        }
        state.answer.stage = Stage::Aborted;
        self.exchange.unlock_and_touch(state);
        Ok(())
    }

    /// Lets the library answer in the program's place; nothing happens if an answer was begun.
    pub fn fail(&self, failure: Failure) {
        let mut state = self.exchange.lock();
        fail(&self.exchange, &mut state, failure);
    }

    /// A final head; on TLS with the server's HSTS field unless the program gave one.
    fn head<'f>(
        &self,
        status: u16,
        fields: impl IntoIterator<Item = (&'f [u8], &'f [u8])>,
    ) -> Result<AnswerHead, RequestError> {
        if !(200..=599).contains(&status) {
            return Err(RequestError::Value(format!("status code {status} is out of range: 200 to 599")));
        }
        let mut lines = lines(Section::Header, fields)?;
        let connection = &self.exchange.connection;
        if let (true, Some(age)) = (connection.secure, connection.settings.hsts_max_age) {
            let given = lines.iter().any(|(name, _)| name.eq_ignore_ascii_case(b"strict-transport-security"));
            if !given {
                let value = format!("max-age={}", age.as_secs());
                // A full list keeps the program's own fields.
                let _ = lines.push(b"strict-transport-security", value.as_bytes());
            }
        }
        Ok(AnswerHead { status, lines })
    }

    fn awaited(&self) -> Result<MutexGuard<'_, State>, RequestError> {
        let state = self.exchange.lock();
        match state.answer.stage {
            Stage::Awaited | Stage::Failed(_) if self.is_over(&state) => Err(self.gone()),
            // A read has told the program, and the 413 is on its way: an answer that came first would win by chance.
            Stage::Awaited if state.content.end == Some(ContentEnd::Failed(Reason::BodySize)) => {
                Err(RequestError::Cancelled(Reason::BodySize))
            }
            Stage::Awaited => Ok(state),
            _ => {
                drop(state);
                let connection = self.exchange.connection.id;
                self.exchange.link().run(Box::new(move |reactor| reactor.note_second_answer(connection)));
                Err(RequestError::State("this request is answered already"))
            }
        }
    }
}

impl Drop for Request {
    fn drop(&mut self) {
        self.exchange.connection.load.leave(self.slot, self.exchange.link());
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

fn idle_read(state: &State) -> Read {
    if state.content.end == Some(ContentEnd::Complete) { Read::End } else { Read::Again }
}

fn push_chunk(state: &mut State, octets: Bytes) {
    if !octets.is_empty() {
        state.answer.queued += octets.len();
        state.answer.chunks.push_back(octets);
    }
}

fn lines<'f>(
    section: Section,
    fields: impl IntoIterator<Item = (&'f [u8], &'f [u8])>,
) -> Result<FieldLines, RequestError> {
    FieldLines::collect(section, fields).map_err(|error| RequestError::Value(error.to_string()))
}
