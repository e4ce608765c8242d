//! A head of HTTP/1, and the chunks behind it.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| bartizan::fuzzing::head(data));
