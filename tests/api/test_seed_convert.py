"""`trent seed convert`: seed files of local-kms, put into a server and used; and files that are wrong."""
import base64
import hashlib
import hmac
import json
import re
import subprocess

import pytest
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa

from trent_server import TRENT, Server

AES = "bc436485-5092-42b8-92a3-0aa8b93536dc"
ROTATED = "bc436485-5092-42b8-92a3-000000000001"
MRK = "mrk-0123456789abcdef0123456789abcdef"
MAC = "bc436485-5092-42b8-92a3-000000000002"
RSA = "bc436485-5092-42b8-92a3-000000000003"
SIGNER = "bc436485-5092-42b8-92a3-000000000004"
EC = "bc436485-5092-42b8-92a3-000000000005"
KOBLITZ = "bc436485-5092-42b8-92a3-000000000006"
RAW = bytes(range(32))
TRADITIONAL = serialization.PrivateFormat.TraditionalOpenSSL
PKCS8 = serialization.PrivateFormat.PKCS8
rsa_key = rsa.generate_private_key(65537, 2048)
ec_key = ec.generate_private_key(ec.SECP384R1())
koblitz_key = ec.generate_private_key(ec.SECP256K1())


def pem(key, form, encryption=serialization.NoEncryption()):
    text = key.private_bytes(serialization.Encoding.PEM, form, encryption).decode()
    return "".join("          %s\n" % line for line in text.splitlines())


FILE = """\
# line 1
Keys:
  Symmetric:
    Aes:
      - Metadata:
          KeyId: {AES}
          Description: "orders: the first"
          AWSAccountId: 111122223333
          Arn: arn:aws:kms:eu-west-2:111122223333:key/{AES}
        BackingKeys:
          - {raw}
      - Metadata: {{ KeyId: {ROTATED}, KeyState: Disabled }}
        BackingKeys: [ {one}, {two}, {raw} ]
        NextKeyRotation: 2030-01-31T12:00:00.5+01:00
      - Metadata:
          KeyId: {MRK}
          Origin: EXTERNAL
          MultiRegion: true
        BackingKeys: [ {raw} ]
    Hmac:
      - Metadata: {{ KeyId: {MAC}, KeySpec: HMAC_256, CreationDate: 1 }}
        BackingKeys: [ {raw} ]
  Asymmetric:
    Rsa:
      - Metadata: {{ KeyId: {RSA}, KeyUsage: ENCRYPT_DECRYPT }}
        PrivateKeyPem: |
{rsa_pkcs8}\
      - Metadata: {{ KeyId: {SIGNER}, KeyUsage: SIGN_VERIFY, KeySpec: RSA_2048 }}
        PrivateKeyPem: |
{rsa_pkcs1}\
    Ecc:
      - Metadata: {{ KeyId: {EC}, KeyUsage: SIGN_VERIFY }}
        PrivateKeyPem: |
{ec_sec1}\
      - Metadata: {{ KeyId: {KOBLITZ} }}
        PrivateKeyPem: |
{ec_pkcs8}\
Aliases:
  - AliasName: alias/orders
    TargetKeyId: {AES}
  - AliasName: alias/signer
    TargetKeyId: arn:aws:kms:eu-west-2:111122223333:key/{SIGNER}
""".format(AES=AES, ROTATED=ROTATED, MRK=MRK, MAC=MAC, RSA=RSA, SIGNER=SIGNER, EC=EC, KOBLITZ=KOBLITZ,
           raw=RAW.hex(), one="1" * 64, two="AB" * 32,
           rsa_pkcs8=pem(rsa_key, PKCS8), rsa_pkcs1=pem(rsa_key, TRADITIONAL),
           ec_sec1=pem(ec_key, TRADITIONAL), ec_pkcs8=pem(koblitz_key, PKCS8))


def convert(path, text, *flags):
    path.write_text(text)
    return subprocess.run([TRENT, "seed", "convert", str(path), *flags], capture_output=True, text=True, timeout=60)


