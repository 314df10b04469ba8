"""Revocation is immediate: while threads use a right without pause, another takes it away and gives it back.

Every request that was sent after the revoking call's answer had been received must be refused, and every one that was sent
after the right had been given back must be allowed. TRENT_REVOCATION_ROUNDS says how often each right goes and comes.
"""
import itertools
import os
import threading
import time

import pytest

from principals import account, document, statement, unique
from quick_client import Connection, Credentials

ROUNDS = int(os.environ.get("TRENT_REVOCATION_ROUNDS", "30"))
THREADS = 6
PATIENCE = 30  # seconds for one step, on a busy machine with sanitizers
GIVEN, TAKING, TAKEN, GIVING = range(4)
DENIED, UNKNOWN = "AccessDeniedException", "UnrecognizedClientException"


def credentials_of(principal):
    return Credentials(principal.key, principal.secret, principal.token)


class Right:
    """Something that one may do: `use(connection, i)` asks for it (for thread i), `take` and `give` change it. Takes the
    codes that refuse."""
    codes = (DENIED,)

    def __init__(self, owner):
        self.owner = owner
        self.key = owner.kms.create_key()["KeyMetadata"]["Arn"]
        self.user = None
        self.prepare()

    def prepare(self):
        """Everything needed so that the right is there."""

    def use(self, connection, i):
        # one thread in three asks for what the slow lane does
        if i % 3 == 2:
            return connection.call(self.credentials, "GenerateDataKeyPairWithoutPlaintext",
                                   {"KeyId": self.key, "KeyPairSpec": "ECC_NIST_P256"})
        return connection.call(self.credentials, "Encrypt", {"KeyId": self.key, "Plaintext": "YWJj"})

    def be_user(self, *statements, **more):
        self.name = unique("revoked")
        self.user = self.owner.user(*statements, name=self.name, **more)
        self.credentials = credentials_of(self.user)


ALL = statement("kms:*")


class KeyPolicy(Right):
    """PutKeyPolicy no longer names the user."""

    def prepare(self):
        self.be_user()
        self.give()

    def put(self, *statements):
        self.owner.kms.put_key_policy(KeyId=self.key, Policy=document(
            statement("kms:*", Principal={"AWS": self.owner.arn}), *statements))

    def give(self):
        self.put(statement("kms:*", Principal={"AWS": self.user.arn}))

    def take(self):
        self.put()


class KeyPolicyDenial(KeyPolicy):
    """PutKeyPolicy denies what an identity-based policy allows."""

    def prepare(self):
        self.be_user(ALL)

    def give(self):
        self.put()

    def take(self):
        self.put(statement("kms:*", effect="Deny", Principal={"AWS": self.user.arn}))


class Revoked(Right):
    """RevokeGrant."""

    def prepare(self):
        self.be_user()
        self.give()

    def give(self):
        self.grant = self.owner.kms.create_grant(
            KeyId=self.key, GranteePrincipal=self.user.arn, RetiringPrincipal=self.user.arn,
            Operations=["Encrypt", "GenerateDataKeyPairWithoutPlaintext"])

    def take(self):
        self.owner.kms.revoke_grant(KeyId=self.key, GrantId=self.grant["GrantId"])


class Retired(Revoked):
    """RetireGrant."""

    def take(self):
        self.user.kms.retire_grant(GrantToken=self.grant["GrantToken"])


class Inactive(Right):
    """UpdateAccessKey."""
    codes = (UNKNOWN,)

    def prepare(self):
        self.be_user(ALL)

    def status(self, status):
        self.owner.iam.update_access_key(UserName=self.name, AccessKeyId=self.user.key, Status=status)

    def give(self):
        self.status("Active")

    def take(self):
        self.status("Inactive")


class DeletedKey(Right):
    """DeleteAccessKey; a new one is given."""
    codes = (UNKNOWN,)

    def prepare(self):
        self.be_user(ALL)

    def give(self):
        made = self.owner.iam.create_access_key(UserName=self.name)["AccessKey"]
        self.credentials = Credentials(made["AccessKeyId"], made["SecretAccessKey"])

    def take(self):
        self.owner.iam.delete_access_key(UserName=self.name, AccessKeyId=self.credentials.access_key)


