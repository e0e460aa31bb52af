package guest

// TaskFile is where init finds its [Task], as JSON.
const TaskFile = "/.holdshort/task.json"

// ExitPort is the I/O port of QEMU's isa-debug-exit device (amd64). A byte v
// written there ends QEMU with status v*2+1.
const ExitPort = 0xf4

// ExitByte is what init writes to [ExitPort] once its end record is
// acknowledged. Nothing else in a guest writes it.
const ExitByte = 0x2a

// ExitStatus is the status that QEMU then ends with.
const ExitStatus = ExitByte*2 + 1

// Task is what init is to do.
type Task struct {
	Commands []Command `json:"commands"`           // one after the other
	Modules  []string  `json:"modules,omitempty"`  // paths of modules to load, in this order, before anything else
	Optional []string  `json:"optional,omitempty"` // the same, but a failure is only worth a warning
	NoCgroup bool      `json:"no_cgroup,omitempty"`
	Terminal bool      `json:"terminal,omitempty"` // the commands own the console; nothing of their output is recorded
}

// Command is one program to run.
type Command struct {
	Argv    []string `json:"argv"`
	Env     []string `json:"env"`
	Dir     string   `json:"dir"`
	LimitMS int64    `json:"limit_ms,omitempty"` // it and what it left are then killed; 0: no limit
}
