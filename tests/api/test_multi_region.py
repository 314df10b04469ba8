"""Multi-Region keys with boto3 clients of several Regions: every row of recorded-authz-multiregion 6.1 to 6.6 and
every rule of 6.8, by its number; kms-behaviour 9.1, 9.2, 15.5. Rows of 6.7 that are about imports stand in
test_regional_materials.py, what the end of a deletion leaves in test_deletion.py.
"""
import datetime
import json

import botocore.session
import pytest

from recorded import answer_fields
from regions import AP, DAY, DELAY, EAST, FLAGS, ROTATION_DELAY, WEST, Regions, arn, metadata, relatives, state
from trent_server import Server, error_of, import_material, until

MEMBERS = {"AWSAccountId", "KeyId", "Arn", "CreationDate", "Enabled", "Description", "KeyUsage", "KeyState", "Origin",
           "KeyManager", "CustomerMasterKeySpec", "KeySpec", "EncryptionAlgorithms", "MultiRegion",
           "MultiRegionConfiguration"}
ONE_REPLICA = ("AlreadyExistsException", "You can create only one replica of each primary key in each AWS Region.")
NO_ALIAS = ("InvalidArnException", "Key Aliases are not supported for this operation.")
DEFAULT_POLICY = """{
  "Version" : "2012-10-17",
  "Id" : "key-default-1",
  "Statement" : [ {
    "Sid" : "Enable IAM User Permissions",
    "Effect" : "Allow",
    "Principal" : {
      "AWS" : "arn:aws:iam::000000000000:root"
    },
    "Action" : "kms:*",
    "Resource" : "*"
  } ]
}"""
TAG = {"TagKey": "location", "TagValue": "primary"}


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    with Server(tmp_path_factory.mktemp("regions") / "data", *FLAGS) as s:
        yield s


@pytest.fixture(scope="module")
def at(server):
    return Regions(server)


def disabled(key_id, region):
    return ("DisabledException", "%s is disabled." % arn(key_id, region))


def is_state(key_id, region, text):
    return ("KMSInvalidStateException", "%s is %s." % (arn(key_id, region), text))


# --- 6.1 creation ---------------------------------------------------------------------------------------------------


def test_6_1_creation(at):
    """6.1 step 1: Enabled at once, these members, no replicas."""
    key = at.east.create_key(MultiRegion=True, Description="d", Tags=[TAG])["KeyMetadata"]
    assert set(key) == MEMBERS | {"CurrentKeyMaterialId"}
    assert (key["KeyState"], key["Enabled"], key["MultiRegion"]) == ("Enabled", True, True)
    assert key["MultiRegionConfiguration"] == relatives(key["KeyId"], "PRIMARY", EAST)
    assert metadata(at.east, key["KeyId"]) == key


# --- 6.2 ReplicateKey -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("region,text", [
    (EAST, "us-east-1 cannot have a replica because it contains the primary."),
    ("cn-north-1", "The replica key Region must be in the same AWS partition as the primary key Region."),
    ("us-gov-west-1", "The replica key Region must be in the same AWS partition as the primary key Region."),
    ("us-invalid-1", "Region us-invalid-1 is not a valid Region or multi-Region keys are not supported in Region "
                     "us-invalid-1."),
])
def test_6_2_regions_that_cannot_be(at, region, text):
    """6.2 steps 1 to 3."""
    key = at.key()
    assert error_of(at.east.replicate_key, KeyId=key["KeyId"], ReplicaRegion=region) == ("ValidationException", text)
    assert metadata(at.east, key["KeyId"]) == key


def test_every_region_that_a_client_knows(at):
    """A replica in each of the partition; the others' are of another partition (6.2 step 2)."""
    endpoints = botocore.session.get_session().get_data("endpoints")["partitions"]
    regions = {p["partition"]: [r for r in p["regions"] if "global" not in r] for p in endpoints}
    key_id = at.key()["KeyId"]
    there = [r for r in regions["aws"] if r != EAST]
    for region in there:
        at.east.replicate_key(KeyId=key_id, ReplicaRegion=region)
    assert len(there) > 30
    assert metadata(at.east, key_id)["MultiRegionConfiguration"] == relatives(key_id, "PRIMARY", EAST, *there)
    at.settle()
    blob = at.east.encrypt(KeyId=key_id, Plaintext=b"x")["CiphertextBlob"]
    assert all(at[r].decrypt(CiphertextBlob=blob)["Plaintext"] == b"x" for r in (there[0], there[-1]))
    for partition, names in regions.items():
        for region in names if partition != "aws" else ():
            assert error_of(at.east.replicate_key, KeyId=key_id, ReplicaRegion=region) == (
                "ValidationException",
                "The replica key Region must be in the same AWS partition as the primary key Region.")
    china = at["cn-north-1"]
    key_id = china.create_key(MultiRegion=True)["KeyMetadata"]["KeyId"]
    answer = china.replicate_key(KeyId=key_id, ReplicaRegion="cn-northwest-1")
    assert answer["ReplicaKeyMetadata"]["Arn"] == "arn:aws-cn:kms:cn-northwest-1:000000000000:key/" + key_id
    assert "arn:aws-cn:iam::000000000000:root" in answer["ReplicaPolicy"]


