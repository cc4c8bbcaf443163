"""A client of a paxosd cluster, and a kit for applications that a cluster runs. Standard library only, Python 3.8+.

    with Client("7001,7002,7003") as client:
        print(client.request("hello").value)

    run_app(lambda value, request: value.upper())

clients/README.md is the contract; the names of its sections stand in the docstrings.
"""

import asyncio
import json
import os
import random
import re
import socket
import sys
import threading
import traceback
from collections import deque
from concurrent.futures import Future
from typing import Any, Callable, Deque, Dict, List, NamedTuple, NoReturn, Optional, Sequence, Tuple, Union

# What an error says about the request ("Errors"). definite: it did not happen and will not. unknown: it may have
# happened; ask again with the same id and number. executed: it happened, and its answer can't be given.
ERROR_CODES = {
    "malformed": "definite",
    "line-too-long": "definite",
    "not-allowed": "definite",
    "not-connected": "definite",
    "foreign-id": "definite",
    "value-too-large": "definite",
    "too-many-requests": "definite",
    "too-many-connections": "definite",
    "overloaded": "definite",
    "no-leader": "definite",
    "no-such-session": "definite",
    "idle": "definite",
    "session-expired": "unknown",
    "session-taken-over": "unknown",
    "leadership-lost": "unknown",
    "timeout": "unknown",
    "app-left": "unknown",
    "not-known-chosen": "unknown",
    "stopping": "unknown",
    "answer-too-large": "executed",
    "answer-forgotten": "executed",
}

CLIENT_REQUEST, CLIENT_RESPONSE, CLIENT_REDIRECT, CLIENT_CONN, CLIENT_CONNECT_REQUEST = 7, 8, 9, 10, 11
LOG_RESPONSE, CLIENT_APP, APP_RESPONSE, ERROR = 12, 13, 14, 16

# The longest line taken from a node; more means that it doesn't speak this protocol.
MAX_LINE_BYTES = 16 * 1024 * 1024
# Redirects followed in a row; past it two nodes name each other, and the next server is asked.
MAX_REDIRECTS = 8
# A new number is at most so far above the oldest unanswered one: nodes remember a session's last 256.
NUMBER_WINDOW = 128
# The largest value that agents can carry, as counted by value_cost: a constant of the format.
MAX_VALUE_COST = 65_034
FIRST_BACKOFF_MS = 10
# Short beside an election, long beside a round trip.
LONGEST_BACKOFF_MS = 200
MAX_SAFE_INTEGER = 2**53 - 1

# Errors after which the same request is asked again on the same connection, a little later.
ASK_AGAIN = {"overloaded", "too-many-requests", "timeout", "app-left"}
# Errors that tell of the node, not the request: another node is asked.
GO_ELSEWHERE = {"no-leader", "leadership-lost", "stopping", "not-connected"}
# Errors by which the session is over.
SESSION_OVER = {"no-such-session", "session-expired", "session-taken-over"}
UNREACHABLE = "unreachable"

Server = Tuple[str, int]


class Session(NamedTuple):
    """A session: the id that a node gave, and the number that the next new request will bear."""

    id: int
    no: int


class Answer(NamedTuple):
    """The answer to a request: what the application returned, and where the request stands in the log."""

    value: str
    entry: int
    id: int
    no: int


class Asked(NamedTuple):
    """What a request was: enough to ask again. `entry` is set for a query, which changes nothing."""

    id: int
    no: int
    value: str
    entry: Optional[int] = None


class RequestError(Exception):
    """A request that got no answer. `code` is a node's, or unreachable, closed, session-lost or timeout."""

    certainty = "unknown"

    def __init__(self, code: str, text: str, asked: Asked) -> None:
        super().__init__(code + ": " + text if text else code)
        self.code = code
        self.asked = asked


class DefiniteError(RequestError):
    """The request did not happen and will not."""

    certainty = "definite"


class UnknownOutcomeError(RequestError):
    """The request may have happened. `Client.outcome` finds out."""

    certainty = "unknown"


class ExecutedError(RequestError):
    """The request happened, and its answer can't be given."""

    certainty = "executed"


class ProtocolError(Exception):
    """What arrived is not a message of this protocol."""


class AppError(Exception):
    """A handler raises this to refuse a value: the answer is `error: MESSAGE`, the same on every node."""


def certainty_of(code: str) -> str:
    """What a client may conclude from a code that a node sent; unknown for a code that isn't in the table."""
    return ERROR_CODES.get(code, "unknown")


