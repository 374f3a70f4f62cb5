package parser

import "bytes"

// maxRepairs bounds how often a text is read again.
const maxRepairs = 64

// repaired returns a text that means the same in bash as src, whose error at an offset is
// not one there: "! !" is nothing, and "((" that is no arithmetic is two subshells (bash
// manual, "Compound Commands"). The candidates are tried in their order.
func repaired(src []byte, offset int) [][]byte {
	if offset < len(src) && src[offset] == '!' {
		next := offset + 1
		for next < len(src) && (src[next] == ' ' || src[next] == '\t') {
			next++
		}
		if next > offset+1 && next+1 < len(src) && src[next] == '!' && (src[next+1] == ' ' || src[next+1] == '\t') {
			out := bytes.Clone(src)
			out[offset], out[next] = ' ', ' '
			return [][]byte{out}
		}
	}
	var candidates [][]byte
	before := src[:min(offset+len("$(("), len(src))]
	for tries := 0; tries < 16; tries++ {
		at := bytes.LastIndex(before, []byte("(("))
		if at < 0 {
			break
		}
		if !endsTwice(src[at+2:]) {
			candidates = append(candidates, append(append(bytes.Clone(src[:at+1]), ' '), src[at+1:]...))
		}
		before = before[:at+1]
	}
	return candidates
}

// endsTwice reports whether the parenthesis that was opened before a text is closed by one
// with another right behind it, which makes two that open an arithmetic command.
func endsTwice(text []byte) bool {
	depth, quote := 1, byte(0)
	for i := 0; i < len(text); i++ {
		c := text[i]
		switch {
		case c == '\\' && quote != '\'':
			i++
		case quote != 0:
			if c == quote {
				quote = 0
			}
		case c == '\'' || c == '"':
			quote = c
		case c == '(':
			depth++
		case c == ')':
			if depth--; depth == 0 {
				return i+1 < len(text) && text[i+1] == ')'
			}
		}
	}
	return true
}
