package tcp

import (
	"github.com/mpxd/mpxd/internal/checksum"
	"github.com/mpxd/mpxd/internal/frame"
	"github.com/mpxd/mpxd/internal/slab"
)

// Node is one span in a queue, linked by index.
type Node struct {
	Span frame.Span
	Seq  Seq    // of the span's first byte
	Next uint32 // 0 ends the list
	Prev uint32
	Mark uint64
}

// Nodes is a shard's population of queue nodes.
type Nodes struct{ slab.Slab[Node] }

// Whole reports whether r is exactly the span of one node, and that span.
func (ns *Nodes) Whole(r Run) (frame.Span, bool) {
	if r.Len == 0 {
		return frame.Span{}, false
	}
	n := ns.At(r.Node)
	return n.Span, r.Off == 0 && r.Len == uint32(n.Span.Len)
}

// Gather copies the bytes of r to dst, which must hold them, and returns
// their sum.
func (ns *Nodes) Gather(p *frame.Pool, r Run, dst []byte) uint16 {
	var sum uint16
	done, off := 0, r.Off
	for id := r.Node; done < int(r.Len); {
		n := ns.At(id)
		src := p.Bytes(n.Span)[off:]
		src = src[:min(len(src), int(r.Len)-done)]
		sum = checksum.Append(sum, done, checksum.Copy(dst[done:done+len(src)], src))
		done += len(src)
		off, id = 0, n.Next
	}
	return sum
}
