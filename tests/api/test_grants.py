"""Grants: CreateGrant, ListGrants, ListRetirableGrants, RetireGrant, RevokeGrant. Rows are those of
recorded-authz-multiregion section 4; what needs sessions of roles is in test_recorded_authz.py."""
import concurrent.futures
import datetime
import json
import subprocess

import pytest

from identities import ACCOUNT, NUMBERS, ROOT, TRUST_ROOT, signed_as, text
from identities import iam, name, role, user  # noqa: F401 - fixtures
from trent_server import TRENT, Server, error_of, external_key

STRANGER = "arn:aws:iam::%s:user/no-such-user" % ACCOUNT
NO_TEXT = None


@pytest.fixture(scope="module")
def key(kms):
    return kms.create_key()["KeyMetadata"]


@pytest.fixture
def fresh(kms):
    """A key without grants."""
    return kms.create_key()["KeyMetadata"]


def grant(kms, key, grantee=ROOT, operations=("Decrypt", "RetireGrant"), **more):
    return kms.create_grant(KeyId=key["KeyId"], GranteePrincipal=grantee, Operations=list(operations), **more)


def entry(kms, key, grant_id):
    grants = kms.list_grants(KeyId=key["KeyId"], GrantId=grant_id)["Grants"]
    assert len(grants) == 1
    return grants[0]


def ids(answer):
    return [g["GrantId"] for g in answer["Grants"]]


def session(role, name):
    return "arn:aws:sts::%s:assumed-role/%s/%s" % (ACCOUNT, role["RoleName"], name)


def denied(operation, arn, caller):
    return ("AccessDeniedException",
            "User: %s is not authorized to perform: kms:%s on resource: %s because no identity-based policy allows "
            "the kms:%s action" % (caller, operation, arn, operation))


# --- 4.1: what is answered and listed --------------------------------------------------------------------


def test_4_1_rows_1_7_8_an_entry_has_all_members(kms, fresh, role):
    who = session(role, "target")
    before = datetime.datetime.now(datetime.timezone.utc).replace(microsecond=0)
    made = grant(kms, fresh, who, RetiringPrincipal=who, Name="session")
    del made["ResponseMetadata"]
    assert sorted(made) == ["GrantId", "GrantToken"]
    assert len(made["GrantId"]) == 64 and int(made["GrantId"], 16) > 0 and made["GrantId"] == made["GrantId"].lower()
    listed = kms.list_grants(KeyId=fresh["KeyId"], GrantId=made["GrantId"])
    assert listed["Truncated"] is False and len(listed["Grants"]) == 1
    shown = listed["Grants"][0]
    created = shown.pop("CreationDate")
    assert created.microsecond == 0 and abs((created - before).total_seconds()) < 30
    assert shown == {"KeyId": fresh["Arn"], "GrantId": made["GrantId"], "Name": "session", "GranteePrincipal": who,
                     "RetiringPrincipal": who, "IssuingAccount": ROOT, "Operations": ["Decrypt", "RetireGrant"]}
    retirable = kms.list_retirable_grants(RetiringPrincipal=who)
    assert retirable["Truncated"] is False
    assert retirable["Grants"] == [{**shown, "CreationDate": created}]


def test_members_that_may_be_missing(kms, fresh):
    shown = entry(kms, fresh, grant(kms, fresh)["GrantId"])
    assert shown["Name"] == "" and "RetiringPrincipal" not in shown and "Constraints" not in shown


@pytest.mark.parametrize("kind", ["EncryptionContextEquals", "EncryptionContextSubset"])
@pytest.mark.parametrize("context", [{}, {"department": "IT", "a": ""}, {chr(97 + i): "x" * 384 for i in range(8)}])
def test_constraints_are_listed(kms, key, kind, context):
    made = grant(kms, key, Constraints={kind: context})
    assert entry(kms, key, made["GrantId"])["Constraints"] == {kind: context}


def test_operations_in_the_order_of_the_model(kms, key):
    made = grant(kms, key, operations=["DescribeKey", "Encrypt", "CreateGrant", "Decrypt", "Encrypt"])
    assert entry(kms, key, made["GrantId"])["Operations"] == ["Decrypt", "Encrypt", "CreateGrant", "DescribeKey"]


# --- 4.2: principals ---------------------------------------------------------------------------------------


def test_4_2_principals_that_are_taken(kms, key, iam, name):
    made = iam.create_role(RoleName=name, Path="/team/", AssumeRolePolicyDocument=TRUST_ROOT)["Role"]
    person = iam.create_user(UserName=name, Path="/team/")["User"]
    unissued = session(made, "unissued")
    for row, (sent, shown) in {
        1: (unissued, unissued),
        4: (made["RoleId"] + ":target", session(made, "target")),
        5: ("arn:aws:sts::%s:federated-user/unissued" % ACCOUNT, "arn:aws:sts::%s:federated-user/unissued" % ACCOUNT),
        9: (ROOT, ROOT),
        "role": (made["Arn"], made["Arn"]),
        "role id": (made["RoleId"], made["Arn"]),
        "user": (person["Arn"], person["Arn"]),
        "user id": (person["UserId"], person["Arn"]),
    }.items():
        got = entry(kms, key, grant(kms, key, sent, ["DescribeKey"], RetiringPrincipal=sent)["GrantId"])
        assert (got["GranteePrincipal"], got["RetiringPrincipal"]) == (shown, shown), row


UNKNOWN = "ARN does not refer to a valid principal: %s"
MALFORMED = "ARN is not valid: %s"


