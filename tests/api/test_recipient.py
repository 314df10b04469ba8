"""Recipient: answers that only an attested enclave opens (kms-behaviour 10.1, 15.2)."""

import pytest
from botocore.exceptions import ClientError
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

import attestation
from trent_server import Server


@pytest.fixture(scope="module")
def module():
    return attestation.Module()


@pytest.fixture(scope="module")
def enclave():
    return attestation.Enclave()


@pytest.fixture(scope="module")
def server(tmp_path_factory, module):
    folder = tmp_path_factory.mktemp("recipient")
    module.write_root(folder / "root.pem")
    with Server(folder / "data", "--attestation-root=%s" % (folder / "root.pem")) as s:
        yield s


@pytest.fixture(scope="module")
def kms(server):
    return server.client()


def refused(call, **parameters):
    with pytest.raises(ClientError) as caught:
        call(**parameters)
    error = caught.value.response["Error"]
    return error["Code"], error["Message"]


def members(answer):
    return set(answer) - {"ResponseMetadata"}


def test_decrypt(kms, module, enclave, tmp_path):
    key = kms.create_key()["KeyMetadata"]["KeyId"]
    blob = kms.encrypt(KeyId=key, Plaintext=b"for the enclave")["CiphertextBlob"]
    answer = kms.decrypt(CiphertextBlob=blob, Recipient=enclave.recipient(module))
    # Plaintext and KeyMaterialId are left out (kms-behaviour 7.6, 10.1)
    assert members(answer) == {"KeyId", "CiphertextForRecipient", "EncryptionAlgorithm"}
    assert enclave.open(answer["CiphertextForRecipient"], tmp_path) == b"for the enclave"


def test_next_request_has_no_recipient(kms, module, enclave):
    """What the server keeps for the next request of a connection does not say whom the last one answered to."""
    key = kms.create_key()["KeyMetadata"]["KeyId"]
    blob = kms.encrypt(KeyId=key, Plaintext=b"for its client")["CiphertextBlob"]
    for _ in range(3):
        assert "CiphertextForRecipient" in kms.decrypt(CiphertextBlob=blob, Recipient=enclave.recipient(module))
        assert kms.decrypt(CiphertextBlob=blob)["Plaintext"] == b"for its client"


def test_decrypt_rsa(kms, module, enclave, tmp_path):
    key = kms.create_key(KeySpec="RSA_2048", KeyUsage="ENCRYPT_DECRYPT")["KeyMetadata"]["KeyId"]
    blob = kms.encrypt(KeyId=key, Plaintext=b"p", EncryptionAlgorithm="RSAES_OAEP_SHA_256")["CiphertextBlob"]
    answer = kms.decrypt(KeyId=key, CiphertextBlob=blob, EncryptionAlgorithm="RSAES_OAEP_SHA_256",
                         Recipient=enclave.recipient(module))
    assert enclave.open(answer["CiphertextForRecipient"], tmp_path) == b"p"


def test_generate_data_key(kms, module, enclave, tmp_path):
    key = kms.create_key()["KeyMetadata"]["KeyId"]
    answer = kms.generate_data_key(KeyId=key, KeySpec="AES_256", Recipient=enclave.recipient(module))
    assert members(answer) == {"CiphertextBlob", "KeyId", "CiphertextForRecipient"}
    data_key = enclave.open(answer["CiphertextForRecipient"], tmp_path)
    assert len(data_key) == 32
    assert kms.decrypt(CiphertextBlob=answer["CiphertextBlob"])["Plaintext"] == data_key


def test_generate_data_key_pair(kms, module, enclave, tmp_path):
    key = kms.create_key()["KeyMetadata"]["KeyId"]
    answer = kms.generate_data_key_pair(KeyId=key, KeyPairSpec="ECC_NIST_P256", Recipient=enclave.recipient(module))
    assert "PrivateKeyPlaintext" not in answer
    private = serialization.load_der_private_key(enclave.open(answer["CiphertextForRecipient"], tmp_path), None)
    assert private.public_key().public_bytes(serialization.Encoding.DER,
                                             serialization.PublicFormat.SubjectPublicKeyInfo) == answer["PublicKey"]


