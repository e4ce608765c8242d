//! The head of an HTTP/2 request, from what the h2 crate decoded.
//!
//! h2 0.4.20 itself refuses what breaks HPACK, pseudo-field order, and upper-case names. What is left is
//! counted and checked here; the answer to a malformed message is a stream reset (RFC 9113 §8.1.1).

use ::http::HeaderMap;
use ::http::header::{CONNECTION, CONTENT_LENGTH, COOKIE, TE, TRANSFER_ENCODING, UPGRADE};
use ::http::request::Parts;

use crate::http::authority;
use crate::http::head::{Builder, ControlData, Framing, Head, HeadLimits, Refusal, Storage, Traits, Version};
use crate::http::octets::is_token;
use crate::http::policy::{self, Expectation, Noted};
use crate::http::target;
use crate::reason::Reason;

impl Head {
    /// Builds the head of a stream, or says why the stream is refused.
    ///
    /// `end_stream`: HEADERS ended the stream, so no content follows. A fragment in `:path` cannot be
    /// refused: `http::Uri` cuts it off before we see it.
    pub(crate) fn from_h2(
        parts: &Parts,
        end_stream: bool,
        secure: bool,
        limits: &HeadLimits,
        storage: &mut Storage,
    ) -> Result<Self, Refusal> {
        let octets = check_caps(parts, secure, limits)?;
        let method = parts.method.as_str().as_bytes();
        if method == b"CONNECT" {
            return Err(Refusal::answer(501, Reason::HeaderPolicy));
        }
        // `:path` is absent only on CONNECT: h2 and `Uri` see to that, and an empty one is refused as a
        // target.
        let target = parts.uri.path_and_query().map_or("", |path| path.as_str()).as_bytes();
        let target_parts = target::parse_path(method, target).map_err(Refusal::on_stream)?;
        if !matches!(parts.uri.scheme_str(), None | Some("http" | "https")) {
            return Err(policy::MALFORMED.on_stream());
        }
        let noted = note_fields(&parts.headers).map_err(Refusal::on_stream)?;
        let authority = agreed_authority(parts, &noted)?;
        if noted.expectation == Some(Expectation::Unknown) {
            return Err(Refusal::answer(417, Reason::HeaderPolicy));
        }
        let traits = Traits {
            version: Version::Http2,
            secure,
            framing: match noted.content_length {
                _ if end_stream => Framing::None,
                Some(length) => Framing::Length(length),
                None => Framing::Unknown,
            },
            keep_alive: true,
            expects_continue: noted.expectation.is_some(),
            te_trailers: noted.te_trailers,
        };
        let control = ControlData { method, target, parts: target_parts, authority };
        let mut builder = Builder::new(&control, traits, storage, octets, parts.headers.len());
        push_fields(&mut builder, &parts.headers);
        Ok(builder.finish())
    }

    /// The size of the header list by RFC 9113 §6.5.2: name, value and 32 for every field, pseudo-fields
    /// included.
    ///
    /// h2's own cap is one octet too low, hence this. `http::Uri` holds no scheme without an authority; the
    /// listener's is counted then.
    pub(crate) fn h2_list_size(parts: &Parts, secure: bool) -> usize {
        let scheme = parts.uri.scheme_str().unwrap_or(if secure { "https" } else { "http" });
        let path = parts.uri.path_and_query().map(|path| path.as_str());
        let pseudo = [
            Some((":method", parts.method.as_str())),
            Some((":scheme", scheme)),
            parts.uri.authority().map(|authority| (":authority", authority.as_str())),
            path.map(|path| (":path", path)),
        ];
        let pseudo: usize = pseudo.iter().flatten().map(|(name, value)| name.len() + value.len() + 32).sum();
        let fields: usize =
            parts.headers.iter().map(|(name, value)| name.as_str().len() + value.len() + 32).sum();
        pseudo + fields
    }
}

/// Holds the list to the caps, and returns how many octets the head will need at most.
fn check_caps(parts: &Parts, secure: bool, limits: &HeadLimits) -> Result<usize, Refusal> {
    let size = Head::h2_list_size(parts, secure);
    if size > limits.max_header_bytes {
        return Err(Refusal::answer(431, Reason::HeaderBytes));
    }
    let crumbs = parts.headers.get_all(COOKIE).iter().count();
    if crumbs > limits.max_cookie_fields || parts.headers.len() - crumbs > limits.max_header_fields {
        return Err(Refusal::answer(431, Reason::HeaderFields));
    }
    if parts.uri.path_and_query().is_some_and(|path| path.as_str().len() > limits.max_target_bytes) {
        return Err(Refusal::answer(414, Reason::HeaderTarget));
    }
    // Of the 32 that the list size adds to a field, the head needs two, for its NULs.
    Ok(size - 30 * parts.headers.len())
}

