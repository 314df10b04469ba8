"""Recorded behaviour of RSA, ECC, HMAC and ML-DSA keys: recorded-crypto sections 1 to 8, 11, 12 and 13.

Each test names the section and the row it holds. What the server makes is checked by an independent implementation
(families.py); section 9 is in test_key_pairs.py, grants (8.2) come with authorization.
"""
import json
import os

import pytest
import requests
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, utils

from families import (
    CURVES, ECDSA, EC_SPECS, EDWARDS, HMAC_SPECS, LIST_MEMBER, MAC_BYTES, ML_DSA_BYTES, ML_DSA_PUBLIC, ML_DSA_SPECS,
    NIST_SPECS, OAEP, ORDERS, RSA_SPECS, SECRET_BYTES, SIGNING_SPECS, SPECS, SPKI_BYTES, Keys, as_sent, bits,
    encrypt_outside, integer, message_types, mu_of, oid, pairs, seq, signing_cases, spki_of, tlv, verifies)
from recorded import answer_fields
from test_http import signed
from trent_server import b64, error_of

MESSAGE = b"twenty-seven bytes message."
DRY_RUN = ("DryRunOperationException", "The request would have succeeded, but the DryRun option is set.")
EMPTY = ("ValidationException", "1 validation error detected: Value at 'message' failed to satisfy constraint: Member "
         "must have length greater than or equal to 1")
TOO_LONG = ("ValidationException", "1 validation error detected: Value at 'message' failed to satisfy constraint: "
            "Member must have length less than or equal to 4096")
NO_MATERIAL_ID = RSA_SPECS + EC_SPECS + [EDWARDS] + HMAC_SPECS + ML_DSA_SPECS


@pytest.fixture(scope="module")
def keys(kms):
    return Keys(kms)


def refused(text):
    return "ValidationException", text


def wrong_algorithm(algorithm, spec):
    return "InvalidKeyUsageException", "Algorithm %s is incompatible with key spec %s." % (algorithm, spec)


def disabled(key):
    return "DisabledException", "%s is disabled." % key["Arn"]


def pending_deletion(key):
    return "KMSInvalidStateException", "%s is pending deletion." % key["Arn"]


def body_of(server, operation, **members):
    """Status and JSON body as they are on the wire; bytes go as base64."""
    body = json.dumps({k: b64(v) if isinstance(v, bytes) else v for k, v in members.items()})
    prepared = signed(server, operation, body)
    answer = requests.post(prepared.url, data=prepared.body, headers=dict(prepared.headers.items()), timeout=30)
    return answer.status_code, answer.json()


# --- section 2: KeyMetadata and GetPublicKey -----------------------------------------------------------

METADATA = {"AWSAccountId", "KeyId", "Arn", "CreationDate", "Enabled", "Description", "KeyUsage", "KeyState", "Origin",
            "KeyManager", "CustomerMasterKeySpec", "KeySpec", "MultiRegion"}


@pytest.mark.parametrize("spec,usage", pairs())
def test_2_metadata(kms, keys, spec, usage):
    """2, text above the table and columns Usage, List member, List; 1.1 #22: CustomerMasterKeySpec echoes KeySpec."""
    made = keys(spec, usage)
    expected = METADATA | {LIST_MEMBER[usage]} | ({"CurrentKeyMaterialId"} if spec == "SYMMETRIC_DEFAULT" else set())
    assert set(made) == expected
    assert made[LIST_MEMBER[usage]] == SPECS[spec][usage]
    assert (made["KeySpec"], made["CustomerMasterKeySpec"], made["KeyUsage"]) == (spec, spec, usage)
    assert (made["KeyState"], made["Enabled"], made["Origin"], made["KeyManager"], made["MultiRegion"],
            made["Description"]) == ("Enabled", True, "AWS_KMS", "CUSTOMER", False, "recorded")
    assert kms.describe_key(KeyId=made["KeyId"])["KeyMetadata"] == made


def test_2_customer_master_key_spec_makes_keys_too(kms):
    """KB 6.1: the deprecated member does the same."""
    made = kms.create_key(CustomerMasterKeySpec="ECC_NIST_P256", KeyUsage="SIGN_VERIFY")["KeyMetadata"]
    assert (made["KeySpec"], made["CustomerMasterKeySpec"]) == ("ECC_NIST_P256", "ECC_NIST_P256")


def expected_spki(spec, spki):
    """The SPKI as section 2 describes it, put together again from the key's own numbers."""
    key = serialization.load_der_public_key(spki)
    if spec in RSA_SPECS:
        n = key.public_numbers()
        assert n.e == 65537 and n.n.bit_length() == int(spec[4:])
        return seq(seq(oid("1.2.840.113549.1.1.1"), b"\x05\x00"), bits(seq(integer(n.n), b"\x02\x03\x01\x00\x01")))
    if spec in EC_SPECS:
        curve = {"ECC_NIST_P256": "1.2.840.10045.3.1.7", "ECC_NIST_P384": "1.3.132.0.34",
                 "ECC_NIST_P521": "1.3.132.0.35", "ECC_SECG_P256K1": "1.3.132.0.10"}[spec]
        point = key.public_bytes(serialization.Encoding.X962, serialization.PublicFormat.UncompressedPoint)
        return seq(seq(oid("1.2.840.10045.2.1"), oid(curve)), bits(point))
    number = {EDWARDS: "1.3.101.112", "ML_DSA_44": "2.16.840.1.101.3.4.3.17", "ML_DSA_65": "2.16.840.1.101.3.4.3.18",
              "ML_DSA_87": "2.16.840.1.101.3.4.3.19"}[spec]
    return seq(seq(oid(number)), bits(key.public_bytes_raw()))


