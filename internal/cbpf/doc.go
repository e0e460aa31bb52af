// Package cbpf runs, checks and explores classic BPF programs as seccomp(2)
// uses them: exactly as the kernel would, but in ordinary memory.
//
//	data := cbpf.Data{NR: 1, Arch: cbpf.ArchX86_64, Args: [6]uint64{2}}
//	ret, err := cbpf.Run(program, &data)     // one call, no allocation
//	fmt.Println(cbpf.Decide(ret))            // "errno(1)"
//	fmt.Print(cbpf.Disassemble(program))
//
//	// Every outcome over a set of inputs, each with the set that leads to it.
//	region := cbpf.AnyRegion()
//	region.Fix(cbpf.WordNR, 1)
//	err = cbpf.Explore(program, &region, func(ret uint32, r *cbpf.Region) error { … })
//
// A program sees sixteen 32-bit words (struct seccomp_data, little-endian) and
// nothing else, and its jumps only go forward. So [Explore] can walk every path
// of it with a set of possible values for each word, and what it reports holds
// for all 2^512 inputs, not for a sample.
//
// The package knows nothing of policies or system call names. It assumes a
// little-endian machine.
package cbpf
