// Package request is the language in which a launch is asked for: an OCI
// config.json (runtime-spec v1.3), plus one object under the key "holdshort"
// for what OCI has no words for.
//
//	req, err := request.Parse(data, true)
//	if err != nil {
//		return err // names the field
//	}
//	if err := req.Validate(); err != nil {
//		return err // all problems, each with its field
//	}
//
// Other engines must ignore a key that they do not know, so the same file runs
// unchanged through this launcher, runc, crun or podman, and a failing case is a
// bundle that anybody can run.
//
// [Parse] checks the form (syntax, unknown and doubled fields, size), [Request.Validate]
// the meaning, as far as it can be judged without a kernel.
package request
