//! Finds the end of a request head in the octets read so far, and holds it to its caps octet by octet.
//!
//! One pass over line ends that continues where it stopped: a head that drips in costs as much as one that
//! comes at once, and gets the same verdict, as soon as it is certain. What the lines say is `parse.rs`'s
//! business.

use std::ops::Range;

use memchr::{memchr, memchr2};

use crate::http::head::{HeadLimits, Refusal};
use crate::http::octets;
use crate::reason::Reason;

/// The scan of one head. Start a new one for the next head.
#[derive(Debug, Default)]
pub(crate) struct Scan {
    /// Everything before this offset has been looked at.
    seen: usize,
    /// Where the request line begins: 0, or 2 behind an empty line.
    start: usize,
    line: Line,
}

/// The line that the scan is in.
#[derive(Clone, Copy, Debug, Default)]
enum Line {
    /// Nothing but perhaps the one empty line that RFC 9112 §2.2 lets a client send first.
    #[default]
    Before,
    /// The request line, before its first space.
    Method,
    /// Behind the first space of the request line.
    Target { start: usize },
    /// Behind the second space of the request line.
    Version,
    /// A field line that begins here.
    Field { start: usize },
}

impl Scan {
    /// Where the request line begins in the head, as far as that is known.
    pub(crate) fn start(&self) -> usize {
        self.start
    }

    /// Looks at what was added to `head`, which begins where the previous message ended and must only grow
    /// between calls. Returns where the head lies once it is complete: from the request line through the
    /// empty line.
    pub(crate) fn advance(
        &mut self,
        head: &[u8],
        limits: &HeadLimits,
    ) -> Result<Option<Range<usize>>, Refusal> {
        if let Line::Before = self.line
            && !self.skip_empty_line(head)?
        {
            return Ok(None);
        }
        // Octets past the cap are not looked at, so that the order of verdicts does not depend on how they
        // arrive.
        let cap = self.start.saturating_add(limits.max_header_bytes);
        let window = &head[..head.len().min(cap)];
        if let Some(end) = self.advance_within(window, limits)? {
            return Ok(Some(self.start..end));
        }
        if window.len() < cap {
            return Ok(None);
        }
        Err(match self.line {
            Line::Field { .. } => Refusal::answer(431, Reason::HeaderBytes),
            _ => TARGET_TOO_LONG,
        })
    }

    /// Steps over one CRLF. False: too little has come to tell.
    fn skip_empty_line(&mut self, head: &[u8]) -> Result<bool, Refusal> {
        let rest = match head {
            [] | [b'\r'] | [b'\r', b'\n'] => return Ok(false),
            [b'\r', b'\n', rest @ ..] => {
                self.start = 2;
                rest
            }
            rest => rest,
        };
        match rest {
            [b'\r' | b'\n', ..] => return Err(BARE_LINE_END),
            // Refused at once and not at the header timeout: TLS or noise on a cleartext port.
            [first, ..] if !octets::is(octets::TCHAR, *first) => {
                return Err(Refusal::answer(400, Reason::HeaderSyntax));
            }
            _ => {}
        }
        self.seen = self.start;
        self.line = Line::Method;
        Ok(true)
    }

    fn advance_within(&mut self, window: &[u8], limits: &HeadLimits) -> Result<Option<usize>, Refusal> {
        while self.seen < window.len() {
            let line_end = memchr2(b'\r', b'\n', &window[self.seen..]).map(|at| self.seen + at);
            self.advance_request_line(&window[..line_end.unwrap_or(window.len())], limits)?;
            let Some(at) = line_end else {
                self.seen = window.len();
                return Ok(None);
            };
            // A bare CR or LF ends a line for some parsers and not for others, which is how requests are
            // smuggled past the one in front of us (RFC 9112 §2.2 lets us refuse both).
            match window[at..] {
                // A CR as the last octet: LF may follow.
                [b'\r'] => {
                    self.seen = at;
                    return Ok(None);
                }
                [b'\r', b'\n', ..] => {}
                _ => return Err(BARE_LINE_END),
            }
            self.seen = at + 2;
            if let Line::Field { start } = self.line
                && start == at
            {
                return Ok(Some(self.seen));
            }
            self.line = Line::Field { start: self.seen };
        }
        Ok(None)
    }

