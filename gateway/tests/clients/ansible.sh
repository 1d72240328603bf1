# Ansible: a module that is copied over and run, a file, a command's status.
[ -n "$PYTHON" ] || { echo 'no ansible' >&2; exit 77; }
cd "$WORK"; printf 'box\n' > hosts
export ANSIBLE_HOST_KEY_CHECKING=True ANSIBLE_SSH_ARGS="-F $CONFIG -o ControlMaster=auto -o ControlPath=$WORK/c -o ControlPersist=20" ANSIBLE_LOCAL_TEMP="$WORK/local" ANSIBLE_REMOTE_TEMP="$BOX/.ansible" ANSIBLE_NOCOLOR=1 ANSIBLE_PYTHON_INTERPRETER=/usr/bin/python3
a="$(dirname "$PYTHON")/ansible -i hosts box"
$a -m command -a 'echo from-ansible' 2>&1
echo content > file; $a -m copy -a "src=file dest=$BOX/file mode=0640" 2>&1 | grep -E 'changed|mode|size'
$a -m command -a 'sh -c "exit 3"' 2>&1 | head -1 || true
cat "$BOX/file"
ssh -F "$CONFIG" -o ControlPath="$WORK/c" -O exit box 2>&1 || true
