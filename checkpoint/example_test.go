package checkpoint_test

import (
	"context"
	"fmt"
	"io"
	"log"
	"net/netip"
	"os"

	"github.com/holdshort/holdshort/checkpoint"
)

// The first launch: a program is brought to the checkpoint, looked at, and let
// go.
func Example() {
	ctx := context.Background()
	l, err := checkpoint.New(ctx)
	if err != nil {
		log.Fatal(err)
	}
	defer l.Close()

	w, err := l.Spawn(ctx, &checkpoint.Config{Args: []string{"/bin/sh", "-c", "exit 7"}}, nil)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(w.Info().State)
	if err := w.Proceed(ctx); err != nil {
		log.Fatal(err)
	}
	res, err := w.Wait(ctx)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(res)
	// Output:
	// parked
	// exited with status 7
}

// Constraints can be added as long as the workload is parked.
func ExampleWorkload_Apply() {
	ctx := context.Background()
	l, err := checkpoint.New(ctx)
	if err != nil {
		log.Fatal(err)
	}
	defer l.Close()

	w, err := l.Spawn(ctx, &checkpoint.Config{
		Args: []string{"/bin/sh", "-c", "ulimit -n; umask"},
	}, &checkpoint.Options{Stdout: os.Stdout})
	if err != nil {
		log.Fatal(err)
	}
	err = w.Apply(ctx, &checkpoint.Config{
		Rlimits:    []checkpoint.Rlimit{{Resource: "RLIMIT_NOFILE", Soft: 64, Hard: 64}},
		Umask:      checkpoint.Some[uint32](0o077),
		NoNewPrivs: true,
	})
	if err != nil {
		log.Fatal(err)
	}
	if err := w.Proceed(ctx); err != nil {
		log.Fatal(err)
	}
	if _, err := w.Wait(ctx); err != nil {
		log.Fatal(err)
	}
	// Output:
	// 64
	// 0077
}

// A veth pair whose inner end is there, addressed and up before the program
// runs. Needs root, so it is compiled but not run by go test.
func ExampleLauncher_Start_link() {
	ctx := context.Background()
	l, err := checkpoint.New(ctx)
	if err != nil {
		log.Fatal(err)
	}
	defer l.Close()

	w, err := l.Start(ctx, &checkpoint.Config{
		Args:       []string{"/sbin/ip", "-br", "addr"},
		Namespaces: []checkpoint.Namespace{{Kind: checkpoint.Net}},
		Network: checkpoint.Network{
			LoopbackUp: true,
			Links: []checkpoint.Link{{
				Kind: checkpoint.Veth, Name: "eth0", Host: "box0",
				Addresses:     []netip.Prefix{netip.MustParsePrefix("10.9.0.2/24")},
				HostAddresses: []netip.Prefix{netip.MustParsePrefix("10.9.0.1/24")},
			}},
			Routes: []checkpoint.Route{{Gateway: netip.MustParseAddr("10.9.0.1")}},
		},
	}, &checkpoint.Options{Stdout: os.Stdout})
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(w.Wait(ctx))
}

// A workload on a terminal of its own.
func ExampleOpenPTY() {
	ctx := context.Background()
	l, err := checkpoint.New(ctx)
	if err != nil {
		log.Fatal(err)
	}
	defer l.Close()

	master, slave, err := checkpoint.OpenPTY(24, 80)
	if err != nil {
		log.Fatal(err)
	}
	defer master.Close()
	w, err := l.Start(ctx, &checkpoint.Config{Args: []string{"/bin/sh", "-c", "stty size"}, Env: []string{"PATH=/usr/bin:/bin"}},
		&checkpoint.Options{Stdin: slave, Stdout: slave, Stderr: slave, Terminal: true})
	slave.Close()
	if err != nil {
		log.Fatal(err)
	}
	out, _ := io.ReadAll(master) // a master ends with EIO once no slave is open
	fmt.Printf("%q\n", out)
	if _, err := w.Wait(ctx); err != nil {
		log.Fatal(err)
	}
	// Output:
	// "24 80\r\n"
}

// Without root: a user namespace in which one's own id is 0.
func ExampleLauncher_Run_rootless() {
	ctx := context.Background()
	l, err := checkpoint.New(ctx)
	if err != nil {
		log.Fatal(err)
	}
	defer l.Close()

	res, err := l.Run(ctx, &checkpoint.Config{
		Args:          []string{"/bin/sh", "-c", "test $(id -u) = 0"},
		Env:           []string{"PATH=/usr/bin:/bin"},
		Namespaces:    []checkpoint.Namespace{{Kind: checkpoint.User}, {Kind: checkpoint.Net}},
		UIDMap:        []checkpoint.IDMap{{Inside: 0, Outside: uint32(os.Getuid()), Count: 1}},
		GIDMap:        []checkpoint.IDMap{{Inside: 0, Outside: uint32(os.Getgid()), Count: 1}},
		DenySetgroups: true,
	}, nil)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(res)
	// Output: exited with status 0
}
