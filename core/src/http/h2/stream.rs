//! One stream from its checked head to the last octet of its answer: what becomes of it when the program or the peer moved, its
//! phase and its clock. How content and answers move is `receive.rs`, `gather.rs` and `send.rs`; heads are `fresh.rs`.

use bytes::Bytes;
use h2::RecvStream;
use h2::server::SendResponse;

use super::Side;
use super::gather::{Gather, Gathered};
use super::receive::Receiving;
use super::send::Sending;
use crate::connection::{Connection, EXCHANGE_OCTETS, Held};
use crate::counters::STREAMS;
use crate::deadline::{Moment, NEVER, micros};
use crate::exchange::{ContentEnd, Exchange, State};
use crate::http::head::{Framing, Head};
use crate::http::live::{Books, Live, body_reason, write_reason};
use crate::phase::Phase;
use crate::reason::Reason;

/// A stream that the driver has accepted.
pub(super) struct Stream {
    id: u32,
    respond: SendResponse<Bytes>,
    receiving: Receiving,
    sending: Sending,
    stage: Stage,
    /// When which limit strikes.
    due: Moment,
    expiry: Reason,
    /// Memory that the stream holds.
    held: Held,
    /// Of this, what the driver has counted.
    pub(super) counted: Held,
    /// Octets of content that are, or will be, buffered for as long as the stream lives.
    promised: usize,
    /// In the driver's list of streams that wait for a window or the socket.
    pub(super) listed: bool,
}

enum Stage {
    /// A small body is gathered before the program sees the request.
    Gather(Box<Gather>),
    /// The program has the request.
    Serve(Live),
    /// Between two of the others.
    Between,
}

/// How a stream ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fate {
    /// The library answers with this status; if the program's head went out already, RST_STREAM CANCEL.
    Answer(u16, Reason),
    /// RST_STREAM.
    Reset(h2::Reason, Reason),
    /// Nothing is left to say to the peer.
    Gone(Reason),
}

impl Fate {
    pub(super) const fn reason(self) -> Reason {
        match self {
            Self::Answer(_, reason) | Self::Reset(_, reason) | Self::Gone(reason) => reason,
        }
    }
}

impl Stream {
    pub(super) fn new(id: u32, respond: SendResponse<Bytes>, content: Option<RecvStream>) -> Self {
        Self {
            id,
            respond,
            receiving: Receiving::new(content),
            sending: Sending::default(),
            stage: Stage::Between,
            due: NEVER,
            expiry: Reason::Internal,
            held: Held::default(),
            counted: Held::default(),
            promised: 0,
            listed: false,
        }
    }

    /// Hands the request on: to the program, or first to be gathered. `Some`: the stream is over. Otherwise it is to be stepped.
    pub(super) fn begin(
        &mut self,
        head: Head,
        books: Books,
        connection: &mut Connection,
        side: &mut Side,
    ) -> Option<Fate> {
        connection
            .reactor
            .tally
            .write(connection.listener.index, |cells| cells.inc(STREAMS, books.phase().id()));
        match head.framing() {
            Framing::None => self.dispatch(head, books, Some(Bytes::new()), connection),
            Framing::Length(length) if !head.expects_continue() && side.promise(length, connection) => {
                // Within `buffer_body_bytes`, so it fits.
                self.promised = length as usize;
                let over = connection.settings.max_body_bytes.is_some_and(|cap| length > cap);
                self.stage = Stage::Gather(Box::new(Gather::new(head, books)));
                if over {
                    connection.limit(Reason::BodySize);
                    return Some(Fate::Answer(413, Reason::BodySize));
                }
                None
            }
            _ => self.dispatch(head, books, None, connection),
        }
    }

    fn dispatch(
        &mut self,
        head: Head,
        books: Books,
        buffered: Option<Bytes>,
        connection: &mut Connection,
    ) -> Option<Fate> {
        match Live::dispatch(connection, books, head, (self.id, self.id), buffered) {
            Ok(live) => {
                self.stage = Stage::Serve(live);
                None
            }
            Err((live, reason)) => {
                self.stage = Stage::Serve(live);
                connection.limit(reason);
                Some(Fate::Answer(503, reason))
            }
        }
    }

    /// Moves what can be moved; `Some`: the stream is over.
    pub(super) fn step(&mut self, connection: &mut Connection, side: &mut Side) -> Option<Fate> {
        match &mut self.stage {
            Stage::Gather(_) => self.step_gather(connection, side),
            Stage::Serve(_) => self.step_serve(connection, side),
            Stage::Between => None,
        }
    }

