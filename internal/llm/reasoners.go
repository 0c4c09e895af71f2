package llm

import (
	"regexp"
	"strconv"
	"strings"
)

// reasons reports whether a model of this name reasons before it answers unless told otherwise. Such models take no
// temperature but 1 and count their reasoning against the answer's limit. Version cutoffs, not lists of names, so that the
// next version of a family is covered.
func reasons(model string) bool {
	name := bareName(model)
	if strings.Contains(name, "embed") {
		return false
	}
	if strings.HasPrefix(name, "claude-") {
		return claudeReasons(name)
	}
	if isOpenAIReasoner(model) {
		return true
	}
	for _, family := range []string{"gemini-2.5", "gpt-oss", "deepseek-r1", "deepseek-reasoner", "qwen3", "qwq", "magistral"} {
		if strings.HasPrefix(name, family) {
			return true
		}
	}
	major, ok := leadingNumber(name, "gemini-")
	return ok && major >= 3
}

// isOpenAIReasoner reports whether model is of OpenAI's o series, or GPT-5 or later.
func isOpenAIReasoner(model string) bool {
	name := bareName(model)
	if major, ok := leadingNumber(name, "gpt-"); ok {
		return major >= 5 && major < 35 // gpt-35-turbo is how Azure spells 3.5
	}
	_, ok := leadingNumber(name, "o")
	return ok
}

// claudeReasons is true from 4.7 on: those refuse a temperature, and reason by default from 5 on.
func claudeReasons(name string) bool {
	major, minor, known := claudeVersion(name)
	if !known {
		return !strings.HasPrefix(name, "claude-2") && !strings.HasPrefix(name, "claude-3") && !strings.HasPrefix(name, "claude-instant")
	}
	return major > 4 || major == 4 && minor >= 7
}

// claudeVersion reads the version in a model's name. Names of the third generation put it before the family, as in
// claude-3-5-haiku, and are not known here.
func claudeVersion(name string) (major, minor int, known bool) {
	version := regexp.MustCompile(`^claude-[a-z]+-(\d+)(?:-(\d{1,2}))?(?:-|$)`).FindStringSubmatch(name)
	if version == nil {
		return 0, 0, false
	}
	major, _ = strconv.Atoi(version[1])
	minor, _ = strconv.Atoi(version[2])
	return major, minor, true
}

// bareName drops the vendor that routers put before a model's name: "openai/gpt-5-mini".
func bareName(model string) string {
	return strings.ToLower(model[strings.LastIndexByte(model, '/')+1:])
}

// leadingNumber returns the number that follows prefix.
func leadingNumber(name, prefix string) (int, bool) {
	rest, ok := strings.CutPrefix(name, prefix)
	if !ok {
		return 0, false
	}
	end := 0
	for end < len(rest) && rest[end] >= '0' && rest[end] <= '9' {
		end++
	}
	n, err := strconv.Atoi(rest[:end])
	return n, err == nil
}
