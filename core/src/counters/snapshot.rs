//! The numbers of a server at one moment: the one list of their names, from which C, Python and the probes take theirs. How they
//! are worked out of the tallies is `server/shared.rs`.

use crate::phase::Phase;
use crate::reason::Reason;

macro_rules! snapshot {
    ($($(#[$doc:meta])* $name:ident,)*) => {
        /// The numbers of a server at one moment. In each: accepted - closed = open = sum over phases; requests started - ended =
        /// live.
        #[derive(Clone, Debug, PartialEq, Eq)]
        pub struct Snapshot {
            $($(#[$doc])* pub $name: u64,)*
            /// Open connections by [`Phase::id`].
            pub open_by_phase: [u64; Phase::COUNT],
            /// Closed connections by [`Reason::id`] - 1.
            pub closed_by_reason: [u64; Reason::COUNT],
        }

        impl Snapshot {
            /// How many numbers there are, but for those by phase and by reason.
            pub const COUNT: usize = [$(stringify!($name)),*].len();

            /// The numbers by name, in the order of the C structure, which only grows at its end.
            pub fn numbers(&self) -> [(&'static str, u64); Self::COUNT] {
                [$((stringify!($name), self.$name)),*]
            }
        }
    };
}

snapshot! {
    /// Connections accepted so far.
    connections_accepted,
    /// Connections open now.
    connections_open,
    /// Connections closed so far.
    connections_closed,
    /// Handshakes that reached Finished.
    handshakes_completed,
    /// Handshakes that ended otherwise.
    handshakes_failed,
    /// Of the completed: by ticket.
    handshakes_resumed,
    /// Handshakes under way.
    handshakes_pending,
    /// Requests whose header section was complete.
    requests_started,
    /// Requests that are over.
    requests_ended,
    /// Requests under way.
    requests_live,
    /// Requests delivered and not released.
    handlers_running,
    /// Requests that wait for a worker or in a queue.
    requests_queued,
    /// Requests whose last handle went without an answer.
    requests_unanswered,
    /// Octets read from sockets.
    bytes_received,
    /// Octets written to sockets.
    bytes_sent,
    /// Memory held for connections, as far as it is accounted.
    memory_bytes,
    /// Descriptors in use by the process.
    descriptors_open,
    /// Descriptors that the process may use.
    descriptors_limit,
}
