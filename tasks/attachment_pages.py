"""Attached files, for people: what they hold, and taking one away."""

from django.contrib.auth.decorators import login_required
from django.http import FileResponse, Http404, HttpRequest, HttpResponseBase
from django.shortcuts import get_object_or_404, redirect
from django.views.decorators.http import require_POST, require_safe

from studio.http import PageRequest
from studio.roles import Role
from tasks.models import Attachment
from tasks.models.attachment import BINARY

SEALED = "default-src 'none'; frame-ancestors 'none'; sandbox"  # what somebody opens runs nothing and loads nothing


@login_required
@require_safe
def attachment(request: PageRequest, pk: int) -> HttpResponseBase:
    """The file: shown where its bytes say that it is an image, else only to be saved."""
    return serve(find(request, pk))


@login_required
@require_POST
def remove_attachment(request: PageRequest, pk: int) -> HttpResponseBase:
    """Take it away."""
    found = find(request, pk)
    found.task.project.require(request.user, Role.MEMBER)
    found.remove(by=request.user)
    return redirect(found.task)


def find(request: HttpRequest, pk: int) -> Attachment:
    """The attachment, or 404 for who may not see it."""
    rows = Attachment.objects.visible_to(request.user).select_related("task__project")
    return get_object_or_404(rows, pk=pk)


def serve(found: Attachment) -> FileResponse:
    """Never as a page or a drawing with scripts in it, whatever a browser makes of the name or the bytes. Raises Http404."""
    try:
        stream = found.path.open("rb")
    except OSError as gone:
        raise Http404 from gone
    kind = found.media_type if found.is_image else BINARY
    return FileResponse(
        stream,
        as_attachment=not found.is_image,
        filename=found.name,
        content_type=kind,
        headers={
            "Content-Security-Policy": SEALED,
            "X-Content-Type-Options": "nosniff",
            "Cache-Control": "private, max-age=3600",
        },
    )
