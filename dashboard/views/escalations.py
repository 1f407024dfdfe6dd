"""Page."""
from django.http import HttpResponse


def escalations(request, **kw):
    return HttpResponse('soon')
