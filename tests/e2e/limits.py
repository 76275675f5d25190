"""limits: what one connection may do to the others, and what becomes of who does more. Part of the suite lifecycle. Where
time is measured, only a lower bound is asked for: a busy machine may always be slower."""
import contextlib
import http.client
import json
import os
import re
import resource
import signal
import socket
import tempfile
import time

from server import PATIENCE, Server
from service import wait_for
from suite import EXIT_OK, EXIT_USAGE, SECONDS, Suite, admin_of, spate, works
from talk import Wire

suite = Suite()
it = suite.it

ADMIN = ['--admin', '127.0.0.1:0']


def metric(admin, name):
    link = http.client.HTTPConnection(admin, timeout=SECONDS)
    link.request('GET', '/metrics')
    text = link.getresponse().read().decode()
    link.close()
    return int(float(re.search(rf'^{re.escape(name)} (\S+)$', text, re.M).group(1)))


def until(what, holds):
    deadline = time.monotonic() + SECONDS
    while not holds():
        assert time.monotonic() < deadline, what
        time.sleep(0.02)


@contextlib.contextmanager
def pair(server, subject):
    """A publisher and a subscriber that has subscribed."""
    publisher, subscriber = Wire(server), Wire(server)
    subscriber.say('CONNECT {"verbose":false}', f'SUB {subject} 1')
    subscriber.settle()
    publisher.say('CONNECT {"verbose":false}')
    yield publisher, subscriber
    publisher.close()
    subscriber.close()


@it('holds whoever publishes faster than --publish-rate, loses none of it, and holds nobody else')
def _():
    with Server('spate', flags=[*ADMIN, '--publish-rate', '200', '--publish-burst', '100']) as server:
        with pair(server, 'fast.a') as (fast, reader), pair(server, 'slow.a') as (slow, other):
            began = time.monotonic()
            fast.send(b''.join(b'PUB fast.a 4\r\n%04d\r\n' % number for number in range(500)) + b'PING\r\n')
            # Whoever keeps to its rate is not held up meanwhile.
            for number in range(20):
                slow.say('PUB slow.a 2', f'{number:02}')
                slow.settle()
                other.hear(f'MSG slow.a 1 2\r\n{number:02}\r\n')
            fast.hear('PONG\r\n')
            took = time.monotonic() - began
            assert took > 1.9, f'500 events at 200 a second, 100 of them at once, took {took:.2f} s'
            heard = reader.hear_count(500)
            assert heard == [f'MSG fast.a 1 4\r\n{number:04}\r\n' for number in range(500)]
        assert metric(admin_of(server), 'spate_publishers_paced_total') > 0
        wait_for(server, 'event=publisher_held address=[^ ]+ option=--publish-rate limit=200 ')
        assert len(re.findall('event=publisher_held ', server.log())) == 1


@it('holds whoever publishes more bytes than --publish-bytes, and takes an event that is larger than that all the same')
def _():
    with Server('spate', flags=[*ADMIN, '--publish-bytes', '100KiB']) as server, pair(server, 'wide.a') as (wide, reader):
        began = time.monotonic()
        wide.say('PUB wide.a 300000', 'x' * 300000, 'PUB wide.a 2', 'ok', 'PING')
        wide.hear('PONG\r\n')
        took = time.monotonic() - began
        assert took > 1.8, f'300 kB at 100 KiB a second took {took:.2f} s'
        reader.hear(f'MSG wide.a 1 300000\r\n{"x" * 300000}\r\nMSG wide.a 1 2\r\nok\r\n')
        wait_for(server, 'event=publisher_held address=[^ ]+ option=--publish-bytes limit=102400 ')


@it('says +OK to each event of a publisher that it holds, once')
def _():
    with Server('spate', flags=['--publish-rate', '100', '--publish-burst', '2']) as server:
        wire = Wire(server)
        wire.say('CONNECT {"verbose":true,"pedantic":true}')
        wire.hear('+OK\r\n')
        wire.send(b'PUB held.a 2\r\nok\r\n' * 20 + b'PING\r\n')
        wire.hear('+OK\r\n' * 20 + 'PONG\r\n')
        wire.close()


@it('takes up another --publish-rate on reload, also for who is held at that moment')
def _():
    with tempfile.NamedTemporaryFile('w', suffix='.yaml') as file:
        def write(rate):
            file.seek(0)
            file.truncate()
            file.write(f'limits:\n  publish_rate: {rate}\n  publish_burst: 1\n')
            file.flush()
        write(1)
        with Server('spate', flags=['--config', file.name]) as server, pair(server, 'late.a') as (late, reader):
            late.send(b'PUB late.a 2\r\nok\r\n' * 200 + b'PING\r\n')
            wait_for(server, 'event=publisher_held ')
            write(0)
            server.process.send_signal(signal.SIGHUP)
            late.hear('PONG\r\n')
            reader.hear('MSG late.a 1 2\r\nok\r\n' * 200)


@it('publishes to the end what a held publisher has sent before it left')
def _():
    with Server('spate', flags=['--publish-rate', '100', '--publish-burst', '10']) as server:
        reader = Wire(server)
        reader.say('CONNECT {"verbose":false}', 'SUB left.a 1')
        reader.settle()
        with server.connect() as leaving:
            leaving.sendall(b'CONNECT {"verbose":false}\r\n' + b'PUB left.a 2\r\nok\r\n' * 100)
            leaving.shutdown(socket.SHUT_WR)
            reader.hear('MSG left.a 1 2\r\nok\r\n' * 100)
        reader.close()


