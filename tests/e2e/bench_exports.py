#!/usr/bin/env python3
"""What the load generator writes for other tools holds what it has measured: --repeats, --json, --hdr, --svg, --csv.

usage: bench_exports.py PATH-OF-SPATE-BENCH PATH-OF-HDR-SAMPLES PATH-OF-SPATE-PLOT

The logs are read by HdrHistogram's own reader for JavaScript (node_modules/); without it that part is left out, and the
exit code is 77 where everything else held."""
import csv
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import xml.etree.ElementTree

from stand_in import StandIn, expect, run

HERE = os.path.dirname(os.path.abspath(__file__))
READER = os.path.join(os.path.dirname(os.path.dirname(HERE)), "node_modules", "hdr-histogram-js")
LOAD = ["--subscribers", "3", "--rate", "2000", "--seconds", "0.4", "--warmup", "0.1", "--settle", "20"]


class Server(StandIn):
    """Delivers every event to every subscriber."""

    def __init__(self):
        self.subscribers = []
        super().__init__()

    def left(self, connection):
        self.subscribers = [one for one in self.subscribers if one is not connection]

    def obey(self, connection, words, body):
        if words[0] == b"PING":
            self.send(connection, b"PONG\r\n")
        elif words[0] == b"SUB":
            self.subscribers.append(connection)
        elif words[0] == b"PUB":
            for subscriber in self.subscribers:
                self.send(subscriber, b"MSG %s 1 %d\r\n%s" % (words[1], len(body) - 2, body))


def logs_read(path):
    done = subprocess.run(["node", "--no-warnings", os.path.join(HERE, "hdr_read.mjs"), path], capture_output=True,
                          text=True, timeout=100)
    if done.returncode != 0:
        sys.exit(f"the log cannot be read: {done.stderr}")
    return {row["tag"]: row for row in map(json.loads, done.stdout.splitlines())}


def close(found, expected):
    """The same within three significant digits."""
    return abs(found - expected) <= max(1, expected / 1000)


def samples(samples_program, folder):
    path = os.path.join(folder, "samples.hlog")
    told = subprocess.run([samples_program, path], capture_output=True, text=True, check=True, timeout=60).stdout
    found = logs_read(path)
    for row in map(json.loads, told.splitlines()):
        read = found[row["tag"]]
        expect(f"{row['tag']}: as many values", read["count"], row["count"])
        for key in ("min", "max", "p50", "p99", "p999"):
            expect(f"{row['tag']}: {key} {row[key]} reads as {read[key]}", close(read[key], row[key]), True)


def merged(runs):
    """Of all runs together only these are known from their reports."""
    return {"count": sum(run["latencies"] for run in runs), "min": min(run["min_us"] for run in runs) * 1e3,
            "max": max(run["max_us"] for run in runs) * 1e3}


def repeats(bench, folder, can_read):
    paths = {kind: os.path.join(folder, f"out.{kind}") for kind in ("hdr", "svg", "csv")}
    files = [word for kind, path in paths.items() for word in (f"--{kind}", path)]
    code, report = run(bench, Server(), "latency", *LOAD, "--repeats", "3", *files)
    runs = report["runs"]
    expect("three runs are told", (code, report["repeats"], len(runs), report["exit_code"]), (0, 3, 3, 0))
    for key in ("deliveries", "p50_us", "p99_us"):
        values = [one[key] for one in runs]
        # A figure is written with nine digits.
        found = [report[key], report["least"][key], report["most"][key]]
        expected = [statistics.median(values), min(values), max(values)]
        expect(f"{key} is a median with its spread",
               all(abs(a - b) <= abs(b) * 1e-8 for a, b in zip(found, expected)), True)
    expect("every run has latencies", all(one["latencies"] > 0 for one in runs), True)
    with open(paths["csv"], newline="") as file:
        rows = list(csv.DictReader(file))
    expect("the slices have all latencies", sum(int(row["latencies"]) for row in rows),
           sum(one["latencies"] for one in runs))
    expect("and all runs", {row["run"] for row in rows}, {"1", "2", "3"})
    drawing = xml.etree.ElementTree.parse(paths["svg"]).getroot()
    texts = [element.text for element in drawing.iter("{http://www.w3.org/2000/svg}text")]
    expect("the plot has its panels", [text for text in texts if text in ("latency by percentile", "deliveries over time")],
           ["latency by percentile", "deliveries over time"])
    if can_read:
        found, known = logs_read(paths["hdr"])[""], merged(runs)
        expect("the log has as many latencies", found["count"], known["count"])
        expect(f"the log's extremes are {known}, read {found}",
               close(found["min"], known["min"]) and close(found["max"], known["max"]), True)
        expect("the log has an interval a slice", found["intervals"], len(rows))