@pytest.mark.parametrize("spec,usage", [(s, u) for s, u in pairs(SIGNING_SPECS)])
def test_2_get_public_key(kms, keys, spec, usage):
    """2, GetPublicKey output: exact members, recorded sizes and encodings, same octets every time; on a Disabled key
    the full normal output (1.1 #29); pending deletion refused at once."""
    key = keys(spec, usage)
    answer = answer_fields(kms.get_public_key(KeyId=key["KeyId"]))
    assert answer == {"KeyId": key["Arn"], "PublicKey": answer["PublicKey"], "CustomerMasterKeySpec": spec,
                      "KeySpec": spec, "KeyUsage": usage, LIST_MEMBER[usage]: SPECS[spec][usage]}
    spki = answer["PublicKey"]
    assert len(spki) == SPKI_BYTES[spec] and spki == expected_spki(spec, spki)
    kms.disable_key(KeyId=key["KeyId"])
    assert answer_fields(kms.get_public_key(KeyId=key["Arn"])) == answer
    kms.schedule_key_deletion(KeyId=key["KeyId"], PendingWindowInDays=7)
    assert error_of(kms.get_public_key, KeyId=key["KeyId"]) == pending_deletion(key)
    kms.cancel_key_deletion(KeyId=key["KeyId"])
    kms.enable_key(KeyId=key["KeyId"])
    assert answer_fields(kms.get_public_key(KeyId=key["KeyId"])) == answer


@pytest.mark.parametrize("spec", ["SYMMETRIC_DEFAULT"] + HMAC_SPECS)
def test_2_get_public_key_of_a_secret(server, keys, spec):
    """2, other results: symmetric key; KB 6.4: HMAC the same. No message member at all."""
    status, body = body_of(server, "GetPublicKey", KeyId=keys(spec)["KeyId"])
    assert (status, body) == (400, {"__type": "UnsupportedOperationException"})


def test_2_get_public_key_of_a_disabled_secret(kms, keys):
    """2 and KB 5.1 (6): state pending deletion comes before 'symmetric key'."""
    key = keys.new("SYMMETRIC_DEFAULT")
    kms.schedule_key_deletion(KeyId=key["KeyId"], PendingWindowInDays=7)
    assert error_of(kms.get_public_key, KeyId=key["KeyId"]) == pending_deletion(key)


# --- section 3: CreateKey ------------------------------------------------------------------------------


@pytest.mark.parametrize("spec", [s for s in SPECS if s != "SYMMETRIC_DEFAULT"])
def test_3_usage_left_out(kms, spec):
    """3 row 1 (RSA by KB 3.2)."""
    assert error_of(kms.create_key, KeySpec=spec) == refused(
        "You must specify a KeyUsage value for all KMS keys except for symmetric encryption keys.")


@pytest.mark.parametrize("spec,usage", [(s, u) for s in SPECS for u in LIST_MEMBER if u not in SPECS[s]])
def test_3_usage_that_does_not_fit(kms, spec, usage):
    """3 rows 2 and 3, for every pair that no key has."""
    assert error_of(kms.create_key, KeySpec=spec, KeyUsage=usage) == refused(
        "KeyUsage %s is not compatible with KeySpec %s" % (usage, spec))


# --- section 4.1: RSA, ENCRYPT_DECRYPT -----------------------------------------------------------------

LIMITS = {("RSA_2048", "RSAES_OAEP_SHA_1"): 214, ("RSA_2048", "RSAES_OAEP_SHA_256"): 190,
          ("RSA_3072", "RSAES_OAEP_SHA_1"): 342, ("RSA_3072", "RSAES_OAEP_SHA_256"): 318,
          ("RSA_4096", "RSAES_OAEP_SHA_1"): 470, ("RSA_4096", "RSAES_OAEP_SHA_256"): 446}
rsa_pairs = pytest.mark.parametrize("spec,algorithm", sorted(LIMITS))


@rsa_pairs
def test_4_1_encrypt_and_decrypt(kms, keys, spec, algorithm):
    """4.1 rows 1, 2 and 10: exact members, sizes, at the size limit; no KeyMaterialId on either side."""
    key = keys(spec, "ENCRYPT_DECRYPT")
    for plain in (MESSAGE, os.urandom(LIMITS[spec, algorithm]), b"x"):
        sealed = answer_fields(kms.encrypt(KeyId=key["KeyId"], Plaintext=plain, EncryptionAlgorithm=algorithm))
        assert sealed == {"CiphertextBlob": sealed["CiphertextBlob"], "KeyId": key["Arn"],
                          "EncryptionAlgorithm": algorithm}
        assert len(sealed["CiphertextBlob"]) == int(spec[4:]) // 8
        assert answer_fields(kms.decrypt(KeyId=key["KeyId"], CiphertextBlob=sealed["CiphertextBlob"],
                                         EncryptionAlgorithm=algorithm)) == {
            "KeyId": key["Arn"], "Plaintext": plain, "EncryptionAlgorithm": algorithm}


@rsa_pairs
def test_4_1_above_the_limit(kms, keys, spec, algorithm):
    """4.1 row 3."""
    n = LIMITS[spec, algorithm]
    for size in (n + 1, 4096):
        assert error_of(kms.encrypt, KeyId=keys(spec, "ENCRYPT_DECRYPT")["KeyId"], Plaintext=b"x" * size,
                        EncryptionAlgorithm=algorithm) == refused(
            "Algorithm %s and key spec %s cannot encrypt data larger than %d bytes." % (algorithm, spec, n))


@pytest.mark.parametrize("spec", RSA_SPECS)
def test_4_1_algorithm_left_out(kms, keys, spec):
    """4.1 rows 4 and 13; 1.2 row 3: Encrypt reports the usage, Decrypt has read the blob before; also with KeyId."""
    key = keys(spec, "ENCRYPT_DECRYPT")["KeyId"]
    assert error_of(kms.encrypt, KeyId=key, Plaintext=MESSAGE) == wrong_algorithm("SYMMETRIC_DEFAULT", spec)
    blob = kms.encrypt(KeyId=key, Plaintext=MESSAGE, EncryptionAlgorithm=OAEP[0])["CiphertextBlob"]
    assert error_of(kms.decrypt, KeyId=key, CiphertextBlob=blob) == ("InvalidCiphertextException", None)
    assert error_of(kms.decrypt, CiphertextBlob=blob) == ("InvalidCiphertextException", None)


