//! A bug of ours: the task of a connection panics. The connection is lost, the books are not, and the others end in peace.

use super::h2::Raw;
use super::peer::secs;
use super::support::{Setup, hello};
use crate::phase::Phase;
use crate::reason::Reason;
use crate::request::{Body, RequestError};

const LOST: RequestError = RequestError::Cancelled(Reason::Internal);

#[test]
fn a_panic_ends_the_request_that_is_under_way_and_drains_the_server() {
    for setup in [Setup::kept(), Setup::kept().tls()] {
        setup.run(async |host| {
            let mut witness = host.connect().await;
            witness.get("/witness").await;
            let other = host.request().await;
            let mut peer = host.connect().await;
            peer.get("/").await;
            let request = host.request().await;
            host.break_connection(&request);
            peer.rest().await;
            host.closed(&peer, Phase::Handler, Reason::Internal).await;
            assert_eq!(host.outcomes(), [(0, Reason::Internal)]);
            assert_eq!(request.cancelled(), Some(Reason::Internal));
            assert_eq!(request.respond(200, [], Body::Copied(b"late")), Err(LOST));
            assert_eq!(host.server.snapshot().requests_live, 1);
            hello(&other);
            assert!(witness.answer().await.closes());
            assert!(host.log().iter().any(|line| line.contains("a bug of ours")));
        });
    }
}

#[test]
fn a_panic_behind_a_begun_answer_ends_it_with_its_status() {
    Setup::kept().run(async |host| {
        let mut peer = host.connect().await;
        peer.get("/").await;
        let request = host.request().await;
        request.begin(200, [], None).unwrap();
        request.write(b"so far", Some(secs(0))).unwrap();
        host.turn().await;
        host.break_connection(&request);
        host.closed(&peer, Phase::Response, Reason::Internal).await;
        assert_eq!(host.outcomes(), [(200, Reason::Internal)]);
        assert_eq!(request.write(b"late", Some(secs(0))), Err(LOST));
    });
}

#[test]
fn a_panic_ends_every_stream() {
    Setup::kept().run(async |host| {
        let mut raw = Raw::open(host).await;
        raw.get(1, "/").await;
        let first = host.request().await;
        first.begin(200, [], None).unwrap();
        raw.post(3, &[]).await;
        let second = host.request().await;
        host.turn().await;
        host.break_connection(&second);
        host.closed(&raw.peer, Phase::Streams, Reason::Internal).await;
        assert_eq!(host.outcomes(), [(200, Reason::Internal), (0, Reason::Internal)]);
        assert_eq!((first.cancelled(), second.cancelled()), (Some(Reason::Internal), Some(Reason::Internal)));
        let streams = host.shared.sum();
        assert_eq!(
            (0..Phase::COUNT).map(|phase| streams.total(crate::counters::STREAMS, phase)).sum::<u64>(),
            0
        );
    });
}
