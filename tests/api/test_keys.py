"""Keys, aliases, tags, listings, cryptography: codes, texts, field sets and the order of checks of kms-behaviour."""
import base64
import datetime
import json
import re

import pytest

from trent_server import error_of, external_key, imported_key

MISSING = "11111111-2222-3333-4444-555555555555"
ARN = "arn:aws:kms:us-east-1:000000000000:"


def fields(answer):
    return {k: v for k, v in answer.items() if k != "ResponseMetadata"}


@pytest.fixture(scope="module")
def key(kms):
    return kms.create_key(Description="module")["KeyMetadata"]


# --- CreateKey, DescribeKey ---------------------------------------------------------------------------------


def test_create_key_metadata(kms):
    """15.7: the recorded field set of an AWS_KMS symmetric key."""
    m = kms.create_key()["KeyMetadata"]
    assert set(m) == {"AWSAccountId", "Arn", "CreationDate", "CurrentKeyMaterialId", "CustomerMasterKeySpec",
                      "Description", "Enabled", "EncryptionAlgorithms", "KeyId", "KeyManager", "KeySpec", "KeyState",
                      "KeyUsage", "MultiRegion", "Origin"}
    assert re.fullmatch("[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}", m["KeyId"])
    assert m["Arn"] == ARN + "key/" + m["KeyId"] and m["KeyState"] == "Enabled" and m["Enabled"] is True
    assert abs(m["CreationDate"] - datetime.datetime.now(datetime.timezone.utc)) < datetime.timedelta(minutes=5)
    assert kms.describe_key(KeyId=m["KeyId"])["KeyMetadata"] == m


def test_create_multi_region_primary(kms):
    """9.1: mrk- and 32 hex digits, PRIMARY, no replicas."""
    m = kms.create_key(MultiRegion=True)["KeyMetadata"]
    assert re.fullmatch("mrk-[0-9a-f]{32}", m["KeyId"]) and m["MultiRegion"] is True
    assert m["MultiRegionConfiguration"] == {"MultiRegionKeyType": "PRIMARY", "ReplicaKeys": [],
                                             "PrimaryKey": {"Arn": m["Arn"], "Region": "us-east-1"}}


@pytest.mark.parametrize("parameters,error", [
    ({"KeySpec": "HMAC_256"}, ("ValidationException", "You must specify a KeyUsage value for all KMS keys except for "
                               "symmetric encryption keys.")),
    ({"KeySpec": "RSA_2048", "KeyUsage": "KEY_AGREEMENT"},
     ("ValidationException", "KeyUsage KEY_AGREEMENT is not compatible with KeySpec RSA_2048")),
    ({"KeySpec": "SYMMETRIC_DEFAULT", "CustomerMasterKeySpec": "SYMMETRIC_DEFAULT"},
     ("ValidationException", "You cannot specify KeySpec and CustomerMasterKeySpec in the same request. "
      "CustomerMasterKeySpec is deprecated.")),
    ({"KeySpec": "SM2", "KeyUsage": "SIGN_VERIFY"},
     ("UnsupportedOperationException", "KeySpec SM2 is not supported in this Region")),
    ({"Tags": [{"TagKey": "a", "TagValue": "1"}, {"TagKey": "a", "TagValue": "2"}]},
     ("TagException", "Duplicate tag keys")),
    ({"Tags": [{"TagKey": "AWS:x", "TagValue": "1"}]}, ("TagException", "Tags beginning with aws: are reserved")),
    ({"Tags": [{"TagKey": "k%d" % i, "TagValue": ""} for i in range(51)]}, ("TagException", "Too many tags")),
])
def test_create_key_refusals(kms, parameters, error):
    assert error_of(kms.create_key, **parameters) == error


def test_unknown_keys(kms):
    """3.2: the NotFoundException texts, by what was sent."""
    cases = {
        MISSING: "Key '%skey/%s' does not exist" % (ARN, MISSING),
        ARN + "key/" + MISSING: "Key '%skey/%s' does not exist" % (ARN, MISSING),
        "mrk-fake-key-id": "Invalid keyId 'mrk-fake-key-id'",
        MISSING.replace("-", ""): "Invalid keyId '%s'" % MISSING.replace("-", ""),
        ARN + "key/foo": "Invalid keyId foo",
        "arn:aws:kms:us-west-2:000000000000:key/" + MISSING: "Invalid arn us-west-2",
        "alias/none": "Alias %salias/none is not found." % ARN,
        ARN + "alias/none": "Alias %salias/none is not found." % ARN,
        MISSING.upper(): None,
    }
    for sent, text in cases.items():
        code, got = error_of(kms.describe_key, KeyId=sent)
        assert code == "NotFoundException" and (text is None or got == text), sent


