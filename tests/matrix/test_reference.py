"""The reference evaluator against the recorded rows themselves (recorded-authz-multiregion 3, 4 and 5): it has to agree
with the service before the server is compared with it. Pure Python, no server."""
import dataclasses

import pytest

from policy_reading import Condition, Document
from reference import Caller, Grant, Key, decide, root_arn

OWNER, OTHER = "111111111111", "222222222222"
ARN = "arn:aws:kms:us-east-1:%s:key/11111111-2222-3333-4444-555555555555" % OWNER
ROOT = {"Effect": "Allow", "Principal": {"AWS": root_arn(OWNER)}, "Action": "kms:*", "Resource": "*"}
NOTHING = Document({"Statement": {"Effect": "Allow", "Action": "s3:ListAllMyBuckets", "Resource": "*"}})
DENYING = Document({"Statement": [{"Effect": "Allow", "Action": "*", "Resource": "*"},
                                  {"Effect": "Deny", "Action": "kms:*", "Resource": "*"}]})
ALL_OF_KMS = Document({"Statement": {"Effect": "Allow", "Action": "kms:*", "Resource": ARN}})
NO_IDENTITY = "because no identity-based policy allows the kms:%s action"
NO_RESOURCE = "because no resource-based policy allows the kms:%s action"
NO_SESSION = "because no session policy allows the kms:%s action"
NO_BOUNDARY = "because no permissions boundary allows the kms:%s action"
DENY_SESSION = "with an explicit deny in a session policy"
DENY_RESOURCE = "with an explicit deny in a resource-based policy"


def user(name="alice", account=OWNER, **more):
    arn = "arn:aws:iam::%s:user/%s" % (account, name)
    return Caller("user", account, arn, "AIDA" + name.upper(), arn, **more)


def session(role="role1", name="target", account=OWNER, **more):
    return Caller("role", account, "arn:aws:sts::%s:assumed-role/%s/%s" % (account, role, name),
                  "AROA" + role.upper(), "arn:aws:iam::%s:role/team/%s" % (account, role), name, **more)


def policy(*statements):
    return Document({"Statement": list(statements)})


def key(*grants, statements=(ROOT,)):
    return Key(OWNER, ARN, policy(*statements), grants)


def grant(grantee, *operations, issuer=OWNER, **more):
    return Grant(grantee, frozenset(operations), issuer, **more)


def check(caller, operation, k, why=None, **more):
    """`why`: the recorded reason, or None for a call that succeeded."""
    decision = decide(caller, "kms:" + operation, k, **more)
    if why is None:
        assert decision.allowed
    else:
        assert not decision.allowed and decision.whys == {why % operation if "%s" in why else why}


# --- 4.1, 4.3, 4.5: grants in the key's account -------------------------------------------------------------------------

G1 = grant("AROAROLE1:target", "Decrypt", "RetireGrant", retiring="AROAROLE1:target")
G5 = grant("AROAROLE2", "Decrypt", "RetireGrant")
F = grant("111111111111:fed", "Decrypt", retiring="111111111111:fed")


def federated(**more):
    """A federated user is bound exactly, as a session is."""
    arn = "arn:aws:sts::%s:federated-user/fed" % OWNER
    return Caller("user", OWNER, arn, "111111111111:fed", arn, **more)