    /// Follows the request line up to where `line` ends, and holds its target to the cap before the line is
    /// complete.
    fn advance_request_line(&mut self, line: &[u8], limits: &HeadLimits) -> Result<(), Refusal> {
        let mut seen = self.seen;
        if let Line::Method = self.line
            && let Some(at) = line[seen..].iter().position(|octet| *octet == b' ')
        {
            seen += at + 1;
            self.line = Line::Target { start: seen };
        }
        if let Line::Target { start } = self.line {
            let end = memchr(b' ', &line[seen..]).map(|at| seen + at);
            if end.unwrap_or(line.len()) - start > limits.max_target_bytes {
                return Err(TARGET_TOO_LONG);
            }
            if end.is_some() {
                self.line = Line::Version;
            }
        }
        Ok(())
    }
}

const BARE_LINE_END: Refusal = Refusal::answer(400, Reason::HeaderPolicy);

const TARGET_TOO_LONG: Refusal = Refusal::answer(414, Reason::HeaderTarget);

#[cfg(test)]
mod tests {
    use std::ops::Range;

    use super::Scan;
    use crate::http::head::{HeadLimits, Refusal};
    use crate::reason::Reason;

    const LIMITS: HeadLimits = HeadLimits {
        max_header_bytes: 100,
        max_header_fields: 100,
        max_cookie_fields: 0,
        max_target_bytes: 20,
    };

    type Verdict = Result<Option<Range<usize>>, Refusal>;

    fn at_once(head: &[u8]) -> Verdict {
        Scan::default().advance(head, &LIMITS)
    }

    /// In two pieces, split at `at`.
    fn in_two(head: &[u8], at: usize) -> Verdict {
        let mut scan = Scan::default();
        match scan.advance(&head[..at], &LIMITS) {
            Ok(None) => scan.advance(head, &LIMITS),
            decided => decided,
        }
    }

    /// Octet by octet; also how many octets the verdict took.
    fn dripped(head: &[u8]) -> (Verdict, usize) {
        let mut scan = Scan::default();
        for len in 0..=head.len() {
            match scan.advance(&head[..len], &LIMITS) {
                Ok(None) => {}
                decided => return (decided, len),
            }
        }
        (Ok(None), head.len())
    }

    fn check(head: &[u8], verdict: Verdict) {
        let text = String::from_utf8_lossy(head);
        assert_eq!(at_once(head), verdict, "at once: {text:?}");
        assert_eq!(dripped(head).0, verdict, "dripped: {text:?}");
        for at in 0..head.len() {
            assert_eq!(in_two(head, at), verdict, "split at {at}: {text:?}");
        }
    }

    fn refused(status: u16, reason: Reason) -> Verdict {
        Err(Refusal { status: Some(status), reason })
    }

