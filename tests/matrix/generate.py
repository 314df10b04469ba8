"""The cells of the matrix: principals x operations x key policies x ways to name the key, each with the request to send
and what the reference says of it. The order is fixed, and what is sampled is sampled by a seed."""
import dataclasses
import random

from quick_client import Credentials
from reference import Grant, decide
from shapes import OWN_SHAPES
from world import A, B, IT

SEED = 20261122
WEST = "us-west-2"
SUCCESS = None
DRY = "DryRunOperationException"
PENDING = "KMSInvalidStateException"
USAGE = "InvalidKeyUsageException"
ORIGIN = "UnsupportedOperationException"
REFUSALS = ("AccessDeniedException",)
IT_CONTEXT, BOTH_CONTEXT = {"department": "IT"}, {"department": "IT", "project": "apollo"}
BASE = {"aws:ViaAWSService": "false", "aws:PrincipalIsAWSService": "false", "aws:SourceIp": "127.0.0.1",
        "aws:SecureTransport": "false", "aws:RequestedRegion": "us-east-1",
        "aws:CurrentTime": "2026-11-22T00:00:00Z", "aws:EpochTime": "1795305600"}
LOCKED_OUT = ('{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"AWS":"arn:aws:iam::%s:root"},'
              '"Action":"kms:Describe*","Resource":"*"}]}' % A)


@dataclasses.dataclass(frozen=True)
class Ask:
    """One way to ask for an operation. `reached`: the codes (None: success) that only an allowed request gets."""
    operation: str
    parameters: dict
    reached: tuple = (SUCCESS,)
    state: str = "live"              # or "ending"
    needs: tuple = ()                # actions, when not the operation's own
    context: dict = dataclasses.field(default_factory=dict)  # further condition keys
    encryption: dict = None          # the encryption context sent
    names: str = "KeyId"             # the member that names the key
    aliases: bool = False            # may the key be named by an alias?
    dry: bool = False                # has it DryRun?
    tokens: bool = False             # has it GrantTokens?
    child: tuple = None              # CreateGrant: operations, constraint, pairs
    retiring: str = None             # RetireGrant: name of the grant
    spec: dict = None

    @property
    def label(self):
        return self.operation + "".join(" " + v for v in (self.spec or {}).values())


def crypto(operation, parameters, reached, **more):
    return Ask(operation, parameters, reached, **{"aliases": True, "dry": True, "tokens": True, **more})


def with_context(operation, parameters, sent, label, context=None, **more):
    if sent:
        parameters = {**parameters, "EncryptionContext": sent}
    return crypto(operation, parameters, (SUCCESS, DRY), encryption=sent, spec={"context": label},
                  context={"kms:EncryptionAlgorithm": "SYMMETRIC_DEFAULT", **(context or {})}, **more)


def encryption_asks():
    for label, context in (("plain", None), ("IT", IT_CONTEXT), ("both", BOTH_CONTEXT)):
        yield with_context("Encrypt", {"Plaintext": "YWJj"}, context, label)
    for label, context in (("plain", None), ("IT", IT_CONTEXT)):
        yield with_context("Decrypt", {"CiphertextBlob": "blob " + (label if context else "")}, context, label)
        yield with_context("GenerateDataKey", {"NumberOfBytes": 16}, context, label)
    yield with_context("Decrypt", {"DryRun": True, "DryRunModifiers": ["IGNORE_CIPHERTEXT"]}, IT_CONTEXT, "unseen",
                       dry=False)
    yield with_context("GenerateDataKeyWithoutPlaintext", {"KeySpec": "AES_256"}, IT_CONTEXT, "IT")
    for name in ("GenerateDataKeyPair", "GenerateDataKeyPairWithoutPlaintext"):
        yield with_context(name, {"KeyPairSpec": "ECC_NIST_P256", "DryRun": True}, None, "plain", dry=False,
                           context={"kms:DataKeyPairSpec": "ECC_NIST_P256"})


