//! The peer of a test: sends octets, reads answers, and says how and when the connection ended. With TLS or without.

use std::io;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::time::Instant;

use crate::deadline::STEP;

/// What carries octets to and from the server.
pub(super) trait Stream: AsyncRead + AsyncWrite + Unpin {}

impl<S: AsyncRead + AsyncWrite + Unpin> Stream for S {}

/// How a connection ended, as its peer saw it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ending {
    /// FIN; on TLS close_notify came first.
    Closed,
    /// FIN on TLS, without close_notify.
    Cut,
    /// TCP reset.
    Reset,
}

/// One peer.
pub(super) struct Peer {
    pub(super) stream: Box<dyn Stream>,
    /// The connection's id in the server's records.
    pub(super) id: u64,
    read: Vec<u8>,
    pub(super) resetter: Box<dyn Fn()>,
}

/// One answer.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) status: u16,
    pub(super) head: String,
    pub(super) content: Vec<u8>,
}

impl Answer {
    /// The value of a field, if it stands there.
    pub(super) fn field(&self, name: &str) -> Option<&str> {
        let mut lines = self.head.lines().skip(1).filter_map(|line| line.split_once(": "));
        lines.find(|(field, _)| field.eq_ignore_ascii_case(name)).map(|(_, value)| value)
    }

    /// Whether the connection ends behind this answer.
    pub(super) fn closes(&self) -> bool {
        self.field("connection") == Some("close")
    }

    pub(super) fn text(&self) -> &str {
        std::str::from_utf8(&self.content).unwrap()
    }
}

impl Peer {
    pub(super) fn new(id: u64, stream: Box<dyn Stream>, resetter: Box<dyn Fn()>) -> Self {
        Self { stream, id, read: Vec::new(), resetter }
    }

    pub(super) async fn send(&mut self, octets: impl AsRef<[u8]>) {
        self.try_send(octets).await.expect("the server takes what is sent");
    }

    pub(super) async fn try_send(&mut self, octets: impl AsRef<[u8]>) -> io::Result<()> {
        self.stream.write_all(octets.as_ref()).await?;
        self.stream.flush().await
    }

    /// Sends a request without content.
    pub(super) async fn get(&mut self, target: &str) {
        self.send(format!("GET {target} HTTP/1.1\r\nHost: a\r\n\r\n")).await;
    }

    /// Ends this side (close_notify first on TLS), the other goes on.
    pub(super) async fn finish(&mut self) {
        self.try_finish().await.unwrap();
    }

    pub(super) async fn try_finish(&mut self) -> io::Result<()> {
        self.stream.shutdown().await
    }

    /// The server finds a reset where it reads or writes next.
    pub(super) fn reset(self) {
        (self.resetter)();
    }

    /// The next answer, informational ones too.
    pub(super) async fn answer(&mut self) -> Answer {
        self.answer_to("GET").await
    }

    /// The next answer, to this method.
    pub(super) async fn answer_to(&mut self, method: &str) -> Answer {
        let head = loop {
            match self.read.windows(4).position(|octets| octets == b"\r\n\r\n") {
                Some(at) => break self.read.drain(..at + 4).collect(),
                None => self.more().await,
            }
        };
        let head = String::from_utf8(head).unwrap();
        let status = head[9..12].parse().unwrap();
        assert!(head.starts_with("HTTP/1.1 "), "{head}");
        let mut answer = Answer { status, head, content: Vec::new() };
        if method != "HEAD" && !matches!(status, 100..=199 | 204 | 304) {
            answer.content = self.content(&answer).await;
        }
        answer
    }

    async fn content(&mut self, answer: &Answer) -> Vec<u8> {
        if let Some(length) = answer.field("content-length") {
            return self.take(length.parse().unwrap()).await;
        }
        if answer.field("transfer-encoding").is_none() {
            let (content, ending) = self.rest().await;
            assert_eq!(ending, Ending::Closed);
            return content;
        }
        let mut content = Vec::new();
        loop {
            let line = self.line().await;
            let size = usize::from_str_radix(&line, 16).unwrap();
            if size == 0 {
                while !self.line().await.is_empty() {}
                return content;
            }
            content.extend(self.take(size).await);
            assert_eq!(self.line().await, "");
        }
    }

    async fn line(&mut self) -> String {
        loop {
            if let Some(at) = self.read.windows(2).position(|octets| octets == b"\r\n") {
                let line: Vec<u8> = self.read.drain(..at + 2).collect();
                return String::from_utf8(line[..at].to_vec()).unwrap();
            }
            self.more().await;
        }
    }

    pub(super) async fn take(&mut self, length: usize) -> Vec<u8> {
        while self.read.len() < length {
            self.more().await;
        }
        self.read.drain(..length).collect()
    }

    async fn more(&mut self) {
        let got = self.stream.read_buf(&mut self.read).await.expect("more of an answer");
        assert_ne!(got, 0, "the answer is cut: {:?}", String::from_utf8_lossy(&self.read));
    }

    /// Everything up to the end, and how it ended.
    pub(super) async fn rest(&mut self) -> (Vec<u8>, Ending) {
        let outcome = self.stream.read_to_end(&mut self.read).await;
        let ending = match outcome {
            Ok(_) => Ending::Closed,
            Err(error) if error.kind() == io::ErrorKind::ConnectionReset => Ending::Reset,
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Ending::Cut,
            Err(error) => panic!("{error}"),
        };
        (std::mem::take(&mut self.read), ending)
    }

    /// How the connection ends, with nothing said before.
    pub(super) async fn ending(&mut self) -> Ending {
        let (rest, ending) = self.rest().await;
        assert!(rest.is_empty(), "{:?}", String::from_utf8_lossy(&rest));
        ending
    }

    /// Nothing comes for this long, and the connection lives.
    pub(super) async fn quiet(&mut self, time: Duration) {
        let heard = tokio::time::timeout(time, self.stream.read_buf(&mut self.read)).await;
        assert!(heard.is_err(), "{heard:?}: {:?}", String::from_utf8_lossy(&self.read));
    }
}

/// The event comes when the limit is met, not before, and at most one sweep after.
pub(super) async fn at<T>(limit: Duration, event: impl Future<Output = T>) -> T {
    after(Instant::now(), limit, event).await
}

/// As [`at`], with a clock that began earlier.
pub(super) async fn after<T>(began: Instant, limit: Duration, event: impl Future<Output = T>) -> T {
    let outcome = event.await;
    let took = began.elapsed();
    // A timer of tokio's is a millisecond late at most.
    let latest = limit + STEP + Duration::from_millis(5);
    assert!(took >= limit && took <= latest, "came after {took:?}, due after {limit:?}");
    outcome
}

pub(super) const fn secs(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

pub(super) const fn millis(millis: u64) -> Duration {
    Duration::from_millis(millis)
}
