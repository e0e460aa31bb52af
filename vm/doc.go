// Package vm runs commands on other kernels, in guests of QEMU.
//
//	cache, err := vm.OpenCache("")
//	k, err := cache.Fetch(ctx, "6.1", nil)
//	r, err := vm.Run(ctx, &vm.Guest{Kernel: k, Stdout: os.Stdout,
//		Commands: []vm.Command{{Argv: []string{"/path/to/static"}}}})
//	if !r.Clean() { ... r.End, r.Error() }
//
// Kernels are packages of Debian, fetched through apt's own configuration. A
// guest is an initial ramfs made for its commands: our init ([guest.Init]), the
// programs, their files, a few modules. What the command writes comes over a
// virtio-serial port as it is written, so a guest that dies loses nothing that
// was reported.
//
// A result is clean only if the last record came and the machine ended as only
// init can end it; everything else is told apart in [Result.End].
package vm
