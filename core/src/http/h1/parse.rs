//! From the octets of a complete HTTP/1.x head to a `Head`, or the reason why it is refused.
//!
//! httparse reads tokens, which it shares with hyper; everything it lets pass and our policy does not is
//! refused here. `scan.rs` has found the end, held the caps on octets, and refused bare CR and LF.

use std::mem::MaybeUninit;

use httparse::{Error, Header, Status};

use crate::http::authority;
use crate::http::head::{Builder, ControlData, Framing, Head, HeadLimits, Refusal, Storage, Traits, Version};
use crate::http::octets::is_token;
use crate::http::policy::{Expectation, MALFORMED, Noted, TransferEncoding, trim};
use crate::http::target;
use crate::reason::Reason;

/// Reads the head that [`Scan`](super::scan::Scan) delimited: from the request line through the empty line. `storage` is used up
/// by a head that is taken.
pub(crate) fn head(
    octets: &[u8],
    secure: bool,
    limits: &HeadLimits,
    storage: &mut Storage,
) -> Result<Head, Refusal> {
    let slots = limits.max_header_fields;
    // Slots need no initialisation, so that the stack costs nothing; a head that needs the heap is parsed
    // twice.
    let mut on_stack = [const { MaybeUninit::uninit() }; SLOTS_ON_STACK];
    match read(octets, secure, &mut on_stack[..slots.min(SLOTS_ON_STACK)], storage) {
        Err(TOO_MANY_FIELDS) if slots > SLOTS_ON_STACK => {
            read(octets, secure, &mut vec![MaybeUninit::uninit(); slots], storage)
        }
        decided => decided,
    }
}

/// 4 KiB; the default of `max_header_fields` is below it.
const SLOTS_ON_STACK: usize = 128;

const TOO_MANY_FIELDS: Refusal = Refusal::answer(431, Reason::HeaderFields);

const SYNTAX: Refusal = Refusal::answer(400, Reason::HeaderSyntax);

fn read<'a>(
    octets: &'a [u8],
    secure: bool,
    slots: &mut [MaybeUninit<Header<'a>>],
    storage: &mut Storage,
) -> Result<Head, Refusal> {
    let mut request = httparse::Request::new(&mut []);
    match request.parse_with_uninit_headers(octets, slots) {
        Ok(Status::Complete(len)) if len == octets.len() => {}
        Ok(_) => return Err(SYNTAX),
        Err(Error::Version) => return served_as_1_1(octets, secure, slots.len(), storage),
        Err(error) => return Err(why(error, octets)),
    }
    let (Some(method), Some(target), Some(minor)) = (request.method, request.path, request.version) else {
        return Err(SYNTAX);
    };
    let version = if minor == 0 { Version::Http10 } else { Version::Http11 };
    build(method.as_bytes(), target.as_bytes(), version, secure, octets.len(), request.headers, storage)
}

/// httparse takes versions 1.0 and 1.1 only. Later minor versions are served as 1.1 (RFC 9110 §2.5), which
/// costs a copy that nobody but a tester asks for.
fn served_as_1_1(octets: &[u8], secure: bool, slots: usize, storage: &mut Storage) -> Result<Head, Refusal> {
    let line_len = memchr::memchr(b'\r', octets).ok_or(SYNTAX)?;
    let version = octets[..line_len].splitn(3, |octet| *octet == b' ').nth(2).ok_or(SYNTAX)?;
    match version {
        [b'H', b'T', b'T', b'P', b'/', b'1', b'.', b'2'..=b'9'] => {}
        [b'H', b'T', b'T', b'P', b'/', major, b'.', minor]
            if major.is_ascii_digit() && minor.is_ascii_digit() =>
        {
            return Err(Refusal::answer(505, Reason::HeaderPolicy));
        }
        _ => return Err(SYNTAX),
    }
    let mut octets = octets.to_vec();
    octets[line_len - 1] = b'1';
    read(&octets, secure, &mut vec![MaybeUninit::uninit(); slots], storage)
}

/// Which of our two reasons an error of httparse is.
fn why(error: Error, octets: &[u8]) -> Refusal {
    match error {
        Error::TooManyHeaders => TOO_MANY_FIELDS,
        Error::HeaderName if is_folded_or_spaced(octets) => MALFORMED,
        _ => SYNTAX,
    }
}