@pytest.mark.parametrize("call,more", [
    ("enable_key", {}), ("disable_key", {}), ("schedule_key_deletion", {}), ("cancel_key_deletion", {}),
    ("update_key_description", {"Description": ""}), ("tag_resource", {"Tags": []}),
    ("untag_resource", {"TagKeys": []}), ("list_resource_tags", {}), ("list_aliases", {}),
    ("delete_imported_key_material", {}),
    ("get_parameters_for_import", {"WrappingAlgorithm": "RSAES_OAEP_SHA_256", "WrappingKeySpec": "RSA_2048"}),
    ("import_key_material", {"ImportToken": b"x", "EncryptedKeyMaterial": b"x",
                             "ExpirationModel": "KEY_MATERIAL_DOES_NOT_EXPIRE"})])
def test_key_id_only_operations_refuse_aliases(kms, call, more):
    """4.2: decided on the text alone."""
    for alias in ("alias/none", ARN + "alias/none"):
        assert error_of(getattr(kms, call), KeyId=alias, **more) == (
            "InvalidArnException", "Key Aliases are not supported for this operation.")


# --- state ---------------------------------------------------------------------------------------------------------


def test_disable_and_enable(kms):
    m = kms.create_key()["KeyMetadata"]
    blob = kms.encrypt(KeyId=m["KeyId"], Plaintext=b"x")["CiphertextBlob"]
    for _ in range(2):  # idempotent
        assert fields(kms.disable_key(KeyId=m["KeyId"])) == {}
    disabled = ("DisabledException", "%s is disabled." % m["Arn"])
    assert error_of(kms.encrypt, KeyId=m["KeyId"], Plaintext=b"x") == disabled
    assert error_of(kms.decrypt, CiphertextBlob=blob) == disabled
    assert error_of(kms.generate_data_key, KeyId=m["KeyId"], KeySpec="AES_256") == disabled
    for _ in range(2):
        kms.enable_key(KeyId=m["KeyId"])
    assert kms.decrypt(CiphertextBlob=blob)["Plaintext"] == b"x"


def test_deletion_window(kms):
    """9.2, and what PendingDeletion refuses (5.1)."""
    m = kms.create_key()["KeyMetadata"]
    key_id, arn = m["KeyId"], m["Arn"]
    blob = kms.encrypt(KeyId=key_id, Plaintext=b"x")["CiphertextBlob"]
    for days in (5, 31):
        assert error_of(kms.schedule_key_deletion, KeyId=key_id, PendingWindowInDays=days) == (
            "ValidationException", "PendingWindowInDays must be between 7 and 30")
    assert error_of(kms.cancel_key_deletion, KeyId=key_id) == (
        "KMSInvalidStateException", "%s is not pending deletion." % arn)
    answer = fields(kms.schedule_key_deletion(KeyId=key_id))
    assert (answer["KeyId"], answer["KeyState"], answer["PendingWindowInDays"]) == (arn, "PendingDeletion", 30)
    described = kms.describe_key(KeyId=key_id)["KeyMetadata"]
    assert described["DeletionDate"] == answer["DeletionDate"] and described["Enabled"] is False
    pending = ("KMSInvalidStateException", "%s is pending deletion." % arn)
    for call in (lambda: kms.schedule_key_deletion(KeyId=key_id), lambda: kms.enable_key(KeyId=key_id),
                 lambda: kms.disable_key(KeyId=key_id), lambda: kms.encrypt(KeyId=key_id, Plaintext=b"x"),
                 lambda: kms.decrypt(CiphertextBlob=blob), lambda: kms.tag_resource(KeyId=key_id, Tags=[]),
                 lambda: kms.update_key_description(KeyId=key_id, Description="x"),
                 lambda: kms.create_alias(AliasName="alias/doomed", TargetKeyId=key_id)):
        assert error_of(call) == pending
    assert key_id in {k["KeyId"] for k in kms.get_paginator("list_keys").paginate().build_full_result()["Keys"]}
    assert fields(kms.cancel_key_deletion(KeyId=key_id)) == {"KeyId": arn}
    described = kms.describe_key(KeyId=key_id)["KeyMetadata"]
    assert described["KeyState"] == "Disabled" and "DeletionDate" not in described


