//! The HTTP/1.x head policy, clause by clause; each row names the section it follows from.

use std::fmt::Write as _;

use crate::http::h1::scan::Scan;
use crate::http::head::{Framing, Head, HeadLimits, Refusal, Storage, Version};
use crate::reason::Reason;

const LIMITS: HeadLimits = HeadLimits {
    max_header_bytes: 16384,
    max_header_fields: 100,
    max_cookie_fields: 0,
    max_target_bytes: 8192,
};

fn head(octets: &[u8], secure: bool, limits: &HeadLimits) -> Result<Head, Refusal> {
    super::head(octets, secure, limits, &mut Storage::default())
}

fn parse(text: &str) -> Result<Head, Refusal> {
    head(text.as_bytes(), false, &LIMITS)
}

/// A request line, a Host unless the lines bring one, and the lines.
fn request(line: &str, fields: &str) -> Result<Head, Refusal> {
    parse(&format!("{line}\r\nHost: a\r\n{fields}\r\n"))
}

fn refused(status: u16, reason: Reason) -> Option<Refusal> {
    Some(Refusal { status: Some(status), reason })
}

#[test]
fn a_head_shows_what_was_sent() {
    let head = head(
        b"POST /a/b?c=d HTTP/1.1\r\nHOST: A.test:80\r\nX-Two:1\r\nX-Empty:\r\nCoNtEnT-lEnGtH: 5 \r\nx-two:\t2 b\t\r\n\
          TE: trailers\r\nExpect: 100-continue\r\ncontent-length: 5\r\n\r\n",
        true,
        &LIMITS,
    )
    .expect("a head");
    assert_eq!(head.method(), b"POST");
    assert_eq!((head.scheme(), head.authority()), (&b"https"[..], &b"A.test:80"[..]));
    assert_eq!((head.target(), head.target_is_utf8()), (&b"/a/b?c=d"[..], true));
    assert_eq!((head.path(), head.query()), (&b"/a/b"[..], &b"c=d"[..]));
    assert_eq!(head.version(), Version::Http11);
    assert_eq!((head.framing(), head.content_length()), (Framing::Length(5), Some(5)));
    assert!(head.keep_alive() && head.expects_continue() && head.te_trailers() && !head.is_head());
    let block =
        b"host\0A.test:80\0x-two\x001\0x-empty\0\0content-length\x005\0x-two\x002 b\0te\0trailers\0expect\0\
                  100-continue\0";
    assert_eq!(head.header_block(), block);
    assert_eq!(head.fields().len(), head.field_count());
    assert_eq!(head.field(1), Some((&b"x-two"[..], &b"1"[..])));
    assert_eq!(head.field(head.field_count() - 1), Some((&b"expect"[..], &b"100-continue"[..])));
    assert_eq!(head.field(head.field_count()), None);
    assert_eq!(head.get(b"X-TWO", 1), Some(&b"2 b"[..]));
    assert_eq!(
        (head.get(b"x-two", 2), head.get(b"x-empty", 0), head.get(b"x", 0)),
        (None, Some(&b""[..]), None)
    );
}

#[test]
fn a_debug_line_holds_no_field_value() {
    let head = request("GET /a HTTP/1.1", "Authorization: secret\r\n").expect("a head");
    let text = format!("{head:?}");
    assert!(text.contains("/a") && !text.contains("secret"), "{text}");
}

#[test]
fn an_arena_is_allocated_once() {
    let text = "GET / HTTP/1.1\r\nHost:a-rather-long-name.test\r\nA:b\r\n\r\n";
    let head = parse(text).expect("a head");
    assert_eq!(head.heap_bytes(), text.len() + "a-rather-long-name.test".len() + 2 * 8);
}

