"""hostile: what careless and ill-meaning peers do. After each of it the process is the same, and a publisher and a
subscriber that were there all along, and new ones, go on undisturbed. Every run does the same: chance is seeded."""
import os
import random
import re
import socket
import struct
import time

from server import PATIENCE, Server
from talk import Wire, Wrong

attacks = []


class NotHere(Exception):
    """The server does not promise this; the reason is the text."""


def attack(name, **settings):
    def register(play):
        attacks.append((name, play, settings))
        return play
    return register


class Pair:
    """A subscriber and a publisher that behave, on a subject of their own."""

    pairs_count = 0

    def __init__(self, server):
        Pair.pairs_count += 1
        self.subject = f'healthy.pair{Pair.pairs_count}'
        self.subscriber, self.publisher = Wire(server), Wire(server)
        self.number = 0
        who = '"verbose":false' + (',"user":"bob","pass":"plain"' if 'users' in server.settings else '')
        self.subscriber.say('CONNECT {%s}' % who, f'SUB {self.subject} 1')
        self.subscriber.settle()
        self.publisher.say('CONNECT {%s}' % who)

    def still_works(self):
        self.number += 1
        text = f'{self.number:08}'
        self.publisher.say(f'PUB {self.subject} 8', text)
        self.publisher.settle()
        self.subscriber.hear(f'MSG {self.subject} 1 8\r\n{text}\r\n')

    def close(self):
        self.subscriber.close()
        self.publisher.close()


def run(results, options):
    kind = options.server
    server, old_pair, at = None, None, None
    for name, play, settings in [one for one in attacks if options.name in one[0]]:
        began = time.monotonic()
        try:
            if at != settings or not server.is_alive():
                end(server, results)
                server, at = Server(kind, settings), settings
                old_pair = Pair(server)
            pid = server.process.pid
            play(server)
            if not server.is_alive() or server.process.pid != pid:
                raise Wrong(f'the process is gone: {server.log()[-2000:]}')
            old_pair.still_works()
            new_pair = Pair(server)
            new_pair.still_works()
            new_pair.close()
            results.passed(name, time.monotonic() - began)
        except NotHere as reason:
            results.skip(name, reason)
        except (AssertionError, OSError, RuntimeError, ValueError) as error:
            results.fail(name, repr(error) if not str(error) else error)
            at = None
    end(server, results)


def end(server, results):
    if server and (trouble := server.end_well()):
        results.fail('the server ends well behind the attacks', trouble)


def drop(connection):
    """Closes with a reset, as a peer that crashes does."""
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack('ii', 1, 0))
    connection.close()


def pour(connection, data):
    """Sends what the server takes within a moment; it may have closed long ago."""
    connection.settimeout(0.5 * PATIENCE)
    try:
        connection.sendall(data)
    except OSError:
        pass


def open_files(server):
    # Under `setpriv` the process is the server itself.
    return len(os.listdir(f'/proc/{server.process.pid}/fd'))


def resident_bytes(server):
    with open(f'/proc/{server.process.pid}/statm', encoding='ascii') as file:
        return int(file.read().split()[1]) * os.sysconf('SC_PAGE_SIZE')


def wait_until(holds, seconds=5):
    deadline = time.monotonic() + seconds * PATIENCE
    while not holds():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.02)
    return True


def read_until_end(connection, seconds):
    """What came until the server closed; None where it did not."""
    connection.settimeout(seconds * PATIENCE)
    heard = b''
    try:
        while data := connection.recv(65536):
            heard += data
    except ConnectionError:
        pass
    except socket.timeout:
        return None
    return heard


@attack('random bytes')
def _(server):
    chance = random.Random(1)
    for _ in range(200):
        with server.connect() as connection:
            pour(connection, chance.randbytes(chance.choice((1, 2, 7, 100, 4096, 20000))))


