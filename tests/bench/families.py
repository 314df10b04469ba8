"""Bench rows of the key families: signatures, MACs, key agreement, key pairs, imports, beside openssl's own figures.

A private operation should cost what `openssl speed` says on the same machine, and beside it no more than an
Encrypt, whose cryptography costs next to nothing: the request.
"""
import os
import statistics
import time

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

import durable_rows
import fast_rows
import harness
import openssl
import rig
import traffic
from traffic import b64

IMPORTING = 64  # keys into which material is imported again: calls that change one key wait for each other
SIGNING = (("RSA_2048", "RSASSA_PKCS1_V1_5_SHA_256"), ("ECC_NIST_P256", "ECDSA_SHA_256"),
           ("ECC_NIST_EDWARDS25519", "ED25519_SHA_512"), ("ML_DSA_65", "ML_DSA_SHAKE_256"))


def bodies(kms, imports):
    """row name -> (operation, function of i that makes the body, name in openssl.openssl_times or None)."""
    rows = {}
    for spec, algorithm in SIGNING:
        key = kms.create_key(KeySpec=spec, KeyUsage="SIGN_VERIFY")["KeyMetadata"]["KeyId"]
        message = os.urandom(32)
        signature = kms.sign(KeyId=key, Message=message, SigningAlgorithm=algorithm)["Signature"]
        rows["Sign %s" % spec] = ("Sign", lambda i, key=key, algorithm=algorithm: {
            "KeyId": key, "Message": b64(b"%32d" % i), "SigningAlgorithm": algorithm}, "%s sign" % spec)
        rows["Verify %s" % spec] = (
            "Verify", lambda i, key=key, algorithm=algorithm, message=message, signature=signature: {
                "KeyId": key, "Message": b64(message), "SigningAlgorithm": algorithm,
                "Signature": b64(signature)}, "%s verify" % spec)
    mac = kms.create_key(KeySpec="HMAC_256", KeyUsage="GENERATE_VERIFY_MAC")["KeyMetadata"]["KeyId"]
    rows["GenerateMac HMAC_256"] = ("GenerateMac", lambda i: {
        "KeyId": mac, "Message": b64(b"%32d" % i), "MacAlgorithm": "HMAC_SHA_256"}, None)
    agree = kms.create_key(KeySpec="ECC_NIST_P256", KeyUsage="KEY_AGREEMENT")["KeyMetadata"]["KeyId"]
    peer = ec.generate_private_key(ec.SECP256R1()).public_key().public_bytes(
        serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
    rows["DeriveSharedSecret P256"] = ("DeriveSharedSecret", lambda i: {
        "KeyId": agree, "KeyAgreementAlgorithm": "ECDH", "PublicKey": b64(peer)}, "ECC_NIST_P256 derive")
    master = kms.create_key()["KeyMetadata"]["KeyId"]
    rows["GenerateDataKeyPair P256"] = ("GenerateDataKeyPair", lambda i: {
        "KeyId": master, "KeyPairSpec": "ECC_NIST_P256"}, None)
    rows["ImportKeyMaterial"] = ("ImportKeyMaterial", lambda i: imports[i % len(imports)], None)
    return rows


def families(bench):
    """Every family in interleaved rounds with Encrypt and openssl; how far it is from openssl's time and a request."""
    with bench.site() as site:
        imports = durable_rows.importing(site, IMPORTING)
        found = bodies(site.server.client(), imports)
        encrypt = traffic.encrypt(fast_rows.new_key(site))
        cases = fast_rows.loads(site, {"Encrypt 32 B": encrypt, **{
            name: traffic.Operation(operation, body, "{") for name, (operation, body, _) in found.items()}})
        times = []

        def speed(seconds):
            times.append(openssl.openssl_times(max(1, round(seconds))))
            return {}
        results = bench.rounds({"openssl": speed, **cases})
        beside = rsa_4096_beside(bench, site, encrypt)
    request = results["Encrypt 32 B"].m("cpu_us")
    for name in cases:
        cpu, source = results[name].m("cpu_us"), found[name][2] if name in found else None
        note = ""
        if source is not None:
            own = statistics.median(t[source] for t in times)
            note = "openssl %.1f us, %+.0f %% with an Encrypt taken off" % (own, ((cpu - request) / own - 1) * 100)
        bench.row(name, results[name], note=note)
    bench.rows.append(beside)


def rsa_4096_beside(bench, site, encrypt):
    """p99 of Encrypt alone, and while a second load generator keeps the pool busy with RSA-4096 signatures."""
    key = site.call("CreateKey", {"KeySpec": "RSA_4096", "KeyUsage": "SIGN_VERIFY"})["KeyMetadata"]["KeyId"]
    signing = traffic.Operation("Sign", lambda i: {"KeyId": key, "Message": b64(b"%32d" % i),
                                                   "SigningAlgorithm": "RSASSA_PSS_SHA_256"}, "{")
    alone, beside, signatures, seconds = harness.Samples(), harness.Samples(), harness.Samples(), bench.options.seconds
    for _ in range(bench.options.rounds):
        alone.append(site.load(encrypt, seconds=seconds))
        other = rig.Load(site.port, signing.requests(site.signer), connections=16, seconds=seconds + 1)
        time.sleep(0.5)
        beside.append(site.load(encrypt, seconds=seconds))
        signatures.append(other.figures())
    figures = {what: beside.m(what) for what in ("rate", "p50", "p99")}
    return harness.Row(bench.section, "Encrypt beside RSA_4096 signatures at full load", figures,
                       note="%.0f signatures a second; p99 %.2f times that alone" % (
                           signatures.m("rate"), beside.m("p99") / alone.m("p99")))
