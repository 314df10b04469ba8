"""The reference evaluator: may this caller do this with this key, and what does the refusal say?

Written from recorded-authz-multiregion 3, 4.10 and 5.1, kms-behaviour 4.3, 11 and 12, and from AWS's documents of how
policies are evaluated (a resource policy that names a user or a session is not limited by what a boundary or a session
policy leaves out; one that names the role is). It shares nothing with the server. Where nothing says which of two
reasons an answer names, `whys` holds both.
"""
import dataclasses

from policy_reading import ACCOUNT, EXACT, NOBODY, ROLE, strongest, root_arn

CROSS_ACCOUNT = {  # kms-behaviour 4.3, newer-operations
    "Encrypt", "Decrypt", "ReEncryptFrom", "ReEncryptTo", "GenerateDataKey", "GenerateDataKeyWithoutPlaintext",
    "GenerateDataKeyPair", "GenerateDataKeyPairWithoutPlaintext", "GenerateMac", "VerifyMac", "Sign", "Verify",
    "DeriveSharedSecret", "Encapsulate", "Decapsulate", "GetPublicKey", "DescribeKey", "CreateGrant", "ListGrants",
    "RevokeGrant", "RetireGrant", "GetKeyRotationStatus"}
# kms-behaviour 12: these are not about one key, and key policies have no say in them.
WITHOUT_KEY = {"CreateKey", "ListKeys", "ListAliases", "ListRetirableGrants", "GenerateRandom"}
UNCONSTRAINED = {"DescribeKey", "RetireGrant"}  # kms-behaviour 11: constraints do not count for them

IDENTITY, RESOURCE, SESSION, BOUNDARY = "identity-based", "resource-based", "session", "boundary"


@dataclasses.dataclass(frozen=True)
class Caller:
    kind: str               # root, user, role (a session of it)
    account: str
    arn: str                # as the answer writes it
    unique_id: str          # AIDA..., AROA..., of root the account
    entity_arn: str         # user or role, with path
    session_name: str = ""  # of a role session
    identity: tuple = ()    # documents
    boundary: object = None
    session: tuple = None   # documents of the session; None: it has none
    context: dict = dataclasses.field(default_factory=dict, hash=False, compare=False)

    @property
    def session_arn(self):
        return self.arn if self.kind == "role" else None

    @property
    def identity_name(self):
        """What grants are bound to."""
        return "%s:%s" % (self.unique_id, self.session_name) if self.kind == "role" else self.unique_id

    @property
    def principals(self):
        """Every name of the caller: account, user or role, session."""
        names = [root_arn(self.account)]
        if self.kind != "root":
            names.append(self.entity_arn)
        return names + ([self.arn] if self.kind == "role" else [])

    def bound(self, name):
        """How a grant's principal (an identity, or the account) means this caller."""
        if name == self.identity_name:
            return EXACT
        if self.kind == "role" and name == self.unique_id:
            return ROLE
        return ACCOUNT if name == self.account else NOBODY


@dataclasses.dataclass(frozen=True)
class Grant:
    grantee: str            # identity, as Caller.identity_name; a role's unique id; an account
    operations: frozenset
    issuer: str             # account
    retiring: str = ""
    constraint: str = ""    # "", Equals, Subset
    pairs: tuple = ()       # sorted (key, value)
    source_arn: str = ""

    def holds(self, operation, encryption_context, context):
        """Do the constraints allow this request?"""
        if operation != "RetireGrant" and self.source_arn and context.get("aws:sourcearn") != self.source_arn:
            return False
        if operation in UNCONSTRAINED or not self.constraint:
            return True
        sent = set((encryption_context or {}).items())
        return set(self.pairs) == sent if self.constraint == "Equals" else set(self.pairs) <= sent

    def covers(self, child):
        """Rule 14: may a holder of this grant make that one?"""
        if "CreateGrant" not in self.operations or not child.operations <= self.operations:
            return False
        if self.source_arn and child.source_arn != self.source_arn:
            return False
        if not self.constraint:
            return True
        if self.constraint == "Equals":
            return child.constraint == "Equals" and set(child.pairs) == set(self.pairs)
        return child.constraint != "" and set(child.pairs) >= set(self.pairs)


@dataclasses.dataclass(frozen=True)
class Key:
    account: str
    arn: str
    policy: object
    grants: tuple = ()


@dataclasses.dataclass(frozen=True)
class Decision:
    allowed: bool
    whys: frozenset = frozenset()

    def texts(self, caller, action, resource):
        """The texts that the answer may have; `resource` None: the caller is in another account. How it is said of no
        resource at all was not recorded."""
        what = {None: ["on this resource "], "*": ["on resource: * ", ""]}.get(resource, ["on resource: %s " % resource])
        return {"User: %s is not authorized to perform: %s %s%s" % (caller.arn, action, w, why)
                for why in self.whys for w in what}


ALLOWED = Decision(True)
MISSING = {IDENTITY: "because no identity-based policy allows the %s action",
           RESOURCE: "because no resource-based policy allows the %s action",
           SESSION: "because no session policy allows the %s action",
           BOUNDARY: "because no permissions boundary allows the %s action"}