def request_error(certainty: str, code: str, text: str, asked: Asked) -> RequestError:
    classes = {"definite": DefiniteError, "unknown": UnknownOutcomeError, "executed": ExecutedError}
    return classes[certainty](code, text, asked)


# --- Messages ("Messages") ---------------------------------------------------------------------------------------


def well_formed(text: str) -> str:
    """Joins surrogate pairs, so that equal texts are equal strings."""
    return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "surrogatepass")


def to_json(value: Any) -> str:
    """Compact JSON, escaped as JSON.stringify does: only quotes, backslashes, controls and lone surrogates."""
    text = well_formed(json.dumps(value, ensure_ascii=False, separators=(",", ":")))
    return re.sub("[\ud800-\udfff]", lambda match: "\\u%04x" % ord(match.group()), text)


def encode_line(message: Dict[str, Any]) -> bytes:
    """One message as it travels: a line of JSON with its newline, without its zero values."""
    return (to_json(_without_zero(message)) + "\n").encode("utf-8")


def _without_zero(fields: Dict[str, Any]) -> Dict[str, Any]:
    kept = {name: _without_zero(field) if isinstance(field, dict) else field for name, field in fields.items()}
    return {name: field for name, field in kept.items() if isinstance(field, dict) or field not in (0, "", False)}


def value_cost(value: str) -> int:
    """The length of a value's JSON text under the worst escaping in use, for each UTF-16 unit: two for quotes,
    backslashes and slashes; six for control characters, <, >, & and whatever is beyond ASCII; one for the rest."""
    two = len(re.findall(r'["\\/]', value))
    # A character beyond the basic plane is two units.
    pairs = len(re.findall("[\U00010000-\U0010ffff]", value))
    six = len(re.findall(r"[^\x20-\x7e]|[<>&]", value)) + pairs
    return len(value) + pairs + two + 5 * six


class Received(NamedTuple):
    """A received message, flat and complete: what was absent holds its zero value."""

    type: int
    id: int
    no: int
    noset: bool
    entry: int
    value: str
    error: str
    leaderaddress: str
    leaderport: str


def decode_line(line: bytes) -> List[Received]:
    """Reads a line: usually one message, but several objects on a line are taken too. Raises ProtocolError."""
    try:
        text = line.decode("utf-8").strip(" \t\r\n")
        messages = []
        while text:
            parsed, end = json.JSONDecoder().raw_decode(text)
            messages.append(_flatten(parsed))
            text = text[end:].lstrip(" \t\r\n")
        return messages
    except (ValueError, RecursionError) as error:
        raise ProtocolError("not JSON: %r" % line[:80]) from error


def _flatten(parsed: Any) -> Received:
    if not isinstance(parsed, dict):
        raise ProtocolError("a message must be an object")
    request = parsed.get("request", {})
    if not isinstance(request, dict):
        raise ProtocolError("request must be an object")
    return Received(
        type=_whole_number(parsed, "type"),
        id=_whole_number(request, "id"),
        no=_whole_number(request, "no"),
        noset=request.get("noset") is True,
        entry=_whole_number(parsed if "entry" in parsed else request, "entry"),
        value=_text(parsed, "value"),
        error=_text(parsed, "error"),
        leaderaddress=_text(parsed, "leaderaddress"),
        leaderport=_text(parsed, "leaderport"),
    )


def _whole_number(fields: Dict[str, Any], name: str) -> int:
    value = fields.get(name, 0)
    if isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= MAX_SAFE_INTEGER:
        return value
    raise ProtocolError("%s must be a whole number from 0 to 2^53 - 1" % name)


def _text(fields: Dict[str, Any], name: str) -> str:
    value = fields.get(name, "")
    if isinstance(value, str):
        return value
    raise ProtocolError("%s must be a string" % name)


def parse_error_text(error: str) -> Tuple[str, str]:
    """Splits `code: text`, as it travels in the `error` field of an Error."""
    code, _, text = error.partition(":")
    return code.strip(), text.strip()


def parse_servers(servers: Union[str, Sequence[str]]) -> List[Server]:
    """Reads HOST:PORT or PORT, as a list or separated by commas. Raises ValueError that says which one is wrong."""
    parts = [servers] if isinstance(servers, str) else list(servers)
    named = [name.strip() for part in parts for name in part.split(",") if name.strip()]
    if not named:
        raise ValueError("no server given: name at least one HOST:PORT or PORT")
    return [_parse_server(name) for name in named]


