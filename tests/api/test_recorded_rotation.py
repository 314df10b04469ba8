"""Recorded behaviour of rotation: recorded-imports, rules R32 and R40 to R55.

`rotating` is a server whose on-demand rotations take an hour of the life-cycle clock, so that the state in between can
be looked at; `kms` completes them at once.
"""
import datetime
import json

import pytest

from recorded import DELAY, NOEXP, answer_fields, dk, entry, finish_rotation, gkrs, lkr, pending_import, without_dates
from trent_server import Server, error_of, external_key, import_material, imported_key


@pytest.fixture(scope="module")
def rotating_server(tmp_path_factory):
    with Server(tmp_path_factory.mktemp("rotating") / "data", "--rotation-delay=%d" % DELAY) as s:
        yield s


@pytest.fixture(scope="module")
def rotating(rotating_server):
    return rotating_server.client()


# --- on-demand rotation ---------------------------------------------------------------------------------------------


def test_r40_r41_rotation_in_progress_and_completion(rotating_server, rotating):
    """R40, R41, A40..A42."""
    kms = rotating
    key, m1 = imported_key(kms, b"1" * 32)
    key_id = key["KeyId"]
    m2 = import_material(kms, key_id, b"2" * 32, ImportType="NEW_KEY_MATERIAL")["KeyMaterialId"]
    assert answer_fields(kms.rotate_key_on_demand(KeyId=key_id)) == {"KeyId": key["Arn"]}
    status = gkrs(kms, key_id)
    assert set(status) == {"KeyRotationEnabled", "KeyId", "OnDemandRotationStartDate"}
    assert lkr(kms, key_id) == [entry(m1, "CURRENT"), entry(m2, "PENDING_ROTATION")]
    assert kms.generate_data_key(KeyId=key_id, KeySpec="AES_256")["KeyMaterialId"] == m1
    finish_rotation(rotating_server, kms, key_id)
    assert gkrs(kms, key_id) == {"KeyRotationEnabled": False, "KeyId": key["Arn"]}
    assert without_dates(lkr(kms, key_id)) == [entry(m1, "NON_CURRENT"), entry(m2, "CURRENT", rotated=True)]
    assert lkr(kms, key_id)[1]["RotationDate"] > status["OnDemandRotationStartDate"]
    assert dk(kms, key_id) == ("Enabled", True, NOEXP, None, m2)
    assert without_dates(lkr(kms, key_id, everything=False)) == [entry(m2, "CURRENT", rotated=True)]


def test_r32_r40_pending_deleted_during_rotation(rotating_server, rotating):
    """R32, R40, B16..B20, H20..H26: the request ends silently, nothing changes."""
    kms = rotating
    key, m1 = imported_key(kms, b"1" * 32)
    key_id = key["KeyId"]
    m2 = import_material(kms, key_id, b"2" * 32, ImportType="NEW_KEY_MATERIAL")["KeyMaterialId"]
    kms.rotate_key_on_demand(KeyId=key_id)
    started = gkrs(kms, key_id)
    assert kms.delete_imported_key_material(KeyId=key_id, KeyMaterialId=m2)["KeyMaterialId"] == m2
    assert import_material(kms, key_id, b"1" * 32)["KeyMaterialId"] == m1
    assert gkrs(kms, key_id) == started
    assert lkr(kms, key_id, everything=False) == []
    finish_rotation(rotating_server, kms, key_id)
    assert dk(kms, key_id) == ("Enabled", True, NOEXP, None, m1)
    assert lkr(kms, key_id) == [entry(m1, "CURRENT")]


def test_r40_replaced_pending_is_promoted(rotating_server, rotating):
    """R40, F: the request is not tied to a material."""
    kms = rotating
    key, m1 = imported_key(kms, b"1" * 32)
    key_id = key["KeyId"]
    m2 = import_material(kms, key_id, b"2" * 32, ImportType="NEW_KEY_MATERIAL")["KeyMaterialId"]
    kms.rotate_key_on_demand(KeyId=key_id)
    started = gkrs(kms, key_id)
    kms.delete_imported_key_material(KeyId=key_id, KeyMaterialId=m2)
    m3 = import_material(kms, key_id, b"3" * 32, ImportType="NEW_KEY_MATERIAL")["KeyMaterialId"]
    assert gkrs(kms, key_id) == started
    finish_rotation(rotating_server, kms, key_id)
    assert dk(kms, key_id) == ("Enabled", True, NOEXP, None, m3)
    assert without_dates(lkr(kms, key_id)) == [entry(m1, "NON_CURRENT"), entry(m3, "CURRENT", rotated=True)]
    assert error_of(kms.rotate_key_on_demand, KeyId=key_id) == (
        "KMSInvalidStateException", "No available key material pending rotation for the key: %s." % key["Arn"])


