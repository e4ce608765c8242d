//! What the streams of one connection share: the watch, the caps on heads, the clock of this turn, and how the socket fares.

use std::collections::VecDeque;
use std::rc::Rc;

use super::answer::CommonFields;
use super::observer::Watch;
use crate::connection::Connection;
use crate::deadline::{Moment, PhaseClock};
use crate::http::head::HeadLimits;

/// What the streams of one connection share.
pub(super) struct Side {
    pub(super) watch: Rc<Watch>,
    pub(super) limits: HeadLimits,
    pub(super) fields: CommonFields,
    pub(super) shadows: Shadows,
    pub(super) now: Moment,
    /// The socket takes nothing now.
    pub(super) blocked: bool,
    /// The socket, or the peer's window for all streams together, is what answers wait for.
    pub(super) congested: bool,
    /// Content that nobody has read fills our window for all streams together: whoever waits for content waits for the program.
    pub(super) held_up: bool,
    /// The response clock while the connection is congested.
    pub(super) clock: PhaseClock,
    /// Streams that wait for content of the peer's.
    pub(super) awaiting: usize,
    /// Octets of content that all streams together buffer, now or soon.
    pub(super) promised: usize,
}

impl Side {
    pub(super) fn new(watch: Rc<Watch>, connection: &Connection, now: Moment) -> Self {
        Self {
            watch,
            limits: HeadLimits::of(&connection.settings),
            fields: CommonFields::new(),
            shadows: Shadows::default(),
            now,
            blocked: false,
            congested: false,
            held_up: false,
            clock: PhaseClock::default(),
            awaiting: 0,
            promised: 0,
        }
    }

    /// Whether content of this length is to be buffered ahead. Streams share a quarter of what the connection may hold: buffering
    /// gives window back before anybody has read, so nothing else would hold a hundred uploads to it. The others are streamed.
    pub(super) fn promise(&mut self, length: u64, connection: &Connection) -> bool {
        let settings = &connection.settings;
        let most = settings.max_connection_memory_bytes as u64;
        let share = if self.promised == 0 { most / 2 } else { most / 4 };
        let fits = length <= settings.buffer_body_bytes as u64 && self.promised as u64 + length <= share;
        if fits {
            self.promised += length as usize;
        }
        fits
    }
}

/// Streams that are over and of which frames of ours may still be on their way out: what the observer then tells of them is not
/// h2's own doing. Bounded, since a peer may cause any number; one that drops out is at worst counted as a refused head.
#[derive(Default)]
pub(super) struct Shadows(VecDeque<u32>);

impl Shadows {
    const MOST: usize = 256;

    pub(super) fn push(&mut self, stream: u32) {
        if self.0.len() == Self::MOST {
            self.0.pop_front();
        }
        self.0.push_back(stream);
    }

    pub(super) fn contains(&self, stream: u32) -> bool {
        self.0.contains(&stream)
    }

    pub(super) fn forget(&mut self) {
        if self.0.capacity() > 0 {
            self.0 = VecDeque::new();
        }
    }
}
