# Names for the scripts that do the work; `just` itself is optional.

# format, lints, unit tests and everyday commands
quick:
    sh tests/quick

# everything that has to hold
test:
    sh tests/run

# every fuzz target, `just fuzz 300` for five minutes each
fuzz seconds="30":
    FUZZ_SECONDS={{seconds}} sh tests/fuzz/smoke

# ratios against ssh, scp and rsync
perf:
    sh tests/perf/run

# the static Linux binary, packed as the release does
dist:
    sh dist/build
