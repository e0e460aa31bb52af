package historic

import "github.com/holdshort/holdshort/harness/oracle"

// Capabilities that a program should not have had.
func capabilityRows() []Row {
	const state = "the inheritable set is as large as the bounding set"
	inheritable := Finds{"capabilities.inheritable": oracle.Weaker}
	return []Row{
		{
			Number: 1, ID: "CVE-2022-24769", Where: "moby before 20.10.14", Title: state,
			How: "capset(2) with the bounding set as inheritable, for an ordinary user", Finds: inheritable,
			Ask: confined(user, false), Do: inherit(user),
		},
		{
			Number: 2, ID: "GHSA-c9cp-9c75-9v8c", Where: "containerd before 1.5.11 and 1.6.2", Title: state,
			How: "the same for user 0", Finds: inheritable,
			Ask: confined(0, false), Do: inherit(0),
		},
		{
			Number: 3, ID: "CVE-2022-29162", Where: "runc exec --cap before 1.1.2", Title: state + ", for what is executed in a running container",
			How: "the same for user 0 after setns(2)", Finds: inheritable,
			Ask: confined(0, true), Do: inherit(0),
		},
		{
			Number: 4, ID: "CVE-2022-27649", Where: "podman before 3.4.5 and 4.0.3", Title: state,
			How: "the same with no_new_privs", Finds: inheritable,
			Ask: func(s *Scene) { i := box(user); i.NoNewPrivs = true; i.ask(s) },
			Do: func(e *Engine) error {
				i := box(user)
				i.NoNewPrivs = true
				if e.Wrong {
					i.Inheritable = few
				}
				return i.become()
			},
		},
		{
			Number: 5, ID: "CVE-2022-27650", Where: "crun exec before 1.4.4", Title: state + ", for what is executed in a running container",
			How: "the same for an ordinary user after setns(2)", Finds: inheritable,
			Ask: confined(user, true), Do: inherit(user),
		},
		{
			Number: 6, ID: "CVE-2022-27651", Where: "buildah before 1.20.2, 1.21.5 and 1.22.5", Title: state + ", for the steps of a build",
			How: "the same, for a user who has a supplementary group", Finds: inheritable,
			Ask: func(s *Scene) { i := box(user); i.Groups = []int{user}; i.ask(s) },
			Do: func(e *Engine) error {
				i := box(user)
				i.Groups = []int{user}
				if e.Wrong {
					i.Inheritable = few
				}
				return i.become()
			},
		},
		{
			Number: 7, ID: "CVE-2022-27652", Where: "cri-o before 1.24.0", Title: state,
			How: "the engine is started with an inheritable set and keeps what the bounding set allows of it", Finds: Finds{"capabilities.inheritable": oracle.Ignored},
			Ask: func(s *Scene) { box(user).ask(s); s.CallerInherits(few) },
			Do:  inherit(user),
		},
		{
			Number: 8, ID: "opencontainers/runc 3e3f96034", Where: "runc exec --cap before 1.2.0", Title: "capabilities that were added for one process are ambient, too",
			How:   "PR_CAP_AMBIENT_RAISE of what is permitted and inheritable, and not asked for as ambient, for root after setns(2)",
			Finds: Finds{"capabilities.ambient": oracle.Weaker},
			Ask:   func(s *Scene) { s.Join(); i := box(0); i.Inheritable = few; i.ask(s) },
			Do: func(e *Engine) error {
				i := box(0)
				i.Inheritable = few
				if e.Wrong {
					i.Ambient = few
				}
				return i.become()
			},
		},
		{
			Number: 9, ID: "CVE-2016-8867", Where: "docker 1.12.2", Title: "an ordinary user has the capabilities of the container's root, by the ambient set",
			How: "PR_CAP_AMBIENT_RAISE of all that is in the bounding set, after setresuid(2)", Finds: ambient(),
			Ask: confined(user, false), Do: raise(user),
		},
		{
			Number: 10, ID: "CVE-2021-20188, containers/podman 9919", Where: "podman exec before 3.0", Title: "what is executed as an ordinary user in a running container keeps effective capabilities",
			How: "the same after setns(2)", Finds: ambient(),
			Ask: confined(user, true), Do: raise(user),
		},
		{
			Number: 11, ID: "containers/bubblewrap 287", Where: "bubblewrap, open", Title: "started by root, the sandbox keeps every capability and can undo its read-only mounts",
			How:   "no capset(2) and nothing dropped from the bounding set",
			Finds: Finds{"capabilities.bounding": oracle.Ignored, "capabilities.permitted": oracle.Ignored, "capabilities.effective": oracle.Ignored},
			Ask:   func(s *Scene) { (&identity{KeepIDs: true}).ask(s) },
			Do:    func(e *Engine) error { return (&identity{KeepIDs: true, AllCaps: e.Wrong}).become() },
		},
	}
}

// box is the identity of a container's process.
func box(uid uint32) *identity {
	return &identity{UID: uid, GID: uid, Bounding: few, Permitted: few}
}

func confined(uid uint32, exec bool) func(*Scene) {
	return func(s *Scene) {
		s.Helper()
		if exec {
			s.Join()
		}
		box(uid).ask(s)
	}
}

func inherit(uid uint32) func(*Engine) error {
	return func(e *Engine) error {
		i := box(uid)
		if e.Wrong {
			i.Inheritable = few
		}
		return i.become()
	}
}

func ambient() Finds {
	return Finds{
		"capabilities.inheritable": oracle.Weaker, "capabilities.ambient": oracle.Weaker,
		"capabilities.permitted": oracle.Weaker, "capabilities.effective": oracle.Weaker,
	}
}

func raise(uid uint32) func(*Engine) error {
	return func(e *Engine) error {
		i := box(uid)
		if e.Wrong {
			i.Inheritable, i.Ambient = few, few
		}
		return i.become()
	}
}
