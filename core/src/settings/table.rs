//! What a row of the settings list is to everyone who does not write Rust, how it is found by its key, and
//! the macro that turns the list into a struct and a table. How a row's values are spelled lives in
//! `text.rs`.

use super::{Row, Settings, TABLE};
use crate::error::{Error, ErrorKind};

/// What the integer of a row counts. One unit per kind of thing, so that no key needs a suffix.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unit {
    /// Milliseconds.
    Millis,
    /// Octets.
    Bytes,
    /// Things.
    Count,
    /// Octets per second.
    Rate,
    /// 0 or 1.
    Switch,
    /// An index into [`Setting::choices`].
    Choice,
}

impl Unit {
    /// The stable name, the same in C and Python.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Millis => "ms",
            Self::Bytes => "bytes",
            Self::Count => "count",
            Self::Rate => "bytes/s",
            Self::Switch => "switch",
            Self::Choice => "choice",
        }
    }
}

/// Where a row may be overridden, below the server itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Level {
    /// One listener.
    Listener,
    /// One server name (SNI).
    ServerName,
    /// One live request, counted from the phase's own start.
    Request,
}

impl Level {
    pub(super) const L: Self = Self::Listener;
    pub(super) const N: Self = Self::ServerName;
    pub(super) const Q: Self = Self::Request;

    /// The letter that stands for it in headers and documents.
    pub const fn letter(self) -> char {
        match self {
            Self::Listener => 'L',
            Self::ServerName => 'N',
            Self::Request => 'Q',
        }
    }

    const fn name(self) -> &'static str {
        match self {
            Self::Listener => "listener",
            Self::ServerName => "server name",
            Self::Request => "request",
        }
    }
}

/// One row of the settings list.
#[derive(Debug)]
pub struct Setting {
    /// The name in every language; never changes.
    pub key: &'static str,
    /// What the integers below count.
    pub unit: Unit,
    /// The names of a choice's values, from 0; empty for every other unit.
    pub choices: &'static [&'static str],
    /// The value of a server that was told nothing; may be [`OFF`](super::OFF) or [`AUTO`](super::AUTO).
    pub default_value: i64,
    /// The smallest value.
    pub min: i64,
    /// The largest value.
    pub max: i64,
    /// Whether [`OFF`](super::OFF) is a value too.
    pub off: bool,
    /// Whether [`AUTO`](super::AUTO) is a value too.
    pub auto: bool,
    /// Where the row may be overridden.
    pub levels: &'static [Level],
    /// What it bounds; what it costs, or which attack it stops; what the peer sees.
    pub doc: &'static str,
    pub(super) row: Row,
    pub(super) get: fn(&Settings) -> i64,
    pub(super) set: fn(&mut Settings, i64),
}

/// The row with this key.
pub fn setting(key: &str) -> Option<&'static Setting> {
    TABLE.iter().find(|setting| setting.key == key)
}

/// The row with this key, or an error that names the nearest one: a misspelt limit that is silently ignored
/// is an open door.
pub(super) fn known(key: &str) -> Result<&'static Setting, Error> {
    setting(key).ok_or_else(|| {
        // Distance costs time in proportion to the key, which may come from outside.
        let key: String = key.chars().take(64).collect();
        let nearest = TABLE.iter().map(|setting| setting.key).min_by_key(|known| distance(known, &key));
        let hint = nearest.map_or(String::new(), |nearest| format!(", did you mean {nearest:?}?"));
        Error::new(ErrorKind::Option, format!("unknown setting {key:?}{hint}"))
    })
}

/// The row with this key, if it may be overridden at this level.
pub fn setting_at(level: Level, key: &str) -> Result<&'static Setting, Error> {
    let setting = known(key)?;
    if setting.levels.contains(&level) {
        return Ok(setting);
    }
    let scopes: Vec<_> = setting.levels.iter().map(|level| format!(", a {}", level.name())).collect();
    Err(Error::new(
        ErrorKind::Option,
        format!("{key} cannot be set for a {}, only for the server{}", level.name(), scopes.concat()),
    ))
}

/// Levenshtein's distance, one row at a time.
fn distance(a: &str, b: &str) -> usize {
    let mut row: Vec<usize> = (0..=b.chars().count()).collect();
    for (i, from) in a.chars().enumerate() {
        let mut diagonal = i;
        row[0] = i + 1;
        for (j, to) in b.chars().enumerate() {
            let substituted = diagonal + usize::from(from != to);
            diagonal = row[j + 1];
            row[j + 1] = substituted.min(diagonal + 1).min(row[j] + 1);
        }
    }
    row[row.len() - 1]
}

