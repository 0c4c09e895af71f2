package vet

import (
	"slices"

	"github.com/toolboxai/orchestrator/internal/roblox/luau"
)

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
	if key.kind == text && key.text == "HttpService" && object.kind != table && object.kind != client {
		return one(value{kind: service, text: key.text})
	}
	switch object.kind {
	case game:
		return c.ofGame(key)
	case service, instance, player:
		return c.ofInstance(object, key)
	case text, computed, decoded:
		if key.kind == client {
			return of(client)
		}
		if key.kind == text && object.kind != computed {
			return one(value{kind: global, text: "string." + key.text})
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

// numeric are properties that hold any number and are no names of objects.
var numeric = []string{
	"LayoutOrder", "DisplayOrder", "ZIndex", "MaxHealth", "WalkSpeed", "JumpPower", "MaxValue", "MinValue", "ConstrainedValue",
}

// ofInstance returns a member of an object of the place: what the file writes to members of that name, a property or a child.
func (c *checker) ofInstance(object, key value) values {
	out := ofPlace(object, key)
	if key.kind != text || key.text == "Parent" || key.text == "UserId" || object.kind == service {
		return out
	}
	for _, v := range c.writes[key.text] {
		out = join(out, c.eval(v))
	}
	return out
}

func ofPlace(object, key value) values {
	if key.kind != text {
		from := object.from&(ofScript|clientSent) | lateBound
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
			return one(value{kind: instance, from: aroundScript})
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
	if slices.Contains(numeric, key.text) {
		return of(computed)
	}
	from := object.from & (ofScript | clientSent)
	if object.from&isScript != 0 {
		from |= ofScript
	}
	return one(value{kind: instance, from: from})
}

// localOf returns the local that an expression names, or nil.
func (c *checker) localOf(x luau.Expr) *luau.Local {
	if n, ok := luau.Unparen(x).(*luau.NameExpr); ok {
		return n.Local
	}
	return nil
}
