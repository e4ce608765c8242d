//! The response phase of HTTP/1: octets that the program handed over wait for the peer.

use bytes::Bytes;
use tokio::io::AsyncReadExt;
use tokio::time::{Instant, sleep};

use super::peer::{Ending, Peer, after, at, millis, secs};
use super::support::Setup;
use crate::phase::Phase;
use crate::reason::Reason;
use crate::request::{Body, Request, RequestError};

const NOW: Option<std::time::Duration> = Some(std::time::Duration::ZERO);

fn respond(request: &Request, octets: usize) {
    request.respond(200, [], Body::Owned(Bytes::from(vec![b'x'; octets]))).unwrap();
}

async fn read(peer: &mut Peer, octets: usize) {
    peer.stream.read_exact(&mut vec![0; octets]).await.unwrap();
}

#[test]
fn a_reader_that_stops_is_reset_at_the_idle_limit() {
    for setup in [Setup::kept(), Setup::kept().tls()] {
        // With the rate on, the credit of twenty seconds would be gone before.
        setup.set("min_write_rate", "off").capacity(4_096).run(async |host| {
            let mut peer = host.connect().await;
            peer.get("/").await;
            let request = host.request().await;
            let began = Instant::now();
            respond(&request, 1_000_000);
            host.turn().await;
            assert_eq!(host.phase(&peer), Phase::Response);
            let record = after(began, secs(30), host.closed(&peer, Phase::Response, Reason::WriteIdle)).await;
            assert!(record.times[Phase::Response.id()] >= secs(30));
            assert_eq!(peer.rest().await.1, Ending::Reset);
            assert_eq!(request.cancelled(), Some(Reason::WriteIdle));
            assert_eq!(host.limits(Reason::WriteIdle), 1);
            assert_eq!(host.outcomes(), [(200, Reason::WriteIdle)]);
        });
    }
}

#[test]
fn reading_just_before_the_idle_limit_starts_it_anew() {
    Setup::kept().capacity(4_096).set("min_write_rate", "off").run(async |host| {
        let mut peer = host.connect().await;
        peer.get("/").await;
        respond(&host.request().await, 1_000_000);
        for _ in 0..5 {
            sleep(millis(29_990)).await;
            read(&mut peer, 100).await;
        }
        at(secs(30), host.closed(&peer, Phase::Response, Reason::WriteIdle)).await;
    });
}

#[test]
fn a_reader_below_the_rate_is_reset_when_its_credit_is_gone() {
    Setup::kept().capacity(4_096).run(async |host| {
        let mut peer = host.connect().await;
        peer.get("/").await;
        respond(&host.request().await, 1_000_000);
        let id = peer.id;
        let slow = async {
            loop {
                sleep(secs(10)).await;
                // A thousand octets buy 4.17 of the ten seconds.
                read(&mut peer, 1_000).await;
            }
        };
        tokio::select! {
            _ = at(millis(28_333), host.closed_id(id, Phase::Response, Reason::WriteRate)) => {}
            () = slow => {}
        }
        assert_eq!(host.limits(Reason::WriteRate), 1);
    });
}

#[test]
fn a_reader_that_stops_has_the_credit_and_no_more() {
    Setup::kept().capacity(4_096).run(async |host| {
        let mut peer = host.connect().await;
        peer.get("/").await;
        let began = Instant::now();
        respond(&host.request().await, 1_000_000);
        after(began, secs(20), host.closed(&peer, Phase::Response, Reason::WriteRate)).await;
    });
}

#[test]
fn a_steady_reader_meets_only_the_total_limit() {
    Setup::kept().capacity(4_096).set("response_timeout", "60s").run(async |host| {
        let mut peer = host.connect().await;
        peer.get("/").await;
        respond(&host.request().await, 10_000_000);
        let id = peer.id;
        let steady = async {
            for _ in 0..70 {
                sleep(secs(1)).await;
                read(&mut peer, 1_000).await;
            }
        };
        tokio::select! {
            _ = at(secs(60), host.closed_id(id, Phase::Response, Reason::WriteTimeout)) => {}
            () = steady => panic!("the limit strikes first"),
        }
    });
}

#[test]
fn limits_that_are_off_let_a_slow_reader_go_on() {
    let setup = Setup::kept().capacity(4_096).set("min_write_rate", "off").set("write_idle_timeout", "off");
    setup.run(async |host| {
        let mut peer = host.connect().await;
        peer.get("/").await;
        let request = host.request().await;
        respond(&request, 300_000);
        sleep(secs(1_000)).await;
        assert_eq!(peer.answer().await.content.len(), 300_000);
    });
}

#[test]
fn no_clock_of_the_response_runs_while_the_program_gives_nothing() {
    for setup in [Setup::kept(), Setup::kept().tls()] {
        setup.run(async |host| {
            let mut peer = host.connect().await;
            peer.get("/").await;
            let request = host.request().await;
            request.begin(200, [], None).unwrap();
            for _ in 0..3 {
                assert_eq!(request.write(b"piece", NOW), Ok(5));
                sleep(secs(300)).await;
                assert_eq!(host.phase(&peer), Phase::Response);
            }
            request.finish([]).unwrap();
            let answer = peer.answer().await;
            assert_eq!((answer.text(), answer.closes()), ("piecepiecepiece", false));
            assert_eq!(host.outcomes(), [(200, Reason::Complete)]);
        });
    }
}

#[test]
fn a_write_takes_what_there_is_room_for() {
    Setup::kept().capacity(4_096).run(async |host| {
        let mut peer = host.connect().await;
        peer.get("/").await;
        let request = host.request().await;
        request.begin(200, [], Some(200_000)).unwrap();
        let octets = [b'x'; 100_000];
        assert_eq!(request.write(&octets, NOW), Ok(65_536));
        assert_eq!(request.write(&octets, NOW), Ok(0));
        host.turn().await;
        let room = request.write(&octets, NOW).unwrap();
        assert!((3_000..=4_096).contains(&room), "what the network took: {room}");
        assert!(matches!(request.write(&[0; 200_000], NOW), Err(RequestError::Value(_))));
        let mut left = 200_000 - 65_536 - room;
        let (answer, ()) = tokio::join!(peer.answer(), async {
            while left > 0 {
                left -= request.write(&octets[..left.min(100_000)], NOW).unwrap();
                host.turn().await;
            }
            request.finish([]).unwrap();
        });
        assert_eq!(answer.content, [b'x'; 200_000]);
        host.turn().await;
        let outcome = request.exchange().outcome().unwrap();
        assert_eq!((outcome.status, outcome.sent, outcome.reason), (200, 200_000, Reason::Complete));
    });
}

#[test]
fn a_peer_that_leaves_ends_the_answer() {
    Setup::kept().capacity(4_096).run(async |host| {
        let mut peer = host.connect().await;
        peer.get("/").await;
        let request = host.request().await;
        respond(&request, 1_000_000);
        host.turn().await;
        let id = peer.id;
        drop(peer);
        host.closed_id(id, Phase::Response, Reason::PeerReset).await;
        // The end of its side was read first.
        assert_eq!(request.cancelled(), Some(Reason::PeerClosed));
        assert_eq!(host.outcomes(), [(200, Reason::PeerReset)]);
    });
}
