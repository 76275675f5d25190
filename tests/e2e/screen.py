"""screen: a program on a pseudo-terminal, and what a person would see there.

The emulation knows what `spate top` may use and no more: whatever else comes out of the program is remembered in
`strange`, so that a test can say that nothing did."""
import codecs
import fcntl
import os
import pty
import re
import select
import signal
import struct
import subprocess
import termios
import time
import unicodedata

from server import PATIENCE

SECONDS = 20 * PATIENCE
SEQUENCE = re.compile(r'\x1b\[([?]?)([0-9;]*)([A-Za-z])')
UNFINISHED = re.compile(r'\x1b(\[[?]?[0-9;]*)?$')


class Screen:
    """Cells of a terminal, fed with what a program writes."""

    def __init__(self, width, height):
        self.modes = {'1049': False, '25': True, '7': True, '2026': False}
        self.strange = []
        self.text = ''
        self.main = []  # what was written while the alternate screen was not shown
        self.resize(width, height)

    def resize(self, width, height):
        self.width, self.height = width, height
        self.cells = [[' '] * width for _ in range(height)]
        self.row = self.column = 0

    def feed(self, text):
        self.text += text
        while self.text:
            if self.text[0] != '\x1b':
                self.put(self.text[0])
                self.text = self.text[1:]
                continue
            found = SEQUENCE.match(self.text)
            if not found:
                if UNFINISHED.match(self.text):
                    return
                self.strange.append(self.text[:10])
                self.text = self.text[1:]
                continue
            self.text = self.text[found.end():]
            self.obey(*found.groups())

    def obey(self, private, numbers, what):
        if private and what in 'hl' and numbers in self.modes:
            self.modes[numbers] = what == 'h'
        elif private:
            self.strange.append(f'?{numbers}{what}')
        elif what == 'H':
            parts = [int(one or 1) for one in numbers.split(';')] if numbers else [1, 1]
            self.row, self.column = parts[0] - 1, parts[1] - 1
            if not (self.row < self.height and self.column < self.width):
                self.strange.append(f'{numbers}H')
        elif what == 'K' and not numbers:
            self.cells[self.row][self.column:] = [' '] * (self.width - self.column)
        elif what == 'J' and numbers == '2':
            self.cells = [[' '] * self.width for _ in range(self.height)]
        elif what != 'm':
            self.strange.append(numbers + what)

    def put(self, character):
        if not self.modes['1049']:
            self.main.append(character)
            return
        if unicodedata.category(character).startswith('C'):
            self.strange.append(repr(character))
            return
        width = 2 if unicodedata.east_asian_width(character) in 'WF' else 1
        if self.column + width > self.width or self.row >= self.height:
            self.strange.append(f'{character} beyond the edge, line {self.row}')
            return
        self.cells[self.row][self.column:self.column + width] = [character] + [''] * (width - 1)
        self.column += width

    def lines(self):
        return [''.join(row).rstrip() for row in self.cells]

    def __str__(self):
        return '\n'.join(self.lines())


class Terminal:
    """`command` on a terminal of its own."""

    def __init__(self, command, width=100, height=30, environment=None):
        self.screen = Screen(width, height)
        self.decoder = codecs.getincrementaldecoder('utf-8')('replace')
        self.master, slave = pty.openpty()
        self.slave = slave  # kept open: its modes can be asked for when the program has gone
        self.set_size(width, height)
        self.before = termios.tcgetattr(slave)

        def own_terminal():
            os.setsid()
            fcntl.ioctl(slave, termios.TIOCSCTTY, 0)
        known = {k: v for k, v in os.environ.items() if not k.startswith(('SPATE_', 'E2E_', 'LC_', 'NO_COLOR', 'COLUMNS', 'LINES'))}
        self.process = subprocess.Popen(command, stdin=slave, stdout=slave, stderr=slave, preexec_fn=own_terminal,
                                        env=known | {'TERM': 'xterm-256color', 'LANG': 'C.UTF-8'} | (environment or {}))

    def set_size(self, width, height):
        fcntl.ioctl(self.slave, termios.TIOCSWINSZ, struct.pack('HHHH', height, width, 0, 0))

    def resize(self, width, height):
        self.read()
        self.screen.resize(width, height)
        self.set_size(width, height)

    def press(self, keys):
        os.write(self.master, keys.encode())

    def read(self, seconds=0):
        """Takes what is there, or what comes first within so many seconds. Whether anything came."""
        came = False
        while select.select([self.master], [], [], 0 if came else seconds)[0]:
            self.screen.feed(self.decoder.decode(os.read(self.master, 65536)))
            came = True
        return came

    def wait(self, is_so, what):
        deadline = time.monotonic() + SECONDS
        while not is_so():
            assert time.monotonic() < deadline, f'{what}; the screen:\n{self.screen}\n{"".join(self.screen.main)[-500:]}'
            self.read(0.05)

    def wait_for(self, text):
        self.wait(lambda: text in str(self.screen) and not self.screen.modes['2026'], f'"{text}" never appeared')

    def wait_end(self):
        """The exit status, negative for a signal."""
        deadline = time.monotonic() + SECONDS
        while self.process.poll() is None:
            assert time.monotonic() < deadline, f'it did not end; the screen:\n{self.screen}'
            self.read(0.02)
        self.read()
        return self.process.returncode

    def is_restored(self):
        modes = self.screen.modes
        return termios.tcgetattr(self.slave) == self.before and modes['25'] and modes['7'] and not modes['1049'] and not modes['2026']

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGKILL)
            self.process.wait()
        os.close(self.master)
        os.close(self.slave)
