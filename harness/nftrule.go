package harness

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"net/netip"
	"strconv"

	"github.com/google/nftables/expr"
	"github.com/holdshort/holdshort/harness/request"
)

// readRule says the kernel's expressions in the words of a request. What it
// does not know makes it an error: a rule that is half understood is none.
func readRule(list []expr.Any) (request.NFRule, error) {
	d := &nftReader{list: list}
	for d.err == nil && len(d.list) > 0 {
		d.step()
	}
	return d.rule, d.err
}

type nftReader struct {
	list []expr.Any
	rule request.NFRule
	ip   int // 4 or 6 once the rule says which
	err  error
}

func (d *nftReader) fail() { d.err = errNotUnderstood }

// next takes an expression of a type.
func next[T any](d *nftReader) (v *T) {
	if len(d.list) > 0 {
		if x, ok := d.list[0].(any).(*T); ok {
			d.list = d.list[1:]
			return x
		}
	}
	d.fail()
	return new(T)
}

// equal takes a comparison with the first register and returns its data.
func (d *nftReader) equal() []byte {
	c := next[expr.Cmp](d)
	if c.Op != expr.CmpOpEq || c.Register != 1 {
		d.fail()
	}
	return c.Data
}

func (d *nftReader) step() {
	switch e := d.list[0].(type) {
	case *expr.Meta:
		d.list = d.list[1:]
		d.meta(e)
	case *expr.Ct:
		d.list = d.list[1:]
		d.states(e)
	case *expr.Payload:
		d.list = d.list[1:]
		d.payload(e)
	case *expr.Counter:
		d.list, d.rule.Counter = d.list[1:], true
	case *expr.Reject:
		d.list = d.list[1:]
		d.reject(e)
	case *expr.Verdict:
		d.list = d.list[1:]
		d.verdict(e)
	default:
		d.fail()
	}
}

func (d *nftReader) meta(m *expr.Meta) {
	data := d.equal()
	if m.SourceRegister || m.Register != 1 || len(data) == 0 {
		d.fail()
		return
	}
	switch m.Key { // enum nft_meta_keys, linux/netfilter/nf_tables.h
	case 6:
		d.rule.In = string(bytes.TrimRight(data, "\x00"))
	case 7:
		d.rule.Out = string(bytes.TrimRight(data, "\x00"))
	case 15: // NFT_META_NFPROTO
		d.ip = map[byte]int{2: 4, 10: 6}[data[0]]
		if d.ip == 0 {
			d.fail()
		}
	case 16: // NFT_META_L4PROTO
		d.rule.Proto = map[byte]string{6: "tcp", 17: "udp", 1: "icmp", 58: "icmpv6"}[data[0]]
		if d.rule.Proto == "" {
			d.fail()
		}
	default:
		d.fail()
	}
}

func (d *nftReader) states(c *expr.Ct) {
	mask, cmp := next[expr.Bitwise](d), next[expr.Cmp](d)
	zero := make([]byte, 4)
	if c.Key != 0 /* NFT_CT_STATE */ || c.SourceRegister || len(mask.Mask) != 4 || !bytes.Equal(mask.Xor, zero) ||
		cmp.Op != expr.CmpOpNeq || !bytes.Equal(cmp.Data, zero) {
		d.fail()
		return
	}
	bits := binary.NativeEndian.Uint32(mask.Mask)
	// enum ip_conntrack_info and NF_CT_STATE_BIT, linux/netfilter/nf_conntrack_common.h
	for _, s := range []struct {
		bit  uint32
		name string
	}{{1, "invalid"}, {1 << 1, "established"}, {1 << 2, "related"}, {1 << 3, "new"}, {1 << 6, "untracked"}} {
		if bits&s.bit != 0 {
			d.rule.States = append(d.rule.States, s.name)
			bits &^= s.bit
		}
	}
	if bits != 0 {
		d.fail()
	}
}

