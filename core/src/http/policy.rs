//! What header fields say about their own message: host, content length, codings, expectation, connection.
//! Both protocols read their fields through here, so that the same line is refused on both.

use crate::http::authority;
use crate::http::head::Refusal;
use crate::reason::Reason;

/// What was noted while walking the fields of one head.
#[derive(Debug, Default)]
pub(super) struct Noted<'a> {
    pub(super) host: Option<&'a [u8]>,
    pub(super) content_length: Option<u64>,
    /// More lines than one said the same length.
    pub(super) repeats_length: bool,
    pub(super) transfer_encoding: Option<TransferEncoding>,
    pub(super) expectation: Option<Expectation>,
    pub(super) te_trailers: bool,
    /// `Connection: close`, which wins over keep-alive.
    pub(super) close: bool,
    pub(super) keep_alive: bool,
}

/// All Transfer-Encoding lines of a message, taken together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum TransferEncoding {
    /// Exactly one `chunked`.
    Chunked,
    /// A coding that we do not have, somewhere in the list.
    Unknown,
    /// No list of codings, or `chunked` twice (RFC 9112 §6.1: MUST NOT).
    Malformed,
}

/// All Expect lines of a message, taken together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Expectation {
    Continue,
    /// Anything else, which RFC 9110 §10.1.1 answers with 417.
    Unknown,
}

impl<'a> Noted<'a> {
    /// Notes one field, its name in any case and its value without surrounding whitespace.
    pub(super) fn field(&mut self, name: &[u8], value: &'a [u8]) -> Result<(), Refusal> {
        // By length first: of a browser's ten fields one or two go past this line.
        match name.len() {
            2 if name.eq_ignore_ascii_case(b"te") => {
                self.te_trailers |=
                    members(value).any(|member| before_semicolon(member).eq_ignore_ascii_case(b"trailers"));
            }
            4 if name.eq_ignore_ascii_case(b"host") => {
                // RFC 9112 §3.2: a second Host, and one that is not a host, MUST be answered with 400.
                if self.host.is_some() || !authority::is_valid(value) {
                    return Err(MALFORMED);
                }
                self.host = Some(value);
            }
            6 if name.eq_ignore_ascii_case(b"expect") => {
                let known = value.eq_ignore_ascii_case(b"100-continue");
                if !known {
                    self.expectation = Some(Expectation::Unknown);
                }
                self.expectation = self.expectation.or(Some(Expectation::Continue));
            }
            10 if name.eq_ignore_ascii_case(b"connection") => {
                for option in members(value) {
                    self.close |= option.eq_ignore_ascii_case(b"close");
                    self.keep_alive |= option.eq_ignore_ascii_case(b"keep-alive");
                }
            }
            14 if name.eq_ignore_ascii_case(b"content-length") => {
                let length = parse_length(value).ok_or(MALFORMED)?;
                if self.content_length.is_some_and(|first| first != length) {
                    return Err(MALFORMED);
                }
                self.repeats_length |= self.content_length.is_some();
                self.content_length = Some(length);
            }
            17 if name.eq_ignore_ascii_case(b"transfer-encoding") => {
                self.transfer_encoding = Some(add_codings(self.transfer_encoding, value));
            }
            _ => {}
        }
        Ok(())
    }
}

/// Cannot be served without guessing: where the content ends, or which host is meant.
pub(super) const MALFORMED: Refusal = Refusal::answer(400, Reason::HeaderPolicy);

/// The members of a comma-separated list (RFC 9110 §5.6.1), empty ones included.
fn members(list: &[u8]) -> impl Iterator<Item = &[u8]> {
    list.split(|octet| *octet == b',').map(trim)
}

fn before_semicolon(member: &[u8]) -> &[u8] {
    member.split(|octet| *octet == b';').next().map_or(member, trim)
}

/// Without optional whitespace, which is SP and HTAB (RFC 9110 §5.6.3).
pub(super) fn trim(mut text: &[u8]) -> &[u8] {
    while let [b' ' | b'\t', rest @ ..] | [rest @ .., b' ' | b'\t'] = text {
        text = rest;
    }
    text
}

/// Digits and nothing else. A sign, a list or an overflow is a framing that another hop may read
/// differently. The bound is that of a signed number, which the C view and its callers have.
fn parse_length(value: &[u8]) -> Option<u64> {
    if value.is_empty() || !value.iter().all(u8::is_ascii_digit) {
        return None;
    }
    let length: u64 = std::str::from_utf8(value).ok()?.parse().ok()?;
    (length <= i64::MAX as u64).then_some(length)
}

fn add_codings(mut so_far: Option<TransferEncoding>, value: &[u8]) -> TransferEncoding {
    use TransferEncoding::{Chunked, Malformed, Unknown};
    for coding in members(value) {
        let name = before_semicolon(coding);
        let this = if !name.eq_ignore_ascii_case(b"chunked") {
            if name.is_empty() { Malformed } else { Unknown }
        } else if name.len() == coding.len() {
            Chunked
        } else {
            // `chunked` has no parameters (RFC 9112 §7.1).
            Malformed
        };
        so_far = Some(match (so_far, this) {
            (None, this) => this,
            (Some(Malformed), _) | (_, Malformed) | (Some(Chunked), Chunked) => Malformed,
            (Some(_), _) => Unknown,
        });
    }
    // `split` yields at least one member, so that the fallback is never met.
    so_far.unwrap_or(Malformed)
}

