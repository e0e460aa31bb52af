#!/usr/bin/env bash
# A cluster of one node for the time of one command:
#
#     cluster.sh COMMAND ARGUMENT...
#
# Everything of it is in a temporary directory; its three daemons are ended by
# their process ids. It needs root, and Debian's slurm-wlm and munge. The command
# finds SLURM_CONF set, and so works sbatch, squeue and the like.
set -euo pipefail
[ $# -gt 0 ] || { echo "usage: cluster.sh COMMAND ARGUMENT..." >&2; exit 64; }
[ "$(id -u)" = 0 ] || { echo "cluster.sh: needs root" >&2; exit 3; }
export PATH="$PATH:/usr/sbin:/sbin"
for c in slurmctld slurmd munged sbatch; do
	command -v $c >/dev/null || { echo "cluster.sh: no $c: apt-get install slurm-wlm munge" >&2; exit 3; }
done

dir=$(mktemp -d)
pids=()
end() {
	local pid
	for pid in "${pids[@]}"; do kill "$pid" 2>/dev/null || true; done
	for pid in "${pids[@]}"; do wait "$pid" 2>/dev/null || true; done
	rm -rf "$dir"
}
trap end EXIT

# Ports that are free now.
port() {
	local p
	while p=$((20000 + RANDOM % 20000)); do
		(: </dev/tcp/127.0.0.1/$p) 2>/dev/null || { echo $p; return; }
	done
}
mkdir -p "$dir"/{state,spool,log,munge}
chmod 755 "$dir" "$dir/munge"
dd if=/dev/urandom of="$dir/munge.key" bs=128 count=1 status=none
chmod 600 "$dir/munge.key"
cat >"$dir/slurm.conf" <<-CONF
	ClusterName=one
	SlurmctldHost=$(hostname -s)(127.0.0.1)
	SlurmUser=root
	SlurmdUser=root
	AuthType=auth/munge
	AuthInfo=socket=$dir/munge/socket
	CryptoType=crypto/munge
	SlurmctldPort=$(port)
	SlurmdPort=$(port)
	SlurmctldPidFile=$dir/slurmctld.pid
	SlurmdPidFile=$dir/slurmd.pid
	SlurmctldLogFile=$dir/log/slurmctld
	SlurmdLogFile=$dir/log/slurmd
	StateSaveLocation=$dir/state
	SlurmdSpoolDir=$dir/spool
	ProctrackType=proctrack/linuxproc
	TaskPlugin=task/none
	JobAcctGatherType=jobacct_gather/none
	SelectType=select/cons_tres
	SelectTypeParameters=CR_CPU
	SchedulerType=sched/backfill
	MpiDefault=none
	ReturnToService=2
	SlurmctldParameters=idle_on_node_suspend
	NodeName=$(hostname -s) NodeAddr=127.0.0.1 CPUs=$(nproc) State=UNKNOWN
	PartitionName=all Nodes=ALL Default=YES MaxTime=INFINITE State=UP
CONF
export SLURM_CONF=$dir/slurm.conf

# In the foreground each, so that $! is the daemon itself.
munged --foreground --force --key-file="$dir/munge.key" --socket="$dir/munge/socket" --pid-file="$dir/munge.pid" \
	--log-file="$dir/log/munged" --seed-file="$dir/munge.seed" >"$dir/log/munged.out" 2>&1 &
pids+=($!)
up() { # up WHAT COMMAND...: waits until the command succeeds, for at most a minute
	local what=$1 n
	shift
	for ((n = 0; n < 600; n++)); do
		"$@" >/dev/null 2>&1 && return
		sleep 0.1
	done
	echo "cluster.sh: no $what" >&2
	tail -n 20 "$dir"/log/* >&2
	exit 1
}
up munged munge -n -S "$dir/munge/socket"
slurmctld -D -f "$SLURM_CONF" >"$dir/log/slurmctld.out" 2>&1 &
pids=($! "${pids[@]}")
up slurmctld scontrol ping
slurmd -D -f "$SLURM_CONF" >"$dir/log/slurmd.out" 2>&1 &
pids=($! "${pids[@]}")
idle() { [ "$(sinfo -h -o %T)" = idle ]; }
up "idle node" idle

"$@"
