//! Settings above settings: what a listener or server name overrides, which rows the program wrote, and the
//! rules between two rows. What one row allows on its own is checked in `text.rs`.

use super::table::{Level, Setting, known, setting_at};
use super::{Row, Settings, TABLE};
use crate::error::{Error, ErrorKind};

/// Rows of which the first is contained in the second: more of it than of its container could never be used.
/// Outer containers come first, so that one pass carries a small one all the way in.
///
/// Only containment counts. That a total budget ends before a pause would (`body_timeout`,
/// `body_idle_timeout`) is no disagreement: both act, each on its own clock.
const WITHIN: [(Row, Row); 6] = [
    (Row::client_hello_timeout, Row::handshake_timeout),
    (Row::max_connection_memory_bytes, Row::max_total_memory_bytes),
    (Row::max_header_bytes, Row::max_connection_memory_bytes),
    (Row::max_target_bytes, Row::max_header_bytes),
    (Row::buffer_body_bytes, Row::max_connection_memory_bytes),
    // What the peer may send unasked must be held; a window above the cap would close it instead of pushing
    // back.
    (Row::h2_connection_window_bytes, Row::max_connection_memory_bytes),
];

/// The rows written through a setter, one bit each: a program that writes the default means it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Written(u64);

const _: () = assert!(TABLE.len() <= u64::BITS as usize, "`Written` needs a wider integer");

impl Settings {
    /// Sets a row to a value in its unit, [`OFF`](super::OFF) or [`AUTO`](super::AUTO).
    pub fn set(&mut self, key: &str, value: i64) -> Result<(), Error> {
        let setting = known(key)?;
        self.write(setting, setting.check(value)?);
        Ok(())
    }

    /// Sets a row to a value in its text form, such as `10s`, `16KiB`, `off` or `auto`.
    pub fn set_text(&mut self, key: &str, text: &str) -> Result<(), Error> {
        let setting = known(key)?;
        self.write(setting, setting.parse(text)?);
        Ok(())
    }

    /// The value of a row in its unit, [`OFF`](super::OFF) or [`AUTO`](super::AUTO).
    pub fn get(&self, key: &str) -> Result<i64, Error> {
        Ok((known(key)?.get)(self))
    }

    /// The value of a row in its text form.
    pub fn get_text(&self, key: &str) -> Result<String, Error> {
        let setting = known(key)?;
        Ok(setting.render((setting.get)(self)))
    }

    /// Everything that is wrong: fields out of range, and rows that disagree where the program wrote both.
    pub fn check(&self) -> Vec<Error> {
        let ranges = TABLE.iter().filter_map(|setting| setting.check((setting.get)(self)).err());
        let rules = WITHIN.iter().filter_map(|(inner, outer)| {
            let (inner, outer) = (inner.setting(), outer.setting());
            let value = self.beyond(inner, outer)?;
            (self.wrote(inner) && self.wrote(outer)).then(|| {
                let (value, cap) = (inner.render(value), outer.render((outer.get)(self)));
                let fault =
                    format!("{} = {value} is more than {} = {cap} leaves room for", inner.key, outer.key);
                Error::new(ErrorKind::Value, fault)
            })
        });
        ranges.chain(rules).collect()
    }

    /// What acts: of two rows that disagree, the smaller.
    pub fn effective(&self) -> Self {
        let mut effective = self.clone();
        for (inner, outer) in WITHIN.map(|(inner, outer)| (inner.setting(), outer.setting())) {
            if effective.beyond(inner, outer).is_some() {
                let cap = (outer.get)(&effective);
                (inner.set)(&mut effective, cap);
            }
        }
        #[cfg(test)]
        mutate(&mut effective);
        effective
    }

    /// The value of `inner`, if `outer` is on and smaller.
    fn beyond(&self, inner: &Setting, outer: &Setting) -> Option<i64> {
        let (value, cap) = ((inner.get)(self), (outer.get)(self));
        (cap >= 0 && value > cap).then_some(value)
    }

    fn write(&mut self, setting: &Setting, value: i64) {
        (setting.set)(self, value);
        self.written.0 |= 1 << setting.row as u64;
    }

    /// Fields written directly leave no bit, so a value other than the default counts as well.
    fn wrote(&self, setting: &Setting) -> bool {
        self.written.0 & (1 << setting.row as u64) != 0 || (setting.get)(self) != setting.default_value
    }
}

/// For `make mutate`: the row that the environment names acts as if nobody had set it, and a test has to notice. `list`: says
/// which test sets which rows, since no other can.
#[cfg(test)]
fn mutate(settings: &mut Settings) {
    let Ok(key) = std::env::var("BARTIZAN_MUTATED_ROW") else { return };
    if key == "list" {
        let test = std::thread::current().name().unwrap_or_default().to_owned();
        let set = TABLE.iter().filter(|row| (row.get)(settings) != row.default_value);
        set.for_each(|row| println!("{test} sets {}", row.key));
    } else {
        let row = known(&key).expect("a row to mutate");
        (row.set)(settings, row.default_value);
    }
}

impl Row {
    fn setting(self) -> &'static Setting {
        &TABLE[self as usize]
    }
}

/// The rows that one listener or server name has of its own.
#[derive(Clone, Debug)]
pub struct Overrides {
    level: Level,
    rows: Vec<(&'static Setting, i64)>,
}

impl Overrides {
    /// No overrides yet; only rows of this level will be accepted.
    pub fn new(level: Level) -> Self {
        Self { level, rows: Vec::new() }
    }

    /// Overrides a row with a value in its unit, [`OFF`](super::OFF) or [`AUTO`](super::AUTO).
    pub fn set(&mut self, key: &str, value: i64) -> Result<(), Error> {
        let setting = setting_at(self.level, key)?;
        self.rows.push((setting, setting.check(value)?));
        Ok(())
    }

    /// Overrides a row with a value in its text form.
    pub fn set_text(&mut self, key: &str, text: &str) -> Result<(), Error> {
        let setting = setting_at(self.level, key)?;
        self.rows.push((setting, setting.parse(text)?));
        Ok(())
    }

    /// Whether nothing is overridden.
    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// The settings of the level above, with these in place of theirs; of a row that was set twice, the
    /// later.
    pub fn over(&self, settings: &Settings) -> Settings {
        let mut merged = settings.clone();
        for (setting, value) in &self.rows {
            merged.write(setting, *value);
        }
        merged
    }
}

#[cfg(test)]
mod tests;
