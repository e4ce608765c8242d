//! How full the server is: connections, memory and descriptors beside their caps. Past 80 % of one, idle and header timeouts
//! shrink; past `max_total_memory_bytes` connections are told to go, and then requests are refused. Who goes is `registry.rs`.
//!
//! Whichever reactor sweeps first looks, once a step for all: what connections do costs them a few stores, and no look.

use std::fs;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::time::Instant;

use crate::deadline::STEP;
use crate::event::LogLevel;
use crate::server::Shared;

/// How long a level outlasts its cause, so that a crowd at the edge does not move everybody's timeouts ten times a second.
const CALM: Duration = Duration::from_secs(1);

/// How often descriptors are counted where counting takes a walk over all of them.
const WALK: Duration = Duration::from_secs(5);

const DESCRIPTORS: &str = "/proc/self/fd";

/// What the reactors of one server know of its load.
#[derive(Default)]
pub(crate) struct Pressure {
    /// 0, 1 (past 80 %) or 2 (past 90 %).
    level: AtomicU64,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    looked: Option<Instant>,
    /// When the level was last called for.
    needed: Option<Instant>,
    /// Descriptors at the last walk over them: when, how many, and how many connections there were.
    walked: Option<(Instant, u64, u64)>,
}

impl Pressure {
    pub(crate) fn level(&self) -> u64 {
        self.level.load(Ordering::Relaxed)
    }
}

impl Shared {
    /// `timeout` as it acts now, so that connections which do nothing make room before anybody must be turned away.
    pub(crate) fn under_load(&self, timeout: Duration) -> Duration {
        match self.pressure.level() {
            0 => timeout,
            1 => timeout / 2,
            _ => timeout / 4,
        }
    }

    /// Octets that connections and kept requests hold, as far as they are accounted.
    pub(crate) fn memory(&self) -> u64 {
        let connections = self.tallies.iter().map(|tally| tally.memory()).fold(0, u64::wrapping_add);
        connections.wrapping_add(self.load.retained())
    }

    /// By a reactor, after a sweep, and before the level is told: looks how full the server is unless somebody just has.
    pub(crate) fn look(&self) {
        let Ok(mut state) = self.pressure.state.try_lock() else { return };
        let now = Instant::now();
        if state.looked.is_some_and(|looked| now.saturating_duration_since(looked) < STEP) {
            return;
        }
        state.looked = Some(now);
        let memory = self.memory();
        let excess = self.settings.max_total_memory_bytes.map_or(0, |cap| memory.saturating_sub(cap));
        self.load.refuse(excess > 0 && !self.registry.shed(excess));
        let connections = self.registry.len() as u64;
        let descriptors = state.descriptors(now, connections);
        let uses = [
            ("connections", connections, self.settings.max_connections.unwrap_or_else(|| usize::MAX) as u64),
            ("memory", memory, self.settings.max_total_memory_bytes.unwrap_or(u64::MAX)),
            ("descriptors", descriptors, descriptor_limit()),
        ];
        let levels = uses.map(|(what, used, cap)| (level_of(used, cap), what));
        let (level, what) = levels.into_iter().max_by_key(|(level, _)| *level).unwrap_or_default();
        self.settle(&mut state, level, what, now);
    }

    fn settle(&self, state: &mut State, level: u64, what: &str, now: Instant) {
        let acting = self.pressure.level();
        if level >= acting {
            state.needed = Some(now);
        }
        let calm = state.needed.is_none_or(|needed| now.saturating_duration_since(needed) >= CALM);
        if level == acting || level < acting && !calm {
            return;
        }
        state.needed = Some(now);
        self.pressure.level.store(level, Ordering::Relaxed);
        let (log, text) = match level {
            0 => (LogLevel::Info, "overload is over: idle and header timeouts are whole again".to_owned()),
            1 => (LogLevel::Warn, format!("overload: {what} past 80 % of their cap, timeouts are halved")),
            _ => (LogLevel::Warn, format!("overload: {what} past 90 % of their cap, timeouts are quartered")),
        };
        self.log(log, &text);
    }
}

impl State {
    /// Descriptors in use, between two walks as many more as there are more connections.
    fn descriptors(&mut self, now: Instant, connections: u64) -> u64 {
        if let Some(open) = told_descriptors() {
            return open;
        }
        let (_, open, then) = match self.walked {
            Some(walked) if now.saturating_duration_since(walked.0) < WALK => walked,
            _ => *self.walked.insert((now, open_descriptors(), connections)),
        };
        (open + connections).saturating_sub(then)
    }
}

/// How full a cap is: 0 below 80 %, 1 below 90 %, 2 from there.
pub(crate) fn level_of(used: u64, cap: u64) -> u64 {
    match u128::from(used) * 10 / u128::from(cap.max(1)) {
        0..8 => 0,
        8 => 1,
        _ => 2,
    }
}

/// Descriptors in use, where the system tells without a walk: Linux 6.2 and later.
fn told_descriptors() -> Option<u64> {
    fs::metadata(DESCRIPTORS).ok().map(|directory| directory.len()).filter(|open| *open > 0)
}

/// Descriptors in use by the process.
pub(crate) fn open_descriptors() -> u64 {
    told_descriptors().unwrap_or_else(|| match fs::read_dir(DESCRIPTORS) {
        // The walk has one of its own.
        Ok(entries) => (entries.count() as u64).saturating_sub(1),
        // For want of one more to walk with.
        Err(_) => descriptor_limit(),
    })
}

/// Descriptors that the process may use.
pub(crate) fn descriptor_limit() -> u64 {
    rustix::process::getrlimit(rustix::process::Resource::Nofile).current.unwrap_or(u64::MAX)
}
