# Read by launcher/runcode, in a subshell, when no usable binary is there: downloads the release's asset, checks
# it, and puts the binary and its stamp into the cache. Uses the launcher's rc_* values and functions.
# shellcheck shell=sh disable=SC2015,SC2154,SC3045,SC3067 # rc_* come from the launcher; every shell here has -O

rc_repository=https://github.com/runcode-io/runcode-cli

rc_own="put a runcode binary on PATH, or set RUNCODE_BIN to one"
if [ -x "$rc_root/target/release/runcode" ]; then
    rc_own="to use what was built here: export RUNCODE_BIN='$rc_root/target/release/runcode'"
elif [ -f "$rc_root/Cargo.toml" ]; then
    rc_own="build it with cargo build --release, then: export RUNCODE_BIN='$rc_root/target/release/runcode'"
fi

[ -n "$rc_os" ] && [ -n "$rc_arch" ] || fail unavailable "no runcode is published for $rc_system" "$rc_own"
[ -n "$rc_cache" ] || fail io "there is no folder for the download: HOME is not set" "set HOME or RUNCODE_CACHE"
[ "$rc_version" != "$rc_pinned" ] || [ -n "$rc_expected" ] ||
    fail unavailable "release $rc_version is not published for this system: checksums.txt has no $rc_asset" "$rc_own"

# URL: http, and only to this machine. Whatever is not exactly that (userinfo, another host) is not loopback.
is_loopback() {
    rc_host=${1#http://}
    rc_host=${rc_host%%/*}
    case $rc_host in localhost | 127.0.0.1 | '[::1]') return ;; esac
    case ${rc_host##*:} in '' | *[!0-9]*) return 1 ;; esac
    case ${rc_host%:*} in localhost | 127.0.0.1 | '[::1]') ;; *) return 1 ;; esac
}

rc_base=${RUNCODE_DOWNLOAD_BASE:-$rc_repository/releases/download/$rc_version}
rc_base=${rc_base%/}
case $rc_base in
    https://?*) rc_scheme=https ;;
    file:///*) rc_scheme='file' ;;
    http://*) is_loopback "$rc_base" && rc_scheme=http || rc_scheme='' ;;
    *) rc_scheme='' ;;
esac
[ -n "$rc_scheme" ] || fail insecure_base "refusing to download from $rc_base" \
    "RUNCODE_DOWNLOAD_BASE takes https://…, file:///…, or http:// on loopback"

# Other wgets than GNU's (busybox) do not check certificates: they may carry only what this repository's hash covers.
rc_tool=none
if command -v curl >/dev/null; then
    rc_tool=curl
elif command -v wget >/dev/null; then
    case $(wget --version 2>/dev/null) in 'GNU Wget'*) rc_tool=wget ;; *) rc_tool=small_wget ;; esac
fi
case $rc_tool:$rc_scheme:$rc_version in
    none:file:* | *wget:file:* | *:"$rc_pinned") ;;
    small_wget:*) fail unavailable "this wget does not check servers, so only $rc_pinned can be fetched" "install curl" ;;
esac

# URL FILE. No redirect to http; size, time and a dripping server are capped.
with_curl() {
    rc_look=--silent
    [ ! -t 2 ] || rc_look=--progress-bar
    rc_url=$1 rc_to=$2
    set --
    [ "$rc_scheme" != http ] || set -- --noproxy '*'
    exec curl -q --globoff --proto "=$rc_scheme" --proto-redir =https --tlsv1.2 --location --max-redirs 5 --fail \
        --connect-timeout 15 --speed-limit 1024 --speed-time 15 --max-time 300 --max-filesize 67108864 \
        --show-error "$rc_look" "$@" --output "$rc_to" -- "$rc_url"
}

# wget by itself would follow a redirect to http, so each hop is taken here.
with_wget() {
    rc_url=$1 rc_to=$2
    set -- wget --no-config --no-hsts --tries=1 --timeout=15 --max-redirect=0 --server-response
    [ "$rc_scheme" != http ] || set -- "$@" --no-proxy
    ! command -v timeout >/dev/null || set -- timeout 300 "$@"
    for rc_hop in 1 2 3 4 5 6; do
        case $rc_hop:$rc_url in *:https://* | 1:*) ;; *) break ;; esac
        "$@" -O "$rc_to" "$rc_url" 2>"$rc_tmp/wget" && exit
        rc_url=$(sed -n 's/^ *[Ll]ocation: *\([^ ]*\).*/\1/p' "$rc_tmp/wget" | tail -n 1)
    done
    grep -v '^ ' "$rc_tmp/wget" | tail -n 1 >&2
    exit 1
}

with_small_wget() {
    rc_url=$1 rc_to=$2
    set -- wget -q -T 15
    [ "$rc_scheme" != http ] || set -- "$@" -Y off
    ! command -v timeout >/dev/null || set -- timeout 300 "$@"
    exec "$@" -O "$rc_to" "$rc_url"
}

with_none() {
    echo 'there is neither curl nor wget' >&2
    exit 1
}

# NAME FILE: one file of the release; with RUNCODE_DOWNLOAD_BASE also from the folder named like the tag.
download() {
    : >"$rc_tmp/error"
    for rc_url in "$rc_base/$1" "$rc_base/$rc_version/$1"; do
        (
            trap - HUP INT TERM # Ctrl-C ends the download; the shell that waits for it cleans up
            [ -t 2 ] || exec 2>"$rc_tmp/error"
            rc_path=${rc_url#file://}
            [ "$rc_scheme" != file ] || [ ! -f "$rc_path" ] || exec cp "$rc_path" "$2"
            "with_$rc_tool" "$rc_url" "$2"
        ) && return
        rc_ended=$?
        [ "$rc_ended" -le 128 ] || case $(kill -l "$rc_ended" 2>/dev/null) in
            HUP) exit 129 ;; # whoever sent it needs no message
            INT) exit 130 ;;
            TERM) exit 143 ;;
        esac
        [ -n "${RUNCODE_DOWNLOAD_BASE-}" ] || break
    done
    fail network "cannot download $1 from $rc_base: $(head -n 1 "$rc_tmp/error")" "$rc_own"
}

