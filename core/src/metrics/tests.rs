//! The text is read back by a strict reader of its own, and the numbers are compared within one scrape.

mod reader;

use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::Arc;
use std::time::Duration;

use super::*;
use crate::tls::{Identity, Tls};
use crate::{Body, Config, Dispatch, Listener, Request, Server};

use reader::Page;

/// As in the last comment of the C header.
const FAMILIES: [(&str, &str); 30] = [
    ("bartizan_build", "info"),
    ("bartizan_connections_accepted", "counter"),
    ("bartizan_connections_closed", "counter"),
    ("bartizan_connections", "gauge"),
    ("bartizan_streams", "gauge"),
    ("bartizan_limits", "counter"),
    ("bartizan_accept_errors", "counter"),
    ("bartizan_accept_paused_seconds", "counter"),
    ("bartizan_handshakes", "counter"),
    ("bartizan_handshake_seconds", "histogram"),
    ("bartizan_requests", "counter"),
    ("bartizan_requests_ended", "counter"),
    ("bartizan_requests_live", "gauge"),
    ("bartizan_requests_unanswered", "counter"),
    ("bartizan_handler_seconds", "histogram"),
    ("bartizan_request_seconds", "histogram"),
    ("bartizan_received_bytes", "counter"),
    ("bartizan_sent_bytes", "counter"),
    ("bartizan_h2_glitches", "counter"),
    ("bartizan_inline_stalls", "counter"),
    ("bartizan_queue_events", "gauge"),
    ("bartizan_queue_wakeups", "counter"),
    ("bartizan_memory_bytes", "gauge"),
    ("bartizan_memory_limit_bytes", "gauge"),
    ("bartizan_open_descriptors", "gauge"),
    ("bartizan_max_descriptors", "gauge"),
    ("bartizan_overload_level", "gauge"),
    ("bartizan_draining", "gauge"),
    ("bartizan_certificate_expiry_seconds", "gauge"),
    ("bartizan_log_records_lost", "counter"),
];

fn server(dispatch: impl FnOnce(Arc<dyn crate::Handler>) -> Dispatch) -> Server {
    let handler = |request: Request| {
        let fields: [(&[u8], &[u8]); 0] = [];
        let _ = request.respond(204, fields, Body::Copied(b""));
    };
    let mut tls = Tls::new();
    tls.identity(None, Identity::self_signed("localhost").unwrap()).unwrap();
    tls.identity(Some("*.example"), Identity::self_signed("www.example").unwrap()).unwrap();
    let anywhere = || "127.0.0.1:0".parse().unwrap();
    let listeners = vec![Listener::new(anywhere(), None), Listener::new(anywhere(), Some(tls))];
    let mut config = Config::new(listeners, dispatch(Arc::new(handler)));
    config.settings.set("io_threads", 2).unwrap();
    config.settings.set("worker_threads", 1).unwrap();
    Server::start(&config).unwrap()
}

fn stop(server: &Server) {
    server.shutdown(Some(Duration::ZERO));
    assert_eq!(server.wait(Some(Duration::from_secs(10))), Ok(true));
}

