//! The HTTP/1.x connection: waits for a head, gathers a small body, hands the exchange to `h1/serving.rs`, and ends. Octets are
//! read and written by the sans-IO files below; here live the header, idle, flush and linger clocks.
//!
//! Everything a connection waits for is polled in one place, so that at each moment it is in exactly one phase and no wait is
//! without a deadline.

pub(crate) mod chunked;
pub(crate) mod encode;
mod output;
pub(crate) mod parse;
pub(crate) mod scan;
mod serving;

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use tokio::io::{AsyncWrite, ReadBuf};

use crate::buffer::Input;
use crate::connection::{Connection, EXCHANGE_OCTETS, End, Held, Protocol, reason_of_io};
use crate::deadline::{Moment, PhaseClock, Strike, micros};
use crate::exchange::Limits;
use crate::http::fields::{FieldLines, Section};
use crate::http::head::{Framing, Head, HeadLimits, Refusal, Version};
use crate::http::live::{Books, Live};
use crate::link::Order;
use crate::phase::Phase;
use crate::reason::Reason;
use crate::transport::{Transport, Wire};

use encode::{Canned, Persistence, ResponseFraming};
use output::{FULL, Output};
use scan::Scan;
use serving::Serving;

/// Answers given in one turn before the other connections of the reactor have theirs: a pipelined burst is served without
/// touching the socket, so tokio's own budget never strikes.
const BURST: u32 = 32;

/// What opens an HTTP/2 connection with prior knowledge (RFC 9113 3.4).
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

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
    Serve(Box<Serving>),
    /// Nothing more is read; what was answered leaves first.
    Finish { reason: Reason, linger: bool },
    /// The answer is out, and content that nobody wants still comes.
    Linger { reason: Reason, due: Moment, left: u64 },
}

struct Gather {
    head: Head,
    books: Books,
    length: usize,
    clock: PhaseClock,
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
    #[expect(clippy::vec_box, reason = "they come boxed from the state, and the list is one long")]
    tail: Vec<Box<Serving>>,
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
            limits: crate::server::head_limits(&connection.settings),
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

    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Verdict> {
        self.connection.now();
        self.connection.attend(cx);
        self.burst = 0;
        match self.connection.link.current_order() {
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
            State::Serve(serving) => serving.end(self.connection, reason),
            State::Gather(gather) => {
                let received = self.input.len().min(gather.length) as u64;
                gather.books.close(self.connection, Some(&gather.head), received, reason);
            }
            _ => {}
        }
    }

    fn end_tail(&mut self, reason: Reason) {
        for serving in self.tail.drain(..) {
            serving.end(self.connection, reason);
        }
    }

    // ---- waiting for a head ----

    fn step_await(&mut self, cx: &mut Context<'_>, now: Moment) -> Step {
        if !self.input.is_empty() {
            if self.is_preface() {
                return self.step_preface(cx, now);
            }
            // Behind answers that wait, none is added: each addition would begin the flush clock anew.
            if self.blocked || self.burst >= BURST || self.output.len() >= FULL {
                match self.send(cx) {
                    Ok(true) if self.burst < BURST => {}
                    Ok(true) => {
                        cx.waker().wake_by_ref();
                        return Step::Wait;
                    }
                    Ok(false) => return self.wait_flush(cx, now),
                    Err(reason) => return over(End::Reset, reason),
                }
            }
            match self.scan.advance(self.input.octets(), &self.limits) {
                Err(refusal) => return self.refuse(refusal, now),
                Ok(Some(range)) => {
                    self.burst += 1;
                    return self.begin(range, now);
                }
                Ok(None) => {}
            }
        }
        match self.send(cx) {
            // Nothing was read while the answer was being taken: what is awaited now counts from here.
            Ok(true) if self.connection.phase() == Phase::Flush => self.since = now,
            Ok(true) => {}
            Ok(false) => return self.wait_flush(cx, now),
            Err(reason) => return over(End::Reset, reason),
        }
        let begun = !self.input.is_empty();
        if let Some(reason) = self.eof {
            return over(End::Close, if begun { reason } else { at_rest(reason) });
        }
        if self.burst > 0 && self.wire.poll_readable(cx).is_pending() {
            return self.wait_head(cx, now, begun);
        }
        match self.input.poll_fill(cx, &self.connection.reactor.buffers, Pin::new(&mut self.wire)) {
            Poll::Ready(Ok(0)) => {
                self.eof = Some(Reason::PeerClosed);
                Step::Again
            }
            Poll::Ready(Ok(_)) => {
                if !begun && self.connection.requests > 0 {
                    self.since = now;
                }
                Step::Again
            }
            Poll::Ready(Err(error)) => {
                let reason = self.read_failed(&error);
                over(End::Close, if begun { reason } else { at_rest(reason) })
            }
            // A request that was on its way when the drain began is served: only then is the connection at rest.
            Poll::Pending if self.draining && !begun => over(End::Close, Reason::Drain),
            Poll::Pending => self.wait_head(cx, now, begun),
        }
    }

