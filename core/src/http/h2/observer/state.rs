//! What every frame means: the rules of `h2_glitch_budget`, the open streams, the header block in progress. The sum of the
//! charges is in `glitches.rs`, the way in and out in `watch.rs`.

use std::collections::VecDeque;
use std::mem;

use super::super::glitches::{Budget, Glitch, QUARTER, WHOLE};
use super::frames::{Head, Kind, Piece, number};
use super::trailers::Scan;
use super::watch::{Event, HeaderBlock, Limits, Withheld};

/// DATA and WINDOW_UPDATE below this are charged: it is what a frame's own head and bookkeeping are worth.
const TINY: usize = 64;

/// CONTINUATION frames of one header block that cost nothing. With frames of 16 KiB they carry more than any list that
/// `max_header_bytes` is likely to allow.
const FREE_CONTINUATIONS: u32 = 4;

/// Events that may wait for the driver. Input stops there: a peer that makes h2 answer by itself (431, refusals) does not
/// grow our memory. What h2 has already read adds at most some 800 more.
const MAX_EVENTS: usize = 4096;

/// Streams remembered beyond the concurrent ones: those whose refusal is still in h2's write buffer (16 KiB of
/// RST_STREAM) and those of one read. A peer goes past it only where h2 ignores it anyway, behind a GOAWAY.
const STREAM_SLACK: usize = 4096;

/// Streams whose room an idle connection keeps: about 1 KiB.
const KEPT_STREAMS: usize = 32;

/// The window of a connection before any WINDOW_UPDATE (RFC 9113 §6.9.2).
const INITIAL_WINDOW: u64 = 65_535;

/// A stream that is open as far as frame heads tell: from the peer's HEADERS to our END_STREAM or a reset.
#[derive(Debug)]
pub(super) struct Stream {
    id: u32,
    pub(super) informational: u32,
    answered: bool,
    pub(super) unread: bool,
    pub(super) tail: usize,
    pub(super) data_taken: u64,
    /// Its trailers have a pseudo-field.
    pub(super) malformed: bool,
}

/// All that is remembered of one connection.
#[derive(Debug)]
pub(super) struct State {
    pub(super) budget: Budget,
    limits: Limits,
    pub(super) withheld: Option<Withheld>,
    /// The driver was woken to look at `withheld`.
    woken: bool,
    pub(super) settings_received: bool,
    pub(super) settings_taken: u32,
    pub(super) settings_acknowledged: u32,
    /// The highest stream when our SETTINGS were acknowledged: up to it the peer could not know its limits.
    acknowledged_at: u32,
    /// Our PING frames that were not answered.
    pings_taken: u32,
    answered_since_ping: bool,
    pub(super) block: Option<HeaderBlock>,
    pub(super) blocks_begun: u64,
    block_has_fields: bool,
    block_is_trailers: bool,
    /// The trailer section in progress, and the octets that came of its frame.
    trailers: Option<(Scan, usize)>,
    continuations: u32,
    highest_stream: u32,
    /// By id, which a peer can only raise: found by bisection, and what ends is mostly at the front.
    streams: VecDeque<Stream>,
    pub(super) goaway_received: Option<h2::Reason>,
    /// Our HEADERS without END_HEADERS: its stream, and whether it has END_STREAM.
    head_being_taken: Option<(u32, bool)>,
    pub(super) data_taken: u64,
    /// Octets of DATA that the peer has allowed so far, on all streams together.
    pub(super) window_granted: u64,
    /// Octets of DATA that came, padding included, and those that the peer was told it may send, on all streams together.
    pub(super) data_received: u64,
    pub(super) window_given: u64,
    pub(super) events: Vec<Event>,
}

