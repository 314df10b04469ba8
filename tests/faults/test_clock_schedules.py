"""Random schedules of a clock that is set forward and back under a real server and between its runs, of restarts, kills
and confirmations (trust-model 2.8, 6.15). tests/unit/jobs/test_clock_schedules.c does the same without a server.

A use is a Decrypt; erasure and deletion are read from the files. A small model, which knows what was done to
the clock, says after each step what may be: no use at or after its ValidTo by the highest time that was seen, and
nothing done for good before a moment at which its time had come and was certain. Where the model and the server could
differ by how long a call took, it lets both be right.

TRENT_CLOCK_SERVER_SCHEDULES and TRENT_CLOCK_SEED set how many and which; a failure names its schedule.
"""
import os
import random
import time

from clock_site import DAY, HOUR, MINUTE, Site
from storage import SLOT_FILES, copy_of
from wire import Refused, Wire

STEPS, AT_ONE_SITE = 8, 10
YEAR, SMALL, SLACK = 365 * DAY, 24.3, 8  # seconds
SCHEDULES = int(os.environ.get("TRENT_CLOCK_SERVER_SCHEDULES", "4"))
SEED = int(os.environ.get("TRENT_CLOCK_SEED", "0"))


class Watched:
    """A key, when it is due, and how to tell that it was done."""

    def __init__(self, kind, key, due, blob=None, needle=None):
        self.kind, self.key, self.due, self.blob, self.needle = kind, key, due, blob, needle
        self.allowed = False  # its time had come, and may have been certain

    def done(self, site):
        """How often."""
        if self.kind == "rotates":
            return len(site.call("ListKeyRotations", KeyId=self.key)["Rotations"])
        return int(all(self.needle not in (site.server.data / name).read_bytes() for name in SLOT_FILES))


