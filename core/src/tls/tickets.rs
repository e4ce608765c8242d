//! Session tickets under keys that the program sets, so that several hosts can resume each other's sessions. Keys that
//! rotate inside are rustls's own ticketer (a new key every 6 hours, the previous one still opens).
//!
//! Ticket: key name (16) | nonce (12) | AES-256-GCM-SIV of issue time (8) and state, with tag (16). The SIV mode
//! because nonces are random and many hosts draw them for one key: a repeated nonce then costs next to nothing.

use std::fmt;

use aws_lc_rs::aead::{AES_256_GCM_SIV, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use aws_lc_rs::{hmac, rand};
use rustls::server::ProducesTickets;
use rustls_pki_types::UnixTime;

use crate::error::{Error, ErrorKind};

/// Octets of one ticket key.
pub const TICKET_KEY_LEN: usize = 32;

/// How long a ticket is honoured: as long as one of the rotating keys. It is enforced by the issue time inside the
/// ticket, since nothing makes a program rotate its keys.
const LIFETIME_SECONDS: u32 = 12 * 60 * 60;

const NAME_LEN: usize = 16;

/// The keys, of which the first seals and all open.
pub(super) struct TicketKeys {
    first: TicketKey,
    older: Vec<TicketKey>,
}

struct TicketKey {
    name: [u8; NAME_LEN],
    seal: LessSafeKey,
}

impl TicketKeys {
    /// `None` for no keys.
    pub(super) fn new(keys: &[[u8; TICKET_KEY_LEN]]) -> Result<Option<Self>, Error> {
        let mut ticket_keys = Vec::with_capacity(keys.len());
        for (index, octets) in keys.iter().enumerate() {
            if keys[..index].contains(octets) {
                return Err(Error::new(
                    ErrorKind::Value,
                    format!("ticket_keys: key {} is given twice", index + 1),
                ));
            }
            ticket_keys.push(TicketKey::new(octets)?);
        }
        let mut ticket_keys = ticket_keys.into_iter();
        Ok(ticket_keys.next().map(|first| Self { first, older: ticket_keys.collect() }))
    }

    fn seal(&self, state: &[u8], now: u64) -> Option<Vec<u8>> {
        let key = &self.first;
        let mut nonce = [0; NONCE_LEN];
        rand::fill(&mut nonce).ok()?;
        let mut sealed = Vec::with_capacity(8 + state.len() + AES_256_GCM_SIV.tag_len());
        sealed.extend(now.to_be_bytes());
        sealed.extend(state);
        let unique = Nonce::assume_unique_for_key(nonce);
        key.seal.seal_in_place_append_tag(unique, Aad::from(key.name), &mut sealed).ok()?;
        Some([&key.name, &nonce[..], &sealed].concat())
    }

    fn open(&self, ticket: &[u8], now: u64) -> Option<Vec<u8>> {
        let (name, rest) = ticket.split_first_chunk::<NAME_LEN>()?;
        let (nonce, sealed) = rest.split_first_chunk::<NONCE_LEN>()?;
        let key = std::iter::once(&self.first).chain(&self.older).find(|key| key.name == *name)?;
        let mut opened = sealed.to_vec();
        let nonce = Nonce::assume_unique_for_key(*nonce);
        let plain = key.seal.open_in_place(nonce, Aad::from(name), &mut opened).ok()?;
        let (issued, state) = plain.split_first_chunk::<8>()?;
        // A ticket from the future is authentic all the same: it comes from a host whose clock is ahead.
        let age = now.saturating_sub(u64::from_be_bytes(*issued));
        (age <= u64::from(LIFETIME_SECONDS)).then(|| state.to_vec())
    }
}

impl TicketKey {
    fn new(octets: &[u8; TICKET_KEY_LEN]) -> Result<Self, Error> {
        // The name is public, so it must not help to find the key: a PRF of it, not a part.
        let tag = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, octets), b"bartizan session ticket key name");
        let mut name = [0; NAME_LEN];
        name.copy_from_slice(&tag.as_ref()[..NAME_LEN]);
        let key = UnboundKey::new(&AES_256_GCM_SIV, octets).map_err(|_| {
            Error::new(ErrorKind::Tls, "ticket_keys: the cryptographic library refused a key")
        })?;
        Ok(Self { name, seal: LessSafeKey::new(key) })
    }
}

impl ProducesTickets for TicketKeys {
    fn enabled(&self) -> bool {
        true
    }

    fn lifetime(&self) -> u32 {
        LIFETIME_SECONDS
    }

    fn encrypt(&self, plain: &[u8]) -> Option<Vec<u8>> {
        self.seal(plain, UnixTime::now().as_secs())
    }

    fn decrypt(&self, cipher: &[u8]) -> Option<Vec<u8>> {
        self.open(cipher, UnixTime::now().as_secs())
    }
}

impl fmt::Debug for TicketKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TicketKeys").field("count", &(1 + self.older.len())).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn keys(keys: &[[u8; TICKET_KEY_LEN]]) -> TicketKeys {
        TicketKeys::new(keys).unwrap().unwrap()
    }

    #[test]
    fn the_first_key_seals_and_every_key_opens() {
        let old = keys(&[[1; 32]]);
        let both = keys(&[[2; 32], [1; 32]]);
        let new = keys(&[[2; 32]]);
        assert_eq!(both.decrypt(&old.encrypt(b"state").unwrap()).unwrap(), b"state");
        assert_eq!(new.decrypt(&both.encrypt(b"state").unwrap()).unwrap(), b"state");
        assert_eq!(old.decrypt(&both.encrypt(b"state").unwrap()), None);
    }

    #[test]
    fn every_changed_octet_and_every_cut_is_refused() {
        let keys = keys(&[[7; 32]]);
        let ticket = keys.encrypt(b"state").unwrap();
        for at in 0..ticket.len() {
            let mut changed = ticket.clone();
            changed[at] ^= 1;
            assert_eq!(keys.decrypt(&changed), None, "octet {at}");
            assert_eq!(keys.decrypt(&ticket[..at]), None, "cut at {at}");
        }
    }

    #[test]
    fn a_ticket_ends_with_its_lifetime() {
        let keys = keys(&[[7; 32]]);
        let ticket = keys.seal(b"state", 1_000_000).unwrap();
        let last = 1_000_000 + u64::from(LIFETIME_SECONDS);
        assert!(keys.open(&ticket, last).is_some());
        assert!(keys.open(&ticket, last + 1).is_none());
        assert!(keys.open(&ticket, 0).is_some());
    }

    #[test]
    fn no_keys_are_no_ticketer_and_a_double_is_refused() {
        assert!(TicketKeys::new(&[]).unwrap().is_none());
        assert_eq!(TicketKeys::new(&[[1; 32], [1; 32]]).unwrap_err().kind(), ErrorKind::Value);
    }
}
