package harness

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"

	"github.com/holdshort/holdshort/harness/oracle"
	"golang.org/x/sys/unix"
)

// lsmFields are the fields of a request that [seeLabel] answers for.
var lsmFields = []string{"process.apparmorProfile", "process.selinuxLabel"}

// errLabelLater is why the parked workload does not show its label.
var errLabelLater = errors.New("the label changes at execve, so only a workload that is held after it shows it (freeze mode)")

func (h *held) label(field, want string) (any, bool, string, error) {
	if !h.frozen {
		return nil, false, "", errLabelLater
	}
	got, why, err := seeLabel(h.pid, field, want)
	return got, err == nil && why == "", why, err
}

// seeLabel reads the label of a task that has passed execve and is held: pid
// must not be able to end meanwhile. field is one of lsmFields, why says in
// which way it does not hold. An error means that nothing can be told, as
// where the module is not active.
//
// A label that restrains nothing does not hold: a profile that only complains,
// a permissive domain, SELinux that is permissive altogether.
func seeLabel(pid int, field, want string) (got, why string, err error) {
	selinux := field == "process.selinuxLabel"
	file := "/proc/" + strconv.Itoa(pid) + "/attr/apparmor/current"
	if selinux {
		if _, err := os.Stat(selinuxfs); err != nil {
			return "", "", fmt.Errorf("SELinux is not active: %w", err)
		}
		file = "/proc/" + strconv.Itoa(pid) + "/attr/current"
	}
	b, err := os.ReadFile(file)
	if err != nil {
		return "", "", fmt.Errorf("read the label: %w", err)
	}
	got = string(bytes.TrimRight(b, "\x00\n"))
	if selinux {
		if got != want {
			return got, "it has another label", nil
		}
		why, err = lax(got)
		return got, why, err
	}
	// "profile (enforce)", but "unconfined" alone
	name, mode, ok := strings.Cut(got, " (")
	switch {
	case name != want:
		return got, "it has another profile", nil
	case want != "unconfined" && (!ok || mode != "enforce)"):
		return got, "the profile is not enforced", nil
	}
	return got, "", nil
}

const selinuxfs = "/sys/fs/selinux"

// lax tells in which way SELinux does not enforce what it knows of a label.
func lax(label string) (why string, err error) {
	b, err := os.ReadFile(selinuxfs + "/enforce")
	if err != nil {
		return "", fmt.Errorf("whether SELinux enforces anything: %w", err)
	}
	if strings.TrimSpace(string(b)) != "1" {
		return "SELinux is permissive, so the label restrains nothing", nil
	}
	permissive, err := permissiveDomain(label)
	if err != nil {
		return "", fmt.Errorf("whether SELinux enforces anything on this label: %w", err)
	}
	if permissive {
		return "it is a permissive domain of SELinux, which restrains nothing", nil
	}
	return "", nil
}

// permissiveDomain asks the policy, by the file that decides on accesses of
// others: "source target class" is answered by "allowed ffffffff auditallow
// auditdeny number flags" (security/selinux/selinuxfs.c, sel_write_access).
// Flag 1 is AVD_FLAGS_PERMISSIVE (security/selinux/include/security.h).
func permissiveDomain(label string) (bool, error) {
	class, err := os.ReadFile(selinuxfs + "/class/process/index")
	if err != nil {
		return false, err
	}
	fd, err := unix.Open(selinuxfs+"/access", unix.O_RDWR|unix.O_CLOEXEC, 0)
	if err != nil {
		return false, err
	}
	defer unix.Close(fd)
	question := label + " " + label + " " + strings.TrimSpace(string(class))
	if _, err := unix.Write(fd, []byte(question)); err != nil {
		return false, fmt.Errorf("%s/access: %w", selinuxfs, err)
	}
	answer := make([]byte, 256)
	n, err := unix.Read(fd, answer)
	if err != nil {
		return false, fmt.Errorf("%s/access: %w", selinuxfs, err)
	}
	f := strings.Fields(string(bytes.TrimRight(answer[:n], "\x00")))
	if len(f) != 6 {
		return false, fmt.Errorf("%s/access says %q", selinuxfs, answer[:n])
	}
	flags, err := strconv.ParseUint(f[5], 16, 32)
	return flags&1 != 0, err
}

// labelsOf reads what security modules call a process; nothing where they are
// not.
func labelsOf(pid int) (l oracle.Labels) {
	dir := "/proc/" + strconv.Itoa(pid) + "/attr/"
	if b, err := os.ReadFile(dir + "apparmor/current"); err == nil {
		l.AppArmor, _, _ = strings.Cut(string(bytes.TrimRight(b, "\x00\n")), " (")
	}
	if _, err := os.Stat(selinuxfs); err == nil {
		b, _ := os.ReadFile(dir + "current")
		l.SELinux = string(bytes.TrimRight(b, "\x00\n"))
	}
	return l
}