@pytest.mark.parametrize("row, principal, message", [
    (2, "arn:aws:sts::%s:assumed-role/no-such-role/target" % ACCOUNT, UNKNOWN),
    (3, "arn:aws:sts::%s:assumed-role/team/ROLE/target" % ACCOUNT, MALFORMED),
    (6, "arn:aws:sts::123456789012:federated-user/unissued", UNKNOWN),
    ("user", STRANGER, UNKNOWN),
    ("account", "arn:aws:iam::123456789012:root", UNKNOWN),
    ("group", "arn:aws:iam::%s:group/admins" % ACCOUNT, MALFORMED),
    ("service", "arn:aws:sqs:us-east-1:%s:queue" % ACCOUNT, MALFORMED),
])
def test_4_2_principals_that_are_refused(kms, key, role, row, principal, message):
    principal = principal.replace("ROLE", role["RoleName"])
    want = ("InvalidArnException", message % principal)
    assert error_of(grant, kms, key, principal, ["DescribeKey"]) == want
    assert error_of(grant, kms, key, ROOT, ["DescribeKey"], RetiringPrincipal=principal) == want


def test_4_2_row_8_unique_id_of_a_deleted_role(kms, key, iam, role):
    iam.delete_role(RoleName=role["RoleName"])
    for form in role["RoleId"] + ":future", role["RoleId"], "AROANOBODY:x", "sqs.amazonaws.com":
        assert error_of(grant, kms, key, form, ["DescribeKey"]) == \
            ("InvalidArnException", "GranteePrincipal does not refer to a valid principal.")
        assert error_of(grant, kms, key, ROOT, ["DescribeKey"], RetiringPrincipal=form) == \
            ("InvalidArnException", "RetiringPrincipal does not refer to a valid principal.")


# --- 4.6: grants are bound to identities --------------------------------------------------------------------


def test_4_6_a_role_deleted_and_created_again(kms, fresh, iam, name):
    def make():
        return iam.create_role(RoleName=name, AssumeRolePolicyDocument=TRUST_ROOT)["Role"]

    def again(grantee):
        return grant(kms, fresh, grantee, ["DescribeKey"], RetiringPrincipal=grantee, Name="bound-session")["GrantId"]

    role = make()
    arn, by_id = session(role, "future"), role["RoleId"] + ":future"
    x = again(arn)                                                                                # row 1
    assert entry(kms, fresh, x)["GranteePrincipal"] == entry(kms, fresh, x)["RetiringPrincipal"] == arn     # row 2
    assert ids(kms.list_grants(KeyId=fresh["KeyId"], GranteePrincipal=by_id)) == [x]                     # row 3
    assert ids(kms.list_retirable_grants(RetiringPrincipal=by_id)) == [x]                             # row 4
    assert kms.list_retirable_grants(RetiringPrincipal=by_id)["Grants"][0]["RetiringPrincipal"] == arn
    assert again(by_id) == x                                                                       # row 5
    iam.delete_role(RoleName=name)
    gone = entry(kms, fresh, x)                                                                     # row 6
    assert gone["GranteePrincipal"] == gone["RetiringPrincipal"] == by_id and gone["IssuingAccount"] == ROOT
    assert error_of(kms.list_grants, KeyId=fresh["KeyId"], GranteePrincipal=arn) == \
        ("InvalidArnException", UNKNOWN % arn)                                                       # row 7
    assert error_of(kms.list_retirable_grants, RetiringPrincipal=arn) == \
        ("InvalidArnException", UNKNOWN % arn)                                                       # row 8
    assert error_of(kms.list_grants, KeyId=fresh["KeyId"], GranteePrincipal=by_id) == \
        ("InvalidArnException", "Input does not refer to a valid principal")                           # row 9
    assert error_of(kms.list_retirable_grants, RetiringPrincipal=by_id) == \
        ("NotFoundException", "Retiring principal %s could not be found" % by_id)                      # row 10
    assert error_of(again, by_id) == \
        ("InvalidArnException", "GranteePrincipal does not refer to a valid principal.")               # row 11
    assert make()["RoleId"] != role["RoleId"]
    assert entry(kms, fresh, x)["GranteePrincipal"] == by_id                                           # row 12
    assert ids(kms.list_grants(KeyId=fresh["KeyId"], GranteePrincipal=arn)) == []    # row 13, at once here
    y = again(arn)                                                                                 # row 15
    assert y != x and entry(kms, fresh, y)["GranteePrincipal"] == arn
    assert ids(kms.list_grants(KeyId=fresh["KeyId"])) == [x, y]


# --- names ---------------------------------------------------------------------------------------------------


def test_a_name_and_the_same_parameters_are_the_same_grant(kms, fresh, user):
    constraint = {"EncryptionContextSubset": {"b": "2", "a": "1"}}
    first = grant(kms, fresh, user["Arn"], ["Encrypt", "Decrypt"], Name="n", Constraints=constraint)
    again = grant(kms, fresh, user["UserId"], ["Decrypt", "Encrypt"], Name="n",
                  Constraints={"EncryptionContextSubset": {"a": "1", "b": "2"}})
    assert again["GrantId"] == first["GrantId"] and again["GrantToken"] != first["GrantToken"]
    for token in first["GrantToken"], again["GrantToken"]:
        kms.encrypt(KeyId=fresh["KeyId"], Plaintext=b"x", GrantTokens=[token])
    others = [
        grant(kms, fresh, user["Arn"], ["Encrypt", "Decrypt"], Name="m", Constraints=constraint),
        grant(kms, fresh, ROOT, ["Encrypt", "Decrypt"], Name="n", Constraints=constraint),
        grant(kms, fresh, user["Arn"], ["Encrypt"], Name="n", Constraints=constraint),
        grant(kms, fresh, user["Arn"], ["Encrypt", "Decrypt"], Name="n"),
        grant(kms, fresh, user["Arn"], ["Encrypt", "Decrypt"], Name="n",
              Constraints={"EncryptionContextEquals": constraint["EncryptionContextSubset"]}),
        grant(kms, fresh, user["Arn"], ["Encrypt", "Decrypt"], Name="n", Constraints=constraint,
              RetiringPrincipal=ROOT),
    ]
    assert len({g["GrantId"] for g in [first, *others]}) == 7
    kms.revoke_grant(KeyId=fresh["KeyId"], GrantId=first["GrantId"])
    new = grant(kms, fresh, user["Arn"], ["Encrypt", "Decrypt"], Name="n", Constraints=constraint)
    assert new["GrantId"] != first["GrantId"]


