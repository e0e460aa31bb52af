package report

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"
)

// browser is a headless Chromium, spoken to in its DevTools protocol over a
// pair of pipes, so that no port is opened.
type browser struct {
	t       *testing.T
	to      *os.File
	replies chan reply
	next    int
	session string
	// What the page did of its own accord.
	requests, complaints []string
	loaded               int
}

type reply struct {
	ID     int
	Method string
	Params json.RawMessage
	Result json.RawMessage
	Error  *struct{ Message string }
}

func openBrowser(t *testing.T) *browser {
	t.Helper()
	path, err := exec.LookPath("chromium")
	if err != nil {
		t.Skip("needs chromium: scripts/deps.sh report")
	}
	theirIn, to, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	from, theirOut, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	cmd := exec.CommandContext(ctx, path, "--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run",
		"--disable-background-networking", "--disable-component-update", "--disable-sync", "--remote-debugging-pipe", "--user-data-dir="+t.TempDir(), "about:blank")
	cmd.ExtraFiles = []*os.File{theirIn, theirOut} // its descriptors 3 and 4
	cmd.WaitDelay = 10 * time.Second
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	theirIn.Close()
	theirOut.Close()
	b := &browser{t: t, to: to, replies: make(chan reply, 1000)}
	go func() {
		defer close(b.replies)
		in := bufio.NewReaderSize(from, 1<<20)
		for {
			text, err := in.ReadBytes(0)
			if err != nil {
				return
			}
			var r reply
			if json.Unmarshal(text[:len(text)-1], &r) == nil {
				b.replies <- r
			}
		}
	}()
	t.Cleanup(func() {
		_, _ = b.to.WriteString(`{"id":99999,"method":"Browser.close"}` + "\x00")
		ended := make(chan struct{})
		go func() { _ = cmd.Wait(); close(ended) }()
		select {
		case <-ended:
		case <-time.After(20 * time.Second):
		}
		cancel()
		<-ended
		to.Close()
		from.Close()
	})
	var target struct{ TargetID string }
	b.call("Target.createTarget", map[string]any{"url": "about:blank"}, &target)
	var attached struct{ SessionID string }
	b.call("Target.attachToTarget", map[string]any{"targetId": target.TargetID, "flatten": true}, &attached)
	b.session = attached.SessionID
	for _, domain := range []string{"Page", "Runtime", "Log", "Network"} {
		b.call(domain+".enable", nil, nil)
	}
	return b
}

func (b *browser) call(method string, params, result any) {
	b.t.Helper()
	b.next++
	m := map[string]any{"id": b.next, "method": method}
	if params != nil {
		m["params"] = params
	}
	if b.session != "" {
		m["sessionId"] = b.session
	}
	text, err := json.Marshal(m)
	if err == nil {
		_, err = b.to.Write(append(text, 0))
	}
	if err != nil {
		b.t.Fatal(err)
	}
	b.until(func(r reply) bool {
		if r.ID != b.next {
			return false
		}
		if r.Error != nil {
			b.t.Fatalf("%s: %s", method, r.Error.Message)
		}
		if result != nil {
			if err := json.Unmarshal(r.Result, result); err != nil {
				b.t.Fatalf("%s: %v", method, err)
			}
		}
		return true
	})
}

// until takes in what comes until one is it.
func (b *browser) until(it func(reply) bool) {
	b.t.Helper()
	limit := time.After(2 * time.Minute)
	for {
		select {
		case r, open := <-b.replies:
			if !open {
				b.t.Fatal("chromium has ended")
			}
			b.note(r)
			if it(r) {
				return
			}
		case <-limit:
			b.t.Fatal("chromium does not answer")
		}
	}
}

func (b *browser) note(r reply) {
	switch r.Method {
	case "Network.requestWillBeSent":
		var p struct{ Request struct{ URL string } }
		_ = json.Unmarshal(r.Params, &p)
		b.requests = append(b.requests, p.Request.URL)
	case "Log.entryAdded", "Runtime.exceptionThrown", "Runtime.consoleAPICalled", "Page.javascriptDialogOpening":
		b.complaints = append(b.complaints, fmt.Sprintf("%s: %.600s", r.Method, r.Params))
	case "Page.loadEventFired":
		b.loaded++
	}
}

// open shows a file on a screen.
func (b *browser) open(path string, width, height int, dark bool) {
	b.t.Helper()
	scheme := "light"
	if dark {
		scheme = "dark"
	}
	b.call("Emulation.setDeviceMetricsOverride", map[string]any{"width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 600}, nil)
	b.call("Emulation.setEmulatedMedia", map[string]any{"features": []any{map[string]any{"name": "prefers-color-scheme", "value": scheme}}}, nil)
	was := b.loaded
	b.call("Page.navigate", map[string]any{"url": "file://" + path}, nil)
	if b.loaded == was {
		b.until(func(reply) bool { return b.loaded > was })
	}
}

// eval runs a script in the page and reads its value.
func (b *browser) eval(script string, result any) {
	b.t.Helper()
	var r struct {
		Result           struct{ Value json.RawMessage }
		ExceptionDetails *struct{ Exception struct{ Description string } }
	}
	b.call("Runtime.evaluate", map[string]any{"expression": script, "returnByValue": true, "awaitPromise": true}, &r)
	if r.ExceptionDetails != nil {
		b.t.Fatalf("%s: %s", script, r.ExceptionDetails.Exception.Description)
	}
	if result != nil {
		if err := json.Unmarshal(r.Result.Value, result); err != nil {
			b.t.Fatal(errors.Join(err, errors.New(string(r.Result.Value))))
		}
	}
}

// key presses one.
func (b *browser) key(name string) {
	b.t.Helper()
	code := map[string]int{"Tab": 9, "Enter": 13, "ArrowUp": 38, "ArrowDown": 40, "ArrowRight": 39, "ArrowLeft": 37}[name]
	p := map[string]any{"type": "keyDown", "key": name, "code": name, "windowsVirtualKeyCode": code}
	if name == "Enter" {
		p["text"] = "\r"
	}
	b.call("Input.dispatchKeyEvent", p, nil)
	p["type"] = "keyUp"
	b.call("Input.dispatchKeyEvent", p, nil)
}

// screenshot is the whole page as PNG.
func (b *browser) screenshot() []byte {
	b.t.Helper()
	var r struct{ Data []byte }
	b.call("Page.captureScreenshot", map[string]any{"format": "png", "captureBeyondViewport": true}, &r)
	return r.Data
}

// unnamed lists what a screen reader would come to without being told what it is.
func (b *browser) unnamed() []string {
	b.t.Helper()
	var tree struct {
		Nodes []struct {
			Ignored bool
			Role    struct{ Value string }
			Name    struct{ Value string }
		}
	}
	b.call("Accessibility.getFullAXTree", nil, &tree)
	var out []string
	n := map[string]int{}
	for _, x := range tree.Nodes {
		if x.Ignored {
			continue
		}
		n[x.Role.Value]++
		switch x.Role.Value {
		case "link", "button", "img", "image", "region", "searchbox", "heading", "article", "columnheader", "rowheader", "DisclosureTriangle", "navigation", "graphics-document":
			if strings.TrimSpace(x.Name.Value) == "" {
				out = append(out, x.Role.Value)
			}
		}
	}
	if n["main"] != 1 || n["heading"] < 3 || n["navigation"] != 1 {
		out = append(out, fmt.Sprintf("roles: %v", n))
	}
	return out
}