def _parse_server(name: str) -> Server:
    host, colon, port = name.rpartition(":")
    if not colon:
        host = "127.0.0.1"
    if host and re.fullmatch("[0-9]{1,5}", port) and 1 <= int(port) <= 65_535:
        return host, int(port)
    raise ValueError('"%s" is not a server: write HOST:PORT or PORT, with a port from 1 to 65535' % name)


def format_server(server: Server) -> str:
    return "%s:%d" % server


def backoff_ms(attempts: int) -> float:
    """How long to wait before the next attempt; it doubles up to a bound, and half of it is drawn."""
    if attempts < 0:
        return 0
    return min(LONGEST_BACKOFF_MS, FIRST_BACKOFF_MS * 2 ** min(attempts, 10)) * random.uniform(0.5, 1)


# --- Client ("Client") -------------------------------------------------------------------------------------------


class _Pending:
    """A request on its way from the caller to its answer."""

    def __init__(self, value: str, entry: Optional[int]) -> None:
        self.value = value
        self.entry = entry
        self.answer: "asyncio.Future[Answer]" = asyncio.get_running_loop().create_future()
        self.id = 0
        self.no = 0
        # Numbered long before the requests beside it.
        self.is_old = False
        # It was sent on the present connection, and no answer has come.
        self.in_flight = False
        # Some asking may have had an effect: from then on a refusal of another asking says nothing definite.
        self.doubt = False
        self.refusal: Optional[Tuple[str, str]] = None
        self.timer: Optional[asyncio.TimerHandle] = None
        self.retry_timer: Optional[asyncio.TimerHandle] = None
        self.retries = 0

    @property
    def asked(self) -> Asked:
        return Asked(self.id, self.no, self.value, self.entry)

    @property
    def is_ready(self) -> bool:
        return not self.in_flight and self.retry_timer is None

    def refused(self, certainty: str, code: str, text: str) -> None:
        self.in_flight = False
        self.doubt = self.doubt or certainty != "definite"
        self.refusal = (code, text)

    def disconnected(self) -> None:
        """What was on its way may have arrived. Another connection needn't wait."""
        self.doubt = self.doubt or self.in_flight
        self.in_flight = False
        self.stop_retry()

    def renumbered(self) -> None:
        """It begins anew, in another session."""
        self.disconnected()
        self.id = self.no = 0
        self.is_old = self.doubt = False

    def stop_retry(self) -> None:
        if self.retry_timer is not None:
            self.retry_timer.cancel()
        self.retry_timer = None

    def stop_timers(self) -> None:
        if self.timer is not None:
            self.timer.cancel()
        self.stop_retry()


class _Connection(asyncio.Protocol):
    """One TCP connection to a node, as messages; `on_closed` comes once, and no message after it."""

    def __init__(self, on_message: Callable[[Received], None], on_closed: Callable[[str], None]) -> None:
        self.on_message: Optional[Callable[[Received], None]] = on_message
        self.on_closed = on_closed
        self.server: Server = ("", 0)
        self._transport: Optional[asyncio.Transport] = None
        self._rest = bytearray()
        self._searched = 0
        self._over = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        peer_socket = transport.get_extra_info("socket")
        peer_socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def data_received(self, data: bytes) -> None:
        self._rest += data
        while not self._over:
            end = self._rest.find(b"\n", self._searched)
            if end < 0:
                self._searched = len(self._rest)
                if self._searched > MAX_LINE_BYTES:
                    self._end("a line longer than %d bytes" % MAX_LINE_BYTES)
                return
            line = bytes(self._rest[:end])
            del self._rest[: end + 1]
            self._searched = 0
            self._take(line)

    def _take(self, line: bytes) -> None:
        try:
            messages = decode_line(line)
        except ProtocolError as error:
            return self._end("unreadable: %s" % error)
        for message in messages:
            if not self._over and self.on_message is not None:
                self.on_message(message)

    def eof_received(self) -> None:
        self._end("the node closed the connection")

    def connection_lost(self, exc: Optional[Exception]) -> None:
        self._end(str(exc) if exc else "the node closed the connection")

    def send(self, message: Dict[str, Any]) -> None:
        if not self._over and self._transport is not None:
            self._transport.write(encode_line(message))

    def drop(self) -> None:
        """Ends the connection without a word to its owner."""
        self._over = True
        if self._transport is not None:
            self._transport.abort()

    def _end(self, reason: str) -> None:
        if self._over:
            return
        self.drop()
        self.on_closed(reason)


class _Greeting(NamedTuple):
    """How a node answered a hello: connected, redirected to `leader`, or refused with `code` and `text`."""

    kind: str
    connection: Optional[_Connection] = None
    id: int = 0
    no: int = 0
    leader: Server = ("", 0)
    code: str = ""
    text: str = ""


