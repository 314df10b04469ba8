"""`trent account ...`: further accounts, through the local socket of a running server."""
import concurrent.futures
import json
import subprocess
import time
import urllib.error

import pytest
from botocore.exceptions import ClientError

from trent_server import TRENT, Server


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    with Server(tmp_path_factory.mktemp("accounts") / "data") as s:
        yield s


def trent(server, *arguments):
    return subprocess.run([TRENT, "account", *arguments, "--data", str(server.data)], capture_output=True,
                          text=True, timeout=60)


def trent_json(server, *arguments):
    done = trent(server, *arguments, "--json")
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def client_of(server, account):
    return server.client(key=account["accessKeyId"], secret=account["secretAccessKey"])


def events(server, name):
    return [r for r in server.audit() if r["eventName"] == name]


def test_create_and_use(server):
    made = trent_json(server, "create", "--id", "111122223333", "--name", "Payments", "--organization",
                      "o-0123456789")
    assert made["accountId"] == "111122223333" and made["name"] == "Payments"
    assert made["organization"] == "o-0123456789"
    key = client_of(server, made).create_key()["KeyMetadata"]
    assert key["AWSAccountId"] == "111122223333"
    # accounts are apart: the first one's root user does not even learn that the key exists
    with pytest.raises(ClientError) as e:
        server.client().describe_key(KeyId=key["KeyId"])
    assert e.value.response["Error"]["Code"] == "NotFoundException"
    event = events(server, "TrentAccountCreated")[-1]
    assert event["recipientAccountId"] == "111122223333"
    assert event["serviceEventDetails"] == {"accountId": "111122223333", "name": "Payments",
                                            "organization": "o-0123456789", "accessKeyId": made["accessKeyId"]}
    assert made["secretAccessKey"] not in json.dumps(server.audit())


def test_random_id(server):
    a, b = trent_json(server, "create"), trent_json(server, "create")
    assert len(a["accountId"]) == 12 and a["accountId"].isdigit() and a["accountId"] != b["accountId"]
    assert len(a["accessKeyId"]) == 20 and len(a["secretAccessKey"]) == 40


def test_list_and_update(server):
    made = trent_json(server, "create", "--name", "before")
    assert trent_json(server, "update", "--id", made["accountId"], "--organization", "o-abcdefghij")["name"] == "before"
    changed = trent_json(server, "update", "--id", made["accountId"], "--name", "after")
    assert changed == {"accountId": made["accountId"], "name": "after", "organization": "o-abcdefghij"}
    assert trent_json(server, "update", "--id", made["accountId"], "--organization", "none")["organization"] == ""
    listed = {a["accountId"]: a for a in trent_json(server, "list")}
    assert "000000000000" in listed and listed[made["accountId"]]["name"] == "after"
    assert all(set(a) == {"accountId", "name", "organization", "created"} for a in listed.values())
    assert made["accountId"] in trent(server, "list").stdout
    assert len(events(server, "TrentAccountUpdated")) >= 3


def test_access_keys(server):
    made = trent_json(server, "create")
    first = client_of(server, made)
    second = trent_json(server, "access-key", "--id", made["accountId"])
    assert second["accessKeyId"] != made["accessKeyId"]
    first.list_keys()
    client_of(server, second).list_keys()
    refused = trent(server, "access-key", "--id", made["accountId"])
    assert refused.returncode == 1 and "has 2 access keys already" in refused.stderr
    third = trent_json(server, "access-key", "--id", made["accountId"], "--replace")
    client_of(server, third).list_keys()
    for old in made, second:  # at once
        with pytest.raises(ClientError) as e:
            client_of(server, old).list_keys()
        assert e.value.response["Error"]["Code"] == "UnrecognizedClientException"


