"""admin: what the admin address tells: of the server, its reactors, connections and cohorts, and to whom it refuses what.
Each test takes the number of reactors that the run was given."""
import http.client
import json
import os
import random
import re
import signal
import socket
import subprocess
import tempfile
import time

from lifecycle import metrics
from server import ROOT, Server, find
from suite import EXIT_CONFIG, EXIT_FAILED, EXIT_OK, EXIT_UNREACHABLE, SECONDS, Suite, admin_of, spate
from suite import ask as suite_ask
from talk import Wire
import users

REACTORS = int(os.environ.get('E2E_REACTORS') or 1)

suite = Suite()
it = suite.it


class Watched(Server):
    """A spate with an admin address."""

    def __init__(self, *flags, **more):
        super().__init__('spate', flags=['--admin', '127.0.0.1:0', *flags], **more)
        host, port = admin_of(self).split(':')
        self.admin = (host, int(port))

    def ask(self, path, method='GET', headers=None):
        """(status, headers, body)"""
        connection = http.client.HTTPConnection(*self.admin, timeout=SECONDS)
        try:
            connection.request(method, path, headers=headers or {})
            answer = connection.getresponse()
            return answer.status, answer.headers, answer.read()
        finally:
            connection.close()

    def json(self, path):
        status, headers, body = self.ask(path)
        assert status == 200 and headers['Content-Type'] == 'application/json', (path, status, body)
        return json.loads(body)


def until(what, fact):
    """Waits for a fact, and returns it."""
    deadline = time.monotonic() + SECONDS
    while not (found := fact()):
        assert time.monotonic() < deadline, what
        time.sleep(0.01)
    return found


def client(server, *lines, name=''):
    wire = Wire(server)
    wire.say('CONNECT ' + json.dumps({'verbose': False, 'name': name}), *lines)
    wire.settle()
    return wire


def stuck_client(server, subject, name):
    """Subscribes, and reads nothing."""
    stuck = socket.socket()
    stuck.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    stuck.connect(server.address)
    stuck.settimeout(SECONDS)
    stuck.sendall(b'CONNECT %s\r\nSUB %s 1\r\nPING\r\n' % (json.dumps({'verbose': False, 'name': name}).encode(), subject.encode()))
    heard = b''
    while b'PONG' not in heard:
        heard += stuck.recv(4096)
    return stuck


REACTOR_FIELDS = {
    'number', 'cpu', 'connections', 'subscriptions', 'cohorts', 'cohort_members', 'events_received', 'event_bytes_received',
    'deliveries_matched', 'deliveries_released', 'deliveries_dropped', 'deliveries_pending', 'bytes_sent', 'bytes_received', 'turns',
    'busy_ns', 'cpu_ns', 'memory_used_bytes', 'memory_limit_bytes', 'watermark', 'publishers_held'}


@it('tells of each reactor what a viewer needs')
def _():
    with Watched() as server:
        before = server.json('/status')
        assert before['pid'] == server.process.pid and before['draining'] is False, before
        assert abs(before['started_unix_ns'] / 1e9 - time.time()) < 60 * SECONDS and before['file'] is None, before
        assert [row['number'] for row in before['reactors']] == list(range(REACTORS))
        assert all(set(row) == REACTOR_FIELDS for row in before['reactors']), before['reactors'][0]
        readers = [client(server, 'SUB status.a 1') for _ in range(4)]
        writer = client(server, *['PUB status.a 10', '0123456789'] * 100)
        for reader in readers:
            reader.hear_count(100)

        def settled():
            after = server.json('/status')
            return after if sum(row['deliveries_released'] for row in after['reactors']) == 400 else None
        after = until('400 deliveries', settled)
        assert after['now_ns'] > before['now_ns'] and after['started_unix_ns'] == before['started_unix_ns']
        sums = {name: sum(row[name] for row in after['reactors']) for name in REACTOR_FIELDS - {'cpu', 'number'}}
        assert (sums['events_received'], sums['event_bytes_received'], sums['deliveries_matched']) == (100, 1000, 400), sums
        assert sums['subscriptions'] == 4 and sums['connections'] >= 5 and sums['deliveries_dropped'] == 0, sums
        assert sums['bytes_sent'] > 4 * 1000 and sums['bytes_received'] > 1000, sums
        for old, new in zip(before['reactors'], after['reactors']):
            assert new['memory_limit_bytes'] > 0 and new['watermark'] == 0 and new['cpu'] is None, new
            assert 0 < new['cpu_ns'] <= new['busy_ns'] and old['busy_ns'] <= new['busy_ns'] and old['turns'] <= new['turns'], (old, new)
            # Asleep, it takes no time.
            assert new['busy_ns'] < after['now_ns'] - before['now_ns'] + old['busy_ns'] + 10**9, (old, new)
        for wire in [writer, *readers]:
            wire.close()


