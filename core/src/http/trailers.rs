//! Trailer fields of a request, for both protocols: packed like a header block, with those dropped that a
//! peer must not put behind its content. They are never merged into the header section (RFC 9110 §6.5.2).

use ::http::HeaderMap;

use crate::http::head::{HeadLimits, Refusal};
use crate::http::octets::is_token;
use crate::reason::Reason;

/// The trailer section of one request, in order: names in lower case, values trimmed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Trailers {
    block: Vec<u8>,
    count: usize,
}

impl Trailers {
    /// What h2 decoded, within the header caps; a section over them is malformed and ends the stream.
    pub(crate) fn from_h2(fields: &HeaderMap, limits: &HeadLimits) -> Result<Self, Refusal> {
        let size: usize = fields.iter().map(|(name, value)| name.as_str().len() + value.len() + 32).sum();
        if fields.len() > limits.max_header_fields || size > limits.max_header_bytes {
            return Err(Refusal { status: None, reason: Reason::BodySyntax });
        }
        // http 1.5.0 takes a quotation mark for a token's character.
        if !fields.keys().all(|name| is_token(name.as_str().as_bytes())) {
            return Err(Refusal { status: None, reason: Reason::HeaderPolicy });
        }
        let mut trailers = Self::default();
        for (name, value) in fields {
            trailers.push(name.as_str().as_bytes(), value.as_bytes());
        }
        Ok(trailers)
    }

    /// Appends a field that is a token and a value without controls; drops a forbidden one.
    pub(super) fn push(&mut self, name: &[u8], value: &[u8]) {
        if is_forbidden(name) {
            return;
        }
        let start = self.block.len();
        self.block.extend_from_slice(name);
        self.block[start..].make_ascii_lowercase();
        self.block.push(0);
        self.block.extend_from_slice(value);
        self.block.push(0);
        self.count += 1;
    }

    /// How many fields were kept.
    pub fn len(&self) -> usize {
        self.count
    }

    /// Whether none was.
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// Names and values.
    pub fn iter(&self) -> impl Iterator<Item = (&[u8], &[u8])> {
        let mut texts = self.block.split(|octet| *octet == 0);
        // Behind the last NUL there is an empty text, which is half a pair and ends the walk.
        std::iter::from_fn(move || Some((texts.next()?, texts.next()?)))
    }

    /// All fields in one piece: `name NUL value NUL ...`.
    pub fn block(&self) -> &[u8] {
        &self.block
    }
}

/// Whether a field must not stand in a trailer section: framing, routing, request modifiers,
/// authentication, control of the response, content format (RFC 9110 §6.5.1). A program that took them
/// would decide anew what was decided before the content, by rules of a gateway that never saw them.
pub(super) fn is_forbidden(name: &[u8]) -> bool {
    FORBIDDEN.iter().any(|forbidden| name.eq_ignore_ascii_case(forbidden))
}

const FORBIDDEN: [&[u8]; 43] = [
    // Framing and connection (RFC 9112 §6, §9; RFC 9110 §7).
    b"connection",
    b"content-length",
    b"http2-settings",
    b"keep-alive",
    b"proxy-connection",
    b"te",
    b"trailer",
    b"transfer-encoding",
    b"upgrade",
    // Routing.
    b"forwarded",
    b"host",
    b"x-forwarded-for",
    b"x-forwarded-host",
    b"x-forwarded-proto",
    // Request modifiers.
    b"cache-control",
    b"expect",
    b"if-match",
    b"if-modified-since",
    b"if-none-match",
    b"if-range",
    b"if-unmodified-since",
    b"max-forwards",
    b"pragma",
    b"range",
    // Authentication.
    b"authorization",
    b"cookie",
    b"proxy-authenticate",
    b"proxy-authorization",
    b"set-cookie",
    b"www-authenticate",
    // Control of the response.
    b"age",
    b"date",
    b"expires",
    b"location",
    b"retry-after",
    b"strict-transport-security",
    b"vary",
    b"warning",
    // Format of the content.
    b"content-disposition",
    b"content-encoding",
    b"content-language",
    b"content-range",
    b"content-type",
];

#[cfg(test)]
mod tests {
    use ::http::{HeaderMap, HeaderName, HeaderValue};

    use super::Trailers;
    use crate::http::head::{HeadLimits, Refusal};
    use crate::reason::Reason;

    const LIMITS: HeadLimits = HeadLimits {
        max_header_bytes: 3 + 32 + 32 + 4,
        max_header_fields: 2,
        max_cookie_fields: 0,
        max_target_bytes: 1,
    };

    fn map(fields: &[(&'static str, &'static str)]) -> HeaderMap {
        fields
            .iter()
            .map(|(name, value)| (HeaderName::from_static(name), HeaderValue::from_static(value)))
            .collect()
    }

    #[test]
    fn fields_are_packed_and_walked() {
        let mut trailers = Trailers::default();
        assert!(trailers.is_empty() && trailers.iter().next().is_none());
        trailers.push(b"X-Sum", b"1");
        trailers.push(b"empty", b"");
        assert_eq!(trailers.block(), b"x-sum\x001\0empty\0\0");
        assert_eq!(trailers.iter().collect::<Vec<_>>(), [(&b"x-sum"[..], &b"1"[..]), (b"empty", b"")]);
        assert_eq!(trailers.len(), 2);
    }

    #[test]
    fn forbidden_fields_are_dropped() {
        let mut trailers = Trailers::default();
        for name in [
            "Content-Length",
            "TRANSFER-ENCODING",
            "host",
            "authorization",
            "set-cookie",
            "content-type",
            "te",
        ] {
            trailers.push(name.as_bytes(), b"x"); // RFC 9110 §6.5.1
        }
        assert!(trailers.is_empty());
    }

    #[test]
    fn an_http2_section_is_held_to_the_header_caps() {
        let exact = map(&[("ab", "cd"), ("e", "fg")]);
        assert_eq!(Trailers::from_h2(&exact, &LIMITS).map(|trailers| trailers.len()), Ok(2));
        for over in [map(&[("ab", "cd"), ("e", "fgh")]), map(&[("a", ""), ("b", ""), ("c", "")])] {
            let refusal = Refusal { status: None, reason: Reason::BodySyntax };
            assert_eq!(Trailers::from_h2(&over, &LIMITS), Err(refusal));
        }
    }
}