def test_without_a_name_every_call_makes_a_grant(kms, fresh):
    assert len({grant(kms, fresh)["GrantId"] for _ in range(3)}) == 3


def test_the_same_name_at_once_makes_one_grant(server, kms, fresh):
    clients = [server.client() for _ in range(8)]
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        made = list(pool.map(lambda c: [grant(c, fresh, Name="n%d" % i)["GrantId"] for i in range(10)], clients))
    assert all(m == made[0] for m in made)
    assert sorted(ids(kms.list_grants(KeyId=fresh["KeyId"]))) == sorted(made[0])


# --- 4.9: operations, constraints and the type of the key -----------------------------------------------------

ANY = ["CreateGrant", "RetireGrant", "DescribeKey"]
BOTH_WAYS = ["Decrypt", "Encrypt"]
DATA_KEYS = ["GenerateDataKey", "GenerateDataKeyWithoutPlaintext", "ReEncryptFrom", "ReEncryptTo",
             "GenerateDataKeyPair", "GenerateDataKeyPairWithoutPlaintext"]
ALL = [*BOTH_WAYS, *DATA_KEYS, "Sign", "Verify", "GetPublicKey", "GenerateMac", "VerifyMac", "DeriveSharedSecret",
       "Encapsulate", "Decapsulate", *ANY]
KEY_TYPES = [
    ("SYMMETRIC_DEFAULT", "ENCRYPT_DECRYPT", "a symmetric", [*BOTH_WAYS, *DATA_KEYS]),
    ("RSA_2048", "ENCRYPT_DECRYPT", "an asymmetric", [*BOTH_WAYS, "ReEncryptFrom", "ReEncryptTo", "GetPublicKey"]),
    ("ECC_NIST_P256", "SIGN_VERIFY", "an asymmetric", ["Sign", "Verify", "GetPublicKey"]),
    ("ML_DSA_44", "SIGN_VERIFY", "an asymmetric", ["Sign", "Verify", "GetPublicKey"]),
    ("ECC_NIST_P256", "KEY_AGREEMENT", "an asymmetric", ["GetPublicKey", "DeriveSharedSecret"]),
    ("ML_KEM_512", "ENCAPSULATE_DECAPSULATE", "an asymmetric", ["GetPublicKey", "Encapsulate", "Decapsulate"]),
    *[("HMAC_%d" % bits, "GENERATE_VERIFY_MAC", "a symmetric", ["GenerateMac", "VerifyMac"])
      for bits in (224, 256, 384, 512)],
]


@pytest.mark.parametrize("spec, usage, kind, valid", KEY_TYPES)
def test_4_9_operations_of_each_key_type(kms, spec, usage, kind, valid):
    key = kms.create_key(KeySpec=spec, KeyUsage=usage)["KeyMetadata"]
    grant(kms, key, operations=[*valid, *ANY])                                                      # row 1
    for operation in ALL:
        if operation in valid or operation in ANY:
            grant(kms, key, operations=[operation, "DescribeKey"])
            continue
        code, message = error_of(grant, kms, key, operations=[*valid, operation])                   # row 2
        assert code == "ValidationException"
        assert message == ("Operations [%s] are not supported when creating a grant for %s KMS key with key usage "
                           "%s. Valid operations are [%s]" % (operation, kind, usage, ", ".join([*ANY, *valid])))
    if spec != "SYMMETRIC_DEFAULT":
        for constraint in "EncryptionContextEquals", "EncryptionContextSubset":                     # rows 3, 4
            assert error_of(grant, kms, key, operations=valid, Constraints={constraint: {"purpose": "test"}}) == (
                "ValidationException",
                "EncryptionContext is supported only when creating a grant for a symmetric encryption KMS key.")


# --- parameters ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("parameters, code, message", [
    ({"Operations": ["CreateGrant"]}, "ValidationException", "Grants must not contain only the CreateGrant operation."),
    ({"Operations": ["CreateGrant", "CreateGrant"]}, "ValidationException",
     "Grants must not contain only the CreateGrant operation."),
    ({"Operations": []}, "ValidationException",
     "1 validation error detected: Value '[]' at 'operations' failed to satisfy constraint: Member must have length "
     "greater than or equal to 1"),
    ({"Operations": None}, "ValidationException",
     "1 validation error detected: Value null at 'operations' failed to satisfy constraint: Member must not be null"),
    ({"GranteePrincipal": None}, "ValidationException",
     "1 validation error detected: Value null at 'granteePrincipal' failed to satisfy constraint: Member must not be "
     "null"),
    ({"GranteePrincipal": "a b"}, "ValidationException",
     "1 validation error detected: Value 'a b' at 'granteePrincipal' failed to satisfy constraint: Member must satisfy "
     "regular expression pattern: ^[\\w+=,.@:/-]+$"),
    ({"RetiringPrincipal": "x" * 257}, "ValidationException",
     "1 validation error detected: Value '%s' at 'retiringPrincipal' failed to satisfy constraint: Member must have "
     "length less than or equal to 256" % ("x" * 257)),
    ({"Name": "a b"}, "ValidationException",
     "1 validation error detected: Value 'a b' at 'name' failed to satisfy constraint: Member must satisfy regular "
     "expression pattern: ^[a-zA-Z0-9:/_-]+$"),
    ({"Constraints": {"EncryptionContextEquals": {"a": "b"}, "EncryptionContextSubset": {}}}, "ValidationException",
     "More than one constraint supplied"),
    ({"Constraints": {"EncryptionContextEquals": {str(i): "" for i in range(9)}}}, "ValidationException",
     "A grant constraint must not have more than 8 encryption context pairs"),
    ({"Constraints": {"EncryptionContextEquals": {"a": "x" * 385}}}, "ValidationException",
     "A value of a grant constraint must not have more than 384 characters"),
    ({"Constraints": {"SourceArn": "not-an-arn-but-long-enough"}}, "InvalidArnException",
     "ARN is not valid: not-an-arn-but-long-enough"),
    ({"Constraints": []}, "SerializationException", "Expected structure or null"),
    ({"GrantTokens": ["junk"]}, "InvalidGrantTokenException", NO_TEXT),
    ({"KeyId": "alias/x"}, "InvalidArnException", "Key Aliases are not supported for this operation."),
    ({"GranteeServicePrincipal": "sqs.amazonaws.com"}, "ValidationException",
     "GranteePrincipal and GranteeServicePrincipal cannot both be specified"),
    ({"GranteeServicePrincipal": "sqs", "GranteePrincipal": None}, "ValidationException",
     "1 validation error detected: Value 'sqs' at 'granteeServicePrincipal' failed to satisfy constraint: Member must "
     "satisfy regular expression pattern: ^([A-Za-z0-9\\-]+)\\.([A-Za-z0-9\\-]+)(\\.[A-Za-z0-9\\-]+)+$"),
])
def test_parameters_that_are_refused(server, key, parameters, code, message):
    body = {"KeyId": key["KeyId"], "GranteePrincipal": ROOT, "Operations": ["Decrypt"], **parameters}
    assert raw(server, "CreateGrant", body) == (code, message)


