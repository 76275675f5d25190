"""top: `spate top` on a terminal and on a pipe: it draws, obeys its keys, outlives the engine, lets nothing of a client
through to the terminal, and gives the terminal back whatever ends it."""
import json
import os
import re
import shutil
import signal
import socket
import tempfile

from lagging import Client, publish
from screen import Terminal
from server import PATIENCE, Server
from suite import EXIT_OK, EXIT_UNREACHABLE, EXIT_USAGE, Suite, admin_of, ask, spate

suite = Suite()
it = suite.it

LIMIT = 64 << 10
TIMEOUT_MS = int(1500 * PATIENCE)


def engine(*flags):
    return Server('spate', flags=['--admin', '127.0.0.1:0', '--max-lag', str(LIMIT), '--send-buffer', '16KiB', *flags])


def command(address, *flags):
    return [os.environ['SPATE_BIN'], 'top', '--admin', address, '--interval', '100ms', *flags]


def has_ended_well(terminal, status=EXIT_OK):
    ended = terminal.wait_end()
    assert ended == status, (ended, str(terminal.screen))
    assert terminal.is_restored(), terminal.screen.modes
    assert not terminal.screen.strange, terminal.screen.strange


@it('top draws a page, follows the size, pauses, and q gives the terminal back')
def _():
    with engine() as server, Terminal(command(admin_of(server))) as terminal:
        terminal.wait_for('● ready')
        terminal.wait_for('REACTOR')
        terminal.wait_for('every ')
        assert terminal.screen.modes['1049'] and not terminal.screen.modes['25']
        terminal.resize(40, 10)
        terminal.wait(lambda: terminal.screen.lines()[9].startswith('q quit'), 'the keys are not in the last line of 40 by 10')
        assert '● ready' in terminal.screen.lines()[0]
        terminal.resize(180, 50)
        terminal.wait(lambda: terminal.screen.lines()[49].startswith('q quit'), 'the keys are not in the last line of 180 by 50')
        terminal.press('?')
        terminal.wait_for('any key goes back')
        terminal.press('x')
        terminal.wait_for('● ready')
        terminal.press('++++++')
        terminal.wait_for('every 10s')
        terminal.press('------')
        terminal.wait(lambda: 'every 10s' not in str(terminal.screen), 'the interval stays')
        terminal.press(' ')
        terminal.wait_for('paused')
        # Nobody asks while it is paused: the admin connection counts what it takes.
        before = ask(admin_of(server), '/status')['counters']['receives']
        after = ask(admin_of(server), '/status')['counters']['receives']
        for _ in range(3):
            terminal.read(0.1)
        assert ask(admin_of(server), '/status')['counters']['receives'] - after == after - before, 'it asks while it is paused'
        terminal.press(' ')
        terminal.wait(lambda: 'paused' not in str(terminal.screen), 'it stays paused')
        terminal.press('q')
        has_ended_well(terminal)


@it('top gives the terminal back on SIGTERM, SIGINT, Ctrl-C and SIGHUP')
def _():
    with engine() as server:
        for how in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, '\x03'):
            with Terminal(command(admin_of(server))) as terminal:
                terminal.wait_for('● ready')
                if isinstance(how, str):
                    terminal.press(how)
                else:
                    terminal.process.send_signal(how)
                has_ended_well(terminal)


@it('top ends on SIGTERM on a terminal that was stopped with Ctrl-S, too')
def _():
    with engine() as server, Terminal(command(admin_of(server), '--interval', '100ms')) as terminal:
        terminal.wait_for('● ready')
        terminal.press('\x13')
        while terminal.read(0.5):
            pass
        terminal.process.send_signal(signal.SIGTERM)
        has_ended_well(terminal)


@it('top gives the terminal back to the shell when it is suspended, and draws anew when it goes on')
def _():
    if not shutil.which('bash'):
        return
    shell = ['bash', '--norc', '--noprofile', '-i']
    with engine() as server, Terminal(shell, environment={'PS1': 'prompt> '}) as terminal:
        terminal.press(' '.join(command(admin_of(server))) + '\n')
        terminal.wait_for('● ready')
        terminal.press('\x1a')
        terminal.wait(lambda: not terminal.screen.modes['1049'] and 'Stopped' in ''.join(terminal.screen.main), 'it was not suspended')
        assert terminal.screen.modes['25'] and terminal.screen.modes['7']
        terminal.screen.cells = [[' '] * terminal.screen.width for _ in range(terminal.screen.height)]
        terminal.press('fg\n')
        terminal.wait(lambda: terminal.screen.modes['1049'], 'it did not go on')
        terminal.wait_for('● ready')
        terminal.press('q')
        terminal.wait(lambda: not terminal.screen.modes['1049'], 'it did not end')
        terminal.press('exit\n')
        terminal.wait_end()


