"""quotas: how many patterns a user may have and of how many shapes, how fast anybody may subscribe, and what becomes of all
that when he leaves. Nothing of it may hold up others, or lose anything but what was refused."""
import json
import os
import signal
import subprocess
import tempfile
import threading
import time

import users
from admin import REACTORS, Watched, until
from suite import SECONDS, Suite
from talk import Wire, Wrong

suite = Suite()
it = suite.it

SLOW = '$2b$10$/DGJofs0UMaleLn9sNoQzuyt7p3rqvBXttnBrhMMpK4Wph9zGFoki'  # plain, which takes a tenth of a second to see
FULL = "-ERR 'maximum subscriptions exceeded'\r\n"
VIOLATION = "-ERR 'Permissions Violation for Subscription to "
SHAPES = "-ERR 'maximum subscriptions exceeded - too many positions of wildcards'\r\n"


def metric(server, line):
    for row in server.ask('/metrics')[2].decode().splitlines():
        if row.startswith(line + ' '):
            return float(row.split()[-1])
    raise AssertionError(line)


def subscriptions(server):
    """As each reactor has counted them a moment ago: to be waited for."""
    return sum(reactor['subscriptions'] for reactor in server.json('/status')['reactors'])


def enter(server, name='', lines=()):
    """Let in before it says the lines: who is not yet may not say much."""
    wire = Wire(server)
    fields = {'verbose': False, **({'user': name, 'pass': 'plain'} if name else {})}
    wire.say('CONNECT ' + json.dumps(fields))
    wire.settle()
    if lines:
        wire.say(*lines)
    return wire


def reactor_of(wire):
    return wire.info['client_id'] >> 48


def enter_beside(server, other, name):
    """On the same reactor as another."""
    while True:
        wire = enter(server, name)
        if reactor_of(wire) == reactor_of(other):
            return wire
        wire.close()


def hear(server, wire, text):
    """Where it does not come, what the server knows of itself is told, too."""
    try:
        wire.hear(text)
    except Wrong as error:
        raise Wrong(f'{error}; {server.json("/status")}; {server.json("/connections")}; {server.log()[-1000:]}') from error


def answers(wire, *lines):
    """What is said to these lines, all of it."""
    wire.say(*lines, 'PING')
    said = []
    while True:
        said += wire.hear_count(1, SECONDS)
        if said[-1] == 'PONG\r\n':
            return said[:-1]


class WithUsers(Watched):
    """ann, who must not have secret.*, and bob."""

    def __init__(self, *flags):
        self.folder = tempfile.TemporaryDirectory()
        self.path = os.path.join(self.folder.name, 'users.json')
        self.write_users()
        super().__init__('--users', self.path, *flags)

    def write_users(self, **more):
        with open(self.path, 'w', encoding='utf-8') as file:
            json.dump({'users': [{'name': 'ann', 'password': users.PLAIN, 'subscribe': {'deny': ['secret.*']}, **more},
                                 {'name': 'bob', 'password': users.PLAIN}]}, file)


@it('refuses one shape too many, and takes more patterns of the shapes there are')
def _():
    with Watched('--max-user-shapes', '2') as server:
        wire = enter(server)
        assert answers(wire, 'SUB a.* 1', 'SUB b.* 2', 'SUB a.> 3', 'SUB literal.a.b.c 4') == []
        assert answers(wire, 'SUB *.a 5', 'SUB c.> 6', 'SUB *.*.* 7', 'SUB a 8') == [SHAPES, SHAPES]
        assert metric(server, 'spate_subscriptions_over_limit_total{option="max-user-shapes"}') == 2
        assert 'event=subscription_refused' in server.log() and 'option=--max-user-shapes' in server.log(), server.log()
        # Who gives a shape up has room for another; one of two patterns of a shape does not give it up.
        assert answers(wire, 'UNSUB 1', 'SUB *.a 9') == [SHAPES]
        assert answers(wire, 'UNSUB 2', 'SUB *.a 10') == []
        # Another connection has a quota of its own where there are no users.
        other = enter(server)
        assert answers(other, 'SUB *.*.*.* 1', 'SUB *.*.> 2', 'SUB *.b 3') == [SHAPES]
        other.close()
        wire.close()


