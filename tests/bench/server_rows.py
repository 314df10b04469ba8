"""Rows about the server as a whole: loops, idle connections, and what a request costs as these grow."""
import os
import time

import fast_rows
import harness
import quick_client
import rig
import traffic

IDLE = 10000


def scaling(bench):
    """One loop and as many as there are cores. The load generator takes CPU of the same cores, so on a small machine
    the rates say little; what the loops could do is the CPU they have divided by the CPU of a request."""
    cores = os.cpu_count()
    counts = sorted({1, 2, cores})
    flags = {n: bench.site("--loops=%d" % n) for n in counts}
    sites = {n: running.__enter__() for n, running in flags.items()}
    try:
        results = bench.rounds({n: lambda seconds, site=site, operation=traffic.encrypt(fast_rows.new_key(site)):
                                site.load(operation, seconds=seconds, threads=2) for n, site in sites.items()})
    finally:
        for running in flags.values():
            running.__exit__()
    for n, samples in results.items():
        row = bench.row("Encrypt, %d loop%s, 2 load threads" % (n, "s" * (n > 1)), samples)
        if n > 1:
            row.judge("%d x CPU of 1 loop / CPU" % n, n * harness.ratio(results[1], samples, "cpu_us"), 0.9 * n,
                      at_least=True)
            row.note = "rate %.2f times 1 loop" % harness.ratio(samples, results[1], "rate")
    bench.curves.append(harness.Curve("Loops", "event loops", "us of CPU per Encrypt", {
        "Encrypt": [(n, samples.m("cpu_us")) for n, samples in results.items()]}))


def idle(bench):
    """10,000 connections that have asked once and then stay, beside a load at a third of the full rate."""
    with bench.site() as site:
        operation = traffic.encrypt(fast_rows.new_key(site))
        rate = site.load(operation, seconds=bench.options.seconds)["rate"] / 3
        without, with_them, memory = harness.Samples(), harness.Samples(), []
        for _ in range(min(5, bench.options.rounds)):
            without.append(site.load(operation, seconds=bench.options.seconds, rate=rate))
            before = rig.memory_mb(site.pid)
            holder = _hold(site, operation)
            with_them.append(site.load(operation, seconds=bench.options.seconds, rate=rate))
            memory.append(rig.memory_mb(site.pid) - before)
            lost = IDLE + 1 - _connections(site)
            holder.process.kill()
            holder.process.wait()
            if lost > 0:
                raise rig.Failed("%d of the idle connections were closed" % lost)
            _wait(lambda: _connections(site) < IDLE / 100, "the connections do not end")
    bench.row("Encrypt at a third of its rate", without)
    row = bench.row("the same beside {:,} idle connections".format(IDLE), with_them)
    row.judge("MB more", max(memory), 40, decimals=1)  # the first time: what was freed stays for the next
    row.judge("p99 / without", harness.ratio(with_them, without, "p99"), 1.25)


def _hold(site, operation):
    """Another load generator with the idle connections, which are all there, and one that asks once a second."""
    holder = rig.Load(site.port, operation.requests(site.signer), expect=operation.expect, connections=1, rate=1,
                      idle=IDLE, seconds=600)
    _wait(lambda: _connections(site) >= IDLE + 1 or not holder.running(), "10,000 connections do not come about")
    if not holder.running():
        holder.figures()
        raise rig.Failed("the connections did not stay")
    return holder


def _metric(site, name):
    """A metric of the server, given with its labels."""
    text = site.server.get("/_trent/metrics")
    return next(float(line.rsplit(" ", 1)[1]) for line in text.split("\n") if line.startswith(name + " "))


def _connections(site):
    return _metric(site, "trent_connections") - 1  # less the one that asks


def _wait(until, otherwise, seconds=60):
    deadline = time.monotonic() + seconds
    while not until():
        if time.monotonic() > deadline:
            raise rig.Failed(otherwise)
        time.sleep(0.05)


