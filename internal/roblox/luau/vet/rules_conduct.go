package vet

// conductRules are about what a script does to others.
var conductRules = []Rule{
	{"self-copy", Deny, "the script copies itself, as a virus does", "clone models that hold no scripts of unknown origin, from ServerStorage",
		`script:Clone().Parent = workspace`, `script.Lamp:Clone().Parent = workspace`},
	{"hard-coded-account", Deny, "one person's account is singled out, which is how hidden administrators are made",
		"use the owner (game.CreatorId), a group's rank, a team or an attribute that the teacher sets",
		`game.Players.PlayerAdded:Connect(function(p) if p.UserId == 123456789 then p:SetAttribute("Admin", true) end end)`,
		`game.Players.PlayerAdded:Connect(function(p) if p.UserId == game.CreatorId then p:SetAttribute("Admin", true) end end)`},
	{"client-commands", Deny, "a client says what the server does", "offer named actions in a table of functions, and check every argument",
		`game.ReplicatedStorage.R.OnServerEvent:Connect(function(_, o, k, v) o[k] = v end)`,
		`local Allowed = { Jump = 1 } game.ReplicatedStorage.R.OnServerEvent:Connect(function(p, k) if Allowed[k] then p.Character.Humanoid.Jump = true end end)`},
}

// flagRules are about what deserves a look.
var flagRules = []Rule{
	{"nolint", Flag, "--!nolint hides warnings from the reader", "correct what is warned about", "--!nolint\nprint(1)", "--!strict\nprint(1)"},
	{"endless-loop", Flag, "the loop neither waits nor ends, so that the server stands still", "call task.wait() in the loop, or give it an end",
		`while true do print(1) end`, `while true do print(1) task.wait(1) end`},
	{"unbounded-instances", Flag, "objects are made again and again and never counted or removed", "count them before one more is made, or remove them by Debris:AddItem or Destroy",
		`while task.wait(1) do Instance.new("Part").Parent = workspace end`,
		`while task.wait(1) do if #workspace:GetChildren() < 50 then Instance.new("Part").Parent = workspace end end`},
	{"heartbeat-work", Flag, "it runs for every frame, which costs the more the more the place holds", "use a tween, an event or a loop with task.wait where that is enough",
		`game:GetService("RunService").Heartbeat:Connect(function() print(1) end)`, `game:GetService("RunService").Heartbeat:Wait()`},
	{"unvalidated-remote", Flag, "what a client sends is used before it is checked", "check the type with typeof and the range before the first use, and return when it does not fit",
		`game.ReplicatedStorage.R.OnServerEvent:Connect(function(player, n) player.leaderstats.Coins.Value += n end)`,
		`game.ReplicatedStorage.R.OnServerEvent:Connect(function(player, n) if typeof(n) == "number" then print(n) end end)`},
	{"data-store-write", Flag, "it changes what is stored for good", "check the value, and write seldom: on leaving and every few minutes",
		`pcall(function() game:GetService("DataStoreService"):GetDataStore("A"):SetAsync("k", 1) end)`,
		`pcall(function() return game:GetService("DataStoreService"):GetDataStore("A"):GetAsync("k") end)`},
	{"data-store-unprotected", Flag, "the write is not in a pcall, so that its failure stops the script", "call it within pcall and warn when it fails",
		`game:GetService("DataStoreService"):GetDataStore("A"):SetAsync("k", 1)`,
		`pcall(function() game:GetService("DataStoreService"):GetDataStore("A"):SetAsync("k", 1) end)`},
}
