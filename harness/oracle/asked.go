package oracle

import "github.com/holdshort/holdshort/harness/request"

// Asked lists what a request asks for that no posture can show, so that a
// harness can look for it while the workload is held.
func Asked(req *request.Request) []Beyond { return beyond(req) }
