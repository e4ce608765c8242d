//! The Rust types of settings fields, and how each becomes the one `int64` that every other surface speaks.
//! Ranges and text do not live here: the row knows its range, `text.rs` its spelling.

use std::time::Duration;

/// The value that switches a limit off, where its row allows that.
pub const OFF: i64 = -1;

/// The value that lets the server derive the number when it starts, where its row allows that.
pub const AUTO: i64 = -2;

/// A number that the program gives, or leaves to the server.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum OrAuto<T> {
    /// Derived from the machine when the server starts.
    #[default]
    Auto,
    /// This many.
    Exactly(T),
}

impl<T> OrAuto<T> {
    /// The number given, or else what `derive` makes of the machine.
    pub fn unwrap_or_else(self, derive: impl FnOnce() -> T) -> T {
        match self {
            Self::Auto => derive(),
            Self::Exactly(number) => number,
        }
    }
}

impl<T> From<T> for OrAuto<T> {
    fn from(number: T) -> Self {
        Self::Exactly(number)
    }
}

/// Which PROXY protocol header every connection of a listener must begin with.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ProxyProtocol {
    /// None: the peer of the socket is the client.
    #[default]
    Off,
    /// The text form.
    V1,
    /// The binary form.
    V2,
    /// Either form.
    Any,
}

/// A field type of `Settings`. Whether a row may be off or auto follows from its type alone.
pub(super) trait Value {
    /// The largest value of a row that this type holds on this machine.
    const MAX: i64;
    const OFF: bool = false;
    const AUTO: bool = false;
    const CHOICES: &'static [&'static str] = &[];

    /// Of a value that the row has allowed, so that it is within `0..=MAX` or one of the two marks.
    fn from_row(value: i64) -> Self;

    /// Saturates: a field may hold more than any row allows, and the check that follows refuses it.
    fn to_row(&self) -> i64;
}

impl Value for Duration {
    const MAX: i64 = i64::MAX;

    fn from_row(millis: i64) -> Self {
        Self::from_millis(millis.unsigned_abs())
    }

    fn to_row(&self) -> i64 {
        i64::try_from(self.as_millis()).unwrap_or(i64::MAX)
    }
}

macro_rules! unsigned {
    ($($type:ty),+) => {$(
        impl Value for $type {
            const MAX: i64 = if <$type>::BITS < i64::BITS { <$type>::MAX as i64 } else { i64::MAX };

            fn from_row(value: i64) -> Self {
                value as $type // lossless within 0..=MAX
            }

            fn to_row(&self) -> i64 {
                i64::try_from(*self).unwrap_or(i64::MAX)
            }
        }
    )+};
}

unsigned!(u32, u64, usize);

impl Value for bool {
    const MAX: i64 = 1;

    fn from_row(value: i64) -> Self {
        value == 1
    }

    fn to_row(&self) -> i64 {
        i64::from(*self)
    }
}

impl ProxyProtocol {
    const ALL: [Self; 4] = [Self::Off, Self::V1, Self::V2, Self::Any];
}

impl Value for ProxyProtocol {
    const MAX: i64 = Self::ALL.len() as i64 - 1;
    const CHOICES: &'static [&'static str] = &["off", "v1", "v2", "any"];

    fn from_row(value: i64) -> Self {
        Self::ALL[value as usize] // within 0..=MAX
    }

    fn to_row(&self) -> i64 {
        *self as i64
    }
}

impl<T: Value> Value for Option<T> {
    const MAX: i64 = T::MAX;
    const OFF: bool = true;

    fn from_row(value: i64) -> Self {
        (value != OFF).then(|| T::from_row(value))
    }

    fn to_row(&self) -> i64 {
        self.as_ref().map_or(OFF, T::to_row)
    }
}

impl<T: Value> Value for OrAuto<T> {
    const MAX: i64 = T::MAX;
    const AUTO: bool = true;

    fn from_row(value: i64) -> Self {
        if value == AUTO { Self::Auto } else { Self::Exactly(T::from_row(value)) }
    }

    fn to_row(&self) -> i64 {
        match self {
            Self::Auto => AUTO,
            Self::Exactly(number) => number.to_row(),
        }
    }
}
