"""Who may do what: the scenarios of recorded-authz-multiregion 2 to 5, each step named by its row.

What CreateGrant, ListGrants and their like take and answer (4.2, 4.6, 4.8 step 9, 4.9) is in test_grants.py. Not here,
because Trent has nothing that could do it:

| rows | reason |
| --- | --- |
| 2 step 1, the tries before the access key works | nothing is eventual: a new access key works at once |
| 2 step 3 | there are no opt-in Regions |
| 2 steps 4, 5 | other services |
| 4.5 steps 1 to 3, 4.2 steps 5, 6; section 3's federated-user | GetFederationToken is not built; the grants are tested |
| 4.8 step 11, the last row of section 3, 4.10 rule 16's second half | resource control policies: there are no organizations |
| 5.1 step 6, calls through SQS; 5.1 step 7 as called by a service | there are no services that call; both direct halves are here |
| 5.1 steps 11 to 13 | AWS managed keys; the rule (5.1 rule 7) is tested with a key policy of the same kind |
| 5.2, managed session policies by version | test_revocation.py |
"""
import pytest
from botocore.exceptions import ClientError

from principals import (ADMIN, DENIED, DENY_IDENTITY, DENY_RESOURCE, DENY_SESSION, LIMITED, NO_BOUNDARY, NO_IDENTITY,
                        NO_RESOURCE, NO_SESSION, account, boundary_on, denial, document, root_arn, statement, unique)
from trent_server import error_of

OTHER = "222222222222"
CONTEXT_IT, CONTEXT_BOTH = {"department": "IT"}, {"department": "IT", "project": "apollo"}


@pytest.fixture(scope="module")
def owner(server):
    return account(server)


@pytest.fixture(scope="module")
def other(server):
    return account(server, OTHER)


@pytest.fixture(scope="module")
def admin(owner):
    """The recordings' IAM user of the owner account."""
    return owner.user(ADMIN, name="admin")


def new_key(principal, *statements):
    more = {"Policy": document(*statements)} if statements else {}
    return principal.kms.create_key(**more)["KeyMetadata"]["Arn"]


def encrypt(principal, arn, **more):
    return principal.kms.encrypt(KeyId=arn, Plaintext=b"x", **more)


def grant(principal, arn, grantee, *operations, **more):
    return principal.kms.create_grant(KeyId=arn, GranteePrincipal=grantee, Operations=list(operations), **more)


def outcome(call, **parameters):
    """None for a success, else (code, text)."""
    try:
        call(**parameters)
    except ClientError as e:
        return e.response["Error"]["Code"], e.response["Error"].get("Message")
    return None


# --- 2: authentication --------------------------------------------------------------------------------------------------


def test_2_step_1_unknown_access_key(server):
    """With a full stop (rule 1)."""
    kms = server.client(key="AKIAAAAAAAAAAAAAAAAA", secret="x" * 40)
    assert error_of(kms.list_keys) == ("UnrecognizedClientException",
                                       "The security token included in the request is invalid.")


def test_2_step_2_wrong_session_token(server, owner):
    """Without one (rule 1)."""
    one = owner.session(owner.role(ADMIN))
    kms = server.client(key=one.key, secret=one.secret, token="invalid")
    assert error_of(kms.list_keys) == ("UnrecognizedClientException",
                                       "The security token included in the request is invalid")


def test_2_rule_2_status_is_400(owner):
    with pytest.raises(ClientError) as raised:
        owner.user().kms.list_keys()
    assert raised.value.response["ResponseMetadata"]["HTTPStatusCode"] == 400


# --- 4.1: a grant to one session ----------------------------------------------------------------------------------------


class OneSession:
    """The scene of 4.1: the roles and grant G1."""

    def __init__(self, owner, admin):
        self.owner, self.role, self.key = owner, owner.role(), new_key(admin)
        self.blob = encrypt(admin, self.key)["CiphertextBlob"]
        self.target = owner.session(self.role)
        self.g1 = grant(admin, self.key, self.target.arn, "Decrypt", "RetireGrant", Name="session",
                        RetiringPrincipal=self.target.arn)

    def decrypt(self, principal):
        return outcome(principal.kms.decrypt, CiphertextBlob=self.blob, GrantTokens=[self.g1["GrantToken"]])