@pytest.mark.parametrize("region", ["us-east", "US-EAST-1", "a-b-c-d-1", "us--1"])
def test_region_pattern(at, region):
    """16: RegionType of both operations."""
    for name, call in (("replicaRegion", lambda: at.east.replicate_key(KeyId="x", ReplicaRegion=region)),
                       ("primaryRegion", lambda: at.east.update_primary_region(KeyId="x", PrimaryRegion=region))):
        assert error_of(call) == (
            "ValidationException", "1 validation error detected: Value '%s' at '%s' failed to satisfy constraint: "
            r"Member must satisfy regular expression pattern: ^([a-z]+-){2,3}\d+$" % (region, name))


def test_region_is_required(at):
    for name, call in (("replicaRegion", at.east.replicate_key), ("primaryRegion", at.east.update_primary_region)):
        code, text = error_of(call, KeyId="x")
        assert code == "ValidationException" and "Value null at '%s'" % name in text


def test_6_2_answer(at):
    """6.2 steps 4 and 5, and 6.3 steps 1 and 2: all members of the answers."""
    key = at.east.create_key(MultiRegion=True, Description="d", Tags=[TAG])["KeyMetadata"]
    key_id = key["KeyId"]
    at.server.advance(5)
    for region, replicas in ((AP, [AP]), (WEST, [AP, WEST])):
        answer = answer_fields(at.east.replicate_key(KeyId=key_id, ReplicaRegion=region))
        assert set(answer) == {"ReplicaKeyMetadata", "ReplicaPolicy"}
        assert answer["ReplicaPolicy"] == DEFAULT_POLICY
        replica = answer["ReplicaKeyMetadata"]
        assert set(replica) == MEMBERS
        assert replica["CreationDate"] >= key["CreationDate"] + datetime.timedelta(seconds=5)
        assert replica["MultiRegionConfiguration"] == relatives(key_id, "REPLICA", EAST, *replicas)
        changed = {"Arn": arn(key_id, region), "Enabled": False, "KeyState": "Creating", "Description": "",
                   "CreationDate": replica["CreationDate"],
                   "MultiRegionConfiguration": replica["MultiRegionConfiguration"]}
        assert replica == {**{m: key[m] for m in MEMBERS}, **changed}
        assert metadata(at[region], key_id) == replica
        assert metadata(at.east, key_id) == {**key, "MultiRegionConfiguration": relatives(key_id, "PRIMARY", EAST,
                                                                                           *replicas)}


def test_6_2_replica_exists(at):
    """6.2 step 6."""
    key_id = at.key(WEST)["KeyId"]
    assert error_of(at.east.replicate_key, KeyId=key_id, ReplicaRegion=WEST) == ONE_REPLICA


def test_6_2_only_of_a_primary(at):
    """6.2 step 7 (rule 3: lower case here), also before it is settled; and of a single-Region key."""
    key_id = at.key(WEST)["KeyId"]
    refusal = ("UnsupportedOperationException", "%s is not a multi-region primary key." % arn(key_id, WEST))
    assert error_of(at.west.replicate_key, KeyId=key_id, ReplicaRegion="us-east-2") == refusal
    single = at.east.create_key()["KeyMetadata"]
    assert error_of(at.east.replicate_key, KeyId=single["KeyId"], ReplicaRegion=WEST) == (
        "UnsupportedOperationException", "%s is not a multi-region primary key." % single["Arn"])


def test_6_2_state_before_existing_replica(at):
    """6.2 step 8, rule 2."""
    key_id = at.key(WEST)["KeyId"]
    at.east.disable_key(KeyId=key_id)
    assert error_of(at.east.replicate_key, KeyId=key_id, ReplicaRegion=WEST) == disabled(key_id, EAST)


def test_6_2_6_4_alias(at):
    """6.2 step 9, 6.4 step 1: refused on the text alone."""
    key_id = at.key(WEST)["KeyId"]
    at.east.create_alias(AliasName="alias/named", TargetKeyId=key_id)
    for name in ("alias/named", "arn:aws:kms:us-east-1:000000000000:alias/named", "alias/no-such"):
        assert error_of(at.east.replicate_key, KeyId=name, ReplicaRegion=AP) == NO_ALIAS
        assert error_of(at.east.update_primary_region, KeyId=name, PrimaryRegion=WEST) == NO_ALIAS


def test_6_2_where_a_replica_is_pending_deletion(at):
    """6.2 step 10, rule 12; also for the primary's former Region."""
    key_id = at.key(WEST)["KeyId"]
    at.promote(key_id, EAST, WEST)
    at.east.schedule_key_deletion(KeyId=key_id, PendingWindowInDays=7)
    assert error_of(at.west.replicate_key, KeyId=key_id, ReplicaRegion=EAST) == ONE_REPLICA
    assert metadata(at.west, key_id)["MultiRegionConfiguration"] == relatives(key_id, "PRIMARY", WEST, EAST)


