package pipeline

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"mvdan.cc/sh/v3/expand"
	"mvdan.cc/sh/v3/syntax"
)

// elements are those of an array to which values are assigned.
type elements struct {
	config *expand.Config
	value  func(before, written string, appended bool) string // by the attributes of the array

	indexed map[int]string
}

// take takes over the elements of a variable.
func (e *elements) take(v *expand.Variable) {
	e.indexed = make(map[int]string)
	switch {
	case v.Kind == expand.Indexed:
		for i, s := range v.List {
			if v.Indexes != nil {
				i = v.Indexes[i]
			}
			e.indexed[i] = s
		}
	case v.Set:
		e.indexed[0] = v.Str
	}
}

// put makes the elements those of a variable.
func (e *elements) put(v *expand.Variable) {
	v.Kind, v.Set, v.Str, v.Map = expand.Indexed, true, "", nil
	v.List, v.Indexes = []string{}, nil
	indexes := slices.Sorted(maps.Keys(e.indexed))
	for _, i := range indexes {
		v.List = append(v.List, e.indexed[i])
	}
	if n := len(indexes); n > 0 && indexes[n-1] != n-1 {
		v.Indexes = indexes
	}
}

func (e *elements) set(i int, value string, appended bool) {
	e.indexed[i] = e.value(e.indexed[i], value, appended)
}

// at sets the element with a subscript that is written.
func (e *elements) at(index, value string, appended bool) error {
	expr, err := syntax.NewParser().Arithmetic(strings.NewReader(index))
	if err != nil || expr == nil {
		return fmt.Errorf("%s: bad array subscript", index)
	}
	i, err := e.number(expr)
	if err != nil {
		return err
	}
	e.set(i, value, appended)
	return nil
}

// number returns the index that a subscript stands for.
func (e *elements) number(index syntax.ArithmExpr) (int, error) {
	i, err := expand.Arithm(e.config, index)
	if err != nil {
		return 0, err
	}
	if i < 0 {
		last := -1
		for k := range e.indexed {
			last = max(last, k)
		}
		if i += last + 1; i < 0 {
			return 0, fmt.Errorf("bad array subscript")
		}
	}
	return i, nil
}

// assign gives a variable the elements that are written in parentheses.
func (e *elements) assign(v *expand.Variable, o operand) error {
	if v.Kind == expand.Associative {
		return e.associate(v, o)
	}
	if o.appended {
		e.take(v)
	} else {
		e.indexed = make(map[int]string)
	}
	next := 0
	for i := range e.indexed {
		next = max(next, i+1)
	}
	for _, elem := range o.array.Elems {
		if elem.Index == nil {
			fields, err := expand.Fields(e.config, elem.Value)
			if err != nil {
				return err
			}
			for _, f := range fields {
				e.indexed[next] = e.value("", f, false)
				next++
			}
			continue
		}
		i, err := e.number(elem.Index)
		if err != nil {
			return err
		}
		value, err := literalOf(e.config, elem.Value)
		if err != nil {
			return err
		}
		e.indexed[i] = e.value("", value, false)
		next = i + 1
	}
	e.put(v)
	return nil
}

// associate is assign for an associative array: [key]=value, or keys and values by
// turns.
func (e *elements) associate(v *expand.Variable, o operand) error {
	values := make(map[string]string)
	if o.appended {
		values = cloneMap(v.Map)
	}
	var key *string
	for _, elem := range o.array.Elems {
		if elem.Index != nil {
			w, is := elem.Index.(*syntax.Word)
			k := ""
			var err error
			if is {
				k, err = expand.Literal(e.config, w)
			} else {
				k = subscript(elem.Index)
			}
			if err != nil {
				return err
			}
			value, err := literalOf(e.config, elem.Value)
			if err != nil {
				return err
			}
			values[k] = e.value("", value, false)
			continue
		}
		word, err := literalOf(e.config, elem.Value)
		if err != nil {
			return err
		}
		if key == nil {
			key = &word
			continue
		}
		values[*key] = e.value("", word, false)
		key = nil
	}
	if key != nil {
		values[*key] = ""
	}
	v.Kind, v.Set, v.Map, v.Str, v.List, v.Indexes = expand.Associative, true, values, "", nil, nil
	return nil
}

func literalOf(config *expand.Config, w *syntax.Word) (string, error) {
	if w == nil {
		return "", nil
	}
	return expand.Literal(config, w)
}

func cloneMap(m map[string]string) map[string]string {
	c := make(map[string]string, len(m)+1)
	maps.Copy(c, m)
	return c
}

// unquotedSubscript returns the key that the subscript of an associative array is.
func unquotedSubscript(index string) string {
	key := ""
	for w, err := range syntax.NewParser().WordsSeq(strings.NewReader(index)) {
		if err != nil {
			return index
		}
		key, _ = expand.Literal(&expand.Config{Env: expand.ListEnviron()}, w)
		break
	}
	if key == "" {
		return index
	}
	return key
}
