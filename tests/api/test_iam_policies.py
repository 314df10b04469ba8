"""IAM: inline and managed policies, attachments and boundaries. The texts are those of the real service."""
import json
import re

from identities import ACCOUNT, ALLOW_ALL, ALLOW_KMS, NUMBERS, TRUST_ROOT, document, pages, text
from identities import entity, iam, name, policy, user  # noqa: F401 - fixtures
from trent_server import error_of


# --- inline policies ------------------------------------------------------------------------------------



def test_inline_policies(entity):
    kind, name, call = entity
    call("put_ENTITY_policy", PolicyName="one", PolicyDocument=text(ALLOW_KMS))
    call("put_ENTITY_policy", PolicyName="two", PolicyDocument=text(ALLOW_ALL))
    call("put_ENTITY_policy", PolicyName="one", PolicyDocument='{ "Version": "2012-10-17",\n"Statement": %s }' % json.dumps(ALLOW_ALL))
    got = call("get_ENTITY_policy", PolicyName="one")
    assert got["PolicyName"] == "one" and got[kind.capitalize() + "Name"] == name
    assert got["PolicyDocument"] == {"Version": "2012-10-17", "Statement": ALLOW_ALL}
    assert pages(lambda **p: call("list_ENTITY_policies", **p), "PolicyNames") == ["one", "two"]
    call("delete_ENTITY_policy", PolicyName="one")
    missing = ("NoSuchEntity", "The %s policy with name one cannot be found." % kind)
    assert error_of(call, "get_ENTITY_policy", PolicyName="one") == missing
    assert error_of(call, "delete_ENTITY_policy", PolicyName="one") == missing
    assert call("list_ENTITY_policies")["PolicyNames"] == ["two"]
    assert call("get_ENTITY_policy", PolicyName="two")["PolicyDocument"] == document(ALLOW_ALL)


def test_inline_policies_are_checked(entity):
    kind, name, call = entity
    for bad in ("{", "[]", text({"Effect": "Allow", "Action": "*"}), text({**ALLOW_ALL, "Principal": "*"}),
                text({**ALLOW_ALL, "Effect": "Maybe"})):
        assert error_of(call, "put_ENTITY_policy", PolicyName="p", PolicyDocument=bad)[0] == "MalformedPolicyDocument"
    assert error_of(call, "put_ENTITY_policy", PolicyName="p", PolicyDocument="{") == (
        "MalformedPolicyDocument", "Syntax errors in policy.")
    assert call("list_ENTITY_policies")["PolicyNames"] == []


def test_the_sizes_of_inline_policies_add_up_without_white_space(entity):
    kind, name, call = entity
    limit = {"user": 2048, "role": 10240}[kind]

    def of_size(n):
        empty = '{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"*","Resource":"%s"}]}'
        return (empty % ("x" * (n - len(empty) + 2))).replace(",", ", \n\t\r")

    call("put_ENTITY_policy", PolicyName="a", PolicyDocument=of_size(1000))
    call("put_ENTITY_policy", PolicyName="b", PolicyDocument=of_size(limit - 1000))
    too_large = ("LimitExceeded", "Maximum policy size of %d bytes exceeded for %s %s" % (limit, kind, name))
    assert error_of(call, "put_ENTITY_policy", PolicyName="b", PolicyDocument=of_size(limit - 999)) == too_large
    assert error_of(call, "put_ENTITY_policy", PolicyName="c", PolicyDocument=of_size(90)) == too_large
    call("put_ENTITY_policy", PolicyName="a", PolicyDocument=of_size(910))
    call("put_ENTITY_policy", PolicyName="c", PolicyDocument=of_size(90))


# --- managed policies -----------------------------------------------------------------------------------


def test_a_managed_policy_from_creation_to_deletion(iam, name):
    made = iam.create_policy(PolicyName=name, Path="/div/", PolicyDocument=text(ALLOW_KMS), Description="d",
                             Tags=[{"Key": "k", "Value": "v"}])["Policy"]
    arn = "arn:aws:iam::%s:policy/div/%s" % (ACCOUNT, name)
    assert made["Arn"] == arn
    assert re.fullmatch("ANPA[A-Z2-7]{17}", made["PolicyId"])
    assert (made["DefaultVersionId"], made["AttachmentCount"], made["IsAttachable"]) == ("v1", 0, True)
    assert iam.get_policy(PolicyArn=arn)["Policy"] == made
    assert made["Description"] == "d" and made["Tags"] == [{"Key": "k", "Value": "v"}]
    assert [p["Arn"] for p in iam.list_policies(PathPrefix="/div/")["Policies"]] == [arn]
    assert error_of(iam.create_policy, PolicyName=name, PolicyDocument=text(ALLOW_KMS)) == (
        "EntityAlreadyExists", "A policy called %s already exists. Duplicate names are not allowed." % name)
    iam.delete_policy(PolicyArn=arn)
    assert error_of(iam.get_policy, PolicyArn=arn) == ("NoSuchEntity", "Policy %s was not found." % arn)
    assert error_of(iam.get_policy, PolicyArn="not an arn at all...") == (
        "InvalidInput", "ARN not an arn at all... is not valid.")


