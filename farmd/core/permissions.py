"""Who may do what: each operation has a need, each role meets some needs, and this is the only place that compares.

An order is judged where it is given, with the roles that are known there and then, and is good for ever after: a row
that arrives later is never judged again. Otherwise two nodes that learn of a role change and of an order in different
sequence would disagree about the order, for ever.

Whoever is no person (the daemon's own user, root, another node) may do everything. An operation without a line in
`RULES` is for admins alone, so that a forgotten line locks people out and not in. Called by `farmd.core.door` before
each operation, and by the doors for what they answer themselves; never writes.
"""

from __future__ import annotations

from enum import Enum
from typing import TYPE_CHECKING, Final, NamedTuple

from farmd.core.arguments import job_of
from protocol.errors import NotAllowed
from protocol.people import ROLES, is_user_name, person_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    from farmd.core.events import ClientAsked
    from farmd.core.node import Node

VIEWER, ARTIST, WRANGLER, ADMIN = range(len(ROLES))


class Need(Enum):
    """What it takes to be allowed an operation."""

    READ = "everybody"
    WORK = "an artist"
    OWN_JOB = "the job's owner, or a wrangler"
    OWN_NODE = "an artist who sits at that machine, or a wrangler"
    WRANGLE = "a wrangler"
    OWN_ACCOUNT = "that person itself, but not by a token, or an admin"
    ADMINISTER = "an admin"
    DAEMON = "the daemon's own user"


class Rule(NamedTuple):
    """What an operation needs, and what it does, in words that follow "may not"."""

    need: Need
    doing: str


_READING: Final = (
    "farm.status", "farm.feed", "node.list", "node.show", "node.key", "job.list", "job.show", "job.spec", "job.watch",
    "job.feed", "task.list", "task.show", "task.thumbnail", "asset.show", "why", "logs", "result.list",
    "result.fetch", "farm.costs", "farm.hardware", "node.safe", "log.tail", "log.read", "log.find", "log.follow", "log.list",
    "event.list", "blob.get", "events", "doctor", "board.list", "path.list", "path.test", "user.list", "user.show",
    "user.me", "signer.list",
)  # fmt: skip
_UPLOADING: Final = ("blob.put", "blob.put_small", "blob.missing")

RULES: Mapping[str, Rule] = {
    **{op: Rule(Need.READ, "read what the farm knows") for op in _READING},
    **{op: Rule(Need.WORK, "send files to the farm") for op in _UPLOADING},
    "job.submit": Rule(Need.WORK, "submit jobs"),
    "job.control": Rule(Need.OWN_JOB, "steer"),
    "job.edit": Rule(Need.OWN_JOB, "change"),
    "node.hold": Rule(Need.OWN_NODE, "hold"),
    "node.release": Rule(Need.OWN_NODE, "release"),
    "node.drain": Rule(Need.OWN_NODE, "drain"),
    "node.price": Rule(Need.WRANGLE, "set prices"),
    "node.evict": Rule(Need.ADMINISTER, "evict machines"),
    "node.replace": Rule(Need.ADMINISTER, "replace machines"),
    "board.publish": Rule(Need.WORK, "show programs"),
    "signer.add": Rule(Need.ADMINISTER, "add signing keys"),
    "signer.retire": Rule(Need.ADMINISTER, "retire signing keys"),
    "path.add": Rule(Need.WRANGLE, "make path rules"),
    "path.remove": Rule(Need.WRANGLE, "remove path rules"),
    "user.add": Rule(Need.ADMINISTER, "list people"),
    "user.role": Rule(Need.ADMINISTER, "change roles"),
    "user.remove": Rule(Need.ADMINISTER, "remove people"),
    "user.token": Rule(Need.OWN_ACCOUNT, "make tokens"),
    "user.revoke": Rule(Need.OWN_ACCOUNT, "revoke tokens and keys"),
    "user.key": Rule(Need.OWN_ACCOUNT, "register keys"),
    "hook.list": Rule(Need.ADMINISTER, "see who is told"),
    "hook.add": Rule(Need.ADMINISTER, "add hooks"),
    "hook.remove": Rule(Need.ADMINISTER, "remove hooks"),
    "hook.test": Rule(Need.ADMINISTER, "try hooks out"),
    "user.check": Rule(Need.DAEMON, "check tokens"),
}
_LEAST: Final = {
    Need.READ: VIEWER,
    Need.WORK: ARTIST,
    Need.OWN_JOB: WRANGLER,
    Need.OWN_NODE: WRANGLER,
    Need.WRANGLE: WRANGLER,
    Need.OWN_ACCOUNT: ADMIN,
    Need.ADMINISTER: ADMIN,
}
"""The least role that meets a need whatever the operation is about."""