@pytest.fixture(scope="module")
def one_session(owner, admin):
    return OneSession(owner, admin)


@pytest.mark.parametrize("row, name, policy, why", [
    ("step 2", "target", (), None), ("step 3, limited", "target", (LIMITED,), None),
    ("step 4, denied", "target", DENIED, DENY_SESSION), ("step 5, sibling", "sibling", (), NO_IDENTITY),
    ("step 6, again", "target", (), None)])
def test_4_1_grant_to_one_session(one_session, owner, row, name, policy, why):
    caller = owner.session(one_session.role, name, policy)
    expected = why and denial(caller, "Decrypt", one_session.key, why)
    assert one_session.decrypt(caller) == expected


def test_4_1_step_2_answer(one_session):
    answer = one_session.target.kms.decrypt(CiphertextBlob=one_session.blob,
                                            GrantTokens=[one_session.g1["GrantToken"]])
    assert set(answer) - {"ResponseMetadata"} == {"KeyId", "Plaintext", "EncryptionAlgorithm", "KeyMaterialId"}


def test_3_rule_4_tokens_bring_no_error_of_their_own(one_session, owner):
    """A grant token in the wrong hands: the ordinary denial; and without a token the grant works as well (4.10 rule 17)."""
    stranger = owner.user()
    assert one_session.decrypt(stranger) == denial(stranger, "Decrypt", one_session.key, NO_IDENTITY)
    assert outcome(one_session.target.kms.decrypt, CiphertextBlob=one_session.blob) is None


# --- 4.3: a grant to a role, and policies that limit ----------------------------------------------------------------------


@pytest.fixture(scope="module")
def whole_role(owner, admin, one_session):
    role = owner.role()
    made = grant(admin, one_session.key, role.arn, "Decrypt", "RetireGrant")
    return role, made["GrantToken"]


@pytest.mark.parametrize("row, policy, why", [
    ("step 1", (), None), ("step 2, limited", (LIMITED,), NO_SESSION), ("step 3, denied", DENIED, DENY_SESSION)])
def test_4_3_grant_to_role(one_session, whole_role, owner, row, policy, why):
    caller = owner.session(whole_role[0], "target", policy)
    assert outcome(caller.kms.decrypt, CiphertextBlob=one_session.blob, GrantTokens=[whole_role[1]]) == (
        why and denial(caller, "Decrypt", one_session.key, why))


def test_4_3_steps_4_5_boundary(one_session, whole_role, owner):
    with boundary_on(owner, one_session.role, LIMITED), boundary_on(owner, whole_role[0], LIMITED):
        assert one_session.decrypt(one_session.target) is None
        caller = owner.session(whole_role[0])
        assert outcome(caller.kms.decrypt, CiphertextBlob=one_session.blob) == denial(
            caller, "Decrypt", one_session.key, NO_BOUNDARY)
    assert outcome(caller.kms.decrypt, CiphertextBlob=one_session.blob) is None


# --- 4.4: delegation ------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def delegates(owner, admin):
    role, arn = owner.role(), new_key(admin)
    tokens = [grant(admin, arn, role.arn, "CreateGrant", "Decrypt", Constraints={
        "EncryptionContextSubset": CONTEXT_IT})["GrantToken"],
              grant(admin, arn, role.arn, "Encrypt", Constraints={
                  "EncryptionContextSubset": {"project": "apollo"}})["GrantToken"]]
    return owner.session(role), arn, tokens, owner.session(owner.role(), "child").arn


@pytest.mark.parametrize("row, operations, constraints, allowed", [
    ("step 1", ["Decrypt", "Encrypt"], {"EncryptionContextEquals": CONTEXT_BOTH}, False),
    ("step 2", ["Encrypt"], {"EncryptionContextEquals": CONTEXT_BOTH}, False),
    ("step 3", ["Decrypt"], None, False),
    ("step 4", ["Decrypt"], {"EncryptionContextEquals": CONTEXT_BOTH}, True)])
def test_4_4_delegation(delegates, row, operations, constraints, allowed):
    caller, arn, tokens, grantee = delegates
    more = {"Constraints": constraints} if constraints else {}
    result = outcome(caller.kms.create_grant, KeyId=arn, GranteePrincipal=grantee, Operations=operations,
                     GrantTokens=tokens, **more)
    assert result == (None if allowed else denial(caller, "CreateGrant", arn, NO_IDENTITY))


