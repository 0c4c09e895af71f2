package llm

import (
	"context"
	"hash/fnv"
	"math"
	"strings"
	"unicode"
	"unicode/utf8"
)

const (
	hashModel      = "hash-1"
	hashDimensions = 512

	wordWeight   = 1.0
	numberWeight = 3.0 // "grade 5" and "grade 6" are not the same wish
	pairWeight   = 0.8
	gramWeight   = 0.25
	shortestGram = 3
	longestGram  = 4
)

// OfflineEmbedder is the Embedder that needs no model: feature hashing over words, pairs of neighbouring words, and pieces of
// three and four letters of words, into 512 dimensions. Each feature goes to the dimension and with the sign that its FNV-1a hash
// says, weighed by its sort and by 1 + log of how often it occurs; a word with a digit counts three times. Letters are
// compared without case.
//
// Its vectors tell near-duplicates: the same words in another order or with other endings, a word more or less. They know
// nothing of meaning: synonyms and translations are far apart, and a "not" is one word among many. The model's name, offline/hash-1,
// stands for exactly these rules: whoever changes them changes it.
type OfflineEmbedder struct{}

var _ Embedder = OfflineEmbedder{}

// EmbeddingModel implements Embedder.
func (OfflineEmbedder) EmbeddingModel() Model {
	return Model{Provider: offlineProvider, Name: hashModel}
}

// String is for logs.
func (OfflineEmbedder) String() string { return offlineProvider + " " + hashModel }

// Embed implements Embedder. It costs nothing.
func (OfflineEmbedder) Embed(ctx context.Context, texts []string) ([][]float32, Usage, error) {
	texts, err := embeddable(texts)
	if err != nil {
		return nil, Usage{}, err
	}
	out := make([][]float32, len(texts))
	for i, t := range texts {
		if ctx.Err() != nil {
			return nil, Usage{}, endedFault(ctx, offlineProvider)
		}
		if out[i], err = normalise(hashed(t)); err != nil { // features that cancel each other out
			out[i] = make([]float32, hashDimensions)
			out[i][0] = 1
		}
	}
	return out, Usage{CostKnown: true}, nil
}

// hashed returns the features of text.
func hashed(text string) []float64 {
	type feature struct {
		sort  byte
		value string
	}
	count, weight := map[feature]int{}, map[feature]float64{}
	note := func(sort byte, value string, w float64) {
		f := feature{sort, value}
		count[f]++
		weight[f] = w
	}
	words := strings.FieldsFunc(strings.ToLower(text), func(r rune) bool { return !unicode.IsLetter(r) && !unicode.IsDigit(r) && !unicode.IsMark(r) })
	if len(words) == 0 {
		words = []string{strings.TrimSpace(text)} // nothing but signs
	}
	before := ""
	for _, w := range words {
		if strings.ContainsFunc(w, unicode.IsDigit) {
			note('n', w, numberWeight)
		} else {
			note('w', w, wordWeight)
		}
		if before != "" {
			note('p', before+" "+w, pairWeight)
		}
		before = w
		for _, g := range grams(w) {
			note('g', g, gramWeight)
		}
	}
	v := make([]float64, hashDimensions)
	for f, n := range count {
		h := fnv.New64a()
		_, _ = h.Write([]byte{f.sort}) // a hash takes everything
		_, _ = h.Write([]byte(f.value))
		sum := h.Sum64()
		w := weight[f] * (1 + math.Log(float64(n)))
		if sum>>63 == 1 {
			w = -w
		}
		v[sum%hashDimensions] += w
	}
	return v
}

// grams returns the pieces of a word, whose ends are marked.
func grams(word string) []string {
	marked := []rune("<" + word + ">")
	if utf8.RuneCountInString(word) > 64 {
		marked = marked[:64] // no word of a language
	}
	var out []string
	for n := shortestGram; n <= longestGram; n++ {
		for i := 0; i+n <= len(marked); i++ {
			out = append(out, string(marked[i:i+n]))
		}
	}
	return out
}
