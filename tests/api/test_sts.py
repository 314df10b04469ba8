"""STS: who am I, roles of one account and of others, sessions with all that they can carry, and their end.

RAM is recorded-authz-multiregion.md."""
import json
import pathlib
import subprocess
import sys
import time

import pytest

from identities import ACCOUNT, ALLOW_ALL, ALLOW_KMS, ROOT, TRUST_ROOT, iam, name, role, text, user  # noqa: F401
from trent_server import Server, error_of

AWS = str(pathlib.Path(sys.executable).parent / "aws")
OTHER = "111122223333"
NOBODY = "arn:aws:iam::%s:role/nobody" % ACCOUNT


@pytest.fixture(scope="module")
def sts(server):
    return server.client("sts")


@pytest.fixture(scope="module")
def other(server):
    """An account beside the first: clients of its root user."""
    made = json.loads(server.trent("account", "create", "--id", OTHER, "--json").stdout)

    def client(service):
        return server.client(service, key=made["accessKeyId"], secret=made["secretAccessKey"])

    return client


def user_client(server, iam, name, service="sts"):
    key = iam.create_access_key(UserName=name)["AccessKey"]
    return server.client(service, key=key["AccessKeyId"], secret=key["SecretAccessKey"])


def session_client(server, answer, service="kms", **more):
    c = answer["Credentials"] if "Credentials" in answer else answer
    return server.client(service, **{"key": c["AccessKeyId"], "secret": c["SecretAccessKey"],
                                     "token": c["SessionToken"], **more})


def trust(principal, actions="sts:AssumeRole", **more):
    return text({"Effect": "Allow", "Principal": {"AWS": principal}, "Action": actions, **more})


def denied(caller, arn, action="sts:AssumeRole"):
    return "AccessDenied", "User: %s is not authorized to perform: %s on resource: %s" % (caller, action, arn)


def allow(iam, user, *statements):
    iam.put_user_policy(UserName=user["UserName"], PolicyName="p", PolicyDocument=text(*statements or [ALLOW_ALL]))


@pytest.fixture
def me(server, iam, user):
    """A user with an identity policy that allows everything: (record, STS client)."""
    allow(iam, user)
    return user, user_client(server, iam, user["UserName"])


# --- who am I -----------------------------------------------------------------------------------------


def test_caller_identity(server, iam, sts, user, role):
    def who(client):
        answer = client.get_caller_identity()
        return answer["Arn"], answer["UserId"], answer["Account"]

    assert who(sts) == (ROOT, ACCOUNT, ACCOUNT)
    nobody = user_client(server, iam, user["UserName"])  # has no rights, and needs none
    assert who(nobody) == (user["Arn"], user["UserId"], ACCOUNT)
    assert who(session_client(server, nobody.get_session_token(), "sts")) == (user["Arn"], user["UserId"], ACCOUNT)
    allow(iam, user)
    session = nobody.assume_role(RoleArn=role["Arn"], RoleSessionName="me@home")
    arn = "arn:aws:sts::%s:assumed-role/%s/me@home" % (ACCOUNT, role["RoleName"])
    assert session["AssumedRoleUser"] == {"Arn": arn, "AssumedRoleId": role["RoleId"] + ":me@home"}
    assert who(session_client(server, session, "sts")) == (arn, role["RoleId"] + ":me@home", ACCOUNT)


def test_credentials_look_as_the_sdks_expect_them(server, me, role):
    c = me[1].assume_role(RoleArn=role["Arn"], RoleSessionName="ab")["Credentials"]
    assert c["AccessKeyId"].startswith("ASIA") and len(c["AccessKeyId"]) == 20
    assert len(c["SecretAccessKey"]) == 40 and len(c["SessionToken"]) == 64
    left = c["Expiration"].timestamp() - time.time()
    assert 3590 < left <= 3600


# --- one account: the trust policy decides, or hands over ---------------------------------------------


