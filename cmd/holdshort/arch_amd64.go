package main

import specs "github.com/opencontainers/runtime-spec/specs-go"

func nativeArchitectures() []specs.Arch { return []specs.Arch{specs.ArchX86_64, specs.ArchX86} }
