package serve

import (
	"fmt"
	"maps"
	"net"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"

	"github.com/pelletier/go-toml/v2/unstable"
)

const (
	// maxMaxSessions catches a slip of the keyboard, not an ambition.
	maxMaxSessions = 1_000_000
	// maxName is the longest name that an OPEN frame can hold, in bytes.
	maxName = 255
	// maxSummary is the longest summary in bytes: it is one line of a list.
	maxSummary = 200
)

// The forms of names. A caller's name is the comment of a key in authorized_keys
// and has the form that remote/identity asks for there.
var (
	callerName = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._@+-]*$`)
	groupName  = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._+-]*$`)
)

// decodeConfig turns the text of a configuration file into a Config. name is the
// file for messages and for relative paths; look finds a program as exec.LookPath
// does. The error is ConfigErrors, or that of an unknown working directory.
func decodeConfig(name string, src []byte, look func(string) (string, error)) (*Config, error) {
	folder, err := configFolder(name)
	if err != nil {
		return nil, err
	}
	doc := &tomlDocument{name: name, src: src}
	root := doc.parse()
	d := &configDecoder{tomlDocument: doc, folder: folder, look: look}
	if len(doc.errs) == 0 {
		d.config(root)
	}
	if len(doc.errs) > 0 {
		sortConfigErrors(doc.errs)
		return nil, doc.errs
	}
	return d.c, nil
}

// A configDecoder fills in c and gathers what is wrong.
type configDecoder struct {
	*tomlDocument
	folder string
	look   func(string) (string, error)
	c      *Config

	services     []*serviceEntry // in order of appearance
	afterProgram func()          // what is to be checked when all of a program is read
}

// keys maps the keys that a table may have to what reads their values.
type keys map[string]func(*tomlNode)

// table reads every field of n, in the order of the file. what names the table in
// the message for a key it does not know.
func (d *configDecoder) table(n *tomlNode, what string, known keys) {
	for _, f := range n.fields {
		if read, ok := known[f.name]; ok {
			read(f.value)
			continue
		}
		names := slices.Sorted(maps.Keys(known))
		next := "the keys here are " + strings.Join(names, ", ")
		if near := nearest(f.name, names); near != "" {
			next = fmt.Sprintf("did you mean %q?", near)
		}
		d.errorAt(f.offset, "unknown key %q in %s: %s", f.name, what, next)
	}
}

func (d *configDecoder) config(root *tomlNode) {
	d.c = &Config{
		File:           d.name,
		Listen:         []string{DefaultListen},
		HostKey:        filepath.Join(d.folder, DefaultHostKey),
		AuthorizedKeys: filepath.Join(d.folder, DefaultAuthorizedKeys),
		MaxSessions:    DefaultMaxSessions,
		Drain:          DefaultDrain,
		DeadTimeout:    DefaultDeadTimeout,
		Groups:         map[string][]string{},
		Programs:       map[string]*Program{},
		HopTo:          map[string]*HopTarget{},
	}
	var groups, programs, services, hopTo *tomlNode
	d.table(root, "the file", keys{
		"listen":          d.listen,
		"host_key":        func(n *tomlNode) { d.path(n, "host_key", &d.c.HostKey) },
		"authorized_keys": func(n *tomlNode) { d.path(n, "authorized_keys", &d.c.AuthorizedKeys) },
		"max_sessions":    d.maxSessions,
		"drain":           d.drain,
		"dead_timeout":    d.deadTimeout,
		"groups":          func(n *tomlNode) { groups = n },
		"programs":        func(n *tomlNode) { programs = n },
		"services":        func(n *tomlNode) { services = n },
		"hop_to":          func(n *tomlNode) { hopTo = n },
	})
	d.groups(groups) // before the others, whose allow names them
	d.programs(programs)
	d.servicesTable(services) // after the programs, which say what is one
	d.hopTo(hopTo)
}

