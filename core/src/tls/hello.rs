//! The hello phase without its socket: octets go in, a ClientHello comes out. The record layer is read here, since the
//! cap counts octets on the wire and holds for any fragmentation; the message itself is parsed by rustls's `Acceptor`.
//!
//! rustls then sees the message in whole records, however it came: a fragmented hello once made its acceptor panic
//! (CVE-2024-11738), and the transcript hash covers messages, not records.

use rustls::server::Acceptor;
use rustls::{AlertDescription, NamedGroup, ProtocolVersion};

use super::outcome::{ALERT, AlertRecord, Refusal, reason_of};
use crate::reason::Reason;

const CHANGE_CIPHER_SPEC: u8 = 20;
const HANDSHAKE: u8 = 22;
const APPLICATION_DATA: u8 = 23;
const CLIENT_HELLO: u8 = 1;
const RECORD_HEADER: usize = 5;
const MESSAGE_HEADER: usize = 4;
/// RFC 8446 §5.1.
const MAX_FRAGMENT: usize = 1 << 14;
/// A word longer than any registered HTTP method (the longest has 17 letters) is none.
const MAX_METHOD: usize = 32;

/// What a ClientHello says, as far as choosing a configuration needs it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct HelloFacts {
    /// In lower case; an IP address counts as none.
    pub(crate) server_name: Option<Box<str>>,
    /// `None`: the client sent no ALPN extension.
    pub(crate) alpn: Option<Vec<Vec<u8>>>,
    pub(crate) groups: Vec<NamedGroup>,
    pub(crate) tls12: bool,
    pub(crate) tls13: bool,
}

/// How far the hello is.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum HelloProgress {
    /// Not complete, and nothing wrong yet.
    NeedMore,
    /// Complete; [`HelloReader::into_replay`] is what the TLS connection must be fed first.
    Complete(HelloFacts),
    /// The peer speaks plain HTTP; [`HelloReader::into_replay`] is what it sent.
    Plaintext,
    /// Send the alert, if there is one, and close.
    Refused(Refusal),
}

/// Collects a ClientHello from whatever pieces the socket gives.
#[derive(Debug)]
pub(crate) struct HelloReader {
    cap: usize,
    /// Octets of the hello so far, record headers included.
    wire: usize,
    header: [u8; RECORD_HEADER],
    header_len: usize,
    /// Octets that the current record still has.
    record_left: usize,
    message: Vec<u8>,
    /// What came behind the hello; of a peer that speaks no TLS, all that came.
    tail: Vec<u8>,
}

impl HelloReader {
    /// `cap` is `max_client_hello_bytes`.
    pub(crate) fn new(cap: usize) -> Self {
        Self {
            cap,
            wire: 0,
            header: [0; RECORD_HEADER],
            header_len: 0,
            record_left: 0,
            message: Vec::new(),
            tail: Vec::new(),
        }
    }

    /// Takes what the socket gave. Anything but [`HelloProgress::NeedMore`] is final: feed no more.
    pub(crate) fn feed(&mut self, mut input: &[u8]) -> HelloProgress {
        let fresh = self.wire == 0;
        if !self.tail.is_empty() || fresh && input.first().is_some_and(u8::is_ascii_alphabetic) {
            self.tail.extend(input);
            return self.judge_text();
        }
        while !input.is_empty() {
            let step = if self.record_left == 0 {
                self.read_header(&mut input)
            } else {
                self.read_fragment(&mut input)
            };
            if let Err(refusal) = step {
                return HelloProgress::Refused(refusal);
            }
            if self.message_left() == 0 {
                self.tail.extend(input);
                return self.parse();
            }
            // Refused as soon as the cap cannot hold any more, not only when it is passed.
            if self.wire + self.least_to_come() > self.cap {
                return refused(Reason::TlsHelloSize, AlertDescription::DecodeError);
            }
        }
        HelloProgress::NeedMore
    }

    /// Octets on the heap, for the memory budget.
    pub(crate) fn heap_bytes(&self) -> usize {
        self.message.capacity() + self.tail.capacity()
    }

    /// What a TLS connection must read before it reads the socket; after [`HelloProgress::Plaintext`], what the peer sent.
    pub(crate) fn into_replay(self) -> Vec<u8> {
        let mut replay = self.records();
        replay.extend(self.tail);
        replay
    }

