//! How a handshake ends: what was negotiated ([`TlsInfo`]), how we turn a ClientHello away ([`Refusal`]), and which
//! reason an error of rustls is.

use rustls::{
    AlertDescription, CommonState, Error as RustlsError, HandshakeKind, PeerIncompatible, ProtocolVersion,
};
use rustls_pki_types::CertificateDer;

use super::policy;
use crate::reason::Reason;

/// What a finished handshake negotiated.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct TlsInfo {
    /// The version's number, such as 0x0304.
    pub version: u16,
    /// The version's name, such as `TLSv1.3`.
    pub version_name: &'static str,
    /// The cipher suite's IANA number.
    pub suite: u16,
    /// The cipher suite's IANA name, such as `TLS_AES_128_GCM_SHA256`.
    pub suite_name: &'static str,
    /// The key-exchange group's IANA number; 0 for a resumed TLS 1.2 session, which exchanges no keys.
    pub group: u16,
    /// The key-exchange group's name, such as `X25519MLKEM768`; empty where the number is 0.
    pub group_name: &'static str,
    /// The server name that the client sent, in lower case.
    pub server_name: Option<Box<str>>,
    /// The ALPN protocol.
    pub alpn: Option<&'static str>,
    /// Whether an earlier session was resumed.
    pub resumed: bool,
    /// The client's certificate chain, its own first; empty if it sent none.
    pub peer_certificates: Vec<CertificateDer<'static>>,
}

impl TlsInfo {
    /// `None` before the handshake is finished.
    pub(crate) fn of(connection: &CommonState, server_name: Option<Box<str>>) -> Option<Self> {
        if connection.is_handshaking() {
            return None;
        }
        let version = connection.protocol_version()?;
        let suite = connection.negotiated_cipher_suite()?;
        let group = connection.negotiated_key_exchange_group().map(|group| group.name());
        Some(Self {
            version: version.into(),
            version_name: policy::version_name(version),
            suite: suite.suite().into(),
            suite_name: policy::suite_name(suite),
            group: group.map_or(0, u16::from),
            group_name: group.map_or("", policy::group_name),
            server_name,
            alpn: connection.alpn_protocol().and_then(policy::protocol_name),
            resumed: connection.handshake_kind() == Some(HandshakeKind::Resumed),
            peer_certificates: connection
                .peer_certificates()
                .map(|chain| chain.iter().map(|certificate| certificate.clone().into_owned()).collect())
                .unwrap_or_default(),
        })
    }
}

/// The record type of alerts (RFC 8446 §5.1).
pub(super) const ALERT: u8 = 21;

/// One alert record, in the clear.
pub(crate) type AlertRecord = [u8; 7];

/// Why a client is turned away before rustls has a connection for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Refusal {
    pub(crate) reason: Reason,
    /// What to send before closing; `None` where the peer speaks no TLS or ended it itself.
    pub(crate) alert: Option<AlertRecord>,
}

impl Refusal {
    pub(super) fn silent(reason: Reason) -> Self {
        Self { reason, alert: None }
    }

    pub(super) fn with_alert(reason: Reason, description: AlertDescription) -> Self {
        const FATAL: u8 = 2;
        let [major, minor] = u16::from(ProtocolVersion::TLSv1_2).to_be_bytes();
        Self { reason, alert: Some([ALERT, major, minor, 0, 2, FATAL, description.into()]) }
    }
}

/// The reason for which a handshake with this error ends.
pub(crate) fn reason_of(error: &RustlsError) -> Reason {
    use PeerIncompatible as Incompatible;
    match error {
        RustlsError::AlertReceived(_) => Reason::TlsAlertReceived,
        RustlsError::NoApplicationProtocol => Reason::TlsNoProtocol,
        RustlsError::PeerIncompatible(
            Incompatible::NoKxGroupsInCommon | Incompatible::NamedGroupsExtensionRequired,
        ) => Reason::TlsNoGroup,
        RustlsError::PeerIncompatible(
            Incompatible::ServerDoesNotSupportTls12Or13
            | Incompatible::SupportedVersionsExtensionRequired
            | Incompatible::Tls12NotOffered
            | Incompatible::Tls12NotOfferedOrEnabled,
        ) => Reason::TlsNoVersion,
        RustlsError::NoCertificatesPresented
        | RustlsError::InvalidCertificate(_)
        | RustlsError::InvalidCertRevocationList(_)
        | RustlsError::PeerIncompatible(Incompatible::NoCertificateRequestSignatureSchemesInCommon) => {
            Reason::TlsClientCert
        }
        RustlsError::InvalidMessage(_)
        | RustlsError::InappropriateMessage { .. }
        | RustlsError::InappropriateHandshakeMessage { .. }
        | RustlsError::InvalidEncryptedClientHello(_)
        | RustlsError::PeerMisbehaved(_)
        | RustlsError::PeerSentOversizedRecord
        | RustlsError::DecryptError => Reason::TlsProtocol,
        RustlsError::FailedToGetCurrentTime
        | RustlsError::FailedToGetRandomBytes
        | RustlsError::EncryptError
        | RustlsError::BadMaxFragmentSize => Reason::Internal,
        _ => Reason::TlsAlertSent,
    }
}

#[cfg(test)]
mod tests {
    use rustls::InvalidMessage;

    use super::*;

    #[test]
    fn errors_have_the_reason_that_an_operator_would_name() {
        let cases = [
            (RustlsError::AlertReceived(AlertDescription::UnknownCA), Reason::TlsAlertReceived),
            (PeerIncompatible::NoKxGroupsInCommon.into(), Reason::TlsNoGroup),
            (PeerIncompatible::Tls12NotOffered.into(), Reason::TlsNoVersion),
            (PeerIncompatible::NoCipherSuitesInCommon.into(), Reason::TlsAlertSent),
            (RustlsError::NoApplicationProtocol, Reason::TlsNoProtocol),
            (RustlsError::NoCertificatesPresented, Reason::TlsClientCert),
            (InvalidMessage::InvalidCcs.into(), Reason::TlsProtocol),
            (RustlsError::FailedToGetRandomBytes, Reason::Internal),
        ];
        for (error, reason) in cases {
            assert_eq!(reason_of(&error), reason, "{error}");
        }
    }

    #[test]
    fn an_alert_is_one_fatal_record() {
        let refusal = Refusal::with_alert(Reason::TlsNoServerName, AlertDescription::UnrecognisedName);
        assert_eq!(refusal.alert, Some([21, 3, 3, 0, 2, 2, 112]));
    }
}
