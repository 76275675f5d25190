"""lagging: readers that stop or are slow, under each lag policy: what still comes, in which order, and that the account
says exactly what is missing. Nothing here has a reference."""
import json
import re
import socket
import threading
import time
import urllib.request

from server import PATIENCE, Server
from suite import EXIT_CONFIG, SECONDS, Suite, admin_of, spate

LIMIT = 256 << 10

suite = Suite()
it = suite.it


def engine(*flags):
    return Server('spate', flags=['--admin', '127.0.0.1:0', '--max-lag', str(LIMIT), '--send-buffer', '16KiB', *flags])


def asks(server, path):
    with urllib.request.urlopen(f'http://{admin_of(server)}{path}', timeout=SECONDS) as answer:
        return answer.read().decode()


def rows_of(server, client):
    """Those of /connections with the client's address."""
    rows = [row for reactor in json.loads(asks(server, '/connections?limit=1000'))['reactors'] for row in reactor['connections']]
    return [row for row in rows if row['address'] == '%s:%d' % client.socket.getsockname()]


def account(server, client):
    row, = rows_of(server, client)
    return row


class Client:
    """Speaks NATS and takes what it gets only when it is told to, through a small window."""

    def __init__(self, server, *subjects):
        self.socket = socket.socket()
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 16 << 10)
        self.socket.settimeout(SECONDS)
        self.socket.connect(server.address)
        self.raw = b''
        self.events, self.told = [], []  # (subject, number), and what was told of lagging
        self.say('CONNECT {"verbose":false}\r\n' + ''.join(f'SUB {one} {i}\r\n' for i, one in enumerate(subjects)))
        self.settle()

    def say(self, text):
        self.socket.sendall(text.encode())

    def settle(self):
        self.say('PING\r\n')
        self.read_until(lambda line: line == b'PONG')

    def read_until(self, is_last, bytes_at_once=1 << 20, pause=0):
        """Takes operations until one whose line is the last; whatever else comes has to be whole."""
        while True:
            end = self.raw.find(b'\r\n')
            line = self.raw[:end] if end >= 0 else b''
            size = end + 2
            words = line.split()
            if words and words[0] == b'MSG':
                size += int(words[-1]) + 2
            if end < 0 or len(self.raw) < size:
                data = self.socket.recv(bytes_at_once)
                assert data, f'cut off after {len(self.events)} events'
                self.raw += data
                time.sleep(pause)
                continue
            operation, self.raw = self.raw[:size], self.raw[size:]
            assert operation.endswith(b'\r\n'), operation[-20:]
            self.take(words, operation[end + 2:-2])
            if is_last(line):
                return

    def take(self, words, payload):
        if words[0] == b'MSG' and words[1] == b'$SPATE.LAG':
            self.told.append(json.loads(payload))
        elif words[0] == b'MSG':
            number = int(payload.split()[0])
            assert payload == body(number, len(payload)), 'an event is not what was published'
            self.events.append((words[1].decode(), number))
        else:
            assert words[0] in (b'PONG', b'PING', b'INFO'), words

    def numbers(self):
        return [number for _, number in self.events]


def body(number, size):
    return (b'%d ' % number).ljust(size, b'x')


def publish(server, subjects, count, first=0, size=200):
    """`count` numbered events on these subjects in turn, and all of them have been dealt with."""
    publisher = Client(server)
    texts = [f'PUB {subjects[number % len(subjects)]} {size + number % 50}\r\n'.encode() + body(number, size + number % 50) + b'\r\n'
             for number in range(first, first + count)]
    for at in range(0, count, 500):
        publisher.socket.sendall(b''.join(texts[at:at + 500]))
    publisher.settle()
    return publisher


def has_lagged(server, client):
    """Waits until something of it was dropped, and no more than the limit is kept for it."""
    deadline = time.monotonic() + SECONDS
    while not (row := account(server, client))['dropped'] or row['pending_bytes'] > LIMIT:
        assert time.monotonic() < deadline, row
        time.sleep(0.01)


def was_cut(server, client):
    """Waits until it is a connection no more, whatever the network has for it still."""
    deadline = time.monotonic() + SECONDS
    while any(row['state'] == 'open' for row in rows_of(server, client)):
        assert time.monotonic() < deadline, 'it was not cut off'
        time.sleep(0.01)


def share_a_cohort():
    time.sleep(0.5 * PATIENCE)


