"""The life of keys as the references describe it, for the state-machine test.

Written from recorded-imports (R..), recorded-authz-multiregion (section 6) and kms-behaviour (sections 5, 7, 8, 9)
alone, never from the server's sources: when the two differ, the references say which one is wrong.

What is shared by the Regions of a key lies in Family, what each Region has of its own in Place and Copy. No state is
stored that follows from something else: `Family.state` works it out from the materials, the switches and the time.

Times are milliseconds. `Now` is the interval in which the server's clock was during a call; a Span is a time that only
an interval is known of until an answer has shown it. Whoever drives the model keeps calls away from moments at which
something changes, so that each question has one answer (Straddle says when that failed).

A method named like a call takes its parameters and returns (outcomes, effect): the acceptable outcomes, None for a
success or (code, text) with text None for "has no text" and ANY for one that no reference tells, and what a success
does. There is more than one acceptable outcome only where two refusals apply and nothing tells which one comes first.
"""
import re

DAY = 86400 * 1000
ACCOUNT = "000000000000"
REGIONS = ("eu-central-1", "us-east-1", "us-west-2")
ANY = re.compile("(?s).*")
NEEDED = ("CURRENT", "NON_CURRENT")
USABLE = ("Enabled", "Updating")
DELETING = ("PendingDeletion", "PendingReplicaDeletion")
ON_DEMAND_LIMIT = 25
LATE = 10 * 1000  # that a job may be late, on a busy machine

# spec: usage, name and content of the list of algorithms
SPECS = {
    "SYMMETRIC_DEFAULT": ("ENCRYPT_DECRYPT", "EncryptionAlgorithms", ["SYMMETRIC_DEFAULT"]),
    "HMAC_256": ("GENERATE_VERIFY_MAC", "MacAlgorithms", ["HMAC_SHA_256"]),
    "ECC_NIST_P256": ("SIGN_VERIFY", "SigningAlgorithms", ["ECDSA_SHA_256"]),
}


class Straddle(Exception):
    """Something changed during a call: the driver has to keep away from that."""


class Differs(Exception):
    """The server and the model do not agree."""


class Now:
    __slots__ = ("lo", "hi")

    def __init__(self, lo, hi):
        self.lo, self.hi = lo, hi


class Span:
    """A time that is known to lie in an interval; what an answer says narrows it to one value."""
    __slots__ = ("lo", "hi")

    def __init__(self, lo, hi=None):
        self.lo, self.hi = lo, lo if hi is None else hi

    def later(self, ms):
        return Span(self.lo + ms, self.hi + ms)

    def passed(self, now):
        if now.lo >= self.hi:
            return True
        if now.hi < self.lo:
            return False
        raise Straddle("a time between %d and %d, asked from %d to %d" % (self.lo, self.hi, now.lo, now.hi))

    def learn(self, seconds, what):
        value = round(seconds * 1000)
        if not self.lo <= value <= self.hi:
            raise Differs("%s is %d, expected %s" % (what, value, self))
        self.lo = self.hi = value

    def __repr__(self):
        return "%d" % self.lo if self.lo == self.hi else "%d to %d" % (self.lo, self.hi)


class Copy:
    """A material in one Region."""
    __slots__ = ("present", "valid_to")

    def __init__(self, present, valid_to=None):
        self.present, self.valid_to = present, valid_to


class Material:
    def __init__(self, role, identity=None):
        self.role = role  # CURRENT, NON_CURRENT or pending; what pending is called depends on the Regions
        self.id = identity  # 64 hex digits; None until an answer has shown it
        self.copies = {}  # Region: Copy
        self.description = None
        self.rotated = None  # Span
        self.rotation_type = None
        self.blobs = []  # (Region, ciphertext, plaintext) that tests made under it


class Place:
    """What a key has of its own in one Region."""

    def __init__(self, created, creating=None):
        self.created = created
        self.description = ""
        self.disabled = False
        self.creating = creating  # Span of the end; None: not Creating
        self.updating = None
        self.deleting = None  # one of DELETING
        self.deletion = None  # Span of DeletionDate
        self.window = None


