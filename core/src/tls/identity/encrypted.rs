//! Private keys under a password: PKCS#8 `EncryptedPrivateKeyInfo` with PBES2 (RFC 8018 §6.2), PBKDF2 and AES-CBC.
//! Only the envelope is read here, the cryptography is aws-lc's. The older form with a `Proc-Type` line is recognised
//! and refused: its key derivation is one round of MD5.

use std::num::NonZeroU32;

use aws_lc_rs::cipher::{
    AES_128, AES_192, AES_256, Algorithm as Cipher, DecryptionContext, PaddedBlockDecryptingKey,
    UnboundCipherKey,
};
use aws_lc_rs::iv::FixedLength;
use aws_lc_rs::pbkdf2::{self, Algorithm as Prf};
use rustls_pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use yasna::models::ObjectIdentifier;
use yasna::{ASN1Result, BERReader};
use zeroize::Zeroizing;

use super::fault;
use crate::error::Error;

const LABEL: &str = "ENCRYPTED PRIVATE KEY";

const PBES2: &[u64] = &[1, 2, 840, 113549, 1, 5, 13];
const PBKDF2: &[u64] = &[1, 2, 840, 113549, 1, 5, 12];

static PRFS: [(&[u64], Prf); 4] = [
    (HMAC_SHA1, pbkdf2::PBKDF2_HMAC_SHA1),
    (&[1, 2, 840, 113549, 2, 9], pbkdf2::PBKDF2_HMAC_SHA256),
    (&[1, 2, 840, 113549, 2, 10], pbkdf2::PBKDF2_HMAC_SHA384),
    (&[1, 2, 840, 113549, 2, 11], pbkdf2::PBKDF2_HMAC_SHA512),
];
/// What an envelope that names no PRF means.
const HMAC_SHA1: &[u64] = &[1, 2, 840, 113549, 2, 7];

static CIPHERS: [(&[u64], usize, &Cipher); 3] = [
    (&[2, 16, 840, 1, 101, 3, 4, 1, 2], 16, &AES_128),
    (&[2, 16, 840, 1, 101, 3, 4, 1, 22], 24, &AES_192),
    (&[2, 16, 840, 1, 101, 3, 4, 1, 42], 32, &AES_256),
];

/// The envelope as far as it could be read; algorithms by their identifiers.
struct Envelope {
    scheme: ObjectIdentifier,
    parameters: Vec<u8>,
    sealed: Vec<u8>,
}

struct Parameters {
    derivation: ObjectIdentifier,
    salt: Vec<u8>,
    rounds: u32,
    prf: ObjectIdentifier,
    cipher: ObjectIdentifier,
    iv: Vec<u8>,
}

/// Whether a PEM text holds an encrypted key: PKCS#8 says it in the label, the older form in a line below it, which
/// PEM readers take for broken base64.
pub(super) fn is_encrypted(pem: &[u8]) -> bool {
    let holds = |mark: &[u8]| memchr::memmem::find(pem, mark).is_some();
    holds(b"-----BEGIN ENCRYPTED PRIVATE KEY-----") || holds(b"Proc-Type: 4,ENCRYPTED")
}

pub(super) fn decrypt(pem: &[u8], password: &[u8]) -> Result<PrivateKeyDer<'static>, Error> {
    let blocks =
        ::pem::parse_many(pem).map_err(|error| fault(format!("private key: malformed PEM: {error}")))?;
    let block = blocks.iter().find(|block| block.tag() == LABEL).ok_or_else(|| {
        fault("private key: encrypted in the old OpenSSL form; convert it with `openssl pkcs8 -topk8`")
    })?;
    let malformed = |error| fault(format!("private key: malformed encryption envelope: {error}"));
    let envelope = yasna::parse_der(block.contents(), Envelope::read).map_err(malformed)?;
    if !is(&envelope.scheme, PBES2) {
        return Err(unsupported());
    }
    // A derivation other than PBKDF2 has other parameters, so it fails here.
    let parameters = yasna::parse_der(&envelope.parameters, Parameters::read).map_err(|_| unsupported())?;
    parameters.open(envelope.sealed, password)
}

