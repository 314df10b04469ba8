"""Events of the service in the audit log: what happens to keys by itself, and rotations however they come."""
import time

from recorded import finish_rotation, later
from trent_server import import_material, imported_key


def events_of(server, name, key_id=None):
    """The service events of this name, of one key if given, in order."""
    found = [r for r in server.audit() if r["eventName"] == name and r["eventType"] == "AwsServiceEvent"]
    return [r for r in found if key_id is None or r["serviceEventDetails"]["keyId"] == key_id]


def wait_for_events(server, name, key_id, n=1):
    deadline = time.monotonic() + 20
    while len(events_of(server, name, key_id)) < n:
        assert time.monotonic() < deadline, "%s was not told" % name
        time.sleep(0.02)
    found = events_of(server, name, key_id)
    assert len(found) == n
    return found


def check_shape(event, key):
    """As CloudTrail writes what the service does by itself."""
    assert event["userIdentity"] == {"accountId": "000000000000", "invokedBy": "AWS Internal"}
    assert event["eventSource"] == "kms.amazonaws.com" and event["awsRegion"] == "us-east-1"
    assert event["requestParameters"] is None and event["responseElements"] is None
    assert event["resources"] == [{"accountId": "000000000000", "type": "AWS::KMS::Key", "ARN": key["Arn"]}]
    assert event["recipientAccountId"] == "000000000000" and event["commit"] > 0


# --- service events ---------------------------------------------------------------------------------------------


def test_a_rotation_on_demand_is_told(server, kms):
    """Also one that completes at once: after the record of the call, in the same commit."""
    key = kms.create_key()["KeyMetadata"]
    kms.rotate_key_on_demand(KeyId=key["KeyId"])
    event, = wait_for_events(server, "RotateKey", key["KeyId"])
    check_shape(event, key)
    current = kms.describe_key(KeyId=key["KeyId"])["KeyMetadata"]["CurrentKeyMaterialId"]
    assert event["serviceEventDetails"] == {"keyId": key["KeyId"], "keyMaterialId": current, "keyOrigin": "AWS_KMS",
                                            "rotationType": "ON_DEMAND"}
    records = server.audit()
    at = next(i for i, r in enumerate(records) if r["eventID"] == event["eventID"])
    assert records[at - 1]["eventName"] == "RotateKeyOnDemand" and records[at - 1]["commit"] == event["commit"]


def test_a_delayed_rotation_is_told_when_it_ends(new_server):
    server = new_server("--rotation-delay=3600")
    kms = server.client()
    key, m1 = imported_key(kms, b"1" * 32)
    m2 = import_material(kms, key["KeyId"], b"2" * 32, ImportType="NEW_KEY_MATERIAL")["KeyMaterialId"]
    kms.rotate_key_on_demand(KeyId=key["KeyId"])
    assert events_of(server, "RotateKey") == []
    finish_rotation(server, kms, key["KeyId"])
    event, = wait_for_events(server, "RotateKey", key["KeyId"])
    check_shape(event, key)
    assert event["serviceEventDetails"]["keyMaterialId"] == m2
    assert event["serviceEventDetails"]["keyOrigin"] == "EXTERNAL"


def test_expiry_and_deletion_are_told(new_server):
    server = new_server()
    kms = server.client()
    key, m1 = imported_key(kms, b"1" * 32, ValidTo=later(1000))
    server.advance(1001)
    event, = wait_for_events(server, "DeleteExpiredKeyMaterial", key["KeyId"])
    check_shape(event, key)
    assert event["serviceEventDetails"] == {"keyId": key["KeyId"], "keyMaterialId": m1}
    kms.schedule_key_deletion(KeyId=key["KeyId"], PendingWindowInDays=7)
    server.advance(7 * 86400 + 1)
    event, = wait_for_events(server, "DeleteKey", key["KeyId"])
    check_shape(event, key)
    assert event["serviceEventDetails"] == {"keyId": key["KeyId"]}


def test_what_a_caller_does_is_no_event_of_the_service(server, kms):
    key, m1 = imported_key(kms, b"1" * 32, ValidTo=later(1000))
    import_material(kms, key["KeyId"], b"1" * 32, ValidTo=later(2000))
    kms.delete_imported_key_material(KeyId=key["KeyId"])
    kms.schedule_key_deletion(KeyId=key["KeyId"], PendingWindowInDays=7)
    kms.cancel_key_deletion(KeyId=key["KeyId"])
    assert [r for r in server.audit() if r["eventType"] == "AwsServiceEvent" and
            r.get("serviceEventDetails", {}).get("keyId") == key["KeyId"]] == []


# --- warnings ---------------------------------------------------------------------------------------------------

DAY = 86400
WARNING = "TrentKeyMaterialExpirationWarning"


def days_told(server, key_id):
    return [r["serviceEventDetails"]["days"] for r in events_of(server, WARNING, key_id)]


def wait_for_days(server, key_id, days):
    wait_for_events(server, WARNING, key_id, len(days))
    assert days_told(server, key_id) == days


def test_expiry_is_announced(new_server):
    """Once for each number of days of the setting, and again after material was imported anew."""
    server = new_server("--expiry-warning-days=30,7,1")
    kms = server.client()
    valid_to = later(40 * DAY).replace(microsecond=0)
    key, m1 = imported_key(kms, b"1" * 32, ValidTo=valid_to)
    server.advance(9 * DAY)
    time.sleep(0.3)
    assert days_told(server, key["KeyId"]) == []
    server.advance(DAY + 60)
    wait_for_days(server, key["KeyId"], [30])
    event, = events_of(server, WARNING, key["KeyId"])
    check_shape(event, key)
    assert event["serviceEventDetails"] == {"keyId": key["KeyId"], "keyMaterialId": m1, "days": 30,
                                            "validTo": valid_to.strftime("%Y-%m-%dT%H:%M:%SZ")}
    server.advance(23 * DAY)
    wait_for_days(server, key["KeyId"], [30, 7])
    server.advance(6 * DAY)
    wait_for_days(server, key["KeyId"], [30, 7, 1])
    import_material(kms, key["KeyId"], b"1" * 32, ValidTo=later(39 * DAY + 10 * DAY))
    server.advance(3 * DAY + 60)
    wait_for_days(server, key["KeyId"], [30, 7, 1, 7])


def test_who_imports_knows_the_date(new_server):
    server = new_server()
    kms = server.client()
    key, _ = imported_key(kms, b"1" * 32, ValidTo=later(5 * DAY))
    time.sleep(0.3)
    assert days_told(server, key["KeyId"]) == []
    server.advance(4 * DAY + 60)
    wait_for_days(server, key["KeyId"], [1])


def test_a_late_start_warns_once(new_server):
    """Stopped while two thresholds pass: the smaller one is told, before the first answer; a restart repeats
    nothing."""
    server = new_server("--expiry-warning-days=")
    kms = server.client()
    key, _ = imported_key(kms, b"1" * 32, ValidTo=later(40 * DAY))
    server.advance(35 * DAY)
    server.stop()
    assert days_told(server, key["KeyId"]) == []
    server.command.append("--expiry-warning-days=30,7,1")
    server.start()
    assert days_told(server, key["KeyId"]) == [7]
    server.stop()
    server.start()
    time.sleep(0.3)
    assert days_told(server, key["KeyId"]) == [7]
