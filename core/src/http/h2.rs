//! placeholder while the driver is being written
#![allow(dead_code)]
use crate::connection::Connection;
use crate::reason::Reason;
use crate::transport::{Transport, Wire};
pub(crate) async fn serve<T: Transport>(_: &mut Connection, _: Wire<T>, _: Vec<u8>) -> Reason { Reason::Internal }
