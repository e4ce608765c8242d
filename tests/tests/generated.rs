//! Renders what is made from the settings list: the C header, the Python stub and the settings page. Each
//! test compares with the committed file, and `BLESS=1` rewrites it. `generated/contract.*` are the rows as
//! outside programs know them: whatever the list says must agree with those, letter for letter.

use std::fmt::Write;
use std::path::Path;

use bartizan::settings::{AUTO, Level, OFF, Setting, TABLE, Unit};

const CONTRACT_H: &str = include_str!("generated/contract.h");
const CONTRACT_PYI: &str = include_str!("generated/contract.pyi");

#[test]
fn the_header_is_rendered_from_the_list() {
    compare("include/bartizan_settings.h", &header());
}

#[test]
fn the_stub_is_rendered_from_the_list() {
    compare("python/python/bartizan/_settings.pyi", &stub());
}

#[test]
fn the_settings_page_is_rendered_from_the_list() {
    compare("docs/settings.md", &page());
}

#[test]
fn the_list_has_the_rows_of_the_abi_in_its_order() {
    let expected: Vec<_> = CONTRACT_H.lines().map(contract_row).collect();
    let rows: Vec<_> = TABLE.iter().map(|row| (macro_name(row), row.key.to_owned(), marks(row))).collect();
    assert_eq!(rows, expected);
    let header = header();
    for (name, key, _) in expected {
        assert!(header.contains(&format!("#define {name} \"{key}\" ")), "{name}");
    }
}

#[test]
fn the_stub_has_the_types_of_the_abi() {
    let stub = stub();
    let (_, classes) = stub.split_at(stub.find("class ").expect("the stub declares classes"));
    assert_eq!(classes.trim_end(), CONTRACT_PYI.trim_end());
}

/// `#define BARTIZAN_MAX_BODY_BYTES "max_body_bytes"  /* L Q off; ... */` as macro name, key and marks.
fn contract_row(line: &str) -> (String, String, String) {
    let mut words = line.split_whitespace().skip(1);
    let name = words.next().unwrap().to_owned();
    let key = words.next().unwrap().trim_matches('"').to_owned();
    let comment = line.split_once("/*").map_or("", |(_, comment)| comment.trim_end_matches("*/"));
    let marks = comment.split(';').next().unwrap_or_default().split_whitespace();
    (name, key, marks.collect::<Vec<_>>().join(" "))
}

fn compare(path: &str, rendered: &str) {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(path);
    if std::env::var_os("BLESS").is_some_and(|bless| bless == "1") {
        std::fs::write(&file, rendered).unwrap();
    }
    let committed = std::fs::read_to_string(&file).unwrap_or_default();
    assert!(
        committed == rendered,
        "{path} differs from the settings list: run BLESS=1 cargo test -p bartizan-tests --test generated"
    );
}

fn header() -> String {
    let defines: Vec<_> = TABLE.iter().map(|row| format!("{} \"{}\"", macro_name(row), row.key)).collect();
    let widest = defines.iter().map(String::len).max().unwrap_or_default();
    let mut out = String::from(
        "/* Rendered from the settings list (core/src/settings.rs): edit that, not this.\n\
         \x20* The string is the key in every language; the macro adds the unit of the int64_t. Rates are in octets per second.\n\
         \x20* L, N, Q: may be overridden for a listener, a server name, one live request. off, auto: BARTIZAN_OFF, BARTIZAN_AUTO\n\
         \x20* are allowed. What each bounds, and what the peer sees: bartizan_setting_at, docs/settings.md. */\n\
         #ifndef BARTIZAN_SETTINGS_H\n#define BARTIZAN_SETTINGS_H\n",
    );
    for (row, define) in TABLE.iter().zip(defines) {
        let range = match row.unit {
            Unit::Choice => format!("{} = 0 to {}", row.choices.join(" "), row.max),
            _ => format!("{} to {}", row.min, row.max),
        };
        let marks = marks(row);
        let marks = if marks.is_empty() { marks } else { format!("; {marks}") };
        let default = in_unit(row, row.default_value);
        writeln!(out, "#define {define:widest$}  /* default {default}; {range}{marks} */").unwrap();
    }
    out + "#endif\n"
}

fn stub() -> String {
    let mut out = String::from(
        "\"\"\"Rendered from the settings list (core/src/settings.rs): edit that, not this.\"\"\"\n\
         from datetime import timedelta\n\
         from typing import Literal, TypeAlias, TypedDict\n\n\
         Duration: TypeAlias = float | timedelta | str\n\
         Size: TypeAlias = int | str\n",
    );
    let at = |row: &Setting, level| row.levels.contains(&level);
    let mut class = |name, base, doc, rows: &dyn Fn(&Setting) -> bool| {
        write!(out, "\nclass {name}({base}, total=False):\n    \"\"\"{doc}\"\"\"\n").unwrap();
        for row in TABLE.iter().filter(|row| rows(row)) {
            writeln!(out, "    {}: {}", row.key, python_type(row)).unwrap();
        }
    };
    class("LimitSettings", "TypedDict", "May be set for one live request (level Q) as well.", &|row| {
        at(row, Level::Request)
    });
    class("NameSettings", "TypedDict", "May be set per server name (level N).", &|row| {
        at(row, Level::ServerName)
    });
    class("ListenerSettings", "LimitSettings", "May be set per listener (level L).", &|row| {
        at(row, Level::Listener) && !at(row, Level::Request)
    });
    class("Settings", "ListenerSettings", "Every row of the settings list (rendered).", &|row| {
        !at(row, Level::Listener)
    });
    out
}

fn python_type(row: &Setting) -> String {
    let literal = |names: &[&str]| format!("Literal[\"{}\"]", names.join("\", \""));
    let mut python = match row.unit {
        Unit::Millis => "Duration".into(),
        Unit::Bytes | Unit::Rate => "Size".into(),
        Unit::Count => "int".into(),
        Unit::Switch => "bool".into(),
        Unit::Choice => literal(row.choices),
    };
    if row.auto {
        python += &format!(" | {}", literal(&["auto"]));
    }
    if row.off {
        python += " | None";
    }
    python
}

fn page() -> String {
    let mut out = String::from(include_str!("generated/page.md"));
    for row in TABLE {
        let default = row.render(row.default_value);
        let levels = levels(row).join(" ");
        writeln!(out, "| `{}` | {default} | {} | {levels} | {} |", row.key, row.allowed(), row.doc).unwrap();
    }
    out
}

fn macro_name(row: &Setting) -> String {
    let unit = if row.unit == Unit::Millis { "_MS" } else { "" };
    format!("BARTIZAN_{}{unit}", row.key.to_uppercase())
}

fn levels(row: &Setting) -> Vec<String> {
    row.levels.iter().map(|level| level.letter().to_string()).collect()
}

/// Levels, then what is allowed beside numbers.
fn marks(row: &Setting) -> String {
    let mut marks = levels(row);
    marks.extend(row.off.then(|| "off".to_owned()));
    marks.extend(row.auto.then(|| "auto".to_owned()));
    marks.join(" ")
}

fn in_unit(row: &Setting, value: i64) -> String {
    match value {
        OFF if row.off => "off".into(),
        AUTO if row.auto => "auto".into(),
        number => number.to_string(),
    }
}
