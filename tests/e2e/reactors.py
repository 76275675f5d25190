"""reactors: several in one server: who serves what, what crosses between them, and the limits they keep together. Part
of the suite lifecycle. A client's id tells which reactor serves it: its upper 16 bits."""
import itertools
import os
import re
import signal
import socket
import tempfile
import threading
import time
import urllib.request

from server import Server
from suite import EXIT_CONFIG, EXIT_FAILED, EXIT_OK, SECONDS, Suite, admin_of, spate
from talk import Wire

suite = Suite()
it = suite.it

TOO_MANY = "-ERR 'maximum connections exceeded'\r\n"


def reactor_of(wire):
    return wire.info['client_id'] >> 48


def one_on_each(server, count):
    """A connection to each reactor. Where a connection lands is the kernel's choice."""
    by_reactor = {}
    for _ in range(100 * count):
        wire = Wire(server)
        wire.say('CONNECT {"verbose":false}')
        if by_reactor.setdefault(reactor_of(wire), wire) is not wire:
            wire.close()
        if len(by_reactor) == count:
            return [by_reactor[i] for i in range(count)]
    raise AssertionError(f'only reactors {sorted(by_reactor)} take connections')


def threads_of(server):
    names = []
    for task in os.listdir(f'/proc/{server.process.pid}/task'):
        with open(f'/proc/{server.process.pid}/task/{task}/comm', encoding='utf-8') as comm:
            names.append(comm.read().strip())
    return names


def connect_to(address):
    connection = socket.create_connection(address, timeout=SECONDS)
    return connection, connection.recv(4096).decode('latin-1')


@it('has a thread for each reactor, with its name, and all take connections')
def _():
    with Server('spate', flags=['--reactors', '3']) as server:
        one_on_each(server, 3)
        names = threads_of(server)
        assert {'spate-1', 'spate-2'} <= set(names) and 'spate-3' not in names, names
        assert server.stop(signal.SIGTERM) == EXIT_OK, server.log()
    with Server('spate', flags=['--reactors', '1']) as server:
        one_on_each(server, 1)
        assert not any(name.startswith('spate-') for name in threads_of(server)), threads_of(server)


@it('carries what is published on any reactor to the subscribers on every reactor')
def _():
    with Server('spate', flags=['--reactors', '3']) as server:
        readers, writers = one_on_each(server, 3), one_on_each(server, 3)
        for reader in readers:
            reader.say('SUB across.* 1')
            reader.settle()
        for number, writer in enumerate(writers):
            writer.say(*[f'PUB across.{number} 4', 'data'] * 1000)
            writer.settle()
        for reader in readers:
            heard = reader.hear_count(3000)
            for number in range(3):
                assert heard.count(f'MSG across.{number} 1 4\r\ndata\r\n') == 1000


CAUSES = ['cause.a.b', 'cause.*.b', 'cause.>', '>', 'cause.a.b group', '*.a.b']
CAUSE_ROUNDS = int(os.environ.get('E2E_ROUNDS') or 3)  # for each pair of reactors; more of them by hand


def churn(wire, is_over):
    """Others subscribe and leave meanwhile, with patterns of the same kinds."""
    for i in itertools.count():
        if is_over.is_set():
            return
        wire.say(*(line for sid in range(100) for line in (f'SUB cause.{i % 7}.{sid} {sid}', f'SUB cause.*.{sid}.> x{sid}')),
                 *(line for sid in range(100) for line in (f'UNSUB {sid}', f'UNSUB x{sid}')))
        wire.settle()


@it('reaches who has heard that it subscribed, and none who has heard that it has not, from any reactor to any')
def _():
    count = 4
    with Server('spate', flags=['--reactors', str(count)]) as server:
        readers, writers, is_over = one_on_each(server, count), one_on_each(server, count), threading.Event()
        churners = [threading.Thread(target=churn, args=(wire, is_over)) for wire in one_on_each(server, count)[1:3]]
        for churner in churners:
            churner.start()
        try:
            pairs = itertools.product(range(CAUSE_ROUNDS), readers, writers)
            for number, (_, reader, writer) in enumerate(pairs):
                # The same subject each time: what was found before must not be what is found now.
                reader.say(f'SUB {CAUSES[number % len(CAUSES)]} {number}')
                reader.settle()
                writer.say('PUB cause.a.b 2', 'on')
                writer.settle()
                reader.say('PING')
                reader.hear(f'MSG cause.a.b {number} 2\r\non\r\nPONG\r\n')
                reader.say(f'UNSUB {number}')
                reader.settle()
                writer.say('PUB cause.a.b 3', 'off')
                writer.settle()
                reader.settle()
        finally:
            is_over.set()
            for churner in churners:
                churner.join()


@it('delivers before its end what was published on another reactor')
def _():
    with Server('spate', flags=['--reactors', '2']) as server:
        reader, writer = one_on_each(server, 2)
        reader.say('SUB drain.a 1')
        reader.settle()
        writer.say(*['PUB drain.a 4', 'last'] * 5000)
        writer.settle()
        assert server.stop(signal.SIGTERM) == EXIT_OK, server.log()
        assert reader.hear_count(5000) == ['MSG drain.a 1 4\r\nlast\r\n'] * 5000
        reader.hear_end()