def test_replica_with_policy_description_and_tags(at):
    """9.1, 15.5: what the replica is given is its own; ReplicaTags only when there are any."""
    key_id = at.key(Description="of the primary", Tags=[TAG])["KeyId"]
    policy = json.dumps({"Version": "2012-10-17", "Statement": [
        {"Effect": "Allow", "Principal": {"AWS": "arn:aws:iam::000000000000:root"}, "Action": "kms:*",
         "Resource": "*"}]})
    tags = [{"TagKey": "b", "TagValue": "2"}, {"TagKey": "a", "TagValue": ""}]
    answer = at.east.replicate_key(KeyId=key_id, ReplicaRegion=WEST, Policy=policy, Description="of the replica",
                                   Tags=tags)
    assert answer["ReplicaPolicy"] == policy and answer["ReplicaTags"] == tags
    assert answer["ReplicaKeyMetadata"]["Description"] == "of the replica"
    assert at.west.get_key_policy(KeyId=key_id)["Policy"] == policy
    assert at.west.list_resource_tags(KeyId=key_id)["Tags"] == tags
    assert at.east.get_key_policy(KeyId=key_id)["Policy"] == DEFAULT_POLICY
    assert at.east.list_resource_tags(KeyId=key_id)["Tags"] == [TAG]
    assert metadata(at.east, key_id)["Description"] == "of the primary"


def test_replica_policy_and_tags_are_checked(at):
    """12, 13.2: lockout check, form, tags; nothing is made."""
    key_id = at.key()["KeyId"]
    locked = json.dumps({"Version": "2012-10-17", "Statement": [
        {"Effect": "Allow", "Principal": {"AWS": "arn:aws:iam::000000000000:root"}, "Action": "kms:DescribeKey",
         "Resource": "*"}]})
    replicate = at.east.replicate_key
    assert error_of(replicate, KeyId=key_id, ReplicaRegion=WEST, Policy=locked) == (
        "MalformedPolicyDocumentException",
        "The new key policy will not allow you to update the key policy in the future.")
    assert error_of(replicate, KeyId=key_id, ReplicaRegion=WEST, Policy="{")[0] == "MalformedPolicyDocumentException"
    assert error_of(replicate, KeyId=key_id, ReplicaRegion=WEST, Tags=[TAG, TAG]) == (
        "TagException", "Duplicate tag keys")
    assert metadata(at.east, key_id)["MultiRegionConfiguration"] == relatives(key_id, "PRIMARY", EAST)
    assert error_of(at.west.describe_key, KeyId=key_id)[0] == "NotFoundException"
    answer = replicate(KeyId=key_id, ReplicaRegion=WEST, Policy=locked, BypassPolicyLockoutSafetyCheck=True)
    assert answer["ReplicaPolicy"] == locked


@pytest.mark.parametrize("spec,usage", [("HMAC_256", "GENERATE_VERIFY_MAC"), ("RSA_2048", "SIGN_VERIFY"),
                                        ("ECC_NIST_P256", "KEY_AGREEMENT"), ("ML_DSA_44", "SIGN_VERIFY")])
def test_keys_of_other_kinds(at, spec, usage):
    """9.1: the same material in every Region, whatever it is; no material id is shown."""
    key = at.key(WEST, KeySpec=spec, KeyUsage=usage)
    key_id = key["KeyId"]
    replica = metadata(at.west, key_id)
    assert replica["KeyState"] == "Enabled" and "CurrentKeyMaterialId" not in replica
    assert (replica["KeySpec"], replica["KeyUsage"]) == (spec, usage)
    if usage == "GENERATE_VERIFY_MAC":
        mac = at.east.generate_mac(KeyId=key_id, Message=b"m", MacAlgorithm="HMAC_SHA_256")["Mac"]
        assert at.west.generate_mac(KeyId=key_id, Message=b"m", MacAlgorithm="HMAC_SHA_256")["Mac"] == mac
    else:
        assert at.east.get_public_key(KeyId=key_id)["PublicKey"] == at.west.get_public_key(KeyId=key_id)["PublicKey"]
    if usage == "SIGN_VERIFY":
        algorithm = key["SigningAlgorithms"][0]
        signature = at.west.sign(KeyId=key_id, Message=b"m", SigningAlgorithm=algorithm)["Signature"]
        assert at.east.verify(KeyId=key_id, Message=b"m", SigningAlgorithm=algorithm,
                              Signature=signature)["SignatureValid"]


# --- 6.3 the replica ------------------------------------------------------------------------------------------------


def test_6_3_from_creating_to_enabled(at):
    """6.3 steps 2 to 6, rule 14."""
    key = at.key(Tags=[TAG])
    key_id = key["KeyId"]
    at.east.enable_key_rotation(KeyId=key_id, RotationPeriodInDays=90)
    status = answer_fields(at.east.get_key_rotation_status(KeyId=key_id))
    at.east.replicate_key(KeyId=key_id, ReplicaRegion=WEST)
    assert answer_fields(at.west.get_key_rotation_status(KeyId=key_id)) == {
        "KeyRotationEnabled": True, "KeyId": arn(key_id, WEST), "RotationPeriodInDays": 90,
        "NextRotationDate": status["NextRotationDate"]}
    assert error_of(at.west.encrypt, KeyId=key_id, Plaintext=b"x") == is_state(key_id, WEST, "creating")
    at.server.advance(DELAY - 10)
    assert state(at.west, key_id) == "Creating"
    at.server.advance(10)
    replica = metadata(at.west, key_id)
    assert (replica["KeyState"], replica["Enabled"]) == ("Enabled", True)
    assert replica["CurrentKeyMaterialId"] == key["CurrentKeyMaterialId"]
    assert answer_fields(at.west.get_key_policy(KeyId=key_id)) == {"Policy": DEFAULT_POLICY, "PolicyName": "default"}
    assert answer_fields(at.west.list_resource_tags(KeyId=key_id)) == {"Tags": [], "Truncated": False}


