"""Looking for bytes in the memory of a running process, as root can through /proc/PID/mem."""
import base64
import os
import pathlib
import struct
import time

import pytest

from trent_server import TRENTD

PIECE = 16       # a secret counts as found when this much of it is there
PIECES_MAX = 32  # so many pieces of a long one are looked for
PAGE = 4096
CHUNK = 1 << 22


def needs_root():
    return pytest.mark.skipif(os.geteuid() != 0, reason="only root may read the memory of an undumpable process")


def instrumented():
    """Sanitizers keep copies and freed memory of their own, terabytes of it mapped, and take their time."""
    binary = pathlib.Path(TRENTD).resolve().read_bytes()
    return any(name in binary for name in (b"__asan_init", b"__tsan_init"))


def pieces(secret):
    """A secret in pieces, so that one that is partly overwritten is found too."""
    last = len(secret) - PIECE
    n = min(PIECES_MAX, len(secret) // PIECE)
    return {secret[i * last // max(n - 1, 1):][:PIECE] for i in range(n)}


def forms(name, secret):
    """{what it is: bytes}: a secret as it is, in base64 as JSON carries it, in hexadecimal, and with its bytes
    turned round, as OpenSSL keeps large numbers. Zeros in front tell nothing: a row of them is in every memory."""
    telling = secret.lstrip(b"\0")
    return {name: telling, name + " in base64": base64.b64encode(secret).rstrip(b"="),
            name + " in hex": telling.hex().encode(), name + " reversed": telling[::-1]}


MASK = (1 << 32) - 1


def turned(x, *by):
    out = 0
    for n in by:
        out ^= x >> n | x << 32 - n & MASK
    return out


def root(n, power):
    """The first 32 bits behind the point."""
    low, high = 0, 1 << 40
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if middle ** power <= n << 32 * power else (low, middle)
    return low & MASK


def sha256_block(block):
    """The state of SHA-256 behind its first block (FIPS 180-4), its words as this machine's processor holds them."""
    primes = [n for n in range(2, 312) if all(n % d for d in range(2, n))]
    start = [root(p, 2) for p in primes[:8]]
    w = list(struct.unpack(">16I", block))
    for i in range(16, 64):
        w.append(w[i - 16] + w[i - 7] + (turned(w[i - 15], 7, 18) ^ w[i - 15] >> 3)
                 + (turned(w[i - 2], 17, 19) ^ w[i - 2] >> 10) & MASK)
    a, b, c, d, e, f, g, h = start
    for i in range(64):
        t = h + turned(e, 6, 11, 25) + (e & f ^ ~e & g) + root(primes[i], 3) + w[i]
        u = turned(a, 2, 13, 22) + (a & b ^ a & c ^ b & c)
        a, b, c, d, e, f, g, h = t + u & MASK, a, b, c, d + t & MASK, e, f, g
    return struct.pack("=8I", *(x + y & MASK for x, y in zip(start, (a, b, c, d, e, f, g, h))))


def prepared(name, key):
    """{what it is: bytes}: what the server keeps of a symmetric key that is in use (src/crypto/sha256.c), the two
    states of HMAC-SHA-256 behind the blocks made of the key."""
    pads = {name + ", inner state": 0x36, name + ", outer state": 0x5c}
    return {what: sha256_block(bytes(b ^ pad for b in key.ljust(64, b"\0"))) for what, pad in pads.items()}


def wait_until_loops_rest(pid, seconds=60):
    """A loop sends an answer first and wipes it then, before it waits for events again: what a client can look at as
    soon as it has the answer may not be wiped yet, on a busy machine for as long as the loop gets no processor."""
    deadline = time.monotonic() + seconds
    while not (loops := [task for task in pathlib.Path("/proc/%d/task" % pid).iterdir()
                         if (task / "comm").read_text().startswith("loop ")]):
        # a connection is there before the thread that will take it has given itself a name
        assert time.monotonic() < deadline, "no thread of the server is called a loop"
        time.sleep(0.001)
    for task in loops:
        while (task / "stat").read_text().rpartition(")")[2].split()[0] != "S":
            assert time.monotonic() < deadline, "%s does not come to rest" % task
            time.sleep(0.001)


class Scan:
    """One pass over the memory of a process: all that can be written to, and all that is not a file's."""

    def __init__(self, pid, needles):
        self.needles = {name: (secret, pieces(secret)) for name, secret in needles.items()}
        self.found = {name: set() for name in needles}  # name: the mappings that have a piece of it
        self.copies = {name: 0 for name in needles}     # how often the whole of it is there
        self.scanned = 0
        self.hidden = []                                # mappings that even root cannot read
        with open("/proc/%d/maps" % pid) as maps, open("/proc/%d/mem" % pid, "rb", buffering=0) as mem:
            for line in maps:
                bounds, mode, _, _, inode, *name = line.split(None, 5)
                low, high = (int(b, 16) for b in bounds.split("-"))
                label = "%s %s %s" % (bounds, mode, name[0].strip() if name else "")
                if mode[0] == "r" and (mode[1] == "w" or inode == "0") and "[v" not in label:
                    self._look(self._content(mem, low, high, label), label)

    def _content(self, mem, low, high, label):
        """Of a mapping, with one zero page for each run of them, which most of memory is."""
        pages, zero, at = [], bytes(PAGE), low
        while at < high:
            try:
                mem.seek(at)
                block = mem.read(min(CHUNK, high - at))
            except OSError:
                self.hidden.append(label)
                break
            at += len(block)
            self.scanned += len(block)
            for i in range(0, len(block), PAGE):
                page = block[i:i + PAGE]
                if page != zero or not pages or pages[-1] is not zero:
                    pages.append(zero if page == zero else page)
        return b"".join(pages)

    def _look(self, content, label):
        for name, (secret, parts) in self.needles.items():
            self.copies[name] += content.count(secret)
            if any(part in content for part in parts):
                self.found[name].add(label)

    def hits(self):
        """{name: mappings} of what was found."""
        return {name: sorted(where) for name, where in self.found.items() if where}