impl Envelope {
    fn read(reader: BERReader<'_, '_>) -> ASN1Result<Self> {
        reader.read_sequence(|envelope| {
            let (scheme, parameters) = envelope.next().read_sequence(|algorithm| {
                Ok((algorithm.next().read_oid()?, algorithm.next().read_der()?))
            })?;
            Ok(Self { scheme, parameters, sealed: envelope.next().read_bytes()? })
        })
    }
}

impl Parameters {
    fn read(reader: BERReader<'_, '_>) -> ASN1Result<Self> {
        reader.read_sequence(|parameters| {
            let (derivation, (salt, rounds, prf)) = parameters.next().read_sequence(|algorithm| {
                let derivation = algorithm.next().read_oid()?;
                let details = algorithm.next().read_sequence(|details| {
                    let salt = details.next().read_bytes()?;
                    let rounds = details.next().read_u32()?;
                    let _key_length = details.read_optional(|length| length.read_u32())?;
                    let prf = details.read_optional(|prf| {
                        prf.read_sequence(|prf| {
                            let name = prf.next().read_oid()?;
                            prf.read_optional(|none| none.read_null())?;
                            Ok(name)
                        })
                    })?;
                    Ok((salt, rounds, prf.unwrap_or_else(|| ObjectIdentifier::from_slice(HMAC_SHA1))))
                })?;
                Ok((derivation, details))
            })?;
            let (cipher, iv) = parameters.next().read_sequence(|algorithm| {
                Ok((algorithm.next().read_oid()?, algorithm.next().read_bytes()?))
            })?;
            Ok(Self { derivation, salt, rounds, prf, cipher, iv })
        })
    }

    fn open(&self, mut sealed: Vec<u8>, password: &[u8]) -> Result<PrivateKeyDer<'static>, Error> {
        let prf = PRFS.iter().find(|(name, _)| is(&self.prf, name));
        let cipher = CIPHERS.iter().find(|(name, ..)| is(&self.cipher, name));
        let (true, Some((_, prf)), Some((_, key_len, cipher))) = (is(&self.derivation, PBKDF2), prf, cipher)
        else {
            return Err(unsupported());
        };
        let rounds = NonZeroU32::new(self.rounds).ok_or_else(unsupported)?;
        let iv = <[u8; 16]>::try_from(&self.iv[..]).map_err(|_| unsupported())?;
        let mut key = Zeroizing::new(vec![0; *key_len]);
        pbkdf2::derive(*prf, rounds, &self.salt, password, &mut key);
        let context = DecryptionContext::Iv128(FixedLength::from(iv));
        let opened = UnboundCipherKey::new(cipher, &key)
            .and_then(PaddedBlockDecryptingKey::cbc_pkcs7)
            .and_then(|key| key.decrypt(&mut sealed, context).map(|opened| opened.len()));
        // A wrong password shows in the padding or, one time in 256, in octets that are no SEQUENCE.
        match opened {
            Ok(length) if sealed.first() == Some(&0x30) => {
                sealed.truncate(length);
                Ok(PrivatePkcs8KeyDer::from(sealed).into())
            }
            _ => Err(fault("private key: the password is wrong")),
        }
    }
}

fn is(name: &ObjectIdentifier, components: &[u64]) -> bool {
    name.components().as_slice() == components
}

