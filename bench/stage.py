"""stage: what compare and figures share: processes that do not outlive us, what a machine does meanwhile, and how figures
are summed up and shown. Imported by the scripts beside it."""

import ctypes
import json
import os
import platform
import re
import resource
import signal
import socket
import statistics
import subprocess
import sys
import time

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
CLOCK_TICK = os.sysconf("SC_CLK_TCK")


def die_with_parent():
    """Runs in the child: whatever happens to us, nothing of ours stays behind."""
    ctypes.CDLL(None).prctl(1, signal.SIGKILL)


def priority_raise(nice):
    """Runs in the child. The kernel groups processes by session, and a group's weight counts more than a nice value."""
    try:
        os.nice(nice)
        with open("/proc/self/autogroup", "w") as file:
            file.write(str(nice))
    except OSError:
        pass


def files_raise():
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft < hard:
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def cpu_busy_s():
    """CPU time that all processes of the machine have used, and what the hypervisor took."""
    with open("/proc/stat") as file:
        ticks = [int(word) for word in file.readline().split()[1:9]]
    user, nice, system, _, _, irq, softirq, steal = ticks
    return (user + nice + system + irq + softirq) / CLOCK_TICK, steal / CLOCK_TICK


def process_cpu_s(pid):
    total = 0
    try:
        for task in os.listdir(f"/proc/{pid}/task"):
            with open(f"/proc/{pid}/task/{task}/schedstat") as file:
                total += int(file.read().split()[0])
    except (OSError, IndexError, ValueError):
        pass
    return total / 1e9


class Failed(Exception):
    pass


class Children:
    """Every process that we started, so that none outlives us."""

    def __init__(self, nice):
        self.running = []
        self.nice = nice

    def start(self, command, core, environment=None, log=None, stdin=subprocess.DEVNULL):
        def before_exec():
            die_with_parent()
            if self.nice:
                priority_raise(self.nice)
            if core is not None:
                os.sched_setaffinity(0, {core})
        full = dict(os.environ, **(environment or {}))
        child = subprocess.Popen(command, stdin=stdin, stdout=log or subprocess.PIPE,
                                 stderr=subprocess.STDOUT if log else subprocess.PIPE, env=full,
                                 preexec_fn=before_exec, start_new_session=True, text=log is None)
        self.running.append(child)
        return child

    def stop(self, child):
        if child.poll() is None:
            child.terminate()
            try:
                child.wait(timeout=3)
            except subprocess.TimeoutExpired:
                child.kill()
                child.wait()
        if child in self.running:
            self.running.remove(child)

    def stop_all(self):
        for child in list(self.running):
            self.stop(child)


class Noise:
    """What others took of the machine between its making and add_to()."""

    def __init__(self, server_pid):
        self.pid = server_pid
        self.busy, self.steal = cpu_busy_s()
        self.own = resource.getrusage(resource.RUSAGE_CHILDREN)
        self.served = process_cpu_s(server_pid)
        self.start = time.monotonic()

    def add_to(self, report):
        """Once the load has been waited for, while the server still runs."""
        elapsed = time.monotonic() - self.start
        busy, steal = cpu_busy_s()
        own = resource.getrusage(resource.RUSAGE_CHILDREN)
        used = process_cpu_s(self.pid) - self.served
        used += own.ru_utime + own.ru_stime - self.own.ru_utime - self.own.ru_stime
        report["foreign_load"] = max(0.0, (busy - self.busy - used) / elapsed)
        report["steal_load"] = (steal - self.steal) / elapsed


def load_run(children, command, core, limit_s, may_fail=False):
    """Runs the generator; returns its report. Raises Failed when it did not end well, or, where it may fail, when it
    has no report."""
    child = children.start(command, core)
    try:
        out, err = child.communicate(timeout=limit_s)
    except subprocess.TimeoutExpired:
        children.stop(child)
        raise Failed(f"the load did not end within {limit_s:.0f} s")
    finally:
        children.stop(child)
    try:
        report = json.loads(out) if out.strip() else {}
    except json.JSONDecodeError:
        raise Failed(f"the load's report is not JSON: {out[:200]!r}")
    if child.returncode != 0 and not (may_fail and report):
        raise Failed(f"exit code {child.returncode}: {err.strip()[-300:]}")
    return report


def summary(values):
    return {"median": statistics.median(values), "min": min(values), "max": max(values), "runs": len(values),
            "values": values}


def progress(text):
    if sys.stderr.isatty():
        sys.stderr.write("\r\033[K" + text)
        sys.stderr.flush()


def number(value, factor):
    value *= factor
    return f"{value:.0f}" if abs(value) >= 1000 else f"{value:.3g}" if abs(value) < 10 else f"{value:.1f}"


def first_line(path, pattern):
    try:
        with open(path) as file:
            found = re.search(pattern, file.read(), re.M)
            return found.group(1).strip() if found else None
    except OSError:
        return None


def version_of(command):
    try:
        out = subprocess.run(command, capture_output=True, text=True, timeout=5)
        return (out.stdout or out.stderr).strip().split("\n")[0]
    except (OSError, subprocess.SubprocessError):
        return None


def machine(options, versions):
    commit = version_of(["git", "-C", ROOT, "rev-parse", "--short", "HEAD"])
    if commit and version_of(["git", "-C", ROOT, "status", "--porcelain", "--untracked-files=no"]):
        commit += "+"  # and what is not committed yet
    return {"cpu": first_line("/proc/cpuinfo", r"^model name\s*:\s*(.*)$") or platform.machine(),
            "cpus": os.cpu_count(), "kernel": platform.release(),
            "hypervisor": "hypervisor" in (first_line("/proc/cpuinfo", r"^flags\s*:(.*)$") or ""),
            "congestion_control": first_line("/proc/sys/net/ipv4/tcp_congestion_control", r"(.*)"),
            "server_cpu": options.server_cpu, "load_cpu": options.load_cpu, "nice": options.nice,
            "load_average": os.getloadavg(),
            "versions": versions, "commit": commit}
