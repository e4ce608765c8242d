//! A server process under measurement: started on its own core, asked for its CPU time and memory,
//! stopped by its process id.
//!
//! Any program that prints `listening https://ADDRESS` and then `ready` can stand here. What is sent to it
//! is the business of `client.rs`.

use std::fs;
use std::io::{self, BufRead, BufReader};
use std::net::SocketAddr;
use std::process::{Child, ChildStdout, Command, Stdio};
use std::sync::mpsc::{self, Receiver};
use std::thread;
use std::time::Duration;

use rustix::process::{
    Pid, Resource, Rlimit, Signal, getrlimit, kill_process, setpriority_process, setrlimit,
};
use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};

/// Start-up under an instruction-counting emulator takes seconds: the first random number alone is 25 ms
/// of CPU time outside of it, and the emulator is fifty times slower.
const START_LIMIT: Duration = Duration::from_secs(120);

/// How long a drain may take before the process is killed; a server without connections needs none of it.
const STOP_LIMIT: Duration = Duration::from_secs(60);

/// The first and the last core this process may use: one for the server, one for the load; and one between them, if there is one,
/// for attackers.
#[derive(Clone, Copy, Debug)]
pub struct Cores {
    /// Where servers run.
    pub server: usize,
    /// Where the load generator runs. The same core if there is only one.
    pub client: usize,
    /// Where attackers run. The client's if there are only two.
    pub attacker: usize,
}

impl Cores {
    /// Chooses the cores and moves the calling thread to the client's.
    pub fn split() -> io::Result<Cores> {
        let allowed = sched_getaffinity(None)?;
        let mut usable = (0..CpuSet::MAX_CPU).filter(|&core| allowed.is_set(core));
        let server = usable.next().ok_or_else(|| io::Error::other("no core to run on"))?;
        let client = usable.next_back().unwrap_or(server);
        let cores = Cores { server, client, attacker: usable.next_back().unwrap_or(client) };
        pin(cores.client)?;
        Ok(cores)
    }

    /// Moves the calling thread to the attackers' core, and to the lowest priority if others need that core.
    pub fn become_attacker(self) -> io::Result<()> {
        if self.attacker == self.client {
            // Of the calling thread alone: on Linux a thread has a priority of its own.
            setpriority_process(None, 19)?;
        }
        pin(self.attacker)
    }
}

fn pin(core: usize) -> io::Result<()> {
    let mut set = CpuSet::new();
    set.set(core);
    Ok(sched_setaffinity(None, &set)?)
}

/// Lets this process, and servers started from now on, open as many descriptors as the system grants.
/// Returns that number.
pub fn raise_descriptor_limit() -> io::Result<u64> {
    let limit = getrlimit(Resource::Nofile);
    setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, maximum: limit.maximum })?;
    Ok(limit.maximum.unwrap_or(u64::MAX))
}

/// A running server, killed when dropped.
#[derive(Debug)]
pub struct Server {
    child: Child,
    closed: Receiver<()>,
    /// Where it listens.
    pub address: SocketAddr,
    /// Where it listens without TLS, if it does.
    pub cleartext: Option<SocketAddr>,
}

impl Server {
    /// Runs `command` on the server's core and waits until it says `ready`.
    pub fn start(command: &[String], cores: Cores) -> io::Result<Server> {
        let (program, arguments) =
            command.split_first().ok_or_else(|| io::Error::other("an empty server command"))?;
        // A child inherits the mask of the thread that starts it, so no code has to run between fork and exec.
        pin(cores.server)?;
        let spawned =
            Command::new(program).args(arguments).stdin(Stdio::null()).stdout(Stdio::piped()).spawn();
        pin(cores.client)?;
        let mut child = spawned.map_err(|e| io::Error::new(e.kind(), format!("{program}: {e}")))?;
        let stdout = child.stdout.take().ok_or_else(|| io::Error::other("no pipe to the server"))?;

        let (ready, readiness) = mpsc::channel();
        let (close, closed) = mpsc::channel();
        thread::spawn(move || {
            let mut stdout = BufReader::new(stdout);
            // The receivers are gone once nobody waits any more; then there is nobody to tell.
            let _ = ready.send(read_addresses(&mut stdout));
            let _ = io::copy(&mut stdout, &mut io::sink());
            let _ = close.send(());
        });
        let mut server =
            Server { child, closed, address: SocketAddr::from(([127, 0, 0, 1], 0)), cleartext: None };
        (server.address, server.cleartext) =
            readiness
                .recv_timeout(START_LIMIT)
                .map_err(io::Error::other)?
                .map_err(|e| io::Error::new(e.kind(), format!("{program}: {e}")))?;
        Ok(server)
    }

