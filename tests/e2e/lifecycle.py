"""lifecycle: how spate starts, falls back, refuses, tells of itself and ends. Nothing here has a reference."""
import ctypes
import errno
import json
import os
import re
import signal
import socket
import struct
import subprocess
import tempfile
import time
import urllib.error
import urllib.request

from server import PATIENCE, ROOT, Server
from suite import EXIT_CONFIG, EXIT_FAILED, EXIT_OK, EXIT_USAGE, SECONDS, Suite, admin_of, ask, clean_environment, spate, works
import users
from talk import Wire

suite = Suite()
it = suite.it


def refuse_io_uring(error):
    """What a container's system call filter does: io_uring_setup fails with `error` in this process and its children."""
    io_uring_setup = 425
    load, jump_equal, give = 0x20, 0x15, 0x06
    allow, fail = 0x7fff0000, 0x00050000
    filters = struct.pack('=' + 'HBBI' * 4, load, 0, 0, 0, jump_equal, 0, 1, io_uring_setup, give, 0, 0, fail | error, give, 0, 0, allow)
    libc = ctypes.CDLL(None, use_errno=True)

    def apply():
        code = ctypes.create_string_buffer(filters)
        program = ctypes.create_string_buffer(struct.pack('HxxxxxxP', 4, ctypes.addressof(code)))
        no_new_privileges, seccomp, filter_mode = 38, 22, 2
        if libc.prctl(no_new_privileges, 1, 0, 0, 0) or libc.prctl(seccomp, filter_mode, program, 0, 0):
            raise OSError(ctypes.get_errno(), 'prctl')
    return apply


for refusal in (errno.EPERM, errno.ENOSYS, errno.ENOMEM):
    @it(f'serves with epoll where the kernel refuses io_uring with {errno.errorcode[refusal]}, and says so')
    def _(refusal=refusal):
        with Server('spate', before=refuse_io_uring(refusal), backend='auto') as server:
            works(server)
            assert re.search(r'level=warn event=backend name=epoll .*errno=%d\b' % refusal, server.log()), server.log()
            assert ('LimitMEMLOCK' in server.log()) == (refusal == errno.ENOMEM), server.log()

    @it(f'ends with a reason when io_uring was asked for by name and is refused with {errno.errorcode[refusal]}')
    def _(refusal=refusal):
        status, said = spate('run', '--listen', '127.0.0.1:0', '--admin', 'none', '--backend', 'io_uring', before=refuse_io_uring(refusal))
        assert status == EXIT_FAILED and 'backend' in said and os.strerror(refusal) in said, (status, said)


@it('uses the backend it was told to')
def _():
    asked = os.environ.get('E2E_BACKEND')
    with Server('spate') as server:
        works(server)
        assert re.search(r'event=backend name=%s\b' % (asked if asked != 'auto' else r'(io_uring|epoll)'), server.log()), server.log()


@it('ends with status 0 on SIGTERM, and delivers before what was published')
def _():
    with Server('spate') as server:
        reader, writer = Wire(server), Wire(server)
        reader.say('CONNECT {"verbose":false,"protocol":1}', 'SUB drain.a 1')
        reader.settle()
        writer.say('CONNECT {"verbose":false}', *['PUB drain.a 4', 'last'] * 5000)
        writer.settle()
        assert server.stop(signal.SIGTERM) == EXIT_OK, server.log()
        assert reader.hear_count(5000) == ['MSG drain.a 1 4\r\nlast\r\n'] * 5000
        reader.hear_end()


@it('takes nobody any more while it drains, and a second SIGTERM ends it at once')
def _():
    with Server('spate') as server:
        stuck, writer = server.connect(), Wire(server)
        stuck.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        stuck.sendall(b'CONNECT {"verbose":false}\r\nSUB stuck.a 1\r\n')
        time.sleep(0.2)
        writer.say('CONNECT {"verbose":false}', *['PUB stuck.a 1000', 'x' * 1000] * 8000)
        writer.settle()
        server.process.send_signal(signal.SIGTERM)
        time.sleep(0.5)
        if server.is_alive():
            try:
                server.connect().close()
                raise AssertionError('it still accepts')
            except ConnectionRefusedError:
                pass
            began = time.monotonic()
            assert server.stop(signal.SIGTERM) in (EXIT_OK, EXIT_FAILED), server.log()
            assert time.monotonic() - began < 2 * PATIENCE
        stuck.close()