impl State {
    /// Nothing seen yet.
    pub(super) fn new(limits: Limits, now: u64) -> Self {
        Self {
            budget: Budget::new(limits.glitch_budget, now),
            limits,
            withheld: None,
            woken: false,
            settings_received: false,
            settings_taken: 0,
            settings_acknowledged: 0,
            acknowledged_at: 0,
            pings_taken: 0,
            answered_since_ping: false,
            block: None,
            blocks_begun: 0,
            block_has_fields: false,
            block_is_trailers: false,
            trailers: None,
            continuations: 0,
            highest_stream: 0,
            streams: VecDeque::new(),
            goaway_received: None,
            head_being_taken: None,
            data_taken: 0,
            window_granted: INITIAL_WINDOW,
            data_received: 0,
            window_given: INITIAL_WINDOW,
            events: Vec::new(),
        }
    }

    /// Whether input waits, and if so whether the driver must be woken: once for the end, always for its events.
    pub(super) fn hold(&mut self) -> Option<bool> {
        if self.withheld.is_some() {
            return Some(!mem::replace(&mut self.woken, true));
        }
        (self.events.len() >= MAX_EVENTS).then_some(true)
    }

    /// A piece of the peer's.
    pub(super) fn received(&mut self, piece: &Piece) {
        let head = piece.head;
        if piece.begins {
            self.head_received(head);
        }
        match head.kind {
            Kind::Headers | Kind::Continuation => self.block_received(piece.octets),
            Kind::Data => self.data_received += piece.octets as u64,
            _ => {}
        }
        if piece.ends {
            self.frame_received(head, &piece.peek);
        }
    }

    fn head_received(&mut self, head: Head) {
        if !self.settings_received && (head.kind != Kind::Settings || head.is_ack()) {
            self.withheld = Some(Withheld::Preface);
        }
        match head.kind {
            Kind::Headers => {
                self.block = Some(HeaderBlock { stream: head.stream, octets: 0 });
                self.blocks_begun += 1;
                self.block_has_fields = false;
                self.block_is_trailers = head.stream <= self.highest_stream;
                self.trailers = self.block_is_trailers.then(Default::default);
                self.continuations = 0;
                self.open(head.stream);
            }
            Kind::Continuation => self.continuations += 1,
            _ => {}
        }
    }

    fn block_received(&mut self, octets: usize) {
        // CONTINUATION outside a block is h2's to refuse.
        if let Some(block) = &mut self.block {
            block.octets += octets;
            if block.octets > self.limits.header_block {
                self.withheld = Some(Withheld::HeaderBlock);
            }
        }
    }

    /// Whether pieces belong to a trailer section.
    pub(super) fn is_in_trailers(&self) -> bool {
        self.trailers.is_some()
    }

    /// A piece of the peer's with its payload, while a trailer section is in progress.
    pub(super) fn trailers_received(&mut self, piece: &Piece, payload: &[u8]) {
        let head = piece.head;
        let Some((scan, passed)) = &mut self.trailers else { return };
        if !matches!(head.kind, Kind::Headers | Kind::Continuation) {
            // Nothing may come in between: h2 refuses it.
            return;
        }
        let begin = if piece.begins { 0 } else { *passed };
        *passed = begin + payload.len();
        let length = if head.kind == Kind::Headers { head.content_length(&piece.peek) } else { head.length };
        let (start, end) = (head.content_start(), head.content_start() + length);
        let within = |at: usize| at.clamp(start, end).saturating_sub(begin).min(payload.len());
        let malformed = scan.feed(&payload[within(begin)..within(*passed)]);
        if piece.ends && head.ends_headers() {
            self.trailers = None;
        }
        if malformed && let Some(stream) = self.stream(head.stream) {
            stream.malformed = true;
        }
    }

