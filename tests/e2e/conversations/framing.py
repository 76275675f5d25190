"""Framing and parser: verbs, separators, line ends, sizes, control line, splits."""
from talk import A, B, conversation

UNKNOWN = 'Unknown Protocol Operation'

conversation('verbs are read in any case', [
    A.connects(),
    A.says('sub case.foo 1', 'pUb case.foo 2', 'ok', 'pInG'), A.hears('MSG case.foo 1 2', 'ok', 'PONG'),
    A.says('uNsUb 1', 'Pub case.foo 2', 'ok', 'pong'), A.settles(),
])
conversation('spaces and tabs separate, in any number', [
    A.connects(),
    A.says('SUB\tsep.foo\t1', 'SUB   sep.bar \t 2', 'SUB sep.baz 3   ', 'SUB\t\tsep.qux\t4\t'),
    A.says('PUB\tsep.foo\t2', 'ok', 'PUB   sep.bar   2', 'ok', 'PUB sep.baz 2  ', 'ok', 'PUB \t sep.qux\t \t2\t', 'ok'),
    A.hears('MSG sep.foo 1 2', 'ok', 'MSG sep.bar 2 2', 'ok', 'MSG sep.baz 3 2', 'ok', 'MSG sep.qux 4 2', 'ok'),
    A.says('PUB sep.foo\treply\t2 ', 'ok', 'PUB  \tsep.foo \t reply \t 2', 'ok', 'UNSUB\t1', 'UNSUB  2 ', 'UNSUB 3\t'),
    A.hears('MSG sep.foo 1 reply 2', 'ok', 'MSG sep.foo 1 reply 2', 'ok'),
    A.says('PUB sep.foo 0', '', 'PUB sep.bar 0', '', 'PUB sep.baz 0', ''),
])
conversation('a control line may end in a bare line feed', [
    A.connects(),
    A.sends('SUB lf.foo 1\nPUB lf.foo 2\nok\r\nPING\n'), A.hears('MSG lf.foo 1 2', 'ok', 'PONG'),
])
conversation('a lone carriage return inside a line belongs to its argument', [
    A.connects(), A.sends('PING\r\rPING\r\n'), A.hears('PONG'),
])
conversation('an empty payload is legal', [
    A.connects(), A.subscribes('empty.foo 1'),
    A.says('PUB empty.foo 0', ''), A.hears('MSG empty.foo 1 0', ''),
])
conversation('a payload may hold any bytes', [
    A.connects(), A.subscribes('binary.foo 1'),
    A.sends('PUB binary.foo 256\r\n' + ''.join(map(chr, range(256))) + '\r\n'),
    A.hears('MSG binary.foo 1 256', ''.join(map(chr, range(256)))),
    A.says('PUB binary.foo 17', '\r\nPUB foo 2\r\nok\r\n'), A.hears('MSG binary.foo 1 17', '\r\nPUB foo 2\r\nok\r\n'),
])
conversation('a size that is too large takes the next operation for payload', [
    A.connects(), A.subscribes('swallow.foo 1'),
    A.says('PUB swallow.foo 23', 'PUB swallow.bar 2', 'okay', 'PING'),
    A.hears('MSG swallow.foo 1 23', 'PUB swallow.bar 2\r\nokay', 'PONG'),
])
conversation('many operations travel in one piece', [
    A.connects(),
    A.says('SUB many.* 1', *['PUB many.foo 3', 'abc'] * 20, 'PING'),
    A.hears(*['MSG many.foo 1 3', 'abc'] * 20, 'PONG'),
])
conversation('an unfinished payload waits for its rest', [
    A.connects(), A.subscribes('rest.foo 1'),
    A.sends('PUB rest.foo 5\r\nhe'), A.hears_nothing(0.05), A.sends('llo'), A.hears_nothing(0.05), A.sends('\r'),
    A.hears_nothing(0.05), A.sends('\n'), A.hears('MSG rest.foo 1 5', 'hello'),
])
conversation('an unfinished line waits for its rest', [
    A.connects(), A.sends('SUB la'), A.hears_nothing(0.05), A.sends('te.foo 1'), A.hears_nothing(0.05),
    A.says('', 'PUB late.foo 2', 'ok'), A.hears('MSG late.foo 1 2', 'ok'),
])
conversation('PING and PONG take no notice of what follows them in the line', [
    A.connects(), A.says('PING junk'), A.hears('PONG'), A.says('PINGPING'), A.hears('PONG'),
    A.sends('PING  \r  \n'), A.hears('PONG'), A.says('PONG junk'), A.sends('PONG  \r  \n'), A.settles(),
])
conversation('a PONG that nobody asked for does no harm', [A.connects(), A.says('PONG', 'PONG', 'PONG', 'PONG'), A.settles()])
conversation('+OK and INFO from a client are passed over', [
    A.connects(), A.says('+OK', '+ok', 'INFO {}', 'INFO {"server_id":"x"}', 'info {"a":1}'), A.settles(),
])
conversation('an error from a client ends its connection', [A.connects(), A.says("-ERR 'why not'"), A.is_closed()])

# Not one of these is an operation that a client may send.
for text in ('Px', 'PIx', 'PINx', ' PING\r\n', 'POx', 'PONx', 'PUx', 'PUBx', 'Zoo\r\n', 'SUx', 'SUBx', 'UNx', 'UNSx', 'UNSUx',
             'UNSUBx', 'UNSUB_2\r\n', 'Ix', 'INx', 'INFx', '+x', '+Ox', '-x', '-Ex', '-ERx', '-ERRx', 'Cx', 'COx',
             'CONx', 'CONNx', 'CONNEx', 'CONNECx', '\r\n', '\n', '\tPING\r\n', 'Hx', 'HPx', 'HPUx', 'HPUBx',
             'PUB\r\n', 'SUB\r\n', 'UNSUB\r\n', 'HPUB\r\n',
             'MSG foo 1 2\r\nok\r\n', 'RS+ foo\r\n', 'LS+ foo\r\n', 'RMSG foo 2\r\nok\r\n', 'A+ foo\r\n', 'A- foo\r\n',
             'GET / HTTP/1.1\r\n\r\n', '\x16\x03\x01\x02\x00\x01', '\x00', '\xff\xfe', '{}\r\n'):
    conversation(f'{text!r} is no operation', [A.connects(), A.sends(text), A.is_told(UNKNOWN)])
