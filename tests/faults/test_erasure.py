"""Deleted means deleted: what could rebuild a material is gone from every file, and from memory.

Files: before an erasure an independent implementation of the formats rebuilds the material, and a raw search finds the
bytes that it needs; both must fail as soon as the call has answered. Memory: the server's own is searched through
/proc/PID/mem. Memory for keys is hidden from that by design, so half of these tests start a server that uses locked
ordinary memory instead, where the search does find keys while they are in use.
"""
import base64
import datetime
import hashlib
import json
import os
import random
import re
import shutil
import subprocess
import threading
import time

import pytest
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import serialization

from family_keys import FAMILIES, ec_numbers, edwards_numbers, import_family, rsa_numbers, signs
from memory import Scan, forms, instrumented, needs_root, prepared, wait_until_loops_rest
from storage import Files, Gone, copy_of, find_bytes, sync
from trent_server import Server, error_of, external_key, import_material, imported_key, parameters_for, until, wrap
from wire import Wire

DAY = 86400
each_family = pytest.mark.parametrize("family", FAMILIES, ids=lambda f: "-".join(f[:2]))


def in_seconds(seconds):
    return datetime.datetime.now(datetime.timezone.utc) + datetime.timedelta(seconds=seconds)


# --- evidence -----------------------------------------------------------------------------------------------------


def receipts_in_audit(server, arn, reason):
    return [r for r in server.audit() if r["eventName"] == "TrentReceipt"
            and r["serviceEventDetails"]["keyArn"] == arn and r["serviceEventDetails"]["reason"] == reason]


def wait_for_receipt(server, arn, reason):
    """Erasures without a call of their own have no answer to wait for: their receipt says that they are done."""
    until(lambda: receipts_in_audit(server, arn, reason), lambda: "no receipt for %s (%s)" % (arn, reason))


