"""Policy documents, read for the reference evaluator: statements, principals, conditions.

Written from recorded-authz-multiregion 5, kms-behaviour 12 and what AWS documents of the policy language; it shares
nothing with the server, and it is slow and plain on purpose.
"""
import base64
import datetime
import functools
import ipaddress
import json
import re
from decimal import Decimal

# What a statement's principals say of a caller: everybody or exactly this one, its role, its account, nothing.
EXACT, ROLE, ACCOUNT, NOBODY = "exact", "role", "account", None
STRENGTH = {EXACT: 3, ROLE: 2, ACCOUNT: 1, NOBODY: 0}


def strongest(bindings):
    return max(bindings, key=lambda b: STRENGTH[b], default=NOBODY)


# --- patterns ---------------------------------------------------------------------------------------------------------

ANY, ONE = object(), object()  # `*` and `?` in a pattern, a tuple; all other elements are UTF-16 units


def units(text):
    raw = text.encode("utf-16-be", "surrogatepass")
    return tuple(raw[i:i + 2] for i in range(0, len(raw), 2))


@functools.lru_cache(None)
def wild(text):
    """A pattern of a policy, without variables."""
    return tuple({b"\0*": ANY, b"\0?": ONE}.get(unit, unit) for unit in units(text))


@functools.lru_cache(1 << 16)
def matches_pattern(pattern, text):
    """Dynamic programming over the pattern: no backtracking to get wrong."""
    there = {0}

    def skip(positions):
        result = set()
        for p in positions:
            while True:
                result.add(p)
                if p >= len(pattern) or pattern[p] is not ANY:
                    break
                p += 1
        return result

    there = skip(there)
    for unit in units(text):
        following = set()
        for p in there:
            if p < len(pattern):
                if pattern[p] is ANY:
                    following.add(p)
                elif pattern[p] is ONE or pattern[p] == unit:
                    following.add(p + 1)
        there = skip(following)
        if not there:
            return False
    return len(pattern) in there


VARIABLE = re.compile(r"\$\{\s*([^},]*?)\s*(?:,\s*'([^']*)'\s*)?\}")


def expand(text, context, wildcards):
    """A value of a policy with its variables replaced, as a tuple of units; None if one has no value. What a variable
    brings is never a wildcard."""
    pattern, at = (), 0
    for found in VARIABLE.finditer(text):
        pattern += wild(text[at:found.start()]) if wildcards else units(text[at:found.start()])
        name, default = found.group(1), found.group(2)
        if name in ("*", "?", "$"):
            value = name
        else:
            value = context.get(name.lower())
            if isinstance(value, (list, tuple)):
                return None  # several values never expand, not even to the default
            if value is None:
                value = default
        if value is None:
            return None
        pattern += units(value)
        at = found.end()
    return pattern + (wild(text[at:]) if wildcards else units(text[at:]))


# --- values -----------------------------------------------------------------------------------------------------------


def number(text):
    return Decimal(text) if re.fullmatch(r"[+-]?\d+(\.\d+)?([eE][+-]?\d+)?", text) else None


DATE = re.compile(r"(\d{4})-(\d\d)-(\d\d)(?:T(\d\d):(\d\d)(?::(\d\d)(\.\d+)?)?(Z|[+-]\d\d:\d\d))?")


def date(text):
    """Seconds since the epoch, from ISO 8601 or a number."""
    if re.fullmatch(r"\d+", text):
        return Decimal(text)
    found = DATE.fullmatch(text)
    if not found:
        return None
    year, month, day, hour, minute, second, fraction, zone = found.groups()
    try:
        moment = datetime.datetime(int(year), int(month), int(day), int(hour or 0), int(minute or 0),
                                   int(second or 0), tzinfo=datetime.timezone.utc)
    except ValueError:
        return None
    seconds = Decimal(int(moment.timestamp())) + Decimal("0" + (fraction or ""))
    if zone and zone != "Z":
        sign = -1 if zone[0] == "+" else 1
        seconds += sign * (int(zone[1:3]) * 3600 + int(zone[4:6]) * 60)
    return seconds


def address(text):
    """An address; leading zeros of an IPv4 octet do not make it octal (recorded 5.2)."""
    if re.fullmatch(r"\d{1,3}(\.\d{1,3}){3}", text):
        text = ".".join(str(int(octet)) for octet in text.split("."))
    try:
        return ipaddress.ip_address(text)
    except ValueError:
        return None


def network(text):
    try:
        return ipaddress.ip_network(text, strict=False)
    except ValueError:
        return None


