"""talk: conversations with a NATS server as data, and the player that speaks them.

    conversation('a tab separates as well as a space', [
        A.connects(),
        A.says('SUB\\tfoo\\t1', 'PUB \\t foo 2', 'ok'),       each argument is a line; the line ends are added
        A.hears('MSG foo 1 2', 'ok'),
    ])

Every conversation is played several times: in whole pieces, byte by byte, and cut at random, and each time the answers
must be the same bytes. Text stands for bytes, one character each (latin-1). What the server sends is cut into
operations; its own PINGs and later INFOs may come at any time and are left out. A conversation ends with every
connection that is still open answering PING with exactly one PONG, so nothing more than what was expected was said."""
import json
import random
import re
import select
import socket
import time
from dataclasses import dataclass, field

from differences import DIFFERENCES
from server import PATIENCE

HEAR_SECONDS = 5 * PATIENCE
END = '\r\n'


@dataclass
class Step:
    actor: str
    act: str  # says hears closed quiet waits profile of connection
    text: object = ''
    spate: object = None  # what spate says instead, where a row of differences.py gives the reason
    why: str = ''


class Actor:
    """One connection, opened when it first does something."""

    def __init__(self, name):
        self.name = name

    def says(self, *lines):
        return Step(self.name, 'says', END.join(lines) + END)

    def sends(self, text):
        """Raw: no line end is added, and none of its bytes needs to complete anything."""
        return Step(self.name, 'says', text)

    def connects(self, **fields):
        options = {'verbose': False, 'pedantic': False} | fields
        return [self.says('CONNECT ' + json.dumps(options), 'PING'), self.hears('PONG')]

    def subscribes(self, *arguments):
        """Returns only when the subscription is in force."""
        return [self.says(*(f'SUB {one}' for one in arguments), 'PING'), self.hears('PONG')]

    def settles(self):
        """Everything it said has been dealt with."""
        return [self.says('PING'), self.hears('PONG')]

    def hears(self, *lines, spate=None, why=''):
        """Exactly these bytes next. `spate`: the lines that spate says instead, for the reason named by `why`."""
        assert (spate is None) == (not why) and (not why or why in DIFFERENCES), why
        return Step(self.name, 'hears', END.join(lines) + END, spate and END.join(spate) + END, why)

    def hears_any_order(self, *operations):
        """These operations next, in whatever order; each argument is one, its lines joined by CRLF."""
        return Step(self.name, 'hears any order', [one + END for one in operations])

    def hears_like(self, pattern):
        """One operation that the pattern matches whole."""
        return Step(self.name, 'hears like', pattern)

    def is_told(self, error):
        """An -ERR with this text, and then the end of the connection."""
        return [self.hears(f"-ERR '{error}'"), self.is_closed()]

    def is_closed(self):
        """Nothing more, and the end of the connection."""
        return Step(self.name, 'closed')

    def hears_nothing(self, seconds):
        return Step(self.name, 'quiet', seconds)

    def waits(self, seconds):
        return Step(self.name, 'waits', seconds)

    def leaves(self):
        """Closes its side; the server knows it when this returns."""
        return Step(self.name, 'leaves')

    def is_mid_operation(self):
        """The end of a conversation that leaves an operation open: no PING can be answered."""
        return Step(self.name, 'mid operation')


A, B, C, D = (Actor(name) for name in 'ABCD')


@dataclass
class Conversation:
    name: str
    steps: list
    settings: dict = field(default_factory=dict)
    cuts: bool = True  # false: played in whole pieces only, because cutting it would take long


@dataclass
class Scene:
    """A conversation that counts, so it is a function of the server rather than data."""
    name: str
    play: object
    settings: dict = field(default_factory=dict)


conversations = []


def flatten(steps):
    for step in steps:
        if isinstance(step, Step):
            yield step
        else:
            yield from flatten(step)


def conversation(name, steps, cuts=True, **settings):
    conversations.append(Conversation(name, list(flatten(steps)), settings, cuts))


def scene(name, **settings):
    def register(play):
        conversations.append(Scene(name, play, settings))
        return play
    return register


def show(text, limit=300):
    text = text if isinstance(text, str) else repr(text)
    shown = text.encode('latin-1', 'backslashreplace').decode('latin-1')
    shown = repr(shown if len(shown) <= limit else shown[:limit] + f'… ({len(text)} bytes)')
    return shown


class Wrong(AssertionError):
    """The server did not keep to the conversation."""