@it('ends with a reason when the port is taken, and names who has it')
def _():
    with Server('spate') as first:
        status, said = spate('run', '--listen', '%s:%d' % first.address, '--admin', 'none')
        assert status == EXIT_FAILED, (status, said)
        assert str(first.address[1]) in said and str(first.process.pid) in said, said


@it('names nobody else when an address is given twice')
def _():
    with socket.socket() as free:
        free.bind(('127.0.0.1', 0))
        address = '127.0.0.1:%d' % free.getsockname()[1]
    for again in (['--listen', address, '--admin', 'none'], ['--admin', address]):
        status, said = spate('run', '--listen', address, *again)
        assert status == EXIT_CONFIG and 'this server has that port already' in said, (status, said)


@it('refuses to listen beyond loopback while nobody has to log in')
def _():
    for address in ('0.0.0.0:0', '[::]:0'):
        status, said = spate('run', '--listen', address, '--admin', 'none')
        assert status == EXIT_CONFIG and 'loopback' in said, (status, said)


@it('listens on several addresses and on a UNIX socket')
def _():
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, 'nats.sock')
        with Server('spate', flags=['--listen', f'unix:{path}']) as server:
            works(server)
            with socket.socket(socket.AF_UNIX) as connection:
                connection.settimeout(SECONDS)
                connection.connect(path)
                connection.sendall(b'CONNECT {"verbose":false}\r\nPING\r\n')
                heard = b''
                while not heard.endswith(b'PONG\r\n'):
                    data = connection.recv(4096)
                    assert data, heard
                    heard += data
            assert server.stop(signal.SIGTERM) == EXIT_OK
            assert not os.path.exists(path), 'the socket stays behind'


@it('waits at its end for a slow reader as long as --drain-timeout says')
def _():
    with Server('spate', flags=['--drain-timeout', '20s']) as server:
        slow, publisher = server.connect(), Wire(server)
        slow.sendall(b'CONNECT {"verbose":false}\r\nSUB slow.a 1\r\n')
        time.sleep(0.2)
        publisher.say('CONNECT {"verbose":false}')
        for _ in range(8):
            publisher.say('PUB slow.a 1000000', 'x' * 1000000)
        publisher.settle()
        server.process.send_signal(signal.SIGTERM)
        time.sleep(2)
        heard = 0
        while data := slow.recv(1 << 20):
            heard += len(data)
        assert heard > 8000000, heard
        assert server.process.wait(SECONDS) == EXIT_OK


@it('cuts off nobody for a burst that many take, each in a way of its own')
def _():
    memory = max(32, 16 * int(os.environ.get('E2E_REACTORS') or 1))  # the least that each takes
    with Server('spate', flags=['--memory', f'{memory}MiB', '--receive-buffer', '1MiB']) as server:
        readers, publisher = [server.connect() for _ in range(200)], Wire(server)
        for number, reader in enumerate(readers):
            reader.sendall(b'CONNECT {"verbose":false}\r\nSUB burst.a %d\r\nPING\r\n' % (1000 + number))
        for reader in readers:
            heard = b''
            while not heard.endswith(b'PONG\r\n'):
                heard += reader.recv(4096)
        publisher.say('CONNECT {"verbose":false}')
        event = b'MSG burst.a 1000 0\r\n\r\n'
        for _ in range(2):
            publisher.say(*(['PUB burst.a 0', ''] * 8000))
            publisher.settle()
            for reader in readers:
                left = len(event) * 8000
                while left > 0:
                    data = reader.recv(left)
                    assert data, 'cut off'
                    left -= len(data)


@it('tells what is wrong with an option, and what would do')
def _():
    for arguments, words in ((['--lisen', 'x'], ['--listen']), (['--max-payload', '9GiB'], ['max-payload', '9GiB']),
                             (['--max-payload', 'many'], ['max-payload', 'many']), (['--backend', 'kqueue'], ['backend', 'io_uring', 'epoll']),
                             (['--max-payload'], ['max-payload'])):
        status, said = spate('run', *arguments)
        assert status == EXIT_USAGE and all(word in said for word in words), (arguments, status, said)