@pytest.mark.parametrize("operation", ["EnableKeyRotation", "DisableKeyRotation", "RotateKeyOnDemand"])
def test_6_3_rotation_is_the_primarys(at, operation):
    """6.3 steps 7 to 9, rule 9."""
    key_id = at.key(WEST)["KeyId"]
    call = {"EnableKeyRotation": at.west.enable_key_rotation, "DisableKeyRotation": at.west.disable_key_rotation,
            "RotateKeyOnDemand": at.west.rotate_key_on_demand}[operation]
    assert error_of(call, KeyId=key_id) == (
        "UnsupportedOperationException",
        "%s is a multi-region replica key which is not valid for %s." % (arn(key_id, WEST), operation))


def test_6_3_decrypt_and_re_encrypt_across_regions(at):
    """6.3 steps 10 to 12, rules 7 and 8."""
    key = at.key(WEST)
    key_id, material = key["KeyId"], key["CurrentKeyMaterialId"]
    context = {"a": "b"}
    for there, here, region in ((at.east, at.west, WEST), (at.west, at.east, EAST)):
        other = EAST if region == WEST else WEST
        blob = there.encrypt(KeyId=key_id, Plaintext=b"secret", EncryptionContext=context)["CiphertextBlob"]
        for named in ({}, {"KeyId": key_id}, {"KeyId": arn(key_id, region)}):
            assert answer_fields(here.decrypt(CiphertextBlob=blob, EncryptionContext=context, **named)) == {
                "KeyId": arn(key_id, region), "Plaintext": b"secret", "EncryptionAlgorithm": "SYMMETRIC_DEFAULT",
                "KeyMaterialId": material}
        assert error_of(here.decrypt, CiphertextBlob=blob, EncryptionContext=context, KeyId=arn(key_id, other)) == (
            "IncorrectKeyException",
            "The key ID in the request does not identify a CMK that can perform this operation.")
        answer = here.re_encrypt(CiphertextBlob=blob, SourceEncryptionContext=context, DestinationKeyId=key_id)
        assert there.decrypt(CiphertextBlob=answer["CiphertextBlob"])["Plaintext"] == b"secret"
        answer = answer_fields(answer)
        del answer["CiphertextBlob"]
        assert answer == {"SourceKeyId": arn(key_id, region), "KeyId": arn(key_id, region),
                          "SourceEncryptionAlgorithm": "SYMMETRIC_DEFAULT",
                          "DestinationEncryptionAlgorithm": "SYMMETRIC_DEFAULT", "SourceKeyMaterialId": material,
                          "DestinationKeyMaterialId": material}
        data_key = there.generate_data_key(KeyId=key_id, KeySpec="AES_256")
        assert here.decrypt(CiphertextBlob=data_key["CiphertextBlob"])["Plaintext"] == data_key["Plaintext"]


def test_6_3_states_are_separate(at):
    """6.3 step 13; rule 7 for other operations (3.2)."""
    key_id = at.key(WEST)["KeyId"]
    blob = at.east.encrypt(KeyId=key_id, Plaintext=b"x")["CiphertextBlob"]
    at.east.disable_key(KeyId=key_id)
    assert at.west.decrypt(CiphertextBlob=blob)["Plaintext"] == b"x"
    assert error_of(at.east.decrypt, CiphertextBlob=blob) == disabled(key_id, EAST)
    assert error_of(at.west.describe_key, KeyId=arn(key_id, EAST)) == ("NotFoundException", "Invalid arn us-east-1")


def test_own_to_each_region(at):
    """Rule 1: description, tags, policy, aliases, grants and state are each Region's own."""
    key_id = at.key(WEST)["KeyId"]
    before = metadata(at.east, key_id)
    at.west.update_key_description(KeyId=key_id, Description="west")
    at.west.tag_resource(KeyId=key_id, Tags=[TAG])
    at.west.create_alias(AliasName="alias/own-to-west", TargetKeyId=key_id)
    at.west.create_grant(KeyId=key_id, GranteePrincipal="arn:aws:iam::000000000000:root", Operations=["Decrypt"])
    at.west.disable_key(KeyId=key_id)
    assert metadata(at.east, key_id) == before
    assert at.east.list_resource_tags(KeyId=key_id)["Tags"] == []
    assert at.east.list_aliases(KeyId=key_id)["Aliases"] == [] and at.east.list_grants(KeyId=key_id)["Grants"] == []
    assert len(at.west.list_grants(KeyId=key_id)["Grants"]) == 1
    for client, region in ((at.east, EAST), (at.west, WEST)):
        listed = [k for k in client.list_keys()["Keys"] if k["KeyId"] == key_id]
        assert listed == [{"KeyId": key_id, "KeyArn": arn(key_id, region)}]


# --- 6.4 UpdatePrimaryRegion ----------------------------------------------------------------------------------------


def test_6_4_where_it_is_already(at):
    """6.4 step 2, rule 4: nothing happens."""
    key_id = at.key(WEST)["KeyId"]
    before = [metadata(c, key_id) for c in (at.east, at.west)]
    assert answer_fields(at.east.update_primary_region(KeyId=key_id, PrimaryRegion=EAST)) == {}
    assert [metadata(c, key_id) for c in (at.east, at.west)] == before
    assert before[0]["KeyState"] == "Enabled"


