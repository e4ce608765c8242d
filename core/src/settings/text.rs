//! How people write a row's values, in files, on command lines and in errors: `10s`, `16KiB`, `off`, `auto`.
//! The text that we render reads back as the same value. Which values a row allows is the row's own business
//! (`table.rs`).

use super::table::{Setting, Unit};
use super::value::{AUTO, OFF};
use crate::error::{Error, ErrorKind};

/// Largest first, as they follow each other in `1h30m`.
const DURATIONS: [(&str, i64); 5] =
    [("d", 86_400_000), ("h", 3_600_000), ("m", 60_000), ("s", 1_000), ("ms", 1)];

/// The binary ones first and largest first, as we write them. No bare `k`: half of the world reads 1000, and
/// a limit is no place for a guess.
const SIZES: [(&str, i64); 9] = [
    ("TiB", 1 << 40),
    ("GiB", 1 << 30),
    ("MiB", 1 << 20),
    ("KiB", 1 << 10),
    ("TB", 1_000_000_000_000),
    ("GB", 1_000_000_000),
    ("MB", 1_000_000),
    ("KB", 1_000),
    ("B", 1),
];

impl Setting {
    /// Reads a value in its text form, and checks it.
    pub fn parse(&self, text: &str) -> Result<i64, Error> {
        let value = match (self.unit, text) {
            (Unit::Switch, "on" | "true" | "1") => Some(1),
            (Unit::Switch, "off" | "false" | "0") => Some(0),
            (Unit::Switch, _) => None,
            (Unit::Choice, name) => {
                self.choices.iter().position(|choice| *choice == name).map(|index| index as i64)
            }
            (_, "off") => return self.check(OFF),
            (_, "auto") => return self.check(AUTO),
            (Unit::Millis, text) => duration(text),
            (Unit::Bytes, text) => size(text),
            (Unit::Rate, text) => size(text.strip_suffix("/s").unwrap_or(text)),
            (Unit::Count, text) => whole(text),
        };
        match value {
            None => Err(self.fault(format!("= {:?} is not {}", shortened(text), self.form()))),
            Some(value) if self.allows(value) => Ok(value),
            // As the program wrote it: `0.5s` is easier to find in a file than `500ms`.
            Some(_) => Err(self.out_of_range(&shortened(text))),
        }
    }

    /// The value in its text form, which [`Setting::parse`] reads back.
    pub fn render(&self, value: i64) -> String {
        match (self.unit, value) {
            (Unit::Switch, 0) => "off".into(),
            (Unit::Switch, 1) => "on".into(),
            (Unit::Choice, index) if self.allows(index) => self.choices[index as usize].into(),
            (Unit::Switch | Unit::Choice, number) => number.to_string(),
            (_, OFF) => "off".into(),
            (_, AUTO) => "auto".into(),
            (Unit::Millis, millis) => in_largest(&DURATIONS, millis, "ms"),
            (Unit::Bytes, bytes) => in_largest(&SIZES[..4], bytes, ""),
            (Unit::Rate, bytes) => in_largest(&SIZES[..4], bytes, "B") + "/s",
            (Unit::Count, number) => number.to_string(),
        }
    }

    /// Passes a value that the row allows; else an error that names key, value and range.
    pub fn check(&self, value: i64) -> Result<i64, Error> {
        match (self.unit, value) {
            (_, value) if self.allows(value) => Ok(value),
            // Their off is one of the values, so the mark is just another wrong number.
            (Unit::Switch | Unit::Choice, value) => Err(self.out_of_range(&value.to_string())),
            (_, OFF | AUTO) => {
                Err(self.fault(format!("cannot be {}: {}", self.render(value), self.allowed())))
            }
            (_, value) => Err(self.out_of_range(&self.render(value))),
        }
    }

    /// What the row allows, in text form: `10ms to 1h, or off`.
    pub fn allowed(&self) -> String {
        let or = match (self.off, self.auto) {
            (true, true) => ", off or auto",
            (true, false) => ", or off",
            (false, true) => ", or auto",
            (false, false) => "",
        };
        match self.unit {
            Unit::Switch | Unit::Choice => format!("{} ({} to {})", self.names(), self.min, self.max),
            _ => format!("{} to {}{or}", self.render(self.min), self.render(self.max)),
        }
    }

