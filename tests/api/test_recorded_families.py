"""Recorded behaviour of imported keys of the other families: recorded-imports scenarios D and E step by step, and the
rules R1 to R3, R7, R15 to R17, R22, R26, R29 and R54 for keys that are not symmetric.

Damaged materials are in test_tampered_imports.py, symmetric keys in test_recorded_imports.py.
"""
import hmac
import os
import random
import re
import time

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, padding

from families import (
    CURVES, EC_SPECS, EDWARDS, HMAC_SPECS, IMPORTABLE, LIST_MEMBER, MAC_BYTES, ML_DSA_SPECS, NIST_SPECS, OAEP,
    RSA_SPECS, SECRET_BYTES, SPECS, SPKI_BYTES, WRAPPING_KEYS, WRAPPINGS, Importer, Keys, Material, Wire,
    allowed_wrappings, default_usage, encrypt_outside, hash_of, message_types, oaep, openssl, pairs, sign_outside,
    spki_of, to_ber, verifies, wrapping_key_for)
from recorded import NOEXP, ZEROS, answer_fields, dk, later
from trent_server import error_of

MESSAGE = b"twenty-seven bytes message."
ENABLED = ("Enabled", True, NOEXP, None, None)
PENDING = ("PendingImport", False, None, None, None)
NO_HISTORY = ("ValidationException", "Input parameter includeKeyMaterial can only be used with symmetric keys.")
ROUNDS = int(os.environ.get("TRENT_IMPORT_ROUNDS", "3"))


def pending(arn):
    return "KMSInvalidStateException", "%s is pending import." % arn


def cannot_be_used(parameter, spec):
    return "ValidationException", "Input parameter %s cannot be used with %s imported keys." % (parameter, spec)


def everything_of(kms, key):
    return error_of(kms.list_key_rotations, KeyId=key, IncludeKeyMaterial="ALL_KEY_MATERIAL")


# --- creation and import parameters (R1, R2, R3) -------------------------------------------------------


@pytest.mark.parametrize("spec,usage", [p for p in pairs(IMPORTABLE) if p[0] != "SYMMETRIC_DEFAULT"])
def test_r1_create(kms, spec, usage):
    """R1, D1, D10, E1: PendingImport, its algorithm list, nothing of a material."""
    m = kms.create_key(Origin="EXTERNAL", KeySpec=spec, KeyUsage=usage)["KeyMetadata"]
    assert (m["KeyState"], m["Enabled"], m["Origin"]) == ("PendingImport", False, "EXTERNAL")
    assert (m["KeySpec"], m["CustomerMasterKeySpec"], m["KeyUsage"]) == (spec, spec, usage)
    assert m[LIST_MEMBER[usage]] == SPECS[spec][usage] and set(m) & set(LIST_MEMBER.values()) == {LIST_MEMBER[usage]}
    for absent in ("ExpirationModel", "ValidTo", "CurrentKeyMaterialId", "MultiRegionConfiguration"):
        assert absent not in m
    assert dk(kms, m["KeyId"]) == PENDING


@pytest.mark.parametrize("spec", ML_DSA_SPECS)
def test_r2_ml_dsa(kms, spec):
    """R2, E last paragraph."""
    assert error_of(kms.create_key, Origin="EXTERNAL", KeySpec=spec, KeyUsage="SIGN_VERIFY") == (
        "ValidationException", "KeySpec %s is not supported for Origin EXTERNAL" % spec)


