"""SM2 keys, which exist in China Regions only: kms-behaviour 3.2, 6.1, 6.2, 6.4, 7.2.

Checked with the openssl command; its SM2 is an implementation of GB/T 32918 that shares no code with Python's packages.
"""
import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from families import (
    CURVES, LIST_MEMBER, ML_KEM_SPECS, NIST_SPECS, SPKI_BYTES, Importer, Keys, Material, ec_pkcs8, elements, openssl,
    openssl_verifies, spki_of)
from recorded import answer_fields
from trent_server import Server, error_of

MESSAGE = b"twenty-seven bytes message."
ALGORITHMS = {"ENCRYPT_DECRYPT": "SM2PKE", "SIGN_VERIFY": "SM2DSA", "KEY_AGREEMENT": "ECDH"}
DRY_RUN = ("DryRunOperationException", "The request would have succeeded, but the DryRun option is set.")


@pytest.fixture(scope="module")
def china(tmp_path_factory):
    with Server(tmp_path_factory.mktemp("trent") / "data", "--regions=us-east-1,cn-north-1") as s:
        yield s


@pytest.fixture(scope="module")
def cn(china):
    return china.client(region="cn-north-1")


@pytest.fixture(scope="module")
def keys(cn):
    return {usage: Keys(cn).new("SM2", usage) for usage in ALGORITHMS}


def public_of(cn, key):
    return cn.get_public_key(KeyId=key["KeyId"])["PublicKey"]


def openssl_sm2(command, key, data, *more, private=False):
    """Status and output of pkeyutl with an SM2 key in DER."""
    return openssl("pkeyutl", command, *([] if private else ["-pubin"]), "-inkey", "@key", "-keyform", "DER", "-in",
                   "@data", "-out", "@out", *more, check=False, key=key, data=data)


@pytest.mark.parametrize("usage", ALGORITHMS)
@pytest.mark.parametrize("origin", ["AWS_KMS", "EXTERNAL"])
def test_not_outside_china(china, usage, origin):
    """KB 3.2: no full stop."""
    assert error_of(china.client().create_key, KeySpec="SM2", KeyUsage=usage, Origin=origin) == (
        "UnsupportedOperationException", "KeySpec SM2 is not supported in this Region")


@pytest.mark.parametrize("usage", ALGORITHMS)
def test_metadata_and_public_key(cn, keys, usage):
    """KB 6.1; ARNs of the partition aws-cn; SPKI with the curve's OID."""
    key = keys[usage]
    assert key["Arn"] == "arn:aws-cn:kms:cn-north-1:000000000000:key/" + key["KeyId"]
    assert (key["KeySpec"], key["CustomerMasterKeySpec"]) == ("SM2", "SM2")
    assert key[LIST_MEMBER[usage]] == [ALGORITHMS[usage]]
    answer = answer_fields(cn.get_public_key(KeyId=key["Arn"]))
    spki = answer.pop("PublicKey")
    assert answer == {"KeyId": key["Arn"], "CustomerMasterKeySpec": "SM2", "KeySpec": "SM2", "KeyUsage": usage,
                      LIST_MEMBER[usage]: [ALGORITHMS[usage]]}
    # openssl knows the key as SM2 and writes the very same octets
    _, again = openssl("pkey", "-pubin", "-in", "@key", "-inform", "DER", "-pubout", "-outform", "DER", "-out", "@out",
                       key=spki)
    assert again == spki and len(spki) == SPKI_BYTES["SM2"]
    _, text = openssl("pkey", "-pubin", "-in", "@key", "-inform", "DER", "-noout", "-text", key=spki)
    assert b"SM2" in text or b"sm2" in text


def sm3(data):
    _, value = openssl("dgst", "-sm3", "-binary", "@data", data=data)
    return value


