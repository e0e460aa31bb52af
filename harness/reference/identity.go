package reference

var identity = []Constraint{
	{
		Config: []string{"Namespaces"}, Key: "linux.namespaces", Call: "clone3 CLONE_NEW*; cgroup with version 1: unshare", Since: "time: 5.6",
		Proof: []string{"namespaces."},
		Note:  "new: an inode number that is not the caller's, with the owner and level that it must have; joined: the inode number of the target",
	},
	{Config: []string{"Namespaces"}, Key: "linux.namespaces[].path, holdshort.namespaces", Call: "setns, then clone3 CLONE_PARENT for pid and user", Proof: []string{"namespaces."}},
	{Config: []string{"UIDMap", "GIDMap"}, Key: "linux.uidMappings, linux.gidMappings", Call: "write /proc/PID/{uid,gid}_map", Proof: []string{"user_namespace.uid_map", "user_namespace.gid_map"}},
	{Config: []string{"DenySetgroups"}, Key: "holdshort.denySetgroups", Call: "write /proc/PID/setgroups", Proof: []string{"user_namespace.setgroups"}},
	{Config: []string{"MapHelper"}, Key: "holdshort.mapHelper", Call: "newuidmap(1), newgidmap(1)", Proof: []string{"user_namespace.uid_map", "user_namespace.gid_map"}},
	{Config: []string{"TimeOffsets"}, Key: "linux.timeOffsets", Call: "unshare CLONE_NEWTIME, write timens_offsets, clone3", Since: "5.6", Proof: []string{"time.monotonic_ns", "time.boottime_ns"}},
	{Config: []string{"Hostname", "Domainname"}, Key: "hostname, domainname", Call: "sethostname, setdomainname", Proof: []string{"uts.hostname", "uts.domainname"}},
	{Config: []string{"UID", "GID", "Groups"}, Key: "process.user (holdshort.keepIDs leaves them)", Call: "setgroups, setresgid, setresuid", Proof: []string{"ids."}},
}