def raw(server, operation, body):
    """(code, text) of a body that boto3's older model would not send; the answer if there is no error."""
    import requests
    from botocore.auth import SigV4Auth
    from botocore.awsrequest import AWSRequest
    from botocore.credentials import Credentials
    request = AWSRequest("POST", server.url + "/", data=json.dumps(body), headers={
        "X-Amz-Target": "TrentService." + operation, "Content-Type": "application/x-amz-json-1.1"})
    SigV4Auth(Credentials("test", "test"), "kms", "us-east-1").add_auth(request)
    answer = requests.post(server.url + "/", data=request.body, headers=dict(request.headers), timeout=30)
    if answer.status_code == 200:
        return answer.json() if answer.content else {}
    return answer.json()["__type"], answer.json().get("message", answer.json().get("Message"))


# --- service principals (newer-operations) ------------------------------------------------------------------------

QUEUE = "arn:aws:sqs:us-east-1:%s:queue" % ACCOUNT


def test_service_principals(server, kms, fresh):
    ask = {"KeyId": fresh["KeyId"], "GranteeServicePrincipal": "sqs.amazonaws.com", "Operations": ["Decrypt"]}
    source = {"Constraints": {"SourceArn": QUEUE}}
    retirer = {"RetiringServicePrincipal": "sqs.us-east-1.amazonaws.com"}
    assert raw(server, "CreateGrant", {**ask, **retirer}) == \
        ("ValidationException", "GranteeServicePrincipal requires a SourceArn constraint")
    assert raw(server, "CreateGrant", {**ask, **source}) == (
        "ValidationException",
        "GranteeServicePrincipal requires a RetiringPrincipal or a RetiringServicePrincipal")
    assert raw(server, "CreateGrant", {**ask, **source, **retirer, "RetiringPrincipal": ROOT}) == \
        ("ValidationException", "RetiringPrincipal and RetiringServicePrincipal cannot both be specified")
    made = raw(server, "CreateGrant", {**ask, **source, **retirer})
    shown = raw(server, "ListGrants", {"KeyId": fresh["KeyId"], "GranteeServicePrincipal": "sqs.amazonaws.com"})
    assert [g["GrantId"] for g in shown["Grants"]] == [made["GrantId"]]
    shown = shown["Grants"][0]
    assert shown["GranteeServicePrincipal"] == "sqs.amazonaws.com" and "GranteePrincipal" not in shown
    assert shown["RetiringServicePrincipal"] == "sqs.us-east-1.amazonaws.com" and "RetiringPrincipal" not in shown
    assert shown["Constraints"] == {"SourceArn": QUEUE}
    assert raw(server, "ListGrants", {"KeyId": fresh["KeyId"], "GranteeServicePrincipal": "s3.amazonaws.com"}) == \
        {"Grants": [], "Truncated": False}


def test_a_source_arn_is_taken_for_every_key_type(server, kms):
    key = kms.create_key(KeySpec="HMAC_256", KeyUsage="GENERATE_VERIFY_MAC")["KeyMetadata"]
    made = grant(kms, key, operations=["GenerateMac"], Constraints={"SourceArn": QUEUE})
    listed = raw(server, "ListGrants", {"KeyId": key["KeyId"]})["Grants"]
    assert [(g["GrantId"], g["Constraints"]) for g in listed] == [(made["GrantId"], {"SourceArn": QUEUE})]


# --- what grants do ---------------------------------------------------------------------------------------------


def test_a_user_may_what_its_grant_says(server, kms, fresh, iam, user):
    mine = signed_as(server, iam, user["UserName"])
    blob = kms.encrypt(KeyId=fresh["KeyId"], Plaintext=b"x", EncryptionContext={"a": "1", "b": "2"})["CiphertextBlob"]
    not_yet = error_of(mine.decrypt, CiphertextBlob=blob, EncryptionContext={"a": "1", "b": "2"})
    assert not_yet == denied("Decrypt", fresh["Arn"], user["Arn"])
    made = grant(kms, fresh, user["Arn"], ["Decrypt"], Constraints={"EncryptionContextSubset": {"a": "1"}})
    assert mine.decrypt(CiphertextBlob=blob, EncryptionContext={"a": "1", "b": "2"})["Plaintext"] == b"x"
    assert mine.decrypt(CiphertextBlob=blob, EncryptionContext={"a": "1", "b": "2"},
                        GrantTokens=[made["GrantToken"]])["Plaintext"] == b"x"
    assert error_of(mine.decrypt, CiphertextBlob=blob, EncryptionContext={"b": "2"}) == \
        denied("Decrypt", fresh["Arn"], user["Arn"])
    assert error_of(mine.encrypt, KeyId=fresh["KeyId"], Plaintext=b"x", EncryptionContext={"a": "1"}) == \
        denied("Encrypt", fresh["Arn"], user["Arn"])
    kms.revoke_grant(KeyId=fresh["KeyId"], GrantId=made["GrantId"])
    assert error_of(mine.decrypt, CiphertextBlob=blob, EncryptionContext={"a": "1", "b": "2"},
                    GrantTokens=[made["GrantToken"]]) == not_yet


