"""Key families under test: what is recorded of each spec, independent checks of what the server makes, and key
materials made outside in every encoding that an importer may send.

The checks use Python's cryptography package, and the openssl command where that package lacks something (Ed25519ph,
SM2, ML-KEM-512). Nothing here shares code with the server.
"""
import base64
import datetime
import functools
import hashlib
import hmac
import http.client
import json
import os
import pathlib
import re
import shutil
import subprocess
import tempfile

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, mldsa, padding, rsa, utils
from cryptography.hazmat.primitives.keywrap import aes_key_wrap_with_padding

from recorded import NOEXP
from trent_server import TOP

# --- what is recorded of each spec (recorded-crypto 2 and 13, newer-operations) ------------------------

PKCS1 = ["RSASSA_PKCS1_V1_5_SHA_%d" % n for n in (256, 384, 512)]
PSS = ["RSASSA_PSS_SHA_%d" % n for n in (256, 384, 512)]
OAEP = ["RSAES_OAEP_SHA_1", "RSAES_OAEP_SHA_256"]
RSA_SPECS = ["RSA_2048", "RSA_3072", "RSA_4096"]
NIST_SPECS = ["ECC_NIST_P256", "ECC_NIST_P384", "ECC_NIST_P521"]
EC_SPECS = NIST_SPECS + ["ECC_SECG_P256K1"]
EDWARDS = "ECC_NIST_EDWARDS25519"
HMAC_SPECS = ["HMAC_224", "HMAC_256", "HMAC_384", "HMAC_512"]
ML_DSA_SPECS = ["ML_DSA_44", "ML_DSA_65", "ML_DSA_87"]
ML_KEM_SPECS = ["ML_KEM_512", "ML_KEM_768", "ML_KEM_1024"]
SIGNING_SPECS = RSA_SPECS + EC_SPECS + [EDWARDS] + ML_DSA_SPECS

LIST_MEMBER = {"ENCRYPT_DECRYPT": "EncryptionAlgorithms", "SIGN_VERIFY": "SigningAlgorithms",
               "KEY_AGREEMENT": "KeyAgreementAlgorithms", "GENERATE_VERIFY_MAC": "MacAlgorithms",
               "ENCAPSULATE_DECAPSULATE": "EncapsulationAlgorithms"}
ECDSA = {"ECC_NIST_P256": "ECDSA_SHA_256", "ECC_NIST_P384": "ECDSA_SHA_384", "ECC_NIST_P521": "ECDSA_SHA_512",
         "ECC_SECG_P256K1": "ECDSA_SHA_256"}

# spec -> usage -> algorithms in recorded order
SPECS = {"SYMMETRIC_DEFAULT": {"ENCRYPT_DECRYPT": ["SYMMETRIC_DEFAULT"]}}
SPECS.update({s: {"ENCRYPT_DECRYPT": OAEP, "SIGN_VERIFY": PKCS1 + PSS} for s in RSA_SPECS})
SPECS.update({s: {"SIGN_VERIFY": [ECDSA[s]], "KEY_AGREEMENT": ["ECDH"]} for s in NIST_SPECS})
SPECS["ECC_SECG_P256K1"] = {"SIGN_VERIFY": ["ECDSA_SHA_256"]}
SPECS[EDWARDS] = {"SIGN_VERIFY": ["ED25519_PH_SHA_512", "ED25519_SHA_512"]}
SPECS.update({s: {"GENERATE_VERIFY_MAC": ["HMAC_SHA_" + s[5:]]} for s in HMAC_SPECS})
SPECS.update({s: {"SIGN_VERIFY": ["ML_DSA_SHAKE_256"]} for s in ML_DSA_SPECS})
SPECS.update({s: {"ENCAPSULATE_DECAPSULATE": ["ML_KEM"]} for s in ML_KEM_SPECS})

SPKI_BYTES = {"RSA_2048": 294, "RSA_3072": 422, "RSA_4096": 550, "ECC_NIST_P256": 91, "ECC_NIST_P384": 120,
              "ECC_NIST_P521": 158, "ECC_SECG_P256K1": 88, EDWARDS: 44, "ML_DSA_44": 1334, "ML_DSA_65": 1974,
              "ML_DSA_87": 2614, "ML_KEM_512": 822, "ML_KEM_768": 1206, "ML_KEM_1024": 1590, "SM2": 91}
