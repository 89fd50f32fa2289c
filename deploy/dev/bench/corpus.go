package main

import (
	"fmt"
	"math/rand/v2"
	"strconv"
	"sync"
)

// corpusBytes is how much of a corpus there is before it repeats: more than the encoders' windows and
// the cores' own caches, and little beside what a sender holds.
const corpusBytes = 4 << 20

// corpora by name: how long a record is and how it is made.
var corpora = map[string]struct {
	size   int
	append func(b []byte, r *rand.Rand, size int) []byte
}{
	"json100": {100, appendEvent},
	"json1k":  {1 << 10, appendDocument},
	"json10k": {10 << 10, appendDocument},
	"log1k":   {1 << 10, appendLog},
	"rand1k":  {1 << 10, appendRandom},
}

// newCorpus returns the records of a corpus, the same ones for the same seed. They lie in one block.
func newCorpus(name string, seed uint64) ([][]byte, error) {
	c, ok := corpora[name]
	if !ok {
		return nil, fmt.Errorf("making corpus %q: there is none of that name; use json100, json1k, json10k, log1k or rand1k", name)
	}
	r := rand.New(rand.NewPCG(seed, 0))
	block := make([]byte, 0, corpusBytes)
	var records [][]byte
	for len(block)+c.size <= corpusBytes {
		from := len(block)
		block = c.append(block, r, c.size)
		records = append(records, block[from:len(block):len(block)])
	}
	return records, nil
}

func appendRandom(b []byte, r *rand.Rand, size int) []byte {
	for range size {
		b = append(b, byte(r.Uint32()))
	}
	return b
}

// appendEvent is one flat object of a hundred bytes: a click, a measurement.
func appendEvent(b []byte, r *rand.Rand, size int) []byte {
	from := len(b)
	b = appendKey(b, `{"ts":`, 1_700_000_000_000+r.Uint64N(86_400_000))
	b = appendKey(b, `,"user":`, r.Uint64N(1_000_000))
	b = append(b, `,"event":"`...)
	b = append(b, pick(r, actions)...)
	b = append(b, `","page":"`...)
	b = append(b, pick(r, words)...)
	b = append(b, `","sig":"`...)
	return fill(b, r, from+size, 0)
}

// appendDocument is a document of prose, numbers and tokens, of which a third or so is random: what
// snappy makes half as long.
func appendDocument(b []byte, r *rand.Rand, size int) []byte {
	from := len(b)
	end := from + size
	b = appendKey(b, `{"ts":`, 1_700_000_000_000+r.Uint64N(86_400_000))
	b = append(b, `,"id":"`...)
	b = appendToken(b, r, 16)
	b = append(b, `","host":"edge-`...)
	b = strconv.AppendUint(b, r.Uint64N(512), 10)
	b = append(b, `.example.com","events":[`...)
	for end-len(b) > 285 {
		b = append(b, `{"action":"`...)
		b = append(b, pick(r, actions)...)
		b = appendKey(b, `","user":`, r.Uint64N(1_000_000))
		b = appendKey(b, `,"duration_us":`, r.Uint64N(1_000_000))
		b = append(b, `,"agent":"`...)
		b = append(b, pick(r, agents)...)
		b = append(b, `","session":"`...)
		b = appendToken(b, r, 41)
		b = append(b, `"},`...)
	}
	b = append(b, `{}],"note":"`...)
	return fill(b, r, end, 3)
}

// appendLog is what services log: sentences that come again, each with a number, and identifiers. golang/snappy makes it half as
// long; encoders that look further back find the sentences again.
func appendLog(b []byte, r *rand.Rand, size int) []byte {
	const tail = `"]}`
	end := len(b) + size - len(tail)
	b = appendKey(b, `{"ts":`, 1_700_000_000_000+r.Uint64N(86_400_000))
	b = append(b, `,"trace":"`...)
	b = appendHex(b, r, 128)
	b = append(b, `","lines":["`...)
	for sentences := logSentences(); ; {
		line := pick(r, sentences)
		if end-len(b) < len(line)+len(`12345","`) {
			return append(appendHex(b, r, end-len(b)), tail...)
		}
		b = append(appendKey(b, line, r.Uint64N(100_000)), `","`...)
	}
}

// logSentences are a hundred sentences of twenty words, made of 3,000 words.
var logSentences = sync.OnceValue(func() []string {
	r := rand.New(rand.NewPCG(1, 2))
	vocabulary := make([]string, 3000)
	for i := range vocabulary {
		word := make([]byte, 3+r.IntN(8))
		for j := range word { // some letters are more frequent, as in any language
			word[j] = "etaoinshrdlucmfwypvbgkqjxz"[int(26*r.Float64()*r.Float64())]
		}
		vocabulary[i] = string(word)
	}
	sentences := make([]string, 100)
	for i := range sentences {
		for range 20 {
			sentences[i] += pick(r, vocabulary) + " "
		}
	}
	return sentences
})

func appendHex(b []byte, r *rand.Rand, n int) []byte {
	for range n {
		b = append(b, "0123456789abcdef"[r.Uint32()%16])
	}
	return b
}

func appendKey(b []byte, key string, value uint64) []byte {
	return strconv.AppendUint(append(b, key...), value, 10)
}

const tokenChars = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"

func appendToken(b []byte, r *rand.Rand, n int) []byte {
	for range n {
		b = append(b, tokenChars[r.Uint32()%64])
	}
	return b
}

// fill ends the open string and the object exactly at end: n words to one token of eight characters,
// nothing but a token for 0.
func fill(b []byte, r *rand.Rand, end, n int) []byte {
	const tail = `"}`
	end -= len(tail)
	for i := 0; n > 0 && end-len(b) > 24; i++ {
		if i%(n+1) == n {
			b = appendToken(b, r, 8)
		} else {
			b = append(b, pick(r, words)...)
		}
		b = append(b, ' ')
	}
	b = appendToken(b, r, max(end-len(b), 0))
	return append(b[:end], tail...)
}

func pick(r *rand.Rand, from []string) string { return from[r.IntN(len(from))] }

var actions = []string{"view", "click", "scroll", "add_to_cart", "purchase", "login", "logout", "search"}

var agents = []string{
	"Mozilla/5.0 (X11; Linux x86_64)", "Mozilla/5.0 (Windows NT 10.0; Win64; x64)",
	"Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7)", "okhttp/4.12.0", "Go-http-client/2.0",
}

var words = []string{
	"basket", "delivery", "payment", "customer", "address", "voucher", "returned", "warehouse", "shipping", "invoice",
	"accepted", "rejected", "pending", "timeout", "retry", "region", "campaign", "newsletter", "discount", "category",
}