@rsa_pairs
def test_4_1_encryption_context(kms, keys, spec, algorithm):
    """4.1 rows 5 and 6, 1.1 #20: refused when it has pairs, an empty map is accepted, on both."""
    key = keys(spec, "ENCRYPT_DECRYPT")["KeyId"]
    text = refused("EncryptionContext is not supported when encrypting/decrypting with asymmetric CMKs.")
    blob = kms.encrypt(KeyId=key, Plaintext=MESSAGE, EncryptionAlgorithm=algorithm, EncryptionContext={})
    more = {"KeyId": key, "EncryptionAlgorithm": algorithm}
    assert error_of(kms.encrypt, Plaintext=MESSAGE, EncryptionContext={"a": "b"}, **more) == text
    assert error_of(kms.decrypt, CiphertextBlob=blob["CiphertextBlob"], EncryptionContext={"a": "b"}, **more) == text
    assert kms.decrypt(CiphertextBlob=blob["CiphertextBlob"], EncryptionContext={}, **more)["Plaintext"] == MESSAGE


@rsa_pairs
def test_4_1_ciphertext_made_outside(kms, keys, spec, algorithm):
    """4.1 row 11: plain RSA-OAEP with the public key, at the size limit too."""
    key = keys(spec, "ENCRYPT_DECRYPT")
    for plain in (MESSAGE, b"y" * LIMITS[spec, algorithm]):
        outside = encrypt_outside(keys.public(spec, "ENCRYPT_DECRYPT"), algorithm, plain)
        assert answer_fields(kms.decrypt(KeyId=key["Arn"], CiphertextBlob=outside, EncryptionAlgorithm=algorithm)) == {
            "KeyId": key["Arn"], "Plaintext": plain, "EncryptionAlgorithm": algorithm}


@rsa_pairs
def test_4_1_decrypt_without_key_id(kms, keys, spec, algorithm):
    """4.1 row 12, 1.2 row 2, 11.2: not the validation form, no full stop."""
    blob = encrypt_outside(keys.public(spec, "ENCRYPT_DECRYPT"), algorithm, MESSAGE)
    assert error_of(kms.decrypt, CiphertextBlob=blob, EncryptionAlgorithm=algorithm) == refused(
        "KeyId must not be null")


@rsa_pairs
def test_4_1_invalid_ciphertext(kms, keys, spec, algorithm):
    """4.1 rows 14, 15 and 16, 1.3: damaged, of wrong size, the other hash; with DryRun too (11.7)."""
    key = keys(spec, "ENCRYPT_DECRYPT")["KeyId"]
    spki = keys.public(spec, "ENCRYPT_DECRYPT")
    good = encrypt_outside(spki, algorithm, MESSAGE)
    other = encrypt_outside(spki, OAEP[1 - OAEP.index(algorithm)], MESSAGE)
    for bad in (good[:-1] + bytes([good[-1] ^ 1]), good[:-1], good + b"\0", b"\0" * len(good), b"\xff" * len(good),
                b"\1", b"z" * 6144, other):
        for more in ({}, {"DryRun": True}):
            assert error_of(kms.decrypt, KeyId=key, CiphertextBlob=bad, EncryptionAlgorithm=algorithm, **more) == (
                "InvalidCiphertextException", None)


def test_4_1_invalid_ciphertext_on_the_wire(server, keys):
    """0: no message means no member."""
    assert body_of(server, "Decrypt", KeyId=keys("RSA_2048", "ENCRYPT_DECRYPT")["KeyId"], CiphertextBlob=b"\1" * 256,
                   EncryptionAlgorithm=OAEP[1]) == (400, {"__type": "InvalidCiphertextException"})


@pytest.mark.parametrize("algorithm", OAEP)
def test_4_1_dry_run(kms, keys, algorithm):
    """4.1 row 7, 12 DryRun table."""
    key = keys("RSA_2048", "ENCRYPT_DECRYPT")["KeyId"]
    assert error_of(kms.encrypt, KeyId=key, Plaintext=MESSAGE, EncryptionAlgorithm=algorithm, DryRun=True) == DRY_RUN
    blob = encrypt_outside(keys.public("RSA_2048", "ENCRYPT_DECRYPT"), algorithm, MESSAGE)
    assert error_of(kms.decrypt, KeyId=key, CiphertextBlob=blob, EncryptionAlgorithm=algorithm, DryRun=True) == DRY_RUN


@pytest.mark.parametrize("spec", RSA_SPECS)
def test_4_1_data_keys_need_a_symmetric_key(kms, keys, spec):
    """4.1 row 17, 1.3 row 1; the data key's text by KB 3.2."""
    key = keys(spec, "ENCRYPT_DECRYPT")["KeyId"]
    pair = ("InvalidKeyUsageException", "You cannot generate a data key pair with an asymmetric CMK")
    assert error_of(kms.generate_data_key_pair, KeyId=key, KeyPairSpec="ECC_NIST_P256") == pair
    assert error_of(kms.generate_data_key_pair_without_plaintext, KeyId=key, KeyPairSpec="ECC_NIST_P256") == pair
    assert error_of(kms.generate_data_key, KeyId=key, KeySpec="AES_256") == (
        "InvalidKeyUsageException", "You cannot generate a data key with an asymmetric CMK")


# --- section 4.2: ReEncrypt between RSA and symmetric --------------------------------------------------


