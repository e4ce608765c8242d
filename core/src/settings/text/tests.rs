//! Every spelling that is read, and what is said about the others.

use super::*;
use crate::settings::{Settings, TABLE, setting};

fn read(key: &str, text: &str) -> Result<i64, String> {
    let mut settings = Settings::default();
    settings.set_text(key, text).map_err(|error| {
        assert_eq!(error.kind(), ErrorKind::Value);
        assert_eq!(settings, Settings::default(), "a refused value changed something");
        error.to_string()
    })?;
    Ok(settings.get(key).unwrap())
}

fn reads(key: &str, cases: &[(&str, i64)]) {
    for (text, value) in cases {
        assert_eq!(read(key, text), Ok(*value), "{key} = {text}");
    }
}

fn refuses(key: &str, texts: &[&str], because: &str) {
    for text in texts {
        let error = read(key, text).expect_err(text);
        assert!(error.starts_with(key) && error.contains(because), "{error}");
    }
}

#[test]
fn durations_carry_their_unit() {
    let cases = [
        ("10ms", 10),
        ("10s", 10_000),
        ("1.5s", 1_500),
        ("0.010s", 10),
        ("1m", 60_000),
        ("1h", 3_600_000),
        ("1m30s", 90_000),
        ("1m1s1ms", 61_001),
        ("007s", 7_000),
    ];
    reads("handshake_timeout", &cases);
    reads("hsts_max_age", &[("0s", 0), ("365d", 31_536_000_000), ("3650d", 315_360_000_000)]);
    let malformed = [
        "", "10", "0", "s", "-1s", "+1s", "1 s", " 1s", "1s ", "1s30m", "1s1s", "1S", "1.s", ".5s", "1.2.3s",
    ];
    refuses("handshake_timeout", &malformed, "is not a duration");
    refuses(
        "handshake_timeout",
        &["1.5ms", "0.0001s", "1.0000000000s", "1e3ms", "1µs", "10s\0"],
        "is not a duration",
    );
}

#[test]
fn sizes_are_octets_unless_a_unit_says_otherwise() {
    let cases = [
        ("4096", 4_096),
        ("4096B", 4_096),
        ("16KiB", 16_384),
        ("16kib", 16_384),
        ("64KB", 64_000),
        ("1MiB", 1_048_576),
        ("1MB", 1_000_000),
        ("0.5MiB", 524_288),
    ];
    reads("max_header_bytes", &cases);
    reads("max_body_bytes", &[("0", 0), ("1GiB", 1 << 30), ("1TiB", 1 << 40), ("1TB", 1_000_000_000_000)]);
    let malformed = [
        "",
        "16k",
        "16K",
        "16M",
        "KiB",
        "16 KiB",
        "-1",
        "0x10",
        "1_000",
        "1.5",
        "0.0001KiB",
        "1e6",
        "16KiBs",
    ];
    refuses("max_header_bytes", &malformed, "is not a size: write 16384, 16KiB or 16KB");
}

#[test]
fn rates_are_octets_per_second() {
    reads(
        "min_body_rate",
        &[("240", 240), ("240B/s", 240), ("240/s", 240), ("1KiB/s", 1_024), ("1KiB", 1_024)],
    );
    refuses("min_body_rate", &["", "/s", "240B/m", "240 B/s", "1s", "240B/s/s"], "is not a rate");
}

#[test]
fn counts_are_whole_numbers() {
    reads("max_header_fields", &[("1", 1), ("1000", 1_000), ("0100", 100)]);
    refuses("max_header_fields", &["", "-1", "1.0", "1k", "ten", "٣"], "is not a whole number");
}

#[test]
fn switches_and_choices_go_by_name() {
    reads("http2", &[("on", 1), ("true", 1), ("1", 1), ("off", 0), ("false", 0), ("0", 0)]);
    refuses("http2", &["", "yes", "On", "2", "auto"], "is not one of off or on");
    reads("proxy_protocol", &[("off", 0), ("v1", 1), ("v2", 2), ("any", 3)]);
    refuses("proxy_protocol", &["", "v3", "1", "auto"], "is not one of off, v1, v2 or any");
}

#[test]
fn off_and_auto_are_read_only_where_the_row_has_them() {
    reads("body_timeout", &[("off", OFF)]);
    reads("io_threads", &[("auto", AUTO), ("4", 4)]);
    refuses("handshake_timeout", &["off"], "cannot be off: 10ms to 1h");
    refuses("io_threads", &["off"], "cannot be off: 1 to 256, or auto");
    refuses("body_timeout", &["auto"], "cannot be auto: 10ms to 1d, or off");
    refuses("body_timeout", &["-1", "OFF", "none"], "is not a duration");
}

#[test]
fn a_value_out_of_range_is_told_as_it_was_written() {
    let told = |key, text| read(key, text).unwrap_err();
    assert_eq!(told("handshake_timeout", "5ms"), "handshake_timeout = 5ms is out of range: 10ms to 1h");
    assert_eq!(told("handshake_timeout", "0.005s"), "handshake_timeout = 0.005s is out of range: 10ms to 1h");
    assert_eq!(told("max_header_bytes", "2MiB"), "max_header_bytes = 2MiB is out of range: 64 to 1MiB");
    assert_eq!(told("min_body_rate", "0"), "min_body_rate = 0 is out of range: 1B/s to 1GiB/s, or off");
    for (key, text) in [
        ("handshake_timeout", "99999999999999999999999d"),
        ("handshake_timeout", "9223372036854775807ms9223372036854775807ms"),
        ("max_body_bytes", "9223372036854775807TiB"),
        ("max_body_bytes", "99999999999999999999.5TiB"),
        ("max_header_fields", "18446744073709551617"),
    ] {
        let error = told(key, text);
        assert!(error.contains("is out of range") || error.contains("is not a duration"), "{error}");
    }
    let long = told("max_header_fields", &"9".repeat(1 << 20));
    assert!(long.contains("out of range") && long.len() < 120, "{long}");
}

