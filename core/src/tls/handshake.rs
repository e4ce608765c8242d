//! From the first octet to Finished, under one clock: the ClientHello is read and judged before rustls has a connection for it,
//! so that its size, its deadline and its refusals are ours. What a hello may say is `hello.rs`; who answers to it `config.rs`.

use std::future::poll_fn;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use rustls::ServerConfig;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::session::Session;
use super::{Entrance, HelloProgress, HelloReader, TlsConfig, TlsInfo, reason_of};
use crate::connection::{Connection, Held, reason_of_io};
use crate::counters::{HANDSHAKES_FAILED, Handshake};
use crate::deadline::{Moment, micros};
use crate::phase::Phase;
use crate::reason::Reason;
use crate::transport::{Metered, Transport, Wire};

/// Why there is no TLS connection, with the socket if it can still say something.
pub(crate) enum Failed<T: Transport> {
    /// Close; an alert is on its way where TLS allows.
    Close(Metered<T>, Reason),
    /// Plain HTTP, none of it used up: may be answered in the clear before the close.
    Plaintext(Metered<T>),
    /// The socket is gone.
    Gone(Reason),
}

/// Performs the handshake of a connection that was accepted at `since`.
pub(crate) async fn perform<T: Transport>(
    connection: &mut Connection,
    mut socket: Metered<T>,
    config: Arc<TlsConfig>,
    since: Moment,
) -> Result<Wire<T>, Failed<T>> {
    let outcome = match read_hello(connection, &mut socket, &config, since).await {
        Ok(greeting) => finish(connection, socket, greeting, since).await,
        Err(Some(reason)) => Err(Failed::Close(socket, reason)),
        Err(None) => Err(Failed::Plaintext(socket)),
    };
    let now = connection.now();
    match &outcome {
        Ok((_, info)) => {
            let handshake = Handshake {
                listener: connection.listener.index,
                version: info.version_name,
                group: info.group_name,
                resumed: info.resumed,
            };
            let took = std::time::Duration::from_micros(now.saturating_sub(since));
            connection.reactor.tally.handshake_completed(handshake, took);
            connection.secured(info.clone());
        }
        Err(_) => {
            connection.reactor.tally.write(connection.listener.index, |cells| cells.inc(HANDSHAKES_FAILED, 0))
        }
    }
    connection.pending = None;
    outcome.map(|(session, _)| Wire::Tls(session))
}

/// A ClientHello that was let in.
struct Greeting {
    octets: Vec<u8>,
    server_name: Option<Box<str>>,
    config: Arc<ServerConfig>,
}

/// `Err(None)`: the peer speaks plain HTTP.
async fn read_hello<T: Transport>(
    connection: &mut Connection,
    socket: &mut Metered<T>,
    config: &Arc<TlsConfig>,
    since: Moment,
) -> Result<Greeting, Option<Reason>> {
    let settings = connection.settings.clone();
    connection.enter(Phase::Hello, connection.now());
    let due = since + micros(settings.client_hello_timeout);
    // Waits unread: what is over the rate costs neither memory nor computation.
    poll_fn(|cx| {
        if connection.listener.handshake_allowed() {
            return Poll::Ready(Ok(()));
        }
        match connection.struck(cx, due, Reason::TlsRateLimit) {
            Some(reason) => Poll::Ready(Err(Some(reason))),
            None => {
                connection.wake_at(connection.latest() + 1, cx);
                Poll::Pending
            }
        }
    })
    .await?;
    let mut reader = HelloReader::new(settings.max_client_hello_bytes);
    let mut chunk = [0; 2048];
    loop {
        let progress = poll_fn(|cx| {
            if let Some(reason) = connection.struck(cx, due, Reason::TlsHelloTimeout) {
                return Poll::Ready(Err(Some(reason)));
            }
            let mut buffer = ReadBuf::new(&mut chunk);
            match ready!(Pin::new(&mut *socket).poll_read(cx, &mut buffer)) {
                Ok(()) if buffer.filled().is_empty() => Poll::Ready(Err(Some(Reason::PeerClosed))),
                Ok(()) => Poll::Ready(Ok(reader.feed(buffer.filled()))),
                Err(error) => Poll::Ready(Err(Some(reason_of_io(&error)))),
            }
        })
        .await?;
        match progress {
            HelloProgress::NeedMore => {
                connection.holds(Held { charged: reader.heap_bytes(), other: 0 });
            }
            HelloProgress::Plaintext => {
                socket.unread(reader.into_replay());
                return Err(None);
            }
            HelloProgress::Refused(refusal) => return Err(Some(refuse(connection, socket, refusal).await)),
            HelloProgress::Complete(facts) => {
                let choice = match config.choose(&facts) {
                    Ok(choice) => choice,
                    Err(refusal) => return Err(Some(refuse(connection, socket, refusal).await)),
                };
                if let Some(pending) = &connection.pending {
                    pending.hello_complete();
                }
                if let Some(name) = &facts.server_name {
                    connection.apply_server_name(name);
                }
                connection.entrance = Entrance::of(config, &choice);
                return Ok(Greeting {
                    octets: reader.into_replay(),
                    server_name: facts.server_name,
                    config: choice.config,
                });
            }
        }
    }
}

async fn refuse<T: Transport>(
    connection: &Connection,
    socket: &mut Metered<T>,
    refusal: super::Refusal,
) -> Reason {
    if let Some(alert) = refusal.alert {
        // Seven octets into an empty socket: taken at once, or the peer does not deserve to know.
        poll_fn(|cx| Poll::Ready(Pin::new(&mut *socket).poll_write(cx, &alert).is_ready())).await;
    }
    connection.limit(refusal.reason);
    refusal.reason
}

async fn finish<T: Transport>(
    connection: &mut Connection,
    socket: Metered<T>,
    greeting: Greeting,
    since: Moment,
) -> Result<(Box<Session<T>>, TlsInfo), Failed<T>> {
    connection.enter(Phase::Handshake, connection.now());
    connection.holds(Held::default());
    let due = since + micros(connection.settings.handshake_timeout);
    let (scratch, most) = (connection.reactor.ciphertext.clone(), connection.tls_backlog());
    // A failed session has sent its alert, and ends the socket as it is dropped.
    let mut session = match Session::new(socket, greeting.config, greeting.octets, scratch, most) {
        Ok(session) => Box::new(session),
        Err(error) => return Err(Failed::Gone(reason_of(&error))),
    };
    let ended = poll_fn(|cx: &mut Context<'_>| {
        if let Some(reason) = connection.struck(cx, due, Reason::TlsTimeout) {
            return Poll::Ready(Err(reason));
        }
        session.poll_handshake(cx).map_err(|error| match reason_of_io(&error) {
            // There is no message yet that an end could cut.
            Reason::TlsShutdown => Reason::PeerClosed,
            reason => reason,
        })
    })
    .await;
    match ended {
        Ok(()) => match TlsInfo::of(session.state(), greeting.server_name) {
            Some(info) => Ok((session, info)),
            None => Err(Failed::Gone(Reason::Internal)),
        },
        Err(reason) => Err(Failed::Gone(reason)),
    }
}
