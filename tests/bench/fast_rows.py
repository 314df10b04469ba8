"""Rows of the requests that read and compute: their cost beside nginx answering a fixed string."""
import os

import harness
import openssl
import rig
import traffic
from trent_server import imported_key

CPU_BAR = 1.5
RATE_BAR = 0.65


def new_key(site):
    """An imported key, as the rows of the fast lane use it."""
    return imported_key(site.server.client(), os.urandom(32))[0]["KeyId"]


def operations(site):
    """name -> Operation of the three that everybody uses."""
    key = new_key(site)
    kms = site.server.client()
    blobs = [kms.encrypt(KeyId=key, Plaintext=os.urandom(32))["CiphertextBlob"] for _ in range(20)]
    return {"Encrypt 32 B": traffic.encrypt(key), "Decrypt 32 B": traffic.decrypt(blobs),
            "GenerateDataKey": traffic.generate_data_key(key), "Encrypt 4 KiB": traffic.encrypt(key, 4096)}


def loads(site, chosen, **options):
    return {name: lambda seconds, operation=operation: site.load(operation, seconds=seconds, **options)
            for name, operation in chosen.items()}


def nginx_load(nginx, tls=False, **options):
    port = nginx.tls_port if tls else nginx.port
    return lambda seconds: rig.load(nginx.pid, port, nginx.requests(), seconds=seconds, tls=tls, expect="ok", **options)


def nginx_is_sent(nginx, site, operation):
    """Requests for Trent go to nginx, which reads them whole and says what it always says."""
    return lambda seconds: rig.load(nginx.pid, nginx.port, operation.requests(site.signer), seconds=seconds, expect="ok")


def beside_nginx(bench, results, base, others=()):
    """Rows with CPU and rate as parts of nginx's in the same rounds."""
    bench.row(base, results[base])
    for name, samples in results.items():
        if name == base or name in others:
            continue
        nginx = results[base]
        row = bench.row(name, samples)
        row.judge("CPU / nginx", harness.ratio(samples, nginx, "cpu_us"), CPU_BAR)
        row.judge("rate / nginx", harness.ratio(samples, nginx, "rate"), RATE_BAR, at_least=True)


def http(bench):
    """HTTP, 64 connections."""
    sizes = ("Encrypt 32 B", "Encrypt 4 KiB")
    sent = {name: "nginx, sent the " + name for name in sizes}
    with rig.Nginx(bench.folder) as nginx, bench.site() as site:
        chosen = operations(site)
        results = bench.rounds({"nginx return 200": nginx_load(nginx), **loads(site, chosen),
                                **{sent[name]: nginx_is_sent(nginx, site, chosen[name]) for name in sizes}})
    beside_nginx(bench, results, "nginx return 200", ("Encrypt 4 KiB", *sent.values()))
    small, large = (results[name] for name in sizes)
    bench.row("Encrypt 4 KiB", large).judge("CPU us over 32 B", harness.difference(large, small, "cpu_us"), 3.0)
    for name in sizes:
        bench.row(sent[name], results[sent[name]], note="reads it, and answers as ever")


def tls(bench):
    """The same over TLS 1.3: connections are kept, so handshakes cost nothing here."""
    cert, key = rig.certificate(bench.folder)
    data = bench.folder / "tls"
    with bench.site(data=data) as site:
        chosen = operations(site)
        del chosen["Encrypt 4 KiB"]
    with rig.Nginx(bench.folder, cert, key) as nginx, bench.site(
            "--tls-cert=%s" % cert, "--tls-key=%s" % key, data=data) as site:
        results = bench.rounds({"nginx TLS": nginx_load(nginx, tls=True),
                                **{"%s, TLS" % name: case for name, case in loads(site, chosen).items()}})
    beside_nginx(bench, results, "nginx TLS")


def always(bench):
    """Every record on disk before its answer, against on disk within a second."""
    with bench.site() as written, bench.site("--audit-sync=always") as synced:
        results = bench.rounds({
            **loads(written, {"Encrypt, audit-sync=written": traffic.encrypt(new_key(written))}),
            **loads(synced, {"Encrypt, audit-sync=always": traffic.encrypt(new_key(synced))})})
    (name, first), (other, second) = results.items()
    bench.row(name, first)
    bench.row(other, second).judge("rate / written", harness.ratio(second, first, "rate"), 0.6, at_least=True)