func (d *nftReader) payload(p *expr.Payload) {
	const network, transport = 1, 2 // enum nft_payload_bases
	switch {
	case p.OperationType != expr.PayloadLoad || p.DestRegister != 1:
		d.fail()
	case p.Base == network:
		d.address(p)
	case p.Base == transport && p.Len == 2 && (p.Offset == 0 || p.Offset == 2) && (d.rule.Proto == "tcp" || d.rule.Proto == "udp"):
		to := &d.rule.FromPort
		if p.Offset == 2 {
			to = &d.rule.ToPort
		}
		*to = d.ports()
	default:
		d.fail()
	}
}

func (d *nftReader) address(p *expr.Payload) {
	// Offsets of the addresses in the headers of IPv4 (RFC 791) and IPv6 (RFC 8200).
	to := map[[2]uint32]*netip.Prefix{
		{12, 4}: &d.rule.From, {16, 4}: &d.rule.To, {8, 16}: &d.rule.From, {24, 16}: &d.rule.To,
	}[[2]uint32{p.Offset, p.Len}]
	version := 4
	if p.Len == 16 {
		version = 6
	}
	if to == nil || d.ip != 0 && d.ip != version {
		d.fail()
		return
	}
	bits := 8 * int(p.Len)
	if len(d.list) > 0 {
		if m, ok := d.list[0].(*expr.Bitwise); ok {
			d.list = d.list[1:]
			if bits = leading(m.Mask); bits < 0 || len(m.Mask) != int(p.Len) || !bytes.Equal(m.Xor, make([]byte, p.Len)) {
				d.fail()
				return
			}
		}
	}
	a, ok := netip.AddrFromSlice(d.equal())
	if !ok || a.BitLen() != 8*int(p.Len) {
		d.fail()
		return
	}
	*to = netip.PrefixFrom(a, bits)
}

// leading counts the ones of a mask that has them all in front; else -1.
func leading(mask []byte) int {
	n, end := 0, false
	for _, b := range mask {
		for i := 7; i >= 0; i-- {
			switch one := b>>i&1 == 1; {
			case one && end:
				return -1
			case one:
				n++
			default:
				end = true
			}
		}
	}
	return n
}

func (d *nftReader) ports() string {
	c := next[expr.Cmp](d)
	if len(c.Data) != 2 || c.Register != 1 {
		d.fail()
		return ""
	}
	first := int(binary.BigEndian.Uint16(c.Data))
	if c.Op == expr.CmpOpEq {
		return strconv.Itoa(first)
	}
	last := next[expr.Cmp](d)
	if c.Op != expr.CmpOpGte || last.Op != expr.CmpOpLte || len(last.Data) != 2 || last.Register != 1 {
		d.fail()
		return ""
	}
	return fmt.Sprintf("%d-%d", first, binary.BigEndian.Uint16(last.Data))
}

// reject: a reset for tcp, "port unreachable" for others (RFC 792, RFC 4443).
func (d *nftReader) reject(r *expr.Reject) {
	const unreachable, reset, anyUnreachable = 0, 1, 2 // enum nft_reject_types
	switch {
	case r.Type == reset && d.rule.Proto == "tcp":
	case r.Type == unreachable && (r.Code == 3 || r.Code == 4):
	case r.Type == anyUnreachable && r.Code == 1:
	default:
		d.fail()
		return
	}
	d.end("reject")
}

func (d *nftReader) verdict(v *expr.Verdict) {
	switch v.Kind { // NF_DROP, NF_ACCEPT, and enum nft_verdicts
	case 0:
		d.end("drop")
	case 1:
		d.end("accept")
	case -5:
		d.end("return")
	case -3:
		d.end("jump " + v.Chain)
	default:
		d.fail()
	}
}

// end: nothing may come after what decides.
func (d *nftReader) end(verdict string) {
	d.rule.Verdict = verdict
	if len(d.list) > 0 {
		d.fail()
	}
}
