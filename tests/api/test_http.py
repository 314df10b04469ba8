"""HTTP as strangers and browsers meet it, through the whole server: framing, limits, CORS, TLS, the pages under /_trent.

The parser and the listener have their own unit tests (tests/unit/http, tests/unit/listener); here it is checked that the
server is put together from them as it should be.
"""
import datetime
import json
import os
import re
import resource
import signal
import socket
import ssl
import subprocess
import time

import pytest
import requests

from trent_server import Server, error_of, external_key, import_material, parameters_for
from test_auth import signed


def status(answer):
    match = re.match(rb"HTTP/1\.1 (\d{3}) ", answer)
    return int(match.group(1)) if match else None


HEAD = b"POST / HTTP/1.1\r\nHost: x\r\n"


@pytest.mark.parametrize("data,expected", [
    (b"GET / HTTP/1.1\r\nHost: x\r\n\r\n", 404),
    (b"POST /other HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n", 404),
    (HEAD + b"\r\n", 411),
    (HEAD + b"Content-Length: 131073\r\n\r\n", 413),
    (HEAD + b"Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 501),
    (HEAD + b"Content-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n{}", 400),
    (HEAD + b"Content-Length: 2\r\nContent-Length: 3\r\n\r\n{}", 400),
    (HEAD + b"Content-Length: +2\r\n\r\n{}", 400),
    (HEAD + b"Content-Length : 2\r\n\r\n{}", 400),
    (HEAD + b"X: a\r\n b\r\nContent-Length: 2\r\n\r\n{}", 400),
    (b"POST / HTTP/1.1\nHost: x\nContent-Length: 2\n\n{}", 400),
    (b"POST / HTTP/1.1\r\nContent-Length: 2\r\n\r\n{}", 400),
    (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", 400),
    (HEAD + b"X: " + b"a" * 17000 + b"\r\n\r\n", 431),
    (HEAD + b"".join(b"X-%d: a\r\n" % i for i in range(101)) + b"\r\n", 431),
])
def test_malformed_requests(server, data, expected):
    """Refused with the right status, and the connection is closed: nothing after it is looked at."""
    answer = server.raw(data + b"GET /_trent/health HTTP/1.1\r\nHost: x\r\n\r\n")
    allowed = {expected} if expected not in (501, 400) else {400, 501}
    assert status(answer) in allowed, answer
    assert answer.count(b"HTTP/1.1 ") == 1 and b"ok" not in answer.split(b"\r\n\r\n", 1)[1]


def test_body_at_the_limit(server):
    body = b'{"KeyId":"' + b"x" * (131072 - 12) + b'"}'
    assert len(body) == 131072
    prepared = signed(server, "DescribeKey", body.decode())
    answer = requests.post(prepared.url, data=body, headers=dict(prepared.headers.items()), timeout=60)
    assert answer.status_code == 400 and answer.json()["__type"] == "ValidationException"


def test_keep_alive_and_pipelining(server):
    """Answers come in the order of the requests, also when a slow one is in front of a fast one."""
    end = b"Connection: close\r\n"
    requests_ = [signed(server, "CreateKey"), signed(server, "ListKeys"), signed(server, "Nonsense"),
                 signed(server, "CreateKey")]
    data = b""
    for prepared in requests_:
        data += b"POST / HTTP/1.1\r\nHost: %s\r\n" % prepared.url.split("/")[2].encode()
        data += b"".join(b"%s: %s\r\n" % (k.encode(), v if isinstance(v, bytes) else v.encode())
                         for k, v in prepared.headers.items() if k.lower() != "content-length")
        data += b"%sContent-Length: 2\r\n\r\n{}" % (end if prepared is requests_[-1] else b"")
    answers = server.raw(data).split(b"HTTP/1.1 ")[1:]
    assert [int(a[:3]) for a in answers] == [200, 200, 400, 200]
    bodies = [json.loads(a.split(b"\r\n\r\n", 1)[1]) for a in answers]
    assert "KeyMetadata" in bodies[0] and "Keys" in bodies[1] and "KeyMetadata" in bodies[3]
    assert bodies[2] == {"__type": "UnknownOperationException"}
    assert bodies[0]["KeyMetadata"]["KeyId"] in {k["KeyId"] for k in bodies[1]["Keys"]}


def test_cors(server):
    """kms-behaviour 1.7."""
    asked = "authorization,content-type,x-amz-date,x-amz-target,x-amz-user-agent"
    answer = requests.options(server.url + "/", timeout=60, headers={
        "Origin": "https://example.com", "Access-Control-Request-Method": "POST",
        "Access-Control-Request-Headers": asked})
    assert answer.status_code == 200 and answer.headers["Access-Control-Allow-Origin"] == "*"
    assert "POST" in answer.headers["Access-Control-Allow-Methods"]
    assert answer.headers["Access-Control-Allow-Headers"] == asked
    prepared = signed(server)
    answer = requests.post(prepared.url, data=prepared.body, headers=dict(prepared.headers.items()), timeout=60)
    assert answer.headers["Access-Control-Allow-Origin"] == "*"
    assert "x-amzn-requestid" in answer.headers["Access-Control-Expose-Headers"].lower()


def test_answer_headers(server):
    """kms-behaviour 1.2."""
    prepared = signed(server)
    answer = requests.post(prepared.url, data=prepared.body, headers=dict(prepared.headers.items()), timeout=60)
    assert answer.headers["Content-Type"] == "application/x-amz-json-1.1"
    assert answer.headers["Cache-Control"] == "no-cache, no-store, must-revalidate, private"
    assert re.fullmatch("[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}",
                        answer.headers["x-amzn-RequestId"])
    assert "Server" not in answer.headers


def test_pages(server, kms):
    kms.generate_random(NumberOfBytes=1)
    assert json.loads(server.get("/_trent/health")) == {"status": "ok"}
    assert json.loads(server.get("/_trent/ready")) == {"ready": True}
    metrics = server.get("/_trent/metrics")
    assert 'trent_requests_total{operation="GenerateRandom",result="ok"}' in metrics
    assert re.search(r"^trent_audit_healthy 1$", metrics, re.M)
    assert requests.get(server.url + "/_trent/nothing", timeout=60).status_code == 404
    assert requests.get(server.url + "/_trent/status", timeout=60).status_code == 404  # local socket only
    assert requests.post(server.url + "/_trent/health", timeout=60).status_code == 405
    assert requests.post(server.url + "/_trent/clock", json={"advanceSeconds": -1}, timeout=60).status_code == 400


def test_metrics(server, kms):
    """Every counter has a help text and a type, and a value; what these calls do is counted."""
    def values():
        text = server.get("/_trent/metrics")
        names = re.findall(r"^# TYPE (\S+) (?:counter|gauge)$", text, re.M)
        assert sorted(names) == sorted(re.findall(r"^# HELP (\S+) \S.*$", text, re.M))
        assert sorted(names) == sorted(set(names)) and len(names) > 25
        return {name: float(re.search(r"^%s(?:\{.*\})? (\S+)$" % name, text, re.M).group(1)) for name in names}

    kms.list_keys()  # requests are counted by operation: there is a sample once there was one
    before = values()
    key = external_key(kms)["KeyId"]
    parameters = parameters_for(kms, key)
    import_material(kms, key, os.urandom(32), parameters)
    kms.delete_imported_key_material(KeyId=key)
    after = values()
    for name, more in (("trent_keys", 1), ("trent_import_tokens", 1), ("trent_erasures_total", 1),
                       ("trent_erasure_failures_total", 0), ("trent_slots_erasable", 1), ("trent_tls_errors_total", 0)):
        assert after[name] == before[name] + more, name
    for name in ("trent_audit_records_total", "trent_audit_bytes_total", "trent_audit_syncs_total"):
        assert after[name] > before[name], name


def test_clock_is_not_for_web_pages(new_server):
    """Any page can make a browser send something here: not what moves the clock."""
    url = new_server().url + "/_trent/clock"

    def now():
        told = requests.post(url, json={"advanceSeconds": 0}, timeout=60).json()["now"]
        return datetime.datetime.fromisoformat(told.replace("Z", "+00:00"))

    before, body, day = now(), '{"advanceSeconds": 86400}', datetime.timedelta(days=1)
    for headers, status in (({}, 415), ({"Content-Type": "text/plain"}, 415),
                            ({"Content-Type": "application/x-www-form-urlencoded"}, 415),
                            ({"Content-Type": "application/jsonp"}, 415),
                            ({"Content-Type": "application/json", "Origin": "http://example.org"}, 403),
                            ({"Content-Type": "application/json", "Origin": "null"}, 403),
                            ({"Content-Type": "application/json", "Origin": ""}, 403)):
        assert requests.post(url, data=body, headers=headers, timeout=60).status_code == status, headers
    assert now() < before + day
    answer = requests.post(url, data=body, headers={"Content-Type": "Application/JSON; charset=utf-8"}, timeout=60)
    assert answer.status_code == 200 and now() >= before + day


def test_clock_moves_to_a_date(new_server):
    """Forward only, in whole seconds; what falls due has happened when the answer is there."""
    server = new_server()
    kms = server.client()
    key = kms.create_key()["KeyMetadata"]["KeyId"]
    kms.enable_key_rotation(KeyId=key, RotationPeriodInDays=90)
    scheduled = kms.create_key()["KeyMetadata"]["KeyId"]
    kms.schedule_key_deletion(KeyId=scheduled, PendingWindowInDays=7)

    def move(**body):
        answer = requests.post(server.url + "/_trent/clock", json=body, timeout=60)
        return answer.status_code, answer.json()

    status, answer = move(advanceTo="2028-02-29T23:59:58Z")
    assert status == 200 and answer["jobsDone"] and set(answer) == {"now", "jobsDone"}
    assert "2028-02-29T23:59:58Z" <= answer["now"] < "2028-03-01T00:01:00Z"  # it goes on meanwhile
    assert len(kms.list_key_rotations(KeyId=key)["Rotations"]) == 1  # one, however many were missed
    assert error_of(kms.describe_key, KeyId=scheduled)[0] == "NotFoundException"
    assert [r["eventName"] for r in server.audit() if r["eventName"] in ("RotateKey", "DeleteKey")] != []
    for wrong in ({"advanceTo": "2028-02-29T00:00:00Z"}, {"advanceTo": "2029-02-29T00:00:00Z"}, {"advanceTo": 5},
                  {"advanceTo": "tomorrow"}, {}, {"advanceSeconds": "5"}, {"advanceSeconds": 1.5},
                  {"advanceSeconds": 1, "advanceTo": "2030-01-01T00:00:00Z"}):
        status, answer = move(**wrong)
        assert status == 400 and answer["now"].startswith("2028-0") and "error" in answer, wrong
    assert move(advanceTo="9999-12-31T23:59:58Z")[0] == 200
    assert move(advanceSeconds=2)[0] == 400


def test_clock_is_for_development(new_server, tmp_path):
    server = new_server()
    server.stop()
    production = Server(server.data, "--regions=us-east-1", "--allow-erase-grade-c", "--allow-unlocked-memory", dev=False)
    with production:
        assert requests.post(production.url + "/_trent/clock", json={"advanceSeconds": 1}, timeout=60).status_code == 404
        assert production.client().list_keys()["Keys"] == []
        code, text = error_of(production.client(region="eu-west-1").list_keys)
        assert (code, text) == ("InvalidSignatureException", "Credential should be scoped to a valid region. ")
        for _ in range(20):
            error_of(production.client(region="eu-west-1").list_keys)
        lines = [line for line in production.log().splitlines() if "eu-west-1" in line]
        assert 1 <= len(lines) <= 2 * os.cpu_count()  # of each loop, once a minute
        assert " info " in lines[0] and "'regions'" in lines[0]


def test_local_socket_serves_status_only(server):
    facts = server.status()
    assert facts["url"] == server.url and facts["erase"]["grade"] in "ABC" and facts["audit"]["healthy"] is True
    assert oct((server.data / "trent.sock").stat().st_mode & 0o777) == "0o600"


# --- TLS ----------------------------------------------------------------------------------------------------


def certificate(folder, name):
    subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days",
                    "2", "-subj", "/CN=" + name, "-addext", "subjectAltName=IP:127.0.0.1", "-keyout",
                    str(folder / "key.pem"), "-out", str(folder / "cert.pem")], check=True, capture_output=True)


