package checkpoint

import (
	"encoding/binary"
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"github.com/google/nftables"
	"github.com/google/nftables/expr"
	"golang.org/x/sys/unix"
)

// NFTable is a table of nftables(8) inside the workload's network namespace: a
// packet filter that is in force before the workload runs. It is a small part
// of what nftables can do: filter chains, without sets, maps and address
// translation.
type NFTable struct {
	Family string    `json:"family"` // "inet", "ip" or "ip6"
	Name   string    `json:"name"`
	Chains []NFChain `json:"chains"`
}

// NFChain is a chain of the type filter. With a Hook packets come to it by
// themselves, without one only by a jump.
type NFChain struct {
	Name     string   `json:"name"`
	Hook     string   `json:"hook,omitempty"` // "prerouting", "input", "forward", "output", "postrouting"
	Priority int      `json:"priority,omitempty"`
	Policy   string   `json:"policy,omitempty"` // of one with a hook: "accept" (the default) or "drop"
	Rules    []NFRule `json:"rules,omitempty"`
}

// NFRule is one rule; what is empty is not looked at.
type NFRule struct {
	In     string       `json:"in,omitempty"`     // name of the device
	Out    string       `json:"out,omitempty"`    // likewise
	States []string     `json:"states,omitempty"` // of connection tracking: "new", "established", "related", "invalid", "untracked"
	From   netip.Prefix `json:"from,omitzero"`
	To     netip.Prefix `json:"to,omitzero"`
	Proto  string       `json:"proto,omitempty"` // "tcp", "udp", "icmp", "icmpv6"
	// FromPort and ToPort are a port or a range ("80", "1024-65535") of tcp
	// or udp.
	FromPort string `json:"from_port,omitempty"`
	ToPort   string `json:"to_port,omitempty"`
	Counter  bool   `json:"counter,omitempty"`
	// Verdict is "accept", "drop", "reject", "return" or "jump CHAIN"; empty
	// goes on with the next rule. Reject answers tcp with a reset and others
	// with "port unreachable".
	Verdict string `json:"verdict,omitempty"`
}

var (
	nftFamilies = map[string]nftables.TableFamily{"inet": nftables.TableFamilyINet, "ip": nftables.TableFamilyIPv4, "ip6": nftables.TableFamilyIPv6}
	nftHooks    = map[string]*nftables.ChainHook{
		"prerouting": nftables.ChainHookPrerouting, "input": nftables.ChainHookInput, "forward": nftables.ChainHookForward,
		"output": nftables.ChainHookOutput, "postrouting": nftables.ChainHookPostrouting,
	}
	nftPolicies = map[string]nftables.ChainPolicy{"": nftables.ChainPolicyAccept, "accept": nftables.ChainPolicyAccept, "drop": nftables.ChainPolicyDrop}
	nftProtos   = map[string]byte{"tcp": unix.IPPROTO_TCP, "udp": unix.IPPROTO_UDP, "icmp": unix.IPPROTO_ICMP, "icmpv6": unix.IPPROTO_ICMPV6}
	nftStates   = map[string]uint32{
		"invalid": expr.CtStateBitINVALID, "established": expr.CtStateBitESTABLISHED, "related": expr.CtStateBitRELATED,
		"new": expr.CtStateBitNEW, "untracked": expr.CtStateBitUNTRACKED,
	}
	nftVerdicts = map[string]expr.VerdictKind{"accept": expr.VerdictAccept, "drop": expr.VerdictDrop, "return": expr.VerdictReturn}
)

// firewall puts the tables into the namespace, each in one transaction.
func (w *Workload) firewall(tables []NFTable) error {
	fd, err := w.openProc("ns/net")
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	for i := range tables {
		t := &tables[i]
		conn, err := nftables.New(nftables.WithNetNSFd(fd))
		if err != nil {
			return fmt.Errorf("nftables: %w", err)
		}
		t.add(conn)
		if err := conn.Flush(); err != nil {
			return &Error{Stage: StageNetwork, Index: i, Object: "nftables " + t.Family + " " + t.Name, Err: fmt.Errorf("nftables: %w", err)}
		}
	}
	return nil
}

