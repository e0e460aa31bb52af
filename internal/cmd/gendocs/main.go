// Command gendocs writes the documentation that is made from code: gendocs DIR.
package main

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/holdshort/holdshort/harness/reference"
	"github.com/holdshort/holdshort/suites/historic"
)

func main() {
	if len(os.Args) != 2 {
		fmt.Fprintln(os.Stderr, "usage: gendocs DIR")
		os.Exit(64)
	}
	for name, write := range map[string]func(io.Writer) error{
		"constraints.md": reference.Markdown, "checklist.md": reference.ChecklistMarkdown, "historic.md": historic.Markdown,
	} {
		var b bytes.Buffer
		err := write(&b)
		if err == nil {
			err = os.WriteFile(filepath.Join(os.Args[1], name), b.Bytes(), 0o644)
		}
		if err != nil {
			fmt.Fprintln(os.Stderr, "gendocs:", err)
			os.Exit(1)
		}
	}
}
