"""Materials and rotation of keys in several Regions, through a client for each: recorded-imports R9, R10, R22, R23, R43
to R49, recorded-authz-multiregion 6.3, 6.5, 6.8 rules 9 and 10. What one record does is in tests/unit/key/test_family.c.
"""
import os
import random
import re
import threading

import pytest
from botocore.exceptions import ClientError

from families import Importer, Material
from recorded import DELAY, NOEXP, answer_fields, dk, entry, finish_rotation, gkrs, pending_import
from trent_server import Server, error_of, import_material, parameters_for

NEW = {"ImportType": "NEW_KEY_MATERIAL"}
BOTH = "PENDING_MULTI_REGION_IMPORT_AND_ROTATION"
LACKING = ("KMSInvalidStateException", "Cannot perform key material rotation: Key material has not been imported for "
           "replicas of the Multi-Region key.")


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    with Server(tmp_path_factory.mktemp("regions") / "data", "--region-delay=0") as s:
        yield s


@pytest.fixture(scope="module")
def east(server):
    return server.client()


@pytest.fixture(scope="module")
def west(server):
    return server.client(region="us-west-2")


@pytest.fixture(scope="module")
def slow_server(tmp_path_factory):
    """On-demand rotations take an hour of the life-cycle clock."""
    with Server(tmp_path_factory.mktemp("slow") / "data", "--region-delay=0", "--rotation-delay=%d" % DELAY) as s:
        yield s


def listed(kms, key_id):
    """All materials without KeyId, which must be this Region's ARN in every entry; dates only as `rot`."""
    arn = kms.describe_key(KeyId=key_id)["KeyMetadata"]["Arn"]
    entries = []
    for one in kms.list_key_rotations(KeyId=key_id, IncludeKeyMaterial="ALL_KEY_MATERIAL")["Rotations"]:
        assert one.pop("KeyId") == arn and f":{kms.meta.region_name}:" in arn
        entries.append(one)
    return entries


def dated(entries, rotations):
    """Puts the dates of `rotations`, by material id, into expected entries."""
    return [dict(e, **({"RotationDate": rotations[e["KeyMaterialId"]], "RotationType": "ON_DEMAND"}
                       if e["KeyMaterialId"] in rotations else {})) for e in entries]


def replicated(kms, region="us-west-2", **key):
    """A primary with a replica; its metadata and the replica's ARN."""
    primary = kms.create_key(MultiRegion=True, **key)["KeyMetadata"]
    return primary, primary["Arn"].replace(kms.meta.region_name, region)


def imported(east, west=None, **more):
    """An imported primary with M1 "1" * 32 and a replica, which has it too if `west` is given: id, ARNs, M1."""
    primary, arn = replicated(east, Origin="EXTERNAL")
    m1 = import_material(east, primary["KeyId"], b"1" * 32, **more)["KeyMaterialId"]
    east.replicate_key(KeyId=primary["KeyId"], ReplicaRegion="us-west-2")
    if west is not None:
        assert import_material(west, primary["KeyId"], b"1" * 32)["KeyMaterialId"] == m1
    return primary["KeyId"], primary["Arn"], arn, m1


# --- imports --------------------------------------------------------------------------------------------------------


def test_r9_r10_what_a_replica_does_not_take(east, west):
    """R9, R10, G10, G16, G17."""
    key, _, _, m1 = imported(east)
    description = ("ValidationException", "Key material description can only be specified on primary Multi-Region keys")
    assert error_of(import_material, west, key, b"1" * 32, KeyMaterialDescription="replica first") == description
    assert error_of(import_material, west, key, b"1" * 32, **NEW) == (
        "ValidationException", "Input parameter ImportType NEW_KEY_MATERIAL cannot be used on replica Multi-Region keys")
    assert listed(west, key) == [entry(m1, "CURRENT", "PENDING_IMPORT", None)]  # G11


