"""The machine's clock is set forward and back under the server and between its runs.

Back: what has expired stays expired. Forward: uses are refused at once, but nothing is erased until the new time is
confirmed by ten minutes that pass with it, since refusing can be undone and erasing cannot.

A preloaded library gives the server its time (clock_shim.c, clock_site.py).
"""
import datetime
import json
import os
import time
import urllib.error
import urllib.request

import pytest

from clock_site import DAY, HOUR, MINUTE
from trent_server import Server, imported_key
from wire import Wire, refusal


def test_time_that_passes(site):
    """Nothing is wrong with the clock: expired means refused and erased at once."""
    key, blob, on_disk = site.imported(HOUR)
    site.pass_time(HOUR - MINUTE)
    assert site.call("Decrypt", CiphertextBlob=blob)["Plaintext"] == "AAAA" and on_disk()
    site.pass_time(MINUTE + 1)
    assert site.refused("Decrypt", CiphertextBlob=blob) == "KMSInvalidStateException"
    site.wait_until(lambda: not on_disk(), "expired material stays on disk")
    assert site.call("DescribeKey", KeyId=key)["KeyMetadata"]["KeyState"] == "PendingImport"


def test_small_step(site):
    """Half a minute is what a time service does."""
    _, blob, on_disk = site.imported(20)
    site.set(30)
    assert site.refused("Decrypt", CiphertextBlob=blob) == "KMSInvalidStateException"
    site.wait_until(lambda: not on_disk(), "expired material stays on disk")


def test_forward_jump(site):
    """Refused at once; erased after ten minutes with the new time."""
    key, blob, on_disk = site.imported(HOUR)
    scheduled = site.call("CreateKey")["KeyMetadata"]["KeyId"]
    scheduled_on_disk = site.on_disk(scheduled)
    site.call("ScheduleKeyDeletion", KeyId=scheduled, PendingWindowInDays=7)
    site.set(8 * DAY)
    assert site.refused("Decrypt", CiphertextBlob=blob) == "KMSInvalidStateException"
    assert site.call("DescribeKey", KeyId=key)["KeyMetadata"]["KeyState"] == "PendingImport"
    assert site.refused("DescribeKey", KeyId=scheduled) == "NotFoundException"
    assert site.stays(lambda: on_disk() and scheduled_on_disk()), "erased on an unconfirmed time"
    site.pass_time(9 * MINUTE)
    assert site.stays(lambda: on_disk() and scheduled_on_disk()), "erased before ten minutes had passed"
    site.pass_time(2 * MINUTE)
    site.wait_until(lambda: not on_disk() and not scheduled_on_disk(), "not erased although the time is confirmed")
    assert site.refused("Decrypt", CiphertextBlob=blob) == "KMSInvalidStateException"


def test_forward_jump_and_back(site):
    """The clock was wrong for a moment. What counted as expired stays so, but it is erased only when its time has
    really come."""
    _, blob, on_disk = site.imported(2 * HOUR)
    site.set(DAY)
    assert site.refused("Decrypt", CiphertextBlob=blob) == "KMSInvalidStateException"
    site.set(0)
    assert site.refused("Decrypt", CiphertextBlob=blob) == "KMSInvalidStateException"
    site.pass_time(HOUR)  # more than enough to confirm a time, but not that one
    assert site.refused("Decrypt", CiphertextBlob=blob) == "KMSInvalidStateException"
    assert site.stays(on_disk), "erased by a time that was never confirmed"
    site.pass_time(DAY)
    site.wait_until(lambda: not on_disk(), "expired material stays on disk")


def test_forward_jump_mended_by_restart(site):
    """The same, with a restart when the clock is right again: nothing is lost by it."""
    key, blob, on_disk = site.imported(2 * HOUR)
    site.set(DAY)
    assert site.refused("Decrypt", CiphertextBlob=blob) == "KMSInvalidStateException"
    site.restart(ahead=0)
    assert on_disk(), "erased at start by a time that was never confirmed"
    assert site.refused("Decrypt", CiphertextBlob=blob) == "KMSInvalidStateException"
    assert site.call("DescribeKey", KeyId=key)["KeyMetadata"]["KeyState"] == "PendingImport"
    assert site.stays(on_disk)
    site.pass_time(2 * DAY)
    site.wait_until(lambda: not on_disk(), "expired material stays on disk")


