package stack

const (
	// ringMin is what a busy connection's ring begins with; one that never carried
	// anything has no memory.
	ringMin = 8 << 10
	// ringMax bounds a ring. A hop between a goroutine and a locked thread costs 50 us: so
	// much at once carries 20 Gbit/s.
	ringMax = 256 << 10
)

// ring is a queue of bytes with one writer and one reader. Its fields are
// guarded by their mutex, its bytes are not: the reader alone touches used, the
// writer alone unused, and growing leaves the old bytes as they are for a reader
// who still copies them.
type ring struct {
	b          []byte // as long as a power of two
	head, tail uint64 // how many bytes were read and written
}

func (r *ring) len() int  { return int(r.tail - r.head) }
func (r *ring) room() int { return len(r.b) - r.len() }

// used are the bytes to read, in two runs; unused is where to write.
func (r *ring) used() (p, q []byte)   { return r.runs(r.head, r.len()) }
func (r *ring) unused() (p, q []byte) { return r.runs(r.tail, r.room()) }

func (r *ring) runs(at uint64, n int) (p, q []byte) {
	if n == 0 {
		return nil, nil
	}
	i := int(at & uint64(len(r.b)-1))
	p = r.b[i:min(i+n, len(r.b))]
	return p, r.b[:n-len(p)]
}

// grow makes room for n bytes, as far as ringMax allows.
func (r *ring) grow(n int) {
	if r.room() >= n || len(r.b) == ringMax {
		return
	}
	size := max(len(r.b), ringMin)
	for size < ringMax && size-r.len() < n {
		size *= 2
	}
	next := ring{b: make([]byte, size), head: r.head, tail: r.head}
	for p, q := r.used(); len(p) > 0; p, q = q, nil {
		into, rest := next.unused()
		spread(into, rest, 0, p)
		next.tail += uint64(len(p))
	}
	*r = next
}

// spread copies b to offset at of two runs that hold it.
func spread(p, q []byte, at int, b []byte) {
	if at < len(p) {
		n := copy(p[at:], b)
		at, b = at+n, b[n:]
	}
	if len(b) > 0 {
		copy(q[at-len(p):], b)
	}
}

// consume says that everything before to was read. An old position changes
// nothing: the ring was emptied meanwhile.
func (r *ring) consume(to uint64) { r.head = max(r.head, to) }

// clear forgets the bytes and their memory.
func (r *ring) clear() { *r = ring{head: r.tail, tail: r.tail} }
