# Brings a bare Debian 12 or 13 to what the project needs; sourced by the other scripts. POSIX sh.
#
# What always holds: everything said here goes to stderr, since stdout belongs to the command that follows; nothing is
# touched when nothing is missing; a service that comes with a package is neither started nor enabled, because the
# project starts its own brokers and servers on its own ports.
# Debian's python3 makes the environment (not the first python3 on PATH): python3-pyaudio is built for it.

root=$(cd "$(dirname "$0")/.." && pwd)
venv=$root/.venv
export PATH="$PATH:/usr/local/sbin:/usr/sbin:/sbin"

# What `commune demo` needs.
run_packages="ca-certificates python3 python3-venv python3-pyaudio libportaudio2 mosquitto prometheus
  prometheus-alertmanager espeak-ng tzdata"
# What the tests and benchmarks need beside it: real peers, real kernels' tools, a real browser.
test_packages="chromium chromium-driver e2fsprogs fonts-dejavu-core gcc gcc-avr avr-libc git iproute2 iputils-ping kbd libc6-dev
  libelf-dev libsimavr-dev mount nftables nut-server openssl postgresql procps prometheus-blackbox-exporter
  prometheus-node-exporter shellcheck simavr snmp snmpd strace tmux util-linux victoria-metrics"
# Services that these packages bring and that must not start by themselves, at once or at the next boot.
foreign_services="mosquitto prometheus prometheus-alertmanager prometheus-blackbox-exporter prometheus-node-exporter
  nut-server postgresql snmpd victoria-metrics"

say() { echo "$(basename "$0"): $*" >&2; }
fail() { say "$*"; exit 1; }

as_root() {
  if [ "$(id -u)" = 0 ]; then "$@"
  elif command -v sudo >/dev/null; then sudo "$@"
  else fail "needs root to install Debian packages: run it as root once, or install sudo"
  fi
}

# Those of the packages named that are not installed.
missing_packages() {
  for package in "$@"; do
    case $(dpkg-query -W -f '${db:Status-Status}' "$package" 2>/dev/null) in
      installed) ;;
      *) printf '%s ' "$package" ;;
    esac
  done
}

# install_packages NAME...: apt-get what is missing.
install_packages() {
  command -v dpkg-query >/dev/null || fail "this is no Debian; install by hand: $*"
  # One question for all names first: the usual answer is that nothing is missing.
  installed=$(dpkg-query -W -f '${db:Status-Status}\n' "$@" 2>/dev/null | grep -cx installed || true)
  [ "$installed" -ne $# ] || return 0
  missing=$(missing_packages "$@")
  say "installing Debian packages (some minutes on a bare machine): $missing"
  new_services=
  for service in $foreign_services; do
    case " $missing " in *" $service "*) new_services="$new_services $service.service" ;; esac
  done
  # shellcheck disable=SC2086 # names are words
  as_root sh -c '
    policy=/usr/sbin/policy-rc.d
    if [ ! -e $policy ]; then
      trap "rm -f $policy" EXIT
      trap "exit 130" INT TERM HUP
      printf "#!/bin/sh\nexit 101\n" >$policy && chmod 755 $policy
    fi
    export DEBIAN_FRONTEND=noninteractive
    told=$(mktemp)
    quiet() { apt-get -q -o DPkg::Lock::Timeout=600 "$@" >"$told" 2>&1 || { cat "$told"; rm -f "$told"; exit 1; }; }
    quiet update
    quiet install -y --no-install-recommends "$@"
    rm -f "$told"
  ' install $missing </dev/null >&2 || fail "apt-get could not install: $missing"
  command -v systemctl >/dev/null || return 0
  for service in $new_services; do # one by one: systemctl gives up at the first that it does not know
    as_root systemctl disable --quiet "$service" </dev/null >&2 || say "could not disable $service"
  done
}

# make_venv LOCK...: the environment with exactly what the lock files say, and the project itself, editable.
make_venv() {
  python=/usr/bin/python3
  wanted=$({ "$python" -V && cd "$root" && sha256sum "$@" pyproject.toml; } | sha256sum)
  # One stamp for each set of locks; the larger set holds the smaller.
  stamp=$venv/commune-$(echo "$*" | tr -c 'a-z\n' -)
  [ "$(cat "$stamp" 2>/dev/null)" != "$wanted" ] || return 0
  mkdir -p "$venv"
  (
    flock 9
    if ! [ -x "$venv/bin/python" ] || [ "$("$venv/bin/python" -V 2>&1)" != "$("$python" -V)" ]; then
      say "making .venv with $("$python" -V)"
      "$python" -m venv --clear --system-site-packages "$venv" || fail "cannot make $venv"
    fi
    say "installing Python packages of $*"
    cd "$root"
    arguments=
    for lock in "$@"; do arguments="$arguments -r $lock"; done
    export PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_INPUT=1
    # shellcheck disable=SC2086
    "$venv/bin/python" -m pip install -q --require-hashes --only-binary :all: $arguments &&
      "$venv/bin/python" -m pip install -q --no-deps --no-build-isolation -e .
  ) 9>"$venv.lock" </dev/null >&2 || fail "cannot install the Python packages"
  echo "$wanted" >"$stamp"
}
