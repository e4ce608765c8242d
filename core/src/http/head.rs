//! The request head: one owned, immutable value for HTTP/1.x and HTTP/2, and what it is built with.
//!
//! Two allocations hold it: one arena with method, target, authority and the field block, one table of
//! where fields lie. The block (`name NUL value NUL ...`, names in lower case) is what the C view hands out
//! as it is. Which heads are refused is decided before one is built: `h1/parse.rs`, `head/h2.rs`.

use std::ops::Range;

use crate::http::target::Target;
use crate::reason::Reason;
use crate::settings::Settings;

mod h2;

/// The version of HTTP that a request was served as.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Version {
    /// HTTP/1.0.
    Http10,
    /// HTTP/1.1, also for later minor versions (RFC 9110 §2.5).
    Http11,
    /// HTTP/2.
    Http2,
}

/// How the end of a request's content is found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Framing {
    /// There is no content.
    None,
    /// Exactly so many octets follow; zero is possible.
    Length(u64),
    /// HTTP/1.1 chunks.
    Chunked,
    /// HTTP/2 without a content-length: until END_STREAM.
    Unknown,
}

/// The head of one request: method, target, authority and header section, as the peer sent them.
///
/// Everything is octets. Only the target is known to be UTF-8 by the parsers of today; a field value may
/// hold any octet from 0x80 up. Of repeated identical Content-Length lines one is kept; HTTP/2 cookie
/// crumbs are one field.
pub struct Head {
    arena: Vec<u8>,
    /// Start of each field's name and value in the arena, in order.
    fields: Vec<(u32, u32)>,
    method_end: u32,
    target_end: u32,
    authority: (u32, u32),
    path: (u32, u32),
    query: (u32, u32),
    block_start: u32,
    traits: Traits,
}

impl Head {
    /// The method, in the peer's spelling: methods are case-sensitive.
    pub fn method(&self) -> &[u8] {
        &self.arena[..self.method_end as usize]
    }

    /// Whether the method is HEAD, whose answer carries no content.
    pub fn is_head(&self) -> bool {
        self.method() == b"HEAD"
    }

    /// `https` on a TLS connection, else `http`.
    ///
    /// It says what carried the request, never what the peer claims in `:scheme` or in an absolute target:
    /// a program decides by it whether a cookie or a redirect is safe.
    pub fn scheme(&self) -> &[u8] {
        if self.traits.secure { b"https" } else { b"http" }
    }

    /// Host and port as in Host or `:authority`, which agree if both were sent.
    pub fn authority(&self) -> &[u8] {
        self.slice(self.authority)
    }

    /// The request target: the second word of an HTTP/1 request line, or `:path`.
    pub fn target(&self) -> &[u8] {
        self.slice((self.method_end, self.target_end))
    }

    /// The path of the target, neither decoded nor normalised; `*` for the asterisk, never empty.
    pub fn path(&self) -> &[u8] {
        match self.slice(self.path) {
            // An absolute target without a path means the root (RFC 9110 §4.2.3).
            [] => b"/",
            path => path,
        }
    }

    /// What follows the target's first `?`, not decoded; empty if there is none.
    pub fn query(&self) -> &[u8] {
        self.slice(self.query)
    }

    /// Whether the target is UTF-8 and can be read as text.
    pub fn target_is_utf8(&self) -> bool {
        std::str::from_utf8(self.target()).is_ok()
    }

    /// The version that the request is served as.
    pub fn version(&self) -> Version {
        self.traits.version
    }

    /// The header fields in order: names in lower case, values without surrounding whitespace.
    pub fn fields(&self) -> impl ExactSizeIterator<Item = (&[u8], &[u8])> {
        (0..self.fields.len()).map(|index| self.field_at(index))
    }

    /// How many header fields there are.
    pub fn field_count(&self) -> usize {
        self.fields.len()
    }

    /// The name and value of field `index`.
    pub fn field(&self, index: usize) -> Option<(&[u8], &[u8])> {
        (index < self.fields.len()).then(|| self.field_at(index))
    }

    /// The value of the `nth` field of this name, counted from 0; the name may be in any case.
    pub fn get(&self, name: &[u8], nth: usize) -> Option<&[u8]> {
        self.fields().filter(|(field, _)| field.eq_ignore_ascii_case(name)).nth(nth).map(|(_, value)| value)
    }

    /// All fields in one piece: `name NUL value NUL ...`. No name or value holds a NUL.
    pub fn header_block(&self) -> &[u8] {
        &self.arena[self.block_start as usize..]
    }

    /// The announced length of the content; on HTTP/2 the peer is held to it too.
    pub fn content_length(&self) -> Option<u64> {
        match self.traits.framing {
            Framing::Length(length) => Some(length),
            Framing::None | Framing::Chunked | Framing::Unknown => None,
        }
    }

    /// How the end of the content is found.
    pub fn framing(&self) -> Framing {
        self.traits.framing
    }

    /// Whether content may follow this head.
    pub fn has_content(&self) -> bool {
        !matches!(self.traits.framing, Framing::None | Framing::Length(0))
    }

    /// Whether the peer lets the connection live on after this exchange.
    pub fn keep_alive(&self) -> bool {
        self.traits.keep_alive
    }

    /// Whether the peer holds content back until it sees `100 Continue`.
    pub fn expects_continue(&self) -> bool {
        self.traits.expects_continue && self.has_content()
    }

    /// Whether the peer says that it keeps response trailers (`TE: trailers`, RFC 9110 §10.1.4).
    pub fn te_trailers(&self) -> bool {
        self.traits.te_trailers
    }

