"""IAM: who may call it, what its changes mean for the next request, and simulations."""
import threading

from botocore.exceptions import ClientError

from identities import ACCOUNT, ALLOW_ALL, ALLOW_KMS, NUMBERS, pages, signed_as, text
from identities import iam, name, policy, user  # noqa: F401 - fixtures
from trent_server import error_of


# --- who may ----------------------------------------------------------------------------------------------


def test_identity_policies_decide_about_iam_too(server, iam, user, name):
    own = signed_as(server, iam, user["UserName"], "iam")
    who, arn = user["UserName"], user["Arn"]

    def denied(operation, resource):
        return ("AccessDenied", "User: %s is not authorized to perform: iam:%s on resource: %s because no identity-based "
                                "policy allows the iam:%s action" % (arn, operation, resource, operation))

    assert error_of(own.get_user) == denied("GetUser", arn)
    new = "arn:aws:iam::%s:user/path/%s-x" % (ACCOUNT, name)
    assert error_of(own.create_user, UserName=name + "-x", Path="/path/") == denied("CreateUser", new)
    # one that is not there looks as one that is
    assert error_of(own.get_user, UserName="nobody") == denied("GetUser", "arn:aws:iam::%s:user/nobody" % ACCOUNT)
    iam.put_user_policy(UserName=who, PolicyName="p", PolicyDocument=text(
        {"Effect": "Allow", "Action": ["iam:Get*", "iam:CreateUser"], "Resource": [arn, "arn:aws:iam::*:user/path/*"]}))
    assert own.get_user()["User"]["UserName"] == who
    own.create_user(UserName=name + "-x", Path="/path/")
    assert error_of(own.create_user, UserName=name + "-y")[0] == "AccessDenied"
    iam.delete_user_policy(UserName=who, PolicyName="p")
    assert error_of(own.get_user) == denied("GetUser", arn)


def test_conditions_on_what_a_request_brings(server, iam, user, name, policy):
    own = signed_as(server, iam, user["UserName"], "iam")
    other = iam.create_user(UserName="t-" + name, Tags=[{"Key": "team", "Value": "blue"}])["User"]["UserName"]
    iam.put_user_policy(UserName=user["UserName"], PolicyName="p", PolicyDocument=text(
        {"Effect": "Allow", "Action": "iam:AttachUserPolicy", "Resource": "*",
         "Condition": {"ArnEquals": {"iam:PolicyARN": policy["Arn"]}}},
        {"Effect": "Allow", "Action": "iam:CreateUser", "Resource": "*",
         "Condition": {"StringEquals": {"iam:PermissionsBoundary": policy["Arn"]}}},
        {"Effect": "Allow", "Action": "iam:TagUser", "Resource": "*",
         "Condition": {"StringEquals": {"aws:RequestTag/cost": "42"}, "ForAllValues:StringEquals": {"aws:TagKeys": "cost"}}},
        {"Effect": "Allow", "Action": "iam:GetUser", "Resource": "*",
         "Condition": {"StringEquals": {"iam:ResourceTag/team": "blue", "aws:ResourceTag/team": "blue"}}}))
    own.attach_user_policy(UserName=other, PolicyArn=policy["Arn"])
    assert error_of(own.attach_user_policy, UserName=other, PolicyArn="arn:aws:iam::aws:policy/AdministratorAccess")[0] == \
        "AccessDenied"
    own.create_user(UserName="b-" + name, PermissionsBoundary=policy["Arn"])
    assert error_of(own.create_user, UserName="c-" + name)[0] == "AccessDenied"
    own.tag_user(UserName=other, Tags=[{"Key": "cost", "Value": "42"}])
    for tags in ([{"Key": "cost", "Value": "43"}], [{"Key": "cost", "Value": "42"}, {"Key": "x", "Value": "y"}]):
        assert error_of(own.tag_user, UserName=other, Tags=tags)[0] == "AccessDenied"
    assert own.get_user(UserName=other)["User"]["UserName"] == other
    assert error_of(own.get_user, UserName="b-" + name)[0] == "AccessDenied"


def test_parameters_that_an_action_does_not_have_answer_no_condition(server, iam, user, name, policy):
    """A delegated administrator must not meet its conditions by sending what the action never reads."""
    own = signed_as(server, iam, user["UserName"], "iam")
    other = iam.create_user(UserName="s-" + name)["User"]["UserName"]
    extra = {}
    # before it is signed: the body of a Query request is a dict of parameters then
    own.meta.events.register("before-call.iam", lambda params, **_: params["body"].update(extra))
    for condition, parameters in (
            ({"StringEquals": {"iam:PermissionsBoundary": policy["Arn"]}}, {"PermissionsBoundary": policy["Arn"]}),
            ({"ArnEquals": {"iam:PolicyARN": policy["Arn"]}}, {"PolicyArn": policy["Arn"]}),
            ({"StringEquals": {"aws:RequestTag/team": "blue"}}, {"Tags.member.1.Key": "team", "Tags.member.1.Value": "blue"}),
            ({"ForAnyValue:StringEquals": {"aws:TagKeys": "team"}}, {"TagKeys.member.1": "team"}),
            ({"StringEquals": {"sts:ExternalId": "12345"}}, {"ExternalId": "12345"})):
        iam.put_user_policy(UserName=user["UserName"], PolicyName="p", PolicyDocument=text(
            {"Effect": "Allow", "Action": "iam:PutUserPolicy", "Resource": "*", "Condition": condition}))
        extra.clear()
        extra.update(parameters)
        assert error_of(own.put_user_policy, UserName=other, PolicyName="q", PolicyDocument=text(ALLOW_ALL))[0] == \
            "AccessDenied", condition
    assert iam.list_user_policies(UserName=other)["PolicyNames"] == []