@pytest.mark.parametrize("spec", IMPORTABLE)
def test_r3_forbidden_wrappings(kms, spec):
    """R3, A10, A11, E2: every triple outside kms-behaviour 7.2's table, those of China included, is refused with the
    recorded sentence; in PendingImport and Enabled alike."""
    key = kms.create_key(Origin="EXTERNAL", KeySpec=spec, KeyUsage=default_usage(spec))["KeyMetadata"]["KeyId"]
    forbidden = [(a, k) for a in ["RSAES_PKCS1_V1_5", *WRAPPINGS, "SM2PKE"] for k in [*WRAPPING_KEYS, "SM2"]
                 if (a, k) not in allowed_wrappings(spec)]
    assert len(forbidden) == 24 - len(allowed_wrappings(spec))
    for algorithm, wrapping_key in forbidden:
        assert error_of(kms.get_parameters_for_import, KeyId=key, WrappingAlgorithm=algorithm,
                        WrappingKeySpec=wrapping_key) == (
            "ValidationException", "Wrapping algorithm %s and wrapping key spec %s cannot be used to import a %s key."
            % (algorithm, wrapping_key, spec))


ALLOWED = [(s, a, k) for s in IMPORTABLE for a, k in allowed_wrappings(s)]
if os.environ.get("TRENT_WRAPPINGS") == "quick":  # large wrapping keys are slow to make
    ALLOWED = [(s, a, k) for s, a, k in ALLOWED if k == wrapping_key_for(s, a)]


@pytest.mark.parametrize("spec,algorithm,wrapping_key", ALLOWED)
def test_r3_accepted_wrappings(kms, spec, algorithm, wrapping_key):
    """R3, D2, D11, E2, E3: every triple of the table: four fields, the key's size, and a material goes in by it."""
    importer = Importer(kms, spec, algorithm, wrapping_key)
    p = importer.parameters
    assert set(answer_fields(p)) == {"KeyId", "ImportToken", "PublicKey", "ParametersValidTo"}
    assert p["KeyId"] == importer.arn and len(p["PublicKey"]) == SPKI_BYTES[wrapping_key]
    material = Material(spec)
    importer.put(material.default)
    assert dk(kms, importer.id)[0] == "Enabled"
    if material.public is not None:
        assert kms.get_public_key(KeyId=importer.id)["PublicKey"] == material.public


def test_r3_origin_comes_first(kms):
    """R4 for other families: origin AWS_KMS, whatever the wrapping."""
    keys = Keys(kms)
    for spec in ("ECC_NIST_P256", "HMAC_256", "ML_DSA_44"):
        key = keys(spec)
        text = ("UnsupportedOperationException",
                "%s origin is AWS_KMS which is not valid for this operation." % key["Arn"])
        for algorithm in ("RSAES_OAEP_SHA_256", "RSAES_PKCS1_V1_5"):
            assert error_of(kms.get_parameters_for_import, KeyId=key["KeyId"], WrappingAlgorithm=algorithm,
                            WrappingKeySpec="RSA_2048") == text
        assert error_of(kms.delete_imported_key_material, KeyId=key["KeyId"]) == text


# --- scenario D ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("spec", NIST_SPECS)
def test_d_ecdh(kms, spec):
    """D1 to D9, for all curves (recorded: P-256)."""
    importer = Importer(kms, spec, "RSA_AES_KEY_WRAP_SHA_256" if spec == "ECC_NIST_P521" else "RSAES_OAEP_SHA_256",
                        "RSA_2048", usage="KEY_AGREEMENT")
    material, peer = Material(spec), ec.generate_private_key(CURVES[spec])
    common = {"KeyId": importer.id, "KeyAgreementAlgorithm": "ECDH", "PublicKey": spki_of(peer)}
    assert importer.key["KeyAgreementAlgorithms"] == ["ECDH"]  # D1
    assert answer_fields(importer.put(material.default)) == {"KeyId": importer.arn}  # D3
    shared = peer.exchange(ec.ECDH(), material.private.public_key())
    expected = {"KeyId": importer.arn, "SharedSecret": shared, "KeyAgreementAlgorithm": "ECDH", "KeyOrigin": "EXTERNAL"}
    assert answer_fields(kms.derive_shared_secret(**common)) == expected and len(shared) == SECRET_BYTES[spec]  # D4
    assert error_of(kms.derive_shared_secret, DryRun=True, **common)[0] == "DryRunOperationException"  # D5
    assert answer_fields(kms.delete_imported_key_material(KeyId=importer.id)) == {"KeyId": importer.arn}  # D6
    assert error_of(kms.derive_shared_secret, **common) == pending(importer.arn)  # D7
    assert error_of(kms.derive_shared_secret, **{**common, "PublicKey": b"x"}) == pending(importer.arn)
    assert answer_fields(importer.put(material.default)) == {"KeyId": importer.arn}  # D8
    assert answer_fields(kms.derive_shared_secret(**common)) == expected  # D9


