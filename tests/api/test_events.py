"""Events of the service: what happens to keys by itself, and rotations however they come, in the audit log and told
to a webhook."""
import concurrent.futures
import re
import signal
import threading
import time
import urllib.request

import pytest
from oidc import make_certificate
from receiver import Receiver
from recorded import finish_rotation, later
from trent_server import Server, b64, import_material, imported_key, until


def events_of(server, name, key_id=None):
    """The service events of this name, of one key if given, in order."""
    found = [r for r in server.audit() if r["eventName"] == name and r["eventType"] == "AwsServiceEvent"]
    return [r for r in found if key_id is None or r["serviceEventDetails"]["keyId"] == key_id]


def wait_for_events(server, name, key_id, n=1):
    until(lambda: len(events_of(server, name, key_id)) >= n, lambda: "%s was not told" % name)
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


# --- the webhook ------------------------------------------------------------------------------------------------


@pytest.fixture
def receiver(tmp_path):
    made = Receiver(tmp_path)
    made.start()
    yield made
    made.stop()


def metric(server, name):
    """The value of a metric of the webhook; None if there is no such line."""
    found = re.search(r"^trent_webhook_%s (\d+)$" % name, server.get("/_trent/metrics"), re.M)
    return int(found.group(1)) if found else None


def wait_for_metric(server, name, good, seconds=60):
    until(lambda: good(metric(server, name)), lambda: "%s stays %r" % (name, metric(server, name)), seconds)


def wait_for_log(server, pattern, seconds=60):
    """What happens is counted first, and then said."""
    until(lambda: re.search(pattern, server.log()), server.log, seconds)


def reset(server):
    request = urllib.request.Request(server.url + "/_trent/reset", b"{}", {"Content-Type": "application/json"})
    with urllib.request.urlopen(request, timeout=30) as answer:
        assert answer.status == 200


def rotate(kms, key, n=1):
    for _ in range(n):
        kms.rotate_key_on_demand(KeyId=key["KeyId"])


def rotations_of(events, key):
    """Ids of the materials that became current, in the order in which they were told."""
    return [e["detail"]["key-material-id"] for e in events if e["detail"]["key-id"] == key["KeyId"]]


def rotations_done(kms, key):
    """The same as the service lists them."""
    return [r["KeyMaterialId"] for r in kms.list_key_rotations(KeyId=key["KeyId"])["Rotations"]]


def test_an_event_in_eventbridge_shape(new_server, receiver):
    """One of each kind, with the id that the audit has, signed (Receiver.take looks at every signature)."""
    server = new_server(*receiver.flags)
    kms = server.client()
    valid_to = later(2 * DAY).replace(microsecond=0)
    key, m1 = imported_key(kms, b"1" * 32, ValidTo=valid_to)
    m2 = import_material(kms, key["KeyId"], b"2" * 32, ImportType="NEW_KEY_MATERIAL")["KeyMaterialId"]
    rotate(kms, key)
    receiver.wait(1)
    server.advance(DAY + 60)
    receiver.wait(2)
    server.advance(DAY)
    receiver.wait(3)
    kms.schedule_key_deletion(KeyId=key["KeyId"], PendingWindowInDays=7)
    server.advance(7 * DAY + 1)
    events = receiver.wait(4)
    details = {"KMS CMK Rotation": {"key-material-id": m2, "rotation-type": "ON_DEMAND"},
               "Trent Imported Key Material Expiration Warning":
                   {"key-material-id": m1, "valid-to": valid_to.strftime("%Y-%m-%dT%H:%M:%SZ"), "days": 1},
               "KMS Imported Key Material Expiration": {"key-material-id": m1},
               "KMS CMK Deletion": {}}
    told = {r["eventID"]: r for r in server.audit()}
    assert [e["detail-type"] for e in events] == list(details)
    for event in events:
        assert list(event) == ["version", "id", "detail-type", "source", "account", "time", "region", "resources",
                               "detail"]
        assert event["detail"] == {"key-id": key["KeyId"], **details[event["detail-type"]]}
        assert (event["version"], event["source"], event["account"]) == ("0", "aws.kms", "000000000000")
        assert (event["region"], event["resources"]) == ("us-east-1", [key["Arn"]])
        assert told[event["id"]]["eventTime"] == event["time"]
        assert told[event["id"]]["serviceEventDetails"]["keyId"] == key["KeyId"]
    wait_for_metric(server, "waiting", lambda n: n == 0)
    assert metric(server, "delivered_total") == 4 and metric(server, "failures_total") == 0
    wait_for_metric(server, "oldest_seconds", lambda n: n == 0)
    assert metric(server, "retry_seconds") == 0