def test_versions(iam, policy):
    arn = policy["Arn"]
    for n in range(2, 6):
        made = iam.create_policy_version(PolicyArn=arn, PolicyDocument=text({**ALLOW_KMS, "Sid": "v%d" % n}),
                                         SetAsDefault=n == 3)["PolicyVersion"]
        assert (made["VersionId"], made["IsDefaultVersion"]) == ("v%d" % n, n == 3)
    assert error_of(iam.create_policy_version, PolicyArn=arn, PolicyDocument=text(ALLOW_KMS)) == (
        "LimitExceeded", "A managed policy can have up to 5 versions. Before you create a new version, you must delete an "
        "existing version.")
    listed = pages(iam.list_policy_versions, "Versions", 2, PolicyArn=arn)
    assert [(v["VersionId"], v["IsDefaultVersion"]) for v in listed] == [
        ("v5", False), ("v4", False), ("v3", True), ("v2", False), ("v1", False)]
    assert iam.get_policy(PolicyArn=arn)["Policy"]["DefaultVersionId"] == "v3"
    got = iam.get_policy_version(PolicyArn=arn, VersionId="v2")["PolicyVersion"]
    assert got["Document"]["Statement"][0]["Sid"] == "v2" and not got["IsDefaultVersion"]
    assert error_of(iam.delete_policy_version, PolicyArn=arn, VersionId="v3") == (
        "DeleteConflict", "Cannot delete the default version of a policy.")
    iam.set_default_policy_version(PolicyArn=arn, VersionId="v5")
    iam.delete_policy_version(PolicyArn=arn, VersionId="v3")
    for operation in (iam.get_policy_version, iam.delete_policy_version, iam.set_default_policy_version):
        assert error_of(operation, PolicyArn=arn, VersionId="v3") == (
            "NoSuchEntity", "Policy %s version v3 does not exist or is not attachable." % arn)
    # a number is never given twice
    assert iam.create_policy_version(PolicyArn=arn, PolicyDocument=text(ALLOW_KMS))["PolicyVersion"]["VersionId"] == "v6"
    assert error_of(iam.delete_policy, PolicyArn=arn)[0] == "DeleteConflict"
    for version in ("v1", "v2", "v4", "v6"):
        iam.delete_policy_version(PolicyArn=arn, VersionId=version)
    iam.delete_policy(PolicyArn=arn)


def test_the_size_of_a_managed_policy(iam, name):
    def of_size(n):
        return text({**ALLOW_ALL, "Resource": "x" * n}).replace(" ", "")

    base = len(of_size(0))
    assert error_of(iam.create_policy, PolicyName=name, PolicyDocument=of_size(6145 - base)) == (
        "LimitExceeded", "Cannot exceed quota for PolicySize: 6144")
    arn = iam.create_policy(PolicyName=name, PolicyDocument=of_size(6144 - base))["Policy"]["Arn"]
    assert error_of(iam.create_policy_version, PolicyArn=arn, PolicyDocument=of_size(6145 - base))[0] == "LimitExceeded"


def test_white_space_is_limited_too(iam, name, user):
    def padded(n):
        document = text(ALLOW_ALL)
        return document + " " * (n - len(document))

    too_long = ("LimitExceeded", "A policy document must not have more than 32768 bytes, white space included.")
    assert error_of(iam.create_policy, PolicyName=name, PolicyDocument=padded(32769)) == too_long
    assert error_of(iam.put_user_policy, UserName=user["UserName"], PolicyName="p", PolicyDocument=padded(32769)) == too_long
    assert error_of(iam.create_role, RoleName=name, AssumeRolePolicyDocument=padded(32769)) == too_long
    iam.create_policy(PolicyName=name, PolicyDocument=padded(32768))


def test_attaching(iam, entity, policy):
    kind, name, call = entity
    arn = policy["Arn"]
    call("attach_ENTITY_policy", PolicyArn=arn)
    call("attach_ENTITY_policy", PolicyArn=arn)  # again: no error
    call("attach_ENTITY_policy", PolicyArn="arn:aws:iam::aws:policy/ReadOnlyAccess")
    attached = pages(lambda **p: call("list_attached_ENTITY_policies", **p), "AttachedPolicies")
    assert attached == [{"PolicyName": policy["PolicyName"], "PolicyArn": arn},
                        {"PolicyName": "ReadOnlyAccess", "PolicyArn": "arn:aws:iam::aws:policy/ReadOnlyAccess"}]
    assert iam.get_policy(PolicyArn=arn)["Policy"]["AttachmentCount"] == 1
    assert error_of(iam.delete_policy, PolicyArn=arn) == (
        "DeleteConflict", "Cannot delete a policy attached to entities.")
    call("detach_ENTITY_policy", PolicyArn=arn)
    assert error_of(call, "detach_ENTITY_policy", PolicyArn=arn) == ("NoSuchEntity", "Policy %s was not found." % arn)
    missing = arn + "-no"
    assert error_of(call, "attach_ENTITY_policy", PolicyArn=missing) == (
        "NoSuchEntity", "Policy %s does not exist or is not attachable." % missing)
    assert error_of(call, "attach_ENTITY_policy", PolicyArn="x" * 20) == ("InvalidInput", "ARN %s is not valid." % ("x" * 20))
    iam.delete_policy(PolicyArn=arn)


