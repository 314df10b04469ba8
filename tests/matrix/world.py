"""What the matrix is asked of: two accounts, their principals and their credentials, and for each shape of key policy a
key that lives and one that awaits deletion (where whatever changes a key is refused after authorization), both with
grants. Everything is made through the API, as a customer would, and described for the reference beside it."""
import base64
import json
import types
import zlib

import shapes
from policy_reading import Document, root_arn
from quick_client import Connection, Credentials, ask_all
from reference import Caller, Grant, Key

A, B = "000000000000", "111122223333"
ORGANIZATION = "o-matrix12345"
IT = (("department", "IT"),)
EVERY = ("Decrypt", "Encrypt", "GenerateDataKey", "GenerateDataKeyWithoutPlaintext", "ReEncryptFrom", "ReEncryptTo",
         "CreateGrant", "RetireGrant", "DescribeKey", "GenerateDataKeyPair", "GenerateDataKeyPairWithoutPlaintext")
TAGS = {"department": "IT", "level": "it"}
SOURCE = "arn:aws:sqs:us-east-1:%s:queue" % A

# name: inline policies, boundary, tags
USERS = {
    "named": ([], None, {}), "byid": ([shapes.ALL], None, {}), "nobody": ([], None, {}),
    "refused": ([shapes.ALL, shapes.DENYING], None, {}), "mixed": (shapes.MIXED, None, TAGS),
    "fenced": ([shapes.ALL], shapes.LITTLE, {}), "forbidden": ([shapes.ALL], shapes.DENYING, {}),
    "holder": ([], None, {}), "equal": ([], None, {}), "subset": ([], None, {"level": "it", "department": "IT"}),
    "retirer": ([], None, {}),
}
ROLES = {
    "full": ([shapes.ALL], None, {"department": "it"}), "bare": ([], None, {}), "exact": ([], None, {}),
    "walled": ([shapes.ALL], shapes.LITTLE, {}),
}
# caller: role, session name, session policies, tags of the session
SESSIONS = {
    "full/plain": ("full", "plain", None, {}), "full/limited": ("full", "limited", shapes.LITTLE, {}),
    "full/denied": ("full", "denied", shapes.DENYING, {}), "full/tagged": ("full", "tagged", None, {"level": "it"}),
    "bare/plain": ("bare", "plain", None, {}), "bare/limited": ("bare", "plain", shapes.LITTLE, {}),
    "exact/target": ("exact", "target", None, {}), "exact/limited": ("exact", "target", shapes.NOTHING, {}),
    "exact/denied": ("exact", "target", shapes.DENYING, {}), "exact/sibling": ("exact", "sibling", None, {}),
    "walled/plain": ("walled", "plain", None, {}), "walled/limited": ("walled", "limited", shapes.LITTLE, {}),
}
USERS_B = {"away": ([shapes.ALL], None, {}), "alone": ([], None, {}), "walled": ([shapes.ALL], shapes.LITTLE, {})}
ROLES_B = {"far": ([shapes.ALL], None, {}), "farbare": ([], None, {}), "farown": ([], None, {})}
SESSIONS_B = {
    "far/plain": ("far", "plain", None, {}), "far/limited": ("far", "limited", shapes.LITTLE, {}),
    "farbare/target": ("farbare", "target", None, {}), "farbare/limited": ("farbare", "target", shapes.NOTHING, {}),
    "farown/target": ("farown", "target", None, {}), "farown/limited": ("farown", "target", shapes.NOTHING, {}),
    "farown/other": ("farown", "other", None, {}),
}


