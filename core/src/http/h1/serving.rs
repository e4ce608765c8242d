//! One HTTP/1 exchange while the program has it: its answer goes out, its content comes in, and the body, handler and response
//! clocks run. What comes before and after is `h1.rs`.

use std::pin::Pin;
use std::sync::MutexGuard;
use std::task::{Context, Poll};

use bytes::Bytes;
use http::StatusCode;

use crate::connection::{Connection, End, Held, reason_of_io};
use crate::deadline::Moment;
use crate::exchange::{ContentEnd, Failure, Stage, State};
use crate::http::head::{Framing, HeadLimits};
use crate::http::live::{Live, Raised, body_reason, write_reason};
use crate::phase::Phase;
use crate::reason::Reason;
use crate::transport::Transport;

use super::Http1;
use super::chunked::{Chunked, Decoded};
use super::encode::{self, Persistence, ResponseFraming};
use super::output::FULL;

/// Most octets that are read while nobody asked for them, to notice that the peer goes away.
const LOOKAHEAD: usize = 16 * 1024;

/// What the connection does next.
pub(super) enum Next {
    Again,
    Wait,
    /// The answer is complete in the output.
    Answered {
        persist: bool,
        linger: bool,
        reason: Reason,
    },
    /// Nothing can be said any more.
    Cut(End, Reason),
}

/// How much content the peer still owes.
enum Owed {
    Nothing,
    Octets(u64),
    Chunks(Box<Chunked>),
}

pub(super) struct Serving {
    live: Live,
    owed: Owed,
    /// Once the head is written: how the answer tells its end.
    framing: Option<ResponseFraming>,
    persist: bool,
    continue_sent: bool,
    /// Content octets of the program in the output.
    moved: usize,
    /// Octets that the socket had taken when the answer's clock was last told.
    taken: u64,
    /// The library answers at once.
    refused: Option<(u16, Reason)>,
}

/// What the program's side amounts to now.
enum Taken {
    Nothing,
    Something,
    Complete,
    Failed(Failure),
    Aborted,
}

impl Serving {
    pub(super) fn new(live: Live, limits: &HeadLimits) -> Self {
        let owed = match (live.exchange.buffered.is_some(), live.exchange.head.framing()) {
            (true, _) | (_, Framing::None | Framing::Unknown) => Owed::Nothing,
            (_, Framing::Length(length)) => Owed::Octets(length),
            (_, Framing::Chunked) => Owed::Chunks(Box::new(Chunked::new(limits))),
        };
        Self {
            live,
            owed,
            framing: None,
            persist: false,
            continue_sent: false,
            moved: 0,
            taken: 0,
            refused: None,
        }
    }

    /// The program never saw it: the library answers.
    pub(super) fn refused(mut self, status: u16, reason: Reason) -> Self {
        self.refused = Some((status, reason));
        self
    }

    /// Ends the exchange, answered or not.
    pub(super) fn end(self, connection: &mut Connection, reason: Reason) {
        self.live.end(connection, reason);
    }

    /// The answer waits for the socket to take its last octets.
    pub(super) fn flushing(&mut self, now: Moment) {
        self.live.books().enter(Phase::Flush, now);
    }