@rsa_pairs
def test_4_2_re_encrypt(kms, keys, spec, algorithm):
    """4.2, both directions: exact members; the result opens; 10: the symmetric blob's size and material id."""
    rsa_key, symmetric = keys(spec, "ENCRYPT_DECRYPT"), keys("SYMMETRIC_DEFAULT")
    material_id = symmetric["CurrentKeyMaterialId"]
    blob = encrypt_outside(keys.public(spec, "ENCRYPT_DECRYPT"), algorithm, MESSAGE)
    inward = answer_fields(kms.re_encrypt(CiphertextBlob=blob, SourceKeyId=rsa_key["KeyId"],
                                          SourceEncryptionAlgorithm=algorithm, DestinationKeyId=symmetric["KeyId"]))
    sealed = inward.pop("CiphertextBlob")
    assert inward == {"SourceKeyId": rsa_key["Arn"], "KeyId": symmetric["Arn"], "SourceEncryptionAlgorithm": algorithm,
                      "DestinationEncryptionAlgorithm": "SYMMETRIC_DEFAULT", "DestinationKeyMaterialId": material_id}
    assert len(sealed) == 179 and sealed[5:37].hex() == material_id
    outward = answer_fields(kms.re_encrypt(CiphertextBlob=sealed, DestinationKeyId=rsa_key["KeyId"],
                                           DestinationEncryptionAlgorithm=algorithm))
    back = outward.pop("CiphertextBlob")
    assert outward == {"SourceKeyId": symmetric["Arn"], "KeyId": rsa_key["Arn"],
                       "SourceEncryptionAlgorithm": "SYMMETRIC_DEFAULT", "DestinationEncryptionAlgorithm": algorithm,
                       "SourceKeyMaterialId": material_id}
    assert kms.decrypt(KeyId=rsa_key["KeyId"], CiphertextBlob=back, EncryptionAlgorithm=algorithm)[
        "Plaintext"] == MESSAGE


def test_4_2_re_encrypt_refusals(kms, keys):
    """4.1's rules on either side of ReEncrypt: bad source, too long for the destination, an algorithm that does not
    fit, DryRun."""
    rsa_key, symmetric = keys("RSA_2048", "ENCRYPT_DECRYPT")["KeyId"], keys("SYMMETRIC_DEFAULT")["KeyId"]
    source = {"SourceKeyId": rsa_key, "SourceEncryptionAlgorithm": OAEP[1], "DestinationKeyId": symmetric}
    assert error_of(kms.re_encrypt, CiphertextBlob=b"\1" * 256, **source) == ("InvalidCiphertextException", None)
    long = kms.encrypt(KeyId=symmetric, Plaintext=b"x" * 191)["CiphertextBlob"]
    assert error_of(kms.re_encrypt, CiphertextBlob=long, DestinationKeyId=rsa_key,
                    DestinationEncryptionAlgorithm=OAEP[1]) == refused(
        "Algorithm RSAES_OAEP_SHA_256 and key spec RSA_2048 cannot encrypt data larger than 190 bytes.")
    assert error_of(kms.re_encrypt, CiphertextBlob=long, DestinationKeyId=rsa_key) == wrong_algorithm(
        "SYMMETRIC_DEFAULT", "RSA_2048")
    good = encrypt_outside(keys.public("RSA_2048", "ENCRYPT_DECRYPT"), OAEP[1], MESSAGE)
    assert error_of(kms.re_encrypt, CiphertextBlob=good, DryRun=True, **source) == DRY_RUN


# --- sections 4.3, 5 and 7: signing --------------------------------------------------------------------

signing = pytest.mark.parametrize("spec,algorithm,message_type", signing_cases())


def sign(kms, key, algorithm, message_type, sent):
    answer = answer_fields(kms.sign(KeyId=key["KeyId"], Message=sent, MessageType=message_type,
                                    SigningAlgorithm=algorithm))
    assert answer == {"KeyId": key["Arn"], "Signature": answer["Signature"], "SigningAlgorithm": algorithm}
    return answer["Signature"]


def verify(kms, key, algorithm, message_type, sent, signature, **more):
    return kms.verify(KeyId=key["KeyId"], Message=sent, MessageType=message_type, SigningAlgorithm=algorithm,
                      Signature=signature, **more)


@signing
def test_sign_verifies_outside(kms, keys, spec, algorithm, message_type):
    """4.3 rows 1 and 2, 5 rows Sign RAW and DIGEST, 7 rows 1 and 2, 13: members, encoding and length of each
    signature, over the longest message too; PSS salt and MGF1 as 1.1 says; deterministic or not as 13 says."""
    key, spki = keys(spec), keys.public(spec)
    deterministic = "PKCS1" in algorithm or algorithm.startswith("ED25519")
    for message in (MESSAGE, os.urandom(4096), b"\0"):
        sent = as_sent(algorithm, message_type, message, spki)
        made = [sign(kms, key, algorithm, message_type, sent) for _ in range(2)]
        assert (made[0] == made[1]) == deterministic
        for signature in made:
            assert verifies(spki, algorithm, message_type, sent, signature)
            assert not verifies(spki, algorithm, message_type, sent[:-1] + bytes([sent[-1] ^ 1]), signature)
            check_encoding(spec, signature)


