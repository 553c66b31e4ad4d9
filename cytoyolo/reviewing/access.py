"""Who may use the page: addresses, tokens, passwords and sessions."""

import errno
import hmac
import secrets
import socket
from collections.abc import Iterable
from dataclasses import dataclass, field
from ipaddress import ip_address

from cytoyolo.errors import CytoyoloError, UsageError, option
from cytoyolo.text import unsafe_character

LOCAL = "127.0.0.1"
# How many ports after the wanted port are tried, the least length of a password, and the longest name of a reviewer.
_PORTS, _LEAST_PASSWORD, LONGEST_NAME = 20, 8, 60
_EVERY_ADDRESS = ("0.0.0.0", "::", "")
_LOCAL_NAMES = (LOCAL, "localhost", "[::1]")
_HTTP = 80


@dataclass
class Access:
    """What a request must bring.

    Attributes
    ----------
    address : str
        Host and port, as browsers name them.
    hosts : frozenset of str
        The values of `Host` that are answered.
    token : str
        What the printed address holds. Whoever has it is `reviewer`.
    reviewer : str
        The name of the reviewer at this machine.
    password : str
        What reviewers at other machines give with their names; "" if there are none.
    sessions : dict
        The reviewer of each session.
    """

    address: str
    hosts: frozenset[str]
    reviewer: str
    password: str = ""
    token: str = field(default_factory=lambda: secrets.token_urlsafe(32))
    sessions: dict[str, str] = field(default_factory=dict)

    @property
    def cookie(self) -> str:
        """The name of the cookie. Browsers share cookies among the ports of a host, so it holds the port."""
        return f"cytoyolo_review_{self.address.rpartition(':')[2]}"

    @property
    def url(self) -> str:
        """The address to open in a browser."""
        return f"http://{self.address}/?token={self.token}"

    def knows_token(self, given: str) -> bool:
        """Tell whether this is the token. The time that this takes does not depend on the given text."""
        return hmac.compare_digest(given.encode("utf-8", "replace"), self.token.encode())

    def knows_password(self, given: str) -> bool:
        """Tell whether this is the password, if there is one."""
        return bool(self.password) and hmac.compare_digest(given.encode("utf-8", "replace"), self.password.encode())

    def begin(self, reviewer: str) -> str:
        """Begin a session, and return the value of its cookie."""
        session = secrets.token_urlsafe(32)
        self.sessions[session] = reviewer
        return session


def check_reviewer(name: str) -> str:
    """Return a reviewer's name without spaces around it. Raises UsageError for a name that tables can't hold."""
    name = name.strip()
    if not name or len(name) > LONGEST_NAME or unsafe_character(name) or ";" in name:
        remedy = f"give a name of 1 to {LONGEST_NAME} characters, without semicolons and control characters"
        raise UsageError("reviewer", name[:LONGEST_NAME], remedy)
    return name


def check_host(host: str | None, password: str | None) -> None:
    """Raise UsageError for a host without a password, a password without a host, or an address of all networks."""
    if host is None:
        if password is not None:
            remedy = "give host as well, or unset CYTOYOLO_REVIEW_PASSWORD"
            raise UsageError("password", "***", f"{remedy}; the page of this machine alone needs no password")
        return
    if host in _EVERY_ADDRESS:
        raise UsageError("host", host, "give one address of this machine in the network that you trust")
    if password is None or len(password) < _LEAST_PASSWORD:
        raise UsageError(
            "host", host, f"give a password of at least {_LEAST_PASSWORD} characters as well: everyone in that network "
            "can reach the page, and nothing that is sent is encrypted"
        )  # fmt: skip


def _as_browsers_write(host: str) -> str:
    """A host as browsers send it: in small letters, and an address of IPv6 in its shortest form and in brackets."""
    try:
        address = ip_address(host)
    except ValueError:
        return host.lower()
    return f"[{address}]" if address.version == 6 else str(address)


def hosts_of(names: Iterable[str], port: int) -> frozenset[str]:
    """Return the values of `Host` that name a port of hosts. Browsers leave out the port of HTTP.

    Examples
    --------
    >>> sorted(hosts_of(["localhost"], 80))
    ['localhost', 'localhost:80']
    """
    return frozenset(text for name in names for text in (f"{name}:{port}", *((name,) if port == _HTTP else ())))


def listen(host: str | None, port: int) -> tuple[socket.socket, str, frozenset[str]]:
    """Bind the port, or the next free port.

    Returns
    -------
    tuple of (socket, str, frozenset of str)
        The socket, the address as browsers name it, and the values of `Host` that name it.

    Raises
    ------
    UsageError
        If the port can't be, or the host is no address of this machine.
    CytoyoloError
        If no port is free.
    """
    if not 1 <= port <= 65_535:
        raise UsageError("port", port, "give a number from 1 to 65535")
    wanted = host or LOCAL
    try:
        family, _, _, _, place = socket.getaddrinfo(wanted, port, type=socket.SOCK_STREAM)[0]
    except (OSError, UnicodeError) as error:
        raise UsageError("host", wanted, "give an address or a name of this machine") from error
    for number in range(port, min(port + _PORTS, 65_535) + 1):
        # With its protocol named, asyncio sends an answer at once, instead of up to 40 ms later (TCP_NODELAY).
        bound = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
        if hasattr(socket, "SO_REUSEADDR") and not hasattr(socket, "SO_EXCLUSIVEADDRUSE"):  # not on Windows
            bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            bound.bind((place[0], number))
            bound.listen(64)
        except PermissionError as error:
            bound.close()
            raise UsageError("port", port, "give a number from 1024 to 65535; this one needs special rights") from error
        except OSError as error:
            bound.close()
            if error.errno == errno.EADDRNOTAVAIL:
                raise UsageError("host", wanted, "give an address of this machine") from error
            continue
        shown = _as_browsers_write(wanted)
        return bound, f"{shown}:{number}", hosts_of(_LOCAL_NAMES if host is None else (shown,), number)
    raise CytoyoloError(f"ports {port} to {port + _PORTS} are all in use; give {option('port')} another number.")
