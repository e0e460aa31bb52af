package oci

import (
	"golang.org/x/sys/unix"
)

func callOf(r *unix.PtraceRegs) uint64 { return r.Orig_rax }
