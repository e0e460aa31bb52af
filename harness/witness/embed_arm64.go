package witness

import _ "embed"

//go:embed witness_linux_arm64.elf
var program []byte
