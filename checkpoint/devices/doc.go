// Package devices turns rules on which device nodes may be used into what the
// kernel takes: a BPF program for a version 2 cgroup, lines for devices.allow
// and devices.deny of a version 1 one.
//
// A list of rules means the following. An access has up to three parts: read,
// write, and mknod(2). Each part is decided by the last rule in the list that
// matches the device and has that part; if there is none it is denied. The
// access is allowed if all its parts are. An access without any part, such as
// access(2) with F_OK, is allowed if any part is.
//
// So the list starts from nothing: what is to stay usable, /dev/null included,
// must be in it.
//
//	rules := []devices.Rule{
//		{Allow: true, Type: devices.Char, Major: 1, Minor: 3, Access: devices.Read | devices.Write},
//		{Allow: true, Type: devices.Char, Major: 136, Minor: devices.Any, Access: devices.Read | devices.Write},
//	}
//	prog, err := devices.Load(rules)
//	…
//	defer prog.Close()
//	err = prog.Attach(cgroupFD)
//
// [Allowed] is that meaning as a pure function. The program does exactly that.
// Version 1 cannot say everything: [Lines] refuses what it would take another
// way, which the kernel itself does without a word.
//
// The package knows nothing of cgroup directories or of launches, and it is the
// only part of checkpoint that knows of eBPF.
package devices
