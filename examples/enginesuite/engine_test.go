// Package engine shows how the authors of a container engine test theirs. The
// engine here is four commands in a row: env(1), unshare(1), setpriv(1) and
// prlimit(1). Run it as root:
//
//	go test -v ./... -ginkgo.label-filter 'ns:net || ns:ipc' -ginkgo.junit-report report.xml
package engine

import (
	"context"
	"errors"
	"fmt"
	"math"
	"os/exec"
	"strings"
	"testing"

	. "github.com/holdshort/holdshort/harness/matchers"
	"github.com/holdshort/holdshort/harness/request"
	"github.com/holdshort/holdshort/suites"
	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	specs "github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"
)

// command is what our engine makes of a request. What it cannot express it must
// say, so that the spec is skipped instead of failed.
func command(ctx context.Context, req *request.Request) (*exec.Cmd, error) {
	if err := suites.Only(req, "linux.namespaces", "process.noNewPrivileges", "process.rlimits"); err != nil {
		return nil, err
	}
	kinds := map[specs.LinuxNamespaceType]string{"mount": "--mount", "network": "--net", "uts": "--uts", "ipc": "--ipc", "cgroup": "--cgroup"}
	p, args := req.Process(), []string{"env", "--ignore-environment", "--default-signal", "unshare"}
	for _, n := range req.Linux().Namespaces {
		if kinds[n.Type] == "" {
			return nil, fmt.Errorf("a new %s namespace: %w", n.Type, errors.ErrUnsupported)
		}
		args = append(args, kinds[n.Type])
	}
	args = append(args, "setpriv")
	if p.NoNewPrivileges {
		args = append(args, "--no-new-privs")
	}
	args = append(args, "prlimit")
	for _, l := range p.Rlimits {
		args = append(args, fmt.Sprintf("--%s=%d:%d", strings.ToLower(strings.TrimPrefix(l.Type, "RLIMIT_")), l.Soft, l.Hard))
	}
	args = append(args, p.Args...)
	// The commands pass on whatever is open.
	err := unix.CloseRange(3, math.MaxInt32, unix.CLOSE_RANGE_CLOEXEC)
	return exec.CommandContext(ctx, args[0], args[1:]...), err
}

// Every spec of the kit, and one of our own.
var _ = suites.Register("util-linux", suites.Command(command))

var _ = Describe("our engine", func() {
	It("gives up what it was told to", func(ctx SpecContext) {
		engine, err := suites.Command(command)(ctx)
		Expect(err).NotTo(HaveOccurred())
		defer engine.Close()
		req := request.New("/bin/true")
		req.Spec.Process.NoNewPrivileges = true
		report, err := engine.Run(ctx, req)
		Expect(err).NotTo(HaveOccurred())
		Expect(report).To(BeConstrained())
		Expect(report).To(HaveNoNewPrivs())
		Expect(report).To(HaveNoLeakedFDs())
	})
})

func TestEngine(t *testing.T) {
	RegisterFailHandler(Fail)
	RunSpecs(t, "our engine")
}