    pub(super) fn step<T: Transport>(
        &mut self,
        http1: &mut Http1<'_, T>,
        cx: &mut Context<'_>,
        now: Moment,
    ) -> Next {
        if let Some((status, reason)) = self.refused.take() {
            return self.answer(http1, status, reason, now);
        }
        let exchange = self.live.exchange.clone();
        let mut state = exchange.lock();
        let mut progressed = match self.take_answer(http1, &mut state, now) {
            Taken::Nothing => false,
            Taken::Something => true,
            Taken::Complete => {
                drop(state);
                return self.complete(http1);
            }
            Taken::Failed(failure) => {
                let content = state.content.end;
                drop(state);
                // A program that lets go because its read failed or its peer left is not the culprit.
                let (status, reason) = match (failure, content, http1.eof) {
                    (_, Some(ContentEnd::Failed(Reason::BodySize)), _) => {
                        return self.strike(http1, 413, Reason::BodySize, now);
                    }
                    (Failure::Refused, ..) => (503, Reason::HandlerCapacity),
                    (Failure::Bug, ..) => (500, Reason::Internal),
                    (_, Some(ContentEnd::Failed(reason)), _) => (400, reason),
                    (_, _, Some(reason)) => (if self.rest_is_here(http1) { 500 } else { 400 }, reason),
                    (Failure::Failed | Failure::Unanswered, ..) => (500, Reason::HandlerFailed),
                };
                return self.answer(http1, status, reason, now);
            }
            Taken::Aborted => return Next::Cut(End::Reset, Reason::ProgramAbort),
        };
        // Neither a flag beside the fault, nor anything of one arm that lives on behind it: LLVM looks at either before it knows
        // which case it is, and valgrind minds.
        match self.take_content(http1, &mut state, cx, now, &mut progressed) {
            Ok(()) => {}
            Err(Fault::Refused(status, reason)) => {
                drop(state);
                return self.strike(http1, status, reason, now);
            }
            Err(Fault::Peer(reason)) => {
                if reason == Reason::PeerReset || reason == Reason::Io {
                    drop(state);
                    return Next::Cut(End::Reset, reason);
                }
                let reason = if self.rest_is_here(http1) { super::at_rest(reason) } else { reason };
                http1.eof = Some(reason);
                // Half-closed: the program is told, and what it still answers is still sent.
                let raised = self.live.raise(&mut state, reason);
                drop(state);
                if let Some(raised) = raised {
                    raised.tell(http1.connection, &self.live);
                }
                state = exchange.lock();
                progressed = true;
            }
        }
        let ready = exchange.take_ready(&mut state);
        if !progressed && ready == [None, None] && http1.output.is_empty() {
            return self.wait(http1, cx, now, state);
        }
        drop(state);
        for ready in ready.into_iter().flatten() {
            http1.connection.reactor.tell_ready(&exchange, ready);
            progressed = true;
        }
        let moved = self.moved;
        if let Err(reason) = self.send(http1, cx, now) {
            return Next::Cut(End::Reset, reason);
        }
        progressed |= self.moved < moved;
        if progressed { Next::Again } else { self.wait(http1, cx, now, exchange.lock()) }
    }

    // ---- the answer ----

    fn take_answer<T: Transport>(
        &mut self,
        http1: &mut Http1<'_, T>,
        state: &mut State,
        now: Moment,
    ) -> Taken {
        let answer = &mut state.answer;
        match answer.stage {
            Stage::Awaited if answer.informational.is_empty() => return Taken::Nothing,
            Stage::Failed(failure) if self.framing.is_none() => return Taken::Failed(failure),
            Stage::Aborted => return Taken::Aborted,
            _ => {}
        }
        let reactor = http1.connection.reactor.clone();
        let mut taken = Taken::Nothing;
        for informational in std::mem::take(&mut answer.informational) {
            let out = http1.output.buffer(&reactor.buffers);
            encode::informational(out, code(informational.status), &informational.lines);
            taken = Taken::Something;
        }
        if let Some(head) = answer.head.take() {
            let request = &self.live.exchange.head;
            let framing = ResponseFraming::new(
                request.version(),
                request.is_head(),
                code(head.status),
                answer.announced,
            );
            let whole = answer.stage == Stage::Finished;
            self.persist = http1.may_persist()
                && request.keep_alive()
                && framing != ResponseFraming::UntilClose
                && (!whole || self.rest_is_here(http1));
            let persistence = Persistence::of(self.persist, request.version());
            let date = (!head.lines.has_date()).then(|| reactor.date(now));
            let out = http1.output.buffer(&reactor.buffers);
            encode::begin_head(out, code(head.status), &head.lines);
            encode::finish_head(out, framing, persistence, date.as_ref());
            self.framing = Some(framing);
            state.handler_clock.stop(now);
            self.live.answered(http1.connection, head.status, now);
            let short = std::mem::take(&mut state.answer.short);
            if !short.is_empty() {
                self.move_chunk(http1, state, framing, &short);
            }
            taken = Taken::Something;
        }
        let Some(framing) = self.framing else { return taken };
        while http1.output.len() < FULL {
            let Some(mut chunk) = state.answer.chunks.pop_front() else { break };
            let room = FULL.saturating_sub(http1.output.len()).max(1);
            if chunk.len() > room {
                let rest = chunk.split_off(room);
                state.answer.chunks.push_front(rest);
            }
            self.move_chunk(http1, state, framing, &chunk);
            taken = Taken::Something;
        }
        if state.answer.stage == Stage::Finished && state.answer.chunks.is_empty() {
            if framing == ResponseFraming::Chunked {
                let out = http1.output.buffer(&reactor.buffers);
                // RFC 9110 §6.5.1: trailers go to who asked for them.
                let trailers = state.answer.trailers.take().filter(|_| self.live.exchange.head.te_trailers());
                encode::last_chunk(out, trailers.as_deref());
            }
            return Taken::Complete;
        }
        taken
    }

