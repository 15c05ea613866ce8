#!/bin/sh
# Installs agrinetd as a service on Ubuntu (20.04 or later) and Debian (11 or later), x86_64 and ARM64:
#
#   install.sh                  installs, or replaces the version that is there; settings, keys and data stay
#   install.sh --root DIR       puts everything into DIR instead, for an image; the user comes at its first boot
#   install.sh --uninstall      takes the service away; settings, keys and data stay
#   install.sh --no-start       does not start the service
#
# It needs no network when `npm ci` has been run in this project; otherwise npm fetches what is missing, and nothing else does.
set -eu
umask 022

root='' uninstall=no start=yes stage='' releases=''
program=/opt/agrinet
units='agrinetd.service agrinet-worker@.service agrinet-sync.service agrinet-sync.timer'

say() { printf '%s\n' "$*"; }
die() {
  printf 'install.sh: %s\n' "$*" >&2
  exit 1
}
# Runs a command; when it fails, its last line becomes ours.
try() {
  output=$("$@" 2>&1) || die "\`$1\` failed: $(printf '%s' "$output" | tail -n 1)"
}
# What was begun and not finished goes; what is installed is never in `stage`.
tidy() {
  [ -z "$stage" ] || rm -rf "$stage"
  [ -z "$releases" ] || rmdir "$releases" 2>/dev/null || true
}
trap tidy EXIT
trap 'exit 1' HUP INT TERM

while [ $# -gt 0 ]; do
  case $1 in
    --root)
      [ $# -ge 2 ] || die '--root needs a folder: install.sh --root DIR'
      root=$2
      shift
      ;;
    --root=*) root=${1#--root=} ;;
    --uninstall) uninstall=yes ;;
    --no-start) start=no ;;
    -h | --help)
      sed -n '2,/^set /{/^set /d;s/^# \{0,1\}//;p;}' "$0"
      exit 0
      ;;
    *) die "unknown option $1; --help shows them" ;;
  esac
  shift
done

project=$(cd "$(dirname "$0")/.." && pwd -P)
if [ -n "$root" ]; then
  [ -d "$root" ] || die "$root is not a folder; make it first"
  root=$(cd "$root" && pwd -P)
  [ "$root" != / ] || root=''
fi
live=no # whether the systemd of this machine is to be told
if [ -z "$root" ]; then
  [ "$(id -u)" = 0 ] || die "needs root: sudo $0"
  if [ -d /run/systemd/system ]; then live=yes; fi
fi
running() { [ $live = yes ] && systemctl --quiet is-active agrinetd.service; }

# -- taking it away

if [ $uninstall = yes ]; then
  [ -e "$root$program" ] || [ -e "$root/etc/systemd/system/agrinetd.service" ] || die "agrinetd is not installed in ${root:-/}"
  if [ $live = yes ]; then
    try systemctl stop agrinet-sync.timer agrinet-sync.service 'agrinet-worker@*.service' agrinetd.service
    try systemctl disable agrinetd.service agrinet-sync.timer
  fi
  for unit in $units; do
    rm -f "$root/etc/systemd/system/$unit" "$root/etc/systemd/system/"*".wants/$unit"
  done
  rm -f "$root/etc/systemd/system/"*'.wants/agrinet-worker@'*.service
  rm -f "$root/etc/sysusers.d/agrinet.conf" "$root/etc/tmpfiles.d/agrinet.conf" "$root/usr/local/bin/agrinet"
  rm -rf "$root$program" "$root$program-releases"
  [ $live = no ] || try systemctl daemon-reload
  say "agrinetd is uninstalled. Left as they were: the data and keys in $root/var/lib/agrinet, the settings and secrets in $root/etc/agrinet, and the user agrinet."
  exit 0
fi

# -- what has to be so, before anything is changed

[ "$(uname -s)" = Linux ] || die "this is $(uname -s); the service needs Linux with systemd"
case $(uname -m) in
  x86_64 | aarch64 | arm64) ;;
  *) die "the processor is $(uname -m); there is a Node.js for x86_64 and ARM64 (aarch64) only, on a 64-bit system" ;;
esac
for tool in setpriv perl systemctl; do
  [ -n "$root" ] || command -v $tool >/dev/null || die "there is no $tool; install it first (util-linux, perl-base, systemd)"
done
if [ -e "$root$program" ] && [ ! -L "$root$program" ]; then
  die "$root$program was not made by this installer; move it away (a clone may stand anywhere else)"
fi

# -- the program, beside the one that is there

releases=$root$program-releases
try mkdir -p "$releases"
stage=$(mktemp -d "$releases/.new-XXXXXX") || die "cannot write in $releases"
for each in daemon protocols storage api systemd package.json package-lock.json LICENSE README.md CHANGELOG.md SECURITY.md; do
  try cp -R "$project/$each" "$stage/"
done
try mkdir -p "$stage/test"
try cp -R "$project/test/data" "$stage/test/" # what `agrinet demo` shows
if [ -f "$project/.npmrc" ]; then try cp "$project/.npmrc" "$stage/"; fi

node=$project/node_modules/.bin/node
missing='there is no node_modules folder'
if [ -x "$node" ]; then
  if ! output=$("$node" --version 2>&1); then
    die "the Node.js of $project does not run here ($(printf '%s' "$output" | tail -n 1)); was it installed on another machine? Run there: rm -rf node_modules && npm ci"
  fi
  status=0
  missing=$("$node" "$project/systemd/copy-modules.mjs" "$project" "$stage" 2>&1) || status=$?
  case $status in
    0) missing='' ;;
    3) ;;
    *) die "the dependencies cannot be copied: $(printf '%s' "$missing" | tail -n 1)" ;;
  esac
