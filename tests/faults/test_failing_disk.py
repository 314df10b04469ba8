"""A disk that fails: a sync or a write of a file that must be durable.

Nobody knows then what is on the disk, and asking again proves nothing: the server ends at once, without an answer, with
a line that says which file it was and what to do, and exit status 74. The next start finds everything in order. A full
disk is not such a case (test_full_disk.py).

A preloaded library makes the calls fail (disk_shim.c).
"""
import errno
import os
import struct

import pytest
from botocore.exceptions import BotoCoreError, ClientError

import shim
from trent_server import Server, external_key, import_material, imported_key, parameters_for

SYNCS, WRITES = 1, 2
EX_IOERR = 74


@pytest.fixture(scope="module")
def library(tmp_path_factory):
    return shim.build("disk_shim", tmp_path_factory.mktemp("shim"))


class Disk:
    """A server on a disk that can be told to fail."""

    def __init__(self, folder, library):
        self.control = folder / "fault"
        self.works()
        self.server = Server(folder / "data", env=shim.preloaded(library, TRENT_TEST_DISK=self.control)).start()
        self.kms = self.server.client()

    def _set(self, call, error, end):
        # in place: the server has it mapped
        with open(self.control, "r+b" if self.control.exists() else "wb") as f:
            f.write(struct.pack("=Ii120sI", call, error, end.encode(), 0))

    def fails(self, call, path_end, error=errno.EIO):
        self._set(call, error, path_end)

    def works(self):
        self._set(0, 0, "")

    def failures(self):
        return struct.unpack("=Ii120sI", self.control.read_bytes())[3]

    def newest_log(self):
        return max((self.server.data / "audit").glob("trent-*.jsonl"), key=lambda p: p.stat().st_mtime).name

    def ended(self, seconds=60):
        """The exit status and the last line of the log."""
        status = self.server.process.wait(seconds)
        return status, self.server.log().strip().splitlines()[-1]

    def start(self):
        self.server.kill()
        self.works()
        self.server.start()
        self.kms = self.server.client()

    def close(self):
        self.works()
        self.server.stop()


@pytest.fixture
def disk(tmp_path, library):
    d = Disk(tmp_path, library)
    yield d
    d.close()


def no_answer(call, **parameters):
    """The connection ends instead: not a success, and no answer that a client would take for final."""
    with pytest.raises(BotoCoreError):
        call(**parameters)


def state(kms, key):
    return kms.describe_key(KeyId=key["KeyId"])["KeyMetadata"]["KeyState"]


def material_of(disk):
    material = os.urandom(32)
    return imported_key(disk.kms, material)[0], material


CALLS = {"sync": SYNCS, "write": WRITES}


@pytest.mark.parametrize("call", CALLS)
@pytest.mark.parametrize("name", ["erasable.slots", "trent.db-wal", "audit"])
def test_deleting(disk, name, call):
    """While a deletion is carried out. Afterwards it has happened or it has not; if its audit record or its row was in
    doubt, the next start decides, and the same call again comes to the same end."""
    key, material = material_of(disk)
    other, _ = material_of(disk)
    blob = disk.kms.encrypt(KeyId=other["KeyId"], Plaintext=b"kept")["CiphertextBlob"]
    file = disk.newest_log() if name == "audit" else name
    disk.fails(CALLS[call], file)
    no_answer(disk.kms.delete_imported_key_material, KeyId=key["KeyId"])
    status, line = disk.ended()
    assert status == EX_IOERR, line
    assert "cannot " in line and file.replace("-wal", "") in line, line
    assert os.strerror(errno.EIO) in line or "disk I/O error" in line, line
    assert "check the disk, then start it again" in line
    assert disk.failures() == 1  # not tried again

    disk.start()
    assert state(disk.kms, key) in ("Enabled", "PendingImport")
    disk.kms.delete_imported_key_material(KeyId=key["KeyId"])
    assert state(disk.kms, key) == "PendingImport"
    assert disk.kms.decrypt(CiphertextBlob=blob)["Plaintext"] == b"kept"
    import_material(disk.kms, key["KeyId"], material)
    assert disk.kms.encrypt(KeyId=key["KeyId"], Plaintext=b"x")
    disk.server.trent("audit", "verify", "--allow-tail")


@pytest.mark.parametrize("name", ["erasable.slots", "durable.slots", "trent.db-wal"])
def test_making(disk, name):
    """A new material: what was not answered is not promised, what was is there."""
    key, material = material_of(disk)
    waiting = external_key(disk.kms)
    parameters = parameters_for(disk.kms, waiting["KeyId"])
    disk.fails(SYNCS, name)
    if name == "durable.slots":
        no_answer(disk.kms.create_key)
    else:
        no_answer(lambda: import_material(disk.kms, waiting["KeyId"], material, parameters))
    status, line = disk.ended()
    assert status == EX_IOERR and name.replace("-wal", "") in line
    disk.start()
    assert state(disk.kms, key) == "Enabled"
    assert disk.kms.create_key()["KeyMetadata"]["KeyState"] == "Enabled"
    import_material(disk.kms, waiting["KeyId"], material)
    assert state(disk.kms, waiting) == "Enabled"


def test_in_the_background(disk):
    """Reads are synced within a second, by a thread of its own: it ends the server just the same."""
    file = disk.newest_log()
    disk.fails(SYNCS, file)
    try:
        disk.kms.generate_random(NumberOfBytes=8)
    except BotoCoreError:
        pass  # the end may come before the answer
    status, line = disk.ended()
    assert status == EX_IOERR and "cannot sync" in line and file in line


@pytest.mark.parametrize("name", ["erasable.slots", "trent.db-wal", "audit"])
def test_no_space_is_not_the_end(disk, name):
    """Before anything was written a full disk is a refusal; whether the import is done, the same bytes go in again."""
    material = os.urandom(32)
    waiting = external_key(disk.kms)
    parameters = parameters_for(disk.kms, waiting["KeyId"])
    disk.fails(WRITES, disk.newest_log() if name == "audit" else name, errno.ENOSPC)
    with pytest.raises(ClientError) as e:
        import_material(disk.kms, waiting["KeyId"], material, parameters)
    assert e.value.response["Error"]["Code"] == "KMSInternalException"
    assert disk.failures() >= 1
    disk.works()
    assert disk.server.process.poll() is None
    disk.server.wait_for_health(200)  # the audit looks twice a second whether there is room again
    import_material(disk.kms, waiting["KeyId"], material)
    assert disk.server.stop() == 0
    disk.server.start()
    disk.kms = disk.server.client()
    assert state(disk.kms, waiting) == "Enabled"
