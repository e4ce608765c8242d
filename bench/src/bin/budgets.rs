//! Counted budgets: system calls, allocations, instructions, wake-ups and idle heap of a server, against the
//! limits in `budgets.toml`.
//!
//! Every figure is counted under strace or valgrind, so a busy machine does not change it. Time is `compare`'s.
//! Exit status: 0 within budget, 1 exceeded, 2 could not be measured.
#![forbid(unsafe_code)]

use std::error::Error;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use bartizan_bench::client::{self, Dialer, Protocol, Tickets, h1};
use bartizan_bench::load::{self, Load, Quota};
use bartizan_bench::server::{Cores, Server};
use tokio::time::timeout;

const USAGE: &str = "\
usage: budgets [options]
  --server COMMAND  the server; {mode} in it becomes the mode (target/probes/c/probe --mode {mode} ...)
  --modes LIST      of inline,workers,queue (all)
  --budgets FILE    the limits (bench/budgets.toml)";

const SERVER: &str =
    "target/probes/c/probe --mode {mode} --set io_threads=1 --listen 127.0.0.1:0 --self-signed";

/// An emulated server is fifty times slower, and no run here takes an ordinary one more than a second.
const PATIENCE: Duration = Duration::from_secs(180);

/// Requests in flight on each HTTP/2 connection: what one write brings and one send should answer.
const BURST: u64 = 16;

/// One load under one tool, and the counts that come out of it.
struct Run {
    /// Mode and protocol: the section of the file.
    section: &'static str,
    tool: Tool,
    work: Work,
    /// Two amounts of work; their difference is what is counted.
    lengths: [u64; 2],
    /// Operations of the work that make one unit of the budget.
    unit: u64,
    counts: &'static [&'static str],
}

#[derive(Clone, Copy)]
enum Work {
    /// As many requests as the length says.
    Requests(Load),
    /// As many connections, opened one after the other and held.
    Idle,
}

#[derive(Clone, Copy)]
enum Tool {
    Strace,
    Dhat,
    Callgrind,
}

const RUNS: [Run; 9] = [
    Run {
        section: "inline.h1",
        tool: Tool::Strace,
        work: Work::Requests(Load::Minimal { connections: 16 }),
        lengths: [1_000, 9_000],
        unit: 1,
        counts: &["recv", "send", "epoll_wait"],
    },
    Run {
        section: "inline.h1",
        tool: Tool::Dhat,
        work: Work::Requests(Load::Minimal { connections: 8 }),
        lengths: [500, 2_500],
        unit: 1,
        counts: &["allocations"],
    },
    Run {
        section: "inline.h1",
        tool: Tool::Callgrind,
        work: Work::Requests(Load::Minimal { connections: 8 }),
        lengths: [1_000, 5_000],
        unit: 1,
        counts: &["instructions"],
    },
    Run {
        section: "inline.h1",
        tool: Tool::Dhat,
        work: Work::Idle,
        lengths: [64, 192],
        unit: 1,
        counts: &["idle_heap"],
    },
    Run {
        section: "inline.h2",
        tool: Tool::Strace,
        work: Work::Requests(Load::Streams { connections: 4, streams: BURST }),
        lengths: [64 * BURST, 564 * BURST],
        unit: BURST,
        counts: &["recv", "send", "epoll_wait"],
    },
    Run {
        section: "inline.h2",
        tool: Tool::Dhat,
        work: Work::Requests(Load::Streams { connections: 4, streams: BURST }),
        lengths: [500, 2_500],
        unit: 1,
        counts: &["allocations"],
    },
    Run {
        section: "inline.h2",
        tool: Tool::Callgrind,
        work: Work::Requests(Load::Streams { connections: 4, streams: BURST }),
        lengths: [1_000, 5_000],
        unit: 1,
        counts: &["instructions"],
    },
    Run {
        section: "workers.h1",
        tool: Tool::Strace,
        work: Work::Requests(Load::Minimal { connections: 64 }),
        lengths: [1_000, 9_000],
        unit: 1,
        counts: &["wakeups"],
    },
    Run {
        section: "queue.h1",
        tool: Tool::Strace,
        work: Work::Requests(Load::Minimal { connections: 64 }),
        lengths: [1_000, 9_000],
        unit: 1,
        counts: &["wakeups"],
    },
];

fn main() -> ExitCode {
    let result = Options::parse(std::env::args().skip(1)).and_then(|options| {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        tokio::task::LocalSet::new().block_on(&runtime, check(&options))
    });
    match result {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::from(1),
        Err(error) => {
            eprintln!("budgets: {error}");
            ExitCode::from(2)
        }
    }
}

struct Options {
    server: String,
    modes: Vec<String>,
    budgets: PathBuf,
}