@pytest.mark.parametrize("back", [HOUR, 10 * 365 * DAY])
def test_back_across_a_restart(site, back):
    """Expired in an earlier run, or past its time when the clock is set back before the next one."""
    site.pass_time(DAY)
    _, erased, erased_on_disk = site.imported(HOUR)
    _, past, past_on_disk = site.imported(HOUR + 30)
    site.pass_time(HOUR + 1)
    assert site.refused("Decrypt", CiphertextBlob=erased) == "KMSInvalidStateException"
    site.wait_until(lambda: not erased_on_disk(), "expired material stays on disk")
    site.pass_time(MINUTE)
    site.refused("Decrypt", CiphertextBlob=past)  # its record in the audit is what the next run knows the time by
    site.restart(ahead=site.ahead - back)
    for blob in (erased, past):
        assert site.refused("Decrypt", CiphertextBlob=blob) == "KMSInvalidStateException"
    if back < DAY:  # ValidTo may be a year ahead at most
        _, blob, _ = site.imported(2 * DAY)
        assert site.call("Decrypt", CiphertextBlob=blob)["Plaintext"] == "AAAA"
    times = [r["eventTimeMs"] for r in site.server.audit()]
    latest = 0
    for t in times:
        assert t > latest - 1000, "the audit's time went back"  # but for the order of calls that meet
        latest = max(latest, t)
    site.server.trent("audit", "verify", "--allow-tail")


def test_killed_after_expiry(site):
    """No orderly end that could store the time; the audit has it."""
    _, blob, _ = site.imported(HOUR)
    site.pass_time(HOUR + 1)
    assert site.refused("Decrypt", CiphertextBlob=blob) == "KMSInvalidStateException"
    site.server.kill()
    site.set(0)
    site.server.start()
    assert site.refused("Decrypt", CiphertextBlob=blob) == "KMSInvalidStateException"


def test_expired_while_down(site):
    """A year without the server: on its first answer the material is gone, from the files too."""
    key, blob, on_disk = site.imported(30 * DAY)
    assert site.server.stop() == 0
    site.pass_time(365 * DAY)
    site.server.start()
    assert not on_disk()
    assert site.refused("Decrypt", CiphertextBlob=blob) == "KMSInvalidStateException"
    assert site.call("DescribeKey", KeyId=key)["KeyMetadata"]["KeyState"] == "PendingImport"


# --- set forward while the server was stopped, and the operator's word --------------------------------------------


def confirm(site, code=0):
    done = site.server.trent("clock", "confirm", check=False)
    assert done.returncode == code, done.stdout + done.stderr
    return done.stdout + done.stderr


def time_certain(site):
    return json.loads(site.server.trent("status", "--json").stdout)["timeCertain"]


def confirmations(site):
    return sum(r["eventName"] == "TrentClockConfirmed" for r in site.server.audit())


def test_jump_while_down(site):
    """The boot clock says that less time has passed: refused at once, erased after ten minutes, in however many runs."""
    key, blob, on_disk = site.imported(HOUR)
    scheduled = site.call("CreateKey")["KeyMetadata"]["KeyId"]
    scheduled_on_disk = site.on_disk(scheduled)
    site.call("ScheduleKeyDeletion", KeyId=scheduled, PendingWindowInDays=7)
    assert site.server.stop() == 0
    site.pass_time(2 * MINUTE)
    site.set(8 * DAY)
    for start in range(3):
        site.server.start()
        assert "'trent clock confirm'" in site.server.log().split("\n", 1)[1] and not time_certain(site)
        assert site.refused("Decrypt", CiphertextBlob=blob) == "KMSInvalidStateException"
        assert site.refused("DescribeKey", KeyId=scheduled) == "NotFoundException"
        site.pass_time(4 * MINUTE)
        assert on_disk() and scheduled_on_disk(), "erased at start by an unconfirmed time"
        if start == 1:
            site.server.kill()
        else:
            assert site.server.stop() == 0
    site.server.start()
    assert site.stays(lambda: on_disk() and scheduled_on_disk())
    site.pass_time(11 * MINUTE)
    site.wait_until(lambda: not on_disk() and not scheduled_on_disk(), "not erased although the time is confirmed")
    assert time_certain(site) and confirmations(site) == 0


def test_jump_while_down_is_confirmed(site):
    """The operator's word is enough, and is in the audit; with it the next start knows the time."""
    _, blob, on_disk = site.imported(HOUR)
    _, later, later_on_disk = site.imported(10 * DAY)
    site.restart(ahead=2 * DAY)
    assert site.refused("Decrypt", CiphertextBlob=blob) == "KMSInvalidStateException" and on_disk()
    assert "Confirmed: it is 2" in confirm(site)
    site.wait_until(lambda: not on_disk(), "not erased although the time is confirmed")
    assert confirmations(site) == 1 and time_certain(site)
    assert site.server.stop() == 0
    site.pass_time(10 * DAY)
    site.server.start()
    assert not later_on_disk(), "time that passed, after a jump that was confirmed"
    assert site.refused("Decrypt", CiphertextBlob=later) == "KMSInvalidStateException"