class Account:
    """One account being made: its clients, and the callers that it gets."""

    def __init__(self, server, number, key, secret, organization):
        self.number = number
        self.iam = server.client("iam", key=key, secret=secret)
        self.sts = server.client("sts", key=key, secret=secret)
        self.server = server
        self.context = {"kms:CallerAccount": number, "aws:PrincipalAccount": number}
        if organization:
            self.context["aws:PrincipalOrgID"] = organization
        self.root = Caller("root", number, root_arn(number), number, root_arn(number),
                           context=self._context(root_arn(number), "Account", number))
        self.root_credentials = Credentials(key, secret)
        self.callers = {"root": (self.root, self.root_credentials)}
        self.arns = {}
        self.ids = {}
        self.limits = {}  # of roles: what their sessions have from them, and their tags

    def _context(self, arn, kind, userid, tags=None, **more):
        tags = {"aws:PrincipalTag/" + k: v for k, v in (tags or {}).items()}
        return {**self.context, "aws:PrincipalArn": arn, "aws:PrincipalType": kind, "aws:userid": userid, **tags,
                **more}

    def boundary(self, document):
        """The ARN of a managed policy with this document."""
        name = "boundary-%08x" % zlib.crc32(json.dumps(document).encode())
        if name not in self.arns:
            made = self.iam.create_policy(PolicyName=name, PolicyDocument=json.dumps(document))
            self.arns[name] = made["Policy"]["Arn"]
        return self.arns[name]

    @staticmethod
    def _limits(documents, boundary):
        return {"identity": tuple(Document(d) for d in documents),
                "boundary": None if boundary is None else Document(boundary)}

    def user(self, name, documents, boundary, tags):
        more = {"PermissionsBoundary": self.boundary(boundary)} if boundary else {}
        if tags:
            more["Tags"] = [{"Key": k, "Value": v} for k, v in tags.items()]
        made = self.iam.create_user(UserName=name, **more)["User"]
        for i, document in enumerate(documents):
            self.iam.put_user_policy(UserName=name, PolicyName="p%d" % i, PolicyDocument=json.dumps(document))
        key = self.iam.create_access_key(UserName=name)["AccessKey"]
        arn, unique = made["Arn"], made["UserId"]
        caller = Caller("user", self.number, arn, unique, arn, **self._limits(documents, boundary),
                        context=self._context(arn, "User", unique, tags, **{"aws:username": name}))
        self.arns["user/" + name], self.ids["user/" + name] = arn, unique
        self.callers[name] = (caller, Credentials(key["AccessKeyId"], key["SecretAccessKey"]))

    def second_key(self, name, end):
        """One more access key of a user, that is good for nothing any more."""
        key = self.iam.create_access_key(UserName=name)["AccessKey"]
        if end == "inactive":
            self.iam.update_access_key(UserName=name, AccessKeyId=key["AccessKeyId"], Status="Inactive")
        else:
            self.iam.delete_access_key(UserName=name, AccessKeyId=key["AccessKeyId"])
        return Credentials(key["AccessKeyId"], key["SecretAccessKey"])

    def role(self, name, documents, boundary, tags):
        more = {"PermissionsBoundary": self.boundary(boundary)} if boundary else {}
        if tags:
            more["Tags"] = [{"Key": k, "Value": v} for k, v in tags.items()]
        trust = {"Version": "2012-10-17", "Statement": {
            "Effect": "Allow", "Principal": {"AWS": root_arn(self.number)},
            "Action": ["sts:AssumeRole", "sts:TagSession"]}}
        made = self.iam.create_role(RoleName=name, Path="/team/", AssumeRolePolicyDocument=json.dumps(trust),
                                    **more)["Role"]
        for i, document in enumerate(documents):
            self.iam.put_role_policy(RoleName=name, PolicyName="p%d" % i, PolicyDocument=json.dumps(document))
        self.arns["role/" + name], self.ids["role/" + name] = made["Arn"], made["RoleId"]
        self.limits[name] = (self._limits(documents, boundary), tags)

    def assumer(self):
        """A client of a user who may assume the account's roles and do nothing else."""
        self.iam.create_user(UserName="assumer")
        self.iam.put_user_policy(UserName="assumer", PolicyName="p", PolicyDocument=json.dumps(
            shapes.policy({"Effect": "Allow", "Action": "sts:*"})))
        key = self.iam.create_access_key(UserName="assumer")["AccessKey"]
        return self.server.client("sts", key=key["AccessKeyId"], secret=key["SecretAccessKey"])

    def session(self, sts, caller, role, name, document, tags):
        more = {} if document is None else {"Policy": json.dumps(document)}
        if tags:
            more["Tags"] = [{"Key": k, "Value": v} for k, v in tags.items()]
        answer = sts.assume_role(RoleArn=self.arns["role/" + role], RoleSessionName=name, **more)
        arn, unique = "arn:aws:sts::%s:assumed-role/%s/%s" % (self.number, role, name), self.ids["role/" + role]
        assert answer["AssumedRoleUser"] == {"Arn": arn, "AssumedRoleId": "%s:%s" % (unique, name)}
        limits, role_tags = self.limits[role]
        entity = self.arns["role/" + role]
        self.callers[caller] = (
            Caller("role", self.number, arn, unique, entity, name, **limits,
                   session=None if document is None else (Document(document),),
                   context=self._context(entity, "AssumedRole", "%s:%s" % (unique, name), {**role_tags, **tags},
                                         **{"aws:TokenIssueTime": "2026-01-01T00:00:00Z"})),
            Credentials.of_session(answer))

    def temporary(self, caller, of):
        """Credentials of GetSessionToken: the same principal, with a token."""
        principal, credentials = self.callers[of]
        answer = self.server.client("sts", key=credentials.access_key, secret=credentials.secret).get_session_token()
        context = {**principal.context, "aws:TokenIssueTime": "2026-01-01T00:00:00Z"}
        self.callers[caller] = (Caller(**{**vars(principal), "context": context}), Credentials.of_session(answer))


