"""The page as a web application: the routes that it uses, and no others.

| route | what it does |
|---|---|
| `GET /`, `/page.js`, `/page.css` | the document |
| `GET /samples/N/image.webp`, `POST /samples` | shows a sample; takes it as the photo |
| `POST /photos` | takes the bytes of a photo; answers with its name, which nobody can guess |
| `POST /photos/NAME/click`, `box`, `painting`, `heat` | marks a food, says what it is, shows where the models looked |
| `GET /photos/NAME/VERSION/PICTURE/image.webp` | shows what there is to see of it |
| `DELETE /photos/NAME` | forgets it |

No request names a file, and no file is written: uploads are decoded from memory.
"""

import asyncio
import traceback
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from typing import Any, TypeVar

from anyio import CapacityLimiter, to_thread
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route

from pipeline.runtime.console import note
from pipeline.runtime.errors import PipelineError
from pipeline.serving.access import MAX_BODY, Access
from pipeline.serving.handlers import PageController, Way
from pipeline.serving.page import STATIC, document, pictures, sample_pictures, state, static_files
from pipeline.serving.session import MarkedPhoto, SessionGoneError, SessionStore

MAX_PAINTING, MAX_JSON = 8_000_000, 4_000
"""Bytes of other requests than uploads."""
MAX_BUFFERED = 240_000_000
"""Bytes of requests that are received or wait for the models, of all visitors together."""
SECONDS_TO_SEND = 120
"""Within which the body of a request must have come."""
MAX_WAITING = 32
"""Requests that wait for the models."""
SECONDS_BETWEEN_SWEEPS = 60
BYTES, JSON = "application/octet-stream", "application/json"
"""Media types of requests. A form of another web site can send neither without asking first, which is refused."""
BodyT = TypeVar("BodyT", bound=BaseModel)
Step = Callable[[MarkedPhoto], MarkedPhoto]


class _Body(BaseModel):
    """Body of a request: strict, nothing unknown."""

    model_config = ConfigDict(frozen=True, strict=True, extra="forbid", allow_inf_nan=False)


class SampleChoice(_Body):
    """Body of `POST /samples`."""

    number: int


class ClickPlace(_Body):
    """Body of `click`: a place on the photo, in shares of its width and height."""

    way: Way
    x: float = Field(ge=0, le=1)
    y: float = Field(ge=0, le=1)


class BoxEdges(_Body):
    """Body of `box`: edges in percent of the photo; null where a field is empty."""

    left: float | None
    top: float | None
    right: float | None
    bottom: float | None


class NoDetails(_Body):
    """Body of `heat`."""


def make_app(controller: PageController, host: str, *, token: str | None = None, port: int = 0) -> Starlette:
    """Return the page as a web application.

    Args:
        controller: What answers.
        host: Address it will listen at; a loopback one refuses requests under other names, as DNS rebinding makes them.
        token: What visitors must know; None lets everybody in.
        port: Port it will listen at; a browser keeps one cookie for all ports, so that its name has to differ.
    """
    page = _Page(controller)
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
        Route("/photos/{name}/{version}/{picture}/image.webp", page.show_picture),
    ]
    access = Middleware(Access, host=host, token=token, cookie=f"rvernet-page-{port}")
    refusals = {SessionGoneError: _refuse, PipelineError: _refuse, MemoryError: _refuse}
    app = Starlette(routes=routes, middleware=[access], exception_handlers=refusals, lifespan=page.sweep)
    app.router.redirect_slashes = False
    return app


def _picture(pictures: Mapping[str, bytes], name: str) -> Response:
    if name not in pictures:
        raise HTTPException(404)
    return Response(pictures[name], media_type="image/webp")


def _refuse(_: Request, error: Exception) -> Response:
    """Return what the page says where something is not possible: one line."""
    if isinstance(error, MemoryError):
        return PlainTextResponse("Not enough memory; try a smaller photo", 503)
    return PlainTextResponse(str(error), 404 if isinstance(error, SessionGoneError) else 422)


