"""More keys than `cached-keys`: what is not in memory is loaded when it is asked for, listed, found when it falls due,
and checked when it is read. Nothing a client sees tells it from a server that has all keys in memory."""
import datetime
import re
import sqlite3
import time

import pytest

from trent_server import Server, error_of, imported_key

KEYS = 150
SMALL = "--cached-keys=5"
DAY = 86400


def metric(server, name):
    found = re.search(r"^%s (\d+)$" % re.escape(name), server.get("/_trent/metrics"), re.M)
    return int(found.group(1))


def new_key(kms, **more):
    return kms.create_key(**more)["KeyMetadata"]["KeyId"]


@pytest.fixture(scope="module")
def filled(tmp_path_factory):
    """A stopped server with KEYS keys, each with an alias, a tag and a ciphertext; in order of creation."""
    data = tmp_path_factory.mktemp("cold") / "data"
    with Server(data, SMALL) as server:
        kms = server.client()
        keys = []
        for i in range(KEYS):
            key = new_key(kms, Tags=[{"TagKey": "number", "TagValue": str(i)}])
            kms.create_alias(AliasName="alias/key-%d" % i, TargetKeyId=key)
            keys.append((key, kms.encrypt(KeyId=key, Plaintext=b"%d" % i)["CiphertextBlob"]))
        assert metric(server, "trent_keys") == KEYS
        assert metric(server, "trent_key_evictions_total") > 0
    return data, keys


@pytest.fixture
def server(filled):
    with Server(filled[0], SMALL) as server:
        yield server


def test_nothing_is_loaded_before_it_is_used(server, filled):
    kms = server.client()
    assert (metric(server, "trent_keys"), metric(server, "trent_keys_in_memory")) == (KEYS, 0)
    kms.describe_key(KeyId=filled[1][7][0])
    assert metric(server, "trent_keys_in_memory") == 1
    kms.describe_key(KeyId=filled[1][7][0])
    assert metric(server, "trent_key_loads_total") == 1


def test_all_ways_to_name_a_key(server, filled):
    """By id, alias and ciphertext; what belongs to it comes along. Memory stays bounded."""
    kms = server.client()
    for i, (key, blob) in enumerate(filled[1]):
        answer = kms.decrypt(CiphertextBlob=blob)
        assert (answer["Plaintext"], answer["KeyId"].rpartition("/")[2]) == (b"%d" % i, key)
    for i, (key, _) in enumerate(filled[1]):
        assert kms.describe_key(KeyId="alias/key-%d" % i)["KeyMetadata"]["KeyId"] == key
        assert kms.list_resource_tags(KeyId=key)["Tags"] == [{"TagKey": "number", "TagValue": str(i)}]
        assert [a["AliasName"] for a in kms.list_aliases(KeyId=key)["Aliases"]] == ["alias/key-%d" % i]
    assert metric(server, "trent_keys_in_memory") < KEYS // 2 + 5
    assert metric(server, "trent_key_load_failures_total") == 0


def test_both_keys_of_a_call(server, filled):
    kms = server.client()
    for i in range(0, 40, 2):
        (_, blob), (to, _) = filled[1][i], filled[1][i + 1]
        again = kms.re_encrypt(CiphertextBlob=blob, DestinationKeyId=to)
        assert kms.decrypt(CiphertextBlob=again["CiphertextBlob"], KeyId=to)["Plaintext"] == b"%d" % i


def test_what_is_not_there(server, filled):
    kms = server.client()
    nobody = "00000000-0000-4000-8000-000000000000"
    assert error_of(kms.describe_key, KeyId=nobody)[0] == "NotFoundException"
    assert error_of(kms.describe_key, KeyId="alias/nobody")[0] == "NotFoundException"
    blob = bytearray(filled[1][0][1])
    blob[20] ^= 1
    assert error_of(kms.decrypt, CiphertextBlob=bytes(blob))[0] in ("AccessDeniedException", "InvalidCiphertextException")
    assert error_of(kms.re_encrypt, CiphertextBlob=filled[1][0][1], DestinationKeyId=nobody)[0] == "NotFoundException"


@pytest.mark.parametrize("limit", [1, 7, 100, 1000])
def test_listing(server, filled, limit):
    kms = server.client()
    listed, more = [], {}
    for _ in range(KEYS + 5):
        page = kms.list_keys(Limit=limit, **more)
        assert len(page["Keys"]) <= limit
        listed += page["Keys"]
        if not page["Truncated"]:
            break
        more = {"Marker": page["NextMarker"]}
    assert [k["KeyId"] for k in listed] == [key for key, _ in filled[1]]
    assert all(k["KeyArn"] == "arn:aws:kms:us-east-1:000000000000:key/" + k["KeyId"] for k in listed)
    aliases = [a for page in kms.get_paginator("list_aliases").paginate(Limit=min(100, limit + 5)) for a in page["Aliases"]]
    assert {a["AliasName"]: a["TargetKeyId"] for a in aliases} == {
        "alias/key-%d" % i: key for i, (key, _) in enumerate(filled[1])}
    other = server.client(region="eu-west-1")
    assert other.list_keys()["Keys"] == []


