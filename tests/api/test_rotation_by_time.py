"""Automatic rotations as time passes (docs/time.md): when they come, those that were missed, and families."""
import datetime
import time

import pytest

from trent_server import Server, until

DAY = 86400
WEST = "us-west-2"


@pytest.fixture
def at(tmp_path):
    with Server(tmp_path / "data") as s:
        yield s


def rotations(kms, key):
    """(date, type) of each."""
    return [(r["RotationDate"], r["RotationType"]) for r in kms.list_key_rotations(KeyId=key)["Rotations"]]


def next_date(kms, key):
    return kms.get_key_rotation_status(KeyId=key)["NextRotationDate"]


def now(server):
    return datetime.datetime.fromisoformat(server.advance(0)["now"].replace("Z", "+00:00"))


def rotating(kms, **more):
    key = kms.create_key(**more)["KeyMetadata"]["KeyId"]
    kms.enable_key_rotation(KeyId=key, RotationPeriodInDays=90)
    return key


def is_about(date, expected):
    return abs((date - expected).total_seconds()) < 60


def test_each_period(at):
    """One period after the other; what was encrypted before each opens."""
    kms = at.client()
    key = rotating(kms)
    blobs, materials = [], []
    for n in range(4):
        made = kms.generate_data_key(KeyId=key, KeySpec="AES_256")
        blobs.append((made["CiphertextBlob"], made["Plaintext"]))
        materials.append(made["KeyMaterialId"])
        first = next_date(kms, key)
        at.advance(int((first - now(at)).total_seconds()) - 60)
        assert len(rotations(kms, key)) == n and next_date(kms, key) == first
        at.advance(61)
        done = rotations(kms, key)
        assert len(done) == n + 1 and done[-1][1] == "AUTOMATIC" and is_about(done[-1][0], first)
        assert is_about(next_date(kms, key), first + datetime.timedelta(days=90))
    assert len(set(materials)) == 4
    assert all(kms.decrypt(CiphertextBlob=blob)["Plaintext"] == plain for blob, plain in blobs)


def test_missed_ones_happen_once(at):
    """Several years in one step: one rotation, and the next is counted from it. A restart adds none."""
    kms = at.client()
    key = rotating(kms)
    at.advance(5 * 365 * DAY)
    done = rotations(kms, key)
    assert len(done) == 1 and is_about(done[0][0], now(at))
    assert is_about(next_date(kms, key), now(at) + datetime.timedelta(days=90))
    at.stop()
    at.start()
    assert rotations(at.client(), key) == done


def test_overdue_and_disabled(at):
    """Not while it is disabled, in another run neither; once when it is enabled."""
    kms = at.client()
    key = rotating(kms)
    due = next_date(kms, key)
    kms.disable_key(KeyId=key)
    at.advance(200 * DAY)
    assert rotations(kms, key) == [] and next_date(kms, key) == due
    at.stop()
    at.start()
    kms = at.client()
    assert rotations(kms, key) == []
    kms.enable_key(KeyId=key)
    until(lambda: len(rotations(kms, key)) == 1)
    (date, kind), = rotations(kms, key)
    assert kind == "AUTOMATIC" and is_about(date, now(at))
    assert is_about(next_date(kms, key), now(at) + datetime.timedelta(days=90))
    at.advance(89 * DAY)
    assert len(rotations(kms, key)) == 1
    at.advance(DAY + 60)
    assert len(rotations(kms, key)) == 2


def test_overdue_and_pending_deletion(at):
    """Cancelled it is Disabled, and rotates when it is enabled."""
    kms = at.client()
    key = rotating(kms)
    at.advance(85 * DAY)
    kms.schedule_key_deletion(KeyId=key, PendingWindowInDays=30)
    at.advance(20 * DAY)
    kms.cancel_key_deletion(KeyId=key)
    at.advance(DAY)
    assert rotations(kms, key) == []
    kms.enable_key(KeyId=key)
    until(lambda: len(rotations(kms, key)) == 1)


def test_family(at):
    """All Regions have the new material at once; a new primary drives the rotations from then on."""
    east, west = at.client(), at.client(region=WEST)
    key = rotating(east, MultiRegion=True)
    east.replicate_key(KeyId=key, ReplicaRegion=WEST)

    def is_enabled():
        return west.describe_key(KeyId=key)["KeyMetadata"]["KeyState"] == "Enabled"

    until(is_enabled)
    first = next_date(east, key)
    at.advance(90 * DAY + 60)
    done = rotations(east, key)
    assert len(done) == 1 and rotations(west, key) == done and is_about(done[0][0], first + datetime.timedelta(seconds=60))
    made = east.generate_data_key(KeyId=key, KeySpec="AES_256")
    assert west.decrypt(CiphertextBlob=made["CiphertextBlob"], KeyId=key)["KeyMaterialId"] == made["KeyMaterialId"]
    assert west.generate_data_key(KeyId=key, KeySpec="AES_256")["KeyMaterialId"] == made["KeyMaterialId"]
    east.update_primary_region(KeyId=key, PrimaryRegion=WEST)
    until(is_enabled)
    at.advance(90 * DAY + 60)
    assert len(rotations(west, key)) == 2 and rotations(east, key) == rotations(west, key)
