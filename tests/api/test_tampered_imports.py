"""ImportKeyMaterial with what is damaged, forged or of the wrong kind: recorded-imports R6 and R15, kms-behaviour 7.3
and 7.4.

Every fault gives InvalidCiphertextException without message, or ValidationException `Invalid encrypted key size.`
where the length cannot fit the wrapping; nothing changes, and the same token then takes the right material.
"""
import functools
import json
import os

import pytest
import requests
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.keywrap import aes_key_wrap, aes_key_wrap_with_padding

from families import (
    CURVE_OIDS, EC_PUBLIC_KEY, EC_SPECS, EDWARDS, HMAC_SPECS, IMPORTABLE, MAC_BYTES, NULL, ORDERS, RSA_ALGORITHM,
    RSA_SPECS, WRAPPINGS, Importer, Material, allowed_wrappings, bits, ec_pkcs8, ec_private, integer, oaep, octets, oid,
    openssl, pkcs8, rsa_key, rsa_private, seq, spki_of, tlv, to_ber, with_inner, wrap_as, wrapping_key_for)
from recorded import dk
from test_http import signed
from trent_server import b64, error_of

CIPHERTEXT = ("InvalidCiphertextException", None)
SIZE = ("ValidationException", "Invalid encrypted key size.")
COMBINATIONS = [(s, a) for s in IMPORTABLE for a in WRAPPINGS if any(a == x for x, _ in allowed_wrappings(s))]


def unchanged(kms, importer, before):
    return kms.describe_key(KeyId=importer.id)["KeyMetadata"] == before


def refuse_all(kms, importer, faults, good, states=("PendingImport", "Enabled")):
    """Sends each wrapped fault to a key without and with material: exactly the expected error, nothing changes, and
    the token goes on working."""
    for state in states:
        before = kms.describe_key(KeyId=importer.id)["KeyMetadata"]
        assert before["KeyState"] == state
        for name, (wrapped, expected) in faults.items():
            assert error_of(importer.send, wrapped) == expected, name
            assert unchanged(kms, importer, before), name
        importer.put(good)
    assert dk(kms, importer.id)[0] == "Enabled"


# --- the wrapping --------------------------------------------------------------------------------------


def flipped(data, at):
    return data[:at] + bytes([data[at] ^ 1]) + data[at + 1:]


def aes_ecb(kek, block):
    encryptor = Cipher(algorithms.AES(kek), modes.ECB()).encryptor()
    return encryptor.update(block) + encryptor.finalize()


def wrap_with_padding(kek, material, head=b"\xa6\x59\x59\xa6", length=None, fill=0):
    """RFC 5649 with a wrong constant, length or padding: what a decoder must notice after the unwrapping."""
    head += (len(material) if length is None else length).to_bytes(4, "big")
    padded = material + bytes([fill]) * (-len(material) % 8)
    if len(padded) == 8:
        return aes_ecb(kek, head + padded)
    a, r = head, [padded[i:i + 8] for i in range(0, len(padded), 8)]
    for j in range(6):
        for i in range(len(r)):
            block = aes_ecb(kek, a + r[i])
            a = (int.from_bytes(block[:8], "big") ^ (len(r) * j + i + 1)).to_bytes(8, "big")
            r[i] = block[8:]
    return a + b"".join(r)


def other_hash(algorithm):
    return algorithm[:-5] + "SHA_256" if algorithm.endswith("SHA_1") else algorithm[:-7] + "SHA_1"


