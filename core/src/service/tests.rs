//! Services over real sockets, as hyper, tower and axum would be mounted.

use std::convert::Infallible;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::mpsc;
use std::time::Duration;

use http_body::Frame;
use http_body_util::{BodyExt, Empty, Full};
use hyper::service::service_fn;

use super::*;
use crate::{Config, ConnectionInfo, Dispatch, Listener, Server};

const LONG: Duration = Duration::from_secs(10);

fn start(dispatch: Dispatch) -> Server {
    let mut config = Config::new(vec![Listener::new("127.0.0.1:0".parse().unwrap(), None)], dispatch);
    config.settings.set("io_threads", 1).unwrap();
    config.settings.set("worker_threads", 1).unwrap();
    Server::start(&config).unwrap()
}

fn inline(handler: impl Handler + 'static) -> Server {
    start(Dispatch::Inline(Arc::new(handler)))
}

fn connect(server: &Server) -> TcpStream {
    let socket = TcpStream::connect(server.address(0).unwrap()).unwrap();
    socket.set_read_timeout(Some(LONG)).unwrap();
    socket
}

/// Sends a request that asks for close, and reads to the end.
fn ask(server: &Server, request: &str) -> String {
    let mut socket = connect(server);
    socket.write_all(request.as_bytes()).unwrap();
    let mut answer = String::new();
    socket.read_to_string(&mut answer).unwrap();
    answer
}

fn get(server: &Server, method: &str) -> String {
    ask(server, &format!("{method} /a?b HTTP/1.1\r\nhost: h\r\nconnection: close\r\n\r\n"))
}

fn stop(server: &Server) {
    server.shutdown(Some(Duration::ZERO));
    assert_eq!(server.wait(Some(LONG)), Ok(true));
}

#[test]
fn a_whole_body_is_sent_with_its_length_and_the_request_says_who_asks() {
    let server = inline(mount(service_fn(async |request: http::Request<Incoming>| {
        assert!(request.body().is_end_stream());
        let connection = request.extensions().get::<Arc<ConnectionInfo>>().unwrap().clone();
        let text = format!("{} {:?} {}", request.uri(), request.version(), connection.peer.ip);
        Ok::<_, Infallible>(http::Response::new(Full::<Bytes>::from(text)))
    })));
    let answer = get(&server, "GET");
    assert!(answer.contains("\r\ncontent-length: 23\r\n"), "{answer}");
    assert!(answer.ends_with("\r\n\r\n/a?b HTTP/1.1 127.0.0.1"), "{answer}");
    stop(&server);
}

#[test]
fn content_and_trailers_stream_both_ways() {
    let server = inline(mount(service_fn(async |request: http::Request<Incoming>| {
        let shout = |data: Bytes| Bytes::from(data.to_ascii_uppercase());
        let body = request.into_body().map_frame(move |frame| frame.map_data(shout));
        Ok::<_, Infallible>(http::Response::new(body))
    })));
    let answer = ask(
        &server,
        "POST / HTTP/1.1\r\nhost: h\r\nte: trailers\r\nconnection: close, te\r\ntransfer-encoding: chunked\r\n\r\n\
         5\r\nhello\r\n6\r\n world\r\n0\r\nx-sum: 7\r\n\r\n",
    );
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    assert!(answer.contains("\r\ntransfer-encoding: chunked\r\n"), "{answer}");
    assert!(answer.contains("HELLO") && answer.contains(" WORLD"), "{answer}");
    assert!(answer.ends_with("0\r\nx-sum: 7\r\n\r\n"), "{answer}");
    stop(&server);
}

#[tokio::test]
async fn over_http2_the_target_has_scheme_and_authority_in_front() {
    let server = inline(mount(service_fn(async |request: http::Request<Incoming>| {
        assert_eq!(request.version(), http::Version::HTTP_2);
        let uri = request.uri().to_string();
        let content = request.into_body().collect().await?.to_bytes();
        Ok::<_, RequestError>(http::Response::new(Full::<Bytes>::from([uri.as_bytes(), &content].concat())))
    })));
    let socket = tokio::net::TcpStream::connect(server.address(0).unwrap()).await.unwrap();
    let (mut client, connection) = h2::client::handshake(socket).await.unwrap();
    tokio::spawn(connection);
    let request = http::Request::post("http://a.example:80/b?c").body(()).unwrap();
    let (answer, mut content) = client.send_request(request, false).unwrap();
    content.send_data(Bytes::from_static(b" and more"), true).unwrap();
    let mut answer = tokio::time::timeout(LONG, answer).await.unwrap().unwrap();
    assert_eq!(answer.headers()["content-length"], "32");
    let octets = answer.body_mut().data().await.unwrap().unwrap();
    assert_eq!(octets, "http://a.example:80/b?c and more");
    tokio::task::spawn_blocking(move || stop(&server)).await.unwrap();
}

