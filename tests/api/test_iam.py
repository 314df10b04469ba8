"""IAM: users, access keys, roles, tags and the account, and the Query protocol itself. The texts are those of the real
service."""
import json
import re
import subprocess
import threading
import urllib.parse

import pytest

from identities import ACCOUNT, ALLOW_ALL, ALLOW_KMS, NUMBERS, ROOT, TRUST_ROOT, document, pages, signed_as, text
from identities import iam, name, policy, role, user  # noqa: F401 - fixtures
from trent_server import error_of


# --- users --------------------------------------------------------------------------------------------


def test_a_user_from_creation_to_deletion(iam, name):
    made = iam.create_user(UserName=name, Path="/team/a/", Tags=[{"Key": "Dept", "Value": "IT +=:@ ü"}])["User"]
    assert made["Arn"] == "arn:aws:iam::%s:user/team/a/%s" % (ACCOUNT, name)
    assert (made["UserName"], made["Path"]) == (name, "/team/a/")
    assert re.fullmatch("AIDA[A-Z2-7]{17}", made["UserId"])
    assert made["Tags"] == [{"Key": "Dept", "Value": "IT +=:@ ü"}]
    again = iam.get_user(UserName=name)["User"]
    assert again == made
    assert iam.get_user(UserName=name.upper())["User"] == made  # names match whatever their case
    iam.delete_user(UserName=name)
    assert error_of(iam.get_user, UserName=name) == ("NoSuchEntity", "The user with name %s cannot be found." % name)
    other = iam.create_user(UserName=name)["User"]
    assert other["UserId"] != made["UserId"] and other["Path"] == "/"


def test_answers_are_those_of_the_query_protocol(iam, user):
    answer = iam.get_user(UserName=user["UserName"])["ResponseMetadata"]
    assert answer["HTTPStatusCode"] == 200
    assert re.fullmatch("[0-9a-f-]{36}", answer["RequestId"])
    assert answer["HTTPHeaders"]["content-type"] == "text/xml"
    assert answer["HTTPHeaders"]["x-amzn-requestid"] == answer["RequestId"]


@pytest.mark.parametrize("call, parameters, status", [
    ("get_user", {"UserName": "nobody"}, 404),
    ("create_user", {"UserName": "a b"}, 400),
])
def test_http_statuses_of_errors(iam, call, parameters, status):
    with pytest.raises(iam.exceptions.ClientError) as caught:
        getattr(iam, call)(**parameters)
    response = caught.value.response
    assert response["ResponseMetadata"]["HTTPStatusCode"] == status
    assert response["Error"]["Type"] == "Sender"
    assert re.fullmatch("[0-9a-f-]{36}", response["ResponseMetadata"]["RequestId"])


def test_names_are_taken_whatever_their_case(iam, user):
    name = user["UserName"].upper()
    assert error_of(iam.create_user, UserName=name) == ("EntityAlreadyExists", "User with name %s already exists." % name)


def test_users_and_roles_may_share_a_name(iam, user):
    assert iam.create_role(RoleName=user["UserName"], AssumeRolePolicyDocument=TRUST_ROOT)


@pytest.mark.parametrize("parameters, failure", [
    ({}, "Value null at 'userName' failed to satisfy constraint: Member must not be null"),
    ({"UserName": "x" * 65}, "Value '%s' at 'userName' failed to satisfy constraint: Member must have length less than or "
     "equal to 64" % ("x" * 65)),
    ({"UserName": "a/b"}, "Value 'a/b' at 'userName' failed to satisfy constraint: Member must satisfy regular expression "
     r"pattern: [\w+=,.@-]+"),
    ({"UserName": "a", "Path": "team"}, "Value 'team' at 'path' failed to satisfy constraint: Member must satisfy regular "
     r"expression pattern: (\u002F)|(\u002F[\u0021-\u007E]+\u002F)"),
    ({"UserName": "a", "Tags": [{"Key": "", "Value": "v"}]}, "Value '' at 'tags.1.member.key' failed to satisfy constraint: "
     "Member must have length greater than or equal to 1"),
    ({"UserName": "a", "Tags": [{"Key": "a!", "Value": "v"}]}, "Value 'a!' at 'tags.1.member.key' failed to satisfy "
     r"constraint: Member must satisfy regular expression pattern: [\p{L}\p{Z}\p{N}_.:/=+\-@]+"),
])
def test_parameters_are_checked(iam, parameters, failure):
    assert error_of(iam.create_user, **parameters) == ("ValidationError", "1 validation error detected: " + failure)


