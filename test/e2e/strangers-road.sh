#!/usr/bin/env bash
# Walks the road of somebody who knows nothing but the README: a fresh clone, then the commands of "Two nodes" as they stand there.
# Fails when they are ten or more with the clone, when one fails, or when the second node does not show what the first one has.
# As root the nodes run in a network of their own, so that the README's ports are free.
set -euo pipefail

project=$(cd "$(dirname "$0")/../.." && pwd -P)
die() {
  echo "strangers-road: $*" >&2
  exit 1
}

if [ "${1:-}" != --walk ]; then
  dir=$(mktemp -d "${TMPDIR:-/tmp}/agrinet-road-XXXXXX")
  trap 'rm -rf "$dir"' EXIT
  git clone --quiet --depth 1 "file://$project" "$dir/clone"
  apart=()
  if [ "$(id -u)" = 0 ] && unshare --net true 2>/dev/null; then apart=(unshare --net); fi
  cd "$dir/clone"
  mapfile -t commands < <(sed -n '/<!-- road -->/,/<!-- \/road -->/p' README.md | grep -v '^<!--\|^```')
  [ $((${#commands[@]} + 1)) -lt 10 ] || die "$((${#commands[@]} + 1)) commands with the clone: too many"
  echo "== 1: git clone"
  # The only one that needs the network.
  [ "${commands[0]}" = 'npm ci' ] || die "the README does not begin with npm ci"
  echo '== 2: npm ci'
  # What only developers need takes a third of it; whoever runs this has installed that, by the same lock file.
  npm_config_prefer_offline=true npm_config_omit=dev npm ci >"$dir/npm.log" 2>&1 || die "npm ci: $(tail -n 1 "$dir/npm.log")"
  # No settings of whoever runs this.
  env -i PATH="$PATH" HOME="$dir" "${apart[@]}" bash "$project/test/e2e/strangers-road.sh" --walk "${commands[@]:1}"
  exit
fi

shift
[ "$(id -u)" != 0 ] || ip link set lo up
leave() {
  for job in $(jobs -p); do kill "$job" 2>/dev/null || true; done
  wait
}
trap leave EXIT
no=2
starts=0
for command in "$@"; do
  no=$((no + 1))
  echo "== $no: ${command%%  *}"
  case $command in
    curl*)
      # What was written is at the other node in a moment.
      for _ in $(seq 100); do
        seen=$(eval "$command")
        case $seen in *'"listingId"'*) break ;; esac
        sleep 0.1
      done
      echo "${seen:0:300}"
      case $seen in *'"listingId"'*) ;; *) die 'the second node does not show a listing' ;; esac
      continue
      ;;
  esac
  eval "$command" || die "it failed: $command"
  # A person waits until it says that it listens.
  case $command in
    'npm start'* | *' npm start &'*)
      port=$((5000 + starts))
      starts=$((starts + 1))
      for _ in $(seq 600); do
        if curl -sf "http://127.0.0.1:$port/health" >/dev/null; then break; fi
        sleep 0.1
      done
      curl -sf "http://127.0.0.1:$port/health" >/dev/null || die "no node listens on port $port"
      ;;
  esac
done

for _ in $(seq 300); do
  first=$(curl -sf http://127.0.0.1:5000/federation/digest)
  [ "$first" != "$(curl -sf http://127.0.0.1:5001/federation/digest)" ] || break
  sleep 0.1
done
[ "$first" = "$(curl -sf http://127.0.0.1:5001/federation/digest)" ] || die 'the two nodes do not hold the same'
echo "== both hold the same: ${first:0:200}"
