"""Limits: payload, subscriptions, connections, keep-alive, bounds of subjects."""
from talk import A, B, C, conversation

MEBIBYTE = 1 << 20
TOO_LARGE = 'Maximum Payload Violation'

conversation('a payload of the maximum is taken', [
    A.connects(), A.subscribes('big.a 1'), A.says(f'PUB big.a {MEBIBYTE}', 'x' * MEBIBYTE), A.hears(f'MSG big.a 1 {MEBIBYTE}', 'x' * MEBIBYTE),
], cuts=False)
conversation('one byte more is refused at the control line', [
    A.connects(), A.sends(f'PUB big.b {MEBIBYTE + 1}\r\n'), A.is_told(TOO_LARGE)])
conversation('a size of nine digits is refused at the control line', [A.connects(), A.sends('PUB big.c 999999999\r\n'), A.is_told(TOO_LARGE)])
conversation('headers and payload count together', [
    A.connects(headers=True), A.sends(f'HPUB big.d 12 {MEBIBYTE + 1}\r\n'), A.is_told(TOO_LARGE)])
for size in (63, 64):
    conversation(f'with a maximum of 64 a payload of {size} is taken', [
        A.connects(), A.subscribes('small.a 1'), A.says(f'PUB small.a {size}', 'x' * size), A.hears(f'MSG small.a 1 {size}', 'x' * size),
    ], max_payload=64)
for size in (65, 1000):
    conversation(f'with a maximum of 64 a payload of {size} is refused', [
        A.connects(), A.says(f'PUB small.a {size}', 'x' * size), A.is_told(TOO_LARGE)], max_payload=64)
conversation('with a maximum of 64 headers and payload of 64 are taken', [
    A.connects(headers=True), A.subscribes('small.b 1'), A.says('HPUB small.b 12 64', 'x' * 64), A.hears('HMSG small.b 1 12 64', 'x' * 64),
], max_payload=64)

conversation('one subscription more than the maximum is refused, and the connection stays', [
    A.connects(), A.subscribes('few.a 1', 'few.b 2', 'few.c 3'), A.says('SUB few.d 4', 'PING'),
    A.hears("-ERR 'maximum subscriptions exceeded'", 'PONG'),
    A.says('PUB few.d 1', 'd', 'PUB few.c 1', 'c'), A.hears('MSG few.c 3 1', 'c'),
    A.says('UNSUB 1', 'SUB few.d 4', 'PUB few.d 1', 'd'), A.hears('MSG few.d 4 1', 'd'),
], max_subscriptions=3)
conversation('the maximum of subscriptions is one connection\'s own', [
    A.connects(), B.connects(), A.subscribes('own.a 1', 'own.b 2', 'own.c 3'), B.subscribes('own.a 1', 'own.b 2', 'own.c 3'),
], max_subscriptions=3)

conversation('one connection more than the maximum is refused', [
    A.connects(), B.connects(), C.is_told('maximum connections exceeded'), A.settles(), B.settles(),
], cuts=False, max_connections=2)

conversation('a client that answers no PING is told so and closed', [
    A.connects(), A.waits(3.2), A.hears("-ERR 'Stale Connection'"), A.is_closed(),
], cuts=False, ping_interval='1s', ping_max=1)

LONG = '.'.join('t' * 9 for _ in range(32))  # 32 tokens, 319 bytes
conversation('a subject of 32 tokens is in bounds', [
    A.connects(), A.subscribes(f'{LONG} 1'), A.says(f'PUB {LONG} 1', 'x'), A.hears(f'MSG {LONG} 1 1', 'x'),
])
conversation('a subject of 1024 bytes is in bounds', [
    A.connects(), A.subscribes('s' * 1024 + ' 1'), A.says('PUB ' + 's' * 1024 + ' 1', 'x'), A.hears('MSG ' + 's' * 1024 + ' 1 1', 'x'),
])
BEYOND = {'spate': ["-ERR 'Invalid Subject'", 'PONG'], 'why': 'subject-bounds'}
conversation('a subscription to more than 32 tokens is out of bounds', [
    A.connects(), A.says('SUB ' + '.'.join('t' * 40) + ' 1', 'PING'), A.hears('PONG', **BEYOND)])
conversation('a subscription to more than 1024 bytes is out of bounds', [
    A.connects(), A.says('SUB ' + 's' * 1025 + ' 1', 'PING'), A.hears('PONG', **BEYOND)])
TOO_LONG, TOO_DEEP = 's' * 1025, '.'.join('t' * 40)
VIOLATION = "-ERR 'Permissions Violation for Publish to \"%s\"'"
conversation('a message to a subject out of bounds is refused, and the connection stays', [
    A.connects(), A.says('PUB ' + TOO_LONG + ' 1', 'x', 'PUB ' + TOO_DEEP + ' 1', 'x', 'PING'),
    A.hears('PONG', spate=[VIOLATION % TOO_LONG[:1024], VIOLATION % TOO_DEEP, 'PONG'], why='subject-bounds')])