    /// Octets on the heap, for the memory budget.
    pub(crate) fn heap_bytes(&self) -> usize {
        self.arena.capacity() + self.fields.capacity() * size_of::<(u32, u32)>()
    }

    fn slice(&self, (start, end): (u32, u32)) -> &[u8] {
        &self.arena[start as usize..end as usize]
    }

    /// Fields lie back to back, each followed by one NUL: the next start is the end of this value.
    fn field_at(&self, index: usize) -> (&[u8], &[u8]) {
        let (name, value) = self.fields[index];
        let next = self.fields.get(index + 1).map_or(self.arena.len() as u32, |(name, _)| *name);
        (self.slice((name, value - 1)), self.slice((value, next - 1)))
    }
}

impl std::fmt::Debug for Head {
    /// Without field values: they hold credentials.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Head")
            .field("method", &String::from_utf8_lossy(self.method()))
            .field("target", &String::from_utf8_lossy(self.target()))
            .field("version", &self.traits.version)
            .field("fields", &self.fields.len())
            .finish_non_exhaustive()
    }
}

/// What is known about a request beyond its octets.
#[derive(Clone, Copy)]
pub(super) struct Traits {
    pub(super) version: Version,
    pub(super) secure: bool,
    pub(super) framing: Framing,
    pub(super) keep_alive: bool,
    pub(super) expects_continue: bool,
    pub(super) te_trailers: bool,
}

/// What stands before the fields (RFC 9110 §6.2).
pub(super) struct ControlData<'a> {
    pub(super) method: &'a [u8],
    pub(super) target: &'a [u8],
    pub(super) parts: Target,
    pub(super) authority: &'a [u8],
}

/// The emptied memory of a head, for the next one.
#[derive(Default)]
pub(crate) struct Storage {
    arena: Vec<u8>,
    fields: Vec<(u32, u32)>,
}

impl Storage {
    /// Most octets that are worth keeping: what most requests need, and little enough to lie idle.
    const KEPT: usize = 2048;

    /// What a head that nobody reads any more leaves behind; `None`: too much to keep.
    pub(crate) fn of(head: &mut Head) -> Option<Self> {
        let (mut arena, mut fields) = (std::mem::take(&mut head.arena), std::mem::take(&mut head.fields));
        arena.clear();
        fields.clear();
        (arena.capacity() + fields.capacity() * size_of::<(u32, u32)>() <= Self::KEPT)
            .then_some(Self { arena, fields })
    }
}

/// Writes a head's arena in the order in which it lies there.
pub(super) struct Builder {
    head: Head,
}

impl Builder {
    /// Uses `storage` up. `octets` and `fields` are upper bounds, so that nothing is allocated twice.
    pub(super) fn new(
        control: &ControlData<'_>,
        traits: Traits,
        storage: &mut Storage,
        octets: usize,
        fields: usize,
    ) -> Self {
        let ControlData { method, target, parts, authority } = control;
        let Storage { mut arena, fields: mut places } = std::mem::take(storage);
        arena.reserve_exact(octets);
        places.reserve_exact(fields);
        // The settings keep a head far below 4 GiB, so that offsets fit 32 bits.
        arena.extend_from_slice(method);
        let method_end = arena.len() as u32;
        arena.extend_from_slice(target);
        let target_end = arena.len() as u32;
        arena.extend_from_slice(authority);
        let block_start = arena.len() as u32;
        let part = |range: &Range<usize>| (method_end + range.start as u32, method_end + range.end as u32);
        Self {
            head: Head {
                fields: places,
                method_end,
                target_end,
                authority: (target_end, block_start),
                path: part(&parts.path),
                query: part(&parts.query),
                block_start,
                traits,
                arena,
            },
        }
    }

    /// Appends a field whose value is given in pieces. Neither name nor value may hold a NUL.
    pub(super) fn field<'a>(&mut self, name: &[u8], value: impl IntoIterator<Item = &'a [u8]>) {
        let arena = &mut self.head.arena;
        let name_start = arena.len();
        arena.extend_from_slice(name);
        arena[name_start..].make_ascii_lowercase();
        arena.push(0);
        self.head.fields.push((name_start as u32, arena.len() as u32));
        for piece in value {
            arena.extend_from_slice(piece);
        }
        arena.push(0);
    }

    pub(super) fn finish(self) -> Head {
        self.head
    }
}

/// The caps that a head is held to, from the settings of the same names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct HeadLimits {
    pub(crate) max_header_bytes: usize,
    pub(crate) max_header_fields: usize,
    /// HTTP/2 only: crumbs of a cookie, counted apart.
    pub(crate) max_cookie_fields: usize,
    pub(crate) max_target_bytes: usize,
}

impl HeadLimits {
    pub(crate) fn of(settings: &Settings) -> Self {
        Self {
            max_header_bytes: settings.max_header_bytes,
            max_header_fields: settings.max_header_fields,
            max_cookie_fields: settings.max_cookie_fields,
            max_target_bytes: settings.max_target_bytes,
        }
    }
}

/// Why a message is refused, and what the peer is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Refusal {
    /// The status to answer with; `None`: the stream is reset with PROTOCOL_ERROR (RFC 9113 §8.1.1).
    pub(crate) status: Option<u16>,
    pub(crate) reason: Reason,
}

impl Refusal {
    pub(crate) const fn answer(status: u16, reason: Reason) -> Self {
        Self { status: Some(status), reason }
    }

    /// What is a 400 on HTTP/1 is a malformed message on HTTP/2, and the stream ends.
    pub(super) fn on_stream(self) -> Self {
        match self.status {
            Some(400) => Self { status: None, ..self },
            _ => self,
        }
    }
}
