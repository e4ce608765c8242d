//! HTTP: what a request head is, what is refused before a handler sees it, and how answers are written.
//!
//! Everything in here is sans-IO. `head` is the one request head of both protocols; `target`, `authority`
//! and `policy` hold the rules it has passed; `h1` reads and writes HTTP/1.x octets; `fields` and
//! `trailers` are the two field lists of a program and of a peer. Sockets, clocks and caps on content
//! belong to the drivers.

pub(crate) mod authority;
pub(crate) mod date;
pub(crate) mod fields;
pub(crate) mod h1;
pub(crate) mod head;
pub(crate) mod octets;
pub(crate) mod policy;
pub(crate) mod target;
pub(crate) mod trailers;
