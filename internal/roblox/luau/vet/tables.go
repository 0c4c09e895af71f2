package vet

import "github.com/toolboxai/orchestrator/internal/roblox/luau"

// ofTable returns what an own table holds under a key: by its constructor and by what the file writes to fields of that name.
func (c *checker) ofTable(t *luau.TableExpr, key value, x luau.Expr) values {
	var out []values
	if len(t.Items) > maxItems {
		out = append(out, of(unknown))
	}
	at := 0.0
	for i, item := range t.Items[:min(len(t.Items), maxItems)] {
		var k values
		if item.Key == nil {
			at++
			k = one(value{kind: number, num: at})
			if i == len(t.Items)-1 && openEnded([]luau.Expr{item.Value}) {
				k = of(computed) // it may give any number of items
			}
		} else {
			k = c.eval(item.Key)
		}
		if maybe(k, key) {
			out = append(out, c.eval(item.Value))
		}
		if len(out) > maxValues {
			return append(join(out...), value{})
		}
	}
	if key.kind == text {
		for _, v := range c.writes[key.text] {
			out = append(out, c.eval(v))
		}
	}
	for _, v := range c.elements[c.localOf(x)] {
		out = append(out, c.eval(v))
	}
	if len(out) == 0 {
		return c.inherited(key)
	}
	return join(out...)
}

// inherited returns what a key that a table does not have can be by the metatables of the file.
func (c *checker) inherited(key value) values {
	out := of(unknown)
	for _, index := range c.indexes[:min(len(c.indexes), maxValues)] {
		for _, v := range c.eval(index) {
			switch v.kind {
			case game, service, instance, player:
				out = join(out, c.memberOf(v, key, index))
			case function:
				out = join(out, c.returned(v.expr.(*luau.FunctionExpr)))
			}
		}
	}
	return out
}

// proxied reports whether a table of the file may have the members of something that is not the file's own.
func (c *checker) proxied() bool {
	for _, index := range c.indexes[:min(len(c.indexes), maxValues)] {
		for _, v := range c.eval(index) {
			f, ok := v.expr.(*luau.FunctionExpr)
			if own := ok && c.returned(f).only(table, function, text, number, other); !own && v.kind != table {
				return true
			}
		}
	}
	return len(c.indexes) > maxValues
}

// maybe reports whether a key can be that of an item.
func maybe(item values, key value) bool {
	if key.kind != text && key.kind != number {
		return true
	}
	for _, k := range item {
		if k.kind != text && k.kind != number || k.kind == key.kind && k.text == key.text && k.num == key.num {
			return true
		}
	}
	return false
}

// maxItems bounds how many items of a table a look into it goes through. The rest is unknown.
const maxItems = 256