// add queues the table; its chains first, since a rule may jump to any.
func (t *NFTable) add(conn *nftables.Conn) {
	table := conn.CreateTable(&nftables.Table{Family: nftFamilies[t.Family], Name: t.Name})
	chains := make([]*nftables.Chain, len(t.Chains))
	for i := range t.Chains {
		c := &t.Chains[i]
		chain := &nftables.Chain{Name: c.Name, Table: table}
		if c.Hook != "" {
			policy := nftPolicies[c.Policy]
			chain.Type, chain.Hooknum, chain.Policy = nftables.ChainTypeFilter, nftHooks[c.Hook], &policy
			chain.Priority = new(nftables.ChainPriority(c.Priority))
		}
		chains[i] = conn.AddChain(chain)
	}
	for i := range t.Chains {
		for j := range t.Chains[i].Rules {
			conn.AddRule(&nftables.Rule{Table: table, Chain: chains[i], Exprs: t.Chains[i].Rules[j].exprs(t.Family)})
		}
	}
}

// exprs compiles a rule for the kernel's machine, as nft(8) does.
func (r *NFRule) exprs(family string) []expr.Any {
	var e []expr.Any
	equal := func(data []byte) { e = append(e, &expr.Cmp{Op: expr.CmpOpEq, Register: 1, Data: data}) }
	device := func(key expr.MetaKey, name string) {
		if name != "" {
			e = append(e, &expr.Meta{Key: key, Register: 1})
			equal(append([]byte(name), make([]byte, 16-len(name))...)) // IFNAMSIZ
		}
	}
	device(expr.MetaKeyIIFNAME, r.In)
	device(expr.MetaKeyOIFNAME, r.Out)
	if len(r.States) > 0 {
		var mask uint32
		for _, s := range r.States {
			mask |= nftStates[s]
		}
		e = append(e, &expr.Ct{Key: expr.CtKeySTATE, Register: 1},
			&expr.Bitwise{SourceRegister: 1, DestRegister: 1, Len: 4, Mask: binary.NativeEndian.AppendUint32(nil, mask), Xor: make([]byte, 4)},
			&expr.Cmp{Op: expr.CmpOpNeq, Register: 1, Data: make([]byte, 4)})
	}
	for i, p := range []netip.Prefix{r.From, r.To} {
		if !p.IsValid() {
			continue
		}
		size, offset, proto := uint32(4), uint32(12), byte(unix.NFPROTO_IPV4)
		if p.Addr().Is6() {
			size, offset, proto = 16, 8, unix.NFPROTO_IPV6
		}
		if family == "inet" {
			e = append(e, &expr.Meta{Key: expr.MetaKeyNFPROTO, Register: 1})
			equal([]byte{proto})
		}
		e = append(e, &expr.Payload{DestRegister: 1, Base: expr.PayloadBaseNetworkHeader, Offset: offset + uint32(i)*size, Len: size})
		if p.Bits() < p.Addr().BitLen() {
			e = append(e, &expr.Bitwise{SourceRegister: 1, DestRegister: 1, Len: size, Mask: ipNet(p).Mask, Xor: make([]byte, size)})
		}
		equal(p.Masked().Addr().AsSlice())
	}
	if r.Proto != "" {
		e = append(e, &expr.Meta{Key: expr.MetaKeyL4PROTO, Register: 1})
		equal([]byte{nftProtos[r.Proto]})
	}
	for i, text := range []string{r.FromPort, r.ToPort} {
		first, last, ok := portRange(text)
		if !ok {
			continue
		}
		e = append(e, &expr.Payload{DestRegister: 1, Base: expr.PayloadBaseTransportHeader, Offset: uint32(2 * i), Len: 2})
		low, high := binary.BigEndian.AppendUint16(nil, first), binary.BigEndian.AppendUint16(nil, last)
		if first == last {
			equal(low)
			continue
		}
		e = append(e, &expr.Cmp{Op: expr.CmpOpGte, Register: 1, Data: low}, &expr.Cmp{Op: expr.CmpOpLte, Register: 1, Data: high})
	}
	if r.Counter {
		e = append(e, &expr.Counter{})
	}
	switch to, jump := strings.CutPrefix(r.Verdict, "jump "); {
	case jump:
		e = append(e, &expr.Verdict{Kind: expr.VerdictJump, Chain: to})
	case r.Verdict == "reject":
		e = append(e, r.reject(family))
	case r.Verdict != "":
		e = append(e, &expr.Verdict{Kind: nftVerdicts[r.Verdict]})
	}
	return e
}