    /// Idle until the first octet, in the header phase from there; the first request of a connection is in it from the start.
    fn wait_head(&mut self, cx: &mut Context<'_>, now: Moment, begun: bool) -> Step {
        self.input.rest(&self.connection.reactor.buffers);
        let settings = &self.connection.settings;
        let (phase, timeout, reason) = if begun || self.connection.requests == 0 {
            (Phase::Header, settings.header_timeout, Reason::HeaderTimeout)
        } else {
            (Phase::Idle, settings.idle_timeout, Reason::IdleTimeout)
        };
        let due = self.since + micros(self.connection.reactor.shared.under_load(timeout));
        // Asked where it is seen that nothing has come meanwhile: a request that is here must not be cut.
        if let Some(reason) = self.unwanted
            && phase == Phase::Idle
            && self.connection.phase() == Phase::Idle
        {
            self.connection.count_order(reason);
            return over(End::Close, reason);
        }
        self.connection.enter(phase, now);
        self.hold(Held::default());
        if phase == Phase::Idle && now >= self.connection.retires_at() {
            self.connection.limit(Reason::Age);
            return over(End::Close, Reason::Age);
        }
        let due = if phase == Phase::Idle { due.min(self.connection.retires_at()) } else { due };
        if now < due {
            self.connection.wake_at(due, cx);
            return Step::Wait;
        }
        if begun {
            // RFC 9110 15.5.9; a probe that sent nothing gets no answer, or preconnects would fill its log with them.
            return self.refuse(Refusal::answer(408, reason), now);
        }
        self.connection.limit(reason);
        over(End::Close, reason)
    }