@it('tells who is furthest behind, and then who is not behind')
def _():
    with Watched('--send-buffer', '64KiB') as server:
        quick = [client(server, name=f'quick {i}') for i in range(3)]
        stuck = [stuck_client(server, f'behind.{i}', f'stuck {i}') for i in range(4)]
        writer = client(server)
        for i in range(4):
            writer.say(*[f'PUB behind.{i} 1000', 'x' * 1000] * (1000 * (i + 1)))
        writer.settle()

        def rows(limit):
            answers = server.json(f'/connections?sort=pending&limit={limit}')['reactors']
            assert len(answers) == REACTORS and all(one['is_whole'] and len(one['connections']) <= limit for one in answers), answers
            # What came in this very turn was not offered to the network yet, and stands in any order.
            for one in answers:
                pending = [row['pending_bytes'] for row in one['connections']]
                if pending != sorted(pending, reverse=True):
                    return []
            return sorted((row for one in answers for row in one['connections']), key=lambda row: -row['pending_bytes'])

        def all_behind():
            found = rows(100)
            # The last of them may lie in a mailbox still.
            are_all_there = sum(row['matched'] for row in found if row['name'].startswith('stuck')) == 10000
            return found if are_all_there and sum(row['pending_bytes'] > 0 for row in found) == 4 else None
        found = until('four are behind', all_behind)
        assert [row['name'] for row in found[:4]] == ['stuck 3', 'stuck 2', 'stuck 1', 'stuck 0'], found
        assert {row['name'] for row in found[4:]} == {'', 'quick 0', 'quick 1', 'quick 2'}, found
        assert found[0]['subscriptions'] == 1 and found[0]['user'] == '' and found[0]['address'].startswith('127.0.0.1:'), found[0]
        assert re.fullmatch(r'20\d\d-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z', found[0]['since']), found[0]
        assert until('the last of all', lambda: rows(1))[0]['name'] == 'stuck 3'
        for one in [*quick, *stuck, writer]:
            one.close()


@it('tells of the largest cohorts')
def _():
    with Watched() as server:
        # Enough for two of each kind on some reactor.
        big = [client(server, 'SUB big.a 1', 'SUB big.b 2') for _ in range(4 * REACTORS)]
        small = [client(server, 'SUB small.> 1') for _ in range(2 * REACTORS)]
        until('cohorts', lambda: sum(row['cohort_members'] for row in server.json('/status')['reactors']) >= 5 * REACTORS - 1)
        writer = client(server, *['PUB big.b 1', 'x'] * 10)
        for wire in big:
            wire.hear_count(10)
        found = []
        for answer in server.json('/cohorts?limit=1')['reactors']:
            assert len(answer['cohorts']) <= 1 and answer['looked_at'] == answer['shared'] <= 2, answer
        for answer in server.json('/cohorts')['reactors']:
            members = [row['members'] for row in answer['cohorts']]
            assert members == sorted(members, reverse=True), answer
            found += answer['cohorts']
        kinds = {(row['patterns_count'], row['pattern']) for row in found}
        assert kinds <= {(2, 'big.a'), (1, 'small.>')} and (2, 'big.a') in kinds, found
        assert sum(row['appended'] for row in found) >= 10 and all(row['lag_bytes'] == 0 for row in found), found
        for wire in [*big, *small, writer]:
            wire.close()


