"""Authentication and its errors: kms-behaviour section 2, recorded-authz-multiregion section 2.

Requests are signed by botocore and then changed, or put together by hand.
"""
import datetime
import json
import re

import pytest
import requests
from botocore.auth import SigV4Auth, SigV4QueryAuth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

from trent_server import error_of

MISMATCH = ("InvalidSignatureException",
            "The request signature we calculated does not match the signature you provided. Check your AWS Secret "
            "Access Key and signing method. Consult the service documentation for details.")


def signed(server, operation="ListKeys", body="{}", key="test", secret="test", token=None, region="us-east-1",
           service="kms", when=None, headers=None, auth=SigV4Auth):
    """A prepared request; `when` shifts the clock of the signer."""
    request = AWSRequest("POST", server.url + "/", data=body.encode(), headers={
        "Content-Type": "application/x-amz-json-1.1", "X-Amz-Target": "TrentService." + operation, **(headers or {})})
    signer = auth(Credentials(key, secret, token), service, region)
    if when is not None:
        import botocore.auth
        real = botocore.auth.get_current_datetime
        botocore.auth.get_current_datetime = lambda *a, **k: real(*a, **k) + datetime.timedelta(seconds=when)
        try:
            signer.add_auth(request)
        finally:
            botocore.auth.get_current_datetime = real
    else:
        signer.add_auth(request)
    return request.prepare()


def send(request, **changed):
    headers = {**dict(request.headers.items()), **changed.get("headers", {})}
    for name in changed.get("without", ()):
        headers.pop(name, None)
    body = changed.get("body", request.body)
    return requests.post(changed.get("url", request.url), data=body, headers=headers, timeout=10)


def refused(answer):
    assert answer.status_code == 400
    assert answer.headers["Content-Type"] == "application/x-amz-json-1.1"
    assert re.fullmatch("[0-9a-f-]{36}", answer.headers["x-amzn-RequestId"])
    body = answer.json()
    return body["__type"], body.get("message")


def test_good_signature(server):
    assert send(signed(server)).status_code == 200


def test_missing_authentication(server):
    assert refused(requests.post(server.url + "/", data="{}", headers={"X-Amz-Target": "TrentService.ListKeys"},
                                 timeout=10)) == ("MissingAuthenticationTokenException", "Missing Authentication Token")


def test_incomplete_authorization(server):
    request = signed(server)
    answer = send(request, headers={"Authorization": "AWS4-HMAC-SHA256 Credential=test/20260101/us-east-1/kms/aws4_request"})
    code, text = refused(answer)
    assert code == "IncompleteSignatureException"
    assert "Authorization header requires 'Signature' parameter." in text
    assert "Authorization header requires 'SignedHeaders' parameter." in text
    assert "requires 'Credential'" not in text


def test_credential_of_wrong_form(server):
    request = signed(server)
    header = re.sub(r"Credential=[^,]*", "Credential=test/20260101/us-east-1/kms", request.headers["Authorization"])
    code, text = refused(send(request, headers={"Authorization": header}))
    assert (code, text) == ("IncompleteSignatureException", "Credential must have exactly 5 slash-delimited elements, "
                            "e.g. keyid/date/region/service/term, got 'test/20260101/us-east-1/kms'")


def test_unknown_access_key(server):
    """Recorded: with a full stop."""
    assert refused(send(signed(server, key="AKIAUNKNOWN"))) == (
        "UnrecognizedClientException", "The security token included in the request is invalid.")


def test_session_token_is_unknown(server):
    """Recorded: known access key and bad token, without a full stop."""
    assert refused(send(signed(server, token="invalid"))) == (
        "UnrecognizedClientException", "The security token included in the request is invalid")


@pytest.mark.parametrize("change", ["secret", "body", "target", "signature", "date"])
def test_signature_mismatch(server, change):
    request = signed(server)
    if change == "secret":
        answer = send(signed(server, secret="wrong"))
    elif change == "body":
        answer = send(request, body=b'{"Limit": 1}')
    elif change == "target":
        answer = send(request, headers={"X-Amz-Target": "TrentService.CreateKey"})
    elif change == "signature":
        header = request.headers["Authorization"]
        last = "0" if header[-1] != "0" else "1"
        answer = send(request, headers={"Authorization": header[:-1] + last})
    else:
        moved = request.headers["X-Amz-Date"][:-2] + ("0Z" if request.headers["X-Amz-Date"][-2] != "0" else "1Z")
        answer = send(request, headers={"X-Amz-Date": moved})
    assert refused(answer) == MISMATCH


def test_host_must_be_the_signed_one(server):
    assert refused(send(signed(server), headers={"Host": "kms.us-east-1.amazonaws.com"})) == MISMATCH


