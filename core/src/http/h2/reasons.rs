//! Why an HTTP/2 connection ended, from what h2 and the observer say; and the counts of what its peer was charged for.

use super::Driver;
use super::glitches::Glitch;
use crate::connection::{Connection, reason_of_io};
use crate::counters::GLITCHES;
use crate::reason::Reason;
use crate::transport::Transport;

impl<T: Transport> Driver<'_, T> {
    /// Why h2 is done.
    pub(super) fn reason_of_end(&self, outcome: Result<(), h2::Error>, connection: &Connection) -> Reason {
        if let Some((reason, _)) = self.phases.closing {
            return reason;
        }
        let Err(error) = outcome else {
            let retiring = self.phases.retiring.map(|(reason, _)| reason);
            return retiring.unwrap_or(match self.side.watch.goaway_received() {
                Some(h2::Reason::NO_ERROR) => Reason::Complete,
                _ => Reason::PeerClosed,
            });
        };
        if let Some(error) = error.get_io() {
            // A peer that has said goodbye does not wait for ours.
            return match (self.side.watch.goaway_received(), self.line.ended()) {
                (Some(h2::Reason::NO_ERROR), _) if self.streams.is_empty() => Reason::Complete,
                (_, Some(_)) if self.streams.is_empty() => Reason::PeerClosed,
                _ => reason_of_io(error),
            };
        }
        if error.is_remote() {
            return Reason::PeerClosed;
        }
        if error.reason() != Some(h2::Reason::ENHANCE_YOUR_CALM) {
            return Reason::H2Protocol;
        }
        // One of h2's own fuses, behind ours. Which one it names only in the text of the GOAWAY.
        let text = error.to_string();
        let reason = if text.contains("header_list") || text.contains("continuations") {
            Reason::HeaderBytes
        } else if text.contains("resets") {
            Reason::H2Resets
        } else {
            Reason::H2Glitches
        };
        connection.limit(reason);
        reason
    }

    pub(super) fn glitch_reason(&self) -> Reason {
        let counts = self.side.watch.glitches();
        let resets = counts[Glitch::ResetReceived as usize] + counts[Glitch::ResetSent as usize];
        if resets * 2 > counts.iter().sum() { Reason::H2Resets } else { Reason::H2Glitches }
    }

    /// Adds what the observer charged since the last time to the server's numbers.
    pub(super) fn count_glitches(&mut self, connection: &Connection) {
        let charges = self.side.watch.charges();
        if std::mem::replace(&mut self.phases.charges, charges) == charges {
            return;
        }
        let counts = self.side.watch.glitches();
        let counted = std::mem::replace(&mut self.phases.counted, counts);
        connection.reactor.tally.write(connection.listener.index, |cells| {
            for (kind, (now, before)) in counts.into_iter().zip(counted).enumerate() {
                cells.add(GLITCHES, kind, u64::from(now - before));
            }
        });
    }
}
