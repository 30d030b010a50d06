"""The labelling page as a web application: one document, one kind of request, and pictures."""

from collections.abc import Callable
from functools import partial
from pathlib import Path

from jinja2 import Environment, PackageLoader, StrictUndefined
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route

from pipeline.evaluation.rejection import percent
from pipeline.labelling.folder import ChangedError
from pipeline.labelling.work import Action, Labeller
from pipeline.runtime.errors import PipelineError
from pipeline.serving.access import Access
from pipeline.serving.requests import RequestQueue, ResultT

STATIC = {"label.js": "text/javascript", "label.css": "text/css"}
MAX_BYTES = 1_000_000  # largest body of a request: a long stroke of the brush
TOO_LONG = "Too long a stroke; lift the brush now and then"


def make_label_app(
    labeller: Labeller,
    host: str | None = None,
    *,
    token: str | None = None,
    port: int = 0,
    queue: RequestQueue | None = None,
) -> Starlette:
    """Return the page; of the files of the disk it shows the photos alone, by number. See `serving.app.make_app`.

    Without a host it is a part of that page, which admits visitors and shares models, and so its `queue`.
    """
    page = _LabelPage(labeller, queue or RequestQueue(), mounted=host is None)
    routes = [
        Route("/", page.show),
        *(Route(f"/{name}", page.show_static) for name in STATIC),
        Route("/act", page.act, methods=["POST"]),
        Route("/photos/{number:int}/{version}/{kind}", page.show_picture),
        Route("/foods/{number:int}/{food:int}/image.webp", page.show_food),
    ]
    cookie = f"rvernet-label-{port}"
    access = [] if host is None else [Middleware(Access, host=host, token=token, cookie=cookie)]
    app = Starlette(routes=routes, middleware=access, exception_handlers={PipelineError: _refuse})
    app.router.redirect_slashes = False
    return app


def _refuse(_: Request, error: Exception) -> Response:
    return PlainTextResponse(str(error), 409 if isinstance(error, ChangedError) else 422)


class _LabelPage:
    """Endpoints."""

    def __init__(self, labeller: Labeller, queue: RequestQueue, *, mounted: bool) -> None:
        self.labeller, self.queue = labeller, queue  # requests share the open photo
        environment = Environment(
            loader=PackageLoader("pipeline.labelling"), autoescape=True, undefined=StrictUndefined
        )
        self.document = environment.get_template("label.html.j2").render(
            labeller=labeller, percent=percent, clicks=labeller.source.name != "grabcut", mounted=mounted
        )
        self.static = {name: (Path(__file__).parent / "static" / name).read_bytes() for name in STATIC}
        self.pictures = {"photo.webp": labeller.picture, "overlay.png": labeller.overlay}

    async def show(self, _: Request) -> Response:
        return Response(self.document, media_type="text/html")

    async def show_static(self, request: Request) -> Response:
        name = request.url.path.rpartition("/")[2]
        return Response(self.static[name], media_type=STATIC[name])

    async def act(self, request: Request) -> Response:
        action = await self.queue.json_body(request, Action, MAX_BYTES, TOO_LONG)
        return JSONResponse(await self._run(partial(self.labeller.act, action)))

    async def show_picture(self, request: Request) -> Response:
        kind = request.path_params["kind"]
        if kind not in self.pictures:
            raise HTTPException(404)
        made = await self._run(partial(self.pictures[kind], request.path_params["number"]))
        return Response(made, media_type=f"image/{kind.rpartition('.')[2]}")

    async def show_food(self, request: Request) -> Response:
        number, food = request.path_params["number"], request.path_params["food"]
        return Response(await self._run(partial(self.labeller.thumbnail, number, food)), media_type="image/webp")

    async def _run(self, work: Callable[[], ResultT]) -> ResultT:
        def stored() -> ResultT:
            try:
                return work()
            except OSError as error:
                raise HTTPException(507, f"{error.filename or 'The folder'}: {error.strerror or error}") from error

        return await self.queue.run(stored)
