"""Keys of every family that can be imported: how one is made, imported and used, and what gives it away."""
import hashlib
import os

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.keywrap import aes_key_wrap_with_padding

from memory import forms
from trent_server import external_key, import_material, parameters_for, wrap


def pkcs8(private):
    return private.private_bytes(serialization.Encoding.DER, serialization.PrivateFormat.PKCS8,
                                 serialization.NoEncryption())


def words(modulus):
    """Bytes of a number below `modulus`, as OpenSSL keeps it: whole words of 64 bits."""
    return (modulus.bit_length() + 63) // 64 * 8


def rsa_numbers(private):
    """All that gives an RSA key away: its numbers, and what OpenSSL derives from the primes to calculate with."""
    n = private.private_numbers()
    numbers = {"d": (n.d, n.public_numbers.n), "p": (n.p, n.p), "q": (n.q, n.q), "d mod p-1": (n.dmp1, n.p),
               "d mod q-1": (n.dmq1, n.q), "1/q mod p": (n.iqmp, n.p)}
    for name, prime in (("p", n.p), ("q", n.q)):
        r = 1 << 8 * words(prime)
        numbers["R^2 mod " + name] = (r * r % prime, prime)
        numbers["R mod " + name] = (r % prime, prime)
    numbers["1/q mod p, times R"] = (n.iqmp * (1 << 8 * words(n.p)) % n.p, n.p)
    found = {}
    for name, (number, modulus) in numbers.items():
        found.update(forms(name, number.to_bytes(words(modulus), "big")))
    return found


def ec_numbers(private):
    """The scalar; modulo the group's order times R, too, in which the order's arithmetic keeps it."""
    order = {"secp256r1": 0xffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632551,
             "secp384r1": int("f" * 48 + "c7634d81f4372ddf581a0db248b0a77aecec196accc52973", 16),
             "secp521r1": int("1" + "f" * 65 + "a51868783bf2f966b7fcc0148f709a5d03bb5c9b8899c47aebb6fb71e91386409", 16),
             "secp256k1": 0xfffffffffffffffffffffffffffffffebaaedce6af48a03bbfd25e8cd0364141}[private.curve.name]
    scalar, size = private.private_numbers().private_value, words(order)
    return {**forms("scalar", scalar.to_bytes(size, "big")),
            **forms("scalar times R", (scalar * (1 << 8 * size) % order).to_bytes(size, "big"))}


def edwards_numbers(private):
    """The seed, and the two halves of its hash that signatures are made with (RFC 8032 5.1.5)."""
    seed = private.private_bytes_raw()
    hashed = hashlib.sha512(seed).digest()
    scalar = bytes([hashed[0] & 248]) + hashed[1:31] + bytes([hashed[31] & 63 | 64])
    return {**forms("seed", seed), **forms("scalar", scalar), **forms("prefix", hashed[32:])}


def hmac_numbers(block):
    def numbers(key):
        """The key, and what the two hashes of RFC 2104 begin with."""
        padded = key.ljust(block, b"\0")
        return {**forms("key", key), **forms("inner pad", bytes(b ^ 0x36 for b in padded)[:len(key)]),
                **forms("outer pad", bytes(b ^ 0x5c for b in padded)[:len(key)])}

    return numbers


def signs(algorithm):
    return lambda kms, key: kms.sign(KeyId=key, Message=b"message", SigningAlgorithm=algorithm)


def macs(algorithm):
    return lambda kms, key: kms.generate_mac(KeyId=key, Message=b"message", MacAlgorithm=algorithm)


def decrypts(kms, key):
    blob = kms.encrypt(KeyId=key, Plaintext=b"p", EncryptionAlgorithm="RSAES_OAEP_SHA_256")["CiphertextBlob"]
    kms.decrypt(KeyId=key, CiphertextBlob=blob, EncryptionAlgorithm="RSAES_OAEP_SHA_256")


def agrees(kms, key):
    own = kms.get_public_key(KeyId=key)["PublicKey"]
    kms.derive_shared_secret(KeyId=key, KeyAgreementAlgorithm="ECDH", PublicKey=own)


def rsa_key(bits):
    return lambda: rsa.generate_private_key(65537, bits)


def curve(which):
    return lambda: ec.generate_private_key(which)


# spec, usage, making one, what gives it away, a use of its private half
FAMILIES = [
    ("RSA_2048", "SIGN_VERIFY", rsa_key(2048), rsa_numbers, signs("RSASSA_PSS_SHA_256")),
    ("RSA_2048", "ENCRYPT_DECRYPT", rsa_key(2048), rsa_numbers, decrypts),
    ("RSA_4096", "SIGN_VERIFY", rsa_key(4096), rsa_numbers, signs("RSASSA_PKCS1_V1_5_SHA_512")),
    ("ECC_NIST_P256", "SIGN_VERIFY", curve(ec.SECP256R1()), ec_numbers, signs("ECDSA_SHA_256")),
    ("ECC_NIST_P384", "KEY_AGREEMENT", curve(ec.SECP384R1()), ec_numbers, agrees),
    ("ECC_NIST_P521", "SIGN_VERIFY", curve(ec.SECP521R1()), ec_numbers, signs("ECDSA_SHA_512")),
    ("ECC_SECG_P256K1", "SIGN_VERIFY", curve(ec.SECP256K1()), ec_numbers, signs("ECDSA_SHA_256")),
    ("ECC_NIST_EDWARDS25519", "SIGN_VERIFY", ed25519.Ed25519PrivateKey.generate, edwards_numbers,
     signs("ED25519_SHA_512")),
    ("HMAC_256", "GENERATE_VERIFY_MAC", lambda: os.urandom(48), hmac_numbers(64), macs("HMAC_SHA_256")),
    ("HMAC_512", "GENERATE_VERIFY_MAC", lambda: os.urandom(100), hmac_numbers(128), macs("HMAC_SHA_512")),
]


def import_family(kms, family, private, key=None):
    """A key of the family with this material, wrapped as its spec takes it; returns its metadata."""
    spec, usage = family[:2]
    key = key or external_key(kms, KeySpec=spec, KeyUsage=usage)
    if isinstance(private, bytes):
        import_material(kms, key["KeyId"], private)
        return key
    parameters = parameters_for(kms, key["KeyId"], "RSA_AES_KEY_WRAP_SHA_256")
    kek = os.urandom(32)
    kms.import_key_material(
        KeyId=key["KeyId"], ImportToken=parameters["ImportToken"], ExpirationModel="KEY_MATERIAL_DOES_NOT_EXPIRE",
        EncryptedKeyMaterial=wrap(parameters["PublicKey"], kek) + aes_key_wrap_with_padding(kek, pkcs8(private)))
    return key