def test_derive_shared_secret(kms, module, enclave, tmp_path):
    key = kms.create_key(KeySpec="ECC_NIST_P256", KeyUsage="KEY_AGREEMENT")["KeyMetadata"]["KeyId"]
    own = ec.generate_private_key(ec.SECP256R1())
    public = serialization.load_der_public_key(kms.get_public_key(KeyId=key)["PublicKey"])
    answer = kms.derive_shared_secret(
        KeyId=key, KeyAgreementAlgorithm="ECDH", Recipient=enclave.recipient(module),
        PublicKey=own.public_key().public_bytes(serialization.Encoding.DER,
                                                serialization.PublicFormat.SubjectPublicKeyInfo))
    assert "SharedSecret" not in answer
    assert enclave.open(answer["CiphertextForRecipient"], tmp_path) == own.exchange(ec.ECDH(), public)


def test_generate_random(kms, module, enclave, tmp_path):
    answer = kms.generate_random(NumberOfBytes=1024, Recipient=enclave.recipient(module))
    assert members(answer) == {"CiphertextForRecipient"}
    assert len(enclave.open(answer["CiphertextForRecipient"], tmp_path)) == 1024


def test_largest_answer(kms, module, tmp_path):
    """4,096 bytes for a key of 4,096 bits."""
    enclave = attestation.Enclave(4096)
    key = kms.create_key()["KeyMetadata"]["KeyId"]
    blob = kms.encrypt(KeyId=key, Plaintext=b"m" * 4096)["CiphertextBlob"]
    answer = kms.decrypt(CiphertextBlob=blob, Recipient=enclave.recipient(module))
    assert enclave.open(answer["CiphertextForRecipient"], tmp_path) == b"m" * 4096


def test_dry_run(kms, module, enclave):
    key = kms.create_key()["KeyMetadata"]["KeyId"]
    for call, more in ((kms.generate_data_key, {"KeySpec": "AES_256"}),
                       (kms.generate_data_key_pair, {"KeyPairSpec": "RSA_2048"})):
        assert refused(call, KeyId=key, DryRun=True, Recipient=enclave.recipient(module), **more)[0] == (
            "DryRunOperationException")


def test_document_of_a_stranger(kms, enclave):
    assert refused(kms.generate_random, NumberOfBytes=1,
                   Recipient=enclave.recipient(attestation.Module())) == attestation.INVALID


def test_tampered_document(kms, module, enclave):
    recipient = enclave.recipient(module)
    document = bytearray(recipient["AttestationDocument"])
    document[len(document) // 2] ^= 1
    assert refused(kms.generate_random, NumberOfBytes=1,
                   Recipient={**recipient, "AttestationDocument": bytes(document)}) == attestation.INVALID


@pytest.mark.parametrize("document", [b"x", b"\xd2", b"\x84" * 100, b"\x00" * 65536], ids=len)
def test_garbage(kms, document):
    assert refused(kms.generate_random, NumberOfBytes=1, Recipient={
        "AttestationDocument": document, "KeyEncryptionAlgorithm": "RSAES_OAEP_SHA_256"}) == attestation.INVALID


def test_shape(kms, module, enclave):
    recipient = enclave.recipient(module)
    assert refused(kms.generate_random, NumberOfBytes=1,
                   Recipient={**recipient, "KeyEncryptionAlgorithm": "RSAES_OAEP_SHA_1"}) == (
        "ValidationException", "1 validation error detected: Value 'RSAES_OAEP_SHA_1' at "
        "'recipient.keyEncryptionAlgorithm' failed to satisfy constraint: Member must satisfy enum value set: "
        "[RSAES_OAEP_SHA_256]")
    for missing in recipient:
        rest = {name: value for name, value in recipient.items() if name != missing}
        assert refused(kms.generate_random, NumberOfBytes=1, Recipient=rest)[0] == "ValidationException"


def test_nothing_is_done_for_a_bad_document(server, kms, enclave):
    """It is refused before the key is looked at, and the audit says so without the document."""
    assert refused(kms.generate_data_key, KeyId="alias/not-there", KeySpec="AES_256",
                   Recipient=enclave.recipient(attestation.Module())) == attestation.INVALID
    (record,) = [r for r in server.audit() if r["eventName"] == "GenerateDataKey" and "errorCode" in r
                 and "not-there" in str(r.get("requestParameters"))]
    assert record["errorCode"] == "ValidationException"
    assert "attestation" not in str(record["requestParameters"]).lower()


def test_no_root_configured(tmp_path, module, enclave):
    with Server(tmp_path / "data") as bare:
        assert refused(bare.client().generate_random, NumberOfBytes=1,
                       Recipient=enclave.recipient(module)) == attestation.NO_ROOT
