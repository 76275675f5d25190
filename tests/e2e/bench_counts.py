#!/usr/bin/env python3
"""The load generator finds every fault: a small NATS server loses, doubles, swaps and damages events on purpose.

usage: bench_counts.py PATH-OF-SPATE-BENCH
"""
import socket
import sys

from stand_in import StandIn, expect, run

SUBSCRIBERS = 6
FAN = ["fan", "--subscribers", str(SUBSCRIBERS), "--window", "16", "--seconds", "0.3", "--warmup", "0.1", "--settle", "20",
       "--verify"]


class FaultyServer(StandIn):
    """Delivers every event to every subscriber, except where `faults` says otherwise: {event: (subscriber, what)}."""

    def __init__(self, faults):
        self.faults = faults
        self.subscribers = []
        self.events = 0
        self.held = {}
        super().__init__()

    def obey(self, connection, words, body):
        if words[0] == b"PING":
            self.send(connection, b"PONG\r\n")
        elif words[0] == b"SUB":
            self.subscribers.append(connection)
        elif words[0] == b"PUB":
            self.deliver(words[1], body)

    def deliver(self, subject, body):
        fault = self.faults.get(self.events)
        for number, subscriber in enumerate(self.subscribers):
            frame = b"MSG %s 1 %d\r\n%s" % (subject, len(body) - 2, body)
            what = fault[1] if fault and fault[0] == number else None
            if what == "lose":
                continue
            if what == "hold":
                self.held[number] = frame
                continue
            if what == "damage":
                frame = frame[:-12] + bytes([frame[-12] ^ 1]) + frame[-11:]
            if what == "double":
                frame += frame
            if what == "cut":
                subscriber.shutdown(socket.SHUT_RDWR)
            frame += self.held.pop(number, b"")
            self.send(subscriber, frame)
        self.events += 1


class SteadyServer(FaultyServer):
    """Knows what stands beside the load, by its names, and what of it has changed."""

    def __init__(self):
        self.standing = {}
        self.strays = 0
        super().__init__({})

    def obey(self, connection, words, body):
        if words[0] == b"SUB" and b"standing." in words[1]:
            self.strays += words[2] in self.standing or words[1] in self.standing.values()
            self.standing[words[2]] = words[1]
        elif words[0] == b"UNSUB":
            self.strays += self.standing.pop(words[1], None) is None
        else:
            super().obey(connection, words, body)


def check_standing(bench):
    server = SteadyServer()
    code, report = run(bench, server, *FAN, "--standing", "40", "--changes", "400", "--seconds", "2.2")
    expect("with subscriptions beside it the stream is whole", (code, report["lost"], report["standing"]), (0, 0, 40))
    expect("each of those that change makes room for another", (len(server.standing), server.strays), (40, 0))
    expect("they have changed", report["changes"] > 100, True)
    expect("what came meanwhile is told beside the rest", report["changing_to_resting"] > 0, True)


def run_fan(bench, faults, *arguments):
    code, report = run(bench, FaultyServer(faults), *FAN, *arguments)
    return code, {key: report[key] for key in ("lost", "duplicated", "reordered", "corrupted", "cut")}, report


def main():
    bench = sys.argv[1]
    none = {"lost": 0, "duplicated": 0, "reordered": 0, "corrupted": 0, "cut": 0}
    code, counts, report = run_fan(bench, {})
    expect("a whole stream has no faults", (code, counts), (0, none))
    expect("and many events", report["events"] > 32, True)
    code, counts, _ = run_fan(bench, {}, "--publishers", "3", "--size", "24")
    expect("three publishers have no faults either", (code, counts), (0, none))
    faults = {3: (0, "lose"), 4: (1, "double"), 5: (2, "hold"), 6: (3, "damage"), 7: (4, "lose"), 8: (4, "lose")}
    code, counts, _ = run_fan(bench, faults)
    expect("each fault is counted once", (code, counts),
           (1, {"lost": 3, "duplicated": 1, "reordered": 1, "corrupted": 1, "cut": 0}))
    code, counts, _ = run_fan(bench, {10: (5, "cut")})
    expect("who is cut off is counted and nobody waits for it", (code, counts), (1, dict(none, cut=1)))
    code, counts, report = run_fan(bench, {}, "--sample", "2", "--gather", "100")
    expect("where half are only counted, a whole stream has no faults", (code, counts), (0, none))
    expect("and half are checked", report["checked_subscribers"], SUBSCRIBERS / 2)
    code, counts, _ = run_fan(bench, {3: (0, "lose"), 4: (1, "lose")}, "--sample", "2")
    expect("a loss shows in the bytes, too", (code, counts), (1, dict(none, lost=2)))
    code, counts, _ = run_fan(bench, {3: (2, "double")}, "--sample", "2")
    expect("and so does a double", (code, counts), (1, dict(none, duplicated=1)))
    check_standing(bench)


if __name__ == "__main__":
    main()
