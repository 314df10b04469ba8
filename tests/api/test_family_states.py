"""State, usage and algorithm against each other for the operations of all key families: kms-behaviour 5.1 and 1.5,
recorded-crypto 2, 6, 8.1, 11 and 12 (states), recorded-imports R35.
"""
import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from families import CURVES, Importer, Keys, Material, spki_of
from trent_server import error_of

MESSAGE = b"message"
PEER = spki_of(ec.generate_private_key(CURVES["ECC_NIST_P256"]))
STATES = ["Enabled", "Disabled", "PendingDeletion", "PendingImport"]


def call(kms, operation, key, **more):
    """One call of the operation on a key; arguments that pass every check when the key may be used."""
    parameters = {
        "Sign": dict(Message=MESSAGE, SigningAlgorithm="ECDSA_SHA_256"),
        "Verify": dict(Message=MESSAGE, SigningAlgorithm="ECDSA_SHA_256", Signature=b"s"),
        "GenerateMac": dict(Message=MESSAGE, MacAlgorithm="HMAC_SHA_256"),
        "VerifyMac": dict(Message=MESSAGE, MacAlgorithm="HMAC_SHA_256", Mac=b"m"),
        "DeriveSharedSecret": dict(KeyAgreementAlgorithm="ECDH", PublicKey=PEER),
        "GetPublicKey": {},
        "GenerateDataKeyPair": dict(KeyPairSpec="ECC_NIST_P256"),
        "GenerateDataKeyPairWithoutPlaintext": dict(KeyPairSpec="ECC_NIST_P256"),
        "Encapsulate": dict(EncapsulationAlgorithm="ML_KEM"),
        "Decapsulate": dict(EncapsulationAlgorithm="ML_KEM", SharedSecretCiphertextBlob=b"c" * 768),
        "Encrypt": dict(Plaintext=MESSAGE, EncryptionAlgorithm="RSAES_OAEP_SHA_256"),
        "Decrypt": dict(CiphertextBlob=b"c" * 256, EncryptionAlgorithm="RSAES_OAEP_SHA_256"),
    }[operation]
    method = {"GetPublicKey": kms.get_public_key, "Sign": kms.sign, "Verify": kms.verify,
              "GenerateMac": kms.generate_mac, "VerifyMac": kms.verify_mac,
              "DeriveSharedSecret": kms.derive_shared_secret, "Encrypt": kms.encrypt, "Decrypt": kms.decrypt,
              "Encapsulate": kms.encapsulate, "Decapsulate": kms.decapsulate,
              "GenerateDataKeyPair": kms.generate_data_key_pair,
              "GenerateDataKeyPairWithoutPlaintext": kms.generate_data_key_pair_without_plaintext}[operation]
    return method(KeyId=key["KeyId"], **{**parameters, **more})


# operation -> (spec, usage) it works on; what an Enabled key answers: None for success
WORKS_ON = {
    "Sign": ("ECC_NIST_P256", "SIGN_VERIFY", None),
    "Verify": ("ECC_NIST_P256", "SIGN_VERIFY", ("KMSInvalidSignatureException", None)),
    "GenerateMac": ("HMAC_256", "GENERATE_VERIFY_MAC", None),
    "VerifyMac": ("HMAC_256", "GENERATE_VERIFY_MAC", ("KMSInvalidMacException", None)),
    "DeriveSharedSecret": ("ECC_NIST_P256", "KEY_AGREEMENT", None),
    "GetPublicKey": ("ECC_NIST_P256", "SIGN_VERIFY", None),
    "GenerateDataKeyPair": ("SYMMETRIC_DEFAULT", "ENCRYPT_DECRYPT", None),
    "GenerateDataKeyPairWithoutPlaintext": ("SYMMETRIC_DEFAULT", "ENCRYPT_DECRYPT", None),
    "Encapsulate": ("ML_KEM_512", "ENCAPSULATE_DECAPSULATE", None),
    "Decapsulate": ("ML_KEM_512", "ENCAPSULATE_DECAPSULATE", None),
    "Encrypt": ("RSA_2048", "ENCRYPT_DECRYPT", None),
    "Decrypt": ("RSA_2048", "ENCRYPT_DECRYPT", ("InvalidCiphertextException", None)),
}


@pytest.fixture(scope="module")
def keys(kms):
    return Keys(kms)


