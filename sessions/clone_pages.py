"""A project by its repository's address, for people: the form, the progress, and what went wrong."""

from django.contrib.auth.decorators import login_required, user_passes_test
from django.http import HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.views.decorators.http import require_POST, require_safe

from sessions.clone_form import CloneForm
from sessions.models import Clone
from studio.http import PageRequest

staff_only = user_passes_test(
    lambda user: user.is_staff, login_url="tasks:projects", redirect_field_name=None
)


@login_required
@staff_only
def new_clone(request: PageRequest) -> HttpResponse:
    """Add a project by its repository's address: for staff, as those of a folder."""
    form = CloneForm(request.POST or None)
    if request.method == "POST" and form.is_valid():
        return redirect("sessions:clone", Clone.ask(by=request.user, **form.cleaned_data).pk)
    context = {"form": form, "clones": Clone.objects.visible_to(request.user).exclude(state="done")[:10]}
    return render(request, "sessions/new_clone.html", context, status=422 if form.is_bound else 200)


@login_required
@require_safe
def clone(request: PageRequest, pk: int) -> HttpResponse:
    """How far it is; once it is done, the project's board."""
    found = _clone(request, pk)
    if found.project is None:
        template = "sessions/_clone.html" if request.htmx else "sessions/clone.html"
        return render(request, template, {"clone": found})
    board = redirect("tasks:board", found.project.key)
    return HttpResponse(headers={"HX-Redirect": board.url}) if request.htmx else board


@login_required
@require_POST
def cancel_clone(request: PageRequest, pk: int) -> HttpResponse:
    """Stop it."""
    _clone(request, pk).cancel()
    return redirect("sessions:clone", pk)


@login_required
@require_POST
def retry_clone(request: PageRequest, pk: int) -> HttpResponse:
    """Begin it again."""
    _clone(request, pk).retry()
    return redirect("sessions:clone", pk)


def _clone(request: PageRequest, pk: int) -> Clone:
    found: Clone = get_object_or_404(Clone.objects.visible_to(request.user).select_related("project"), pk=pk)
    return found
