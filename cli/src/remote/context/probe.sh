# shellcheck shell=sh
# Looks around on the workspace in one go. $1$2 begins each of our lines, $3 is the project folder.
our_mark=$1$2
LC_ALL=C GIT_ALLOW_PROTOCOL=none GIT_NO_LAZY_FETCH=1
export LC_ALL GIT_ALLOW_PROTOCOL GIT_NO_LAZY_FETCH
line_feed=$(printf '\nx')
line_feed=${line_feed%x}

# A fact: $1 its name, $2 its value, of which the first line counts. One write, so that facts found at the same time do not
# mix.
tell_fact() { printf '%s %s %.500s\n' "$our_mark" "$1" "${2%%"$line_feed"*}"; }
if command -v timeout >/dev/null 2>&1; then time_limit='timeout 3'; else time_limit=; fi

cd "$3" 2>/dev/null && tell_fact inside yes
tell_fact cwd "$PWD"

# Git, without what the files of a checkout could have it run: a bare repository among them has a config of its own.
run_git() { $time_limit git -c safe.bareRepository=explicit -c core.fsmonitor=false "$@" 2>/dev/null; }

# Which filters are configured, programs that git would pass changed files through (gitattributes(5)): none, `lfs` as the user's own
# configuration has it, or others. Whatever is unclear counts as others.
name_filters() {
  git_filters=$(run_git config --show-scope --name-only --get-regexp '^filter\..*\.(clean|process)$')
  case $? in
    0) ;;
    1) return ;;
    *) echo others; return ;;
  esac
  printf '%s\n' "$git_filters" | while read -r filter_scope filter_name; do
    case $filter_scope:$filter_name in
      system:filter.lfs.clean | system:filter.lfs.process | global:filter.lfs.clean | global:filter.lfs.process) echo lfs ;;
      *) echo others; break ;;
    esac
  done
}

# What of a repository can be read without looking through it, also in one that belongs to another user: that runs nothing.
ask_git() { run_git -c safe.directory='*' "$@"; }

tell_git() {
  command -v git >/dev/null 2>&1 || return
  # Git LFS runs what the checkout's configuration names. The git of a submodule would not know what run_git sets.
  case $(name_filters) in
    *others*) git_problem=filters ;;
    *) git_problem= ;;
  esac
  if [ -n "$git_problem" ]; then
    :
  elif git_status=$(run_git -c filter.lfs.clean= -c filter.lfs.process= -c filter.lfs.required=false --no-optional-locks status --porcelain=2 --branch --ignore-submodules=dirty); then
    git_problem=
  else
    # As timeout ends: GNU's, and busybox's, which leaves it to the signal.
    case $? in
      124 | 137 | 143) git_problem=slow ;;
      *) git_problem=failed ;;
    esac
  fi
  if [ -z "$git_problem" ]; then
    printf '%s\n' "$git_status" | {
      is_dirty=no
      while read -r line_kind line_name line_value _; do
        case $line_kind$line_name in
          '#branch.oid') tell_fact git.head "$line_value" ;;
          '#branch.head') tell_fact git.branch "$line_value" ;;
          '#'*) ;;
          ?*) is_dirty=yes; break ;;
        esac
      done
      tell_fact git.dirty "$is_dirty"
    }
  else
    ask_git rev-parse --git-dir >/dev/null || return
    run_git rev-parse --git-dir >/dev/null || git_problem=owner
    tell_fact git.problem "$git_problem"
    tell_fact git.head "$(ask_git rev-parse -q --verify HEAD)"
    tell_fact git.branch "$(ask_git symbolic-ref -q --short HEAD)"
  fi
  tell_fact git.remote "$(ask_git config --get remote.origin.url)"
}

# The program $1, asked for its version with the other arguments. Not in the project: one that only stands in for others, such
# as rustup's, runs what a file there names.
tell_tool() {
  cd / && command -v "$1" >/dev/null 2>&1 && tell_fact "tool.$1" "$($time_limit "$@" </dev/null 2>&1)"
}

# The version that a program of Node's package manager has in its package.json; starting it takes long.
tell_packaged_tool() {
  cd / || return
  program_path=$(command -v "$1" 2>/dev/null) || return
  version_file=$(readlink -f "$program_path" 2>/dev/null)
  version_file=${version_file%/bin/*}/package.json
  tool_version=
  [ -r "$version_file" ] && tool_version=$(sed -n 's/^ *"version": *"\([^"]*\)".*/\1/p' "$version_file" 2>/dev/null)
  [ -n "$tool_version" ] || tool_version=$($time_limit "$1" --version </dev/null 2>/dev/null)
  tell_fact "tool.$1" "$tool_version"
}

# Java says its version in a file, too, and takes long to start.
tell_java() {
  cd / || return
  program_path=$(command -v java 2>/dev/null) || return
  version_file=$(readlink -f "$program_path" 2>/dev/null)
  version_file=${version_file%/bin/*}/release
  while IFS='=' read -r line_key line_value; do
    [ "$line_key" = JAVA_VERSION ] && { tell_fact tool.java "$line_value"; return; }
  done 2>/dev/null <"$version_file"
  tell_tool java -version
}

tell_git &
for tool_name in python3 node ruby docker git make rustc; do tell_tool "$tool_name" --version & done
tell_tool go version &
tell_java &
for tool_name in pnpm npm; do tell_packaged_tool "$tool_name" & done

tell_fact system "$(uname -srm 2>/dev/null)"
tell_fact user "$(id -un 2>/dev/null)"
user_id=$(id -u 2>/dev/null)
tell_fact shell "$SHELL"
tell_fact cpus "$(nproc 2>/dev/null || getconf _NPROCESSORS_ONLN 2>/dev/null)"
while IFS='=' read -r line_key line_value; do
  [ "$line_key" = PRETTY_NAME ] && tell_fact distro "$line_value"
done 2>/dev/null </etc/os-release
while read -r line_key line_value _; do
  case $line_key in
    MemTotal:) tell_fact memory.total "$line_value" ;;
    MemAvailable:) tell_fact memory.free "$line_value"; break ;;
  esac
done 2>/dev/null </proc/meminfo
df -Pk . 2>/dev/null | {
  read -r _
  read -r _ disk_total _ disk_free _
  tell_fact disk.total "$disk_total"
  tell_fact disk.free "$disk_free"
}
if [ -f /.dockerenv ]; then
  tell_fact container docker
elif [ -f /run/.containerenv ]; then
  tell_fact container podman
elif [ -n "$KUBERNETES_SERVICE_HOST" ]; then
  tell_fact container kubernetes
elif grep -q -e docker -e kubepods -e lxc -e containerd /proc/1/cgroup 2>/dev/null; then
  tell_fact container other
fi
for file_name in package.json pyproject.toml requirements.txt go.mod Cargo.toml pom.xml build.gradle Gemfile composer.json \
  Makefile Dockerfile docker-compose.yml; do
  [ -e "$file_name" ] && tell_fact marker "$file_name"
done
sed -n "s/^ *[0-9]*: \([0-9A-F:]*\) [0-9A-F:]* 0A [^ ]* [^ ]* [^ ]*  *$user_id .*/$our_mark port \1/p" \
  /proc/net/tcp /proc/net/tcp6 2>/dev/null
wait
tell_fact end