def test_the_root_statement_hands_over_to_identity_policies(server, iam, user, role):
    sts = user_client(server, iam, user["UserName"])
    assert error_of(sts.assume_role, RoleArn=role["Arn"], RoleSessionName="ab") == denied(user["Arn"], role["Arn"])
    allow(iam, user, {"Effect": "Allow", "Action": "sts:AssumeRole", "Resource": role["Arn"]})
    sts.assume_role(RoleArn=role["Arn"], RoleSessionName="ab")
    allow(iam, user, {"Effect": "Allow", "Action": "sts:AssumeRole", "Resource": role["Arn"] + "x"})
    assert error_of(sts.assume_role, RoleArn=role["Arn"], RoleSessionName="ab") == denied(user["Arn"], role["Arn"])


def test_a_user_who_is_named_needs_no_identity_policy(server, iam, user, name):
    role = iam.create_role(RoleName=name, AssumeRolePolicyDocument=trust(user["Arn"]))["Role"]
    sts = user_client(server, iam, user["UserName"])
    sts.assume_role(RoleArn=role["Arn"], RoleSessionName="ab")
    allow(iam, user, {"Effect": "Deny", "Action": "sts:*", "Resource": "*"})
    assert error_of(sts.assume_role, RoleArn=role["Arn"], RoleSessionName="ab") == denied(user["Arn"], role["Arn"])


def test_a_user_made_again_is_another_one(server, iam, user, name):
    role = iam.create_role(RoleName=name, AssumeRolePolicyDocument=trust(user["Arn"]))["Role"]
    iam.delete_user(UserName=user["UserName"])
    again = iam.create_user(UserName=user["UserName"])["User"]
    assert again["Arn"] == user["Arn"]
    sts = user_client(server, iam, again["UserName"])
    assert error_of(sts.assume_role, RoleArn=role["Arn"], RoleSessionName="ab") == denied(again["Arn"], role["Arn"])


def test_a_denial_in_the_trust_policy_wins(server, iam, me, name):
    document = text({"Effect": "Allow", "Principal": {"AWS": ROOT}, "Action": "sts:AssumeRole"},
                    {"Effect": "Deny", "Principal": {"AWS": me[0]["Arn"]}, "Action": "sts:AssumeRole"})
    role = iam.create_role(RoleName=name, AssumeRolePolicyDocument=document)["Role"]
    assert error_of(me[1].assume_role, RoleArn=role["Arn"], RoleSessionName="ab") == denied(me[0]["Arn"], role["Arn"])


def test_an_external_id_is_asked_for(iam, me, name):
    document = trust(ROOT, Condition={"StringEquals": {"sts:ExternalId": "customer/1"}})
    role = iam.create_role(RoleName=name, AssumeRolePolicyDocument=document)["Role"]
    no = denied(me[0]["Arn"], role["Arn"])
    assert error_of(me[1].assume_role, RoleArn=role["Arn"], RoleSessionName="ab") == no
    assert error_of(me[1].assume_role, RoleArn=role["Arn"], RoleSessionName="ab", ExternalId="customer/2") == no
    me[1].assume_role(RoleArn=role["Arn"], RoleSessionName="ab", ExternalId="customer/1")


def test_the_session_name_is_a_condition_key(iam, me, name):
    document = trust(ROOT, Condition={"StringLike": {"sts:RoleSessionName": "${aws:username}"}})
    role = iam.create_role(RoleName=name, AssumeRolePolicyDocument=document)["Role"]
    assert error_of(me[1].assume_role, RoleArn=role["Arn"], RoleSessionName="ab") == denied(me[0]["Arn"], role["Arn"])
    me[1].assume_role(RoleArn=role["Arn"], RoleSessionName=me[0]["UserName"])


def test_a_role_that_is_not_there_looks_like_one_that_does_not_trust(me):
    assert error_of(me[1].assume_role, RoleArn=NOBODY, RoleSessionName="ab") == denied(me[0]["Arn"], NOBODY)


def test_root_users_assume_no_roles(sts, role):
    assert error_of(sts.assume_role, RoleArn=role["Arn"], RoleSessionName="ab") == (
        "AccessDenied", "Roles may not be assumed by root accounts.")


