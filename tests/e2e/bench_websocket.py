#!/usr/bin/env python3
"""The load generator over WebSocket: against nats-server, against Nchan where it is installed, and against a small
server of our own that broadcasts, or breaks the rules in one way.

usage: bench_websocket.py PATH-OF-SPATE-BENCH
"""
import base64
import hashlib
import json
import os
import re
import shutil
import socket
import struct
import subprocess
import sys
import tempfile
import threading
import time

from bench_counts import expect

GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
TEXT, BINARY, CLOSE, PING, PONG = 1, 2, 8, 9, 10
SUBSCRIBERS = 4
ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
NCHAN = "/usr/lib/nginx/modules/ngx_nchan_module.so"


def frame(opcode, payload, fin=True, masked=False, reserved=0):
    head = bytes([(0x80 if fin else 0) | reserved | opcode])
    mask = 0x80 if masked else 0
    if len(payload) < 126:
        head += bytes([mask | len(payload)])
    elif len(payload) < 65536:
        head += bytes([mask | 126]) + struct.pack(">H", len(payload))
    else:
        head += bytes([mask | 127]) + struct.pack(">Q", len(payload))
    return head + (b"\0\0\0\0" if masked else b"") + payload


class Broadcaster:
    """What one connection sends, all others get; from event `at` on the way of `manner`."""

    def __init__(self, manner="", at=10):
        self.manner = manner
        self.at = at
        self.events = 0
        self.connections = []
        self.keys = set()
        self.pongs = []
        self.faults = []
        self.lock = threading.Lock()
        self.listener = socket.create_server(("127.0.0.1", 0), backlog=64)
        self.url = f"ws://127.0.0.1:{self.listener.getsockname()[1]}/events"
        threading.Thread(target=self.accept, daemon=True).start()

    def accept(self):
        while True:
            try:
                connection, _ = self.listener.accept()
            except OSError:
                return
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            threading.Thread(target=self.serve, args=(connection,), daemon=True).start()

    def answer(self, request):
        lines = dict(line.lower().split(b": ", 1) for line in request.split(b"\r\n")[1:] if b": " in line)
        key = re.search(rb"Sec-WebSocket-Key: (\S+)\r\n", request).group(1)
        if not request.startswith(b"GET /events HTTP/1.1\r\n") or lines[b"sec-websocket-version"] != b"13" or \
                len(base64.b64decode(key)) != 16 or not lines[b"host"].startswith(b"127.0.0.1:"):
            self.faults.append(f"the handshake is no good: {request}")
        accept = base64.b64encode(hashlib.sha1(key + GUID).digest())
        if self.manner == "not http":
            return b"INFO {}\r\n"
        if self.manner == "no websocket":
            return b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"
        if self.manner == "bad accept":
            accept = base64.b64encode(hashlib.sha1(key).digest())
        more = b"Sec-WebSocket-Extensions: permessage-deflate\r\n" if self.manner == "extension" else b""
        return (b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n" + more +
                b"Sec-WebSocket-Accept: " + accept + b"\r\n\r\n")

    def serve(self, connection):
        reader = connection.makefile("rb")
        request = b""
        try:
            while not request.endswith(b"\r\n\r\n"):
                request += reader.readline()
            connection.sendall(self.answer(request))
            with self.lock:
                self.connections.append(connection)
            while self.take(connection, reader):
                pass
        except OSError:
            pass

    def take(self, connection, reader):
        head = reader.read(2)
        if len(head) < 2:
            return False
        size = head[1] & 127
        if size >= 126:
            size = int.from_bytes(reader.read(2 if size == 126 else 8), "big")
        key = reader.read(4)
        if not head[1] & 0x80 or not head[0] & 0x80:
            self.faults.append("a frame that is not masked, or not whole")
        payload = bytes(byte ^ key[i % 4] for i, byte in enumerate(reader.read(size)))
        opcode = head[0] & 15
        if opcode == PONG:
            self.pongs.append(payload)
        if opcode == BINARY:
            self.keys.add(key)
            with self.lock:
                self.deliver(connection, payload)
        return opcode != CLOSE

    def frames(self, payload, is_first):
        """What a subscriber is sent for an event."""
        whole = frame(BINARY, payload)
        if self.manner == "text":
            return frame(TEXT, payload)
        if self.manner == "pieces":
            return (frame(BINARY, payload[:9], fin=False) + frame(PING, b"within") + frame(0, b"", fin=False) +
                    frame(0, payload[9:]))
        if self.manner == "piecewise":
            return whole if self.events % 3 else frame(BINARY, payload[:3], fin=False) + frame(0, payload[3:])
        if self.events < self.at:
            return whole
        if self.manner == "ping":
            return (frame(PING, b"%d" % self.events) if self.events == self.at else b"") + whole
        if not is_first or self.events > self.at:
            return whole
        return {
            "masked": frame(BINARY, payload, masked=True),
            "reserved bit": frame(BINARY, payload, reserved=0x40),
            "reserved opcode": frame(3, payload),
            "oversize": b"\x82\x7f" + struct.pack(">Q", 1 << 40),
            "nowhere": frame(0, payload),
            "within": frame(BINARY, payload, fin=False) + whole,
            "long ping": frame(PING, b"x" * 126),
            "middle": whole[:60],
            "close": frame(CLOSE, struct.pack(">H", 1013) + b"try later"),
            "lose": b"",
        }.get(self.manner, whole)

    def deliver(self, sender, payload):
        first = True
        for connection in self.connections:
            if connection is sender:
                continue
            try:
                connection.sendall(self.frames(payload, first))
                if self.manner == "middle" and first and self.events == self.at:
                    connection.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass
            first = False
        self.events += 1


