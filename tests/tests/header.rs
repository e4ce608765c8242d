//! The C header: the committed file is what cbindgen makes of the C crate (`BLESS=1` rewrites it), and what it declares is
//! what the library exports, no more and no less. The settings in it are rendered by `generated.rs`.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Command;

#[test]
fn the_header_is_generated_from_the_c_crate() {
    let ffi = root().join("ffi");
    let config = cbindgen::Config::from_file(ffi.join("cbindgen.toml")).unwrap();
    let bindings = cbindgen::Builder::new().with_crate(&ffi).with_config(config).generate().unwrap();
    let mut generated = Vec::new();
    bindings.write(&mut generated);

    let header = root().join("include/bartizan.h");
    if std::env::var_os("BLESS").is_some_and(|bless| bless == "1") {
        std::fs::write(&header, &generated).unwrap();
    }
    assert!(
        std::fs::read(&header).unwrap_or_default() == generated,
        "include/bartizan.h differs from ffi/src: run BLESS=1 cargo test -p bartizan-tests --test header"
    );
}

#[test]
fn the_header_declares_what_the_library_exports() {
    let library = root().join("target/lib/libbartizan.so.0");
    assert!(library.exists(), "{} is missing: run make library", library.display());
    let nm =
        Command::new("nm").args(["-D", "--defined-only", "--format=posix"]).arg(&library).output().unwrap();
    assert!(nm.status.success(), "{}", String::from_utf8_lossy(&nm.stderr));

    let header = std::fs::read_to_string(root().join("include/bartizan.h")).unwrap();
    let exported = String::from_utf8(nm.stdout).unwrap();
    // The version node is a symbol of its own, of type A.
    let exported = exported.lines().filter(|line| !line.contains(" A "));
    let exported = exported.filter_map(|line| line.split([' ', '@']).next());
    assert_eq!(declared(&header), exported.map(str::to_owned).collect());
}

/// What who holds a function has to know of it, each on a line of its own, in this order.
const POINTS: [&str; 5] = ["@own ", "@null ", "@thread ", "@life ", "@err "];

#[test]
fn every_function_says_its_five_points() {
    let header = std::fs::read_to_string(root().join("include/bartizan.h")).unwrap();
    let mut comment = Vec::new();
    let mut told = BTreeSet::new();
    for line in header.lines() {
        if let Some(text) = line.strip_prefix("///") {
            comment.push(text.trim_start());
            continue;
        }
        let name = line.split('(').next().unwrap().rsplit([' ', '*']).next().unwrap();
        if line.contains('(') && name.starts_with("bartizan_") && !line.starts_with("typedef") {
            let points = comment
                .iter()
                .filter_map(|text| text.split_inclusive(' ').next().filter(|tag| tag.starts_with('@')));
            assert!(points.eq(POINTS), "{name} does not say its five points: {comment:?}");
            assert!(
                comment.iter().all(|text| !POINTS.contains(&format!("{text} ").as_str())),
                "{name}: {comment:?}"
            );
            told.insert(name.to_owned());
        }
        if !line.starts_with("BARTIZAN_API") || line.contains('(') {
            comment.clear();
        }
    }
    assert_eq!(told, declared(&header));
}

#[test]
fn declarations_are_told_from_comments_and_types() {
    let header = "/* bartizan_free(NULL) */\n// bartizan_no()\n\
                  typedef void (*bartizan_fn)(void *user_data);\nint32_t bartizan_yes(\n  uint32_t a);";
    assert_eq!(declared(header), BTreeSet::from(["bartizan_yes".to_owned()]));
}

/// The functions of a header: a name right before an opening bracket.
fn declared(header: &str) -> BTreeSet<String> {
    let code: String =
        header.split("/*").map(|part| part.split_once("*/").map_or(part, |(_, code)| code)).collect();
    let lines = code.lines().map(|line| line.split("//").next().unwrap_or_default());
    let before_brackets = lines.flat_map(|line| line.match_indices('(').map(move |(at, _)| &line[..at]));
    let names =
        before_brackets.filter_map(|text| text.rsplit(|c: char| c != '_' && !c.is_alphanumeric()).next());
    names.filter(|name| name.starts_with("bartizan_")).map(str::to_owned).collect()
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}
