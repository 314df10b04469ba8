"""docs/key-specs.md is what the server does: every row of its tables is asked for."""
import itertools
import re

import pytest
from botocore.exceptions import ClientError

from trent_server import TOP, Server

REGIONS = {"all": "us-east-1", "not aws-cn": "us-east-1", "aws-cn only": "cn-north-1"}
OAEP = ("RSAES_OAEP_SHA_1", "RSAES_OAEP_SHA_256")
KEY_WRAP = ("RSA_AES_KEY_WRAP_SHA_1", "RSA_AES_KEY_WRAP_SHA_256")
WRAPPING_KEYS = ("RSA_2048", "RSA_3072", "RSA_4096")
LISTS = {"ENCRYPT_DECRYPT": "EncryptionAlgorithms", "SIGN_VERIFY": "SigningAlgorithms",
         "GENERATE_VERIFY_MAC": "MacAlgorithms", "KEY_AGREEMENT": "KeyAgreementAlgorithms",
         "ENCAPSULATE_DECAPSULATE": "EncapsulationAlgorithms"}


def tables():
    """The rows of the two tables, as lists of cells."""
    found = []
    for line in (TOP / "docs" / "key-specs.md").read_text().split("\n"):
        if line.startswith("| KeySpec"):
            found.append([])
        elif line.startswith("| ") and not line.startswith("| ---"):
            found[-1].append([cell.strip() for cell in line.strip("|").split("|")])
    return found


SPECS, IMPORTS = tables()
ALL_SPECS = sorted({row[0] for row in SPECS})


def names(cell):
    return [] if cell == "none" else re.split(r", ?", cell)


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    # no ready keys but of the one size that key pairs of the rows below need first
    with Server(tmp_path_factory.mktemp("specs") / "data", "--regions=us-east-1,cn-north-1") as s:
        yield s


@pytest.mark.parametrize("row", SPECS, ids=lambda row: "-".join(row[:2]))
def test_spec_and_usage(server, row):
    spec, usage, algorithms, _, pairs, regions = row
    kms = server.client(region=REGIONS[regions])
    # Origin EXTERNAL where it can be: nothing has to be generated for it
    origin = "EXTERNAL" if spec in {r[0] for r in IMPORTS} else "AWS_KMS"
    created = kms.create_key(KeySpec=spec, KeyUsage=usage, Origin=origin)["KeyMetadata"]
    assert created[LISTS[usage]] == names(algorithms)
    assert [name for name in LISTS.values() if name in created] == [LISTS[usage]]
    assert created["KeySpec"] == created["CustomerMasterKeySpec"] == spec
    if regions != "all":
        other = server.client(region="us-east-1" if regions == "aws-cn only" else "cn-north-1")
        with pytest.raises(ClientError) as refused:
            other.create_key(KeySpec=spec, KeyUsage=usage)
        assert refused.value.response["Error"] == {
            "Code": "UnsupportedOperationException", "Message": "KeySpec %s is not supported in this Region" % spec}
    if pairs == "yes":
        master = kms.create_key()["KeyMetadata"]["KeyId"]
        with pytest.raises(ClientError) as dry:
            kms.generate_data_key_pair(KeyId=master, KeyPairSpec=spec, DryRun=True)
        assert dry.value.response["Error"]["Code"] == "DryRunOperationException"


@pytest.mark.parametrize("spec", ALL_SPECS)
def test_no_other_usage(server, spec):
    """Usages that have no row are refused (recorded-crypto 3)."""
    rows = [row for row in SPECS if row[0] == spec]
    kms = server.client(region=REGIONS[rows[0][5]])
    for usage in sorted(set(LISTS) - {row[1] for row in rows}):
        with pytest.raises(ClientError) as refused:
            kms.create_key(KeySpec=spec, KeyUsage=usage)
        assert refused.value.response["Error"] == {
            "Code": "ValidationException", "Message": "KeyUsage %s is not compatible with KeySpec %s" % (usage, spec)}


@pytest.mark.parametrize("spec", ALL_SPECS)
def test_wrappings(server, spec):
    """R2, R3: exactly the wrappings of the second table; the others are refused with the recorded text."""
    region = REGIONS[next(row[5] for row in SPECS if row[0] == spec)]
    usage = next(row[1] for row in SPECS if row[0] == spec)
    row = next((r for r in IMPORTS if r[0] == spec), None)
    kms = server.client(region=region)
    if row is None:
        with pytest.raises(ClientError) as refused:
            kms.create_key(KeySpec=spec, KeyUsage=usage, Origin="EXTERNAL")
        assert refused.value.response["Error"] == {
            "Code": "ValidationException", "Message": "KeySpec %s is not supported for Origin EXTERNAL" % spec}
        return
    allowed = {(a, k) for a in OAEP for k in names(row[1])} | {(a, k) for a in KEY_WRAP for k in names(row[2])}
    key = kms.create_key(KeySpec=spec, KeyUsage=usage, Origin="EXTERNAL")["KeyMetadata"]["KeyId"]
    for algorithm, wrapping in itertools.product(OAEP + KEY_WRAP + ("RSAES_PKCS1_V1_5",), WRAPPING_KEYS):
        if (algorithm, wrapping) in allowed:
            if wrapping == "RSA_2048":  # larger ones take long to make: test_recorded_families has them
                assert "ImportToken" in kms.get_parameters_for_import(
                    KeyId=key, WrappingAlgorithm=algorithm, WrappingKeySpec=wrapping)
            continue
        with pytest.raises(ClientError) as refused:
            kms.get_parameters_for_import(KeyId=key, WrappingAlgorithm=algorithm, WrappingKeySpec=wrapping)
        assert refused.value.response["Error"] == {"Code": "ValidationException", "Message": (
            "Wrapping algorithm %s and wrapping key spec %s cannot be used to import a %s key."
            % (algorithm, wrapping, spec))}