def test_r22_r23_the_replica_takes_what_is_listed(east, west):
    """R22, R23, G9, G22, G34."""
    key, _, arn, m1 = imported(east)
    assert error_of(import_material, west, key, b"9" * 32) == (
        "IncorrectKeyMaterialException", "Imported key material does not have the expected identifier (%s)." % m1)
    m2 = import_material(east, key, b"2" * 32, **NEW)["KeyMaterialId"]
    answer = import_material(west, key, b"2" * 32)  # G22: the pending one, while the first is missing
    assert answer_fields(answer) == {"KeyId": arn, "KeyMaterialId": m2}
    assert dk(west, key) == ("PendingImport", False, None, None, m1)
    east.rotate_key_on_demand(KeyId=key)
    assert import_material(west, key, b"1" * 32)["KeyMaterialId"] == m1  # G34: a NON_CURRENT one
    assert dk(west, key) == ("Enabled", True, NOEXP, None, m2)
    assert import_material(west, key, b"1" * 32, ImportType="EXISTING_KEY_MATERIAL",
                           KeyMaterialId=m1)["KeyMaterialId"] == m1


def test_r43_r44_r46_every_region_first(east, west):
    """R43, R44, R46, G12 to G15, G27 to G30, 6.7 rows 8, 9, 12."""
    key, _, _, m1 = imported(east, KeyMaterialDescription="primary first")
    first = {"KeyMaterialDescription": "primary first"}
    m2 = import_material(east, key, b"2" * 32, **NEW)["KeyMaterialId"]
    assert listed(east, key) == [entry(m1, "CURRENT", **first), entry(m2, BOTH)]
    assert listed(west, key) == [entry(m1, "CURRENT", "PENDING_IMPORT", None, **first),
                                 entry(m2, BOTH, "PENDING_IMPORT", None)]
    assert error_of(east.rotate_key_on_demand, KeyId=key) == LACKING
    import_material(west, key, b"2" * 32)
    assert listed(east, key)[1] == entry(m2, "PENDING_ROTATION")
    assert listed(west, key)[1] == entry(m2, "PENDING_ROTATION")
    east.rotate_key_on_demand(KeyId=key)
    rotations = {m2: listed(east, key)[1]["RotationDate"]}
    assert listed(east, key) == dated([entry(m1, "NON_CURRENT", **first), entry(m2, "CURRENT")], rotations)
    assert listed(west, key) == dated([entry(m1, "NON_CURRENT", "PENDING_IMPORT", None, **first),
                                       entry(m2, "CURRENT")], rotations)


def test_r43_a_replica_comes_while_one_is_pending(east, west):
    """kms-behaviour 18, 33 (chosen): it falls back to waiting for all Regions."""
    primary, _ = replicated(east, Origin="EXTERNAL")
    key = primary["KeyId"]
    import_material(east, key, b"1" * 32)
    m2 = import_material(east, key, b"2" * 32, **NEW)["KeyMaterialId"]
    assert listed(east, key)[1]["KeyMaterialState"] == "PENDING_ROTATION"
    east.replicate_key(KeyId=key, ReplicaRegion="us-west-2")
    assert listed(east, key)[1] == entry(m2, BOTH)
    assert listed(west, key)[1] == entry(m2, BOTH, "PENDING_IMPORT", None)
    assert error_of(east.rotate_key_on_demand, KeyId=key) == LACKING


def test_r47_deleting_what_is_pending(server, east, west):
    """R47, G20 to G26, 6.7 rows 10 and 11; the copies of all Regions are erased, each with its receipt."""
    key, arn, west_arn, m1 = imported(east)
    m2 = import_material(east, key, b"2" * 32, **NEW)["KeyMaterialId"]
    before = listed(east, key)
    assert answer_fields(west.delete_imported_key_material(KeyId=key, KeyMaterialId=m2)) == {
        "KeyId": west_arn, "KeyMaterialId": m2}
    assert listed(east, key) == before  # G21
    import_material(west, key, b"2" * 32)
    assert answer_fields(east.delete_imported_key_material(KeyId=key, KeyMaterialId=m2)) == {
        "KeyId": arn, "KeyMaterialId": m2}
    assert [e["KeyMaterialId"] for e in listed(west, key)] == [m1]  # G24
    assert import_material(east, key, b"2" * 32, **NEW)["KeyMaterialId"] == m2  # G25
    assert error_of(west.delete_imported_key_material, KeyId=key, KeyMaterialId="0" * 64) == (
        "ValidationException",
        "Key material (id: %s) has never been imported into KMS key %s." % ("0" * 64, west_arn))
    receipts = [r for r in server.audit() if r["eventName"] == "TrentReceipt" and m2 in str(r)]
    assert {a for r in receipts for a in (arn, west_arn) if a in str(r)} == {arn, west_arn}


