"""Attestation documents for the tests of Recipient: a root of our own, the chain below it, and documents as the
security module of an enclave makes them; what the document's owner then does with CiphertextForRecipient."""
import datetime
import subprocess
import time

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from cryptography.x509.oid import NameOID

DER, PEM = serialization.Encoding.DER, serialization.Encoding.PEM
INVALID = ("ValidationException", "Attestation document is invalid.")
NO_ROOT = ("ValidationException",
           "Recipient cannot be used: no attestation root is configured (setting attestation-root).")


class Raw(bytes):
    """CBOR that is already encoded."""


def head(major, value):
    for low, size in ((24, 1), (25, 2), (26, 4), (27, 8)):
        if value < 24:
            return bytes([major << 5 | value])
        if value < 1 << 8 * size:
            return bytes([major << 5 | low]) + value.to_bytes(size, "big")
    raise OverflowError(value)


def cbor(value):
    """The CBOR of a value that documents have, in its shortest form."""
    if isinstance(value, Raw):
        return value
    if value is None:
        return b"\xf6"
    if isinstance(value, int):
        return head(0, value) if value >= 0 else head(1, -1 - value)
    if isinstance(value, bytes):
        return head(2, len(value)) + value
    if isinstance(value, str):
        return head(3, len(value.encode())) + value.encode()
    if isinstance(value, (list, tuple)):
        return head(4, len(value)) + b"".join(map(cbor, value))
    return head(5, len(value)) + b"".join(cbor(k) + cbor(v) for k, v in value.items())


class Party:
    """A P-384 key and its certificate."""

    def __init__(self, name, issuer=None, ca=True, begins=-1, ends=1):
        """`begins` and `ends` in days from now."""
        now = datetime.datetime.now(datetime.timezone.utc)
        self.key = ec.generate_private_key(ec.SECP384R1())
        self.name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        usage = dict.fromkeys(("content_commitment", "key_encipherment", "data_encipherment", "key_agreement",
                               "encipher_only", "decipher_only"), False)
        builder = x509.CertificateBuilder(
            issuer_name=(issuer or self).name, subject_name=self.name, public_key=self.key.public_key(),
            serial_number=x509.random_serial_number(), not_valid_before=now + datetime.timedelta(days=begins),
            not_valid_after=now + datetime.timedelta(days=ends))
        builder = builder.add_extension(x509.BasicConstraints(ca, None), critical=True)
        builder = builder.add_extension(x509.KeyUsage(digital_signature=True, key_cert_sign=ca, crl_sign=ca, **usage),
                                        critical=True)
        self.certificate = builder.sign((issuer or self).key, hashes.SHA384())

    def der(self):
        return self.certificate.public_bytes(DER)

    def sign(self, message):
        """ES384: r and s, 48 bytes each."""
        r, s = decode_dss_signature(self.key.sign(message, ec.ECDSA(hashes.SHA384())))
        return r.to_bytes(48, "big") + s.to_bytes(48, "big")


class Module:
    """A security module: root, one certificate between, and its own. A file with the root's certificate is for
    the setting attestation-root."""

    def __init__(self):
        self.root = Party("root")
        self.between = Party("between", self.root)
        self.leaf = Party("module", self.between, ca=False)

    def write_root(self, path):
        path.write_bytes(self.root.certificate.public_bytes(PEM))
        return path

    def payload(self, public_key, **changes):
        """The members of a document; `changes` replaces or adds some, and drops those that are `...`."""
        members = {
            "module_id": "i-0123456789abcdef0-enc0123456789abcdef",
            "digest": "SHA384",
            "timestamp": int(time.time() * 1000),
            "pcrs": {i: bytes([i]) * 48 for i in range(16)},
            "certificate": self.leaf.der(),
            "cabundle": [self.root.der(), self.between.der()],
            "public_key": public_key,
            "user_data": None,
            "nonce": None,
        }
        members.update(changes)
        return {k: v for k, v in members.items() if v is not ...}

    def document(self, public_key, signer=None, protected=None, tag=b"", **changes):
        """A COSE_Sign1 document over payload(public_key, **changes), signed by `signer` (the leaf)."""
        payload = cbor(self.payload(public_key, **changes))
        protected = cbor({1: -35}) if protected is None else protected
        signature = (signer or self.leaf).sign(cbor(["Signature1", protected, b"", payload]))
        return tag + cbor([protected, {}, payload, signature])


class Enclave:
    """Has an RSA key, asks with it, and opens what is sealed to it."""

    def __init__(self, bits=2048):
        self.key = rsa.generate_private_key(65537, bits)
        self.public_key = self.key.public_key().public_bytes(DER, serialization.PublicFormat.SubjectPublicKeyInfo)

    def recipient(self, module, **more):
        """The parameter Recipient."""
        return {"KeyEncryptionAlgorithm": "RSAES_OAEP_SHA_256",
                "AttestationDocument": module.document(self.public_key, **more)}

    def open(self, cms, folder):
        """Opens CiphertextForRecipient with the program openssl; the key goes through a file in `folder`."""
        (folder / "enclave.pem").write_bytes(self.key.private_bytes(PEM, serialization.PrivateFormat.PKCS8,
                                                                    serialization.NoEncryption()))
        return subprocess.run(["openssl", "cms", "-decrypt", "-inform", "DER", "-inkey", str(folder / "enclave.pem")],
                              input=cms, check=True, capture_output=True).stdout


def elements(ber):
    """The BER elements of `ber` as (tag, content): content is a list for constructed ones. Knows indefinite
    lengths, which Python's parsers of DER do not."""
    found, at = [], 0
    while at < len(ber):
        element, at = one_element(ber, at)
        found.append(element)
    return found


def one_element(ber, at):
    tag, first = ber[at], ber[at + 1]
    at += 2
    if first == 0x80:
        inside = []
        while ber[at:at + 2] != b"\0\0":
            element, at = one_element(ber, at)
            inside.append(element)
        return (tag, inside), at + 2
    length = first
    if first > 0x80:
        length = int.from_bytes(ber[at:at + first - 0x80], "big")
        at += first - 0x80
    content = ber[at:at + length]
    assert len(content) == length
    return (tag, elements(content) if tag & 0x20 else content), at + length
