"""A small signing client for many thousands of requests: it keeps its connections, signs by itself (boto3 takes more
than a millisecond for that) and gives back status, error code and text."""
import datetime
import hashlib
import hmac
import json
import queue
import re
import socket
import threading
import urllib.parse

ALGORITHM = "AWS4-HMAC-SHA256"
REGION = "us-east-1"
VERSIONS = {"iam": "2010-05-08", "sts": "2011-06-15"}


def _hmac(key, text):
    return hmac.digest(key, text.encode(), "sha256")


class Credentials:
    """What signs; `access_key` None: requests are not signed at all."""

    def __init__(self, access_key, secret=None, token=None, region=REGION):
        self.access_key, self.secret, self.token, self.region = access_key, secret, token, region
        self._keys = {}  # (day, service): derived signing key

    @classmethod
    def of_session(cls, answer):
        """From an answer of STS."""
        c = answer["Credentials"]
        return cls(c["AccessKeyId"], c["SecretAccessKey"], c["SessionToken"])

    def _signing_key(self, day, service):
        if (day, service) not in self._keys:
            key = ("AWS4" + self.secret).encode()
            for part in (day, self.region, service, "aws4_request"):
                key = _hmac(key, part)
            self._keys[day, service] = key
        return self._keys[day, service]

    def headers(self, host, body, service, target=None):
        """The header lines that sign a request."""
        lines = "X-Amz-Target: %s\r\n" % target if target else ""
        if self.access_key is None:
            return lines
        moment = datetime.datetime.now(datetime.timezone.utc).strftime("%Y%m%dT%H%M%SZ")
        signed = [("host", host), ("x-amz-date", moment)]
        if self.token:
            signed.append(("x-amz-security-token", self.token))
        if target:
            signed.append(("x-amz-target", target))
        names = ";".join([name for name, _ in signed])
        canonical = "POST\n/\n\n%s\n%s\n%s" % ("".join(["%s:%s\n" % pair for pair in signed]), names,
                                               hashlib.sha256(body).hexdigest())
        scope = "%s/%s/%s/aws4_request" % (moment[:8], self.region, service)
        signature = hmac.digest(self._signing_key(moment[:8], service), ("%s\n%s\n%s\n%s" % (
            ALGORITHM, moment, scope, hashlib.sha256(canonical.encode()).hexdigest())).encode(), "sha256").hex()
        if self.token:
            lines += "X-Amz-Security-Token: %s\r\n" % self.token
        return lines + ("X-Amz-Date: %s\r\nAuthorization: %s Credential=%s/%s, SignedHeaders=%s, Signature=%s\r\n"
                        % (moment, ALGORITHM, self.access_key, scope, names, signature))


class Answer:
    """`code` is None for a success."""
    __slots__ = ("status", "code", "text", "body")

    def __init__(self, status, body):
        self.status, self.body = status, body
        self.code = self.text = None
        if status != 200 and body[:1] == b"<":
            self.code = re.search(b"<Code>(.*?)</Code>", body).group(1).decode()
            self.text = re.search(b"<Message>(.*?)</Message>", body, re.S).group(1).decode()
        elif status != 200:
            error = json.loads(body) if body else {}
            self.code = error.get("__type", "").rpartition("#")[2] or "status %d" % status
            self.text = error.get("Message") or error.get("message")

    def json(self):
        return json.loads(self.body) if self.body else {}

    def __repr__(self):
        return "%d %s %s" % (self.status, self.code, self.text)


class Connection:
    """One connection, one request at a time; connects again when the server has closed it."""

    def __init__(self, address):
        self.address = address
        self.host = "%s:%d" % address
        self.socket = None

    def close(self):
        if self.socket is not None:
            self.socket.close()
            self.socket = None

    def call(self, credentials, operation, parameters):
        """One request to KMS. Raises OSError when the connection breaks under it."""
        body = json.dumps(parameters).encode()
        return self._send(credentials.headers(self.host, body, "kms", "TrentService." + operation),
                          "application/x-amz-json-1.1", body)

    def query(self, credentials, service, **parameters):
        """One request to IAM or STS."""
        body = urllib.parse.urlencode({"Version": VERSIONS[service], **parameters}).encode()
        return self._send(credentials.headers(self.host, body, service), "application/x-www-form-urlencoded", body)

    def _send(self, headers, content_type, body):
        head = "POST / HTTP/1.1\r\nHost: %s\r\nContent-Type: %s\r\nContent-Length: %d\r\n%s\r\n" % (
            self.host, content_type, len(body), headers)
        if self.socket is None:
            self.socket = socket.create_connection(self.address, timeout=60)
            self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        try:
            self.socket.sendall(head.encode() + body)
            return self._read()
        except OSError:
            self.close()
            raise

    def _read(self):
        data = b""
        while (end := data.find(b"\r\n\r\n")) < 0:
            data += self._receive()
        head = data[:end].decode("latin-1").split("\r\n")
        headers = {k.lower(): v.strip() for k, _, v in (line.partition(":") for line in head[1:])}
        body = data[end + 4:]
        while len(body) < int(headers["content-length"]):
            body += self._receive()
        if headers.get("connection") == "close":
            self.close()
        return Answer(int(head[0].split()[1]), body)

    def _receive(self):
        chunk = self.socket.recv(65536)
        if not chunk:
            raise ConnectionResetError("closed by the server")
        return chunk


def ask_all(address, requests, threads=6, batch=64):
    """Asks (credentials, operation, parameters) one and all, each thread `batch` at a time; the answers in the same
    order. What a connection breaks under is an error: nothing here is asked twice."""
    answers = [None] * len(requests)
    failures = queue.SimpleQueue()
    starts = iter(range(0, len(requests), batch))
    lock = threading.Lock()

    def work():
        connection = Connection(address)
        try:
            while True:
                with lock:
                    start = next(starts, None)
                if start is None or not failures.empty():
                    return
                for i in range(start, min(start + batch, len(requests))):
                    answers[i] = connection.call(*requests[i])
        except Exception as e:  # raised again below, in the caller's thread
            failures.put(e)
        finally:
            connection.close()

    pool = [threading.Thread(target=work) for _ in range(min(threads, len(requests) // batch + 1))]
    for t in pool:
        t.start()
    for t in pool:
        t.join()
    if not failures.empty():
        raise failures.get()
    return answers
