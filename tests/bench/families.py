"""Bench rows of the key families: signatures, MACs, key agreement, key pairs, imports, beside openssl's own figures.

A private operation should cost what `openssl speed` says on the same machine, and beside it no more than an
Encrypt, whose cryptography costs next to nothing: the request.
"""
import os
import pathlib
import re
import subprocess

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

TOP = pathlib.Path(__file__).resolve().parents[2]
# names in `openssl speed -mr` and which number of a line is what
SPEED = (
    ("F2", "2048", "rsa2048", {"RSA_2048 sign": 3, "RSA_2048 verify": 4}),
    ("F4", "256", "ecdsap256", {"ECC_NIST_P256 sign": 3, "ECC_NIST_P256 verify": 4}),
    ("F5", "256", "ecdhp256", {"ECC_NIST_P256 derive": 3}),
    ("F6", "253", "ed25519", {"ECC_NIST_EDWARDS25519 sign": 4, "ECC_NIST_EDWARDS25519 verify": 5}),
)


def openssl_times(seconds=1):
    """µs of CPU per operation, by name."""
    program = TOP / "build" / "deps" / "bin" / "openssl"
    program = str(program) if program.exists() else "openssl"

    def speed(*names):
        return subprocess.run([program, "speed", "-seconds", str(seconds), "-mr", *names], check=True,
                              stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True).stdout

    times = {}
    text = speed(*(name for _, _, name, _ in SPEED))
    for tag, size, _, wanted in SPEED:
        fields = re.search(r"^\+%s:\d+:%s:.*$" % (tag, size), text, re.M).group(0).split(":")
        for name, at in wanted.items():
            times[name] = 1e6 / float(fields[at])
    # the line of a signature algorithm: keys, signatures and verifications a second, the last line
    fields = speed("ML-DSA-65").strip().split("\n")[-1].split(":")
    times["ML_DSA_65 sign"], times["ML_DSA_65 verify"] = (1e6 / float(f) for f in fields[-2:])
    return times


SIGNING = (("RSA_2048", "RSASSA_PKCS1_V1_5_SHA_256"), ("ECC_NIST_P256", "ECDSA_SHA_256"),
           ("ECC_NIST_EDWARDS25519", "ED25519_SHA_512"), ("ML_DSA_65", "ML_DSA_SHAKE_256"))


def bodies(kms, b64, imports_again):
    """row name -> (operation, function of i that makes the body, name in openssl_times or None)."""
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
    rows["ImportKeyMaterial"] = ("ImportKeyMaterial", lambda i: imports_again[i % len(imports_again)], None)
    return rows
