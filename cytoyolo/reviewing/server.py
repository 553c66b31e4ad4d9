"""The server of the page: it answers only this machine, or a trusted network, and only whoever has the token or the
password. Every decision is on the disk before it is answered."""

import asyncio
import json
from collections import OrderedDict
from collections.abc import Awaitable, Callable, MutableMapping
from importlib.resources import files
from typing import Any

import uvicorn
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, Response
from starlette.routing import Route

from cytoyolo import console
from cytoyolo.errors import CytoyoloError, UsageError, as_typed, explain
from cytoyolo.reviewing.access import Access, check_reviewer
from cytoyolo.reviewing.decisions import Refused
from cytoyolo.reviewing.desk import Desk
from cytoyolo.reviewing.gallery import Gallery
from cytoyolo.reviewing.pictures import Shown

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
# The longest body of a request in bytes.
_LONGEST_BODY = 262_144
_TYPES = {"html": "text/html", "css": "text/css", "js": "text/javascript", "svg": "image/svg+xml"}
# No script but the package's own, and nothing from another place.
_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; "
    "form-action 'none'; base-uri 'none'; frame-ancestors 'none'"
)
_HEADERS = {
    "content-security-policy": _POLICY,
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "cache-control": "no-store",
}
_SAFE = ("GET", "HEAD")
# How many answers are kept, in case that a page asks again because the answer was lost.
_REMEMBERED = 256
# Seconds that a wrong password costs. Meanwhile no other password is looked at.
_PENALTY_S = 1.0


class Guard:
    """Refuses requests that other pages send, or that come by another name of this machine; adds headers to answers."""

    def __init__(self, app: Any, access: Access) -> None:
        self._app, self._access = app, access

    async def __call__(self, scope: MutableMapping[str, Any], receive: Receive, send: Send) -> None:
        async def guarded(message: Message) -> None:
            if message["type"] == "http.response.start":
                own = [(name.encode(), value.encode()) for name, value in _HEADERS.items()]
                message["headers"] = [*message.get("headers", []), *own]
            await send(message)

        reason = self._foreign(scope)
        if reason:
            await JSONResponse({"error": reason}, 403)(scope, receive, guarded)
        else:
            await self._app(scope, receive, guarded)

    def _foreign(self, scope: MutableMapping[str, Any]) -> str:
        """Why a request is not answered, or ""."""
        given = {name.decode("latin-1"): value.decode("latin-1") for name, value in scope.get("headers", [])}
        if given.get("host", "") not in self._access.hosts:
            return f"this page is at {self._access.address}, and not at the address of the request."
        if scope["method"] in _SAFE and scope["path"] == "/":
            return ""  # a link or a bookmark leads here; what it shows depends on token and cookie
        if given.get("sec-fetch-site", "same-origin") not in ("same-origin", "none"):
            return "the request comes from another page."
        if scope["method"] in _SAFE:
            return ""
        if given.get("origin") not in {f"http://{host}" for host in self._access.hosts}:
            return "the request comes from another page."
        is_json = given.get("content-type", "").partition(";")[0].strip() == "application/json"
        return "" if is_json else "the request is not JSON."


def application(desk: Desk, access: Access) -> Guard:
    """Make the application of a review."""
    return Guard(Starlette(routes=Pages(desk, access).routes()), access)


def server_of(app: Guard) -> uvicorn.Server:
    """Make what answers requests: `run(sockets=[...])` does so until the program is interrupted."""
    config = uvicorn.Config(
        app, http="h11", ws="none", loop="asyncio", lifespan="off", access_log=False, log_level="error",
        server_header=False, proxy_headers=False, timeout_graceful_shutdown=2,
    )  # fmt: skip
    return uvicorn.Server(config)


