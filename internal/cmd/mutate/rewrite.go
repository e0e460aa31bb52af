package main

import (
	"bytes"
	"errors"
	"fmt"
	"go/ast"
	"go/build"
	"go/importer"
	"go/parser"
	"go/token"
	"go/types"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
)

// change is one change of the code.
type change struct {
	id         int
	file, line string // the file's path, and the text of the line
	function   string // "Type.method", or "var" outside of one
	number     int
	kind       string // "< is <="
}

// key is what the list of explained changes calls it: it has no number of a
// line, which any edit above it would change.
func (c *change) key() string {
	return c.file + ": " + c.function + ": " + c.kind + ": " + c.line
}

func (c *change) text() string { return fmt.Sprintf("%s:%d: %s: %s", c.file, c.number, c.kind, c.line) }

// rewriter makes the sources in which a number chooses the change.
type rewriter struct {
	fset    *token.FileSet
	info    *types.Info
	pkg     *types.Package
	changes []change

	path     string
	src      []byte
	function string
}

// rewrite writes them to tmp/src.
func rewrite(dir, tmp string, only *regexp.Regexp) ([]change, error) {
	p, err := build.ImportDir(dir, 0)
	if err != nil {
		return nil, err
	}
	r := &rewriter{fset: token.NewFileSet(), info: &types.Info{Types: map[ast.Expr]types.TypeAndValue{}}}
	var asts []*ast.File
	for _, name := range p.GoFiles {
		f, err := parser.ParseFile(r.fset, filepath.Join(dir, name), nil, parser.SkipObjectResolution)
		if err != nil {
			return nil, err
		}
		asts = append(asts, f)
	}
	conf := types.Config{Importer: importer.ForCompiler(r.fset, "gc", exports(dir))}
	if r.pkg, err = conf.Check(p.ImportPath, r.fset, asts, r.info); err != nil {
		return nil, err
	}
	src := filepath.Join(tmp, "src")
	if err := os.Mkdir(src, 0o755); err != nil {
		return nil, err
	}
	for i, name := range p.GoFiles {
		if !only.MatchString(name) || strings.HasPrefix(name, "zz_") {
			continue
		}
		r.path = filepath.Join(dir, name)
		if r.src, err = os.ReadFile(r.path); err != nil {
			return nil, err
		}
		if err := os.WriteFile(filepath.Join(src, name), []byte(r.file(asts[i])), 0o644); err != nil {
			return nil, err
		}
	}
	if len(r.changes) == 0 {
		return nil, errors.New("nothing to change")
	}
	return r.changes, os.WriteFile(filepath.Join(src, "zz_mutate.go"), []byte(fmt.Sprintf(helpers, p.Name)), 0o644)
}

// exports finds what the compiler has exported of the imports.
func exports(dir string) importer.Lookup {
	cmd := exec.Command("go", "list", "-export", "-deps", "-f", "{{.ImportPath}} {{.Export}}", "./"+filepath.Clean(dir))
	out, err := cmd.Output()
	at := map[string]string{}
	for line := range strings.Lines(string(out)) {
		if path, file, ok := strings.Cut(strings.TrimSpace(line), " "); ok {
			at[path] = file
		}
	}
	return func(path string) (io.ReadCloser, error) {
		if at[path] == "" {
			return nil, fmt.Errorf("no export data of %s: %w", path, errors.Join(err, os.ErrNotExist))
		}
		return os.Open(at[path])
	}
}

// edit replaces a part of the source by what f makes of it.
type edit struct {
	node ast.Node
	make func() string
}

func (r *rewriter) file(f *ast.File) string {
	var b strings.Builder
	at := 0
	for _, d := range f.Decls {
		if g, ok := d.(*ast.GenDecl); ok && g.Tok != token.VAR {
			continue
		}
		from, to := r.offset(d.Pos()), r.offset(d.End())
		b.Write(r.src[at:from])
		r.function = functionName(d)
		b.WriteString(r.text(d))
		at = to
	}
	b.Write(r.src[at:])
	return b.String()
}

func functionName(d ast.Decl) string {
	f, ok := d.(*ast.FuncDecl)
	if !ok {
		return "var"
	}
	if f.Recv == nil {
		return f.Name.Name
	}
	t := f.Recv.List[0].Type
	for {
		switch x := t.(type) {
		case *ast.StarExpr:
			t = x.X
			continue
		case *ast.IndexExpr:
			t = x.X
			continue
		case *ast.Ident:
			return x.Name + "." + f.Name.Name
		}
		return f.Name.Name
	}
}

func (r *rewriter) offset(p token.Pos) int { return r.fset.Position(p).Offset }

