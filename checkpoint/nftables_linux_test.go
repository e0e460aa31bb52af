package checkpoint

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// A filter does what its words say: seen from inside the namespace, with
// listeners on every port that is tried.
func TestNftables(t *testing.T) {
	needRoot(t)
	l := newLauncher(t)
	w, err := l.Start(context.Background(), &Config{
		Args: []string{"/bin/sleep", "100"}, Namespaces: []Namespace{{Kind: Net}},
		Network: Network{LoopbackUp: true, Nftables: []NFTable{{Family: "inet", Name: "t", Chains: []NFChain{
			{Name: "in", Hook: "input", Policy: "drop", Rules: []NFRule{
				{States: []string{"established", "related"}, Verdict: "accept"}, // a reset is related to what it answers
				{Proto: "tcp", ToPort: "7001", Verdict: "reject"},
				{Proto: "tcp", ToPort: "7002", From: netip.MustParsePrefix("127.0.0.0/8"), Verdict: "accept"},
				{Proto: "tcp", ToPort: "7003", From: netip.MustParsePrefix("10.0.0.0/8"), Verdict: "accept"},
				{Proto: "tcp", ToPort: "7010-7019", Verdict: "jump more"},
				{In: "eth9", Verdict: "accept"},
			}},
			{Name: "more", Rules: []NFRule{{In: "lo", Proto: "tcp", ToPort: "7015", Verdict: "accept"}, {Verdict: "reject"}}},
		}}}},
	}, nil)
	var e *Error
	if errors.As(err, &e) && (errors.Is(err, unix.ENOENT) || errors.Is(err, unix.EOPNOTSUPP) || errors.Is(err, unix.EPROTONOSUPPORT)) {
		t.Skip("needs nftables in the kernel: " + err.Error())
	}
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = w.Kill(); _, _ = w.Wait(context.Background()) }()
	refused, open, dropped := syscall.ECONNREFUSED, error(nil), errTimeout
	for port, want := range map[string]error{
		"7001": refused, "7002": open, "7003": dropped, "7004": dropped, "7015": open, "7016": refused,
	} {
		var got error
		err := w.inNet(func() error {
			listener, err := net.Listen("tcp", "127.0.0.1:"+port)
			if err != nil {
				return err
			}
			defer listener.Close()
			limit := time.Minute // what is answered may take long to be
			if errors.Is(want, errTimeout) {
				limit = time.Second
			}
			conn, err := net.DialTimeout("tcp", "127.0.0.1:"+port, limit)
			if err == nil {
				conn.Close()
			}
			got = err
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
		if ne, ok := errors.AsType[net.Error](got); ok && ne.Timeout() {
			got = errTimeout
		}
		if (got == nil) != (want == nil) || want != nil && !errors.Is(got, want) {
			t.Errorf("port %s: %v; want %v", port, got, want)
		}
	}
}

var errTimeout = errors.New("timeout")

func TestNftables_Validate(t *testing.T) {
	ok := func() Config {
		return Config{Args: []string{"x"}, Namespaces: []Namespace{{Kind: Net}}, Network: Network{Nftables: []NFTable{{
			Family: "ip", Name: "t", Chains: []NFChain{{Name: "c", Hook: "input", Rules: []NFRule{{Proto: "tcp", ToPort: "1-2", Verdict: "drop"}}}},
		}}}}
	}
	c := ok()
	if err := c.Validate(); err != nil {
		t.Fatal(err)
	}
	for name, f := range map[string]func(t *NFTable, c *NFChain, r *NFRule){
		"family":              func(t *NFTable, _ *NFChain, _ *NFRule) { t.Family = "arp" },
		"name":                func(t *NFTable, _ *NFChain, _ *NFRule) { t.Name = "" },
		"hook":                func(_ *NFTable, c *NFChain, _ *NFRule) { c.Hook = "ingress" },
		"policy":              func(_ *NFTable, c *NFChain, _ *NFRule) { c.Policy = "reject" },
		"policy without hook": func(_ *NFTable, c *NFChain, _ *NFRule) { c.Hook, c.Policy = "", "drop" },
		"second chain":        func(t *NFTable, c *NFChain, _ *NFRule) { t.Chains = append(t.Chains, *c) },
		"verdict":             func(_ *NFTable, _ *NFChain, r *NFRule) { r.Verdict = "allow" },
		"jump nowhere":        func(_ *NFTable, _ *NFChain, r *NFRule) { r.Verdict = "jump x" },
		"port":                func(_ *NFTable, _ *NFChain, r *NFRule) { r.ToPort = "http" },
		"range":               func(_ *NFTable, _ *NFChain, r *NFRule) { r.ToPort = "3-2" },
		"too large":           func(_ *NFTable, _ *NFChain, r *NFRule) { r.ToPort = "65536" },
		"port of nothing":     func(_ *NFTable, _ *NFChain, r *NFRule) { r.Proto = "" },
		"protocol":            func(_ *NFTable, _ *NFChain, r *NFRule) { r.Proto = "TCP" },
		"state":               func(_ *NFTable, _ *NFChain, r *NFRule) { r.States = []string{"old"} },
		"another family":      func(_ *NFTable, _ *NFChain, r *NFRule) { r.From = netip.MustParsePrefix("fd00::/8") },
		"device":              func(_ *NFTable, _ *NFChain, r *NFRule) { r.In = "a-very-long-name" },
	} {
		c := ok()
		table := &c.Network.Nftables[0]
		f(table, &table.Chains[0], &table.Chains[0].Rules[0])
		if err := c.Validate(); !errors.Is(err, unix.EINVAL) {
			t.Errorf("%s: %v", name, err)
		}
	}
}
