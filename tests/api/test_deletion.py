"""The deletion window (kms-behaviour 9.2, recorded-imports R36): which windows there are, where a cancelled deletion
leads, what listings and aliases show in each state, and what is left at the end: a receipt for every slot.

Of multi-Region keys test_multi_region.py has the recorded rows; here is what the end of a replica takes along.
"""
import datetime
import json

import pytest

from recorded import answer_fields
from regions import DAY, EAST, WEST, Regions, arn, metadata, relatives
from trent_server import error_of, external_key, import_material, imported_key, parameters_for, until

ROOT = "arn:aws:iam::000000000000:root"


# --- windows --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("days", [7, 8, 29, 30])
def test_windows(server, kms, days):
    """DeletionDate = now + window, shown by DescribeKey to the last second."""
    key = kms.create_key()["KeyMetadata"]
    before = datetime.datetime.fromisoformat(server.advance(0)["now"])
    answer = answer_fields(kms.schedule_key_deletion(KeyId=key["KeyId"], PendingWindowInDays=days))
    after = datetime.datetime.fromisoformat(server.advance(0)["now"])
    assert set(answer) == {"KeyId", "DeletionDate", "KeyState", "PendingWindowInDays"}
    assert (answer["KeyState"], answer["PendingWindowInDays"]) == ("PendingDeletion", days)
    window, second = datetime.timedelta(days=days), datetime.timedelta(seconds=1)
    assert before + window - second <= answer["DeletionDate"] <= after + window + second
    server.advance(days * DAY - 60)
    shown = metadata(kms, key["KeyId"])
    assert (shown["KeyState"], shown["DeletionDate"]) == ("PendingDeletion", answer["DeletionDate"])
    server.advance(60)
    assert error_of(kms.describe_key, KeyId=key["KeyId"]) == (
        "NotFoundException", "Key '%s' does not exist" % key["Arn"])


def test_default_window(kms):
    assert kms.schedule_key_deletion(KeyId=kms.create_key()["KeyMetadata"]["KeyId"])["PendingWindowInDays"] == 30


@pytest.mark.parametrize("days", [1, 6, 31, 365])
def test_windows_refused_by_the_service(kms, days):
    key_id = kms.create_key()["KeyMetadata"]["KeyId"]
    assert error_of(kms.schedule_key_deletion, KeyId=key_id, PendingWindowInDays=days) == (
        "ValidationException", "PendingWindowInDays must be between 7 and 30")
    assert metadata(kms, key_id)["KeyState"] == "Enabled"


@pytest.mark.parametrize("days", [0, -1, 366])
def test_windows_refused_by_the_model(kms, days):
    key_id = kms.create_key()["KeyMetadata"]["KeyId"]
    code, text = error_of(kms.schedule_key_deletion, KeyId=key_id, PendingWindowInDays=days)
    assert code == "ValidationException" and "Value '%d' at 'pendingWindowInDays'" % days in text
    assert metadata(kms, key_id)["KeyState"] == "Enabled"


def test_scheduling_twice_does_not_move_the_window(kms):
    key = kms.create_key()["KeyMetadata"]
    date = kms.schedule_key_deletion(KeyId=key["KeyId"], PendingWindowInDays=20)["DeletionDate"]
    assert error_of(kms.schedule_key_deletion, KeyId=key["KeyId"], PendingWindowInDays=7) == (
        "KMSInvalidStateException", "%s is pending deletion." % key["Arn"])
    assert metadata(kms, key["KeyId"])["DeletionDate"] == date


# --- cancelling -------------------------------------------------------------------------------------------------------


def enabled(kms):
    return kms.create_key()["KeyMetadata"]["KeyId"]


def disabled(kms):
    key_id = enabled(kms)
    kms.disable_key(KeyId=key_id)
    return key_id


def imported(kms):
    return imported_key(kms, b"1" * 32)[0]["KeyId"]


def never_imported(kms):
    return external_key(kms)["KeyId"]


def material_deleted(kms):
    key_id = imported(kms)
    kms.delete_imported_key_material(KeyId=key_id)
    return key_id


@pytest.mark.parametrize("make,state", [(enabled, "Disabled"), (disabled, "Disabled"), (imported, "Disabled"),
                                        (never_imported, "PendingImport"), (material_deleted, "PendingImport")])
