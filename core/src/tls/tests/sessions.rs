//! Client certificates and resumption, and that the two do not meet.

use rcgen::{BasicConstraints, CertificateParams, CertificateRevocationListParams, IsCa, Issuer, KeyPair};
use rustls::crypto::aws_lc_rs::kx_group;

use super::*;

/// A CA, one client of it, and a list that revokes the client.
struct Pki {
    ca_pem: String,
    revoked_pem: String,
    chain: Vec<CertificateDer<'static>>,
    key: KeyPair,
}

fn pki() -> Pki {
    let mut ca = CertificateParams::new(Vec::new()).unwrap();
    ca.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    ca.key_usages = vec![rcgen::KeyUsagePurpose::KeyCertSign, rcgen::KeyUsagePurpose::CrlSign];
    let ca_key = KeyPair::generate().unwrap();
    let ca_pem = ca.self_signed(&ca_key).unwrap().pem();
    let issuer = Issuer::new(ca, ca_key);
    let serial = rcgen::SerialNumber::from(7);
    let mut params = CertificateParams::new(["client".to_owned()]).unwrap();
    params.serial_number = Some(serial.clone());
    params.extended_key_usages = vec![rcgen::ExtendedKeyUsagePurpose::ClientAuth];
    let key = KeyPair::generate().unwrap();
    let certificate = params.signed_by(&key, &issuer).unwrap();
    let list = |revoked: Vec<rcgen::SerialNumber>| {
        let revoked_certs = revoked.into_iter().map(|serial_number| rcgen::RevokedCertParams {
            serial_number,
            revocation_time: rcgen::date_time_ymd(2024, 1, 1),
            reason_code: None,
            invalidity_date: None,
        });
        CertificateRevocationListParams {
            this_update: rcgen::date_time_ymd(2024, 1, 1),
            next_update: rcgen::date_time_ymd(2099, 1, 1),
            crl_number: rcgen::SerialNumber::from(1),
            issuing_distribution_point: None,
            revoked_certs: revoked_certs.collect(),
            key_identifier_method: rcgen::KeyIdMethod::Sha256,
        }
        .signed_by(&issuer)
        .unwrap()
        .pem()
        .unwrap()
    };
    let revoked_pem = list(vec![serial]);
    Pki { ca_pem, revoked_pem, chain: vec![certificate.into()], key }
}

#[test]
fn client_certificates_are_asked_for_checked_and_revoked() {
    let identity = development();
    let [pki, other_ca] = [pki(), pki()];
    let listener = |mode, ca: &str| {
        let mut tls = described("intermediate", &identity);
        tls.client_auth(mode, ca.as_bytes()).unwrap();
        tls.build(true).unwrap()
    };
    for versions in [TLS12, TLS13] {
        let anonymous = Client { versions, ..Client::trusting(&[&identity]) }.build();
        let certificate =
            Some((pki.chain.clone(), PrivateKeyDer::try_from(pki.key.serialize_der()).unwrap()));
        let known = Client { versions, certificate, ..Client::trusting(&[&identity]) }.build();

        let required = listener(ClientAuth::Required, &pki.ca_pem);
        let failure = connect(&required, &anonymous, "localhost").unwrap_err();
        assert_eq!(failure.reason, Reason::TlsClientCert);
        assert_eq!(connect(&required, &known, "localhost").unwrap().peer_certificates, pki.chain);

        let optional = listener(ClientAuth::Optional, &pki.ca_pem);
        assert!(connect(&optional, &anonymous, "localhost").unwrap().peer_certificates.is_empty());
        assert_eq!(connect(&optional, &known, "localhost").unwrap().peer_certificates, pki.chain);

        let revoking = listener(ClientAuth::Optional, &format!("{}{}", pki.ca_pem, pki.revoked_pem));
        let failure = connect(&revoking, &known, "localhost").unwrap_err();
        assert_alert(&failure, Reason::TlsClientCert, AlertDescription::CertificateRevoked);
        let of_another_ca = listener(ClientAuth::Optional, &other_ca.ca_pem);
        assert_eq!(connect(&of_another_ca, &known, "localhost").unwrap_err().reason, Reason::TlsClientCert);
    }
}

