"""What rights cost: an Encrypt under the default policy, and one that asks a 4 KB key policy and two identity policies
on a key with 50 grants; both again when the server has many users and grants besides."""
import json
import queue
import threading

import fast_rows
import quick_client
import rig
import traffic

ROOT = "arn:aws:iam::000000000000:root"
PAGE = 4096


def key_policy():
    """About 4 KB of statements that do not apply, before the one for the account."""
    statements = [{"Sid": "Owner", "Effect": "Allow", "Principal": {"AWS": ROOT}, "Action": "kms:*", "Resource": "*"}]
    while len(json.dumps({"Version": "2012-10-17", "Statement": statements})) < PAGE - 200:
        n = len(statements)
        statements.insert(0, {
            "Sid": "Context%d" % n, "Effect": "Deny", "Principal": "*", "Action": ["kms:Encrypt", "kms:GenerateDataKey*"],
            "Resource": "*", "Condition": {"StringEquals": {"kms:EncryptionContext:part": "number-%d" % n}}})
    return json.dumps({"Version": "2012-10-17", "Statement": statements})


def user_with_policies(iam, key_arn):
    """Credentials of a user with two identity policies; the second allows."""
    iam.create_user(UserName="bench")
    for name, resource in (("other", "arn:aws:kms:us-east-1:000000000000:key/other"), ("this", key_arn)):
        iam.put_user_policy(UserName="bench", PolicyName=name, PolicyDocument=json.dumps({
            "Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": ["kms:Encrypt", "kms:Decrypt"],
                                                    "Resource": resource}]}))
    made = iam.create_access_key(UserName="bench")["AccessKey"]
    return quick_client.Credentials(made["AccessKeyId"], made["SecretAccessKey"])


def add_grants(call, key_id, n):
    for i in range(n):
        answer = call("CreateGrant", {"KeyId": key_id, "GranteePrincipal": ROOT, "Operations": ["Decrypt", "Encrypt"],
                                      "Constraints": {"EncryptionContextSubset": {"grant": str(i)}}})
        assert answer.code is None, answer


def many(address, jobs, threads=16):
    """Runs functions of a connection on several of them."""
    todo = queue.SimpleQueue()
    for job in jobs:
        todo.put(job)

    def work():
        connection = quick_client.Connection(address)
        while True:
            try:
                job = todo.get_nowait()
            except queue.Empty:
                return connection.close()
            job(connection)

    workers = [threading.Thread(target=work) for _ in range(threads)]
    for w in workers:
        w.start()
    for w in workers:
        w.join()


def populate(server, users, grants, log):
    """Users, and grants on keys of their own, 1,000 on each."""
    root = quick_client.Credentials("test", "test")
    kms = server.client()
    keys = [kms.create_key()["KeyMetadata"]["KeyId"] for _ in range((grants + 999) // 1000)]

    def create_user(i):
        def job(connection):
            answer = connection.query(root, "iam", Action="CreateUser", UserName="user-%d" % i)
            assert answer.code is None, answer
        return job

    def create_grant(i):
        def job(connection):
            answer = connection.call(root, "CreateGrant", {"KeyId": keys[i // 1000], "GranteePrincipal": ROOT,
                                                           "Operations": ["Encrypt"]})
            assert answer.code is None, answer
        return job

    log("%d users and %d grants are made" % (users, grants))
    many(server.address, [create_user(i) for i in range(users)] + [create_grant(i) for i in range(grants)])


def rights(bench):
    """The four of them in interleaved rounds, before and after the server is filled."""
    with bench.site() as site:
        kms, iam = site.server.client(), site.server.client("iam")
        key = kms.create_key(Policy=key_policy())["KeyMetadata"]
        user = user_with_policies(iam, key["Arn"])
        root, connection = quick_client.Credentials("test", "test"), quick_client.Connection(site.server.address)
        add_grants(lambda op, body: connection.call(root, op, body), key["KeyId"], 50)
        signer = traffic.Signer(site.port, user.access_key, user.secret)

        def as_user(seconds, operation=traffic.encrypt(key["KeyId"])):
            return rig.load(site.pid, site.port, operation.requests(signer), expect=operation.expect, seconds=seconds)
        cases = {"default policy": fast_rows.loads(site, {"": traffic.encrypt(fast_rows.new_key(site))})[""],
                 "4 KB policy, two identity policies, 50 grants": as_user}
        before = bench.rounds(cases)
        populate(site.server, bench.options.users, bench.options.grants, bench.log)
        after = bench.rounds(cases)
    for name in cases:
        bench.row("Encrypt 32 B, " + name, before[name])
        bench.row("the same", after[name], note="with %d users and %d grants" % (bench.options.users, bench.options.grants))
