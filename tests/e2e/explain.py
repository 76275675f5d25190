"""explain: who gets an event, and why; what nearly would; and what is said of subjects that are none. The same is asked of
the admin address and of the command."""
import http.client
import json
import os
import random
import tempfile
import urllib.parse

import users
from admin import REACTORS, Watched, client, until
from suite import EXIT_FAILED, EXIT_OK, EXIT_UNREACHABLE, EXIT_USAGE, Suite, spate
from talk import Wire

suite = Suite()
it = suite.it


def asked(server, subject, **more):
    return server.json('/explain?' + urllib.parse.urlencode({'subject': subject, **more}, quote_via=urllib.parse.quote))


def answers(server, subject):
    """Whether it does: who comes behind too many others is turned away."""
    try:
        return server.ask('/explain?subject=' + subject)[0] == 200
    except (OSError, http.client.HTTPException):
        return False


def told(server, *arguments):
    return spate('explain', *arguments, '--admin', '{}:{}'.format(*server.admin))


def pattern(answer, text):
    found = [row for row in answer['patterns'] if row['pattern'] == text]
    assert len(found) == 1, (text, answer['patterns'])
    return found[0]


def rows(answer, kind):
    return [row for reactor in answer['reactors'] for row in reactor[kind]]


@it('explains which patterns match, by which wildcards, and who has subscribed where')
def _():
    with Watched() as server:
        wires = [client(server, 'SUB orders.eu.new 7', 'SUB orders.*.new workers q1', name='one')]
        wires += [client(server, 'SUB orders.> 1', name=f'like {i}') for i in range(8)]
        wires += [client(server, 'SUB orders.*.new workers q2', 'SUB other 2', name='two')]
        # They enter their cohort when they have been quiet for a moment.
        answer = until('a cohort', lambda: [a for a in [asked(server, 'orders.eu.new')] if sum(r['members'] for r in rows(a, 'cohorts')) == 8]
                       if REACTORS == 1 else [asked(server, 'orders.eu.new')])[0]
        assert answer['subject'] == 'orders.eu.new' and answer['is_taken'] and answer['reason'] is None and answer['notes'] == [], answer
        assert answer['matches'] == 3 and answer['deliveries'] == 10 and answer['no_responders'] is False, answer
        assert pattern(answer, 'orders.eu.new')['wildcards'] == [] and pattern(answer, 'orders.eu.new')['plain'] == 1
        assert pattern(answer, 'orders.*.new')['wildcards'] == ['eu'] and pattern(answer, 'orders.*.new')['plain'] == 0
        assert pattern(answer, 'orders.*.new')['groups'] == [{'name': 'workers', 'members': 2, 'not_permitted': 0}], answer
        assert pattern(answer, 'orders.>')['wildcards'] == ['eu.new'] and pattern(answer, 'orders.>')['plain'] == 8
        assert [r['reactor'] for r in answer['reactors']] == list(range(REACTORS))
        assert sum(r['subscriptions'] for r in answer['reactors']) == 11
        members = sum(row['members'] for row in rows(answer, 'cohorts'))
        assert members + len(rows(answer, 'subscribers')) == 11, answer
        one = [row for row in rows(answer, 'subscribers') if row['sid'] == '7']
        assert len(one) == 1 and one[0]['name'] == 'one' and one[0]['queue'] is None and one[0]['lag_policy'] == 'disconnect', one
        # What it says an event costs is what is sent.
        assert one[0]['event_bytes'] == len('MSG orders.eu.new 7 0\r\n\r\n'), one
        assert {row['sid'] for row in rows(answer, 'subscribers') if row['queue'] == 'workers'} == {'q1', 'q2'}
        code, text = told(server, 'orders.eu.new')
        assert code == EXIT_OK and '3 patterns match, an event is delivered 10 times' in text and 'workers: one of 2' in text, text
        code, text = told(server, 'orders.eu.new', '--json')
        assert code == EXIT_OK and json.loads(text)['deliveries'] == 10, text
        for wire in wires:
            wire.close()


@it('explains that as many come as it says')
def _():
    with Watched() as server:
        wires = [client(server, f'SUB {text} {i}') for i, text in enumerate(['a.b', 'a.*', 'a.>', 'a.b g', 'a.* g', '*.b h', 'b.a'])]
        deliveries = asked(server, 'a.b')['deliveries']
        assert deliveries == 5, deliveries
        publisher = client(server, 'PUB a.b 2', 'hi')
        until('all deliveries', lambda: sum(r['deliveries_matched'] for r in server.json('/status')['reactors']) == deliveries)
        publisher.close()
        for wire in wires:
            wire.close()


def matches(pattern, subject):
    wanted, tokens = pattern.split('.'), subject.split('.')
    if wanted[-1] == '>':
        return len(tokens) >= len(wanted) and all(one in ('*', token) for one, token in zip(wanted[:-1], tokens))
    return len(wanted) == len(tokens) and all(one in ('*', token) for one, token in zip(wanted, tokens))


