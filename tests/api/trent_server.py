"""A trentd process under test, and helpers to import key material with an independent implementation."""
import base64
import json
import os
import pathlib
import re
import select
import signal
import socket
import subprocess
import time
import urllib.error
import urllib.request

import boto3
from botocore.config import Config
from botocore.exceptions import ClientError
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding

TOP = pathlib.Path(__file__).resolve().parents[2]
TRENTD = os.environ.get("TRENTD", str(TOP / "build" / "trentd"))
TRENT = os.environ.get("TRENT_BIN", str(TOP / "build" / "trent"))
READY_SECONDS = 60  # sanitizer builds on a busy machine


class Server:
    """Starts `trentd --dev` on a free port; `with` stops it. `flags` are further settings."""

    def __init__(self, data, *flags, dev=True, env=None, ready=True):
        self.data = pathlib.Path(data)
        mode = ["--dev"] if dev else []
        # few ready keys: making RSA keys is what starting a test server would spend its time on
        pools = ["--ready-keys-2048=2", "--ready-keys-3072=0", "--ready-keys-4096=0", "--pool-threads=2"]
        self.command = [TRENTD, *mode, "--listen=127.0.0.1:0", "--data=%s" % self.data,
                        "--audit-reserve-mib=1", *pools, *flags]
        self.env = {**os.environ, **(env or {})}
        self.process = None
        self.url = None
        self.log_path = self.data.parent / (self.data.name + ".log")

    def start(self, wait=True):
        self.data.parent.mkdir(parents=True, exist_ok=True)
        with open(self.log_path, "ab") as log:
            self.process = subprocess.Popen(self.command, env=self.env, stdout=subprocess.PIPE,
                                            stderr=log, stdin=subprocess.DEVNULL)
        if wait:
            self.wait_ready()
        return self

    def wait_ready(self):
        """Reads the ready line and keeps the URL; raises with the log when the server ends instead."""
        deadline = time.monotonic() + READY_SECONDS
        text = b""
        while time.monotonic() < deadline:
            if not select.select([self.process.stdout], [], [], 0.2)[0]:
                continue
            chunk = os.read(self.process.stdout.fileno(), 4096)
            if chunk == b"":
                break
            text += chunk
            match = re.search(rb"^trentd: ready on (\S+)$", text, re.M)
            if match:
                self.url = match.group(1).decode()
                return
        self.kill()
        raise RuntimeError("trentd did not become ready: %r\n%s" % (text, self.log()))

    def log(self):
        return self.log_path.read_text(errors="replace") if self.log_path.exists() else ""

    def stop(self):
        """SIGTERM; returns the exit status."""
        if self.process is None:
            return None
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        try:
            status = self.process.wait(READY_SECONDS)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
            raise
        finally:
            self.process.stdout.close()
            self.process = None
        return status

    def kill(self):
        """SIGKILL, as a power cut would."""
        if self.process is not None:
            self.process.kill()
            self.process.wait()
            self.process.stdout.close()
            self.process = None

    def __enter__(self):
        return self.start()

    def __exit__(self, *exc):
        self.stop()

    @property
    def address(self):
        host, port = re.match(r"https?://\[?([^\]]*?)\]?:(\d+)$", self.url).groups()
        return host, int(port)

    def client(self, service="kms", region="us-east-1", key="test", secret="test", token=None, **more):
        return boto3.client(service, endpoint_url=self.url, region_name=region, aws_access_key_id=key,
                            aws_secret_access_key=secret, aws_session_token=token,
                            config=Config(retries={"max_attempts": 1, "mode": "standard"},
                                          max_pool_connections=32, parameter_validation=False, **more))

    def advance(self, seconds):
        """Moves the life-cycle clock forward, and waits until what falls due has been done: an answer does not wait
        for that longer than ten seconds."""
        deadline = time.monotonic() + READY_SECONDS
        answer = self.post("/_trent/clock", {"advanceSeconds": seconds})
        while not answer["jobsDone"] and time.monotonic() < deadline:
            answer = self.post("/_trent/clock", {"advanceSeconds": 0})
        return answer

    def post(self, path, body):
        request = urllib.request.Request(self.url + path, data=json.dumps(body).encode(), method="POST",
                                         headers={"Content-Type": "application/json"})
        with urllib.request.urlopen(request, timeout=READY_SECONDS) as answer:
            return json.load(answer)

    def get(self, path):
        with urllib.request.urlopen(self.url + path, timeout=READY_SECONDS) as answer:
            return answer.read().decode()

    def status(self):
        """What the page for the operator's tool says, through the local socket."""
        with socket.socket(socket.AF_UNIX) as s:
            s.connect(str(self.data / "trent.sock"))
            s.sendall(b"GET /_trent/status HTTP/1.1\r\nHost: local\r\nConnection: close\r\n\r\n")
            answer = b""
            while chunk := s.recv(65536):
                answer += chunk
        return json.loads(answer.split(b"\r\n\r\n", 1)[1])

    def health(self):
        """The status of /_trent/health: 200 or 503."""
        try:
            self.get("/_trent/health")
            return 200
        except urllib.error.HTTPError as e:
            e.read()
            return e.code

    def wait_for_health(self, status, seconds=60):
        deadline = time.monotonic() + seconds
        while self.health() != status:
            assert time.monotonic() < deadline, "health stays %d" % self.health()
            time.sleep(0.05)

    def raw(self, data, timeout=30):
        """Sends bytes on a fresh connection; returns all that comes back until it is closed or silent."""
        with socket.create_connection(self.address, timeout=timeout) as s:
            s.sendall(data)
            received = b""
            try:
                while True:
                    chunk = s.recv(65536)
                    if not chunk:
                        break
                    received += chunk
            except socket.timeout:
                pass
            return received

    def trent(self, *arguments, check=True):
        """The operator's tool on this server's data directory."""
        done = subprocess.run([TRENT, *arguments, "--data", str(self.data)], env=self.env,
                              capture_output=True, text=True, timeout=120)
        if check and done.returncode != 0:
            raise RuntimeError("trent %s: %d\n%s%s" % (arguments, done.returncode, done.stdout, done.stderr))
        return done

    def audit(self):
        """All audit records, in order; of a running server not the one that is being written."""
        records = []
        for path in sorted((self.data / "audit").glob("trent-*.jsonl"),
                           key=lambda p: int(p.stem.rsplit("-", 1)[1])):
            records += [json.loads(line) for line in path.read_text().split("\n")[:-1]]
        return records


