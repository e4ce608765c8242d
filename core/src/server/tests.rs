//! A server on real sockets: what it says as it starts. What its connections do is tested in memory (`tests.rs`).

use std::sync::{Arc, Mutex};
use std::task::{Context, Waker};

use super::*;
use crate::config::{Dispatch, Listener};
use crate::event::LogRecord;
use crate::request::Request;
use crate::tls::Identity;

fn self_signed() -> Tls {
    let mut tls = Tls::new();
    tls.identity(None, Identity::self_signed("localhost").unwrap()).unwrap();
    tls
}

/// Asks for all targets in one turn of the reactor, over cleartext HTTP/2.
fn ask_at_once(server: &Server, targets: &[&str]) -> std::net::TcpStream {
    let mut octets = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0".to_vec();
    for (at, target) in targets.iter().enumerate() {
        // HPACK: GET, http, the target, and `a` as the authority.
        let block = [&[0x82, 0x86, 0x41, 1, b'a', 0x04, target.len() as u8], target.as_bytes()].concat();
        octets.extend_from_slice(&[0, 0, block.len() as u8, 1, 5, 0, 0, 0, at as u8 * 2 + 1]);
        octets.extend_from_slice(&block);
    }
    let mut peer = std::net::TcpStream::connect(server.address(0).unwrap()).unwrap();
    std::io::Write::write_all(&mut peer, &octets).unwrap();
    peer
}

#[test]
fn a_self_signed_identity_is_warned_of_once_per_listener() {
    let warned = Arc::new(Mutex::new(Vec::new()));
    let anywhere = || "127.0.0.1:0".parse().unwrap();
    let listeners = vec![Listener::new(anywhere(), Some(self_signed())), Listener::new(anywhere(), None)];
    let mut config = Config::new(listeners, Dispatch::Inline(Arc::new(|_: Request| ())));
    let log = warned.clone();
    config.hooks.log = Some((LogLevel::Warn, Arc::new(move |record| lock(&log).push(record.text.clone()))));
    let server = Server::start(&config).unwrap();
    let address = server.address(0).unwrap();
    let mut expected = vec![format!("{address} has a self-signed identity, for development only")];
    assert_eq!(*lock(&warned), expected);
    server.update_tls(0, &self_signed()).unwrap();
    expected.push(expected[0].clone());
    assert_eq!(*lock(&warned), expected);
}

#[test]
fn a_log_hook_that_panics_stops_nothing() {
    let listener = Listener::new("127.0.0.1:0".parse().unwrap(), Some(self_signed()));
    let mut config = Config::new(vec![listener], Dispatch::Inline(Arc::new(|_: Request| ())));
    config.hooks.log = Some((LogLevel::Warn, Arc::new(|record: &LogRecord| panic!("{}", record.text))));
    let server = Server::start(&config).unwrap();
    server.shutdown(None);
    assert!(server.wait(Some(Duration::from_secs(10))).unwrap());
}

#[test]
fn each_slot_that_comes_free_is_used_at_once() {
    let (tell, told) = std::sync::mpsc::channel();
    let (open, gate) = std::sync::mpsc::channel::<()>();
    let kept = Arc::new(Mutex::new(Vec::new()));
    let (keep, gate) = (kept.clone(), Arc::new(Mutex::new(gate)));
    let handler = move |request: Request| {
        let kept = request.exchange().head().target() == b"/kept";
        if kept {
            lock(&keep).push(request);
        }
        tell.send(()).unwrap();
        if !kept {
            // Until the sender is gone.
            let _ = lock(&gate).recv();
        }
    };
    let listener = Listener::new("127.0.0.1:0".parse().unwrap(), None);
    let mut config = Config::new(vec![listener], Dispatch::Workers(Arc::new(handler)));
    config.settings.set("worker_threads", 4).unwrap();
    config.settings.set("max_running_handlers", 2).unwrap();
    let server = Server::start(&config).unwrap();
    let peer = ask_at_once(&server, &["/kept", "/kept", "/next", "/next"]);
    let soon = Duration::from_secs(10);
    for _ in 0..2 {
        told.recv_timeout(soon).unwrap();
    }
    // The workers see that there is no slot, and sleep.
    assert!(told.recv_timeout(Duration::from_millis(100)).is_err());
    assert_eq!(server.snapshot().requests_queued, 2);
    drop(std::mem::take(&mut *lock(&kept)));
    told.recv_timeout(soon).expect("the first slot is used");
    told.recv_timeout(soon).expect("and so is the second");
    drop((open, peer));
    server.shutdown(Some(Duration::ZERO));
    assert!(server.wait(Some(soon)).unwrap());
}