    fn read_header(&mut self, input: &mut &[u8]) -> Result<(), Refusal> {
        let wanted = RECORD_HEADER - self.header_len;
        let taken = take(input, wanted);
        self.header[self.header_len..][..taken.len()].copy_from_slice(taken);
        self.header_len += taken.len();
        self.wire += taken.len();
        match self.header[0] {
            HANDSHAKE => {}
            ALERT => return Err(Refusal::silent(Reason::TlsAlertReceived)),
            CHANGE_CIPHER_SPEC | APPLICATION_DATA => {
                return Err(Refusal::with_alert(Reason::TlsProtocol, AlertDescription::UnexpectedMessage));
            }
            // Whatever this octet begins, no reader of alerts is behind it.
            _ => return Err(Refusal::silent(Reason::TlsProtocol)),
        }
        let [_, major, _, length @ ..] = self.header;
        if self.header_len >= 2 && major != 3 {
            return Err(Refusal::with_alert(Reason::TlsProtocol, AlertDescription::ProtocolVersion));
        }
        if self.header_len == RECORD_HEADER {
            self.header_len = 0;
            self.record_left = usize::from(u16::from_be_bytes(length));
            // An empty record is progress for nobody (RFC 8446 §5.1 forbids it for handshake messages).
            if self.record_left == 0 {
                return Err(Refusal::with_alert(Reason::TlsProtocol, AlertDescription::DecodeError));
            }
            if self.record_left > MAX_FRAGMENT {
                return Err(Refusal::with_alert(Reason::TlsProtocol, AlertDescription::RecordOverflow));
            }
        }
        Ok(())
    }

    fn read_fragment(&mut self, input: &mut &[u8]) -> Result<(), Refusal> {
        // Octet by message part, so that the length is known before anything behind the message is taken for it.
        let part = if self.message.len() < MESSAGE_HEADER {
            MESSAGE_HEADER - self.message.len()
        } else {
            self.message_left()
        };
        let taken = take(input, part.min(self.record_left));
        self.message.extend(taken);
        self.wire += taken.len();
        self.record_left -= taken.len();
        let wrong_type = self.message.first().is_some_and(|kind| *kind != CLIENT_HELLO);
        // No message may follow a ClientHello in its flight (RFC 8446 §5.1: it ends at a record boundary).
        let more_behind = self.message_left() == 0 && self.record_left > 0;
        if wrong_type || more_behind {
            return Err(Refusal::with_alert(Reason::TlsProtocol, AlertDescription::UnexpectedMessage));
        }
        Ok(())
    }

    /// Octets that the message still lacks, at least.
    fn message_left(&self) -> usize {
        match self.message.first_chunk::<MESSAGE_HEADER>() {
            Some([_, length @ ..]) => {
                let [high, middle, low] = length.map(usize::from);
                MESSAGE_HEADER + (high << 16 | middle << 8 | low) - self.message.len()
            }
            None => MESSAGE_HEADER - self.message.len(),
        }
    }

    /// Octets that the wire must still bring, at least: the rest of the message, in the fewest records.
    fn least_to_come(&self) -> usize {
        let message = self.message_left();
        let records = message.saturating_sub(self.record_left).div_ceil(MAX_FRAGMENT);
        message + records * RECORD_HEADER - self.header_len
    }

    fn judge_text(&self) -> HelloProgress {
        let letter = |octet: &u8| octet.is_ascii_alphabetic() || *octet == b'-';
        match self.tail.iter().take(MAX_METHOD).find(|octet| !letter(octet)) {
            Some(b' ') => HelloProgress::Plaintext,
            None if self.tail.len() < MAX_METHOD => HelloProgress::NeedMore,
            _ => HelloProgress::Refused(Refusal::silent(Reason::TlsProtocol)),
        }
    }

