"""Who may replicate a key and move its primary: kms-behaviour 2, 12; recorded-authz-multiregion 5.

ReplicateKey asks for kms:ReplicateKey on the primary, for kms:CreateKey in the other Region and, with tags, for
kms:TagResource there; UpdatePrimaryRegion for kms:UpdatePrimaryRegion on both keys.
"""
import json

import pytest

from principals import (DENY_IDENTITY, DENY_RESOURCE, NO_IDENTITY, account, denial, document, root_arn, statement,
                        unique)
from regions import AP, EAST, WEST, arn
from trent_server import error_of

TAGS = [{"TagKey": "team", "TagValue": "a"}]


@pytest.fixture(scope="module")
def owner(server):
    return account(server)


@pytest.fixture
def key_id(owner):
    return owner.kms.create_key(MultiRegion=True)["KeyMetadata"]["KeyId"]


def west_of(owner, user):
    return owner.server.client(region=WEST, key=user.key, secret=user.secret)


def on(operation, condition, value, effect="Allow", kind="StringEquals"):
    return statement("kms:" + operation, effect=effect, Condition={kind: {condition: value}})


def may_not_create(who):
    """What error_of gives for CreateKey, which names no resource."""
    return ("AccessDeniedException", "User: %s is not authorized to perform: kms:CreateKey because no identity-based "
            "policy allows the kms:CreateKey action" % who.arn)


REPLICATE, CREATE, TAG = statement("kms:ReplicateKey"), statement("kms:CreateKey"), statement("kms:TagResource")
UPDATE = statement("kms:UpdatePrimaryRegion")


def test_replicate_needs_create_there(owner, key_id):
    allowed = owner.user(REPLICATE, CREATE)
    no_create, no_replicate = owner.user(REPLICATE), owner.user(CREATE)
    parameters = {"KeyId": key_id, "ReplicaRegion": WEST}
    assert error_of(no_replicate.kms.replicate_key, **parameters) == denial(
        no_replicate, "ReplicateKey", arn(key_id, EAST), NO_IDENTITY)
    assert error_of(no_create.kms.replicate_key, **parameters) == may_not_create(no_create)
    assert allowed.kms.replicate_key(**parameters)["ReplicaKeyMetadata"]["KeyState"] == "Creating"


def test_tags_need_their_right(owner, key_id):
    without, allowed = owner.user(REPLICATE, CREATE), owner.user(REPLICATE, CREATE, TAG)
    parameters = {"KeyId": key_id, "ReplicaRegion": WEST, "Tags": TAGS}
    assert error_of(without.kms.replicate_key, **parameters) == denial(without, "TagResource", arn(key_id, WEST),
                                                                       NO_IDENTITY)
    assert allowed.kms.replicate_key(**parameters)["ReplicaTags"] == TAGS
    assert "ReplicaTags" not in without.kms.replicate_key(KeyId=key_id, ReplicaRegion=AP, Tags=[])


@pytest.mark.parametrize("right,other", [
    (on("CreateKey", "aws:RequestedRegion", WEST), on("CreateKey", "aws:RequestedRegion", EAST)),
    (on("ReplicateKey", "aws:RequestedRegion", EAST), on("ReplicateKey", "aws:RequestedRegion", WEST)),
    (on("ReplicateKey", "kms:ReplicaRegion", WEST), on("ReplicateKey", "kms:ReplicaRegion", [EAST, AP])),
    (on("ReplicateKey", "kms:MultiRegionKeyType", "PRIMARY"), on("ReplicateKey", "kms:MultiRegionKeyType", "REPLICA")),
    (on("CreateKey", "kms:MultiRegionKeyType", "REPLICA"), on("CreateKey", "kms:MultiRegionKeyType", "PRIMARY")),
    (on("CreateKey", "kms:MultiRegion", "true", kind="Bool"), on("CreateKey", "kms:MultiRegion", "false", kind="Bool")),
    (on("CreateKey", "kms:KeySpec", "SYMMETRIC_DEFAULT"), on("CreateKey", "kms:KeySpec", "RSA_2048")),
    (on("CreateKey", "kms:KeyUsage", "ENCRYPT_DECRYPT"), on("CreateKey", "kms:KeyUsage", "SIGN_VERIFY")),
    (on("CreateKey", "kms:KeyOrigin", "AWS_KMS"), on("CreateKey", "kms:KeyOrigin", "EXTERNAL")),
    (on("CreateKey", "kms:BypassPolicyLockoutSafetyCheck", "false", kind="Bool"),
     on("CreateKey", "kms:BypassPolicyLockoutSafetyCheck", "true", kind="Bool")),
    (on("ReplicateKey", "kms:PrimaryRegion", "true", kind="Null"), on("ReplicateKey", "kms:PrimaryRegion", EAST)),
    (on("CreateKey", "aws:RequestTag/team", "true", kind="Null"), on("CreateKey", "aws:RequestTag/team", "a")),
])
def test_conditions_of_replicate(owner, key_id, right, other):
    operation = right["Action"].removeprefix("kms:")
    rest = CREATE if operation == "ReplicateKey" else REPLICATE
    denied = owner.user(rest, other)
    refusal = may_not_create(denied) if operation == "CreateKey" else denial(denied, operation, arn(key_id, EAST),
                                                                              NO_IDENTITY)
    parameters = {"KeyId": key_id, "ReplicaRegion": WEST}
    assert error_of(denied.kms.replicate_key, **parameters) == refusal
    owner.user(rest, right).kms.replicate_key(**parameters)


