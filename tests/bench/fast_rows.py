"""Rows of the requests that read and compute: their cost beside nginx answering a fixed string."""
import os

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


def beside_nginx(bench, results, base):
    """Rows with CPU and rate as parts of nginx's in the same rounds."""
    bench.row(base, results[base])
    for name, samples in results.items():
        if name in (base, "Encrypt 4 KiB"):
            continue
        nginx = results[base]
        row = bench.row(name, samples)
        row.judge("CPU / nginx", samples.m("cpu_us") / nginx.m("cpu_us"), CPU_BAR)
        row.judge("rate / nginx", samples.m("rate") / nginx.m("rate"), RATE_BAR, at_least=True)


def http(bench):
    """HTTP, 64 connections."""
    with rig.Nginx(bench.folder) as nginx, bench.site() as site:
        results = bench.rounds({"nginx return 200": nginx_load(nginx), **loads(site, operations(site))})
    beside_nginx(bench, results, "nginx return 200")
    large = results["Encrypt 4 KiB"]
    bench.row("Encrypt 4 KiB", large).judge(
        "CPU us over 32 B", large.m("cpu_us") - results["Encrypt 32 B"].m("cpu_us"), 3.0)


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
    bench.row(other, second).judge("rate / written", second.m("rate") / first.m("rate"), 0.6, at_least=True)


def one_connection(bench):
    """What a single client waits for."""
    with rig.Nginx(bench.folder) as nginx, bench.site() as site:
        chosen = operations(site)
        del chosen["Encrypt 4 KiB"]
        results = bench.rounds({"nginx, one connection": nginx_load(nginx, connections=1), **{
            "%s, one connection" % name: case for name, case in loads(site, chosen, connections=1).items()}})
    base = results.pop("nginx, one connection")
    bench.row("nginx, one connection", base)
    for name, samples in results.items():
        bench.row(name, samples).judge("p50 / nginx", samples.m("p50") / base.m("p50"), 1.4)


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
    bench.row(other, samples).judge("p99 / nginx", samples.m("p99") / base.m("p99"), 2.0)


def sign(bench):
    """A signature should cost what openssl says on the same machine, and beside it an Encrypt."""
    with bench.site() as site:
        key = site.call("CreateKey", {"KeySpec": "ECC_NIST_P256", "KeyUsage": "SIGN_VERIFY"})["KeyMetadata"]["KeyId"]
        cases = loads(site, {"Encrypt": traffic.encrypt(new_key(site)), "Sign": traffic.sign_p256(key)})

        def speed(seconds):
            return {"cpu_us": openssl.openssl_times(max(1, round(seconds)), only="ecdsap256")["ECC_NIST_P256 sign"]}
        results = bench.rounds({"openssl": speed, **cases})
    bench.row("openssl speed ecdsap256, sign", results["openssl"])
    both = results["openssl"].m("cpu_us") + results["Encrypt"].m("cpu_us")
    bench.row("Sign ECC_NIST_P256", results["Sign"]).judge(
        "CPU / (openssl + Encrypt)", results["Sign"].m("cpu_us") / both, 1.0)
