"""The page as a web application. No request names a file, and none is written: uploads are decoded in memory."""

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from typing import Any

from pydantic import BaseModel, ConfigDict, Field
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Mount, Route
from starlette.types import ASGIApp

from pipeline.runtime.errors import PipelineError
from pipeline.serving.access import MAX_BODY, Access
from pipeline.serving.handlers import PageController, Step, Way
from pipeline.serving.page import DOWNLOADS, STATIC, document, download, pictures, sample_pictures, state, static_files
from pipeline.serving.requests import BYTES, NO_MEMORY, RequestQueue
from pipeline.serving.session import MarkedPhoto, SessionGoneError, SessionStore, explain, load_upload

MAX_PAINTING, MAX_JSON = 8_000_000, 4_000  # largest bodies in bytes of requests other than uploads
MAX_NAME = 200  # characters of a photo's name in a download


class NoDetails(BaseModel):
    """Body of `heat`, and the base of the other bodies: strict, nothing unknown."""

    model_config = ConfigDict(frozen=True, strict=True, extra="forbid", allow_inf_nan=False)


class SampleChoice(NoDetails):
    """Body of `POST /samples`."""

    number: int


class ClickPlace(NoDetails):
    """Body of `click`: position as shares of width and height."""

    way: Way
    x: float = Field(ge=0, le=1)
    y: float = Field(ge=0, le=1)


class FoodsStep(NoDetails):
    """Body of `foods`."""

    step: Step
    number: int = 0  # index of the food to choose or remove


class BoxEdges(NoDetails):
    """Body of `box`: edges in percent of the photo; null for an empty field."""

    left: float | None
    top: float | None
    right: float | None
    bottom: float | None


def make_app(
    controller: PageController,
    host: str,
    *,
    token: str | None = None,
    port: int = 0,
    labelling: Callable[..., ASGIApp] | None = None,
) -> Starlette:
    """Return the page as a web application.

    Args:
        controller: What the page does.
        host: Address at which it listens; on loopback other host names are refused, against DNS rebinding.
        token: What visitors need; None admits everybody.
        port: Part of the cookie's name, since browsers share cookies between ports.
        labelling: Makes a further page, at /label/, for the `queue` of this one, whose models it shares.
    """
    page = _Page(controller, document(controller, labelling=labelling is not None))
    routes = [
        Route("/", page.show),
        *(Route(f"/{name}", page.show_static) for name in STATIC),
        Route("/samples/{number}/image.webp", page.show_sample),
        Route("/samples", page.take_sample, methods=["POST"]),
        Route("/photos", page.take_photo, methods=["POST"]),
        Route("/photos/{name}", page.forget, methods=["DELETE"]),
        Route("/photos/{name}/click", page.click, methods=["POST"]),
        Route("/photos/{name}/box", page.type_box, methods=["POST"]),
        Route("/photos/{name}/painting", page.paint, methods=["POST"]),
        Route("/photos/{name}/heat", page.explain, methods=["POST"]),
        Route("/photos/{name}/foods", page.change, methods=["POST"]),
        Route("/photos/{name}/label-map", page.take_label_map, methods=["POST"]),
        *(Route(f"/photos/{{name}}/{file}", page.download) for file in DOWNLOADS),
        Route("/photos/{name}/{version}/{picture}/image.webp", page.show_picture),
        *([] if labelling is None else [Mount("/label", labelling(queue=page.queue))]),
    ]
    access = Middleware(Access, host=host, token=token, cookie=f"rvernet-page-{port}")
    refusals = {PipelineError: _refuse, MemoryError: _refuse}
    app = Starlette(routes=routes, middleware=[access], exception_handlers=refusals, lifespan=page.sweep)
    app.router.redirect_slashes = False
    return app


def _picture(pictures: Mapping[str, bytes], name: str) -> Response:
    if name not in pictures:
        raise HTTPException(404)
    return Response(pictures[name], media_type="image/webp")


def _refuse(_: Request, error: Exception) -> Response:
    """Return one line for an error that a visitor can act on."""
    if isinstance(error, MemoryError):
        return PlainTextResponse(NO_MEMORY, 503)
    return PlainTextResponse(str(error), 404 if isinstance(error, SessionGoneError) else 422)


