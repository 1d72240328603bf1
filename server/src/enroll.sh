#!/bin/sh
# Lets people of the control plane at PLANE into one account of this host, by short certificates. Your sshd stays as it is, and
# so does every other way in. Usage: sh enroll.sh [-n] [--user] [--port N] CODE, or sh enroll.sh [--user] --uninstall
#   -n           only says what it would do        --user  without root: one line in ~/.ssh/authorized_keys
#   --uninstall  removes all that it made          --port  sshd's port, with --user
set -u
umask 022
export LC_ALL=C PATH="$PATH:/usr/sbin:/sbin"
PLANE='@PLANE@' SYNC_SHA256=@SYNC_SHA256@
ETC=/etc/ssh OWN=/etc/ssh/runcode NEW=/etc/ssh/runcode.new DROPIN=/etc/ssh/sshd_config.d/10-runcode.conf
SYNC=/usr/local/sbin/runcode-host-sync UNITS=/etc/systemd/system CRON=/etc/cron.d/runcode-host
code='' account='' dry='' user='' uninstall='' port='' undo='' token='' tmp='' done_file=/etc/ssh/runcode/codes

say() { printf 'enroll: %s\n' "$*" >&2; }
fail() { status=$1; shift; say "$*"; exit "$status"; }
run_ssh() { ssh -T -F none -o BatchMode=yes -o IdentitiesOnly=yes -o IdentityAgent=none -o StrictHostKeyChecking=no \
  -o UserKnownHostsFile=/dev/null -o GlobalKnownHostsFile=/dev/null -o ConnectTimeout=10 -o LogLevel=ERROR -i "$tmp/key" "$@" </dev/null; }
