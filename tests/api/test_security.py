"""Attacks: each test is one that worked once, or one that must never work.

Requests are put together by hand where a client would not send them.
"""
import concurrent.futures
import datetime
import hashlib
import hmac
import json
import os
import re
import shutil
import socket
import struct
import subprocess
import threading
import time
import urllib.error

import pytest
from botocore.exceptions import BotoCoreError
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from trent_server import (external_key, import_material, imported_key, parameters_for)


def sign(secret, scope, text):
    key = ("AWS4" + secret).encode()
    for part in scope.split("/"):
        key = hmac.new(key, part.encode(), hashlib.sha256).digest()
    return hmac.new(key, text.encode(), hashlib.sha256).hexdigest()


def raw_request(server, operation, body=b"{}", more="", head_bytes=None, shift=0, query="", headers=None):
    """The bytes of a signed request; `more` are header lines that are not signed, `headers` signed ones. With
    `head_bytes` the head is filled up to that size."""
    host = "%s:%d" % server.address
    when = datetime.datetime.now(datetime.timezone.utc) + datetime.timedelta(seconds=shift)
    stamp = when.strftime("%Y%m%dT%H%M%SZ")
    scope = stamp[:8] + "/us-east-1/kms/aws4_request"
    named = {"host": host, "x-amz-date": stamp, "x-amz-target": "TrentService." + operation, **(headers or {})}
    names = ";".join(sorted(named))
    canonical = "\n".join(["POST", "/", query, *("%s:%s" % (n, named[n]) for n in sorted(named)), "", names,
                           hashlib.sha256(body).hexdigest()])
    text = "\n".join(["AWS4-HMAC-SHA256", stamp, scope, hashlib.sha256(canonical.encode()).hexdigest()])
    authorization = "AWS4-HMAC-SHA256 Credential=test/%s, SignedHeaders=%s, Signature=%s" % (
        scope, names, sign("test", scope, text))
    head = "POST /%s HTTP/1.1\r\n" % ("?" + query if query else "")
    head += "".join("%s: %s\r\n" % item for item in named.items())
    head += "Authorization: %s\r\nContent-Length: %d\r\n%s" % (authorization, len(body), more)
    if head_bytes is not None:
        head += "X-Fill: %s\r\n" % ("a" * (head_bytes - len(head) - len("X-Fill: \r\n\r\n")))
    return head.encode() + b"\r\n" + body


def statuses(answers):
    return [int(s) for s in re.findall(rb"HTTP/1\.1 (\d{3}) ", answers)]


def metric(server, name):
    return int(re.search(r"^%s (\d+)$" % name, server.get("/_trent/metrics"), re.M).group(1))


# --- memory ------------------------------------------------------------------------------------------------


def test_request_without_body_leaves_the_next_one_alone(server):
    """No body is read as {}; those two bytes once overwrote the request behind it."""
    both = raw_request(server, "ListKeys", b"") + raw_request(server, "ListAliases", b"", "Connection: close\r\n")
    assert statuses(server.raw(both)) == [200, 200]


def test_request_without_body_fills_the_buffer(server):
    """... and lay behind the buffer, when the head ended with it (sanitizer builds tell)."""
    for size in range(8180, 8193):
        assert statuses(server.raw(raw_request(server, "ListKeys", b"", "Connection: close\r\n", size))) == [200]


def test_stop_while_requests_wait_for_wrapping_keys(new_server):
    """A wrapping key that became ready during the stop once woke a request of a pool that was gone."""
    server = new_server("--max-unauthenticated-per-address=200")
    key = external_key(server.client())["KeyId"]
    body = json.dumps({"KeyId": key, "WrappingAlgorithm": "RSAES_OAEP_SHA_256", "WrappingKeySpec": "RSA_3072"})
    waiting = [socket.create_connection(server.address) for _ in range(100)]
    for s in waiting:
        s.sendall(raw_request(server, "GetParametersForImport", body.encode()))
    assert server.stop() == 0
    for s in waiting:
        s.close()


