package cbpf

// Instruction is one classic BPF instruction, laid out as struct sock_filter.
type Instruction struct {
	Code uint16
	JT   uint8
	JF   uint8
	K    uint32
}

// Data is what a filter can see of one system call: struct seccomp_data.
type Data struct {
	NR   int32
	Arch uint32
	IP   uint64
	Args [6]uint64
}

// Limits of the kernel.
const (
	// MaxInstructions is BPF_MAXINSNS, the most instructions of one program.
	MaxInstructions = 4096
	// MaxPathInstructions is MAX_INSNS_PER_PATH of kernel/seccomp.c: the most
	// instructions of all filters of a task, each filter counted with 4 more.
	MaxPathInstructions = 32768
	// memWords is BPF_MEMWORDS, the number of scratch words.
	memWords = 16
	// dataSize is the size of struct seccomp_data in bytes.
	dataSize = 64
)

// Instruction classes, sizes, modes and operations: linux/bpf_common.h.
const (
	ClassLD   = 0x00
	ClassLDX  = 0x01
	ClassST   = 0x02
	ClassSTX  = 0x03
	ClassALU  = 0x04
	ClassJMP  = 0x05
	ClassRET  = 0x06
	ClassMISC = 0x07

	ModeIMM = 0x00
	ModeABS = 0x20
	ModeMEM = 0x60
	ModeLEN = 0x80

	SourceK = 0x00
	SourceX = 0x08
)

// The instructions that seccomp accepts: seccomp_check_filter of
// kernel/seccomp.c. Modulo is not among them.
const (
	LoadAbs  = ClassLD | ModeABS  // A = word at byte K
	LoadImm  = ClassLD | ModeIMM  // A = K
	LoadMem  = ClassLD | ModeMEM  // A = M[K]
	LoadLen  = ClassLD | ModeLEN  // A = sizeof(struct seccomp_data)
	LoadXImm = ClassLDX | ModeIMM // X = K
	LoadXMem = ClassLDX | ModeMEM // X = M[K]
	LoadXLen = ClassLDX | ModeLEN // X = sizeof(struct seccomp_data)
	Store    = ClassST            // M[K] = A
	StoreX   = ClassSTX           // M[K] = X

	AddK = ClassALU // | 0x00
	SubK = ClassALU | 0x10
	MulK = ClassALU | 0x20
	DivK = ClassALU | 0x30
	OrK  = ClassALU | 0x40
	AndK = ClassALU | 0x50
	LshK = ClassALU | 0x60
	RshK = ClassALU | 0x70
	Neg  = ClassALU | 0x80
	XorK = ClassALU | 0xa0

	AddX = AddK | SourceX
	SubX = SubK | SourceX
	MulX = MulK | SourceX
	DivX = DivK | SourceX
	OrX  = OrK | SourceX
	AndX = AndK | SourceX
	LshX = LshK | SourceX
	RshX = RshK | SourceX
	XorX = XorK | SourceX

	Jump       = ClassJMP // | 0x00: always, by K
	JumpEqual  = ClassJMP | 0x10
	JumpGT     = ClassJMP | 0x20 // unsigned
	JumpGE     = ClassJMP | 0x30 // unsigned
	JumpSet    = ClassJMP | 0x40
	JumpEqualX = JumpEqual | SourceX
	JumpGTX    = JumpGT | SourceX
	JumpGEX    = JumpGE | SourceX
	JumpSetX   = JumpSet | SourceX

	ReturnK = ClassRET
	ReturnA = ClassRET | 0x10

	TAX = ClassMISC // | 0x00
	TXA = ClassMISC | 0x80
)

// AUDIT_ARCH values of linux/audit.h: what Data.Arch holds.
const (
	ArchX86_64  = 0xc000003e
	ArchI386    = 0x40000003
	ArchAARCH64 = 0xc00000b7
	ArchARM     = 0x40000028
	ArchRISCV64 = 0xc00000f3
	ArchPPC64LE = 0xc0000015
)

// X32Bit marks a system call of the x32 ABI, which shares ArchX86_64.
const X32Bit = 0x40000000

// Numbers of the words of [Data]. The words of argument i are WordArg+2*i (the
// low half) and WordArg+2*i+1 (the high half).
const (
	WordNR   = 0
	WordArch = 1
	WordIP   = 2
	WordArg  = 4
	NumWords = 16
)

// word returns the 32-bit word number i of the data.
func (d *Data) word(i uint32) uint32 {
	switch i {
	case WordNR:
		return uint32(d.NR)
	case WordArch:
		return d.Arch
	case WordIP:
		return uint32(d.IP)
	case WordIP + 1:
		return uint32(d.IP >> 32)
	}
	a := d.Args[(i-WordArg)/2%6]
	if i%2 == 1 {
		a >>= 32
	}
	return uint32(a)
}
