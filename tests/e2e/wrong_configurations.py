#!/usr/bin/env python3
"""wrong_configurations: what `spate check` says of files that are wrong: each with its place, why, and what would do.

    tests/e2e/wrong_configurations.py SPATE

A row is (category, text, "LINE:COLUMN" or None, words that are said). Below them are those that are right, and what
`spate config` prints of them. Exits 0 when all is as it should be."""
import json
import os
import subprocess
import sys
import tempfile

HASH = '$2b$04$abcdefghijklmnopqrstuuXgr4nCRkMuJMGvpFSHxyB6f0bEZH2tm'
DIGEST = 'sha256:' + '0f' * 32

WRONG = [
    # ---- grammar ----
    ('grammar', '', '1:1', ['empty', 'version: 1']),
    ('grammar', '# nothing\n', '1:1', ['empty']),
    ('grammar', 'limits:\n\tmax_payload: 1MiB\n', '2:1', ['a tab', 'only blanks']),
    ('grammar', 'log:\n  level: info\n\t# more\nadmin: none\n\tx: 1\n', '3:1', ['a tab']),
    ('grammar', b'log:\n  level: "\xff"\n', '2:11', ['UTF-8']),
    ('grammar', b'\xff\xfel\x00o\x00g\x00', '1:1', ['UTF-8']),
    ('grammar', 'limits: {max_payload: 1MiB\n', None, ['not YAML', 'line 1']),
    ('grammar', 'admin: "none\n', None, ['not YAML']),
    ('grammar', 'admin: none\n  log: 1\n', '2:6', ['not YAML', 'too far to the right']),
    ('grammar', 'engine:\n  reactors:1\n  memory: 64MiB\n', '3:9', ['a blank missing behind the colon above it']),
    ('grammar', 'lag: {rules: [{pattern: *.eu, policy: block}]}\n', '1:26', ['begins with *', 'in quotes']),
    ('grammar', 'lag: {rules: [{pattern: >, policy: block}]}\n', '1:25', ['begins with >', 'in quotes']),
    ('grammar', 'listeners:\n  - [::1]:4222\n', '2:6', ['begins with [', '"[::1]:4222"']),
    ('grammar', 'admin: none\n---\nadmin: none\n', '3:1', ['second document', 'one in a file']),
    ('grammar', 'log: &all {level: info}\n', '1:6', ['&all', 'anchors', 'write the value']),
    ('grammar', 'lag: {max_lag: *all}\n', '1:16', ['*all', 'aliases']),
    ('grammar', 'log: {level: !!str info}\nadmin: !x none\n', '2:8', ['tag', 'take it away']),
    # ---- keys ----
    ('keys', 'limit:\n  max_payload: 1MiB\n', '1:1', ['"limits"?']),
    ('keys', 'limits:\n  max_paylod: 1MiB\n', '2:3', ['section limits', 'did you mean "max_payload"?']),
    ('keys', 'limits: {max-payload: 1MiB}\n', '1:10', ['did you mean "max_payload"?']),
    ('keys', 'max_payload: 1MiB\n', '1:1', ['section limits']),
    ('keys', 'limits: {max_lag: 1MiB}\n', '1:10', ['section lag', '"max_lag"']),
    ('keys', 'lag: {lag_policy: block}\n', '1:7', ['did you mean "policy"?']),
    ('keys', 'lag_listener: block\n', '1:1', ['one of the listeners']),
    ('keys', 'engine: {listen: 127.0.0.1:4222}\n', '1:10', ['"listeners"', 'outside of any section']),
    ('keys', 'users: []\n', '1:1', ['section auth', 'users_file']),
    ('keys', 'whatever: 1\n', '1:1', ['take it out']),
    ('keys', 'log: {level: info}\nadmin: none\nlog: {level: warn}\n', '3:1', ['"log"', 'twice', 'keep one']),
    ('keys', 'log:\n  level: info\n  level: warn\n', '3:3', ['"level"', 'twice']),
    ('keys', '? [a, b]\n: 1\n', '1:3', ['a key is a list']),
    # ---- types and nesting ----
    ('types', '- 127.0.0.1:4222\n', '1:1', ['the file is a list', 'mapping of keys']),
    ('types', 'listeners: 127.0.0.1:4222\n', '1:12', ['listeners is a single value', 'a list']),
    ('types', 'listeners: []\n', '1:12', ['nobody could connect', 'take the key out']),
    ('types', 'limits: 1MiB\n', '1:9', ['section limits is a single value', 'mapping']),
    ('types', 'limits:\nadmin: none\n', '1:8', ['section limits is empty', 'take it out']),
    ('types', 'limits:\n  max_payload: [1MiB]\n', '2:16', ['is a list', 'single value']),
    ('types', 'limits:\n  max_payload:\n', '2:15', ['no value', 'take the key out']),
    ('types', 'engine: {memory: ~}\n', '1:18', ['no value']),
    ('types', 'engine: {busy_poll: maybe}\n', '1:21', ['maybe', 'true or false would do']),
    ('types', 'engine: {busy_poll: True}\n', '1:21', ['true or false would do']),
    ('types', 'limits: {ping_max: yes}\n', '1:20', ['not a number', 'a count from 1 to 100']),
    ('types', 'backend: {type: uring}\n', '1:17', ['io_uring']),
    ('types', 'log: {level: verbose}\n', '1:14', ['error, warn, info, debug']),
    ('types', 'log: {level: "info\\nx"}\n', '1:14', ['control character']),
    ('types', 'version: 2\n', '1:10', ['version 1', 'write 1']),
    # ---- units and ranges ----
    ('units', 'limits: {max_payload: 1MB}\n', '1:23', ['MB is not a unit', 'KiB']),
    ('units', 'limits: {max_payload: 1.5MiB}\n', '1:23', ['whole numbers']),
    ('units', 'limits: {ping_interval: 2min}\n', '1:25', ['min is not a unit', 'ns, us, ms, s, m, h or d']),
    ('units', 'limits: {ping_max: 2s}\n', '1:20', ['not a unit of counting']),
    ('ranges', 'limits: {max_payload: 64MiB}\n', '1:23', ['more than 3MiB', 'a size from 1B to 3MiB']),
    ('ranges', 'engine: {reactors: 65}\n', '1:20', ['more than 64', 'auto or a count from 1 to 64']),
    ('ranges', 'engine: {reactors: 0}\n', '1:20', ['less than 1']),
    ('ranges', 'limits: {ping_max: -1}\n', '1:20', ['below 0']),
    ('ranges', 'lag: {block_time: 99999999999999999999s}\n', '1:19', ['64 bits']),
    ('ranges', 'backend: {receive_buffers: 65}\n', '1:28', ['power of two', 'try 128']),
    # ---- listeners ----
    ('listeners', 'listeners: [nowhere]\n', '1:13', ['nowhere', 'not an address', 'IPv4:PORT']),
    ('listeners', 'listeners: ["127.0.0.1:4222,127.0.0.1:4223"]\n', '1:13', ['not one address', 'an item of its own']),
    ('listeners', 'listeners:\n  - 127.0.0.1:4222\n  - 0.0.0.0:4223\n', '3:5', ['loopback only', 'users']),
    ('listeners', 'listeners:\n  - 127.0.0.1:4222\n  - 127.0.0.1:4222\n', '3:5', ['has that port already']),
    ('listeners', 'listeners: [{lag_policy: block}]\n', '1:13', ['no address', 'add one']),
    ('listeners', 'listeners: [{address: 127.0.0.1:4222, lag_polcy: block}]\n', '1:39', ['"lag_policy"?']),
    ('listeners', 'listeners: [{address: 127.0.0.1:4222, lag_policy: drop}]\n', '1:51', ['drop-oldest']),
    ('listeners', 'listeners: ["127.0.0.1:4222@9"]\nengine: {reactors: 1, cpus: none}\n', '1:13', ['no reactor 9']),
    ('listeners', 'admin: 0.0.0.0:8222\n', '1:8', ['asks nobody who he is', 'loopback']),
    ('listeners', 'admin: 127.0.0.1:4222\n', '1:8', ['has that port already']),
    # ---- rules for those who lag ----
    ('lag', 'lag: {rules: {pattern: a, policy: block}}\n', '1:14', ['lag.rules is a mapping', 'a list']),
    ('lag', 'lag: {rules: [a=block]}\n', '1:15', ['a rule is a single value', 'mapping']),
    ('lag', 'lag: {rules: [{policy: block}]}\n', '1:15', ['no pattern', 'policy: conflate']),
    ('lag', 'lag: {rules: [{pattern: a}]}\n', '1:15', ['no policy']),
    ('lag', 'lag: {rules: [{pattern: a..b, policy: block}]}\n', '1:25', ['not a pattern', 'telemetry.>']),
    ('lag', 'lag: {rules: [{pattern: a, policy: conflat}]}\n', '1:36', ['did you mean conflate?']),
    ('lag', 'lag: {rules: [{pattern: a, policy: block, limit: 1KiB}]}\n', '1:50', ['less than 64KiB']),
    ('lag', 'lag: {rules: [{pattern: a, policy: block, limits: 1MiB}]}\n', '1:43', ['did you mean "limit"?']),
    ('lag', 'lag:\n  rules:\n    - {pattern: a.>, policy: block}\n    - {pattern: a.b, policy: conflate}\n', '4:7',
     ['lag.rules "a.b=conflate"', 'can never apply', 'narrower one first']),
    ('lag', 'engine: {memory: 32MiB, reactors: 1, cpus: none}\nlag:\n  rules:\n    - {pattern: a, policy: block}\n'
     '    - {pattern: b, policy: block, limit: 17MiB}\n', '5:7', ['more than 16MiB', 'half of --memory']),
    # ---- users ----
    ('users', 'auth: {users: [{name: a, password: secret}]}\n', '1:36', ['bcrypt', 'spate passwd']),
    ('users', 'auth: {users: [{name: a, password: ' + HASH + '}, {name: a, password: ' + HASH + '}]}\n', '1:106',
     ['"a"', 'twice']),
    ('users', 'auth: {tokens: [{name: a, token: "' + DIGEST + '"}, {name: b, token: "' + DIGEST + '"}]}\n', '1:127',
     ['"a" and "b"', 'same hash', 'draw one anew']),
    ('users', 'auth: {no_auth_user: guest}\n', '1:22', ['guest', 'add it there']),
    ('users', 'auth: {users: [], users_file: users.yaml}\n', '1:15', ['users_file', 'keep one of the two']),
    ('users', 'auth: {users: [{name: a, password: ' + HASH + ', listeners: [1.2.3.4:5]}]}\n', '1:110',
     ['--listen', '1.2.3.4:5']),
    ('users', 'auth: {user: []}\n', '1:8', ['did you mean "users"?']),
    ('users', 'auth: {users_file: absent.yaml}\n', '1:20', ['auth.users_file', 'absent.yaml', 'No such file']),
    # ---- what does not go together ----
    ('together', 'engine: {memory: 64MiB, reactors: 1, cpus: none}\nlag: {max_lag: 40MiB}\n', '2:16',
     ['lag.max_lag is more than half of engine.memory', 'raise the other']),
    ('together', 'engine:\n  memory: 32MiB\n  reactors: 4\n  cpus: none\n', '2:11', ['4 reactors', '64 MiB']),
    ('together', 'engine: {mailbox: 1MiB}\n', '1:19', ['engine.mailbox', 'two of the largest events', 'auto']),
    ('together', 'engine: {cpus: 0-1023}\n', '1:16', ['0-1023']),
    ('together', 'engine: {cpus: first}\n', '1:16', ['first']),
]