@it('takes options from the environment and minds a misspelt one')
def _():
    def with_environment(name, value):
        environment = clean_environment() | {name: value}
        return subprocess.run([os.environ['SPATE_BIN'], 'run', '--listen', '0.0.0.0:0', '--admin', 'none'], env=environment, text=True, check=False,
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=SECONDS)
    bad = with_environment('SPATE_MAX_PAYLOAD', 'many')
    assert bad.returncode == EXIT_USAGE and 'SPATE_MAX_PAYLOAD' in bad.stdout, bad
    misspelt = with_environment('SPATE_MAX_PAYLOD', '1')
    assert misspelt.returncode == EXIT_USAGE and 'SPATE_MAX_PAYLOAD' in misspelt.stdout, misspelt


@it('knows its version and its commands')
def _():
    with open(os.path.join(ROOT, 'meson.build'), encoding='utf-8') as file:
        version = re.search(r"version: '([0-9.]+)'", file.read()).group(1)
    status, said = spate('version')
    assert status == EXIT_OK and version in said, (status, said)
    for arguments in (['--help'], ['run', '--help']):
        status, said = spate(*arguments)
        assert status == EXIT_OK and 'run' in said, (arguments, status, said)
    status, said = spate('rum')
    assert status == EXIT_USAGE and 'run' in said, (status, said)


SAMPLE = re.compile(r'^([a-z_:][a-z0-9_:]*)(\{[a-z_]+="[^"\n]*"(?:,[a-z_]+="[^"\n]*")*\})? ([0-9.e+-]+|\+Inf)$')


def metrics(admin):
    """The samples by name and labels. Minds the format: HELP, then TYPE, then the samples of one name together."""
    with urllib.request.urlopen(f'http://{admin}/metrics', timeout=SECONDS) as answer:
        assert answer.status == 200 and answer.headers['Content-Type'].startswith('text/plain'), answer.headers
        text = answer.read().decode()
    samples, helped, typed = {}, set(), {}
    assert text.endswith('\n')
    for line in text.splitlines():
        if line.startswith('# HELP '):
            name = line.split()[2]
            assert name not in helped, f'{name} is told twice'
            helped.add(name)
        elif line.startswith('# TYPE '):
            _, _, name, kind = line.split()
            assert name in helped and name not in typed, line
            assert (kind == 'counter') == name.endswith('_total'), line
            typed[name] = kind
        else:
            match = SAMPLE.match(line)
            assert match, line
            name = match.group(1)
            family = name if name in typed else re.sub(r'_(bucket|sum|count)$', '', name)
            assert family in typed and name.startswith(('spate_', 'process_')), line
            assert line.rsplit(' ', 1)[0] not in samples, f'{line} is told twice'
            samples[line.rsplit(' ', 1)[0]] = float(match.group(3))
    return samples


def settled_metrics(admin, matched, cut=0):
    """Once so many deliveries are owed, or so many readers cut, and none is on its way. A reactor tells of itself every
    20 ms."""
    deadline = time.monotonic() + SECONDS
    while True:
        samples = metrics(admin)
        is_owed = samples['spate_deliveries_matched_total'] >= matched
        is_cut = cut > 0 and samples['spate_connections_closed_total{reason="slow_consumer"}'] >= cut
        if (is_owed or is_cut) and samples['spate_deliveries_pending'] == 0:
            return samples
        assert time.monotonic() < deadline, {name: value for name, value in samples.items() if 'deliveries' in name}
        time.sleep(0.02)