def _read_redirect(message: Received) -> _Greeting:
    port = message.leaderport
    if message.leaderaddress and re.fullmatch("[0-9]{1,5}", port) and 1 <= int(port) <= 65_535:
        return _Greeting("redirected", leader=(message.leaderaddress, int(port)))
    return _Greeting("refused", code="no-leader", text="the node named no leader")


def _read_greeting(message: Received, connection: _Connection) -> Optional[_Greeting]:
    if message.type == CLIENT_CONN and message.id > 0:
        return _Greeting("connected", connection=connection, id=message.id, no=message.no)
    if message.type == CLIENT_CONN:
        return _Greeting("refused", code=UNREACHABLE, text="ClientConn without request.id")
    if message.type == CLIENT_REDIRECT:
        return _read_redirect(message)
    if message.type == ERROR:
        code, text = parse_error_text(message.error)
        return _Greeting("refused", code=code, text=text)
    return None


class _Core:
    """The client's whole state. All of it lives on one event loop, so nothing here needs a lock."""

    def __init__(
        self,
        servers: List[Server],
        session: Optional[Session],
        timeout_ms: int,
        greeting_ms: int,
        silence_ms: int,
        max_in_flight: int,
    ) -> None:
        self.servers = servers
        self.session = session
        self.timeout_ms = timeout_ms
        self.greeting_ms = greeting_ms
        self.silence_ms = silence_ms
        self.max_in_flight = max_in_flight
        self.closed = False
        # The session is over: nothing new is sent in it, and what is on its way may still be answered.
        self.retiring = False
        self.connection: Optional[_Connection] = None
        self.connecting: Optional["asyncio.Task[None]"] = None
        # Attempts to connect since the last answer; they grow the back-off.
        self.attempts = 0
        self.turn = 0
        self.leader: Optional[Server] = None
        self.failures: Dict[Server, Tuple[str, str]] = {}
        self.waiting: Deque[_Pending] = deque()
        self.numbered: Dict[int, _Pending] = {}
        self.silence: Optional[asyncio.TimerHandle] = None
        self.heard_at = 0.0

    async def request(self, value: str, timeout_ms: Optional[int]) -> Answer:
        value = well_formed(value)
        cost = value_cost(value)
        if cost > MAX_VALUE_COST:
            text = "it costs %d, and at most %d can be logged" % (cost, MAX_VALUE_COST)
            raise DefiniteError("value-too-large", text, Asked(0, 0, value))
        return await self._enqueue(_Pending(value, None), timeout_ms)

    async def query(self, entry: int, timeout_ms: Optional[int]) -> Answer:
        return await self._enqueue(_Pending("", entry), timeout_ms)

    async def ask_again(self, asked: Asked, timeout_ms: Optional[int]) -> Answer:
        if self.closed:
            raise UnknownOutcomeError("closed", "the client was closed", asked)
        if asked.entry is not None:
            return await self.query(asked.entry, timeout_ms)
        if self.session is None or self.session.id != asked.id:
            return await self._ask_in_its_session(asked, timeout_ms)
        known = self.numbered.get(asked.no)
        if known is not None:
            return await asyncio.shield(known.answer)
        pending = _Pending(asked.value, None)
        pending.doubt = True
        self._number(pending, asked.no)
        return await self._start(pending, timeout_ms)

    async def _ask_in_its_session(self, asked: Asked, timeout_ms: Optional[int]) -> Answer:
        session = Session(asked.id, asked.no + 1)
        other = _Core(self.servers, session, self.timeout_ms, self.greeting_ms, self.silence_ms, self.max_in_flight)
        try:
            return await other.ask_again(asked, timeout_ms)
        finally:
            other.close()

    def close(self) -> None:
        if self.closed:
            return
        self.closed = True
        if self.connecting is not None:
            self.connecting.cancel()
        self._disconnect()
        for pending in [*self.numbered.values(), *self.waiting]:
            certainty = "unknown" if pending.doubt else "definite"
            self._reject(pending, certainty, "closed", "the client was closed")

    async def _enqueue(self, pending: _Pending, timeout_ms: Optional[int]) -> Answer:
        if self.closed:
            raise DefiniteError("closed", "the client was closed", pending.asked)
        self.waiting.append(pending)
        return await self._start(pending, timeout_ms)

    async def _start(self, pending: _Pending, timeout_ms: Optional[int]) -> Answer:
        limit_ms = self.timeout_ms if timeout_ms is None else timeout_ms
        loop = asyncio.get_running_loop()
        pending.timer = loop.call_later(limit_ms / 1000, self._expire, pending, limit_ms)
        self._pump()
        try:
            return await pending.answer
        finally:
            self._forget(pending)

    def _pump(self) -> None:
        """Sends what may be sent, and connects if that is needed."""
        if self.closed:
            return
        if self.connection is None:
            if self.connecting is None and (self.numbered or self.waiting):
                self.connecting = asyncio.ensure_future(self._connect())
            return
        for pending in self.numbered.values():
            if pending.is_ready:
                self._send(pending, self.connection)
        while self.waiting and self.session is not None and self._may_number(self.session):
            pending = self.waiting.popleft()
            self._number(pending, self.session.no)
            self._send(pending, self.connection)
        self._watch()

    def _may_number(self, session: Session) -> bool:
        if self.retiring or len(self.numbered) >= self.max_in_flight:
            return False
        oldest = next((pending.no for pending in self.numbered.values() if not pending.is_old), session.no)
        return session.no < oldest + NUMBER_WINDOW

    def _number(self, pending: _Pending, no: int) -> None:
        assert self.session is not None
        pending.id, pending.no = self.session.id, no
        pending.is_old = no < self.session.no
        self.session = Session(self.session.id, max(self.session.no, no + 1))
        self.numbered[no] = pending

    def _send(self, pending: _Pending, connection: _Connection) -> None:
        pending.in_flight = True
        request: Dict[str, Any] = {"id": pending.id, "no": pending.no}
        if pending.entry is None:
            request["value"] = pending.value
        else:
            request.update(noset=True, entry=pending.entry)
        connection.send({"type": CLIENT_REQUEST, "request": request})

    def _watch(self) -> None:
        """A node that is silent while requests wait is left: it may be stopped, or cut off."""
        waits = self.connection is not None and any(pending.in_flight for pending in self.numbered.values())
        if not waits:
            self._stop_watching()
        elif self.silence is None:
            self.heard_at = asyncio.get_running_loop().time()
            self._watch_until(self.heard_at + self.silence_ms / 1000)

    def _watch_until(self, deadline: float) -> None:
        self.silence = asyncio.get_running_loop().call_at(deadline, self._listen_again)

    def _listen_again(self) -> None:
        deadline = self.heard_at + self.silence_ms / 1000
        if asyncio.get_running_loop().time() < deadline:
            self._watch_until(deadline)
        else:
            self._lost("silent for %d ms" % self.silence_ms)

    def _stop_watching(self) -> None:
        if self.silence is not None:
            self.silence.cancel()
        self.silence = None

    async def _connect(self) -> None:
        """Tries servers until one greets, or nobody waits any more."""
        redirects = 0
        again: Optional[Server] = None
        while self.numbered or self.waiting:
            wait_ms = backoff_ms(self.attempts - len(self.servers))
            self.attempts += 1
            if wait_ms > 0:
                await asyncio.sleep(wait_ms / 1000)
            server = again or self._next_server()
            again = None
            asked = 0 if self.session is None else self.session.id
            greeting = await self._greet(server, asked)
            if greeting.kind == "connected":
                self.connecting = None
                return self._pump()
            if greeting.kind == "redirected":
                redirects += 1
                if redirects % MAX_REDIRECTS != 0:
                    self.leader = greeting.leader
                else:
                    self.failures[server] = (UNREACHABLE, "%d redirects in a row" % redirects)
                continue
            self.failures[server] = (greeting.code, greeting.text)
            if asked > 0 and greeting.code in SESSION_OVER:
                self._lose_session(greeting.code, greeting.text)
                again = server
        self.connecting = None

    async def _greet(self, server: Server, asked: int) -> _Greeting:
        """Connects and says hello, asking for a session unless `asked` is 0. Raises nothing but cancellation."""
        greeting: "asyncio.Future[_Greeting]" = asyncio.get_running_loop().create_future()
        connection = _Connection(lambda message: None, lambda reason: None)
        connection.server = server

        def settle(result: _Greeting) -> None:
            if greeting.done():
                return
            if result.kind == "connected":
                # At once, so that what follows in the same chunk finds its owner.
                self._adopt(connection, result, asked)
            else:
                connection.drop()
            greeting.set_result(result)

        def unreachable(reason: str) -> None:
            settle(_Greeting("refused", code=UNREACHABLE, text="%s: %s" % (format_server(server), reason)))

        def take(message: Received) -> None:
            result = _read_greeting(message, connection)
            if result is not None:
                settle(result)

        async def hello() -> _Greeting:
            connection.on_message, connection.on_closed = take, unreachable
            await asyncio.get_running_loop().create_connection(lambda: connection, *server)
            connection.send({"type": CLIENT_CONNECT_REQUEST, **({"request": {"id": asked}} if asked else {})})
            return await greeting

        try:
            return await asyncio.wait_for(hello(), self.greeting_ms / 1000)
        except asyncio.TimeoutError:
            unreachable("no answer within %d ms" % self.greeting_ms)
        except OSError as error:
            unreachable(error.strerror or str(error))
        except asyncio.CancelledError:
            connection.drop()
            raise
        return greeting.result()

    def _next_server(self) -> Server:
        if self.leader is not None:
            leader, self.leader = self.leader, None
            return leader
        self.turn += 1
        return self.servers[(self.turn - 1) % len(self.servers)]

    def _adopt(self, connection: _Connection, greeting: _Greeting, asked: int) -> None:
        self.failures.clear()
        if asked > 0 and greeting.id != asked:
            self._lose_session("session-lost", "a node gave session %d instead of %d" % (greeting.id, asked))
        self.session = Session(greeting.id, max(greeting.no, 1 if self.session is None else self.session.no))
        self.connection = connection
        connection.on_message, connection.on_closed = self._take, self._lost
        self._pump()

    def _take(self, message: Received) -> None:
        self.heard_at = asyncio.get_running_loop().time()
        if message.type == CLIENT_RESPONSE:
            self._answered(message)
        elif message.type == ERROR:
            self._refused(message)
        elif message.type == CLIENT_REDIRECT:
            target = _read_redirect(message)
            if target.kind == "redirected":
                self.leader = target.leader
            self._lost("redirected")

    def _answered(self, message: Received) -> None:
        pending = self._find(message)
        if pending is None:
            return
        self.attempts = 0
        self._forget(pending)
        if not pending.answer.done():
            pending.answer.set_result(Answer(message.value, message.entry, pending.id, pending.no))
        self._settled()

    def _find(self, message: Received) -> Optional[_Pending]:
        """The request that a message speaks of. A query's answer may carry the request that it found."""
        if message.id > 0 and (self.session is None or message.id != self.session.id):
            return self._find_query(message)
        pending = self.numbered.get(message.no)
        if pending is not None and pending.in_flight and (pending.entry is None) == (not message.noset):
            return pending
        return self._find_query(message) if message.noset else None

    def _find_query(self, message: Received) -> Optional[_Pending]:
        asking = (pending for pending in self.numbered.values() if pending.in_flight)
        return next((pending for pending in asking if pending.entry == message.entry), None)

    def _refused(self, message: Received) -> None:
        code, text = parse_error_text(message.error)
        foreign = message.id > 0 and (self.session is None or message.id != self.session.id)
        pending = self.numbered.get(message.no) if message.no > 0 else self._only_one_in_flight(code)
        if pending is None or foreign:
            if message.no == 0:
                self._connection_refused(code, text)
            return
        certainty = certainty_of(code)
        pending.refused(certainty, code, text)
        if code in GO_ELSEWHERE:
            return self._lost("%s: %s" % (code, text))
        if code in ASK_AGAIN:
            return self._ask_again_later(pending)
        if code in SESSION_OVER:
            self.retiring = True
        doubtful = certainty == "definite" and pending.doubt
        self._reject(pending, "unknown" if doubtful else certainty, code, text)
        self._settled()

    def _only_one_in_flight(self, code: str) -> Optional[_Pending]:
        """An unreadable request is refused without its number; alone on its way, it is known all the same."""
        if code not in ("malformed", "line-too-long", "value-too-large"):
            return None
        in_flight = [pending for pending in self.numbered.values() if pending.in_flight]
        return in_flight[0] if len(in_flight) == 1 else None

    def _connection_refused(self, code: str, text: str) -> None:
        if self.connection is not None:
            self.failures[self.connection.server] = (code, text)
        self._disconnect()
        if code in SESSION_OVER:
            self._lose_session(code, text)
        self._pump()

    def _ask_again_later(self, pending: _Pending) -> None:
        def ready() -> None:
            pending.retry_timer = None
            self._pump()

        pending.stop_retry()
        wait_ms = backoff_ms(pending.retries)
        pending.retries += 1
        pending.retry_timer = asyncio.get_running_loop().call_later(wait_ms / 1000, ready)
        self._watch()

    def _lost(self, reason: str) -> None:
        """The connection is of no more use; its requests are asked again elsewhere."""
        if self.connection is not None:
            self.failures[self.connection.server] = (UNREACHABLE, reason)
        self._disconnect()
        self._pump()

    def _disconnect(self) -> None:
        self._stop_watching()
        if self.connection is not None:
            self.connection.drop()
        self.connection = None
        for pending in self.numbered.values():
            pending.disconnected()

    def _lose_session(self, code: str, text: str) -> None:
        """What was sent in the session can't be known any more; what was not gets a number of the next one."""
        self.session = None
        self.retiring = False
        unsent = []
        for pending in list(self.numbered.values()):
            if pending.doubt and pending.entry is None:
                self._reject(pending, "unknown", code, text)
            else:
                unsent.append(pending)
        self.numbered.clear()
        for pending in unsent:
            pending.renumbered()
        self.waiting.extendleft(reversed(unsent))

    def _settled(self) -> None:
        if self.retiring and not self.numbered:
            self._disconnect()
            self.session = None
            self.retiring = False
        self._pump()

    def _forget(self, pending: _Pending) -> None:
        pending.stop_timers()
        if self.numbered.get(pending.no) is pending:
            del self.numbered[pending.no]
        if pending.no == 0 and pending in self.waiting:
            self.waiting.remove(pending)

    def _reject(self, pending: _Pending, certainty: str, code: str, text: str) -> None:
        self._forget(pending)
        if not pending.answer.done():
            pending.answer.set_exception(request_error(certainty, code, text, pending.asked))

    def _expire(self, pending: _Pending, limit_ms: int) -> None:
        if pending.doubt or pending.in_flight:
            self._reject(pending, "unknown", "timeout", "no answer within %d ms" % limit_ms)
        else:
            code, text = self._why_unsent(pending)
            self._reject(pending, "definite", code, "%s (given up after %d ms)" % (text, limit_ms))
        self._settled()

    def _why_unsent(self, pending: _Pending) -> Tuple[str, str]:
        if pending.refusal is not None:
            return pending.refusal
        if self.connection is not None:
            return "overloaded", "earlier requests are unanswered"
        told = next((failure for failure in self.failures.values() if failure[0] != UNREACHABLE), None)
        if told is not None:
            return told
        return UNREACHABLE, "; ".join(text for _, text in self.failures.values()) or "no server has answered"


