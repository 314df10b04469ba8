"""What a change costs in syncs, and in which order its files reach the disk.

A change must not be paid for with more syncs than its promises need (docs/internals/committer.md has the table), must
not be answered before they are done, and changes that wait together share them. A preloaded library writes down every
write and sync (sync_shim.c).
"""
import collections
import os
import re
import threading
import time

import pytest

import shim
from trent_server import Server, external_key, import_material, parameters_for
from wire import Wire

QUIET = 0.3  # seconds without a write or a sync
MARK = [("write", "wal"), ("sync", "wal")]  # of an erasure that is done: nobody waits for it


@pytest.fixture(scope="module")
def library(tmp_path_factory):
    return shim.build("sync_shim", tmp_path_factory.mktemp("shim"))


class Watched:
    def __init__(self, folder, library, *flags, **more):
        self.log = folder / "syncs"
        env = shim.preloaded(library, TRENT_TEST_SYNCS=self.log, **more)
        self.server = Server(folder / "data", "--ready-keys-2048=1", *flags, env=env).start()
        self.kms = self.server.client()
        self.kms.create_key()  # the first also makes a domain key
        self.seen, self.every = 0, []

    def calls(self):
        """(what, file) since the last time, in order."""
        lines = self.log.read_text().splitlines()
        new, self.seen = lines[self.seen:], len(lines)
        new = [tuple(kind(word) for word in line.split(" ", 1)) for line in new]
        self.every += new
        return new

    def rest(self):
        """Until nothing is left to be done in the background, the audit's own syncs and marks of erasures; what was
        done meanwhile."""
        done, deadline = [], time.monotonic() + 60
        while True:
            time.sleep(QUIET)
            new = [one for one in self.calls() if one[1] != "other"]
            done += new
            if not new and self.is_synced() and self.is_marked():
                return done
            assert time.monotonic() < deadline, done

    def is_synced(self):
        """Whether all that the audit has is on the disk."""
        audit = [what for what, name in self.every if name == "audit"]
        return audit[-1:] != ["write"]

    def is_marked(self):
        """An erasure ends with a database that is synced, then with receipts; its mark comes after them."""
        after = self.every[self.every.index(("sync", "database")):] if ("sync", "database") in self.every else []
        receipts = after.index(("sync", "audit")) if ("sync", "audit") in after else len(after)
        return not after or ("sync", "wal") in after[receipts:]

    def during(self, call, **parameters):
        """What the call, which is a change, did before its answer: the audit's record of it comes last. What comes
        after that is at most a mark, whether it is seen now or later."""
        self.rest()
        self.every = []
        call(**parameters)
        calls = [one for one in self.calls() if one[1] != "other"]
        end = len(calls) - calls[::-1].index(("sync", "audit"))
        late = calls[end:] + self.rest()
        assert in_order(late) in ([], MARK) and synced(late).get("wal", 0) <= 1, late
        return calls[:end]


def kind(name):
    for end, short in ((".slots", name), ("-wal", "wal"), (".db", "database"), (".jsonl", "audit")):
        if name.endswith(end):
            return short
    return name if name in ("write", "sync", "hold") else "other"


@pytest.fixture(scope="module")
def watched(tmp_path_factory, library):
    w = Watched(tmp_path_factory.mktemp("syncs"), library)
    yield w
    w.server.stop()


def synced(calls):
    return dict(collections.Counter(name for what, name in calls if what == "sync"))


def in_order(calls):
    """The calls without what is repeated."""
    return [one for i, one in enumerate(calls) if i == 0 or one != calls[i - 1]]


def of(calls, file):
    """Those of one file, in order."""
    return in_order([one for one in calls if one[1] == file])


def test_create(watched):
    calls = watched.during(watched.kms.create_key)
    assert in_order(calls) == [("write", "durable.slots"), ("sync", "durable.slots"), ("write", "wal"), ("sync", "wal"),
                               ("write", "audit"), ("sync", "audit")]
    assert synced(calls) == {"durable.slots": 1, "wal": 1, "audit": 1}


def test_change_without_material(watched):
    key = watched.kms.create_key()["KeyMetadata"]["KeyId"]
    calls = watched.during(watched.kms.update_key_description, KeyId=key, Description="new")
    assert in_order(calls) == [("write", "wal"), ("sync", "wal"), ("write", "audit"), ("sync", "audit")]


