# Clone and push.
command -v git >/dev/null || { echo 'no git' >&2; exit 77; }
export GIT_SSH_COMMAND="ssh -F $CONFIG" GIT_AUTHOR_NAME=a GIT_AUTHOR_EMAIL=a@b GIT_COMMITTER_NAME=a GIT_COMMITTER_EMAIL=a@b
export GIT_AUTHOR_DATE='2001-01-01T00:00:00Z' GIT_COMMITTER_DATE='2001-01-01T00:00:00Z'
git=$(command -v git); git init -q --bare -b main "$BOX/repo.git"
up="--upload-pack=$(dirname "$git")/git-upload-pack"; rp="--receive-pack=$(dirname "$git")/git-receive-pack"
git clone -q "$up" "box:$BOX/repo.git" "$WORK/clone" 2>&1
cd "$WORK/clone"; head -c 500000 /dev/zero > file; git add file; git commit -qm one
git push -q "$rp" origin HEAD:main 2>&1
git clone -q "$up" "box:$BOX/repo.git" "$WORK/again"; git -C "$WORK/again" log --format='%H %s' && cksum < "$WORK/again/file"
git clone -q "$up" "box:$BOX/none.git" "$WORK/none" 2>&1 || echo "status $?"