def served_name(server):
    return ssl.get_server_certificate(server.address)


def test_tls(new_server, tmp_path):
    """boto3 over TLS, versions below 1.2 refused, certificate read again on SIGHUP."""
    certificate(tmp_path, "first")
    server = new_server("--tls-cert=%s/cert.pem" % tmp_path, "--tls-key=%s/key.pem" % tmp_path)
    assert server.url.startswith("https://")
    import boto3
    kms = boto3.client("kms", endpoint_url=server.url, region_name="us-east-1", aws_access_key_id="test",
                       aws_secret_access_key="test", verify=str(tmp_path / "cert.pem"))
    key = kms.create_key()["KeyMetadata"]["KeyId"]
    record = [r for r in server.audit() if r["eventName"] == "CreateKey"][-1]
    assert record["tlsDetails"]["tlsVersion"].startswith("TLSv1.")

    for version, good in ((ssl.TLSVersion.TLSv1_1, False), (ssl.TLSVersion.TLSv1_2, True), (ssl.TLSVersion.TLSv1_3, True)):
        context = ssl.create_default_context(cafile=str(tmp_path / "cert.pem"))
        context.set_ciphers("DEFAULT@SECLEVEL=0")
        context.minimum_version = context.maximum_version = version
        try:
            with socket.create_connection(server.address, timeout=60) as s, context.wrap_socket(
                    s, server_hostname="127.0.0.1") as t:
                assert good and t.version() == {ssl.TLSVersion.TLSv1_2: "TLSv1.2"}.get(version, "TLSv1.3")
        except (ssl.SSLError, ConnectionError):
            assert not good

    before = served_name(server)
    certificate(tmp_path, "second")
    server.process.send_signal(signal.SIGHUP)
    deadline = time.monotonic() + 60
    while served_name(server) == before:
        assert time.monotonic() < deadline, "the new certificate is not served"
        time.sleep(0.05)
    (tmp_path / "cert.pem").write_text("no certificate")
    server.process.send_signal(signal.SIGHUP)
    while "the old certificate stays in use" not in server.log():
        assert time.monotonic() < deadline, server.log()
        time.sleep(0.05)
    assert served_name(server) != before and server.process.poll() is None  # the good one stays in use
    assert os.path.exists(server.data) and key