fn note_fields(fields: &HeaderMap) -> Result<Noted<'_>, Refusal> {
    let mut noted = Noted::default();
    for (name, value) in fields {
        let value = value.as_bytes();
        // RFC 9113 §8.2.1: a value neither starts nor ends with whitespace.
        if policy::trim(value).len() != value.len() {
            return Err(policy::MALFORMED);
        }
        // RFC 9113 §8.2.2. h2 0.4.20 refuses these too; a release that lets them through would open the
        // door to smuggling behind a gateway.
        let connection_specific = name == CONNECTION
            || name == TRANSFER_ENCODING
            || name == UPGRADE
            || name == "keep-alive"
            || name == "proxy-connection"
            || (name == TE && value != b"trailers");
        if connection_specific {
            return Err(policy::MALFORMED);
        }
        // http 1.5.0 takes a quotation mark for a token's character.
        if !is_token(name.as_str().as_bytes()) {
            return Err(policy::MALFORMED);
        }
        noted.field(name.as_str().as_bytes(), value)?;
    }
    Ok(noted)
}

/// `:authority`, or Host in its place; both must agree if both are there (RFC 9113 §8.3.1).
fn agreed_authority<'a>(parts: &'a Parts, noted: &Noted<'a>) -> Result<&'a [u8], Refusal> {
    let pseudo = parts.uri.authority().map(|authority| authority.as_str().as_bytes());
    match (pseudo, noted.host) {
        (Some(authority), None) if authority::is_valid(authority) => Ok(authority),
        (Some(authority), Some(host)) if authority::is_same(authority, host) => Ok(authority),
        (None, Some(host)) => Ok(host),
        _ => Err(policy::MALFORMED.on_stream()),
    }
}