def test_requests_of_clients_that_hang_up_count(new_server):
    """A client that sends, hangs up and comes again could once have any number of requests at work."""
    server = new_server("--max-connections-per-address=20", "--ready-keys-per-minute=1")
    key = external_key(server.client())["KeyId"]
    body = json.dumps({"KeyId": key, "WrappingAlgorithm": "RSAES_OAEP_SHA_256", "WrappingKeySpec": "RSA_4096"})

    def seen():
        return (gauge(server, 'trent_ready_keys_waiting{spec="RSA_4096"}'),
                metric(server, "trent_connections_refused_total"))

    tries = 0
    while metric(server, "trent_connections_refused_total") < 30:
        tries, before = tries + 1, seen()
        assert tries < 150
        with socket.create_connection(server.address, source_address=("127.0.0.2", 0)) as s:
            s.sendall(raw_request(server, "GetParametersForImport", body.encode()))
            s.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            deadline = time.monotonic() + 2  # a server that has not read it yet would never know of it
            while seen() == before and time.monotonic() < deadline:
                time.sleep(0.001)
    assert metric(server, "trent_connections") <= 25


def test_timers_do_not_pile_up(new_server):
    """Each change of a key that has something due once left a timer behind, for up to a year."""
    server = new_server()
    kms = server.client()
    key = external_key(kms)["KeyId"]
    import_material(kms, key, b"t" * 32, ValidTo=time.time() + 300 * 86400)
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda n: kms.update_key_description(KeyId=key, Description=str(n)), range(600)))
    assert metric(server, "trent_timers") < 400


# --- nothing is lost, nothing stays --------------------------------------------------------------------------


@pytest.fixture
def full(new_server):
    """A server whose audit has no room: its emergency space cannot be made. `full.mend()` gives it room."""
    server = new_server()
    kms = server.client()
    server.generated = kms.create_key()["KeyMetadata"]["KeyId"]
    server.imported, _ = imported_key(kms, b"f" * 32)
    server.token = parameters_for(kms, server.imported["KeyId"])
    server.blob = kms.encrypt(KeyId=server.imported["KeyId"], Plaintext=b"kept")["CiphertextBlob"]
    server.stop()
    place = server.data / "audit" / "reserve"
    place.unlink()
    place.mkdir()
    server.start()

    def mend():
        place.rmdir()
        for _ in range(100):
            if metric(server, "trent_audit_healthy") == 1:
                return
            time.sleep(0.1)
        raise AssertionError("the audit does not recover")

    server.mend = mend
    return server


def test_change_that_cannot_be_audited(full):
    """Once such a change was committed, answered with an error, and its material's shred key erased: the keys stayed
    'Enabled' and were dead."""
    kms = full.client()
    assert metric(full, "trent_audit_healthy") == 0
    for call, parameters in ((kms.create_key, {}), (kms.rotate_key_on_demand, {"KeyId": full.generated})):
        with pytest.raises(kms.exceptions.KMSInternalException):
            call(**parameters)
    with pytest.raises(kms.exceptions.KMSInternalException):
        import_material(kms, full.imported["KeyId"], b"f" * 32, full.token)
    full.mend()
    assert {k["KeyId"] for k in kms.list_keys()["Keys"]} == {full.generated, full.imported["KeyId"]}
    assert len(kms.list_key_rotations(KeyId=full.generated, IncludeKeyMaterial="ALL_KEY_MATERIAL")["Rotations"]) == 1
    for key in (full.generated, full.imported["KeyId"]):
        assert kms.encrypt(KeyId=key, Plaintext=b"x")["CiphertextBlob"]
    assert kms.decrypt(CiphertextBlob=full.blob)["Plaintext"] == b"kept"


def test_rights_are_taken_away_without_room(full):
    kms = full.client()
    kms.delete_imported_key_material(KeyId=full.imported["KeyId"])
    kms.disable_key(KeyId=full.generated)
    full.mend()
    assert kms.describe_key(KeyId=full.imported["KeyId"])["KeyMetadata"]["KeyState"] == "PendingImport"
    assert kms.describe_key(KeyId=full.generated)["KeyMetadata"]["KeyState"] == "Disabled"
    assert full.trent("audit", "verify", check=False).returncode in (0, 2)  # 2: the tail is not signed yet


SYNC_FAILS = r"""
#define _GNU_SOURCE
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

int fdatasync(int fd)
{
    char link[64], path[4096] = { 0 };

    (void)snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    if (access(FLAG, F_OK) == 0 && readlink(link, path, sizeof path - 1) > 0 &&
        strstr(path, "/erasable.slots") != NULL) {
        errno = EIO;
        return -1;
    }
    return (int)syscall(SYS_fdatasync, fd);
}
"""


