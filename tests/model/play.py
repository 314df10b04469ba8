"""Plays worlds: a server, a machine, a generator; makes failing sequences short.

    tests/model/run --seed 7 --calls 400            # that world again
    tests/model/run --calls 1000000 --jobs 2        # many worlds, for a long time
"""
import json
import pathlib
import random
import shutil
import sys
import tempfile
import time
import traceback

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "api"))
from sequences import Generator  # noqa: E402
from machine import LATE, Machine, Skipped  # noqa: E402
from trent_server import TRENTD, Server  # noqa: E402

WORLD_CALLS = 4000
# region-delay and rotation-delay, in seconds; long ones are passed with the development clock only
DELAYS = [(0, 0), (1800, 0), (0, 3600), (1800, 3600)]


def delays_of(seed):
    return DELAYS[seed % len(DELAYS)]


class Failed(Exception):
    """A sequence of actions that ends where the server and the model differ."""

    def __init__(self, seed, actions, reason):
        super().__init__(reason)
        self.seed, self.actions, self.reason = seed, actions, reason


class Site:
    """A server on a fresh data directory (in memory where there is such a file system), and its machine."""

    def __init__(self, seed, late=LATE):
        region_delay, rotation_delay = delays_of(seed)
        shared = pathlib.Path("/dev/shm")
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="trent-model-", dir=shared if shared.is_dir() else None))
        self.server = Server(self.folder / "data", "--region-delay=%d" % region_delay,
                             "--rotation-delay=%d" % rotation_delay, "--log-level=warning", "--loops=1")
        try:
            self.server.start()
            self.machine = Machine(self.server, region_delay, rotation_delay, late)
        except BaseException:
            self.close()
            raise

    def close(self):
        self.server.kill()
        shutil.rmtree(self.folder, ignore_errors=True)

    def __enter__(self):
        return self.machine

    def __exit__(self, *exc):
        self.close()


def play(seed, calls, regions=True):
    """One world. Returns its machine; raises Failed."""
    actions = []
    with Site(seed) as machine:
        generator = Generator(random.Random(seed), machine, regions)
        try:
            while machine.calls < calls:
                action = generator.next()
                if action is None:
                    continue
                actions.append(action)
                try:
                    machine.run(action)
                except Skipped:
                    actions.pop()
            machine.look_at_all()
        except Exception as e:
            raise Failed(seed, actions, why(e) + ended(machine.server)) from e
    return machine


def ended(server):
    """What a server that is not there any more left behind."""
    status = server.process.poll()
    return "" if status is None else "\nthe server ended with status %d: %s" % (status, server.log()[-2000:])


def why(e):
    text = "%s: %s" % (type(e).__name__, e)
    if type(e).__name__ not in ("Differs", "Straddle"):
        text += "\n" + traceback.format_exc()
    return text


def replay(seed, actions):
    """Plays these actions in a new world; the reason if it fails, and after how many."""
    with Site(seed, late=3) as machine:
        for n, action in enumerate(actions):
            try:
                machine.run(action)
            except Skipped:
                continue
            except Exception as e:
                return why(e), n + 1
        try:
            machine.look_at_all()
        except Exception as e:
            return why(e), len(actions)
    return None, len(actions)


def without(actions, start, size):
    """The actions without some of them. Keys are named by the order of their creation: those after a creation that
    goes get other numbers, and what is about a key that is never made goes too."""
    number, made, kept = {}, 0, []
    for i, (name, p) in enumerate(actions):
        left_out = start <= i < start + size
        if name == "create":
            if not left_out:
                number[made] = len(number)
            made += 1
        elif p.get("key") is not None:
            if p["key"] in number:
                p = {**p, "key": number[p["key"]]}
            elif p["key"] < made:
                continue
        if not left_out:
            kept.append((name, p))
    return kept


def shorten(seed, actions, seconds=60):
    """Leaves out what the failure does not need, as long as it takes at most `seconds`. Returns the actions and the
    reason; None for the reason if it does not fail again."""
    deadline = time.monotonic() + seconds
    reason, n = replay(seed, actions)
    if reason is None:
        return actions, None
    actions = actions[:n]
    size = max(len(actions) // 2, 1)
    while time.monotonic() < deadline:
        start, found = 0, False
        while start < len(actions) and time.monotonic() < deadline:
            fewer = without(actions, start, size)
            again, n = replay(seed, fewer)
            if again is not None:
                actions, reason, found = fewer[:n], again, True
            else:
                start += size
        if size == 1 and not found:
            break
        size = max(size // 2, 1)
    return actions, reason


def report(failed, shorter_seconds=60):
    """What to print about a failure."""
    lines = ["seed %d (region-delay %d, rotation-delay %d) failed at its call %d:" % (
        failed.seed, *delays_of(failed.seed), len(failed.actions)), failed.reason,
        "again: TRENTD=%s tests/model/run --seed %d --calls %d" % (TRENTD, failed.seed, len(failed.actions))]
    actions, reason = shorten(failed.seed, failed.actions, shorter_seconds) if shorter_seconds else ([], None)
    if not shorter_seconds:
        lines.append("The last ones were:")
        actions = failed.actions[-30:]
    elif reason is None:
        lines.append("playing the same actions again did not fail: it depends on timing. The last ones were:")
        actions = actions[-30:]
    else:
        lines += ["%d of them suffice:" % len(actions), reason]
    lines += ["  %s" % json.dumps(a) for a in actions]
    return "\n".join(lines)