def test_all_failures_are_told_at_once(iam):
    code, message = error_of(iam.create_user, UserName="a b", Path="x")
    assert code == "ValidationError"
    assert message.startswith("2 validation errors detected: Value 'x' at 'path' ") and "; Value 'a b' at 'userName' " in message


def test_listing_users(iam, server):
    prefix = "/list%d/" % next(NUMBERS)
    names = ["list%d" % next(NUMBERS) for _ in range(5)]
    for n in names:
        iam.create_user(UserName=n, Path=prefix)
    assert [u["UserName"] for u in pages(iam.list_users, "Users", 2, PathPrefix=prefix)] == names
    assert [u["UserName"] for u in pages(iam.list_users, "Users", 5, PathPrefix=prefix)] == names
    everybody = [u["UserName"] for u in pages(iam.list_users, "Users", 3)]
    assert len(everybody) == len(set(everybody)) and set(names) <= set(everybody)
    marker = iam.list_users(MaxItems=1, PathPrefix=prefix)["Marker"]
    for call, parameters in ((iam.list_users, {}), (iam.list_roles, {"PathPrefix": prefix}),
                             (iam.list_users, {"PathPrefix": prefix, "Marker": "x"})):
        assert error_of(call, **{"Marker": marker, **parameters}) == ("ValidationError", "Invalid Marker.")


def test_what_hangs_on_a_user_goes_first(iam, user, policy):
    name = user["UserName"]
    key = iam.create_access_key(UserName=name)["AccessKey"]["AccessKeyId"]
    iam.put_user_policy(UserName=name, PolicyName="p", PolicyDocument=text(ALLOW_KMS))
    iam.attach_user_policy(UserName=name, PolicyArn=policy["Arn"])
    assert error_of(iam.delete_user, UserName=name) == (
        "DeleteConflict", "Cannot delete entity, must delete access keys first.")
    iam.delete_access_key(UserName=name, AccessKeyId=key)
    assert error_of(iam.delete_user, UserName=name) == ("DeleteConflict", "Cannot delete entity, must delete policies first.")
    iam.delete_user_policy(UserName=name, PolicyName="p")
    assert error_of(iam.delete_user, UserName=name) == (
        "DeleteConflict", "Cannot delete entity, must detach all policies first.")
    iam.detach_user_policy(UserName=name, PolicyArn=policy["Arn"])
    iam.delete_user(UserName=name)


def test_the_root_user(iam):
    me = iam.get_user()["User"]
    assert (me["UserId"], me["Arn"]) == (ACCOUNT, ROOT)
    assert "UserName" not in me


# --- who is asked about without a name ------------------------------------------------------------------


def test_a_user_may_leave_out_its_own_name(server, iam, user):
    iam.put_user_policy(UserName=user["UserName"], PolicyName="all", PolicyDocument=text(ALLOW_ALL))
    own = signed_as(server, iam, user["UserName"], "iam")
    assert own.get_user()["User"]["Arn"] == user["Arn"]
    made = own.create_access_key()["AccessKey"]
    assert made["UserName"] == user["UserName"]
    assert len(own.list_access_keys()["AccessKeyMetadata"]) == 2
    own.update_access_key(AccessKeyId=made["AccessKeyId"], Status="Inactive")
    own.delete_access_key(AccessKeyId=made["AccessKeyId"])


# --- access keys ----------------------------------------------------------------------------------------