for readers_count in (1, 3):
    @it(f'skips the oldest events of {readers_count} that stall, and goes on with the newest')
    def _(readers_count=readers_count):
        with engine('--lag-rule', 'a.>=drop-oldest') as server:
            readers = [Client(server, 'a.>', '$SPATE.LAG') for _ in range(readers_count)]
            share_a_cohort()
            publish(server, ['a.b', 'a.c'], 20000)
            for reader in readers:
                has_lagged(server, reader)
            for reader in readers:
                reader.settle()
                numbers = reader.numbers()
                assert numbers == sorted(set(numbers)), 'not in order'
                assert numbers[-1] == 19999, f'the newest is {numbers[-1]}'
                missing = 20000 - len(numbers)
                assert missing > 1000, 'it was to lag'
                row = account(server, reader)
                assert row['dropped'] == {'lag_skip': missing}, (missing, row)
                assert row['released'] == len(numbers) and row['pending'] == 0, row
            publish(server, ['a.b'], 10, 20000)
            for reader in readers:
                reader.settle()
                assert reader.numbers()[-10:] == list(range(20000, 20010)), 'what comes later does not come as ever'
                missing = 20010 - len(reader.events)
                # What is told may be skipped itself while it lags on; the sum is in each.
                told = reader.told[-1]
                assert told == {'type': 'lagged', 'skipped': told['skipped'], 'reason': 'lag_skip', 'total': missing}, reader.told
            losses = json.loads(asks(server, '/losses'))['reactors']
            assert {row['reason'] for one in losses for row in one['losses']} == {'lag_skip'}, losses

    @it(f'leaves {readers_count} that stall the latest of every subject')
    def _(readers_count=readers_count):
        with engine('--lag-policy', 'conflate') as server:
            readers = [Client(server, 'p.*') for _ in range(readers_count)]
            share_a_cohort()
            publish(server, [f'p.{i}' for i in range(100)], 20000)
            for reader in readers:
                has_lagged(server, reader)
            for reader in readers:
                reader.settle()
                numbers = reader.numbers()
                assert numbers == sorted(set(numbers)), 'not in order'
                latest = dict(reader.events)
                assert latest == {f'p.{number % 100}': number for number in range(19900, 20000)}, latest
                row = account(server, reader)
                assert row['dropped'] == {'conflated': 20000 - len(numbers)}, row


@it('slows publishers down for a reader that is a bit slow, and loses nothing')
def _():
    # As much as mailboxes hold is on its way already when the publisher's reactor is told.
    with engine('--lag-rule', 'b.>=block,16MiB', '--block-time', '10s') as server:
        reader = Client(server, 'b.>')
        publishing = threading.Thread(target=publish, args=(server, ['b.a'], 8000, 0, 6000))
        publishing.start()
        reader.read_until(lambda _: len(reader.events) == 8000, bytes_at_once=64 << 10, pause=0.001)
        publishing.join()
        assert reader.numbers() == list(range(8000))
        held = re.search(r'^spate_publishers_blocked_total (\d+)', asks(server, '/metrics'), re.M)
        assert int(held.group(1)) > 0, held
        assert account(server, reader)['dropped'] == {}


@it('lets publishers go on, and cuts the reader, when it has blocked for --block-time')
def _():
    with engine('--lag-rule', 'b.>=block', '--block-time', '50ms') as server:
        reader = Client(server, 'b.>')
        publish(server, ['b.a'], 20000)
        was_cut(server, reader)
        try:
            reader.read_until(lambda _: len(reader.events) == 20000)
            raise RuntimeError('it was not cut off')
        except AssertionError:
            pass
        assert reader.numbers() == list(range(len(reader.events)))


@it('cuts a reader of two policies only for what may not be dropped')
def _():
    with engine('--lag-rule', 'a.>=drop-oldest') as server:
        reader = Client(server, 'a.>', 'k.>')
        publish(server, ['a.b'], 2000)
        publish(server, ['k.b'], 20, 2000)
        publish(server, ['a.b'], 8000, 2020)
        has_lagged(server, reader)
        reader.settle()
        numbers = reader.numbers()
        assert numbers == sorted(set(numbers)), 'not in order'
        assert [number for subject, number in reader.events if subject == 'k.b'] == list(range(2000, 2020))
        assert account(server, reader)['dropped'] == {'lag_skip': 10020 - len(numbers)}
        publish(server, ['k.b'], 20000)
        was_cut(server, reader)
        try:
            reader.settle()
            raise RuntimeError('it was not cut off')
        except AssertionError:
            pass


@it('lets nobody else speak on the subjects that it speaks on')
def _():
    with engine() as server:
        client = Client(server)
        client.say('PUB $SPATE.LAG 1\r\nx\r\n')
        heard = client.socket.recv(1000)
        assert heard.startswith(b"-ERR 'Permissions Violation for Publish to"), heard


@it('says what is wrong with a lag rule, and does not start')
def _():
    for flags, said in ((['--lag-rule', 'a..b=block'], 'is not a pattern'), (['--lag-rule', 'a=blok'], 'did you mean block?'),
                        (['--lag-listener', 'x:1=block'], 'nobody listens there'), (['--lag-rule', 'a=block,1'], 'less than 64KiB')):
        status, text = spate('run', '--listen', '127.0.0.1:0', '--admin', 'none', *flags)
        assert status == EXIT_CONFIG and said in text, (flags, status, text)