@pytest.mark.parametrize("row, caller, operation, why", [
    ("4.1 step 2", session(), "Decrypt", None),
    ("4.1 step 3", session(session=(NOTHING,)), "Decrypt", None),
    ("4.1 step 4", session(session=(DENYING,)), "Decrypt", DENY_SESSION),
    ("4.1 step 5", session(name="sibling"), "Decrypt", NO_IDENTITY),
    ("4.3 step 1", session("role2"), "Decrypt", None),
    ("4.3 step 2", session("role2", session=(NOTHING,)), "Decrypt", NO_SESSION),
    ("4.3 step 3", session("role2", session=(DENYING,)), "Decrypt", DENY_SESSION),
    ("4.3 step 4", session(boundary=NOTHING), "Decrypt", None),
    ("4.3 step 5", session("role2", boundary=NOTHING), "Decrypt", NO_BOUNDARY),
    ("4.5 step 2", federated(session=(NOTHING,)), "Decrypt", None),
    ("4.6 step 14", dataclasses.replace(session(), unique_id="AROANEW"), "Decrypt", NO_IDENTITY),
    ("5.1 step 10", user(), "GenerateDataKey", NO_IDENTITY),
], ids=lambda v: v if isinstance(v, str) and v[0].isdigit() else None)
def test_same_account(row, caller, operation, why):
    check(caller, operation, key(G1, G5, F), why)


@pytest.mark.parametrize("row, caller, which, why", [
    ("4.5 step 3", federated(session=(NOTHING,)), F, None),
    ("4.5 step 4", session(session=(NOTHING,)), G1, None),
    ("4.8 step 10", session("role2", identity=(ALL_OF_KMS,)), G5, None),
    ("nobody", user(), G1, NO_IDENTITY),
    ("other grant", session(), F, NO_IDENTITY),
], ids=lambda v: v if isinstance(v, str) and " " in v else None)
def test_retire(row, caller, which, why):
    check(caller, "RetireGrant", key(G1, G5, F), why, retiring=which)


# --- 4.4: delegation ----------------------------------------------------------------------------------------------------

IT, BOTH = (("department", "IT"),), (("department", "IT"), ("project", "apollo"))
P1 = grant("AROAD", "CreateGrant", "Decrypt", constraint="Subset", pairs=IT)
P2 = grant("AROAD", "Encrypt", constraint="Subset", pairs=(("project", "apollo"),))


@pytest.mark.parametrize("row, operations, more, why", [
    ("step 1", ("Decrypt", "Encrypt"), {"constraint": "Equals", "pairs": BOTH}, NO_IDENTITY),
    ("step 2", ("Encrypt",), {"constraint": "Equals", "pairs": BOTH}, NO_IDENTITY),
    ("step 3", ("Decrypt",), {}, NO_IDENTITY),
    ("step 4", ("Decrypt",), {"constraint": "Equals", "pairs": BOTH}, None),
    ("as narrow", ("Decrypt",), {"constraint": "Subset", "pairs": IT}, None),
    ("another pair", ("Decrypt",), {"constraint": "Subset", "pairs": (("department", "HR"),)}, NO_IDENTITY),
])
def test_delegation(row, operations, more, why):
    check(session("d"), "CreateGrant", key(P1, P2), why, child=grant("AROAE", *operations, **more))


def test_equals_is_not_widened():
    parent = grant("AROAD", "CreateGrant", "Decrypt", constraint="Equals", pairs=IT)
    for constraint, pairs, why in (("Equals", IT, None), ("Subset", IT, NO_IDENTITY), ("Equals", BOTH, NO_IDENTITY)):
        check(session("d"), "CreateGrant", key(parent), why,
              child=grant("AROAE", "Decrypt", constraint=constraint, pairs=pairs))


# --- constraints (kms-behaviour 11) -------------------------------------------------------------------------------------


@pytest.mark.parametrize("constraint, sent, why", [
    ("Equals", dict(IT), None), ("Equals", dict(BOTH), NO_IDENTITY), ("Equals", {}, NO_IDENTITY),
    ("Subset", dict(IT), None), ("Subset", dict(BOTH), None), ("Subset", {"department": "HR"}, NO_IDENTITY),
    ("Subset", None, NO_IDENTITY),
])
def test_constraints(constraint, sent, why):
    k = key(grant("AIDAALICE", "Encrypt", "DescribeKey", constraint=constraint, pairs=IT))
    check(user(), "Encrypt", k, why, encryption_context=sent)
    check(user(), "DescribeKey", k)