def test_sign_verifies_outside(cn, keys):
    """KB 6.1, 6.3: RAW hashes with the default distinguishing id, DIGEST takes e itself; DER; random nonce."""
    key, spki = keys["SIGN_VERIFY"], public_of(cn, keys["SIGN_VERIFY"])
    raw = ("-rawin", "-digest", "sm3", "-pkeyopt", "distid:1234567812345678")
    for message in (MESSAGE, b"m" * 4096, b"\0"):
        answer = answer_fields(cn.sign(KeyId=key["KeyId"], Message=message, SigningAlgorithm="SM2DSA"))
        signature = answer["Signature"]
        assert answer == {"KeyId": key["Arn"], "Signature": signature, "SigningAlgorithm": "SM2DSA"}
        assert [tag for tag, _ in elements(list(elements(signature))[0][1])] == [2, 2]
        assert openssl_verifies(spki, message, signature, *raw)
        assert not openssl_verifies(spki, message + b".", signature, *raw)
        assert not openssl_verifies(spki, message, signature, "-rawin", "-digest", "sm3", "-pkeyopt", "distid:other")
        assert cn.sign(KeyId=key["KeyId"], Message=message, SigningAlgorithm="SM2DSA")["Signature"] != signature
    e = sm3(MESSAGE)
    signature = cn.sign(KeyId=key["KeyId"], Message=e, MessageType="DIGEST", SigningAlgorithm="SM2DSA")["Signature"]
    assert openssl_verifies(spki, e, signature)
    assert not openssl_verifies(spki, e[:-1] + bytes([e[-1] ^ 1]), signature)


def test_verify(cn, keys):
    """KB 6.3: a bad signature is an exception without message; digests have 32 bytes; other algorithms are refused."""
    key = keys["SIGN_VERIFY"]
    common = {"KeyId": key["KeyId"], "SigningAlgorithm": "SM2DSA"}
    signature = cn.sign(Message=MESSAGE, **common)["Signature"]
    assert answer_fields(cn.verify(Message=MESSAGE, Signature=signature, **common)) == {
        "KeyId": key["Arn"], "SignatureValid": True, "SigningAlgorithm": "SM2DSA"}
    assert error_of(cn.verify, Message=MESSAGE, Signature=signature, DryRun=True, **common) == DRY_RUN
    for bad in (signature[:-1] + bytes([signature[-1] ^ 1]), signature[:-1], signature + b"\0", b"\1", b"s" * 6144):
        assert error_of(cn.verify, Message=MESSAGE, Signature=bad, **common) == ("KMSInvalidSignatureException", None)
    for length in (1, 31, 33, 64):
        text = ("ValidationException", "Digest is invalid length for algorithm SM2DSA.")
        assert error_of(cn.sign, Message=b"d" * length, MessageType="DIGEST", **common) == text
        assert error_of(cn.verify, Message=b"d" * length, MessageType="DIGEST", Signature=signature, **common) == text
    assert error_of(cn.sign, Message=MESSAGE, KeyId=key["KeyId"], SigningAlgorithm="ECDSA_SHA_256") == (
        "InvalidKeyUsageException", "Algorithm ECDSA_SHA_256 is incompatible with key spec SM2.")
    assert error_of(cn.sign, Message=b"m" * 64, MessageType="EXTERNAL_MU", **common) == (
        "ValidationException", "Message type EXTERNAL_MU is incompatible with key spec SM2.")


def test_encrypt_and_decrypt(cn, keys):
    """KB 6.1, 6.2: SM2PKE up to 1024 bytes; what openssl encrypts is opened; damaged is InvalidCiphertext."""
    key, spki = keys["ENCRYPT_DECRYPT"], public_of(cn, keys["ENCRYPT_DECRYPT"])
    common = {"KeyId": key["KeyId"], "EncryptionAlgorithm": "SM2PKE"}
    for plain in (MESSAGE, b"x", b"p" * 1024):
        sealed = answer_fields(cn.encrypt(Plaintext=plain, **common))
        assert set(sealed) == {"CiphertextBlob", "KeyId", "EncryptionAlgorithm"}
        assert answer_fields(cn.decrypt(CiphertextBlob=sealed["CiphertextBlob"], **common)) == {
            "KeyId": key["Arn"], "Plaintext": plain, "EncryptionAlgorithm": "SM2PKE"}
        status, outside = openssl_sm2("-encrypt", spki, plain)
        assert status == 0 and cn.decrypt(CiphertextBlob=outside, **common)["Plaintext"] == plain
    assert error_of(cn.encrypt, Plaintext=b"p" * 1025, **common) == (
        "ValidationException", "Algorithm SM2PKE and key spec SM2 cannot encrypt data larger than 1024 bytes.")
    good = sealed["CiphertextBlob"]
    for bad in (good[:-1] + bytes([good[-1] ^ 1]), good[:-1], good + b"\0", b"\1", b"z" * 6144):
        assert error_of(cn.decrypt, CiphertextBlob=bad, **common) == ("InvalidCiphertextException", None)
    assert error_of(cn.encrypt, KeyId=key["KeyId"], Plaintext=MESSAGE) == (
        "InvalidKeyUsageException", "Algorithm SYMMETRIC_DEFAULT is incompatible with key spec SM2.")
    assert error_of(cn.decrypt, CiphertextBlob=good, EncryptionAlgorithm="SM2PKE") == (
        "ValidationException", "KeyId must not be null")


