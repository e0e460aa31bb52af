// Package landlock describes Landlock rulesets and compiles them to what the
// three system calls of landlock(7) take, for the ABI of a given kernel.
//
//	p := &landlock.Policy{Layers: []landlock.Ruleset{{
//		HandledAccessFS: []landlock.Right{"execute", "read_file", "write_file"},
//		PathBeneath: []landlock.PathBeneath{
//			{Path: "/usr", AllowedAccess: []landlock.Right{"execute", "read_file"}},
//		},
//	}}}
//	c, err := p.Compile(abi) // abi as landlock_create_ruleset(LANDLOCK_CREATE_RULESET_VERSION) answers
//
// A layer forbids the rights that it handles, but for what its rules allow; a
// right that it does not handle is left alone. Layers are enforced in order
// and add up: what one forbids no other can allow.
//
// Names are the kernel's, in lower case and without prefix:
// LANDLOCK_ACCESS_FS_READ_FILE is "read_file".
//
// A right that the kernel does not know is an error ([NotSupported]), unless
// the policy says BestEffort: then it is left out, and [Compiled].Dropped says
// so. The package is pure; it calls no kernel.
package landlock
