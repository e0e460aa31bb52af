package engine

import "github.com/holdshort/holdshort/checkpoint"

func (t *translator) enter() {
	e := t.req.Ext.Enter
	if e == nil {
		return
	}
	out := &checkpoint.Enter{PID: e.PID, StopTarget: e.StopTarget}
	if e.Namespaces != nil {
		out.Namespaces = []checkpoint.NamespaceKind{}
	}
	for _, n := range e.Namespaces {
		out.Namespaces = append(out.Namespaces, nsKinds[n])
	}
	for _, s := range e.Skip {
		out.Skip = append(out.Skip, checkpoint.Aspect(s))
	}
	t.cfg.Enter = out
}
