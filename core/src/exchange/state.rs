//! What of an exchange changes while it lives, and the words for it: both directions, their limits and clocks, and how it ended.
//! Who changes it, under its lock, are `../exchange.rs`, the program's handle and the connection.

use std::sync::Arc;
use std::task::Waker;

use smallvec::SmallVec;

use super::{CancelHook, ReadyHook};
use crate::chunks::Chunks;
use crate::deadline::{PhaseClock, PhaseLimits};
use crate::http::fields::FieldLines;
use crate::http::trailers::Trailers;
use crate::reason::Reason;
use crate::settings::Settings;

#[derive(Default)]
pub(crate) struct State {
    pub(crate) content: Content,
    pub(crate) answer: Answer,
    /// The settings of this request, once a handler has moved one.
    pub(crate) overridden: Option<Box<Settings>>,
    pub(crate) handler_clock: PhaseClock,
    pub(crate) content_clock: PhaseClock,
    pub(crate) answer_clock: PhaseClock,
    pub(crate) on_cancel: Option<CancelHook>,
    pub(crate) cancel_hook_used: bool,
    pub(crate) on_ready: Option<ReadyHook>,
    pub(crate) ready_hook_used: bool,
    pub(super) ready_running: bool,
    pub(super) ready_again: [bool; 2],
    /// Nothing more can be sent: the exchange is over on the wire.
    pub(crate) over: bool,
    /// How it ended, for the program's last event.
    pub(crate) outcome: Option<Outcome>,
    /// Threads that wait on `changed`.
    pub(crate) sleepers: usize,
}

/// How an exchange ended on the wire.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Outcome {
    /// Status code sent; 0 = no head was sent.
    pub status: u16,
    /// Content octets sent.
    pub sent: u64,
    /// [`Reason::Complete`], or what went wrong.
    pub reason: Reason,
}

/// The limits that a handler may move for one live request (level Q).
#[derive(Clone, Copy, Debug)]
pub(crate) struct Limits {
    pub(crate) max_body_bytes: Option<u64>,
    pub(crate) content: PhaseLimits,
    pub(crate) handler: PhaseLimits,
    pub(crate) answer: PhaseLimits,
}

impl Limits {
    pub(crate) fn of(settings: &Settings) -> Self {
        Self {
            max_body_bytes: settings.max_body_bytes,
            content: PhaseLimits {
                idle: settings.body_idle_timeout,
                rate: settings.min_body_rate,
                grace: settings.min_rate_grace,
                total: settings.body_timeout,
            },
            handler: PhaseLimits { total: settings.handler_timeout, ..PhaseLimits::default() },
            answer: PhaseLimits {
                idle: settings.write_idle_timeout,
                rate: settings.min_write_rate,
                grace: settings.min_rate_grace,
                total: settings.response_timeout,
            },
        }
    }
}

/// Content on its way from the peer to the program.
#[derive(Default)]
pub(crate) struct Content {
    pub(crate) announced: Option<u64>,
    pub(crate) received: u64,
    pub(crate) chunks: Chunks,
    pub(crate) waiting: usize,
    pub(crate) end: Option<ContentEnd>,
    /// A read has said that the content is too large; later ones say that the exchange is over.
    pub(crate) told_too_large: bool,
    /// The program has begun to read: the connection may read ahead.
    pub(crate) asked: bool,
    /// The program waits for octets that are not here: the body clock runs.
    pub(crate) wanted: bool,
    pub(crate) armed: bool,
    /// None where the peer sent no trailer section.
    pub(crate) trailers: Option<Arc<Trailers>>,
    pub(crate) waker: Option<Waker>,
}

/// How content ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ContentEnd {
    Complete,
    /// A limit struck, or the peer broke off; a cut message is never delivered as complete.
    Failed(Reason),
}

/// The answer on its way from the program to the peer.
#[derive(Default)]
pub(crate) struct Answer {
    pub(crate) stage: Stage,
    pub(crate) informational: Vec<AnswerHead>,
    /// Handed over and not yet taken by the connection.
    pub(crate) head: Option<AnswerHead>,
    /// All content of a short answer in one piece, for the connection to take with the head; else empty.
    pub(crate) short: Short,
    pub(crate) chunks: Chunks,
    /// Octets in `chunks`, and those the connection took but the peer did not.
    pub(crate) queued: usize,
    pub(crate) announced: Option<u64>,
    pub(crate) written: u64,
    /// Apart: few answers have any, and every exchange is written as a whole.
    pub(crate) trailers: Option<Box<FieldLines>>,
    pub(crate) armed: bool,
    pub(crate) waker: Option<Waker>,
}

/// Content that lies in place, as short field lines do.
pub(crate) type Short = SmallVec<[u8; SHORT]>;

/// Most octets of it.
pub(crate) const SHORT: usize = 64;

/// How far the program's side of the answer is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Stage {
    #[default]
    Awaited,
    /// Head handed over, content to come.
    Begun,
    /// All of it handed over.
    Finished,
    /// The program gave up: no status can be sent, or none shall.
    Aborted,
    /// The program failed before it answered: the library answers with this status.
    Failed(Failure),
}

/// Why the library answers in the program's place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Failure {
    /// The handler reported failure: 500.
    Failed,
    /// The handler refused (overload): 503 with Retry-After.
    Refused,
    /// The last handle went without an answer: 500.
    Unanswered,
    /// A bug of ours was caught in a call on the request: 500, `internal`.
    Bug,
}

/// A response head; framing, connection and date are the connection's to add.
#[derive(Debug)]
pub(crate) struct AnswerHead {
    pub(crate) status: u16,
    pub(crate) lines: FieldLines,
}