class Model:
    def __init__(self, site, number):
        self.site, self.number, self.random = site, number, random.Random(SEED * 1000003 + number)
        self.low = self.high = site.now()  # the highest time that an answer was given by is in between
        self.doubt_until = 0  # on the boot clock
        self.drift = site.ahead - site.boot
        self.story = []
        self.keys = [self.imported() for _ in range(2)] + [self.scheduled(), self.rotating()]

    # --- keys

    def imported(self):
        key, blob, _ = self.site.imported(self.random.choice([30, 5 * MINUTE, HOUR, 2 * DAY, 300 * DAY]))
        due = self.site.call("DescribeKey", KeyId=key)["KeyMetadata"]["ValidTo"]
        return Watched("expires", key, due, blob, self.needle(key))

    def scheduled(self):
        key = self.site.call("CreateKey")["KeyMetadata"]["KeyId"]
        due = self.site.call("ScheduleKeyDeletion", KeyId=key, PendingWindowInDays=7)["DeletionDate"]
        return Watched("scheduled", key, due, needle=self.needle(key))

    def rotating(self):
        key = self.site.call("CreateKey")["KeyMetadata"]["KeyId"]
        self.site.call("EnableKeyRotation", KeyId=key, RotationPeriodInDays=2560)
        return Watched("rotates", key, self.site.call("GetKeyRotationStatus", KeyId=key)["NextRotationDate"])

    def needle(self, key):
        with copy_of(self.site.server.data, self.site.folder / (key + "-again")) as files:
            return files.wrapped_shred_key(files.materials(key)[0])

    # --- what the server should think of its clock

    def boot(self):
        return time.time() + self.site.boot

    def maybe_certain(self):
        return self.boot() >= self.doubt_until - SLACK and self.low - self.site.now() <= MINUTE + SLACK

    def surely_certain(self):
        return self.boot() >= self.doubt_until + SLACK and self.high - self.site.now() <= MINUTE - SLACK

    def look_at_drift(self):
        drift = self.site.ahead - self.site.boot
        if drift - self.drift > MINUTE:
            self.doubt_until = self.boot() + 10 * MINUTE
        self.drift = drift

    # --- steps

    def forward(self):
        by = self.random.choice([1, SMALL, 2 * MINUTE, HOUR, 3 * DAY, 10 * YEAR])
        self.site.set(self.site.ahead + by)
        return "forward %g" % by

    def back(self):
        by = self.random.choice([1, SMALL, HOUR, 2 * DAY, 10 * YEAR])
        self.site.set(self.site.ahead - by)
        return "back %g" % by

    def passes(self):
        by = self.random.choice([5, 50, 9 * MINUTE, 11 * MINUTE, HOUR + 7, DAY + 11])
        self.site.pass_time(by)
        return "passes %g" % by

    def restart(self):
        orderly = self.random.random() < 0.5
        if orderly:
            assert self.site.server.stop() == 0
        else:
            self.site.server.kill()
        what = self.random.choice([self.forward, self.back, self.passes, lambda: "nothing"])()
        # The note of the last certain drift, as the files tell it: the true boot clock's is part of it.
        noted = int((self.site.server.data / "clock").read_text().split()[1]) / 1000
        self.drift = self.site.ahead - self.site.boot
        apart = self.drift - (noted - self.true_drift())
        assert abs(apart - MINUTE) > 1, "the model cannot tell"
        self.doubt_until = self.boot() + 10 * MINUTE if apart > MINUTE else 0
        self.seen(self.site.now())
        self.site.server.start()
        if self.doubt_until:
            self.doubt_until = self.boot() + 10 * MINUTE
        return "%s, %s while it is down" % ("restart" if orderly else "kill", what)

    @staticmethod
    def true_drift():
        return time.time() - time.clock_gettime(time.CLOCK_BOOTTIME)

    def confirm(self):
        self.look_at_drift()
        if self.site.server.trent("clock", "confirm", check=False).returncode == 0:
            assert self.low - self.site.now() <= MINUTE + SLACK, self.told("confirmed a time behind the highest")
            self.doubt_until = 0
        self.site.pass_time(11)  # what was put off is looked at again
        return "confirm"

    def told(self, what):
        return "schedule %d: %s, after %s" % (self.number, what, "; ".join(self.story))

    def seen(self, upto):
        """The server may have seen this time: what is due by it may be done if it is certain."""
        self.high = max(self.high, upto)
        for k in self.keys:
            k.allowed = k.allowed or (self.maybe_certain() and self.high >= k.due)

    # --- what is so

    def use(self, k):
        before = self.site.now()
        try:
            with Wire(self.site.server, ahead=self.site.client_ahead()) as wire:
                if k.kind == "expires":
                    wire.call("Decrypt", CiphertextBlob=k.blob)
                else:
                    wire.call("DescribeKey", KeyId=k.key)
            answer = True
        except Refused as e:
            assert e.code == ("KMSInvalidStateException" if k.kind == "expires" else "NotFoundException")
            answer = False
        self.low = max(self.low, before)
        self.high = max(self.high, self.site.now())
        if answer:
            assert self.low < k.due, self.told("%s used %g s after its time" % (k.kind, self.low - k.due))
        else:
            assert self.high >= k.due, self.told("%s refused %g s before its time" % (k.kind, k.due - self.high))

    def check(self):
        self.look_at_drift()
        self.seen(self.site.now() + 0.5)
        certain = self.site.server.status()["timeCertain"]
        assert not certain or self.maybe_certain(), self.told("certain, but it is in doubt")
        assert certain or not self.surely_certain(), self.told("in doubt, but it is certain")
        for k in self.keys:
            if k.kind != "rotates":
                self.use(k)
        time.sleep(0.1)  # the jobs' naps are 20 ms
        self.seen(self.site.now())
        put_off = 0
        for k in self.keys:
            done = k.done(self.site)
            assert not done or k.allowed, self.told("%s done for good in doubt or before its time" % k.kind)
            assert k.kind != "rotates" or done <= 1 or self.high >= k.due + 2560 * DAY, self.told("rotated twice")
            put_off += not done and self.low >= k.due and not self.maybe_certain()
        return put_off

    def rest(self):
        """The clock is right, and time has passed: nothing is left to do."""
        self.site.pass_time(max(0, max([self.high] + [k.due for k in self.keys]) - self.site.now() + 1))
        self.story.append("rest")
        self.check()
        for _ in range(2):
            self.site.pass_time(11 * MINUTE)
            self.check()
        self.site.wait_until(lambda: all(k.done(self.site) for k in self.keys),
                             self.told("not done in the end"))

    def run(self):
        put_off = self.check()
        for _ in range(STEPS):
            step = self.random.choice([self.passes, self.passes, self.forward, self.forward, self.back, self.restart,
                                       self.restart, self.confirm])
            self.story.append(step.__name__)
            self.story[-1] = step()
            put_off += self.check()
        self.rest()
        return put_off


def test_random_schedules(tmp_path, clock_library):
    put_off = number = 0
    while number < SCHEDULES:
        folder = tmp_path / str(number)
        folder.mkdir()
        site = Site(folder, clock_library, nap_ms=20)
        try:
            for _ in range(min(AT_ONE_SITE, SCHEDULES - number)):
                put_off += Model(site, number).run()
                number += 1
        finally:
            site.server.stop()
    print("%d schedules, %d times something had to wait for certainty" % (number, put_off))
    assert put_off > 0
