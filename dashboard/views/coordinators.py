"""Page."""
from django.http import HttpResponse


def coordinators(request, **kw):
    return HttpResponse('soon')