@it('lists its paths, and says so where there is none')
def _():
    with Watched() as server:
        until('every reactor turns', lambda: server.ask('/readyz')[0] == 200)
        status, _, body = server.ask('/')
        paths = re.findall(r'^(/\w*) +\S', body.decode(), re.M)
        assert status == 200 and {'/', '/metrics', '/status', '/connections', '/cohorts', '/losses', '/healthz'} <= set(paths), body
        for path in paths:
            status, headers, body = server.ask(path + '?subject=a' * (path == '/explain'))
            assert (status, headers['Allow']) == ((405, 'POST') if path in ('/reload', '/postmortem', '/drain') else (200, None)), (path, status, body)
        status, _, body = server.ask('/nosuch')
        assert status == 404 and b'/metrics' in body, body
        status, headers, body = server.ask('/status', 'PUT')
        assert status == 405 and headers['Allow'] == 'GET, HEAD' and b'GET' in body, (headers, body)
        status, _, body = server.ask('/status', 'HEAD')
        assert status == 200 and body == b''


@it('refuses a query that it does not understand, and says what would do')
def _():
    with Watched() as server:
        for query in ('limit=0', 'limit=1001', 'limit=', 'limit', 'limit=1&limit=1', 'sort=pending&from=1', 'sort=bytes', 'sort', 'reactor=99',
                      'verbose', 'limit=99999999999999999999', 'limit=-1', '%6cimit=1', 'limit=1&&x', '=', 'a=' + 'x' * 4000):
            status, _, body = server.ask('/connections?' + query)
            assert status == 400 and b'limit=1..1000' in body and b'sort=pending' in body, (query, status, body)
        for path in ('/cohorts?limit=101', '/cohorts?sort=pending', '/cohorts?from=1'):
            status, _, body = server.ask(path)
            assert status == 400 and b'limit=1..100,' in body, (path, status, body)


@it('is ready for new clients until it has no place for them, and alive all the time')
def _():
    with Watched('--max-connections', '3') as server:
        until('every reactor turns', lambda: server.ask('/readyz')[::2] == (200, b'ok\n'))
        assert server.ask('/readyz?verbose')[::2] == (200, b'[+] started\n[+] turning\n[+] staying\n[+] memory\n[+] connections\nok\n')
        inside = [client(server) for _ in range(3)]
        status, _, body = server.ask('/readyz')
        assert status == 503 and body.startswith(b'[-] connections: 3 of 3 clients') and body.endswith(b'not ready\n'), body
        assert server.ask('/healthz')[::2] == (200, b'ok\n')
        assert server.ask('/readyz?x')[0] == 400
        inside.pop().close()
        until('a place', lambda: server.ask('/readyz')[0] == 200)
        for wire in inside:
            wire.close()


def check_metrics(text):
    """What promtool has to say of it: nothing."""
    done = subprocess.run([find('promtool'), 'check', 'metrics'], input=text, capture_output=True, check=False, timeout=SECONDS)
    assert (done.returncode, done.stdout, done.stderr) == (0, b'', b''), (done.stdout, done.stderr)


@it('has metrics that Prometheus has nothing to say against, of the process and of each reactor')
def _():
    with Watched() as server:
        before = time.time()
        wire, writer = client(server, 'SUB metrics.a 1'), client(server, *['PUB metrics.a 1', 'x'] * 10)
        wire.hear_count(10)
        check_metrics(server.ask('/metrics')[2])
        found = metrics('%s:%d' % server.admin)
        for name in ('process_cpu_seconds_total', 'process_resident_memory_bytes', 'process_virtual_memory_bytes', 'process_open_fds',
                     'process_max_fds', 'process_start_time_seconds'):
            assert found[name] > 0, name
        assert abs(found['process_start_time_seconds'] - before) < 60 * SECONDS
        for number in range(REACTORS):
            def of(name, number=number):
                return found['spate_reactor_%s{reactor="%d"}' % (name, number)]
            assert 0 < of('cpu_seconds_total') <= of('busy_seconds_total') < 60 * SECONDS
            assert of('memory_watermark') == 0 and of('stream_memory_limit_bytes') > of('stream_memory_bytes')
            buckets = [value for name, value in found.items() if name.startswith('spate_turn_seconds_bucket{reactor="%d"' % number)]
            assert len(buckets) == 12 and buckets == sorted(buckets), buckets
            assert buckets[-1] == found['spate_turn_seconds_count{reactor="%d"}' % number] > 0
        sums = [sum(value for name, value in found.items() if name.startswith('spate_reactor_connections')), found['spate_connections']]
        assert sums[0] == sums[1] >= 2, sums
        # A scrape is as large with many connections as with one.
        lines = len(server.ask('/metrics')[2].splitlines())
        many = [client(server) for _ in range(50)]
        assert len(server.ask('/metrics')[2].splitlines()) == lines
        for one in [wire, writer, *many]:
            one.close()


