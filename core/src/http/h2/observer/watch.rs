//! The driver's handle on what the frames of one HTTP/2 connection told, and what it tells in turn. The observer writes
//! through the same handle, on the same thread; the rules are in `state.rs`. No deadline and no GOAWAY is here: the
//! driver has those.

use std::cell::{RefCell, RefMut};
use std::mem;

use super::super::glitches::Glitch;
use super::state::State;
use crate::reason::Reason;

/// What the observer is told at the start.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Limits {
    /// `h2_glitch_budget`.
    pub(crate) glitch_budget: u32,
    /// `h2_max_concurrent_streams`.
    pub(crate) concurrent_streams: usize,
    /// Octets that one header block may have on the wire: twice `max_header_bytes`.
    pub(crate) header_block: usize,
}

/// Why no further input reaches h2. It lasts: the driver closes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Withheld {
    /// The glitch budget is spent.
    Glitches,
    /// The glitch budget is spent, most of it on resets.
    Resets,
    /// A header block outgrew [`Limits::header_block`].
    HeaderBlock,
    /// The first frame is not SETTINGS (RFC 9113 §3.4). h2 0.4.20 does not mind.
    Preface,
}

impl Withheld {
    /// The code of the GOAWAY that the peer is owed.
    pub(crate) const fn code(self) -> h2::Reason {
        match self {
            Self::Glitches | Self::Resets | Self::HeaderBlock => h2::Reason::ENHANCE_YOUR_CALM,
            Self::Preface => h2::Reason::PROTOCOL_ERROR,
        }
    }

    /// Why the connection closes.
    pub(crate) const fn reason(self) -> Reason {
        match self {
            Self::Glitches => Reason::H2Glitches,
            Self::Resets => Reason::H2Resets,
            Self::HeaderBlock => Reason::HeaderBytes,
            Self::Preface => Reason::H2Protocol,
        }
    }
}

/// Something that happened to a stream, in the order of the wire.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Event {
    /// The stream below took the whole header section of the answer (1xx not included), and with `end` the whole answer.
    /// On a stream that the driver never accepted it is h2's own 431.
    HeadTaken { stream: u32, end: bool },
    /// The stream below took the last octet of the answer: DATA or trailers with END_STREAM.
    EndTaken { stream: u32 },
    /// The peer reset the stream.
    ResetReceived { stream: u32, code: h2::Reason },
    /// The stream below took our RST_STREAM; `open`: of a stream that was not over yet.
    ResetTaken { stream: u32, code: h2::Reason, open: bool },
    /// DATA or trailers of the peer's; once for a run of them on one stream.
    ContentArrived { stream: u32 },
    /// The peer gave window to a stream that was answered to its end.
    WindowGranted { stream: u32, octets: u32 },
}

/// A header block of the peer's that is not complete.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct HeaderBlock {
    /// Its stream.
    pub(crate) stream: u32,
    /// Octets that arrived of its HEADERS and CONTINUATION payloads.
    pub(crate) octets: usize,
}

/// The driver's handle on what was seen.
#[derive(Debug)]
pub(crate) struct Watch(RefCell<State>);

impl Watch {
    /// Nothing seen yet; `now` is the driver's clock in milliseconds.
    pub(crate) fn new(limits: Limits, now: u64) -> Self {
        Self(RefCell::new(State::new(limits, now)))
    }

    /// Whether the client's preface arrived to the end of its SETTINGS frame.
    pub(crate) fn preface_complete(&self) -> bool {
        self.0.borrow().settings_received
    }

    /// Whether the stream below took our SETTINGS.
    pub(crate) fn settings_taken(&self) -> bool {
        self.0.borrow().settings_taken > 0
    }

    /// Whether the peer acknowledged our SETTINGS.
    pub(crate) fn settings_acknowledged(&self) -> bool {
        self.0.borrow().settings_acknowledged > 0
    }

    /// The header block that the peer has begun and not completed.
    pub(crate) fn header_block(&self) -> Option<HeaderBlock> {
        self.0.borrow().block
    }