fi
if [ -n "$missing" ]; then
  command -v npm >/dev/null || die "$missing, and there is no npm to fetch it. Run \`npm ci\` in $project first, on any machine of this kind"
  version=$(npm --version 2>/dev/null) || version=0
  [ "${version%%.*}" -ge 7 ] 2>/dev/null || die "npm $version cannot read package-lock.json; npm 7 or later can (Node.js 20 has it)"
  say "Fetching the dependencies with npm ($missing)"
  rm -rf "$stage/node_modules"
  (cd "$stage" && npm ci --omit=dev --no-audit --no-fund --loglevel=error) >"$stage/npm.log" 2>&1 ||
    die "npm ci failed: $(grep -v '^npm .* A complete log' "$stage/npm.log" | grep . | tail -n 1)"
  rm -f "$stage/npm.log"
fi
node=$stage/node_modules/.bin/node
[ -x "$node" ] || die "npm brought no Node.js for $(uname -m); set nothing like --omit=optional in .npmrc"
version=$("$node" "$stage/daemon/agrinet.mjs" --version 2>&1) || die "the program does not run here: $(printf '%s' "$version" | tail -n 1)"

# -- user, folders, settings, key: what is there stays

# Copies a file so that it is there whole or not at all: put MODE FROM TO
put() {
  try mkdir -p "$(dirname "$3")"
  try install -m "$1" "$2" "$3.new"
  try mv -f "$3.new" "$3"
}
put 644 "$stage/systemd/sysusers.conf" "$root/etc/sysusers.d/agrinet.conf"
put 644 "$stage/systemd/tmpfiles.conf" "$root/etc/tmpfiles.d/agrinet.conf"
if [ -z "$root" ] && ! id agrinet >/dev/null 2>&1; then
  if command -v systemd-sysusers >/dev/null; then
    try systemd-sysusers /etc/sysusers.d/agrinet.conf
  else
    try useradd --system --user-group --home-dir /var/lib/agrinet --no-create-home --shell /usr/sbin/nologin agrinet
  fi
fi
data=$root/var/lib/agrinet
try mkdir -p "$data" "$root/etc/agrinet/credentials"
try chmod 700 "$data" "$root/etc/agrinet/credentials"
try chmod 750 "$root/etc/agrinet"
settings=$root/etc/agrinet/agrinetd.env
if [ ! -e "$settings" ]; then put 640 "$stage/systemd/agrinetd.env" "$settings"; fi
if [ ! -s "$root/etc/agrinet/credentials/API_KEY" ]; then
  # Not shown: whoever may read the file may know it.
  try "$node" "$stage/daemon/make-api-key.ts" "$data"
  key=/var/lib/agrinet/api-key
else
  key=/etc/agrinet/credentials/API_KEY
fi
if [ -z "$root" ]; then
  try chown agrinet:agrinet "$data"
  if [ -e "$data/api-key" ]; then try chown agrinet:agrinet "$data/api-key"; fi
  try chown root:agrinet /etc/agrinet "$settings"
fi

# -- the switch: one rename

fresh=no
[ -L "$root$program" ] || fresh=yes
name=$version-$(date -u +%Y%m%dT%H%M%S)-$$
try chmod -R u=rwX,go=rX "$stage" # a clone made with umask 077 is for its owner alone, and the service is somebody else
try mv "$stage" "$releases/$name"
stage=''
for unit in $units; do put 644 "$releases/$name/systemd/$unit" "$root/etc/systemd/system/$unit"; done
put 755 "$releases/$name/systemd/agrinet" "$root/usr/local/bin/agrinet"
try ln -sfn "$(basename "$releases")/$name" "$root$program.new"
try mv -T "$root$program.new" "$root$program"
if [ $fresh = yes ]; then
  try mkdir -p "$root/etc/systemd/system/multi-user.target.wants"
  try ln -sf ../agrinetd.service "$root/etc/systemd/system/multi-user.target.wants/agrinetd.service"
fi

# -- the service

if [ $live = yes ]; then
  try systemctl daemon-reload
  if running; then
    systemctl restart agrinetd.service ||
      die "agrinetd $version does not start: journalctl -u agrinetd. The version before it is still in $releases"
  elif [ $fresh = yes ] && [ $start = yes ]; then
    systemctl start agrinetd.service || die "agrinetd $version does not start: journalctl -u agrinetd. Mend that, then: systemctl start agrinetd"
  fi
fi
if [ $live = yes ]; then try systemctl try-restart 'agrinet-worker@*.service'; fi
for old in "$releases"/* "$releases"/.new-*; do # .new- of an installation that was killed
  [ "$old" = "$releases/$name" ] || rm -rf "$old"
done

say "agrinetd $version is installed in $root$program."
say "Settings: $root/etc/agrinet/agrinetd.env   Secrets: $root/etc/agrinet/credentials/   Runbook: $root$program/systemd/README.md"
say "The operator's key stands in $root$key; \`sudo agrinet status\` uses it by itself."
if [ -n "$root" ]; then
  say 'The service starts with the first boot of that folder.'
elif [ $live = no ]; then
  say 'systemd does not run here; the service starts with the next boot.'
elif ! running; then
  say 'Start it with: systemctl start agrinetd'
fi
