package vm

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"time"
)

// probeLimit is how long a guest may take to boot by KVM; where KVM works, it
// takes a second.
const probeLimit = 8 * time.Second

// chooseAccel takes KVM if a guest boots by it. That /dev/kvm is there does not
// tell: nested in a cloud machine it may abort, hang or fail to emulate. The
// answer is kept for as long as this machine is up.
func chooseAccel(ctx context.Context, g *Guest) Accel {
	if g.Kernel.Arch != runtime.GOARCH {
		return TCG
	}
	f, err := os.OpenFile("/dev/kvm", os.O_RDWR, 0)
	if err != nil {
		return TCG
	}
	f.Close()
	memo := accelMemo()
	if b, err := os.ReadFile(memo); err == nil {
		if a := Accel(b); a == KVM || a == TCG {
			return a
		}
	}
	probe := &Guest{Kernel: g.Kernel, Init: g.Init, Accel: KVM, BootLimit: probeLimit, Silence: probeLimit, TimeLimit: probeLimit, probe: true}
	a := TCG
	if r, err := Run(ctx, probe); err == nil && r.Clean() {
		a = KVM
	}
	if memo != "" && ctx.Err() == nil {
		// Written whole or not at all: others may be reading.
		if tmp := fmt.Sprintf("%s.%d", memo, os.Getpid()); os.WriteFile(tmp, []byte(a), 0o644) == nil {
			_ = os.Rename(tmp, memo)
		}
	}
	return a
}

// accelMemo is where the answer is kept: per boot of this machine and per user,
// who may or may not open /dev/kvm.
func accelMemo() string {
	dir, err := os.UserCacheDir()
	if err != nil {
		return ""
	}
	b, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
	if err != nil {
		return ""
	}
	dir = filepath.Join(dir, "holdshort")
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return ""
	}
	return filepath.Join(dir, "accel-"+strings.TrimSpace(string(b)))
}
