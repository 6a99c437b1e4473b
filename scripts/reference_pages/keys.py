"""The page about the keys of the dashboard, from the table that binds them."""

from __future__ import annotations

from scripts.reference_pages.markdown import code, page, table
from tui.commands import COMMANDS
from tui.keymap import KEYS, Place, shown_key
from tui.tables import EVENTS, JOBS, NODES, TASKS

TITLES = {
    Place.ANYWHERE: "Everywhere",
    Place.TABLE: "In every table",
    Place.JOBLIKE: "On jobs: in the overview, the list of jobs, and an opened job",
    Place.JOB: "In an opened job",
    Place.NODES: "On machines",
    Place.FARM: "On the page of the farm",
    Place.LOG: "In a log",
}


def pages() -> dict[str, str]:
    """Draw the page, by file name."""
    parts = ["What `farmctl tui` binds. The id is what `[tui.keys]` of the configuration gives another key."]
    for place, title in TITLES.items():
        rows = [(" ".join(map(_key, key.keys)), key.text, code(key.id)) for key in KEYS if key.place == place]
        parts += [f"## {title}", table(("keys", "what it does", "id"), rows)]
    commands = [(code(f":{one.name}"), one.takes, one.line) for one in COMMANDS.values()]
    parts += ["## The command line", table(("command", "takes", "what it does"), commands)]
    filters = {"jobs": JOBS, "machines": NODES, "tasks": TASKS, "events": EVENTS}
    fields = [(kind, ", ".join(map(code, of.fields.known))) for kind, of in filters.items()]
    parts += ["## What filters compare", table(("rows", "names"), fields)]
    return {"keys.md": page("Keys of the dashboard", *parts)}


def _key(key: str) -> str:
    return code(shown_key(key))
