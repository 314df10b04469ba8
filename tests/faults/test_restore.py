"""Files put back from backups: deletions stay, and nothing is lost that was not deleted.

The slot file of imported material is never part of a backup, so "yesterday's database beside today's slot file" is the
case that operators meet; the others are mistakes, which must be refused or harmless.
"""
import datetime
import os
import re
import shutil

import pytest

from storage import Files, Gone, copy_of
from trent_server import Server, error_of, external_key, import_material, imported_key, parameters_for
from wire import in_parallel

DATABASE, ERASABLE, DURABLE = "trent.db", "erasable.slots", "durable.slots"


class Key:
    """A key with a blob that tells whether it still works."""

    def __init__(self, kms, imported=True, **more):
        self.material = os.urandom(32) if imported else None
        key = imported_key(kms, self.material, **more)[0] if imported else kms.create_key()["KeyMetadata"]
        self.id = key["KeyId"]
        self.blob = kms.encrypt(KeyId=self.id, Plaintext=b"kept")["CiphertextBlob"]

    def works(self, kms):
        return kms.decrypt(CiphertextBlob=self.blob)["Plaintext"] == b"kept"

    def is_pending_import(self, kms):
        assert kms.describe_key(KeyId=self.id)["KeyMetadata"]["KeyState"] == "PendingImport"
        assert error_of(kms.decrypt, CiphertextBlob=self.blob)[0] == "KMSInvalidStateException"
        assert error_of(kms.encrypt, KeyId=self.id, Plaintext=b"x")[0] == "KMSInvalidStateException"
        return True

    def is_unknown(self, kms):
        assert error_of(kms.describe_key, KeyId=self.id)[0] == "NotFoundException"
        return error_of(kms.decrypt, CiphertextBlob=self.blob)[0] == "AccessDeniedException"

    def comes_back(self, kms):
        """With the customer's own copy, and with nothing else."""
        assert error_of(import_material, kms, self.id, os.urandom(32))[0] == "IncorrectKeyMaterialException"
        import_material(kms, self.id, self.material)
        return self.works(kms)


class Site:
    """A server that is stopped whenever its files are touched."""

    def __init__(self, folder):
        self.folder = folder
        self.server = Server(folder / "data")
        self.server.start()
        self.kms = self.server.client()

    def start(self):
        self.server.start()
        self.kms = self.server.client()

    def save(self, *names, label):
        """Copies files of the stopped server aside."""
        assert self.server.stop() == 0
        assert not (self.server.data / "trent.db-wal").exists()  # the file alone is the database
        (self.folder / label).mkdir()
        for name in names:
            shutil.copy2(self.server.data / name, self.folder / label / name)

    def put_back(self, *names, label):
        """Puts files back and starts; stops first if need be."""
        self.server.stop()
        for name in names:
            shutil.copy2(self.folder / label / name, self.server.data / name)
        self.start()

    def refused(self, *names, label):
        """Puts files in and starts: one line, which is returned, and no file touched."""
        self.server.stop()
        for name in names:
            shutil.copy2(self.folder / label / name, self.server.data / name)
        before = self.contents()
        length = len(self.server.log())
        with pytest.raises(RuntimeError):
            self.server.start()
        assert self.contents() == before
        line = self.server.log()[length:]
        assert line.startswith("trentd: ") and line.count("\n") == 1, line
        return line

    def new_disk(self):
        """What the backup of the stopped server has, by the table in docs/threat-model.md, in a folder of its own."""
        backup = self.folder / "restored"
        shutil.copytree(self.server.data, backup, ignore=shutil.ignore_patterns(ERASABLE, "lock", "trent.sock"))
        shutil.rmtree(self.server.data)
        backup.rename(self.server.data)

    def contents(self):
        """Of all files but the lock; an empty WAL is none, and one page of slot files is for trying the disk."""
        files = {p.name: p.read_bytes() for p in self.server.data.rglob("*") if p.is_file() and p.name != "lock"}
        for name in {ERASABLE, DURABLE} & set(files):
            files[name] = files[name][:8192] + files[name][12288:]
        return {name: content for name, content in files.items() if name != "trent.db-wal" or content}

    def logged(self, pattern):
        return re.search(pattern, self.server.log()) is not None


