//! A TLS connection behind its handshake: tickets and new keys, between requests and in the middle of one. How the handshake
//! itself ends is `handshake.rs`.

use rustls_pki_types::ServerName;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::timeout;
use tokio_rustls::client::TlsStream;

use super::peer::{Peer, Stream, secs};
use super::support::{Host, Setup, hello};

async fn connect(host: &Host) -> TlsStream<Box<dyn Stream>> {
    let Peer { stream, .. } = host.dial();
    let name = ServerName::try_from("localhost").unwrap();
    host.connector.connect(name, stream).await.expect("a handshake")
}

async fn ask(stream: &mut TlsStream<Box<dyn Stream>>) -> String {
    stream.write_all(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n").await.unwrap();
    stream.flush().await.unwrap();
    let mut answer = [0; 1024];
    let length = stream.read(&mut answer).await.unwrap();
    String::from_utf8(answer[..length].to_vec()).unwrap()
}

#[test]
fn a_ticket_does_not_wait_for_a_request_that_does_not_come() {
    Setup::inline(|request| hello(&request)).tls().run(async |host| {
        let mut stream = connect(host).await;
        // Nothing but TLS's own comes, so the read does not end; the ticket is here with the first turn.
        assert!(timeout(secs(1), stream.read(&mut [0; 16])).await.is_err());
        assert_eq!(stream.get_ref().1.tls13_tickets_received(), 1);
        assert!(ask(&mut stream).await.starts_with("HTTP/1.1 200 "));
    });
}

#[test]
fn keys_that_the_peer_changes_are_followed_and_answered() {
    Setup::inline(|request| hello(&request)).tls().run(async |host| {
        let mut stream = connect(host).await;
        for _ in 0..3 {
            // With update_requested: the answer to it comes under the old key, and all behind it under a new one.
            stream.get_mut().1.refresh_traffic_keys().unwrap();
            assert!(ask(&mut stream).await.starts_with("HTTP/1.1 200 "));
        }
    });
}

#[test]
fn keys_may_change_in_the_middle_of_a_request() {
    Setup::inline(|request| hello(&request)).tls().run(async |host| {
        let mut stream = connect(host).await;
        for piece in [&b"GET / HT"[..], b"TP/1.1\r\nHo", b"st: a\r\n\r"] {
            stream.write_all(piece).await.unwrap();
            stream.flush().await.unwrap();
            host.turn().await;
            stream.get_mut().1.refresh_traffic_keys().unwrap();
        }
        stream.write_all(b"\n").await.unwrap();
        let mut answer = [0; 15];
        stream.read_exact(&mut answer).await.unwrap();
        assert_eq!(&answer, b"HTTP/1.1 200 OK");
    });
}