# --- 4.5, 4.8: RetireGrant in the owner account -----------------------------------------------------------------------------


def test_4_5_step_4_limited_session_retires(owner, admin):
    role = owner.role()
    caller = owner.session(role, "target", (LIMITED,))
    arn = new_key(admin)
    made = grant(admin, arn, caller.arn, "Decrypt", "RetireGrant", RetiringPrincipal=caller.arn)
    assert outcome(caller.kms.retire_grant, GrantToken=made["GrantToken"]) is None
    assert admin.kms.list_grants(KeyId=arn)["Grants"] == []


def test_4_10_rule_15_retiring_principal(owner, admin):
    """May retire although Operations lacks RetireGrant; nobody else may."""
    arn, caller, stranger = new_key(admin), owner.user(), owner.user()
    made = grant(admin, arn, owner.arn, "DescribeKey", RetiringPrincipal=caller.arn)
    assert outcome(stranger.kms.retire_grant, KeyId=arn, GrantId=made["GrantId"]) == denial(
        stranger, "RetireGrant", arn, NO_IDENTITY)
    assert outcome(caller.kms.retire_grant, KeyId=arn, GrantId=made["GrantId"]) is None


def test_4_8_step_10_administrator_retires(owner, admin):
    role, arn = owner.role(ADMIN), new_key(admin)
    made = grant(admin, arn, role.arn, "Encrypt", RetiringPrincipal=role.arn)
    assert outcome(owner.session(role).kms.retire_grant, KeyId=arn, GrantId=made["GrantId"]) is None


# --- 4.6: what a grant is bound to ------------------------------------------------------------------------------------------


def test_4_6_steps_14_16_role_made_again(owner, admin):
    arn, name = new_key(admin), unique("future")
    role = owner.role(name=name)
    grantee = "arn:aws:sts::%s:assumed-role/%s/future" % (owner.number, name)
    x = grant(admin, arn, grantee, "DescribeKey", Name="bound-session", RetiringPrincipal=grantee)
    old = owner.session(role, "future")
    assert outcome(old.kms.describe_key, KeyId=arn) is None
    owner.delete_role(role)
    assert outcome(old.kms.describe_key, KeyId=arn) is not None  # its role is gone
    owner.role(name=name)
    new = owner.session(role, "future")
    assert outcome(new.kms.describe_key, KeyId=arn, GrantTokens=[x["GrantToken"]]) == denial(
        new, "DescribeKey", arn, NO_IDENTITY)
    assert outcome(old.kms.describe_key, KeyId=arn) is not None  # and does not come back with the name
    y = grant(admin, arn, grantee, "DescribeKey", Name="bound-session", RetiringPrincipal=grantee)
    assert y["GrantId"] != x["GrantId"]
    assert outcome(new.kms.describe_key, KeyId=arn, GrantTokens=[y["GrantToken"]]) is None


def test_4_10_rule_6_in_key_policies(owner, admin):
    """The same for a role that a key policy names."""
    role = owner.role()
    arn = new_key(admin, statement("kms:*", Principal={"AWS": owner.arn}),
                  statement("kms:*", Principal={"AWS": role.arn}))
    assert outcome(owner.session(role).kms.describe_key, KeyId=arn) is None
    owner.delete_role(role)
    role = owner.role(name=role.name)
    caller = owner.session(role)
    assert outcome(caller.kms.describe_key, KeyId=arn) == denial(caller, "DescribeKey", arn, NO_IDENTITY)


# --- 4.7: from another account ----------------------------------------------------------------------------------------------