@it('gives a reactor an address of its own, and a UNIX socket to the first or the one that is named')
def _():
    with tempfile.TemporaryDirectory() as folder:
        paths = [os.path.join(folder, name) for name in ('zero', 'one')]
        flags = ['--reactors', '2', '--listen', '127.0.0.1:0@1', '--listen', f'unix:{paths[0]}', '--listen', f'unix:{paths[1]}@1']
        with Server('spate', flags=flags) as server:
            own = re.search(r'event=listening address=127\.0\.0\.1:(\d+) protocol=nats reactor=1', server.log())
            server.address = ('127.0.0.1', int(own.group(1)))
            assert [reactor_of(Wire(server)) for _ in range(20)] == [1] * 20
            for number, path in enumerate(paths):
                with socket.socket(socket.AF_UNIX) as connection:
                    connection.settimeout(SECONDS)
                    connection.connect(path)
                    client_id = int(re.search(rb'"client_id":(\d+)', connection.recv(4096)).group(1))
                    assert client_id >> 48 == number, (path, client_id)


@it('finds the port taken although both would share it among their reactors')
def _():
    with Server('spate', flags=['--reactors', '2']) as first:
        status, said = spate('run', '--listen', '%s:%d' % first.address, '--admin', 'none', '--reactors', '2')
        assert status == EXIT_FAILED, (status, said)
        assert str(first.address[1]) in said and str(first.process.pid) in said, said


@it('refuses reactors and CPUs that cannot be had')
def _():
    for arguments, words in ((['--listen', '127.0.0.1:0@2'], ['reactor 2', '--reactors']), (['--mailbox', '64KiB'], ['--mailbox', 'auto']),
                             (['--memory', '16MiB'], ['--memory', '32 MiB']), (['--cpus', '0-'], ['--cpus', '0-3,8']),
                             (['--port-offset', '1', '--listen', '127.0.0.1:9@x'], ['9@x', 'not an address']),
                             (['--port-offset', '1', '--listen', '127.0.0.1:18446744073709551610'], ['not an address']),
                             (['--cpus', '1023'], ['CPU 1023', 'auto'])):
        status, said = spate('run', '--listen', '127.0.0.1:0', '--admin', 'none', '--cpus', 'none', '--reactors', '2', *arguments)
        assert status == EXIT_CONFIG and all(word in said for word in words), (arguments, status, said)


@it('lets in as many clients as it may, on all reactors together')
def _():
    with Server('spate', flags=['--reactors', '3', '--max-connections', '10']) as server:
        inside = [connect_to(server.address) for _ in range(10)]
        assert all(heard.startswith('INFO ') for _, heard in inside), inside
        for _ in range(10):
            connection, heard = connect_to(server.address)
            assert heard == TOO_MANY, heard
            connection.close()
        for connection, _ in inside[:4]:
            connection.sendall(b'CONNECT {"verbose":false}\r\nPING\r\n')
            assert connection.recv(4096) == b'PONG\r\n'


@it('lets in as many clients of one address as it may, and others beside them')
def _():
    with Server('spate', flags=['--reactors', '2', '--max-connections-per-address', '3']) as server:
        inside = [connect_to(server.address) for _ in range(3)]
        assert all(heard.startswith('INFO ') for _, heard in inside), inside
        assert connect_to(server.address)[1] == TOO_MANY
        with socket.socket() as other:
            other.settimeout(SECONDS)
            other.bind(('127.0.0.2', 0))
            other.connect(server.address)
            assert other.recv(4096).startswith(b'INFO ')
        connection = inside.pop()[0]
        connection.sendall(b'CONNECT {"verbose":false}\r\nPING\r\n')
        assert connection.recv(4096) == b'PONG\r\n'
        connection.shutdown(socket.SHUT_WR)
        while connection.recv(4096):
            pass
        # The client sees its end a moment before the server has done with it.
        deadline = time.monotonic() + SECONDS
        while not inside[-1][1].startswith('INFO ') or len(inside) < 3:
            assert time.monotonic() < deadline
            inside[2:] = [connect_to(server.address)]
        assert connect_to(server.address)[1] == TOO_MANY


@it('answers at the admin address when it is full and many more stand at the door')
def _():
    flags = ['--reactors', '2', '--max-connections', '4', '--admin', '127.0.0.1:0']
    with Server('spate', flags=flags) as server:
        crowd = [server.connect() for _ in range(400)]
        admin = admin_of(server)
        for path in ('healthz', 'metrics', 'status'):
            with urllib.request.urlopen(f'http://{admin}/{path}', timeout=SECONDS) as answer:
                assert answer.status == 200
                text = answer.read().decode()
            if path == 'metrics':
                assert re.search(r'^spate_clients 4$', text, re.M), text
        for connection in crowd:
            connection.close()
