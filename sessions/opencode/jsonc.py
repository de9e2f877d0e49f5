"""JSON with comments and trailing commas, as OpenCode's configuration files are written."""

import json
import re
from typing import Any

STRING = r'"(?:\\.|[^"\\])*"'
COMMENT = re.compile(rf"({STRING})|//[^\n]*|/\*.*?\*/", re.DOTALL)
TRAILING_COMMA = re.compile(rf"({STRING})|,(?=\s*[}}\]])", re.DOTALL)


def load_jsonc(text: str) -> Any:
    """The value of a JSONC text; an empty text is an empty object. Raises ValueError."""
    without_comments = COMMENT.sub(lambda match: match[1] or "", text)
    return json.loads(TRAILING_COMMA.sub(lambda match: match[1] or "", without_comments).strip() or "{}")