class Pages:
    """The answers to requests."""

    def __init__(self, desk: Desk, access: Access) -> None:
        self._desk, self._access = desk, access
        folder = files("cytoyolo.reviewing") / "page"
        self._files = {entry.name: entry.read_bytes() for entry in folder.iterdir() if _type_of(entry.name)}
        self._passwords = asyncio.Lock()
        self._stored: OrderedDict[tuple[str, str, str], Response] = OrderedDict()

    def routes(self) -> list[Route]:
        """All addresses."""
        return [
            Route("/", self._home),
            Route("/login", self._login, methods=["POST"]),
            Route("/static/{name}", self._static),
            Route("/api/overview", self._of(lambda who, _: self._desk.overview(who))),
            Route("/api/places", self._of(self._places)),
            Route("/api/item/{place:int}", self._of(self._item)),
            Route("/api/decide", self._by(self._decide), methods=["POST"]),
            Route("/api/undo", self._by(lambda who, _: self._desk.turn(who, back=True)), methods=["POST"]),
            Route("/api/redo", self._by(lambda who, _: self._desk.turn(who, back=False)), methods=["POST"]),
            Route("/image/{place:int}", self._picture(self._desk.image)),
            Route("/partner/{place:int}/{number:int}", self._picture(self._desk.partner)),
            Route("/crop/{row:int}", self._picture(self._desk.crop)),
            Route("/api/cells", self._of(self._cells)),
        ]

    async def _home(self, request: Request) -> Response:
        """The page. The token of the printed address becomes a cookie, and the page's script takes it out of the
        address."""
        token = request.query_params.get("token")
        if token is not None and self._access.knows_token(token):
            response = self._page("index.html")
            self._set_cookie(response, self._access.begin(self._access.reviewer))
            return response
        if self._reviewer(request) is not None:
            return self._page("index.html")
        return self._page("login.html" if self._access.password else "closed.html", 401)

    async def _login(self, request: Request) -> Response:
        given = await _body(request)
        if isinstance(given, Response):
            return given
        async with self._passwords:
            if not self._access.knows_password(str(given.get("password", ""))):
                await asyncio.sleep(_PENALTY_S)
                return JSONResponse({"error": "this is not the password."}, 403)
        try:
            reviewer = check_reviewer(str(given.get("name", "")))
        except UsageError:
            return JSONResponse({"error": "give your name: 1 to 60 characters, without semicolons."}, 409)
        response = JSONResponse({"reviewer": reviewer})
        self._set_cookie(response, self._access.begin(reviewer))
        return response

    def _set_cookie(self, response: Response, session: str) -> None:
        response.set_cookie(self._access.cookie, session, httponly=True, samesite="strict", path="/")

    def _reviewer(self, request: Request) -> str | None:
        return self._access.sessions.get(request.cookies.get(self._access.cookie, ""))

    def _page(self, name: str, status: int = 200) -> Response:
        return HTMLResponse(self._files[name], status)

    async def _static(self, request: Request) -> Response:
        name = request.path_params["name"]
        if name not in self._files or name.endswith(".html"):
            return JSONResponse({"error": "there is no such file."}, 404)
        return Response(self._files[name], media_type=_type_of(name))

    def _places(self, who: str, request: Request) -> dict[str, Any]:
        return {"places": self._desk.places(who, dict(request.query_params))}

    def _cells(self, who: str, request: Request) -> dict[str, Any]:
        if not isinstance(self._desk, Gallery):
            raise Refused("this is a review of labels, which has no gallery; load the page again.")
        return self._desk.cells(who, request.query_params.get("slide", ""))

    def _decide(self, who: str, given: dict[str, Any]) -> dict[str, Any]:
        """Store a decision. If the page says what it shows then, the answer has that item, which saves a request."""
        answer = self._desk.decide(who, given)
        then, following = given.get("then"), given.get("next")
        if type(then) is not int or not isinstance(following, list) or not 0 <= then < len(self._desk.store.items):
            return answer
        places = [place for place in following if type(place) is int]
        return {**answer, "item": {**self._desk.item(who, then), "ahead": self._desk.prepare(places)}}

    def _item(self, who: str, request: Request) -> dict[str, Any]:
        following = request.query_params.get("next", "")
        places = [int(place) for place in following.split(",")[:8] if place.isdecimal() and len(place) < 10]
        return {**self._desk.item(who, request.path_params["place"]), "ahead": self._desk.prepare(places)}

    def _of(self, answer: Callable[[str, Request], dict[str, Any]]) -> Callable[[Request], Awaitable[Response]]:
        """An endpoint that tells something to a reviewer."""

        async def endpoint(request: Request) -> Response:
            who = self._reviewer(request)
            return _unknown() if who is None else _answered(lambda: answer(who, request))

        return endpoint

    def _by(self, act: Callable[[str, dict[str, Any]], dict[str, Any]]) -> Callable[[Request], Awaitable[Response]]:
        """An endpoint by which a reviewer does something."""

        async def endpoint(request: Request) -> Response:
            who = self._reviewer(request)
            if who is None:
                return _unknown()
            given = await _body(request)
            if isinstance(given, Response):
                return given
            key = (request.url.path, who, str(given.get("key", "")))
            if given.get("key") and key in self._stored:
                return self._stored[key]  # only its answer was lost
            answer = _answered(lambda: act(who, given))
            if answer.status_code == 200:
                self._stored[key] = answer
                while len(self._stored) > _REMEMBERED:
                    self._stored.popitem(last=False)
            return answer

        return endpoint

    def _picture(self, make: Callable[..., Shown]) -> Callable[[Request], Awaitable[Response]]:
        async def endpoint(request: Request) -> Response:
            who = self._reviewer(request)
            if who is None:
                return _unknown()
            try:
                shown = await run_in_threadpool(make, who, **request.path_params)
            except CytoyoloError as error:
                return JSONResponse({"error": as_typed(error.sentence)}, 404)
            if shown.problem:
                return JSONResponse({"error": f"the image {shown.problem}."}, 404)
            return Response(shown.data, media_type=shown.media_type)

        return endpoint


def _type_of(name: str) -> str:
    return _TYPES.get(name.rpartition(".")[2], "")


def _unknown() -> Response:
    return JSONResponse({"error": "this session has ended; open the address that the terminal shows."}, 401)


def _answered(answer: Callable[[], dict[str, Any]]) -> Response:
    """The answer as JSON, or why there is none."""
    try:
        return JSONResponse(answer())
    except Refused as error:
        return JSONResponse({"error": as_typed(error.sentence)}, 409)
    except Exception as error:
        sentence = as_typed(explain(error)[0])
        console.warn(sentence)
        return JSONResponse({"error": sentence}, 500)


async def _body(request: Request) -> dict[str, Any] | Response:
    """The JSON object that a request brings, or the answer that refuses it."""
    body = bytearray()
    async for part in request.stream():
        body += part
        if len(body) > _LONGEST_BODY:
            return JSONResponse({"error": "the request is too long."}, 413)
    try:
        given = json.loads(bytes(body))
    except (ValueError, RecursionError):
        given = None
    return given if isinstance(given, dict) else JSONResponse({"error": "the request is not a JSON object."}, 400)
