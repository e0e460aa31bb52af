package oracle

import (
	"crypto/sha256"
	"sync"

	"github.com/holdshort/holdshort/checkpoint/seccomp"
	"github.com/holdshort/holdshort/probes/posture"
)

type seccompKey [sha256.Size]byte

// seccompResults is a bounded cache: a campaign sees few pairs of policy and
// filters, each thousands of times.
type seccompResults struct {
	mu sync.Mutex
	m  map[seccompKey][]SeccompDifference
}

const seccompCacheSize = 4096

var seccompCache seccompResults

func (c *seccompResults) get(k seccompKey) ([]SeccompDifference, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	d, ok := c.m[k]
	return d, ok
}

func (c *seccompResults) put(k seccompKey, d []SeccompDifference) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.m == nil || len(c.m) >= seccompCacheSize {
		c.m = make(map[seccompKey][]SeccompDifference, 64)
	}
	c.m[k] = d
}

var keyBuffers = sync.Pool{New: func() any { b := make([]byte, 0, 16<<10); return &b }}

// seccompKeyOf hashes all that the result depends on.
func seccompKeyOf(policy *seccomp.Policy, observed []posture.Filter, o *SeccompOptions) seccompKey {
	buf := keyBuffers.Get().(*[]byte)
	b := append((*buf)[:0], o.Native...)
	b = append(b, 0)
	b = append(b, o.Dialect...)
	b = append(b, 0, keyByte(o.IgnoreUnknown), keyByte(o.NewerIsENOSYS), keyByte(policy != nil), byte(len(o.Caller)), byte(len(o.Caller)>>8))
	if policy != nil {
		d := policy.Digest()
		b = append(b, d[:]...)
	}
	for i := range o.Caller {
		b = appendFilter(b, &o.Caller[i])
	}
	for i := range observed {
		b = appendFilter(b, &observed[i])
	}
	k := seccompKey(sha256.Sum256(b))
	*buf = b
	keyBuffers.Put(buf)
	return k
}

func keyByte(b bool) byte {
	if b {
		return 1
	}
	return 0
}
