//! The parsers: a verdict never depends on how the octets arrived, and what is accepted is what the policy allows.

use rustls::server::Acceptor;

use super::{choices, cuts};
use crate::http::h1::chunked::{Chunked, Decoded};
use crate::http::h1::parse;
use crate::http::h1::scan::Scan;
use crate::http::head::{Framing, Head, HeadLimits, Refusal, Storage};
use crate::http::octets::{VALUE, all, is_token};
use crate::proxy::header;
use crate::settings::ProxyProtocol;
use crate::tls::{HelloProgress, HelloReader};

/// Caps that are met easily, and those that are on by default.
fn limits(choice: u8) -> HeadLimits {
    let pick = |shift: u8, from: [usize; 4]| from[usize::from(choice >> shift & 3)];
    HeadLimits {
        max_header_bytes: pick(0, [16_384, 64, 200, 1_000]),
        max_header_fields: pick(2, [100, 1, 3, 200]),
        max_cookie_fields: 200,
        max_target_bytes: pick(4, [8_192, 1, 20, 200]),
    }
}

/// A head of HTTP/1, and the chunks behind it.
pub fn head(data: &[u8]) {
    let Some(([choice, seed], octets)) = choices(data) else { return };
    let limits = limits(choice);
    let verdict = Scan::default().advance(octets, &limits);
    let mut scan = Scan::default();
    let mut in_pieces = Ok(None);
    for cut in cuts(octets.len(), seed) {
        in_pieces = scan.advance(&octets[..cut], &limits);
        if in_pieces != Ok(None) {
            break;
        }
    }
    assert_eq!(in_pieces, verdict);
    match verdict {
        Err(refusal) => check_refusal(refusal),
        Ok(None) => {}
        Ok(Some(range)) => {
            assert!(range.len() <= limits.max_header_bytes);
            let end = range.end;
            match parse::head(&octets[range], choice & 64 != 0, &limits, &mut Storage::default()) {
                Err(refusal) => check_refusal(refusal),
                Ok(head) => {
                    check_head(&head, &limits);
                    if head.framing() == Framing::Chunked {
                        check_chunks(&octets[end..], &limits, seed);
                    }
                }
            }
        }
    }
}

fn check_refusal(refusal: Refusal) {
    assert!(matches!(refusal.status, Some(400 | 414 | 417 | 431 | 501 | 505)), "{refusal:?}");
}

fn check_head(head: &Head, limits: &HeadLimits) {
    assert!(is_token(head.method()));
    assert!(!head.target().is_empty() && head.target().len() <= limits.max_target_bytes);
    assert!(head.target().iter().all(|octet| *octet > b' ' && *octet != 0x7f && *octet != b'#'));
    assert!(!head.authority().is_empty());
    assert!(head.field_count() <= limits.max_header_fields);
    let mut block = Vec::new();
    for (name, value) in head.fields() {
        assert!(is_token(name) && !name.iter().any(u8::is_ascii_uppercase));
        assert!(all(VALUE, value) && !matches!(value, [b' ' | b'\t', ..] | [.., b' ' | b'\t']));
        block.extend([name, b"\0", value, b"\0"].concat());
    }
    assert_eq!(head.header_block(), block);
    let lines = |name: &str| head.fields().filter(|(field, _)| *field == name.as_bytes()).count();
    assert_eq!(lines("host"), 1);
    let (lengths, codings) = (lines("content-length"), lines("transfer-encoding"));
    let framing = match head.framing() {
        Framing::None => (0, 0),
        Framing::Length(_) => (1, 0),
        Framing::Chunked => (0, 1),
        Framing::Unknown => unreachable!("of HTTP/2 alone"),
    };
    assert_eq!((lengths, codings), framing);
}

/// The chunked coding.
pub fn chunked(data: &[u8]) {
    if let Some(([choice, seed], octets)) = choices(data) {
        check_chunks(octets, &limits(choice), seed);
    }
}

fn check_chunks(octets: &[u8], limits: &HeadLimits, seed: u8) {
    let at_once = decode(octets, limits, [octets.len()]);
    assert_eq!(decode(octets, limits, cuts(octets.len(), seed)), at_once);
    if let Ok((content, taken, trailers)) = at_once {
        assert!(content.len() <= taken && taken <= octets.len());
        if let Some(trailers) = trailers {
            assert!(octets[..taken].ends_with(b"\r\n\r\n"));
            assert!(trailers.len() <= limits.max_header_bytes);
        }
    }
}

/// Content, octets taken, and the trailer section if the coding ended.
type Coding = (Vec<u8>, usize, Option<Vec<u8>>);