@it('counts what a user has on all its connections, once')
def _():
    with WithUsers('--max-user-patterns', '3', '--max-user-shapes', '1') as server:
        first, second, bob = enter(server, 'ann'), enter(server, 'ann'), enter(server, 'bob')
        assert answers(first, 'SUB a 1', 'SUB b.* 2', 'SUB b.* g 3') == []
        if REACTORS == 1:
            assert answers(second, 'SUB a 1', 'SUB b.* 2', 'SUB c 3') == []
            assert answers(second, 'SUB d 4') == [FULL] and answers(first, 'SUB e 5', 'SUB a 6', 'SUB c 7') == [FULL]
        else:
            # The same on two reactors counts on each.
            assert [answers(second, f'SUB p{i} {i}') for i in range(5)].count([FULL]) == 4
        assert answers(bob, 'SUB a 1', 'SUB b 2', 'SUB *.c 3', 'SUB d 4') == [FULL]
        assert metric(server, 'spate_subscriptions_over_limit_total{option="max-user-patterns"}') >= 2
        first.close()
        until('what ann had on it is gone', lambda: subscriptions(server) == (6 if REACTORS == 1 else 4))
        third = enter(server, 'ann')
        assert len(answers(third, 'SUB x 1', 'SUB y 2', 'SUB z 3')) == (3 if REACTORS == 1 else 1)
        for wire in (second, third, bob):
            wire.close()
        until('all is gone', lambda: subscriptions(server) == 0)
        last = enter(server, 'ann')
        assert answers(last, 'SUB 1 1', 'SUB 2.> 2', 'SUB 3 3') == [] and answers(last, 'SUB *.4 4') == [FULL]
        last.close()


@it('leaves others room for their patterns, whatever one user takes')
def _():
    with WithUsers('--max-patterns', '1000') as server:
        greedy = [enter(server, 'ann') for _ in range(3)]
        refused = []
        for i, wire in enumerate(greedy):
            refused += answers(wire, *[f'SUB greed.{i}.{j} {j}' for j in range(500)])
        assert refused == [FULL] * len(refused) and 625 <= len(refused) <= 640, len(refused)
        # An eighth was kept: for bob, and for ann as soon as she has but a little.
        bob = enter(server, 'bob')
        assert answers(bob, *[f'SUB bob.{i} {i}' for i in range(100)], 'PUB bob.7 2', 'ok') == ['MSG bob.7 7 2\r\nok\r\n']
        assert answers(greedy[0], 'SUB more 1000', 'SUB greed.0.0 1001') == [FULL]
        for wire in greedy[1:]:
            wire.close()
        for wire in [greedy[0], bob]:
            wire.close()
        until('all is gone', lambda: subscriptions(server) == 0)