@pytest.fixture
def site(tmp_path):
    s = Site(tmp_path)
    yield s
    s.server.stop()


# --- yesterday's database -----------------------------------------------------------------------------------------


@pytest.fixture
def restored(site):
    """Yesterday's database is in place. `gone` was deleted today, `kept` and `made` are older than the backup, `late`
    was imported and `fresh` made today."""
    site.gone, site.kept, site.made = Key(site.kms), Key(site.kms), Key(site.kms, imported=False)
    site.save(DATABASE, label="yesterday")
    site.start()
    site.kms.delete_imported_key_material(KeyId=site.gone.id)
    site.late, site.fresh = Key(site.kms), Key(site.kms, imported=False)
    site.save(DATABASE, label="today")
    site.put_back(DATABASE, label="yesterday")
    return site


def test_deleted_material_does_not_come_back(restored):
    s = restored
    assert s.gone.is_pending_import(s.kms)
    assert s.kept.works(s.kms) and s.made.works(s.kms)
    assert s.late.is_unknown(s.kms) and s.fresh.is_unknown(s.kms)
    assert s.logged("the database is older than the audit log")
    assert s.logged("1 materials without shred key")

    # nor on disk: with yesterday's row, whatever bytes there are
    shutil.copytree(s.server.data, s.folder / "attack", ignore=shutil.ignore_patterns("*.sock", "trent.db*"))
    shutil.copy2(s.folder / "yesterday" / DATABASE, s.folder / "attack" / DATABASE)
    with Files(s.folder / "attack") as files:
        (sealed,) = files.materials(s.gone.id)
        with pytest.raises(Gone):
            files.rebuild(sealed, s.gone.id)
        assert files.attack(sealed, files.slots[0]) is None
        (kept,) = files.materials(s.kept.id)
        assert files.rebuild(kept, s.kept.id) == s.kept.material  # the same code finds what is there

    assert s.gone.comes_back(s.kms)
    s.server.stop()
    s.start()
    assert s.gone.works(s.kms)
    assert s.server.trent("audit", "verify", check=False).returncode in (0, 2)


def test_deleted_again(restored):
    """The material that yesterday's database thought was there can be brought and deleted as any other, again and
    again with the same old database."""
    s = restored
    for _ in range(2):
        assert s.gone.comes_back(s.kms)
        with copy_of(s.server.data, s.folder / "files") as files:
            (sealed,) = files.materials(s.gone.id)
            assert files.rebuild(sealed, s.gone.id) == s.gone.material
        shutil.rmtree(s.folder / "files")
        s.kms.delete_imported_key_material(KeyId=s.gone.id)
        assert s.gone.is_pending_import(s.kms)
        s.put_back(DATABASE, label="yesterday")
        assert s.gone.is_pending_import(s.kms) and s.kept.works(s.kms)
        with copy_of(s.server.data, s.folder / "files") as files:
            assert files.attack(sealed, files.slots[0]) is None
        shutil.rmtree(s.folder / "files")


def test_newer_database_put_back(restored):
    """The mistake is undone: what was made since the backup is there again. Imported material since then is erased
    with its slot, since no row named it, and waits for the customer's copy."""
    s = restored
    s.put_back(DATABASE, label="today")
    assert s.fresh.works(s.kms) and s.made.works(s.kms) and s.kept.works(s.kms)
    assert s.gone.is_pending_import(s.kms) and s.late.is_pending_import(s.kms)
    assert s.late.comes_back(s.kms) and s.gone.comes_back(s.kms)