def test_end_of_the_deletion_window(new_server):
    """9.2: key, aliases and tags vanish; the decision does not wait for the job; the slots are erased."""
    server = new_server()
    kms = server.client()
    m = kms.create_key()["KeyMetadata"]
    kms.create_alias(AliasName="alias/doomed", TargetKeyId=m["KeyId"])
    imported, _ = imported_key(kms, b"d" * 32)
    blob = kms.encrypt(KeyId=m["KeyId"], Plaintext=b"x")["CiphertextBlob"]
    for key_id in (m["KeyId"], imported["KeyId"]):
        kms.schedule_key_deletion(KeyId=key_id, PendingWindowInDays=7)
    server.advance(7 * 86400 + 1)
    gone = ("NotFoundException", "Key '%s' does not exist" % m["Arn"])
    assert error_of(kms.describe_key, KeyId=m["KeyId"]) == gone
    assert error_of(kms.cancel_key_deletion, KeyId=m["KeyId"]) == gone
    assert error_of(kms.decrypt, CiphertextBlob=blob)[0] == "AccessDeniedException"
    assert error_of(kms.describe_key, KeyId="alias/doomed")[0] == "NotFoundException"
    assert kms.list_aliases()["Aliases"] == [] and kms.list_keys()["Keys"] == []
    import time
    deadline = time.monotonic() + 20
    while len([r for r in server.audit() if r["eventName"] == "TrentReceipt"
               and r["serviceEventDetails"]["reason"] == "key-deletion"]) < 2:
        assert time.monotonic() < deadline
        time.sleep(0.05)
    assert len([r for r in server.audit() if r["eventName"] == "DeleteKey"]) == 2


def test_update_description(kms):
    m = kms.create_key()["KeyMetadata"]
    assert fields(kms.update_key_description(KeyId=m["KeyId"], Description="snow \u2603 man")) == {}
    assert kms.describe_key(KeyId=m["Arn"])["KeyMetadata"]["Description"] == "snow \u2603 man"
    kms.update_key_description(KeyId=m["KeyId"], Description="")
    assert kms.describe_key(KeyId=m["KeyId"])["KeyMetadata"]["Description"] == ""


# --- aliases -------------------------------------------------------------------------------------------------------


def test_alias_life(kms):
    a, b = (kms.create_key()["KeyMetadata"] for _ in range(2))
    assert fields(kms.create_alias(AliasName="alias/life", TargetKeyId=a["KeyId"])) == {}
    assert error_of(kms.create_alias, AliasName="alias/life", TargetKeyId=b["KeyId"]) == (
        "AlreadyExistsException", "An alias with the name %salias/life already exists" % ARN)
    blob = kms.encrypt(KeyId="alias/life", Plaintext=b"x")
    assert blob["KeyId"] == a["Arn"]
    entry = kms.list_aliases(KeyId=a["KeyId"])["Aliases"][0]
    assert set(entry) == {"AliasName", "AliasArn", "TargetKeyId", "CreationDate", "LastUpdatedDate"}
    assert entry["TargetKeyId"] == a["KeyId"] and entry["AliasArn"] == ARN + "alias/life"
    assert fields(kms.update_alias(AliasName="alias/life", TargetKeyId=b["Arn"])) == {}
    assert kms.describe_key(KeyId=ARN + "alias/life")["KeyMetadata"]["KeyId"] == b["KeyId"]
    assert kms.decrypt(CiphertextBlob=blob["CiphertextBlob"])["KeyId"] == a["Arn"]
    assert error_of(kms.decrypt, CiphertextBlob=blob["CiphertextBlob"], KeyId="alias/life") == (
        "IncorrectKeyException", "The key ID in the request does not identify a CMK that can perform this operation.")
    assert kms.list_aliases(KeyId=a["KeyId"])["Aliases"] == []
    assert fields(kms.delete_alias(AliasName="alias/life")) == {}
    assert error_of(kms.delete_alias, AliasName="alias/life") == (
        "NotFoundException", "Alias %salias/life is not found." % ARN)
    assert error_of(kms.update_alias, AliasName="alias/life", TargetKeyId=a["KeyId"])[0] == "NotFoundException"


