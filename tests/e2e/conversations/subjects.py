"""Subjects: wildcards, legal and illegal ones, literal wildcard characters, pedantic mode."""
from talk import A, B, conversation


def matching(pattern, heard, unheard):
    """One SUB, then a PUB to each subject: only those of `heard` arrive, in order."""
    return [A.connects(), A.subscribes(f'{pattern} 1'),
            [A.says(f'PUB {subject} 2', 'no') for subject in unheard],
            A.says(*[line for subject in heard for line in (f'PUB {subject} 2', 'ok')]),
            A.hears(*[line for subject in heard for line in (f'MSG {subject} 1 2', 'ok')]), A.settles()]


for pattern, heard, unheard in (
        ('lit.foo.bar', ['lit.foo.bar'], ['lit.foo', 'lit.foo.bar.baz', 'lit.foo.ba', 'lit.foo.barr', 'LIT.foo.bar']),
        ('one.*', ['one.a', 'one.bb', 'one.*', 'one.>'], ['one', 'one.a.b', 'on.a', 'one..']),
        ('*.two', ['a.two', '*.two'], ['two', 'a.b.two', 'a.twos']),
        ('mid.*.end', ['mid.x.end', 'mid.*.end'], ['mid.end', 'mid.x.y.end', 'mid.x']),
        ('*.*.three', ['a.b.three'], ['a.three', 'a.b.c.three']),
        ('all.>', ['all.a', 'all.a.b', 'all.a.b.c.d.e.f', 'all.*', 'all.>'], ['all', 'alls.a']),
        ('*.some.>', ['a.some.x', 'b.some.x.y'], ['a.some', 'some.x', 'a.b.some.x']),
        ('star.*.>', ['star.a.b', 'star.a.b.c'], ['star.a', 'star']),
        ('tok.a*', ['tok.a*'], ['tok.a', 'tok.ab']),
        ('tok.*a', ['tok.*a'], ['tok.a', 'tok.ba']),
        ('tok.a>b', ['tok.a>b'], ['tok.a', 'tok.axb']),
        ('tok.>>', ['tok.>>'], ['tok.a', 'tok.a.b']),
        ('tok.**', ['tok.**'], ['tok.a', 'tok.ab']),
        ('tok.a>.b', ['tok.a>.b'], ['tok.a.b']),
        ('foo.bar,*,>,baz', ['foo.bar,*,>,baz'], ['foo.bar', 'foo.bar,x,y,baz']),
        ('odd.$%&!?#(){}[]|~', ['odd.$%&!?#(){}[]|~'], ['odd.$']),
        ('utf.caf\xc3\xa9.\xe2\x82\xac', ['utf.caf\xc3\xa9.\xe2\x82\xac'], ['utf.cafe.\xe2\x82\xac']),
        ('raw.\x01\x7f\xff\xfe', ['raw.\x01\x7f\xff\xfe'], ['raw.\x01']),
        ('nul.a\x00b', ['nul.a\x00b'], ['nul.a']),
        ('case.Foo', ['case.Foo'], ['case.foo', 'Case.Foo']),
        ('deep.' + '.'.join('abcdefghijklmnopqrstuvwxyz0123'), ['deep.' + '.'.join('abcdefghijklmnopqrstuvwxyz0123')],
         ['deep.' + '.'.join('abcdefghijklmnopqrstuvwxyz012')])):
    shown = pattern.encode('latin-1').decode('latin-1') if pattern.isascii() and pattern.isprintable() else repr(pattern)
    conversation(f'a subscription to {shown} hears what it should', matching(pattern, heard, unheard))

