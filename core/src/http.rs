//! HTTP: which protocol a connection speaks, and what both share. `h1` and `h2` drive connections: sockets, clocks and caps on
//! content are theirs, and `live` keeps the books of each request for both.
//!
//! The rest is sans-IO. `head` is the one request head of both protocols; `target`, `authority`, `policy` and `octets` hold the
//! rules it has passed; `fields` and `trailers` are the two field lists of a program and of a peer; `date` is the text of a field.

pub(crate) mod authority;
pub(crate) mod date;
pub(crate) mod fields;
pub(crate) mod h1;
pub(crate) mod h2;
pub(crate) mod head;
pub(crate) mod live;
pub(crate) mod octets;
pub(crate) mod policy;
pub(crate) mod target;
pub(crate) mod trailers;

use std::pin::Pin;
use std::task::Poll;

use tokio::io::AsyncWrite;

use crate::connection::{Connection, Protocol, end};
use crate::reason::Reason;
use crate::tls::handshake::Failed;
use crate::transport::{Transport, Wire};

/// Speaks HTTP on a connection that is ready for it, to its end. ALPN decides; on cleartext, HTTP/1 hands over when it meets
/// the HTTP/2 preface.
pub(crate) async fn serve<T: Transport>(connection: &mut Connection, wire: Wire<T>) -> Reason {
    let alpn = connection.info.tls.as_ref().and_then(|tls| tls.alpn);
    if alpn == Some("h2") {
        connection.speaks(Protocol::Http2);
        return Box::pin(h2::serve(connection, wire, Vec::new())).await;
    }
    match h1::serve(connection, wire).await {
        h1::Ended::Closed(wire, how, reason) => {
            end(connection, wire, how).await;
            reason
        }
        h1::Ended::Http2(wire, replay) => {
            connection.speaks(Protocol::Http2);
            Box::pin(h2::serve(connection, wire, replay)).await
        }
    }
}

/// Ends a connection whose handshake failed; plain HTTP on a TLS listener is told so in the clear.
pub(crate) async fn end_without_tls<T: Transport>(connection: &mut Connection, failed: Failed<T>) -> Reason {
    let (mut socket, reason) = match failed {
        Failed::Gone(reason) => return reason,
        Failed::Close(socket, reason) => (socket, reason),
        Failed::Plaintext(socket) => {
            connection.limit(Reason::TlsPlaintext);
            let (wire, how, reason) = Box::pin(h1::tell(connection, Wire::Plain(socket))).await;
            end(connection, wire, how).await;
            return reason;
        }
    };
    std::future::poll_fn(|cx| {
        let _ = Pin::new(&mut socket).poll_shutdown(cx);
        Poll::Ready(())
    })
    .await;
    reason
}
