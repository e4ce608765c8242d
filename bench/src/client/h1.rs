//! One HTTP/1.1 connection that sends a prebuilt request and waits for the known answer.
//!
//! No parser: an answer is complete when it ends with the content every server gives.

use std::io;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::client::TlsStream;

use super::{CONTENT, Dialer};

/// The shortest request that RFC 9112 allows.
pub fn minimal_request(authority: &str) -> Vec<u8> {
    format!("GET / HTTP/1.1\r\nHost: {authority}\r\n\r\n").into_bytes()
}

/// What a browser sends for the same page: ten fields, some 500 octets.
pub fn browser_request(authority: &str) -> Vec<u8> {
    format!(
        "GET / HTTP/1.1\r\n\
         Host: {authority}\r\n\
         User-Agent: Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0\r\n\
         Accept: text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8\r\n\
         Accept-Language: en-US,en;q=0.5\r\n\
         Accept-Encoding: gzip, deflate, br, zstd\r\n\
         Connection: keep-alive\r\n\
         Cookie: session=0123456789abcdef0123456789abcdef; theme=dark; consent=yes\r\n\
         Upgrade-Insecure-Requests: 1\r\n\
         Sec-Fetch-Mode: navigate\r\n\
         Priority: u=0, i\r\n\r\n"
    )
    .into_bytes()
}

/// A keep-alive connection.
#[derive(Debug)]
pub struct Connection {
    stream: TlsStream<TcpStream>,
    // Boxed, because thousands of idle connections are held at a time.
    answer: Box<[u8; 1024]>,
}

impl Connection {
    /// Connects and completes the handshake.
    pub async fn open(dialer: &Dialer) -> io::Result<Connection> {
        Ok(Connection { stream: dialer.dial().await?, answer: Box::new([0; 1024]) })
    }

    /// Whether the handshake spent a ticket.
    pub fn resumed(&self) -> bool {
        self.stream.get_ref().1.handshake_kind() == Some(rustls::HandshakeKind::Resumed)
    }

    /// Sends `request` and waits for the whole answer.
    pub async fn exchange(&mut self, request: &[u8]) -> io::Result<()> {
        self.stream.write_all(request).await?;
        self.stream.flush().await?;
        let mut filled = 0;
        while !self.answer[..filled].ends_with(CONTENT) {
            let read = self.stream.read(&mut self.answer[filled..]).await?;
            if read == 0 {
                return Err(self.unexpected(filled));
            }
            filled += read;
        }
        if !self.answer.starts_with(b"HTTP/1.1 200 ") {
            return Err(self.unexpected(filled));
        }
        Ok(())
    }

    /// Closes both ways: close_notify and FIN out, then everything in up to the server's end, so that its part
    /// of the closing counts too and a ticket behind the answer is not lost.
    pub async fn close(mut self) -> io::Result<()> {
        self.stream.shutdown().await?;
        while self.stream.read(&mut self.answer[..]).await? > 0 {}
        Ok(())
    }

    fn unexpected(&self, filled: usize) -> io::Error {
        io::Error::other(format!("unexpected answer: {}", self.answer[..filled].escape_ascii()))
    }
}