def test_all_kinds(tmp_path):
    done = convert(tmp_path / "seed.yaml", FILE)
    assert done.returncode == 0, done.stderr
    lines = {line.split(":")[2] for line in done.stderr.splitlines()}  # what was left out, and nothing else
    assert lines == {"14", "21"}, done.stderr
    seed = tmp_path / "seed.json"
    seed.write_text(done.stdout)
    seed.chmod(0o600)
    checked = subprocess.run([TRENT, "seed", "check", str(seed)], capture_output=True, text=True, timeout=60)
    assert (checked.returncode, checked.stderr) == (0, "")
    with Server(tmp_path / "data", "--seed=%s" % seed) as server:
        kms = server.client(region="eu-west-2", key="local-kms", secret="local-kms")
        blob = kms.encrypt(KeyId="alias/orders", Plaintext=b"x")
        assert blob["KeyId"] == "arn:aws:kms:eu-west-2:111122223333:key/" + AES
        assert kms.decrypt(CiphertextBlob=blob["CiphertextBlob"])["Plaintext"] == b"x"
        assert kms.describe_key(KeyId=AES)["KeyMetadata"]["Description"] == "orders: the first"
        rotated = kms.describe_key(KeyId=ROTATED)["KeyMetadata"]
        assert rotated["KeyState"] == "Disabled"
        kms.enable_key(KeyId=ROTATED)
        assert kms.get_key_rotation_status(KeyId=ROTATED)["KeyRotationEnabled"]
        materials = kms.list_key_rotations(KeyId=ROTATED, IncludeKeyMaterial="ALL_KEY_MATERIAL")["Rotations"]
        assert sorted(m["KeyMaterialState"] for m in materials) == ["CURRENT", "NON_CURRENT", "NON_CURRENT"]
        family = kms.describe_key(KeyId=MRK)["KeyMetadata"]
        assert (family["Origin"], family["MultiRegion"], family["KeyState"]) == ("EXTERNAL", True, "Enabled")
        mac = kms.generate_mac(KeyId=MAC, MacAlgorithm="HMAC_SHA_256", Message=b"m")["Mac"]
        assert mac == hmac.new(RAW, b"m", hashlib.sha256).digest()
        secret = rsa_key.public_key().encrypt(b"s", padding.OAEP(padding.MGF1(hashes.SHA256()), hashes.SHA256(), None))
        assert kms.decrypt(KeyId=RSA, EncryptionAlgorithm="RSAES_OAEP_SHA_256", CiphertextBlob=secret)["Plaintext"] == b"s"
        signed = kms.sign(KeyId="alias/signer", Message=b"m", SigningAlgorithm="RSASSA_PKCS1_V1_5_SHA_256")
        rsa_key.public_key().verify(signed["Signature"], b"m", padding.PKCS1v15(), hashes.SHA256())
        signed = kms.sign(KeyId=EC, Message=b"m", SigningAlgorithm="ECDSA_SHA_384")
        ec_key.public_key().verify(signed["Signature"], b"m", ec.ECDSA(hashes.SHA384()))
        signed = kms.sign(KeyId=KOBLITZ, Message=b"m", SigningAlgorithm="ECDSA_SHA_256")
        koblitz_key.public_key().verify(signed["Signature"], b"m", ec.ECDSA(hashes.SHA256()))


def test_the_order_of_materials_stays(tmp_path):
    """In both forms the last one is the current one."""
    keys = ["1" * 64, "AB" * 32, RAW.hex()]
    done = convert(tmp_path / "seed.yaml", "Keys: {Symmetric: {Aes: [{Metadata: {KeyId: %s}, BackingKeys: [%s]}]}}"
                   % (AES, ", ".join(keys)))
    key, = json.loads(done.stdout)["Keys"]
    assert [base64.b64decode(m["Material"]) for m in key["Materials"]] == [bytes.fromhex(k) for k in keys]