#[cfg(test)]
mod tests {
    use super::{Expectation, Noted, TransferEncoding, trim};

    fn note<'a>(lines: &[(&str, &'a str)]) -> Option<Noted<'a>> {
        let mut noted = Noted::default();
        lines.iter().try_for_each(|(name, value)| noted.field(name.as_bytes(), value.as_bytes())).ok()?;
        Some(noted)
    }

    #[test]
    fn a_content_length_is_digits_and_fits_a_signed_number() {
        for (value, length) in [
            ("0", 0),
            ("5", 5),
            ("005", 5),
            ("9223372036854775807", i64::MAX as u64),
            ("00000000000000000000001", 1),
        ] {
            assert_eq!(
                note(&[("content-length", value)]).and_then(|n| n.content_length),
                Some(length),
                "{value}"
            );
        }
        for bad in [
            "",
            "+5",
            "-5",
            "5,5",
            "5, 5",
            "5 5",
            "0x5",
            "5a",
            "a",
            "1e3",
            "5.0",
            "9223372036854775808",
            "18446744073709551616",
            "99999999999999999999999999",
            "٥",
        ] {
            assert!(note(&[("Content-Length", bad)]).is_none(), "{bad}"); // RFC 9112 §6.3
        }
    }

    #[test]
    fn identical_lengths_are_one_and_differing_ones_are_refused() {
        let noted = note(&[("content-length", "5"), ("CONTENT-LENGTH", "5")]).expect("identical");
        assert_eq!((noted.content_length, noted.repeats_length), (Some(5), true));
        assert!(note(&[("content-length", "5"), ("content-length", "6")]).is_none());
    }

    #[test]
    fn codings_are_judged_over_all_lines() {
        use TransferEncoding::{Chunked, Malformed, Unknown};
        for (lines, verdict) in [
            (&["chunked"][..], Chunked),
            (&["Chunked"], Chunked),
            (&["gzip"], Unknown),
            (&["identity"], Unknown),
            (&["gzip, chunked"], Unknown),
            (&["gzip", "chunked"], Unknown),
            (&["chunked, gzip"], Unknown),
            (&["gzip;q=1,chunked"], Unknown),
            (&["xchunked"], Unknown),
            (&["chunked, chunked"], Malformed),
            (&["chunked", "chunked"], Malformed),
            (&["chunked;a=b"], Malformed),
            (&[""], Malformed),
            (&["chunked,"], Malformed),
            (&[", chunked"], Malformed),
            (&["chunked", ""], Malformed),
            (&["gzip,,chunked"], Malformed),
        ] {
            let lines: Vec<_> = lines.iter().map(|value| ("transfer-encoding", *value)).collect();
            assert_eq!(note(&lines).and_then(|n| n.transfer_encoding), Some(verdict), "{lines:?}"); // RFC 9112 §6.1
        }
    }

    #[test]
    fn an_expectation_is_100_continue_on_every_line_or_unknown() {
        for (lines, verdict) in [
            (&["100-continue"][..], Expectation::Continue),
            (&["100-Continue", "100-continue"], Expectation::Continue),
            (&["x"], Expectation::Unknown),
            (&[""], Expectation::Unknown),
            (&["100-continue, x"], Expectation::Unknown),
            (&["x", "100-continue"], Expectation::Unknown),
            (&["100-continue", "x"], Expectation::Unknown),
        ] {
            let lines: Vec<_> = lines.iter().map(|value| ("expect", *value)).collect();
            assert_eq!(note(&lines).and_then(|n| n.expectation), Some(verdict), "{lines:?}"); // RFC 9110 §10.1.1
        }
    }

    #[test]
    fn list_members_are_found_in_any_case_and_position() {
        let noted =
            note(&[("Connection", "TE , Keep-Alive"), ("connection", "x,CLOSE")]).expect("connection");
        assert!(noted.keep_alive && noted.close);
        assert!(note(&[("te", "deflate;q=0.5, Trailers")]).is_some_and(|noted| noted.te_trailers));
        assert!(note(&[("te", "trailersx, deflate")]).is_some_and(|noted| !noted.te_trailers));
    }

    #[test]
    fn one_valid_host_is_noted() {
        assert_eq!(note(&[("HOST", "a.test:80")]).and_then(|noted| noted.host), Some(&b"a.test:80"[..]));
        assert!(note(&[("host", "a"), ("host", "a")]).is_none()); // RFC 9112 §3.2
        assert!(note(&[("host", "")]).is_none()); // http and https have a host, RFC 9110 §4.2.1
        assert!(note(&[("host", "a/b")]).is_none());
    }

    #[test]
    fn trimming_takes_spaces_and_tabs_from_both_ends() {
        assert_eq!(trim(b" \t a b\t "), b"a b");
        assert_eq!(trim(b" \t"), b"");
    }
}