def test_conditions_on_tags_of_the_replica(owner, key_id):
    """aws:RequestTag, aws:TagKeys: of the replica to be; aws:ResourceTag: of the primary, for ReplicateKey alone."""
    owner.kms.tag_resource(KeyId=key_id, Tags=[{"TagKey": "team", "TagValue": "p"}])
    parameters = {"KeyId": key_id, "ReplicaRegion": WEST, "Tags": TAGS}
    b_only = owner.user(REPLICATE, CREATE, on("TagResource", "aws:RequestTag/team", "b"))
    assert error_of(b_only.kms.replicate_key, **parameters) == denial(b_only, "TagResource", arn(key_id, WEST),
                                                                      NO_IDENTITY)
    by_primary = owner.user(on("ReplicateKey", "aws:ResourceTag/team", "p"),
                            on("CreateKey", "aws:ResourceTag/team", "p"), TAG)
    assert error_of(by_primary.kms.replicate_key, **parameters) == may_not_create(by_primary)
    allowed = owner.user(on("ReplicateKey", "aws:ResourceTag/team", "p"), on("CreateKey", "aws:RequestTag/team", "a"),
                         on("TagResource", "aws:TagKeys", ["team"], kind="ForAllValues:StringEquals"))
    assert allowed.kms.replicate_key(**parameters)["ReplicaTags"] == TAGS


def test_key_policy_of_the_primary(owner, key_id):
    """A deny there holds for ReplicateKey; CreateKey is a matter of identity policies alone."""
    user = owner.user(statement("kms:*"))
    own = statement("kms:*", Principal={"AWS": owner.arn})
    put = owner.kms.put_key_policy
    put(KeyId=key_id, PolicyName="default", Policy=document(
        own, statement("kms:CreateKey", effect="Deny", Principal="*"),
        statement("kms:ReplicateKey", effect="Deny", Principal="*",
                  Condition={"StringEquals": {"kms:ReplicaRegion": AP}})))
    assert error_of(user.kms.replicate_key, KeyId=key_id, ReplicaRegion=AP) == denial(
        user, "ReplicateKey", arn(key_id, EAST), DENY_RESOURCE)
    user.kms.replicate_key(KeyId=key_id, ReplicaRegion=WEST)


def test_lockout_check_in_the_other_region(owner, key_id):
    """12: the policy of the replica must let its maker put another one."""
    user = owner.user(statement("kms:*"))
    policy = document(statement("kms:*", Principal={"AWS": user.arn}))
    locked = document(statement("kms:*", Principal={"AWS": owner.user().arn}))
    parameters = {"KeyId": key_id, "ReplicaRegion": WEST}
    code, _ = error_of(user.kms.replicate_key, Policy=locked, **parameters)
    assert code == "MalformedPolicyDocumentException"
    assert user.kms.replicate_key(Policy=policy, **parameters)["ReplicaPolicy"] == policy
    assert error_of(owner.server.client(region=WEST).describe_key, KeyId=key_id)[0] == "AccessDeniedException"
    assert json.loads(west_of(owner, user).get_key_policy(KeyId=key_id)["Policy"]) == json.loads(policy)


