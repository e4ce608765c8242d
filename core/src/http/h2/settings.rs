//! What h2 and the observer are told at the start. Ours are the limits that strike; h2's own fuses are set behind them, so that
//! what the peer sees and what is counted is what the settings say.

use h2::server::Builder;

use super::observer::Limits;
use crate::settings::Settings;

/// Octets of a header list beyond twice `max_header_bytes` before h2 answers 431 by itself: between the cap and that the exact
/// 431 is ours. h2's own cap is one octet too low, and a list has at least one field more than the one that goes over.
const LIST_SLACK: usize = 64;

/// Streams that h2 remembers after we reset them: frames that are still under way to them are then no error of the peer's.
const REMEMBERED_RESETS: usize = 128;

/// Streams that h2 may reset by itself in the life of a connection. Refusals before our SETTINGS are acknowledged cost no glitch
/// budget, so this is what bounds them.
const OWN_RESETS: usize = 16 * 1024;

/// Streams that the peer may reset before we accept them: within one read, since each turn accepts all.
const UNACCEPTED_RESETS: usize = 4 * 1024;

/// The h2 side of a connection with these settings.
pub(super) fn builder(settings: &Settings) -> Builder {
    let mut builder = Builder::new();
    let list = settings.max_header_bytes.saturating_mul(2).saturating_add(LIST_SLACK);
    // Windows are shares of the memory that the connection may hold. The connection's begins with 65535 whatever we say (RFC 9113
    // §6.9.2): what of it is more than the share is not given back once it is used.
    let share = u32::try_from(settings.max_connection_memory_bytes / 4).unwrap_or(u32::MAX);
    builder
        .initial_window_size(settings.h2_stream_window_bytes.min(share))
        .initial_connection_window_size(settings.h2_connection_window_bytes.min(share))
        .max_concurrent_streams(settings.h2_max_concurrent_streams)
        .max_header_list_size(u32::try_from(list).unwrap_or(u32::MAX))
        .max_send_buffer_size(settings.h2_send_buffer_bytes)
        .max_concurrent_reset_streams(REMEMBERED_RESETS)
        .max_local_error_reset_streams(Some(OWN_RESETS))
        .max_pending_accept_reset_streams(UNACCEPTED_RESETS);
    builder
}

/// What the observer counts and withholds by.
pub(super) fn limits(settings: &Settings) -> Limits {
    Limits {
        glitch_budget: settings.h2_glitch_budget,
        concurrent_streams: settings.h2_max_concurrent_streams as usize,
        header_block: settings.max_header_bytes.saturating_mul(2),
    }
}