class InState:
    """Keys by (spec, usage, state), each brought into its state once."""

    def __init__(self, kms):
        self.kms, self.made = kms, {}

    def __call__(self, spec, usage, state):
        at = spec, usage, state
        if at not in self.made:
            self.made[at] = self.bring(spec, usage, state)
        return self.made[at]

    def bring(self, spec, usage, state):
        if state == "PendingImport":
            return self.kms.create_key(Origin="EXTERNAL", KeySpec=spec, KeyUsage=usage)["KeyMetadata"]
        key = Keys(self.kms).new(spec, usage)
        if state == "Disabled":
            self.kms.disable_key(KeyId=key["KeyId"])
        elif state == "PendingDeletion":
            self.kms.schedule_key_deletion(KeyId=key["KeyId"], PendingWindowInDays=7)
        return key


@pytest.fixture(scope="module")
def in_state(kms):
    return InState(kms)


def state_error(state, arn):
    return {"Disabled": ("DisabledException", "%s is disabled." % arn),
            "PendingDeletion": ("KMSInvalidStateException", "%s is pending deletion." % arn),
            "PendingImport": ("KMSInvalidStateException", "%s is pending import." % arn)}[state]


# ML-KEM keys cannot be imported, so they have no PendingImport
MATRIX = [(o, s) for o, row in WORKS_ON.items() for s in STATES if s != "PendingImport" or row[0] != "ML_KEM_512"]


@pytest.mark.parametrize("operation,state", MATRIX)
def test_5_1_state_and_operation(kms, in_state, operation, state):
    """KB 5.1; recorded-crypto 2 (GetPublicKey on Disabled keys succeeds), 6 row 7, 12 (states); a DryRun changes
    nothing of it (not recorded; 11.7 by analogy)."""
    spec, usage, enabled = WORKS_ON[operation]
    key = in_state(spec, usage, state)
    if state == "Enabled" or (operation, state) == ("GetPublicKey", "Disabled"):
        if enabled is None:
            assert call(kms, operation, key)["KeyId"] == key["Arn"]
        else:
            assert error_of(call, kms, operation, key) == enabled
        return
    assert error_of(call, kms, operation, key) == state_error(state, key["Arn"])
    if operation != "GetPublicKey":
        assert error_of(call, kms, operation, key, DryRun=True) == state_error(state, key["Arn"])


OTHER_ALGORITHM = {"Sign": dict(SigningAlgorithm="RSASSA_PSS_SHA_256"),
                   "Verify": dict(SigningAlgorithm="ML_DSA_SHAKE_256"),
                   "GenerateMac": dict(MacAlgorithm="HMAC_SHA_512"), "VerifyMac": dict(MacAlgorithm="HMAC_SHA_224"),
                   "DeriveSharedSecret": dict(PublicKey=b"garbage"), "Encrypt": dict(EncryptionAlgorithm="SM2PKE"),
                   "Decapsulate": dict(SharedSecretCiphertextBlob=b"c")}


@pytest.mark.parametrize("operation,state", [(o, s) for o, s in MATRIX if s != "Enabled" and o in OTHER_ALGORITHM])
def test_11_4_state_before_algorithm_and_data(kms, in_state, operation, state):
    """11.4, KB 1.5 steps 8 and 9."""
    spec, usage, _ = WORKS_ON[operation]
    key = in_state(spec, usage, state)
    assert error_of(call, kms, operation, key, **OTHER_ALGORITHM[operation]) == state_error(state, key["Arn"])


def names(spec):
    return {"SYMMETRIC_DEFAULT": ["ENCRYPT_DECRYPT"], "HMAC_256": ["GENERATE_VERIFY_MAC"],
            "ECC_NIST_P256": ["SIGN_VERIFY", "KEY_AGREEMENT"], "RSA_2048": ["ENCRYPT_DECRYPT", "SIGN_VERIFY"],
            "ML_DSA_44": ["SIGN_VERIFY"], "ML_KEM_512": ["ENCAPSULATE_DECAPSULATE"]}[spec]


USED_BY = {usage: {o for o, row in WORKS_ON.items() if row[1] == usage} for usage in (
    "ENCRYPT_DECRYPT", "SIGN_VERIFY", "GENERATE_VERIFY_MAC", "KEY_AGREEMENT", "ENCAPSULATE_DECAPSULATE")}
# Decrypt reads the blob first, GetPublicKey takes every usage
MISFITS = [(o, spec, usage) for o in WORKS_ON if o not in ("GetPublicKey", "Decrypt")
           for spec in ("SYMMETRIC_DEFAULT", "HMAC_256", "ECC_NIST_P256", "RSA_2048", "ML_DSA_44", "ML_KEM_512")
           for usage in names(spec) if o not in USED_BY[usage]]