def test_source_arn():
    """newer-operations: for requests on behalf of that resource, DescribeKey included, RetireGrant not."""
    g = grant("AIDAALICE", "Encrypt", "DescribeKey", "RetireGrant", source_arn="arn:aws:sqs:us-east-1:1:q")
    for operation in ("Encrypt", "DescribeKey"):
        check(user(), operation, key(g), NO_IDENTITY)
        check(user(), operation, key(g), context={"aws:SourceArn": "arn:aws:sqs:us-east-1:1:q"})
    check(user(), "RetireGrant", key(g), retiring=g)


# --- 4.7, 4.8: from another account -------------------------------------------------------------------------------------

HALF = {"Effect": "Allow", "Principal": {"AWS": root_arn(OTHER)}, "Action": "kms:CreateGrant", "Resource": "*"}


def away(*documents, **more):
    return session(account=OTHER, identity=documents, **more)


@pytest.mark.parametrize("row, issuer, bound, caller, operation, why", [
    ("step 1", OWNER, "AROAROLE1:target", away(), "DescribeKey", NO_IDENTITY),
    ("step 2", OWNER, "AROAROLE1:target", away(session=(NOTHING,)), "DescribeKey", NO_IDENTITY),
    ("step 3", OWNER, "AROAROLE1", away(), "Encrypt", NO_IDENTITY),
    ("step 4", OWNER, "AROAROLE1", away(session=(NOTHING,)), "Encrypt", NO_SESSION),
    ("step 5", OWNER, "AROAROLE1:target", away(ALL_OF_KMS), "DescribeKey", None),
    ("step 6", OWNER, "AROAROLE1:target", away(ALL_OF_KMS, session=(NOTHING,)), "DescribeKey", NO_SESSION),
    ("step 7", OTHER, "AROAROLE1:target", away(), "DescribeKey", None),
    ("step 8", OTHER, "AROAROLE1:target", away(session=(NOTHING,)), "DescribeKey", None),
    ("step 9", OTHER, "AROAROLE1", away(), "Encrypt", None),
    ("step 10", OTHER, "AROAROLE1", away(session=(NOTHING,)), "Encrypt", NO_SESSION),
    ("step 11", OTHER, "AROAROLE1:target", away(ALL_OF_KMS), "DescribeKey", None),
    ("step 12", OTHER, "AROAROLE1:target", away(ALL_OF_KMS, session=(NOTHING,)), "DescribeKey", None),
])
def test_other_account(row, issuer, bound, caller, operation, why):
    check(caller, operation, key(grant(bound, operation, issuer=issuer), statements=(ROOT, HALF)), why)


@pytest.mark.parametrize("row, bound, caller, why", [
    ("steps 1, 3", "AROAROLE1:target", away(), NO_IDENTITY),
    ("steps 2, 4", "AROAROLE1:target", away(session=(NOTHING,)), NO_IDENTITY),
    ("steps 5, 7", "AROAROLE1", away(), NO_IDENTITY),
    ("steps 6, 8", "AROAROLE1", away(session=(NOTHING,)), NO_SESSION),
])
def test_retire_from_other_account(row, bound, caller, why):
    retiring = grant(root_arn(OWNER), "DescribeKey", retiring=bound)
    as_grantee = grant(bound, "RetireGrant")
    for g in (retiring, as_grantee):
        check(caller, "RetireGrant", key(g), why, retiring=g)


@pytest.mark.parametrize("statements, documents, operation, allowed", [
    ([{**HALF, "Action": "kms:*"}], [ALL_OF_KMS], "Encrypt", True),
    ([{**HALF, "Action": "kms:*"}], [], "Encrypt", False),
    ([ROOT], [ALL_OF_KMS], "Encrypt", False),
    ([{**HALF, "Action": "kms:*"}], [ALL_OF_KMS], "GetKeyPolicy", False),  # kms-behaviour 4.3
    ([{**HALF, "Principal": "*", "Action": "kms:*"}], [ALL_OF_KMS], "Encrypt", True),
    ([{**HALF, "Principal": "*", "Action": "kms:*"}], [], "Encrypt", False),
])
def test_both_accounts_must_allow(statements, documents, operation, allowed):
    assert decide(away(*documents), "kms:" + operation, key(statements=statements)).allowed is allowed