def test_where_a_cancelled_deletion_leads(server, kms, make, state):
    """R36: never back to Enabled; the window leaves no trace, and a later one is a new one."""
    key_id = make(kms)
    kms.schedule_key_deletion(KeyId=key_id, PendingWindowInDays=7)
    server.advance(6 * DAY)
    kms.cancel_key_deletion(KeyId=key_id)
    shown = metadata(kms, key_id)
    assert (shown["KeyState"], shown["Enabled"]) == (state, False)
    assert "DeletionDate" not in shown and "PendingDeletionWindowInDays" not in shown
    server.advance(2 * DAY)
    assert metadata(kms, key_id)["KeyState"] == state
    if state == "Disabled":
        kms.enable_key(KeyId=key_id)
    kms.schedule_key_deletion(KeyId=key_id, PendingWindowInDays=7)
    server.advance(6 * DAY)
    assert metadata(kms, key_id)["KeyState"] == "PendingDeletion"


def test_material_deleted_or_expired_within_the_window(server, kms):
    """DeleteImportedKeyMaterial goes on, and expiry too: then a cancelled deletion leads to PendingImport."""
    one = imported(kms)
    kms.schedule_key_deletion(KeyId=one, PendingWindowInDays=7)
    kms.delete_imported_key_material(KeyId=one)
    other = never_imported(kms)
    now = datetime.datetime.fromisoformat(server.advance(0)["now"])
    import_material(kms, other, b"2" * 32, ValidTo=now + datetime.timedelta(days=2))
    kms.schedule_key_deletion(KeyId=other, PendingWindowInDays=7)
    server.advance(3 * DAY)
    for key_id in (one, other):
        assert metadata(kms, key_id)["KeyState"] == "PendingDeletion"
        kms.cancel_key_deletion(KeyId=key_id)
        assert metadata(kms, key_id)["KeyState"] == "PendingImport"


# --- what is listed -----------------------------------------------------------------------------------------------------


def keys_of(kms):
    return {k["KeyId"] for k in kms.get_paginator("list_keys").paginate().build_full_result()["Keys"]}


def aliases_of(kms):
    found = kms.get_paginator("list_aliases").paginate().build_full_result()["Aliases"]
    return {a["AliasName"]: a.get("TargetKeyId") for a in found}


def retirable(kms):
    return {g["GrantId"] for g in kms.list_retirable_grants(RetiringPrincipal=ROOT)["Grants"]}


def test_listings_until_the_end(new_server):
    """Key, aliases, grants, tags and policy are listed while the key is there, in every state, and by nobody when the
    window has ended; the alias's name is free then."""
    server = new_server()
    kms = server.client()
    key_id, other = enabled(kms), enabled(kms)
    kms.create_alias(AliasName="alias/doomed", TargetKeyId=key_id)
    kms.tag_resource(KeyId=key_id, Tags=[{"TagKey": "a", "TagValue": "b"}])
    grant = kms.create_grant(KeyId=key_id, GranteePrincipal=ROOT, RetiringPrincipal=ROOT,
                             Operations=["Decrypt"])["GrantId"]

    def is_listed():
        assert keys_of(kms) == {key_id, other}
        assert aliases_of(kms) == {"alias/doomed": key_id}
        assert [a["AliasName"] for a in kms.list_aliases(KeyId=key_id)["Aliases"]] == ["alias/doomed"]
        assert metadata(kms, "alias/doomed")["KeyId"] == key_id
        assert [g["GrantId"] for g in kms.list_grants(KeyId=key_id)["Grants"]] == [grant] and retirable(kms) == {grant}
        assert kms.list_resource_tags(KeyId=key_id)["Tags"] == [{"TagKey": "a", "TagValue": "b"}]
        assert kms.list_key_policies(KeyId=key_id)["PolicyNames"] == ["default"]

    is_listed()
    kms.disable_key(KeyId=key_id)
    is_listed()
    kms.schedule_key_deletion(KeyId=key_id, PendingWindowInDays=7)
    is_listed()
    kms.cancel_key_deletion(KeyId=key_id)
    is_listed()
    kms.schedule_key_deletion(KeyId=key_id, PendingWindowInDays=7)
    server.advance(7 * DAY - 60)
    is_listed()
    assert error_of(kms.create_alias, AliasName="alias/doomed", TargetKeyId=other)[0] == "AlreadyExistsException"

    server.advance(60)
    gone = ("NotFoundException", "Key '%s' does not exist" % arn(key_id, EAST))
    assert keys_of(kms) == {other}
    for call in (kms.list_grants, kms.list_resource_tags, kms.list_key_policies, kms.get_key_policy, kms.list_aliases,
                 kms.list_key_rotations, kms.get_key_rotation_status, kms.cancel_key_deletion):
        assert error_of(call, KeyId=key_id) == gone
    assert error_of(kms.describe_key, KeyId="alias/doomed")[0] == "NotFoundException"
    until(lambda: aliases_of(kms) == {} and retirable(kms) == set())
    kms.create_alias(AliasName="alias/doomed", TargetKeyId=other)
    assert metadata(kms, "alias/doomed")["KeyId"] == other