// text is the source of a node, with its changes.
func (r *rewriter) text(n ast.Node) string {
	if s, ok := r.replaced(n); ok {
		return s
	}
	return r.within(n)
}

// within is the source of a node of which only the parts may change.
func (r *rewriter) within(n ast.Node) string {
	var edits []edit
	ast.Inspect(n, func(c ast.Node) bool {
		if c == nil || c == n {
			return c == n
		}
		if r.changes1(c) {
			edits = append(edits, edit{c, func() string { s, _ := r.replaced(c); return s }})
			return false
		}
		return true
	})
	var b bytes.Buffer
	at := r.offset(n.Pos())
	for _, e := range edits {
		from, to := r.offset(e.node.Pos()), r.offset(e.node.End())
		b.Write(r.src[at:from])
		b.WriteString(e.make())
		at = to
	}
	b.Write(r.src[at:r.offset(n.End())])
	return b.String()
}

// changes1 reports whether a node is changed itself.
func (r *rewriter) changes1(n ast.Node) bool {
	switch n := n.(type) {
	case *ast.BinaryExpr:
		return r.binary(n) != ""
	case *ast.UnaryExpr:
		return n.Op == token.NOT && !r.constant(n)
	case *ast.IncDecStmt:
		return r.integer(n.X)
	case *ast.BlockStmt, *ast.CaseClause, *ast.IfStmt:
		return true
	}
	return false
}

func (r *rewriter) constant(e ast.Expr) bool { return r.info.Types[e].Value != nil }

func (r *rewriter) integer(e ast.Expr) bool {
	t := r.info.TypeOf(e)
	if t == nil {
		return false
	}
	b, ok := t.Underlying().(*types.Basic)
	return ok && b.Info()&types.IsInteger != 0 && b.Info()&types.IsUntyped == 0
}

// binary is how an expression is changed.
func (r *rewriter) binary(e *ast.BinaryExpr) string {
	if r.constant(e) {
		return ""
	}
	switch e.Op {
	case token.EQL, token.NEQ:
		return "negate"
	case token.LSS, token.LEQ, token.GTR, token.GEQ:
		return "bound"
	case token.LAND, token.LOR:
		return "logic"
	case token.SHL, token.SHR:
		if r.integer(e) {
			return "shift"
		}
	case token.ADD, token.SUB, token.MUL, token.QUO, token.REM, token.AND, token.OR, token.XOR, token.AND_NOT:
		if r.integer(e) {
			return "arithmetic"
		}
	}
	return ""
}

// instead is the operator that each is changed to.
var instead = map[token.Token]token.Token{
	token.ADD: token.SUB, token.SUB: token.ADD, token.MUL: token.QUO, token.QUO: token.MUL, token.REM: token.MUL,
	token.AND: token.OR, token.OR: token.AND, token.XOR: token.AND, token.AND_NOT: token.AND,
	token.SHL: token.SHR, token.SHR: token.SHL, token.LAND: token.LOR, token.LOR: token.LAND,
	token.LSS: token.LEQ, token.LEQ: token.LSS, token.GTR: token.GEQ, token.GEQ: token.GTR,
	token.EQL: token.NEQ, token.NEQ: token.EQL,
}

var names = map[token.Token]string{
	token.ADD: "Add", token.SUB: "Sub", token.MUL: "Mul", token.QUO: "Quo", token.REM: "Rem",
	token.AND: "And", token.OR: "Or", token.XOR: "Xor", token.AND_NOT: "AndNot", token.SHL: "Shl", token.SHR: "Shr",
	token.LAND: "Both", token.LOR: "Either",
}

// number gives a change its number.
func (r *rewriter) number(n ast.Node, kind string) int {
	p := r.fset.Position(n.Pos())
	if e, ok := n.(*ast.BinaryExpr); ok {
		p = r.fset.Position(e.OpPos)
	}
	line := strings.TrimSpace(string(bytes.SplitN(r.src, []byte("\n"), p.Line+1)[p.Line-1]))
	id := len(r.changes) + 1
	r.changes = append(r.changes, change{id, r.path, line, r.function, p.Line, kind})
	return id
}

func (r *rewriter) typeName(e ast.Expr) string {
	return types.TypeString(r.info.TypeOf(e), func(p *types.Package) string {
		if p == r.pkg {
			return ""
		}
		return p.Name()
	})
}

