"""CONNECT and what it changes: verbose, echo, protocol, headers, errors."""
from talk import A, B, END, conversation

conversation('nobody has to say CONNECT where no password is asked for', [
    A.says('PING'), A.hears('PONG'), A.says('SUB bare.foo 1'), A.hears('+OK'),
    A.says('PUB bare.foo 2', 'ok'), A.hears('+OK', 'MSG bare.foo 1 2', 'ok'),
])
conversation('a client is answered +OK until it says verbose:false', [
    A.says('CONNECT {}'), A.hears('+OK'), A.says('SUB loud.foo 1'), A.hears('+OK'), A.says('UNSUB 1'), A.hears('+OK'),
    A.says('PUB loud.foo 2', 'ok'), A.hears('+OK'), A.says('PING'), A.hears('PONG'), A.says('PONG', 'PING'), A.hears('PONG'),
    A.says('UNSUB 99'), A.hears('+OK'),
    A.says('CONNECT {"verbose":false}'), A.says('SUB loud.foo 2', 'PING'), A.hears('PONG'),
])
conversation('verbose covers headers, duplicates and limited subscriptions', [
    A.says('CONNECT {"verbose":true,"headers":true}'), A.hears('+OK'),
    A.says('HPUB loud.bar 12 14', 'NATS/1.0\r\n\r\nok'), A.hears('+OK'),
    A.says('SUB loud.bar 1'), A.hears('+OK'), A.says('SUB loud.bar 1'), A.hears('+OK'), A.says('UNSUB 1 5'), A.hears('+OK'),
])
conversation('CONNECT may be repeated and counts anew', [
    A.says('CONNECT {"verbose":false}', 'PING'), A.hears('PONG'), A.says('CONNECT {"verbose":true}'), A.hears('+OK'),
    A.says('SUB again.foo 1'), A.hears('+OK'), A.says('CONNECT {"verbose":false}', 'PUB again.foo 2', 'ok'),
    A.hears('MSG again.foo 1 2', 'ok'),
])
conversation('the line end of CONNECT may come late', [
    A.sends('CONNECT {"verbose":false,"pedantic":false}'), A.waits(0.1), A.sends(END), A.says('PING'), A.hears('PONG'),
])
conversation('CONNECT and PING come in one piece, as every client sends them', [
    A.says('CONNECT {"verbose":false,"pedantic":false,"lang":"x","version":"1.0.0","name":"n","protocol":1,"echo":true,'
           '"headers":true,"no_responders":true,"tls_required":false}', 'PING'), A.hears('PONG'),
])
conversation('fields that nobody knows are passed over', [
    A.says('CONNECT {"verbose":false,"unheard_of":{"a":[1,2,{"b":null}],"c":"}\\\\\\""},"x":1e3,"y":-0.5,"z":true}', 'PING'),
    A.hears('PONG'),
])
conversation('CONNECT may have spaces in its JSON, and escapes', [
    A.says('CONNECT   { "verbose" : false ,\t"name" : "a\\u0020\\"b\\"\\n" , "lang":"\\u00e9" }  ', 'PING'), A.hears('PONG'),
])
conversation('null leaves a field at its default', [
    A.says('CONNECT {"verbose":null}'), A.hears('+OK'), A.says('CONNECT {"verbose":false,"echo":null,"name":null}'),
    A.says('SUB null.foo 1', 'PUB null.foo 0', ''), A.hears('MSG null.foo 1 0', ''),
])
conversation('protocol 0 and 1 are known', [
    A.connects(protocol=0), B.connects(protocol=1),
])
for protocol in (2, -1, 100):
    conversation(f'protocol {protocol} is not known', [
        A.says('CONNECT {"verbose":false,"protocol":%d}' % protocol), A.is_told('invalid client protocol')])
conversation('no_responders needs headers', [
    A.says('CONNECT {"verbose":false,"no_responders":true}'), A.is_told('no responders requires headers support')])
conversation('no_responders with headers:false is refused', [
    A.says('CONNECT {"verbose":false,"no_responders":true,"headers":false}'),
    A.is_told('no responders requires headers support')])
conversation('naming an account is a violation', [
    A.says('CONNECT {"verbose":false,"account":"a"}'), A.is_told('Authorization Violation')])
conversation('asking for a new account is a violation', [
    A.says('CONNECT {"verbose":false,"account":"a","new_account":true}'), A.is_told('Authorization Violation')])
conversation('a user and a password do no harm where nobody asks', [A.connects(user='u', **{'pass': 'p'})])
conversation('a token does no harm where nobody asks', [A.connects(auth_token='t')])

conversation('without echo a client does not hear itself, others do', [
    A.connects(echo=False), B.connects(), A.subscribes('echo.foo 1'), B.subscribes('echo.foo 7'),
    A.says('PUB echo.foo 2', 'me'), B.hears('MSG echo.foo 7 2', 'me'), A.settles(),
    B.says('PUB echo.foo 3', 'you'), A.hears('MSG echo.foo 1 3', 'you'), B.hears('MSG echo.foo 7 3', 'you'),
])
conversation('with echo a client hears itself', [
    A.connects(echo=True), A.subscribes('echo.bar 1'), A.says('PUB echo.bar 2', 'me'), A.hears('MSG echo.bar 1 2', 'me'),
])
conversation('echo may change with the next CONNECT', [
    A.connects(), A.subscribes('echo.baz 1'), A.says('PUB echo.baz 1', 'a'), A.hears('MSG echo.baz 1 1', 'a'),
    A.connects(echo=False), A.says('PUB echo.baz 1', 'b'), A.settles(),
    A.connects(echo=True), A.says('PUB echo.baz 1', 'c'), A.hears('MSG echo.baz 1 1', 'c'),
])
