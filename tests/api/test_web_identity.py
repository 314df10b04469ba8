"""AssumeRoleWithWebIdentity: tokens of OIDC issuers instead of long-lived keys, with the providers that the AWS clients
bring, keys from files and from an https URL, keys that are replaced, and everything that is refused."""
import json
import os
import pathlib
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.parse
import urllib.request

import boto3
import pytest
from botocore import UNSIGNED

from identities import ACCOUNT, ALLOW_KMS, text
from oidc import Issuer, Key, Publisher, b64url, key_set
from trent_server import Server, error_of

AWS = str(pathlib.Path(sys.executable).parent / "aws")
ROLE = "arn:aws:iam::%s:role/job" % ACCOUNT
DENIED = ("AccessDenied", "Not authorized to perform sts:AssumeRoleWithWebIdentity")
NO_KEY = ("InvalidIdentityToken", "Couldn't retrieve verification key from your identity provider,  please reference "
          "AssumeRoleWithWebIdentity documentation for requirements")
BAD_SIGNATURE = ("InvalidIdentityToken", "The ID Token has a signature that is invalid.")
FILE = Issuer("https://cluster.example/id/1")
WEB = Issuer("https://ci.example", "trent")


class World:
    """A server with two issuers: one whose keys are in a file, one that publishes them."""

    def __init__(self, folder):
        self.file_keys = Key("f1"), Key("f2", "RS256")
        self.web_key = Key("w1")
        self.keys_path, self.list_path = folder / "keys.json", folder / "providers.json"
        self.keys_path.write_text(key_set(*self.file_keys))
        self.publisher = Publisher(folder, key_set(self.web_key))
        self.write_list()
        self.server = Server(folder / "data", "--oidc-providers=%s" % self.list_path).start()
        iam = self.server.client("iam")
        iam.create_role(RoleName="job", AssumeRolePolicyDocument=FILE.trust(sub="job:1"))
        iam.put_role_policy(RoleName="job", PolicyName="p", PolicyDocument=text(ALLOW_KMS))
        iam.create_role(RoleName="web", AssumeRolePolicyDocument=WEB.trust())
        self.iam = iam
        self.sts = self.server.client("sts", signature_version=UNSIGNED)
        self.wait_for_keys()

    def write_list(self, **more):
        self.list_path.write_text(json.dumps([
            {"issuer": FILE.url, "jwks": str(self.keys_path), "audiences": ["other", FILE.audience]},
            {"issuer": WEB.url, "jwks": self.publisher.url, "audiences": [WEB.audience], "ca": str(self.publisher.ca), **more}]))

    def metric(self, name, issuer=WEB):
        for line in self.server.get("/_trent/metrics").splitlines():
            if line.startswith('%s{provider="%d"}' % (name, [FILE, WEB].index(issuer))):
                return int(line.split()[-1])
        raise AssertionError(name)

    def wait_for_keys(self, seconds=60):
        deadline = time.monotonic() + seconds
        while self.metric("trent_oidc_keys") == 0:
            assert time.monotonic() < deadline, self.server.log()
            time.sleep(0.05)

    def ask(self, token, role="job", **more):
        return self.sts.assume_role_with_web_identity(RoleArn="arn:aws:iam::%s:role/%s" % (ACCOUNT, role),
                                                      RoleSessionName="pod-1", WebIdentityToken=token, **more)

    def form(self, token, role, **parameters):
        """The body of the answer to a form with parameters that no client would send."""
        form = {"Action": "AssumeRoleWithWebIdentity", "Version": "2011-06-15", "RoleSessionName": "ab",
                "RoleArn": "arn:aws:iam::%s:role/%s" % (ACCOUNT, role), "WebIdentityToken": token, **parameters}
        with urllib.request.urlopen(self.server.url, urllib.parse.urlencode(form).encode(), timeout=60) as answer:
            return answer.read().decode()


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    w = World(tmp_path_factory.mktemp("web"))
    yield w
    w.server.stop()
    w.publisher.stop()


def until(call, seconds=60):
    """What the call gives once it no longer fails."""
    deadline = time.monotonic() + seconds
    while True:
        try:
            return call()
        except Exception:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.2)


