# Completion of runcode in elvish, which quotes what it inserts.
set edit:completion:arg-completer[runcode] = {|@words|
    var odd = [-*[nomatch-ok]]
    env RUNCODE_COMPLETE=elvish runcode -- $@words 2>/dev/null | from-lines | each {|line|
        if (not-eq $line "\tfiles") {
            put $line
        } elif (and (eq $words[-1] '') (> (count $odd) 0)) {
            # A name that begins with a dash would be read as an option.
            put ./
        } else {
            edit:complete-filename $@words
        }
    }
}