#[test]
fn an_answer_larger_than_the_window_waits_for_its_reader() {
    const BLOCKS: usize = 512;
    let server = inline(mount(service_fn(async |_: http::Request<Incoming>| {
        Ok::<_, Infallible>(http::Response::new(Blocks(BLOCKS)))
    })));
    let answer = get(&server, "GET");
    assert_eq!(answer.bytes().filter(|octet| *octet == b'x').count(), BLOCKS * 16 * 1024);
    stop(&server);
}

/// So many blocks, always ready: only the reader slows them down.
struct Blocks(usize);

impl http_body::Body for Blocks {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        Poll::Ready(self.0.checked_sub(1).map(|left| {
            self.0 = left;
            Ok(Frame::data(Bytes::from_static(&[b'x'; 16 * 1024])))
        }))
    }
}

#[test]
fn what_frames_the_message_is_the_librarys_own() {
    let server = inline(mount(service_fn(async |request: http::Request<Incoming>| {
        let answer = http::Response::builder()
            .header("connection", "upgrade")
            .header("upgrade", "h2c")
            .header("transfer-encoding", "gzip")
            .header("keep-alive", "timeout=5")
            .header("content-length", "3")
            .header("x-kept", "yes");
        let content = if request.method() == Method::HEAD { "" } else { "abc" };
        answer.body(Full::<Bytes>::from(content))
    })));
    for method in ["GET", "HEAD"] {
        let answer = get(&server, method);
        assert!(answer.contains("content-length: 3\r\n") && answer.contains("x-kept: yes"), "{answer}");
        for gone in ["gzip", "h2c", "timeout=5", "connection: upgrade"] {
            assert!(!answer.contains(gone), "{answer}");
        }
        assert_eq!(answer.ends_with("\r\n\r\nabc"), method == "GET", "{answer}");
    }
    stop(&server);
}

#[test]
fn a_service_error_and_a_panic_are_500() {
    let server = inline(mount(service_fn(async |request: http::Request<Incoming>| {
        assert_ne!(request.method(), Method::PUT);
        tokio::task::yield_now().await;
        assert_ne!(request.method(), Method::DELETE);
        Err::<http::Response<Empty<Bytes>>, _>("no")
    })));
    for method in ["GET", "PUT", "DELETE"] {
        let answer = get(&server, method);
        assert!(answer.starts_with("HTTP/1.1 500"), "{method}: {answer}");
    }
    stop(&server);
}

#[test]
fn a_future_is_dropped_once_its_exchange_is_over() {
    struct Told(mpsc::Sender<()>);
    impl Drop for Told {
        fn drop(&mut self) {
            let _ = self.0.send(());
        }
    }
    let (sender, dropped) = mpsc::channel();
    let server = inline(mount(service_fn(move |request: http::Request<Incoming>| {
        let told = Told(sender.clone());
        async move {
            let _told = told;
            if request.method() == Method::PUT {
                let limits = request.extensions().get::<Arc<Request>>().unwrap();
                limits.set_limit("handler_timeout", 50).unwrap();
            }
            std::future::pending::<Result<http::Response<Empty<Bytes>>, Infallible>>().await
        }
    })));
    let answer = get(&server, "PUT");
    assert!(answer.starts_with("HTTP/1.1 504"), "{answer}");
    dropped.recv_timeout(LONG).expect("the time-out drops the future");

    let mut socket = connect(&server);
    socket.write_all(b"GET / HTTP/1.1\r\nhost: h\r\n\r\n").unwrap();
    assert!(dropped.recv_timeout(Duration::from_millis(200)).is_err());
    socket2::SockRef::from(&socket).set_linger(Some(Duration::ZERO)).unwrap();
    drop(socket);
    dropped.recv_timeout(LONG).expect("the peer's reset drops the future");
    stop(&server);
}

#[test]
fn on_workers_a_service_may_block() {
    let handler = mount(service_fn(async |request: http::Request<Incoming>| {
        assert!(!is_reactor_thread());
        let content = request.into_body().collect().await?.to_bytes();
        Ok::<_, RequestError>(http::Response::new(Full::<Bytes>::from(content)))
    }));
    let server = start(Dispatch::Workers(Arc::new(handler)));
    let mut socket = connect(&server);
    socket
        .write_all(b"POST / HTTP/1.1\r\nhost: h\r\nconnection: close\r\ntransfer-encoding: chunked\r\n\r\n3\r\nabc\r\n")
        .unwrap();
    std::thread::park_timeout(Duration::from_millis(50));
    socket.write_all(b"0\r\n\r\n").unwrap();
    let mut answer = String::new();
    socket.read_to_string(&mut answer).unwrap();
    assert!(answer.ends_with("\r\n\r\nabc"), "{answer}");
    stop(&server);
}
