package pipeline

import (
	"context"
	"strconv"
	"strings"

	"mvdan.cc/sh/v3/expand"
	"mvdan.cc/sh/v3/syntax"
)

// varGetopts is a hidden variable: the value of OPTIND after the latest getopts, the
// number of letters that were taken of the word there, and that word.
const varGetopts = "\x00getopts"

// getopts is bash's. It begins anew where OPTIND, or the word that it stands for, is not
// what the call before has left.
func getopts(ctx context.Context, c *builtinCall) error {
	args, err := c.options("", "getopts optstring name [arg ...]", nil)
	if err != nil {
		return err
	}
	if len(args) < 2 {
		return c.usageOf("getopts optstring name [arg ...]", "")
	}
	letters, name, words := args[0], args[1], args[2:]
	if len(words) == 0 {
		words = runnerOf(c.hc).Params
	}
	next, err := strconv.Atoi(c.hc.Env.Get("OPTIND").String())
	if err != nil || next < 1 {
		next = 1
	}
	taken := 0
	if state := c.hc.Env.Get(varGetopts).List; len(state) == 3 && next <= len(words) && state[0] == strconv.Itoa(next) && state[2] == words[next-1] {
		taken, _ = strconv.Atoi(state[1])
	}
	o := optionWord{letters: strings.TrimPrefix(letters, ":"), words: words, next: next, taken: taken}
	o.read()
	value, optarg, tell := string(o.letter), o.argument, ""
	quiet := strings.HasPrefix(letters, ":")
	switch {
	case o.over:
		value, optarg = "?", nil
	case o.unknown:
		value, tell = "?", "illegal option -- "
	case o.missing:
		value, tell = "?", "option requires an argument -- "
		if quiet {
			value = ":"
		}
	}
	if tell != "" {
		letter := string(o.letter)
		optarg = nil
		if quiet {
			optarg = &letter
		} else if c.hc.Env.Get("OPTERR").String() != "0" {
			c.errorf("%s%s", tell, letter)
		}
	}
	return c.setGetopts(ctx, name, value, optarg, o)
}

// setGetopts sets what a call of getopts has to say.
func (c *builtinCall) setGetopts(ctx context.Context, name, value string, optarg *string, o optionWord) error {
	variables := variablesOf(runnerOf(c.hc))
	if optarg == nil {
		_ = variables.Set("OPTARG", expand.Variable{})
	} else if err := c.assign(ctx, "OPTARG", *optarg); err != nil {
		return failure(1)
	}
	if err := c.assign(ctx, "OPTIND", strconv.Itoa(o.next)); err != nil {
		return failure(1)
	}
	word := ""
	if o.taken > 0 {
		word = o.words[o.next-1]
	}
	state := []string{strconv.Itoa(o.next), strconv.Itoa(o.taken), word}
	_ = variables.Set(varGetopts, expand.Variable{Set: true, Kind: expand.Indexed, List: state})
	if !syntax.ValidName(name) {
		return c.fails("`%s': not a valid identifier", name)
	}
	if err := c.assign(ctx, name, value); err != nil || o.over {
		return failure(1)
	}
	return nil
}

// An optionWord is where getopts is, and what it finds there.
type optionWord struct {
	letters string // of options, without the ":" before them
	words   []string
	next    int // the word, from 1
	taken   int // letters of it

	letter           byte
	argument         *string // nil where the option has none
	over             bool    // there is no option any more
	unknown, missing bool    // what is wrong with the letter
}

// read takes the next letter (POSIX, getopts).
func (o *optionWord) read() {
	if o.over = o.next > len(o.words); o.over {
		return
	}
	word := o.words[o.next-1]
	if o.taken == 0 {
		if o.over = len(word) < 2 || word[0] != '-' || word == "--"; o.over {
			if word == "--" {
				o.next++
			}
			return
		}
	}
	o.taken++
	if o.taken >= len(word) {
		o.next, o.taken, o.over = o.next+1, 0, true
		return
	}
	o.letter = word[o.taken]
	rest := word[o.taken+1:]
	if rest == "" {
		o.next, o.taken = o.next+1, 0
	}
	at := strings.IndexByte(o.letters, o.letter)
	if o.unknown = at < 0 || o.letter == ':'; o.unknown {
		return
	}
	if at+1 == len(o.letters) || o.letters[at+1] != ':' {
		return
	}
	switch {
	case rest != "":
		o.argument = &rest
		o.next, o.taken = o.next+1, 0
	case o.next > len(o.words):
		o.missing = true
	default:
		o.argument = &o.words[o.next-1]
		o.next++
	}
}