/// Expands the list to three things and no more: `Settings` with its defaults, `TABLE`, and `Row`, which
/// names the rows of the table.
///
/// A row is three lines of doc (bounds what; costs what or stops which attack; what the peer sees), then
/// `key: field type as unit = default, range, [levels];`. The field type alone says whether off or auto is
/// allowed.
macro_rules! settings {
    ($(
        #[doc = $bounds:literal]
        #[doc = $why:literal]
        #[doc = $peer:literal]
        $key:ident: $type:ty as $unit:ident = $default:expr, $range:expr, [$($level:ident)*];
    )+) => {
        /// Every limit, clock and size of a server, a listener or a server name.
        ///
        /// Fields may be written freely; ranges and rules between rows are checked once, when the server
        /// starts, and nothing is clamped. A field that differs from its default counts as set by the
        /// program, and one written through [`Settings::set`] or [`Settings::set_text`] does in any case.
        #[derive(Clone, Debug, PartialEq, Eq)]
        pub struct Settings {
            $(
                #[doc = $bounds]
                #[doc = $why]
                #[doc = $peer]
                #[doc = concat!("\n\nDefault `", stringify!($default), "`,")]
                #[doc = concat!("range `", stringify!($range), "`.")]
                pub $key: $type,
            )+
            /// Public only so that `..Settings::default()` works.
            #[doc(hidden)]
            pub written: Written,
        }

        impl Default for Settings {
            fn default() -> Self {
                Self {
                    $($key: <$type as Value>::from_row($default),)+
                    written: Default::default(),
                }
            }
        }

        /// The position of each row in [`TABLE`].
        #[derive(Clone, Copy, Debug)]
        #[allow(non_camel_case_types, reason = "spelled as the keys are")]
        enum Row {
            $($key,)+
        }

        /// Every row, in the order in which a connection meets them.
        pub static TABLE: &[Setting] = &[$(Setting {
            key: stringify!($key),
            unit: Unit::$unit,
            choices: <$type as Value>::CHOICES,
            default_value: $default,
            min: *($range).start(),
            max: *($range).end(),
            off: <$type as Value>::OFF,
            auto: <$type as Value>::AUTO,
            levels: &[$(Level::$level),*],
            doc: concat!($bounds, $why, $peer).trim_ascii(),
            row: Row::$key,
            get: |settings| Value::to_row(&settings.$key),
            set: |settings, value| settings.$key = Value::from_row(value),
        },)+];

        $(const _: () = {
            let (min, max) = (*($range).start(), *($range).end());
            assert!(
                0 <= min && min <= max && max <= <$type as Value>::MAX,
                concat!("`", stringify!($key), "` has a range that its type cannot hold"),
            );
            assert!(
                (min <= $default && $default <= max)
                    || (<$type as Value>::OFF && $default == OFF)
                    || (<$type as Value>::AUTO && $default == AUTO),
                concat!("`", stringify!($key), "` has a default outside its range"),
            );
        };)+
    };
}
pub(super) use settings;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_unknown_key_names_the_nearest_one() {
        let nearest = |key| known(key).unwrap_err().to_string();
        assert_eq!(
            nearest("hanshake_timeout"),
            "unknown setting \"hanshake_timeout\", did you mean \"handshake_timeout\"?"
        );
        assert!(nearest("handshake_timeout_ms").ends_with("did you mean \"handshake_timeout\"?"));
        assert!(nearest("max-header-bytes").ends_with("did you mean \"max_header_bytes\"?"));
        assert!(nearest("").contains("did you mean"));
        assert_eq!(known("Http2").unwrap_err().kind(), ErrorKind::Option);
        assert!(nearest(&"x".repeat(1 << 20)).len() < 200);
    }

    #[test]
    fn distance_counts_single_edits() {
        for (a, b, edits) in
            [("", "", 0), ("", "abc", 3), ("kitten", "sitting", 3), ("ab", "ba", 2), ("é", "e", 1)]
        {
            assert_eq!(distance(a, b), edits, "{a} {b}");
            assert_eq!(distance(b, a), edits, "{b} {a}");
        }
    }

    #[test]
    fn a_key_that_the_scope_does_not_have_is_refused_by_name() {
        assert_eq!(setting_at(Level::Request, "body_timeout").unwrap().key, "body_timeout");
        let error = setting_at(Level::Request, "handshake_timeout").unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Option);
        let fault =
            "handshake_timeout cannot be set for a request, only for the server, a listener, a server name";
        assert_eq!(error.to_string(), fault);
        let error = setting_at(Level::Listener, "io_threads").unwrap_err();
        assert_eq!(error.to_string(), "io_threads cannot be set for a listener, only for the server");
        assert_eq!(setting_at(Level::Listener, "io_thread").unwrap_err().kind(), ErrorKind::Option);
    }

    #[test]
    fn rows_stand_where_their_names_say() {
        for (position, setting) in TABLE.iter().enumerate() {
            assert_eq!(setting.row as usize, position, "{}", setting.key);
            assert!(std::ptr::eq(super::setting(setting.key).unwrap(), setting), "{} twice", setting.key);
        }
    }

    #[test]
    fn every_doc_has_three_parts() {
        for setting in TABLE {
            assert!(setting.doc.matches(". ").count() >= 2 && setting.doc.ends_with('.'), "{}", setting.key);
            assert!(!setting.doc.contains("  "), "{}", setting.key);
        }
    }
}
