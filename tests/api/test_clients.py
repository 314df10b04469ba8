"""The real clients, unmodified, each signing in its own way: AWS CLI, boto3, @aws-sdk/client-kms, curl --aws-sigv4."""
import base64
import json
import os
import pathlib
import shutil
import subprocess
import sys

import pytest

from trent_server import TOP, external_key, wrap

pytestmark = pytest.mark.programs
NODE_FOLDER = TOP / "build" / "node"
AWS = pathlib.Path(sys.executable).parent / "aws"


def client_env(server):
    env = {k: v for k, v in os.environ.items() if not k.startswith("AWS_")}
    env.update(AWS_ACCESS_KEY_ID="test", AWS_SECRET_ACCESS_KEY="test", AWS_DEFAULT_REGION="eu-central-1",
               AWS_REGION="eu-central-1", AWS_ENDPOINT_URL_KMS=server.url, AWS_EC2_METADATA_DISABLED="true",
               AWS_CONFIG_FILE=os.devnull, AWS_SHARED_CREDENTIALS_FILE=os.devnull, AWS_PAGER="")
    return env


def aws(server, *arguments):
    done = subprocess.run([str(AWS), "kms", *arguments, "--output", "json"], env=client_env(server), text=True,
                          capture_output=True, timeout=120)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout) if done.stdout.strip() else None


def test_aws_cli(server, tmp_path):
    """The life of an imported key, by the AWS CLI."""
    key = aws(server, "create-key", "--origin", "EXTERNAL")["KeyMetadata"]["KeyId"]
    p = aws(server, "get-parameters-for-import", "--key-id", key, "--wrapping-algorithm", "RSAES_OAEP_SHA_256",
            "--wrapping-key-spec", "RSA_2048")
    (tmp_path / "token").write_bytes(base64.b64decode(p["ImportToken"]))
    (tmp_path / "wrapped").write_bytes(wrap(base64.b64decode(p["PublicKey"]), b"c" * 32))
    imported = aws(server, "import-key-material", "--key-id", key, "--import-token", "fileb://%s/token" % tmp_path,
                   "--encrypted-key-material", "fileb://%s/wrapped" % tmp_path, "--valid-to", "2027-06-01T00:00:00Z")
    assert len(imported["KeyMaterialId"]) == 64
    (tmp_path / "plain").write_bytes(b"hello")
    blob = aws(server, "encrypt", "--key-id", key, "--plaintext", "fileb://%s/plain" % tmp_path,
               "--encryption-context", "a=b,c=d")["CiphertextBlob"]
    (tmp_path / "blob").write_bytes(base64.b64decode(blob))
    plain = aws(server, "decrypt", "--ciphertext-blob", "fileb://%s/blob" % tmp_path, "--encryption-context",
                "c=d,a=b")["Plaintext"]
    assert base64.b64decode(plain) == b"hello"
    deleted = aws(server, "delete-imported-key-material", "--key-id", key)
    assert deleted["KeyMaterialId"] == imported["KeyMaterialId"]
    done = subprocess.run([str(AWS), "kms", "decrypt", "--ciphertext-blob", "fileb://%s/blob" % tmp_path],
                          env=client_env(server), text=True, capture_output=True, timeout=120)
    assert done.returncode != 0 and "KMSInvalidStateException" in done.stderr and "is pending import." in done.stderr
    assert aws(server, "describe-key", "--key-id", key)["KeyMetadata"]["KeyState"] == "PendingImport"


def test_aws_cli_paginates(server):
    """The CLI follows NextMarker by itself."""
    made = {aws(server, "create-key")["KeyMetadata"]["KeyId"] for _ in range(3)}
    listed = aws(server, "list-keys", "--page-size", "1")["Keys"]
    assert made <= {k["KeyId"] for k in listed}


def test_boto3_regions(server):
    """A Region is a key space of its own (any Region in development mode)."""
    east, west = server.client(region="us-east-1"), server.client(region="us-west-2")
    key = east.create_key()["KeyMetadata"]
    assert key["Arn"].startswith("arn:aws:kms:us-east-1:000000000000:key/")
    with pytest.raises(west.exceptions.NotFoundException):
        west.describe_key(KeyId=key["KeyId"])


