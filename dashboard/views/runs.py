"""Page."""
from django.http import HttpResponse


def runs(request, **kw):
    return HttpResponse('soon')
