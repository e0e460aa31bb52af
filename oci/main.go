package oci

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/user"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	specs "github.com/opencontainers/runtime-spec/specs-go"
)

// invocation is one call of the command.
type invocation struct {
	ctx    context.Context
	root   string
	log    io.Writer
	json   bool // the log
	debug  bool
	stdout io.Writer
	stderr io.Writer
	code   int // to end with, if that is not an error
}

// verb is one command.
type verb struct {
	name, line, help string
	run              func(r *invocation, f *flagSet, args []string) error
}

// verbs is a function since the list refers to functions that refer to it.
func verbs() []verb {
	return []verb{
		{"create", "create [OPTIONS] ID", "make a container and leave it parked", verbCreate},
		{"start", "start ID", "let a container go", verbStart},
		{"state", "state ID", "print the state of a container", verbState},
		{"kill", "kill [--all] ID [SIGNAL]", "send a signal, SIGTERM if none is named", verbKill},
		{"delete", "delete [--force] ID", "remove what a container has", verbDelete},
		{"run", "run [OPTIONS] ID", "create, start, wait, delete", verbRun},
		{"exec", "exec [OPTIONS] ID [COMMAND [ARGS]]", "start a further process", verbExec},
		{"ps", "ps [--format json|table] ID [PS OPTIONS]", "list the processes of a container", verbPS},
		{"list", "list [--format table|json] [--quiet]", "list containers", verbList},
		{"pause", "pause ID", "freeze a container", verbPause},
		{"resume", "resume ID", "let it go on", verbResume},
		{"update", "update [OPTIONS] ID", "change limits", verbUpdate},
		{"events", "events [--stats] [--interval D] ID", "print statistics, and when memory has run out", verbEvents},
		{"features", "features", "print what is supported, as JSON", verbFeatures},
		{"spec", "spec [--bundle DIR] [--rootless]", "write a config.json to begin with", verbSpec},
	}
}

// Main runs the command and returns its exit status: 0, 1 for an error, or for
// run and exec that of the process.
func Main(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	r := &invocation{ctx: ctx, stdout: stdout, stderr: stderr, root: defaultRoot()}
	err := r.main(args)
	switch {
	case errors.Is(err, flag.ErrHelp):
		return 0
	case err != nil:
		r.fail(err)
		return 1
	}
	return r.code
}

// defaultRoot is where state is kept: it must not outlive a boot.
func defaultRoot() string {
	if dir := os.Getenv("XDG_RUNTIME_DIR"); dir != "" && os.Geteuid() != 0 {
		return filepath.Join(dir, "holdshort")
	}
	return "/run/holdshort"
}

func (r *invocation) main(args []string) error {
	f := newFlagSet("holdshort oci")
	var logFile, logFormat, rootless, criu string
	var systemd, version, help bool
	f.text(&r.root, "root", "", "directory for the state of containers")
	f.text(&logFile, "log", "", "file for messages (default: stderr)")
	f.text(&logFormat, "log-format", "", "text or json")
	f.flag(&r.debug, "debug", "", "log more")
	f.flag(&systemd, "systemd-cgroup", "", "refused: cgroups are made directly")
	f.text(&rootless, "rootless", "", "true, false or auto: ignored, privileges are found out")
	f.text(&criu, "criu", "", "ignored: there is no checkpoint of running processes")
	var checked verifyFlags
	checked.flags(f)
	f.flag(&version, "version", "v", "print the version")
	f.flag(&help, "help", "h", "this")
	rest, err := f.parse(args, 0)
	if err != nil {
		return err
	}
	r.log = r.stderr
	switch logFormat {
	case "", "text":
	case "json":
		r.json = true
	default:
		return usageError{fmt.Errorf("--log-format: %q is neither text nor json", logFormat)}
	}
	if logFile != "" {
		file, err := os.OpenFile(logFile, os.O_CREATE|os.O_WRONLY|os.O_APPEND|os.O_SYNC, 0o644)
		if err != nil {
			return err
		}
		defer func() { r.log = r.stderr; file.Close() }()
		r.log = file
	}
	if version {
		return r.version()
	}
	if help || len(rest) == 0 || rest[0] == "help" {
		r.help(f)
		return nil
	}
	// It says in the log file what it says to the caller, who may read only one.
	err = checked.verify(f, rest)
	if err == nil {
		err = r.verb(rest, systemd)
	}
	if err != nil {
		if logFile != "" && !errors.Is(err, flag.ErrHelp) {
			r.message("error", err.Error())
		}
		return err
	}
	return nil
}

func (r *invocation) verb(args []string, systemd bool) error {
	for _, v := range verbs() {
		if v.name != args[0] {
			continue
		}
		if systemd {
			return errors.New("--systemd-cgroup: not supported: cgroups are made in the file system directly; configure the caller for the cgroupfs driver (podman: --cgroup-manager=cgroupfs)")
		}
		root, err := filepath.Abs(r.root)
		if err != nil {
			return err
		}
		r.root = root
		f := newFlagSet(v.name)
		err = v.run(r, f, args[1:])
		if errors.Is(err, flag.ErrHelp) {
			fmt.Fprintf(r.stdout, "%s\n\n%s", v.help, f.usage(v.line))
		}
		return err
	}
	return usageError{fmt.Errorf("unknown command %q", args[0])}
}

func (r *invocation) help(f *flagSet) {
	fmt.Fprintf(r.stdout, "holdshort oci is an OCI runtime: a created container is its own process, parked.\n\n%s\nCOMMANDS:\n", f.usage("[GLOBAL OPTIONS] COMMAND [OPTIONS]"))
	for _, v := range verbs() {
		fmt.Fprintf(r.stdout, "   %-28s %s\n", v.name, v.help)
	}
}

