"""The key families by the real clients: @aws-sdk/client-kms with node:crypto verifying, and the AWS CLI with the
openssl command verifying.
"""
import base64
import json
import shutil
import subprocess

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from families import openssl_verifies, spki_of, verifies
from test_clients import NODE_FOLDER, aws, client_env

pytestmark = pytest.mark.programs
NODE = """
const K = require('@aws-sdk/client-kms');
const crypto = require('node:crypto');
const [spec, usage, algorithm] = process.argv.slice(1);
(async () => {
  const kms = new K.KMSClient({ endpoint: process.env.AWS_ENDPOINT_URL_KMS, region: 'eu-central-1',
                                credentials: { accessKeyId: 'test', secretAccessKey: 'test' } });
  const key = (await kms.send(new K.CreateKeyCommand({ KeySpec: spec, KeyUsage: usage }))).KeyMetadata;
  const Message = Buffer.from('signed by node');
  const out = { spec: key.KeySpec, usage: key.KeyUsage };
  if (usage === 'GENERATE_VERIFY_MAC') {
    const made = await kms.send(new K.GenerateMacCommand({ KeyId: key.KeyId, Message, MacAlgorithm: algorithm }));
    const same = await kms.send(new K.VerifyMacCommand({ KeyId: key.KeyId, Message, MacAlgorithm: algorithm,
                                                         Mac: made.Mac }));
    Object.assign(out, { bytes: made.Mac.length, valid: same.MacValid });
    try { await kms.send(new K.VerifyMacCommand({ KeyId: key.KeyId, Message, MacAlgorithm: algorithm,
                                                  Mac: Buffer.alloc(32) })); }
    catch (e) { out.refused = e.name; }
  } else if (usage === 'KEY_AGREEMENT') {
    const curve = { ECC_NIST_P256: 'P-256', ECC_NIST_P384: 'P-384', ECC_NIST_P521: 'P-521' }[spec];
    const peer = crypto.generateKeyPairSync('ec', { namedCurve: curve });
    const der = (await kms.send(new K.GetPublicKeyCommand({ KeyId: key.KeyId }))).PublicKey;
    const publicKey = crypto.createPublicKey({ key: Buffer.from(der), format: 'der', type: 'spki' });
    const made = await kms.send(new K.DeriveSharedSecretCommand({ KeyId: key.KeyId, KeyAgreementAlgorithm: algorithm,
      PublicKey: peer.publicKey.export({ format: 'der', type: 'spki' }) }));
    const outside = crypto.diffieHellman({ privateKey: peer.privateKey, publicKey });
    Object.assign(out, { valid: outside.equals(Buffer.from(made.SharedSecret)), bytes: made.SharedSecret.length });
  } else if (usage === 'ENCRYPT_DECRYPT') {
    const der = (await kms.send(new K.GetPublicKeyCommand({ KeyId: key.KeyId }))).PublicKey;
    const publicKey = crypto.createPublicKey({ key: Buffer.from(der), format: 'der', type: 'spki' });
    const sealed = crypto.publicEncrypt({ key: publicKey, padding: crypto.constants.RSA_PKCS1_OAEP_PADDING,
      oaepHash: algorithm.endsWith('SHA_1') ? 'sha1' : 'sha256' }, Message);
    const opened = await kms.send(new K.DecryptCommand({ KeyId: key.KeyId, CiphertextBlob: sealed,
                                                         EncryptionAlgorithm: algorithm }));
    Object.assign(out, { valid: Message.equals(Buffer.from(opened.Plaintext)), bytes: sealed.length });
  } else {
    const common = { KeyId: key.KeyId, Message, SigningAlgorithm: algorithm };
    const made = await kms.send(new K.SignCommand(common));
    const same = await kms.send(new K.VerifyCommand({ ...common, Signature: made.Signature }));
    const answer = await kms.send(new K.GetPublicKeyCommand({ KeyId: key.KeyId }));
    Object.assign(out, { bytes: made.Signature.length, valid: same.SignatureValid, algorithms: answer.SigningAlgorithms,
      signature: Buffer.from(made.Signature).toString('base64'),
      key: Buffer.from(answer.PublicKey).toString('base64') });
    if (!spec.startsWith('ML_DSA')) { // which the crypto of this Node does not know
      let publicKey = crypto.createPublicKey({ key: Buffer.from(answer.PublicKey), format: 'der', type: 'spki' });
      if (algorithm.includes('PSS')) publicKey = { key: publicKey, padding: crypto.constants.RSA_PKCS1_PSS_PADDING,
                                                   saltLength: crypto.constants.RSA_PSS_SALTLEN_DIGEST };
      const hash = algorithm === 'ED25519_SHA_512' ? null : 'sha' + algorithm.slice(-3);
      out.outside = crypto.verify(hash, Message, publicKey, made.Signature);
    }
    try { await kms.send(new K.VerifyCommand({ ...common, Message: Buffer.from('x'), Signature: made.Signature })); }
    catch (e) { out.refused = e.name; }
  }
  console.log(JSON.stringify(out));
})().catch((e) => { console.error(e); process.exit(1); });
"""


def node(server, *arguments):
    env = client_env(server)
    env["NODE_PATH"] = str(NODE_FOLDER / "node_modules")
    done = subprocess.run(["node", "-e", NODE, *arguments], env=env, text=True, capture_output=True, timeout=120)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.strip().splitlines()[-1])


with_node = pytest.mark.skipif(shutil.which("node") is None, reason="node is not installed")


