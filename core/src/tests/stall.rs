//! A reactor that was held up does not execute its peers for what it could not see.

use tokio::time::{Instant, advance, sleep};

use super::peer::{after, millis, secs};
use super::support::Setup;
use crate::reason::Reason;

#[test]
fn time_that_the_reactor_did_not_see_is_not_counted() {
    Setup::hello().run(async |host| {
        let mut dripping = host.connect().await;
        dripping.send("GET / HTTP/1.1\r\n").await;
        let mut idle = host.connect().await;
        idle.get("/").await;
        idle.answer().await;
        sleep(secs(1)).await;
        advance(secs(600)).await;
        host.turn().await;
        dripping.send("Host: a\r\n\r\n").await;
        assert_eq!(dripping.answer().await.status, 200);
        idle.get("/").await;
        assert_eq!(idle.answer().await.status, 200);
        assert_eq!(host.limits(Reason::HeaderTimeout) + host.limits(Reason::IdleTimeout), 0);
    });
}

#[test]
fn behind_a_stall_the_clock_goes_on_where_it_was() {
    Setup::hello().run(async |host| {
        let mut peer = host.connect().await;
        peer.send("GET / HTTP/1.1\r\n").await;
        sleep(secs(4)).await;
        advance(secs(600)).await;
        let began = Instant::now();
        // Six seconds were left; two steps of the stall count.
        assert_eq!(after(began, millis(5_800), peer.answer()).await.status, 408);
    });
}
