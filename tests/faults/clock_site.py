"""A server whose machine's clock tests set, and a client that has the same one (clock_shim.c).

Servers here run in production mode, on a directory that development mode made: there the clock cannot be moved
through an endpoint.
"""
import base64
import os
import struct
import time

import shim
from storage import copy_of, find_bytes
from trent_server import Server, until, wrap
from wire import Wire, refusal

MINUTE, HOUR, DAY = 60, 3600, 86400


class Site:
    """A server, its clock, and a client that has the same one."""

    def __init__(self, folder, library, nap_ms=0):
        self.folder, self.library = folder, library
        self.frozen = None  # the time at which the machine's clock stands still
        self.ahead = self.boot = 0  # seconds
        self.offsets = folder / "offsets"
        self.set(0)
        with Server(folder / "data"):
            pass
        preload = shim.preloaded(library, TRENT_TEST_CLOCK=self.offsets, TRENT_TEST_NAP_MS=nap_ms)
        self.server = Server(folder / "data", "--regions=us-east-1", dev=False, env=preload)
        self.server.start()

    def set(self, ahead, passed=0):
        """Sets the machine's clock so far ahead of the true time; `passed` goes by on the boot clock."""
        self.ahead, self.boot, self.frozen = ahead, self.boot + passed, None
        self._write(0)

    def stand_at(self, when):
        """The machine's clock is set to this time and stands still. Returns how far that moved it."""
        moved, self.frozen = when - self.now(), when
        self._write(0)
        return moved

    def arm(self, by, after=0):
        """The next sync of a slot file or of the database, or the one so many later, moves the machine's clock by so
        many seconds."""
        self._write(by, after)

    def stepped(self):
        """Whether it did; what it is now is read again."""
        ahead, _, frozen, left, _ = struct.unpack("=qqqqq", self.offsets.read_bytes())
        self.ahead, self.frozen = ahead / 1000, frozen / 1000 or None
        return left == 0

    def _write(self, step, after=0):
        with open(self.offsets, "r+b" if self.offsets.exists() else "wb") as f:
            f.write(struct.pack("=qqqqq", round(self.ahead * 1000), round(self.boot * 1000),
                                round((self.frozen or 0) * 1000), round(step * 1000), after))

    def pass_time(self, seconds):
        """Time goes by: both clocks."""
        if self.frozen is None:
            self.set(self.ahead + seconds, seconds)
        else:
            self.boot += seconds
            self.frozen += seconds
            self._write(0)

    def come_to(self, when):
        """Time goes by until then, and stands still."""
        self.boot += self.stand_at(when)
        self._write(0)

    def call(self, operation, **parameters):
        with Wire(self.server, ahead=self.client_ahead()) as wire:
            return wire.call(operation, **parameters)

    def refused(self, operation, **parameters):
        """The code of its error."""
        with Wire(self.server, ahead=self.client_ahead()) as wire:
            return refusal(wire.call, operation, **parameters).code

    def now(self):
        return self.frozen if self.frozen is not None else time.time() + self.ahead

    def client_ahead(self):
        """How far a client's clock must be ahead to be right."""
        return self.now() - time.time()

    def imported(self, valid_for):
        """A key whose material expires in so many seconds; its blob, and what to search the disk for."""
        key = self.call("CreateKey", Origin="EXTERNAL")["KeyMetadata"]["KeyId"]
        parameters = self.call("GetParametersForImport", KeyId=key, WrappingAlgorithm="RSAES_OAEP_SHA_256",
                               WrappingKeySpec="RSA_2048")
        self.call("ImportKeyMaterial", KeyId=key, ImportToken=parameters["ImportToken"],
                  EncryptedKeyMaterial=base64.b64encode(
                      wrap(base64.b64decode(parameters["PublicKey"]), os.urandom(32))).decode(),
                  ExpirationModel="KEY_MATERIAL_EXPIRES", ValidTo=int(self.now() + valid_for))
        return key, self.call("Encrypt", KeyId=key, Plaintext="AAAA")["CiphertextBlob"], self.on_disk(key)

    def on_disk(self, key):
        """Tells whether the present shred key of the key is still in the files."""
        name = self.folder / key
        with copy_of(self.server.data, name) as files:
            needle = {"wrapped shred key": files.wrapped_shred_key(files.materials(key)[0])}
        return lambda: bool(find_bytes(self.server.data, needle)["wrapped shred key"])

    def restart(self, ahead=None):
        assert self.server.stop() == 0
        if ahead is not None:
            self.set(ahead)
        self.server.start()

    def wait_until(self, condition, what, seconds=60):
        until(condition, lambda: what, seconds, pause=0.1)

    def stays(self, condition, seconds=6):
        """Longer than the jobs sleep: they look at what is due every five seconds at least."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            if not condition():
                return False
            time.sleep(0.2)
        return True