def test_newer_database_put_back_late(restored):
    """The same after yesterday's database was in use for long enough to have more commits than today's, with starts
    in between."""
    s = restored
    in_parallel(s.server, [("CreateKey", {})] * 300, threads=4)
    for _ in range(2):
        s.server.stop()
        s.start()
    s.put_back(DATABASE, label="today")
    assert s.fresh.works(s.kms) and s.made.works(s.kms)
    assert s.gone.is_pending_import(s.kms)


def test_expired_stays_expired(site):
    """A database from before the expiry; the clock is set by the audit log, which was not restored."""
    soon = datetime.datetime.now(datetime.timezone.utc) + datetime.timedelta(hours=1)
    key = Key(site.kms, ValidTo=soon)
    site.save(DATABASE, label="yesterday")
    site.start()
    site.server.advance(2 * 3600)
    assert key.is_pending_import(site.kms)
    site.put_back(DATABASE, label="yesterday")
    assert key.is_pending_import(site.kms)
    assert key.comes_back(site.kms)


def test_window_ended(site):
    """A key that was deleted for good is shown by the old database, but without material."""
    generated, imported = Key(site.kms, imported=False), Key(site.kms)
    site.save(DATABASE, label="yesterday")
    site.start()
    for key in (generated, imported):
        site.kms.schedule_key_deletion(KeyId=key.id, PendingWindowInDays=7)
    site.server.advance(8 * 86400)
    for key in (generated, imported):
        assert error_of(site.kms.describe_key, KeyId=key.id)[0] == "NotFoundException"
    site.put_back(DATABASE, label="yesterday")
    assert imported.is_pending_import(site.kms)
    for call in (lambda: site.kms.decrypt(CiphertextBlob=generated.blob),
                 lambda: site.kms.encrypt(KeyId=generated.id, Plaintext=b"x")):
        assert error_of(call)[0] == "KeyUnavailableException"


# --- a new disk ---------------------------------------------------------------------------------------------------


def test_backup_on_an_empty_disk(site):
    """Everything that a backup has, and no erasable.slots: with the operator's word all of it works again but for the
    imported material, which comes back with the same bytes."""
    kept, made = Key(site.kms), Key(site.kms, imported=False)
    late = Key(site.kms)
    token_key = external_key(site.kms)["KeyId"]
    old_token = parameters_for(site.kms, token_key)
    site.kms.create_alias(AliasName="alias/kept", TargetKeyId=kept.id)
    assert site.server.stop() == 0
    site.new_disk()

    # it is refused with the name of the command, and no file was touched
    before = site.contents()
    with pytest.raises(RuntimeError, match="erasable.slots' is missing: .*'trent restore accept --help'"):
        site.server.start()
    said = site.server.trent("restore", "accept", check=False)
    assert said.returncode == 1 and "gone for good" in said.stdout and "--forget-imported" in said.stdout
    assert before == site.contents()

    site.server.trent("restore", "accept", "--forget-imported")
    site.start()
    assert made.works(site.kms)
    assert kept.is_pending_import(site.kms) and late.is_pending_import(site.kms)
    assert site.kms.describe_key(KeyId="alias/kept")["KeyMetadata"]["KeyId"] == kept.id
    assert error_of(import_material, site.kms, token_key, os.urandom(32), old_token)[0] == "ExpiredImportTokenException"
    assert kept.comes_back(site.kms)
    import_material(site.kms, token_key, os.urandom(32))
    names = [r["eventName"] for r in site.server.audit()]
    assert names.index("TrentRestoreAccepted") < names.index("TrentMaterialLost")
    site.kms.delete_imported_key_material(KeyId=kept.id)
    site.server.stop()
    site.server.trent("audit", "verify")

    # while it is stopped and while it runs: not a second time
    assert "nothing was changed" in site.server.trent("restore", "accept", "--forget-imported", check=False).stderr
    site.start()
    assert "is in use" in site.server.trent("restore", "accept", "--forget-imported", check=False).stderr
    assert kept.is_pending_import(site.kms) and kept.comes_back(site.kms)


