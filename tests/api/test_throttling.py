"""Rates (trust-model 4.7): what fits, one more, and how it comes back.

The text of the refusal is that of kms-behaviour 3.2, row "Throttled".
"""
import json
import re
import signal
import time

import pytest
from botocore import UNSIGNED
from botocore.config import Config
from botocore.exceptions import ClientError
import boto3

from identities import ALLOW_ALL, TRUST_ROOT, text
from oidc import Issuer, Key, key_set
from quick_client import Connection, Credentials
from trent_server import error_of

THROTTLED = ("ThrottlingException",
             "You have exceeded the rate at which you may call KMS. Reduce the frequency of your calls.")


def client(server, secret="test"):
    """One that does not try again."""
    return boto3.client("kms", endpoint_url=server.url, region_name="us-east-1", aws_access_key_id="test",
                        aws_secret_access_key=secret, config=Config(retries={"total_max_attempts": 1}))


def answers(call, n):
    """Error codes of n calls as fast as they go; None for those that succeed."""
    codes = []
    for _ in range(n):
        try:
            call()
            codes.append(None)
        except ClientError as e:
            codes.append(e.response["Error"]["Code"])
    return codes


def metric(server, name):
    return int(re.search(r"^%s (\d+)$" % name, server.get("/_trent/metrics"), re.M).group(1))


@pytest.mark.parametrize("setting", ["rate-principal", "rate-account"])
def test_limit_and_one_more(new_server, setting):
    server = new_server("--%s=3" % setting)
    kms = client(server)
    start = time.monotonic()
    codes = answers(lambda: kms.list_keys(Limit=1), 40)
    passed = codes.count(None)
    # a full bucket, and what came back meanwhile
    assert 3 <= passed <= 3 + 3 * (time.monotonic() - start) + 1
    assert set(codes) == {None, "ThrottlingException"}
    assert error_of(lambda: [kms.list_keys() for _ in range(40)]) == THROTTLED
    assert metric(server, "trent_throttled_requests_total") > codes.count("ThrottlingException")
    time.sleep(1.1)
    assert answers(lambda: kms.list_keys(Limit=1), 3) == [None] * 3


def test_throttled_request_changes_nothing_and_is_recorded(new_server):
    server = new_server("--rate-principal=1")
    kms = client(server)
    codes = answers(kms.create_key, 3)
    while "ThrottlingException" not in codes and len(codes) < 40:  # a call may take as long as a token needs
        codes += answers(kms.create_key, 1)
    assert codes.count("ThrottlingException") >= 1
    time.sleep(1.1)
    assert len(kms.list_keys()["Keys"]) == codes.count(None)
    events = [e for e in server.audit() if e.get("eventName") == "CreateKey"]
    assert [e.get("errorCode") for e in events] == codes


def test_sdk_tries_again_by_itself(new_server):
    server = new_server("--rate-principal=5")
    kms = boto3.client("kms", endpoint_url=server.url, region_name="us-east-1", aws_access_key_id="test",
                       aws_secret_access_key="test", config=Config(retries={"max_attempts": 10, "mode": "adaptive"}))
    for n in range(200):
        kms.list_keys()
        if n >= 11 and metric(server, "trent_throttled_requests_total") >= 1:
            break
    assert metric(server, "trent_throttled_requests_total") >= 1


def test_failed_signatures(new_server):
    """After as many failures as fit a second the address is refused unseen; then it is heard again."""
    server = new_server("--rate-failures=4")
    wrong, right = client(server, "wrong"), client(server)
    codes = answers(wrong.list_keys, 30)
    assert codes[:4] == ["InvalidSignatureException"] * 4
    assert "ThrottlingException" in codes
    for _ in range(50):  # four times a second a failure fits again: it may be between the two calls
        while answers(wrong.list_keys, 1) != ["ThrottlingException"]:
            pass
        try:
            right.list_keys()
        except ClientError as e:
            refused = e.response["Error"]
            break
    assert (refused["Code"], refused["Message"]) == THROTTLED
    assert metric(server, "trent_throttled_sources_total") >= 1
    assert server.trent("status").returncode == 0  # the operator is never starved
    time.sleep(1.1)
    assert right.list_keys()["Keys"] == []