impl Options {
    fn parse(mut arguments: impl Iterator<Item = String>) -> Result<Options, Box<dyn Error>> {
        let mut options = Options {
            server: SERVER.to_owned(),
            modes: ["inline", "workers", "queue"].map(str::to_owned).to_vec(),
            budgets: PathBuf::from("bench/budgets.toml"),
        };
        while let Some(option) = arguments.next() {
            let value = arguments.next().ok_or(USAGE)?;
            match option.as_str() {
                "--server" => options.server = value,
                "--modes" => options.modes = value.split(',').map(str::to_owned).collect(),
                "--budgets" => options.budgets = PathBuf::from(value),
                _ => return Err(USAGE.into()),
            }
        }
        if !options.server.contains("{mode}") && options.modes != ["inline"] {
            return Err("a server command without {mode} has --modes inline only".into());
        }
        Ok(options)
    }
}

/// One row of the file.
struct Budget {
    section: String,
    count: String,
    limit: f64,
}

/// Measures every row of the wanted modes; true if all are within their limits.
async fn check(options: &Options) -> Result<bool, Box<dyn Error>> {
    let cores = Cores::split()?;
    let text = fs::read_to_string(&options.budgets)
        .map_err(|error| format!("{}: {error}", options.budgets.display()))?;
    let budgets = parse_budgets(&text)?;
    let mut within = true;
    println!("{:<12}{:<14}{:>12}{:>12}", "section", "count", "measured", "budget");
    for run in &RUNS {
        let mode = run.section.split('.').next().unwrap_or_default();
        if !options.modes.iter().any(|wanted| wanted == mode) {
            continue;
        }
        let command = options.server.replace("{mode}", mode);
        let shorter = count(run, run.lengths[0], &command, cores).await?;
        let longer = count(run, run.lengths[1], &command, cores).await?;
        for name in run.counts {
            let budget = budgets
                .iter()
                .find(|budget| budget.section == run.section && budget.count == *name)
                .ok_or_else(|| format!("no limit for {name} in [{}]", run.section))?;
            let units = (run.lengths[1] - run.lengths[0]) as f64 / run.unit as f64;
            let measured = (longer.of(name)? - shorter.of(name)?) / units;
            let verdict = if measured <= budget.limit { "" } else { "  EXCEEDED" };
            println!("{:<12}{name:<14}{measured:>12.3}{:>12.3}{verdict}", run.section, budget.limit);
            within &= measured <= budget.limit;
        }
    }
    Ok(within)
}

/// Reads `[section]` and `count = limit` lines. A row that no run produces is an error: it would hold nothing.
fn parse_budgets(text: &str) -> Result<Vec<Budget>, String> {
    let mut budgets = Vec::new();
    let mut section = "";
    for line in text.lines() {
        let line = line.split('#').next().unwrap_or_default().trim();
        if line.is_empty() {
            continue;
        }
        if let Some(name) = line.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
            section = name;
            continue;
        }
        let (count, limit) = line
            .split_once('=')
            .and_then(|(count, limit)| Some((count.trim(), limit.trim().parse().ok()?)))
            .ok_or_else(|| format!("not a limit: {line}"))?;
        if !RUNS.iter().any(|run| run.section == section && run.counts.contains(&count)) {
            return Err(format!("nothing counts {count} in [{section}]"));
        }
        budgets.push(Budget { section: section.to_owned(), count: count.to_owned(), limit });
    }
    Ok(budgets)
}

/// Runs the server under the tool, does `length` of the work, and returns what the tool counted in all.
async fn count(run: &Run, length: u64, command: &str, cores: Cores) -> Result<Counts, Box<dyn Error>> {
    let report = std::env::temp_dir().join(format!("bartizan-budgets-{}", std::process::id()));
    let server = Server::start(&run.tool.command(&report, command), cores)?;
    timeout(PATIENCE, work(run.work, length, &server)).await??;
    server.stop()?;
    let text = fs::read_to_string(&report)?;
    fs::remove_file(&report)?;
    Ok(run.tool.read(&text))
}

async fn work(work: Work, length: u64, server: &Server) -> Result<(), Box<dyn Error>> {
    let group = client::group("x25519").ok_or("no x25519 in this build")?;
    match work {
        Work::Requests(load) => {
            let done = load.prepare(server, group).await?.run(Quota::of(length)).await?;
            if done != length {
                return Err(format!("{done} of {length} requests were answered").into());
            }
        }
        Work::Idle => {
            let dialer = Dialer::new(server.address, Protocol::Http1, group, Tickets::Ignored)?;
            let request = h1::minimal_request(&dialer.authority());
            // One at a time: the peak of the heap is then all idle connections and a single handshake.
            load::open(dialer, usize::try_from(length)?, 1, &request).await?;
        }
    }
    Ok(())
}

impl Tool {
    /// The server's command under the tool, which writes to `report`.
    fn command(self, report: &Path, server: &str) -> Vec<String> {
        let report = report.display();
        let tool = match self {
            // -D: the tracer is a grandchild, so that the server is still ours to signal.
            Tool::Strace => format!(
                "strace -D -f -y -s 0 -o {report} \
                 -e trace=read,readv,recvfrom,recvmsg,write,writev,sendto,sendmsg,epoll_wait,epoll_pwait,futex --"
            ),
            Tool::Dhat => {
                format!("valgrind --tool=dhat --dhat-out-file=/dev/null --log-file={report} --")
            }
            Tool::Callgrind => {
                format!("valgrind --tool=callgrind --callgrind-out-file=/dev/null --log-file={report} --")
            }
        };
        tool.split_whitespace().chain(server.split_whitespace()).map(str::to_owned).collect()
    }

