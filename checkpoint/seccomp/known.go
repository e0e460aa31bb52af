package seccomp

// Known are the words that a [Policy] may have, as the runtime-spec spells them.
func Known() (actions []Action, operators []Operator, flags []Flag, archs []Arch) {
	return []Action{ActKill, ActKillProcess, ActKillThread, ActTrap, ActErrno, ActTrace, ActAllow, ActLog, ActNotify},
		[]Operator{OpNotEqual, OpLess, OpLessEqual, OpEqual, OpGreaterEqual, OpGreater, OpMaskedEqual},
		[]Flag{FlagTSync, FlagLog, FlagSpecAllow, FlagNewListener, FlagTSyncESRCH, FlagWaitKillable},
		[]Arch{ArchX86_64, ArchX86, ArchX32, ArchAARCH64, ArchARM, ArchRISCV64, ArchPPC64LE}
}