    fn names(&self) -> String {
        match self.choices {
            [names @ .., last] if !names.is_empty() => format!("{} or {last}", names.join(", ")),
            _ => "off or on".into(),
        }
    }

    fn allows(&self, value: i64) -> bool {
        (self.min..=self.max).contains(&value) || (self.off && value == OFF) || (self.auto && value == AUTO)
    }

    fn form(&self) -> String {
        match self.unit {
            Unit::Millis => "a duration: write 10s, 250ms or 1h30m".into(),
            Unit::Bytes => "a size: write 16384, 16KiB or 16KB".into(),
            Unit::Count => "a whole number".into(),
            Unit::Rate => "a rate: write 240 or 1KiB/s, in octets per second".into(),
            Unit::Switch | Unit::Choice => format!("one of {}", self.names()),
        }
    }

    fn out_of_range(&self, text: &str) -> Error {
        self.fault(format!("= {text} is out of range: {}", self.allowed()))
    }

    fn fault(&self, fault: String) -> Error {
        Error::new(ErrorKind::Value, format!("{} {fault}", self.key))
    }
}

/// `10s`, `1.5s`, `1h30m`. A bare number is refused: seconds and milliseconds are both common, and a limit a
/// thousand times too long is no limit.
fn duration(text: &str) -> Option<i64> {
    let mut rest = text;
    let mut units = DURATIONS.iter();
    let mut total = 0i64;
    while !rest.is_empty() {
        let (digits, tail) = split_where(rest, |c| !c.is_ascii_digit() && c != '.');
        let (name, tail) = split_where(tail, |c| !c.is_ascii_alphabetic());
        // Goes on where the last one was found, so that units descend and none comes twice.
        let (_, unit) = units.find(|(unit, _)| *unit == name)?;
        total = total.saturating_add(scaled(digits, *unit)?);
        rest = tail;
    }
    (!text.is_empty()).then_some(total)
}

/// `16384`, `16KiB`, `16kb`, `1.5MiB`.
fn size(text: &str) -> Option<i64> {
    let (digits, name) = split_where(text, |c| c.is_ascii_alphabetic());
    match name {
        "" => scaled(digits, 1),
        name => {
            let (_, unit) = SIZES.iter().find(|(unit, _)| unit.eq_ignore_ascii_case(name))?;
            scaled(digits, *unit)
        }
    }
}

/// A decimal number of units, if that is a whole number of ones.
fn scaled(decimal: &str, unit: i64) -> Option<i64> {
    let Some((integer, fraction)) = decimal.split_once('.') else {
        return Some(whole(decimal)?.saturating_mul(unit));
    };
    // Nine digits keep the product below i128 by far, and nobody writes more.
    let one = 10i128.pow(u32::try_from(fraction.len()).ok().filter(|digits| *digits <= 9)?);
    let part = i128::from(whole(fraction)?) * i128::from(unit);
    let part = i64::try_from(part / one).ok().filter(|_| part % one == 0)?;
    Some(whole(integer)?.saturating_mul(unit).saturating_add(part))
}

/// Digits. Too large a number is the largest one, which no row allows, so that the error speaks of range and
/// not of spelling.
fn whole(digits: &str) -> Option<i64> {
    let spelled = !digits.is_empty() && digits.bytes().all(|octet| octet.is_ascii_digit());
    spelled.then(|| digits.parse().unwrap_or(i64::MAX))
}

/// In the largest unit that leaves no fraction, so that `75s` stays `75s`.
fn in_largest(units: &[(&str, i64)], value: i64, smallest: &str) -> String {
    match units.iter().find(|(_, unit)| value > 0 && value % unit == 0) {
        Some((name, unit)) => format!("{}{name}", value / unit),
        None => format!("{value}{smallest}"),
    }
}

/// Before and from the first character that ends the first part.
fn split_where(text: &str, ends: impl Fn(char) -> bool) -> (&str, &str) {
    text.split_at(text.find(ends).unwrap_or(text.len()))
}

/// Enough of the program's text to find it again, without what would break a line of log.
fn shortened(text: &str) -> String {
    text.chars().take(40).collect()
}

#[cfg(test)]
mod tests;
