"""Recorded behaviour of imported key material: recorded-imports, rules R1 to R39 and section 4.

Every test names the rules it holds (as far as single-Region symmetric keys go) and, where it follows a recorded
scenario, its steps. Rotation (R40 to R55) is in test_recorded_rotation.py.
"""
import datetime
import os
import re
import time

import pytest

from recorded import EXP, NOEXP, ZEROS, answer_fields, dk, entry, gkrs, later, lkr, pending_import, without_dates
from trent_server import error_of, external_key, import_material, imported_key, parameters_for, wrap

# --- creation and import parameters -----------------------------------------------------------------------


def test_r1_external_key_starts_pending_import(kms):
    """R1, A1: CreateKey(EXTERNAL)."""
    m = kms.create_key(Origin="EXTERNAL")["KeyMetadata"]
    assert (m["KeyState"], m["Enabled"], m["Origin"]) == ("PendingImport", False, "EXTERNAL")
    for absent in ("ExpirationModel", "ValidTo", "CurrentKeyMaterialId", "MultiRegionConfiguration"):
        assert absent not in m
    assert m["Description"] == "" and m["KeyManager"] == "CUSTOMER" and m["MultiRegion"] is False
    assert m["EncryptionAlgorithms"] == ["SYMMETRIC_DEFAULT"]
    assert dk(kms, m["KeyId"]) == ("PendingImport", False, None, None, None)


@pytest.mark.parametrize("spec", ["ML_DSA_44", "ML_DSA_65", "ML_DSA_87"])
def test_r2_ml_dsa_cannot_be_imported(kms, spec):
    assert error_of(kms.create_key, Origin="EXTERNAL", KeySpec=spec, KeyUsage="SIGN_VERIFY") == (
        "ValidationException", "KeySpec %s is not supported for Origin EXTERNAL" % spec)


@pytest.mark.parametrize("algorithm", ["RSAES_PKCS1_V1_5", "RSA_AES_KEY_WRAP_SHA_256", "RSA_AES_KEY_WRAP_SHA_1"])
@pytest.mark.parametrize("spec", ["RSA_2048", "RSA_4096"])
def test_r3_forbidden_wrapping(kms, algorithm, spec):
    """R3, A10, A11."""
    key = external_key(kms)["KeyId"]
    assert error_of(kms.get_parameters_for_import, KeyId=key, WrappingAlgorithm=algorithm, WrappingKeySpec=spec) == (
        "ValidationException", "Wrapping algorithm %s and wrapping key spec %s cannot be used to import a "
        "SYMMETRIC_DEFAULT key." % (algorithm, spec))


@pytest.mark.parametrize("algorithm", ["RSAES_OAEP_SHA_256", "RSAES_OAEP_SHA_1"])
@pytest.mark.parametrize("spec,size", [("RSA_2048", 294), ("RSA_3072", 422), ("RSA_4096", 550)])
def test_r3_accepted_wrapping(kms, algorithm, spec, size):
    """R3, A12, A13: and the public keys have the recorded sizes."""
    key = external_key(kms)
    p = parameters_for(kms, key["KeyId"], algorithm, spec)
    assert set(answer_fields(p)) == {"KeyId", "ImportToken", "PublicKey", "ParametersValidTo"}
    assert p["KeyId"] == key["Arn"] and len(p["PublicKey"]) == size and 1 <= len(p["ImportToken"]) <= 6144
    material = os.urandom(32)
    import_material(kms, key["KeyId"], material, p, algorithm)
    assert dk(kms, key["KeyId"])[0] == "Enabled"


def test_r4_parameters_need_an_external_key_and_work_when_disabled(kms):
    """R4, B4, A49."""
    generated = kms.create_key()["KeyMetadata"]
    assert error_of(parameters_for, kms, generated["KeyId"]) == (
        "UnsupportedOperationException",
        "%s origin is AWS_KMS which is not valid for this operation." % generated["Arn"])
    key, _ = imported_key(kms, os.urandom(32))
    kms.disable_key(KeyId=key["KeyId"])
    assert parameters_for(kms, key["KeyId"])["KeyId"] == key["Arn"]