@pytest.mark.parametrize("parameters, code, part", [
    ({"RoleArn": "arn:aws:iam::000000000000:user/x"}, "ValidationError", "arn:aws:iam::000000000000:user/x is invalid"),
    ({"RoleArn": "x" * 20}, "ValidationError", "xxxxxxxxxxxxxxxxxxxx is invalid"),
    ({"RoleArn": "x"}, "ValidationError", "at 'roleArn' failed to satisfy constraint: Member must have length greater"),
    ({"RoleSessionName": "a"}, "ValidationError", "at 'roleSessionName' failed to satisfy constraint"),
    ({"RoleSessionName": "a b"}, "ValidationError", "satisfy regular expression pattern: [\\w+=,.@-]*"),
    ({"RoleSessionName": None}, "ValidationError", "at 'roleSessionName' failed to satisfy constraint: Member must not be"),
    ({"DurationSeconds": 899}, "ValidationError", "at 'durationSeconds' failed to satisfy constraint"),
    ({"DurationSeconds": 43201}, "ValidationError", "at 'durationSeconds' failed to satisfy constraint"),
    ({"DurationSeconds": 3601}, "ValidationError",
     "The requested DurationSeconds exceeds the MaxSessionDuration set for this role."),
    ({"ExternalId": "a b"}, "ValidationError", "at 'externalId' failed to satisfy constraint"),
    ({"TokenCode": "123456", "SerialNumber": "arn:aws:iam::1:mfa/x"}, "AccessDenied", "MultiFactorAuthentication failed"),
    ({"Policy": "{"}, "MalformedPolicyDocument", "Syntax errors in policy."),
    ({"Policy": TRUST_ROOT}, "MalformedPolicyDocument", ""),
    ({"PolicyArns": [{"arn": "arn:aws:iam::000000000000:policy/none"}]}, "MalformedPolicyDocument", "policy/none"),
    ({"PolicyArns": [{"arn": "arn:aws:iam::aws:policy/ReadOnlyAccess"}] * 11}, "ValidationError", "'policyArns'"),
    ({"Policy": text(*[{"Effect": "Allow", "Action": "kms:" + "x" * 1000, "Resource": "*"}] * 5)}, "PackedPolicyTooLarge",
     "% of allotted space, please use smaller policy."),
    ({"Tags": [{"Key": "a", "Value": "1"}, {"Key": "A", "Value": "2"}]}, "ValidationError", "Duplicate tag keys found."),
    ({"Tags": [{"Key": "aws:x", "Value": "1"}]}, "ValidationError", "System tags can not be provided"),
    ({"Tags": [{"Key": "a", "Value": "1"}], "TransitiveTagKeys": ["b"]}, "ValidationError", "transitive tag key must be"),
])
def test_refused(iam, me, name, parameters, code, part):
    role = iam.create_role(RoleName=name, AssumeRolePolicyDocument=trust(ROOT, ["sts:AssumeRole", "sts:TagSession"]))["Role"]
    whole = {"RoleArn": role["Arn"], "RoleSessionName": "ab", **parameters}
    error = error_of(me[1].assume_role, **{k: v for k, v in whole.items() if v is not None})
    assert error[0] == code and part in (error[1] or ""), error


def test_longer_sessions_of_roles_that_allow_them(iam, me, name):
    role = iam.create_role(RoleName=name, AssumeRolePolicyDocument=TRUST_ROOT, MaxSessionDuration=7200)["Role"]
    c = me[1].assume_role(RoleArn=role["Arn"], RoleSessionName="ab", DurationSeconds=7200)["Credentials"]
    assert 7190 < c["Expiration"].timestamp() - time.time() <= 7200
    c = me[1].assume_role(RoleArn=role["Arn"], RoleSessionName="ab")["Credentials"]
    assert c["Expiration"].timestamp() - time.time() <= 3600


# --- other accounts: both sides are needed --------------------------------------------------------------


