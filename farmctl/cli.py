"""The command `farmctl`: the tree of commands as data, and the one place where commands end.

Must stay light: `farmctl --help` loads this, click and little else (a test looks at sys.modules).
"""

from __future__ import annotations

import gc
import os
import sys
from typing import TYPE_CHECKING, Any, Final, NoReturn

import click

from farmctl.context import Session, common_options, set_colour
from farmctl.errors import install_hook, report
from farmctl.lazy import Branch, Leaf, Tree
from protocol.errors import FarmError, UserError

if TYPE_CHECKING:
    from collections.abc import Sequence

_NOUNS: Final = "Nouns"
_SHORT: Final = "Shortcuts"
_AT: Final = "farmctl.commands."
_JOB: Final = _AT + "job:"
_CONTROL: Final = _AT + "control:"

_USER: Final = _AT + "user:"

_JOB_VERBS: Final = {
    "list": Leaf(_JOB + "list_jobs", "List jobs.", "Look"),
    "show": Leaf(_JOB + "show", "Show one job.", "Look"),
    "wait": Leaf(_JOB + "wait", "Wait until jobs have ended.", "Look"),
    "watch": Leaf(_JOB + "watch", "Show one job, and each change of it.", "Look"),
    "download": Leaf(_AT + "download:download", "Fetch the finished frames of a job.", "Look"),
    "export": Leaf(_AT + "export:export", "Write a job as a document, or as files of another service.", "Look"),
    "approve": Leaf(_CONTROL + "approve", "Let the rest render: the test frames are good.", "Gate"),
    "reject": Leaf(_CONTROL + "reject", "Stop a job whose test frames are not good.", "Gate"),
    "pause": Leaf(_CONTROL + "pause", "Start no more frames.", "Change"),
    "resume": Leaf(_CONTROL + "resume", "Go on after a pause.", "Change"),
    "cancel": Leaf(_CONTROL + "cancel", "Stop for ever; finished frames stay.", "Change"),
    "retry": Leaf(_CONTROL + "retry", "Render failed or chosen frames again.", "Change"),
    "priority": Leaf(_CONTROL + "priority", "Say how urgent a job is, 0 to 100.", "Change"),
    "edit": Leaf(_AT + "edit:edit", "Change what a job needs, may, and is called.", "Change"),
    "resubmit": Leaf(_AT + "resubmit:resubmit", "Make a new job of an old one.", "Change"),
    "archive": Leaf(_AT + "edit:archive", "Put an ended job away; it stays.", "Change"),
    "unarchive": Leaf(_AT + "edit:unarchive", "Bring a job back into the lists.", "Change"),
    "delete": Leaf(_CONTROL + "delete", "Forget a job and its results.", "Change"),
}

