package format

import "fmt"

// problem tells what is wrong, if somebody listens.
func (p *Printf) problem(text string, args ...any) {
	if p.Problem != nil {
		p.Problem(fmt.Sprintf(text, args...))
	}
}