def test_another_account(server, iam, other, name):
    role = iam.create_role(RoleName=name, AssumeRolePolicyDocument=trust("arn:aws:iam::%s:root" % OTHER))["Role"]
    there = other("iam")
    user = there.create_user(UserName=name)["User"]
    sts = user_client(server, there, name)
    no = denied(user["Arn"], role["Arn"])
    assert error_of(sts.assume_role, RoleArn=role["Arn"], RoleSessionName="ab") == no
    there.put_user_policy(UserName=name, PolicyName="p",
                          PolicyDocument=text({"Effect": "Allow", "Action": "sts:AssumeRole", "Resource": role["Arn"]}))
    session = sts.assume_role(RoleArn=role["Arn"], RoleSessionName="ab")
    assert session_client(server, session, "sts").get_caller_identity()["Account"] == ACCOUNT
    # named there: its own account must allow it all the same
    iam.update_assume_role_policy(RoleName=name, PolicyDocument=trust(user["Arn"]))
    sts.assume_role(RoleArn=role["Arn"], RoleSessionName="ab")
    there.delete_user_policy(UserName=name, PolicyName="p")
    assert error_of(sts.assume_role, RoleArn=role["Arn"], RoleSessionName="ab") == no
    # and the other way round
    there.put_user_policy(UserName=name, PolicyName="p", PolicyDocument=text(ALLOW_ALL))
    iam.update_assume_role_policy(RoleName=name, PolicyDocument=TRUST_ROOT)
    assert error_of(sts.assume_role, RoleArn=role["Arn"], RoleSessionName="ab") == no


# --- what sessions may ------------------------------------------------------------------------------------


def role_with(iam, name, document=ALLOW_KMS, actions=("sts:AssumeRole", "sts:TagSession", "sts:SetSourceIdentity"), **more):
    role = iam.create_role(RoleName=name, AssumeRolePolicyDocument=trust(ROOT, list(actions), **more))["Role"]
    iam.put_role_policy(RoleName=name, PolicyName="p", PolicyDocument=text(document))
    return role


def test_session_policies_only_take_away(server, iam, me, name):
    role = role_with(iam, name)
    assume = lambda **more: session_client(server, me[1].assume_role(RoleArn=role["Arn"], RoleSessionName="ab", **more))
    assume().list_keys()
    assume().list_aliases()
    limited = assume(Policy=text({"Effect": "Allow", "Action": ["kms:ListKeys", "iam:*"], "Resource": "*"}))
    limited.list_keys()
    assert error_of(limited.list_aliases)[1].endswith("because no session policy allows the kms:ListAliases action")
    listed = assume(PolicyArns=[{"arn": "arn:aws:iam::aws:policy/IAMReadOnlyAccess"}])
    assert error_of(listed.list_keys)[1].endswith("because no session policy allows the kms:ListKeys action")
    # RAM 5.2: a managed one counts as it is now, not as it was
    own = iam.create_policy(PolicyName=name, PolicyDocument=text(ALLOW_KMS))["Policy"]["Arn"]
    managed = assume(PolicyArns=[{"arn": own}])
    managed.list_keys()
    iam.create_policy_version(PolicyArn=own, SetAsDefault=True,
                              PolicyDocument=text({"Effect": "Allow", "Action": "s3:*", "Resource": "*"}))
    assert error_of(managed.list_keys)[1].endswith("because no session policy allows the kms:ListKeys action")


def test_how_full_the_packet_is(me, role):
    assert "PackedPolicySize" not in me[1].assume_role(RoleArn=role["Arn"], RoleSessionName="ab")
    answer = me[1].assume_role(RoleArn=role["Arn"], RoleSessionName="ab", Policy=text(ALLOW_ALL))
    assert 0 < answer["PackedPolicySize"] < 10


def test_session_tags(server, iam, me, name):
    role = role_with(iam, name, {**ALLOW_KMS, "Condition": {"StringEquals": {"aws:PrincipalTag/team": "blue"}}})
    assume = lambda **more: session_client(server, me[1].assume_role(RoleArn=role["Arn"], RoleSessionName="ab", **more))
    assert error_of(assume().list_keys)[0] == "AccessDeniedException"
    assert error_of(assume(Tags=[{"Key": "team", "Value": "red"}]).list_keys)[0] == "AccessDeniedException"
    assume(Tags=[{"Key": "Team", "Value": "blue"}]).list_keys()
    iam.tag_role(RoleName=name, Tags=[{"Key": "team", "Value": "blue"}])
    assume().list_keys()
    assert error_of(assume(Tags=[{"Key": "team", "Value": "red"}]).list_keys)[0] == "AccessDeniedException"


