"""GetKeyLastUsage (kms-behaviour 15.1): what a key was last used for, by which request, in which audit record."""
import concurrent.futures
import contextlib
import datetime
import re
import shutil
import sqlite3
import time
import uuid

import pytest

from trent_server import error_of, external_key, import_material, imported_key

CONTEXT = {"purpose": "test"}
MEMBERS = ("Operation", "CloudTrailEventId", "KmsRequestId")


def usage(kms, key):
    """KeyLastUsage without its Timestamp; None of a key that was never used: the empty object."""
    last = kms.get_key_last_usage(KeyId=key)["KeyLastUsage"]
    return {name: last[name] for name in MEMBERS} if last else None


def made_by(server, operation, answer):
    """What the audit and the answer say about the call."""
    request = answer["ResponseMetadata"]["RequestId"]
    (record,) = [r for r in server.audit() if r.get("requestID") == request]
    assert record["eventName"] == operation
    return {"Operation": operation, "CloudTrailEventId": record["eventID"], "KmsRequestId": request}


@pytest.fixture
def key(kms):
    return kms.create_key()["KeyMetadata"]


def test_never_used(kms, key):
    answer = kms.get_key_last_usage(KeyId=key["KeyId"])
    del answer["ResponseMetadata"]
    assert answer == {"KeyId": key["Arn"], "KeyLastUsage": {}, "TrackingStartDate": key["CreationDate"],
                      "KeyCreationDate": key["CreationDate"]}


def test_every_operation_that_counts(server, kms, key):
    other = kms.create_key()["KeyMetadata"]["KeyId"]
    blob = kms.encrypt(KeyId=key["KeyId"], Plaintext=b"x")["CiphertextBlob"]
    calls = [
        ("Encrypt", lambda: kms.encrypt(KeyId=key["KeyId"], Plaintext=b"x")),
        ("Decrypt", lambda: kms.decrypt(CiphertextBlob=blob)),
        ("GenerateDataKey", lambda: kms.generate_data_key(KeyId=key["Arn"], KeySpec="AES_256")),
        ("GenerateDataKeyWithoutPlaintext",
         lambda: kms.generate_data_key_without_plaintext(KeyId=key["KeyId"], KeySpec="AES_128")),
        ("ReEncrypt", lambda: kms.re_encrypt(CiphertextBlob=blob, DestinationKeyId=other)),
    ]
    for operation, call in calls:
        before = datetime.datetime.now(datetime.timezone.utc)
        answer = call()
        assert usage(kms, key["KeyId"]) == made_by(server, operation, answer)
        at = kms.get_key_last_usage(KeyId=key["Arn"])["KeyLastUsage"]["Timestamp"]
        assert abs((at - before).total_seconds()) < 30


def test_timestamp_is_that_of_the_audit_record(server, kms, key):
    answer = kms.encrypt(KeyId=key["KeyId"], Plaintext=b"x")
    (record,) = [r for r in server.audit() if r.get("requestID") == answer["ResponseMetadata"]["RequestId"]]
    at = kms.get_key_last_usage(KeyId=key["KeyId"])["KeyLastUsage"]["Timestamp"]
    assert round(at.timestamp() * 1000) == record["eventTimeMs"]


def test_re_encrypt_marks_both_keys(server, kms, key):
    other = kms.create_key()["KeyMetadata"]["KeyId"]
    blob = kms.encrypt(KeyId=key["KeyId"], Plaintext=b"x")["CiphertextBlob"]
    answer = kms.re_encrypt(CiphertextBlob=blob, DestinationKeyId=other)
    expected = made_by(server, "ReEncrypt", answer)
    assert usage(kms, key["KeyId"]) == expected
    assert usage(kms, other) == expected


def test_use_through_an_alias_counts_for_its_key(server, kms, key):
    kms.create_alias(AliasName="alias/last-usage", TargetKeyId=key["KeyId"])
    answer = kms.encrypt(KeyId="alias/last-usage", Plaintext=b"x")
    assert usage(kms, key["KeyId"]) == made_by(server, "Encrypt", answer)


