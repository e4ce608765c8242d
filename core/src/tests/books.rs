//! What a program's hooks were told in a test, and what must hold of it at the end, whatever happened: each connection was in
//! exactly one phase at each moment, and closed once with one reason; each request ended once.

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tokio::time::Instant;

use crate::event::{ConnectionRecord, RequestRecord};
use crate::link::lock;
use crate::reason::Reason;

#[derive(Default)]
pub(super) struct Books {
    steps: Mutex<BTreeMap<u64, Vec<(Instant, ConnectionRecord)>>>,
    requests: Mutex<Vec<RequestRecord>>,
    log: Mutex<Vec<String>>,
    /// The test has asked for a bug of ours.
    pub(super) bug: AtomicBool,
}

impl Books {
    /// A connection entered a phase, or closed.
    pub(super) fn stepped(&self, record: &ConnectionRecord) {
        let step = (Instant::now(), record.clone());
        lock(&self.steps).entry(record.connection.id).or_default().push(step);
    }

    /// A request is over.
    pub(super) fn ended(&self, record: &RequestRecord) {
        lock(&self.requests).push(record.clone());
    }

    /// Something was logged.
    pub(super) fn logged(&self, text: &str) {
        lock(&self.log).push(text.to_owned());
    }

    /// The latest step of a connection.
    pub(super) fn last(&self, id: u64) -> Option<ConnectionRecord> {
        Some(lock(&self.steps).get(&id)?.last()?.1.clone())
    }

    /// The requests that have ended, in the order of their end.
    pub(super) fn requests(&self) -> Vec<RequestRecord> {
        lock(&self.requests).clone()
    }

    /// What was logged.
    pub(super) fn log(&self) -> Vec<String> {
        lock(&self.log).clone()
    }

    /// Everybody is gone.
    pub(super) fn check(&self, accepted: u64, started: u64) {
        let steps = lock(&self.steps);
        assert_eq!(steps.len() as u64, accepted);
        for steps in steps.values() {
            check_life(steps);
            let bug = steps.iter().any(|(_, step)| step.closed == Some(Reason::Internal));
            assert!(!bug || self.bug.load(Ordering::Relaxed));
        }
        assert_eq!(lock(&self.requests).len() as u64, started);
    }

    /// The phases so far leave no gap. Does not hold where a test has held the reactor up: nobody is charged for that time.
    pub(super) fn check_no_gap(&self) {
        for steps in lock(&self.steps).values() {
            for pair in steps.windows(2) {
                let [(since, step), (until, next)] = pair else { unreachable!("windows of two") };
                let spent = next.times[step.phase.id()] - step.times[step.phase.id()];
                assert!(spent + ROUNDING >= *until - *since, "{spent:?}: {step:?} {next:?}");
            }
        }
    }
}

/// A moment of ours is whole microseconds, and is added up from sweep to sweep.
const ROUNDING: Duration = Duration::from_millis(2);

fn check_life(steps: &[(Instant, ConnectionRecord)]) {
    let (_, last) = steps.last().expect("entries are made with a step");
    assert!(last.closed.is_some(), "closed at last");
    assert!(steps.iter().map(|(_, step)| step.seq).eq(1..=last.seq), "each step is told once and in order");
    for pair in steps.windows(2) {
        let [(since, step), (until, next)] = pair else { unreachable!("windows of two") };
        assert_eq!(step.closed, None, "nothing comes behind the close");
        assert_eq!(step.phase == next.phase, next.closed.is_some(), "{step:?} {next:?}");
        for (id, (before, after)) in step.times.iter().zip(&next.times).enumerate() {
            let spent = *after - *before;
            let passed = if id == step.phase.id() { *until - *since } else { Duration::ZERO };
            assert!(spent <= passed + ROUNDING, "{spent:?} of {passed:?}: {step:?} {next:?}");
        }
    }
}