class Family:
    """A key with its replicas; a single-Region key is a family of one."""

    def __init__(self, world, key_id, region, spec, external, multi, created):
        self.world, self.key_id, self.spec, self.external, self.multi = world, key_id, spec, external, multi
        self.symmetric = spec == "SYMMETRIC_DEFAULT"
        self.primary = region
        self.places = {region: Place(created)}
        self.materials = []
        self.rotation_days = None  # rotation is on if it is not None
        self.next_rotation = None  # Span
        self.request = None  # Span: start of an on-demand rotation
        self.completed = 0  # on-demand rotations
        self.ids = {}  # number of an imported material: its id
        if not external:
            self.materials.append(self._generated("CURRENT"))

    def _generated(self, role):
        m = Material(role)
        m.copies = {region: Copy(True) for region in self.places}
        return m

    def arn(self, region):
        return "arn:aws:kms:%s:%s:key/%s" % (region, ACCOUNT, self.key_id)

    # --- what follows from what is kept

    def current(self):
        return next((m for m in self.materials if m.role == "CURRENT"), None)

    def pending(self):
        return next((m for m in self.materials if m.role == "PENDING"), None)

    def _expired(self, m, region, now):
        valid_to = m.copies[region].valid_to
        return valid_to is not None and Span(valid_to).passed(now)

    def lacks(self, region, now):
        """R33: a material that the key needs is missing or expired, or there has never been any."""
        needed = [m for m in self.materials if m.role in NEEDED]
        return not needed or any(not m.copies[region].present or self._expired(m, region, now) for m in needed)

    def state(self, region, now):
        p = self.places[region]
        if p.deleting:
            return p.deleting
        if p.creating is not None and not p.creating.passed(now):
            return "Creating"
        if self.external and self.lacks(region, now):
            return "PendingImport"
        if p.updating is not None and not p.updating.passed(now):
            return "Updating"
        return "Disabled" if p.disabled else "Enabled"

    def everywhere(self, m):
        return all(m.copies[region].present for region in self.places)

    def times(self, now):
        """The moments, as Spans, at which something about this key changes by itself."""
        for region, p in self.places.items():
            if p.deletion is not None:
                yield p.deletion
            for end in (p.creating, p.updating):
                if end is not None and end.hi > now.lo:
                    yield end
            for m in self.materials:
                valid_to = m.copies[region].valid_to
                if valid_to is not None and valid_to > now.lo:
                    yield Span(valid_to)
        yield from self.job_times()

    def job_times(self):
        """Those of them that change materials."""
        if self.request is not None:
            yield self.request.later(self.world.rotation_delay)
        if self.next_rotation is not None:
            yield self.next_rotation

    # --- refusals

    def refusal(self, region, state):
        """What an operation answers whose states do not include this one (kms-behaviour 5.1)."""
        arn = self.arn(region)
        if state == "Disabled":
            return ("DisabledException", "%s is disabled." % arn)
        words = {"PendingDeletion": "pending deletion", "PendingReplicaDeletion": "pending replica deletion",
                 "PendingImport": "pending import", "Creating": "creating", "Updating": "updating"}[state]
        return ("KMSInvalidStateException", "%s is %s." % (arn, words))

    def _state_refusals(self, region, now, allowed):
        state = self.state(region, now)
        return [] if state in allowed else [self.refusal(region, state)]

    def _origin(self, region):
        return ("UnsupportedOperationException", "%s origin is %s which is not valid for this operation."
                % (self.arn(region), "EXTERNAL" if self.external else "AWS_KMS"))

    # --- enabling, disabling, deletion

    def DisableKey(self, region, now):
        refusals = self._state_refusals(region, now, ("Enabled", "Disabled"))
        return refusals or [None], lambda answer: setattr(self.places[region], "disabled", True)

    def EnableKey(self, region, now):
        refusals = self._state_refusals(region, now, ("Enabled", "Disabled"))
        return refusals or [None], lambda answer: setattr(self.places[region], "disabled", False)

    def UpdateKeyDescription(self, region, now, description):
        refusals = self._state_refusals(region, now, ("Enabled", "Disabled", "PendingImport", "Creating", "Updating"))
        return refusals or [None], lambda answer: setattr(self.places[region], "description", description)

    def ScheduleKeyDeletion(self, region, now, days):
        p = self.places[region]
        refusals = self._state_refusals(region, now, ("Enabled", "Disabled", "PendingImport", "Creating"))
        waits = self.multi and region == self.primary and len(self.places) > 1

        def effect(answer):
            expected = {"KeyId": self.arn(region), "PendingWindowInDays": days,
                        "KeyState": "PendingReplicaDeletion" if waits else "PendingDeletion"}
            if not waits:
                p.deletion = Span(now.lo, now.hi).later(days * DAY)
                p.deletion.learn(answer.pop("DeletionDate", 0), "DeletionDate")
            same(answer, expected)
            p.deleting, p.window = expected["KeyState"], days
            p.creating = p.updating = None

        return refusals or [None], effect

    def CancelKeyDeletion(self, region, now):
        p = self.places[region]
        refusals = []
        if p.deleting is None:
            refusals = [("KMSInvalidStateException", "%s is not pending deletion." % self.arn(region))]

        def effect(answer):
            same(answer, {"KeyId": self.arn(region)})
            p.deleting = p.deletion = p.window = None
            p.disabled = True  # unless a material is missing, which `state` sees (R36)

        return refusals or [None], effect

    # --- imported material

    def ImportKeyMaterial(self, region, now, number, type=None, valid_to=None, description=None, expected_id=None):
        """Material `number` of those that the test has for this key, wrapped rightly."""
        outcomes = self._import_parameters(region, type, description, expected_id)
        outcomes += self._state_refusals(region, now, ("Enabled", "Disabled", "PendingImport", "Updating"))
        if outcomes:
            return outcomes, None
        known = self.ids.get(number)
        entry = next((m for m in self.materials if known is not None and m.id == known), None)
        if not self.materials:
            if type == "EXISTING_KEY_MATERIAL" or expected_id is not None:
                return [("IncorrectKeyMaterialException", ANY)], None
        elif type == "NEW_KEY_MATERIAL":
            outcomes = self._new_refusals(region, entry, known)
        elif entry is None or expected_id not in (None, entry.id):
            shown = expected_id or self.current().id
            outcomes = [("IncorrectKeyMaterialException", ANY if not self.symmetric else
                         "Imported key material does not have the expected identifier (%s)." % shown)]
        if outcomes:
            return outcomes, None
        return [None], lambda answer: self._imported(region, now, number, entry, valid_to, description, answer)

    def _import_parameters(self, region, type, description, expected_id):
        """R7 to R10."""
        given = [("importType", type), ("keyMaterialId", expected_id), ("keyMaterialDescription", description)]
        if not self.symmetric:
            return [("ValidationException", "Input parameter %s cannot be used with %s imported keys."
                     % (name, self.spec)) for name, value in given if value is not None]
        refusals = []
        if type == "NEW_KEY_MATERIAL" and expected_id is not None:
            refusals.append(("ValidationException",
                             "Input parameter keyMaterialId cannot be used with NEW_KEY_MATERIAL importType."))
        if region != self.primary and type == "NEW_KEY_MATERIAL":
            refusals.append(("ValidationException", "Input parameter ImportType NEW_KEY_MATERIAL cannot be used on "
                             "replica Multi-Region keys"))
        if region != self.primary and description is not None:
            refusals.append(("ValidationException",
                             "Key material description can only be specified on primary Multi-Region keys"))
        return refusals

    def _new_refusals(self, region, entry, known):
        """R19, R20."""
        if entry is not None:
            return [("IncorrectKeyMaterialException", "Key material (id: %s) being imported as NEW_KEY_MATERIAL is "
                     "already associated with KMS key %s." % (entry.id, self.arn(region)))]
        pending = self.pending()
        if pending is None:
            return []
        return [("KMSInvalidStateException", re.compile(
            r"New key material \(id: %s\) cannot be imported into KMS key %s, because another key material "
            r"\(id: %s\) is pending rotation\." % (known or "[0-9a-f]{64}", re.escape(self.arn(region)), pending.id)))]

    def _imported(self, region, now, number, entry, valid_to, description, answer):
        was = self.state(region, now)
        if entry is None:
            entry = Material("PENDING" if self.materials else "CURRENT")
            entry.copies = {r: Copy(False) for r in self.places}
            self.materials.append(entry)
        entry.copies[region] = Copy(True, valid_to)
        if description is not None:
            entry.description = description
        expected = {"KeyId": self.arn(region)}
        if self.symmetric:
            entry.id = entry.id or self.ids.get(number) or _identity(answer.get("KeyMaterialId"))
            expected["KeyMaterialId"] = entry.id
        else:
            entry.id = entry.id or "the only one of " + self.key_id
        self.ids[number] = entry.id
        same(answer, expected)
        p = self.places[region]
        if entry.role in NEEDED and not self.lacks(region, now):
            p.disabled = False  # R25
            if was == "PendingImport":
                p.updating = None

    def DeleteImportedKeyMaterial(self, region, now, identity=None):
        refusals = self._state_refusals(region, now, ("Enabled", "Disabled", "PendingImport") + DELETING)
        if not self.external:
            state = self.state(region, now)
            return [self._origin(region)] + (refusals if state in ("Creating", "Updating") else []), None
        if refusals:
            return refusals, None
        m = self.current() if identity is None else next((m for m in self.materials if m.id == identity), None)
        if m is None and identity is not None:
            return [("ValidationException", "Key material (id: %s) has never been imported into KMS key %s."
                     % (identity, self.arn(region)))], None

        def effect(answer):
            expected = {"KeyId": self.arn(region)}
            if m is not None and self.symmetric:
                expected["KeyMaterialId"] = m.id
            same(answer, expected)
            if m is None:
                return
            if m.role == "PENDING" and region == self.primary:
                self.materials.remove(m)  # R31, R47
            else:
                m.copies[region] = Copy(False)

        return [None], effect

    # --- rotation

    def _rotation_refusals(self, region, now, operation):
        """What the three rotation calls share; nothing tells which of several reasons comes first."""
        if not self.symmetric:
            return self._rotation_refusals_of_others(region, now, operation)
        refusals = self._state_refusals(region, now, USABLE if operation != "RotateKeyOnDemand" else ("Enabled",))
        if self.external and operation != "RotateKeyOnDemand":
            state = self.state(region, now)
            refusals = [self._origin(region)] + (refusals if state != "PendingImport" else [])
        if region != self.primary:
            refusals.append(self._replica_refusal(region, operation))
        return refusals

    def _replica_refusal(self, region, operation):
        return ("UnsupportedOperationException", "%s is a multi-region replica key which is not valid for %s."
                % (self.arn(region), operation))

    def _rotation_refusals_of_others(self, region, now, operation):
        state = self.state(region, now)
        refusals = []
        if state not in (("Enabled",) if operation == "RotateKeyOnDemand" else USABLE):
            refusals.append(self.refusal(region, state))
            if state != "PendingImport" and region == self.primary and not self.external:
                return refusals
        if region != self.primary:
            refusals.append(self._replica_refusal(region, operation))
        if self.external:
            refusals.append(self._origin(region))
        if operation != "DisableKeyRotation":
            refusals.append(("UnsupportedOperationException", None))
        elif refusals and state in USABLE + ("PendingImport",):
            refusals.append(None)
        return refusals

    def EnableKeyRotation(self, region, now, days=None):
        refusals = self._rotation_refusals(region, now, "EnableKeyRotation")

        def effect(answer):
            if self.rotation_days is None or days not in (None, self.rotation_days):  # R50, R51
                self.rotation_days = days or 365
                self.next_rotation = Span(now.lo, now.hi).later(self.rotation_days * DAY)

        return refusals or [None], effect

    def DisableKeyRotation(self, region, now):
        refusals = self._rotation_refusals(region, now, "DisableKeyRotation")

        def effect(answer):
            self.rotation_days = self.next_rotation = None

        return refusals or [None], effect

    def RotateKeyOnDemand(self, region, now):
        refusals = self._rotation_refusals(region, now, "RotateKeyOnDemand")
        if refusals:
            return refusals, None
        pending = self.pending()
        if self.completed >= ON_DEMAND_LIMIT and self.request is None:
            refusals.append(("LimitExceededException", "The on-demand rotations limit has been reached for the given "
                             "keyId. No more on-demand rotations can be performed for this key: %s"
                             % self.arn(region)))
        if self.external and pending is None:
            refusals.append(("KMSInvalidStateException", "No available key material pending rotation for the key: %s."
                             % self.arn(region)))
        elif self.external and not self.everywhere(pending):
            refusals.append(("KMSInvalidStateException", "Cannot perform key material rotation: Key material has not "
                             "been imported for replicas of the Multi-Region key."))
        if refusals and self.request is not None:
            refusals.append(None)  # a second request while one is in progress: recorded for AWS_KMS only

        def effect(answer):
            same(answer, {"KeyId": self.arn(region)})
            if self.request is None:
                self.request = Span(now.lo, now.hi)

        return refusals or [None], effect

    def _promote(self, m, when, rotation_type):
        self.current().role = "NON_CURRENT"
        m.role, m.rotated, m.rotation_type = "CURRENT", when, rotation_type

    def rotate_by_itself(self, now):
        """Rotations that are due. True if there was one."""
        done = False
        delay = self.world.rotation_delay
        if self.request is not None and (delay == 0 or self.request.later(delay).passed(now)):
            end = self.request.later(delay)
            m = self.pending()
            if not self.external:
                m = self._generated("PENDING")
                self.materials.append(m)
            if m is not None:
                self._promote(m, Span(end.lo, now.hi + (LATE if delay else 0)), "ON_DEMAND")
                self.completed += 1
            self.request = None
            done = True
        if self.next_rotation is not None and self.state(self.primary, now) == "Enabled" and \
                self.next_rotation.passed(now):
            m = self._generated("PENDING")
            self.materials.append(m)
            self._promote(m, Span(self.next_rotation.lo, now.hi + LATE), "AUTOMATIC")
            self.next_rotation = Span(self.next_rotation.lo, now.hi + LATE).later(self.rotation_days * DAY)
            done = True
        return done

    # --- Regions

    def ReplicateKey(self, region, now, to, description=None):
        refusals = self._state_refusals(region, now, ("Enabled",))
        if not self.multi or region != self.primary:
            refusals.append(("UnsupportedOperationException",
                             "%s is not a multi-region primary key." % self.arn(region)))
        if to not in REGIONS:
            refusals.append(("ValidationException", "The replica key Region must be in the same AWS partition as the "
                             "primary key Region." if to.startswith("cn-") else "Region %s is not a valid Region or "
                             "multi-Region keys are not supported in Region %s." % (to, to)))
        elif self.multi and to == self.primary:
            refusals.append(("ValidationException",
                             "%s cannot have a replica because it contains the primary." % to))
        if not refusals and to in self.places:
            refusals.append(("AlreadyExistsException",
                             "You can create only one replica of each primary key in each AWS Region."))

        def effect(answer):
            self._replicated(now, to, description, answer)

        return refusals or [None], effect

    def _replicated(self, now, to, description, answer):
        metadata = answer["ReplicaKeyMetadata"]
        if "ReplicaTags" in answer or metadata["KeyState"] != "Creating" or metadata["Enabled"] \
                or "CurrentKeyMaterialId" in metadata or metadata["Description"] != (description or ""):
            raise Differs("ReplicateKey answered %r" % answer)
        delay = self.world.region_delay
        place = Place(Span(now.lo, now.hi), Span(now.lo, now.hi).later(delay) if delay else None)
        place.description = description or ""
        place.created.learn(metadata["CreationDate"], "CreationDate of the replica")
        self.places[to] = place
        for m in self.materials:
            m.copies[to] = Copy(not self.external)

    def UpdatePrimaryRegion(self, region, now, to):
        allowed = ("Enabled", "Updating")
        refusals = self._state_refusals(region, now, allowed)
        if not self.multi or region != self.primary:
            refusals.append(("KMSInvalidStateException",
                             "%s is not a multi-Region primary key." % self.arn(region)))
            return refusals, None
        if to == region:
            return refusals + [None], lambda answer: None
        if to not in self.places:
            refusals.append(("ValidationException", "%s does not have a replica key in the specified Region."
                             % self.key_id))
            return refusals, None
        if not refusals:
            refusals = self._state_refusals(to, now, ("Enabled",))
            if refusals and self.state(to, now) == "Updating":
                refusals.append(None)  # nothing tells whether the target may be Updating

        def effect(answer):
            same(answer, {})
            self.primary = to
            if self.world.region_delay:
                for r in (region, to):
                    self.places[r].updating = Span(now.lo, now.hi).later(self.world.region_delay)

        return refusals or [None], effect

    def leave_by_itself(self, now):
        """Keys whose window has ended go; returns their Regions. A primary that waited for its replicas begins its
        own window then."""
        left = [r for r, p in self.places.items() if p.deletion is not None and p.deletion.passed(now)]
        last = None
        for region in left:
            last = self.places.pop(region).deletion
            for m in self.materials:
                del m.copies[region]
        primary = self.places.get(self.primary)
        if left and primary is not None and primary.deleting == "PendingReplicaDeletion" and len(self.places) == 1:
            primary.deleting = "PendingDeletion"
            primary.deletion = Span(last.lo, now.hi + LATE).later(primary.window * DAY)
        return left

    # --- what reading calls answer

    def describe(self, region, now):
        """KeyMetadata without its dates but CreationDate; the names of members that no reference tells of."""
        p = self.places[region]
        state = self.state(region, now)
        usage, name, algorithms = SPECS[self.spec]
        d = {"AWSAccountId": ACCOUNT, "KeyId": self.key_id, "Arn": self.arn(region), "Enabled": state == "Enabled",
             "Description": p.description, "KeyUsage": usage, "KeyState": state, "KeyManager": "CUSTOMER",
             "Origin": "EXTERNAL" if self.external else "AWS_KMS", "CustomerMasterKeySpec": self.spec,
             "KeySpec": self.spec, name: algorithms, "MultiRegion": self.multi}
        if state == "PendingReplicaDeletion":
            d["PendingDeletionWindowInDays"] = p.window
        current = self.current()
        if self.symmetric and current is not None and state != "Creating":
            d["CurrentKeyMaterialId"] = current
        if self.external and state != "Creating" and not self.lacks(region, now):
            ends = [m.copies[region].valid_to for m in self.materials
                    if m.role in NEEDED and m.copies[region].valid_to is not None]
            d["ExpirationModel"] = "KEY_MATERIAL_EXPIRES" if ends else "KEY_MATERIAL_DOES_NOT_EXPIRE"
            if ends:
                d["ValidTo"] = min(ends) / 1000
        if self.multi:
            d["MultiRegionConfiguration"] = {
                "MultiRegionKeyType": "PRIMARY" if region == self.primary else "REPLICA",
                "PrimaryKey": {"Arn": self.arn(self.primary), "Region": self.primary},
                "ReplicaKeys": [{"Arn": self.arn(r), "Region": r} for r in sorted(self.places) if r != self.primary]}
        return d

    def check_description(self, region, now, answer):
        p = self.places[region]
        found = dict(answer["KeyMetadata"])
        p.created.learn(found.pop("CreationDate"), "CreationDate")
        if p.deletion is not None:
            p.deletion.learn(found.pop("DeletionDate", 0), "DeletionDate")
        expected = self.describe(region, now)
        self._learn_identity(found, expected, "CurrentKeyMaterialId")
        if expected["KeyState"] == "Creating":  # what ReplicateKey shows of the primary's material: R45
            found.pop("ExpirationModel", None)
            found.pop("ValidTo", None)
        same(found, expected)

    def _learn_identity(self, found, expected, name):
        """Puts the id of a material in the place of the material; learns it from the answer."""
        m = expected.get(name)
        if m is not None:
            if m.id is None:
                identity = _identity(found.get(name))
                if any(identity == other.id for other in self.materials):
                    raise Differs("%s is %s, the id of an older material" % (name, identity))
                m.id = identity
            expected[name] = m.id

    def rotations(self, region):
        """The entries of ListKeyRotations with ALL_KEY_MATERIAL, with materials and Spans in the place of values."""
        entries = []
        for m in self.materials:
            role = m.role
            if role == "PENDING":
                role = "PENDING_ROTATION" if self.everywhere(m) else "PENDING_MULTI_REGION_IMPORT_AND_ROTATION"
            e = {"KeyId": self.arn(region), "KeyMaterialId": m, "KeyMaterialState": role}
            if self.external:
                c = m.copies[region]
                e["ImportState"] = "IMPORTED" if c.present else "PENDING_IMPORT"
                if c.present:
                    e["ExpirationModel"] = "KEY_MATERIAL_DOES_NOT_EXPIRE"
                    if c.valid_to is not None:
                        e["ExpirationModel"], e["ValidTo"] = "KEY_MATERIAL_EXPIRES", c.valid_to / 1000
                if m.description is not None:
                    e["KeyMaterialDescription"] = m.description
            if m.rotated is not None:
                e["RotationType"] = m.rotation_type
            entries.append(e)
        return entries

    def check_rotations(self, region, now, answer):
        found = answer["Rotations"]
        expected = self.rotations(region)
        if answer["Truncated"] or len(found) != len(expected):
            raise Differs("%d materials listed, expected %d: %r" % (len(found), len(expected), found))
        for m, f, e in zip(self.materials, found, expected):
            if m.rotated is not None:
                m.rotated.learn(f.pop("RotationDate", 0), "RotationDate")
            self._learn_identity(f, e, "KeyMaterialId")
            same(f, e)

    def check_status(self, region, now, answer):
        expected = {"KeyId": self.arn(region), "KeyRotationEnabled": False}
        if self.rotation_days is not None and self.state(region, now) != "PendingDeletion":
            expected.update(KeyRotationEnabled=True, RotationPeriodInDays=self.rotation_days)
            self.next_rotation.learn(answer.pop("NextRotationDate", 0), "NextRotationDate")
        if self.request is not None:
            self.request.learn(answer.pop("OnDemandRotationStartDate", 0), "OnDemandRotationStartDate")
        same(answer, expected)


