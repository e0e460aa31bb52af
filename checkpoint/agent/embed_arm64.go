package agent

import _ "embed"

//go:embed agent_linux_arm64.elf
var image []byte