class Reference(Server):
    """nats-server with its monitoring."""

    def command(self, port):
        return [*super().command(port), '-m', '-1']

    def json(self, path):
        found = until('its monitoring', lambda: re.search(r'Starting http monitor on [0-9.]+:(\d+)', self.log()))
        return suite_ask(f'127.0.0.1:{found.group(1)}', path)


def kind_of(value):
    """What a client in Go would read it as."""
    return 'number' if isinstance(value, (int, float)) and not isinstance(value, bool) else type(value).__name__


FRACTIONS = {'cpu', 'auth_timeout'}  # the only float64 there; every other number is whole


@it('answers /varz, /connz, /routez and /subsz in the words of nats-server')
def _():
    told = {}
    for server in (Watched(), Reference('reference')):
        with server:
            readers = [client(server, 'SUB same.a 1', 'SUB same.> workers 2', name=f'reader {i}') for i in range(2)]
            writer = client(server, name='writer')
            writer.say(*['PUB same.a 10', '0123456789'] * 50)
            writer.settle()
            varz = until('all is sent', lambda server=server: (one := server.json('/varz'))['out_msgs'] == 150 and one)
            # As nats-top asks, as an exporter asks, and with all there is.
            told[server.kind] = {'varz': varz, 'plain': server.json('/connz'), 'top': server.json('/connz?limit=1024&sort=cid&subs=1'),
                                 'detail': server.json('/connz?subs=detail&limit=3'), 'routez': server.json('/routez'), 'subsz': server.json('/subsz')}
            for wire in [*readers, writer]:
                wire.close()
    ours, theirs = told['spate'], told['reference']

    def compare(path, our, their):
        assert kind_of(our) == kind_of(their), (path, our, their)
        if isinstance(our, dict):
            assert set(our) <= set(their), (path, set(our) - set(their))
            for name in our:
                assert name in FRACTIONS or not isinstance(our[name], float), (path, name, our[name])
                compare(f'{path}.{name}', our[name], their[name])
        elif isinstance(our, list) and our and their:
            for one in our:
                compare(path, one, {name: value for other in their for name, value in other.items()} if isinstance(one, dict) else their[0])
    for page in ours:
        assert ours[page].get('server_id', '') != '' or page == 'subsz'
        rows = {name: sorted(told[name][page].pop('connections'), key=lambda row: row['name']) if page in ('plain', 'top', 'detail') else []
                for name in told}
        compare(page, ours[page], theirs[page])
        assert len(rows['spate']) == len(rows['reference'])
        for our, their in zip(rows['spate'], rows['reference']):
            compare(page, our, their)
            for name in ('name', 'in_msgs', 'in_bytes', 'subscriptions', 'lang', 'version', 'pending_bytes'):
                assert our.get(name) == their.get(name), (page, name, our, their)
            if 'subscriptions_list' in their:
                assert sorted(our['subscriptions_list']) == sorted(their['subscriptions_list'])
            if 'subscriptions_list_detail' in their:
                assert [sorted((one['subject'], one.get('qgroup'), one['sid']) for one in row['subscriptions_list_detail']) for row in (our, their)] \
                    == [[('same.>', 'workers', '2'), ('same.a', None, '1')]] * 2, (our, their)
        assert not rows['spate'] or [sum(row['out_msgs'] for row in rows[name]) for name in rows] == [150, 150], rows
    for name in ('in_msgs', 'out_msgs', 'in_bytes', 'connections', 'slow_consumers', 'total_connections'):
        assert ours['varz'][name] == theirs['varz'][name], (name, ours['varz'], theirs['varz'])
    # What nats-top puts on its screen.
    for name in ('version', 'uptime', 'cpu', 'mem', 'slow_consumers', 'in_msgs', 'in_bytes', 'out_msgs', 'out_bytes', 'connections', 'subscriptions', 'start', 'now'):
        assert name in ours['varz'], name


