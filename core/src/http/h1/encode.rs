//! HTTP/1.1 responses as octets: status line, the program's field lines, our framing, chunks. When to send
//! what is the driver's decision; that nothing here can split a response is `FieldLines`'s promise.
//!
//! A head is written in two steps, because whether the connection lives on is known only at the last
//! moment. The status line says HTTP/1.1 also to a 1.0 peer (RFC 9110 §6.2); no Server field tells what we
//! are.

use std::time::Duration;

use ::http::StatusCode;

use crate::http::date;
use crate::http::fields::FieldLines;
use crate::http::head::Version;

/// How a response tells its end (RFC 9112 §6.3), and whether content follows at all.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ResponseFraming {
    /// No content, and no field about it: 1xx, 204, 304.
    Empty,
    /// No content, in answer to HEAD; the length is that of the content left out, if known.
    HeadOnly(Option<u64>),
    /// Exactly so many octets.
    Length(u64),
    /// Chunks.
    Chunked,
    /// Until we close: HTTP/1.0 has no chunks.
    UntilClose,
}

impl ResponseFraming {
    /// The framing of an answer whose content length the program announced, or did not.
    pub(crate) fn new(version: Version, to_head: bool, status: StatusCode, length: Option<u64>) -> Self {
        match (status.as_u16(), length) {
            // RFC 9110 §8.6: neither field in 1xx and 204; a 304 would describe content that it does not
            // have.
            (100..=199 | 204 | 304, _) => Self::Empty,
            (_, length) if to_head => Self::HeadOnly(length),
            (_, Some(length)) => Self::Length(length),
            (_, None) if version == Version::Http10 => Self::UntilClose,
            (_, None) => Self::Chunked,
        }
    }

    /// Whether the program's content goes out; otherwise it is dropped.
    pub(crate) fn sends_content(self) -> bool {
        !matches!(self, Self::Empty | Self::HeadOnly(_))
    }
}

/// What the Connection field says (RFC 9112 §9.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Persistence {
    /// No field: HTTP/1.1 lives on by default.
    Implied,
    /// `keep-alive`, which an HTTP/1.0 peer has to be told.
    KeepAlive,
    /// `close`.
    Close,
}

impl Persistence {
    pub(crate) fn of(persists: bool, version: Version) -> Self {
        match (persists, version) {
            (false, _) => Self::Close,
            (true, Version::Http10) => Self::KeepAlive,
            (true, _) => Self::Implied,
        }
    }
}

/// Writes the status line and the program's fields.
pub(crate) fn begin_head(out: &mut Vec<u8>, status: StatusCode, fields: &FieldLines) {
    out.reserve(HEAD_OVERHEAD + fields.wire().len());
    let reason = status.canonical_reason().unwrap_or_default();
    for piece in [b"HTTP/1.1 ", status.as_str().as_bytes(), b" ", reason.as_bytes(), b"\r\n", fields.wire()] {
        out.extend_from_slice(piece);
    }
}

/// Writes our own fields and the empty line. No date if the program gave one.
pub(crate) fn finish_head(
    out: &mut Vec<u8>,
    framing: ResponseFraming,
    persistence: Persistence,
    date: Option<&[u8; date::LEN]>,
) {
    match framing {
        ResponseFraming::Length(length) | ResponseFraming::HeadOnly(Some(length)) => {
            out.extend_from_slice(b"content-length: ");
            decimal(out, length);
            out.extend_from_slice(b"\r\n");
        }
        ResponseFraming::Chunked => out.extend_from_slice(b"transfer-encoding: chunked\r\n"),
        ResponseFraming::Empty | ResponseFraming::HeadOnly(None) | ResponseFraming::UntilClose => {}
    }
    out.extend_from_slice(match persistence {
        Persistence::Implied => b"",
        Persistence::KeepAlive => b"connection: keep-alive\r\n",
        Persistence::Close => b"connection: close\r\n",
    });
    if let Some(date) = date {
        out.extend_from_slice(b"date: ");
        out.extend_from_slice(date);
        out.extend_from_slice(b"\r\n");
    }
    out.extend_from_slice(b"\r\n");
}