# --- errors -----------------------------------------------------------------------------------------


def until(what, why=lambda: "it did not happen", seconds=60, pause=0.02):
    """Waits for what others do in their time, such as a job; returns the first true value. `why()` is said otherwise."""
    deadline = time.monotonic() + seconds
    while not (value := what()):
        assert time.monotonic() < deadline, why()
        time.sleep(pause)
    return value


def error_of(call, *arguments, **parameters):
    """(code, text) of the error that the call gives; the text is None when the body has no such member."""
    try:
        answer = call(*arguments, **parameters)
    except ClientError as e:
        error = e.response["Error"]
        return error["Code"], (error.get("Message") or None)
    raise AssertionError("expected an error, got %r" % (answer,))


# --- importing, with the cryptography package ----------------------------------------------------------


def wrap(public_key, material, algorithm="RSAES_OAEP_SHA_256"):
    """Wraps material as a customer would."""
    digest = {"RSAES_OAEP_SHA_256": hashes.SHA256, "RSAES_OAEP_SHA_1": hashes.SHA1}[algorithm]
    key = serialization.load_der_public_key(public_key)
    return key.encrypt(material, padding.OAEP(mgf=padding.MGF1(digest()), algorithm=digest(), label=None))


def external_key(kms, **parameters):
    return kms.create_key(Origin="EXTERNAL", **parameters)["KeyMetadata"]


def parameters_for(kms, key_id, algorithm="RSAES_OAEP_SHA_256", spec="RSA_2048"):
    return kms.get_parameters_for_import(KeyId=key_id, WrappingAlgorithm=algorithm, WrappingKeySpec=spec)


def import_material(kms, key_id, material, parameters=None, algorithm="RSAES_OAEP_SHA_256", **more):
    """GetParametersForImport unless `parameters` are given, wrap, ImportKeyMaterial. Does not expire unless
    ValidTo is given."""
    if parameters is None:
        parameters = parameters_for(kms, key_id, algorithm)
    if "ValidTo" not in more:
        more.setdefault("ExpirationModel", "KEY_MATERIAL_DOES_NOT_EXPIRE")
    return kms.import_key_material(KeyId=key_id, ImportToken=parameters["ImportToken"],
                                   EncryptedKeyMaterial=wrap(parameters["PublicKey"], material, algorithm),
                                   **more)


def imported_key(kms, material, **more):
    """An EXTERNAL key with this material; returns its metadata and the material id."""
    key = external_key(kms)
    answer = import_material(kms, key["KeyId"], material, **more)
    return key, answer["KeyMaterialId"]


def b64(data):
    return base64.b64encode(data).decode()
