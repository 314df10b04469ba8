"""Fixtures: a server whose machine's clock tests set (clock_site.py)."""
import pytest

import shim
from clock_site import Site


@pytest.fixture(scope="module")
def clock_library(tmp_path_factory):
    return shim.build("clock_shim", tmp_path_factory.mktemp("shim"))


@pytest.fixture
def site(tmp_path, clock_library):
    s = Site(tmp_path, clock_library)
    yield s
    s.server.stop()


@pytest.fixture
def quick_site(tmp_path, clock_library):
    """Its threads wait 20 ms at most: what is due is looked at at once, whatever the clock did."""
    s = Site(tmp_path, clock_library, nap_ms=20)
    yield s
    s.server.stop()