    fn parse(&self) -> HelloProgress {
        let versions = offered_versions(&self.message);
        let mut acceptor = Acceptor::default();
        let records = self.records();
        let mut unread = &records[..];
        while !unread.is_empty() {
            if acceptor.read_tls(&mut unread).is_err() {
                break;
            }
            match acceptor.accept() {
                Ok(None) => {}
                Ok(Some(accepted)) => {
                    let hello = accepted.client_hello();
                    let Some((tls12, tls13)) = versions else { break };
                    return HelloProgress::Complete(HelloFacts {
                        server_name: hello.server_name().map(Box::from),
                        alpn: hello.alpn().map(|protocols| protocols.map(<[u8]>::to_vec).collect()),
                        groups: hello.named_groups().unwrap_or_default().to_vec(),
                        tls12,
                        tls13,
                    });
                }
                // The acceptor misses extensions that an old client cannot know before it minds the version.
                Err(_) if versions == Some((false, false)) => {
                    return refused(Reason::TlsNoVersion, AlertDescription::ProtocolVersion);
                }
                Err((error, mut alert)) => {
                    let mut record = Vec::new();
                    // Writing to a Vec does not fail.
                    let _ = alert.write_all(&mut record);
                    let alert = AlertRecord::try_from(record).ok();
                    return HelloProgress::Refused(Refusal { reason: reason_of(&error), alert });
                }
            }
        }
        refused(Reason::TlsProtocol, AlertDescription::DecodeError)
    }

    /// The message in as few records as it fits.
    fn records(&self) -> Vec<u8> {
        let count = self.message.len().div_ceil(MAX_FRAGMENT);
        let mut records = Vec::with_capacity(self.message.len() + count * RECORD_HEADER + self.tail.len());
        for fragment in self.message.chunks(MAX_FRAGMENT) {
            // A fragment is at most 2^14 octets long. Version 3.1 is what RFC 8446 §5.1 has clients write.
            let [high, low] = (fragment.len() as u16).to_be_bytes();
            records.extend([HANDSHAKE, 3, 1, high, low]);
            records.extend(fragment);
        }
        records
    }
}

fn refused(reason: Reason, description: AlertDescription) -> HelloProgress {
    HelloProgress::Refused(Refusal::with_alert(reason, description))
}

fn take<'a>(input: &mut &'a [u8], wanted: usize) -> &'a [u8] {
    let (taken, rest) = input.split_at(wanted.min(input.len()));
    *input = rest;
    taken
}

/// Whether TLS 1.2 and TLS 1.3 are offered, which the acceptor does not tell; `None` if the message is cut short.
fn offered_versions(message: &[u8]) -> Option<(bool, bool)> {
    const SUPPORTED_VERSIONS: u16 = 43;
    const RANDOM: usize = 32;
    let mut fields = Fields(message.get(MESSAGE_HEADER..)?);
    let legacy = fields.number::<2>()?;
    fields.octets(RANDOM)?;
    fields.vector::<1>()?; // legacy_session_id
    fields.vector::<2>()?; // cipher_suites
    fields.vector::<1>()?; // legacy_compression_methods
    // Without the extension the legacy field is an upper bound, and TLS 1.3 is not offered (RFC 8446 §4.2.1).
    let by_legacy = (legacy >= usize::from(u16::from(ProtocolVersion::TLSv1_2)), false);
    if fields.0.is_empty() {
        return Some(by_legacy);
    }
    let mut extensions = Fields(fields.vector::<2>()?);
    while !extensions.0.is_empty() {
        let kind = extensions.number::<2>()?;
        let body = extensions.vector::<2>()?;
        if kind == usize::from(SUPPORTED_VERSIONS) {
            let (versions, _) = Fields(body).vector::<1>()?.as_chunks::<2>();
            let offers = |version: ProtocolVersion| versions.contains(&u16::from(version).to_be_bytes());
            return Some((offers(ProtocolVersion::TLSv1_2), offers(ProtocolVersion::TLSv1_3)));
        }
    }
    Some(by_legacy)
}

/// A walk over fields in the presentation language of RFC 8446 §3.
struct Fields<'a>(&'a [u8]);

impl<'a> Fields<'a> {
    fn octets(&mut self, count: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(count)?;
        self.0 = rest;
        Some(taken)
    }

    fn number<const OCTETS: usize>(&mut self) -> Option<usize> {
        Some(self.octets(OCTETS)?.iter().fold(0, |number, octet| number << 8 | usize::from(*octet)))
    }

    /// A vector with a length of so many octets before it.
    fn vector<const OCTETS: usize>(&mut self) -> Option<&'a [u8]> {
        let length = self.number::<OCTETS>()?;
        self.octets(length)
    }
}

#[cfg(test)]
mod tests;
