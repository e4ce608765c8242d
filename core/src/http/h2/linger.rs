//! Streams whose answer is complete while their content is still coming. What comes is thrown away for a while, and then the peer
//! is asked to stop, by RST_STREAM NO_ERROR (RFC 9113 §8.1). HTTP/1 lingers in `http/h1.rs`.
//!
//! Asked at once, most uploads that are nearly over would be cut although nothing is gained by it, clients that take any reset for
//! a failure would lose the answer, and a peer that breaks the protocol behind an early answer would never hear of it: after its
//! own reset, an endpoint ignores what still comes (RFC 9113 §5.1).

use bytes::Bytes;
use h2::server::SendResponse;

use super::receive::{Piece, Receiving};
use crate::deadline::{Moment, NEVER, micros};
use crate::settings::Settings;

/// What a DATA frame counts at least, so that the bound on octets bounds frames too.
const LEAST: u64 = 64;

/// RFC 9113 §6.9.1.
const MAX_WINDOW: u64 = (1 << 31) - 1;

/// Bounded by the concurrent streams: to h2 each of these is still open.
#[derive(Default)]
pub(super) struct Lingering(Vec<Linger>);

struct Linger {
    id: u32,
    respond: SendResponse<Bytes>,
    content: Receiving,
    left: u64,
    /// Window that the peer gave since the answer was complete, which h2 takes no notice of.
    granted: u64,
    due: Moment,
}

impl Lingering {
    /// Takes over the content of a stream that was answered.
    pub(super) fn add(
        &mut self,
        id: u32,
        respond: SendResponse<Bytes>,
        content: Receiving,
        settings: &Settings,
        now: Moment,
    ) {
        let due = now + micros(settings.linger_timeout);
        let mut linger = Linger { id, respond, content, left: settings.max_linger_bytes, granted: 0, due };
        if linger.goes_on() {
            self.0.push(linger);
        }
    }

    /// More content has come. `true`: this stream lingers no longer.
    pub(super) fn content_arrived(&mut self, id: u32) -> bool {
        self.position(id).is_some_and(|at| !self.0[at].goes_on()) && self.remove(id)
    }

    /// The peer gave window. `true`: more than there can be, and h2 has something to send (RFC 9113 §6.9.1).
    pub(super) fn window_granted(&mut self, id: u32, octets: u32) -> bool {
        let Some(at) = self.position(id) else { return false };
        let linger = &mut self.0[at];
        linger.granted += u64::from(octets);
        let over = linger.granted > MAX_WINDOW;
        if over {
            linger.respond.send_reset(h2::Reason::FLOW_CONTROL_ERROR);
        }
        over && self.remove(id)
    }

    /// Gives h2 its handle back, and with it the reset, if one is still needed. `false`: no such stream.
    pub(super) fn remove(&mut self, id: u32) -> bool {
        let at = self.position(id);
        if let Some(at) = at {
            self.0.swap_remove(at);
        }
        at.is_some()
    }

    /// `true`: some were asked to stop.
    pub(super) fn expire(&mut self, now: Moment) -> bool {
        let before = self.0.len();
        self.0.retain(|linger| linger.due > now);
        self.0.len() < before
    }

    pub(super) fn clear(&mut self) {
        self.0 = Vec::new();
    }

    pub(super) fn due(&self) -> Moment {
        self.0.iter().map(|linger| linger.due).min().unwrap_or(NEVER)
    }

    fn position(&self, id: u32) -> Option<usize> {
        self.0.iter().position(|linger| linger.id == id)
    }
}

impl Linger {
    /// Throws away what is there; `false`: nothing more comes, or too much did.
    fn goes_on(&mut self) -> bool {
        loop {
            match self.content.next() {
                Piece::Octets(octets) => match self.left.checked_sub(LEAST.max(octets.len() as u64)) {
                    Some(left) => self.left = left,
                    None => return false,
                },
                Piece::Nothing => break,
                Piece::End(_) | Piece::Failed(_) => return false,
            }
        }
        self.content.release_all();
        self.left > 0
    }
}
