"""reloading: SIGHUP takes up all that has changed in the configuration, or nothing. Part of the suite lifecycle."""
import os
import tempfile
import threading

import users
from lifecycle import log_in, reload, write
from server import Server
from suite import Suite
from talk import Wire

suite = Suite()
it = suite.it

TOO_MANY = "-ERR 'maximum subscriptions exceeded'\r\n"


class Configured:
    """A server with a configuration file."""

    def __init__(self, text, **server):
        self.text = text
        self.server_settings = server

    def __enter__(self):
        self.folder = tempfile.TemporaryDirectory()
        self.path = os.path.join(self.folder.name, 'spate.yaml')
        write(self.path, self.text)
        self.server = Server('spate', flags=['--config', self.path], **self.server_settings)
        return self

    def __exit__(self, *_):
        self.server.__exit__(*_)
        self.folder.cleanup()

    def becomes(self, text, word='event=reloaded'):
        write(self.path, text)
        reload(self.server, word)


def connected(server, *lines):
    wire = Wire(server)
    wire.say('CONNECT {"verbose":false}', *lines, 'PING')
    return wire


@it('takes up new limits on SIGHUP for those who are there and those who come')
def _():
    with Configured('limits: {max_subscriptions: 2}\n') as configured:
        server = configured.server
        one = connected(server, 'SUB a 1', 'SUB b 2')
        one.hear('PONG\r\n')
        one.say('SUB c 3')
        one.hear(TOO_MANY)
        configured.becomes('limits: {max_subscriptions: 4, ping_interval: 100ms}\nlog: {level: debug}\n')
        two = connected(server, 'SUB a 1', 'SUB b 2', 'SUB c 3', 'SUB d 4')
        two.hear('PONG\r\n')
        two.hear("-ERR 'Stale Connection'\r\n")  # which takes minutes otherwise
        log = server.log()
        for key, before, now in (('limits.max_subscriptions', '2', '4'), ('limits.ping_interval', '2m', '100ms'),
                                 ('log.level', 'info', 'debug')):
            assert f'key={key} from={before} to={now} by={configured.path}:' in log, log
        # A limit that was not there at start counts those who came before it.
        configured.becomes('limits: {max_connections_per_address: 1}\n')
        three = Wire(server)
        three.say('CONNECT {"verbose":false}', 'PING')
        three.hear("-ERR 'maximum connections exceeded'\r\n")


@it('changes nothing when one key cannot be taken up, and says which and where')
def _():
    with Configured('limits: {max_subscriptions: 2}\n') as configured:
        rows = [('limits:\n  max_subscriptions: 4\n  max_payload: 2MiB\n', ':3:16: limits.max_payload cannot go from 1MiB to 2MiB'),
                ('limits: {max_subscriptions: 4, max_paylod: 1}\n', ':1:32: the section limits may not have the key'),
                ('limits: {max_subscriptions: 4}\nlag: {max_lag: 600MiB}\n', ':2:16: lag.max_lag is more than half'),
                ('limits: {max_subscriptions: 4}\nauth: {users: []}\n', 'users cannot be asked for their passwords'),
                ('limits: {max_subscriptions: 4\n', 'it is not YAML')]
        for text, said in rows:
            configured.becomes(text, 'event=reload_refused')
            assert said in configured.server.log(), (said, configured.server.log())
        os.unlink(configured.path)
        reload(configured.server, 'event=reload_refused')
        one = connected(configured.server, 'SUB a 1', 'SUB b 2')
        one.hear('PONG\r\n')
        one.say('SUB c 3')
        one.hear(TOO_MANY)
        assert 'option_changed' not in configured.server.log()


@it('says that there is nothing to read again, without users and without a file')
def _():
    with Server('spate') as server:
        reload(server, 'event=nothing_to_reload')


@it('loses nothing while it is told to read again and again')
def _():
    count = 20000
    texts = [f'limits: {{ping_max: {number}}}\nlag: {{rules: [{{pattern: x{number}.>, policy: conflate}}]}}\n' for number in (2, 3)]
    with Configured(texts[0]) as configured:
        server = configured.server
        subscriber, publisher = connected(server, 'SUB load.> 1'), connected(server)
        for wire in (subscriber, publisher):
            wire.hear('PONG\r\n')

        def publish():
            for begin in range(0, count, 100):
                publisher.say(*(part for number in range(begin, begin + 100)
                                for part in (f'PUB load.x {len(str(number))}', str(number))))

        thread = threading.Thread(target=publish)
        thread.start()
        for round_ in range(20):
            configured.becomes(texts[(round_ + 1) % 2])
        thread.join()
        for number in range(count):
            subscriber.hear(f'MSG load.x 1 {len(str(number))}\r\n{number}\r\n')
        assert server.log().count('key=limits.ping_max') == 20, server.log()


@it('takes users that stand in the configuration, and others with it on SIGHUP')
def _():
    alice, bob = ('{name: %s, password: "%s"}' % (name, users.WONDER) for name in ('alice', 'bob'))
    with Configured(f'auth: {{users: [{alice}]}}\n') as configured:
        server = configured.server
        first = log_in(server, 'alice', 'wonder')
        first.hear('PONG\r\n')
        log_in(server, 'bob', 'wonder').hear("-ERR 'Authorization Violation'\r\n")
        configured.becomes(f'auth: {{users: [{bob}]}}\nlimits: {{max_subscriptions: 1}}\n', 'event=users_reloaded')
        first.hear("-ERR 'User Authentication Revoked'\r\n")
        bob_now = log_in(server, 'bob', 'wonder')
        bob_now.hear('PONG\r\n')
        bob_now.say('SUB a 1', 'SUB b 2')
        bob_now.hear(TOO_MANY)
        # Users of a file in their place are a change like another.
        write(os.path.join(configured.folder.name, 'users.yaml'), f'users: [{bob}]\n')
        configured.becomes('auth: {users_file: users.yaml}\nlimits: {max_subscriptions: 1}\n', 'event=users_reloaded')
        assert 'key=auth.users_file from=none' in server.log(), server.log()
        # Of a file with users that are wrong the limits are not taken up either.
        configured.becomes('auth: {users: [{name: bob, password: x}]}\n', 'event=reload_refused')
        bob_now = log_in(server, 'bob', 'wonder')
        bob_now.say('SUB a 1', 'SUB b 2')
        bob_now.hear('PONG\r\n')
        bob_now.hear(TOO_MANY)
