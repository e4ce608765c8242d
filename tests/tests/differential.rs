//! hyper is the oracle of HTTP/1.1: what hyper refuses, we never accept, and what both accept, both see alike. The corpus of
//! `tests/corpus` and seeded random requests go through hyper's own server over a pipe, and through ours over a socket.
//!
//! Refusing more than hyper is our purpose and no difference here: the corpus says what and why, and the black-box
//! suite holds us to it. Where we accept what hyper does not, or show it otherwise, `DIFFERENCES` has a row with the reason.

#[path = "differential/corpus.rs"]
mod corpus;
#[path = "differential/generate.rs"]
mod generate;
#[path = "differential/servers.rs"]
mod servers;

use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use servers::{Oracle, Ours, Seen};

/// How many connections of random requests; about ten seconds of a debug build.
const RANDOM: u64 = 30_000;

/// Threads that ask; most of the time goes by in the exchange between two sockets.
const ASKERS: u64 = 4;

/// A request that we accept and hyper refuses, or shows to its program otherwise.
struct Difference {
    name: &'static str,
    reason: &'static str,
    /// Whether the octets hold such a request; only then it is excused.
    applies: fn(&[u8]) -> bool,
}

const DIFFERENCES: [Difference; 1] = [Difference {
    name: "later minor versions",
    reason: "RFC 9110 §2.5: a recipient serves a later minor version as the highest one it has; httparse refuses it",
    applies: |octets| {
        (b'2'..=b'9').any(|minor| contains(octets, &[b"HTTP/1.", &[minor][..], b"\r\n"].concat()))
    },
}];

fn contains(octets: &[u8], text: &[u8]) -> bool {
    octets.windows(text.len()).any(|window| window == text)
}

/// What a comparison of one connection came to.
enum Verdict {
    Agreed,
    Stricter,
    Excused(&'static str),
}

/// Sends the octets to both. An error says what we accepted wrongly.
fn compare(oracle: &Oracle, ours: &Ours, octets: &[u8]) -> Result<Verdict, String> {
    let theirs = oracle.serve(octets);
    let seen = ours.serve(octets);
    let ours_is_prefix =
        seen.len() <= theirs.len() && seen.iter().zip(&theirs).all(|(ours, theirs)| ours.is_same(theirs));
    match ours_is_prefix {
        true if seen.len() == theirs.len() => Ok(Verdict::Agreed),
        true => Ok(Verdict::Stricter),
        false => match DIFFERENCES.iter().find(|difference| (difference.applies)(octets)) {
            Some(difference) => Ok(Verdict::Excused(difference.name)),
            None => Err(format!(
                "{}\n  ours saw {}\n  hyper saw {}",
                octets.escape_ascii(),
                list(&seen),
                list(&theirs)
            )),
        },
    }
}

fn list(seen: &[Seen]) -> String {
    seen.iter().map(ToString::to_string).collect::<Vec<_>>().join(" | ")
}

#[test]
fn of_the_corpus_we_accept_nothing_that_hyper_refuses() {
    let (oracle, ours) = (Oracle::new(), Ours::start());
    let cases = corpus::read();
    assert!(cases.len() >= 200, "{} cases", cases.len());
    let mut faults = Vec::new();
    let mut excused = std::collections::BTreeSet::new();
    for case in &cases {
        match compare(&oracle, &ours, &case.octets) {
            Ok(Verdict::Excused(name)) => drop(excused.insert(name)),
            Ok(_) => {}
            Err(fault) => faults.push(format!("{}: {fault}", case.name)),
        }
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
    // A row that the corpus does not need is a door left open.
    for difference in &DIFFERENCES {
        assert!(excused.contains(difference.name), "{}: {}", difference.name, difference.reason);
    }
}

#[test]
fn of_random_requests_we_accept_nothing_that_hyper_refuses() {
    let ours = Ours::start();
    let (faults, agreed, stricter) = (Mutex::new(Vec::new()), AtomicUsize::new(0), AtomicUsize::new(0));
    std::thread::scope(|scope| {
        for asker in 0..ASKERS {
            let (ours, faults, agreed, stricter) = (&ours, &faults, &agreed, &stricter);
            scope.spawn(move || {
                let oracle = Oracle::new();
                for seed in (asker..RANDOM).step_by(ASKERS as usize) {
                    match compare(&oracle, ours, &generate::connection(seed)) {
                        Ok(Verdict::Agreed) => drop(agreed.fetch_add(1, Ordering::Relaxed)),
                        Ok(Verdict::Stricter) => drop(stricter.fetch_add(1, Ordering::Relaxed)),
                        Ok(Verdict::Excused(_)) => {}
                        Err(fault) => {
                            faults.lock().expect("no asker panics").push(format!("seed {seed}: {fault}"))
                        }
                    }
                }
            });
        }
    });
    let faults = faults.into_inner().expect("no asker panics");
    assert!(faults.is_empty(), "{} faults\n{}", faults.len(), faults.join("\n"));
    // The oracle is of use only if both sides of the line are met often.
    let (agreed, stricter) = (agreed.into_inner(), stricter.into_inner());
    assert!(agreed > RANDOM as usize / 5, "agreed on {agreed} of {RANDOM}");
    assert!(stricter > RANDOM as usize / 20, "stricter in {stricter} of {RANDOM}");
}

#[test]
fn well_formed_requests_are_accepted_by_both() {
    let (oracle, ours) = (Oracle::new(), Ours::start());
    for seed in 0..200 {
        let (octets, count) = generate::well_formed(seed);
        let (seen, theirs) = (ours.serve(&octets), oracle.serve(&octets));
        assert_eq!((seen.len(), theirs.len()), (count, count), "seed {seed}: {}", octets.escape_ascii());
        assert!(seen.iter().zip(&theirs).all(|(ours, theirs)| ours.is_same(theirs)), "seed {seed}");
    }
}
