# Completion of runcode in fish, which quotes what it inserts.
function __runcode_answer
    set -l token (commandline --current-token --cut-at-cursor)
    set -l words (commandline --current-process --tokenize --cut-at-cursor)
    RUNCODE_COMPLETE=fish command runcode -- $words "$token" 2>/dev/null
end
function __runcode_words
    string match --invert -- \tfiles (__runcode_answer)
end
# A name that begins with a dash would be read as an option: where there is one, no file is offered before `./` is typed.
function __runcode_is_odd
    set -l token (commandline --current-token --cut-at-cursor)
    set -l odd -*
    test -z "$token"; and set -q odd[1]
end
function __runcode_wants_files
    contains -- \tfiles (__runcode_answer); and not __runcode_is_odd
end
complete --command runcode --no-files --keep-order --arguments '(__runcode_words)'
complete --command runcode --condition __runcode_wants_files --force-files