def one_run(bench, folder, can_read):
    path = os.path.join(folder, "one.hlog")
    code, report = run(bench, Server(), "fan", *LOAD, "--window", "16", "--hdr", path)
    expect("one run is flat", (code, "runs" in report), (0, False))
    if can_read:
        found = logs_read(path)[""]
        expect("one run's log has as many latencies", found["count"], report["latencies"])
        for key, name in (("p50", "p50_us"), ("p99", "p99_us"), ("p999", "p999_us"), ("min", "min_us"), ("max", "max_us")):
            expect(f"one run's {key} {report[name]} us reads as {found[key]} ns", close(found[key], report[name] * 1e3), True)
    code, report = run(bench, Server(), "pub", *LOAD, "--hdr", path)
    if can_read:
        expect("a load without latencies has an empty log", (code, logs_read(path)[""]["count"]), (0, 0))


def refusals(bench, folder):
    for words, part in ((["latency", "--hdr", folder + "/none/x"], "none/x cannot be written: No such file"),
                        (["drain", "--server-pid", "1", "--repeats", "2"], "--repeats is for the other modes"),
                        (["stall", "--stall-count", "0"], "stall needs a --stall-count"),
                        (["latency", "--gather", "100"], "--gather is for fan and wildcard"),
                        (["fan", "--sample", "200"], "--sample must leave somebody to check"),
                        (["fan", "--sample", "2", "--seconds", "60"], "at most 60 seconds in all"),
                        (["latency", "--repeats", "0"], "--repeats: 0 is not between"),
                        (["latency", "--secnds", "1"], "did you mean --seconds?"),
                        (["latncy"], "did you mean latency?"),
                        (["latency", "--size", "1KiB"], "without a unit"),
                        (["latency", "127.0.0.1:4222"], "write nats://127.0.0.1:4222"),
                        (["wildcard", "--subscribers", "20"], "20 is no multiple of --subjects 100")):
        done = subprocess.run([bench, *words], capture_output=True, text=True, timeout=60)
        expect(f"{' '.join(words)} is refused", (done.returncode, part in done.stderr), (2, True))


def plots(plot):
    """The plot writer alone: whatever the texts hold, the file is XML."""
    lines = ["title <a> & \"b\" \x01 \udcff", "about nothing", "panel empty", "panel points <&>", "y-scale log", "tick 1 a<b",
             "line l&m", "1 5 2 9", "2 0", "3 1e300", "3 nan", "line single", "1 1", "panel flat", "line zero", "0 0", "1 0",
             "panel below", "line down", "0 -5", "4 7"]
    done = subprocess.run([plot], input="\n".join(lines).encode("utf-8", "surrogateescape"), capture_output=True, timeout=60)
    expect("a plot is drawn", (done.returncode, done.stderr), (0, b""))
    root = xml.etree.ElementTree.fromstring(done.stdout)
    texts = [element.text for element in root.iter("{http://www.w3.org/2000/svg}text")]
    expect("its texts are what was said", [texts[0], "points <&>" in texts, "a<b" in texts, "nothing was recorded" in texts],
           ["<a> & \"b\" ? ?", True, True, True])
    drawn = " ".join(element.get("d") for element in root.iter("{http://www.w3.org/2000/svg}path"))
    expect("every point is a number", "nan" in drawn or "inf" in drawn, False)
    for wrong, part in (("line a", "line 1: 'line' needs a panel"), ("panel a\n1 2", "line 2: a point needs a line"),
                        ("panel a\nline b\nq 1", "line 3: 'q 1'"), ("panel a\ntick z w", "line 2: 'tick z w'")):
        done = subprocess.run([plot], input=wrong, capture_output=True, text=True, timeout=60)
        expect(f"{wrong!r} is refused", (done.returncode, part in done.stderr), (2, True))


def main():
    bench, samples_program, plot = sys.argv[1:]
    can_read = os.path.isdir(READER) and shutil.which("node") is not None
    with tempfile.TemporaryDirectory() as folder:
        repeats(bench, folder, can_read)
        one_run(bench, folder, can_read)
        refusals(bench, folder)
        if can_read:
            samples(samples_program, folder)
    plots(plot)
    if not can_read:
        print("skipped: the reader of HdrHistogram logs is not there: scripts/install test")
        sys.exit(77)


if __name__ == "__main__":
    main()
