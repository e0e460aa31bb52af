// Package engine has what starts confined processes: this project's own
// launcher ("native"), and others that are driven from outside.
//
// An engine turns a [request.Request] into its own terms. It either honours a
// field or refuses it by name; nothing is dropped silently, since a constraint
// that was asked for and left out looks exactly like one that holds.
package engine
