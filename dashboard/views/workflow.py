"""Page."""
from django.http import HttpResponse


def workflow(request, **kw):
    return HttpResponse('soon')


def cancel(request, **kw):
    return HttpResponse('soon')


def signal(request, **kw):
    return HttpResponse('soon')


def retry_now(request, **kw):
    return HttpResponse('soon')


def download(request, **kw):
    return HttpResponse('soon')