def test_a_deleted_user_signs_no_more(server, iam, user):
    who = user["UserName"]
    made = iam.create_access_key(UserName=who)["AccessKey"]
    iam.put_user_policy(UserName=who, PolicyName="p", PolicyDocument=text(ALLOW_ALL))
    kms = server.client(key=made["AccessKeyId"], secret=made["SecretAccessKey"])
    kms.list_keys()
    iam.delete_access_key(UserName=who, AccessKeyId=made["AccessKeyId"])
    iam.delete_user_policy(UserName=who, PolicyName="p")
    iam.delete_user(UserName=who)
    iam.create_user(UserName=who)
    assert error_of(kms.list_keys)[0] == "UnrecognizedClientException"


# --- simulation -------------------------------------------------------------------------------------------


def decisions(answer):
    return [(r["EvalActionName"], r["EvalResourceName"], r["EvalDecision"]) for r in answer["EvaluationResults"]]


def test_simulating_documents(iam):
    documents = [text({"Effect": "Allow", "Action": "kms:*", "Resource": "arn:aws:kms:*:*:key/1"}),
                 text({"Effect": "Deny", "Action": "kms:Delete*", "Resource": "*"})]
    answer = iam.simulate_custom_policy(PolicyInputList=documents, ActionNames=["kms:Encrypt", "kms:DeleteAlias"],
                                        ResourceArns=["arn:aws:kms:a:1:key/1", "arn:aws:kms:a:1:key/2"])
    assert decisions(answer) == [
        ("kms:Encrypt", "arn:aws:kms:a:1:key/1", "allowed"), ("kms:Encrypt", "arn:aws:kms:a:1:key/2", "implicitDeny"),
        ("kms:DeleteAlias", "arn:aws:kms:a:1:key/1", "explicitDeny"),
        ("kms:DeleteAlias", "arn:aws:kms:a:1:key/2", "explicitDeny")]
    assert [s["SourcePolicyId"] for s in answer["EvaluationResults"][2]["MatchedStatements"]] == [
        "PolicyInputList.1", "PolicyInputList.2"]
    paged = pages(lambda **p: iam.simulate_custom_policy(
        PolicyInputList=documents, ActionNames=["kms:Encrypt", "kms:DeleteAlias"], **p), "EvaluationResults")
    assert [(r["EvalActionName"], r["EvalResourceName"]) for r in paged] == [("kms:Encrypt", "*"), ("kms:DeleteAlias", "*")]


def test_simulating_with_context(iam):
    documents = [text({**ALLOW_KMS, "Condition": {
        "StringEquals": {"kms:EncryptionContext:dept": "IT"}, "ForAnyValue:StringLike": {"kms:EncryptionContextKeys": "d*"}}})]

    def ask(*entries):
        answer = iam.simulate_custom_policy(PolicyInputList=documents, ActionNames=["kms:Encrypt"],
                                            ContextEntries=list(entries))["EvaluationResults"][0]
        return answer["EvalDecision"], answer["MissingContextValues"]

    dept = {"ContextKeyName": "KMS:encryptioncontext:DEPT", "ContextKeyValues": ["IT"], "ContextKeyType": "string"}
    keys = {"ContextKeyName": "kms:EncryptionContextKeys", "ContextKeyValues": ["a", "dept"], "ContextKeyType": "stringList"}
    assert ask(dept, keys) == ("allowed", [])
    assert ask({**dept, "ContextKeyValues": ["HR"]}, keys)[0] == "implicitDeny"
    assert ask(dept) == ("implicitDeny", ["kms:EncryptionContextKeys"])
    assert ask(keys)[1] == ["kms:EncryptionContext:dept"]


