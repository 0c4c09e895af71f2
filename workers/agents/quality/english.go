package quality

import "strings"

// common are the most frequent words of written English, most of them small.
const common = " the of and a to in is you that it he was for on are as with his they i at be this have from or one had by word but not what all were we " +
	"when your can said there use an each which she do how their if will up other about out many then them these so some her would make like him " +
	"into time has look two more write go see number no way could people my than first water been call who its now find long down day did get " +
	"come made may part over new take only little work know place year live me back give most very after thing our just name good think say " +
	"help through much before line right too mean old any same tell following came want show also around three small set put end does another well " +
	"large must big even such because turn here why ask went need different us move try again still should learn off under while between both "

var commonWords = func() map[string]bool {
	set := map[string]bool{}
	for w := range strings.FieldsSeq(common) {
		set[w] = true
	}
	return set
}()

func isCommon(word string) bool { return commonWords[strings.ToLower(word)] }