def check(binary, *arguments, environment=None):
    kept = {name: value for name, value in os.environ.items() if not name.startswith('SPATE_')}
    done = subprocess.run([binary, *arguments], capture_output=True, text=True, timeout=60, check=False,
                          env={**kept, **(environment or {})})
    return done.returncode, done.stdout, done.stderr


def write(path, text):
    with open(path, 'wb') as file:
        file.write(text if isinstance(text, bytes) else text.encode())


def wrong_ones(binary, path):
    for category, text, place, words in WRONG:
        write(path, text)
        status, out, said = check(binary, 'check', '--config', path)
        beginning = f'spate: {path}:{place}: ' if place else 'spate: '
        if not place:
            beginning += path
        missing = [word for word in words if word not in said]
        if status != 78 or out or said.count('\n') != 1 or not said.startswith(beginning) or missing:
            yield f'{category}: {text!r}\n  wanted {place} {missing or ""}, status 78\n  got    {status} {said!r} {out!r}'


def wrong_paths(binary, folder):
    """What is no file to be read."""
    large = os.path.join(folder, 'large.yaml')
    with open(large, 'wb') as file:
        file.truncate(2 << 20)
    rows = [(folder, ['a folder', 'name the file itself']), (os.path.join(folder, 'none'), ['No such file']),
            ('/dev/null', ['not a regular file']), (large, ['larger than 1 MiB'])]
    for path, words in rows:
        for arguments, environment in ((['--config', path], {}), ([], {'SPATE_CONFIG': path})):
            status, _, said = check(binary, 'check', *arguments, environment=environment)
            missing = [word for word in words + [path] if word not in said]
            if status != 78 or missing:
                yield f'{path}: {status} {said!r}, without {missing}'


