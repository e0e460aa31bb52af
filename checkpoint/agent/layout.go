package agent

// This file mirrors c/abi.h. The C side asserts the sizes when it is
// compiled; TestLayout asserts the offsets here.

const (
	abiVersion = 5
	arenaBase  = 0x10000000 // in the agent
	homeBase   = 0x00210000 // in a child: the page of the arena with its home
	batchBase  = 0x00240000 // in a child: the pages of the arena with a batch that is elsewhere
	arenaSize  = 0x30000000 // of address space; only touched pages are memory

	// MaxSlots is the number of launches that one agent holds at a time.
	MaxSlots = 16384
	// MaxFDs is the number of file descriptors that one launch can be given.
	MaxFDs = 24
	// MaxOps is the longest batch.
	MaxOps = 4096

	// NumRegs is the number of registers.
	NumRegs = 128
)

// ControlFD is the number of the socket to the host in agent and child, close-on-exec.
const ControlFD = 3

// Registers that the agent fills. A launch's own descriptors begin at RegFD0;
// from RegFree on registers are the plan's.
const (
	RegNull   = 0 // /dev/null, opened read-write by the host
	RegProc   = 1 // the host's /proc
	RegPID    = 2 // agent operations only: the child's pid
	RegPIDDir = 3 // agent operations only: the child's directory in /proc
	RegFD0    = 4
	RegFree   = RegFD0 + MaxFDs
)

const (
	reqSpawn = iota + 1
	reqRelease
	reqKill
	reqQuit
	reqLeave
)

type request struct {
	kind   uint32
	slot   uint32
	serial uint64
	offset uint64
}

// EventKind says what an [Event] reports.
type EventKind uint32

// What the agent, or a parked child, reports.
const (
	Hello     EventKind = iota + 1
	Spawned             // the child exists; FD is its pidfd
	Parked              // a batch is done, the child waits for the next
	Running             // execve succeeded
	Exited              // the child has ended
	Stopped             // by signal Code
	Continued           //
	Refused             // the request was refused or clone3 failed, errno Code
	ExecPipe            // FD is a pipe that execve, or the end, closes at the other end
)

// Event is one report.
type Event struct {
	Kind   EventKind
	Slot   uint32
	Serial uint64
	PID    int32
	Code   int32  // Exited: exit status or signal; Stopped: signal; Refused: errno
	How    uint32 // Exited: CLD_EXITED, CLD_KILLED or CLD_DUMPED
	Flags  uint32
}

// Flags of an Exited event.
const (
	Execed uint32 = 1 // the child had passed execve
	Held   uint32 = 2 // a zombie until Release
)

// Pseudo operations, beyond the numbers of system calls.
const (
	OpClone    = 0x10001
	OpStore32  = 0x10002
	OpEqual    = 0x10003
	OpWritePID = 0x10004
	OpInit     = 0x10006
	OpStatIs   = 0x10008
	OpWait     = 0x10005
)

const opAnyErr = 1

type op struct {
	nr     uint32
	regs   uint8
	save   uint8
	flags  uint8
	skip   uint8
	accept int32
	done   uint32
	result int64
	args   [6]uint64
}

// State is how far a child got, as it left it in shared memory.
type State uint32

// States of a child.
const (
	StateNew State = iota
	StateBusy
	StateParked
	StateExecing
	StateFailed
	StateAgentFailed
)

const (
	flagExecEvent = 1
	flagHold      = 2
	flagNoSpawned = 4
	flagStay      = 8
	flagExecPipe  = 16
	flagTimes     = 32

	goAbort = 0x80000000
	noReg   = 0xffffffff
)

// Linger as an orphan grace lets a workload finish when the host dies.
const Linger = 0xffffffff

// clock is one moment by the processor's counter and by CLOCK_MONOTONIC.
type clock struct{ ticks, ns uint64 }

type launch struct {
	version     uint32
	flags       uint32
	cloneFlags  uint64
	cgroupReg   uint32
	orphan      uint32
	agentOps    uint64
	agentNops   uint32
	nfds        uint32
	ops         uint64
	nops        uint32
	goSeq       uint32
	state       uint32
	pc          uint32
	err         int32
	pidInside   uint32
	pid         int32
	pid2        int32
	agentPC     uint32
	agentDone   uint32
	ended       uint32
	cleanupNops uint32
	cleanup     uint64
	initPID     int32
	initErr     int32
	initReady   uint32
	opsLen      uint32
	rusage      [18]int64
	clock       [2]clock
	_           [5]uint32     // the agent's, for the child
	fds         [MaxFDs]int32 // their numbers in the child
	_           int32
	offset      uint32
	page        uint32
}

// home is what a child has: the launch, registers and stack. It lies within a
// page, which is the only one of the arena that the child is given if its
// operations fit in there too.
type home struct {
	_ launch
	_ [NumRegs]int32
	_ [1024]byte
}
