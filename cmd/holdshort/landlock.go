package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/holdshort/holdshort/checkpoint"
	"github.com/holdshort/holdshort/checkpoint/landlock"
)

// landlockPolicy makes one layer of the values of --landlock. It handles all
// rights of the kinds that are mentioned which the kernel has: files for ro and
// rw, ports for bind, connect and net, scopes for scoped.
func landlockPolicy(list []string, root string) (*landlock.Policy, error) {
	abi := min(checkpoint.LandlockABI(), landlock.Newest)
	if abi == 0 {
		return nil, fmt.Errorf("--landlock: this kernel has no Landlock (since Linux %s), or was booted without", landlock.Since(1))
	}
	need := func(rule string, kind landlock.Kind, since int) ([]landlock.Right, error) {
		if abi < since {
			return nil, fmt.Errorf("--landlock %s: needs Landlock ABI %d (since Linux %s); this kernel has %d", rule, since, landlock.Since(since), abi)
		}
		return landlock.Rights(kind, abi), nil
	}
	var l landlock.Ruleset
	for _, rule := range list {
		var err error
		word, arg, _ := strings.Cut(rule, ":")
		switch word {
		case "ro", "rw":
			if !filepath.IsAbs(arg) {
				return nil, fmt.Errorf("--landlock %s: want %s:/PATH", rule, word)
			}
			l.HandledAccessFS = landlock.Rights(landlock.FS, abi)
			l.PathBeneath = append(l.PathBeneath, landlock.PathBeneath{Path: arg, AllowedAccess: rightsOn(word, filepath.Join(root, arg), abi)})
		case "bind", "connect", "net":
			if l.HandledAccessNet, err = need(rule, landlock.Net, 4); err != nil {
				return nil, err
			}
			if word == "net" {
				break
			}
			port, err := strconv.ParseUint(arg, 10, 16)
			if err != nil {
				return nil, fmt.Errorf("--landlock %s: %q is no port", rule, arg)
			}
			l.NetPort = append(l.NetPort, landlock.NetPort{Port: uint16(port), AllowedAccess: []landlock.Right{landlock.Right(word + "_tcp")}})
		case "scoped":
			if l.Scoped, err = need(rule, landlock.Scope, 6); err != nil {
				return nil, err
			}
		default:
			return nil, fmt.Errorf("--landlock %s: want ro:PATH, rw:PATH, bind:PORT, connect:PORT, net or scoped", rule)
		}
	}
	return &landlock.Policy{Layers: []landlock.Ruleset{l}}, nil
}

// rightsOn are the rights that ro or rw gives on what is at a path now; only
// some can be given on a file.
func rightsOn(word, path string, abi int) []landlock.Right {
	rights := []landlock.Right{"execute", "read_file", "read_dir"}
	if word == "rw" {
		rights = landlock.Rights(landlock.FS, abi)
	}
	if st, err := os.Stat(path); err != nil || st.IsDir() {
		return rights
	}
	var out []landlock.Right
	for _, r := range rights {
		if landlock.OfFiles(r) {
			out = append(out, r)
		}
	}
	return out
}