class _Page:
    """Endpoints, and what they share."""

    def __init__(self, controller: PageController) -> None:
        self.controller, self.sessions = controller, SessionStore()
        self.document, self.static, self.samples = document(controller), static_files(), sample_pictures(controller)
        self.models = CapacityLimiter(1)  # one photo at a time: they share cores and memory
        self.waiting = self.buffered = 0

    @asynccontextmanager
    async def sweep(self, _: Starlette) -> AsyncIterator[None]:
        """Forget old photos while the application runs."""

        async def forever() -> None:
            while True:
                await asyncio.sleep(SECONDS_BETWEEN_SWEEPS)
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
        choice = await self._parsed(request, SampleChoice)
        return await self._work(lambda: self._begin(self.controller.take_sample(choice.number)))

    async def take_photo(self, request: Request) -> Response:
        async with self._received(request, BYTES, MAX_BODY) as upload:
            return await self._work(lambda: self._begin(self.controller.take_photo(upload)))

    async def forget(self, request: Request) -> Response:
        self.sessions.drop(request.path_params["name"])
        return JSONResponse({})

    async def click(self, request: Request) -> Response:
        place = await self._parsed(request, ClickPlace)
        return await self._go_on(request, lambda marked: self.controller.click(marked, place.way, place.x, place.y))

    async def type_box(self, request: Request) -> Response:
        box = await self._parsed(request, BoxEdges)
        edges = (box.left, box.top, box.right, box.bottom)
        return await self._go_on(request, lambda marked: self.controller.type_box(marked, edges))

    async def paint(self, request: Request) -> Response:
        async with self._received(request, BYTES, MAX_PAINTING) as painting:
            return await self._go_on(request, lambda marked: self.controller.paint(marked, painting))

    async def explain(self, request: Request) -> Response:
        await self._parsed(request, NoDetails)
        return await self._go_on(request, self.controller.explain)

    def _begin(self, marked: MarkedPhoto) -> dict[str, Any]:
        name = self.sessions.add(marked, pictures(marked))
        return state(name, self.sessions.get(name))

    async def _go_on(self, request: Request, step: Step) -> Response:
        name = request.path_params["name"]
        self.sessions.get(name)  # what nobody holds need not wait for its turn

        def work() -> dict[str, Any]:
            marked = step(self.sessions.get(name).marked)
            return state(name, self.sessions.update(name, marked, pictures(marked)))

        return await self._work(work)

    async def _work(self, work: Callable[[], dict[str, Any]]) -> Response:
        """Let the models work in a thread of their own; refusals and failures become one line for the visitor."""
        if self.waiting >= MAX_WAITING:
            raise HTTPException(503, "Too many visitors at once; try again in a moment")
        self.waiting += 1
        try:
            return JSONResponse(await to_thread.run_sync(work, limiter=self.models))
        except (PipelineError, MemoryError):
            raise
        except Exception as error:
            note(traceback.format_exc())
            raise HTTPException(500, "The page made a mistake; its terminal says which") from error
        finally:
            self.waiting -= 1

    async def _parsed(self, request: Request, body: type[BodyT]) -> BodyT:
        try:
            async with self._received(request, JSON, MAX_JSON) as content:
                return body.model_validate_json(content)
        except ValidationError as error:
            raise HTTPException(422, "This request is not one of the page's own") from error

    @asynccontextmanager
    async def _received(self, request: Request, media_type: str, most: int) -> AsyncIterator[bytes]:
        """Lend the body of a request for the time of the block, in memory that is bounded for all of them together."""
        if request.headers.get("content-type") != media_type:
            raise HTTPException(415, f"Content-Type must be {media_type}")
        body = bytearray()
        try:
            try:
                async with asyncio.timeout(SECONDS_TO_SEND):
                    async for part in request.stream():
                        self.buffered += len(part)
                        body += part
                        if len(body) > most:
                            raise HTTPException(413, f"More than {most:,} bytes; shrink the photo")
                        if self.buffered > MAX_BUFFERED:
                            raise HTTPException(503, "Too many uploads at once; try again in a moment")
            except TimeoutError as error:
                raise HTTPException(408, "The photo took too long to arrive; try again") from error
            except ClientDisconnect as error:
                raise HTTPException(400, "Cut off") from error
            yield bytes(body)
        finally:
            self.buffered -= len(body)
