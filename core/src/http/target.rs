//! The request target in its forms (RFC 9112 §3.2): which octets it may hold, and where its authority, path
//! and query lie. Nothing is decoded or normalised: path and query are slices of what the peer sent.

use std::ops::Range;

use crate::http::authority;
use crate::http::head::Refusal;
use crate::http::octets;
use crate::reason::Reason;

/// Where the parts of a target lie in it. The asterisk is a path; an absolute target may have an empty one.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Target {
    /// Empty unless the target is absolute.
    pub(super) authority: Range<usize>,
    pub(super) path: Range<usize>,
    /// Without its `?`; empty if there is none.
    pub(super) query: Range<usize>,
}

/// Reads a target of HTTP/1.x. CONNECT, whose form is authority-form, has been answered before.
pub(super) fn parse(method: &[u8], target: &[u8]) -> Result<Target, Refusal> {
    if target.starts_with(b"/") || target == b"*" {
        return parse_path(method, target);
    }
    let authority_start = ["http://", "https://"]
        .iter()
        .find(|scheme| {
            target.len() >= scheme.len() && target[..scheme.len()].eq_ignore_ascii_case(scheme.as_bytes())
        })
        .map(|scheme| scheme.len())
        .ok_or(REFUSED)?;
    let authority_len =
        target[authority_start..].iter().position(|octet| matches!(octet, b'/' | b'?' | b'#'));
    let authority_end = authority_len.map_or(target.len(), |len| authority_start + len);
    let authority = authority_start..authority_end;
    // `http::Uri`, which Rust handlers are given, knows no percent-encoded host.
    if !authority::is_valid(&target[authority.clone()]) || target[authority.clone()].contains(&b'%') {
        return Err(REFUSED);
    }
    split(authority, target)
}

/// Reads the target of an HTTP/2 request: origin-form, or the asterisk of OPTIONS (RFC 9113 §8.3.1).
pub(super) fn parse_path(method: &[u8], target: &[u8]) -> Result<Target, Refusal> {
    match target {
        b"*" if method == b"OPTIONS" => Ok(Target { authority: 0..0, path: 0..1, query: 1..1 }),
        [b'/', ..] => split(0..0, target),
        _ => Err(REFUSED),
    }
}

/// Splits what follows the authority, and checks every octet on the way.
fn split(authority: Range<usize>, target: &[u8]) -> Result<Target, Refusal> {
    let start = authority.end;
    let no_path = target[start..].iter().position(|octet| !octets::is(octets::PATH, *octet));
    let path = start..no_path.map_or(target.len(), |len| start + len);
    let query = match target[path.end..] {
        [] => path.end..path.end,
        [b'?', ref query @ ..] if octets::all(octets::QUERY, query) => path.end + 1..target.len(),
        // Cutting a fragment off, as `http::Uri` does, would serve another target than the one an access rule
        // saw.
        _ if target.contains(&b'#') => return Err(REFUSED),
        _ => return Err(Refusal::answer(400, Reason::HeaderSyntax)),
    };
    Ok(Target { authority, path, query })
}

const REFUSED: Refusal = Refusal::answer(400, Reason::HeaderPolicy);

#[cfg(test)]
mod tests {
    use super::{Target, parse, parse_path};
    use crate::reason::Reason;

    #[test]
    fn each_form_is_split_into_its_parts() {
        for (method, target, authority, path, query) in [
            ("GET", "/", "", "/", ""),
            ("GET", "/a/b?c=d?e", "", "/a/b", "c=d?e"),
            ("GET", "/?", "", "/", ""),
            ("GET", "//a/b", "", "//a/b", ""),
            ("GET", "/a%zz\"{}|^\\", "", "/a%zz\"{}|^\\", ""),
            ("GET", "/é?ü", "", "/é", "ü"),
            ("OPTIONS", "*", "", "*", ""),
            ("GET", "http://a.test", "a.test", "", ""),
            ("GET", "HTTPS://a.test:8/x?y", "a.test:8", "/x", "y"),
            ("GET", "http://[::1]?y", "[::1]", "", "y"),
        ] {
            let parsed = parse(method.as_bytes(), target.as_bytes()).expect(target);
            assert_eq!(&target[parsed.authority], authority, "{target}");
            assert_eq!(&target[parsed.path], path, "{target}");
            assert_eq!(&target[parsed.query], query, "{target}");
        }
    }

    #[test]
    fn a_target_in_none_of_the_forms_is_refused() {
        for (method, target, reason) in [
            ("GET", "*", Reason::HeaderPolicy),            // RFC 9112 §3.2.4
            ("options", "*", Reason::HeaderPolicy),        // methods are case-sensitive, RFC 9110 §9.1
            ("OPTIONS", "*a", Reason::HeaderPolicy),       // RFC 9112 §3.2.4
            ("GET", "a", Reason::HeaderPolicy),            // RFC 9112 §3.2
            ("GET", "a:80", Reason::HeaderPolicy),         // authority-form is CONNECT's, RFC 9112 §3.2.3
            ("GET", "?a", Reason::HeaderPolicy),           // RFC 9112 §3.2.1
            ("GET", "ftp://a/", Reason::HeaderPolicy),     // our policy: http and https
            ("GET", "http:/a", Reason::HeaderPolicy),      // RFC 9112 §3.2.2
            ("GET", "http://", Reason::HeaderPolicy),      // RFC 9110 §4.2.1: an empty host
            ("GET", "http:///a", Reason::HeaderPolicy),    // RFC 9110 §4.2.1
            ("GET", "http://u@a/", Reason::HeaderPolicy),  // RFC 9110 §4.2.4
            ("GET", "http://a%41/", Reason::HeaderPolicy), // http::Uri
            ("GET", "/a#b", Reason::HeaderPolicy),         // RFC 9112 §3.2: no fragment
            ("GET", "/a?b#c", Reason::HeaderPolicy),       // RFC 9112 §3.2
            ("GET", "http://a#b", Reason::HeaderPolicy),   // RFC 9112 §3.2
            ("GET", "/a`", Reason::HeaderSyntax),          // RFC 3986 §3.3
            ("GET", "/<a>", Reason::HeaderSyntax),         // RFC 3986 §3.3
            ("GET", "/?\"", Reason::HeaderSyntax),         // RFC 3986 §3.4
            ("GET", "/a\0", Reason::HeaderSyntax),         // RFC 3986 §3.3
            ("GET", "/a b", Reason::HeaderSyntax),         // RFC 9112 §3
        ] {
            let refusal = parse(method.as_bytes(), target.as_bytes()).expect_err(target);
            assert_eq!((refusal.status, refusal.reason), (Some(400), reason), "{target}");
        }
    }

    #[test]
    fn an_http2_path_is_origin_form_or_the_asterisk_of_options() {
        assert_eq!(parse_path(b"OPTIONS", b"*"), Ok(Target { authority: 0..0, path: 0..1, query: 1..1 }));
        assert_eq!(parse_path(b"GET", b"/a?b"), Ok(Target { authority: 0..0, path: 0..2, query: 3..4 }));
        for bad in ["*", "?a", "http://a/", "a"] {
            assert!(parse_path(b"GET", bad.as_bytes()).is_err(), "{bad}");
        }
    }
}
