"""service: what a service manager sees of spate: readiness, reloads, the watchdog, and an end that comes also where a
reactor hangs. Part of the suite lifecycle. The manager is a socket of ours; a reactor hangs because we hold its thread
as a debugger would."""
import contextlib
import ctypes
import os
import re
import shutil
import signal
import socket
import subprocess
import tempfile
import time

from server import PATIENCE, ROOT, Server
from suite import EXIT_FAILED, EXIT_OK, SECONDS, Skipped, Suite, clean_environment, works
from talk import Wire
import users

suite = Suite()
it = suite.it

END_SECONDS = 5  # WATCH_END_NS of engine/watch.h


class Manager:
    """Listens as systemd does."""

    def __init__(self, is_abstract=False):
        self.folder = tempfile.TemporaryDirectory()
        path = os.path.join(self.folder.name, 'notify')
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.bind('\0' + path if is_abstract else path)
        self.environment = {'NOTIFY_SOCKET': '@' + path if is_abstract else path}

    def hear(self):
        """The next datagram, as {name: value}."""
        self.socket.settimeout(SECONDS)
        return dict(line.split('=', 1) for line in self.socket.recv(4096).decode().split('\n'))

    def hear_other_than(self, name):
        while name in (heard := self.hear()):
            pass
        return heard

    def heard_meanwhile(self):
        """Everything that has come, without waiting."""
        self.socket.setblocking(False)
        heard = []
        with contextlib.suppress(BlockingIOError):
            while True:
                heard.append(self.socket.recv(4096).decode())
        return heard

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.socket.close()
        self.folder.cleanup()


class Held:
    """A thread of a child of ours, by its name (None: the first), stopped in the middle of whatever it does."""
    SEIZE, INTERRUPT, DETACH, ALL = 0x4206, 0x4207, 17, 0x40000000

    def __init__(self, server, name):
        self.process, self.thread = server.process, thread_of(server, name)
        self.libc = ctypes.CDLL(None, use_errno=True)
        self.libc.ptrace.argtypes = [ctypes.c_long, ctypes.c_long, ctypes.c_void_p, ctypes.c_void_p]
        self.trace(self.SEIZE)
        self.trace(self.INTERRUPT)
        os.waitpid(self.thread, self.ALL)

    def trace(self, request):
        if self.libc.ptrace(request, self.thread, None, None):
            raise OSError(ctypes.get_errno(), 'ptrace')

    def let_go(self):
        self.trace(self.DETACH)

    def wait_for_its_end(self):
        """The exit status of the process. Its end is told only when we, who hold a thread, have taken note of that's."""
        deadline = time.monotonic() + SECONDS
        while self.thread != self.process.pid and os.waitpid(self.thread, self.ALL | os.WNOHANG)[0] == 0:
            assert time.monotonic() < deadline, 'it does not end'
            time.sleep(0.01)
        return self.process.wait(SECONDS)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        with contextlib.suppress(OSError):
            self.let_go()


def thread_of(server, name):
    """Threads are started behind the line that tells of the address."""
    tasks, deadline = f'/proc/{server.process.pid}/task', time.monotonic() + SECONDS
    while name and time.monotonic() < deadline:
        for task in os.listdir(tasks):
            with open(f'{tasks}/{task}/comm', encoding='utf-8') as comm:
                if comm.read().strip() == name:
                    return int(task)
        time.sleep(0.01)
    assert name is None, f'there is no thread {name}'
    return server.process.pid


def wait_for(server, pattern, count=1):
    deadline = time.monotonic() + SECONDS
    while len(found := re.findall(pattern, server.log())) < count:
        assert time.monotonic() < deadline and server.is_alive(), (pattern, server.log()[-2000:])
        time.sleep(0.01)
    return found


@it('says READY when it listens, and STOPPING when it begins to end')
def _():
    for is_abstract in (False, True):
        with Manager(is_abstract) as manager, Server('spate', environment=manager.environment) as server:
            ready = manager.hear()
            assert ready['READY'] == '1' and ready['MAINPID'] == str(server.process.pid), ready
            assert ready['STATUS'].startswith('serving'), ready
            works(server)
            server.process.send_signal(signal.SIGTERM)
            stopping = manager.hear()
            assert stopping['STOPPING'] == '1', stopping
            assert server.process.wait(SECONDS) == EXIT_OK
            assert not manager.heard_meanwhile(), 'without WATCHDOG_USEC nobody wants to hear WATCHDOG'


