//! ClientHellos of a real client and hand-made ones, in every cut and any fragmentation: which are complete, which are refused and
//! when, and what they are found to say.

use std::sync::Arc;

use rustls::crypto::aws_lc_rs::{self, kx_group};
use rustls::{ClientConfig, ClientConnection, RootCertStore};
use rustls_pki_types::ServerName;

use super::*;

const CAP: usize = 16 * 1024;

fn client_hello() -> Vec<u8> {
    let mut provider = aws_lc_rs::default_provider();
    provider.kx_groups = vec![kx_group::X25519, kx_group::SECP256R1];
    let mut config = ClientConfig::builder_with_provider(Arc::new(provider))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(RootCertStore::empty())
        .with_no_client_auth();
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    let name = ServerName::try_from("Www.Example").unwrap();
    let mut hello = Vec::new();
    ClientConnection::new(Arc::new(config), name).unwrap().write_tls(&mut hello).unwrap();
    hello
}

/// The same message in records of at most so many octets.
fn in_records(hello: &[u8], fragment: usize) -> Vec<u8> {
    let mut records = Vec::new();
    for fragment in hello[RECORD_HEADER..].chunks(fragment) {
        records.extend([HANDSHAKE, 3, 1]);
        records.extend((fragment.len() as u16).to_be_bytes());
        records.extend(fragment);
    }
    records
}

/// The message in one record, with a correct header around it.
fn message(body: &[u8]) -> Vec<u8> {
    let mut message = vec![CLIENT_HELLO, 0];
    message.extend((body.len() as u16).to_be_bytes());
    message.extend(body);
    let mut record = vec![HANDSHAKE, 3, 1];
    record.extend((message.len() as u16).to_be_bytes());
    record.extend(message);
    record
}

/// A hello as SSL's heirs wrote it: a legacy version, one suite, and the extensions given, already encoded.
fn old_hello(version: [u8; 2], extensions: &[u8]) -> Vec<u8> {
    let mut body = version.to_vec();
    body.extend([7; 32]);
    body.extend([0, 0, 2, 0xc0, 0x2b, 1, 0]);
    if !extensions.is_empty() {
        body.extend((extensions.len() as u16).to_be_bytes());
        body.extend(extensions);
    }
    message(&body)
}

fn feed_octets(reader: &mut HelloReader, wire: &[u8]) -> (usize, HelloProgress) {
    for (index, octet) in wire.iter().enumerate() {
        match reader.feed(&[*octet]) {
            HelloProgress::NeedMore => {}
            end => return (index + 1, end),
        }
    }
    (wire.len(), HelloProgress::NeedMore)
}

#[track_caller]
fn assert_refused(progress: HelloProgress, reason: Reason, alert: Option<AlertDescription>) {
    let HelloProgress::Refused(refusal) = progress else { panic!("{progress:?}") };
    assert_eq!(refusal.reason, reason);
    let alert = alert.map(|alert| Refusal::with_alert(reason, alert).alert.unwrap());
    // rustls writes its own alerts; level and description are what counts.
    assert_eq!(
        refusal.alert.map(|record| [record[5], record[6]]),
        alert.map(|record| [record[5], record[6]])
    );
}

fn expected() -> HelloFacts {
    HelloFacts {
        server_name: Some("www.example".into()),
        alpn: Some(vec![b"h2".to_vec(), b"http/1.1".to_vec()]),
        groups: vec![NamedGroup::X25519, NamedGroup::secp256r1],
        tls12: true,
        tls13: true,
    }
}

#[test]
fn a_hello_in_one_piece_is_complete_and_replayed_unchanged() {
    let hello = client_hello();
    let mut reader = HelloReader::new(CAP);
    assert_eq!(reader.feed(&hello), HelloProgress::Complete(expected()));
    assert_eq!(reader.into_replay(), hello);
}

#[test]
fn every_split_of_the_stream_gives_the_same_facts() {
    let hello = client_hello();
    for at in 0..hello.len() {
        let mut reader = HelloReader::new(CAP);
        assert_eq!(reader.feed(&hello[..at]), HelloProgress::NeedMore, "split at {at}");
        assert_eq!(reader.feed(&hello[at..]), HelloProgress::Complete(expected()), "split at {at}");
    }
    let mut reader = HelloReader::new(CAP);
    assert_eq!(feed_octets(&mut reader, &hello), (hello.len(), HelloProgress::Complete(expected())));
}

