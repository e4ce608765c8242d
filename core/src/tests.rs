//! Whole connections in memory, on paused time: the production connection function behind a pipe, and in front of it a real TLS
//! client or a peer that sends what a test says. One file per phase; the host and the peers stand in `tests/support.rs`.
//!
//! Just before a limit the connection lives, just after it (within one sweep) it is gone with the outcome, the reason, the
//! counter and the record of that limit; and at the end of every test the books balance.

mod body;
mod books;
mod bug;
mod caps;
mod chaos;
mod drain;
mod expect;
mod flush;
pub(crate) mod frames;
pub mod fuzzing;
mod h2;
mod half_close;
mod handler;
mod handshake;
mod header;
mod hello;
mod idle;
mod levels;
mod limits;
mod linger;
mod memory;
mod misdirected;
mod overload;
mod peer;
mod pipe;
mod pipelining;
mod program;
mod proxy;
mod redirect;
mod response;
mod rows;
mod session;
mod stall;
mod support;
