package composer

import "strconv"

// automatic are the cases that a script can do, by the type of test.
func (r testingRequest) automatic() []testingCase {
	var out []testingCase
	switch r.TestType {
	case "performance":
		out = r.performanceCases()
	case "security":
		out = securityCases()
	default:
		out = r.functionalCases()
	}
	for i := range out {
		out[i].Automated, out[i].Covers = true, []int{}
	}
	return out
}

func (r testingRequest) functionalCases() []testingCase {
	out := []testingCase{{
		Name: "Players have a place to appear", Purpose: "Without a spawn players appear in the middle of the world, or fall.", Priority: "high",
		Steps:    []string{"Look through the workspace for a SpawnLocation.", "See that there is one."},
		Expected: "The workspace holds at least one SpawnLocation.",
		body:     []string{`expect(workspace:FindFirstChildWhichIsA("SpawnLocation", true)):ok()`},
	}}
	for _, name := range r.objects() {
		out = append(out, testingCase{
			Name: "The object " + name + " is there", Purpose: "The script under test looks for it by this name and cannot work without it.", Priority: "high",
			Steps:    []string{"Start the place.", "Look for " + name + " among all objects."},
			Expected: "There is an object with the name " + name + ".",
			body:     []string{"expect(game:FindFirstChild(" + luauString(name) + ", true)):ok()"},
		})
	}
	return append(out, testingCase{
		Name: "Nothing falls out of the world", Purpose: "Parts that are not anchored and have nothing below them fall and are destroyed.", Priority: "medium",
		Steps:    []string{"Count the parts of the workspace.", "Wait three seconds and count again."},
		Expected: "After three seconds there are no fewer parts than before.",
		body: []string{
			"local function parts(): number",
			"\tlocal count = 0",
			"\tfor _, object in workspace:GetDescendants() do",
			"\t\tif object:IsA(\"BasePart\") then",
			"\t\t\tcount += 1",
			"\t\tend",
			"\tend",
			"\treturn count",
			"end",
			"local before = parts()",
			"task.wait(3)",
			"expect(parts()):atLeast(before)",
		},
	})
}

// target returns a number of the request, or ours.
func (r testingRequest) target(metric string, ours float64) string {
	if own, ok := r.Targets[metric]; ok {
		ours = own
	}
	return strconv.FormatFloat(ours, 'f', -1, 64)
}

func (r testingRequest) performanceCases() []testingCase {
	parts, memory := r.target("part_count", 10_000), r.target("server_memory_mb", 4_000)
	return []testingCase{
		{
			Name: "Frames are fast enough", Purpose: "A slow heartbeat makes everything that players do come late.", Priority: "high",
			Steps:    []string{"Measure the time of 60 frames in a row.", "Take the mean."},
			Expected: "A frame takes at most a thirtieth of a second on average.",
			body: []string{
				"local total = 0",
				"for _ = 1, 60 do",
				"\ttotal += RunService.Heartbeat:Wait()",
				"end",
				"expect(total / 60):atMost(1 / 30)",
			},
		},
		{
			Name: "There are few enough parts", Purpose: "Every part costs memory and time to draw, above all on old tablets.", Priority: "medium",
			Steps:    []string{"Count the parts of the workspace.", "Compare the number with the target."},
			Expected: "The workspace holds at most " + parts + " parts.",
			body: []string{
				"local count = 0",
				"for _, object in workspace:GetDescendants() do",
				"\tif object:IsA(\"BasePart\") then",
				"\t\tcount += 1",
				"\tend",
				"end",
				"expect(count):atMost(" + parts + ")",
			},
		},
		{
			Name: "Memory stays within its target", Purpose: "A server that runs out of memory ends for everybody in it.", Priority: "medium",
			Steps:    []string{"Read how much memory is in use.", "Compare it with the target."},
			Expected: "At most " + memory + " MB are in use.",
			body:     []string{"expect(Stats:GetTotalMemoryUsageMb()):atMost(" + memory + ")"},
		},
	}
}

func securityCases() []testingCase {
	return []testingCase{
		{
			Name: "Server scripts are out of reach", Purpose: "What lies in ReplicatedStorage is sent to every player, who can read it.", Priority: "high",
			Steps:    []string{"Go through everything in ReplicatedStorage.", "Look for scripts of the server."},
			Expected: "There is no script of the server in ReplicatedStorage.",
			body: []string{
				"local found: Instance? = nil",
				"for _, object in ReplicatedStorage:GetDescendants() do",
				"\tif object.ClassName == \"Script\" and (object :: Script).RunContext ~= Enum.RunContext.Client then",
				"\t\tfound = object",
				"\tend",
				"end",
				"expect(found):never()",
			},
		},
		{
			Name: "Remotes can be told apart", Purpose: "Two remotes of one name in one folder hide each other, and a check may guard the wrong one.", Priority: "medium",
			Steps:    []string{"Go through the remotes in ReplicatedStorage.", "Compare their full names."},
			Expected: "No two remotes have the same full name.",
			body: []string{
				"local seen: { [string]: boolean } = {}",
				"for _, object in ReplicatedStorage:GetDescendants() do",
				"\tif object:IsA(\"RemoteEvent\") or object:IsA(\"RemoteFunction\") then",
				"\t\texpect(seen[object:GetFullName()]):never()",
				"\t\tseen[object:GetFullName()] = true",
				"\tend",
				"end",
			},
		},
	}
}