#[test]
fn every_fragmentation_into_records_gives_the_same_facts_and_replay() {
    let hello = client_hello();
    for fragment in 1..hello.len() {
        let wire = in_records(&hello, fragment);
        let mut reader = HelloReader::new(CAP);
        assert_eq!(reader.feed(&wire), HelloProgress::Complete(expected()), "fragments of {fragment}");
        assert_eq!(reader.into_replay(), hello);
    }
    let wire = in_records(&hello, 1);
    let mut reader = HelloReader::new(CAP);
    assert_eq!(feed_octets(&mut reader, &wire), (wire.len(), HelloProgress::Complete(expected())));
}

#[test]
fn what_follows_the_hello_is_kept_for_tls() {
    let hello = client_hello();
    let behind = b"\x14\x03\x03\x00\x01\x01";
    let mut reader = HelloReader::new(hello.len());
    assert_eq!(reader.feed(&[&hello, &behind[..]].concat()), HelloProgress::Complete(expected()));
    assert_eq!(reader.into_replay(), [&hello, &behind[..]].concat());
}

#[test]
fn a_hello_of_exactly_the_cap_passes_and_one_octet_more_does_not() {
    let hello = client_hello();
    for wire in [hello.clone(), in_records(&hello, 1), in_records(&hello, 100)] {
        let at_cap = feed_octets(&mut HelloReader::new(wire.len()), &wire);
        assert_eq!(at_cap, (wire.len(), HelloProgress::Complete(expected())));
        let mut reader = HelloReader::new(wire.len() - 1);
        let size =
            |progress| assert_refused(progress, Reason::TlsHelloSize, Some(AlertDescription::DecodeError));
        size(reader.feed(&wire));
        let (octets, progress) = feed_octets(&mut HelloReader::new(wire.len() - 1), &wire);
        size(progress);
        assert!(octets < wire.len());
    }
}

#[test]
fn a_hello_that_announces_more_than_the_cap_is_refused_at_the_announcement() {
    let announcement = [HANDSHAKE, 3, 1, 0x40, 0, CLIENT_HELLO, 0, 0x40, 0];
    let (octets, progress) = feed_octets(&mut HelloReader::new(CAP), &announcement);
    assert_eq!(octets, announcement.len());
    assert_refused(progress, Reason::TlsHelloSize, Some(AlertDescription::DecodeError));
}

#[test]
fn a_hello_larger_than_one_record_is_replayed_in_full_records() {
    let mut extensions = vec![0, 13, 0, 4, 0, 2, 4, 3, 0, 10, 0, 4, 0, 2, 0, 23, 0xfa, 0xfa];
    extensions.extend(20_000_u16.to_be_bytes());
    extensions.resize(extensions.len() + 20_000, 0);
    let hello = old_hello([3, 3], &extensions);
    let mut one_record = vec![0; RECORD_HEADER];
    one_record.extend(&hello[RECORD_HEADER..]);
    let wire = in_records(&one_record, 1000);
    let mut reader = HelloReader::new(32 * 1024);
    let HelloProgress::Complete(facts) = reader.feed(&wire) else { panic!("complete") };
    assert!(facts.tls12 && !facts.tls13);
    assert_eq!(reader.into_replay(), in_records(&one_record, MAX_FRAGMENT));
}

#[test]
fn records_that_cannot_begin_a_handshake_are_refused() {
    let unexpected = Some(AlertDescription::UnexpectedMessage);
    for (wire, reason, alert) in [
        (&[HANDSHAKE, 3, 1, 0, 0][..], Reason::TlsProtocol, Some(AlertDescription::DecodeError)),
        (&[HANDSHAKE, 3, 1, 0x40, 1], Reason::TlsProtocol, Some(AlertDescription::RecordOverflow)),
        (&[HANDSHAKE, 2, 0], Reason::TlsProtocol, Some(AlertDescription::ProtocolVersion)),
        (&[HANDSHAKE, 3, 1, 0, 4, 2], Reason::TlsProtocol, unexpected),
        (&[HANDSHAKE, 3, 1, 0, 6, CLIENT_HELLO, 0, 0, 1, 9, 9], Reason::TlsProtocol, unexpected),
        (
            &[HANDSHAKE, 3, 1, 0, 1, CLIENT_HELLO, HANDSHAKE, 3, 1, 0, 0],
            Reason::TlsProtocol,
            Some(AlertDescription::DecodeError),
        ),
        (&[HANDSHAKE, 3, 1, 0, 1, CLIENT_HELLO, CHANGE_CIPHER_SPEC], Reason::TlsProtocol, unexpected),
        (&[APPLICATION_DATA], Reason::TlsProtocol, unexpected),
        (&[ALERT, 3, 3, 0, 2, 2, 40], Reason::TlsAlertReceived, None),
        (&[0x80, 0x2e, 1], Reason::TlsProtocol, None),
        (&[0], Reason::TlsProtocol, None),
        (b"\r\n", Reason::TlsProtocol, None),
    ] {
        assert_refused(HelloReader::new(CAP).feed(wire), reason, alert);
        assert_refused(feed_octets(&mut HelloReader::new(CAP), wire).1, reason, alert);
    }
}