def test_alias_names(kms, key):
    assert error_of(kms.create_alias, AliasName="nothing", TargetKeyId=key["KeyId"]) == (
        "ValidationException", 'Alias must start with the prefix "alias/". Please see '
        "https://docs.aws.amazon.com/kms/latest/developerguide/kms-alias.html")
    assert error_of(kms.create_alias, AliasName="alias/aws/mine", TargetKeyId=key["KeyId"]) == (
        "NotAuthorizedException", None)
    code, text = error_of(kms.create_alias, AliasName="alias/a b", TargetKeyId=key["KeyId"])
    assert code == "ValidationException" and text == (
        "1 validation error detected: Value 'alias/a b' at 'aliasName' failed to satisfy constraint: Member must "
        "satisfy regular expression pattern: ^[a-zA-Z0-9:/_-]+$")
    assert error_of(kms.create_alias, AliasName="alias/a:b", TargetKeyId=key["KeyId"])[0] == "ValidationException"


def test_alias_quota(kms):
    m = kms.create_key()["KeyMetadata"]
    for i in range(50):
        kms.create_alias(AliasName="alias/quota/%d" % i, TargetKeyId=m["KeyId"])
    code, text = error_of(kms.create_alias, AliasName="alias/quota/50", TargetKeyId=m["KeyId"])
    assert code == "LimitExceededException" and "is 50" in text
    seen = []
    marker = {}
    while True:
        page = kms.list_aliases(KeyId=m["KeyId"], Limit=20, **marker)
        seen += [a["AliasName"] for a in page["Aliases"]]
        if not page["Truncated"]:
            break
        marker = {"Marker": page["NextMarker"]}
    assert sorted(seen) == sorted("alias/quota/%d" % i for i in range(50))


# --- tags ---------------------------------------------------------------------------------------------------------


def test_tags(kms):
    m = kms.create_key(Tags=[{"TagKey": "a", "TagValue": "1"}, {"TagKey": "b", "TagValue": "2"}])["KeyMetadata"]
    key_id = m["KeyId"]
    assert fields(kms.tag_resource(KeyId=key_id, Tags=[{"TagKey": "c", "TagValue": ""},
                                                       {"TagKey": "a", "TagValue": "9"}])) == {}
    assert kms.list_resource_tags(KeyId=key_id)["Tags"] == [
        {"TagKey": "a", "TagValue": "9"}, {"TagKey": "b", "TagValue": "2"}, {"TagKey": "c", "TagValue": ""}]
    page = kms.list_resource_tags(KeyId=key_id, Limit=2)
    assert page["Truncated"] is True and len(page["Tags"]) == 2
    assert kms.list_resource_tags(KeyId=key_id, Limit=2, Marker=page["NextMarker"])["Tags"] == [
        {"TagKey": "c", "TagValue": ""}]
    assert fields(kms.untag_resource(KeyId=key_id, TagKeys=["b", "unknown"])) == {}
    assert [t["TagKey"] for t in kms.list_resource_tags(KeyId=key_id)["Tags"]] == ["a", "c"]
    assert error_of(kms.tag_resource, KeyId=key_id, Tags=[{"TagKey": "x" * 129, "TagValue": ""}]) == (
        "ValidationException", "1 validation error detected: Value '%s' at 'tags.1.member.tagKey' failed to satisfy "
        "constraint: Member must have length less than or equal to 128" % ("x" * 129))
    assert error_of(kms.tag_resource, KeyId=key_id, Tags=[{"TagKey": "t%d" % i, "TagValue": ""} for i in range(49)]) == (
        "TagException", "Too many tags")


# --- listings --------------------------------------------------------------------------------------------------------


def test_list_keys_pages(new_server):
    """13.3: stable pages, also while keys are made and deleted in between."""
    kms = new_server().client()
    made = [kms.create_key()["KeyMetadata"]["KeyId"] for _ in range(7)]
    seen, marker = [], {}
    while True:
        page = kms.list_keys(Limit=3, **marker)
        seen += [k["KeyId"] for k in page["Keys"]]
        assert all(set(k) == {"KeyId", "KeyArn"} for k in page["Keys"])
        if not page["Truncated"]:
            assert "NextMarker" not in page
            break
        marker = {"Marker": page["NextMarker"]}
        if len(seen) == 3:
            made.append(kms.create_key()["KeyMetadata"]["KeyId"])
    assert sorted(seen) == sorted(made) and len(set(seen)) == len(seen)