def bench(program, mode, url, *arguments):
    command = [program, mode, url, "--subscribers", str(SUBSCRIBERS), "--window", "16", "--seconds", "0.3", "--warmup",
               "0.1", "--settle", "50", "--json", *arguments]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    report = json.loads(done.stdout) if done.stdout else {}
    whole = report.get("deliveries", 0) > 0 and not any(report.get(key) for key in (
        "lost", "duplicated", "reordered", "corrupted", "cut"))
    return done.returncode, whole, done.stderr, report


def check_broadcasts(program):
    for manner in ("", "text", "pieces", "piecewise", "ping"):
        server = Broadcaster(manner)
        code, whole, said, report = bench(program, "fan", server.url, "--ws-dialect", "raw", "--verify")
        expect(f"a broadcast, {manner or 'plain'}", (code, whole, said, server.faults), (0, True, "", []))
        if manner == "ping":
            until = time.monotonic() + 10
            while len(server.pongs) < SUBSCRIBERS and time.monotonic() < until:
                time.sleep(0.01)
            expect("each ping is answered with what it said", server.pongs, [b"10"] * SUBSCRIBERS)
        if manner == "":
            expect("hardly any two keys are the same", len(server.keys) > 32, True)
        if manner in ("", "text"):
            expect("events are recognised as they stand", report["odd_frames"] <= SUBSCRIBERS, True)
    server = Broadcaster()
    code, whole, _, _ = bench(program, "latency", server.url.replace("ws:", "ws+raw:"), "--rate", "200", "--size", "300")
    expect("a longer message, named by its scheme", (code, whole, server.faults), (0, True, []))


def check_hostile(program):
    for manner, exit_code, why in (
            ("not http", 69, "does not answer as an HTTP server: INFO"),
            ("no websocket", 69, "does not switch to WebSocket: HTTP/1.1 200 OK"),
            ("bad accept", 69, "Sec-WebSocket-Accept is not that of our key"),
            ("extension", 69, "an extension that we have not offered: permessage-deflate"),
            ("masked", 1, "a masked frame"),
            ("reserved bit", 1, "a reserved bit"),
            ("reserved opcode", 1, "a reserved opcode"),
            ("oversize", 1, "more than 64 MiB"),
            ("nowhere", 1, "the continuation of a message that has not begun"),
            ("within", 1, "a new message within another"),
            ("long ping", 1, "a control frame that is too long"),
            ("middle", 1, "closed by the server in the middle of a frame"),
            ("close", 1, "closed by the server: code 1013, try later"),
            ("lose", 1, "1 lost")):
        server = Broadcaster(manner)
        code, _, said, _ = bench(program, "fan", server.url, "--ws-dialect", "raw")
        if why not in said:
            sys.exit(f"{manner}: '{said}' does not say '{why}'")
        expect(f"told: {manner}", code, exit_code)


def check_usage(program):
    for arguments, why in (
            (["fan", "ws://127.0.0.1:1/", "--ws-dialect", "other"], "there is no 'other'"),
            (["fan", "ws+nchan://127.0.0.1:1/"], "--publish-to http://"),
            (["fan", "http://127.0.0.1:1/"], "subscribers need ws://"),
            (["churn", "ws://127.0.0.1:1/"], "ws:// is for fan"),
            (["pingpong", "ws://127.0.0.1:1/"], "ws:// is for fan"),
            (["fan", "ws+raw://127.0.0.1:1/", "--subjects", "2"], "{}"),
            (["wildcard", "ws+raw://127.0.0.1:1/{}"], "no wildcards"),
            (["fan", "ws://127.0.0.1:1/a b"], "no blanks"),
            (["fan", "nats://127.0.0.1:1", "--publish-to", "http://127.0.0.1:1/"], "the same protocol")):
        done = subprocess.run([program, *arguments], capture_output=True, text=True, timeout=60, check=False)
        expect(f"refused: {' '.join(arguments)}", (done.returncode, why in done.stderr), (2, True))


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class Started:
    """A server of somebody else, with a configuration in a folder of its own."""

    def __init__(self, program, configuration, arguments, port):
        self.folder = tempfile.mkdtemp()
        path = os.path.join(self.folder, "configuration")
        with open(path, "w", encoding="utf-8") as file:
            file.write(configuration.replace("FOLDER", self.folder))
        with open(os.path.join(self.folder, "log"), "wb") as log:
            self.process = subprocess.Popen([program, *arguments, path], stdout=log, stderr=log)
        until = time.monotonic() + 20
        while time.monotonic() < until and self.process.poll() is None:
            try:
                socket.create_connection(("127.0.0.1", port), timeout=1).close()
                return
            except OSError:
                time.sleep(0.02)
        self.close()
        sys.exit(f"{program} does not listen")

    def close(self):
        self.process.terminate()
        self.process.wait()
        shutil.rmtree(self.folder)


