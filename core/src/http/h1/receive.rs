//! Content of an HTTP/1 exchange on its way in: decoded only when the program asked, and skipped where nobody wants it. What its
//! faults lead to is `serving.rs`; how chunks are told apart, `chunked.rs`.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;

use crate::connection::reason_of_io;
use crate::deadline::Moment;
use crate::exchange::{ContentEnd, Exchange, Locked, State};
use crate::http::head::{Framing, HeadLimits};
use crate::reason::Reason;
use crate::transport::Transport;

use super::Http1;
use super::chunked::{Chunked, Decoded};
use super::encode;

/// Most octets that are read while nobody asked for them, to notice that the peer goes away.
const LOOKAHEAD: usize = 16 * 1024;

/// The content of an exchange that is still to come.
pub(super) struct Receiving {
    owed: Owed,
    /// 100 Continue went out, or is needed no more.
    continued: bool,
}

/// How much content the peer still owes.
enum Owed {
    Nothing,
    Octets(u64),
    Chunks(Box<Chunked>),
}

/// Why content cannot go on.
pub(super) enum Fault {
    /// The library answers with this status.
    Refused(u16, Reason),
    /// The peer went away.
    Peer(Reason),
}

impl Receiving {
    pub(super) fn new(exchange: &Exchange, limits: &HeadLimits) -> Self {
        let owed = match (exchange.buffered.is_some(), exchange.head.framing()) {
            (true, _) | (_, Framing::None | Framing::Unknown) => Owed::Nothing,
            (_, Framing::Length(length)) => Owed::Octets(length),
            (_, Framing::Chunked) => Owed::Chunks(Box::new(Chunked::new(limits))),
        };
        Self { owed, continued: false }
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
    pub(super) fn rest_is_here<T: Transport>(&self, http1: &Http1<'_, T>) -> bool {
        self.rest(http1).is_some()
    }

    /// Drops content that has come and that nobody wants; `false`: more is to come.
    pub(super) fn skip_rest<T: Transport>(&mut self, http1: &mut Http1<'_, T>) -> bool {
        let Some(rest) = self.rest(http1) else { return false };
        http1.input.consume(rest);
        self.owed = Owed::Nothing;
        true
    }

    /// Memory that the decoder holds.
    pub(super) fn heap_bytes(&self) -> usize {
        if let Owed::Chunks(decoder) = &self.owed { decoder.heap_bytes() } else { 0 }
    }

    /// Moves content that has come to the program, as far as it asked for it.
    pub(super) fn deliver<T: Transport>(
        &mut self,
        http1: &mut Http1<'_, T>,
        exchange: &Exchange,
        state: &mut Locked<'_>,
        now: Moment,
        progressed: &mut bool,
    ) -> Result<(), Fault> {
        if state.content.end == Some(ContentEnd::Failed(Reason::BodySize)) {
            // The announced length is over the cap, as the program's first read found.
            return Err(Fault::Refused(413, Reason::BodySize));
        }
        while state.content.asked && state.content.end.is_none() {
            let window = http1.connection.info.content_window;
            let room = window.saturating_sub(state.content.waiting);
            if room == 0 || http1.input.is_empty() {
                break;
            }
            self.decode(http1, exchange, state, room, now)?;
            *progressed = true;
        }
        Ok(())
    }

    /// Asks a peer that waits for it for the content, once, at the program's first read (RFC 9110 §10.1.1). Returns whether that is
    /// in the output now.
    pub(super) fn ask<T: Transport>(
        &mut self,
        http1: &mut Http1<'_, T>,
        exchange: &Exchange,
        state: &State,
    ) -> bool {
        let content = &state.content;
        let asked =
            content.asked && content.end.is_none() && content.waiting < http1.connection.info.content_window;
        if !asked || content.received > 0 || std::mem::replace(&mut self.continued, true) {
            return false;
        }
        let waits = exchange.head.expects_continue() && http1.input.is_empty();
        if waits {
            http1.output.buffer(&http1.connection.reactor.buffers).extend_from_slice(encode::CONTINUE);
        }
        waits
    }

    /// Reads what the peer sends, also where nobody asked for it yet.
    pub(super) fn read<T: Transport>(
        &mut self,
        http1: &mut Http1<'_, T>,
        exchange: &Exchange,
        state: &mut Locked<'_>,
        cx: &mut Context<'_>,
        progressed: &mut bool,
    ) -> Result<(), Fault> {
        if let Some(reason) = http1.eof {
            // What came in front of the end may be all of it; what is still owed behind it is not coming.
            if http1.input.is_empty() && !matches!(self.owed, Owed::Nothing) {
                exchange.end_content(state, ContentEnd::Failed(reason));
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
        exchange: &Exchange,
        state: &mut Locked<'_>,
        room: usize,
        now: Moment,
    ) -> Result<(), Fault> {
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
                            state.content.trailers = Some(Arc::new(decoder.into_trailers()));
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
}
