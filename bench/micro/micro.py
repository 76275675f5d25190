"""micro: what run and counts share: where the programs are, and how one is run. Imported by the scripts beside it."""

import json
import os
import subprocess
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))
NAMES = ["stream", "nats", "match", "mailbox", "ring", "timerwheel"]


class Failed(Exception):
    pass


def wanted(only):
    """The names that were asked for, separated by commas; all when nothing was."""
    names = only.split(",") if only else NAMES
    for name in names:
        if name not in NAMES:
            raise Failed(f"there is no micro benchmark '{name}'; there are {', '.join(NAMES)}")
    return names


def program(build, name):
    path = os.path.join(build, "bench", "micro", f"micro_{name}")
    if not os.access(path, os.X_OK):
        raise Failed(f"{path} is not there: meson setup {build} && ninja -C {build}")
    return path


def told(command):
    """The cases that a program told as JSON."""
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise Failed(f"{' '.join(command)} ended with {done.returncode}: {done.stderr.strip()[-500:]}")
    return json.loads(done.stdout)["cases"]


def failing(main):
    """Runs `main`; a failure is one line and exit code 1."""
    try:
        sys.exit(main())
    except Failed as failure:
        print(f"{os.path.basename(sys.argv[0])}: {failure}", file=sys.stderr)
        sys.exit(1)
