"""readme: the figures of README.md: which case or check each of them comes from, how they are written, and how they are
read back, so that a new run can say which of them still hold. Imported by compare."""

import re
import statistics

# (what the README calls it, case of bench/compare). The column is the server.
THROUGHPUT = [
    ("1 subscriber", "fan-1x1"),
    ("10", "fan-1x10"),
    ("100", "fan-1x100"),
    ("100, 8192 events in flight", "deep-1x100"),
    ("100, 10 publishers", "fan-10x100"),
    ("100, only 2 events in flight", "window-2"),
    ("100, only 10 in flight", "window-10"),
    ("100, 16 B", "tiny-1x100"),
    ("100, 1 KiB", "large-1x100"),
    ("1000", "fan-1x1000"),
    ("10 000", "fan-1x10000"),
    ("10 of 1000 wildcard subscribers, 100 subjects", "wildcard"),
]
# (what it is called, case, server of the column "spate"). A server other than spate has no peers in its row.
LATENCY = [
    ("1 to 1, 1000 events a second", "latency-one", "spate"),
    ("the same with `--busy-poll`", "latency-one", "spate-busy"),
    ("1 to 100, 1000 a second", "latency-1000", "spate"),
    ("1 to 100, 8000 a second", "latency-8000", "spate"),
    ("1 to 100, 40 000 a second", "latency-40000", "spate"),
]
COLUMNS = [("spate", "spate"), ("nats-server", "nats"), ("Redis", "redis")]
# (what it is called, check of bench/figures).
FIGURES = [
    ("two reactors on one core, deliveries per CPU second against one reactor, 1 to 100",
     "reactors: 1 to 100, two reactors on one core against one, deliveries a CPU second"),
    ("the same, 10 to 1000", "reactors: 10 to 1000, two reactors on one core against one, deliveries a CPU second"),
    ("an event for a subscriber on another reactor, CPU beyond the same on one",
     "crossing: one reader on another reactor, server CPU an event above the same on one"),
    ("1 of 1100 readers never reads, half of the maximum rate: rate of the publisher against a run without",
     "stall: 1 of 1100 stalled, publisher's rate, of the run without"),
    ("100 of them", "stall: 100 of 1100 stalled, publisher's rate, of the run without"),
    ("1000 of them", "stall: 1000 of 1100 stalled, publisher's rate, of the run without"),
    ("1 of 1100 never reads: p99 of the others against a run without",
     "stall: 1 of 1100 stalled, p99 of the others, of the run without"),
    ("100 of them: p99", "stall: 100 of 1100 stalled, p99 of the others, of the run without"),
    ("1000 of them: p99", "stall: 1000 of 1100 stalled, p99 of the others, of the run without"),
    ("server memory beyond `--max-lag` for each of 1000 that never read",
     "stall: 1000 of 1100 stalled, server memory above the limit of the stream, for each stalled"),
    ("kernel memory of each of them, of 2 × `--send-buffer`",
     "stall: 1000 of 1100 stalled, kernel memory of a stalled connection, of 2 x SO_SNDBUF"),
    ("1000 wrong logins a second for 30 s: p99 of the others against a run without",
     "logins: 1000 wrong logins a second, every one checked, p99 of healthy readers, of the run without"),
    ("1 of 100 readers never reads, flat out: rate against a run without",
     "stuck: 1 of 100 stuck, events a second, of the run without"),
    ("the same: longest gap of the others", "stuck: 1 of 100 stuck, longest gap of a healthy reader"),
    ("SIGTERM with 10 000 readers and a publisher that goes on: confirmed bytes lost",
     "drain: 10000 readers, 1 reactor, confirmed bytes lost"),
    ("the same: from SIGTERM to the end", "drain: 10000 readers, 1 reactor, seconds from SIGTERM to the end"),
    ("SIGHUP every 200 ms under load: lost, cut", "reload: SIGHUP every 200 ms, events lost and readers cut"),
    ("the same: p99.9 above a run without", "reload: SIGHUP every 200 ms, p99.9 above the run without"),
    ("an idle engine with defaults: share of a core", "idle: nobody connected, defaults, share of a core"),
    ("the same: resident memory", "idle: nobody connected, defaults, resident"),
    ("the load generator, deliveries per CPU second against the engine's, 1 reader of 20 checked",
     "ceiling: 1 to 100, 1 reader of 20 checked, generator's deliveries a CPU second of the engine's"),
]
RATE = "deliveries_per_server_cpu_s"
BLASTER = ("bare `send()` loop", "fan-1x100")
IDLE = ("10 000 idle connections", "idle")
CASES = sorted({row[1] for row in THROUGHPUT} | {row[1] for row in LATENCY} | {IDLE[1]})
FIGURE_NAMES = sorted({check.split(":")[0] for _, check in FIGURES})


