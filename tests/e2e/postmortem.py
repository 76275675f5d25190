"""postmortem: what is left of a server that crashed or hung: a line, and a file that tells what its reactors did last.
Part of the suite lifecycle."""
import http.client
import json
import os
import re
import signal
import stat
import tempfile
import time

from server import Server
from service import Held, wait_for
from suite import EXIT_CONFIG, EXIT_FAILED, EXIT_OK, SECONDS, Skipped, Suite, admin_of, spate
from talk import Wire

suite = Suite()
it = suite.it

ADMIN = ['--admin', '127.0.0.1:0']


def without_sanitizer():
    with open(os.environ['SPATE_BIN'], 'rb') as file:
        if re.search(rb'__(asan|tsan)_init', file.read()):
            raise Skipped('a sanitizer tells of crashes in its own way')


def read(path, *flags):
    status, said = spate('postmortem', path, '--json', '--limit', '0', *flags)
    assert status == EXIT_OK, said
    return json.loads(said)


def get(admin, path):
    link = http.client.HTTPConnection(admin, timeout=SECONDS)
    link.request('GET', path)
    answer = link.getresponse()
    return answer.status, answer.read().decode()


@it('leaves a line and a file when it crashes, whichever thread and signal it is, and nothing of what clients said in it')
def _():
    without_sanitizer()
    for number in (signal.SIGSEGV, signal.SIGABRT, signal.SIGBUS, signal.SIGFPE, signal.SIGILL):
        with tempfile.TemporaryDirectory() as folder, Server('spate', flags=['--reactors', '2', '--postmortem', folder]) as server:
            wire = Wire(server)
            wire.say('CONNECT {"verbose":false,"name":"whose-name"}', 'SUB secret.subject 1', 'PUB secret.subject 14', 'secret-payload')
            wire.hear('MSG secret.subject 1 14\r\nsecret-payload\r\n')
            server.process.send_signal(number)
            assert server.process.wait(SECONDS) == -number
            line = re.search(r'^level=error event=crashed signal=(\w+) .*thread=spate reactor=0 postmortem=(.*)$', server.log(), re.M)
            assert line and line.group(1) == number.name, server.log()
            path = line.group(2)
            assert path == f'{folder}/spate-{server.process.pid}-crash.flight', path
            assert stat.S_IMODE(os.stat(path).st_mode) == 0o600
            with open(path, 'rb') as file:
                data = file.read()
            for secret in (b'secret', b'whose-name', b'127.0.0.1'):
                assert secret not in data
            told = read(path)
            assert told['reason'] == 'crash' and told['crash']['signal'] == number and told['is_whole'], told
            assert len(told['reactors']) == 2 and told['reactors'][0]['turn'] > 0, told
            what = [event['what'] for event in told['events']]
            assert what.count('opened') == 1 and 'received' in what and 'subscribed' in what, what
            status, said = spate('postmortem', path)
            assert status == EXIT_OK and f'signal  {number.name} ({number:d})' in said and ' opened connection=' in said, said


@it('says in one line that a postmortem is cut, or is none')
def _():
    with tempfile.TemporaryDirectory() as folder, Server('spate', flags=ADMIN + ['--postmortem', folder]) as server:
        status, said = spate('postmortem', '--now', '--admin', admin_of(server))
        path = f'{folder}/spate-{server.process.pid}-asked.flight'
        assert (status, said) == (EXIT_OK, f'written: {path}\n'), said
        assert read(path)['reason'] == 'asked'
        os.truncate(path, 20000)
        status, said = spate('postmortem', path)
        assert status == EXIT_FAILED and 'the file ends in its middle, at 20000 of ' in said, said
        os.truncate(path, 3)
        status, said = spate('postmortem', path)
        assert status == EXIT_FAILED and said.count('\n') == 1 and 'was it cut?' in said, said
        # A signal asks for the same, and replaces what was there.
        server.process.send_signal(signal.SIGUSR1)
        wait_for(server, 'event=postmortem reason=asked ', 2)
        assert read(path)['is_whole']


@it('writes no postmortem where it may not, and says so')
def _():
    status, said = spate('run', '--listen', '127.0.0.1:0', '--admin', 'none', '--postmortem', '/nowhere/at/all')
    assert status == EXIT_CONFIG and '--postmortem /nowhere/at/all cannot be written to: ' in said, said
    with Server('spate', flags=ADMIN + ['--postmortem', 'none']) as server:
        status, said = spate('postmortem', '--now', '--admin', admin_of(server))
        assert status == EXIT_FAILED and 'there is no folder for it: start with --postmortem DIR' in said, said
        server.process.send_signal(signal.SIGUSR1)
        wait_for(server, 'event=postmortem_failed ', 2)
        assert server.is_alive()


@it('tells where a reactor is that turns no more, is not ready meanwhile, and goes on when it can')
def _():
    with tempfile.TemporaryDirectory() as folder, \
            Server('spate', flags=ADMIN + ['--reactors', '2', '--postmortem', folder]) as server:
        admin = admin_of(server)
        assert get(admin, '/readyz') == (200, 'ok\n')
        with Held(server, 'spate-1'):
            wait_for(server, r'event=reactor_is_at reactor=1 step="polls" connection=0 ')
            wait_for(server, 'event=postmortem reason=stuck ')
            told = read(f'{folder}/spate-{server.process.pid}-stuck.flight')
            assert told['reason'] == 'stuck' and told['reactor'] == 1, told
            deadline = time.monotonic() + SECONDS
            while get(admin, '/readyz') != (503, '[-] turning: reactor 1 turns no more (1 of 2)\nnot ready\n'):
                assert time.monotonic() < deadline, get(admin, '/readyz')
                time.sleep(0.05)
            assert get(admin, '/healthz')[0] == 200
            assert '\nspate_reactors_stuck 1\n' in get(admin, '/metrics')[1]
        wait_for(server, 'event=reactor_turns_again reactor=1 ')
        while get(admin, '/readyz')[0] != 200:
            assert time.monotonic() < deadline
            time.sleep(0.05)
        metrics = get(admin, '/metrics')[1]
        assert '\nspate_reactors_stuck 0\n' in metrics and '\nspate_reactor_stalls_total 1\n' in metrics


@it('ends with status 1 where it was told to, when a reactor turns no more')
def _():
    with Server('spate', flags=['--reactors', '2', '--stuck-exit', '3s']) as server:
        with Held(server, 'spate-1') as held:
            assert held.wait_for_its_end() == EXIT_FAILED
        assert re.search('level=error event=ended_by_force reason="a reactor stands still" reactor=1 ', server.log()), server.log()