def test_an_access_key_signs_until_it_is_inactive_or_gone(server, iam, user):
    name = user["UserName"]
    iam.put_user_policy(UserName=name, PolicyName="all", PolicyDocument=text(ALLOW_ALL))
    made = iam.create_access_key(UserName=name)["AccessKey"]
    assert re.fullmatch("AKIA[A-Z2-7]{16}", made["AccessKeyId"])
    assert re.fullmatch("[A-Za-z0-9+/]{40}", made["SecretAccessKey"])
    assert (made["UserName"], made["Status"]) == (name, "Active")
    kms = server.client(key=made["AccessKeyId"], secret=made["SecretAccessKey"])
    kms.list_keys()
    iam.update_access_key(UserName=name, AccessKeyId=made["AccessKeyId"], Status="Inactive")
    assert error_of(kms.list_keys)[0] == "UnrecognizedClientException"
    assert iam.list_access_keys(UserName=name)["AccessKeyMetadata"][0]["Status"] == "Inactive"
    iam.update_access_key(UserName=name, AccessKeyId=made["AccessKeyId"], Status="Active")
    kms.list_keys()
    iam.delete_access_key(UserName=name, AccessKeyId=made["AccessKeyId"])
    assert error_of(kms.list_keys)[0] == "UnrecognizedClientException"


def test_access_keys_are_at_most_two(iam, user):
    name = user["UserName"]
    keys = [iam.create_access_key(UserName=name)["AccessKey"]["AccessKeyId"] for _ in range(2)]
    assert error_of(iam.create_access_key, UserName=name) == (
        "LimitExceeded", "Cannot exceed quota for AccessKeysPerUser: 2")
    listed = pages(iam.list_access_keys, "AccessKeyMetadata", 1, UserName=name)
    assert [k["AccessKeyId"] for k in listed] == keys
    assert all(k["UserName"] == name and "SecretAccessKey" not in k for k in listed)


