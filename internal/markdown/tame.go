package markdown

import (
	"net/url"
	"strings"

	"github.com/yuin/goldmark/ast"
	"github.com/yuin/goldmark/parser"
	"github.com/yuin/goldmark/text"
)

// tame leaves the text of images and of links that lead anywhere but to the web or to a mailbox, and marks the other links.
type tame struct{}

// Transform implements parser.ASTTransformer.
func (tame) Transform(doc *ast.Document, reader text.Reader, _ parser.Context) {
	var unwrap []ast.Node
	mark := func(n ast.Node) {
		n.SetAttributeString("rel", []byte(linkRel))
		n.SetAttributeString("target", []byte("_blank"))
	}
	_ = ast.Walk(doc, func(n ast.Node, entering bool) (ast.WalkStatus, error) { // fn never fails
		if entering {
			return ast.WalkContinue, nil
		}
		switch n := n.(type) {
		case *ast.Image:
			unwrap = append(unwrap, n)
		case *ast.Link:
			if leadsOut(n.Destination) {
				mark(n)
			} else {
				unwrap = append(unwrap, n)
			}
		case *ast.AutoLink: // has no children: what it shows is its address
			if leadsOut(n.URL(reader.Source())) || n.AutoLinkType == ast.AutoLinkEmail {
				mark(n)
			} else {
				label := ast.NewString(n.Label(reader.Source()))
				n.Parent().ReplaceChild(n.Parent(), n, label)
			}
		}
		return ast.WalkContinue, nil
	})
	for _, n := range unwrap { // inner ones first
		parent := n.Parent()
		for child := n.FirstChild(); child != nil; child = n.FirstChild() {
			parent.InsertBefore(parent, n, child)
		}
		parent.RemoveChild(parent, n)
	}
}

// leadsOut reports whether address is one of the web or of a mailbox. One that is relative leads nowhere: nobody knows on which page the text
// will stand.
func leadsOut(address []byte) bool {
	u, err := url.Parse(string(address))
	if err != nil {
		return false
	}
	switch strings.ToLower(u.Scheme) {
	case "http", "https":
		return u.Host != ""
	case "mailto":
		return u.Opaque != ""
	}
	return false
}