class Client:
    """A client of a cluster. It finds the leader, keeps one session over reconnections, and asks again with the same
    number until the request's time is up, so that each request is executed at most once. Any thread may use it.

    servers: HOST:PORT or PORT, as a list or separated by commas. session: go on with this one of an earlier client.
    timeout_ms: how long a request may take unless it says otherwise. greeting_ms: how long one node may take to
    answer the hello. silence_ms: a node that says nothing for so long while requests wait is left for another.
    """

    def __init__(
        self,
        servers: Union[str, Sequence[str]],
        session: Optional[Session] = None,
        timeout_ms: int = 10_000,
        greeting_ms: int = 2000,
        silence_ms: int = 3000,
        max_in_flight: int = 64,
    ) -> None:
        self._core = _Core(parse_servers(servers), session, timeout_ms, greeting_ms, silence_ms, max_in_flight)
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="paxosd-client", daemon=True)
        self._thread.start()
        self._closed = False

    @property
    def session(self) -> Optional[Session]:
        """The session as it stands, to go on with in another client; None before the first connection."""
        return self._core.session

    def submit(self, value: str, timeout_ms: Optional[int] = None) -> "Future[Answer]":
        """Like `request`, but returns at once with a future of the answer: any number may be on their way."""
        return self._run(lambda: self._core.request(value, timeout_ms), Asked(0, 0, value))

    def request(self, value: str, timeout_ms: Optional[int] = None) -> Answer:
        """Logs `value` and returns the application's answer. Raises DefiniteError (it did not happen),
        UnknownOutcomeError (it may have; see `outcome`) or ExecutedError (it did; there is no answer)."""
        return self.submit(value, timeout_ms).result()

    def query(self, entry: int, timeout_ms: Optional[int] = None) -> Answer:
        """The value chosen at an entry of the log. Changes nothing."""
        return self._run(lambda: self._core.query(entry, timeout_ms), Asked(0, 0, "", entry)).result()

    def outcome(self, error: UnknownOutcomeError, timeout_ms: Optional[int] = None) -> Answer:
        """Did it happen? Asks again with the same id and number. If it had happened, its first answer comes; if not,
        it happens now; in either case once. Raises like `request`."""
        return self.ask_again(error.asked, timeout_ms)

    def ask_again(self, asked: Asked, timeout_ms: Optional[int] = None) -> Answer:
        """`outcome` for an id and number that were noted elsewhere, with the same value as then."""
        return self._run(lambda: self._core.ask_again(asked, timeout_ms), asked).result()

    def close(self) -> None:
        """Ends the connection. What is unanswered fails: unknown if it was sent, definite if not."""
        if self._closed:
            return
        self._closed = True
        asyncio.run_coroutine_threadsafe(self._close_core(), self._loop).result()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def __enter__(self) -> "Client":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _run(self, ask: Callable[[], Any], asked: Asked) -> "Future[Answer]":
        if self._closed:
            raise DefiniteError("closed", "the client was closed", asked)
        return asyncio.run_coroutine_threadsafe(ask(), self._loop)

    async def _close_core(self) -> None:
        self._core.close()
        # Those who wait hear of it before the loop stops.
        others = [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]
        await asyncio.gather(*others, return_exceptions=True)


