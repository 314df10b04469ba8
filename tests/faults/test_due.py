"""Many keys fall due while clients go on: each use just after a ValidTo is refused, and everything gets done.

The long form, with what it does to the time of an Encrypt, is `tests/bench/due`; TRENT_DUE_KEYS sets the number here.
"""
import json
import os
import pathlib
import subprocess
import sys

from trent_server import TOP, TRENTD

KEYS = int(os.environ.get("TRENT_DUE_KEYS", "2000"))


def test_many_keys_fall_due(tmp_path):
    spread = max(2, KEYS * 60 // 100000)
    done = subprocess.run([sys.executable, str(TOP / "tests" / "bench" / "due"), "--json", "--keys", str(KEYS),
                           "--spread", str(spread), "--seconds", "0.5", "--rounds", "1", "--samples", "100",
                           "--connections", "8", "--folder", str(tmp_path)],
                          stdout=subprocess.PIPE, timeout=110 + 2 * spread,
                          env={**os.environ, "TRENTD": str(pathlib.Path(TRENTD).resolve()), "TRENT_BENCH": "1"})
    figures = json.loads(done.stdout)
    assert figures["late"]["asked"] >= 100
    assert figures["late"]["succeeded"] == [] and figures["late"]["other"] == []
    assert (figures["expired"], figures["rotated"]) == (KEYS // 2, KEYS // 2)
    assert done.returncode == 0