def re_encrypt_asks():
    algorithm = {"kms:EncryptionAlgorithm": "SYMMETRIC_DEFAULT"}
    same = {**algorithm, "kms:ReEncryptOnSameKey": "true"}
    other = {**algorithm, "kms:ReEncryptOnSameKey": "false"}
    yield crypto("ReEncrypt", {"CiphertextBlob": "blob ", "DestinationKeyId": "open"}, (SUCCESS, DRY),
                 needs=("ReEncryptFrom", "open ReEncryptTo"), names="SourceKeyId", context=other,
                 spec={"to": "elsewhere"})
    yield crypto("ReEncrypt", {"CiphertextBlob": "open blob"}, (SUCCESS, DRY), names="DestinationKeyId",
                 needs=("open ReEncryptFrom", "ReEncryptTo"), context=other, spec={"to": "here"})
    yield crypto("ReEncrypt", {"CiphertextBlob": "blob ", "DestinationKeyId": "same"}, (SUCCESS, DRY),
                 names="SourceKeyId", needs=("ReEncryptFrom", "ReEncryptTo"), context=same, spec={"to": "itself"})


def other_crypto_asks():
    """Of key families that the key is not of: the usage is looked at after authorization."""
    sign = {"SigningAlgorithm": "ECDSA_SHA_256"}
    said = {"kms:SigningAlgorithm": "ECDSA_SHA_256", "kms:MessageType": "RAW"}
    mac = {"MacAlgorithm": "HMAC_SHA_256", "Message": "YQ=="}
    yield crypto("Sign", {"Message": "YQ==", **sign}, (USAGE,), context=said)
    yield crypto("Verify", {"Message": "YQ==", "MessageType": "DIGEST", "Signature": "YQ==", **sign}, (USAGE,),
                 context={**said, "kms:MessageType": "DIGEST"})
    yield crypto("GenerateMac", mac, (USAGE,), context={"kms:MacAlgorithm": "HMAC_SHA_256"})
    yield crypto("VerifyMac", {**mac, "Mac": "YQ=="}, (USAGE,), context={"kms:MacAlgorithm": "HMAC_SHA_256"})
    yield crypto("DeriveSharedSecret", {"KeyAgreementAlgorithm": "ECDH", "PublicKey": "YWJj"}, (USAGE,),
                 context={"kms:KeyAgreementAlgorithm": "ECDH"})
    yield crypto("Encapsulate", {"EncapsulationAlgorithm": "ML_KEM"}, (USAGE,))
    yield crypto("Decapsulate", {"EncapsulationAlgorithm": "ML_KEM", "SharedSecretCiphertextBlob": "YWJj"}, (USAGE,))
    yield Ask("GetPublicKey", {}, (ORIGIN,), aliases=True, tokens=True)


def reading_asks():
    yield Ask("DescribeKey", {}, aliases=True, tokens=True)
    yield Ask("GetKeyRotationStatus", {})
    yield Ask("ListGrants", {"Limit": 1})
    for name in ("GetKeyPolicy", "ListKeyPolicies", "ListResourceTags", "ListKeyRotations", "GetKeyLastUsage"):
        yield Ask(name, {})


def changing_asks():
    """What an allowed request must not change: it meets the pending deletion, or the key's origin."""
    for name in ("EnableKey", "DisableKey", "DisableKeyRotation", "RotateKeyOnDemand"):
        yield Ask(name, {}, (PENDING,), "ending")
    yield Ask("UpdateKeyDescription", {"Description": "d"}, (PENDING,), "ending")
    for days, value in (({}, "365"), ({"RotationPeriodInDays": 90}, "90")):
        yield Ask("EnableKeyRotation", days, (PENDING,), "ending", context={"kms:RotationPeriodInDays": value},
                  spec={"days": value})
    for days, value in (({}, "30"), ({"PendingWindowInDays": 7}, "7")):
        yield Ask("ScheduleKeyDeletion", days, (PENDING,), "ending", spec={"days": value},
                  context={"kms:ScheduleKeyDeletionPendingWindowInDays": value})
    yield Ask("CancelKeyDeletion", {}, (PENDING,))
    yield Ask("TagResource", {"Tags": [{"TagKey": "stage", "TagValue": "test"}]}, (PENDING,), "ending",
              context={"aws:RequestTag/stage": "test", "aws:TagKeys": ["stage"]})
    yield Ask("UntagResource", {"TagKeys": ["stage"]}, (PENDING,), "ending", context={"aws:TagKeys": ["stage"]})
    yield Ask("PutKeyPolicy", {"Policy": LOCKED_OUT}, ("MalformedPolicyDocumentException",),
              context={"kms:BypassPolicyLockoutSafetyCheck": "false"})
    yield Ask("GetParametersForImport", {"WrappingAlgorithm": "RSAES_OAEP_SHA_256", "WrappingKeySpec": "RSA_2048"},
              (ORIGIN,), context={"kms:WrappingAlgorithm": "RSAES_OAEP_SHA_256", "kms:WrappingKeySpec": "RSA_2048"})
    yield Ask("ImportKeyMaterial", {"ImportToken": "YWJj", "EncryptedKeyMaterial": "YWJj",
                                    "ExpirationModel": "KEY_MATERIAL_DOES_NOT_EXPIRE"}, (ORIGIN,),
              context={"kms:ExpirationModel": "KEY_MATERIAL_DOES_NOT_EXPIRE"})
    yield Ask("DeleteImportedKeyMaterial", {}, (ORIGIN,))


