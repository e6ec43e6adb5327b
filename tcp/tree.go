package tcp

// tree finds a place among the nodes out of order by sequence number: a search tree by Seq
// that is a heap by random weights, so that a path down it is of logarithmic length
// whatever a peer sends, in whatever order. It is the handle of the root, 0 if empty.
//
// Of such a node prior and after are the roots of what lies before and behind it, and
// sent is its weight.
type tree uint32

// find is the last node that begins at or before at; 0: none does.
func (t tree) find(ns *Nodes, at Seq) (prev uint32) {
	for id := uint32(t); id != 0; {
		if n := ns.At(id); n.Seq.After(at) {
			id = n.prior
		} else {
			prev, id = id, n.after
		}
	}
	return prev
}

// insert adds node id, whose Seq no other has, with a random weight.
func (t *tree) insert(ns *Nodes, id uint32, weight Time) {
	n := ns.At(id)
	n.sent = weight
	link := (*uint32)(t)
	for *link != 0 && ns.At(*link).sent >= weight {
		if m := ns.At(*link); m.Seq.After(n.Seq) {
			link = &m.prior
		} else {
			link = &m.after
		}
	}
	// What is there is divided into what lies before the node and behind it.
	before, behind := &n.prior, &n.after
	for at := *link; at != 0; {
		if m := ns.At(at); m.Seq.After(n.Seq) {
			*behind = at
			behind = &m.prior
			at = m.prior
		} else {
			*before = at
			before = &m.after
			at = m.after
		}
	}
	*before, *behind = 0, 0
	*link = id
}

// remove takes node id out.
func (t *tree) remove(ns *Nodes, id uint32) {
	n := ns.At(id)
	link := (*uint32)(t)
	for *link != id {
		if m := ns.At(*link); m.Seq.After(n.Seq) {
			link = &m.prior
		} else {
			link = &m.after
		}
	}
	before, behind := n.prior, n.after
	for before != 0 && behind != 0 {
		if m := ns.At(before); m.sent >= ns.At(behind).sent {
			*link, link, before = before, &m.after, m.after
		} else {
			m = ns.At(behind)
			*link, link, behind = behind, &m.prior, m.prior
		}
	}
	*link = before + behind // one of them is 0
	n.prior, n.after, n.sent = 0, 0, 0
}

// pop takes the first node off.
func (t *tree) pop(ns *Nodes) {
	link := (*uint32)(t)
	for ns.At(*link).prior != 0 {
		link = &ns.At(*link).prior
	}
	n := ns.At(*link)
	*link = n.after
	n.after, n.sent = 0, 0
}
