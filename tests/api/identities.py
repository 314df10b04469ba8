"""What the tests of IAM share: fixtures that make users, roles and policies, and listings page by page."""
import itertools
import json

import pytest

ACCOUNT = "000000000000"
ROOT = "arn:aws:iam::%s:root" % ACCOUNT
NUMBERS = itertools.count(1)


def document(*statements):
    return {"Version": "2012-10-17", "Statement": list(statements)}


def text(*statements):
    return json.dumps(document(*statements))


ALLOW_ALL = {"Effect": "Allow", "Action": "*", "Resource": "*"}
ALLOW_KMS = {"Effect": "Allow", "Action": "kms:*", "Resource": "*"}
TRUST_ROOT = text({"Effect": "Allow", "Principal": {"AWS": ROOT}, "Action": "sts:AssumeRole"})


@pytest.fixture(scope="module")
def iam(server):
    return server.client("iam")


@pytest.fixture
def name():
    return "n%d" % next(NUMBERS)


@pytest.fixture
def user(iam, name):
    return iam.create_user(UserName=name)["User"]


@pytest.fixture
def role(iam, name):
    return iam.create_role(RoleName=name, AssumeRolePolicyDocument=TRUST_ROOT)["Role"]


@pytest.fixture
def policy(iam, name):
    return iam.create_policy(PolicyName=name, PolicyDocument=text(ALLOW_ALL))["Policy"]


def signed_as(server, iam, user_name, service="kms"):
    """A client with a new access key of the user."""
    key = iam.create_access_key(UserName=user_name)["AccessKey"]
    return server.client(service, key=key["AccessKeyId"], secret=key["SecretAccessKey"])


def pages(call, member, size=1, **parameters):
    """All items of a listing, page by page; checks what a page says of the next."""
    items, marker = [], {}
    while True:
        answer = call(MaxItems=size, **marker, **parameters)
        assert len(answer[member]) <= size
        items += answer[member]
        if not answer["IsTruncated"]:
            assert "Marker" not in answer
            return items
        marker = {"Marker": answer["Marker"]}


@pytest.fixture(params=["user", "role"])
def entity(request, iam, name):
    """(kind, name, calls): what users and roles have in common."""
    if request.param == "user":
        iam.create_user(UserName=name)
    else:
        iam.create_role(RoleName=name, AssumeRolePolicyDocument=TRUST_ROOT)
    who = {request.param.capitalize() + "Name": name}

    def call(operation, **parameters):
        return getattr(iam, operation.replace("ENTITY", request.param))(**who, **parameters)

    return request.param, name, call
