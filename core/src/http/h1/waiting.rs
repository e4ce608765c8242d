//! Between requests and in a header section: the header and idle clocks, and the preface by which a cleartext peer turns to
//! HTTP/2. What a complete head says is `parse.rs`; what is done with it `../h1.rs`.

use std::pin::Pin;
use std::task::{Context, Poll};

use super::output::FULL;
use super::{BURST, Http1, Step, Verdict, at_rest, over};
use crate::connection::{End, Held, reason_of_io};
use crate::deadline::{Moment, micros};
use crate::http::head::Refusal;
use crate::phase::Phase;
use crate::reason::Reason;
use crate::transport::Transport;

/// What opens an HTTP/2 connection with prior knowledge (RFC 9113 §3.4).
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

impl<T: Transport> Http1<'_, T> {
    pub(super) fn step_await(&mut self, cx: &mut Context<'_>, now: Moment) -> Step {
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
        // Behind an answer there is seldom a next request yet, and to be told so by a read costs a buffer.
        if self.queued_at == now && self.wire.poll_readable(cx).is_pending() {
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
    pub(super) fn wait_head(&mut self, cx: &mut Context<'_>, now: Moment, begun: bool) -> Step {
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
            // RFC 9110 §15.5.9; a probe that sent nothing gets no answer, or preconnects would fill its log with them.
            return self.refuse(Refusal::answer(408, reason), now);
        }
        self.connection.limit(reason);
        over(End::Close, reason)
    }

    pub(super) fn is_preface(&self) -> bool {
        let octets = self.input.octets();
        let length = octets.len().min(PREFACE.len());
        self.connection.requests == 0
            && !self.connection.info.secure
            && self.connection.settings.http2
            && length >= 4
            && octets[..length] == PREFACE[..length]
    }

    pub(super) fn step_preface(&mut self, cx: &mut Context<'_>, now: Moment) -> Step {
        if self.input.len() >= PREFACE.len() {
            return Step::Over(Verdict::Http2);
        }
        if self.draining {
            return over(End::Close, Reason::Drain);
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
}
