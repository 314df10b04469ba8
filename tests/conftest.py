"""Fixtures: every test gets real servers and unmodified AWS clients (see api/trent_server.py)."""
import pathlib
import sys

import pytest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent / "api"))
from trent_server import Server  # noqa: E402


def pytest_configure(config):
    config.addinivalue_line("markers", "programs: most of the time it runs other programs: the AWS CLI, node, a shell")


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    """One development server for the tests of a module."""
    with Server(tmp_path_factory.mktemp("trent") / "data") as s:
        yield s


@pytest.fixture(scope="module")
def kms(server):
    """boto3's client of it, us-east-1."""
    return server.client()


@pytest.fixture
def new_server(tmp_path):
    """Makes servers with settings of their own; all are stopped at the end."""
    made = []

    def make(*flags, data="data", **more):
        s = Server(tmp_path / data, *flags, **more)
        s.start()
        made.append(s)
        return s

    yield make
    for s in made:
        s.stop()