@pytest.mark.parametrize("spec", RSA_SPECS)
@pytest.mark.parametrize("algorithm", OAEP)
def test_d_rsa_encryption(kms, spec, algorithm):
    """D10 to D19, for all sizes and both hashes (recorded: RSA_2048, SHA_256). The service's ciphertext is opened
    outside with the private key."""
    importer = Importer(kms, spec, "RSA_AES_KEY_WRAP_SHA_256", "RSA_2048", usage="ENCRYPT_DECRYPT")
    material = Material(spec)
    common = {"KeyId": importer.id, "EncryptionAlgorithm": algorithm}
    assert importer.key["EncryptionAlgorithms"] == OAEP  # D10
    assert answer_fields(importer.put(material.default)) == {"KeyId": importer.arn}  # D12
    public = answer_fields(kms.get_public_key(KeyId=importer.id))  # D13
    assert public == {"KeyId": importer.arn, "PublicKey": material.public, "CustomerMasterKeySpec": spec,
                      "KeySpec": spec, "KeyUsage": "ENCRYPT_DECRYPT", "EncryptionAlgorithms": OAEP}
    outside = encrypt_outside(material.public, algorithm, MESSAGE)
    opened = {"KeyId": importer.arn, "Plaintext": MESSAGE, "EncryptionAlgorithm": algorithm}
    assert answer_fields(kms.decrypt(CiphertextBlob=outside, **common)) == opened  # D14
    sealed = answer_fields(kms.encrypt(Plaintext=MESSAGE, **common))  # D15
    assert set(sealed) == {"CiphertextBlob", "KeyId", "EncryptionAlgorithm"}
    assert len(sealed["CiphertextBlob"]) == int(spec[4:]) // 8
    assert material.private.decrypt(sealed["CiphertextBlob"], oaep(algorithm)) == MESSAGE
    assert answer_fields(kms.delete_imported_key_material(KeyId=importer.id)) == {"KeyId": importer.arn}  # D16
    assert error_of(kms.decrypt, CiphertextBlob=outside, **common) == pending(importer.arn)  # D17
    assert error_of(kms.encrypt, Plaintext=MESSAGE, **common) == pending(importer.arn)
    assert answer_fields(importer.put(material.default)) == {"KeyId": importer.arn}  # D18
    assert answer_fields(kms.decrypt(CiphertextBlob=outside, **common)) == opened  # D19