# --- accepted -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("which", [0, 1])
def test_a_session_for_a_token(world, which):
    before = int(time.time())
    answer = world.ask(FILE.token(world.file_keys[which]), DurationSeconds=900)
    provider = "arn:aws:iam::%s:oidc-provider/%s" % (ACCOUNT, FILE.name)
    assert answer["SubjectFromWebIdentityToken"] == "job:1"
    assert (answer["Audience"], answer["Provider"]) == (FILE.audience, provider)
    assert answer["AssumedRoleUser"]["Arn"] == "arn:aws:sts::%s:assumed-role/job/pod-1" % ACCOUNT
    c = answer["Credentials"]
    assert before + 899 <= c["Expiration"].timestamp() <= time.time() + 900
    kms = world.server.client("kms", key=c["AccessKeyId"], secret=c["SecretAccessKey"], token=c["SessionToken"])
    kms.list_keys()
    made = [r for r in world.server.audit() if (r.get("additionalEventData") or {}).get("accessKeyId") == c["AccessKeyId"]]
    assert made[0]["eventName"] == "AssumeRoleWithWebIdentity"
    assert made[0]["additionalEventData"]["subjectFromWebIdentityToken"] == "job:1"
    assert made[0]["additionalEventData"]["identityProvider"] == provider
    assert "webIdentityToken" not in (made[0]["requestParameters"] or {})


def test_several_audiences(world):
    assert world.ask(FILE.token(world.file_keys[0], aud=["x", "sts.amazonaws.com"]))["Audience"] == "sts.amazonaws.com"
    assert world.ask(FILE.token(world.file_keys[0], aud=["other"]))["Audience"] == "other"
    world.ask(FILE.token(world.file_keys[0], header={"typ": "jwt"}))


def test_session_policies(world):
    c = world.ask(FILE.token(world.file_keys[0]), Policy=text({"Effect": "Allow", "Action": "kms:ListKeys",
                                                               "Resource": "*"}))["Credentials"]
    kms = world.server.client("kms", key=c["AccessKeyId"], secret=c["SecretAccessKey"], token=c["SessionToken"])
    kms.list_keys()
    assert error_of(kms.list_aliases)[1].endswith("because no session policy allows the kms:ListAliases action")


def test_the_provider_is_a_condition_key_of_the_session(world):
    provider = "arn:aws:iam::%s:oidc-provider/%s" % (ACCOUNT, FILE.name)
    world.iam.create_role(RoleName="fed", AssumeRolePolicyDocument=FILE.trust())
    world.iam.put_role_policy(RoleName="fed", PolicyName="p", PolicyDocument=text(
        {**ALLOW_KMS, "Condition": {"StringEquals": {"aws:FederatedProvider": provider}}}))
    c = world.ask(FILE.token(world.file_keys[0]), "fed")["Credentials"]
    world.server.client("kms", key=c["AccessKeyId"], secret=c["SecretAccessKey"], token=c["SessionToken"]).list_keys()


# --- with the clients' own providers --------------------------------------------------------------------


@pytest.fixture
def token_env(world, tmp_path):
    path = tmp_path / "token"
    path.write_text(FILE.token(world.file_keys[0]))
    return {"AWS_WEB_IDENTITY_TOKEN_FILE": str(path), "AWS_ROLE_ARN": ROLE, "AWS_ROLE_SESSION_NAME": "from-a-pod",
            "AWS_DEFAULT_REGION": "eu-central-1", "AWS_ENDPOINT_URL": world.server.url, "AWS_EC2_METADATA_DISABLED": "true"}


@pytest.mark.programs
def test_command_line(token_env):
    def aws(*arguments):
        done = subprocess.run([AWS, *arguments], env={"PATH": "/usr/bin:/bin", "HOME": "/nowhere", **token_env},
                              capture_output=True, text=True, timeout=60)
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)

    assert aws("sts", "get-caller-identity")["Arn"] == "arn:aws:sts::%s:assumed-role/job/from-a-pod" % ACCOUNT
    key = aws("kms", "create-key")["KeyMetadata"]["KeyId"]
    assert aws("kms", "describe-key", "--key-id", key)["KeyMetadata"]["KeyState"] == "Enabled"


