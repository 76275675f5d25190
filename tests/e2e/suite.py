"""suite: what the suites that test spate alone have in common: their register of tests, a command run to its end, and
questions to the admin address."""
import json
import os
import re
import subprocess
import time
import urllib.request

from server import PATIENCE
from talk import Wire

EXIT_OK, EXIT_FAILED, EXIT_USAGE, EXIT_UNREACHABLE, EXIT_CONFIG = 0, 1, 2, 69, 78
SECONDS = 20 * PATIENCE


class Skipped(Exception):
    """This test cannot run here, and why."""


class Suite:
    """The tests of one module, in the order in which they are written: @it('does this')."""

    def __init__(self):
        self.tests = []

    def it(self, name):
        def register(play):
            self.tests.append((name, play))
            return play
        return register

    def run(self, results, options):
        if options.server != 'spate':
            return
        for name, play in [one for one in self.tests if options.name in one[0]]:
            began = time.monotonic()
            try:
                play()
                results.passed(f'spate {name}', time.monotonic() - began)
            except Skipped as why:
                results.skip(f'spate {name}', why)
            except (AssertionError, OSError, RuntimeError, ValueError, subprocess.TimeoutExpired) as error:
                results.fail(f'spate {name}', repr(error) if not str(error) else error)


def clean_environment():
    return {k: v for k, v in os.environ.items() if not k.startswith(('SPATE_', 'E2E_'))}


def spate(*arguments, before=None, seconds=SECONDS):
    """Runs a command to its end: (exit status, everything it said)."""
    done = subprocess.run([os.environ['SPATE_BIN'], *arguments], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False,
                          stdin=subprocess.DEVNULL, timeout=seconds, preexec_fn=before, env=clean_environment())
    return done.returncode, done.stdout


def works(server):
    """A message goes through."""
    wire = Wire(server)
    wire.say('CONNECT {"verbose":false}', 'SUB works.a 1', 'PUB works.a 2', 'ok')
    wire.hear('MSG works.a 1 2\r\nok\r\n')
    wire.close()


def admin_of(server):
    """HOST:PORT of the admin address of a server that was started with --admin 127.0.0.1:0: the last that it listens on."""
    deadline = time.monotonic() + SECONDS
    while not (found := re.search(r'event=listening address=([0-9.:]+) protocol=admin', server.log())):
        assert time.monotonic() < deadline, server.log()
        time.sleep(0.005)
    return found.group(1)


def ask(admin, path):
    """What it answers in JSON; urllib.error.HTTPError when it refuses."""
    with urllib.request.urlopen(f'http://{admin}{path}', timeout=SECONDS) as answer:
        assert answer.status == 200 and answer.headers['Content-Type'] == 'application/json', answer.headers
        return json.load(answer)