@it('tells every connection once on the pages of /connz, and orders them as it is asked')
def _():
    with Watched() as server:
        wires = [client(server, *[f'SUB page.{n} {n}' for n in range(i + 1)], name=str(i)) for i in range(11)]
        for i, wire in enumerate(wires):
            wire.say(*['PUB nobody 1', 'x'] * (11 - i))
            wire.settle()
        seen = []
        for offset in range(0, 12, 3):
            page = server.json(f'/connz?offset={offset}&limit=3')
            assert (page['offset'], page['limit'], page['total'], page['num_connections']) == (offset, 3, 11, len(page['connections'])), page
            seen += [row['cid'] for row in page['connections']]
        assert len(seen) == 11 and seen == sorted(set(seen)), seen
        assert server.json('/connz?offset=11')['connections'] == [] == server.json('/connz?offset=999999999')['connections']

        def names(query):
            return [row['name'] for row in server.json('/connz?' + query)['connections']]
        up, down = [str(i) for i in range(11)], [str(i) for i in reversed(range(11))]
        assert names('sort=subs') == names('sort=last') == down and names('sort=msgs_from') == names('sort=bytes_from') == up
        assert names('sort=start') == names('sort=uptime') == names('sort=idle') == up
        assert names('sort=subs&offset=2&limit=3') == down[2:5]
        assert sorted(names('sort=pending')) == sorted(names('sort=msgs_to')) == sorted(names('sort=bytes_to')) == sorted(up)
        for query in ('sort=bogus', 'sort=', 'limit=x', 'offset=-1', 'state=closed', 'cid=1', 'sort=subs&offset=1000&limit=100', 'sort=subs&offset=2000'):
            status, _, body = server.ask('/connz?' + query)
            assert status == 400 and body.endswith(b'\n'), (query, status, body)
        for wire in wires:
            wire.close()


@it('lists so many subscriptions on /connz as are worth a turn and the memory, and counts all of them')
def _():
    subject = 'long.' + 'x' * 1000
    with Watched() as server:
        wires = [client(server, *[f'SUB {subject}.{n} {n}' for n in range(900)], name=str(i)) for i in range(6)]
        for query, name in (('subs=true', 'subscriptions_list'), ('subs=detail', 'subscriptions_list_detail')):
            status, _, body = server.ask('/connz?' + query)
            rows = json.loads(body)['connections']
            assert status == 200 and [row['subscriptions'] for row in rows] == [900] * 6, rows
            assert 10 < sum(len(row[name]) for row in rows) < 6 * 900 and len(body) < 5 << 20, len(body)
        for wire in wires:
            wire.close()


def raw_client(server, name, *lines):
    """A socket that reads nothing by itself, with little room."""
    connection = socket.socket()
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    connection.connect(server.address)
    connection.sendall(b''.join(line.encode() + b'\r\n' for line in ('CONNECT ' + json.dumps({'verbose': False, 'name': name}), *lines)))
    connection.setblocking(False)
    return connection


@it('knows how many bytes each connection was sent, whatever way they went')
def _():
    with Watched('--lag-policy', 'drop-oldest', '--max-lag', '1MiB', '--send-buffer', '64KiB') as server:
        readers = {name: raw_client(server, name, 'SUB way.> 1', *more) for name, more in (
            ('shared 1', []), ('shared 2', []), ('shared 3', []), ('mixed', ['SUB _INBOX.x 2']), ('alone', ['SUB way.> 3']), ('stuck', []))}
        heard = dict.fromkeys(readers, 0)

        def read(names):
            for name in names:
                try:
                    while part := readers[name].recv(1 << 20):
                        heard[name] += len(part)
                except BlockingIOError:
                    pass

        def all_read(names):
            read(names)
            rows = {row.get('name'): row for row in server.json('/connz')['connections']}
            return all(name in rows and rows[name]['pending_bytes'] == 0 and rows[name]['out_bytes'] == heard[name] > 0 for name in names)
        until('greetings', lambda: all_read(readers))
        quick = [name for name in readers if name != 'stuck']
        writer = client(server)
        for i in range(15):
            writer.say(*[f'PUB way.{i} 10000', 'x' * 10000] * 20, 'PUB _INBOX.x 1', 'y')
            writer.settle()
            read(quick)
        until('the quick have all', lambda: all_read(quick))
        skipped = until('the stuck one skips', lambda: server.json('/status')['counters']['deliveries_dropped{reason="lag_skip"}'])
        until('the stuck one has all that is left', lambda: all_read(['stuck']))
        assert skipped > 0, heard
        for connection in [*readers.values(), writer]:
            connection.close()