def short(value):
    """Two digits below 100, whole numbers above, thousands apart from 10 000 on."""
    if abs(value) >= 9999.5:
        return f"{value:,.0f}".replace(",", " ")
    return f"{value:.0f}" if abs(value) >= 9.95 else f"{value:.1f}" if abs(value) >= 0.995 else f"{value:.2f}"


def spread(told, factor):
    return f"{short(told['median'] * factor)} [{short(told['min'] * factor)}–{short(told['max'] * factor)}]"


def number_read(text):
    """The first number in a cell; None where there is none."""
    found = re.search(r"\d{1,3}(?:[ \u2009\u00a0]\d{3})+(?![\d.])|\d+(?:\.\d+)?", text)
    return float(re.sub(r"[ \u2009\u00a0]", "", found.group(0))) if found else None


def table(head, rows):
    return "\n".join("| " + " | ".join(cells) + " |" for cells in [head, *rows]).replace(
        "\n", "\n|" + "---|" * len(head) + "\n", 1)


class Measured:
    """What a run has come to: cases by their name, checks of the figures by theirs."""

    def __init__(self, cases, checks):
        self.cases = {case["case"]: case for case in cases}
        self.checks = {check["check"]: check for check in checks}

    def told(self, case, server, key):
        return self.cases.get(case, {}).get("servers", {}).get(server, {}).get(key)

    def ratio(self, case, server, key):
        return self.cases.get(case, {}).get("ratios", {}).get(server, {}).get(key)

    def blaster(self, case):
        return (self.cases.get(case, {}).get("blaster") or {}).get(RATE)


class Figure:
    """One figure: where it stands, and what of a run it is: {median, min, max}, already in its unit; None: not run."""

    def __init__(self, name, told, factor=1, stated=None):
        self.name = name
        self.told = None if told is None else {key: told[key] * factor for key in ("median", "min", "max")}
        self.stated = stated

    def holds(self, slack=0.0):
        """Is what the README says within what was measured, both written with as many digits? `slack` is a share by which
        the least and the most are moved apart."""
        low, high = (number_read(short(self.told[key] * by)) for key, by in (("min", 1 - slack), ("max", 1 + slack)))
        return low <= self.stated <= high


def throughput_rows(measured):
    for text, case in THROUGHPUT:
        figures = [Figure(f"{text}: {column}", measured.told(case, server, RATE), 1e-6) for column, server in COLUMNS]
        ratio = measured.ratio(case, "nats", RATE)
        figures.append(Figure(f"{text}: ratio", ratio and {"median": ratio["of_medians"], "min": ratio["least"],
                                                           "max": ratio["most"]}))
        yield text, [[figure] for figure in figures]


def latency_rows(measured):
    for text, case, own in LATENCY:
        cells = []
        for column, server in COLUMNS:
            server = own if server == "spate" else server
            alone = own != "spate" and column != "spate"
            cells.append([] if alone else [Figure(f"{text}: {column} {key}", measured.told(case, server, key + "_us"))
                                           for key in ("p50", "p99")])
        yield text, cells


def check_told(check):
    if check is None or check.get("value") is None:
        return None
    return {"median": check["value"], "min": check["min"], "max": check["max"]}


def figure_rows(measured):
    for text, name in FIGURES:
        check = measured.checks.get(name)
        yield text, check, [[Figure(text, check_told(check))]]


def cell_write(figures, unit=""):
    written = [f"{spread(figure.told, 1)}{unit}" for figure in figures if figure.told]
    return " / ".join(written) if len(written) == len(figures) else "–" if figures else ""