# --- 5.1: key policies --------------------------------------------------------------------------------------------------


def test_text():
    """3: the grammar, in both forms of <what>."""
    decision = decide(session(), "kms:Decrypt", key())
    assert decision.texts(session(), "kms:Decrypt", ARN) == {
        "User: arn:aws:sts::111111111111:assumed-role/role1/target is not authorized to perform: kms:Decrypt on "
        "resource: %s because no identity-based policy allows the kms:Decrypt action" % ARN}
    assert " on this resource because" in min(decision.texts(session(), "kms:Decrypt", None))


@pytest.mark.parametrize("row, condition, period, denied", [
    ("step 2", {"Null": {"kms:RotationPeriodInDays": "true"}}, 365, False),
    ("step 3", {"NumericGreaterThan": {"kms:RotationPeriodInDays": "100"}}, 90, False),
    ("step 4", {"NumericGreaterThan": {"kms:RotationPeriodInDays": "100"}}, 180, True),
    ("step 5", {"NumericGreaterThan": {"kms:RotationPeriodInDays": "100"}}, 365, True),
    ("step 6", {"Bool": {"aws:ViaAWSService": "false"}}, 90, True),
    ("step 6", {"Bool": {"aws:PrincipalIsAWSService": "false"}}, 90, True),
    ("step 6", {"StringNotEqualsIfExists": {"aws:CalledViaLast": "sqs.amazonaws.com"}}, 90, True),
])
def test_recorded_conditions(row, condition, period, denied):
    deny = {"Effect": "Deny", "Principal": "*", "Action": "kms:EnableKeyRotation", "Resource": "*",
            "Condition": condition}
    context = {"kms:RotationPeriodInDays": str(period), "aws:ViaAWSService": "false",
               "aws:PrincipalIsAWSService": "false"}
    check(user(identity=(ALL_OF_KMS,)), "EnableKeyRotation", key(statements=(ROOT, deny)),
          DENY_RESOURCE if denied else None, context=context)


@pytest.mark.parametrize("row", ["step 7", "step 8"])
def test_context_keys_with_colons(row):
    deny = {"Effect": "Deny", "Principal": "*", "Action": "kms:*", "Resource": "*",
            "Condition": {"StringEquals": {"kms:EncryptionContext:aws:lambda:FunctionArn": "f"}}}
    for sent, why in (("f", DENY_RESOURCE), ("g", None)):
        check(user(identity=(ALL_OF_KMS,)), "Decrypt", key(statements=(ROOT, deny)), why,
              context={"kms:EncryptionContext:aws:lambda:FunctionArn": sent})


def test_delegation_hands_over_its_actions():
    """5.1 rule 7, steps 10 and 12: outside them the reason is resource-based."""
    k = key(statements=({**ROOT, "Action": ["kms:Describe*", "kms:RevokeGrant"]},))
    check(user(identity=(ALL_OF_KMS,)), "EnableKeyRotation", k, NO_RESOURCE)
    check(user(), "DescribeKey", k, NO_IDENTITY)
    check(user(identity=(ALL_OF_KMS,)), "DescribeKey", k)
    check(Caller("root", OWNER, root_arn(OWNER), OWNER, root_arn(OWNER)), "Encrypt", k, NO_RESOURCE)


ALICE = {"Effect": "Allow", "Principal": {"AWS": "arn:aws:iam::111111111111:user/alice"}, "Action": "kms:*",
         "Resource": "*"}
ROLE1 = {**ALICE, "Principal": {"AWS": "arn:aws:iam::111111111111:role/team/role1"}}
TARGET = {**ALICE, "Principal": {"AWS": "arn:aws:sts::111111111111:assumed-role/role1/target"}}
EVERYBODY = {**ALICE, "Principal": "*"}


