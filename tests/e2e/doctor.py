"""doctor: what `spate doctor` says of this machine, of addresses, users and a running engine; and that it and
scripts/tune-host want the same."""
import errno
import importlib.machinery
import importlib.util
import json
import os
import re
import socket
import sys
import tempfile

from lifecycle import refuse_io_uring
from server import ROOT, Server
from suite import EXIT_CONFIG, EXIT_FAILED, EXIT_OK, EXIT_USAGE, Suite, admin_of, spate

suite = Suite()
it = suite.it

sys.dont_write_bytecode = True
loader = importlib.machinery.SourceFileLoader('tune_host', os.path.join(ROOT, 'scripts/tune-host'))
tune_host = importlib.util.module_from_spec(importlib.util.spec_from_loader('tune_host', loader))
loader.exec_module(tune_host)

# Nobody's ports, and no CPU of its own: what is tested is not whether this very machine is well.
ALONE = ('--listen', '127.0.0.1:0', '--admin', 'none')
FALLS = ('--reactors', '1', '--memory', '64MiB')


def doctor(*options, before=None):
    """The checks by name; the exit status fits them."""
    status, said = spate('doctor', '--json', *options, before=before)
    assert status in (EXIT_OK, EXIT_FAILED), f'{status}: {said}'
    told = json.loads(said)
    checks = {check['name']: check for check in told['checks']}
    verdicts = [check['verdict'] for check in told['checks']]
    assert [told[name] for name in ('passed', 'warned', 'failed', 'skipped')] == [verdicts.count(word) for word in ('PASS', 'WARN', 'FAIL', 'SKIP')], said
    assert (status == EXIT_FAILED) == ('FAIL' in verdicts), f'{status}: {said}'
    for check in checks.values():
        assert check['found'] and check['why'] and bool(check['fix']) == (check['verdict'] in ('WARN', 'FAIL')), check
    return checks


def says(check, verdict, *parts):
    assert check['verdict'] == verdict, check
    for part in parts:
        assert part in check['found'] + ' ' + check['fix'], f'{part}: {check}'


@it('tells the same in lines as in JSON')
def _():
    checks = doctor(*ALONE, *FALLS)
    status, said = spate('doctor', *ALONE, *FALLS)
    assert status in (EXIT_OK, EXIT_FAILED), said
    for check in checks.values():
        assert any(line.split()[:2] == [check['verdict'], check['name']] for line in said.splitlines()), f'{check}: {said}'
    assert f'{sum(check["verdict"] == "PASS" for check in checks.values())} passed' in said, said


@it('needs no root')
def _():
    before = (lambda: os.setuid(65534)) if os.getuid() == 0 else None
    if before and not all(os.stat(path).st_mode & 1 for path in parents(os.environ['SPATE_BIN'])):
        before = None  # the binary stands where nobody else may go
    names = set(doctor(*ALONE, *FALLS, before=before))
    assert names == set(doctor(*ALONE, *FALLS)), names


def parents(path):
    while path != '/':
        yield path
        path = os.path.dirname(path)


@it('names the process that holds a port, and how to get it')
def _():
    with socket.create_server(('127.0.0.1', 0)) as held:
        address = f'127.0.0.1:{held.getsockname()[1]}'
        says(doctor('--listen', address, '--admin', 'none', *FALLS)['listeners'], 'FAIL', f'--listen {address} is held by', f'(pid {os.getpid()})', '--port-offset')
        assert spate('doctor', '--listen', address, '--admin', 'none', *FALLS)[0] == EXIT_FAILED


@it('says of a path that a server listens there, and takes one that nobody serves')
def _():
    with tempfile.TemporaryDirectory() as folder:
        path = folder + '/spate.sock'
        with socket.socket(socket.AF_UNIX) as held:
            held.bind(path)
            held.listen()
            says(doctor('--listen', 'unix:' + path, '--admin', 'none', *FALLS)['listeners'], 'FAIL', path)
        says(doctor('--listen', 'unix:' + path, '--admin', 'none', *FALLS)['listeners'], 'PASS')
        assert os.path.exists(path), 'the doctor has removed it'


@it('asks a running engine how it is')
def _():
    with Server('spate', flags=['--admin', '127.0.0.1:0']) as server:
        admin = admin_of(server)
        address = '%s:%d' % server.address
        checks = doctor('--listen', address, '--admin', admin, *FALLS)
        says(checks['engine'], 'PASS', f'pid {server.process.pid}')
        says(checks['losses'], 'PASS', '0 of 0')
        says(checks['listeners'], 'PASS', 'held by the running engine')
        says(checks['watermark'], 'PASS')
        for name in ('backend', 'lag', 'bans', 'shortages', 'busy'):
            assert checks[name]['verdict'] != 'SKIP', checks[name]


@it('is not led astray by something that is no engine')
def _():
    with socket.create_server(('127.0.0.1', 0)) as other:
        address = f'127.0.0.1:{other.getsockname()[1]}'
        checks = doctor('--listen', '127.0.0.1:0', '--admin', address, '--timeout', '200ms', *FALLS)
        says(checks['engine'], 'SKIP', 'none answers', address)
        says(checks['listeners'], 'FAIL', f'--admin {address} is held by')


