#!/usr/bin/env bash
# The constraints that this machine's kernel lacks, proven and sabotaged in guests whose kernels have them, and the wrong
# states of the past; what was caught goes to harness/reference/caught-guests.txt and suites/historic/caught-guests.txt:
# guest-constraints.sh [KERNEL...]; ONLY=past for the latter alone
set -euo pipefail
cd "$(dirname "$0")/.."
export CGO_ENABLED=0 PATH="$PATH:/usr/sbin:/sbin"
holdshort="$PWD/bin/holdshort"
kernels=("$@")
[ $# -gt 0 ] || kernels=(5.10 6.1 6.12 7.2 7.3)
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
mkdir "$tmp/suites"
for pkg in harness checkpoint suites/historic; do
	go test -c -o "$tmp/$pkg.test" "./$pkg"
done
go build -o "$tmp/caught" ./internal/cmd/caught
failed=()

# in_guest NAME KERNEL TESTS SCRIPT [options of vm exec]: SCRIPT is what the guest's shell does before the tests.
in_guest() {
	local pkg=harness
	caught_on=$2 run_tests "$@" -- -tell
}

# run_tests does that for the tests of package $pkg; what they caught goes to the file if $caught_on is a kernel.
run_tests() {
	local name=$1 kernel=$2 tests=$3 script=$4 to=(cat) options=()
	shift 4
	while [ "$1" != -- ]; do
		options+=("$1")
		shift
	done
	shift
	echo "== $kernel: $name"
	[ -z "${caught_on-}" ] || to=("$tmp/caught" -kernel "$caught_on" -dir "${caught_in-harness/reference}")
	(cd "$pkg" && "$holdshort" vm exec --kernel "$kernel" --memory 2048 -t apparmor_parser -t checkpolicy -t mkdir -t mount -t cat -t nsenter -t taskset \
		-f "$tmp/$pkg.test" "${options[@]}" -- /bin/sh -c "$script
exec $tmp/$pkg.test -test.run '$tests' -test.timeout 20m $*") 2>&1 | tee "$tmp/log" | "${to[@]}" || true
	grep -q '^PASS' "$tmp/log" && return
	failed+=("$kernel: $name")
}

# The tests of which something is skipped on a machine with version 1 of cgroups, without LSMs that label, without
# modules, and without CAP_SYS_RESOURCE. TESTS='^TestSabotage' for all.
every=${TESTS:-'^TestSabotage(AppArmor|Tuning|Rlimits|Cgroup|Cgroups|Resources|LinkKinds|Network)$'}
# shellcheck disable=SC2016 # for the shell of the guest
# A device whose I/O is weighed, on a kernel where bfq is a module.
weigh='echo "$(cat /sys/block/nullb0/dev) enable=1" >/sys/fs/cgroup/io.cost.qos'
# shellcheck disable=SC2016
# Version 1 of cgroups, for what version 2 lacks or has otherwise.
v1='for c in hugetlb memory cpu cpuset io pids rdma; do echo -$c >/sys/fs/cgroup/cgroup.subtree_control; done
for c in hugetlb memory cpu cpuset blkio pids rdma devices freezer net_cls,net_prio; do
	mkdir -p /run/v1/$c; mount -t cgroup -o $c cgroup /run/v1/$c || echo "no $c in version 1"
done'
for k in "${kernels[@]}"; do
	# What is raised of the bugs of the past.
	pkg=suites/historic caught_on=$k caught_in=suites/historic run_tests "the past" "$k" '^TestHistoric$' : -- -tell
	pkg=suites/historic caught_on=$k caught_in=suites/historic run_tests "the past, SELinux" "$k" '^TestHistoric$/^36$' : \
		--append security=selinux -- -tell
	[ "${ONLY-}" != past ] || continue
	in_guest "AppArmor, cgroups of version 2" "$k" "$every" "$weigh" --module null_blk --module bfq
	# With two processors a translated guest may panic (docs/kernels.md), so only what needs them.
	in_guest "two processors" "$k" '^TestSabotageResources$/cpus|partition' : --cpus 2
	in_guest SELinux "$k" SELinux : --append security=selinux
	in_guest "cgroups of version 1" "$k" '^TestSabotageResources$/^v1' "$v1" --module null_blk
	pkg=checkpoint run_tests "cgroups of version 1, what the launcher writes" "$k" '^TestCgroup(Devices|Limits)$' "$v1" -- -test.v
	# A device for RDMA, made of the loopback: not among what kernels for cloud machines have.
	[ "$k" != 7.2 ] || in_guest RDMA 7.2-full '^TestSabotageResources$/^rdma' \
		'ip link set lo up && rdma link add rxe0 type rxe netdev lo' --module rdma_rxe -t rdma -t ip
	# A processor whose speculation the kernel leaves to processes. setcpuid (since 6.15) gives it the barriers that
	# QEMU does not emulate: nothing is protected by them, but what the kernel keeps of each process is the same.
	in_guest speculation "$k" '^TestSabotageIdentity$/store|indirect' : --cpu EPYC-Rome \
		--append 'spec_store_bypass_disable=prctl spectre_v2_user=prctl setcpuid=ibpb,stibp'
	# What no posture shows and no evidence: who may trace.
	pkg=checkpoint run_tests "Yama, and what a process may be told" "$k" '^Test(Tracer|Labels|Speculation)$' : \
		--cpu EPYC-Rome --append sysctl.kernel.yama.ptrace_scope=1 -- -test.v
done
if [ ${#failed[@]} -gt 0 ]; then
	printf 'failed: %s\n' "${failed[@]}"
	exit 1
fi
