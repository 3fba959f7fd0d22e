#!/bin/sh
# Peak resident memory of dupr over very many files and over one very large file.
#
# usage: tests/bench/memory.sh [FILES [GIBIBYTES]]     default: 1000000 files, 8 GiB (sparse)
#
# Needs /usr/bin/time, python3, room for FILES inodes in MEMORY_DIR (default /dev/shm), and a built program: DUPR, or
# target/release/dupr, or target/debug/dupr. Fails if anything needs more than LIMIT_MIB (default 200).
set -eu

files=${1:-1000000}
gibibytes=${2:-8}
limit=${LIMIT_MIB:-200}
here=$(cd "$(dirname "$0")/../.." && pwd)
for candidate in "${DUPR:-}" "$here/target/release/dupr" "$here/target/debug/dupr"; do
    [ -n "$candidate" ] && [ -x "$candidate" ] && dupr=$candidate && break
done
work=$(mktemp -d "${MEMORY_DIR:-/dev/shm}/dupr-memory.XXXXXX")
trap 'rm -rf "$work"' EXIT INT TERM
mkdir "$work/tmp" "$work/many" "$work/large"
failed=0

# measure NAME ARGUMENTS...: runs dupr's duplicity door and prints peak memory and time.
measure() {
    name=$1
    shift
    TMPDIR=$work/tmp /usr/bin/time -o "$work/time" -f '%M %e' \
        "$dupr" duplicity "$@" --no-encryption --archive-dir "$work/cache" --no-print-statistics > "$work/out" 2>&1 ||
        { echo "$name failed:"; tail -5 "$work/out"; failed=1; return 0; }
    read -r kibibytes seconds < "$work/time"
    mebibytes=$((kibibytes / 1024))
    printf '%-42s %5d MiB  %8s s\n' "$name" "$mebibytes" "$seconds"
    [ "$mebibytes" -le "$limit" ] || { echo "  more than $limit MiB"; failed=1; }
}

python3 - "$work/many" "$files" <<'PYTHON'
import os, sys
root, files = sys.argv[1], int(sys.argv[2])
for start in range(0, files, 1000):
    folder = f"{root}/d{start // 100000}/e{start // 1000}"
    os.makedirs(folder)
    handle = os.open(folder, os.O_RDONLY)
    for n in range(start, min(start + 1000, files)):
        file = os.open(f"a-file-{n}.txt", os.O_CREAT | os.O_WRONLY, dir_fd=handle)
        os.write(file, b"%d" % n)
        os.close(file)
    os.close(handle)
# Times that lie back: a file of this second is looked at again by the next run.
for folder, _, names in os.walk(root):
    for name in names:
        os.utime(f"{folder}/{name}", (1.7e9, 1.7e9))
PYTHON

echo "$files files:"
measure "  full" full "$work/many" "file://$work/t1"
measure "  incremental, nothing changed" incremental "$work/many" "file://$work/t1"
measure "  list" list-current-files "file://$work/t1"
measure "  verify" verify "file://$work/t1" "$work/many"
rm -rf "$work/cache"
measure "  incremental, archive dir lost" incremental "$work/many" "file://$work/t1"
measure "  restore" restore "file://$work/t1" "$work/r1"
rm -rf "$work/r1" "$work/many" "$work/t1" "$work/cache"

truncate -s "${gibibytes}G" "$work/large/file"
echo "One file of $gibibytes GiB, sparse:"
measure "  full" full "$work/large" "file://$work/t2"
printf change | dd of="$work/large/file" bs=1 seek=12345678 conv=notrunc status=none
measure "  incremental, a few bytes changed" incremental "$work/large" "file://$work/t2"
measure "  restore" restore "file://$work/t2" "$work/r2"
cmp "$work/large/file" "$work/r2/file" || failed=1
exit $failed