def test_simulating_a_principal(iam, name, policy):
    key = "arn:aws:kms:eu-central-1:%s:key/1" % ACCOUNT
    arn = iam.create_user(UserName=name, Tags=[{"Key": "team", "Value": "blue"}])["User"]["Arn"]

    def ask(action, **more):
        answer = iam.simulate_principal_policy(PolicySourceArn=arn, ActionNames=[action], ResourceArns=[key], **more)
        result = answer["EvaluationResults"][0]
        return result["EvalDecision"], [(s["SourcePolicyId"], s["SourcePolicyType"]) for s in result["MatchedStatements"]]

    assert ask("kms:Encrypt") == ("implicitDeny", [])
    iam.attach_user_policy(UserName=name, PolicyArn=policy["Arn"])
    assert ask("kms:Encrypt") == ("allowed", [(policy["Arn"], "user-managed")])
    iam.put_user_policy(UserName=name, PolicyName="no", PolicyDocument=text(
        {"Effect": "Deny", "Action": "kms:Encrypt", "Resource": "*",
         "Condition": {"StringEquals": {"aws:PrincipalTag/team": "blue", "aws:username": name}}}))
    assert ask("kms:Encrypt") == ("explicitDeny", [("no", "user"), (policy["Arn"], "user-managed")])
    assert ask("kms:Decrypt")[0] == "allowed"
    assert ask("kms:Decrypt", PolicyInputList=[text({"Effect": "Deny", "Action": "*", "Resource": "*"})])[0] == "explicitDeny"
    boundary = iam.create_policy(PolicyName="b-" + name, PolicyDocument=text(
        {"Effect": "Allow", "Action": "kms:Verify", "Resource": "*"}))["Policy"]["Arn"]
    iam.put_user_permissions_boundary(UserName=name, PermissionsBoundary=boundary)
    assert ask("kms:Decrypt")[0] == "implicitDeny"
    assert ask("kms:Verify")[0] == "allowed"
    assert ask("kms:Decrypt", PermissionsBoundaryPolicyInputList=[text(ALLOW_ALL)])[0] == "allowed"
    assert error_of(iam.simulate_principal_policy, PolicySourceArn=arn + "-no", ActionNames=["kms:Encrypt"])[0] == \
        "NoSuchEntity"


def test_simulating_a_resource_policy(iam, user):
    allow = {"Effect": "Allow", "Principal": {"AWS": user["Arn"]}, "Action": "kms:Encrypt", "Resource": "*"}

    def ask(action, *statements, **more):
        return iam.simulate_principal_policy(PolicySourceArn=user["Arn"], ActionNames=[action],
                                             ResourcePolicy=text(*statements), **more)["EvaluationResults"][0]["EvalDecision"]

    assert ask("kms:Encrypt", allow) == "allowed"
    assert ask("kms:Decrypt", allow) == "implicitDeny"
    assert ask("kms:Encrypt", allow, {**allow, "Effect": "Deny"}) == "explicitDeny"
    assert error_of(iam.simulate_custom_policy, PolicyInputList=[text(ALLOW_ALL)], ActionNames=["kms:Encrypt"],
                    ResourcePolicy=text(allow))[0] == "InvalidInput"


def test_documents_that_are_none_are_refused(iam):
    assert error_of(iam.simulate_custom_policy, PolicyInputList=["{"], ActionNames=["kms:Encrypt"]) == (
        "InvalidInput", "PolicyInputList.1: Syntax errors in policy.")


# --- requests that meet each other --------------------------------------------------------------------------


def race(*calls):
    """Runs the calls at the same moment; the codes of those that were refused, None for those that were not."""
    barrier = threading.Barrier(len(calls))
    codes = [None] * len(calls)

    def run(i):
        barrier.wait()
        try:
            calls[i]()
        except ClientError as e:
            codes[i] = e.response["Error"]["Code"]

    threads = [threading.Thread(target=run, args=(i,)) for i in range(len(calls))]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    return codes


def test_a_policy_is_not_deleted_while_it_is_attached(iam, user):
    for _ in range(30):
        arn = iam.create_policy(PolicyName="race%d" % next(NUMBERS), PolicyDocument=text(ALLOW_KMS))["Policy"]["Arn"]
        attach, delete = race(lambda: iam.attach_user_policy(UserName=user["UserName"], PolicyArn=arn),
                              lambda: iam.delete_policy(PolicyArn=arn))
        attached = [p["PolicyArn"] for p in iam.list_attached_user_policies(UserName=user["UserName"])["AttachedPolicies"]]
        assert (attach, delete, attached) in [(None, "DeleteConflict", [arn]), ("NoSuchEntity", None, [])]
        if attached:
            iam.detach_user_policy(UserName=user["UserName"], PolicyArn=arn)


def test_a_user_is_not_deleted_while_it_gets_a_key(iam):
    for _ in range(30):
        name = "race%d" % next(NUMBERS)
        iam.create_user(UserName=name)
        made, deleted = race(lambda: iam.create_access_key(UserName=name), lambda: iam.delete_user(UserName=name))
        assert (made, deleted) in [(None, "DeleteConflict"), ("NoSuchEntity", None)]


def test_a_name_is_given_once(iam):
    for _ in range(20):
        name = "race%d" % next(NUMBERS)
        codes = race(*[lambda n=n: iam.create_user(UserName=n) for n in (name, name.upper(), name)])
        assert sorted(c or "" for c in codes) == ["", "EntityAlreadyExists", "EntityAlreadyExists"]


def test_no_change_of_a_user_is_lost(iam, user):
    """All of them change one record: each runs again until it has changed the newest."""
    name = user["UserName"]
    codes = race(*[lambda i=i: iam.tag_user(UserName=name, Tags=[{"Key": "k%d" % i, "Value": "v"}]) for i in range(12)])
    assert codes == [None] * 12
    assert len(iam.list_user_tags(UserName=name)["Tags"]) == 12
