package markdown

import (
	"bytes"

	"github.com/yuin/goldmark/ast"
	"github.com/yuin/goldmark/parser"
	"github.com/yuin/goldmark/text"
)

// What a text may cost. The parser takes the square of how deep quotes nest, of the marks in one paragraph and of the link definitions
// in one, or worse: half a megabyte of "*a_" keeps it busy for minutes. Beyond these bounds, which no text that is meant to be
// read comes near, marks are the characters they are.
const (
	maxDepth       = 64   // of nodes: quotes count once, lists twice; browsers stop at 512
	maxMarks       = 1000 // in one paragraph, cell or heading
	maxDefinitions = 200  // lines of a paragraph that may define links
)

// shallow opens no further quote or list beyond maxDepth.
type shallow struct{ parser.BlockParser }

// Open implements parser.BlockParser.
func (s shallow) Open(parent ast.Node, reader text.Reader, pc parser.Context) (ast.Node, parser.State) {
	depth := 0
	for n := parent; n != nil; n = n.Parent() {
		if depth++; depth > maxDepth {
			return nil, parser.NoChildren
		}
	}
	return s.BlockParser.Open(parent, reader, pc)
}

// few parses the first maxMarks marks of a block.
type few struct{ parser.InlineParser }

// marks counts in the block that is being parsed.
type marks struct {
	block ast.Node
	n     int
}

var marksKey = parser.NewContextKey()

// Parse implements parser.InlineParser.
func (f few) Parse(parent ast.Node, block text.Reader, pc parser.Context) ast.Node {
	m, ok := pc.Get(marksKey).(*marks)
	if !ok {
		m = &marks{}
		pc.Set(marksKey, m)
	}
	if m.block != parent {
		*m = marks{block: parent}
	}
	if m.n++; m.n > maxMarks {
		return nil
	}
	return f.InlineParser.Parse(parent, block, pc)
}

// CloseBlock implements parser.CloseBlocker.
func (f few) CloseBlock(parent ast.Node, block text.Reader, pc parser.Context) {
	if c, ok := f.InlineParser.(parser.CloseBlocker); ok {
		c.CloseBlock(parent, block, pc)
	}
}

// bare looks for links that stand in the text as they are, but not for e-mail addresses: every word of a text might begin one, which is looked for
// far ahead.
type bare struct{ few }

// Parse implements parser.InlineParser.
func (b bare) Parse(parent ast.Node, block text.Reader, pc parser.Context) ast.Node {
	line, _ := block.PeekLine()
	line = bytes.TrimLeft(line[:min(len(line), 16)], " *_~(")
	for _, start := range []string{"http://", "https://", "www."} {
		if bytes.HasPrefix(line, []byte(start)) {
			return b.few.Parse(parent, block, pc)
		}
	}
	return nil
}

// short looks for link definitions in paragraphs of up to maxDefinitions lines.
type short struct{ parser.ParagraphTransformer }

// Transform implements parser.ParagraphTransformer.
func (s short) Transform(node *ast.Paragraph, reader text.Reader, pc parser.Context) {
	if node.Lines().Len() <= maxDefinitions {
		s.ParagraphTransformer.Transform(node, reader, pc)
	}
}