// Version is that of this program; the command sets it.
var Version = "0.0.0+dev"

// version says it as podman reads it: "NAME version X", then "spec: Y".
func (r *invocation) version() error {
	_, err := fmt.Fprintf(r.stdout, "holdshort version %s\nspec: %s\n", Version, specs.Version)
	return err
}

func (r *invocation) fail(err error) {
	r.log = r.stderr
	r.message("error", err.Error())
	if _, ok := errors.AsType[usageError](err); ok && !r.json {
		fmt.Fprintln(r.stderr, `run "holdshort oci --help" for usage`)
	}
}

func (r *invocation) warn(format string, args ...any) {
	r.message("warning", fmt.Sprintf(format, args...))
}

// message writes one line as logrus does, which callers of runc parse.
func (r *invocation) message(level, text string) {
	now := time.Now().Format(time.RFC3339)
	if r.json {
		b, err := json.Marshal(map[string]string{"level": level, "msg": text, "time": now})
		if err == nil {
			_, _ = r.log.Write(append(b, '\n'))
		}
		return
	}
	text = strings.ReplaceAll(text, "\n", "; ")
	fmt.Fprintf(r.log, "time=%s level=%s msg=%s\n", strconv.Quote(now), level, strconv.Quote(text))
}

func (r *invocation) printJSON(v any) error {
	e := json.NewEncoder(r.stdout)
	e.SetIndent("", "  ")
	return e.Encode(v)
}

// one parses what verbs with a single ID take.
func (r *invocation) one(f *flagSet, name string, args []string) (string, error) {
	rest, err := f.parse(args, -1)
	if err != nil {
		return "", err
	}
	if len(rest) != 1 {
		return "", wrongArgs(name, "one container ID")
	}
	return rest[0], nil
}

// held parses the same and locks the container, for verbs that change it.
func (r *invocation) held(f *flagSet, name string, args []string) (*container, error) {
	id, err := r.one(f, name, args)
	if err != nil {
		return nil, err
	}
	return findContainer(r.root, id, true)
}

func verbCreate(r *invocation, f *flagSet, args []string) error {
	o := &createOptions{}
	o.flags(f)
	id, err := r.one(f, "create", args)
	if err != nil {
		return err
	}
	o.id = id
	c, err := r.create(r.ctx, o)
	if err != nil {
		return err
	}
	c.close()
	return nil
}

func verbStart(r *invocation, f *flagSet, args []string) error {
	c, err := r.held(f, "start", args)
	if err != nil {
		return err
	}
	defer c.close()
	return r.start(r.ctx, c)
}

// stateOutput is what runc's state has beyond the specification.
type stateOutput struct {
	specs.State
	Rootfs  string    `json:"rootfs"`
	Created time.Time `json:"created"`
	Owner   string    `json:"owner"`
}

func (c *container) output() *stateOutput {
	return &stateOutput{State: *c.state(c.status()), Rootfs: c.Rootfs, Created: c.Created, Owner: c.owner()}
}

// owner is the name of who made it, or #UID.
func (c *container) owner() string {
	uid := strconv.Itoa(c.Owner)
	if u, err := user.LookupId(uid); err == nil {
		return u.Username
	}
	return "#" + uid
}

func verbState(r *invocation, f *flagSet, args []string) error {
	id, err := r.one(f, "state", args)
	if err != nil {
		return err
	}
	c, err := findContainer(r.root, id, false)
	if err != nil {
		return err
	}
	defer c.close()
	return r.printJSON(c.output())
}

func verbKill(r *invocation, f *flagSet, args []string) error {
	all := false
	f.flag(&all, "all", "a", "signal all processes of the container")
	rest, err := f.parse(args, -1)
	if err != nil {
		return err
	}
	if len(rest) < 1 || len(rest) > 2 {
		return wrongArgs("kill", "a container ID and at most one signal")
	}
	name := "SIGTERM"
	if len(rest) == 2 {
		name = rest[1]
	}
	sig, err := parseSignal(name)
	if err != nil {
		return err
	}
	c, err := findContainer(r.root, rest[0], false)
	if err != nil {
		return err
	}
	defer c.close()
	return c.kill(sig, all)
}

func verbDelete(r *invocation, f *flagSet, args []string) error {
	force := false
	f.flag(&force, "force", "f", "kill it if it has not stopped; no error if it does not exist")
	c, err := r.held(f, "delete", args)
	if errors.Is(err, errNoContainer) && force {
		return nil
	}
	if err != nil {
		return err
	}
	defer c.close()
	return r.delete(c, force)
}

func verbList(r *invocation, f *flagSet, args []string) error {
	format, quiet := "table", false
	f.text(&format, "format", "f", "table or json")
	f.flag(&quiet, "quiet", "q", "IDs only")
	if _, err := f.parse(args, -1); err != nil {
		return err
	}
	entries, err := os.ReadDir(r.root)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	list := []*stateOutput{}
	for _, e := range entries {
		c, err := findContainer(r.root, e.Name(), false)
		if errors.Is(err, errNoContainer) {
			continue // deleted meanwhile
		}
		if err != nil {
			r.warn("%s: %v", filepath.Join(r.root, e.Name()), err) // it may be somebody's who looks for it here
			continue
		}
		list = append(list, c.output())
		c.close()
	}
	slices.SortFunc(list, func(a, b *stateOutput) int { return strings.Compare(a.ID, b.ID) })
	switch {
	case quiet:
		for _, s := range list {
			fmt.Fprintln(r.stdout, s.ID)
		}
		return nil
	case format == "json":
		return json.NewEncoder(r.stdout).Encode(list)
	case format != "table":
		return usageError{fmt.Errorf("--format: %q is neither table nor json", format)}
	}
	return table(r.stdout, list)
}