    #[test]
    fn a_head_ends_behind_its_empty_line() {
        check(b"GET / HTTP/1.1\r\n\r\n", Ok(Some(0..18)));
        check(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n", Ok(Some(0..27)));
        check(b"GET / HTTP/1.1\r\nHost: a\r\n\r\nGET /2 ", Ok(Some(0..27)));
        check(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n\nrubbish", Ok(Some(0..27)));
    }

    #[test]
    fn an_incomplete_head_is_no_verdict() {
        for part in ["", "\r", "\r\n", "G", "GET ", "GET /", "GET / HTTP/1.1\r", "GET / HTTP/1.1\r\n\r"] {
            check(part.as_bytes(), Ok(None));
        }
    }

    #[test]
    fn one_empty_line_in_front_is_skipped_and_not_counted() {
        check(b"\r\nGET / HTTP/1.1\r\n\r\n", Ok(Some(2..20))); // RFC 9112 §2.2
        let mut exact = b"\r\n".to_vec();
        exact.extend(head_of(100));
        check(&exact, Ok(Some(2..102)));
        for bad in [
            "\r\n\r\nGET / HTTP/1.1\r\n\r\n",
            "\r\n\r",
            "\nGET / HTTP/1.1\r\n\r\n",
            "\r\n\n",
            "\rG",
            "\r\r\n",
        ] {
            check(bad.as_bytes(), refused(400, Reason::HeaderPolicy));
        }
    }

    #[test]
    fn a_bare_cr_or_lf_anywhere_in_the_head_is_refused() {
        let head = b"GET / HTTP/1.1\r\nHost: a\r\nX: y\r\n\r\n";
        // Before every octet but the last: an LF in front of that one completes the head, and begins the
        // next.
        for at in 0..head.len() - 1 {
            for bare in [&b"\r"[..], b"\n"] {
                let mut bad = head[..at].to_vec();
                bad.extend_from_slice(bare);
                bad.extend_from_slice(&head[at..]);
                check(&bad, refused(400, Reason::HeaderPolicy)); // RFC 9112 §2.2
            }
        }
        for bad in
            ["GET / HTTP/1.1\nHost: a\n\n", "GET / HTTP/1.1\r\nHost: a\n\r\n", "GET / HTTP/1.1\r\nA: b\rC: d"]
        {
            check(bad.as_bytes(), refused(400, Reason::HeaderPolicy));
        }
    }

    #[test]
    fn what_is_no_method_is_refused_at_its_first_octet() {
        for bad in [&b" GET / HTTP/1.1\r\n\r\n"[..], b"\x16\x03\x01\x02", b"\0", b"\xff", b"\r\n GET"] {
            check(bad, refused(400, Reason::HeaderSyntax));
        }
    }

    fn head_of(len: usize) -> Vec<u8> {
        let mut head = b"GET / HTTP/1.1\r\nHost: a\r\nX: ".to_vec();
        head.resize(len - 4, b'x');
        head.extend_from_slice(b"\r\n\r\n");
        head
    }

    #[test]
    fn a_head_of_exactly_the_cap_passes_and_one_more_does_not() {
        check(&head_of(100), Ok(Some(0..100)));
        check(&head_of(101), refused(431, Reason::HeaderBytes));
        check(&head_of(500), refused(431, Reason::HeaderBytes));
        // A hundred octets without an end need a hundred and first: the verdict does not wait for it.
        assert_eq!(dripped(&head_of(101)).1, 100);
    }

    #[test]
    fn a_bare_lf_past_the_cap_is_not_what_refuses_the_head() {
        let mut head = head_of(101);
        head.push(b'\n');
        head[99] = b'\n';
        check(&head, refused(400, Reason::HeaderPolicy));
        let mut head = head_of(200);
        head[150] = b'\n';
        check(&head, refused(431, Reason::HeaderBytes));
    }

    #[test]
    fn the_cap_inside_the_request_line_is_a_matter_of_the_target() {
        check(&[b'A'; 100], refused(414, Reason::HeaderTarget));
        let mut endless = b"GET / HTTP/1.1".to_vec();
        endless.resize(100, b'1');
        check(&endless, refused(414, Reason::HeaderTarget));
        check(&[b'A'; 99], Ok(None));
    }

    #[test]
    fn a_target_of_exactly_the_cap_passes_and_one_more_does_not() {
        let target = "/".repeat(20);
        let head = format!("GET {target} HTTP/1.1\r\n\r\n");
        check(head.as_bytes(), Ok(Some(0..head.len())));
        for long in ["GET // HTTP/1.1\r\n\r\n", "GET //", "GET //\r\n\r\n", "GET //\nHost: a\r\n\r\n"] {
            let long = long.replace("//", &format!("{target}/"));
            check(long.as_bytes(), refused(414, Reason::HeaderTarget));
            // "GET ", then the twenty-first octet of the target.
            assert_eq!(dripped(long.as_bytes()).1, 4 + 21);
        }
    }
}
