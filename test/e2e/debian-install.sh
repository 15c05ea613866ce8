#!/bin/sh
# Installs agrinetd into a fresh Debian, twice, and lets the installed daemon serve from inside: npm run campaign:install
# SUITE=bullseye and the like choose the Debian; MIRROR its source, otherwise the one that this machine's apt uses.
# Needs root, debootstrap, and that source. Leaves nothing behind.
set -eu

project=$(cd "$(dirname "$0")/../.." && pwd -P)
suite=${SUITE:-bookworm}
dir=$(mktemp -d "${TMPDIR:-/tmp}/agrinet-debian-XXXXXX")
root=$dir/root
daemon=''

say() { printf '== %s\n' "$*"; }
die() {
  printf 'debian-install: %s\n' "$*" >&2
  exit 1
}
tidy() {
  [ -z "$daemon" ] || kill -9 "$daemon" 2>/dev/null || true
  umount -l "$root/proc" "$root/dev/urandom" "$root/dev/null" "$root/project" 2>/dev/null || true
  rm -rf --one-file-system "$dir"
}
trap tidy EXIT
trap 'exit 1' HUP INT TERM

[ "$(id -u)" = 0 ] || die 'needs root'
command -v debootstrap >/dev/null || die 'no debootstrap here; install it with: apt-get install debootstrap'
# What apt itself would ask, whatever form its sources have.
# shellcheck disable=SC2016 # the $( ) is apt's
mirror=${MIRROR:-$(apt-get indextargets --format '$(REPO_URI)' 'Created-By: Packages' "Codename: $suite" 2>/dev/null | head -n 1)}
# shellcheck disable=SC2016
[ -n "$mirror" ] || mirror=$(apt-get indextargets --format '$(REPO_URI)' 'Created-By: Packages' 2>/dev/null | head -n 1)
[ -n "$mirror" ] || die 'apt has no sources here; set MIRROR'

say "Debian $suite"
debootstrap --variant=minbase --include=systemd,perl-base "$suite" "$root" "$mirror" >"$dir/log" 2>&1 ||
  die "debootstrap failed: $(tail -n 1 "$dir/log")"
mkdir "$root/project"
mount --bind "$project" "$root/project"
mount -o remount,bind,ro "$root/project"
mount -t proc proc "$root/proc"
for each in null urandom; do
  rm -f "$root/dev/$each"
  touch "$root/dev/$each"
  mount --bind "/dev/$each" "$root/dev/$each"
done
inside() { env -i PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin chroot "$root" "$@"; }

for round in first second; do
  say "$round installation"
  inside /project/systemd/install.sh
done
[ "$(find "$root/opt/agrinet-releases" -mindepth 1 -maxdepth 1 | wc -l)" = 1 ] || die 'an old version was left'
inside id agrinet
[ "$(stat -c %a "$root/var/lib/agrinet/api-key")" = 600 ] || die 'the key can be read by others'
inside /usr/bin/systemd-analyze verify --man=no agrinetd.service agrinet-worker@1.service agrinet-sync.timer || die 'the units are not clean'

say 'the installed daemon, as its unit starts it'
port=${PORT:-5987}
env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin DATA_DIR=/var/lib/agrinet PORT="$port" MYCELIUM_PORT=0 \
  chroot --userspec=agrinet:agrinet "$root" /usr/bin/perl /opt/agrinet/systemd/with-notify-fd.pl \
  /opt/agrinet/node_modules/.bin/node --max-semi-space-size=16 --heap-growing-percent=40 --min-semi-space-size=4 --preserve-symlinks /opt/agrinet/daemon/agrinet.mjs start >"$dir/daemon" 2>&1 &
daemon=$!
tries=0
until curl -sf "http://127.0.0.1:$port/health"; do
  tries=$((tries + 1))
  [ $tries -lt 300 ] || die "it does not serve: $(tail -n 1 "$dir/daemon")"
  kill -0 $daemon 2>/dev/null || die "it ended: $(tail -n 1 "$dir/daemon")"
  sleep 0.1
done
echo
inside env BACKEND_URL="http://127.0.0.1:$port" agrinet identity
inside env BACKEND_URL="http://127.0.0.1:$port" agrinet status
kill -TERM $daemon
wait $daemon || die "it did not stop in order: $?"
daemon=''

say 'uninstalled'
inside /project/systemd/install.sh --uninstall
for kept in var/lib/agrinet/identity.json etc/agrinet/agrinetd.env; do
  [ -s "$root/$kept" ] || die "$kept is gone"
done
[ ! -e "$root/opt/agrinet" ] || die 'the program is still there'
say 'done'