def test_aliases_of_a_key_pending_deletion(kms):
    """5.1: an alias may be taken away from it or deleted, not given to it."""
    key, other = kms.create_key()["KeyMetadata"], enabled(kms)
    for name in ("alias/moves", "alias/goes", "alias/stays"):
        kms.create_alias(AliasName=name, TargetKeyId=key["KeyId"])
    kms.create_alias(AliasName="alias/of-other", TargetKeyId=other)
    kms.schedule_key_deletion(KeyId=key["KeyId"], PendingWindowInDays=7)
    kms.update_alias(AliasName="alias/moves", TargetKeyId=other)
    kms.delete_alias(AliasName="alias/goes")
    refusal = ("KMSInvalidStateException", "%s is pending deletion." % key["Arn"])
    assert error_of(kms.update_alias, AliasName="alias/of-other", TargetKeyId=key["KeyId"]) == refusal
    assert error_of(kms.create_alias, AliasName="alias/new", TargetKeyId=key["KeyId"]) == refusal
    assert [a["AliasName"] for a in kms.list_aliases(KeyId=key["KeyId"])["Aliases"]] == ["alias/stays"]


# --- what is erased, and the receipts --------------------------------------------------------------------------------


def receipts(server, key_arn, reason="key-deletion"):
    """Their details, if the tool finds each signature good."""
    done = server.trent("receipts", key_arn, "--json", check=False)
    if done.returncode != 0:
        return []
    found = json.loads(done.stdout)
    assert all(r["signature"] == "good" for r in found)
    details = [json.loads(r["record"])["serviceEventDetails"] for r in found]
    return [d for d in details if d["reason"] == reason and d["keyArn"] == key_arn]


def materials(kms, key_id):
    return {e["KeyMaterialId"]
            for e in kms.list_key_rotations(KeyId=key_id, IncludeKeyMaterial="ALL_KEY_MATERIAL")["Rotations"]}


def test_a_receipt_for_every_material(new_server):
    """Old and new materials of generated and imported keys, each with a receipt that names it; the wrapping key of an
    import that was never used has one too."""
    server = new_server()
    kms = server.client()
    generated = kms.create_key()["KeyMetadata"]
    for _ in range(2):
        kms.rotate_key_on_demand(KeyId=generated["KeyId"])
    brought, _ = imported_key(kms, b"1" * 32)
    import_material(kms, brought["KeyId"], b"2" * 32, ImportType="NEW_KEY_MATERIAL")
    kept = enabled(kms)
    expected = {k["Arn"]: materials(kms, k["KeyId"]) for k in (generated, brought)}
    assert [len(m) for m in expected.values()] == [3, 2]
    for key in (generated, brought):
        kms.schedule_key_deletion(KeyId=key["KeyId"], PendingWindowInDays=7)
    server.advance(7 * DAY - 3600)
    parameters_for(kms, never_imported(kms))  # of another key: it stays
    assert receipts(server, generated["Arn"]) == receipts(server, brought["Arn"]) == []
    server.advance(3600)
    for key_arn, ids in expected.items():
        found = until(lambda: len(r := receipts(server, key_arn)) == len(ids) and r)
        assert {r["materialId"] for r in found} == ids
        assert {r["slotClass"] for r in found} == {"durable" if key_arn == generated["Arn"] else "erasable"}
        assert all(r["databaseClean"] and not r["alreadyEmpty"] for r in found)
    assert metadata(kms, kept)["KeyState"] == "Enabled"
    assert receipts(server, arn(kept, EAST)) == []