#[test]
fn what_is_not_text_stays_out_of_the_log_line() {
    let error = read("http2", "on\r\nforged \u{1b}[2J").unwrap_err();
    assert!(!error.contains(char::is_control), "{error}");
}

#[test]
fn integers_pass_the_same_checks() {
    let told = |key, value| Settings::default().set(key, value).unwrap_err().to_string();
    assert_eq!(told("handshake_timeout", 5), "handshake_timeout = 5ms is out of range: 10ms to 1h");
    assert_eq!(told("handshake_timeout", OFF), "handshake_timeout cannot be off: 10ms to 1h");
    assert_eq!(told("handshake_timeout", -7), "handshake_timeout = -7ms is out of range: 10ms to 1h");
    assert_eq!(told("max_connections", OFF), "max_connections cannot be off: 1 to 1000000, or auto");
    assert_eq!(told("body_timeout", AUTO), "body_timeout cannot be auto: 10ms to 1d, or off");
    assert_eq!(told("http2", 2), "http2 = 2 is out of range: off or on (0 to 1)");
    assert_eq!(told("http2", OFF), "http2 = -1 is out of range: off or on (0 to 1)");
    assert_eq!(told("proxy_protocol", 4), "proxy_protocol = 4 is out of range: off, v1, v2 or any (0 to 3)");
    assert_eq!(
        told("max_body_bytes", i64::MIN),
        format!("max_body_bytes = {} is out of range: 0 to 1TiB, or off", i64::MIN)
    );
}

#[test]
fn each_edge_of_each_range_is_allowed_and_reads_back() {
    for setting in TABLE {
        let mut values = vec![setting.min, setting.max, setting.default_value];
        values.extend(setting.off.then_some(OFF));
        values.extend(setting.auto.then_some(AUTO));
        for value in values {
            let text = setting.render(value);
            assert_eq!(setting.parse(&text).ok(), Some(value), "{} = {text}", setting.key);
            let mut settings = Settings::default();
            settings.set(setting.key, value).unwrap();
            assert_eq!(settings.get(setting.key).unwrap(), value, "{}", setting.key);
            assert_eq!(settings.get_text(setting.key).unwrap(), text);
            assert!(settings.check().is_empty(), "{}", setting.key);
        }
        for value in [setting.min - 1, setting.max + 1] {
            let allowed = (setting.off && value == OFF) || (setting.auto && value == AUTO);
            assert_eq!(setting.check(value).is_ok(), allowed, "{} = {value}", setting.key);
        }
    }
}

#[test]
fn values_are_written_in_the_largest_unit_without_a_fraction() {
    let written = |key, value| setting(key).unwrap().render(value);
    assert_eq!(written("idle_timeout", 75_000), "75s");
    assert_eq!(written("idle_timeout", 60_000), "1m");
    assert_eq!(written("idle_timeout", 1_500), "1500ms");
    assert_eq!(written("max_header_bytes", 16_384), "16KiB");
    assert_eq!(written("max_header_bytes", 16_000), "16000");
    assert_eq!(written("max_body_bytes", 0), "0");
    assert_eq!(written("min_body_rate", 240), "240B/s");
    assert_eq!(written("http2", 1), "on");
    assert_eq!(written("proxy_protocol", 2), "v2");
    assert_eq!(written("drain_timeout", 0), "0ms");
}

/// A second copy on purpose: a default is a promise to every program that does not set the row, and a changed one must
/// be changed in two places by somebody who means it.
#[test]
fn a_server_that_was_told_nothing_has_these_limits() {
    const PROMISED: &str = "
        io_threads auto, worker_threads auto, backlog 1024, max_connections auto, max_connections_per_ip off,
        proxy_protocol off, proxy_header_timeout 5s, client_hello_timeout 5s, max_client_hello_bytes 16KiB,
        handshake_timeout 10s, max_pending_handshakes 512, max_handshakes_per_second off, http2 on,
        h2_preface_timeout 5s, h2_settings_timeout 10s, header_timeout 10s, max_header_bytes 16KiB,
        max_header_fields 100, max_cookie_fields 200, max_target_bytes 8KiB, max_body_bytes 16MiB,
        buffer_body_bytes 64KiB, body_idle_timeout 15s, min_body_rate 240B/s, min_rate_grace 20s,
        body_timeout off, handler_timeout 30s, max_running_handlers 4096, max_queued_requests 1024,
        max_handlers_per_connection 100, inline_stall 100ms, write_idle_timeout 30s, min_write_rate 240B/s,
        response_timeout off, flush_timeout 15s, idle_timeout 75s, max_connection_age 1h,
        max_requests_per_connection off, h2_max_concurrent_streams 100, h2_stream_window_bytes 256KiB,
        h2_connection_window_bytes 1MiB, h2_send_buffer_bytes 64KiB, h2_glitch_budget 100,
        max_connection_memory_bytes 4MiB, max_total_memory_bytes off, linger_timeout 2s, max_linger_bytes 256KiB,
        drain_timeout 30s, tcp_keepalive_idle 15s, tcp_keepalive_interval 15s, tcp_keepalive_probes 9,
        redirect_to_https off, hsts_max_age off";
    let settings = Settings::default();
    let actual = TABLE.iter().map(|row| format!("{} {}", row.key, settings.get_text(row.key).unwrap()));
    assert_eq!(actual.collect::<Vec<_>>(), PROMISED.split(',').map(str::trim).collect::<Vec<_>>());
}
