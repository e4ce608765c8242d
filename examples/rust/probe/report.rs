//! The `Stats` object of the wheel's `__init__.pyi`, from one snapshot.

use bartizan::{Phase, Reason, Snapshot};
use serde_json::{Map, Value, json};

pub(crate) fn stats(snapshot: &Snapshot) -> Value {
    let phases = Phase::ALL.into_iter().map(Phase::name).zip(snapshot.open_by_phase);
    let reasons = Reason::ALL.iter().map(|reason| reason.name()).zip(snapshot.closed_by_reason);
    let mut stats: Map<_, _> =
        snapshot.numbers().into_iter().map(|(name, number)| (name.to_owned(), json!(number))).collect();
    stats.insert("phases".into(), counts(phases));
    stats.insert("reasons".into(), counts(reasons));
    Value::Object(stats)
}

fn counts(named: impl Iterator<Item = (&'static str, u64)>) -> Value {
    Value::Object(named.map(|(name, count)| (name.to_owned(), json!(count))).collect::<Map<_, _>>())
}
