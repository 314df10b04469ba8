"""The files of a data directory, read by an implementation that shares nothing with the server's.

Written from docs/storage-format.md, with the cryptography package. Given the root key and the files it rebuilds what
the server protects; after an erasure it must not be able to.
"""
import hashlib
import hmac
import re
import shutil
import sqlite3
import struct
import subprocess
from dataclasses import dataclass

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.keywrap import InvalidUnwrap, aes_key_unwrap_with_padding

SLOT_FILES = ("erasable.slots", "durable.slots")  # by class
SLOT_FIRST, SLOT_BYTES = 4 * 4096, 128
ENVELOPE = 65  # 32 bytes, sealed
NO_IV = bytes(12)


class Gone(Exception):
    """The material cannot be rebuilt; the text says at which step."""


def u32(n):
    return struct.pack(">I", n)


def u64(n):
    return struct.pack(">Q", n)


def field(data):
    return u32(len(data)) + data


def kdf(key, label, context, length=32):
    """SP 800-108 in counter mode with HMAC-SHA-256; one block is all that is ever asked for."""
    assert length <= 32
    return hmac.new(key, u32(1) + label + b"\0" + context + u32(length * 8), hashlib.sha256).digest()[:length]


def unseal(key, label, aad, sealed):
    if sealed[0] != 1:
        raise Gone("envelope of format %d" % sealed[0])
    return AESGCM(kdf(key, label, sealed[1:17])).decrypt(NO_IV, sealed[17:], aad)


@dataclass
class Sealed:
    """A wrapped secret as a database row names it."""
    account: str
    region: str
    owner: bytes       # of the slot: material id or import key id
    aad: bytes         # but for the last fields, which depend on the place
    wrapped: bytes
    domain_version: int
    slot_class: int
    slot: int
    slot_generation: int


