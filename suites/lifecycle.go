package suites

import (
	"fmt"
	"path/filepath"
	"sync"

	"github.com/holdshort/holdshort/harness"
	. "github.com/holdshort/holdshort/harness/matchers"
	"github.com/holdshort/holdshort/harness/request"
	g "github.com/onsi/ginkgo/v2"
	"github.com/onsi/gomega"
	"golang.org/x/sys/unix"
)

// lifecycle are the specs of how a launch begins and ends.
func lifecycle(name string, open Open) {
	describe(name, "lifecycle", open, func(s *subject) {
		for _, status := range []int{0, 1, 42, 255} {
			g.It(fmt.Sprintf("passes on exit status %d", status), func(ctx g.SpecContext) {
				c := s.run(ctx, request.New("/bin/sh", "-c", fmt.Sprintf("exit %d", status)))
				gomega.Expect(c).To(HaveExited(status))
			})
		}
		g.It("says by which signal a program was killed", func(ctx g.SpecContext) {
			c := s.run(ctx, request.New("/bin/sh", "-c", "kill -TERM $$"))
			if _, ok := s.e.(Planter); !ok && c.Meta.Workload.Signal == 0 {
				// A command passes it on as a status, as a shell does.
				gomega.Expect(c.Meta.Workload.ExitCode).To(gomega.Or(gomega.Equal(128+int(unix.SIGTERM)), gomega.Equal(-1)))
				return
			}
			gomega.Expect(c).To(BeKilledBy(unix.SIGTERM))
		})
		g.It("does not run a program that is not there, and never calls that a pass", func(ctx g.SpecContext) {
			missing := filepath.Join(g.GinkgoT().TempDir(), "missing")
			req := request.New(missing)
			c, err := s.e.Run(ctx, req)
			if err == nil {
				gomega.Expect(c).NotTo(BeConstrained())
			}
		})
		g.It("keeps launches apart that run at the same time", func(ctx g.SpecContext) {
			const n = 20
			got, errs := make([]*harness.Case, n), make([]error, n)
			var wg sync.WaitGroup
			for i := range n {
				wg.Go(func() {
					req := request.New("/bin/sh", "-c", fmt.Sprintf("exit %d", i))
					rlimit("RLIMIT_NOFILE", uint64(40+i), uint64(60+i))(req)
					got[i], errs[i] = s.e.Run(ctx, req)
				})
			}
			wg.Wait()
			for i := range n {
				c := s.took(nil, got[i], errs[i])
				gomega.Expect(c).To(HaveExited(i))
				gomega.Expect(c).To(BeConstrained())
			}
		})
		g.It("leaves a program alone that is given no time limit, and ends with it", func(ctx g.SpecContext) {
			c := s.run(ctx, request.New("/bin/sh", "-c", "sleep 0.2; exit 7"))
			gomega.Expect(c).To(HaveExited(7))
		})
	})
}