@it('top stays when the engine goes, says so, and notices that another was started')
def _():
    folder = tempfile.mkdtemp(prefix='spate-top-')
    path = f'unix:{folder}/admin'
    try:
        with Server('spate', flags=['--admin', path]) as server, Terminal(command(path, '--timeout', f'{TIMEOUT_MS}ms')) as terminal:
            terminal.wait_for('● ready')
            terminal.press('\t')
            server.process.send_signal(signal.SIGSTOP)
            terminal.wait_for('unreachable since')
            terminal.wait_for(f'did not answer for {TIMEOUT_MS} ms')
            server.process.send_signal(signal.SIGCONT)
            terminal.wait_for('the engine answers again')
            server.stop()
            terminal.wait_for('unreachable since')
            terminal.wait_for('nobody listens')
            server.restart()
            terminal.wait_for('started anew')
            terminal.wait_for('● ready')
            terminal.press('q')
            has_ended_well(terminal)
    finally:
        shutil.rmtree(folder)


@it('top lets nothing of a client name, subject or user through to the terminal')
def _():
    evil = 'a\\u001b]0;owned\\u0007\\u001b[2J\\u001b[31mred\\u009b5n\\r\\n\\u202eback'
    with engine() as server:
        reader = Client(server, 'md.>')
        reader.say('CONNECT {"verbose":false,"name":"%s"}\r\n' % evil)
        reader.settle()
        publish(server, ['md.\x1b[31m\x9b5n'], 3000)
        with Terminal(command(admin_of(server)), width=250, height=40) as terminal:
            terminal.wait_for('slow_consumer')
            terminal.wait_for('owned')
            terminal.wait_for('\\x1b]0;owned\\x07\\x1b[2J\\x1b[31mred')
            terminal.press('q')
            has_ended_well(terminal)
        status, text = spate('top', '--admin', admin_of(server), '--interval', '100ms')
        assert status == EXIT_OK and 'owned' in text and not re.search('[\x00-\x09\x0b-\x1f\x7f-\x9f\u202e]', text), repr(text)
        status, text = spate('top', '--admin', admin_of(server), '--interval', '100ms', '--json')
        assert status == EXIT_OK and text.isascii() and '\x1b' not in text
        assert 'owned' in json.loads(text)['losses']['last'][0]['name']


@it('top prints a page or a line of JSON where there is no terminal, and ends')
def _():
    with engine() as server:
        admin = admin_of(server)
        status, text = spate('top', '--admin', admin, '--interval', '100ms')
        assert status == EXIT_OK and 'ready' in text and 'events in' in text and '\x1b' not in text, text
        status, text = spate('top', '--admin', admin, '--interval', '100ms', '--json', '--count', '3')
        lines = [json.loads(line) for line in text.splitlines()]
        assert status == EXIT_OK and len(lines) == 3, text
        assert all(0.05 < line['seconds'] for line in lines), text
        assert lines[2]['uptime_seconds'] > lines[0]['uptime_seconds']
        assert lines[0]['per_second']['events_received'] == 0 and lines[0]['totals']['connections'] >= 1
        # One connection serves all its questions.
        counters = [ask(admin, '/status')['counters']['connections_accepted'] for _ in range(2)]
        spate('top', '--admin', admin, '--interval', '100ms', '--count', '3')
        assert ask(admin, '/status')['counters']['connections_accepted'] - counters[1] == 2 * (counters[1] - counters[0])
        with Terminal(command(admin), environment={'TERM': 'dumb'}) as terminal:
            assert terminal.wait_end() == EXIT_OK and terminal.is_restored()
            assert 'ready' in ''.join(terminal.screen.main) and not terminal.screen.strange
        with Terminal(command(admin, '--count', '2'), environment={'LANG': 'C', 'LC_ALL': 'C', 'NO_COLOR': '1'}) as terminal:
            terminal.wait_for('* ready')
            assert str(terminal.screen).isascii()
            has_ended_well(terminal)


@it('top says what is wrong with its arguments and with an address where no engine is')
def _():
    with socket.socket() as deaf:
        deaf.bind(('127.0.0.1', 0))
        nobody = '127.0.0.1:%d' % deaf.getsockname()[1]
        status, text = spate('top', '--admin', nobody)
        assert status == EXIT_UNREACHABLE and text.startswith(f'spate top: nobody listens at {nobody}'), text
    for flags, said in ((['--admin', 'none'], 'cannot be asked'), (['--interval', '1ms'], 'less than 100ms'), (['x'], 'takes only options'),
                        (['--onse'], 'did you mean'), (['--count', 'many'], 'not a number')):
        status, text = spate('top', *flags)
        assert status == EXIT_USAGE and said in text and text.count('\n') == 1, (flags, text)
    with socket.create_server(('127.0.0.1', 0)) as silent:
        status, text = spate('top', '--admin', '127.0.0.1:%d' % silent.getsockname()[1], '--timeout', '200ms')
        assert status == EXIT_UNREACHABLE and 'did not answer for 200 ms' in text, text
    status, text = spate('top', '--help')
    assert status == EXIT_OK and '--interval' in text and 'spate top [options]' in text
