# shellcheck shell=bash
# The shell of each command that Claude Code runs (bash or zsh) reads this, through the line that SessionStart left in the session's
# environment file: `. route.sh ROOT PROJECT`. In a routed project it sends the command to the workspace; the shell itself runs none
# of it. The shell was started as `… && . route.sh … && eval '<the command>' …`.
# Functions that variables brought (bash(1), `export -f`) go before the shell's own words, but not before its special ones in this mode.
POSIXLY_CORRECT=1
unset -f builtin command type exec eval cd export sh runcode id exit return echo printf test '[' false true grep read shift cat cut getent 2>/dev/null || :
unset POSIXLY_CORRECT
unset -f eval runcode_routed runcode_routed_apart 2>/dev/null || : # in case an older line of the environment file came first
. "$1/plugin/attached"
if is_anything_attached; then
    runcode_root=$1 runcode_project=$2
    # COMMAND ARGUMENT…: what runcode says, run in the project's folder so that the launcher trusts no path in it.
    runcode_asks() (
        cd -- "$runcode_project" 2>/dev/null || exit 1
        # shellcheck disable=SC2030
        RUNCODE_DOWNLOAD_BASE=file:///dev/null/ /bin/sh "$runcode_root/bin/runcode" hook "$@" </dev/null
    )
    runcode_refuses() {
        echo "runcode: this project is routed to a workspace, and $1; nothing was run" >&2
        exit 255
    }
    runcode_routing=$(runcode_asks routing -- "$runcode_project" 2>/dev/null)
    case $runcode_routing in
        on)
            case ${BASH_EXECUTION_STRING-}${ZSH_EXECUTION_STRING-} in
                *' && eval '*) ;;
                *) runcode_refuses 'this version of Claude Code starts commands in a way that cannot be routed' ;;
            esac
            runcode_routed() { :; }
            runcode_routed_apart() { :; }
            # shellcheck disable=SC2317 # the client calls it
            eval() {
                # A single runcode command runs on this machine.
                case $1 in
                    *runcode*)
                        if [ "$(runcode_asks where -- "$1" 2>/dev/null)" = here ]; then
                            # Else the locale decides which bytes are blanks and quotes.
                            LC_ALL=C
                            builtin eval "$1"
                            return
                        fi
                        ;;
                esac
                cd -- "$runcode_project" 2>/dev/null || runcode_refuses "the project's folder is gone"
                # shellcheck disable=SC2031
                RUNCODE_DOWNLOAD_BASE=file:///dev/null/
                export RUNCODE_DOWNLOAD_BASE
                exec /bin/sh "$runcode_root/bin/runcode" hook road -- "$runcode_project" "$1"
                exit 255
            }
            ;;
        off) ;;
        *)
            # It says why, once more.
            ! may_be_routed "$runcode_project" ||
                runcode_refuses "runcode cannot tell where: $(runcode_asks routing -- "$runcode_project" 2>&1)"
            ;;
    esac
fi
