package witness

import _ "embed"

//go:embed witness_linux_amd64.elf
var program []byte
