"""Page."""
from django.http import HttpResponse


def escalation(request, **kw):
    return HttpResponse('soon')


def claim(request, **kw):
    return HttpResponse('soon')


def release(request, **kw):
    return HttpResponse('soon')


def resolve(request, **kw):
    return HttpResponse('soon')


def download(request, **kw):
    return HttpResponse('soon')
