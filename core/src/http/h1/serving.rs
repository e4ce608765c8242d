//! One HTTP/1 exchange while the program has it: what becomes of it when the program or the peer moved, and its body, handler and
//! response clocks. How content and the answer move is `receive.rs` and `send.rs`; what comes before and after, `h1.rs`.

use std::task::Context;

use crate::connection::{Connection, End, Held};
use crate::deadline::Moment;
use crate::exchange::{ContentEnd, Exchange, Failure, State};
use crate::http::head::HeadLimits;
use crate::http::live::{Live, Raised, body_reason, write_reason};
use crate::phase::Phase;
use crate::reason::Reason;
use crate::transport::Transport;

use super::Http1;
use super::encode::Persistence;
use super::receive::{Fault, Receiving};
use super::send::{Sending, Taken};

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

pub(super) struct Serving {
    live: Live,
    receiving: Receiving,
    sending: Sending,
    /// The library answers at once.
    refused: Option<(u16, Reason)>,
}

impl Serving {
    pub(super) fn new(live: Live, limits: &HeadLimits) -> Self {
        let receiving = Receiving::new(&live.exchange, limits);
        Self { live, receiving, sending: Sending::default(), refused: None }
    }

    /// The program never saw it: the library answers.
    pub(super) fn refused(mut self, status: u16, reason: Reason) -> Self {
        self.refused = Some((status, reason));
        self
    }

    /// Ends the exchange, answered or not.
    pub(super) fn end(mut self, connection: &mut Connection, reason: Reason) {
        self.live.books().sent = self.sending.sent();
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
        let (status, taken, content) = {
            let exchange = &*self.live.exchange;
            let mut state = exchange.locked();
            let (status, taken) = self.sending.take(http1, &self.receiving, exchange, &mut state, now);
            (status, taken, state.content.end)
        };
        if let Some(status) = status {
            self.live.answered(http1.connection, status, now);
        }
        let mut progressed = match taken {
            Taken::Nothing => false,
            Taken::Something => true,
            Taken::Complete => return self.complete(http1),
            Taken::Failed(failure) => return self.failed(http1, failure, content, now),
            Taken::Aborted => return Next::Cut(End::Reset, Reason::ProgramAbort),
        };
        let exchange = &*self.live.exchange;
        let mut state = exchange.locked();
        // Neither a flag beside the fault, nor anything of one arm that lives on behind it: LLVM looks at either before it knows
        // which case it is, and valgrind minds.
        let came = self.receiving.deliver(http1, exchange, &mut state, now, &mut progressed).and_then(|()| {
            if !self.sending.head_is_out() {
                progressed |= self.receiving.ask(http1, exchange, &state);
            }
            self.receiving.read(http1, exchange, &mut state, cx, &mut progressed)
        });
        match came {
            Ok(()) => {}
            Err(Fault::Refused(status, reason)) => {
                drop(state);
                return self.strike(http1, status, reason, now);
            }
            Err(Fault::Peer(reason)) => {
                if reason == Reason::PeerReset || reason == Reason::Io {
                    return Next::Cut(End::Reset, reason);
                }
                let rest_is_here = self.receiving.rest_is_here(http1);
                let reason = if rest_is_here { super::at_rest(reason) } else { reason };
                http1.eof = Some(reason);
                // Half-closed: the program is told, and what it still answers is still sent.
                let raised = self.live.raise(&mut state, reason);
                drop(state);
                if let Some(raised) = raised {
                    raised.tell(http1.connection, &self.live);
                }
                state = exchange.locked();
                progressed = true;
            }
        }
        let ready = exchange.take_ready(&mut state);
        if !progressed && ready == [None, None] && http1.output.is_empty() {
            let clocks = self.run_clocks(http1, &mut state, now);
            drop(state);
            return self.wait(http1, cx, now, clocks);
        }
        drop(state);
        for ready in ready.into_iter().flatten() {
            http1.connection.reactor.tell_ready(&self.live.exchange, ready);
            progressed = true;
        }
        match self.sending.send(http1, exchange, cx, now) {
            Ok(moved) => progressed |= moved,
            Err(reason) => return Next::Cut(End::Reset, reason),
        }
        if progressed {
            return Next::Again;
        }
        let clocks = self.run_clocks(http1, &mut exchange.locked(), now);
        self.wait(http1, cx, now, clocks)
    }