def test_derive_shared_secret(cn, keys):
    """KB 6.4: the x coordinate, 32 bytes. What openssl lacks for SM2 keys (plain ECDH) is computed below."""
    key, spki = keys["KEY_AGREEMENT"], public_of(cn, keys["KEY_AGREEMENT"])
    for _ in range(3):
        peer = Material("SM2")
        answer = answer_fields(cn.derive_shared_secret(KeyId=key["KeyId"], KeyAgreementAlgorithm="ECDH",
                                                       PublicKey=peer.public))
        assert answer == {"KeyId": key["Arn"], "SharedSecret": multiply(peer.number, spki[-64:]),
                          "KeyAgreementAlgorithm": "ECDH", "KeyOrigin": "AWS_KMS"}
    others = [spki_of(ec.generate_private_key(CURVES[s])) for s in NIST_SPECS]
    for bad in (b"x", peer.public[:-1], peer.public + b"\0", peer.public[:-1] + bytes([peer.public[-1] ^ 1]), *others):
        assert error_of(cn.derive_shared_secret, KeyId=key["KeyId"], KeyAgreementAlgorithm="ECDH", PublicKey=bad) == (
            "ValidationException", None)


P = 0xFFFFFFFEFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFF00000000FFFFFFFFFFFFFFFF


def multiply(k, point):
    """The x coordinate of k times a point on SM2's curve (a = -3): textbook affine arithmetic, for tests only."""
    def add(a, b):
        if a is None or b is None:
            return a or b
        if a[0] == b[0] and (a[1] + b[1]) % P == 0:
            return None
        slope = ((3 * a[0] * a[0] - 3) * pow(2 * a[1], -1, P) if a == b else
                 (b[1] - a[1]) * pow(b[0] - a[0], -1, P)) % P
        x = (slope * slope - a[0] - b[0]) % P
        return x, (slope * (a[0] - x) - a[1]) % P

    base = int.from_bytes(point[:32], "big"), int.from_bytes(point[32:], "big")
    total = None
    while k:
        total = add(total, base) if k & 1 else total
        base, k = add(base, base), k >> 1
    return total[0].to_bytes(32, "big")


def test_data_key_pair(cn):
    """KB 6.4: SM2 is among the pair specs; the halves work together in openssl."""
    master = cn.create_key()["KeyMetadata"]["KeyId"]
    made = cn.generate_data_key_pair(KeyId=master, KeyPairSpec="SM2")
    private, public = made["PrivateKeyPlaintext"], made["PublicKey"]
    assert cn.decrypt(CiphertextBlob=made["PrivateKeyCiphertextBlob"])["Plaintext"] == private
    status, sealed = openssl_sm2("-encrypt", public, MESSAGE)
    assert status == 0
    status, opened = openssl_sm2("-decrypt", private, sealed, private=True)
    assert (status, opened) == (0, MESSAGE)


def test_data_key_pair_outside_china(china):
    """KB 3.2 has the text for CreateKey; the pair is refused as well."""
    kms = china.client()
    master = kms.create_key()["KeyMetadata"]["KeyId"]
    code, _ = error_of(kms.generate_data_key_pair, KeyId=master, KeyPairSpec="SM2")
    assert code in ("UnsupportedOperationException", "ValidationException")


