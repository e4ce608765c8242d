//! Requests that come before the answers to earlier ones.

use super::peer::Ending;
use super::support::{Setup, hello};
use crate::phase::Phase;
use crate::reason::Reason;
use crate::request::Body;

#[test]
fn a_burst_of_a_hundred_is_answered_in_order() {
    let echo = || {
        Setup::inline(|request| {
            let target = request.exchange().head().target().to_vec();
            request.respond(200, [], Body::Copied(&target)).unwrap();
        })
    };
    for setup in [echo(), echo().tls(), echo().capacity(100)] {
        setup.run(async |host| {
            let mut peer = host.connect().await;
            let burst: String = (0..100).map(|n| format!("GET /{n} HTTP/1.1\r\nHost: a\r\n\r\n")).collect();
            // Answers leave while requests arrive, or a small network would fill up.
            let (mut reader, mut writer) = tokio::io::split(&mut peer.stream);
            let mut answers = Vec::new();
            let send = async {
                tokio::io::AsyncWriteExt::write_all(&mut writer, burst.as_bytes()).await.unwrap();
                tokio::io::AsyncWriteExt::flush(&mut writer).await.unwrap();
            };
            let receive = async {
                while !answers.ends_with(b"/99") {
                    let got = tokio::io::AsyncReadExt::read_buf(&mut reader, &mut answers).await.unwrap();
                    assert_ne!(got, 0);
                }
            };
            tokio::join!(send, receive);
            let answers = String::from_utf8(answers).unwrap();
            assert_eq!(answers.matches("HTTP/1.1 200 OK").count(), 100);
            let bodies: Vec<_> = answers
                .split("HTTP/1.1 200 OK")
                .skip(1)
                .map(|one| one.rsplit('\n').next().unwrap())
                .collect();
            assert_eq!(bodies, (0..100).map(|n| format!("/{n}")).collect::<Vec<_>>());
            host.turn().await;
            assert_eq!(host.outcomes(), [(200, Reason::Complete); 100]);
            assert_eq!(host.phase(&peer), Phase::Idle);
        });
    }
}

#[test]
fn a_request_waits_for_the_answer_in_front_of_it() {
    Setup::kept().run(async |host| {
        let mut peer = host.connect().await;
        peer.send(
            "GET /1 HTTP/1.1\r\nHost: a\r\n\r\nPOST /2 HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\n\r\nsome",
        )
        .await;
        let first = host.request().await;
        host.turn().await;
        assert!(!host.is_request_waiting());
        hello(&first);
        let second = host.request().await;
        assert_eq!(second.exchange().buffered().unwrap(), "some");
        assert_eq!(peer.answer().await.text(), "hello");
        hello(&second);
        assert_eq!(peer.answer().await.text(), "hello");
    });
}

#[test]
fn nothing_behind_a_close_is_answered() {
    Setup::hello().run(async |host| {
        let mut peer = host.connect().await;
        peer.send(
            "GET /1 HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\nGET /2 HTTP/1.1\r\nHost: a\r\n\r\n",
        )
        .await;
        assert!(peer.answer().await.closes());
        assert_eq!(peer.ending().await, Ending::Closed);
        peer.finish().await;
        let record = host.closed(&peer, Phase::Linger, Reason::Complete).await;
        assert_eq!(record.requests, 1);
    });
}

#[test]
fn a_refusal_comes_behind_the_answers_in_front_of_it() {
    Setup::hello().run(async |host| {
        let mut peer = host.connect().await;
        peer.send(
            "GET /1 HTTP/1.1\r\nHost: a\r\n\r\nGET /2 HTTP/1.1\r\n\r\nGET /3 HTTP/1.1\r\nHost: a\r\n\r\n",
        )
        .await;
        assert_eq!(peer.answer().await.status, 200);
        assert_eq!(peer.answer().await.status, 400);
        assert_eq!(peer.ending().await, Ending::Closed);
        assert_eq!(host.outcomes().len(), 2);
        assert!(host.outcomes().contains(&(200, Reason::Complete)));
    });
}