@it('serves others while one user tries every limit there is')
def _():
    flags = ('--max-user-patterns', '3000', '--max-user-shapes', '20', '--max-subscriptions', '1500')
    with WithUsers(*flags) as server:
        stars = ['.'.join('*' if bits >> i & 1 else 'a' for i in range(6)) for bits in range(64)]
        attack = ['SUB ' + 'x' * 1025 + ' l', 'SUB ' + '.'.join('x' * 33) + ' d', 'SUB a..b e', 'SUB secret.a f']
        attack += [f'SUB {shape} s{i}' for i, shape in enumerate(stars)]              # more shapes than a user may have
        attack += [f'SUB p.{i} {i}' for i in range(2000)]                             # more than a connection may have
        attack += [f'UNSUB {i}' for i in range(1000)] + [f'SUB q.{i} {i}' for i in range(1000)]
        data = ''.join(line + '\r\n' for line in attack).encode()
        greedy = [enter(server, 'ann') for _ in range(4)]
        senders = [threading.Thread(target=wire.socket.sendall, args=(data,)) for wire in greedy]
        for sender in senders:
            sender.start()
        bobs = [enter(server, 'bob') for _ in range(REACTORS)]
        rounds = 0
        while any(sender.is_alive() for sender in senders) or rounds < 20:
            for bob in bobs:
                n = rounds % 100
                assert answers(bob, f'SUB mine.{n}.* 1', f'SUB mine.> g 2', f'PUB mine.{n}.x 2', 'ok') == [
                    f'MSG mine.{n}.x 1 2\r\nok\r\n', f'MSG mine.{n}.x 2 2\r\nok\r\n'], rounds
                assert answers(bob, 'UNSUB 1', 'UNSUB 2', f'PUB mine.{n}.x 2', 'no') == []
            rounds += 1
        for sender in senders:
            sender.join()
        said = {one.split('"')[0] for wire in greedy for one in answers(wire)}
        assert said == {FULL, SHAPES, VIOLATION}, said
        for wire in greedy + bobs:
            wire.close()
        until('all is gone', lambda: subscriptions(server) == 0)


@it('tells applications of their limits, and lets them go on')
def _():
    with tempfile.NamedTemporaryFile('w', suffix='.json') as file:
        json.dump({'users': [{'name': 'ann', 'password': users.PLAIN}]}, file)
        file.flush()
        with Watched('--users', file.name, '--max-user-patterns', '3', '--max-user-shapes', '1') as server:
            done = subprocess.run(['node', '--no-warnings', os.path.join(os.path.dirname(__file__), 'clients', 'quotas.mjs')],
                                  env=os.environ | {'E2E_ADDRESS': '%s:%d' % server.address}, capture_output=True, text=True,
                                  timeout=SECONDS, check=False)
            assert done.returncode == 0, done.stderr[:2000]


@it('lets a client that comes again have what it had, while that is still being taken away')
def _():
    with WithUsers('--max-user-patterns', '10000') as server:
        for _ in range(3):
            wire = enter(server, 'ann')
            wire.socket.sendall(b''.join(b'SUB data.%d %d\r\n' % (i, i) for i in range(10_000)))
            assert answers(wire) == []
            wire.socket.close()
        until('all is gone', lambda: subscriptions(server) == 0)


@it('holds who subscribes too fast, and loses nothing of it')
def _():
    with Watched('--subscribe-rate', '50', '--subscribe-burst', '5') as server:
        wire = enter(server)
        began = time.monotonic()
        # 5 at once, and 10 more take a fifth of a second at least.
        assert answers(wire, *[f'SUB a.{i} {i}' for i in range(15)]) == []
        assert time.monotonic() - began >= 0.19
        until('all are counted', lambda: subscriptions(server) == 15)
        assert metric(server, 'spate_subscribers_held_total{reason="rate"}') > 0
        assert 'event=subscriber_held' in server.log() and 'option=--subscribe-rate' in server.log()
        # What follows waits behind: an event that was sent after the SUB comes by it.
        wire.say(*[f'SUB b.{i} b{i}' for i in range(10)], 'PUB b.9 2', 'hi')
        wire.hear('MSG b.9 b9 2\r\nhi\r\n')
        # Others are not held by it, nor is who unsubscribes.
        other = enter(server)
        assert answers(other, 'SUB c 1') == []
        assert answers(wire, *[f'UNSUB {i}' for i in range(15)]) == []
        # What one that goes has said before is taken at the same rate, and then it is let go.
        wire.say(*[f'SUB d.{i} d{i}' for i in range(50)])
        wire.close()
        other.close()
        until('all is gone', lambda: subscriptions(server) == 0)


