//! Content of a length within `buffer_body_bytes`, gathered before the program sees its request: the body clock of what nobody
//! asked for yet. Content that the program reads is `receive.rs`.

use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;

use super::{Http1, State, Step, over};
use crate::connection::{EXCHANGE_OCTETS, End, Held, reason_of_io};
use crate::deadline::{Moment, PhaseClock};
use crate::exchange::Limits;
use crate::http::head::Head;
use crate::http::live::{Books, body_reason};
use crate::phase::Phase;
use crate::reason::Reason;
use crate::transport::Transport;

pub(super) struct Gather {
    pub(super) head: Head,
    pub(super) books: Books,
    pub(super) length: usize,
    pub(super) clock: PhaseClock,
}

impl<T: Transport> Http1<'_, T> {
    /// Most octets of content that are read ahead: it is held twice for a moment, as it is handed over.
    pub(super) fn gathers(&self) -> u64 {
        let settings = &self.connection.settings;
        settings.buffer_body_bytes.min(settings.max_connection_memory_bytes / 2) as u64
    }

    pub(super) fn step_gather(&mut self, cx: &mut Context<'_>, now: Moment) -> Step {
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
    pub(super) fn cut_short(&mut self, reason: Reason) -> Step {
        let finish = State::Finish { reason, linger: false };
        if let State::Gather(gather) = std::mem::replace(&mut self.state, finish) {
            gather.books.close(self.connection, Some(&gather.head), self.input.len() as u64, reason);
        }
        Step::Again
    }
}
