// A module of its own, as any project might have it. It needs nothing of
// holdshort but the command.
module example.org/vmtest

go 1.26.0