@it('takes many subscriptions over many turns, and lets them go over many')
def _():
    with Watched() as server:
        wire, other = enter(server), enter(server, lines=['SUB same 1'])
        count = 20_000
        lines = b''.join(b'SUB same %d\r\nSUB many.%d x%d\r\n' % (i, i, i) for i in range(count))
        wire.socket.sendall(lines)
        assert answers(wire) == []
        until('all are counted', lambda: subscriptions(server) == 2 * count + 1)
        # On another reactor than the first it may wait for answers more often than for turns.
        assert REACTORS > 1 or metric(server, 'spate_subscribers_held_total{reason="turn"}') > 0
        wire.socket.close()
        # While they go, nobody gets anything by them, and all else goes on.
        for i in range(20):
            other.say('PUB same 1', str(i % 10))
            assert other.hear_count(1) == [f'MSG same 1 1\r\n{i % 10}\r\n']
        until('all but one is gone', lambda: subscriptions(server) == 1)
        other.close()


@it('finds the living member of a queue group among many that are leaving')
def _():
    with Watched() as server:
        wire, other = enter(server), enter(server, lines=['SUB jobs g 1', 'PING'])
        other.hear('PONG\r\n')
        wire.socket.sendall(b''.join(b'SUB jobs g %d\r\n' % i for i in range(20_000)))
        assert answers(wire) == []
        until('all are counted', lambda: subscriptions(server) == 20_001)
        wire.socket.close()
        until('it begins to leave', lambda: subscriptions(server) < 20_001)
        other.say('PUB jobs 4', 'last')
        other.hear('MSG jobs 1 4\r\nlast\r\n')
        until('all but one is gone', lambda: subscriptions(server) == 1)
        other.close()


@it('reads users again while one of them, with many subscriptions, is leaving')
def _():
    with WithUsers() as server:
        for i in range(3):
            wire = enter(server, 'ann')
            bob = enter_beside(server, wire, 'bob')
            wire.socket.sendall(b''.join(b'SUB secret.> %d\r\nSUB many.%d x%d\r\n' % (j, j, j) for j in range(8_000)))
            assert answers(wire) == []
            wire.socket.close()
            before = server.log().count('event=users_reloaded')
            server.write_users(publish={'deny': [f'none.{i}']})
            server.process.send_signal(signal.SIGHUP)
            # He does not wait for all that she leaves behind.
            bob.say('SUB secret.a 1', 'PUB secret.a 1', 'x')
            hear(server, bob, 'MSG secret.a 1 1\r\nx\r\n')
            until('the users are read', lambda: server.log().count('event=users_reloaded') > before)
            bob.close()
        until('all is gone', lambda: subscriptions(server) == 0)


@it('tells who says too much before it is logged in')
def _():
    with WithUsers() as server:
        server.write_users(password=SLOW)
        server.process.send_signal(signal.SIGHUP)
        until('the users are read', lambda: 'event=users_reloaded' in server.log())
        wire = Wire(server)
        connect = b'CONNECT {"verbose":false,"user":"ann","pass":"plain"}\r\n'
        wire.socket.sendall(connect + b'PING\r\n' * 2000)
        wire.hear("-ERR 'maximum bytes before login exceeded'\r\n")
        wire.hear_end()
        wire.close()
        wire = Wire(server)
        wire.socket.sendall(connect + b'PING\r\n' * 1000)
        wire.hear('PONG\r\n' * 1000)
        wire.close()


@it('ends well with clients that are leaving, or held')
def _():
    server = Watched('--subscribe-rate', '10', '--subscribe-burst', '20k', '--drain-timeout', '1s')
    wire, held = enter(server), enter(server)
    wire.socket.sendall(b''.join(b'SUB many.%d %d\r\n' % (i, i) for i in range(15_000)))
    assert answers(wire) == []
    held.socket.sendall(b''.join(b'SUB many.%d %d\r\n' % (i, i) for i in range(21_000)))
    until('it is held', lambda: metric(server, 'spate_subscribers_held_total{reason="rate"}') > 0)
    wire.socket.close()
    assert server.stop(signal.SIGTERM) == 0, server.log()
    held.close()
