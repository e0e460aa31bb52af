// Package seccomp compiles seccomp policies, as OCI bundles write them, to the
// filter programs of seccomp(2), and checks a program against calls that are
// still to be made under it.
//
//	var policy seccomp.Policy
//	err := json.Unmarshal(config.Linux.Seccomp, &policy) // "linux.seccomp" of config.json
//	prog, err := policy.Compile(seccomp.Options{})
//	if err != nil {
//		return err // names the rule, and the nearest name for a misspelt call
//	}
//	err = seccomp.Preflight(prog, []seccomp.Call{{Stage: "execve", Name: "execve"}})
//	// prog.Instructions and prog.Flags go to seccomp(SECCOMP_SET_MODE_FILTER).
//
// # What a policy means
//
// A call is looked at in this order:
//
//  1. Its ABI. A call of an ABI that Architectures does not list is killed
//     (kill_process). ABIs, not architectures: x32 has the audit architecture
//     of x86_64 and is told apart by bit 30 of the number, so a policy for
//     x86_64 alone kills all numbers of 0x40000000 and above, negative ones too.
//     No architectures means the machine's own.
//  2. The rules, in the order of Syscalls. The first that lists the call's name
//     and whose conditions hold decides.
//  3. Otherwise DefaultAction.
//
// All conditions of a rule must hold, on arguments of 64 bits, unsigned. A rule
// that has two conditions on one argument is, as in runc and crun, one rule for
// each of its conditions.
//
// On x86 and ppc64le, socket calls and System V IPC can also be made through
// socketcall(2) and ipc(2); a rule for "bind" or "msgget" covers that way too. The
// multiplexers hide arguments from filters, so a rule with conditions is
// applied there without them if it is at least as strong as the default action,
// and not applied if it is weaker: it fails closed.
//
// # What libseccomp does
//
// runc and crun compile through libseccomp, which is not always first-match
// (measured with 2.5.4): a rule without conditions beats rules with conditions
// whatever the order; rules that repeat the default action are dropped by the
// engines; two rules with the same conditions and different actions are an
// error; where conditions of different actions overlap, its own tree order
// decides; on 32-bit ABIs and x32 only the low half of arguments is compared;
// a closed ABI gets kill_thread; masked values are cut to their mask, and a
// condition with a mask of zero is dropped. The
// dialect [Libseccomp] has those meanings, to judge engines without false
// alarms. Policies that mean the same in both dialects are the ones to write.
package seccomp

//go:generate go run ./internal/gentables -o zz_table.go
