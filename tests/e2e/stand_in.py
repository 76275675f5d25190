"""stand_in: a small NATS server for tests of the load generator, and what they share: a run of it, an expectation.

A test derives from StandIn and says in obey() what becomes of each operation; so it can lose, double and damage."""
import json
import socket
import subprocess
import sys
import threading

INFO = b'INFO {"server_id":"faulty","max_payload":1048576}\r\n'


class StandIn:
    """Listens on a free port; a thread a connection. All of obey(), joined() and left() runs under one lock."""

    def __init__(self):
        self.lock = threading.Lock()
        self.listener = socket.create_server(("127.0.0.1", 0), backlog=64)
        self.address = f"nats://127.0.0.1:{self.listener.getsockname()[1]}"
        threading.Thread(target=self.accept, daemon=True).start()

    def joined(self, connection):
        pass

    def left(self, connection):
        pass

    def obey(self, connection, words, body):
        """One operation, split into words; `body` of a PUB with the two bytes behind it."""
        raise NotImplementedError

    def accept(self):
        while True:
            try:
                connection, _ = self.listener.accept()
            except OSError:
                return
            threading.Thread(target=self.serve, args=(connection,), daemon=True).start()

    def serve(self, connection):
        with self.lock:
            self.joined(connection)
            self.send(connection, INFO)
        reader = connection.makefile("rb")
        try:
            for line in reader:
                words = line.split()
                body = reader.read(int(words[-1]) + 2) if words[0] == b"PUB" else b""
                with self.lock:
                    self.obey(connection, words, body)
        except OSError:
            pass
        with self.lock:
            self.left(connection)

    @staticmethod
    def send(connection, frame):
        try:
            connection.sendall(frame)
        except OSError:
            pass

    def close(self):
        self.listener.close()


def run(bench, server, *arguments):
    """The generator's exit code and its report; the server is closed behind it."""
    done = subprocess.run([bench, *arguments, server.address, "--json"], capture_output=True, text=True, timeout=100)
    server.close()
    if not done.stdout:
        sys.exit(f"no report: {done.stderr}")
    return done.returncode, json.loads(done.stdout)


def expect(what, found, expected):
    if found != expected:
        sys.exit(f"{what}: found {found}, expected {expected}")
    print(f"ok: {what}")