/// Whether the first line that has no token for a name is obs-fold, or has whitespace before its colon (RFC
/// 9112 §5.1, §5.2): lines that some parsers take, and then attach to another field.
fn is_folded_or_spaced(octets: &[u8]) -> bool {
    let mut lines = octets.split(|octet| *octet == b'\n').skip(1);
    let offender = lines.find_map(|line| match memchr::memchr(b':', line) {
        Some(colon) => (!is_token(&line[..colon])).then_some((line, &line[..colon])),
        None => Some((line, &line[..0])),
    });
    offender.is_some_and(|(line, name)| matches!(line[..], [b' ' | b'\t', ..]) || is_token(trim(name)))
}

fn build(
    method: &[u8],
    target: &[u8],
    version: Version,
    secure: bool,
    octets: usize,
    fields: &[Header<'_>],
    storage: &mut Storage,
) -> Result<Head, Refusal> {
    if method == b"CONNECT" {
        return Err(Refusal::answer(501, Reason::HeaderPolicy));
    }
    let parts = target::parse(method, target)?;
    let mut noted = Noted::default();
    for field in fields {
        noted.field(field.name.as_bytes(), field.value)?;
    }
    // RFC 9112 §3.2: no Host is a 400. The RFC spares HTTP/1.0; a name to serve is needed there as well.
    let authority = noted.host.ok_or(MALFORMED)?;
    // RFC 9112 §3.2.2 lets an absolute target win over Host; whoever looked at Host in front of us did not
    // know.
    if !parts.authority.is_empty() && !authority::is_same(&target[parts.authority.clone()], authority) {
        return Err(MALFORMED);
    }
    let framing = framing(&noted, version)?;
    let traits = Traits {
        version,
        secure,
        framing,
        // RFC 9112 §9.3, close first.
        keep_alive: !noted.close && (version != Version::Http10 || noted.keep_alive),
        expects_continue: expects_continue(&noted, version)?,
        te_trailers: noted.te_trailers,
    };
    let control = ControlData { method, target, parts, authority };
    // Each field lost a colon and a CRLF or more, and gained two NULs; only the authority stands there twice.
    let mut builder = Builder::new(&control, traits, storage, octets + authority.len(), fields.len());
    let mut lengths = 0;
    for field in fields {
        // Repeated lengths are identical by now, and one line says it all (RFC 9110 §8.6).
        if noted.repeats_length && field.name.eq_ignore_ascii_case("content-length") {
            lengths += 1;
            if lengths > 1 {
                continue;
            }
        }
        builder.field(field.name.as_bytes(), [field.value]);
    }
    Ok(builder.finish())
}

/// Where the content ends (RFC 9112 §6.3), if every hop must read it so.
fn framing(noted: &Noted<'_>, version: Version) -> Result<Framing, Refusal> {
    match (noted.transfer_encoding, noted.content_length) {
        (None, None) => Ok(Framing::None),
        (None, Some(length)) => Ok(Framing::Length(length)),
        // RFC 9112 §6.1: a 1.0 hop that did not know the coding has found another end.
        (Some(_), _) if version == Version::Http10 => Err(MALFORMED),
        // RFC 9112 §6.3: may be an attempt at smuggling, and ought to be an error.
        (Some(_), Some(_)) => Err(MALFORMED),
        (Some(TransferEncoding::Chunked), None) => Ok(Framing::Chunked),
        (Some(TransferEncoding::Malformed), None) => Err(MALFORMED),
        // RFC 9112 §6.1.
        (Some(TransferEncoding::Unknown), None) => Err(Refusal::answer(501, Reason::HeaderPolicy)),
    }
}

fn expects_continue(noted: &Noted<'_>, version: Version) -> Result<bool, Refusal> {
    match noted.expectation {
        None => Ok(false),
        // RFC 9110 §10.1.1: ignored in a 1.0 request.
        Some(Expectation::Continue) => Ok(version != Version::Http10),
        Some(Expectation::Unknown) => Err(Refusal::answer(417, Reason::HeaderPolicy)),
    }
}

#[cfg(test)]
mod tests;