@pytest.mark.parametrize("region", ["us-east-2", "us-invalid-1", "cn-north-1"])
def test_6_4_no_replica_there(at, region):
    """6.4 step 3: the bare key id."""
    key_id = at.key(WEST)["KeyId"]
    assert error_of(at.east.update_primary_region, KeyId=key_id, PrimaryRegion=region) == (
        "ValidationException", "%s does not have a replica key in the specified Region." % key_id)


def test_6_4_only_of_a_primary(at):
    """6.4 step 4, rule 3: upper case here."""
    key_id = at.key(WEST)["KeyId"]
    for region in (WEST, EAST, AP):
        assert error_of(at.west.update_primary_region, KeyId=key_id, PrimaryRegion=region) == (
            "KMSInvalidStateException", "%s is not a multi-Region primary key." % arn(key_id, WEST))
    single = at.east.create_key()["KeyMetadata"]
    assert error_of(at.east.update_primary_region, KeyId=single["KeyId"], PrimaryRegion=WEST) == (
        "KMSInvalidStateException", "%s is not a multi-Region primary key." % single["Arn"])


def test_6_4_role_change(at):
    """6.4 steps 5 to 10, rule 6; what is each Region's own stays."""
    key = at.key(WEST, AP, Description="east", Tags=[TAG])
    key_id, material = key["KeyId"], key["CurrentKeyMaterialId"]
    blob = at.east.encrypt(KeyId=key_id, Plaintext=b"x")["CiphertextBlob"]
    at.west.update_key_description(KeyId=key_id, Description="west")
    at.east.enable_key_rotation(KeyId=key_id, RotationPeriodInDays=90)
    status = answer_fields(at.east.get_key_rotation_status(KeyId=key_id))
    before = {region: metadata(at[region], key_id) for region in (EAST, WEST, AP)}
    assert answer_fields(at.east.update_primary_region(KeyId=key_id, PrimaryRegion=WEST)) == {}

    for region, kind in ((EAST, "REPLICA"), (WEST, "PRIMARY")):
        expected = {**before[region], "KeyState": "Updating", "Enabled": False,
                    "MultiRegionConfiguration": relatives(key_id, kind, WEST, AP, EAST)}
        assert metadata(at[region], key_id) == expected
        assert at[region].decrypt(CiphertextBlob=blob)["KeyMaterialId"] == material
    assert metadata(at.ap, key_id) == {**before[AP],
                                       "MultiRegionConfiguration": relatives(key_id, "REPLICA", WEST, AP, EAST)}
    at.settle()
    for region in (EAST, WEST):
        now = metadata(at[region], key_id)
        assert (now["KeyState"], now["Enabled"]) == ("Enabled", True)
        assert (now["Description"], now["CreationDate"]) == (before[region]["Description"],
                                                             before[region]["CreationDate"])
    assert answer_fields(at.west.get_key_rotation_status(KeyId=key_id)) == {**status, "KeyId": arn(key_id, WEST)}
    assert at.west.decrypt(CiphertextBlob=blob)["KeyMaterialId"] == material
    assert at.east.list_resource_tags(KeyId=key_id)["Tags"] == [TAG]
    assert at.west.list_resource_tags(KeyId=key_id)["Tags"] == []
    assert at.west.disable_key_rotation(KeyId=key_id)  # it is the primary
    assert error_of(at.east.enable_key_rotation, KeyId=key_id)[0] == "UnsupportedOperationException"


def test_6_4_while_updating(at):
    """5.1: what Updating keys do not do."""
    key_id = at.key(WEST)["KeyId"]
    at.east.update_primary_region(KeyId=key_id, PrimaryRegion=WEST)
    refusal = is_state(key_id, WEST, "updating")
    assert error_of(at.west.disable_key, KeyId=key_id) == refusal
    assert error_of(at.west.enable_key, KeyId=key_id) == refusal
    assert error_of(at.west.schedule_key_deletion, KeyId=key_id) == refusal
    assert error_of(at.west.replicate_key, KeyId=key_id, ReplicaRegion=AP) == refusal
    at.west.tag_resource(KeyId=key_id, Tags=[TAG])
    at.west.update_primary_region(KeyId=key_id, PrimaryRegion=EAST)  # allowed
    at.settle()
    assert metadata(at.east, key_id)["MultiRegionConfiguration"] == relatives(key_id, "PRIMARY", EAST, WEST)


def test_6_4_states_of_both(at):
    """6.4 steps 11 to 13, rule 5: the primary's first, each by its own ARN."""
    key_id = at.key(WEST)["KeyId"]
    at.promote(key_id, EAST, WEST)
    at.west.disable_key(KeyId=key_id)
    at.east.disable_key(KeyId=key_id)
    update = at.west.update_primary_region
    assert error_of(update, KeyId=key_id, PrimaryRegion=EAST) == disabled(key_id, WEST)
    at.west.enable_key(KeyId=key_id)
    assert error_of(update, KeyId=key_id, PrimaryRegion=EAST) == disabled(key_id, EAST)
    at.east.schedule_key_deletion(KeyId=key_id, PendingWindowInDays=7)
    assert error_of(update, KeyId=key_id, PrimaryRegion=EAST) == is_state(key_id, EAST, "pending deletion")
    at.east.cancel_key_deletion(KeyId=key_id)
    at.east.enable_key(KeyId=key_id)
    update(KeyId=key_id, PrimaryRegion=EAST)
    assert metadata(at.east, key_id)["MultiRegionConfiguration"]["MultiRegionKeyType"] == "PRIMARY"


