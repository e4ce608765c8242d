//! A connection of HTTP/2: any sequence of frames.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| bartizan::fuzzing::http2(data));