# --- scenario E ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("spec", HMAC_SPECS)
def test_e_hmac(kms, spec):
    """E1 to E13; R7, R15, R22, R26, R29, R54. The MAC is checked outside."""
    n, algorithm = MAC_BYTES[spec], SPECS[spec]["GENERATE_VERIFY_MAC"][0]
    importer = Importer(kms, spec, "RSAES_OAEP_SHA_256", "RSA_2048")
    material, key = os.urandom(n), importer.id
    assert dk(kms, key) == PENDING and importer.key["MacAlgorithms"] == [algorithm]  # E1
    assert answer_fields(kms.delete_imported_key_material(KeyId=key)) == {"KeyId": importer.arn}  # R29
    assert error_of(importer.put, material[:-1]) == ("InvalidCiphertextException", None)  # E3
    assert dk(kms, key) == PENDING
    assert answer_fields(importer.put(material)) == {"KeyId": importer.arn}  # E4
    for parameter, value in (("ImportType", "EXISTING_KEY_MATERIAL"), ("ImportType", "NEW_KEY_MATERIAL"),
                             ("KeyMaterialId", ZEROS), ("KeyMaterialDescription", "hmac description")):  # E5 to E7
        name = parameter[0].lower() + parameter[1:]
        assert error_of(importer.put, material, **{parameter: value}) == cannot_be_used(name, spec)
    assert dk(kms, key) == ENABLED  # E8
    assert everything_of(kms, key) == NO_HISTORY  # E9
    assert kms.list_key_rotations(KeyId=key)["Rotations"] == []  # R54, J47
    answer = answer_fields(kms.generate_mac(KeyId=key, Message=MESSAGE, MacAlgorithm=algorithm))  # E10
    expected = hmac.digest(material, MESSAGE, "sha" + spec[5:])
    assert answer == {"Mac": expected, "MacAlgorithm": algorithm, "KeyId": importer.arn}
    assert kms.verify_mac(KeyId=key, Message=MESSAGE, MacAlgorithm=algorithm, Mac=expected)["MacValid"] is True
    assert answer_fields(kms.delete_imported_key_material(KeyId=key)) == {"KeyId": importer.arn}  # E11
    for call, more in ((kms.generate_mac, {}), (kms.verify_mac, {"Mac": expected})):
        assert error_of(call, KeyId=key, Message=MESSAGE, MacAlgorithm=algorithm, **more) == pending(importer.arn)
    assert dk(kms, key) == PENDING  # no CurrentKeyMaterialId after the deletion either
    assert answer_fields(kms.delete_imported_key_material(KeyId=key)) == {"KeyId": importer.arn}  # R29
    code, text = error_of(importer.put, os.urandom(n))  # E12
    assert code == "IncorrectKeyMaterialException"
    assert re.fullmatch(r"Imported key material does not have the expected identifier \([0-9a-f]{64}\)\.", text)
    assert answer_fields(importer.put(material)) == {"KeyId": importer.arn}  # E13
    assert kms.generate_mac(KeyId=key, Message=MESSAGE, MacAlgorithm=algorithm)["Mac"] == expected


@pytest.mark.parametrize("spec", HMAC_SPECS)
def test_hmac_lengths(kms, spec):
    """KB 7.4: the minimum to 128 bytes are accepted and used whole; 1.1 #5 leaves the maximum open."""
    algorithm = SPECS[spec]["GENERATE_VERIFY_MAC"][0]
    for length in sorted({MAC_BYTES[spec], MAC_BYTES[spec] + 1, 64, 100, 128} - set(range(MAC_BYTES[spec]))):
        material = os.urandom(length)
        importer = Importer(kms, spec)
        importer.put(material)
        assert kms.generate_mac(KeyId=importer.id, Message=MESSAGE, MacAlgorithm=algorithm)["Mac"] == hmac.digest(
            material, MESSAGE, "sha" + spec[5:])
        # a key that HMAC pads to the same block is another material
        if length < 128:
            assert error_of(importer.put, material + b"\0")[0] == "IncorrectKeyMaterialException"


# step 3 of the second table; the signature of step 11
E_PARAMETERS = {**{s: ("RSA_AES_KEY_WRAP_SHA_256", "RSA_3072") for s in RSA_SPECS + ["ECC_NIST_P521"]},
                **{s: ("RSAES_OAEP_SHA_256", "RSA_3072") for s in EC_SPECS + [EDWARDS] if s != "ECC_NIST_P521"}}
E_SIGNATURE = {**{s: "RSASSA_PSS_SHA_256" for s in RSA_SPECS}, **{s: SPECS[s]["SIGN_VERIFY"][-1] for s in EC_SPECS},
               EDWARDS: "ED25519_SHA_512"}
E_REFUSED = RSA_SPECS + ["ECC_NIST_P521", EDWARDS]


