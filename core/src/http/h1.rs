//! The HTTP/1.x connection: waits for a head (`h1/waiting.rs`), gathers a small body (`h1/gather.rs`), hands the exchange to
//! `h1/serving.rs`, and ends (`h1/ending.rs`). Octets are read and written by the sans-IO files below.
//!
//! Everything a connection waits for is polled in one place, so that at each moment it is in exactly one phase and no wait is
//! without a deadline.

pub(crate) mod chunked;
pub(crate) mod encode;
mod ending;
mod gather;
mod output;
pub(crate) mod parse;
mod receive;
pub(crate) mod scan;
pub(crate) mod seat;
mod send;
mod serving;
mod waiting;

use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;

use crate::buffer::Input;
use crate::connection::{Connection, End, Held, Protocol, reason_of_io};
use crate::deadline::{Moment, PhaseClock, micros};
use crate::http::head::{Framing, Head, HeadLimits, Version};
use crate::http::live::{Books, Live};
use crate::link::Order;
use crate::phase::Phase;
use crate::reason::Reason;
use crate::transport::{Transport, Wire};

use encode::Persistence;
use gather::Gather;
use output::Output;
use scan::Scan;
use seat::Seat;
use serving::Serving;

/// Answers given in one turn before the other connections of the reactor have theirs: a pipelined burst is served without
/// touching the socket, so tokio's own budget never strikes.
const BURST: u32 = 32;

/// How the HTTP/1 part of a connection ended.
pub(crate) enum Ended<T: Transport> {
    /// To be closed, as the peer is to see it.
    Closed(Wire<T>, End, Reason),
    /// The peer speaks HTTP/2; these octets were read.
    Http2(Wire<T>, Vec<u8>),
}

/// Tells a peer that speaks plain HTTP on a TLS listener so: 400, or where it would have been right (`redirect_to_https`).
pub(crate) async fn tell<T: Transport>(connection: &mut Connection, wire: Wire<T>) -> (Wire<T>, End, Reason) {
    let mut http1 = Http1::new(connection, wire);
    http1.misplaced = true;
    if !http1.connection.settings.redirect_to_https {
        http1.canned(400, false, Persistence::Close, http1.since);
        http1.state = State::Finish { reason: Reason::TlsPlaintext, linger: true };
    }
    let verdict = std::future::poll_fn(|cx| http1.poll(cx)).await;
    match verdict {
        Verdict::Close(how, reason) => (http1.wire, how, reason),
        // A preface is for listeners without TLS.
        Verdict::Http2 => (http1.wire, End::Close, Reason::TlsPlaintext),
    }
}

/// Serves a connection to its end, or until it turns out to speak HTTP/2.
pub(crate) async fn serve<T: Transport>(connection: &mut Connection, wire: Wire<T>) -> Ended<T> {
    let mut http1 = Http1::new(connection, wire);
    let verdict = std::future::poll_fn(|cx| http1.poll(cx)).await;
    let Http1 { wire, mut input, .. } = http1;
    match verdict {
        Verdict::Close(end, reason) => Ended::Closed(wire, end, reason),
        Verdict::Http2 => Ended::Http2(wire, std::mem::take(&mut input).octets().to_vec()),
    }
}

/// What a step of the loop found.
enum Step {
    /// Something changed: look again.
    Again,
    /// Nothing to do until somebody wakes us.
    Wait,
    Over(Verdict),
}

enum Verdict {
    Close(End, Reason),
    Http2,
}

enum State {
    /// Between requests, or in a header section.
    Await,
    /// A small body is gathered before the program sees the request.
    Gather(Box<Gather>),
    /// The program has the request.
    Serve(Seat),
    /// Nothing more is read; what was answered leaves first.
    Finish { reason: Reason, linger: bool },
    /// The answer is out, and content that nobody wants still comes.
    Linger { reason: Reason, due: Moment, left: u64 },
}

struct Http1<'c, T: Transport> {
    connection: &'c mut Connection,
    wire: Wire<T>,
    limits: HeadLimits,
    input: Input,
    scan: Scan,
    output: Output,
    state: State,
    /// Exchanges whose answer is complete in `output` and not yet taken.
    tail: Vec<Seat>,
    /// When the wait for a head, or its first octet, began.
    since: Moment,
    /// When the last octet of the last answer was queued.
    queued_at: Moment,
    /// The socket did not take all of the output when it was last asked.
    blocked: bool,
    /// The peer will send nothing more.
    eof: Option<Reason>,
    draining: bool,
    /// Plain HTTP on a TLS listener: nothing reaches the program.
    misplaced: bool,
    /// Room is wanted: the connection goes if it is idle.
    unwanted: Option<Reason>,
    burst: u32,
}