DENIED = {IDENTITY: "with an explicit deny in an identity-based policy",
          RESOURCE: "with an explicit deny in a resource-based policy",
          SESSION: "with an explicit deny in a session policy",
          BOUNDARY: "with an explicit deny in a permissions boundary"}


def missing(action, reasons):
    return Decision(False, frozenset(MISSING[r] % action for r in reasons))


class Side:
    """What the caller's own policies say of an action on a resource."""

    def __init__(self, caller, action, resource, context):
        asked = (action, resource, context)
        self.root = caller.kind == "root"
        layers = {IDENTITY: caller.identity, SESSION: caller.session or (),
                  BOUNDARY: () if caller.boundary is None else (caller.boundary,)}
        self.denied = {name for name, documents in layers.items() if any(d.denies(*asked) for d in documents)}
        self.allowed = self.root or any(d.allows(*asked) for d in caller.identity)
        self.lacks = set()  # what limits: these have to allow too
        if caller.session is not None and not any(d.allows(*asked) for d in caller.session):
            self.lacks.add(SESSION)
        if caller.boundary is not None and not caller.boundary.allows(*asked):
            self.lacks.add(BOUNDARY)


def decide(caller, action, key=None, context=None, *, encryption_context=None, child=None, retiring=None,
           resource="*"):
    """The decision on `action` ("kms:Encrypt") with a key, or with `resource` when there is none. `child` is the grant
    that CreateGrant would make, `retiring` the one that RetireGrant would end."""
    context = {name.lower(): value for name, value in {**caller.context, **(context or {})}.items()}
    side = Side(caller, action, key.arn if key else resource, context)
    denied = set(side.denied)
    if key is None:
        if denied:
            return Decision(False, frozenset(DENIED[r] for r in denied))
        if not side.allowed:
            return missing(action, [IDENTITY])
        return missing(action, side.lacks) if side.lacks else ALLOWED

    operation = action.partition(":")[2]
    if key.policy.denies_caller(caller, action, key.arn, context):
        denied.add(RESOURCE)
    if denied:
        return Decision(False, frozenset(DENIED[r] for r in denied))

    policy = key.policy.binding(caller, action, key.arn, context)
    grants = usable_grants(caller, operation, key, context, encryption_context, child, retiring)
    if operation == "RetireGrant":
        policy = retire_binding(caller, retiring)
    if caller.account == key.account:
        return decide_here(action, side, policy, [binding for binding, _ in grants])
    if operation not in CROSS_ACCOUNT:
        return missing(action, [RESOURCE, IDENTITY])
    return decide_across(caller, action, side, policy, grants)


def usable_grants(caller, operation, key, context, encryption_context, child, retiring):
    """(binding, issuing account) of each grant that allows the operation to this caller."""
    usable = []
    for grant in key.grants:
        binding = caller.bound(grant.grantee)
        if operation == "RetireGrant":
            if grant is not retiring:
                continue
            as_grantee = binding if "RetireGrant" in grant.operations else NOBODY
            binding = strongest([as_grantee, caller.bound(grant.retiring)])
        elif operation == "CreateGrant":
            if child is None or not grant.covers(child):
                continue
        elif operation not in grant.operations or not grant.holds(operation, encryption_context, context):
            continue
        if binding:
            usable.append((binding, grant.issuer))
    return usable


def retire_binding(caller, retiring):
    """kms-behaviour 11: beside those whom the grant names, the account that issued it may retire it (root, or whom its
    policies allow). Key policies do not allow RetireGrant."""
    if retiring is None or caller.account != retiring.issuer:
        return NOBODY
    return EXACT if caller.kind == "root" else ACCOUNT


def decide_here(action, side, policy, grants):
    """The key is in the caller's account."""
    best = strongest([policy] + grants)
    if best == EXACT or (best == ACCOUNT and side.root):
        return ALLOWED
    if best == ROLE or (best == ACCOUNT and side.allowed):
        return missing(action, side.lacks) if side.lacks else ALLOWED
    if policy == ACCOUNT:
        return missing(action, [IDENTITY])
    return missing(action, [IDENTITY, RESOURCE] if best == ACCOUNT else [RESOURCE])


def decide_across(caller, action, side, policy, grants):
    """The key is in another account: both accounts have to allow."""
    own = [binding for binding, issuer in grants if issuer == caller.account]
    granted = strongest([binding for binding, _ in grants])
    if EXACT in own:
        return ALLOWED  # rule 12, as 9
    if ROLE in own and not side.lacks:
        return ALLOWED  # rule 12, as 10
    theirs = strongest([policy, granted])
    if theirs and side.allowed and not side.lacks:
        return ALLOWED
    like_allowed = side.allowed or granted == ROLE or ROLE in own  # section 3, rule 2
    if theirs:
        if not like_allowed:
            return missing(action, [IDENTITY] + (sorted(side.lacks) if policy == ROLE else []))
        return missing(action, side.lacks or [IDENTITY])
    return missing(action, [RESOURCE] + ([] if side.allowed else [IDENTITY]) + sorted(side.lacks))
