#!/bin/busybox sh
# Runs the programs named in $PROGRAMS (commas or blanks) at size $INPUTS, in the guest or in the native tree.
# The host takes its times when the @@START and @@END lines arrive, so what is between them is the program alone.
cd /w
export OMP_NUM_THREADS=1 LC_ALL=C HOME=/w PATH=/usr/bin:/bin:/usr/games OPENSSL_CONF=/dev/null
export B=/w/busybox L=/w/loops CC1=$(echo /usr/lib/gcc*/aarch64-linux-gnu/12/cc1)
number=0
for name in $(echo "$PROGRAMS" | $B tr , ' '); do
    number=$((number + 1))
    script=/w/set/$name.$INPUTS
    [ -e "$script" ] || script=/mnt/spec/set/$name.$INPUTS
    $L mark $number
    echo "@@START $name"
    ( set -e -o pipefail; . "$script" ) > /tmp/out 2> /tmp/err < /dev/null
    status=$?
    echo "@@END $name"
    $L mark 0
    # Comparing is no part of the program's time.
    check=/mnt/spec/check/$name.$INPUTS
    if [ $status = 0 ] && [ -e "$check" ]; then ( set -e; . "$check" ) >> /tmp/out 2> /tmp/err < /dev/null || status=98; fi
    sum=$($B md5sum < /tmp/out)
    # No program of the set prints nothing: one that does has not done its work.
    if [ $status = 0 ] && [ ! -s /tmp/out ]; then status=99; echo "no output" > /tmp/err; fi
    echo "@@RESULT $name $status ${sum%% *}"
    [ $status = 0 ] || echo "@@WHY $($B tail -n 1 /tmp/err | $B cut -c 1-200)"
    $B rm -f /tmp/out
done
echo "@@DONE"
