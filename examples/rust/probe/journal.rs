//! The --events and --log files. One write per line, taken under the lock that counts the lines, so that their order in the
//! file is their number; the shapes are those of the wheel's `__init__.pyi`.

use std::fs::File;
use std::io::{self, Write};
use std::sync::{Mutex, PoisonError};

use bartizan::tls::TlsInfo;
use bartizan::{
    ConnectionRecord, Endpoint, Exchange, LogLevel, LogRecord, Phase, PhaseTimes, Reason, RequestRecord,
};
use serde_json::{Map, Value, json};

/// The --events file.
pub(crate) struct Events(Mutex<Lines>);

struct Lines {
    file: File,
    next: u64,
}

impl Events {
    pub(crate) fn create(path: &str) -> io::Result<Self> {
        Ok(Self(Mutex::new(Lines { file: File::create(path)?, next: 0 })))
    }

    /// Writes one line; `facts` is an object.
    fn write(&self, mut facts: Value) {
        let mut lines = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        facts["seq"] = json!(lines.next);
        lines.next += 1;
        // A full disk costs the line, not the server.
        let _ = lines.file.write_all(format!("{facts}\n").as_bytes());
    }

    pub(crate) fn connection(&self, record: &ConnectionRecord) {
        let connection = &record.connection;
        let mut facts = json!({
            "event": if record.closed.is_some() { "closed" } else { "entered" },
            "time": record.time.as_secs_f64(),
            "conn": connection.id,
            "listener": connection.listener,
            "peer": address(&connection.peer),
            "phase": record.phase.name(),
            "protocol": record.protocol.map(|protocol| protocol.name()),
            "tls": tls(connection.tls.as_ref()),
            "bytes_in": record.bytes_in,
            "bytes_out": record.bytes_out,
            "requests": record.requests,
            "millis": millis(&record.times, Some(record.phase)),
        });
        if let Some(reason) = record.closed {
            facts["reason"] = json!(reason.name());
        }
        self.write(facts);
    }

    pub(crate) fn request_end(&self, record: &RequestRecord) {
        self.write(json!({
            "event": "request",
            "time": record.time.as_secs_f64(),
            "conn": record.connection.id,
            "stream": stream(record.stream),
            "method": latin1(&record.method),
            "target": latin1(&record.target),
            "status": (record.status != 0).then_some(record.status),
            "reason": record.reason.name(),
            "bytes_in": record.bytes_in,
            "bytes_out": record.bytes_out,
            "millis": millis(&record.times, None),
        }));
    }

    pub(crate) fn cancelled(&self, exchange: &Exchange, reason: Reason) {
        let (conn, stream) = (exchange.connection().id, stream(exchange.stream()));
        self.write(json!({ "event": "cancelled", "conn": conn, "stream": stream, "reason": reason.name() }));
    }

    pub(crate) fn draining(&self) {
        self.write(json!({ "event": "draining" }));
    }
}

/// The --log file.
pub(crate) struct Log(Mutex<File>);

impl Log {
    pub(crate) fn create(path: &str) -> io::Result<Self> {
        Ok(Self(Mutex::new(File::create(path)?)))
    }

    pub(crate) fn write(&self, record: &LogRecord) {
        let level = match record.level {
            LogLevel::Error => "ERROR",
            LogLevel::Warn => "WARN",
            LogLevel::Info => "INFO",
            LogLevel::Debug => "DEBUG",
        };
        let connection =
            if record.connection == 0 { String::new() } else { format!(" conn={}", record.connection) };
        let line = format!("{level} {}{connection} {}\n", record.target, record.text);
        let mut file = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let _ = file.write_all(line.as_bytes());
    }
}

/// `127.0.0.1:1234`, `[::1]:1234`, `unix:`.
pub(crate) fn address(endpoint: &Endpoint) -> String {
    match &*endpoint.ip {
        "" => "unix:".to_owned(),
        v6 if v6.contains(':') => format!("[{v6}]:{}", endpoint.port),
        v4 => format!("{v4}:{}", endpoint.port),
    }
}

/// `TlsRecord`, or null on cleartext.
pub(crate) fn tls(info: Option<&TlsInfo>) -> Value {
    info.map_or(Value::Null, |tls| {
        json!({
            "version": tls.version_name,
            "suite": tls.suite_name,
            "group": tls.group_name,
            "server_name": tls.server_name,
            "alpn": tls.alpn,
            "resumed": tls.resumed,
            "peer_certificates": tls.peer_certificates.len(),
        })
    })
}

/// Octets as the characters of the same numbers: what was sent can be told exactly.
pub(crate) fn latin1(octets: &[u8]) -> String {
    octets.iter().map(|octet| char::from(*octet)).collect()
}

fn stream(id: u32) -> Value {
    if id == 0 { Value::Null } else { json!(id) }
}

/// Time per phase that was entered: one with a time, and the one it is in.
fn millis(times: &PhaseTimes, current: Option<Phase>) -> Value {
    let entered =
        Phase::ALL.into_iter().zip(times).filter(|(phase, time)| !time.is_zero() || Some(*phase) == current);
    let named = entered.map(|(phase, time)| (phase.name().to_owned(), json!(time.as_micros() as f64 / 1e3)));
    Value::Object(named.collect::<Map<_, _>>())
}
