# Sourced by tests/quick and tests/run. Names and times each part, stops at the first that fails, and ends with what
# each part took, what was skipped, and how many tests passed and failed.
# shellcheck shell=sh

say() { printf '\n== %s\n' "$*"; }

# rust-toolchain.toml asks for stable. Where rustup has no toolchain of that name, its default is used: nothing is
# downloaded.
if command -v rustup >/dev/null 2>&1 && ! rustup toolchain list | grep -q '^stable'; then
    RUSTUP_TOOLCHAIN=$(rustup default | cut -d' ' -f1)
    export RUSTUP_TOOLCHAIN
fi

# tests/run starts tests/quick: the outer one owns the record and prints the end.
if [ -z "${TESTS_RECORD:-}" ]; then
    TESTS_RECORD=$(mktemp -d)
    export TESTS_RECORD
    : >"$TESTS_RECORD/parts"
    trap 'finish $?' EXIT
    trap 'exit 130' INT TERM
fi

# part TITLE COMMAND...: runs a program, shows what it prints, and exits when it fails.
part() {
    title=$1 began=$(date +%s)
    shift
    say "$title"
    # Without a terminal the runners print plain lines, which can be counted.
    { status=0; "$@" || status=$?; echo "$status" >"$TESTS_RECORD/status"; } 2>&1 | tee "$TESTS_RECORD/out"
    status=$(cat "$TESTS_RECORD/status")
    printf '%6d s  %s\n' "$(($(date +%s) - began))" "$title" >>"$TESTS_RECORD/parts"
    grep -E '^ *Summary \[|^test result: |[0-9]+ passed, [0-9]+ failed$|^(skipped|SKIPPED) |: (skipped|SKIPPED),' \
        "$TESTS_RECORD/out" | sed 's/^ */          /' >>"$TESTS_RECORD/parts" || :
    [ "$status" = 0 ] || { echo "FAILED: $title"; exit 1; }
}

# Whether SKIP names this part.
skipped() {
    case " ${SKIP:-} " in *" $1 "*) ;; *) return 1 ;; esac
    say "$1: skipped, as SKIP says"
    echo "          $1: skipped, as SKIP says" >>"$TESTS_RECORD/parts"
}

# The modules of end-to-end tests that tests/quick runs. Whole modules, so that no renamed test is lost.
quick_modules='layers manifests help guides context statusline commands'

# The tests of tests/quick, as a filter of nextest.
quick_filter() {
    echo "kind(lib) | kind(bin) | (package(runcode) & test(/^($(echo "$quick_modules" | tr ' ' '|'))::/))"
}

# Those modules as arguments of libtest, each after the words in $1.
quick_names() { for module in $quick_modules; do echo "${1:-} $module::"; done; }

# The tests wait more than they compute: two of them a core.
NEXTEST_TEST_THREADS=$((2 * $(getconf _NPROCESSORS_ONLN)))
export NEXTEST_TEST_THREADS

# In CI a test that fails is run once more. One that passes then is shown as flaky in the summary, which is a fault to be fixed.
[ "${CI:-}" != true ] || export NEXTEST_RETRIES=1

has_nextest() { command -v cargo-nextest >/dev/null 2>&1; }

# With `beside`, the program that tests/run has started in the background ends, too.
finish() {
    [ -z "${beside:-}" ] || kill "$beside" 2>/dev/null || :
    say 'what ran'
    cat "$TESTS_RECORD/parts"
    # A part that fails without a failed test, as the lints do, counts as one.
    awk -v status="$1" '
        !/passed/ { next }
        { for (i = 2; i <= NF; i++) {
            if ($i ~ /^passed/) passed += $(i - 1)
            if ($i ~ /^failed/ || $i == "timed" || $i == "exec") failed += $(i - 1)
        } }
        END { if (status != 0 && !failed) failed = 1; printf "%d passed, %d failed\n", passed, failed }
    ' "$TESTS_RECORD/parts"
    rm -rf "$TESTS_RECORD"
    exit "$1"
}
