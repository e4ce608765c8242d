//! `Expect: 100-continue` (RFC 9110 §10.1.1).

use super::peer::{Ending, millis};
use super::support::{Setup, hello, read_all, read_some};
use crate::phase::Phase;
use crate::reason::Reason;

const HEAD: &str = "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\nExpect: 100-continue\r\n\r\n";

#[test]
fn the_go_ahead_is_given_when_the_program_first_reads() {
    for setup in [Setup::kept(), Setup::kept().tls()] {
        setup.run(async |host| {
            let mut peer = host.connect().await;
            peer.send(HEAD).await;
            let request = host.request().await;
            assert_eq!(request.exchange().buffered(), None);
            peer.quiet(millis(500)).await;
            let (content, ()) = tokio::join!(read_all(&request), async {
                assert_eq!(peer.answer().await.status, 100);
                peer.send("some").await;
            });
            assert_eq!(content.unwrap(), b"some");
            hello(&request);
            let answer = peer.answer().await;
            assert_eq!((answer.status, answer.closes()), (200, false));
            assert_eq!(host.outcomes(), [(200, Reason::Complete)]);
        });
    }
}

#[test]
fn no_go_ahead_is_given_for_content_that_has_come() {
    Setup::kept().run(async |host| {
        let mut peer = host.connect().await;
        peer.send(format!("{HEAD}some")).await;
        let request = host.request().await;
        assert_eq!(read_some(&request).await.unwrap(), "some");
        hello(&request);
        assert_eq!(peer.answer().await.status, 200);
    });
}

#[test]
fn an_answer_without_a_read_needs_no_content_and_closes() {
    Setup::kept().run(async |host| {
        let mut peer = host.connect().await;
        peer.send(HEAD).await;
        hello(&host.request().await);
        let answer = peer.answer().await;
        assert_eq!((answer.status, answer.closes()), (200, true));
        assert_eq!(peer.ending().await, Ending::Closed);
        host.closed(&peer, Phase::Linger, Reason::Complete).await;
    });
}

#[test]
fn a_1_0_peer_is_not_told_to_go_ahead() {
    Setup::kept().set("buffer_body_bytes", "0").run(async |host| {
        let mut peer = host.connect().await;
        peer.send(HEAD.replace("HTTP/1.1", "HTTP/1.0")).await;
        let request = host.request().await;
        let (content, ()) = tokio::join!(read_all(&request), async {
            peer.quiet(millis(500)).await;
            peer.send("some").await;
        });
        assert_eq!(content.unwrap(), b"some");
        hello(&request);
        assert_eq!(peer.answer().await.status, 200);
    });
}
