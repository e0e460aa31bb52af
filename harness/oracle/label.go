package oracle

// Labels are what security modules call the process that launches: a profile
// of AppArmor, a context of SELinux. Empty where there is no such module, or it
// was not read.
type Labels struct{ AppArmor, SELinux string }

// relabel is what an execve that changes the label does besides.
type relabel struct {
	// changed: bits of the personality that make exploits easier are gone.
	changed bool
	// confined: the death signal is gone (apparmor_bprm_committing_creds,
	// security/apparmor/domain.c; selinux_bprm_committing_creds,
	// security/selinux/hooks.c).
	confined bool
	// secure: the program may be told to trust its environment less. The
	// policy decides: SELinux by the permission noatsecure, AppArmor, for a
	// caller that it restrains itself, by change_profile with or without
	// "unsafe".
	secure bool
}

func (b *builder) relabel() (l relabel) {
	const free = "unconfined"
	if p := b.p.ApparmorProfile; p != "" && p != b.f.Labels.AppArmor {
		l.changed, l.confined, l.secure = true, p != free, b.f.Labels.AppArmor != free
	}
	if c := b.p.SelinuxLabel; c != "" && c != b.f.Labels.SELinux {
		l = relabel{true, true, true}
	}
	return l
}