def test_lost_slot_file_comes_back_too_late(site):
    """The old file turns up after all: put in the place of the new one it is an old copy."""
    Key(site.kms)
    site.save(ERASABLE, label="old")
    site.new_disk()
    site.server.trent("restore", "accept", "--forget-imported")
    site.start()
    key = Key(site.kms)
    site.save(ERASABLE, label="new")
    assert "is an old copy" in site.refused(ERASABLE, label="old")
    site.put_back(ERASABLE, label="new")
    assert key.works(site.kms)


# --- slot files of another day ------------------------------------------------------------------------------------


def test_old_slot_file_is_refused(site):
    """After an erasure the file's generation has risen, and the database knows."""
    gone, kept = Key(site.kms), Key(site.kms)
    site.save(ERASABLE, label="yesterday")
    site.start()
    site.kms.delete_imported_key_material(KeyId=gone.id)
    site.save(ERASABLE, label="today")
    line = site.refused(ERASABLE, label="yesterday")
    assert "erasable.slots' is an old copy: generation" in line
    site.put_back(ERASABLE, label="today")
    assert kept.works(site.kms) and gone.is_pending_import(site.kms)


def test_old_slot_file_and_old_database_are_refused(site):
    """Both from yesterday: the audit log, which was not restored, knows of the erasures since."""
    gone, kept = Key(site.kms), Key(site.kms)
    site.save(DATABASE, ERASABLE, label="yesterday")
    site.start()
    site.kms.delete_imported_key_material(KeyId=gone.id)
    site.save(DATABASE, ERASABLE, label="today")
    line = site.refused(DATABASE, ERASABLE, label="yesterday")
    assert "erasable.slots" in line and "audit" in line
    site.put_back(DATABASE, ERASABLE, label="today")
    assert kept.works(site.kms) and gone.is_pending_import(site.kms)


def test_old_slot_file_without_erasures_since(site):
    """Nothing was erased since, so nothing can come back; what was imported since is not in it."""
    kept = Key(site.kms)
    site.save(ERASABLE, label="yesterday")
    site.start()
    late = Key(site.kms)
    site.save(ERASABLE, label="today")
    site.put_back(ERASABLE, label="yesterday")
    assert kept.works(site.kms) and late.is_pending_import(site.kms)
    assert site.logged("has no shred key any more and counts as deleted")
    assert late.comes_back(site.kms)
    site.put_back(ERASABLE, label="today")
    assert kept.works(site.kms) and late.is_pending_import(site.kms) and late.comes_back(site.kms)


def pending_of(kms, key_id):
    """Role and ImportState of the last material of a listing."""
    last = kms.list_key_rotations(KeyId=key_id, IncludeKeyMaterial="ALL_KEY_MATERIAL")["Rotations"][-1]
    return last["KeyMaterialState"], last["ImportState"]


def test_old_slot_file_and_relatives(site):
    """What one Region lost is missing there only; the listings of all Regions agree about it, and it comes back."""
    keys = []
    for _ in range(2):
        key = site.kms.create_key(Origin="EXTERNAL", MultiRegion=True)["KeyMetadata"]["KeyId"]
        import_material(site.kms, key, b"1" * 32)
        site.server.advance(2)  # a replica of the one before is no longer Creating
        site.kms.replicate_key(KeyId=key, ReplicaRegion="us-west-2")
        keys.append(key)
    east_loses, west_loses = keys
    import_material(site.kms, west_loses, b"2" * 32, ImportType="NEW_KEY_MATERIAL")
    site.save(ERASABLE, label="yesterday")
    site.start()
    site.server.advance(2)
    west = site.server.client(region="us-west-2")
    import_material(site.kms, east_loses, b"2" * 32, ImportType="NEW_KEY_MATERIAL")
    import_material(west, west_loses, b"2" * 32)
    site.save(ERASABLE, label="today")
    site.put_back(ERASABLE, label="yesterday")
    west = site.server.client(region="us-west-2")
    for key, states in ((east_loses, ("PENDING_IMPORT", "PENDING_IMPORT")), (west_loses, ("IMPORTED", "PENDING_IMPORT"))):
        listed = [pending_of(kms, key) for kms in (site.kms, west)]
        assert listed == [("PENDING_MULTI_REGION_IMPORT_AND_ROTATION", state) for state in states]
        assert error_of(site.kms.rotate_key_on_demand, KeyId=key)[1].startswith("Cannot perform key material rotation")
        for kms in (site.kms, west):
            import_material(kms, key, b"2" * 32)
        site.kms.rotate_key_on_demand(KeyId=key)
        assert [pending_of(kms, key) for kms in (site.kms, west)] == [("CURRENT", "IMPORTED")] * 2
    assert site.logged("has no shred key any more and counts as deleted")