def test_r42_nothing_pending(kms):
    """R42, A31, and R35 before the first import (A8)."""
    key, _ = imported_key(kms, b"1" * 32)
    assert error_of(kms.rotate_key_on_demand, KeyId=key["KeyId"]) == (
        "KMSInvalidStateException", "No available key material pending rotation for the key: %s." % key["Arn"])
    empty = external_key(kms)
    assert error_of(kms.rotate_key_on_demand, KeyId=empty["KeyId"]) == pending_import(empty["Arn"])


def test_r42_repeat_disable_and_deletion_during_a_rotation(rotating_server, rotating):
    """R42, J26..J33, J55..J61, J69..J74 on an AWS_KMS key."""
    kms = rotating
    key = kms.create_key()["KeyMetadata"]
    key_id, a1 = key["KeyId"], key["CurrentKeyMaterialId"]
    kms.rotate_key_on_demand(KeyId=key_id)
    started = gkrs(kms, key_id)
    kms.rotate_key_on_demand(KeyId=key_id)
    assert gkrs(kms, key_id) == started
    finish_rotation(rotating_server, kms, key_id)
    a2 = dk(kms, key_id)[4]
    assert [e["KeyMaterialId"] for e in lkr(kms, key_id)] == [a1, a2]

    kms.rotate_key_on_demand(KeyId=key_id)
    kms.disable_key(KeyId=key_id)
    assert "OnDemandRotationStartDate" in gkrs(kms, key_id)
    finish_rotation(rotating_server, kms, key_id)
    a3 = dk(kms, key_id)[4]
    assert [e["KeyMaterialId"] for e in lkr(kms, key_id)] == [a1, a2, a3] and dk(kms, key_id)[0] == "Disabled"

    before = lkr(kms, key_id)
    kms.enable_key(KeyId=key_id)
    assert lkr(kms, key_id) == before and "OnDemandRotationStartDate" not in gkrs(kms, key_id)  # J61
    kms.rotate_key_on_demand(KeyId=key_id)
    kms.schedule_key_deletion(KeyId=key_id, PendingWindowInDays=7)
    assert set(gkrs(kms, key_id)) == {"KeyRotationEnabled", "KeyId", "OnDemandRotationStartDate"}
    finish_rotation(rotating_server, kms, key_id)
    entries = lkr(kms, key_id)
    assert [e["KeyMaterialId"] for e in entries][:3] == [a1, a2, a3] and len(entries) == 4
    assert entries[3]["KeyMaterialState"] == "CURRENT" and dk(kms, key_id)[0] == "PendingDeletion"
    for e in entries:  # J: AWS_KMS entries have these members and no others
        assert set(e) <= {"KeyMaterialId", "KeyMaterialState", "RotationDate", "RotationType"}


def test_r42_states_that_refuse(kms):
    """R42, J42, J46: all three rotation calls."""
    key = kms.create_key()["KeyMetadata"]
    calls = (kms.enable_key_rotation, kms.disable_key_rotation, kms.rotate_key_on_demand)
    kms.disable_key(KeyId=key["KeyId"])
    for call in calls:
        assert error_of(call, KeyId=key["KeyId"]) == ("DisabledException", "%s is disabled." % key["Arn"])
    kms.schedule_key_deletion(KeyId=key["KeyId"])
    for call in calls:
        assert error_of(call, KeyId=key["KeyId"]) == (
            "KMSInvalidStateException", "%s is pending deletion." % key["Arn"])


def test_on_demand_rotation_limit(kms):
    """kms-behaviour 8: 25, then LimitExceededException; every older ciphertext still opens."""
    key = kms.create_key()["KeyMetadata"]
    blobs = []
    for _ in range(25):
        blobs.append(kms.encrypt(KeyId=key["KeyId"], Plaintext=b"%d" % len(blobs))["CiphertextBlob"])
        kms.rotate_key_on_demand(KeyId=key["KeyId"])
    assert error_of(kms.rotate_key_on_demand, KeyId=key["KeyId"]) == (
        "LimitExceededException", "The on-demand rotations limit has been reached for the given keyId. No more "
        "on-demand rotations can be performed for this key: %s" % key["Arn"])
    assert [kms.decrypt(CiphertextBlob=b)["Plaintext"] for b in blobs] == [b"%d" % i for i in range(25)]


