"""ML-KEM keys: Encapsulate and Decapsulate (newer-operations.md, FIPS 203).

The ciphertexts that the server opens are made outside: by the cryptography package, and for ML-KEM-512, which that
lacks, by the openssl command.
"""
import os

import pytest
from cryptography.hazmat.primitives.asymmetric import mlkem

from families import ML_KEM_SPECS, SPECS, SPKI_BYTES, Keys, bits, oid, openssl, seq
from recorded import answer_fields
from trent_server import error_of

DRY_RUN = ("DryRunOperationException", "The request would have succeeded, but the DryRun option is set.")
CIPHER_BYTES = {"ML_KEM_512": 768, "ML_KEM_768": 1088, "ML_KEM_1024": 1568}
PUBLIC_BYTES = {"ML_KEM_512": 800, "ML_KEM_768": 1184, "ML_KEM_1024": 1568}
NUMBERS = {"ML_KEM_512": "2.16.840.1.101.3.4.4.1", "ML_KEM_768": "2.16.840.1.101.3.4.4.2",
           "ML_KEM_1024": "2.16.840.1.101.3.4.4.3"}
USAGE = "ENCAPSULATE_DECAPSULATE"
every_spec = pytest.mark.parametrize("spec", ML_KEM_SPECS)


@pytest.fixture(scope="module")
def keys(kms):
    return Keys(kms)


def encapsulate_outside(spec, spki):
    """(shared secret, ciphertext) for somebody's public key."""
    if spec == "ML_KEM_512":
        _, cipher, secret = openssl("pkeyutl", "-encap", "-pubin", "-inkey", "@key", "-keyform", "DER", "-out", "@out",
                                    "-secret", "@more", key=spki)
        return secret, cipher
    known = {"ML_KEM_768": mlkem.MLKEM768PublicKey, "ML_KEM_1024": mlkem.MLKEM1024PublicKey}[spec]
    return known.from_public_bytes(spki[-PUBLIC_BYTES[spec]:]).encapsulate()


def encapsulate(kms, key, **more):
    return kms.encapsulate(KeyId=key["KeyId"], **{"EncapsulationAlgorithm": "ML_KEM", **more})


def decapsulate(kms, key, cipher, **more):
    return kms.decapsulate(KeyId=key["KeyId"], SharedSecretCiphertextBlob=cipher,
                           **{"EncapsulationAlgorithm": "ML_KEM", **more})


@every_spec
def test_metadata_and_public_key(kms, keys, spec):
    """KeyMetadata, GetPublicKey: EncapsulationAlgorithms, the one list; SPKI of FIPS 203's sizes."""
    key = keys(spec)
    assert key["EncapsulationAlgorithms"] == ["ML_KEM"] and "CurrentKeyMaterialId" not in key
    assert (key["KeySpec"], key["CustomerMasterKeySpec"], key["KeyUsage"]) == (spec, spec, USAGE)
    assert kms.describe_key(KeyId=key["KeyId"])["KeyMetadata"] == key
    answer = answer_fields(kms.get_public_key(KeyId=key["KeyId"]))
    spki = answer.pop("PublicKey")
    assert answer == {"KeyId": key["Arn"], "CustomerMasterKeySpec": spec, "KeySpec": spec, "KeyUsage": USAGE,
                      "EncapsulationAlgorithms": ["ML_KEM"]}
    assert len(spki) == SPKI_BYTES[spec]
    assert spki == seq(seq(oid(NUMBERS[spec])), bits(spki[-PUBLIC_BYTES[spec]:]))
    assert kms.get_public_key(KeyId=key["KeyId"])["PublicKey"] == spki


@every_spec
def test_decapsulate_what_was_made_outside(kms, keys, spec):
    key, spki = keys(spec), keys.public(spec)
    for _ in range(3):
        secret, cipher = encapsulate_outside(spec, spki)
        assert answer_fields(decapsulate(kms, key, cipher)) == {
            "KeyId": key["Arn"], "SharedSecret": secret, "EncapsulationAlgorithm": "ML_KEM"}
        assert len(secret) == 32


@every_spec
def test_encapsulate(kms, keys, spec):
    """Exact members; another secret every time; Decapsulate gives it back."""
    key = keys(spec)
    secrets = set()
    for _ in range(3):
        made = answer_fields(encapsulate(kms, key))
        secret, cipher = made.pop("SharedSecret"), made.pop("SharedSecretCiphertextBlob")
        assert made == {"KeyId": key["Arn"], "EncapsulationAlgorithm": "ML_KEM"}
        assert (len(secret), len(cipher)) == (32, CIPHER_BYTES[spec])
        assert decapsulate(kms, key, cipher)["SharedSecret"] == secret
        secrets.add(secret)
    assert len(secrets) == 3


@every_spec
def test_altered_ciphertext_is_never_an_error(kms, keys, spec):
    """FIPS 203 implicit rejection: another, pseudo-random, but repeatable secret; also for another key's blob."""
    key = keys(spec)
    made = encapsulate(kms, key)
    cipher = made["SharedSecretCiphertextBlob"]
    seen = {made["SharedSecret"]}
    foreign = encapsulate(kms, keys.new(spec))["SharedSecretCiphertextBlob"]
    blobs = [bytes([cipher[0] ^ 1]) + cipher[1:], cipher[:-1] + bytes([cipher[-1] ^ 128]), foreign,
             os.urandom(len(cipher)), b"\0" * len(cipher), b"\xff" * len(cipher)]
    for blob in blobs:
        secret = decapsulate(kms, key, blob)["SharedSecret"]
        assert len(secret) == 32 and secret not in seen
        assert decapsulate(kms, key, blob)["SharedSecret"] == secret
        seen.add(secret)