def test_account_and_region(tmp_path):
    text = "Keys: {Symmetric: {Aes: [{Metadata: {KeyId: %s}, BackingKeys: [%s]}]}}" % (AES, RAW.hex())
    done = convert(tmp_path / "seed.yaml", text, "--account", "000000000000", "--region=eu-central-1")
    assert done.returncode == 0 and done.stderr == ""
    (tmp_path / "seed.json").write_text(done.stdout)
    with Server(tmp_path / "data", "--seed=%s" % (tmp_path / "seed.json")) as server:
        arn = server.client(region="eu-central-1").describe_key(KeyId=AES)["KeyMetadata"]["Arn"]
    assert arn == "arn:aws:kms:eu-central-1:000000000000:key/" + AES
    for flags in (["--account", "12"], ["--region", "Frankfurt"], ["--what"], ["more.yaml"]):
        done = convert(tmp_path / "seed.yaml", text, *flags)
        assert (done.returncode, done.stdout) == (64, ""), flags


def lines(*text):
    return "\n".join(text) + "\n"


def aes(metadata, more=""):
    return lines("Keys:", " Symmetric:", "  Aes:", "   - BackingKeys:", "      - " + RAW.hex(),
                 "     Metadata:", "      KeyId: " + AES, *("      " + m for m in metadata.split("|") if m)) + more


def pair(kind, text, metadata="KeyUsage: SIGN_VERIFY"):
    return lines("Keys:", " Asymmetric:", "  %s:" % kind, "   - Metadata: {KeyId: %s, %s}" % (RSA, metadata),
                 "     PrivateKeyPem: |") + text


