"""What each step of a request takes, as the server measures it itself (setting step-times)."""
import re
import statistics

import fast_rows
import traffic

SECONDS, CALLS = "trent_request_step_seconds_total", "trent_request_step_calls_total"


def _counters(site):
    """(metric, step) -> value."""
    page = site.server.get("/_trent/metrics")
    return {(name, step): float(value)
            for name, step, value in re.findall(r'^(trent_request_step_\w+){step="(\w+)"} (\S+)$', page, re.M)}


def _measured(site, operation):
    """A load, with the microseconds of each step beside its figures."""
    def case(seconds):
        before = _counters(site)
        figures = site.load(operation, seconds=seconds)
        grown = {key: value - before[key] for key, value in _counters(site).items()}
        figures["steps"] = {step: 1e6 * spent / max(1, grown[CALLS, step])
                            for (name, step), spent in grown.items() if name == SECONDS}
        return figures
    return case


def steps(bench):
    """Microseconds of each step of a request, on the wall clock, among 64 connections."""
    with bench.site("--step-times=true") as site:
        key = fast_rows.new_key(site)
        blobs = [site.server.client().encrypt(KeyId=key, Plaintext=b"x" * 32)["CiphertextBlob"] for _ in range(20)]
        results = bench.rounds({"Encrypt 32 B": _measured(site, traffic.encrypt(key)),
                                "Decrypt 32 B": _measured(site, traffic.decrypt(blobs))})
    for name, samples in results.items():
        took = {step: statistics.median(figures["steps"][step] for figures in samples)
                for step in samples[0]["steps"]}
        bench.row("%s, all of it" % name, samples, note="its steps together %.2f us" % sum(took.values()))
        for step, us in took.items():
            bench.row("%s: %s" % (name, step), note="%.2f us" % us)
