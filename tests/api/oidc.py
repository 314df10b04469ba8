"""An OIDC issuer for the tests: keys, key sets, tokens, and an https server that publishes a set."""
import base64
import datetime
import http.server
import ipaddress
import json
import ssl
import threading
import time

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from cryptography.x509.oid import NameOID


def b64url(data):
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def number(value, length=None):
    return b64url(value.to_bytes(length or (value.bit_length() + 7) // 8, "big"))


class Key:
    def __init__(self, kid, algorithm="ES256", bits=2048):
        self.kid, self.algorithm = kid, algorithm
        self.private = (ec.generate_private_key(ec.SECP256R1()) if algorithm == "ES256"
                        else rsa.generate_private_key(65537, bits))

    def jwk(self):
        n = self.private.public_key().public_numbers()
        members = ({"kty": "EC", "crv": "P-256", "x": number(n.x, 32), "y": number(n.y, 32)} if self.algorithm == "ES256"
                   else {"kty": "RSA", "n": number(n.n), "e": number(n.e)})
        return {"kid": self.kid, "use": "sig", "alg": self.algorithm, **members}

    def sign(self, text):
        if self.algorithm == "RS256":
            return self.private.sign(text, padding.PKCS1v15(), hashes.SHA256())
        r, s = decode_dss_signature(self.private.sign(text, ec.ECDSA(hashes.SHA256())))
        return r.to_bytes(32, "big") + s.to_bytes(32, "big")


def key_set(*keys):
    return json.dumps({"keys": [k.jwk() for k in keys]})


class Issuer:
    def __init__(self, url, audience="sts.amazonaws.com"):
        self.url, self.audience = url, audience
        self.name = url[len("https://"):]

    def token(self, key, header=None, drop=(), **claims):
        now = int(time.time())
        payload = {"iss": self.url, "aud": self.audience, "sub": "job:1", "iat": now, "nbf": now, "exp": now + 600, **claims}
        payload = {k: v for k, v in payload.items() if k not in drop}
        head = {"alg": key.algorithm, "kid": key.kid, "typ": "JWT", **(header or {})}
        text = "%s.%s" % (b64url(json.dumps(head).encode()), b64url(json.dumps(payload).encode()))
        return "%s.%s" % (text, b64url(key.sign(text.encode())))

    def trust(self, account="000000000000", **conditions):
        statement = {"Effect": "Allow", "Action": "sts:AssumeRoleWithWebIdentity",
                     "Principal": {"Federated": "arn:aws:iam::%s:oidc-provider/%s" % (account, self.name)}}
        if conditions:
            statement["Condition"] = {"StringEquals": {"%s:%s" % (self.name, k): v for k, v in conditions.items()}}
        return json.dumps({"Version": "2012-10-17", "Statement": [statement]})


class Publisher:
    """Serves one document at https://127.0.0.1:PORT/keys; `answer` may be changed at any time. `silent`: not yet.
    `places` has the paths that it was asked for."""

    def __init__(self, folder, text):
        self.answer, self.asked, self.silent, self.places = (200, text, {}), 0, False, []
        publisher = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self):
                publisher.asked += 1
                publisher.places.append(self.path)
                publisher.headers = dict(self.headers)
                while publisher.silent:
                    time.sleep(0.01)
                status, body, headers = publisher.answer
                self.send_response(status)
                for name, value in {"Content-Length": str(len(body)), **headers}.items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(body.encode())

            def log_message(self, *arguments):
                pass

        self.ca = folder / "publisher.pem"
        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(*make_certificate(self.ca, folder / "publisher.key"))
        self.server.socket = context.wrap_socket(self.server.socket, server_side=True)
        self.url = "https://127.0.0.1:%d/keys" % self.server.server_port
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def stop(self):
        self.server.shutdown()
        self.server.server_close()


def make_certificate(certificate, key, address="127.0.0.1"):
    private = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "publisher")])
    now = datetime.datetime.now(datetime.timezone.utc)
    signed = (x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(private.public_key())
              .serial_number(x509.random_serial_number()).not_valid_before(now - datetime.timedelta(days=1))
              .not_valid_after(now + datetime.timedelta(days=2))
              .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address(address))]), False)
              .add_extension(x509.BasicConstraints(True, None), True).sign(private, hashes.SHA256()))
    certificate.write_bytes(signed.public_bytes(serialization.Encoding.PEM))
    key.write_bytes(private.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8,
                                          serialization.NoEncryption()))
    return certificate, key
