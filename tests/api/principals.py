"""Accounts, users, roles and sessions as tests want them: made through IAM and STS with boto3."""
import contextlib
import dataclasses
import itertools
import json

ADMIN = {"Effect": "Allow", "Action": "*", "Resource": "*"}
LIMITED = {"Effect": "Allow", "Action": "s3:ListAllMyBuckets", "Resource": "*"}
numbers = itertools.count(1)


def document(*statements, **more):
    return json.dumps({"Version": "2012-10-17", "Statement": list(statements), **more})


def statement(action, resource="*", effect="Allow", **more):
    return {"Effect": effect, "Action": action, "Resource": resource, **more}


DENIED = (ADMIN, statement("kms:*", effect="Deny"))  # the recordings' "denied" session


def root_arn(account):
    return "arn:aws:iam::%s:root" % account


def unique(prefix):
    """A name that no other test uses."""
    return "%s%d" % (prefix, next(numbers))


@dataclasses.dataclass
class Principal:
    """One that signs."""
    arn: str   # as denials write it
    id: str
    kms: object
    key: str
    secret: str
    token: str = None


@dataclasses.dataclass
class Role:
    name: str
    arn: str
    id: str


class Account:
    def __init__(self, server, number, key, secret):
        self.server, self.number, self.arn = server, number, root_arn(number)
        self.iam = server.client("iam", key=key, secret=secret)
        self.root = Principal(self.arn, number, server.client(key=key, secret=secret), key, secret)
        self.kms = self.root.kms
        self._assumer = None

    def boundary(self, *statements):
        return self.iam.create_policy(PolicyName=unique("boundary"),
                                      PolicyDocument=document(*statements))["Policy"]["Arn"]

    def user(self, *statements, name=None, boundary=None, **more):
        """A user with these statements as its inline policy, and an access key."""
        name = name or unique("user")
        if boundary is not None:
            more["PermissionsBoundary"] = self.boundary(*boundary)
        made = self.iam.create_user(UserName=name, **more)["User"]
        if statements:
            self.iam.put_user_policy(UserName=name, PolicyName="inline", PolicyDocument=document(*statements))
        return self.signing(made)

    def signing(self, user):
        """The principal of a user, with a new access key."""
        key = self.iam.create_access_key(UserName=user["UserName"])["AccessKey"]
        pair = key["AccessKeyId"], key["SecretAccessKey"]
        return Principal(user["Arn"], user["UserId"], self.server.client(key=pair[0], secret=pair[1]), *pair)

    def role(self, *statements, name=None, path="/team/", trust=None, **more):
        """A role that its own account may assume."""
        name = name or unique("role")
        trust = trust or {"Effect": "Allow", "Principal": {"AWS": self.arn},
                          "Action": ["sts:AssumeRole", "sts:TagSession"]}
        made = self.iam.create_role(RoleName=name, Path=path, AssumeRolePolicyDocument=document(trust),
                                    **more)["Role"]
        if statements:
            self.iam.put_role_policy(RoleName=name, PolicyName="inline", PolicyDocument=document(*statements))
        return Role(name, made["Arn"], made["RoleId"])

    def delete_role(self, role):
        for name in self.iam.list_role_policies(RoleName=role.name)["PolicyNames"]:
            self.iam.delete_role_policy(RoleName=role.name, PolicyName=name)
        self.iam.delete_role(RoleName=role.name)

    @property
    def assumer(self):
        """A client of STS for a user who may do nothing but assume roles."""
        if self._assumer is None:
            one = self.user(statement("sts:*"), name=unique("assumer"))
            self._assumer = self.server.client("sts", key=one.key, secret=one.secret)
        return self._assumer

    def session(self, role, name="target", policy=(), **more):
        """A session of the role, limited by these statements if there are any."""
        if policy:
            more["Policy"] = document(*policy)
        answer = self.assumer.assume_role(RoleArn=role.arn, RoleSessionName=name, **more)
        c = answer["Credentials"]
        three = c["AccessKeyId"], c["SecretAccessKey"], c["SessionToken"]
        return Principal(answer["AssumedRoleUser"]["Arn"], answer["AssumedRoleUser"]["AssumedRoleId"],
                         self.server.client(key=three[0], secret=three[1], token=three[2]), *three)


def account(server, number=None, organization=None, name=None):
    """A further account of the server, made by its operator; without a number the one of development mode."""
    if number is None:
        return Account(server, "000000000000", "test", "test")
    more = (["--organization", organization] if organization else []) + (["--name", name] if name else [])
    made = json.loads(server.trent("account", "create", "--id", number, *more, "--json").stdout)
    return Account(server, number, made["accessKeyId"], made["secretAccessKey"])


def denial(who, operation, key_arn, why, service="kms"):
    """What error_of gives for it; `key_arn` None: the key is of another account."""
    action = "%s:%s" % (service, operation)
    what = "this resource" if key_arn is None else "resource: %s" % key_arn
    if "%s" in why:
        why = why % action
    return "AccessDeniedException", "User: %s is not authorized to perform: %s on %s %s" % (who.arn, action, what, why)


NO_IDENTITY = "because no identity-based policy allows the %s action"
NO_RESOURCE = "because no resource-based policy allows the %s action"
NO_SESSION = "because no session policy allows the %s action"
NO_BOUNDARY = "because no permissions boundary allows the %s action"
DENY_SESSION = "with an explicit deny in a session policy"
DENY_RESOURCE = "with an explicit deny in a resource-based policy"
DENY_IDENTITY = "with an explicit deny in an identity-based policy"


@contextlib.contextmanager
def boundary_on(account_, role, *statements):
    """The role has this boundary for a while."""
    account_.iam.put_role_permissions_boundary(RoleName=role.name, PermissionsBoundary=account_.boundary(*statements))
    try:
        yield
    finally:
        account_.iam.delete_role_permissions_boundary(RoleName=role.name)