MAC_BYTES = {"HMAC_224": 28, "HMAC_256": 32, "HMAC_384": 48, "HMAC_512": 64}
SECRET_BYTES = {"ECC_NIST_P256": 32, "ECC_NIST_P384": 48, "ECC_NIST_P521": 66, "SM2": 32}
ML_DSA_BYTES = {"ML_DSA_44": 2420, "ML_DSA_65": 3309, "ML_DSA_87": 4627}
CURVES = {"ECC_NIST_P256": ec.SECP256R1(), "ECC_NIST_P384": ec.SECP384R1(), "ECC_NIST_P521": ec.SECP521R1(),
          "ECC_SECG_P256K1": ec.SECP256K1()}
CURVE_OIDS = {"ECC_NIST_P256": "1.2.840.10045.3.1.7", "ECC_NIST_P384": "1.3.132.0.34",
              "ECC_NIST_P521": "1.3.132.0.35", "ECC_SECG_P256K1": "1.3.132.0.10", "SM2": "1.2.156.10197.1.301"}
ORDERS = {"ECC_NIST_P256": 0xffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632551,
          "ECC_NIST_P384": int("f" * 48 + "c7634d81f4372ddf581a0db248b0a77aecec196accc52973", 16),
          "ECC_NIST_P521": int("01" + "f" * 64 + "fa51868783bf2f966b7fcc0148f709a5d03bb5c9b8899c47aebb6fb71e91386409",
                               16),
          "ECC_SECG_P256K1": 0xfffffffffffffffffffffffffffffffebaaedce6af48a03bbfd25e8cd0364141}


def pairs(specs=SPECS):
    """(spec, usage) of every key that can be made."""
    return [(spec, usage) for spec in specs for usage in SPECS[spec]]


def default_usage(spec):
    return next(iter(SPECS[spec])) if spec not in EC_SPECS + RSA_SPECS else "SIGN_VERIFY"


def message_types(algorithm):
    """The message types that a signing algorithm takes (kms-behaviour 6.3)."""
    return {"ED25519_PH_SHA_512": ["DIGEST"], "ED25519_SHA_512": ["RAW"],
            "ML_DSA_SHAKE_256": ["RAW", "EXTERNAL_MU"]}.get(algorithm, ["RAW", "DIGEST"])


def signing_cases():
    """(spec, algorithm, message type): all that sign."""
    return [(s, a, t) for s in SIGNING_SPECS for a in SPECS[s]["SIGN_VERIFY"] for t in message_types(a)]


def hash_of(algorithm):
    """The hash in an algorithm's name."""
    return getattr(hashes, "SHA" + re.search(r"SHA_(\d+)$", algorithm).group(1))()


def digest(algorithm, message):
    h = hashes.Hash(hash_of(algorithm))
    h.update(message)
    return h.finalize()


def mu_of(spki, message):
    """FIPS 204 6.2 with an empty context, from recorded-crypto 7; the key octets follow a header of 22 bytes."""
    tr = hashlib.shake_256(spki[22:]).digest(64)
    return hashlib.shake_256(tr + b"\0\0" + message).digest(64)


def as_sent(algorithm, message_type, message, spki):
    """What is sent for `message` as a message of that type."""
    if message_type == "EXTERNAL_MU":
        return mu_of(spki, message)
    return digest(algorithm, message) if message_type == "DIGEST" else message


# --- the openssl command -------------------------------------------------------------------------------


def openssl(*arguments, check=True, **files):
    """Runs openssl 3.5. An argument @name stands for the file of that name: written before from `files`. Returns
    (exit status, content of the file @out or else what was printed); with @more too: (status, @out, @more)."""
    command = TOP / "build" / "deps" / "bin" / "openssl"
    with tempfile.TemporaryDirectory() as folder:
        for name, data in files.items():
            pathlib.Path(folder, name).write_bytes(data)
        spelled = [a if not a.startswith("@") else folder + "/" + a[1:] for a in arguments]
        done = subprocess.run([str(command) if command.exists() else shutil.which("openssl"), *spelled],
                              capture_output=True, timeout=120)
        if check and done.returncode != 0:
            raise RuntimeError("openssl %s: %s" % (arguments, done.stderr.decode()))
        out, more = pathlib.Path(folder, "out"), pathlib.Path(folder, "more")
        result = done.returncode, out.read_bytes() if out.exists() else done.stdout
        return result + (more.read_bytes(),) if more.exists() else result


