"""More keys than `cached-keys`, and something in the way: keys that wait for their deletion, rows and indexes that
somebody has changed, keys that leave memory between their use and its mark."""
import datetime
import sqlite3
import threading
import time

import pytest

from test_cold_keys import DAY, SMALL, metric, new_key
from trent_server import Server, error_of, imported_key, until

OTHERS = 60


def database(tmp_path):
    return tmp_path / "data" / "trent.db"


def change(tmp_path, *statements):
    """Somebody's hand in the file of a stopped server."""
    with sqlite3.connect(database(tmp_path)) as db:
        for sql, *values in statements:
            db.execute(sql, values)
    db.close()


def empty_index(tmp_path, name, where):
    """The index has no entries any more, and SQLite does not know."""
    db = sqlite3.connect(database(tmp_path), isolation_level=None)
    db.execute("CREATE INDEX no_entries ON %s" % where)
    roots = dict(db.execute("SELECT name, rootpage FROM sqlite_schema WHERE name IN (?, 'no_entries')", (name,)))
    db.execute("PRAGMA writable_schema = ON")
    db.execute("UPDATE sqlite_schema SET rootpage = ? WHERE name = ?", (roots["no_entries"], name))
    db.execute("UPDATE sqlite_schema SET rootpage = ? WHERE name = 'no_entries'", (roots[name],))
    db.close()
    db = sqlite3.connect(database(tmp_path))
    db.execute("DROP INDEX no_entries")
    db.commit()
    db.close()


def in_days(days):
    return datetime.datetime.now(datetime.timezone.utc) + datetime.timedelta(days=days)


def expiring_key(kms, number, days):
    return imported_key(kms, bytes([number + 1]) * 32, ValidTo=in_days(days),
                        ExpirationModel="KEY_MATERIAL_EXPIRES")[0]["KeyId"]


# --- keys that wait for their deletion ------------------------------------------------------------


def test_keys_that_wait_for_deletion_take_no_room(tmp_path):
    with Server(tmp_path / "data", "--cached-keys=20") as server:
        kms = server.client()
        going = [new_key(kms) for _ in range(OTHERS)]
        for i, key in enumerate(going):
            kms.create_alias(AliasName="alias/going-%d" % i, TargetKeyId=key)
        kept = [new_key(kms) for _ in range(10)]
        for key in going:
            kms.schedule_key_deletion(KeyId=key, PendingWindowInDays=7)
        for _ in range(3):
            for key in kept:
                kms.encrypt(KeyId=key, Plaintext=b"x")
        loads = metric(server, "trent_key_loads_total")
        for _ in range(20):
            for key in kept:
                kms.encrypt(KeyId=key, Plaintext=b"x")
        assert metric(server, "trent_key_loads_total") == loads
        assert metric(server, "trent_keys_in_memory") <= 20
    with Server(tmp_path / "data", "--cached-keys=20") as server:
        kms = server.client()
        assert metric(server, "trent_keys_in_memory") == 0
        assert kms.describe_key(KeyId=going[1])["KeyMetadata"]["KeyState"] == "PendingDeletion"
        kms.cancel_key_deletion(KeyId=going[1])
        server.advance(6 * DAY)
        assert len(kms.list_aliases(Limit=100)["Aliases"]) == OTHERS
        server.advance(2 * DAY)
        assert [a["AliasName"] for a in kms.list_aliases()["Aliases"]] == ["alias/going-1"]
        assert metric(server, "trent_keys") == 11
        assert metric(server, "trent_keys_deleted_total") == OTHERS - 1


# --- damage ---------------------------------------------------------------------------------------


def test_damaged_rows_of_what_is_due_do_not_stop_the_start(tmp_path):
    with Server(tmp_path / "data", SMALL) as server:
        kms = server.client()
        expiring = [expiring_key(kms, i, 40) for i in range(3)]
        going = [new_key(kms) for _ in range(3)]
        for key in going:
            kms.schedule_key_deletion(KeyId=key, PendingWindowInDays=7)
        others = [new_key(kms) for _ in range(OTHERS)]
    change(tmp_path, ("UPDATE keys SET description = 'x' WHERE key_id IN (?, ?)", expiring[0], going[0]))
    with Server(tmp_path / "data", SMALL) as server:
        server.advance(41 * DAY)
    with Server(tmp_path / "data", SMALL) as server:  # they are due when it starts
        kms = server.client()
        assert server.health() == 503
        assert metric(server, "trent_keys_unreadable") == 2
        assert metric(server, "trent_keys") == OTHERS + 4
        assert error_of(kms.describe_key, KeyId=expiring[0])[0] == "KMSInternalException"
        for key in expiring[1:]:
            assert kms.describe_key(KeyId=key)["KeyMetadata"]["KeyState"] == "PendingImport"
        kms.encrypt(KeyId=others[7], Plaintext=b"x")
        for _ in range(5):
            assert error_of(kms.encrypt, KeyId=going[0], Plaintext=b"x")[0] == "KMSInternalException"
        for key in (expiring[0], going[0]):
            assert server.log().count("us-east-1 %s: changed by others" % key) == 2  # once in each start


def test_very_many_damaged_rows(tmp_path):
    """The log names some of them."""
    with Server(tmp_path / "data", SMALL) as server:
        kms = server.client()
        keys = [new_key(kms) for _ in range(100)]
    change(tmp_path, ("UPDATE keys SET description = 'x'",))
    with Server(tmp_path / "data", SMALL) as server:
        until(lambda: metric(server, "trent_key_load_failures_total") >= 100)
        for key in keys[::10]:
            assert error_of(server.client().encrypt, KeyId=key, Plaintext=b"x")[0] == "KMSInternalException"
        assert metric(server, "trent_keys_unreadable") == 64
        assert server.log().count("changed by others") <= 66
        assert server.health() == 503