class TwoAccounts:
    """The scene of 4.7: the other account may make grants, and nothing else."""

    def __init__(self, owner, admin, other, issuer):
        self.other = other
        self.key = new_key(admin, statement("kms:*", Principal={"AWS": owner.arn}),
                           statement("kms:CreateGrant", Principal={"AWS": root_arn(OTHER)}))
        self.exact, self.role = other.role(), other.role()
        session_arn = "arn:aws:sts::%s:assumed-role/%s/target" % (OTHER, self.exact.name)
        self.tokens = [grant(issuer, self.key, session_arn, "DescribeKey")["GrantToken"],
                       grant(issuer, self.key, self.role.arn, "Encrypt")["GrantToken"]]

    def describe(self, policy, token=True):
        return self._ask("describe_key", "DescribeKey", self.exact, policy, token)

    def encrypt(self, policy):
        return self._ask("encrypt", "Encrypt", self.role, policy, True, Plaintext=b"x")

    def _ask(self, method, operation, role, policy, token, **more):
        """The reason of the denial, or None."""
        caller = self.other.session(role, "target", policy)
        if token:
            more["GrantTokens"] = self.tokens
        result = outcome(getattr(caller.kms, method), KeyId=self.key, **more)
        if result is None:
            return None
        begin = denial(caller, operation, None, "")
        assert result[0] == begin[0] and result[1].startswith(begin[1])
        return result[1][len(begin[1]):].replace("kms:" + operation, "%s")


def may_describe(two):
    """What steps 5 and 11 add."""
    two.other.iam.put_role_policy(RoleName=two.exact.name, PolicyName="kms",
                                  PolicyDocument=document(statement("kms:*", two.key)))


def test_4_7_steps_1_to_6_issued_by_the_owner(owner, admin, other):
    two = TwoAccounts(owner, admin, other, admin)
    assert two.describe(()) == NO_IDENTITY, "step 1"
    assert two.describe((LIMITED,)) == NO_IDENTITY, "step 2"
    assert two.encrypt(()) == NO_IDENTITY, "step 3"
    assert two.encrypt((LIMITED,)) == NO_SESSION, "step 4"
    may_describe(two)
    assert two.describe((), token=False) is None, "step 5"
    assert two.describe((LIMITED,), token=False) == NO_SESSION, "step 6"


def test_4_7_steps_7_to_12_issued_by_the_other_account(owner, admin, other):
    two = TwoAccounts(owner, admin, other, other.root)
    assert two.describe(()) is None, "step 7"
    assert two.describe((LIMITED,)) is None, "step 8"
    assert two.encrypt(()) is None, "step 9"
    assert two.encrypt((LIMITED,)) == NO_SESSION, "step 10"
    may_describe(two)
    assert two.describe((), token=False) is None, "step 11"
    assert two.describe((LIMITED,), token=False) is None, "step 12"


def test_4_7_metadata_is_complete(owner, admin, other):
    two = TwoAccounts(owner, admin, other, other.root)
    caller = other.session(two.exact)
    metadata = caller.kms.describe_key(KeyId=two.key)["KeyMetadata"]
    assert metadata == admin.kms.describe_key(KeyId=two.key)["KeyMetadata"]
    assert metadata["AWSAccountId"] == owner.number and metadata["CurrentKeyMaterialId"]


# --- 4.8: RetireGrant from another account ------------------------------------------------------------------------------------


@pytest.mark.parametrize("rows, exact, policy, why", [
    ("steps 1, 3", True, (), NO_IDENTITY), ("steps 2, 4", True, (LIMITED,), NO_IDENTITY),
    ("steps 5, 7", False, (), NO_IDENTITY), ("steps 6, 8", False, (LIMITED,), NO_SESSION)])
def test_4_8_retire_from_another_account(owner, admin, other, rows, exact, policy, why):
    arn, role = new_key(admin), other.role()
    caller = other.session(role, "target", policy)
    bound = caller.arn if exact else role.arn
    for made in (grant(admin, arn, owner.arn, "DescribeKey", RetiringPrincipal=bound),
                 grant(admin, arn, bound, "RetireGrant", "DescribeKey")):
        assert outcome(caller.kms.retire_grant, GrantToken=made["GrantToken"]) == denial(
            caller, "RetireGrant", None, why)


# --- 5.1: key policies --------------------------------------------------------------------------------------------------------


def test_5_1_step_9_creating_needs_nothing_but_create_key(owner):
    creator = owner.user(statement("kms:CreateKey"))
    key = creator.kms.create_key(MultiRegion=True)["KeyMetadata"]
    assert key["MultiRegion"] is True and key["KeyState"] == "Enabled"