/// Copies the fields, in the order of the map: that of arrival, with fields of one name behind the first of
/// it.
fn push_fields(builder: &mut Builder, fields: &HeaderMap) {
    for name in fields.keys() {
        let lines = fields.get_all(name).iter().map(|value| value.as_bytes());
        let name_octets = name.as_str().as_bytes();
        if name == COOKIE {
            // RFC 9113 §8.2.3: crumbs are joined before anything that is not HTTP/2 sees them.
            let pieces = lines.enumerate().flat_map(|(index, crumb)| {
                let separator: &[u8] = if index == 0 { b"" } else { b"; " };
                [separator, crumb]
            });
            builder.field(name_octets, pieces);
        } else {
            // Repeated lengths are identical by now, and one line says it all.
            let kept = if name == CONTENT_LENGTH { 1 } else { usize::MAX };
            for value in lines.take(kept) {
                builder.field(name_octets, [value]);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use ::http::Request;
    use ::http::header::HeaderName;
    use ::http::request::{Builder, Parts};

    use crate::http::head::{Framing, Head, HeadLimits, Refusal, Storage, Version};
    use crate::reason::Reason;

    const LIMITS: HeadLimits = HeadLimits {
        max_header_bytes: 16384,
        max_header_fields: 100,
        max_cookie_fields: 200,
        max_target_bytes: 8192,
    };

    fn parts(request: Builder) -> Parts {
        request.body(()).expect("a request").into_parts().0
    }

    fn read(request: Builder) -> Result<Head, Refusal> {
        Head::from_h2(&parts(request), true, true, &LIMITS, &mut Storage::default())
    }

    fn get(uri: &str) -> Builder {
        Request::get(uri)
    }

    #[test]
    fn a_head_shows_what_was_sent() {
        let request = Request::post("https://A.test:8443/a/b?c=d")
            .header("accept", "*/*")
            .header("cookie", "a=1")
            .header("x-two", "1")
            .header("cookie", "b=2")
            .header("x-two", "2")
            .header("te", "trailers")
            .header("content-length", "5")
            .header("content-length", "5")
            .header("expect", "100-continue");
        let head =
            Head::from_h2(&parts(request), false, true, &LIMITS, &mut Storage::default()).expect("a head");
        assert_eq!(head.method(), b"POST");
        assert_eq!((head.scheme(), head.authority()), (&b"https"[..], &b"A.test:8443"[..]));
        assert_eq!(head.target(), b"/a/b?c=d");
        assert_eq!((head.path(), head.query()), (&b"/a/b"[..], &b"c=d"[..]));
        assert_eq!(head.version(), Version::Http2);
        assert_eq!((head.framing(), head.content_length()), (Framing::Length(5), Some(5)));
        assert!(head.te_trailers() && head.expects_continue() && head.keep_alive());
        assert_eq!(
            head.header_block(),
            b"accept\0*/*\0cookie\0a=1; b=2\0x-two\x001\0x-two\x002\0te\0trailers\0content-length\x005\0expect\0\
              100-continue\0"
        );
        assert_eq!(head.field_count(), 7);
        assert_eq!(head.get(b"X-Two", 1), Some(&b"2"[..]));
    }

    #[test]
    fn framing_follows_end_stream_and_length() {
        let lengthless = parts(get("https://a/"));
        for (end_stream, framing) in [(true, Framing::None), (false, Framing::Unknown)] {
            let head = Head::from_h2(&lengthless, end_stream, true, &LIMITS, &mut Storage::default())
                .expect("a head");
            assert_eq!((head.framing(), head.has_content()), (framing, !end_stream));
        }
    }

    #[test]
    fn the_list_size_is_that_of_rfc_9113() {
        // :method GET 7+3, :scheme https 7+5, :authority a 10+1, :path / 5+1, x: 1+2, and 32 for each of
        // five.
        let with_authority = parts(get("https://a/").header("x", "yz"));
        assert_eq!(Head::h2_list_size(&with_authority, true), 10 + 12 + 11 + 6 + 3 + 5 * 32);
        // Without an authority the scheme is the listener's.
        let without = parts(get("/").header("host", "a"));
        assert_eq!(Head::h2_list_size(&without, true), 10 + 12 + 6 + 5 + 4 * 32);
        assert_eq!(Head::h2_list_size(&without, false), 10 + 11 + 6 + 5 + 4 * 32);
    }

    #[test]
    fn every_cap_passes_at_its_value_and_refuses_one_more() {
        let mut long = get("https://a/long?target").header("x", "y").header("z", "y");
        for crumb in ["a", "b", "c"] {
            long = long.header("cookie", crumb);
        }
        let long = parts(long);
        let exact = HeadLimits {
            max_header_bytes: Head::h2_list_size(&long, true),
            max_header_fields: 2,
            max_cookie_fields: 3,
            max_target_bytes: "/long?target".len(),
        };
        assert!(Head::from_h2(&long, true, true, &exact, &mut Storage::default()).is_ok());
        for (limits, status, reason) in [
            (HeadLimits { max_header_bytes: exact.max_header_bytes - 1, ..exact }, 431, Reason::HeaderBytes),
            (HeadLimits { max_header_fields: 1, ..exact }, 431, Reason::HeaderFields),
            (HeadLimits { max_cookie_fields: 2, ..exact }, 431, Reason::HeaderFields),
            (HeadLimits { max_target_bytes: 11, ..exact }, 414, Reason::HeaderTarget),
        ] {
            let refusal =
                Head::from_h2(&long, true, true, &limits, &mut Storage::default()).expect_err("over the cap");
            assert_eq!(refusal, Refusal { status: Some(status), reason });
        }
    }

    #[test]
    fn a_malformed_request_resets_its_stream() {
        let malformed = Refusal { status: None, reason: Reason::HeaderPolicy };
        let quoted = HeaderName::from_lowercase(b"a\"").expect("what h2 asks");
        for (why, request) in [
            ("no authority and no Host, 8.3.1", get("/")),
            ("both, and different, 8.3.1", get("https://a/").header("host", "b")),
            ("both, and the port differs, 8.3.1", get("https://a:1/").header("host", "a:2")),
            ("userinfo, 8.3.1", get("https://u@a/")),
            ("Host with userinfo", get("/").header("host", "u@a")),
            ("empty Host", get("/").header("host", "")),
            ("two Hosts", get("/").header("host", "a").header("host", "a")),
            ("authority and two Hosts", get("https://a/").header("host", "a").header("host", "a")),
            ("bad port", get("https://a:99999/")),
            ("another scheme, our policy", get("ftp://a/")),
            ("asterisk without OPTIONS, 8.3.1", get("*").header("host", "a")),
            ("path without a slash, 8.3.1", get("https://a?b")),
            ("connection, 8.2.2", get("https://a/").header("connection", "close")),
            ("transfer-encoding, 8.2.2", get("https://a/").header("transfer-encoding", "chunked")),
            ("upgrade, 8.2.2", get("https://a/").header("upgrade", "h2c")),
            ("keep-alive, 8.2.2", get("https://a/").header("keep-alive", "1")),
            ("proxy-connection, 8.2.2", get("https://a/").header("proxy-connection", "close")),
            ("te, 8.2.2", get("https://a/").header("te", "trailers, gzip")),
            ("a name that is no token, 8.2.1", get("https://a/").header(quoted, "y")),
            ("whitespace before a value, 8.2.1", get("https://a/").header("x", " y")),
            ("whitespace after a value, 8.2.1", get("https://a/").header("x", "y\t")),
            ("listed content-length, 8.1.1", get("https://a/").header("content-length", "5, 5")),
            ("signed content-length", get("https://a/").header("content-length", "+5")),
            (
                "differing content-length",
                get("https://a/").header("content-length", "5").header("content-length", "6"),
            ),
        ] {
            assert_eq!(read(request).err(), Some(malformed), "{why}");
        }
    }

    #[test]
    fn connect_and_unknown_expectations_are_answered() {
        let refused = |status| Some(Refusal { status: Some(status), reason: Reason::HeaderPolicy });
        assert_eq!(read(Request::connect("a:443")).err(), refused(501));
        assert_eq!(read(get("https://a/").header("expect", "x")).err(), refused(417));
    }

    #[test]
    fn host_stands_in_for_the_authority_and_may_repeat_it() {
        let head = read(get("/").header("host", "a:1")).expect("Host alone");
        assert_eq!(head.authority(), b"a:1");
        let head = read(get("https://A:1/").header("host", "a:1")).expect("both");
        assert_eq!(head.authority(), b"A:1");
    }
}