def test_tags_need_a_right_of_their_own(iam, me, name):
    role = role_with(iam, name, actions=["sts:AssumeRole"])
    tags = [{"Key": "team", "Value": "blue"}]
    assert error_of(me[1].assume_role, RoleArn=role["Arn"], RoleSessionName="ab", Tags=tags) == denied(
        me[0]["Arn"], role["Arn"], "sts:TagSession")
    iam.update_assume_role_policy(RoleName=name, PolicyDocument=trust(
        ROOT, ["sts:AssumeRole", "sts:TagSession"], Condition={"StringEquals": {"aws:RequestTag/team": "blue"}}))
    me[1].assume_role(RoleArn=role["Arn"], RoleSessionName="ab", Tags=tags)
    assert error_of(me[1].assume_role, RoleArn=role["Arn"], RoleSessionName="ab")[0] == "AccessDenied"


def test_chains_of_roles(server, iam, me, name):
    """An hour at most; transitive tags and the source identity go on, and stay what they are."""
    first = role_with(iam, name + "a", ALLOW_ALL)
    second = role_with(iam, name + "b", {**ALLOW_KMS, "Condition": {"StringEquals": {"aws:PrincipalTag/team": "blue"},
                                                                    "Null": {"aws:PrincipalTag/own": "true"}}})
    answer = me[1].assume_role(RoleArn=first["Arn"], RoleSessionName="ab", SourceIdentity="alice",
                               Tags=[{"Key": "own", "Value": "x"}, {"Key": "team", "Value": "blue"}],
                               TransitiveTagKeys=["team"])
    assert answer["SourceIdentity"] == "alice"
    chained = session_client(server, answer, "sts")
    me_there = chained.get_caller_identity()["Arn"]
    parameters = {"RoleArn": second["Arn"], "RoleSessionName": "cd"}
    assert error_of(chained.assume_role, DurationSeconds=3601, **parameters) == (
        "ValidationError",
        "The requested DurationSeconds exceeds the 1 hour session limit for roles assumed by role chaining.")
    assert error_of(chained.assume_role, Tags=[{"Key": "TEAM", "Value": "red"}], **parameters)[0] == "ValidationError"
    assert error_of(chained.assume_role, SourceIdentity="bob", **parameters) == denied(
        me_there, second["Arn"], "sts:SetSourceIdentity")
    answer = chained.assume_role(**parameters)
    assert answer["SourceIdentity"] == "alice"
    session_client(server, answer).list_keys()
    third = session_client(server, answer, "sts").get_caller_identity()["Arn"]
    assert third == "arn:aws:sts::%s:assumed-role/%s/cd" % (ACCOUNT, name + "b")
    # a role whose trust policy does not let a source identity in
    iam.update_assume_role_policy(RoleName=name + "b", PolicyDocument=trust(ROOT, "sts:AssumeRole"))
    assert error_of(chained.assume_role, **parameters) == denied(me_there, second["Arn"], "sts:SetSourceIdentity")


# --- GetSessionToken ----------------------------------------------------------------------------------------