#[test]
fn the_time_of_inline_handlers_is_theirs_on_http2_too() {
    let took = Duration::from_millis(30);
    let (_keep, nothing) = std::sync::mpsc::channel::<()>();
    let nothing = Mutex::new(nothing);
    let handler = move |request: Request| {
        let _ = lock(&nothing).recv_timeout(took);
        request.respond(200, [], crate::request::Body::Copied(b"x")).unwrap();
    };
    let (tell, told) = std::sync::mpsc::channel();
    let listener = Listener::new("127.0.0.1:0".parse().unwrap(), None);
    let mut config = Config::new(vec![listener], Dispatch::Inline(Arc::new(handler)));
    let hook = move |record: &crate::event::RequestRecord| tell.send(record.times).unwrap();
    config.hooks.request_end = Some(Arc::new(hook));
    let server = Server::start(&config).unwrap();
    let peer = ask_at_once(&server, &["/", "/", "/"]);
    for _ in 0..3 {
        let times = told.recv_timeout(Duration::from_secs(10)).unwrap();
        assert!(times[crate::phase::Phase::Handler.id()] >= took, "{times:?}");
    }
    drop(peer);
    server.shutdown(Some(Duration::ZERO));
    assert!(server.wait(Some(Duration::from_secs(10))).unwrap());
}

