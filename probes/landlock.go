package probes

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"runtime"

	"golang.org/x/sys/unix"

	"github.com/holdshort/holdshort/probes/internal/sys"
)

// calibrateLandlock finds where Landlock keeps its domain in the security blob
// of the credentials. The offset depends on the LSMs that are built in and on
// their order, and the symbol that holds it is hidden on most kernels. So a
// thread puts itself into a domain and looks which word of its blob became a
// pointer. It returns why the number of domains cannot be read, "" if it can.
//
// The thread is never given back to the Go runtime: it ends with its goroutine,
// and nothing else of this process is restricted.
func (o *Observer) calibrateLandlock(ctx context.Context) string {
	_, err := sys.LandlockABI()
	if errors.Is(err, unix.ENOSYS) || errors.Is(err, unix.EOPNOTSUPP) {
		o.facts.noLandlock = true
		return ""
	}
	result := make(chan string, 1)
	go func() {
		runtime.LockOSThread()
		result <- o.landlockOffset(ctx)
	}()
	return <-result
}

func (o *Observer) landlockOffset(ctx context.Context) string {
	before, err := o.peek(ctx, 0, optBlob)
	if err != nil || before.blob == nil {
		return "the credentials' security blob could not be read"
	}
	if err := sys.LandlockSelf(); err != nil {
		return fmt.Sprintf("the helper thread that finds its place could not enter a domain: %v", err)
	}
	after, err := o.peek(ctx, 0, optBlob)
	if err != nil || len(after.blob) != len(before.blob) {
		return "the credentials' security blob could not be read"
	}
	for off := 0; off+8 <= len(after.blob); off += 8 {
		was, is := binary.LittleEndian.Uint64(before.blob[off:]), binary.LittleEndian.Uint64(after.blob[off:])
		if was == is || is < 1<<63 { // kernel addresses have the top bit
			continue
		}
		if err := o.objs.landlock.Set(int32(off)); err != nil {
			return err.Error()
		}
		s, err := o.Self(ctx)
		if err != nil {
			return err.Error()
		}
		if n, ok := s.Posture().Landlock.Layers.Get(); ok && n >= 1 && n <= 16 {
			return ""
		}
		_ = o.objs.landlock.Set(int32(-1))
	}
	return "its place in the credentials' security blob was not found"
}