# What INFO must hold for the official clients to go on.
INFO_FIELDS = {
    'server_id': lambda v: isinstance(v, str) and v,
    'version': lambda v: re.fullmatch(r'\d+\.\d+\.\d+.*', v),
    'proto': lambda v: v == 1,
    'headers': lambda v: v is True,
    'max_payload': lambda v: isinstance(v, int) and v > 0,
    'host': lambda v: isinstance(v, str) and v,
    'port': lambda v: isinstance(v, int) and 0 < v < 65536,
    'client_id': lambda v: isinstance(v, int) and v > 0,
}


class Wire:
    """A connection that knows where the server's operations begin and end."""

    def __init__(self, server):
        self.socket = server.connect()
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.raw = b''
        self.heard = ''  # whole operations, and at the end whatever is left
        self.operations = []
        self.cursor = 0  # what the conversation has dealt with
        self.ended = False
        self.broken = False  # writing has failed: the other side has gone
        self.read_info()

    def read_info(self):
        deadline = time.monotonic() + HEAR_SECONDS
        while not self.operations and not self.ended and time.monotonic() < deadline:
            self.receive(deadline)
        if not self.operations or not self.operations[0].startswith('INFO {'):
            if self.operations and self.operations[0].startswith('-ERR'):
                return
            raise Wrong(f'no INFO but {show(self.heard)}')
        line = self.operations.pop(0)
        self.heard = self.heard[len(line):]
        self.info = json.loads(line[5:])
        for name, is_right in INFO_FIELDS.items():
            if name not in self.info or not is_right(self.info[name]):
                raise Wrong(f'INFO has {name}={self.info.get(name)!r}')

    def receive(self, deadline):
        """Takes what there is, or waits for some until the deadline."""
        ready, _, _ = select.select([self.socket], [], [], max(0, deadline - time.monotonic()))
        if not ready:
            return
        try:
            data = self.socket.recv(1 << 20)
        except ConnectionError:
            data = b''
        self.ended = not data
        self.raw += data
        self.cut_operations()

    def cut_operations(self):
        while True:
            end = self.raw.find(b'\r\n')
            if end < 0:
                break
            size = end + 2
            words = self.raw[:end].split()
            if words and words[0] in (b'MSG', b'HMSG') and words[-1].isdigit():
                size += int(words[-1]) + 2
                if len(self.raw) < size:
                    break
            operation, self.raw = self.raw[:size].decode('latin-1'), self.raw[size:]
            if operation == 'PING\r\n' or (operation.startswith('INFO ') and self.operations):
                continue
            self.operations.append(operation)
            self.heard += operation
        if self.ended and self.raw:
            self.operations.append(self.raw.decode('latin-1'))
            self.heard += self.operations[-1]
            self.raw = b''

    def send(self, data):
        """Sends what it can: a server that has had enough may close in the middle of it."""
        view = memoryview(data)
        deadline = time.monotonic() + 4 * HEAR_SECONDS
        while view and not self.broken:
            try:
                view = view[self.socket.send(view):]
            except socket.timeout as error:
                raise Wrong('the server takes nothing any more') from error
            except OSError:
                self.broken = True
            if time.monotonic() > deadline:
                raise Wrong('the server takes bytes too slowly')

    def say(self, *lines):
        self.send((END.join(lines) + END).encode('latin-1'))

    def unread(self):
        return self.heard[self.cursor:]

    def hear_count(self, count, seconds=HEAR_SECONDS):
        """The next `count` operations, as a list."""
        deadline = time.monotonic() + seconds
        first = self.operations_before_cursor()
        while len(self.operations) - first < count and not self.ended and time.monotonic() < deadline:
            self.receive(deadline)
        heard = self.operations[first:first + count]
        if len(heard) < count:
            raise Wrong(f'heard {len(heard)} operations of {count}{" and the end" if self.ended else ""}, '
                        f'the last is {show(heard[-1] if heard else "")}')
        self.cursor += sum(map(len, heard))
        return heard

    def operations_before_cursor(self):
        seen = 0
        for index, operation in enumerate(self.operations):
            if seen >= self.cursor:
                return index
            seen += len(operation)
        return len(self.operations)

    def hear(self, text):
        deadline = time.monotonic() + HEAR_SECONDS
        while len(self.unread()) < len(text) and text.startswith(self.unread()) and not self.ended \
                and time.monotonic() < deadline:
            self.receive(deadline)
        if not self.unread().startswith(text):
            end = ' and then the end' if self.ended else ''
            raise Wrong(f'expected {show(text)}, heard {show(self.unread()[:len(text) + 200])}{end}')
        self.cursor += len(text)

    def hear_end(self):
        deadline = time.monotonic() + HEAR_SECONDS
        while not self.ended and time.monotonic() < deadline:
            self.receive(deadline)
        if self.unread():
            raise Wrong(f'expected the end, heard {show(self.unread())}')
        if not self.ended:
            raise Wrong('expected the end, the connection stays open')

    def hear_nothing(self, seconds):
        deadline = time.monotonic() + seconds
        while not self.ended and time.monotonic() < deadline:
            self.receive(deadline)
        if self.unread() or self.ended:
            raise Wrong(f'expected nothing, heard {show(self.unread())}' + (' and the end' if self.ended else ''))

    def settle(self):
        self.say('PING')
        self.hear('PONG\r\n')

    def close(self):
        self.socket.close()

    def leave(self):
        """Closes, and waits until the server knows: nothing of it is picked or given events any more."""
        try:
            self.socket.shutdown(socket.SHUT_WR)
            while self.socket.recv(1 << 16):
                pass
        except OSError:
            pass  # it was over before
        self.close()