@it('explains what matches among patterns of more shapes than are looked for one by one')
def _():
    chance = random.Random(1)
    with Watched('--max-user-shapes', '0') as server:
        # Most shapes have a pattern or two, some have many: they live in different parts of the matcher.
        texts = {'.'.join(chance.choices(['abc', 'abd', '*'], k=chance.randint(1, 7))) + chance.choice(['', '', '.>']) for _ in range(1200)}
        texts |= {f'abc.*.{i}' for i in range(300)} | {'>'}
        texts, wires = sorted(texts), []
        for part in range(3):
            wires.append(client(server, *(f'SUB {text} {i}' for i, text in enumerate(texts[part::3]))))
        for keep in (lambda text: True, lambda text: '>' not in text):
            for _ in range(25):
                subject = '.'.join(chance.choices(['abc', 'abd', 'Abc', 'abcd'], weights=[6, 6, 1, 1], k=chance.randint(1, 8)))
                answer = asked(server, subject, limit=200)
                expected = [text for text in texts if keep(text) and matches(text, subject)]
                assert sorted(row['pattern'] for row in answer['patterns']) == expected, (subject, answer['patterns'])
                assert answer['matches'] == answer['deliveries'] == len(expected), (subject, answer['deliveries'])
                assert sorted(row['pattern'] for row in rows(answer, 'subscribers')) == expected, subject
                assert not (expected and answer['nearest']) and not any(matches(row['pattern'], subject) for row in answer['nearest'])
            for part, wire in enumerate(wires):
                wire.say(*(f'UNSUB {i}' for i, text in enumerate(texts[part::3]) if '>' in text))
                wire.settle()
        for wire in wires:
            wire.close()


@it('names the patterns that nearly match, and none when one does')
def _():
    with Watched() as server:
        wires = [client(server, f'SUB {text} 1') for text in ('Orders.new', 'orders.eu.new', 'orders.new.>', 'ordres.new', 'parts.new', 'orders')]
        answer = asked(server, 'orders.new')
        assert answer['matches'] == 0 and answer['no_responders'] is True and rows(answer, 'subscribers') == [], answer
        assert [row['pattern'] for row in answer['nearest']] == ['Orders.new', 'ordres.new', 'orders.new.>', 'orders', 'orders.eu.new'], answer
        assert [row['why'] for row in answer['nearest']][:2] == ['the same but for upper and lower case', 'one character differs'], answer
        code, text = told(server, 'orders.new')
        assert code == EXIT_FAILED and 'did you mean\n  Orders.new' in text and 'gets 503' in text, text
        assert asked(server, 'orders.eu.new')['nearest'] == []
        for wire in wires:
            wire.close()


@it('finds what is near among a hundred thousand patterns, and no turn takes long for it')
def _():
    with Watched() as server:
        wire = client(server)
        count = 100_000
        for first in range(0, count, 5000):
            wire.socket.sendall(b''.join(b'SUB tenant.%d.data %d\r\n' % (i, i) for i in range(first, first + 5000)))
            wire.settle()
        other = client(server, 'SUB tenants.77.data 1')
        answer = asked(server, 'tenant.x.Data')
        assert answer['matches'] == 0 and answer['nearest'] == [] and answer['nearest_looked_at'] == count + 1, answer
        answer = asked(server, 'tenants.77.date')
        assert [row['pattern'] for row in answer['nearest']] == ['tenants.77.data'], answer
        other.close()
        wire.close()


@it('says of a subject whether anybody may publish to it')
def _():
    with Watched() as server:
        for subject, is_taken, word in (('$SPATE.LAG', False, 'reserved'), ('a' * 1025, False, '1024 bytes'), ('.'.join('a' * 33), False, '32 tokens'),
                                        ('a b', False, 'blanks'), ('a..b', True, 'empty token'), ('a.', True, 'empty token'), ('a.*', True, 'ordinary bytes'),
                                        ('ä.b', True, ''), ('plain', True, '')):
            answer = asked(server, subject)
            assert answer['is_taken'] == is_taken and answer['no_responders'], (subject, answer)
            assert word in (answer['reason'] or '') + ' '.join(answer['notes']), (subject, answer)
            code, _ = told(server, subject)
            assert code == EXIT_FAILED, subject
        # A subject with a star is one subject: what has a star for it matches, and no other.
        wire = client(server, 'SUB a.* 1', 'SUB a.b 2')
        assert [row['pattern'] for row in asked(server, 'a.*')['patterns']] == ['a.*']
        wire.close()