def test_failed_signatures_of_one_turn(new_server):
    """Guesses that arrive together are worked on side by side: each counts before the next is looked at."""
    server = new_server("--rate-failures=4", "--loops=1")
    guesser = Credentials("test", "wrong")
    connections = [Connection(server.address) for _ in range(30)]
    for c in connections:
        assert c.call(Credentials("test", "test"), "ListKeys", {}).status == 200
    server.process.send_signal(signal.SIGSTOP)
    for c in connections:
        headers = guesser.headers(c.host, b"{}", "kms", "TrentService.ListKeys")
        c.socket.sendall(("POST / HTTP/1.1\r\nHost: %s\r\nContent-Length: 2\r\n%s\r\n{}" % (c.host, headers)).encode())
    began = time.monotonic()
    server.process.send_signal(signal.SIGCONT)
    codes = [c._read().code for c in connections]
    looked_at = codes.count("InvalidSignatureException")
    assert 4 <= looked_at <= 4 + 4 * (time.monotonic() - began) + 1
    assert set(codes) == {"InvalidSignatureException", "ThrottlingException"}
    for c in connections:
        c.close()


def test_sessions_share_the_rate_of_their_role(new_server):
    """Whoever may assume a role chooses the names of its sessions, but gets no rate of its own for each."""
    server = new_server("--rate-principal=5")
    iam = server.client("iam")
    iam.create_user(UserName="u")
    iam.put_user_policy(UserName="u", PolicyName="p", PolicyDocument=text(ALLOW_ALL))
    key = iam.create_access_key(UserName="u")["AccessKey"]
    sts = server.client("sts", key=key["AccessKeyId"], secret=key["SecretAccessKey"])
    role = iam.create_role(RoleName="r", AssumeRolePolicyDocument=TRUST_ROOT)["Role"]["Arn"]
    time.sleep(1.1)
    made = [sts.assume_role(RoleArn=role, RoleSessionName="s%d" % i)["Credentials"] for i in range(4)]
    signed = [boto3.client("sts", endpoint_url=server.url, region_name="us-east-1", aws_access_key_id=c["AccessKeyId"],
                           aws_secret_access_key=c["SecretAccessKey"], aws_session_token=c["SessionToken"],
                           config=Config(retries={"total_max_attempts": 1})) for c in made]
    start = time.monotonic()
    codes = [code for _ in range(10) for s in signed for code in answers(s.get_caller_identity, 1)]
    assert codes.count(None) <= 5 + 5 * (time.monotonic() - start) + 1
    assert set(codes) == {None, "Throttling"}


def test_web_identities_count_for_their_role(new_server, tmp_path):
    """One good token can be sent again and again; each makes a session."""
    issuer, key = Issuer("https://cluster.example/id/1"), Key("f1")
    (tmp_path / "keys.json").write_text(key_set(key))
    (tmp_path / "list.json").write_text(json.dumps(
        [{"issuer": issuer.url, "jwks": str(tmp_path / "keys.json"), "audiences": [issuer.audience]}]))
    server = new_server("--rate-principal=3", "--rate-failures=100", "--oidc-providers=%s" % (tmp_path / "list.json"))
    role = server.client("iam").create_role(RoleName="job", AssumeRolePolicyDocument=issuer.trust())["Role"]["Arn"]
    config = Config(signature_version=UNSIGNED, retries={"total_max_attempts": 1})
    sts = boto3.client("sts", endpoint_url=server.url, region_name="us-east-1", config=config)
    token = issuer.token(key)
    codes = answers(lambda: sts.assume_role_with_web_identity(RoleArn=role, RoleSessionName="pod",
                                                              WebIdentityToken=token), 40)
    assert codes[:3] == [None] * 3 and set(codes) == {None, "Throttling"}
    assert error_of(sts.assume_role_with_web_identity, RoleArn=role, RoleSessionName="pod",
                    WebIdentityToken=issuer.token(Key("f1")))[0] == "InvalidIdentityToken"  # who has none uses up nothing
    assert client(server).list_keys()["Keys"] == []  # nor is the address refused
    time.sleep(1.1)
    sts.assume_role_with_web_identity(RoleArn=role, RoleSessionName="pod", WebIdentityToken=token)


def test_development_mode_has_no_rates(server):
    kms = client(server)
    assert set(answers(lambda: kms.list_keys(Limit=1), 600)) == {None}
    assert set(answers(client(server, "wrong").list_keys, 60)) == {"InvalidSignatureException"}