@it('stands whatever it is asked')
def _():
    chance = random.Random(5)
    words = ['limit', 'offset', 'sort', 'subs', 'auth', 'state', 'from', 'reactor', 'verbose', '=', '&', '?', '%00', '%', '0', '1', '1024', '-1', 'cid',
             'pending', 'detail', 'true', '99999999999999999999', 'x' * 300, '\u00e9', '+', ';', '/', '..', '#']
    paths = ['/', '/metrics', '/status', '/connections', '/cohorts', '/losses', '/readyz', '/healthz', '/varz', '/connz', '/subsz', '/routez', '/x', '*']
    with Watched() as server:
        wires = [client(server, 'SUB fuzz.> 1', name='"\\\u00e9\x7f') for _ in range(3)]
        statuses = set()
        for _ in range(400):
            query = ''.join(chance.choice(words) for _ in range(chance.randrange(8)))
            with socket.create_connection(server.admin, timeout=SECONDS) as connection:
                connection.sendall(f'GET {chance.choice(paths)}?{query} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n'.encode())
                answer = b''
                while part := connection.recv(1 << 16):
                    answer += part
            head, _, body = answer.partition(b'\r\n\r\n')
            statuses.add(int(head.split()[1]))
            assert int(re.search(rb'Content-Length: (\d+)', head).group(1)) == len(body), (query, answer)
            if b'application/json' in head:
                json.loads(body)
        assert statuses <= {200, 400, 404} and {200, 400} <= statuses, statuses
        # Who asks and does not read is not answered for ever, and holds up nobody.
        with raw_client(server, 'no reader') as other, socket.socket() as slow:
            slow.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            slow.connect(server.admin)
            slow.settimeout(0.2)
            try:
                for _ in range(2000):
                    slow.sendall(b'GET /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n')
                    assert server.ask('/healthz')[0] == 200
            except (ConnectionError, TimeoutError):
                pass
            until('it is closed', lambda: re.search(r'connections_closed_total{reason="slow_consumer"} [1-9]', server.ask('/metrics')[2].decode()))
            assert server.json('/status')['reactors'][0]['memory_used_bytes'] < 8 << 20 and other
        for wire in wires:
            wire.settle()
            wire.close()


MONITORING = os.path.join(ROOT, 'scripts/monitoring')


def promtool(*arguments):
    done = subprocess.run([find('promtool'), *arguments], cwd=MONITORING, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                          check=False, timeout=SECONDS)
    assert done.returncode == 0 and 'FAILED' not in done.stdout, done.stdout


@it('comes with alert rules that speak when they must and keep still otherwise')
def _():
    promtool('check', 'rules', 'alerts.yaml')
    promtool('check', 'config', 'prometheus.yml')
    promtool('test', 'rules', 'alerts_test.yaml')
    with open(os.path.join(MONITORING, 'alerts.yaml'), encoding='utf-8') as file:
        alerts = re.findall(r'alert: (\w+)', file.read())
    with open(os.path.join(MONITORING, 'alerts_test.yaml'), encoding='utf-8') as file:
        tried = file.read()
    for alert in alerts:
        assert f'"{alert} speaks"' in tried and f'"{alert} keeps still"' in tried, alert