// is reports whether n is of the kind wanted; if not, it is an error that shows how
// the key is written.
func (d *configDecoder) is(n *tomlNode, kind unstable.Kind, key, example string) bool {
	if n.kind == kind {
		return true
	}
	d.errorAt(n.offset, "%s cannot be %s: write %s", key, n.kindName(), example)
	return false
}

func (d *configDecoder) strings(n *tomlNode, key, example string, each func(*tomlNode)) {
	if !d.is(n, unstable.Array, key, example) {
		return
	}
	for _, item := range n.items {
		if d.is(item, unstable.String, "an element of "+key, example) {
			each(item)
		}
	}
}

func (d *configDecoder) path(n *tomlNode, key string, to *string) {
	if !d.is(n, unstable.String, key, key+` = "/path/to/file"`) {
		return
	}
	switch p := n.text; {
	case p == "":
		d.errorAt(n.offset, "%s is empty: name a file, or omit the key for %q beside this file", key, filepath.Base(*to))
	case strings.ContainsRune(p, 0):
		d.errorAt(n.offset, "%s has a NUL byte, which no file name can: remove it", key)
	case filepath.IsAbs(p):
		*to = filepath.Clean(p)
	default:
		*to = filepath.Join(d.folder, p)
	}
}

func (d *configDecoder) listen(n *tomlNode) {
	const example = `listen = ["127.0.0.1:7747"]`
	d.c.Listen = nil
	d.strings(n, "listen", example, func(item *tomlNode) {
		switch problem := addressProblem(item.text); {
		case problem != "":
			d.errorAt(item.offset, "listen address %q: %s: write %s", item.text, problem, example)
		case slices.Contains(d.c.Listen, item.text):
			d.errorAt(item.offset, "listen address %q stands here twice: remove one", item.text)
		default:
			d.c.Listen = append(d.c.Listen, item.text)
		}
	})
	if n.kind == unstable.Array && len(n.items) == 0 {
		d.errorAt(n.offset, "listen is empty, so nobody could connect: name an address, or omit listen for %q", DefaultListen)
	}
}

// addressProblem says what keeps s from being a TCP address to listen on, or "".
func addressProblem(s string) string {
	_, port, err := net.SplitHostPort(s)
	if err != nil {
		if e, ok := err.(*net.AddrError); ok {
			return e.Err
		}
		return err.Error()
	}
	if n, err := strconv.ParseUint(port, 10, 16); err != nil || strconv.FormatUint(n, 10) != port {
		return fmt.Sprintf("the port %q is not a number from 0 to 65535", port)
	}
	return ""
}

func (d *configDecoder) maxSessions(n *tomlNode) {
	example := fmt.Sprintf("max_sessions = %d", DefaultMaxSessions)
	if !d.is(n, unstable.Integer, "max_sessions", example) {
		return
	}
	v, err := strconv.ParseInt(n.text, 0, 64)
	if err != nil || v < 1 || v > maxMaxSessions {
		d.errorAt(n.offset, "max_sessions is %s: it goes from 1 to %d", n.text, maxMaxSessions)
		return
	}
	d.c.MaxSessions = int(v)
}

func (d *configDecoder) drain(n *tomlNode) {
	const example = `drain = "30s"`
	if !d.is(n, unstable.String, "drain", example) {
		return
	}
	v, err := time.ParseDuration(n.text)
	if err != nil {
		d.errorAt(n.offset, "drain %q is not a duration: write %s, or with m for minutes", n.text, example)
		return
	}
	if v < 0 {
		d.errorAt(n.offset, "drain %q is negative: %q ends sessions at once", n.text, "0s")
		return
	}
	d.c.Drain = v
}

func (d *configDecoder) deadTimeout(n *tomlNode) {
	const example = `dead_timeout = "15s"`
	if !d.is(n, unstable.String, "dead_timeout", example) {
		return
	}
	v, err := time.ParseDuration(n.text)
	if err != nil {
		d.errorAt(n.offset, "dead_timeout %q is not a duration: write %s, or with m for minutes", n.text, example)
		return
	}
	if v < LeastDeadTimeout {
		d.errorAt(n.offset, "dead_timeout %q is too short to tell the dead from the slow: it is at least %q", n.text, LeastDeadTimeout.String())
		return
	}
	d.c.DeadTimeout = v
}

