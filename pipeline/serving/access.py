"""Access control: refuse every request that does not come from the page itself, before any other code sees it.

A web site that is open in the user's browser can send requests to every address the browser reaches. Browsers state the
origin of a request (`Sec-Fetch-Site`, `Origin`) and the name that was looked up (`Host`, which DNS rebinding cannot
forge). Where a token is needed, it must be present too.
"""

import re
import secrets
import socket
from dataclasses import dataclass
from ipaddress import ip_address

from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from pipeline.runtime.errors import ParamsError

MAX_BODY = 30_000_000  # bytes of the largest request, which is an upload
HEADERS = {
    "Content-Security-Policy": (
        "default-src 'self'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; "
        "object-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    ),
    "Cache-Control": "no-store",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}
"""The browser loads nothing from other hosts and shows them nothing of the page."""
NAME = re.compile(r"(\[[0-9a-f:.]+\]|[0-9a-z._-]+)(:[0-9]{1,5})?", re.ASCII)  # host header in lower case


@dataclass(frozen=True, slots=True)
class Access:
    """ASGI middleware that refuses requests that the page did not make."""

    app: ASGIApp  # handles the accepted requests
    host: str  # address at which the page listens
    token: str | None = None  # token that visitors need; None admits everybody
    cookie: str = "rvernet-page"  # name of the cookie that holds the token

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Refuse a request or pass it on."""
        if scope["type"] == "lifespan":
            await self.app(scope, receive, send)
        if scope["type"] != "http":  # a web socket; the page has none
            return
        request = Request(scope)

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                headers.update(HEADERS)
                if self._brings_token(request):
                    headers.append("Set-Cookie", f"{self.cookie}={self.token}; Path=/; HttpOnly; SameSite=Strict")
            await send(message)

        refusal = self._refusal(request)
        app = self.app if refusal is None else PlainTextResponse(f"{refusal[1]}\n", refusal[0])
        await app(scope, receive, send_with_headers)

    def _refusal(self, request: Request) -> tuple[int, str] | None:
        """Return the HTTP status of a refused request and one line that says what is wrong and what to do."""
        if not self._is_own_name(request.headers):
            return 400, "This page does not answer to that name; open the address that `serve` printed"
        if not _is_own_request(request):
            return 403, "Only the page itself may ask this"
        given = request.cookies.get(self.cookie, "")
        if self.token is not None and not (self._brings_token(request) or _equal(given, self.token)):
            return 401, "Open the address that `serve` printed, with its token"
        length = request.headers.get("content-length", "0")
        if not length.isdecimal() or len(length) > 18 or int(length) > MAX_BODY:  # noqa: PLR2004 - digits
            return 413, f"More than {MAX_BODY // 10**6} MB; shrink the photo"
        return None

    def _is_own_name(self, headers: Headers) -> bool:
        """Tell whether the host name of the request is one of this computer."""
        if self.token is not None and not is_loopback(self.host):
            return True  # under another name a browser does not send the cookie
        names = headers.getlist("host")
        found = NAME.fullmatch(names[0].lower()) if len(names) == 1 else None
        if found is None:
            return False
        name = found[1].strip("[]")
        if is_loopback(self.host):
            return is_loopback(name) or name == self.host.lower()
        own = socket.gethostname().lower()
        return _is_address(name) or name in {"localhost", self.host.lower(), own, f"{own}.local"}

    def _brings_token(self, request: Request) -> bool:
        given = request.query_params.get("token", "")
        return self.token is not None and request.scope["path"] == "/" and _equal(given, self.token)


def listen(host: str, port: int) -> socket.socket:
    """Return a socket that listens at an address; port 0 takes a free one.

    Raises:
        ParamsError: If the port is taken, or the address is not this computer's.
    """
    try:
        family = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0][0]
        return socket.create_server((host, port), family=family)
    except OSError as error:
        raise ParamsError(f"--host {host} --port {port}: {error.strerror or error}; choose another port") from error


def is_loopback(host: str) -> bool:
    """Tell whether an address is reachable from this computer only."""
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _is_own_request(request: Request) -> bool:
    """Tell whether a request comes from the page or opens it; programs other than browsers send no such headers."""
    headers = request.headers
    opened = request.method == "GET" and request.scope["path"] == "/" and headers.get("sec-fetch-mode") == "navigate"
    site = {value.lower() for value in headers.getlist("sec-fetch-site")}
    own = {f"{scheme}://{headers.get('host', '').lower()}" for scheme in ("http", "https")}
    origins = {value.lower() for value in headers.getlist("origin")}
    # Old browsers send only a referrer; the page's own requests have none.
    referrers = set() if request.scope["path"] == "/" else {value.lower() for value in headers.getlist("referer")}
    led = all(value.startswith(tuple(f"{origin}/" for origin in own)) for value in referrers)
    return (opened or site <= {"same-origin", "none"}) and origins <= own and led


def _is_address(name: str) -> bool:
    try:
        ip_address(name)
    except ValueError:
        return False
    return True


def _equal(given: str, expected: str) -> bool:
    return secrets.compare_digest(given.encode("utf-8", "replace"), expected.encode())