def test_primary_is_gone_from_its_former_region(at):
    """A new replica where the former primary was erased; the new primary replicates."""
    key_id = at.key(WEST)["KeyId"]
    at.promote(key_id, EAST, WEST)
    at.east.schedule_key_deletion(KeyId=key_id, PendingWindowInDays=7)
    at.server.advance(7 * DAY)
    until(lambda: metadata(at.west, key_id)["MultiRegionConfiguration"] == relatives(key_id, "PRIMARY", WEST))
    assert error_of(at.east.describe_key, KeyId=key_id) == (
        "NotFoundException", "Key '%s' does not exist" % arn(key_id, EAST))
    blob = at.west.encrypt(KeyId=key_id, Plaintext=b"x")["CiphertextBlob"]
    at.west.replicate_key(KeyId=key_id, ReplicaRegion=EAST)
    at.settle()
    assert at.east.decrypt(CiphertextBlob=blob)["Plaintext"] == b"x"


# --- 6.5 rotation ---------------------------------------------------------------------------------------------------


def test_6_5_rotation(at):
    """6.5 steps 1 to 7, rule 1: together, seen in both Regions."""
    key = at.key(WEST)
    key_id, first = key["KeyId"], key["CurrentKeyMaterialId"]
    blob = at.east.encrypt(KeyId=key_id, Plaintext=b"old")["CiphertextBlob"]
    assert answer_fields(at.east.enable_key_rotation(KeyId=key_id, RotationPeriodInDays=90)) == {}
    status = answer_fields(at.east.get_key_rotation_status(KeyId=key_id))
    assert answer_fields(at.east.rotate_key_on_demand(KeyId=key_id)) == {"KeyId": arn(key_id, EAST)}
    for client, region in ((at.east, EAST), (at.west, WEST)):
        running = answer_fields(client.get_key_rotation_status(KeyId=key_id))
        assert set(running) == set(status) | {"OnDemandRotationStartDate"}
        assert running["KeyId"] == arn(key_id, region)
    at.server.advance(ROTATION_DELAY)
    until(lambda: "OnDemandRotationStartDate" not in at.east.get_key_rotation_status(KeyId=key_id))
    assert answer_fields(at.east.get_key_rotation_status(KeyId=key_id)) == status
    second = metadata(at.east, key_id)["CurrentKeyMaterialId"]
    assert second != first and metadata(at.west, key_id)["CurrentKeyMaterialId"] == second

    lists = {region: answer_fields(at[region].list_key_rotations(KeyId=key_id, IncludeKeyMaterial="ALL_KEY_MATERIAL"))
             for region in (EAST, WEST)}
    date = lists[EAST]["Rotations"][1]["RotationDate"]
    for region, answer in lists.items():
        assert answer == {"Truncated": False, "Rotations": [
            {"KeyId": arn(key_id, region), "KeyMaterialId": first, "KeyMaterialState": "NON_CURRENT"},
            {"KeyId": arn(key_id, region), "KeyMaterialId": second, "KeyMaterialState": "CURRENT",
             "RotationDate": date, "RotationType": "ON_DEMAND"}]}
    assert at.west.decrypt(CiphertextBlob=blob)["KeyMaterialId"] == first
    assert at.west.encrypt(KeyId=key_id, Plaintext=b"new")["CiphertextBlob"]


def test_replica_of_a_rotated_key(at):
    """9.1: a replica that comes later has the old materials too."""
    key = at.key()
    key_id = key["KeyId"]
    blobs = [at.east.encrypt(KeyId=key_id, Plaintext=b"0")["CiphertextBlob"]]
    for n in (b"1", b"2"):
        before = metadata(at.east, key_id)["CurrentKeyMaterialId"]
        at.east.rotate_key_on_demand(KeyId=key_id)
        at.server.advance(ROTATION_DELAY)
        until(lambda: metadata(at.east, key_id)["CurrentKeyMaterialId"] != before)
        blobs.append(at.east.encrypt(KeyId=key_id, Plaintext=n)["CiphertextBlob"])
    at.east.replicate_key(KeyId=key_id, ReplicaRegion=WEST)
    at.settle()
    assert [at.west.decrypt(CiphertextBlob=b)["Plaintext"] for b in blobs] == [b"0", b"1", b"2"]
    lists = [[{k: v for k, v in e.items() if k != "KeyId"} for e in
              c.list_key_rotations(KeyId=key_id, IncludeKeyMaterial="ALL_KEY_MATERIAL")["Rotations"]]
             for c in (at.east, at.west)]
    assert lists[0] == lists[1] and len(lists[0]) == 3


# --- 6.6 deletion ---------------------------------------------------------------------------------------------------