def test_boto3(token_env, monkeypatch):
    for name in [n for n in os.environ if n.startswith("AWS_")]:
        monkeypatch.delenv(name)
    for name, value in token_env.items():
        monkeypatch.setenv(name, value)
    session = boto3.session.Session()
    assert session.client("sts").get_caller_identity()["Arn"].endswith("assumed-role/job/from-a-pod")
    session.client("kms").list_keys()


# --- refused ------------------------------------------------------------------------------------------------


def test_trust(world):
    good = FILE.token(world.file_keys[0])
    assert error_of(world.ask, FILE.token(world.file_keys[0], sub="job:2")) == DENIED  # the condition on :sub
    assert error_of(world.ask, good, "none") == DENIED
    assert error_of(world.ask, good, "web") == DENIED  # which trusts the other provider
    roles = {
        "for-users": text({"Effect": "Allow", "Principal": {"AWS": "*"}, "Action": "sts:*"}),
        "other-account": FILE.trust("111122223333"),
        "longer-name": json.dumps({"Statement": {"Effect": "Allow", "Action": "sts:AssumeRoleWithWebIdentity", "Principal": {
            "Federated": "arn:aws:iam::%s:oidc-provider/%s/x" % (ACCOUNT, FILE.name)}}}),
        "wrong-action": FILE.trust().replace("WithWebIdentity", ""),
        "wrong-audience": FILE.trust(aud="other"),
        "denied": text(json.loads(FILE.trust())["Statement"][0],
                       {"Effect": "Deny", "Principal": "*", "Action": "sts:AssumeRoleWithWebIdentity",
                        "Condition": {"StringLike": {FILE.name + ":sub": "job:*"}}}),
        "other-claim": FILE.trust(email="x"),
        "external-id": json.dumps({"Statement": {**json.loads(FILE.trust())["Statement"][0], "Condition": {
            "StringEquals": {"sts:ExternalId": "id"}}}}),
    }
    for name, document in roles.items():
        world.iam.create_role(RoleName=name, AssumeRolePolicyDocument=document)
        assert error_of(world.ask, good, name) == DENIED, name
    # what the action does not take answers no condition
    with pytest.raises(urllib.error.HTTPError):
        world.form(good, "external-id", ExternalId="id")
    world.iam.create_role(RoleName="right-audience", AssumeRolePolicyDocument=FILE.trust(aud=FILE.audience))
    world.ask(good, "right-audience")


def test_claims(world):
    key, wrong = world.file_keys[0], "InvalidIdentityToken"
    assert error_of(world.ask, FILE.token(key, aud="else")) == (wrong, "Incorrect token audience")
    assert error_of(world.ask, FILE.token(key, aud=FILE.url)) == (wrong, "Incorrect token audience")
    for claim in ("iss", "sub", "aud", "exp"):
        assert error_of(world.ask, FILE.token(key, drop=[claim])) == (wrong, "Missing a required claim: " + claim)
    assert error_of(world.ask, FILE.token(key, iss="https://strange.example")) == (
        wrong, "No OpenIDConnect provider found in your account for https://strange.example")
    assert error_of(world.ask, FILE.token(key, iss=WEB.url))[0] == wrong  # another issuer's key
    past = int(time.time()) - 61
    code, message = error_of(world.ask, FILE.token(key, exp=past))
    assert code == "ExpiredTokenException" and message.endswith("the expiration date/time %d" % past)
    world.ask(FILE.token(key, exp=int(time.time()) - 30))  # within the leeway
    for claim in ("nbf", "iat"):
        assert error_of(world.ask, FILE.token(key, **{claim: int(time.time()) + 90})) == (
            wrong, "The ID Token is not valid yet.")


