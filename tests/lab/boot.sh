# Boots one host of the lab; runs in a mount namespace of its own. Started by nspawn.py.
set -u
# Arguments: number of control groups, the groups, overlay options, root, disk image or "", docker folder, nspawn ...
n=$1; shift
while [ "$n" -gt 0 ]; do echo $$ >"$1/cgroup.procs" || exit 1; shift; n=$((n - 1)); done
mount -t overlay overlay -o "$1" "$2" || exit 1
if [ -n "$3" ]; then mount -o loop "$3" "$4" || exit 1; fi
# What nspawn leaves in /run after a kill -9 stays in this mount namespace, and goes with it.
mkdir -p /run/systemd/nspawn && mount -t tmpfs tmpfs /run/systemd/nspawn || exit 1
shift 4
while :; do
  "$@"
  code=$?
  [ $code -eq 133 ] || exit $code   # 133: the host asked for a reboot
done