def test_5_1_step_10_default_policy_hands_over(owner, admin):
    arn, caller = new_key(admin), owner.user(statement("kms:ListKeys"))
    for operation, call, more in (("GenerateDataKey", caller.kms.generate_data_key, {"KeySpec": "AES_256", "KeyId": arn}),
                                  ("Decrypt", caller.kms.decrypt, {
                                      "CiphertextBlob": encrypt(admin, arn)["CiphertextBlob"]})):
        assert outcome(call, **more) == denial(caller, operation, arn, NO_IDENTITY)


def with_deny(owner, admin, action, condition):
    """A key with the owner's statement and a conditional denial, without Version (step 1)."""
    return new_key(admin, statement("kms:*", Principal={"AWS": owner.arn}),
                   statement(action, effect="Deny", Principal="*", Condition=condition))


@pytest.mark.parametrize("row, condition, period, why", [
    *[("step 2", {"Null": {"kms:RotationPeriodInDays": "true"}}, days, None) for days in (None, 90, 180)],
    ("step 3", {"NumericGreaterThan": {"kms:RotationPeriodInDays": "100"}}, 90, None),
    ("step 4", {"NumericGreaterThan": {"kms:RotationPeriodInDays": "100"}}, 180, DENY_RESOURCE),
    ("step 5", {"NumericGreaterThan": {"kms:RotationPeriodInDays": "100"}}, None, DENY_RESOURCE)])
def test_5_1_steps_1_to_5_rotation_period(owner, admin, row, condition, period, why):
    arn = with_deny(owner, admin, "kms:EnableKeyRotation", condition)
    more = {} if period is None else {"RotationPeriodInDays": period}
    assert outcome(admin.kms.enable_key_rotation, KeyId=arn, **more) == (
        why and denial(admin, "EnableKeyRotation", arn, why))


@pytest.mark.parametrize("condition", [
    {"Bool": {"aws:ViaAWSService": "false"}}, {"Bool": {"aws:PrincipalIsAWSService": "false"}},
    {"StringNotEqualsIfExists": {"aws:CalledViaLast": "sqs.amazonaws.com"}}])
def test_5_1_step_6_direct_calls(owner, admin, condition):
    arn = with_deny(owner, admin, "kms:GenerateDataKey", condition)
    assert outcome(admin.kms.generate_data_key, KeyId=arn, KeySpec="AES_256") == denial(
        admin, "GenerateDataKey", arn, DENY_RESOURCE)


def test_5_1_steps_7_8_context_keys_with_colons(owner, admin):
    topic = {"aws:sns:topicArn": "arn:aws:sns:us-east-1:111111111111:t"}
    arn = with_deny(owner, admin, "kms:*DataKey", {"StringNotEquals": {
        "kms:EncryptionContext:aws:sns:topicArn": topic["aws:sns:topicArn"]}})
    assert outcome(admin.kms.generate_data_key, KeyId=arn, KeySpec="AES_256", EncryptionContext=topic) is None
    assert outcome(admin.kms.generate_data_key, KeyId=arn, KeySpec="AES_256", EncryptionContext={
        "aws:sns:topicArn": "other"}) == denial(admin, "GenerateDataKey", arn, DENY_RESOURCE)
    function = {"aws:lambda:FunctionArn": "arn:aws:lambda:us-east-1:111111111111:function:f"}
    arn = with_deny(owner, admin, "kms:Decrypt", {"StringEquals": {
        "kms:EncryptionContext:aws:lambda:FunctionArn": function["aws:lambda:FunctionArn"]}})
    ask = {"KeyId": arn, "DryRun": True, "DryRunModifiers": ["IGNORE_CIPHERTEXT"]}
    assert outcome(admin.kms.decrypt, EncryptionContext=function, **ask) == denial(admin, "Decrypt", arn, DENY_RESOURCE)
    assert outcome(admin.kms.decrypt, **ask)[0] == "DryRunOperationException"


def test_5_1_rule_7_what_is_not_handed_over(owner, admin):
    """Step 12 (recorded-imports J78 to J80), with a policy that gives the account as little as an AWS managed key's."""
    arn = owner.kms.create_key(BypassPolicyLockoutSafetyCheck=True, Policy=document(statement(
        ["kms:Describe*", "kms:Get*", "kms:List*", "kms:RevokeGrant"], Principal={"AWS": owner.arn})))["KeyMetadata"]["Arn"]
    for operation, call in (("EnableKeyRotation", admin.kms.enable_key_rotation),
                            ("DisableKeyRotation", admin.kms.disable_key_rotation),
                            ("RotateKeyOnDemand", admin.kms.rotate_key_on_demand)):
        assert outcome(call, KeyId=arn) == denial(admin, operation, arn, NO_RESOURCE)
    assert admin.kms.get_key_rotation_status(KeyId=arn)["KeyRotationEnabled"] is False  # step 13