@it('says RELOADING at SIGHUP, and READY when the new users are in force')
def _():
    with tempfile.NamedTemporaryFile('w', suffix='.yaml') as file, Manager() as manager:
        def write(names):
            file.seek(0)
            file.truncate()
            file.write(users.for_spate([{'name': name, 'password': users.PLAIN} for name in names]))
            file.flush()
        write(['bob'])
        with Server('spate', environment=manager.environment, flags=['--users', file.name]) as server:
            assert 'READY' in manager.hear()
            for names in (['carol'], ['dave', 'carol']):
                write(names)
                before_us = time.monotonic_ns() // 1000
                server.process.send_signal(signal.SIGHUP)
                reloading = manager.hear()
                assert reloading['RELOADING'] == '1' and int(reloading['MONOTONIC_USEC']) >= before_us, reloading
                assert manager.hear()['READY'] == '1'
                wire = Wire(server)
                wire.say('CONNECT {"verbose":false,"user":"%s","pass":"plain"}' % names[0], 'PING')
                wire.hear('PONG\r\n')
                wire.close()
    with Manager() as manager, Server('spate', environment=manager.environment) as server:
        assert 'READY' in manager.hear()
        server.process.send_signal(signal.SIGHUP)  # nothing to reload is reloaded at once
        assert 'RELOADING' in manager.hear() and 'READY' in manager.hear()


@it('feeds the watchdog while every reactor turns, asleep or busy, and not while one stands still')
def _():
    with Manager() as manager:
        watchdog = {**manager.environment, 'WATCHDOG_USEC': str(int(600000 * PATIENCE))}
        with Server('spate', environment=watchdog, flags=['--reactors', '3']) as server:
            assert 'READY' in manager.hear()
            for _ in range(3):
                assert manager.hear() == {'WATCHDOG': '1'}
            for name, number in (('spate-2', 2), (None, 0)):
                with Held(server, name):
                    wait_for(server, f'level=error event=reactor_stands_still reactor={number} ')
                    manager.heard_meanwhile()
                    wait_for(server, f'event=reactor_stands_still reactor={number} ', 2)
                    assert not manager.heard_meanwhile()
                assert manager.hear() == {'WATCHDOG': '1'}
                wait_for(server, f'event=reactor_turns_again reactor={number} ')
            assert not re.search('reactor_stands_still reactor=1 ', server.log()), server.log()
            works(server)
            server.process.send_signal(signal.SIGTERM)
            assert 'STOPPING' in manager.hear_other_than('WATCHDOG')
            assert server.process.wait(SECONDS) == EXIT_OK


@it('ends with status 1 and a reason where a reactor hangs: soon after the second SIGTERM, and not much later without')
def _():
    with contextlib.ExitStack() as stack:
        ends = []
        for name, signals in (('spate-1', 2), (None, 2), ('spate-1', 1)):
            drain = ['--drain-timeout', '60s' if signals > 1 else '0', '--drain-spread', '0']
            server = stack.enter_context(Server('spate', flags=['--reactors', '2', *drain]))
            thread_of(server, 'watch')
            ends.append((server, name, stack.enter_context(Held(server, name))))
            server.process.send_signal(signal.SIGTERM)
            if signals > 1:
                # Two at once would be one. That the first was taken shows in what is pending of them, for whoever
                # takes them may not get as far as to log it.
                while signal_is_pending(server, signal.SIGTERM):
                    time.sleep(0.005)
                server.process.send_signal(signal.SIGTERM)
        for server, name, held in ends:
            assert held.wait_for_its_end() == EXIT_FAILED, (name, server.log())
            assert re.search(r'level=error event=ended_by_force reason="they stand still" reactors=%d ' % (name is not None),
                             server.log()), (name, server.log())
            after = float(re.search(r'ended_by_force .*after_s=([0-9.]+)', server.log()).group(1))
            assert after < END_SECONDS + 2 * PATIENCE, (name, after)


