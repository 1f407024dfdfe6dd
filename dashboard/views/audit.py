"""Page."""
from django.http import HttpResponse


def audit(request, **kw):
    return HttpResponse('soon')
