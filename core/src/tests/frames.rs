//! Hand-made frames of HTTP/2 (RFC 9113 §4, §6), for peers that say what no client would.

/// What a client begins with (RFC 9113 §3.4).
pub(crate) const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

pub(crate) const DATA: u8 = 0;
pub(crate) const HEADERS: u8 = 1;
pub(crate) const PRIORITY: u8 = 2;
pub(crate) const RESET: u8 = 3;
pub(crate) const SETTINGS: u8 = 4;
pub(crate) const PING: u8 = 6;
pub(crate) const GOAWAY: u8 = 7;
pub(crate) const WINDOW_UPDATE: u8 = 8;
pub(crate) const END_STREAM: u8 = 1;
pub(crate) const ACK: u8 = 1;
pub(crate) const END_HEADERS: u8 = 4;

/// A frame as it goes over the wire.
pub(crate) fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let mut octets = (payload.len() as u32).to_be_bytes()[1..].to_vec();
    octets.extend([kind, flags]);
    octets.extend(stream.to_be_bytes());
    octets.extend(payload);
    octets
}

/// A field that is sent as it is, without the tables.
pub(crate) fn literal(name: &str, value: &str) -> Vec<u8> {
    let mut octets = vec![0];
    for text in [name, value] {
        integer(&mut octets, text.len());
        octets.extend(text.as_bytes());
    }
    octets
}

/// A length of RFC 7541 §5.1, with a prefix of seven bits.
fn integer(octets: &mut Vec<u8>, mut value: usize) {
    if value < 127 {
        octets.push(value as u8);
        return;
    }
    octets.push(127);
    value -= 127;
    while value >= 128 {
        octets.push(value as u8 | 128);
        value >>= 7;
    }
    octets.push(value as u8);
}

/// A header block for this request to `http://a`.
pub(crate) fn block(method: &str, path: &str, fields: &[(&str, &str)]) -> Vec<u8> {
    let mut octets = vec![0x86]; // :scheme http
    octets.extend(literal(":method", method));
    octets.extend(literal(":path", path));
    octets.extend(literal(":authority", "a"));
    for (name, value) in fields {
        octets.extend(literal(name, value));
    }
    octets
}