def test_6_6_deletion(at):
    """6.6 steps 1 to 13, rules 10 to 13, as recorded: primary in us-west-2, replicas in us-east-1 and ap-east-1."""
    key = at.key(WEST, AP)
    key_id, material = key["KeyId"], key["CurrentKeyMaterialId"]
    at.east.enable_key_rotation(KeyId=key_id, RotationPeriodInDays=90)
    at.promote(key_id, EAST, WEST)
    blob = at.east.encrypt(KeyId=key_id, Plaintext=b"x")["CiphertextBlob"]
    waiting = {"KeyId": arn(key_id, WEST), "KeyState": "PendingReplicaDeletion", "PendingWindowInDays": 7}
    schedule = {"KeyId": key_id, "PendingWindowInDays": 7}

    assert answer_fields(at.west.schedule_key_deletion(**schedule)) == waiting
    shown = metadata(at.west, key_id)
    assert (shown["KeyState"], shown["Enabled"], shown["PendingDeletionWindowInDays"]) == (
        "PendingReplicaDeletion", False, 7)
    assert "DeletionDate" not in shown
    assert shown["MultiRegionConfiguration"] == relatives(key_id, "PRIMARY", WEST, AP, EAST)
    assert at.east.decrypt(CiphertextBlob=blob)["Plaintext"] == b"x"

    assert answer_fields(at.west.cancel_key_deletion(KeyId=key_id)) == {"KeyId": arn(key_id, WEST)}
    shown = metadata(at.west, key_id)
    assert shown["KeyState"] == "Disabled" and "PendingDeletionWindowInDays" not in shown
    at.west.enable_key(KeyId=key_id)

    answer = answer_fields(at.east.schedule_key_deletion(**schedule))
    assert answer == {"KeyId": arn(key_id, EAST), "DeletionDate": answer["DeletionDate"],
                      "KeyState": "PendingDeletion", "PendingWindowInDays": 7}
    assert metadata(at.west, key_id)["MultiRegionConfiguration"] == relatives(key_id, "PRIMARY", WEST, AP, EAST)
    at.ap.schedule_key_deletion(**schedule)
    at.west.schedule_key_deletion(**schedule)
    assert answer_fields(at.east.get_key_rotation_status(KeyId=key_id)) == {
        "KeyRotationEnabled": False, "KeyId": arn(key_id, EAST)}
    status = answer_fields(at.west.get_key_rotation_status(KeyId=key_id))
    assert set(status) == {"KeyRotationEnabled", "KeyId", "RotationPeriodInDays", "NextRotationDate"}
    assert (status["KeyRotationEnabled"], status["RotationPeriodInDays"]) == (True, 90)

    for region, text in ((EAST, "pending deletion"), (WEST, "pending replica deletion")):
        client, refusal = at[region], is_state(key_id, region, text)
        policy = client.get_key_policy(KeyId=key_id)["Policy"]
        client.put_key_policy(KeyId=key_id, PolicyName="default", Policy=policy)
        for call, parameters in ((client.tag_resource, {"Tags": [TAG]}), (client.untag_resource, {"TagKeys": ["a"]}),
                                 (client.schedule_key_deletion, {}), (client.encrypt, {"Plaintext": b"x"}),
                                 (client.update_key_description, {"Description": ""}),
                                 (client.enable_key, {}), (client.disable_key, {})):
            assert error_of(call, KeyId=key_id, **parameters) == refusal
        assert error_of(client.create_alias, AliasName="alias/late", TargetKeyId=key_id) == refusal
        assert key_id in [k["KeyId"] for k in client.list_keys(Limit=1000)["Keys"]]
    assert error_of(at.west.replicate_key, KeyId=key_id, ReplicaRegion="us-east-2") == is_state(
        key_id, WEST, "pending replica deletion")

    at.server.advance(10 * DAY)
    for region in (EAST, AP):
        until(lambda: error_of(at[region].describe_key, KeyId=key_id) == (
            "NotFoundException", "Key '%s' does not exist" % arn(key_id, region)))
    shown = until(lambda: (m := metadata(at.west, key_id))["KeyState"] == "PendingDeletion" and m)
    assert shown["MultiRegionConfiguration"] == relatives(key_id, "PRIMARY", WEST)
    assert "PendingDeletionWindowInDays" not in shown and shown["CurrentKeyMaterialId"] == material
    left = shown["DeletionDate"] - answer["DeletionDate"]
    assert datetime.timedelta(days=7) <= left <= datetime.timedelta(days=10, minutes=5)
    at.server.advance(7 * DAY)
    until(lambda: error_of(at.west.describe_key, KeyId=key_id)[0] == "NotFoundException")
    assert error_of(at.west.decrypt, CiphertextBlob=blob)[0] == "AccessDeniedException"


def test_deletion_of_a_replica_alone(at):
    """9.2: the others go on; at the end nobody lists it, and the Region is free again."""
    key_id = at.key(WEST, AP)["KeyId"]
    at.west.schedule_key_deletion(KeyId=key_id, PendingWindowInDays=7)
    at.server.advance(7 * DAY)
    until(lambda: metadata(at.east, key_id)["MultiRegionConfiguration"] == relatives(key_id, "PRIMARY", EAST, AP))
    assert metadata(at.ap, key_id)["MultiRegionConfiguration"] == relatives(key_id, "REPLICA", EAST, AP)
    assert state(at.east, key_id) == state(at.ap, key_id) == "Enabled"
    at.east.replicate_key(KeyId=key_id, ReplicaRegion=WEST)
    assert state(at.west, key_id) == "Creating"


