package perf

import (
	"math/rand/v2"
	"strconv"
)

// Payloads gives the values of records. Owned by one goroutine; a value must not be changed and stays valid.
type Payloads interface {
	// Next is the value of the n-th record.
	Next(n int64) []byte
}

// poolSize is where random payloads may start: far more bytes than a batch has, so that compression does not find a
// payload twice.
const poolSize = 4 << 20

type randomPayloads struct {
	pool   []byte
	size   int
	random *rand.PCG
}

// Random gives payloads of capital letters, size bytes each, cut out of one pool of random letters: making each one
// anew would cost more than sending it.
func Random(size int) Payloads {
	r := rand.NewPCG(0, 1)
	pool := make([]byte, poolSize+size)
	for i := range pool {
		pool[i] = byte('A' + r.Uint64()%26)
	}
	return &randomPayloads{pool, size, r}
}

func (p *randomPayloads) Next(int64) []byte {
	at := int(p.random.Uint64() % poolSize)
	return p.pool[at : at+p.size : at+p.size]
}

type chosenPayloads struct {
	list   [][]byte
	random *rand.PCG
}

// Chosen picks payloads out of a list at random. The list is not empty.
func Chosen(list [][]byte) Payloads { return &chosenPayloads{list, rand.NewPCG(0, 1)} }

func (p *chosenPayloads) Next(int64) []byte { return p.list[p.random.Uint64()%uint64(len(p.list))] }

// Counting gives the record's number as text.
type Counting struct{ chunk []byte }

// Next implements Payloads.
func (c *Counting) Next(n int64) []byte {
	const longest, chunk = 20, 64 << 10
	if cap(c.chunk)-len(c.chunk) < longest {
		c.chunk = make([]byte, 0, chunk)
	}
	start := len(c.chunk)
	c.chunk = strconv.AppendInt(c.chunk, n, 10)
	return c.chunk[start:len(c.chunk):len(c.chunk)]
}
