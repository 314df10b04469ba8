"""What a section of tests/bench/run works with: servers, interleaved rounds, rows with their bars, curves."""
import contextlib
import dataclasses
import pathlib
import statistics
import sys
import time
import traceback

import quick_client
import rig
import traffic
from trent_server import Server


class Samples(list):
    """Figures of several rounds; m("rate") is their median."""

    def m(self, what):
        return statistics.median(figures[what] for figures in self)


def ratio(above, below, what):
    """Median over the rounds of what was measured next to each other: a machine that becomes slower meanwhile, as
    those do that share their cores, makes both slower."""
    return statistics.median(a[what] / b[what] for a, b in zip(above, below))


def difference(above, below, what):
    """The same of a difference."""
    return statistics.median(a[what] - b[what] for a, b in zip(above, below))


@dataclasses.dataclass
class Judgement:
    """One bar: what was compared, what came out, what should have."""
    what: str
    reached: float
    bar: float
    at_least: bool = False
    decimals: int = 2

    @property
    def passed(self):
        return self.reached >= self.bar if self.at_least else self.reached <= self.bar


@dataclasses.dataclass
class Row:
    section: str
    name: str
    figures: dict = dataclasses.field(default_factory=dict)  # rate, p50, p99, cpu_us: those there are
    judgements: list = dataclasses.field(default_factory=list)
    note: str = ""

    def judge(self, what, reached, bar, at_least=False, decimals=2):
        self.judgements.append(Judgement(what, reached, bar, at_least, decimals))
        return self


@dataclasses.dataclass
class Curve:
    """How a cost grows."""
    title: str
    x: str
    y: str
    series: dict  # name -> [(x, y)]


class Site:
    """A running server, and what the rows need in it."""

    def __init__(self, server):
        self.server, self.pid, self.port = server, server.process.pid, server.address[1]
        self.tls = server.url.startswith("https")
        self.signer = traffic.Signer(self.port)

    def load(self, operation, **options):
        """Figures of a load of freshly signed requests."""
        return rig.load(self.pid, self.port, operation.requests(self.signer), expect=operation.expect, tls=self.tls,
                        **options)

    def call(self, operation, body):
        """One call, whose answer nobody times."""
        connection = quick_client.Connection(self.server.address)
        try:
            answer = connection.call(quick_client.Credentials("test", "test"), operation, body)
        finally:
            connection.close()
        if answer.code:
            raise rig.Failed("%s: %r" % (operation, answer))
        return answer.json()


class Bench:
    """All that was measured so far, and the servers that run."""

    def __init__(self, options, folder):
        self.options, self.folder = options, pathlib.Path(folder)
        self.rows, self.curves, self.section, self._sites = [], [], "", 0
        self.took, self.failed = {}, False  # section -> seconds; was one of them not measured?

    def log(self, text):
        print(text, file=sys.stderr, flush=True)

    def site(self, *flags, data=None):
        """A new server; the caller closes it with `with`."""
        self._sites += 1
        return _Running(Server(data or self.folder / ("data-%d" % self._sites), *rig.UNLIMITED, *flags))

    def row(self, name, samples=None, note="", **figures):
        """A row of the table with the medians of these samples."""
        if samples is not None:
            figures = {**{what: samples.m(what) for what in ("rate", "p50", "p99", "cpu_us") if what in samples[0]},
                       **figures}
        row = Row(self.section, name, figures, note=note)
        self.rows.append(row)
        return row

    def rounds(self, cases, rounds=None):
        """Runs {name: function} in turn, several times, there and back: no case always comes after the same other one.
        {name: Samples}."""
        results = {name: Samples() for name in cases}
        for case in cases.values():  # caches and connections of the first time are nobody's cost
            with contextlib.suppress(rig.NoAnswer):  # it is slow: the rounds are longer
                case(seconds=0.1)
        for i in range(rounds or self.options.rounds):
            for name, case in reversed(cases.items()) if i % 2 else cases.items():
                results[name].append(case(seconds=self.options.seconds))
        return results

    def run(self, name, section):
        self.section, started = name, time.monotonic()
        try:
            section(self)
        except Exception as error:  # whatever it is, the other sections are worth having
            if not isinstance(error, rig.Failed):
                traceback.print_exc()
            self.failed = True
            self.row("%s was not measured" % name, note="%s: %s" % (type(error).__name__, error))
        self.took[name] = round(time.monotonic() - started, 1)
        self.log("%-12s %5.0f s" % (name, self.took[name]))


class _Running:
    def __init__(self, server):
        self.server = server

    def __enter__(self):
        self.server.start()
        return Site(self.server)

    def __exit__(self, *exc):
        self.server.stop()