def test_delegation_needs_one_parent_as_wide(server, kms, fresh, iam, user):
    """4.4 with a user in the place of the role."""
    mine = signed_as(server, iam, user["UserName"])
    both = {"department": "IT", "project": "apollo"}
    tokens = [
        grant(kms, fresh, user["Arn"], ["CreateGrant", "Decrypt"],
              Constraints={"EncryptionContextSubset": {"department": "IT"}})["GrantToken"],
        grant(kms, fresh, user["Arn"], ["Encrypt"],
              Constraints={"EncryptionContextSubset": {"project": "apollo"}})["GrantToken"]]

    def child(operations, **constraint):
        return mine.create_grant(KeyId=fresh["KeyId"], GranteePrincipal=ROOT, Operations=operations, GrantTokens=tokens,
                                 **constraint)

    no = denied("CreateGrant", fresh["Arn"], user["Arn"])
    equals = {"Constraints": {"EncryptionContextEquals": both}}
    assert error_of(child, ["Decrypt", "Encrypt"], **equals) == no                                   # row 1
    assert error_of(child, ["Encrypt"], **equals) == no                                              # row 2
    assert error_of(child, ["Decrypt"]) == no                                                        # row 3
    made = child(["Decrypt"], **equals)                                                              # row 4
    assert entry(kms, fresh, made["GrantId"])["Constraints"] == {"EncryptionContextEquals": both}
    # what does not exist is not told to those who may not create a grant
    assert error_of(mine.create_grant, KeyId=fresh["KeyId"], GranteePrincipal=STRANGER, Operations=["Encrypt"]) == no


def test_policies_ask_about_the_grant(server, kms, fresh, iam, user):
    mine = signed_as(server, iam, user["UserName"])

    def allow(condition):
        iam.put_user_policy(UserName=user["UserName"], PolicyName="p", PolicyDocument=text(
            {"Effect": "Allow", "Action": "kms:CreateGrant", "Resource": "*", "Condition": condition}))

    def tried(**parameters):
        try:
            mine.create_grant(**{"KeyId": fresh["KeyId"], "GranteePrincipal": user["Arn"], "Operations": ["Decrypt"],
                                 **parameters})
        except mine.exceptions.ClientError as e:
            assert e.response["Error"]["Code"] == "AccessDeniedException"
            return False
        return True

    allow({"StringEquals": {"kms:GranteePrincipal": user["Arn"]}})
    assert tried() and tried(GranteePrincipal=user["UserId"]) and not tried(GranteePrincipal=ROOT)
    allow({"ForAllValues:StringEquals": {"kms:GrantOperations": ["Decrypt", "DescribeKey"]}})
    assert tried() and tried(Operations=["Decrypt", "DescribeKey"]) and not tried(Operations=["Decrypt", "Encrypt"])
    allow({"StringEquals": {"kms:GrantConstraintType": "EncryptionContextSubset"}})
    assert not tried() and tried(Constraints={"EncryptionContextSubset": {"a": "b"}})
    assert not tried(Constraints={"EncryptionContextEquals": {"a": "b"}})
    allow({"StringEquals": {"kms:RetiringPrincipal": ROOT}})
    assert not tried() and tried(RetiringPrincipal=ROOT)


def test_tokens_are_taken_everywhere(kms, fresh):
    token = grant(kms, fresh)["GrantToken"]
    other = kms.create_key()["KeyMetadata"]
    for tokens in [token], [token] * 10:
        kms.describe_key(KeyId=fresh["KeyId"], GrantTokens=tokens)
        kms.generate_data_key(KeyId=other["KeyId"], KeySpec="AES_256", GrantTokens=tokens)  # of another key
        grant(kms, other, GrantTokens=tokens)
    wrong = [token[:-1] + ("A" if token[-1] != "A" else "B"), token[:40], token + "A", token + "=", "", "x" * 8192]
    for bad in wrong:
        code, _ = error_of(kms.describe_key, KeyId=fresh["KeyId"], GrantTokens=[token, bad])
        assert code == ("ValidationException" if bad == "" else "InvalidGrantTokenException"), bad[:50]


# --- states -------------------------------------------------------------------------------------------------------


def test_key_states(kms):
    """kms-behaviour 5.1"""
    key = kms.create_key()["KeyMetadata"]
    arn = key["Arn"]
    first, second = grant(kms, key), grant(kms, key)
    kms.disable_key(KeyId=arn)
    assert error_of(grant, kms, key) == ("DisabledException", "%s is disabled." % arn)
    assert len(kms.list_grants(KeyId=arn)["Grants"]) == 2
    kms.retire_grant(GrantToken=first["GrantToken"])
    kms.schedule_key_deletion(KeyId=arn, PendingWindowInDays=7)
    assert error_of(grant, kms, key) == ("KMSInvalidStateException", "%s is pending deletion." % arn)
    assert ids(kms.list_grants(KeyId=arn)) == [second["GrantId"]]
    kms.revoke_grant(KeyId=arn, GrantId=second["GrantId"])
    empty = external_key(kms)
    assert error_of(grant, kms, empty) == ("KMSInvalidStateException", "%s is pending import." % empty["Arn"])