func (d *configDecoder) groups(n *tomlNode) {
	if n == nil {
		return
	}
	const example = `batch = ["alice", "bob"] under [groups]`
	if !d.is(n, unstable.Table, "groups", example) {
		return
	}
	for _, f := range n.fields {
		if !groupName.MatchString(f.name) {
			d.errorAt(f.offset, "group name %q: write letters, digits and . _ + - only, a letter or digit first", f.name)
		}
		members := []string{}
		d.strings(f.value, "a group", example, func(item *tomlNode) {
			switch m := item.text; {
			case strings.HasPrefix(m, "@"):
				d.errorAt(item.offset, "groups do not nest: write the members of %q here", m)
			case !callerName.MatchString(m):
				d.errorAt(item.offset, "%q is no name that a key in authorized_keys can have", m)
			case slices.Contains(members, m):
				d.errorAt(item.offset, "%q stands in this group twice: remove one", m)
			default:
				members = append(members, m)
			}
		})
		if f.value.kind == unstable.Array && len(f.value.items) == 0 {
			d.errorAt(f.value.offset, "group %q has no members: name one, or remove the group and what allows it", f.name)
		}
		d.c.Groups[f.name] = members // also with errors: a program that names it has none of its own
	}
}

func (d *configDecoder) programs(n *tomlNode) {
	if n == nil {
		return
	}
	const example = "[programs.NAME] with its keys below"
	if !d.is(n, unstable.Table, "programs", example) {
		return
	}
	for _, f := range n.fields {
		if len(f.name) > maxName || !programName.MatchString(f.name) {
			d.errorAt(f.offset, "program name %q: write at most %d letters, digits and . _ + -, a letter or _ first", f.name, maxName)
		}
		if d.is(f.value, unstable.Table, fmt.Sprintf("program %q", f.name), example) {
			d.program(f)
		}
	}
}

func (d *configDecoder) program(f *tomlField) {
	p := &Program{Name: f.name}
	d.c.Programs[f.name] = p
	var run, reads *tomlNode
	known := keys{
		"run":     func(n *tomlNode) { run = n },
		"args":    func(n *tomlNode) { d.args(n, p) },
		"allow":   func(n *tomlNode) { d.allow(n, &p.Allow) },
		"env":     func(n *tomlNode) { d.env(n, p) },
		"stdin":   func(n *tomlNode) { reads = n },
		"summary": func(n *tomlNode) { d.summary(n, p) },
	}
	d.serviceKeys(f, p, known)
	d.table(f.value, fmt.Sprintf("program %q", f.name), known)
	d.afterProgram()
	if run == nil {
		d.errorAt(f.offset, "program %q has no run: say what to execute, as in run = [\"tr\", \"a-z\", \"A-Z\"]", f.name)
		return
	}
	d.run(run, p)
	d.stdin(reads, p)
}

// stdin is called when p.Run is known. n may be nil.
func (d *configDecoder) stdin(n *tomlNode, p *Program) {
	if n == nil {
		p.IgnoresInput = len(p.Run) > 0 && ignoresInput(p.Run[0])
		return
	}
	if d.is(n, unstable.Bool, "stdin", "stdin = false, for a program that does not read its input") {
		p.IgnoresInput = n.text == "false"
	}
}

func (d *configDecoder) run(n *tomlNode, p *Program) {
	const example = `run = ["tr", "a-z", "A-Z"]`
	d.strings(n, "run", example, func(item *tomlNode) {
		if strings.ContainsRune(item.text, 0) {
			d.errorAt(item.offset, "an argument cannot hold a NUL byte: remove it")
		}
		p.Run = append(p.Run, item.text)
	})
	if n.kind != unstable.Array {
		return
	}
	if len(n.items) == 0 {
		d.errorAt(n.offset, "run is empty: say what to execute, as in %s", example)
		return
	}
	if first := n.items[0]; first.kind == unstable.String {
		p.Run[0] = d.executable(first)
	}
}