def test_r49_losses_and_states_are_the_region_s_own(server, east, west):
    """R49, G31 to G33, G35 to G38, 6.3 row 13, 6.7 rows 13 to 16."""
    key, _, west_arn, m1 = imported(east, west)
    blob = east.encrypt(KeyId=key, Plaintext=b"both")["CiphertextBlob"]
    west.delete_imported_key_material(KeyId=key)
    assert dk(east, key) == ("Enabled", True, NOEXP, None, m1)
    assert dk(west, key) == ("PendingImport", False, None, None, m1)
    assert error_of(west.decrypt, CiphertextBlob=blob) == pending_import(west_arn)
    assert east.decrypt(CiphertextBlob=blob)["Plaintext"] == b"both"
    import_material(west, key, b"1" * 32)
    assert west.decrypt(CiphertextBlob=blob)["Plaintext"] == b"both"

    east.delete_imported_key_material(KeyId=key)
    assert dk(east, key)[0] == "PendingImport" and west.decrypt(CiphertextBlob=blob)["KeyMaterialId"] == m1
    import_material(east, key, b"1" * 32)
    east.disable_key(KeyId=key)
    assert west.decrypt(CiphertextBlob=blob)["KeyId"] == west_arn
    west.disable_key(KeyId=key)
    east.enable_key(KeyId=key)
    assert dk(west, key)[0] == "Disabled" and east.decrypt(CiphertextBlob=blob)["Plaintext"] == b"both"


@pytest.mark.parametrize("spec", ["HMAC_256", "ECC_NIST_P256", "RSA_2048"])
def test_replicas_of_other_imported_keys(east, west, spec):
    """R7, R22, R26 on replicas of keys that do not rotate: no id is shown but in the refusal of other material."""
    usage = {"HMAC_256": "GENERATE_VERIFY_MAC"}.get(spec, "SIGN_VERIFY")
    key = east.create_key(Origin="EXTERNAL", MultiRegion=True, KeySpec=spec, KeyUsage=usage)["KeyMetadata"]
    here = Importer(east, spec, key=key, usage=usage)
    material, other = Material(spec, 0).default, Material(spec, 1).default
    assert answer_fields(here.put(material)) == {"KeyId": key["Arn"]}
    east.replicate_key(KeyId=key["KeyId"], ReplicaRegion="us-west-2")
    replica = west.describe_key(KeyId=key["KeyId"])["KeyMetadata"]
    assert replica["KeyState"] == "PendingImport" and "CurrentKeyMaterialId" not in replica
    there = Importer(west, spec, key=replica, usage=usage)
    code, text = error_of(there.put, other)
    assert code == "IncorrectKeyMaterialException"
    assert re.fullmatch(r"Imported key material does not have the expected identifier \([0-9a-f]{64}\)\.", text)
    assert error_of(there.put, material, KeyMaterialDescription="x") == (
        "ValidationException",
        "Input parameter keyMaterialDescription cannot be used with %s imported keys." % spec)
    assert answer_fields(there.put(material)) == {"KeyId": replica["Arn"]}
    assert dk(west, key["KeyId"]) == ("Enabled", True, NOEXP, None, None)
    assert answer_fields(west.delete_imported_key_material(KeyId=key["KeyId"])) == {"KeyId": replica["Arn"]}
    assert dk(east, key["KeyId"])[0] == "Enabled" and dk(west, key["KeyId"])[0] == "PendingImport"


# --- rotation -------------------------------------------------------------------------------------------------------


def refused_on_replica(arn, operation):
    return ("UnsupportedOperationException",
            "%s is a multi-region replica key which is not valid for %s." % (arn, operation))