@it('counts what it received and what it owes')
def _():
    with Server('spate', flags=['--admin', '127.0.0.1:0']) as server:
        admin = admin_of(server)
        with urllib.request.urlopen(f'http://{admin}/healthz', timeout=SECONDS) as answer:
            assert answer.status == 200
        before = metrics(admin)
        readers, writer = [Wire(server) for _ in range(3)], Wire(server)
        for reader in readers:
            reader.say('CONNECT {"verbose":false}', 'SUB count.a 1')
            reader.settle()
        writer.say('CONNECT {"verbose":false}', *['PUB count.a 10', '0123456789'] * 200, *['PUB count.nobody 1', 'x'] * 7)
        writer.settle()
        for reader in readers:
            reader.hear_count(200)
        after = settled_metrics(admin, 600)

        def grown(name):
            return after[name] - before[name]
        assert grown('spate_events_received_total{protocol="nats"}') == 207
        assert grown('spate_event_bytes_received_total{protocol="nats"}') == 2007
        assert grown('spate_events_unmatched_total') == 7
        assert grown('spate_deliveries_matched_total') == 600
        assert grown('spate_deliveries_released_total') == 600
        dropped = [name for name in after if name.startswith('spate_deliveries_dropped_total{')]
        assert len(dropped) == 10 and all(grown(name) == 0 for name in dropped)
        assert after['spate_deliveries_pending'] == 0
        assert grown('spate_connections_accepted_total') >= 4
        for wire in [writer, *readers]:
            wire.close()


def losses(admin, *flags):
    """What `spate losses --json` says, of all reactors: (the sums of their accounts, the rows)."""
    status, said = spate('losses', '--admin', admin, '--json', *flags)
    assert status == EXIT_OK, said
    sums, rows = {'matched': 0, 'released': 0, 'dropped': 0, 'pending': 0}, []
    for reactor in json.loads(said)['reactors']:
        for name in sums:
            value = reactor[name]
            sums[name] += sum(value.values()) if isinstance(value, dict) else value
        rows += reactor['losses']
    assert sums['matched'] == sums['released'] + sums['dropped'] + sums['pending'], said
    return sums, rows


def whole_messages(data, subject):
    """How many whole MSGs of `subject`.N are in it, in order from 0, with bodies as they were published."""
    count = 0
    at = data.find(b'MSG ')
    while at >= 0:
        head = b'MSG %s.%d 1 1000\r\n' % (subject, count)
        whole = head + b'%-1000d\r\n' % count
        rest = data[at:at + len(whole)]
        if rest != whole:
            assert whole.startswith(rest), rest[:100]
            break
        count += 1
        at += len(whole)
        assert at == len(data) or data[at:at + 1] in b'MP', data[at:at + 20]
        at = at if data[at:at + 1] == b'M' else -1
    return count


def owe(server, subject, events):
    """A client that does not read, and so many events published to it. Returns its socket."""
    stuck = socket.socket()
    stuck.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    stuck.connect(server.address)
    stuck.settimeout(SECONDS)
    stuck.sendall(b'CONNECT {"verbose":false,"name":"stuck \\u00fc"}\r\nSUB %s.> 1\r\nPING\r\n' % subject)
    heard = b''
    while b'PONG' not in heard:
        heard += stuck.recv(4096)
    writer = Wire(server)
    writer.say('CONNECT {"verbose":false}',
               *(line for i in range(events) for line in (f'PUB {subject.decode()}.{i} 1000', f'{i:<1000}')))
    writer.settle()
    writer.close()
    return stuck


@it('knows exactly what a reader that was cut did not get')
def _():
    events = 4000
    with Server('spate', flags=['--admin', '127.0.0.1:0', '--max-stall', '300ms', '--send-buffer', '64KiB']) as server:
        admin = admin_of(server)
        stuck = owe(server, b'lost', events)
        # On a busy machine it may be cut before all are published.
        after = settled_metrics(admin, events, cut=1)
        owed = int(after['spate_deliveries_matched_total'])
        assert 0 < owed <= events
        data = b''
        while part := stuck.recv(1 << 20):
            data += part
        got = whole_messages(data, b'lost')
        assert 0 < got < owed, (got, owed)
        assert after['spate_deliveries_released_total'] == got, (after['spate_deliveries_released_total'], got)
        assert after['spate_deliveries_dropped_total{reason="slow_consumer"}'] == owed - got
        sums, rows = losses(admin)
        assert sums == {'matched': owed, 'released': got, 'dropped': owed - got, 'pending': 0}, sums
        assert sum(row['count'] for row in rows) == owed - got, rows
        assert {(row['reason'], row['name'], row['protocol']) for row in rows} == {('slow_consumer', 'stuck \u00fc', 'nats')}
        assert rows[-1]['last_subject'] == f'lost.{owed - 1}', rows
        assert rows[-1]['first_subject'] in (f'lost.{got}', f'lost.{got + 1}'), (rows, got)
        status, said = spate('losses', '--admin', admin)
        assert status == EXIT_OK and 'stuck \u00fc' in said and 'slow_consumer' in said, said
        stuck.close()


