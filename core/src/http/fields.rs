//! Field lines that the program sends: validated once, where the program hands them over, and kept as the
//! octets that HTTP/1 puts on the wire. Fields that a peer sends are `policy.rs` and `trailers.rs`.

use std::fmt;

use ::http::{HeaderMap, HeaderName, HeaderValue};
use smallvec::SmallVec;

use crate::http::octets;
use crate::http::policy::trim;
use crate::http::trailers;

/// Validated field lines of one response section. That they are valid is the type's promise: no encoder
/// checks again.
#[derive(Clone, Debug)]
pub(crate) struct FieldLines {
    section: Section,
    /// `name ": " value CRLF`, names in the program's own case. The few of most answers lie in place: memory that one thread takes
    /// and another gives back costs the allocator's slow path on both sides.
    wire: SmallVec<[u8; IN_PLACE]>,
    count: usize,
    has_date: bool,
}

/// Octets of field lines that need no allocation.
const IN_PLACE: usize = 96;

/// Where field lines stand, which decides what is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Section {
    /// In front of the content, or in an informational response.
    Header,
    /// Behind the content.
    Trailer,
}

impl FieldLines {
    /// No lines yet. Allocates nothing.
    pub(crate) fn new(section: Section) -> Self {
        Self { section, wire: SmallVec::new(), count: 0, has_date: false }
    }

    /// Validates a whole section.
    pub(crate) fn collect<'a>(
        section: Section,
        fields: impl IntoIterator<Item = (&'a [u8], &'a [u8])>,
    ) -> Result<Self, InvalidField> {
        let mut lines = Self::new(section);
        fields.into_iter().try_for_each(|(name, value)| lines.push(name, value))?;
        Ok(lines)
    }

    /// Validates one line and appends it; on error nothing changes. Whitespace around the value is dropped,
    /// as every HTTP/1 recipient does and HTTP/2 demands (RFC 9113 §8.2.1).
    pub(crate) fn push(&mut self, name: &[u8], value: &[u8]) -> Result<(), InvalidField> {
        let fault = |fault| Err(InvalidField::new(name, fault));
        if name.len() > MAX_NAME_BYTES || !octets::is_token(name) {
            return fault(Fault::Name);
        }
        if !octets::all(octets::VALUE, value) {
            return fault(Fault::Value);
        }
        if OWNED.iter().any(|owned| name.eq_ignore_ascii_case(owned)) {
            return fault(Fault::Owned);
        }
        if self.section == Section::Trailer && trailers::is_forbidden(name) {
            return fault(Fault::Trailer);
        }
        if self.count == MAX_LINES {
            return fault(Fault::TooMany);
        }
        let value = trim(value);
        let pieces = [name, b": ", value, b"\r\n"];
        let octets = name.len() + value.len() + 4;
        if octets <= IN_PLACE {
            // Put together first: each step of a growing vector costs as much as the copy of a short piece.
            let mut line = [0; IN_PLACE];
            let mut rest = &mut line[..];
            for piece in pieces {
                let (place, behind) = rest.split_at_mut(piece.len());
                place.copy_from_slice(piece);
                rest = behind;
            }
            self.wire.extend_from_slice(&line[..octets]);
        } else {
            self.wire.reserve(octets);
            for piece in pieces {
                self.wire.extend_from_slice(piece);
            }
        }
        self.count += 1;
        self.has_date |= name.eq_ignore_ascii_case(b"date");
        Ok(())
    }

    /// The lines as HTTP/1 sends them, without the empty line behind them.
    pub(crate) fn wire(&self) -> &[u8] {
        &self.wire
    }

    /// Whether the program gave a Date of its own.
    pub(crate) fn has_date(&self) -> bool {
        self.has_date
    }

    /// Names, in the program's case, and values.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (&[u8], &[u8])> {
        let mut rest = &self.wire[..];
        std::iter::from_fn(move || {
            // A token holds no colon and a value no CR, so that the first of each ends them.
            let colon = memchr::memchr(b':', rest)?;
            let cr = memchr::memchr(b'\r', rest)?;
            let line = (&rest[..colon], &rest[colon + 2..cr]);
            rest = &rest[cr + 2..];
            Some(line)
        })
    }

    /// The lines as HTTP/2 sends them, without fields that RFC 9113 §8.2.2 forbids there.
    pub(crate) fn to_header_map(&self) -> HeaderMap {
        // Date and content-length come on top.
        let mut map = HeaderMap::with_capacity(self.count + 2);
        for (name, value) in self.iter() {
            if name.eq_ignore_ascii_case(b"te") || name.eq_ignore_ascii_case(b"proxy-connection") {
                continue;
            }
            // Names and values that passed `push` are valid for http too, and their count fits its map.
            if let (Ok(name), Ok(value)) = (HeaderName::from_bytes(name), HeaderValue::from_bytes(value)) {
                map.append(name, value);
            }
        }
        map
    }
}

/// A field line that cannot be sent as the program wants it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct InvalidField {
    name: String,
    fault: Fault,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fault {
    Name,
    Value,
    Owned,
    Trailer,
    TooMany,
}

impl InvalidField {
    fn new(name: &[u8], fault: Fault) -> Self {
        // As much of the name as an error line bears, with what made it invalid visible.
        Self { name: name[..name.len().min(64)].escape_ascii().to_string(), fault }
    }
}