def openssl_verifies(spki, message, signature, *options):
    status, text = openssl("pkeyutl", "-verify", "-pubin", "-inkey", "@key", "-keyform", "DER", "-in", "@message",
                           "-sigfile", "@signature", *options, check=False, key=spki, message=message,
                           signature=signature)
    return status == 0 and b"Verified Successfully" in text


# --- verifying outside ---------------------------------------------------------------------------------


def pss(algorithm):
    """PSS as recorded: MGF1 and salt of the hash."""
    h = hash_of(algorithm)
    return padding.PSS(mgf=padding.MGF1(h), salt_length=h.digest_size)


def _verify(key, spki, algorithm, message_type, sent, signature):
    if algorithm.startswith("RSASSA"):
        scheme = padding.PKCS1v15() if "PKCS1" in algorithm else pss(algorithm)
        h = hash_of(algorithm)
        key.verify(signature, sent, scheme, utils.Prehashed(h) if message_type == "DIGEST" else h)
    elif algorithm.startswith("ECDSA"):
        h = hash_of(algorithm)
        key.verify(signature, sent, ec.ECDSA(utils.Prehashed(h) if message_type == "DIGEST" else h))
    elif algorithm == "ED25519_SHA_512":
        key.verify(signature, sent)
    elif algorithm == "ED25519_PH_SHA_512":  # the 64 bytes sent are hashed once more (kms-behaviour 6.3)
        if not openssl_verifies(spki, sent, signature, "-rawin", "-pkeyopt", "instance:Ed25519ph"):
            raise InvalidSignature
    elif message_type == "EXTERNAL_MU":
        key.verify_mu(signature, sent)
    else:
        key.verify(signature, sent)


def verifies(spki, algorithm, message_type, sent, signature):
    """Does the signature hold over what was sent, says an independent implementation?"""
    try:
        _verify(serialization.load_der_public_key(spki), spki, algorithm, message_type, sent, signature)
        return True
    except InvalidSignature:
        return False


def sign_outside(key, algorithm, message):
    """A RAW signature of `message` by a private key of the cryptography package."""
    if algorithm.startswith("RSASSA"):
        return key.sign(message, padding.PKCS1v15() if "PKCS1" in algorithm else pss(algorithm), hash_of(algorithm))
    if algorithm.startswith("ECDSA"):
        return key.sign(message, ec.ECDSA(hash_of(algorithm)))
    return key.sign(message)


def encrypt_outside(spki, algorithm, plain):
    key = serialization.load_der_public_key(spki)
    return key.encrypt(plain, oaep(algorithm))


def oaep(algorithm):
    h = hash_of(algorithm)
    return padding.OAEP(mgf=padding.MGF1(h), algorithm=h, label=None)


def spki_of(key):
    """SubjectPublicKeyInfo of a key of the cryptography package (private or public)."""
    public = key.public_key() if hasattr(key, "public_key") else key
    return public.public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)


ML_DSA_PUBLIC = {"ML_DSA_44": mldsa.MLDSA44PublicKey, "ML_DSA_65": mldsa.MLDSA65PublicKey,
                 "ML_DSA_87": mldsa.MLDSA87PublicKey}

# --- DER and BER ---------------------------------------------------------------------------------------