#[test]
fn a_head_leaves_its_memory_to_the_next_one_unless_it_is_large() {
    let mut first = request("GET /secret HTTP/1.1", "A: b\r\n").expect("a head");
    let held = first.heap_bytes();
    let mut storage = Storage::of(&mut first).expect("small");
    let next =
        super::head(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n", false, &LIMITS, &mut storage).expect("a head");
    assert_eq!(next.heap_bytes(), held);
    assert_eq!((next.target(), next.header_block()), (&b"/"[..], &b"host\0a\0"[..]));
    let mut large = request("GET / HTTP/1.1", &format!("A: {}\r\n", "b".repeat(3000))).expect("a head");
    assert!(Storage::of(&mut large).is_none());
}

#[test]
fn requests_of_the_four_forms_are_read() {
    for (text, authority, path, query) in [
        ("GET / HTTP/1.1\r\nHost: a\r\n\r\n", "a", "/", ""),
        ("GET http://a HTTP/1.1\r\nHost: a\r\n\r\n", "a", "/", ""),
        ("GET http://A:80?q HTTP/1.1\r\nHost: a:80\r\n\r\n", "a:80", "/", "q"),
        ("GET https://a/p?q HTTP/1.1\r\nHost: a:\r\n\r\n", "a:", "/p", "q"),
        ("OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n", "a", "*", ""),
        ("OPTIONS http://a HTTP/1.1\r\nHost: a\r\n\r\n", "a", "/", ""),
    ] {
        let head = parse(text).expect(text);
        assert_eq!(head.authority(), authority.as_bytes(), "{text}");
        assert_eq!((head.path(), head.query()), (path.as_bytes(), query.as_bytes()), "{text}");
        // Never what the peer claims.
        assert_eq!(head.scheme(), b"http");
    }
    // Any token is a method (RFC 9110 §9.1).
    assert_eq!(request("get / HTTP/1.1", "").map(|head| head.method().to_vec()), Ok(b"get".to_vec()));
    assert!(request("HEAD / HTTP/1.1", "").is_ok_and(|head| head.is_head()));
}

#[test]
fn the_request_line_is_held_to_its_grammar() {
    use Reason::{HeaderPolicy, HeaderSyntax};
    for (line, status, reason) in [
        ("GET  / HTTP/1.1", 400, HeaderSyntax),    // single spaces, RFC 9112 §3
        ("GET /  HTTP/1.1", 400, HeaderSyntax),    // RFC 9112 §3
        ("GET\t/ HTTP/1.1", 400, HeaderSyntax),    // RFC 9112 §3
        ("GET /\tHTTP/1.1", 400, HeaderSyntax),    // RFC 9112 §3
        (" GET / HTTP/1.1", 400, HeaderSyntax),    // RFC 9112 §3
        ("GET / HTTP/1.1 ", 400, HeaderSyntax),    // RFC 9112 §3
        ("GET / x HTTP/1.1", 400, HeaderSyntax),   // RFC 9112 §3
        ("GET / x HTTP/2.0", 400, HeaderSyntax),   // RFC 9112 §3
        ("GET /", 400, HeaderSyntax),              // HTTP/0.9 is not served
        ("GET", 400, HeaderSyntax),                // RFC 9112 §3
        ("GET /a\0b HTTP/1.1", 400, HeaderSyntax), // RFC 9112 §3.2
        ("GET /a\u{7f} HTTP/1.1", 400, HeaderSyntax), // RFC 9112 §3.2
        ("GE(T / HTTP/1.1", 400, HeaderSyntax),    // method is a token, RFC 9110 §9.1
        ("GET / HTTP/1.", 400, HeaderSyntax),      // RFC 9112 §2.3
        ("GET / HTTP/1", 400, HeaderSyntax),       // RFC 9112 §2.3
        ("GET / HTTP/1.10", 400, HeaderSyntax),    // one digit each, RFC 9112 §2.3
        ("GET / HTTP/11.1", 400, HeaderSyntax),    // RFC 9112 §2.3
        ("GET / HTTP/1.x", 400, HeaderSyntax),     // RFC 9112 §2.3
        ("GET / HTTP/1,1", 400, HeaderSyntax),     // RFC 9112 §2.3
        ("GET / http/1.1", 400, HeaderSyntax),     // case-sensitive, RFC 9112 §2.3
        ("GET / HTTPS/1.1", 400, HeaderSyntax),    // RFC 9112 §2.3
        ("GET / ICAP/1.0", 400, HeaderSyntax),     // RFC 9112 §2.3
        ("GET / HTTP/0.9", 505, HeaderPolicy),     // RFC 9110 §15.6.6
        ("GET / HTTP/2.0", 505, HeaderPolicy),     // RFC 9110 §15.6.6
        ("PRI * HTTP/2.0", 505, HeaderPolicy),     // no preface: it has fields
        ("GET / HTTP/3.1", 505, HeaderPolicy),     // RFC 9110 §15.6.6
        ("CONNECT a:443 HTTP/1.1", 501, HeaderPolicy), // RFC 9112 §3.2.3, our policy
        ("CONNECT / HTTP/1.1", 501, HeaderPolicy), // our policy
        ("GET * HTTP/1.1", 400, HeaderPolicy),     // RFC 9112 §3.2.4
        ("GET a HTTP/1.1", 400, HeaderPolicy),     // RFC 9112 §3.2
        ("GET a:443 HTTP/1.1", 400, HeaderPolicy), // RFC 9112 §3.2.3
        ("GET /a#b HTTP/1.1", 400, HeaderPolicy),  // RFC 9112 §3.2
        ("GET ftp://a/ HTTP/1.1", 400, HeaderPolicy), // our policy
        ("GET http://b/ HTTP/1.1", 400, HeaderPolicy), // authority and Host differ, RFC 9112 §3.2.2
        ("GET http://a:81/ HTTP/1.1", 400, HeaderPolicy), // RFC 9112 §3.2.2
        ("GET http://a@a/ HTTP/1.1", 400, HeaderPolicy), // userinfo, RFC 9110 §4.2.4
        ("GET http:///a HTTP/1.1", 400, HeaderPolicy), // empty host, RFC 9110 §4.2.1
    ] {
        assert_eq!(request(line, "").err(), refused(status, reason), "{line}");
    }
    let not_utf8 = head(b"GET /\xff HTTP/1.1\r\nHost: a\r\n\r\n", false, &LIMITS);
    assert_eq!(not_utf8.err(), refused(400, Reason::HeaderSyntax)); // as hyper: http::Uri is text
}

#[test]
fn versions_of_major_one_are_served() {
    for (line, version, keep_alive) in [
        ("GET / HTTP/1.0", Version::Http10, false),
        ("GET / HTTP/1.1", Version::Http11, true),
        ("GET / HTTP/1.2", Version::Http11, true), // RFC 9110 §2.5
        ("GET / HTTP/1.9", Version::Http11, true),
    ] {
        let head = request(line, "X: y\r\n").expect(line);
        assert_eq!((head.version(), head.keep_alive()), (version, keep_alive), "{line}");
        assert_eq!(head.get(b"x", 0), Some(&b"y"[..]));
    }
    // Served as 1.1 means held to its rules too.
    assert_eq!(request("GET / HTTP/1.2", "Host: a\r\n").err(), refused(400, Reason::HeaderPolicy));
}

#[test]
fn host_stands_there_exactly_once_and_is_one() {
    for fields in [
        "",                       // RFC 9112 §3.2
        "Host: a\r\nHost: a\r\n", // RFC 9112 §3.2
        "Host: a\r\nhost: b\r\n", // RFC 9112 §3.2
        "Host:\r\n",              // RFC 9110 §4.2.1
        "Host: a/b\r\n",          // RFC 3986 §3.2.2
        "Host: u@a\r\n",          // RFC 9110 §4.2.4
        "Host: a, b\r\n",         // RFC 3986 §3.2.2
        "Host: a:x\r\n",          // RFC 3986 §3.2.3
        "Host: [::1\r\n",         // RFC 3986 §3.2.2
        "Host: http://a\r\n",     // RFC 9110 §7.2
    ] {
        for version in ["1.0", "1.1", "1.2"] {
            let text = format!("GET / HTTP/{version}\r\n{fields}\r\n");
            assert_eq!(parse(&text).err(), refused(400, Reason::HeaderPolicy), "{text}");
        }
    }
}

#[test]
fn the_end_of_the_content_is_unambiguous_or_refused() {
    for (version, fields, framing) in [
        ("1.1", "", Framing::None),
        ("1.1", "Content-Length: 0\r\n", Framing::Length(0)),
        ("1.1", "Content-Length: 7\r\nContent-Length: 7\r\n", Framing::Length(7)),
        ("1.0", "Content-Length: 7\r\n", Framing::Length(7)),
        ("1.1", "Transfer-Encoding: chunked\r\n", Framing::Chunked),
        ("1.2", "Transfer-Encoding: ChunkeD\r\n", Framing::Chunked),
    ] {
        let head = request(&format!("POST / HTTP/{version}"), fields).expect(fields);
        assert_eq!(head.framing(), framing, "{fields}");
    }
    for (version, fields, status) in [
        ("1.1", "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n", 400), // RFC 9112 §6.3
        ("1.1", "Transfer-Encoding: chunked\r\nContent-Length: 5\r\n", 400), // RFC 9112 §6.3
        ("1.1", "Transfer-Encoding: gzip\r\nContent-Length: 5\r\n", 400),    // RFC 9112 §6.3
        ("1.0", "Transfer-Encoding: chunked\r\n", 400),                      // RFC 9112 §6.1
        ("1.0", "Transfer-Encoding: gzip\r\n", 400),                         // RFC 9112 §6.1
        ("1.1", "Transfer-Encoding: chunked, chunked\r\n", 400),             // RFC 9112 §6.1
        ("1.1", "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n", 400), // RFC 9112 §6.1
        ("1.1", "Transfer-Encoding:\r\n", 400),                              // RFC 9112 §6.1
        ("1.1", "Transfer-Encoding: chunked;q=1\r\n", 400),                  // RFC 9112 §7.1
        ("1.1", "Transfer-Encoding: gzip, chunked\r\n", 501),                // RFC 9112 §6.1
        ("1.1", "Transfer-Encoding: gzip\r\nTransfer-Encoding: chunked\r\n", 501), // RFC 9112 §6.1
        ("1.1", "Transfer-Encoding: identity\r\n", 501),                     // gone since RFC 7230
        ("1.1", "Content-Length: 5\r\nContent-Length: 6\r\n", 400),          // RFC 9112 §6.3
        ("1.1", "Content-Length: 5, 5\r\n", 400),                            // our policy: no list
        ("1.1", "Content-Length: +5\r\n", 400),                              // RFC 9110 §8.6
        ("1.1", "Content-Length: 5 5\r\n", 400),                             // RFC 9110 §8.6
        ("1.1", "Content-Length: 0x5\r\n", 400),                             // RFC 9110 §8.6
        ("1.1", "Content-Length:\r\n", 400),                                 // RFC 9110 §8.6
        ("1.1", "Content-Length: 18446744073709551616\r\n", 400),            // RFC 9110 §8.6: no overflow
    ] {
        let line = format!("POST / HTTP/{version}");
        assert_eq!(request(&line, fields).err(), refused(status, Reason::HeaderPolicy), "{version} {fields}");
    }
}

#[test]
fn field_lines_are_held_to_their_grammar() {
    use Reason::{HeaderPolicy, HeaderSyntax};
    for (fields, reason) in [
        ("X : y\r\n", HeaderPolicy),  // whitespace before the colon, RFC 9112 §5.1
        ("X\t: y\r\n", HeaderPolicy), // RFC 9112 §5.1
        ("Content-Length : 5\r\n", HeaderPolicy), // RFC 9112 §5.1
        ("X: y\r\n z\r\n", HeaderPolicy), // obs-fold, RFC 9112 §5.2
        ("X: y\r\n\tz: a\r\n", HeaderPolicy), // obs-fold, RFC 9112 §5.2
        ("X: y\r\n \r\n", HeaderPolicy), // obs-fold, RFC 9112 §5.2
        ("X: y\0z\r\n", HeaderSyntax), // RFC 9110 §5.5
        ("X: y\u{1}z\r\n", HeaderSyntax), // RFC 9110 §5.5
        ("X: y\u{7f}\r\n", HeaderSyntax), // RFC 9110 §5.5
        ("X: \u{b}chunked\r\n", HeaderSyntax), // RFC 9110 §5.5
        (": y\r\n", HeaderSyntax),    // RFC 9110 §5.1
        ("X\r\n", HeaderSyntax),      // RFC 9112 §5
        ("X y: z\r\n", HeaderSyntax), // RFC 9110 §5.1
        ("X(: y\r\n", HeaderSyntax),  // RFC 9110 §5.1
        ("X\0: y\r\n", HeaderSyntax), // RFC 9110 §5.1
        ("É: y\r\n", HeaderSyntax),   // RFC 9110 §5.1
        ("\u{7f}: y\r\n", HeaderSyntax), // RFC 9110 §5.1
    ] {
        assert_eq!(request("GET / HTTP/1.1", fields).err(), refused(400, reason), "{fields:?}");
    }
    // Whitespace in front of the first field line, RFC 9112 §2.2.
    assert_eq!(parse("GET / HTTP/1.1\r\n Host: a\r\n\r\n").err(), refused(400, HeaderPolicy));
    for (fields, value) in [
        ("X:y\r\n", &b"y"[..]),
        ("X: \t y\t z \t\r\n", b"y\t z"), // HTAB inside a value, RFC 9110 §5.5
        ("X: \t \r\n", b""),
        ("X: é\r\n", "é".as_bytes()), // obs-text, RFC 9110 §5.5
        ("X: a:b\r\n", b"a:b"),
    ] {
        let head = request("GET / HTTP/1.1", fields).expect(fields);
        assert_eq!(head.get(b"x", 0), Some(value), "{fields:?}");
    }
}

#[test]
fn an_expectation_is_kept_refused_or_ignored() {
    let post = |version: &str, fields: &str| request(&format!("POST / HTTP/{version}"), fields);
    let chunked = "Transfer-Encoding: chunked\r\nExpect: 100-Continue\r\n";
    assert!(post("1.1", chunked).is_ok_and(|head| head.expects_continue()));
    // Without content there is nothing to hold back.
    assert!(post("1.1", "Expect: 100-continue\r\n").is_ok_and(|head| !head.expects_continue()));
    assert!(
        post("1.1", "Content-Length: 0\r\nExpect: 100-continue\r\n")
            .is_ok_and(|head| !head.expects_continue())
    );
    for fields in ["Expect: x\r\n", "Expect:\r\n", "Expect: 100-continue, x\r\n"] {
        assert_eq!(post("1.1", fields).err(), refused(417, Reason::HeaderPolicy), "{fields}"); // RFC 9110 §10.1.1
        assert_eq!(post("1.0", fields).err(), refused(417, Reason::HeaderPolicy), "{fields}");
    }
    let length = "Content-Length: 5\r\nExpect: 100-continue\r\n";
    assert!(post("1.0", length).is_ok_and(|head| !head.expects_continue()));
}

#[test]
fn the_connection_lives_on_by_version_and_options() {
    for (version, fields, keep_alive) in [
        ("1.1", "", true),
        ("1.1", "Connection: close\r\n", false),
        ("1.1", "Connection: x, CLOSE\r\n", false),
        ("1.1", "Connection: close\r\nConnection: keep-alive\r\n", false),
        ("1.1", "Connection: upgrade\r\nUpgrade: h2c\r\n", true), // ignored
        ("1.0", "", false),
        ("1.0", "Connection: Keep-Alive\r\n", true),
        ("1.0", "Connection: keep-alive, close\r\n", false),
    ] {
        let head = request(&format!("GET / HTTP/{version}"), fields).expect(fields);
        assert_eq!(head.keep_alive(), keep_alive, "{version} {fields}"); // RFC 9112 §9.3
    }
}

#[test]
fn a_field_count_of_exactly_the_cap_passes_and_one_more_does_not() {
    // Below, at and above what fits the stack.
    for cap in [1, 100, 128, 129, 1000] {
        let limits = HeadLimits { max_header_fields: cap, ..LIMITS };
        let mut text = String::from("GET / HTTP/1.1\r\nHost: a\r\n");
        for index in 1..cap {
            let _ = write!(text, "x{index}: y\r\n");
        }
        let exact = head(format!("{text}\r\n").as_bytes(), false, &limits).expect("at the cap");
        assert_eq!(exact.field_count(), cap);
        let over = head(format!("{text}z: y\r\n\r\n").as_bytes(), false, &limits);
        assert_eq!(over.err(), refused(431, Reason::HeaderFields), "{cap}");
    }
}

/// Numbers that are the same on every run (Marsaglia's xorshift).
struct Random(u64);

impl Random {
    fn below(&mut self, bound: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 % bound as u64) as usize
    }
}