TREE: Final[dict[str, Leaf | Branch]] = {
    "submit": Leaf(_AT + "submit:submit", "Render a scene on the farm.", _SHORT),
    "status": Leaf(_AT + "farm:status", "Show what is going on.", _SHORT),
    "why": Leaf(_AT + "why:why", "Say why a job or a frame does not run.", _SHORT),
    "logs": Leaf(_AT + "logs:logs", "Show what a renderer printed.", _SHORT),
    "pause": Leaf(_CONTROL + "pause", "Start no more frames of a job.", _SHORT),
    "resume": Leaf(_CONTROL + "resume", "Go on after a pause.", _SHORT),
    "cancel": Leaf(_CONTROL + "cancel", "Stop a job for ever; finished frames stay.", _SHORT),
    "events": Leaf(_AT + "events:events", "Show what happened, and who did it.", _SHORT),
    "tui": Leaf(_AT + "tui:tui", "Watch and steer the farm in this terminal.", _SHORT),
    "doctor": Leaf(_AT + "doctor:doctor", "Check this machine and its node.", _SHORT),
    "demo": Leaf(_AT + "demo:demo", "Show a whole farm on this machine.", _SHORT),
    "help": Leaf(_AT + "help:show_help", "Explain a topic, or a command.", _SHORT),
    "schema": Leaf(_AT + "schema:schema", "Print the schema of what -o json prints.", _SHORT),
    "completion": Leaf(_AT + "completion:completion", "Print the completion script of a shell.", _SHORT),
    "job": Branch(
        "What is to be rendered.",
        _JOB_VERBS,
        ("farmctl job list --filter state=rendering", "farmctl job show JOB -o json", "farmctl job wait JOB"),
        _NOUNS,
    ),
    "task": Branch(
        "The pieces of a job: frames, chunks, tiles.",
        {
            "list": Leaf(_AT + "task:list_tasks", "List the tasks of a job."),
            "show": Leaf(_AT + "task:show", "Show one task and every try of it."),
            "logs": Leaf(_AT + "logs:logs", "Show what its renderer printed."),
            "retry": Leaf(_AT + "task:retry", "Render it again, even if it is done."),
            "thumbnail": Leaf(_AT + "task:thumbnail", "Fetch a small view of a finished frame."),
        },
        ("farmctl task list JOB", "farmctl task list JOB --state failed -o wide", "farmctl task thumbnail JOB 12"),
        _NOUNS,
    ),
    "node": Branch(
        "The machines of the farm.",
        {
            "list": Leaf(_AT + "node:list_nodes", "List the machines."),
            "show": Leaf(_AT + "node:show", "Show one machine."),
            "hold": Leaf(_AT + "node:hold", "Give a machine no more work."),
            "release": Leaf(_AT + "node:release", "Let a machine work again."),
            "evict": Leaf(_AT + "member:evict", "Take a machine's admission back, for ever."),
            "replace": Leaf(_AT + "member:replace", "Let another machine stand in for a dead one."),
            "drain": Leaf(_AT + "offduty:drain", "Let a machine finish, and take nothing new."),
            "safe-to-off": Leaf(_AT + "offduty:safe_to_off", "Say whether a machine can be switched off."),
            "price": Leaf(_AT + "costs:price", "Say what an hour of a machine costs."),
        },
        ("farmctl node list -o wide", "farmctl node show ws07", "farmctl node hold ws07 --why 'I work here today'"),
        _NOUNS,
    ),
    "scene": Branch(
        "Scene files: what they say, and what they need.",
        {"analyse": Leaf(_AT + "scene:analyse", "Say what a scene depends on, and what of it is missing.")},
        ("farmctl scene analyse shot.blend", "farmctl scene analyse shot.ma --repair"),
        _NOUNS,
    ),
    "asset": Branch(
        "The files that jobs need.",
        {
            "list": Leaf(_AT + "asset:list_assets", "List the files that a job needs."),
            "show": Leaf(_AT + "asset:show", "Say how much it is, and which machines hold it."),
        },
        ("farmctl asset show JOB", "farmctl asset list JOB -o wide"),
        _NOUNS,
    ),
    "path": Branch(
        "Rules for paths: what is written in scenes, and where that is.",
        {
            "list": Leaf(_AT + "path:list_rules", "List the rules."),
            "add": Leaf(_AT + "path:add", "Let a prefix be read from elsewhere."),
            "remove": Leaf(_AT + "path:remove", "Let a rule hold no longer."),
            "test": Leaf(_AT + "path:test", "Say what becomes of a path."),
        },
        (r"farmctl path add 'Y:\show' /mnt/show", r"farmctl path test 'Y:\show\tex\a.png'", "farmctl path list"),
        _NOUNS,
    ),
    "board": Branch(
        "Tasks of any program, and of the farm, in a browser.",
        {
            "open": Leaf(_AT + "board:open_board", "Open the board that is there; so does the noun alone."),
            "list": Leaf(_AT + "board:list_programs", "List the programs on boards of this machine."),
            "tasks": Leaf(_AT + "board:list_tasks", "List the tasks of programs on a board."),
            "serve": Leaf(_AT + "board:serve", "Serve a board for programs to join."),
            "demo": Leaf(_AT + "board:demo", "Show 441 simulated tasks."),
        },
        ("farmctl board", "farmctl board demo", "farmctl board tasks --state failed"),
        _NOUNS,
        "open",
    ),
    "user": Branch(
        "The people of the farm: roles, tokens, keys.",
        {
            "list": Leaf(_USER + "list_users", "List people and their roles.", "Look"),
            "show": Leaf(_USER + "show", "Show one person, with tokens and keys.", "Look"),
            "me": Leaf(_USER + "me", "Say who you are here, and what you may.", "Look"),
            "add": Leaf(_USER + "add", "List a person.", "Change"),
            "role": Leaf(_USER + "role", "Give a person another role.", "Change"),
            "remove": Leaf(_USER + "remove", "List a person no longer.", "Change"),
            "token": Leaf(_USER + "token", "Make a token for HTTP.", "Prove"),
            "key": Leaf(_USER + "key", "Make your key, to ask other machines.", "Prove"),
            "revoke": Leaf(_USER + "revoke", "Make a token or key good for nothing.", "Prove"),
        },
        ("farmctl user me", "farmctl user add anna --role wrangler", "farmctl user token anna --label laptop"),
        _NOUNS,
    ),
    "hook": Branch(
        "Who is told of jobs and alerts.",
        {
            "list": Leaf(_AT + "hook:list_hooks", "List who is told of what."),
            "add": Leaf(_AT + "hook:add", "Tell an address or a program from now on."),
            "remove": Leaf(_AT + "hook:remove", "Tell it nothing more."),
            "test": Leaf(_AT + "hook:test", "Send a test notice now."),
        },
        (
            "farmctl hook list",
            "farmctl hook add https://ntfy.example.org/farm --on job.failed",
            "farmctl hook test 3fa1",
        ),
        _NOUNS,
    ),
    "farm": Branch(
        "The farm as a whole.",
        {
            "status": Leaf(_AT + "farm:farm_status", "Show leader, machines and jobs."),
            "doctor": Leaf(_AT + "farm:farm_doctor", "Check the farm as a whole."),
            "costs": Leaf(_AT + "costs:costs", "Sum up what rendering cost."),
            "hardware": Leaf(_AT + "costs:hardware", "List configurations of hardware and their prices."),
        },
        ("farmctl farm status", "farmctl farm doctor", "farmctl farm status -o json"),
        _NOUNS,
    ),
    "config": Branch(
        "The settings of this command line.",
        {
            "show": Leaf(_AT + "config:show", "Show every setting, and where it comes from."),
            "validate": Leaf(_AT + "config:validate", "Find what is wrong with the files."),
            "path": Leaf(_AT + "config:path", "Print where the files are looked for."),
            "set": Leaf(_AT + "config:set_value", "Write a setting into a file."),
        },
        ("farmctl config show --origin", "farmctl config set output wide", "farmctl config validate"),
        _NOUNS,
    ),
}

