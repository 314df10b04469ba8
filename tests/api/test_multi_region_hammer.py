"""Changes of several Regions are seen whole or not at all, whoever looks: while one thread changes a key and its
relatives without pause, others ask in all Regions.

What a reader saw of a relative must not be older than what anybody had seen of any other when it asked. Each change
has a number that every answer shows: the rotation period, or the list of replicas, or the primary's Region.
TRENT_REGION_ROUNDS says how often.
"""
import json
import os
import threading
import time

import pytest

from quick_client import Connection, Credentials
from regions import AP, EAST, WEST
from trent_server import Server

ROUNDS = int(os.environ.get("TRENT_REGION_ROUNDS", "60"))
REGIONS = (EAST, WEST, AP)
READERS = 4


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    """Creating and Updating take no time, so that changes can follow each other at once."""
    with Server(tmp_path_factory.mktemp("hammer") / "data", "--region-delay=0", "--rate-principal=0",
                "--rate-account=0") as s:
        yield s


class Readers:
    """Threads that ask in every Region in turn; `look(region, answer, began)` gets each answer and when it was asked
    for, and raises for what must not be."""

    def __init__(self, server, look, operation, parameters):
        self.server, self.look, self.operation, self.parameters = server, look, operation, parameters
        self.stop = threading.Event()
        self.failures = []
        self.answered = [0] * READERS
        self.threads = [threading.Thread(target=self.run, args=(i,)) for i in range(READERS)]

    def run(self, i):
        connection = Connection(self.server.address)
        credentials = {r: Credentials("test", "test", region=r) for r in REGIONS}
        try:
            while not self.stop.is_set():
                for region in REGIONS[i % 3:] + REGIONS[:i % 3]:
                    began = time.monotonic()
                    before = self.look.newest()
                    answer = connection.call(credentials[region], self.operation, self.parameters)
                    self.look(region, answer, before, began)
                    self.answered[i] += 1
        except Exception as e:  # raised in the test's thread
            self.failures.append(e)
            self.stop.set()
        finally:
            connection.close()

    def wait(self, more):
        """Until each reader has had so many more answers: with 1 it has had the one that it may be waiting for, with 2
        one to a question that it asked after now."""
        wanted = [n + more for n in self.answered]
        deadline = time.monotonic() + 60
        while any(n < w for n, w in zip(self.answered, wanted)) and not self.stop.is_set():
            assert time.monotonic() < deadline, "the readers do not get on"
            time.sleep(0.001)

    def __enter__(self):
        for t in self.threads:
            t.start()
        return self

    def __exit__(self, *exc):
        self.stop.set()
        for t in self.threads:
            t.join()
        if self.failures:
            raise self.failures[0]


class Numbers:
    """The highest number that anybody has seen; no later question may be answered with a lower one."""

    def __init__(self, number_of):
        self.number_of, self.highest, self.lock = number_of, 0, threading.Lock()

    def newest(self):
        with self.lock:
            return self.highest

    def __call__(self, region, answer, before, began):
        n = self.number_of(region, answer)
        if n is None:
            return
        assert n >= before, "%s shows %d after %d had been seen: %r" % (region, n, before, answer.body)
        with self.lock:
            self.highest = max(self.highest, n)


def new_key(server, *replicas):
    east = server.client()
    key_id = east.create_key(MultiRegion=True)["KeyMetadata"]["KeyId"]
    for region in replicas:
        east.replicate_key(KeyId=key_id, ReplicaRegion=region)
    return key_id


