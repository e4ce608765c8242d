//! The chunked coding, read as it comes (RFC 9112 §7.1): content passes through uncopied, framing is
//! dropped, the trailer section is kept. Stricter than hyper and than the RFC's SHOULDs: no whitespace and
//! no bare CR or LF anywhere, since another end of a chunk is another request to whoever reads it so.

use httparse::{EMPTY_HEADER, Status};

use crate::http::head::{HeadLimits, Refusal};
use crate::http::octets;
use crate::http::trailers::Trailers;
use crate::reason::Reason;

/// Decodes the content of one request. Holds nothing but the trailer section.
#[derive(Clone, Debug)]
pub(crate) struct Chunked {
    state: State,
    /// Octets of the current chunk that are still to come.
    remaining: u64,
    /// Octets of the current line so far: of the chunk's, or of the trailer section's.
    line: usize,
    /// The trailer section as it came, until it is complete; nothing if it has no line.
    trailer_octets: Vec<u8>,
    trailer_len: usize,
    trailer_lines: usize,
    max_trailer_octets: usize,
    max_trailer_lines: usize,
    trailers: Trailers,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// Before the first digit of a chunk size.
    Start,
    Size,
    Extension,
    LineLf,
    Content,
    ContentCr,
    ContentLf,
    Trailer,
    TrailerLf,
    End,
}

/// What the decoder found in the octets it took.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Decoded<'a> {
    /// Content; never empty.
    Content(&'a [u8]),
    /// All octets were taken and the coding goes on.
    More,
    /// The trailer section is complete; octets that are left belong to the next message.
    End,
}

/// Most octets of a chunk that are not content: its line with extensions and CRLF, and the CRLF behind its
/// content (of the last chunk: behind the trailer section). Room for a signed chunk, none for a header
/// section in disguise.
const MAX_OVERHEAD: usize = 64;

/// A chunk line with its CRLF; two octets of the overhead are the other CRLF's.
const MAX_LINE: usize = MAX_OVERHEAD - 2;

/// Hexadecimal digits of a 64-bit size, leading zeros included.
const MAX_DIGITS: usize = 16;

/// Over a cap or not, what is malformed here is answered with one status: the content is lost in any case.
const MALFORMED: Refusal = Refusal::answer(400, Reason::BodySyntax);

impl Chunked {
    /// The trailer section is held to `max_header_bytes`, through its empty line, and `max_header_fields`.
    pub(crate) fn new(limits: &HeadLimits) -> Self {
        Self {
            state: State::Start,
            remaining: 0,
            line: 0,
            trailer_octets: Vec::new(),
            trailer_len: 0,
            trailer_lines: 0,
            max_trailer_octets: limits.max_header_bytes,
            max_trailer_lines: limits.max_header_fields,
            trailers: Trailers::default(),
        }
    }