def _identity(text):
    if not isinstance(text, str) or not re.fullmatch("[0-9a-f]{64}", text):
        raise Differs("%r is no KeyMaterialId" % text)
    return text


def same(found, expected):
    if found != expected:
        names = sorted(n for n in set(found) | set(expected) if found.get(n) != expected.get(n))
        raise Differs("; ".join("%s is %r, expected %r" % (n, found.get(n), expected.get(n)) for n in names))


class World:
    """All keys and aliases of one server."""

    def __init__(self, region_delay, rotation_delay):
        self.region_delay, self.rotation_delay = region_delay, rotation_delay  # ms
        self.families = []  # as created; those that are gone have no places
        self.aliases = {r: {} for r in REGIONS}  # Region: name: Family

    def create(self, region, now, spec, external, multi, answer):
        d = answer["KeyMetadata"]
        created = Span(now.lo, now.hi)
        created.learn(d["CreationDate"], "CreationDate")
        family = Family(self, d["KeyId"], region, spec, external, multi, created)
        pattern = "mrk-[0-9a-f]{32}" if multi else "[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}"
        if not re.fullmatch(pattern, family.key_id):
            raise Differs("%r is no key id" % family.key_id)
        family.check_description(region, now, answer)
        self.families.append(family)
        return family

    def settle(self, now):
        """Everything that happens by itself until `now`. Returns what it happened to."""
        touched = set()
        for family in self.families:
            if not family.places:
                continue
            if family.rotate_by_itself(now):
                touched.add(family)
            for region in family.leave_by_itself(now):
                touched.add(family)
                names = [n for n, f in self.aliases[region].items() if f is family]
                for name in names:
                    del self.aliases[region][name]
        return touched

    # --- aliases

    @staticmethod
    def _alias_arn(region, name):
        return "arn:aws:kms:%s:%s:%s" % (region, ACCOUNT, name)

    def CreateAlias(self, region, now, name, family):
        refusals = []
        if family.places[region].deleting:
            refusals.append(family.refusal(region, family.places[region].deleting))
        if name in self.aliases[region]:
            refusals.append(("AlreadyExistsException", "An alias with the name %s already exists"
                             % self._alias_arn(region, name)))
        return refusals or [None], lambda answer: self.aliases[region].__setitem__(name, family)

    def UpdateAlias(self, region, now, name, family):
        refusals = []
        old = self.aliases[region].get(name)
        if family.places[region].deleting:
            refusals.append(family.refusal(region, family.places[region].deleting))
        if old is None:
            refusals.append(("NotFoundException", "Alias %s is not found." % self._alias_arn(region, name)))
        elif old.spec != family.spec:
            refusals.append(("ValidationException", ANY))
        return refusals or [None], lambda answer: self.aliases[region].__setitem__(name, family)

    def DeleteAlias(self, region, now, name):
        refusals = []
        if name not in self.aliases[region]:
            refusals = [("NotFoundException", "Alias %s is not found." % self._alias_arn(region, name))]
        return refusals or [None], lambda answer: self.aliases[region].pop(name)
