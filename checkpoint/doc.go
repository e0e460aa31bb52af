// Package checkpoint starts processes that stop between clone3(2) and
// execve(2), so that every constraint can be put on them before their program
// runs.
//
//	l, err := checkpoint.New(ctx)                  // starts the agent
//	w, err := l.Spawn(ctx, &checkpoint.Config{     // the process exists, parked
//		Args:       []string{"/usr/bin/server"},
//		Namespaces: []checkpoint.Namespace{{Kind: checkpoint.Net}},
//		NoNewPrivs: true,
//	}, nil)
//	prepare(w.HostPID())                           // whatever the host has to do
//	err = w.Proceed(ctx)                           // nil: its program runs
//	res, err := w.Wait(ctx)
//
// A [Config] says what is asked for, as plain data. It is compiled to a plan:
// system calls for the child, a few for the agent that is its parent, and steps
// that only the host can take (netlink, newuidmap). The first step that fails
// ends the launch with an [*Error] that names stage, object and errno.
//
// A workload is spawning, parked, proceeding, running, and then exactly one of
// exited, signaled, aborted and failed. Every verb answers with what the kernel
// said, none with "sent".
//
// Nothing is inherited silently: the environment is empty unless given, only
// descriptors 0, 1, 2 and those passed are open, signal dispositions and mask
// are reset, a new mount namespace is private. What a Config does not mention
// (ids, limits, scheduling, cgroup …) is the caller's.
//
// The package is no container runtime and knows no image format; it does not
// observe what it did: package probes does, independently.
package checkpoint
