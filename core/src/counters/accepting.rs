//! What went wrong while one listener accepted: errors by name, pauses by cause. Rare enough for a lock; the connections that
//! were accepted are the tally's.

use std::collections::BTreeMap;
use std::io;
use std::sync::Mutex;
use std::time::Duration;

use nix::errno::Errno;

use crate::link::lock;

/// What was lacking while accepting paused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum PauseCause {
    Descriptors,
    Connections,
    Memory,
}

impl PauseCause {
    pub(crate) const ALL: [Self; 3] = [Self::Descriptors, Self::Connections, Self::Memory];

    /// The label in metrics.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Descriptors => "descriptors",
            Self::Connections => "connections",
            Self::Memory => "memory",
        }
    }

    /// What a failed accept says that the system lacks.
    pub(crate) fn of(error: &io::Error) -> Self {
        match error.raw_os_error().map(Errno::from_raw) {
            Some(Errno::ENOMEM | Errno::ENOBUFS) => Self::Memory,
            _ => Self::Descriptors,
        }
    }
}

/// The troubles of one listener.
#[derive(Debug, Default)]
pub(crate) struct Accepting {
    errors: Mutex<BTreeMap<String, u64>>,
    paused: Mutex<[Duration; PauseCause::ALL.len()]>,
}

impl Accepting {
    pub(crate) fn failed(&self, error: &io::Error) {
        let name = match error.raw_os_error() {
            Some(number) => format!("{:?}", Errno::from_raw(number)),
            None => "other".to_owned(),
        };
        *lock(&self.errors).entry(name).or_default() += 1;
    }

    pub(crate) fn paused(&self, cause: PauseCause, time: Duration) {
        lock(&self.paused)[cause as usize] += time;
    }

    /// Errors by name, and the time of each cause in the order of [`PauseCause::ALL`].
    pub(crate) fn snapshot(&self) -> (Vec<(String, u64)>, [Duration; PauseCause::ALL.len()]) {
        let errors = lock(&self.errors).iter().map(|(name, count)| (name.clone(), *count)).collect();
        (errors, *lock(&self.paused))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_are_counted_by_their_system_name() {
        let accepting = Accepting::default();
        let lack = io::Error::from_raw_os_error(Errno::EMFILE as i32);
        accepting.failed(&lack);
        accepting.failed(&lack);
        accepting.failed(&io::Error::other("none of the system's"));
        accepting.paused(PauseCause::of(&lack), Duration::from_millis(5));
        let (errors, paused) = accepting.snapshot();
        assert_eq!(errors, [("EMFILE".to_owned(), 2), ("other".to_owned(), 1)]);
        assert_eq!(paused, [Duration::from_millis(5), Duration::ZERO, Duration::ZERO]);
        assert_eq!(PauseCause::of(&io::Error::from_raw_os_error(Errno::ENOMEM as i32)), PauseCause::Memory);
    }
}
