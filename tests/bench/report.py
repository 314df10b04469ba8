"""What came out: one table for people, JSON for programs."""
import dataclasses
import datetime
import json
import os
import pathlib
import platform
import re
import subprocess

import openssl
import rig

COLUMNS = (("rate", "requests/s", "%.0f", 11), ("p50", "p50 us", "%.0f", 9), ("p99", "p99 us", "%.0f", 9),
           ("cpu_us", "CPU us", "%.2f", 9))


def first_line(*command):
    """What a program says of itself; None if it is not there."""
    if command[0] is None:
        return None
    try:
        done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, cwd=rig.TOP)
        return done.stdout.strip().split("\n")[0] if done.returncode == 0 else None
    except OSError:
        return None


def machine():
    """What the figures depend on besides the server."""
    cpu = re.search(r"^model name\s*: (.*)$", pathlib.Path("/proc/cpuinfo").read_text(), re.M)
    memory = re.search(r"^MemTotal:\s*(\d+)", pathlib.Path("/proc/meminfo").read_text(), re.M)
    system = re.search(r'^PRETTY_NAME="(.*)"$', pathlib.Path("/etc/os-release").read_text(), re.M)
    return {"cpu": cpu.group(1) if cpu else platform.machine(), "cores": os.cpu_count(),
            "memory_gb": round(int(memory.group(1)) / 1024 / 1024, 1), "kernel": platform.release(),
            "system": system.group(1) if system else "", "load_average": os.getloadavg()[0]}


def versions(trentd):
    return {"trentd": first_line(trentd, "--version"), "nginx": first_line(rig.nginx_program(), "-v"),
            "openssl": first_line(openssl.openssl_program(), "version"), "cc": first_line("cc", "--version"),
            "python": platform.python_version()}


def commit():
    text = first_line("git", "rev-parse", "--short=12", "HEAD")
    changed = first_line("git", "status", "--porcelain", "--untracked-files=no")
    return text and text + (" and changes" if changed else "")


def verdict(j):
    number = "%%.%df" % j.decimals
    return "%-26s %9s  bar %s %-6s %s" % (j.what, number % j.reached, ">=" if j.at_least else "<=", number % j.bar,
                                          "reached" if j.passed else "MISSED")


def table(rows):
    """The rows, section by section, with what was reached beside the bar."""
    width = max(len(row.name) for row in rows) + 2
    lines = [" " * width + "".join("%*s" % (columns, title) for _, title, _, columns in COLUMNS)]
    section = None
    for row in rows:
        if row.section != section:
            section = row.section
            lines.append("%s:" % section)
        figures = "".join("%*s" % (columns, form % row.figures[what] if what in row.figures else "")
                          for what, _, form, columns in COLUMNS)
        more = [verdict(j) for j in row.judgements] + ([row.note] if row.note else [])
        lines.append(("  %-*s%s  %s" % (width - 2, row.name, figures, more[0] if more else "")).rstrip())
        lines += [" " * (width + sum(columns for _, _, _, columns in COLUMNS) + 2) + text for text in more[1:]]
    bars = [j for row in rows for j in row.judgements]
    lines.append("%d of %d bars reached" % (sum(j.passed for j in bars), len(bars)))
    return lines


def about(machine_, options, seconds):
    return ["%(cpu)s, %(cores)d cores, %(memory_gb).0f GB, Linux %(kernel)s, %(system)s" % machine_,
            "load average %.1f before, %.1f after; medians of %d interleaved rounds of %g s; %d s in all" % (
                machine_["load_average"], os.getloadavg()[0], options.rounds, options.seconds, seconds),
            "64 connections from one load thread on the same cores unless a row says otherwise; requests signed freshly for"
            " each round, every answer checked"]


def as_json(bench, machine_, trentd, seconds):
    def row(r):
        return {**{k: v for k, v in dataclasses.asdict(r).items() if v not in ({}, [], "")}, "judgements": [
            {**dataclasses.asdict(j), "passed": j.passed} for j in r.judgements]}
    return json.dumps({
        "date": datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="seconds"), "seconds": round(seconds),
        "sections": bench.took, "machine": machine_, "commit": commit(),
        "versions": versions(trentd), "options": vars(bench.options),
        "rows": [row(r) for r in bench.rows], "curves": [dataclasses.asdict(c) for c in bench.curves]}, indent=1) + "\n"