@pytest.mark.parametrize("statement, caller, why", [
    (ALICE, user(), None), (ALICE, user(boundary=NOTHING), None), (ALICE, user("bob"), NO_RESOURCE),
    (ROLE1, session(), None), (ROLE1, session(session=(NOTHING,)), NO_SESSION),
    (ROLE1, session(boundary=NOTHING), NO_BOUNDARY),
    (TARGET, session(), None), (TARGET, session(session=(NOTHING,), boundary=NOTHING), None),
    (TARGET, session(name="sibling"), NO_RESOURCE),
    (EVERYBODY, user(), None), (EVERYBODY, session(session=(NOTHING,)), None),
])
def test_named_principals(statement, caller, why):
    """AWS's documents: who is named is allowed; only the role's allowance is limited by what others leave out."""
    check(caller, "Encrypt", key(statements=(statement,)), why)


def test_not_principal():
    """AWS's documents: a denial spares those who are listed with account and role; an allowance leaves out whoever is
    listed in any form."""
    names = ["arn:aws:iam::111111111111:user/alice", root_arn(OWNER)]
    for listed, spared in (((0, 1), True), ((0,), False), ((1,), False)):
        deny = {"Effect": "Deny", "NotPrincipal": {"AWS": [names[i] for i in listed]}, "Action": "kms:*",
                "Resource": "*"}
        check(user(), "Encrypt", key(statements=(EVERYBODY, deny)), None if spared else DENY_RESOURCE)
        allow = {**deny, "Effect": "Allow"}
        check(user(), "Encrypt", key(statements=(allow,)), NO_RESOURCE)
        check(user("bob"), "Encrypt", key(statements=(allow,)), None if listed == (0,) else NO_RESOURCE)


# --- 5.2: operators -----------------------------------------------------------------------------------------------------

