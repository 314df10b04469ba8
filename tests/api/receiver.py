"""An https receiver of events for the tests: keeps what comes, answers as it is told, checks signatures."""
import base64
import hashlib
import hmac
import http.server
import json
import socket
import ssl
import threading
import time

from oidc import make_certificate

SECRET = b"a secret for tests, which is long enough"


def signature_of(secret, headers, body):
    """As docs/events.md has it."""
    signed = b"%s.%s." % (headers["webhook-id"].encode(), headers["webhook-timestamp"].encode()) + body
    return "v1," + base64.b64encode(hmac.new(secret, signed, hashlib.sha256).digest()).decode()


class Receiver:
    """`answer(event)` gives the status and headers; what was answered with 2xx is in `taken`, all in `seen`."""

    def __init__(self, folder, port=0, secret=SECRET, address="127.0.0.1", tls=True):
        self.folder, self.secret, self.tls = folder, secret, tls
        self.seen, self.taken, self.bad, self.connections = [], [], [], 0
        self.answer = lambda event: (200, {})
        self.lock = threading.Lock()
        self.secret_file = folder / "webhook.secret"
        self.secret_file.write_bytes(secret + b"\n")
        self.secret_file.chmod(0o600)
        self.ca = folder / "receiver.pem"
        if tls:
            make_certificate(self.ca, folder / "receiver.key", address)
        # also keeps the port while the receiver is down: it refuses connections then, and nobody else gets it
        self.place = socket.socket()
        self.place.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self.place.bind(("127.0.0.1", port))
        self.port = self.place.getsockname()[1]
        self.server = None

    def start(self):
        receiver = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def setup(self):
                super().setup()
                receiver.connections += 1

            def do_POST(self):
                body = self.rfile.read(int(self.headers["Content-Length"]))
                status, headers = receiver.take(dict(self.headers), body)
                if status is None:
                    self.close_connection = True
                    return
                self.send_response(status)
                for name, value in {"Content-Length": "0", **headers}.items():
                    self.send_header(name, value)
                self.end_headers()

            def log_message(self, *arguments):
                pass

        class Quiet(http.server.ThreadingHTTPServer):
            daemon_threads = True

            def handle_error(self, request, client_address):
                pass  # the tests break connections

        self.server = Quiet(("127.0.0.1", self.port), Handler)
        if self.tls:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(self.ca, self.folder / "receiver.key")
            self.server.socket = context.wrap_socket(self.server.socket, server_side=True,
                                                     do_handshake_on_connect=False)
        threading.Thread(target=self.server.serve_forever, args=(0.02,), daemon=True).start()
        return self

    def stop(self):
        if self.server is not None:
            self.server.shutdown()
            self.server.server_close()
            self.server = None

    @property
    def url(self):
        return "%s://127.0.0.1:%d/events?from=trent" % ("https" if self.tls else "http", self.port)

    @property
    def flags(self):
        ca = ["--webhook-ca-file=%s" % self.ca] if self.tls else []
        return ["--webhook-url=%s" % self.url, "--webhook-secret-file=%s" % self.secret_file, *ca]

    def take(self, headers, body):
        headers = {k.lower(): v for k, v in headers.items()}
        event = json.loads(body)
        with self.lock:
            if (headers["webhook-id"] != event["id"] or headers["content-type"] != "application/json" or
                    headers["webhook-signature"] != signature_of(self.secret, headers, body) or
                    abs(int(headers["webhook-timestamp"]) - time.time()) > 60):
                self.bad.append((headers, body))
            self.seen.append(event)
            status, more = self.answer(event)
            if status is not None and 200 <= status < 300:
                self.taken.append(event)
            return status, more

    def wait(self, n, seconds=90):
        """Until `n` different events were taken; returns them in order, doubles left out."""
        deadline = time.monotonic() + seconds
        while len({e["id"] for e in list(self.taken)}) < n:
            assert time.monotonic() < deadline, "%d of %d events came" % (len(self.taken), n)
            time.sleep(0.01)
        assert self.bad == []
        found = {}
        for event in self.taken:
            found.setdefault(event["id"], event)
        assert len(found) == n
        return list(found.values())