@it('tells only so many rows, and counts the rest')
def _():
    with Watched() as server:
        wire = client(server, *[f'SUB many {i}' for i in range(100)])
        other = client(server, *[f'SUB {text} g {i}' for i, text in enumerate(('>', '*', 'many'))])
        answer = asked(server, 'many', limit=2)
        assert answer['matches'] == 3 and len(answer['patterns']) == 2 and answer['patterns_more'] == 1, answer
        assert all(len(r['subscribers']) <= 2 for r in answer['reactors']), answer
        assert sum(len(r['subscribers']) + r['subscribers_more'] for r in answer['reactors']) == 103, answer
        assert answer['deliveries'] == 101, answer
        for i in range(0, 20_000, 1000):
            wire.socket.sendall(b''.join(b'SUB many %d\r\n' % (1000 + j) for j in range(i, i + 1000)))
        wire.settle()
        reactors = asked(server, 'many')['reactors']
        assert sum(r['subscriptions'] for r in reactors) == 20_103 and any(r['is_whole'] is False and r['subscribers_more'] is None for r in reactors), reactors
        other.close()
        wire.close()


@it('says what a user may, by which rule, and who may not have it')
def _():
    rules = {'publish': {'allow': ['orders.>'], 'deny': ['orders.internal.>']}, 'subscribe': {'allow': ['orders.>'], 'deny': ['orders.secret.*']}}
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, 'users.json')
        with open(path, 'w', encoding='utf-8') as file:
            json.dump({'users': [{'name': 'ann', 'password': users.PLAIN, **rules}, {'name': 'bob', 'password': users.PLAIN}]}, file)
        with Watched('--users', path) as server:
            wires = []
            for name in ('ann', 'ann', 'bob'):
                wire = Wire(server)
                wire.say('CONNECT ' + json.dumps({'verbose': False, 'user': name, 'pass': 'plain', 'name': name}), 'SUB orders.> 1')
                wire.settle()
                wires.append(wire)
            answer = asked(server, 'orders.secret.x', user='ann')
            assert answer['user']['publish'] == {'allowed': True, 'list': 'publish.allow', 'rule': 'orders.>'}, answer
            assert answer['user']['subscribe'] == {'allowed': False, 'list': 'subscribe.deny', 'rule': 'orders.secret.*'}, answer
            assert answer['deliveries'] == 1 and answer['patterns'][0]['plain'] == 3 and answer['patterns'][0]['not_permitted'] == 2, answer
            for row in rows(answer, 'subscribers'):
                assert row['user'] == 'ann' and row['permission'] == {'allowed': False, 'list': 'subscribe.deny', 'rule': 'orders.secret.*'}, row
            answer = asked(server, 'orders.internal.x', user='ann')
            assert answer['user']['publish'] == {'allowed': False, 'list': 'publish.deny', 'rule': 'orders.internal.>'}, answer
            assert asked(server, 'parts', user='ann')['user']['publish'] == {'allowed': False, 'list': 'publish.allow', 'rule': None}
            assert asked(server, 'parts', user='bob')['user']['publish'] == {'allowed': True, 'list': None, 'rule': None}
            code, text = told(server, 'orders.secret.x', '--user', 'ann')
            assert code == EXIT_OK and 'may ann publish it: yes, by publish.allow orders.>' in text, text
            code, text = told(server, 'orders.x', '--user', 'nobody')
            assert code == EXIT_USAGE and 'no user and no token of that name' in text, text
            for wire in wires:
                wire.close()


@it('refuses questions that are none, and goes on')
def _():
    with Watched() as server:
        for query in ('', '?', '?subject', '?subject=', '?subject=%', '?subject=%4', '?subject=%zz', '?subject=a&subject=b', '?subject=a&limit=0',
                      '?subject=a&limit=201', '?subject=a&limit=-1', '?subject=a&reactor=0', '?subject=a&user=', '?subject=a&user=ann', '?user=ann',
                      '?subject=' + 'a' * 2049, '?subject=' + '%41' * 2049, '?subject=a&sort=pending', '?subject=a&x=1', '?Subject=a'):
            status, _, body = server.ask('/explain' + query)
            assert status == 400 and body.endswith(b'\n') and body.count(b'\n') == 1, (query[:40], status, body)
        assert server.ask('/explain?subject=a', method='POST')[0] in (403, 405)
        for subject in (b'\xff\xfe', b'%00%01', b'a\x1b[31m'):
            quoted = urllib.parse.quote_from_bytes(subject)
            assert server.ask(f'/explain?subject={quoted}')[0] == 200
        code, text = told(server, 'a\x1b[31mb')
        assert code == EXIT_FAILED and '\x1b' not in text, text
        for arguments in ([], ['a', 'b'], [''], ['a' * 2049], ['a', '--limit', '0']):
            code, text = told(server, *arguments)
            assert code == EXIT_USAGE, (arguments, text)
        # Who asks and goes leaves nothing behind; who asks much is told to come again or is answered.
        for _ in range(20):
            gone = http.client.HTTPConnection(*server.admin)
            gone.request('GET', '/explain?subject=near.by')
            gone.close()
        until('an answer', lambda: answers(server, 'a'))
    assert spate('explain', 'a', '--admin', '127.0.0.1:1')[0] == EXIT_UNREACHABLE