# --- Application kit ("Application") -----------------------------------------------------------------------------


class AppRequest(NamedTuple):
    """What an application is told about a value beside the value: session, number, place in the log."""

    id: int
    no: int
    entry: int


AppHandler = Callable[[str, AppRequest], str]


def read_app_address(argv: Sequence[str], env: Any) -> Server:
    """Where the node is: `-paxos_addr=A -paxos_port=P` (one or two dashes, `=` or a space), else the environment."""
    host = _read_flag(argv, "paxos_addr") or env.get("PAXOS_ADDR")
    port = _read_flag(argv, "paxos_port") or env.get("PAXOS_PORT")
    if not host or not port:
        raise ValueError("where is the node? Give -paxos_addr=A -paxos_port=P, or set PAXOS_ADDR and PAXOS_PORT")
    return _parse_server("%s:%s" % (host, port))


def _read_flag(argv: Sequence[str], name: str) -> Optional[str]:
    for i, argument in enumerate(argv):
        flag, equals, value = argument.partition("=")
        if flag in ("-" + name, "--" + name):
            return value if equals else next(iter(argv[i + 1 : i + 2]), None)
    return None


def serve_app(node: Server, handle: AppHandler) -> None:
    """Connects to the node as its application and answers every value of the log, in order, until the connection
    closes. Raises OSError when the node can't be reached, or what the handler raised."""
    with socket.create_connection(node) as connection:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        try:
            connection.sendall(encode_line({"type": CLIENT_CONNECT_REQUEST}) + encode_line({"type": CLIENT_APP}))
            _serve_lines(connection, handle)
        except (ConnectionError, BrokenPipeError):
            return