def test_import_and_delete(watched):
    """What is on disk before what: trust-model 2.7.2."""
    key = external_key(watched.kms)["KeyId"]
    parameters = parameters_for(watched.kms, key)
    material = os.urandom(32)

    def bring(**_):
        import_material(watched.kms, key, material, parameters)

    calls = watched.during(bring)
    assert in_order(calls) == [("write", "erasable.slots"), ("sync", "erasable.slots"), ("write", "wal"),
                               ("sync", "wal"), ("write", "audit"), ("sync", "audit")]

    # the slot has gone to the disk before the database says so, the intent before anything is done
    calls = watched.during(watched.kms.delete_imported_key_material, KeyId=key)
    order = in_order(calls)
    assert order[:2] == [("write", "audit"), ("sync", "audit")]
    committed = order.index(("sync", "wal"))
    first = order.index(("write", "erasable.slots"))
    assert order.index(("write", "wal")) > 1 and committed < first
    # slots and database at the same time, each in its order, and both are through before the receipts
    assert of(calls, "erasable.slots") == [("write", "erasable.slots"), ("sync", "erasable.slots")] * 2
    assert of(calls, "database") == [("write", "database"), ("sync", "database")]
    assert order.index(("write", "database")) > committed
    assert order[-2:] == [("write", "audit"), ("sync", "audit")]
    # once for the commit; once more when it has been emptied, after the database has what was in it
    assert synced(calls) == {"erasable.slots": 2, "wal": 2, "database": 1, "audit": 2}
    assert of(calls, "wal") == [("write", "wal"), ("sync", "wal")]
    assert len(calls) - calls[::-1].index(("sync", "wal")) > calls.index(("sync", "database"))

    calls = watched.during(bring)  # the WAL is empty: its header goes to the disk with the commit
    assert synced(calls) == {"erasable.slots": 1, "wal": 1, "audit": 1}
    calls = watched.during(bring)  # replaces: a new slot, and the old one is erased
    assert synced(calls) == {"erasable.slots": 3, "wal": 2, "database": 1, "audit": 2}
    order = in_order(calls)
    assert order[:2] == [("write", "erasable.slots"), ("write", "audit")]
    assert order.index(("sync", "erasable.slots")) < order.index(("write", "wal"))


def test_erasures_are_marked_when_it_is_quiet(watched):
    """Nobody waits for the mark, and it does not wait for another change for ever."""
    key = external_key(watched.kms)["KeyId"]
    import_material(watched.kms, key, os.urandom(32))
    watched.during(watched.kms.delete_imported_key_material, KeyId=key)
    assert ("sync", "database") in watched.every and watched.is_marked()


def test_changes_that_wait_together_share_their_syncs(tmp_path, library):
    clients, each = 8, 5
    watched = Watched(tmp_path, library, TRENT_TEST_SYNC_MS=50)
    try:
        def create():
            with Wire(watched.server) as wire:
                for _ in range(each):
                    wire.call("CreateKey")

        threads = [threading.Thread(target=create) for _ in range(clients)]
        watched.rest()
        for t in threads:
            t.start()
        for t in threads:
            t.join()
        counted = synced(watched.calls())
        for name in ("durable.slots", "wal", "audit"):
            assert counted[name] <= clients * each / 2, counted
        assert len(watched.kms.list_keys()["Keys"]) == clients * each + 1
    finally:
        watched.server.stop()


def test_always_waits_for_the_disk_together(tmp_path, library):
    """audit-sync=always: no answer before the record is on disk, but the loop goes on with other requests meanwhile,
    and one sync serves all that wait. Requests that need no sync are not held up."""
    hold = tmp_path / "hold"
    watched = Watched(tmp_path, library, "--audit-sync=always", "--loops=1", TRENT_TEST_SYNC_HOLD=hold)
    answers, clients = [], 6
    key = watched.kms.create_key()["KeyMetadata"]["KeyId"]

    def records():
        return int(re.search(r"^trent_audit_records_total (\d+)$", watched.server.get("/_trent/metrics"), re.M).group(1))

    def encrypt(wires):
        with wires as wire:
            answers.append(wire.call("Encrypt", KeyId=key, Plaintext="eA=="))

    try:
        watched.rest()
        before, threads = records(), []
        hold.touch()
        for _ in range(clients):
            threads.append(threading.Thread(target=encrypt, args=(Wire(watched.server),)))
            threads[-1].start()
        deadline, held = time.monotonic() + 60, []
        while ("hold", "audit") not in held or records() < before + clients:
            assert time.monotonic() < deadline, held
            held += watched.calls()
        assert watched.server.health() == 200
        assert answers == [] and ("sync", "audit") not in held
        hold.unlink()
        for t in threads:
            t.join()
        assert len(answers) == clients
        assert synced(watched.calls()).get("audit", 0) <= 3
    finally:
        hold.unlink(missing_ok=True)
        watched.server.stop()
