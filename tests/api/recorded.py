"""What the tests of recorded-imports share: views of a key as the recordings show it."""
import datetime
import re
import time

DELAY = 3600
ZEROS = "0" * 64
NOEXP = "KEY_MATERIAL_DOES_NOT_EXPIRE"
EXP = "KEY_MATERIAL_EXPIRES"


def dk(kms, key_id):
    """KeyState, Enabled, ExpirationModel, ValidTo, CurrentKeyMaterialId; None for an absent field."""
    m = kms.describe_key(KeyId=key_id)["KeyMetadata"]
    return (m["KeyState"], m["Enabled"], m.get("ExpirationModel"), m.get("ValidTo"), m.get("CurrentKeyMaterialId"))


def lkr(kms, key_id, everything=True):
    """The list of rotations without KeyId, which must be the ARN in every entry."""
    more = {"IncludeKeyMaterial": "ALL_KEY_MATERIAL"} if everything else {}
    answer = kms.list_key_rotations(KeyId=key_id, **more)
    assert answer["Truncated"] is False and "NextMarker" not in answer
    entries = []
    for entry in answer["Rotations"]:
        assert re.fullmatch(r"arn:aws:kms:us-east-1:000000000000:key/.*", entry["KeyId"])
        entries.append({k: v for k, v in entry.items() if k != "KeyId"})
    return entries


def entry(material, role, state="IMPORTED", model=NOEXP, **more):
    """An expected entry of an imported key; RotationDate is compared by presence (`rotated`)."""
    e = {"KeyMaterialId": material, "KeyMaterialState": role, "ImportState": state}
    if model is not None:
        e["ExpirationModel"] = model
    e.update(more)
    return e


def without_dates(entries):
    cleaned = []
    for e in entries:
        e = dict(e)
        if "RotationDate" in e:
            assert e.pop("RotationType") == "ON_DEMAND"
            del e["RotationDate"]
            e["rotated"] = True
        cleaned.append(e)
    return cleaned


def gkrs(kms, key_id):
    answer = kms.get_key_rotation_status(KeyId=key_id)
    return {k: v for k, v in answer.items() if k != "ResponseMetadata"}



def pending_import(arn):
    return ("KMSInvalidStateException", "%s is pending import." % arn)


def later(seconds):
    return datetime.datetime.now(datetime.timezone.utc) + datetime.timedelta(seconds=seconds)


def answer_fields(answer):
    return {k: v for k, v in answer.items() if k != "ResponseMetadata"}


def finish_rotation(server, kms, key_id):
    """Lets the delay pass on the life-cycle clock and waits for the job."""
    server.advance(DELAY + 1)
    deadline = time.monotonic() + 20
    while "OnDemandRotationStartDate" in gkrs(kms, key_id):
        assert time.monotonic() < deadline, "the rotation did not complete"
        time.sleep(0.02)