@attack('random text that looks like the protocol')
def _(server):
    chance = random.Random(2)
    words = [b'PUB', b'SUB', b'UNSUB', b'HPUB', b'CONNECT', b'PING', b'PONG', b'INFO', b'+OK', b'-ERR', b'MSG', b' ', b'  ', b'\t', b'\r\n', b'\n', b'\r',
             b'foo', b'foo.bar', b'*', b'>', b'0', b'1', b'2', b'99', b'1048577', b'-1', b'{', b'}', b'{}', b'"', b'\x00', b'\xff', b'.']
    for _ in range(300):
        with server.connect() as connection:
            pour(connection, b''.join(chance.choice(words) for _ in range(chance.randrange(1, 60))))


@attack('good conversations with a few bytes changed')
def _(server):
    chance = random.Random(3)
    good = (b'CONNECT {"verbose":false,"pedantic":false,"headers":true,"no_responders":true,"echo":true}\r\nPING\r\n'
            b'SUB mutant.* 1\r\nSUB mutant.> group 2\r\nUNSUB 2 5\r\nPUB mutant.a 5\r\nhello\r\n'
            b'HPUB mutant.b reply 22 27\r\nNATS/1.0\r\nA: b\r\n\r\n  hello\r\nUNSUB 1\r\nPING\r\n')
    for _ in range(400):
        bytes_now = bytearray(good)
        for _ in range(chance.randrange(1, 6)):
            at = chance.randrange(len(bytes_now))
            how = chance.randrange(4)
            if how == 0:
                bytes_now[at] = chance.randrange(256)
            elif how == 1:
                del bytes_now[at:at + chance.randrange(1, 9)]
            elif how == 2:
                bytes_now[at:at] = bytes_now[chance.randrange(len(bytes_now)):][:chance.randrange(1, 30)]
            else:
                bytes_now[at:at] = chance.randbytes(chance.randrange(1, 9))
        with server.connect() as connection:
            pour(connection, bytes(bytes_now))


@attack('operations that are never finished, then left with a reset')
def _(server):
    halves = (b'', b'C', b'CONNECT {"verb', b'PUB fo', b'PUB foo 10\r\nha', b'SUB foo ', b'PUB foo 1048576\r\n' + b'x' * 100000,
              b'HPUB foo 12 2000\r\nNATS/1.0\r\n\r\n', b'PUB foo 2\r\nok', b'PUB foo 2\r\nok\r')
    connections = []
    for index in range(200):
        connections.append(server.connect())
        pour(connections[-1], halves[index % len(halves)])
    for index, connection in enumerate(connections):
        drop(connection) if index % 2 else connection.close()


@attack('one byte at a time, slowly')
def _(server):
    wire = Wire(server)
    for byte in b'CONNECT {"verbose":false}\r\nSUB slow.a 1\r\nPUB slow.a 2\r\nok\r\n':
        wire.send(bytes([byte]))
        time.sleep(0.01)
    wire.hear('MSG slow.a 1 2\r\nok\r\n')
    wire.close()


@attack('connections come and go, and leave no open file behind')
def _(server):
    before = open_files(server)
    for index in range(1500):
        connection = server.connect()
        if index % 3 == 0:
            pour(connection, b'CONNECT {"verbose":false}\r\nSUB churn.* 1\r\nPUB churn.a 2\r\nok\r\n')
        drop(connection) if index % 2 else connection.close()
    assert wait_until(lambda: open_files(server) <= before), f'{open_files(server)} open files, {before} before'


@attack('more connections than may be', max_connections=16)
def _(server):
    connections = [server.connect() for _ in range(60)]
    time.sleep(0.2)
    greeted = 0
    for connection in connections:
        connection.settimeout(2 * PATIENCE)
        try:
            greeted += connection.recv(4096).startswith(b'INFO ')
        except ConnectionError:
            pass
    # Two belong to the pair that was there before.
    assert greeted <= 60, greeted
    assert 1 <= sum(still_answers(connection) for connection in connections) <= 14
    for connection in connections:
        connection.close()
    time.sleep(0.2)


