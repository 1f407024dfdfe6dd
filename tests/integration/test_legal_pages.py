# ruff: noqa: E501
"""The pages of the legal review without a browser: forms with their errors, the report, the downloads."""

from __future__ import annotations

import datetime
import json

import msgspec
import pytest
from django.contrib.auth import get_user_model
from django.contrib.auth.models import Group
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client
from django.urls import reverse

from coordination import catalog, files
from coordination import journal as j
from coordination.client import sync
from dashboard.models import AuditEntry, Workflow, WorkflowArchive
from examples.legal_review import documents, extraction, questions, summary, validation
from examples.legal_review.samples import BY_SLUG, SAMPLES, TEXTS
from examples.legal_review.shapes import Document, Kind, PartyAnswer, Review

pytestmark = [pytest.mark.django_db, pytest.mark.once]

START = "/runs/legal-review/"


def person(role: str) -> Client:
    user = get_user_model().objects.create_user(f"some-{role}", password="x")
    user.groups.add(Group.objects.get(name=role))
    client = Client()
    client.force_login(user)
    return client


@pytest.fixture
def operator(config):
    catalog.discover()
    return person("operator")


@pytest.fixture
def viewer(config):
    return person("viewer")


def upload(client: Client, data: bytes, file: str = "contract.pdf", **fields: str):
    return client.post(START, {"file": SimpleUploadedFile(file, data), **fields})


def finished_review(supplied: bool = True) -> str:
    """A finished review as the relay stores it."""
    sample = BY_SLUG["services-agreement"]
    ref = files.put(sample.path.read_bytes(), sample.file, str(sample.format))
    reading = documents.read(sample.path.read_bytes())
    facts, issues = extraction.extract(reading.text), validation.validate(reading.text, "services")
    (question,) = questions.questions(facts, issues)
    facts, said = questions.apply(question, PartyAnswer("Quay <b>House</b> Trust", note="by telephone"), facts)
    kind = Kind("services", 0.97, {"purchase": 0.02})
    review = Review(
        sample.title, 3, 865, "document", kind, facts, questions.settle(issues, question, said.value),
        summary.summarize(reading.text, kind, facts), [said],
    )  # fmt: skip
    now = datetime.datetime.now(datetime.UTC)
    row = Workflow.objects.create(
        id="wlegalpage1",
        type="legal_review",
        state="completed",
        created_at=now,
        updated_at=now,
        finished_at=now,
        duration_ms=900,
    )
    entries = [
        j.Numbered(1, 1_770_000_000_000, j.Escalated("4", "e1", "human_input_requested", question.label)),
        j.Numbered(2, 1_770_000_060_000, j.Decided("4", "e1", "supply", "paula", "d1", b"{}")),
        j.Numbered(3, 1_770_000_061_000, j.Finished("completed")),
    ]
    WorkflowArchive.objects.create(
        workflow=row,
        input=msgspec.json.encode(Document(file=ref)).decode(),
        result=msgspec.json.encode(review).decode(),
        journal=j.encode_archive(entries),
    )
    return row.pk


def test_start_page_offers_every_sample(operator):
    page = operator.get(START).content.decode()
    for sample in SAMPLES:
        assert sample.title in page and reverse("legal_review:sample", args=[sample.slug]) in page
    assert "No reviews yet" in page and 'enctype="multipart/form-data"' in page
    assert "style=" not in page and "onclick=" not in page


def test_strangers_log_in_first(config):
    for path in (START, f"{START}wx/", f"{START}wx/review.json", f"{START}wx/document"):
        assert Client().get(path).status_code == 302


def test_viewers_look_but_do_not_start(viewer):
    page = viewer.get(START).content.decode()
    assert "Start the review" not in page and "Run the sample" not in page
    assert upload(viewer, b"some words").status_code == 403
    assert viewer.post(f"{START}samples/mutual-nda/").status_code == 403
    assert Workflow.objects.count() == 0


@pytest.mark.parametrize(
    ("name", "data", "words"),
    [
        ("empty.pdf", b"", "empty"),
        ("blank.txt", b"  \n ", "empty"),
        ("photo.pdf", b"\xff\xd8\xff" + bytes(90), "picture"),
        ("old.docx", b"\xd0\xcf\x11\xe0" + bytes(90), "old Word document"),
        ("sheet.docx", b"PK\x03\x04" + bytes(90), "ZIP archive"),
        ("broken.pdf", b"%PDF-1.7 nothing", "damaged"),
        ("binary.txt", b"\x00\x01\x02" * 90, "neither a PDF"),
        ("huge.txt", b"a" * (16 * 2**20 + 1), "at most 16 MiB"),
    ],
)
def test_wrong_files_are_refused_beside_the_field(operator, name, data, words):
    answer = upload(operator, data, name)
    assert answer.status_code == 422
    assert words in " ".join(answer.context["form"].errors["file"])
    assert words in answer.content.decode()


