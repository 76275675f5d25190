"""Users: who comes in, and what he may do then."""
from talk import A, B, C, conversation


def connects(actor, user, password, **fields):
    return actor.connects(user=user, **{'pass': password}, **fields)


def alice(actor, **fields):
    return connects(actor, 'alice', 'wonder', **fields)


def bob(actor, **fields):
    return connects(actor, 'bob', 'plain', **fields)


def carol(actor, **fields):
    return connects(actor, 'carol', 'plain', **fields)


def publish_violation(subject):
    return f"-ERR 'Permissions Violation for Publish to \"{subject}\"'"


def subscription_violation(subject, queue=None):
    using = f' using queue "{queue}"' if queue else ''
    return f"-ERR 'Permissions Violation for Subscription to \"{subject}\"{using}'"


VIOLATION = 'Authorization Violation'

conversation('the right password comes in', [alice(A), bob(B)], users='usual')
conversation('escapes in a password are undone', [
    A.says('CONNECT {"verbose":false,"user":"\\u0061lice","pass":"w\\u006fnder"}', 'PING'), A.hears('PONG')], users='usual')
conversation('what follows CONNECT in one piece waits for the login', [
    A.says('CONNECT {"verbose":false,"user":"bob","pass":"plain"}', 'SUB one.piece 1', 'PUB one.piece 2', 'ok', 'PING'),
    A.hears('MSG one.piece 1 2', 'ok', 'PONG'),
], users='usual')
for operation in ('PING', 'PONG', 'SUB a 1', 'UNSUB 1', 'PUB a 0', 'INFO {}', '+OK', '-ERR x', 'x', ' CONNECT {}'):
    conversation(f'nothing comes before CONNECT where users are asked for: {operation}', [
        A.sends(f'{operation}\r\n'), A.is_told(VIOLATION)], users='usual')
for name, fields in {
        'a wrong password': '"user":"alice","pass":"wonders"', 'no password': '"user":"alice"', 'an unknown user': '"user":"nobody","pass":"wonder"',
        'no user': '', 'a token': '"auth_token":"wonder"', 'another user\'s password': '"user":"bob","pass":"wonder"',
        'a password longer than bcrypt sees': '"user":"alice","pass":"%s"' % ('w' * 100),
        'a password with a NUL behind the right one': '"user":"alice","pass":"wonder\\u0000"',
        'a wrong password and a wrong protocol': '"user":"alice","pass":"x","protocol":5'}.items():
    conversation(f'{name} is refused', [A.says('CONNECT {%s}' % fields), A.is_told(VIOLATION)], users='usual')
conversation('the right password does not mend a wrong protocol', [
    A.says('CONNECT {"user":"alice","pass":"wonder","protocol":5}'), A.is_told('invalid client protocol')], users='usual')
conversation('a second login that is wrong ends the first', [
    alice(A), A.says('CONNECT {"verbose":false,"user":"alice","pass":"x"}'), A.is_told(VIOLATION)], users='usual')
conversation('a second login may be somebody else', [
    alice(A), A.says('PUB c 0', '', 'PING'), A.hears(publish_violation('c'), 'PONG'),
    bob(A), A.says('SUB c 1', 'PUB c 0', '', 'PING'), A.hears('MSG c 1 0', '', 'PONG'),
], users='usual')
conversation('who does not log in is told that it is too late', [
    A.waits(1.5), A.is_told('Authentication Timeout')], cuts=False, users='usual', auth_timeout=1)
conversation('half a login is too late as well', [
    A.sends('CONNECT {"user":"alice"'), A.waits(1.5), A.is_told('Authentication Timeout')], cuts=False, users='usual', auth_timeout=1)

conversation('what may not be published is told, and the connection stays', [
    alice(A), bob(B), B.subscribes('> 1'),
    A.says('PUB c 1', 'x', 'PUB a.secret 1', 'x', 'PUB a.b 2', 'ok', 'PUB a 1', 'x', 'PUB b 2', 'me', 'PING'),
    A.hears(publish_violation('c'), publish_violation('a.secret'), publish_violation('a'), 'PONG'),
    B.hears('MSG a.b 1 2', 'ok', 'MSG b 1 2', 'me'),
], users='usual')
conversation('a denial alone leaves the rest', [
    connects(A, 'dave', 'plain'), bob(B), B.subscribes('> 1'),
    A.says('PUB a.b 1', 'x', 'PUB a 2', 'ok', 'PUB a.b.c 1', 'x', 'PING'),
    A.hears(publish_violation('a.b'), publish_violation('a.b.c'), 'PONG'), B.hears('MSG a 1 2', 'ok'),
], users='usual')
conversation('a verbose client gets no +OK for what it may not do', [
    A.says('CONNECT {"pedantic":false,"user":"alice","pass":"wonder"}'), A.hears('+OK'),
    A.says('SUB c 1'), A.hears(subscription_violation('c')), A.says('PUB c 0', ''), A.hears(publish_violation('c')),
    A.says('SUB a.b 1'), A.hears('+OK'),
], users='usual')
conversation('a pedantic client hears of the subject first', [
    A.says('CONNECT {"user":"alice","pass":"wonder"}'), A.hears('+OK'),
    A.says('PUB c.* 0', ''), A.hears("-ERR 'Invalid Publish Subject'", publish_violation('c.*')),
    A.says('PUB c..d 0', ''), A.hears("-ERR 'Invalid Publish Subject'", publish_violation('c..d')),
    A.says('PUB a.* 0', ''), A.hears("-ERR 'Invalid Publish Subject'", '+OK'),
], cuts=False, users='usual')  # the reference says it twice when the line comes in pieces

