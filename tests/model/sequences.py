"""Random actions for Machine. What is asked is mostly possible, so that keys live long and get complicated, and often
enough not, so that refusals are seen in every state."""
from lives import REGIONS

SPECS = ["SYMMETRIC_DEFAULT"] * 8 + ["HMAC_256", "ECC_NIST_P256"]
KEYS = 10  # alive at a time
ALIASES = ["alias/%s" % n for n in "abcdef"]
HOUR = 3600
DAY = 24 * HOUR
OTHER_REGIONS = ["us-invalid-1", "cn-north-1"]


class Generator:
    def __init__(self, random, machine, regions=True):
        """`regions` False: single-Region keys only."""
        self.random, self.machine, self.regions = random, machine, regions
        self.world = machine.world
        self.hot = []  # (family, Region) whose material is imported at present: tokens are costly
        self.left = 0  # imports until others get hot
        weights = {"create": 4, "imports": 26, "delete_material": 8, "rotate": 9, "rotation_on": 3, "rotation_off": 1,
                   "enable": 6, "disable": 4, "describe": 1, "schedule": 3, "cancel": 5, "alias": 2,
                   "alias_update": 1, "alias_delete": 1, "time": 4, "edge": 2}
        if regions:
            weights.update(replicate=7, promote=7)
        self.names, self.weights = list(weights), list(weights.values())

    def next(self):
        """An action, or None if what was drawn is not possible now: draw again."""
        alive = [i for i, f in enumerate(self.world.families) if f.places]
        if len(alive) < 2 or (len(alive) < KEYS and self.random.random() < 0.1):
            return self.create()
        name = self.random.choices(self.names, self.weights)[0]
        if name == "create" and len(alive) >= KEYS:
            name = "schedule"
        return getattr(self, name)(*([] if name in ("create", "time", "alias_delete") else [alive]))

    # --- choosing

    def _key(self, alive, wanted=None, likely=0.8):
        """A key and one of its Regions, mostly one that is `wanted`; now and then a Region where it is not."""
        places = [(i, r) for i in alive for r in sorted(self.world.families[i].places)]
        if wanted is not None and self.random.random() < likely:
            places = [x for x in places if wanted(self.world.families[x[0]], x[1])] or places
        i, r = self.random.choice(places)
        if self.random.random() < 0.01:
            r = self.random.choice(REGIONS)
        return {"key": i, "region": r}

    @staticmethod
    def _primary(f, r):
        return r == f.primary and not f.places[r].deleting

    # --- actions

    def create(self):
        multi = self.regions and self.random.random() < 0.6
        return "create", {"region": self.random.choice(REGIONS), "spec": self.random.choice(SPECS),
                          "external": self.random.random() < 0.6, "multi": multi}

    def enable(self, alive):
        return "enable", self._key(alive, lambda f, r: f.places[r].disabled)

    def disable(self, alive):
        return "disable", self._key(alive)

    def describe(self, alive):
        return "describe", {**self._key(alive), "description": "text %d" % self.random.randrange(100)}

    def schedule(self, alive):
        p = self._key(alive, lambda f, r: len(alive) > KEYS // 2, 0.5)
        return "schedule", {**p, "days": self.random.choice([7, 7, 8, 15, 30])}

    def cancel(self, alive):
        wanted = lambda f, r: f.places[r].deleting is not None  # noqa: E731
        # deletions have to be seen to their end as well
        return "cancel", self._key(alive, wanted, 0.3)

    def rotation_on(self, alive):
        p = self._key(alive, lambda f, r: not f.external and f.symmetric and self._primary(f, r))
        return "rotation_on", {**p, "days": self.random.choice([None, 90, 90, 91, 365, 2560])}

    def rotation_off(self, alive):
        return "rotation_off", self._key(alive, lambda f, r: f.rotation_days is not None)

    def rotate(self, alive):
        def wanted(f, r):
            return f.symmetric and self._primary(f, r) and (not f.external or f.pending() is not None)
        return "rotate", self._key(alive, wanted)

    def replicate(self, alive):
        p = self._key(alive, lambda f, r: f.multi and self._primary(f, r) and len(f.places) < 3, 0.9)
        to = self.random.choice(REGIONS if self.random.random() < 0.97 else OTHER_REGIONS)
        return "replicate", {**p, "to": to, "description": self.random.choice([None, None, "made as a replica"])}

    def promote(self, alive):
        p = self._key(alive, lambda f, r: f.multi and self._primary(f, r) and len(f.places) > 1, 0.9)
        return "promote", {**p, "to": self.random.choice(REGIONS)}

    def delete_material(self, alive):
        p = self._key(alive, lambda f, r: f.external and f.materials, 0.95)
        f = self.world.families[p["key"]]
        which = None
        if f.symmetric and self.random.random() < 0.6:
            which = self.random.randrange(-1, max(len(f.materials), 1))
        return "delete_material", {**p, "which": which}

    def imports(self, alive):
        f, r = self._hot(alive)
        if f is None:
            return None
        random = self.random
        p = {"key": self.world.families.index(f), "region": r, "number": 0, "type": None, "life": None,
             "description": None, "expect": None}
        if random.random() < 0.35:
            p["life"] = random.choice([1000, 2000, 5 * HOUR, 10 * HOUR, 20 * HOUR, 9 * DAY, 364 * DAY]) \
                + random.randrange(600)
        if not f.symmetric:
            p["number"] = int(random.random() < 0.15)
            if random.random() < 0.05:
                p["description"] = "not for these"
            return "import", p
        known = [n for n, identity in f.ids.items() if any(m.id == identity for m in f.materials)]
        fresh = min(set(range(40)) - set(f.ids))
        lacking = [n for n, identity in f.ids.items() if any(
            m.id == identity and not m.copies[r].present for m in f.materials)]
        choice = random.random()
        if lacking and choice < 0.55:
            p["number"] = random.choice(lacking)
        elif known and choice < 0.75:
            p["number"] = random.choice(known)
        elif r == f.primary and f.pending() is None and choice < 0.95:
            p["number"], p["type"] = fresh, "NEW_KEY_MATERIAL"
        else:
            p["number"] = random.choice(list(f.ids) + [fresh])
        if random.random() < 0.1:
            p["type"] = random.choice(["NEW_KEY_MATERIAL", "EXISTING_KEY_MATERIAL"])
        if random.random() < (0.15 if r == f.primary else 0.03):
            p["description"] = "text %d" % random.randrange(100)
        if random.random() < 0.1 and p["type"] != "NEW_KEY_MATERIAL":
            p["expect"] = random.randrange(-1, max(len(f.materials), 1))
        return "import", p

    def _hot(self, alive):
        self.left -= 1
        self.hot = [(f, r) for f, r in self.hot if r in f.places]
        if self.left < 0 or not self.hot:
            external = [self.world.families[i] for i in alive if self.world.families[i].external]
            self.random.shuffle(external)
            external.sort(key=lambda f: -len(f.places))
            self.hot = [(f, r) for f in external[:2] for r in sorted(f.places)]
            self.random.shuffle(self.hot)
            self.hot = self.hot[:5]
            self.left = 100
        missing = [(f, r) for f, r in self.hot if not f.places[r].deleting and any(
            not m.copies[r].present for m in f.materials)]
        if missing and self.random.random() < 0.6:
            return self.random.choice(missing)
        return self.random.choice(self.hot) if self.hot else (None, None)

    def alias(self, alive):
        return "alias", {**self._key(alive), "name": self.random.choice(ALIASES)}

    def alias_update(self, alive):
        return "alias_update", {**self._key(alive), "name": self.random.choice(ALIASES)}

    def alias_delete(self):
        return "alias_delete", {"region": self.random.choice(REGIONS), "name": self.random.choice(ALIASES)}

    def time(self):
        choice = self.random.random()
        if choice < 0.5:
            seconds = self.random.randrange(1, 120)
        elif choice < 0.93:
            seconds = self.random.randrange(120, HOUR)
        elif choice < 0.97:
            seconds = self.random.randrange(DAY, 8 * DAY)
        else:
            seconds = self.random.randrange(8 * DAY, 100 * DAY)
        return "time", {"seconds": self._before_the_second(seconds)}

    def _before_the_second(self, seconds):
        """Cut short so that no key has more than one rotation or deletion behind it at once: the model tells the
        order of what happens by the clock, not the order in which a job finds it."""
        now = self.machine.now()
        for f in self.world.families:
            times = [s.lo for s in f.job_times()] + [p.deletion.lo for p in f.places.values() if p.deletion]
            if f.next_rotation is not None:
                times.append(f.next_rotation.lo + f.rotation_days * DAY * 1000)
            later = sorted((t - now.hi) // 1000 for t in times if t > now.hi)
            if len(later) > 1:
                seconds = min(seconds, max(later[1] - 60, 1))
        return seconds

    def edge(self, alive):
        p = self._key(alive, lambda f, r: self._ahead(f), 0.95)
        ahead = self._ahead(self.world.families[p["key"]])
        number = self.random.randrange(4)
        if not ahead or (ahead[number % len(ahead)] - self.machine.now().hi) > HOUR * 1000 and \
                self.random.random() < 0.9:
            return None  # a far one makes all tokens old
        if ahead[number % len(ahead)] - self.machine.now().hi > self._before_the_second(10000 * DAY) * 1000:
            return None
        return "edge", {**p, "number": number}

    def _ahead(self, f):
        now = self.machine.now()
        return sorted({s.lo for s in f.times(now) if s.lo > now.hi + 10000})


