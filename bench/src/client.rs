//! The load generator's connections: TLS to a server on the loopback, whose certificate nobody checks.
//!
//! It must cost much less than the server, or the client is what gets measured: requests are prebuilt octets
//! and answers are compared, not parsed. It is no HTTP client and must never meet a real network.

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use rustls::client::Resumption;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::aws_lc_rs::{ALL_KX_GROUPS, cipher_suite, default_provider};
use rustls::crypto::{CryptoProvider, SupportedKxGroup};
use rustls::{ClientConfig, DigitallySignedStruct, SignatureScheme};
use rustls_pki_types::{CertificateDer, ServerName, UnixTime};
use tokio::net::{TcpSocket, TcpStream};
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

pub mod h1;
pub mod h2;

/// The content of the answer every server under measurement gives to `GET /`.
pub const CONTENT: &[u8] = b"Hello, World!";

/// Source addresses to dial from. A connection that the client closes first blocks its port for a minute, and
/// 28,000 ports of one address would last for ten seconds of handshakes.
const SOURCES: u32 = 64;

/// Which application protocol to offer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Protocol {
    /// `http/1.1`
    Http1,
    /// `h2`
    Http2,
}

/// Whether tickets are used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tickets {
    /// Every handshake is a full one.
    Ignored,
    /// The last ticket received is spent on the next handshake.
    Kept,
}

/// The key exchange group of that name, as the TLS registry spells it.
pub fn group(name: &str) -> Option<&'static dyn SupportedKxGroup> {
    ALL_KX_GROUPS
        .iter()
        .copied()
        .find(|group| group.name().as_str().is_some_and(|known| known.eq_ignore_ascii_case(name)))
}

/// Opens connections of one kind to one server.
pub struct Dialer {
    address: SocketAddr,
    tls: TlsConnector,
    dialled: AtomicU32,
}

impl Dialer {
    /// TLS 1.3 with AES-128-GCM and a single group, so that both servers of a comparison do the same work.
    pub fn new(
        address: SocketAddr,
        protocol: Protocol,
        group: &'static dyn SupportedKxGroup,
        tickets: Tickets,
    ) -> Result<Dialer, rustls::Error> {
        let provider = Arc::new(CryptoProvider {
            cipher_suites: vec![cipher_suite::TLS13_AES_128_GCM_SHA256],
            kx_groups: vec![group],
            ..default_provider()
        });
        let mut config = ClientConfig::builder_with_provider(Arc::clone(&provider))
            .with_protocol_versions(&[&rustls::version::TLS13])?
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(DangerAcceptAny(provider)))
            .with_no_client_auth();
        config.alpn_protocols = match protocol {
            Protocol::Http1 => vec![b"http/1.1".to_vec()],
            Protocol::Http2 => vec![b"h2".to_vec()],
        };
        if tickets == Tickets::Ignored {
            config.resumption = Resumption::disabled();
        }
        Ok(Dialer { address, tls: TlsConnector::from(Arc::new(config)), dialled: AtomicU32::new(0) })
    }

    /// Connects and completes the handshake.
    pub async fn dial(&self) -> io::Result<TlsStream<TcpStream>> {
        let socket = TcpSocket::new_v4()?;
        let turn = self.dialled.fetch_add(1, Ordering::Relaxed) % SOURCES;
        let source = Ipv4Addr::from_bits(Ipv4Addr::LOCALHOST.to_bits() + turn);
        socket.bind(SocketAddr::from((source, 0)))?;
        let stream = socket.connect(self.address).await?;
        stream.set_nodelay(true)?;
        self.tls.connect(ServerName::IpAddress(self.address.ip().into()), stream).await
    }

    /// The authority to ask for.
    pub fn authority(&self) -> String {
        self.address.to_string()
    }
}

/// Accepts every certificate and signature: the server's cost is measured, not its identity.
#[derive(Debug)]
struct DangerAcceptAny(Arc<CryptoProvider>);

impl ServerCertVerifier for DangerAcceptAny {
    fn verify_server_cert(
        &self,
        _end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _message: &[u8],
        _cert: &CertificateDer<'_>,
        _dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn verify_tls13_signature(
        &self,
        _message: &[u8],
        _cert: &CertificateDer<'_>,
        _dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}