def connections(bench):
    """What a request costs, by the number of connections that ask."""
    counts = (1, 8, 64, 512)
    with rig.Nginx(bench.folder) as nginx, bench.site() as site:
        encrypt = traffic.encrypt(fast_rows.new_key(site))
        cases = {}
        for n in counts:
            cases["nginx", n] = fast_rows.nginx_load(nginx, connections=n)
            cases["Encrypt", n] = lambda seconds, n=n: site.load(encrypt, seconds=seconds, connections=n)
        results = bench.rounds(cases, rounds=min(3, bench.options.rounds))
    for n in counts:
        bench.row("Encrypt, %d connection%s" % (n, "s" * (n > 1)), results["Encrypt", n], note="nginx %.2f us" %
                  results["nginx", n].m("cpu_us"))
    bench.curves.append(harness.Curve("Connections", "connections", "us of CPU per request", {
        name: [(n, results[name, n].m("cpu_us")) for n in counts] for name in ("nginx", "Encrypt")}))


def grants(bench):
    """A caller whom nothing but the last of n grants on the key allows: who has n pays for n."""
    counts = (1, 10, 100, 1000)
    with bench.site() as site:
        iam = site.server.client("iam")
        user = iam.create_user(UserName="bench")["User"]["Arn"]
        made = iam.create_access_key(UserName="bench")["AccessKey"]
        keys = {n: _key_with_grants(site, user, n) for n in counts}
        signer = traffic.Signer(site.port, made["AccessKeyId"], made["SecretAccessKey"])
        cases = {"by policy": lambda seconds, operation=traffic.encrypt(keys[1]): site.load(operation, seconds=seconds)}
        for n in counts:
            operation = traffic.encrypt(keys[n])
            cases[n] = lambda seconds, operation=operation: rig.load(
                site.pid, site.port, operation.requests(signer), expect=operation.expect, seconds=seconds)
        results = bench.rounds(cases, rounds=min(3, bench.options.rounds))
    bench.row("Encrypt, allowed by the key policy", results["by policy"])
    for n in counts:
        bench.row("Encrypt, allowed by one of %d grant%s" % (n, "s" * (n > 1)), results[n])
    bench.curves.append(harness.Curve("Grants of the caller on the key", "grants", "us of CPU per Encrypt", {
        "by grant": [(n, results[n].m("cpu_us")) for n in counts]}))


def _key_with_grants(site, user, n):
    """A key with n grants to the user, of which the last allows Encrypt whatever the context, and no other does."""
    key = site.call("CreateKey", {})["KeyMetadata"]["KeyId"]
    grant = {"KeyId": key, "GranteePrincipal": user, "Operations": ["Encrypt"]}
    root = quick_client.Credentials("test", "test")
    answers = quick_client.ask_all(site.server.address, [(root, "CreateGrant", {
        **grant, "Constraints": {"EncryptionContextEquals": {"grant": str(i)}}}) for i in range(1, n)], threads=16)
    wrong = [answer for answer in answers if answer.code]
    if wrong:
        raise rig.Failed("CreateGrant: %r" % wrong[0])
    site.call("CreateGrant", grant)
    return key


def pool(bench):
    """GetParametersForImport RSA_4096 while the keys made ahead last: one client."""
    ready = 6 if bench.options.quick else 12
    calls = ready - 3  # others are being made meanwhile, and take their time
    samples = harness.Samples()
    with bench.site("--ready-keys-4096=%d" % ready) as site:
        kms = site.server.client()
        key = kms.create_key(Origin="EXTERNAL")["KeyMetadata"]["KeyId"]
        operation = traffic.Operation("GetParametersForImport", lambda i: {
            "KeyId": key, "WrappingAlgorithm": "RSAES_OAEP_SHA_256", "WrappingKeySpec": "RSA_4096"}, '{"KeyId":', calls)
        started = time.monotonic()
        for _ in range(min(3, bench.options.rounds)):
            _wait(lambda: _metric(site, 'trent_ready_keys{spec="RSA_4096"}') >= ready, "the pool does not fill", 120)
            samples.append(site.load(operation, connections=1, once=True))
        made = ready + calls * (len(samples) - 1)
        seconds = time.monotonic() - started
    bench.row("GetParametersForImport RSA_4096, pool", samples, note="%d times %d calls; %d keys took %.0f s to make" % (
        len(samples), calls, made, seconds)).judge("p50 ms", samples.m("p50") / 1000, 3.0)
