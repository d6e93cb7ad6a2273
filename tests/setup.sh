#!/bin/sh
# Sets up a fresh machine. `setup.sh venv DIR` makes the virtual environment; `setup.sh lab` installs what the lab needs.
# Says in one sentence what a person must install where it cannot do so itself.
set -eu

is_debian() { command -v apt-get >/dev/null 2>&1; }
apt_install() {
  DEBIAN_FRONTEND=noninteractive apt-get -qq update >/dev/null 2>&1 || true
  # An installed docker.io would start a dockerd of the machine's own; the lab has its own engines.
  printf '#!/bin/sh\nexit 101\n' >/tmp/swarmtui-policy.$$ && chmod 755 /tmp/swarmtui-policy.$$
  made=no
  if [ ! -e /usr/sbin/policy-rc.d ]; then cp /tmp/swarmtui-policy.$$ /usr/sbin/policy-rc.d; made=yes; fi
  code=0
  DEBIAN_FRONTEND=noninteractive apt-get -qq install -y --no-install-recommends "$@" >/tmp/swarmtui-apt.$$ 2>&1 || code=$?
  if [ $made = yes ]; then rm -f /usr/sbin/policy-rc.d; fi
  if [ $code -ne 0 ]; then tail -n 5 /tmp/swarmtui-apt.$$ >&2; fi
  rm -f /tmp/swarmtui-policy.$$ /tmp/swarmtui-apt.$$
  return $code
}

case "${1:-}" in
venv)
  dir=$2
  python=${PYTHON:-python3}
  "$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null ||
    { echo "swarmtui needs Python 3.11 or newer; $python is not: install it, or name one with make PYTHON=python3.12." >&2; exit 1; }
  if ! "$python" -c 'import ensurepip, venv' 2>/dev/null; then
    version=$("$python" -c 'import sys; print("%d.%d" % sys.version_info[:2])')
    if is_debian && [ "$(id -u)" = 0 ]; then
      echo "Installing python$version-venv (Debian leaves the venv module out)." >&2
      apt_install "python$version-venv"
    else
      echo "This Python has no venv module: install it first (Debian and Ubuntu: apt-get install python$version-venv)." >&2
      exit 1
    fi
  fi
  [ -x "$dir/bin/python" ] || "$python" -m venv "$dir"
  echo "Installing what requirements.lock names into $dir ..." >&2
  "$dir/bin/python" -m pip install -q --disable-pip-version-check --require-hashes -r requirements.lock
  "$dir/bin/python" -m pip install -q --disable-pip-version-check --no-deps --no-build-isolation -e .
  ;;
lab)
  # Some machines have a docker client and no engine: both are asked for. Left out quietly here; pytest then says in one line which tests are left out, and why.
  is_debian && [ "$(id -u)" = 0 ] || exit 0
  missing=""
  for pair in debootstrap:debootstrap systemd-nspawn:systemd-container sshd:openssh-server ssh:openssh-client \
              busybox:busybox-static ip:iproute2 docker:docker.io dockerd:docker.io tmux:tmux \
              gnome-keyring-daemon:gnome-keyring dbus-run-session:dbus dbus-daemon:dbus-daemon age:age; do
    PATH="$PATH:/usr/sbin:/sbin" command -v "${pair%%:*}" >/dev/null 2>&1 || missing="$missing ${pair#*:}"
  done
  [ -z "$missing" ] || { echo "Installing for the lab:$missing" >&2; apt_install $missing; }
  ;;
*) echo "usage: setup.sh venv DIR | lab" >&2; exit 2 ;;
esac
