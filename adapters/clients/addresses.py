"""A provider's address, in any of the forms people write it, as its base URL. No I/O.

A base URL is what a request's path is appended to, so it holds the version: `https://host/v1`. What
people set is that, with or without a slash at its end, or only the host, as some SDKs want it
(`GROQ_BASE_URL=https://api.groq.com`, an Azure endpoint as the portal shows it), or an own proxy
with a path before the provider's. A path that is the provider's own, or a beginning of it, becomes
the provider's own; any other path is the operator's word and stays as it is.
"""

from urllib.parse import SplitResult, urlsplit

from adapters.contract import Provider

_MAX_LABEL = 63  # characters between two dots of a host name, RFC 1035


def normalise(provider: Provider, address: str) -> str:
    """The base URL that `address` means for `provider`, without a slash at its end.

    Raises ValueError, which names what is wrong without repeating it, for anything but an http(s)
    address of a host, a port and a path.
    """
    parts = _split(address)
    path = parts.path.rstrip("/")
    own = _own_path(provider)
    if own == path or own.startswith(f"{path}/"):
        path = own
    return f"{parts.scheme}://{parts.netloc}{path}"


def _own_path(provider: Provider) -> str:
    if provider.base_url is None:
        return provider.base_path
    return urlsplit(provider.base_url).path.rstrip("/")


def _split(address: str) -> SplitResult:
    if not address.isascii() or not address.isprintable() or " " in address:
        raise ValueError("the address holds a blank or a character that no address can")
    try:
        parts = urlsplit(address)
        port = parts.port
    except ValueError as error:
        raise ValueError("the address's host or port is malformed") from error
    if parts.scheme not in ("http", "https"):
        raise ValueError("the address must start with http:// or https://")
    if not parts.hostname or port == 0:
        raise ValueError("the address names no host, or port 0")
    # Else the resolver fails in a way of its own (idna), which is no network error.
    if any(not 0 < len(label) <= _MAX_LABEL for label in parts.hostname.split(".")):
        raise ValueError("the address's host or port is malformed")
    if "@" in parts.netloc:
        raise ValueError("the address must hold no credentials: keys have their own variables")
    for name in ("query", "fragment"):
        if getattr(parts, name):
            raise ValueError(f"the address must hold no {name}: paths are appended to it")
    return parts
