package oci

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
)

// Verification is what --verify asks for: that the program which a call starts
// is judged at its first instruction.
type Verification struct {
	Args   []string // of the call, without --verify and what belongs to it
	Policy Policy
}

// Policy is what is done about a container. It is that of the shim
// (harness/shim), which is not in every command that is an OCI runtime.
type Policy struct {
	Reports string // directory, one file for each program
	Freeze  bool   // read at the entry point, too
	Enforce bool   // kill before the first instruction what is not seen to hold
	Closed  bool   // if the verifier fails: kill, or do not start, instead of letting go
}

// Options are the options that ask for it, for another command of ours.
func (v *Verification) Options() []string {
	out := []string{"--verify", "--reports=" + v.Policy.Reports}
	for _, o := range []struct {
		name string
		on   bool
	}{{"--freeze", v.Policy.Freeze}, {"--enforce", v.Policy.Enforce}, {"--fail-closed", v.Policy.Closed}} {
		if o.on {
			out = append(out, o.name)
		}
	}
	return out
}

// Verify has a call watched, and becomes that call; it returns only if that is
// not possible. The command sets it.
var Verify func(v *Verification) error

// VerifyEnv is the variable that asks for --verify. Its value is the options that
// go with it, or anything without a "-" in front, such as 1.
const VerifyEnv = "HOLDSHORT_OCI_VERIFY"

// verifyFlags are the options about verification.
type verifyFlags struct {
	on, open bool
	policy   Policy
}

var verifyNames = []string{"verify", "reports", "freeze", "enforce", "fail-open", "fail-closed"}

func (v *verifyFlags) flags(f *flagSet) {
	if v.policy.Reports == "" {
		v.policy.Reports = "/var/log/holdshort"
	}
	f.flag(&v.on, "verify", "", "judge each program at its first instruction; with it:")
	f.text(&v.policy.Reports, "reports", "", "directory for the reports (/var/log/holdshort)")
	f.flag(&v.policy.Freeze, "freeze", "", "hold it there and read what no task shows")
	f.flag(&v.policy.Enforce, "enforce", "", "kill there what violates its request")
	f.flag(&v.open, "fail-open", "", "if the verifier fails, go on, and report it (default)")
	f.flag(&v.policy.Closed, "fail-closed", "", "if the verifier fails, do not start it")
}

// environment takes the options of [VerifyEnv], if the command line has none.
func (v *verifyFlags) environment() error {
	value, ok := os.LookupEnv(VerifyEnv)
	if !ok || value == "" || v.on {
		return nil
	}
	v.on = true
	fields := strings.Fields(value)
	if len(fields) == 0 || !strings.HasPrefix(fields[0], "-") {
		fields = nil
	}
	f := newFlagSet(VerifyEnv)
	v.flags(f)
	v.on = true
	rest, err := f.parse(fields, 0)
	if err == nil && len(rest) > 0 {
		err = usageError{fmt.Errorf("%q is no option", rest[0])}
	}
	if err != nil {
		return fmt.Errorf("%s: %w", VerifyEnv, err)
	}
	return nil
}

// verified reports whether the call starts a program.
func verified(args []string) bool {
	return len(args) > 0 && slices.Contains([]string{"create", "run", "start", "exec"}, args[0])
}

// verify becomes the same call, watched, if that was asked for.
func (v *verifyFlags) verify(f *flagSet, args []string) error {
	given := f.given()
	if err := v.environment(); err != nil {
		return err
	}
	if !v.on {
		for _, name := range given {
			if slices.Contains(verifyNames, name) {
				return usageError{fmt.Errorf("--%s without --verify", name)}
			}
		}
		return nil
	}
	if v.open && v.policy.Closed {
		return usageError{errors.New("--fail-open and --fail-closed")}
	}
	if !verified(args) {
		return nil
	}
	if Verify == nil {
		return errors.New("--verify: this command has no verifier")
	}
	var own []string
	for _, name := range given {
		if !slices.Contains(verifyNames, name) {
			own = append(own, "--"+name+"="+f.value(name))
		}
	}
	os.Unsetenv(VerifyEnv)
	return Verify(&Verification{Args: append(own, args...), Policy: v.policy})
}
