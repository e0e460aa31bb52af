package checkpoint

import (
	"encoding/binary"

	"github.com/holdshort/holdshort/checkpoint/agent"
	"golang.org/x/sys/unix"
)

func prctl(args ...uint64) agent.Op {
	var a [5]agent.Arg
	for i, v := range args {
		a[i] = agent.N(v)
	}
	return agent.Sys(unix.SYS_PRCTL, a[:]...)
}

// bounding drops what is not wanted from the bounding set. It comes first:
// once capset has taken CAP_SETPCAP away, it would be refused.
func (p *plan) bounding() {
	want := p.cfg.Capabilities.Bounding
	if !want.Set {
		return
	}
	for n := range 64 {
		if p.env.all.Has(n) && !want.Value.Has(n) && p.startBounding().Has(n) {
			p.final.add(StageBounding, n, CapSet(1 << n).Names()[0], prctl(unix.PR_CAPBSET_DROP, uint64(n)))
		}
	}
}

func (p *plan) inUserNS() bool {
	_, ok := p.cfg.find(User)
	return ok
}

// startBounding is the bounding set before anything was dropped: a user
// namespace brings a full one (create_user_ns, set_cred_user_ns).
func (p *plan) startBounding() CapSet {
	if p.inUserNS() {
		return p.env.all
	}
	return p.env.bounding
}

func (p *plan) securebits() {
	if b := p.cfg.Securebits; b.Set {
		p.final.add(StageSecurebits, -1, "", prctl(unix.PR_SET_SECUREBITS, uint64(b.Value)))
	}
}

// capset sets permitted, effective and inheritable together, as the system
// call does. A set that was not asked for keeps the value that it has at this
// point, which follows from the start and the change of uid.
func (p *plan) capset() {
	c := p.cfg.Capabilities
	if !c.Permitted.Set && !c.Effective.Set && !c.Inheritable.Set {
		return
	}
	permitted, effective, inheritable := p.env.caps, p.env.effective, p.env.inherit
	if p.inUserNS() {
		permitted, effective, inheritable = p.env.all, p.env.all, 0
	}
	if p.cfg.UID.Set && p.cfg.UID.Value != 0 {
		effective = 0
		if !p.keepCaps() && p.cfg.Securebits.Value&(1<<2|1<<4) == 0 {
			permitted = 0
		}
	}
	if c.Permitted.Set {
		permitted = c.Permitted.Value
		effective &= permitted
	}
	if c.Effective.Set {
		effective = c.Effective.Value
	}
	if c.Inheritable.Set {
		inheritable = c.Inheritable.Value
	}
	// struct __user_cap_header_struct, then two struct __user_cap_data_struct
	header := binary.NativeEndian.AppendUint32(nil, unix.LINUX_CAPABILITY_VERSION_3)
	header = binary.NativeEndian.AppendUint32(header, 0)
	var data []byte
	for shift := 0; shift < 64; shift += 32 {
		for _, s := range []CapSet{effective, permitted, inheritable} {
			data = binary.NativeEndian.AppendUint32(data, uint32(s>>shift))
		}
	}
	p.final.add(StageCaps, -1, "", agent.Sys(unix.SYS_CAPSET, agent.B(header), agent.B(data)))
}

func (p *plan) ambient() {
	want := p.cfg.Capabilities.Ambient
	if !want.Set {
		return
	}
	p.final.add(StageAmbient, -1, "", prctl(unix.PR_CAP_AMBIENT, unix.PR_CAP_AMBIENT_CLEAR_ALL))
	for n := range 64 {
		if want.Value.Has(n) {
			p.final.add(StageAmbient, n, CapSet(1 << n).Names()[0], prctl(unix.PR_CAP_AMBIENT, unix.PR_CAP_AMBIENT_RAISE, uint64(n)))
		}
	}
}

func (p *plan) noNewPrivs() {
	if p.cfg.NoNewPrivs {
		p.final.add(StageNNP, -1, "", prctl(unix.PR_SET_NO_NEW_PRIVS, 1))
	}
}

// pdeathsig is set after the credentials, whose change clears it; zero undoes
// what kept the parked child from outliving the agent.
func (p *plan) pdeathsig() {
	p.final.add(StagePdeathsig, -1, "", prctl(unix.PR_SET_PDEATHSIG, uint64(p.cfg.Pdeathsig.Value)))
}
