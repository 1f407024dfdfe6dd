"""The three ways to start: upload a file, paste rows, run a sample."""

from __future__ import annotations

from django import forms
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from coordination.config import current
from dashboard.wording import number
from examples.shipments import sample


class UploadForm(forms.Form):
    """A feed as a file."""

    file = forms.FileField(
        label=gettext_lazy("CSV file"),
        help_text=gettext_lazy("One row a line, each in its carrier's own format; encodings may be mixed."),
        widget=forms.ClearableFileInput(attrs={"accept": ".csv,.txt,.tsv,text/csv,text/plain"}),
        error_messages={
            "required": gettext_lazy("Choose a file first."),
            "empty": gettext_lazy("The file is empty. Choose one with rows."),
        },
    )

    def clean_file(self) -> object:
        """Refuse a file that is too large before it is read."""
        file = self.cleaned_data["file"]
        limit = current().document_bytes
        if file.size > limit:
            raise forms.ValidationError(
                _("The file has %(size)s MiB; %(limit)s MiB are allowed. Split it.")
                % {"size": number(file.size / 1_048_576, 1), "limit": number(limit / 1_048_576)}
            )
        return file


class PasteForm(forms.Form):
    """A feed as text."""

    text = forms.CharField(
        label=gettext_lazy("Rows"),
        strip=False,
        help_text=gettext_lazy("One row a line. A broken row does not hold up the others."),
        widget=forms.Textarea(attrs={"rows": 8, "class": "mono", "spellcheck": "false", "wrap": "off"}),
        error_messages={"required": gettext_lazy("Paste at least one row.")},
    )


class SampleForm(forms.Form):
    """A generated feed."""

    rows = forms.IntegerField(label=gettext_lazy("Rows"), min_value=1, max_value=sample.MAX_ROWS, initial=1_000)
    seed = forms.IntegerField(
        label=gettext_lazy("Seed"),
        initial=7,
        required=False,
        help_text=gettext_lazy("The same seed gives the same rows."),
    )
