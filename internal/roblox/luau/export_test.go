package luau

// ParseLax parses with a rule broken: break may stand anywhere.
func ParseLax(source string) (*File, error) { return parse(source, rules{breakAnywhere: true}) }

// TokenSpans returns where the tokens of a source stand.
func TokenSpans(source string) []Span {
	var spans []Span
	l := newLexer(source)
	for t := l.next(); t.kind != eof && t.kind != broken; t = l.next() {
		spans = append(spans, t.span)
	}
	return spans
}

// Steps returns how many bytes the lexer looks at and how many tokens it reads for a source.
func Steps(source string) (bytes, tokens int) {
	l := newLexer(source)
	for t := l.next(); t.kind != eof; t = l.next() {
		if t.kind == broken {
			break
		}
	}
	return l.steps, l.tokens
}
