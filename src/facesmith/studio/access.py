"""Who may use the studio: which names it answers to, and the token that other machines need.

Without a token the studio answers to this machine only. A token is random and part of the address that the terminal
shows. The first request exchanges it for a cookie, and the browser's address no longer contains it.
"""

from __future__ import annotations

import hashlib
import hmac
import ipaddress
import re
import time
from collections import OrderedDict
from dataclasses import dataclass, field
from urllib.parse import parse_qs

from starlette.datastructures import Headers
from starlette.requests import cookie_parser

MIN_TOKEN_LENGTH = 20
MAX_WRONG_TOKENS = 10  # different ones, of one address, per WINDOW_SECONDS
WINDOW_SECONDS = 60.0
MAX_ADDRESSES = 1000  # whose wrong tokens are remembered
HOST_NAME = re.compile(r"(?!-)[a-z0-9-]{1,63}(\.[a-z0-9-]{1,63})*(:[0-9]{1,5})?")


@dataclass(frozen=True)
class Access:
    """The rules of one studio.

    Attributes:
        hosts: accepted values of the Host header, such as 127.0.0.1:8400.
        names: further accepted host names, with any port unless they contain one.
        any_address: accept any IP address as the host. This is safe, because attacks by DNS rebinding need a name.
        token: what every client needs; empty if only this machine can connect.
        cookie: name of the cookie that stands for the token.
        root_path: the start of all paths, without a slash at the end, if a proxy serves the studio below a path.
    """

    hosts: frozenset[str]
    names: frozenset[str] = frozenset()
    any_address: bool = False
    token: str = ""
    cookie: str = "facesmith"
    root_path: str = ""

    def accepts_host(self, host: str) -> bool:
        """Return whether the studio answers to this value of the Host header."""
        host = host.lower()
        name = _without_port(host)
        known = host in self.hosts | self.names or f"{host}:80" in self.hosts  # browsers leave out port 80
        return known or name in self.names or (self.any_address and _is_address(name))

    def accepts_origin(self, origin: str, host: str, *, same_origin: bool = False) -> bool:
        """Return whether a page with this origin may send requests to this host: if it is the studio's own page.

        Args:
            same_origin: the browser says that the page and the address of the request have the same origin.
        """
        scheme, _, origin_host = origin.lower().partition("://")
        if scheme not in ("http", "https"):
            return False
        # A proxy may have replaced the name in the Host header, but not in the origin.
        if origin_host == host.lower() or origin_host in self.hosts | self.names:
            return True
        return same_origin and _without_port(origin_host) in self.names  # the proxy's port is not known here

    def cookie_value(self) -> str:
        """Return the content of the cookie, from which nobody can compute the token."""
        return hmac.new(self.token.encode(), b"facesmith studio cookie", hashlib.sha256).hexdigest()


def _without_port(host: str) -> str:
    return re.sub(r":[0-9]{1,5}$", "", host)


def _is_address(name: str) -> bool:
    """Return whether this is an IP address; IPv6 addresses are in brackets."""
    try:
        ipaddress.ip_address(name[1:-1] if name.startswith("[") and name.endswith("]") else name)
    except ValueError:
        return False
    return True


def equal(given: str, expected: str) -> bool:
    """Compare two secrets in a time that reveals neither their content nor their length."""
    digests = [hashlib.sha256(each.encode("utf-8", "surrogatepass")).digest() for each in (given, expected)]
    return hmac.compare_digest(*digests)


@dataclass
class TokenCheck:
    """Checks the token or the cookie of requests. An address that tries many wrong ones has to wait.

    Attributes:
        wrong: by address, the digests of the wrong values that it sent, with the time of the first of them.
    """

    access: Access
    wrong: OrderedDict[str, tuple[float, set[bytes]]] = field(default_factory=OrderedDict)

    def token_of(self, query_string: bytes) -> str | None:
        """Return the token in a query, or None."""
        try:
            values = parse_qs(query_string.decode("latin-1"), max_num_fields=100).get("token")
        except ValueError:  # too many fields
            return None
        return values[-1] if values else None

    def refusal(self, headers: Headers, token: str | None, address: str) -> int | None:
        """Return the status if a request must be refused: 401 without the right token, 429 after many wrong ones.

        Args:
            token: the token in the query, if there is one.
        """
        scheme, _, credentials = headers.get("authorization", "").partition(" ")
        bearer = credentials.strip() if scheme.lower() == "bearer" else ""
        cookie = _cookie(headers, self.access.cookie)
        # Valid cookies pass even while their address has to wait, so that nobody can lock out a class.
        if equal(cookie, self.access.cookie_value()):
            return None
        if self._must_wait(address):
            return 429
        if equal(token if token is not None else bearer, self.access.token):
            return None
        for value in filter(None, (token, bearer, cookie)):
            self._remember(address, value)
        return 401

    def _must_wait(self, address: str) -> bool:
        since, values = self.wrong.get(address, (0.0, set()))
        if time.monotonic() - since > WINDOW_SECONDS:
            self.wrong.pop(address, None)
            return False
        return len(values) >= MAX_WRONG_TOKENS

    def _remember(self, address: str, value: str) -> None:
        """Count different values only: after a restart, an open page repeats its cookie many times."""
        digest = hashlib.sha256(value.encode("utf-8", "surrogatepass")).digest()
        self.wrong.setdefault(address, (time.monotonic(), set()))[1].add(digest)
        while len(self.wrong) > MAX_ADDRESSES:
            self.wrong.popitem(last=False)


def _cookie(headers: Headers, name: str) -> str:
    """Return the content of a cookie, empty if there is none. Odd cookies of other programs are no error."""
    return cookie_parser(headers.get("cookie", "")).get(name, "")
