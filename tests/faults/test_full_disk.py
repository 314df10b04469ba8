"""A full disk: nothing is answered that could not be recorded, but taking rights away still works; then there is space
again, and everything goes on without a restart.

The data directory lies on a small file system of its own (ext4 on a loop device), which a filler file fills to the
last block.
"""
import datetime
import os
import subprocess
import time

import boto3
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError

from storage import Gone, copy_of, find_bytes, sync
from trent_server import Server, error_of, import_material, imported_key

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="mounting needs root")


class Disk:
    """32 MiB, all of it for files."""

    def __init__(self, folder):
        self.image, self.root = folder / "image", folder / "mount"
        self.root.mkdir()
        with open(self.image, "wb") as f:
            f.truncate(32 << 20)
        path = "/usr/sbin:/sbin:" + os.environ["PATH"]
        subprocess.run(["mkfs.ext4", "-q", "-F", "-m", "0", str(self.image)], check=True,
                       env={**os.environ, "PATH": path})
        if subprocess.run(["mount", "-o", "loop", str(self.image), str(self.root)], capture_output=True).returncode:
            pytest.skip("no loop devices here")

    def fill(self):
        """Until not one more byte fits. The file system may give a block back a moment later: that is filled, too."""
        deadline = time.monotonic() + 60
        while True:
            with open(self.root / "filler", "ab", buffering=0) as f:
                for size in (1 << 20, 4096, 1):
                    try:
                        while True:
                            f.write(bytes(size))
                    except OSError:
                        pass
                os.fsync(f.fileno())
            if os.statvfs(self.root).f_bavail == 0:
                return
            assert time.monotonic() < deadline
            time.sleep(0.05)

    def free(self):
        (self.root / "filler").unlink()
        sync(self.root)

    def close(self):
        if os.path.ismount(self.root):
            subprocess.run(["umount", str(self.root)], check=True)


@pytest.fixture
def disk(tmp_path):
    d = Disk(tmp_path)
    yield d
    d.close()


@pytest.fixture
def server(disk):
    s = Server(disk.root / "data", "--ready-keys-2048=4")
    s.log_path = disk.image.parent / "server.log"
    s.start()
    yield s
    s.stop()


def client(server):
    """One that does not try again by itself: it would hide a first call that fails."""
    return boto3.client("kms", endpoint_url=server.url, region_name="us-east-1", aws_access_key_id="test",
                        aws_secret_access_key="test", config=Config(retries={"total_max_attempts": 1}))


def state(kms, key):
    return kms.describe_key(KeyId=key["KeyId"])["KeyMetadata"]["KeyState"]


def refused_for_space(call, **parameters):
    """KMSInternalException, which clients may try again; not a word about the disk."""
    with pytest.raises(ClientError) as e:
        call(**parameters)
    answer = e.value.response
    assert answer["Error"]["Code"] == "KMSInternalException", answer
    assert answer["ResponseMetadata"]["HTTPStatusCode"] == 500
    assert "space" not in str(answer["Error"]) and "audit" not in str(answer["Error"]).lower()
    return True


def test_full_disk(disk, server, tmp_path):
    kms = client(server)
    materials = [os.urandom(32) for _ in range(12)]
    keys = [imported_key(kms, m)[0] for m in materials]
    disabled, scheduled, generated = (kms.create_key()["KeyMetadata"] for _ in range(3))
    blob = kms.encrypt(KeyId=generated["KeyId"], Plaintext=b"kept")["CiphertextBlob"]
    with copy_of(server.data, tmp_path / "before") as files:
        sealed = [files.materials(k["KeyId"])[0] for k in keys]
        needles = {"wrapped shred key %d" % i: files.wrapped_shred_key(s) for i, s in enumerate(sealed)}
    assert all(find_bytes(tmp_path / "before", needles).values())
    assert server.health() == 200

    disk.fill()
    for _ in range(3):
        assert refused_for_space(kms.encrypt, KeyId=generated["KeyId"], Plaintext=b"x")
        assert refused_for_space(kms.decrypt, CiphertextBlob=blob)
        assert refused_for_space(kms.generate_random, NumberOfBytes=16)
        assert refused_for_space(kms.create_key)
        assert refused_for_space(kms.enable_key, KeyId=disabled["KeyId"])
        assert refused_for_space(kms.create_alias, AliasName="alias/full", TargetKeyId=generated["KeyId"])
    server.wait_for_health(503)

    # rights are taken away all the same
    for key in keys[:10]:
        kms.delete_imported_key_material(KeyId=key["KeyId"])
    kms.disable_key(KeyId=disabled["KeyId"])
    kms.schedule_key_deletion(KeyId=scheduled["KeyId"], PendingWindowInDays=7)
    with copy_of(server.data, tmp_path / "full") as files:
        for key, s, material in zip(keys[:10], sealed, materials):
            assert files.materials(key["KeyId"]) == []
            with pytest.raises(Gone):
                files.rebuild(s, key["KeyId"])
        assert files.rebuild(sealed[11], keys[11]["KeyId"]) == materials[11]
    found = find_bytes(tmp_path / "full", needles)
    assert [bool(found["wrapped shred key %d" % i]) for i in range(12)] == [False] * 10 + [True] * 2

    disk.free()
    server.wait_for_health(200)
    assert kms.decrypt(CiphertextBlob=blob)["Plaintext"] == b"kept"
    assert [state(kms, k) for k in keys] == ["PendingImport"] * 10 + ["Enabled"] * 2
    assert (state(kms, disabled), state(kms, scheduled)) == ("Disabled", "PendingDeletion")
    assert error_of(kms.encrypt, KeyId=keys[0]["KeyId"], Plaintext=b"x")[0] == "KMSInvalidStateException"
    import_material(kms, keys[0]["KeyId"], materials[0])
    kms.encrypt(KeyId=keys[0]["KeyId"], Plaintext=b"x")
    kms.enable_key(KeyId=disabled["KeyId"])
    kms.create_alias(AliasName="alias/full", TargetKeyId=generated["KeyId"])

    # what was done while it was full is in the audit, with receipts, and what was refused did not happen
    server.trent("audit", "verify", "--allow-tail")
    assert sum(r["eventName"] == "TrentReceipt" for r in server.audit()) == 10
    assert len(kms.list_keys()["Keys"]) == 15
    assert server.stop() == 0
    server.start()
    kms = client(server)
    assert [state(kms, k) for k in keys[:3]] == ["Enabled", "PendingImport", "PendingImport"]
    assert kms.decrypt(CiphertextBlob=blob)["Plaintext"] == b"kept"


