//! The `Stats` object of `bartizan.pyi`, from one snapshot.

use bartizan::{Phase, Reason, Snapshot};
use serde_json::{Map, Value, json};

pub(crate) fn stats(snapshot: &Snapshot) -> Value {
    let phases = Phase::ALL.into_iter().map(Phase::name).zip(snapshot.open_by_phase);
    let reasons = Reason::ALL.iter().map(|reason| reason.name()).zip(snapshot.closed_by_reason);
    json!({
        "connections_accepted": snapshot.connections_accepted,
        "connections_open": snapshot.connections_open,
        "connections_closed": snapshot.connections_closed,
        "phases": counts(phases),
        "reasons": counts(reasons),
        "handshakes_completed": snapshot.handshakes_completed,
        "handshakes_failed": snapshot.handshakes_failed,
        "handshakes_resumed": snapshot.handshakes_resumed,
        "handshakes_pending": snapshot.handshakes_pending,
        "requests_started": snapshot.requests_started,
        "requests_ended": snapshot.requests_ended,
        "requests_live": snapshot.requests_live,
        "requests_queued": snapshot.requests_queued,
        "requests_unanswered": snapshot.requests_unanswered,
        "handlers_running": snapshot.handlers_running,
        "bytes_received": snapshot.bytes_received,
        "bytes_sent": snapshot.bytes_sent,
        "memory_bytes": snapshot.memory_bytes,
        "descriptors_open": snapshot.descriptors_open,
        "descriptors_limit": snapshot.descriptors_limit,
    })
}

fn counts(named: impl Iterator<Item = (&'static str, u64)>) -> Value {
    Value::Object(named.map(|(name, count)| (name.to_owned(), json!(count))).collect::<Map<_, _>>())
}