def test_old_slot_file_of_generated_keys(site):
    """A generated key that it does not have is refused, not given up: the right file brings it back."""
    kept = Key(site.kms, imported=False)
    site.save(DURABLE, label="yesterday")
    site.start()
    late = Key(site.kms, imported=False)
    site.save(DURABLE, label="today")
    site.put_back(DURABLE, label="yesterday")
    assert kept.works(site.kms)
    assert site.logged("its shred key is not in durable.slots")
    for call in (lambda: site.kms.decrypt(CiphertextBlob=late.blob),
                 lambda: site.kms.encrypt(KeyId=late.id, Plaintext=b"x")):
        assert error_of(call)[0] == "KeyUnavailableException"
    site.server.stop()
    site.start()  # and again, in case the first start wrote something
    site.put_back(DURABLE, label="today")
    assert late.works(site.kms) and kept.works(site.kms)


def test_slot_files_exchanged(site):
    """One class in place of the other."""
    Key(site.kms)
    site.save(DURABLE, ERASABLE, label="today")
    mixed = site.folder / "mixed"
    mixed.mkdir()
    shutil.copy2(site.folder / "today" / DURABLE, mixed / ERASABLE)
    line = site.refused(ERASABLE, label="mixed")
    assert "erasable.slots' belongs to another instance" in line


def test_damaged_slot(site):
    """One slot whose bytes were changed: its key is refused and everything else works. An imported one is given up
    and can be brought again; a generated one waits for the right file."""
    imported, generated = Key(site.kms), Key(site.kms, imported=False)
    others = Key(site.kms), Key(site.kms, imported=False)
    site.save(DURABLE, ERASABLE, label="today")
    with Files(site.server.data) as files:
        places = [files.materials(k.id)[0] for k in (imported, generated)]
    for name, sealed in zip((ERASABLE, DURABLE), places):
        with open(site.server.data / name, "r+b") as f:
            f.seek(4 * 4096 + sealed.slot * 128 + 40)
            byte = f.read(1)
            f.seek(-1, os.SEEK_CUR)
            f.write(bytes([byte[0] ^ 1]))
    site.start()
    assert imported.is_pending_import(site.kms) and imported.comes_back(site.kms)
    assert error_of(site.kms.decrypt, CiphertextBlob=generated.blob)[0] == "KeyUnavailableException"
    assert all(k.works(site.kms) for k in others)
    site.put_back(DURABLE, label="today")
    assert generated.works(site.kms) and imported.works(site.kms)


def test_pending_key_of_old_database(site):
    """A key without material yet in yesterday's database, with material today: the import is undone, and can be
    done again with other bytes, since yesterday's key has seen none."""
    key = external_key(site.kms)["KeyId"]
    site.save(DATABASE, label="yesterday")
    site.start()
    import_material(site.kms, key, os.urandom(32))
    site.put_back(DATABASE, label="yesterday")
    assert site.kms.describe_key(KeyId=key)["KeyMetadata"]["KeyState"] == "PendingImport"
    import_material(site.kms, key, os.urandom(32))
    assert site.kms.encrypt(KeyId=key, Plaintext=b"x")
