package words

import (
	"maps"
	"slices"
	"strconv"
	"strings"

	"mvdan.cc/sh/v3/expand"
	"mvdan.cc/sh/v3/syntax"

	"rpipe/pipeline/arith"
)

// Assign does an assignment: of a variable, an element or an array.
func (s *Shell) Assign(as *syntax.Assign) error {
	name := as.Name.Value
	if as.Array != nil {
		return s.assignArray(name, as.Array, as.Append)
	}
	value, err := s.Value(as.Value)
	if err != nil {
		return err
	}
	return s.assign(name, as.Index, nil, value, as.Append)
}

// assign gives a variable a value, or the element of a subscript: index is not
// evaluated, ref is.
func (s *Shell) assign(name string, index syntax.ArithmExpr, ref *arith.Ref, value string, add bool) error {
	name, vr := s.get(name)
	if vr.ReadOnly {
		return wrong(Line, name, "readonly variable")
	}
	vr.Set, vr.Local = true, false
	if index == nil && ref == nil && vr.Kind != expand.Indexed && vr.Kind != expand.Associative {
		if add {
			value = vr.String() + value
		}
		vr.Kind, vr.Str = expand.String, value
		return s.Vars.Set(name, vr)
	}
	if vr.Kind == expand.Associative {
		key := "0"
		if ref != nil {
			key = ref.Key
		} else if index != nil {
			var err error
			if key, err = s.key(index); err != nil {
				return err
			}
			if key == "" {
				return wrong(Line, name+"[]", "bad array subscript")
			}
		}
		setKey(&vr, key, value, add)
		return s.Vars.Set(name, vr)
	}
	n := int64(0)
	if ref != nil {
		n = ref.Index
	} else if index != nil {
		var err error
		if n, err = s.Arithmetic(index); err != nil {
			return err
		}
		_, now := s.get(name) // the subscript may have changed it
		vr.Kind, vr.Str, vr.List, vr.Indexes = now.Kind, now.Str, now.List, now.Indexes
	}
	at := n
	if n < 0 {
		if n += int64(lastIndex(vr)) + 1; n < 0 {
			return wrong(Line, name+"["+strconv.FormatInt(at, 10)+"]", "bad array subscript")
		}
	}
	toIndexed(&vr)
	setIndex(&vr, int(n), value, add)
	return s.Vars.Set(name, vr)
}

// toIndexed makes a variable an indexed array that shares nothing.
func toIndexed(vr *expand.Variable) {
	switch vr.Kind {
	case expand.Indexed:
		vr.List, vr.Indexes = slices.Clone(vr.List), slices.Clone(vr.Indexes)
	case expand.String:
		vr.List, vr.Indexes = []string{vr.Str}, nil
	default:
		vr.List, vr.Indexes = []string{}, nil
	}
	vr.Kind, vr.Str = expand.Indexed, ""
}

// setIndex sets an element of an array that shares nothing.
func setIndex(vr *expand.Variable, i int, value string, add bool) {
	if vr.Indexes == nil && i > len(vr.List) {
		vr.Indexes = make([]int, len(vr.List))
		for j := range vr.Indexes {
			vr.Indexes[j] = j
		}
	}
	at, found := i, i < len(vr.List)
	if vr.Indexes != nil {
		at, found = slices.BinarySearch(vr.Indexes, i)
	}
	switch {
	case found && add:
		vr.List[at] += value
	case found:
		vr.List[at] = value
	default:
		vr.List = slices.Insert(vr.List, at, value)
		if vr.Indexes != nil {
			vr.Indexes = slices.Insert(vr.Indexes, at, i)
		}
	}
}

// setKey sets an element of an associative array.
func setKey(vr *expand.Variable, key, value string, add bool) {
	vr.Map = maps.Clone(vr.Map)
	if vr.Map == nil {
		vr.Map = make(map[string]string)
	}
	if add {
		value = vr.Map[key] + value
	}
	vr.Map[key] = value
}

// assignArray does "name=( )" and "name+=( )".
func (s *Shell) assignArray(name string, array *syntax.ArrayExpr, add bool) error {
	name, vr := s.get(name)
	if vr.ReadOnly {
		return wrong(Line, name, "readonly variable")
	}
	next := vr
	next.Set, next.Local = true, false
	if vr.Kind == expand.Associative {
		if !add {
			next.Map = make(map[string]string)
		}
		var loose []string
		for _, e := range array.Elems {
			if e.Index == nil {
				fields, err := s.Fields(e.Value)
				if err != nil {
					return err
				}
				loose = append(loose, fields...)
				continue
			}
			key, err := s.key(e.Index)
			if err != nil {
				return err
			}
			value, err := s.Value(e.Value)
			if err != nil {
				return err
			}
			setKey(&next, key, value, false)
		}
		for i := 0; i < len(loose); i += 2 {
			value := ""
			if i+1 < len(loose) {
				value = loose[i+1]
			}
			setKey(&next, loose[i], value, false)
		}
		return s.Vars.Set(name, next)
	}
	if add {
		toIndexed(&next)
	} else {
		next.Kind, next.Str, next.List, next.Indexes = expand.Indexed, "", []string{}, nil
	}
	at := lastIndex(next) + 1
	for _, e := range array.Elems {
		if e.Index == nil {
			fields, err := s.Fields(e.Value)
			if err != nil {
				return err
			}
			for _, f := range fields {
				setIndex(&next, at, f, false)
				at++
			}
			continue
		}
		n, err := s.Arithmetic(e.Index)
		if err != nil {
			return err
		}
		if n < 0 {
			if n += int64(lastIndex(next)) + 1; n < 0 {
				return wrong(Line, name, "bad array subscript")
			}
		}
		value, err := s.Value(e.Value)
		if err != nil {
			return err
		}
		setIndex(&next, int(n), value, false)
		at = int(n) + 1
	}
	return s.Vars.Set(name, next)
}

// IsSet reports whether a variable or an element is set, as "[[ -v ]]" has it.
func (s *Shell) IsSet(word string) (bool, error) {
	doc, err := syntax.NewParser().Document(strings.NewReader("${" + word + "}"))
	if err != nil || len(doc.Parts) != 1 {
		return false, nil
	}
	pe, ok := doc.Parts[0].(*syntax.ParamExp)
	if !ok || pe.Param == nil || pe.Excl || pe.Length || pe.Exp != nil || pe.Repl != nil || pe.Slice != nil {
		return false, nil
	}
	v, err := s.lookup(pe)
	if err != nil {
		return false, err
	}
	return v.set, nil
}