    /// How many header blocks the peer has begun: a block that is open at two looks is the same one only if this is too.
    pub(crate) fn header_blocks_begun(&self) -> u64 {
        self.0.borrow().blocks_begun
    }

    /// The code of the peer's last GOAWAY.
    pub(crate) fn goaway_received(&self) -> Option<h2::Reason> {
        self.0.borrow().goaway_received
    }

    /// Whether the peer's window for all streams together is used up.
    pub(crate) fn connection_window_is_empty(&self) -> bool {
        let state = self.0.borrow();
        state.window_granted <= state.data_taken
    }

    /// Whether the peer has used up our window for all streams together: it may send no content, however long we wait.
    pub(crate) fn peer_is_out_of_window(&self) -> bool {
        let state = self.0.borrow();
        state.window_given <= state.data_received
    }

    /// Octets of DATA that the stream below took.
    pub(crate) fn data_taken(&self) -> u64 {
        self.0.borrow().data_taken
    }

    /// Octets of DATA that the stream below took of `stream`; `None` once its end was taken or it was reset.
    pub(crate) fn stream_data_taken(&self, stream: u32) -> Option<u64> {
        self.0.borrow_mut().stream(stream).map(|stream| stream.data_taken)
    }

    /// Whether the trailers of `stream` have a pseudo-field, of which h2 says nothing.
    pub(crate) fn trailers_are_malformed(&self, stream: u32) -> bool {
        self.0.borrow_mut().stream(stream).is_some_and(|stream| stream.malformed)
    }

    /// Moves what happened to streams behind `into`. Owed after every poll of h2: input waits while too much is here.
    pub(crate) fn take_events(&self, into: &mut Vec<Event>) {
        let events = &mut self.0.borrow_mut().events;
        if into.is_empty() {
            mem::swap(into, events);
        } else {
            into.append(events);
        }
    }

    /// Whether DATA of `stream` waits for the program: empty or tiny DATA on top of it is charged.
    pub(crate) fn set_unread(&self, stream: u32, unread: bool) {
        if let Some(stream) = self.0.borrow_mut().stream(stream) {
            stream.unread = unread;
        }
    }

    /// How many octets of `stream` wait for the peer's window and are the last of its answer; 0: not so. A small
    /// WINDOW_UPDATE that lets them go is not charged.
    pub(crate) fn set_tail(&self, stream: u32, octets: usize) {
        if let Some(stream) = self.0.borrow_mut().stream(stream) {
            stream.tail = octets;
        }
    }

    /// The next header section sent on `stream` is a 1xx: the answer does not begin with it.
    pub(crate) fn expect_informational(&self, stream: u32) {
        if let Some(stream) = self.0.borrow_mut().stream(stream) {
            stream.informational = stream.informational.saturating_add(1);
        }
    }

    /// Gives the glitch budget what time has earned up to `now`, in milliseconds.
    pub(crate) fn refill(&self, now: u64) {
        self.0.borrow_mut().budget.refill(now);
    }

    /// Gives one charge back: a request was answered in full.
    pub(crate) fn request_completed(&self) {
        self.0.borrow_mut().budget.request_completed();
    }

    /// Whether 75 % of the glitch budget was ever spent: a graceful GOAWAY is due.
    pub(crate) fn warned(&self) -> bool {
        self.0.borrow().budget.warned()
    }

    /// Why input is withheld, if it is: GOAWAY and close are due.
    pub(crate) fn withheld(&self) -> Option<Withheld> {
        self.0.borrow().withheld
    }

    /// Changes with every charge.
    pub(crate) fn charges(&self) -> u32 {
        self.0.borrow().budget.charges()
    }

    /// How often each [`Glitch`] was charged, in the order of [`Glitch::ALL`].
    pub(crate) fn glitches(&self) -> [u32; Glitch::COUNT] {
        self.0.borrow().budget.counts()
    }

    /// For the observer, which walks under one borrow and calls nothing of the driver's meanwhile.
    pub(super) fn state(&self) -> RefMut<'_, State> {
        self.0.borrow_mut()
    }
}