@it('has every metric and label that the alert rules and the dashboard name')
def _():
    names = re.compile(r'\b(?:spate|process)_[a-z_]+\b(?:\{[^}]*\})?')
    with open(os.path.join(MONITORING, 'grafana.json'), encoding='utf-8') as file:
        dashboard = json.load(file)
    with open(os.path.join(MONITORING, 'alerts.yaml'), encoding='utf-8') as file:
        named = [name for line in file if ' expr: ' in line for name in names.findall(line)]
    panels = [panel for panel in dashboard['panels'] if panel['type'] != 'row']
    assert len({panel['id'] for panel in dashboard['panels']}) == len(dashboard['panels']) and len(panels) > 20
    for panel in panels:
        assert panel['targets'] and panel['title'], panel
        for thing in [panel, *panel['targets']]:
            assert thing['datasource'] == {'type': 'prometheus', 'uid': '${datasource}'}, thing
        for target in panel['targets']:
            found = names.findall(target['expr'])
            assert found or 'up{' in target['expr'], target
            assert all('instance=~"$instance"' in name for name in found), target
            named += found
    # Prometheus understands every one of them, with what Grafana puts in.
    rules = [{'record': f'panel:{number}', 'expr': target['expr'].replace('$__rate_interval', '5m').replace('$job', 'spate').replace('$instance', '.*')}
             for number, target in enumerate(target for panel in panels for target in panel['targets'])]
    with tempfile.NamedTemporaryFile('w', suffix='.yaml') as file:
        json.dump({'groups': [{'name': 'panels', 'rules': rules}]}, file)
        file.flush()
        promtool('check', 'rules', file.name)
    variables = {one['name']: one for one in dashboard['templating']['list']}
    assert variables['datasource']['type'] == 'datasource' and set(variables) == {'datasource', 'job', 'instance'}
    for one in ('job', 'instance'):
        named += names.findall(variables[one]['definition'])
    assert len(named) > 60
    with Watched() as server:
        samples = metrics('%s:%d' % server.admin)
        for name in named:
            metric, _, labels = name.partition('{')
            matching = [sample for sample in samples if sample.partition('{')[0] == metric]
            assert matching, f'{metric} is in no answer of /metrics'
            for label, is_not, value in re.findall(r'(\w+)(?:=~?|(!=~?))"([^"]*)"', labels):
                if label not in ('job', 'instance'):
                    for one in value.split('|'):
                        assert any(f'{label}="{one}"' in sample for sample in matching), (name, is_not)


MEANT = {'Spate-Admin': 'yes'}


@it('answers to the names of loopback alone, and does nothing that was not meant')
def _():
    with tempfile.TemporaryDirectory() as folder, Watched('--listen', f'unix:{folder}/nats', '--drain-timeout', '1s') as server:
        for host in ('localhost', 'LocalHost:8222', '127.0.0.1', '127.1.2.3:80', '[::1]', '[::1]:8222'):
            assert server.ask('/status', headers={'Host': host})[0] == 200, host
        for host in ('evil.example', 'localhost.evil.example', '127.0.0.1.evil.example', '127.0.0.1:x', 'localhost:', '127.0.0.1:80:80', 'x', '[::1', '127'):
            for path, method, more in (('/status', 'GET', {}), ('/', 'HEAD', {}), ('/drain', 'POST', MEANT), ('/reload', 'POST', MEANT), ('/postmortem', 'POST', MEANT)):
                status, _, body = server.ask(path, method, {'Host': host, **more})
                assert status == 403 and (method == 'HEAD' or b'loopback' in body), (host, path, status, body)
        for headers in ({}, {'Spate-Admin': 'no'}, {'Spate-Admin': ''}, {'X-Spate-Admin': 'yes'}, {'Origin': 'http://127.0.0.1'}):
            for path in ('/drain', '/reload', '/postmortem', '/nosuch', '/status'):
                status, _, body = server.ask(path, 'POST', headers)
                assert status == 403 and b'Spate-Admin: yes' in body, (headers, status, body)
        assert server.ask('/status', 'POST', MEANT)[0] == 405 and server.ask('/nosuch', 'POST', MEANT)[0] == 404
        assert server.ask('/drain', headers=MEANT)[0] == 405
        # No request with a body is taken, also not the form of a web page.
        with socket.create_connection(server.admin, timeout=SECONDS) as connection:
            connection.sendall(b'POST /drain HTTP/1.1\r\nHost: localhost\r\nSpate-Admin: yes\r\nContent-Length: 1\r\n\r\nx')
            assert connection.recv(4096).startswith(b'HTTP/1.1 400 ')
        assert server.is_alive() and 'draining' not in server.log()
        assert client(server)


