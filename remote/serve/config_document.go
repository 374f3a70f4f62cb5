package serve

import (
	"errors"
	"fmt"
	"strings"

	"github.com/pelletier/go-toml/v2"
	"github.com/pelletier/go-toml/v2/unstable"
)

// A tomlNode is a value of a TOML document with its place. The decoder of go-toml
// matches keys in any case, stops at the first wrong type and gives no place for
// a doubled key, so the tree is built from its parser instead.
type tomlNode struct {
	offset int           // of the value, or of its key where the parser gives the value none
	kind   unstable.Kind // String, Integer, ..., Array, InlineTable; every table is a Table
	text   string        // of a scalar: strings are unquoted, others as written
	items  []*tomlNode   // of an Array
	fields []*tomlField  // of a Table, in order of appearance
	header bool          // a Table that has had a [header] of its own
}

// A tomlField is one key of a table.
type tomlField struct {
	name   string
	offset int
	value  *tomlNode
}

func (n *tomlNode) field(name string) *tomlField {
	for _, f := range n.fields {
		if f.name == name {
			return f
		}
	}
	return nil
}

// kindName is what a message calls the value.
func (n *tomlNode) kindName() string {
	switch n.kind {
	case unstable.Table, unstable.InlineTable:
		return "a table"
	case unstable.Array:
		return "a list"
	case unstable.ArrayTable:
		return "a list of tables"
	case unstable.String:
		return "a string"
	case unstable.Integer:
		return "an integer"
	case unstable.Float:
		return "a number with a fraction"
	case unstable.Bool:
		return "a boolean"
	}
	return "a date or time"
}

// A tomlDocument builds the tree of one document.
type tomlDocument struct {
	name string
	src  []byte
	errs ConfigErrors
}

func (d *tomlDocument) errorAt(offset int, format string, args ...any) {
	d.errs = append(d.errs, configErrorAt(d.name, d.src, offset, fmt.Sprintf(format, args...)))
}

// parse returns the root table. It stops at the first error of syntax; doubled keys
// are all found. With any error the tree is not fit to be decoded.
func (d *tomlDocument) parse() *tomlNode {
	root := &tomlNode{kind: unstable.Table}
	current := root
	var p unstable.Parser
	p.Reset(d.src)
	for p.NextExpression() {
		switch e := p.Expression(); e.Kind {
		case unstable.Table:
			current = d.header(root, e)
		case unstable.ArrayTable:
			current = d.element(root, e)
		case unstable.KeyValue:
			d.keyValue(current, e)
		}
	}
	if err := p.Error(); err != nil {
		d.syntaxError(&p, err)
	}
	d.verify()
	return root
}

// syntaxError reports what the parser stopped at.
func (d *tomlDocument) syntaxError(p *unstable.Parser, err error) {
	var at *unstable.ParserError
	if !errors.As(err, &at) {
		d.errorAt(0, "not valid TOML: %v", err)
		return
	}
	d.errorAt(int(p.Range(at.Highlight).Offset), "not valid TOML: %s", at.Message)
}

// verify asks the library's own decoder, which holds every rule of TOML. It has
// the last word where the tree found nothing wrong.
func (d *tomlDocument) verify() {
	var all map[string]any
	err := toml.Unmarshal(d.src, &all)
	if err == nil || len(d.errs) > 0 {
		return
	}
	e := configErrorAt(d.name, d.src, 0, "not valid TOML: "+strings.TrimPrefix(err.Error(), "toml: "))
	var at *toml.DecodeError
	if errors.As(err, &at) {
		line, column := at.Position()
		offset := 0
		for ; line > 1; line-- {
			offset += strings.IndexByte(string(d.src[offset:]), '\n') + 1
		}
		e = configErrorAt(d.name, d.src, offset+column-1, e.Message)
	}
	d.errs = append(d.errs, e)
}

// header enters the table of a [header].
func (d *tomlDocument) header(root *tomlNode, e *unstable.Node) *tomlNode {
	parent, last := d.descend(root, e.Key())
	if f := parent.field(last.name); f != nil {
		if f.value.kind != unstable.Table || f.value.header {
			d.doubled(last, f)
			return &tomlNode{kind: unstable.Table}
		}
		f.value.header = true
		return f.value
	}
	last.value = &tomlNode{kind: unstable.Table, offset: last.offset, header: true}
	parent.fields = append(parent.fields, last)
	return last.value
}

// element enters a new table of an [[array of tables]].
func (d *tomlDocument) element(root *tomlNode, e *unstable.Node) *tomlNode {
	parent, last := d.descend(root, e.Key())
	table := &tomlNode{kind: unstable.Table, offset: last.offset, header: true}
	f := parent.field(last.name)
	switch {
	case f == nil:
		f = last
		f.value = &tomlNode{kind: unstable.ArrayTable, offset: last.offset}
		parent.fields = append(parent.fields, f)
	case f.value.kind != unstable.ArrayTable:
		d.doubled(last, f)
		return table
	}
	f.value.items = append(f.value.items, table)
	return table
}

// keyValue adds a key and its value to table.
func (d *tomlDocument) keyValue(table *tomlNode, e *unstable.Node) {
	parent, last := d.descend(table, e.Key())
	if f := parent.field(last.name); f != nil {
		d.doubled(last, f)
		return
	}
	last.value = d.value(e.Value(), last.offset)
	parent.fields = append(parent.fields, last)
}

// descend walks a dotted key down to the table that its last part belongs in,
// creating the tables in between.
func (d *tomlDocument) descend(table *tomlNode, key unstable.Iterator) (*tomlNode, *tomlField) {
	for key.Next() {
		part := &tomlField{name: string(key.Node().Data), offset: int(key.Node().Raw.Offset)}
		if key.IsLast() {
			return table, part
		}
		f := table.field(part.name)
		if f == nil {
			f = part
			f.value = &tomlNode{kind: unstable.Table, offset: part.offset}
			table.fields = append(table.fields, f)
		}
		switch next := f.value; {
		case next.kind == unstable.ArrayTable:
			table = next.items[len(next.items)-1]
		case next.kind == unstable.Table:
			table = next
		default:
			d.doubled(part, f)
			return &tomlNode{kind: unstable.Table}, part
		}
	}
	return table, &tomlField{}
}

// value copies a value out of the parser, whose nodes live for one expression.
func (d *tomlDocument) value(v *unstable.Node, keyOffset int) *tomlNode {
	n := &tomlNode{kind: v.Kind, offset: keyOffset}
	switch v.Kind {
	case unstable.Array:
		for it := v.Children(); it.Next(); {
			n.items = append(n.items, d.value(it.Node(), keyOffset))
		}
	case unstable.InlineTable:
		n.kind = unstable.Table
		n.header = true
		for it := v.Children(); it.Next(); {
			d.keyValue(n, it.Node())
		}
	default:
		n.offset = int(v.Raw.Offset)
		n.text = string(v.Data)
	}
	return n
}

func (d *tomlDocument) doubled(again, first *tomlField) {
	line := configErrorAt(d.name, d.src, first.offset, "").Line
	d.errorAt(again.offset, "%q is already set on line %d: keep one of the two", again.name, line)
}