#[test]
fn plain_http_is_known_by_its_method_however_slowly_it_comes() {
    for request in [&b"GET / HTTP/1.1\r\n"[..], b"PRI * HTTP/2.0\r\n", b"M-SEARCH * HTTP/1.1", b"options "] {
        let mut reader = HelloReader::new(CAP);
        assert_eq!(reader.feed(request), HelloProgress::Plaintext);
        assert_eq!(reader.into_replay(), request);
        let mut reader = HelloReader::new(CAP);
        let (octets, progress) = feed_octets(&mut reader, request);
        assert_eq!(progress, HelloProgress::Plaintext);
        assert_eq!(reader.into_replay(), request[..octets]);
    }
    for other in [&b"SSH-2.0-OpenSSH_9.6\r\n"[..], b"EHLO\r\n", &[b'A'; MAX_METHOD]] {
        assert_refused(HelloReader::new(CAP).feed(other), Reason::TlsProtocol, None);
        assert_refused(feed_octets(&mut HelloReader::new(CAP), other).1, Reason::TlsProtocol, None);
    }
}

#[test]
fn versions_come_from_the_extension_or_from_the_legacy_field() {
    // signature_algorithms, which rustls asks of every client.
    const SIGNATURES: &[u8] = &[0, 13, 0, 4, 0, 2, 4, 3];
    let versions =
        |list: &[u8]| [&[0, 43, 0, list.len() as u8 + 1, list.len() as u8], list, SIGNATURES].concat();
    for (legacy, extensions, expected) in [
        ([3, 3], SIGNATURES.to_vec(), (true, false)),
        // TLS 1.3 is never negotiated by the legacy field.
        ([3, 4], SIGNATURES.to_vec(), (true, false)),
        ([3, 1], SIGNATURES.to_vec(), (false, false)),
        ([3, 3], versions(&[3, 4]), (false, true)),
        ([3, 3], versions(&[3, 4, 3, 3]), (true, true)),
        ([3, 3], versions(&[0x7f, 0x1c, 3, 2]), (false, false)),
    ] {
        let progress = HelloReader::new(CAP).feed(&old_hello(legacy, &extensions));
        let HelloProgress::Complete(facts) = progress else { panic!("{progress:?}") };
        assert_eq!((facts.tls12, facts.tls13), expected, "{legacy:?} {extensions:?}");
        assert_eq!((facts.server_name, facts.alpn, facts.groups), (None, None, vec![]));
    }
}

#[test]
fn an_old_client_is_told_the_version_and_a_broken_one_what_rustls_says() {
    let version = Some(AlertDescription::ProtocolVersion);
    assert_refused(HelloReader::new(CAP).feed(&old_hello([3, 1], &[])), Reason::TlsNoVersion, version);
    let sent = Some(AlertDescription::HandshakeFailure);
    assert_refused(HelloReader::new(CAP).feed(&old_hello([3, 3], &[])), Reason::TlsAlertSent, sent);
    let decode = Some(AlertDescription::DecodeError);
    for body in [&[][..], &[3], &[3, 3, 0], &[0xff; 60]] {
        assert_refused(HelloReader::new(CAP).feed(&message(body)), Reason::TlsProtocol, decode);
    }
}

#[test]
fn no_cut_or_changed_octet_of_a_hello_panics() {
    let hello = client_hello();
    for at in 0..hello.len() {
        for value in [0, 1, 0x7f, 0xff, hello[at] ^ 1] {
            let mut changed = hello.clone();
            changed[at] = value;
            HelloReader::new(CAP).feed(&changed);
        }
        let body = &hello[RECORD_HEADER + MESSAGE_HEADER..];
        if at < body.len() {
            let progress = HelloReader::new(CAP).feed(&message(&body[..at]));
            assert!(matches!(progress, HelloProgress::Refused(_)), "cut at {at}: {progress:?}");
        }
    }
}