class Evidence:
    """What the files must give away about one sealed secret before its erasure, and must not after it."""

    def __init__(self, server, key_id, folder, pick=lambda files, key_id: files.materials(key_id)[0]):
        self.server, self.key_id, self.folder = server, key_id, folder
        shutil.copytree(server.data, folder / "before", ignore=shutil.ignore_patterns("*.sock"))
        with Files(folder / "before") as files:
            self.sealed = pick(files, key_id)
            self.secret = files.rebuild(self.sealed, key_id)
            assert files.attack(self.sealed, files.slots[self.sealed.slot_class]) == self.secret
            shred = files.shred_key(self.sealed, key_id)
            # in pieces: the database divides what is longer than a page
            wrapped = [self.sealed.wrapped[at:at + 48] for at in range(0, len(self.sealed.wrapped) - 47, 48)]
            self.needles = {"wrapped shred key": files.wrapped_shred_key(self.sealed),
                            **{"wrapped secret %d" % i: piece for i, piece in enumerate(wrapped)}}
            self.never = {**forms("secret", self.secret[:64]), **forms("shred key", shred),
                          **forms("wrapping key", files.wrapping_key(self.sealed, shred))}
        found = find_bytes(folder / "before", self.needles)
        assert found["wrapped shred key"] == [("erasable.slots", "durable.slots")[self.sealed.slot_class]]
        places = [found["wrapped secret %d" % i] for i in range(len(wrapped))]
        assert sum(map(bool, places)) >= max(1, len(wrapped) * 9 // 10)
        assert set(sum(places, [])) <= {"trent.db", "trent.db-wal"}
        self.not_in_clear(folder / "before")

    def not_in_clear(self, directory):
        found = find_bytes(directory, self.never)
        assert not any(found.values()), {name: where for name, where in found.items() if where}

    def check_gone(self):
        """In a copy of the files as they are now. The attacker knows the root key, all of them, and the row from an
        old backup of the database."""
        after = self.folder / "after"
        shutil.copytree(self.server.data, after, ignore=shutil.ignore_patterns("*.sock"))
        found = find_bytes(after, self.needles)
        assert not any(found.values()), found
        self.not_in_clear(after)
        with Files(after) as files:
            with pytest.raises(Gone):
                files.rebuild(self.sealed, self.key_id)
            for path in sorted(after.glob("*")):
                if path.is_file():
                    assert files.attack(self.sealed, path.read_bytes()) is None, path
        shutil.rmtree(after)


@pytest.fixture
def folder(tmp_path):
    """A fresh folder for each piece of evidence."""
    count = iter(range(1000))

    def make():
        path = tmp_path / ("evidence-%d" % next(count))
        path.mkdir()
        return path

    return make


# --- files: every way a material ends -----------------------------------------------------------------------------


def test_delete(server, kms, folder):
    """DeleteImportedKeyMaterial: gone from all files when it answers, while its neighbour's stays."""
    material, other = os.urandom(32), os.urandom(32)
    key, _ = imported_key(kms, material)
    neighbour, _ = imported_key(kms, other)
    blob = kms.encrypt(KeyId=key["KeyId"], Plaintext=b"kept")["CiphertextBlob"]
    evidence = Evidence(server, key["KeyId"], folder())
    assert evidence.secret == material
    kms.delete_imported_key_material(KeyId=key["KeyId"])
    evidence.check_gone()
    assert error_of(kms.decrypt, CiphertextBlob=blob)[0] == "KMSInvalidStateException"
    assert Evidence(server, neighbour["KeyId"], folder()).secret == other

    import_material(kms, key["KeyId"], material)  # the customer's copy brings everything back
    assert kms.decrypt(CiphertextBlob=blob)["Plaintext"] == b"kept"


@each_family
def test_delete_of_every_family(server, kms, folder, family):
    """Like a symmetric key's material, although the answer names none (R29): erased, with a receipt, at the answer."""
    private = family[2]()
    key = import_family(kms, family, private)
    family[4](kms, key["KeyId"])
    evidence = Evidence(server, key["KeyId"], folder())
    if isinstance(private, bytes):
        assert evidence.secret == private
    else:
        rebuilt = serialization.load_der_private_key(evidence.secret, None)
        assert rebuilt.public_key() == private.public_key()
    assert "KeyMaterialId" not in kms.delete_imported_key_material(KeyId=key["KeyId"])
    assert len(receipts_in_audit(server, key["Arn"], "api")) == 1
    evidence.check_gone()
    assert error_of(family[4], kms, key["KeyId"])[0] == "KMSInvalidStateException"

    import_family(kms, family, private, key)
    family[4](kms, key["KeyId"])


def test_expiry(server, kms, folder):
    material = os.urandom(32)
    key, _ = imported_key(kms, material, ValidTo=in_seconds(DAY))
    kms.encrypt(KeyId=key["KeyId"], Plaintext=b"in use")
    evidence = Evidence(server, key["KeyId"], folder())
    assert evidence.secret == material
    server.advance(DAY + 10)
    assert error_of(kms.encrypt, KeyId=key["KeyId"], Plaintext=b"x")[0] == "KMSInvalidStateException"
    wait_for_receipt(server, key["Arn"], "expiry")
    evidence.check_gone()


def test_end_of_deletion_window(server, kms, folder):
    """Imported and generated material; until the end of the window both stay."""
    material = os.urandom(32)
    imported, _ = imported_key(kms, material)
    generated = kms.create_key()["KeyMetadata"]
    for key in (imported, generated):
        kms.schedule_key_deletion(KeyId=key["KeyId"], PendingWindowInDays=7)
    evidence = [Evidence(server, key["KeyId"], folder()) for key in (imported, generated)]
    assert evidence[0].secret == material and len(evidence[1].secret) == 32
    assert [e.sealed.slot_class for e in evidence] == [0, 1]
    server.advance(7 * DAY + 10)
    for key, e in zip((imported, generated), evidence):
        wait_for_receipt(server, key["Arn"], "key-deletion")
        e.check_gone()
        assert error_of(kms.describe_key, KeyId=key["KeyId"])[0] == "NotFoundException"


def test_cancelled_deletion_erases_nothing(server, kms, folder):
    material = os.urandom(32)
    key, _ = imported_key(kms, material)
    kms.schedule_key_deletion(KeyId=key["KeyId"], PendingWindowInDays=7)
    kms.cancel_key_deletion(KeyId=key["KeyId"])
    server.advance(8 * DAY)
    assert Evidence(server, key["KeyId"], folder()).secret == material


def test_import_into_a_new_slot(server, kms, folder):
    """Importing the same material again replaces its sealed form; the old one goes."""
    material = os.urandom(32)
    key, _ = imported_key(kms, material)
    old = Evidence(server, key["KeyId"], folder())
    import_material(kms, key["KeyId"], material, ValidTo=in_seconds(30 * DAY))
    with copy_of(server.data, folder() / "now") as files:
        (now,) = files.materials(key["KeyId"])
        assert (now.slot, now.slot_generation) != (old.sealed.slot, old.sealed.slot_generation)
        assert files.rebuild(now, key["KeyId"]) == material
    wait_for_receipt(server, key["Arn"], "replaced")
    old.check_gone()


def test_import_wrapping_key(server, kms, folder):
    """The private key of GetParametersForImport: in no token, and gone after its 24 hours."""
    key = external_key(kms)
    parameters = parameters_for(kms, key["KeyId"])
    evidence = Evidence(server, key["KeyId"], folder(), lambda files, key_id: files.import_keys(key_id)[0])
    private = serialization.load_der_private_key(evidence.secret, None)
    assert private.public_key() == serialization.load_der_public_key(parameters["PublicKey"])
    assert evidence.secret[40:80] not in parameters["ImportToken"]
    server.advance(DAY + 10)
    wait_for_receipt(server, key["Arn"], "import-key")
    evidence.check_gone()
    assert error_of(import_material, kms, key["KeyId"], os.urandom(32), parameters)[0] == "ExpiredImportTokenException"


def test_delete_under_load(server, kms, folder):
    """Twenty keys in use on four connections, ten of them deleted: those are gone, the others not."""
    materials = [os.urandom(32) for _ in range(20)]
    keys = [imported_key(kms, m)[0]["KeyId"] for m in materials]
    evidence = {k: Evidence(server, k, folder()) for k in keys[:10:3]}
    before = copy_of(server.data, folder() / "before")
    stopping = threading.Event()
    used, wrong = [], []

    def use(seed):
        with Wire(server) as wire:
            at = seed
            while not stopping.is_set():
                at += 1
                try:
                    wire.call("Encrypt", KeyId=keys[at % 20], Plaintext="AAAA")
                    used.append(at % 20)
                except Exception as e:  # noqa: BLE001 - judged below
                    if getattr(e, "code", None) != "KMSInvalidStateException":
                        wrong.append(e)
                        return

    users = [threading.Thread(target=use, args=(n * 5,)) for n in range(4)]
    for u in users:
        u.start()
    try:
        for key_id in keys[:10]:
            kms.delete_imported_key_material(KeyId=key_id)
            if key_id in evidence:
                evidence[key_id].check_gone()
        until(lambda: wrong or set(range(10, 20)) <= set(used), lambda: "the others are not used")
    finally:
        stopping.set()
        for u in users:
            u.join()
    assert not wrong
    with before, copy_of(server.data, folder() / "now") as now:
        for key_id, material in zip(keys, materials):
            (sealed,) = before.materials(key_id)
            assert before.rebuild(sealed, key_id) == material
            if key_id in keys[:10]:
                assert now.materials(key_id) == [] and now.attack(sealed, now.slots[0]) is None
            else:
                assert now.rebuild(sealed, key_id) == material


def test_rows_that_move(new_server, tmp_path):
    """Rows change their length and their page, and the database leaves none of them behind where they were."""
    server = new_server("--ready-keys-2048=16")
    kms = server.client()
    rng = random.Random(20)
    keys = [imported_key(kms, os.urandom(32))[0]["KeyId"] for _ in range(24)]
    for _ in range(3):
        for key_id in rng.sample(keys, 12):
            kms.update_key_description(KeyId=key_id, Description="d" * rng.choice((0, 10, 100, 1000, 3000)))
            kms.tag_resource(KeyId=key_id, Tags=[{"TagKey": "t", "TagValue": "v" * rng.randrange(256)}])
    with copy_of(server.data, tmp_path / "before") as files:
        rows = {key_id: files.materials(key_id)[0].wrapped for key_id in keys}
    assert all(find_bytes(tmp_path / "before", rows).values())
    rng.shuffle(keys)
    for done in range(0, 24, 8):
        for key_id in keys[done:done + 8]:
            kms.delete_imported_key_material(KeyId=key_id)
        found = find_bytes(server.data, rows)
        assert {k for k in keys if found[k]} == set(keys[done + 8:])


@pytest.mark.skipif(os.geteuid() != 0, reason="mounting needs root")
def test_block_device(tmp_path):
    """On a file system of its own, every block of the device: no shred key, no secret in clear, in whatever block they
    may once have been; with an old row, nothing on it opens."""
    image, mount = tmp_path / "image", tmp_path / "mount"
    mount.mkdir()
    with open(image, "wb") as f:
        f.truncate(48 << 20)
    subprocess.run(["mkfs.ext4", "-q", "-F", str(image)], check=True, env={**os.environ, "PATH": "/usr/sbin:/sbin:" +
                                                                          os.environ["PATH"]})
    if subprocess.run(["mount", "-o", "loop", str(image), str(mount)], capture_output=True).returncode != 0:
        pytest.skip("no loop devices here")
    evidence = []
    try:
        with Server(mount / "data") as server:
            kms = server.client()
            for _ in range(4):
                key, _ = imported_key(kms, os.urandom(32))
                place = tmp_path / key["KeyId"]
                place.mkdir()
                evidence.append(Evidence(server, key["KeyId"], place))
            sync(mount)
            content = image.read_bytes()
            assert all(e.needles["wrapped shred key"] in content for e in evidence)
            for e in evidence:
                kms.delete_imported_key_material(KeyId=e.key_id)
        with copy_of(mount / "data", tmp_path / "files") as files:
            subprocess.run(["umount", str(mount)], check=True)
            content = image.read_bytes()
            for e in evidence:
                assert e.needles["wrapped shred key"] not in content
                assert [name for name, needle in e.never.items() if needle in content] == []
                assert files.attack(e.sealed, content[:1 << 22]) is None
    finally:
        if os.path.ismount(mount):
            subprocess.run(["umount", str(mount)], check=True)


# --- receipts -----------------------------------------------------------------------------------------------------


def check_signature(record, public_key):
    """Of an audit line: Ed25519 over the text up to its signature."""
    match = re.fullmatch(r'(.*),"signature":"([A-Za-z0-9+/=]{88})","trent":\{[^{}]*\}\}', record)
    assert match, record
    public_key.verify(base64.b64decode(match.group(2)), match.group(1).encode())


def test_receipts(new_server):
    """One for each erasure, with its reason; verified by the tool and without it."""
    server = new_server()
    kms = server.client()
    material = os.urandom(32)
    key, material_id = imported_key(kms, material)
    import_material(kms, key["KeyId"], material)
    kms.delete_imported_key_material(KeyId=key["KeyId"])
    import_material(kms, key["KeyId"], material, ValidTo=in_seconds(DAY))
    server.advance(2 * DAY)
    wait_for_receipt(server, key["Arn"], "expiry")
    wait_for_receipt(server, key["Arn"], "import-key")
    import_material(kms, key["KeyId"], material)
    kms.schedule_key_deletion(KeyId=key["KeyId"], PendingWindowInDays=7)
    server.advance(8 * DAY)
    wait_for_receipt(server, key["Arn"], "key-deletion")
    imported_key(kms, os.urandom(32))

    receipts = json.loads(server.trent("receipts", key["KeyId"], "--json").stdout)
    public_key = serialization.load_pem_public_key((server.data / "audit" / "audit.pub").read_bytes())
    reasons = []
    for receipt in receipts:
        assert receipt["signature"] == "good"
        check_signature(receipt["record"], public_key)
        with pytest.raises(InvalidSignature):
            check_signature(receipt["record"].replace("us-east-1", "us-east-2", 1), public_key)
        details = json.loads(receipt["record"])["serviceEventDetails"]
        assert details["keyArn"] == key["Arn"]
        reasons.append(details["reason"])
        assert details["materialId"] == (None if details["reason"] == "import-key" else material_id)
        assert details["slotClass"] == "erasable" and details["databaseClean"] is True
        assert details["alreadyEmpty"] is False
        if details["eraseGrade"] == "B":
            assert details["readBackVerified"] is True and details["extentsBefore"] == details["extentsAfter"]
    wanted = ["replaced", "api", "expiry", "key-deletion"]
    assert [r for r in reasons if r != "import-key"] == wanted
    assert reasons.count("import-key") >= 4  # one for each GetParametersForImport but those after the last 24 hours

    text = server.trent("receipts", key["Arn"]).stdout
    assert text.count(material_id) == len(wanted) and "BAD" not in text
    assert server.trent("receipts", external_key(kms)["KeyId"], check=False).returncode == 2


def test_forged_receipt(new_server):
    """A receipt that was touched is shown as bad, and the chain does not verify."""
    server = new_server()
    kms = server.client()
    key, _ = imported_key(kms, os.urandom(32))
    kms.delete_imported_key_material(KeyId=key["KeyId"])
    server.stop()
    (path,) = (server.data / "audit").glob("trent-*.jsonl")
    text = path.read_text()
    assert text.count('"alreadyEmpty":false') == 1
    path.write_text(text.replace('"alreadyEmpty":false', '"alreadyEmpty":true'))
    done = server.trent("receipts", key["KeyId"], check=False)
    assert done.returncode == 1 and "BAD" in done.stdout
    assert server.trent("audit", "verify", check=False).returncode == 1


# --- memory -------------------------------------------------------------------------------------------------------

memory_tests = [needs_root(), pytest.mark.skipif(instrumented(), reason="sanitizers keep copies of their own")]
READABLE = {"TRENT_SECRET_MEMORY": "mlock"}


@pytest.fixture(scope="module")
def readable(tmp_path_factory):
    """A server whose memory for keys can be read; opened material is wiped after a second without use."""
    with Server(tmp_path_factory.mktemp("readable") / "data", "--material-idle=1", env=READABLE) as s:
        yield s


@pytest.fixture(scope="module")
def long_cached(tmp_path_factory):
    with Server(tmp_path_factory.mktemp("cached") / "data", "--material-idle=3600", env=READABLE) as s:
        yield s


def of_material(material):
    """A symmetric key's material in every form that could be in memory."""
    return {**forms("material", material), **prepared("material", material)}


def copies(server, material):
    """How often the material of a symmetric key is there: as what is kept of one in use, and as it is."""
    seen = scan(server, of_material(material)).copies
    kept = {seen.pop(name) for name in prepared("material", material)}
    assert len(kept) == 1 and not any(seen.values()), seen
    return kept.pop()


def scan(server, needles):
    wait_until_loops_rest(server.process.pid)
    return Scan(server.process.pid, needles)


class TestMemory:
    pytestmark = memory_tests

    def test_keys_in_use_are_hidden(self, server, kms, tmp_path):
        """The server as users run it: not even root finds a key that is in use."""
        if server.status()["secretMemory"] != "memfd_secret":
            pytest.skip("this kernel has no memfd_secret")
        material = os.urandom(32)
        key, _ = imported_key(kms, material)
        kms.encrypt(KeyId=key["KeyId"], Plaintext=b"in use")
        with copy_of(server.data, tmp_path / "files") as files:
            needles = {**of_material(material), **forms("instance key", files.instance_key),
                       **forms("domain key", files.domain_key("000000000000", "us-east-1", 1)),
                       **forms("slot key", files.purpose(b"slot")),
                       **forms("root key", (server.data / "root.key").read_bytes())}
        seen = scan(server, needles)
        assert seen.hits() == {}
        assert seen.hidden and seen.scanned > 1 << 20

    def test_keys_in_use_once(self, long_cached, tmp_path):
        """With readable memory the search finds them, in one copy each, and nothing that is not needed: of a material
        what keys are derived with, not its bytes."""
        assert long_cached.status()["secretMemory"] == "mlock"
        kms = long_cached.client()
        material = os.urandom(32)
        key, _ = imported_key(kms, material)
        assert scan(long_cached, of_material(material)).hits() == {}  # imported, not used yet
        kms.encrypt(KeyId=key["KeyId"], Plaintext=b"in use")
        with copy_of(long_cached.data, tmp_path / "files") as files:
            (sealed,) = files.materials(key["KeyId"])
            shred = files.shred_key(sealed, key["KeyId"])
            kept = {**prepared("material", material), "slot key": files.purpose(b"slot"), "digest key": files.digest_key,
                    "domain key": files.domain_key("000000000000", "us-east-1", 1)}
            passing = {**forms("material", material),
                       **forms("root key", (long_cached.data / "root.key").read_bytes()),
                       **forms("instance key", files.instance_key), **forms("shred key", shred),
                       **forms("wrapping key", files.wrapping_key(sealed, shred))}
        seen = scan(long_cached, {**kept, **passing})
        assert {name: seen.copies[name] for name in kept} == {name: 1 for name in kept}
        assert {name: where for name, where in seen.hits().items() if name in passing} == {}

    def test_deleted_material(self, long_cached):
        kms = long_cached.client()
        for way in ("DeleteImportedKeyMaterial", "expiry"):
            material = os.urandom(32)
            key, _ = imported_key(kms, material, **({"ValidTo": in_seconds(DAY)} if way == "expiry" else {}))
            kms.encrypt(KeyId=key["KeyId"], Plaintext=b"in use")
            assert copies(long_cached, material) == 1
            if way == "expiry":
                long_cached.advance(DAY + 10)
                wait_for_receipt(long_cached, key["Arn"], "expiry")
            else:
                kms.delete_imported_key_material(KeyId=key["KeyId"])
            assert scan(long_cached, of_material(material)).hits() == {}

    @each_family
    def test_deleted_key_of_every_family(self, long_cached, family):
        """None of the numbers of a key is left, nor what OpenSSL derives from them; before, the search finds it."""
        kms = long_cached.client()
        private = family[2]()
        needles = family[3](private)
        key = import_family(kms, family, private)
        assert scan(long_cached, needles).hits() == {}  # imported, not used yet
        for _ in range(3):
            family[4](kms, key["KeyId"])
        found = scan(long_cached, needles).hits()
        assert any(name.split(" ")[0] in ("p", "scalar", "seed", "key") for name in found), found
        kms.delete_imported_key_material(KeyId=key["KeyId"])
        assert scan(long_cached, needles).hits() == {}

    @pytest.mark.parametrize("spec", ["ML_DSA_44", "ML_DSA_87", "ML_KEM_512", "ML_KEM_1024"])
    def test_end_of_generated_key(self, long_cached, tmp_path, spec):
        """Of keys that cannot be imported: the seed, and what FIPS 203 and 204 make of it first."""
        kms = long_cached.client()
        signing = spec.startswith("ML_DSA")
        usage = "SIGN_VERIFY" if signing else "ENCAPSULATE_DECAPSULATE"
        key = kms.create_key(KeySpec=spec, KeyUsage=usage)["KeyMetadata"]
        with copy_of(long_cached.data, tmp_path / "files") as files:
            secret = files.rebuild(files.materials(key["KeyId"])[0], key["KeyId"])
        if signing:
            seed = secret[-32:]
            shape = {"ML_DSA_44": b"\4\4", "ML_DSA_87": b"\10\7"}[spec]  # FIPS 204, algorithm 6, line 1
            made = hashlib.shake_256(seed + shape).digest(128)
            needles = {**forms("seed", seed), **forms("rho prime", made[32:96]), **forms("K", made[96:])}
        else:
            d, z = secret[-64:-32], secret[-32:]  # FIPS 203, algorithm 13, line 1
            made = hashlib.sha3_512(d + {"ML_KEM_512": b"\2", "ML_KEM_1024": b"\4"}[spec]).digest()
            needles = {**forms("d", d), **forms("z", z), **forms("sigma", made[32:])}
        if signing:
            signs("ML_DSA_SHAKE_256")(kms, key["KeyId"])
        else:
            kms.encapsulate(KeyId=key["KeyId"], EncapsulationAlgorithm="ML_KEM")
        found = set(scan(long_cached, needles).hits())
        assert found >= ({"seed", "K"} if signing else {"d", "z"}), found
        kms.schedule_key_deletion(KeyId=key["KeyId"], PendingWindowInDays=7)
        long_cached.advance(7 * DAY + 10)
        wait_for_receipt(long_cached, key["Arn"], "key-deletion")
        assert scan(long_cached, needles).hits() == {}

    def test_deleted_under_load(self, long_cached):
        """Eight threads use the keys while they are deleted; none is left anywhere, stacks included."""
        kms = long_cached.client()
        materials = [os.urandom(32) for _ in range(24)]
        keys = [imported_key(kms, m)[0]["KeyId"] for m in materials]
        stopping, used = threading.Event(), set()

        def use(at):
            with Wire(long_cached) as wire:
                while not stopping.is_set():
                    at = (at + 1) % len(keys)
                    try:
                        wire.call("GenerateDataKey", KeyId=keys[at], KeySpec="AES_256")
                        used.add(at)
                    except Exception as e:  # noqa: BLE001 - deleted by now
                        assert getattr(e, "code", None) == "KMSInvalidStateException", e

        users = [threading.Thread(target=use, args=(i * 3,)) for i in range(8)]
        for u in users:
            u.start()
        until(lambda: len(used) == len(keys), lambda: "not all keys are used")
        named, raw = {}, {"material %d" % i: m for i, m in enumerate(materials)}
        for name, material in raw.items():
            named.update(prepared(name, material))
        cached = scan(long_cached, named).hits()
        for k in keys:
            kms.delete_imported_key_material(KeyId=k)
        left = scan(long_cached, {**named, **raw}).hits()
        stopping.set()
        for u in users:
            u.join()
        assert len(cached) == 2 * len(keys) and left == {}

    def test_idle_material(self, readable):
        """material-idle seconds after its last use, and at most two looks later, it is gone by itself."""
        kms = readable.client()
        material = os.urandom(32)
        key, _ = imported_key(kms, material)
        for _ in range(20):  # it may have been idle for a second before it is looked for
            kms.encrypt(KeyId=key["KeyId"], Plaintext=b"in use")
            if (found := copies(readable, material)) == 1:
                break
        assert found == 1
        deadline = time.monotonic() + 30  # 11 seconds, and what a busy machine adds
        while scan(readable, of_material(material)).hits():
            assert time.monotonic() < deadline, "idle material stays in memory"
            time.sleep(0.5)
        kms.encrypt(KeyId=key["KeyId"], Plaintext=b"in use again")

    def test_import_leaves_no_private_key(self, long_cached, tmp_path):
        """Neither the wrapping key's primes nor the material it unwrapped, with either kind of wrapping."""
        kms = long_cached.client()
        key = external_key(kms)["KeyId"]
        material = os.urandom(32)
        parameters = parameters_for(kms, key)
        with copy_of(long_cached.data, tmp_path / "files") as files:
            (sealed,) = files.import_keys(key)
            der = files.rebuild(sealed, key)
        numbers = serialization.load_der_private_key(der, None).private_numbers()
        needles = {**forms("prime p", numbers.p.to_bytes(128, "big")),
                   **forms("prime q", numbers.q.to_bytes(128, "big")),
                   **forms("exponent d", numbers.d.to_bytes(256, "big")), **of_material(material)}
        assert scan(long_cached, needles).hits() == {}
        import_material(kms, key, material, parameters)
        assert scan(long_cached, needles).hits() == {}


# --- memory: what clients send and get ----------------------------------------------------------------------------


@pytest.fixture(scope="module")
def certificate(tmp_path_factory):
    folder = tmp_path_factory.mktemp("tls")
    subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes",
                    "-days", "2", "-subj", "/CN=trent", "-addext", "subjectAltName=IP:127.0.0.1", "-keyout",
                    str(folder / "key.pem"), "-out", str(folder / "cert.pem")], check=True, capture_output=True)
    return folder


