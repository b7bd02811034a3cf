"""Routes that classify images and correct answers."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import IO, Annotated, Any

from fastapi import APIRouter, Query, Request
from pydantic import BaseModel

from teachmesh.data.image_inputs import ImageInput
from teachmesh.errors import DataError
from teachmesh.web import api_examples as examples
from teachmesh.web.form_files import parse_json, sent_files, some_files
from teachmesh.web.http_errors import HttpRefusal
from teachmesh.web.json_answers import JsonAnswer, body_of_files, described
from teachmesh.web.public_errors import with_public_text
from teachmesh.web.web_service import WebService

Task = Annotated[str | None, Query(description="The task, if it is known.", max_length=256)]
Alternatives = Annotated[int, Query(ge=0, le=50, description="Number of runners-up.")]
FalseAlarms = Annotated[
    float, Query(description="Fraction of known images that may be called unknown.")
]


class NamedImages(BaseModel):
    """Request of the command line, whose file names may hold any bytes.

    Attributes:
        names: name of each image, in the order of answers.
        unreadable: reason by position for images that could not be read.
        task: the task, if it is known.
        alternatives: number of runners-up.
        false_alarms: fraction of known images that may be called unknown.
    """

    names: list[str]
    unreadable: dict[int, str] = {}
    task: str | None = None
    alternatives: int = 3
    false_alarms: float = 0.05


def answer_routes(service: WebService) -> APIRouter:
    """Return the routes of one server."""
    router = APIRouter(prefix="/v1", tags=["answers"])

    @router.post(
        "/predict",
        summary="Classify images",
        responses=described(examples.PREDICT, 400, 413, 415, 422, 429),
        openapi_extra=body_of_files("The images, at most 64."),
    )
    async def predict(
        request: Request,
        task: Task = None,
        alternatives: Alternatives = 3,
        false_alarms: FalseAlarms = 0.05,
    ) -> JsonAnswer:
        """Return task, class, probability, author and runners-up of each image.

        Images that cannot be read are listed in `skipped`.
        """
        async with sent_files(request, service.limits) as sent:
            files = some_files(sent)
            answers = await service.workers.run(
                lambda: service.predict(
                    [ImageInput(name, file.read()) for name, file in files],
                    task=task,
                    alternatives=alternatives,
                    false_alarms=false_alarms,
                )
            )
        return JsonAnswer(answers.to_json())

    @router.post("/predict/named", include_in_schema=False)
    async def predict_named(request: Request) -> JsonAnswer:
        async with sent_files(request, service.limits) as sent:
            asked = parse_json(sent.fields.get("document", ""), NamedImages)
            files = [file for _, file in sent.files]
            document = await service.workers.run(lambda: _named(service, asked, files))
        return JsonAnswer(document)

    @router.post(
        "/correct",
        summary="Learn an image as the class that it has",
        responses=described(examples.CORRECT, 400, 401, 413, 415, 422, 429),
        openapi_extra=body_of_files("One image."),
    )
    async def correct(
        request: Request,
        task: Annotated[str, Query(description="A task that this agent learned.")],
        class_name: Annotated[str, Query(alias="class", description="A class of the task.")],
    ) -> JsonAnswer:
        """Add the image to a class; if it was learned as another class, it leaves that first."""
        async with sent_files(request, service.limits) as sent:
            files = some_files(sent)
            if len(files) != 1:
                raise HttpRefusal(400, f"expected one image, got {len(files)}; send one at a time")
            found = await service.workers.run(lambda: _correct(service, files[0], task, class_name))
        return JsonAnswer(found)

    return router


def _named(service: WebService, asked: NamedImages, files: Sequence[IO[bytes]]) -> dict[str, Any]:
    """Return the answers for images of the command line."""
    left = iter(files)
    images = []
    for position, name in enumerate(asked.names):
        reason = asked.unreadable.get(position)
        if reason is not None:
            images.append(ImageInput(name, DataError(reason)))
        elif (file := next(left, None)) is not None:
            images.append(ImageInput(name, file.read()))
        else:
            raise HttpRefusal(400, "expected a file for each name, got fewer; send all files")
    options = asked.model_dump(include={"task", "alternatives", "false_alarms"})
    return service.predict(images, **options).to_json()


def _correct(
    service: WebService, file: tuple[str, IO[bytes]], task: str, class_name: str
) -> dict[str, Any]:
    name, content = file
    with tempfile.TemporaryDirectory(prefix="teachmesh-web-") as folder:
        path = Path(folder) / "image"
        with path.open("wb") as target:
            shutil.copyfileobj(content, target)
        with with_public_text(lambda text: text.replace(str(path), name)):
            found = service.agent.correct(path, task=task, class_name=class_name)
    document = found.to_json()
    service.events.add({"event": "saved", "task": found.task, "skill": found.skill_id})
    return document