def markdown(measured):
    """The README's tables, of what was measured; rows without any figure are left out."""
    parts = []
    rows = []
    for text, cells in throughput_rows(measured):
        if any(figure.told for cell in cells for figure in cell):
            ratio = cells[-1][0].told
            rows.append([text] + [cell_write(cell) for cell in cells[:-1]] + [short(ratio["median"]) if ratio else "–"])
    if rows:
        parts.append(table(["1 event of 128 B to"] + [column for column, _ in COLUMNS] + ["spate / nats-server"], rows))
    blaster = measured.blaster(BLASTER[1])
    if blaster:
        parts.append(f"For comparison, a {BLASTER[0]} with as many bytes a send reached "
                     f"{spread(blaster, 1e-6).replace(' ', ' M ', 1)} at 1 to 100 in the same run.")
    rows = [[text] + [cell_write(cell) for cell in cells] for text, cells in latency_rows(measured)
            if any(figure.told for cell in cells for figure in cell)]
    if rows:
        parts.append(table([""] + [column for column, _ in COLUMNS], rows))
    rows = []
    for text, check, cells in figure_rows(measured):
        if cells[0][0].told:
            unit = check.get("unit") or ""
            bound = (f"at least {check['least']:g}" if check["least"] is not None else f"at most {check['most']:g}") + unit
            rows.append([text, cell_write(cells[0], unit), bound])
    if rows:
        parts.append(table(["what", "measured", "promised"], rows))
    idle = idle_figures(measured)
    if all(figure.told for figure in idle):
        own, *peers = (short(figure.told["median"]) for figure in idle)
        load = measured.told(IDLE[1], "spate", "server_load")["median"]
        parts.append(f"{IDLE[0]} with a subscription each take {own} bytes apiece in user space (nats-server {peers[0]}, "
                     f"Redis {peers[1]}), and {'no' if load < 0.001 else f'{100 * load:.1f} % of a core of'} CPU.")
    return "\n\n".join(parts)


def idle_figures(measured):
    return [Figure(f"an idle connection: {column}", measured.told(IDLE[1], server, "server_rss_bytes_per_connection"))
            for column, server in COLUMNS]


def rows_read(text):
    """Every row of every table, by its first cell; a name that stands twice keeps the first."""
    rows = {}
    for line in text.splitlines():
        if line.startswith("|") and line.endswith("|"):
            cells = [cell.strip() for cell in line[1:-1].split("|")]
            rows.setdefault(cells[0], cells[1:])
    return rows


def figures_read(text, measured):
    """All figures that the README states and that we know of, each with what was measured. What stands there but is not
    known, or the other way round, is left out."""
    rows = rows_read(text)
    known = [(name, cells) for name, cells in throughput_rows(measured)]
    known += [(name, cells) for name, cells in latency_rows(measured)]
    known += [(name, cells) for name, _, cells in figure_rows(measured)]
    found = []
    for name, cells in known:
        for written, figures in zip(rows.get(name, []), cells):
            # "40 [38–44] / 63 [60–70]": a figure a part.
            for part, figure in zip(written.split(" / "), figures):
                figure.stated = number_read(part)
                found.append(figure)
    flat = " ".join(text.split())
    sentence = re.search(re.escape(BLASTER[0]) + r"[^.]*? reached ([\d. \u00a0]+) M", flat)
    if sentence:
        found.append(Figure("bare send()", measured.blaster(BLASTER[1]), 1e-6, number_read(sentence.group(1))))
    sentence = re.search(re.escape(IDLE[0]) + r"[^.]*? take ([\d \u00a0]+) bytes[^(]*\(nats-server ([\d \u00a0]+), Redis ([\d \u00a0]+)\)",
                         flat)
    if sentence:
        for figure, written in zip(idle_figures(measured), sentence.groups()):
            figure.stated = number_read(written)
            found.append(figure)
    return [figure for figure in found if figure.stated is not None]


def ratio_summary(ratios):
    return {"median_of_rounds": statistics.median(ratios), "least": min(ratios), "most": max(ratios)}