def arn_parts(text):
    parts = text.split(":", 5)
    return parts if len(parts) == 6 and parts[0] == "arn" else None


# --- operators --------------------------------------------------------------------------------------------------------
# Each takes the document, one value of the policy, one value of the request and the context; True, False, or None when
# the request's value is none that the operator knows (then neither it nor its negation holds, or only the negation).


class Incomparable(Exception):
    """Neither the operator nor its negation holds."""


def string_equals(document, wanted, value, context):
    pattern = expand(wanted, context, False) if document.variables else units(wanted)
    return pattern is not None and pattern == units(value)


def string_equals_ignore_case(document, wanted, value, context):
    pattern = expand(wanted, context, False) if document.variables else units(wanted)
    if pattern is None:
        return False
    return b"".join(pattern).decode("utf-16-be", "surrogatepass").lower() == value.lower()


def string_like(document, wanted, value, context):
    pattern = expand(wanted, context, True) if document.variables else wild(wanted)
    return pattern is not None and matches_pattern(pattern, value)


def compared(read, compare):
    def operator(_document, wanted, value, _context):
        left, right = read(value), read(wanted)
        return left is not None and right is not None and compare(left, right)
    return operator


def boolean(_document, wanted, value, _context):
    return (wanted.lower() == "true") == (value.lower() == "true")


def binary(_document, wanted, value, _context):
    return wanted == value


def in_network(_document, wanted, value, _context):
    if address(value) is None:
        raise Incomparable
    return network(wanted) is not None and address(value) in network(wanted)


def arn_like(document, wanted, value, context):
    parts = arn_parts(value)
    if parts is None:
        raise Incomparable
    wanted_parts = arn_parts(wanted)
    if wanted_parts is None:
        return False
    for pattern, part in zip(wanted_parts, parts):
        pattern = expand(pattern, context, True) if document.variables else wild(pattern)
        if pattern is None or not matches_pattern(pattern, part):
            return False
    return True


OPERATORS = {  # name: (operator, negated)
    "StringEquals": (string_equals, False),
    "StringNotEquals": (string_equals, True),
    "StringEqualsIgnoreCase": (string_equals_ignore_case, False),
    "StringNotEqualsIgnoreCase": (string_equals_ignore_case, True),
    "StringLike": (string_like, False),
    "StringNotLike": (string_like, True),
    "NumericEquals": (compared(number, lambda a, b: a == b), False),
    "NumericNotEquals": (compared(number, lambda a, b: a == b), True),
    "NumericLessThan": (compared(number, lambda a, b: a < b), False),
    "NumericLessThanEquals": (compared(number, lambda a, b: a <= b), False),
    "NumericGreaterThan": (compared(number, lambda a, b: a > b), False),
    "NumericGreaterThanEquals": (compared(number, lambda a, b: a >= b), False),
    "DateEquals": (compared(date, lambda a, b: a == b), False),
    "DateNotEquals": (compared(date, lambda a, b: a == b), True),
    "DateLessThan": (compared(date, lambda a, b: a < b), False),
    "DateLessThanEquals": (compared(date, lambda a, b: a <= b), False),
    "DateGreaterThan": (compared(date, lambda a, b: a > b), False),
    "DateGreaterThanEquals": (compared(date, lambda a, b: a >= b), False),
    "Bool": (boolean, False),
    "BinaryEquals": (binary, False),
    "IpAddress": (in_network, False),
    "NotIpAddress": (in_network, True),
    "ArnEquals": (arn_like, False),
    "ArnLike": (arn_like, False),
    "ArnNotEquals": (arn_like, True),
    "ArnNotLike": (arn_like, True),
}


def as_list(value):
    return value if isinstance(value, list) else [value]


def word(value):
    """A value of a condition: JSON's true and 5 count as "true" and "5"."""
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value)


class Condition:
    """One operator on one key."""

    def __init__(self, document, operator, key, values):
        self.document = document
        self.key = key.lower()
        self.values = [word(v) for v in as_list(values)]
        self.prefix, _, operator = operator.rpartition(":")
        self.if_exists = operator.endswith("IfExists")
        self.name = operator[:-len("IfExists")] if self.if_exists else operator
        if self.prefix not in ("", "ForAllValues", "ForAnyValue"):
            raise ValueError(self.prefix)
        if self.name == "BinaryEquals":
            for value in self.values:
                base64.b64decode(value, validate=True)

    def holds_for(self, value, context):
        operator, negated = OPERATORS[self.name]
        try:
            return any(operator(self.document, w, value, context) for w in self.values) != negated
        except Incomparable:
            return False

    def holds(self, context):
        value = context.get(self.key)
        if self.name == "Null":
            return any((w.lower() == "true") == (value is None) for w in self.values)
        if value is None:
            if self.if_exists or self.prefix == "ForAllValues":
                return True
            return self.prefix == "" and OPERATORS[self.name][1]
        several = isinstance(value, (list, tuple))
        if self.prefix == "":
            return not several and self.holds_for(value, context)
        each = [self.holds_for(v, context) for v in (value if several else [value])]
        return all(each) if self.prefix == "ForAllValues" else any(each)


