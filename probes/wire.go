package probes

import (
	"encoding/binary"

	"github.com/holdshort/holdshort/probes/bpf"
)

// The C side of what is read here is bpf/event.h; TestWire compares this hand
// decoder, which costs a microsecond, with encoding/binary on the generated
// type, which costs more than the whole launch budget.

const (
	headSize   = 96
	fileIDSize = 40
)

// head is the fixed front of every event.
type head struct {
	cookie, start, ktime, ip, entry, lostAll, info   uint64
	at                                               bpf.ProbesAt
	flags                                            bpf.ProbesHeadFlag
	tgid, tid, pidHere, parent, seq, exec, lost, cpu uint32
}

// cursor walks over little-endian values.
type cursor struct{ b []byte }

func (c *cursor) u64() uint64 {
	v := binary.LittleEndian.Uint64(c.b)
	c.b = c.b[8:]
	return v
}

func (c *cursor) u32() uint32 {
	v := binary.LittleEndian.Uint32(c.b)
	c.b = c.b[4:]
	return v
}

func (c *cursor) u8() uint8 {
	v := c.b[0]
	c.b = c.b[1:]
	return v
}

func (c *cursor) u64s(to []uint64) {
	for i := range to {
		to[i] = c.u64()
	}
}

func (c *cursor) bytes(n int) []byte {
	v := c.b[:n]
	c.b = c.b[n:]
	return v
}

// readHead decodes the head; b must hold at least headSize bytes.
func readHead(b []byte) head {
	c := cursor{b}
	return head{
		cookie: c.u64(), start: c.u64(), ktime: c.u64(), ip: c.u64(), entry: c.u64(), lostAll: c.u64(), info: c.u64(),
		at: bpf.ProbesAt(c.u32()), flags: bpf.ProbesHeadFlag(c.u32()),
		tgid: c.u32(), tid: c.u32(), pidHere: c.u32(), parent: c.u32(), seq: c.u32(), exec: c.u32(), lost: c.u32(), cpu: c.u32(),
	}
}

// readCore decodes the core that follows the head into e and returns what
// comes behind it. b must be long enough.
func readCore(b []byte, e *bpf.ProbesEvent) []byte {
	k := &e.Core
	c := cursor{b}
	k.Failed, k.Have, k.More = c.u64(), c.u64(), c.u64()
	k.MonoSec, k.MonoNsec, k.BootSec, k.BootNsec = int64(c.u64()), int64(c.u64()), int64(c.u64()), int64(c.u64())
	c.u64s(k.Caps[:])
	c.u64s(k.Rlim[:])
	c.u64s(k.Affinity[:])
	k.TimerSlack, k.CoreCookie = c.u64(), c.u64()
	k.DlRuntime, k.DlDeadline, k.DlPeriod = c.u64(), c.u64(), c.u64()
	k.Autogroup = c.u64()
	c.u64s(k.MemsAllowed[:])
	c.u64s(k.PolicyNodes[:])
	k.MmFlags, k.ShadowStack = c.u64(), c.u64()
	k.Blocked, k.Ignored, k.Pending = c.u64(), c.u64(), c.u64()
	k.CgroupV2 = c.u64()
	c.u64s(k.CgroupV1[:])
	k.RootIno, k.CwdIno, k.ExeIno = c.u64(), c.u64(), c.u64()
	k.ArgStart, k.ArgEnd, k.EnvStart, k.EnvEnd = c.u64(), c.u64(), c.u64(), c.u64()
	k.AtEntry, k.AtBase = c.u64(), c.u64()
	k.AtomicFlags = c.u64()
	for i := range k.Filters {
		f := &k.Filters[i]
		f.Filter, f.Prog, f.Len = c.u64(), c.u64(), c.u32()
		f.Log, f.WaitKillable, f.Notif, f.Pad = c.u8(), c.u8(), c.u8(), c.u8()
	}
	for i := range k.Ns {
		k.Ns[i].Inum, k.Ns[i].Owner, k.Ns[i].Level = c.u32(), c.u32(), c.u32()
	}
	for i := range k.UidMap {
		k.UidMap[i].Inside, k.UidMap[i].Host, k.UidMap[i].Count = c.u32(), c.u32(), c.u32()
	}
	for i := range k.GidMap {
		k.GidMap[i].Inside, k.GidMap[i].Host, k.GidMap[i].Count = c.u32(), c.u32(), c.u32()
	}
	k.UidExtents, k.GidExtents = c.u32(), c.u32()
	k.UsernsParent, k.UsernsOwner, k.UsernsFlags = c.u32(), c.u32(), c.u32()
	for i := range k.Ids {
		k.Ids[i] = c.u32()
	}
	k.Ngroups = c.u32()
	k.Securebits, k.Dumpable, k.Pdeathsig, k.Personality = c.u32(), c.u32(), c.u32(), c.u32()
	k.Loginuid, k.Sessionid = c.u32(), c.u32()
	k.SeccompMode, k.SeccompCount, k.Nfilters = c.u32(), c.u32(), c.u32()
	k.LandlockLayers, k.LandlockRules = c.u32(), c.u32()
	k.OomAdj, k.OomAdjMin = int32(c.u32()), int32(c.u32())
	k.Policy, k.RtPriority, k.Ioprio, k.CpuWords = c.u32(), c.u32(), c.u32(), c.u32()
	k.Nice, k.AutogroupNice = int32(c.u32()), int32(c.u32())
	k.UclampMin, k.UclampMax, k.Mempolicy = c.u32(), c.u32(), c.u32()
	k.V1Mask = c.u32()
	k.Pid, k.PidInside, k.Parent, k.Tracer = c.u32(), c.u32(), c.u32(), c.u32()
	k.Session, k.Pgrp, k.Threads = c.u32(), c.u32(), c.u32()
	k.TtyMajor, k.TtyMinor = c.u32(), c.u32()
	k.Umask, k.Propagation, k.RootDev, k.CwdDev, k.ExeDev, k.ExeNlink = c.u32(), c.u32(), c.u32(), c.u32(), c.u32(), c.u32()
	k.KeySession, k.KeyProcess, k.KeyThread, k.KeyOwner = c.u32(), c.u32(), c.u32(), c.u32()
	k.TaskFlags = c.u32()
	k.Nfiles, k.FilesLost = c.u32(), c.u32()
	k.ArgsLen, k.EnvLen = c.u32(), c.u32()
	k.RulesSent, k.RulesLen, k.RuleLayout = c.u32(), c.u32(), c.u32()
	copy(k.Comm[:], c.bytes(len(k.Comm)))
	copy(k.Hostname[:], c.bytes(len(k.Hostname)))
	copy(k.Domainname[:], c.bytes(len(k.Domainname)))
	return c.b
}

// coreSize is what readCore consumes.
const coreSize = 1696
