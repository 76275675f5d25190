#!/usr/bin/env python3
"""--against: several servers are loaded in turns, each has its own figures and its own CPU time.

usage: bench_against.py PATH-OF-SPATE-BENCH
"""
import json
import os
import subprocess
import sys

from bench_counts import FaultyServer, expect

SHORT = ["--subscribers", "6", "--window", "16", "--seconds", "0.2", "--warmup", "0.05", "--settle", "10"]


def bench(program, *arguments):
    done = subprocess.run([program, "fan", *arguments], capture_output=True, text=True, timeout=60, check=False)
    return done.returncode, done.stdout, done.stderr


def main():
    program = sys.argv[1]
    servers = [FaultyServer({}) for _ in range(3)]
    first, second, third = [server.address for server in servers]
    code, told, said = bench(program, first, *SHORT, "--against", second, "--against", third, "--repeats", "2",
                             "--json")
    expect("three servers, two rounds", (code, said), (0, ""))
    result = json.loads(told)
    expect("each has its figures", [target["address"] for target in result["targets"]], [first, second, third])
    expect("of both rounds", [target["repeats"] for target in result["targets"]], [2, 2, 2])
    expect("and the CPU time of who listens there", all(target["deliveries_per_server_cpu_s"] > 0
                                                        for target in result["targets"]), True)
    medians = [target["deliveries_per_s"] for target in result["targets"]]
    ratios = [ratio["deliveries_per_s"] for ratio in result["ratios"]]
    expect("ratios are to the first", [round(median / medians[0], 3) for median in medians[1:]],
           [round(ratio, 3) for ratio in ratios])
    code, told, _ = bench(program, first, *SHORT, "--against", second, "--against-pid", str(os.getpid()))
    expect("a table for people has a ratio, too", (code, " x " in told), (0, True))

    faulty = FaultyServer({5: (0, "lose")})
    address = faulty.address
    code, _, said = bench(program, first, *SHORT, "--against", address)
    expect("the one that lost something is named", (code, address in said, "1 lost" in said), (1, True, True))

    for arguments, why in ((["--against", "nonsense://"], "'nonsense://'"),
                           (["--against-pid", "7"], "more --against-pid than --against"),
                           (["--against", second, "--against-pid", "x"], "'x' is not a process id"),
                           (["--against", second] * 8, "at most"),
                           (["--against", second, "--accounts", "/dev/null"], "--accounts")):
        code, _, said = bench(program, first, *arguments)
        expect(f"refused: {' '.join(arguments[:4])}", (code, why in said), (2, True))


if __name__ == "__main__":
    main()