TAKING_AWAY = {
    "DeleteImportedKeyMaterial": (lambda kms, key: kms.delete_imported_key_material(KeyId=key), "PendingImport"),
    "DisableKey": (lambda kms, key: kms.disable_key(KeyId=key), "Disabled"),
    "ScheduleKeyDeletion": (lambda kms, key: kms.schedule_key_deletion(KeyId=key, PendingWindowInDays=7),
                            "PendingDeletion"),
}


@pytest.mark.parametrize("operation", TAKING_AWAY)
def test_first_on_a_full_disk(disk, server, operation):
    """Each by itself as the first call since the disk became full, time and again: how far the last block of each
    file is used differs, and the space that was kept back must be there every time."""
    kms = client(server)
    call, expected = TAKING_AWAY[operation]
    for number in range(8):
        key, _ = imported_key(kms, os.urandom(32))
        for _ in range(number):
            kms.describe_key(KeyId=key["KeyId"])
        disk.fill()
        call(kms, key["KeyId"])
        disk.free()
        server.wait_for_health(200)
        assert state(kms, key) == expected
        deadline = time.monotonic() + 60
        while (server.data / "audit" / "reserve").stat().st_size < 1 << 20:
            assert time.monotonic() < deadline, "the reserve is not made again"
            time.sleep(0.05)
    server.trent("audit", "verify", "--allow-tail")


def test_expiry_on_a_full_disk(disk, server, tmp_path):
    """Time takes rights away too."""
    kms = client(server)
    later = datetime.datetime.now(datetime.timezone.utc) + datetime.timedelta(hours=1)
    key, _ = imported_key(kms, os.urandom(32), ValidTo=later)
    with copy_of(server.data, tmp_path / "before") as files:
        (sealed,) = files.materials(key["KeyId"])
        needle = {"wrapped shred key": files.wrapped_shred_key(sealed)}
    disk.fill()
    assert refused_for_space(kms.generate_random, NumberOfBytes=16)
    server.advance(3700)
    deadline = time.monotonic() + 60
    while find_bytes(server.data, needle)["wrapped shred key"]:
        assert time.monotonic() < deadline, "expired material is not erased while the disk is full"
        time.sleep(0.1)
    disk.free()
    server.wait_for_health(200)
    assert state(kms, key) == "PendingImport"
    server.trent("audit", "verify", "--allow-tail")


def test_killed_on_a_full_disk(disk, server):
    """Killed after a deletion was answered, on a full disk. Whether it starts again there or says why not in one line:
    with space everything is as it was answered."""
    kms = client(server)
    kept, gone = imported_key(kms, os.urandom(32))[0], imported_key(kms, os.urandom(32))[0]
    blob = kms.encrypt(KeyId=kept["KeyId"], Plaintext=b"kept")["CiphertextBlob"]
    disk.fill()
    assert refused_for_space(kms.generate_random, NumberOfBytes=16)
    kms.delete_imported_key_material(KeyId=gone["KeyId"])
    server.kill()
    disk.fill()
    before = len(server.log())
    try:
        server.start()
    except RuntimeError:
        refusal = server.log()[before:].strip().splitlines()[-1]
        assert refusal.startswith("trentd: "), server.log()
    else:
        assert refused_for_space(client(server).generate_random, NumberOfBytes=16)
        server.kill()
    disk.free()
    server.start()
    kms = client(server)
    assert state(kms, gone) == "PendingImport"
    assert kms.decrypt(CiphertextBlob=blob)["Plaintext"] == b"kept"
    server.trent("audit", "verify", "--allow-tail")