@pytest.mark.parametrize("call,top", [("list_keys", 1000), ("list_aliases", 100)])
def test_limit_ranges(kms, call, top):
    text = "1 validation error detected: Value '%d' at 'limit' failed to satisfy constraint: Member must have value %s"
    assert error_of(getattr(kms, call), Limit=0) == (
        "ValidationException", text % (0, "greater than or equal to 1"))
    assert error_of(getattr(kms, call), Limit=top + 1) == (
        "ValidationException", text % (top + 1, "less than or equal to %d" % top))
    assert error_of(getattr(kms, call), Marker="none of ours") == ("InvalidMarkerException", None)


def test_markers_are_bound_to_their_listing(kms, server):
    for _ in range(2):
        kms.create_key()
    marker = kms.list_keys(Limit=1)["NextMarker"]
    assert error_of(kms.list_aliases, Marker=marker) == ("InvalidMarkerException", None)
    assert error_of(server.client(region="eu-west-1").list_keys, Marker=marker) == ("InvalidMarkerException", None)


# --- cryptography -------------------------------------------------------------------------------------------------------


def test_encryption_context(kms, key):
    """Section 10: same pairs in any order, empty as absent; anything else is InvalidCiphertext without message."""
    context = {"b": "2", "a": "1", "\U0001f511": "\u00fc", "": "empty key"}
    blob = kms.encrypt(KeyId=key["KeyId"], Plaintext=b"x", EncryptionContext=context)["CiphertextBlob"]
    assert kms.decrypt(CiphertextBlob=blob, EncryptionContext=dict(reversed(context.items())))["Plaintext"] == b"x"
    for wrong in ({}, {"a": "1"}, {**context, "c": "3"}, {**context, "a": "2"}, {**context, "A": "1"}):
        assert error_of(kms.decrypt, CiphertextBlob=blob, EncryptionContext=wrong) == (
            "InvalidCiphertextException", None)
    plain = kms.encrypt(KeyId=key["KeyId"], Plaintext=b"x", EncryptionContext={})["CiphertextBlob"]
    assert kms.decrypt(CiphertextBlob=plain)["Plaintext"] == b"x"


def test_context_sorting_above_the_basic_plane(kms, key):
    """UTF-8 order and UTF-16 order differ above U+FFFF: still one canonical form."""
    context = {"\uff5e": "1", "\U00010000": "2"}
    blob = kms.encrypt(KeyId=key["KeyId"], Plaintext=b"x", EncryptionContext=context)["CiphertextBlob"]
    again = {"\U00010000": "2", "\uff5e": "1"}
    assert kms.decrypt(CiphertextBlob=blob, EncryptionContext=again)["Plaintext"] == b"x"


def test_every_changed_byte_is_refused(kms, key):
    """A flipped bit anywhere: one error; a foreign material id is a key that is not there."""
    blob = kms.encrypt(KeyId=key["KeyId"], Plaintext=b"x")["CiphertextBlob"]
    for at in range(len(blob)):
        damaged = blob[:at] + bytes([blob[at] ^ 1]) + blob[at + 1:]
        error = error_of(kms.decrypt, CiphertextBlob=damaged)
        if 5 <= at < 37:
            assert error[0] == "AccessDeniedException", at
        else:
            assert error == ("InvalidCiphertextException", None), at
    for cut in (1, 36, 37, 151, len(blob) - 1):
        assert error_of(kms.decrypt, CiphertextBlob=blob[:cut]) == ("InvalidCiphertextException", None)
    assert error_of(kms.decrypt, CiphertextBlob=blob + b"\0") == ("InvalidCiphertextException", None)


def test_decrypt_names(kms, key):
    """1.5 step 6: garbage before the key, then the key that is named."""
    other = kms.create_key()["KeyMetadata"]
    blob = kms.encrypt(KeyId=key["KeyId"], Plaintext=b"x")["CiphertextBlob"]
    assert kms.decrypt(CiphertextBlob=blob, KeyId=key["Arn"])["Plaintext"] == b"x"
    assert error_of(kms.decrypt, CiphertextBlob=blob, KeyId=other["KeyId"])[0] == "IncorrectKeyException"
    assert error_of(kms.decrypt, CiphertextBlob=b"garbage", KeyId=other["KeyId"]) == (
        "InvalidCiphertextException", None)
    assert error_of(kms.decrypt, CiphertextBlob=blob, EncryptionAlgorithm="RSAES_OAEP_SHA_256") == (
        "ValidationException", "KeyId must not be null")
    assert error_of(kms.decrypt, CiphertextBlob=blob, EncryptionAlgorithm="RSAES_OAEP_SHA_256",
                    KeyId=key["KeyId"])[0] == "InvalidKeyUsageException"