    fn wait_flush(&mut self, cx: &mut Context<'_>, now: Moment) -> Step {
        self.connection.enter(Phase::Flush, now);
        for serving in &mut self.tail {
            serving.flushing(now);
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

    fn is_preface(&self) -> bool {
        let octets = self.input.octets();
        let length = octets.len().min(PREFACE.len());
        self.connection.requests == 0
            && !self.connection.info.secure
            && self.connection.settings.http2
            && length >= 4
            && octets[..length] == PREFACE[..length]
    }

    fn step_preface(&mut self, cx: &mut Context<'_>, now: Moment) -> Step {
        if self.input.len() >= PREFACE.len() {
            return Step::Over(Verdict::Http2);
        }
        if self.connection.phase() != Phase::Opening {
            self.since = now;
            self.connection.enter(Phase::Opening, now);
        }
        match self.input.poll_fill(cx, &self.connection.reactor.buffers, Pin::new(&mut self.wire)) {
            Poll::Ready(Ok(0)) => over(End::Close, Reason::PeerClosed),
            Poll::Ready(Ok(_)) => Step::Again,
            Poll::Ready(Err(error)) => over(End::Close, reason_of_io(&error)),
            Poll::Pending => {
                let due = self.since + micros(self.connection.settings.h2_preface_timeout);
                if now >= due {
                    self.connection.limit(Reason::H2PrefaceTimeout);
                    return over(End::Close, Reason::H2PrefaceTimeout);
                }
                self.connection.wake_at(due, cx);
                Step::Wait
            }
        }
    }

    // ---- a head is complete ----

    fn begin(&mut self, range: std::ops::Range<usize>, now: Moment) -> Step {
        let secure = self.is_secure();
        let end = range.end;
        let parsed = parse::head(&self.input.octets()[range], secure, &self.limits);
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

    /// Most octets of content that are read ahead: it is held twice for a moment, as it is handed over.
    fn gathers(&self) -> u64 {
        let settings = &self.connection.settings;
        settings.buffer_body_bytes.min(settings.max_connection_memory_bytes / 2) as u64
    }

    fn step_gather(&mut self, cx: &mut Context<'_>, now: Moment) -> Step {
        let State::Gather(gather) = &mut self.state else { return Step::Again };
        if self.input.len() >= gather.length {
            let body = Bytes::copy_from_slice(&self.input.octets()[..gather.length]);
            self.input.consume(gather.length);
            let State::Gather(gather) = std::mem::replace(&mut self.state, State::Await) else {
                return Step::Again;
            };
            return self.dispatch(gather.head, gather.books, Some(body), now);
        }
        let limits = Limits::of(&self.connection.settings).content;
        gather.clock.run(now);
        match self.input.poll_fill(cx, &self.connection.reactor.buffers, Pin::new(&mut self.wire)) {
            Poll::Ready(Ok(0)) => self.cut_short(Reason::PeerClosed),
            Poll::Ready(Ok(octets)) => {
                gather.clock.progress(now, octets as u64, &limits);
                Step::Again
            }
            Poll::Ready(Err(error)) => self.cut_short(reason_of_io(&error)),
            Poll::Pending => {
                gather.books.enter(Phase::Body, now);
                let due = gather.clock.due(&limits);
                let (held, stalled) = (EXCHANGE_OCTETS + gather.head.heap_bytes(), gather.clock.progressed());
                match due {
                    Some((due, strike)) if now >= due => {
                        let State::Gather(gather) = std::mem::replace(&mut self.state, State::Await) else {
                            return Step::Again;
                        };
                        return self.refuse_begun(&gather.head, gather.books, 408, body_reason(strike), now);
                    }
                    Some((due, _)) => self.connection.wake_at(due, cx),
                    None => self.connection.wake_never(cx),
                }
                // Earlier answers of a pipelined burst leave while this body is awaited.
                if let Err(reason) = self.send(cx) {
                    return over(End::Reset, reason);
                }
                let held = Held { charged: held, other: 0 };
                self.hold(held);
                self.connection.enter(Phase::Body, now);
                self.connection.stalls(stalled);
                Step::Wait
            }
        }
    }

    /// The peer went in the middle of content that was gathered; earlier answers of a burst still leave.
    fn cut_short(&mut self, reason: Reason) -> Step {
        let finish = State::Finish { reason, linger: false };
        if let State::Gather(gather) = std::mem::replace(&mut self.state, finish) {
            gather.books.close(self.connection, Some(&gather.head), self.input.len() as u64, reason);
        }
        Step::Again
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
        self.connection.now();
        self.state = State::Serve(Box::new(serving));
        Step::Again
    }

    fn step_serve(&mut self, cx: &mut Context<'_>, now: Moment) -> Step {
        let State::Serve(mut serving) = std::mem::replace(&mut self.state, State::Await) else {
            return Step::Again;
        };
        match serving.step(self, cx, now) {
            serving::Next::Again => {
                self.state = State::Serve(serving);
                Step::Again
            }
            serving::Next::Wait => {
                self.state = State::Serve(serving);
                Step::Wait
            }
            serving::Next::Answered { persist, linger, reason } => {
                self.queued_at = now;
                if reason == Reason::Complete {
                    self.tail.push(serving);
                } else {
                    serving.end(self.connection, reason);
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
                serving.end(self.connection, reason);
                over(end, reason)
            }
        }
    }

    // ---- our own answers, and the end ----

    /// Refuses what is no request; written behind the answers that are already on their way.
    fn refuse(&mut self, refusal: Refusal, now: Moment) -> Step {
        self.connection.limit(refusal.reason);
        let mut books = Books::open(self.connection, 0, self.since, now);
        self.answer_canned(&mut books, refusal.status.unwrap_or(400), false, now);
        books.close(self.connection, None, 0, refusal.reason);
        self.state = State::Finish { reason: refusal.reason, linger: true };
        Step::Again
    }

    /// Refuses a request before the program saw it.
    fn refuse_begun(
        &mut self,
        head: &Head,
        mut books: Books,
        status: u16,
        reason: Reason,
        now: Moment,
    ) -> Step {
        self.connection.limit(reason);
        self.answer_canned(&mut books, status, head.is_head(), now);
        books.close(self.connection, Some(head), self.input.len() as u64, reason);
        self.state = State::Finish { reason, linger: true };
        Step::Again
    }

    /// Sends the client to the same place over TLS (`redirect_to_https`).
    fn redirect(&mut self, head: &Head, mut books: Books, now: Moment) -> Step {
        let reactor = self.connection.reactor.clone();
        let mut lines = FieldLines::new(Section::Header);
        let location = reactor.shared.https_location(head);
        // Authority and target passed the grammar of a field value when they were parsed.
        let _ = lines.push(b"location", &location);
        let out = self.output.buffer(&reactor.buffers);
        encode::begin_head(out, http::StatusCode::PERMANENT_REDIRECT, &lines);
        encode::finish_head(out, ResponseFraming::Length(0), Persistence::Close, Some(&reactor.date(now)));
        books.status = 308;
        self.queued_at = now;
        books.close(self.connection, Some(head), 0, Reason::Complete);
        let reason = if self.misplaced { Reason::TlsPlaintext } else { Reason::Complete };
        // What was pipelined behind is content that nobody wants, too.
        self.state = State::Finish { reason, linger: head.has_content() || !self.input.is_empty() };
        Step::Again
    }

    fn answer_canned(&mut self, books: &mut Books, status: u16, to_head: bool, now: Moment) {
        books.status = status;
        self.queued_at = now;
        self.canned(status, to_head, Persistence::Close, now);
    }

    /// Writes an answer of the library's own.
    fn canned(&mut self, status: u16, to_head: bool, persistence: Persistence, now: Moment) {
        let reactor = &self.connection.reactor;
        let status = http::StatusCode::from_u16(status).unwrap_or(http::StatusCode::INTERNAL_SERVER_ERROR);
        let retry_after = (status == http::StatusCode::SERVICE_UNAVAILABLE).then_some(1);
        let hsts = self.connection.settings.hsts_max_age.filter(|_| self.is_secure());
        let answer = Canned { status, to_head, persistence, retry_after, hsts };
        encode::canned(self.output.buffer(&reactor.buffers), &answer, &reactor.date(now));
    }

    fn step_finish(&mut self, cx: &mut Context<'_>, now: Moment, reason: Reason, linger: bool) -> Step {
        match self.send(cx) {
            Ok(true) => {}
            Ok(false) => return self.wait_flush(cx, now),
            Err(failed) => return over(End::Reset, failed),
        }
        if !linger || self.eof.is_some() {
            return over(End::Close, reason);
        }
        // Closing over unread octets makes the kernel reset the connection, and the answer is lost on its way. The end of our
        // side is told first, so that a peer that waits for it need not wait out the clock.
        let _ = Pin::new(&mut self.wire).poll_shutdown(cx);
        let due = now + micros(self.connection.settings.linger_timeout);
        self.input.consume(self.input.len());
        self.input.rest(&self.connection.reactor.buffers);
        self.hold(Held::default());
        self.connection.enter(Phase::Linger, now);
        self.state = State::Linger { reason, due, left: self.connection.settings.max_linger_bytes };
        Step::Again
    }

    fn step_linger(&mut self, cx: &mut Context<'_>, now: Moment) -> Step {
        let State::Linger { reason, due, left } = &mut self.state else { return Step::Again };
        let reason = *reason;
        if now >= *due || *left == 0 {
            return over(End::Close, reason);
        }
        let mut scrap = [0; 4096];
        let room = usize::try_from(*left).unwrap_or(usize::MAX).min(scrap.len());
        let mut buffer = ReadBuf::new(&mut scrap[..room]);
        match tokio::io::AsyncRead::poll_read(Pin::new(&mut self.wire), cx, &mut buffer) {
            Poll::Ready(Ok(())) if buffer.filled().is_empty() => over(End::Close, reason),
            Poll::Ready(Ok(())) => {
                *left -= buffer.filled().len() as u64;
                Step::Again
            }
            Poll::Ready(Err(_)) => over(End::Close, reason),
            Poll::Pending => {
                let due = *due;
                self.connection.wake_at(due, cx);
                Step::Wait
            }
        }
    }

    /// Whether the connection may carry another request behind the one that is answered now.
    fn may_persist(&self) -> bool {
        // Behind the peer's end only what has come already can be answered.
        let more = self.eof.is_none() || !self.input.is_empty();
        more && !self.draining && self.connection.retires(self.connection.latest()).is_none()
    }

    /// Why a connection ends behind a complete answer.
    fn why_not_persist(&self, now: Moment) -> Reason {
        let drain = self.draining.then_some(Reason::Drain);
        self.eof.or(drain).or_else(|| self.connection.retires(now)).unwrap_or(Reason::Complete)
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

/// Which limit of the content struck.
fn body_reason(strike: Strike) -> Reason {
    match strike {
        Strike::Idle => Reason::BodyIdle,
        Strike::Rate => Reason::BodyRate,
        Strike::Total => Reason::BodyTimeout,
    }
}

/// Which limit of the answer struck.
fn write_reason(strike: Strike) -> Reason {
    match strike {
        Strike::Idle => Reason::WriteIdle,
        Strike::Rate => Reason::WriteRate,
        Strike::Total => Reason::WriteTimeout,
    }
}
