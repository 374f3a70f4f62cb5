package pipeline

import (
	"context"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"mvdan.cc/sh/v3/expand"
	"mvdan.cc/sh/v3/pattern"
	"mvdan.cc/sh/v3/syntax"

	"rpipe/pipeline/format"
)

const compgenSynopsis = "compgen [-abcdefgjksuv] [-o option] [-A action] [-G globpat] [-W wordlist] [-F function] [-C command] [-X filterpat] [-P prefix] [-S suffix] [word]"

// actionOf are the actions that compgen has letters for.
var actionOf = map[byte]string{
	'a': "alias", 'b': "builtin", 'c': "command", 'd': "directory", 'e': "export", 'f': "file",
	'k': "keyword", 'v': "variable",
}

// compgen is bash's for what can be known without completions of an interactive shell:
// the actions of complete below, -W, -P, -S and -X.
func compgen(ctx context.Context, c *builtinCall) error {
	var actions []string
	var words, prefix, suffix, filter string
	var hasWords bool
	args, err := c.options("abcdefgjksuvo:A:G:W:F:C:X:P:S:", compgenSynopsis, func(letter byte, word string) error {
		switch letter {
		case 'W':
			words, hasWords = word, true
		case 'P':
			prefix = word
		case 'S':
			suffix = word
		case 'X':
			filter = word
		case 'A':
			actions = append(actions, word)
		case 'o':
		default:
			action, ok := actionOf[letter]
			if !ok {
				return c.usage("-%c: not supported; it knows -A, -W, -P, -S, -X and -abcdefkv", letter)
			}
			actions = append(actions, action)
		}
		return nil
	})
	if err != nil {
		return err
	}
	word := ""
	if len(args) > 0 {
		word = args[0]
	}
	var found []string
	for _, action := range actions {
		names, ok := c.complete(action, word)
		if !ok {
			return c.usage("%s: invalid action name", action)
		}
		found = append(found, names...)
	}
	if hasWords {
		separators := format.DefaultSeparators
		if ifs := c.hc.Env.Get("IFS"); ifs.IsSet() {
			separators = ifs.String()
		}
		expanded, err := c.expanded(words)
		if err != nil {
			return failure(1)
		}
		found = append(found, format.Line{Text: []byte(expanded)}.Fields(separators)...)
	}
	var b strings.Builder
	for _, name := range found {
		if strings.HasPrefix(name, word) && !filtered(name, filter, word) {
			b.WriteString(prefix + name + suffix + "\n")
		}
	}
	if b.Len() == 0 {
		return failure(1)
	}
	return c.writeString(ctx, b.String())
}

// expanded returns the words of -W after the expansions of a shell. What is quoted in
// them is not known to be.
func (c *builtinCall) expanded(words string) (string, error) {
	if !strings.ContainsAny(words, "$`\\\"'~") {
		return words, nil
	}
	doc, err := syntax.NewParser().Document(strings.NewReader(words))
	if err != nil {
		return "", err
	}
	return expand.Document(&expand.Config{Env: c.hc.Env}, doc)
}

// filtered reports whether the pattern of -X takes a completion away.
func filtered(name, filter, word string) bool {
	if filter == "" {
		return false
	}
	pat, inverted := strings.CutPrefix(filter, "!")
	pat = strings.ReplaceAll(pat, "&", word)
	expr, err := pattern.Regexp(pat, pattern.EntireString)
	if err != nil {
		return false
	}
	re, err := regexp.Compile(expr)
	return err == nil && re.MatchString(name) != inverted
}

// complete returns the names of an action, in the order of bash. ok is false for an
// action that there is none of.
func (c *builtinCall) complete(action, word string) (names []string, ok bool) {
	switch action {
	case "alias", "binding", "disabled", "group", "hostname", "job", "running", "stopped", "service", "helptopic", "signal", "user":
		if action == "disabled" {
			return slices.Sorted(maps.Keys(c.hidden(varDisabled))), true
		}
		return nil, action == "alias" || action == "job" || action == "running" || action == "stopped"
	case "builtin", "enabled":
		return slices.DeleteFunc(slices.Clone(builtins), func(n string) bool { return action == "enabled" && isDisabled(c.hc, n) }), true
	case "keyword":
		return keywords, true
	case "function":
		return slices.DeleteFunc(slices.Sorted(maps.Keys(runnerOf(c.hc).Funcs)), isMark), true
	case "variable", "export", "arrayvar":
		return c.variables(action), true
	case "setopt":
		return []string{
			"allexport", "braceexpand", "emacs", "errexit", "errtrace", "functrace", "hashall", "histexpand",
			"history", "ignoreeof", "interactive-comments", "keyword", "monitor", "noclobber", "noexec", "noglob",
			"nolog", "notify", "nounset", "onecmd", "physical", "pipefail", "posix", "privileged", "verbose", "vi", "xtrace",
		}, true
	case "file", "directory":
		return c.filesWith(word, action == "directory"), true
	case "command":
		names = append(slices.Clone(keywords), slices.DeleteFunc(slices.Sorted(maps.Keys(runnerOf(c.hc).Funcs)), isMark)...)
		names = append(names, builtins...)
		for _, folder := range filepath.SplitList(c.hc.Env.Get("PATH").String()) {
			entries, _ := os.ReadDir(c.path(folder))
			for _, e := range entries {
				if strings.HasPrefix(e.Name(), word) && isProgram(filepath.Join(c.path(folder), e.Name())) {
					names = append(names, e.Name())
				}
			}
		}
		return names, true
	}
	return nil, false
}

// variables returns the names of variables, sorted.
func (c *builtinCall) variables(action string) []string {
	seen := make(map[string]bool)
	for name, v := range c.hc.Env.Each {
		switch action {
		case "export":
			seen[name] = v.IsSet() && v.Exported
		case "arrayvar":
			seen[name] = v.IsSet() && (v.Kind == expand.Indexed || v.Kind == expand.Associative)
		default:
			seen[name] = v.IsSet()
		}
		seen[name] = seen[name] && !isMark(name)
	}
	maps.DeleteFunc(seen, func(_ string, is bool) bool { return !is })
	return slices.Sorted(maps.Keys(seen))
}

// filesWith returns the paths of files that begin with a word, in the order of their
// directory.
func (c *builtinCall) filesWith(word string, directories bool) (names []string) {
	dir, base := "", word
	if i := strings.LastIndexByte(word, '/'); i >= 0 {
		dir, base = word[:i+1], word[i+1:]
	}
	folder := c.hc.Dir
	if dir != "" {
		folder = c.path(dir)
	}
	f, err := os.Open(folder)
	if err != nil {
		return nil
	}
	defer f.Close()
	entries, _ := f.ReadDir(-1)
	for _, e := range entries {
		if !strings.HasPrefix(e.Name(), base) {
			continue
		}
		if directories {
			if info, err := os.Stat(filepath.Join(folder, e.Name())); err != nil || !info.IsDir() {
				continue
			}
		}
		names = append(names, dir+e.Name())
	}
	return names
}
