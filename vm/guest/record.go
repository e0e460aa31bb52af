package guest

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"sync"
)

// Port is the name of the virtio-serial port of the record stream.
const Port = "holdshort.records"

// Kind says what a record is.
type Kind byte

// The kinds of records.
const (
	Hello  Kind = 1 // JSON of Greeting
	Stdout Kind = 2
	Stderr Kind = 3
	Beat   Kind = 4 // empty
	Warn   Kind = 5 // one line of text
	End    Kind = 6 // JSON of Ending: of one command
	Last   Kind = 7 // empty: nothing follows
	Ack    Kind = 8 // from the host, in answer to Last
)

// MaxPayload is the largest payload of one record, in bytes. A longer one in
// the stream is a fault of the channel.
const MaxPayload = 1 << 20

// ErrStream is in the error of [ReadRecord] for bytes that are no record.
var ErrStream = errors.New("not a record")

// Greeting is the first record: what the guest is.
type Greeting struct {
	Release     string   `json:"release"`                // uname -r
	Machine     string   `json:"machine"`                // uname -m
	CommandLine string   `json:"command_line,omitempty"` // /proc/cmdline
	LSM         string   `json:"lsm"`                    // /sys/kernel/security/lsm
	Controllers []string `json:"controllers"`            // cgroup v2, those that could be enabled
	CPUs        int      `json:"cpus"`
	UptimeMS    int64    `json:"uptime_ms"` // since boot, when the command is about to start
}

// Ending says how a command ended. Output before it is that command's.
type Ending struct {
	Index    int    `json:"index"`           // of the command in the task
	Started  bool   `json:"started"`         // whether there was a process at all
	Exit     int    `json:"exit"`            // exit status, if Signal is 0
	Signal   int    `json:"signal"`          // number of the signal that ended it
	TimedOut bool   `json:"timed_out"`       // killed by init at its limit
	Error    string `json:"error,omitempty"` // why it could not be started
	MS       int64  `json:"ms"`              // from start to end
	OOMKills int64  `json:"oom_kills"`       // of /proc/vmstat, while it ran
}

// Writer writes records. Its methods may be called at the same time.
type Writer struct {
	mu sync.Mutex
	w  io.Writer
}

// NewWriter returns a Writer to w.
func NewWriter(w io.Writer) *Writer { return &Writer{w: w} }

// Write writes one record, or several if p is longer than [MaxPayload].
func (w *Writer) Write(k Kind, p []byte) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	for {
		n := min(len(p), MaxPayload)
		// one write for head and payload: a record is seldom torn
		b := make([]byte, 0, 5+n)
		b = append(b, byte(k))
		b = binary.LittleEndian.AppendUint32(b, uint32(n))
		b = append(b, p[:n]...)
		if _, err := w.w.Write(b); err != nil {
			return err
		}
		if p = p[n:]; len(p) == 0 {
			return nil
		}
	}
}

// ReadRecord reads one record. It returns io.EOF at the end of the stream,
// io.ErrUnexpectedEOF inside a record, and an error that matches [ErrStream] if
// the bytes are none.
func ReadRecord(r io.Reader) (Kind, []byte, error) {
	var head [5]byte
	if _, err := io.ReadFull(r, head[:]); err != nil {
		return 0, nil, err
	}
	k, n := Kind(head[0]), binary.LittleEndian.Uint32(head[1:])
	if k < Hello || k > Ack || n > MaxPayload {
		return 0, nil, fmt.Errorf("%w: kind %d, %d bytes", ErrStream, k, n)
	}
	p := make([]byte, n)
	if _, err := io.ReadFull(r, p); err != nil {
		return 0, nil, io.ErrUnexpectedEOF
	}
	return k, p, nil
}
