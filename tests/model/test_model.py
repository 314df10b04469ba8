"""Random sequences of calls against the model in lives.py. TRENT_MODEL_CALLS: how many; TRENT_MODEL_SEED: the first
world. A failure prints the shortest sequence that was found to fail in the same world, and how to play it again."""
import os
import pathlib
import sys

import pytest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
from play import DELAYS, Failed, play, report, shorten  # noqa: E402

CALLS = int(os.environ.get("TRENT_MODEL_CALLS", "15000"))
FIRST = int(os.environ.get("TRENT_MODEL_SEED", "1"))
WORLDS = 2 * len(DELAYS)  # each setting of the delays twice


@pytest.mark.parametrize("seed", range(FIRST, FIRST + WORLDS))
def test_server_and_model_agree(seed, record_property):
    try:
        machine = play(seed, CALLS // WORLDS)
    except Failed as failed:
        pytest.fail(report(failed), pytrace=False)
    refused = sum(n for (_, code), n in machine.outcomes.items() if code is not None)
    assert machine.calls >= CALLS // WORLDS and refused > 0
    record_property("model", "%d calls, %d of them refused, %d questions about them" % (
        sum(machine.outcomes.values()), refused, machine.asked))


def test_what_fails_is_made_short():
    """The tool itself: of a sequence in which one action fails, little more than that one is left."""
    actions = [("create", {"region": "us-east-1", "spec": "HMAC_256", "external": False, "multi": False}),
               ("disable", {"key": 0, "region": "us-east-1"}), ("enable", {"key": 0, "region": "us-east-1"}),
               ("create", {"region": "us-east-1", "spec": "SYMMETRIC_DEFAULT", "external": False, "multi": False}),
               ("time", {"seconds": 5}), ("no_such_action", {"key": 1})]
    shorter, reason = shorten(1, actions)
    assert shorter == [actions[3], ("no_such_action", {"key": 0})] and "no_such_action" in reason