class Permissions:
    """Compares what is asked with who asks."""

    def __init__(self, node: Node) -> None:
        self._node = node

    def check(self, event: ClientAsked) -> None:
        """Return if the caller may do this.

        Raises:
            NotAllowed: It may not.
            NotFound: The job that it is about is not known.
            UsageError: The request does not say which job.
        """
        rule = RULES.get(event.op) or Rule(Need.ADMINISTER, f"ask for {event.op}")
        if rule.need is Need.DAEMON:
            if event.same_user and not event.user:
                return
            raise NotAllowed(f"{event.actor} may not {rule.doing}", "only the daemon's own doors do that", "")
        if not event.user:
            return
        role = ROLES.index(self._node.users.role_of(event.user))
        if role >= _LEAST[rule.need]:
            return
        match rule.need:
            case Need.OWN_JOB:
                self._check_job(event, rule, role)
            case Need.OWN_NODE:
                self._check_node(event, rule, role)
            case Need.OWN_ACCOUNT:
                self._check_account(event, rule)
            case _:
                raise self._too_little(event, rule.doing, rule.need)

    def owner_for(self, event: ClientAsked, wanted: str) -> str:
        """Return who owns what is submitted: nobody below a wrangler can submit in the name of somebody else."""
        own = not event.user or person_of(wanted) == event.user
        if wanted and (own or ROLES.index(self._node.users.role_of(event.user)) >= WRANGLER):
            return wanted
        return event.actor

    # -- what a thing is, besides who asks ----------------------------------------------------------------------------

    def _check_job(self, event: ClientAsked, rule: Rule, role: int) -> None:
        job = job_of(self._node, event)
        action = event.args.get("action")
        doing = f"{action if isinstance(action, str) else rule.doing} job {job.id}"
        if role < ARTIST:
            raise self._too_little(event, doing, rule.need)
        owner = person_of(job.spec.owner)
        if owner != event.user:
            why = f"it belongs to {owner}, and artists steer their own jobs"
            raise NotAllowed(f"{event.user} may not {doing}", why, f"ask {owner} or a wrangler (farmctl user list)")

    def _check_node(self, event: ClientAsked, rule: Rule, role: int) -> None:
        named = event.args.get("node")
        doing = f"{rule.doing} {named if isinstance(named, str) and named else 'this machine'}"
        if role < ARTIST:
            raise self._too_little(event, doing, rule.need)
        here = event.proof == "local" and (not named or self._node.registry.find(str(named)) == [self._node.id])
        if not here:
            raise NotAllowed(
                f"{event.user} may not {doing}",
                "artists do that on the machine that they sit at",
                "run farmctl there, or ask a wrangler (farmctl user list)",
            )

    def _check_account(self, event: ClientAsked, rule: Rule) -> None:
        if event.proof == "token":
            raise NotAllowed(
                f"{event.user} may not {rule.doing} here",
                "who holds a token must not be able to make it last longer than it does",
                "run farmctl on a machine of the farm",
            )
        if event.args.get("name") != event.user:
            raise self._too_little(event, f"{rule.doing} of others", rule.need)

    def _too_little(self, event: ClientAsked, doing: str, need: Need) -> NotAllowed:
        users = self._node.users
        role = users.role_of(event.user)
        whose = f"{event.user} is {role}" if users.is_listed(event.user) else f"who is not listed is {role}"
        least = ROLES[min(_LEAST[need], ARTIST) if need in (Need.OWN_JOB, Need.OWN_NODE) else _LEAST[need]]
        hint = f"an admin can change that: {_raising(event.user, least, is_listed=users.is_listed(event.user))}"
        return NotAllowed(f"{event.user} may not {doing}", f"it takes {need.value}, and {whose}", hint)


def _raising(user: str, role: str, *, is_listed: bool) -> str:
    """Return the command that gives somebody a role; accounts that cannot be listed have that of all who are not."""
    if is_listed:
        return f"farmctl user role {user} {role}"
    return f"farmctl user add {user} --role {role}" if is_user_name(user) else f"farmctl user role '*' {role}"
