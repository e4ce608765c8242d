//! Who the server is: a certificate chain and the private key that belongs to it, read and checked against each other
//! when the program hands them over, so that nothing about them can fail in a handshake. Which server name uses which
//! identity is `config.rs`.

mod encrypted;

use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use rustls::crypto::{KeyProvider, aws_lc_rs};
use rustls::server::ParsedCertificate;
use rustls::sign::{CertifiedKey, SigningKey};
use rustls::{Error as RustlsError, InconsistentKeys};
use rustls_pki_types::pem::{self, PemObject};
use rustls_pki_types::{CertificateDer, PrivateKeyDer, UnixTime};
use yasna::{ASN1Result, Tag, tags};

use super::normalize_server_name;
use crate::error::{Error, ErrorKind};

/// The names of a self-signed identity that was given none.
const DEVELOPMENT_NAMES: &str = "localhost,127.0.0.1,::1";

/// Clients (Apple's first) refuse server certificates that live longer than 398 days; development needs far less.
const DEVELOPMENT_DAYS: u64 = 90;

const DAY: Duration = Duration::from_secs(24 * 60 * 60);

/// A certificate chain with its private key; cheap to clone, the key is shared.
#[derive(Clone)]
pub struct Identity {
    key: Arc<CertifiedKey>,
    not_after: i64,
    development: bool,
}

impl Identity {
    /// Reads a chain, the server's own certificate first, and a key (PKCS#8, PKCS#1 or SEC1), both in PEM. Other blocks
    /// are passed over, so both may stand in one file. The key's octets are kept only inside the cryptographic library.
    pub fn from_pem(chain: &[u8], key: &[u8]) -> Result<Self, Error> {
        let chain = read_chain(chain)?;
        if encrypted::is_encrypted(key) {
            return Err(fault("private key: it is encrypted, and there is no password"));
        }
        Self::new(chain, read_key(key)?, false)
    }

    /// The same with a key that may be encrypted: PKCS#8 by PBKDF2 and AES-CBC, as OpenSSL writes it.
    pub fn from_pem_with_password(chain: &[u8], key: &[u8], password: &[u8]) -> Result<Self, Error> {
        let chain = read_chain(chain)?;
        let key =
            if encrypted::is_encrypted(key) { encrypted::decrypt(key, password)? } else { read_key(key)? };
        Self::new(chain, key, false)
    }

    /// A fresh ECDSA P-256 key with a certificate that it signs itself, for a comma-separated list of DNS names and IP
    /// addresses; an empty list means `localhost,127.0.0.1,::1`. For development only: no client trusts it unasked.
    pub fn self_signed(names: &str) -> Result<Self, Error> {
        let names = if names.trim().is_empty() { DEVELOPMENT_NAMES } else { names };
        let names = names.split(',').map(development_name).collect::<Result<Vec<_>, _>>()?;
        let refused =
            |error: rcgen::Error| Error::new(ErrorKind::Tls, format!("self-signed identity: {error}"));
        let mut params = rcgen::CertificateParams::new(names).map_err(refused)?;
        // Some clients refuse a certificate without a subject.
        params.distinguished_name = rcgen::DistinguishedName::new();
        params.distinguished_name.push(rcgen::DnType::CommonName, "bartizan development");
        params.key_usages = vec![rcgen::KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![rcgen::ExtendedKeyUsagePurpose::ServerAuth];
        let now = rcgen::date_time_ymd(1970, 1, 1) + Duration::from_secs(UnixTime::now().as_secs());
        // A day back, for clients whose clock is behind.
        params.not_before = now - DAY;
        params.not_after = now + DAY * DEVELOPMENT_DAYS as u32;
        let key = rcgen::KeyPair::generate().map_err(refused)?;
        let certificate = params.self_signed(&key).map_err(refused)?;
        Self::new(vec![certificate.into()], key.into(), true)
    }

    fn new(
        chain: Vec<CertificateDer<'static>>,
        key: PrivateKeyDer<'static>,
        development: bool,
    ) -> Result<Self, Error> {
        let not_after = check_chain(&chain)?;
        let key = load_key(key)?;
        let key = CertifiedKey::new(chain, key);
        match key.keys_match() {
            // A key that cannot tell its public half is no sign of a mismatch.
            Ok(()) | Err(RustlsError::InconsistentKeys(InconsistentKeys::Unknown)) => {}
            Err(RustlsError::InconsistentKeys(InconsistentKeys::KeyMismatch)) => {
                return Err(fault("the private key does not belong to the first certificate of the chain"));
            }
            Err(error) => return Err(fault(format!("the first certificate of the chain: {error}"))),
        }
        Ok(Self { key: Arc::new(key), not_after, development })
    }

    /// The chain, the server's own certificate first.
    pub fn certificates(&self) -> &[CertificateDer<'static>] {
        &self.key.cert
    }

    /// The server's own certificate in PEM: what a client must trust if the identity is self-signed.
    pub fn certificate_pem(&self) -> String {
        ::pem::encode(&::pem::Pem::new("CERTIFICATE", self.key.cert.first().map_or(&[][..], |own| own)))
    }

    /// When the server's own certificate ends, in seconds since 1970.
    pub fn not_after(&self) -> i64 {
        self.not_after
    }

    /// Whether it was made by [`Identity::self_signed`].
    pub fn is_development(&self) -> bool {
        self.development
    }

    pub(crate) fn certified_key(&self) -> Arc<CertifiedKey> {
        self.key.clone()
    }
}

impl fmt::Debug for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Identity")
            .field("certificates", &self.key.cert.len())
            .field("not_after", &self.not_after)
            .field("development", &self.development)
            .finish_non_exhaustive()
    }
}

