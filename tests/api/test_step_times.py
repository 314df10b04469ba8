"""The setting step-times: what each step of a request takes, in the metrics."""
import re
import time

import pytest

REQUESTS = 20
STEPS = ["sigv4", "operation", "lane", "recipient", "key", "authz", "state", "run", "commit", "committed"]
ALL = STEPS + ["http", "record", "audit", "use", "answer"]


def samples(server, name):
    page = server.get("/_trent/metrics")
    return {step: float(v) for step, v in re.findall(r'^%s{step="(\w+)"} ([0-9.]+)$' % name, page, re.M)}


def calls(server):
    return samples(server, "trent_request_step_calls_total")


def seconds(server):
    return samples(server, "trent_request_step_seconds_total")


def calls_after(server, before, n=1):
    """Once the answers of `n` requests are counted, which they are when they have been sent."""
    deadline = time.monotonic() + 60
    while calls(server)["answer"] < before["answer"] + n:
        assert time.monotonic() < deadline, "not counted"
        time.sleep(0.01)
    return calls(server)  # of that page the first lines could be older than the last


@pytest.fixture
def measured(new_server):
    return new_server("--step-times=true", "--loops=2")


def test_every_request_counts_in_every_step(measured):
    kms = measured.client()
    key = kms.create_key()["KeyMetadata"]["KeyId"]
    before = calls_after(measured, dict.fromkeys(ALL, 0))  # CreateKey's too
    for _ in range(10):
        took_before, began = seconds(measured), time.monotonic()
        for _ in range(REQUESTS):
            kms.encrypt(KeyId=key, Plaintext=b"x" * 32)
        after, took = calls_after(measured, before, REQUESTS), seconds(measured)
        elapsed = time.monotonic() - began

        assert sorted(after) == sorted(took) == sorted(ALL)
        assert {step: after[step] - before[step] for step in ALL} == {step: REQUESTS for step in ALL}
        spent = {step: took[step] - took_before[step] for step in ALL}
        assert all(s > 0 for s in spent.values())
        assert sum(spent.values()) < elapsed
        if spent["sigv4"] > spent["lane"]:
            break  # a thread that loses its processor in a short step makes that a long one
        before = after
    assert spent["sigv4"] > spent["lane"]


def test_a_step_that_refuses_is_the_last(measured):
    before = calls(measured)
    with pytest.raises(Exception, match="does not exist"):
        measured.client().describe_key(KeyId="1234abcd-12ab-34cd-56ef-1234567890ab")
    after = calls_after(measured, before)
    came = [step for step in STEPS if after[step] > before[step]]
    assert came == ["sigv4", "operation", "lane", "recipient", "key"]
    assert after["answer"] - before["answer"] == 1


def test_what_moves_to_the_pool_is_counted_there(measured):
    before = calls(measured)
    measured.client().create_key()
    after = calls_after(measured, before)
    assert all(after[step] - before[step] == 1 for step in ALL)


def test_nothing_is_measured_by_default(new_server):
    server = new_server()
    server.client().list_keys()
    page = server.get("/_trent/metrics")
    assert "trent_request_step" not in page
    assert "trent_requests_total" in page
