"""Secrets are taken out by name and by look, and nothing else is."""

from __future__ import annotations

import datetime as dt
import json
import time
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from coordination import journal as j
from coordination.domain import ErrorInfo, WorkflowSnapshot, WorkflowState
from dashboard.archiving import documents, encode_journal
from dashboard.redaction import REDACTED, is_secret_name, is_suspicious, redact, redact_json, redact_text
from dashboard.rows import at, workflow_values

pytestmark = pytest.mark.once


@pytest.mark.parametrize(
    "name",
    ["password", "Password", "db_password", "dbPassword", "api_key", "apiKey", "API-KEY", "secret", "client_secret",
     "access_token", "refreshToken", "authorization", "private_key", "PIN", "otp", "credentials", "sessionId"],
)  # fmt: skip
def test_names_that_hold_secrets(name: str) -> None:
    assert is_secret_name(name)
    assert redact({name: "something"}) == {name: REDACTED}
    assert REDACTED.encode() in redact_json(json.dumps({"a": [{name: "something"}]}).encode())


@pytest.mark.parametrize(
    "name", ["key", "monkey", "shipping", "passenger", "tokenizer", "author", "pinned", "secretary"]
)
def test_names_that_do_not(name: str) -> None:
    assert not is_secret_name(name)
    assert redact({name: "something"}) == {name: "something"}


@pytest.mark.parametrize(
    "secret",
    ["sk_live_abcdefgh12345678", "ghp_abcdefghijklmnopqrstuvwxyz0123", "AKIAIOSFODNN7EXAMPLE", "xoxb-123456789012-abc",
     "eyJhbGciOiJIUzI1.eyJzdWIiOiIxMjM0.abcDEF", "gang_1a2b3c4d_" + "x" * 40, "AIza" + "a" * 35],
)  # fmt: skip
def test_values_that_look_like_secrets(secret: str) -> None:
    text = f"call failed with {secret} in it"
    assert secret not in redact_text(text)
    assert secret.encode() not in redact_json(json.dumps({"note": text}).encode())


def test_credentials_in_words() -> None:
    assert redact_text("Authorization: Bearer abcdefgh12345") == f"Authorization: Bearer {REDACTED}"
    assert redact_text("postgresql://ann:hunter2@db/x") == f"postgresql://{REDACTED}@db/x"
    assert "MIIE" not in redact_text("-----BEGIN RSA PRIVATE KEY-----\nMIIE\n-----END RSA PRIVATE KEY-----")


def test_escapes_hide_nothing() -> None:
    assert b"hunter2" not in redact_json(b'{"p\\u0061ssword": "hunter2"}')
    assert b"hunter2" not in redact_json(b'{"at": "https:\\/\\/ann:hunter2@db"}')
    assert not is_suspicious(b'{"text": "two\\nlines and a \\"quotation\\" from https://example.org"}')


_TOLD = "call failed with token=hunter2hunter2"


@pytest.mark.parametrize(
    "told",
    [{"input": {"note": _TOLD}}, {"labels": {"password": "hunter2"}}, {"progress": _TOLD},
     {"error": ErrorInfo("E", _TOLD)}, {"input": {"api_key": "hunter2hunter2"}}],
    ids=lambda told: next(iter(told)),
)  # fmt: skip
def test_wherever_a_secret_stands_neither_row_nor_documents_have_it(told: dict[str, Any]) -> None:
    snapshot = WorkflowSnapshot(id="w", type="t", version=1, state=WorkflowState.RUNNING, created_ms=1, **told)
    kept = documents(snapshot, None)
    assert not kept.is_clean
    row = workflow_values(snapshot, at(1) or dt.datetime.now(dt.UTC), is_clean=kept.is_clean)
    assert "hunter2" not in f"{kept} {row}"


def test_what_is_no_json_is_kept_out() -> None:
    assert redact_json(b"{password") == json.dumps(REDACTED).encode()


def test_structs_keep_their_type() -> None:
    error = ErrorInfo("ValueError", "token=abcdef123 is wrong", details={"password": "x"})
    clean = redact(error)
    assert isinstance(clean, ErrorInfo)
    assert (clean.kind, clean.message, clean.details) == (
        "ValueError",
        f"token={REDACTED} is wrong",
        {"password": REDACTED},
    )


def test_a_journal_without_secrets_is_kept_byte_for_byte_and_one_with_them_is_cleaned() -> None:
    plain = [j.Numbered(1, 5, j.Attempt("1", 0, 1, 0, "parse", b"12345678", b'{"carrier":"DHL"}'))]
    assert encode_journal(plain) == j.encode_archive(plain)
    error = ErrorInfo("E", "Bearer abcdefgh12345")
    secret = [*plain, j.Numbered(2, 6, j.Settled("1", 0, 1, "agent", 5, b'{"token":"t0p"}')),
              j.Numbered(3, 7, j.Erred("1", 0, 1, "agent", 5, error))]  # fmt: skip
    kept = encode_journal(secret)
    assert b"t0p" not in kept
    assert b"abcdefgh12345" not in kept
    assert len(j.decode_archive(kept)) == 3


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=20,
)


@given(JSON)
def test_the_quick_look_never_misses_what_the_thorough_one_finds(value: Any) -> None:
    raw = msgspec.json.encode(value)
    if redact(value) != value:
        assert is_suspicious(raw)


@given(JSON)
def test_redacting_twice_changes_nothing_more(value: Any) -> None:
    assert redact(redact(value)) == redact(value)


@pytest.mark.parametrize(
    "hostile",
    [
        "pass" * 60_000,
        "-eyJaaaaaaaaa" * 20_000,
        "eyJaaaaaaaaa.aaaaaaaaa" * 10_000,
        "://a:" * 40_000 + "@",
        "-----BEGIN " * 20_000 + "PRIVATE KEY-----",
        "-----BEGIN " + "PRIVATE KEY " * 20_000 + "private key",
        "password=" + " bearer" * 30_000,
    ],
    ids=lambda text: text[:12],
)
def test_a_text_made_to_hurt_takes_time_in_proportion_to_its_length(hostile: str) -> None:
    began = time.process_time()
    redact_text(hostile)
    assert time.process_time() - began < 5  # tenths of a second; minutes if it grew with the square


def test_what_is_nested_without_end_is_cut_off_and_hides_no_secret() -> None:
    deep: Any = {"password": "hunter2-hunter2"}
    for _ in range(900):
        deep = [deep]
    assert "hunter2" not in str(redact(deep))
    assert b"hunter2" not in redact_json(b"[" * 900 + b'{"password": "hunter2"}' + b"]" * 900)
    cut = redact_json(b'{"token": ' + b"[" * 9_000 + b"]" * 9_000 + b"}")
    assert cut in (b'"[redacted]"', b'{"token":"[redacted]"}')  # how deep JSON is read depends on the Python
    assert redact([[["shallow"]]]) == [[["shallow"]]]