def open_files(server):
    return len(os.listdir(f'/proc/{server.process.pid}/fd'))


def greeted(connections):
    """How many of them the server has said something to."""
    count = 0
    for connection in connections:
        connection.setblocking(False)
        with contextlib.suppress(BlockingIOError):
            count += connection.recv(1, socket.MSG_PEEK) == b'I'
    return count


@it('lets newcomers wait when no file descriptor is left, says so once, answers at its admin address, and goes on when there are some')
def _():
    with Server('spate', flags=[*ADMIN, '--reactors', '1']) as server:
        admin = admin_of(server)
        with pair(server, 'full.a') as (publisher, subscriber):
            _, hard = resource.prlimit(server.process.pid, resource.RLIMIT_NOFILE)
            resource.prlimit(server.process.pid, resource.RLIMIT_NOFILE, (open_files(server) + 5, hard))
            crowd = [server.connect() for _ in range(30)]
            wait_for(server, 'level=warn event=accepts_wait reason="Too many open files" ')
            until('five are let in', lambda: greeted(crowd) == 5)
            for number in range(10):
                assert metric(admin, 'spate_connections') >= 7
                publisher.say('PUB full.a 2', f'{number:02}')
                publisher.settle()
                subscriber.hear(f'MSG full.a 1 2\r\n{number:02}\r\n')
            assert greeted(crowd) == 5
            # Whoever leaves makes room for one that waits.
            crowd.pop(0).close()
            until('another is let in', lambda: greeted(crowd) == 5)
            resource.prlimit(server.process.pid, resource.RLIMIT_NOFILE, (hard, hard))
            until('all are let in', lambda: greeted(crowd) == 29)
            wait_for(server, 'event=accepts_go_on ')
            assert len(re.findall('event=accepts_wait ', server.log())) == 1, server.log()
            works(server)
            for connection in crowd:
                connection.close()


@it('is rid of half-open connections at the deadline, and lets a flood of newcomers come and go')
def _():
    with Server('spate', flags=['--handshake-timeout', '1s']) as server, pair(server, 'calm.a') as (publisher, subscriber):
        def attack(*words):
            status, said = spate('bench', 'abuse', *words, '--json', f'nats://{server.address[0]}:{server.address[1]}')
            assert status == EXIT_OK, said
            publisher.say('PUB calm.a 2', 'ok')
            publisher.settle()
            subscriber.hear('MSG calm.a 1 2\r\nok\r\n')
            return json.loads(said)
        half = attack('--attack', 'half', '--subscribers', '100', '--wrong-hosts', '16', '--seconds', f'{20 * PATIENCE:g}')
        assert half['opened'] == half['ended_by_server'] == 100 and half['open_at_end'] == 0, half
        flood = attack('--attack', 'connects', '--rate', '500', '--wrong-hosts', '16', '--seconds', '1')
        assert flood['opened'] > 0 and flood['ended_by_server'] == 0, flood
        status, said = spate('bench', 'abuse', '--attack', 'whole')
        assert status == EXIT_USAGE and '--attack is half or connects' in said, said


@it('holds no more than two blocks of memory for who has not logged in, and cuts it off at the deadline, however it trickles')
def _():
    with Server('spate', settings={'users': 'usual', 'auth_timeout': f'{2 * PATIENCE:g}s'}, flags=[*ADMIN, '--reactors', '1']) as server:
        admin, count = admin_of(server), 100
        before = metric(admin, 'spate_stream_memory_bytes')
        # As much of a CONNECT as a line may have, and never its end.
        half = b'CONNECT {"user":"' + b'a' * 3900
        crowd = [server.connect() for _ in range(count)]
        began, most = time.monotonic(), 0
        for connection in crowd:
            connection.sendall(half)
        while crowd and time.monotonic() - began < 4 * SECONDS:
            most = max(most, metric(admin, 'spate_stream_memory_bytes') - before)
            for connection in list(crowd):
                with contextlib.suppress(BlockingIOError, ConnectionError):
                    connection.setblocking(False)
                    connection.send(b'a' if len(crowd) % 2 else b'')
                    while data := connection.recv(4096):
                        pass
                    if not data:
                        connection.close()
                        crowd.remove(connection)
                        continue
                if connection.fileno() >= 0 and connection.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR):
                    connection.close()
                    crowd.remove(connection)
            time.sleep(0.02)
        assert not crowd, f'{len(crowd)} are still there'
        assert most <= count * 8192, f'{most // count} bytes for each'
        assert metric(admin, 'spate_connections_closed_total{reason="handshake_timeout"}') >= count // 2
        # What is more than that is refused, and told.
        with server.connect() as flood:
            flood.settimeout(SECONDS)
            with contextlib.suppress(ConnectionError):
                flood.sendall(b'CONNECT {"user":"x","pass":"y"}\r\n' + b'PUB a 10\r\n0123456789\r\n' * 1000)
                while flood.recv(65536):
                    pass
        wait_for(server, 'event=(input_refused|session_refused) ')