@pytest.mark.skipif(shutil.which("cc") is None, reason="needs a C compiler")
def test_failed_erasure_is_not_called_a_deletion(new_server, tmp_path):
    """The material may still be on the disk: no answer says otherwise, and the server does not go on with such a disk."""
    flag = tmp_path / "the-disk-fails"
    library = tmp_path / "sync_fails.so"
    subprocess.run(["cc", "-shared", "-fPIC", '-DFLAG="%s"' % flag, "-x", "c", "-", "-o", str(library)],
                   input=SYNC_FAILS, text=True, check=True)
    preload = " ".join(filter(None, [sanitizer_runtime(), str(library)]))
    server = new_server(env={"LD_PRELOAD": preload})
    kms = server.client()
    key, _ = imported_key(kms, b"e" * 32)
    flag.touch()
    with pytest.raises((kms.exceptions.KMSInternalException, BotoCoreError)):  # the end may come before the answer
        kms.delete_imported_key_material(KeyId=key["KeyId"])
    assert server.process.wait(60) == os.EX_IOERR
    assert "erasable.slots" in server.log()
    flag.unlink()
    server.stop()
    server.start()  # finishes it before it answers
    kms = server.client()
    kms.delete_imported_key_material(KeyId=key["KeyId"])
    receipts = [r for r in server.audit() if r["eventName"] == "TrentReceipt"]
    assert [r for r in receipts if r["serviceEventDetails"]["keyArn"] == key["Arn"]]


@pytest.mark.parametrize("spec,usage", [("HMAC_256", "GENERATE_VERIFY_MAC"), ("ECC_NIST_P256", "SIGN_VERIFY")])
def test_material_of_every_family_is_erased(server, spec, usage):
    """DeleteImportedKeyMaterial names no material for these keys, and erases it all the same."""
    kms = server.client()
    material = b"h" * 32 if usage == "GENERATE_VERIFY_MAC" else ec.generate_private_key(ec.SECP256R1()).private_bytes(
        serialization.Encoding.DER, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    key = kms.create_key(KeySpec=spec, KeyUsage=usage, Origin="EXTERNAL")["KeyMetadata"]
    import_material(kms, key["KeyId"], material)
    assert set(kms.delete_imported_key_material(KeyId=key["KeyId"])) == {"KeyId", "ResponseMetadata"}
    (receipt,) = [r["serviceEventDetails"] for r in server.audit() if r["eventName"] == "TrentReceipt"
                  and r["serviceEventDetails"]["keyArn"] == key["Arn"]]
    assert receipt["reason"] == "api" and receipt["readBackVerified"] is True


def sanitizer_runtime():
    """An address sanitizer wants to be loaded first."""
    program = os.environ.get("TRENTD")
    if program is None:
        return None
    needed = subprocess.run(["ldd", program], capture_output=True, text=True).stdout
    found = re.search(r"=> (\S*lib[at]san\.so\S*)", needed)
    return found.group(1) if found else None


class Hammer:
    """Repeats `attempt(client)` on several connections. `seen` has a list for each: (sent, succeeded)."""

    def __init__(self, server, attempt, threads=6):
        self.attempt, self.seen = attempt, [[] for _ in range(threads)]
        self.over = threading.Event()
        clients = [server.client() for _ in range(threads)]
        self.pool = concurrent.futures.ThreadPoolExecutor(threads)
        self.running = [self.pool.submit(self.run, *one) for one in zip(clients, self.seen)]

    def run(self, kms, seen):
        while not self.over.is_set():
            sent = time.time()  # the clock that the server has
            try:
                self.attempt(kms)
                seen.append((sent, True))
            except Exception as e:
                if type(e).__name__ in ("KMSInternalException", "EndpointConnectionError"):
                    raise
                seen.append((sent, False))

    def wait(self, good, seconds=60):
        """Until each connection has had an attempt that is good(sent, succeeded)."""
        deadline = time.monotonic() + seconds
        while not all(any(good(*entry) for entry in list(seen)) for seen in self.seen):
            for r in self.running:
                if r.done():
                    r.result()
            assert time.monotonic() < deadline, "the connections do not get on"
            time.sleep(0.01)

    def __enter__(self):
        return self

    def __exit__(self, *exc):
        self.over.set()
        self.pool.shutdown()
        if exc[0] is None:
            for r in self.running:
                r.result()

    def all(self):
        return [entry for seen in self.seen for entry in seen]


@pytest.mark.parametrize("how", ["disable_key", "delete_imported_key_material", "schedule_key_deletion"])
@pytest.mark.parametrize("use", ["encrypt", "decrypt", "generate_data_key", "re_encrypt"])
def test_nothing_succeeds_after_the_answer(server, kms, how, use):
    """Requests sent after the answer: not one succeeds."""
    key, _ = imported_key(kms, os.urandom(32))
    other = kms.create_key()["KeyMetadata"]["KeyId"]
    blob = kms.encrypt(KeyId=key["KeyId"], Plaintext=b"x")["CiphertextBlob"]
    uses = {
        "encrypt": lambda c: c.encrypt(KeyId=key["KeyId"], Plaintext=b"x"),
        "decrypt": lambda c: c.decrypt(CiphertextBlob=blob),
        "generate_data_key": lambda c: c.generate_data_key(KeyId=key["KeyId"], KeySpec="AES_256"),
        "re_encrypt": lambda c: c.re_encrypt(CiphertextBlob=blob, DestinationKeyId=other),
    }
    with Hammer(server, uses[use]) as hammer:
        hammer.wait(lambda sent, ok: ok)
        getattr(kms, how)(KeyId=key["KeyId"])
        answered = time.time()
        hammer.wait(lambda sent, ok: sent > answered)
        time.sleep(0.3)
    assert not [sent for sent, ok in hammer.all() if ok and sent > answered]


def test_expiry_to_the_second(server, kms):
    """A request sent after ValidTo never succeeds, whatever the jobs are doing."""
    for ahead in (4, 15, 60):  # a busy machine may take seconds to import and to begin
        valid_to = int(time.time()) + ahead
        try:
            key, _ = imported_key(kms, os.urandom(32), ValidTo=valid_to)
        except kms.exceptions.ClientError:
            assert time.time() > valid_to
            continue
        with Hammer(server, lambda c: c.encrypt(KeyId=key["KeyId"], Plaintext=b"x")) as hammer:
            hammer.wait(lambda sent, ok: sent > valid_to + 0.5, ahead + 60)
        if any(ok for sent, ok in hammer.all() if sent < valid_to - 1):
            break
    else:
        raise AssertionError("the key never worked")
    assert not [sent for sent, ok in hammer.all() if ok and sent > valid_to]


# --- who asks ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name,value", [
    ("X-Amz-Target", "TrentService.CreateKey"), ("X-Amz-Date", "20260101T000000Z"), ("Host", "elsewhere"),
    ("Authorization", "AWS4-HMAC-SHA256 Credential=test/20260101/us-east-1/kms/aws4_request, SignedHeaders=host, "
     "Signature=00"), ("X-Amz-Security-Token", "x"), ("X-Amz-Content-SHA256", "UNSIGNED-PAYLOAD")])
