"""kill -9: at random times under mixed load, and at every step boundary of import, delete and expiry.

Checked after every restart: no acknowledged change is lost, nothing that was deleted works again, a change that was not
acknowledged happened entirely or not at all, the audit chain verifies and has every acknowledged call.

TRENT_CRASH_ROUNDS sets the number of random rounds (60; the long run has 1,000; TRENT_CRASH_SEED repeats one).
"""
import datetime
import os
import pathlib
import random
import re
import threading
import time

import pytest
from botocore.exceptions import BotoCoreError, ClientError

from trent_server import Server, TOP, error_of, external_key, import_material, imported_key, parameters_for, wrap

ROUNDS = int(os.environ.get("TRENT_CRASH_ROUNDS", "60"))
SEED = int(os.environ.get("TRENT_CRASH_SEED", str(random.SystemRandom().randrange(1 << 32))))
NOEXP = "KEY_MATERIAL_DOES_NOT_EXPIRE"


class Key:
    """What one writer knows about its key. `sure` is False while a call's fate is unknown."""

    def __init__(self, key_id, parameters):
        self.key_id = key_id
        self.parameters = parameters
        self.material = os.urandom(32)
        self.present = False
        self.sure = True
        self.blobs = []


class Writer(threading.Thread):
    """Works on keys of its own, one call at a time, and remembers what was acknowledged."""

    def __init__(self, server, keys, generated, seed):
        super().__init__(daemon=True)
        self.kms = server.client()
        self.keys = keys
        self.generated = generated
        self.random = random.Random(seed)
        self.acknowledged = []
        self.failure = None

    def call(self, operation, **parameters):
        answer = getattr(self.kms, operation)(**parameters)
        self.acknowledged.append(answer["ResponseMetadata"]["RequestId"])
        return answer

    def create(self):
        if self.random.random() < 0.3:
            key_id = self.call("create_key")["KeyMetadata"]["KeyId"]
            blob = self.call("encrypt", KeyId=key_id, Plaintext=key_id.encode())["CiphertextBlob"]
            self.generated[key_id] = blob
            return
        key_id = self.call("create_key", Origin="EXTERNAL")["KeyMetadata"]["KeyId"]
        self.keys.append(Key(key_id, self.call("get_parameters_for_import", KeyId=key_id, WrappingKeySpec="RSA_2048",
                                               WrappingAlgorithm="RSAES_OAEP_SHA_256")))

    def bring(self, key):
        key.sure = False
        self.call("import_key_material", KeyId=key.key_id, ImportToken=key.parameters["ImportToken"],
                  EncryptedKeyMaterial=wrap(key.parameters["PublicKey"], key.material), ExpirationModel=NOEXP)
        key.present, key.sure = True, True

    def take(self, key):
        key.sure = False
        self.call("delete_imported_key_material", KeyId=key.key_id)
        key.present, key.sure = False, True

    def step(self):
        if not self.keys or self.random.random() < 0.15:
            return self.create()
        key = self.random.choice(self.keys)
        if not key.present:
            return self.bring(key)
        if self.random.random() < 0.4:
            return self.take(key)
        if self.random.random() < 0.2:
            return self.bring(key)
        key.blobs.append(self.call("encrypt", KeyId=key.key_id, Plaintext=b"kept")["CiphertextBlob"])
        return None

    def run(self):
        try:
            while True:
                self.step()
        except (BotoCoreError, OSError, ConnectionError):
            pass  # killed
        except Exception as e:  # noqa: BLE001 - anything else is the test's failure
            self.failure = e


def usable(kms, blob, plaintext):
    try:
        assert kms.decrypt(CiphertextBlob=blob)["Plaintext"] == plaintext
        return True
    except ClientError as e:
        assert e.response["Error"]["Code"] == "KMSInvalidStateException", e
        return False


def check_key(kms, key):
    """The key is what its writer knows, or, where a call was cut off, one of both; then it is known again."""
    state = kms.describe_key(KeyId=key.key_id)["KeyMetadata"]["KeyState"]
    assert state in ("Enabled", "PendingImport")
    if key.sure:
        assert (state == "Enabled") == key.present, (key.key_id, state, key.present)
    key.present, key.sure = state == "Enabled", True
    for blob in key.blobs[-3:]:
        assert usable(kms, blob, b"kept") == key.present


def check_audit(server, acknowledged):
    recorded = {r.get("requestID") for r in server.audit()}
    missing = [r for r in acknowledged if r not in recorded]
    assert not missing, "acknowledged but not in the audit: %s" % missing[:5]
    server.trent("audit", "verify", "--allow-tail")


def one_round(server, writers_keys, generated, rng):
    writers = [Writer(server, keys, generated[i], rng.random()) for i, keys in enumerate(writers_keys)]
    for w in writers:
        w.start()
    time.sleep(rng.uniform(0.005, 0.8))
    server.kill()
    for w in writers:
        w.join(60)
        assert not w.is_alive()
        if w.failure is not None:
            raise w.failure
    return [r for w in writers for r in w.acknowledged]


