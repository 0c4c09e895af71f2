package vet

import (
	"slices"
	"strings"

	"github.com/toolboxai/orchestrator/internal/roblox/luau"
)

// isScriptClass reports whether a class holds code.
func isScriptClass(class string) bool {
	return class == "Script" || class == "LocalScript" || class == "ModuleScript"
}

// callRules checks a call, also one by pcall, task.spawn and the like.
func (c *checker) callRules(n *luau.CallExpr) {
	fn, args := c.effective(n)
	f := c.eval(fn)
	if f.has(client) || f.trait(clientSent) {
		c.because("client-commands", n.Span(), "a function or method that a client names is called")
	}
	if f.trait(lateBound) {
		c.because("computed-access", n.Span(), "which method is called is computed when the script runs")
	}
	c.memberWrite(n)
	if fn != n.Func && f.is("coroutine.wrap") || len(args) == 0 {
		return
	}
	arg := c.eval(args[0])
	if f.is("Instance.new") {
		c.made(n, arg)
	}
	if f.is("Instance.fromExisting") && arg.trait(isScript) {
		c.add("self-copy", n.Span())
	}
	if f.is("table.find") && len(args) > 1 {
		c.accountList(n, args)
	}
	c.accountCall(f, args)
	if _, name, ok := c.memberName(luau.Unparen(fn)); ok {
		c.webMethod(n, name, arg, args[1:])
	}
}

// made checks the class of an object that is made.
func (c *checker) made(n luau.Expr, class values) {
	switch {
	case slices.ContainsFunc(class, func(v value) bool { return v.kind == text && isScriptClass(v.text) }):
		c.because("script-source", n.Span(), "scripts that are made at run time are code that nobody has read")
	case class.secret():
		c.because("computed-access", n.Span(), "which class is made is decoded when the script runs")
	case class.has(client):
		c.because("client-commands", n.Span(), "a client says which class is made")
	}
}

// webMethod checks methods that a service has under a name that others use as well. A data store is no object of the place.
func (c *checker) webMethod(n luau.Expr, name string, object values, args []luau.Expr) {
	switch {
	case name == "GetAsync" && (object.has(instance) || object.has(service) || len(args) > 0 && address(args[0])):
		c.add("http-request", n.Span())
	case name == "Teleport" && (object.has(instance) || object.has(service)):
		c.add("teleport-service", n.Span())
	}
}

// address reports whether there is an address of the web in an expression.
func address(e luau.Expr) bool {
	found := false
	inspect(e, func(n luau.Node) bool {
		s, ok := n.(*luau.StringExpr)
		found = found || ok && strings.Contains(s.Value, "://")
		return !found
	})
	return found
}

// methodRules checks x:name(…).
func (c *checker) methodRules(n *luau.MethodCallExpr) {
	object, name := c.eval(n.X), n.Name.Text
	own := object.only(table)
	if rule := forbiddenMembers[name]; rule != "" && (!own || c.proxied()) {
		c.add(rule, n.Span())
	}
	arg := of(other)
	if len(n.Args) > 0 {
		arg = c.eval(n.Args[0])
	}
	switch name {
	case "GetService", "FindService", "getService":
		if !own {
			c.serviceArg(n, arg)
		}
	case "GetChildren", "GetDescendants", "QueryDescendants":
		if object.has(game) {
			c.add("service-enumeration", n.Span())
		}
	case "Clone":
		if object.trait(isScript) {
			c.add("self-copy", n.Span())
		}
	case "GetAsync":
		if slices.ContainsFunc(arg, func(v value) bool { return v.kind == text && strings.Contains(v.text, "://") }) {
			c.add("http-request", n.Span())
		}
	}
	c.webMethod(n, name, object, n.Args)
	if takesName(name) && !own {
		c.nameArg(n, object, arg)
	}
	c.accountMethod(n)
	c.clientMethod(n)
	c.heartbeat(n)
	c.dataStore(n)
}

// serviceArg checks the name with which a service is asked for.
func (c *checker) serviceArg(n luau.Expr, name values) {
	if !name.only(text) || name.secret() {
		c.add("dynamic-service", n.Span())
	}
	for _, v := range name {
		if rule := forbiddenServices[v.text]; v.kind == text && rule != "" {
			c.add(rule, n.Span())
		}
	}
}

// nameArg checks the name with which a method looks for something.
func (c *checker) nameArg(n *luau.MethodCallExpr, object, name values) {
	if object.has(game) && (strings.HasPrefix(n.Name.Text, "FindFirst") || n.Name.Text == "WaitForChild") {
		c.serviceArg(n, name)
	}
	if name.secret() {
		c.because("computed-access", n.Span(), "the name that is looked for is decoded when the script runs")
	}
	if slices.ContainsFunc(name, func(v value) bool { return v.kind == text && fullWidth(v.text) }) {
		c.because("invisible-text", n.Span(), "letters of double width are taken for others")
	}
}
