package vet

import (
	"slices"
	"strings"
)

// stringCall returns what a function of the string library hands back; args begins with the text.
func stringCall(name string, args []values) values {
	if name == "char" {
		return characters(args)
	}
	if name == "pack" || name == "unpack" || len(args) == 0 {
		return of(decoded)
	}
	if name == "format" {
		return formatted(args)
	}
	s, ok := args[0].constant(text)
	if !ok {
		if name == "reverse" && args[0].only(unknown, computed, decoded) {
			return of(decoded)
		}
		return tainted(args[:1]...)
	}
	integer := func(i, missing int) (int, bool) {
		if i >= len(args) {
			return missing, true
		}
		n, ok := args[i].constant(number)
		return int(max(min(n.num, 1<<20), -1<<20)), ok && n.num == n.num
	}
	switch name {
	case "reverse":
		b := []byte(s.text)
		slices.Reverse(b)
		return assemble(string(b))
	case "lower":
		return textual(strings.ToLower(s.text))
	case "upper":
		return textual(strings.ToUpper(s.text))
	case "len":
		return one(value{kind: number, num: float64(len(s.text))})
	case "rep":
		if n, ok := integer(1, 1); ok && len(args) <= 2 && n*len(s.text) <= maxText {
			return textual(strings.Repeat(s.text, max(n, 0)))
		}
	case "sub":
		from, isFrom := integer(1, 1)
		to, isTo := integer(2, -1)
		if isFrom && isTo {
			return assemble(substring(s.text, from, to))
		}
	case "gsub":
		if len(args) >= 3 {
			return substituted(s.text, args[1], args[2])
		}
	case "match":
		return of(decoded)
	case "split":
		return of(unknown)
	}
	return tainted(args...)
}

func substring(s string, from, to int) string {
	if from < 0 {
		from = max(len(s)+from+1, 1)
	}
	if to < 0 {
		to = len(s) + to + 1
	}
	from, to = max(from, 1), min(to, len(s))
	if from > to {
		return ""
	}
	return s[from-1 : to]
}

// substituted replaces a pattern that stands for itself. Others leave a text of which nothing is known.
func substituted(s string, pattern, replacement values) values {
	p, isText := pattern.constant(text)
	with, isConst := replacement.constant(text)
	if !isText || !isConst || strings.Contains(with.text, "%") {
		if pattern.only(text) && (replacement.only(table, text) || replacement.secret()) {
			return of(decoded)
		}
		return tainted(pattern, replacement)
	}
	plain := p.text
	if len(plain) == 2 && plain[0] == '%' && strings.IndexByte("-.+*?^$()[]%", plain[1]) >= 0 {
		plain = plain[1:]
	} else if plain != "-" && strings.ContainsAny(plain, "^$()%.[]*+-?") {
		return of(decoded)
	}
	if plain == "" || strings.Count(s, plain)*len(with.text)+len(s) > maxText {
		return of(computed)
	}
	return assemble(strings.ReplaceAll(s, plain, with.text))
}

// formatted fills in a format that has nothing but %s and %d.
func formatted(args []values) values {
	f, ok := args[0].constant(text)
	if !ok {
		return tainted(args...)
	}
	if strings.Contains(f.text, "%c") {
		return of(decoded)
	}
	rest := args[1:]
	var b strings.Builder
	for s := f.text; s != ""; {
		before, after, found := strings.Cut(s, "%")
		b.WriteString(before)
		if !found {
			break
		}
		if after == "" || after[0] != 's' && after[0] != 'd' || len(rest) == 0 || len(rest[0]) != 1 {
			return tainted(args...)
		}
		t, isConst := written(rest[0][0])
		if !isConst || b.Len() > maxText {
			return tainted(args...)
		}
		b.WriteString(t)
		s, rest = after[1:], rest[1:]
	}
	return textual(b.String())
}
