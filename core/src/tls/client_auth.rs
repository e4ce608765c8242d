//! Client certificates: whether they are asked for, and whom they must come from. The check itself is rustls's (webpki).

use std::sync::Arc;

use rustls::RootCertStore;
use rustls::crypto::aws_lc_rs;
use rustls::server::WebPkiClientVerifier;
use rustls::server::danger::ClientCertVerifier;
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, CertificateRevocationListDer};

use crate::error::{Error, ErrorKind};

/// Whether clients are asked for a certificate. With either but [`ClientAuth::Off`] sessions are not resumed: a ticket
/// would carry a client past a revocation that happened since.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum ClientAuth {
    /// Not asked.
    #[default]
    Off,
    /// Asked; a client without one is let in, one whose certificate does not verify is not.
    Optional,
    /// Asked; only a client whose certificate verifies is let in.
    Required,
}

/// The verifier for a mode, from the CA certificates and revocation lists of one PEM text. If there is a list, each
/// certificate below the trusted one needs a list that is in date: a check that could be passed over by letting a list
/// expire would be none.
pub(super) fn verifier(
    mode: ClientAuth,
    ca_pem: &[u8],
) -> Result<Option<Arc<dyn ClientCertVerifier>>, Error> {
    if mode == ClientAuth::Off {
        return Ok(None);
    }
    let fault = |text: String| Error::new(ErrorKind::Tls, format!("client CA: {text}"));
    let mut roots = RootCertStore::empty();
    for (index, certificate) in CertificateDer::pem_slice_iter(ca_pem).enumerate() {
        let certificate = certificate.map_err(|error| fault(format!("malformed PEM: {error}")))?;
        roots.add(certificate).map_err(|error| fault(format!("certificate {}: {error}", index + 1)))?;
    }
    if roots.is_empty() {
        let fault = "client certificates are asked for, but there is no CA that they could come from";
        return Err(Error::new(ErrorKind::Value, fault));
    }
    let lists: Vec<_> = CertificateRevocationListDer::pem_slice_iter(ca_pem)
        .collect::<Result<_, _>>()
        .map_err(|error| fault(format!("malformed PEM: {error}")))?;
    let provider = Arc::new(aws_lc_rs::default_provider());
    let mut builder = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider)
        .with_crls(lists)
        .enforce_revocation_expiration();
    if mode == ClientAuth::Optional {
        builder = builder.allow_unauthenticated();
    }
    builder.build().map(Some).map_err(|error| fault(error.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn asking_without_a_ca_is_refused() {
        for mode in [ClientAuth::Optional, ClientAuth::Required] {
            assert_eq!(verifier(mode, b"").unwrap_err().kind(), ErrorKind::Value);
        }
        assert!(verifier(ClientAuth::Off, b"").unwrap().is_none());
    }

    #[test]
    fn a_ca_or_list_that_cannot_be_read_is_told_apart() {
        let garbage = |label: &str| ::pem::encode(&::pem::Pem::new(label, b"garbage"));
        let made = rcgen::generate_simple_self_signed(["ca".to_owned()]).unwrap();
        let error = verifier(ClientAuth::Required, garbage("CERTIFICATE").as_bytes()).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Tls);
        assert!(error.to_string().contains("certificate 1"), "{error}");
        let pem = format!("{}{}", made.cert.pem(), garbage("X509 CRL"));
        let error = verifier(ClientAuth::Required, pem.as_bytes()).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Tls);
        assert!(error.to_string().contains("CRL"), "{error}");
    }
}
