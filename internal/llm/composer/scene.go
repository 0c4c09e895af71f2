package composer

// scene is how an environment is played in.
type scene struct {
	name        string
	interactive []string
	mechanics   []string
}

func sceneOf(environment string) scene {
	switch environment {
	case "laboratory":
		return scene{"laboratory",
			[]string{"Benches with tools that can be picked up and used on samples.", "A display that records each group's measurements."},
			[]string{"Predict first, then test: points for a prediction that comes with a reason."}}
	case "outdoor":
		return scene{"outdoor area",
			[]string{"A trail with stations that light up when a group comes near.", "Objects to collect that belong to the topic."},
			[]string{"A walk from station to station; the next one opens when the last one is solved."}}
	case "historical":
		return scene{"historical site",
			[]string{"Characters who tell what they know when they are spoken to.", "Finds to uncover, each with a label."},
			[]string{"Collect sources and decide which of them can be trusted."}}
	case "futuristic":
		return scene{"city of the future",
			[]string{"Holograms that can be turned and taken apart.", "Doors that open to the right answer."},
			[]string{"Repair the city: each solved task switches on a district."}}
	case "underwater":
		return scene{"underwater station",
			[]string{"A diving bell that takes groups to the stations.", "Sea animals and plants with labels."},
			[]string{"Answers refill the air of the group; nobody is ever lost, but a slow group surfaces and begins anew."}}
	case "space_station":
		return scene{"space station",
			[]string{"Airlocks that open to the right answer.", "A control desk on which values can be changed."},
			[]string{"Each solved task brings one system of the station back."}}
	case "fantasy":
		return scene{"enchanted land",
			[]string{"A book of spells whose words are the terms of the lesson.", "Creatures that trade a clue for an answer."},
			[]string{"Each solved task mends a bridge to the next island."}}
	case "custom":
		return scene{"place",
			[]string{"Signs with the goals of the lesson.", "Stations with a question and a model to look at."},
			[]string{"Stations are solved in any order; the last door needs all of them."}}
	}
	return scene{"classroom",
		[]string{"A board that shows the goal of the section.", "Desks with models to look at from all sides."},
		[]string{"Stations around the room are solved in any order; the last door needs all of them."}}
}