def test_running_jump_is_confirmed(site):
    _, blob, on_disk = site.imported(HOUR)
    site.set(DAY)
    assert site.refused("Decrypt", CiphertextBlob=blob) == "KMSInvalidStateException"
    assert site.stays(on_disk) and not time_certain(site)
    confirm(site)
    site.wait_until(lambda: not on_disk(), "not erased although the time is confirmed")


def test_wrong_time_is_not_confirmed(site):
    """The clock is right again, and behind what it once said."""
    _, blob, on_disk = site.imported(HOUR)
    site.set(DAY)
    assert site.refused("Decrypt", CiphertextBlob=blob) == "KMSInvalidStateException"
    site.set(0)
    assert "behind the highest time" in confirm(site, code=1)
    assert site.stays(on_disk) and confirmations(site) == 0
    assert site.server.stop() == 0
    assert "no server is running" in confirm(site, code=3)
    site.server.start()


def test_after_a_reboot(site):
    """Nothing tells how long the machine was off: ten minutes, or the operator's word."""
    _, blob, on_disk = site.imported(HOUR)
    assert site.server.stop() == 0
    site.pass_time(DAY)
    note = site.server.data / "clock"
    boot, drift = note.read_text().split()
    note.write_text("%s %s\n" % (boot[:-1] + ("0" if boot[-1] != "0" else "1"), drift))
    site.server.start()
    assert site.refused("Decrypt", CiphertextBlob=blob) == "KMSInvalidStateException"
    assert on_disk() and not time_certain(site)
    confirm(site)
    site.wait_until(lambda: not on_disk(), "not erased although the time is confirmed")


@pytest.mark.parametrize("note", [None, b"", b"nonsense\n", b"0" * 200])
def test_without_a_note(site, note):
    """Lost or damaged: the highest time that the files know has to do, and a day more is too much."""
    _, blob, on_disk = site.imported(HOUR)
    assert site.server.stop() == 0
    site.pass_time(DAY)
    path = site.server.data / "clock"
    path.unlink()
    if note is not None:
        path.write_bytes(note)
    site.server.start()
    assert site.refused("Decrypt", CiphertextBlob=blob) == "KMSInvalidStateException"
    assert on_disk()


def test_confirming_is_for_the_operator(site):
    """Only through the local socket."""
    url = site.server.url + "/_trent/clock/confirm"
    with pytest.raises(urllib.error.HTTPError, match="404"):
        urllib.request.urlopen(urllib.request.Request(url, data=b"", method="POST"), timeout=60)


def test_signatures_follow_the_machine(site):
    """Freshness is judged by the machine's clock, not by the one that never goes back."""
    site.set(HOUR)
    site.call("GenerateRandom", NumberOfBytes=8)
    site.set(0)
    site.call("GenerateRandom", NumberOfBytes=8)
    with Wire(site.server, ahead=HOUR) as wire:
        assert refusal(wire.call, "GenerateRandom", NumberOfBytes=8).code == "InvalidSignatureException"


def test_development_clock_goes_on(tmp_path):
    """In development mode, where the clock can be moved, it goes on after a restart from where it stood."""
    with Server(tmp_path / "data") as server:
        server.advance(30 * DAY)
        server.client().list_keys()
        server.stop()
        server.start()

        def now():
            return datetime.datetime.fromisoformat(server.advance(0)["now"].replace("Z", "+00:00")).timestamp()

        before = time.time()
        first = now()
        assert first > before + 30 * DAY - 2
        time.sleep(1.1)
        assert now() >= first + 1
        # and what falls due is erased at once: this time was asked for
        kms = server.client()
        until = datetime.datetime.fromtimestamp(first + HOUR, datetime.timezone.utc)
        key, _ = imported_key(kms, os.urandom(32), ValidTo=until)
        server.advance(2 * HOUR)
        deadline = time.monotonic() + 60
        while not any(r["eventName"] == "TrentReceipt" and r["serviceEventDetails"]["keyArn"] == key["Arn"]
                      for r in server.audit()):
            assert time.monotonic() < deadline, "not erased"
            time.sleep(0.05)