@pytest.fixture(scope="module", params=["plain", "tls"])
def talking(request, tmp_path_factory, certificate):
    """A server and a kept connection to it."""
    flags = [] if request.param == "plain" else ["--tls-cert=%s/cert.pem" % certificate,
                                                 "--tls-key=%s/key.pem" % certificate]
    with Server(tmp_path_factory.mktemp("talking") / "data", *flags, env=READABLE) as server:
        with Wire(server, certificate / "cert.pem" if flags else None) as wire:
            yield server, wire


def b64(data):
    return base64.b64encode(data).decode()


class TestPlaintextInMemory:
    """The connection stays open and nothing else is sent on it: whatever the server keeps would be there."""

    pytestmark = memory_tests

    def test_request_is_found_while_it_lasts(self, talking):
        """The search sees request bodies: one that is not complete yet is in the input buffer."""
        server, wire = talking
        plaintext = os.urandom(96)
        request = wire.request("Encrypt", {"KeyId": "alias/none", "Plaintext": b64(plaintext)})
        wire.send(request[:-3])
        deadline = time.monotonic() + 60
        while "plaintext in base64" not in scan(server, forms("plaintext", plaintext)).hits():
            assert time.monotonic() < deadline, "the search finds nothing where there must be something"
        wire.send(request[-3:])
        with pytest.raises(Exception, match="NotFoundException"):
            wire.receive()
        assert scan(server, forms("plaintext", plaintext)).hits() == {}  # refused ones leave nothing either

    @pytest.mark.parametrize("size", [96, 4096])
    def test_after_the_answer(self, talking, size):
        server, wire = talking
        key = wire.call("CreateKey")["KeyMetadata"]["KeyId"]
        other = wire.call("CreateKey")["KeyMetadata"]["KeyId"]
        plaintext = os.urandom(size)
        needles = forms("plaintext", plaintext)
        blob = wire.call("Encrypt", KeyId=key, Plaintext=b64(plaintext))["CiphertextBlob"]
        assert scan(server, needles).hits() == {}, "Encrypt"
        assert wire.call("Decrypt", CiphertextBlob=blob)["Plaintext"] == b64(plaintext)
        assert scan(server, needles).hits() == {}, "Decrypt"
        wire.call("ReEncrypt", CiphertextBlob=blob, DestinationKeyId=other)
        assert scan(server, needles).hits() == {}, "ReEncrypt"

    @pytest.mark.parametrize("operation", ["GenerateDataKey", "GenerateRandom"])
    def test_generated(self, talking, operation):
        server, wire = talking
        if operation == "GenerateRandom":
            answer = wire.call(operation, NumberOfBytes=1024)
        else:
            answer = wire.call(operation, KeyId=wire.call("CreateKey")["KeyMetadata"]["KeyId"], NumberOfBytes=1024)
        assert scan(server, forms("data key", base64.b64decode(answer["Plaintext"]))).hits() == {}

    @pytest.mark.parametrize("pair", ["RSA_2048", "ECC_NIST_P256", "ECC_NIST_EDWARDS25519"])
    def test_key_pairs(self, talking, pair):
        server, wire = talking
        master = wire.call("CreateKey")["KeyMetadata"]["KeyId"]
        answer = wire.call("GenerateDataKeyPair", KeyId=master, KeyPairSpec=pair)
        private = serialization.load_der_private_key(base64.b64decode(answer["PrivateKeyPlaintext"]), None)
        numbers = {"R": rsa_numbers, "E": ec_numbers}[pair[0]] if "EDWARDS" not in pair else edwards_numbers
        assert scan(server, numbers(private)).hits() == {}, "GenerateDataKeyPair"
        wire.call("Decrypt", CiphertextBlob=answer["PrivateKeyCiphertextBlob"])
        assert scan(server, numbers(private)).hits() == {}, "Decrypt"

    def test_shared_secrets_and_macs(self, talking):
        """A MAC, too: callers take it for a key that they derive."""
        server, wire = talking

        def key(spec, usage):
            return wire.call("CreateKey", KeySpec=spec, KeyUsage=usage)["KeyMetadata"]["KeyId"]

        agreeing = key("ECC_NIST_P256", "KEY_AGREEMENT")
        answer = wire.call("DeriveSharedSecret", KeyId=agreeing, KeyAgreementAlgorithm="ECDH",
                           PublicKey=wire.call("GetPublicKey", KeyId=agreeing)["PublicKey"])
        assert scan(server, forms("secret", base64.b64decode(answer["SharedSecret"]))).hits() == {}
        kem = key("ML_KEM_768", "ENCAPSULATE_DECAPSULATE")
        answer = wire.call("Encapsulate", KeyId=kem, EncapsulationAlgorithm="ML_KEM")
        assert scan(server, forms("secret", base64.b64decode(answer["SharedSecret"]))).hits() == {}
        mac = wire.call("GenerateMac", KeyId=key("HMAC_256", "GENERATE_VERIFY_MAC"), Message=b64(os.urandom(64)),
                        MacAlgorithm="HMAC_SHA_256")["Mac"]
        assert scan(server, forms("MAC", base64.b64decode(mac))).hits() == {}

    def test_pipelined(self, talking):
        """Several requests in one write, their answers after one another."""
        server, wire = talking
        key = wire.call("CreateKey")["KeyMetadata"]["KeyId"]
        plaintexts = [os.urandom(512) for _ in range(6)]
        wire.send(b"".join(wire.request("Encrypt", {"KeyId": key, "Plaintext": b64(p)}) for p in plaintexts))
        blobs = [wire.receive()["CiphertextBlob"] for _ in plaintexts]
        wire.send(b"".join(wire.request("Decrypt", {"CiphertextBlob": b}) for b in blobs))
        assert [wire.receive()["Plaintext"] for _ in blobs] == [b64(p) for p in plaintexts]
        needles = {}
        for i, p in enumerate(plaintexts):
            needles.update(forms("plaintext %d" % i, p))
        assert scan(server, needles).hits() == {}

    def test_import(self, talking):
        """The wrapped material of a request is no secret without the wrapping key, the material is."""
        server, wire = talking
        material = os.urandom(32)
        key = wire.call("CreateKey", Origin="EXTERNAL")["KeyMetadata"]["KeyId"]
        parameters = wire.call("GetParametersForImport", KeyId=key, WrappingAlgorithm="RSAES_OAEP_SHA_256",
                               WrappingKeySpec="RSA_2048")
        wrapped = wrap(base64.b64decode(parameters["PublicKey"]), material)
        wire.call("ImportKeyMaterial", KeyId=key, ImportToken=parameters["ImportToken"],
                  EncryptedKeyMaterial=b64(wrapped), ExpirationModel="KEY_MATERIAL_DOES_NOT_EXPIRE")
        assert scan(server, of_material(material)).hits() == {}
