# Completion of runcode in bash. Each answer is a finished word: bash inserts it as it is.
_runcode() {
    local word
    COMPREPLY=()
    # A word that goes on after the cursor stays as it is: what would be put before its rest is not known to fit.
    [[ -z ${COMP_LINE:COMP_POINT} || ${COMP_LINE:COMP_POINT:1} == [[:blank:]] ]] || return 0
    while IFS= read -r word; do
        [[ -z $word ]] || COMPREPLY+=("$word")
    done <<<"$(RUNCODE_COMPLETE=bash command runcode -- "${COMP_LINE:0:COMP_POINT}" "$2" 2>/dev/null)"
}
if [[ ${BASH_VERSINFO[0]} -gt 4 || (${BASH_VERSINFO[0]} -eq 4 && ${BASH_VERSINFO[1]} -ge 4) ]]; then
    complete -o nospace -o bashdefault -o nosort -F _runcode runcode
else
    complete -o nospace -o bashdefault -F _runcode runcode
fi
