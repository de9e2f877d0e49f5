"""What of the attached files goes into a prompt itself: images. All others the agent reads where they lie."""

import base64
from typing import Any

from tasks.models import Task


def parts(task: Task, text: str) -> list[dict[str, Any]]:
    """A file part for each image that the prompt names by its path; one that is gone meanwhile is left out."""
    named = [each for each in task.attachments.all() if each.goes_to_model and str(each.path) in text]
    found = []
    for each in named:
        try:
            content = base64.b64encode(each.path.read_bytes()).decode()
        except OSError:
            continue
        url = f"data:{each.media_type};base64,{content}"
        found.append({"type": "file", "mime": each.media_type, "filename": each.name, "url": url})
    return found