def test_no_webhook_no_rows(new_server, receiver):
    """What happened before there was a webhook is not told later; the metrics do not speak of it."""
    server = new_server()
    kms = server.client()
    key = kms.create_key()["KeyMetadata"]
    rotate(kms, key)
    assert metric(server, "waiting") is None
    server.stop()
    server.command += receiver.flags
    server.start()
    kms = server.client()
    rotate(kms, key)
    event, = receiver.wait(1)
    assert event["detail"]["key-material-id"] == kms.describe_key(KeyId=key["KeyId"])["KeyMetadata"][
        "CurrentKeyMaterialId"]


def test_a_receiver_that_is_down(new_server, receiver):
    """Everything waits, longer each time, over a restart, and goes out once it is there; SIGHUP hurries."""
    receiver.stop()
    server = new_server(*receiver.flags)
    kms = server.client()
    keys = [kms.create_key()["KeyMetadata"] for _ in range(3)]
    for key in keys:
        rotate(kms, key, 2)
    deadline, failures, left = time.monotonic() + 60, 0, 0
    while failures < 3 or left < 2:
        assert time.monotonic() < deadline and left <= 2 ** failures // 2, (failures, left)
        time.sleep(0.01)
        page = server.get("/_trent/metrics")  # both are of the same moment
        failures, left = (int(re.search(r"^trent_webhook_%s (\d+)$" % name, page, re.M).group(1))
                          for name in ("failures_total", "retry_seconds"))
    assert metric(server, "waiting") == 6 and metric(server, "delivered_total") == 0
    server.advance(100)
    assert 100 <= metric(server, "oldest_seconds") < 130
    wait_for_log(server, "webhook: .*events wait, tried again in")
    server.stop()
    server.start()
    assert metric(server, "waiting") == 6
    wait_for_metric(server, "failures_total", lambda n: n >= 1)
    receiver.start()
    server.process.send_signal(signal.SIGHUP)
    events = receiver.wait(6)
    kms = server.client()
    for key in keys:
        assert rotations_of(events, key) == rotations_done(kms, key)
    for name in ("waiting", "retry_seconds", "oldest_seconds"):
        wait_for_metric(server, name, lambda n: n == 0)


def test_a_reset_takes_away_what_waits(new_server, receiver):
    """Of a receiver that is down, and of a key whose event it refuses; over a restart too."""
    receiver.stop()
    server = new_server(*receiver.flags)
    kms = server.client()
    key, _ = imported_key(kms, b"1" * 32, ValidTo=later(1000))
    server.advance(1001)
    rotate(kms, kms.create_key()["KeyMetadata"], 2)
    wait_for_metric(server, "retry_seconds", lambda n: n > 8)  # more than a busy machine may stand still
    began = time.monotonic()
    assert metric(server, "waiting") >= 3
    reset(server)
    assert metric(server, "waiting") == 0 and metric(server, "oldest_seconds") == 0
    wait_for_metric(server, "retry_seconds", lambda n: n == 0)
    assert time.monotonic() - began < 8, "only when the next attempt was due"
    receiver.start()
    fresh = kms.create_key()["KeyMetadata"]
    rotate(kms, fresh)
    event, = receiver.wait(1)
    assert event["detail"]["key-id"] == fresh["KeyId"]
    receiver.answer = lambda event: (400, {})
    failures = metric(server, "failures_total")
    rotate(kms, fresh, 3)
    wait_for_metric(server, "failures_total", lambda n: n > failures)
    reset(server)
    wait_for_metric(server, "waiting", lambda n: n == 0)
    receiver.answer = lambda event: (200, {})
    server.stop()
    server.start()
    last = server.client().create_key()["KeyMetadata"]
    rotate(server.client(), last)
    assert [e["detail"]["key-id"] for e in receiver.wait(2)] == [fresh["KeyId"], last["KeyId"]]


def test_the_id_stays_the_same(new_server, receiver):
    server = new_server(*receiver.flags)
    kms = server.client()
    answers = [500, 503, 429]
    receiver.answer = lambda event: (answers.pop(0) if answers else 200, {})
    key = kms.create_key()["KeyMetadata"]
    rotate(kms, key)
    for left in (2, 1, 0):
        while len(answers) > left:
            time.sleep(0.01)
        server.process.send_signal(signal.SIGHUP)
    receiver.wait(1)
    assert len(receiver.seen) == 4 and len({e["id"] for e in receiver.seen}) == 1
    assert all(e == receiver.seen[0] for e in receiver.seen)