def test_random_kills(tmp_path):
    rng = random.Random(SEED)
    print("TRENT_CRASH_SEED=%d" % SEED)
    server = Server(tmp_path / "data", "--ready-keys-2048=16", "--log-level=warning")
    server.start()
    keys = [[] for _ in range(4)]
    generated = [{} for _ in range(4)]
    calls = 0
    starts = []
    try:
        for number in range(ROUNDS):
            acknowledged = one_round(server, keys, generated, rng)
            calls += len(acknowledged)
            start = time.monotonic()
            server.start()
            starts.append(time.monotonic() - start)
            kms = server.client()
            for key in rng.sample([k for own in keys for k in own], min(20, sum(map(len, keys)))):
                check_key(kms, key)
            for own in keys:
                for key in own:
                    if not key.sure:
                        check_key(kms, key)
            for own in generated:
                for key_id, blob in list(own.items())[-3:]:
                    assert usable(kms, blob, key_id.encode())
            if number % 10 == 9 or number == ROUNDS - 1:
                for own in keys:
                    for key in own:
                        check_key(kms, key)
            check_audit(server, acknowledged)
    finally:
        server.stop()
    assert calls > ROUNDS, "the writers hardly got anything done: %d calls" % calls
    print("%d rounds, %d acknowledged calls, slowest restart %.0f ms" % (ROUNDS, calls, max(starts) * 1000))
    assert server.trent("audit", "verify", check=False).returncode in (0, 2)


# --- every step boundary ------------------------------------------------------------------------------------


def crash_points():
    points = set()
    for path in pathlib.Path(TOP / "src").rglob("*.c"):
        points |= set(re.findall(r'CRASH_POINT\("([a-z0-9-]+)"\)', path.read_text()))
    return sorted(points)


def in_seconds(seconds):
    return datetime.datetime.now(datetime.timezone.utc) + datetime.timedelta(seconds=seconds)


class Scenario:
    """Sets a key up on a healthy server, then runs one call on a server that dies at a crash point."""

    def prepare(self, server, kms):
        self.material = os.urandom(32)
        self.key = external_key(kms)["KeyId"]
        self.parameters = parameters_for(kms, self.key)
        import_material(kms, self.key, self.material, self.parameters, **self.validity())
        self.blob = kms.encrypt(KeyId=self.key, Plaintext=b"kept")["CiphertextBlob"]

    def validity(self):
        return {}

    def check(self, server, kms, died):
        raise NotImplementedError

    def brings_back(self, kms):
        """Whatever happened, the same bytes make the key usable again, and other bytes do not."""
        if kms.describe_key(KeyId=self.key)["KeyMetadata"]["KeyState"] == "PendingImport":
            assert error_of(import_material, kms, self.key, os.urandom(32), self.parameters)[0] == (
                "IncorrectKeyMaterialException")
        import_material(kms, self.key, self.material, self.parameters)
        assert usable(kms, self.blob, b"kept")


class Delete(Scenario):
    def act(self, server, kms):
        kms.delete_imported_key_material(KeyId=self.key)

    def check(self, server, kms, died):
        state = kms.describe_key(KeyId=self.key)["KeyMetadata"]["KeyState"]
        assert state == "PendingImport" or (died and state == "Enabled")
        assert usable(kms, self.blob, b"kept") == (state == "Enabled")


class Import(Scenario):
    def prepare(self, server, kms):
        super().prepare(server, kms)
        kms.delete_imported_key_material(KeyId=self.key)

    def act(self, server, kms):
        import_material(kms, self.key, self.material, self.parameters)

    def check(self, server, kms, died):
        state = kms.describe_key(KeyId=self.key)["KeyMetadata"]["KeyState"]
        assert state == "Enabled" or (died and state == "PendingImport")
        assert usable(kms, self.blob, b"kept") == (state == "Enabled")


class Replace(Scenario):
    """Importing what is there already: a new slot, and the old one erased."""

    def act(self, server, kms):
        import_material(kms, self.key, self.material, self.parameters)

    def check(self, server, kms, died):
        assert usable(kms, self.blob, b"kept")


class Expire(Scenario):
    def validity(self):
        return {"ValidTo": in_seconds(1000)}

    def act(self, server, kms):
        server.advance(1001)
        deadline = time.monotonic() + 60
        while not any(r["eventName"] == "TrentReceipt" for r in server.audit()[self.records:]):
            assert time.monotonic() < deadline, "nothing was erased"
            server.get("/_trent/health")
            time.sleep(0.05)

    def prepare(self, server, kms):
        super().prepare(server, kms)
        self.records = len(server.audit())

    def check(self, server, kms, died):
        server.advance(1001)  # it may have died before the new time was written anywhere
        assert not usable(kms, self.blob, b"kept")


def run_scenario(tmp_path, scenario, point):
    """True if the server died at the point."""
    server = Server(tmp_path / "data", "--ready-keys-2048=1")
    server.start()
    try:
        scenario.prepare(server, server.client())
        server.stop()
        server.env["TRENT_CRASH_POINT"] = point
        server.start(wait=False)
        try:
            server.wait_ready()
            scenario.act(server, server.client())
            died = False
        except (BotoCoreError, OSError, RuntimeError):
            died = server.process is None or server.process.wait(60) != 0
            assert died, "the call failed, but the server lives: %s" % server.log()
        server.kill()
        del server.env["TRENT_CRASH_POINT"]
        server.start()
        kms = server.client()
        scenario.check(server, kms, died)
        scenario.brings_back(kms)
        server.trent("audit", "verify", "--allow-tail")
        return died
    finally:
        server.env.pop("TRENT_CRASH_POINT", None)
        server.stop()


@pytest.mark.parametrize("point", crash_points())
def test_kill_at_step(tmp_path, point):
    """The point is reached by at least one of import, replacing import, delete and expiry."""
    died = []
    for scenario in (Import, Replace, Delete, Expire):
        folder = tmp_path / scenario.__name__
        folder.mkdir()
        if run_scenario(folder, scenario(), point):
            died.append(scenario.__name__)
    print("%s: killed in %s" % (point, ", ".join(died)))
    assert died or point in ("vault-slots-grown", "reset-answered"), "no scenario reaches %s" % point


def test_crash_points_are_there():
    """The list comes from the sources: it must not become empty unnoticed."""
    assert len(crash_points()) >= 15
