//! What the targets of `fuzz/` run, one function each: octets in, and a panic if something that must hold does not. Built for
//! fuzzing, and for the tests, which hold each function to the cases that fuzzing has found.
//!
//! The first octets of an input choose limits and where the rest is cut; what is cut must mean what it means in one piece.

mod connections;
mod parsers;

pub use connections::{acts, http1, http2};
pub use parsers::{chunked, client_hello, head, proxy};

use super::chaos::Dice;

/// Splits off `N` octets that choose; `None`: there are not as many.
fn choices<const N: usize>(data: &[u8]) -> Option<([u8; N], &[u8])> {
    data.split_first_chunk::<N>().map(|(first, rest)| (*first, rest))
}

/// Where to cut, ascending, the whole length at last: few cuts or one behind each octet, as `seed` says.
fn cuts(length: usize, seed: u8) -> impl Iterator<Item = usize> {
    let mut dice = Dice::seeded(seed.into());
    let longest = *dice.pick(&[1, 2, 7, 64, 4_096]);
    let mut at = 0;
    std::iter::from_fn(move || {
        (at < length).then(|| {
            at = length.min(at + 1 + dice.below(longest));
            at
        })
    })
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    type Target = fn(&[u8]);

    /// Runs a target over what fuzzing has found for it.
    fn replay(target: Target, name: &str) {
        let found = Path::new(env!("CARGO_MANIFEST_DIR")).join("../fuzz/regressions").join(name);
        let Ok(cases) = std::fs::read_dir(&found) else { return };
        for case in cases {
            target(&std::fs::read(case.unwrap().path()).unwrap());
        }
    }

    /// A few inputs that need no fuzzer: every octet once, alone and in a row.
    fn try_out(target: Target) {
        target(&[]);
        for octet in 0..=255 {
            target(&[octet]);
            target(&[octet; 40]);
        }
    }

    #[test]
    fn what_fuzzing_has_found_stays_fixed() {
        let targets: [(Target, &str); 7] = [
            (super::head, "head"),
            (super::chunked, "chunked"),
            (super::proxy, "proxy"),
            (super::client_hello, "client_hello"),
            (super::http1, "http1"),
            (super::http2, "http2"),
            (super::acts, "acts"),
        ];
        for (target, name) in targets {
            try_out(target);
            replay(target, name);
        }
    }
}
