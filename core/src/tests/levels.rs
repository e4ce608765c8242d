//! Settings of a listener and of a server name (levels L and N) act in place of those above them, and no sooner than the name is
//! known. Level Q is `limits.rs`.

use super::h2::{Client, Raw, secure};
use super::peer::{Ending, at, secs};
use super::support::{Setup, hello};
use crate::phase::Phase;
use crate::reason::Reason;

#[test]
fn a_setting_of_the_listener_acts_in_place_of_the_server_s() {
    for (server, listener, limit) in [("75s", "5s", 5), ("5s", "75s", 75)] {
        let setup = || Setup::hello().set("idle_timeout", server).listening("idle_timeout", listener);
        for setup in [setup(), setup().tls()] {
            setup.run(async |host| {
                let mut peer = host.connect().await;
                peer.get("/").await;
                peer.answer().await;
                assert_eq!(at(secs(limit), peer.ending()).await, Ending::Closed);
            });
        }
        setup().run(async |host| {
            let mut raw = Raw::open(host).await;
            raw.get(1, "/").await;
            raw.answer(1).await;
            at(secs(limit), raw.goaway()).await;
        });
    }
}

#[test]
fn the_handshake_has_the_time_of_its_server_name() {
    for (name, limit) in [("3s", 3), ("30s", 30)] {
        Setup::hello().tls().named("handshake_timeout", name).run(async |host| {
            let mut peer = host.dial();
            peer.send(host.client_hello()).await;
            assert_eq!(at(secs(limit), peer.rest()).await.1, Ending::Closed);
            host.closed(&peer, Phase::Handshake, Reason::TlsTimeout).await;
        });
    }
    // A peer that has named nothing yet has the listener's.
    Setup::hello().tls().named("handshake_timeout", "1s").run(async |host| {
        assert_eq!(at(secs(5), host.dial().ending()).await, Ending::Closed);
    });
}

/// A request that is so much beyond its cap.
type Request = fn(usize) -> String;

/// The caps of a header section by server name, each with the answer to what is beyond.
const CAPS: [(&str, &str, Request, u16); 3] = [
    ("max_header_bytes", "200", |over| head(0, "/", 200 + over), 431),
    ("max_header_fields", "5", |over| head(4 + over, "/", 0), 431),
    ("max_target_bytes", "20", |over| head(0, &format!("/{}", "x".repeat(19 + over)), 0), 414),
];

/// A head with so many fields more than Host, and if it is to be longer, of so many octets.
fn head(fields: usize, target: &str, octets: usize) -> String {
    let start = format!("GET {target} HTTP/1.1\r\nHost: localhost\r\n{}", "a: b\r\n".repeat(fields));
    match octets.checked_sub(start.len() + "x: \r\n\r\n".len()) {
        Some(fill) => format!("{start}x: {}\r\n\r\n", "x".repeat(fill)),
        None => format!("{start}\r\n"),
    }
}

#[test]
fn a_header_section_has_the_caps_of_its_server_name() {
    for (key, cap, request, status) in CAPS {
        Setup::hello().tls().named(key, cap).run(async |host| {
            let mut peer = host.connect().await;
            peer.send(request(0)).await;
            assert_eq!(peer.answer().await.status, 200, "{key}");
            peer.send(request(1)).await;
            assert_eq!(peer.answer().await.status, status, "{key}");
        });
        // The listener's own cap, where the name has a wider one.
        let narrow = Setup::hello().tls().set(key, cap).named(key, "1000");
        narrow.run(async |host| {
            let mut peer = host.connect().await;
            peer.send(request(1)).await;
            assert_eq!(peer.answer().await.status, 200, "{key}");
        });
    }
}

#[test]
fn streams_have_the_caps_of_their_server_name() {
    let asks = |fields: &[(&'static str, usize)], path: &str| {
        let mut request = http::Request::get(format!("https://localhost{path}"));
        for (name, times) in fields {
            for _ in 0..*times {
                request = request.header(*name, "a=b");
            }
        }
        request.body(()).unwrap()
    };
    let long = |octets: usize| format!("/{}", "x".repeat(octets - 1));
    for (key, cap, within, beyond, status) in [
        ("max_header_fields", "5", asks(&[("a", 5)], "/"), asks(&[("a", 6)], "/"), 431),
        ("max_cookie_fields", "5", asks(&[("cookie", 5)], "/"), asks(&[("cookie", 6)], "/"), 431),
        ("max_target_bytes", "20", asks(&[], &long(20)), asks(&[], &long(21)), 414),
    ] {
        secure(Setup::hello()).named(key, cap).run(async |host| {
            let mut client = Client::connect(host).await;
            for (request, expected) in [(within, 200), (beyond, status)] {
                client.requests = client.requests.ready().await.unwrap();
                let answer = client.requests.send_request(request, true).unwrap().0.await.unwrap();
                assert_eq!(answer.status().as_u16(), expected, "{key}");
            }
        });
    }
}

#[test]
fn crumbs_of_cookies_are_no_fields() {
    secure(Setup::kept()).set("max_header_fields", "2").set("max_cookie_fields", "20").run(async |host| {
        let mut client = Client::connect(host).await;
        for (crumbs, status) in [(20, 200), (21, 431)] {
            let mut request = http::Request::get("https://localhost/").header("x", "y");
            for _ in 0..crumbs {
                request = request.header("cookie", "a=b");
            }
            client.requests = client.requests.ready().await.unwrap();
            let answer = client.requests.send_request(request.body(()).unwrap(), true).unwrap().0;
            if status == 200 {
                hello(&host.request().await);
            }
            assert_eq!(answer.await.unwrap().status().as_u16(), status);
        }
    });
}