    fn frame_received(&mut self, head: Head, peek: &[u8; 8]) {
        match head.kind {
            Kind::Headers | Kind::Continuation => self.block_frame_received(head, peek),
            Kind::Data => {
                self.content_arrived(head.stream);
                if head.content_length(peek) < TINY
                    && !head.ends_stream()
                    && self.stream(head.stream).is_some_and(|stream| stream.unread)
                {
                    self.charge(Glitch::Data, WHOLE);
                }
            }
            Kind::WindowUpdate => {
                let increment = number(peek, 0) as usize;
                if head.stream == 0 {
                    self.window_granted = self.window_granted.saturating_add(increment as u64);
                } else if head.stream <= self.highest_stream && self.position(head.stream).is_err() {
                    self.events.push(Event::WindowGranted { stream: head.stream, octets: increment as u32 });
                }
                if increment < TINY && !self.finishes_an_answer(head.stream, increment) {
                    self.charge(Glitch::WindowUpdate, WHOLE);
                }
            }
            Kind::Settings if head.is_ack() => self.settings_ack_received(),
            Kind::Settings => {
                if mem::replace(&mut self.settings_received, true) {
                    self.charge(Glitch::Settings, WHOLE);
                }
            }
            Kind::Ping => self.ping_received(head),
            Kind::Priority | Kind::Unknown => self.charge(Glitch::Priority, WHOLE),
            Kind::Reset => {
                let code = number(peek, 0).into();
                self.charge(Glitch::ResetReceived, self.reset_cost(head.stream));
                self.close(head.stream);
                self.events.push(Event::ResetReceived { stream: head.stream, code });
            }
            Kind::GoAway => self.goaway_received = Some(number(peek, 4).into()),
            // A client must not push: h2 refuses it.
            Kind::PushPromise => {}
        }
    }

    fn content_arrived(&mut self, stream: u32) {
        let arrived = Event::ContentArrived { stream };
        if self.events.last() != Some(&arrived) {
            self.events.push(arrived);
        }
    }

    fn block_frame_received(&mut self, head: Head, peek: &[u8; 8]) {
        let is_continuation = head.kind == Kind::Continuation;
        let content = if is_continuation { head.length } else { head.content_length(peek) };
        self.block_has_fields |= content > 0;
        if is_continuation && self.continuations > FREE_CONTINUATIONS {
            self.charge(Glitch::Headers, WHOLE);
        }
        if head.ends_headers() && self.block.take().is_some() {
            if self.block_is_trailers {
                self.content_arrived(head.stream);
            }
            if !self.block_has_fields {
                self.charge(Glitch::Headers, WHOLE);
            }
        }
    }

    fn settings_ack_received(&mut self) {
        if self.settings_acknowledged == self.settings_taken {
            return self.charge(Glitch::Settings, WHOLE);
        }
        if self.settings_acknowledged == 0 {
            self.acknowledged_at = self.highest_stream;
        }
        self.settings_acknowledged += 1;
    }

    /// A PING is free after an answer's frame: clients measure the bandwidth of what we send with one (gRPC does).
    fn ping_received(&mut self, head: Head) {
        if head.is_ack() && self.pings_taken > 0 {
            self.pings_taken -= 1;
        } else if !mem::take(&mut self.answered_since_ping) {
            self.charge(Glitch::Ping, WHOLE);
        }
    }

    fn finishes_an_answer(&mut self, stream: u32, increment: usize) -> bool {
        let finishes = |stream: &Stream| stream.tail > 0 && stream.tail <= increment;
        match stream {
            0 => self.streams.iter().any(finishes),
            _ => self.stream(stream).is_some_and(|stream| finishes(stream)),
        }
    }

    /// A piece of ours that the stream below took.
    pub(super) fn sent(&mut self, piece: &Piece) {
        if piece.head.kind == Kind::Data {
            self.data_taken += piece.octets as u64;
            // A stream that ends here is forgotten at once.
            if !(piece.ends && piece.head.ends_stream())
                && let Some(stream) = self.stream(piece.head.stream)
            {
                stream.data_taken += piece.octets as u64;
            }
        }
        if piece.ends {
            self.frame_sent(piece.head, &piece.peek);
        }
    }