impl fmt::Display for InvalidField {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = &self.name;
        match self.fault {
            Fault::Name => write!(f, "field name \"{name}\" is not a token"),
            Fault::Value => write!(f, "the value of field \"{name}\" holds a control character"),
            Fault::Owned => write!(f, "field \"{name}\" belongs to the library, which frames the response"),
            Fault::Trailer => write!(f, "field \"{name}\" must not be a trailer field"),
            Fault::TooMany => write!(f, "field \"{name}\" is one more than {MAX_LINES} field lines"),
        }
    }
}

impl std::error::Error for InvalidField {}

/// Framing and connection fields: a program that sets them could make us send two messages for one.
const OWNED: [&[u8]; 5] = [b"connection", b"transfer-encoding", b"content-length", b"keep-alive", b"upgrade"];

/// The longest name that `http::HeaderName` takes.
const MAX_NAME_BYTES: usize = u16::MAX as usize;

/// `http::HeaderMap` panics beyond 24,576 entries; nobody sends a tenth of that.
const MAX_LINES: usize = 2048;

#[cfg(test)]
mod tests {
    use super::{FieldLines, MAX_LINES, Section};

    fn one(section: Section, name: &[u8], value: &[u8]) -> Result<FieldLines, String> {
        FieldLines::collect(section, [(name, value)]).map_err(|error| error.to_string())
    }

    #[test]
    fn lines_are_kept_as_given_and_walked_as_pairs() {
        let lines = FieldLines::collect(
            Section::Header,
            [
                (&b"X-A"[..], &b" b: c \t"[..]),
                (b"empty", b""),
                (b"DATE", b"now"),
                (b"set-cookie", b"\xff\t;"),
            ],
        )
        .expect("valid");
        assert_eq!(lines.wire(), b"X-A: b: c\r\nempty: \r\nDATE: now\r\nset-cookie: \xff\t;\r\n");
        assert!(lines.has_date());
        let pairs: Vec<_> = lines.iter().collect();
        assert_eq!(pairs[0], (&b"X-A"[..], &b"b: c"[..]));
        assert_eq!(pairs[1], (&b"empty"[..], &b""[..]));
        assert_eq!(pairs.len(), 4);
    }

    #[test]
    fn a_header_map_has_every_line_that_http2_allows() {
        let lines = FieldLines::collect(
            Section::Header,
            [(&b"A"[..], &b"1"[..]), (b"a", b"2"), (b"TE", b"x"), (b"Proxy-Connection", b"close")],
        )
        .expect("valid");
        let map = lines.to_header_map();
        assert_eq!(map.get_all("a").iter().collect::<Vec<_>>(), ["1", "2"]);
        assert_eq!(map.len(), 2);
        assert!(FieldLines::new(Section::Header).to_header_map().is_empty());
    }

    #[test]
    fn names_are_tokens() {
        for bad in [&b""[..], b"a b", b"a:", b" a", b"a\r\nb", b"a\0", b"\xc3\xa9", b"(a)", b"a\n"] {
            let refused = one(Section::Header, bad, b"x");
            assert!(refused.is_err_and(|text| text.ends_with("is not a token"))); // RFC 9110 §5.6.2
        }
        assert!(one(Section::Header, &[b'a'; 65536], b"x").is_err());
        assert!(one(Section::Header, &[b'a'; 65535], b"x").is_ok());
    }

    #[test]
    fn values_hold_no_control_but_htab() {
        for octet in 0..=255_u8 {
            let valid = one(Section::Header, b"x", &[b'a', octet, b'b']).is_ok();
            let control = octet < b' ' && octet != b'\t' || octet == 0x7f;
            assert_eq!(valid, !control, "{octet:#x}"); // RFC 9110 §5.5
        }
        assert!(one(Section::Header, b"x", b"a\r\nset-cookie: b").is_err()); // response splitting
    }

    #[test]
    fn framing_belongs_to_the_library() {
        for name in ["Connection", "transfer-encoding", "CONTENT-LENGTH", "keep-alive", "upgrade"] {
            for section in [Section::Header, Section::Trailer] {
                assert!(
                    one(section, name.as_bytes(), b"x")
                        .is_err_and(|text| text.contains("belongs to the library"))
                );
            }
        }
        for name in ["trailer", "te", "server", "date", "x_y"] {
            assert!(one(Section::Header, name.as_bytes(), b"x").is_ok(), "{name}");
        }
    }

    #[test]
    fn a_trailer_section_takes_only_trailer_fields() {
        assert!(one(Section::Trailer, b"x-sum", b"1").is_ok());
        let refused = one(Section::Trailer, b"Set-Cookie", b"1");
        assert!(refused.is_err_and(|text| text.contains("trailer"))); // RFC 9110 §6.5.1
    }

    #[test]
    fn lines_are_bounded_and_an_invalid_one_changes_nothing() {
        let mut lines = FieldLines::new(Section::Header);
        for _ in 0..MAX_LINES {
            lines.push(b"a", b"b").expect("within the bound");
        }
        let before = lines.wire().len();
        assert!(lines.push(b"a", b"b").is_err());
        assert_eq!(lines.wire().len(), before);
        assert_eq!(lines.to_header_map().len(), MAX_LINES);
    }
}