@pytest.mark.parametrize("spec", RSA_SPECS + EC_SPECS + [EDWARDS])
def test_e_signing_keys(kms, spec):
    """E1 to E14 with both tables; R3, R7, R16, R26, R54."""
    direct = {"WrappingAlgorithm": "RSAES_OAEP_SHA_256", "WrappingKeySpec": "RSA_2048"}
    importer = Importer(kms, spec, *E_PARAMETERS[spec])  # E1, E3
    key, material, algorithm = importer.id, Material(spec), E_SIGNATURE[spec]
    assert dk(kms, key) == PENDING and importer.key["SigningAlgorithms"] == SPECS[spec]["SIGN_VERIFY"]
    if spec in E_REFUSED:  # E2
        assert error_of(kms.get_parameters_for_import, KeyId=key, **direct) == (
            "ValidationException", "Wrapping algorithm RSAES_OAEP_SHA_256 and wrapping key spec RSA_2048 cannot be "
            "used to import a %s key." % spec)
    else:
        assert len(kms.get_parameters_for_import(KeyId=key, **direct)["PublicKey"]) == 294
    assert answer_fields(importer.put(material.default)) == {"KeyId": importer.arn}  # E4
    assert dk(kms, key) == ENABLED  # E5
    assert everything_of(kms, key) == NO_HISTORY  # E6
    public = answer_fields(kms.get_public_key(KeyId=key))  # E7
    assert public == {"KeyId": importer.arn, "PublicKey": material.public, "CustomerMasterKeySpec": spec,
                      "KeySpec": spec, "KeyUsage": "SIGN_VERIFY", "SigningAlgorithms": SPECS[spec]["SIGN_VERIFY"]}
    assert len(material.public) == SPKI_BYTES[spec]
    if spec == EDWARDS:  # E8
        assert error_of(importer.put, to_ber(material.default)) == ("InvalidCiphertextException", None)
    else:
        assert answer_fields(importer.put(material.encodings()["BER outside"])) == {"KeyId": importer.arn}
    for parameter, value in (("ImportType", "EXISTING_KEY_MATERIAL"), ("ImportType", "NEW_KEY_MATERIAL"),
                             ("KeyMaterialDescription", "asymmetric description"),
                             ("KeyMaterialId", ZEROS)):  # E9, E10, R7
        name = parameter[0].lower() + parameter[1:]
        assert error_of(importer.put, material.default, **{parameter: value}) == cannot_be_used(name, spec)
    answer = answer_fields(kms.sign(KeyId=key, Message=MESSAGE, SigningAlgorithm=algorithm))  # E11
    assert answer == {"KeyId": importer.arn, "Signature": answer["Signature"], "SigningAlgorithm": algorithm}
    assert verifies(material.public, algorithm, "RAW", MESSAGE, answer["Signature"])
    assert answer_fields(kms.delete_imported_key_material(KeyId=key)) == {"KeyId": importer.arn}  # E12
    assert error_of(kms.get_public_key, KeyId=key) == pending(importer.arn)  # E13
    assert error_of(kms.sign, KeyId=key, Message=MESSAGE, SigningAlgorithm=algorithm) == pending(importer.arn)
    assert error_of(kms.verify, KeyId=key, Message=MESSAGE, SigningAlgorithm=algorithm,
                    Signature=answer["Signature"]) == pending(importer.arn)
    assert dk(kms, key) == PENDING
    assert answer_fields(importer.put(material.default)) == {"KeyId": importer.arn}  # E14
    assert kms.verify(KeyId=key, Message=MESSAGE, SigningAlgorithm=algorithm,
                      Signature=answer["Signature"])["SignatureValid"] is True
    assert kms.get_public_key(KeyId=key)["PublicKey"] == material.public


# --- identity of the material (R16, R17, R22) ----------------------------------------------------------