for subject in ('c', 'a', 'a.secret', 'a.deep.x', 'a.deep.>', 'a.deep.*', '>', '*', 'a..b', 'b..c', 'only'):
    conversation(f'who may not subscribe to {subject} is told, and the connection stays', [
        alice(A), A.says(f'SUB {subject} 1', 'PING'), A.hears(subscription_violation(subject), 'PONG')], users='usual')
conversation('a pattern that reaches further than what is allowed is refused', [
    alice(A), A.says('SUB w.> 1', 'PING'),
    A.hears('PONG', spate=[subscription_violation('w.>'), 'PONG'], why='wider-than-allowed')], users='usual')
conversation('a queue group may be allowed by name', [
    alice(A), A.says('SUB only g1 1', 'SUB q 2', 'SUB q g1 3', 'SUB q g2 4', 'SUB only g2 5', 'PING'),
    A.hears(subscription_violation('q', 'g2'), subscription_violation('only', 'g2'), 'PONG')], users='usual')
conversation('a denial without a queue group holds in every group', [
    carol(A), A.says('SUB foo 1', 'SUB foo v1 2', 'PING'), A.hears(subscription_violation('foo'), subscription_violation('foo', 'v1'), 'PONG'),
    A.says('SUB foo other 3', 'PING'), A.hears('PONG', spate=[subscription_violation('foo', 'other'), 'PONG'], why='queue-denials'),
], users='usual')

conversation('what is denied does not come through a wildcard', [
    carol(A), bob(B), C.connects(user='bob', **{'pass': 'plain'}), A.subscribes('a.> 1', '> 2', '*.secret 3'), C.subscribes('a.> 1'),
    B.says('PUB a.secret 1', 'x', 'PUB a.open 2', 'ok', 'PING'), B.hears('PONG'),
    A.hears_any_order('MSG a.open 1 2\r\nok', 'MSG a.open 2 2\r\nok'), C.hears('MSG a.secret 1 1', 'x', 'MSG a.open 1 2', 'ok'),
], users='usual')
conversation('nor by what the client publishes itself', [
    carol(A), A.subscribes('> 1'), A.says('PUB a.secret 1', 'x', 'PUB a.other 2', 'ok'), A.hears('MSG a.other 1 2', 'ok'),
], users='usual')
conversation('what is denied does not come to those who share a stream either', [
    carol(A), carol(B), A.subscribes('a.> 1'), B.subscribes('a.> 1'), bob(C), C.subscribes('a.> 1'), A.waits(0.3),
    C.says('PUB a.secret 1', 'x', 'PUB a.open 2', 'ok'), A.hears('MSG a.open 1 2', 'ok'), B.hears('MSG a.open 1 2', 'ok'),
    C.hears('MSG a.secret 1 1', 'x', 'MSG a.open 1 2', 'ok'),
], users='usual')
conversation('a member of a queue group that may not have an event leaves it to another', [
    carol(A), bob(B), bob(C), A.subscribes('jobs.* g 1'), B.subscribes('jobs.* g 1'),
    C.says(*['PUB jobs.secret 1', 'x'] * 5, 'PING'), C.hears('PONG'), B.hears(*['MSG jobs.secret 1 1', 'x'] * 5),
], users='usual')
conversation('a request that nobody may answer has no responders, wherever they are', [
    carol(A), connects(B, 'bob', 'plain', headers=True, no_responders=True), A.subscribes('a.* 1'), B.subscribes('inbox.b 9'),
    B.says('PUB a.secret inbox.b 1', 'x', 'PING'), B.hears('HMSG inbox.b 9 16 16', 'NATS/1.0 503', '', '', 'PONG'),
], users='usual')
conversation('a request that nobody may answer has no responders', [
    carol(A, headers=True, no_responders=True), A.subscribes('a.* 1', 'inbox.a 9'),
    A.says('PUB a.secret inbox.a 1', 'x', 'PING'), A.hears('HMSG inbox.a 9 16 16', 'NATS/1.0 503', '', '', 'PONG'),
], users='usual')