/// Room for a status line and all of our own fields, so that a head grows its buffer at most once.
const HEAD_OVERHEAD: usize = 192;

/// Asks for the content of a request that expects to be asked (RFC 9110 §15.2.1).
pub(crate) const CONTINUE: &[u8] = b"HTTP/1.1 100 Continue\r\n\r\n";

/// Writes a whole informational response, such as 103; not to be sent to an HTTP/1.0 peer (RFC 9110 §15.2).
pub(crate) fn informational(out: &mut Vec<u8>, status: StatusCode, fields: &FieldLines) {
    begin_head(out, status, fields);
    out.extend_from_slice(b"\r\n");
}

/// Writes one chunk. An empty one is left out: it would end the content.
pub(crate) fn chunk(out: &mut Vec<u8>, content: &[u8]) {
    if content.is_empty() {
        return;
    }
    out.reserve(content.len() + CHUNK_OVERHEAD);
    begin_chunk(out, content.len());
    out.extend_from_slice(content);
    out.extend_from_slice(CHUNK_END);
}

/// Writes the line in front of a chunk's content. `len` is not 0.
fn begin_chunk(out: &mut Vec<u8>, len: usize) {
    let digits = (len.max(1).ilog2() / 4 + 1) as usize;
    for shift in (0..digits).rev() {
        out.push(b"0123456789abcdef"[len >> (4 * shift) & 0xf]);
    }
    out.extend_from_slice(b"\r\n");
}

/// What stands behind a chunk's content.
const CHUNK_END: &[u8] = b"\r\n";

/// Most octets around a chunk's content: sixteen digits and two CRLFs.
const CHUNK_OVERHEAD: usize = 20;

/// Ends chunked content, with trailers or none.
pub(crate) fn last_chunk(out: &mut Vec<u8>, trailers: Option<&FieldLines>) {
    out.extend_from_slice(b"0\r\n");
    out.extend_from_slice(trailers.map_or(&[], FieldLines::wire));
    out.extend_from_slice(b"\r\n");
}

/// An answer that the library gives by itself: a refusal, a limit, a failed handler.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Canned {
    pub(crate) status: StatusCode,
    /// The request is known to be HEAD, so that content would be read as the next answer.
    pub(crate) to_head: bool,
    pub(crate) persistence: Persistence,
    /// Seconds after which a 503 may be tried again.
    pub(crate) retry_after: Option<u32>,
    /// `hsts_max_age`; over TLS only (RFC 6797 §7.2).
    pub(crate) hsts: Option<Duration>,
}

/// Writes a whole answer whose content is the status in words.
pub(crate) fn canned(out: &mut Vec<u8>, answer: &Canned, date: &[u8; date::LEN]) {
    let status = answer.status;
    let reason = status.canonical_reason().unwrap_or_default();
    let len = status.as_str().len() + 1 + reason.len() + 1;
    // A version that has chunks never gets the close-delimited answer, and the length is known anyway.
    let framing = ResponseFraming::new(Version::Http11, answer.to_head, status, Some(len as u64));
    begin_head(out, status, &FieldLines::new(crate::http::fields::Section::Header));
    if framing != ResponseFraming::Empty {
        out.extend_from_slice(b"content-type: text/plain\r\n");
    }
    if let Some(seconds) = answer.retry_after {
        out.extend_from_slice(b"retry-after: ");
        decimal(out, seconds.into());
        out.extend_from_slice(b"\r\n");
    }
    if let Some(age) = answer.hsts {
        out.extend_from_slice(b"strict-transport-security: max-age=");
        decimal(out, age.as_secs());
        out.extend_from_slice(b"\r\n");
    }
    finish_head(out, framing, answer.persistence, Some(date));
    if framing.sends_content() {
        for piece in [status.as_str(), " ", reason, "\n"] {
            out.extend_from_slice(piece.as_bytes());
        }
    }
}