conversation('a message from a client is no operation', [A.connects(), A.says('HMSG foo 1 12 14', 'NATS/1.0\r\n\r\nok'), A.is_told(UNKNOWN)])

# Enough bytes that the payload's end would be among them: a server may wait for it before it looks.
for text in ('ok \r\n', 'okay\r\n', 'ok\r \n', 'ok\n\r\n', 'ok  ', 'okPING\r\n'):
    conversation(f'the payload {text!r} does not end where its size says', [
        A.connects(), A.subscribes('end.foo 1'), A.sends('PUB end.foo 2\r\n' + text), A.is_told(UNKNOWN)])

# Malformed arguments: the connection ends without a word.
for line in ('PUB ', 'PUB foo', 'PUB foo ', 'PUB foo bar', 'PUB foo bar baz 2', 'PUB foo +2', 'PUB foo 2x', 'PUB foo -1',
             'PUB foo 0x2', 'PUB foo 2.0', 'PUB foo 1e1', 'PUB foo 99999999999999999999', 'PUB foo 18446744073709551617',
             'PUB foo 9223372036854775808', 'PUB foo 1000000000',
             'SUB ', 'SUB foo', 'SUB foo bar baz 22', 'UNSUB ', 'UNSUB 1 2 3',
             'CONNECT ', 'CONNECT', 'CONNECT {', 'CONNECT nonsense', 'CONNECT []', 'CONNECT {"verbose":"yes"}',
             'CONNECT {"verbose":true', 'CONNECT {"protocol":"one"}', 'CONNECT 1', 'CONNECT "x"', 'CONNECT {} {}',
             'CONNECT {"verbose":true,}'):
    conversation(f'{line!r} closes without a word', [A.connects(), A.says(line), A.is_closed()])
for line in ('HPUB foo', 'HPUB foo 12', 'HPUB foo a b c 12 14', 'HPUB foo 14 12', 'HPUB foo x 14', 'HPUB foo 12 x',
             'HPUB foo -1 2', 'HPUB foo 12 -1', 'HPUB foo 99999999999999999999 99999999999999999999'):
    conversation(f'{line!r} closes without a word', [
        A.connects(headers=True), A.says(line, 'NATS/1.0\r\n\r\nok'), A.is_closed()])

conversation('leading zeros of a size are legal', [
    A.connects(), A.subscribes('zeros.foo 1'),
    A.says('PUB zeros.foo 02', 'ok', 'PUB zeros.foo 000000002', 'ok'),
    A.hears('MSG zeros.foo 1 02', 'ok', 'MSG zeros.foo 1 000000002', 'ok',
            spate=['MSG zeros.foo 1 2', 'ok', 'MSG zeros.foo 1 2', 'ok'], why='canonical-sizes'),
])


def sub_with_queue(argument_bytes):
    """A SUB whose argument part is so long. The queue group makes it so: no bound of subjects is in the way."""
    return 'SUB line.foo ' + 'q' * (argument_bytes - len('line.foo ') - len(' 1')) + ' 1'


CONTROL_LINE = 4096
TOO_LONG = 'maximum control line exceeded'
for size in (CONTROL_LINE - 1, CONTROL_LINE):
    conversation(f'a control line of {size} bytes is taken', [
        A.connects(), A.says(sub_with_queue(size), 'PUB line.foo 2', 'ok'), A.hears('MSG line.foo 1 2', 'ok')])
    conversation(f'a control line of {size} bytes is taken in two pieces', [
        A.connects(), A.sends(sub_with_queue(size)[:2000]), A.waits(0.03), A.sends(sub_with_queue(size)[2000:] + '\r\n'),
        A.says('PUB line.foo 2', 'ok'), A.hears('MSG line.foo 1 2', 'ok')], cuts=False)
for size in (CONTROL_LINE + 1, CONTROL_LINE + 2, 3 * CONTROL_LINE):
    conversation(f'a control line of {size} bytes is too long', [A.connects(), A.says(sub_with_queue(size)), A.is_told(TOO_LONG)])
    conversation(f'a control line of {size} bytes is too long in two pieces', [
        A.connects(), A.sends(sub_with_queue(size)[:2000]), A.waits(0.03), A.sends(sub_with_queue(size)[2000:] + '\r\n'),
        A.is_told(TOO_LONG)], cuts=False)
conversation('a control line that never ends is refused while it grows', [
    A.connects(), A.sends('SUB line.foo ' + 'q' * 8192), A.is_told(TOO_LONG)])
conversation('a control line of PUB is bounded, too', [
    A.connects(), A.says('PUB ' + 'q' * CONTROL_LINE + ' 2'), A.is_told(TOO_LONG)])
conversation('a CONNECT is bounded like any control line', [
    A.sends('CONNECT {"name":"' + 'n' * CONTROL_LINE + '"}\r\n'), A.is_told(TOO_LONG)])
conversation('a smaller bound of control lines holds', [
    A.connects(verbose=False), A.says(sub_with_queue(512)), A.settles(), A.says(sub_with_queue(513)), A.is_told(TOO_LONG),
    B.says('PING'), B.hears('PONG'),
], max_control_line=512)
