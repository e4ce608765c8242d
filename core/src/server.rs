//! The running server: start, addresses, TLS update, numbers, drain, end. Threads are made here and joined here; what they do
//! is `reactor.rs` and `dispatch.rs`.
