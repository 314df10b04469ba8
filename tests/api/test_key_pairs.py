"""GenerateDataKeyPair and GenerateDataKeyPairWithoutPlaintext: recorded-crypto section 9, kms-behaviour 6.4 and 15.2.

Both halves are read by an independent implementation, and used together.
"""
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from families import (
    CURVE_OIDS, EC_SPECS, EDWARDS, HMAC_SPECS, ML_DSA_SPECS, ML_KEM_SPECS, RSA_SPECS, SPECS, SPKI_BYTES, Importer, Keys,
    elements, inner_of, oid, sign_outside, spki_of, verifies)
from recorded import answer_fields
from trent_server import error_of, external_key, import_material

DRY_RUN = ("DryRunOperationException", "The request would have succeeded, but the DryRun option is set.")
PAIR_SPECS = RSA_SPECS + EC_SPECS + [EDWARDS]
# section 9: exact, or for RSA the recorded size, which varies by a few bytes between keys
PRIVATE_BYTES = {"RSA_2048": 1217, "RSA_3072": 1792, "RSA_4096": 2374, "ECC_NIST_P256": 150, "ECC_NIST_P384": 194,
                 "ECC_NIST_P521": 250, "ECC_SECG_P256K1": 144, EDWARDS: 48}
ENVELOPE = 152  # what a symmetric ciphertext adds (docs/deviations.md: the same for every length)


@pytest.fixture(scope="module")
def master(kms):
    return kms.create_key()["KeyMetadata"]


def check_halves(spec, private, public):
    """The two halves belong together, have the recorded form, and sign and verify."""
    key = serialization.load_der_private_key(private, None)
    assert spki_of(key) == public and len(public) == SPKI_BYTES[spec]
    if spec in RSA_SPECS:
        assert abs(len(private) - PRIVATE_BYTES[spec]) <= 8
        numbers = key.private_numbers()
        assert numbers.public_numbers.e == 65537 and key.key_size == int(spec[4:])
        assert numbers.p.bit_length() == numbers.q.bit_length() == key.key_size // 2
    else:
        assert len(private) == PRIVATE_BYTES[spec]
    if spec in EC_SPECS:  # 9, last paragraph: both the curve and the public key inside
        inner = list(elements(list(elements(inner_of(private)))[0][1]))
        assert [tag for tag, _ in inner] == [0x02, 0x04, 0xa0, 0xa1] and inner[2][1] == oid(CURVE_OIDS[spec])
    algorithm = SPECS[spec]["SIGN_VERIFY"][-1]
    assert verifies(public, algorithm, "RAW", b"both halves", sign_outside(key, algorithm, b"both halves"))


@pytest.mark.parametrize("spec", PAIR_SPECS)
def test_9_generate_data_key_pair(kms, master, spec):
    """9 rows 1 and 3 to 8: exact members, sizes; the ciphertext opens to the private half with its context only."""
    context = {"purpose": "pair"}
    answer = answer_fields(kms.generate_data_key_pair(KeyId=master["KeyId"], KeyPairSpec=spec,
                                                      EncryptionContext=context))
    blob, private, public = (answer.pop(k) for k in ("PrivateKeyCiphertextBlob", "PrivateKeyPlaintext", "PublicKey"))
    assert answer == {"KeyId": master["Arn"], "KeyPairSpec": spec, "KeyMaterialId": master["CurrentKeyMaterialId"]}
    assert len(blob) == len(private) + ENVELOPE and blob[5:37].hex() == master["CurrentKeyMaterialId"]
    check_halves(spec, private, public)
    opened = kms.decrypt(CiphertextBlob=blob, EncryptionContext=context)
    assert (opened["Plaintext"], opened["KeyId"]) == (private, master["Arn"])
    for other in ({}, {"purpose": "Pair"}):
        assert error_of(kms.decrypt, CiphertextBlob=blob, EncryptionContext=other) == (
            "InvalidCiphertextException", None)


@pytest.mark.parametrize("spec", PAIR_SPECS)
def test_9_without_plaintext(kms, master, spec):
    """9 row 2: the same without PrivateKeyPlaintext."""
    answer = answer_fields(kms.generate_data_key_pair_without_plaintext(KeyId=master["Arn"], KeyPairSpec=spec))
    blob, public = answer.pop("PrivateKeyCiphertextBlob"), answer.pop("PublicKey")
    assert answer == {"KeyId": master["Arn"], "KeyPairSpec": spec, "KeyMaterialId": master["CurrentKeyMaterialId"]}
    check_halves(spec, kms.decrypt(CiphertextBlob=blob)["Plaintext"], public)


@pytest.mark.parametrize("spec", ["RSA_2048"] + EC_SPECS + [EDWARDS])
def test_pairs_differ(kms, master, spec):
    made = [kms.generate_data_key_pair(KeyId=master["KeyId"], KeyPairSpec=spec) for _ in range(3)]
    assert len({m["PublicKey"] for m in made}) == len({m["PrivateKeyPlaintext"] for m in made}) == 3