def test_incorrect_key_before_state(kms, key):
    """Decrypt with the wrong key: reported before that key's state."""
    disabled = kms.create_key()["KeyMetadata"]["KeyId"]
    kms.disable_key(KeyId=disabled)
    blob = kms.encrypt(KeyId=key["KeyId"], Plaintext=b"x")["CiphertextBlob"]
    assert error_of(kms.decrypt, CiphertextBlob=blob, KeyId=disabled)[0] == "IncorrectKeyException"


def test_re_encrypt(kms, key):
    other = kms.create_key()["KeyMetadata"]
    blob = kms.encrypt(KeyId=key["KeyId"], Plaintext=b"moved", EncryptionContext={"a": "1"})["CiphertextBlob"]
    answer = fields(kms.re_encrypt(CiphertextBlob=blob, SourceEncryptionContext={"a": "1"},
                                   DestinationKeyId=other["Arn"], DestinationEncryptionContext={"b": "2"}))
    moved = answer.pop("CiphertextBlob")
    assert answer == {"SourceKeyId": key["Arn"], "KeyId": other["Arn"],
                      "SourceEncryptionAlgorithm": "SYMMETRIC_DEFAULT",
                      "DestinationEncryptionAlgorithm": "SYMMETRIC_DEFAULT",
                      "SourceKeyMaterialId": key["CurrentKeyMaterialId"],
                      "DestinationKeyMaterialId": other["CurrentKeyMaterialId"]}
    assert kms.decrypt(CiphertextBlob=moved, EncryptionContext={"b": "2"})["Plaintext"] == b"moved"
    assert error_of(kms.re_encrypt, CiphertextBlob=blob, DestinationKeyId=other["KeyId"]) == (
        "InvalidCiphertextException", None)


def test_data_keys(kms, key):
    for parameters, length in (({"KeySpec": "AES_256"}, 32), ({"KeySpec": "AES_128"}, 16), ({"NumberOfBytes": 1}, 1),
                               ({"NumberOfBytes": 1024}, 1024)):
        answer = kms.generate_data_key(KeyId=key["KeyId"], **parameters)
        assert len(answer["Plaintext"]) == length
        assert kms.decrypt(CiphertextBlob=answer["CiphertextBlob"])["Plaintext"] == answer["Plaintext"]
        without = kms.generate_data_key_without_plaintext(KeyId=key["KeyId"], **parameters)
        assert "Plaintext" not in without
        assert len(kms.decrypt(CiphertextBlob=without["CiphertextBlob"])["Plaintext"]) == length
    text = ("ValidationException", "Please specify either number of bytes or key spec.")
    assert error_of(kms.generate_data_key, KeyId=key["KeyId"]) == text
    assert error_of(kms.generate_data_key, KeyId=key["KeyId"], KeySpec="AES_256", NumberOfBytes=32) == text
    code, got = error_of(kms.generate_data_key, KeyId=key["KeyId"], KeySpec="RSA_2048")
    assert code == "ValidationException" and got.startswith(
        "1 validation error detected: Value 'RSA_2048' at 'keySpec' failed to satisfy constraint: Member must satisfy "
        "enum value set: [RSA_2048, RSA_3072, RSA_4096, ECC_NIST_P256,")


def test_generate_random(kms):
    assert len(kms.generate_random(NumberOfBytes=1024)["Plaintext"]) == 1024
    assert kms.generate_random(NumberOfBytes=32)["Plaintext"] != kms.generate_random(NumberOfBytes=32)["Plaintext"]
    assert error_of(kms.generate_random) == ("ValidationException", "NumberOfBytes is required.")
    text = "1 validation error detected: Value '%d' at 'numberOfBytes' failed to satisfy constraint: Member must have value %s"
    assert error_of(kms.generate_random, NumberOfBytes=0) == (
        "ValidationException", text % (0, "greater than or equal to 1"))
    assert error_of(kms.generate_random, NumberOfBytes=1025) == (
        "ValidationException", text % (1025, "less than or equal to 1024"))


