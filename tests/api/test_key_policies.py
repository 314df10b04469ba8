"""Key policies: the recorded rows of recorded-authz-multiregion 3, 5 and 6.6, kms-behaviour 3.2, 12 and 15.3, and what
every condition key sees of a real request."""
import json
import threading
import time

import pytest

from trent_server import error_of, external_key, imported_key, wrap

ACCOUNT = "000000000000"
ROOT = "arn:aws:iam::%s:root" % ACCOUNT
OWNER = {"Effect": "Allow", "Principal": {"AWS": ROOT}, "Action": "kms:*", "Resource": "*"}
DEFAULT = """{
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
LOCKOUT = ("MalformedPolicyDocumentException",
           "The new key policy will not allow you to update the key policy in the future.")
PRINCIPALS = ("MalformedPolicyDocumentException",
              "Policy contains a statement with one or more invalid principals.")
CONTEXT = {"department": "IT", "a:b": "colon"}


def document(*statements, **more):
    return json.dumps({"Version": "2012-10-17", "Statement": list(statements), **more})


def deny(action, condition=None):
    statement = {"Effect": "Deny", "Principal": "*", "Action": action, "Resource": "*"}
    return {**statement, "Condition": condition} if condition is not None else statement


def put(kms, key, *statements, **more):
    return kms.put_key_policy(KeyId=key, Policy=document(*statements), **more)


def denied(operation, arn, why="with an explicit deny in a resource-based policy"):
    return ("AccessDeniedException", "User: %s is not authorized to perform: kms:%s on resource: %s %s"
            % (ROOT, operation, arn, why))


def no_policy(operation, arn):
    return denied(operation, arn, "because no resource-based policy allows the kms:%s action" % operation)


@pytest.fixture
def key(kms):
    return kms.create_key(Tags=[{"TagKey": "team", "TagValue": "a"}])["KeyMetadata"]


# --- GetKeyPolicy, PutKeyPolicy, ListKeyPolicies ----------------------------------------------------------------------


def test_default_policy(kms, key):
    """12: the text of the default policy, and 5.1 step 11: the name in the answer."""
    answer = kms.get_key_policy(KeyId=key["KeyId"])
    assert answer["Policy"] == DEFAULT and answer["PolicyName"] == "default"
    assert kms.get_key_policy(KeyId=key["Arn"], PolicyName="default")["Policy"] == DEFAULT


def test_policy_is_kept_as_it_was_written(kms, key):
    """12, and 5.1 step 1: without Version, "Principal":"*" in a deny."""
    text = '{"Statement":[%s ,\n\t%s]}' % (json.dumps(OWNER), json.dumps(deny("kms:EnableKeyRotation")))
    answer = kms.put_key_policy(KeyId=key["Arn"], PolicyName="default", Policy=text)
    assert set(answer) == {"ResponseMetadata"}
    assert kms.get_key_policy(KeyId=key["KeyId"])["Policy"] == text


def test_list_key_policies(kms, key):
    """15.3: always one name; 13.3: paging, and the marker error without message."""
    answer = kms.list_key_policies(KeyId=key["KeyId"], Limit=1)
    assert answer["PolicyNames"] == ["default"] and answer["Truncated"] is False and "NextMarker" not in answer
    assert error_of(kms.list_key_policies, KeyId=key["KeyId"], Marker="invalid")[0] == "InvalidMarkerException"
    assert error_of(kms.list_key_policies, KeyId=key["KeyId"], Limit=1001)[0] == "ValidationException"


def test_other_names(kms, key):
    """3.2."""
    for call in (lambda **p: kms.get_key_policy(**p), lambda **p: kms.put_key_policy(Policy=DEFAULT, **p)):
        assert error_of(call, KeyId=key["KeyId"], PolicyName="other") == ("NotFoundException", "No such policy exists")
        code, text = error_of(call, KeyId=key["KeyId"], PolicyName="a-b")
        assert code == "ValidationException" and text.endswith("failed to satisfy constraint: Member must satisfy "
                                                               "regular expression pattern: [\\w]+")


def test_identifiers(kms, key):
    """4.2: key id and key ARN only."""
    kms.create_alias(AliasName="alias/policy-target", TargetKeyId=key["KeyId"])
    for call in (kms.get_key_policy, kms.list_key_policies, lambda **p: kms.put_key_policy(Policy=DEFAULT, **p)):
        assert error_of(call, KeyId="alias/policy-target") == ("InvalidArnException",
                                                               "Key Aliases are not supported for this operation.")
        assert error_of(call, KeyId="11111111-2222-3333-4444-555555555555")[0] == "NotFoundException"


def test_in_deletion(kms, key):
    """6.6 step 9, rule 11: both work in the deletion states."""
    kms.schedule_key_deletion(KeyId=key["KeyId"], PendingWindowInDays=7)
    put(kms, key["KeyId"], OWNER, deny("kms:Sign"))
    text = kms.get_key_policy(KeyId=key["KeyId"])["Policy"]
    kms.put_key_policy(KeyId=key["KeyId"], Policy=text)
    kms.cancel_key_deletion(KeyId=key["KeyId"])
    put(kms, key["KeyId"], OWNER, deny("kms:CancelKeyDeletion"))
    kms.schedule_key_deletion(KeyId=key["KeyId"], PendingWindowInDays=7)
    assert error_of(kms.cancel_key_deletion, KeyId=key["KeyId"]) == denied("CancelKeyDeletion", key["Arn"])


# --- documents that are refused ---------------------------------------------------------------------------------------

REFUSED = [
    ("not JSON", "policy", ("MalformedPolicyDocumentException", None)),
    ("twice", '{"Statement":[],"Statement":[]}', ("MalformedPolicyDocumentException", None)),
    ("a user", document(OWNER, {**OWNER, "Principal": {"AWS": "arn:aws:iam::%s:user/none" % ACCOUNT}}), PRINCIPALS),
    ("an account", document(OWNER, {**OWNER, "Principal": {"AWS": "999999999999"}}), PRINCIPALS),
    ("an id", document(OWNER, {**OWNER, "Principal": {"AWS": "AROAEXAMPLEEXAMPLE12"}}), PRINCIPALS),
    ("a name", document(OWNER, {**OWNER, "Principal": {"AWS": "alice"}}), PRINCIPALS),
    ("NotPrincipal", document(OWNER, {"Effect": "Deny", "NotPrincipal": {"AWS": "999999999999"}, "Action": "kms:Sign",
                                      "Resource": "*"}), PRINCIPALS),
    ("a group", document(OWNER, {**OWNER, "Principal": {"AWS": "arn:aws:iam::%s:group/g" % ACCOUNT}}),
     ("InvalidArnException", "An ARN in the specified key policy is invalid.")),
    ("unknown element", document({**OWNER, "Effects": "Allow"}),
     ("MalformedPolicyDocumentException", "Unknown element 'Effects' in a policy statement.")),
    ("unknown operator", document(OWNER, deny("kms:Sign", {"StringSame": {"aws:userid": "x"}})),
     ("MalformedPolicyDocumentException", "Unknown condition operator 'StringSame'.")),
    ("size", document(OWNER, Id="x" * 32768), ("LimitExceededException", "A key policy has at most 32768 bytes.")),
    ("lockout: nobody", document({**OWNER, "Action": "kms:Describe*"}), LOCKOUT),
    ("lockout: denied", document(OWNER, deny("kms:PutKeyPolicy")), LOCKOUT),
    ("lockout: only now and then", document({**OWNER, "Condition": {"IpAddress": {"aws:SourceIp": "127.0.0.0/8"}}}),
     LOCKOUT),
    ("lockout: no Action has no effect", document({k: OWNER[k] for k in ("Effect", "Principal", "Resource")}), LOCKOUT),
    ("lockout: no Resource has no effect", document({k: OWNER[k] for k in ("Effect", "Principal", "Action")}), LOCKOUT),
]


@pytest.mark.parametrize("text,error", [row[1:] for row in REFUSED], ids=[row[0] for row in REFUSED])
def test_refused(kms, text, error):
    """3.2 and 12, with PutKeyPolicy and CreateKey; nothing has changed afterwards."""
    key = kms.create_key()["KeyMetadata"]["KeyId"]
    keys = kms.list_keys(Limit=1000)["Keys"]
    assert error_of(kms.put_key_policy, KeyId=key, Policy=text) == error
    assert error_of(kms.create_key, Policy=text) == error
    assert kms.get_key_policy(KeyId=key)["Policy"] == DEFAULT and kms.list_keys(Limit=1000)["Keys"] == keys


def test_largest(kms, key):
    """13.4: 32 KiB is fine, in bytes and not in characters."""
    base = document(OWNER, Id="")
    kms.put_key_policy(KeyId=key["KeyId"], Policy=base.replace('"Id": ""', '"Id": "%s"' % ("x" * (32768 - len(base)))))
    assert error_of(kms.put_key_policy, KeyId=key["KeyId"], Policy=base.replace(
        '"Id": ""', '"Id": "%s"' % ("\xe9" * 17000)))[0] == "LimitExceededException"


def test_lockout_can_be_bypassed(kms, key):
    """12: BypassPolicyLockoutSafetyCheck; the root user is not above the key policy."""
    put(kms, key["KeyId"], {**OWNER, "Action": "kms:Describe*"}, BypassPolicyLockoutSafetyCheck=True)
    kms.describe_key(KeyId=key["KeyId"])
    assert error_of(kms.get_key_policy, KeyId=key["KeyId"]) == no_policy("GetKeyPolicy", key["Arn"])
    assert error_of(kms.put_key_policy, KeyId=key["KeyId"], Policy=DEFAULT) == no_policy("PutKeyPolicy", key["Arn"])
    assert error_of(kms.encrypt, KeyId=key["KeyId"], Plaintext=b"x") == no_policy("Encrypt", key["Arn"])


def test_lasting_conditions_pass_the_lockout_check(kms, key):
    """12: what is the same in every request of this caller proves enough."""
    put(kms, key["KeyId"], {**OWNER, "Principal": "*", "Condition": {"StringEquals": {"kms:CallerAccount": ACCOUNT}}})
    put(kms, key["KeyId"], OWNER, deny("kms:PutKeyPolicy", {"NotIpAddress": {"aws:SourceIp": "127.0.0.1"}}))


def test_create_key_with_policy(kms):
    """12, 15.1: kept and in force from the first request on."""
    text = document(OWNER, deny("kms:Encrypt"), {**OWNER, "Principal": {"Service": "logs.amazonaws.com"}})
    key = kms.create_key(Policy=text)["KeyMetadata"]
    assert kms.get_key_policy(KeyId=key["KeyId"])["Policy"] == text
    assert error_of(kms.encrypt, KeyId=key["KeyId"], Plaintext=b"x") == denied("Encrypt", key["Arn"])
    other = kms.create_key(Policy=document({**OWNER, "Action": "kms:Describe*"}), BypassPolicyLockoutSafetyCheck=True)
    assert error_of(kms.disable_key, KeyId=other["KeyMetadata"]["KeyId"])[0] == "AccessDeniedException"


# --- recorded rows of 5.1 ---------------------------------------------------------------------------------------------


def test_rotation_period(kms, key):
    """5.1 steps 1 to 5, rule 2: the period is there when it was left out, and is then 365."""
    days = "kms:RotationPeriodInDays"
    put(kms, key["KeyId"], OWNER, deny("kms:EnableKeyRotation", {"Null": {days: "true"}}))
    for more in ({}, {"RotationPeriodInDays": 90}, {"RotationPeriodInDays": 180}):
        kms.enable_key_rotation(KeyId=key["KeyId"], **more)
    put(kms, key["KeyId"], OWNER, deny("kms:EnableKeyRotation", {"NumericGreaterThan": {days: 100}}))
    kms.enable_key_rotation(KeyId=key["KeyId"], RotationPeriodInDays=90)
    error = denied("EnableKeyRotation", key["Arn"])
    assert error_of(kms.enable_key_rotation, KeyId=key["KeyId"], RotationPeriodInDays=180) == error
    assert error_of(kms.enable_key_rotation, KeyId=key["KeyId"]) == error
    put(kms, key["KeyId"], OWNER, deny("kms:EnableKeyRotation", {"NumericNotEquals": {days: "365"}}))
    kms.enable_key_rotation(KeyId=key["KeyId"])


@pytest.mark.parametrize("condition", [
    {"Bool": {"aws:ViaAWSService": "false"}},
    {"Bool": {"aws:PrincipalIsAWSService": "false"}},
    {"StringNotEqualsIfExists": {"aws:CalledViaLast": "sqs.amazonaws.com"}},
])
def test_direct_calls(kms, key, condition):
    """5.1 step 6, rule 3."""
    put(kms, key["KeyId"], OWNER, deny("kms:GenerateDataKey", condition))
    assert error_of(kms.generate_data_key, KeyId=key["KeyId"],
                    KeySpec="AES_256") == denied("GenerateDataKey", key["Arn"])


def test_context_before_ciphertext(kms, key):
    """5.1 steps 7 and 8, rules 4 and 5: from the request, colons included, DryRun too."""
    blob = kms.encrypt(KeyId=key["KeyId"], Plaintext=b"x", EncryptionContext=CONTEXT)["CiphertextBlob"]
    put(kms, key["KeyId"], OWNER,
        deny("kms:Decrypt", {"StringEquals": {"kms:EncryptionContext:aws:lambda:FunctionArn": "arn"}}),
        deny("kms:GenerateDataKey", {"StringNotEquals": {"kms:EncryptionContext:aws:sns:topicArn": "t"}}))
    error = denied("Decrypt", key["Arn"])
    for more in ({}, {"DryRun": True}):
        assert error_of(kms.decrypt, CiphertextBlob=blob, EncryptionContext={"aws:lambda:FunctionArn": "arn"},
                        **more) == error
    assert kms.decrypt(CiphertextBlob=blob, EncryptionContext=CONTEXT)["Plaintext"] == b"x"
    assert error_of(kms.decrypt, CiphertextBlob=blob)[0] == "InvalidCiphertextException"
    kms.generate_data_key(KeyId=key["KeyId"], KeySpec="AES_256", EncryptionContext={"aws:sns:topicArn": "t"})
    for context in ({"aws:sns:topicArn": "u"}, {}):
        assert error_of(kms.generate_data_key, KeyId=key["KeyId"], KeySpec="AES_256", EncryptionContext=context) == \
            denied("GenerateDataKey", key["Arn"])


def test_outside_the_root_statement(kms, key):
    """5.1 step 12, rule 7: what no statement covers is for want of a resource-based policy."""
    put(kms, key["KeyId"], {**OWNER, "Action": ["kms:Get*", "kms:PutKeyPolicy"]})
    for name, call in (("EnableKeyRotation", kms.enable_key_rotation), ("DisableKey", kms.disable_key),
                       ("RotateKeyOnDemand", kms.rotate_key_on_demand)):
        assert error_of(call, KeyId=key["KeyId"]) == no_policy(name, key["Arn"])
    kms.get_key_rotation_status(KeyId=key["KeyId"])


def test_two_contexts_of_one_name(kms, key):
    """Condition keys have no case: where two names of a context are one to them, the request is denied."""
    put(kms, key["KeyId"], OWNER, deny("kms:Encrypt", {"StringEquals": {"kms:EncryptionContext:Department": "HR"}}))
    kms.encrypt(KeyId=key["KeyId"], Plaintext=b"x", EncryptionContext={"department": "IT"})
    for context in ({"department": "HR"}, {"department": "IT", "Department": "IT"}):
        assert error_of(kms.encrypt, KeyId=key["KeyId"], Plaintext=b"x",
                        EncryptionContext=context) == denied("Encrypt", key["Arn"])


# --- two keys and aliases ---------------------------------------------------------------------------------------------


def test_re_encrypt(kms, key):
    """12: kms:ReEncryptFrom on the source, kms:ReEncryptTo on the destination, each with its own context."""
    other = kms.create_key()["KeyMetadata"]
    blob = kms.encrypt(KeyId=key["KeyId"], Plaintext=b"x", EncryptionContext={"c": "1"})["CiphertextBlob"]
    call = dict(CiphertextBlob=blob, DestinationKeyId=other["KeyId"], SourceEncryptionContext={"c": "1"},
                DestinationEncryptionContext={"c": "2"})
    put(kms, key["KeyId"], OWNER, deny("kms:ReEncryptTo"))
    put(kms, other["KeyId"], OWNER, deny("kms:ReEncryptFrom"))
    kms.re_encrypt(**call)
    put(kms, key["KeyId"], OWNER, deny("kms:ReEncrypt*", {"StringEquals": {"kms:EncryptionContext:c": "1"}}))
    assert error_of(kms.re_encrypt, **call) == denied("ReEncryptFrom", key["Arn"])
    put(kms, key["KeyId"], OWNER)
    put(kms, other["KeyId"], OWNER, deny("kms:ReEncrypt*", {"StringEquals": {"kms:EncryptionContext:c": "2"}}))
    assert error_of(kms.re_encrypt, **call) == denied("ReEncryptTo", other["Arn"])
    put(kms, other["KeyId"], OWNER, deny("kms:ReEncrypt*", {"Bool": {"kms:ReEncryptOnSameKey": "false"}}))
    assert error_of(kms.re_encrypt, **call) == denied("ReEncryptTo", other["Arn"])
    put(kms, key["KeyId"], OWNER, deny("kms:ReEncrypt*", {"Bool": {"kms:ReEncryptOnSameKey": "false"}}))
    kms.re_encrypt(**{**call, "DestinationKeyId": key["KeyId"]})


def test_aliases(kms, key):
    """12: UpdateAlias and DeleteAlias need rights on the key that the alias has, CreateAlias on its target."""
    other = kms.create_key()["KeyMetadata"]
    put(kms, other["KeyId"], OWNER, deny("kms:*Alias"))
    kms.create_alias(AliasName="alias/rights", TargetKeyId=key["KeyId"])
    assert error_of(kms.create_alias, AliasName="alias/rights-2",
                    TargetKeyId=other["KeyId"]) == denied("CreateAlias", other["Arn"])
    assert error_of(kms.update_alias, AliasName="alias/rights",
                    TargetKeyId=other["KeyId"]) == denied("UpdateAlias", other["Arn"])
    put(kms, key["KeyId"], OWNER, deny("kms:*Alias"))
    put(kms, other["KeyId"], OWNER)
    assert error_of(kms.update_alias, AliasName="alias/rights",
                    TargetKeyId=other["KeyId"]) == denied("UpdateAlias", key["Arn"])
    assert error_of(kms.delete_alias, AliasName="alias/rights") == denied("DeleteAlias", key["Arn"])
    put(kms, key["KeyId"], OWNER)
    kms.delete_alias(AliasName="alias/rights")


def test_lists_are_not_for_key_policies(kms, key):
    """12: ListKeys, ListAliases, GenerateRandom and CreateKey are for identity policies alone."""
    put(kms, key["KeyId"], {**OWNER, "Action": "kms:PutKeyPolicy"}, deny(["kms:List*", "kms:GenerateRandom"]))
    kms.list_keys()
    kms.list_aliases(KeyId=key["KeyId"])
    kms.generate_random(NumberOfBytes=8)
    assert error_of(kms.list_resource_tags, KeyId=key["KeyId"]) == denied("ListResourceTags", key["Arn"])


# --- what condition keys see ------------------------------------------------------------------------------------------


def encrypt(kms, key, **more):
    return kms.encrypt(KeyId=key, Plaintext=b"x", EncryptionContext=CONTEXT, **more)


SEEN = [
    # condition key, a value that it has in this call, one that it has not
    ("kms:CallerAccount", ACCOUNT, "999999999999"),
    ("kms:KeySpec", "SYMMETRIC_DEFAULT", "RSA_2048"),
    ("kms:CustomerMasterKeySpec", "SYMMETRIC_DEFAULT", "RSA_2048"),
    ("kms:KeyUsage", "ENCRYPT_DECRYPT", "SIGN_VERIFY"),
    ("kms:CustomerMasterKeyUsage", "ENCRYPT_DECRYPT", "SIGN_VERIFY"),
    ("kms:KeyOrigin", "AWS_KMS", "EXTERNAL"),
    ("kms:MultiRegion", "false", "true"),
    ("kms:EncryptionAlgorithm", "SYMMETRIC_DEFAULT", "RSAES_OAEP_SHA_256"),
    ("kms:EncryptionContext:department", "IT", "HR"),
    ("KMS:encryptioncontext:DEPARTMENT", "IT", "HR"),
    ("kms:EncryptionContext:a:b", "colon", ""),
    ("aws:ResourceTag/team", "a", "b"),
    ("aws:ResourceAccount", ACCOUNT, "999999999999"),
    ("aws:PrincipalArn", ROOT, "arn:aws:iam::%s:user/u" % ACCOUNT),
    ("aws:PrincipalAccount", ACCOUNT, "999999999999"),
    ("aws:PrincipalType", "Account", "User"),
    ("aws:userid", ACCOUNT, "x"),
    ("aws:SourceIp", "127.0.0.1", "192.0.2.1"),
    ("aws:SecureTransport", "false", "true"),
    ("aws:RequestedRegion", "us-east-1", "us-west-2"),
]


@pytest.mark.parametrize("name,has,has_not", SEEN, ids=[row[0] for row in SEEN])
def test_condition_keys_of_encrypt(kms, key, name, has, has_not):
    put(kms, key["KeyId"], OWNER, deny("kms:Encrypt", {"StringEquals": {name: has_not}}))
    encrypt(kms, key["KeyId"])
    put(kms, key["KeyId"], OWNER, deny("kms:Encrypt", {"StringEquals": {name: [has_not, has]}}))
    assert error_of(encrypt, kms, key["KeyId"]) == denied("Encrypt", key["Arn"])


@pytest.mark.parametrize("name", ["kms:RequestAlias", "kms:ViaService", "kms:RotationPeriodInDays", "kms:MessageType",
                                  "kms:GrantOperations", "aws:SourceVpc", "kms:EncryptionContext:other", "own:key"])
def test_absent_keys(kms, key, name):
    """12: what a request does not have is absent."""
    put(kms, key["KeyId"], OWNER, deny("kms:Encrypt", {"Null": {name: "false"}}))
    encrypt(kms, key["KeyId"])
    put(kms, key["KeyId"], OWNER, deny("kms:Encrypt", {"Null": {name: "true"}}))
    assert error_of(encrypt, kms, key["KeyId"])[0] == "AccessDeniedException"


def refuses(kms, key, action, condition, call):
    """Whether a deny with this condition refuses the call."""
    put(kms, key, OWNER, deny(action, condition))
    try:
        call()
    except kms.exceptions.ClientError as e:
        assert e.response["Error"]["Code"] == "AccessDeniedException", e
        return True
    finally:
        put(kms, key, OWNER)
    return False


def test_context_keys(kms, key):
    names = "kms:EncryptionContextKeys"
    for operator, value, expected in (
            ("ForAnyValue:StringEquals", "department", True), ("ForAnyValue:StringEquals", "Department", False),
            ("ForAllValues:StringEquals", ["department", "a:b"], True), ("ForAllValues:StringEquals", "a:b", False),
            ("ForAnyValue:StringLike", "a*", True), ("StringEquals", "department", False), ("Null", "true", False)):
        assert refuses(kms, key["KeyId"], "kms:Encrypt", {operator: {names: value}},
                       lambda: encrypt(kms, key["KeyId"])) is expected, (operator, value)


def test_alias_keys(kms, key):
    kms.create_alias(AliasName="alias/one", TargetKeyId=key["KeyId"])
    kms.create_alias(AliasName="alias/two", TargetKeyId=key["KeyId"])
    by_alias = {"StringEquals": {"kms:RequestAlias": "alias/one"}}
    arn = key["Arn"].split("key/")[0] + "alias/one"
    for name, expected in (("alias/one", True), (arn, True), ("alias/two", False), (key["KeyId"], False)):
        assert refuses(kms, key["KeyId"], "kms:Encrypt", by_alias, lambda: encrypt(kms, name)) is expected, name
    for value, expected in (("alias/two", True), ("alias/three", False), ("alias/t*", True)):
        assert refuses(kms, key["KeyId"], "kms:Encrypt", {"ForAnyValue:StringLike": {"kms:ResourceAliases": value}},
                       lambda: encrypt(kms, key["KeyId"])) is expected, value


def test_tag_keys(kms, key):
    def tag():
        kms.tag_resource(KeyId=key["KeyId"], Tags=[{"TagKey": "stage", "TagValue": "prod"}])

    def untag():
        kms.untag_resource(KeyId=key["KeyId"], TagKeys=["stage"])

    for condition, expected in (
            ({"StringEquals": {"aws:RequestTag/stage": "prod"}}, True),
            ({"StringEquals": {"aws:RequestTag/stage": "test"}}, False),
            ({"ForAnyValue:StringEquals": {"aws:TagKeys": "stage"}}, True),
            ({"ForAnyValue:StringEquals": {"aws:TagKeys": "team"}}, False)):
        assert refuses(kms, key["KeyId"], "kms:TagResource", condition, tag) is expected, condition
    assert refuses(kms, key["KeyId"], "kms:UntagResource", {"ForAnyValue:StringEquals": {"aws:TagKeys": "stage"}}, untag)


def test_import_keys(kms):
    key = external_key(kms)["KeyId"]

    def parameters(algorithm="RSAES_OAEP_SHA_256", spec="RSA_2048"):
        return kms.get_parameters_for_import(KeyId=key, WrappingAlgorithm=algorithm, WrappingKeySpec=spec)

    for name, value, expected in (("kms:WrappingAlgorithm", "RSAES_OAEP_SHA_256", True),
                                  ("kms:WrappingAlgorithm", "RSAES_OAEP_SHA_1", False),
                                  ("kms:WrappingKeySpec", "RSA_2048", True), ("kms:WrappingKeySpec", "RSA_4096", False)):
        assert refuses(kms, key, "kms:GetParametersForImport", {"StringEquals": {name: value}},
                       parameters) is expected, (name, value)
    until = int(time.time()) + 86400
    p = parameters()
    blob = wrap(p["PublicKey"], b"\x07" * 32)

    def bring(**more):
        kms.import_key_material(KeyId=key, ImportToken=p["ImportToken"], EncryptedKeyMaterial=blob, **more)

    never = {"ExpirationModel": "KEY_MATERIAL_DOES_NOT_EXPIRE"}
    for condition, more, expected in (
            ({"StringEquals": {"kms:ExpirationModel": "KEY_MATERIAL_DOES_NOT_EXPIRE"}}, never, True),
            ({"StringEquals": {"kms:ExpirationModel": "KEY_MATERIAL_EXPIRES"}}, {"ValidTo": until}, True),
            ({"DateGreaterThan": {"kms:ValidTo": until - 60}}, {"ValidTo": until}, True),
            ({"DateGreaterThan": {"kms:ValidTo": until + 60}}, {"ValidTo": until}, False),
            ({"Null": {"kms:ValidTo": "true"}}, never, True)):
        assert refuses(kms, key, "kms:ImportKeyMaterial", condition, lambda: bring(**more)) is expected, condition


def test_days_and_switches(kms, key):
    window = "kms:ScheduleKeyDeletionPendingWindowInDays"

    def schedule(**more):
        kms.schedule_key_deletion(KeyId=key["KeyId"], **more)

    assert refuses(kms, key["KeyId"], "kms:ScheduleKeyDeletion", {"NumericLessThan": {window: 10}},
                   lambda: schedule(PendingWindowInDays=7))
    assert refuses(kms, key["KeyId"], "kms:ScheduleKeyDeletion", {"NumericEquals": {window: 30}}, schedule)
    bypass = "kms:BypassPolicyLockoutSafetyCheck"
    put(kms, key["KeyId"], OWNER, deny("kms:PutKeyPolicy", {"Bool": {bypass: "true"}}))
    assert error_of(put, kms, key["KeyId"], OWNER, BypassPolicyLockoutSafetyCheck=True)[0] == "AccessDeniedException"
    put(kms, key["KeyId"], OWNER)


def test_origin_and_regions(kms):
    key = imported_key(kms, b"\x09" * 32)[0]["KeyId"]
    assert refuses(kms, key, "kms:Encrypt", {"StringEquals": {"kms:KeyOrigin": "EXTERNAL"}}, lambda: encrypt(kms, key))
    primary = kms.create_key(MultiRegion=True)["KeyMetadata"]["KeyId"]
    for condition in ({"Bool": {"kms:MultiRegion": "true"}}, {"StringEquals": {"kms:MultiRegionKeyType": "PRIMARY"}}):
        assert refuses(kms, primary, "kms:Encrypt", condition, lambda: encrypt(kms, primary))


def test_user_agent_and_time(new_server):
    server = new_server()
    kms = server.client()
    key = kms.create_key()["KeyMetadata"]["KeyId"]
    assert refuses(kms, key, "kms:Encrypt", {"StringLike": {"aws:UserAgent": "*oto*"}}, lambda: encrypt(kms, key))
    assert not refuses(kms, key, "kms:Encrypt", {"StringLike": {"aws:UserAgent": "curl*"}}, lambda: encrypt(kms, key))
    at = int(time.time()) + 3600
    for name in ("aws:CurrentTime", "aws:EpochTime"):
        assert not refuses(kms, key, "kms:Encrypt", {"DateGreaterThan": {name: at}}, lambda: encrypt(kms, key))
    assert refuses(kms, key, "kms:Encrypt", {"NumericLessThan": {"aws:EpochTime": at}}, lambda: encrypt(kms, key))
    server.advance(7200)
    assert refuses(kms, key, "kms:Encrypt", {"DateGreaterThan": {"aws:CurrentTime": at}}, lambda: encrypt(kms, key))


# --- in force at once -------------------------------------------------------------------------------------------------


def test_after_a_restart(new_server):
    server = new_server()
    key = server.client().create_key()["KeyMetadata"]
    put(server.client(), key["KeyId"], OWNER, deny("kms:Encrypt"))
    server.stop()
    server = new_server()
    assert error_of(server.client().encrypt, KeyId=key["KeyId"], Plaintext=b"x") == denied("Encrypt", key["Arn"])


def test_in_force_when_answered(server, kms, key):
    """Every request that begins after PutKeyPolicy has answered is decided by the new policy: 60 changes against six
    clients that encrypt all the time. What a client sees counts if no change was under way meanwhile."""
    lock = threading.Lock()
    state = {"number": 0, "denied": False, "changing": False, "stop": False}
    wrong, judged = [], [0, 0]

    def look():
        with lock:
            return dict(state)

    def work():
        client = server.client()
        while not look()["stop"]:
            before = look()
            try:
                client.encrypt(KeyId=key["KeyId"], Plaintext=b"x")
                got = False
            except client.exceptions.ClientError as e:
                got = e.response["Error"]["Code"] == "AccessDeniedException"
            after = look()
            if before["changing"] or after["changing"] or before["number"] != after["number"]:
                continue
            with lock:
                judged[got] += 1
                if got != before["denied"]:
                    wrong.append(before["number"])

    workers = [threading.Thread(target=work) for _ in range(6)]
    for worker in workers:
        worker.start()
    for number in range(60):
        with lock:
            state["changing"] = True
        put(kms, key["KeyId"], OWNER, *([deny("kms:Encrypt")] if number % 2 == 0 else []))
        with lock:
            state.update(changing=False, number=number + 1, denied=number % 2 == 0)
        time.sleep(0.03)
    with lock:
        state["stop"] = True
    for worker in workers:
        worker.join()
    assert not wrong and min(judged) >= 60, (wrong, judged)
