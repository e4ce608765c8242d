//! Compares a server with the base: short slices in the order base, ours, ours, base, each of ours divided by
//! the base slices before and behind it.
//!
//! CPU time per operation is the figure to trust; the rate also feels every other tenant of the machine. Idle
//! memory is measured on fresh processes. No absolute figure here says anything about another machine.
#![forbid(unsafe_code)]

use std::error::Error;
use std::fs::File;
use std::io::{self, Write};
use std::process::ExitCode;
use std::time::Duration;

use bartizan_bench::client::{self, Dialer, Protocol, Tickets, h1};
use bartizan_bench::load::{self, Load, OPENING, Quota};
use bartizan_bench::server::{Cores, Server, raise_descriptor_limit};
use bartizan_bench::stats::{Comparison, Sample};
use rustls::crypto::SupportedKxGroup;
use tokio::time::{Instant, sleep, timeout};

const USAGE: &str = "\
usage: compare [options]
  --base COMMAND   the server to compare with (target/release/yardstick)
  --ours COMMAND   the server to measure (target/probes/c/probe --mode inline ...)
  --cases LIST     of minimal,browser,h2,full,resumed,idle (all)
  --rounds N       rounds of four slices for each case (20)
  --slice-ms N     length of a slice (500)
  --idle N         idle connections (5000)
  --group NAME     key exchange group that the client offers (x25519)
  --json FILE      one line for each slice";

const BASE: &str = "target/release/yardstick";
const OURS: &str =
    "target/probes/c/probe --mode inline --set io_threads=1 --listen 127.0.0.1:0 --self-signed";

/// The cases that run in slices.
const CASES: [(&str, Load); 5] = [
    ("minimal", Load::Minimal { connections: 64 }),
    ("browser", Load::Browser { connections: 64 }),
    ("h2", Load::Streams { connections: 16, streams: 16 }),
    ("full", Load::Handshakes { parallel: 16, tickets: Tickets::Ignored }),
    ("resumed", Load::Handshakes { parallel: 16, tickets: Tickets::Kept }),
];
const IDLE: &str = "idle";

/// Fresh processes of each server for the idle case, in the order base, ours, ours, base.
const IDLE_ROUNDS: usize = 1;

/// From the last answer until the server sleeps again, when the kernel has booked its CPU time; and from the
/// end of the last handshake until an idle connection has given up what it will give up.
const SETTLE: Duration = Duration::from_millis(5);
const IDLE_SETTLE: Duration = Duration::from_secs(2);

/// How much longer than its time a slice may take before a server counts as hung.
const PATIENCE: Duration = Duration::from_secs(60);

fn main() -> ExitCode {
    let result = Options::parse(std::env::args().skip(1)).and_then(|options| {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        tokio::task::LocalSet::new().block_on(&runtime, compare(options))
    });
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("compare: {error}");
            ExitCode::from(2)
        }
    }
}

struct Options {
    base: Vec<String>,
    ours: Vec<String>,
    cases: Vec<String>,
    rounds: usize,
    slice: Duration,
    idle: usize,
    group: &'static dyn SupportedKxGroup,
    json: Option<File>,
}

impl Options {
    fn parse(mut arguments: impl Iterator<Item = String>) -> Result<Options, Box<dyn Error>> {
        let mut options = Options {
            base: words(BASE),
            ours: words(OURS),
            cases: CASES.iter().map(|(name, _)| *name).chain([IDLE]).map(str::to_owned).collect(),
            rounds: 20,
            slice: Duration::from_millis(500),
            idle: 5000,
            group: client::group("x25519").ok_or("no x25519 in this build")?,
            json: None,
        };
        while let Some(option) = arguments.next() {
            let value = arguments.next().ok_or(USAGE)?;
            match option.as_str() {
                "--base" => options.base = words(&value),
                "--ours" => options.ours = words(&value),
                "--cases" => options.cases = value.split(',').map(str::to_owned).collect(),
                "--rounds" => options.rounds = value.parse()?,
                "--slice-ms" => options.slice = Duration::from_millis(value.parse()?),
                "--idle" => options.idle = value.parse()?,
                "--group" => options.group = client::group(&value).ok_or("no such group")?,
                "--json" => options.json = Some(File::create(value)?),
                _ => return Err(USAGE.into()),
            }
        }
        if let Some(name) =
            options.cases.iter().find(|name| *name != IDLE && CASES.iter().all(|(known, _)| known != name))
        {
            return Err(format!("no case {name}\n{USAGE}").into());
        }
        Ok(options)
    }
}

fn words(command: &str) -> Vec<String> {
    command.split_whitespace().map(str::to_owned).collect()
}