@pytest.mark.parametrize("shift,word", [(-301 - 5, "expired"), (301 + 5, "not yet current")])
def test_five_minutes(server, shift, word):
    code, text = refused(send(signed(server, when=shift)))
    assert code == "InvalidSignatureException"
    stamp = r"\d{8}T\d{6}Z"
    if word == "expired":
        assert re.fullmatch(r"Signature expired: %s is now earlier than %s \(%s - 5 min\.\)" % ((stamp,) * 3), text)
    else:
        assert re.fullmatch(r"Signature not yet current: %s is still later than %s \(%s \+ 5 min\.\)" % ((stamp,) * 3),
                            text)


@pytest.mark.parametrize("shift", [-290, 290])
def test_inside_five_minutes(server, shift):
    assert send(signed(server, when=shift)).status_code == 200


def test_scope(server):
    assert refused(send(signed(server, service="s3"))) == (
        "InvalidSignatureException", "Credential should be scoped to correct service: 'kms'. ")
    request = signed(server)
    for old, new, text in (
            ("aws4_request", "aws4", "Credential should be scoped with a valid terminator: 'aws4_request', not 'aws4'."),
            ("us-east-1", "no region", "Credential should be scoped to a valid region. ")):
        header = request.headers["Authorization"].replace(old, new, 1)
        assert refused(send(request, headers={"Authorization": header})) == ("InvalidSignatureException", text)
    day = request.headers["X-Amz-Date"][:8]
    header = request.headers["Authorization"].replace("/%s/" % day, "/20010101/", 1)
    assert refused(send(request, headers={"Authorization": header})) == (
        "InvalidSignatureException", "Date in Credential scope does not match YYYYMMDD from ISO-8601 version of date "
        "from HTTP: '20010101' != '%s', from '%s'." % (day, request.headers["X-Amz-Date"]))


def test_signed_header_that_is_missing(server):
    request = signed(server, headers={"X-Amz-Extra": "1"})
    assert refused(send(request, without=["X-Amz-Extra"])) == MISMATCH


def test_target_must_be_signed(server):
    """What decides what is done must be covered by the signature."""
    request = AWSRequest("POST", server.url + "/", data=b"{}", headers={"Content-Type": "application/x-amz-json-1.1"})
    SigV4Auth(Credentials("test", "test"), "kms", "us-east-1").add_auth(request)
    answer = send(request.prepare(), headers={"X-Amz-Target": "TrentService.ListKeys"})
    assert refused(answer)[0] == "InvalidSignatureException"


def test_wrong_content_hash(server):
    request = AWSRequest("POST", server.url + "/", data=b"{}", headers={
        "X-Amz-Target": "TrentService.ListKeys", "X-Amz-Content-SHA256": "UNSIGNED-PAYLOAD"})
    SigV4Auth(Credentials("test", "test"), "kms", "us-east-1").add_auth(request)
    assert refused(send(request.prepare()))[0] == "InvalidSignatureException"


def test_presigned_query(server):
    """The query form, made by botocore."""
    request = AWSRequest("POST", server.url + "/", data=b"{}", headers={"X-Amz-Target": "TrentService.ListKeys"})
    SigV4QueryAuth(Credentials("test", "test"), "kms", "us-east-1", expires=60).add_auth(request)
    prepared = request.prepare()
    assert send(prepared).status_code == 200
    assert refused(send(prepared, url=re.sub("X-Amz-Signature=.", "X-Amz-Signature=g", prepared.url)))[0] == (
        "InvalidSignatureException")


def test_same_answer_to_unknown_key_and_unknown_operation_without_signature(server):
    """Nothing is told to those who cannot sign: authentication comes before the target is looked at."""
    assert refused(requests.post(server.url + "/", data="{}", headers={"X-Amz-Target": "TrentService.Nonsense"},
                                 timeout=10))[0] == "MissingAuthenticationTokenException"


def test_secrets_never_reach_log_or_audit(server, kms):
    """trust-model 4.8: a canary in every secret place."""
    canary = "CANARYf00dfeed"
    key = kms.create_key()["KeyMetadata"]["KeyId"]
    kms.encrypt(KeyId=key, Plaintext=canary.encode())
    blob = kms.encrypt(KeyId=key, Plaintext=canary.encode())["CiphertextBlob"]
    assert kms.decrypt(CiphertextBlob=blob)["Plaintext"] == canary.encode()
    error_of(kms.encrypt, KeyId=key, Plaintext=canary.encode() * 500)
    error_of(kms.encrypt, KeyId=key, Plaintext=canary.encode(), GrantTokens=[canary])
    send(signed(server, secret=canary))
    send(signed(server, token=canary))
    send(signed(server), headers={"Authorization": "AWS4-HMAC-SHA256 Signature=" + canary})
    import base64
    forms = [canary.encode(), base64.b64encode(canary.encode())[:16], canary.encode().hex().encode()]
    places = [server.log_path] + list((server.data / "audit").iterdir())
    for path in places:
        content = path.read_bytes()
        assert not any(form in content for form in forms), path


def test_failed_authentication_is_audited(server):
    send(signed(server, key="AKIAAUDITED"))
    assert any(r.get("errorCode") == "UnrecognizedClientException" for r in server.audit())
    assert json.dumps(server.audit()[-1])  # and every line is JSON