LOCKED = pem(ec_key, PKCS8, serialization.BestAvailableEncryption(b"x"))
A0 = "$.Keys.Symmetric.Aes[0]"
WRONG = {
    # the text; the line and the path that are told; what is said
    "no-yaml": ("Keys: [\n", 2, "$", "not YAML"),
    "empty": ("# nothing\n", 2, "$", "nothing in this file"),
    "two-documents": ("Keys:\n---\nKeys:\n", 2, "$", "a second document"),
    "anchor": ("Keys: &k\n", 1, "$", "anchors"),
    "alias": ("Keys:\n Symmetric: *k\n", 2, "$", "aliases"),
    "tag": ("Keys:\n Symmetric: !!map {}\n", 2, "$", "tags"),
    "directive": ("%YAML 1.1\n---\nKeys:\n", 1, "$", "directives"),
    "deep": ("Keys:\n " + "[" * 9 + "]" * 9, 2, "$", "more than 8 deep"),
    "many-values": ("Keys: [" + "a," * 40000 + "]", 1, "$", "more than 32768 values"),
    "many-members": ("\n".join("k%d: 1" % i for i in range(70)), 65, "$", "at most 64 members"),
    "twice": (aes("Description: a|Description: b"), 9, "$", "'Description' is here twice"),
    "list-at-top": ("- Keys\n", 1, "$", "must be a mapping"),
    "unknown-top": ("Keys:\nGrants: []\n", 2, "$.Grants", "'Grants' is not known"),
    "unknown-kind": ("Keys:\n Quantum: []\n", 2, "$.Keys.Quantum", "not known"),
    "unknown-list": ("Keys:\n Symmetric:\n  Des: []\n", 3, "$.Keys.Symmetric.Des", "not known"),
    "unknown-metadata": (aes("Colour: red"), 8, A0 + ".Metadata.Colour", "'Colour' is not known"),
    "unknown-member": (aes("", "     Policy: x\n"), 8, A0 + ".Policy", "'Policy' is not known"),
    "no-list": ("Keys:\n Symmetric:\n  Aes: {}\n", 3, "$.Keys.Symmetric.Aes", "must be a list"),
    "no-metadata": ("Keys:\n Symmetric:\n  Aes:\n  - BackingKeys: []\n", 4, A0, "Metadata is missing"),
    "no-id": ("Keys:\n Symmetric:\n  Aes:\n  - Metadata: {Enabled: true}\n", 4, A0 + ".Metadata", "KeyId is missing"),
    "any-id": (aes("").replace(AES, "my-key"), 7, A0 + ".Metadata.KeyId", "a key id is a UUID here"),
    "id-list": (aes("").replace(AES, "[]"), 7, A0 + ".Metadata.KeyId", "must be text"),
    "id-twice": (aes("") + aes("").partition("Aes:\n")[2], 8, "$.Keys.Symmetric.Aes[1]", "has this key already"),
    "short-hex": (aes("").replace(RAW.hex(), "00"), 5, A0 + ".BackingKeys[0]", "64 digits"),
    "no-hex": (aes("").replace(RAW.hex(), "x" * 64), 5, A0 + ".BackingKeys[0]", "not hexadecimal"),
    "no-material": ("Keys:\n Symmetric:\n  Aes:\n  - Metadata: {KeyId: %s}\n" % AES, 4, A0, "BackingKeys is missing"),
    "material-twice": (aes("").replace("- " + RAW.hex(), "[%s, %s]" % (RAW.hex(), RAW.hex())), 5, A0 + ".BackingKeys",
                       "has this material already"),
    "account": (aes("AWSAccountId: 123456789012"), 8, A0 + ".Metadata.AWSAccountId", "would be '111122223333'"),
    "arn": (aes("Arn: arn:aws:kms:us-east-1:111122223333:key/" + AES), 8, A0 + ".Metadata.Arn", "it would be"),
    "manager": (aes("KeyManager: AWS"), 8, A0 + ".Metadata.KeyManager", "would be 'CUSTOMER'"),
    "state": (aes("KeyState: PendingDeletion"), 8, A0 + ".Metadata.KeyState", "Enabled or Disabled"),
    "states": (aes("KeyState: Enabled|Enabled: false"), 9, A0 + ".Metadata.Enabled", "contradicts KeyState"),
    "enabled": (aes("Enabled: perhaps"), 8, A0 + ".Metadata.Enabled", "true or false"),
    "multi-region": (aes("MultiRegion: true"), 7, A0 + ".Metadata.KeyId", "begin with mrk-"),
    "spec": (aes("CustomerMasterKeySpec: RSA_2048"), 8, A0 + ".Metadata.CustomerMasterKeySpec", "SYMMETRIC_DEFAULT"),
    "usage": (aes("KeyUsage: FLY"), 8, A0 + ".Metadata.KeyUsage", "enum value set"),
    "origin": (aes("Origin: ELSEWHERE"), 8, A0 + ".Metadata.Origin", "enum value set"),
    "description": (aes("Description: " + "x" * 8193), 8, A0 + ".Metadata.Description", "8192"),
    "date": (aes("", "     NextKeyRotation: soon\n"), 8, A0 + ".NextKeyRotation", "must be a date"),
    "imported-rotates": (aes("Origin: EXTERNAL", "     NextKeyRotation: 2030-01-31T12:00:00Z\n"), 9, A0 + ".NextKeyRotation",
                         "only symmetric encryption keys with origin AWS_KMS"),
    "hmac-spec": ("Keys:\n Symmetric:\n  Hmac:\n  - Metadata: {KeyId: %s}\n" % MAC, 4,
                  "$.Keys.Symmetric.Hmac[0].Metadata", "KeySpec is missing"),
    "hmac-length": ("Keys:\n Symmetric:\n  Hmac:\n  - Metadata: {KeyId: %s, KeySpec: HMAC_512}\n    BackingKeys: ['0102']\n"
                    % MAC, 5, "$.Keys.Symmetric.Hmac[0].BackingKeys", "not the length"),
    "hmac-two": ("Keys:\n Symmetric:\n  Hmac:\n  - Metadata: {KeyId: %s, KeySpec: HMAC_512}\n    BackingKeys:\n"
                 "    - '01'\n    - '02'\n" % MAC, 7, "$.Keys.Symmetric.Hmac[0].BackingKeys[1]", "only symmetric"),
    "no-pem": (pair("Rsa", "       hello\n"), 5, "$.Keys.Asymmetric.Rsa[0].PrivateKeyPem", "no private key"),
    "passphrase": (pair("Ecc", LOCKED), 5, "$.Keys.Asymmetric.Ecc[0].PrivateKeyPem", "without a passphrase"),
    "two-keys": (pair("Ecc", pem(ec_key, PKCS8) * 2), 5, "$.Keys.Asymmetric.Ecc[0].PrivateKeyPem", "one key in PEM"),
    "small": (pair("Rsa", pem(rsa.generate_private_key(65537, 1024), PKCS8)), 5,
              "$.Keys.Asymmetric.Rsa[0].PrivateKeyPem", "2048"),
    "curve": (pair("Ecc", pem(ec.generate_private_key(ec.BrainpoolP256R1()), TRADITIONAL)), 5,
              "$.Keys.Asymmetric.Ecc[0].PrivateKeyPem", "named curve"),
    "other-list": (pair("Rsa", pem(ec_key, PKCS8)), 5, "$.Keys.Asymmetric.Rsa[0].PrivateKeyPem", "ECC_NIST_P384"),
    "pair-spec": (pair("Rsa", pem(rsa_key, PKCS8), "KeyUsage: SIGN_VERIFY, KeySpec: RSA_4096"), 4,
                  "$.Keys.Asymmetric.Rsa[0].Metadata.KeySpec", "would be 'RSA_2048'"),
    "pair-usage": (pair("Rsa", pem(rsa_key, PKCS8), "Enabled: true"), 4, "$.Keys.Asymmetric.Rsa[0].Metadata",
                   "KeyUsage is missing"),
    "alias-name": (aes("") + "Aliases:\n- TargetKeyId: %s\n" % AES, 9, "$.Aliases[0]", "AliasName is missing"),
    "alias-form": (aes("") + "Aliases:\n- AliasName: orders\n  TargetKeyId: %s\n" % AES, 9, "$.Aliases[0]", "prefix"),
    "alias-key": (aes("") + "Aliases:\n- AliasName: alias/x\n  TargetKeyId: %s\n" % MAC, 9, "$.Aliases[0]", "no key"),
    "alias-arn": (aes("") + "Aliases:\n- AliasName: alias/x\n  TargetKeyId: arn:aws:kms:us-east-1:1:key/x\n", 10,
                  "$.Aliases[0].TargetKeyId", "--region"),
    "alias-twice": (aes("") + ("Aliases:\n" + "- {AliasName: alias/x, TargetKeyId: %s}\n" * 2) % (AES, AES), 10,
                    "$.Aliases[1]", "already exists"),
}


@pytest.mark.parametrize("name", WRONG)
def test_errors(tmp_path, name):
    text, line, path, said = WRONG[name]
    done = convert(tmp_path / "seed.yaml", text)
    assert (done.returncode, done.stdout) == (65, "")
    last = done.stderr.strip().splitlines()
    assert len(last) == 1, done.stderr
    found = re.fullmatch(r"trent seed convert: (.*?):(\d+): (\$[^:]*): (.*)", last[0])
    assert found, done.stderr
    assert found.groups()[:3] == (str(tmp_path / "seed.yaml"), str(line), path), done.stderr
    assert said in found.group(4)


def test_files_that_are_no_text(tmp_path):
    path = tmp_path / "seed.yaml"
    assert convert(path, "x" * (1024 * 1024 + 1)).returncode == 65
    path.unlink()
    done = subprocess.run([TRENT, "seed", "convert", str(path)], capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stdout) == (65, "") and "seed.yaml" in done.stderr
    path.write_bytes(b"Keys:\n  Symmetric: \xff\xfe\n")
    done = subprocess.run([TRENT, "seed", "convert", str(path)], capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stdout) == (65, "") and "not UTF-8" in done.stderr