@it('lets a reader that was cut read what the network has for it, whatever it says meanwhile')
def _():
    events = 4000
    with Server('spate', flags=['--admin', '127.0.0.1:0', '--max-stall', '300ms', '--send-buffer', '64KiB']) as server:
        admin = admin_of(server)
        stuck = owe(server, b'late', events)
        settled_metrics(admin, events, cut=1)
        stuck.sendall(b'PING\r\n')  # a closed socket would answer with a reset
        data = b''
        while part := stuck.recv(1 << 20):
            data += part
        assert whole_messages(data, b'late') == losses(admin)[0]['released'], len(data)
        stuck.close()


@it('cuts a reader that takes nothing, however often it subscribes')
def _():
    with Server('spate', flags=['--admin', '127.0.0.1:0', '--max-stall', '300ms', '--send-buffer', '64KiB']) as server:
        admin = admin_of(server)
        stuck = owe(server, b'busy', 4000)
        deadline = time.monotonic() + SECONDS
        number = 0
        while metrics(admin)['spate_deliveries_dropped_total{reason="slow_consumer"}'] == 0:
            assert time.monotonic() < deadline, 'it goes on for ever'
            number += 1
            stuck.sendall(b'SUB other.%d o%d\r\n' % (number, number))
            time.sleep(0.02)
        stuck.close()


@it('counts what was on its way to a connection that broke')
def _():
    events = 3000
    with Server('spate', flags=['--admin', '127.0.0.1:0']) as server:
        admin = admin_of(server)
        stuck = owe(server, b'broken', events)
        row = {'matched': 0}
        deadline = time.monotonic() + SECONDS
        while row['matched'] < events and time.monotonic() < deadline:  # the last may lie in a mailbox still
            row, = [row for reactor in ask(admin, '/connections?limit=5')['reactors'] for row in reactor['connections']
                    if row['subscriptions'] == 1]
        assert row['matched'] == events and row['dropped'] == {}, row
        assert row['pending'] == events - row['released'] > 0 and row['pending_bytes'] > 1000, row
        stuck.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack('ii', 1, 0))
        stuck.close()
        settled_metrics(admin, events)
        sums, rows = losses(admin, '--limit', '1')
        assert sums['matched'] == events and 0 < sums['dropped'] <= row['pending'], (sums, row)
        assert [(row['reason'], row['count']) for row in rows] == [('transport_error', sums['dropped'])], rows


@it('shows its connections page by page, and refuses a question that it does not understand')
def _():
    with Server('spate', flags=['--admin', '127.0.0.1:0']) as server:
        admin = admin_of(server)
        wires = [Wire(server) for _ in range(7)]
        for index, wire in enumerate(wires):
            wire.say('CONNECT {"verbose":false,"name":"%d"}' % index)
            wire.settle()
        seen = []
        for number in range(len(ask(admin, '/connections')['reactors'])):
            begin = 0
            while begin is not None:
                reactor, = ask(admin, f'/connections?limit=2&from={begin}&reactor={number}')['reactors']
                assert reactor['reactor'] == number and len(reactor['connections']) <= 2, reactor
                seen += [row['name'] for row in reactor['connections']]
                begin = reactor['next']
        assert sorted(seen) == [str(index) for index in range(7)], seen
        for path in ('/connections?limit=0', '/connections?limit=1001', '/connections?limit=', '/connections?from=x',
                     '/connections?from=99999999999', '/losses?limit=1025', '/losses?reactor=99', '/losses?limit=1&x', '/losses?x'):
            try:
                ask(admin, path)
                raise AssertionError(f'{path} is answered')
            except urllib.error.HTTPError as error:
                assert error.code == 400 and b'limit=1..' in error.read(), path
        for wire in wires:
            wire.close()


