//! The answer of one stream on its way out. h2 is never given more than `capacity()` grants, so that nothing waits for a window
//! inside it, where no clock of ours could see the stall; what does not fit stays in the exchange.

use std::mem;

use bytes::Bytes;
use h2::SendStream;
use h2::server::SendResponse;
use http::StatusCode;

use super::Side;
use super::answer::informational;
use super::stream::Fate;
use crate::connection::Connection;
use crate::deadline::Moment;
use crate::exchange::{Answer, ContentEnd, Exchange, Failure, Locked, Stage};
use crate::http::h1::encode::ResponseFraming;
use crate::http::head::Version;
use crate::reason::Reason;

/// How far the answer of a stream is.
#[derive(Default)]
pub(super) struct Sending {
    stream: Option<SendStream<Bytes>>,
    /// Once the head is with h2: how the answer tells its end.
    framing: Option<ResponseFraming>,
    /// END_STREAM is with h2.
    ended: bool,
    /// Octets of content that h2 was given.
    sent: u64,
    /// Octets that h2 has and the socket has not taken.
    in_flight: usize,
    /// Octets of this stream that the socket had taken at the last look.
    taken: u64,
    /// Octets of the program that wait for the peer's window.
    waiting: usize,
    /// Since when the rest of a finished answer fits the send buffer.
    tail_since: Option<Moment>,
}

impl Sending {
    /// Whether a status can still be sent.
    pub(super) fn head_is_out(&self) -> bool {
        self.framing.is_some()
    }

    /// Octets of content that were sent.
    pub(super) fn sent(&self) -> u64 {
        self.sent
    }

    /// Since when only the tail is left.
    pub(super) fn tail_since(&self) -> Option<Moment> {
        self.tail_since
    }

    /// Whether octets that the program handed over wait for the peer.
    pub(super) fn is_stalled(&self, side: &Side) -> bool {
        self.waiting > 0 || (self.in_flight > 0 && side.blocked)
    }

    /// Whether the stream is to be looked at whenever the socket or a window moved.
    pub(super) fn is_unfinished(&self) -> bool {
        !self.ended && (self.waiting > 0 || self.in_flight > 0)
    }

