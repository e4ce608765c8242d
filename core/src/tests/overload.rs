//! Overload: past 80 % of a cap the idle and header timeouts are halved, past 90 % quartered, also for who waits already.

use tokio::time::{Instant, sleep};

use super::h2::Raw;
use super::peer::{Ending, Peer, after, secs};
use super::support::{Host, Setup};
use crate::phase::Phase;
use crate::reason::Reason;

fn ten() -> Setup {
    Setup::hello().set("max_connections", "10").set("idle_timeout", "40s").set("header_timeout", "20s")
}

async fn idle(host: &Host) -> Peer {
    let mut peer = host.connect().await;
    peer.get("/").await;
    peer.answer().await;
    peer
}

#[test]
fn idle_timeouts_shrink_in_steps_as_connections_near_their_cap() {
    for (connections, limit) in [(7, 40), (8, 20), (9, 10)] {
        ten().run(async |host| {
            let began = Instant::now();
            let mut peers = Vec::new();
            for _ in 0..connections {
                peers.push(idle(host).await);
            }
            let first = peers[0].ending();
            assert_eq!(after(began, secs(limit), first).await, Ending::Closed, "{connections}");
            host.closed(&peers[0], Phase::Idle, Reason::IdleTimeout).await;
        });
    }
}

#[test]
fn who_is_idle_already_has_the_shrunk_time_too() {
    ten().run(async |host| {
        let began = Instant::now();
        let mut peers = Vec::new();
        for _ in 0..7 {
            peers.push(idle(host).await);
        }
        sleep(secs(15)).await;
        assert_eq!(host.shared.pressure.level(), 0);
        let late = idle(host).await;
        assert_eq!(after(began, secs(20), peers[0].ending()).await, Ending::Closed);
        host.turn().await;
        assert_eq!(host.phase(&late), Phase::Idle);
    });
}

#[test]
fn header_timeouts_shrink_too() {
    for (connections, limit) in [(7, 20), (8, 10), (9, 5)] {
        ten().run(async |host| {
            let began = Instant::now();
            let mut peers = Vec::new();
            for _ in 0..connections {
                let mut peer = host.connect().await;
                peer.send("GET / HT").await;
                peers.push(peer);
            }
            assert_eq!(after(began, secs(limit), peers[0].answer()).await.status, 408, "{connections}");
        });
    }
}

#[test]
fn timeouts_of_http2_shrink_too() {
    ten().run(async |host| {
        let mut raws = Vec::new();
        for _ in 0..7 {
            raws.push(Raw::open(host).await);
        }
        let mut asking = Raw::open(host).await;
        let mut idle = Raw::open(host).await;
        let began = Instant::now();
        idle.get(1, "/").await;
        idle.answer(1).await;
        after(began, secs(5), asking.goaway()).await;
        host.closed(&asking.peer, Phase::Flush, Reason::HeaderTimeout).await;
        // The others were closed as well, but a level outlasts its cause by no more than a second.
        after(began, secs(40), idle.goaway()).await;
        host.closed(&idle.peer, Phase::Flush, Reason::IdleTimeout).await;
    });
}

#[test]
fn overload_is_told_and_taken_back() {
    ten().run(async |host| {
        let mut peers = Vec::new();
        for _ in 0..9 {
            peers.push(idle(host).await);
        }
        sleep(secs(1)).await;
        assert_eq!(host.shared.pressure.level(), 2);
        assert!(host.server.metrics_text().contains("\nbartizan_overload_level 2\n"));
        peers.truncate(1);
        sleep(secs(2)).await;
        assert_eq!(host.shared.pressure.level(), 0);
        assert!(host.server.metrics_text().contains("\nbartizan_overload_level 0\n"));
        let log = host.log();
        let log: Vec<_> = log.iter().filter(|text| text.contains("overload")).map(String::as_str).collect();
        assert_eq!(
            log,
            [
                "overload: connections past 90 % of their cap, timeouts are quartered",
                "overload is over: idle and header timeouts are whole again",
            ]
        );
        sleep(secs(38)).await;
        assert_eq!(host.phase(&peers[0]), Phase::Idle);
    });
}
