"""Page."""
from django.http import HttpResponse


def agents(request, **kw):
    return HttpResponse('soon')


def pause(request, **kw):
    return HttpResponse('soon')


def resume(request, **kw):
    return HttpResponse('soon')


def test_call(request, **kw):
    return HttpResponse('soon')


def register_remote(request, **kw):
    return HttpResponse('soon')


def remove_remote(request, **kw):
    return HttpResponse('soon')


def agent(request, **kw):
    return HttpResponse('soon')


def drain(request, **kw):
    return HttpResponse('soon')


def undrain(request, **kw):
    return HttpResponse('soon')