func (r *NFRule) reject(family string) *expr.Reject {
	const icmpPort, icmpv6Port, anyPort = 3, 4, 1 // "port unreachable" of each, NFT_REJECT_ICMPX_PORT_UNREACH
	switch {
	case r.Proto == "tcp":
		return &expr.Reject{Type: unix.NFT_REJECT_TCP_RST}
	case family == "ip":
		return &expr.Reject{Type: unix.NFT_REJECT_ICMP_UNREACH, Code: icmpPort}
	case family == "ip6":
		return &expr.Reject{Type: unix.NFT_REJECT_ICMP_UNREACH, Code: icmpv6Port}
	}
	return &expr.Reject{Type: unix.NFT_REJECT_ICMPX_UNREACH, Code: anyPort}
}

// portRange reads "80" or "1024-65535".
func portRange(s string) (first, last uint16, ok bool) {
	a, b, isRange := strings.Cut(s, "-")
	if !isRange {
		b = a
	}
	x, err1 := strconv.ParseUint(a, 10, 16)
	y, err2 := strconv.ParseUint(b, 10, 16)
	return uint16(x), uint16(y), err1 == nil && err2 == nil && x <= y
}

func (t *NFTable) validate(v *validator, field string) {
	v.check(nftFamilies[t.Family] != 0, field+".family", "unknown family %q: inet, ip or ip6", t.Family)
	v.check(nftName(t.Name), field+".name", "%q is no name", t.Name)
	var names []string
	for i := range t.Chains {
		v.check(!slices.Contains(names, t.Chains[i].Name), field, "second chain %q", t.Chains[i].Name)
		names = append(names, t.Chains[i].Name)
	}
	for i := range t.Chains {
		c := &t.Chains[i]
		f := fmt.Sprintf("%s.chains[%d]", field, i)
		v.check(nftName(c.Name), f+".name", "%q is no name", c.Name)
		v.check(c.Hook == "" || nftHooks[c.Hook] != nil, f+".hook", "unknown hook %q", c.Hook)
		_, ok := nftPolicies[c.Policy]
		v.check(ok, f+".policy", "unknown policy %q", c.Policy)
		v.check(c.Hook != "" || c.Policy == "" && c.Priority == 0, f, "a policy and a priority need a hook")
		for j := range c.Rules {
			c.Rules[j].validate(v, fmt.Sprintf("%s.rules[%d]", f, j), t.Family, names)
		}
	}
}

func nftName(s string) bool {
	return s != "" && len(s) < 256 && !strings.ContainsAny(s, "\x00/ ")
}

func (r *NFRule) validate(v *validator, f, family string, chains []string) {
	v.check(len(r.In) < 16 && len(r.Out) < 16, f, "%q or %q is no device name", r.In, r.Out)
	for _, s := range r.States {
		v.check(nftStates[s] != 0, f+".states", "unknown state %q", s)
	}
	for _, p := range []netip.Prefix{r.From, r.To} {
		v.check(!p.IsValid() || !(family == "ip" && p.Addr().Is6() || family == "ip6" && p.Addr().Is4()), f, "%s in a table of family %s", p, family)
	}
	v.check(!r.From.IsValid() || !r.To.IsValid() || r.From.Addr().Is6() == r.To.Addr().Is6(), f, "from and to are of different families")
	v.check(r.Proto == "" || nftProtos[r.Proto] != 0, f+".proto", "unknown protocol %q", r.Proto)
	for _, p := range []string{r.FromPort, r.ToPort} {
		_, _, ok := portRange(p)
		v.check(p == "" || ok, f, "%q is no port and no range of ports", p)
		v.check(p == "" || r.Proto == "tcp" || r.Proto == "udp", f, "ports need proto tcp or udp")
	}
	to, jump := strings.CutPrefix(r.Verdict, "jump ")
	_, known := nftVerdicts[r.Verdict]
	v.check(known || r.Verdict == "" || r.Verdict == "reject" || jump && slices.Contains(chains, to), f+".verdict", "unknown verdict %q, or no such chain", r.Verdict)
}
