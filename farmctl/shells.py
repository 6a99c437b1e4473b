"""How shells ask for completions: bash by a script of our own, zsh and fish by click's.

Bash breaks words at `=` and `:`, so that `--filter state=fa` and `--node host:78` reach a completion in pieces, and what
it offers replaces the last piece only. So the script hands over the line as it is typed, and takes from each answer what
stands on the screen already. Loaded only to print a script, or when a shell asks.
"""

from __future__ import annotations

import os
from typing import ClassVar, Final

from click.shell_completion import BashComplete, add_completion_class, split_arg_string

_BASH: Final = """\
%(complete_func)s() {
    local line="${COMP_LINE:0:COMP_POINT}" word head= kind value
    word="${line##*[[:space:]]}"
    if [[ "$COMP_WORDBREAKS" == *=* && "$word" == *[=:]* ]]; then head="${word%%"${word##*[=:]}"}"; fi
    COMPREPLY=()
    while IFS=, read -r kind value; do
        case "$kind" in
            dir) compopt -o dirnames ;;
            file) compopt -o default ;;
            plain)
                [[ "$value" == *= ]] && compopt -o nospace
                value="${value#"$head"}"
                [[ "$value" == *[^[:alnum:]_.,:=/@%%+~^-]* ]] && printf -v value '%%q' "$value"
                COMPREPLY+=("$value")
                ;;
        esac
    done < <(COMP_LINE="$line" %(complete_var)s=bash_complete "$1" 2>/dev/null)
}
complete -o nosort -F %(complete_func)s %(prog_name)s
"""


class Bash(BashComplete):
    """Completion for bash, from the line as it was typed."""

    source_template: ClassVar[str] = _BASH

    def get_completion_args(self) -> tuple[list[str], str]:
        """Return the whole words and the beginning of one; older scripts hand over words that bash has split."""
        line = os.environ.get("COMP_LINE")
        if line is None:
            return super().get_completion_args()
        words = split_arg_string(line)[1:]
        return (words, "") if not words or line[-1:].isspace() else (words[:-1], words[-1])


def register() -> None:
    """Let click use ours."""
    add_completion_class(Bash)
