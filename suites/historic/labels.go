package historic

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"github.com/holdshort/holdshort/harness/oracle"
	specs "github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"
)

// Labels of AppArmor and SELinux that were not applied. They need a kernel that
// has the module, which is that of a guest here.
func labelRows() []Row {
	profile := Finds{"process.apparmorProfile": oracle.Weaker}
	const appArmor, seLinux = "AppArmor", "SELinux, and no policy of somebody's"
	return []Row{
		{
			Number: 35, ID: "moby/moby 36466, docker-archive/libcontainer 224", Where: "docker exec of 2014 and of 18.03", Title: "what is executed in a running container has no profile of AppArmor",
			How: "nothing is written to attr/exec after setns(2)", Frozen: true, Needs: appArmor, Finds: profile,
			Ask: func(s *Scene) { s.Join(); s.profile() },
			Do:  unlessWrongWith(func(e *Engine) error { return confine(e.Vars["profile"]) }),
		},
		{
			Number: 36, ID: "containers/podman 4716", Where: "podman exec", Title: "what is executed in a running container has no label of SELinux",
			How: "nothing is written to attr/exec after setns(2)", Frozen: true, Needs: seLinux, Finds: Finds{"process.selinuxLabel": oracle.Weaker},
			Ask: func(s *Scene) { s.Join(); s.label() },
			Do:  unlessWrongWith(func(e *Engine) error { return os.WriteFile("/proc/thread-self/attr/exec", []byte(e.Vars["label"]), 0) }),
		},
		{
			Number: 37, ID: "moby/moby 46096", Where: "moby 24", Title: "the profile of AppArmor that was asked for is silently not applied",
			How: "\"unconfined\" is written to attr/exec in its place", Frozen: true, Needs: appArmor, Finds: profile,
			Ask: func(s *Scene) { s.profile() },
			Do: func(e *Engine) error {
				if e.Wrong {
					return confine("unconfined")
				}
				return confine(e.Vars["profile"])
			},
		},
		{
			Number: 38, ID: "CVE-2019-16884, containers/crun 110", Where: "runc before 1.0.0-rc9, crun before 0.10", Title: "a volume stands for /proc, and the label is written to a file of it",
			How: "a directory with such a file is mounted over /proc, and no more when the program begins", Frozen: true, Needs: appArmor, Finds: profile,
			Ask: func(s *Scene) {
				s.profile()
				s.namespace(specs.MountNamespace)
				s.Engine.Vars["volume"] = s.TempDir()
				fake := filepath.Join(s.Engine.Vars["volume"], strings.TrimPrefix(attr, "/proc"))
				if err := errors.Join(os.MkdirAll(filepath.Dir(fake), 0o755), os.WriteFile(fake, nil, 0o644)); err != nil {
					s.Fatal(err)
				}
			},
			Do: func(e *Engine) error {
				err := errors.Join(unix.Unshare(unix.CLONE_NEWNS), unix.Mount("", "/", "", unix.MS_PRIVATE|unix.MS_REC, ""))
				if !e.Wrong {
					return errors.Join(err, confine(e.Vars["profile"]))
				}
				return errors.Join(err, bind(e.Vars["volume"], "/proc"), confine(e.Vars["profile"]), unix.Unmount("/proc", unix.MNT_DETACH))
			},
		},
	}
}

func unlessWrongWith(do func(*Engine) error) func(*Engine) error {
	return func(e *Engine) error {
		if e.Wrong {
			return nil
		}
		return do(e)
	}
}

const attr = "/proc/thread-self/attr/apparmor/exec"

func confine(profile string) error { return os.WriteFile(attr, []byte("exec "+profile), 0) }

// profile loads a profile, and asks for it.
func (s *Scene) profile() {
	s.Helper()
	if b, err := os.ReadFile("/sys/module/apparmor/parameters/enabled"); err != nil || strings.TrimSpace(string(b)) != "Y" {
		s.Skip("needs AppArmor")
	}
	parser, err := exec.LookPath("apparmor_parser")
	if err != nil {
		s.Skip("needs apparmor_parser(8)")
	}
	name := fmt.Sprintf("holdshort-historic-%d", os.Getpid())
	rules := fmt.Sprintf("profile %s flags=(attach_disconnected) {\nfile, capability, mount, umount, ptrace, signal, unix,\n}\n", name)
	c := exec.CommandContext(s.Context(), parser, "--replace", "--skip-cache", "--skip-read-cache", "--quiet")
	c.Stdin = strings.NewReader(rules)
	if out, err := c.CombinedOutput(); err != nil {
		s.Skipf("needs a securityfs with AppArmor's files: apparmor_parser: %v\n%s", err, out)
	}
	s.After(func() { _ = os.WriteFile("/sys/kernel/security/apparmor/.remove", []byte(name), 0) })
	s.Request.Spec.Process.ApparmorProfile, s.Engine.Vars["profile"] = name, name
}