def test_r5_pairs_are_independent_and_not_consumed(kms):
    """R5, A12..A22, F: each call another wrapping key, 24 hours; old pairs stay good, also after an import and
    after a delete."""
    key = external_key(kms)["KeyId"]
    first, second = parameters_for(kms, key), parameters_for(kms, key)
    assert first["PublicKey"] != second["PublicKey"] and first["ImportToken"] != second["ImportToken"]
    for p in (first, second):
        left = p["ParametersValidTo"] - datetime.datetime.now(datetime.timezone.utc)
        assert datetime.timedelta(hours=23, minutes=55) < left <= datetime.timedelta(hours=24, seconds=5)
    material = os.urandom(32)
    assert error_of(import_material, kms, key, b"short", first)[0] == "InvalidCiphertextException"
    material_id = import_material(kms, key, material, first)["KeyMaterialId"]
    for p in (first, second):
        assert import_material(kms, key, material, p)["KeyMaterialId"] == material_id
    kms.delete_imported_key_material(KeyId=key)
    assert import_material(kms, key, material, first)["KeyMaterialId"] == material_id


def test_r5_parameters_end_after_24_hours(new_server):
    server = new_server()
    kms = server.client()
    key = external_key(kms)["KeyId"]
    p = parameters_for(kms, key)
    server.advance(24 * 3600 - 60)
    import_material(kms, key, b"k" * 32, p)
    server.advance(120)
    assert error_of(import_material, kms, key, b"k" * 32, p)[0] in (
        "ExpiredImportTokenException", "InvalidImportTokenException")


# --- ImportKeyMaterial: parameters ------------------------------------------------------------------------


def test_r6_refused_imports_change_nothing(kms):
    """R6: state, list and token stay as they were."""
    key = external_key(kms)["KeyId"]
    p = parameters_for(kms, key)
    before = (dk(kms, key), lkr(kms, key))
    for bad in (lambda: import_material(kms, key, b"x" * 31, p),
                lambda: kms.import_key_material(KeyId=key, ImportToken=p["ImportToken"],
                                                EncryptedKeyMaterial=b"\0" * 256, ExpirationModel=NOEXP),
                lambda: kms.import_key_material(KeyId=key, ImportToken=b"\1" * 100,
                                                EncryptedKeyMaterial=b"\0" * 256, ExpirationModel=NOEXP)):
        error_of(bad)
        assert (dk(kms, key), lkr(kms, key)) == before
    import_material(kms, key, b"x" * 32, p)


def test_r8_new_with_identifier(kms):
    """R8, A27."""
    key, material_id = imported_key(kms, b"8" * 32)
    assert error_of(import_material, kms, key["KeyId"], b"8" * 32, ImportType="NEW_KEY_MATERIAL",
                    KeyMaterialId=material_id) == (
        "ValidationException", "Input parameter keyMaterialId cannot be used with NEW_KEY_MATERIAL importType.")


def test_r11_r12_expiration_parameters(kms):
    """R11, R12, A14, A15, A16, A23."""
    key = external_key(kms)["KeyId"]
    p = parameters_for(kms, key)
    wrapped = wrap(p["PublicKey"], b"e" * 32)

    def refused(**more):
        code, text = error_of(kms.import_key_material, KeyId=key, ImportToken=p["ImportToken"],
                              EncryptedKeyMaterial=wrapped, **more)
        assert code == "ValidationException"
        return text

    must = "A validTo date must be set if the ExpirationModel is KEY_MATERIAL_EXPIRES"
    assert refused() == must
    assert refused(ExpirationModel=EXP) == must
    assert refused(ValidTo=later(-60)) == "ValidTo must be in the future"
    assert refused(ValidTo=later(367 * 86400)) == "ValidTo must be less than 365 days in the future"
    assert refused(ExpirationModel=NOEXP, ValidTo=later(60)) == (
        "A validTo date cannot be set if the ExpirationModel is KEY_MATERIAL_DOES_NOT_EXPIRE")
    # R11: the model left out means that it expires
    kms.import_key_material(KeyId=key, ImportToken=p["ImportToken"], EncryptedKeyMaterial=wrapped,
                            ValidTo=later(3600))
    assert dk(kms, key)[2] == EXP


def test_r13_valid_to_is_cut_to_seconds(kms):
    """R13: 955686 microseconds go down, not up."""
    key = external_key(kms)["KeyId"]
    valid_to = later(3600).replace(microsecond=955686)
    import_material(kms, key, b"s" * 32, ValidTo=valid_to)
    assert dk(kms, key)[3] == valid_to.replace(microsecond=0)


# --- ImportKeyMaterial: token, unwrapping, identity ----------------------------------------------------------


