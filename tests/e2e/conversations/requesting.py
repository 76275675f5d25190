"""Requests: reply subjects, and the 503 that says that nobody listens."""
from talk import A, B, C, conversation

NOBODY = 'NATS/1.0 503\r\n\r\n'


def no_responders(reply, sid):
    return [f'HMSG {reply} {sid} 16 16', NOBODY]


ASKS = {'headers': True, 'no_responders': True}

conversation('a request is answered', [
    A.connects(), B.connects(), B.subscribes('serve.time 1'), A.subscribes('_INBOX.abc.* 1'),
    A.says('PUB serve.time _INBOX.abc.1 4', 'when'), B.hears('MSG serve.time 1 _INBOX.abc.1 4', 'when'),
    B.says('PUB _INBOX.abc.1 3', 'now'), A.hears('MSG _INBOX.abc.1 1 3', 'now'),
])
conversation('a request that nobody hears is answered 503', [
    A.connects(**ASKS), A.subscribes('_INBOX.none.* 7'), A.says('PUB nobody.here _INBOX.none.1 2', 'hi'),
    A.hears(*no_responders('_INBOX.none.1', 7)),
])
conversation('a request with headers that nobody hears is answered 503', [
    A.connects(**ASKS), A.subscribes('_INBOX.hnone.* 7'), A.says('HPUB nobody.here _INBOX.hnone.1 4 6', 'abcdok'),
    A.hears(*no_responders('_INBOX.hnone.1', 7)),
])
conversation('503 comes to a literal subscription, too', [
    A.connects(**ASKS), A.subscribes('reply.here 9'), A.says('PUB nobody.here reply.here 0', ''), A.hears(*no_responders('reply.here', 9)),
])
conversation('503 comes in the order of the requests', [
    A.connects(**ASKS), B.connects(), B.subscribes('some.body 1'), A.subscribes('_INBOX.order.* 1', 'mine.* 2'),
    A.says('PUB nobody.here _INBOX.order.1 0', '', 'PUB mine.a 0', '', 'PUB nobody.here _INBOX.order.2 0', ''),
    A.hears(*no_responders('_INBOX.order.1', 1), 'MSG mine.a 2 0', '', *no_responders('_INBOX.order.2', 1)),
])
conversation('without no_responders nobody is told that nobody listens', [
    A.connects(headers=True), A.subscribes('_INBOX.quiet.* 1'), A.says('PUB nobody.here _INBOX.quiet.1 2', 'hi'), A.settles(),
])
conversation('a message without a reply subject is not answered', [
    A.connects(**ASKS), A.subscribes('_INBOX.plain.* 1'), A.says('PUB nobody.here 2', 'hi'), A.settles(),
])
conversation('503 is for a reply that is subscribed to: otherwise nothing', [
    A.connects(**ASKS), A.says('PUB nobody.here _INBOX.unheard.1 2', 'hi'), A.settles(),
])
conversation('503 goes to the asking connection only', [
    A.connects(**ASKS), B.connects(**ASKS), B.subscribes('_INBOX.other.* 1'), A.says('PUB nobody.here _INBOX.other.1 2', 'hi'),
    A.settles(), B.settles(),
])
conversation('a subscriber anywhere is enough', [
    A.connects(**ASKS), B.connects(), B.subscribes('one.> 1'), A.subscribes('_INBOX.one.* 1'), A.says('PUB one.a _INBOX.one.1 2', 'hi'),
    B.hears('MSG one.a 1 _INBOX.one.1 2', 'hi'), A.settles(),
])
conversation('a member of a queue group is enough', [
    A.connects(**ASKS), B.connects(), B.subscribes('group.a workers 1'), A.subscribes('_INBOX.group.* 1'),
    A.says('PUB group.a _INBOX.group.1 2', 'hi'), B.hears('MSG group.a 1 _INBOX.group.1 2', 'hi'), A.settles(),
])
conversation('the asking client itself is enough', [
    A.connects(**ASKS), A.subscribes('self.a 1', '_INBOX.self.* 2'), A.says('PUB self.a _INBOX.self.1 2', 'hi'),
    A.hears('MSG self.a 1 _INBOX.self.1 2', 'hi'),
])
conversation('the asking client without echo is nobody', [
    A.connects(**ASKS, echo=False), A.subscribes('noecho.a 1', '_INBOX.noecho.* 2'), A.says('PUB noecho.a _INBOX.noecho.1 2', 'hi'),
    A.hears(*no_responders('_INBOX.noecho.1', 2)),
])
conversation('503 reaches a subscription for one message', [
    A.connects(**ASKS), A.says('SUB _INBOX.once.* 1', 'UNSUB 1 1', 'PUB nobody.here _INBOX.once.1 0', ''),
    A.hears(*no_responders('_INBOX.once.1', 1)), A.settles(),
])
conversation('503 stops when the responder is there and comes back when it has gone', [
    A.connects(**ASKS), B.connects(), A.subscribes('_INBOX.comes.* 1'), A.says('PUB comes.a _INBOX.comes.1 0', ''),
    A.hears(*no_responders('_INBOX.comes.1', 1)), B.subscribes('comes.a 5'), A.says('PUB comes.a _INBOX.comes.2 0', ''),
    B.hears('MSG comes.a 5 _INBOX.comes.2 0', ''), A.settles(), B.says('UNSUB 5', 'PING'), B.hears('PONG'),
    A.says('PUB comes.a _INBOX.comes.3 0', ''), A.hears(*no_responders('_INBOX.comes.3', 1)),
])
conversation('verbose and 503 go together', [
    A.says('CONNECT {"headers":true,"no_responders":true,"verbose":true}'), A.hears('+OK'), A.says('SUB _INBOX.both.* 1'), A.hears('+OK'),
    A.says('PUB nobody.here _INBOX.both.1 0', ''), A.hears('+OK', *no_responders('_INBOX.both.1', 1)),
])
for subject in ('_GR_.abc',):
    conversation(f'nobody may publish to {subject}', [
        A.connects(), A.says(f'PUB {subject} 2', 'ok'), A.hears(f"-ERR 'Permissions Violation for Publish to \"{subject}\"'"), A.settles()])
for reply in ('_R_.abc', '$JS.ACK.abc', '_GR_.abc'):
    conversation(f'nobody may ask for replies to {reply}', [
        A.connects(), A.says(f'PUB reserved.a {reply} 2', 'ok'),
        A.hears(f"-ERR 'Permissions Violation for Publish with Reply of \"{reply}\"'"), A.settles()])