def test_a_refused_event_holds_up_its_key_alone(new_server, receiver):
    """Its later events come after it, others go on."""
    server = new_server(*receiver.flags)
    kms = server.client()
    bad, good = (kms.create_key()["KeyMetadata"] for _ in range(2))
    refuse = [bad["KeyId"]]
    receiver.answer = lambda event: (400 if event["detail"]["key-id"] in refuse else 200, {})
    rotate(kms, bad, 3)
    rotate(kms, good, 3)
    assert rotations_of(receiver.wait(3), good) == rotations_done(kms, good)
    wait_for_metric(server, "waiting", lambda n: n == 3)
    assert {e["id"] for e in receiver.seen if e["detail"]["key-id"] == bad["KeyId"]} == {
        next(e["id"] for e in receiver.seen if e["detail"]["key-id"] == bad["KeyId"])}
    assert metric(server, "retry_seconds") == 0
    wait_for_log(server, r"webhook: event \S+: the answer has status 400; the events of \S+%s wait" % bad["KeyId"])
    rotate(kms, good)
    receiver.wait(4)
    refuse.clear()
    server.process.send_signal(signal.SIGHUP)
    assert rotations_of(receiver.wait(7), bad) == rotations_done(kms, bad)
    wait_for_metric(server, "waiting", lambda n: n == 0)


def test_redirects_are_not_followed(new_server, receiver, tmp_path):
    other = tmp_path / "other"
    other.mkdir()
    aim = Receiver(other).start()
    receiver.answer = lambda event: (307, {"Location": aim.url})
    server = new_server(*receiver.flags)
    kms = server.client()
    rotate(kms, kms.create_key()["KeyMetadata"])
    wait_for_metric(server, "failures_total", lambda n: n >= 1)
    assert aim.seen == [] and metric(server, "waiting") == 1
    wait_for_log(server, "the answer has status 307, and redirects are not followed: name their aim in webhook-url")
    aim.stop()


@pytest.mark.parametrize("wrong", ["authority", "address"])
def test_a_wrong_certificate(new_server, tmp_path, wrong):
    """Of an authority that is not trusted, or for another address: nothing is sent."""
    receiver = Receiver(tmp_path, address="127.0.0.2" if wrong == "address" else "127.0.0.1").start()
    if wrong == "authority":
        other = tmp_path / "other"
        other.mkdir()
        make_certificate(other / "ca.pem", other / "ca.key")
        flags = [f.replace(str(receiver.ca), str(other / "ca.pem")) for f in receiver.flags]
    else:
        flags = receiver.flags
    server = new_server(*flags)
    kms = server.client()
    rotate(kms, kms.create_key()["KeyMetadata"])
    wait_for_metric(server, "failures_total", lambda n: n >= 1)
    assert receiver.seen == [] and metric(server, "waiting") == 1
    wait_for_log(server, "certificate")
    receiver.stop()


def test_a_slow_receiver_holds_nobody_up(new_server, receiver):
    """While it thinks, calls are answered and changes committed; a stop does not wait for it either."""
    release = threading.Event()
    receiver.answer = lambda event: (release.wait(60) and None, {})
    server = new_server(*receiver.flags)
    kms = server.client()
    key = kms.create_key()["KeyMetadata"]
    rotate(kms, key)
    while not receiver.lock.locked():
        time.sleep(0.01)
    rotate(kms, key, 5)
    for _ in range(50):
        kms.encrypt(KeyId=key["KeyId"], Plaintext=b"x")
    assert metric(server, "waiting") == 6
    assert metric(server, "failures_total") == 0, "only when the receiver had been given up"
    started = time.monotonic()
    assert server.stop() == 0
    assert time.monotonic() - started < 13  # giving the receiver up takes 15 seconds
    release.set()


def test_a_thousand_events(new_server, receiver):
    """None is lost, none is out of order within its key; connections are kept."""
    server = new_server(*receiver.flags)
    clients = [server.client() for _ in range(4)]
    keys = [clients[0].create_key()["KeyMetadata"] for _ in range(40)]
    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda i: rotate(clients[i % 4], keys[i], 25), range(40)))
    events = receiver.wait(1000, 90)
    assert len(receiver.seen) == 1000
    for key in keys:
        assert rotations_of(events, key) == rotations_done(clients[0], key)
    assert receiver.connections <= 3
    wait_for_metric(server, "waiting", lambda n: n == 0)
    server.stop()
    server.start()  # what was taken is not in the store any more
    assert metric(server, "waiting") == 0
    time.sleep(0.5)
    assert len(receiver.seen) == 1000


def test_kill_between_commit_and_delivery(new_server, receiver):
    """What was committed is told after the next start, once each, unless it was told already and not noted."""
    receiver.stop()
    server = new_server(*receiver.flags)
    kms = server.client()
    keys = [kms.create_key()["KeyMetadata"] for _ in range(5)]
    for key in keys:
        rotate(kms, key, 4)
    server.kill()
    receiver.start()
    server.start()
    events = receiver.wait(20)
    kms = server.client()
    for key in keys:
        assert rotations_of(events, key) == rotations_done(kms, key)
    assert len(receiver.seen) == 20


