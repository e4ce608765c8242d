//! Answers of the library's own, and the end: what is refused is told why, what was answered leaves first, and what the peer
//! still sends is drained for a while (linger). How exchanges end is `serving.rs`.

use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::io::{AsyncWrite, ReadBuf};

use super::encode::{Canned, Persistence, ResponseFraming};
use super::{Http1, State, Step, encode, over};
use crate::connection::{End, Held, Protocol};
use crate::deadline::{Moment, micros};
use crate::http::fields::{FieldLines, Section};
use crate::http::head::{Head, Refusal};
use crate::http::live::Books;
use crate::phase::Phase;
use crate::reason::Reason;
use crate::transport::Transport;

impl<T: Transport> Http1<'_, T> {
    /// Refuses what is no request; written behind the answers that are already on their way.
    pub(super) fn refuse(&mut self, refusal: Refusal, now: Moment) -> Step {
        // Its minor version is known with the head, but this is no other protocol.
        self.connection.protocol.get_or_insert(Protocol::Http11);
        self.connection.limit(refusal.reason);
        let mut books = Books::open(self.connection, 0, self.since, now);
        // What is wrong may be anything behind the method, to which the answer must still keep (RFC 9110 §9.3.2).
        let to_head = self.input.octets()[self.scan.start()..].starts_with(b"HEAD ");
        self.answer_canned(&mut books, refusal.status.unwrap_or(400), to_head, now);
        books.close(self.connection, None, 0, refusal.reason);
        self.state = State::Finish { reason: refusal.reason, linger: true };
        Step::Again
    }

    /// Refuses a request before the program saw it.
    pub(super) fn refuse_begun(
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
    pub(super) fn redirect(&mut self, head: &Head, mut books: Books, now: Moment) -> Step {
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

    pub(super) fn answer_canned(&mut self, books: &mut Books, status: u16, to_head: bool, now: Moment) {
        books.status = status;
        self.queued_at = now;
        self.canned(status, to_head, Persistence::Close, now);
    }

    /// Writes an answer of the library's own.
    pub(super) fn canned(&mut self, status: u16, to_head: bool, persistence: Persistence, now: Moment) {
        let reactor = &self.connection.reactor;
        let status = http::StatusCode::from_u16(status).unwrap_or(http::StatusCode::INTERNAL_SERVER_ERROR);
        let retry_after = (status == http::StatusCode::SERVICE_UNAVAILABLE).then_some(1);
        let hsts = self.connection.settings.hsts_max_age.filter(|_| self.is_secure());
        let answer = Canned { status, to_head, persistence, retry_after, hsts };
        encode::canned(self.output.buffer(&reactor.buffers), &answer, &reactor.date(now));
    }

    pub(super) fn step_finish(
        &mut self,
        cx: &mut Context<'_>,
        now: Moment,
        reason: Reason,
        linger: bool,
    ) -> Step {
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

    pub(super) fn step_linger(&mut self, cx: &mut Context<'_>, now: Moment) -> Step {
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
    pub(super) fn may_persist(&self) -> bool {
        // Behind the peer's end only what has come already can be answered.
        let more = self.eof.is_none() || !self.input.is_empty();
        more && !self.draining && self.connection.retires(self.connection.latest()).is_none()
    }

    /// Why a connection ends behind a complete answer.
    pub(super) fn why_not_persist(&self, now: Moment) -> Reason {
        let drain = self.draining.then_some(Reason::Drain);
        self.eof.or(drain).or_else(|| self.connection.retires(now)).unwrap_or(Reason::Complete)
    }
}
