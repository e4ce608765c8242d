//! A small body with an announced length, gathered before the program sees the request (`buffer_body_bytes`). Its clock is the
//! body clock, from the settings alone: no handler could have moved its limits yet.

use std::sync::Arc;

use bytes::Bytes;

use super::Side;
use super::receive::{Piece, Receiving, trailer_section};
use super::stream::Fate;
use crate::connection::Connection;
use crate::deadline::{Moment, PhaseClock};
use crate::exchange::Limits;
use crate::http::head::Head;
use crate::http::live::{Books, body_reason};
use crate::http::trailers::Trailers;
use crate::reason::Reason;

/// A request whose body is not complete.
pub(super) struct Gather {
    head: Head,
    books: Books,
    /// The first piece, without a copy: mostly it is all.
    first: Bytes,
    rest: Vec<u8>,
    clock: PhaseClock,
    /// While unread content of other streams fills the connection's window: the wait is for their handlers, and no longer than
    /// theirs.
    held_up: PhaseClock,
}

/// What gathering came to.
pub(super) enum Gathered {
    /// More is to come, by then or else.
    More(Option<(Moment, Reason)>),
    Complete(Option<Arc<Trailers>>),
    Failed(Fate),
}

impl Gather {
    pub(super) fn new(head: Head, books: Books) -> Self {
        Self {
            head,
            books,
            first: Bytes::new(),
            rest: Vec::new(),
            clock: PhaseClock::default(),
            held_up: PhaseClock::default(),
        }
    }

    pub(super) fn books(&mut self) -> &mut Books {
        &mut self.books
    }

    pub(super) fn received(&self) -> u64 {
        (self.first.len() + self.rest.len()) as u64
    }

    /// Octets of memory.
    pub(super) fn held(&self) -> usize {
        self.head.heap_bytes() + self.first.len() + self.rest.capacity()
    }

    /// Takes what has come. h2 holds the peer to the announced length, which is within `buffer_body_bytes`.
    pub(super) fn step(
        &mut self,
        stream: u32,
        receiving: &mut Receiving,
        connection: &Connection,
        side: &Side,
    ) -> Gathered {
        let Limits { content: limits, handler, .. } = Limits::of(&connection.settings);
        self.clock.turn(!side.held_up, side.now);
        self.held_up.turn(side.held_up, side.now);
        loop {
            match receiving.next() {
                Piece::Octets(octets) => {
                    self.clock.progress(side.now, octets.len() as u64, &limits);
                    if self.received() == 0 {
                        self.first = octets;
                    } else {
                        if self.rest.is_empty() {
                            self.rest.extend_from_slice(&self.first);
                            // Counted in `rest` from here on.
                            self.first = Bytes::new();
                        }
                        self.rest.extend_from_slice(&octets);
                    }
                    receiving.release(self.received(), 0);
                }
                Piece::End(None) => return Gathered::Complete(None),
                Piece::End(Some(trailers)) => {
                    return match trailer_section(stream, &trailers, side) {
                        Ok(trailers) => Gathered::Complete(Some(trailers)),
                        Err(fate) => Gathered::Failed(fate),
                    };
                }
                Piece::Failed(reason) => return Gathered::Failed(Fate::Gone(reason)),
                Piece::Nothing => break,
            }
        }
        if let Some(reason) = receiving.why_cut() {
            return Gathered::Failed(Fate::Gone(reason));
        }
        side.watch.set_unread(stream, self.received() > 0);
        let due = match self.held_up.due(&handler) {
            Some((due, _)) => Some((due, Reason::HandlerTimeout)),
            None => self.clock.due(&limits).map(|(due, strike)| (due, body_reason(strike))),
        };
        Gathered::More(due)
    }

    pub(super) fn into_parts(self) -> (Head, Books, Bytes) {
        let body = if self.rest.is_empty() { self.first } else { self.rest.into() };
        (self.head, self.books, body)
    }
}
