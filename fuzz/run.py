"""Builds the targets, writes their seeds, and runs them: briefly (`bounded`), for long (`long`), or once over all that was found to
see which lines that reaches (`coverage`). All that it makes lies under target/; what a target is for is told in docs/fuzzing.md.

The compiler is the stable one: what libFuzzer needs of it are options of LLVM. Which crates get them is decided by `rustc` here."""

import argparse
import json
import os
import re
import shutil
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import seeds

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent
OUT = ROOT / "target/fuzz"

SANCOV = " ".join(
    [
        "-Cpasses=sancov-module",
        "-Cllvm-args=-sanitizer-coverage-level=4",
        "-Cllvm-args=-sanitizer-coverage-inline-8bit-counters",
        "-Cllvm-args=-sanitizer-coverage-pc-table",
        "-Cllvm-args=-sanitizer-coverage-trace-compares",
    ]
)

# Of the lines of each file that a target aims at.
GOAL = 80.0

# Longer inputs find no more states, only more of the same, and take longer: enough to go over the caps that the targets choose
# from (1,000 octets of a head; the 4,096 of a PROXY header are the rule for those that are not named).
LONGEST = {
    "head": 1200,
    "chunked": 1200,
    "settings": 64,
    "client_hello": 2400,
    "http1": 1200,
    "http2": 1200,
    "acts": 400,
    "calls": 400,
}


@dataclass
class Target:
    name: str
    aims: tuple  # files of core/src
    seconds: int = 6  # of a bounded run


# The longest first, so that no core waits for it at the end.
TARGETS = [
    Target("calls", (), seconds=30),
    Target("head", ("http/h1/scan.rs", "http/h1/parse.rs")),
    Target("chunked", ("http/h1/chunked.rs",)),
    Target("proxy", ("proxy/header.rs",)),
    Target("settings", ("settings/text.rs",)),
    Target("client_hello", ("tls/hello.rs",)),
    Target("http1", ("http/h1.rs", "http/h1/waiting.rs", "http/h1/serving.rs")),
    Target(
        "http2",
        (
            "http/h2.rs",
            "http/h2/observer/frames.rs",
            "http/h2/observer/trailers.rs",
            "http/h2/observer/watch.rs",
            "http/h2/glitches.rs",
        ),
    ),
    Target("acts", ("http/h1/serving.rs", "http/h2/stream.rs", "http/h2/send.rs", "exchange.rs")),
]


def build(flags, release, directory):
    """Returns where the programs are."""
    environment = os.environ | {
        "RUSTC_WRAPPER": str(HERE / "rustc"),
        "FUZZ_RUSTFLAGS": flags,
        "CARGO_TARGET_DIR": str(directory),
    }
    release = ["--release"] if release else []
    # Not --locked: what core depends on may have changed since the lock file here, which binds nothing that is shipped.
    subprocess.run(["cargo", "build", "--bins", *release], cwd=HERE, env=environment, check=True)
    return directory / ("release" if release else "debug")


class Run:
    """One target under way. What breaks it goes to target/fuzz/crashes."""

    def __init__(self, programs, target, found, *limits):
        self.name = target.name
        self.crashes = OUT / "crashes" / target.name
        corpus = OUT / found / target.name
        known = [OUT / "seeds" / target.name, HERE / "regressions" / target.name]
        for directory in (self.crashes, corpus):
            directory.mkdir(parents=True, exist_ok=True)
        self.log = OUT / f"{target.name}.log"
        command = [
            programs / target.name,
            *limits,
            "-print_final_stats=1",
            "-timeout=20",
            "-rss_limit_mb=2048",
            f"-max_len={LONGEST.get(target.name, 4096)}",
            f"-artifact_prefix={self.crashes}/",
            corpus,
            *(directory for directory in known if directory.is_dir()),
        ]
        self.began = time.monotonic()
        # What our threads hold at exit is no leak.
        environment = os.environ | {"ASAN_OPTIONS": "detect_leaks=0"}
        with self.log.open("w") as log:
            self.process = subprocess.Popen(command, stdout=log, stderr=log, env=environment)

    def end(self):
        """Says what came of it; `False`: it found something."""
        status = self.process.wait()
        text = self.log.read_text(errors="replace")
        done = re.findall(r"number_of_executed_units: (\d+)", text)
        edges = re.findall(r"cov: (\d+)", text)
        took = time.monotonic() - self.began
        # A run that broke off before its summary did not end well, whatever it returned.
        good = status == 0 and bool(done)
        runs, reached = int(done[-1]) if done else 0, edges[-1] if edges else 0
        print(f"{self.name:13} {'ok' if good else 'FAILED'}: {runs} runs in {took:.0f} s, {reached} edges", flush=True)
        if not good:
            print(f"what broke it is in {self.crashes}; the end of {self.log}:\n{text[-4000:]}", file=sys.stderr)
        return good