@it('counts the patterns that are in use against their limit, and none that was withdrawn')
def _():
    with Server('spate', flags=['--max-patterns', '1000']) as server:
        wire = Wire(server)
        wire.say('CONNECT {"verbose":false}')
        for round in range(4):
            # As fast as it goes: what is withdrawn waits for every reactor, and one may have lost its core.
            wire.say(*(line for i in range(1000) for line in (f'SUB churn.{round}.{i} {i + 1}', f'UNSUB {i + 1}')), 'PING')
            wire.hear('PONG\r\n')
        wire.say(*(f'SUB kept.{i} {i + 1}' for i in range(1000)), 'PING')
        wire.hear('PONG\r\n')
        wire.say('SUB kept.1000 1001')
        wire.hear("-ERR 'maximum subscriptions exceeded'\r\n")
        wire.say('UNSUB 1', 'SUB kept.1000 1001', 'PUB kept.1000 2', 'ok', 'PING')
        wire.hear('MSG kept.1000 1001 2\r\nok\r\nPONG\r\n')
        wire.close()


USERS = users.SETS['usual']


def log_in(server, user, password, *lines):
    wire = Wire(server)
    wire.say('CONNECT {"verbose":false,"user":"%s","pass":"%s"}' % (user, password), *lines, 'PING')
    return wire


def write(path, text):
    with open(path, 'w', encoding='utf-8') as file:
        file.write(text)


def reload(server, word):
    """Has the users read again, and waits for the word of it in the log."""
    before = server.log().count(word)
    server.process.send_signal(signal.SIGHUP)
    deadline = time.monotonic() + SECONDS
    while server.log().count(word) == before:
        assert time.monotonic() < deadline, server.log()
        time.sleep(0.01)


@it('says of a broken users file where the fault is, and does not start')
def _():
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, 'users.yaml')
        for text, part in (('', ':1:1: '), ('users: [\n', ':2:1: '), ('users:\n  - name: a\n    password: secret\n', ':3:15: '),
                           ('users:\n  - name: a\n    pasword: x\n', 'did you mean "password"'),
                           ('users:\n  - {name: a, password: %s, listeners: ["1.2.3.4:5"]}\n' % users.WONDER, '--listen')):
            write(path, text)
            status, said = spate('run', '--listen', '127.0.0.1:0', '--admin', 'none', '--users', path)
            assert status == EXIT_CONFIG and path in said and part in said, (status, said)
        status, said = spate('run', '--listen', '127.0.0.1:0', '--admin', 'none', '--users', path + '.absent')
        assert status == EXIT_CONFIG and 'No such file' in said, (status, said)


@it('listens beyond loopback when there are users, but not with the admin address')
def _():
    with tempfile.NamedTemporaryFile('w', suffix='.yaml') as file:
        file.write(users.for_spate(USERS))
        file.flush()
        with Server('spate', flags=['--listen', '0.0.0.0:0', '--users', file.name]) as server:
            wire = log_in(server, 'bob', 'plain')
            wire.hear('PONG\r\n')
            assert wire.info['auth_required'] is True
            wire.close()
        status, said = spate('run', '--listen', '127.0.0.1:0', '--admin', '0.0.0.0:0', '--users', file.name)
        assert status == EXIT_CONFIG and 'admin address' in said, (status, said)


