//! The two servers: hyper's HTTP/1 connection over a pipe in memory, and ours over a socket of the loopback. Each says which
//! requests reached its program whole.

use std::collections::HashMap;
use std::fmt;
use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bartizan::{Body, Config, Dispatch, Listener, Request, Server};
use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

/// Closes the connection, so that neither side has to wait for one that lives on; part of every input, and of no answer.
const LAST: &[u8] = b"GET /last HTTP/1.1\r\nHost: last\r\nConnection: close\r\n\r\n";

/// How long ours may be silent before the peer says that it sends nothing more: a request that swallowed `LAST` waits for the
/// rest of its content. Too short costs nothing but pipelined requests of that connection, which both sides would have refused.
const SILENCE: Duration = Duration::from_millis(40);

/// One request that reached the program with all of its content.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Seen {
    method: String,
    target: String,
    fields: Vec<(String, Vec<u8>)>,
    content: Vec<u8>,
}

impl Seen {
    /// In the same order of names only: `http::HeaderMap` keeps the lines of one name together, a request does not.
    fn new(method: &str, target: &str, mut fields: Vec<(String, Vec<u8>)>, content: Vec<u8>) -> Self {
        fields.sort_by(|a, b| a.0.cmp(&b.0));
        // RFC 9110 §8.6: identical lengths are one line to our program; hyper shows them all.
        fields.dedup_by(|a, b| a.0 == "content-length" && a == b);
        Self { method: method.to_owned(), target: target.to_owned(), fields, content }
    }

    /// Whether both programs saw the same.
    pub(crate) fn is_same(&self, other: &Self) -> bool {
        self == other
    }

    fn is_last(&self) -> bool {
        self.target == "/last"
    }
}

impl fmt::Display for Seen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.method, self.target)?;
        for (name, value) in &self.fields {
            write!(f, " [{name}: {}]", value.escape_ascii())?;
        }
        write!(f, " {:?}", self.content.escape_ascii().to_string())
    }
}

/// hyper, without any of our policy.
pub(crate) struct Oracle {
    runtime: tokio::runtime::Runtime,
}

impl Oracle {
    pub(crate) fn new() -> Self {
        Self {
            runtime: tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime"),
        }
    }

    /// What hyper's program sees of these octets.
    pub(crate) fn serve(&self, octets: &[u8]) -> Vec<Seen> {
        let seen = Arc::new(Mutex::new(Vec::new()));
        self.runtime.block_on(async {
            let (mut client, server) = tokio::io::duplex(1 << 20);
            let service = service_fn(|request: hyper::Request<Incoming>| collect(request, seen.clone()));
            let connection = hyper::server::conn::http1::Builder::new()
                .half_close(true)
                .serve_connection(TokioIo::new(server), service);
            client.write_all(&[octets, LAST].concat()).await.expect("the pipe is large enough");
            client.shutdown().await.expect("a pipe");
            // An error is a refusal, and says nothing that `seen` does not.
            let _ = connection.await;
            let _ = client.read_to_end(&mut Vec::new()).await;
        });
        let seen = std::mem::take(&mut *seen.lock().expect("no handler panics"));
        without_last(seen)
    }
}

async fn collect(
    request: hyper::Request<Incoming>,
    seen: Arc<Mutex<Vec<Seen>>>,
) -> Result<hyper::Response<Full<Bytes>>, hyper::Error> {
    let (parts, content) = request.into_parts();
    let content = content.collect().await?.to_bytes().to_vec();
    let fields = parts
        .headers
        .iter()
        .map(|(name, value)| (name.as_str().to_owned(), value.as_bytes().to_vec()))
        .collect();
    let seeing = Seen::new(parts.method.as_str(), &parts.uri.to_string(), fields, content);
    seen.lock().expect("no handler panics").push(seeing);
    Ok(hyper::Response::new(Full::default()))
}

/// Our server, its defaults as they are.
pub(crate) struct Ours {
    server: Server,
    address: String,
    /// By the port of the peer.
    seen: Arc<Mutex<HashMap<u16, Vec<Seen>>>>,
}

impl Ours {
    pub(crate) fn start() -> Self {
        let seen = Arc::new(Mutex::new(HashMap::<u16, Vec<Seen>>::new()));
        let book = seen.clone();
        let handler = move |request: Request| {
            if let Some((peer, seeing)) = read(&request) {
                book.lock().expect("no handler panics").entry(peer).or_default().push(seeing);
                let _ = request.respond(200, std::iter::empty::<(&[u8], &[u8])>(), Body::Copied(b""));
            }
        };
        let listener = Listener::new("127.0.0.1:0".parse().expect("an address"), None);
        let mut config = Config::new(vec![listener], Dispatch::Workers(Arc::new(handler)));
        config.settings.io_threads = 1.into();
        config.settings.worker_threads = 8.into();
        let server = Server::start(&config).expect("a server on the loopback");
        let address = server.address(0).expect("one listener");
        Self { server, address, seen }
    }

    /// What our program sees of these octets.
    pub(crate) fn serve(&self, octets: &[u8]) -> Vec<Seen> {
        let mut stream = TcpStream::connect(&self.address).expect("a connection");
        let port = stream.local_addr().expect("an address").port();
        stream.set_read_timeout(Some(SILENCE)).expect("a timeout");
        // Refused in the middle, the rest may find the connection closed.
        let _ = stream.write_all(&[octets, LAST].concat());
        let mut answers = [0; 4096];
        let mut silences = 0;
        loop {
            match stream.read(&mut answers) {
                Ok(0) => break,
                Ok(_) => {}
                Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {
                    silences += 1;
                    let _ = stream.shutdown(Shutdown::Write);
                    // Ten seconds in all: every phase of ours has ended by then.
                    assert!(silences < 250, "never closed: {}", octets.escape_ascii());
                }
                Err(_) => break,
            }
        }
        without_last(self.seen.lock().expect("no handler panics").remove(&port).unwrap_or_default())
    }
}

impl Drop for Ours {
    fn drop(&mut self) {
        self.server.shutdown(Some(Duration::ZERO));
        self.server.wait(Some(Duration::from_secs(5))).expect("not on a library thread");
    }
}

/// The whole request, or nothing if its content never came to its end.
fn read(request: &Request) -> Option<(u16, Seen)> {
    let exchange = request.exchange();
    let head = exchange.head();
    let mut content = Vec::new();
    while let Some(chunk) = request.read_chunk(Some(Duration::from_secs(10))).ok()? {
        content.extend_from_slice(&chunk);
    }
    let fields = head.fields().map(|(name, value)| (text(name), value.to_vec())).collect();
    // As hyper shows it: an absolute target without a path has one there.
    let target =
        text(head.target()).parse::<http::Uri>().map_or_else(|_| text(head.target()), |uri| uri.to_string());
    Some((exchange.connection().peer.port, Seen::new(&text(head.method()), &target, fields, content)))
}

fn text(octets: &[u8]) -> String {
    String::from_utf8_lossy(octets).into_owned()
}

fn without_last(mut seen: Vec<Seen>) -> Vec<Seen> {
    seen.retain(|seeing| !seeing.is_last());
    seen
}
