"""SUB and UNSUB: sids, copies, limits, order; publishers and subscribers on several connections."""
from talk import A, B, C, conversation

conversation('a subscription is in force for the next operation in the same piece', [
    A.connects(), A.says('SUB now.foo 1', 'PUB now.foo 2', 'ok', 'UNSUB 1', 'PUB now.foo 2', 'no', 'PING'),
    A.hears('MSG now.foo 1 2', 'ok', 'PONG'),
])
conversation('a message reaches every subscriber, on every connection', [
    A.connects(), B.connects(), C.connects(), A.subscribes('fan.foo 1'), B.subscribes('fan.foo 2'), C.subscribes('fan.* 3'),
    A.says('PUB fan.foo 5', 'hello'), A.hears('MSG fan.foo 1 5', 'hello'), B.hears('MSG fan.foo 2 5', 'hello'),
    C.hears('MSG fan.foo 3 5', 'hello'),
])
conversation('whoever publishes after hearing of a subscription reaches it', [
    A.connects(), B.connects(), A.subscribes('told.foo 1'), B.says('PUB told.foo 2', 'ok'), A.hears('MSG told.foo 1 2', 'ok'),
])
conversation('a client gets a copy for each of its subscriptions that match', [
    A.connects(), A.subscribes('copy.foo.bar 1', 'copy.*.bar 2', 'copy.foo.* 3', 'copy.> 4', 'copy.foo.baz 5'),
    A.says('PUB copy.foo.bar 2', 'ok'),
    A.hears_any_order(*[f'MSG copy.foo.bar {sid} 2\r\nok' for sid in (1, 2, 3, 4)]), A.settles(),
])
conversation('two subscriptions to one subject are two copies', [
    A.connects(), A.subscribes('twice.foo 1', 'twice.foo 2'), A.says('PUB twice.foo 2', 'ok'),
    A.hears_any_order('MSG twice.foo 1 2\r\nok', 'MSG twice.foo 2 2\r\nok'), A.settles(),
])
conversation('a sid that is in use is not given again: the first subscription stays', [
    A.connects(), A.subscribes('dup.foo 1', 'dup.bar 1', 'dup.foo 1'), A.says('PUB dup.bar 2', 'no', 'PUB dup.foo 2', 'ok'),
    A.hears('MSG dup.foo 1 2', 'ok'), A.settles(),
    A.says('UNSUB 1', 'SUB dup.bar 1', 'PUB dup.foo 2', 'no', 'PUB dup.bar 2', 'ok'), A.hears('MSG dup.bar 1 2', 'ok'),
])
conversation('a sid may be any word', [
    A.connects(), A.subscribes('sid.foo abc', 'sid.bar 0', 'sid.baz -1', 'sid.qux ' + 'x' * 200, 'sid.num 18446744073709551616'),
    A.says('PUB sid.foo 0', '', 'PUB sid.bar 0', '', 'PUB sid.baz 0', '', 'PUB sid.qux 0', '', 'PUB sid.num 0', ''),
    A.hears('MSG sid.foo abc 0', '', 'MSG sid.bar 0 0', '', 'MSG sid.baz -1 0', '', f'MSG sid.qux {"x" * 200} 0', '',
            'MSG sid.num 18446744073709551616 0', ''),
])
conversation('sids are compared as bytes', [
    A.connects(), A.subscribes('bytes.foo 1', 'bytes.foo 01'), A.says('UNSUB 1', 'PUB bytes.foo 0', ''),
    A.hears('MSG bytes.foo 01 0', ''), A.settles(),
])
conversation('sids of two connections are two things', [
    A.connects(), B.connects(), A.subscribes('mine.foo 1'), B.subscribes('yours.foo 1'), A.says('UNSUB 1', 'PING'),
    A.hears('PONG'), A.says('PUB yours.foo 2', 'ok'), B.hears('MSG yours.foo 1 2', 'ok'),
])
conversation('UNSUB ends a subscription', [
    A.connects(), A.subscribes('stop.foo 1', 'stop.foo 2'), A.says('UNSUB 1', 'PUB stop.foo 2', 'ok'),
    A.hears('MSG stop.foo 2 2', 'ok'), A.settles(),
])
conversation('UNSUB of a sid that is not there does no harm', [A.connects(), A.says('UNSUB 77', 'UNSUB 77 3'), A.settles()])
conversation('UNSUB with a maximum lets exactly so many pass', [
    A.connects(), A.says('SUB max.foo 1', 'UNSUB 1 3'), A.says(*[f for i in range(5) for f in ('PUB max.foo 1', str(i))]),
    A.hears('MSG max.foo 1 1', '0', 'MSG max.foo 1 1', '1', 'MSG max.foo 1 1', '2'), A.settles(),
    A.says('SUB max.foo 1', 'PUB max.foo 1', 'x'), A.hears('MSG max.foo 1 1', 'x'),
])
conversation('the maximum counts from the beginning of the subscription', [
    A.connects(), A.subscribes('since.foo 1'), A.says('PUB since.foo 1', 'a', 'PUB since.foo 1', 'b'),
    A.hears('MSG since.foo 1 1', 'a', 'MSG since.foo 1 1', 'b'), A.says('UNSUB 1 3', 'PUB since.foo 1', 'c', 'PUB since.foo 1', 'd'),
    A.hears('MSG since.foo 1 1', 'c'), A.settles(),
])
conversation('a maximum that is reached already ends the subscription at once', [
    A.connects(), A.subscribes('reached.foo 1'), A.says('PUB reached.foo 1', 'a', 'PUB reached.foo 1', 'b'),
    A.hears('MSG reached.foo 1 1', 'a', 'MSG reached.foo 1 1', 'b'), A.says('UNSUB 1 2', 'PUB reached.foo 1', 'c'), A.settles(),
])
for maximum in ('0', '-1', 'x', '+5'):
    conversation(f'a maximum of {maximum} ends the subscription at once', [
        A.connects(), A.subscribes('odd.max 1'), A.says(f'UNSUB 1 {maximum}', 'PUB odd.max 1', 'a'), A.settles()])
