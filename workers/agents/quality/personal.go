package quality

import (
	"regexp"
	"slices"
	"strings"
)

var (
	emailAddress = regexp.MustCompile(`[A-Za-z0-9._%+-]{1,64}@[A-Za-z0-9-]{1,63}(?:\.[A-Za-z0-9-]{1,63})*\.[A-Za-z]{2,24}\b`)
	// A number in groups as people write phone numbers: +49 30 1234567, (555) 123-4567, 555-123-4567, 020 7946 0958.
	phoneNumber   = regexp.MustCompile(`\+\d{1,3}[ .-]?(?:\(\d{1,4}\)[ .-]?)?\d{1,5}(?:[ .-]?\d{2,5}){1,4}|\(\d{3}\) ?\d{3}[ .-]\d{4}|\d{3}-\d{3}-\d{4}|\d{3}\.\d{3}\.\d{4}|1-\d{3}-\d{3}-\d{4}|0\d{2,4} \d{3,4} \d{3,5}`)
	socialNumber  = regexp.MustCompile(`\d{3}-\d{2}-\d{4}`)
	cardNumber    = regexp.MustCompile(`[3-6]\d{3}(?:[ -]?\d{4}){2}[ -]?\d{1,4}|3[47]\d{2}[ -]?\d{6}[ -]?\d{5}`)
	accountNumber = regexp.MustCompile(`\b[A-Z]{2}\d{2}(?: ?[A-Z0-9]{4}){3,7}(?: ?[A-Z0-9]{1,3})?\b`)
	streetAddress = regexp.MustCompile(`\b\d{1,5}[A-Za-z]? (?:(?:North|South|East|West|N\.|S\.|E\.|W\.) )?(?:[A-Z][a-z]+\.? ){1,3}(?:Street|St\.|Avenue|Ave\.?|Road|Rd\.?|Lane|Ln\.|Drive|Dr\.|Boulevard|Blvd\.?|Court|Terrace)(?:\W|$)`)
)

// famous addresses, which every pupil may read.
var famous = []string{"downing street", "pennsylvania avenue", "baker street", "wall street", "sesame street", "abbey road", "privet drive", "evergreen terrace"}

func (f *findings) personal(text string) {
	const mend = "leave personal data out, or write a description in its place"
	for _, at := range where(emailAddress, text, "@") {
		if found := text[at[0]:at[1]]; !f.add(found, "holds an e-mail address, %s: %s", hinted(found), mend) {
			return
		}
	}
	if !strings.ContainsAny(text, "0123456789") {
		return
	}
	for _, kind := range []struct {
		pattern *regexp.Regexp
		name    string
		is      func(text string, from, to int) bool
	}{
		{cardNumber, "the number of a payment card", isCard},
		{accountNumber, "the number of a bank account", isAccount},
		{socialNumber, "the number of a person", isSocial},
		{phoneNumber, "a phone number", isPhone},
		{streetAddress, "a street address", isAddress},
	} {
		for _, at := range kind.pattern.FindAllStringIndex(text, -1) {
			if !kind.is(text, at[0], at[1]) {
				continue
			}
			if found := text[at[0]:at[1]]; !f.add(found, "holds what looks like %s, %s: %s", kind.name, hinted(found), mend) {
				return
			}
		}
	}
}

// alone reports whether the number at from to to stands by itself: it is no part of a longer one, of a decimal or of a calculation.
func alone(text string, from, to int) bool {
	before, after := strings.TrimRight(text[max(0, from-4):from], " "), strings.TrimLeft(text[to:min(len(text), to+4)], " ")
	if from > 0 && strings.IndexByte("0123456789.,-/_=", text[from-1]) >= 0 || to < len(text) && strings.IndexByte("0123456789_/%", text[to]) >= 0 {
		return false
	}
	for _, sign := range []string{"=", "+", "−", "×", "÷", "*", "/", "^", "<", ">", "−"} {
		if strings.HasSuffix(before, sign) || strings.HasPrefix(after, sign) {
			return false
		}
	}
	return to+1 >= len(text) || strings.IndexByte(".,-", text[to]) < 0 || text[to+1] < '0' || text[to+1] > '9'
}

func digits(s string) []int {
	var out []int
	for _, b := range []byte(s) {
		if b >= '0' && b <= '9' {
			out = append(out, int(b-'0'))
		}
	}
	return out
}

// isCard holds the digits against the check of Luhn (ISO/IEC 7812-1).
func isCard(text string, from, to int) bool {
	d := digits(text[from:to])
	if !alone(text, from, to) || len(d) < 13 {
		return false
	}
	sum := 0
	for i, n := range d {
		if (len(d)-i)%2 == 0 {
			if n *= 2; n > 9 {
				n -= 9
			}
		}
		sum += n
	}
	return sum%10 == 0
}

// isAccount holds an IBAN against its check digits (ISO 13616).
func isAccount(text string, from, to int) bool {
	s := strings.ReplaceAll(text[from:to], " ", "")
	rest := 0
	for _, b := range []byte(s[4:] + s[:4]) {
		if b >= '0' && b <= '9' {
			rest = (rest*10 + int(b-'0')) % 97
		} else {
			rest = (rest*100 + int(b-'A') + 10) % 97
		}
	}
	return rest == 1
}

func isSocial(text string, from, to int) bool { return alone(text, from, to) }

func isPhone(text string, from, to int) bool {
	found := text[from:to]
	n := len(digits(found))
	if strings.HasPrefix(found, "+") {
		// +12 in a sum is no country: a phone number has eight digits or more, and nothing to count with in front.
		return n >= 8 && n <= 15 && strings.IndexByte("0123456789xyz)", before(text, from)) < 0
	}
	return n >= 9 && alone(text, from, to)
}

// before returns the last byte in front of i that is no space, a space when there is none.
func before(text string, i int) byte {
	s := strings.TrimRight(text[max(0, i-8):i], " ")
	if s == "" {
		return ' '
	}
	return s[len(s)-1]
}

func isAddress(text string, from, to int) bool {
	found := strings.ToLower(text[from:to])
	if slices.ContainsFunc(famous, func(known string) bool { return strings.Contains(found, known) }) {
		return false
	}
	// "In 1850 Main Street was …" names a year.
	words := strings.Fields(strings.ToLower(text[max(0, from-16):from]))
	year := len(digits(found[:4])) == 4 && (found[0] == '1' || strings.HasPrefix(found, "20"))
	return !year || len(words) == 0 || !slices.Contains([]string{"in", "of", "since", "by", "until", "from", "after", "before", "around", "about"}, words[len(words)-1])
}
