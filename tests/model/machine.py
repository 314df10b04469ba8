"""Drives a server and the model together: sends calls, compares, looks at keys.

An action is a tuple (name, parameters) without objects, so that a sequence of them can be played again, also in part:
what it names and is not there is left out (Skipped).
"""
import base64
import hashlib
import json
import socket
import sys
import time
import pathlib

from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, padding

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "api"))
from quick_client import Credentials  # noqa: E402
from lives import ANY, REGIONS, USABLE, Differs, Now, Span, World, same  # noqa: E402

SIGNED_FOR = 60  # seconds that a signed request is sent again; the server allows five minutes
TOKEN_LIFE = 24 * 3600 * 1000
LATE = 10  # seconds that a job may take after the clock was moved, on a busy machine


class Skipped(Exception):
    """The action makes no sense now: what it is about is not there (any more)."""


class Wire:
    """One connection; many requests are sent before the first answer is read. Signed requests are kept for a while,
    as most questions are asked again and again."""

    def __init__(self, address):
        self.host = "%s:%d" % address
        self.credentials = {r: Credentials("test", "test", region=r) for r in REGIONS}
        self.address = address
        self.signed, self.since = {}, 0.0
        self._connect()

    def _connect(self):
        self.socket = socket.create_connection(self.address, timeout=60)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.buffer = b""
        self.closing = False  # the server has said that it closes: what was sent since has not been read

    def close(self):
        self.socket.close()

    def _request(self, region, operation, body):
        key = (region, operation, body)
        request = self.signed.get(key)
        if request is None:
            headers = self.credentials[region].headers(self.host, body, "kms", "TrentService." + operation)
            request = self.signed[key] = (
                "POST / HTTP/1.1\r\nHost: %s\r\nContent-Type: application/x-amz-json-1.1\r\nContent-Length: %d\r\n%s"
                "\r\n" % (self.host, len(body), headers)).encode() + body
        return request

    def ask(self, questions):
        """[(region, operation, body as bytes)]; [(status, body as bytes)] in the same order."""
        if time.monotonic() - self.since > SIGNED_FOR:
            self.signed, self.since = {}, time.monotonic()
        requests = [self._request(*q) for q in questions]
        answers = []
        while len(answers) < len(requests):
            part = requests[len(answers):len(answers) + 32]
            self.socket.sendall(b"".join(part))
            for _ in part:
                answers.append(self._read())
                if self.closing:
                    self.close()
                    self._connect()
                    break
        return answers

    def _read(self):
        buffer = self.buffer
        while (end := buffer.find(b"\r\n\r\n")) < 0:
            buffer += self._receive()
        head = buffer[:end].lower()
        at = head.index(b"content-length:") + 15
        stop = head.find(b"\r", at)
        end += 4
        end_of_body = end + int(head[at:stop if stop > 0 else len(head)])
        while len(buffer) < end_of_body:
            buffer += self._receive()
        self.buffer = buffer[end_of_body:]
        self.closing = b"connection: close" in head
        return int(buffer[9:12]), buffer[end:end_of_body]

    def _receive(self):
        chunk = self.socket.recv(262144)
        if not chunk:
            raise Differs("the server closed the connection")
        return chunk


class Token:
    """An answer of GetParametersForImport, to be used for many imports."""

    def __init__(self, answer, until):
        self.token, self.until = answer["ImportToken"], until
        self.key = serialization.load_der_public_key(base64.b64decode(answer["PublicKey"]))
        self.wrapped = {}

    def wrap(self, number, material):
        if number not in self.wrapped:
            oaep = padding.OAEP(mgf=padding.MGF1(hashes.SHA256()), algorithm=hashes.SHA256(), label=None)
            self.wrapped[number] = base64.b64encode(self.key.encrypt(material, oaep)).decode()
        return self.wrapped[number]