/// Writes a number without going through the formatting machinery: it stands in every answer.
fn decimal(out: &mut Vec<u8>, mut number: u64) {
    let mut digits = [0; 20]; // of u64::MAX
    let mut at = digits.len();
    loop {
        at -= 1;
        digits[at] = b'0' + (number % 10) as u8;
        number /= 10;
        if number == 0 {
            break;
        }
    }
    out.extend_from_slice(&digits[at..]);
}

#[cfg(test)]
mod tests {
    use ::http::StatusCode;

    use super::{
        CHUNK_OVERHEAD, Canned, Persistence, ResponseFraming, begin_chunk, begin_head, canned, chunk,
        decimal, finish_head, informational, last_chunk,
    };
    use crate::http::fields::{FieldLines, Section};
    use crate::http::head::Version;

    const DATE: &[u8; 29] = b"Sun, 06 Nov 1994 08:49:37 GMT";

    fn fields(lines: &[(&str, &str)]) -> FieldLines {
        let lines = lines.iter().map(|(name, value)| (name.as_bytes(), value.as_bytes()));
        FieldLines::collect(Section::Header, lines).expect("valid fields")
    }

    fn written(write: impl FnOnce(&mut Vec<u8>)) -> String {
        let mut out = Vec::new();
        write(&mut out);
        String::from_utf8(out).expect("text")
    }

    #[test]
    fn a_head_has_the_fields_of_the_program_and_then_ours() {
        let head = written(|out| {
            begin_head(out, StatusCode::OK, &fields(&[("Content-Type", "text/plain"), ("x", "")]));
            finish_head(out, ResponseFraming::Length(13), Persistence::Implied, Some(DATE));
        });
        assert_eq!(
            head,
            "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nx: \r\ncontent-length: 13\r\n\
             date: Sun, 06 Nov 1994 08:49:37 GMT\r\n\r\n"
        );
    }

    #[test]
    fn a_status_without_a_phrase_keeps_its_space() {
        let status = StatusCode::from_u16(299).expect("a status");
        let line = written(|out| begin_head(out, status, &fields(&[])));
        assert_eq!(line, "HTTP/1.1 299 \r\n"); // RFC 9112 §4
    }

    #[test]
    fn framing_and_persistence_are_written_as_decided() {
        for (framing, persistence, text) in [
            (ResponseFraming::Empty, Persistence::Implied, "\r\n"),
            (ResponseFraming::HeadOnly(None), Persistence::Close, "connection: close\r\n\r\n"),
            (ResponseFraming::HeadOnly(Some(7)), Persistence::Implied, "content-length: 7\r\n\r\n"),
            (
                ResponseFraming::Length(0),
                Persistence::KeepAlive,
                "content-length: 0\r\nconnection: keep-alive\r\n\r\n",
            ),
            (ResponseFraming::Chunked, Persistence::Implied, "transfer-encoding: chunked\r\n\r\n"),
            (ResponseFraming::UntilClose, Persistence::Close, "connection: close\r\n\r\n"),
        ] {
            assert_eq!(written(|out| finish_head(out, framing, persistence, None)), text, "{framing:?}");
        }
    }