fn unsupported() -> Error {
    fault("private key: encrypted in an unsupported way; PBKDF2 with AES-CBC is understood")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tls::Identity;

    // Made by OpenSSL 3.0 for one key: `openssl pkcs8 -topk8 -v2 CIPHER -v2prf PRF`.
    const AES256_SHA256: &str = "-----BEGIN ENCRYPTED PRIVATE KEY-----
MIHsMFcGCSqGSIb3DQEFDTBKMCkGCSqGSIb3DQEFDDAcBAjkxJNYj57r8AICCAAw
DAYIKoZIhvcNAgkFADAdBglghkgBZQMEASoEEEXyIhWnDGpoFWU79uw1/QkEgZDH
Vx6Rf9t1fMjs0O+lvAVgFO4Razbj4n9cw2sqpQDOnTzxmls1DfoKOYx1QS5pwYME
tTm2Ti8BgdjTog5tCHKCKjOmTqHQQB04NHFXCB2ePKcJlQ9aczhyJRd4uRgeZk4Q
w927yZeXYgFc/U1+yHMbJVOwODT0SO2GfYkuao7QDI35rKQIOF0CICzRcOuGFFU=
-----END ENCRYPTED PRIVATE KEY-----\n";
    const AES128_SHA1: &str = "-----BEGIN ENCRYPTED PRIVATE KEY-----
MIHeMEkGCSqGSIb3DQEFDTA8MBsGCSqGSIb3DQEFDDAOBAirh74eMojeBgICCAAw
HQYJYIZIAWUDBAECBBDKo7za72Eu07IH1VbMcDMtBIGQoTy2v1q7yjHXlzqsyYpq
mTMyO1alSP087fCa3BtQFCyT5oHHqc5YnJMqqtNmeSdP0Y6SC1YBpKQ4nroll31z
gkasfuGfrfEri0XbfpS7l9LBS5aTRnRqBZ+aVf8g9qGCTiMEtWAOzipYyJa2O4R1
spRunbfQB7v8Ro0m0Nzu7DMyxqyMO+RwnpGSk2l0LYTQ
-----END ENCRYPTED PRIVATE KEY-----\n";
    const AES192_SHA512: &str = "-----BEGIN ENCRYPTED PRIVATE KEY-----
MIHsMFcGCSqGSIb3DQEFDTBKMCkGCSqGSIb3DQEFDDAcBAjS6Q6mCDMe9AICCAAw
DAYIKoZIhvcNAgsFADAdBglghkgBZQMEARYEELeJuxA44MmvKl7eEg28iU0EgZDF
eSzaqJUCF57YHpixhtzlQSTm9s8M2L1Oy3iyYPmbPYGur20c+UxSWuzZGAHw/woD
wehkhbt+EzFIqnFKIq/rO6cbrOAMF7V93eUYO9Te9vgp384OC3WpxyVTRBhlFiXX
qDXt8J0+3lRB3oF9hkIXwoEk1Mh2YCw6jSHJL4kCToRg/ATLvVtl4/X5usxSf/U=
-----END ENCRYPTED PRIVATE KEY-----\n";
    const SCRYPT: &str = "-----BEGIN ENCRYPTED PRIVATE KEY-----
MIHkME8GCSqGSIb3DQEFDTBCMCEGCSsGAQQB2kcECzAUBAg9NX0kEpzw0wICQAAC
AQgCAQEwHQYJYIZIAWUDBAEqBBDa7Lpm9x8PGs2TeHix2yD4BIGQ5VlUkGtezpK+
z1EfJ4QJ0QbcKi3Rgk1AEa7JNrpK+bXfQ3MPZpwHGEm0BpXmB1CoEaEJMVtfZa7E
fZk/h385I4mq4nYuSIak+pUTuvepLzo6yDgdvbCCie/Rxav/iRiIiFq0S+MG/KS5
7damOhXtP1ltdMV3em5dTlR70gHth02lGoUrCYc8+MzTL5Zf4VE3
-----END ENCRYPTED PRIVATE KEY-----\n";

    #[test]
    fn keys_that_openssl_encrypts_open_with_their_password() {
        let keys = [AES256_SHA256, AES128_SHA1, AES192_SHA512]
            .map(|pem| decrypt(pem.as_bytes(), b"secret").unwrap());
        assert!(keys.iter().all(|key| key.secret_der() == keys[0].secret_der()));

        let pair = rcgen::KeyPair::try_from(&keys[0]).unwrap();
        let params = rcgen::CertificateParams::new(["localhost".to_owned()]).unwrap();
        let chain = params.self_signed(&pair).unwrap().pem();
        let with_password =
            |key: &str| Identity::from_pem_with_password(chain.as_bytes(), key.as_bytes(), b"secret");
        assert!(with_password(AES256_SHA256).is_ok());
        assert!(with_password(&pair.serialize_pem()).is_ok(), "a key in the clear needs no password");
    }

    #[test]
    fn a_wrong_password_and_an_unknown_scheme_are_told_apart() {
        let fault = |pem: &str, password: &[u8]| decrypt(pem.as_bytes(), password).unwrap_err().to_string();
        for password in [&b""[..], b"Secret", b"secret "] {
            assert!(fault(AES256_SHA256, password).contains("password is wrong"));
        }
        assert!(fault(SCRYPT, b"secret").contains("unsupported"));
        let garbage = ::pem::encode(&::pem::Pem::new(LABEL, b"garbage"));
        assert!(fault(&garbage, b"secret").contains("malformed"));
    }
}