def still_answers(connection):
    try:
        connection.settimeout(2 * PATIENCE)
        connection.sendall(b'CONNECT {"verbose":false}\r\nPING\r\n')
        heard = b''
        while not heard.endswith(b'PONG\r\n'):
            data = connection.recv(4096)
            if not data:
                return False
            heard += data
        return True
    except OSError:
        return False


@attack('a peer that says nothing is not waited for', handshake_timeout='700ms')
def _(server):
    if server.kind == 'reference':
        raise NotHere('nats-server has no handshake deadline without authorization')
    silent, trickling = server.connect(), server.connect()
    began = time.monotonic()
    for byte in b'CONNECT {"verbose"':
        pour(trickling, bytes([byte]))
        time.sleep(0.1)
    assert read_until_end(silent, 3) is not None, 'the silent one is still connected'
    assert read_until_end(trickling, 3) is not None, 'the trickling one is still connected'
    assert time.monotonic() - began < 5 * PATIENCE


@attack('a deadline for the handshake is none for what comes after it', handshake_timeout='700ms')
def _(server):
    wire = Wire(server)
    wire.say('CONNECT {"verbose":false}', 'SUB after.a 1')
    wire.settle()
    wire.hear_nothing(1.2)
    wire.say('PUB after.a 2', 'ok')
    wire.hear('MSG after.a 1 2\r\nok\r\n')
    wire.close()


@attack('subjects of every byte that a subject may hold')
def _(server):
    wire = Wire(server)
    wire.say('CONNECT {"verbose":false}', 'SUB control.> 1')
    subjects = [f'control.a{chr(byte)}b' for byte in range(256) if chr(byte) not in ' \t\r\n.'] + ['control.' + '\x1b[2J\x07\x08']
    for subject in subjects:
        wire.say(f'PUB {subject} 2', 'ok')
    wire.hear(''.join(f'MSG {subject} 1 2\r\nok\r\n' for subject in subjects))
    # What a peer says may reach the log, but never as bytes that a terminal obeys or that begin a line of their own.
    for text in ('SUB control..\x1b[2J\x07 2', 'PUB \x1b[31m'):
        wire.say(text)
    wire.close()
    other = Wire(server)
    other.say('CONNECT {"verbose":false,"name":"\\u001b[2J\\nlevel=error event=forged"}', '\x1b]0;title\x07')
    other.close()
    time.sleep(0.1)
    assert server.kind == 'reference' or not re.search(r'[\x00-\x09\x0b-\x1f\x7f]|^level=error event=forged', server.log(), re.M)


@attack('a subscriber that never reads holds nobody up')
def _(server):
    stuck = server.connect()
    stuck.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    pour(stuck, b'CONNECT {"verbose":false}\r\nSUB stuck.> 1\r\nPING\r\n')
    reader, writer = Wire(server), Wire(server)
    reader.say('CONNECT {"verbose":false}', 'SUB stuck.a 1')
    reader.settle()
    writer.say('CONNECT {"verbose":false}')
    payload = 'x' * 1000
    began = time.monotonic()
    for batch in range(320):
        writer.send(b''.join(b'PUB stuck.a 1008\r\n%08d%s\r\n' % (batch * 100 + i, payload.encode()) for i in range(100)))
        for i, operation in enumerate(reader.hear_count(100)):
            assert operation == f'MSG stuck.a 1 1008\r\n{batch * 100 + i:08}{payload}\r\n'
        # What has been dealt with is not kept.
        reader.heard, reader.cursor, reader.operations = '', 0, []
    took = time.monotonic() - began
    assert took < 20 * PATIENCE, f'32 MB took {took:.1f} s'
    for connection in (stuck, reader, writer):
        connection.close()