def test_old_material_decrypts_after_a_rotation(kms):
    """R41, J25, J31, J37 to J39: what was encrypted before opens with its own material, new things use the new one."""
    key = kms.create_key()["KeyMetadata"]
    key_id, a1 = key["KeyId"], key["CurrentKeyMaterialId"]
    blob = kms.encrypt(KeyId=key_id, Plaintext=b"before the rotation")["CiphertextBlob"]
    assert blob[5:37].hex() == a1
    kms.rotate_key_on_demand(KeyId=key_id)
    a2 = dk(kms, key_id)[4]
    assert answer_fields(kms.decrypt(CiphertextBlob=blob)) == {
        "KeyId": key["Arn"], "Plaintext": b"before the rotation", "EncryptionAlgorithm": "SYMMETRIC_DEFAULT",
        "KeyMaterialId": a1}
    moved = kms.re_encrypt(CiphertextBlob=blob, DestinationKeyId=key_id)
    assert (moved["SourceKeyMaterialId"], moved["DestinationKeyMaterialId"]) == (a1, a2)
    made = kms.generate_data_key_without_plaintext(KeyId=key_id, KeySpec="AES_256")
    assert made["KeyMaterialId"] == a2 and len(made["CiphertextBlob"]) == 184


# --- automatic rotation: state and fields ------------------------------------------------------------------------------


def days_ahead(when):
    return (when - datetime.datetime.now(datetime.timezone.utc)).total_seconds() / 86400


def test_r50_r51_r52_enable_and_disable(kms):
    """R50, R51, R52, J1..J19, J51..J54."""
    key = kms.create_key()["KeyMetadata"]
    key_id = key["KeyId"]
    off = {"KeyRotationEnabled": False, "KeyId": key["Arn"]}
    assert gkrs(kms, key_id) == off
    kms.disable_key_rotation(KeyId=key_id)
    assert gkrs(kms, key_id) == off
    kms.enable_key_rotation(KeyId=key_id, RotationPeriodInDays=90)
    first = gkrs(kms, key_id)
    assert (first["KeyRotationEnabled"], first["RotationPeriodInDays"]) == (True, 90)
    assert abs(days_ahead(first["NextRotationDate"]) - 90) < 0.01
    kms.enable_key_rotation(KeyId=key_id, RotationPeriodInDays=2560)
    second = gkrs(kms, key_id)
    assert second["RotationPeriodInDays"] == 2560 and abs(days_ahead(second["NextRotationDate"]) - 2560) < 0.01
    kms.enable_key_rotation(KeyId=key_id)
    kms.enable_key_rotation(KeyId=key_id, RotationPeriodInDays=2560)
    assert gkrs(kms, key_id) == second
    kms.rotate_key_on_demand(KeyId=key_id)  # R52: does not move the schedule
    assert gkrs(kms, key_id) == second
    kms.disable_key_rotation(KeyId=key_id)
    assert gkrs(kms, key_id) == off
    kms.enable_key_rotation(KeyId=key_id)  # R50: 365, the former period is forgotten
    last = gkrs(kms, key_id)
    assert last["RotationPeriodInDays"] == 365 and abs(days_ahead(last["NextRotationDate"]) - 365) < 0.01


@pytest.mark.parametrize("days,constraint", [
    (2561, "Member must have value less than or equal to 2560"),
    (89, "Member must have value greater than or equal to 90")])
def test_rotation_period_range(kms, days, constraint):
    """J6 (which the recording client did not send), J7."""
    key = kms.create_key()["KeyMetadata"]["KeyId"]
    assert error_of(kms.enable_key_rotation, KeyId=key, RotationPeriodInDays=days) == (
        "ValidationException", "1 validation error detected: Value '%d' at 'rotationPeriodInDays' failed to satisfy "
        "constraint: %s" % (days, constraint))


def test_r53_status_by_state(kms):
    """R53, J40..J46a."""
    key = kms.create_key()["KeyMetadata"]
    key_id = key["KeyId"]
    kms.enable_key_rotation(KeyId=key_id, RotationPeriodInDays=90)
    on = gkrs(kms, key_id)
    kms.disable_key(KeyId=key_id)
    assert gkrs(kms, key_id) == on
    kms.schedule_key_deletion(KeyId=key_id)
    assert gkrs(kms, key_id) == {"KeyRotationEnabled": False, "KeyId": key["Arn"]}
    kms.cancel_key_deletion(KeyId=key_id)
    assert gkrs(kms, key_id) == on


