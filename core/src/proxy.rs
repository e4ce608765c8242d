//! The PROXY protocol, versions 1 and 2: who the peer really is, told by a load balancer in front of the first octet of TLS or
//! HTTP. Believed from trusted sources alone; its clock is `proxy_header_timeout`. What comes behind the header is untouched.
//! What a header may say is `proxy/header.rs`.

pub(crate) mod header;

use std::future::poll_fn;
use std::net::IpAddr;
use std::pin::Pin;
use std::task::{Poll, ready};

use tokio::io::{AsyncRead, ReadBuf};

use crate::connection::{Connection, Held, reason_of_io};
use crate::deadline::micros;
use crate::phase::Phase;
use crate::reason::Reason;
use crate::transport::{Metered, Transport};

use header::{Invalid, Named, parse};

/// Reads the header of a connection whose listener demands one.
pub(crate) async fn receive<T: Transport>(
    connection: &mut Connection,
    socket: &mut Metered<T>,
    source: Option<IpAddr>,
) -> Result<Named, Reason> {
    connection.enter(Phase::Proxy, connection.now());
    let trusted =
        source.is_none_or(|source| connection.listener.trust_proxy.iter().any(|net| net.contains(source)));
    if !trusted {
        connection.limit(Reason::ProxyInvalid);
        return Err(Reason::ProxyInvalid);
    }
    let due = connection.now() + micros(connection.settings.proxy_header_timeout);
    let mut octets = Vec::new();
    let mut chunk = [0; 256];
    loop {
        let length = poll_fn(|cx| {
            if let Some(reason) = connection.struck(cx, due, Reason::ProxyTimeout) {
                return Poll::Ready(Err(reason));
            }
            let mut buffer = ReadBuf::new(&mut chunk);
            match ready!(Pin::new(&mut *socket).poll_read(cx, &mut buffer)) {
                Ok(()) if buffer.filled().is_empty() => Poll::Ready(Err(Reason::PeerClosed)),
                Ok(()) => Poll::Ready(Ok(buffer.filled().len())),
                Err(error) => Poll::Ready(Err(reason_of_io(&error))),
            }
        })
        .await?;
        octets.extend_from_slice(&chunk[..length]);
        connection.holds(Held { charged: octets.capacity(), other: 0 });
        match parse(&octets, connection.settings.proxy_protocol) {
            Ok(Some((named, end))) => {
                socket.unread(octets.split_off(end));
                return Ok(named);
            }
            Ok(None) => {}
            Err(Invalid) => {
                connection.limit(Reason::ProxyInvalid);
                return Err(Reason::ProxyInvalid);
            }
        }
    }
}