    fn frame_sent(&mut self, head: Head, peek: &[u8; 8]) {
        match head.kind {
            Kind::Data => {
                self.answered_since_ping = true;
                if head.ends_stream() {
                    self.end_sent(head.stream);
                }
            }
            Kind::Headers | Kind::Continuation => {
                self.answered_since_ping = true;
                if head.kind == Kind::Headers {
                    self.head_being_taken = Some((head.stream, head.ends_stream()));
                }
                if head.ends_headers()
                    && let Some((stream, end)) = self.head_being_taken.take()
                {
                    self.header_section_sent(stream, end);
                }
            }
            Kind::Reset => {
                let code = number(peek, 0).into();
                // The peer could not know better: RFC 9113 §5.1.2 makes refusal the normal answer then.
                let unaware = self.settings_acknowledged == 0 || head.stream <= self.acknowledged_at;
                if code != h2::Reason::REFUSED_STREAM || !unaware {
                    self.charge(Glitch::ResetSent, self.reset_cost(head.stream));
                }
                let open = self.position(head.stream).is_ok();
                self.close(head.stream);
                self.events.push(Event::ResetTaken { stream: head.stream, code, open });
            }
            Kind::WindowUpdate if head.stream == 0 => self.window_given += u64::from(number(peek, 0)),
            Kind::Settings if !head.is_ack() => self.settings_taken += 1,
            Kind::Ping if !head.is_ack() => self.pings_taken += 1,
            _ => {}
        }
    }

    fn header_section_sent(&mut self, id: u32, end: bool) {
        let is_trailers = match self.stream(id) {
            Some(stream) if stream.informational > 0 && !end => {
                stream.informational -= 1;
                return;
            }
            Some(stream) => mem::replace(&mut stream.answered, true),
            None => false,
        };
        if is_trailers {
            if end {
                self.end_sent(id);
            }
            return;
        }
        self.events.push(Event::HeadTaken { stream: id, end });
        if end {
            self.close(id);
        }
    }

    fn end_sent(&mut self, stream: u32) {
        self.close(stream);
        self.events.push(Event::EndTaken { stream });
    }

    fn charge(&mut self, glitch: Glitch, quarters: u32) {
        self.budget.charge(glitch, quarters);
        if self.budget.exhausted() && self.withheld.is_none() {
            let spent = if self.budget.mostly_resets() { Withheld::Resets } else { Withheld::Glitches };
            self.withheld = Some(spent);
        }
    }

    /// A whole charge before our answer began. A stream that is closed was answered, or its reset was paid for.
    fn reset_cost(&self, stream: u32) -> u32 {
        let answered = match self.position(stream) {
            Ok(index) => self.streams[index].answered,
            Err(_) => stream <= self.highest_stream,
        };
        if answered { QUARTER } else { WHOLE }
    }

    fn open(&mut self, id: u32) {
        // Otherwise trailers, or HEADERS on a closed stream.
        if id > self.highest_stream {
            self.highest_stream = id;
            if self.streams.len() < self.limits.concurrent_streams.saturating_add(STREAM_SLACK) {
                self.streams.push_back(Stream {
                    id,
                    informational: 0,
                    answered: false,
                    unread: false,
                    tail: 0,
                    data_taken: 0,
                    malformed: false,
                });
            }
        }
    }

    fn close(&mut self, stream: u32) {
        if let Ok(index) = self.position(stream) {
            self.streams.remove(index);
            if self.streams.is_empty() && self.streams.capacity() > KEPT_STREAMS {
                self.streams.shrink_to(KEPT_STREAMS);
            }
        }
    }

    pub(super) fn stream(&mut self, id: u32) -> Option<&mut Stream> {
        let index = self.position(id).ok()?;
        self.streams.get_mut(index)
    }

    fn position(&self, id: u32) -> Result<usize, usize> {
        // Answers of a burst go out, and end, in order.
        if self.streams.front().is_some_and(|first| first.id == id) {
            return Ok(0);
        }
        self.streams.binary_search_by_key(&id, |stream| stream.id)
    }
}