    fn move_chunk<T: Transport>(
        &mut self,
        http1: &mut Http1<'_, T>,
        state: &mut State,
        framing: ResponseFraming,
        chunk: &[u8],
    ) {
        if !framing.sends_content() {
            self.live.exchange.release_room(state, chunk.len());
            return;
        }
        let out = http1.output.buffer(&http1.connection.reactor.buffers);
        if framing == ResponseFraming::Chunked {
            encode::chunk(out, chunk);
        } else {
            out.extend_from_slice(chunk);
        }
        self.moved += chunk.len();
        self.live.books().sent += chunk.len() as u64;
    }

    /// Hands the output to the socket; what it took is room for more.
    fn send<T: Transport>(
        &mut self,
        http1: &mut Http1<'_, T>,
        cx: &mut Context<'_>,
        now: Moment,
    ) -> Result<(), Reason> {
        if http1.output.is_empty() {
            return Ok(());
        }
        let before = http1.output.len();
        let all = http1.send(cx)?;
        let taken = if all { self.moved } else { (before - http1.output.len()).min(self.moved) };
        let mut state = self.live.exchange.lock();
        if taken > 0 {
            self.moved -= taken;
            self.live.exchange.release_room(&mut state, taken);
        }
        let carried = http1.connection.meter.sent.get();
        if carried > self.taken {
            let limits = self.live.exchange.limits(&state).answer;
            let octets = carried - self.taken;
            self.taken = carried;
            state.answer_clock.progress(now, octets, &limits);
        }
        Ok(())
    }

    /// All of the answer is in the output.
    fn complete<T: Transport>(&mut self, http1: &mut Http1<'_, T>) -> Next {
        let read_out = self.skip_rest(http1);
        Next::Answered { persist: self.persist && read_out, linger: !read_out, reason: Reason::Complete }
    }

    /// Octets of the input that are the rest of the content; `None`: more is to come, or it is malformed.
    fn rest<T: Transport>(&self, http1: &Http1<'_, T>) -> Option<usize> {
        match &self.owed {
            Owed::Nothing => Some(0),
            Owed::Octets(octets) => usize::try_from(*octets).ok().filter(|rest| *rest <= http1.input.len()),
            Owed::Chunks(decoder) => decoder.end_in(http1.input.octets()),
        }
    }

    /// Whether all content that is owed has come already.
    fn rest_is_here<T: Transport>(&self, http1: &Http1<'_, T>) -> bool {
        self.rest(http1).is_some()
    }

    /// Drops content that has come and that nobody wants; `false`: more is to come.
    fn skip_rest<T: Transport>(&mut self, http1: &mut Http1<'_, T>) -> bool {
        let Some(rest) = self.rest(http1) else { return false };
        http1.input.consume(rest);
        self.owed = Owed::Nothing;
        true
    }

