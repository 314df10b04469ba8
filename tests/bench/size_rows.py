"""Rows of the number of keys: start, memory, what an Encrypt of a hot set costs, and a page of ListKeys.

The directories come from fill (tests/bench/fill.c) and are kept in build/bench/keys; each run works on copies.
"""
import hashlib
import itertools
import shutil
import statistics
import subprocess
import time

import harness
import rig
import traffic

HOT = 10000
STARTS = 3
LONG = 5  # seconds: so long a start is not repeated
PAGE = 1000  # the largest
SIZES = (1000, HOT, 100000, 1000000)


def fill_program():
    return rig.TOP / "build" / "test" / "tests" / "bench" / "fill"


def key_id(number):
    return "00000000-0000-4000-8000-%012x" % number


def _form():
    """Changes when what is stored changes its form."""
    sources = [*sorted((rig.TOP / "src" / "store").rglob("*.c")), *sorted((rig.TOP / "src" / "vault").glob("slot*.c")),
               rig.TOP / "tests" / "bench" / "fill.c"]
    return hashlib.sha256(b"".join(path.read_bytes() for path in sources)).hexdigest()[:12]


def filled(bench, keys):
    """A directory with so many keys, made if there is none; a copy of it."""
    kept = rig.OUT / "keys" / ("%d-%s" % (keys, _form()))
    if not kept.exists():
        for old in kept.parent.glob("%d-*" % keys):
            shutil.rmtree(old) if old.is_dir() else old.unlink()
        started = time.monotonic()
        new = kept.with_suffix(".new")
        shutil.rmtree(new, ignore_errors=True)
        with bench.site(data=new):
            pass
        if not fill_program().exists():
            raise rig.Failed("no %s: scripts/build test tests/bench/fill" % fill_program())
        subprocess.run([fill_program(), "--keys=%d" % keys, new], check=True)
        new.rename(kept)
        new.with_name(new.name + ".log").unlink()
        bench.log("filled %s with %d keys in %.0f s" % (kept.relative_to(rig.TOP), keys, time.monotonic() - started))
    copy = bench.folder / ("keys-%d" % keys)
    subprocess.run(["cp", "-a", "--reflink=auto", kept, copy], check=True)
    return copy


def _pages(site, n=20):
    """Requests for the first pages of ListKeys and of those after them."""
    bodies, marker = [], None
    for _ in range(n):
        bodies.append({"Limit": PAGE, **({"Marker": marker} if marker else {})})
        answer = site.call("ListKeys", bodies[-1])
        marker = answer.get("NextMarker")
        if marker is None:
            break
    return traffic.Operation("ListKeys", lambda i: bodies[i % len(bodies)], '{"Keys":[', 200)


def _start(bench, data):
    """The server started several times, the last of which stays; and how long it took."""
    seconds = []
    for i in itertools.count():
        running = bench.site(data=data)
        started = time.monotonic()
        site = running.__enter__()
        seconds.append(time.monotonic() - started)
        if i + 1 == STARTS or seconds[-1] > LONG:
            return running, site, statistics.median(seconds)
        running.__exit__()


def size(bench):
    """The same hot set of 10,000 keys among more and more others (of 1,000: all)."""
    sizes = SIZES[:3] if bench.options.quick else SIZES
    started, cases, running = {}, {}, []
    try:
        for keys in sizes:
            stop, site, seconds = _start(bench, filled(bench, keys))
            running.append(stop)
            step = max(1, keys // HOT)
            hot = traffic.encrypt_among([key_id(n) for n in range(0, keys, step)][:HOT])
            started[keys] = {"start_s": seconds, "idle_mb": rig.memory_mb(site.pid)}
            cases["hot", keys] = lambda seconds, site=site, hot=hot: site.load(hot, seconds=seconds)
            cases["page", keys] = lambda seconds, site=site, pages=_pages(site): site.load(
                pages, seconds=seconds, connections=1)
            started[keys]["site"] = site
        results = bench.rounds(cases, rounds=min(5, bench.options.rounds))
        for keys in sizes:
            started[keys]["memory_mb"] = rig.memory_mb(started[keys].pop("site").pid)
    finally:
        for stop in running:
            stop.__exit__()
    report(bench, sizes, started, results)


def report(bench, sizes, started, results):
    base = results["hot", HOT]
    for keys in sizes:
        figures, hot, page = started[keys], results["hot", keys], results["page", keys]
        row = bench.row("Encrypt, hot set of {:,} in {:,} keys".format(min(HOT, keys), keys), hot,
                        note="%.0f MB after start, %.0f after the load" % (figures["idle_mb"], figures["memory_mb"]),
                        **figures)
        pages = bench.row("ListKeys, page of {:,} of {:,} keys".format(PAGE, keys), page)
        if keys == sizes[-1]:
            row.judge("CPU / with {:,} keys".format(HOT), harness.ratio(hot, base, "cpu_us"), 1.1)
            row.judge("start s", figures["start_s"], 2.0)
            pages.judge("p50 ms", page.m("p50") / 1000, 5.0)
        else:
            row.note += ", start %.2f s" % figures["start_s"]
    bench.curves.append(harness.Curve("Keys", "keys in the store", "us of CPU per Encrypt", {
        "hot set": [(keys, results["hot", keys].m("cpu_us")) for keys in sizes]}))
    bench.curves.append(harness.Curve("Start", "keys in the store", "seconds to the ready line", {
        "start": [(keys, started[keys]["start_s"]) for keys in sizes]}))
    bench.curves.append(harness.Curve("Memory", "keys in the store", "MB after the load", {
        "memory": [(keys, started[keys]["memory_mb"]) for keys in sizes]}))