def region_asks():
    """A replica is a new key in the other Region, too. The key has none, which is looked at after authorization."""
    there = {"kms:ReplicaRegion": WEST, "kms:BypassPolicyLockoutSafetyCheck": "false"}
    tags = {"aws:RequestTag/stage": "test", "aws:TagKeys": ["stage"]}
    yield Ask("ReplicateKey", {"ReplicaRegion": WEST}, (ORIGIN,), needs=("ReplicateKey", "there CreateKey"),
              context=there, spec={"tags": "without"})
    yield Ask("ReplicateKey", {"ReplicaRegion": WEST, "Tags": [{"TagKey": "stage", "TagValue": "test"}]}, (ORIGIN,),
              needs=("ReplicateKey", "there CreateKey", "there TagResource"), context={**there, **tags},
              spec={"tags": "tagged"})
    yield Ask("UpdatePrimaryRegion", {"PrimaryRegion": WEST}, (PENDING,), context={"kms:PrimaryRegion": WEST})


def alias_asks():
    """These need their right on the alias, too (kms-behaviour 12)."""
    yield Ask("CreateAlias", {"AliasName": "alias/matrix-never"}, (PENDING,), "ending", names="TargetKeyId",
              needs=("CreateAlias", "alias CreateAlias"))
    yield Ask("UpdateAlias", {"AliasName": "alias of the key"}, (PENDING,), "ending", names="TargetKeyId",
              needs=("UpdateAlias", "alias UpdateAlias"))


def grant_asks():
    for label, operations, constraint, pairs in (
            ("Encrypt", ("Encrypt",), "", ()), ("Decrypt Equals", ("Decrypt",), "Equals", IT),
            ("Encrypt Decrypt Subset", ("Encrypt", "Decrypt"), "Subset", IT),
            ("DescribeKey and pairs", ("DescribeKey", "GenerateDataKeyPair"), "", ())):
        constraints = {"Constraints": {"EncryptionContext" + constraint: dict(pairs)}} if constraint else {}
        said = {"kms:GrantOperations": list(operations)}
        if constraint:
            said["kms:GrantConstraintType"] = "EncryptionContext" + constraint
        yield Ask("CreateGrant", {"GranteePrincipal": "nobody", "Operations": list(operations), "DryRun": True,
                                  **constraints}, (DRY,), tokens=True, context=said,
                  child=(operations, constraint, pairs), spec={"child": label})
    yield Ask("RevokeGrant", {"GrantId": "grant every", "DryRun": True}, (DRY,))
    for name in ("every", "subset", "role", "session", "retiring", "role retires", "far role", "far bare session",
                 "own role"):
        yield Ask("RetireGrant", {"GrantId": "grant " + name, "DryRun": True}, (DRY,), retiring=name,
                  spec={"grant": name})


def asks():
    made = [*encryption_asks(), *re_encrypt_asks(), *other_crypto_asks(), *reading_asks(), *changing_asks(),
            *region_asks(), *alias_asks(), *grant_asks()]
    assert len({a.label for a in made}) == len(made)
    return made


# --- cells --------------------------------------------------------------------------------------------------------------

FORMS = ("arn", "id", "alias", "alias arn", "token", "dry")


