"""The authorization matrix: every cell is asked of a real server, signed, over real sockets, and compared with the
reference evaluator (trust-model 6.11).

The bar: no cell where the server allows and the reference denies; none the other way round either, but for those that
docs/deviations.md explains (EXPLAINED); and a denial's text is one of those that the reference expects. TRENT_MATRIX=quick
asks a few thousand cells.
"""
import collections
import os
import random
import time

import pytest
from generate import SEED, Generator, keyless, strangers
from quick_client import ask_all
from shapes import SHAPES
from trent_server import Server
from world import World

QUICK = os.environ.get("TRENT_MATRIX") == "quick"
QUICK_SHAPES = ("default", "user only", "roles only", "context", "deny all but user", "other account")
DENIED = "AccessDeniedException"


@pytest.fixture(scope="module", params=["quick"] if QUICK else ["first half", "second half"])
def world(request, tmp_path_factory):
    """A server with its share of the shapes: two of them run beside each other."""
    shares = {"quick": QUICK_SHAPES, "first half": tuple(SHAPES)[::2], "second half": tuple(SHAPES)[1::2]}
    with Server(tmp_path_factory.mktemp("matrix") / "data") as server:
        yield World(server, shares[request.param])


class Comparison:
    """Asks cells and keeps what does not agree."""

    def __init__(self, world):
        self.world = world
        self.counts = collections.Counter()
        self.wrong = collections.defaultdict(list)

    def ask(self, cells, **more):
        for start in range(0, len(cells), 20000):
            part = cells[start:start + 20000]
            for cell, answer in zip(part, ask_all(self.world.server.address, [c.request for c in part], **more)):
                self.compare(cell, answer)

    def compare(self, cell, answer):
        self.counts["cells"] += 1
        self.counts["allowed" if cell.allowed else "denied"] += 1
        if answer.code == DENIED:
            if cell.allowed:
                self.wrong["the server denies, the reference allows"].append((cell, answer))
            elif answer.text not in self.texts(cell):
                self.wrong["another reason"].append((cell, answer))
        elif answer.code not in cell.ask.reached:
            self.wrong["neither denied nor reached"].append((cell, answer))
        elif not cell.allowed:
            self.wrong["THE SERVER ALLOWS, the reference denies"].append((cell, answer))

    def texts(self, cell):
        """Of every right that is missing: which one a request names first is not compared."""
        caller = self.world.callers[cell.caller][0]
        return {text for action, resource, decision in cell.decisions if not decision.allowed
                for text in decision.texts(caller, action, resource)}

    def report(self, record_property, what, started):
        line = "%s: %d cells, %d allowed, %d denied, %d s" % (
            what, self.counts["cells"], self.counts["allowed"], self.counts["denied"], time.monotonic() - started)
        record_property("counts", line)
        print(line)
        for kind, found in self.wrong.items():
            print("%s: %d" % (kind, len(found)))
            for cell, answer in found[:40]:
                print("  %s\n    server: %r\n    reference: %s" % (cell, answer, sorted(self.texts(cell)) or "allowed"))
        assert not self.wrong, {kind: len(found) for kind, found in self.wrong.items()}


def test_cells(world, record_property):
    """Every principal, operation and policy; then what was denied through every other name, with grant tokens and with
    DryRun, and a share of what was allowed; some at the same time from several connections."""
    started = time.monotonic()
    generator, comparison = Generator(world), Comparison(world)
    first = generator.first(world.shapes)
    comparison.ask(first)
    comparison.ask(list(generator.again(first, share=0.2)))
    denied = [cell for cell in first if not cell.allowed]
    comparison.ask([cell for cell in random.Random(SEED).sample(denied, 100) for _ in range(12)], batch=1)
    comparison.report(record_property, "authorization matrix", started)
    assert comparison.counts["cells"] >= (2000 if QUICK else 25000)


# --- without a key, and with credentials that are none ------------------------------------------------------------------


@pytest.fixture(scope="module")
def small(tmp_path_factory):
    with Server(tmp_path_factory.mktemp("matrix") / "data") as server:
        yield World(server, ("default", "everybody"))


def test_without_key(small, record_property):
    started = time.monotonic()
    comparison = Comparison(small)
    comparison.ask(keyless(small))
    comparison.report(record_property, "operations without a key", started)


def refused(world, all_credentials, record_property, what):
    """Each operation on each key is refused with the code that stands beside the credentials."""
    started = time.monotonic()
    generator = Generator(world)
    cells = [generator.cell(shape, "byid", ask, "arn") for shape in world.shapes for ask in generator.asks]
    for name, (credentials, code) in all_credentials.items():
        requests = [(credentials, *cell.request[1:]) for cell in cells]
        for cell, answer in zip(cells, ask_all(world.server.address, requests)):
            assert answer.code == code, (name, str(cell), answer)
    line = "%s: %d cells, %d s" % (what, len(cells) * len(all_credentials), time.monotonic() - started)
    record_property("counts", line)
    print(line)


def test_strangers(small, record_property):
    """Nobody's credentials get nowhere, whatever the policy says; the code is that of the signature's check."""
    refused(small, strangers(small), record_property, "strangers")


def test_ended_sessions(tmp_path, record_property):
    """Temporary credentials whose time is over, on a server of its own: the clock is set forward."""
    with Server(tmp_path / "data") as server:
        world = World(server, ("default", "everybody"))
        server.advance(3601)
        sessions = {name: (credentials, "ExpiredTokenException") for name, (caller, credentials) in
                    world.callers.items() if caller.kind == "role"}
        assert len(sessions) >= 19
        refused(world, sessions, record_property, "ended sessions")