for refusal in (errno.EPERM, errno.ENOSYS):
    @it(f'explains why the kernel refuses io_uring with {errno.errorcode[refusal]}')
    def _(refusal=refusal):
        says(doctor(*ALONE, *FALLS, before=refuse_io_uring(refusal))['io-uring'], 'WARN', 'refused', '--backend epoll')


@it('says of a users file who may read it')
def _():
    with tempfile.NamedTemporaryFile('w', suffix='.yaml') as users:
        users.write('users: [{name: a, password: "$2b$04$0000000000000000000000000000000000000000000000000000."}]\n')
        users.flush()
        for mode, verdict in ((0o600, 'PASS'), (0o644, 'WARN'), (0o666, 'FAIL')):
            os.chmod(users.name, mode)
            says(doctor(*ALONE, *FALLS, '--users', users.name)['access'], verdict, users.name)
    says(doctor(*ALONE, *FALLS, '--users', users.name)['access'], 'FAIL', 'No such file')


@it('reads the configuration file, and looks who may read the users in it')
def _():
    with tempfile.NamedTemporaryFile('w', suffix='.yaml') as file:
        file.write('listeners: ["127.0.0.1:0"]\nadmin: none\nlimits: {max_connections: 999999}\n'
                   'auth: {users: [{name: a, password: "$2b$04$0000000000000000000000000000000000000000000000000000."}]}\n')
        file.flush()
        os.chmod(file.name, 0o644)
        checks = doctor('--config', file.name, *FALLS)
        says(checks['access'], 'WARN', 'chmod g-w,o= ' + file.name)
        assert 'needs 1000' in checks['open-files']['found'] or checks['open-files']['verdict'] == 'PASS', checks['open-files']
        file.write('nonsense: 1\n')
        file.flush()
        status, said = spate('doctor', '--config', file.name)
        assert (status, file.name in said) == (EXIT_CONFIG, True), said


@it('fails where more memory is asked for than there is')
def _():
    says(doctor(*ALONE, '--reactors', '1', '--memory', '1024GiB')['memory'], 'FAIL', '1 TiB for events', '--memory')


@it('takes the options of `spate run`, and refuses as that does')
def _():
    for options, expected, what in ((['--max-lagg', '1'], EXIT_USAGE, 'did you mean --max-lag'), (['now'], EXIT_USAGE, 'one argument too many'),
                                    (['--receive-buffers', '63'], EXIT_CONFIG, 'power of two'),
                                    (['--listen', '0.0.0.0:0'], EXIT_CONFIG, 'listens on loopback only')):
        status, said = spate('doctor', *options)
        assert (status, what in said) == (expected, True), f'{status}: {said}'


# What tune-host wants exactly as the doctor does; of others it wants more than the doctor.
SAME = {'somaxconn': 'somaxconn', 'syn-backlog': 'syn-backlog', 'syncookies': 'syncookies', 'wmem-max': 'send-buffer', 'tcp-rmem': 'receive-window',
        'tcp-mem': 'tcp-memory', 'conntrack': 'conntrack', 'thp': 'huge-pages'}
MORE = {'nr-open': 'nr-open', 'swappiness': 'swap', 'clocksource': 'clocksource', 'io-uring': 'io-uring'}


@it('wants what tune-host gives, and names only what that has')
def _():
    for options, tuned in (([], []), (['--max-connections', '1000000', '--memory', '2GiB', '--send-buffer', '8MiB'],
                                      ['--connections', '1000000', '--memory', '2GiB', '--send-buffer', '8MiB'])):
        checks = doctor(*ALONE, '--reactors', '1', '--memory', '1GiB', *options)
        asked = tune_host.read_arguments(['plan', '--dedicated', '--cpus', '0', *tuned])
        machine = tune_host.Machine()
        asked.cpus = ''
        tune_host.complete(machine, asked, {})
        for row in tune_host.ROWS:
            state = tune_host.Finding(machine, asked, row).word()
            check = checks.get(SAME.get(row.name, MORE.get(row.name)))
            if check is None or state in ('skipped', 'cannot') or check['verdict'] == 'SKIP':
                continue
            assert state != 'ok' or row.name == 'io-uring' or check['verdict'] == 'PASS', f'tune-host is content with {row.name}: {check}'
            assert state != 'change' or row.name not in SAME or check['verdict'] != 'PASS', f'tune-host would change {row.name}: {check}'
    with open(os.path.join(ROOT, 'engine/cli/checkup.c'), encoding='utf-8') as source:
        text = source.read()
    named = re.findall(r'(?<!define )TUNE "([a-z,-]+?),?[ %"]', text) + re.findall(r'at_least\(finding,[^;]*"([a-z-]+)"\);', text)
    named = {name for names in named for name in names.split(',')}
    assert named <= {row.name for row in tune_host.ROWS} and len(named) > 15, named
