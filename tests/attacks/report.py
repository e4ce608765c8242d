"""The table of a run: for people at a terminal, and as the Markdown of `docs/attacks.md`."""

HEAD = """\
# The attacks

Made by `make attacks-table`: the suite `tests/attacks` plays each attack over real sockets against a probe server with short
deadlines, and asserts how every hostile peer ends, for which reason, that honest clients are served meanwhile and that memory
stays bounded. `--target HOST:PORT` plays the same attacks against any other server and prints this table without asserting.

*held*: hostile sockets that lived at once, of those that were opened. *ends*: what the peers saw, by the number of peers.
*honest*: median of whole exchanges on fresh TLS connections, before the attack and during it, in milliseconds, on a shared machine
with two cores that attacked six servers at a time. *RSS*: growth of the server's peak in MiB. With several figures: {servers}.

| # | attack | known as | held | ends | honest | RSS |
|---|---|---|---|---|---|---|
"""


def by_row(rows):
    table = {}
    for row in rows:
        table.setdefault((row["row"], row["title"]), {})[row["server"]] = row
    return sorted(table.items())


def ends(row):
    text = "; ".join(f"{told} ({count})" if count > 1 else told for told, count in row["endings"][:8])
    return text + (f" [{row['error']}]" if row["error"] else "")


def millis(seconds):
    return "none" if seconds is None else f"{1000 * seconds:.0f}"


def honest(row):
    failed = f", {row['failed']} of {row['served'] + row['failed']} failed" if row["failed"] else ""
    return f"{millis(row['before'])} to {millis(row['during'])}{failed}"


def grown(row):
    return "" if row["grown"] is None else f"{row['grown']:.0f}"


def plain(rows):
    lines = []
    for (number, title), servers in by_row(rows):
        for name, row in sorted(servers.items()):
            held = f"{row['held']}/{row['offered']} held"
            lines.append(
                f"{number:>2} {title[:44]:<44} {name:<7} {held:<14} honest {honest(row):<14} ms  RSS +{grown(row):<3} {ends(row)}\n"
            )
    return "".join(lines)


def markdown(rows):
    names = sorted({row["server"] for row in rows})
    lines = [HEAD.format(servers=", ".join(names))]
    for (number, title), servers in by_row(rows):
        cells = [servers[name] for name in names if name in servers]
        first = cells[0]
        held = f"{min(row['held'] for row in cells)} of {first['offered']}"
        figures = "; ".join(honest(row) for row in cells)
        memory = ", ".join(grown(row) for row in cells)
        lines.append(f"| {number} | {title} | {first['ids']} | {held} | {ends(first)} | {figures} | {memory} |\n")
    return "".join(lines)