class Detached(Right):
    """DetachUserPolicy."""

    def prepare(self):
        self.be_user()
        self.policy = self.owner.iam.create_policy(PolicyName=unique("attached"),
                                                   PolicyDocument=document(ALL))["Policy"]["Arn"]
        self.give()

    def give(self):
        self.owner.iam.attach_user_policy(UserName=self.name, PolicyArn=self.policy)

    def take(self):
        self.owner.iam.detach_user_policy(UserName=self.name, PolicyArn=self.policy)


class DeletedPolicy(Right):
    """DeleteUserPolicy."""

    def prepare(self):
        self.be_user()
        self.give()

    def give(self):
        self.owner.iam.put_user_policy(UserName=self.name, PolicyName="p", PolicyDocument=document(ALL))

    def take(self):
        self.owner.iam.delete_user_policy(UserName=self.name, PolicyName="p")


class Bounded(Right):
    """PutUserPermissionsBoundary."""

    def prepare(self):
        self.be_user(ALL)
        self.boundary = self.owner.boundary(statement("s3:*"))

    def give(self):
        self.owner.iam.delete_user_permissions_boundary(UserName=self.name)

    def take(self):
        self.owner.iam.put_user_permissions_boundary(UserName=self.name, PermissionsBoundary=self.boundary)


class NewVersion(Detached):
    """CreatePolicyVersion with SetAsDefault."""

    def version(self, *statements):
        versions = self.owner.iam.list_policy_versions(PolicyArn=self.policy)["Versions"]
        for v in [v for v in versions if not v["IsDefaultVersion"]]:
            self.owner.iam.delete_policy_version(PolicyArn=self.policy, VersionId=v["VersionId"])
        self.owner.iam.create_policy_version(PolicyArn=self.policy, PolicyDocument=document(*statements),
                                             SetAsDefault=True)

    def prepare(self):
        super().prepare()
        self.owner.iam.attach_user_policy(UserName=self.name, PolicyArn=self.policy)
        self.give = lambda: self.version(ALL)
        self.take = lambda: self.version(statement("s3:*"))


class OfRole(Right):
    """What a session has from its role. DetachRolePolicy."""

    def prepare(self):
        self.policy = self.owner.iam.create_policy(PolicyName=unique("attached"),
                                                   PolicyDocument=document(ALL))["Policy"]["Arn"]
        self.role = self.owner.role()
        self.give()
        self.credentials = credentials_of(self.owner.session(self.role))

    def give(self):
        self.owner.iam.attach_role_policy(RoleName=self.role.name, PolicyArn=self.policy)

    def take(self):
        self.owner.iam.detach_role_policy(RoleName=self.role.name, PolicyArn=self.policy)


class SessionPolicy(NewVersion):
    """5.2: a managed session policy counts in its current default version."""

    def prepare(self):
        self.policy = self.owner.iam.create_policy(PolicyName=unique("session"),
                                                   PolicyDocument=document(ALL))["Policy"]["Arn"]
        role = self.owner.role(ALL)
        self.credentials = credentials_of(self.owner.session(role, PolicyArns=[{"arn": self.policy}]))
        self.give = lambda: self.version(ALL)
        self.take = lambda: self.version(statement("s3:*"))


class DeletedRole(Right):
    """DeleteRole; a role of the same name is given, with a session of its own."""
    codes = (DENIED, UNKNOWN)

    def prepare(self):
        self.name = unique("gone")
        self.give()

    def give(self):
        self.role = self.owner.role(ALL, name=self.name)
        self.credentials = credentials_of(self.owner.session(self.role))

    def take(self):
        self.owner.delete_role(self.role)


class Trust(Right):
    """UpdateAssumeRolePolicy: the right is AssumeRole."""
    codes = ("AccessDenied",)

    def prepare(self):
        self.be_user(statement("sts:*"))
        self.role = self.owner.role(ALL)

    def use(self, connection, i):
        return connection.query(self.credentials, "sts", Action="AssumeRole", RoleArn=self.role.arn,
                                RoleSessionName="s%d" % i)

    def trust(self, arn):
        self.owner.iam.update_assume_role_policy(RoleName=self.role.name, PolicyDocument=document(
            {"Effect": "Allow", "Principal": {"AWS": arn}, "Action": "sts:AssumeRole"}))

    def give(self):
        self.trust(self.owner.arn)

    def take(self):
        self.trust("arn:aws:iam::%s:user/%s" % (self.owner.number, self.another()))

    def another(self):
        if not hasattr(self, "trusted"):
            self.trusted = unique("trusted")
            self.owner.iam.create_user(UserName=self.trusted)
        return self.trusted