    /// Hands h2 what the program has given, as far as the peer's windows allow. Returns the status if the head went.
    pub(super) fn send(
        &mut self,
        respond: &mut SendResponse<Bytes>,
        exchange: &Exchange,
        state: &mut Locked<'_>,
        connection: &Connection,
        side: &mut Side,
    ) -> Result<Option<u16>, Fate> {
        match state.answer.stage {
            Stage::Awaited if state.answer.informational.is_empty() => return Ok(None),
            Stage::Failed(failure) => return Err(failed(failure, state.content.end, exchange.cancelled())),
            Stage::Aborted => return Err(Fate::Reset(h2::Reason::INTERNAL_ERROR, Reason::ProgramAbort)),
            _ => {}
        }
        if self.ended {
            return Ok(None);
        }
        for head in mem::take(&mut state.answer.informational) {
            side.watch.expect_informational(exchange.stream);
            respond.send_informational(informational(head.status, Some(&head.lines))).map_err(refused)?;
        }
        let status = match state.answer.head.take() {
            Some(head) => {
                state.handler_clock.stop(side.now);
                let to_head = exchange.head.is_head();
                let code = StatusCode::from_u16(head.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
                let framing = ResponseFraming::new(Version::Http2, to_head, code, state.answer.announced);
                let length = match framing {
                    ResponseFraming::Length(length) => Some(length),
                    ResponseFraming::HeadOnly(length) => length,
                    _ => None,
                };
                let short = mem::take(&mut state.answer.short);
                if !short.is_empty() {
                    state.answer.chunks.push_back(Bytes::copy_from_slice(&short));
                }
                if !framing.sends_content() {
                    drop_content(exchange, state);
                }
                let end = is_whole(&state.answer) && !has_trailers(&state.answer, framing);
                let response =
                    side.fields.response(connection, side.now, head.status, Some(&head.lines), length);
                let stream = respond.send_response(response, end).map_err(refused)?;
                self.framing = Some(framing);
                if end {
                    self.end(side.now);
                } else {
                    self.stream = Some(stream);
                }
                Some(head.status)
            }
            None => None,
        };
        if let Some(framing) = self.framing
            && !self.ended
        {
            self.send_content(framing, exchange, state, connection, side)?;
        }
        Ok(status)
    }

    fn send_content(
        &mut self,
        framing: ResponseFraming,
        exchange: &Exchange,
        state: &mut Locked<'_>,
        connection: &Connection,
        side: &Side,
    ) -> Result<(), Fate> {
        if !framing.sends_content() {
            drop_content(exchange, state);
        }
        self.note_taken(exchange, state, side);
        let Some(stream) = &mut self.stream else { return Ok(()) };
        let finished = state.answer.stage == Stage::Finished;
        let trailers = has_trailers(&state.answer, framing);
        let answer = &mut state.answer;
        let window = connection.info.answer_window;
        let mut waiting = answer.queued - self.in_flight;
        let mut moved = 0;
        if waiting > 0 {
            stream.reserve_capacity(waiting.min(window));
        }
        while let Some(mut chunk) = answer.chunks.pop_front() {
            let capacity = stream.capacity();
            if capacity == 0 {
                answer.chunks.push_front(chunk);
                break;
            }
            if chunk.len() > capacity {
                let rest = chunk.split_off(capacity);
                answer.chunks.push_front(rest);
            }
            waiting -= chunk.len();
            moved += chunk.len();
            let last = finished && answer.chunks.is_empty() && !trailers;
            stream.send_data(chunk, last).map_err(refused)?;
            self.ended = last;
        }
        self.in_flight += moved;
        self.sent += moved as u64;
        if finished && answer.chunks.is_empty() && !self.ended {
            match answer.trailers.take().filter(|_| trailers) {
                Some(lines) => stream.send_trailers(lines.to_header_map()).map_err(refused)?,
                None => stream.send_data(Bytes::new(), true).map_err(refused)?,
            }
            self.ended = true;
        }
        let waited = mem::replace(&mut self.waiting, waiting);
        if moved > 0 && !self.ended {
            let limits = exchange.limits(state).answer;
            state.answer_clock.progress(side.now, moved as u64, &limits);
        }
        if finished && waiting <= window {
            self.tail_since.get_or_insert(side.now);
            if waited > 0 || waiting > 0 {
                side.watch.set_tail(exchange.stream, waiting);
            }
        }
        if self.ended {
            self.end(side.now);
        }
        Ok(())
    }

    /// Octets that the socket took are room for more.
    fn note_taken(&mut self, exchange: &Exchange, state: &mut Locked<'_>, side: &Side) {
        if self.in_flight == 0 {
            return;
        }
        let Some(taken) = side.watch.stream_data_taken(exchange.stream) else { return };
        let fresh = (taken - self.taken) as usize;
        self.taken = taken;
        self.in_flight = self.in_flight.saturating_sub(fresh);
        if fresh > 0 {
            exchange.release_room(state, fresh);
        }
    }

    fn end(&mut self, now: Moment) {
        self.ended = true;
        self.waiting = 0;
        self.stream = None;
        self.tail_since.get_or_insert(now);
    }
}

/// A program that lets go because its read failed or its peer left is not the culprit.
fn failed(failure: Failure, content: Option<ContentEnd>, cancelled: Option<Reason>) -> Fate {
    match (failure, content, cancelled) {
        (Failure::Refused, ..) => Fate::Answer(503, Reason::HandlerCapacity),
        (Failure::Bug, ..) => Fate::Answer(500, Reason::Internal),
        (_, Some(ContentEnd::Failed(reason)), _) => Fate::Answer(400, reason),
        (_, _, Some(reason)) => Fate::Answer(500, reason),
        (Failure::Failed | Failure::Unanswered, ..) => Fate::Answer(500, Reason::HandlerFailed),
    }
}

/// Whether all of the answer is here and none of it is content.
fn is_whole(answer: &Answer) -> bool {
    answer.stage == Stage::Finished && answer.chunks.is_empty()
}

fn has_trailers(answer: &Answer, framing: ResponseFraming) -> bool {
    framing.sends_content() && answer.trailers.is_some()
}

/// Content that must not be sent (RFC 9110 §9.3.2, §15.3.5, §15.4.5).
fn drop_content(exchange: &Exchange, state: &mut Locked<'_>) {
    state.spend_rest();
    let queued = state.answer.queued;
    if queued > 0 {
        exchange.release_room(state, queued);
    }
}

/// h2 takes nothing for a stream that it has ended itself. The peer's own reset was told by the observer before.
fn refused(_: h2::Error) -> Fate {
    Fate::Gone(Reason::H2Protocol)
}
