"""Rows of the calls that change something durably, 16 clients, beside what SQLite itself commits on the same disk."""
import json
import os
import statistics
import subprocess

import harness
import quick_client
import openssl
import rig
import traffic
from trent_server import wrap

CLIENTS = 16
# Of imports and deletions: each call changes a key of its own. As many as can be made in some seconds, since the first
# and the last calls of a load, which share a batch with few others, are part of what is measured.
KEYS = 240
BAR = 0.6


def yardstick(folder):
    """Commits of one small row each, synchronous=FULL: figures as those of a load."""
    program = rig.compile_c("sqlite_commits", ["sqlite_commits.c"], "sqlite3")

    def run(seconds):
        done = subprocess.run([program, str(folder), str(seconds)], check=True, stdout=subprocess.PIPE)
        return json.loads(done.stdout)
    return run


def rsa_once():
    """us of CPU for an RSA_2048 decryption with a key that is read for it, as imports do."""
    program = rig.compile_c("rsa_once", ["rsa_once.c"], "libcrypto")
    done = subprocess.run([program, "2048", "1"], check=True, stdout=subprocess.PIPE)
    return json.loads(done.stdout)["cpu_us"]


def importing(site, n):
    """Bodies of ImportKeyMaterial for n keys, which have that material."""
    root, address = quick_client.Credentials("test", "test"), site.server.address

    def ask(operation, bodies):
        answers = quick_client.ask_all(address, [(root, operation, body) for body in bodies], threads=4)
        for answer in answers:
            if answer.code:
                raise rig.Failed("%s: %r" % (operation, answer))
        return [answer.json() for answer in answers]
    keys = [answer["KeyMetadata"]["KeyId"] for answer in ask("CreateKey", [{"Origin": "EXTERNAL"}] * n)]
    parameters = ask("GetParametersForImport", [{
        "KeyId": key, "WrappingAlgorithm": "RSAES_OAEP_SHA_256", "WrappingKeySpec": "RSA_2048"} for key in keys])
    bodies = [{"KeyId": key, "ImportToken": p["ImportToken"], "ExpirationModel": "KEY_MATERIAL_DOES_NOT_EXPIRE",
               "EncryptedKeyMaterial": traffic.b64(wrap(traffic.unb64(p["PublicKey"]), os.urandom(32)))}
              for key, p in zip(keys, parameters)]
    ask("ImportKeyMaterial", bodies)
    return bodies


def sum_of(parts):
    """Figures of several short loads as one."""
    n, seconds = sum(p["requests"] for p in parts), sum(p["seconds"] for p in parts)
    return {"requests": n, "seconds": seconds, "rate": n / seconds, "p50": statistics.median(p["p50"] for p in parts),
            "p99": max(p["p99"] for p in parts), "cpu_us": sum(p["cpu_us"] * p["requests"] for p in parts) / n}


def in_turns(site, bodies, seconds):
    """All materials deleted, all imported, and again: (deletions, imports)."""
    n = len(bodies)
    delete = traffic.Operation("DeleteImportedKeyMaterial", lambda i: {"KeyId": bodies[i]["KeyId"]}, "{", n)
    put = traffic.Operation("ImportKeyMaterial", lambda i: bodies[i], '{"KeyId":', n)
    deletions, imports = [], []
    while sum(p["seconds"] for p in deletions + imports) < 2 * seconds:
        deletions.append(site.load(delete, connections=CLIENTS, once=True))
        imports.append(site.load(put, connections=CLIENTS, once=True))
    return sum_of(deletions), sum_of(imports)


def durable(bench):
    """Each call its own change, on disk before its answer."""
    with bench.site("--ready-keys-2048=8") as site:
        bodies = importing(site, KEYS if not bench.options.quick else KEYS // 4)
        create = traffic.Operation("CreateKey", lambda i: {"Description": "%d" % i}, '{"KeyMetadata":', 200)
        sqlite, names = yardstick(bench.folder), ("SQLite alone, synchronous=FULL", "CreateKey",
                                                  "DeleteImportedKeyMaterial", "ImportKeyMaterial")
        results = {name: harness.Samples() for name in names}
        for _ in range(bench.options.rounds):
            deletions, imports = in_turns(site, bodies, bench.options.seconds)
            for name, figures in zip(names, (sqlite(bench.options.seconds), site.load(
                    create, connections=CLIENTS, seconds=bench.options.seconds), deletions, imports)):
                results[name].append(figures)
    base = results.pop(names[0])
    bench.row(names[0], rate=base.m("rate"))
    for name, samples in results.items():
        row = bench.row("%s, %d clients" % (name, CLIENTS), samples)
        if name == "ImportKeyMaterial":
            judge_imports(row, samples, base)
        else:
            row.judge("rate / SQLite", harness.ratio(samples, base, "rate"), BAR, at_least=True)
            row.note = "its CPU allows %.0f a second on all %d cores" % (allowed(samples.m("cpu_us")), os.cpu_count())


def allowed(cpu_us):
    """A second, by what takes so much CPU, if nothing else ran."""
    return os.cpu_count() * 1e6 / cpu_us


def judge_imports(row, samples, base):
    """Each opens a wrapping key of its own: on a fast disk it is that which bounds them."""
    again, once = openssl.openssl_times(only="rsa2048")["RSA_2048 sign"], rsa_once()
    bound = harness.Samples({"rate": min(figures["rate"], allowed(once))} for figures in base)
    row.judge("rate / lesser of SQLite and RSA", harness.ratio(samples, bound, "rate"), BAR, at_least=True)
    row.note = ("%.2f of SQLite; its CPU allows %.0f a second on all %d cores, RSA_2048 alone %.0f: %.0f us with a key "
                "read for one use, %.0f with one used again" % (harness.ratio(samples, base, "rate"), allowed(
                    samples.m("cpu_us")), os.cpu_count(), allowed(once), once, again))