    fn step_gather(&mut self, connection: &mut Connection, side: &mut Side) -> Option<Fate> {
        let Stage::Gather(gather) = &mut self.stage else { return None };
        match gather.step(self.id, &mut self.receiving, connection, side) {
            Gathered::More(due) => {
                let phase = if side.held_up { Phase::Handler } else { Phase::Body };
                move_to(gather.books(), phase, connection, side);
                self.held = Held { charged: EXCHANGE_OCTETS + gather.held(), other: 0 };
                (self.due, self.expiry) = due.unwrap_or((NEVER, Reason::Internal));
                None
            }
            Gathered::Failed(fate) => Some(fate),
            Gathered::Complete(trailers) => {
                let Stage::Gather(gather) = std::mem::replace(&mut self.stage, Stage::Between) else {
                    return None;
                };
                let (head, mut books, body) = gather.into_parts();
                move_to(&mut books, Phase::Handler, connection, side);
                // Trailers have no place beside a buffered body: it is streamed, though all of it is here.
                let (buffered, streamed) = match trailers {
                    None => (Some(body), None),
                    Some(trailers) => (None, Some((body, trailers))),
                };
                if let Some(fate) = self.dispatch(head, books, buffered, connection) {
                    return Some(fate);
                }
                if let Some((body, trailers)) = streamed
                    && let Stage::Serve(live) = &self.stage
                {
                    let exchange = &live.exchange;
                    let mut state = exchange.locked();
                    exchange.push_content(&mut state, side.now, body);
                    state.content.trailers = Some(trailers);
                    exchange.end_content(&mut state, ContentEnd::Complete);
                }
                self.step_serve(connection, side)
            }
        }
    }

    fn step_serve(&mut self, connection: &mut Connection, side: &mut Side) -> Option<Fate> {
        let Stage::Serve(live) = &mut self.stage else { return None };
        let exchange = &*live.exchange;
        let mut state = exchange.locked();
        let sent = self.sending.send(&mut self.respond, exchange, &mut state, connection, side);
        let outcome = sent.and_then(|status| {
            self.receiving.receive(exchange, &mut state, connection, side)?;
            if !self.sending.head_is_out() {
                self.receiving.ask(&mut self.respond, exchange, &state, side)?;
            }
            Ok(status)
        });
        let status = match outcome {
            Ok(status) => status,
            Err(fate) => return Some(fate),
        };
        let (phase, due, expiry) = run_clocks(&self.sending, exchange, &mut state, connection, side);
        self.held = Held {
            charged: exchange.held(&state) + self.receiving.unread(state.content.waiting),
            other: state.answer.queued,
        };
        let ready = exchange.take_ready(&mut state);
        drop(state);
        (self.due, self.expiry) = (due, expiry);
        if let Some(status) = status {
            live.answered(connection, status, side.now);
        }
        live.books().sent = self.sending.sent();
        move_to(live.books(), phase, connection, side);
        for ready in ready.into_iter().flatten() {
            connection.reactor.tell_ready(&live.exchange, ready);
        }
        None
    }

    pub(super) fn due(&self) -> Moment {
        self.due
    }

    /// Memory that the stream holds.
    pub(super) fn held(&self) -> Held {
        self.held
    }

    /// What the limit that is due does to the stream.
    pub(super) fn expired(&self) -> Fate {
        match self.expiry {
            Reason::HandlerTimeout => Fate::Answer(504, self.expiry),
            Reason::BodyIdle | Reason::BodyRate | Reason::BodyTimeout => Fate::Answer(408, self.expiry),
            reason => Fate::Reset(h2::Reason::CANCEL, reason),
        }
    }

    /// Whether the stream is to be looked at whenever the socket or a window moved.
    pub(super) fn is_unfinished(&self) -> bool {
        self.sending.is_unfinished()
    }

    /// Octets of content that were sent.
    pub(super) fn sent(&self) -> u64 {
        self.sending.sent()
    }

    /// Whether content may still come.
    pub(super) fn is_receiving(&self) -> bool {
        self.receiving.is_open()
    }

    /// Content arrived; if the program has not asked for it, what comes on top is charged.
    pub(super) fn content_arrived(&mut self, connection: &mut Connection, side: &mut Side) -> Option<Fate> {
        side.watch.set_unread(self.id, true);
        self.step(connection, side)
    }

    /// The peer has closed its side: the program is told, and what it still answers is still sent. Returns whether that cut the
    /// request short, too.
    pub(super) fn half_closed(
        &mut self,
        reason: Reason,
        connection: &mut Connection,
        side: &mut Side,
    ) -> (Option<Fate>, bool) {
        if self.receiving.is_open() {
            self.receiving.cut(reason);
        }
        let fate = self.step(connection, side);
        let mut cut = fate.as_ref().is_some_and(|fate| fate.reason() == reason);
        if fate.is_none()
            && let Stage::Serve(live) = &self.stage
        {
            cut = matches!(live.exchange.lock().content.end, Some(ContentEnd::Failed(_)));
            live.cancel(connection, if cut { reason } else { Reason::PeerClosed });
        }
        (fate, cut)
    }