@with_node
@pytest.mark.parametrize("spec,algorithm", [
    ("RSA_2048", "RSASSA_PKCS1_V1_5_SHA_256"), ("RSA_2048", "RSASSA_PSS_SHA_512"), ("ECC_NIST_P256", "ECDSA_SHA_256"),
    ("ECC_NIST_P384", "ECDSA_SHA_384"), ("ECC_NIST_P521", "ECDSA_SHA_512"), ("ECC_SECG_P256K1", "ECDSA_SHA_256"),
    ("ECC_NIST_EDWARDS25519", "ED25519_SHA_512"), ("ML_DSA_65", "ML_DSA_SHAKE_256")])
def test_node_signs(server, spec, algorithm):
    """Sign, Verify and GetPublicKey of every signing family; node:crypto verifies, for ML-DSA the other package."""
    out = node(server, spec, "SIGN_VERIFY", algorithm)
    assert (out["spec"], out["valid"], out["refused"]) == (spec, True, "KMSInvalidSignatureException")
    assert algorithm in out["algorithms"]
    public, signature = base64.b64decode(out["key"]), base64.b64decode(out["signature"])
    assert verifies(public, algorithm, "RAW", b"signed by node", signature)
    assert out.get("outside", spec == "ML_DSA_65") is True


@with_node
@pytest.mark.parametrize("spec,usage,algorithm,size", [
    ("HMAC_256", "GENERATE_VERIFY_MAC", "HMAC_SHA_256", 32), ("ECC_NIST_P256", "KEY_AGREEMENT", "ECDH", 32),
    ("ECC_NIST_P521", "KEY_AGREEMENT", "ECDH", 66), ("RSA_2048", "ENCRYPT_DECRYPT", "RSAES_OAEP_SHA_1", 256),
    ("RSA_2048", "ENCRYPT_DECRYPT", "RSAES_OAEP_SHA_256", 256)])
def test_node_other_usages(server, spec, usage, algorithm, size):
    """GenerateMac, VerifyMac, DeriveSharedSecret and Decrypt; ECDH and OAEP against node:crypto."""
    out = node(server, spec, usage, algorithm)
    assert (out["usage"], out["valid"], out["bytes"]) == (usage, True, size)
    assert usage != "GENERATE_VERIFY_MAC" or out["refused"] == "KMSInvalidMacException"


def made(server, spec, usage):
    return aws(server, "create-key", "--key-spec", spec, "--key-usage", usage)["KeyMetadata"]


def file_of(tmp_path, name, data):
    (tmp_path / name).write_bytes(data)
    return "fileb://%s/%s" % (tmp_path, name)


def test_cli_sign_verify_get_public_key(server, tmp_path):
    """aws kms sign, get-public-key, verify; openssl verifies too."""
    key = made(server, "ECC_NIST_P384", "SIGN_VERIFY")
    message = file_of(tmp_path, "message", b"signed by the CLI")
    common = ["--key-id", key["KeyId"], "--message", message, "--signing-algorithm", "ECDSA_SHA_384"]
    signature = base64.b64decode(aws(server, "sign", *common)["Signature"])
    public = base64.b64decode(aws(server, "get-public-key", "--key-id", key["Arn"])["PublicKey"])
    assert openssl_verifies(public, b"signed by the CLI", signature, "-rawin", "-digest", "sha384")
    answer = aws(server, "verify", *common, "--signature", file_of(tmp_path, "signature", signature))
    assert answer == {"KeyId": key["Arn"], "SignatureValid": True, "SigningAlgorithm": "ECDSA_SHA_384"}


def test_cli_generate_and_verify_mac(server, tmp_path):
    key = made(server, "HMAC_384", "GENERATE_VERIFY_MAC")
    common = ["--key-id", key["KeyId"], "--message", file_of(tmp_path, "message", b"m"), "--mac-algorithm",
              "HMAC_SHA_384"]
    mac = base64.b64decode(aws(server, "generate-mac", *common)["Mac"])
    assert len(mac) == 48
    assert aws(server, "verify-mac", *common, "--mac", file_of(tmp_path, "mac", mac))["MacValid"] is True


def test_cli_derive_shared_secret(server, tmp_path):
    key = made(server, "ECC_NIST_P256", "KEY_AGREEMENT")
    peer = ec.generate_private_key(ec.SECP256R1())
    answer = aws(server, "derive-shared-secret", "--key-id", key["KeyId"], "--key-agreement-algorithm", "ECDH",
                 "--public-key", file_of(tmp_path, "peer", spki_of(peer)))
    public = base64.b64decode(aws(server, "get-public-key", "--key-id", key["KeyId"])["PublicKey"])
    shared = peer.exchange(ec.ECDH(), serialization.load_der_public_key(public))
    assert base64.b64decode(answer["SharedSecret"]) == shared


def test_cli_generate_data_key_pair(server, tmp_path):
    key = aws(server, "create-key")["KeyMetadata"]["KeyId"]
    pair = aws(server, "generate-data-key-pair", "--key-id", key, "--key-pair-spec", "ECC_NIST_P521")
    private = base64.b64decode(pair["PrivateKeyPlaintext"])
    assert spki_of(serialization.load_der_private_key(private, None)) == base64.b64decode(pair["PublicKey"])
    blob = file_of(tmp_path, "blob", base64.b64decode(pair["PrivateKeyCiphertextBlob"]))
    assert base64.b64decode(aws(server, "decrypt", "--ciphertext-blob", blob)["Plaintext"]) == private
