"""How much of an upload Studio reads."""

from typing import Any

from django.core.exceptions import RequestDataTooBig
from django.core.files.uploadhandler import FileUploadHandler

LARGEST_BODY = (
    32 * 1024 * 1024
)  # bytes, above what people may attach at a time, so that a little too much is said in words


class Quota(FileUploadHandler):
    """Refuses a form that is far too large before a part of it is read; what becomes of the others is up to the next handler."""

    def handle_raw_input(
        self, input_data: Any, META: Any, content_length: int, boundary: Any, encoding: Any = None
    ) -> None:
        """Raises RequestDataTooBig: HTTP 413."""
        if content_length > LARGEST_BODY:
            raise RequestDataTooBig

    def receive_data_chunk(self, raw_data: bytes, start: int) -> bytes:
        """Passed on."""
        return raw_data

    def file_complete(self, file_size: int) -> None:
        """Another handler has it."""
