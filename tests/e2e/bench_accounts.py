#!/usr/bin/env python3
"""churn and drain of the load generator find every fault: a small NATS server with subscriptions misbehaves on purpose.

usage: bench_accounts.py PATH-OF-SPATE-BENCH
"""
import json
import re
import socket
import subprocess
import sys
import tempfile
import threading

from stand_in import StandIn, expect, run

CHURN = ["churn", "--subscribers", "5", "--subjects", "4", "--rate", "2000", "--churn", "200", "--count", "3000",
         "--seconds", "20", "--settle", "0", "--verify"]
DRAIN = ["drain", "--subscribers", "4", "--rate", "2000", "--seconds", "1", "--warmup", "0", "--settle", "20", "--verify"]
CHURN_KEYS = ("lost", "duplicated", "reordered", "corrupted", "stray", "foreign", "cut")


class Server(StandIn):
    """Delivers to whoever has subscribed. `fault(number, frame, connection)` gives the bytes to send instead of delivery
    `number`. It lives as long as `life`, a process that somebody may end; then `last(connection)` is said and all is
    closed."""

    def __init__(self, fault=None, life=None, last=None):
        self.fault = fault or (lambda number, frame, connection: frame)
        self.last = last or (lambda connection: b"")
        self.subscriptions = {}  # connection: {sid: subject}
        self.deliveries = 0
        self.is_over = False
        super().__init__()
        if life is not None:
            threading.Thread(target=self.end_with, args=(life,), daemon=True).start()

    def end_with(self, life):
        life.wait()
        with self.lock:
            self.is_over = True
            for connection in self.subscriptions:
                self.send(connection, self.last(connection))
                connection.shutdown(socket.SHUT_RDWR)

    def joined(self, connection):
        self.subscriptions[connection] = {}

    def left(self, connection):
        self.subscriptions.pop(connection, None)

    def obey(self, connection, words, body):
        if words[0] == b"PING":
            self.send(connection, b"PONG\r\n")
        elif words[0] == b"SUB":
            self.subscriptions[connection][words[2]] = words[1]
        elif words[0] == b"UNSUB":
            self.subscriptions[connection].pop(words[1], None)
        elif words[0] == b"PUB" and not self.is_over:
            for reader, subscriptions in list(self.subscriptions.items()):
                for sid in [sid for sid, subject in subscriptions.items() if subject == words[1]]:
                    frame = b"MSG %s %s %d\r\n%s" % (words[1], sid, len(body) - 2, body)
                    self.send(reader, self.fault(self.deliveries, frame, reader))
                    self.deliveries += 1


def once(*numbers, do):
    """A fault that does `do` to the deliveries of these numbers."""
    return lambda number, frame, connection: do(frame) if number in numbers else frame


def renamed(frame):
    """The same event as one of another subject."""
    subject = re.match(rb"MSG bench\.(\d+) ", frame).group(1)
    return frame.replace(b"bench." + subject, b"bench.%04d" % ((int(subject) + 1) % 4), 1)


def churn(bench):
    none = dict.fromkeys(CHURN_KEYS, 0)
    with tempfile.NamedTemporaryFile("r") as accounts:
        code, report = run(bench, Server(), *CHURN, "--accounts", accounts.name)
        expect("whatever comes and goes, a whole stream has no faults",
               (code, {key: report[key] for key in CHURN_KEYS}), (0, none))
        expect("subscriptions and readers did come and go",
               (report["subscribed"] > 20, report["unsubscribed"] > 10, report["left"] > 0), (True, True, True))
        rows = [json.loads(line) for line in accounts]
        expect("every delivery stands in one account", sum(row["received"] for row in rows), report["deliveries"])
    faults = {
        "lost": once(2000, 2001, do=lambda frame: b""),
        "duplicated": once(2000, do=lambda frame: 2 * frame),
        "corrupted": once(2000, do=lambda frame: frame[:-12] + bytes([frame[-12] ^ 1]) + frame[-11:]),
        "stray": once(2000, do=lambda frame: frame + re.sub(rb"^(MSG \S+) \d+", rb"\1 999999", frame)),
        "foreign": once(2000, do=lambda frame: frame + renamed(frame)),
    }
    for key, fault in faults.items():
        # Nobody leaves: a client cannot know of a loss just before its UNSUB.
        code, report = run(bench, Server(fault), *CHURN, "--churn", "0")
        found = {name: report[name] for name in CHURN_KEYS}
        if key == "corrupted":  # what is damaged has no number, so one is missing as well
            found["lost"] -= 1
        expect(f"{key} is found, and nothing else", (code, found), (1, dict(none, **{key: 2 if key == "lost" else 1})))


def drain(bench):
    def run_drain(**arguments):
        with subprocess.Popen(["sleep", "60"]) as life:
            try:
                return run(bench, Server(life=life, **arguments), *DRAIN, "--server-pid", str(life.pid))
            finally:
                life.kill()
    keys = ("lost", "torn", "not_ended")
    code, report = run_drain(last=lambda connection: b'INFO {"ldm":true}\r\n')
    expect("a clean drain has no faults", (code, [report[key] for key in keys]), (0, [0, 0, 0]))
    expect("events were confirmed, and readers told",
           (report["confirmed"] > 100, report["told_lame_duck"]), (True, 4))
    code, report = run_drain(fault=once(100, 101, do=lambda frame: b""))
    expect("a confirmed event that did not come is lost", (code, [report[key] for key in keys]), (1, [2, 0, 0]))
    code, report = run_drain(last=lambda connection: b"MSG bench.0000 1 128\r\nhalf of it")
    expect("half an operation at the end is told", (code, [report[key] for key in keys]), (1, [0, 4, 0]))


def main():
    bench = sys.argv[1]
    churn(bench)
    drain(bench)


if __name__ == "__main__":
    main()