def test_3_rule_1_deny_before_missing_allow(owner, admin):
    """2 step 5: the policy holds nothing but the deny; and the identity-based form, which was not recorded."""
    arn, role = new_key(admin), owner.role(ADMIN)
    caller = owner.session(role, "target", (statement("kms:*", effect="Deny"),))
    assert outcome(caller.kms.describe_key, KeyId=arn) == denial(caller, "DescribeKey", arn, DENY_SESSION)
    caller = owner.user(statement("kms:*", effect="Deny"))
    assert outcome(caller.kms.describe_key, KeyId=arn) == denial(caller, "DescribeKey", arn, DENY_IDENTITY)


def test_3_rule_3_decrypt_names_the_key_of_the_blob(owner, admin):
    arn, caller = new_key(admin), owner.user()
    blob = encrypt(admin, arn)["CiphertextBlob"]
    assert outcome(caller.kms.decrypt, CiphertextBlob=blob) == denial(caller, "Decrypt", arn, NO_IDENTITY)


# --- 5.2: condition operators ---------------------------------------------------------------------------------------------------
# As recorded: in an identity-based policy, each row in an allow and in a deny form. A request's value is that of an
# encryption context; several values are the names of one.

PLAIN = ("StringEquals", "StringNotEquals", "StringLike", "StringNotLike", "StringEqualsIgnoreCase",
         "StringNotEqualsIgnoreCase")
SETS = ([], ["v"], ["w"], ["v", "w"])
ROWS = [  # row, operator, value of the policy, value of the request (None: absent), does it match?
    *[("plain operator on several values", o + s, "v", several, False)
      for o in PLAIN for s in ("", "IfExists") for several in (["v"], ["v", "w"])],
    ("absent", "StringEquals", "v", None, False), ("absent", "StringNotEquals", "v", None, True),
    ("absent", "StringEqualsIfExists", "v", None, True), ("absent", "StringNotEqualsIfExists", "v", None, True),
    *[("sets", "ForAnyValue:StringEquals", "v", s, m) for s, m in zip(SETS, (False, True, False, True))],
    *[("sets", "ForAllValues:StringEquals", "v", s, m) for s, m in zip(SETS, (True, True, False, False))],
    *[("sets", "ForAnyValue:StringNotEquals", "v", s, m) for s, m in zip(SETS, (False, False, True, True))],
    *[("sets", "ForAllValues:StringNotEquals", "v", s, m) for s, m in zip(SETS, (True, False, True, False))],
    ("ForAllValues, one value, absent", "ForAllValues:StringEquals", "v", None, True),
    *[("patterns", "StringLike", p, v, m) for p, v, m in (
        ("a*d", "a/b/d", True), ("a?b", "a:b", True), ("[b]", "b", False), ("[b]", "[b]", True),
        ("??", "\U00010400", True), ("?", "\U00010400", False))],
    ("patterns", "StringNotLike", "[b]", "b", True),
    ("case", "StringEqualsIgnoreCase", "PrOd", "prod", True), ("case", "StringEqualsIgnoreCase", "i", "\u0131", False),
    ("case", "StringEqualsIgnoreCase", "i", "\u0130", False),
    *[("numbers", "NumericEquals", "1", v, True) for v in ("1", "01", "+1", "1.0", "1e0")],
    *[("no numbers", "NumericEquals", "1", v, False) for v in ("no-number", "NaN", "Infinity")],
    *[("no numbers", "NumericNotEquals", "1", v, True) for v in ("no-number", "NaN", "Infinity")],
    *[("dates", "DateEquals", "2030-01-01T00:00:00Z", v, True) for v in ("2030-01-01", "1893456000")],
    ("no date", "DateEquals", "2030-01-01T00:00:00Z", "not-a-date", False),
    ("no date", "DateNotEquals", "2030-01-01T00:00:00Z", "not-a-date", True),
    *[("Bool", "Bool", "true", v, True) for v in ("true", "True", "TRUE")],
    *[("Bool", "Bool", "false", v, True) for v in ("false", "yes", "1", " true ")],
    *[("BinaryEquals", "BinaryEquals", "YQ==", v, v == "YQ==") for v in ("YQ==", "YQ", "YR==", " YQ==")],
    *[("no address", o, "192.0.2.0/24", v, False) for o in ("IpAddress", "NotIpAddress")
      for v in ("not-an-ip", "192.0.2.1/32")],
    ("octets", "IpAddress", "192.0.2.1", "192.000.2.1", True), ("host bits", "IpAddress", "192.0.2.5/24", "192.0.2.9", True),
    ("IPv4 /0", "IpAddress", "0.0.0.0/0", "2001:db8::1", False), ("IPv4 /0", "NotIpAddress", "0.0.0.0/0", "2001:db8::1", True),
    *[("no ARN", o, "arn:aws:iam::*:user/*", "not-an-arn", False) for o in ("ArnLike", "ArnNotLike")],
    ("variable with several values", "StringEquals", "${kms:EncryptionContextKeys}", "v", False),
    ("variable with several values", "StringNotEquals", "${kms:EncryptionContextKeys}", "v", True),
    ("variable with several values", "StringEquals", "${kms:EncryptionContextKeys, 'v'}", "v", False),
]
EMPTY = [("StringEquals", "", True), ("Null", "true", False), ("Null", "false", True), ("NumericEquals", "1", False),
         ("NumericNotEquals", "1", True), ("DateEquals", "2030-01-01T00:00:00Z", False),
         ("DateNotEquals", "2030-01-01T00:00:00Z", True), ("Bool", "false", True),
         ("IpAddress", "192.0.2.0/24", False), ("NotIpAddress", "192.0.2.0/24", False),
         ("ArnLike", "arn:aws:iam::*:user/*", False), ("ArnNotLike", "arn:aws:iam::*:user/*", False)]