def test_what_does_not_count(server, kms, key):
    used = kms.encrypt(KeyId=key["KeyId"], Plaintext=b"x", EncryptionContext=CONTEXT)
    expected = made_by(server, "Encrypt", used)
    blob = used["CiphertextBlob"]

    assert error_of(kms.encrypt, KeyId=key["KeyId"], Plaintext=b"x", DryRun=True)[0] == "DryRunOperationException"
    assert error_of(kms.decrypt, CiphertextBlob=blob)[0] == "InvalidCiphertextException"  # no context
    assert error_of(kms.re_encrypt, CiphertextBlob=blob, SourceEncryptionContext=CONTEXT,
                    DestinationKeyId=key["KeyId"], DryRun=True)[0] == "DryRunOperationException"
    kms.generate_random(NumberOfBytes=8)
    kms.describe_key(KeyId=key["KeyId"])
    kms.get_key_rotation_status(KeyId=key["KeyId"])
    kms.update_key_description(KeyId=key["KeyId"], Description="another")
    kms.disable_key(KeyId=key["KeyId"])
    assert error_of(kms.encrypt, KeyId=key["KeyId"], Plaintext=b"x")[0] == "DisabledException"
    assert usage(kms, key["KeyId"]) == expected


def test_a_failed_re_encrypt_marks_neither(kms, key):
    other = kms.create_key()["KeyMetadata"]["KeyId"]
    blob = kms.encrypt(KeyId=key["KeyId"], Plaintext=b"x")["CiphertextBlob"]
    before = usage(kms, key["KeyId"])
    kms.disable_key(KeyId=other)
    assert error_of(kms.re_encrypt, CiphertextBlob=blob, DestinationKeyId=other)[0] == "DisabledException"
    assert usage(kms, key["KeyId"]) == before
    assert usage(kms, other) is None


def test_all_states(server, kms):
    """Every change of a key replaces its record; what it was used for stays."""
    key, _ = imported_key(kms, b"u" * 32)
    expected = made_by(server, "Encrypt", kms.encrypt(KeyId=key["KeyId"], Plaintext=b"x"))
    kms.tag_resource(KeyId=key["KeyId"], Tags=[{"TagKey": "a", "TagValue": "b"}])
    kms.disable_key(KeyId=key["KeyId"])
    assert usage(kms, key["KeyId"]) == expected
    kms.enable_key(KeyId=key["KeyId"])
    kms.delete_imported_key_material(KeyId=key["KeyId"])
    assert usage(kms, key["KeyId"]) == expected
    import_material(kms, key["KeyId"], b"u" * 32)
    kms.schedule_key_deletion(KeyId=key["KeyId"], PendingWindowInDays=7)
    assert usage(kms, key["KeyId"]) == expected
    assert usage(kms, external_key(kms)["KeyId"]) is None  # PendingImport


def test_identifiers(server, kms, key):
    kms.create_alias(AliasName="alias/last-usage-2", TargetKeyId=key["KeyId"])
    for alias in ("alias/last-usage-2", key["Arn"].split("key/")[0] + "alias/last-usage-2"):
        assert error_of(kms.get_key_last_usage, KeyId=alias) == \
            ("InvalidArnException", "Key Aliases are not supported for this operation.")
    assert error_of(kms.get_key_last_usage, KeyId="00000000-0000-4000-8000-000000000000")[0] == "NotFoundException"
    assert error_of(server.client(region="eu-west-1").get_key_last_usage, KeyId=key["KeyId"])[0] == "NotFoundException"
    foreign = key["Arn"].replace("000000000000", "111122223333")
    assert error_of(kms.get_key_last_usage, KeyId=foreign)[0] in ("AccessDeniedException", "NotFoundException")
    assert error_of(kms.get_key_last_usage)[0] == "ValidationException"


def test_concurrent_uses_leave_one_whole(server, kms, key):
    """From several loops at once: what is there afterwards is one of the calls, not a mixture."""
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda n: kms.generate_data_key(KeyId=key["KeyId"], KeySpec="AES_256"), range(200)))
    last = usage(kms, key["KeyId"])
    (answer,) = [a for a in answers if a["ResponseMetadata"]["RequestId"] == last["KmsRequestId"]]
    assert last == made_by(server, "GenerateDataKey", answer)


# --- the store ------------------------------------------------------------------------------------------------


