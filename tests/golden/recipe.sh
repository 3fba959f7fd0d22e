#!/usr/bin/env bash
# Makes the golden archives of one duplicity: recipe.sh VERSION DUPLICITY [CASE...]
# VERSION names the folder, DUPLICITY is the program. Needs root (owners, devices, host name), gpg and python3.
# Folders that exist already are left alone: what an old program once wrote is the point of keeping it.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
version=$1 duplicity=$2
shift 2
[ "$(id -u)" = 0 ] || { echo "recipe.sh: must be root" >&2; exit 2; }
if [ "${GOLDEN_HOST:-}" != set ]; then
  # A host name of its own: it stands in every manifest.
  GOLDEN_HOST=set exec unshare --uts bash -c 'hostname golden; exec "$@"' - bash "$0" "$version" "$duplicity" "$@"
fi
case $version in 0.8.* | 1.*) old=yes ;; *) old= ;; esac
work=$(mktemp -d)
trap 'gpgconf --homedir "$work/gnupg" --kill all 2>/dev/null || true; rm -rf "$work"' EXIT
cd "$work"
umask 022
export TZ=UTC LC_ALL=C.UTF-8 GNUPGHOME=$work/gnupg PASSPHRASE=golden SIGN_PASSPHRASE=golden
mkdir -m 700 gnupg
echo "trust-model always" >gnupg/gpg.conf
gpg --batch --quiet --import --pinentry-mode loopback --passphrase golden "$here"/keys/*.asc
encrypt_key=$(sed -n 's/^encrypt //p' "$here/keys/fingerprints")
sign_key=$(sed -n 's/^sign //p' "$here/keys/fingerprints")

# run CASE FAMILY "STEPS" [OPTIONS...]: a full at the first step, incrementals at the others, then a proof that the same program
# restores each of them.
run() {
  local name=$1 family=$2 steps=$3 time=1700000000 kind=full step
  shift 3
  local out="$here/$version/$name"
  [ -z "$only" ] || [[ " $only " == *" $name "* ]] || return 0
  [ ! -e "$out" ] || { echo "$version/$name: kept"; return 0; }
  rm -rf target cache expected; mkdir target cache expected
  for step in $steps; do
    python3 "$here/tree.py" build "$family" "$step" src
    "$duplicity" $kind --archive-dir cache --name x --current-time $time "$@" src "file://$work/target" >log 2>&1 || { cat log; exit 1; }
    python3 "$here/tree.py" list src >expected/$time.json
    kind=incremental time=$((time + 86400 + step))
  done
  finish "$out" "$family" "$*"
}

# finish OUT FAMILY OPTIONS: checks with the program itself, then stores target and expected.json.
finish() {
  local out=$1 family=$2 options=$3 list t
  for list in expected/*.json; do
    t=$(basename "$list" .json)
    rm -rf restored fresh
    "$duplicity" restore --archive-dir fresh --name x --time "$t" $options "file://$work/target" restored >log 2>&1 || { cat log; exit 1; }
    python3 "$here/tree.py" diff "$list" restored || { echo "$out: not what was saved" >&2; exit 1; }
  done
  mkdir -p "$out"
  cp -a target "$out/target"
  {
    echo "{\"tool\": \"duplicity $version\", \"family\": \"$family\", \"options\": \"$options\", \"sets\": ["
    first=yes
    for list in expected/*.json; do
      [ -n "$first" ] || echo ","
      first=
      echo "{\"time\": $(basename "$list" .json), \"entries\": $(cat "$list")}"
    done
    echo "]}"
  } >"$out/expected.json"
  echo "$version/$name: $(ls "$out/target" | wc -l) files, $(du -sk "$out" | cut -f1) KiB"
}

only="$*"
case $version in 0.8.* | 3.*) run plain basic "0 1" --no-encryption --no-compression ;; esac
run gzip basic "0" --no-encryption
run symmetric basic "0 1"
run public basic "0 1" --encrypt-key "$encrypt_key"
run signed basic "0 1" --encrypt-key "$encrypt_key" --sign-key "$sign_key"
run signed-symmetric basic "0 1" --sign-key "$sign_key"
run hidden basic "0" --hidden-encrypt-key "$encrypt_key"
run chain basic "0 1 2" --no-encryption
run names names "0 1" --no-encryption
run special special "0 1" --no-encryption
run prefixes basic "0 1" --no-encryption --file-prefix P- --file-prefix-archive A- --file-prefix-manifest M- --file-prefix-signature S-
case $version in
0.8.*) run multivolume large "0 1" --no-encryption --volsize 1 ;;
3.*) run multivolume large "0 1" --volsize 1 ;;
esac
if [ -n "$old" ]; then
  run short-names basic "0 1" --no-encryption --short-filenames
  run old-names basic "0 1" --no-encryption --old-filenames
fi

# A full, then an incremental that dies after its second volume: target and archive dir as it left them.
name=interrupted out="$here/$version/interrupted"
case $version in 3.*) ;; *) exit 0 ;; esac
[ -z "$only" ] || [[ " $only " == *" interrupted "* ]] || exit 0
[ ! -e "$out" ] || { echo "$version/interrupted: kept"; exit 0; }
options="--no-encryption --no-compression --volsize 1"
for _ in $(seq 100); do
  rm -rf target cache expected; mkdir target cache expected
  python3 "$here/tree.py" build grown 0 src
  "$duplicity" full --archive-dir cache --name x --current-time 1700000000 $options src "file://$work/target" >log 2>&1
  python3 "$here/tree.py" list src >expected/1700000000.json
  python3 "$here/tree.py" build grown 1 src
  python3 - "$duplicity" "$work" <<'PY' && break
import glob, os, signal, subprocess, sys
duplicity, work = sys.argv[1:]
child = subprocess.Popen([duplicity, "incremental", "--archive-dir", "cache", "--name", "x", "--current-time", "1700086400",
    "--no-encryption", "--no-compression", "--volsize", "1", "src", "file://" + work + "/target"],
    stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
def volumes():
    return len(glob.glob("target/duplicity-inc*difftar"))
while child.poll() is None:
    part = glob.glob("cache/x/*.manifest.part")
    if part and b"Volume 2:" in open(part[0], "rb").read():
        child.send_signal(signal.SIGKILL)
        break
child.wait()
part = glob.glob("cache/x/*.manifest.part")
ok = part and volumes() == 2 and open(part[0], "rb").read().count(b"\n    Hash") == 2
sys.exit(0 if ok else 1)
PY
done
rm -rf cache/x/*-tempdir cache/x/mktemp-* cache/x/mkstemp-*
mkdir -p keep && cp -a target keep/target
# The proof by the program itself, on the set that is whole.
rm -f target/duplicity-inc*
finish "$out" grown "$options"
rm -rf "$out/target"
cp -a keep/target "$out/target"
cp -a cache/x "$out/archive-dir"
ls "$out/target" "$out/archive-dir"