def test_encrypted_file_is_refused_beside_the_field(operator):
    answer = upload(operator, BY_SLUG["encrypted-purchase"].path.read_bytes())
    assert answer.status_code == 422
    assert "Save a copy without the password" in answer.content.decode()


def test_neither_and_both(operator):
    assert "Choose a file" in operator.post(START, {}).content.decode()
    both = upload(operator, b"some words of a contract", "a.txt", text="other words")
    assert "Keep one of the two" in both.content.decode()
    assert "other words" in both.content.decode()  # what was typed stays


def test_an_upload_becomes_a_workflow(operator):
    answer = upload(operator, BY_SLUG["mutual-nda"].path.read_bytes(), "../../My NDA.pdf", name="Halden")
    identity = answer.url.rstrip("/").rpartition("/")[2]
    snapshot = sync().get(identity)
    assert snapshot.type == "legal_review" and snapshot.labels == {"source": "console"}
    document = msgspec.convert(snapshot.input, Document)
    assert (document.name, document.file.name) == ("Halden", "My NDA.pdf")
    assert files.read(document.file) == BY_SLUG["mutual-nda"].path.read_bytes()
    assert AuditEntry.objects.get(action="workflow.submit").object_id == identity
    page = operator.get(answer.url).content.decode()
    assert "Halden" in page and "Read the document" in page and "under way" in page


def test_long_text_travels_as_a_file(operator):
    text = (TEXTS / "mutual-nda.txt").read_text() * 20
    answer = operator.post(START, {"text": text, "name": "Long"})
    document = msgspec.convert(sync().get(answer.url.rstrip("/").rpartition("/")[2]).input, Document)
    assert (document.name, document.text) == ("Long", "") and files.read(document.file).decode() == text
    assert "Paste at most 300000" in operator.post(START, {"text": "word " * 70_000}).content.decode()


def test_a_double_click_starts_one_review(operator):
    key = operator.get(START).context["form"]["key"].value()
    first = operator.post(START, {"text": "An agreement between A and B.", "key": str(key)})
    second = operator.post(START, {"text": "An agreement between A and B.", "key": str(key)})
    assert first.status_code == 302 and first.url == second.url


def test_a_sample_starts(operator):
    answer = operator.post(f"{START}samples/encrypted-purchase/")
    assert answer.status_code == 302 and answer.url.startswith(START)
    assert operator.post(f"{START}samples/nothing/").status_code == 404


def test_the_report(operator):
    identity = finished_review()
    page = operator.get(f"{START}{identity}/").content.decode()
    for words in ("Services agreement", "97 % sure", "Brightwater Facility Services, Inc.", "State of Delaware", "24 months",
                  "Must be settled", "Words and figures differ", "ten thousand dollars ($12,000)", "p. 2", "18,400",
                  "Supplied by people", "by telephone", "paula", "Answered by a person", "Download JSON"):  # fmt: skip
        assert words in page, words
    assert "Quay &lt;b&gt;House&lt;/b&gt; Trust" in page and "<b>House" not in page
    assert "style=" not in page


def test_the_list_shows_it(viewer):
    identity = finished_review()
    page = viewer.get(START).content.decode()
    assert f"{START}{identity}/" in page and "1 must be settled" in page and "Services agreement" in page


def test_the_json(viewer):
    answer = viewer.get(f"{START}{finished_review()}/review.json")
    assert (
        answer["Content-Disposition"]
        == 'attachment; filename="services-agreement-for-facility-cleaning-and-maintenance.json"'
    )
    body = json.loads(answer.content)
    assert body["supplied"][0]["by"] == "paula"
    assert body["kind"]["name"] == "services" and body["facts"]["parties"][1]["name"].startswith("Quay")


def test_the_document_comes_as_an_attachment(viewer):
    answer = viewer.get(f"{START}{finished_review()}/document")
    assert answer["Content-Disposition"] == 'attachment; filename="services-agreement.pdf"'
    assert answer["Content-Type"] == "application/octet-stream"
    assert answer.content == BY_SLUG["services-agreement"].path.read_bytes()


def test_other_workflows_have_no_report(viewer):
    now = datetime.datetime.now(datetime.UTC)
    Workflow.objects.create(
        id="wother", type="shipment_update", state="completed", created_at=now, updated_at=now, finished_at=now
    )
    for path in ("wother/", "wother/review.json", "wnothing/", "wnothing/document"):
        assert viewer.get(f"{START}{path}").status_code == 404, path


def test_a_result_of_another_shape_does_not_break_the_page(viewer):
    identity = finished_review()
    WorkflowArchive.objects.filter(pk=identity).update(result='{"name": 5}', input='"odd"')
    assert viewer.get(f"{START}{identity}/").status_code == 200
    assert viewer.get(START).status_code == 200
