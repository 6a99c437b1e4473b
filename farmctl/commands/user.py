"""`farmctl user list|show|me|add|role|remove|token|key|revoke`: who may do what, and how they prove who they are.

All checks are the node's. A token is printed once, to stdout alone; of a key pair only the public half leaves this
machine, and the secret one is written where only its owner can read it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import click

from farmctl.columns import text, when
from farmctl.completing import complete_users
from farmctl.confirm import confirm
from farmctl.context import Session, pass_session
from farmctl.lazy import Verb
from farmctl.options import DRY_RUN, NO_INPUT, YES
from farmctl.output import Column, Listing, fields
from protocol.errors import UsageError
from protocol.human import printable, relative_time
from protocol.people import EVERYBODY, ROLES

if TYPE_CHECKING:
    from collections.abc import Iterable

    from farmctl.output import View


def _count(name: str) -> Any:
    return lambda row, _now: str(len(row.get(name) or ()) or "")


def _name(row: View, _now: int) -> str:
    return "* (everybody else)" if row.get("name") == EVERYBODY else str(row.get("name", ""))


_USERS: Final = Listing(
    "users",
    (
        Column("NAME", _name),
        Column("ROLE", text("role")),
        Column("TOKENS", _count("tokens"), right=True),
        Column("KEYS", _count("keys"), right=True),
        Column("FULL NAME", text("full_name")),
        Column("BY", text("actor"), wide=True),
        Column("SET", when("set_at_ms"), wide=True),
    ),
    "name",
    "nobody is listed; list somebody: farmctl user add NAME --role wrangler",
)
_NAME: Final = click.argument("name", shell_complete=complete_users)
_OWN_NAME: Final = click.argument("name", required=False, shell_complete=complete_users)
_ROLE: Final = click.Choice(ROLES)
_LABEL: Final = click.option("--label", default="", metavar="TEXT", help="What for; others read it in the list.")


@click.command("list", cls=Verb, examples=("farmctl user list", "farmctl user list -o json"))
@pass_session
def list_users(session: Session) -> None:
    """List the people of the farm, and the role of everybody who is not listed."""
    session.printer.listing(_all_users(session), _USERS)


def _all_users(session: Session) -> View:
    """Ask for all people, in as many parts as they take."""
    document: View = session.call("user.list")
    while after := document.get("next"):
        part = session.call("user.list", after=after)
        document = part | {"users": [*document["users"], *part["users"]]}
    return document


@click.command("show", cls=Verb, examples=("farmctl user show anna", "farmctl user show anna -o json"))
@_OWN_NAME
@pass_session
def show(session: Session, name: str | None) -> None:
    """Show one person, with the ids of tokens and keys; yourself if nobody is named."""
    document = session.call("user.show", name=name or _own_name(session))
    session.printer.one(document, str(document["user"]["name"]), _card)


@click.command("me", cls=Verb, examples=("farmctl user me", "farmctl --node ws08:7777 user me"))
@pass_session
def me(session: Session) -> None:
    """Say who you are to the node, and which role you have there."""
    document = session.call("user.me")
    session.printer.one(document, str(document["user"]), _me_lines)


@click.command(
    "add",
    cls=Verb,
    examples=("farmctl user add anna", "farmctl user add ben --role wrangler --full-name 'Ben Ohm'"),
)
@click.argument("name")
@click.option("--role", type=_ROLE, help="What the person may do; artist unless it is said.")
@click.option("--full-name", default="", metavar="TEXT", help="For people.")
@DRY_RUN
@pass_session
def add(session: Session, name: str, role: str | None, full_name: str) -> None:
    """List the person whose account on the machines is called NAME.

    viewer only reads; artist submits, and steers the own jobs and the machine at hand; wrangler steers all jobs and
    machines and makes path rules; admin decides about people and machines. Each may what the ones before may. Somebody
    who is listed is given another full name in the same way.
    """
    asked: dict[str, Any] = {"name": name, "full_name": full_name, "dry_run": session.dry_run}
    if role is not None:
        asked["role"] = role
    _print(session, session.call("user.add", **asked))


@click.command(
    "role",
    cls=Verb,
    examples=("farmctl user role anna wrangler", "farmctl user role '*' viewer   # everybody who is not listed"),
)
@_NAME
@click.argument("role", type=_ROLE)
@DRY_RUN
@pass_session
def role(session: Session, name: str, role: str) -> None:
    """Give a person another role; "*" stands for everybody who is not listed."""
    _print(session, session.call("user.role", name=name, role=role, dry_run=session.dry_run))


@click.command("remove", cls=Verb, examples=("farmctl user remove anna", "farmctl user remove anna -y"))
@_NAME
@DRY_RUN
@YES
@NO_INPUT
@pass_session
def remove(session: Session, name: str) -> None:
    """List a person no longer; tokens and keys of that person are revoked for ever.

    Jobs stay. On the machines that person has the role of everybody who is not listed: close the account there, too.
    """
    held = session.call("user.show", name=name)["user"]
    lost = f"{len(held['tokens'])} tokens and {len(held['keys'])} keys are revoked for ever"
    if not session.dry_run:
        confirm(f"remove {printable(name)}? {lost}", yes=session.yes, no_input=session.no_input)
    answer = session.call("user.remove", name=name, dry_run=session.dry_run)
    session.printer.one(answer, name, lambda _answer, _now: [f"removed: {printable(name)}; {lost}"])
    _warn(session, answer)


@click.command(
    "token",
    cls=Verb,
    examples=("farmctl user token anna --label laptop", "farmctl user token -q > ~/.farm-token"),
)
@_OWN_NAME
@_LABEL
@pass_session
def token(session: Session, name: str | None, label: str) -> None:
    """Make a token for HTTP, and print it once; nobody can show it again."""
    answer = session.call("user.token", name=name or _own_name(session), label=label)
    session.printer.one(answer, str(answer["token"]), lambda document, _now: [str(document["token"])])
    _warn(session, answer)
    session.note(f"shown this once; take it back: farmctl user revoke {answer['user']['name']} {answer['id']}")


@click.command(
    "key",
    cls=Verb,
    examples=(
        "farmctl user key",
        "farmctl user key --label laptop --new",
        "farmctl user key anna --public 5f1e…    # as admin, for somebody else",
    ),
)
@_OWN_NAME
@_LABEL
@click.option("--new", "anew", is_flag=True, help="Make another key pair; the one before stays valid until revoked.")
@click.option("--public", metavar="HEX", help="Register this public key, and make none.")
@pass_session
def key(session: Session, name: str | None, label: str, *, anew: bool, public: str | None) -> None:
    """Make your key pair, and let the farm know it: then farmctl can ask nodes of other machines as you.

    Needed only by who cannot read the key of this machine's daemon. The secret key is kept in ~/.config/farm/user.key.
    """
    from farmctl.keyfile import own_key, public_key_of

    pair = None if public else own_key(anew=anew)
    public_key = public_key_of(public) if public else pair.public_key if pair else b""
    owner = name or _own_name(session)
    answer = session.call("user.key", name=owner, public_key=public_key, label=label)
    if pair is not None:
        pair.keep()
    session.printer.one(answer, str(answer["id"]), lambda document, _now: [_key_line(document, public_key)])
    _warn(session, answer)
    if pair is not None:
        session.note(f"kept in {pair.path}: from here other machines are asked as {answer['user']['name']} from now on")


@click.command(
    "revoke", cls=Verb, examples=("farmctl user revoke anna 3fa1", "farmctl user revoke anna 3fa1 --dry-run")
)
@_NAME
@click.argument("credential", metavar="ID")
@DRY_RUN
@pass_session
def revoke(session: Session, name: str, credential: str) -> None:
    """Make a token or key good for nothing, for ever; `farmctl user show NAME` names them."""
    answer = session.call("user.revoke", name=name, id=credential, dry_run=session.dry_run)
    said = f"revoked: {answer['what']} {answer['id']} of {printable(name)}"
    session.printer.one(answer, str(answer["id"]), lambda _answer, _now: [said])
    _warn(session, answer)


def _own_name(session: Session) -> str:
    name = str(session.call("user.me")["user"])
    if not name:
        raise UsageError("the node does not know who you are", "", "name a person")
    return name


def _print(session: Session, answer: View) -> None:
    session.printer.one(answer, str(answer["user"]["name"]), _lines)
    _warn(session, answer)


def _warn(session: Session, answer: View) -> None:
    if answer.get("stored") == "here" and not answer.get("alone"):
        session.warn("stored here only, other machines learn of it as soon as one answers")
    if answer.get("dry_run"):
        session.note("dry run: nothing was changed")


def _lines(answer: View, now_ms: int) -> Iterable[str]:
    user = answer["user"]
    said = f"{_name(user, now_ms)} is {user['role']}"
    yield said if answer.get("changed") else f"{said}  (was so already)"


def _me_lines(document: View, _now_ms: int) -> Iterable[str]:
    yield printable(f"{document['user']} is {document['role']} here ({document['actor']} in the history)")


def _key_line(document: View, public_key: bytes) -> str:
    already = "" if document.get("changed") else "  (was so already)"
    return f"key {document['id']} of {document['user']['name']}: {public_key.hex()}{already}"


def _card(document: View, now_ms: int) -> Iterable[str]:
    user = document["user"]
    set_at = user.get("set_at_ms")
    yield from fields(
        (
            ("name", _name(user, now_ms)),
            ("full name", printable(str(user.get("full_name", "")))),
            ("role", str(user["role"])),
            ("set", printable(f"{relative_time(int(set_at), now_ms)} by {user.get('actor')}") if set_at else ""),
            *[("token", _held(row, now_ms)) for row in user.get("tokens", [])],
            *[("key", _held(row, now_ms)) for row in user.get("keys", [])],
        )
    )


def _held(row: View, now_ms: int) -> str:
    label = f"{row['label']}, " if row.get("label") else ""
    return printable(f"{row['id']}  {label}made {relative_time(int(row['made_ms']), now_ms)} by {row['actor']}")