    /// CPU time of the server and its descendants so far, in nanoseconds.
    ///
    /// The kernel books a thread's time when it leaves the core, so this is exact while the server sleeps and
    /// up to a scheduler tick behind while it runs. Threads that have ended are not in it.
    pub fn cpu_nanos(&self) -> io::Result<u64> {
        let mut total = 0;
        for pid in tree(self.child.id())? {
            for task in fs::read_dir(format!("/proc/{pid}/task"))? {
                let text = fs::read_to_string(task?.path().join("schedstat"))?;
                total += first_number(&text)?;
            }
        }
        Ok(total)
    }

    /// How often a thread of the server has left its core so far, for want of work or for another.
    pub fn switches(&self) -> io::Result<u64> {
        let mut total = 0;
        for pid in tree(self.child.id())? {
            for task in fs::read_dir(format!("/proc/{pid}/task"))? {
                let text = fs::read_to_string(task?.path().join("status"))?;
                for line in text.lines() {
                    if let Some((_, count)) = line.split_once("voluntary_ctxt_switches:") {
                        total += first_number(count)?;
                    }
                }
            }
        }
        Ok(total)
    }

    /// Resident memory of the server and its descendants, in octets.
    ///
    /// From `smaps_rollup`, which walks the page tables: `VmRSS` is a per-core counter that may be off by
    /// 64 pages a core.
    pub fn resident(&self) -> io::Result<u64> {
        let mut total = 0;
        for pid in tree(self.child.id())? {
            let text = fs::read_to_string(format!("/proc/{pid}/smaps_rollup"))?;
            let line = text.lines().find_map(|line| line.strip_prefix("Rss:"));
            total += first_number(line.unwrap_or_default())? * 1024;
        }
        Ok(total)
    }

    /// Asks the server to drain and waits until it, and whoever traces it, has ended.
    pub fn stop(mut self) -> io::Result<()> {
        signal(self.child.id(), Signal::TERM);
        let drained = self.closed.recv_timeout(STOP_LIMIT).is_ok();
        if !drained {
            return Err(io::Error::new(io::ErrorKind::TimedOut, "the server does not stop"));
        }
        let status = self.child.wait()?;
        if !status.success() {
            return Err(io::Error::other(format!("the server ended with {status}")));
        }
        Ok(())
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if !matches!(self.child.try_wait(), Ok(None)) {
            return;
        }
        for pid in tree(self.child.id()).unwrap_or_default() {
            signal(pid, Signal::KILL);
        }
        let _ = self.child.wait();
    }
}

/// Reads up to `ready` and returns the first TLS address announced, and the first without.
fn read_addresses(stdout: &mut BufReader<ChildStdout>) -> io::Result<(SocketAddr, Option<SocketAddr>)> {
    let (mut address, mut cleartext) = (None, None);
    for line in stdout.lines() {
        let line = line?;
        if line == "ready" {
            let address = address.ok_or_else(|| io::Error::other("ready without an https listener"))?;
            return Ok((address, cleartext));
        }
        let parse = |text: &str| text.parse().map_err(io::Error::other);
        if let Some(text) = line.strip_prefix("listening https://") {
            address = address.or(Some(parse(text)?));
        } else if let Some(text) = line.strip_prefix("listening http://") {
            cleartext = cleartext.or(Some(parse(text)?));
        }
    }
    Err(io::Error::new(io::ErrorKind::UnexpectedEof, "ended before it was ready"))
}

/// The process and all its descendants: a launcher script may stand in front of the server.
fn tree(root: u32) -> io::Result<Vec<u32>> {
    let mut found = vec![root];
    let mut next = 0;
    while let Some(pid) = found.get(next) {
        for task in fs::read_dir(format!("/proc/{pid}/task"))? {
            let children = fs::read_to_string(task?.path().join("children"))?;
            found.extend(children.split_whitespace().filter_map(|pid| pid.parse::<u32>().ok()));
        }
        next += 1;
    }
    Ok(found)
}

fn signal(pid: u32, signal: Signal) {
    if let Some(pid) = i32::try_from(pid).ok().and_then(Pid::from_raw) {
        // The process may have ended by itself, which is what the signal is for.
        let _ = kill_process(pid, signal);
    }
}

fn first_number(text: &str) -> io::Result<u64> {
    text.split_whitespace()
        .next()
        .and_then(|word| word.parse().ok())
        .ok_or_else(|| io::Error::other(format!("no number in {text:?}")))
}
