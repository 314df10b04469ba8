"""The recorded scenarios in which time or Regions matter (recorded-imports, section 2), step by step with unmodified
clients; each comment names the rows. B, C, F and H need one Region, G and I two.

The service takes 40 to 160 seconds for a rotation and a few for a replica (section 5): here both take an hour of the
life-cycle clock, which the tests move, so that each state in between is there to be looked at and none has to be
waited for.
"""
import datetime
import time

import pytest

from recorded import DELAY, EXP, NOEXP, ZEROS, answer_fields, dk, entry, finish_rotation, gkrs, pending_import, \
    without_dates
from recorded import lkr as lkr_of
from trent_server import Server, error_of, external_key, import_material, parameters_for, wrap

EAST, WEST = "us-east-1", "us-west-2"
FIRST, SECOND, THIRD = b"1" * 32, b"2" * 32, b"3" * 32


@pytest.fixture(scope="module")
def slow(tmp_path_factory):
    """A server whose rotations and replicas take DELAY seconds."""
    with Server(tmp_path_factory.mktemp("slow") / "data", "--rotation-delay=%d" % DELAY,
                "--region-delay=%d" % DELAY) as s:
        yield s


@pytest.fixture(scope="module")
def east(slow):
    return slow.client(region=EAST)


@pytest.fixture(scope="module")
def west(slow):
    return slow.client(region=WEST)


class Key:
    """A key under test: imports with its own token, as the recordings did, and short names for reading calls."""

    def __init__(self, server, kms, region=EAST, key=None, **parameters):
        self.server, self.kms, self.region = server, kms, region
        key = key or external_key(kms, **parameters)
        self.id, self.arn = key["KeyId"], key["Arn"].replace(EAST, region)
        self.token = None

    def parameters(self):
        self.token = parameters_for(self.kms, self.id)
        assert set(answer_fields(self.token)) == {"KeyId", "ImportToken", "PublicKey", "ParametersValidTo"}
        assert self.token["KeyId"] == self.arn

    def put(self, material, **more):
        """ImportKeyMaterial; the KeyMaterialId, with exactly the recorded fields in the answer."""
        answer = answer_fields(import_material(self.kms, self.id, material, self.token, **more))
        assert set(answer) == {"KeyId", "KeyMaterialId"} and answer["KeyId"] == self.arn
        return answer["KeyMaterialId"]

    def refused(self, material, **more):
        return error_of(import_material, self.kms, self.id, material, self.token, **more)

    def drop(self, material):
        answer = answer_fields(self.kms.delete_imported_key_material(KeyId=self.id, KeyMaterialId=material))
        assert answer == {"KeyId": self.arn, "KeyMaterialId": material}

    def rotate(self):
        assert answer_fields(self.kms.rotate_key_on_demand(KeyId=self.id)) == {"KeyId": self.arn}

    def encrypt(self):
        """A ciphertext, and the material that it names (4.4)."""
        blob = self.kms.encrypt(KeyId=self.id, Plaintext=b"twelve bytes")["CiphertextBlob"]
        assert len(blob) == 164
        return blob, blob[5:37].hex()

    def dk(self):
        return dk(self.kms, self.id)

    def lkr(self):
        """The listing without KeyId, which is checked, and with `rotated` for RotationDate and RotationType."""
        listed = self.kms.list_key_rotations(KeyId=self.id, IncludeKeyMaterial="ALL_KEY_MATERIAL")
        assert listed["Truncated"] is False and all(e.pop("KeyId") == self.arn for e in listed["Rotations"])
        return without_dates(listed["Rotations"])

    def rotation_date(self):
        return self.kms.list_key_rotations(KeyId=self.id)["Rotations"][-1]["RotationDate"]

    def status(self):
        return gkrs(self.kms, self.id)

    def off(self):
        """GetKeyRotationStatus with nothing in progress."""
        return {"KeyRotationEnabled": False, "KeyId": self.arn}

    def in_progress(self):
        status = self.status()
        start = status.pop("OnDemandRotationStartDate")
        assert status == self.off()
        return start

    def finish(self):
        finish_rotation(self.server, self.kms, self.id)

    def schedule(self):
        """The cleanup rows."""
        return answer_fields(self.kms.schedule_key_deletion(KeyId=self.id, PendingWindowInDays=7))