conversation('a later UNSUB takes the place of an earlier maximum', [
    A.connects(), A.subscribes('later.foo 1'), A.says('UNSUB 1 2', 'UNSUB 1 4'),
    A.says(*[f for i in range(6) for f in ('PUB later.foo 1', str(i))]),
    A.hears(*[f for i in range(4) for f in ('MSG later.foo 1 1', str(i))]), A.settles(),
])
conversation('a plain UNSUB ends a subscription that has a maximum', [
    A.connects(), A.subscribes('plain.foo 1'), A.says('UNSUB 1 5', 'UNSUB 1', 'PUB plain.foo 1', 'a'), A.settles(),
])
conversation('a maximum holds for messages of several publishers together', [
    A.connects(), B.connects(), C.connects(), A.says('SUB joint.foo 1', 'UNSUB 1 2', 'PING'), A.hears('PONG'),
    B.says('PUB joint.foo 1', 'b'), A.hears('MSG joint.foo 1 1', 'b'), C.says('PUB joint.foo 1', 'c'),
    A.hears('MSG joint.foo 1 1', 'c'), B.says('PUB joint.foo 1', 'd', 'PING'), B.hears('PONG'), A.settles(),
])
conversation('messages of one publisher arrive in their order', [
    A.connects(), B.connects(), A.subscribes('order.> 1'),
    B.says(*[f for i in range(300) for f in (f'PUB order.{i % 7} 3', f'{i:03}')]),
    A.hears(*[f for i in range(300) for f in (f'MSG order.{i % 7} 1 3', f'{i:03}')]),
])
conversation('a PONG comes behind the messages that were sent before the PING', [
    A.connects(), A.subscribes('pong.foo 1'), A.says('PUB pong.foo 1', 'a', 'PING', 'PUB pong.foo 1', 'b', 'PING'),
    A.hears('MSG pong.foo 1 1', 'a', 'PONG', 'MSG pong.foo 1 1', 'b', 'PONG'),
])
conversation('a subscriber that leaves does not disturb the others', [
    A.connects(), B.connects(), C.connects(), A.subscribes('gone.foo 1'), B.subscribes('gone.foo 1'), A.leaves(),
    C.says('PUB gone.foo 2', 'ok'), B.hears('MSG gone.foo 1 2', 'ok'),
])
conversation('a subscriber that breaks the rules does not disturb the others', [
    A.connects(), B.connects(), A.subscribes('broke.foo 1'), B.subscribes('broke.foo 1'), A.says('NONSENSE'),
    A.is_told('Unknown Protocol Operation'), B.says('PUB broke.foo 2', 'ok'), B.hears('MSG broke.foo 1 2', 'ok'),
])
conversation('what was published before a mistake is delivered', [
    A.connects(), B.connects(), B.subscribes('before.foo 1'), A.sends('PUB before.foo 2\r\nok\r\nNONSENSE\r\n'),
    A.is_told('Unknown Protocol Operation'), B.hears('MSG before.foo 1 2', 'ok'),
])
conversation('a message of half its payload is delivered to nobody', [
    A.connects(), B.connects(), B.subscribes('half.foo 1'), A.sends('PUB half.foo 10\r\nhalf'), A.waits(0.02), A.leaves(),
    B.settles(),
])
conversation('many subscriptions of one connection each get their own', [
    A.connects(), A.subscribes(*[f'each.{i} {i}' for i in range(100)], *[f'each.{i} w{i}' for i in range(0, 100, 10)]),
    A.says('PUB each.3 1', 'x', 'PUB each.20 1', 'y'), A.hears('MSG each.3 3 1', 'x'),
    A.hears_any_order('MSG each.20 20 1\r\ny', 'MSG each.20 w20 1\r\ny'), A.settles(),
])
conversation('joining and leaving again and again comes out even', [
    A.connects(), A.says(*[f for i in range(50) for f in ('SUB churn.foo 1', 'PUB churn.foo 2', f'{i:02}', 'UNSUB 1')]),
    A.hears(*[f for i in range(50) for f in ('MSG churn.foo 1 2', f'{i:02}')]), A.settles(),
])
