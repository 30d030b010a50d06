"""Bodies of requests, received within bounds, and work on them in a thread, one request at a time."""

import asyncio
import traceback
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import TypeVar

from anyio import CapacityLimiter, to_thread
from pydantic import BaseModel, ValidationError
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request

from pipeline.runtime.console import note
from pipeline.runtime.errors import PipelineError

MAX_BUFFERED = 240_000_000  # bytes of all bodies that are being received or wait for the models
SECONDS_TO_SEND = 120  # time limit for receiving a body
NO_MEMORY = "Not enough memory; try a smaller photo"
MAX_WAITING = 32  # largest number of requests that wait for the models
BYTES, JSON = "application/octet-stream", "application/json"
"""Media types of requests. Forms of other web sites cannot send them without a preflight request, which is refused."""
BodyT = TypeVar("BodyT", bound=BaseModel)
ResultT = TypeVar("ResultT")


@dataclass(slots=True)
class RequestQueue:
    """The requests of one page; they share models, cores and memory."""

    one: CapacityLimiter = field(default_factory=lambda: CapacityLimiter(1))
    waiting: int = 0  # requests whose work is not done
    buffered: int = 0  # bytes of the bodies at hand

    async def run(self, work: Callable[[], ResultT]) -> ResultT:
        """Run `work` in a thread, one at a time; unexpected errors are printed, and the visitor gets one line."""
        if self.waiting >= MAX_WAITING:
            raise HTTPException(503, "Too many visitors at once; try again in a moment")
        self.waiting += 1
        try:
            return await to_thread.run_sync(work, limiter=self.one)
        except (PipelineError, HTTPException):
            raise
        except MemoryError as error:
            raise HTTPException(503, NO_MEMORY) from error
        except Exception as error:
            note(traceback.format_exc())
            raise HTTPException(500, "The page made a mistake; its terminal says which") from error
        finally:
            self.waiting -= 1

    async def json_body(self, request: Request, model: type[BodyT], most: int, too_long: str = "") -> BodyT:
        """Return the body of a request as `model`; see `body`."""
        try:
            async with self.body(request, JSON, most, too_long) as content:
                return model.model_validate_json(content)
        except ValidationError as error:
            raise HTTPException(422, "This request is not one of the page's own") from error

    @asynccontextmanager
    async def body(self, request: Request, media_type: str, most: int, too_long: str = "") -> AsyncIterator[bytes]:
        """Yield the body of a request; the memory of all bodies together is bounded.

        A body of more than `most` bytes is refused, with `too_long` where it is no photo.

        Raises:
            HTTPException: If the body is of another type, too long, too slow or cut off, or too many are on their way.
        """
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
                            raise HTTPException(413, too_long or f"More than {most:,} bytes; shrink the photo")
                        if self.buffered > MAX_BUFFERED:
                            raise HTTPException(503, "Too many uploads at once; try again in a moment")
            except TimeoutError as error:
                raise HTTPException(408, "The photo took too long to arrive; try again") from error
            except ClientDisconnect as error:
                raise HTTPException(400, "Cut off") from error
            yield bytes(body)
        finally:
            self.buffered -= len(body)