def test_session_tokens_of_users(server, iam, user):
    sts = user_client(server, iam, user["UserName"])
    answer = sts.get_session_token()
    assert 43190 < answer["Credentials"]["Expiration"].timestamp() - time.time() <= 43200
    kms = session_client(server, answer)
    assert error_of(kms.list_keys)[0] == "AccessDeniedException"
    allow(iam, user, ALLOW_KMS)
    kms.list_keys()  # it is the user, with the rights that the user has now
    again = session_client(server, answer, "sts")
    assert error_of(again.get_session_token) == ("AccessDenied", "Cannot call GetSessionToken with session credentials")
    assert error_of(sts.get_session_token, DurationSeconds=899)[0] == "ValidationError"
    assert error_of(sts.get_session_token, DurationSeconds=129601)[0] == "ValidationError"
    assert error_of(sts.get_session_token, SerialNumber="123456789", TokenCode="123456")[0] == "AccessDenied"
    longest = sts.get_session_token(DurationSeconds=129600)["Credentials"]["Expiration"].timestamp()
    assert longest - time.time() > 129590
    iam.delete_user_policy(UserName=user["UserName"], PolicyName="p")
    assert error_of(kms.list_keys)[0] == "AccessDeniedException"


def test_session_tokens_of_root_users_last_an_hour(server, sts):
    c = sts.get_session_token(DurationSeconds=43200)["Credentials"]
    assert c["Expiration"].timestamp() - time.time() <= 3600
    assert session_client(server, c, "sts").get_caller_identity()["Arn"] == ROOT
    session_client(server, c).list_keys()


def test_session_tokens_are_not_for_iam(server, sts, iam, user):
    """An hour of a root user's session once was enough for a permanent access key of it."""
    refused = ("InvalidClientTokenId", "The security token included in the request is invalid")
    root = session_client(server, sts.get_session_token(), "iam")
    assert error_of(root.create_access_key) == refused
    assert error_of(root.list_users) == refused
    allow(iam, user, {"Effect": "Allow", "Action": "*", "Resource": "*"})
    mine = user_client(server, iam, user["UserName"]).get_session_token()
    assert error_of(session_client(server, mine, "iam").create_access_key) == refused
    assert session_client(server, mine, "sts").get_caller_identity()["Arn"] == user["Arn"]
    keys = iam.list_access_keys(UserName=user["UserName"])["AccessKeyMetadata"]
    assert len(keys) == 1


# --- the token -------------------------------------------------------------------------------------------------


def test_wrong_tokens(server, me, role, iam):
    """RAM 2, rule 1: which text whom; STS and KMS spell the code differently."""
    c = me[1].assume_role(RoleArn=role["Arn"], RoleSessionName="ab")["Credentials"]
    mine = me[1].get_session_token()["Credentials"]
    known = "The security token included in the request is invalid"
    for wrong in ("invalid", None, mine["SessionToken"], c["SessionToken"] + "A", c["SessionToken"][:-1]):
        assert error_of(session_client(server, c, token=wrong).list_keys) == ("UnrecognizedClientException", known)
        assert error_of(session_client(server, c, "sts", token=wrong).get_caller_identity) == ("InvalidClientTokenId", known)
    assert error_of(server.client("kms", token=c["SessionToken"]).list_keys) == ("UnrecognizedClientException", known)
    assert error_of(session_client(server, c, key="ASIAAAAAAAAAAAAAAAAA").list_keys) == ("UnrecognizedClientException",
                                                                                         known + ".")
    assert error_of(session_client(server, c, secret="x" * 40).list_keys)[0] == "InvalidSignatureException"


def test_the_end_of_a_session(tmp_path):
    with Server(tmp_path / "data") as server:
        iam = server.client("iam")
        role = role_with(iam, "r")
        user = iam.create_user(UserName="u")["User"]
        allow(iam, user)
        answer = user_client(server, iam, "u").assume_role(RoleArn=role["Arn"], RoleSessionName="ab", DurationSeconds=900)
        kms = session_client(server, answer)
        kms.list_keys()
        server.stop()
        server.start()  # sessions are durable
        session_client(server, answer).list_keys()
        server.advance(895)
        session_client(server, answer).list_keys()
        server.advance(6)
        ended = "The security token included in the request is expired"
        assert error_of(session_client(server, answer).list_keys) == ("ExpiredTokenException", ended)
        assert error_of(session_client(server, answer, "sts").get_caller_identity) == ("ExpiredToken", ended)
        assert error_of(session_client(server, answer, token="x").list_keys)[1] == ended.replace("expired", "invalid")