def oaep_faults(importer, good):
    """Damage of an RSAES_OAEP_* wrapping."""
    wrapped, public = importer.wrap(good), importer.parameters["PublicKey"]
    n = len(wrapped)
    modulus = serialization.load_der_public_key(public).public_numbers().n
    stranger = spki_of(rsa_key("RSA_2048"))
    faults = {"flipped byte %d" % at: (flipped(wrapped, at), CIPHERTEXT) for at in (1, n // 2, n - 1)}
    faults.update({
        "truncated": (wrapped[:-1], SIZE), "one byte": (b"\1", SIZE), "extended": (wrapped + b"\0", SIZE),
        "leading zero": (b"\0" + wrapped, SIZE), "twice": (wrapped + wrapped, SIZE), "longest": (b"w" * 6144, SIZE),
        "swapped halves": (wrapped[n // 2:] + wrapped[:n // 2], CIPHERTEXT),
        "other OAEP hash": (wrap_as(public, good[:60], other_hash(importer.algorithm)), CIPHERTEXT),
        "another wrapping key": (wrap_as(stranger, os.urandom(32), importer.algorithm).rjust(n, b"\0"), CIPHERTEXT),
        "zeros": (b"\0" * n, CIPHERTEXT), "not below the modulus": (b"\xff" * n, CIPHERTEXT),
        "the modulus": (modulus.to_bytes(n, "big"), CIPHERTEXT), "one": ((1).to_bytes(n, "big"), CIPHERTEXT),
        "not wrapped": (good[:32].rjust(n, b"\0"), CIPHERTEXT), "nothing inside": (importer.wrap(b""), CIPHERTEXT),
    })
    return faults


def key_wrap_faults(importer, good):
    """Damage of an RSA_AES_KEY_WRAP_* wrapping: A, then B of whole 8-byte blocks, at least two."""
    public, algorithm = importer.parameters["PublicKey"], importer.algorithm
    kek = os.urandom(32)
    wrapped = wrap_as(public, good, algorithm, kek)
    n = serialization.load_der_public_key(public).key_size // 8
    a, b = wrapped[:n], wrapped[n:]
    key = serialization.load_der_public_key(public)

    def with_kek(size, hashed=algorithm):
        small = os.urandom(size)
        inner = b if size not in (16, 24, 32) else wrap_with_padding(small, good)
        return key.encrypt(small, oaep(hashed)) + inner

    pads = -len(good) % 8
    faults = {
        "flipped in the RSA part": (flipped(a, n // 2) + b, CIPHERTEXT),
        "flipped at the start": (flipped(a, 1) + b, CIPHERTEXT),
        "flipped in the AES part": (a + flipped(b, len(b) // 2), CIPHERTEXT),
        "flipped at the end": (a + flipped(b, len(b) - 1), CIPHERTEXT),
        "truncated by a block": (wrapped[:-8], CIPHERTEXT), "extended by a block": (wrapped + b"\0" * 8, CIPHERTEXT),
        "truncated by a byte": (wrapped[:-1], SIZE), "extended by a byte": (wrapped + b"\0", SIZE),
        "only the RSA part": (a, SIZE), "the RSA part and one block": (a + b[:8], SIZE), "one byte": (b"\1", SIZE),
        "only the AES part": (b, SIZE if len(b) < n + 16 or (len(b) - n) % 8 else CIPHERTEXT),
        "swapped parts": (b + a, CIPHERTEXT if (len(a) + len(b) - n) % 8 == 0 else SIZE),
        "other OAEP hash": (with_kek(32, other_hash(algorithm)), CIPHERTEXT),
        "AES key of 31 bytes": (with_kek(31), CIPHERTEXT), "AES key of 33 bytes": (with_kek(33), CIPHERTEXT),
        "AES-128 key": (with_kek(16), CIPHERTEXT), "AES-192 key": (with_kek(24), CIPHERTEXT),
        "no AES key": (key.encrypt(b"", oaep(algorithm)) + b, CIPHERTEXT),
        "another AES key": (a + wrap_with_padding(os.urandom(32), good), CIPHERTEXT),
        "wrong constant": (a + wrap_with_padding(kek, good, head=b"\xa6\xa6\xa6\xa6"), CIPHERTEXT),
        "length too large": (a + wrap_with_padding(kek, good, length=len(good) + pads + 1), CIPHERTEXT),
        "length too small": (a + wrap_with_padding(kek, good, length=len(good) + pads - 8), CIPHERTEXT),
        "length zero": (a + wrap_with_padding(kek, good, length=0), CIPHERTEXT),
        "length huge": (a + wrap_with_padding(kek, good, length=0xffffffff), CIPHERTEXT),
        "plain key wrap": (a + aes_key_wrap(kek, good + b"\0" * pads), CIPHERTEXT),
        "zeros": (b"\0" * len(wrapped), CIPHERTEXT), "not wrapped": (a + good + b"\0" * pads, CIPHERTEXT),
    }
    if pads:
        faults["padding not zero"] = (a + wrap_with_padding(kek, good, fill=1), CIPHERTEXT)
    return faults


def test_own_key_wrap_is_right():
    """The helper above makes what the cryptography package makes, so that its faulty forms differ in one thing only."""
    for length in (1, 8, 9, 32, 67, 138):
        kek, material = os.urandom(32), os.urandom(length)
        assert wrap_with_padding(kek, material) == aes_key_wrap_with_padding(kek, material)


@pytest.mark.parametrize("spec,algorithm", COMBINATIONS)
def test_damaged_wrapping(kms, spec, algorithm):
    """KB 7.3; kinds 1 to 6 of damage for every family and wrapping algorithm."""
    importer, good = Importer(kms, spec, algorithm, wrapping_key_for(spec, algorithm)), Material(spec).default
    make = oaep_faults if algorithm.startswith("RSAES") else key_wrap_faults
    refuse_all(kms, importer, make(importer, good), good)


@pytest.mark.parametrize("spec", ["SYMMETRIC_DEFAULT", "HMAC_256"])
def test_key_wrapped_where_oaep_was_agreed(kms, spec):
    """The token fixes the algorithm: RSA_AES_KEY_WRAP bytes are too long for it, R3 forbids it anyway."""
    importer, good = Importer(kms, spec), Material(spec).default
    wrapped = wrap_as(importer.parameters["PublicKey"], good, "RSA_AES_KEY_WRAP_SHA_256")
    refuse_all(kms, importer, {"key wrap": (wrapped, SIZE)}, good)


def test_oaep_where_key_wrap_was_agreed(kms):
    importer, good = Importer(kms, "ECC_NIST_P256", "RSA_AES_KEY_WRAP_SHA_256", "RSA_2048"), Material("ECC_NIST_P256")
    wrapped = wrap_as(importer.parameters["PublicKey"], good.default, "RSAES_OAEP_SHA_256")
    refuse_all(kms, importer, {"OAEP": (wrapped, SIZE)}, good.default)


# --- what is inside ------------------------------------------------------------------------------------


@functools.lru_cache(maxsize=None)
def openssl_key(*options):
    """A PKCS#8 made by openssl genpkey, once per run."""
    _, made = openssl("genpkey", "-outform", "PEM", "-out", "@out", "-algorithm", *options)
    return openssl("pkcs8", "-topk8", "-nocrypt", "-in", "@key", "-outform", "DER", "-out", "@out", key=made)[1]


def encrypted(material):
    key = serialization.load_der_private_key(material, None)
    return key.private_bytes(serialization.Encoding.DER, serialization.PrivateFormat.PKCS8,
                             serialization.BestAvailableEncryption(b"password"))


def pem(material):
    key = serialization.load_der_private_key(material, None)
    return key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8,
                             serialization.NoEncryption())


def common_faults(good):
    """Wrong whatever the family: the PKCS#8 around the key."""
    der = good.default
    return {
        "garbage": b"garbage", "one zero": b"\0", "an empty sequence": seq(), "nothing but zeros": b"\0" * len(der),
        "trailing byte": der + b"\0", "trailing copy": der + der[:16], "cut short": der[:-1],
        "first half": der[:len(der) // 2],
        "encrypted PKCS#8": encrypted(der), "PEM": pem(der), "the public key": good.public,
        "version 7": der.replace(b"\2\1\0", b"\2\1\7", 1),
        "length too long": bytes([der[0]]) + _longer(der), "unfinished BER": to_ber(der)[:-2],
        "not a sequence": bytes([0x31]) + der[1:],
    }


def _longer(der):
    """The rest of `der` with a length one larger than it is."""
    if der[1] < 128:
        return bytes([der[1] + 1]) + der[2:]
    size = der[1] & 0x7f
    length = int.from_bytes(der[2:2 + size], "big") + 1
    return bytes([der[1]]) + length.to_bytes(size, "big") + der[2 + size:]


def rsa_faults(spec, good):
    n, e, d, p, q = good.numbers()
    other = Material(spec, which=1).numbers()
    size = int(spec[4:])
    inner = rsa_private(n, e, d, p, q)

    def numbers(**changed):
        """RSAPrivateKey with single numbers exchanged."""
        x = {"v": 0, "n": n, "e": e, "d": d, "p": p, "q": q, "dp": d % (p - 1), "dq": d % (q - 1), "qi": pow(q, -1, p),
             **changed}
        return pkcs8(RSA_ALGORITHM, seq(*(integer(x[k]) for k in ("v", "n", "e", "d", "p", "q", "dp", "dq", "qi"))))

    phi = (p - 1) * (q - 1)
    faults = {"wrong modulus size " + other_spec: Material(other_spec).default
              for other_spec in RSA_SPECS if other_spec != spec}
    faults.update({
        "three primes": openssl_key("RSA", "-pkeyopt", "rsa_keygen_bits:%d" % size, "-pkeyopt", "rsa_keygen_primes:3"),
        "public exponent 3": small_exponent(size),
        "even exponent": numbers(e=65536), "exponent 1": numbers(e=1, d=1, dp=1, dq=1),
        "n is not p times q": numbers(n=other[0]), "n plus two": numbers(n=n + 2),
        "d of another key": numbers(d=other[2]),
        "d zero": numbers(d=0), "d plus two": numbers(d=d + 2), "p of another key": numbers(p=other[3]),
        "dp plus one": numbers(dp=d % (p - 1) + 1), "dq plus one": numbers(dq=d % (q - 1) + 1),
        "qinv plus one": numbers(qi=pow(q, -1, p) + 1), "CRT numbers zero": numbers(dp=0, dq=0, qi=0),
        "p and q 1 and n": numbers(p=n, q=1, dp=d % (n - 1), dq=0, qi=1), "negative modulus": numbers(n=-n),
        "negative d": numbers(d=d - phi), "no CRT numbers": pkcs8(RSA_ALGORITHM, seq(*map(integer, (0, n, e, d)))),
        "trailing number": pkcs8(RSA_ALGORITHM, seq(*map(integer, (0, n, e, d, p, q, d % (p - 1), d % (q - 1),
                                                                     pow(q, -1, p), 1)))),
        "trailing byte inside": with_inner(good.default, inner + b"\0"),
        "the PKCS#1 form": inner, "RSA-PSS algorithm": pkcs8(oid("1.2.840.113549.1.1.10"), inner),
        "EC algorithm": pkcs8(EC_PUBLIC_KEY + oid(CURVE_OIDS["ECC_NIST_P256"]), inner),
        "an EC key": Material("ECC_NIST_P256").default, "p is not prime": composite(size),
    })
    return faults


@functools.lru_cache(maxsize=None)
def small_exponent(size):
    key = rsa.generate_private_key(3, size)
    return key.private_bytes(serialization.Encoding.DER, serialization.PrivateFormat.PKCS8,
                             serialization.NoEncryption())


@functools.lru_cache(maxsize=None)
def composite(size):
    """A key whose p is the product of two primes: encryption round trips work, but it is no RSA key of two primes."""
    r, s, q = random_prime(size // 4), random_prime(size // 4), rsa_key("RSA_%d" % size).private_numbers().p
    while (r * s * q).bit_length() != size:
        s = random_prime(size // 4)
    d = pow(65537, -1, (r - 1) * (s - 1) * (q - 1))
    p = r * s
    return pkcs8(RSA_ALGORITHM, seq(*map(integer, (0, p * q, 65537, d, p, q, d % (p - 1), d % (q - 1), pow(q, -1, p)))))


def random_prime(size):
    """A prime of that many bits with its top two bits set, so that products keep their length."""
    return int(openssl("prime", "-generate", "-bits", str(size), "-hex")[1], 16)


def ec_faults(spec, good):
    d, order = good.private.private_numbers().private_value, ORDERS[spec]
    point, other = good.point(), Material(spec).point()
    size = len(point) // 2
    algorithm = EC_PUBLIC_KEY + oid(CURVE_OIDS[spec])
    group = {"ECC_NIST_P256": "P-256", "ECC_NIST_P384": "P-384", "ECC_NIST_P521": "P-521",
             "ECC_SECG_P256K1": "secp256k1"}[spec]
    wrong_curve = next(s for s in EC_SPECS if s != spec)
    faults = {"wrong curve " + s: Material(s).default for s in EC_SPECS if s != spec}
    faults.update({
        "explicit curve parameters": openssl_key("EC", "-pkeyopt", "ec_paramgen_curve:" + group, "-pkeyopt",
                                                 "ec_param_enc:explicit"),
        "another key's point": ec_pkcs8(spec, d, other), "the point negated": ec_pkcs8(spec, d, negated(spec, point)),
        "another key's compressed point": ec_pkcs8(spec, d, bytes([2]) + other[1:1 + size]),
        "compressed point of wrong sign": ec_pkcs8(spec, d, bytes([3 - (point[-1] & 1)]) + point[1:1 + size]),
        "hybrid point of wrong sign": ec_pkcs8(spec, d, bytes([7 - (point[-1] & 1)]) + point[1:]),
        "point off the curve": ec_pkcs8(spec, d, flipped(point, len(point) - 1)),
        "point cut": ec_pkcs8(spec, d, point[:-1]),
        "point at infinity": ec_pkcs8(spec, d, b"\0"), "empty point": ec_pkcs8(spec, d, b""),
        "scalar zero": ec_pkcs8(spec, 0), "scalar zero with a point": ec_pkcs8(spec, 0, point),
        "scalar is the order": ec_pkcs8(spec, order), "scalar above the order": ec_pkcs8(spec, order + 1),
        "scalar of one byte too many": pkcs8(algorithm, seq(integer(1), octets(b"\1" + d.to_bytes(size, "big")))),
        "empty scalar": pkcs8(algorithm, seq(integer(1), octets(b""))),
        "another curve inside": pkcs8(algorithm, seq(integer(1), octets(d.to_bytes(size, "big")),
                                                     tlv(0xa0, oid(CURVE_OIDS[wrong_curve])))),
        "the other curve's name": pkcs8(EC_PUBLIC_KEY + oid(CURVE_OIDS[wrong_curve]), ec_private(spec, d, point)),
        "an unknown curve": pkcs8(EC_PUBLIC_KEY + oid("1.3.132.0.99"), ec_private(spec, d, point)),
        "no curve": pkcs8(EC_PUBLIC_KEY, ec_private(spec, d, point)),
        "curve left to the issuer": pkcs8(EC_PUBLIC_KEY + NULL, ec_private(spec, d, point)),
        "the ECPrivateKey form": ec_private(spec, d, point, curve_inside=True),
        "trailing byte inside": with_inner(good.default, ec_private(spec, d, point) + b"\0"),
        "an Ed25519 key": Material(EDWARDS).default, "an SM2 curve": ec_pkcs8("SM2", 5),
    })
    return faults


PRIMES = {"ECC_NIST_P256": 2**256 - 2**224 + 2**192 + 2**96 - 1, "ECC_NIST_P521": 2**521 - 1,
          "ECC_NIST_P384": 2**384 - 2**128 - 2**96 + 2**32 - 1, "ECC_SECG_P256K1": 2**256 - 2**32 - 977}


def negated(spec, point):
    """The point of the same x and the other y."""
    size = len(point) // 2
    y = PRIMES[spec] - int.from_bytes(point[1 + size:], "big")
    return point[:1 + size] + y.to_bytes(size, "big")


def edwards_faults(spec, good):
    del spec
    seed = good.default[-32:]
    number = oid("1.3.101.112")
    return {
        "BER": to_ber(good.default), "BER with segments": to_ber(good.default, segments=True),
        "bare seed": seed, "seed not wrapped": pkcs8(number, seed),
        "seed of 31 bytes": pkcs8(number, octets(seed[:-1])),
        "seed of 33 bytes": pkcs8(number, octets(seed + b"\0")), "empty seed": pkcs8(number, octets(b"")),
        "NULL parameters": pkcs8(number + NULL, octets(seed)),
        "an X25519 key": pkcs8(oid("1.3.101.110"), octets(seed)),
        "Ed448's number": pkcs8(oid("1.3.101.113"), octets(seed)),
        "trailing byte inside": pkcs8(number, octets(seed) + b"\0"), "a P-256 key": Material("ECC_NIST_P256").default,
    }


def secret_faults(spec, good):
    n = MAC_BYTES.get(spec, 32)
    lengths = {1, 8, 16, n - 1} | ({129, 130} if spec in HMAC_SPECS else {n + 1, 24, 31, 33, 48, 64})
    return {"%d bytes" % length: os.urandom(length) for length in lengths}


ALL_INSIDE = {**{s: rsa_faults for s in RSA_SPECS}, **{s: ec_faults for s in EC_SPECS}, EDWARDS: edwards_faults,
              **{s: secret_faults for s in HMAC_SPECS + ["SYMMETRIC_DEFAULT"]}}


@pytest.mark.parametrize("spec", IMPORTABLE)
def test_wrong_inside(kms, spec):
    """R15, KB 7.4; kinds 7 to 15: wrapped as it should be, but not one key of this spec."""
    good = Material(spec)
    secret = good.public is None
    importer = Importer(kms, spec, *(("RSAES_OAEP_SHA_1", "RSA_2048") if secret else
                                     ("RSA_AES_KEY_WRAP_SHA_256", "RSA_2048")))
    inside = {**ALL_INSIDE[spec](spec, good), **({} if secret else common_faults(good))}
    assert good.default not in inside.values()
    faults = {name: (importer.wrap(material), CIPHERTEXT) for name, material in inside.items()}
    # the checks of large RSA numbers are slow: once is enough for those
    large = spec in ("RSA_3072", "RSA_4096")
    refuse_all(kms, importer, faults, good.default, ("PendingImport",) if large else ("PendingImport", "Enabled"))


def test_on_the_wire(server, kms):
    """R15, 4.1: no message member at all; the other error has its text in `message`."""
    importer = Importer(kms, "ECC_NIST_P256")
    for wrapped, expected in ((b"\1" * 256, {"__type": "InvalidCiphertextException"}),
                              (b"\1" * 255, {"__type": "ValidationException", "message": SIZE[1]})):
        prepared = signed(server, "ImportKeyMaterial", json.dumps({
            "KeyId": importer.id, "ImportToken": b64(importer.parameters["ImportToken"]),
            "EncryptedKeyMaterial": b64(wrapped), "ExpirationModel": "KEY_MATERIAL_DOES_NOT_EXPIRE"}))
        answer = requests.post(prepared.url, data=prepared.body, headers=dict(prepared.headers.items()), timeout=30)
        assert (answer.status_code, answer.json()) == (400, expected)


@pytest.mark.parametrize("spec,other", [("ECC_NIST_P256", "ECC_NIST_P256"), ("HMAC_256", "SYMMETRIC_DEFAULT"),
                                        ("RSA_2048", "ECC_NIST_P256")])
def test_r14_tokens_of_another_key(kms, spec, other):
    """R14: a token of another key, also of another spec, and a damaged one; the own one still works."""
    mine, theirs = Importer(kms, spec), Importer(kms, other)
    good = Material(spec)
    token = mine.parameters["ImportToken"]
    for bad in (theirs.parameters["ImportToken"], flipped(token, len(token) // 2), token[:-1], token + b"\0", b"t"):
        assert error_of(kms.import_key_material, KeyId=mine.id, ImportToken=bad,
                        EncryptedKeyMaterial=mine.wrap(good.default),
                        ExpirationModel="KEY_MATERIAL_DOES_NOT_EXPIRE") == ("InvalidImportTokenException", None)
    mine.put(good.default)


def test_every_kind_has_a_case():
    """The list of the kinds above, so that none gets lost."""
    rsa_names, ec_names = set(rsa_faults("RSA_2048", Material("RSA_2048"))), set(ec_faults("ECC_NIST_P256",
                                                                                         Material("ECC_NIST_P256")))
    assert {"three primes", "public exponent 3", "wrong modulus size RSA_3072", "trailing byte inside"} <= rsa_names
    assert {"explicit curve parameters", "another key's point", "wrong curve ECC_NIST_P384"} <= ec_names
    assert {"encrypted PKCS#8", "trailing byte"} <= set(common_faults(Material("ECC_NIST_P256")))
    assert {"27 bytes", "129 bytes"} <= set(secret_faults("HMAC_224", None))
    assert bits(b"") and seq() == b"\x30\x00"
