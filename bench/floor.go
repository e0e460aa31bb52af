package main

import (
	"bufio"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// floor drives the C program; see c/floor.c for what it speaks.
type floor struct {
	name, mode string
	path, arg  string
	procs      []*floorProc
}

type floorProc struct {
	cmd *exec.Cmd
	in  *os.File
	out *bufio.Reader
}

func (f *floor) Name() string { return f.name }

func (f *floor) proc(i int) (*floorProc, error) {
	for len(f.procs) <= i {
		cmd := exec.Command(f.path, f.arg)
		cmd.Stderr = os.Stderr
		in, err := cmd.StdinPipe()
		if err != nil {
			return nil, err
		}
		out, err := cmd.StdoutPipe()
		if err != nil {
			return nil, err
		}
		if err := cmd.Start(); err != nil {
			return nil, err
		}
		f.procs = append(f.procs, &floorProc{cmd, in.(*os.File), bufio.NewReaderSize(out, 1<<20)})
	}
	return f.procs[i], nil
}

func (p *floorProc) ask(mode string, ns namespaces, n int) error {
	_, err := fmt.Fprintf(p.in, "%s %s %d\n", mode, ns.name, n)
	return err
}

func (p *floorProc) answer() ([]time.Duration, error) {
	line, err := p.out.ReadString('\n')
	if err != nil {
		return nil, fmt.Errorf("the floor ended: %w", err)
	}
	if code, ok := strings.CutPrefix(strings.TrimSpace(line), "error "); ok {
		n, _ := strconv.Atoi(code)
		return nil, syscall.Errno(n)
	}
	words := strings.Fields(line)
	took := make([]time.Duration, len(words))
	for i, w := range words {
		n, err := strconv.ParseInt(w, 10, 64)
		if err != nil {
			return nil, fmt.Errorf("the floor answered %q", line)
		}
		took[i] = time.Duration(n)
	}
	return took, nil
}

func (f *floor) Round(ns namespaces, n int) ([]time.Duration, error) {
	p, err := f.proc(0)
	if err != nil {
		return nil, err
	}
	if err := p.ask(f.mode, ns, n); err != nil {
		return nil, err
	}
	return p.answer()
}

// Burst shares the launches out to as many processes as shall be in flight.
func (f *floor) Burst(ns namespaces, n, inFlight int) (time.Duration, error) {
	if _, err := f.proc(inFlight - 1); err != nil {
		return 0, err
	}
	start := time.Now()
	share := (n + inFlight - 1) / inFlight
	for _, p := range f.procs[:inFlight] {
		if err := p.ask(f.mode, ns, share); err != nil {
			return 0, err
		}
	}
	for _, p := range f.procs[:inFlight] {
		if _, err := p.answer(); err != nil {
			return 0, err
		}
	}
	took := time.Since(start)
	return took * time.Duration(n) / time.Duration(share*inFlight), nil
}

func (f *floor) Close() {
	for _, p := range f.procs {
		p.in.Close()
		_ = p.cmd.Wait()
	}
	f.procs = nil
}
