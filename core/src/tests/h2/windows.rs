//! Windows, beside what a connection may hold: they are shares of it, and so is what all uploads together leave unread.

use tokio::time::sleep;

use super::{Client, DATA, END_STREAM, ENHANCE_YOUR_CALM, Raw, frame};
use crate::phase::Phase;
use crate::reason::Reason;
use crate::tests::peer::secs;
use crate::tests::support::{Setup, hello, read_all};

#[test]
fn windows_of_http2_shrink_to_a_share_of_the_memory() {
    Setup::kept().set("max_connection_memory_bytes", "256KiB").run(async |host| {
        let mut raw = Raw::open(host).await;
        raw.post(1, &[]).await;
        let request = host.request().await;
        // All that the initial window allows: RFC 9113 6.9.2.
        for _ in 0..4 {
            raw.send(frame(DATA, 0, 1, &[7; 16_000])).await;
        }
        sleep(secs(10)).await;
        let held = host.server.snapshot().memory_bytes;
        assert!((64_000..256 * 1024).contains(&held), "{held}: what h2 holds counts");
        raw.send(frame(DATA, END_STREAM, 1, &[])).await;
        assert_eq!(read_all(&request).await.unwrap().len(), 64_000);
        hello(&request);
        assert_eq!(raw.answer(1).await.0, 200);
        assert_eq!(host.limits(Reason::Memory), 0);
    });
}

#[test]
fn uploads_that_keep_to_the_windows_fit_the_smallest_connection() {
    Setup::kept().set("max_connection_memory_bytes", "64KiB").set("buffer_body_bytes", "0").run(
        async |host| {
            let mut client = Client::connect(host).await;
            client.requests = client.requests.ready().await.unwrap();
            let mut answers = Vec::new();
            let mut upload = |length: usize| {
                let request = http::Request::post("https://localhost/").body(()).unwrap();
                let (answer, mut content) = client.requests.send_request(request, false).unwrap();
                content.send_data(vec![7; length].into(), true).unwrap();
                answers.push(answer);
            };
            // Nobody reads for a while; and what the connection's window begins with is used up.
            upload(200_000);
            let request = host.request().await;
            let _ = request.peek();
            sleep(secs(5)).await;
            assert!(host.server.snapshot().memory_bytes <= 64 * 1024);
            assert_eq!(read_all(&request).await.unwrap().len(), 200_000);
            hello(&request);
            // From now on all streams together have no more than one.
            let mut requests = Vec::new();
            for _ in 0..5 {
                upload(50_000);
                requests.push(host.request().await);
            }
            sleep(secs(5)).await;
            assert!(host.server.snapshot().memory_bytes <= 64 * 1024);
            // All of them, since the window that one has filled is the others' too.
            let readers = requests.into_iter().map(|request| {
                tokio::task::spawn_local(async move {
                    assert_eq!(read_all(&request).await.unwrap().len(), 50_000);
                    hello(&request);
                })
            });
            for reader in readers.collect::<Vec<_>>() {
                reader.await.unwrap();
            }
            for answer in answers {
                assert_eq!(answer.await.unwrap().status(), 200);
            }
            assert_eq!(host.limits(Reason::Memory), 0);
        },
    );
}

#[test]
fn what_is_sent_before_our_windows_are_known_cannot_be_pushed_back() {
    for (memory, fits) in [("128KiB", true), ("64KiB", false)] {
        Setup::kept().set("max_connection_memory_bytes", memory).run(async |host| {
            let mut raw = Raw::begin(host, &[]).await;
            raw.post(1, &[]).await;
            let request = host.request().await;
            // RFC 9113 6.9.2: 65535 octets, until SETTINGS have come.
            for _ in 0..4 {
                raw.send(frame(DATA, 0, 1, &[7; 16_000])).await;
            }
            sleep(secs(1)).await;
            assert_eq!(host.limits(Reason::Memory), u64::from(!fits));
            if fits {
                assert_eq!(host.phase(&raw.peer), Phase::Streams);
                return request.abort().unwrap();
            }
            assert_eq!(raw.goaway().await.1, ENHANCE_YOUR_CALM);
            raw.peer.rest().await;
            host.closed(&raw.peer, Phase::Flush, Reason::Memory).await;
        });
    }
}
