# What a login finds: no more and no less, and what a client may set.
export LC_TEST=x COLORTERM=true EVIL=1 LD_TEST=1
ssh -F "$CONFIG" -o SendEnv='LC_* COLORTERM EVIL LD_TEST' box \
    'echo "$LC_TEST $COLORTERM [${EVIL-}] [${LD_TEST-}] $HOME $SHELL $USER $LOGNAME $PATH"; echo ${SSH_CONNECTION% *} | cut -d" " -f1,3; echo "${SSH_CLIENT%% *} ${SSH_TTY-none} ${TERM-none} $0 $-"'
ssh -F "$CONFIG" box 'cat /proc/self/stat | cut -d" " -f7; test "$(ps -o sid= -p $$ | tr -d " ")" = $$ && echo own session; umask'