def test_grants_end_with_their_key(new_server):
    server = new_server()
    kms = server.client()
    key = kms.create_key()["KeyMetadata"]
    other = kms.create_key()["KeyMetadata"]
    made = grant(kms, key, RetiringPrincipal=ROOT)
    kept = grant(kms, other, RetiringPrincipal=ROOT)
    kms.schedule_key_deletion(KeyId=key["KeyId"], PendingWindowInDays=7)
    server.advance(8 * 24 * 3600)
    assert ids(kms.list_retirable_grants(RetiringPrincipal=ROOT)) == [kept["GrantId"]]
    assert error_of(kms.retire_grant, GrantToken=made["GrantToken"]) == ("InvalidGrantTokenException", NO_TEXT)
    server.stop()
    server.start()
    kms = server.client()
    assert ids(kms.list_retirable_grants(RetiringPrincipal=ROOT)) == [kept["GrantId"]]
    kms.retire_grant(GrantToken=kept["GrantToken"])


# --- retiring and revoking ------------------------------------------------------------------------------------------


def test_4_8_rows_9_and_10_retire_by_arn(kms, fresh):
    made = grant(kms, fresh)
    assert error_of(kms.retire_grant, KeyId=fresh["KeyId"], GrantId=made["GrantId"]) == \
        ("NotFoundException", "Invalid arn %s" % fresh["KeyId"])
    assert error_of(kms.retire_grant, KeyId="alias/x", GrantId=made["GrantId"]) == \
        ("InvalidArnException", "Key Aliases are not supported for this operation.")
    answer = kms.retire_grant(KeyId=fresh["Arn"], GrantId=made["GrantId"])
    del answer["ResponseMetadata"]
    assert answer == {} and kms.list_grants(KeyId=fresh["KeyId"])["Grants"] == []


WHICH = ("ValidationException", "Please specify either a grant token, or a key ARN and a grant ID.")


def test_retire_names_one_grant(kms, fresh):
    made = grant(kms, fresh)
    for parameters in ({}, {"KeyId": fresh["Arn"]}, {"GrantId": made["GrantId"]},
                       {"GrantToken": made["GrantToken"], "GrantId": made["GrantId"]},
                       {"GrantToken": made["GrantToken"], "KeyId": fresh["Arn"], "GrantId": made["GrantId"]}):
        assert error_of(kms.retire_grant, **parameters) == WHICH
    kms.retire_grant(GrantToken=made["GrantToken"])
    assert error_of(kms.retire_grant, GrantToken=made["GrantToken"]) == ("InvalidGrantTokenException", NO_TEXT)
    assert error_of(kms.retire_grant, GrantToken="junk") == ("InvalidGrantTokenException", NO_TEXT)
    assert error_of(kms.retire_grant, KeyId=fresh["Arn"], GrantId=made["GrantId"]) == \
        ("NotFoundException", "Grant ID %s is not found" % made["GrantId"])


def test_revoke(kms, fresh):
    made, other = grant(kms, fresh), kms.create_key()["KeyMetadata"]
    unknown = ("NotFoundException", "Grant ID %s is not found" % made["GrantId"])
    assert error_of(kms.revoke_grant, KeyId=other["KeyId"], GrantId=made["GrantId"]) == unknown  # of another key
    assert error_of(kms.revoke_grant, KeyId=fresh["KeyId"], GrantId="f" * 63) == ("InvalidGrantIdException", NO_TEXT)
    assert error_of(kms.revoke_grant, KeyId=fresh["KeyId"], GrantId="F" * 64) == ("InvalidGrantIdException", NO_TEXT)
    kms.revoke_grant(KeyId=fresh["KeyId"], GrantId=made["GrantId"])
    assert error_of(kms.revoke_grant, KeyId=fresh["KeyId"], GrantId=made["GrantId"]) == unknown
    assert kms.list_grants(KeyId=fresh["KeyId"], GrantId=made["GrantId"])["Grants"] == []
    assert error_of(kms.list_grants, KeyId=fresh["KeyId"], GrantId="x") == ("InvalidGrantIdException", NO_TEXT)


def test_who_may_retire(server, kms, fresh, iam, user, name):
    """4.10 rule 15: the retiring principal may without RetireGrant among the operations, the grantee only with it."""
    mine = signed_as(server, iam, user["UserName"])
    no = denied("RetireGrant", fresh["Arn"], user["Arn"])
    plain = grant(kms, fresh, user["Arn"], ["Decrypt"])
    own = grant(kms, fresh, user["Arn"], ["Decrypt", "RetireGrant"])
    as_retirer = grant(kms, fresh, ROOT, ["Decrypt"], RetiringPrincipal=user["Arn"])
    foreign = grant(kms, fresh, ROOT, ["Decrypt", "RetireGrant"])
    assert error_of(mine.retire_grant, GrantToken=plain["GrantToken"]) == no
    assert error_of(mine.retire_grant, KeyId=fresh["Arn"], GrantId=foreign["GrantId"]) == no
    assert error_of(mine.retire_grant, KeyId=fresh["Arn"], GrantId="0" * 64) == \
        ("NotFoundException", "Grant ID %s is not found" % ("0" * 64))
    mine.retire_grant(GrantToken=own["GrantToken"])
    mine.retire_grant(KeyId=fresh["Arn"], GrantId=as_retirer["GrantId"])
    assert ids(kms.list_grants(KeyId=fresh["KeyId"])) == [plain["GrantId"], foreign["GrantId"]]
    assert error_of(mine.revoke_grant, KeyId=fresh["KeyId"], GrantId=plain["GrantId"]) == \
        denied("RevokeGrant", fresh["Arn"], user["Arn"])