def test_no_key_of_another_account(server, owner, key_id):
    """4.3: neither operation is for keys of other accounts, whatever the key policy says."""
    other = account(server, "111122223333")
    user = other.user(statement("kms:*"))
    owner.kms.put_key_policy(KeyId=key_id, PolicyName="default", Policy=document(
        statement("kms:*", Principal={"AWS": owner.arn}),
        statement("kms:*", Principal={"AWS": root_arn("111122223333")})))
    for call, parameters in ((user.kms.replicate_key, {"ReplicaRegion": WEST}),
                             (user.kms.update_primary_region, {"PrimaryRegion": WEST})):
        assert error_of(call, KeyId=arn(key_id, EAST), **parameters)[0] == "AccessDeniedException"


@pytest.fixture
def pair(owner, server):
    """A primary with a replica in us-west-2, both Enabled."""
    key_id = owner.kms.create_key(MultiRegion=True)["KeyMetadata"]["KeyId"]
    owner.kms.replicate_key(KeyId=key_id, ReplicaRegion=WEST)
    server.advance(2)
    return key_id


def test_update_needs_both_keys(owner, pair):
    for region in (EAST, WEST):
        user = owner.user(statement("kms:UpdatePrimaryRegion", resource=arn(pair, region)))
        other = WEST if region == EAST else EAST
        assert error_of(user.kms.update_primary_region, KeyId=pair, PrimaryRegion=WEST) == denial(
            user, "UpdatePrimaryRegion", arn(pair, other), NO_IDENTITY)
    user = owner.user(UPDATE)
    user.kms.update_primary_region(KeyId=pair, PrimaryRegion=WEST)


def test_update_to_where_it_is_needs_one(owner, pair):
    user = owner.user(statement("kms:UpdatePrimaryRegion", resource=arn(pair, EAST)))
    user.kms.update_primary_region(KeyId=pair, PrimaryRegion=EAST)


def test_key_policy_of_the_replica(owner, pair):
    owner.server.client(region=WEST).put_key_policy(KeyId=pair, PolicyName="default", Policy=document(
        statement("kms:*", Principal={"AWS": owner.arn}),
        statement("kms:UpdatePrimaryRegion", effect="Deny", Principal="*")))
    user = owner.user(UPDATE)
    assert error_of(user.kms.update_primary_region, KeyId=pair, PrimaryRegion=WEST) == denial(
        user, "UpdatePrimaryRegion", arn(pair, WEST), DENY_RESOURCE)


@pytest.mark.parametrize("right,denied_at", [
    (on("UpdatePrimaryRegion", "kms:PrimaryRegion", WEST), None),
    (on("UpdatePrimaryRegion", "kms:PrimaryRegion", EAST), EAST),
    (on("UpdatePrimaryRegion", "aws:RequestedRegion", [EAST, WEST]), None),
    (on("UpdatePrimaryRegion", "aws:RequestedRegion", EAST), WEST),
    (on("UpdatePrimaryRegion", "kms:MultiRegionKeyType", "PRIMARY"), WEST),
    (on("UpdatePrimaryRegion", "kms:MultiRegionKeyType", "REPLICA"), EAST),
    (on("UpdatePrimaryRegion", "kms:MultiRegion", "true", kind="Bool"), None),
    (on("UpdatePrimaryRegion", "kms:ReplicaRegion", WEST), EAST),
])
def test_conditions_of_update(owner, pair, right, denied_at):
    user = owner.user(right)
    call = user.kms.update_primary_region
    if denied_at is None:
        call(KeyId=pair, PrimaryRegion=WEST)
        return
    assert error_of(call, KeyId=pair, PrimaryRegion=WEST) == denial(user, "UpdatePrimaryRegion",
                                                                    arn(pair, denied_at), NO_IDENTITY)


def test_create_key_by_multi_region_key_type(owner):
    """A primary to be is PRIMARY, a single-Region key has no type."""
    user = owner.user(on("CreateKey", "kms:MultiRegionKeyType", "PRIMARY"))
    user.kms.create_key(MultiRegion=True)
    assert error_of(user.kms.create_key) == may_not_create(user)


def test_denied_first(owner, pair):
    """Whether there is a replica is no answer to who may not ask."""
    user = owner.user(statement("kms:UpdatePrimaryRegion", effect="Deny"), UPDATE, name=unique("denied"))
    assert error_of(user.kms.update_primary_region, KeyId=pair, PrimaryRegion=AP) == denial(
        user, "UpdatePrimaryRegion", arn(pair, EAST), DENY_IDENTITY)