def tlv(tag, *content):
    body = b"".join(content)
    n = len(body)
    length = bytes([n]) if n < 128 else bytes([0x80 + (n.bit_length() + 7) // 8]) + n.to_bytes(
        (n.bit_length() + 7) // 8, "big")
    return bytes([tag]) + length + body


def seq(*content):
    return tlv(0x30, *content)


def integer(n):
    return tlv(2, n.to_bytes(n.bit_length() // 8 + 1, "big", signed=True))


def octets(data):
    return tlv(4, data)


def bits(data):
    return tlv(3, b"\0", data)


def oid(dotted):
    first, second, *rest = (int(n) for n in dotted.split("."))
    body = bytes([40 * first + second])
    for n in rest:
        groups = [n & 0x7f]
        while n > 0x7f:
            n >>= 7
            groups.insert(0, n & 0x7f | 0x80)
        body += bytes(groups)
    return tlv(6, body)


NULL = b"\x05\x00"


def elements(der):
    """(tag, content) of each DER element in a row."""
    at = 0
    while at < len(der):
        tag, n = der[at], der[at + 1]
        at += 2
        if n & 0x80:
            size = n & 0x7f
            n = int.from_bytes(der[at:at + size], "big")
            at += size
        yield tag, der[at:at + n]
        at += n


def to_ber(der, segments=False):
    """DER made BER: every constructed element gets an indefinite length; with `segments` octet strings are
    constructed of two pieces too. What is inside an octet string stays as it is."""
    out = b""
    for tag, content in elements(der):
        if tag & 0x20:
            out += bytes([tag, 0x80]) + to_ber(content, segments) + b"\0\0"
        elif segments and tag == 4 and len(content) > 1:
            half = len(content) // 2
            out += b"\x24\x80" + octets(content[:half]) + octets(content[half:]) + b"\0\0"
        else:
            out += tlv(tag, content)
    return out


def long_lengths(der):
    """BER whose lengths all take one byte more than they need."""
    out = b""
    for tag, content in elements(der):
        body = long_lengths(content) if tag & 0x20 else content
        size = max(1, (len(body).bit_length() + 7) // 8) + 1
        out += bytes([tag, 0x80 + size]) + len(body).to_bytes(size, "big") + body
    return out


def pkcs8(algorithm, private):
    """PrivateKeyInfo around an AlgorithmIdentifier's content and the private key's encoding."""
    return seq(integer(0), seq(algorithm), octets(private))


RSA_ALGORITHM = oid("1.2.840.113549.1.1.1") + NULL
EC_PUBLIC_KEY = oid("1.2.840.10045.2.1")


def inner_of(encoded):
    """The private key's encoding inside a PrivateKeyInfo in DER."""
    return list(elements(list(elements(encoded))[0][1]))[2][1]


def with_inner(encoded, inner):
    version, algorithm, _ = elements(list(elements(encoded))[0][1])
    return seq(tlv(*version), tlv(*algorithm), octets(inner))


# --- materials made outside ----------------------------------------------------------------------------


def rsa_private(n, e, d, p, q, *more, version=0):
    """RSAPrivateKey of RFC 8017 with its CRT numbers computed from p and q in this order."""
    return seq(integer(version), *(integer(x) for x in (n, e, d, p, q, d % (p - 1), d % (q - 1), pow(q, -1, p))),
               *more)


def ec_private(spec, d, point=None, curve_inside=False):
    """ECPrivateKey of RFC 5915."""
    size = (SECRET_BYTES.get(spec) or 32)
    parts = [integer(1), octets(d.to_bytes(size, "big"))]
    if curve_inside:
        parts.append(tlv(0xa0, oid(CURVE_OIDS[spec])))
    if point is not None:
        parts.append(tlv(0xa1, bits(point)))
    return seq(*parts)


def ec_pkcs8(spec, d, point=None, curve_inside=False):
    return pkcs8(EC_PUBLIC_KEY + oid(CURVE_OIDS[spec]), ec_private(spec, d, point, curve_inside))


def point_forms(point):
    """Uncompressed, compressed and hybrid forms of an uncompressed point."""
    x, y = point[1:1 + len(point) // 2], point[1 + len(point) // 2:]
    odd = y[-1] & 1
    return {"uncompressed point": point, "compressed point": bytes([2 + odd]) + x,
            "hybrid point": bytes([6 + odd]) + x + y}


@functools.lru_cache(maxsize=None)
def rsa_key(spec, which=0):
    """RSA keys are slow to make: one per number for the whole run."""
    del which
    return rsa.generate_private_key(65537, int(spec[4:]))


class Material:
    """A key made outside. `default` is its usual encoding; `private` the key object, bytes for secrets, None for
    SM2; `public` its SubjectPublicKeyInfo, None for secrets."""

    def __init__(self, spec, which=None):
        self.spec = spec
        self.private = self.public = None
        if spec in RSA_SPECS:
            # fresh keys share a few numbers: what is random of an import is the wrapping
            self.private = rsa_key(spec, which or 0)
        elif spec in EC_SPECS:
            self.private = ec.generate_private_key(CURVES[spec])
        elif spec == EDWARDS:
            self.private = ed25519.Ed25519PrivateKey.generate()
        elif spec == "SM2":
            self._generate_sm2()
        else:
            self.private = os.urandom(MAC_BYTES.get(spec, 32))
        if isinstance(self.private, bytes):
            self.default = self.private
        elif self.private is not None:
            self.public = spki_of(self.private)
            self.default = self.private.private_bytes(serialization.Encoding.DER, serialization.PrivateFormat.PKCS8,
                                                      serialization.NoEncryption())

    def _generate_sm2(self):
        _, made = openssl("genpkey", "-algorithm", "SM2", "-outform", "DER", "-out", "@out")
        _, pem = openssl("pkey", "-in", "@key", "-inform", "DER", "-pubout", "-outform", "DER", "-out", "@out",
                         key=made)
        self.public = pem
        self.number = int.from_bytes(list(elements(list(elements(made))[0][1]))[1][1], "big")
        self.default = ec_pkcs8("SM2", self.number, self.point())

    def point(self):
        """The public point of a curve's key, uncompressed."""
        return self.public[-(2 * SECRET_BYTES.get(self.spec, 32) + 1):]

    def numbers(self):
        """n, e, d, p, q of an RSA key."""
        x = self.private.private_numbers()
        return x.public_numbers.n, x.public_numbers.e, x.d, x.p, x.q

    def encodings(self):
        """name -> bytes: every accepted way to write this key (recorded-imports R16)."""
        forms = {"as generated": self.default}
        if self.spec in RSA_SPECS:
            n, e, d, p, q = self.numbers()
            inner = rsa_private(n, e, d, p, q)
            forms["p and q swapped"] = pkcs8(RSA_ALGORITHM, rsa_private(n, e, d, q, p))
            forms["d modulo phi"] = pkcs8(RSA_ALGORITHM, rsa_private(n, e, pow(e, -1, (p - 1) * (q - 1)), p, q))
        elif self.spec in CURVE_OIDS:
            d = self.number if self.spec == "SM2" else self.private.private_numbers().private_value
            inner = ec_private(self.spec, d, self.point())
            forms["no public key"] = ec_pkcs8(self.spec, d)
            forms["curve inside"] = ec_pkcs8(self.spec, d, self.point(), curve_inside=True)
            for name, point in point_forms(self.point()).items():
                forms[name] = ec_pkcs8(self.spec, d, point)
        else:
            return forms
        forms["BER outside"] = to_ber(self.default)
        forms["BER outside and inside"] = to_ber(with_inner(self.default, to_ber(inner)))
        forms["BER with segments"] = to_ber(self.default, segments=True)
        forms["BER with long lengths"] = long_lengths(self.default)
        return forms


# --- wrapping and importing ----------------------------------------------------------------------------

WRAPPINGS = ["RSAES_OAEP_SHA_1", "RSAES_OAEP_SHA_256", "RSA_AES_KEY_WRAP_SHA_1", "RSA_AES_KEY_WRAP_SHA_256"]
WRAPPING_KEYS = ["RSA_2048", "RSA_3072", "RSA_4096"]
IMPORTABLE = ["SYMMETRIC_DEFAULT"] + HMAC_SPECS + RSA_SPECS + EC_SPECS + [EDWARDS]


def allowed_wrappings(spec):
    """(algorithm, wrapping key spec) that a spec takes: kms-behaviour 7.2 as corrected by recorded-imports R3."""
    by_oaep = [(a, k) for a in WRAPPINGS[:2] for k in WRAPPING_KEYS]
    by_key_wrap = [(a, k) for a in WRAPPINGS[2:] for k in WRAPPING_KEYS]
    if spec in RSA_SPECS:
        return by_key_wrap
    if spec in ("ECC_NIST_P521", EDWARDS):
        return [(a, k) for a, k in by_oaep if k != "RSA_2048"] + by_key_wrap
    return by_oaep + (by_key_wrap if spec in EC_SPECS else [])


def wrapping_key_for(spec, algorithm):
    """The smallest wrapping key that is allowed: the quickest to make."""
    return min(k for a, k in allowed_wrappings(spec) if a == algorithm)


@functools.lru_cache(maxsize=256)
def _load(public_key):
    return serialization.load_der_public_key(public_key)


def wrap_as(public_key, material, algorithm, kek=None):
    """Wraps material as kms-behaviour 7.3 says; `kek` instead of a random AES-256 key."""
    key = _load(public_key)
    if algorithm.startswith("RSAES"):
        return key.encrypt(material, oaep(algorithm))
    kek = kek or os.urandom(32)
    return key.encrypt(kek, oaep(algorithm)) + aes_key_wrap_with_padding(kek, material)


class Importer:
    """An EXTERNAL key with one pair of import parameters, used again and again (R5)."""

    def __init__(self, kms, spec, algorithm=None, wrapping_key=None, usage=None, key=None):
        self.kms, self.spec = kms, spec
        self.algorithm = algorithm or ("RSAES_OAEP_SHA_256" if spec not in RSA_SPECS else "RSA_AES_KEY_WRAP_SHA_256")
        self.key = key or kms.create_key(Origin="EXTERNAL", KeySpec=spec,
                                         KeyUsage=usage or default_usage(spec))["KeyMetadata"]
        self.id, self.arn = self.key["KeyId"], self.key["Arn"]
        self.parameters = kms.get_parameters_for_import(
            KeyId=self.id, WrappingAlgorithm=self.algorithm,
            WrappingKeySpec=wrapping_key or wrapping_key_for(spec, self.algorithm))

    def wrap(self, material):
        return wrap_as(self.parameters["PublicKey"], material, self.algorithm)

    def send(self, wrapped, **more):
        return self.kms.import_key_material(KeyId=self.id, ImportToken=self.parameters["ImportToken"],
                                            EncryptedKeyMaterial=wrapped, **{"ExpirationModel": NOEXP, **more})

    def put(self, material, **more):
        """Wraps and imports bytes."""
        return self.send(self.wrap(material), **more)


class Keys:
    """Keys by spec and usage, each made once per server: RSA keys are slow to make."""

    def __init__(self, kms):
        self.kms = kms
        self.made = {}

    def new(self, spec, usage=None, **more):
        return self.kms.create_key(KeySpec=spec, KeyUsage=usage or default_usage(spec), **more)["KeyMetadata"]

    def __call__(self, spec, usage=None):
        at = (spec, usage or default_usage(spec))
        if at not in self.made:
            self.made[at] = self.new(spec, at[1], Description="recorded")
        return self.made[at]

    def public(self, spec, usage=None):
        return self.kms.get_public_key(KeyId=self(spec, usage)["KeyId"])["PublicKey"]


class Wire:
    """A client for long runs: one kept connection, signed by hand, so that the time goes into the server."""

    def __init__(self, server, region="us-east-1"):
        self.host = "%s:%d" % server.address
        self.connection = http.client.HTTPConnection(*server.address, timeout=60)
        self.scope = "/%s/kms/aws4_request" % region

    @functools.lru_cache(maxsize=4)
    def signing_key(self, day):
        key = b"AWS4test"
        for part in (day + self.scope).split("/"):
            key = hmac.digest(key, part.encode(), "sha256")
        return key

    def authorization(self, when, target, body):
        day = when[:8]
        request = "POST\n/\n\nhost:%s\nx-amz-date:%s\nx-amz-target:%s\n\nhost;x-amz-date;x-amz-target\n%s" % (
            self.host, when, target, hashlib.sha256(body).hexdigest())
        text = "AWS4-HMAC-SHA256\n%s\n%s\n%s" % (when, day + self.scope, hashlib.sha256(request.encode()).hexdigest())
        signature = hmac.digest(self.signing_key(day), text.encode(), "sha256").hex()
        return "AWS4-HMAC-SHA256 Credential=test/%s, SignedHeaders=host;x-amz-date;x-amz-target, Signature=%s" % (
            day + self.scope, signature)

    def call(self, operation, **members):
        """Bytes are sent as base64; returns the answer, which must be a success."""
        body = json.dumps({k: base64.b64encode(v).decode() if isinstance(v, bytes) else v
                           for k, v in members.items()}).encode()
        when = datetime.datetime.now(datetime.timezone.utc).strftime("%Y%m%dT%H%M%SZ")
        target = "TrentService." + operation
        self.connection.request("POST", "/", body, {
            "Host": self.host, "X-Amz-Date": when, "X-Amz-Target": target, "Content-Type": "application/x-amz-json-1.1",
            "Authorization": self.authorization(when, target, body)})
        answer = self.connection.getresponse()
        text = answer.read()
        assert answer.status == 200, (operation, answer.status, text)
        return json.loads(text)
