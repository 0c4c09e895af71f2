package luau

import (
	"fmt"
	"strings"
)

// The limits of the compiler for one function.
const (
	maxLocals    = 200
	maxUpvalues  = 200
	maxRegisters = 255
	maxResults   = 255
	maxClosures  = 1 << 15
)

// check finds what the compiler refuses in a tree that the parser accepts: a function that needs more locals, upvalues or registers than there are, and a
// continue that skips a local which the condition of its repeat uses. It panics with an *Error.
//
// It does so by a model of how the compiler hands out registers at its usual level of optimization (1): one pass over each function, inner ones first.
// At level 2, which the comments --!optimize 2 and --!native and the attribute @native ask for, the compiler also inlines and unrolls, which can save or
// cost registers near the limit; the model takes it for level 1.
func check(f *File) {
	c := &compiler{file: f, optimize: optimizes(f), upvals: map[*FunctionExpr][]*Local{}, ends: map[Stat]bool{}}
	if c.optimize {
		foldLocals(f)
	}
	c.functions(f.Body)
	c.function(nil, f.Body)
}

// optimizes reports whether the compiler's level of optimization is above 0.
func optimizes(f *File) bool {
	level := 1
	for _, c := range f.Comments {
		if !c.Hot || !c.Header {
			continue
		}
		if rest, ok := strings.CutPrefix(c.Text, "!optimize "); ok {
			level = 0
			_, _ = fmt.Sscanf(rest, "%d", &level)
		} else if c.Text == "!native" {
			level = 2
		}
	}
	if level <= 0 {
		Inspect(f, func(n Node) bool {
			if a, ok := n.(*Attribute); ok && a.Name == "native" {
				level = 2
			}
			return level <= 0
		})
	}
	return level > 0
}

// compiler is the state of the model.
type compiler struct {
	file     *File
	optimize bool
	upvals   map[*FunctionExpr][]*Local // of the functions that are done
	ends     map[Stat]bool              // what terminates has found out

	// of the current function
	top      int // the first free register
	locals   []*Local
	outer    []*Local // its upvalues
	children int
	loops    []loop
}

type loop struct{ skipped *ContinueStat } // the first continue of the loop

func (c *compiler) fail(n Node, format string, args ...any) {
	panic(&Error{n.Span(), fmt.Sprintf(format, args...)})
}

// functions goes through the functions in n, inner ones first.
func (c *compiler) functions(n Node) {
	Inspect(n, func(n Node) bool {
		if n.family() == ofType {
			return false
		}
		switch n := n.(type) {
		case *TypeFunctionStat, *Attribute:
			return false
		case *FunctionExpr:
			c.functions(n.Body)
			c.function(n, n.Body)
			return false
		}
		return true
	})
}

func (c *compiler) function(f *FunctionExpr, body *Block) {
	c.top, c.locals, c.outer, c.children, c.loops = 0, c.locals[:0], nil, 0, c.loops[:0]
	if f != nil {
		params := f.Params
		if f.Self != nil {
			params = append([]*Local{f.Self}, params...)
		}
		first := c.alloc(f, len(params))
		for i, p := range params {
			c.push(p, first+i)
		}
	}
	c.stats(body.Stats)
	c.pop(0)
	if f != nil {
		c.upvals[f] = c.outer
	}
}

func (c *compiler) stats(list []Stat) {
	for _, s := range list {
		c.stat(s)
		if c.terminates(s) {
			return
		}
	}
}

// alloc takes n registers, which the caller gives back by setting top to what it was.
func (c *compiler) alloc(at Node, n int) int {
	first := c.top
	if first+n > maxRegisters {
		c.fail(at, "too many locals and values at once: a function has %d registers, and this needs more; split it into smaller functions or statements",
			maxRegisters)
	}
	c.top += n
	return first
}

func (c *compiler) push(l *Local, reg int) {
	if len(c.locals) >= maxLocals {
		c.fail(l, "too many locals: '%s' would be more than the %d that a function can have at once; use a table, or do … end around parts",
			clip(l.Name), maxLocals)
	}
	c.locals = append(c.locals, l)
	l.reg, l.live = reg, true
}

func (c *compiler) pop(n int) {
	for _, l := range c.locals[n:] {
		l.live = false
	}
	c.locals = c.locals[:n]
}

func (c *compiler) upvalue(at Node, l *Local) {
	for _, o := range c.outer {
		if o == l {
			return
		}
	}
	if len(c.outer) >= maxUpvalues {
		c.fail(at, "too many upvalues: '%s' would be more than the %d locals of outer functions that one function can use; use a table",
			clip(l.Name), maxUpvalues)
	}
	c.outer = append(c.outer, l)
}

// terminates reports whether s always ends in return, break or continue.
func (c *compiler) terminates(s Stat) bool {
	switch s.(type) {
	case *ReturnStat, *BreakStat, *ContinueStat:
		return true
	case *Block, *IfStat:
		found, ok := c.ends[s]
		if !ok {
			found = c.terminatesNew(s)
			c.ends[s] = found
		}
		return found
	}
	return false
}

func (c *compiler) terminatesNew(s Stat) bool {
	switch s := s.(type) {
	case *Block:
		for _, inner := range s.Stats {
			if c.terminates(inner) {
				return true
			}
		}
	case *IfStat:
		cond := c.fold(s.Cond)
		switch {
		case cond.known() && cond.truth:
			return c.terminates(s.Then)
		case s.Else == nil:
			return false
		case cond.known():
			return c.terminates(s.Else)
		}
		return c.terminates(s.Then) && c.terminates(s.Else)
	}
	return false
}

func (c *compiler) fold(e Expr) constant {
	if !c.optimize {
		return constant{state: unknown}
	}
	return fold(e)
}
