package harness

import (
	"debug/elf"
	"fmt"

	"github.com/holdshort/holdshort/harness/oracle"
	"github.com/holdshort/holdshort/probes"
	"golang.org/x/sys/unix"
)

// dispute notes in the snapshots what the optional hooks contradict. Snapshots of
// the record and snaps are side by side.
func dispute(rec *probes.Record, snaps []Snapshot) {
	for _, c := range rec.Contradictions() {
		for i := range rec.Snapshots {
			s := &rec.Snapshots[i]
			if s.Exec != c.Exec || s.At != c.At {
				continue
			}
			if snaps[i].Disputed == nil {
				snaps[i].Disputed = map[string]string{}
			}
			snaps[i].Disputed[c.Field] = fmt.Sprintf("%s says %s, the snapshot at %s says %s", c.By, c.Says, c.At, c.Other)
		}
	}
}

// confirmed names the optional hooks that spoke of the exec that is judged.
func confirmed(rec *probes.Record) []string {
	s := rec.Latest()
	if s == nil {
		return nil
	}
	return rec.ConfirmedBy(s.Exec)
}

// disputes adds what is disputed of a snapshot. What is no field of a posture,
// such as the instruction pointer, is in doubt as a whole.
func (s *sight) disputes(r *Result, sn *Snapshot) {
	for name, why := range sn.Disputed {
		f, ok := oracle.FieldByName(name)
		if !ok {
			r.doubt(Contradiction, name+": "+why)
			continue
		}
		if s.disputed == nil {
			s.disputed = map[oracle.Field]string{}
		}
		s.disputed[f] = why
	}
}

// listen sets a breakpoint at the workload's first instruction, if its address is
// known beforehand. Without one there is one confirmation less.
func (l *launch) listen() (release func()) {
	if l.entry != 0 && l.r.observer != nil {
		if release, err := l.r.observer.Breakpoint(l.entry); err == nil {
			return release
		}
	}
	return func() {}
}

// entryOf is the address of the first instruction of a program that is linked to
// a fixed address and loads itself, 0 of any other.
func entryOf(fd int) uint64 {
	f, err := elf.NewFile(fileAt(fd))
	if err != nil || f.Type != elf.ET_EXEC {
		return 0
	}
	for _, p := range f.Progs {
		if p.Type == elf.PT_INTERP {
			return 0
		}
	}
	return f.Entry
}

// fileAt reads a descriptor that belongs to somebody else.
type fileAt int

func (fd fileAt) ReadAt(b []byte, off int64) (int, error) { return unix.Pread(int(fd), b, off) }
