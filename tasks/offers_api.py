"""The API of the models that there are to choose from."""

from typing import Any

from django.http import HttpRequest
from ninja import Field, Router, Schema

from studio.api import Timestamp, responses
from tasks import offers

models = Router(tags=["Projects"])


class ModelsOut(Schema):
    """`read_at` is null until a server has started with the set-up of now; `message` says then when the list is filled."""

    models: list[str] = Field(description="Each as provider/model.")
    read_at: Timestamp | None
    message: str


@models.get("", response=responses({200: ModelsOut}))
def list_models(request: HttpRequest) -> Any:
    """The models that OpenCode says it has, for `model` and `…_model` of a project. Others may be set too."""
    offer = offers.known()
    read_at = offer.read_at and offer.read_at.isoformat()
    return {"models": offer.models, "read_at": read_at, "message": offer.empty}
