//! What a ClientHello gets: version, group, suite, identity, protocol, or a refusal.

use rustls::crypto::aws_lc_rs::{cipher_suite, kx_group};

use super::*;

#[test]
fn intermediate_speaks_both_versions_and_prefers_the_hybrid_group() {
    let identity = development();
    let tls = described("intermediate", &identity).build(true).unwrap();
    let info = connect(&tls, &Client::trusting(&[&identity]).build(), "localhost").unwrap();
    assert_eq!((info.version, info.version_name), (0x0304, "TLSv1.3"));
    assert_eq!((info.suite, info.suite_name), (0x1301, "TLS_AES_128_GCM_SHA256"));
    assert_eq!((info.group, info.group_name), (0x11ec, "X25519MLKEM768"));
    assert_eq!(info.server_name.as_deref(), Some("localhost"));
    assert!(!info.resumed && info.peer_certificates.is_empty());

    let old = Client { versions: TLS12, ..Client::trusting(&[&identity]) };
    let info = connect(&tls, &old.build(), "localhost").unwrap();
    assert_eq!((info.version, info.version_name), (0x0303, "TLSv1.2"));
    assert_eq!(info.suite_name, "TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256");
    assert_eq!((info.group, info.group_name), (0x001d, "X25519"));
}

#[test]
fn our_order_of_groups_and_suites_wins_over_the_clients() {
    let identity = development();
    let tls = described("intermediate", &identity).build(true).unwrap();
    // The client sends a key share for secp256r1 alone, so this takes a HelloRetryRequest.
    let reversed = [kx_group::SECP256R1, kx_group::X25519, kx_group::X25519MLKEM768];
    let client = Client::trusting(&[&identity]).groups(&reversed);
    assert_eq!(connect(&tls, &client.build(), "localhost").unwrap().group_name, "X25519MLKEM768");
    let client = Client::trusting(&[&identity]).groups(&reversed[..2]);
    assert_eq!(connect(&tls, &client.build(), "localhost").unwrap().group_name, "X25519");

    let mut tls = described("intermediate", &identity);
    tls.groups("secp256r1,X25519")
        .unwrap()
        .suites("TLS_CHACHA20_POLY1305_SHA256,TLS_AES_128_GCM_SHA256")
        .unwrap();
    let info =
        connect(&tls.build(true).unwrap(), &Client::trusting(&[&identity]).build(), "localhost").unwrap();
    assert_eq!((info.group_name, info.suite_name), ("secp256r1", "TLS_CHACHA20_POLY1305_SHA256"));
}

#[test]
fn a_client_with_p384_only_is_turned_away_unless_p384_is_named() {
    let identity = development();
    let client = || Client::trusting(&[&identity]).groups(&[kx_group::SECP384R1]);
    for versions in [TLS12, TLS13] {
        let mut tls = described("intermediate", &identity);
        let client = Client { versions, ..client() }.build();
        let failure = connect(&tls.build(true).unwrap(), &client, "localhost").unwrap_err();
        assert_alert(&failure, Reason::TlsNoGroup, AlertDescription::HandshakeFailure);
        assert!(failure.early);
        tls.groups("X25519,P-384").unwrap();
        assert_eq!(connect(&tls.build(true).unwrap(), &client, "localhost").unwrap().group_name, "secp384r1");
    }
}

#[test]
fn modern_turns_tls12_away() {
    let identity = development();
    let tls = described("modern", &identity).build(true).unwrap();
    let old = Client { versions: TLS12, ..Client::trusting(&[&identity]) };
    let failure = connect(&tls, &old.build(), "localhost").unwrap_err();
    assert_alert(&failure, Reason::TlsNoVersion, AlertDescription::ProtocolVersion);
    assert!(connect(&tls, &Client::trusting(&[&identity]).build(), "localhost").is_ok());
}

#[test]
fn pq_required_refuses_classical_clients_on_the_hello_alone() {
    let identity = development();
    let tls = described("pq-required", &identity).build(true).unwrap();
    let classical = Client::trusting(&[&identity]).groups(&[kx_group::X25519, kx_group::SECP256R1]);
    let failure = connect(&tls, &classical.build(), "localhost").unwrap_err();
    assert_alert(&failure, Reason::TlsNoGroup, AlertDescription::HandshakeFailure);
    assert!(failure.early);
    for (group, name) in
        [(kx_group::X25519MLKEM768, "X25519MLKEM768"), (kx_group::SECP256R1MLKEM768, "SecP256r1MLKEM768")]
    {
        let client = Client::trusting(&[&identity]).groups(&[kx_group::X25519, group]);
        assert_eq!(connect(&tls, &client.build(), "localhost").unwrap().group_name, name);
    }
}

