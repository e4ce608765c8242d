//! What the measuring programs share: server processes, the load generator, the statistics.
//!
//! Nothing here is part of the product. `yardstick` is the bare hyper server to compare with, `compare`
//! prints ratios of CPU time and of the rate, `budgets` counts what no clock can disturb, `attack` is the load under attack.
#![forbid(unsafe_code)]

pub mod client;
pub mod hostile;
pub mod load;
pub mod server;
pub mod stats;
