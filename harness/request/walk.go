package request

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"reflect"
	"strconv"
	"strings"
	"sync"
)

// walker goes through a document token by token, beside the Go type that it
// will be decoded into, since encoding/json neither sees a field given twice
// nor says where an unknown one is.
type walker struct {
	dec     *json.Decoder
	strict  bool
	ignored []string
}

func (w *walker) document() error {
	t, err := w.dec.Token()
	if err != nil {
		return syntax(err)
	}
	if t != json.Delim('{') {
		return &ParseError{Err: errors.New("is no JSON object")}
	}
	if err := w.object("", reflect.TypeFor[document](), 1); err != nil {
		return err
	}
	if _, err := w.dec.Token(); !errors.Is(err, io.EOF) {
		return &ParseError{Err: fmt.Errorf("at byte %d: %w", w.dec.InputOffset(), ErrTrailing)}
	}
	return nil
}

func syntax(err error) error {
	if errors.Is(err, io.EOF) {
		err = io.ErrUnexpectedEOF
	}
	return &ParseError{Err: err}
}

// value reads one value that will go into a t; t is nil where nothing is known.
func (w *walker) value(path string, t reflect.Type, depth int) error {
	tok, err := w.dec.Token()
	if err != nil {
		return syntax(err)
	}
	switch tok := tok.(type) {
	case json.Delim:
		if depth > maxDepth {
			return &ParseError{path, ErrTooDeep}
		}
		if tok == '{' {
			return w.object(path, t, depth+1)
		}
		return w.array(path, t, depth+1)
	case string:
		if strings.Contains(tok, "\x00") {
			return &ParseError{path, ErrNULByte}
		}
	}
	return nil
}

func (w *walker) array(path string, t reflect.Type, depth int) error {
	var elem reflect.Type
	if t = indirect(t); t != nil && (t.Kind() == reflect.Slice || t.Kind() == reflect.Array) {
		elem = t.Elem()
	}
	for i := 0; w.dec.More(); i++ {
		if err := w.value(path+"["+strconv.Itoa(i)+"]", elem, depth); err != nil {
			return err
		}
	}
	_, err := w.dec.Token()
	if err != nil {
		return syntax(err)
	}
	return nil
}

func (w *walker) object(path string, t reflect.Type, depth int) error {
	t = indirect(t)
	seen := make(map[string]bool)
	for w.dec.More() {
		tok, err := w.dec.Token()
		if err != nil {
			return syntax(err)
		}
		key, _ := tok.(string)
		at := key
		if path != "" {
			at = path + "." + key
		}
		if strings.Contains(key, "\x00") {
			return &ParseError{path, ErrNULByte}
		}
		if seen[key] {
			if w.strict {
				return &ParseError{at, ErrDuplicate}
			}
			w.ignored = append(w.ignored, at)
		}
		seen[key] = true
		var sub reflect.Type
		switch {
		case t == nil:
		case t.Kind() == reflect.Map:
			sub = t.Elem()
		case t.Kind() == reflect.Struct && !custom(t):
			f, err := fieldOf(t, key)
			if err != nil {
				return &ParseError{at, err}
			}
			if f == nil {
				if w.strict {
					return &ParseError{at, ErrUnknownField}
				}
				w.ignored = append(w.ignored, at)
			}
			sub = f
		}
		if err := w.value(at, sub, depth); err != nil {
			return err
		}
	}
	if _, err := w.dec.Token(); err != nil {
		return syntax(err)
	}
	return nil
}

func indirect(t reflect.Type) reflect.Type {
	for t != nil && t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	return t
}

var unmarshaler = reflect.TypeFor[json.Unmarshaler]()

func custom(t reflect.Type) bool { return reflect.PointerTo(t).Implements(unmarshaler) }

type fields struct {
	exact  map[string]reflect.Type
	folded map[string]bool
}

var fieldCache sync.Map // reflect.Type to *fields

// fieldOf returns the type of a field, nil if there is none by that name.
// encoding/json would take a name in any case, and other decoders would not.
func fieldOf(t reflect.Type, key string) (reflect.Type, error) {
	c, ok := fieldCache.Load(t)
	if !ok {
		f := &fields{make(map[string]reflect.Type), make(map[string]bool)}
		f.add(t)
		c, _ = fieldCache.LoadOrStore(t, f)
	}
	f := c.(*fields)
	if ft := f.exact[key]; ft != nil {
		return ft, nil
	}
	if f.folded[fold(key)] {
		return nil, ErrCase
	}
	return nil, nil
}

// fold maps together what encoding/json takes for the same name: besides upper
// and lower case, two letters outside ASCII fold to one inside it.
func fold(s string) string {
	return strings.NewReplacer("\u017f", "s", "\u212a", "k").Replace(strings.ToLower(s))
}

func (f *fields) add(t reflect.Type) {
	for sf := range t.Fields() {
		name, _, _ := strings.Cut(sf.Tag.Get("json"), ",")
		if sf.Anonymous && name == "" {
			f.add(indirect(sf.Type))
			continue
		}
		if !sf.IsExported() || name == "-" {
			continue
		}
		if name == "" {
			name = sf.Name
		}
		f.exact[name] = sf.Type
		f.folded[fold(name)] = true
	}
}
