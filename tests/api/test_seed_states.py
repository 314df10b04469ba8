"""Seeds whose keys are not simply Enabled: what has expired since the file was written, and more Regions than a key
can be in. Neither may end the server."""
import base64
import json
import subprocess
import urllib.request

import pytest

from trent_server import TRENT, Server

ACCOUNT = "000000000000"
KEY = "11111111-2222-3333-4444-555555555555"
MRK = "mrk-11111111222233334444555555555555"
BYTES = base64.b64encode(bytes(range(32))).decode()


def write(path, key):
    path.write_text(json.dumps({"Accounts": [{"AccountId": ACCOUNT}],
                                "Keys": [{"AccountId": ACCOUNT, "Region": "us-east-1", **key}]}))
    path.chmod(0o600)
    return path


def check(path):
    return subprocess.run([TRENT, "seed", "check", str(path)], capture_output=True, text=True, timeout=60)


@pytest.mark.parametrize("more", [{}, {"ValidTo": "2099-01-31T12:00:00Z"}, {"ValidTo": "2020-01-31T12:00:00Z"}])
def test_check_of_disabled_imported_key(tmp_path, more):
    found = check(write(tmp_path / "seed.json",
                        {"KeyId": KEY, "Origin": "EXTERNAL", "Enabled": False, "Material": BYTES, **more}))
    assert found.returncode == 0, found.stderr


def test_disabled_and_expired(tmp_path):
    """R33: whoever disabled it, a key whose material has expired is PendingImport; at start and after a reset."""
    seed = write(tmp_path / "seed.json", {"KeyId": KEY, "Origin": "EXTERNAL", "Enabled": False, "Material": BYTES,
                                          "ValidTo": "2020-01-31T12:00:00Z"})
    with Server(tmp_path / "data", "--seed=%s" % seed) as server:
        for _ in range(2):
            assert server.client().describe_key(KeyId=KEY)["KeyMetadata"]["KeyState"] == "PendingImport"
            reset = urllib.request.Request(server.url + "/_trent/reset", b"{}", {"Content-Type": "application/json"})
            with urllib.request.urlopen(reset) as answer:
                assert answer.status == 200


def test_too_many_regions(tmp_path):
    """A family has 64 keys at most (key/family.h)."""
    regions = ["%s-west-%d" % (area, i) for area in ("us", "eu", "ap", "ca", "sa", "me", "af", "il") for i in range(1, 9)]
    key = {"KeyId": MRK, "Replicas": [{"Region": r} for r in regions[:63]]}
    assert check(write(tmp_path / "seed.json", key)).returncode == 0
    key["Replicas"].append({"Region": regions[63]})
    found = check(write(tmp_path / "seed.json", key))
    assert found.returncode == 65
    assert "seed.json:1: $.Keys[0].Replicas[63]: a key is in at most 64 Regions" in found.stderr


# --- what users did to what was seeded stays as it is ----------------------------------------------------------

SINGLE = "11111111-2222-3333-4444-666666666666"
OTHER = "11111111-2222-3333-4444-777777777777"
FAMILY = {"KeyId": MRK, "Material": BYTES, "Origin": "EXTERNAL", "Aliases": ["alias/here"], "Replicas": [
    {"Region": "eu-west-1", "Aliases": ["alias/there"],
     "Grants": [{"GranteePrincipal": "arn:aws:iam::%s:root" % ACCOUNT, "Operations": ["Encrypt"]}]}]}
DAY = 24 * 3600


def restarted(server, *left):
    """It starts, makes nothing, and says in one line what it left."""
    server.stop()
    before = len(server.log())
    server.start()
    lines = [line for line in server.log()[before:].splitlines() if "are not as in the file any more" in line]
    events = [r["eventName"] for r in server.audit()]
    assert events.count("TrentSeeded") == 1
    if left:
        assert len(lines) == 1 and all(text in lines[0] for text in left), lines
    else:
        assert lines == []
    return server.client(), server.client(region="eu-west-1")


