"""Takes secrets out of values before anything is stored or shown.

By the names of keys (password, token, api_key ...) and by the look of values (bearer headers, known
kinds of keys, private keys, credentials in URLs). What it takes out is replaced by ``REDACTED``;
everything else stays as it is, types included. Values nested deeper than ``DEEPEST`` are cut off there.
Every expression takes time in proportion to the text, whatever the text is made of.
"""

from __future__ import annotations

import functools
import re
from typing import Any, TypeVar, cast

import msgspec

T = TypeVar("T")
REDACTED = "[redacted]"
DEEPEST = 100  # levels of lists and tables
TOO_DEEP = "[nested too deeply]"

_SECRET_KEY = re.compile(
    r"(?:^|[_\-. ])(?:pass(?:word|wd|phrase|code)?|pwd|secrets?|tokens?|credentials?|authorization|cookie"
    r"|otp|pin|cvv|cvc|(?:api|access|private|signing|encryption)[_\- ]?keys?|session[_\- ]?id)$",
    re.IGNORECASE,
)
_CAMEL = re.compile(r"(?<=[a-z0-9])(?=[A-Z])")
_SECRET_VALUE = re.compile(
    r"(?:(?<=bearer )|(?<=basic ))[A-Za-z0-9._~+/\-]{8,}=*"
    r"|\b(?:sk|pk|rk)[-_](?:live|test|proj|ant|or)[-_][A-Za-z0-9_\-]{8,}"
    r"|\bsk-[A-Za-z0-9]{20,}"
    r"|\b(?:ghp|gho|ghu|ghs|ghr)_[A-Za-z0-9]{20,}|\bgithub_pat_[A-Za-z0-9_]{20,}|\bglpat-[A-Za-z0-9_\-]{16,}"
    r"|\bxox[abprs]-[A-Za-z0-9\-]{10,}"
    r"|\b(?:AKIA|ASIA)[0-9A-Z]{16}\b"
    r"|\bAIza[A-Za-z0-9_\-]{35}"
    r"|(?<![A-Za-z0-9_\-])eyJ[A-Za-z0-9_\-]{8,}\.[A-Za-z0-9_\-]{8,}\.[A-Za-z0-9_\-]*"
    r"|\bgang_[A-Za-z0-9]{8}_[A-Za-z0-9_\-]{20,}"
    r"|-----BEGIN [A-Z ]*PRIVATE KEY-----.*?(?:-----END [A-Z ]*PRIVATE KEY-----|\Z)"
    r"|(?<=://)[^/\s:@]*:[^/\s@]+(?=@)"
    r"|(?:(?<=password=)|(?<=passwd=)|(?<=token=)|(?<=secret=)|(?<=api_key=)|(?<=apikey=)|(?<=password: )|(?<=token: ))"
    r"[^\s&;,\"']{4,}",
    re.IGNORECASE | re.DOTALL,
)
# Most text holds none of these; looking for them first keeps the long expression off the hot path.
_HINT = re.compile(
    r"bearer |basic |sk[-_]|pk_|rk_|gh[opsur]_|github_pat|glpat-|xox|akia|asia|aiza|eyj|gang_|private key|://[^/\s]*@"
    r"|pass(?:word|wd)[=:]|token[=:]|secret=|api_?key=",
    re.IGNORECASE,
)


@functools.lru_cache(8_192)
def is_secret_name(name: str) -> bool:
    """Whether a key with this name holds a secret."""
    return _SECRET_KEY.search(_CAMEL.sub("_", name)) is not None


def redact_text(text: str) -> str:
    """The text without what looks like a secret."""
    return _SECRET_VALUE.sub(REDACTED, text) if _HINT.search(text) else text


def _builtin(value: Any, depth: int = 0) -> Any:
    if isinstance(value, str):
        return redact_text(value) if len(value) >= 8 else value
    if depth >= DEEPEST and isinstance(value, dict | list | tuple) and value:
        return TOO_DEEP
    if isinstance(value, dict):
        return {
            key: REDACTED
            if isinstance(key, str)
            and item not in (None, "", [], {})
            and not isinstance(item, bool)
            and is_secret_name(key)
            else _builtin(item, depth + 1)
            for key, item in value.items()
        }
    if isinstance(value, list | tuple):
        return [_builtin(item, depth + 1) for item in value]
    if isinstance(value, msgspec.Struct):
        return _struct(value, depth)
    return value