def test_6_3_what_only_the_primary_does(east, west):
    """6.3 rows 3, 7 to 9, 6.8 rules 1 and 9; the state comes first (kms-behaviour 5.1, note 7)."""
    primary, arn = replicated(east)
    key = primary["KeyId"]
    east.enable_key_rotation(KeyId=key, RotationPeriodInDays=90)
    east.replicate_key(KeyId=key, ReplicaRegion="us-west-2")
    on = gkrs(east, key)
    assert gkrs(west, key) == dict(on, KeyId=arn) and on["RotationPeriodInDays"] == 90
    calls = {"EnableKeyRotation": west.enable_key_rotation, "DisableKeyRotation": west.disable_key_rotation,
             "RotateKeyOnDemand": west.rotate_key_on_demand}
    for operation, call in calls.items():
        assert error_of(call, KeyId=key) == refused_on_replica(arn, operation)
    west.disable_key(KeyId=key)
    for call in calls.values():
        assert error_of(call, KeyId=key) == ("DisabledException", "%s is disabled." % arn)
    assert gkrs(west, key) == dict(on, KeyId=arn)
    east.enable_key_rotation(KeyId=key, RotationPeriodInDays=120)
    assert gkrs(west, key)["RotationPeriodInDays"] == 120
    assert gkrs(west, key)["NextRotationDate"] == gkrs(east, key)["NextRotationDate"]
    east.disable_key_rotation(KeyId=key)
    assert gkrs(west, key) == {"KeyRotationEnabled": False, "KeyId": arn}


def test_6_3_keys_that_do_not_rotate(east, west):
    """Chosen: the spec before the role for the calls that refuse it, the role for DisableKeyRotation."""
    primary, arn = replicated(east, KeySpec="HMAC_256", KeyUsage="GENERATE_VERIFY_MAC")
    key = primary["KeyId"]
    east.replicate_key(KeyId=key, ReplicaRegion="us-west-2")
    assert error_of(west.enable_key_rotation, KeyId=key) == ("UnsupportedOperationException", None)
    assert error_of(west.rotate_key_on_demand, KeyId=key) == ("UnsupportedOperationException", None)
    assert error_of(west.disable_key_rotation, KeyId=key) == refused_on_replica(arn, "DisableKeyRotation")
    assert gkrs(west, key) == {"KeyRotationEnabled": False, "KeyId": arn}
    assert west.list_key_rotations(KeyId=key)["Rotations"] == []


def test_6_5_all_regions_rotate(east, west):
    """6.5 rows 2 to 7."""
    primary, arn = replicated(east)
    key, a1 = primary["KeyId"], primary["CurrentKeyMaterialId"]
    east.replicate_key(KeyId=key, ReplicaRegion="us-west-2")
    blob = east.encrypt(KeyId=key, Plaintext=b"old")["CiphertextBlob"]
    assert answer_fields(east.rotate_key_on_demand(KeyId=key)) == {"KeyId": primary["Arn"]}
    a2 = dk(east, key)[4]
    assert dk(west, key)[4] == a2 != a1
    assert listed(west, key) == listed(east, key)
    assert [set(e) for e in listed(west, key)] == [
        {"KeyMaterialId", "KeyMaterialState"},
        {"KeyMaterialId", "KeyMaterialState", "RotationDate", "RotationType"}]
    assert west.decrypt(CiphertextBlob=blob)["KeyMaterialId"] == a1
    fresh = west.encrypt(KeyId=key, Plaintext=b"new")["CiphertextBlob"]
    answer = east.decrypt(CiphertextBlob=fresh)
    assert (answer["Plaintext"], answer["KeyMaterialId"]) == (b"new", a2)


def test_25_rotations_of_all_regions_together(east, west):
    """kms-behaviour 8: the limit is the key's, whichever Region is primary; old material decrypts for ever, everywhere."""
    primary, arn = replicated(east)
    key = primary["KeyId"]
    east.replicate_key(KeyId=key, ReplicaRegion="us-west-2")
    blobs = []
    for i in range(26):
        if i == 13:
            east.update_primary_region(KeyId=key, PrimaryRegion="us-west-2")
        blobs.append((east, west)[i % 2].encrypt(KeyId=key, Plaintext=b"%d" % i)["CiphertextBlob"])
        if i < 25:
            (east if i < 13 else west).rotate_key_on_demand(KeyId=key)
    assert error_of(west.rotate_key_on_demand, KeyId=key)[0] == "LimitExceededException"
    for kms in (east, west):
        answers = [kms.decrypt(CiphertextBlob=blob) for blob in blobs]
        assert [a["Plaintext"] for a in answers] == [b"%d" % i for i in range(26)]
        assert [a["KeyMaterialId"] for a in answers] == [e["KeyMaterialId"] for e in listed(kms, key)]