def test_r54_listing_and_paging(kms):
    """R54, J32..J36."""
    key = kms.create_key()["KeyMetadata"]
    key_id, a1 = key["KeyId"], key["CurrentKeyMaterialId"]
    kms.rotate_key_on_demand(KeyId=key_id)
    a2 = dk(kms, key_id)[4]
    entries = lkr(kms, key_id)
    assert [(e["KeyMaterialId"], e["KeyMaterialState"]) for e in entries] == [(a1, "NON_CURRENT"), (a2, "CURRENT")]
    assert lkr(kms, key_id, everything=False) == entries[1:]
    page = kms.list_key_rotations(KeyId=key_id, IncludeKeyMaterial="ALL_KEY_MATERIAL", Limit=1)
    assert page["Truncated"] is True and [e["KeyMaterialId"] for e in page["Rotations"]] == [a1]
    rest = kms.list_key_rotations(KeyId=key_id, IncludeKeyMaterial="ALL_KEY_MATERIAL", Limit=1,
                                  Marker=page["NextMarker"])
    assert rest["Truncated"] is False and "NextMarker" not in rest
    assert [e["KeyMaterialId"] for e in rest["Rotations"]] == [a2]
    assert error_of(kms.list_key_rotations, KeyId=key_id, Marker="bad") == ("InvalidMarkerException", None)
    other = kms.create_key()["KeyMetadata"]["KeyId"]
    assert error_of(kms.list_key_rotations, KeyId=other, Marker=page["NextMarker"]) == (
        "InvalidMarkerException", None)


def test_r52_r53_r54_keys_that_do_not_rotate(kms):
    """R52 to R54, J47 to J50 on an AWS_KMS HMAC key."""
    key = kms.create_key(KeySpec="HMAC_256", KeyUsage="GENERATE_VERIFY_MAC")["KeyMetadata"]
    key_id = key["KeyId"]
    assert gkrs(kms, key_id) == {"KeyRotationEnabled": False, "KeyId": key["Arn"]}
    assert lkr(kms, key_id, everything=False) == []
    assert error_of(kms.enable_key_rotation, KeyId=key_id) == ("UnsupportedOperationException", None)
    assert answer_fields(kms.disable_key_rotation(KeyId=key_id)) == {}
    assert error_of(kms.rotate_key_on_demand, KeyId=key_id) == ("UnsupportedOperationException", None)


def test_r56_an_omitted_period_is_not_the_current_one(kms):
    """R56, J62 to J68, J75: for the policy it is 365 days."""
    key = kms.create_key()["KeyMetadata"]
    key_id = key["KeyId"]

    def refuse(condition):
        kms.put_key_policy(KeyId=key_id, Policy=json.dumps({"Version": "2012-10-17", "Statement": [
            {"Effect": "Allow", "Principal": {"AWS": "arn:aws:iam::000000000000:root"}, "Action": "kms:*",
             "Resource": "*"},
            {"Effect": "Deny", "Principal": "*", "Action": "kms:EnableKeyRotation", "Resource": "*",
             "Condition": condition}]}))

    refused = ("AccessDeniedException",
               "User: arn:aws:iam::000000000000:root is not authorized to perform: kms:EnableKeyRotation on resource: %s "
               "with an explicit deny in a resource-based policy" % key["Arn"])
    refuse({"Null": {"kms:RotationPeriodInDays": "true"}})
    for period in ({}, {"RotationPeriodInDays": 90}, {"RotationPeriodInDays": 180}):  # J63 to J65
        kms.enable_key_rotation(KeyId=key_id, **period)
    refuse({"NumericGreaterThan": {"kms:RotationPeriodInDays": "100"}})
    assert error_of(kms.enable_key_rotation, KeyId=key_id) == refused  # J66
    kms.enable_key_rotation(KeyId=key_id, RotationPeriodInDays=90)  # J67
    assert error_of(kms.enable_key_rotation, KeyId=key_id, RotationPeriodInDays=180) == refused  # J68
    assert error_of(kms.enable_key_rotation, KeyId=key_id) == refused  # J75: 90 is the current period
    assert gkrs(kms, key_id)["RotationPeriodInDays"] == 90


@pytest.mark.parametrize("name", ["get_key_rotation_status", "list_key_rotations", "enable_key_rotation",
                                  "disable_key_rotation", "rotate_key_on_demand"])
@pytest.mark.parametrize("exists", [True, False])
def test_r55_aliases_are_refused(kms, name, exists):
    """R55, J20..J24: on the text alone, whether the alias exists or not."""
    alias = "alias/r55-%s-%s" % (name.replace("_", "-"), exists)
    if exists:
        kms.create_alias(AliasName=alias, TargetKeyId=kms.create_key()["KeyMetadata"]["KeyId"])
    assert error_of(getattr(kms, name), KeyId=alias) == (
        "InvalidArnException", "Key Aliases are not supported for this operation.")