@pytest.mark.parametrize("algorithm", ["RSAES_OAEP_SHA_1", "RSAES_OAEP_SHA_256"])
def test_import(cn, algorithm):
    """KB 7.2, 7.4: an SM2 key in every encoding (named curve) is one key; openssl verifies what it signs."""
    material = Material("SM2")
    importer = Importer(cn, "SM2", algorithm, "RSA_2048", usage="SIGN_VERIFY")
    for name, encoding in material.encodings().items():
        answer = answer_fields(importer.put(encoding))
        assert answer == {"KeyId": importer.arn}, name
        assert cn.get_public_key(KeyId=importer.id)["PublicKey"] == material.public, name
    signature = cn.sign(KeyId=importer.id, Message=MESSAGE, SigningAlgorithm="SM2DSA")["Signature"]
    assert openssl_verifies(material.public, MESSAGE, signature, "-rawin", "-digest", "sm3", "-pkeyopt",
                            "distid:1234567812345678")
    cn.delete_imported_key_material(KeyId=importer.id)
    assert error_of(cn.sign, KeyId=importer.id, Message=MESSAGE, SigningAlgorithm="SM2DSA") == (
        "KMSInvalidStateException", "%s is pending import." % importer.arn)
    assert error_of(importer.put, Material("SM2").default)[0] == "IncorrectKeyMaterialException"
    importer.put(material.default)
    assert cn.verify(KeyId=importer.id, Message=MESSAGE, Signature=signature,
                     SigningAlgorithm="SM2DSA")["SignatureValid"] is True


def test_imported_keys_against_openssl(cn):
    """KB 6.1 with the private key on both sides: openssl opens what Encrypt makes, Verify takes what openssl signs,
    DeriveSharedSecret gives what the holder of the same key computes."""
    material, peer = Material("SM2"), Material("SM2")
    by_usage = {usage: Importer(cn, "SM2", usage=usage) for usage in ALGORITHMS}
    for importer in by_usage.values():
        importer.put(material.default)
    sealed = cn.encrypt(KeyId=by_usage["ENCRYPT_DECRYPT"].id, Plaintext=MESSAGE, EncryptionAlgorithm="SM2PKE")
    assert openssl_sm2("-decrypt", material.default, sealed["CiphertextBlob"], private=True) == (0, MESSAGE)
    _, signature = openssl_sm2("-sign", material.default, MESSAGE, "-rawin", "-digest", "sm3", "-pkeyopt",
                               "distid:1234567812345678", private=True)
    signing = {"KeyId": by_usage["SIGN_VERIFY"].id, "SigningAlgorithm": "SM2DSA"}
    assert cn.verify(Message=MESSAGE, Signature=signature, **signing)["SignatureValid"] is True
    _, signature = openssl_sm2("-sign", material.default, sm3(MESSAGE), private=True)
    assert cn.verify(Message=sm3(MESSAGE), MessageType="DIGEST", Signature=signature, **signing)["SignatureValid"]
    shared = cn.derive_shared_secret(KeyId=by_usage["KEY_AGREEMENT"].id, KeyAgreementAlgorithm="ECDH",
                                     PublicKey=peer.public)
    assert shared["SharedSecret"] == multiply(material.number, peer.point()[1:]) and shared["KeyOrigin"] == "EXTERNAL"


def test_bad_imports(cn):
    """R15: a P-256 key, a point of another key, garbage: InvalidCiphertext without message; the token stays."""
    importer = Importer(cn, "SM2", usage="SIGN_VERIFY")
    good, other = Material("SM2"), Material("SM2")
    for bad in (Material("ECC_NIST_P256").default, ec_pkcs8("SM2", good.number, other.point()), b"garbage",
                ec_pkcs8("SM2", 0), good.default + b"\0"):
        assert error_of(importer.put, bad) == ("InvalidCiphertextException", None)
        assert cn.describe_key(KeyId=importer.id)["KeyMetadata"]["KeyState"] == "PendingImport"
    importer.put(good.default)


@pytest.mark.parametrize("spec", ML_KEM_SPECS)
def test_no_ml_kem_in_china(cn, spec):
    """newer-operations: not in China Regions; the text follows SM2's."""
    assert error_of(cn.create_key, KeySpec=spec, KeyUsage="ENCAPSULATE_DECAPSULATE") == (
        "UnsupportedOperationException", "KeySpec %s is not supported in this Region" % spec)
