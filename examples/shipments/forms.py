"""The three ways to start: upload a file, paste rows, run a sample."""

from __future__ import annotations

from django import forms

from coordination.config import current
from examples.shipments import sample


class UploadForm(forms.Form):
    """A feed as a file."""

    file = forms.FileField(
        label="CSV file",
        help_text="One row a line, each in its carrier's own format; encodings may be mixed.",
        widget=forms.ClearableFileInput(attrs={"accept": ".csv,.txt,.tsv,text/csv,text/plain"}),
        error_messages={"required": "Choose a file first.", "empty": "The file is empty. Choose one with rows."},
    )

    def clean_file(self) -> object:
        """Refuse a file that is too large before it is read."""
        file = self.cleaned_data["file"]
        limit = current().document_bytes
        if file.size > limit:
            raise forms.ValidationError(
                f"The file has {file.size / 1_048_576:.1f} MiB; {limit / 1_048_576:.0f} MiB are allowed. Split it."
            )
        return file


class PasteForm(forms.Form):
    """A feed as text."""

    text = forms.CharField(
        label="Rows",
        strip=False,
        help_text="One row a line. A broken row does not hold up the others.",
        widget=forms.Textarea(attrs={"rows": 8, "class": "mono", "spellcheck": "false", "wrap": "off"}),
        error_messages={"required": "Paste at least one row."},
    )


class SampleForm(forms.Form):
    """A generated feed."""

    rows = forms.IntegerField(label="Rows", min_value=1, max_value=sample.MAX_ROWS, initial=1_000)
    seed = forms.IntegerField(label="Seed", initial=7, required=False, help_text="The same seed gives the same rows.")