@every_spec
def test_wrong_length(kms, keys, spec):
    """InvalidCiphertextException, no message, when the length does not fit the key spec; DryRun changes nothing."""
    for length in {1, CIPHER_BYTES[spec] - 1, CIPHER_BYTES[spec] + 1, 6144} | set(CIPHER_BYTES.values()):
        if length == CIPHER_BYTES[spec]:
            continue
        for more in ({}, {"DryRun": True}):
            assert error_of(decapsulate, kms, keys(spec), b"c" * length, **more) == (
                "InvalidCiphertextException", None)


@every_spec
def test_dry_run(kms, keys, spec):
    key = keys(spec)
    assert error_of(encapsulate, kms, key, DryRun=True) == DRY_RUN
    cipher = encapsulate(kms, key)["SharedSecretCiphertextBlob"]
    assert error_of(decapsulate, kms, key, cipher, DryRun=True) == DRY_RUN


def test_names_of_the_key(kms, keys):
    """Id, ARN, alias and alias ARN on both."""
    key = keys("ML_KEM_768")
    kms.create_alias(AliasName="alias/kem", TargetKeyId=key["KeyId"])
    for name in (key["Arn"], "alias/kem", key["Arn"].rsplit(":", 1)[0] + ":alias/kem"):
        made = kms.encapsulate(KeyId=name, EncapsulationAlgorithm="ML_KEM")
        assert made["KeyId"] == key["Arn"]
        opened = kms.decapsulate(KeyId=name, EncapsulationAlgorithm="ML_KEM",
                                 SharedSecretCiphertextBlob=made["SharedSecretCiphertextBlob"])
        assert opened["SharedSecret"] == made["SharedSecret"]


def test_shapes(kms, keys):
    """Required members and the enum (texts by KB 1.6)."""
    key = keys("ML_KEM_512")["KeyId"]

    def text(call, **parameters):
        code, said = error_of(call, **parameters)
        assert code == "ValidationException" and said.startswith("1 validation error detected: ")
        return said[len("1 validation error detected: "):]

    must = " failed to satisfy constraint: Member must not be null"
    assert text(kms.encapsulate, KeyId=key) == "Value null at 'encapsulationAlgorithm'" + must
    assert text(kms.encapsulate, EncapsulationAlgorithm="ML_KEM") == "Value null at 'keyId'" + must
    assert text(kms.decapsulate, KeyId=key, EncapsulationAlgorithm="ML_KEM") == (
        "Value null at 'sharedSecretCiphertextBlob'" + must)
    assert text(kms.encapsulate, KeyId=key, EncapsulationAlgorithm="KYBER") == (
        "Value 'KYBER' at 'encapsulationAlgorithm' failed to satisfy constraint: Member must satisfy enum value set: "
        "[ML_KEM]")


@every_spec
def test_no_import(kms, spec):
    """Treated like ML-DSA: EXTERNAL is refused (R2's text)."""
    assert error_of(kms.create_key, Origin="EXTERNAL", KeySpec=spec, KeyUsage=USAGE) == (
        "ValidationException", "KeySpec %s is not supported for Origin EXTERNAL" % spec)


@pytest.mark.parametrize("spec", ["SYMMETRIC_DEFAULT", "RSA_2048", "ECC_NIST_P256", "HMAC_256", "ML_DSA_44"])
def test_keys_of_other_usages(kms, keys, spec):
    """KB 3.2: wrong usage."""
    usage = next(iter(SPECS[spec]))
    key = keys(spec, usage)
    for call, name in ((encapsulate, "Encapsulate"), (lambda k, x: decapsulate(k, x, b"c" * 1088), "Decapsulate")):
        assert error_of(call, kms, key) == ("InvalidKeyUsageException", "%s key usage is %s which is not valid for %s."
                                            % (key["Arn"], usage, name))


@pytest.mark.parametrize("operation", ["Sign", "Verify", "Encrypt", "GenerateMac", "DeriveSharedSecret"])
def test_other_operations_on_a_kem_key(kms, keys, operation):
    """KB 3.2: wrong usage, the other way."""
    key = keys("ML_KEM_768")
    call, parameters = {
        "Sign": (kms.sign, {"Message": b"m", "SigningAlgorithm": "ML_DSA_SHAKE_256"}),
        "Verify": (kms.verify, {"Message": b"m", "Signature": b"s", "SigningAlgorithm": "ML_DSA_SHAKE_256"}),
        "Encrypt": (kms.encrypt, {"Plaintext": b"p"}),
        "GenerateMac": (kms.generate_mac, {"Message": b"m", "MacAlgorithm": "HMAC_SHA_256"}),
        "DeriveSharedSecret": (kms.derive_shared_secret, {"PublicKey": b"p", "KeyAgreementAlgorithm": "ECDH"}),
    }[operation]
    assert error_of(call, KeyId=key["KeyId"], **parameters) == (
        "InvalidKeyUsageException", "%s key usage is %s which is not valid for %s." % (key["Arn"], USAGE, operation))


def test_survives_a_restart(new_server):
    """A key pair made before opens after: the stored form is complete."""
    server = new_server()
    kms = server.client()
    key = Keys(kms).new("ML_KEM_1024")
    made, spki = encapsulate(kms, key), kms.get_public_key(KeyId=key["KeyId"])["PublicKey"]
    server.stop()
    server.start()
    kms = server.client()
    assert kms.get_public_key(KeyId=key["KeyId"])["PublicKey"] == spki
    assert decapsulate(kms, key, made["SharedSecretCiphertextBlob"])["SharedSecret"] == made["SharedSecret"]
