// Package campaign runs the cases of a model, tells findings that stay from those
// that come and go, shrinks them, and keeps results that can be merged.
package campaign
