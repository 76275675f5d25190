#!/usr/bin/env python3
"""bench/compare tells the README's figures, checks them, goes on where it was stopped, and draws its history.

usage: bench_scripts.py PATH-OF-SPATE PATH-OF-SPATE-BENCH PATH-OF-SPATE-PLOT

What is measured here is short and says nothing; it is only seen whether it arrives where it should."""
import json
import os
import subprocess
import sys
import tempfile
import unittest
import xml.etree.ElementTree

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
sys.path.insert(0, os.path.join(ROOT, "bench"))
sys.dont_write_bytecode = True
import readme  # noqa: E402

SPATE, BENCH, PLOT = sys.argv[1:4]
CORES = sorted(os.sched_getaffinity(0))


def told(median, least=None, most=None):
    return {"median": median, "min": median if least is None else least, "max": median if most is None else most}


def case(name, servers, ratios=None, blaster=None):
    return {"case": name, "servers": servers, "ratios": ratios or {}, "blaster": blaster}


def compare(*words):
    done = subprocess.run([os.path.join(ROOT, "bench", "compare"), "--no-blast", "--spate", SPATE, "--bench", BENCH,
                           "--plotter", PLOT, "--server-cpu", str(CORES[0]), "--load-cpu", str(CORES[-1]), *words],
                          capture_output=True, text=True, check=False, timeout=100)
    return done.returncode, done.stdout, done.stderr


RATE = readme.RATE
MEASURED = readme.Measured(
    [case("fan-1x100", {"spate": {RATE: told(70.2e6, 61.6e6, 71.4e6)}, "nats": {RATE: told(6.3e6, 5.8e6, 7.3e6)},
                        "redis": {RATE: told(6.7e6, 6.2e6, 7.2e6)}},
          {"nats": {RATE: {"of_medians": 11.1, "least": 9, "most": 12}}}, {RATE: told(62e6, 27e6, 70e6)}),
     case("latency-40000", {"spate": {"p50_us": told(310), "p99_us": told(600, 590, 640)},
                            "nats": {"p50_us": told(2093), "p99_us": told(18940)},
                            "redis": {"p50_us": told(571), "p99_us": told(1348)}}),
     case("idle", {name: {"server_rss_bytes_per_connection": told(value), "server_load": told(0)}
                   for name, value in (("spate", 780), ("nats", 19700), ("redis", 9900))})],
    [{"check": "idle: nobody connected, defaults, resident", "value": 7.8, "min": 7.7, "max": 7.9, "least": None, "most": 16,
      "unit": " MiB", "pass": True}])


class Readme(unittest.TestCase):
    def test_numbers_are_short_and_read_back(self):
        for value, text in ((0.7444, "0.74"), (8.14, "8.1"), (9.96, "10"), (70.2, "70"), (185, "185"), (18940, "18 940")):
            self.assertEqual(readme.short(value), text)
            self.assertEqual(readme.number_read(text), float(text.replace(" ", "")))
        self.assertIsNone(readme.number_read("–"))

    def test_tables_are_ready_to_paste(self):
        text = readme.markdown(MEASURED)
        self.assertIn("| 100 | 70 [62–71] | 6.3 [5.8–7.3] | 6.7 [6.2–7.2] | 11 |", text)
        self.assertIn("| 1 event of 128 B to | spate | nats-server | Redis | spate / nats-server |\n|---|---|---|---|---|\n", text)
        self.assertIn("| 1 to 100, 40 000 a second | 310 [310–310] / 600 [590–640] | 2093 [2093–2093] / 18 940", text)
        self.assertIn("reached 62 M [27–70] at 1 to 100", text)
        self.assertIn("| the same: resident memory | 7.8 [7.7–7.9] MiB | at most 16 MiB |", text)
        self.assertIn("take 780 bytes apiece in user space (nats-server 19 700, Redis 9900), and no CPU", text)

    def test_what_was_written_is_within_what_was_measured(self):
        figures = readme.figures_read(readme.markdown(MEASURED), MEASURED)
        self.assertEqual(len(figures), 4 + 6 + 1 + 1 + 3)
        self.assertTrue(all(figure.holds() for figure in figures), [figure.name for figure in figures])

    def test_a_figure_outside_is_found(self):
        text = readme.markdown(MEASURED).replace("/ 600 [", "/ 641 [").replace("| 70 [", "| 72 [")
        outside = [figure.name for figure in readme.figures_read(text, MEASURED) if not figure.holds()]
        self.assertEqual(outside, ["100: spate", "1 to 100, 40 000 a second: spate p99"])
        self.assertTrue(all(figure.holds(0.02) for figure in readme.figures_read(text, MEASURED)))

    def test_the_readme_of_the_project_is_understood(self):
        with open(os.path.join(ROOT, "README.md"), encoding="utf-8") as file:
            figures = readme.figures_read(file.read(), readme.Measured([], []))
        stated = {figure.name for figure in figures}
        for text, _ in readme.THROUGHPUT:
            self.assertIn(f"{text}: spate", stated)
        for text, *_ in readme.LATENCY:
            self.assertIn(f"{text}: spate p99", stated)

    def test_every_figure_has_its_check(self):
        with open(os.path.join(ROOT, "bench", "figures"), encoding="utf-8") as file:
            source = file.read()
        for _, check in readme.FIGURES:
            self.assertIn(f'"{check.split(":")[0]}": (figure_', source)


