package pipeline

import (
	"reflect"

	"mvdan.cc/sh/v3/syntax"
)

// positionShift is added at least to the offset of every position in a copied tree.
// What the interpreter itself reads while a script runs has small offsets, so no
// command of it can be taken for one of a prepared text; lines and columns stay.
const positionShift = 1 << 31

// maxOffset bounds the offsets of positions.
const maxOffset = 1<<32 - 1<<10

var (
	positionType = reflect.TypeFor[syntax.Pos]()
	stmtType     = reflect.TypeFor[*syntax.Stmt]()
)

// cloner copies syntax trees. It remembers where every statement went.
type cloner struct {
	stmts map[*syntax.Stmt]*syntax.Stmt
	shift uint // of offsets
}

// file returns a copy of f that shares nothing with it that can be changed.
func (c *cloner) file(f *syntax.File) *syntax.File {
	c.stmts = make(map[*syntax.Stmt]*syntax.Stmt)
	return c.value(reflect.ValueOf(f)).Interface().(*syntax.File)
}

func (c *cloner) value(v reflect.Value) reflect.Value {
	switch v.Kind() {
	case reflect.Pointer:
		if v.IsNil() {
			return v
		}
		n := reflect.New(v.Type().Elem())
		n.Elem().Set(c.value(v.Elem()))
		if v.Type() == stmtType {
			c.stmts[v.Interface().(*syntax.Stmt)] = n.Interface().(*syntax.Stmt)
		}
		return n
	case reflect.Interface:
		if v.IsNil() {
			return v
		}
		n := reflect.New(v.Type()).Elem()
		n.Set(c.value(v.Elem()))
		return n
	case reflect.Slice:
		if v.IsNil() {
			return v
		}
		n := reflect.MakeSlice(v.Type(), v.Len(), v.Len())
		for i := range v.Len() {
			n.Index(i).Set(c.value(v.Index(i)))
		}
		return n
	case reflect.Struct:
		if v.Type() == positionType {
			return reflect.ValueOf(c.shifted(v.Interface().(syntax.Pos)))
		}
		n := reflect.New(v.Type()).Elem()
		n.Set(v)
		for i := range v.NumField() {
			if v.Type().Field(i).IsExported() {
				n.Field(i).Set(c.value(v.Field(i)))
			}
		}
		return n
	default:
		return v
	}
}

// shifted returns the position that p has in a copied tree.
func (c *cloner) shifted(p syntax.Pos) syntax.Pos {
	if !p.IsValid() {
		return p
	}
	return syntax.NewPos(p.Offset()+c.shift, p.Line(), p.Col())
}
