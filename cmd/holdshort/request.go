package main

import (
	"fmt"
	"os"
	"path/filepath"

	"github.com/holdshort/holdshort/harness/request"
	specs "github.com/opencontainers/runtime-spec/specs-go"
)

// readRequest reads the config.json of a bundle, or a file, "-" being standard
// input. Its relative paths are against the directory that it is in. args, if
// there are any, replace those of the request.
func readRequest(bundle, file string, strict bool, args []string) (*request.Request, error) {
	dir := bundle
	if bundle != "" {
		file = filepath.Join(bundle, "config.json")
	} else if file != "-" {
		dir = filepath.Dir(file)
	}
	in := os.Stdin
	if file != "-" {
		f, err := os.Open(file)
		if err != nil {
			return nil, err
		}
		defer f.Close()
		in = f
	}
	req, err := request.Read(in, strict)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", file, err)
	}
	if dir != "" {
		if req.Dir, err = filepath.Abs(dir); err != nil {
			return nil, err
		}
	}
	if args = program(args); len(args) > 0 {
		if req.Spec.Process == nil {
			req.Spec.Process = &specs.Process{}
		}
		req.Spec.Process.Args = args
	}
	if err := req.Validate(); err != nil {
		return nil, fmt.Errorf("%s: %w", file, err)
	}
	return req, nil
}

// program leaves out the "--" before a program and its arguments.
func program(args []string) []string {
	if len(args) > 0 && args[0] == "--" {
		return args[1:]
	}
	return args
}