def test_signatures(world):
    good = FILE.token(world.file_keys[0])
    head, payload, signature = good.split(".")
    stranger = Key("f1")
    assert error_of(world.ask, FILE.token(stranger)) == BAD_SIGNATURE
    assert error_of(world.ask, FILE.token(Key("f3"))) == NO_KEY
    assert error_of(world.ask, FILE.token(world.web_key)) == NO_KEY
    none = b64url(b'{"alg":"none"}')
    for token in ("%s.%s." % (none, payload), "%s.%s.%s" % (none, payload, signature), "%s.%s" % (head, payload), "x" * 40,
                  "%s.%s.%s" % (head, payload, signature[:-2]), good + ".", good[:-1] + ("A" if good[-1] != "A" else "B")):
        assert error_of(world.ask, token)[0] == "InvalidIdentityToken", token
    assert error_of(world.ask, FILE.token(world.file_keys[0], header={"crit": ["exp"]}))[0] == "InvalidIdentityToken"
    assert error_of(world.ask, FILE.token(world.file_keys[0], header={"typ": "at+jwt"}))[0] == "InvalidIdentityToken"
    assert error_of(world.ask, FILE.token(world.file_keys[0], header={"alg": "HS256"}))[0] == "InvalidIdentityToken"
    assert error_of(world.ask, FILE.token(world.file_keys[0], header={"alg": "RS256"})) == NO_KEY


def test_parameters(world):
    good = FILE.token(world.file_keys[0])
    assert error_of(world.ask, good, DurationSeconds=3601)[0] == "ValidationError"
    assert error_of(world.ask, good, DurationSeconds=800)[0] == "ValidationError"
    assert error_of(world.ask, good, ProviderId="www.amazon.com")[0] == "ValidationError"
    assert error_of(world.ask, good, Policy="{")[0] == "MalformedPolicyDocument"
    assert error_of(world.ask, "abc")[0] == "ValidationError"
    assert error_of(world.ask, "x" * 20001)[0] == "ValidationError"


def test_tags_are_no_parameter_of_it(world):
    """Whoever signs nothing cannot tag the session by sending what AssumeRole would take."""
    world.iam.create_role(RoleName="tagged", AssumeRolePolicyDocument=FILE.trust())
    world.iam.put_role_policy(RoleName="tagged", PolicyName="p", PolicyDocument=text(
        {**ALLOW_KMS, "Condition": {"StringEquals": {"aws:PrincipalTag/team": "blue"}}}))
    answer = world.form(FILE.token(world.file_keys[0]), "tagged", SourceIdentity="alice",
                        **{"Tags.member.1.Key": "team", "Tags.member.1.Value": "blue"})
    assert "alice" not in answer
    value = lambda tag: answer.split("<%s>" % tag)[1].split("</")[0]
    kms = world.server.client("kms", key=value("AccessKeyId"), secret=value("SecretAccessKey"), token=value("SessionToken"))
    assert error_of(kms.list_keys)[0] == "AccessDeniedException"


def test_only_this_action_comes_without_a_signature(world):
    missing = ("MissingAuthenticationToken", "Missing Authentication Token")
    assert error_of(world.sts.get_caller_identity) == missing
    assert error_of(world.sts.assume_role, RoleArn=ROLE, RoleSessionName="ab") == missing
    assert error_of(world.sts.get_session_token) == missing
    iam = world.server.client("iam", signature_version=UNSIGNED)
    assert error_of(iam.list_users)[0] == "MissingAuthenticationToken"


# --- keys that change -------------------------------------------------------------------------------------------


def test_keys_of_a_file_are_replaced(world):
    old, new = world.file_keys[0], Key("f9")
    try:
        assert error_of(world.ask, FILE.token(new)) == NO_KEY
        time.sleep(1.1)
        world.keys_path.write_text(key_set(new))
        world.ask(FILE.token(new))
        assert error_of(world.ask, FILE.token(old)) == NO_KEY
        time.sleep(1.1)
        world.keys_path.write_text("{")  # an accident: the last good keys stay
        world.ask(FILE.token(new))
        assert world.metric("trent_oidc_failures_total", FILE) > 0
    finally:
        time.sleep(1.1)
        world.keys_path.write_text(key_set(*world.file_keys))
    world.ask(FILE.token(old))


def test_keys_of_a_url_are_replaced(world):
    """The request does not wait for them: it is refused, and soon another one is not."""
    world.ask(WEB.token(world.web_key), "web")
    assert world.publisher.headers["User-Agent"].startswith("trentd/")
    assert world.publisher.headers["Accept"] == "application/json"
    new = Key("w2", "RS256")
    world.publisher.answer = (200, key_set(new), {})
    world.ask(WEB.token(world.web_key), "web")  # nobody has asked for others yet
    failures = world.metric("trent_oidc_failures_total")
    world.publisher.silent = True
    try:
        assert error_of(world.ask, WEB.token(new), "web") == NO_KEY
        assert world.metric("trent_oidc_failures_total") == failures  # who waits would wait until there is one
    finally:
        world.publisher.silent = False
    until(lambda: world.ask(WEB.token(new), "web"))
    assert error_of(world.ask, WEB.token(world.web_key), "web") == NO_KEY
    world.web_key = new


