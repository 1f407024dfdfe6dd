"""The form that starts a review."""

from __future__ import annotations

import uuid
from typing import Any

from django import forms
from django.core.files.uploadedfile import UploadedFile
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from coordination import files
from dashboard.wording import number
from examples.legal_review import documents
from examples.legal_review.shapes import Document

_ACCEPT = ".pdf,.docx,.txt,application/pdf,text/plain"


MOST_PASTED = 300_000  # characters
INLINE = 50_000  # characters that go into the workflow's input itself


class ReviewForm(forms.Form):
    """A contract as a file or as text; says what is wrong beside the field where it is wrong."""

    file = forms.FileField(
        label=gettext_lazy("Contract"),
        required=False,
        help_text=gettext_lazy("PDF, Word (.docx) or plain text, at most 16 MiB."),
        error_messages={"empty": gettext_lazy("The file is empty. Choose one that holds a contract.")},
        widget=forms.FileInput(attrs={"accept": _ACCEPT}),
    )
    text = forms.CharField(
        label=gettext_lazy("Or paste its text"),
        required=False,
        max_length=MOST_PASTED,
        error_messages={
            "max_length": gettext_lazy("Paste at most %(limit_value)d characters, or upload the text as a file.")
        },
        strip=False,
        widget=forms.Textarea(attrs={"rows": 8, "placeholder": "This agreement is made between …"}),
    )
    name = forms.CharField(
        label=gettext_lazy("Name"),
        required=False,
        max_length=200,
        help_text=gettext_lazy("How the report is headed. By default, as the contract."),
    )
    key = forms.UUIDField(required=False, widget=forms.HiddenInput, initial=uuid.uuid4)  # a double click starts one

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self.fields["text"].widget.attrs.pop("maxlength", None)  # browsers would cut what is pasted without a word

    def clean_file(self) -> UploadedFile[Any] | None:
        """Refuse at once what no agent could read."""
        upload: UploadedFile[Any] | None = self.cleaned_data.get("file")
        if upload is None:
            return None
        limit = documents.LIMITS.file_bytes
        if upload.size is not None and upload.size > limit:
            raise forms.ValidationError(
                _("The file has %(size)s MiB; at most %(limit)s MiB are read. Split it.")
                % {"size": number(upload.size / 2**20, 1), "limit": number(limit / 2**20)},
                code="document_too_large",
            )
        try:
            self.media_type = documents.check(upload.read())
        except documents.UnreadableDocument as error:
            raise forms.ValidationError(str(error), code=error.code) from error
        upload.seek(0)
        return upload

    def clean(self) -> dict[str, Any]:
        """Exactly one of file and text."""
        data = super().clean() or {}
        given = [name for name in ("file", "text") if data.get(name) and str(data[name]).strip()]
        if not given and not self.errors:
            self.add_error("file", _("Choose a file, or paste the text below."))
        if len(given) == 2:
            self.add_error("text", _("You chose a file as well. Keep one of the two."))
        return data

    def document(self) -> Document:
        """The workflow's input; an uploaded file is stored and passed by reference.

        Raises:
            BadRequest: The file could not be stored.
        """
        upload: UploadedFile[Any] | None = self.cleaned_data.get("file")
        if upload is None:
            title, text = self.cleaned_data["name"], self.cleaned_data["text"]
            if len(text) <= INLINE:
                return Document(name=title, text=text)
            return Document(name=title, file=files.put(text.encode(), "pasted.txt", "text/plain"))
        name = (upload.name or "document").replace("\\", "/").rpartition("/")[2]
        ref = files.put(upload.read(), name, str(self.media_type))
        return Document(name=self.cleaned_data["name"], file=ref)
