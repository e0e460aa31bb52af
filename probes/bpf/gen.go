// Package bpf holds the compiled programs of the observer and the Go side of
// their types. It is generated from the C files beside it; see the go:generate
// line. The objects are for little-endian machines only.
package bpf

// Direct is the same source for kernels on which the current task can be read
// through typed pointers; Probes serves all others and peeks at other tasks.
//
//go:generate go tool bpf2go -go-package bpf -target amd64,arm64 -no-global-types Direct probes.bpf.c -- -DHS_DIRECT -O2 -g -Wall -Werror -Wno-unused-function -Wno-unused-variable
//go:generate go tool bpf2go -go-package bpf -target amd64,arm64 -type event -type fileid -type at -type head_flag -type failed -type have -type more -type propagation -type change -type watch_flag Probes probes.bpf.c -- -O2 -g -Wall -Werror -Wno-unused-function -Wno-unused-variable

// The optional hooks that confirm.
//
//go:generate go tool bpf2go -go-package bpf -target amd64,arm64 -no-global-types -type testimony -type witness Witness witness.bpf.c -- -O2 -g -Wall -Werror -Wno-unused-function -Wno-unused-variable
//go:generate go tool bpf2go -go-package bpf -target amd64,arm64 -no-global-types WitnessWork witness_work.bpf.c -- -O2 -g -Wall -Werror -Wno-unused-function -Wno-unused-variable