def test_two_at_once_do_not_get_past_the_limit(iam, server, user):
    name = user["UserName"]
    outcomes = []

    def create():
        try:
            server.client("iam").create_access_key(UserName=name)
            outcomes.append("made")
        except iam.exceptions.LimitExceededException:
            outcomes.append("limit")

    threads = [threading.Thread(target=create) for _ in range(6)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert sorted(outcomes) == ["limit"] * 4 + ["made"] * 2
    assert len(iam.list_access_keys(UserName=name)["AccessKeyMetadata"]) == 2


def test_access_keys_of_others_are_not_found(iam, user, role):
    other = iam.create_user(UserName="other-" + user["UserName"])["User"]["UserName"]
    key = iam.create_access_key(UserName=user["UserName"])["AccessKey"]["AccessKeyId"]
    missing = ("NoSuchEntity", "The Access Key with id %s cannot be found." % key)
    assert error_of(iam.delete_access_key, UserName=other, AccessKeyId=key) == missing
    assert error_of(iam.update_access_key, UserName=other, AccessKeyId=key, Status="Inactive") == missing
    assert error_of(iam.delete_access_key, AccessKeyId=key) == missing  # the root user's
    unknown = "AKIA" + "A" * 16
    assert error_of(iam.get_access_key_last_used, AccessKeyId=unknown) == (
        "NoSuchEntity", "The Access Key with id %s cannot be found." % unknown)
    assert error_of(iam.create_access_key, UserName="nobody") == (
        "NoSuchEntity", "The user with name nobody cannot be found.")
    assert error_of(iam.update_access_key, UserName=user["UserName"], AccessKeyId=key, Status="Off") == (
        "ValidationError", "1 validation error detected: Value 'Off' at 'status' failed to satisfy constraint: Member must "
        "satisfy enum value set: [Active, Inactive, Expired]")


def test_secrets_are_never_audited(server, iam, user):
    made = iam.create_access_key(UserName=user["UserName"])["AccessKey"]
    records = [r for r in server.audit() if r["eventName"] == "CreateAccessKey"]
    assert records[-1]["eventSource"] == "iam.amazonaws.com"
    assert records[-1]["requestParameters"] == {"userName": user["UserName"]}
    assert made["SecretAccessKey"] not in json.dumps(records)
    stored = b"".join(p.read_bytes() for p in server.data.rglob("*") if p.is_file())
    assert made["AccessKeyId"].encode() in stored
    assert made["SecretAccessKey"].encode() not in stored


# --- roles ----------------------------------------------------------------------------------------------


def test_a_role_from_creation_to_deletion(iam, name):
    made = iam.create_role(RoleName=name, Path="/svc/", AssumeRolePolicyDocument=TRUST_ROOT, Description="what it is for",
                           MaxSessionDuration=7200, Tags=[{"Key": "a", "Value": ""}])["Role"]
    assert made["Arn"] == "arn:aws:iam::%s:role/svc/%s" % (ACCOUNT, name)
    assert re.fullmatch("AROA[A-Z2-7]{17}", made["RoleId"])
    assert made["AssumeRolePolicyDocument"] == json.loads(TRUST_ROOT)
    assert (made["Description"], made["MaxSessionDuration"]) == ("what it is for", 7200)
    assert made["Tags"] == [{"Key": "a", "Value": ""}]
    assert iam.get_role(RoleName=name)["Role"] == made
    listed = iam.list_roles(PathPrefix="/svc/")["Roles"]
    assert [r["RoleName"] for r in listed] == [name] and "Tags" not in listed[0]

    iam.update_role(RoleName=name, MaxSessionDuration=3600)
    assert iam.get_role(RoleName=name)["Role"]["Description"] == "what it is for"
    iam.update_role(RoleName=name, Description="")
    got = iam.get_role(RoleName=name)["Role"]
    assert got["MaxSessionDuration"] == 3600 and "Description" not in got
    assert iam.update_role_description(RoleName=name, Description="new")["Role"]["Description"] == "new"
    assert error_of(iam.create_role, RoleName=name, AssumeRolePolicyDocument=TRUST_ROOT) == (
        "EntityAlreadyExists", "Role with name %s already exists." % name)
    iam.delete_role(RoleName=name)
    assert error_of(iam.get_role, RoleName=name) == ("NoSuchEntity", "The role with name %s cannot be found." % name)


def test_a_page_of_large_roles_is_short(new_server):
    iam = new_server().client("iam")
    trust = TRUST_ROOT + " " * (32000 - len(TRUST_ROOT))  # each three times as long in an answer
    names = ["r%d" % i for i in range(30)]
    for name in names:
        iam.create_role(RoleName=name, AssumeRolePolicyDocument=trust)
    first = iam.list_roles(MaxItems=1000)
    assert 0 < len(first["Roles"]) < 30 and first["IsTruncated"]
    assert [r["RoleName"] for r in pages(iam.list_roles, "Roles", 1000)] == names


@pytest.mark.parametrize("seconds", [3599, 43201])
def test_session_durations(iam, name, seconds):
    assert error_of(iam.create_role, RoleName=name, AssumeRolePolicyDocument=TRUST_ROOT, MaxSessionDuration=seconds)[0] == \
        "ValidationError"


def test_trust_policies_name_those_who_are_there(iam, role, user):
    name = role["RoleName"]

    def trust(principal):
        return text({"Effect": "Allow", "Principal": {"AWS": principal}, "Action": "sts:AssumeRole"})

    stranger = "arn:aws:iam::%s:user/nobody" % ACCOUNT
    assert error_of(iam.update_assume_role_policy, RoleName=name, PolicyDocument=trust(stranger)) == (
        "MalformedPolicyDocument", 'Invalid principal in policy: "AWS":"%s"' % stranger)
    iam.update_assume_role_policy(RoleName=name, PolicyDocument=trust(user["Arn"]))
    shown = iam.get_role(RoleName=name)["Role"]["AssumeRolePolicyDocument"]
    assert shown["Statement"][0]["Principal"] == {"AWS": user["Arn"]}
    # a user that is gone is shown by its unique id, and one that is made later under its name is another
    iam.delete_user(UserName=user["UserName"])
    for _ in range(2):
        shown = iam.get_role(RoleName=name)["Role"]["AssumeRolePolicyDocument"]
        assert shown["Statement"][0]["Principal"] == {"AWS": user["UserId"]}
        if _ == 0:
            iam.create_user(UserName=user["UserName"])


@pytest.mark.parametrize("bad, code", [
    ("{", "MalformedPolicyDocument"),
    (text({"Effect": "Allow", "Action": "sts:AssumeRole"}), "MalformedPolicyDocument"),
    (text({"Effect": "Allow", "Principal": {"AWS": ROOT}, "Action": "sts:AssumeRole", "Resource": "*"}),
     "MalformedPolicyDocument"),
    (text({"Effect": "Allow", "Principal": {"AWS": ROOT}, "Action": "sts:AssumeRole",
           "Condition": {"StringEquals": {"sts:ExternalId": "x" * 2048}}}), "LimitExceeded"),
])
def test_trust_policies_are_checked(iam, name, role, bad, code):
    assert error_of(iam.create_role, RoleName="new-" + name, AssumeRolePolicyDocument=bad)[0] == code
    assert error_of(iam.update_assume_role_policy, RoleName=role["RoleName"], PolicyDocument=bad)[0] == code
    assert iam.get_role(RoleName=role["RoleName"])["Role"]["AssumeRolePolicyDocument"] == json.loads(TRUST_ROOT)


# --- tags -----------------------------------------------------------------------------------------------


def tagged(iam, kind, name):
    if kind == "user":
        iam.create_user(UserName=name)
        return {"UserName": name}
    if kind == "role":
        iam.create_role(RoleName=name, AssumeRolePolicyDocument=TRUST_ROOT)
        return {"RoleName": name}
    return {"PolicyArn": iam.create_policy(PolicyName=name, PolicyDocument=text(ALLOW_ALL))["Policy"]["Arn"]}


@pytest.mark.parametrize("kind", ["user", "role", "policy"])
def test_tags(iam, name, kind):
    who = tagged(iam, kind, name)

    def call(operation, **parameters):
        return getattr(iam, operation.replace("KIND", kind))(**who, **parameters)

    def all_tags():
        return [(t["Key"], t["Value"]) for t in pages(lambda **p: call("list_KIND_tags", **p), "Tags", 2)]

    call("tag_KIND", Tags=[{"Key": "a", "Value": "1"}, {"Key": "B", "Value": ""}, {"Key": "ü", "Value": "ö"}])
    call("tag_KIND", Tags=[{"Key": "b", "Value": "2"}])  # the same key in another case
    assert all_tags() == [("a", "1"), ("b", "2"), ("ü", "ö")]
    call("untag_KIND", TagKeys=["A", "absent"])
    assert all_tags() == [("b", "2"), ("ü", "ö")]
    for bad in ([{"Key": "x", "Value": "1"}, {"Key": "X", "Value": "2"}], [{"Key": "AWS:x", "Value": "1"}]):
        assert error_of(call, "tag_KIND", Tags=bad)[0] == "InvalidInput"
    call("tag_KIND", Tags=[{"Key": "k%d" % i, "Value": "v"} for i in range(48)])
    assert error_of(call, "tag_KIND", Tags=[{"Key": "one-more", "Value": "v"}]) == (
        "LimitExceeded", "Cannot exceed quota for TagsPer%s: 50" % kind.capitalize())
    call("tag_KIND", Tags=[{"Key": "k7", "Value": "other"}])
    assert ("k7", "other") in all_tags() and len(all_tags()) == 50
    call("untag_KIND", TagKeys=["k%d" % i for i in range(48)] + ["b", "ü"])
    assert all_tags() == []


# --- the account ----------------------------------------------------------------------------------------


def test_the_account_in_numbers(new_server):
    iam = new_server().client("iam")
    iam.create_user(UserName="u")
    iam.create_role(RoleName="r", AssumeRolePolicyDocument=TRUST_ROOT)
    iam.create_policy(PolicyName="p", PolicyDocument=text(ALLOW_ALL))
    summary = iam.get_account_summary()["SummaryMap"]
    assert (summary["Users"], summary["Roles"], summary["Policies"]) == (1, 1, 1)
    assert (summary["AccessKeysPerUserQuota"], summary["VersionsPerPolicyQuota"]) == (2, 5)
    assert summary["AccountAccessKeysPresent"] == 1
    assert iam.list_account_aliases()["AccountAliases"] == []


# --- the protocol -----------------------------------------------------------------------------------------


def test_actions_that_are_none(iam):
    client = iam
    for action, code in (("ListGroups", "InvalidAction"), ("ListMFADevices", "InvalidAction")):
        operation = {"ListGroups": client.list_groups, "ListMFADevices": client.list_mfa_devices}[action]
        assert error_of(operation) == (code, "Could not find operation %s for version 2010-05-08" % action)


def test_signatures_are_checked(server):
    assert error_of(server.client("iam", secret="wrong").list_users)[0] == "SignatureDoesNotMatch"
    assert error_of(server.client("iam", key="AKIAAAAAAAAAAAAAAAAA").list_users) == (
        "InvalidClientTokenId", "The security token included in the request is invalid.")


def test_what_was_made_outlives_the_server(new_server, tmp_path):
    server = new_server()
    iam = server.client("iam")
    iam.create_user(UserName="u", Path="/p/", Tags=[{"Key": "a", "Value": "b"}])
    arn = iam.create_policy(PolicyName="p", PolicyDocument=text(ALLOW_ALL))["Policy"]["Arn"]
    iam.attach_user_policy(UserName="u", PolicyArn=arn)
    iam.put_user_policy(UserName="u", PolicyName="inline", PolicyDocument=text(ALLOW_KMS))
    iam.create_role(RoleName="r", AssumeRolePolicyDocument=text(
        {"Effect": "Allow", "Principal": {"AWS": "arn:aws:iam::%s:user/p/u" % ACCOUNT}, "Action": "sts:AssumeRole"}),
        PermissionsBoundary=arn)
    key = iam.create_access_key(UserName="u")["AccessKey"]
    before = [iam.get_user(UserName="u")["User"], iam.get_role(RoleName="r")["Role"], iam.get_policy(PolicyArn=arn)["Policy"]]
    assert server.stop() == 0
    server.start()
    iam = server.client("iam")
    assert [iam.get_user(UserName="u")["User"], iam.get_role(RoleName="r")["Role"],
            iam.get_policy(PolicyArn=arn)["Policy"]] == before
    assert iam.get_user_policy(UserName="u", PolicyName="inline")["PolicyDocument"] == document(ALLOW_KMS)
    server.client(key=key["AccessKeyId"], secret=key["SecretAccessKey"]).list_keys()


@pytest.mark.programs
def test_the_aws_cli(server, name):
    def aws(*arguments):
        environment = {**server.env, "AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test",
                       "AWS_DEFAULT_REGION": "eu-central-1", "AWS_ENDPOINT_URL": server.url}
        return subprocess.run(["aws", "iam", *arguments], env=environment, capture_output=True, text=True, timeout=60)

    def answer(*arguments):
        done = aws(*arguments, "--output", "json")
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout) if done.stdout else None

    assert answer("create-user", "--user-name", name)["User"]["UserName"] == name
    answer("put-user-policy", "--user-name", name, "--policy-name", "p", "--policy-document", text(ALLOW_KMS))
    assert answer("get-user-policy", "--user-name", name, "--policy-name", "p")["PolicyDocument"] == document(ALLOW_KMS)
    assert name in [u["UserName"] for u in answer("list-users", "--page-size", "2")["Users"]]
    answer("delete-user-policy", "--user-name", name, "--policy-name", "p")
    answer("delete-user", "--user-name", name)
    missing = aws("get-user", "--user-name", name)
    assert missing.returncode != 0 and "(NoSuchEntity)" in missing.stderr