def test_a_session_ends_with_its_role(server, iam, me, name):
    role = role_with(iam, name)
    answer = me[1].assume_role(RoleArn=role["Arn"], RoleSessionName="ab")
    kms = session_client(server, answer)
    kms.list_keys()
    iam.delete_role_policy(RoleName=name, PolicyName="p")
    assert error_of(kms.list_keys)[0] == "AccessDeniedException"
    iam.delete_role(RoleName=name)
    assert error_of(kms.list_keys)[0] == "UnrecognizedClientException"
    role_with(iam, name)  # another one, of the same name
    assert error_of(kms.list_keys)[0] == "UnrecognizedClientException"


def test_what_is_kept_of_credentials(tmp_path):
    """Neither secret nor token is in any file; the audit has the access key that was made."""
    with Server(tmp_path / "data") as server:
        iam = server.client("iam")
        role = role_with(iam, "r")
        user = iam.create_user(UserName="u")["User"]
        allow(iam, user)
        c = user_client(server, iam, "u").assume_role(RoleArn=role["Arn"], RoleSessionName="ab")["Credentials"]
        session_client(server, c).list_keys()
        server.stop()
        made = [r for r in server.audit() if r["eventName"] == "AssumeRole"]
        assert made[0]["additionalEventData"]["accessKeyId"] == c["AccessKeyId"]
        assert made[0]["additionalEventData"]["principalId"] == role["RoleId"]
        used = [r for r in server.audit() if r["eventName"] == "ListKeys"]
        assert used[0]["userIdentity"]["accessKeyId"] == c["AccessKeyId"]
        everything = b"".join(p.read_bytes() for p in (tmp_path / "data").rglob("*") if p.is_file())
        assert c["AccessKeyId"].encode() in everything
        assert c["SessionToken"].encode() not in everything and c["SecretAccessKey"].encode() not in everything


def test_a_denial_is_explained_in_the_audit(tmp_path):
    with Server(tmp_path / "data") as server:
        iam = server.client("iam")
        role = role_with(iam, "r")
        iam.create_user(UserName="u")
        error_of(user_client(server, iam, "u").assume_role, RoleArn=role["Arn"], RoleSessionName="ab")
        server.stop()
        record = [r for r in server.audit() if r["eventName"] == "AssumeRole"][-1]
        assert record["errorCode"] == "AccessDenied"
        assert record["additionalEventData"]["decision"]["reason"] == "no-identity-policy"
        told = server.trent("explain", record["requestID"], "--json").stdout  # strict: no member twice
        assert json.loads(told)["requestID"] == record["requestID"]


# --- the AWS CLI --------------------------------------------------------------------------------------------------


@pytest.mark.programs
def test_command_line(server, me, role, iam, user):
    def aws(*arguments, **credentials):
        env = {"PATH": "/usr/bin:/bin", "AWS_DEFAULT_REGION": "eu-central-1", "AWS_EC2_METADATA_DISABLED": "true", "HOME": "/nowhere",
               **credentials}
        done = subprocess.run([AWS, "--endpoint-url", server.url, *arguments], env=env, capture_output=True, text=True, timeout=60)
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)

    key = iam.create_access_key(UserName=user["UserName"])["AccessKey"]
    credentials = {"AWS_ACCESS_KEY_ID": key["AccessKeyId"], "AWS_SECRET_ACCESS_KEY": key["SecretAccessKey"]}
    assert aws("sts", "get-caller-identity", **credentials)["Arn"] == user["Arn"]
    allow(iam, user)
    answer = aws("sts", "assume-role", "--role-arn", role["Arn"], "--role-session-name", "cli", "--tags", "[]", **credentials)
    c = answer["Credentials"]
    session = {"AWS_ACCESS_KEY_ID": c["AccessKeyId"], "AWS_SECRET_ACCESS_KEY": c["SecretAccessKey"],
               "AWS_SESSION_TOKEN": c["SessionToken"]}
    assert aws("sts", "get-caller-identity", **session)["Arn"].endswith("/cli")
    assert aws("sts", "get-session-token", **credentials)["Credentials"]["AccessKeyId"].startswith("ASIA")