def _serve_lines(connection: socket.socket, handle: AppHandler) -> None:
    rest = b""
    while True:
        chunk = connection.recv(65_536)
        if not chunk:
            return
        *lines, rest = (rest + chunk).split(b"\n") if b"\n" in chunk else [rest + chunk]
        if len(rest) > MAX_LINE_BYTES:
            raise ProtocolError("a line longer than %d bytes" % MAX_LINE_BYTES)
        # Answers to values that came in one chunk leave in one; those before a failure leave too.
        answers = bytearray()
        try:
            for line in lines:
                for message in decode_line(line):
                    answers += _apply(message, handle)
        finally:
            if answers:
                connection.sendall(answers)


def _apply(message: Received, handle: AppHandler) -> bytes:
    if message.type == ERROR:
        print("the node says: %s" % message.error, file=sys.stderr, flush=True)
    if message.type != LOG_RESPONSE:
        return b""
    try:
        value = handle(message.value, AppRequest(message.id, message.no, message.entry))
    except AppError as error:
        value = "error: %s" % error
    except Exception as error:
        raise RuntimeError("the handler failed at entry %d" % message.entry) from error
    if not isinstance(value, str):
        raise TypeError("the handler returned %s at entry %d, not a str" % (type(value).__name__, message.entry))
    if message.noset:
        return b""
    request = {"id": message.id, "no": message.no}
    return encode_line({"type": APP_RESPONSE, "request": request, "entry": message.entry, "value": value})


def run_app(handle: AppHandler) -> NoReturn:
    """The whole life of an application process: reads its flags, serves, and exits: 0 when the node closes the
    connection, 1 when the node can't be found or the handler fails, with the reason on stderr."""
    try:
        node = read_app_address(sys.argv[1:], os.environ)
    except ValueError as error:
        sys.exit(str(error))
    try:
        serve_app(node, handle)
    except OSError as error:
        sys.exit("can't reach the node at %s: %s" % (format_server(node), error))
    except Exception:
        traceback.print_exc()
        sys.exit(1)
    sys.exit(0)
