//! The routes that take time, each as the steps of one flow (`flow.rs`). Whatever fails ends the flow, since by then the library
//! has answered or reset.

use std::time::Duration;

use aws_lc_rs::digest::{Context, SHA256};
use bartizan::{Body, RequestError, Version};
use serde_json::{Value, json};

use crate::flow::Io;
use crate::journal::{address, latin1, tls};
use crate::routes::{HELLO, OCTETS, TEXT};

type Done = Result<(), RequestError>;

/// What `/bytes` sends, over and over.
static BLOCK: [u8; 64 * 1024] = [0; 64 * 1024];

pub(crate) async fn inspect(io: Io) -> Done {
    let (mut sum, mut length) = (Context::new(&SHA256), 0);
    while let Some(content) = io.read().await? {
        sum.update(&content);
        length += content.len();
    }
    let exchange = io.request.exchange();
    let (head, connection) = (exchange.head(), exchange.connection());
    let trailers = io.request.trailers()?;
    let facts = json!({
        "method": latin1(head.method()),
        "scheme": latin1(head.scheme()),
        "authority": latin1(head.authority()),
        "target": latin1(head.target()),
        "path": latin1(head.path()),
        "query": latin1(head.query()),
        "http": match head.version() {
            Version::Http10 => "1.0",
            Version::Http11 => "1.1",
            Version::Http2 => "2",
        },
        "headers": fields(head.fields()),
        "trailers": fields(trailers.iter()),
        "body": { "length": length, "sha256": hex(sum) },
        "peer": address(&connection.peer),
        "local": address(&connection.local),
        "listener": connection.listener,
        "conn": connection.id,
        "tls": tls(connection.tls.as_ref()),
    });
    let kind: [(&[u8], &[u8]); 1] = [(b"content-type", b"application/json")];
    io.request.respond(200, kind, Body::Owned(facts.to_string().into()))
}

fn fields<'a>(fields: impl Iterator<Item = (&'a [u8], &'a [u8])>) -> Vec<Value> {
    fields.map(|(name, value)| json!([latin1(name), latin1(value)])).collect()
}

fn hex(sum: Context) -> String {
    sum.finish().as_ref().iter().map(|octet| format!("{octet:02x}")).collect()
}

/// The answer begins with the first content, not before: until then a 408 or 413 can still be sent.
pub(crate) async fn echo(io: Io) -> Done {
    let begin = || io.request.begin(200, OCTETS, io.request.exchange().head().content_length());
    let mut begun = false;
    while let Some(content) = io.read().await? {
        if !std::mem::replace(&mut begun, true) {
            begin()?;
        }
        io.write(&content).await?;
    }
    if !begun {
        begin()?;
    }
    io.request.finish([])
}

pub(crate) async fn sink(io: Io) -> Done {
    let mut length = 0;
    while let Some(content) = io.read().await? {
        length += content.len();
    }
    io.request.respond(200, TEXT, Body::Owned(length.to_string().into()))
}

pub(crate) async fn unread(io: Io, time: Duration) -> Done {
    io.sleep(time).await;
    sink(io).await
}

pub(crate) async fn bytes(io: Io, length: u64) -> Done {
    io.request.begin(200, OCTETS, Some(length))?;
    let mut left = length;
    while left > 0 {
        let block = &BLOCK[..left.min(BLOCK.len() as u64) as usize];
        io.write(block).await?;
        left -= block.len() as u64;
    }
    io.request.finish([])
}

pub(crate) async fn wait(io: Io, time: Duration) -> Done {
    io.sleep(time).await;
    io.request.respond(200, TEXT, Body::Copied(HELLO))
}

/// Cancellation is the only event, and the flow ends with it; the request must be held until then.
pub(crate) async fn hang(io: Io) -> Done {
    let _held = io;
    std::future::pending().await
}

pub(crate) async fn trailers(io: Io) -> Done {
    let head = io.request.exchange().head();
    // RFC 9110 §6.5.1: over HTTP/1.1 only to who says that trailers are not lost on the way.
    let takes = match head.version() {
        Version::Http10 => false,
        Version::Http11 => head.te_trailers(),
        Version::Http2 => true,
    };
    let announcement: [(&[u8], &[u8]); 1] = [(b"trailer", b"x-sum")];
    io.request.begin(200, TEXT.into_iter().chain(announcement.into_iter().filter(|_| takes)), None)?;
    io.write(HELLO).await?;
    let mut sum = Context::new(&SHA256);
    sum.update(HELLO);
    let sum = hex(sum);
    let trailer: [(&[u8], &[u8]); 1] = [(b"x-sum", sum.as_bytes())];
    io.request.finish(trailer.into_iter().filter(|_| takes))
}

/// One event at a time: the next is due only when the last was taken, so a slow reader holds nothing but its own connection.
pub(crate) async fn sse(io: Io, pause: Duration) -> Done {
    let fields: [(&[u8], &[u8]); 2] =
        [(b"content-type", b"text/event-stream"), (b"cache-control", b"no-cache")];
    io.request.begin(200, fields, None)?;
    for number in 1_u64.. {
        io.sleep(pause).await;
        io.write(format!("data: {number}\n\n").as_bytes()).await?;
    }
    Ok(())
}