    /// The library answers in the program's place.
    fn answer<T: Transport>(
        &mut self,
        http1: &mut Http1<'_, T>,
        status: u16,
        reason: Reason,
        now: Moment,
    ) -> Next {
        let read_out = self.skip_rest(http1);
        let request = &self.live.exchange.head;
        let persist = read_out
            && request.keep_alive()
            && http1.may_persist()
            // What was cut off, or is too large, leaves nothing to go on from.
            && !matches!(status, 400 | 408 | 413);
        let persistence = Persistence::of(persist, request.version());
        let to_head = request.is_head();
        http1.canned(status, to_head, persistence, now);
        self.live.answered(http1.connection, status, now);
        Next::Answered { persist, linger: !read_out, reason }
    }

    /// A limit struck: with a status as long as no head was sent, else by a reset.
    fn strike<T: Transport>(
        &mut self,
        http1: &mut Http1<'_, T>,
        status: u16,
        reason: Reason,
        now: Moment,
    ) -> Next {
        http1.connection.limit(reason);
        let raised: Option<Raised> = {
            let mut state = self.live.exchange.lock();
            self.live.exchange.end_content(&mut state, ContentEnd::Failed(reason));
            self.live.raise(&mut state, reason)
        };
        if let Some(raised) = raised {
            raised.tell(http1.connection, &self.live);
        }
        if self.framing.is_some() {
            return Next::Cut(End::Reset, reason);
        }
        self.answer(http1, status, reason, now)
    }

    // ---- the content ----

    fn take_content<T: Transport>(
        &mut self,
        http1: &mut Http1<'_, T>,
        state: &mut State,
        cx: &mut Context<'_>,
        now: Moment,
        progressed: &mut bool,
    ) -> Result<(), Fault> {
        if state.content.end == Some(ContentEnd::Failed(Reason::BodySize)) {
            return Err(Fault::Refused(413, Reason::BodySize));
        }
        while state.content.asked && state.content.end.is_none() {
            let window = http1.connection.info.content_window;
            let room = window.saturating_sub(state.content.waiting);
            if room == 0 || http1.input.is_empty() {
                break;
            }
            self.decode(http1, state, room, now)?;
            *progressed = true;
        }
        let asked = state.content.asked
            && state.content.end.is_none()
            && state.content.waiting < http1.connection.info.content_window;
        if asked && !self.continue_sent && self.framing.is_none() && state.content.received == 0 {
            self.continue_sent = true;
            if self.live.exchange.head.expects_continue() && http1.input.is_empty() {
                http1.output.buffer(&http1.connection.reactor.buffers).extend_from_slice(encode::CONTINUE);
                *progressed = true;
            }
        }
        if let Some(reason) = http1.eof {
            // What came in front of the end may be all of it; what is still owed behind it is not coming.
            if http1.input.is_empty() && !matches!(self.owed, Owed::Nothing) {
                self.live.exchange.end_content(state, ContentEnd::Failed(reason));
            }
            return Ok(());
        }
        if http1.input.len() >= LOOKAHEAD {
            return Ok(());
        }
        if http1.wire.poll_readable(cx).is_pending() {
            return Ok(());
        }
        match http1.input.poll_fill(cx, &http1.connection.reactor.buffers, Pin::new(&mut http1.wire)) {
            Poll::Ready(Ok(0)) => return Err(Fault::Peer(Reason::PeerClosed)),
            Poll::Ready(Ok(_)) => *progressed = true,
            Poll::Ready(Err(error)) => return Err(Fault::Peer(reason_of_io(&error))),
            Poll::Pending => {}
        }
        Ok(())
    }

