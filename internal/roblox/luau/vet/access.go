package vet

import (
	"slices"
	"strings"

	"github.com/toolboxai/orchestrator/internal/roblox/luau"
)

// forbiddenServices has the rule that each service breaks. HttpService is looked at more closely, see httpUse.
var forbiddenServices = map[string]string{
	"InsertService": "insert-service", "TeleportService": "teleport-service", "MarketplaceService": "marketplace-service",
	"CommerceService": "marketplace-service", "AdService": "marketplace-service",
	"ScriptContext": "privileged-service", "CoreGui": "privileged-service", "LogService": "privileged-service",
	"VirtualInputManager": "privileged-service", "VirtualUser": "privileged-service", "HttpRbxApiService": "privileged-service",
	"ScriptEditorService": "privileged-service", "StudioService": "privileged-service", "PluginGuiService": "privileged-service",
	"BrowserService": "privileged-service", "LinkingService": "privileged-service", "OpenCloudService": "privileged-service",
	"RbxAnalyticsService": "privileged-service", "NetworkClient": "privileged-service", "NetworkServer": "privileged-service",
	"CorePackages": "privileged-service", "RobloxPluginGuiService": "privileged-service", "PackageService": "privileged-service",
}

// forbiddenMembers has the rule that a member breaks on any object that is not the file's own table.
var forbiddenMembers = map[string]string{
	"LoadAsset": "insert-service", "LoadAssetVersion": "insert-service", "LoadAssetAsync": "insert-service", "GetObjects": "insert-service",
	"GetObjectsAsync": "insert-service", "LoadLocalAsset": "insert-service",
	"HttpGet": "http-request", "HttpPost": "http-request", "HttpGetAsync": "http-request", "HttpPostAsync": "http-request",
	"PostAsync": "http-request", "RequestAsync": "http-request", "RequestInternal": "http-request", "CreateWebStreamClient": "http-request",
	"TeleportAsync": "teleport-service", "TeleportToPlaceInstance": "teleport-service", "TeleportPartyAsync": "teleport-service",
	"TeleportToPrivateServer": "teleport-service", "TeleportToSpawnByName": "teleport-service",
	"PromptPurchase": "marketplace-service", "PromptProductPurchase": "marketplace-service", "PromptGamePassPurchase": "marketplace-service",
	"PromptPremiumPurchase": "marketplace-service", "PromptBulkPurchase": "marketplace-service", "PromptSubscriptionPurchase": "marketplace-service",
	"ProcessReceipt": "marketplace-service", "PromptCommerceProductPurchase": "marketplace-service", "PromptRealWorldCommerceBrowser": "marketplace-service",
	"ShowRewardedVideoAdAsync": "marketplace-service", "ShowVideoAd": "marketplace-service",
	"RunScript": "script-source", "AddCoreScriptLocal": "script-source", "ExecuteScript": "script-source",
	"OpenBrowserWindow": "privileged-service", "OpenNativeOverlay": "privileged-service",
}

// httpMethods are what HttpService does without the web.
var httpMethods = []string{"JSONEncode", "JSONDecode", "GenerateGUID", "UrlEncode"}

// forbiddenGlobals has the rule that a global breaks wherever it is named.
var forbiddenGlobals = map[string]string{
	"loadstring": "loadstring", "getfenv": "environment", "setfenv": "environment", "_ENV": "environment", "_G": "global-table", "shared": "global-table",
	"newproxy": "newproxy", "plugin": "script-source", "dofile": "loadstring", "loadfile": "loadstring", "load": "loadstring",
}

// executors are globals of programs that run scripts against Roblox's rules. A game has none of them.
var executors = []string{
	"getgenv", "getrenv", "getsenv", "getreg", "getgc", "getrawmetatable", "setreadonly", "make_writeable", "hookfunction", "hookmetamethod",
	"newcclosure", "checkcaller", "getnamecallmethod", "getconnections", "getscripts", "getloadedmodules", "fireclickdetector", "fireproximityprompt",
	"firetouchinterest", "firesignal", "syn", "http_request", "request", "writefile", "readfile", "appendfile", "delfile", "listfiles", "setclipboard", "toclipboard",
	"identifyexecutor", "queue_on_teleport", "decompile", "getcallingscript", "sethiddenproperty", "gethiddenproperty", "setsimulationradius", "saveinstance",
}

// debugMembers are what scripts may take of the debug library.
var debugMembers = []string{"traceback", "info", "profilebegin", "profileend", "setmemorycategory", "resetmemorycategory", "dumpcodesize"}

// globalUse checks the mention of a global.
func (c *checker) globalUse(n *luau.NameExpr) {
	if n.Local != nil {
		return
	}
	if rule := forbiddenGlobals[n.Name]; rule != "" {
		c.because(rule, n.Span(), n.Name+": "+ruleOf(rule).Why)
		return
	}
	where, self := c.tree.use(n)
	switch n.Name {
	case "require":
		if call, ok := where.(*luau.CallExpr); ok && call.Func == self {
			c.required(call)
		} else if !c.target(n) {
			c.add("require-alias", n.Span())
		}
	case "debug":
		field, ok := where.(*luau.FieldExpr)
		if !ok || !slices.Contains(debugMembers, field.Name.Text) {
			c.add("debug-library", n.Span())
		}
	default:
		if slices.Contains(executors, n.Name) && !c.eval(n).only(function, table, text, number, computed, other) {
			c.because("executor-function", n.Span(), n.Name+": "+ruleOf("executor-function").Why)
		}
	}
}

// required checks what require is called with.
func (c *checker) required(call *luau.CallExpr) {
	if len(call.Args) == 0 {
		c.add("require-computed", call.Span())
		return
	}
	vs := c.eval(call.Args[0])
	for _, v := range vs {
		switch v.kind {
		case number:
			c.add("require-by-id", call.Span())
			return
		case text:
			if !strings.HasPrefix(v.text, "./") && !strings.HasPrefix(v.text, "../") && !strings.HasPrefix(v.text, "@") {
				c.add("require-by-id", call.Span())
				return
			}
		}
	}
	for _, v := range vs {
		switch v.kind {
		case instance, service, text:
			if v.from&clientSent == 0 {
				continue
			}
		case other: // nil of the branch that is not taken
			if len(vs) > 1 {
				continue
			}
		}
		c.add("require-computed", call.Span())
		return
	}
}
