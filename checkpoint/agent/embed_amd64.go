package agent

import _ "embed"

//go:embed agent_linux_amd64.elf
var image []byte