@pytest.mark.parametrize("spec", ["RSA_2048", "ECC_NIST_P256", EDWARDS])
def test_9_dry_run(kms, master, spec):
    """9, DryRun; 12."""
    for call in (kms.generate_data_key_pair, kms.generate_data_key_pair_without_plaintext):
        assert error_of(call, KeyId=master["KeyId"], KeyPairSpec=spec, DryRun=True) == DRY_RUN


def test_alias_names_the_master(kms, master):
    kms.create_alias(AliasName="alias/pairs", TargetKeyId=master["KeyId"])
    for name in ("alias/pairs", master["Arn"].rsplit(":", 1)[0] + ":alias/pairs"):
        assert kms.generate_data_key_pair(KeyId=name, KeyPairSpec=EDWARDS)["KeyId"] == master["Arn"]


@pytest.mark.parametrize("spec", ML_DSA_SPECS + ML_KEM_SPECS + HMAC_SPECS + ["SYMMETRIC_DEFAULT", "AES_256"])
def test_specs_without_pairs(kms, master, spec):
    """KB 6.4: no other specs; the shape's check, so KB 1.6's text with the value sent."""
    for call in (kms.generate_data_key_pair, kms.generate_data_key_pair_without_plaintext):
        code, text = error_of(call, KeyId=master["KeyId"], KeyPairSpec=spec)
        assert code == "ValidationException" and text.startswith(
            "1 validation error detected: Value '%s' at 'keyPairSpec' failed to satisfy constraint: Member must "
            "satisfy enum value set: [" % spec)
        assert set(text[text.index("[") + 1:-1].split(", ")) == {*PAIR_SPECS, "SM2"}


@pytest.mark.parametrize("spec,usage,operation", [
    ("HMAC_256", "GENERATE_VERIFY_MAC", "GenerateDataKeyPair"), ("ECC_NIST_P256", "SIGN_VERIFY", "GenerateDataKeyPair"),
    ("ECC_NIST_P256", "KEY_AGREEMENT", "GenerateDataKeyPairWithoutPlaintext"),
    ("ML_DSA_44", "SIGN_VERIFY", "GenerateDataKeyPairWithoutPlaintext")])
def test_masters_of_another_usage(kms, spec, usage, operation):
    """KB 3.2: wrong usage, named with the operation."""
    key = Keys(kms).new(spec, usage)
    call = {"GenerateDataKeyPair": kms.generate_data_key_pair,
            "GenerateDataKeyPairWithoutPlaintext": kms.generate_data_key_pair_without_plaintext}[operation]
    assert error_of(call, KeyId=key["KeyId"], KeyPairSpec="ECC_NIST_P256") == (
        "InvalidKeyUsageException", "%s key usage is %s which is not valid for %s." % (key["Arn"], usage, operation))


def test_imported_master(kms):
    """KB 15.2: an EXTERNAL symmetric key is a master too; PendingImport is refused."""
    key = external_key(kms)
    pending = ("KMSInvalidStateException", "%s is pending import." % key["Arn"])
    assert error_of(kms.generate_data_key_pair, KeyId=key["KeyId"], KeyPairSpec="ECC_NIST_P256") == pending
    material_id = import_material(kms, key["KeyId"], b"p" * 32)["KeyMaterialId"]
    made = kms.generate_data_key_pair(KeyId=key["KeyId"], KeyPairSpec="ECC_NIST_P256")
    assert made["KeyMaterialId"] == material_id
    check_halves("ECC_NIST_P256", made["PrivateKeyPlaintext"], made["PublicKey"])
    kms.delete_imported_key_material(KeyId=key["KeyId"])
    assert error_of(kms.generate_data_key_pair_without_plaintext, KeyId=key["KeyId"],
                    KeyPairSpec="ECC_NIST_P256") == pending
    assert error_of(kms.decrypt, CiphertextBlob=made["PrivateKeyCiphertextBlob"]) == pending


def test_pair_material_can_be_imported(kms, master):
    """The private half is PKCS#8 as ImportKeyMaterial takes it: the imported key has the pair's public key."""
    made = kms.generate_data_key_pair(KeyId=master["KeyId"], KeyPairSpec="ECC_SECG_P256K1")
    importer = Importer(kms, "ECC_SECG_P256K1")
    importer.put(made["PrivateKeyPlaintext"])
    assert kms.get_public_key(KeyId=importer.id)["PublicKey"] == made["PublicKey"]


def test_ecdh_with_a_pair(kms, master):
    """A pair's halves work with a KEY_AGREEMENT key."""
    made = kms.generate_data_key_pair(KeyId=master["KeyId"], KeyPairSpec="ECC_NIST_P384")
    private = serialization.load_der_private_key(made["PrivateKeyPlaintext"], None)
    key = Keys(kms).new("ECC_NIST_P384", "KEY_AGREEMENT")
    shared = kms.derive_shared_secret(KeyId=key["KeyId"], KeyAgreementAlgorithm="ECDH", PublicKey=made["PublicKey"])
    public = serialization.load_der_public_key(kms.get_public_key(KeyId=key["KeyId"])["PublicKey"])
    assert shared["SharedSecret"] == private.exchange(ec.ECDH(), public)