def test_dry_run_changes_nothing(kms, fresh):
    dry = ("DryRunOperationException", "The request would have succeeded, but the DryRun option is set.")
    assert error_of(grant, kms, fresh, DryRun=True) == dry
    assert kms.list_grants(KeyId=fresh["KeyId"])["Grants"] == []
    made = grant(kms, fresh, DryRun=False)
    assert error_of(kms.revoke_grant, KeyId=fresh["KeyId"], GrantId=made["GrantId"], DryRun=True) == dry
    assert error_of(kms.retire_grant, GrantToken=made["GrantToken"], DryRun=True) == dry
    assert ids(kms.list_grants(KeyId=fresh["KeyId"])) == [made["GrantId"]]
    assert error_of(grant, kms, fresh, STRANGER, DryRun=True)[0] == "InvalidArnException"
    assert error_of(kms.revoke_grant, KeyId=fresh["KeyId"], GrantId="0" * 64, DryRun=True)[0] == "NotFoundException"


# --- listings ---------------------------------------------------------------------------------------------------------


def all_pages(call, limit, **parameters):
    seen, marker = [], {}
    while True:
        answer = call(Limit=limit, **marker, **parameters)
        assert len(answer["Grants"]) <= limit and answer["Truncated"] == ("NextMarker" in answer)
        seen += ids(answer)
        if not answer["Truncated"]:
            return seen
        marker = {"Marker": answer["NextMarker"]}


def test_pages(kms, fresh, user):
    made = [grant(kms, fresh, user["Arn"] if i % 2 else ROOT, RetiringPrincipal=user["Arn"])["GrantId"]
            for i in range(60)]
    assert ids(kms.list_grants(KeyId=fresh["KeyId"])) == made[:50]  # the default
    for limit in 1, 7, 59, 60, 100:
        assert all_pages(kms.list_grants, limit, KeyId=fresh["KeyId"]) == made
    assert all_pages(kms.list_grants, 7, KeyId=fresh["KeyId"], GranteePrincipal=user["Arn"]) == made[1::2]
    assert all_pages(kms.list_retirable_grants, 7, RetiringPrincipal=user["Arn"]) == made
    page = kms.list_grants(KeyId=fresh["KeyId"], Limit=10)
    for gone in made[5:15]:
        kms.revoke_grant(KeyId=fresh["KeyId"], GrantId=gone)
    rest = kms.list_grants(KeyId=fresh["KeyId"], Limit=100, Marker=page["NextMarker"])
    assert ids(rest) == made[15:]
    for bad in "invalid", page["NextMarker"] + "A":
        assert error_of(kms.list_grants, KeyId=fresh["KeyId"], Marker=bad) == ("InvalidMarkerException", NO_TEXT)
    other = kms.create_key()["KeyMetadata"]
    assert error_of(kms.list_grants, KeyId=other["KeyId"], Marker=page["NextMarker"]) == \
        ("InvalidMarkerException", NO_TEXT)
    code, message = error_of(kms.list_grants, KeyId=fresh["KeyId"], Limit=101)
    assert (code, message) == ("ValidationException", "1 validation error detected: Value '101' at 'limit' failed to "
                               "satisfy constraint: Member must have value less than or equal to 100")


def test_pages_of_long_constraints_are_shorter(kms, fresh):
    context = {("k%d" % i) * 200: "v" * 384 for i in range(8)}
    made = [grant(kms, fresh, Constraints={"EncryptionContextSubset": context})["GrantId"] for _ in range(30)]
    assert len(kms.list_grants(KeyId=fresh["KeyId"], Limit=100)["Grants"]) < 30
    assert all_pages(kms.list_grants, 100, KeyId=fresh["KeyId"]) == made


def test_retirable_of_another_account(server, kms):
    made = subprocess.run([TRENT, "account", "create", "--id", "555566667777", "--data", str(server.data), "--json"],
                          capture_output=True, text=True, timeout=60)
    assert made.returncode == 0, made.stderr
    other = "arn:aws:iam::555566667777:root"
    assert error_of(kms.list_retirable_grants, RetiringPrincipal=other) == ("InvalidArnException", UNKNOWN % other)


# --- accounts: 4.7 and 4.8 with root users and users --------------------------------------------------------------------


@pytest.fixture(scope="module")
def foreign(server):
    """Another account's root user: its client of KMS and of IAM."""
    made = subprocess.run([TRENT, "account", "create", "--id", "222222222222", "--data", str(server.data), "--json"],
                          capture_output=True, text=True, timeout=60)
    assert made.returncode == 0, made.stderr
    made = json.loads(made.stdout)
    keys = {"key": made["accessKeyId"], "secret": made["secretAccessKey"]}
    return server.client(**keys), server.client("iam", **keys)


def shared_key(kms):
    """4.7: the owner's root kms:*, the other account's root kms:CreateGrant only."""
    policy = text({"Effect": "Allow", "Principal": {"AWS": ROOT}, "Action": "kms:*", "Resource": "*"},
                  {"Effect": "Allow", "Principal": {"AWS": "arn:aws:iam::222222222222:root"},
                   "Action": "kms:CreateGrant", "Resource": "*"})
    return kms.create_key(Policy=policy)["KeyMetadata"]


def test_4_7_the_account_that_issues_decides(server, kms, foreign):
    theirs, their_iam = foreign
    key = shared_key(kms)
    name = "n%d" % next(NUMBERS)
    user = their_iam.create_user(UserName=name)["User"]
    mine = signed_as(server, their_iam, name)
    no = ("AccessDeniedException",
          "User: %s is not authorized to perform: kms:DescribeKey on this resource because no identity-based policy "
          "allows the kms:DescribeKey action" % user["Arn"])
    by_owner = grant(kms, key, user["Arn"], ["DescribeKey"])
    assert error_of(mine.describe_key, KeyId=key["Arn"], GrantTokens=[by_owner["GrantToken"]]) == no     # row 1
    their_iam.put_user_policy(UserName=name, PolicyName="p", PolicyDocument=text(
        {"Effect": "Allow", "Action": "kms:*", "Resource": key["Arn"]}))
    assert mine.describe_key(KeyId=key["Arn"])["KeyMetadata"]["AWSAccountId"] == ACCOUNT               # row 5
    their_iam.delete_user_policy(UserName=name, PolicyName="p")
    assert error_of(mine.describe_key, KeyId=key["Arn"]) == no
    made = theirs.create_grant(KeyId=key["Arn"], GranteePrincipal=user["Arn"], Operations=["DescribeKey"])
    assert mine.describe_key(KeyId=key["Arn"])["KeyMetadata"]["Arn"] == key["Arn"]                     # row 7
    assert entry(kms, key, made["GrantId"])["IssuingAccount"] == "arn:aws:iam::222222222222:root"
    assert entry(kms, key, by_owner["GrantId"])["IssuingAccount"] == ROOT
    kms.revoke_grant(KeyId=key["Arn"], GrantId=made["GrantId"])
    assert error_of(mine.describe_key, KeyId=key["Arn"]) == no