def make_account(server, number, key, secret, organization, users, roles, sessions):
    account = Account(server, number, key, secret, organization)
    for name, what in users.items():
        account.user(name, *what)
    for name, what in roles.items():
        account.role(name, *what)
    sts = account.assumer()
    for caller, what in sessions.items():
        account.session(sts, caller, *what)
    return account


class World:
    def __init__(self, server, names):
        """`names`: the shapes that are made."""
        self.server, self.shapes = server, names
        own = {"own-" + name.replace(" ", "-"): ([policy], None, {}) for name, policy in shapes.OWN.items()}
        self.a = make_account(server, A, "test", "test", None, {**USERS, **own}, ROLES, SESSIONS)
        self.a.temporary("root/temporary", "root")
        self.a.temporary("byid/temporary", "byid")
        made = json.loads(server.trent("account", "create", "--id", B, "--name", "other", "--organization",
                                       ORGANIZATION, "--json").stdout)
        self.b = make_account(server, B, made["accessKeyId"], made["secretAccessKey"], ORGANIZATION,
                              USERS_B, ROLES_B, SESSIONS_B)
        self.callers = {**self.a.callers, **{"b:" + k: v for k, v in self.b.callers.items()}}
        self.n = self._names()
        self.connection = Connection(server.address)
        self.open = self._open_key()
        self.keys = {}
        for i, name in enumerate(names):
            for state in ("live", "ending"):
                self.keys[name, state] = self._key("matrix-%d-%s" % (i, state))
        self._grants()
        for (name, state), key in self.keys.items():
            if state == "ending":
                self.root("ScheduleKeyDeletion", {"KeyId": key.id, "PendingWindowInDays": 7})
            self._policy(key, shapes.document(self.n, name, key.arn))

    def _names(self):
        a, b = self.a.arns, self.b.arns
        return types.SimpleNamespace(
            a=A, b=B, root=root_arn(A), root_b=root_arn(B), organization=ORGANIZATION,
            user={k[5:]: v for k, v in a.items() if k.startswith("user/")},
            user_b={k[5:]: v for k, v in b.items() if k.startswith("user/")},
            role={k[5:]: v for k, v in a.items() if k.startswith("role/")},
            role_b={k[5:]: v for k, v in b.items() if k.startswith("role/")},
            session=lambda role, name: "arn:aws:sts::%s:assumed-role/%s/%s" % (A, role, name),
            session_b=lambda role, name: "arn:aws:sts::%s:assumed-role/%s/%s" % (B, role, name))

    def call(self, caller, operation, parameters):
        """What has to succeed while the world is made."""
        answer = self.connection.call(self.callers[caller][1], operation, parameters)
        assert answer.code is None, (caller, operation, parameters, answer)
        return answer.json()

    def root(self, operation, parameters):
        return self.call("root", operation, parameters)

    def _new_key(self):
        made = self.root("CreateKey", {"Tags": [{"TagKey": "team", "TagValue": "a"}]})["KeyMetadata"]
        return types.SimpleNamespace(id=made["KeyId"], arn=made["Arn"], alias=None, grants={}, blobs={}, spares=[])

    def _policy(self, key, source):
        key.source = source
        self.root("PutKeyPolicy", {"KeyId": key.id, "Policy": json.dumps(source),
                                   "BypassPolicyLockoutSafetyCheck": True})
        key.described = Key(A, key.arn, Document(source), tuple(g for g, _, _ in key.grants.values()))

    def _open_key(self):
        """A key that everybody may use, for the other half of ReEncrypt."""
        key = self._new_key()
        self._policy(key, {"Version": "2012-10-17", "Statement": [shapes.owner(self.n), shapes.allow("*")]})
        key.blobs[""] = self.root("Encrypt", {"KeyId": key.id, "Plaintext": "YWJj"})["CiphertextBlob"]
        return key

    def _key(self, alias):
        key = self._new_key()
        key.alias = "alias/" + alias
        self.root("CreateAlias", {"AliasName": key.alias, "TargetKeyId": key.id})
        for name, context in (("", {}), ("IT", dict(IT))):
            key.blobs[name] = self.root("Encrypt", {"KeyId": key.id, "Plaintext": base64.b64encode(b"abc").decode(),
                                                    "EncryptionContext": context})["CiphertextBlob"]
        # while the grants are made the other account may make some, too
        self._policy(key, {"Version": "2012-10-17", "Statement": [
            shapes.owner(self.n), shapes.allow(shapes.aws(self.n.root_b), "kms:CreateGrant")]})
        return key

    def spare_alias(self, key):
        """One more alias of the key, for a DeleteAlias that has to succeed."""
        return "%s-%d" % (key.alias, len(key.spares))

    def _grants(self):
        """The same grants on every key."""
        a, b = self.a.ids, self.b.ids
        user, role, away = self.n.user, self.n.role, self.n.role_b
        # name: (issuer, grantee as asked for, as bound, operations, more)
        wanted = {
            "every": ("root", user["holder"], a["user/holder"], EVERY, {}),
            "equal": ("root", user["equal"], a["user/equal"],
                      ("Encrypt", "Decrypt", "GenerateDataKey", "CreateGrant", "DescribeKey"),
                      {"constraint": "Equals", "pairs": IT}),
            "subset": ("root", user["subset"], a["user/subset"], ("Encrypt", "Decrypt", "ReEncryptFrom", "CreateGrant",
                                                                  "RetireGrant"), {"constraint": "Subset", "pairs": IT}),
            "role": ("root", role["bare"], a["role/bare"], ("Decrypt", "Encrypt", "RetireGrant"), {}),
            "session": ("root", self.n.session("exact", "target"), a["role/exact"] + ":target",
                        ("Decrypt", "Encrypt", "CreateGrant"), {"retiring": (self.n.session("exact", "target"),
                                                                             a["role/exact"] + ":target")}),
            "retiring": ("root", self.n.root, A, ("GenerateDataKeyWithoutPlaintext",),
                         {"retiring": (user["retirer"], a["user/retirer"])}),
            "role retires": ("root", user["nobody"], a["user/nobody"], ("DescribeKey",),
                             {"retiring": (role["bare"], a["role/bare"])}),
            "source": ("root", user["nobody"], a["user/nobody"], ("Encrypt", "Decrypt"), {"source_arn": SOURCE}),
            "far role": ("root", away["farbare"], b["role/farbare"], ("Encrypt", "RetireGrant"), {}),
            "far session": ("root", self.n.session_b("far", "plain"), b["role/far"] + ":plain", ("Decrypt", "Encrypt"), {}),
            "far bare session": ("root", self.n.session_b("farbare", "target"), b["role/farbare"] + ":target",
                                 ("Decrypt",), {"retiring": (self.n.session_b("farbare", "target"),
                                                             b["role/farbare"] + ":target")}),
            "far user": ("root", self.n.user_b["walled"], b["user/walled"], ("Encrypt", "Decrypt"), {}),
            "far account": ("root", self.n.root_b, B, ("GenerateDataKey",), {}),
            "own role": ("b:root", away["farown"], b["role/farown"], ("Encrypt", "DescribeKey", "RetireGrant"), {}),
            "own session": ("b:root", self.n.session_b("farown", "target"), b["role/farown"] + ":target",
                            ("Decrypt",), {}),
        }
        requests, made = [], []
        for key in self.keys.values():
            for name, (issuer, grantee, bound, operations, more) in wanted.items():
                parameters = {"KeyId": key.arn, "GranteePrincipal": grantee, "Operations": list(operations)}
                described = dict(more)
                if "retiring" in more:
                    parameters["RetiringPrincipal"], described["retiring"] = more["retiring"]
                constraints = {}
                if "constraint" in more:
                    constraints["EncryptionContext" + more["constraint"]] = dict(more["pairs"])
                if "source_arn" in more:
                    constraints["SourceArn"] = SOURCE
                if constraints:
                    parameters["Constraints"] = constraints
                requests.append((self.callers[issuer][1], "CreateGrant", parameters))
                made.append((key, name, Grant(bound, frozenset(operations), B if issuer == "b:root" else A,
                                              **described)))
        for (key, name, grant), request, answer in zip(made, requests, ask_all(self.server.address, requests)):
            assert answer.code is None, (request[2], answer)
            key.grants[name] = (grant, answer.json()["GrantId"], answer.json()["GrantToken"])