    #[test]
    fn the_framing_follows_request_and_status() {
        use ResponseFraming::{Chunked, Empty, HeadOnly, Length, UntilClose};
        use Version::{Http10, Http11};
        for (version, to_head, status, length, framing, content) in [
            (Http11, false, 200, Some(5), Length(5), true),
            (Http11, false, 200, None, Chunked, true),
            (Http10, false, 200, None, UntilClose, true),
            (Http10, false, 200, Some(5), Length(5), true),
            (Http11, true, 200, Some(5), HeadOnly(Some(5)), false), // RFC 9110 §9.3.2
            (Http11, true, 404, None, HeadOnly(None), false),
            (Http10, true, 200, None, HeadOnly(None), false),
            (Http11, false, 204, Some(5), Empty, false), // RFC 9110 §8.6
            (Http11, false, 304, Some(5), Empty, false), // RFC 9110 §15.4.5
            (Http11, true, 304, None, Empty, false),
            (Http11, false, 103, None, Empty, false), // RFC 9110 §15.2
            (Http11, false, 205, None, Chunked, true),
        ] {
            let status = StatusCode::from_u16(status).expect("a status");
            let decided = ResponseFraming::new(version, to_head, status, length);
            assert_eq!(
                (decided, decided.sends_content()),
                (framing, content),
                "{version:?} {to_head} {status}"
            );
        }
    }

    #[test]
    fn an_informational_response_has_no_field_of_ours() {
        let text = written(|out| informational(out, StatusCode::EARLY_HINTS, &fields(&[("link", "</a>")])));
        assert_eq!(text, "HTTP/1.1 103 Early Hints\r\nlink: </a>\r\n\r\n");
    }

    #[test]
    fn chunks_are_read_back_by_our_own_decoder() {
        use crate::http::h1::chunked::{Chunked, Decoded};
        let limits = crate::http::head::HeadLimits {
            max_header_bytes: 100,
            max_header_fields: 10,
            max_cookie_fields: 0,
            max_target_bytes: 0,
        };
        let trailers =
            FieldLines::collect(Section::Trailer, [(&b"X-Sum"[..], &b"1"[..])]).expect("a trailer");
        for len in [1, 9, 10, 15, 16, 17, 255, 256, 4095, 4096, 65536] {
            let content = vec![b'x'; len];
            let mut out = Vec::new();
            chunk(&mut out, &content);
            assert!(out.starts_with(format!("{len:x}\r\n").as_bytes()));
            assert!(out.len() - len <= CHUNK_OVERHEAD);
            chunk(&mut out, b"");
            last_chunk(&mut out, Some(&trailers));
            let mut decoder = Chunked::new(&limits);
            let mut input = &out[..];
            assert_eq!(decoder.decode(&mut input), Ok(Decoded::Content(&content)));
            assert_eq!(decoder.decode(&mut input), Ok(Decoded::End));
            assert_eq!(decoder.into_trailers().block(), b"x-sum\x001\0");
        }
    }

    #[test]
    fn a_chunk_line_is_hexadecimal_up_to_the_largest_size() {
        assert_eq!(written(|out| begin_chunk(out, usize::MAX)), format!("{:x}\r\n", usize::MAX));
        assert_eq!(written(|out| last_chunk(out, None)), "0\r\n\r\n");
    }

    #[test]
    fn a_canned_answer_names_its_status() {
        let answer = Canned {
            status: StatusCode::SERVICE_UNAVAILABLE,
            to_head: false,
            persistence: Persistence::Close,
            retry_after: Some(1),
            hsts: None,
        };
        assert_eq!(
            written(|out| canned(out, &answer, DATE)),
            "HTTP/1.1 503 Service Unavailable\r\ncontent-type: text/plain\r\nretry-after: 1\r\ncontent-length: 24\r\n\
             connection: close\r\ndate: Sun, 06 Nov 1994 08:49:37 GMT\r\n\r\n503 Service Unavailable\n"
        );
        let to_head =
            Canned { to_head: true, persistence: Persistence::Implied, retry_after: None, ..answer };
        let text = written(|out| canned(out, &to_head, DATE));
        assert!(text.contains("content-length: 24\r\n") && text.ends_with("\r\n\r\n"), "{text}");
    }

    #[test]
    fn numbers_are_decimal() {
        for number in [0, 1, 9, 10, 99, 100, 12_345, u64::MAX] {
            assert_eq!(written(|out| decimal(out, number)), number.to_string());
        }
    }
}
