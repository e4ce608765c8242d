//! Log records as C reads them. Which ones there are, and that no secret stands in them, is core's business.

use std::ffi::c_void;

use bartizan_core::{self as event, LogLevel};

use crate::borrow::Str;
use crate::guard::call_out;
use crate::hooks::Callback;
use crate::view::ConnectionId;

/// One log record. What it points to lives until the callback returns or the event is released.
#[repr(C)]
#[derive(Debug)]
pub struct LogRecord {
    /// Octets of this structure; it only grows at the end.
    pub struct_size: u32,
    /// BARTIZAN_LOG_ERROR to BARTIZAN_LOG_DEBUG.
    pub level: u32,
    /// 0 = none.
    pub connection: ConnectionId,
    /// The part of the library that speaks.
    pub target: Str,
    /// One line of UTF-8; control bytes escaped, no secrets.
    pub text: Str,
}

/// Told of each log record, on any thread, concurrently. Must not block, throw, longjmp or fork.
pub type LogFn = Option<unsafe extern "C-unwind" fn(user_data: *mut c_void, record: *const LogRecord)>;

/// The level that C means, 1 to 4.
pub(crate) fn level(number: u32) -> Option<LogLevel> {
    [LogLevel::Error, LogLevel::Warn, LogLevel::Info, LogLevel::Debug]
        .into_iter()
        .find(|level| level_number(*level) == number)
}

fn level_number(level: LogLevel) -> u32 {
    match level {
        LogLevel::Error => 1,
        LogLevel::Warn => 2,
        LogLevel::Info => 3,
        LogLevel::Debug => 4,
    }
}

fn shown(line: &event::LogRecord) -> LogRecord {
    LogRecord {
        struct_size: size_of::<LogRecord>() as u32,
        level: level_number(line.level),
        connection: line.connection,
        target: Str::new(line.target.as_bytes()),
        text: Str::new(line.text.as_bytes()),
    }
}

/// A log record of an event, and what it points into.
pub(crate) struct LogLine {
    record: LogRecord,
    _source: Box<event::LogRecord>,
}

impl LogLine {
    pub(crate) fn boxed(source: Box<event::LogRecord>) -> (Box<Self>, *const c_void) {
        let line = Box::new(Self { record: shown(&source), _source: source });
        let record = &raw const line.record;
        (line, record.cast())
    }
}

/// The program's callback for log records.
pub(crate) type LogCallback = Callback<unsafe extern "C-unwind" fn(*mut c_void, *const LogRecord)>;

impl LogCallback {
    pub(crate) fn call(&self, line: &event::LogRecord) {
        let record = shown(line);
        // SAFETY: the program's own function with its own data; the record lives until it returns.
        call_out(|| unsafe { (self.function)(self.user_data.data(), &raw const record) });
    }
}
