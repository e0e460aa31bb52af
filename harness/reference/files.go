package reference

var files = []Constraint{
	{Config: []string{"Root.Path"}, Key: "root.path", Call: "mount, pivot_root, umount2", Proof: []string{"fs.root"}},
	{Config: []string{"Root.ReadOnly"}, Key: "root.readonly", Call: "mount MS_REMOUNT|MS_RDONLY", Proof: []string{"fs.root_read_only"}},
	{Config: []string{"Mounts"}, Key: "mounts", Call: "mount; bind: open_tree, move_mount", Since: "5.2", Proof: []string{"mounts[]"}},
	{Config: []string{"Propagation"}, Key: "linux.rootfsPropagation", Call: "mount MS_PRIVATE, MS_SLAVE, …", Proof: []string{"linux.rootfsPropagation"}},
	{Config: []string{"Cwd"}, Key: "process.cwd", Call: "chdir", Proof: []string{"fs.cwd"}},
	{Config: []string{"Umask"}, Key: "process.user.umask", Call: "umask", Proof: []string{"fs.umask"}},
	{
		Config: []string{"Options.Stdin", "Options.Stdout", "Options.Stderr", "Options.Files"}, Key: "holdshort.passFDs", Call: "dup3, close_range CLOSE_RANGE_CLOEXEC",
		Since: "5.11; before: descriptors are close-on-exec by birth", Proof: []string{"files"}, Note: "every open descriptor, its inode and flags",
	},
	{Config: []string{"Sysctls"}, Key: "linux.sysctl", Call: "write /proc/sys/…", Proof: []string{"linux.sysctl."}},
}