@pytest.fixture(scope="module")
def conditioned(owner, admin):
    """Asks with a condition in both forms: (allowed by it?, denied by it?)."""
    arn, caller, name = new_key(admin), owner.user(name="conditioned"), "conditioned"

    def ask(operator, wanted, value):
        if isinstance(value, list):
            key, context = "kms:EncryptionContextKeys", {v: "x" for v in value}
        else:
            key, context = "kms:EncryptionContext:k", {} if value is None else {"k": value}
        condition = {operator: {key: wanted}}
        answers = []
        for statements in ([statement("kms:Encrypt", Condition=condition)],
                           [statement("kms:Encrypt"), statement("kms:Encrypt", effect="Deny", Condition=condition)]):
            owner.iam.put_user_policy(UserName=name, PolicyName="p", PolicyDocument=document(*statements))
            answers.append(outcome(caller.kms.encrypt, KeyId=arn, Plaintext=b"x", EncryptionContext=context))
        allowing, denying = answers
        assert allowing in (None, denial(caller, "Encrypt", arn, NO_IDENTITY))
        assert denying in (None, denial(caller, "Encrypt", arn, DENY_IDENTITY))
        return allowing is None, denying is not None
    return ask


@pytest.mark.parametrize("row, operator, wanted, value, matches", ROWS)
def test_5_2_operators(conditioned, row, operator, wanted, value, matches):
    assert conditioned(operator, wanted, value) == (matches, matches)


@pytest.mark.parametrize("operator, wanted, matches", EMPTY)
def test_5_2_empty_value(conditioned, operator, wanted, matches):
    assert conditioned(operator, wanted, "") == (matches, matches)


@pytest.mark.parametrize("resource, covered", [
    ("arn:aws:kms:*", True), ("arn:*:key/*", True), ("arn:aws:kms:us-east-1", False), ("{key}", True), ("*", True)])
def test_5_2_resources(owner, admin, resource, covered):
    """`*` crosses `:` and `/`, and there is none at the end that is not written."""
    arn = new_key(admin)
    caller = owner.user(statement("kms:DescribeKey", resource.replace("{key}", arn)))
    assert (outcome(caller.kms.describe_key, KeyId=arn) is None) is covered