class Disabled(Right):
    """DisableKey."""
    codes = ("DisabledException",)

    def prepare(self):
        self.be_user(ALL)

    def give(self):
        self.owner.kms.enable_key(KeyId=self.key)

    def take(self):
        self.owner.kms.disable_key(KeyId=self.key)


RIGHTS = [KeyPolicy, KeyPolicyDenial, Revoked, Retired, Inactive, DeletedKey, Detached, DeletedPolicy, Bounded,
          NewVersion, OfRole, SessionPolicy, DeletedRole, Trust, Disabled]


class Hammer:
    """Threads that use a right and know which answers are right, from what had been answered before they asked."""

    def __init__(self, address, right):
        self.address, self.right = address, right
        self.phase = GIVEN  # phase % 4; counts on
        self.seen = [0] * THREADS  # the last phase in which a thread has had a request from start to end
        self.asked = [0, 0]  # requests that had to be allowed, and refused
        self.wrong = []
        self.stopping = False
        self.threads = [threading.Thread(target=self.work, args=(i,)) for i in range(THREADS)]

    def work(self, i):
        connection = Connection(self.address)
        while not self.stopping:
            phase = self.phase
            try:
                answer = self.right.use(connection, i)
            except OSError as e:
                self.wrong.append("thread %d: %r" % (i, e))
                return
            if answer.code is not None and answer.code not in self.right.codes:
                self.wrong.append("thread %d: %r" % (i, answer))
                return
            if phase != self.phase:
                continue  # the change may have come before or after it
            if phase % 4 == TAKEN and answer.code is None:
                self.wrong.append("thread %d, phase %d: allowed after it was taken away" % (i, phase))
            if phase % 4 == GIVEN and answer.code is not None:
                self.wrong.append("thread %d, phase %d: %r after it was given back" % (i, phase, answer))
            if phase % 4 in (GIVEN, TAKEN):
                self.asked[phase % 4 // 2] += 1
            self.seen[i] = phase
        connection.close()

    def wait(self):
        """Until every thread has had at least one request in this phase."""
        deadline = time.monotonic() + PATIENCE
        while min(self.seen) < self.phase and not self.wrong:
            assert time.monotonic() < deadline, "phase %d: the threads are at %s" % (self.phase, self.seen)
            time.sleep(0.0005)
        assert not self.wrong, self.wrong[:10]

    def run(self, rounds):
        for t in self.threads:
            t.start()
        try:
            self.wait_first()
            for change in itertools.islice(itertools.cycle((self.right.take, self.right.give)), 2 * rounds):
                self.phase += 1
                change()
                self.phase += 1
                self.wait()
        finally:
            self.stopping = True
            for t in self.threads:
                t.join()
        assert not self.wrong, self.wrong[:10]

    def wait_first(self):
        self.phase = 4  # so that `seen` starts below it
        self.wait()


@pytest.fixture(scope="module")
def owner(server):
    return account(server)


@pytest.mark.parametrize("right", RIGHTS, ids=lambda r: r.__name__)
def test_revocation(server, owner, right, record_property):
    started = time.monotonic()
    hammer = Hammer(server.address, right(owner))
    hammer.run(ROUNDS)
    assert hammer.asked[0] >= ROUNDS * THREADS and hammer.asked[1] >= ROUNDS * THREADS
    record_property("counts", "%s: %d rounds, %d requests had to be allowed, %d refused, %.1f s" % (
        right.__doc__.split("\n")[0], ROUNDS, *hammer.asked, time.monotonic() - started))


def test_the_hammer_notices(server, owner):
    """A right that is not taken away, and one that does not come back."""
    for idle in ("take", "give"):
        right = KeyPolicy(owner)
        setattr(right, idle, lambda: None)
        with pytest.raises(AssertionError, match="after it was"):
            Hammer(server.address, right).run(2)