    fn decode<T: Transport>(
        &mut self,
        http1: &mut Http1<'_, T>,
        state: &mut State,
        room: usize,
        now: Moment,
    ) -> Result<(), Fault> {
        let exchange = &self.live.exchange;
        let input = http1.input.octets();
        let input = &input[..input.len().min(room)];
        let consumed = match &mut self.owed {
            Owed::Nothing => {
                exchange.end_content(state, ContentEnd::Complete);
                return Ok(());
            }
            Owed::Octets(left) => {
                let length = usize::try_from(*left).unwrap_or(usize::MAX).min(input.len());
                *left -= length as u64;
                let complete = *left == 0;
                exchange.push_content(state, now, Bytes::copy_from_slice(&input[..length]));
                if complete {
                    self.owed = Owed::Nothing;
                    exchange.end_content(state, ContentEnd::Complete);
                }
                length
            }
            Owed::Chunks(decoder) => {
                let mut rest = input;
                match decoder.decode(&mut rest).map_err(|refusal| Fault::Refused(400, refusal.reason))? {
                    Decoded::Content(octets) => {
                        let received = state.content.received + octets.len() as u64;
                        if exchange.limits(state).max_body_bytes.is_some_and(|cap| received > cap) {
                            return Err(Fault::Refused(413, Reason::BodySize));
                        }
                        let octets = Bytes::copy_from_slice(octets);
                        exchange.push_content(state, now, octets);
                    }
                    Decoded::More => exchange.push_content(state, now, Bytes::new()),
                    Decoded::End => {
                        if let Owed::Chunks(decoder) = std::mem::replace(&mut self.owed, Owed::Nothing) {
                            state.content.trailers = Some(std::sync::Arc::new(decoder.into_trailers()));
                        }
                        exchange.end_content(state, ContentEnd::Complete);
                    }
                }
                input.len() - rest.len()
            }
        };
        http1.input.consume(consumed);
        Ok(())
    }

    // ---- the clocks ----

    fn wait<T: Transport>(
        &mut self,
        http1: &mut Http1<'_, T>,
        cx: &mut Context<'_>,
        now: Moment,
        mut guard: MutexGuard<'_, State>,
    ) -> Next {
        http1.input.rest(&http1.connection.reactor.buffers);
        let exchange = &self.live.exchange;
        let state = &mut *guard;
        let sending = !http1.output.is_empty();
        let receiving = state.content.wanted && state.content.waiting == 0 && state.content.end.is_none();
        let phase = match (sending, receiving, self.framing.is_some()) {
            (true, ..) => Phase::Response,
            (_, true, _) => Phase::Body,
            (_, _, true) => Phase::Response,
            _ => Phase::Handler,
        };
        state.answer_clock.turn(sending, now);
        state.content_clock.turn(receiving, now);
        state.handler_clock.turn(!receiving && self.framing.is_none(), now);
        // Worked out for the clocks that run, mostly the handler's alone.
        let limits = || exchange.limits(state);
        let answer =
            || state.answer_clock.due(&limits().answer).map(|(due, strike)| (due, 0, write_reason(strike)));
        let program = if receiving {
            state.content_clock.due(&limits().content).map(|(due, strike)| (due, 408, body_reason(strike)))
        } else {
            state.handler_clock.due(&limits().handler).map(|(due, _)| (due, 504, Reason::HandlerTimeout))
        };
        let due = match (sending.then(answer).flatten(), program) {
            (Some(first), Some(next)) if next.0 < first.0 => Some(next),
            (first, next) => first.or(next),
        };
        let decoder = if let Owed::Chunks(decoder) = &self.owed { decoder.heap_bytes() } else { 0 };
        let held = Held { charged: exchange.held(state) + decoder, other: state.answer.queued };
        let stalled = match (sending, receiving) {
            (true, _) => state.answer_clock.progressed(),
            (_, true) => state.content_clock.progressed(),
            _ => None,
        };
        drop(guard);
        http1.hold(held);
        http1.connection.enter(phase, now);
        http1.connection.stalls(stalled);
        self.live.books().enter(phase, now);
        match due {
            Some((due, status, reason)) if now >= due => return self.expired(http1, status, reason, now),
            Some((due, ..)) => http1.connection.wake_at(due, cx),
            None => http1.connection.wake_never(cx),
        }
        Next::Wait
    }

    fn expired<T: Transport>(
        &mut self,
        http1: &mut Http1<'_, T>,
        status: u16,
        reason: Reason,
        now: Moment,
    ) -> Next {
        if status == 0 {
            http1.connection.limit(reason);
            return Next::Cut(End::Reset, reason);
        }
        self.strike(http1, status, reason, now)
    }
}

/// Why content cannot go on.
enum Fault {
    /// The library answers with this status.
    Refused(u16, Reason),
    /// The peer went away.
    Peer(Reason),
}

/// Codes were checked where the program gave them.
fn code(status: u16) -> StatusCode {
    StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR)
}