def test_25_rotations_of_an_imported_key(east):
    """The same for imported material: 26 materials, all of which decrypt."""
    key = east.create_key(Origin="EXTERNAL")["KeyMetadata"]["KeyId"]
    parameters, blobs = parameters_for(east, key), []
    for i in range(26):
        import_material(east, key, bytes([i]) * 32, parameters, **NEW)
        if i > 0:
            east.rotate_key_on_demand(KeyId=key)
        blobs.append(east.encrypt(KeyId=key, Plaintext=b"%d" % i)["CiphertextBlob"])
    import_material(east, key, os.urandom(32), parameters, **NEW)
    assert error_of(east.rotate_key_on_demand, KeyId=key)[0] == "LimitExceededException"
    assert [east.decrypt(CiphertextBlob=blob)["Plaintext"] for blob in blobs] == [b"%d" % i for i in range(26)]


def test_r48_the_replica_gives_up_what_is_being_rotated_in(slow_server):
    """R42, R48, I10 to I22: asked for, it completes in all Regions."""
    east, west = slow_server.client(), slow_server.client(region="us-west-2")
    key, _, west_arn, m1 = imported(east, west)
    m2 = import_material(east, key, b"2" * 32, **NEW)["KeyMaterialId"]
    import_material(west, key, b"2" * 32)
    east.rotate_key_on_demand(KeyId=key)
    started = gkrs(east, key)
    assert gkrs(west, key) == dict(started, KeyId=west_arn) and "OnDemandRotationStartDate" in started
    west.delete_imported_key_material(KeyId=key, KeyMaterialId=m2)
    assert gkrs(east, key) == started  # I12
    finish_rotation(slow_server, east, key)
    assert dk(east, key) == ("Enabled", True, NOEXP, None, m2)
    assert dk(west, key) == ("PendingImport", False, None, None, m2)  # I18
    rotations = {m2: listed(east, key)[1]["RotationDate"]}
    assert listed(west, key) == dated([entry(m1, "NON_CURRENT"), entry(m2, "CURRENT", "PENDING_IMPORT", None)],
                                      rotations)  # I19
    assert error_of(west.encrypt, KeyId=key, Plaintext=b"x") == pending_import(west_arn)  # I20
    import_material(west, key, b"2" * 32)
    assert dk(west, key) == ("Enabled", True, NOEXP, None, m2)  # I22


def test_6_5_a_delayed_rotation_of_generated_keys(slow_server):
    """6.5 rows 2 to 6, R42: it completes everywhere, also where the replica is Disabled or being deleted meanwhile."""
    east, west, tokyo = (slow_server.client(region=r) for r in ("us-east-1", "us-west-2", "ap-northeast-1"))
    key = east.create_key(MultiRegion=True)["KeyMetadata"]["KeyId"]
    for region in ("us-west-2", "ap-northeast-1"):
        east.replicate_key(KeyId=key, ReplicaRegion=region)
    blob = east.encrypt(KeyId=key, Plaintext=b"old")["CiphertextBlob"]
    east.rotate_key_on_demand(KeyId=key)
    west.disable_key(KeyId=key)
    tokyo.schedule_key_deletion(KeyId=key, PendingWindowInDays=7)
    finish_rotation(slow_server, east, key)
    a2 = dk(east, key)[4]
    assert [dk(kms, key)[0::4] for kms in (west, tokyo)] == [("Disabled", a2), ("PendingDeletion", a2)]
    assert listed(east, key) == listed(west, key) == listed(tokyo, key)
    west.enable_key(KeyId=key)
    assert west.decrypt(CiphertextBlob=blob)["Plaintext"] == b"old"
    assert west.encrypt(KeyId=key, Plaintext=b"new")["CiphertextBlob"] != blob


