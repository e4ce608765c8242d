//! Handshakes in memory against a real rustls client, through the hello reader and the choice as a connection does:
//! the harness. What is asserted stands in `tests/`, by subject.

mod choice;
mod sessions;

use std::sync::Arc;

use rustls::client::Resumption;
use rustls::crypto::aws_lc_rs;
use rustls::crypto::{CryptoProvider, SupportedKxGroup};
use rustls::{
    AlertDescription, ClientConfig, ClientConnection, Error as RustlsError, RootCertStore, ServerConnection,
    SupportedProtocolVersion, version,
};
use rustls_pki_types::{CertificateDer, PrivateKeyDer, ServerName};

use super::*;
use crate::reason::Reason;

const TLS12: &[&SupportedProtocolVersion] = &[&version::TLS12];
const TLS13: &[&SupportedProtocolVersion] = &[&version::TLS13];
const BOTH: &[&SupportedProtocolVersion] = &[&version::TLS12, &version::TLS13];

/// How a handshake failed.
#[derive(Debug)]
struct Failure {
    reason: Reason,
    /// What the client made of our alert.
    client: Option<RustlsError>,
    /// Refused on the ClientHello alone.
    early: bool,
}

fn development() -> Identity {
    Identity::self_signed("localhost,a.example,b.example,*.c.example").unwrap()
}

fn described(policy: &str, identity: &Identity) -> Tls {
    let mut tls = Tls::new();
    tls.policy(policy).unwrap().identity(None, identity.clone()).unwrap();
    tls
}

struct Client {
    provider: CryptoProvider,
    versions: &'static [&'static SupportedProtocolVersion],
    roots: RootCertStore,
    alpn: Vec<Vec<u8>>,
    sni: bool,
    certificate: Option<(Vec<CertificateDer<'static>>, PrivateKeyDer<'static>)>,
}

impl Client {
    fn trusting(identities: &[&Identity]) -> Self {
        let mut roots = RootCertStore::empty();
        for identity in identities {
            roots.add(identity.certificates()[0].clone()).unwrap();
        }
        let provider = aws_lc_rs::default_provider();
        Self { provider, versions: BOTH, roots, alpn: Vec::new(), sni: true, certificate: None }
    }

    fn groups(mut self, groups: &[&'static dyn SupportedKxGroup]) -> Self {
        self.provider.kx_groups = groups.to_vec();
        self
    }

    fn build(self) -> Arc<ClientConfig> {
        let builder = ClientConfig::builder_with_provider(Arc::new(self.provider))
            .with_protocol_versions(self.versions)
            .unwrap()
            .with_root_certificates(self.roots);
        let mut config = match self.certificate {
            Some((chain, key)) => builder.with_client_auth_cert(chain, key).unwrap(),
            None => builder.with_no_client_auth(),
        };
        config.alpn_protocols = self.alpn;
        config.enable_sni = self.sni;
        config.resumption = Resumption::in_memory_sessions(8);
        Arc::new(config)
    }
}

struct Connected {
    info: TlsInfo,
    /// Session tickets that the client got in TLS 1.3.
    tickets: u32,
}

fn connect(tls: &TlsConfig, client: &Arc<ClientConfig>, name: &'static str) -> Result<TlsInfo, Failure> {
    connect_to(tls, client, name).map(|connected| connected.info)
}

fn connect_to(tls: &TlsConfig, client: &Arc<ClientConfig>, name: &'static str) -> Result<Connected, Failure> {
    let mut client = ClientConnection::new(client.clone(), ServerName::try_from(name).unwrap()).unwrap();
    let mut hello = Vec::new();
    client.write_tls(&mut hello).unwrap();

    let mut reader = HelloReader::new(16 * 1024);
    let chosen = match reader.feed(&hello) {
        HelloProgress::Complete(facts) => tls.choose(&facts),
        HelloProgress::Refused(refusal) => Err(refusal),
        other => panic!("{other:?}"),
    };
    let choice = match chosen {
        Ok(choice) => choice,
        Err(Refusal { reason, alert }) => {
            let client = alert.and_then(|alert| {
                client.read_tls(&mut &alert[..]).unwrap();
                client.process_new_packets().err()
            });
            return Err(Failure { reason, client, early: true });
        }
    };
    let mut server = ServerConnection::new(choice.config.clone()).unwrap();
    let mut to_server = reader.into_replay();
    // A full handshake with HelloRetryRequest takes three turns; the last one carries the tickets.
    for _turn in 0..5 {
        let mut unread = &to_server[..];
        while !unread.is_empty() {
            server.read_tls(&mut unread).unwrap();
            if let Err(error) = server.process_new_packets() {
                let mut alert = Vec::new();
                server.write_tls(&mut alert).unwrap();
                client.read_tls(&mut &alert[..]).unwrap();
                let client = client.process_new_packets().err();
                return Err(Failure { reason: reason_of(&error), client, early: false });
            }
        }
        let mut to_client = Vec::new();
        while server.wants_write() {
            server.write_tls(&mut to_client).unwrap();
        }
        let mut unread = &to_client[..];
        while !unread.is_empty() {
            client.read_tls(&mut unread).unwrap();
            client.process_new_packets().unwrap();
        }
        to_server.clear();
        while client.wants_write() {
            client.write_tls(&mut to_server).unwrap();
        }
    }
    let info = TlsInfo::of(&server, server.server_name().map(Box::from)).expect("the handshake is finished");
    Ok(Connected { info, tickets: client.tls13_tickets_received() })
}

#[track_caller]
fn assert_alert(failure: &Failure, reason: Reason, alert: AlertDescription) {
    assert_eq!(failure.reason, reason, "{failure:?}");
    assert_eq!(failure.client, Some(RustlsError::AlertReceived(alert)), "{failure:?}");
}
