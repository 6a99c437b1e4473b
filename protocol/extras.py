"""How packages are installed that only some need: the extras of this distribution, from where it was installed itself.

An index knows nothing of a version that lies in a clone, so what is named is the place that the installer noted
(`direct_url.json`, "Recording the Direct URL Origin of installed distributions" of the packaging specifications).
Called where a package is missing. Imports nothing until then.
"""

from __future__ import annotations

from typing import Final

DISTRIBUTION: Final = "farmd"


def how_to_install(extra: str) -> str:
    """Write the command that brings an extra, for who has this version from where it came."""
    import shlex

    return f"pip install {shlex.quote(_requirement(extra, _origin()))}"


def _origin() -> str:
    """Return what the installer noted of where this distribution came from, as JSON; empty for an index."""
    from importlib.metadata import PackageNotFoundError, distribution

    try:
        return distribution(DISTRIBUTION).read_text("direct_url.json") or ""
    except PackageNotFoundError:
        return ""


def _requirement(extra: str, origin: str) -> str:
    """Name an extra of a clone by its folder, of a repository by its address, and of an index by name."""
    import json
    from urllib.parse import unquote, urlsplit

    named = f"{DISTRIBUTION}[{extra}]"
    try:
        noted = json.loads(origin)
        url = str(noted["url"])
    except (ValueError, KeyError, TypeError):
        return named
    if "dir_info" in noted:
        return f"{unquote(urlsplit(url).path)}[{extra}]"
    if "vcs_info" in noted:
        return f"{named} @ {noted['vcs_info'].get('vcs', 'git')}+{url}"
    return f"{named} @ {url}"