conversation('> alone hears everything', [
    A.connects(), A.subscribes('> 1'), A.says('PUB every.a 1', 'x', 'PUB b 1', 'y', 'PUB every.c.d.e 1', 'z'),
    A.hears('MSG every.a 1 1', 'x', 'MSG b 1 1', 'y', 'MSG every.c.d.e 1 1', 'z'),
])
conversation('* alone hears every single token', [
    A.connects(), A.subscribes('* 1'), A.says('PUB single 1', 'x', 'PUB two.tokens 1', 'y', 'PUB other 1', 'z'),
    A.hears('MSG single 1 1', 'x', 'MSG other 1 1', 'z'),
])
for subject in ('foo.', '.foo', 'foo..bar', '>.foo', 'foo.>.bar', '.', '..', 'foo.>.', '.>', '.*', '*.'):
    conversation(f'{subject} is no subject to subscribe to, and the connection stays', [
        A.connects(), A.says(f'SUB {subject} 1', 'PING'), A.hears("-ERR 'Invalid Subject'", 'PONG'),
        A.says(f'SUB {subject} queue 2', 'PING'), A.hears("-ERR 'Invalid Subject'", 'PONG'),
        A.says('SUB invalid.good 1', 'PUB invalid.good 2', 'ok'), A.hears('MSG invalid.good 1 2', 'ok'),
    ])
conversation('an invalid subject is not answered +OK as well', [
    A.says('CONNECT {}'), A.hears('+OK'), A.says('SUB foo. 1'), A.hears("-ERR 'Invalid Subject'"),
])
for subject in ('pub.', '.pub', 'pub..a', '.', '..'):
    conversation(f'a message to {subject} reaches nobody and nobody is told', [
        A.connects(), B.connects(), B.subscribes('pub.> 1', 'pub.* 2', '*.pub 3'), A.says(f'PUB {subject} 2', 'ok', 'PING'),
        A.hears('PONG'), B.settles(),
    ])
conversation('a wildcard in a subject to publish to is an ordinary token', [
    A.connects(), A.subscribes('wild.a 1', 'wild.* 2'), A.says('PUB wild.* 2', 'ok', 'PING'),
    A.hears('MSG wild.* 2 2', 'ok', 'PONG'), A.says('PUB wild.> 2', 'ok', 'PING'), A.hears('MSG wild.> 2 2', 'ok', 'PONG'),
])
# In whole pieces only: nats-server parses a line that arrives in pieces twice, and then complains twice.
conversation('pedantic mode tells of a subject that is not literal, and routes it all the same', [
    A.connects(pedantic=True), A.subscribes('strict.* 1'),
    A.says('PUB strict.* 2', 'ok'), A.hears("-ERR 'Invalid Publish Subject'", 'MSG strict.* 1 2', 'ok'),
    A.says('PUB strict.> 2', 'ok'), A.hears("-ERR 'Invalid Publish Subject'", 'MSG strict.> 1 2', 'ok'),
    A.says('PUB strict.ok 2', 'ok'), A.hears('MSG strict.ok 1 2', 'ok'),
], cuts=False)
conversation('pedantic mode tells of a subject that is none', [
    A.connects(pedantic=True), A.says('PUB foo. 2', 'ok'), A.hears("-ERR 'Invalid Publish Subject'"),
    A.says('PUB foo..bar 2', 'ok'), A.hears("-ERR 'Invalid Publish Subject'"),
    A.says('PUB .foo 0', ''), A.hears("-ERR 'Invalid Publish Subject'"),
], cuts=False)
conversation('a client is pedantic until it says otherwise', [
    A.says('PUB foo.* 0', ''), A.hears("-ERR 'Invalid Publish Subject'", '+OK'),
    A.says('CONNECT {"pedantic":false}'), A.hears('+OK'), A.says('PUB foo.* 0', ''), A.hears('+OK'),
], cuts=False)
conversation('a reply subject is not looked at', [
    A.connects(pedantic=True), A.subscribes('look.foo 1'), A.says('PUB look.foo re..ply.> 2', 'ok'),
    A.hears('MSG look.foo 1 re..ply.> 2', 'ok'),
])
conversation('many subjects of one shape stay apart', [
    A.connects(), A.subscribes(*[f'apart.{i}.x {i}' for i in range(200)]),
    A.says(*[line for i in range(0, 200, 7) for line in (f'PUB apart.{i}.x 1', 'p')]),
    A.hears(*[line for i in range(0, 200, 7) for line in (f'MSG apart.{i}.x {i} 1', 'p')]),
])
