#![forbid(unsafe_code)]

pub mod error;
pub mod reason;
pub mod settings;
pub mod tls;