@pytest.mark.parametrize("spec", RSA_SPECS + EC_SPECS)
def test_r16_every_encoding_is_the_same_key(kms, spec):
    """R16, KB 7.4: DER, BER, with and without public key, its point in any form, p and q in either order: each imports
    first, and re-imports over any other, deleted or not; the public key is always the same octets."""
    material = Material(spec)
    encodings = material.encodings()
    importer = Importer(kms, spec, "RSA_AES_KEY_WRAP_SHA_256", "RSA_2048")
    algorithm = E_SIGNATURE[spec]
    importer.put(material.default)
    signature = kms.sign(KeyId=importer.id, Message=MESSAGE, SigningAlgorithm=algorithm)["Signature"]
    for name, encoding in encodings.items():
        kms.delete_imported_key_material(KeyId=importer.id)
        assert answer_fields(importer.put(encoding)) == {"KeyId": importer.arn}, name
        assert kms.get_public_key(KeyId=importer.id)["PublicKey"] == material.public, name
        assert kms.verify(KeyId=importer.id, Message=MESSAGE, SigningAlgorithm=algorithm,
                          Signature=signature)["SignatureValid"] is True, name
        if spec in ("RSA_3072", "RSA_4096"):
            continue  # the checks of large RSA numbers are slow
        assert answer_fields(importer.put(encoding)) == {"KeyId": importer.arn}, name
        first = Importer(kms, spec, "RSA_AES_KEY_WRAP_SHA_1", "RSA_2048")
        first.put(encoding)
        assert kms.get_public_key(KeyId=first.id)["PublicKey"] == material.public, name
        assert answer_fields(first.put(material.default)) == {"KeyId": first.arn}, name


@pytest.mark.parametrize("spec", RSA_SPECS + EC_SPECS + [EDWARDS])
def test_r22_another_key(kms, spec):
    """R22, KB 7.5: exactly one key pair ever, also after its deletion; R17: the id in the text depends on key and
    material."""
    importer, other = Importer(kms, spec), Material(spec, which=1)
    material = Material(spec)
    importer.put(material.default)
    texts = set()
    for _ in range(2):
        code, text = error_of(importer.put, other.default)
        assert code == "IncorrectKeyMaterialException"
        assert re.fullmatch(r"Imported key material does not have the expected identifier \([0-9a-f]{64}\)\.", text)
        texts.add(text)
        kms.delete_imported_key_material(KeyId=importer.id)
    assert len(texts) == 1 and dk(kms, importer.id) == PENDING
    importer.put(material.default)
    assert kms.get_public_key(KeyId=importer.id)["PublicKey"] == material.public
    second = Importer(kms, spec)
    second.put(material.default)
    assert error_of(second.put, other.default)[1] not in texts


@pytest.mark.parametrize("spec,algorithm", [(s, a) for s in RSA_SPECS + EC_SPECS + [EDWARDS]
                                            for a in SPECS[s]["SIGN_VERIFY"] if "RAW" in message_types(a)])
def test_verify_what_was_signed_outside(kms, spec, algorithm):
    """Verify takes an independent implementation's signature with the imported key, of every algorithm; a PSS salt of
    another length is refused (recorded-crypto 1.1)."""
    importer, material = Importer(kms, spec), Material(spec)
    importer.put(material.default)
    common = {"KeyId": importer.id, "Message": MESSAGE, "SigningAlgorithm": algorithm}
    assert kms.verify(Signature=sign_outside(material.private, algorithm, MESSAGE), **common)["SignatureValid"] is True
    if "PSS" in algorithm:
        h = hash_of(algorithm)
        for length in (0, h.digest_size - 1, h.digest_size + 1, padding.PSS.MAX_LENGTH):
            scheme = padding.PSS(mgf=padding.MGF1(h), salt_length=length)
            assert error_of(kms.verify, Signature=material.private.sign(MESSAGE, scheme, h), **common) == (
                "KMSInvalidSignatureException", None)


