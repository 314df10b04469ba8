"""Key policies and the users and roles that they name: bound to who that is (kms-behaviour 12)."""
import json

import pytest
from botocore.exceptions import ClientError

from trent_server import Server

ACCOUNT = "000000000000"
ROOT = {"Effect": "Allow", "Principal": {"AWS": "arn:aws:iam::%s:root" % ACCOUNT}, "Action": "kms:*", "Resource": "*"}


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    with Server(tmp_path_factory.mktemp("principals") / "data") as s:
        yield s


@pytest.fixture(scope="module")
def iam(server):
    return server.client("iam")


@pytest.fixture(scope="module")
def kms(server):
    return server.client()


def policy_for(*arns):
    return json.dumps({"Version": "2012-10-17", "Statement": [
        ROOT, {"Effect": "Allow", "Principal": {"AWS": list(arns)}, "Action": "kms:Encrypt", "Resource": "*"}]}, indent=1)


def make_user(server, iam, name):
    user = iam.create_user(UserName=name)["User"]
    key = iam.create_access_key(UserName=name)["AccessKey"]
    return user, server.client(key=key["AccessKeyId"], secret=key["SecretAccessKey"]), key["AccessKeyId"]


def remove_user(iam, name, access_key):
    iam.delete_access_key(UserName=name, AccessKeyId=access_key)
    iam.delete_user(UserName=name)


def shown(kms, key):
    return kms.get_key_policy(KeyId=key)["Policy"]


def test_a_user_made_again_gets_nothing(server, iam, kms):
    user, client, access_key = make_user(server, iam, "ann")
    text = policy_for(user["Arn"])
    key = kms.create_key(Policy=text)["KeyMetadata"]["KeyId"]
    client.encrypt(KeyId=key, Plaintext=b"x")
    assert shown(kms, key) == text  # byte for byte

    remove_user(iam, "ann", access_key)
    gone = text.replace(user["Arn"], user["UserId"])
    assert shown(kms, key) == gone

    again, client, access_key = make_user(server, iam, "ann")
    assert again["Arn"] == user["Arn"] and again["UserId"] != user["UserId"]
    with pytest.raises(ClientError) as e:
        client.encrypt(KeyId=key, Plaintext=b"x")
    assert e.value.response["Error"]["Code"] == "AccessDeniedException"
    assert shown(kms, key) == gone

    kms.put_key_policy(KeyId=key, Policy=text)  # now it means the new one
    client.encrypt(KeyId=key, Plaintext=b"x")
    assert shown(kms, key) == text
    remove_user(iam, "ann", access_key)


def test_it_is_kept_over_a_restart(tmp_path):
    server = Server(tmp_path / "data")
    with server:
        iam, kms = server.client("iam"), server.client()
        user, _, access_key = make_user(server, iam, "bob")
        key = kms.create_key(Policy=policy_for(user["Arn"]))["KeyMetadata"]["KeyId"]
        remove_user(iam, "bob", access_key)
        make_user(server, iam, "bob")
    with server:
        assert user["UserId"] in shown(server.client(), key)
        remade = server.client("iam").create_access_key(UserName="bob")["AccessKey"]
        client = server.client(key=remade["AccessKeyId"], secret=remade["SecretAccessKey"])
        with pytest.raises(ClientError):
            client.encrypt(KeyId=key, Plaintext=b"x")


@pytest.mark.parametrize("arn", ["arn:aws:iam::000000000000:user/nobody", "arn:aws:iam::000000000000:role/nobody",
                                 "arn:aws:iam::999999999999:root", "999999999999",
                                 "arn:aws:sts::000000000000:assumed-role/nobody/session", "AIDAAAAAAAAAAAAAAAAAA"])
def test_unknown_principals(kms, arn):
    for call in (lambda: kms.create_key(Policy=policy_for(arn)),
                 lambda: kms.put_key_policy(KeyId=kms.create_key()["KeyMetadata"]["KeyId"], Policy=policy_for(arn))):
        with pytest.raises(ClientError) as e:
            call()
        error = e.value.response["Error"]
        assert error["Code"] == "MalformedPolicyDocumentException"
        assert error["Message"] == "Policy contains a statement with one or more invalid principals."