/// A name of a self-signed identity, where a typing error would end as a certificate that no client believes.
fn development_name(name: &str) -> Result<String, Error> {
    let name = name.trim();
    let fault = |text: String| Error::new(ErrorKind::Value, format!("self-signed identity: {text}"));
    if name.is_empty() {
        Err(fault("the list of names has an empty item".to_owned()))
    } else if name.parse::<IpAddr>().is_ok() {
        Ok(name.to_owned())
    } else {
        normalize_server_name(name).map(String::from).map_err(|error| fault(error.to_string()))
    }
}

fn fault(text: impl Into<String>) -> Error {
    Error::new(ErrorKind::Tls, text)
}

fn read_chain(pem: &[u8]) -> Result<Vec<CertificateDer<'static>>, Error> {
    let chain: Vec<_> = CertificateDer::pem_slice_iter(pem)
        .collect::<Result<_, _>>()
        .map_err(|error| fault(format!("certificate chain: malformed PEM: {error}")))?;
    if chain.is_empty() {
        return Err(fault("certificate chain: there is no CERTIFICATE block"));
    }
    Ok(chain)
}

fn read_key(pem: &[u8]) -> Result<PrivateKeyDer<'static>, Error> {
    PrivateKeyDer::from_pem_slice(pem).map_err(|error| match error {
        pem::Error::NoItemsFound => fault("private key: there is no PRIVATE KEY block"),
        error => fault(format!("private key: malformed PEM: {error}")),
    })
}

fn load_key(key: PrivateKeyDer<'static>) -> Result<Arc<dyn SigningKey>, Error> {
    // The provider overwrites the octets that it is given once the key is parsed.
    let keys: &dyn KeyProvider = aws_lc_rs::default_provider().key_provider;
    keys.load_private_key(key).map_err(|_| {
        fault("private key: malformed, or of an unsupported kind (RSA 2048 to 8192, ECDSA P-256 to P-521, Ed25519)")
    })
}

