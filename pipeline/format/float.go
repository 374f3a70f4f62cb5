package format

import (
	"bytes"
	"math/big"
	"strconv"
	"strings"
)

// longDouble is the precision of the numbers that printf computes with: those of x87,
// which bash has for floats on most machines.
const longDouble = 64

// maxExponent is that of the largest long double, as a power of 2.
const maxExponent = 16384

// A float is an argument of a conversion of floating-point numbers.
type float struct {
	value    *big.Float // may be an infinity
	nan      bool
	negative bool
}

// float takes an argument as a long double.
func (p *Printf) float() float {
	arg := p.next()
	if value, is := p.charValue(arg); is {
		return float{value: new(big.Float).SetUint64(value)}
	}
	f, overflow, ok := parseFloat(arg)
	p.checked(arg, ok, overflow)
	return f
}

// parseFloat reads what strtold(3) takes of s. ok reports that that is all of it.
func parseFloat(s string) (f float, overflow, ok bool) {
	f.value = new(big.Float).SetPrec(longDouble)
	i := 0
	for i < len(s) && isSpace(s[i]) {
		i++
	}
	if i < len(s) && (s[i] == '-' || s[i] == '+') {
		f.negative = s[i] == '-'
		i++
	}
	rest := s[i:]
	switch lower := strings.ToLower(rest[:min(len(rest), 8)]); {
	case strings.HasPrefix(lower, "infinity"):
		f.value.SetInf(f.negative)
		return f, false, len(rest) == 8
	case strings.HasPrefix(lower, "inf"):
		f.value.SetInf(f.negative)
		return f, false, len(rest) == 3
	case strings.HasPrefix(lower, "nan"):
		f.nan = true
		return f, false, len(rest) == 3
	}
	base, exponent, n := 10, byte('e'), 0
	if len(rest) > 2 && rest[0] == '0' && rest[1]|0x20 == 'x' && (digit(rest[2]) < 16 || rest[2] == '.' && len(rest) > 3 && digit(rest[3]) < 16) {
		base, exponent = 16, 'p'
		rest = rest[2:]
	}
	begin, point := 0, false
	for ; n < len(rest); n++ {
		if rest[n] == '.' && !point {
			point = true
		} else if digit(rest[n]) < uint32(base) {
			begin++
		} else {
			break
		}
	}
	if begin == 0 {
		f.negative = false
		return f, false, s == ""
	}
	if n+1 < len(rest) && rest[n]|0x20 == exponent {
		m := n + 1
		if m+1 < len(rest) && (rest[m] == '-' || rest[m] == '+') {
			m++
		}
		if '0' <= rest[m] && rest[m] <= '9' {
			for m < len(rest) && '0' <= rest[m] && rest[m] <= '9' {
				m++
			}
			n = m
		}
	}
	text := rest[:n]
	if tooLong(text, exponent) {
		overflow = !strings.Contains(text, "-")
	} else if _, _, err := f.value.Parse(text, base); err != nil {
		return f, false, false
	}
	if overflow || f.value.IsInf() || f.value.MantExp(nil) > maxExponent {
		overflow = true
		f.value.SetInf(false)
	}
	if f.value.MantExp(nil) < -maxExponent-longDouble {
		f.value.SetInt64(0)
	}
	if f.negative {
		f.value.Neg(f.value)
	}
	return f, overflow, n == len(rest)
}

// tooLong reports whether the exponent of a number is beyond all that is finite, and
// more than it is sane to compute with.
func tooLong(text string, exponent byte) bool {
	i := strings.IndexAny(text, string([]byte{exponent, exponent - 0x20}))
	if exponent == 'e' && i < 0 || i < 0 {
		return false
	}
	value, err := strconv.Atoi(strings.TrimPrefix(text[i+1:], "+"))
	return err != nil || value > 100000 || value < -100000
}