def pieces_whole(data, _):
    yield data


def pieces_bytes(data, _):
    for index in range(len(data)):
        yield data[index:index + 1]


def pieces_random(data, chance):
    while data:
        size = chance.choice((1, 2, 3, 5, 8, 13, 40, 200, 1500))
        yield data[:size]
        data = data[size:]


# Name, how to cut, the most bytes of one conversation that are cut so.
VARIANTS = (('whole', pieces_whole, None), ('byte by byte', pieces_bytes, 600), ('cut at random', pieces_random, 20000))


def perform(step, wire, server, cut, chance):
    """Plays one step on its connection."""
    if step.act == 'says':
        for piece in cut(step.text.encode('latin-1'), chance):
            wire.send(piece)
            # Now and then long enough for the server to read the piece by itself.
            if cut is not pieces_whole and chance.random() < 0.3:
                time.sleep(0.00005)
    elif step.act == 'hears':
        wire.hear(step.spate if step.spate is not None and server.kind == 'spate' else step.text)
    elif step.act == 'hears any order':
        heard = wire.hear_count(len(step.text))
        if sorted(heard) != sorted(step.text):
            raise Wrong(f'expected in any order {show(step.text)}, heard {show(heard)}')
    elif step.act == 'hears like':
        heard, = wire.hear_count(1)
        if not re.fullmatch(step.text, heard.removesuffix(END)):
            raise Wrong(f'expected {step.text!r}, heard {show(heard)}')
    elif step.act == 'closed':
        wire.hear_end()
    elif step.act == 'quiet':
        wire.hear_nothing(step.text)
    elif step.act == 'waits':
        time.sleep(step.text)
    elif step.act == 'leaves':
        wire.socket.shutdown(socket.SHUT_WR)
        wire.hear_end()


def play(talk, server, variant):
    """Returns what each connection heard, so that two servers can be compared."""
    name, cut, _ = variant
    chance = random.Random(f'{talk.name} {name}')
    wires, finished = {}, set()
    try:
        for number, step in enumerate(talk.steps, 1):
            try:
                if step.actor not in wires:
                    wires[step.actor] = Wire(server)
                perform(step, wires[step.actor], server, cut, chance)
            except Wrong as wrong:
                raise Wrong(f'{server.kind}, {name}, step {number} ({step.actor} {step.act}): {wrong}') from wrong
            if step.act in ('closed', 'leaves', 'mid operation'):
                finished.add(step.actor)
        for actor in wires.keys() - finished:
            try:
                wires[actor].settle()
            except Wrong as wrong:
                raise Wrong(f'{server.kind}, {name}, at the end {actor} says PING: {wrong}') from wrong
        return {actor: wire.heard for actor, wire in wires.items()}
    finally:
        # Else a member of a queue group might be picked in the next variant of the same conversation.
        for wire in wires.values():
            wire.leave()


def variants_of(talk):
    size = sum(len(step.text) for step in talk.steps if step.act == 'says')
    for variant in VARIANTS:
        if variant[2] is None or (talk.cuts and size <= variant[2]):
            yield variant


def may_differ(talk):
    """Where an intended difference is named, or an order is free, the transcripts need not be the same bytes."""
    return any(step.spate is not None or step.act in ("hears any order", "hears like") for step in talk.steps)
