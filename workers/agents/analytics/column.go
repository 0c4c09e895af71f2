package analytics

import (
	"regexp"
	"strings"
	"unicode"

	"github.com/toolboxai/orchestrator/workers/agents/lesson"
)

// maxFields bounds the fields of all records together.
const maxFields = 50

// role is what a field is about, by its common names.
type role int

const (
	other role = iota
	student
	adult // a person who is neither student nor player
	identifier
	objective
	question
	score
	maxScore
	correct
	attempts
	seconds
	minutes
	moment
	stage
	fps
	frameTime
	ping
	memory
	players
	crashRate
)

// roles are the names, without capitals and punctuation.
func roles() map[role]string {
	return map[role]string{
		student: "studentid student studentname learnerid learner pupilid pupil userid user username playerid player playername childid child " +
			"participantid participant displayname fullname firstname lastname surname name email emailaddress member memberid",
		adult:      "teacher teacherid teachername parent parentname guardian author instructor coach createdby phone telephone address",
		identifier: "id uuid guid sessionid serverid jobid recordid rowid index ip ipaddress",
		objective:  "objective objectives skill topic standard concept competency outcome learninggoal goal objectiveid",
		question:   "question questionid item itemid q problem problemid exercise",
		score:      "score points mark marks result percent percentage pct",
		maxScore:   "maxscore maxpoints max outof possible totalpoints pointspossible",
		correct:    "correct iscorrect right passed success iscorrectanswer",
		attempts:   "attempts tries attemptcount",
		seconds: "timespent timespentseconds timeseconds seconds duration durationseconds timetaken sessionlength sessionseconds sessionduration " +
			"playtime playtimeseconds",
		minutes:   "minutes durationminutes sessionminutes playtimeminutes timespentminutes",
		moment:    "time t date timestamp day at createdat datetime when startedat occurredat",
		stage:     "stage step level checkpoint funnelstep screen event eventname",
		fps:       "fps clientfps framerate serverfps heartbeat serverheartbeat averagefps avgfps",
		frameTime: "frametime frametimems serverframetime serverframetimems",
		ping:      "ping pingms latency latencyms",
		memory:    "servermemory servermemorymb",
		players:   "players playercount connectedplayers",
		crashRate: "crashrate crashratepercent",
	}
}

// roleOf returns what a field of that name is about.
func roleOf(name string) role {
	key := strings.Map(func(r rune) rune {
		if unicode.IsLetter(r) || unicode.IsDigit(r) {
			return unicode.ToLower(r)
		}
		return -1
	}, name)
	for r, names := range roles() {
		if strings.Contains(" "+names+" ", " "+key+" ") {
			return r
		}
	}
	switch { // better a field too many hidden than a name told
	case person.MatchString(key):
		return student
	case grownUp.MatchString(key):
		return adult
	}
	return other
}

var (
	person  = regexp.MustCompile(`^(?:student|pupil|learner|child|player|user|participant).*(?:id|name|number|no|login|handle|key|mail)$|email|(?:first|last|full|nick|user|display|sur|given|family)name`)
	grownUp = regexp.MustCompile(`^(?:teacher|parent|guardian|instructor|mother|father).*(?:id|name|number|mail)?$`)
)

// column is one field of all records.
type column struct {
	name    string
	label   string // for people and models
	role    role
	values  []value
	given   int  // values that are not missing
	numeric bool // at least 80 % of what is given is numbers, or true and false
}

func newColumn(name string, values []value) column {
	c := column{name: name, label: label(name), role: roleOf(name), values: values}
	numbers := 0
	for _, v := range values {
		switch v.is {
		case isNumber, isFlag:
			numbers++
			c.given++
		case isText:
			c.given++
		}
	}
	c.numeric = c.given > 0 && numbers*10 >= c.given*8
	return c
}

// isPerson reports whether the field says who somebody is.
func (c column) isPerson() bool { return c.role == student || c.role == adult }

// measured reports whether statistics of the field mean anything.
func (c column) measured() bool {
	return c.numeric && !c.isPerson() && c.role != identifier && c.role != moment && c.role != question && c.role != stage && c.role != maxScore
}

// number returns the number of a record, if it has one.
func (c column) number(i int) (float64, bool) {
	v := c.values[i]
	return v.number, v.is == isNumber || v.is == isFlag
}

// numbers returns all numbers, in the order of the records.
func (c column) numbers() []float64 {
	var out []float64
	for i := range c.values {
		if n, ok := c.number(i); ok {
			out = append(out, n)
		}
	}
	return out
}

// unmarked takes out of a field's name what no text for a class holds, so that a report may quote it.
var unmarked = strings.NewReplacer("_", " ", "<", " ", ">", " ", "[", " ", "]", " ", "{", " ", "}", " ", "|", " ", "`", " ")

// label makes a name fit to be shown.
func label(name string) string {
	if name = lesson.Clip(lesson.Clean(unmarked.Replace(name)), 60); name == "" {
		return "unnamed"
	}
	return name
}

// slug makes a label a part of a figure's name.
func slug(label string) string {
	var b strings.Builder
	for _, r := range strings.ToLower(label) {
		switch {
		case unicode.IsLetter(r) || unicode.IsDigit(r):
			b.WriteRune(r)
		case b.Len() > 0 && !strings.HasSuffix(b.String(), "_"):
			b.WriteByte('_')
		}
	}
	if s := strings.Trim(b.String(), "_"); s != "" {
		return s
	}
	return "unnamed"
}