@it('reads the users again on SIGHUP: who is gone is told, who may do less loses what it had')
def _():
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, 'users.yaml')
        write(path, users.for_spate(USERS))
        with Server('spate', flags=['--users', path]) as server:
            alice, bob = log_in(server, 'alice', 'wonder', 'SUB a.> 1', 'SUB w.x 2'), log_in(server, 'bob', 'plain', 'SUB a.> 1')
            carol, dave = log_in(server, 'carol', 'plain', 'SUB a.> 1'), log_in(server, 'dave', 'plain')
            for wire in (alice, bob, carol, dave):
                wire.hear('PONG\r\n')
            time.sleep(0.3)  # bob and carol would share a stream if they might see the same
            less = [{**USERS[0], 'subscribe': {'allow': ['w.*']}}, {**USERS[1], 'subscribe': {'deny': ['a.new']}},
                    {**USERS[2], 'subscribe': {'deny': ['a.new']}}]
            write(path, users.for_spate(less))
            reload(server, 'event=users_reloaded')
            dave.hear("-ERR 'User Authentication Revoked'\r\n")
            dave.hear_end()
            alice.hear("-ERR 'Permissions Violation for Subscription to \"a.>\"'\r\n")
            for subject in ('a.new', 'a.secret', 'w.x'):
                bob.say(f'PUB {subject} 1', 'x')
            bob.say('PING')
            bob.hear('MSG a.secret 1 1\r\nx\r\nPONG\r\n')
            carol.hear('MSG a.secret 1 1\r\nx\r\n')
            alice.hear('MSG w.x 2 1\r\nx\r\n')
            # A file with a fault changes nothing, and is told.
            write(path, 'users: [')
            reload(server, 'event=reload_refused')
            assert f'{path}:2:1: ' in server.log(), server.log()
            for wire in (alice, bob, carol):
                wire.settle()
            # Another password: the old one is worth nothing, and who came in by it goes.
            write(path, users.for_spate([{**USERS[1], 'password': users.WONDER}]))
            reload(server, 'event=users_reloaded')
            for wire in (alice, bob, carol):
                wire.hear("-ERR 'User Authentication Revoked'\r\n")
                wire.hear_end()
            log_in(server, 'bob', 'plain').hear("-ERR 'Authorization Violation'\r\n")
            log_in(server, 'bob', 'wonder').hear('PONG\r\n')


@it('keeps out who guesses, until the users are read again')
def _():
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, 'users.yaml')
        write(path, users.for_spate(USERS))
        with Server('spate', flags=['--users', path, '--ban-after', '5', '--ban-time', '1h']) as server:
            inside = log_in(server, 'bob', 'plain')
            inside.hear('PONG\r\n')
            log_in(server, 'no\\nbody', 'x').hear("-ERR 'Authorization Violation'\r\n")
            nobody = Wire(server)
            nobody.say('CONNECT {}')
            nobody.hear("-ERR 'Authorization Violation'\r\n")
            for number in range(4):
                guess = log_in(server, 'alice', f'guess{number}')
                guess.hear("-ERR 'Authorization Violation'\r\n")
                guess.hear_end()
            for word in ('user=alice cause=wrong_password', 'user="no\\x0abody" cause=unknown_user', 'user="" cause=no_credentials'):
                assert f'event=login_refused {word} source=127.0.0.1' in server.log(), (word, server.log())
            with server.connect() as refused:
                assert refused.recv(100) == b''
            inside.settle()
            reload(server, 'event=users_reloaded')
            deadline = time.monotonic() + SECONDS
            while True:
                with server.connect() as again:
                    if again.recv(100).startswith(b'INFO '):
                        break
                assert time.monotonic() < deadline, server.log()
                time.sleep(0.01)
            log_in(server, 'alice', 'wonder').hear('PONG\r\n')


@it('lets who has no credentials in as one user, at the listeners of that user alone')
def _():
    with tempfile.TemporaryDirectory() as folder:
        path, unix = os.path.join(folder, 'users.yaml'), 'unix:' + os.path.join(folder, 'nats.sock')
        write(path, 'users:\n  - {name: guest, password: "%s", listeners: ["%s"], publish: {allow: []}}\nno_auth_user: guest\n'
              % (users.PLAIN, unix))
        with Server('spate', flags=['--listen', unix, '--users', path]) as server:
            wire = Wire(server)
            wire.say('CONNECT {}')
            wire.hear("-ERR 'Authorization Violation'\r\n")
            with socket.socket(socket.AF_UNIX) as guest:
                guest.settimeout(SECONDS)
                guest.connect(unix[5:])
                guest.sendall(b'CONNECT {"verbose":false}\r\nPUB a 0\r\n\r\nPING\r\n')
                heard = b''
                while not heard.endswith(b'PONG\r\n'):
                    data = guest.recv(4096)
                    assert data, heard
                    heard += data
                assert b'Permissions Violation for Publish to "a"' in heard, heard