#[test]
fn sessions_resume_in_both_versions_but_not_with_client_certificates() {
    let identity = development();
    let plain = described("intermediate", &identity);
    let mut asking = plain.clone();
    asking.client_auth(ClientAuth::Optional, pki().ca_pem.as_bytes()).unwrap();
    for versions in [TLS12, TLS13] {
        let client = Client { versions, ..Client::trusting(&[&identity]) }.build();
        let tls = plain.build(true).unwrap();
        assert!(!connect(&tls, &client, "localhost").unwrap().resumed);
        let info = connect(&tls, &client, "localhost").unwrap();
        assert!(info.resumed);
        assert_eq!(
            info.group_name.is_empty(),
            versions == TLS12,
            "only TLS 1.3 exchanges keys when it resumes"
        );
        // Keys that rotate inside belong to one compiled configuration.
        assert!(!connect(&plain.build(true).unwrap(), &client, "localhost").unwrap().resumed);

        let tls = asking.build(true).unwrap();
        let client = Client { versions, ..Client::trusting(&[&identity]) }.build();
        for _ in 0..2 {
            assert!(!connect(&tls, &client, "localhost").unwrap().resumed);
        }
    }
}

#[test]
fn each_tls13_handshake_gets_one_ticket_and_none_with_client_certificates() {
    let identity = development();
    let mut tls = described("modern", &identity);
    let client = Client::trusting(&[&identity]).build();
    let compiled = tls.build(true).unwrap();
    for resumed in [false, true] {
        let connected = connect_to(&compiled, &client, "localhost").unwrap();
        assert_eq!((connected.info.resumed, connected.tickets), (resumed, 1));
    }
    tls.client_auth(ClientAuth::Optional, pki().ca_pem.as_bytes()).unwrap();
    assert_eq!(connect_to(&tls.build(true).unwrap(), &client, "localhost").unwrap().tickets, 0);
}

#[test]
fn shared_ticket_keys_resume_on_another_host_and_only_there() {
    let identity = development();
    let host = |keys: &[[u8; TICKET_KEY_LEN]]| {
        let mut tls = described("intermediate", &identity);
        tls.ticket_keys(keys).unwrap();
        tls
    };
    for versions in [TLS12, TLS13] {
        let client = || Client { versions, ..Client::trusting(&[&identity]) }.build();
        let resumes = |first: &Tls, second: &Tls| {
            let client = client();
            assert!(!connect(&first.build(true).unwrap(), &client, "localhost").unwrap().resumed);
            connect(&second.build(true).unwrap(), &client, "localhost").unwrap().resumed
        };
        assert!(resumes(&host(&[[1; 32]]), &host(&[[2; 32], [1; 32]])));
        assert!(!resumes(&host(&[[2; 32], [1; 32]]), &host(&[[1; 32]])));
        let mut asking = host(&[[1; 32]]);
        asking.client_auth(ClientAuth::Optional, pki().ca_pem.as_bytes()).unwrap();
        assert!(
            !resumes(&host(&[[1; 32]]), &asking),
            "an anonymous session must not enter where clients are asked"
        );
    }
}

#[test]
fn a_ticket_does_not_carry_a_client_past_a_stricter_policy() {
    let identity = development();
    let [mut lax, mut strict] = ["intermediate", "pq-required"].map(|policy| described(policy, &identity));
    lax.ticket_keys(&[[1; 32]]).unwrap();
    strict.ticket_keys(&[[1; 32]]).unwrap();
    for (versions, reason) in [(TLS12, Reason::TlsNoVersion), (TLS13, Reason::TlsNoGroup)] {
        let client =
            Client { versions, ..Client::trusting(&[&identity]) }.groups(&[kx_group::X25519]).build();
        assert!(connect(&lax.build(true).unwrap(), &client, "localhost").is_ok());
        assert_eq!(connect(&strict.build(true).unwrap(), &client, "localhost").unwrap_err().reason, reason);
    }
}

#[test]
fn tickets_invite_no_early_data() {
    let identity = development();
    let tls = described("intermediate", &identity).build(true).unwrap();
    let mut client = Arc::unwrap_or_clone(Client::trusting(&[&identity]).build());
    client.enable_early_data = true;
    let client = Arc::new(client);
    assert_eq!(connect_to(&tls, &client, "localhost").unwrap().tickets, 1);
    let name = ServerName::try_from("localhost").unwrap();
    assert!(ClientConnection::new(client, name).unwrap().early_data().is_none());
}