def seconds_ahead(server, seconds):
    """A ValidTo on the server's life-cycle clock, in whole seconds."""
    now = datetime.datetime.fromisoformat(server.advance(0)["now"].replace("Z", "+00:00"))
    return (now + datetime.timedelta(seconds=seconds)).replace(microsecond=0)


def window_of(server, answer):
    return answer["DeletionDate"] - seconds_ahead(server, 0)


def nothing_pending(key):
    return ("KMSInvalidStateException", "No available key material pending rotation for the key: %s." % key.arn)


def not_expected(material):
    return ("IncorrectKeyMaterialException",
            "Imported key material does not have the expected identifier (%s)." % material)


def test_scenario_b_edges(slow, east):
    """imports_edges, B1 to B23."""
    key = Key(slow, east)  # B1
    other = Key(slow, east)  # B2
    assert key.dk() == other.dk() == ("PendingImport", False, None, None, None)
    generated = east.create_key()["KeyMetadata"]  # B3
    assert (generated["Origin"], generated["KeyState"]) == ("AWS_KMS", "Enabled")
    assert len(generated["CurrentKeyMaterialId"]) == 64
    assert error_of(parameters_for, east, generated["KeyId"]) == (  # B4
        "UnsupportedOperationException",
        "%s origin is AWS_KMS which is not valid for this operation." % generated["Arn"])
    key.parameters()  # B5
    other.parameters()  # B6
    mine, theirs = key.token, other.token
    key.token = {**mine, "ImportToken": theirs["ImportToken"]}
    assert key.refused(FIRST) == ("InvalidImportTokenException", None)  # B7
    damaged = mine["ImportToken"][:-1] + bytes([mine["ImportToken"][-1] ^ 1])
    key.token = {**mine, "ImportToken": damaged}
    assert key.refused(FIRST) == ("InvalidImportTokenException", None)  # B8
    key.token = mine
    wrapped = wrap(mine["PublicKey"], FIRST)
    assert error_of(east.import_key_material, KeyId=key.id, ImportToken=mine["ImportToken"], ExpirationModel=NOEXP,
                    EncryptedKeyMaterial=wrapped[:-1] + bytes([wrapped[-1] ^ 1])) == (
                        "InvalidCiphertextException", None)  # B9
    m1 = key.put(FIRST)  # B10
    valid_to = seconds_ahead(slow, 15)
    m2 = key.put(SECOND, ImportType="NEW_KEY_MATERIAL", ValidTo=valid_to)  # B11, no ExpirationModel
    slow.advance(16)
    assert key.dk() == ("Enabled", True, NOEXP, None, m1)  # B12
    listed = [entry(m1, "CURRENT"), entry(m2, "PENDING_ROTATION", model=EXP, ValidTo=valid_to)]
    assert key.lkr() == listed  # B13
    assert key.refused(SECOND, ImportType="NEW_KEY_MATERIAL") == (  # B14
        "IncorrectKeyMaterialException", "Key material (id: %s) being imported as NEW_KEY_MATERIAL is already "
        "associated with KMS key %s." % (m2, key.arn))
    assert key.lkr() == listed  # B15
    slow.advance(10)
    key.rotate()  # B16
    key.drop(m2)  # B17
    assert key.put(FIRST) == m1  # B18
    start = key.in_progress()  # B19
    assert abs(start - seconds_ahead(slow, 0)) < datetime.timedelta(minutes=5)
    assert lkr_of(east, key.id, everything=False) == []  # B20
    for k in (key, other):  # B21 to B23
        answer = k.schedule()
        assert abs(window_of(slow, answer) - datetime.timedelta(days=7)) < datetime.timedelta(minutes=5)
    east.schedule_key_deletion(KeyId=generated["KeyId"], PendingWindowInDays=7)