def test_bodies_that_are_no_forms(server):
    """Signed, but not what the protocol asks for."""
    from botocore.auth import SigV4Auth
    from botocore.awsrequest import AWSRequest
    from botocore.credentials import Credentials
    import http.client

    def send(body, content_type="application/x-www-form-urlencoded"):
        request = AWSRequest("POST", server.url + "/", data=body, headers={"Content-Type": content_type})
        SigV4Auth(Credentials("test", "test"), "iam", "us-east-1").add_auth(request)
        connection = http.client.HTTPConnection(*server.address, timeout=10)
        connection.request("POST", "/", body, dict(request.headers))
        response = connection.getresponse()
        return response.status, re.search("<Code>(.*?)</Code>", response.read().decode()).group(1)

    good = urllib.parse.urlencode({"Action": "ListUsers", "Version": "2010-05-08"})
    assert send(good + "&Action=GetUser") == (400, "MalformedQueryString")
    assert send(good + "&X=%4") == (400, "MalformedQueryString")
    assert send("Version=2010-05-08") == (400, "InvalidAction")
    assert send("Action=ListUsers") == (400, "InvalidAction")
    assert send("Action=ListUsers&Version=2011-06-15") == (400, "NoSuchVersion")
    assert send("{}", "application/json")[0] == 400