def test_a_replica_that_is_gone(tmp_path):
    with Server(tmp_path / "data", "--seed=%s" % write(tmp_path / "seed.json", FAMILY)) as server:
        here, there = restarted(server)
        there.schedule_key_deletion(KeyId=MRK, PendingWindowInDays=7)
        here, there = restarted(server, "seed: 1 things", "$.Keys[0].Replicas[0]: the key is scheduled for deletion")
        server.advance(8 * DAY)
        with pytest.raises(there.exceptions.NotFoundException):
            there.describe_key(KeyId=MRK)
        here, there = restarted(server, "seed: 1 things", "$.Keys[0].Replicas[0]: the key is there in other Regions")
        with pytest.raises(there.exceptions.NotFoundException):
            there.describe_key(KeyId=MRK)
        assert there.list_aliases()["Aliases"] == []
        assert here.describe_key(KeyId="alias/here")["KeyMetadata"]["KeyState"] == "Enabled"
        reset = urllib.request.Request(server.url + "/_trent/reset", b"{}", {"Content-Type": "application/json"})
        with urllib.request.urlopen(reset) as answer:
            assert answer.status == 200
        assert there.describe_key(KeyId="alias/there")["KeyMetadata"]["KeyState"] == "Enabled"
        assert len(there.list_grants(KeyId=MRK)["Grants"]) == 1


def test_a_family_that_moved_away(tmp_path):
    """Its primary is in a Region that the file does not know, and all that the file names is gone."""
    family = {"KeyId": MRK, "Replicas": FAMILY["Replicas"]}
    with Server(tmp_path / "data", "--seed=%s" % write(tmp_path / "seed.json", family)) as server:
        here, there = server.client(), server.client(region="eu-west-1")
        here.replicate_key(KeyId=MRK, ReplicaRegion="ap-south-1")
        server.advance(3600)
        here.update_primary_region(KeyId=MRK, PrimaryRegion="ap-south-1")
        server.advance(3600)
        for kms in here, there:
            kms.schedule_key_deletion(KeyId=MRK, PendingWindowInDays=7)
        server.advance(8 * DAY)
        here, there = restarted(server, "seed: 2 things", "$.Keys[0]: the key is there in other Regions")
        assert here.list_keys()["Keys"] == there.list_keys()["Keys"] == []
        moved = server.client(region="ap-south-1").describe_key(KeyId=MRK)["KeyMetadata"]
        assert moved["MultiRegionConfiguration"]["ReplicaKeys"] == []


def test_states_aliases_and_materials(tmp_path):
    """A key scheduled for deletion without its alias and grant, an alias of another key, deleted material."""
    path = tmp_path / "seed.json"
    path.write_text(json.dumps({"Region": "us-east-1", "Keys": [
        {"KeyId": KEY, "Aliases": ["alias/one", "alias/two"],
         "Grants": [{"GranteePrincipal": "arn:aws:iam::%s:root" % ACCOUNT, "Operations": ["Encrypt"]}]},
        {"KeyId": SINGLE, "Origin": "EXTERNAL", "Material": BYTES}, {"KeyId": OTHER}]}))
    path.chmod(0o600)
    with Server(tmp_path / "data", "--seed=%s" % path) as server:
        kms = server.client()
        kms.update_alias(AliasName="alias/two", TargetKeyId=OTHER)
        kms.delete_alias(AliasName="alias/one")
        kms.revoke_grant(KeyId=KEY, GrantId=kms.list_grants(KeyId=KEY)["Grants"][0]["GrantId"])
        kms.schedule_key_deletion(KeyId=KEY, PendingWindowInDays=7)
        kms.delete_imported_key_material(KeyId=SINGLE)
        # the key, its two aliases and its grant, the material
        kms, _ = restarted(server, "seed: 5 things", "$.Keys[0]: the key is scheduled for deletion")
        assert kms.describe_key(KeyId=KEY)["KeyMetadata"]["KeyState"] == "PendingDeletion"
        assert kms.describe_key(KeyId=SINGLE)["KeyMetadata"]["KeyState"] == "PendingImport"
        assert [(a["AliasName"], a["TargetKeyId"]) for a in kms.list_aliases()["Aliases"]] == [("alias/two", OTHER)]