def test_changes_to_cold_keys(tmp_path):
    """Edited, deleted, brought back; their aliases moved: and all of it is there after the next start."""
    with Server(tmp_path / "data", SMALL) as server:
        kms = server.client()
        keys = [new_key(kms) for _ in range(90)]
        for i, key in enumerate(keys):
            kms.create_alias(AliasName="alias/a%d" % i, TargetKeyId=key)
    with Server(tmp_path / "data", SMALL) as server:
        kms = server.client()
        for i, key in enumerate(keys):
            kms.update_key_description(KeyId=key, Description="number %d" % i)
        for i in range(0, 90, 3):
            kms.update_alias(AliasName="alias/a%d" % i, TargetKeyId=keys[i + 1])
            kms.delete_alias(AliasName="alias/a%d" % (i + 2))
        for i in range(10):
            kms.schedule_key_deletion(KeyId=keys[i], PendingWindowInDays=7)
        kms.cancel_key_deletion(KeyId=keys[0])
        assert error_of(kms.create_alias, AliasName="alias/a1", TargetKeyId=keys[50])[0] == "AlreadyExistsException"
    for _ in range(2):
        with Server(tmp_path / "data", SMALL) as server:
            kms = server.client()
            for i, key in enumerate(keys):
                told = kms.describe_key(KeyId=key)["KeyMetadata"]
                state = "Disabled" if i == 0 else "PendingDeletion" if i < 10 else "Enabled"
                assert (told["Description"], told["KeyState"]) == ("number %d" % i, state)
            targets = {a["AliasName"]: a["TargetKeyId"]
                       for page in kms.get_paginator("list_aliases").paginate() for a in page["Aliases"]}
            assert targets == {"alias/a%d" % i: keys[i + (i % 3 == 0)] for i in range(90) if i % 3 < 2}
            # a deletion that has come to its end takes the aliases along, whether its key was looked at or not
    with Server(tmp_path / "data", SMALL) as server:
        kms = server.client()
        server.advance(8 * DAY)
        listed = [k["KeyId"] for page in kms.get_paginator("list_keys").paginate() for k in page["Keys"]]
        assert listed == [keys[0]] + keys[10:]
        assert metric(server, "trent_keys") == 81
        assert error_of(kms.describe_key, KeyId=keys[3])[0] == "NotFoundException"
        assert "alias/a4" not in [a["AliasName"] for page in kms.get_paginator("list_aliases").paginate()
                                  for a in page["Aliases"]]


def test_what_falls_due_of_keys_that_nobody_uses(tmp_path):
    """Expiries, warnings of them, rotations by the calendar: found in the store, a restart before them or not."""
    soon = datetime.datetime.now(datetime.timezone.utc) + datetime.timedelta(days=40)
    with Server(tmp_path / "data", SMALL) as server:
        kms = server.client()
        expiring = [imported_key(kms, bytes([i]) * 32, ValidTo=soon, ExpirationModel="KEY_MATERIAL_EXPIRES")[0]["KeyId"]
                    for i in range(4)]
        rotating = [new_key(kms) for _ in range(4)]
        for key in rotating:
            kms.enable_key_rotation(KeyId=key, RotationPeriodInDays=90)
        others = [new_key(kms) for _ in range(90)]
    with Server(tmp_path / "data", SMALL) as server:
        assert metric(server, "trent_keys_in_memory") == 0
        assert metric(server, "trent_timers") == 4  # of import tokens: the keys' are too far ahead
        server.advance(11 * DAY)
        assert metric(server, "trent_expiry_warnings_total") == 4  # 30 days ahead
        server.advance(25 * DAY)
        assert metric(server, "trent_expiry_warnings_total") == 8  # 7 days ahead
    with Server(tmp_path / "data", SMALL) as server:
        server.advance(5 * DAY)
        assert metric(server, "trent_materials_expired_total") == 4
        server.advance(60 * DAY)
        kms = server.client()
        for key in expiring:
            assert kms.describe_key(KeyId=key)["KeyMetadata"]["KeyState"] == "PendingImport"
        for key in rotating:
            assert len(kms.list_key_rotations(KeyId=key)["Rotations"]) == 1
        assert kms.list_key_rotations(KeyId=others[5])["Rotations"] == []
        assert metric(server, 'trent_rotations_total{type="automatic"}') == 4