#[test]
fn the_server_name_chooses_identity_and_policy() {
    let [default, a, c] = [development(), development(), development()];
    let mut strict = described("modern", &c);
    strict.alpn("http/1.1").unwrap();
    let mut tls = described("intermediate", &default);
    tls.identity(Some("A.example."), a.clone()).unwrap().server_name("*.c.example", &strict).unwrap();
    let tls = tls.build(true).unwrap();

    // Each client trusts one identity only, so success tells which one was served.
    for (identity, name) in [(&default, "localhost"), (&a, "a.example"), (&c, "x.c.example")] {
        assert!(connect(&tls, &Client::trusting(&[identity]).build(), name).is_ok(), "{name}");
    }
    let nameless = Client { sni: false, ..Client::trusting(&[&default]) };
    assert_eq!(connect(&tls, &nameless.build(), "localhost").unwrap().server_name, None);

    let old = Client { versions: TLS12, ..Client::trusting(&[&c]) };
    assert_eq!(connect(&tls, &old.build(), "x.c.example").unwrap_err().reason, Reason::TlsNoVersion);
    let h2 = || Client { alpn: vec![b"h2".to_vec()], ..Client::trusting(&[&c, &a]) };
    assert_eq!(connect(&tls, &h2().build(), "x.c.example").unwrap_err().reason, Reason::TlsNoProtocol);
    assert_eq!(connect(&tls, &h2().build(), "a.example").unwrap().alpn, Some("h2"));

    let names: Vec<_> = tls.certificates().iter().map(|end| &*end.server_name).collect();
    assert_eq!(names, ["", "*.c.example", "a.example"]);
}

#[test]
fn without_a_default_identity_a_name_must_match() {
    let identity = development();
    let mut tls = Tls::new();
    tls.identity(Some("a.example"), identity.clone()).unwrap();
    let tls = tls.build(true).unwrap();
    let client = Client::trusting(&[&identity]).build();
    assert!(connect(&tls, &client, "a.example").is_ok());
    let nameless = Client { sni: false, ..Client::trusting(&[&identity]) }.build();
    for (client, name) in [(&client, "b.example"), (&nameless, "a.example")] {
        let failure = connect(&tls, client, name).unwrap_err();
        assert_alert(&failure, Reason::TlsNoServerName, AlertDescription::UnrecognisedName);
    }
}

#[test]
fn alpn_follows_our_order_and_a_mismatch_is_refused() {
    let identity = development();
    let offering = |alpn: &[&str]| {
        let alpn = alpn.iter().map(|name| name.as_bytes().to_vec()).collect();
        Client { alpn, ..Client::trusting(&[&identity]) }.build()
    };
    let tls = described("intermediate", &identity);
    let both = tls.build(true).unwrap();
    assert_eq!(connect(&both, &offering(&["http/1.1", "h2"]), "localhost").unwrap().alpn, Some("h2"));
    assert_eq!(connect(&both, &offering(&[]), "localhost").unwrap().alpn, None);
    let failure = connect(&both, &offering(&["h3", "imap"]), "localhost").unwrap_err();
    assert_alert(&failure, Reason::TlsNoProtocol, AlertDescription::NoApplicationProtocol);

    let without_h2 = tls.build(false).unwrap();
    assert_eq!(
        connect(&without_h2, &offering(&["h2", "http/1.1"]), "localhost").unwrap().alpn,
        Some("http/1.1")
    );
    assert_eq!(
        connect(&without_h2, &offering(&["h2"]), "localhost").unwrap_err().reason,
        Reason::TlsNoProtocol
    );
}

