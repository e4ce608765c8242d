//! `uri-host [ ":" port ]` as Host, `:authority` and an absolute target carry it (RFC 3986 §3.2, RFC 9110
//! §4.2). Userinfo is refused everywhere: RFC 9110 §4.2.4 calls it a tool for hiding the true host.

use std::net::Ipv6Addr;

use crate::http::octets;

/// Whether this is a non-empty host with an optional port, and nothing else.
pub(super) fn is_valid(authority: &[u8]) -> bool {
    split(authority).is_some()
}

/// Whether two authorities name the same host (in any case) and the same port; false if either is invalid.
///
/// An empty port is an absent one (RFC 3986 §6.2.3). A scheme's default port is not filled in: RFC 9112
/// §3.2.2 wants Host to repeat the authority, and a proxy and we could disagree about the scheme.
pub(super) fn is_same(a: &[u8], b: &[u8]) -> bool {
    match (split(a), split(b)) {
        (Some((host_a, port_a)), Some((host_b, port_b))) => {
            host_a.eq_ignore_ascii_case(host_b) && port_a == port_b
        }
        _ => false,
    }
}

/// The host of a valid authority.
pub(crate) fn host(authority: &[u8]) -> &[u8] {
    split(authority).map_or(b"", |(host, _)| host)
}

fn split(authority: &[u8]) -> Option<(&[u8], Option<u16>)> {
    let plain = authority.iter().take_while(|octet| octets::is(octets::REG_NAME, **octet)).count();
    let host_len = match authority[plain..] {
        [] | [b':', ..] => plain,
        [b'%', ..] => encoded_name_len(authority)?,
        [b'[', ..] if plain == 0 => ipv6_literal_len(authority)?,
        _ => return None,
    };
    let (host, rest) = authority.split_at(host_len);
    if host.is_empty() {
        return None;
    }
    Some((host, parse_port(rest)?))
}

/// `None` for a malformed port, `Some(None)` for none.
fn parse_port(rest: &[u8]) -> Option<Option<u16>> {
    let digits = match rest {
        [] | [b':'] => return Some(None),
        [b':', digits @ ..] => digits,
        _ => return None,
    };
    let mut port = 0u32;
    for digit in digits {
        // Never above ten times 65,535 and nine: leading zeros may be many, the number may not be large.
        port = port * 10 + u32::from(digit.is_ascii_digit().then(|| digit - b'0')?);
        if port > u32::from(u16::MAX) {
            return None;
        }
    }
    u16::try_from(port).ok().map(Some)
}

/// Of `[` IPv6address `]`. IPvFuture has no assigned version, and zone identifiers mean nothing to a peer.
fn ipv6_literal_len(authority: &[u8]) -> Option<usize> {
    let end = authority.iter().position(|octet| *octet == b']')?;
    let inner = std::str::from_utf8(&authority[1..end]).ok()?;
    inner.parse::<Ipv6Addr>().is_ok().then_some(end + 1)
}

/// Of a registered name (RFC 3986 §3.2.2), of which octets are percent-encoded.
fn encoded_name_len(authority: &[u8]) -> Option<usize> {
    let host = authority.split(|octet| *octet == b':').next()?;
    let mut pieces = host.split(|octet| *octet == b'%');
    let plain = pieces.next()?;
    let encoded = |piece: &[u8]| match piece {
        [high, low, rest @ ..] => {
            high.is_ascii_hexdigit() && low.is_ascii_hexdigit() && octets::all(octets::REG_NAME, rest)
        }
        _ => false,
    };
    (octets::all(octets::REG_NAME, plain) && pieces.all(encoded)).then_some(host.len())
}

#[cfg(test)]
mod tests {
    use super::{is_same, is_valid};

    #[test]
    fn a_host_with_an_optional_port_is_valid() {
        let names =
            "a example.com EXAMPLE.com:443 a: a:0 a:65535 under_score.test x%41.test sub!$&'()*+,;=delims";
        let addresses = "127.0.0.1:8080 [::1] [::1]:8443 [1:2:3:4:5:6:7.8.9.10] [::ffff:1.2.3.4]:";
        for good in names.split(' ').chain(addresses.split(' ')) {
            assert!(is_valid(good.as_bytes()), "{good}");
        }
    }

    #[test]
    fn anything_else_is_not() {
        let names = "user@a user:pw@a a/ / a? a# a% a%4 a%4g a] a[ a\\b a\" <a> é";
        let ports = ":80 a:b a:+80 a:-1 a:65536 a:80:80 a:99999999999999999999";
        let addresses = "[::1 ::1 [::1]x [::1]:x [] [a] [ ] [fe80::1%eth0] [v1.x] [::1]] [[::1]";
        for bad in [names, ports, addresses].iter().flat_map(|list| list.split(' ')) {
            assert!(!is_valid(bad.as_bytes()), "{bad}");
        }
        for bad in [&b""[..], b"a b", b" a", b"a ", b"a:8 0", b"a\t", b"a\0", b"a\x7f", b"\xff"] {
            assert!(!is_valid(bad), "{}", bad.escape_ascii());
        }
    }

    #[test]
    fn equality_ignores_case_and_an_empty_port_only() {
        for (a, b) in
            [("A.test", "a.TEST"), ("a:", "a"), ("a:80", "A:80"), ("a:080", "a:80"), ("[::A]", "[::a]")]
        {
            assert!(is_same(a.as_bytes(), b.as_bytes()), "{a} {b}");
        }
        for (a, b) in [("a", "b"), ("a:80", "a"), ("a:80", "a:81"), ("", ""), ("a@b", "a@b")] {
            assert!(!is_same(a.as_bytes(), b.as_bytes()), "{a} {b}");
        }
    }
}
