#!/bin/sh
# Brings a fresh Debian or Ubuntu machine to where `npm start` and `npm test` run: Debian packages, npm
# packages, build. Does only what is missing, says each thing that it does in one line, and exits 1 with one
# line when it cannot go on.
set -eu

node_needed=20.18.1
packages='kamailio kamailio-extra-modules kamailio-redis-modules kamailio-json-modules kamailio-utils-modules kamailio-tls-modules sip-tester redis-server prometheus openssl ca-certificates'
programs='kamailio sipp redis-server promtool openssl flock'
lock_wait_s=1200  # another setup in this checkout
apt_lock_wait_s=300  # another apt on this machine
install_limit_s=900  # one apt-get or npm run
# The place where Debian's service scripts look; DPKG_ROOT is dpkg's own variable.
policy="${DPKG_ROOT:-}/usr/sbin/policy-rc.d"
policy_made=''

say() { printf '%s\n' "$*"; }
fail() {
  printf 'setup: %s\n' "$*" >&2
  exit 1
}

check_node() {
  command -v node >/dev/null || fail "Node.js $node_needed or newer is needed and there is none"
  node_found=$(node --version)
  printf '%s\n' "$node_needed" "${node_found#v}" | sort -V -C ||
    fail "Node.js $node_needed or newer is needed, this is ${node_found#v}"
}

# Prints the wanted Debian packages that are not installed.
missing_packages() {
  # dpkg-query fails when it knows nothing of a package: that is an answer here.
  # shellcheck disable=SC2016,SC2086 # dpkg-query expands the format; the package list is meant to split
  installed=$(dpkg-query -W -f='[${Package}:${db:Status-Status}]' $packages 2>/dev/null || true)
  for package in $packages; do
    case $installed in
      *"[$package:installed]"*) ;;
      *) printf ' %s' "$package" ;;
    esac
  done
}

# Without this the fresh Kamailio and Redis would start at once on 5060 and 6379, Prometheus on 9090.
forbid_service_starts() {
  [ ! -e "$policy" ] || return 0
  policy_made=yes
  # shellcheck disable=SC2016 # $1 belongs to the inner shell
  $as_root sh -c 'printf "%s\n" "#!/bin/sh" "# Made by the setup of retell-sip-proxy while it installs packages; safe to remove." "exit 101" >"$1" && chmod 755 "$1"' sh "$policy"
}

allow_service_starts() {
  [ -n "$policy_made" ] || return 0
  $as_root rm -f "$policy"
  policy_made=''
}

apt_get() {
  $as_root env DEBIAN_FRONTEND=noninteractive LC_ALL=C timeout --foreground "$install_limit_s" \
    apt-get -q -o "DPkg::Lock::Timeout=$apt_lock_wait_s" "$@" >"$log" 2>&1 </dev/null
}

# apt's lock timeout does not cover the lock on the package lists, which a fresh machine's own daily update
# may hold. Any other failure is left to the installation: one broken third-party source need not matter.
update_package_lists() {
  log=var/setup-apt-update.log
  waited_s=0
  until apt_get update; do
    grep -q 'Could not get lock' "$log" || return 0
    [ "$waited_s" -lt "$apt_lock_wait_s" ] || fail "another apt kept the package lists locked for $apt_lock_wait_s s, see $log"
    sleep 3
    waited_s=$((waited_s + 3))
  done
}

install_packages() {
  missing=$(missing_packages)
  missing=${missing# }
  [ -n "$missing" ] || return 0
  if [ "$(id -u)" = 0 ]; then
    as_root=''
  elif command -v sudo >/dev/null && sudo -n true 2>/dev/null; then
    as_root='sudo -n'
  else
    fail "Debian packages are missing; run as root: apt-get update && apt-get install -y --no-install-recommends $missing"
  fi
  say "Installing Debian packages: $missing"
  trap allow_service_starts EXIT
  trap 'exit 129' HUP
  trap 'exit 130' INT
  trap 'exit 143' TERM
  forbid_service_starts
  update_package_lists
  log=var/setup-apt-install.log
  # shellcheck disable=SC2086 # the package list is meant to split
  apt_get install -y --no-install-recommends $missing || fail "apt-get install failed, see $log"
  disable_services
  allow_service_starts
}

# Else the next boot would start them on the ports that this project wants.
disable_services() {
  command -v systemctl >/dev/null || return 0
  for service in kamailio redis-server prometheus; do
    case " $missing " in
      *" $service "*) $as_root systemctl disable "$service" >>"$log" 2>&1 </dev/null || true ;;
    esac
  done
}

check_programs() {
  absent=''
  for program in $programs; do
    command -v "$program" >/dev/null || absent="$absent $program"
  done
  [ -z "$absent" ] ||
    fail "this is not Debian or Ubuntu: install$absent yourself (Kamailio with its redis, json, utils and tls modules), then run this again"
}

install_npm_packages() {
  installed_lock=node_modules/.package-lock.json  # npm writes it last, so a broken-off install has none
  if [ -e "$installed_lock" ] && ! [ package-lock.json -nt "$installed_lock" ]; then
    return 0
  fi
  say 'Installing npm packages'
  log=var/setup-npm.log
  # The compiler is a development dependency, needed under NODE_ENV=production too.
  timeout --foreground "$install_limit_s" npm ci --include=dev --no-audit --no-fund >"$log" 2>&1 </dev/null ||
    fail "npm ci failed, see $log"
}

build() {
  [ -e dist/.tsbuildinfo ] || say 'Building'
  timeout --foreground "$install_limit_s" node_modules/.bin/tsc || fail 'the build failed'
}

setup() {
  if command -v dpkg-query >/dev/null && command -v apt-get >/dev/null; then
    install_packages
  else
    check_programs
  fi
  install_npm_packages
  build
}

cd "$(dirname "$0")/.."
check_node
command -v flock >/dev/null || fail 'flock (util-linux) is needed and there is none'
mkdir -p var
exec 9>var/setup.lock
if ! flock -n 9; then
  say 'Waiting for another setup in this checkout'
  flock -w "$lock_wait_s" 9 || fail "another setup has held var/setup.lock for $lock_wait_s s"
fi
# Whatever a package or a script leaves running must not inherit the lock.
setup 9>&-
