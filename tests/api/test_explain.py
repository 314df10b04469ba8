"""Why a request was denied: in the audit record, by `trent explain`, and in a header for those who may read the
key's policy anyway. The client's text stays the recorded one (recorded-authz-multiregion 3)."""
import base64
import json

import pytest
from botocore.exceptions import ClientError

POLICY = {"Version": "2012-10-17", "Statement": [
    {"Sid": "Owner", "Effect": "Allow", "Principal": {"AWS": "arn:aws:iam::000000000000:root"}, "Action": "kms:*",
     "Resource": "*"},
    {"Sid": "NotAtNight", "Effect": "Deny", "Principal": "*", "Action": "kms:Encrypt", "Resource": "*",
     "Condition": {"StringEquals": {"kms:EncryptionContext:hour": "night"}}},
]}


@pytest.fixture(scope="module")
def world(server):
    kms, iam = server.client(), server.client("iam")
    key = kms.create_key(Policy=json.dumps(POLICY))["KeyMetadata"]["Arn"]
    credentials = {}
    for name, actions in (("reader", ["kms:GetKeyPolicy", "kms:DescribeKey"]), ("nobody", ["kms:DescribeKey"])):
        iam.create_user(UserName=name)
        iam.put_user_policy(UserName=name, PolicyName="some", PolicyDocument=json.dumps({
            "Version": "2012-10-17", "Statement": {"Sid": "Some", "Effect": "Allow", "Action": actions,
                                                   "Resource": "*"}}))
        made = iam.create_access_key(UserName=name)["AccessKey"]
        credentials[name] = (made["AccessKeyId"], made["SecretAccessKey"])
    return server, key, credentials


def denied(client, explain=None, **parameters):
    """The error's answer when Encrypt is denied, with the header if `explain`."""
    def add(request, **_):
        request.headers["X-Trent-Explain"] = explain

    if explain:
        client.meta.events.register("before-sign.kms.Encrypt", add)
    with pytest.raises(ClientError) as e:
        client.encrypt(Plaintext=b"x", **parameters)
    assert e.value.response["Error"]["Code"] == "AccessDeniedException"
    return e.value.response


def client_of(world, name):
    server, _, credentials = world
    return server.client(key=credentials[name][0], secret=credentials[name][1])


def test_deny_of_the_key_policy(world):
    server, key, _ = world
    answer = denied(server.client(), KeyId=key, EncryptionContext={"hour": "night"})
    assert answer["Error"]["Message"] == (
        "User: arn:aws:iam::000000000000:root is not authorized to perform: kms:Encrypt on resource: %s "
        "with an explicit deny in a resource-based policy" % key)
    request_id = answer["ResponseMetadata"]["RequestId"]
    record = [e for e in server.audit() if e.get("requestID") == request_id][0]
    decision = record["additionalEventData"]["decision"]
    assert decision["reason"] == "denied-by-resource-policy"
    assert "NotAtNight" in json.dumps(decision)
    text = server.trent("explain", request_id).stdout
    assert "NotAtNight" in text and "Encrypt" in text and key in text
    assert json.loads(server.trent("explain", request_id, "--json").stdout)["requestID"] == request_id


def test_nothing_allows(world):
    server, key, _ = world
    answer = denied(client_of(world, "nobody"), KeyId=key)
    assert "because no identity-based policy allows the kms:Encrypt action" in answer["Error"]["Message"]
    text = server.trent("explain", answer["ResponseMetadata"]["RequestId"]).stdout
    assert "no-identity-policy" in text and "user/nobody" in text and "Some" in text


def test_header_for_who_may_read_the_policy(world):
    server, key, _ = world
    headers = denied(client_of(world, "reader"), "yes", KeyId=key)["ResponseMetadata"]["HTTPHeaders"]
    decision = json.loads(base64.b64decode(headers["x-trent-explanation"]))["decision"]
    assert decision["reason"] == "no-identity-policy"


def test_no_header_for_others(world):
    """Nor for who did not ask."""
    server, key, _ = world
    for name, explain in (("nobody", "yes"), ("reader", None)):
        headers = denied(client_of(world, name), explain, KeyId=key)["ResponseMetadata"]["HTTPHeaders"]
        assert "x-trent-explanation" not in headers


def test_no_such_request(world):
    server, _, _ = world
    done = server.trent("explain", "00000000-0000-0000-0000-000000000000", check=False)
    assert done.returncode == 2 and "no request 0000" in done.stderr
    assert server.trent("explain", check=False).returncode == 64
    assert server.trent("explain", "nonsense", check=False).returncode == 64


def test_request_that_was_not_denied(world):
    server, key, _ = world
    request_id = server.client().describe_key(KeyId=key)["ResponseMetadata"]["RequestId"]
    assert "was not denied" in server.trent("explain", request_id).stdout