    fn read(self, report: &str) -> Counts {
        match self {
            Tool::Strace => read_trace(report),
            Tool::Dhat => Counts(vec![
                ("allocations", number_before(report, "Total:", "blocks")),
                ("idle_heap", number_before(report, "At t-gmax:", "bytes")),
            ]),
            Tool::Callgrind => Counts(vec![("instructions", number_before(report, "Collected :", ""))]),
        }
    }
}

/// What a tool counted over the whole life of the process; `None` where its report has no such line.
struct Counts(Vec<(&'static str, Option<u64>)>);

impl Counts {
    fn of(&self, name: &str) -> io::Result<f64> {
        let found = self.0.iter().find(|(known, _)| *known == name).and_then(|(_, count)| *count);
        found.map(|count| count as f64).ok_or_else(|| io::Error::other(format!("the tool gave no {name}")))
    }
}

/// Counts the lines of a trace that begin a call. The second half of a call that another thread interrupted
/// begins with `<... name resumed>` and names no descriptor.
fn read_trace(report: &str) -> Counts {
    let [mut recv, mut send, mut epoll_wait, mut wakeups] = [0; 4];
    for call in report.lines().filter_map(|line| line.split_once(' ')).map(|(_, call)| call.trim_start()) {
        let Some((name, arguments)) = call.split_once('(') else { continue };
        let target = arguments.split(',').next().unwrap_or_default();
        match name {
            "read" | "readv" | "recvfrom" | "recvmsg" if target.contains("<socket:") => recv += 1,
            "write" | "writev" | "sendto" | "sendmsg" if target.contains("<socket:") => send += 1,
            "write" if target.contains("[eventfd]") => wakeups += 1,
            "epoll_wait" | "epoll_pwait" => epoll_wait += 1,
            "futex" if arguments.contains("FUTEX_WAKE") => wakeups += 1,
            _ => {}
        }
    }
    Counts(vec![
        ("recv", Some(recv)),
        ("send", Some(send)),
        ("epoll_wait", Some(epoll_wait)),
        ("wakeups", Some(wakeups)),
    ])
}

/// The number in front of `unit` behind `label`, or the first one if no unit is named: valgrind writes
/// `Total: 79,278 bytes in 239 blocks`.
fn number_before(report: &str, label: &str, unit: &str) -> Option<u64> {
    let (_, rest) = report.lines().find_map(|line| line.split_once(label))?;
    let words: Vec<&str> = rest.split_whitespace().collect();
    let place =
        if unit.is_empty() { 0 } else { words.iter().position(|word| *word == unit)?.checked_sub(1)? };
    words.get(place)?.replace(',', "").parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_committed_file_has_a_limit_for_every_count() {
        let budgets = parse_budgets(include_str!("../../budgets.toml")).unwrap();
        for run in &RUNS {
            for name in run.counts {
                assert!(
                    budgets.iter().any(|budget| budget.section == run.section && budget.count == *name),
                    "{name} in [{}]",
                    run.section
                );
            }
        }
    }

    #[test]
    fn a_limit_that_nothing_counts_is_refused() {
        assert!(parse_budgets("[inline.h1]\nrecv = 1.0 # comment\n").is_ok());
        assert!(parse_budgets("[inline.h1]\nwakeups = 1.0\n").is_err());
        assert!(parse_budgets("[inline.h1]\nrecv = many\n").is_err());
    }

    #[test]
    fn a_call_is_counted_once_and_by_its_descriptor() {
        let counts = read_trace(
            "10 recvfrom(9<socket:[7]>, \"\"..., 4096, 0, NULL, NULL) = 63\n\
             10 read(3</etc/passwd>, \"\"..., 4096) = 10\n\
             10 writev(9<socket:[7]>, [{iov_base=\"\"..., iov_len=5}], 1 <unfinished ...>\n\
             11 futex(0x7f00, FUTEX_WAKE_PRIVATE, 1) = 1\n\
             11 futex(0x7f00, FUTEX_WAIT_PRIVATE, 2, NULL) = 0\n\
             10 <... writev resumed>) = 5\n\
             10 write(4<anon_inode:[eventfd]>, \"\"..., 8) = 8\n\
             10 epoll_wait(5<anon_inode:[eventpoll]>, [], 1024, 0) = 0\n",
        );
        let found = |name: &str| counts.of(name).unwrap();
        assert_eq!(
            [found("recv"), found("send"), found("wakeups"), found("epoll_wait")],
            [1.0, 1.0, 2.0, 1.0]
        );
    }

    #[test]
    fn valgrind_reports_are_read_with_their_commas() {
        let report = "==1== Total:     79,278 bytes in 1,239 blocks\n==1== Collected : 126635\n";
        assert_eq!(number_before(report, "Total:", "blocks"), Some(1_239));
        assert_eq!(number_before(report, "Total:", "bytes"), Some(79_278));
        assert_eq!(number_before(report, "Collected :", ""), Some(126_635));
        assert_eq!(number_before(report, "At t-gmax:", "bytes"), None);
    }
}
