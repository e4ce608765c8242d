//! Finds frame heads in a stream of octets cut anywhere (RFC 9113 §4.1). Payload is skipped; only the first octets of
//! the frames that need it are kept. Nothing is validated: what h2 refuses, h2 refuses.

/// Octets of a frame head.
const HEAD: usize = 9;

/// GOAWAY's error code ends at its eighth payload octet: no frame is looked into further.
const PEEK: usize = 8;

/// The `type` of a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Data,
    Headers,
    Priority,
    Reset,
    Settings,
    PushPromise,
    Ping,
    GoAway,
    WindowUpdate,
    Continuation,
    Unknown,
}

impl Kind {
    fn from_octet(octet: u8) -> Self {
        match octet {
            0 => Self::Data,
            1 => Self::Headers,
            2 => Self::Priority,
            3 => Self::Reset,
            4 => Self::Settings,
            5 => Self::PushPromise,
            6 => Self::Ping,
            7 => Self::GoAway,
            8 => Self::WindowUpdate,
            9 => Self::Continuation,
            _ => Self::Unknown,
        }
    }
}

/// A frame head.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Head {
    pub(super) kind: Kind,
    flags: u8,
    pub(super) stream: u32,
    pub(super) length: usize,
}

impl Head {
    fn parse(octets: &[u8; HEAD]) -> Self {
        let [l0, l1, l2, kind, flags, s0, s1, s2, s3] = *octets;
        Self {
            kind: Kind::from_octet(kind),
            flags,
            // The highest bit is reserved and ignored.
            stream: u32::from_be_bytes([s0 & 0x7f, s1, s2, s3]),
            length: u32::from_be_bytes([0, l0, l1, l2]) as usize,
        }
    }

    /// ACK, of SETTINGS and PING.
    pub(super) fn is_ack(&self) -> bool {
        self.flags & 0x1 != 0
    }

    /// END_STREAM, of DATA and HEADERS.
    pub(super) fn ends_stream(&self) -> bool {
        self.flags & 0x1 != 0
    }

    /// END_HEADERS, of HEADERS and CONTINUATION.
    pub(super) fn ends_headers(&self) -> bool {
        self.flags & 0x4 != 0
    }

    /// Octets before the content, or the header block.
    pub(super) fn content_start(&self) -> usize {
        match self.kind {
            Kind::Headers => usize::from(self.flags & 0x8 != 0) + if self.flags & 0x20 != 0 { 5 } else { 0 },
            Kind::Data => usize::from(self.flags & 0x8 != 0),
            _ => 0,
        }
    }

    /// Octets of content, or of the header block, in DATA or HEADERS: the payload without padding and priority.
    pub(super) fn content_length(&self, peek: &[u8; PEEK]) -> usize {
        let padding = if self.flags & 0x8 != 0 { 1 + usize::from(peek[0]) } else { 0 };
        let priority = if self.kind == Kind::Headers && self.flags & 0x20 != 0 { 5 } else { 0 };
        self.length.saturating_sub(padding + priority)
    }
}

/// As much of one frame as lay in one piece. A small frame is one piece, head and all: a small request takes three steps
/// and about 600 instructions here; with a step each for head, payload and end it took 1,100.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Piece {
    /// The frame's head.
    pub(super) head: Head,
    /// Whether the head was completed by this piece.
    pub(super) begins: bool,
    /// How many payload octets this piece brought.
    pub(super) octets: usize,
    /// Whether it brought the last one.
    pub(super) ends: bool,
    /// The frame's first payload octets: zeros from where they have not arrived, or do not exist.
    pub(super) peek: [u8; PEEK],
}

/// Where one direction of a connection is between two frame heads.
#[derive(Debug, Default)]
pub(super) struct Walker {
    head: [u8; HEAD],
    collected: usize,
    frame: Option<Head>,
    passed: usize,
    peek: [u8; PEEK],
}

impl Walker {
    /// Whether the next octet begins a frame.
    pub(super) fn is_between_frames(&self) -> bool {
        self.frame.is_none() && self.collected == 0
    }

    /// Takes the next piece off the front of `octets`; `None` when they are used up.
    #[inline]
    pub(super) fn step(&mut self, octets: &mut &[u8]) -> Option<Piece> {
        let (head, begins) = match self.frame {
            Some(_) if octets.is_empty() => return None,
            Some(head) => (head, false),
            None => (self.take_head(octets)?, true),
        };
        let (payload, rest) = octets.split_at(octets.len().min(head.length - self.passed));
        *octets = rest;
        if let Some(wanted) = self.peek.get_mut(self.passed..) {
            for (kept, octet) in wanted.iter_mut().zip(payload) {
                *kept = *octet;
            }
        }
        self.passed += payload.len();
        let ends = self.passed == head.length;
        self.frame = (!ends).then_some(head);
        Some(Piece { head, begins, octets: payload.len(), ends, peek: self.peek })
    }