# --- statements -------------------------------------------------------------------------------------------------------


class Statement:
    def __init__(self, document, source):
        unknown = set(source) - {"Sid", "Effect", "Principal", "NotPrincipal", "Action", "NotAction", "Resource",
                                 "NotResource", "Condition"}
        if unknown or source["Effect"] not in ("Allow", "Deny"):
            raise ValueError(source)
        self.document = document
        self.allows = source["Effect"] == "Allow"
        self.sid = source.get("Sid")
        self.source = source
        self.conditions = [Condition(document, operator, key, values)
                           for operator, keys in source.get("Condition", {}).items()
                           for key, values in keys.items()]

    def _covers(self, name, matches):
        """Action and Resource, and their negations; without either a statement says nothing."""
        if name in self.source:
            return any(matches(v) for v in as_list(self.source[name]))
        if "Not" + name in self.source:
            return not any(matches(v) for v in as_list(self.source["Not" + name]))
        return False

    def applies(self, action, resource, context):
        def resource_matches(text):
            pattern = expand(text, context, True) if self.document.variables else wild(text)
            return pattern is not None and matches_pattern(pattern, resource)

        return (self._covers("Action", lambda a: matches_pattern(wild(a.lower()), action.lower()))
                and self._covers("Resource", resource_matches)
                and all(c.holds(context) for c in self.conditions))

    def binds(self, caller):
        """How the statement's principals name the caller."""
        if "Principal" in self.source:
            return strongest([self._binding(caller, kind, name) for kind, name in self._named("Principal")])
        if "NotPrincipal" not in self.source:
            return NOBODY
        named = [(kind, name) for kind, name in self._named("NotPrincipal")]
        listed = [any(self._is(caller, one, kind, name) for kind, name in named) for one in caller.principals]
        # Whom a denial spares must be listed in every form, account and role included; whom an allowance leaves out
        # is listed in any of them.
        meant = not all(listed) if not self.allows else not any(listed)
        return EXACT if meant else NOBODY

    def _named(self, element):
        principal = self.source[element]
        if principal == "*":
            return [("AWS", "*")]
        return [(kind, name) for kind, names in principal.items() for name in as_list(names)]

    @staticmethod
    def _is(caller, one, kind, name):
        """Does an entry of the element name this one of the caller's principals?"""
        if kind != "AWS":
            return False
        if name == "*":
            return True
        return name == one or (re.fullmatch(r"\d{12}", name) is not None and one == root_arn(name))

    def _binding(self, caller, kind, name):
        if kind != "AWS":
            return NOBODY
        if name == "*":
            return EXACT
        if name in (caller.account, root_arn(caller.account)):
            return EXACT if caller.kind == "root" else ACCOUNT
        if name == caller.session_arn:
            return EXACT
        if name == caller.entity_arn or name == caller.unique_id:
            return ROLE if caller.kind == "role" else EXACT
        return NOBODY


def root_arn(account):
    return "arn:aws:iam::%s:root" % account


class Document:
    """A policy document of any kind."""

    def __init__(self, source):
        source = json.loads(source) if isinstance(source, str) else source
        self.variables = source.get("Version", "2008-10-17") == "2012-10-17"
        self.statements = [Statement(self, s) for s in as_list(source["Statement"])]

    def denies(self, action, resource, context):
        """For documents without principals."""
        return any(not s.allows and s.applies(action, resource, context) for s in self.statements)

    def allows(self, action, resource, context):
        return any(s.allows and s.applies(action, resource, context) for s in self.statements)

    def denies_caller(self, caller, action, resource, context):
        """For documents with principals."""
        return any(not s.allows and s.binds(caller) and s.applies(action, resource, context)
                   for s in self.statements)

    def binding(self, caller, action, resource, context):
        """How the strongest of the allowances that apply names the caller."""
        return strongest([s.binds(caller) for s in self.statements
                          if s.allows and s.applies(action, resource, context)])
