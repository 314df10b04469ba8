"""Steps of the machine's clock past everything that time does to keys, in the middle of requests and of a start; and
days of the calendar on which others have counted wrongly (trust-model 2.8, 6.15).

What is looked at is a server's answers and its files. Its clock often stands still, so that a second is a second
however slow the machine is.
"""
import base64
import calendar
import collections
import threading

import pytest

from clock_site import DAY, HOUR, MINUTE
from trent_server import wrap
from wire import Refused, Wire, refusal

YEAR = 365 * DAY
WINDOW, PERIOD = 7 * DAY, 90 * DAY
GONE = "KMSInvalidStateException"


def confirm(site):
    """The operator's word; what was put off is looked at again ten seconds later."""
    site.server.trent("clock", "confirm")
    site.pass_time(11)


def used(site, blob):
    """Whether it can be; refused is it only for its expiry."""
    try:
        return site.call("Decrypt", CiphertextBlob=blob)["Plaintext"] == "AAAA"
    except Refused as e:
        assert e.code == GONE
        return False


class Due:
    """Three keys to which something happens at the same second: expiry, the end of a window, a rotation."""

    def __init__(self, site):
        self.site = site
        self.rotating = site.call("CreateKey")["KeyMetadata"]["KeyId"]
        site.call("EnableKeyRotation", KeyId=self.rotating, RotationPeriodInDays=PERIOD // DAY)
        self.at = site.now() + PERIOD

    def schedule(self):
        self.scheduled = self.site.call("CreateKey")["KeyMetadata"]["KeyId"]
        self.scheduled_on_disk = self.site.on_disk(self.scheduled)
        self.site.call("ScheduleKeyDeletion", KeyId=self.scheduled, PendingWindowInDays=WINDOW // DAY)

    def expire(self):
        self.imported, self.blob, self.imported_on_disk = self.site.imported(self.at - self.site.now())

    def refused(self):
        """What the server says now; the three agree about it."""
        with Wire(self.site.server, ahead=self.site.client_ahead()) as wire:
            usable = used(self.site, self.blob)
            state = wire.call("DescribeKey", KeyId=self.imported)["KeyMetadata"]["KeyState"]
            assert state == ("Enabled" if usable else "PendingImport")
            try:
                assert wire.call("DescribeKey", KeyId=self.scheduled)["KeyMetadata"]["KeyState"] == "PendingDeletion"
                exists = True
            except Refused as e:
                assert e.code == "NotFoundException"
                exists = False
        assert exists == usable, "one is past its time and the other is not"
        return not usable

    def rotations(self):
        return len(self.site.call("ListKeyRotations", KeyId=self.rotating)["Rotations"])

    def untouched(self):
        return self.imported_on_disk() and self.scheduled_on_disk() and self.rotations() == 0

    def done(self):
        return not self.imported_on_disk() and not self.scheduled_on_disk() and self.rotations() == 1


def due(site, *later):
    """Keys that are due in a minute, and so many seconds later. The clock stands still."""
    site.come_to(int(site.now()) + 1)
    begin, keys = site.now(), []
    for after in (0, *later):
        site.come_to(begin + after)
        keys.append(Due(site))
    for d in keys:
        site.come_to(d.at - WINDOW)
        d.schedule()
    site.come_to(keys[0].at - MINUTE)
    for d in keys:
        d.expire()
        assert not d.refused() and d.untouched()
    return keys


@pytest.mark.parametrize("by", [30, HOUR, 10 * YEAR])
@pytest.mark.parametrize("how", ["ten minutes", "operator"])
def test_forward_past_everything(quick_site, by, how):
    site = quick_site
    keys, = due(site)
    site.come_to(keys.at - min(by, HOUR) / 2 if by < HOUR else keys.at - MINUTE / 2)
    assert not keys.refused()
    site.stand_at(site.now() + by)
    assert keys.refused()
    if by > MINUTE:
        assert site.stays(keys.untouched, seconds=1.5), "done by an unconfirmed time"
        if how == "operator":
            confirm(site)
        else:
            site.pass_time(9 * MINUTE)
            assert site.stays(keys.untouched, seconds=1), "done before ten minutes had passed"
            site.pass_time(2 * MINUTE)
    site.wait_until(keys.done, "not done although the time is certain")
    assert keys.refused()
    site.pass_time(DAY)
    assert keys.rotations() == 1, "what was missed in ten years happens once"


@pytest.mark.parametrize("by", [1, HOUR, 10 * YEAR])
def test_back_behind_everything(quick_site, by):
    """What was due stays so, and what was not yet waits for the machine's clock to come to its time."""
    site = quick_site
    past, future = due(site, HOUR // 2)
    site.come_to(past.at)
    assert past.refused()
    site.wait_until(past.done, "not done at its time")
    site.stand_at(past.at - by)
    assert past.refused() and not future.refused() and past.done()
    site.pass_time(by)
    assert past.refused() and not future.refused()
    assert site.stays(future.untouched, seconds=1), "done before its time"
    site.come_to(future.at - 1)
    assert not future.refused() and future.untouched()
    site.come_to(future.at)
    assert future.refused() and past.refused()
    site.wait_until(future.done, "not done at its time")


@pytest.mark.parametrize("by", [HOUR, 10 * YEAR])
def test_back_before_what_was_seen_is_done(quick_site, by):
    """Seen for a moment that was never confirmed: refused from then on, done when it is that time again."""
    site = quick_site
    keys, = due(site)
    site.stand_at(keys.at + 2 * MINUTE)
    assert keys.refused()
    site.stand_at(keys.at - by)
    assert keys.refused()
    site.pass_time(11 * MINUTE)
    assert keys.refused() and site.stays(keys.untouched, seconds=1), "done by a time that has not come"
    site.come_to(keys.at + 13 * MINUTE)
    site.wait_until(keys.done, "not done although its time has come")


# --- in the middle of a request ------------------------------------------------------------------------------------


def import_again(site, key, valid_for):
    """The bytes of an ImportKeyMaterial of what the key had."""
    got = site.call("GetParametersForImport", KeyId=key, WrappingAlgorithm="RSAES_OAEP_SHA_256",
                    WrappingKeySpec="RSA_2048")
    return {"KeyId": key, "ImportToken": got["ImportToken"], "ExpirationModel": "KEY_MATERIAL_EXPIRES",
            "ValidTo": int(site.now() + valid_for),
            "EncryptedKeyMaterial": base64.b64encode(wrap(base64.b64decode(got["PublicKey"]), b"m" * 32)).decode()}


def external(site):
    key = site.call("CreateKey", Origin="EXTERNAL")["KeyMetadata"]["KeyId"]
    site.call("ImportKeyMaterial", **import_again(site, key, DAY))
    blob = site.call("Encrypt", KeyId=key, Plaintext="AAAA")["CiphertextBlob"]
    site.call("DeleteImportedKeyMaterial", KeyId=key)
    return key, blob


@pytest.mark.parametrize("by", [30, 4 * MINUTE])  # the signature is fresh for five
def test_while_a_request_arrives(quick_site, by):
    """It was sent in time but for its last byte: judged when it has been read."""
    site = quick_site
    site.come_to(int(site.now()))
    _, blob, _ = site.imported(20)
    key, _ = external(site)
    calls = [("Decrypt", {"CiphertextBlob": blob}), ("ImportKeyMaterial", import_again(site, key, 20))]
    wires = [Wire(site.server, ahead=site.client_ahead()) for _ in calls]
    requests = [wire.request(*call) for wire, call in zip(wires, calls)]
    for wire, data in zip(wires, requests):
        wire.send(data[:-1])
    site.call("GenerateRandom", NumberOfBytes=1)
    site.stand_at(site.now() + by)
    for wire, data, code in zip(wires, requests, (GONE, "ValidationException")):
        wire.send(data[-1:])
        assert refusal(wire.receive).code == code
        wire.close()
    assert site.call("DescribeKey", KeyId=key)["KeyMetadata"]["KeyState"] == "PendingImport"


@pytest.mark.parametrize("by", [30, HOUR, 10 * YEAR])
def test_between_the_check_and_the_commit_of_an_import(quick_site, by):
    """ValidTo is ahead when it is checked, and past when the material is stored: it was never usable."""
    site = quick_site
    site.come_to(int(site.now()))
    key, blob = external(site)
    again = import_again(site, key, 20)
    site.arm(by)
    try:
        site.call("ImportKeyMaterial", **again)
        stored = True
    except Refused as e:
        assert e.code == "ValidationException"
        stored = False
    assert site.stepped(), "no sync between check and commit"
    assert site.refused("Decrypt", CiphertextBlob=blob) == GONE
    assert site.call("DescribeKey", KeyId=key)["KeyMetadata"]["KeyState"] == "PendingImport"
    if by > MINUTE and stored:
        on_disk = site.on_disk(key)
        assert site.stays(on_disk, seconds=1), "erased by an unconfirmed time"
        confirm(site)
        site.wait_until(lambda: not on_disk(), "not erased although the time is confirmed")
    assert site.refused("Decrypt", CiphertextBlob=blob) == GONE


@pytest.mark.parametrize("by", [30, HOUR])
def test_between_the_check_and_the_commit_of_a_cancel(quick_site, by):
    """The window ends while CancelKeyDeletion is stored: whichever it is, it stays so."""
    site = quick_site
    keys, = due(site)
    site.come_to(keys.at - 10)
    site.arm(by)
    try:
        site.call("CancelKeyDeletion", KeyId=keys.scheduled)
        saved = True
    except Refused as e:
        assert e.code == "NotFoundException"
        saved = False
    assert site.stepped()
    confirm(site)
    site.pass_time(HOUR)
    site.wait_until(lambda: not keys.imported_on_disk() and keys.rotations() == 1, "the others are not done")
    if saved:
        assert site.call("DescribeKey", KeyId=keys.scheduled)["KeyMetadata"]["KeyState"] == "Disabled"
        assert keys.scheduled_on_disk()
    else:
        assert site.refused("DescribeKey", KeyId=keys.scheduled) == "NotFoundException"


def test_while_uses_are_in_flight(quick_site):
    """Many connections decrypt without a pause: what is sent after the step is refused, everywhere."""
    site = quick_site
    site.come_to(int(site.now()))
    _, blob, on_disk = site.imported(20)
    stepped, stop, ahead = threading.Event(), threading.Event(), site.client_ahead()
    seen = collections.Counter()  # (sent after the step, the answer)

    def work():
        with Wire(site.server, ahead=ahead) as wire:
            while not stop.is_set():
                after = stepped.is_set()
                try:
                    answer = wire.call("Decrypt", CiphertextBlob=blob)["Plaintext"]
                except Refused as e:
                    answer = e.code
                seen[after, answer] += 1

    threads = [threading.Thread(target=work) for _ in range(8)]
    for t in threads:
        t.start()
    try:
        site.wait_until(lambda: seen[False, "AAAA"] > 100, "no uses")
        site.stand_at(site.now() + 20)
        stepped.set()
        site.wait_until(lambda: seen[True, GONE] > 100, "no refusals")
    finally:
        stop.set()
        for t in threads:
            t.join()
    wrong = set(seen) - {(False, "AAAA"), (False, GONE), (True, GONE)}
    assert {answer for _, answer in wrong} <= {"ThrottlingException"}, wrong
    site.wait_until(lambda: not on_disk(), "expired material stays on disk")


# --- in the middle of a start --------------------------------------------------------------------------------------


@pytest.mark.parametrize("after", [0, 1, 2, 4])
@pytest.mark.parametrize("by", [DAY, -DAY, -10 * YEAR])
def test_while_it_starts(quick_site, by, after):
    """The clock is set before or while the server erases, before it listens, what expired while it was down. Set back
    early enough it has never seen that time."""
    site = quick_site
    site.come_to(int(site.now()))
    _, early, early_on_disk = site.imported(HOUR)
    _, late, late_on_disk = site.imported(12 * HOUR)
    assert site.server.stop() == 0
    site.pass_time(2 * HOUR)
    site.arm(by, after)
    site.server.start()
    assert site.stepped(), "fewer syncs than that at start"
    if by > 0:
        assert site.refused("Decrypt", CiphertextBlob=early) == GONE
        assert site.refused("Decrypt", CiphertextBlob=late) == GONE
        assert site.stays(late_on_disk, seconds=1), "erased by an unconfirmed time"
        confirm(site)
        site.wait_until(lambda: not late_on_disk() and not early_on_disk(), "not erased")
        return
    seen = not used(site, early)
    assert seen or early_on_disk(), "erased, but not refused"
    assert used(site, late) and late_on_disk()
    site.pass_time(-by)
    assert not used(site, early) and used(site, late)
    site.wait_until(lambda: not early_on_disk(), "expired material stays on disk")


@pytest.mark.parametrize("down", [MINUTE, 5 * YEAR])
def test_missed_while_down(quick_site, down):
    """All three are done before the first answer, the rotation once; its next date is counted from then."""
    site = quick_site
    keys, = due(site)
    assert site.server.stop() == 0
    site.pass_time(down)
    site.server.start()
    assert not keys.imported_on_disk() and not keys.scheduled_on_disk()
    assert keys.rotations() == 1 and keys.refused()
    status = site.call("GetKeyRotationStatus", KeyId=keys.rotating)
    assert status["NextRotationDate"] == site.now() + PERIOD
    site.restart()
    assert keys.rotations() == 1


# --- days of the calendar ------------------------------------------------------------------------------------------

EDGES = {"2038": (2038, 1, 19, 3, 14, 7), "after 2038": (2038, 1, 19, 3, 14, 8), "leap day": (2028, 2, 29, 0, 0, 0),
         "after a leap day": (2028, 3, 1, 0, 0, 0), "year end": (2027, 12, 31, 23, 59, 59),
         "new year": (2029, 1, 1, 0, 0, 0), "no leap day": (2100, 3, 1, 0, 0, 0)}


@pytest.mark.parametrize("name", EDGES)
def test_to_the_second(quick_site, name):
    """ValidTo, DeletionDate and NextRotationDate are such a second; the one before it is not."""
    site, edge = quick_site, calendar.timegm(EDGES[name])
    site.stand_at(edge - PERIOD - DAY)
    confirm(site)
    site.come_to(edge - PERIOD)
    keys = Due(site)
    site.come_to(edge - WINDOW)
    keys.schedule()
    site.come_to(edge - HOUR)
    keys.expire()

    def dates():
        return (site.call("DescribeKey", KeyId=keys.imported)["KeyMetadata"]["ValidTo"],
                site.call("DescribeKey", KeyId=keys.scheduled)["KeyMetadata"]["DeletionDate"],
                site.call("GetKeyRotationStatus", KeyId=keys.rotating)["NextRotationDate"])

    assert dates() == (edge, edge, edge)
    site.restart()
    assert dates() == (edge, edge, edge)
    site.come_to(edge - 0.001)
    assert not keys.refused() and site.stays(keys.untouched, seconds=0.5)
    site.come_to(edge)
    assert keys.refused()
    site.wait_until(keys.done, "not done at its time")
    rotated, = site.call("ListKeyRotations", KeyId=keys.rotating)["Rotations"]
    assert rotated["RotationDate"] == edge and rotated["RotationType"] == "AUTOMATIC"
    assert site.call("GetKeyRotationStatus", KeyId=keys.rotating)["NextRotationDate"] == edge + PERIOD