    /// Takes octets from the front of `input` until there is something to say. After `End` it takes nothing
    /// more; after an error it is not to be asked again.
    pub(crate) fn decode<'a>(&mut self, input: &mut &'a [u8]) -> Result<Decoded<'a>, Refusal> {
        loop {
            match self.state {
                State::End => return Ok(Decoded::End),
                State::Content => {
                    let here =
                        usize::try_from(self.remaining).map_or(input.len(), |rest| rest.min(input.len()));
                    if here == 0 {
                        return Ok(Decoded::More);
                    }
                    let (content, rest) = input.split_at(here);
                    *input = rest;
                    self.remaining -= here as u64;
                    if self.remaining == 0 {
                        self.state = State::ContentCr;
                    }
                    return Ok(Decoded::Content(content));
                }
                _ => {
                    let Some((octet, rest)) = input.split_first() else {
                        return Ok(Decoded::More);
                    };
                    self.state = self.step(*octet)?;
                    *input = rest;
                }
            }
        }
    }

    /// Octets of `input` up to the end of the coding, if it ends there: for content that nobody will read.
    pub(crate) fn end_in(&self, input: &[u8]) -> Option<usize> {
        let mut ahead = self.clone();
        let mut rest = input;
        loop {
            match ahead.decode(&mut rest) {
                Ok(Decoded::Content(_)) => {}
                Ok(Decoded::End) => return Some(input.len() - rest.len()),
                Ok(Decoded::More) | Err(_) => return None,
            }
        }
    }

    /// The trailer section; complete only behind `End`.
    pub(crate) fn into_trailers(self) -> Trailers {
        self.trailers
    }

    /// Octets on the heap, for the memory budget.
    pub(crate) fn heap_bytes(&self) -> usize {
        self.trailer_octets.capacity() + self.trailers.block().len()
    }

    /// One octet of framing.
    fn step(&mut self, octet: u8) -> Result<State, Refusal> {
        match self.state {
            State::Start | State::Size | State::Extension | State::LineLf => self.chunk_line(octet),
            State::ContentCr if octet == b'\r' => Ok(State::ContentLf),
            State::ContentLf if octet == b'\n' => Ok(State::Start),
            State::Trailer | State::TrailerLf => self.trailer(octet),
            State::ContentCr | State::ContentLf | State::Content | State::End => Err(MALFORMED),
        }
    }

    /// `chunk-size [ chunk-ext ] CRLF`; extensions are read over.
    fn chunk_line(&mut self, octet: u8) -> Result<State, Refusal> {
        if self.line == MAX_LINE {
            return Err(MALFORMED);
        }
        // So far digits only, if this is a digit: a chunk line begins with its size.
        let digits = self.line;
        self.line += 1;
        match (self.state, octet) {
            (State::Start | State::Size, b'0'..=b'9' | b'a'..=b'f' | b'A'..=b'F') if digits < MAX_DIGITS => {
                let digit = (octet as char).to_digit(16).ok_or(MALFORMED)?;
                self.remaining = self.remaining << 4 | u64::from(digit);
                Ok(State::Size)
            }
            (State::Size, b';') => Ok(State::Extension),
            (State::Extension, octet) if octets::is(octets::VALUE, octet) => Ok(State::Extension),
            (State::Size | State::Extension, b'\r') => Ok(State::LineLf),
            (State::LineLf, b'\n') => {
                self.line = 0;
                Ok(if self.remaining > 0 { State::Content } else { State::Trailer })
            }
            _ => Err(MALFORMED),
        }
    }

    /// The trailer section through its empty line. It is kept as it comes and parsed once; most have no
    /// line at all, and those allocate nothing.
    fn trailer(&mut self, octet: u8) -> Result<State, Refusal> {
        if self.trailer_len == self.max_trailer_octets {
            return Err(MALFORMED);
        }
        self.trailer_len += 1;
        let next = match (self.state, octet) {
            (State::Trailer, b'\r') => State::TrailerLf,
            (State::TrailerLf, b'\n') if self.line == 0 => State::End,
            (State::TrailerLf, b'\n') => {
                self.line = 0;
                State::Trailer
            }
            (State::Trailer, octet) if octets::is(octets::VALUE, octet) => {
                self.trailer_lines += usize::from(self.line == 0);
                self.line += 1;
                State::Trailer
            }
            _ => return Err(MALFORMED),
        };
        if self.trailer_lines > self.max_trailer_lines {
            return Err(MALFORMED);
        }
        if self.trailer_lines > 0 {
            self.trailer_octets.push(octet);
            if next == State::End {
                self.trailers = self.parse_trailers()?;
                self.trailer_octets = Vec::new();
            }
        }
        Ok(next)
    }

    fn parse_trailers(&self) -> Result<Trailers, Refusal> {
        let mut trailers = Trailers::default();
        let mut slots = vec![EMPTY_HEADER; self.trailer_lines];
        match httparse::parse_headers(&self.trailer_octets, &mut slots) {
            Ok(Status::Complete((len, fields))) if len == self.trailer_octets.len() => {
                fields.iter().for_each(|field| trailers.push(field.name.as_bytes(), field.value));
                Ok(trailers)
            }
            _ => Err(MALFORMED),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Chunked, Decoded, MAX_LINE};
    use crate::http::head::{HeadLimits, Refusal};
    use crate::reason::Reason;

    const LIMITS: HeadLimits =
        HeadLimits { max_header_bytes: 64, max_header_fields: 2, max_cookie_fields: 0, max_target_bytes: 1 };

    const MALFORMED: Refusal = Refusal { status: Some(400), reason: Reason::BodySyntax };

    /// What a coding came to: its content, its trailers once complete, and how much was taken.
    #[derive(Debug, PartialEq, Eq)]
    struct Outcome {
        content: Vec<u8>,
        trailers: Option<Vec<u8>>,
        taken: usize,
    }

    /// Decodes input that comes in pieces of `size`, or in two that meet at `split`.
    fn decode<'a>(pieces: impl IntoIterator<Item = &'a [u8]>) -> Result<Outcome, Refusal> {
        let mut decoder = Chunked::new(&LIMITS);
        let mut content = Vec::new();
        let mut taken = 0;
        for piece in pieces {
            let mut input = piece;
            loop {
                match decoder.decode(&mut input)? {
                    Decoded::Content(octets) => {
                        assert!(!octets.is_empty());
                        content.extend_from_slice(octets);
                    }
                    Decoded::More => {
                        assert!(input.is_empty());
                        taken += piece.len();
                        break;
                    }
                    Decoded::End => {
                        taken += piece.len() - input.len();
                        let trailers = Some(decoder.into_trailers().block().to_vec());
                        return Ok(Outcome { content, trailers, taken });
                    }
                }
            }
        }
        Ok(Outcome { content, trailers: None, taken })
    }

    /// The outcome, which is the same however the octets arrive.
    fn outcome(input: &[u8]) -> Result<Outcome, Refusal> {
        let at_once = decode([input]);
        let text = String::from_utf8_lossy(input);
        assert_eq!(decode(input.chunks(1)), at_once, "octet by octet: {text:?}");
        for split in 0..input.len() {
            let (first, second) = input.split_at(split);
            assert_eq!(decode([first, second]), at_once, "split at {split}: {text:?}");
        }
        at_once
    }

    /// A coding that is complete, and what follows it.
    fn complete(coding: &str, content: &str, trailers: &str) {
        for behind in ["", "GET / "] {
            let trailers = Some(trailers.as_bytes().to_vec());
            let expected = Outcome { content: content.into(), trailers, taken: coding.len() };
            assert_eq!(outcome(format!("{coding}{behind}").as_bytes()), Ok(expected), "{coding:?}");
        }
    }

    #[test]
    fn content_is_what_lies_in_the_chunks() {
        complete("0\r\n\r\n", "", "");
        complete("5\r\nhello\r\n0\r\n\r\n", "hello", "");
        complete("1\r\na\r\nA\r\n0123456789\r\na\r\n0123456789\r\n000\r\n\r\n", "a01234567890123456789", "");
        complete("2\r\n\r\n\r\n0\r\n\r\n", "\r\n", "");
        complete("0000000000000001\r\na\r\n0\r\n\r\n", "a", "");
    }

    #[test]
    fn extensions_are_read_over() {
        complete("1;a\r\nx\r\n0;b=c;d=\"e f\t\u{e9}\"\r\n\r\n", "x", "");
        complete("1;\r\nx\r\n0\r\n\r\n", "x", "");
    }

    #[test]
    fn trailers_are_kept_lower_case_and_trimmed() {
        complete("0\r\nX-Sum: 1 \r\nb:\r\n\r\n", "", "x-sum\x001\0b\0\0");
    }

    #[test]
    fn forbidden_trailers_are_dropped() {
        complete("0\r\nContent-Length: 5\r\nX: y\r\n\r\n", "", "x\0y\0"); // RFC 9110 §6.5.1
        complete("0\r\nHost: b\r\nTransfer-Encoding: chunked\r\n\r\n", "", "");
    }

    #[test]
    fn a_cut_coding_is_never_complete() {
        let whole = b"5;x\r\nhello\r\n0\r\nX: y\r\n\r\n";
        for len in 0..whole.len() {
            assert!(outcome(&whole[..len]).is_ok_and(|outcome| outcome.trailers.is_none()), "{len}"); // RFC 9112 §8
        }
    }

    #[test]
    fn malformed_codings_are_refused() {
        for bad in [
            "\r\n",                        // RFC 9112 §7.1: at least one digit
            ";a\r\n",                      // RFC 9112 §7.1
            "g\r\n",                       // RFC 9112 §7.1
            "+5\r\nhello\r\n",             // sign
            "-5\r\nhello\r\n",             // sign
            "0x5\r\nhello\r\n",            // prefix
            " 5\r\nhello\r\n",             // whitespace
            "5 \r\nhello\r\n",             // whitespace
            "5\t\r\nhello\r\n",            // whitespace
            "5 ;a\r\nhello\r\n",           // whitespace
            "5_0\r\nhello\r\n",            // RFC 9112 §7.1
            "00000000000000001\r\na\r\n",  // seventeen digits
            "10000000000000000\r\na\r\n",  // overflow, RFC 9112 §7.1
            "5\nhello\r\n",                // bare LF
            "5\rhello\r\n",                // bare CR
            "5\r\rhello\r\n",              // bare CR
            "5;a\nhello\r\n",              // bare LF in an extension
            "5;a\rb\r\nhello\r\n",         // bare CR in an extension
            "5;a\0\r\nhello\r\n",          // NUL in an extension
            "5;a\u{1b}\r\nhello\r\n",      // control in an extension
            "5;a\u{7f}\r\nhello\r\n",      // DEL in an extension
            "5\r\nhello0\r\n",             // no CRLF after the content
            "5\r\nhello\n0\r\n\r\n",       // bare LF after the content
            "5\r\nhello\r0\r\n\r\n",       // bare CR after the content
            "5\r\nhelloo\r\n",             // more content than announced
            "5\r\nhell\r\n",               // less content than announced
            "0\n\r\n",                     // bare LF
            "0\r\n\n",                     // bare LF ends the trailer section
            "0\r\n\rX: y\r\n\r\n",         // bare CR in the trailer section
            "0\r\nX: y\n\r\n",             // bare LF ends a trailer
            "0\r\nX: y\rz\r\n\r\n",        // bare CR in a trailer
            "0\r\nX : y\r\n\r\n",          // RFC 9112 §5.1
            "0\r\nX: y\r\n z\r\n\r\n",     // obs-fold, RFC 9112 §5.2
            "0\r\n X: y\r\n\r\n",          // RFC 9112 §5.2
            "0\r\nX\r\n\r\n",              // RFC 9112 §5
            "0\r\n: y\r\n\r\n",            // RFC 9110 §5.1
            "0\r\nX: \0\r\n\r\n",          // RFC 9110 §5.5
            "0\r\nX: \u{1}\r\n\r\n",       // RFC 9110 §5.5
            "0\r\nGET / HTTP/1.1\r\n\r\n", // the next request, where the coding did not end
        ] {
            assert_eq!(outcome(bad.as_bytes()), Err(MALFORMED), "{bad:?}");
        }
    }

    #[test]
    fn sixty_four_octets_of_overhead_pass_and_one_more_does_not() {
        for (size, behind) in [("1", "x\r\n0\r\n\r\n"), ("0", "\r\n")] {
            let line = |len: usize| format!("{size};{}\r\n", "e".repeat(len - 4));
            let exact = format!("{}{behind}", line(MAX_LINE));
            // The line, and the two octets of the CRLF behind the content or the trailer section.
            assert_eq!(line(MAX_LINE).len() + 2, 64);
            assert!(outcome(exact.as_bytes()).is_ok_and(|outcome| outcome.trailers.is_some()));
            let over = format!("{}{behind}", line(MAX_LINE + 1));
            assert_eq!(outcome(over.as_bytes()), Err(MALFORMED));
        }
        // Each chunk has its own.
        let line = format!("1;{}\r\nx\r\n", "e".repeat(MAX_LINE - 4));
        assert!(outcome(format!("{}0\r\n\r\n", line.repeat(20)).as_bytes()).is_ok());
    }

    #[test]
    fn a_trailer_section_of_exactly_the_caps_passes_and_one_more_does_not() {
        let section = |len: usize| format!("0\r\nx: {}\r\n\r\n", "y".repeat(len - 7));
        assert!(outcome(section(64).as_bytes()).is_ok_and(|outcome| outcome.trailers.is_some()));
        assert_eq!(outcome(section(65).as_bytes()), Err(MALFORMED));
        assert!(outcome(b"0\r\na: b\r\nc: d\r\n\r\n").is_ok_and(|outcome| outcome.trailers.is_some()));
        assert_eq!(outcome(b"0\r\na: b\r\nc: d\r\ne: f\r\n\r\n"), Err(MALFORMED));
    }

    #[test]
    fn the_largest_size_is_read_and_nothing_overflows() {
        let mut decoder = Chunked::new(&LIMITS);
        let mut input = &b"FFFFFFFFFFFFFFFF\r\nabc"[..];
        assert_eq!(decoder.decode(&mut input), Ok(Decoded::Content(b"abc")));
        assert_eq!(decoder.remaining, u64::MAX - 3);
    }

    #[test]
    fn the_end_is_final_and_leaves_the_next_message_alone() {
        let mut decoder = Chunked::new(&LIMITS);
        let mut input = &b"0\r\n\r\n5\r\n"[..];
        for _ in 0..2 {
            assert_eq!(decoder.decode(&mut input), Ok(Decoded::End));
            assert_eq!(input, b"5\r\n");
        }
    }

    #[test]
    fn mutated_codings_never_panic_and_do_not_depend_on_their_pieces() {
        let seed = b"5;a=b\r\nhello\r\n1\r\nx\r\n0\r\nX-Sum: 1\r\n\r\n";
        let spice = b"\r\n\t ;:0aFg\0\x7f\xff";
        let mut state = 0x2545_f491_4f6c_dd1d_u64;
        let mut random = |bound: usize| {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            (state % bound as u64) as usize
        };
        for _ in 0..5_000 {
            let mut octets = seed.to_vec();
            for _ in 0..=random(3) {
                let at = random(octets.len());
                match random(3) {
                    0 => octets[at] = spice[random(spice.len())],
                    1 => octets.insert(at, spice[random(spice.len())]),
                    _ => drop(octets.remove(at)),
                }
            }
            let _ = outcome(&octets);
        }
    }
}