def one_connection(bench):
    """What a single client waits for, with a core of its own. Left alone, the scheduler puts client and server on one
    core or on two and leaves them there, and a core that sleeps takes longer to wake than nginx to answer: what they
    need on one core is shown, too."""
    first, *others = sorted(os.sched_getaffinity(0))
    apart, together = ({first}, set(others) or {first}), ({first}, {first})
    with rig.Nginx(bench.folder) as nginx, bench.site() as site:
        chosen = operations(site)
        del chosen["Encrypt 4 KiB"]
        encrypt = {"Encrypt 32 B": chosen["Encrypt 32 B"]}
        results = bench.rounds({
            "nginx, one connection": nginx_load(nginx, connections=1, cores=apart),
            **{"%s, one connection" % name: case
               for name, case in loads(site, chosen, connections=1, cores=apart).items()}})
        results.update(bench.rounds({
            "nginx, on the client's core": nginx_load(nginx, connections=1, cores=together),
            **{"%s, on the client's core" % name: case
               for name, case in loads(site, encrypt, connections=1, cores=together).items()}}, rounds=1))
    base = results["nginx, one connection"]
    for name, samples in results.items():
        row = bench.row(name, samples)
        if name.endswith("one connection") and samples is not base:
            row.judge("p50 / nginx", harness.ratio(samples, base, "p50"), 1.4)


def half_load(bench):
    """Open loop at half of what each can do with 64 connections: latencies from when a request was due."""
    with rig.Nginx(bench.folder) as nginx, bench.site() as site:
        encrypt = traffic.encrypt(new_key(site))
        full = bench.rounds({"nginx": nginx_load(nginx), **loads(site, {"Encrypt": encrypt})}, rounds=3)
        half = {name: samples.m("rate") / 2 for name, samples in full.items()}
        results = bench.rounds({"nginx at 50 % of its rate": nginx_load(nginx, rate=half["nginx"]),
                                "Encrypt at 50 % of its rate": lambda seconds: site.load(
                                    encrypt, seconds=seconds, rate=half["Encrypt"])})
    (name, base), (other, samples) = results.items()
    bench.row(name, base)
    bench.row(other, samples).judge("p99 / nginx", harness.ratio(samples, base, "p99"), 2.0)


def sign(bench):
    """A signature should cost what openssl says on the same machine, and beside it an Encrypt. All cores work while
    the server is measured, so they do for openssl; what it needs with the others idle is shown beside it."""
    with bench.site() as site:
        key = site.call("CreateKey", {"KeySpec": "ECC_NIST_P256", "KeyUsage": "SIGN_VERIFY"})["KeyMetadata"]["KeyId"]
        cases = loads(site, {"Encrypt": traffic.encrypt(new_key(site)), "Sign": traffic.sign_p256(key)})

        def speed(processes):
            return lambda seconds: {"cpu_us": openssl.openssl_times(
                max(1, round(seconds)), only="ecdsap256", processes=processes)["ECC_NIST_P256 sign"]}
        cores = len(os.sched_getaffinity(0))
        results = bench.rounds({"openssl": speed(cores), **cases})
        alone = bench.rounds({"alone": speed(1)}, rounds=1)["alone"]
    bench.row("openssl speed ecdsap256, sign", results["openssl"], note="all %d cores at once" % cores)
    bench.row("the same in one process", alone, note="other cores idle")
    bench.row("Encrypt 32 B beside it", results["Encrypt"])
    both = harness.Samples({"cpu_us": a["cpu_us"] + b["cpu_us"]} for a, b in zip(results["openssl"], results["Encrypt"]))
    bench.row("Sign ECC_NIST_P256", results["Sign"]).judge(
        "CPU / (openssl + Encrypt)", harness.ratio(results["Sign"], both, "cpu_us"), 1.0)