V, W, VW = ["v"], ["w"], ["v", "w"]
ABSENT = None
OPERATORS = [  # operator, value of the policy, value of the request, does it match?
    *[(o + s, "v", VALUES, False) for o in ("StringEquals", "StringNotEquals", "StringLike", "StringNotLike",
                                            "StringEqualsIgnoreCase") for s in ("", "IfExists") for VALUES in (V, VW)],
    ("StringEquals", "v", ABSENT, False), ("StringNotEquals", "v", ABSENT, True),
    ("StringEqualsIfExists", "v", ABSENT, True), ("StringNotEqualsIfExists", "v", ABSENT, True),
    ("StringEquals", "", "", True),
    *[("ForAnyValue:StringEquals", "v", *row) for row in (([], False), (V, True), (W, False), (VW, True))],
    *[("ForAllValues:StringEquals", "v", *row) for row in (([], True), (V, True), (W, False), (VW, False))],
    *[("ForAnyValue:StringNotEquals", "v", *row) for row in (([], False), (V, False), (W, True), (VW, True))],
    *[("ForAllValues:StringNotEquals", "v", *row) for row in (([], True), (V, False), (W, True), (VW, False))],
    ("ForAllValues:StringEquals", "v", ABSENT, True), ("ForAnyValue:StringEquals", "v", ABSENT, False),
    ("Null", "true", "", False), ("Null", "false", "", True), ("Null", "true", ABSENT, True),
    ("StringLike", "a*d", "a/b/c/d", True), ("StringLike", "a?b", "a:b", True), ("StringLike", "[b]", "b", False),
    ("StringLike", "[b]", "[b]", True), ("StringLike", "??", "\U00010400", True), ("StringLike", "?", "\U00010400", False),
    ("StringEqualsIgnoreCase", "PrOd", "prod", True), ("StringEqualsIgnoreCase", "i", "\u0131", False),
    ("StringEqualsIgnoreCase", "i", "\u0130", False),
    *[("NumericEquals", "1", v, True) for v in ("1", "01", "+1", "1.0", "1e0")],
    *[("NumericEquals", "1", v, False) for v in ("", "no-number", "NaN", "Infinity", "2")],
    *[("NumericNotEquals", "1", v, True) for v in ("", "no-number", "NaN", "Infinity", "2")],
    *[("DateEquals", "2030-01-01T00:00:00Z", v, True) for v in ("2030-01-01", "1893456000")],
    *[("DateEquals", "2030-01-01T00:00:00Z", v, False) for v in ("not-a-date", "")],
    *[("DateNotEquals", "2030-01-01T00:00:00Z", v, True) for v in ("not-a-date", "")],
    *[("Bool", "true", v, True) for v in ("true", "True", "TRUE")],
    *[("Bool", "false", v, True) for v in ("false", "yes", "1", "", " true ")],
    ("BinaryEquals", "YQ==", "YQ==", True),
    *[("BinaryEquals", "YQ==", v, False) for v in ("YQ", "YR==", " YQ==", "YQ== ")],
    *[(o, "192.0.2.0/24", v, False) for o in ("IpAddress", "NotIpAddress") for v in ("not-an-ip", "", "192.0.2.1/32")],
    ("IpAddress", "192.0.2.1", "192.000.2.1", True), ("IpAddress", "192.0.2.5/24", "192.0.2.77", True),
    ("IpAddress", "0.0.0.0/0", "2001:db8::1", False), ("NotIpAddress", "0.0.0.0/0", "2001:db8::1", True),
    *[(o, "arn:aws:iam::*:user/*", v, False) for o in ("ArnLike", "ArnNotLike") for v in ("not-an-arn", "")],
    ("ArnLike", "arn:aws:iam::*:user/*", "arn:aws:iam::1:user/a/b", True),
    ("StringEquals", "${aws:TagKeys}", "v", False), ("StringNotEquals", "${aws:TagKeys}", "v", True),
    ("StringEquals", "${aws:TagKeys, 'v'}", "v", False), ("StringNotEquals", "${aws:TagKeys, 'v'}", "v", True),
    ("StringEquals", "${aws:username}", "alice", True), ("StringEquals", "${aws:none, 'd'}", "d", True),
]


@pytest.mark.parametrize("operator, wanted, value, expected", OPERATORS)
def test_operators(operator, wanted, value, expected):
    context = {"aws:username": "alice", "aws:tagkeys": ["v"]}
    if value is not ABSENT:
        context["test:key"] = value
    document = Document({"Version": "2012-10-17", "Statement": []})
    assert Condition(document, operator, "test:Key", wanted).holds(context) is expected


def test_below_the_operators():
    """5.2, last paragraph, and the versions of the language."""
    both = Document({"Statement": [{"Effect": "Allow", "Action": "*", "Resource": "*"},
                                   {"Effect": "Deny", "Action": "kms:*", "Resource": "*", "Condition": {
                                       "StringNotEqualsIfExists": {"test:key": "v"}}}]})
    assert both.denies("kms:Encrypt", ARN, {}) and not both.denies("kms:Encrypt", ARN, {"test:key": "v"})
    for resource, covered in (("arn:*", True), ("arn:aws:kms:*", True), ("arn:aws:kms:us-east-1", False)):
        one = Document({"Statement": {"Effect": "Allow", "Action": "KMS:enc*", "Resource": resource}})
        assert one.allows("kms:Encrypt", ARN, {}) is covered
    for without in ("Action", "Resource"):
        statement = {"Effect": "Allow", "Action": "*", "Resource": "*"}
        del statement[without]
        assert not Document({"Statement": statement}).allows("kms:Encrypt", ARN, {})
    literal = Document({"Version": "2008-10-17", "Statement": {
        "Effect": "Allow", "Action": "*", "Resource": "*", "Condition": {"StringEquals": {"aws:username": "${aws:username}"}}}})
    assert not literal.allows("kms:Encrypt", ARN, {"aws:username": "alice"})
