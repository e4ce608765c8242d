//! The numbers of a server for C: a structure that only grows, two arrays, and the OpenMetrics text. What they count is
//! core's `counters.rs`.

use std::ffi::c_char;
use std::mem::MaybeUninit;

use bartizan_core::Snapshot;

use crate::borrow::{array, places, reply, sized};
use crate::server::{Server, call};
use crate::status::{Code, OK, Status};

/// The numbers of a server at one moment: accepted - closed = open = the sum over phases; started - ended = live. The caller
/// fills struct_size in; fields are only ever added at the end.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct Metrics {
    /// Set by the caller to the octets of the structure that it was compiled with.
    pub struct_size: u64,
    /// So far.
    pub connections_accepted: u64,
    /// Now.
    pub connections_open: u64,
    /// So far.
    pub connections_closed: u64,
    /// Reached Finished.
    pub handshakes_completed: u64,
    /// Ended otherwise.
    pub handshakes_failed: u64,
    /// Of the completed: by ticket.
    pub handshakes_resumed: u64,
    /// Now.
    pub handshakes_pending: u64,
    /// Header section complete, so far.
    pub requests_started: u64,
    /// So far.
    pub requests_ended: u64,
    /// Now.
    pub requests_live: u64,
    /// Delivered to the program and not released, now.
    pub handlers_running: u64,
    /// Waiting for a worker or in a queue, now.
    pub requests_queued: u64,
    /// Released without an answer, so far.
    pub requests_unanswered: u64,
    /// Octets read from sockets.
    pub bytes_received: u64,
    /// Octets written to sockets.
    pub bytes_sent: u64,
    /// Held for connections, as far as it is accounted.
    pub memory_bytes: u64,
    /// In use by the process.
    pub descriptors_open: u64,
    /// That the process may use.
    pub descriptors_limit: u64,
}

/// The structure as it is filled: its declaration above is for C, and a test compares the names.
type Fields = [u64; 1 + Snapshot::COUNT];

const _: () =
    assert!(size_of::<Fields>() == size_of::<Metrics>() && align_of::<Fields>() == align_of::<Metrics>());

/// Fills one consistent snapshot in; the caller has set struct_size.
///
/// @own the structure is the program's.
/// @null E_NULL.
/// @thread any; never blocks.
/// @life nothing outlives the call.
/// @err E_NULL, E_STRUCT.
#[unsafe(no_mangle)]
pub extern "C" fn bartizan_server_metrics(server: *const Server, inout: *mut Metrics) -> Status {
    call(server, |server| {
        let size = array(inout.cast_const().cast::<u64>(), 1)?[0];
        let fields: &mut Fields = sized(inout.cast(), usize::try_from(size).unwrap_or(usize::MAX))?;
        for (field, (_, number)) in fields[1..].iter_mut().zip(server.core().snapshot().numbers()) {
            *field = number;
        }
        Ok(OK)
    })
}

/// Open connections by phase (index = phase id) and closed ones by reason (index = reason id, so that [0] is 0), both from
/// one snapshot. Fills what exists and zeroes the rest of each array; an array of 0 elements may be NULL.
///
/// @own the arrays are the program's.
/// @null allowed for an array of 0 elements.
/// @thread any; never blocks.
/// @life nothing outlives the call.
/// @err E_NULL.
#[unsafe(no_mangle)]
pub extern "C" fn bartizan_server_counts(
    server: *const Server,
    open_by_phase: *mut u64,
    phases: usize,
    closed_by_reason: *mut u64,
    reasons: usize,
) -> Status {
    call(server, |server| {
        let (open, closed) = (places(open_by_phase, phases)?, places(closed_by_reason, reasons)?);
        let snapshot = server.core().snapshot();
        spread(open, snapshot.open_by_phase.into_iter());
        spread(closed, std::iter::once(0).chain(snapshot.closed_by_reason));
        Ok(OK)
    })
}

fn spread(places: &mut [MaybeUninit<u64>], numbers: impl Iterator<Item = u64>) {
    for (place, number) in places.iter_mut().zip(numbers.chain(std::iter::repeat(0))) {
        place.write(number);
    }
}

/// All metrics as OpenMetrics 1.0 text. *len is its length without the NUL; numbers grow, so ask again with some room to
/// spare.
///
/// @own buf is the program's.
/// @null allowed for buf when cap is 0.
/// @thread any; never blocks.
/// @life nothing outlives the call.
/// @err E_LIMIT if cap is not more than *len: nothing is written; E_NULL.
#[unsafe(no_mangle)]
pub extern "C" fn bartizan_server_metrics_text(
    server: *const Server,
    buf: *mut c_char,
    cap: usize,
    len: Option<&mut MaybeUninit<usize>>,
) -> Status {
    let len = len.map(|len| len.write(0));
    call(server, |server| {
        let len = len.ok_or(Code::Null)?;
        reply(buf, cap, len, &server.core().metrics_text())?;
        Ok(OK)
    })
}