# Sends a request to the control plane; the answer is in $tmp/answer. Secrets stand in files, never in arguments.
ask() {
  if command -v curl >/dev/null; then
    printf 'header = "Authorization: Token %s"\nheader = "Content-Type: application/json"\n' "$token" |
      curl -K - -sS -m 30 -o "$tmp/answer" -w '%{http_code}' --data-binary "@$2" "$PLANE/api/host/$1" >"$tmp/status" || return 1
    [ "$(cat "$tmp/status")" = 200 ] && return 0
  else
    (umask 077; printf 'header = Authorization: Token %s\nheader = Content-Type: application/json\n' "$token" >"$tmp/wgetrc")
    WGETRC=$tmp/wgetrc wget -q -T 30 --content-on-error -O "$tmp/answer" --post-file="$2" "$PLANE/api/host/$1" && return 0
  fi
  say "$(sed -n 's/.*"message":"\([^"]*\)".*/\1/p' "$tmp/answer")"
  return 1
}
# Tells the control plane something, if it listens.
tell() { printf %s "${2-}" >"$tmp/told"; ask "$1" "$tmp/told" 2>/dev/null; }
# Whatever ends the script before it is done: all is put back, and the code stays good.
cleanup() {
  status=$?
  trap - EXIT
  if [ -n "$undo" ]; then
    say "it did not work; what was there before is put back"
    $undo
    [ "$status" != 0 ] || status=1
    [ -z "$token" ] || tell leave failed
  fi
  [ -z "$tmp" ] || rm -rf "$tmp"
  exit "$status"
}
# Looks for what the rest needs, and changes nothing.
check_tools() {
  for tool in ssh ssh-keygen sshd; do command -v "$tool" >/dev/null || fail 1 "$tool is missing; install OpenSSH"; done
  command -v curl >/dev/null || command -v wget >/dev/null || fail 1 "curl or wget is missing; install one of them"
  version=$(ssh -V 2>&1 | sed 's/[^A-Za-z0-9._ ,-]//g')
  tmp=$(mktemp -d) || exit 1; trap cleanup EXIT; trap 'exit 130' INT TERM HUP
  ssh-keygen -q -t ed25519 -N '' -C trial -f "$tmp/key" || fail 1 "ssh-keygen cannot make a key"
}
# Asks the control plane to enrol this host, or only what it would be: account, principal, CA key, a certificate of a minute.
enrol() {
  keys=$(for key in $hostkeys; do cat "$key.pub"; done 2>/dev/null | awk '{ printf "%s %s\\n", $1, $2 }')
  home=$({ getent passwd "${1:-$account}" 2>/dev/null || grep "^${1:-$account}:" /etc/passwd; } | cut -d: -f6 | tr -cd 'A-Za-z0-9._/@+,:=~-')
  (umask 077; printf '{"code":"%s","host_keys":"%s","sshd_version":"%s","account":"%s","home":"%s","port":%s,"trial_key":"%s","token":"%s","dry_run":%s}' \
    "$code" "$keys" "$version" "$1" "$home" "$port" "$(cut -d' ' -f1,2 "$tmp/key.pub")" "$token" "$2" >"$tmp/body")
  ask enroll "$tmp/body" || fail 1 "the control plane at $PLANE did not enrol this host; nothing was changed"
  value() { sed -n "s/^$1 //p" "$tmp/answer"; }
  account=$(value account) principal=$(value principal) ca=$(value ca) title=$(value title)
  case $account in '' | *[!A-Za-z0-9._-]* | [.-]*) fail 1 "the control plane named no account; nothing was changed" ;; esac
  case $principal in runcode-ws-*[!a-z0-9.-]* | *[!a-z0-9.-]*) fail 1 "the control plane named no principal" ;; runcode-ws-*) ;; *) fail 1 "the control plane named no principal" ;; esac
  [ -n "$ca" ] && printf '%s\n' "$ca" >"$tmp/ca" && ssh-keygen -l -f "$tmp/ca" >/dev/null || fail 1 "the control plane sent no CA key"
  id -u "$account" >/dev/null 2>&1 || fail 1 "there is no account $account here; make it, then run this again"
  [ "$(id -u "$account")" != 0 ] || say "warning: $account is root; whoever may use the workspace $title becomes root here"
  [ "$2" = true ] || { token=$(value token); value trial >"$tmp/key-cert.pub"; }
}
# Says how sshd is set for the account; its own values must not be switched off by ours.
check_sshd() {
  sshd -T -C "user=$account,host=localhost,addr=127.0.0.1" >"$tmp/sshd" 2>"$tmp/said" || fail 1 "sshd's configuration is wrong already: $(cat "$tmp/said")"
  while read -r name ours; do
    found=$(sed -n "s/^$name //p" "$tmp/sshd")
    case $found in '' | none | "$ours") ;; *) fail 3 "sshd has $name $found already, which ours would switch off; nothing was changed.