@attack('subscribers that vanish in the middle of a flood')
def _(server):
    writer = Wire(server)
    writer.say('CONNECT {"verbose":false}')
    flood = b'PUB vanish.a 1000\r\n' + b'v' * 1000 + b'\r\n'
    for round_ in range(30):
        readers = [server.connect() for _ in range(10)]
        for reader in readers:
            pour(reader, b'CONNECT {"verbose":false}\r\nSUB vanish.* 1\r\nPING\r\n')
        writer.send(flood * 100)
        for index, reader in enumerate(readers):
            drop(reader) if index % 2 else reader.close()
        writer.settle()
    writer.close()


@attack('queue groups whose names together are larger than any mailbox')
def _(server):
    names = [f'{number:05}'.ljust(1000, 'q') for number in range(6000)]
    members = [Wire(server) for _ in range(6)]
    for index, member in enumerate(members):
        member.say('CONNECT {"verbose":false}', *(f'SUB crowd.a {name} {sid}' for sid, name in enumerate(names[index::6])))
        member.settle()
    # Chance places them; with so many, some publish to a reactor that is not theirs.
    writers = [Wire(server) for _ in range(8)]
    for writer in writers:
        writer.say('CONNECT {"verbose":false}', 'PUB crowd.a 2', 'hi')
        writer.settle()
    for connection in members + writers:
        connection.close()


@attack('queue groups by the thousand that vanish while events for them are on their way')
def _(server):
    names = [f'{number:020}' for number in range(20000)]
    subscribe = ('CONNECT {"verbose":false}', *(f'SUB leaving.a {name} {sid}' for sid, name in enumerate(names)))
    # Chance places them; what some leave undone comes back, to be offered to the others.
    members = [Wire(server) for _ in range(4)]
    for member in members:
        member.say(*subscribe)
        member.settle()
    writer = Wire(server)
    writer.say('CONNECT {"verbose":false}')
    for member in members:
        writer.send(b'PUB leaving.a 2\r\nhi\r\n' * 20)
        time.sleep(0.05)
        drop(member.socket)
    writer.settle()
    writer.close()


@attack('a publisher that vanishes in the middle of a payload')
def _(server):
    reader = Wire(server)
    reader.say('CONNECT {"verbose":false}', 'SUB torn.a 1')
    reader.settle()
    for size in (1, 100, 70000, 1048576):
        connection = server.connect()
        pour(connection, b'CONNECT {"verbose":false}\r\nPUB torn.a %d\r\n' % size + b'x' * (size - 1))
        drop(connection)
    time.sleep(0.05)
    reader.settle()
    reader.close()


@attack('PINGs by the million whose PONGs nobody reads')
def _(server):
    before = resident_bytes(server)
    connection = server.connect()
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    for _ in range(12):
        pour(connection, b'PING\r\n' * 100000)
    grown = resident_bytes(server) - before
    connection.close()
    assert grown < 100 << 20, f'the process grew by {grown >> 20} MiB'


@attack('+OKs by the million that nobody reads')
def _(server):
    connection = server.connect()
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    for _ in range(5):
        pour(connection, b'PUB unread.ok 0\r\n\r\n' * 50000)
    connection.close()


@attack('events begun by the hundred and never ended')
def _(server):
    beginners = [server.connect() for _ in range(600)]
    for connection in beginners:
        pour(connection, b'CONNECT {"verbose":false}\r\nPUB begun.a 1048576\r\nx')
    time.sleep(0.2)
    pair = Pair(server)
    pair.still_works()
    pair.close()
    for connection in beginners:
        connection.close()


