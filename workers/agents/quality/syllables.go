package quality

import "strings"

// odd are words whose syllables the rules below miscount.
var odd = map[string]int{
	"area": 3, "areas": 3, "being": 2, "business": 2, "colonel": 2, "create": 2, "created": 3, "creates": 2, "diet": 2, "doing": 2, "every": 2,
	"everything": 3, "everybody": 4, "everyone": 3, "evening": 2, "family": 3, "fire": 1, "going": 2, "hour": 1, "idea": 3, "ideas": 3, "lion": 2, "lions": 2,
	"museum": 3, "ocean": 2, "people": 2, "poem": 2, "poems": 2, "poet": 2, "quiet": 2, "real": 1, "really": 2, "rhythm": 2, "science": 2, "scientist": 3,
	"scientists": 3, "somebody": 3, "someone": 2, "something": 2, "sometimes": 2, "triangle": 3, "triangles": 3, "violin": 3, "giant": 2, "neon": 2,
	"theater": 3, "react": 2, "reaction": 3, "nuclei": 3, "species": 2, "somewhere": 2, "therefore": 2, "whole": 1, "eyes": 1, "clothes": 1, "vegetable": 4,
	"algae": 2, "create.": 2, "dioxide": 3, "bacteria": 4, "recipe": 3, "simile": 3, "apostrophe": 4, "hyperbole": 4, "says": 1, "prism": 2,
}

// Syllables returns how many syllables an English word has, by its letters: groups of vowels, less the silent ones, plus those
// that are spoken apart. It is 1 at least.
func Syllables(word string) int {
	w := strings.ToLower(strings.Trim(word, "'’"))
	for _, end := range []string{"'s", "’s", "'", "’"} {
		w = strings.TrimSuffix(w, end)
	}
	if n, ok := odd[w]; ok {
		return n
	}
	n, before := 0, false
	for i := 0; i < len(w); i++ {
		vowel := strings.IndexByte("aeiouy", w[i]) >= 0 && (w[i] != 'y' || i > 0)
		if vowel && !before {
			n++
		}
		before = vowel
	}
	n += apart(w) - silent(w)
	return max(n, 1)
}

// silent counts the vowels at the end that are not spoken.
func silent(w string) int {
	if len(w) < 3 {
		return 0
	}
	last := func(i int) byte { return w[len(w)-i] }
	consonant := func(b byte) bool { return strings.IndexByte("aeiouy", b) < 0 }
	switch {
	case strings.HasSuffix(w, "ely") || strings.HasSuffix(w, "ement") || strings.HasSuffix(w, "ements") || strings.HasSuffix(w, "eless") || strings.HasSuffix(w, "eful"):
		if i := strings.LastIndexAny(w[:len(w)-2], "e"); i > 0 && i < len(w)-2 && consonant(w[i-1]) && strings.ContainsAny(w[:i-1], "aeiouy") {
			return 1 // the e in safely, movement
		}
	case last(1) == 'e' && last(2) == 'l' && len(w) > 3 && consonant(last(3)):
		return 0 // ta-ble
	case last(1) == 'e' && consonant(last(2)):
		return 1 // make
	case strings.HasSuffix(w, "es") && len(w) > 4:
		if strings.IndexByte("lszxg", last(3)) >= 0 || strings.HasSuffix(w, "ches") || strings.HasSuffix(w, "shes") || strings.HasSuffix(w, "ces") {
			if last(3) == 'l' && !consonant(last(4)) {
				return 1 // rules
			}
			return 0 // box-es, ta-bles
		}
		if consonant(last(3)) {
			return 1 // makes
		}
	case strings.HasSuffix(w, "ed") && len(w) > 3:
		if last(3) != 't' && last(3) != 'd' && consonant(last(3)) && (last(3) != 'l' || !consonant(last(4)) || last(4) == 'l') {
			return 1 // walked
		}
	}
	return 0
}

// apart counts the vowels that stand in one group and are spoken as two.
func apart(w string) int {
	n := 0
	for _, pair := range []string{"ia", "io", "iu", "eo", "ua", "uou", "ying", "uity"} {
		for rest := w; ; {
			i := strings.Index(rest, pair)
			if i < 0 {
				break
			}
			before, after := rest[:i], rest[i+len(pair):]
			rest = rest[i+len(pair):]
			switch {
			case (pair == "io" || pair == "ia") && (endsIn(before, "t", "s", "c", "g", "x") && (strings.HasPrefix(after, "n") || strings.HasPrefix(after, "l") || strings.HasPrefix(after, "u"))):
				continue // na-tion, so-cial, pre-cious
			case pair == "ua" && endsIn(before, "q", "g"):
				continue // square
			case pair == "eo" && (endsIn(before, "p") && strings.HasPrefix(after, "ple")):
				continue
			case pair == "ying" && !endsIn(before, "l", "r", "d", "p", "t", "f", "n", "v"):
				continue
			}
			n++
		}
	}
	if strings.HasSuffix(w, "sm") || strings.HasSuffix(w, "sms") {
		n++ // or-ga-nis-m
	}
	return n
}

func endsIn(s string, ends ...string) bool {
	for _, e := range ends {
		if strings.HasSuffix(s, e) {
			return true
		}
	}
	return false
}