class Files:
    """A data directory that no server has open (a copy, or one whose server was stopped)."""

    def __init__(self, path, root_key=None):
        self.path = path
        root = (root_key or path / "root.key").read_bytes()
        self.instance_file = (path / "instance.sealed").read_bytes()
        head, self.id = self.instance_file[:28], self.instance_file[12:28]
        assert head[:12] == b"TRENTINS\0\0\0\1" and len(self.instance_file) == 60 + 3 * ENVELOPE
        sealed = [self.instance_file[60 + i * ENVELOPE:60 + (i + 1) * ENVELOPE] for i in range(3)]
        self.instance_key = unseal(root, b"instance-key", self.instance_file[:60] + sealed[1] + sealed[2], sealed[0])
        self.digest_key = unseal(self.purpose(b"digest"), b"digest-key", head, sealed[1])
        self.database = sqlite3.connect(path / "trent.db")
        self.database.row_factory = sqlite3.Row
        self.slots = [(path / name).read_bytes() for name in SLOT_FILES]

    def __enter__(self):
        return self

    def __exit__(self, *exc):
        self.database.close()

    def purpose(self, label):
        return kdf(self.instance_key, label, self.id)

    def domain_key(self, account, region, version):
        row = self.database.execute("SELECT wrapped FROM domain_keys WHERE account=? AND region=? AND version=?",
                                    (account, region, version)).fetchone()
        aad = field(self.id) + field(account.encode()) + field(region.encode()) + u32(version)
        return unseal(self.purpose(b"domain"), b"domain-key", aad, row["wrapped"])

    # --- slots ---------------------------------------------------------------------------------------

    def slot_bytes(self, slot_class, slot):
        at = SLOT_FIRST + slot * SLOT_BYTES
        return self.slots[slot_class][at:at + SLOT_BYTES]

    def slot_mac(self, data):
        return hmac.new(self.purpose(b"slot-mac"), data, hashlib.sha256).digest()[:16]

    def shred_key(self, s, key_id):
        raw = self.slot_bytes(s.slot_class, s.slot)
        if raw == bytes(SLOT_BYTES):
            raise Gone("the slot is empty")
        magic, fmt, generation, owner, wrapped, mac, rest = struct.unpack(">4sIQ16s40s16s40s", raw)
        if magic != b"SLOT" or fmt != 1 or rest != bytes(40):
            raise Gone("not a slot")
        if mac != self.slot_mac(b"slot" + self.id + u32(s.slot_class) + u32(s.slot) + raw[:72]):
            raise Gone("the slot's MAC does not verify")
        if generation != s.slot_generation:
            raise Gone("the slot has another generation")
        if owner != self.slot_mac(b"slot-owner" + field(key_id.encode()) + s.owner):
            raise Gone("the slot belongs to something else")
        return aes_key_unwrap_with_padding(self.purpose(b"slot"), wrapped)

    def wrapped_shred_key(self, s):
        """Its 40 bytes as they lie in the file."""
        return self.slot_bytes(s.slot_class, s.slot)[32:72]

    # --- what rows seal --------------------------------------------------------------------------------

    def materials(self, key_id):
        """Sealed materials of a key, oldest first."""
        rows = self.database.execute("SELECT * FROM keys JOIN materials ON materials.key = keys.serial"
                                     " WHERE key_id = ? AND length(wrapped) > 0 ORDER BY position", (key_id,))
        return [self._material(row) for row in rows]

    def _material(self, row):
        arn = "arn:aws:kms:%s:%s:key/%s" % (row["region"], row["account"], row["key_id"])
        aad = b"".join(field(f) for f in (b"material", u32(1), self.id, arn.encode(), row["id"], row["check_tag"]))
        for number in (row["spec"], row["usage"], row["origin"], 0, row["domain_version"], row["slot_class"],
                       row["slot"]):
            aad += field(u32(number))
        aad += field(u64(row["slot_generation"])) + field(u32(row["expiration"])) + field(u64(row["valid_to"]))
        return self._sealed(row, row["id"], aad)

    def import_keys(self, key_id):
        """Sealed import wrapping keys (PKCS#8) of a key."""
        rows = self.database.execute("SELECT * FROM import_keys WHERE key_id = ?", (key_id,))
        return [self._import_key(row) for row in rows]

    def _import_key(self, row):
        arn = "arn:aws:kms:%s:%s:key/%s" % (row["region"], row["account"], row["key_id"])
        aad = field(b"import-key") + u32(1) + field(self.id) + field(arn.encode()) + field(row["id"])
        aad += u32(row["wrapping_algorithm"]) + u32(row["wrapping_spec"]) + field(row["fingerprint"])
        aad += u64(row["valid_to"]) + u32(row["domain_version"]) + u32(row["slot_class"]) + u32(row["slot"])
        return self._sealed(row, row["id"], aad + u64(row["slot_generation"]))

    def _sealed(self, row, owner, aad):
        return Sealed(row["account"], row["region"], owner, aad, row["wrapped"], row["domain_version"],
                      row["slot_class"], row["slot"], row["slot_generation"])

    def wrapping_key(self, s, shred):
        """The key that sealed it, from domain key and shred key."""
        context = self.id + u32(s.slot_class) + u32(s.slot) + u64(s.slot_generation)
        return kdf(self.domain_key(s.account, s.region, s.domain_version) + shred, b"wrap", context)

    def open_with(self, s, shred):
        return AESGCM(self.wrapping_key(s, shred)).decrypt(NO_IV, s.wrapped, s.aad)

    def rebuild(self, s, key_id):
        """What was sealed. Gone if that cannot be done."""
        return self.open_with(s, self.shred_key(s, key_id))

    def attack(self, s, data):
        """Tries every 40 bytes of `data` as the wrapped shred key of `s`; what was sealed, or None. Knows the root
        key, this directory, and `s` from wherever (an old backup of the database)."""
        slot_key = self.purpose(b"slot")
        for at in places_worth_a_try(data):
            try:
                return self.open_with(s, aes_key_unwrap_with_padding(slot_key, data[at:at + 40]))
            except (InvalidUnwrap, InvalidTag):
                continue
        return None


def places_worth_a_try(data):
    """Every place of 40 bytes but those in long runs of zeros, which are most of a slot file."""
    tried = -1
    for run in re.finditer(rb"[^\0](?:\0{0,15}[^\0])*", data):
        for at in range(max(tried + 1, run.start() - 24), min(run.end(), len(data) - 39)):
            yield at
        tried = max(tried, min(run.end(), len(data) - 39) - 1)


def copy_of(data, to):
    """Copies a data directory, under a running server too (its socket stays behind); opens the copy."""
    shutil.copytree(data, to, ignore=lambda _, names: [n for n in names if n.endswith(".sock")])
    return Files(to)


def sync(path):
    """This file system alone: to sync all of them would hold up everybody who uses this machine."""
    subprocess.run(["sync", "-f", str(path)], check=True)


def find_bytes(directory, needles):
    """{name: [files that contain it]} for {name: bytes}: every file below, read as it is."""
    found = {name: [] for name in needles}
    for path in sorted(directory.rglob("*")):
        if path.is_file() and not path.is_symlink():
            content = path.read_bytes()
            for name, needle in needles.items():
                assert len(needle) >= 12, "%s is too short to search for" % name
                if needle in content:
                    found[name].append(path.name)
    return found
