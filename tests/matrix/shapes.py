"""The key policies of the matrix, and the identity, session and boundary policies of its principals.

A shape is a function of the world's names (`n`: account numbers and ARNs) that gives the statements of a key policy;
`{key}` in a Resource becomes the key's own ARN.
"""


def statement(effect, principal, action="kms:*", condition=None, **more):
    s = {"Effect": effect, "Principal": principal, "Action": action, "Resource": "*", **more}
    if condition is not None:
        s["Condition"] = condition
    return {k: v for k, v in s.items() if v is not None}


def allow(principal, action="kms:*", condition=None, **more):
    return statement("Allow", principal, action, condition, **more)


def deny(action, condition=None, principal="*", **more):
    return statement("Deny", principal, action, condition, **more)


def aws(*names):
    return {"AWS": list(names) if len(names) > 1 else names[0]}


def owner(n, action="kms:*", condition=None):
    return allow(aws(n.root), action, condition)


CRYPTO = ["kms:Encrypt", "kms:Decrypt", "kms:ReEncrypt*", "kms:GenerateDataKey*"]

SHAPES = {
    # whom the policy names
    "default": lambda n: [owner(n)],
    "account number": lambda n: [allow(aws(n.a))],
    "user only": lambda n: [allow(aws(n.user["named"]))],
    "user beside account": lambda n: [owner(n), allow(aws(n.user["named"], n.user["fenced"]))],
    "roles only": lambda n: [allow(aws(n.role["full"], n.role["bare"], n.role["walled"]))],
    "session only": lambda n: [allow(aws(n.session("exact", "target")))],
    "everybody": lambda n: [allow("*")],
    "everybody of an account": lambda n: [allow(aws("*"), condition={"StringEquals": {"kms:CallerAccount": n.a}})],
    "services only": lambda n: [allow({"Service": "sqs.amazonaws.com"}),
                                owner(n, "kms:PutKeyPolicy")],
    "allow all but one": lambda n: [statement("Allow", None, NotPrincipal=aws(n.user["named"]))],
    "allow all but account": lambda n: [statement("Allow", None, NotPrincipal=aws(n.root))],
    # actions and resources
    "part handed over": lambda n: [owner(n, ["kms:Describe*", "kms:List*", "kms:Get*", "kms:Encrypt"])],
    "NotAction": lambda n: [allow(aws(n.root), None, NotAction=["kms:Decrypt", "kms:*Alias", "kms:Re*"])],
    "spellings": lambda n: [owner(n, ["KMS:ENCRYPT", "kms:??crypt", "kms:Generate*Plaintext", "kms:*Policy*"]),
                            allow(aws(n.user["named"]), "*", Sid="all")],
    "own resource": lambda n: [allow(aws(n.root), Resource="{key}"),
                               allow(aws(n.user["named"]), Resource="arn:aws:kms:us-east-1:%s:key/other" % n.a)],
    "NotResource": lambda n: [allow(aws(n.root), Resource=None, NotResource="arn:aws:kms:*:*:key/other"),
                              allow(aws(n.user["named"]), Resource=None, NotResource="{key}")],
    "no effect": lambda n: [owner(n, CRYPTO), allow(aws(n.user["named"]), None),
                            allow(aws(n.user["named"]), Resource=None)],
    # denials
    "deny user": lambda n: [owner(n), allow(aws(n.user["named"])),
                            deny(["kms:Decrypt", "kms:Describe*"], principal=aws(n.user["named"], n.user["byid"]))],
    "deny account": lambda n: [owner(n), allow("*"), deny("kms:Encrypt", principal=aws(n.root))],
    "deny role": lambda n: [owner(n), deny("kms:*", principal=aws(n.role["full"]))],
    "deny session": lambda n: [owner(n), deny("kms:Decrypt", principal=aws(n.session("exact", "target"),
                                                                           n.session("full", "limited")))],
    "deny all but user": lambda n: [owner(n), allow("*"), deny("kms:*", principal=None, NotPrincipal=aws(
        n.root, n.user["named"]))],
    "deny all but account": lambda n: [allow("*"), deny("kms:Encrypt", principal=None, NotPrincipal=aws(n.root))],
    "deny all but role": lambda n: [owner(n), allow("*"), deny(CRYPTO, principal=None, NotPrincipal=aws(
        n.root, n.role["full"], n.session("full", "plain")))],
    "deny NotAction": lambda n: [owner(n), allow("*"), deny(None, NotAction=["kms:Describe*", "kms:Encrypt",
                                                                             "kms:*Grant*"])],
    # encryption context
    "context": lambda n: [owner(n), allow("*", CRYPTO, {"StringEquals": {"kms:EncryptionContext:department": "IT"}}),
                          deny(CRYPTO, {"StringEquals": {"kms:EncryptionContext:project": "apollo"}})],
    "context demanded": lambda n: [owner(n), deny(CRYPTO, {"Null": {"kms:EncryptionContext:department": "true"}})],
    "context keys all": lambda n: [allow("*", condition={"ForAllValues:StringEquals": {
        "kms:EncryptionContextKeys": ["department"]}})],
    "context keys any": lambda n: [owner(n, "kms:*", {"ForAnyValue:StringLike": {
        "kms:EncryptionContextKeys": ["dep*", "other"]}})],
    "context keys denied": lambda n: [owner(n), deny(CRYPTO, {"ForAnyValue:StringNotEquals": {
        "kms:EncryptionContextKeys": "department"}})],
    "context keys plain": lambda n: [owner(n), deny("kms:*", {"StringNotEquals": {
        "kms:EncryptionContextKeys": "department"}})],
    "own name": lambda n: [allow("*", CRYPTO, {"StringEquals": {
        "kms:EncryptionContext:department": "${aws:username, 'IT'}"}}), owner(n, ["kms:Get*", "kms:Put*"])],
    "old version": lambda n: {"Version": "2008-10-17", "Statement": [
        owner(n), deny("kms:*", {"StringLike": {"aws:username": "${aws:username}"}}), deny("kms:Encrypt", {
            "StringNotEquals": {"aws:username": "${aws:username}"}})]},
    # the request
    "algorithms": lambda n: [owner(n, "kms:*", {"StringEqualsIfExists": {
        "kms:SigningAlgorithm": "ECDSA_SHA_384", "kms:MacAlgorithm": "HMAC_SHA_256",
        "kms:EncryptionAlgorithm": "SYMMETRIC_DEFAULT"}}), deny("kms:*", {"StringLike": {
            "kms:MessageType": "R?W", "kms:SigningAlgorithm": "ECDSA*"}})],
    "numbers": lambda n: [owner(n), deny("kms:*", {"NumericGreaterThan": {"kms:RotationPeriodInDays": 180}}),
                          deny("kms:*", {"NumericLessThanEquals": {"kms:ScheduleKeyDeletionPendingWindowInDays": 7}})],
    "imports": lambda n: [owner(n), deny("kms:*", {"StringEquals": {"kms:WrappingAlgorithm": "RSAES_OAEP_SHA_256"}}),
                          deny("kms:*", {"StringNotEqualsIfExists": {
                              "kms:ExpirationModel": "KEY_MATERIAL_DOES_NOT_EXPIRE"}}, principal=aws(n.user["byid"]))],
    "lockout switch": lambda n: [owner(n), deny("kms:*", {"Bool": {"kms:BypassPolicyLockoutSafetyCheck": "false"}})],
    "grants": lambda n: [owner(n), allow(aws(n.user["named"]), "kms:CreateGrant", {
        "ForAllValues:StringEquals": {"kms:GrantOperations": ["Encrypt", "DescribeKey"]},
        "StringEquals": {"kms:GranteePrincipal": n.user["nobody"]}}), deny("kms:CreateGrant", {
            "StringEquals": {"kms:GrantConstraintType": "EncryptionContextEquals"}})],
    "grants for services": lambda n: [owner(n, ["kms:Describe*", "kms:Encrypt", "kms:PutKeyPolicy"]),
                                      allow("*", "kms:CreateGrant", {"Bool": {"kms:GrantIsForAWSResource": True}})],
    "through a service": lambda n: [owner(n, ["kms:*Policy"]), allow("*", condition={"StringEquals": {
        "kms:ViaService": "sqs.us-east-1.amazonaws.com", "kms:CallerAccount": n.a}}),
        deny("kms:*", {"Bool": {"aws:ViaAWSService": "true"}})],
    "alias asked for": lambda n: [allow("*", condition={"StringLike": {"kms:RequestAlias": "alias/matrix-*"}}),
                                  owner(n, ["kms:PutKeyPolicy", "kms:Encrypt"])],
    "aliases of the key": lambda n: [owner(n, "kms:*", {"ForAnyValue:StringLike": {
        "kms:ResourceAliases": "alias/matrix-*"}}), deny("kms:Encrypt", {"Null": {"kms:RequestAlias": "false"}})],
    # the key
    "kind of key": lambda n: [owner(n, "kms:*", {"StringEquals": {
        "kms:KeySpec": "SYMMETRIC_DEFAULT", "kms:KeyOrigin": "AWS_KMS", "kms:KeyUsage": "ENCRYPT_DECRYPT"}, "Bool": {
            "kms:MultiRegion": False}}), deny("kms:*", {"StringEquals": {"kms:CustomerMasterKeySpec": "RSA_2048"}})],
    "tag of the key": lambda n: [owner(n, "kms:*", {"StringEquals": {"aws:ResourceTag/team": ["a", "b"]}}),
                                 deny("kms:Encrypt", {"StringEquals": {"aws:ResourceTag/Stage": "none"}}),
                                 deny("kms:TagResource", {"ForAnyValue:StringEquals": {"aws:TagKeys": "stage"}})],
    # the caller
    "address": lambda n: [owner(n, "kms:*", {"IpAddress": {"aws:SourceIp": ["10.0.0.0/8", "127.0.0.9/8"]}}),
                          allow("*", CRYPTO, {"NotIpAddress": {"aws:SourceIp": "127.0.0.0/8"}}),
                          deny("kms:Encrypt", {"IpAddressIfExists": {"aws:SourceIp": "::/0"}})],
    "time": lambda n: [owner(n, "kms:*", {"DateGreaterThan": {"aws:CurrentTime": "2020-01-01T00:00:00Z"},
                                          "DateLessThanEquals": {"aws:EpochTime": "4000000000"}}),
                       allow("*", condition={"DateLessThan": {"aws:CurrentTime": "2020-01-01"}})],
    "transport": lambda n: [owner(n), deny(["kms:Decrypt", "kms:Generate*"], {"Bool": {"aws:SecureTransport": "false"}}),
                            deny("kms:*", {"StringNotEquals": {"aws:RequestedRegion": "us-east-1"}})],
    "ARNs of callers": lambda n: [allow("*", condition={"ArnLike": {"aws:PrincipalArn": [
        "arn:aws:iam::%s:user/n*" % n.a, "arn:aws:iam::*:role/team/*"]}}),
        deny("kms:Decrypt", {"ArnNotLike": {"aws:PrincipalArn": "arn:aws:iam::%s:*" % n.a}})],
    "ids of callers": lambda n: [allow("*", condition={"StringLike": {"aws:userid": ["AROA*:target", n.b]}}),
                                 owner(n, "kms:*", {"StringEquals": {"aws:PrincipalType": "User"}})],
    "tags of callers": lambda n: [owner(n, "kms:Get*"), allow("*", condition={"StringEqualsIgnoreCase": {
        "aws:PrincipalTag/department": "it"}}), deny(CRYPTO, {"StringEquals": {"aws:PrincipalTag/level": "${aws:PrincipalTag/department}"}})],
    "organization": lambda n: [owner(n), allow("*", condition={"StringEquals": {"aws:PrincipalOrgID": n.organization}}),
                               deny("kms:Decrypt", {"StringNotEqualsIfExists": {"aws:PrincipalOrgID": n.organization}})],
    "temporary": lambda n: [owner(n), deny("kms:Encrypt", {"Null": {"aws:TokenIssueTime": "false"}}),
                            deny("kms:Decrypt", {"Null": {"aws:TokenIssueTime": "true"}})],
    # the other account
    "other account": lambda n: [owner(n), allow(aws(n.root_b))],
    "other account in part": lambda n: [owner(n), allow(aws(n.b), ["kms:DescribeKey", "kms:Encrypt",
                                                                   "kms:CreateGrant", "kms:GetKeyPolicy"])],
    "others by name": lambda n: [owner(n), allow(aws(n.role_b["far"], n.session_b("farbare", "target"),
                                                     n.user_b["away"], n.user_b["alone"]))],
    "others but one": lambda n: [owner(n), allow(aws(n.root_b)), deny(CRYPTO, principal=aws(n.user_b["away"]))],
    "everybody elsewhere": lambda n: [allow("*", condition={"StringNotEquals": {"aws:PrincipalAccount": n.a}}),
                                      owner(n, "kms:*", {"StringEquals": {"aws:ResourceAccount": n.b}})],
}


