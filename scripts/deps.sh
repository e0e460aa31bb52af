#!/usr/bin/env bash
# Installs what a kind of work needs and is missing: deps.sh [build|generate|test|bench|lint|vm|guests|report|engines|all]...
# Debian and Ubuntu with root only; elsewhere it says which packages to install and ends with 3.
set -euo pipefail

usage='usage: scripts/deps.sh [build|generate|test|bench|lint|vm|guests|report|engines|all]...'
export PATH="$PATH:/usr/sbin:/sbin:/usr/local/go/bin"

# want COMMAND PACKAGE: the package is wanted because of the command it brings.
missing=()
want() {
	command -v "$1" >/dev/null 2>&1 && return 0
	case " ${missing[*]-} " in *" $2 "*) ;; *) missing+=("$2") ;; esac
}
# want_file FILE PACKAGE
want_file() {
	[ -e "$1" ] || missing+=("$2")
}

want_build() {
	want git git
	want make make
}
want_generate() {
	want clang-14 clang-14
	want ld.lld-14 lld-14
	want llvm-strip-14 llvm-14
}
want_cc() {
	want gcc gcc
	want_file "$(dirname "$(gcc -print-file-name=libc.a 2>/dev/null || echo /none/libc.a)")/libc.a" libc6-dev
}
want_engines() {
	want bwrap bubblewrap
	want runc runc
	want crun crun
}
# More engines for make engines; minijail and nsjail are no packages of Debian 12.
want_more_engines() {
	want_test
	want podman podman
	want firejail firejail
	want systemd-nspawn systemd-container
	want lxc-execute lxc
}
want_test() {
	want_build
	want_generate # the tests of the agent read its disassembly, those of the probes rebuild planted faults
	want_cc       # the race detector, and small C workloads
	want_engines
	want newuidmap uidmap
	want ip iproute2
	want setpriv util-linux
	want capsh libcap2-bin
}
want_bench() {
	want_build
	want_cc
	want_engines
}
want_vm() {
	want_build
	want qemu-system-x86_64 qemu-system-x86
	want dpkg-deb dpkg # unpacks kernels, which apt-get fetches
}
want_guests() {
	want apparmor_parser apparmor # compiles profiles; the package's service does nothing without AppArmor
	want checkpolicy checkpolicy
}
want_report() {
	want chromium chromium # the HTML report is looked at in it
}
want_lint() {
	want shellcheck shellcheck
}

[ $# -gt 0 ] || set -- build
for kind in "$@"; do
	case $kind in
	build | generate | test | bench | lint | vm | guests | report) "want_$kind" ;;
	engines) want_more_engines ;;
	all) want_more_engines; want_bench; want_lint; want_vm; want_guests; want_report ;;
	*) echo "$usage" >&2; exit 64 ;;
	esac
done

if ! command -v go >/dev/null 2>&1; then
	echo "deps: Go 1.26 or newer is needed (any Go since 1.21 fetches it by itself): https://go.dev/doc/install" >&2
	exit 3
fi

[ ${#missing[@]} -gt 0 ] || exit 0
command="apt-get install -y --no-install-recommends ${missing[*]}"
if ! command -v apt-get >/dev/null 2>&1; then
	echo "deps: no apt-get here; install what Debian 12 calls: ${missing[*]}" >&2
	exit 3
fi
if [ "$(id -u)" != 0 ]; then
	echo "deps: not root; run first: sudo $command" >&2
	exit 3
fi

log=$(mktemp)
trap 'rm -f "$log"' EXIT
apt() {
	# Another apt may hold the lock: wait for it rather than fail.
	DEBIAN_FRONTEND=noninteractive apt-get -q -o DPkg::Lock::Timeout=300 -o Acquire::Retries=3 "$@" >>"$log" 2>&1 </dev/null
}
echo "deps: installing ${missing[*]}" >&2
# The package lists may be absent or too old to fetch from: update and try once more.
if ! apt install -y --no-install-recommends "${missing[@]}"; then
	if ! { apt update && apt install -y --no-install-recommends "${missing[@]}"; }; then
		tail -n 30 "$log" >&2
		echo "deps: that was: $command" >&2
		exit 1
	fi
fi