def test_scenario_c_pending_stays_expired(slow, east):
    """imports_expiry, C1 to C6: the recording waited 892 seconds after ValidTo; here it is a day."""
    key = Key(slow, east)  # C1
    key.parameters()  # C2
    m1 = key.put(FIRST)  # C3
    valid_to = seconds_ahead(slow, 12)
    m2 = key.put(SECOND, ImportType="NEW_KEY_MATERIAL", ValidTo=valid_to)  # C4
    listed = [entry(m1, "CURRENT"), entry(m2, "PENDING_ROTATION", model=EXP, ValidTo=valid_to)]
    for seconds in (0, 13, 892, 86400):  # C5
        slow.advance(seconds)
        assert key.lkr() == listed and key.dk() == ("Enabled", True, NOEXP, None, m1)
    assert key.schedule()["KeyState"] == "PendingDeletion"  # C6


def test_scenario_f_pending_replaced_during_a_rotation(slow, east):
    """imports_rotation_replacement, F1 to F16."""
    key = Key(slow, east)  # F1
    key.parameters()  # F2
    m1 = key.put(FIRST)  # F3
    m2 = key.put(SECOND, ImportType="NEW_KEY_MATERIAL")  # F4
    key.rotate()  # F5
    start = key.in_progress()  # F6
    key.drop(m2)  # F7
    assert key.in_progress() == start  # F8
    m3 = key.put(THIRD, ImportType="NEW_KEY_MATERIAL")  # F9
    assert key.in_progress() == start  # F10
    slow.advance(DELAY // 2)
    assert key.in_progress() == start  # F11
    key.finish()
    assert key.status() == key.off()  # F12
    assert key.dk() == ("Enabled", True, NOEXP, None, m3)  # F13
    assert key.lkr() == [entry(m1, "NON_CURRENT"), entry(m3, "CURRENT", rotated=True)]  # F14
    assert (key.rotation_date() - start).total_seconds() >= DELAY
    assert error_of(east.rotate_key_on_demand, KeyId=key.id) == nothing_pending(key)  # F15
    assert key.schedule()["PendingWindowInDays"] == 7  # F16


def test_scenario_g_multi_region(slow, east, west):
    """imports_multi_region, G1 to G40."""
    primary = Key(slow, east, MultiRegion=True)  # G1
    m = east.describe_key(KeyId=primary.id)["KeyMetadata"]
    assert primary.dk() == ("PendingImport", False, None, None, None)
    assert m["MultiRegionConfiguration"] == {"MultiRegionKeyType": "PRIMARY", "ReplicaKeys": [],
                                             "PrimaryKey": {"Arn": primary.arn, "Region": EAST}}
    assert error_of(east.replicate_key, KeyId=primary.id, ReplicaRegion=WEST) == pending_import(primary.arn)  # G2
    primary.parameters()  # G3
    m1 = primary.put(FIRST, KeyMaterialDescription="primary first")  # G4
    answer = answer_fields(east.replicate_key(KeyId=primary.id, ReplicaRegion=WEST))  # G5
    replica = Key(slow, west, WEST, answer["ReplicaKeyMetadata"])
    check_g5(primary, replica, answer)
    assert replica.dk()[:2] == ("Creating", False)
    slow.advance(DELAY + 1)
    assert replica.dk() == ("PendingImport", False, None, None, m1)  # G6
    own = west.describe_key(KeyId=replica.id)["KeyMetadata"]
    assert own["CreationDate"] > m["CreationDate"] and own["KeyId"] == primary.id
    first_missing = [entry(m1, "CURRENT", "PENDING_IMPORT", None, KeyMaterialDescription="primary first")]
    assert replica.lkr() == first_missing  # G7
    replica.parameters()  # G8
    assert replica.refused(SECOND) == not_expected(m1)  # G9
    described = ("ValidationException", "Key material description can only be specified on primary Multi-Region keys")
    assert replica.refused(FIRST, KeyMaterialDescription="replica first") == described  # G10
    assert replica.lkr() == first_missing  # G11
    m2 = primary.put(SECOND, ImportType="NEW_KEY_MATERIAL")  # G12
    stage_second(slow, primary, replica, m1, m2, described)
    rotate_g(slow, primary, replica, m1, m2)
    expire_g(slow, primary, replica, m2)
    answer = primary.schedule()  # G39
    assert answer == {"KeyId": primary.arn, "KeyState": "PendingReplicaDeletion", "PendingWindowInDays": 7}
    answer = replica.schedule()  # G40
    assert set(answer) == {"KeyId", "DeletionDate", "KeyState", "PendingWindowInDays"}
    assert answer["KeyState"] == "PendingDeletion"


def check_g5(primary, replica, answer):
    m = answer["ReplicaKeyMetadata"]
    assert set(answer) == {"ReplicaKeyMetadata", "ReplicaPolicy"}
    assert (m["KeyState"], m["Enabled"], m["ExpirationModel"], m["Description"]) == ("Creating", False, NOEXP, "")
    assert "CurrentKeyMaterialId" not in m and m["Arn"] == replica.arn
    assert m["MultiRegionConfiguration"] == {
        "MultiRegionKeyType": "REPLICA", "PrimaryKey": {"Arn": primary.arn, "Region": EAST},
        "ReplicaKeys": [{"Arn": replica.arn, "Region": WEST}]}
    assert answer["ReplicaPolicy"].startswith('{\n  "Version" : "2012-10-17",\n  "Id" : "key-default-1",\n')


def stage_second(slow, primary, replica, m1, m2, described):
    """G13 to G26: a pending material comes, goes and comes again in two Regions."""
    role = "PENDING_MULTI_REGION_IMPORT_AND_ROTATION"
    first = entry(m1, "CURRENT", KeyMaterialDescription="primary first")
    first_missing = entry(m1, "CURRENT", "PENDING_IMPORT", None, KeyMaterialDescription="primary first")
    staged, both_missing = [first, entry(m2, role)], [first_missing, entry(m2, role, "PENDING_IMPORT", None)]
    assert primary.lkr() == staged and replica.lkr() == both_missing  # G13, G14
    assert error_of(primary.kms.rotate_key_on_demand, KeyId=primary.id) == (  # G15
        "KMSInvalidStateException", "Cannot perform key material rotation: Key material has not been imported for "
        "replicas of the Multi-Region key.")
    assert replica.refused(SECOND, ImportType="NEW_KEY_MATERIAL") == (  # G16
        "ValidationException", "Input parameter ImportType NEW_KEY_MATERIAL cannot be used on replica Multi-Region keys")
    assert replica.refused(SECOND, ValidTo=seconds_ahead(slow, 100),
                           KeyMaterialDescription="replica second") == described  # G17
    assert primary.lkr() == staged and replica.lkr() == both_missing  # G18, G19
    replica.drop(m2)  # G20
    assert primary.lkr() == staged  # G21
    assert replica.put(SECOND) == m2  # G22
    primary.drop(m2)  # G23
    assert replica.lkr() == [first_missing]  # G24
    assert primary.put(SECOND, ImportType="NEW_KEY_MATERIAL") == m2  # G25
    assert replica.put(SECOND) == m2  # G26


def rotate_g(slow, primary, replica, m1, m2):
    """G27 to G34: the rotation in both Regions, and the older material missing in one."""
    primary.rotate()  # G27
    first = {"KeyMaterialDescription": "primary first"}
    assert primary.lkr() == [entry(m1, "CURRENT", **first), entry(m2, "PENDING_ROTATION")]  # G28
    primary.finish()
    assert primary.lkr() == [entry(m1, "NON_CURRENT", **first), entry(m2, "CURRENT", rotated=True)]  # G29
    assert replica.lkr() == [entry(m1, "NON_CURRENT", "PENDING_IMPORT", None, **first),
                             entry(m2, "CURRENT", rotated=True)]  # G30
    assert primary.rotation_date() == replica.rotation_date()
    replica.drop(m1)  # G31
    assert primary.dk() == ("Enabled", True, NOEXP, None, m2)  # G32
    assert replica.dk() == ("PendingImport", False, None, None, m2)  # G33
    assert replica.put(FIRST) == m1  # G34
    assert replica.dk()[0] == "Enabled"


def expire_g(slow, primary, replica, m2):
    """G35 to G38: expiry in one Region, the other one goes on."""
    blob, _ = primary.encrypt()
    valid_to = seconds_ahead(slow, 30)
    at = valid_to + datetime.timedelta(milliseconds=926)
    assert primary.put(SECOND, ValidTo=at) == m2  # G35
    assert primary.dk() == ("Enabled", True, EXP, valid_to, m2)  # G36
    slow.advance(31)
    assert primary.dk() == ("PendingImport", False, None, None, m2)  # G37
    assert replica.dk() == ("Enabled", True, NOEXP, None, m2)  # G38
    assert replica.kms.decrypt(CiphertextBlob=blob)["Plaintext"] == b"twelve bytes"
    assert error_of(primary.kms.decrypt, CiphertextBlob=blob) == pending_import(primary.arn)


def test_scenario_h_rotating_an_expired_material_in(slow, east):
    """imports_rotation_expiry, H1 to H27."""
    key = Key(slow, east)
    key.parameters()  # H1, H2
    m1 = key.put(FIRST)  # H3
    initial, material = key.encrypt()  # H4
    assert material == m1
    valid_to = seconds_ahead(slow, 10)
    m2 = key.put(SECOND, ImportType="NEW_KEY_MATERIAL", ValidTo=valid_to)  # H5
    slow.advance(19)
    assert key.dk() == ("Enabled", True, NOEXP, None, m1)  # H6
    assert key.lkr() == [entry(m1, "CURRENT"), entry(m2, "PENDING_ROTATION", model=EXP, ValidTo=valid_to)]  # H7
    assert key.encrypt()[1] == m1  # H8
    key.rotate()  # H9
    key.in_progress()  # H10
    key.finish()
    assert key.status() == key.off()  # H11
    assert key.dk() == ("PendingImport", False, None, None, m2)  # H12
    assert key.lkr() == [entry(m1, "NON_CURRENT"),
                         entry(m2, "CURRENT", model=EXP, ValidTo=valid_to, rotated=True)]  # H13
    rotated = key.rotation_date()
    assert error_of(east.encrypt, KeyId=key.id, Plaintext=b"x") == pending_import(key.arn)  # H14
    assert error_of(east.decrypt, CiphertextBlob=initial) == pending_import(key.arn)  # H15
    assert key.put(SECOND) == m2  # H16
    assert key.dk() == ("Enabled", True, NOEXP, None, m2)  # H17
    listed = [entry(m1, "NON_CURRENT"), entry(m2, "CURRENT", rotated=True)]
    assert key.lkr() == listed and key.rotation_date() == rotated  # H18
    answer = answer_fields(east.decrypt(CiphertextBlob=initial))  # H19
    assert answer == {"KeyId": key.arn, "Plaintext": b"twelve bytes", "EncryptionAlgorithm": "SYMMETRIC_DEFAULT",
                      "KeyMaterialId": m1}
    m3 = key.put(THIRD, ImportType="NEW_KEY_MATERIAL")  # H20
    key.rotate()  # H21
    key.drop(m3)  # H22
    key.in_progress()  # H23
    key.finish()
    assert key.status() == key.off()  # H24
    assert key.dk() == ("Enabled", True, NOEXP, None, m2)  # H25
    assert key.lkr() == listed and key.rotation_date() == rotated  # H26
    assert key.schedule()["KeyState"] == "PendingDeletion"  # H27


def test_scenario_i_replica_loses_the_pending_material(slow, east, west):
    """imports_rotation_replica, I1 to I24."""
    primary = Key(slow, east, MultiRegion=True)
    primary.parameters()  # I1, I2
    m1 = primary.put(FIRST)  # I3
    answer = east.replicate_key(KeyId=primary.id, ReplicaRegion=WEST)  # I4
    replica = Key(slow, west, WEST, answer["ReplicaKeyMetadata"])
    slow.advance(DELAY + 1)
    assert replica.dk() == ("PendingImport", False, None, None, m1)  # I5
    replica.parameters()  # I6
    assert replica.put(FIRST) == m1  # I7
    m2 = primary.put(SECOND, ImportType="NEW_KEY_MATERIAL")  # I8
    assert replica.put(SECOND) == m2  # I9
    primary.rotate()  # I10
    replica.drop(m2)  # I11
    start = primary.in_progress()  # I12
    slow.advance(DELAY // 2)
    assert primary.in_progress() == start  # I13
    primary.finish()
    assert primary.status() == primary.off()  # I14
    assert primary.dk() == ("Enabled", True, NOEXP, None, m2)  # I15
    assert primary.lkr() == [entry(m1, "NON_CURRENT"), entry(m2, "CURRENT", rotated=True)]  # I16
    blob, material = primary.encrypt()  # I17
    assert material == m2
    assert replica.dk() == ("PendingImport", False, None, None, m2)  # I18
    assert replica.lkr() == [entry(m1, "NON_CURRENT"),
                             entry(m2, "CURRENT", "PENDING_IMPORT", None, rotated=True)]  # I19
    assert primary.rotation_date() == replica.rotation_date()
    assert error_of(west.encrypt, KeyId=replica.id, Plaintext=b"x") == pending_import(replica.arn)  # I20
    assert replica.put(SECOND) == m2  # I21
    assert replica.dk() == ("Enabled", True, NOEXP, None, m2)  # I22
    assert west.decrypt(CiphertextBlob=blob)["KeyId"] == replica.arn
    assert primary.schedule() == {"KeyId": primary.arn, "KeyState": "PendingReplicaDeletion",
                                  "PendingWindowInDays": 7}  # I23
    assert replica.schedule()["KeyState"] == "PendingDeletion"  # I24
    assert ZEROS not in (m1, m2)


def test_section_5_delays_pass_without_a_development_clock(new_server):
    """Section 5 on the machine's own clock, with the delays of seconds that it is usually run with: a replica is
    Creating first and usable then (recorded: up to 3.0 s), a rotation shows its start until it is done, and its
    RotationDate is when that was (recorded: 40 to 156 s)."""
    server = new_server("--region-delay=1", "--rotation-delay=1")
    east, west = server.client(region=EAST), server.client(region=WEST)
    key = east.create_key(MultiRegion=True)["KeyMetadata"]
    replica = east.replicate_key(KeyId=key["KeyId"], ReplicaRegion=WEST)["ReplicaKeyMetadata"]
    assert replica["KeyState"] == "Creating"
    wait(lambda: dk(west, key["KeyId"])[0] == "Enabled")
    assert seconds_since(server, replica["CreationDate"]) >= 1
    status = {}
    for _ in range(10):
        if "OnDemandRotationStartDate" not in status:  # or the last one was done before anybody could look
            east.rotate_key_on_demand(KeyId=key["KeyId"])
            status = gkrs(west, key["KeyId"])
    start = status["OnDemandRotationStartDate"]
    wait(lambda: "OnDemandRotationStartDate" not in gkrs(west, key["KeyId"]))
    rotated = west.list_key_rotations(KeyId=key["KeyId"])["Rotations"][-1]["RotationDate"]
    assert datetime.timedelta(seconds=1) <= rotated - start < datetime.timedelta(seconds=20)


def wait(done):
    deadline = time.monotonic() + 60
    while not done():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def seconds_since(server, when):
    """Rounded up: the clock page says whole seconds."""
    return (seconds_ahead(server, 1) - when).total_seconds()
