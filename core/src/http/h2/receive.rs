//! Content of one stream on its way in: out of h2 only when the program asked, window back to the peer only when the program has
//! consumed. Bodies that are gathered before the program sees the request are `gather.rs`.

use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use bytes::Bytes;
use h2::RecvStream;
use h2::server::SendResponse;
use http::HeaderMap;

use super::Side;
use super::answer::informational;
use super::stream::Fate;
use crate::connection::Connection;
use crate::exchange::{ContentEnd, Exchange, Locked, State};
use crate::http::trailers::Trailers;
use crate::reason::Reason;

/// The content of a stream that h2 may still have, or get.
pub(super) struct Receiving {
    stream: Option<RecvStream>,
    /// Octets whose window went back to the peer.
    released: u64,
    /// The peer sends nothing more: what h2 has is all there will be.
    cut: Option<Reason>,
    /// At the last look octets were unread.
    held: bool,
    /// 100 Continue went out.
    continued: bool,
}

/// What h2 has of a stream's content now.
pub(super) enum Piece {
    Octets(Bytes),
    End(Option<HeaderMap>),
    Nothing,
    Failed(Reason),
}

impl Receiving {
    /// `None`: the request has no content.
    pub(super) fn new(stream: Option<RecvStream>) -> Self {
        Self { stream, released: 0, cut: None, held: false, continued: false }
    }

    /// Whether the peer may still send content.
    pub(super) fn is_open(&self) -> bool {
        self.stream.is_some()
    }

    /// The peer has closed its side.
    pub(super) fn cut(&mut self, reason: Reason) {
        self.cut = Some(reason);
    }

    /// Why nothing more comes, if so.
    pub(super) fn why_cut(&self) -> Option<Reason> {
        self.cut
    }

    /// The next piece. No waker: the observer tells when more arrives.
    pub(super) fn next(&mut self) -> Piece {
        let Some(stream) = &mut self.stream else { return Piece::Nothing };
        let cx = &mut Context::from_waker(Waker::noop());
        match stream.poll_data(cx) {
            Poll::Ready(Some(Ok(octets))) => return Piece::Octets(octets),
            Poll::Ready(Some(Err(error))) => return Piece::Failed(reason_of_stream(&error)),
            Poll::Ready(None) => {}
            Poll::Pending => return Piece::Nothing,
        }
        match stream.poll_trailers(cx) {
            Poll::Ready(Ok(trailers)) => Piece::End(trailers),
            Poll::Ready(Err(error)) => Piece::Failed(reason_of_stream(&error)),
            Poll::Pending => Piece::Nothing,
        }
    }

    /// Octets that h2 holds, besides the `waiting` ones that it has handed out and of which the peer does not know.
    pub(super) fn unread(&mut self, waiting: usize) -> usize {
        let used = self.stream.as_mut().map_or(0, |stream| stream.flow_control().used_capacity());
        used.saturating_sub(waiting)
    }

    /// Gives the peer window for all but `unread` of the `received` octets.
    pub(super) fn release(&mut self, received: u64, unread: usize) {
        let consumed = received - unread as u64;
        if let Some(stream) = &mut self.stream
            && consumed > self.released
        {
            // No more than what h2 handed out; a stream that was reset meanwhile takes nothing, and needs nothing.
            let _ = stream.flow_control().release_capacity((consumed - self.released) as usize);
            self.released = consumed;
        }
    }

    /// Gives the peer window for all that h2 handed out.
    pub(super) fn release_all(&mut self) {
        if let Some(stream) = &mut self.stream {
            let flow = stream.flow_control();
            let _ = flow.release_capacity(flow.used_capacity());
        }
    }

    /// Moves content to the program, as far as it asked for it.
    pub(super) fn receive(
        &mut self,
        exchange: &Exchange,
        state: &mut Locked<'_>,
        connection: &Connection,
        side: &Side,
    ) -> Result<(), Fate> {
        if state.content.end == Some(ContentEnd::Failed(Reason::BodySize)) {
            // The announced length is over the cap, as the program's first read found.
            connection.limit(Reason::BodySize);
            return Err(Fate::Answer(413, Reason::BodySize));
        }
        if self.stream.is_none() {
            return Ok(());
        }
        let mut drained = false;
        while !drained && (state.content.asked || self.cut.is_some()) && state.content.end.is_none() {
            match self.next() {
                Piece::Octets(octets) => {
                    let received = state.content.received + octets.len() as u64;
                    if exchange.limits(state).max_body_bytes.is_some_and(|cap| received > cap) {
                        exchange.end_content(state, ContentEnd::Failed(Reason::BodySize));
                        connection.limit(Reason::BodySize);
                        return Err(Fate::Answer(413, Reason::BodySize));
                    }
                    exchange.push_content(state, side.now, octets);
                }
                Piece::End(trailers) => {
                    if let Some(trailers) = trailers {
                        state.content.trailers = Some(trailer_section(exchange.stream, &trailers, side)?);
                    }
                    exchange.end_content(state, ContentEnd::Complete);
                }
                Piece::Nothing => match self.cut {
                    Some(reason) => exchange.end_content(state, ContentEnd::Failed(reason)),
                    None => drained = true,
                },
                Piece::Failed(reason) => return Err(Fate::Gone(reason)),
            }
        }
        self.release(state.content.received, state.content.waiting);
        let unread = state.content.waiting + self.unread(state.content.waiting) > 0;
        // Empty DATA is unread too for as long as nobody asks, and no count of octets tells of it.
        if std::mem::replace(&mut self.held, unread) || unread || drained || state.content.end.is_some() {
            side.watch.set_unread(exchange.stream, unread);
        }
        if state.content.end.is_some() && state.content.waiting == 0 {
            self.stream = None;
        }
        Ok(())
    }

    /// Asks a peer that waits for it for the content, once, at the program's first read (RFC 9110 §10.1.1).
    pub(super) fn ask(
        &mut self,
        respond: &mut SendResponse<Bytes>,
        exchange: &Exchange,
        state: &State,
        side: &Side,
    ) -> Result<(), Fate> {
        let ask = state.content.asked && exchange.head.expects_continue() && state.content.received == 0;
        if ask && !std::mem::replace(&mut self.continued, true) && self.stream.is_some() {
            side.watch.expect_informational(exchange.stream);
            respond
                .send_informational(informational(100, None))
                .map_err(|_| Fate::Gone(Reason::H2Protocol))?;
        }
        Ok(())
    }
}

/// Trailers within the header caps.
pub(super) fn trailer_section(stream: u32, fields: &HeaderMap, side: &Side) -> Result<Arc<Trailers>, Fate> {
    if side.watch.trailers_are_malformed(stream) {
        return Err(Fate::Reset(h2::Reason::PROTOCOL_ERROR, Reason::HeaderPolicy));
    }
    Trailers::from_h2(fields, &side.limits)
        .map(Arc::new)
        .map_err(|refusal| Fate::Reset(h2::Reason::PROTOCOL_ERROR, refusal.reason))
}

/// The peer's reset is seen by the observer first; what is left is what h2 refused.
fn reason_of_stream(error: &h2::Error) -> Reason {
    if error.is_remote() { Reason::PeerReset } else { Reason::H2Protocol }
}