def _struct(value: msgspec.Struct, depth: int) -> msgspec.Struct:
    changes: dict[str, Any] = {}
    for name in value.__struct_fields__:
        old = getattr(value, name)
        if isinstance(old, str | dict | list | tuple | msgspec.Struct) and old:
            new = tuple(_builtin(item, depth + 1) for item in old) if isinstance(old, tuple) else _builtin(old, depth)
            if new != old:
                changes[name] = new
    return msgspec.structs.replace(value, **changes) if changes else value


def redact(value: T) -> T:
    """The value without secrets, and of the same type: JSON built-ins, structs, and lists of either."""
    return cast(T, _builtin(value))


def hidden(value: Any, place: str = "") -> list[str]:
    """Where in a JSON value something is that would be taken out: ``payment.token``, ``keys[0]``."""
    return _hidden(value, _builtin(value), place)


def _hidden(value: Any, shown: Any, place: str) -> list[str]:
    if value == shown:
        return []
    if isinstance(value, dict) and isinstance(shown, dict):
        inner = [(f"{place}.{key}" if place else str(key), item, shown[key]) for key, item in value.items()]
    elif isinstance(value, list) and isinstance(shown, list):
        inner = [(f"{place}[{number}]", *both) for number, both in enumerate(zip(value, shown, strict=True))]
    else:
        return [place]
    return [found for where, item, seen in inner for found in _hidden(item, seen, where)]


def has_gaps(value: Any) -> bool:
    """Whether something was taken out of this value for showing."""
    raw = msgspec.json.encode(value)
    return REDACTED.encode() in raw or TOO_DEEP.encode() in raw


def restore(value: Any, original: Any) -> Any:
    """A value that was edited as it was shown, with what was taken out for showing put back where it is unchanged."""
    return _restored(value, original, _builtin(original))


def _restored(value: Any, original: Any, shown: Any) -> Any:
    if isinstance(value, str) and value == shown:  # a gap is always a text, whatever it stands for
        return original
    if isinstance(value, dict) and isinstance(original, dict) and isinstance(shown, dict):
        return {
            key: _restored(item, original[key], shown[key]) if key in original and key in shown else item
            for key, item in value.items()
        }
    lists = isinstance(value, list) and isinstance(original, list) and isinstance(shown, list)
    if lists and len(value) == len(original):
        return [_restored(*three) for three in zip(value, original, shown, strict=True)]
    return value


# No document that holds none of these has anything to take out: a quick look instead of decoding. They stand under
# a character that each of them comes with; where there is none of it, there is none of them. An escape hides a
# letter only as \\u, and a slash as \\/.
_TRACES: tuple[tuple[bytes, tuple[bytes, ...]], ...] = (
    (b"", tuple(b"pass secret token credential authorization cookie session bearer basic private".split())),
    (b"", tuple(b"xox akia asia aiza eyj".split())),
    (b'"', tuple(b'pwd" key" keys" otp" pin" cvv" cvc"'.split())),
    (b"_", tuple(b"sk_ pk_ rk_ ghp_ gho_ ghu_ ghs_ ghr_ github_pat gang_".split())),
    (b"-", tuple(b"sk- glpat-".split())),
    (b"=", (b"key=",)),
    (b"@", (b"://",)),
    (b"\\", (b"\\u", b"\\/")),
)


def is_suspicious(raw: bytes) -> bool:
    """Whether a document may hold something to take out; when it does not, decoding it can be spared."""
    lowered = raw.lower()
    for sign, traces in _TRACES:
        if sign in lowered:
            for trace in traces:
                if trace in lowered:
                    return True
    return False


def redact_json(raw: bytes) -> bytes:
    """A JSON document without secrets; one that is no JSON is kept out altogether."""
    if not is_suspicious(raw):
        return raw
    try:
        value = msgspec.json.decode(raw)
    except (msgspec.DecodeError, RecursionError):
        return msgspec.json.encode(REDACTED)
    clean = _builtin(value)
    return raw if clean == value else msgspec.json.encode(clean)