    /// All of the answer is in the output.
    fn complete<T: Transport>(&mut self, http1: &mut Http1<'_, T>) -> Next {
        let read_out = self.receiving.skip_rest(http1);
        let persist = self.sending.persists() && read_out;
        Next::Answered { persist, linger: !read_out, reason: Reason::Complete }
    }

    /// The program gave no answer. One that lets go because its read failed or its peer left is not the culprit.
    fn failed<T: Transport>(
        &mut self,
        http1: &mut Http1<'_, T>,
        failure: Failure,
        content: Option<ContentEnd>,
        now: Moment,
    ) -> Next {
        let (status, reason) = match (failure, content, http1.eof) {
            (_, Some(ContentEnd::Failed(Reason::BodySize)), _) => {
                return self.strike(http1, 413, Reason::BodySize, now);
            }
            (Failure::Refused, ..) => (503, Reason::HandlerCapacity),
            (Failure::Bug, ..) => (500, Reason::Internal),
            (_, Some(ContentEnd::Failed(reason)), _) => (400, reason),
            (_, _, Some(reason)) => (if self.receiving.rest_is_here(http1) { 500 } else { 400 }, reason),
            (Failure::Failed | Failure::Unanswered, ..) => (500, Reason::HandlerFailed),
        };
        self.answer(http1, status, reason, now)
    }

    /// The library answers in the program's place.
    fn answer<T: Transport>(
        &mut self,
        http1: &mut Http1<'_, T>,
        status: u16,
        reason: Reason,
        now: Moment,
    ) -> Next {
        let read_out = self.receiving.skip_rest(http1);
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
            let mut state = self.live.exchange.locked();
            self.live.exchange.end_content(&mut state, ContentEnd::Failed(reason));
            self.live.raise(&mut state, reason)
        };
        if let Some(raised) = raised {
            raised.tell(http1.connection, &self.live);
        }
        if self.sending.head_is_out() {
            return Next::Cut(End::Reset, reason);
        }
        self.answer(http1, status, reason, now)
    }

    // ---- the clocks ----

    /// Runs the clocks of what is waited for, and stops the others.
    fn run_clocks<T: Transport>(&self, http1: &Http1<'_, T>, state: &mut State, now: Moment) -> Clocks {
        let exchange: &Exchange = &self.live.exchange;
        let sending = !http1.output.is_empty();
        let receiving = state.content.wanted && state.content.waiting == 0 && state.content.end.is_none();
        let phase = match (sending, receiving, self.sending.head_is_out()) {
            (true, ..) => Phase::Response,
            (_, true, _) => Phase::Body,
            (_, _, true) => Phase::Response,
            _ => Phase::Handler,
        };
        state.answer_clock.turn(sending, now);
        state.content_clock.turn(receiving, now);
        state.handler_clock.turn(!receiving && !self.sending.head_is_out(), now);
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
        let charged = exchange.held(state) + self.receiving.heap_bytes();
        let held = Held { charged, other: state.answer.queued };
        let stalled = match (sending, receiving) {
            (true, _) => state.answer_clock.progressed(),
            (_, true) => state.content_clock.progressed(),
            _ => None,
        };
        Clocks { phase, due, held, stalled }
    }

    fn wait<T: Transport>(
        &mut self,
        http1: &mut Http1<'_, T>,
        cx: &mut Context<'_>,
        now: Moment,
        clocks: Clocks,
    ) -> Next {
        http1.input.rest(&http1.connection.reactor.buffers);
        http1.hold(clocks.held);
        http1.connection.enter(clocks.phase, now);
        http1.connection.stalls(clocks.stalled);
        self.live.books().enter(clocks.phase, now);
        match clocks.due {
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

/// What an exchange waits for.
struct Clocks {
    phase: Phase,
    /// When which limit strikes, and the status of that; 0 = none can be sent.
    due: Option<(Moment, u16, Reason)>,
    held: Held,
    /// Since when the peer lets it wait.
    stalled: Option<Moment>,
}
