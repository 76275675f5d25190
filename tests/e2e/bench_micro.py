#!/usr/bin/env python3
"""Each micro benchmark runs, and bench/micro/counts tells what takes more instructions than was kept of it.

usage: bench_micro.py PATH-OF-A-PROGRAM...
"""
import json
import os
import shutil
import subprocess
import sys
import tempfile

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
COUNTS = os.path.join(ROOT, "bench", "micro", "counts")


def run(command, exit_code):
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=100)
    if done.returncode != exit_code:
        sys.exit(f"{command} ended with {done.returncode}, not {exit_code}: {done.stdout}{done.stderr}")
    return done.stdout


def check_program(program):
    counted = json.loads(run([program, "--count", "--operations", "64"], 0))
    assert all(case["operations"] == 64 for case in counted["cases"]) and counted["cases"], counted
    run([program, "--repeats", "0"], 2)
    run([program, "--nonsense"], 2)
    if counted["bench"] == "match":  # large tables take too long
        return
    timed = json.loads(run([program, "--json", "--repeats", "2", "--operations", "64"], 0))
    assert all(0 <= case["ns_min"] <= case["ns"] <= case["ns_max"] for case in timed["cases"]), timed
    assert {case["name"] for case in counted["cases"]} <= {case["name"] for case in timed["cases"]}
    assert "least" in run([program, "--repeats", "1", "--operations", "64"], 0)


def check_counts(build):
    """What takes more is told, what takes less or is new is no fault, and other environments are not compared with."""
    with tempfile.TemporaryDirectory() as folder:
        kept = os.path.join(folder, "kept.json")
        command = [COUNTS, "--build", build, "--kept", kept, "--only", "ring"]
        run(command, 77)
        run([*command, "--update"], 0)
        with open(kept, encoding="utf-8") as file:
            figures = json.load(file)
        cases = figures["counts"]["ring"]
        first, second, third = list(cases)[:3]

        def keep():
            with open(kept, "w", encoding="utf-8") as file:
                json.dump(figures, file)

        cases[first] *= 1.2
        del cases[second]
        cases[third] *= 0.9
        keep()
        told = run(command, 1)
        assert "less" in told and "new" in told and told.count("MORE") == 1 and "--update" in told, told
        told = run([*command, "--tolerance", "20"], 0)
        assert "new" in told and "MORE" not in told and "less" not in told, told
        figures["environment"]["compiler"] = "another"
        keep()
        assert "another" in run(command, 77)
        run([*command, "--update"], 1)
    run([COUNTS, "--build", build, "--only", "nonsense"], 1)


def main():
    programs = sys.argv[1:]
    for program in programs:
        check_program(program)
    build = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(programs[0]))))
    with open(os.path.join(build, "meson-info", "intro-buildoptions.json"), encoding="utf-8") as file:
        is_plain = all(option["value"] == "none" for option in json.load(file) if option["name"] == "b_sanitize")
    if shutil.which("valgrind") and is_plain:
        check_counts(build)


main()
