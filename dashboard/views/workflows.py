"""Page."""
from django.http import HttpResponse


def workflows(request, **kw):
    return HttpResponse('soon')
