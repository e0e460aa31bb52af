package report

import (
	"bytes"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

func writePage(t *testing.T, d *Document) string {
	t.Helper()
	var b bytes.Buffer
	if err := d.HTML(&b); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "report.html")
	if err := os.WriteFile(path, b.Bytes(), 0o644); err != nil {
		t.Fatal(err)
	}
	return path
}

// TestPageNeedsNothingElse: nothing in it names anything outside, and its policy
// would forbid it.
func TestPageNeedsNothingElse(t *testing.T) {
	for name, text := range map[string]string{"plain": "", "hostile": hostile} {
		t.Run(name, func(t *testing.T) {
			b, err := os.ReadFile(writePage(t, sample(t, text).Document()))
			if err != nil {
				t.Fatal(err)
			}
			page := string(b)
			if !strings.Contains(page, `http-equiv="Content-Security-Policy" content="default-src &#39;none&#39;; base-uri &#39;none&#39;; form-action &#39;none&#39;; style-src &#39;sha256-`) {
				t.Error("no policy")
			}
			if m := regexp.MustCompile(`(?i)<(link|img|iframe|object|embed|base|form|audio|video|source)\b|\b(src|action|srcset)=|url\(|@import|\bon[a-z]+=["']|\bstyle=|https?:`).FindString(cleanOf(page)); m != "" {
				t.Errorf("%q in the page", m)
			}
			if strings.Contains(page, "<img src=x") || strings.Contains(page, "\x1b") {
				t.Error("a result's text became markup")
			}
		})
	}
}

// cleanOf is the page without the texts that came from results.
func cleanOf(page string) string {
	return strings.NewReplacer("onerror=alert(1)", "", "src=x", "", `"$schema"`, "").Replace(page)
}

// looks at how far it is from being readable, in a script.
const (
	overflow = `document.documentElement.scrollWidth - document.documentElement.clientWidth`
	small    = `[...document.querySelectorAll('button,summary,input')].filter(e => e.offsetParent && e.getBoundingClientRect().height < 24).map(e => e.outerHTML.slice(0, 80))`
	contrast = `(() => {
	const rgb = s => (s.match(/[\d.]+/g) || []).map(Number);
	const lum = c => { const f = c.slice(0, 3).map(v => { v /= 255; return v <= .03928 ? v / 12.92 : ((v + .055) / 1.055) ** 2.4; }); return .2126 * f[0] + .7152 * f[1] + .0722 * f[2]; };
	const bad = [];
	for (const e of document.querySelectorAll('body *')) {
		if (!e.offsetParent || e.closest('svg,script') || ![...e.childNodes].some(n => n.nodeType === 3 && n.data.trim())) continue;
		let back = [255, 255, 255];
		for (let p = e; p; p = p.parentElement) { const c = rgb(getComputedStyle(p).backgroundColor); if (c.length === 3 || c[3] > 0) { back = c; break; } }
		const a = lum(rgb(getComputedStyle(e).color)), b = lum(back);
		const r = (Math.max(a, b) + .05) / (Math.min(a, b) + .05);
		if (r < 4.5) bad.push(r.toFixed(2) + ' ' + e.outerHTML.slice(0, 80));
	}
	return bad;
})()`
)

// TestPageInABrowser looks at it as people do, on a phone and on a desk, in the
// light and in the dark. HOLDSHORT_REPORT_DIR keeps the pictures.
func TestPageInABrowser(t *testing.T) {
	b := openBrowser(t)
	documents := map[string]*Document{
		"sample": sample(t, "").Document(), "hostile": sample(t, hostile).Document(), "empty": (&Set{}).Document(),
	}
	dir := os.Getenv("HOLDSHORT_REPORT_DIR")
	if dir != "" {
		s := &Set{}
		if err := s.ReadFile(filepath.Join(dir, "results.jsonl")); err == nil {
			documents["real"] = s.Document()
		}
	}
	for name, d := range documents {
		path := writePage(t, d)
		for _, screen := range []struct {
			name          string
			width, height int
			dark          bool
		}{{"phone", 360, 740, false}, {"phone-dark", 360, 740, true}, {"desk", 1280, 900, false}, {"desk-dark", 1280, 900, true}} {
			t.Run(name+"/"+screen.name, func(t *testing.T) {
				b.t = t
				b.requests, b.complaints = nil, nil
				b.open(path, screen.width, screen.height, screen.dark)
				var wide float64
				if b.eval(overflow, &wide); wide > 0 {
					t.Errorf("%v pixels wider than the screen", wide)
				}
				for what, script := range map[string]string{"too small to touch": small, "hard to read": contrast} {
					var list []string
					if b.eval(script, &list); len(list) > 0 {
						t.Errorf("%s: %s", what, strings.Join(list, "\n"))
					}
				}
				if list := b.unnamed(); name != "empty" && len(list) > 0 {
					t.Errorf("without a name: %s", list)
				}
				if dir != "" {
					if err := os.WriteFile(filepath.Join(dir, name+"-"+screen.name+".png"), b.screenshot(), 0o644); err != nil {
						t.Fatal(err)
					}
				}
				if len(b.complaints) > 0 {
					t.Errorf("the console has %s", b.complaints)
				}
				if len(b.requests) != 1 || b.requests[0] != "file://"+path {
					t.Errorf("it asked for %s", b.requests)
				}
			})
		}
	}
	b.t = t
}

// TestPageByKeyboard: everything can be reached and worked without a mouse.
func TestPageByKeyboard(t *testing.T) {
	b := openBrowser(t)
	b.open(writePage(t, sample(t, "").Document()), 1280, 900, false)
	reached := map[string]bool{}
	var all []string
	b.eval(`[...document.querySelectorAll('a,button,summary,input,[tabindex="0"]')].filter(e => e.getClientRects().length && (e.checkVisibility ? e.checkVisibility() : true)).map(e => e.tagName.toLowerCase() + (e.id || ''))`, &all)
	said := ""
	for range 2 * len(all) {
		b.key("Tab")
		var at string
		b.eval(`(e => e.tagName.toLowerCase() + (e.id || ''))(document.activeElement)`, &at)
		reached[at] = true
		if at == "svg" && said == "" {
			b.key("ArrowDown")
			b.key("ArrowRight")
			b.eval(`document.querySelector('[data-heat] output').textContent`, &said)
		}
	}
	for _, want := range all {
		if !reached[want] {
			t.Errorf("%s is not reached by Tab", want)
		}
	}
	if !strings.Contains(said, "parameter 2 × parameter 1") {
		t.Errorf("the heat map says %q", said)
	}
	var shown []string
	b.eval(`(() => { const f = document.getElementById('find'); f.value = 'UMASK ignored'; f.dispatchEvent(new Event('input'));
		return [...document.querySelectorAll('#findings article')].filter(e => e.checkVisibility()).map(e => e.querySelector('h4').textContent); })()`, &shown)
	if strings.Join(shown, ",") != "ignored" {
		t.Errorf("shown after a search: %q", shown)
	}
	if len(b.complaints) > 0 {
		t.Errorf("the console has %s", b.complaints)
	}
}