// executable resolves the first element of run to an absolute path.
func (d *configDecoder) executable(n *tomlNode) string {
	name := n.text
	switch {
	case name == "":
		d.errorAt(n.offset, "the first element of run is empty: name what to execute")
		return ""
	case filepath.Base(name) != name && !filepath.IsAbs(name):
		d.errorAt(n.offset, "run %q is relative: write a bare name to find on PATH, or an absolute path", name)
		return ""
	}
	path, err := d.look(name)
	switch {
	case err == nil && filepath.IsAbs(path):
		return path
	case err == nil || path != "": // exec.ErrDot, or a relative folder on PATH
		d.errorAt(n.offset, "run %q was found as %q, in a relative folder of PATH: write its absolute path", name, path)
	case filepath.IsAbs(name):
		d.errorAt(n.offset, "run %q is not there or cannot be executed: check the path and its mode", name)
	default:
		d.errorAt(n.offset, "run %q is on no folder of this daemon's PATH: install it, or write its absolute path", name)
	}
	return ""
}

func (d *configDecoder) args(n *tomlNode, p *Program) {
	const example = `args = "none" or args = "any"`
	if !d.is(n, unstable.String, "args", example) {
		return
	}
	policies := []string{ArgsNone.String(), ArgsAny.String()}
	i := slices.Index(policies, n.text)
	if i < 0 {
		d.errorAt(n.offset, "args %q is no policy: write %s", n.text, example)
		return
	}
	p.Args = []ArgsPolicy{ArgsNone, ArgsAny}[i]
}

func (d *configDecoder) allow(n *tomlNode, to *[]string) {
	allow := []string{}
	d.strings(n, "allow", `allow = ["alice", "@batch"]`, func(item *tomlNode) {
		group, isGroup := strings.CutPrefix(item.text, "@")
		members, known := d.c.Groups[group]
		switch {
		case isGroup && known:
			allow = append(allow, members...)
		case isGroup:
			next := "define it under [groups]"
			if near := nearest(group, slices.Sorted(maps.Keys(d.c.Groups))); near != "" {
				next = fmt.Sprintf("did you mean %q?", "@"+near)
			}
			d.errorAt(item.offset, "allow names the unknown group %q: %s", group, next)
		case !callerName.MatchString(item.text):
			d.errorAt(item.offset, "%q is no name that a key in authorized_keys can have", item.text)
		default:
			allow = append(allow, item.text)
		}
	})
	if n.kind == unstable.Array && len(n.items) == 0 {
		d.errorAt(n.offset, "allow is empty, so nobody could use this: omit allow or name someone")
	}
	slices.Sort(allow)
	*to = slices.Compact(allow)
}

func (d *configDecoder) env(n *tomlNode, p *Program) {
	p.Env = []string{}
	d.strings(n, "env", `env = ["LANG", "LC_*"]`, func(item *tomlNode) {
		if problem := envPatternProblem(item.text); problem != "" {
			d.errorAt(item.offset, "env %q %s", item.text, problem)
			return
		}
		p.Env = append(p.Env, item.text)
	})
}

func (d *configDecoder) summary(n *tomlNode, p *Program) {
	if !d.is(n, unstable.String, "summary", `summary = "turns lower case into upper case"`) {
		return
	}
	switch s := n.text; {
	case len(s) > maxSummary:
		d.errorAt(n.offset, "summary has %d bytes: at most %d, it is one line of a list", len(s), maxSummary)
	case strings.ContainsFunc(s, func(r rune) bool { return !unicode.IsPrint(r) }):
		d.errorAt(n.offset, "summary has a line end or control character: write one line of text")
	default:
		p.Summary = s
	}
}
