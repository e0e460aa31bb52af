package checkpoint

import (
	"fmt"
	"slices"
	"strings"

	"github.com/holdshort/holdshort/internal/netdump"
	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"
)

// moveLink moves a device of the host. Its name inside goes with the move, and
// one with %d has the kernel choose. A name that is taken inside is refused
// before the move: the kernel would move first and then fail to rename
// (do_setlink, net/core/rtnetlink.c), and what is not physical would end with
// the namespace.
func moveLink(host, inside *netlink.Handle, nsFD int, l *Link) error {
	dev, err := host.LinkByName(l.Host)
	if err != nil {
		return err
	}
	var keep []netlink.Addr
	if l.KeepAddresses {
		if keep, err = keptAddresses(host, dev); err != nil {
			return err
		}
	}
	before, err := names(inside)
	if err != nil {
		return err
	}
	if slices.Contains(before, l.Name) {
		return fmt.Errorf("the name %s is taken inside: %w", l.Name, unix.EEXIST)
	}
	if err := setNamespace(dev.Attrs().Index, nsFD, l.Name); err != nil {
		return fmt.Errorf("move: %w", err)
	}
	name := l.Name
	if strings.Contains(name, "%d") {
		after, err := names(inside)
		if err != nil {
			return err
		}
		after = slices.DeleteFunc(after, func(n string) bool { return slices.Contains(before, n) })
		if len(after) != 1 {
			return fmt.Errorf("the moved device is one of %q: %w", after, unix.EEXIST)
		}
		name = after[0]
	}
	moved, err := inside.LinkByName(name)
	if err != nil {
		return err
	}
	for i := range keep {
		if err := inside.AddrAdd(moved, &keep[i]); err != nil {
			return fmt.Errorf("address %s: %w", keep[i].IPNet, err)
		}
	}
	a, err := l.attrs()
	if err != nil {
		return err
	}
	if a.HardwareAddr != nil {
		if err := inside.LinkSetHardwareAddr(moved, a.HardwareAddr); err != nil {
			return fmt.Errorf("hardware address: %w", err)
		}
	}
	if l.MTU != 0 {
		if err := inside.LinkSetMTU(moved, l.MTU); err != nil {
			return fmt.Errorf("mtu: %w", err)
		}
	}
	if l.TxQueueLen != 0 {
		if err := inside.LinkSetTxQLen(moved, l.TxQueueLen); err != nil {
			return fmt.Errorf("tx queue length: %w", err)
		}
	}
	if err := enslave(inside, name, l.Master); err != nil {
		return err
	}
	return configure(inside, name, l.Addresses, l.Down)
}

// keptAddresses are those that the runtime-spec wants to go with the device:
// permanent and of global scope.
func keptAddresses(h *netlink.Handle, dev netlink.Link) ([]netlink.Addr, error) {
	all, err := netdump.Whole(func() ([]netlink.Addr, error) { return h.AddrList(dev, netlink.FAMILY_ALL) })
	if err != nil {
		return nil, fmt.Errorf("addresses: %w", err)
	}
	var keep []netlink.Addr
	for _, a := range all {
		if a.Scope == unix.RT_SCOPE_UNIVERSE && a.Flags&unix.IFA_F_PERMANENT != 0 {
			keep = append(keep, netlink.Addr{IPNet: a.IPNet, Label: "", Flags: a.Flags &^ (unix.IFA_F_PERMANENT | unix.IFA_F_TENTATIVE), Scope: a.Scope, Peer: a.Peer, Broadcast: a.Broadcast})
		}
	}
	return keep, nil
}

func names(h *netlink.Handle) ([]string, error) {
	all, err := netdump.Whole(h.LinkList)
	if err != nil {
		return nil, err
	}
	var out []string
	for _, l := range all {
		out = append(out, l.Attrs().Name)
	}
	return out, nil
}

// setNamespace is RTM_SETLINK with a namespace and a name.
func setNamespace(index, nsFD int, name string) error {
	req := nl.NewNetlinkRequest(unix.RTM_SETLINK, unix.NLM_F_ACK)
	msg := nl.NewIfInfomsg(unix.AF_UNSPEC)
	msg.Index = int32(index)
	req.AddData(msg)
	req.AddData(nl.NewRtAttr(unix.IFLA_NET_NS_FD, nl.Uint32Attr(uint32(nsFD))))
	req.AddData(nl.NewRtAttr(unix.IFLA_IFNAME, nl.ZeroTerminated(name)))
	_, err := req.Execute(unix.NETLINK_ROUTE, 0)
	return err
}
