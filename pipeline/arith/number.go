package arith

import "strings"

// number reads a constant.
func (e *evaluation) number() int64 {
	rest := e.rest()
	i := 0
	for i < len(rest) && (isNameByte(rest[i], 1) || rest[i] == '@' || rest[i] == '#') {
		i++
	}
	token := rest[:i]
	n, what := constant(token)
	if what != "" {
		e.fail(what, token)
	}
	e.at += i
	return n
}

// constant returns the value of a constant, or what is wrong with it. Like bash, it
// wraps around.
func constant(token string) (n int64, what string) {
	base, digits := int64(10), token
	if before, after, ok := strings.Cut(token, "#"); ok {
		base = 0
		for i := range len(before) {
			c := before[i]
			if c < '0' || c > '9' {
				return 0, "value too great for base"
			}
			if base = base*10 + int64(c-'0'); base > 64 {
				return 0, "invalid arithmetic base"
			}
		}
		if before[0] == '0' && len(before) > 1 {
			return 0, "invalid number"
		}
		if base < 2 {
			return 0, "invalid arithmetic base"
		}
		if after == "" {
			return 0, "invalid integer constant"
		}
		if strings.Contains(after, "#") {
			return 0, "invalid number"
		}
		digits = after
	} else if token[0] == '0' && len(token) > 1 {
		base, digits = 8, token[1:]
		if token[1] == 'x' || token[1] == 'X' {
			base, digits = 16, token[2:]
		}
	}
	for i := range len(digits) {
		d := digit(digits[i], base)
		if d >= base {
			return 0, "value too great for base"
		}
		n = n*base + d
	}
	return n, ""
}

// digit returns what a digit is worth: letters are not told apart in bases up to 36;
// above, small ones come before capitals, "@" and "_".
func digit(c byte, base int64) int64 {
	switch {
	case c >= '0' && c <= '9':
		return int64(c - '0')
	case c >= 'a' && c <= 'z':
		return int64(c-'a') + 10
	case c >= 'A' && c <= 'Z':
		if base <= 36 {
			return int64(c-'A') + 10
		}
		return int64(c-'A') + 36
	case c == '@':
		return 62
	}
	return 63
}