def test_ed25519ph_signed_outside(kms):
    """The same for Ed25519ph, by openssl: PH is the hash of the 64 bytes sent (recorded-crypto 1.1)."""
    importer, material = Importer(kms, EDWARDS), Material(EDWARDS)
    importer.put(material.default)
    sent = os.urandom(64)
    _, signature = openssl("pkeyutl", "-sign", "-inkey", "@key", "-keyform", "DER", "-rawin", "-in", "@data", "-out",
                           "@out", "-pkeyopt", "instance:Ed25519ph", key=material.default, data=sent)
    common = {"KeyId": importer.id, "Message": sent, "MessageType": "DIGEST", "SigningAlgorithm": "ED25519_PH_SHA_512"}
    assert kms.verify(Signature=signature, **common)["SignatureValid"] is True
    assert kms.sign(**common)["Signature"] == signature


# --- expiry and what may not be done -------------------------------------------------------------------


@pytest.mark.parametrize("spec", ["RSA_2048", "ECC_NIST_P256", EDWARDS, "HMAC_256"])
def test_expiry(new_server, spec):
    """R11, R12, R37 for other families: expires to the second, restores with another date."""
    server = new_server()
    kms = server.client()
    importer, material = Importer(kms, spec), Material(spec)
    valid_to = later(3600).replace(microsecond=0)
    importer.put(material.default, ExpirationModel="KEY_MATERIAL_EXPIRES", ValidTo=valid_to)
    assert dk(kms, importer.id) == ("Enabled", True, "KEY_MATERIAL_EXPIRES", valid_to, None)
    use = {"HMAC_256": lambda: kms.generate_mac(KeyId=importer.id, Message=MESSAGE, MacAlgorithm="HMAC_SHA_256")}.get(
        spec, lambda: kms.sign(KeyId=importer.id, Message=MESSAGE, SigningAlgorithm=E_SIGNATURE[spec]))
    use()
    server.advance(3601)
    assert error_of(use) == pending(importer.arn)
    assert dk(kms, importer.id) == PENDING
    importer.put(material.default)
    use()
    assert dk(kms, importer.id) == ENABLED


@pytest.mark.parametrize("spec", ["RSA_2048", "ECC_NIST_P384", EDWARDS, "HMAC_512"])
def test_rotation_is_for_symmetric_keys(kms, spec):
    """KB 5.1 (3)(7), R42: EnableKeyRotation and RotateKeyOnDemand; GetKeyRotationStatus R53."""
    importer = Importer(kms, spec)
    importer.put(Material(spec).default)
    assert answer_fields(kms.get_key_rotation_status(KeyId=importer.id)) == {
        "KeyRotationEnabled": False, "KeyId": importer.arn}
    assert error_of(kms.rotate_key_on_demand, KeyId=importer.id) == ("UnsupportedOperationException", None)


@pytest.mark.parametrize("spec", ["RSA_2048", "ECC_NIST_P521", EDWARDS, "HMAC_384", "SYMMETRIC_DEFAULT"])
def test_survives_a_restart(new_server, spec):
    """An imported key works after a restart, a deleted one stays deleted and takes only its own material."""
    server = new_server()
    kms = server.client()
    importer, material, gone = Importer(kms, spec), Material(spec), Importer(kms, spec)
    for one in (importer, gone):
        one.put(material.default)
    kms.delete_imported_key_material(KeyId=gone.id)
    server.stop()
    server.start()
    kms = server.client()
    assert kms.describe_key(KeyId=importer.id)["KeyMetadata"]["KeyState"] == "Enabled"
    assert kms.describe_key(KeyId=gone.id)["KeyMetadata"]["KeyState"] == "PendingImport"
    again = Importer(kms, spec, key=gone.key)
    assert error_of(again.put, Material(spec, which=1).default)[0] == "IncorrectKeyMaterialException"
    again.put(material.default)
    if material.public is not None:
        for key in (importer.id, gone.id):
            assert kms.get_public_key(KeyId=key)["PublicKey"] == material.public


# --- many imports --------------------------------------------------------------------------------------

