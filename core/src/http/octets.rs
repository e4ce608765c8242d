//! Which octets may stand where: one table of classes, a bit each. A head is checked octet by octet several
//! times over, and a look-up costs a third of the comparisons it replaces.

/// `tchar` (RFC 9110 §5.6.2).
pub(super) const TCHAR: u8 = 1;

/// HTAB, SP, VCHAR and obs-text (RFC 9110 §5.5): no CR, LF, NUL or other control.
pub(crate) const VALUE: u8 = 2;

/// What `http::Uri` 1.5 takes in a path, so that a target we accept always reaches a Rust handler. Wider
/// than RFC 3986 §3.3: clients send `"{}|^\` and raw UTF-8 (both parsers have seen to it that octets above
/// 0x7f are UTF-8).
pub(super) const PATH: u8 = 4;

/// What `http::Uri` 1.5 takes in a query; likewise.
pub(super) const QUERY: u8 = 8;

/// `unreserved` and `sub-delims` of a registered name (RFC 3986 §3.2.2); percent-encoding is checked apart.
pub(super) const REG_NAME: u8 = 16;

/// Whether the octet belongs to the class.
pub(super) fn is(class: u8, octet: u8) -> bool {
    CLASSES[octet as usize] & class != 0
}

/// Whether every octet does; also true of nothing.
pub(crate) fn all(class: u8, text: &[u8]) -> bool {
    // To the end, whatever is found: a way out costs a branch for each octet of all the texts that are good.
    text.iter().fold(class, |all, octet| all & CLASSES[*octet as usize]) != 0
}

/// Whether this is a `token` (RFC 9110 §5.6.2).
pub(crate) fn is_token(text: &[u8]) -> bool {
    !text.is_empty() && all(TCHAR, text)
}

const CLASSES: [u8; 256] = {
    let mut classes = [0; 256];
    let mut index = 0;
    while index < 256 {
        classes[index] = classify(index as u8);
        index += 1;
    }
    classes
};

const fn classify(octet: u8) -> u8 {
    let mut class = 0;
    let alphanumeric = octet.is_ascii_alphanumeric();
    if alphanumeric
        || matches!(octet, b'!' | b'#'..=b'\'' | b'*' | b'+' | b'-' | b'.' | b'^'..=b'`' | b'|' | b'~')
    {
        class |= TCHAR;
    }
    if matches!(octet, b'\t' | b' '..=b'~' | 0x80..) {
        class |= VALUE;
    }
    if matches!(octet, b'!' | b'"' | b'$'..=b';' | b'=' | b'@'..=b'_' | b'a'..=b'~' | 0x80..) {
        class |= PATH;
    }
    if matches!(octet, b'!' | b'$'..=b';' | b'=' | b'?'..=b'~' | 0x80..) {
        class |= QUERY;
    }
    if alphanumeric || matches!(octet, b'!' | b'$' | b'&'..=b'.' | b';' | b'=' | b'_' | b'~') {
        class |= REG_NAME;
    }
    class
}

#[cfg(test)]
mod tests {
    use super::{PATH, QUERY, REG_NAME, TCHAR, VALUE, is, is_token};

    #[test]
    fn tokens_and_values_are_those_of_the_http_crate() {
        for octet in 0..=255_u8 {
            assert_eq!(is(TCHAR, octet), ::http::HeaderName::from_bytes(&[octet]).is_ok(), "{octet:#x}");
            assert_eq!(is(VALUE, octet), ::http::HeaderValue::from_bytes(&[octet]).is_ok(), "{octet:#x}");
        }
        assert!(!is_token(b"") && is_token(b"a"));
    }

    #[test]
    fn targets_are_those_of_the_http_crate_without_a_fragment() {
        for octet in (0..=127_u8).filter(|octet| !matches!(octet, b'#' | b'?')) {
            let in_path = ::http::Uri::try_from(&[b'/', octet][..]).is_ok();
            assert_eq!(is(PATH, octet), in_path, "{octet:#x}");
            let in_query = ::http::Uri::try_from(&[b'/', b'?', octet][..]).is_ok();
            assert_eq!(is(QUERY, octet), in_query, "{octet:#x}");
        }
        for fragment in [PATH, QUERY] {
            assert!(!is(fragment, b'#'));
        }
        assert!(is(QUERY, b'?') && !is(PATH, b'?'));
    }

    #[test]
    fn a_registered_name_is_that_of_rfc_3986() {
        let allowed = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~!$&'()*+,;=";
        for octet in 0..=255_u8 {
            assert_eq!(is(REG_NAME, octet), allowed.contains(&octet), "{octet:#x}");
        }
    }
}
