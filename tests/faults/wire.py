"""A client that signs and sends the bytes itself: to stop halfway, to lie about the time, to be quick."""
import datetime
import hashlib
import hmac
import json
import socket
import ssl
import threading

REGION = "us-east-1"


class Refused(Exception):
    """An error answer."""

    def __init__(self, status, body):
        super().__init__("%d %s" % (status, body))
        self.status = status
        self.code = body.get("__type", "").rsplit("#", 1)[-1]
        self.message = body.get("message")


def _hmac(key, text):
    return hmac.new(key, text.encode(), hashlib.sha256).digest()


class Wire:
    """One kept connection, until the server wants a new one. `ahead`: seconds that the client's clock, and so its
    signatures, are ahead."""

    def __init__(self, server, certificate=None, ahead=0):
        self.address, self.certificate = server.address, certificate
        self.host = "%s:%d" % server.address
        self.ahead = ahead
        self.day = None
        self.connect()

    def connect(self):
        self.socket = socket.create_connection(self.address, timeout=30)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if self.certificate is not None:
            self.socket = ssl.create_default_context(cafile=str(self.certificate)).wrap_socket(
                self.socket, server_hostname="127.0.0.1")
        self.buffer = b""
        self.ended = False

    def close(self):
        self.socket.close()

    def __enter__(self):
        return self

    def __exit__(self, *exc):
        self.close()

    def _key(self, day):
        if day != self.day:
            key = b"AWS4test"
            for part in (day, REGION, "kms", "aws4_request"):
                key = _hmac(key, part)
            self.day, self.key = day, key
        return self.key

    def request(self, operation, parameters):
        """The bytes of a signed request."""
        body = json.dumps(parameters).encode()
        now = datetime.datetime.now(datetime.timezone.utc) + datetime.timedelta(seconds=self.ahead)
        date, day, target = now.strftime("%Y%m%dT%H%M%SZ"), now.strftime("%Y%m%d"), "TrentService." + operation
        canonical = ("POST\n/\n\nhost:%s\nx-amz-date:%s\nx-amz-target:%s\n\nhost;x-amz-date;x-amz-target\n%s" %
                     (self.host, date, target, hashlib.sha256(body).hexdigest()))
        scope = "%s/%s/kms/aws4_request" % (day, REGION)
        text = "AWS4-HMAC-SHA256\n%s\n%s\n%s" % (date, scope, hashlib.sha256(canonical.encode()).hexdigest())
        head = ("POST / HTTP/1.1\r\nHost: %s\r\nX-Amz-Date: %s\r\nX-Amz-Target: %s\r\n"
                "Content-Type: application/x-amz-json-1.1\r\nContent-Length: %d\r\n"
                "Authorization: AWS4-HMAC-SHA256 Credential=test/%s, SignedHeaders=host;x-amz-date;x-amz-target, "
                "Signature=%s\r\n\r\n" % (self.host, date, target, len(body), scope,
                                          _hmac(self._key(day), text).hex()))
        return head.encode() + body

    def send(self, data):
        self.socket.sendall(data)

    def receive(self):
        """The members of the answer; Refused for an error."""
        while b"\r\n\r\n" not in self.buffer:
            self._more()
        head, rest = self.buffer.split(b"\r\n\r\n", 1)
        length = next(int(line[15:]) for line in head.split(b"\r\n") if line.lower().startswith(b"content-length:"))
        while len(rest) < length:
            self._more()
            rest = self.buffer[len(head) + 4:]
        self.buffer = rest[length:]
        self.ended = b"\r\nconnection: close" in head.lower()
        status = int(head[9:12])
        body = json.loads(rest[:length]) if length else {}
        if status != 200:
            raise Refused(status, body)
        return body

    def _more(self):
        chunk = self.socket.recv(65536)
        if not chunk:
            raise ConnectionError("the server closed the connection")
        self.buffer += chunk

    def call(self, operation, **parameters):
        if self.ended:  # it had answered as many requests as one connection may send
            self.close()
            self.connect()
        self.send(self.request(operation, parameters))
        return self.receive()


def refusal(call, *arguments, **parameters):
    """The Refused that the call gives."""
    try:
        answer = call(*arguments, **parameters)
    except Refused as e:
        return e
    raise AssertionError("expected an error, got %r" % (answer,))


def in_parallel(server, jobs, threads=16):
    """Runs the calls (operation, parameters) on that many connections; their answers, in order."""
    answers = [None] * len(jobs)
    failures = []

    def work(first):
        try:
            with Wire(server) as wire:
                for i in range(first, len(jobs), threads):
                    operation, parameters = jobs[i]
                    answers[i] = wire.call(operation, **parameters)
        except Exception as e:  # noqa: BLE001 - raised below, in the test's own thread
            failures.append(e)

    workers = [threading.Thread(target=work, args=(i,)) for i in range(min(threads, len(jobs)))]
    for w in workers:
        w.start()
    for w in workers:
        w.join()
    if failures:
        raise failures[0]
    return answers