TOPIC_NAMES: Final = ("frames", "filters", "output", "exit-codes", "gate", "paths", "environment")
"""Of `farmctl.topics`, which help does not load."""
_WITHOUT_SETTINGS: Final = ("config", "help", "schema", "completion")
"""What works with a broken configuration file, and helps to mend it."""
EXAMPLES: Final = (
    "farmctl submit shot.blend --frames 1-100 --output ~/renders/shot",
    "farmctl why JOB",
    "farmctl job wait JOB",
)


class Root(Tree):
    """The command itself: every way to end leads through `main`."""

    def main(
        self,
        args: Sequence[str] | None = None,
        prog_name: str | None = None,
        complete_var: str | None = None,
        standalone_mode: bool = True,  # noqa: ARG002  # the signature is click's
        windows_expand_args: bool = True,  # noqa: ARG002  # the signature is click's
        **extra: Any,
    ) -> NoReturn:
        """Run one command line and exit with its code."""
        session = extra["obj"] = extra.get("obj") or Session()
        if "_FARMCTL_COMPLETE" in os.environ:
            from farmctl.shells import register

            register()
        try:
            code = super().main(args, prog_name or "farmctl", complete_var, standalone_mode=False, **extra)
        except BrokenPipeError:
            code = _reader_left()
        except (click.ClickException, click.Abort, KeyboardInterrupt, FarmError, OSError) as error:
            code = report(error, debug=session.debug)
        finally:
            session.close()
        sys.exit(int(code or 0))


def _reader_left() -> int:
    """Keep the interpreter from complaining, at its end, about output that nobody reads."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return UserError.code


def _print_version(ctx: click.Context, _param: click.Parameter, value: bool) -> None:
    if value and not ctx.resilient_parsing:
        from importlib.metadata import version

        click.echo(f"farmctl {version('farmd')}")
        ctx.exit()


@click.command(
    "farmctl",
    cls=Root,
    tree=TREE,
    examples=EXAMPLES,
    params=[
        *common_options(environment=True),
        click.Option(["--version"], is_flag=True, is_eager=True, expose_value=False, callback=_print_version),
    ],
    no_args_is_help=True,
    epilog=f"Topics: farmctl help {'|'.join(TOPIC_NAMES)}",
)
@click.pass_context
def cli(ctx: click.Context) -> None:
    """Submit to, watch and steer a render farm, by way of any of its nodes."""
    from farmctl.settings import apply_settings

    session = ctx.ensure_object(Session)
    try:
        apply_settings(session)
    except UserError:
        if ctx.invoked_subcommand not in _WITHOUT_SETTINGS:
            raise
    if session.color is not None:
        set_colour(ctx, session.color)


def main() -> None:
    """Run the command line of this process."""
    gc.freeze()  # what was imported stays to the end: looking through it for garbage took a tenth of the time
    install_hook()
    cli()