const selinuxfs = "/sys/fs/selinux"

// label loads a policy where there is none, and asks for a label of it.
func (s *Scene) label() {
	s.Helper()
	if _, err := os.Stat(selinuxfs); err != nil {
		s.Skip("needs SELinux")
	}
	if _, err := os.Stat(selinuxfs + "/load"); err != nil {
		if err := unix.Mount("selinuxfs", selinuxfs, "selinuxfs", unix.MS_NOSUID|unix.MS_NOEXEC, ""); err != nil {
			s.Skip("needs SELinux: ", err)
		}
	}
	const host, box = "u:r:host_t", "u:r:box_t"
	b, err := os.ReadFile("/proc/self/attr/current")
	if err != nil {
		s.Fatal(err)
	}
	switch l := strings.TrimRight(string(b), "\x00\n"); l {
	case host: // of the other run
	case "kernel":
		s.load(policySource(host))
	default:
		s.Skip("needs SELinux without a policy, and here one is: " + l)
	}
	enforce := func(on string) {
		if err := os.WriteFile(selinuxfs+"/enforce", []byte(on), 0); err != nil {
			s.Fatal(err)
		}
	}
	enforce("1")
	if err := exec.CommandContext(s.Context(), Program).Run(); err != nil { // Linux 5.10 and 6.1, for a reason that was not found
		enforce("0")
		s.Skip("needs a kernel that executes programs under so small a policy of SELinux: ", err)
	}
	s.After(func() { enforce("0") })
	s.Request.Spec.Process.SelinuxLabel, s.Engine.Vars["label"] = box, box
}

// load compiles a policy and gives it to the kernel.
func (s *Scene) load(source string) {
	s.Helper()
	compiler, err := exec.LookPath("checkpolicy")
	if err != nil {
		s.Skip("needs checkpolicy(8)")
	}
	from, to := filepath.Join(s.TempDir(), "policy.conf"), filepath.Join(s.TempDir(), "policy")
	if err := os.WriteFile(from, []byte(source), 0o644); err != nil {
		s.Fatal(err)
	}
	// Version 30 is what each kernel since 4.3 reads.
	if out, err := exec.CommandContext(s.Context(), compiler, "-U", "allow", "-c", "30", "-o", to, from).CombinedOutput(); err != nil {
		s.Fatalf("checkpolicy: %v\n%s", err, out)
	}
	b, err := os.ReadFile(to)
	if err != nil {
		s.Fatal(err)
	}
	if err := os.WriteFile(selinuxfs+"/load", b, 0); err != nil { // in one write
		s.Fatal(err)
	}
}

// policySource is a policy of one class and two types. What must have a context
// is numbered by the kernel in this order
// (security/selinux/include/initial_sid_to_string.h).
func policySource(host string) string {
	sids := strings.Fields(`kernel security unlabeled fs file file_labels init any_socket port netif netmsg node
		igmp_packet icmp_socket tcp_socket sysctl_modprobe sysctl sysctl_fs sysctl_kernel sysctl_net sysctl_net_unix
		sysctl_vm sysctl_dev kmod policy scmp_packet devnull`)
	var b strings.Builder
	b.WriteString("class process\nclass file\n")
	for _, sid := range sids {
		b.WriteString("sid " + sid + "\n")
	}
	b.WriteString(`class process { transition dyntransition fork }
class file { entrypoint }
type host_t;
type box_t;
allow host_t box_t:process transition;
allow box_t host_t:file entrypoint;
allow { host_t box_t } self:process fork;
role r;
role r types { host_t box_t };
user u roles { r };
`)
	for _, sid := range sids {
		b.WriteString("sid " + sid + " " + host + "\n")
	}
	return b.String()
}