def test_attachments_are_at_most_ten(iam, entity):
    kind, name, call = entity
    arns = [iam.create_policy(PolicyName="ten%d" % next(NUMBERS), PolicyDocument=text(ALLOW_KMS))["Policy"]["Arn"]
            for _ in range(11)]
    for arn in arns[:10]:
        call("attach_ENTITY_policy", PolicyArn=arn)
    assert error_of(call, "attach_ENTITY_policy", PolicyArn=arns[10]) == (
        "LimitExceeded", "Cannot exceed quota for PoliciesPer%s: 10" % kind.capitalize())


def test_who_has_a_policy(iam, name, policy):
    arn = policy["Arn"]
    iam.create_user(UserName=name, Path="/u/")
    iam.create_user(UserName=name + "b", PermissionsBoundary=arn)
    iam.create_role(RoleName=name, AssumeRolePolicyDocument=TRUST_ROOT)
    iam.attach_user_policy(UserName=name, PolicyArn=arn)
    iam.attach_role_policy(RoleName=name, PolicyArn=arn)

    def who(**filters):
        users, roles, marker = [], [], {}
        while True:
            answer = iam.list_entities_for_policy(PolicyArn=arn, MaxItems=1, **marker, **filters)
            users += [u["UserName"] for u in answer["PolicyUsers"]]
            roles += [r["RoleName"] for r in answer["PolicyRoles"]]
            assert answer["PolicyGroups"] == []
            if not answer["IsTruncated"]:
                return users, roles
            marker = {"Marker": answer["Marker"]}

    assert who() == ([name, name + "b"], [name])
    assert who(EntityFilter="User") == ([name, name + "b"], [])
    assert who(EntityFilter="Role") == ([], [name])
    assert who(PathPrefix="/u/") == ([name], [])
    assert who(PolicyUsageFilter="PermissionsBoundary") == ([name + "b"], [])
    assert who(PolicyUsageFilter="PermissionsPolicy") == ([name], [name])
    got = iam.get_policy(PolicyArn=arn)["Policy"]
    assert (got["AttachmentCount"], got["PermissionsBoundaryUsageCount"]) == (2, 1)


def test_listing_policies(iam, user, policy):
    arn = policy["Arn"]
    built_in = "arn:aws:iam::aws:policy/AdministratorAccess"

    def arns(**parameters):
        return [p["Arn"] for p in pages(iam.list_policies, "Policies", 3, **parameters)]

    everything = arns()
    assert len(everything) == len(set(everything)) and {arn, built_in} < set(everything)
    assert built_in not in arns(Scope="Local") and arn in arns(Scope="Local")
    assert built_in in arns(Scope="AWS") and arn not in arns(Scope="AWS")
    assert arn not in arns(OnlyAttached=True)
    iam.attach_user_policy(UserName=user["UserName"], PolicyArn=arn)
    assert arn in arns(OnlyAttached=True) and arn in arns(PolicyUsageFilter="PermissionsPolicy")
    assert arn not in arns(PolicyUsageFilter="PermissionsBoundary")


def test_built_in_policies_may_be_read_and_not_changed(iam):
    arn = "arn:aws:iam::aws:policy/AdministratorAccess"
    assert iam.get_policy(PolicyArn=arn)["Policy"]["PolicyName"] == "AdministratorAccess"
    version = iam.get_policy(PolicyArn=arn)["Policy"]["DefaultVersionId"]
    assert iam.get_policy_version(PolicyArn=arn, VersionId=version)["PolicyVersion"]["Document"]["Statement"]
    for call, more in ((iam.delete_policy, {}), (iam.create_policy_version, {"PolicyDocument": text(ALLOW_ALL)}),
                       (iam.set_default_policy_version, {"VersionId": version}),
                       (iam.tag_policy, {"Tags": [{"Key": "a", "Value": "b"}]})):
        assert error_of(call, PolicyArn=arn, **more)[0] == "AccessDenied"


# --- boundaries -----------------------------------------------------------------------------------------


def test_boundaries(iam, entity, policy):
    kind, name, call = entity
    arn = policy["Arn"]
    call("put_ENTITY_permissions_boundary", PermissionsBoundary=arn)
    got = call("get_ENTITY")[kind.capitalize()]
    assert got["PermissionsBoundary"] == {"PermissionsBoundaryType": "Policy", "PermissionsBoundaryArn": arn}
    assert error_of(iam.delete_policy, PolicyArn=arn)[0] == "DeleteConflict"
    assert error_of(call, "put_ENTITY_permissions_boundary", PermissionsBoundary=arn + "-no") == (
        "NoSuchEntity", "Policy %s-no does not exist or is not attachable." % arn)
    call("delete_ENTITY_permissions_boundary")
    call("delete_ENTITY_permissions_boundary")
    assert "PermissionsBoundary" not in call("get_ENTITY")[kind.capitalize()]
    iam.delete_policy(PolicyArn=arn)