@it('makes lines for the users file that let in who has the password or the token')
def _():
    def passwd(*arguments, text=''):
        return subprocess.run([os.environ['SPATE_BIN'], 'passwd', *arguments], input=text, stdout=subprocess.PIPE,
                              stderr=subprocess.PIPE, text=True, check=False, timeout=SECONDS)
    password, token = passwd('--cost', '4', text='pass word\n'), passwd('--token')
    assert (password.returncode, token.returncode) == (EXIT_OK, EXIT_OK), (password, token)
    secret, line = token.stdout.splitlines()
    for arguments, text in ((('secret',), ''), ((), ''), ((), 'x' * 73), (('--cost', '3'), 'x')):
        refused = passwd(*arguments, text=text)
        assert refused.returncode in (EXIT_FAILED, EXIT_USAGE) and refused.stderr and not refused.stdout, refused
    with tempfile.NamedTemporaryFile('w', suffix='.yaml') as file:
        file.write(f'users:\n- name: a\n  {password.stdout}tokens:\n- name: t\n  {line}\n')
        file.flush()
        with Server('spate', flags=['--users', file.name]) as server:
            log_in(server, 'a', 'pass word').hear('PONG\r\n')
            wire = Wire(server)
            wire.say('CONNECT {"verbose":false,"auth_token":"%s"}' % secret, 'PING')
            wire.hear('PONG\r\n')
            wire.close()
            assert secret not in server.log() and 'pass word' not in server.log()
            # The commands log in, too.
            address, environment = '%s:%d' % server.address, {'PATH': os.environ['PATH']}
            for flags, more, status in ((['--user', 'a'], {'SPATE_PASSWORD': 'pass word'}, EXIT_OK), ([], {'SPATE_TOKEN': secret}, EXIT_OK),
                                        ([], {'SPATE_USER': 'a', 'SPATE_PASSWORD': 'wrong'}, EXIT_FAILED), ([], {}, EXIT_FAILED)):
                done = subprocess.run([os.environ['SPATE_BIN'], 'pub', '--server', address, *flags, 'a.b', 'x'], stdout=subprocess.PIPE,
                                      stderr=subprocess.PIPE, text=True, check=False, timeout=SECONDS, env=environment | more)
                assert done.returncode == status and ('--user' in done.stderr) == (status == EXIT_FAILED), done


@it('counts what users may not see, and what they may not do')
def _():
    with tempfile.NamedTemporaryFile('w', suffix='.yaml') as file:
        file.write(users.for_spate(USERS))
        file.flush()
        with Server('spate', flags=['--admin', '127.0.0.1:0', '--users', file.name]) as server:
            admin = admin_of(server)
            # Two who share a stream, one alone, and one who may see all.
            readers = [log_in(server, 'carol', 'plain', f'SUB a.> {sid}') for sid in (1, 1, 7)] + [log_in(server, 'bob', 'plain', 'SUB a.> 1')]
            for reader in readers:
                reader.hear('PONG\r\n')
            time.sleep(0.4)
            writer = log_in(server, 'alice', 'wonder', 'SUB denied 1')
            writer.hear("-ERR 'Permissions Violation for Subscription to \"denied\"'\r\nPONG\r\n")
            writer.say('PUB denied 0', '', 'PING')
            writer.hear("-ERR 'Permissions Violation for Publish to \"denied\"'\r\nPONG\r\n")
            bob = log_in(server, 'bob', 'plain', *['PUB a.secret 1', 'x'] * 10, *['PUB a.open 1', 'x'] * 5)
            bob.hear('PONG\r\n')
            for reader, count in zip(readers, (5, 5, 5, 15)):
                reader.hear_count(count)
                reader.settle()
            # Each reactor counts for itself, and shows it soon.
            deadline = time.monotonic() + SECONDS
            while (found := metrics(admin))['spate_deliveries_matched_total'] < 60 or found['spate_deliveries_pending'] > 0:
                assert time.monotonic() < deadline, found
                time.sleep(0.02)
            assert found['spate_deliveries_matched_total'] == 60, found
            assert found['spate_deliveries_released_total'] == 30, found
            assert found['spate_deliveries_dropped_total{reason="no_permission"}'] == 30, found
            assert found['spate_permission_denials_total{of="publish"}'] == 1, found
            assert found['spate_permission_denials_total{of="subscribe"}'] == 1, found
            assert found['spate_logins_total{result="granted"}'] == 6, found
