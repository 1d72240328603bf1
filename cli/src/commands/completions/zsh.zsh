#compdef runcode
# Completion of runcode in zsh, which quotes what it inserts.
_runcode() {
    local current=$PREFIX line help files
    local -a values shown odd
    [[ -z $compstate[quote] ]] || current=$compstate[quote]$PREFIX$compstate[quote]
    for line in "${(@f)$(RUNCODE_COMPLETE=zsh command runcode -- \
        "${(@Q)words[1,CURRENT-1]}" "${(Q)current}" 2>/dev/null)}"; do
        if [[ $line == $'\tfiles' ]]; then
            files=yes
        elif [[ -n $line ]]; then
            help=${line#*$'\t'}
            values+=("${line%%$'\t'*}")
            shown+=("${line%%$'\t'*}${help:+  -- $help}")
        fi
    done
    (( ! $#values )) || compadd -V runcode -l -d shown -a values
    [[ -n $files ]] || return
    compset -P '--[a-z-]#='
    odd=(-*(N[1]))
    # A name that begins with a dash would be read as an option.
    if [[ -z $PREFIX && -n $odd ]]; then compadd -S '' ./; else _files; fi
}
compdef _runcode runcode
