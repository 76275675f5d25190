"""HPUB and HMSG: headers pass through, and are left out for clients that did not ask for them."""
from talk import A, B, C, conversation

HEADERS = 'NATS/1.0\r\nName: value\r\n\r\n'
SIZE = len(HEADERS)

conversation('headers reach a client that understands them', [
    A.connects(headers=True), A.subscribes('head.foo 1'), A.says(f'HPUB head.foo {SIZE} {SIZE + 5}', HEADERS + 'hello'),
    A.hears(f'HMSG head.foo 1 {SIZE} {SIZE + 5}', HEADERS + 'hello'),
])
conversation('headers travel with a reply subject', [
    A.connects(headers=True), A.subscribes('head.bar 1'), A.says(f'HPUB head.bar re.ply {SIZE} {SIZE + 2}', HEADERS + 'ok'),
    A.hears(f'HMSG head.bar 1 re.ply {SIZE} {SIZE + 2}', HEADERS + 'ok'),
])
conversation('headers are left out for a client that did not ask for them', [
    A.connects(headers=True), B.connects(), C.connects(headers=False), B.subscribes('strip.foo 1'), C.subscribes('strip.foo 2'),
    A.subscribes('strip.foo 3'), A.says(f'HPUB strip.foo {SIZE} {SIZE + 5}', HEADERS + 'hello'),
    A.hears(f'HMSG strip.foo 3 {SIZE} {SIZE + 5}', HEADERS + 'hello'),
    B.hears('MSG strip.foo 1 5', 'hello'), C.hears('MSG strip.foo 2 5', 'hello'),
    A.says(f'HPUB strip.foo re.ply {SIZE} {SIZE + 5}', HEADERS + 'hello'),
    A.hears(f'HMSG strip.foo 3 re.ply {SIZE} {SIZE + 5}', HEADERS + 'hello'),
    B.hears('MSG strip.foo 1 re.ply 5', 'hello'), C.hears('MSG strip.foo 2 re.ply 5', 'hello'),
])
conversation('headers without a payload', [
    A.connects(headers=True), B.connects(), A.subscribes('only.foo 1'), B.subscribes('only.foo 1'),
    A.says(f'HPUB only.foo {SIZE} {SIZE}', HEADERS), A.hears(f'HMSG only.foo 1 {SIZE} {SIZE}', HEADERS), B.hears('MSG only.foo 1 0', ''),
])
conversation('a message without headers comes as MSG to everyone', [
    A.connects(headers=True), B.connects(), A.subscribes('none.foo 1'), B.says('PUB none.foo 2', 'ok'), A.hears('MSG none.foo 1 2', 'ok'),
])
conversation('no bytes of headers make a plain message', [
    A.connects(headers=True), A.subscribes('zero.foo 1'), A.says('HPUB zero.foo 0 2', 'ok'), A.hears('MSG zero.foo 1 2', 'ok'),
    A.says('HPUB zero.foo 0 0', ''), A.hears('MSG zero.foo 1 0', ''),
])
conversation('nobody looks into the headers', [
    A.connects(headers=True), A.subscribes('opaque.foo 1'), A.says('HPUB opaque.foo 4 6', 'abcdok'),
    A.hears('HMSG opaque.foo 1 4 6', 'abcdok'), A.says('HPUB opaque.foo 4 4', '\x00\r\n\xff'),
    A.hears('HMSG opaque.foo 1 4 4', '\x00\r\n\xff'),
])
conversation('HPUB takes tabs and any case', [
    A.connects(headers=True), A.subscribes('shape.foo 1'), A.says('hpub\tshape.foo \t4  6 ', 'abcdok'),
    A.hears('HMSG shape.foo 1 4 6', 'abcdok'), A.says('Hpub shape.foo\treply\t4\t6', 'abcdok'),
    A.hears('HMSG shape.foo 1 reply 4 6', 'abcdok'),
])
conversation('leading zeros in the sizes of HPUB are legal', [
    A.connects(headers=True), B.connects(), A.subscribes('pad.foo 1'), B.subscribes('pad.foo 1'), A.says('HPUB pad.foo 004 0006', 'abcdok'),
    A.hears('HMSG pad.foo 1 004 0006', 'abcdok', spate=['HMSG pad.foo 1 4 6', 'abcdok'], why='canonical-sizes'), B.hears('MSG pad.foo 1 2', 'ok'),
])
conversation('HPUB from a client that did not announce headers closes without a word', [
    A.connects(), A.says(f'HPUB head.foo {SIZE} {SIZE + 2}', HEADERS + 'ok'), A.is_closed()])
conversation('HPUB before any CONNECT closes without a word', [
    A.says(f'HPUB head.foo {SIZE} {SIZE + 2}', HEADERS + 'ok'), A.is_closed()])
conversation('the payload of HPUB ends where its size says', [
    A.connects(headers=True), A.sends('HPUB head.foo 4 6\r\nabcdokay\r\n'), A.is_told('Unknown Protocol Operation')])
conversation('headers can be switched on and off by CONNECT', [
    A.connects(headers=True), B.connects(), B.subscribes('switch.foo 1'), A.says('HPUB switch.foo 4 6', 'abcdok'),
    B.hears('MSG switch.foo 1 2', 'ok'), B.connects(headers=True), A.says('HPUB switch.foo 4 6', 'abcdok'),
    B.hears('HMSG switch.foo 1 4 6', 'abcdok'),
])