def test_kills_while_it_delivers(new_server, receiver):
    """Doubles may come, with the same id; nothing is lost and the order is kept."""
    server = new_server(*receiver.flags)
    keys = []
    for round_number in range(5):
        kms = server.client()
        for _ in range(4):
            keys.append(kms.create_key()["KeyMetadata"])
            rotate(kms, keys[-1], 10)
        if round_number == 2:
            deadline = time.monotonic() + 20
            while not receiver.seen and time.monotonic() < deadline:
                time.sleep(0.001)
        server.kill()
        server.start()
    events = receiver.wait(200)
    kms = server.client()
    for key in keys:
        assert rotations_of(events, key) == rotations_done(kms, key)
    wait_for_metric(server, "waiting", lambda n: n == 0)
    server.stop()
    assert server.trent("audit", "verify").returncode == 0


def test_a_new_secret(new_server, receiver):
    """SIGHUP reads it; one that is no good leaves the old one in use."""
    server = new_server(*receiver.flags)
    kms = server.client()
    key = kms.create_key()["KeyMetadata"]
    receiver.secret_file.write_bytes(b"short\n")
    server.process.send_signal(signal.SIGHUP)
    wait_for_log(server, "the old secret of the webhook stays in use")
    rotate(kms, key)
    receiver.wait(1)
    raw = bytes(range(32))
    receiver.secret = raw
    receiver.secret_file.write_text("whsec_%s\n" % b64(raw))
    server.process.send_signal(signal.SIGHUP)
    wait_for_log(server, "secret of the webhook read again")
    rotate(kms, key)
    receiver.wait(2)


def test_plain_http_and_what_is_refused(new_server, tmp_path):
    receiver = Receiver(tmp_path, tls=False).start()
    server = new_server(*receiver.flags)
    kms = server.client()
    rotate(kms, kms.create_key()["KeyMetadata"])
    receiver.wait(1)
    receiver.stop()
    secret = "--webhook-secret-file=%s" % receiver.secret_file
    for flags, reason in (
            (["--webhook-url=https://example.org/"], "webhook-url and webhook-secret-file must be given together"),
            ([secret], "webhook-url and webhook-secret-file must be given together"),
            (["--webhook-ca-file=x"], "webhook-ca-file without webhook-url"),
            (["--webhook-url=ftp://example.org/", secret], "webhook-url: not an https URL"),
            (["--webhook-url=https://u:p@example.org/", secret], "webhook-url: a URL with credentials or a fragment"),
            (["--webhook-url=https://example.org/", "--webhook-secret-file=/nowhere"], "webhook-secret-file '/nowhere'"),
            (["--webhook-url=https://example.org/", secret, "--webhook-ca-file=/nowhere"], "webhook-ca-file: "),
            (["--webhook-url=http://example.org/", secret, "--dev=false", "--regions=us-east-1"],
             "webhook-url: not an https URL (http is good enough only to this machine)")):
        other = Server(tmp_path / "refused", *flags, dev="--dev=false" not in flags)
        with pytest.raises(RuntimeError):
            other.start()
        assert reason in other.log(), other.log()
        other.log_path.unlink()


# --- seconds until expiry ---------------------------------------------------------------------------------------


def seconds_left(server):
    """What the metrics say: (account, Region, key id) and seconds, in order."""
    return [(m[:3], int(m[3])) for m in re.findall(
        r'^trent_seconds_until_key_material_expiration\{account="(\d+)",region="([^"]+)",key_id="([^"]+)"\} (\d+)$',
        server.get("/_trent/metrics"), re.M)]


def test_seconds_until_expiry(new_server):
    server = new_server()
    kms, other = server.client(), server.client(region="eu-west-1")
    late, _ = imported_key(kms, b"1" * 32, ValidTo=later(5000))
    soon, _ = imported_key(other, b"2" * 32, ValidTo=later(1000))
    never, _ = imported_key(kms, b"3" * 32)
    (first, left), (second, more) = seconds_left(server)
    assert first == ("000000000000", "eu-west-1", soon["KeyId"]) and 900 < left <= 1000
    assert second == ("000000000000", "us-east-1", late["KeyId"]) and 4900 < more <= 5000
    import_material(other, soon["KeyId"], b"2" * 32, ValidTo=later(9000))
    assert [name[2] for name, _ in seconds_left(server)] == [late["KeyId"], soon["KeyId"]]
    kms.delete_imported_key_material(KeyId=late["KeyId"])
    assert [name[2] for name, _ in seconds_left(server)] == [soon["KeyId"]]
    server.stop()
    server.start()
    assert [name[2] for name, _ in seconds_left(server)] == [soon["KeyId"]]
    server.advance(9001)
    assert seconds_left(server) == []


def test_metrics_name_no_keys_unless_told_to(new_server):
    server = new_server("--metrics-keys=never")
    imported_key(server.client(), b"1" * 32, ValidTo=later(5000))
    assert "key_id" not in server.get("/_trent/metrics")