# --- indexes, which have no MAC -------------------------------------------------------------------


@pytest.mark.parametrize("index,where,days,counter", [
    ("keys_deleting", "keys (deletion_date, account, region, key_id) WHERE state = 99", 8, "trent_keys_deleted_total"),
    ("materials_expiring", "materials (valid_to, warned_days) WHERE expiration = 99", 41,
     "trent_materials_expired_total"),
    ("keys_rotating", "keys (next_rotation) WHERE rotation_enabled = 99", 91, 'trent_rotations_total{type="automatic"}'),
])
def test_due_work_that_the_index_does_not_name(tmp_path, index, where, days, counter):
    """The look at all rows finds it, and the index gets its entries back."""
    with Server(tmp_path / "data", SMALL) as server:
        kms = server.client()
        kms.schedule_key_deletion(KeyId=new_key(kms), PendingWindowInDays=7)
        expiring_key(kms, 0, 40)
        kms.enable_key_rotation(KeyId=new_key(kms), RotationPeriodInDays=90)
        for _ in range(OTHERS):
            new_key(kms)
    empty_index(tmp_path, index, where)
    with Server(tmp_path / "data", SMALL) as server:
        server.advance(days * DAY)
        until(lambda: metric(server, counter) == 1)
    with sqlite3.connect(database(tmp_path)) as db:
        assert db.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    db.close()


def test_an_index_that_counts_wrong(tmp_path):
    """There are more keys than it says: they are loaded all the same, and none is missed."""
    with Server(tmp_path / "data", SMALL) as server:
        kms = server.client()
        keys = [new_key(kms) for _ in range(OTHERS)]
    db = sqlite3.connect(database(tmp_path), isolation_level=None)
    indexes = db.execute("SELECT * FROM sqlite_schema WHERE name LIKE 'keys_%' AND type = 'index'").fetchall()
    rows = db.execute("SELECT * FROM keys WHERE serial > 8").fetchall()
    parts = {t: db.execute("SELECT * FROM %s WHERE key > 8" % t).fetchall() for t in ("materials", "tags", "key_usage")}
    db.execute("DELETE FROM keys WHERE serial > 8")
    db.execute("PRAGMA writable_schema = ON")
    db.execute("DELETE FROM sqlite_schema WHERE name LIKE 'keys_%' AND type = 'index'")
    db.close()
    db = sqlite3.connect(database(tmp_path), isolation_level=None)
    for table, some in {"keys": rows, **parts}.items():
        for row in some:
            db.execute("INSERT OR REPLACE INTO %s VALUES (%s)" % (table, ",".join("?" * len(row))), row)
    db.execute("PRAGMA writable_schema = ON")
    for row in indexes:
        db.execute("INSERT INTO sqlite_schema VALUES (?, ?, ?, ?, ?)", row)
    db.close()
    with Server(tmp_path / "data", SMALL) as server:
        kms = server.client()
        assert metric(server, "trent_keys") == 8
        for _ in range(2):
            for key in keys:
                kms.encrypt(KeyId=key, Plaintext=b"x")
        assert server.stop() == 0
        assert "Assertion" not in server.log()


def test_a_start_loads_nothing_that_does_not_fall_due(tmp_path):
    """Keys that are disabled, and those whose material expired, are named by times that are past for good."""
    with Server(tmp_path / "data", SMALL, "--region-delay=0") as server:
        kms = server.client()
        for i in range(4):
            expiring_key(kms, i, 40)
            key = new_key(kms)
            kms.enable_key_rotation(KeyId=key, RotationPeriodInDays=90)
            kms.disable_key(KeyId=key)
        both = new_key(kms, MultiRegion=True)
        kms.enable_key_rotation(KeyId=both, RotationPeriodInDays=90)
        kms.replicate_key(KeyId=both, ReplicaRegion="eu-west-1")
        kms.disable_key(KeyId=both)
        for _ in range(OTHERS):
            new_key(kms)
        server.advance(200 * DAY)
        assert metric(server, "trent_materials_expired_total") == 4
    with Server(tmp_path / "data", SMALL) as server:
        server.advance(DAY)
        assert metric(server, "trent_key_loads_total") == 0


# --- last uses ------------------------------------------------------------------------------------


def test_last_use_of_keys_that_do_not_stay(tmp_path):
    """With two keys in memory many go between their use and the moment at which that is marked."""
    with Server(tmp_path / "data", "--cached-keys=2", "--usage-flush-seconds=1", "--audit-sync=always") as server:
        kms = server.client()
        keys = [new_key(kms) for _ in range(90)]
        wrong, done = [], []
        end = time.monotonic() + 8

        def over():
            return time.monotonic() > end and (len(done) > 50 or time.monotonic() > end + 60)

        def others(number):
            client = server.client()
            for i in range(1000000):
                if over():
                    return
                client.describe_key(KeyId=keys[60 + (7 * i + number) % 30])

        def use(mine):
            client = server.client()
            while not over():
                for key in mine:
                    told = client.encrypt(KeyId=key, Plaintext=b"x")["ResponseMetadata"]["RequestId"]
                    last = client.get_key_last_usage(KeyId=key)["KeyLastUsage"]
                    done.append(told)
                    if last.get("KmsRequestId") != told:
                        wrong.append((told, last))

        threads = [threading.Thread(target=others, args=(i,)) for i in range(6)]
        threads += [threading.Thread(target=use, args=(keys[:30],)), threading.Thread(target=use, args=(keys[30:60],))]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert len(done) > 50 and wrong == []
