"""What tests/bench/run is made of: requests as an SDK signs them, verdicts, the picture, and one short run of it all."""
import argparse
import datetime
import json
import os
import pathlib
import subprocess
import sys
import xml.dom.minidom

import botocore.auth
import pytest
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
import harness  # noqa: E402
import picture  # noqa: E402
import report  # noqa: E402
import rig  # noqa: E402
import traffic  # noqa: E402
from trent_server import TRENTD  # noqa: E402

MOMENT = datetime.datetime(2026, 11, 22, 8, 30, 1, tzinfo=datetime.timezone.utc)


def test_requests_are_signed_as_botocore_signs_them(monkeypatch):
    monkeypatch.setattr(botocore.auth, "get_current_datetime", lambda *_, **__: MOMENT.replace(tzinfo=None))
    operation = traffic.encrypt("some-key")
    bodies = [operation.body(i) for i in range(3)]
    for body, made in zip(bodies, traffic.Signer(8080).requests("Encrypt", bodies, MOMENT)):
        data = json.dumps(body).encode()
        request = AWSRequest("POST", "http://127.0.0.1:8080/", data=data, headers={
            "Content-Type": "application/x-amz-json-1.1", "X-Amz-Target": "TrentService.Encrypt", "User-Agent": "bench"})
        botocore.auth.SigV4Auth(Credentials("test", "test"), "kms", "us-east-1").add_auth(request)
        head = "POST / HTTP/1.1\r\nHost: 127.0.0.1:8080\r\n" + "".join(
            "%s: %s\r\n" % item for item in request.headers.items()) + "Content-Length: %d\r\n\r\n" % len(data)
        assert made == head.encode() + data


def rows():
    samples = harness.Samples({"rate": 1000.0 * n, "p50": n, "p99": 2 * n, "cpu_us": 10 * n} for n in (3, 1, 2))
    made = harness.Bench(argparse.Namespace(rounds=3, seconds=1), "/nowhere")
    made.section = "http"
    made.row("nginx return 200", samples)
    made.row("Encrypt", samples).judge("CPU / nginx", 1.0, 1.5).judge("rate / nginx", 0.5, 0.65, at_least=True)
    made.row("a call", note="why not", rate=3)
    made.curves.append(harness.Curve("Keys & co", "keys", "us", {"Encrypt": [(1, 2.0), (1000, 3.0)]}))
    return made


def test_bars_are_judged():
    lines = report.table(rows().rows)
    assert lines[-1] == "1 of 2 bars reached"
    encrypt, second = lines[3], lines[4]
    assert encrypt.split()[:5] == ["Encrypt", "2000", "2", "4", "20.00"]
    assert encrypt.split()[-4:] == ["bar", "<=", "1.50", "reached"] and second.split()[-4:] == ["bar", ">=", "0.65", "MISSED"]
    assert lines[5].split() == ["a", "call", "3", "why", "not"]
    judged = harness.Judgement("x", 2.0, 2.0)
    assert judged.passed and not harness.Judgement("x", 2.01, 2.0).passed
    assert harness.Judgement("x", 2.0, 2.0, at_least=True).passed


def test_the_picture_is_svg_with_every_row_and_curve():
    text = picture.draw(json.loads(report.as_json(rows(), report.machine(), TRENTD, 1)))
    drawn = xml.dom.minidom.parseString(text)
    words = [node.firstChild.data for node in drawn.getElementsByTagName("text")]
    assert {"nginx return 200", "Encrypt", "Keys & co", "20.0"} <= set(words)
    assert len(drawn.getElementsByTagName("polyline")) == 1
    reds = [line for line in drawn.getElementsByTagName("line") if line.getAttribute("stroke") == picture.LIMIT]
    assert len(reds) == 1


def test_what_is_not_installed_has_no_version(monkeypatch):
    """Only `make bench` installs nginx: other sections are measured without."""
    monkeypatch.setattr(rig, "nginx_program", lambda: None)
    made = json.loads(report.as_json(rows(), report.machine(), TRENTD, 1))["versions"]
    assert made["nginx"] is None and made["trentd"] and made["python"]


def test_processor_time_counts_children():
    """Half a second of work by the child of a shell that only waits for it."""
    code = "import time\nwhile time.process_time() < 0.5: pass\nprint(flush=True); input()"
    with subprocess.Popen(["sh", "-c", '"$0" -c "$1"; exit', sys.executable, code], stdin=subprocess.PIPE,
                          stdout=subprocess.PIPE) as shell:
        shell.stdout.readline()
        for seconds in (rig.cpu_seconds(shell.pid), rig.cpu_seconds_ever(shell.pid)):
            assert 0.4 < seconds < 1.5
        shell.communicate(b"\n")


def bench(*arguments):
    return subprocess.run([sys.executable, rig.TOP / "tests" / "bench" / "run", *arguments], stdout=subprocess.PIPE,
                          stderr=subprocess.PIPE, text=True, timeout=200,
                          env={**os.environ, "TRENTD": str(pathlib.Path(TRENTD).resolve()), "TRENT_BENCH": "1"})


def test_a_short_run(tmp_path):
    done = bench("--only", "scaling,always", "--rounds", "2", "--seconds", "0.2", "--out", str(tmp_path))
    assert done.returncode == 0, done.stderr
    data = json.loads((tmp_path / "bench.json").read_text())
    assert data["machine"]["cores"] == os.cpu_count() and data["versions"]["trentd"] and data["options"]["rounds"] == 2
    found = {row["name"]: row for row in data["rows"]}
    always = found["Encrypt, audit-sync=always"]
    assert always["figures"]["rate"] > 0 and always["figures"]["cpu_us"] > 1
    judged = always["judgements"][0]
    assert judged["bar"] == 0.6 and judged["passed"] == (judged["reached"] >= 0.6)
    for name in found:
        assert name in done.stdout
    xml.dom.minidom.parse(str(tmp_path / "bench.svg"))


def test_sections_that_are_not_there():
    done = bench("--only", "htpp")
    assert done.returncode == 2 and "no section htpp" in done.stderr


def test_what_cannot_be_measured_is_said(monkeypatch):
    monkeypatch.setattr(rig, "nginx_program", lambda: None)
    made = rows()

    def section(_):
        with pytest.raises(rig.Failed):
            rig.Nginx("/nowhere")
        raise rig.Failed("no nginx")
    made.run("http", section)
    assert made.rows[-1].name == "http was not measured" and made.rows[-1].note == "Failed: no nginx" and made.failed
