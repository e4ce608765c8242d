//! Connections that hold a phase of a server for as long as it lets them, each opened again as soon as it is closed.
//!
//! They run on a thread of their own, so that the honest clients' latencies are not those of a busy event loop.

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};
use tokio::sync::oneshot;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, timeout};

use crate::server::{Cores, Server};

/// From one octet of a drip to the next: slower than any rate that a server may ask for.
const DRIP: Duration = Duration::from_secs(1);

/// How often a reader that reads nothing looks whether it was reset.
const LOOK: Duration = Duration::from_millis(200);

/// After a connection that the system refused.
const BREATH: Duration = Duration::from_millis(20);

/// What a connection does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Nothing, on the TLS listener.
    Silent,
    /// A header section that never ends.
    HeaderDrip,
    /// Content that never ends.
    BodyDrip,
    /// Megabytes asked for and not read, behind a small receive buffer.
    StalledReader,
}

impl Kind {
    /// All of them.
    pub const ALL: [Kind; 4] = [Kind::Silent, Kind::HeaderDrip, Kind::BodyDrip, Kind::StalledReader];

    /// For people.
    pub fn name(self) -> &'static str {
        match self {
            Kind::Silent => "silent",
            Kind::HeaderDrip => "header drip",
            Kind::BodyDrip => "body drip",
            Kind::StalledReader => "stalled reader",
        }
    }

    /// The network that its connections come from: 65,000 addresses of 28,000 ports each.
    pub fn network(self) -> Ipv4Addr {
        Ipv4Addr::new(127, 1 + self as u8, 0, 0)
    }

    fn opening(self) -> &'static [u8] {
        match self {
            Kind::Silent => b"",
            Kind::HeaderDrip => b"GET / HTTP/1.1\r\nHost: localhost\r\nX-Drip: ",
            Kind::BodyDrip => b"POST /sink HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1000000\r\n\r\n",
            Kind::StalledReader => b"GET /bytes/8388608 HTTP/1.1\r\nHost: localhost\r\n\r\n",
        }
    }
}

/// What became of the connections of one kind.
#[derive(Debug, Default)]
pub struct Tally {
    /// Connections now.
    pub live: AtomicU64,
    /// Connections so far.
    pub opened: AtomicU64,
    /// Those that the system or the server refused at once.
    pub refused: AtomicU64,
    /// The longest life of any, those of now included once the force was stopped.
    pub longest_millis: AtomicU64,
}

/// All hostile connections of a run.
pub struct Force {
    tallies: [Arc<Tally>; 4],
    stop: oneshot::Sender<()>,
    thread: JoinHandle<io::Result<()>>,
}

impl Force {
    /// Attacks with so many of each kind of [`Kind::ALL`].
    pub fn start(server: &Server, counts: [usize; 4], cores: Cores) -> Force {
        let tallies: [Arc<Tally>; 4] = Default::default();
        let (stop, stopped) = oneshot::channel();
        let (secure, cleartext) = (server.address, server.cleartext.unwrap_or(server.address));
        let shared = tallies.clone();
        let thread = thread::spawn(move || {
            cores.become_attacker()?;
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
            tokio::task::LocalSet::new().block_on(&runtime, async {
                let mut tasks = JoinSet::new();
                for (kind, count) in Kind::ALL.into_iter().zip(counts) {
                    let address = if kind == Kind::Silent { secure } else { cleartext };
                    for number in 0..count {
                        let tally = Arc::clone(&shared[kind as usize]);
                        tasks.spawn_local(hold(kind, number as u32, address, tally));
                    }
                }
                // Told, or nobody is there any more to tell.
                let _ = stopped.await;
                tasks.shutdown().await;
            });
            Ok(())
        });
        Force { tallies, stop, thread }
    }

    /// What became of one kind.
    pub fn tally(&self, kind: Kind) -> &Tally {
        &self.tallies[kind as usize]
    }

    /// Ends all connections, and returns what became of them.
    pub fn stop(self) -> io::Result<[Arc<Tally>; 4]> {
        // It waits for this, or has failed, which it says below.
        let _ = self.stop.send(());
        self.thread.join().map_err(|_| io::Error::other("the attackers panicked"))??;
        Ok(self.tallies)
    }
}

/// One place of the attack: a connection, and the next when it is closed.
async fn hold(kind: Kind, number: u32, address: SocketAddr, tally: Arc<Tally>) {
    // Not all in one instant, and not all drips in step.
    sleep(Duration::from_micros(u64::from(number) * 200)).await;
    for turn in 0.. {
        // A few addresses for each place, so that a port that still waits for stray segments is not needed again at once.
        let source = Ipv4Addr::from_bits(kind.network().to_bits() + 1 + (number * 4 + turn % 4) % 60_000);
        match connect(kind, source, address).await {
            Ok(stream) => Life::of(&tally).live(kind, stream).await,
            Err(_) => {
                tally.refused.fetch_add(1, Relaxed);
                sleep(BREATH).await;
            }
        }
    }
}

async fn connect(kind: Kind, source: Ipv4Addr, address: SocketAddr) -> io::Result<TcpStream> {
    let socket = TcpSocket::new_v4()?;
    if kind == Kind::StalledReader {
        socket.set_recv_buffer_size(4096)?;
    }
    socket.bind(SocketAddr::from((source, 0)))?;
    let stream = socket.connect(address).await?;
    stream.set_nodelay(true)?;
    Ok(stream)
}

/// One connection's life, booked when it ends, however it does.
struct Life<'t> {
    tally: &'t Tally,
    began: Instant,
}

impl<'t> Life<'t> {
    fn of(tally: &'t Tally) -> Life<'t> {
        tally.opened.fetch_add(1, Relaxed);
        tally.live.fetch_add(1, Relaxed);
        Life { tally, began: Instant::now() }
    }

    /// Until the server closes it.
    async fn live(self, kind: Kind, mut stream: TcpStream) {
        if stream.write_all(kind.opening()).await.is_err() {
            return;
        }
        let mut octets = [0; 512];
        match kind {
            Kind::Silent => while stream.read(&mut octets).await.is_ok_and(|count| count > 0) {},
            Kind::HeaderDrip | Kind::BodyDrip => loop {
                match timeout(DRIP, stream.read(&mut octets)).await {
                    Err(_) if stream.write_all(b"x").await.is_ok() => {}
                    Ok(Ok(count)) if count > 0 => {}
                    _ => break,
                }
            },
            Kind::StalledReader => {
                while matches!(stream.take_error(), Ok(None)) {
                    sleep(LOOK).await;
                }
            }
        }
    }
}

impl Drop for Life<'_> {
    fn drop(&mut self) {
        self.tally.live.fetch_sub(1, Relaxed);
        self.tally.longest_millis.fetch_max(self.began.elapsed().as_millis() as u64, Relaxed);
    }
}