def document(n, name, key_arn):
    """The key policy of a shape, as JSON takes it."""
    made = SHAPES[name](n)
    source = made if isinstance(made, dict) else {"Version": "2012-10-17", "Statement": made}

    def own(value):
        if isinstance(value, dict):
            return {k: own(v) for k, v in value.items()}
        if isinstance(value, list):
            return [own(v) for v in value]
        return key_arn if value == "{key}" else value

    return own(source)


# --- what the principals have of their own ------------------------------------------------------------------------------


def policy(*statements, version="2012-10-17"):
    return {"Version": version, "Statement": [s if "NotResource" in s else {"Resource": "*", **s} for s in statements]}


ALL = policy({"Effect": "Allow", "Action": "kms:*"})
NOTHING = policy({"Effect": "Allow", "Action": "s3:ListAllMyBuckets"})
LITTLE = policy({"Effect": "Allow", "Action": ["kms:Encrypt", "kms:Describe*", "kms:List*", "kms:*Grant"]})
DENYING = policy({"Effect": "Allow", "Action": "*"},
                 {"Effect": "Deny", "Action": ["kms:Decrypt", "kms:GenerateDataKey*", "kms:RetireGrant"]})
MIXED = [
    policy({"Effect": "Allow", "Action": ["kms:Encrypt", "kms:Decrypt"], "Condition": {
        "StringEquals": {"kms:EncryptionContext:department": "${aws:PrincipalTag/department}"}}},
           {"Effect": "Allow", "NotAction": ["kms:*crypt", "kms:*Policy", "iam:*"], "Condition": {
               "StringLike": {"kms:RequestAlias": "alias/matrix-*"}}}),
    policy({"Effect": "Allow", "Action": "kms:*Tags", "Resource": "arn:aws:kms:us-east-1:*:key/*"},
           {"Effect": "Allow", "Action": "kms:Describe*", "Resource": "arn:aws:kms:us-west-2:*:key/*"},
           {"Effect": "Allow", "Action": "kms:*Rotation*", "Condition": {"Bool": {"kms:MultiRegion": "false"}}},
           {"Effect": "Deny", "Action": "kms:DisableKeyRotation", "Condition": {
               "StringEquals": {"aws:ResourceTag/team": "a"}}}),
]