def test_slow_client_does_not_hold_others(server, kms):
    """Half a request on many connections; others are served meanwhile."""
    held = [socket.create_connection(server.address) for _ in range(30)]
    for s in held:
        s.sendall(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Le")
    start = time.monotonic()
    for _ in range(20):
        kms.generate_random(NumberOfBytes=16)
    assert time.monotonic() - start < 10
    for s in held:
        s.close()


def test_many_at_once_that_send_no_more(new_server):
    """More connections are readable at once than libuv asks the kernel for: it asks again before a turn has parsed
    what was read, and that is the end of the client's sending."""
    count = 1500
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard < 2 * count:
        pytest.skip("too few descriptors")
    server = new_server("--loops=1")
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, 2 * count), hard))
    connections = []
    try:
        for i in range(count):  # an address may have 64 of them without a signature
            c = socket.socket()
            connections.append(c)
            c.bind(("127.0.1.%d" % (1 + i // 50), 0))
            c.connect(server.address)
            c.settimeout(30)
        while int(re.search(r"^trent_connections (\d+)", server.get("/_trent/metrics"), re.M).group(1)) < count:
            time.sleep(0.01)
        server.process.send_signal(signal.SIGSTOP)
        for c in connections:
            c.sendall(b"GET /_trent/health HTTP/1.1\r\nHost: trent\r\n\r\n")
            c.shutdown(socket.SHUT_WR)
        server.process.send_signal(signal.SIGCONT)
        assert {c.recv(4096)[:15] for c in connections} == {b"HTTP/1.1 200 OK"}
    finally:
        server.process.send_signal(signal.SIGCONT)
        for c in connections:
            c.close()
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