def run_all(programs, targets, found, limit, *limits):
    """Two at a time, as there are cores that CI is promised. Inputs that reach something new are kept in `found`."""
    with ThreadPoolExecutor(2) as pool:
        runs = pool.map(lambda target: Run(programs, target, found, limit(target), *limits).end(), targets)
    return all(list(runs))


def coverage(targets):
    """Lines reached by seeds, regressions and everything found so far, of the files that each target aims at."""
    programs = build("-Cinstrument-coverage", False, OUT / "coverage")
    sysroot = subprocess.run(["rustc", "--print", "sysroot"], capture_output=True, text=True, check=True).stdout.strip()
    tools = next(Path(sysroot).glob("lib/rustlib/*/bin/llvm-cov"), None)
    if tools is None:
        sys.exit("missing here: rustup component add llvm-tools")
    good = True
    for target in (target for target in targets if target.aims):
        raw, merged = OUT / f"{target.name}.profraw", OUT / f"{target.name}.profdata"
        inputs = [OUT / kind / target.name for kind in ("seeds", "corpus")] + [HERE / "regressions" / target.name]
        files = [str(file) for directory in inputs if directory.is_dir() for file in sorted(directory.iterdir())]
        # As a list of inputs: each is run once, and none is changed.
        replay = [programs / target.name, "-timeout=60", *files]
        environment = os.environ | {"LLVM_PROFILE_FILE": str(raw)}
        subprocess.run(replay, env=environment, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        subprocess.run([tools.with_name("llvm-profdata"), "merge", raw, "-o", merged], check=True)
        aims = [ROOT / "core/src" / aim for aim in target.aims]
        export = [tools, "export", "-summary-only", f"-instr-profile={merged}", programs / target.name, *aims]
        summary = json.loads(subprocess.run(export, capture_output=True, check=True).stdout)
        reached = {file["filename"]: file["summary"]["lines"] for file in summary["data"][0]["files"]}
        for aim in aims:
            lines = reached[str(aim)]
            enough = lines["percent"] >= GOAL
            good &= enough
            share = f"{lines['covered']} of {lines['count']} lines, {lines['percent']:.1f} %"
            print(f"| `{target.name}` | `{aim.relative_to(ROOT)}` | {share} |{'' if enough else ' TOO FEW'}", flush=True)
    return good


def main():
    names = [target.name for target in TARGETS]
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("how", choices=["bounded", "long", "coverage"])
    parser.add_argument("targets", nargs="*", choices=[*names, []], help="all of them if none is named")
    parser.add_argument("--seconds", type=int, help="for each target")
    parser.add_argument("--runs", type=int, help="for each target, instead of seconds")
    # Targets may stand behind the options too.
    options = parser.parse_intermixed_args()
    targets = [target for target in TARGETS if target.name in (options.targets or names)]
    seeds.write(OUT / "seeds")

    def limit(target):
        return f"-runs={options.runs}" if options.runs else f"-max_total_time={options.seconds or target.seconds}"

    if options.how == "coverage":
        good = coverage(targets)
    elif options.how == "long":
        good = run_all(build(SANCOV, True, ROOT / "target"), targets, "corpus", limit)
    else:
        shutil.rmtree(OUT / "brief", ignore_errors=True)
        # The same seed finds the same, as far as the clock allows: a red run can be had again.
        good = run_all(build(SANCOV, False, ROOT / "target"), targets, "brief", limit, "-seed=1")
    sys.exit(not good)


if __name__ == "__main__":
    main()
