#!/usr/bin/env bash
# Restores a backup without dupr and without duplicity: restore-by-hand.sh TARGET DESTINATION [TIME]
#
# TARGET is the folder with the backup files, DESTINATION a folder that does not exist yet, TIME (as in the file names:
# 20231114T221320Z) the newest set to use; without it all. Uses gpg, gzip, tar, rdiff, sha1sum, awk and coreutils.
# gpg asks for what it needs; with PASSPHRASE in the environment it does not. Run it as root to get owners and devices back.
# docs/restore-by-hand.md explains the steps.
set -euo pipefail
export LC_ALL=C
target=$1 destination=$2 until=${3:-99999999T999999Z}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
mkdir "$destination"

die() { echo "restore-by-hand: $*" >&2; exit 1; }

# unseal FILE: decrypts or decompresses as the name says.
unseal() {
  case $1 in
  *.gpg | *.g)
    if [ -n "${PASSPHRASE:-}" ]; then
      gpg --quiet --batch --pinentry-mode loopback --passphrase-fd 3 --decrypt "$1" 3<<<"$PASSPHRASE" 2>"$work/gpg.log" ||
        { cat "$work/gpg.log" >&2; return 1; }
    else
      gpg --quiet --decrypt "$1"
    fi ;;
  *.gz | *.z) gzip -dc "$1" ;;
  *) cat "$1" ;;
  esac
}

# 1. Which sets? The newest full by TIME, then every incremental that starts where the one before ended.
names=$(cd "$target" && ls)
full=$(sed -n 's/^duplicity-full\.\([0-9TZ]*\)\.manifest\(\.gpg\)\{0,1\}$/\1/p' <<<"$names" | awk -v t="$until" '$0 <= t' | sort | tail -n 1)
[ -n "$full" ] || die "no full set by $until in $target"
sets=("duplicity-full.$full")
end=$full
while :; do
  # Of two increments from the same start the later one counts.
  next=$(sed -n "s/^duplicity-inc\.$end\.to\.\([0-9TZ]*\)\.manifest\(\.gpg\)\{0,1\}$/\1/p" <<<"$names" | awk -v t="$until" '$0 <= t' | sort | tail -n 1)
  [ -n "$next" ] || break
  sets+=("duplicity-inc.$end.to.$next")
  end=$next
done

declare -A folders # attributes of folders; set at the end, when nothing is put into them any more
pending=           # the file in parts that is being collected, as KIND/PATH

# install NEW PATH: puts NEW where it belongs.
install_file() {
  local to="$destination/$2"
  [ -z "$2" ] || mkdir -p "${to%/*}"
  if [ -d "$to" ] && [ ! -L "$to" ]; then rm -rf "$to"; fi
  mv -fT "$1" "$to"
}

# patch DELTA PATH REFERENCE: applies a delta to what is there.
patch() {
  rdiff patch "$destination/$2" "$1" "$work/patched"
  attributes "$3" "$work/patched"
  install_file "$work/patched" "$2"
}

# attributes FROM TO: owner, permissions and time, in this order.
attributes() {
  chown --reference="$1" "$2" 2>/dev/null || true
  chmod --reference="$1" "$2"
  touch --reference="$1" "$2"
}

finish_parts() {
  [ -n "$pending" ] || return 0
  local path=${pending#*/}
  case $pending in
  multivol_snapshot/*)
    attributes "$work/last-part" "$work/parts"
    install_file "$work/parts" "$path" ;;
  *) patch "$work/parts" "$path" "$work/last-part" ;;
  esac
  rm -f "$work/parts" "$work/last-part"
  pending=
}

# member NAME: deals with one member of a difftar that was unpacked in $work/volume.
member() {
  local name=$1 kind=${1%%/*} path=${1#*/}
  path=${path%/}
  [ "$path" != . ] || path=
  if [[ $kind == multivol_* ]]; then
    local file=${path%/*}
    if [ "$pending" != "$kind/$file" ]; then finish_parts; fi
    pending=$kind/$file
    cat "$work/volume/$name" >>"$work/parts"
    mv -f "$work/volume/$name" "$work/last-part"
    return
  fi
  finish_parts
  local staged="$work/volume/$kind${path:+/$path}" there="$destination${path:+/$path}"
  case $kind in
  deleted)
    rm -rf "$there"
    unset 'folders[./$path]' ;;
  diff) patch "$staged" "$path" "$staged" ;;
  snapshot)
    if [ -d "$staged" ] && [ ! -L "$staged" ]; then
      if [ ! -d "$there" ] || [ -L "$there" ]; then rm -rf "$there"; mkdir -p "$there"; fi
      folders[./$path]=$(stat -c '%u:%g %a %Y' "$staged")
    else
      install_file "$staged" "$path"
    fi ;;
  *) die "unknown kind of member: $name" ;;
  esac
}

# 2. Set after set, volume after volume, member after member.
for set in "${sets[@]}"; do
  manifest=$(ls -d "$target/$set.manifest"* | head -n 1)
  unseal "$manifest" >"$work/manifest"
  # Number and hash of each volume. A number may come twice after an interrupted run: the later one counts, and so does
  # the last number for how many there are.
  awk '/^Volume [0-9]+:/ { n = $2 + 0 } /^ +Hash SHA1 / { hash[n] = $3; last = n }
       END { for (i = 1; i <= last; i++) print i, hash[i] }' "$work/manifest" >"$work/volumes"
  while read -r number hash <&4; do
    volume=$(ls -d "$target/$set.vol$number.difftar"* | head -n 1)
    [ "$(sha1sum <"$volume" | cut -d ' ' -f 1)" = "$hash" ] || die "$volume is damaged: its SHA-1 is not $hash"
    rm -rf "$work/volume" "$work/difftar"
    mkdir "$work/volume"
    unseal "$volume" >"$work/difftar"
    # Deletions are members without content and would stand in each other's way on disk; the listing has them.
    LC_ALL=C.UTF-8 tar --extract --file "$work/difftar" --directory "$work/volume" --same-permissions --delay-directory-restore --no-wildcards \
      --anchored --exclude=deleted --warning=no-unknown-keyword --warning=no-timestamp --warning=no-alone-zero-block
    LC_ALL=C.UTF-8 tar --list --file "$work/difftar" --quoting-style=escape --warning=no-unknown-keyword \
      --warning=no-alone-zero-block >"$work/listing"
    while IFS= read -r escaped <&5; do
      printf -v name "${escaped//%/%%}"
      member "$name"
    done 5<"$work/listing"
  done 4<"$work/volumes"
  finish_parts
done

# 3. Folders get their attributes last.
for folder in "${!folders[@]}"; do
  if [ -d "$destination/$folder" ] && [ ! -L "$destination/$folder" ]; then
    read -r owner mode time <<<"${folders[$folder]}"
    chown "$owner" "$destination/$folder" 2>/dev/null || true
    chmod "$mode" "$destination/$folder"
    touch -d "@$time" "$destination/$folder"
  fi
done
echo "restored ${#sets[@]} sets by $end into $destination"