def test_dry_run(kms, key):
    """10.1: never succeeds; other errors come first; nothing changes."""
    dry = ("DryRunOperationException", "The request would have succeeded, but the DryRun option is set.")
    blob = kms.encrypt(KeyId=key["KeyId"], Plaintext=b"x")["CiphertextBlob"]
    assert error_of(kms.encrypt, KeyId=key["KeyId"], Plaintext=b"x", DryRun=True) == dry
    assert error_of(kms.decrypt, CiphertextBlob=blob, DryRun=True) == dry
    assert error_of(kms.re_encrypt, CiphertextBlob=blob, DestinationKeyId=key["KeyId"], DryRun=True) == dry
    assert error_of(kms.generate_data_key, KeyId=key["KeyId"], KeySpec="AES_256", DryRun=True) == dry
    assert error_of(kms.generate_data_key_without_plaintext, KeyId=key["KeyId"], KeySpec="AES_256", DryRun=True) == dry
    assert error_of(kms.decrypt, CiphertextBlob=blob, EncryptionContext={"a": "b"}, DryRun=True) == (
        "InvalidCiphertextException", None)
    assert error_of(kms.decrypt, KeyId=key["KeyId"], DryRun=True, DryRunModifiers=["IGNORE_CIPHERTEXT"]) == dry
    assert kms.encrypt(KeyId=key["KeyId"], Plaintext=b"x", DryRun=False)["KeyId"] == key["Arn"]


def test_plaintext_limits(kms, key):
    assert len(kms.encrypt(KeyId=key["KeyId"], Plaintext=b"x" * 4096)["CiphertextBlob"]) == 4248
    assert error_of(kms.encrypt, KeyId=key["KeyId"], Plaintext=b"x" * 4097) == (
        "ValidationException", "1 validation error detected: Value at 'plaintext' failed to satisfy constraint: Member "
        "must have length less than or equal to 4096")
    assert error_of(kms.encrypt, KeyId=key["KeyId"], Plaintext=b"") == (
        "ValidationException", "1 validation error detected: Value at 'plaintext' failed to satisfy constraint: Member "
        "must have length greater than or equal to 1")


def test_algorithm_of_another_key(kms, key):
    assert error_of(kms.encrypt, KeyId=key["KeyId"], Plaintext=b"x", EncryptionAlgorithm="RSAES_OAEP_SHA_256") == (
        "InvalidKeyUsageException", "Algorithm RSAES_OAEP_SHA_256 is incompatible with key spec SYMMETRIC_DEFAULT.")


def test_state_before_algorithm(kms):
    m = kms.create_key()["KeyMetadata"]
    kms.disable_key(KeyId=m["KeyId"])
    assert error_of(kms.encrypt, KeyId=m["KeyId"], Plaintext=b"x", EncryptionAlgorithm="RSAES_OAEP_SHA_256")[0] == (
        "DisabledException")


# --- validation and framing (1.5, 1.6) ------------------------------------------------------------------------------------


def post(server, operation, body, **headers):
    """A request with any body, signed by botocore."""
    import requests
    from botocore.auth import SigV4Auth
    from botocore.awsrequest import AWSRequest
    from botocore.credentials import Credentials
    request = AWSRequest("POST", server.url + "/", data=body, headers={
        "Content-Type": "application/x-amz-json-1.1", "X-Amz-Target": operation, **headers})
    SigV4Auth(Credentials("test", "test"), "kms", "us-east-1").add_auth(request)
    prepared = request.prepare()
    return requests.post(prepared.url, data=body, headers=dict(prepared.headers.items()), timeout=10)


@pytest.mark.parametrize("body", [b"", b"{}"])
def test_missing_members(server, body):
    answer = post(server, "TrentService.Encrypt", body)
    assert answer.status_code == 400 and answer.json() == {
        "__type": "ValidationException",
        "message": "2 validation errors detected: Value null at 'keyId' failed to satisfy constraint: Member must not be "
        "null; Value at 'plaintext' failed to satisfy constraint: Member must not be null"}


def test_empty_key_id(kms):
    assert error_of(kms.describe_key, KeyId="") == (
        "ValidationException", "2 validation errors detected: Value '' at 'keyId' failed to satisfy constraint: Member "
        "must have length greater than or equal to 1; Value '' at 'keyId' failed to satisfy constraint: Member must "
        "satisfy regular expression pattern: ^\\p{ASCII}+$")