def cpu_seconds(server):
    with open(f'/proc/{server.process.pid}/stat', encoding='ascii') as file:
        fields = file.read().rsplit(')', 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf('SC_CLK_TCK')


@attack('readers that stall and then say that they will send nothing more')
def _(server):
    readers, publisher = [server.connect() for _ in range(3)], Wire(server)
    for reader in readers:
        pour(reader, b'CONNECT {"verbose":false}\r\nSUB half.a 1\r\n')
    publisher.say('CONNECT {"verbose":false}')
    time.sleep(0.2)
    for _ in range(10):
        publisher.say('PUB half.a 1000000', 'x' * 1000000)
    publisher.settle()
    for reader in readers:
        reader.shutdown(socket.SHUT_WR)
    before = cpu_seconds(server)
    time.sleep(0.8)
    used = cpu_seconds(server) - before
    for reader in readers:
        reader.close()
    publisher.close()
    assert used < 0.4, f'the server is busy with them: {used} s in 0.8 s'


@attack('a reader that stalls, and one that wants the same when it is cut off', max_stall='1s')
def _(server):
    stalled, publisher, second = server.connect(), Wire(server), Wire(server)
    stalled.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    pour(stalled, b'CONNECT {"verbose":false}\r\nSUB stall.a 1\r\n')
    publisher.say('CONNECT {"verbose":false}')
    second.say('CONNECT {"verbose":false}')
    second.settle()
    time.sleep(0.3)
    for _ in range(10):
        publisher.say('PUB stall.a 1000000', 'x' * 1000000)
    publisher.settle()
    # Its set of subscriptions counts as quiet 100 ms later, and the stalled one is cut off in between.
    time.sleep(0.94)
    second.say('SUB stall.a 1')
    second.settle()
    time.sleep(0.4)
    publisher.say('PUB stall.a 2', 'ok')
    second.hear('MSG stall.a 1 2\r\nok\r\n')
    stalled.close()
    publisher.close()
    second.close()


@attack('thousands of subscriptions, made and dropped with their connection')
def _(server):
    for _ in range(3):
        wire = Wire(server)
        wire.say('CONNECT {"verbose":false}', *[f'SUB herd.{i}.* {i}' for i in range(5000)])
        wire.settle()
        wire.say('PUB herd.4999.a 1', 'x')
        wire.hear('MSG herd.4999.a 4999 1\r\nx\r\n')
        wire.close()


@attack('every prefix of a conversation, each on a connection of its own')
def _(server):
    whole = b'CONNECT {"verbose":false,"headers":true}\r\nSUB prefix.a 1\r\nHPUB prefix.a 4 6\r\nabcdok\r\nUNSUB 1\r\nPING\r\n'
    for size in range(len(whole) + 1):
        with server.connect() as connection:
            pour(connection, whole[:size])


@attack('a thousand wrong logins at once, each with another password', users='usual')
def _(server):
    before = resident_bytes(server)
    guesses = [server.connect() for _ in range(1000)]
    for number, guess in enumerate(guesses):
        guess.sendall(b'CONNECT {"user":"alice","pass":"guess%d"}\r\nPING\r\n' % number)
    for guess in guesses:
        heard = b''
        try:
            while data := guess.recv(4096):
                heard += data
        except ConnectionError:
            pass
        # Refused, or one of too many at a time and closed without a word; never let in.
        assert b'PONG' not in heard and heard.count(b'\r\n') <= 2, heard
        guess.close()
    assert resident_bytes(server) - before < 64 << 20


@attack('a login that never ends, and one that is all noise', users='usual')
def _(server):
    for data in (b'CONNECT {"user":"' + b'a' * 100000, b'CONNECT ' + b'{' * 4000 + b'\r\n', b'CONNECT {"user":"\x00","pass":"\xff"}\r\n',
                 b'CONNECT {"user":"' + b'\\u0061' * 600 + b'","pass":"' + b'p' * 300 + b'"}\r\n', b'c' * 100000, b'CONNECT\r\n',
                 b'CONNECT {"user":"bob","pass":{}}\r\n', b'CONNECT {"auth_token":"' + b't' * 4000 + b'"}\r\n'):
        with server.connect() as connection:
            pour(connection, data)
            connection.settimeout(5 * PATIENCE)
            try:
                while connection.recv(4096):
                    pass
            except ConnectionError:
                pass


@attack('a flood behind a login that is not decided yet is not kept', users='usual')
def _(server):
    before = resident_bytes(server)
    floods = [server.connect() for _ in range(200)]
    for number, flood in enumerate(floods):
        pour(flood, b'CONNECT {"user":"x%d","pass":"y"}\r\n' % number + b'PUB a 10\r\n0123456789\r\n' * 20000)
    assert resident_bytes(server) - before < 64 << 20
    for flood in floods:
        drop(flood)


# On a server where nobody has guessed yet: whose address has just been wrong waits longer.
@attack('a thousand clients at once that come again with the right password', users='usual', max_payload=2 << 20)
def _(server):
    wires = [server.connect() for _ in range(1000)]
    for wire in wires:
        wire.sendall(b'CONNECT {"verbose":false,"user":"dave","pass":"plain"}\r\nPING\r\n')
    for wire in wires:
        heard = b''
        while not heard.endswith(b'PONG\r\n'):
            data = wire.recv(4096)
            assert data, heard
            heard += data
        wire.close()


BOB = '"verbose":false,"user":"bob","pass":"plain"'
OPERATIONS = ['PUB open.door 4\r\nleak', 'HPUB open.door 12 16\r\nNATS/1.0\r\n\r\nleak', 'SUB open.door 7', 'SUB > 7', 'SUB open.door group 7', 'UNSUB 7', 'UNSUB 7 1',
              'PING', 'PONG', 'INFO {}', '+OK', "-ERR 'x'", 'MSG open.door 7 4\r\nleak', 'RPUB open.door 4\r\nleak', 'LS+ open.door', '', ' ', '\t', 'CONNECTED', 'C']


@attack('every operation in front of the login, and behind one that was refused', users='usual')
def _(server):
    watcher = Wire(server)
    watcher.say('CONNECT {%s}' % BOB, 'SUB open.door 1')
    watcher.settle()
    for before in ('', 'CONNECT {"verbose":false,"user":"bob","pass":"wrong"}\r\n', 'CONNECT {"verbose":false,"user":"nobody","pass":"x"}\r\n',
                   'CONNECT {"verbose":false}\r\n'):
        crowd = []
        for operation in OPERATIONS:
            connection = server.connect()
            crowd.append(connection)
            pour(connection, f'{before}{operation}\r\nPUB open.door 4\r\nleak\r\nPING\r\n'.encode())
        for operation, connection in zip(OPERATIONS, crowd):
            heard = read_until_end(connection, 5)
            assert heard is not None, f'{before + operation!r}: the connection stays'
            assert b'PONG' not in heard and b'MSG' not in heard and b'+OK' not in heard, (before + operation, heard)
            connection.close()
    # Nothing of all that came through.
    watcher.settle()
    watcher.close()


@attack('a second login that is wrong takes away what the first one gave', users='usual')
def _(server):
    if server.kind == 'reference':
        raise NotHere('nats-server lets a client go on that says CONNECT again without a login')
    watcher = Wire(server)
    watcher.say('CONNECT {%s}' % BOB, 'SUB second.door 1')
    watcher.settle()
    for again in ('{"verbose":false,"user":"bob","pass":"wrong"}', '{"verbose":false}', '{"verbose":false,"auth_token":"guess"}', '{', ''):
        with server.connect() as connection:
            pour(connection, ('CONNECT {%s}\r\nPING\r\nCONNECT %s\r\nPUB second.door 4\r\nleak\r\nPING\r\n' % (BOB, again)).encode())
            heard = read_until_end(connection, 5)
            assert heard is not None and heard.count(b'PONG') == 1, (again, heard)
    # The same one again is let in again.
    connection = Wire(server)
    connection.say('CONNECT {%s}' % BOB, 'CONNECT {%s}' % BOB, 'PUB second.door 2', 'ok')
    connection.settle()
    watcher.hear('MSG second.door 1 2\r\nok\r\n')
    watcher.settle()
    for wire in (connection, watcher):
        wire.close()