func (r *rewriter) replaced(n ast.Node) (string, bool) {
	if !r.changes1(n) {
		return "", false
	}
	switch n := n.(type) {
	case *ast.BinaryExpr:
		return r.expression(n), true
	case *ast.UnaryExpr:
		return fmt.Sprintf("((%s) != mutIs(%d))", r.within(n), r.number(n, "! is dropped")), true
	case *ast.IncDecStmt:
		op, is := "+=", "++ is --"
		if n.Tok == token.DEC {
			op, is = "-=", "-- is ++"
		}
		return fmt.Sprintf("%s %s mutOne[%s](%d)", r.within(n.X), op, r.typeName(n.X), r.number(n, is)), true
	case *ast.IfStmt:
		return r.condition(n), true
	case *ast.BlockStmt:
		return r.list(n, n.List), true
	case *ast.CaseClause:
		return r.list(n, n.Body), true
	}
	return "", false
}

func (r *rewriter) expression(e *ast.BinaryExpr) string {
	is := e.Op.String() + " is " + instead[e.Op].String()
	switch how := r.binary(e); how {
	case "negate":
		return fmt.Sprintf("((%s %s %s) != mutIs(%d))", r.text(e.X), e.Op, r.text(e.Y), r.number(e, is))
	case "bound":
		bound, not := r.number(e, is), r.number(e, e.Op.String()+" is its opposite")
		// The operands are written twice, but changed once.
		x, y := string(r.src[r.offset(e.X.Pos()):r.offset(e.X.End())]), string(r.src[r.offset(e.Y.Pos()):r.offset(e.Y.End())])
		s := fmt.Sprintf("%s %s %s", r.text(e.X), e.Op, r.text(e.Y))
		if e.Op == token.LSS || e.Op == token.GTR {
			s = fmt.Sprintf("%s || mutIs(%d) && (%s) == (%s)", s, bound, x, y)
		} else {
			s = fmt.Sprintf("%s && !(mutIs(%d) && (%s) == (%s))", s, bound, x, y)
		}
		return fmt.Sprintf("((%s) != mutIs(%d))", s, not)
	case "logic":
		return fmt.Sprintf("mut%s(%d, %s, func() bool { return %s })", names[e.Op], r.number(e, is), r.text(e.X), r.text(e.Y))
	case "shift":
		return fmt.Sprintf("mut%s[%s](%d, %s, %s)", names[e.Op], r.typeName(e), r.number(e, is), r.text(e.X), r.text(e.Y))
	default:
		return fmt.Sprintf("mut%s[%s](%d, %s, %s)", names[e.Op], r.typeName(e), r.number(e, is), r.text(e.X), r.text(e.Y))
	}
}

// condition changes an if whose condition is no operator.
func (r *rewriter) condition(n *ast.IfStmt) string {
	switch n.Cond.(type) {
	case *ast.Ident, *ast.CallExpr, *ast.SelectorExpr:
	default:
		return r.within(n)
	}
	head := string(r.src[r.offset(n.Pos()):r.offset(n.Cond.Pos())])
	if n.Init != nil {
		head = "if " + r.text(n.Init) + "; "
	}
	s := head + fmt.Sprintf("((%s) != mutIs(%d)) ", r.text(n.Cond), r.number(n, "the condition is its opposite")) + r.text(n.Body)
	if n.Else != nil {
		s += " else " + r.text(n.Else)
	}
	return s
}

// list changes the statements of a block: some are left out.
func (r *rewriter) list(n ast.Node, list []ast.Stmt) string {
	var b strings.Builder
	at := r.offset(n.Pos())
	if c, ok := n.(*ast.CaseClause); ok {
		for _, e := range c.List {
			b.Write(r.src[at:r.offset(e.Pos())])
			b.WriteString(r.text(e))
			at = r.offset(e.End())
		}
	}
	for _, s := range list {
		b.Write(r.src[at:r.offset(s.Pos())])
		at = r.offset(s.End())
		switch {
		case dropped(s):
			fmt.Fprintf(&b, "if !mutIs(%d) { %s }", r.number(s, "left out"), r.within(s))
		default:
			b.WriteString(r.text(s))
		}
	}
	b.Write(r.src[at:r.offset(n.End())])
	return b.String()
}

// dropped reports whether a statement can be left out.
func dropped(s ast.Stmt) bool {
	switch s := s.(type) {
	case *ast.AssignStmt:
		return s.Tok != token.DEFINE && !slices.ContainsFunc(s.Lhs, func(e ast.Expr) bool { i, ok := e.(*ast.Ident); return ok && i.Name == "_" })
	case *ast.ExprStmt:
		c, ok := s.X.(*ast.CallExpr)
		if !ok {
			return false
		}
		i, ok := c.Fun.(*ast.Ident)
		return !ok || i.Name != "panic"
	}
	return false
}