// float appends a floating-point number as the C library does.
func (c conversion) float(dst []byte, f float, verb byte) []byte {
	sign := ""
	switch {
	case f.negative:
		sign = "-"
	case c.plus:
		sign = "+"
	case c.space:
		sign = " "
	}
	var text []byte
	zero := c.zero && !c.left
	value := new(big.Float).Abs(f.value)
	switch lower := verb | 0x20; {
	case f.nan:
		text, zero = []byte("nan"), false
	case f.value.IsInf():
		text, zero = []byte("inf"), false
	case lower == 'a':
		sign += "0x"
		text = c.hexadecimal(value)
	case lower == 'g':
		text = c.general(value)
	default:
		precision := c.precision
		if precision < 0 {
			precision = 6
		}
		text = value.Append(nil, lower, precision)
		if c.alt {
			text = withPoint(text)
		}
	}
	padding := c.width - len(sign) - len(text)
	if !c.left && !zero {
		dst = fill(dst, ' ', padding)
	}
	begin := len(dst)
	dst = append(dst, sign...)
	if zero {
		dst = fill(dst, '0', padding)
	}
	dst = append(dst, text...)
	if verb < 'a' {
		upper(dst[begin:])
	}
	if c.left {
		dst = fill(dst, ' ', padding)
	}
	return dst
}

// withPoint returns the text of a number with a decimal point.
func withPoint(text []byte) []byte {
	if bytes.IndexByte(text, '.') >= 0 {
		return text
	}
	mantissa, exponent, _ := bytes.Cut(text, []byte("e"))
	whole := append(bytes.Clone(mantissa), '.')
	if len(mantissa) < len(text) {
		whole = append(append(whole, 'e'), exponent...)
	}
	return whole
}

// general returns a number as %g does (ISO C, fprintf).
func (c conversion) general(value *big.Float) []byte {
	precision := c.precision
	switch {
	case precision < 0:
		precision = 6
	case precision == 0:
		precision = 1
	}
	text := value.Append(nil, 'e', precision-1)
	i := bytes.IndexByte(text, 'e')
	exponent, _ := strconv.Atoi(string(text[i+1:]))
	suffix := text[i:]
	if exponent >= -4 && exponent < precision {
		text = value.Append(nil, 'f', precision-1-exponent)
		i, suffix = len(text), nil
	}
	mantissa := bytes.Clone(text[:i])
	if c.alt {
		mantissa = withPoint(mantissa)
	} else if bytes.IndexByte(mantissa, '.') >= 0 {
		mantissa = bytes.TrimRight(bytes.TrimRight(mantissa, "0"), ".")
	}
	return append(mantissa, suffix...)
}

// hexadecimal returns a number as %a does, without its sign and "0x": with four bits
// before the point, as the C library has it for numbers of x87.
func (c conversion) hexadecimal(value *big.Float) []byte {
	mantissa, exponent := "0", 0
	if value.Sign() != 0 {
		m := new(big.Float)
		exponent = value.MantExp(m) - 4
		m.SetMantExp(m, 4)
		if c.precision >= 0 && c.precision < longDouble/4 {
			m.SetMode(big.ToNearestEven).SetMantExp(m, 4*c.precision)
			half := new(big.Float).SetFloat64(0.5)
			whole, _ := m.Int(nil)
			rest := new(big.Float).Sub(m, new(big.Float).SetInt(whole))
			if cmp := rest.Cmp(half); cmp > 0 || cmp == 0 && whole.Bit(0) == 1 {
				whole.Add(whole, big.NewInt(1))
			}
			mantissa = whole.Text(16)
			if len(mantissa) > c.precision+1 {
				mantissa = mantissa[:c.precision+1]
				exponent += 4
				if mantissa[0] == '1' {
					// 0x10 is written as 0x1 with four more in the exponent.
					mantissa = "1" + strings.Repeat("0", c.precision)
				}
			}
		} else {
			m.SetMantExp(m, longDouble-4)
			whole, _ := m.Int(nil)
			mantissa = whole.Text(16)
		}
	}
	whole, fraction := mantissa[:1], mantissa[1:]
	if c.precision < 0 {
		fraction = strings.TrimRight(fraction, "0")
	} else if missing := c.precision - len(fraction); missing > 0 {
		fraction += strings.Repeat("0", missing)
	}
	text := []byte(whole)
	if fraction != "" || c.alt {
		text = append(append(text, '.'), fraction...)
	}
	text = append(text, 'p')
	if exponent >= 0 {
		text = append(text, '+')
	}
	return strconv.AppendInt(text, int64(exponent), 10)
}