def test_last_use_comes_along(tmp_path):
    """Whether it is stored before its key leaves memory, or at the stop."""
    with Server(tmp_path / "data", SMALL, "--usage-flush-seconds=1") as server:
        kms = server.client()
        keys = [new_key(kms) for _ in range(100)]
        told = {}
        for operation in ("Encrypt", "GenerateDataKey"):
            for key in keys:
                if operation == "Encrypt":
                    kms.encrypt(KeyId=key, Plaintext=b"x")
                else:
                    kms.generate_data_key(KeyId=key, KeySpec="AES_256")
            for key in keys:
                told[key] = kms.get_key_last_usage(KeyId=key)["KeyLastUsage"]
                assert told[key]["Operation"] == operation
            time.sleep(1.5)
    with Server(tmp_path / "data", SMALL) as server:
        kms = server.client()
        for key in keys:
            assert kms.get_key_last_usage(KeyId=key)["KeyLastUsage"] == told[key]


def test_families_come_and_go_together(tmp_path):
    regions = ["us-east-1", "eu-west-1", "ap-south-1"]
    with Server(tmp_path / "data", SMALL, "--region-delay=0") as server:
        kms = {r: server.client(region=r) for r in regions}
        families = []
        for _ in range(30):
            key = new_key(kms["us-east-1"], MultiRegion=True)
            for region in regions[1:]:
                kms["us-east-1"].replicate_key(KeyId=key, ReplicaRegion=region)
            families.append(key)
    with Server(tmp_path / "data", SMALL, "--region-delay=0") as server:
        kms = {r: server.client(region=r) for r in regions}
        kms["ap-south-1"].describe_key(KeyId=families[3])
        assert metric(server, "trent_keys_in_memory") == 3
        for i, key in enumerate(families):
            kms["us-east-1"].rotate_key_on_demand(KeyId=key)
            kms["us-east-1"].update_primary_region(KeyId=key, PrimaryRegion=regions[1 + i % 2])
        assert metric(server, "trent_keys_in_memory") < 90
        for i, key in enumerate(families):
            for region in regions:
                told = kms[region].describe_key(KeyId=key)["KeyMetadata"]["MultiRegionConfiguration"]
                assert told["PrimaryKey"]["Region"] == regions[1 + i % 2]
                assert len(kms[region].list_key_rotations(KeyId=key)["Rotations"]) == 1


def test_a_row_that_somebody_has_changed(tmp_path):
    """Concerns its key alone; health says so, and so does the log. Who keeps all keys in memory refuses to start."""
    with Server(tmp_path / "data", SMALL) as server:
        kms = server.client()
        keys = [new_key(kms) for _ in range(20)]
        assert server.health() == 200
    with sqlite3.connect(tmp_path / "data" / "trent.db") as db:
        row, = db.execute("SELECT serial FROM keys WHERE key_id = ?", (keys[3],)).fetchone()
        db.execute("UPDATE keys SET state = 2 WHERE serial = ?", (row,))
    db.close()
    with Server(tmp_path / "data", SMALL) as server:
        kms = server.client()
        for key in keys:
            if key == keys[3]:
                assert error_of(kms.encrypt, KeyId=key, Plaintext=b"x")[0] == "KMSInternalException"
                assert error_of(kms.enable_key, KeyId=key)[0] == "KMSInternalException"
            else:
                kms.encrypt(KeyId=key, Plaintext=b"x")
        assert server.health() == 503
        assert metric(server, "trent_key_load_failures_total") >= 2
        assert server.log().count("table keys, row %d 000000000000 us-east-1 %s: changed by others" % (row, keys[3])) == 1
    with pytest.raises(RuntimeError, match="changed by others"):
        Server(tmp_path / "data", "--cached-keys=0").start()


def test_rows_that_nobody_asks_for_are_looked_at_too(tmp_path):
    with Server(tmp_path / "data", SMALL) as server:
        kms = server.client()
        keys = [new_key(kms) for _ in range(70)]
    with sqlite3.connect(tmp_path / "data" / "trent.db") as db:
        db.execute("UPDATE tags SET value = 'x'")
        row, = db.execute("SELECT serial FROM keys WHERE key_id = ?", (keys[68],)).fetchone()
        db.execute("UPDATE materials SET created = 1 WHERE key = ?", (row,))
    db.close()
    with Server(tmp_path / "data", SMALL) as server:
        server.wait_for_health(503)
        assert "row %d 000000000000 us-east-1 %s: changed by others" % (row, keys[68]) in server.log()
        server.client().encrypt(KeyId=keys[0], Plaintext=b"x")


def test_stops_with_aliases_of_cold_keys(filled):
    server = Server(filled[0], SMALL).start()
    assert metric(server, "trent_keys_in_memory") < KEYS
    assert server.stop() == 0
    assert "Assertion" not in server.log()


def test_all_in_memory(filled):
    """0: as ever."""
    with Server(filled[0], "--cached-keys=0") as server:
        assert metric(server, "trent_keys_in_memory") == metric(server, "trent_keys") == KEYS
        server.client().decrypt(CiphertextBlob=filled[1][9][1])
        assert metric(server, "trent_key_loads_total") == 0
