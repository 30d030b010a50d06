"""Photos that the page holds in memory, each under a name that nobody can guess; bounded in number, bytes and time."""

import secrets
import threading
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import NamedTuple

from pipeline.errors import DatasetError
from pipeline.serving.sitting import Sitting

MOST_SESSIONS = 32
"""Photos that are held at once."""
MOST_BYTES = 600_000_000
"""Memory of all of them: three photos of the largest size, or 32 of an ordinary one."""
SECONDS_KEPT = 3600
"""After which a photo that nobody touched is forgotten."""
NAME_BYTES = 32
"""Random bytes of a name."""


class SessionGoneError(DatasetError):
    """A photo is no longer held, or never was."""


class Session(NamedTuple):
    """One photo of one visitor."""

    sitting: Sitting
    """What was marked and answered."""
    pictures: dict[str, bytes]
    """What the browser shows of it, by name: WebP files."""
    version: int
    """Counts the steps; part of the pictures' addresses, so that a browser shows no old one."""
    used: float
    """Seconds on the monotonic clock when it was last touched."""

    @property
    def nbytes(self) -> int:
        """Bytes of memory, up to small change."""
        mask = 0 if self.sitting.region is None else self.sitting.region.mask.nbytes
        return self.sitting.photo.nbytes + self.sitting.shown.nbytes + mask + sum(map(len, self.pictures.values()))


@dataclass(slots=True)
class SessionStore:
    """All photos of all visitors; safe to use from several threads."""

    clock: Callable[[], float] = time.monotonic
    """Tells seconds."""
    _sessions: OrderedDict[str, Session] = field(default_factory=OrderedDict)
    """By name, the one that waits longest for its visitor first."""
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def add(self, sitting: Sitting, pictures: dict[str, bytes]) -> str:
        """Hold a new photo; forget the oldest ones where there are too many. Return its name."""
        name = secrets.token_urlsafe(NAME_BYTES)
        with self._lock:
            self._sessions[name] = Session(sitting, pictures, 0, self.clock())
            self._make_room()
        return name

    def get(self, name: str) -> Session:
        """Return a photo, which then counts as the newest.

        Raises:
            SessionGoneError: If it is not held.
        """
        with self._lock:
            session = self._sessions.pop(name, None)
            if session is None:
                raise SessionGoneError("This photo is no longer here; choose it again")
            self._sessions[name] = session._replace(used=self.clock())
            return self._sessions[name]

    def update(self, name: str, sitting: Sitting, pictures: dict[str, bytes]) -> Session:
        """Replace a photo's state by the next one.

        Raises:
            SessionGoneError: If it is not held.
        """
        version = self.get(name).version + 1
        with self._lock:
            session = Session(sitting, pictures, version, self.clock())
            if name in self._sessions:
                self._sessions[name] = session
                self._make_room()
            return session

    def drop(self, name: str) -> None:
        """Forget a photo, if it is held."""
        with self._lock:
            self._sessions.pop(name, None)

    def sweep(self) -> None:
        """Forget the photos that nobody touched for `SECONDS_KEPT`."""
        with self._lock:
            latest = self.clock() - SECONDS_KEPT
            for name in [name for name, session in self._sessions.items() if session.used < latest]:
                del self._sessions[name]

    def __len__(self) -> int:
        """Return how many photos are held."""
        return len(self._sessions)

    def _make_room(self) -> None:
        """Forget the oldest until all bounds hold; the newest always stays."""
        held = sum(session.nbytes for session in self._sessions.values())
        while len(self._sessions) > 1 and (len(self._sessions) > MOST_SESSIONS or held > MOST_BYTES):
            _, oldest = self._sessions.popitem(last=False)
            held -= oldest.nbytes