def signal_is_pending(server, number):
    with open(f'/proc/{server.process.pid}/status', encoding='utf-8') as status:
        pending = int(re.search(r'^ShdPnd:\s*([0-9a-f]+)', status.read(), re.M).group(1), 16)
    return pending >> (number - 1) & 1


UNIT = os.path.join(ROOT, 'scripts/service/spate.service')


@it('serves as its systemd unit confines it: system calls, address families, limits and no rights')
def _():
    confined = os.path.join(ROOT, 'tests/e2e/confined.py')
    tried = subprocess.run([confined, UNIT, '/bin/true'], capture_output=True, text=True, check=False)
    if tried.returncode == 77:
        raise Skipped(tried.stdout.removeprefix('skipped: ').strip())
    assert tried.returncode == 0, tried
    with Manager() as manager:
        os.chmod(manager.folder.name, 0o711)
        os.chmod(os.path.join(manager.folder.name, 'notify'), 0o777)
        # The leak sanitizer traces its own process, which the filter forbids.
        options = ':'.join(filter(None, (os.environ.get('ASAN_OPTIONS'), 'detect_leaks=0')))
        environment = {**manager.environment, 'WATCHDOG_USEC': str(int(600000 * PATIENCE)), 'ASAN_OPTIONS': options}
        with tempfile.TemporaryDirectory() as folder:
            os.chmod(folder, 0o777)
            path = os.path.join(folder, 'nats.sock')
            with Server('spate', environment=environment, through=[confined, UNIT],
                        flags=['--cpus', 'auto', '--reactors', '2', '--admin', '127.0.0.1:0', '--listen', f'unix:{path}']) as server:
                assert 'READY' in manager.hear()
                with open(f'/proc/{server.process.pid}/status', encoding='utf-8') as status:
                    status = dict(re.findall(r'^(\w+):\t(.*)$', status.read(), re.M))
                assert status['Seccomp'] == '2' and int(status['CapEff'], 16) == 0 and status['NoNewPrivs'] == '1', status
                if os.cpu_count() > 1 and len(os.sched_getaffinity(0)) > 1:
                    assert re.search('event=pinned reactors=2 ', server.log()), server.log()
                    assert len(os.sched_getaffinity(thread_of(server, 'spate-1'))) == 1
                asked = os.environ.get('E2E_BACKEND') or 'auto'
                assert asked == 'auto' or f'event=backend name={asked}' in server.log(), server.log()
                works(server)
                for address in ('%s:%d' % server.address, f'unix:{path}'):
                    round_trip(address)
                assert 'WATCHDOG' in manager.hear()
                server.process.send_signal(signal.SIGHUP)
                assert 'RELOADING' in manager.hear_other_than('WATCHDOG')
                assert 'READY' in manager.hear_other_than('WATCHDOG')
                server.process.send_signal(signal.SIGTERM)
                assert server.process.wait(SECONDS) == EXIT_OK, server.log()
                assert not os.path.exists(path)


def round_trip(address):
    """With our own client commands, which are not confined."""
    binary, environment = os.environ['SPATE_BIN'], clean_environment()
    with subprocess.Popen([binary, 'sub', '--server', address, '--count', '1', 'confined.>'], env=environment, text=True,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT) as reader:
        deadline = time.monotonic() + SECONDS
        try:
            while reader.poll() is None and time.monotonic() < deadline:
                done = subprocess.run([binary, 'pub', '--server', address, 'confined.a', 'hello'], env=environment, check=False,
                                      capture_output=True, timeout=SECONDS)
                assert done.returncode == EXIT_OK, done
                time.sleep(0.05)  # it may not have subscribed yet
            assert reader.poll() == EXIT_OK and 'hello' in reader.stdout.read()
        finally:
            reader.kill()


@it('has a systemd unit that exposes little')
def _():
    if not shutil.which('systemd-analyze'):
        raise Skipped('systemd-analyze is not installed')
    done = subprocess.run(['systemd-analyze', 'security', '--offline=true', '--threshold=20', '--no-pager', UNIT], text=True, check=False,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    assert done.returncode == 0, done.stdout[-1000:]
