// Package markdown makes safe HTML of Markdown that a language model wrote and people may have edited.
//
// Nobody trusts the text: a model repeats what a pupil told it to. There are two locks. The parser knows no raw HTML, which comes
// out as the text it is, no images, and no links but to http, https and mailto. What is made of it then passes a list of allowed elements and
// attributes, which would hold alone: no script, style, event, form, frame or id (an id can shadow a variable of the page around it).
//
// Images are off, with their alternative text left in place: an image is fetched when a page is opened, so its address would tell a
// stranger who reads what and when, and a model that was talked into it could carry data out in it. Links carry
// rel="nofollow noopener noreferrer" and open beside the page.
//
// Nor does the text decide what it costs: see bounds.go.
package markdown

import (
	"bytes"
	"fmt"
	"regexp"
	"sync"

	"github.com/microcosm-cc/bluemonday"
	"github.com/yuin/goldmark"
	"github.com/yuin/goldmark/extension"
	"github.com/yuin/goldmark/parser"
	"github.com/yuin/goldmark/renderer"
	"github.com/yuin/goldmark/text"
	"github.com/yuin/goldmark/util"

	"github.com/toolboxai/orchestrator/internal/fault"
)

// MaxSize is the size of the largest text that is rendered, in bytes.
const MaxSize = 512 << 10

// linkRel keeps search engines, the page's window and its address from who is linked to.
const linkRel = "nofollow noopener noreferrer"

// Render returns a piece of HTML for CommonMark with tables, strikethrough and bare links. The same text gives the same HTML. It is
// safe for concurrent use. TooLarge beyond MaxSize.
func Render(markdown string) (string, error) {
	if len(markdown) > MaxSize {
		return "", fault.New(fault.TooLarge, "the text has more than %d bytes", MaxSize)
	}
	p := shared()
	out, err := p.untrusted([]byte(markdown))
	if err != nil {
		return "", err
	}
	return p.policy.SanitizeReader(out).String(), nil
}

// pipeline is the renderer and the list of what is allowed. Neither changes once made.
type pipeline struct {
	markdown goldmark.Markdown
	policy   *bluemonday.Policy
}

var shared = sync.OnceValue(func() pipeline { return pipeline{renders(), policy()} })

// untrusted is the first lock alone.
func (p pipeline) untrusted(source []byte) (*bytes.Buffer, error) {
	var out bytes.Buffer
	doc := p.markdown.Parser().Parse(text.NewReader(source))
	if err := p.markdown.Renderer().Render(&out, source, doc); err != nil {
		return nil, fmt.Errorf("render markdown: %w", err)
	}
	return &out, nil
}

// renders returns CommonMark without raw HTML, with what a lesson needs beyond it.
func renders() goldmark.Markdown {
	return goldmark.New(
		goldmark.WithParser(parser.NewParser(
			parser.WithBlockParsers(
				util.Prioritized(parser.NewSetextHeadingParser(), 100),
				util.Prioritized(parser.NewThematicBreakParser(), 200),
				util.Prioritized(shallow{parser.NewListParser()}, 300),
				util.Prioritized(parser.NewListItemParser(), 400),
				util.Prioritized(parser.NewCodeBlockParser(), 500),
				util.Prioritized(parser.NewATXHeadingParser(), 600),
				util.Prioritized(parser.NewFencedCodeBlockParser(), 700),
				util.Prioritized(shallow{parser.NewBlockquoteParser()}, 800),
				util.Prioritized(parser.NewParagraphParser(), 1000),
			),
			parser.WithInlineParsers(
				util.Prioritized(few{parser.NewCodeSpanParser()}, 100),
				util.Prioritized(few{parser.NewLinkParser()}, 200),
				util.Prioritized(few{parser.NewAutoLinkParser()}, 300),
				util.Prioritized(few{parser.NewEmphasisParser()}, 500),
				util.Prioritized(few{extension.NewStrikethroughParser()}, 500),
				util.Prioritized(bare{few{extension.NewLinkifyParser()}}, 999),
			),
			parser.WithParagraphTransformers(util.Prioritized(short{parser.LinkReferenceParagraphTransformer}, 100)),
			parser.WithASTTransformers(util.Prioritized(tame{}, 1000)),
		)),
		goldmark.WithExtensions(
			extension.NewTable(extension.WithTableCellAlignMethod(extension.TableCellAlignAttribute)),
		),
		goldmark.WithRendererOptions(renderer.WithNodeRenderers(util.Prioritized(extension.NewStrikethroughHTMLRenderer(), 500))),
	)
}

// policy lists what may stand in the HTML.
func policy() *bluemonday.Policy {
	p := bluemonday.NewPolicy()
	p.AllowElements("h1", "h2", "h3", "h4", "h5", "h6", "p", "br", "hr", "em", "strong", "del", "blockquote", "ul", "ol", "li", "pre", "code",
		"table", "thead", "tbody", "tr", "th", "td")
	p.AllowAttrs("start").Matching(regexp.MustCompile(`^[0-9]{1,9}$`)).OnElements("ol")
	p.AllowAttrs("align").Matching(regexp.MustCompile(`^(left|center|right)$`)).OnElements("th", "td")
	p.AllowAttrs("class").Matching(regexp.MustCompile(`^language-[a-zA-Z0-9_+#.-]{1,32}$`)).OnElements("code")
	p.AllowAttrs("href", "title").OnElements("a")
	p.AllowAttrs("rel").Matching(regexp.MustCompile(`^` + linkRel + `$`)).OnElements("a")
	p.AllowAttrs("target").Matching(regexp.MustCompile(`^_blank$`)).OnElements("a")
	p.RequireParseableURLs(true)
	p.AllowRelativeURLs(false)
	p.AllowURLSchemes("http", "https", "mailto")
	p.RequireNoFollowOnLinks(true)
	p.RequireNoReferrerOnLinks(true)
	return p
}
