//! Cleartext and TLS told apart for the peer: redirects of cleartext listeners, plain HTTP on TLS listeners, and the field that
//! keeps browsers on TLS.

use super::h2::Client;
use super::peer::{Ending, at, secs};
use super::support::{Setup, hello};
use crate::phase::Phase;
use crate::reason::Reason;

fn redirecting() -> Setup {
    Setup::kept().set("redirect_to_https", "on")
}

#[test]
fn every_request_of_a_redirecting_listener_is_sent_to_https() {
    redirecting().run(async |host| {
        for (request, location) in [
            ("GET /a?b=c HTTP/1.1\r\nHost: a.test:8080\r\n\r\n", "https://a.test/a?b=c"),
            ("GET /? HTTP/1.1\r\nHost: a.test\r\n\r\n", "https://a.test/?"),
            ("OPTIONS * HTTP/1.1\r\nHost: [2001:db8::1]:80\r\n\r\n", "https://[2001:db8::1]"),
            ("GET http://a.test/x HTTP/1.1\r\nHost: a.test\r\n\r\n", "https://a.test/x"),
            ("POST /up HTTP/1.0\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello", "https://a/up"),
        ] {
            let mut peer = host.connect().await;
            peer.send(request).await;
            let answer = peer.answer().await;
            assert_eq!((answer.status, answer.field("location")), (308, Some(location)));
            assert!(answer.closes() && answer.content.is_empty());
            peer.finish().await;
            assert_eq!(peer.ending().await, Ending::Closed);
        }
        // What is malformed is no request to redirect.
        let mut peer = host.connect().await;
        peer.send("GET / HTTP/1.1\r\n\r\n").await;
        assert_eq!(peer.answer().await.status, 400);
        assert!(!host.is_request_waiting());
        assert_eq!(host.outcomes()[..5], [(308, Reason::Complete); 5]);
    });
}

#[test]
fn streams_of_a_redirecting_listener_are_sent_to_https() {
    redirecting().run(async |host| {
        let mut client = Client::connect(host).await;
        for (method, end) in [("GET", true), ("POST", false)] {
            let request = http::Request::builder().method(method).uri("http://a.test:8080/a?b=c");
            client.requests = client.requests.ready().await.unwrap();
            let sent = client.requests.send_request(request.body(()).unwrap(), end);
            let answer = sent.unwrap().0.await.unwrap();
            assert_eq!(answer.status(), 308);
            assert_eq!(answer.headers()["location"], "https://a.test/a?b=c");
        }
        assert!(!host.is_request_waiting());
    });
}

#[test]
fn without_the_switch_nothing_is_redirected() {
    Setup::hello().run(async |host| {
        let mut peer = host.connect().await;
        peer.get("/").await;
        assert_eq!(peer.answer().await.text(), "hello");
    });
    Setup::hello().tls().set("redirect_to_https", "on").run(async |host| {
        let mut peer = host.connect().await;
        peer.get("/").await;
        assert_eq!(peer.answer().await.text(), "hello", "who is on TLS already stays");
    });
}

// ---- plain HTTP on a TLS listener ----

#[test]
fn plain_http_on_a_tls_listener_is_told_so_in_the_clear() {
    Setup::kept().tls().set("hsts_max_age", "1h").run(async |host| {
        let mut peer = host.dial();
        // More than was read when it was seen: closing over the rest would reset the answer away.
        peer.send(format!("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 50000\r\n\r\n{:x<50000}", "")).await;
        let answer = peer.answer().await;
        assert_eq!((answer.status, answer.closes()), (400, true));
        assert_eq!(answer.field("strict-transport-security"), None, "RFC 6797 7.2");
        peer.finish().await;
        assert_eq!(peer.ending().await, Ending::Closed);
        let record = host.closed(&peer, Phase::Linger, Reason::TlsPlaintext).await;
        assert_eq!((record.requests, host.limits(Reason::TlsPlaintext)), (0, 1));
        assert_eq!(host.server.snapshot().handshakes_failed, 1);
        assert!(!host.is_request_waiting());
    });
}

#[test]
fn plain_http_on_a_redirecting_tls_listener_is_sent_to_https() {
    redirecting().tls().run(async |host| {
        for cut in [4, 5, 20] {
            let mut peer = host.dial();
            let request = "GET /a?b HTTP/1.1\r\nHost: a.test:8443\r\n\r\n";
            peer.send(&request[..cut]).await;
            host.turn().await;
            peer.send(&request[cut..]).await;
            let answer = peer.answer().await;
            assert_eq!((answer.status, answer.field("location")), (308, Some("https://a.test/a?b")));
            assert!(answer.closes());
            assert_eq!(peer.ending().await, Ending::Closed);
            host.closed(&peer, Phase::Header, Reason::TlsPlaintext).await;
        }
        assert!(!host.is_request_waiting());
        let mut peer = host.dial();
        peer.send("GET / HTTP/1.1\r\nHo").await;
        assert_eq!(at(secs(10), peer.answer()).await.status, 408, "its head has a clock, too");
        assert_eq!(host.limits(Reason::TlsPlaintext), 4);
    });
}

// ---- hsts_max_age ----

#[test]
fn answers_over_tls_carry_the_age_of_hsts() {
    let over_long = format!("GET / HTTP/1.1\r\nHost: a\r\nX: {:x<5000}\r\n\r\n", "");
    for (setup, wanted) in [
        (Setup::hello().tls(), None),
        (Setup::hello().tls().set("hsts_max_age", "365d"), Some("max-age=31536000")),
        (Setup::hello().tls().set("hsts_max_age", "0s"), Some("max-age=0")),
        (Setup::hello().tls().set("hsts_max_age", "1h").named("hsts_max_age", "60s"), Some("max-age=60")),
        (Setup::hello().set("hsts_max_age", "365d"), None),
    ] {
        setup.set("max_header_bytes", "4096").run(async |host| {
            let mut peer = host.connect().await;
            peer.get("/").await;
            assert_eq!(peer.answer().await.field("strict-transport-security"), wanted);
            // Our own answers too.
            peer.send(&over_long).await;
            let answer = peer.answer().await;
            assert_eq!((answer.status, answer.field("strict-transport-security")), (431, wanted));
        });
    }
}

#[test]
fn what_the_program_says_about_hsts_stands() {
    Setup::inline(|request| {
        let own: (&[u8], &[u8]) = (b"strict-transport-security", b"max-age=5");
        request.respond(200, [own], crate::request::Body::Copied(b"")).unwrap();
    })
    .tls()
    .set("hsts_max_age", "365d")
    .run(async |host| {
        let mut peer = host.connect().await;
        peer.get("/").await;
        let answer = peer.answer().await;
        assert_eq!(answer.head.matches("strict-transport-security").count(), 1);
        assert_eq!(answer.field("strict-transport-security"), Some("max-age=5"));
    });
}

#[test]
fn answers_of_http2_carry_the_age_of_hsts() {
    let setup = super::h2::secure(Setup::kept()).set("hsts_max_age", "1h").set("handler_timeout", "1s");
    setup.run(async |host| {
        let mut client = Client::connect(host).await;
        let (answer, ()) = tokio::join!(client.get("/"), async { hello(&host.request().await) });
        assert_eq!(answer.0.headers["strict-transport-security"], "max-age=3600");
        let (answer, kept) = tokio::join!(client.get("/"), host.request());
        assert_eq!((answer.0.status.as_u16(), kept.cancelled().is_some()), (504, true));
        assert_eq!(answer.0.headers["strict-transport-security"], "max-age=3600", "our own, too");
    });
}
