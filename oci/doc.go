// Package oci is the checkpoint as an OCI runtime: the verbs create, start,
// state, kill, delete, run, exec, ps, list, pause, resume, update, events,
// features and spec, with the options, exit codes and JSON of runc, so that
// podman, containerd and docker can drive it.
//
//	holdshort oci create --bundle /path/to/bundle ID
//	holdshort oci start ID
//
// A container that is created is its own process, parked: single-threaded, in
// its namespaces and cgroups, on its own root, with nothing left to do but the
// steps that have to be last. Nobody waits beside it. Its parent is whom the
// kernel gives an orphan, the next subreaper (conmon, containerd-shim), which is
// told of its end; a container costs no memory of ours while it runs.
//
// What is known of a container is one file below the state directory, which is
// replaced by rename. Its status is not in there but asked of the kernel each
// time: a process that is parked has not passed execve (PF_FORKNOEXEC), one that
// runs has, and one that is gone has stopped. So a verb that is killed leaves
// nothing that could be wrong, and "delete --force" removes what it has made.
// Verbs about one container are ordered by a lock on its directory.
//
// Fields of the configuration that are not honoured are refused by name.
package oci
