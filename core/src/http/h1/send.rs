//! The answer of an HTTP/1 exchange on its way out: from the exchange into the output, and from there to the socket. How heads and
//! chunks are written is `encode.rs`, when it is done `serving.rs`.

use std::task::Context;

use http::StatusCode;

use crate::deadline::Moment;
use crate::exchange::{Exchange, Failure, Locked, Stage};
use crate::reason::Reason;
use crate::transport::Transport;

use super::Http1;
use super::encode::{self, Persistence, ResponseFraming};
use super::output::FULL;
use super::receive::Receiving;

/// How far the answer is.
#[derive(Default)]
pub(super) struct Sending {
    /// Once the head is written: how the answer tells its end.
    framing: Option<ResponseFraming>,
    persist: bool,
    /// Content octets that were written.
    sent: u64,
    /// Of these, the ones in the output.
    moved: usize,
    /// Octets that the socket had taken when the answer's clock was last told.
    taken: u64,
}

/// What the program's side amounts to now.
pub(super) enum Taken {
    Nothing,
    Something,
    Complete,
    Failed(Failure),
    Aborted,
}

impl Sending {
    /// Whether a status can still be sent.
    pub(super) fn head_is_out(&self) -> bool {
        self.framing.is_some()
    }

    /// Whether the connection may live on behind the answer.
    pub(super) fn persists(&self) -> bool {
        self.persist
    }

    /// Content octets that were written.
    pub(super) fn sent(&self) -> u64 {
        self.sent
    }

    /// Writes what the program has given into the output. With it comes the status, if the head was written.
    pub(super) fn take<T: Transport>(
        &mut self,
        http1: &mut Http1<'_, T>,
        receiving: &Receiving,
        exchange: &Exchange,
        state: &mut Locked<'_>,
        now: Moment,
    ) -> (Option<u16>, Taken) {
        let answer = &mut state.answer;
        match answer.stage {
            Stage::Awaited if answer.informational.is_empty() => return (None, Taken::Nothing),
            Stage::Failed(failure) if self.framing.is_none() => return (None, Taken::Failed(failure)),
            Stage::Aborted => return (None, Taken::Aborted),
            _ => {}
        }
        let reactor = http1.connection.reactor.clone();
        let mut taken = Taken::Nothing;
        let mut status = None;
        for informational in std::mem::take(&mut answer.informational) {
            let out = http1.output.buffer(&reactor.buffers);
            encode::informational(out, code(informational.status), &informational.lines);
            taken = Taken::Something;
        }
        if let Some(head) = answer.head.take() {
            let request = &exchange.head;
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
                && (!whole || receiving.rest_is_here(http1));
            let persistence = Persistence::of(self.persist, request.version());
            let date = (!head.lines.has_date()).then(|| reactor.date(now));
            let out = http1.output.buffer(&reactor.buffers);
            encode::begin_head(out, code(head.status), &head.lines);
            encode::finish_head(out, framing, persistence, date.as_ref());
            self.framing = Some(framing);
            state.handler_clock.stop(now);
            status = Some(head.status);
            let short = std::mem::take(&mut state.answer.short);
            if !short.is_empty() {
                self.write_content(http1, exchange, state, framing, &short);
            }
            taken = Taken::Something;
        }
        let Some(framing) = self.framing else { return (status, taken) };
        while http1.output.len() < FULL {
            let Some(mut chunk) = state.answer.chunks.pop_front() else { break };
            let room = FULL.saturating_sub(http1.output.len()).max(1);
            if chunk.len() > room {
                let rest = chunk.split_off(room);
                state.answer.chunks.push_front(rest);
            }
            self.write_content(http1, exchange, state, framing, &chunk);
            state.spend(chunk);
            taken = Taken::Something;
        }
        if state.answer.stage == Stage::Finished && state.answer.chunks.is_empty() {
            if framing == ResponseFraming::Chunked {
                let out = http1.output.buffer(&reactor.buffers);
                // RFC 9110 §6.5.1: trailers go to who asked for them.
                let trailers = state.answer.trailers.take().filter(|_| exchange.head.te_trailers());
                encode::last_chunk(out, trailers.as_deref());
            }
            taken = Taken::Complete;
        }
        (status, taken)
    }

    fn write_content<T: Transport>(
        &mut self,
        http1: &mut Http1<'_, T>,
        exchange: &Exchange,
        state: &mut Locked<'_>,
        framing: ResponseFraming,
        octets: &[u8],
    ) {
        if !framing.sends_content() {
            exchange.release_room(state, octets.len());
            return;
        }
        let out = http1.output.buffer(&http1.connection.reactor.buffers);
        if framing == ResponseFraming::Chunked {
            encode::chunk(out, octets);
        } else {
            out.extend_from_slice(octets);
        }
        self.moved += octets.len();
        self.sent += octets.len() as u64;
    }

    /// Hands the output to the socket; what it took is room for more. Returns whether it took content.
    pub(super) fn send<T: Transport>(
        &mut self,
        http1: &mut Http1<'_, T>,
        exchange: &Exchange,
        cx: &mut Context<'_>,
        now: Moment,
    ) -> Result<bool, Reason> {
        if http1.output.is_empty() {
            return Ok(false);
        }
        let before = http1.output.len();
        let all = http1.send(cx)?;
        let taken = if all { self.moved } else { (before - http1.output.len()).min(self.moved) };
        let mut state = exchange.locked();
        if taken > 0 {
            self.moved -= taken;
            exchange.release_room(&mut state, taken);
        }
        let carried = http1.connection.meter.sent.get();
        if carried > self.taken {
            let limits = exchange.limits(&state).answer;
            let octets = carried - self.taken;
            self.taken = carried;
            state.answer_clock.progress(now, octets, &limits);
        }
        Ok(taken > 0)
    }
}

/// Codes were checked where the program gave them.
fn code(status: u16) -> StatusCode {
    StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR)
}
