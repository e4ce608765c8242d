//! A connection of HTTP/1: pipelining, splits, half-closes.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| bartizan::fuzzing::http1(data));