PER_KEY = 50  # imports into one key before the next one is made
COMBINATIONS = [(s, a) for s in IMPORTABLE for a in WRAPPINGS if any(a == x for x, _ in allowed_wrappings(s))]


def random_material(spec, number):
    if spec in HMAC_SPECS:
        material = Material(spec)
        material.default = os.urandom(random.randint(MAC_BYTES[spec], 128))
        return material
    return Material(spec, which=number % 4)


def check_in_use(kms, key, spec, material):
    """One use of the key, checked outside."""
    if spec in HMAC_SPECS:
        algorithm = SPECS[spec]["GENERATE_VERIFY_MAC"][0]
        made = kms.generate_mac(KeyId=key, Message=MESSAGE, MacAlgorithm=algorithm)["Mac"]
        return made == hmac.digest(material.default, MESSAGE, "sha" + spec[5:])
    if spec == "SYMMETRIC_DEFAULT":
        return kms.decrypt(CiphertextBlob=kms.encrypt(KeyId=key, Plaintext=MESSAGE)["CiphertextBlob"])[
            "Plaintext"] == MESSAGE
    algorithm = E_SIGNATURE[spec]
    signature = kms.sign(KeyId=key, Message=MESSAGE, SigningAlgorithm=algorithm)["Signature"]
    return verifies(material.public, algorithm, "RAW", MESSAGE, signature)


@pytest.mark.timeout(0 if ROUNDS > 100 else 300)
@pytest.mark.parametrize("spec,algorithm", COMBINATIONS)
def test_many_imports(server, kms, spec, algorithm):
    """TRENT_IMPORT_ROUNDS imports of random materials in random encodings, each wrapped anew: every one succeeds, and
    the key is then the one that was sent. One token serves up to 50 imports into a key (R5); some follow a delete."""
    wire, started, successes = Wire(server), time.monotonic(), 0
    wrapping_key = wrapping_key_for(spec, algorithm)
    while successes < ROUNDS:
        importer, material = Importer(kms, spec, algorithm, wrapping_key), random_material(spec, successes)
        room = 190 if algorithm == "RSAES_OAEP_SHA_256" and wrapping_key == "RSA_2048" else 4096
        encodings = [e for e in material.encodings().values() if len(e) <= room]
        for _ in range(min(PER_KEY, ROUNDS - successes)):
            answer = wire.call("ImportKeyMaterial", KeyId=importer.id, ImportToken=importer.parameters["ImportToken"],
                               EncryptedKeyMaterial=importer.wrap(random.choice(encodings)), ExpirationModel=NOEXP)
            assert answer["KeyId"] == importer.arn
            successes += 1
            if random.random() < 0.2:
                wire.call("DeleteImportedKeyMaterial", KeyId=importer.id)
                importer.put(material.default)
        assert check_in_use(kms, importer.id, spec, material)
    assert successes == ROUNDS
    print("%s by %s: %d imports, all accepted, %.0f a second" % (
        spec, algorithm, successes, successes / (time.monotonic() - started)))


def test_public_key_of_openssl_made_keys(kms):
    """A key written by the openssl command, PEM to DER as the guides show it."""
    for spec, options in (("ECC_NIST_P256", ("EC", "-pkeyopt", "ec_paramgen_curve:P-256")), (EDWARDS, ("ED25519",)),
                          ("RSA_2048", ("RSA", "-pkeyopt", "rsa_keygen_bits:2048"))):
        _, pem = openssl("genpkey", "-algorithm", *options, "-out", "@out")
        _, der = openssl("pkcs8", "-topk8", "-nocrypt", "-in", "@key", "-outform", "DER", "-out", "@out", key=pem)
        _, public = openssl("pkey", "-in", "@key", "-pubout", "-outform", "DER", "-out", "@out", key=pem)
        importer = Importer(kms, spec)
        importer.put(der)
        assert kms.get_public_key(KeyId=importer.id)["PublicKey"] == public
        assert serialization.load_der_public_key(public) is not None