async fn compare(mut options: Options) -> Result<(), Box<dyn Error>> {
    let cores = Cores::split()?;
    let descriptors = raise_descriptor_limit()?;
    // Each connection needs one descriptor on each side, and a few are taken already.
    options.idle = options.idle.min(usize::try_from(descriptors)?.saturating_sub(200));
    println!("base: {}\nours: {}", options.base.join(" "), options.ours.join(" "));
    if cores.server == cores.client {
        println!("one core for both sides: the rates mean little");
    }
    heading();

    let base = Server::start(&options.base, cores)?;
    let ours = Server::start(&options.ours, cores)?;
    for (name, load) in CASES.iter().filter(|(name, _)| options.cases.iter().any(|case| case == name)) {
        let mut slices = Vec::new();
        for _ in 0..options.rounds {
            for (is_base, server) in [(true, &base), (false, &ours), (false, &ours), (true, &base)] {
                let slice = slice(server, is_base, *load, &options)
                    .await
                    .map_err(|error| format!("{name}, {}: {error}", if is_base { "base" } else { "ours" }))?;
                slice.record(name, options.json.as_mut())?;
                slices.push(slice);
            }
        }
        let samples = |value: fn(&Slice) -> f64| -> Vec<Sample> {
            slices.iter().map(|slice| Sample { base: slice.base, value: value(slice) }).collect()
        };
        print(name, "CPU us/op", &samples(Slice::cpu_micros));
        print(name, "op/s", &samples(Slice::rate));
        print(name, "switch/op", &samples(Slice::switches));
    }
    base.stop()?;
    ours.stop()?;

    if options.cases.iter().any(|case| case == IDLE) {
        let mut samples = Vec::new();
        for _ in 0..IDLE_ROUNDS {
            for (base, command) in
                [(true, &options.base), (false, &options.ours), (false, &options.ours), (true, &options.base)]
            {
                let value = idle(command, cores, &options).await?;
                samples.push(Sample { base, value });
            }
        }
        print(IDLE, "KiB/conn", &samples);
    }
    Ok(())
}

/// What one slice did.
struct Slice {
    base: bool,
    operations: u64,
    seconds: f64,
    cpu_nanos: u64,
    switches: u64,
}

impl Slice {
    fn cpu_micros(&self) -> f64 {
        self.cpu_nanos as f64 / 1e3 / self.operations as f64
    }

    fn rate(&self) -> f64 {
        self.operations as f64 / self.seconds
    }

    fn switches(&self) -> f64 {
        self.switches as f64 / self.operations as f64
    }

    fn record(&self, case: &str, file: Option<&mut File>) -> io::Result<()> {
        let Some(file) = file else { return Ok(()) };
        let Slice { base, operations, seconds, cpu_nanos, switches } = self;
        writeln!(
            file,
            r#"{{"case":"{case}","base":{base},"operations":{operations},"seconds":{seconds:.6},"cpu_nanos":{cpu_nanos},"switches":{switches}}}"#
        )
    }
}

async fn slice(server: &Server, base: bool, load: Load, options: &Options) -> io::Result<Slice> {
    timeout(options.slice + PATIENCE, async {
        let ready = load.prepare(server, options.group).await?;
        sleep(SETTLE).await;
        let (before, switched) = (server.cpu_nanos()?, server.switches()?);
        let started = Instant::now();
        let operations = ready.run(Quota::lasting(options.slice)).await?;
        let seconds = started.elapsed().as_secs_f64();
        sleep(SETTLE).await;
        let (cpu_nanos, switches) = (server.cpu_nanos()? - before, server.switches()? - switched);
        Ok(Slice { base, operations, seconds, cpu_nanos, switches })
    })
    .await?
}

/// Resident KiB that each idle connection adds to a fresh server.
async fn idle(command: &[String], cores: Cores, options: &Options) -> Result<f64, Box<dyn Error>> {
    let server = Server::start(command, cores)?;
    let dialer = || Dialer::new(server.address, Protocol::Http1, options.group, Tickets::Ignored);
    let request = h1::minimal_request(&dialer()?.authority());
    // The first connection pays for what is paid for once.
    drop(load::open(dialer()?, 1, 1, &request).await?);
    sleep(IDLE_SETTLE).await;
    let before = server.resident()?;
    let held = timeout(PATIENCE, load::open(dialer()?, options.idle, OPENING, &request)).await??;
    sleep(IDLE_SETTLE).await;
    let after = server.resident()?;
    let count = held.len();
    drop(held);
    server.stop()?;
    Ok((after - before) as f64 / 1024.0 / count as f64)
}

fn heading() {
    println!(
        "\n{:<9}{:<11}{:>10}{:>10}{:>8} {:<15}{:>4}{:>8}{:>8}{:>8}  verdict",
        "case", "unit", "base", "ours", "ratio", " [quartiles]", "n", "spread", "noise", "drift"
    );
}

fn print(case: &str, unit: &str, samples: &[Sample]) {
    let Some(c) = Comparison::of(samples) else {
        println!("{case:<9}{unit:<11} too few slices");
        return;
    };
    let [low, ratio, high] = c.ratio;
    let verdict = match c.below() {
        None => "none: within the noise",
        Some(true) => "ours is lower",
        Some(false) => "ours is higher",
    };
    let quartiles = format!("[{low:.3}-{high:.3}]");
    println!(
        "{case:<9}{unit:<11}{:>10.2}{:>10.2}{ratio:>8.3}  {quartiles:<14}{:>4}{:>7.1}%{:>7.1}%{:>+7.1}%  {verdict}",
        c.base,
        c.ours,
        c.count,
        c.spread * 100.0,
        c.noise * 100.0,
        c.drift * 100.0,
    );
}
