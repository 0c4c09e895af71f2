package composer

import "slices"

// recipe is a script that the composer can write.
type recipe struct {
	file   string   // scripts/<file>.server.luau and, with client, .client.luau
	name   string   // of the script
	words  []string // stems that ask for it
	client bool     // has something to do on a player's device
	about  string
	parts  []string
	needs  []string // objects that it works with
	notes  []string // on security
}

func recipes() []recipe {
	return []recipe{
		{
			file: "door", name: "DoorScript", words: stems("door gate entrance doorway"),
			about: "A door that slides up when a player comes near and closes again after some seconds.",
			parts: []string{"A part that moves by tween", "An invisible zone that takes the touches", "A flag that keeps it from starting twice"},
			needs: []string{"Workspace.Door, a part (made when it is missing)"},
			notes: []string{"Only characters of players open the door.", "The door moves on the server, so no client can open it for others."},
		},
		{
			file: "checkpoint", name: "CheckpointScript", words: stems("checkpoint respawn obby stage savepoint"),
			about: "Checkpoints that count in their order; players come back at the last one they reached.",
			parts: []string{"A folder of numbered pads", "A Stage value for each player", "A move to the last pad after each respawn"},
			needs: []string{"Workspace.Checkpoints, a folder of parts named 1, 2, 3 … (made when it is missing)"},
			notes: []string{"Stages are counted on the server and only in order: a client cannot skip one.", "Progress is not saved when a player leaves."},
		},
		{
			file: "quiz", name: "QuizScript", words: stems("quiz question answer trivia test exam"), client: true,
			about: "A quiz: the server keeps the questions and answers, the screen shows them one by one and sends what was chosen.",
			parts: []string{"A list of questions on the server", "Two RemoteFunctions: get a question, submit an answer", "Points in leaderstats"},
			needs: []string{"ReplicatedStorage.GetQuestion and ReplicatedStorage.SubmitAnswer, RemoteFunctions (made by the server's script)"},
			notes: []string{"Answers never leave the server.", "The server checks the type of what clients send, counts each question once and allows one answer a second."},
		},
		{
			file: "leaderboard", name: "LeaderboardScript", words: stems("leaderboard leaderstats score point ranking scoreboard"),
			about: "Points for each player in the list of players, awarded by other scripts on the server.",
			parts: []string{"A leaderstats folder for each player", "A BindableEvent that other server scripts fire", "An upper bound for one award"},
			needs: []string{"ServerStorage.AwardPoints, a BindableEvent (made when it is missing)"},
			notes: []string{"Points are awarded through a BindableEvent, which clients cannot reach.", "One award is at most 100 points, and never negative."},
		},
		{
			file: "collectible", name: "CollectibleScript", words: stems("coin collect collectible gem pickup token treasure"),
			about: "Things to collect: they turn, count for the player who touches them, vanish and come back.",
			parts: []string{"A folder of parts", "A Collected value for each player", "A pause until a taken piece comes back"},
			needs: []string{"Workspace.Collectibles, a folder of parts (made when it is missing)"},
			notes: []string{"Touches are counted on the server, each piece once until it is back."},
		},
		{
			file: "dialogue", name: "DialogueScript", words: stems("npc dialogue dialog talk speak guide conversation"),
			about: "A character that says some lines when a player talks to it.",
			parts: []string{"A model with a head", "A ProximityPrompt", "The lines, in order"},
			needs: []string{"Workspace.Guide, a model with a part Head (made when it is missing)"},
			notes: []string{"The lines are fixed in the script: players cannot put words into its mouth."},
		},
		{
			file: "daynight", name: "DayNightScript", words: stems("day night daylight sun sunrise sunset"),
			about: "A cycle of day and night with light that follows the sun.",
			parts: []string{"The hour of the place, moved on ten times a second", "Brightness by the height of the sun"},
			notes: []string{"The clock runs on the server, so all players see the same hour."},
		},
		{
			file: "timer", name: "TimerScript", words: stems("timer countdown stopwatch clock round"), client: true,
			about: "Rounds with a break between them; the time left is on every screen.",
			parts: []string{"Two values in ReplicatedStorage: SecondsLeft and Phase", "A loop of rounds and breaks", "A clock on the screen"},
			needs: []string{"ReplicatedStorage.SecondsLeft and ReplicatedStorage.Phase (made by the server's script)"},
			notes: []string{"The server counts; a client that changes its own copy changes nothing for others."},
		},
	}
}

func scaffoldRecipe() recipe {
	return recipe{
		file: "scaffold", name: "LessonScript", client: true,
		needs: []string{},
		about: "A structure for the request: what is set up, what happens for each player, and where input is checked.",
		parts: []string{"Set-up of the objects", "What each player needs", "A check of everything that comes from clients", "Clean-up when a player leaves"},
		notes: []string{"Everything that comes from a client has to be checked on the server; the place for it is marked."},
	}
}

// recipeFor returns the recipe whose words the request uses most, the scaffold when it uses none.
func recipeFor(req scriptRequest) recipe {
	best, top := scaffoldRecipe(), 0
	words := stems(req.Functionality)
	for _, r := range recipes() {
		hits := 0
		for i, w := range words {
			if slices.Contains(r.words, w) {
				hits += 10
				if i < 3 {
					hits++ // what comes first is what is meant
				}
			}
		}
		if hits > top {
			best, top = r, hits
		}
	}
	if best.needs == nil {
		best.needs = []string{}
	}
	return best
}

func (r recipe) nameFor(req scriptRequest) string {
	switch req.ScriptType {
	case "LocalScript":
		return r.name[:len(r.name)-len("Script")] + "Client"
	case "ModuleScript":
		return r.name[:len(r.name)-len("Script")] + "Module"
	}
	return r.name
}