@pytest.mark.parametrize("body", [
    b"{", b"[]", b"null", b'"x"', b'{"KeyId":1}', b'{"KeyId":{}}', b'{"KeyId":["x"]}', b'{"KeyId":"a","KeyId":"b"}',
    b'{"KeyId":"\xff"}', b'{"KeyId":"x"} {}', b'{"KeyId":"x",}', b'{"KeyId":"\\ud800"}',
    b'{"KeyId":' * 30 + b"1" + b"}" * 30])
def test_serialization_errors(server, body):
    answer = post(server, "TrentService.DescribeKey", body)
    assert answer.status_code == 400 and answer.json()["__type"] == "SerializationException"


def test_wrong_types(server, key):
    for body in ({"KeyId": key["KeyId"], "Plaintext": "not base64!"}, {"KeyId": key["KeyId"], "Plaintext": "eA="},
                 {"KeyId": key["KeyId"], "Plaintext": "eA==", "DryRun": "true"},
                 {"KeyId": key["KeyId"], "Plaintext": "eA==", "EncryptionContext": {"a": 1}},
                 {"KeyId": key["KeyId"], "Plaintext": "eA==", "EncryptionContext": []},
                 {"KeyId": key["KeyId"], "Plaintext": "eA==", "GrantTokens": "x"}):
        answer = post(server, "TrentService.Encrypt", json.dumps(body).encode())
        assert answer.status_code == 400 and answer.json()["__type"] == "SerializationException", body


def test_unknown_members_and_nulls_are_ignored(server, key):
    body = {"KeyId": key["KeyId"], "Plaintext": base64.b64encode(b"x").decode(), "Unknown": {"a": [1]}, "keyId": "x",
            "EncryptionContext": None, "GrantTokens": None}
    assert post(server, "TrentService.Encrypt", json.dumps(body).encode()).status_code == 200


@pytest.mark.parametrize("target", ["TrentService.Nonsense", "Trent.Encrypt", "TrentService.", "TrentService.encrypt"])
def test_unknown_operation(server, target):
    answer = post(server, target, b"{}")
    assert answer.status_code == 400 and answer.json() == {"__type": "UnknownOperationException"}


def test_operations_of_later_releases(kms, server):
    """Each has a row and one clear answer; docs/deviations.md lists them."""
    from trent_server import TOP
    table = (TOP / "docs" / "deviations.md").read_text().split("| operation | arrives with |\n")[1].split("\n\n")[0]
    names = [name for row in table.split("\n")[1:] for name in row.split("|")[1].strip().split(", ")]
    assert len(names) > 5 and "CreateCustomKeyStore" in names
    for name in names:
        answer = post(server, "TrentService." + name, b"{}")
        assert answer.json() == {"__type": "UnsupportedOperationException",
                                 "message": "Trent does not implement %s yet." % name}


# --- other accounts ---------------------------------------------------------------------------------------------------------


def test_keys_of_another_account(kms):
    """Nothing is told about them: an ARN of another account is as good as none."""
    code, _ = error_of(kms.describe_key, KeyId="arn:aws:kms:us-east-1:111111111111:key/" + MISSING)
    assert code in ("NotFoundException", "AccessDeniedException")


# --- audit ------------------------------------------------------------------------------------------------------------------


def test_audit_record(server, kms):
    """trust-model 5.1: CloudTrail's shape; the encryption context in clear, neither plaintext nor ciphertext."""
    m = external_key(kms)
    answer = kms.encrypt(KeyId=kms.create_key()["KeyMetadata"]["KeyId"], Plaintext=b"plain",
                         EncryptionContext={"purpose": "audit"})
    record = [r for r in server.audit() if r.get("requestID") == answer["ResponseMetadata"]["RequestId"]][0]
    assert record["eventName"] == "Encrypt" and record["eventSource"] == "kms.amazonaws.com"
    assert record["userIdentity"]["arn"] == "arn:aws:iam::000000000000:root" and record["readOnly"] is True
    assert record["requestParameters"]["encryptionContext"] == {"purpose": "audit"}
    assert "plaintext" not in record["requestParameters"] and record["responseElements"] is None
    assert record["resources"][0]["ARN"] == answer["KeyId"] and record["awsRegion"] == "us-east-1"
    error_of(kms.enable_key, KeyId=m["KeyId"])
    failed = [r for r in server.audit() if r["eventName"] == "EnableKey"][-1]
    assert (failed["errorCode"], failed["errorMessage"]) == (
        "KMSInvalidStateException", "%s is pending import." % m["Arn"])
