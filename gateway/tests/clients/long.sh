# Connections that last: keys that change in the middle, keepalives, silence, much in both directions at once.
s="ssh -F $CONFIG"
head -c 20000000 /dev/zero | tr '\0' 'x' > "$WORK/big"
$s -o RekeyLimit=500K box cat < "$WORK/big" | cksum
$s -o ServerAliveInterval=1 -o ServerAliveCountMax=1 box 'sleep 4; echo awake'
$s -o Compression=yes box 'cat; exit 6' < "$WORK/big" | cksum
$s -o Ciphers=aes256-gcm@openssh.com box cat < "$WORK/big" | cksum
$s -o Ciphers=aes128-ctr -o MACs=hmac-sha2-256-etm@openssh.com box cat < "$WORK/big" | cksum
$s -o KexAlgorithms=curve25519-sha256 box 'echo kex'