def right_ones(binary, path, examples):
    status, defaults, said = check(binary, 'config', 'defaults')
    write(path, defaults)
    status, out, said = check(binary, 'config', 'diff', '--config', path)
    if status != 0 or out or said:
        yield f'defaults read back are the defaults: {status} {out} {said}'
    for example in [path, *examples]:
        status, out, said = check(binary, 'check', '--config', example)
        if status != 0 or not out.startswith('ok: ') or said:
            yield f'{example} is right: {status} {out} {said}'
    write(path, 'limits: {max_payload: 2MiB, ping_max: 3}\nlisteners: [{address: 127.0.0.1:1, lag_policy: block}]\n')
    status, out, said = check(binary, 'config', 'show', '--json', '--config', path, '--ping-max', '4',
                              '--listen', '127.0.0.1:2', environment={'SPATE_MAX_PAYLOAD': '1KiB'})
    rows = {row['key']: row for row in json.loads(out)['options']} if status == 0 else {}
    wanted = {'limits.max_payload': ('1KiB', 'environment', 'SPATE_MAX_PAYLOAD'), 'limits.ping_max': ('4', 'flag', '--ping-max'),
              'listeners': ('127.0.0.1:2', 'flag', '--listen'), 'listeners.lag_policy': ('', 'default', 'default'),
              'log.level': ('info', 'default', 'default')}
    for key, row in wanted.items():
        got = tuple(rows.get(key, {}).get(name) for name in ('value', 'source', 'origin'))
        if got != row:
            yield f'{key} is {row}, not {got} {said}'
    # Whoever leaves a variable blank does not mean to let everyone in.
    inline = 'auth: {users: [{name: alice, password: "%s"}]}\n' % HASH
    for text in (inline, 'auth: {users_file: users.yaml}\n'):
        write(path, text)
        for arguments, environment in ((['--users', ''], {}), ([], {'SPATE_USERS': ''})):
            status, out, said = check(binary, 'check', '--config', path, *arguments, environment=environment)
            if status != 78 or 'is empty: it would let everyone in' not in said or path not in said:
                yield f'{text!r} and no users in {environment} {arguments}: {status} {out} {said}'
    status, out, said = check(binary, 'check', environment={'SPATE_USERS': ''})
    if status != 0:
        yield f'no users where none are named: {status} {said}'
    # What goes into a file must not be cut short unnoticed.
    for words in (['check'], ['config', 'show'], ['config', 'show', '--json'], ['config', 'diff', '--ping-max', '4'], ['config', 'defaults']):
        with open('/dev/full', 'w', encoding='utf-8') as full:
            done = subprocess.run([binary, *words], stdout=full, stderr=subprocess.PIPE, text=True, check=False)
        if done.returncode != 1 or 'No space left' not in done.stderr:
            yield f'{words} to a full disk: {done.returncode} {done.stderr!r}'
    # Names that a container platform sets are passed over, others are not.
    links = {'SPATE_SERVICE_HOST': '10.0.0.1', 'SPATE_SERVICE_PORT': '4222', 'SPATE_PORT': 'tcp://10.0.0.1:4222',
             'SPATE_SERVICE_PORT_NATS': '4222', 'SPATE_PORT_4222_TCP': 'tcp://10.0.0.1:4222', 'SPATE_PORT_4222_TCP_ADDR': '10.0.0.1',
             'SPATE_NATS_PORT_4222_TCP_PROTO': 'tcp', 'SPATE_NATS_SERVICE_HOST': '10.0.0.1', 'SPATE_NATS_PORT': 'tcp://10.0.0.1:1'}
    status, out, said = check(binary, 'check', environment=links)
    if status != 0:
        yield f'service links are passed over: {status} {said}'
    for name in ('SPATE_PORT', 'SPATE_LISTN', 'SPATE_PORTX_4222_TCP', 'SPATE_TCP'):
        status, out, said = check(binary, 'check', environment={name: '4222'})
        if status != 2 or name not in said:
            yield f'{name} is refused: {status} {said}'


def main():
    binary = os.path.abspath(sys.argv[1])
    root = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
    example = os.path.join(root, 'scripts/service/spate.yaml')
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, 'spate.yaml')
        faults = [*wrong_ones(binary, path), *wrong_paths(binary, folder),
                  *right_ones(binary, path, [example] if os.path.exists(example) else [])]
    for fault in faults:
        print(fault)
    print(f'{len(WRONG)} wrong configurations, {len(faults)} faults')
    return 1 if faults else 0


if __name__ == '__main__':
    sys.exit(main())