#[test]
fn what_rustls_refuses_has_an_alert_and_a_reason_too() {
    let identity = development();
    let mut tls = described("modern", &identity);
    tls.suites("TLS_AES_256_GCM_SHA384").unwrap();
    let mut client = Client::trusting(&[&identity]);
    client.provider.cipher_suites = vec![cipher_suite::TLS13_AES_128_GCM_SHA256];
    let failure =
        connect(&tls.build(true).unwrap(), &Client { versions: TLS13, ..client }.build(), "localhost");
    let failure = failure.unwrap_err();
    assert_alert(&failure, Reason::TlsAlertSent, AlertDescription::HandshakeFailure);
    assert!(!failure.early);
}

#[test]
fn a_client_that_trusts_another_identity_is_an_alert_received() {
    let [ours, other] = [development(), development()];
    let tls = described("intermediate", &ours).build(true).unwrap();
    let mut client = ClientConnection::new(
        Client { versions: TLS13, ..Client::trusting(&[&other]) }.build(),
        ServerName::try_from("localhost").unwrap(),
    )
    .unwrap();
    let mut hello = Vec::new();
    client.write_tls(&mut hello).unwrap();
    let mut reader = HelloReader::new(16 * 1024);
    let HelloProgress::Complete(facts) = reader.feed(&hello) else { panic!("a complete hello") };
    let mut server = ServerConnection::new(tls.choose(&facts).unwrap().config).unwrap();
    let mut exchanged = reader.into_replay();
    let error = loop {
        server.read_tls(&mut &exchanged[..]).unwrap();
        if let Err(error) = server.process_new_packets() {
            break error;
        }
        exchanged.clear();
        server.write_tls(&mut exchanged).unwrap();
        client.read_tls(&mut &exchanged[..]).unwrap();
        let _ = client.process_new_packets();
        exchanged.clear();
        assert_ne!(client.write_tls(&mut exchanged).unwrap(), 0);
    };
    assert_eq!(reason_of(&error), Reason::TlsAlertReceived);
    assert!(TlsInfo::of(&server, None).is_none());
}

#[test]
fn descriptions_that_cannot_serve_are_refused_before_start() {
    let identity = development();
    assert_eq!(Tls::new().build(true).unwrap_err().kind(), ErrorKind::Value);
    assert_eq!(Tls::new().policy("paranoid").unwrap_err().kind(), ErrorKind::Option);
    assert_eq!(Tls::new().alpn("h3").unwrap_err().kind(), ErrorKind::Option);
    assert_eq!(Tls::new().server_name("a.example", &Tls::new()).unwrap_err().kind(), ErrorKind::Value);
    assert_eq!(Tls::new().identity(Some("*"), identity.clone()).unwrap_err().kind(), ErrorKind::Value);
    let mut tls = described("intermediate", &identity);
    tls.alpn("h2").unwrap();
    assert!(tls.build(true).is_ok());
    assert_eq!(tls.build(false).unwrap_err().kind(), ErrorKind::Value);
}

#[test]
fn a_policy_replaces_the_lists_before_it() {
    let identity = development();
    let mut tls = described("intermediate", &identity);
    tls.groups("secp384r1").unwrap().versions("TLSv1.2").unwrap().policy("modern").unwrap();
    let info =
        connect(&tls.build(true).unwrap(), &Client::trusting(&[&identity]).build(), "localhost").unwrap();
    assert_eq!((info.version_name, info.group_name), ("TLSv1.3", "X25519MLKEM768"));
}

#[test]
fn drawing_a_random_number_works() {
    warm().unwrap();
}

#[test]
fn whoever_takes_http_1_1_takes_1_0_too() {
    let identity = development();
    let client = || Client { alpn: vec![b"http/1.0".to_vec()], ..Client::trusting(&[&identity]) }.build();
    let mut tls = described("intermediate", &identity);
    let info = connect(&tls.build(true).unwrap(), &client(), "localhost").unwrap();
    assert_eq!(info.alpn, Some("http/1.0"));
    let both =
        Client { alpn: vec![b"http/1.0".to_vec(), b"http/1.1".to_vec()], ..Client::trusting(&[&identity]) };
    let info = connect(&tls.build(true).unwrap(), &both.build(), "localhost").unwrap();
    assert_eq!(info.alpn, Some("http/1.1"), "ours is the order that decides");
    tls.alpn("h2").unwrap();
    let failure = connect(&tls.build(true).unwrap(), &client(), "localhost").unwrap_err();
    assert_alert(&failure, Reason::TlsNoProtocol, AlertDescription::NoApplicationProtocol);
}
