"""Which jobs or nodes are meant: ids, beginnings or parts of them, exact names, nine digits, `-` for stdin, a filter.

A whole id is taken as it is and costs no question; anything else is looked up once for the whole command. What could
be two things is refused, with both named: a wrong guess would cancel somebody else's job.
"""

from __future__ import annotations

import re
import sys
from typing import TYPE_CHECKING, Final

from farmctl.listing import all_jobs
from protocol.errors import NotFound, UsageError
from protocol.human import nearest_word

if TYPE_CHECKING:
    from collections.abc import Sequence

    from farmctl.context import Session
    from farmctl.output import View
    from protocol.filters import Fields

_JOB_ID: Final = re.compile("[0-9a-hjkmnp-tv-z]{16}")
_TASK_ID: Final = re.compile("[1-9][0-9]{8}")
_NODE_ID: Final = re.compile("[0-9a-f]{16}")
_STDIN: Final = "-"
_PART_CHARS: Final = 4
"""Jobs of one day begin alike, and end at random: so a part of an id is taken too, if it is not too short."""


def select_jobs(session: Session, words: Sequence[str], *, archived: str = "without") -> list[str]:
    """Return the ids of the jobs that are meant, each once, in the order given.

    Args:
        session: With --filter.
        words: As they were given; a job that is named is found, archived or not.
        archived: Which jobs a filter is held against: "without" archived ones, "only" these, or "with" them.

    Raises:
        UserError: A word means no job, or several; or none is named in any way.
    """
    if _is_by_filter(session, "job", words):
        from protocol.filters import JOB_FIELDS

        return _all_ids(session, "job", keep_chosen(session, all_jobs(session, archived=archived)["jobs"], JOB_FIELDS))
    return _named_jobs(session, words)


def _named_jobs(session: Session, words: Sequence[str]) -> list[str]:
    given = _given(session, "job", words)
    if all(map(_JOB_ID.fullmatch, given)):
        return list(dict.fromkeys(given))
    jobs: list[View] = all_jobs(session)["jobs"]
    found = (word if _JOB_ID.fullmatch(word) else _pick("job", word, jobs) for word in given)
    return list(dict.fromkeys(found))


def select_job(session: Session, word: str) -> str:
    """Return the id of the one job that is meant; a filter is then about something else, such as its tasks.

    Raises:
        UserError: The word means no job, or several.
    """
    found = _named_jobs(session, [word])
    if len(found) != 1:
        raise UsageError("one job is needed here", f"{len(found)} were given", "name one job")
    return found[0]


def select_node(session: Session, word: str) -> str:
    """Return the id of the node that is meant.

    Raises:
        UserError: The word means no node, or several.
    """
    if _NODE_ID.fullmatch(word):
        return word
    return _pick("node", word, session.call("node.list")["nodes"])


def select_nodes(session: Session, words: Sequence[str]) -> list[str]:
    """Return the ids of the nodes that are meant, each once, in the order given.

    Raises:
        UserError: A word means no node, or several; or none is named in any way.
    """
    if _is_by_filter(session, "node", words):
        from protocol.filters import NODE_FIELDS

        return _all_ids(session, "node", keep_chosen(session, session.call("node.list")["nodes"], NODE_FIELDS))
    given = _given(session, "node", words)
    if all(map(_NODE_ID.fullmatch, given)):
        return list(dict.fromkeys(given))
    nodes: list[View] = session.call("node.list")["nodes"]
    return list(dict.fromkeys(word if _NODE_ID.fullmatch(word) else _pick("node", word, nodes) for word in given))


def keep_chosen(session: Session, rows: list[View], fields: Fields) -> list[View]:
    """Return the rows that `--filter` keeps; all if there is none.

    Raises:
        UsageError: The filter cannot be read.
    """
    if not session.chosen:
        return rows
    from farmctl.submission import user_name
    from protocol.filters import Asking, parse_filter

    keeps = parse_filter(session.chosen, Asking(user_name(), session.now_ms()), fields)
    return [row for row in rows if keeps(row)]


def _is_by_filter(session: Session, kind: str, words: Sequence[str]) -> bool:
    """Tell whether a filter chooses.

    Raises:
        UsageError: Ids and a filter are both there, or neither.
    """
    if session.chosen and words:
        raise UsageError("ids and --filter exclude one another", f"both say which {kind}s are meant", "leave one out")
    if not session.chosen and not words:
        raise UsageError(
            f"no {kind} is named", "give ids, - for ids from stdin, or --filter TESTS", f"farmctl {kind} list"
        )
    return bool(session.chosen)


def _all_ids(session: Session, kind: str, rows: list[View]) -> list[str]:
    if not rows:
        session.note(f"no {kind} matches {session.chosen}")
    return [str(row["id"]) for row in rows]


def _given(session: Session, kind: str, words: Sequence[str]) -> list[str]:
    given = [word for item in words for word in (_from_stdin() if item == _STDIN else [item])]
    if not given:
        session.note(f"stdin names no {kind}")
    return given


def _from_stdin() -> list[str]:
    lines = sys.stdin.read().splitlines()
    return [line.split()[0] for line in lines if line.strip()]


def _is_task_id(word: str, job: str) -> bool:
    """Tell whether nine digits name a job; an id that is none, from a newer node, has no digits."""
    if not _TASK_ID.fullmatch(word) or not _JOB_ID.fullmatch(job):
        return False
    from protocol.ids import JobId, task_id_of

    return task_id_of(JobId(job)) == word


def _pick(kind: str, word: str, rows: list[View]) -> str:
    for matches in (
        [row for row in rows if row.get("name") == word or (kind == "job" and _is_task_id(word, str(row["id"])))],
        [row for row in rows if word and str(row["id"]).startswith(word.lower())],
        [row for row in rows if len(word) >= _PART_CHARS and word.lower() in str(row["id"])],
    ):
        if len(matches) == 1:
            return str(matches[0]["id"])
        if matches:
            shown = ", ".join(f"{row['id']} ({row.get('name', '')})" for row in matches[:4])
            more = ", …" if len(matches) > 4 else ""
            raise NotFound(
                f"{word!r} could be {len(matches)} {kind}s", shown + more, f"give the whole id of one {kind}"
            )
    names = [str(row.get("name", "")) for row in rows]
    meant = nearest_word(word, names)
    hint = f"did you mean {meant}?" if meant else f"see them all: farmctl {kind} list"
    raise NotFound(f"no {kind} {word!r}", f"it is no id, no part of one and no name of a {kind}", hint)
