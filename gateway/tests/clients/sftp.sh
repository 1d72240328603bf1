# A session of commands, with errors that do not end it.
head -c 300000 /dev/zero > "$WORK/big"
sftp -q -F "$CONFIG" -b - box <<S 2>&1 | sed 's/ [A-Z][a-z][a-z] [ 0-9][0-9] [0-9][0-9]:[0-9][0-9] / DATE /'
cd $BOX
mkdir d
put $WORK/big d/one
ln -s one d/soft
ln d/one d/hard
rename d/one d/two
-rename d/two d/hard
cp d/two d/three
chmod 600 d/three
-rm d/none
-mkdir d
-rmdir d
-cd d/two
-get d
ls -la d
ls -1 d
cd d
pwd
lcd $WORK
get two again
-ls none
-symlink x soft
rm soft
version
S
cksum < "$WORK/again"
sftp -q -F "$CONFIG" -b /dev/null -o BatchMode=yes box:/nonexistent 2>&1 || echo "status $?"
