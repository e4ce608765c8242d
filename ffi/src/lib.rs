//! The C contract of bartizan, and its implementation over `bartizan` (core): one file per noun of `include/bartizan.h`. What
//! a server does is decided in core; here is only what a caller in C can rely on, and what it takes to keep that promise.
//!
//! - **Status.** 0 ok, > 0 informational, < 0 error. On error nothing changed; results are written only on success, except
//!   `size_t *n` and `*len`, which are zeroed first. Set-up calls say the rest in a `bartizan_error`, where asked to.
//! - **NULL** for something required is E_NULL, never a crash. Text is pointer + length, BARTIZAN_NTS = NUL-terminated.
//! - **Ownership.** What goes in is copied before return. Opaque objects are the program's; `_free` takes NULL and never
//!   blocks; a second one aborts with a message (`owned.rs`). A function, its user data and its drop move at the call, even when
//!   that fails, and go back exactly once.
//! - **Requests are checked ids** (`ids.rs`), valid until released, whatever the network or the server does meanwhile. A view
//!   that is read after its release is undefined; in a debug build it is spoiled, and ASAN sees it.
//! - **Threads.** Configurations and TLS descriptions: one at a time. All else: any, concurrently, except `_free`.
//! - **Blocking.** Only `server_wait`, and `queue_next`, `body_read`, `response_write` with a time-out; on a thread that they
//!   would wait for they give E_DEADLOCK.
//! - **The host stays whole.** No panic leaves (`guard.rs`: E_PANIC), no signal, environment, standard stream or global of the
//!   host is touched, and a child of `fork` gets E_FORKED (`fork.rs`) until it makes objects of its own.
//!
//! `unsafe` is where C's word has to be taken: pointers that come in (`borrow.rs`, `owned.rs`), functions that are called
//! (`given.rs`, `hooks.rs`, `log.rs`, `request.rs`) and descriptors that are handed over (`config.rs`, `config/start.rs`);
//! besides, `fork.rs` and `ids.rs` ask the C library, and `view.rs` spoils a view in debug builds. The header is generated from
//! this crate and committed; its constants stand in `cbindgen.toml` and are compared with ours by `header.rs`.

mod borrow;
mod fork;
mod guard;
mod ids;
mod owned;

// One by one, since this is the order of the header.
pub mod status;

pub mod error;

pub mod setting;

pub mod config;

pub mod hooks;

pub mod log;

pub mod given;

pub mod tls;

pub mod queue;

pub mod server;

pub mod metrics;

pub mod view;

pub mod request;

pub mod body;

pub mod response;

#[cfg(test)]
mod header;
