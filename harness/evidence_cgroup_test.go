package harness

import "testing"

func TestSameLimit(t *testing.T) {
	for _, row := range []struct {
		file, want, got string
		same            bool
	}{
		{"memory.max", "33554432", "33554432", true},
		{"memory.max", "33554433", "33554432", true}, // down to pages
		{"memory.max", "32M", "33554432", true},
		{"memory.max", "33554432", "33558528", false},
		{"memory.max", "33554432", "max", false},
		{"memory.max", "max", "max", true},
		{"memory.limit_in_bytes", "-1", "9223372036854771712", true},
		{"memory.limit_in_bytes", "4096", "9223372036854771712", false},
		{"memory.oom.group", "1", "0", false}, // a switch
		{"memory.oom.group", "0", "0", true},
		{"memory.swappiness", "7", "0", false},
		{"memory.max", "100", "0", true},    // a size
		{"pids.max", "8191", "4096", false}, // not rounded
		{"pids.max", "44", "44", true},
		{"pids.max", "44", "max", false},
		{"cpu.max", "50000", "50000 100000", true},
		{"cpu.max", "50000", "50000 200000", false},
		{"cpu.max", "max 100000", "max 100000", true},
		{"cpu.max", "50000 100000", "max 100000", false},
		{"cpuset.cpus", "0,1", "0-1", true},
		{"cpuset.cpus", "0-1", "0-2", false},
		{"cpuset.cpus.partition", "root", "root invalid (Parent is not a partition root)", false},
		{"cpuset.cpus.partition", "root", "root", true},
		{"io.weight", "50", "default 50", true},
		{"io.weight", "50", "default 100", false},
		{"io.bfq.weight", "50", "default 50", true},
		{"io.bfq.weight", "50", "default 60", false},
		{"io.weight", "8:0 50", "default 100\n8:0 50", true},
		{"io.weight", "8:0 50", "default 50", false},
		{"io.max", "8:16 rbps=1048576", "8:0 rbps=1 wbps=max riops=max wiops=max\n8:16 rbps=1048576 wbps=max riops=max wiops=max", true},
		{"io.max", "8:16 wiops=7", "8:16 rbps=max wbps=max riops=max wiops=7", true},
		{"io.max", "8:16 wiops=7", "8:16 rbps=max wbps=max riops=7 wiops=max", false},
		{"io.max", "8:16 wiops=7", "8:0 rbps=max wbps=max riops=max wiops=7", false},
		{"rdma.max", "mlx hca_handle=2 hca_object=max", "mlx hca_handle=2 hca_object=max", true},
		{"rdma.max", "mlx hca_handle=2", "mlx hca_handle=3 hca_object=max", false},
		{"misc.max", "sev 2", "sev 2\nsev_es max", true},
		{"misc.max", "sev 2", "sev 3", false},
		{"hugetlb.2MB.max", "5000000", "4194304", true},
		{"hugetlb.2MB.max", "5000000", "2097152", false},
		{"net_prio.ifpriomap", "eth0 5", "lo 0\neth0 5", true},
		{"net_prio.ifpriomap", "eth0 5", "lo 5\neth0 0", false},
		{"blkio.throttle.read_bps_device", "8:0 100", "8:0 100", true},
		{"cpu.weight", "100", "", false},
		{"memory.max", "", "33554432", false},
	} {
		if got := sameLimit(row.file, row.want, row.got); got != row.same {
			t.Errorf("%s: %q and %q: %t", row.file, row.want, row.got, got)
		}
	}
}