    fn take_head(&mut self, octets: &mut &[u8]) -> Option<Head> {
        let head = match octets.split_first_chunk() {
            // Nearly every head lies in one piece: it is not copied together.
            Some((head, rest)) if self.collected == 0 => {
                *octets = rest;
                Head::parse(head)
            }
            _ => self.collect_head(octets)?,
        };
        self.passed = 0;
        self.peek = [0; PEEK];
        Some(head)
    }

    fn collect_head(&mut self, octets: &mut &[u8]) -> Option<Head> {
        let (part, rest) = octets.split_at(octets.len().min(HEAD - self.collected));
        self.head[self.collected..self.collected + part.len()].copy_from_slice(part);
        self.collected += part.len();
        *octets = rest;
        if self.collected < HEAD {
            return None;
        }
        self.collected = 0;
        Some(Head::parse(&self.head))
    }
}

/// The 32-bit number that begins at `at`: an error code, an increment.
pub(super) fn number(peek: &[u8; PEEK], at: usize) -> u32 {
    peek[at..].iter().take(4).fold(0, |number, octet| number << 8 | u32::from(*octet))
}

#[cfg(test)]
mod tests {
    use super::{Head, Kind, Walker, number};

    const OCTETS: &[u8] = &[
        0, 0, 0, 4, 0, 0, 0, 0, 0, // SETTINGS, empty
        0, 0, 4, 8, 0, 0x80, 0, 0, 3, 0, 0, 1, 2, // WINDOW_UPDATE on 3, reserved bit set
        0, 0, 12, 7, 0, 0, 0, 0, 0, 0, 0, 0, 9, 0, 0, 0, 11, b'd', b'e', b'b', b'g', // GOAWAY
        0, 0, 3, 0, 9, 0, 0, 0, 3, 1, b'x', 0, // DATA, padded by one, last
        0, 0, 1, 0xee, 0, 0, 0, 0, 0, 7, // unknown
    ];

    /// The ends of frames, and how many payload octets were seen in each, when `octets` arrive cut at `cuts`.
    fn walk(parts: &[&[u8]]) -> Vec<(Head, usize, [u8; 8])> {
        let mut walker = Walker::default();
        let (mut seen, mut payload) = (Vec::new(), 0);
        for part in parts {
            let mut rest = *part;
            while let Some(piece) = walker.step(&mut rest) {
                payload = piece.octets + if piece.begins { 0 } else { payload };
                if piece.ends {
                    seen.push((piece.head, payload, piece.peek));
                }
            }
            assert!(rest.is_empty());
        }
        assert!(walker.is_between_frames());
        seen
    }

    #[test]
    fn heads_and_first_octets_are_found() {
        let seen = walk(&[OCTETS]);
        let kinds: Vec<_> = seen.iter().map(|(head, ..)| head.kind).collect();
        assert_eq!(kinds, [Kind::Settings, Kind::WindowUpdate, Kind::GoAway, Kind::Data, Kind::Unknown]);
        assert_eq!((seen[1].0.stream, number(&seen[1].2, 0)), (3, 0x102));
        assert_eq!((number(&seen[2].2, 0), number(&seen[2].2, 4)), (9, 11));
        assert!(seen[3].0.ends_stream());
        assert_eq!((seen[3].1, seen[3].0.content_length(&seen[3].2)), (3, 1));
        assert_eq!(seen[4].2, [7, 0, 0, 0, 0, 0, 0, 0]);
    }

    #[test]
    fn every_cut_in_three_shows_the_same_frames() {
        let whole = walk(&[OCTETS]);
        for first in 0..=OCTETS.len() {
            for second in first..=OCTETS.len() {
                let parts = [&OCTETS[..first], &OCTETS[first..second], &OCTETS[second..]];
                assert_eq!(walk(&parts), whole, "cut at {first} and {second}");
            }
        }
    }

    #[test]
    fn padding_longer_than_the_frame_leaves_no_content() {
        let head = Head { kind: Kind::Headers, flags: 0x28, stream: 1, length: 6 };
        assert_eq!(head.content_length(&[255, 0, 0, 0, 0, 0, 0, 0]), 0);
    }
}