impl<'c, T: Transport> Http1<'c, T> {
    fn new(connection: &'c mut Connection, wire: Wire<T>) -> Self {
        let now = connection.now();
        connection.enter(Phase::Header, now);
        Self {
            limits: HeadLimits::of(&connection.settings),
            connection,
            wire,
            input: Input::default(),
            scan: Scan::default(),
            output: Output::default(),
            state: State::Await,
            tail: Vec::new(),
            since: now,
            queued_at: now,
            blocked: false,
            eof: None,
            draining: false,
            misplaced: false,
            unwanted: None,
            burst: 0,
        }
    }

    /// A panic, which is a bug of ours, goes on when the requests under way are ended: the program and the counts wait for that.
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Verdict> {
        catch_unwind(AssertUnwindSafe(|| self.turn(cx))).unwrap_or_else(|panic| {
            self.end_all(Reason::Internal);
            resume_unwind(panic)
        })
    }

    fn turn(&mut self, cx: &mut Context<'_>) -> Poll<Verdict> {
        self.connection.begin_turn();
        self.connection.info.link.attend(cx.waker());
        self.burst = 0;
        match self.connection.info.link.current_order() {
            Order::Serve => {}
            Order::MakeRoom(reason) => self.unwanted = Some(reason),
            Order::Drain => self.draining = true,
            Order::Close(reason) => {
                self.connection.count_order(reason);
                return Poll::Ready(self.cut(reason));
            }
        }
        loop {
            // Read again wherever the program's code ran: its time must not be charged to the peer.
            let now = self.connection.latest();
            let step = match &mut self.state {
                State::Await => self.step_await(cx, now),
                State::Gather(_) => self.step_gather(cx, now),
                State::Serve(_) => self.step_serve(cx, now),
                State::Finish { reason, linger } => {
                    let (reason, linger) = (*reason, *linger);
                    self.step_finish(cx, now, reason, linger)
                }
                State::Linger { .. } => self.step_linger(cx, now),
            };
            match step {
                Step::Again => {}
                Step::Wait => {
                    if self.unwanted.take().is_some() {
                        self.connection.decline();
                    }
                    return Poll::Pending;
                }
                Step::Over(verdict) => {
                    if let Verdict::Close(_, reason) = verdict {
                        self.end_all(reason);
                    }
                    return Poll::Ready(verdict);
                }
            }
        }
    }

    /// The server, or a newcomer, wants this connection gone at once.
    fn cut(&mut self, reason: Reason) -> Verdict {
        let done = match self.state {
            State::Await => self.output.is_empty() && self.input.is_empty(),
            // The answer is out: a reset could still destroy it.
            State::Linger { .. } => true,
            _ => false,
        };
        self.end_all(reason);
        let reset = !done && matches!(reason, Reason::Drain | Reason::ProgramStop | Reason::Memory);
        Verdict::Close(if reset { End::Reset } else { End::Close }, reason)
    }

    /// Ends every exchange that is still under way.
    fn end_all(&mut self, reason: Reason) {
        self.end_tail(reason);
        match std::mem::replace(&mut self.state, State::Await) {
            State::Serve(seat) => seat.end(self.connection, reason),
            State::Gather(gather) => {
                let received = self.input.len().min(gather.length) as u64;
                gather.books.close(self.connection, Some(&gather.head), received, reason);
            }
            _ => {}
        }
    }

    fn end_tail(&mut self, reason: Reason) {
        for seat in self.tail.drain(..) {
            seat.end(self.connection, reason);
        }
    }

    fn wait_flush(&mut self, cx: &mut Context<'_>, now: Moment) -> Step {
        self.connection.enter(Phase::Flush, now);
        for seat in &mut self.tail {
            seat.flushing(now);
        }
        let due = self.queued_at + micros(self.connection.settings.flush_timeout);
        self.hold(Held::default());
        self.connection.stalls(Some(self.queued_at));
        if now < due {
            self.connection.wake_at(due, cx);
            return Step::Wait;
        }
        self.connection.limit(Reason::FlushTimeout);
        over(End::Reset, Reason::FlushTimeout)
    }

    /// What the connection holds besides its exchange.
    fn hold(&mut self, held: Held) {
        let (input, output) = (self.input.len(), self.output.capacity());
        let backlog = self.connection.backlog(self.blocked);
        self.connection.holds(Held {
            charged: held.charged + input,
            other: held.other + self.input.capacity() - input + output + backlog,
        });
    }

    /// Whether the socket has taken everything.
    fn send(&mut self, cx: &mut Context<'_>) -> Result<bool, Reason> {
        if self.output.is_empty() && self.tail.is_empty() {
            return Ok(true);
        }
        match self.output.poll_send(cx, &self.connection.reactor.buffers, Pin::new(&mut self.wire)) {
            Poll::Ready(Ok(())) => {
                self.blocked = false;
                self.end_tail(Reason::Complete);
                Ok(true)
            }
            Poll::Ready(Err(error)) => Err(reason_of_io(&error)),
            Poll::Pending => {
                self.blocked = true;
                Ok(false)
            }
        }
    }

