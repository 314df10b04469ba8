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