def test_r14_tokens_of_another_key_or_damaged(kms):
    """R14, B7, B8: and no message member."""
    key, other = external_key(kms)["KeyId"], external_key(kms)["KeyId"]
    mine, theirs = parameters_for(kms, key), parameters_for(kms, other)
    wrapped = wrap(theirs["PublicKey"], b"t" * 32)
    assert error_of(kms.import_key_material, KeyId=key, ImportToken=theirs["ImportToken"],
                    EncryptedKeyMaterial=wrapped, ExpirationModel=NOEXP) == ("InvalidImportTokenException", None)
    token = bytearray(mine["ImportToken"])
    for at in (0, len(token) // 2, len(token) - 1):
        damaged = bytearray(token)
        damaged[at] ^= 1
        assert error_of(kms.import_key_material, KeyId=key, ImportToken=bytes(damaged),
                        EncryptedKeyMaterial=wrap(mine["PublicKey"], b"t" * 32),
                        ExpirationModel=NOEXP) == ("InvalidImportTokenException", None)


def test_r14_tokens_of_another_instance(kms, new_server):
    foreign = new_server().client()
    key = external_key(kms)["KeyId"]
    p = parameters_for(foreign, external_key(foreign)["KeyId"])
    assert error_of(kms.import_key_material, KeyId=key, ImportToken=p["ImportToken"],
                    EncryptedKeyMaterial=wrap(p["PublicKey"], b"t" * 32),
                    ExpirationModel=NOEXP) == ("InvalidImportTokenException", None)


@pytest.mark.parametrize("length", [1, 16, 24, 31, 33, 64])
def test_r15_wrong_length(kms, length):
    """R15, A17: a length that is not 32."""
    key = external_key(kms)["KeyId"]
    assert error_of(import_material, kms, key, b"l" * length) == ("InvalidCiphertextException", None)
    assert dk(kms, key)[0] == "PendingImport"


def test_r15_damaged_wrapping(kms):
    """R15, B9; also the other OAEP hash and another wrapping key."""
    key = external_key(kms)["KeyId"]
    p, q = parameters_for(kms, key), parameters_for(kms, key)
    good = wrap(p["PublicKey"], b"d" * 32)
    damaged = good[:100] + bytes([good[100] ^ 1]) + good[101:]
    for wrapped in (damaged, b"\0" * 256, wrap(q["PublicKey"], b"d" * 32),
                    wrap(p["PublicKey"], b"d" * 32, "RSAES_OAEP_SHA_1")):
        assert error_of(kms.import_key_material, KeyId=key, ImportToken=p["ImportToken"],
                        EncryptedKeyMaterial=wrapped, ExpirationModel=NOEXP) == ("InvalidCiphertextException", None)


@pytest.mark.parametrize("size", [1, 255, 257, 384, 512])
def test_wrapped_size_that_cannot_fit(kms, size):
    """kms-behaviour 7.3: a length that does not fit the wrapping key."""
    key = external_key(kms)["KeyId"]
    p = parameters_for(kms, key)
    assert error_of(kms.import_key_material, KeyId=key, ImportToken=p["ImportToken"],
                    EncryptedKeyMaterial=b"\1" * size, ExpirationModel=NOEXP) == (
        "ValidationException", "Invalid encrypted key size.")


def test_r17_r26_material_ids(kms):
    """R17: a function of key and material; R26: the answer's fields."""
    material = os.urandom(32)
    a, b = external_key(kms), external_key(kms)
    answer = import_material(kms, a["KeyId"], material)
    assert answer_fields(answer) == {"KeyId": a["Arn"], "KeyMaterialId": answer["KeyMaterialId"]}
    assert re.fullmatch("[0-9a-f]{64}", answer["KeyMaterialId"])
    assert import_material(kms, b["KeyId"], material)["KeyMaterialId"] != answer["KeyMaterialId"]
    kms.delete_imported_key_material(KeyId=a["KeyId"])
    assert import_material(kms, a["KeyId"], material)["KeyMaterialId"] == answer["KeyMaterialId"]


def test_r18_first_import(kms):
    """R18, A18..A20."""
    key = external_key(kms)["KeyId"]
    assert lkr(kms, key) == []
    m1 = import_material(kms, key, b"1" * 32, KeyMaterialDescription="first material")["KeyMaterialId"]
    assert dk(kms, key) == ("Enabled", True, NOEXP, None, m1)
    assert lkr(kms, key) == [entry(m1, "CURRENT", KeyMaterialDescription="first material")]
    assert lkr(kms, key, everything=False) == []


def test_r18_first_import_as_new(kms):
    """kms-behaviour 7.5: NEW on a key that never had a material is the first import too."""
    key = external_key(kms)["KeyId"]
    m1 = import_material(kms, key, b"1" * 32, ImportType="NEW_KEY_MATERIAL")["KeyMaterialId"]
    assert dk(kms, key) == ("Enabled", True, NOEXP, None, m1)


def test_r19_new_with_associated_material(kms):
    """R19, A25: CURRENT; and for the pending one this text wins over R20."""
    key, m1 = imported_key(kms, b"1" * 32)
    text = "Key material (id: %s) being imported as NEW_KEY_MATERIAL is already associated with KMS key %s."
    assert error_of(import_material, kms, key["KeyId"], b"1" * 32, ImportType="NEW_KEY_MATERIAL") == (
        "IncorrectKeyMaterialException", text % (m1, key["Arn"]))
    m2 = import_material(kms, key["KeyId"], b"2" * 32, ImportType="NEW_KEY_MATERIAL")["KeyMaterialId"]
    assert error_of(import_material, kms, key["KeyId"], b"2" * 32, ImportType="NEW_KEY_MATERIAL") == (
        "IncorrectKeyMaterialException", text % (m2, key["Arn"]))


def test_r20_third_while_pending(kms):
    """R20, A35."""
    key, _ = imported_key(kms, b"1" * 32)
    m2 = import_material(kms, key["KeyId"], b"2" * 32, ImportType="NEW_KEY_MATERIAL")["KeyMaterialId"]
    code, text = error_of(import_material, kms, key["KeyId"], b"3" * 32, ImportType="NEW_KEY_MATERIAL")
    assert code == "KMSInvalidStateException"
    assert re.fullmatch(r"New key material \(id: [0-9a-f]{64}\) cannot be imported into KMS key %s, because another "
                        r"key material \(id: %s\) is pending rotation\." % (re.escape(key["Arn"]), m2), text)


def test_r21_new_material_is_pending(kms):
    """R21, A33, A34: nothing of the key changes."""
    key, m1 = imported_key(kms, b"1" * 32)
    before = dk(kms, key["KeyId"])
    m2 = import_material(kms, key["KeyId"], b"2" * 32, ImportType="NEW_KEY_MATERIAL",
                         KeyMaterialDescription="pending second")["KeyMaterialId"]
    assert dk(kms, key["KeyId"]) == before
    assert lkr(kms, key["KeyId"]) == [entry(m1, "CURRENT"),
                                      entry(m2, "PENDING_ROTATION", KeyMaterialDescription="pending second")]


def test_r22_unknown_material(kms):
    """R22, A24, A26: the current id, or the one that the request names, which need not be known."""
    key, m1 = imported_key(kms, b"1" * 32)
    text = "Imported key material does not have the expected identifier (%s)."
    assert error_of(import_material, kms, key["KeyId"], b"9" * 32) == ("IncorrectKeyMaterialException", text % m1)
    assert error_of(import_material, kms, key["KeyId"], b"1" * 32, KeyMaterialId=ZEROS) == (
        "IncorrectKeyMaterialException", text % ZEROS)


def test_r23_r24_reimport_at_any_time(kms):
    """R23, R24, A21, A47: without KeyMaterialId; replaces expiration, keeps description and rotation data."""
    key, m1 = imported_key(kms, b"1" * 32, KeyMaterialDescription="first")
    key_id = key["KeyId"]
    m2 = import_material(kms, key_id, b"2" * 32, ImportType="NEW_KEY_MATERIAL")["KeyMaterialId"]
    kms.rotate_key_on_demand(KeyId=key_id)
    before = lkr(kms, key_id)
    valid_to = later(3600).replace(microsecond=0)
    assert import_material(kms, key_id, b"1" * 32, ValidTo=valid_to)["KeyMaterialId"] == m1
    assert import_material(kms, key_id, b"2" * 32, ImportType="EXISTING_KEY_MATERIAL")["KeyMaterialId"] == m2
    after = lkr(kms, key_id)
    assert after[0] == {**before[0], "ExpirationModel": EXP, "ValidTo": valid_to}
    assert after[1] == before[1] and after[0]["KeyMaterialDescription"] == "first"
    assert import_material(kms, key_id, b"1" * 32)["KeyMaterialId"] == m1
    assert lkr(kms, key_id)[0] == before[0]


def test_r25_reimport_enables_a_disabled_key(kms):
    """R25, A48..A51."""
    key, m1 = imported_key(kms, b"1" * 32)
    kms.disable_key(KeyId=key["KeyId"])
    import_material(kms, key["KeyId"], b"1" * 32)
    assert dk(kms, key["KeyId"]) == ("Enabled", True, NOEXP, None, m1)


# --- DeleteImportedKeyMaterial ------------------------------------------------------------------------------


def test_r27_r30_delete_current(kms):
    """R27, R30, A58, A44: the current one by default; the entry stays without expiration."""
    key, m1 = imported_key(kms, b"1" * 32, KeyMaterialDescription="kept", ValidTo=later(3600))
    answer = kms.delete_imported_key_material(KeyId=key["KeyId"])
    assert answer_fields(answer) == {"KeyId": key["Arn"], "KeyMaterialId": m1}
    assert dk(kms, key["KeyId"]) == ("PendingImport", False, None, None, m1)
    assert lkr(kms, key["KeyId"]) == [entry(m1, "CURRENT", "PENDING_IMPORT", None, KeyMaterialDescription="kept")]


def test_r28_delete_unknown(kms):
    """R28, A60."""
    key, _ = imported_key(kms, b"1" * 32)
    assert error_of(kms.delete_imported_key_material, KeyId=key["KeyId"], KeyMaterialId=ZEROS) == (
        "ValidationException",
        "Key material (id: %s) has never been imported into KMS key %s." % (ZEROS, key["Arn"]))


def test_r29_delete_what_is_missing(kms):
    """R29, A3, A59."""
    key = external_key(kms)
    assert answer_fields(kms.delete_imported_key_material(KeyId=key["KeyId"])) == {"KeyId": key["Arn"]}
    m1 = import_material(kms, key["KeyId"], b"1" * 32)["KeyMaterialId"]
    for _ in range(2):
        assert answer_fields(kms.delete_imported_key_material(KeyId=key["KeyId"])) == {
            "KeyId": key["Arn"], "KeyMaterialId": m1}


def test_r30_delete_non_current(kms):
    """R30, R33, R35, A43..A47: the whole key becomes unusable, also for the material that is there."""
    key, m1 = imported_key(kms, b"1" * 32, KeyMaterialDescription="first material")
    key_id = key["KeyId"]
    old = kms.encrypt(KeyId=key_id, Plaintext=b"old")["CiphertextBlob"]
    m2 = import_material(kms, key_id, b"2" * 32, ImportType="NEW_KEY_MATERIAL")["KeyMaterialId"]
    kms.rotate_key_on_demand(KeyId=key_id)
    new = kms.encrypt(KeyId=key_id, Plaintext=b"new")["CiphertextBlob"]
    assert kms.delete_imported_key_material(KeyId=key_id, KeyMaterialId=m1)["KeyMaterialId"] == m1
    assert dk(kms, key_id) == ("PendingImport", False, None, None, m2)
    for blob in (old, new):
        assert error_of(kms.decrypt, CiphertextBlob=blob) == pending_import(key["Arn"])
        assert error_of(kms.decrypt, CiphertextBlob=blob, KeyId=key_id) == pending_import(key["Arn"])
    assert without_dates(lkr(kms, key_id)) == [
        entry(m1, "NON_CURRENT", "PENDING_IMPORT", None, KeyMaterialDescription="first material"),
        entry(m2, "CURRENT", rotated=True)]
    import_material(kms, key_id, b"1" * 32, KeyMaterialId=m1)
    assert dk(kms, key_id) == ("Enabled", True, NOEXP, None, m2)
    assert [kms.decrypt(CiphertextBlob=b)["Plaintext"] for b in (old, new)] == [b"old", b"new"]


def test_r31_delete_pending(kms):
    """R31, A36..A39: the entry vanishes, the same bytes may come again, without their old description."""
    key, m1 = imported_key(kms, b"1" * 32)
    key_id = key["KeyId"]
    m2 = import_material(kms, key_id, b"2" * 32, ImportType="NEW_KEY_MATERIAL",
                         KeyMaterialDescription="pending second")["KeyMaterialId"]
    assert kms.delete_imported_key_material(KeyId=key_id, KeyMaterialId=m2)["KeyMaterialId"] == m2
    assert dk(kms, key_id) == ("Enabled", True, NOEXP, None, m1)
    assert lkr(kms, key_id) == [entry(m1, "CURRENT")]
    assert import_material(kms, key_id, b"2" * 32, ImportType="NEW_KEY_MATERIAL")["KeyMaterialId"] == m2
    assert lkr(kms, key_id) == [entry(m1, "CURRENT"), entry(m2, "PENDING_ROTATION")]


def test_delete_on_disabled_and_pending_deletion(kms):
    """kms-behaviour 7.9: Disabled becomes PendingImport; PendingDeletion stays."""
    key, m1 = imported_key(kms, b"1" * 32)
    kms.disable_key(KeyId=key["KeyId"])
    kms.delete_imported_key_material(KeyId=key["KeyId"])
    assert dk(kms, key["KeyId"])[0] == "PendingImport"
    key, m1 = imported_key(kms, b"1" * 32)
    kms.schedule_key_deletion(KeyId=key["KeyId"], PendingWindowInDays=7)
    assert kms.delete_imported_key_material(KeyId=key["KeyId"])["KeyMaterialId"] == m1
    assert dk(kms, key["KeyId"])[0] == "PendingDeletion"
    kms.cancel_key_deletion(KeyId=key["KeyId"])
    assert dk(kms, key["KeyId"])[0] == "PendingImport"


def test_delete_needs_an_external_key(kms):
    key = kms.create_key()["KeyMetadata"]
    assert error_of(kms.delete_imported_key_material, KeyId=key["KeyId"]) == (
        "UnsupportedOperationException",
        "%s origin is AWS_KMS which is not valid for this operation." % key["Arn"])


# --- state and DescribeKey --------------------------------------------------------------------------------------


def test_r34_current_material_id_once_there_was_one(kms):
    """R34: absent before the first import, present in PendingImport afterwards."""
    key = external_key(kms)["KeyId"]
    assert dk(kms, key) == ("PendingImport", False, None, None, None)
    m1 = import_material(kms, key, b"1" * 32, ValidTo=later(3600))["KeyMaterialId"]
    kms.delete_imported_key_material(KeyId=key)
    assert dk(kms, key) == ("PendingImport", False, None, None, m1)


def test_r35_what_pending_import_refuses(kms):
    """R35, A4..A9, A45."""
    key, _ = imported_key(kms, b"1" * 32)
    key_id, arn = key["KeyId"], key["Arn"]
    blob = kms.encrypt(KeyId=key_id, Plaintext=b"x")["CiphertextBlob"]
    enabled = kms.create_key()["KeyMetadata"]["KeyId"]
    kms.delete_imported_key_material(KeyId=key_id)
    for call in (lambda: kms.enable_key(KeyId=key_id), lambda: kms.disable_key(KeyId=key_id),
                 lambda: kms.rotate_key_on_demand(KeyId=key_id),
                 lambda: kms.encrypt(KeyId=key_id, Plaintext=b"x"),
                 lambda: kms.decrypt(CiphertextBlob=blob), lambda: kms.decrypt(CiphertextBlob=blob, KeyId=key_id),
                 lambda: kms.generate_data_key(KeyId=key_id, KeySpec="AES_256"),
                 lambda: kms.generate_data_key_without_plaintext(KeyId=key_id, KeySpec="AES_256"),
                 lambda: kms.re_encrypt(CiphertextBlob=blob, DestinationKeyId=enabled),
                 lambda: kms.re_encrypt(CiphertextBlob=kms.encrypt(KeyId=enabled, Plaintext=b"y")["CiphertextBlob"],
                                        DestinationKeyId=key_id)):
        assert error_of(call) == pending_import(arn)
    origin = ("UnsupportedOperationException", "%s origin is EXTERNAL which is not valid for this operation." % arn)
    assert error_of(kms.enable_key_rotation, KeyId=key_id) == origin
    assert error_of(kms.disable_key_rotation, KeyId=key_id) == origin
    assert gkrs(kms, key_id) == {"KeyRotationEnabled": False, "KeyId": arn}
    parameters_for(kms, key_id)
    lkr(kms, key_id)
    kms.delete_imported_key_material(KeyId=key_id)


def test_r36_deletion_and_cancel_of_a_pending_import_key(kms):
    """R36, A61..A63."""
    key, m1 = imported_key(kms, b"1" * 32)
    kms.delete_imported_key_material(KeyId=key["KeyId"])
    answer = answer_fields(kms.schedule_key_deletion(KeyId=key["KeyId"], PendingWindowInDays=7))
    window = answer.pop("DeletionDate") - datetime.datetime.now(datetime.timezone.utc)
    assert abs(window - datetime.timedelta(days=7)) < datetime.timedelta(minutes=5)
    assert answer == {"KeyId": key["Arn"], "KeyState": "PendingDeletion", "PendingWindowInDays": 7}
    assert answer_fields(kms.cancel_key_deletion(KeyId=key["KeyId"])) == {"KeyId": key["Arn"]}
    assert dk(kms, key["KeyId"]) == ("PendingImport", False, None, None, m1)
    assert "DeletionDate" not in kms.describe_key(KeyId=key["KeyId"])["KeyMetadata"]


# --- expiry -------------------------------------------------------------------------------------------------------


def test_r33_r37_expiry_of_the_current_material(new_server):
    """R33, R37, A53..A57: PendingImport at once; the listing keeps IMPORTED, the model and ValidTo, before and
    after the bytes have been erased; a re-import restores."""
    server = new_server()
    kms = server.client()
    key, m1 = imported_key(kms, b"1" * 32)
    key_id = key["KeyId"]
    blob = kms.encrypt(KeyId=key_id, Plaintext=b"x")["CiphertextBlob"]
    valid_to = later(1000).replace(microsecond=0)
    import_material(kms, key_id, b"1" * 32, ValidTo=valid_to)
    assert dk(kms, key_id) == ("Enabled", True, EXP, valid_to, m1)
    server.advance(1001)
    assert dk(kms, key_id) == ("PendingImport", False, None, None, m1)
    assert error_of(kms.decrypt, CiphertextBlob=blob) == pending_import(key["Arn"])
    expired = [entry(m1, "CURRENT", model=EXP, ValidTo=valid_to)]
    assert lkr(kms, key_id) == expired
    deadline = time.monotonic() + 20
    while not any(r["eventName"] == "DeleteExpiredKeyMaterial" for r in server.audit()):
        assert time.monotonic() < deadline, "the job did not erase"
        time.sleep(0.02)
    assert lkr(kms, key_id) == expired and dk(kms, key_id)[0] == "PendingImport"
    import_material(kms, key_id, b"1" * 32)
    assert dk(kms, key_id) == ("Enabled", True, NOEXP, None, m1)
    assert lkr(kms, key_id) == [entry(m1, "CURRENT")]
    assert kms.decrypt(CiphertextBlob=blob)["Plaintext"] == b"x"


def test_expiry_of_a_disabled_key(new_server):
    """kms-behaviour 5: a missing material makes any key but a deleted one PendingImport."""
    server = new_server()
    kms = server.client()
    key, _ = imported_key(kms, b"1" * 32, ValidTo=later(1000))
    kms.disable_key(KeyId=key["KeyId"])
    server.advance(1001)
    assert dk(kms, key["KeyId"])[0] == "PendingImport"


def test_end_of_a_window_before_its_import_tokens(new_server):
    """A key that is found to be gone before a job has looked at its import tokens takes them along (the timer of the
    ValidTo comes first here)."""
    server = new_server()
    kms = server.client()
    key, _ = imported_key(kms, b"1" * 32, ValidTo=later(1000))
    kms.schedule_key_deletion(KeyId=key["KeyId"], PendingWindowInDays=7)
    server.advance(8 * 86400)
    assert error_of(kms.describe_key, KeyId=key["KeyId"])[0] == "NotFoundException"
    deadline = time.monotonic() + 20
    while server.status()["slots"]["erasable"]["used"] > 0:
        assert time.monotonic() < deadline, "the job did not erase"
        time.sleep(0.02)


def test_expiry_after_downtime(new_server):
    """The first answer after a stop is right already."""
    server = new_server()
    kms = server.client()
    for ahead in (2, 15, 60):  # a busy machine may take seconds to import
        valid_to = later(ahead)
        try:
            key, m1 = imported_key(kms, b"1" * 32, ValidTo=valid_to)
            break
        except kms.exceptions.ClientError:
            assert later(0) > valid_to - datetime.timedelta(seconds=1)
    server.stop()
    time.sleep(max(0.5, (valid_to - later(-0.5)).total_seconds()))
    server.start()
    kms = server.client()
    assert dk(kms, key["KeyId"]) == ("PendingImport", False, None, None, m1)
    assert any(r["eventName"] == "DeleteExpiredKeyMaterial" for r in server.audit())


def test_r38_pending_past_its_valid_to(new_server):
    """R38, R19, B11..B16, C: nothing happens to it, it can be rotated in and deleted."""
    server = new_server()
    kms = server.client()
    key, m1 = imported_key(kms, b"1" * 32)
    key_id = key["KeyId"]
    valid_to = later(1000).replace(microsecond=0)
    m2 = import_material(kms, key_id, b"2" * 32, ImportType="NEW_KEY_MATERIAL", ValidTo=valid_to)["KeyMaterialId"]
    server.advance(2000)
    time.sleep(0.3)
    assert dk(kms, key_id) == ("Enabled", True, NOEXP, None, m1)
    listed = [entry(m1, "CURRENT"), entry(m2, "PENDING_ROTATION", model=EXP, ValidTo=valid_to)]
    assert lkr(kms, key_id) == listed
    assert error_of(import_material, kms, key_id, b"2" * 32, ImportType="NEW_KEY_MATERIAL") == (
        "IncorrectKeyMaterialException", "Key material (id: %s) being imported as NEW_KEY_MATERIAL is already "
        "associated with KMS key %s." % (m2, key["Arn"]))
    assert lkr(kms, key_id) == listed
    kms.encrypt(KeyId=key_id, Plaintext=b"x")
    assert kms.delete_imported_key_material(KeyId=key_id, KeyMaterialId=m2)["KeyMaterialId"] == m2
    assert lkr(kms, key_id) == listed[:1]


def test_r39_rotating_an_expired_material_in(new_server):
    """R39, H: the rotation completes and the key is PendingImport; a re-import restores and drops ValidTo."""
    server = new_server()
    kms = server.client()
    key, m1 = imported_key(kms, b"1" * 32)
    key_id = key["KeyId"]
    blob = kms.encrypt(KeyId=key_id, Plaintext=b"initial text")["CiphertextBlob"]
    assert len(blob) == 164
    valid_to = later(1000).replace(microsecond=0)
    m2 = import_material(kms, key_id, b"2" * 32, ImportType="NEW_KEY_MATERIAL", ValidTo=valid_to)["KeyMaterialId"]
    server.advance(2000)
    kms.rotate_key_on_demand(KeyId=key_id)
    assert dk(kms, key_id) == ("PendingImport", False, None, None, m2)
    assert without_dates(lkr(kms, key_id)) == [
        entry(m1, "NON_CURRENT"), entry(m2, "CURRENT", model=EXP, ValidTo=valid_to, rotated=True)]
    assert error_of(kms.encrypt, KeyId=key_id, Plaintext=b"x") == pending_import(key["Arn"])
    assert error_of(kms.decrypt, CiphertextBlob=blob) == pending_import(key["Arn"])
    import_material(kms, key_id, b"2" * 32)
    assert dk(kms, key_id) == ("Enabled", True, NOEXP, None, m2)
    assert without_dates(lkr(kms, key_id)) == [entry(m1, "NON_CURRENT"), entry(m2, "CURRENT", rotated=True)]
    answer = kms.decrypt(CiphertextBlob=blob)
    assert (answer["Plaintext"], answer["KeyMaterialId"]) == (b"initial text", m1)


# --- the ciphertext (section 4.4) ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("length", [1, 12, 16, 27, 4096])
def test_blob_format(kms, length):
    """4.4: plaintext + 152 bytes, prefix, and the material id at bytes 5 to 36."""
    key, m1 = imported_key(kms, os.urandom(32))
    blob = kms.encrypt(KeyId=key["KeyId"], Plaintext=b"p" * length)["CiphertextBlob"]
    assert len(blob) == length + 152 and blob[:5] == bytes.fromhex("0102020078")
    assert blob[5:37].hex() == m1
    data_key = kms.generate_data_key_without_plaintext(KeyId=key["KeyId"], KeySpec="AES_256")
    assert len(data_key["CiphertextBlob"]) == 184 and data_key["CiphertextBlob"][:5] == bytes.fromhex("0102030078")
    assert data_key["KeyMaterialId"] == m1


def test_answers_have_the_recorded_fields(kms):
    """4.3 of the cryptographic answers; J25, J37..J39."""
    key, m1 = imported_key(kms, os.urandom(32))
    encrypted = kms.encrypt(KeyId=key["KeyId"], Plaintext=b"x")
    assert set(answer_fields(encrypted)) == {"CiphertextBlob", "KeyId", "EncryptionAlgorithm"}
    decrypted = kms.decrypt(CiphertextBlob=encrypted["CiphertextBlob"])
    assert answer_fields(decrypted) == {"KeyId": key["Arn"], "Plaintext": b"x",
                                        "EncryptionAlgorithm": "SYMMETRIC_DEFAULT", "KeyMaterialId": m1}
    moved = kms.re_encrypt(CiphertextBlob=encrypted["CiphertextBlob"], DestinationKeyId=key["KeyId"])
    assert set(answer_fields(moved)) == {
        "CiphertextBlob", "SourceKeyId", "KeyId", "SourceEncryptionAlgorithm", "DestinationEncryptionAlgorithm",
        "SourceKeyMaterialId", "DestinationKeyMaterialId"}
    made = kms.generate_data_key(KeyId=key["KeyId"], NumberOfBytes=64)
    assert set(answer_fields(made)) == {"CiphertextBlob", "Plaintext", "KeyId", "KeyMaterialId"}
    assert kms.decrypt(CiphertextBlob=made["CiphertextBlob"])["Plaintext"] == made["Plaintext"]