def check_encoding(spec, signature):
    """13."""
    if spec in EC_SPECS:
        r, s = utils.decode_dss_signature(signature)
        assert utils.encode_dss_signature(r, s) == signature and 0 < r < ORDERS[spec] and 0 < s < ORDERS[spec]
        return
    expected = {**{s: int(s[4:]) // 8 for s in RSA_SPECS}, EDWARDS: 64, **ML_DSA_BYTES}
    assert len(signature) == expected[spec]


@signing
def test_verify(kms, keys, spec, algorithm, message_type):
    """4.3 rows 3, 5 and 6, 5 rows Verify, 7 rows 3 and 9, 1.3 (lengths), KB 6.3 (1 and 6144 bytes): exact members;
    every bad signature is KMSInvalidSignatureException without message, with DryRun too (12); a good one with DryRun
    is DryRunOperationException."""
    key, spki = keys(spec), keys.public(spec)
    sent = as_sent(algorithm, message_type, MESSAGE, spki)
    signature = sign(kms, key, algorithm, message_type, sent)
    assert answer_fields(verify(kms, key, algorithm, message_type, sent, signature)) == {
        "KeyId": key["Arn"], "SignatureValid": True, "SigningAlgorithm": algorithm}
    assert error_of(verify, kms, key, algorithm, message_type, sent, signature, DryRun=True) == DRY_RUN
    flipped = signature[:-1] + bytes([signature[-1] ^ 1])
    for bad in (flipped, signature[:-1], signature + b"\0", b"\1", b"\0" * len(signature), b"s" * 6144):
        for more in ({}, {"DryRun": True}):
            assert error_of(verify, kms, key, algorithm, message_type, sent, bad, **more) == (
                "KMSInvalidSignatureException", None)
    other = sent[:-1] + bytes([sent[-1] ^ 1])
    assert error_of(verify, kms, key, algorithm, message_type, other, signature) == (
        "KMSInvalidSignatureException", None)


def test_bad_signature_and_mac_on_the_wire(server, keys):
    """0 and 1.3: no message member."""
    assert body_of(server, "Verify", KeyId=keys("ECC_NIST_P256")["KeyId"], Message=MESSAGE, Signature=b"\1" * 70,
                   SigningAlgorithm="ECDSA_SHA_256") == (400, {"__type": "KMSInvalidSignatureException"})
    assert body_of(server, "VerifyMac", KeyId=keys("HMAC_256")["KeyId"], Message=MESSAGE, Mac=b"\1" * 32,
                   MacAlgorithm="HMAC_SHA_256") == (400, {"__type": "KMSInvalidMacException"})


@pytest.mark.parametrize("spec,algorithm", [(s, a) for s in RSA_SPECS + EC_SPECS for a in SPECS[s]["SIGN_VERIFY"]])
def test_4_3_raw_and_digest_are_interchangeable(kms, keys, spec, algorithm):
    """4.3 rows 2 and 3, KB 6.3: a RAW signature verifies as DIGEST and the other way; PKCS#1: the same octets."""
    key, spki = keys(spec), keys.public(spec)
    hashed = as_sent(algorithm, "DIGEST", MESSAGE, spki)
    of_raw, of_digest = sign(kms, key, algorithm, "RAW", MESSAGE), sign(kms, key, algorithm, "DIGEST", hashed)
    assert (of_raw == of_digest) == ("PKCS1" in algorithm)
    assert verify(kms, key, algorithm, "DIGEST", hashed, of_raw)["SignatureValid"] is True
    assert verify(kms, key, algorithm, "RAW", MESSAGE, of_digest)["SignatureValid"] is True


@pytest.mark.parametrize("spec", ML_DSA_SPECS)
def test_7_raw_and_mu_are_interchangeable(kms, keys, spec):
    """7 row 3 and the line below the table, 1.2 row 4: in Verify, and outside with mu computed from the message."""
    key, spki = keys(spec), keys.public(spec)
    mu = mu_of(spki, MESSAGE)
    of_raw = sign(kms, key, "ML_DSA_SHAKE_256", "RAW", MESSAGE)
    of_mu = sign(kms, key, "ML_DSA_SHAKE_256", "EXTERNAL_MU", mu)
    assert verify(kms, key, "ML_DSA_SHAKE_256", "EXTERNAL_MU", mu, of_raw)["SignatureValid"] is True
    assert verify(kms, key, "ML_DSA_SHAKE_256", "RAW", MESSAGE, of_mu)["SignatureValid"] is True
    public = ML_DSA_PUBLIC[spec].from_public_bytes(spki[22:])
    public.verify(of_mu, MESSAGE)
    public.verify_mu(of_raw, mu)


@pytest.mark.parametrize("spec,algorithm", [(s, a) for s in SIGNING_SPECS for a in SPECS[s]["SIGN_VERIFY"]])
def test_message_type_left_out_means_raw(kms, keys, spec, algorithm):
    """4.3 row 1, 7 row 1, 5 row 1 with 11.6 for Ed25519ph."""
    key, spki = keys(spec), keys.public(spec)
    parameters = {"KeyId": key["KeyId"], "Message": MESSAGE, "SigningAlgorithm": algorithm}
    if "RAW" in message_types(algorithm):
        signature = kms.sign(**parameters)["Signature"]
        assert verifies(spki, algorithm, "RAW", MESSAGE, signature)
        assert kms.verify(Signature=signature, **parameters)["SignatureValid"] is True
    else:
        assert error_of(kms.sign, **parameters) == refused(
            "Message type RAW is incompatible with algorithm %s." % algorithm)


@pytest.mark.parametrize("spec,algorithm", [
    (s, a) for s in SIGNING_SPECS for a in SPECS[s]["SIGN_VERIFY"] if "DIGEST" in message_types(a)])
def test_digest_of_wrong_length(kms, keys, spec, algorithm):
    """4.3 row 4, 5 row 3, KB 6.3: on Sign and on Verify."""
    key = keys(spec)
    right = len(as_sent(algorithm, "DIGEST", MESSAGE, b""))
    for length in (1, right - 1, right + 1, 4096):
        text = refused("Digest is invalid length for algorithm %s." % algorithm)
        parameters = {"KeyId": key["KeyId"], "Message": b"d" * length, "MessageType": "DIGEST",
                      "SigningAlgorithm": algorithm}
        assert error_of(kms.sign, **parameters) == text
        assert error_of(kms.verify, Signature=b"s" * 64, **parameters) == text


@pytest.mark.parametrize("spec", RSA_SPECS + EC_SPECS + [EDWARDS])
def test_external_mu_needs_ml_dsa(kms, keys, spec):
    """4.3 row 8, 5 row 4, 1.1 #21: names the key spec (11.6), whatever the algorithm and length; Verify the same."""
    for algorithm in SPECS[spec]["SIGN_VERIFY"]:
        for length in (64, 5):
            parameters = {"KeyId": keys(spec)["KeyId"], "Message": b"m" * length, "MessageType": "EXTERNAL_MU",
                          "SigningAlgorithm": algorithm}
            text = refused("Message type EXTERNAL_MU is incompatible with key spec %s." % spec)
            assert error_of(kms.sign, **parameters) == text
            assert error_of(kms.verify, Signature=b"s" * 64, **parameters) == text


def test_5_ed25519_message_types(kms, keys):
    """5 rows 1 to 3, 11.6: the type error wins over the length."""
    def errors(algorithm, message_type, message):
        parameters = {"KeyId": keys(EDWARDS)["KeyId"], "Message": message, "MessageType": message_type,
                      "SigningAlgorithm": algorithm}
        of_sign = error_of(kms.sign, **parameters)
        assert of_sign == error_of(kms.verify, Signature=b"s" * 64, **parameters)
        return of_sign

    raw = refused("Message type RAW is incompatible with algorithm ED25519_PH_SHA_512.")
    hashed = refused("Message type DIGEST is incompatible with algorithm ED25519_SHA_512.")
    assert errors("ED25519_PH_SHA_512", "RAW", MESSAGE) == raw
    for length in (64, 63, 1):
        assert errors("ED25519_SHA_512", "DIGEST", b"d" * length) == hashed


def test_5_ed25519ph_hashes_the_digest_again(kms, keys):
    """1.1 (Ed25519ph trap): verifies as Ed25519ph of the 64 bytes sent, not as Ed25519 of them."""
    spki = keys.public(EDWARDS)
    sent = as_sent("ED25519_PH_SHA_512", "DIGEST", MESSAGE, spki)
    signature = sign(kms, keys(EDWARDS), "ED25519_PH_SHA_512", "DIGEST", sent)
    assert verifies(spki, "ED25519_PH_SHA_512", "DIGEST", sent, signature)
    assert not verifies(spki, "ED25519_PH_SHA_512", "DIGEST", MESSAGE, signature)
    assert not verifies(spki, "ED25519_SHA_512", "RAW", sent, signature)


@pytest.mark.parametrize("spec", SIGNING_SPECS)
def test_algorithm_of_another_family(kms, keys, spec):
    """5 row 9, 7 row 8: InvalidKeyUsageException; and before the digest's length (KB 1.5 step 9)."""
    key = keys(spec)["KeyId"]
    for algorithm in ("RSASSA_PSS_SHA_256", "ECDSA_SHA_256", "ECDSA_SHA_384", "ED25519_SHA_512", "ML_DSA_SHAKE_256"):
        if algorithm in SPECS[spec]["SIGN_VERIFY"]:
            continue
        for message_type in ("RAW", "DIGEST") if algorithm == "RSASSA_PSS_SHA_256" else ("RAW",):
            assert error_of(kms.sign, KeyId=key, Message=MESSAGE, SigningAlgorithm=algorithm,
                            MessageType=message_type) == wrong_algorithm(algorithm, spec)
        assert error_of(kms.verify, KeyId=key, Message=MESSAGE, Signature=b"s", SigningAlgorithm=algorithm) == (
            wrong_algorithm(algorithm, spec))


@signing
def test_sign_dry_run(kms, keys, spec, algorithm, message_type):
    """4.3 row 7, 5 row 8, 7 row 10, 12."""
    sent = as_sent(algorithm, message_type, MESSAGE, keys.public(spec))
    assert error_of(kms.sign, KeyId=keys(spec)["KeyId"], Message=sent, MessageType=message_type,
                    SigningAlgorithm=algorithm, DryRun=True) == DRY_RUN


@pytest.mark.parametrize("spec", ML_DSA_SPECS)
def test_7_wrong_message_types(kms, keys, spec):
    """7 rows 6 and 7, 1.1 #21: DIGEST, and mu of 1, 63 and 65 bytes; Sign and Verify."""
    key = keys(spec)["KeyId"]

    def errors(**parameters):
        parameters.update(KeyId=key, SigningAlgorithm="ML_DSA_SHAKE_256")
        of_sign = error_of(kms.sign, **parameters)
        assert of_sign == error_of(kms.verify, Signature=b"s" * ML_DSA_BYTES[spec], **parameters)
        return of_sign

    assert errors(MessageType="DIGEST", Message=b"d" * 32) == refused(
        "Message type DIGEST is incompatible with key spec %s." % spec)
    for length in (1, 63, 65):
        assert errors(MessageType="EXTERNAL_MU", Message=b"m" * length) == refused(
            "External Mu is invalid length for algorithm ML_DSA_SHAKE_256.")


@pytest.mark.parametrize("spec", SIGNING_SPECS)
def test_12_message_sizes(kms, keys, spec):
    """12 row 2, 7 rows 4 and 5, 11.1: empty is a length error, so are 4097 bytes (KB 1.6)."""
    parameters = {"KeyId": keys(spec)["KeyId"], "SigningAlgorithm": SPECS[spec]["SIGN_VERIFY"][-1]}
    assert error_of(kms.sign, Message=b"", **parameters) == EMPTY
    assert error_of(kms.sign, Message=b"m" * 4097, **parameters) == TOO_LONG
    assert kms.sign(Message=b"m" * 4096, **parameters)["Signature"]


@pytest.mark.parametrize("spec", EC_SPECS)
def test_1_1_s_is_not_normalised(kms, keys, spec):
    """1.1 (secp256k1 and the others): of 40 signatures some have S above half the order (all low: 1 in 10^12)."""
    spki = keys.public(spec)
    high = 0
    for _ in range(40):
        signature = sign(kms, keys(spec), ECDSA[spec], "RAW", MESSAGE)
        high += utils.decode_dss_signature(signature)[1] > ORDERS[spec] // 2
    assert 0 < high < 40 and verifies(spki, ECDSA[spec], "RAW", MESSAGE, signature)


@pytest.mark.parametrize("spec", EC_SPECS)
def test_verify_accepts_both_values_of_s(kms, keys, spec):
    """1.1: what the service makes it also takes; r or s out of range or DER that is not minimal is refused."""
    key, algorithm, order = keys(spec), ECDSA[spec], ORDERS[spec]
    r, s = utils.decode_dss_signature(sign(kms, key, algorithm, "RAW", MESSAGE))
    assert verify(kms, key, algorithm, "RAW", MESSAGE, utils.encode_dss_signature(r, order - s))["SignatureValid"]
    good = utils.encode_dss_signature(r, s)
    for bad in (seq(integer(r), integer(s + order)), seq(integer(0), integer(0)), seq(integer(r), integer(order)),
                good + b"\0", b"\x30\x80" + good[2 + (good[1] >> 7):] + b"\0\0",
                seq(tlv(2, b"\0" + integer(r)[2:]), integer(s)),
                r.to_bytes(66, "big") + s.to_bytes(66, "big")):
        assert error_of(verify, kms, key, algorithm, "RAW", MESSAGE, bad) == ("KMSInvalidSignatureException", None)


# --- section 6: key agreement --------------------------------------------------------------------------


@pytest.mark.parametrize("spec", NIST_SPECS)
def test_6_derive_shared_secret(kms, keys, spec):
    """6 rows 1 to 3: an outside peer, the key itself, DryRun; equal to an independent ECDH, in both peer encodings."""
    key, spki = keys(spec, "KEY_AGREEMENT"), keys.public(spec, "KEY_AGREEMENT")
    mine = serialization.load_der_public_key(spki)
    for _ in range(5):
        peer = ec.generate_private_key(CURVES[spec])
        answer = answer_fields(kms.derive_shared_secret(KeyId=key["KeyId"], KeyAgreementAlgorithm="ECDH",
                                                        PublicKey=spki_of(peer)))
        assert answer == {"KeyId": key["Arn"], "SharedSecret": peer.exchange(ec.ECDH(), mine),
                          "KeyAgreementAlgorithm": "ECDH", "KeyOrigin": "AWS_KMS"}
        assert len(answer["SharedSecret"]) == SECRET_BYTES[spec]
    own = kms.derive_shared_secret(KeyId=key["KeyId"], KeyAgreementAlgorithm="ECDH", PublicKey=spki)
    assert len(own["SharedSecret"]) == SECRET_BYTES[spec]
    assert error_of(kms.derive_shared_secret, KeyId=key["KeyId"], KeyAgreementAlgorithm="ECDH", PublicKey=spki,
                    DryRun=True) == DRY_RUN


def bad_peers(spec):
    """Public keys that are none for `spec`: undecodable ones and those of other curves and families."""
    good = spki_of(ec.generate_private_key(CURVES[spec]))
    size = SECRET_BYTES[spec]
    yield from (b"\0", b"garbage", good[:-1], good + b"\0", good[:-2 * size - 1] + b"\4" + b"\0" * (2 * size))
    yield good[:-1] + bytes([good[-1] ^ 1])  # not on the curve
    infinity = seq(seq(oid("1.2.840.10045.2.1"), oid({32: "1.2.840.10045.3.1.7", 48: "1.3.132.0.34",
                                                      66: "1.3.132.0.35"}[size])), bits(b"\0"))
    yield infinity
    for other in sorted(set(EC_SPECS) - {spec}):
        yield spki_of(ec.generate_private_key(CURVES[other]))


@pytest.mark.parametrize("spec", NIST_SPECS)
def test_6_bad_peer_keys(server, kms, keys, spec):
    """6 rows 4 to 6, 1.1 #21: ValidationException, no message; DryRun changes nothing."""
    key = keys(spec, "KEY_AGREEMENT")["KeyId"]
    for peer in bad_peers(spec):
        for more in ({}, {"DryRun": True}):
            assert error_of(kms.derive_shared_secret, KeyId=key, KeyAgreementAlgorithm="ECDH", PublicKey=peer,
                            **more) == ("ValidationException", None)
    assert body_of(server, "DeriveSharedSecret", KeyId=key, KeyAgreementAlgorithm="ECDH", PublicKey=b"x") == (
        400, {"__type": "ValidationException"})


# --- section 8.1: HMAC ---------------------------------------------------------------------------------


def mac_of(kms, key, message=MESSAGE, **more):
    algorithm = key["MacAlgorithms"][0]
    return kms.generate_mac(KeyId=key["KeyId"], Message=message, **{"MacAlgorithm": algorithm, **more})


@pytest.mark.parametrize("spec", HMAC_SPECS)
def test_8_1_generate_and_verify(kms, keys, spec):
    """8.1 rows 1, 2, 5, 6, 7: exact members, same again, longest message, DryRun, wrong and shortened MACs."""
    key, algorithm = keys(spec), SPECS[spec]["GENERATE_VERIFY_MAC"][0]
    answer = answer_fields(mac_of(kms, key))
    mac = answer["Mac"]
    assert answer == {"Mac": mac, "MacAlgorithm": algorithm, "KeyId": key["Arn"]} and len(mac) == MAC_BYTES[spec]
    assert mac_of(kms, key)["Mac"] == mac
    assert mac_of(kms, key, MESSAGE + b".")["Mac"] != mac
    longest = mac_of(kms, key, b"m" * 4096)["Mac"]
    checked = {"KeyId": key["KeyId"], "MacAlgorithm": algorithm}
    assert answer_fields(kms.verify_mac(Message=MESSAGE, Mac=mac, **checked)) == {
        "KeyId": key["Arn"], "MacValid": True, "MacAlgorithm": algorithm}
    assert kms.verify_mac(Message=b"m" * 4096, Mac=longest, **checked)["MacValid"] is True
    assert error_of(mac_of, kms, key, DryRun=True) == DRY_RUN
    assert error_of(kms.verify_mac, Message=MESSAGE, Mac=mac, DryRun=True, **checked) == DRY_RUN
    for bad in (mac[:-1] + bytes([mac[-1] ^ 1]), bytes([mac[0] ^ 128]) + mac[1:], mac[:-1], mac + b"\0", b"\1",
                b"m" * 6144):
        for more in ({}, {"DryRun": True}):
            assert error_of(kms.verify_mac, Message=MESSAGE, Mac=bad, **checked, **more) == (
                "KMSInvalidMacException", None)


@pytest.mark.parametrize("spec", HMAC_SPECS)
def test_8_1_refusals(kms, keys, spec):
    """8.1 rows 3, 4 and 8, 11.3: empty message, other algorithms, Encrypt names the usage; KB 1.6: 4097 bytes."""
    key = keys(spec)
    assert error_of(mac_of, kms, key, b"") == EMPTY
    assert error_of(mac_of, kms, key, b"m" * 4097) == TOO_LONG
    for other in HMAC_SPECS:
        if other != spec:
            algorithm = SPECS[other]["GENERATE_VERIFY_MAC"][0]
            assert error_of(mac_of, kms, key, MacAlgorithm=algorithm) == wrong_algorithm(algorithm, spec)
            assert error_of(kms.verify_mac, KeyId=key["KeyId"], Message=MESSAGE, Mac=b"m" * 32,
                            MacAlgorithm=algorithm) == wrong_algorithm(algorithm, spec)
    assert error_of(kms.encrypt, KeyId=key["KeyId"], Plaintext=MESSAGE) == (
        "InvalidKeyUsageException",
        "%s key usage is GENERATE_VERIFY_MAC which is not valid for Encrypt." % key["Arn"])


@pytest.mark.parametrize("spec", HMAC_SPECS)
def test_8_1_states(kms, keys, spec):
    """8.1 rows 9, 10 and 11, 11.4: Disabled comes before the wrong algorithm."""
    key = keys.new(spec)
    wrong = "HMAC_SHA_224" if spec != "HMAC_224" else "HMAC_SHA_512"
    kms.disable_key(KeyId=key["KeyId"])
    assert error_of(mac_of, kms, key) == disabled(key)
    assert error_of(mac_of, kms, key, MacAlgorithm=wrong) == disabled(key)
    kms.schedule_key_deletion(KeyId=key["KeyId"], PendingWindowInDays=7)
    assert error_of(mac_of, kms, key) == pending_deletion(key)
    assert error_of(mac_of, kms, key, MacAlgorithm=wrong) == pending_deletion(key)


# --- enum texts (KB 1.6) -------------------------------------------------------------------------------


def test_enum_texts(kms, keys):
    """KB 1.6: SYMMETRIC_DEFAULT as a signing algorithm passes the enum check, RSAES_OAEP_SHA_256 does not."""
    key = keys("ECC_NIST_P256")["KeyId"]
    assert error_of(kms.sign, KeyId=key, Message=MESSAGE, SigningAlgorithm="RSAES_OAEP_SHA_256") == refused(
        "1 validation error detected: Value 'RSAES_OAEP_SHA_256' at 'signingAlgorithm' failed to satisfy constraint: "
        "Member must satisfy enum value set: [RSASSA_PSS_SHA_256, RSASSA_PSS_SHA_384, RSASSA_PSS_SHA_512, "
        "RSASSA_PKCS1_V1_5_SHA_256, RSASSA_PKCS1_V1_5_SHA_384, RSASSA_PKCS1_V1_5_SHA_512, ECDSA_SHA_256, "
        "ECDSA_SHA_384, ECDSA_SHA_512, ED25519_SHA_512, ED25519_PH_SHA_512, SM2DSA, ML_DSA_SHAKE_256]")
    assert error_of(kms.sign, KeyId=key, Message=MESSAGE, MessageType="MU",
                    SigningAlgorithm="ECDSA_SHA_256") == refused(
        "1 validation error detected: Value 'MU' at 'messageType' failed to satisfy constraint: Member must satisfy "
        "enum value set: [RAW, DIGEST, EXTERNAL_MU]")
    assert error_of(kms.sign, KeyId=key, Message=MESSAGE, SigningAlgorithm="SYMMETRIC_DEFAULT") == wrong_algorithm(
        "SYMMETRIC_DEFAULT", "ECC_NIST_P256")
    mac = keys("HMAC_256")["KeyId"]
    assert error_of(kms.generate_mac, KeyId=mac, Message=MESSAGE, MacAlgorithm="INVALID") == refused(
        "1 validation error detected: Value 'INVALID' at 'macAlgorithm' failed to satisfy constraint: Member must "
        "satisfy enum value set: [HMAC_SHA_384, HMAC_SHA_256, HMAC_SHA_224, HMAC_SHA_512]")
    agree = keys("ECC_NIST_P256", "KEY_AGREEMENT")["KeyId"]
    assert error_of(kms.derive_shared_secret, KeyId=agree, PublicKey=b"x", KeyAgreementAlgorithm="INVALID") == refused(
        "1 validation error detected: Value 'INVALID' at 'keyAgreementAlgorithm' failed to satisfy constraint: Member "
        "must satisfy enum value set: [ECDH]")
    for missing, text in (("Message", "Value at 'message'"), ("Signature", "Value null at 'signature'")):
        parameters = {"KeyId": key, "Message": b"m", "Signature": b"s", "SigningAlgorithm": "ECDSA_SHA_256"}
        del parameters[missing]
        assert error_of(kms.verify, **parameters) == refused(
            "1 validation error detected: %s failed to satisfy constraint: Member must not be null" % text)