Use \`sh enroll.sh --user $code\` as $account, which needs no change of sshd" ;; esac
  done <<END
trustedusercakeys $OWN/user_ca.pub
authorizedprincipalsfile $OWN/principals/%u
revokedkeys $OWN/krl
authorizedprincipalscommand none
END
  grep -qiE '^[[:space:]]*Include[[:space:]]+("?/etc/ssh/)?sshd_config\.d/\*' $ETC/sshd_config || fail 3 "$ETC/sshd_config includes no sshd_config.d/*.conf; nothing was changed.
Add the line \`Include $ETC/sshd_config.d/*.conf\` at its top, or use --user"
}
# The drop-in, for the files in a folder.
dropin() { printf '# Made by enroll.sh of %s; `sh enroll.sh --uninstall` removes it.\nTrustedUserCAKeys %s/user_ca.pub\nAuthorizedPrincipalsFile %s/principals/%%u\nRevokedKeys %s/krl\n' "$PLANE" "$1" "$1" "$1"; }
# Writes all files beside the real ones and checks each, since `sshd -t` looks at none of them.
stage() {
  rm -rf $NEW && mkdir $NEW $NEW/principals || fail 1 "cannot write $NEW"
  [ ! -d $OWN/principals ] || cp -p $OWN/principals/* $NEW/principals/ 2>/dev/null
  grep -qxF "$principal" "$NEW/principals/$account" 2>/dev/null || printf '%s\n' "$principal" >>"$NEW/principals/$account"
  printf '%s\n' "$ca" >$NEW/user_ca.pub && printf '%s\n' "$PLANE" >$NEW/plane
  (umask 077; printf '%s\n' "$token" >$NEW/token; cat $OWN/codes >$NEW/codes 2>/dev/null)
  ssh-keygen -q -k -f $NEW/krl >/dev/null && ssh-keygen -Q -l -f $NEW/krl >/dev/null || fail 1 "cannot make a revocation list"
  ssh-keygen -l -f $NEW/user_ca.pub >/dev/null && ssh-keygen -L -f "$tmp/key-cert.pub" >/dev/null || fail 1 "the control plane's keys are no keys"
  [ ! -f $OWN/krl ] || cp $OWN/krl $NEW/krl
}
# A second sshd, which listens nowhere, must let the certificate in with the new files before the real one hears of them.
try_beside() {
  { dropin $NEW; printf 'Include %s/sshd_config\n' $ETC; } >"$tmp/sshd_config"
  said=$(run_ssh -o "ProxyCommand=$(command -v sshd) -i -E $tmp/log -f $tmp/sshd_config" "$account@trial" 2>&1)
  [ "$said" = runcode-trial ] || fail 1 "a trial of the new configuration let nobody in as $account: $said
$(tail -n 5 "$tmp/log")"
}
# Puts the files in place, the drop-in last: a restart in between finds a whole configuration.
place() {
  if [ -d $OWN ]; then rm -rf $OWN.old && cp -Rp $OWN $OWN.old; else : >"$tmp/made-own"; fi
  [ -d $ETC/sshd_config.d ] || { mkdir $ETC/sshd_config.d && : >$NEW/made-folder; }
  mkdir -p $OWN/principals && for file in $(cd $NEW && find . -type f); do mv "$NEW/$file" "$OWN/$file" || fail 1 "cannot write $OWN"; done
  rm -rf $NEW
  [ -f $DROPIN ] || { : >"$tmp/made-dropin"; dropin $OWN >$DROPIN.new && mv $DROPIN.new $DROPIN; } || fail 1 "cannot write $DROPIN"
  reload; count=0
  until [ "$(run_ssh -p "$port" "$account@$listen" 2>"$tmp/said")" = runcode-trial ]; do
    count=$((count + 1)); sleep 1
    [ $count -lt 5 ] || fail 1 "sshd let nobody in as $account after its reload: $(cat "$tmp/said")"
  done
}
# Undoes what place did: the drop-in first, and never a file that a running sshd still needs.
take_back() {
  [ ! -f "$tmp/made-dropin" ] || { rm -f $DROPIN $DROPIN.new; reload; }
  if [ -f "$tmp/made-own" ]; then
    [ ! -f $OWN/made-folder ] || rmdir $ETC/sshd_config.d 2>/dev/null
    rm -rf $OWN; remove_sync
  elif [ -d $OWN.old ]; then
    [ -f "$OWN.old/principals/$account" ] || rm -f "$OWN/principals/$account"
    cp -Rp $OWN.old/. $OWN && rm -rf $OWN.old
  fi
  rm -rf $NEW
}
# Has the running sshd read its configuration again. Standing connections stay.
reload() {
  if [ -d /run/systemd/system ]; then
    for unit in ssh sshd; do systemctl is-active --quiet $unit.service && { systemctl reload $unit.service || return; }; done
  else
    pidfile=$(sshd -T 2>/dev/null | sed -n 's/^pidfile //p')
    [ ! -f "$pidfile" ] || kill -HUP "$(cat "$pidfile")"
  fi
  sleep 1 # until it has read it, it still needs its old files
}
# Gets what asks the control plane once a minute for what is new; its digest stands here.
install_sync() {
  if command -v curl >/dev/null; then curl -fsS -m 30 -o "$tmp/sync" "$PLANE/host-sync.sh"; else wget -q -T 30 -O "$tmp/sync" "$PLANE/host-sync.sh"; fi
  [ "$(sha256sum <"$tmp/sync" | cut -d' ' -f1)" = "$SYNC_SHA256" ] || fail 1 "$PLANE/host-sync.sh is not the program that this script knows"
  mkdir -p "${SYNC%/*}" && cp "$tmp/sync" $SYNC.new && chmod 755 $SYNC.new && mv $SYNC.new $SYNC || fail 1 "cannot write $SYNC"
  if [ -d /run/systemd/system ]; then
    printf '[Unit]\nDescription=runcode: what is new on the control plane\n[Service]\nType=oneshot\nExecStart=%s\n' $SYNC >$UNITS/runcode-host.service
    printf '[Timer]\nOnCalendar=minutely\nRandomizedDelaySec=10\n[Install]\nWantedBy=timers.target\n' >$UNITS/runcode-host.timer
    systemctl daemon-reload && systemctl enable --now --quiet runcode-host.timer
  elif [ -d ${CRON%/*} ]; then printf '* * * * * root %s\n' $SYNC >$CRON
  else say "there is neither systemd nor ${CRON%/*}: have $SYNC run once a minute, or revocations wait for certificates to end"; fi
}
# Removes it, and its timer.
remove_sync() {
  [ ! -f $UNITS/runcode-host.timer ] || systemctl disable --now --quiet runcode-host.timer 2>/dev/null
  rm -f $UNITS/runcode-host.service $UNITS/runcode-host.timer $CRON $SYNC $SYNC.new
  [ ! -d /run/systemd/system ] || systemctl daemon-reload
}
# Removes all that was made, and tells the control plane when it can.
uninstall_root() {
  [ -d $OWN ] || [ -f $DROPIN ] || fail 0 "nothing is enrolled here"
  check_tools
  token=$(cat $OWN/token 2>/dev/null)
  # The drop-in first: a running sshd without its revocation list lets nobody in.
  rm -f $DROPIN && reload || fail 1 "sshd did not reload; run this again"
  remove_sync
  [ ! -f $OWN/made-folder ] || rmdir $ETC/sshd_config.d 2>/dev/null
  rm -rf $OWN $NEW $OWN.old
  tell leave || say "the control plane could not be told"
  say "removed"
}
# Without root: one line in authorized_keys, whose comment says what was there before: d no folder, f no file, n no last line break.
KEYS=${HOME:-}/.ssh/authorized_keys NOTE=${HOME:-}/.ssh/runcode-host
enrol_user() {
  [ "$(cat "$NOTE" 2>/dev/null | sed -n 3p)" != "$code" ] || fail 0 "this code enrolled $(id -un) here already; nothing was changed"
  [ -z "$(sed -n 3p "$NOTE" 2>/dev/null)" ] || fail 3 "$(id -un) is enrolled at $(sed -n 1p "$NOTE") already; remove that first: sh enroll.sh --user --uninstall"
  check_tools; done_file=$NOTE; [ -n "$dry" ] || uninstall_lines # of a run that was killed
  hostkeys=$(ls $ETC/ssh_host_*_key.pub 2>/dev/null | sed 's/\.pub$//')
  [ -n "$port" ] || port=$(sed -n 's/^[[:space:]]*[Pp]ort[[:space:]]*\([0-9][0-9]*\).*/\1/p' $ETC/sshd_config 2>/dev/null | head -n 1)
  port=${port:-22}
  enrol "$(id -un)" "${dry:-false}"
  [ -z "$dry" ] || fail 0 "would add one line to $KEYS for $principal of $PLANE"
  flags=-
  [ -d "${KEYS%/*}" ] || { mkdir -m 700 "${KEYS%/*}" && flags=d$flags; }
  [ -f "$KEYS" ] || flags=f$flags
  [ ! -s "$KEYS" ] || [ -z "$(tail -c 1 "$KEYS")" ] || flags=n$flags
  undo=uninstall_lines
  (umask 077; printf '%s\n%s\n' "$PLANE" "$token" >"$NOTE"
    { cat "$KEYS" 2>/dev/null; case $flags in *n*) echo ;; esac
      printf 'restrict,pty,port-forwarding,cert-authority,principals="%s" %s runcode:%s\n' "$principal" "$ca" "$flags"; } >"$KEYS.new")
  [ ! -f "$KEYS" ] || chmod "$(stat -c %a "$KEYS")" "$KEYS.new"
  mv "$KEYS.new" "$KEYS" && [ "$(run_ssh -p "$port" "$account@127.0.0.1" 2>"$tmp/said")" = runcode-trial ] ||
    fail 1 "sshd let nobody in as $account by $KEYS: $(cat "$tmp/said")"
}
# Gives authorized_keys back as it was, with what others added since.
uninstall_lines() {
  flags=$(sed -n 's/.*,cert-authority,.* runcode:\([dfn-]*\)$/\1/p' "$KEYS" 2>/dev/null | head -n 1)
  if [ -n "$flags" ]; then
    (umask 077; sed '/,cert-authority,principals="runcode-ws-.* runcode:[dfn-]*$/d' "$KEYS" >"$KEYS.new")
    case $flags$(tail -n 1 "$KEYS" | sed 's/.* runcode:/:/') in *n*:"$flags") printf %s "$(cat "$KEYS.new")" >"$KEYS.tmp" && mv "$KEYS.tmp" "$KEYS.new" ;; esac
    chmod "$(stat -c %a "$KEYS")" "$KEYS.new" && mv "$KEYS.new" "$KEYS"
    case $flags in *f*) [ -s "$KEYS" ] || rm -f "$KEYS" ;; esac
  fi
  rm -f "$NOTE"
  case $flags in *d*) rmdir "${KEYS%/*}" 2>/dev/null ;; esac
}
# From here on the workspace can be used.
finish() {
  tell ready || fail 1 "the control plane did not hear that the host is ready"
  printf '%s\n' "$code" >>"$done_file" && undo='' && rm -rf $OWN.old 2>/dev/null
  say "done: the workspace $title leads to $account on this host"
}

while [ $# -gt 0 ]; do
  case $1 in -n) dry=true ;; --user) user=yes ;; --uninstall) uninstall=yes ;; --port) shift; port=${1:-x} ;;
    -*) fail 2 "unknown option $1" ;; *) code=$1 ;;
  esac
  shift
done
case $port in *[!0-9]*) fail 2 "--port needs a number" ;; esac
case $code in *[!A-Za-z0-9_-]*) fail 2 "the code has a character that no code has" ;; esac
[ -n "$code" ] || [ -n "$uninstall" ] || fail 2 "the one-time code is missing: sh enroll.sh CODE"
if [ -n "$user" ]; then
  if [ -z "$uninstall" ]; then enrol_user; finish; exit; fi
  [ -e "$NOTE" ] || fail 0 "nothing is enrolled here"
  check_tools
  token=$(sed -n 2p "$NOTE"); uninstall_lines
  tell leave || say "the control plane could not be told"
  fail 0 "removed"
fi
[ "$(id -u)" = 0 ] || fail 1 "run it as root (sudo sh enroll.sh …), or use --user"
if [ -n "$uninstall" ]; then uninstall_root; exit; fi
grep -qxF -- "$code" $OWN/codes 2>/dev/null && [ -f $DROPIN ] && fail 0 "this code enrolled this host already; nothing was changed"
[ ! -f $OWN/plane ] || [ "$(cat $OWN/plane)" = "$PLANE" ] || fail 3 "this host is enrolled at $(cat $OWN/plane); use --user for a second control plane"
check_tools
sshd -T >"$tmp/sshd" 2>"$tmp/said" || fail 1 "sshd's configuration is wrong already: $(cat "$tmp/said")"
hostkeys=$(sed -n 's/^hostkey //p' "$tmp/sshd")
port=$(sed -n 's/^port //p' "$tmp/sshd" | head -n 1) listen=$(sed -n 's/^listenaddress \(.*\):[0-9]*$/\1/p' "$tmp/sshd" | tr -d '[]' | head -n 1)
case $listen in 0.0.0.0) listen=127.0.0.1 ;; ::) listen=::1 ;; esac
[ ! -f $OWN/token ] || token=$(cat $OWN/token)
enrol '' true
check_sshd
[ -z "$dry" ] || fail 0 "would let $principal of $PLANE in as $account, by these files: $DROPIN $OWN/* $SYNC, and a timer or cron job"
enrol '' false
undo=take_back
stage
try_beside
place
install_sync
finish