/// Reads each certificate as far as a peer would; when the first one ends.
fn check_chain(chain: &[CertificateDer<'static>]) -> Result<i64, Error> {
    for (index, certificate) in chain.iter().enumerate() {
        if let Err(error) = ParsedCertificate::try_from(certificate) {
            return Err(fault(format!("certificate {} of the chain: {error}", index + 1)));
        }
    }
    let first = chain.first().ok_or_else(|| fault("certificate chain: it is empty"))?;
    not_after(first).map_err(|error| fault(format!("certificate 1 of the chain: validity: {error}")))
}

/// `tbsCertificate.validity.notAfter` (RFC 5280 §4.1), which webpki reads but does not show.
fn not_after(certificate: &[u8]) -> ASN1Result<i64> {
    yasna::parse_der(certificate, |reader| {
        reader.read_sequence(|certificate| {
            let not_after = certificate.next().read_sequence(|tbs| {
                tbs.read_optional(|version| {
                    version.read_tagged(Tag::context(0), |number| number.read_der())
                })?;
                for _serial_signature_issuer in 0..3 {
                    tbs.next().read_der()?;
                }
                let not_after = tbs.next().read_sequence(|validity| {
                    validity.next().read_der()?;
                    let time = validity.next();
                    if time.lookahead_tag()? == tags::TAG_UTCTIME {
                        Ok(time.read_utctime()?.datetime().unix_timestamp())
                    } else {
                        Ok(time.read_generalized_time()?.datetime().unix_timestamp())
                    }
                })?;
                while tbs.read_optional(|rest| rest.read_der())?.is_some() {}
                Ok(not_after)
            })?;
            for _algorithm_signature in 0..2 {
                certificate.next().read_der()?;
            }
            Ok(not_after)
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pair() -> (String, String) {
        let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
        (made.cert.pem(), made.signing_key.serialize_pem())
    }

    #[track_caller]
    fn refused(chain: &str, key: &str, expected: &str) {
        let error = Identity::from_pem(chain.as_bytes(), key.as_bytes()).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Tls);
        assert!(error.to_string().contains(expected), "{error}");
    }

    #[test]
    fn chain_and_key_may_stand_in_one_file() {
        let (chain, key) = pair();
        let file = format!("{key}{chain}");
        let identity = Identity::from_pem(file.as_bytes(), file.as_bytes()).unwrap();
        assert_eq!(identity.certificates().len(), 1);
        assert!(!identity.is_development());
    }

    #[test]
    fn each_fault_of_a_pair_is_told_apart() {
        let (chain, key) = pair();
        let (_, other_key) = pair();
        refused("", &key, "certificate chain: there is no CERTIFICATE block");
        refused(&key, &key, "certificate chain: there is no CERTIFICATE block");
        refused(&chain, "", "private key: there is no PRIVATE KEY block");
        refused(&chain, &chain, "private key: there is no PRIVATE KEY block");
        refused(&chain, &other_key, "does not belong");
        refused(&chain[..chain.len() - 10], &key, "certificate chain: malformed PEM");
        refused(&chain, &key[..key.len() - 10], "private key: malformed PEM");
        refused(&chain, &key.replace("MI", "AA"), "private key: malformed");
        let garbage = ::pem::encode(&::pem::Pem::new("CERTIFICATE", b"not a certificate"));
        refused(&garbage, &key, "certificate 1 of the chain");
        refused(&format!("{chain}{garbage}"), &key, "certificate 2 of the chain");
    }

    #[test]
    fn encrypted_keys_are_called_encrypted() {
        let (chain, key) = pair();
        refused(&chain, &key.replace("PRIVATE", "ENCRYPTED PRIVATE"), "encrypted");
        let header =
            "-----BEGIN EC PRIVATE KEY-----\nProc-Type: 4,ENCRYPTED\nDEK-Info: AES-128-CBC,00\n\nAA==\n";
        refused(&chain, &format!("{header}-----END EC PRIVATE KEY-----\n"), "encrypted");
    }

    #[test]
    fn the_end_of_validity_is_read_in_both_time_forms() {
        for (year, end) in [(2031, 1_924_992_000), (2075, 3_313_526_400)] {
            let mut params = rcgen::CertificateParams::new(["a.example".to_owned()]).unwrap();
            params.not_after = rcgen::date_time_ymd(year, 1, 1);
            let key = rcgen::KeyPair::generate().unwrap();
            let pem = params.self_signed(&key).unwrap().pem();
            let identity = Identity::from_pem(pem.as_bytes(), key.serialize_pem().as_bytes()).unwrap();
            assert_eq!(identity.not_after(), end);
        }
    }

    #[test]
    fn a_self_signed_identity_has_a_subject_and_its_names() {
        let identity = Identity::self_signed(" a.example , 192.0.2.1,::1").unwrap();
        let own = &identity.certificates()[0];
        for octets in [&b"a.example"[..], &[0x87, 4, 192, 0, 2, 1], b"bartizan development"] {
            assert!(memchr::memmem::find(own, octets).is_some(), "{octets:?}");
        }
        assert!(identity.is_development());
        assert!(identity.not_after() > UnixTime::now().as_secs() as i64);
        let trusted = CertificateDer::from_pem_slice(identity.certificate_pem().as_bytes()).unwrap();
        assert_eq!(&trusted, own);
    }

    #[test]
    fn a_self_signed_identity_takes_names_and_addresses_alone() {
        for names in ["", "localhost", "*.a.example", "a.example.,A_b.example", "192.0.2.1,::1,2001:db8::1"] {
            assert!(Identity::self_signed(names).is_ok(), "{names}");
        }
        let long = format!("{}.example", "x".repeat(64));
        for names in [
            "not a name",
            "a,,b",
            ",",
            "a,",
            "a\0b",
            "a\nb",
            "a..b",
            "-",
            "*",
            "a.*.b",
            "[::1]",
            "b\u{fc}cher",
            &long,
        ] {
            let error = Identity::self_signed(names).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Value, "{names:?}");
            assert!(error.to_string().starts_with("self-signed identity: "), "{error}");
        }
    }
}
