//! Doors, overrides, and rows that disagree.

use std::time::Duration;

use super::*;
use crate::settings::{AUTO, OFF, OrAuto, ProxyProtocol, setting};

fn with(rows: &[(&str, &str)]) -> Settings {
    let mut settings = Settings::default();
    for (key, text) in rows {
        settings.set_text(key, text).unwrap();
    }
    settings
}

fn faults(settings: &Settings) -> Vec<String> {
    settings.check().iter().map(Error::to_string).collect()
}

#[test]
fn doors_and_fields_are_the_same_place() {
    let mut settings = with(&[
        ("handshake_timeout", "2s"),
        ("body_timeout", "1m"),
        ("body_idle_timeout", "off"),
        ("io_threads", "2"),
        ("http2", "off"),
        ("proxy_protocol", "any"),
    ]);
    assert_eq!(settings.handshake_timeout, Duration::from_secs(2));
    assert_eq!(settings.body_timeout, Some(Duration::from_secs(60)));
    assert_eq!(settings.body_idle_timeout, None);
    assert_eq!(settings.io_threads, OrAuto::Exactly(2));
    assert!(!settings.http2);
    assert_eq!(settings.proxy_protocol, ProxyProtocol::Any);

    settings.idle_timeout = Duration::from_millis(1_500);
    settings.worker_threads = 7.into();
    settings.max_body_bytes = None;
    assert_eq!(settings.get("idle_timeout").unwrap(), 1_500);
    assert_eq!(settings.get("worker_threads").unwrap(), 7);
    assert_eq!(settings.get("max_body_bytes").unwrap(), OFF);
    assert_eq!(settings.get("max_connections").unwrap(), AUTO);
    assert_eq!(settings.get_text("idle_timeout").unwrap(), "1500ms");
    assert_eq!(settings.get("idle_timeut").unwrap_err().kind(), ErrorKind::Option);
    assert!(settings.check().is_empty());
}

#[test]
fn auto_gives_way_to_the_machine_and_a_number_does_not() {
    assert_eq!(OrAuto::Auto.unwrap_or_else(|| 4), 4);
    assert_eq!(OrAuto::Exactly(2).unwrap_or_else(|| 4), 2);
}

#[test]
fn fields_out_of_range_are_all_found() {
    let settings = Settings {
        handshake_timeout: Duration::from_micros(9_999),
        idle_timeout: Duration::MAX,
        max_body_bytes: Some(u64::MAX),
        max_header_fields: 0,
        ..Settings::default()
    };
    let faults = faults(&settings);
    assert_eq!(faults.len(), 4, "{faults:?}");
    assert_eq!(faults[0], "handshake_timeout = 9ms is out of range: 10ms to 1h");
}

#[test]
fn of_two_rows_that_disagree_the_smaller_acts() {
    let short = with(&[("handshake_timeout", "2s")]);
    assert!(short.check().is_empty());
    assert_eq!(short.effective().client_hello_timeout, Duration::from_secs(2));

    let long = with(&[("client_hello_timeout", "30s")]);
    assert!(long.check().is_empty());
    assert_eq!(long.effective().client_hello_timeout, long.handshake_timeout);

    let agreed = with(&[("client_hello_timeout", "2s"), ("handshake_timeout", "2s")]);
    assert!(agreed.check().is_empty());
    assert_eq!(agreed.effective(), agreed);
    assert_eq!(Settings::default().effective(), Settings::default());
}

#[test]
fn rows_that_disagree_are_refused_when_the_program_wrote_both() {
    let defaulted = with(&[("handshake_timeout", "2s"), ("client_hello_timeout", "5s")]);
    let fault = "client_hello_timeout = 5s is more than handshake_timeout = 2s leaves room for";
    assert_eq!(faults(&defaulted), [fault], "a default that was written counts as written");

    let typed = Settings {
        handshake_timeout: Duration::from_secs(2),
        client_hello_timeout: Duration::from_secs(3),
        ..Settings::default()
    };
    assert_eq!(faults(&typed).len(), 1);
    let head = with(&[("max_header_bytes", "1KiB"), ("max_target_bytes", "2KiB")]);
    assert_eq!(
        faults(&head),
        ["max_target_bytes = 2KiB is more than max_header_bytes = 1KiB leaves room for"]
    );
}

#[test]
fn a_total_budget_may_be_shorter_than_a_pause() {
    let settings = with(&[("body_timeout", "1s"), ("body_idle_timeout", "30s")]);
    assert!(settings.check().is_empty());
    assert_eq!(settings.effective(), settings);
}

#[test]
fn a_small_container_reaches_all_the_way_in() {
    let settings = with(&[("max_total_memory_bytes", "1MiB"), ("max_header_bytes", "100")]);
    let effective = settings.effective();
    assert_eq!(effective.max_connection_memory_bytes, 1 << 20);
    assert_eq!(effective.max_target_bytes, 100);
    let tight = with(&[("max_connection_memory_bytes", "64KiB")]).effective();
    assert_eq!(tight.h2_connection_window_bytes, 64 << 10);
    assert_eq!(tight.max_header_bytes, 16 << 10);
}

#[test]
fn lowering_a_row_never_leaves_its_range() {
    for (inner, outer) in WITHIN.map(|(inner, outer)| (inner.setting(), outer.setting())) {
        assert!(outer.min >= inner.min, "{} in {}", inner.key, outer.key);
        assert_eq!(inner.unit, outer.unit);
        assert!(!inner.off, "off is below every number, so {} would pass for small", inner.key);
    }
    for setting in TABLE {
        let mut settings = Settings::default();
        settings.set(setting.key, setting.min).unwrap();
        assert!(settings.effective().check().is_empty(), "{}", setting.key);
    }
}

#[test]
fn overrides_lie_over_the_level_above() {
    let server = with(&[("client_hello_timeout", "5s"), ("max_header_bytes", "32KiB")]);
    let mut listener = Overrides::new(Level::Listener);
    assert!(listener.is_empty());
    listener.set_text("handshake_timeout", "1m").unwrap();
    listener.set_text("handshake_timeout", "2s").unwrap();
    listener.set("max_body_bytes", OFF).unwrap();
    let merged = listener.over(&server);
    assert_eq!(merged.handshake_timeout, Duration::from_secs(2));
    assert_eq!(merged.max_body_bytes, None);
    assert_eq!(merged.max_header_bytes, 32 << 10);
    assert_eq!(server.handshake_timeout, Duration::from_secs(10));
    assert_eq!(merged.check().len(), 1, "what was written above and here disagrees");
}

#[test]
fn overrides_take_only_rows_of_their_level() {
    let mut name = Overrides::new(Level::ServerName);
    name.set_text("hsts_max_age", "365d").unwrap();
    assert_eq!(name.set_text("idle_timeout", "1s").unwrap_err().kind(), ErrorKind::Option);
    assert_eq!(name.set("io_threads", 1).unwrap_err().kind(), ErrorKind::Option);
    assert_eq!(name.set("handshake_timeout", OFF).unwrap_err().kind(), ErrorKind::Value);
    assert_eq!(name.over(&Settings::default()).get_text("hsts_max_age").unwrap(), "365d");
}

#[test]
fn a_row_of_a_level_is_a_row_of_every_level_above() {
    for row in TABLE {
        if row.levels.contains(&Level::Request) || row.levels.contains(&Level::ServerName) {
            assert!(row.levels.contains(&Level::Listener), "{}", row.key);
        }
        assert_eq!(setting(row.key).unwrap().key, row.key);
    }
}
