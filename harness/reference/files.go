package reference

var files = []Constraint{
	{Config: []string{"Root.Path"}, Key: "root.path", Call: "open_tree, move_mount, pivot_root, umount2", Proof: []string{"fs.root"}},
	{Config: []string{"Root.ReadOnly"}, Key: "root.readonly", Call: "mount_setattr MOUNT_ATTR_RDONLY", Since: "5.12; before: mount MS_REMOUNT", Proof: []string{"fs.root_read_only"}},
	{
		Config: []string{"Mounts"}, Key: "mounts", Call: "openat2, fsopen, fsconfig, fsmount, open_tree, mount_setattr, move_mount", Proof: []string{"mounts[]"},
		Since: "attributes of the mounts below and id maps 5.12",
		Note:  "without mount_setattr, or for data of more than 255 bytes: mount, on the descriptor's link in /proc",
	},
	{
		Config: []string{"Propagation"}, Key: "linux.rootfsPropagation", Call: "mount MS_PRIVATE, MS_SLAVE, …", Proof: []string{"fs.root_propagation", "linux.rootfsPropagation", "mounts.propagation", "mounts.unasked"},
		Note: "private in every new mount namespace unless asked otherwise, which is judged without being asked for: of the root always, of the other mounts where mounts are looked at",
	},
	{
		Config: []string{"Devices", "Symlinks", "Console"}, Key: "linux.devices", Call: "mknodat, fchownat, symlinkat; in a user namespace open_tree, move_mount", Proof: []string{"linux.devices[]", "linux.devices.default", "linux.devices.unasked"},
		Note: "also the devices and links that the specification wants supplied unasked, in a /dev that the request mounts; type, number, mode, owner, and that no nodev is in the way",
	},
	{Config: []string{"ReadOnlyPaths"}, Key: "linux.readonlyPaths", Call: "open_tree, mount_setattr, move_mount", Proof: []string{"linux.readonlyPaths[]"}, Note: "with what is mounted below; before Linux 5.12 only the topmost mount becomes read-only, and the rest is found"},
	{Config: []string{"MaskedPaths"}, Key: "linux.maskedPaths", Call: "open_tree, fsmount, move_mount", Proof: []string{"linux.maskedPaths[]"}, Note: "a file is the host's null device, a directory empty and read-only"},
	{Config: []string{"Cwd"}, Key: "process.cwd", Call: "chdir", Proof: []string{"fs.cwd"}},
	{Config: []string{"Umask"}, Key: "process.user.umask", Call: "umask", Proof: []string{"fs.umask"}},
	{
		Config: []string{"Options.Stdin", "Options.Stdout", "Options.Stderr", "Options.Files"}, Key: "holdshort.passFDs", Call: "dup3, close_range CLOSE_RANGE_CLOEXEC",
		Since: "5.11; before: descriptors are close-on-exec by birth", Proof: []string{"files"}, Note: "every open descriptor, its inode and flags",
	},
	{
		Config: []string{"Sysctls"}, Key: "linux.sysctl", Call: "openat2 RESOLVE_NO_XDEV below /proc, write", Proof: []string{"linux.sysctl."},
		Note: "net.*, kernel.{msg*,sem,shm*}, fs.mqueue.*, kernel.{hostname,domainname}; refused if the key is of no namespace, or of one that was not asked for. user.* is written and cannot be read back: unknown",
	},
}