def test_shared_settings(server):
    """The rotation period counts up; no Region ever shows an earlier one than another has shown."""
    key_id = new_key(server, WEST, AP)
    east = server.client()
    east.enable_key_rotation(KeyId=key_id, RotationPeriodInDays=90)

    def period(region, answer):
        assert answer.code is None, answer
        status = answer.json()
        assert key_id in status["KeyId"] and region in status["KeyId"]
        return status["RotationPeriodInDays"]

    numbers = Numbers(period)
    with Readers(server, numbers, "GetKeyRotationStatus", {"KeyId": key_id}) as readers:
        for n in range(91, 91 + ROUNDS):
            east.enable_key_rotation(KeyId=key_id, RotationPeriodInDays=n)
            assert not readers.stop.is_set()
        readers.wait(max(2, ROUNDS // READERS + 1 - min(readers.answered)))
    assert numbers.highest == 90 + ROUNDS and sum(readers.answered) > ROUNDS


def test_rotations(server):
    """Materials only become more, in all Regions at once, and the current one is in every list."""
    key_id = new_key(server, WEST, AP)
    east = server.client()

    def materials(region, answer):
        assert answer.code is None, answer
        entries = answer.json()["Rotations"]
        assert [e["KeyMaterialState"] for e in entries] == ["NON_CURRENT"] * (len(entries) - 1) + ["CURRENT"]
        return len(entries)

    numbers = Numbers(materials)
    with Readers(server, numbers, "ListKeyRotations",
                 {"KeyId": key_id, "IncludeKeyMaterial": "ALL_KEY_MATERIAL"}) as readers:
        for _ in range(min(ROUNDS, 25)):
            east.rotate_key_on_demand(KeyId=key_id)
            assert not readers.stop.is_set()
        readers.wait(2)
    assert numbers.highest == min(ROUNDS, 25) + 1


class Roles:
    """Which Region is primary, as change number n leaves it: REGIONS[n % 3]. A reader can tell the number from what it
    sees, since less than three changes fit between the number that it knew and the next it could have missed: the
    changing thread waits until every number has been seen, and every question asked before that answered."""

    def __init__(self, key_id):
        self.key_id, self.highest, self.lock = key_id, 0, threading.Lock()
        self.seen = threading.Condition(self.lock)

    def newest(self):
        with self.lock:
            return self.highest

    def __call__(self, region, answer, before, began):
        assert answer.code is None, answer
        m = answer.json()["KeyMetadata"]
        shown = m["MultiRegionConfiguration"]
        primary = shown["PrimaryKey"]["Region"]
        assert shown["MultiRegionKeyType"] == ("PRIMARY" if primary == region else "REPLICA")
        replicas = [r["Region"] for r in shown["ReplicaKeys"]]
        assert replicas == sorted(r for r in REGIONS if r != primary), answer.body
        n = before + (REGIONS.index(primary) - before) % 3
        # two steps on from what was known would be one step back
        assert n - before < 2, "%s shows %s although change %d had been seen" % (region, primary, before)
        with self.lock:
            if n > self.highest:
                self.highest = n
                self.seen.notify_all()

    def wait_for(self, n, readers):
        with self.lock:
            while self.highest < n:
                assert self.seen.wait(60) and not readers.stop.is_set(), readers.failures


def test_roles(server):
    """6.8 rule 6: nobody ever sees two primaries or none, nor an old role after a new one. Numbers advance one at a
    time: the next change begins when every reader that asked before the last has been answered."""
    key_id = new_key(server, WEST, AP)
    clients = [server.client(region=r) for r in REGIONS]
    roles = Roles(key_id)
    blob = clients[0].encrypt(KeyId=key_id, Plaintext=b"x")["CiphertextBlob"]
    with Readers(server, roles, "DescribeKey", {"KeyId": key_id}) as readers:
        for n in range(ROUNDS):
            clients[n % 3].update_primary_region(KeyId=key_id, PrimaryRegion=REGIONS[(n + 1) % 3])
            roles.wait_for(n + 1, readers)
            readers.wait(3)  # one in each Region, and none is left that asked before it was seen
            assert clients[n % 3].decrypt(CiphertextBlob=blob)["Plaintext"] == b"x"
    assert roles.highest == ROUNDS


class Replicas:
    """Whether there is a replica in us-west-2: once anybody has seen it, everybody does, in every Region."""

    def __init__(self):
        self.there, self.lock = False, threading.Lock()

    def newest(self):
        with self.lock:
            return self.there

    def __call__(self, region, answer, before, began):
        if region == AP:
            return
        if answer.code == "NotFoundException" and region == WEST:
            assert not before, "no replica after somebody had seen it"
            return
        assert answer.code is None, answer
        m = answer.json()["KeyMetadata"]
        shown = [r["Region"] for r in m["MultiRegionConfiguration"]["ReplicaKeys"]]
        assert shown in ([], [WEST])
        assert shown == [WEST] or (region == EAST and not before), "the primary does not know its replica"
        if region == WEST:
            assert m["KeyState"] == "Enabled" and "CurrentKeyMaterialId" in m
        with self.lock:
            self.there = self.there or shown == [WEST]


def test_replication(server):
    """No half-replicated key: what the primary lists is there, whole, and what is there it lists."""
    east = server.client()
    west = server.client(region=WEST)
    for _ in range(max(ROUNDS // 2, 3)):
        key_id = new_key(server)
        blob = east.encrypt(KeyId=key_id, Plaintext=b"x")["CiphertextBlob"]
        replicas = Replicas()
        with Readers(server, replicas, "DescribeKey", {"KeyId": key_id}) as readers:
            time.sleep(0.01)
            east.replicate_key(KeyId=key_id, ReplicaRegion=WEST)
            assert west.decrypt(CiphertextBlob=blob)["Plaintext"] == b"x"
            readers.wait(4)  # one in each Region that was asked after it
        assert replicas.there


def test_one_of_many_replicates(server):
    """Several at once want the same replica: one makes it, the others are told that it exists."""
    key_id = new_key(server)
    address, body = server.address, {"KeyId": key_id, "ReplicaRegion": WEST}
    answers, start = [], threading.Barrier(8)

    def replicate():
        connection = Connection(address)
        start.wait()
        answers.append(connection.call(Credentials("test", "test", region=EAST), "ReplicateKey", body))
        connection.close()

    threads = [threading.Thread(target=replicate) for _ in range(8)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert sorted(a.code or "" for a in answers) == [""] + ["AlreadyExistsException"] * 7
    shown = json.loads(next(a.body for a in answers if a.code is None))["ReplicaKeyMetadata"]
    assert shown["MultiRegionConfiguration"]["MultiRegionKeyType"] == "REPLICA"