class Compare(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.dir = folder.name

    def path(self, name, text=None):
        path = os.path.join(self.dir, name)
        if text is not None:
            with open(path, "w", encoding="utf-8") as file:
                file.write(text)
        return path

    def test_it_goes_on_where_it_was_stopped(self):
        words = ["--readme", "--case", "fan-1x1", "--only", "spate", "--rounds", "2", "--seconds", "0.2", "--warmup", "0.1",
                 "--resume", self.path("kept"), "--history-file", self.path("history")]
        status, said, errors = compare(*words)
        self.assertEqual(status, 0, said + errors)
        self.assertIn("1 case and 0 figures to measure, about", said)
        self.assertIn("| 1 subscriber | ", said)
        status, again, errors = compare(*words)
        self.assertEqual(status, 0, again + errors)
        self.assertIn("0 cases and 0 figures to measure, about 0 s; 1 are kept", again)
        self.assertEqual(said[said.index("| 1 subscriber"):], again[again.index("| 1 subscriber"):])
        with open(self.path("history"), encoding="utf-8") as file:
            records = [json.loads(line) for line in file]
        self.assertEqual(len(records), 2)
        self.assertEqual(records[0]["options"]["rounds"], 2)
        self.assertIn("foreign_load", records[0]["cases"][0]["servers"]["spate"])
        self.assertNotIn("values", records[0]["cases"][0]["servers"]["spate"][RATE])
        status, said, errors = compare("--plot", self.path("plots"), "--history-file", self.path("history"))
        self.assertEqual(status, 0, said + errors)
        xml.etree.ElementTree.parse(os.path.join(self.path("plots"), "fan-1x1.svg"))
        # The same measurements once more, set against two READMEs.
        good = self.path("good.md", again[again.index("| 1 subscriber"):])
        status, said, _ = compare(*words[1:], "--check", good)
        self.assertEqual((status, "1 of 1 figures" in said), (0, True), said)
        bad = self.path("bad.md", "| 1 subscriber | 123456 [1–2] | 2 | 3 | 4 |\n")
        status, said, _ = compare(*words[1:], "--check", bad)
        self.assertEqual((status, "OUTSIDE  1 subscriber: spate: 123 456 in" in said), (1, True), said)

    def test_what_cannot_be_is_refused(self):
        for words, part in ((["--check", "/none"], "--check /none: there is no such file"),
                            (["--case", "none"], "there is no case none"), (["--only", "none"], "there is no server none"),
                            (["--spate", "/none"], "/none is not there: build first")):
            status, _, errors = compare(*words)
            self.assertEqual((status, part in errors), (2, True), errors)
        status, _, errors = compare("--plot", self.dir, "--history-file", self.path("none"))
        self.assertEqual((status, "there is no history" in errors), (1, True), errors)


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1])