def test_an_unused_import_token_goes_with_its_key(new_server):
    server = new_server()
    kms = server.client()
    key_id = never_imported(kms)
    kms.schedule_key_deletion(KeyId=key_id, PendingWindowInDays=7)
    kms.cancel_key_deletion(KeyId=key_id)
    kms.schedule_key_deletion(KeyId=key_id, PendingWindowInDays=7)
    server.advance(7 * DAY - 60)
    kms.cancel_key_deletion(KeyId=key_id)
    parameters_for(kms, key_id)
    kms.schedule_key_deletion(KeyId=key_id, PendingWindowInDays=7)
    server.advance(7 * DAY)
    found = until(lambda: receipts(server, arn(key_id, EAST), "import-key"))
    assert len(found) == 1 and found[0]["materialId"] is None
    assert receipts(server, arn(key_id, EAST)) == []  # there never was a material


def test_the_end_of_a_replica(new_server):
    """Its slots are erased with receipts by its own ARN, its alias, grant and tags go; the primary keeps its own, and
    its materials."""
    server = new_server("--region-delay=0")
    at = Regions(server)
    key_id = at.east.create_key(MultiRegion=True)["KeyMetadata"]["KeyId"]
    at.east.rotate_key_on_demand(KeyId=key_id)
    at.east.replicate_key(KeyId=key_id, ReplicaRegion=WEST, Tags=[{"TagKey": "a", "TagValue": "b"}])
    ids = materials(at.west, key_id)
    grants = {}
    for region in (EAST, WEST):
        at[region].create_alias(AliasName="alias/both", TargetKeyId=key_id)
        grants[region] = at[region].create_grant(KeyId=key_id, GranteePrincipal=ROOT, RetiringPrincipal=ROOT,
                                                 Operations=["Decrypt"])["GrantId"]
    blob = at.west.encrypt(KeyId=key_id, Plaintext=b"x")["CiphertextBlob"]
    at.west.schedule_key_deletion(KeyId=key_id, PendingWindowInDays=7)
    assert aliases_of(at.west) == {"alias/both": key_id} and keys_of(at.west) == {key_id}
    server.advance(7 * DAY)

    assert keys_of(at.west) == set()
    until(lambda: aliases_of(at.west) == {} and retirable(at.west) == set())
    found = until(lambda: len(r := receipts(server, arn(key_id, WEST))) == 2 and r)
    assert {r["materialId"] for r in found} == ids
    assert receipts(server, arn(key_id, EAST)) == []
    assert aliases_of(at.east) == {"alias/both": key_id} and retirable(at.east) == {grants[EAST]}
    assert at.east.decrypt(CiphertextBlob=blob)["Plaintext"] == b"x"
    until(lambda: metadata(at.east, key_id)["MultiRegionConfiguration"] == relatives(key_id, "PRIMARY", EAST))

    at.east.replicate_key(KeyId=key_id, ReplicaRegion=WEST)
    assert at.west.list_resource_tags(KeyId=key_id)["Tags"] == [] and at.west.list_grants(KeyId=key_id)["Grants"] == []
    assert at.west.decrypt(CiphertextBlob=blob)["Plaintext"] == b"x"


def test_the_end_of_a_whole_family(new_server):
    """Primary and replicas, over a restart in between: everything goes, each with its receipts."""
    server = new_server("--region-delay=0")
    at = Regions(server)
    key_id = at.east.create_key(MultiRegion=True, Origin="EXTERNAL")["KeyMetadata"]["KeyId"]
    material = import_material(at.east, key_id, b"1" * 32)["KeyMaterialId"]
    at.east.replicate_key(KeyId=key_id, ReplicaRegion=WEST)
    assert import_material(at.west, key_id, b"1" * 32)["KeyMaterialId"] == material
    at.east.schedule_key_deletion(KeyId=key_id, PendingWindowInDays=8)
    at.west.schedule_key_deletion(KeyId=key_id, PendingWindowInDays=7)
    server.advance(7 * DAY)
    until(lambda: metadata(at.east, key_id)["KeyState"] == "PendingDeletion")
    server.stop()
    server.start()
    at = Regions(server)
    server.advance(7 * DAY)  # from where the clock was: its floor is stored
    shown = metadata(at.east, key_id)
    assert shown["KeyState"] == "PendingDeletion" and "DeletionDate" in shown
    server.advance(DAY)
    until(lambda: error_of(at.east.describe_key, KeyId=key_id)[0] == "NotFoundException")
    for region in (EAST, WEST):
        found = until(lambda: receipts(server, arn(key_id, region)))
        assert [r["materialId"] for r in found] == [material]
