"""server: starts a NATS server on a free loopback port and stops it by its process id.

Two kinds: `spate`, the one under test, and `reference`, Debian's nats-server. What a test may ask of either is one row
of SETTINGS. Binary, backend, the number of reactors and the folder for logs come from the environment: SPATE_BIN,
E2E_BACKEND, E2E_REACTORS, E2E_LOGS."""
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import tempfile
import time

import users

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))

# What a test asks for: the flag of spate, the key in nats-server's configuration.
SETTINGS = {
    'max_payload': ('--max-payload', 'max_payload'),
    'max_control_line': ('--max-control-line', 'max_control_line'),
    'max_subscriptions': ('--max-subscriptions', 'max_subscriptions'),
    'max_connections': ('--max-connections', 'max_connections'),
    'ping_interval': ('--ping-interval', 'ping_interval'),
    'ping_max': ('--ping-max', 'ping_max'),
    'max_stall': ('--max-stall', None),  # nats-server has write_deadline, which counts otherwise
    'auth_timeout': ('--auth-timeout', None),  # a part of nats-server's `authorization`
    'handshake_timeout': ('--handshake-timeout', None),  # nats-server has none without authorization
}
LISTENING = {
    'spate': re.compile(r'event=listening .*?address="?([0-9.]+:\d+)"?(?=.*protocol=nats)'),
    'reference': re.compile(r'Listening for client connections on ([0-9.]+:\d+)'),
}
# Under the sanitizers everything takes longer.
PATIENCE = float(os.environ.get('E2E_PATIENCE', '1'))
START_SECONDS = 15 * PATIENCE


def find(program):
    found = shutil.which(program, path=os.environ.get('PATH', '') + ':/usr/sbin:/sbin')
    if not found:
        raise RuntimeError(f'{program} is not installed: scripts/install test')
    return found


class Server:
    """A running server. `kind` is 'spate' or 'reference'; `flags` and `backend` are for spate only; `before` is called in
    the new process just before it becomes the server, which has `environment` as well as ours; `through` is a command
    that becomes the server by itself."""

    config = None

    def __init__(self, kind, settings=None, flags=(), backend=None, before=None, environment=None,
                 through=()):
        self.kind = kind
        self.settings = dict(settings or {})
        self.flags = list(flags)
        self.backend = backend or os.environ.get('E2E_BACKEND') or 'auto'
        self.before = before
        self.environment = dict(environment or {})
        self.through = list(through)
        self.process = None
        logs = os.environ.get('E2E_LOGS') or tempfile.gettempdir()
        os.makedirs(logs, exist_ok=True)
        handle, self.log_path = tempfile.mkstemp(prefix=f'{kind}-', suffix='.log', dir=logs)
        os.close(handle)
        self.start(port=0)

    def command(self, port):
        if self.kind == 'spate':
            binary = os.environ.get('SPATE_BIN') or os.path.join(ROOT, 'build/engine/spate')
            flags = [part for name, value in self.settings.items() if name in SETTINGS for part in (SETTINGS[name][0], str(value))]
            if 'users' in self.settings:
                # Every test comes from one address: it must not be kept out for those that are wrong on purpose.
                flags += ['--users', self.write(users.for_spate(users.SETS[self.settings['users']])), '--ban-after', '0']
                if 'auth_timeout' not in self.settings:
                    flags += ['--auth-timeout', f'{2 * PATIENCE:g}s']
            # Not pinned: the clients and the reference share the cores with it.
            return [binary, 'run', '--listen', f'127.0.0.1:{port}', '--cpus', 'none', '--backend', self.backend,
                    '--reactors', os.environ.get('E2E_REACTORS') or '1',
                    *([] if '--admin' in self.flags else ['--admin', 'none']), *self.flags, *flags]
        command = [find('nats-server'), '-a', '127.0.0.1', '-p', str(port or -1)]
        lines = [f'{SETTINGS[name][1]}: {json.dumps(value)}' for name, value in self.settings.items()
                 if name in SETTINGS and SETTINGS[name][1]]
        if 'users' in self.settings:
            lines.append(users.for_reference(users.SETS[self.settings['users']], self.settings.get('auth_timeout', 2)))
        if lines:
            command += ['-c', self.write('\n'.join(lines) + '\n')]
        return command

    def write(self, text):
        """A file for the server, as long as this object lives."""
        self.config = tempfile.NamedTemporaryFile('w', suffix='.conf')
        self.config.write(text)
        self.config.flush()
        return self.config.name

    def start(self, port):
        """Port 0 is any free one. A port asked for by number was ours a moment ago and may take a moment to come free."""
        deadline = time.monotonic() + START_SECONDS
        while True:
            self.spawn(port)
            while time.monotonic() < deadline and self.is_alive():
                found = LISTENING[self.kind].search(self.log()[self.log_start:])
                if found:
                    host, port = found.group(1).split(':')
                    self.address = (host, int(port))
                    return
                time.sleep(0.005)
            self.stop()
            if not port or time.monotonic() >= deadline:
                raise RuntimeError(f'{self.kind} did not start: {self.log()[self.log_start:][-2000:]}')
            time.sleep(0.2)

    def spawn(self, port):
        # The harness's own variables are none of the server's. It dies with us, however we go.
        environment = {k: v for k, v in os.environ.items() if not k.startswith(('SPATE_', 'E2E_'))} | self.environment
        if self.kind == 'spate' and not self.through:
            environment.setdefault('SPATE_POSTMORTEM', os.path.dirname(self.log_path))
        self.log_start = os.path.getsize(self.log_path)
        with open(self.log_path, 'ab') as log:
            self.process = subprocess.Popen(['setpriv', '--pdeathsig', 'KILL', '--', *self.through, *self.command(port)], stdout=log,
                                            stderr=log, stdin=subprocess.DEVNULL, env=environment,
                                            preexec_fn=self.before)

    def log(self):
        with open(self.log_path, encoding='utf-8', errors='replace') as log:
            return log.read()

    def is_alive(self):
        return self.process is not None and self.process.poll() is None

    def stop(self, how=signal.SIGKILL):
        """Returns the exit status, negative for a signal."""
        if self.is_alive():
            self.process.send_signal(how)
            try:
                self.process.wait(START_SECONDS)
            except subprocess.TimeoutExpired:
                self.process.kill()
        return self.process.wait()

    def end_well(self):
        """Asks it to end. What went wrong with that as text, or nothing: a leak that a sanitizer found is told so, too."""
        if not self.is_alive():
            return f'it had gone before: {self.log()[-2000:]}'
        status = self.stop(signal.SIGTERM)
        # nats-server ends with status 1 on SIGTERM, and that is right for it.
        return f'exit status {status}: {self.log()[-2000:]}' if status and self.kind == 'spate' else ''

    def restart(self):
        self.stop()
        self.start(self.address[1])

    def connect(self):
        return socket.create_connection(self.address, timeout=5 * PATIENCE)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.stop()
