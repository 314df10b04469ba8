"""What rights cost: an Encrypt under the default policy, and one that asks a 4 KB key policy and two identity policies
on a key with 50 grants; both again when the server has many users and grants besides."""
import json
import queue
import statistics
import threading

import quick_client

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


def rows(server, default_key, measure, pool, options, log):
    """[(name, median CPU in us)] of the four."""
    root = quick_client.Credentials("test", "test")
    kms, iam = server.client(), server.client("iam")
    key = kms.create_key(Policy=key_policy())["KeyMetadata"]
    user = user_with_policies(iam, key["Arn"])
    connection = quick_client.Connection(server.address)
    add_grants(lambda op, body: connection.call(root, op, body), key["KeyId"], 50)
    host = "%s:%d" % server.address

    def requests(credentials, key_id):
        made = []
        for i in range(pool):
            body = json.dumps({"KeyId": key_id, "Plaintext": "AAAA%028d" % i}).encode()
            made.append(("POST / HTTP/1.1\r\nHost: %s\r\nContent-Type: application/x-amz-json-1.1\r\n"
                         "Content-Length: %d\r\n%s\r\n" % (host, len(body), credentials.headers(
                             host, body, "kms", "TrentService.Encrypt"))).encode() + body)
        return made

    def both():
        costs = {"default policy": [], "4 KB policy, two identity policies, 50 grants": []}
        for _ in range(options.rounds):
            for name, (who, key_id) in zip(costs, ((root, default_key), (user, key["KeyId"]))):
                costs[name].append(measure(server.process.pid, server.address[1], requests(who, key_id), options)["cpu_us"])
        return {name: statistics.median(list_) for name, list_ in costs.items()}

    before = both()
    populate(server, options.users, options.grants, log)
    after = both()
    return ([(name, cost) for name, cost in before.items()] +
            [("%s; %d users, %d grants" % (name, options.users, options.grants), cost) for name, cost in after.items()])
