"""Which parameters of a Houdini node name files that it reads.

A scene file says of no parameter that it is a path, and types of nodes are without number: every text that ends as the
name of a file is one, except where it is known to be written, switched off, or not used. Called by `houdini`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from farmd.scenes.content import Reference, Remark
from farmd.scenes.suffixes import role_of, spread_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from farmd.scenes.houdini_nodes import Node

_WRITTEN: Final = frozenset(
    {
        "ar_picture",
        "copoutput",
        "dcmfilename",
        "dopoutput",
        "export_file",
        "exportfile",
        "lopoutput",
        "output_file",
        "outputfilename",
        "outputimage",
        "picture",
        "productName",
        "rendergallerysource",
        "RS_outputFileNamePrefix",
        "savepath",
        "soho_diskfile",
        "sopoutput",
        "taskgraphfile",
        "usdfile",
        "vm_dcmfilename",
        "vm_dsmfilename",
        "vm_picture",
        "vm_tmplocalstorage",
        "vm_tmpsharedstorage",
    }
)
"""Parameters that name what a node writes, in whatever network it stands."""
_WRITERS: Final = ("rop_", "usd_rop", "usdrender", "karma", "opengl", "render", "filmboxfbx")
_SHIPPED: Final = frozenset(
    {"butterfly1.pic", "default.pic", "defgeo.bgeo", "mandril.pic", "uvcolor.rat", "uvgrid_grey.rat"}
)
"""Defaults of parameters; they lie in Houdini's own folders."""
_INSIDE: Final = ("op:", "opdef:", "oplib:", "temp:", "http:", "https:", "$HFS", "$HH", "${HFS}", "${HH}")
_LONGEST: Final = 4096
_SWITCHES: Final = (("RS_objprop_proxy_file", "RS_objprop_proxy_enable"), ("texture", "useTexture"))
"""A parameter that ends in the first counts only if its sibling that ends in the second is on."""


def files_of(node: Node) -> Iterator[Reference | Remark]:
    """List the files that a node reads, and what could not be told."""
    if node.bypassed or node.renders or node.kind.startswith(_WRITERS):
        return
    if node.kind == "filecache" and (told := _of_file_cache(node)):
        yield from told
        return
    for name, values in node.parms.items():
        paths = [(value, role) for value in values if (role := role_of(value)) and _is_path(value)]
        if not paths or name in _WRITTEN or node.expressions.get(name, "").startswith("ch") or _off(node, name):
            continue  # ch("../file") repeats a parameter of another node, which is listed by itself
        for value, role in paths:
            if "`" in value:
                yield Remark("houdini_expression", f"{node.path}.{name} is an expression, which is not run: {value}")
            else:
                shipped = value.lower() in _SHIPPED
                yield Reference(node.path, name, value, role, spread_of(value), {"OS": node.name}, shipped=shipped)


def _of_file_cache(node: Node) -> list[Reference | Remark]:
    """Say what a File Cache node needs beyond its parameters; an empty list: nothing special."""
    if node.parms.get("loadfromdisk", ("on",))[0] != "on":
        return [Remark("houdini_cache_not_read", f"{node.path} makes its cache while rendering")]
    if node.parms.get("filemethod", ("",))[0] != "constructed":
        return []
    text = f"{node.path} puts the name of its cache together from other parameters: not checked"
    return [Remark("houdini_expression", text)]


def _off(node: Node, name: str) -> bool:
    for ending, switch in _SWITCHES:
        if name.endswith(ending):
            return node.parms.get(name.removesuffix(ending) + switch, ("on",))[0] == "off"
    return False


def _is_path(value: str) -> bool:
    return len(value) <= _LONGEST and "\n" not in value and not value.startswith(_INSIDE)