def test_6_8_rule_10_the_status_while_deletion_waits(east, west):
    """6.6 rows 7 and 8."""
    primary, arn = replicated(east)
    key = primary["KeyId"]
    east.enable_key_rotation(KeyId=key, RotationPeriodInDays=90)
    east.replicate_key(KeyId=key, ReplicaRegion="us-west-2")
    on = gkrs(east, key)
    assert east.schedule_key_deletion(KeyId=key, PendingWindowInDays=7)["KeyState"] == "PendingReplicaDeletion"
    west.schedule_key_deletion(KeyId=key, PendingWindowInDays=7)
    assert gkrs(east, key) == on
    assert gkrs(west, key) == {"KeyRotationEnabled": False, "KeyId": arn}
    for call, operation in ((east.enable_key_rotation, "EnableKeyRotation"),
                            (east.rotate_key_on_demand, "RotateKeyOnDemand")):
        assert error_of(call, KeyId=key) == (
            "KMSInvalidStateException", "%s is pending replica deletion." % primary["Arn"]), operation


def test_conflict_with_an_automatic_rotation(server, east):
    """kms-behaviour 3, 8: ConflictException from 20 minutes before NextRotationDate on; the text is chosen."""
    key = east.create_key()["KeyMetadata"]
    east.enable_key_rotation(KeyId=key["KeyId"], RotationPeriodInDays=90)
    server.advance(90 * 86400 - 30 * 60)
    east.rotate_key_on_demand(KeyId=key["KeyId"])
    server.advance(15 * 60)
    assert error_of(east.rotate_key_on_demand, KeyId=key["KeyId"]) == (
        "ConflictException",
        "An automatic rotation of the key is in progress or due within 20 minutes: %s" % key["Arn"])


def test_regions_agree_whatever_happens_at_once(east, west):
    """R46, 6.8 rule 1: imports, deletions and rotations from both Regions at the same time, each call answered as one of
    the recorded refusals or done; afterwards both list the same materials, and what can be decrypted is decrypted."""
    key, _, _, _ = imported(east, west)
    parameters = {kms: parameters_for(kms, key) for kms in (east, west)}
    blob = east.encrypt(KeyId=key, Plaintext=b"first")["CiphertextBlob"]
    allowed = {"KMSInvalidStateException", "IncorrectKeyMaterialException", "ValidationException",
               "LimitExceededException", "DisabledException"}
    done, unexpected = [], []

    def play(kms, seed):
        chance = random.Random(seed)
        for _ in range(60):
            material = b"%d" % chance.randrange(1, 5) * 32
            call = chance.choice([
                lambda: import_material(kms, key, material, parameters[kms]),
                lambda: import_material(kms, key, material, parameters[kms], **NEW),
                lambda: kms.delete_imported_key_material(KeyId=key, KeyMaterialId=chance.choice(listed(kms, key))[
                    "KeyMaterialId"]),
                lambda: kms.rotate_key_on_demand(KeyId=key),
                lambda: kms.disable_key(KeyId=key), lambda: kms.enable_key(KeyId=key)])
            try:
                call()
                done.append(call)
            except ClientError as e:
                code = e.response["Error"]["Code"]
                if code not in allowed and not (kms is west and code == "UnsupportedOperationException"):
                    unexpected.append(str(e))

    players = [threading.Thread(target=play, args=(kms, seed)) for seed, kms in enumerate((east, west) * 2)]
    for player in players:
        player.start()
    for player in players:
        player.join()
    assert unexpected == [] and len(done) > 40
    shared = [[(e["KeyMaterialId"], e["KeyMaterialState"], e.get("RotationDate")) for e in listed(kms, key)]
              for kms in (east, west)]
    assert shared[0] == shared[1]
    for kms in (east, west):
        for material in range(1, 5):
            try:
                import_material(kms, key, b"%d" % material * 32, parameters[kms])
            except ClientError as e:
                assert e.response["Error"]["Code"] == "IncorrectKeyMaterialException"  # never got into the list
        assert kms.decrypt(CiphertextBlob=blob)["Plaintext"] == b"first"
