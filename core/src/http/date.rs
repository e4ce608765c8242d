//! The text of a Date field, written once per second (RFC 9110 §5.6.7). The clock is the caller's.

use std::io::Write as _;
use std::time::{Duration, UNIX_EPOCH};

/// Octets of an IMF-fixdate.
pub(crate) const LEN: usize = 29;

/// Formats a second once and gives the same text until the next.
#[derive(Debug)]
pub(crate) struct DateCache {
    second: u64,
    text: [u8; LEN],
}

impl DateCache {
    /// Starts at the epoch; the first look-up of any other second formats it.
    pub(crate) fn new() -> Self {
        Self { second: 0, text: *b"Thu, 01 Jan 1970 00:00:00 GMT" }
    }

    /// The IMF-fixdate of this Unix time in seconds.
    pub(crate) fn at(&mut self, unix_seconds: u64) -> &[u8; LEN] {
        // httpdate 1.0 panics past the year 9999; a host's clock must not be able to do that to us.
        let second = unix_seconds.min(LAST_SECOND);
        if second != self.second {
            let date = httpdate::HttpDate::from(UNIX_EPOCH + Duration::from_secs(second));
            // An IMF-fixdate has exactly the octets of the slice, so the write cannot fall short.
            if write!(&mut self.text[..], "{date}").is_ok() {
                self.second = second;
            }
        }
        &self.text
    }
}

/// 9999-12-31 23:59:59.
const LAST_SECOND: u64 = 253_402_300_799;

#[cfg(test)]
mod tests {
    use super::{DateCache, LAST_SECOND};

    #[test]
    fn every_second_has_its_imf_fixdate() {
        let mut cache = DateCache::new();
        for (second, text) in [
            (0, "Thu, 01 Jan 1970 00:00:00 GMT"),
            (784_111_777, "Sun, 06 Nov 1994 08:49:37 GMT"), // RFC 9110 §5.6.7
            (784_111_777, "Sun, 06 Nov 1994 08:49:37 GMT"),
            (784_111_778, "Sun, 06 Nov 1994 08:49:38 GMT"),
            (LAST_SECOND, "Fri, 31 Dec 9999 23:59:59 GMT"),
            (u64::MAX, "Fri, 31 Dec 9999 23:59:59 GMT"),
            (0, "Thu, 01 Jan 1970 00:00:00 GMT"),
        ] {
            assert_eq!(cache.at(second), text.as_bytes());
        }
    }
}