fn decode(
    octets: &[u8],
    limits: &HeadLimits,
    cuts: impl IntoIterator<Item = usize>,
) -> Result<Coding, Refusal> {
    let mut decoder = Chunked::new(limits);
    let (mut content, mut taken) = (Vec::new(), 0);
    for cut in cuts {
        let mut input = &octets[taken..cut];
        loop {
            match decoder.decode(&mut input)? {
                Decoded::Content(piece) => content.extend_from_slice(piece),
                Decoded::More => break,
                Decoded::End => {
                    let taken = cut - input.len();
                    return Ok((content, taken, Some(decoder.into_trailers().block().to_vec())));
                }
            }
        }
        assert!(input.is_empty());
        taken = cut;
    }
    Ok((content, taken, None))
}

/// A PROXY header.
pub fn proxy(data: &[u8]) {
    let Some(([choice, seed], octets)) = choices(data) else { return };
    let versions = [ProxyProtocol::V1, ProxyProtocol::V2, ProxyProtocol::Any][usize::from(choice % 3)];
    let verdict = header::parse(octets, versions);
    for cut in cuts(octets.len(), seed) {
        match header::parse(&octets[..cut], versions) {
            Ok(None) => {}
            decided => {
                assert_eq!(decided, verdict);
                break;
            }
        }
    }
    match verdict {
        Ok(Some((named, length))) => {
            assert!(length <= octets.len() && length <= 4_096);
            assert!(named.is_none_or(|(source, target)| source.is_ipv4() == target.is_ipv4()));
            // What comes behind a header is not part of it.
            assert_eq!(header::parse(&octets[..length], versions), verdict);
        }
        // Nobody may wait for ever for what cannot come.
        Ok(None) => assert!(octets.len() < 4_096),
        Err(_) => {}
    }
}

/// A ClientHello in any fragmentation: of the wire, and of its message over records.
pub fn client_hello(data: &[u8]) {
    let Some(([choice, seed], octets)) = choices(data) else { return };
    let cap = [16 * 1_024, 64, 300, 65_535][usize::from(choice & 3)];
    let wire = if choice & 4 == 0 { octets.to_vec() } else { in_records(octets, seed) };
    let (verdict, replay) = read(&wire, cap, [wire.len()]);
    assert_eq!(read(&wire, cap, cuts(wire.len(), seed.wrapping_add(1))).0, verdict);
    match &verdict {
        HelloProgress::NeedMore => assert!(wire.len() <= cap),
        HelloProgress::Plaintext => assert_eq!(replay, wire),
        HelloProgress::Refused(_) => {}
        HelloProgress::Complete(facts) => {
            let mut acceptor = Acceptor::default();
            acceptor.read_tls(&mut &replay[..]).expect("a slice");
            let accepted = acceptor.accept().ok().flatten().expect("what was taken for a hello is one");
            assert_eq!(accepted.client_hello().server_name(), facts.server_name.as_deref());
        }
    }
    // Of one message the records say nothing; behind its end a record's edge makes a difference.
    let length =
        octets.get(1..4).map(|length| length.iter().fold(0, |sum, octet| sum << 8 | usize::from(*octet)));
    if choice & 4 != 0
        && cap == 65_535
        && wire.len() <= cap
        && length.is_some_and(|length| length + 4 == octets.len())
    {
        let in_one = in_records(octets, u8::MAX);
        assert_eq!(read(&in_one, cap, [in_one.len()]).0, verdict);
    }
}

/// The message over handshake records, cut as `seed` says; `u8::MAX`: in as few as it fits.
fn in_records(message: &[u8], seed: u8) -> Vec<u8> {
    // The longest fragment of RFC 8446 §5.1.
    const LONGEST: usize = 1 << 14;
    let mut wire = Vec::new();
    let mut begin = 0;
    let ends: Vec<usize> = match seed {
        u8::MAX => (1..=message.len().div_ceil(LONGEST)).map(|n| message.len().min(n * LONGEST)).collect(),
        seed => cuts(message.len(), seed).collect(),
    };
    for end in ends {
        let [high, low] = ((end - begin) as u16).to_be_bytes();
        wire.extend([22, 3, 1, high, low]);
        wire.extend(&message[begin..end]);
        begin = end;
    }
    wire
}

fn read(wire: &[u8], cap: usize, cuts: impl IntoIterator<Item = usize>) -> (HelloProgress, Vec<u8>) {
    let mut reader = HelloReader::new(cap);
    let mut begin = 0;
    for end in cuts {
        match reader.feed(&wire[begin..end]) {
            HelloProgress::NeedMore => begin = end,
            decided => return (decided, reader.into_replay()),
        }
    }
    (HelloProgress::NeedMore, Vec::new())
}