    /// Whether nobody will read content that the peer may still send.
    pub(super) fn leaves_content(&self) -> bool {
        self.receiving.is_open() && self.receiving.why_cut().is_none()
    }

    /// h2's handles on both directions.
    pub(super) fn into_handles(self) -> (SendResponse<Bytes>, Receiving) {
        (self.respond, self.receiving)
    }

    /// Ends the stream and its request. What h2 still has to send of it goes out; content that still comes is answered with
    /// RST_STREAM NO_ERROR (RFC 9113 §8.1), which h2 does when the last handle is dropped.
    pub(super) fn end(&mut self, fate: Fate, connection: &mut Connection, side: &mut Side) {
        let mut answered = None;
        match fate {
            Fate::Answer(status, _) if !self.sending.head_is_out() => {
                let response = side.fields.canned(connection, side.now, status);
                if self.respond.send_response(response, true).is_ok() {
                    answered = Some(status);
                }
            }
            Fate::Answer(..) => self.respond.send_reset(h2::Reason::CANCEL),
            Fate::Reset(code, _) => self.respond.send_reset(code),
            Fate::Gone(_) => {}
        }
        side.promised -= std::mem::take(&mut self.promised);
        let under_way = match fate {
            Fate::Gone(Reason::Complete) => false,
            Fate::Gone(_) => self.sending.head_is_out(),
            Fate::Answer(..) | Fate::Reset(..) => true,
        };
        if under_way {
            side.shadows.push(self.id);
        }
        let reason = fate.reason();
        match std::mem::replace(&mut self.stage, Stage::Between) {
            Stage::Gather(gather) => {
                let received = gather.received();
                let (head, mut books, _) = gather.into_parts();
                leave(&books, connection, side);
                books.status = answered.unwrap_or(0);
                books.close(connection, Some(&head), received, reason);
            }
            Stage::Serve(mut live) => {
                leave(live.books(), connection, side);
                live.books().sent = self.sending.sent();
                if let Some(status) = answered {
                    live.answered(connection, status, side.now);
                }
                live.end(connection, reason);
            }
            Stage::Between => {}
        }
        if reason == Reason::Complete {
            side.watch.request_completed();
        }
    }
}

/// Runs the one clock of the phase that the stream is in. Where two could apply, the later step wins.
fn run_clocks(
    sending: &Sending,
    exchange: &Exchange,
    state: &mut State,
    connection: &Connection,
    side: &Side,
) -> (Phase, Moment, Reason) {
    let stalled = sending.is_stalled(side);
    let wanted = state.content.wanted && state.content.waiting == 0 && state.content.end.is_none();
    // Not the peer's delay: the handler's own clock goes on.
    let awaited = wanted && !side.held_up;
    let phase = match sending.tail_since() {
        Some(_) => Phase::Flush,
        None if stalled => Phase::Response,
        None if awaited => Phase::Body,
        None if sending.head_is_out() => Phase::Response,
        None => Phase::Handler,
    };
    // A stream is charged only while its own window is the bottleneck; otherwise the connection is.
    let own = !side.congested;
    state.answer_clock.turn(phase == Phase::Response && stalled && own, side.now);
    state.content_clock.turn(phase == Phase::Body, side.now);
    state.handler_clock.turn(phase == Phase::Handler, side.now);
    let limits = || exchange.limits(state);
    let struck = match phase {
        Phase::Flush => sending.tail_since().map(|since| {
            (since.saturating_add(micros(connection.settings.flush_timeout)), Reason::FlushTimeout)
        }),
        Phase::Response if stalled => {
            let clock = if own { &state.answer_clock } else { &side.clock };
            clock.due(&limits().answer).map(|(due, strike)| (due, write_reason(strike)))
        }
        Phase::Body => {
            state.content_clock.due(&limits().content).map(|(due, strike)| (due, body_reason(strike)))
        }
        Phase::Handler => {
            state.handler_clock.due(&limits().handler).map(|(due, _)| (due, Reason::HandlerTimeout))
        }
        _ => None,
    };
    let (due, expiry) = struck.unwrap_or((NEVER, Reason::Internal));
    (phase, due, expiry)
}

/// Moves a request to a phase, in its books, in the gauge of streams and among those that wait for the peer's content.
fn move_to(books: &mut Books, phase: Phase, connection: &Connection, side: &mut Side) {
    let left = books.phase();
    if phase != left {
        connection.reactor.tally.write(connection.listener.index, |cells| {
            cells.dec(STREAMS, left.id());
            cells.inc(STREAMS, phase.id());
        });
        side.awaiting -= usize::from(left == Phase::Body);
        side.awaiting += usize::from(phase == Phase::Body);
        books.enter(phase, side.now);
    }
}

fn leave(books: &Books, connection: &Connection, side: &mut Side) {
    side.awaiting -= usize::from(books.phase() == Phase::Body);
    connection.reactor.tally.write(connection.listener.index, |cells| cells.dec(STREAMS, books.phase().id()));
}
