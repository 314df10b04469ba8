"""Signed requests: pools of them, made freshly for each round.

The signing is our own, since botocore takes 150 us for a request and this 10; what comes out is byte for byte what
botocore signs (test_rows.py compares them). The server takes a signature for five minutes.
"""
import base64
import datetime
import hashlib
import hmac
import json

POOL = 2000  # different requests in one round
REGION = "us-east-1"
ALGORITHM = "AWS4-HMAC-SHA256"
CONTENT_TYPE = "application/x-amz-json-1.1"
NAMES = "content-type;host;x-amz-date;x-amz-target"


def b64(data):
    return base64.b64encode(data).decode()


def unb64(text):
    return base64.b64decode(text)


def _mac(key, text):
    return hmac.digest(key, text.encode(), "sha256")


class Signer:
    """Signs for one server and one access key."""

    def __init__(self, port, access_key="test", secret="test"):
        self.host, self.access_key, self.secret = "127.0.0.1:%d" % port, access_key, secret

    def requests(self, operation, bodies, now=None):
        """One request for each of these bodies (dicts)."""
        moment = (now or datetime.datetime.now(datetime.timezone.utc)).strftime("%Y%m%dT%H%M%SZ")
        scope = "%s/%s/kms/aws4_request" % (moment[:8], REGION)
        key = ("AWS4" + self.secret).encode()
        for part in scope.split("/"):
            key = _mac(key, part)
        target = "TrentService." + operation
        canonical = "POST\n/\n\ncontent-type:%s\nhost:%s\nx-amz-date:%s\nx-amz-target:%s\n\n%s\n" % (
            CONTENT_TYPE, self.host, moment, target, NAMES)
        head = "POST / HTTP/1.1\r\nHost: %s\r\nContent-Type: %s\r\nX-Amz-Target: %s\r\nUser-Agent: bench\r\n" \
               "X-Amz-Date: %s\r\nAuthorization: %s Credential=%s/%s, SignedHeaders=%s, Signature=" % (
                   self.host, CONTENT_TYPE, target, moment, ALGORITHM, self.access_key, scope, NAMES)
        made = []
        for body in bodies:
            data = json.dumps(body).encode()
            digest = hashlib.sha256((canonical + hashlib.sha256(data).hexdigest()).encode()).hexdigest()
            signature = _mac(key, "%s\n%s\n%s\n%s" % (ALGORITHM, moment, scope, digest)).hex()
            made.append(("%s%s\r\nContent-Length: %d\r\n\r\n" % (head, signature, len(data))).encode() + data)
        return made


class Operation:
    """A row's requests: `body` is a function of a number; `expect` is how the answer's body begins."""

    def __init__(self, name, body, expect, pool=POOL):
        self.name, self.body, self.expect, self.pool = name, body, expect, pool

    def requests(self, signer):
        return signer.requests(self.name, [self.body(i) for i in range(self.pool)])


def encrypt(key_id, size=32):
    return Operation("Encrypt", lambda i: {"KeyId": key_id, "Plaintext": b64(_plaintext(i, size))}, '{"CiphertextBlob":"')


def encrypt_among(key_ids):
    """Each request of the pool with another key."""
    return Operation("Encrypt", lambda i: {"KeyId": key_ids[i], "Plaintext": b64(_plaintext(i, 32))},
                     '{"CiphertextBlob":"', len(key_ids))


def decrypt(blobs):
    return Operation("Decrypt", lambda i: {"CiphertextBlob": b64(blobs[i % len(blobs)])}, '{"KeyId":"')


def generate_data_key(key_id):
    return Operation("GenerateDataKey", lambda i: {"KeyId": key_id, "KeySpec": "AES_256"}, '{"CiphertextBlob":"')


def sign_p256(key_id):
    return Operation("Sign", lambda i: {"KeyId": key_id, "Message": b64(b"%32d" % i), "SigningAlgorithm": "ECDSA_SHA_256"},
                     '{"KeyId":"')


def _plaintext(i, size):
    return (hashlib.sha256(b"%d" % i).digest() * (size // 32 + 1))[:size]
