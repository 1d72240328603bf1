# Looks around on the workspace in one go. $1$2 begins each of our lines, $3 is the project folder.
n=$1$2
LC_ALL=C
export LC_ALL
nl='
'
# One fact: the first line of $2, as one write, so that facts found at the same time do not mix.
fact() { printf '%s %s %.500s\n' "$n" "$1" "${2%%"$nl"*}"; }
if command -v timeout >/dev/null 2>&1; then t='timeout 3'; else t=; fi

cd "$3" 2>/dev/null && fact inside yes
fact cwd "$PWD"

git_facts() {
  command -v git >/dev/null 2>&1 || return
  status=$($t git -c core.fsmonitor=false --no-optional-locks status --porcelain=2 --branch 2>/dev/null) || return
  dirty=no
  while read -r mark name value _; do
    case $mark$name in
      '#branch.oid') fact git.head "$value" ;;
      '#branch.head') fact git.branch "$value" ;;
      '#'*) ;;
      ?*) dirty=yes; break ;;
    esac
  done <<END
$status
END
  fact git.dirty "$dirty"
  fact git.remote "$(git config --get remote.origin.url 2>/dev/null)"
}
# The version that a program of Node's package manager has in its package.json; starting it takes long.
packaged() {
  at=$(command -v "$1" 2>/dev/null) || return
  file=$(readlink -f "$at" 2>/dev/null)
  file=${file%/bin/*}/package.json
  v=
  [ -r "$file" ] && v=$(sed -n 's/^ *"version": *"\([^"]*\)".*/\1/p' "$file" 2>/dev/null)
  [ -n "$v" ] || v=$($t "$1" --version </dev/null 2>/dev/null)
  fact "tool.$1" "$v"
}
# Java says its version in a file, too, and takes long to start.
java_fact() {
  at=$(command -v java 2>/dev/null) || return
  file=$(readlink -f "$at" 2>/dev/null)
  while IFS='=' read -r key value; do
    [ "$key" = JAVA_VERSION ] && { fact tool.java "$value"; return; }
  done 2>/dev/null <"${file%/bin/*}/release"
  tool java -version
}
tool() { command -v "$1" >/dev/null 2>&1 && fact "tool.$1" "$($t "$@" </dev/null 2>&1)"; }

git_facts &
for name in python3 node ruby docker git make rustc; do tool "$name" --version & done
tool go version &
java_fact &
for name in pnpm npm; do packaged "$name" & done

fact system "$(uname -srm 2>/dev/null)"
fact user "$(id -un 2>/dev/null)"
uid=$(id -u 2>/dev/null)
fact shell "$SHELL"
fact cpus "$(nproc 2>/dev/null || getconf _NPROCESSORS_ONLN 2>/dev/null)"
while IFS='=' read -r key value; do
  [ "$key" = PRETTY_NAME ] && fact distro "$value"
done 2>/dev/null </etc/os-release
while read -r key value _; do
  case $key in MemTotal:) fact memory.total "$value" ;; MemAvailable:) fact memory.free "$value"; break ;; esac
done 2>/dev/null </proc/meminfo
df -Pk . 2>/dev/null | { read -r _; read -r _ total _ free _; fact disk.total "$total"; fact disk.free "$free"; }
if [ -f /.dockerenv ]; then fact container docker
elif [ -f /run/.containerenv ]; then fact container podman
elif [ -n "$KUBERNETES_SERVICE_HOST" ]; then fact container kubernetes
elif grep -q -e docker -e kubepods -e lxc -e containerd /proc/1/cgroup 2>/dev/null; then fact container other
fi
for name in package.json pyproject.toml requirements.txt go.mod Cargo.toml pom.xml build.gradle Gemfile composer.json \
  Makefile Dockerfile docker-compose.yml; do
  [ -e "$name" ] && fact marker "$name"
done
sed -n "s/^ *[0-9]*: \([0-9A-F:]*\) [0-9A-F:]* 0A [^ ]* [^ ]* [^ ]*  *$uid .*/$n port \1/p" \
  /proc/net/tcp /proc/net/tcp6 2>/dev/null
wait
fact end