KEYS = "arn:aws:kms:us-east-1:*:key/*"


def one(action, resource="*", effect="Allow", condition=None, **more):
    s = {"Effect": effect, "Action": action, "Resource": resource, **more}
    if condition is not None:
        s["Condition"] = condition
    return {k: v for k, v in s.items() if v is not None}


# Users of their own that have one of these as identity-based policy; asked against the keys of OWN_SHAPES only.
OWN_SHAPES = ("default", "part handed over", "user only", "deny account")
OWN = {
    "keys": policy(one("kms:*", KEYS)),
    "aliases": policy(one("kms:*", "arn:aws:kms:us-east-1:*:alias/*")),
    "keys of the account": policy(one("kms:*", "arn:aws:kms:*:${aws:PrincipalAccount}:key/*")),
    "variable in old version": policy(one("kms:*", "arn:aws:kms:*:${aws:PrincipalAccount}:key/*"), version="2008-10-17"),
    "variable without value": policy(one("kms:*", "arn:aws:kms:*:${aws:PrincipalTag/none}:key/*")),
    "variable with default": policy(one("kms:*", "arn:aws:kms:*:${aws:PrincipalTag/none, '%s'}:key/*" % ("0" * 12))),
    "shortened": policy(one("kms:*", "arn:aws:kms:us-east-1:*:key/")),
    "other Region": policy(one("kms:*", "arn:aws:kms:us-west-2:*:key/*")),
    "NotResource": policy(one("kms:*", None, NotResource="arn:aws:kms:*:*:alias/*")),
    "NotResource of all": policy(one("kms:*", None, NotResource=["arn:aws:s3:*", KEYS])),
    "NotAction": policy(one(None, NotAction=["kms:Encrypt", "kms:*Rotation*", "iam:*"])),
    "deny NotAction": policy(one("*"), one(None, effect="Deny", NotAction=["kms:Encrypt", "kms:*Alias*", "kms:Get*"])),
    "deny NotResource": policy(one("*"), one("kms:*", None, "Deny", NotResource=[KEYS, "*:alias/*"])),
    "one action": policy(one("KMS:encrypt")),
    "patterns": policy(one(["kms:?ncrypt", "kms:*Key?olic*", "kms:List*s", "kms:"])),
    "several conditions": policy(one("kms:*", condition={
        "StringEquals": {"kms:EncryptionContext:department": ["HR", "IT"], "kms:CallerAccount": "0" * 12},
        "Bool": {"aws:SecureTransport": "false"}})),
    "two statements": policy(one("kms:Encrypt", condition={"Null": {"kms:EncryptionContextKeys": "true"}}),
                             one("kms:Encrypt", condition={"StringLike": {"kms:EncryptionContext:project": "ap*"}})),
    "absent": policy(one("kms:*", condition={"StringNotEquals": {"kms:EncryptionContext:department": "IT"}})),
    "absent allowed": policy(one("kms:*", condition={"StringEqualsIfExists": {"kms:EncryptionAlgorithm": "x"}})),
    "numbers": policy(one("kms:*", condition={"NumericLessThanIfExists": {"kms:RotationPeriodInDays": "91"},
                                              "NumericGreaterThanEqualsIfExists": {
                                                  "kms:ScheduleKeyDeletionPendingWindowInDays": "30"}})),
    "tags asked for": policy(one("kms:*Tag*", condition={"ForAllValues:StringLike": {"aws:TagKeys": ["st*"]}}),
                             one("kms:TagResource", effect="Deny",
                                 condition={"StringNotLike": {"aws:RequestTag/stage": "t?st"}})),
    "tags of the key": policy(one("kms:*", condition={"StringEquals": {"aws:ResourceTag/team": "a"}})),
    "own account": policy(one("kms:*", condition={"StringEquals": {
        "aws:ResourceAccount": "${aws:PrincipalAccount}"}})),
    "grants": policy(one("kms:*Grant*", condition={"ForAllValues:StringNotEquals": {"kms:GrantOperations": "Decrypt"}})),
    "alias asked for": policy(one("kms:*", condition={"ArnLike": {"aws:PrincipalArn": "arn:aws:iam::*:user/own*"},
                                                      "StringNotLike": {"kms:RequestAlias": "alias/m*"}})),
}