@pytest.mark.parametrize("arguments, code, text", [
    (["create", "--id", "12345"], 64, "is not an account id: 12 digits"),
    (["create", "--id", "12345678901x"], 64, "is not an account id: 12 digits"),
    (["create", "--id", "000000000000"], 1, "there is an account '000000000000' already"),
    (["create", "--name", "x" * 51], 64, "name is not a text of at most 50 bytes"),
    (["create", "--name", "two\nlines"], 64, "name is not a text"),
    (["create", "--organization", "o-short"], 64, "is not an organization"),
    (["create", "--organization", "x-0123456789"], 64, "is not an organization"),
    (["update", "--id", "999999999999", "--name", "x"], 1, "there is no account '999999999999'"),
    (["access-key", "--id", "999999999999"], 1, "there is no account '999999999999'"),
    (["update", "--name", "x"], 64, "which account?"),
    (["access-key"], 64, "which account?"),
    (["list", "more"], 64, "more"),
])
def test_refusals(server, arguments, code, text):
    before = trent_json(server, "list")
    done = trent(server, *arguments)
    assert done.returncode == code and text in done.stderr and done.stdout == ""
    assert trent_json(server, "list") == before


def test_only_through_the_local_socket(server):
    for name in "list", "create", "update", "access-key":
        with pytest.raises(urllib.error.HTTPError) as e:
            server.post("/_trent/accounts/" + name, {})
        assert e.value.code == 404


def test_one_of_two_makes_an_account(server):
    """The same id, many times at once: one succeeds, nobody gets an access key besides."""
    with concurrent.futures.ThreadPoolExecutor(6) as pool:
        done = list(pool.map(lambda _: trent(server, "create", "--id", "222233334444", "--json"), range(6)))
    assert sorted(d.returncode for d in done) == [0, 1, 1, 1, 1, 1]
    for d in done:
        assert d.returncode == 0 or "already" in d.stderr or "in progress" in d.stderr
    assert len([e for e in events(server, "TrentAccountCreated")
                if e["recipientAccountId"] == "222233334444"]) == 1


def test_they_are_there_after_a_restart(tmp_path):
    server = Server(tmp_path / "data")
    with server:
        made = trent_json(server, "create", "--id", "333344445555", "--name", "kept")
        key = client_of(server, made).create_key()["KeyMetadata"]["KeyId"]
    assert trent(server, "list").returncode == 3
    with server:
        assert client_of(server, made).describe_key(KeyId=key)["KeyMetadata"]["AWSAccountId"] == "333344445555"
        assert [a["name"] for a in trent_json(server, "list")] == ["", "kept"]
        assert trent(server, "create", "--id", "333344445555").returncode == 1


def test_last_used(tmp_path):
    """GetAccessKeyLastUsed: any signed request counts, refused ones too, and it is kept over a restart."""
    server = Server(tmp_path / "data")
    with server:
        iam = server.client("iam")
        iam.create_user(UserName="ann")
        key = iam.create_access_key(UserName="ann")["AccessKey"]
        never = iam.get_access_key_last_used(AccessKeyId=key["AccessKeyId"])
        assert never["UserName"] == "ann"
        assert never["AccessKeyLastUsed"] == {"ServiceName": "N/A", "Region": "N/A"}
        with pytest.raises(ClientError):  # she may do nothing
            server.client(key=key["AccessKeyId"], secret=key["SecretAccessKey"], region="eu-west-1").list_keys()
        used = iam.get_access_key_last_used(AccessKeyId=key["AccessKeyId"])["AccessKeyLastUsed"]
        assert used["ServiceName"] == "kms" and used["Region"] == "eu-west-1"
        assert abs(used["LastUsedDate"].timestamp() - time.time()) < 10
        with pytest.raises(ClientError):  # a bad signature does not count
            server.client("iam", key=key["AccessKeyId"], secret="wrong").list_users()
        assert iam.get_access_key_last_used(AccessKeyId=key["AccessKeyId"])["AccessKeyLastUsed"] == used
    with server:
        iam = server.client("iam")
        assert iam.get_access_key_last_used(AccessKeyId=key["AccessKeyId"])["AccessKeyLastUsed"] == used
        with pytest.raises(ClientError) as e:
            iam.get_access_key_last_used(AccessKeyId="AKIA2222222222222222")
        assert e.value.response["Error"]["Code"] == "NoSuchEntity"