def test_an_unknown_key_does_not_make_it_ask_without_end(world):
    until(lambda: world.ask(WEB.token(world.web_key), "web"))
    asked, began = world.publisher.asked, time.monotonic()
    for _ in range(20):
        assert error_of(world.ask, WEB.token(Key("never")), "web") == NO_KEY
    time.sleep(1)
    asked = world.publisher.asked - asked
    assert asked <= 1 + (time.monotonic() - began) / 5  # seconds, at least, from one to the next


@pytest.mark.parametrize("answer", [
    (500, "", {}), (404, "not here", {}), (302, "", {"Location": "/other"}), (200, "{", {}), (200, "[]", {}),
    (200, '{"keys":[]' + " " * 300000 + "}", {}),
], ids=["500", "404", "redirect", "broken", "no-set", "too-long"])
def test_keys_stay_when_a_url_fails(world, answer):
    good, publisher = world.publisher.answer, world.publisher
    failures, began = world.metric("trent_oidc_failures_total"), time.monotonic()
    publisher.answer, publisher.places = answer, []
    try:
        assert error_of(world.ask, WEB.token(Key("unknown")), "web") == NO_KEY
        deadline = time.monotonic() + 60
        while world.metric("trent_oidc_failures_total") == failures:
            assert time.monotonic() < deadline
            time.sleep(0.1)
        world.ask(WEB.token(world.web_key), "web")
        assert set(publisher.places) == {"/keys"}  # a redirect is not followed
        assert len(publisher.places) <= 1 + (time.monotonic() - began) / 5
    finally:
        world.publisher.answer = good


def test_the_list_is_read_again(world, tmp_path):
    """SIGHUP; a broken list changes nothing."""
    def hup(told):
        before = len(world.server.log())
        os.kill(world.server.process.pid, signal.SIGHUP)
        deadline = time.monotonic() + 60
        while told not in world.server.log()[before:]:
            assert time.monotonic() < deadline, world.server.log()[before:]
            time.sleep(0.05)

    again = "OIDC providers read again"
    try:
        world.list_path.write_text("[{}]")
        hup("the old OIDC providers stay in use: %s: [0]: issuer" % world.list_path)
        world.ask(FILE.token(world.file_keys[0]))
        world.list_path.write_text("[]")
        hup(again)
        assert error_of(world.ask, FILE.token(world.file_keys[0])) == (
            "InvalidIdentityToken", "No OpenIDConnect provider found in your account for " + FILE.url)
    finally:
        world.write_list()
        hup(again)
    world.ask(FILE.token(world.file_keys[0]))
    until(lambda: world.ask(WEB.token(world.web_key), "web"))


def test_a_certificate_of_somebody_else(tmp_path):
    folder = tmp_path / "publisher"
    folder.mkdir()
    other = tmp_path / "other"
    other.mkdir()
    key, publisher, stranger = Key("k"), Publisher(folder, key_set(Key("k"))), Publisher(other, "")
    (tmp_path / "list").write_text(json.dumps([{"issuer": WEB.url, "jwks": publisher.url, "audiences": ["a"],
                                                "ca": str(stranger.ca)}]))
    with Server(tmp_path / "data", "--oidc-providers=%s" % (tmp_path / "list")) as server:
        deadline = time.monotonic() + 60
        while "no new keys, there are none" not in server.log():
            assert time.monotonic() < deadline, server.log()
            time.sleep(0.1)
        assert publisher.asked == 0
    publisher.stop()
    stranger.stop()


def test_without_providers(server):
    sts = server.client("sts", signature_version=UNSIGNED)
    code, message = error_of(sts.assume_role_with_web_identity, RoleArn=ROLE, RoleSessionName="ab",
                             WebIdentityToken=FILE.token(Key("k")))
    assert (code, message) == ("InvalidIdentityToken", "No OpenIDConnect provider found in your account for " + FILE.url)
