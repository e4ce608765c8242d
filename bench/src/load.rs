//! The kinds of load, each in two steps: what must not be counted (connections, tickets), then the loop.
//!
//! Every load is closed: a connection asks again when it was answered. A loop ends when its quota is spent and
//! nothing is in flight, so that the work a server did belongs to the operations that were counted.

use std::cell::Cell;
use std::io;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use rustls::crypto::SupportedKxGroup;
use tokio::task::JoinSet;

use crate::client::{Dialer, Protocol, Tickets, h1, h2};
use crate::server::Server;

/// How many handshakes run at a time while connections are opened: enough to keep the server busy.
pub const OPENING: usize = 16;

/// What clients do.
#[derive(Clone, Copy, Debug)]
pub enum Load {
    /// Keep-alive HTTP/1.1 connections, the shortest request.
    Minimal {
        /// Connections.
        connections: usize,
    },
    /// The same with ten fields.
    Browser {
        /// Connections.
        connections: usize,
    },
    /// HTTP/2.
    Streams {
        /// Connections.
        connections: usize,
        /// Requests in flight on each.
        streams: u64,
    },
    /// Connect, handshake, one request, close.
    Handshakes {
        /// Connections at a time.
        parallel: usize,
        /// Full or resumed.
        tickets: Tickets,
    },
}

/// A load ready to run.
pub enum Ready {
    /// HTTP/1.1 connections, and what they send.
    Requests(Vec<h1::Connection>, Rc<[u8]>),
    /// HTTP/2 connections, and their streams.
    Streams(Vec<h2::Connection>, u64),
    /// One dialer for each connection at a time, since a ticket serves once; and whether they must resume.
    Handshakes(Vec<Dialer>, Tickets),
}

/// How many operations may still begin.
#[derive(Debug)]
pub struct Quota(Cell<u64>);

impl Quota {
    /// As many as `left`.
    pub fn of(left: u64) -> Rc<Quota> {
        Rc::new(Quota(Cell::new(left)))
    }

    /// Takes up to `wanted`.
    pub fn take(&self, wanted: u64) -> u64 {
        let taken = wanted.min(self.0.get());
        self.0.set(self.0.get() - taken);
        taken
    }

    /// Lets operations begin for `time` from now.
    pub fn lasting(time: Duration) -> Rc<Quota> {
        let quota = Quota::of(u64::MAX);
        let shared = Rc::clone(&quota);
        tokio::task::spawn_local(async move {
            tokio::time::sleep(time).await;
            shared.0.set(0);
        });
        quota
    }
}

impl Load {
    /// Opens the connections, completes a first request on each, fetches tickets.
    pub async fn prepare(self, server: &Server, group: &'static dyn SupportedKxGroup) -> io::Result<Ready> {
        let dialer = |protocol, tickets| {
            Dialer::new(server.address, protocol, group, tickets).map_err(io::Error::other)
        };
        match self {
            Load::Minimal { connections } => {
                let dialer = dialer(Protocol::Http1, Tickets::Ignored)?;
                let request = h1::minimal_request(&dialer.authority());
                Ok(Ready::Requests(open(dialer, connections, OPENING, &request).await?, request.into()))
            }
            Load::Browser { connections } => {
                let dialer = dialer(Protocol::Http1, Tickets::Ignored)?;
                let request = h1::browser_request(&dialer.authority());
                Ok(Ready::Requests(open(dialer, connections, OPENING, &request).await?, request.into()))
            }
            Load::Streams { connections, streams } => {
                let dialer = dialer(Protocol::Http2, Tickets::Ignored)?;
                let mut opened = Vec::with_capacity(connections);
                for _ in 0..connections {
                    opened.push(h2::Connection::open(&dialer).await?);
                }
                Ok(Ready::Streams(opened, streams))
            }
            Load::Handshakes { parallel, tickets } => {
                let mut dialers = Vec::with_capacity(parallel);
                for _ in 0..parallel {
                    let dialer = dialer(Protocol::Http1, tickets)?;
                    connect_ask_close(&dialer).await?;
                    dialers.push(dialer);
                }
                Ok(Ready::Handshakes(dialers, tickets))
            }
        }
    }
}

impl Ready {
    /// Runs until the quota is spent and everything is answered; returns the number of operations.
    pub async fn run(self, quota: Rc<Quota>) -> io::Result<u64> {
        let mut tasks = JoinSet::new();
        match self {
            Ready::Requests(connections, request) => {
                for connection in connections {
                    tasks.spawn_local(ask(connection, Rc::clone(&request), Rc::clone(&quota)));
                }
            }
            Ready::Streams(connections, streams) => {
                for mut connection in connections {
                    let quota = Rc::clone(&quota);
                    tasks.spawn_local(async move { connection.drive(streams, &quota).await });
                }
            }
            Ready::Handshakes(dialers, tickets) => {
                for dialer in dialers {
                    tasks.spawn_local(shake(dialer, tickets, Rc::clone(&quota)));
                }
            }
        }
        let mut done = 0;
        while let Some(task) = tasks.join_next().await {
            done += task.map_err(io::Error::other)??;
        }
        Ok(done)
    }
}

/// Opens HTTP/1.1 connections, `parallel` at a time, and completes one request on each.
pub async fn open(
    dialer: Dialer,
    count: usize,
    parallel: usize,
    request: &[u8],
) -> io::Result<Vec<h1::Connection>> {
    let dialer = Arc::new(dialer);
    let mut opened = Vec::with_capacity(count);
    let mut tasks = JoinSet::new();
    for started in 0..count {
        if started >= parallel {
            opened.extend(joined(&mut tasks).await?);
        }
        let (dialer, request) = (Arc::clone(&dialer), request.to_vec());
        tasks.spawn_local(async move {
            let mut connection = h1::Connection::open(&dialer).await?;
            connection.exchange(&request).await?;
            io::Result::Ok(connection)
        });
    }
    while let Some(connection) = joined(&mut tasks).await? {
        opened.push(connection);
    }
    Ok(opened)
}

async fn joined<T: 'static>(tasks: &mut JoinSet<io::Result<T>>) -> io::Result<Option<T>> {
    tasks.join_next().await.transpose().map_err(io::Error::other)?.transpose()
}

async fn ask(mut connection: h1::Connection, request: Rc<[u8]>, quota: Rc<Quota>) -> io::Result<u64> {
    let mut done = 0;
    while quota.take(1) == 1 {
        connection.exchange(&request).await?;
        done += 1;
    }
    Ok(done)
}

async fn shake(dialer: Dialer, tickets: Tickets, quota: Rc<Quota>) -> io::Result<u64> {
    let mut done = 0;
    while quota.take(1) == 1 {
        let resumed = connect_ask_close(&dialer).await?;
        if resumed != (tickets == Tickets::Kept) {
            return Err(io::Error::other(format!("{tickets:?} tickets, but resumed is {resumed}")));
        }
        done += 1;
    }
    Ok(done)
}

/// A whole connection; returns whether it was resumed.
async fn connect_ask_close(dialer: &Dialer) -> io::Result<bool> {
    let mut connection = h1::Connection::open(dialer).await?;
    connection.exchange(&h1::minimal_request(&dialer.authority())).await?;
    let resumed = connection.resumed();
    connection.close().await?;
    Ok(resumed)
}