@dataclasses.dataclass
class Cell:
    shape: str
    caller: str
    ask: Ask
    form: str
    request: tuple = None
    decisions: list = None   # (action, resource or None, Decision) of each right that is needed

    @property
    def allowed(self):
        return all(d.allowed for _, _, d in self.decisions)

    def __str__(self):
        return "%s | %s | %s | %s" % (self.shape, self.caller, self.ask.label, self.form)


class Generator:
    def __init__(self, world):
        self.world = world
        self.random = random.Random(SEED)
        self.asks = asks()
        self.decided = {}

    def fits(self, caller, ask, form):
        foreign = caller.startswith("b:")
        if form in ("alias", "alias arn") and not ask.aliases or form == "token" and not ask.tokens:
            return False
        if form == "dry" and not ask.dry or form == "id" and ask.operation == "RetireGrant":
            return False
        return not foreign or form not in ("id", "alias")

    def cell(self, shape, caller, ask, form):
        key = self.world.keys[shape, ask.state]
        cell = Cell(shape, caller, ask, form)
        principal, credentials = self.world.callers[caller]
        cell.request = (credentials, ask.operation, self.parameters(key, ask, form))
        # an alias is a condition key; the other ways to ask change nothing that a policy sees
        seen = (shape, caller, ask.label, form in ("alias", "alias arn"))
        if seen not in self.decided:
            context = self.context(key, ask, form)
            self.decided[seen] = [self.decision(principal, key, ask, need, context)
                                  for need in ask.needs or (ask.operation,)]
        cell.decisions = self.decided[seen]
        return cell

    def parameters(self, key, ask, form):
        world = self.world
        p = dict(ask.parameters)
        named = {"id": key.id, "alias": key.alias,
                 "alias arn": "arn:aws:kms:us-east-1:%s:%s" % (A, key.alias)}.get(form, key.arn)
        p[ask.names] = named
        if "CiphertextBlob" in p:
            blob = p["CiphertextBlob"]
            p["CiphertextBlob"] = world.open.blobs[""] if blob == "open blob" else key.blobs[blob[5:]]
        if "DestinationKeyId" in p:
            p["DestinationKeyId"] = world.open.arn if p["DestinationKeyId"] == "open" else named
        if p.get("AliasName") == "alias of the key":
            p["AliasName"] = key.alias
        if p.get("GranteePrincipal") == "nobody":
            p["GranteePrincipal"] = world.n.user["nobody"]
        if "GrantId" in p:
            p["GrantId"] = key.grants[p["GrantId"][6:]][1]
        if form == "token":
            p["GrantTokens"] = [key.grants["every"][2], key.grants["far role"][2]]
        if form == "dry":
            p["DryRun"] = True
        return p

    def context(self, key, ask, form):
        context = {**BASE, "kms:KeySpec": "SYMMETRIC_DEFAULT", "kms:CustomerMasterKeySpec": "SYMMETRIC_DEFAULT",
                   "kms:KeyUsage": "ENCRYPT_DECRYPT", "kms:CustomerMasterKeyUsage": "ENCRYPT_DECRYPT",
                   "kms:KeyOrigin": "AWS_KMS", "kms:MultiRegion": "false", "aws:ResourceAccount": A,
                   "aws:ResourceTag/team": "a", **ask.context}
        if key.alias:
            context["kms:ResourceAliases"] = [key.alias]
        if form in ("alias", "alias arn"):
            context["kms:RequestAlias"] = key.alias
        if ask.encryption:
            context["kms:EncryptionContextKeys"] = list(ask.encryption)
            for name, value in ask.encryption.items():
                context["kms:EncryptionContext:" + name] = value
        if ask.operation == "CreateGrant":
            context["kms:GranteePrincipal"] = self.world.n.user["nobody"]
        return context

    def decision(self, principal, key, ask, need, context):
        where, _, operation = need.rpartition(" ")
        action = "kms:" + operation
        if where == "alias":
            alias = "arn:aws:kms:us-east-1:%s:%s" % (
                principal.account, key.alias if ask.operation == "UpdateAlias" else ask.parameters["AliasName"])
            context = {**BASE, **ask.context, "aws:ResourceAccount": principal.account}
            return action, alias, decide(principal, action, None, context, resource=alias)
        if where == "there":  # the replica to be: like the key, but for what is its own
            like = {k: v for k, v in context.items() if k.startswith(("kms:Key", "kms:Customer"))}
            context = {**BASE, **like, **ask.context, "aws:RequestedRegion": WEST, "kms:MultiRegion": "true",
                       "kms:MultiRegionKeyType": "REPLICA", "aws:ResourceAccount": principal.account}
            resource = "*" if operation == "CreateKey" else key.arn.replace("us-east-1", WEST)
            return action, resource, decide(principal, action, None, context, resource=resource)
        on = self.world.open if where == "open" else key
        if where == "open":
            context = {k: v for k, v in context.items() if not k.startswith(("aws:Resource", "kms:ResourceA",
                                                                             "kms:RequestA"))}
        more = {}
        if ask.child:
            operations, constraint, pairs = ask.child
            more["child"] = Grant(self.world.a.ids["user/nobody"], frozenset(operations), principal.account,
                                  constraint=constraint, pairs=pairs)
        if ask.retiring:
            more["retiring"] = key.grants[ask.retiring][0]
        decided = decide(principal, action, on.described, context, encryption_context=ask.encryption, **more)
        return action, on.arn if principal.account == A else None, decided

    def first(self, shapes):
        """One cell of each shape, principal and operation, the key named by its ARN."""
        return [self.cell(shape, caller, ask, "arn") for shape in shapes for caller in self.world.callers
                if shape in OWN_SHAPES or not caller.startswith("own-")
                for ask in self.asks if self.fits(caller, ask, "arn")]

    def again(self, cells, share):
        """The denied ones of these in every other form, and of the allowed ones a share."""
        for cell in cells:
            if cell.allowed and self.random.random() >= share:
                continue
            for form in FORMS[1:]:
                if self.fits(cell.caller, cell.ask, form):
                    yield self.cell(cell.shape, cell.caller, cell.ask, form)


