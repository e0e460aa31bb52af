// Package shim verifies the containers of an OCI runtime that is called by
// somebody else: podman, containerd, docker, CRI-O.
//
// What they call is a small front that asks the keeper, a process of its own
// with the observer open, to watch it, and then becomes the runtime by execve(2):
// arguments, environment, standard streams, console socket, preserved
// descriptors, signals and exit status are the runtime's own, since it is the
// same process. Nothing stands between caller and runtime afterwards.
//
//	caller -> front                    keeper
//	            |-- create ID, bundle -->|  reads config.json
//	            |                        |  watches the front's process
//	            |<-- watched ------------|
//	          execve: the runtime        |
//	            …                        |  its posture: the caller's
//	          ends                       |  which process is "created"
//	caller -> front -- start ID -------->|  watches that process
//	          execve: the runtime        |  its exec: judged, let go or killed
//	                                     |  report
//
// One thing is lost on the way: the front is a Go program, whose runtime
// installs handlers, so that of signals which the caller ignores only SIGHUP and
// SIGINT are still ignored in the runtime (go doc os/signal). OCI runtimes do not
// pass such dispositions on to containers, or reset them.
package shim