def test_boto3_with_default_retries_and_validation(server):
    """boto3 as it comes, with its own parameter validation on."""
    import boto3
    kms = boto3.client("kms", endpoint_url=server.url, region_name="us-east-1", aws_access_key_id="test",
                       aws_secret_access_key="test")
    key = external_key(kms)
    assert kms.describe_key(KeyId=key["Arn"])["KeyMetadata"]["KeyId"] == key["KeyId"]


NODE = """
const { KMSClient, CreateKeyCommand, EncryptCommand, DecryptCommand, GenerateDataKeyCommand, CreateAliasCommand,
        DescribeKeyCommand } = require('@aws-sdk/client-kms');
(async () => {
  const kms = new KMSClient({ endpoint: process.env.AWS_ENDPOINT_URL_KMS, region: 'eu-central-1',
                              credentials: { accessKeyId: 'test', secretAccessKey: 'test' } });
  const key = (await kms.send(new CreateKeyCommand({ Description: 'from node' }))).KeyMetadata;
  await kms.send(new CreateAliasCommand({ AliasName: 'alias/node', TargetKeyId: key.KeyId }));
  const context = { purpose: 'node', 'snow\\u2603man': '\\u{1F511}' };
  const sealed = await kms.send(new EncryptCommand({ KeyId: 'alias/node', Plaintext: Buffer.from('hello'),
                                                     EncryptionContext: context }));
  const opened = await kms.send(new DecryptCommand({ CiphertextBlob: sealed.CiphertextBlob,
                                                     EncryptionContext: context }));
  const dataKey = await kms.send(new GenerateDataKeyCommand({ KeyId: key.KeyId, KeySpec: 'AES_256' }));
  let refused;
  try { await kms.send(new DescribeKeyCommand({ KeyId: 'alias/none' })); } catch (e) { refused = e; }
  console.log(JSON.stringify({ plain: Buffer.from(opened.Plaintext).toString(), id: opened.KeyMaterialId,
    bytes: dataKey.Plaintext.length, created: key.CreationDate instanceof Date, refused: refused.name,
    text: refused.message, requestId: refused.$metadata.requestId }));
})().catch((e) => { console.error(e); process.exit(1); });
"""


@pytest.mark.skipif(shutil.which("node") is None, reason="node is not installed")
def test_node_sdk(server):
    env = client_env(server)
    env["NODE_PATH"] = str(NODE_FOLDER / "node_modules")
    done = subprocess.run(["node", "-e", NODE], env=env, text=True, capture_output=True, timeout=120)
    assert done.returncode == 0, done.stderr
    answer = json.loads(done.stdout.strip().splitlines()[-1])
    assert (answer["plain"], answer["bytes"], answer["created"]) == ("hello", 32, True)
    assert answer["refused"] == "NotFoundException" and len(answer["id"]) == 64
    assert answer["text"] == "Alias arn:aws:kms:eu-central-1:000000000000:alias/none is not found."
    assert len(answer["requestId"]) == 36


def curl(server, operation, body, *more):
    done = subprocess.run(["curl", "-sS", "--aws-sigv4", "aws:amz:us-east-1:kms", "--user", "test:test",
                           "-H", "X-Amz-Target: TrentService." + operation,
                           "-H", "Content-Type: application/x-amz-json-1.1", "-d", body, *more, server.url + "/"],
                          text=True, capture_output=True, timeout=60)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_curl(server):
    key = curl(server, "CreateKey", '{"Origin": "EXTERNAL"}')["KeyMetadata"]
    assert key["KeyState"] == "PendingImport"
    assert curl(server, "DescribeKey", json.dumps({"KeyId": key["KeyId"]}))["KeyMetadata"] == key
    refused = curl(server, "Encrypt", json.dumps({"KeyId": key["KeyId"], "Plaintext": "eA=="}))
    assert refused == {"__type": "KMSInvalidStateException", "message": "%s is pending import." % key["Arn"]}
