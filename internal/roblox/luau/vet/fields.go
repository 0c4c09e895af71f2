package vet

import "github.com/toolboxai/orchestrator/internal/roblox/luau"

// member returns what x[key] can be.
func (c *checker) member(x luau.Expr, keys values) values {
	var out []values
	for _, object := range c.eval(x) {
		for _, key := range keys {
			out = append(out, c.memberOf(object, key, x))
			if len(out) > maxValues {
				return append(join(out...), value{})
			}
		}
	}
	return join(out...)
}

func (c *checker) memberOf(object, key value, x luau.Expr) values {
	switch object.kind {
	case game:
		return c.ofGame(key)
	case service, instance, player:
		return ofInstance(object, key)
	case computed:
		if key.kind == client {
			return of(client)
		}
	case instances:
		return one(value{kind: instance, from: object.from})
	case client:
		return of(client)
	case global:
		if key.kind == client {
			return of(client)
		}
		if key.kind == text {
			return one(value{kind: global, text: object.text + "." + key.text})
		}
	case table:
		return c.ofTable(object.expr.(*luau.TableExpr), key, x)
	}
	if key.kind == text && key.text == "UserId" {
		return of(userID)
	}
	return of(unknown)
}

// ofGame returns a service for each name that is one.
func (c *checker) ofGame(key value) values {
	switch {
	case key.kind != text:
		return of(unknown)
	case key.text == "Parent" || key.text == "PlaceId" || key.text == "CreatorId" || key.text == "JobId":
		return of(computed)
	case key.text == "Workspace":
		return one(value{kind: service, text: "Workspace"})
	}
	return one(value{kind: service, text: key.text})
}

func ofInstance(object, key value) values {
	if key.kind != text {
		from := object.from & (ofScript | clientSent)
		if key.kind == client {
			from |= clientSent
		}
		return one(value{kind: instance, from: from})
	}
	switch key.text {
	case "Parent":
		if object.kind == service {
			return of(game)
		}
		if object.kind == instance && object.from&isScript != 0 {
			return of(instance)
		}
	case "UserId":
		return of(userID)
	case "Name", "DisplayName":
		if object.kind == player {
			return of(userName)
		}
		return of(computed)
	case "Value", "Text", "Source", "ClassName", "ContentText":
		return of(computed)
	case "LocalPlayer":
		return of(player)
	}
	from := object.from & (ofScript | clientSent)
	if object.from&isScript != 0 {
		from |= ofScript
	}
	return one(value{kind: instance, from: from})
}

// ofTable returns what an own table holds under a key: by its constructor and by what the file writes to fields of that name.
func (c *checker) ofTable(t *luau.TableExpr, key value, x luau.Expr) values {
	var out []values
	if len(t.Items) > maxItems {
		out = append(out, of(unknown))
	}
	at := 0.0
	for _, item := range t.Items[:min(len(t.Items), maxItems)] {
		var k values
		if item.Key == nil {
			at++
			k = one(value{kind: number, num: at})
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
		return of(unknown)
	}
	return join(out...)
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

// localOf returns the local that an expression names, or nil.
func (c *checker) localOf(x luau.Expr) *luau.Local {
	if n, ok := luau.Unparen(x).(*luau.NameExpr); ok {
		return n.Local
	}
	return nil
}

// maxItems bounds how many items of a table a look into it goes through. The rest is unknown.
const maxItems = 256