def check_nats(program):
    port = free_port()
    server = shutil.which("nats-server", path=os.environ.get("PATH", "") + ":/usr/sbin:/sbin")
    if not server:
        sys.exit("nats-server is not installed: scripts/install test")
    nats = Started(server, f'listen: "127.0.0.1:-1"\nwebsocket {{ listen: "127.0.0.1:{port}", no_tls: true }}\n', ["-c"],
                   port)
    try:
        url = f"ws://127.0.0.1:{port}"
        for mode, *arguments in (["fan", "--verify"], ["fan", "--size", "70000", "--publishers", "2"],
                                 ["wildcard", "--subjects", "2"], ["latency", "--rate", "500"]):
            code, whole, said, report = bench(program, mode, url, *arguments)
            expect(f"nats-server, {mode} {' '.join(arguments)}", (code, whole, said), (0, True, ""))
            expect("and every frame was recognised", report["odd_frames"], 0)
    finally:
        nats.close()


def check_nchan(program):
    nginx = shutil.which("nginx", path=os.environ.get("PATH", "") + ":/usr/sbin:/sbin")
    if not nginx or not os.path.exists(NCHAN):
        print("skipped: nginx with Nchan is not installed (scripts/install bench)")
        return
    port = free_port()
    paths = "".join(f"{name}_temp_path FOLDER/{name};" for name in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi"))
    server = Started(nginx, f"""
load_module {NCHAN};
daemon off; master_process off; worker_processes 1; pid FOLDER/pid; error_log stderr;
events {{ }}
http {{
  {paths} access_log off; keepalive_requests 1000000000;
  server {{
    listen 127.0.0.1:{port};
    location ~ ^/pub/(.*)$ {{ nchan_publisher http; nchan_channel_id $1; nchan_message_buffer_length 1000; }}
    location ~ ^/sub/(.*)$ {{ nchan_subscriber websocket; nchan_channel_id $1; nchan_subscriber_first_message oldest; }}
  }}
}}
""", ["-c"], port)
    try:
        # Each on channels of its own, from their oldest event on: Nchan says yes before it has subscribed.
        for channel, arguments in (("a", ["--verify"]), ("b", ["--subjects", "2"])):
            code, whole, said, _ = bench(program, "fan", f"ws+nchan://127.0.0.1:{port}/sub/{channel}-{{}}", "--publish-to",
                                         f"http://127.0.0.1:{port}/pub/{channel}-{{}}", *arguments)
            expect(f"Nchan, {' '.join(arguments)}", (code, whole, said), (0, True, ""))
        code, _, said, _ = bench(program, "fan", f"ws+nchan://127.0.0.1:{port}/sub/{{}}", "--publish-to",
                                 f"http://127.0.0.1:{port}/nowhere")
        expect("a POST that is refused is told", (code, "HTTP/1.1 404" in said), (1, True))
    finally:
        server.close()


def check_node(program):
    peer = os.path.join(ROOT, "bench", "peers", "ws-broadcast.js")
    if not shutil.which("node") or not os.path.exists(os.path.join(ROOT, "node_modules", "ws")):
        print("skipped: Node's ws is not installed (scripts/install test)")
        return
    with subprocess.Popen([peer], stdout=subprocess.PIPE, text=True) as server:
        url = server.stdout.readline().split()[-1].replace("ws:", "ws+raw:") + "/events"
        for arguments in (["--verify"], ["--publishers", "2", "--size", "70000"]):
            code, whole, said, _ = bench(program, "fan", url, *arguments)
            expect(f"Node's ws, {' '.join(arguments)}", (code, whole, said), (0, True, ""))
        server.terminate()


def main():
    program = sys.argv[1]
    check_usage(program)
    check_broadcasts(program)
    check_hostile(program)
    check_nats(program)
    check_nchan(program)
    check_node(program)


if __name__ == "__main__":
    main()
