//! HTTP/1.x: the octets of one connection. Parsing and encoding live in the files below, without IO.

pub(crate) mod chunked;
pub(crate) mod encode;
pub(crate) mod parse;
pub(crate) mod scan;