@pytest.mark.parametrize("operation,spec,usage", MISFITS)
def test_11_3_usage_first(kms, keys, in_state, operation, spec, usage):
    """8.1 row 8, 11.3, KB 3.2, 1.5 step 7: the usage is reported before the algorithm, and before the state."""
    key = keys(spec, usage)
    expected = "%s key usage is %s which is not valid for %s."
    assert error_of(call, kms, operation, key) == (
        "InvalidKeyUsageException", expected % (key["Arn"], usage, operation))
    key = in_state(spec, usage, "Disabled")
    assert error_of(call, kms, operation, key) == (
        "InvalidKeyUsageException", expected % (key["Arn"], usage, operation))


@pytest.mark.parametrize("operation", sorted(set(WORKS_ON) - {"GetPublicKey"}))
def test_11_1_shape_before_the_key(kms, operation):
    """11.1, KB 1.5 step 2: what is wrong with the request's form is told before the key is looked up."""
    member, name = {"Sign": ("Message", "message"), "Verify": ("Signature", "signature"), "VerifyMac": ("Mac", "mac"),
                    "GenerateMac": ("Message", "message"), "DeriveSharedSecret": ("PublicKey", "publicKey"),
                    "Encrypt": ("Plaintext", "plaintext"), "Decrypt": ("CiphertextBlob", "ciphertextBlob"),
                    "Decapsulate": ("SharedSecretCiphertextBlob", "sharedSecretCiphertextBlob"),
                    "Encapsulate": ("EncapsulationAlgorithm", "encapsulationAlgorithm"),
                    "GenerateDataKeyPair": ("KeyPairSpec", "keyPairSpec"),
                    "GenerateDataKeyPairWithoutPlaintext": ("KeyPairSpec", "keyPairSpec")}[operation]
    enum = member.endswith(("Algorithm", "Spec"))
    code, text = error_of(call, kms, operation, {"KeyId": "11111111-2222-3333-4444-555555555555"},
                          **{member: "X" if enum else b""})
    at = "Value 'X' at '%s'" if enum else "Value at '%s'"
    assert code == "ValidationException" and text.startswith(
        "1 validation error detected: " + at % name + " failed to satisfy constraint: Member must ")
    missing = error_of(call, kms, operation, {"KeyId": "11111111-2222-3333-4444-555555555555"})
    assert missing == ("NotFoundException", "Key 'arn:aws:kms:us-east-1:000000000000:key/"
                       "11111111-2222-3333-4444-555555555555' does not exist")


@pytest.mark.parametrize("operation", sorted(WORKS_ON))
def test_every_name_of_a_key(kms, keys, operation):
    """KB 4.2: id, ARN, alias and alias ARN on every one of these operations; the answer has the key's ARN."""
    spec, usage, enabled = WORKS_ON[operation]
    key = keys(spec, usage)
    alias = "alias/%s-%s" % (spec, usage)
    if not any(a["AliasName"] == alias for a in kms.list_aliases(KeyId=key["KeyId"])["Aliases"]):
        kms.create_alias(AliasName=alias, TargetKeyId=key["KeyId"])
    for name in (key["KeyId"], key["Arn"], alias, key["Arn"].rsplit(":", 1)[0] + ":" + alias):
        if enabled is None:
            assert call(kms, operation, {"KeyId": name})["KeyId"] == key["Arn"]
        else:
            assert error_of(call, kms, operation, {"KeyId": name}) == enabled


def test_deleted_material_then_disabled(kms):
    """R30, R35 for a signing key: PendingImport refuses EnableKey and DisableKey; R25: a re-import enables."""
    importer, material = Importer(kms, "ECC_NIST_P256"), Material("ECC_NIST_P256")
    importer.put(material.default)
    kms.disable_key(KeyId=importer.id)
    assert error_of(call, kms, "Sign", importer.key) == state_error("Disabled", importer.arn)
    assert call(kms, "GetPublicKey", importer.key)["PublicKey"] == material.public
    importer.put(material.default)
    assert call(kms, "Sign", importer.key)["KeyId"] == importer.arn
    kms.delete_imported_key_material(KeyId=importer.id)
    for refused in (kms.enable_key, kms.disable_key):
        assert error_of(refused, KeyId=importer.id) == state_error("PendingImport", importer.arn)
    kms.schedule_key_deletion(KeyId=importer.id, PendingWindowInDays=7)
    assert error_of(call, kms, "GetPublicKey", importer.key) == state_error("PendingDeletion", importer.arn)
    kms.cancel_key_deletion(KeyId=importer.id)
    assert error_of(call, kms, "Sign", importer.key) == state_error("PendingImport", importer.arn)
    importer.put(material.default)
    assert call(kms, "Sign", importer.key)["KeyId"] == importer.arn
