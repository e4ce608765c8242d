//! The locked dependencies: none is older than the first version without a hole that a peer could reach. Licences,
//! doubles and sources are `deny.toml`'s.

/// Crate, and the lowest version that may be locked.
const FLOORS: [(&str, [u64; 3]); 5] = [
    // RUSTSEC-2026-0258 (small DATA frames) and all before; the frame observer is measured against this one.
    ("h2", [0, 4, 20]),
    ("rustls", [0, 23, 46]),
    // RUSTSEC-2026-0049, -0098, -0099 (revocation, name constraints), -0104 (a revocation list that panics).
    ("rustls-webpki", [0, 103, 13]),
    // RUSTSEC-2026-0044 to -0048 (certificate checks that can be passed by, timing of AES-CCM).
    ("aws-lc-sys", [0, 39, 0]),
    // RUSTSEC-2026-0176, -0177.
    ("pyo3", [0, 29, 0]),
];

#[test]
fn no_locked_version_is_below_its_floor() {
    let locked = locked();
    for (name, floor) in FLOORS {
        let versions: Vec<_> = locked.iter().filter(|(locked, _)| *locked == name).collect();
        assert!(!versions.is_empty(), "{name} is not locked: its floor guards nothing");
        for (_, version) in versions {
            assert!(numbers(version) >= floor, "{name} {version} is below {floor:?}");
        }
    }
}

#[test]
fn versions_compare_by_number() {
    assert!(numbers("0.103.9") < numbers("0.103.13"));
    assert_eq!(numbers("0.42.0+wasi-0.2"), [0, 42, 0]);
}

/// Name and version of every package of the lock file.
fn locked() -> Vec<(&'static str, &'static str)> {
    let lock = include_str!("../../Cargo.lock");
    lock.split("[[package]]")
        .skip(1)
        .filter_map(|entry| Some((value(entry, "name")?, value(entry, "version")?)))
        .collect()
}

fn value<'a>(entry: &'a str, key: &str) -> Option<&'a str> {
    entry.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix(" = \"")?.strip_suffix('"'))
}

fn numbers(version: &str) -> [u64; 3] {
    let release = version.split(['+', '-']).next().unwrap_or_default();
    let mut parts = release.split('.').map(|part| part.parse().expect("a version is made of numbers"));
    std::array::from_fn(|_| parts.next().unwrap_or(0))
}
