# shellcheck shell=bash
# The one place that makes virtual environments. Source it, do not run it:
#
#     source "$(dirname "${BASH_SOURCE[0]}")/lib/venv.sh"     # from a script in scripts/
#     ensure_venv demo                # ./.venv-demo with `pip install -e .[demo]`, small and quick
#     ensure_venv dev demo            # ./.venv with everything tests and checks need
#     "$VENV/bin/farmd" --version     # ensure_venv sets VENV (absolute) and ROOT
#
# ensure_venv EXTRAS... installs only when what pyproject.toml says about the package, the extras,
# the interpreter or the place of the tree changed since the last complete installation; otherwise
# it costs a tenth of a second. With `dev` among the extras the environment is .venv; any other set lives in
# .venv-<extras>, so that a user who only wants the demo never downloads linters, and running
# the demo never disturbs a developer. An inherited VENV is overwritten, never believed: what is
# broken is deleted here, and that must only ever be a folder of this tree.
#
# Nothing here reads standard input, changes the caller's directory, or needs root.

ROOT="$(cd -- "$(dirname -- "${BASH_SOURCE[0]}")/../.." && pwd -P)"

_venv_die() {
    printf '%s: %s\n' "$(basename -- "$0")" "$1" >&2
    shift
    printf '  %s\n' "$@" >&2
    exit 1
}

# Prints the first interpreter that really runs and is new enough. Candidates are started, not
# only looked up: a version manager's shim exists for versions that it does not have.
_venv_find_python() {
    local candidate seen=""
    for candidate in ${PYTHON:+"$PYTHON"} python3.11 python3.12 python3.13 python3 \
        /usr/bin/python3.11 /usr/bin/python3; do
        command -v -- "$candidate" >/dev/null 2>&1 || continue
        if "$candidate" -c 'import sys; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1; then
            "$candidate" -c 'import sys; print(sys.executable)'
            return 0
        fi
        seen="$seen $candidate"
    done
    _venv_die "no Python 3.11 or newer found (looked at:${seen:- nothing})." \
        "Debian 12, Ubuntu 24.04 and newer: sudo apt-get install python3 python3-venv" \
        "Or name one yourself: PYTHON=/path/to/python3.11 $0"
}

_venv_create() {
    local python="$1"
    "$python" -c 'import venv, ensurepip' >/dev/null 2>&1 || _venv_die \
        "$python cannot make virtual environments (no venv or ensurepip)." \
        "Debian and Ubuntu: sudo apt-get install python3-venv"
    rm -rf -- "$VENV"
    printf 'making %s with %s\n' "$VENV" "$("$python" --version 2>&1)" >&2
    "$python" -m venv -- "$VENV" >&2 || _venv_die \
        "could not make $VENV." "Debian and Ubuntu: sudo apt-get install python3-venv"
}

# True if the environment's own python and pip start from the place where it lies now. A moved
# or copied environment fails here: its scripts name the old place.
_venv_usable() {
    local start
    [ -x "$VENV/bin/python" ] && [ -f "$VENV/bin/pip" ] || return 1
    start="$(head -n 3 -- "$VENV/bin/pip")"
    # The second form is what pip writes where the path is too long, or has a space, for a shebang.
    case "$start" in
        "#!$VENV/bin/python"* | *"'exec' \"$VENV/bin/python"* | *"'exec' $VENV/bin/python"*) ;;
        *) return 1 ;;
    esac
    "$VENV/bin/python" -c 'import sys, pip; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1
}

# The name of what must be installed: changes exactly when a new installation is due. Only the
# parts of pyproject.toml that an installation reads count; a lint rule does not.
_venv_wanted() {
    "$VENV/bin/python" - "$1" "$ROOT" <<'PYTHON'
import hashlib, json, platform, sys, tomllib

extras, root = sys.argv[1:]
with open(f"{root}/pyproject.toml", "rb") as file:
    whole = tomllib.load(file)
read = [whole.get("build-system"), whole.get("project"), whole.get("tool", {}).get("hatch")]
digest = hashlib.sha256(json.dumps(read, sort_keys=True).encode()).hexdigest()
print(extras, root, platform.python_version(), digest)
PYTHON
}

# What pip says goes into a file: a person needs it only if pip fails, and its warnings (of an index
# that does not answer, of a cache that it may not write) would hide everything else.
_venv_install() {
    local extras="$1" try log="$VENV/install.log"
    for try in 1 2 3; do
        if "$VENV/bin/python" -m pip install --quiet --disable-pip-version-check --no-input \
            --editable "$ROOT[$extras]" >"$log" 2>&1; then
            return 0
        fi
        printf 'installing failed (try %s of 3)\n' "$try" >&2
        sleep "$((try * ${VENV_PAUSE_S:-2}))"
    done
    printf 'the end of %s:\n' "$log" >&2
    tail -n 20 -- "$log" >&2
    _venv_die "could not install .[$extras] into $VENV."
}

ensure_venv() {
    local extras="" extra python stamp wanted
    [ "$#" -gt 0 ] || _venv_die "ensure_venv: name at least one extra of pyproject.toml"
    for extra in "$@"; do extras="${extras:+$extras,}$extra"; done
    case ",$extras," in
        *,dev,*) VENV="$ROOT/.venv" ;;
        *) VENV="$ROOT/.venv-${extras//,/-}" ;;
    esac
    stamp="$VENV/.installed"

    # Two terminals may start at once: the second waits, then finds the work done.
    # In a tree that belongs to somebody else a complete environment is used as it is.
    if { exec 9>"$VENV.lock"; } 2>/dev/null; then flock 9 2>/dev/null || true; fi
    if ! _venv_usable; then
        python="$(_venv_find_python)" || exit 1
        _venv_create "$python"
    fi
    wanted="$(_venv_wanted "$extras")"
    if [ ! -f "$stamp" ] || [ "$(cat -- "$stamp")" != "$wanted" ]; then
        printf 'installing .[%s] into %s\n' "$extras" "$VENV" >&2
        rm -f -- "$stamp"
        _venv_install "$extras"
        printf '%s\n' "$wanted" >"$stamp"
    fi
    { exec 9>&-; } 2>/dev/null || true
}
