//! The memory of an exchange under way, which goes from one to the next: with a burst under way, an allocation of its size misses
//! the allocator's fast path each time. What happens to the exchange is `serving.rs`.

use std::cell::RefCell;

use super::serving::Serving;
use crate::connection::Connection;
use crate::deadline::Moment;
use crate::reason::Reason;

/// An exchange under way in its place.
pub(super) struct Seat(Box<Option<Serving>>);

impl Seat {
    pub(super) fn taken(&mut self) -> Option<&mut Serving> {
        self.0.as_mut().as_mut()
    }

    /// The answer waits for the socket to take its last octets.
    pub(super) fn flushing(&mut self, now: Moment) {
        if let Some(serving) = self.taken() {
            serving.flushing(now);
        }
    }

    /// Ends the exchange, answered or not.
    pub(super) fn end(mut self, connection: &mut Connection, reason: Reason) {
        let serving = self.0.take();
        connection.reactor.seats.keep(self);
        if let Some(serving) = serving {
            serving.end(connection, reason);
        }
    }
}

/// Places that nobody has now.
#[derive(Default)]
pub(crate) struct Seats(RefCell<Vec<Seat>>);

impl Seats {
    /// Most that a reactor keeps.
    const MAX: usize = 64;

    pub(super) fn seat(&self, serving: Serving) -> Seat {
        let Some(mut seat) = self.0.borrow_mut().pop() else { return Seat(Box::new(Some(serving))) };
        *seat.0 = Some(serving);
        seat
    }

    fn keep(&self, seat: Seat) {
        let mut free = self.0.borrow_mut();
        if free.len() < Self::MAX {
            free.push(seat);
        }
    }
}
