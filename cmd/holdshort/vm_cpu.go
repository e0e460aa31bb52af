package main

import "github.com/holdshort/holdshort/vm"

// cpuFlags say what processor a guest has, for kernels that offer something only
// on some: core scheduling needs two threads of a core, control of speculation
// a processor that speculates in this way.
type cpuFlags struct {
	CPU     string `name:"cpu" help:"Model of the processor, as QEMU knows it (qemu-system-x86_64 -cpu help), with properties. Default: max, with KVM host." placeholder:"MODEL"`
	Threads int    `help:"Threads of each core; --cpus is a multiple." default:"1" placeholder:"N"`
}

func (f *cpuFlags) apply(g *vm.Guest) { g.CPU, g.Threads = f.CPU, f.Threads }