@pytest.mark.parametrize("spelling", [str, str.upper, str.lower])
def test_header_added_to_a_signed_request(server, name, value, spelling):
    """A second one of what decides, or one that was not signed, in any case of letters: refused."""
    good = raw_request(server, "ListKeys", more="Connection: close\r\n")
    line = ("%s: %s\r\n" % (spelling(name), value)).encode()
    first, rest = good.split(b"\r\n", 1)
    for forged in (first + b"\r\n" + line + rest, good.replace(b"Content-Length", line + b"Content-Length", 1)):
        assert statuses(server.raw(forged)) == [400]


@pytest.mark.parametrize("old,new", [
    (b"POST / ", b"POST // "), (b"POST / ", b"POST /. "), (b"POST / ", b"POST /%2F "), (b"POST / ", b"POST /?a "),
    (b"POST / ", b"POST /? "), (b"POST / ", b"POST /x/.. "), (b"POST ", b"PUT "), (b"POST ", b"post ")])
def test_other_path_or_method(server, old, new):
    """What the signature takes for the same path is not the same to the server, but for an empty query."""
    request = raw_request(server, "CreateKey", more="Connection: close\r\n").replace(old, new, 1)
    answer = statuses(server.raw(request))
    assert answer != [200] or new == b"POST /? "


def test_both_forms_at_once(server):
    query = "X-Amz-Algorithm=AWS4-HMAC-SHA256"
    answer = server.raw(raw_request(server, "ListKeys", more="Connection: close\r\n", query=query))
    assert statuses(answer) == [400] and b"IncompleteSignatureException" in answer


