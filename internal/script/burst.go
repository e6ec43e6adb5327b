package script

import (
	"reflect"

	"github.com/mpxd/mpxd/tcp"
)

// With --tso a packet is expected as a host with segmentation offload would have
// handed it to the NIC: several segments that leave back to back are one large packet.
// Where it ends is a matter of the host's taste, so the script has it: as many segments
// are joined as fill the packet that it names.

// gather joins what follows a segment to it, up to the length that is wanted.
func (r *runner) gather(f *flow, at tcp.Time, got *Packet, want *Packet) {
	size := got.Len // of all but the last one
	for last := size; last == size && got.Len < want.Len && len(r.sent) > 0; {
		s := &r.sent[0]
		if g, err := r.flowOf(&s.d); err != nil || g != f || s.at > at+r.net.tolerance {
			return
		}
		next, err := f.read(&s.d, want)
		if err != nil || !follows(got, next) || next.Len > size || got.Len+next.Len > want.Len {
			return
		}
		r.sent = r.sent[1:]
		last = next.Len
		got.Len += next.Len
		got.Flags |= next.Flags
	}
}

// follows reports whether b is the next segment of the same large packet: the
// same in all, but that PSH and FIN stand on the last one.
func follows(a, b *Packet) bool {
	const ends = Flags(tcp.PSH | tcp.FIN)
	return b.Len > 0 && b.Seq == a.Seq+a.Len && a.Flags&Flags(tcp.FIN) == 0 && a.Flags&^ends == b.Flags&^ends &&
		a.Ack == b.Ack && a.Win == b.Win && a.Urg == b.Urg && a.ECN == b.ECN && reflect.DeepEqual(a.Options, b.Options)
}
