"""What a connection costs in memory before anybody has proved who he is, and what is left of it afterwards.

`pytest -s` prints the figures, which docs/performance.md has for one machine.
"""
import re
import socket
import time

import pytest

from memory import instrumented
from trent_server import Server, error_of

pytestmark = pytest.mark.skipif(instrumented(), reason="sanitizers hold freed memory, and more of it")

CONNECTIONS = 400
HEAD = b"POST / HTTP/1.1\r\nHost: x\r\n"
LONG_HEAD = HEAD + b"X-Long: " + b"a" * (16384 - len(HEAD) - 12)
ANNOUNCED = HEAD + b"Content-Length: 131072\r\n\r\n"


class Crowd:
    """A server, and strangers who connect to it."""

    def __init__(self, folder):
        self.server = Server(folder / "data", "--max-unauthenticated-per-address=1000",
                             "--max-connections-per-address=1000").start()
        error_of(self.server.client().list_keys, Limit=0)  # whatever comes with the first request
        self.before = self.kib()
        self.connections = []

    def kib(self):
        with open("/proc/%d/smaps_rollup" % self.server.process.pid) as f:
            return int(re.search(r"Rss:\s+(\d+)", f.read()).group(1))

    def come(self, data):
        for _ in range(CONNECTIONS):
            c = socket.create_connection(self.server.address, timeout=30)
            self.connections.append(c)
            try:
                c.sendall(data)
            except OSError:
                pass  # refused meanwhile
        time.sleep(0.5)

    def kib_each(self, what):
        each = (self.kib() - self.before) / CONNECTIONS
        print("%-40s %6.1f KiB" % (what, each))
        return each

    def go(self):
        for c in self.connections:
            c.close()
        self.connections = []


@pytest.fixture
def crowd(tmp_path):
    c = Crowd(tmp_path)
    yield c
    c.go()
    c.server.stop()


@pytest.mark.parametrize("what, data, limit", [
    ("idle", b"", 2), ("first byte", b"P", 14), ("128 KiB announced, nothing sent", ANNOUNCED, 14),
    ("16 KiB of head", LONG_HEAD, 32), ("8 KiB of a body of 128 KiB", ANNOUNCED + b" " * 8192, 32)])
def test_holds_what_was_sent(crowd, what, data, limit):
    crowd.come(data)
    assert crowd.kib_each(what) < limit


def test_large_bodies_share(crowd):
    """Without a good signature 32 MiB are there for what goes beyond 32 KiB of each; who finds nothing left is told so.
    All of it comes back."""
    crowd.come(ANNOUNCED + b" " * (127 * 1024))
    crowd.kib_each("127 KiB of a body of 128 KiB")
    assert crowd.kib() - crowd.before < 32 * 1024 + CONNECTIONS * 48
    refused, before, deadline = set(), None, time.monotonic() + 60
    while (len(refused) <= 50 or len(refused) != before) and time.monotonic() < deadline:
        before = len(refused)
        for i, c in enumerate(crowd.connections):
            c.settimeout(0.01)
            try:
                if c.recv(64).startswith(b"HTTP/1.1 503 "):
                    refused.add(i)
            except (socket.timeout, ConnectionResetError):
                pass
    assert 50 < len(refused) < CONNECTIONS - 200
    crowd.server.client().list_keys()  # others do not feel it
    crowd.go()
    while crowd.kib() - crowd.before >= 12 * 1024:
        assert time.monotonic() < deadline, "it does not come back"
        time.sleep(0.1)