def test_deletion_while_creating(at):
    """5.1: ScheduleKeyDeletion of a replica that is Creating; cancelled, it is Disabled (R36)."""
    key_id = at.key()["KeyId"]
    at.east.replicate_key(KeyId=key_id, ReplicaRegion=WEST)
    at.west.schedule_key_deletion(KeyId=key_id)
    at.settle()
    assert state(at.west, key_id) == "PendingDeletion"
    at.west.cancel_key_deletion(KeyId=key_id)
    assert state(at.west, key_id) == "Disabled"


# --- 6.7 imported material: what is about regions, not about imports --------------------------------------------------


def test_6_7_replica_of_an_imported_key(at):
    """6.7 steps 1 to 4, R45: the material stays where it is."""
    key = at.key(Origin="EXTERNAL")
    key_id = key["KeyId"]
    assert error_of(at.east.replicate_key, KeyId=key_id, ReplicaRegion=WEST) == is_state(key_id, EAST,
                                                                                          "pending import")
    material = import_material(at.east, key_id, b"1" * 32, KeyMaterialDescription="first")["KeyMaterialId"]
    answer = answer_fields(at.east.replicate_key(KeyId=key_id, ReplicaRegion=WEST))
    assert set(answer) == {"ReplicaKeyMetadata", "ReplicaPolicy"}
    replica = answer["ReplicaKeyMetadata"]
    assert set(replica) == MEMBERS | {"ExpirationModel"}
    assert (replica["KeyState"], replica["ExpirationModel"]) == ("Creating", "KEY_MATERIAL_DOES_NOT_EXPIRE")
    at.settle()
    replica = metadata(at.west, key_id)
    assert set(replica) == MEMBERS | {"CurrentKeyMaterialId"}
    assert (replica["KeyState"], replica["CurrentKeyMaterialId"]) == ("PendingImport", material)
    entries = at.west.list_key_rotations(KeyId=key_id, IncludeKeyMaterial="ALL_KEY_MATERIAL")["Rotations"]
    assert entries == [{"KeyId": arn(key_id, WEST), "KeyMaterialId": material, "KeyMaterialDescription": "first",
                        "ImportState": "PENDING_IMPORT", "KeyMaterialState": "CURRENT"}]
    assert error_of(at.east.update_primary_region, KeyId=key_id, PrimaryRegion=WEST) == is_state(
        key_id, WEST, "pending import")


# --- over restarts --------------------------------------------------------------------------------------------------


def test_after_a_restart(new_server):
    """Relatives, roles, states and ciphertexts are as they were."""
    s = new_server(*FLAGS)
    at = Regions(s)
    key_id = at.key(WEST, AP)["KeyId"]
    at.promote(key_id, EAST, WEST)
    blob = at.ap.encrypt(KeyId=key_id, Plaintext=b"x")["CiphertextBlob"]
    at.west.schedule_key_deletion(KeyId=key_id, PendingWindowInDays=9)
    before = {region: metadata(at[region], key_id) for region in (EAST, WEST, AP)}
    s.stop()
    s.start()
    at = Regions(s)
    assert {region: metadata(at[region], key_id) for region in (EAST, WEST, AP)} == before
    assert before[WEST]["PendingDeletionWindowInDays"] == 9
    assert at.east.decrypt(CiphertextBlob=blob)["Plaintext"] == b"x"


# --- servers that answer for some Regions -----------------------------------------------------------------------------


def test_regions_of_the_server(new_server):
    """A replica is made where this server answers, whatever the Region is called."""
    at = Regions(new_server("--regions=us-east-1,us-house-1"))
    key_id = at.east.create_key(MultiRegion=True)["KeyMetadata"]["KeyId"]
    assert error_of(at.east.replicate_key, KeyId=key_id, ReplicaRegion=WEST) == (
        "ValidationException", "Region us-west-2 is not a valid Region or multi-Region keys are not supported in "
        "Region us-west-2.")
    at.east.replicate_key(KeyId=key_id, ReplicaRegion="us-house-1")
    assert at["us-house-1"].describe_key(KeyId=key_id)["KeyMetadata"]["Arn"] == arn(key_id, "us-house-1")


def test_audit(at):
    """What is asked for is recorded, policies are not."""
    key_id = at.key()["KeyId"]
    policy = DEFAULT_POLICY.replace("Enable IAM User Permissions", "nobody else reads this")
    at.east.replicate_key(KeyId=key_id, ReplicaRegion=WEST, Policy=policy, Description="d", Tags=[TAG])
    at.settle()
    at.east.update_primary_region(KeyId=key_id, PrimaryRegion=WEST)
    at.east.list_keys()  # the last record of a running server may be half written
    records = {r["eventName"]: r for r in at.server.audit() if key_id in json.dumps(r)}
    replicated, updated = records["ReplicateKey"], records["UpdatePrimaryRegion"]
    assert "nobody else reads this" not in json.dumps(replicated)
    parameters = replicated["requestParameters"]
    assert (parameters["keyId"], parameters["replicaRegion"], parameters["description"]) == (key_id, WEST, "d")
    assert updated["requestParameters"] == {"keyId": key_id, "primaryRegion": WEST}
    assert {r["ARN"] for r in updated["resources"]} == {arn(key_id, EAST), arn(key_id, WEST)}