    /// Whether what is said here is said over TLS.
    fn is_secure(&self) -> bool {
        self.connection.info.secure && !self.misplaced
    }

    // ---- a head is complete ----

    fn begin(&mut self, range: std::ops::Range<usize>, now: Moment) -> Step {
        let secure = self.is_secure();
        let end = range.end;
        let mut storage = self.connection.reactor.exchanges.storage();
        let parsed = parse::head(&self.input.octets()[range], secure, &self.limits, &mut storage);
        let head = match parsed {
            Ok(head) => head,
            Err(refusal) => return self.refuse(refusal, now),
        };
        self.input.consume(end);
        self.scan = Scan::default();
        self.connection.speaks(match head.version() {
            Version::Http10 => Protocol::Http10,
            _ => Protocol::Http11,
        });
        let began = if self.connection.phase() == Phase::Idle { now } else { self.since };
        let books = Books::open(self.connection, 0, began, now);
        let settings = &self.connection.settings;
        if settings.redirect_to_https && !secure {
            return self.redirect(&head, books, now);
        }
        if self.connection.is_misdirected(head.authority()) {
            return self.refuse_begun(&head, books, 421, Reason::HeaderPolicy, now);
        }
        match head.framing() {
            Framing::Length(length) if length > 0 && length <= self.gathers() && !head.expects_continue() => {
                if settings.max_body_bytes.is_some_and(|cap| length > cap) {
                    return self.refuse_begun(&head, books, 413, Reason::BodySize, now);
                }
                // Within `buffer_body_bytes`, so it fits.
                let length = length as usize;
                self.state =
                    State::Gather(Box::new(Gather { head, books, length, clock: PhaseClock::default() }));
                Step::Again
            }
            Framing::None | Framing::Length(0) => self.dispatch(head, books, Some(Bytes::new()), now),
            _ => self.dispatch(head, books, None, now),
        }
    }

    fn dispatch(&mut self, head: Head, books: Books, buffered: Option<Bytes>, now: Moment) -> Step {
        self.connection.enter(Phase::Handler, now);
        let serving = match Live::dispatch(self.connection, books, head, (0, 0), buffered) {
            Ok(live) => Serving::new(live, &self.limits),
            Err((live, reason)) => {
                self.connection.limit(reason);
                Serving::new(live, &self.limits).refused(503, reason)
            }
        };
        self.state = State::Serve(self.connection.reactor.seats.seat(serving));
        Step::Again
    }

    fn step_serve(&mut self, cx: &mut Context<'_>, now: Moment) -> Step {
        let State::Serve(mut seat) = std::mem::replace(&mut self.state, State::Await) else {
            return Step::Again;
        };
        let Some(serving) = seat.taken() else { return Step::Again };
        let next = match catch_unwind(AssertUnwindSafe(|| serving.step(self, cx, now))) {
            Ok(next) => next,
            Err(panic) => {
                seat.end(self.connection, Reason::Internal);
                resume_unwind(panic)
            }
        };
        match next {
            serving::Next::Again => {
                self.state = State::Serve(seat);
                Step::Again
            }
            serving::Next::Wait => {
                self.state = State::Serve(seat);
                Step::Wait
            }
            serving::Next::Answered { persist, linger, reason } => {
                self.queued_at = now;
                if reason == Reason::Complete {
                    self.tail.push(seat);
                } else {
                    seat.end(self.connection, reason);
                }
                if persist {
                    self.since = now;
                } else {
                    let reason = if reason == Reason::Complete { self.why_not_persist(now) } else { reason };
                    if matches!(reason, Reason::Requests | Reason::Age) {
                        self.connection.limit(reason);
                    }
                    // What was pipelined behind is content that nobody wants, too.
                    self.state = State::Finish { reason, linger: linger || !self.input.is_empty() };
                }
                Step::Again
            }
            serving::Next::Cut(end, reason) => {
                seat.end(self.connection, reason);
                over(end, reason)
            }
        }
    }

    fn read_failed(&mut self, error: &io::Error) -> Reason {
        let reason = reason_of_io(error);
        self.eof = Some(reason);
        reason
    }
}

fn over(end: End, reason: Reason) -> Step {
    Step::Over(Verdict::Close(end, reason))
}

/// The peer went between messages: an end without close_notify is common there, and nothing is lost by it.
fn at_rest(reason: Reason) -> Reason {
    if reason == Reason::TlsShutdown { Reason::PeerClosed } else { reason }
}