/// Scan and parse in pieces that end at these offsets, the last of which is the whole.
fn in_pieces(octets: &[u8], offsets: &[usize]) -> Result<Option<Head>, Refusal> {
    let mut scan = Scan::default();
    for end in offsets {
        if let Some(range) = scan.advance(&octets[..*end], &LIMITS)? {
            return head(&octets[range], false, &LIMITS).map(Some);
        }
    }
    Ok(None)
}

#[test]
fn mutated_heads_never_panic_and_what_passes_is_well_formed() {
    let seeds = [
        &b"GET /a?b HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"[..],
        b"POST http://a:1/x HTTP/1.1\r\nHost: a:1\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\n",
        b"\r\nOPTIONS * HTTP/1.0\r\nHost: [::1]:80\r\nTransfer-Encoding: chunked\r\nTE: trailers\r\n\r\n",
    ];
    let spice = b"\r\n\t :/?#*@%[],;\0\x7f\xff\xc3aH1";
    let mut random = Random(0x9e37_79b9_7f4a_7c15);
    let mut accepted = 0;
    for round in 0..20_000 {
        let mut octets = seeds[round % seeds.len()].to_vec();
        for _ in 0..random.below(4) {
            let at = random.below(octets.len());
            match random.below(3) {
                0 => octets[at] = spice[random.below(spice.len())],
                1 => octets.insert(at, spice[random.below(spice.len())]),
                _ => drop(octets.remove(at)),
            }
        }
        let whole = in_pieces(&octets, &[octets.len()]);
        let split = in_pieces(&octets, &[random.below(octets.len()), octets.len()]);
        let text = String::from_utf8_lossy(&octets);
        match (whole, split) {
            (Ok(Some(whole)), Ok(Some(split))) => {
                accepted += 1;
                assert_eq!(whole.header_block(), split.header_block(), "{text:?}");
                check_invariants(&whole);
            }
            (Ok(None), Ok(None)) => {}
            (Err(whole), Err(split)) => assert_eq!(whole, split, "{text:?}"),
            (whole, split) => panic!("{whole:?} and {split:?} for {text:?}"),
        }
    }
    assert!(accepted > 1000, "{accepted}");
}

/// What every caller may rely on: a Rust handler gets its http types, a C caller finds every field in the
/// block.
fn check_invariants(head: &Head) {
    assert!(::http::Method::from_bytes(head.method()).is_ok());
    assert!(::http::Uri::try_from(head.target()).is_ok(), "{head:?}");
    let mut block = Vec::new();
    for (name, value) in head.fields() {
        assert!(
            ::http::HeaderName::from_bytes(name).is_ok() && ::http::HeaderValue::from_bytes(value).is_ok()
        );
        assert!(!name.iter().any(u8::is_ascii_uppercase));
        for text in [name, value] {
            block.extend_from_slice(text);
            block.push(0);
        }
    }
    assert_eq!(block, head.header_block());
    assert_eq!(head.get(b"HOST", 1), None);
    assert!(head.content_length().is_none_or(|_| head.get(b"transfer-encoding", 0).is_none()));
}