def test_a_captured_request_outside_its_window(server):
    for shift in (-400, 400):
        answer = server.raw(raw_request(server, "ListKeys", more="Connection: close\r\n", shift=shift))
        assert statuses(answer) == [400] and b"InvalidSignatureException" in answer


def test_answers_belong_to_their_requests(server, kms):
    """Many pipelined requests, good and bad, slow and fast, on several connections: each gets its own answer."""
    key = kms.create_key()["KeyMetadata"]["KeyId"]

    def one(n):
        requests, wanted = [], []
        for i in range(40):
            kind = (n + i) % 4
            if kind == 0:
                requests.append(raw_request(server, "GenerateRandom", json.dumps({"NumberOfBytes": 1 + i}).encode()))
                wanted.append(lambda a, i=i: len(a["Plaintext"].rstrip("=")) == (4 * (1 + i) + 2) // 3)
            elif kind == 1:
                requests.append(raw_request(server, "UpdateKeyDescription", json.dumps(
                    {"KeyId": key, "Description": "%d %d" % (n, i)}).encode()))
                wanted.append(lambda a: a == {})
            elif kind == 2:
                requests.append(raw_request(server, "DescribeKey", json.dumps({"KeyId": "k-%d-%d" % (n, i)}).encode()))
                wanted.append(lambda a, i=i: ("k-%d-%d'" % (n, i)) in a["message"])
            else:
                requests.append(raw_request(server, "ListKeys", b""))
                wanted.append(lambda a: "Keys" in a)
        last = raw_request(server, "Nonsense", more="Connection: close\r\n")
        answers = server.raw(b"".join(requests) + last)
        bodies = []
        while answers:
            head, _, rest = answers.partition(b"\r\n\r\n")
            length = int(re.search(rb"Content-Length: (\d+)", head).group(1))
            bodies.append(json.loads(rest[:length] or b"{}"))
            answers = rest[length:]
        assert len(bodies) == len(requests) + 1
        for body, fits in zip(bodies, wanted):
            assert fits(body), body
        assert bodies[-1]["__type"].endswith("UnknownOperationException")

    with concurrent.futures.ThreadPoolExecutor(6) as pool:
        list(pool.map(one, range(6)))


# --- what is written down --------------------------------------------------------------------------------------


HOSTILE = '"}\\n{"eventVersion":"1.11","eventID":"00000000-0000-4000-8000-000000000000"},"trent":{"seq":1\x7f\u0085\u2028\u202e'


def test_audit_cannot_be_written_to(server, kms):
    """Quotes, braces, line ends and broken UTF-8 in everything a client can put into a record."""
    key = kms.create_key(Description=HOSTILE)["KeyMetadata"]["KeyId"]
    kms.encrypt(KeyId=key, Plaintext=b"x", EncryptionContext={HOSTILE: HOSTILE})
    agent = 'User-Agent: x"} \\ {"eventName":"DeleteKey"} \xff\xfe\x80\t%s\r\nConnection: close\r\n' % ("a" * 3000)
    request = raw_request(server, "ListKeys", more=agent).decode("utf-8").encode("latin-1")
    assert statuses(server.raw(request)) == [200]
    assert statuses(server.raw(raw_request(server, "DescribeKey", json.dumps({"KeyId": HOSTILE}).encode(),
                                           "Connection: close\r\n"))) == [400]
    server.raw(b"POST / HTTP/1.1\r\nHost: x\r\nAuthorization: AWS4-HMAC-SHA256 Credential=%s\r\nX-Amz-Date: \xff\"\r\n"
               b"Connection: close\r\nContent-Length: 0\r\n\r\n" % HOSTILE.encode().replace(b"\n", b""))
    records = server.audit()  # every line is JSON
    assert [r["trent"]["seq"] for r in records] == list(range(1, len(records) + 1))
    assert not [r for r in records if r["eventID"].startswith("00000000-0000")]
    assert any(r["requestParameters"] == {"description": HOSTILE} for r in records)
    assert any((r["requestParameters"] or {}).get("encryptionContext") == {HOSTILE: HOSTILE} for r in records)
    assert any(r.get("userAgent", "").startswith('x"} \\ {"eventName"') for r in records)
    assert server.trent("audit", "verify", check=False).returncode in (0, 2)
    assert all(re.match(r"\d{8}T\d{6}Z (error|warning|info|debug) ", line)
               for line in server.log().splitlines() if line)


def test_failed_authentications_are_all_counted(new_server):
    """The first ones of a minute are recorded each; the count of the others must not be lost with the process."""
    server = new_server("--loops=1")  # each has a count of its own
    for _ in range(70):
        server.raw(b"POST / HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: 0\r\n\r\n")
    server.stop()
    records = server.audit()
    each = sum(r.get("errorCode", "").startswith("MissingAuthentication") for r in records)
    counted = sum(r["serviceEventDetails"]["failedAuthentications"] for r in records
                  if r["eventName"] == "TrentUnauthenticatedRequests")
    assert each < 70 and each + counted == 70


def test_clock_ends_with_the_year_9999(new_server):
    """Dates have four digits for it: audit files named 1020 were not found again."""
    server = new_server()
    with pytest.raises(urllib.error.HTTPError, match="400"):
        for _ in range(100):
            server.advance(100 * 365 * 86400)
    assert server.client().create_key()["KeyMetadata"]["CreationDate"].year > 9800
    server.stop()
    server.start()


def test_audit_log_cut_back_to_a_checkpoint(new_server):
    """Without a witness the shorter log verifies; the database knows better."""
    server = new_server()
    server.client().create_key()
    server.stop()
    log = max((server.data / "audit").glob("trent-*.jsonl"))
    size = log.stat().st_size
    server.start()
    kms = server.client()
    key, _ = imported_key(kms, b"z" * 32)
    kms.delete_imported_key_material(KeyId=key["KeyId"])
    server.stop()
    os.truncate(log, size)
    server.start()
    missing = [r for r in server.audit() if r["eventName"] == "TrentRecordsMissing"]
    assert len(missing) == 1 and "records are missing" in server.log()
    details = missing[0]["serviceEventDetails"]
    assert details["databaseCommit"] > details["loggedCommit"] + 2
    server.stop()
    server.start()
    assert len([r for r in server.audit() if r["eventName"] == "TrentRecordsMissing"]) == 1


# --- files -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("mode", [0o777, 0o770, 0o702])
def test_data_directory_that_others_can_write_to(new_server, tmp_path, mode):
    server = new_server()
    server.stop()
    server.data.chmod(mode)
    with pytest.raises(RuntimeError, match="can be written by others"):
        server.start()
    server.data.chmod(0o755)
    server.start()


def test_files_are_the_servers_own(server):
    for path in [server.data, *server.data.rglob("*")]:
        assert path.lstat().st_mode & 0o077 == 0 or path.name == "audit.pub", path


# --- waiting for RSA keys ------------------------------------------------------------------------------------------


def gauge(server, name):
    return int(re.search(r"^%s (\d+)$" % re.escape(name), server.get("/_trent/metrics"), re.M).group(1))


def test_nobody_waits_for_an_rsa_key_for_ever(new_server):
    """RSA keys are made at one a minute. Who asks for more is told so in time, and requests whose clients have hung up
    leave the connections' places that they hold: without that, a few hundred calls keep everybody else out for as long
    as it takes to make as many keys."""
    server = new_server("--ready-keys-2048=0", "--ready-keys-per-minute=1")
    waiting = 'trent_ready_keys_waiting{spec="RSA_2048"}'
    body = json.dumps({"KeySpec": "RSA_2048", "KeyUsage": "SIGN_VERIFY"}).encode()
    first = time.monotonic()
    server.client().create_key(KeySpec="RSA_2048", KeyUsage="SIGN_VERIFY")  # the one of this minute
    for _ in range(3):  # a server that stands still for three seconds may close the connection before it tells
        began = time.monotonic()
        gone = [socket.create_connection(server.address, timeout=60) for _ in range(20)]
        with socket.create_connection(server.address, timeout=60) as patient:
            for s in (*gone, patient):
                s.sendall(raw_request(server, "CreateKey", body))
            while gauge(server, waiting) < 21:
                assert time.monotonic() < began + 10
                time.sleep(0.05)
            for s in gone:
                s.close()
            answer = patient.recv(65536)
        assert time.monotonic() - began > 11
        while gauge(server, waiting) > 0:
            assert time.monotonic() < began + 50
            time.sleep(0.05)
        if answer != b"":
            break
    assert answer.startswith(b"HTTP/1.1 400 ") and b"ThrottlingException" in answer
    made = len(server.client().list_keys()["Keys"])
    assert made <= 1 + (time.monotonic() - first) / 60  # nobody's request made one