# --- cells without a key ------------------------------------------------------------------------------------------------


def keyless(world):
    """What only the caller's own policies decide."""
    asked = [("ListKeys", {}, {}), ("ListAliases", {}, {}), ("GenerateRandom", {"NumberOfBytes": 8}, {}),
             ("ListRetirableGrants", {"RetiringPrincipal": "self"}, {}),
             ("CreateKey", {"KeySpec": "HMAC_256", "KeyUsage": "GENERATE_VERIFY_MAC"}, {
                 "kms:KeySpec": "HMAC_256", "kms:CustomerMasterKeySpec": "HMAC_256", "kms:KeyOrigin": "AWS_KMS",
                 "kms:KeyUsage": "GENERATE_VERIFY_MAC", "kms:CustomerMasterKeyUsage": "GENERATE_VERIFY_MAC",
                 "kms:MultiRegion": "false", "kms:BypassPolicyLockoutSafetyCheck": "false"})]
    cells = []
    for caller, (principal, credentials) in world.callers.items():
        for operation, parameters, more in asked:
            if "RetiringPrincipal" in parameters:
                parameters = {"RetiringPrincipal": world.n.root_b if principal.account == B else world.n.root}
            cell = Cell("no key", caller, Ask(operation, parameters), "none", (credentials, operation, parameters))
            cell.decisions = [("kms:" + operation, "*", decide(
                principal, "kms:" + operation, None, {**BASE, **more, "aws:ResourceAccount": principal.account}))]
            cells.append(cell)
    return cells


def strangers(world):
    """Credentials that are nobody's, or no longer: name -> (credentials, code)."""
    known = world.callers["byid"][1]
    session = world.callers["full/plain"][1]
    unknown = "UnrecognizedClientException"
    return {
        "unknown key": (Credentials("AKIAAAAAAAAAAAAAAAAA", "x" * 40), unknown),
        "unsigned": (Credentials(None), "MissingAuthenticationTokenException"),
        "wrong secret": (Credentials(known.access_key, "x" * 40), "InvalidSignatureException"),
        "wrong token": (Credentials(session.access_key, session.secret, "A" * len(session.token)), unknown),
        "no token": (Credentials(session.access_key, session.secret), unknown),
        "other's token": (Credentials(session.access_key, session.secret, world.callers["bare/plain"][1].token), unknown),
        "token of a lasting key": (Credentials(known.access_key, known.secret, session.token), unknown),
        "inactive key": (world.a.second_key("byid", "inactive"), unknown),
        "deleted key": (world.a.second_key("named", "deleted"), unknown),
    }