class _Page:
    """Endpoints and their shared state."""

    def __init__(self, controller: PageController, html: str) -> None:
        self.controller, self.sessions = controller, SessionStore()
        self.document, self.static, self.samples = html, static_files(), sample_pictures(controller)
        self.queue = RequestQueue()

    @asynccontextmanager
    async def sweep(self, _: Starlette) -> AsyncIterator[None]:
        """Remove expired sessions while the application runs."""

        async def forever() -> None:
            while True:
                await asyncio.sleep(60)
                self.sessions.sweep()

        task = asyncio.create_task(forever())
        yield
        task.cancel()

    async def show(self, _: Request) -> Response:
        return Response(self.document, media_type="text/html")

    async def show_static(self, request: Request) -> Response:
        name = request.scope["path"].removeprefix("/")
        return Response(self.static[name], media_type=STATIC[name])

    async def show_sample(self, request: Request) -> Response:
        return _picture(self.samples, request.path_params["number"])

    async def show_picture(self, request: Request) -> Response:
        return _picture(self.sessions.get(request.path_params["name"]).pictures, request.path_params["picture"])

    async def take_sample(self, request: Request) -> Response:
        choice = await self.queue.json_body(request, SampleChoice, MAX_JSON)
        return JSONResponse(
            await self.queue.run(lambda: self._create_session(self.controller.take_sample(choice.number)))
        )

    async def take_photo(self, request: Request) -> Response:
        async with self.queue.body(request, BYTES, MAX_BODY) as upload:
            return JSONResponse(await self.queue.run(lambda: self._create_session(load_upload(upload))))

    async def forget(self, request: Request) -> Response:
        self.sessions.drop(request.path_params["name"])
        return JSONResponse({})

    async def click(self, request: Request) -> Response:
        to = await self.queue.json_body(request, ClickPlace, MAX_JSON)
        return await self._update_session(request, lambda marked: self.controller.click(marked, to.way, to.x, to.y))

    async def type_box(self, request: Request) -> Response:
        box = await self.queue.json_body(request, BoxEdges, MAX_JSON)
        edges = (box.left, box.top, box.right, box.bottom)
        return await self._update_session(request, lambda marked: self.controller.type_box(marked, edges))

    async def paint(self, request: Request) -> Response:
        async with self.queue.body(request, BYTES, MAX_PAINTING) as painting:
            return await self._update_session(request, lambda marked: self.controller.paint(marked, painting))

    async def change(self, request: Request) -> Response:
        to = await self.queue.json_body(request, FoodsStep, MAX_JSON)
        return await self._update_session(request, lambda marked: self.controller.change(marked, to.step, to.number))

    async def take_label_map(self, request: Request) -> Response:
        async with self.queue.body(request, BYTES, MAX_PAINTING) as upload:
            return await self._update_session(request, lambda marked: self.controller.find_by_label_map(marked, upload))

    async def download(self, request: Request) -> Response:
        marked, file = self.sessions.get(request.path_params["name"]).marked, request.url.path.rpartition("/")[2]
        photo = request.query_params.get("photo", "photo")[:MAX_NAME]  # stands in the file; no file is opened by it
        content = await self.queue.run(lambda: download(self.controller.runs[-1], marked, file, photo))
        return Response(content, headers={"Content-Disposition": f'attachment; filename="{file}"'}, media_type=BYTES)

    async def explain(self, request: Request) -> Response:
        await self.queue.json_body(request, NoDetails, MAX_JSON)
        return await self._update_session(request, explain)

    def _create_session(self, marked: MarkedPhoto) -> dict[str, Any]:
        name = self.sessions.add(marked, pictures(marked))
        return state(name, self.sessions.get(name))

    async def _update_session(self, request: Request, step: Callable[[MarkedPhoto], MarkedPhoto]) -> Response:
        name = request.path_params["name"]
        self.sessions.get(name)  # fail at once if it is gone

        def work() -> dict[str, Any]:
            marked = step(self.sessions.get(name).marked)
            return state(name, self.sessions.update(name, marked, pictures(marked)))

        return JSONResponse(await self.queue.run(work))
