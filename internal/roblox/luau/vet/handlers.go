package vet

import "github.com/toolboxai/orchestrator/internal/roblox/luau"

// arguments are what one caller hands to a function.
type arguments struct {
	list    []luau.Expr
	open    bool    // more may come behind the list
	handler handler // or it is called for an event
}

// handler says what calls a function.
type handler uint8

const (
	ofServerRemote handler = iota + 1 // OnServerEvent, OnServerInvoke: a player, then what the client sends
	ofClientRemote                    // OnClientEvent, OnClientInvoke
	ofPlayer                          // PlayerAdded and others: a player
	ofAnything                        // DescendantAdded of a service
	ofBindable                        // Event, OnInvoke, in a file that fires what a client sent
)

// handed returns what a handler's parameter can be.
func (c *checker) handed(h handler, index int) values {
	switch {
	case h == ofServerRemote && index > 0, h == ofClientRemote:
		return of(client)
	case (h == ofServerRemote || h == ofPlayer) && index == 0:
		return of(player)
	case h == ofAnything && index == 0:
		return one(value{kind: instance, from: swept})
	case h == ofBindable:
		return c.fired(index)
	}
	return of(unknown)
}

// handlerOf says what an event or callback hands to its handler, 0 for others.
func (c *checker) handlerOf(event luau.Expr) handler {
	event = luau.Unparen(event)
	if n, ok := event.(*luau.NameExpr); ok && n.Local != nil {
		event = luau.Unparen(c.scopes.Constant(n))
	}
	x, name, ok := c.memberName(event)
	if !ok {
		return 0
	}
	switch name {
	case "OnServerEvent", "OnServerInvoke":
		return ofServerRemote
	case "OnClientEvent", "OnClientInvoke":
		return ofClientRemote
	case "PlayerAdded", "PlayerRemoving", "MouseClick", "Triggered", "PromptTriggered":
		return ofPlayer
	case "DescendantAdded", "DescendantRemoving":
		if xs := c.eval(x); xs.has(service) || xs.has(game) {
			return ofAnything
		}
	case "Event", "OnInvoke":
		return ofBindable
	}
	return 0
}

// connected returns the event of a call event.Connect(event, …).
func (c *checker) connected(call *luau.CallExpr) (luau.Expr, bool) {
	field, ok := luau.Unparen(call.Func).(*luau.FieldExpr)
	if !ok || !connects(field.Name.Text) {
		return nil, false
	}
	return field.X, true
}

// namedHandler finds out for which event a function is called that stands in a field: by the field's name.
func (c *checker) namedHandler(where luau.Node, self luau.Expr) []arguments {
	name := ""
	switch where := where.(type) {
	case *luau.FunctionStat:
		if field, ok := where.Target.(*luau.FieldExpr); ok {
			name = field.Name.Text
		}
	case *luau.AssignStat:
		for i, v := range where.Values {
			if _, field, ok := c.memberName(where.Targets[min(i, len(where.Targets)-1)]); ok && v == self {
				name = field
			}
		}
	case *luau.TableExpr:
		for _, item := range where.Items {
			if s, ok := luau.StringValue(item.Key); ok && item.Value == self {
				name = s
			}
		}
	}
	if h := c.handlers[name]; name != "" && h != 0 {
		return []arguments{{handler: h}}
	}
	return nil
}

// collectHandler notes the name of a field whose function is connected to an event.
func (c *checker) collectHandler(event, f luau.Expr) {
	field, ok := luau.Unparen(f).(*luau.FieldExpr)
	if !ok {
		return
	}
	if h := c.handlerOf(event); h != 0 {
		c.handlers[field.Name.Text] = h
	}
}

// fired returns what the file hands to bindable events and functions at a place, as far as it is from a client.
func (c *checker) fired(index int) values {
	for _, args := range c.fires {
		for i, a := range args {
			if (i == index || i == len(args)-1 && i < index && openEnded(args)) && c.eval(a).has(client) {
				return of(client)
			}
		}
	}
	return of(unknown)
}