#[test]
fn every_family_reason_and_phase_stands_there_from_the_start() {
    let server = server(Dispatch::Workers);
    let page = Page::read(&server.metrics_text());
    let families: Vec<_> = page.families.iter().map(|family| (&*family.name, &*family.kind)).collect();
    assert_eq!(families, FAMILIES);
    for listener in ["0", "1"] {
        for reason in Reason::ALL {
            let closed = [("listener", listener), ("reason", reason.name())];
            assert_eq!(page.value("bartizan_connections_closed_total", &closed), Some(0.0), "{reason}");
            for protocol in ["none", "http/1.0", "http/1.1", "h2"] {
                let labels = [("listener", listener), ("protocol", protocol), ("reason", reason.name())];
                assert_eq!(page.value("bartizan_limits_total", &labels), Some(0.0), "{reason} {protocol}");
                let expected = (protocol != "none").then_some(0.0);
                assert_eq!(
                    page.value("bartizan_requests_ended_total", &labels),
                    expected,
                    "{reason} {protocol}"
                );
            }
        }
        for phase in Phase::ALL {
            let labels = [("listener", listener), ("phase", phase.name())];
            assert_eq!(page.value("bartizan_connections", &labels), Some(0.0));
            assert_eq!(page.value("bartizan_streams", &labels), Some(0.0));
        }
        for error in EXPECTED_ACCEPT_ERRORS {
            let labels = [("listener", listener), ("error", error)];
            assert_eq!(page.value("bartizan_accept_errors_total", &labels), Some(0.0));
        }
    }
    let resumed =
        [("listener", "1"), ("version", "TLSv1.3"), ("group", "X25519MLKEM768"), ("resumed", "true")];
    assert_eq!(page.value("bartizan_handshakes_total", &resumed), Some(0.0));
    for name in ["", "*.example"] {
        let labels = [("listener", "1"), ("server_name", name)];
        let ends = page.value("bartizan_certificate_expiry_seconds", &labels).unwrap();
        assert!(ends > crate::connection::unix_time().as_secs_f64(), "{name:?}");
    }
    assert_eq!(page.value("bartizan_queue_events", &[("queue", "0")]), Some(0.0));
    assert_eq!(page.value("bartizan_memory_limit_bytes", &[]), Some(f64::INFINITY));
    assert_eq!(page.value("bartizan_draining", &[]), Some(0.0));
    stop(&server);
    assert_eq!(Page::read(&server.metrics_text()).value("bartizan_draining", &[]), Some(1.0));
}

#[test]
fn within_a_scrape_accepted_is_open_plus_closed_and_live_is_started_less_ended() {
    let server = server(Dispatch::Inline);
    let address = server.address(0).unwrap();
    let clients: Vec<_> = (0..3)
        .map(|_| {
            let address = address.clone();
            std::thread::spawn(move || {
                for _ in 0..60 {
                    let mut socket = TcpStream::connect(&address).unwrap();
                    socket.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
                    socket.write_all(b"GET / HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n").unwrap();
                    let mut answer = String::new();
                    socket.read_to_string(&mut answer).unwrap();
                    assert!(answer.starts_with("HTTP/1.1 204"), "{answer:?}");
                }
            })
        })
        .collect();
    let mut scrapes = 0;
    while scrapes < 5 || clients.iter().any(|client| !client.is_finished()) {
        let page = Page::read(&server.metrics_text());
        let accepted = page.sum("bartizan_connections_accepted_total");
        let closed = page.sum("bartizan_connections_closed_total");
        assert_eq!(accepted - closed, page.sum("bartizan_connections"));
        assert_eq!(page.sum("bartizan_requests_total"), page.sum("bartizan_requests_ended_total"));
        assert_eq!(page.sum("bartizan_requests_total"), page.sum("bartizan_request_seconds_count"));
        scrapes += 1;
    }
    clients.into_iter().for_each(|client| client.join().unwrap());
    stop(&server);
    let page = Page::read(&server.metrics_text());
    assert_eq!(page.sum("bartizan_connections"), 0.0);
    assert_eq!(page.sum("bartizan_requests_live"), 0.0);
    let labels = [("listener", "0"), ("protocol", "http/1.1"), ("code", "204")];
    assert_eq!(page.value("bartizan_requests_total", &labels), Some(180.0));
    let labels = [("listener", "0"), ("reason", "complete")];
    assert_eq!(page.value("bartizan_connections_closed_total", &labels), Some(180.0));
}

#[test]
fn the_overload_level_follows_the_fullest_cap() {
    assert_eq!([0, 79, 80, 89, 90, 200].map(|used| crate::pressure::level_of(used, 100)), [0, 0, 1, 1, 2, 2]);
    assert_eq!(crate::pressure::level_of(u64::MAX, u64::MAX), 2);
    assert_eq!(crate::pressure::level_of(1, 0), 2);
}