# ARCHIVE FILE: the one regular member `runcode`, as a stream: no other name in the archive can reach the disk.
unpack() {
    if [ "$rc_packed" = zip ]; then
        [ "$(unzip -Z1 "$1" | grep -c '^runcode\.exe$')" = 1 ] && unzip -p "$1" runcode.exe >"$2"
    else
        [ "$(tar -tzf "$1" runcode)" = runcode ] || return 1
        case $(tar -tvzf "$1" runcode) in -*) tar -xzOf "$1" runcode >"$2" ;; *) return 1 ;; esac
    fi 2>/dev/null && [ -s "$2" ]
}

umask 077
trap '' XFSZ # a write beyond the limit is an error of the tool, not a shell's report of a killed one
ulimit -f 131072 # of 512 bytes: nothing over 64 MiB is written
mkdir -p "$rc_cache/bin" 2>/dev/null || :
[ -d "$rc_cache/bin" ] && [ -w "$rc_cache/bin" ] ||
    fail io "cannot write to the cache folder $rc_cache/bin" "set RUNCODE_CACHE to a folder of your own"
[ -O "$rc_cache" ] && [ -O "$rc_cache/bin" ] ||
    fail io "the cache folder $rc_cache belongs to another user" "set RUNCODE_CACHE to a folder of your own"
chmod 700 "$rc_cache" "$rc_cache/bin"

# Of several first runs one downloads. The others wait for it, half a minute at most and only while it lives and is no
# older than a download may take, then download as well, which is as safe: a lock that was left behind, or that two have
# taken over, does no harm.
rc_lock=$rc_cache/bin/.fetching-${rc_bin##*/}
rc_left=300 # tenths of a second
while ! mkdir "$rc_lock" 2>/dev/null && [ -d "$rc_lock" ] && [ "$rc_left" -gt 0 ]; do
    rc_holder=''
    { read -r rc_holder <"$rc_lock/pid"; } 2>/dev/null || : # it is made after the folder
    case $rc_holder in '') ;; *[!0-9]*) break ;; *) kill -0 "$rc_holder" 2>/dev/null || break ;; esac
    [ -z "$(find "$rc_lock" -prune -mmin +6 2>/dev/null)" ] || break # its number may be another process's by now
    if sleep 0.1 2>/dev/null; then rc_left=$((rc_left - 1)); else sleep 1 && rc_left=$((rc_left - 10)); fi
    ! verified || exit 0
done
rc_tmp=''
# No signal may interrupt this shell: neither while it cleans up, nor between a binary and its stamp. Only downloads take
# long, and they handle signals themselves.
trap '' HUP INT TERM
trap 'rm -rf ${rc_tmp:+"$rc_tmp"} "$rc_lock"' EXIT
{ mkdir -p "$rc_lock" && printf '%s\n' $$ >"$rc_lock/pid" && touch "$rc_lock"; } 2>/dev/null || :
! verified || exit 0 # put there between the first look and the lock
rc_tmp=$(mktemp -d "$rc_cache/bin/.fetch-XXXXXX") || fail io "cannot write to the cache folder $rc_cache/bin"

# Before the download: where no program may run (noexec, a policy), the binary could not either.
printf '#!/bin/sh\n' >"$rc_tmp/try" && chmod 700 "$rc_tmp/try" && { "$rc_tmp/try"; } 2>/dev/null ||
    fail io "no program may run in the cache folder $rc_cache/bin: is it mounted noexec?" \
        "set RUNCODE_CACHE to a folder where programs may run"

[ ! -t 2 ] || printf 'runcode: fetching %s (%s %s), once\n' "$rc_version" "$rc_os" "$rc_arch" >&2
if [ "$rc_version" != "$rc_pinned" ]; then
    printf 'runcode: %s is not the pinned %s: trusting the checksums of its own release\n' "$rc_version" "$rc_pinned" >&2
    download checksums.txt "$rc_tmp/checksums.txt"
    expect "$rc_tmp/checksums.txt" "$rc_asset" ||
        fail unavailable "the checksums of release $rc_version have no $rc_asset" "$rc_own"
fi
download "$rc_asset" "$rc_tmp/archive"
[ "$(sha256 "$rc_tmp/archive")" = "$rc_expected" ] ||
    fail error "$rc_asset of $rc_version is not the file that was published: its SHA-256 differs" \
        "nothing of it was run; try again, and report it if it stays so"
unpack "$rc_tmp/archive" "$rc_tmp/binary" ||
    fail error "$rc_asset of $rc_version does not hold one regular file runcode$rc_exe" "report this"
chmod 755 "$rc_tmp/binary"

# A folder or link in the binary's place would catch what is moved onto it.
for rc_place in "$rc_bin" "$rc_bin.stamp"; do
    if [ -L "$rc_place" ] || { [ -e "$rc_place" ] && [ ! -f "$rc_place" ]; }; then rm -rf "$rc_place"; fi
done
# The stamp carries no identity yet: the launcher hashes the file once more where it lies, and completes it.
rc_sum=$(sha256 "$rc_tmp/binary")
mv -f "$rc_tmp/binary" "$rc_bin" && stamp "$rc_expected" "$rc_sum" new ||
    fail io "cannot write to the cache folder $rc_cache/bin" "set RUNCODE_CACHE to a folder of your own"
