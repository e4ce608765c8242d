//! The memory of exchanges that are over, for those to come.

use std::cell::RefCell;
use std::sync::atomic::Ordering;
use std::sync::{Arc, PoisonError};

use super::{Exchange, Opening, State};
use crate::http::head::{Head, Storage};

/// Exchanges and heads that nobody holds any more, kept for their memory: with a burst of streams under way, an allocation of an
/// exchange's size misses the allocator's fast path each time.
#[derive(Default)]
pub(crate) struct Spares {
    exchanges: RefCell<Vec<Arc<Exchange>>>,
    heads: RefCell<Vec<Storage>>,
}

impl Spares {
    /// Most that a reactor keeps: what 16 connections with 16 streams each have under way where answers come from other threads.
    /// Inline a burst ends before the next connection's begins.
    const MAX: usize = 256;

    pub(crate) fn make(&self, head: Head, opening: Opening<'_>) -> Arc<Exchange> {
        let spare = self.exchanges.borrow_mut().pop();
        if let Some(mut spare) = spare
            && let Some(place) = Arc::get_mut(&mut spare)
        {
            place.head = head;
            place.begin(opening);
            return spare;
        }
        Arc::new(Exchange::new(head, opening))
    }

    /// Gives back what is kept.
    pub(crate) fn trim(&self) {
        let exchanges = self.exchanges.take();
        self.heads.take();
        drop(exchanges);
    }

    /// For the head of the next exchange.
    pub(crate) fn storage(&self) -> Storage {
        self.heads.borrow_mut().pop().unwrap_or_default()
    }

    /// Takes an exchange that is over, if the program has let go of it too; else it counts to the server's memory until then.
    pub(crate) fn keep(&self, mut exchange: Arc<Exchange>) {
        let Some(place) = Arc::get_mut(&mut exchange) else {
            let held = exchange.held(&exchange.lock()) as u64;
            exchange.connection.load.retain(held);
            exchange.retained.store(held, Ordering::Relaxed);
            return;
        };
        // What the program gave away is its own again now, not when the memory is used next. Nor may the memory of content, which
        // no connection is charged with any more, wait for that.
        *place.state.get_mut().unwrap_or_else(PoisonError::into_inner) = State::default();
        place.buffered = None;
        let head = Storage::of(&mut place.head);
        let mut spares = self.exchanges.borrow_mut();
        if spares.len() < Self::MAX {
            self.heads.borrow_mut().extend(head);
            spares.push(exchange);
        }
    }
}