@it('ends in order when it is asked to')
def _():
    with Watched() as server:
        wire = client(server, 'SUB last.a 1')
        status, _, body = server.ask('/drain', 'POST', MEANT)
        assert (status, json.loads(body)) == (202, {'result': 'draining'}), (status, body)
        wire.hear_end()
        assert server.process.wait(SECONDS) == EXIT_OK, server.log()
        assert 'event=draining' in server.log()
    with Watched() as server:
        assert spate('drain', '--admin', '%s:%d' % server.admin) == (EXIT_OK, 'draining\n')
        assert server.process.wait(SECONDS) == EXIT_OK, server.log()
        assert spate('drain', '--admin', '%s:%d' % server.admin)[0] == EXIT_UNREACHABLE


@it('reads its configuration again when it is asked to, and says what came of it')
def _():
    with Watched() as server:
        status, _, body = server.ask('/reload', 'POST', MEANT)
        assert status == 409 and json.loads(body)['result'] == 'nothing', (status, body)
        status, said = spate('reload', '--admin', '%s:%d' % server.admin)
        assert status == EXIT_FAILED and '--config' in said, said
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, 'spate.yaml')

        def write(text):
            with open(path, 'w', encoding='utf-8') as file:
                file.write(text)
        for more, word in (('', 'pings'), ("auth:\n  users:\n    - {name: a, password: '%s'}\n" % users.WONDER, 'users')):
            write('limits:\n  max_subscriptions: 7\n' + more)
            with Watched('--config', path) as server:
                admin = '%s:%d' % server.admin
                assert server.json('/status')['file'] == path
                assert spate('reload', '--admin', admin) == \
                    (EXIT_OK, 'reloaded: 0 options changed' + (', users read again (1)' if more else '') + '\n')
                write('limits:\n  max_subscriptions: 8\n' + more)
                status, _, body = server.ask('/reload', 'POST', MEANT)
                assert (status, json.loads(body)) == (200, {'result': 'taken', 'options_changed': 1, **({'users': 1} if more else {})}), body
                assert server.json('/varz')['max_subscriptions'] == 8, word
                write('limits:\n  max_subscription: 8\n' + more)
                status, _, body = server.ask('/reload', 'POST', MEANT)
                answer = json.loads(body)
                assert status == 409 and answer['result'] == 'refused' and f'{path}:2:' in answer['reason'], (status, body)
                status, said = spate('reload', '--admin', admin)
                assert status == EXIT_CONFIG and f'{path}:2:' in said and 'nothing was changed' in said, (status, said)
                status, said = spate('reload', '--admin', admin, '--json')
                assert status == EXIT_CONFIG and json.loads(said) == answer, (status, said)
                found = metrics(admin)
                assert found['spate_config_last_reload_successful'] == 0
                assert (found['spate_reloads_total{result="taken"}'], found['spate_reloads_total{result="refused"}']) == (2, 3)
                assert abs(found['spate_config_last_reload_success_timestamp_seconds'] - time.time()) < 60 * SECONDS
                # Many at once: each hears what came of the last.
                write('limits:\n  max_subscriptions: 9\n' + more)
                waiting = [socket.create_connection(server.admin, timeout=SECONDS) for _ in range(10)]
                for one in waiting:
                    one.sendall(b'POST /reload HTTP/1.1\r\nHost: localhost\r\nSpate-Admin: yes\r\nConnection: close\r\n\r\n')
                for one in waiting:
                    heard = b''
                    while part := one.recv(4096):
                        heard += part
                    assert heard.startswith(b'HTTP/1.1 200 ') and b'"taken"' in heard, heard
                    one.close()
                # Who asks and goes is no trouble.
                for _ in range(20):
                    with socket.create_connection(server.admin, timeout=SECONDS) as one:
                        one.sendall(b'POST /reload HTTP/1.1\r\nHost: localhost\r\nSpate-Admin: yes\r\n\r\n')
                until('room for one more', lambda admin=admin: spate('reload', '--admin', admin)[0] == EXIT_OK)
                assert server.stop(signal.SIGTERM) == EXIT_OK, server.log()
