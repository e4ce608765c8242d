//! Windows, beside what a connection may hold: they are shares of it, and so is what all uploads together leave unread. What those
//! take from others is not the others' fault.

use tokio::time::sleep;

use super::{Client, DATA, END_STREAM, ENHANCE_YOUR_CALM, Raw, frame};
use crate::phase::Phase;
use crate::reason::Reason;
use crate::request::Request;
use crate::tests::peer::{at, millis, secs};
use crate::tests::support::{Host, Setup, hello, read_all};

#[test]
fn windows_of_http2_shrink_to_a_share_of_the_memory() {
    Setup::kept().set("max_connection_memory_bytes", "256KiB").run(async |host| {
        let mut raw = Raw::open(host).await;
        raw.post(1, &[]).await;
        let request = host.request().await;
        // All that the initial window allows: RFC 9113 §6.9.2.
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

/// Stream 1 fills the window of the connection with content that nobody reads; 3 is read by the program and 5 is to be gathered,
/// and neither may send any. The requests of 1 and 3.
async fn held_up(raw: &mut Raw, host: &Host) -> [Request; 2] {
    raw.post(1, &[]).await;
    let unread = host.request().await;
    for _ in 0..3 {
        raw.send(frame(DATA, 0, 1, &[7; 16_384])).await;
    }
    raw.send(frame(DATA, 0, 1, &[7; 16_383])).await;
    sleep(secs(5)).await;
    raw.post(3, &[]).await;
    let read = host.request().await;
    let _ = read.peek();
    raw.post(5, &[("content-length", "5")]).await;
    [unread, read]
}

fn narrow() -> Setup {
    Setup::kept().set("h2_connection_window_bytes", "65535")
}

#[test]
fn an_upload_is_not_charged_while_unread_content_of_others_fills_the_window() {
    narrow().run(async |host| {
        let mut raw = Raw::open(host).await;
        let [unread, read] = held_up(&mut raw, host).await;
        // Longer than content may stop.
        assert_eq!(at(secs(25), raw.head(1)).await, (504, true));
        assert_eq!(unread.cancelled(), Some(Reason::HandlerTimeout));
        host.turn().await;
        assert_eq!(host.outcomes(), [(504, Reason::HandlerTimeout)]);
        // From now on it is the peer's delay again, and its time is whole.
        sleep(millis(14_900)).await;
        raw.send(frame(DATA, END_STREAM, 3, b"three")).await;
        assert_eq!(read_all(&read).await.unwrap(), b"three");
        hello(&read);
        assert_eq!(raw.answer(3).await.0, 200);
        assert_eq!(at(millis(99), raw.head(5)).await, (408, true));
        host.turn().await;
        assert_eq!(host.outcomes()[1..], [(200, Reason::Complete), (408, Reason::BodyIdle)]);
    });
}

#[test]
fn what_is_held_up_goes_on_when_the_program_reads() {
    narrow().run(async |host| {
        let mut raw = Raw::open(host).await;
        let [unread, read] = held_up(&mut raw, host).await;
        sleep(secs(20)).await;
        raw.send(frame(DATA, END_STREAM, 1, &[])).await;
        assert_eq!(read_all(&unread).await.unwrap().len(), 65_535);
        for (stream, request) in [(1, &unread), (3, &read)] {
            hello(request);
            assert_eq!(raw.answer(stream).await.0, 200);
        }
        raw.send(frame(DATA, END_STREAM, 5, b"five!")).await;
        let gathered = host.request().await;
        assert_eq!(gathered.exchange().buffered().unwrap(), &b"five!"[..]);
        hello(&gathered);
        assert_eq!(raw.answer(5).await.0, 200);
        assert_eq!(host.limits(Reason::BodyIdle), 0);
    });
}

#[test]
fn what_is_held_up_has_the_time_of_a_handler() {
    narrow().run(async |host| {
        let mut raw = Raw::open(host).await;
        let [unread, read] = held_up(&mut raw, host).await;
        unread.set_limit_text("handler_timeout", "off").unwrap();
        assert_eq!(at(secs(30), raw.head(3)).await, (504, true));
        assert!(at(secs(0), raw.head(5)).await.1);
        assert_eq!((read.cancelled(), unread.cancelled()), (Some(Reason::HandlerTimeout), None));
        host.turn().await;
        assert_eq!(host.outcomes(), [(504, Reason::HandlerTimeout); 2]);
        let spent = host.ended()[0].times;
        assert!(spent[Phase::Handler.id()] >= secs(30) && spent[Phase::Body.id()] < millis(1), "{spent:?}");
        unread.abort().unwrap();
    });
}

#[test]
fn what_is_sent_before_our_windows_are_known_cannot_be_pushed_back() {
    for (memory, fits) in [("128KiB", true), ("64KiB", false)] {
        Setup::kept().set("max_connection_memory_bytes", memory).run(async |host| {
            let mut raw = Raw::begin(host, &[]).await;
            raw.post(1, &[]).await;
            let request = host.request().await;
            // RFC 9113 §6.9.2: 65535 octets, until SETTINGS have come.
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