def test_survives_a_restart(new_server):
    """SIGTERM stores what was not stored yet, although the next time would be in an hour."""
    server = new_server("--usage-flush-seconds=3600")
    kms = server.client()
    key, unused = (kms.create_key()["KeyMetadata"] for _ in range(2))
    expected = made_by(server, "Encrypt", kms.encrypt(KeyId=key["KeyId"], Plaintext=b"x"))
    before = kms.get_key_last_usage(KeyId=key["KeyId"])
    assert server.stop() == 0
    server.start()
    kms = server.client()
    assert usage(kms, key["KeyId"]) == expected
    after = kms.get_key_last_usage(KeyId=key["KeyId"])
    for answer in (before, after):
        del answer["ResponseMetadata"]
    assert after == before
    assert usage(kms, unused["KeyId"]) is None
    kms.update_key_description(KeyId=key["KeyId"], Description="changed after the restart")
    assert usage(kms, key["KeyId"]) == expected
    assert server.stop() == 0
    server.start()  # nothing was used in between: still there
    assert usage(server.client(), key["KeyId"]) == expected


def rows(server):
    """Rows of key_usage; the server must not run."""
    with contextlib.closing(sqlite3.connect("file:%s?mode=ro" % (server.data / "trent.db"), uri=True)) as db:
        return db.execute("SELECT count(*) FROM key_usage").fetchone()[0]


def is_stored(server, request, copy):
    """Whether the row of a use is in the files of a running server: in a copy of the database and its log."""
    copy.mkdir(exist_ok=True)
    for name in ("trent.db", "trent.db-wal"):
        shutil.copy(server.data / name, copy / name)
    try:
        with contextlib.closing(sqlite3.connect(copy / "trent.db")) as db:
            return db.execute("SELECT count(*) FROM key_usage WHERE request_id = ?",
                              (uuid.UUID(request).bytes,)).fetchone()[0] == 1
    except sqlite3.DatabaseError:
        return False  # it was written to meanwhile


def test_stored_from_time_to_time(new_server, tmp_path):
    """kill -9 forgets only what was not stored; no record is missing at the next start for that."""
    server = new_server("--usage-flush-seconds=1")
    kms = server.client()
    key = kms.create_key()["KeyMetadata"]["KeyId"]
    for _ in range(3):  # each of these is a transaction of its own, without an audit record
        kms.encrypt(KeyId=key, Plaintext=b"x")
        time.sleep(1.2)
    expected = made_by(server, "Encrypt", kms.encrypt(KeyId=key, Plaintext=b"x"))
    deadline = time.monotonic() + 60
    while not is_stored(server, expected["KmsRequestId"], tmp_path / "copy"):
        assert time.monotonic() < deadline, "not stored"
        time.sleep(0.2)
    server.kill()
    server.start()
    assert usage(server.client(), key) == expected
    assert "records are missing" not in server.log()


def test_use_that_is_not_on_record_does_not_count(new_server):
    """No audit record, no answer, no use: the emergency space of the audit cannot be made."""
    server = new_server()
    key = server.client().create_key()["KeyMetadata"]["KeyId"]
    server.stop()
    place = server.data / "audit" / "reserve"
    place.unlink()
    place.mkdir()
    server.start()
    kms = server.client()
    with pytest.raises(kms.exceptions.KMSInternalException):
        kms.encrypt(KeyId=key, Plaintext=b"x")
    place.rmdir()
    deadline = time.monotonic() + 60
    while not re.search(r"^trent_audit_healthy 1$", server.get("/_trent/metrics"), re.M):
        assert time.monotonic() < deadline
        time.sleep(0.1)
    assert usage(kms, key) is None
    kms.encrypt(KeyId=key, Plaintext=b"x")
    assert usage(kms, key)["Operation"] == "Encrypt"


def test_goes_with_the_key(new_server):
    server = new_server("--usage-flush-seconds=3600")
    kms = server.client()
    keys = [kms.create_key()["KeyMetadata"]["KeyId"] for _ in range(2)]
    for key in keys:
        kms.encrypt(KeyId=key, Plaintext=b"x")
    assert server.stop() == 0
    assert rows(server) == 2
    server.start()
    kms = server.client()
    kms.encrypt(KeyId=keys[0], Plaintext=b"x")  # marked, not stored, and then gone
    kms.schedule_key_deletion(KeyId=keys[0], PendingWindowInDays=7)
    server.advance(8 * 86400)
    deadline = time.monotonic() + 60
    while error_of(kms.get_key_last_usage, KeyId=keys[0])[0] != "NotFoundException":
        assert time.monotonic() < deadline
    kms.encrypt(KeyId=keys[1], Plaintext=b"x")
    while not any(r["eventName"] == "DeleteKey" for r in server.audit()):
        assert time.monotonic() < deadline
        time.sleep(0.1)
    assert server.stop() == 0
    assert rows(server) == 1
    server.start()
    assert usage(server.client(), keys[1])["Operation"] == "Encrypt"
