package wireguard

import (
	"net/netip"
	"reflect"
	"strings"
	"testing"

	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"
)

// What is written for a peer is read as the same peer; the kernel has its say
// in the tests of guests.
func TestPeerThereAndBack(t *testing.T) {
	key := func(c byte) Key { return keyOf([]byte(strings.Repeat(string(rune(c)), KeySize))) }
	for name, p := range map[string]Peer{
		"all": {
			PublicKey: key('a'), PresharedKey: key('b'), Endpoint: netip.MustParseAddrPort("[2001:db8::7]:51821"), Keepalive: 25,
			AllowedIPs: []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8"), netip.MustParsePrefix("fd00::/64")},
		},
		"version 4": {PublicKey: key('c'), Endpoint: netip.MustParseAddrPort("192.0.2.7:1")},
		"nothing":   {PublicKey: key('d')},
	} {
		t.Run(name, func(t *testing.T) {
			list := nl.NewRtAttr(devPeers|unix.NLA_F_NESTED, nil)
			if err := p.add(list.AddRtAttr(0, nil)); err != nil {
				t.Fatal(err)
			}
			var d Device
			if err := d.read(list.Serialize()); err != nil {
				t.Fatal(err)
			}
			if want := []Peer{p}; !reflect.DeepEqual(d.Peers, want) {
				t.Errorf("got %+v; want %+v", d.Peers, want)
			}
		})
	}
}

func TestKey(t *testing.T) {
	for _, bad := range []Key{"", "AAAA", "no base64", Key(strings.Repeat("A", 44))} {
		if _, err := bad.Bytes(); err == nil {
			t.Errorf("%q is a key", bad)
		}
	}
}

func TestCutShort(t *testing.T) {
	b := nl.NewRtAttr(devPublic, make([]byte, KeySize)).Serialize()
	for n := 4; n < len(b); n++ {
		var d Device
		if err := d.read(b[:n]); err == nil {
			t.Errorf("%d of %d bytes are read without an error", n, len(b))
		}
	}
}
