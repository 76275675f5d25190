"""Queue groups: one member of each group gets a message, chosen evenly."""
from talk import A, B, C, Wire, conversation, scene

conversation('one member of a group gets the message', [
    A.connects(), A.subscribes('work.a team 1'), A.says('PUB work.a 2', 'ok'), A.hears('MSG work.a 1 2', 'ok'),
])
conversation('every group gets the message, and every plain subscription', [
    A.connects(), A.subscribes('work.b red 1', 'work.b blue 2', 'work.b 3', 'work.* green 4', 'work.> 5'),
    A.says('PUB work.b 2', 'ok'), A.hears_any_order(*[f'MSG work.b {sid} 2\r\nok' for sid in (1, 2, 3, 4, 5)]), A.settles(),
])
conversation('a member that left gets nothing more', [
    A.connects(), A.subscribes('work.c team 1', 'work.c team 2'), A.says('UNSUB 1', *['PUB work.c 2', 'ok'] * 20),
    A.hears(*['MSG work.c 2 2', 'ok'] * 20), A.settles(),
])
conversation('a member that closed its connection gets nothing more', [
    A.connects(), B.connects(), C.connects(), A.subscribes('work.d team 1'), B.subscribes('work.d team 2'), A.leaves(), C.waits(0.1),
    C.says(*['PUB work.d 2', 'ok'] * 20), B.hears(*['MSG work.d 2 2', 'ok'] * 20),
])
conversation('a member with a maximum leaves its group after it', [
    A.connects(), A.says('SUB work.e team 1', 'UNSUB 1 3', *['PUB work.e 2', 'ok'] * 5), A.hears(*['MSG work.e 1 2', 'ok'] * 3), A.settles(),
])
conversation('a group takes headers for each member as it understands them', [
    A.connects(headers=True), B.connects(), B.subscribes('work.f team 1'), A.says('HPUB work.f 4 6', 'abcdok'), B.hears('MSG work.f 1 2', 'ok'),
])
conversation('a member without echo does not get its own message', [
    A.connects(echo=False), B.connects(), A.subscribes('work.g team 1'), B.subscribes('work.g team 2'),
    A.says(*['PUB work.g 2', 'ok'] * 20), B.hears(*['MSG work.g 2 2', 'ok'] * 20), A.settles(),
])

MESSAGES = 1000
# Each of two members gets half of a thousand within 150: more than nine standard deviations of 15.8.
LEAST, MOST = 350, 650


def shares(server, subscriptions, subject):
    """Publishes to `subject`; `subscriptions` is one list of SUB arguments for each connection. Returns how many
    messages each sid got: {sid: count}."""
    members = [Wire(server) for _ in subscriptions]
    publisher = Wire(server)
    try:
        for member, arguments in zip(members, subscriptions):
            member.say('CONNECT {"verbose":false}', *[f'SUB {argument}' for argument in arguments])
            member.settle()
        publisher.say('CONNECT {"verbose":false}', *[f for i in range(MESSAGES) for f in (f'PUB {subject} 4', f'{i:04}')])
        publisher.settle()
        counts = {}
        for member in members:
            member.say('PING')
            while (operation := member.hear_count(1)[0]) != 'PONG\r\n':
                sid = operation.split()[2]
                counts[sid] = counts.get(sid, 0) + 1
        return counts
    finally:
        for wire in [publisher, *members]:
            wire.close()


def is_even(counts, sids):
    assert set(counts) <= set(sids), counts
    assert all(LEAST <= counts.get(sid, 0) <= MOST for sid in sids), counts
    assert sum(counts.values()) == MESSAGES, counts


@scene('two members on one connection share evenly')
def _(server):
    is_even(shares(server, [['share.a team 1', 'share.a team 2']], 'share.a'), ['1', '2'])


@scene('two members on two connections share evenly')
def _(server):
    is_even(shares(server, [['share.b team 1'], ['share.b team 2']], 'share.b'), ['1', '2'])


@scene('members of one group with different subjects are one group')
def _(server):
    is_even(shares(server, [['share.c team 1'], ['share.* team 2']], 'share.c'), ['1', '2'])


@scene('two groups get every message each')
def _(server):
    counts = shares(server, [['share.d red r1', 'share.d blue b1'], ['share.d red r2', 'share.d blue b2']], 'share.d')
    is_even({sid: count for sid, count in counts.items() if sid[0] == 'r'}, ['r1', 'r2'])
    is_even({sid: count for sid, count in counts.items() if sid[0] == 'b'}, ['b1', 'b2'])


@scene('a plain subscription beside a group gets every message')
def _(server):
    counts = shares(server, [['share.e team 1'], ['share.e team 2'], ['share.e 3']], 'share.e')
    assert counts.pop('3') == MESSAGES, counts
    is_even(counts, ['1', '2'])


@scene('a connection with several members gets as many shares')
def _(server):
    counts = shares(server, [['share.f team 1', 'share.f team 2', 'share.f team 3'], ['share.f team 4']], 'share.f')
    assert sum(counts.values()) == MESSAGES, counts
    # A quarter of a thousand each; seven standard deviations of 13.7.
    assert all(150 <= counts.get(sid, 0) <= 350 for sid in ('1', '2', '3', '4')), counts