class Machine:
    def __init__(self, server, region_delay, rotation_delay, late=LATE):
        """Delays in seconds, as the server's settings; `late`: seconds that a job may take."""
        self.server, self.late = server, late
        self.wire = Wire(server.address)
        self.world = World(region_delay * 1000, rotation_delay * 1000)
        self.advanced = 0  # ms
        self.tokens = {}  # (family, Region): Token
        self.calls = self.asked = 0
        self.marker = 0
        self.outcomes = {}  # (operation, error code or None): how often

    # --- asking

    def now(self):
        t = time.time() * 1000
        return Now(int(t) + self.advanced, int(t) + self.advanced)

    def ask(self, questions):
        """[(region, operation, parameters)]; the time of it and [(code, text, answer)]."""
        lo = int(time.time() * 1000) + self.advanced
        answers = self.wire.ask([(r, o, json.dumps(p).encode()) for r, o, p in questions])
        hi = int(time.time() * 1000) + 1 + self.advanced
        self.asked += len(questions)
        return Now(lo, hi), [self._understood(*a) for a in answers]

    @staticmethod
    def _understood(status, body):
        answer = json.loads(body) if body else {}
        if status == 200:
            return None, None, answer
        code = answer.get("__type", "").rpartition("#")[2] or "status %d" % status
        return code, answer.get("Message") or answer.get("message"), answer

    def call(self, region, operation, parameters, expect):
        """One call whose outcomes come from the model: expect(now) gives (outcomes, effect)."""
        before = self.now()
        outcomes, _ = expect(before)
        now, ((code, text, answer),) = self.ask([(region, operation, parameters)])
        self._agree(operation, code, text, outcomes)
        again, effect = expect(now)
        if [o and o[0] for o in again] != [o and o[0] for o in outcomes]:
            raise Differs("%s: the model expected %r before and %r after" % (operation, outcomes, again))
        key = (operation, code)
        self.outcomes[key] = self.outcomes.get(key, 0) + 1
        if code is None:
            effect(answer)
        return code is None

    @staticmethod
    def _agree(operation, code, text, outcomes):
        for outcome in outcomes:
            if outcome is None:
                if code is None:
                    return
            elif code == outcome[0]:
                expected = outcome[1]
                if expected is ANY or expected == text or (hasattr(expected, "fullmatch") and text is not None
                                                           and expected.fullmatch(text)):
                    return
        raise Differs("%s answered %r %r, expected %s" % (operation, code, text, " or ".join(
            "success" if o is None else repr(o) for o in outcomes)))

    # --- looking

    def look(self, family, regions, deep):
        """Asks about a key in Regions and compares; with `deep` uses it too."""
        regions = [r for r in regions if r in family.places]
        questions = []
        for r in regions:
            key = {"KeyId": family.key_id}
            everything = {"KeyId": family.key_id, "IncludeKeyMaterial": "ALL_KEY_MATERIAL"}
            questions += [(r, "DescribeKey", key), (r, "ListKeyRotations", everything),
                          (r, "GetKeyRotationStatus", key)]
        now, answers = self.ask(questions)
        for i, r in enumerate(regions):
            for (code, text, answer), check in zip(answers[3 * i:3 * i + 3], (
                    family.check_description, family.check_rotations, family.check_status)):
                try:
                    if check == family.check_rotations and not family.symmetric:
                        self._agree("ListKeyRotations", code, text, [("ValidationException", "Input parameter "
                                    "includeKeyMaterial can only be used with symmetric keys.")])
                        continue
                    self._agree(check.__name__, code, text, [None])
                    check(r, now, answer)
                except Differs as e:
                    raise Differs("%s in %s: %s" % (check.__name__, r, e)) from None
        if deep:
            self.use(family, regions, everything=deep == "all")

    def use(self, family, regions, everything):
        """Encrypts and decrypts (or makes a MAC, or signs) as far as the state allows."""
        for r in regions:
            questions, checks = self._uses(family, r, everything)
            now, answers = self.ask(questions)
            state = family.state(r, now)
            for (operation, (code, text, answer)), check in zip([(q[1], a) for q, a in zip(questions, answers)], checks):
                try:
                    if state in USABLE:
                        self._agree(operation, code, text, [None])
                        check(answer)
                    else:
                        self._agree(operation, code, text, [family.refusal(r, state)])
                except Differs as e:
                    raise Differs("%s in %s, %s: %s" % (operation, r, state, e)) from None

    def _uses(self, family, r, everything):
        arn = family.arn(r)
        if not family.symmetric:
            if family.spec == "HMAC_256":
                name, p = "GenerateMac", {"KeyId": family.key_id, "MacAlgorithm": "HMAC_SHA_256", "Message": "bWFj"}
            else:
                name, p = "Sign", {"KeyId": arn, "SigningAlgorithm": "ECDSA_SHA_256", "Message": "bWFj"}
            return [(r, name, p)], [lambda answer: self._made(family, arn, answer)]
        self.marker += 1
        plain = base64.b64encode(b"%d of %s" % (self.marker % 4, r.encode())).decode()
        questions = [(r, "Encrypt", {"KeyId": family.key_id, "Plaintext": plain})]
        checks = [lambda answer: self._encrypted(family, r, plain, answer)]
        materials = [m for m in family.materials if m.blobs]
        if not everything and len(materials) > 4:
            materials = [materials[0], materials[self.marker % len(materials)], materials[-1]]
        for m in materials:
            for _, blob, text in m.blobs if everything else m.blobs[self.marker % len(m.blobs):][:1]:
                questions.append((r, "Decrypt", {"CiphertextBlob": blob}))
                checks.append(lambda answer, m=m, text=text: same(answer, {
                    "KeyId": arn, "Plaintext": text, "EncryptionAlgorithm": "SYMMETRIC_DEFAULT", "KeyMaterialId": m.id}))
        return questions, checks

    @staticmethod
    def _made(family, arn, answer):
        """A MAC is always the same; of a signature only the key is compared."""
        if answer.get("KeyId") != arn:
            raise Differs("KeyId is %r" % answer.get("KeyId"))
        if family.spec == "HMAC_256":
            blobs = family.materials[0].blobs
            if not blobs:
                blobs.append(("", answer["Mac"], ""))
            elif blobs[0][1] != answer["Mac"]:
                raise Differs("the MAC is another one than before")

    def _encrypted(self, family, region, plain, answer):
        current = family.current()
        if answer["KeyId"] != family.arn(region):
            raise Differs("KeyId is %r" % answer["KeyId"])
        if base64.b64decode(answer["CiphertextBlob"])[5:37].hex() != current.id:
            raise Differs("the ciphertext does not name %s" % current.id)
        if len(current.blobs) < 3 and region not in [b[0] for b in current.blobs]:
            current.blobs.append((region, answer["CiphertextBlob"], plain))

    def look_at_lists(self, region, use=True):
        """ListKeys and ListAliases of a Region, and with `use` what every alias leads to."""
        names = self.world.aliases[region]
        used = list(names) if use else []
        _, answers = self.ask([(region, "ListKeys", {"Limit": 1000}), (region, "ListAliases", {"Limit": 100})] +
                                [(region, "DescribeKey", {"KeyId": n}) for n in used])
        for code, text, _ in answers:
            self._agree("a listing", code, text, [None])
        keys, aliases = answers[0][2], answers[1][2]
        expected = sorted(f.key_id for f in self.world.families if region in f.places)
        if keys["Truncated"] or sorted(k["KeyId"] for k in keys["Keys"]) != expected:
            raise Differs("ListKeys in %s shows %r, expected %r" % (region, keys, expected))
        same({a["AliasName"]: a.get("TargetKeyId") for a in aliases["Aliases"]},
             {n: f.key_id for n, f in names.items()})
        same({n: a[2]["KeyMetadata"]["Arn"] for n, a in zip(used, answers[2:])},
             {n: names[n].arn(region) for n in used})

    def look_at_all(self, deep="all"):
        for f in self.world.families:
            if f.places:
                try:
                    self.look(f, sorted(f.places), deep)
                except Differs as e:
                    raise Differs("key %s: %s" % (f.key_id, e)) from None
        for r in REGIONS:
            self.look_at_lists(r)

    def gone(self, family, region):
        """A key whose window has ended: no call finds it, no ciphertext is opened."""
        questions = [(region, "DescribeKey", {"KeyId": family.key_id}),
                     (region, "CancelKeyDeletion", {"KeyId": family.key_id})]
        text = "Key '%s' does not exist" % family.arn(region)
        _, answers = self.ask(questions)
        for code, said, _ in answers:
            self._agree("a key that is gone", code, said, [("NotFoundException", text)])
        blobs = [(region, "Decrypt", {"CiphertextBlob": m.blobs[0][1]}) for m in family.materials
                 if m.blobs and family.symmetric]
        for code, _, _ in self.ask(blobs)[1]:
            if code is None:
                raise Differs("a key that is gone decrypts")

    # --- actions

    def run(self, action):
        """One action and what has to be looked at after it."""
        name, p = action
        now = self.now()
        if any(s.hi > now.lo and s.lo < now.hi + 2000 for f in self.world.families for s in f.times(now)):
            self.move(0)
        getattr(self, "do_" + name)(**p)
        self.calls += 1
        if self.calls % 100 == 0:
            self.look_at_all()

    def _family(self, index, region=None):
        if index >= len(self.world.families):
            raise Skipped
        family = self.world.families[index]
        if not family.places or (region is not None and region not in family.places):
            raise Skipped
        return family

    def do_create(self, region, spec, external, multi):
        p = {"KeySpec": spec, "MultiRegion": multi, "Origin": "EXTERNAL" if external else "AWS_KMS"}
        if spec == "ECC_NIST_P256":
            p["KeyUsage"] = "SIGN_VERIFY"
        elif spec == "HMAC_256":
            p["KeyUsage"] = "GENERATE_VERIFY_MAC"
        made = []

        def expect(now):
            return [None], lambda answer: made.append(self.world.create(region, now, spec, external, multi, answer))

        self.call(region, "CreateKey", p, expect)
        self.look(made[0], [region], deep=True)
        self.look_at_lists(region)

    def _plain(self, operation, key, region, parameters, call):
        """A call on a key that the model has a method for; then the key and its relatives are looked at."""
        family = self._family(key)
        if region not in family.places:
            self.call(region, operation, {"KeyId": family.key_id, **parameters}, lambda now: (
                [("NotFoundException", "Key '%s' does not exist" % family.arn(region))], None))
            return
        self.call(region, operation, {"KeyId": family.key_id, **parameters}, lambda now: call(family, now))
        self.after(family, region)

    def after(self, family, region):
        """What follows from a call by itself, then looks."""
        if self.world.settle(self.now()):
            self.wait_for(lambda: self.look(family, sorted(family.places), deep=False))
        self.look(family, [region], deep=True)
        self.look_at_lists(region, use=False)
        others = [r for r in family.places if r != region]
        if others:
            self.look(family, sorted(others), deep=True)

    def do_enable(self, key, region):
        self._plain("EnableKey", key, region, {}, lambda f, now: f.EnableKey(region, now))

    def do_disable(self, key, region):
        self._plain("DisableKey", key, region, {}, lambda f, now: f.DisableKey(region, now))

    def do_describe(self, key, region, description):
        self._plain("UpdateKeyDescription", key, region, {"Description": description},
                    lambda f, now: f.UpdateKeyDescription(region, now, description))

    def do_schedule(self, key, region, days):
        self._plain("ScheduleKeyDeletion", key, region, {"PendingWindowInDays": days},
                    lambda f, now: f.ScheduleKeyDeletion(region, now, days))

    def do_cancel(self, key, region):
        self._plain("CancelKeyDeletion", key, region, {}, lambda f, now: f.CancelKeyDeletion(region, now))

    def do_rotation_on(self, key, region, days):
        self._plain("EnableKeyRotation", key, region, {} if days is None else {"RotationPeriodInDays": days},
                    lambda f, now: f.EnableKeyRotation(region, now, days))

    def do_rotation_off(self, key, region):
        self._plain("DisableKeyRotation", key, region, {}, lambda f, now: f.DisableKeyRotation(region, now))

    def do_rotate(self, key, region):
        family = self._family(key)
        near = family.next_rotation
        if near is not None and near.lo - self.now().hi < 3600 * 1000:
            raise Skipped  # ConflictException, whose text nobody has recorded
        self._plain("RotateKeyOnDemand", key, region, {}, lambda f, now: f.RotateKeyOnDemand(region, now))

    def do_replicate(self, key, region, to, description):
        more = {} if description is None else {"Description": description}
        self._plain("ReplicateKey", key, region, {"ReplicaRegion": to, **more},
                    lambda f, now: f.ReplicateKey(region, now, to, description))
        if to in REGIONS:
            self.look_at_lists(to)

    def do_promote(self, key, region, to):
        self._plain("UpdatePrimaryRegion", key, region, {"PrimaryRegion": to},
                    lambda f, now: f.UpdatePrimaryRegion(region, now, to))

    def do_delete_material(self, key, region, which):
        """`which`: place in the list of materials, None for no KeyMaterialId, -1 for an unknown one."""
        family = self._family(key)
        identity = None
        if which is not None:
            identity = "0" * 64
            if which >= len(family.materials) or not family.symmetric:
                raise Skipped
            if which >= 0:
                identity = family.materials[which].id
        self._plain("DeleteImportedKeyMaterial", key, region, {} if identity is None else {"KeyMaterialId": identity},
                    lambda f, now: f.DeleteImportedKeyMaterial(region, now, identity))

    # --- imports

    def _material(self, family, number):
        seed = hashlib.sha256(b"%d %d" % (self.world.families.index(family), number)).digest()
        if family.spec != "ECC_NIST_P256":
            return seed
        private = ec.derive_private_key(int.from_bytes(seed, "big") >> 8, ec.SECP256R1())
        return private.private_bytes(serialization.Encoding.DER, serialization.PrivateFormat.PKCS8,
                                     serialization.NoEncryption())

    def _token(self, family, region):
        """A token that is still good, asking for one if need be; None if the state does not allow that."""
        token = self.tokens.get((family, region))
        if token is not None and token.until - self.now().hi > 600 * 1000:
            return token
        p = {"KeyId": family.key_id, "WrappingAlgorithm": "RSAES_OAEP_SHA_256", "WrappingKeySpec": "RSA_2048"}
        made = []

        def effect(answer):
            now = self.now()
            until = Span(now.lo - 60000, now.hi).later(TOKEN_LIFE)
            until.learn(answer["ParametersValidTo"], "ParametersValidTo")
            made.append(Token(answer, until.lo))

        def expect(now):
            state = family.state(region, now)
            allowed = ("Enabled", "Disabled", "PendingImport")
            return ([None] if state in allowed else [family.refusal(region, state)]), effect

        if not self.call(region, "GetParametersForImport", p, expect):
            return None
        self.tokens[family, region] = made[0]
        return made[0]

    def do_import(self, key, region, number, type, life, description, expect):
        """`life`: seconds until ValidTo, None for ever; `expect`: KeyMaterialId as in do_delete_material."""
        family = self._family(key, region)
        if not family.external:
            raise Skipped
        token = self._token(family, region)
        p = {"ImportToken": "AAAA", "EncryptedKeyMaterial": "AAAA"}
        if token is not None:
            p = {"ImportToken": token.token,
                 "EncryptedKeyMaterial": token.wrap(number, self._material(family, number))}
        elif family.state(region, self.now()) == "Updating":
            raise Skipped  # imports go on then, but there is no token to be had
        valid_to = None
        if life is None:
            p["ExpirationModel"] = "KEY_MATERIAL_DOES_NOT_EXPIRE"
        else:
            valid_to = (self.now().lo // 1000 + life) * 1000
            p["ValidTo"] = valid_to // 1000
        identity = None
        if expect is not None:
            if expect >= len(family.materials):
                raise Skipped
            identity = "0" * 64 if expect < 0 or not family.symmetric else family.materials[expect].id
        more = (("ImportType", type), ("KeyMaterialDescription", description), ("KeyMaterialId", identity))
        p.update({n: v for n, v in more if v is not None})
        self._plain("ImportKeyMaterial", key, region, p, lambda f, now: f.ImportKeyMaterial(
            region, now, number, type, valid_to, description, identity))

    # --- aliases

    def _alias(self, operation, region, name, key, call):
        p = {"AliasName": name}
        if key is not None:
            family = self._family(key, region)
            p["TargetKeyId"] = family.key_id
            self.call(region, operation, p, lambda now: call(region, now, name, family))
        else:
            self.call(region, operation, p, lambda now: call(region, now, name))
        self.look_at_lists(region)

    def do_alias(self, region, name, key):
        self._alias("CreateAlias", region, name, key, self.world.CreateAlias)

    def do_alias_update(self, region, name, key):
        self._alias("UpdateAlias", region, name, key, self.world.UpdateAlias)

    def do_alias_delete(self, region, name):
        self._alias("DeleteAlias", region, name, None, self.world.DeleteAlias)

    # --- time

    def do_time(self, seconds):
        """The clock goes forward; then everything is looked at."""
        self.move(seconds)
        self.look_at_all(deep=True)

    def move(self, seconds):
        """Moves the clock; afterwards all that is due has happened, or this raises. No call is made within a moment
        of which the model does not know whether it has passed."""
        before = {(f, r) for f in self.world.families for r in f.places}
        while True:
            self.server.advance(seconds)
            self.advanced += seconds * 1000
            now = self.now()
            near = [s.hi for f in self.world.families for s in f.times(now)
                    if s.hi > now.lo - 50 and s.lo < now.hi + 5000]
            if not near:
                break
            seconds = (max(near) - now.lo) // 1000 + 2
        if self.world.settle(self.now()):
            self.wait_for(lambda: self.look_at_all(deep=False))
        for f, r in before:
            if r not in f.places:
                self.gone(f, r)

    def do_edge(self, key, region, number):
        """To a moment before something happens to a key, and to the moment after it."""
        family = self._family(key, region)
        now = self.now()
        ahead = sorted({s.lo for s in family.times(now) if s.lo > now.hi + 10000})
        if not ahead:
            raise Skipped
        at = ahead[number % len(ahead)]
        self.move(max((at - now.hi) // 1000 - 7, 0))
        self.look(family, sorted(family.places), deep=True)
        now = self.now()
        if at > now.hi:
            left = (at - now.hi) // 1000
            if left > 1:  # nearer than `move` would go
                self.server.advance(left - 1)
                self.advanced += (left - 1) * 1000
                quick = self.now()
                if at - quick.hi > 500:
                    try:
                        self.look(family, [region], deep=False)
                    except Differs:
                        if self.now().hi < at:
                            raise
            self.move(max((at - self.now().lo) // 1000 + 1, 0))
        self.look_at_all(deep=True)

    def wait_for(self, look):
        """A job may take a moment after the clock was moved."""
        deadline = time.monotonic() + self.late
        while True:
            try:
                look()
                return
            except Differs:
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.005)