#[test]
fn an_inline_callback_that_does_not_return_is_told_of_while_it_hangs() {
    let (release, hung) = std::sync::mpsc::channel::<()>();
    let hung = Mutex::new(hung);
    let handler = move |request: Request| {
        let _ = lock(&hung).recv_timeout(Duration::from_secs(20));
        let _ = request.respond(200, [], crate::request::Body::Copied(b"free again"));
    };
    let (tell, told) = std::sync::mpsc::channel();
    let mut config = Config::new(
        vec![Listener::new("127.0.0.1:0".parse().unwrap(), None)],
        Dispatch::Inline(Arc::new(handler)),
    );
    config.settings.set("inline_stall", 50).unwrap();
    config.settings.set("io_threads", 1).unwrap();
    config.hooks.log = Some((LogLevel::Warn, Arc::new(move |record| drop(tell.send(record.text.clone())))));
    let server = Server::start(&config).unwrap();
    let mut peer = std::net::TcpStream::connect(server.address(0).unwrap()).unwrap();
    std::io::Write::write_all(&mut peer, b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n").unwrap();
    let hangs = told.recv_timeout(Duration::from_secs(10)).unwrap();
    assert!(hangs.starts_with("an inline callback holds a reactor and has not returned: "), "{hangs}");
    assert!(server.metrics_text().contains("\nbartizan_inline_stalls_total 1\n"));
    release.send(()).unwrap();
    let held = told.recv_timeout(Duration::from_secs(10)).unwrap();
    assert!(held.starts_with("an inline callback held a reactor: "), "{held}");
    let answer = std::io::read_to_string(peer).unwrap();
    assert!(answer.ends_with("free again"), "{answer}");
    assert!(server.metrics_text().contains("\nbartizan_inline_stalls_total 1\n"));
    server.shutdown(None);
    assert!(server.wait(Some(Duration::from_secs(10))).unwrap());
}

#[test]
fn there_are_as_many_threads_as_the_settings_say() {
    let threads = Arc::new(Mutex::new(Vec::new()));
    let mut config = Config::new(
        vec![Listener::new("127.0.0.1:0".parse().unwrap(), None)],
        Dispatch::Workers(Arc::new(|_: Request| ())),
    );
    config.settings.set("io_threads", 3).unwrap();
    config.settings.set("worker_threads", 5).unwrap();
    let seen = threads.clone();
    config.hooks.thread = Some(Arc::new(move |role, begins| lock(&seen).push((role, begins))));
    let server = Server::start(&config).unwrap();
    server.shutdown(None);
    assert!(server.wait(Some(Duration::from_secs(10))).unwrap());
    let count = |which| lock(&threads).iter().filter(|seen| **seen == which).count();
    assert_eq!((count((Role::Reactor, true)), count((Role::Reactor, false))), (3, 3));
    assert_eq!((count((Role::Worker, true)), count((Role::Worker, false))), (5, 5));
}

#[test]
fn noise_is_told_at_debug_and_not_in_floods() {
    let (tell, told) = std::sync::mpsc::channel();
    let handler = |request: Request| drop(request);
    let mut config = Config::new(
        vec![Listener::new("127.0.0.1:0".parse().unwrap(), None)],
        Dispatch::Inline(Arc::new(handler)),
    );
    config.settings.set("io_threads", 1).unwrap();
    let hook = move |record: &LogRecord| drop(tell.send(record.clone()));
    config.hooks.log = Some((LogLevel::Debug, Arc::new(hook)));
    let server = Server::start(&config).unwrap();
    let peers = 200;
    for _ in 0..peers {
        let mut peer = std::net::TcpStream::connect(server.address(0).unwrap()).unwrap();
        std::io::Write::write_all(&mut peer, b"nonsense\r\n\r\n").unwrap();
        std::io::read_to_string(peer).unwrap();
    }
    server.shutdown(None);
    assert!(server.wait(Some(Duration::from_secs(10))).unwrap());
    drop((server, config));
    let noise: Vec<_> = told.iter().filter(|record| record.level == LogLevel::Debug).collect();
    assert!(noise[0].text.contains("closed in ") && noise[0].text.ends_with(": header.syntax"), "{noise:?}");
    assert!(noise[0].connection > 0 && noise[0].target == LIBRARY);
    // So many in each of the seconds that it took.
    assert!((10..peers).contains(&noise.len()), "{}", noise.len());
}

#[test]
fn a_callback_may_hold_its_reactor_within_the_limit_and_where_nobody_wants_to_know() {
    for limit in ["off", "60s"] {
        let (keep, nothing) = std::sync::mpsc::channel::<()>();
        let nothing = Mutex::new(nothing);
        let handler = move |request: Request| {
            let _ = lock(&nothing).recv_timeout(Duration::from_millis(400));
            let _ = request.respond(200, [], crate::request::Body::Copied(b""));
        };
        let listener = Listener::new("127.0.0.1:0".parse().unwrap(), None);
        let mut config = Config::new(vec![listener], Dispatch::Inline(Arc::new(handler)));
        config.settings.set_text("inline_stall", limit).unwrap();
        let server = Server::start(&config).unwrap();
        let mut peer = std::net::TcpStream::connect(server.address(0).unwrap()).unwrap();
        std::io::Write::write_all(&mut peer, b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
            .unwrap();
        assert!(std::io::read_to_string(peer).unwrap().starts_with("HTTP/1.1 200"));
        assert!(server.metrics_text().contains("\nbartizan_inline_stalls_total 0\n"));
        drop(keep);
    }
}

/// A waker whose task nobody runs any more, and content, that own the request which they belong to.
struct Owner {
    _request: Arc<Request>,
}

impl std::task::Wake for Owner {
    fn wake(self: Arc<Self>) {}
}

impl AsRef<[u8]> for Owner {
    fn as_ref(&self) -> &[u8] {
        b"content"
    }
}

#[test]
fn what_owns_a_request_may_end_with_it() {
    let handler = |request: Request| {
        let request = Arc::new(request);
        let owner = Owner { _request: request.clone() };
        match request.exchange().head().target() {
            b"/content" => {
                request.begin(200, [], None).unwrap();
                let content = bytes::Bytes::from_owner(owner);
                let written = request.poll_write(&mut Context::from_waker(Waker::noop()), &content);
                assert!(written.is_ready());
                request.finish([]).unwrap();
            }
            b"/waker" => {
                let waker = Waker::from(Arc::new(owner));
                assert!(request.poll_content(&mut Context::from_waker(&waker)).is_pending());
            }
            _ => request.respond(200, [], crate::request::Body::Copied(b"")).unwrap(),
        }
    };
    let listener = Listener::new("127.0.0.1:0".parse().unwrap(), None);
    let mut config = Config::new(vec![listener], Dispatch::Inline(Arc::new(handler)));
    config.settings.set("io_threads", 1).unwrap();
    let server = Server::start(&config).unwrap();
    let ask = |head: &str| {
        let mut peer = std::net::TcpStream::connect(server.address(0).unwrap()).unwrap();
        peer.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
        std::io::Write::write_all(&mut peer, head.as_bytes()).unwrap();
        peer
    };
    let answered = ["GET /content", "GET /plain", "POST /waker", "GET /plain"].map(|line| {
        let length = if line.starts_with("POST") { "Content-Length: 70000\r\n" } else { "" };
        let mut peer = ask(&format!("{line} HTTP/1.1\r\nHost: a\r\n{length}Connection: close\r\n\r\n"));
        if !length.is_empty() {
            peer.shutdown(std::net::Shutdown::Write).unwrap();
        }
        std::io::Read::read_to_end(&mut peer, &mut Vec::new()).is_ok()
    });
    if answered != [true; 4] {
        // Its reactor waits for itself.
        std::mem::forget(server);
        panic!("{answered:?}");
    }
    server.shutdown(Some(Duration::ZERO));
    assert!(server.wait(Some(Duration::from_secs(10))).unwrap());
}