def test_4_8_retiring_from_another_account(server, kms, foreign):
    theirs, their_iam = foreign
    key = shared_key(kms)
    name = "n%d" % next(NUMBERS)
    user = their_iam.create_user(UserName=name)["User"]
    mine = signed_as(server, their_iam, name)
    no = ("AccessDeniedException",
          "User: %s is not authorized to perform: kms:RetireGrant on this resource because no identity-based policy "
          "allows the kms:RetireGrant action" % user["Arn"])
    retiring = grant(kms, key, ROOT, ["DescribeKey"], RetiringPrincipal=user["Arn"])
    grantee = grant(kms, key, user["Arn"], ["RetireGrant"])
    assert error_of(mine.retire_grant, GrantToken=retiring["GrantToken"]) == no                        # row 1
    assert error_of(mine.retire_grant, GrantToken=grantee["GrantToken"]) == no                         # row 3
    # such grants are listed for the principal's account, whoever's key they are on (kms-behaviour 4.3)
    assert ids(theirs.list_retirable_grants(RetiringPrincipal=user["Arn"])) == [retiring["GrantId"]]
    their_iam.put_user_policy(UserName=name, PolicyName="p", PolicyDocument=text(
        {"Effect": "Allow", "Action": "kms:RetireGrant", "Resource": "*"}))
    mine.retire_grant(GrantToken=retiring["GrantToken"])
    mine.retire_grant(KeyId=key["Arn"], GrantId=grantee["GrantId"])
    assert kms.list_grants(KeyId=key["KeyId"])["Grants"] == []


# --- many at once, and afterwards ------------------------------------------------------------------------------------------


def test_creating_and_revoking_at_once(server, kms, fresh):
    def churn(number):
        mine = server.client()
        kept = []
        for i in range(15):
            made = grant(mine, fresh, RetiringPrincipal=ROOT)
            assert made["GrantId"] in all_pages(mine.list_grants, 100, KeyId=fresh["KeyId"])
            if i % 3:
                kept.append(made["GrantId"])
            elif number % 2:
                mine.revoke_grant(KeyId=fresh["KeyId"], GrantId=made["GrantId"])
            else:
                mine.retire_grant(GrantToken=made["GrantToken"])
        return kept

    with concurrent.futures.ThreadPoolExecutor(6) as pool:
        kept = [g for part in pool.map(churn, range(6)) for g in part]
    listed = all_pages(kms.list_grants, 50, KeyId=fresh["KeyId"])
    assert sorted(listed) == sorted(kept)


def test_who_revokes_second_finds_nothing(server, kms, fresh):
    clients = [server.client() for _ in range(6)]
    for _ in range(10):
        made = grant(kms, fresh)

        def remove(client):
            try:
                client.revoke_grant(KeyId=fresh["KeyId"], GrantId=made["GrantId"])
            except client.exceptions.NotFoundException:
                return 0
            return 1

        with concurrent.futures.ThreadPoolExecutor(6) as pool:
            assert sum(pool.map(remove, clients)) == 1


def test_grants_outlive_the_server(tmp_path):
    with Server(tmp_path / "data") as server:
        kms = server.client()
        key = kms.create_key()["KeyMetadata"]
        made = [grant(kms, key, RetiringPrincipal=ROOT, Name="n%d" % i,
                      Constraints={"EncryptionContextEquals": {"b": str(i), "a": ""}}) for i in range(5)]
        kms.revoke_grant(KeyId=key["KeyId"], GrantId=made[2]["GrantId"])
        before = kms.list_grants(KeyId=key["KeyId"])["Grants"]
        server.kill()
        server.start()
        kms = server.client()
        assert kms.list_grants(KeyId=key["KeyId"])["Grants"] == before and len(before) == 4
        again = grant(kms, key, RetiringPrincipal=ROOT, Name="n1",
                      Constraints={"EncryptionContextEquals": {"a": "", "b": "1"}})
        assert again["GrantId"] == made[1]["GrantId"]
        kms.retire_grant(GrantToken=made[0]["GrantToken"])
        assert ids(kms.list_retirable_grants(RetiringPrincipal=ROOT)) == [made[i]["GrantId"] for i in (1, 3, 4)]


def test_audit_names_the_grant_and_no_token(server, kms, fresh):
    made = grant(kms, fresh, Name="audited", Constraints={"EncryptionContextSubset": {"team": "red"}})
    kms.retire_grant(GrantToken=made["GrantToken"])
    kms.describe_key(KeyId=fresh["KeyId"])
    records = [r for r in server.audit() if (r.get("additionalEventData") or {}).get("grantId") == made["GrantId"]]
    assert [r["eventName"] for r in records] == ["CreateGrant", "RetireGrant"]
    asked = records[0]["requestParameters"]
    assert asked["name"] == "audited" and asked["operations"] == ["Decrypt", "RetireGrant"]
    assert asked["constraints"] == {"encryptionContextSubset": {"team": "red"}}
    assert all(r["resources"][0]["ARN"] == fresh["Arn"] for r in records)
    assert made["GrantToken"] not in json.dumps(server.audit())
