package suites

import (
	"os"
	"os/signal"

	. "github.com/holdshort/holdshort/harness/matchers"
	"github.com/holdshort/holdshort/harness/request"
	g "github.com/onsi/ginkgo/v2"
	"github.com/onsi/gomega"
	"golang.org/x/sys/unix"
)

// faults are the specs of what goes wrong: constraints that are not put on, and
// a caller whose own state must not reach the workload.
func faults(name string, open Open) {
	describe(name, "faults", open, func(s *subject) {
		planted(s)
		dirty(s)
	})
}

// dirty makes a mess of this process, which engines are started from, and
// expects nothing of it in a workload that did not ask for it.
func dirty(s *subject) {
	g.It("passes on no descriptor of the caller's", func(ctx g.SpecContext) {
		fd, err := unix.Open("/", unix.O_RDONLY|unix.O_DIRECTORY, 0) // without O_CLOEXEC
		gomega.Expect(err).NotTo(gomega.HaveOccurred())
		defer unix.Close(fd)
		gomega.Expect(s.run(ctx, request.New("/bin/true"))).To(HaveNoLeakedFDs())
	})
	g.It("passes on no variable of the caller's", func(ctx g.SpecContext) {
		gomega.Expect(os.Setenv("HOLDSHORT_SECRET", "1")).To(gomega.Succeed())
		defer os.Unsetenv("HOLDSHORT_SECRET")
		c := s.run(ctx, request.New("/bin/true"))
		gomega.Expect(c).To(HavePosture("exec.env", gomega.Not(gomega.ContainElement("HOLDSHORT_SECRET=1"))))
	})
	g.It("passes on no ignored signal of the caller's", func(ctx g.SpecContext) {
		signal.Ignore(unix.SIGUSR1)
		defer signal.Reset(unix.SIGUSR1)
		c := s.run(ctx, request.New("/bin/true"))
		usr1 := gomega.WithTransform(func(ignored uint64) bool { return ignored>>(unix.SIGUSR1-1)&1 != 0 }, gomega.BeTrue())
		gomega.Expect(c).NotTo(HavePosture("signals.ignored", usr1))
	})
}
