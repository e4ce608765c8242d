//! Load under attack: closed-loop honest clients on keep-alive connections over TLS, alone and then beside thousands of hostile
//! connections, with every limit of the server at its default. Without a pause they take all of the server's core, so that each
//! microsecond that an attacker costs is missing in their goodput.
//!
//! On two cores honest clients and attackers share one, and what the attackers take of it is missing on the honest side: so the
//! attackers run at the lowest priority there, and requests per second of the server's own processor time are printed too.
#![forbid(unsafe_code)]

use std::cell::{Cell, RefCell};
use std::error::Error;
use std::io;
use std::process::{Command, ExitCode};
use std::rc::Rc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use bartizan_bench::client::{self, Dialer, Protocol, Tickets, h1};
use bartizan_bench::hostile::{Force, Kind};
use bartizan_bench::server::{Cores, Server, raise_descriptor_limit};
use tokio::time::{Instant, sleep, timeout};

const USAGE: &str = "\
usage: attack [options]
  --server COMMAND  a TLS and a cleartext listener (target/probes/c/probe --mode inline ...)
  --clients N       honest connections (32)
  --pause N         milliseconds from an answer to the next request (0: together they fill the server's core)
  --calm N          seconds without attack, before and behind it (10)
  --seconds N       seconds of attack that are measured (35)
  --silent N        silent connections offered (10000)
  --headers N       connections whose header section drips (2000)
  --bodies N        connections whose content drips (2000)
  --readers N       connections that read nothing (500)";

const SERVER: &str = "target/probes/c/probe --mode inline --set io_threads=1 \
                      --listen 127.0.0.1:0 --self-signed --listen 127.0.0.1:0 --plaintext";

/// What ends each kind of [`Kind::ALL`] by default, in milliseconds: `client_hello_timeout`, `header_timeout`, and twice
/// `min_rate_grace`, which strikes before `write_idle_timeout`; and what they may be late.
const DEADLINES: [u64; 4] = [5_000, 10_000, 20_000, 20_000];
const LATE: u64 = 1_000;

/// What has to hold.
const GOODPUT: f64 = 0.95;
const GROWTH: f64 = 128.0;
const KERNEL: f64 = 512.0;

/// How long attackers may take to get into position, and a request before its client counts as lost.
const POSITION: Duration = Duration::from_secs(20);
const PATIENCE: Duration = Duration::from_secs(10);

fn main() -> ExitCode {
    let result = Options::parse(std::env::args().skip(1)).and_then(|options| {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        tokio::task::LocalSet::new().block_on(&runtime, run(options))
    });
    match result {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::from(1),
        Err(error) => {
            eprintln!("attack: {error}");
            ExitCode::from(2)
        }
    }
}

struct Options {
    server: Vec<String>,
    clients: usize,
    pause: Duration,
    calm: usize,
    seconds: usize,
    counts: [usize; 4],
}

impl Options {
    fn parse(mut arguments: impl Iterator<Item = String>) -> Result<Options, Box<dyn Error>> {
        let words = |command: &str| command.split_whitespace().map(str::to_owned).collect();
        let mut options = Options {
            server: words(SERVER),
            clients: 32,
            pause: Duration::ZERO,
            calm: 10,
            seconds: 35,
            counts: [10_000, 2_000, 2_000, 500],
        };
        while let Some(option) = arguments.next() {
            let value = arguments.next().ok_or(USAGE)?;
            match option.as_str() {
                "--server" => options.server = words(&value),
                "--clients" => options.clients = value.parse()?,
                "--pause" => options.pause = Duration::from_millis(value.parse()?),
                "--calm" => options.calm = value.parse()?,
                "--seconds" => options.seconds = value.parse()?,
                "--silent" => options.counts[0] = value.parse()?,
                "--headers" => options.counts[1] = value.parse()?,
                "--bodies" => options.counts[2] = value.parse()?,
                "--readers" => options.counts[3] = value.parse()?,
                _ => return Err(USAGE.into()),
            }
        }
        Ok(options)
    }

    /// Both sides need a descriptor for each connection, and a few for themselves.
    fn scale(&mut self, descriptors: u64) {
        let wanted: usize = self.counts.iter().sum();
        let most = (descriptors as usize).saturating_sub(self.clients + 200);
        if wanted > most {
            self.counts = self.counts.map(|count| count * most / wanted);
            println!("{descriptors} descriptors: {most} hostile connections instead of {wanted}");
        }
    }
}

async fn run(mut options: Options) -> Result<bool, Box<dyn Error>> {
    let cores = Cores::split()?;
    options.scale(raise_descriptor_limit()?);
    println!("{}", options.server.join(" "));
    if cores.attacker == cores.client {
        println!("attackers share the honest clients' core, at the lowest priority");
    }
    let server = Server::start(&options.server, cores)?;
    let honest = Honest::start(&server, options.clients, options.pause).await?;
    honest.measure(2, &server).await?;
    let before = honest.measure(options.calm, &server).await?;
    let resident = server.resident()?;

    let force = Force::start(&server, options.counts, cores);
    let standing = Instant::now();
    while Kind::ALL[1..]
        .iter()
        .any(|kind| force.tally(*kind).live.load(Relaxed) < options.counts[*kind as usize] as u64 * 98 / 100)
    {
        if standing.elapsed() > POSITION {
            println!("not all attackers got into position within {} s", POSITION.as_secs());
            break;
        }
        sleep(Duration::from_millis(50)).await;
    }
    println!("in position after {:.1} s", standing.elapsed().as_secs_f64());
    let offered = force.tally(Kind::Silent).opened.load(Relaxed);
    let began = Instant::now();
    let first = honest.measure(options.seconds / 2, &server).await?;
    let kernel = kernel_kib(Kind::StalledReader)?;
    let live = Kind::ALL.map(|kind| force.tally(kind).live.load(Relaxed));
    let during = first.and(honest.measure(options.seconds - options.seconds / 2, &server).await?);
    let rate =
        (force.tally(Kind::Silent).opened.load(Relaxed) - offered) as f64 / began.elapsed().as_secs_f64();
    let tallies = force.stop()?;
    sleep(Duration::from_secs(2)).await;
    let behind = honest.measure(options.calm, &server).await?;
    let lost = honest.lost.get();
    let calm = before.and(behind);

    let mut met = true;
    let mut line = |what: &str, value: String, holds: Option<bool>| {
        met &= holds.unwrap_or(true);
        let verdict = holds.map_or("", |holds| if holds { "met" } else { "MISSED" });
        println!("{what:<44}{value:>34}  {verdict}");
    };
    let (alone, attacked) = (calm.goodput(), during.goodput());
    line("goodput, requests/s, alone to attacked", format!("{alone:.0} to {attacked:.0}"), None);
    let ratio = attacked / alone;
    line("goodput, ratio", format!("{ratio:.3}"), Some(ratio >= GOODPUT));
    let ratio = during.per_cpu() / calm.per_cpu();
    line("requests per second of server CPU, ratio", format!("{ratio:.3}"), None);
    let busy = |load: &Measured| 100.0 * load.cpu_nanos as f64 / 1e9 / load.seconds;
    line("server's core, alone to attacked", format!("{:.0} % to {:.0} %", busy(&calm), busy(&during)), None);
    let (alone, attacked) = (calm.p99(), during.p99());
    line("p99, us, alone to attacked", format!("{alone} to {attacked}"), None);
    line("p99, ratio", format!("{:.2}", f64::from(attacked) / f64::from(alone)), None);
    line("honest connections lost", lost.to_string(), Some(lost == 0));
    let growth = during.resident.saturating_sub(resident) as f64 / f64::from(1 << 20);
    line("RSS growth, MiB", format!("{growth:.1}"), Some(growth <= GROWTH));
    line("silent connections offered each second", format!("{rate:.0}"), None);
    let spent = during.cpu_nanos as f64 - during.micros.len() as f64 / calm.per_cpu();
    let each = spent / 1e3 / (rate * during.seconds);
    line("server CPU for each of them, us, at most", format!("{each:.1}"), None);
    for (kind, tally) in Kind::ALL.into_iter().zip(&tallies) {
        let (at, most) = (kind as usize, tally.longest_millis.load(Relaxed));
        let counts = format!("{} of {}", live[at], options.counts[at]);
        line(&format!("{}: standing at half time", kind.name()), counts, None);
        let life = format!("{:.1} of {:.1}", most as f64 / 1e3, (DEADLINES[at] + LATE) as f64 / 1e3);
        line(&format!("{}: longest life, s", kind.name()), life, Some(most <= DEADLINES[at] + LATE));
    }
    let (mean, largest) = kernel;
    let text = format!("{mean:.0}, at most {largest:.0}");
    line("kernel send memory of a stalled reader, KiB", text, Some(largest <= KERNEL));
    drop(honest);
    server.stop()?;
    Ok(met)
}

/// Mean and largest send memory that the kernel holds for the server's sockets of this kind, in KiB. From `ss`: what /proc tells
/// is octets, and their buffers are larger.
fn kernel_kib(kind: Kind) -> io::Result<(f64, f64)> {
    let filter = format!("{}/16", kind.network());
    let output = Command::new("ss").args(["-tmnH", "state", "established", "dst", &filter]).output()?;
    let held = send_memory(&String::from_utf8_lossy(&output.stdout));
    let mean = held.iter().sum::<f64>() / held.len().max(1) as f64;
    Ok((mean, held.iter().copied().fold(0.0, f64::max)))
}

/// The `w` of each socket's `skmem:(r0,rb4608,t0,tb2626560,f3072,w133120,o0,bl0,d0)`: octets that its send queue takes, in KiB.
fn send_memory(text: &str) -> Vec<f64> {
    text.split("skmem:(")
        .skip(1)
        .filter_map(|rest| rest.split([',', ')']).find_map(|word| word.strip_prefix('w')))
        .filter_map(|octets| octets.parse::<f64>().ok())
        .map(|octets| octets / 1024.0)
        .collect()
}

/// Clients that ask again when they are answered, at once or after a pause.
struct Honest {
    answered: Rc<RefCell<Vec<u32>>>,
    lost: Rc<Cell<u64>>,
}

/// What they saw in one stretch of time.
struct Measured {
    /// Answers of each second.
    slices: Vec<f64>,
    micros: Vec<u32>,
    seconds: f64,
    cpu_nanos: u64,
    /// The largest resident size of the server.
    resident: u64,
}

impl Honest {
    async fn start(server: &Server, clients: usize, pause: Duration) -> Result<Honest, Box<dyn Error>> {
        let group = client::group("x25519").ok_or("no x25519 in this build")?;
        let dialer = Rc::new(Dialer::new(server.address, Protocol::Http1, group, Tickets::Ignored)?);
        let request: Rc<[u8]> = h1::minimal_request(&dialer.authority()).into();
        let honest = Honest { answered: Rc::default(), lost: Rc::default() };
        for _ in 0..clients {
            let mut connection = h1::Connection::open(&dialer).await?;
            let (dialer, request) = (Rc::clone(&dialer), Rc::clone(&request));
            let (answered, lost) = (Rc::clone(&honest.answered), Rc::clone(&honest.lost));
            tokio::task::spawn_local(async move {
                loop {
                    let began = Instant::now();
                    match timeout(PATIENCE, connection.exchange(&request)).await {
                        Ok(Ok(())) => {
                            answered.borrow_mut().push(began.elapsed().as_micros() as u32);
                            if !pause.is_zero() {
                                sleep(pause).await;
                            }
                        }
                        _ => {
                            lost.set(lost.get() + 1);
                            // A client that cannot come back either is seen in the goodput.
                            match timeout(PATIENCE, h1::Connection::open(&dialer)).await {
                                Ok(Ok(fresh)) => connection = fresh,
                                _ => sleep(Duration::from_millis(100)).await,
                            }
                        }
                    }
                }
            });
        }
        Ok(honest)
    }

    async fn measure(&self, seconds: usize, server: &Server) -> io::Result<Measured> {
        self.answered.borrow_mut().clear();
        let mut measured =
            Measured { slices: Vec::new(), micros: Vec::new(), seconds: 0.0, cpu_nanos: 0, resident: 0 };
        let before = server.cpu_nanos()?;
        for _ in 0..seconds {
            let began = Instant::now();
            sleep(Duration::from_secs(1)).await;
            let micros = self.answered.take();
            let took = began.elapsed().as_secs_f64();
            measured.slices.push(micros.len() as f64 / took);
            measured.seconds += took;
            measured.micros.extend(micros);
            measured.resident = measured.resident.max(server.resident()?);
        }
        measured.cpu_nanos = server.cpu_nanos()? - before;
        Ok(measured)
    }
}

impl Measured {
    fn and(mut self, other: Measured) -> Measured {
        self.slices.extend(other.slices);
        self.micros.extend(other.micros);
        self.seconds += other.seconds;
        self.cpu_nanos += other.cpu_nanos;
        self.resident = self.resident.max(other.resident);
        self
    }

    /// Requests per second: the median of the seconds.
    fn goodput(&self) -> f64 {
        let mut sorted = self.slices.clone();
        sorted.sort_by(f64::total_cmp);
        sorted.get(sorted.len() / 2).copied().unwrap_or(0.0)
    }

    fn per_cpu(&self) -> f64 {
        self.micros.len() as f64 / self.cpu_nanos as f64
    }

    fn p99(&self) -> u32 {
        let mut sorted = self.micros.clone();
        sorted.sort_unstable();
        sorted.get(sorted.len() * 99 / 100).copied().unwrap_or(0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn send_memory_is_read_for_each_socket() {
        let text = "0 9 127.0.0.1:1 127.4.0.1:2\n\t skmem:(r0,rb4608,t0,tb26565,f30,w1024,o0,bl0,d0)\n\
                    0 0 127.0.0.1:1 127.4.0.2:2\n\t skmem:(r0,rb4608,t0,tb26565,f30,w0,o0,bl0,d0)\n";
        assert_eq!(send_memory(text), [1.0, 0.0]);
    }

    #[test]
    fn the_median_second_and_the_slowest_hundredth_are_told() {
        let micros = (1..=1000).collect();
        let measured =
            Measured { slices: vec![9.0, 1.0, 5.0], micros, seconds: 3.0, cpu_nanos: 1, resident: 0 };
        assert_eq!((measured.goodput(), measured.p99()), (5.0, 991));
    }
}
