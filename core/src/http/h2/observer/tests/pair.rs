//! A real h2 client and a real h2 server with the observer between them, in memory.

use std::collections::HashMap;
use std::future::poll_fn;
use std::rc::Rc;
use std::task::Poll;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, Request, Response};
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream};

use super::super::watch::Withheld;
use super::super::{Event, Observer, Watch};
use super::{Limits, SETTINGS, frame, preface};

const LIMITS: Limits = Limits { glitch_budget: 100, concurrent_streams: 100, header_block: 32 * 1024 };

/// What a server saw until its connection ended.
struct Outcome {
    watch: Rc<Watch>,
    events: Vec<Event>,
}

/// Answers every request with `content` and trailers, closes as the watch says.
async fn serve(stream: DuplexStream, content: &'static [u8]) -> Outcome {
    let watch = Rc::new(Watch::new(LIMITS, 0));
    let observer = Observer::new(stream, Rc::clone(&watch));
    let mut connection = h2::server::Builder::new()
        .max_concurrent_streams(100)
        .max_header_list_size(16 * 1024)
        .handshake::<_, Bytes>(observer)
        .await
        .unwrap();
    let (mut events, mut closing) = (Vec::new(), false);
    loop {
        let accepted = poll_fn(|cx| {
            let polled = connection.poll_accept(cx);
            watch.take_events(&mut events);
            match (polled, watch.withheld()) {
                (Poll::Pending, Some(_)) if !closing => Poll::Ready(None),
                (Poll::Ready(accepted), _) => Poll::Ready(Some(accepted)),
                (Poll::Pending, _) => Poll::Pending,
            }
        })
        .await;
        match accepted {
            None => {
                closing = true;
                connection.abrupt_shutdown(watch.withheld().unwrap().code());
            }
            Some(Some(Ok((_, mut respond)))) => {
                let mut body = respond.send_response(Response::new(()), false).unwrap();
                body.send_data(Bytes::from_static(content), false).unwrap();
                body.send_trailers(HeaderMap::new()).unwrap();
            }
            Some(Some(Err(_)) | None) => return Outcome { watch, events },
        }
    }
}

/// Runs `client` against [`serve`] on one thread.
fn run<F: Future<Output = ()>>(content: &'static [u8], client: impl FnOnce(DuplexStream) -> F) -> Outcome {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
    runtime.block_on(async {
        // Smaller than a frame, so that heads are cut in many places.
        let (near, far) = tokio::io::duplex(1021);
        let both = async { tokio::join!(serve(near, content), client(far)).0 };
        tokio::time::timeout(Duration::from_secs(20), both).await.unwrap()
    })
}

#[test]
fn a_hundred_streams_of_a_real_client_are_seen_whole_and_cost_nothing() {
    const CONTENT: &[u8] = &[7; 3000];
    let outcome = run(CONTENT, |stream| async {
        let (client, connection) = h2::client::Builder::new()
            .initial_connection_window_size(1 << 20) // the answers are read one after the other
            .handshake::<_, Bytes>(stream)
            .await
            .unwrap();
        let requests = async move {
            let mut client = client;
            let mut answers = Vec::new();
            for _ in 0..100 {
                client = client.ready().await.unwrap();
                let request = Request::get("https://localhost/").body(()).unwrap();
                answers.push(client.send_request(request, true).unwrap().0);
            }
            for answer in answers {
                let mut body = answer.await.unwrap().into_body();
                let mut received = 0;
                while let Some(octets) = body.data().await {
                    let octets = octets.unwrap().len();
                    received += octets;
                    body.flow_control().release_capacity(octets).unwrap();
                }
                assert_eq!(received, CONTENT.len());
            }
        };
        let (_, closed) = tokio::join!(requests, connection);
        closed.unwrap();
    });
    let watch = &outcome.watch;
    assert!(watch.preface_complete() && watch.settings_taken() && watch.settings_acknowledged());
    assert_eq!((watch.header_block(), watch.header_blocks_begun()), (None, 100));
    assert_eq!(watch.state().data_taken, 100 * CONTENT.len() as u64);
    assert_eq!(watch.glitches(), [0; 8]);
    let mut taken: HashMap<u32, (usize, usize)> = HashMap::new();
    for event in outcome.events {
        match event {
            Event::HeadTaken { stream, end: false } => taken.entry(stream).or_default().0 += 1,
            Event::EndTaken { stream } => taken.entry(stream).or_default().1 += 1,
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(taken.len(), 100);
    assert!(taken.values().all(|counts| *counts == (1, 1)));
}

#[test]
fn a_list_over_the_cap_shows_h2_s_own_answer() {
    let outcome = run(b"", |stream| async {
        let (client, connection) = h2::client::handshake(stream).await.unwrap();
        let request = async move {
            let mut client = client.ready().await.unwrap();
            let long = "x".repeat(17_000);
            let request = Request::get("https://localhost/").header("long", long).body(()).unwrap();
            let (answer, _) = client.send_request(request, true).unwrap();
            assert_eq!(answer.await.unwrap().status(), 431);
        };
        let _ = tokio::join!(request, connection);
    });
    assert_eq!(outcome.events.first(), Some(&Event::HeadTaken { stream: 1, end: true }));
}

#[test]
fn a_flood_gets_its_goaway_from_h2() {
    let ping = frame(6, 0, 0, &[0; 8]);
    let settings = frame(SETTINGS, 0, 0, &[]);
    let priority = frame(2, 0, 1, &[0; 5]);
    for flood in [ping, settings, priority] {
        let outcome = run(b"", async |mut stream: DuplexStream| {
            stream.write_all(&[preface(), frame(SETTINGS, 0, 0, &[])].concat()).await.unwrap();
            let (mut reader, mut writer) = tokio::io::split(stream);
            let mut received = Vec::new();
            let write = async {
                // The server stops reading on the way: the rest cannot be written, and then the pipe breaks.
                let _ = writer.write_all(&flood.repeat(5000)).await;
            };
            tokio::join!(write, reader.read_to_end(&mut received)).1.unwrap();
            let goaway = received.windows(9).position(|head| head == [0, 0, 8, 7, 0, 0, 0, 0, 0]).unwrap();
            assert_eq!(received[goaway + 9..], [0, 0, 0, 0, 0, 0, 0, 11]);
        });
        assert!(outcome.watch.warned());
        assert_eq!(outcome.watch.withheld(), Some(Withheld::Glitches));
        assert_eq!(outcome.watch.glitches().iter().sum::<u32>(), 100);
    }
}
