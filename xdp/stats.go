//go:build linux

package xdp

// Counters are what a socket has done since it was opened. The owner of the
// group writes and reads them; there is no lock.
type Counters struct {
	RxPackets uint64 `json:"rx_packets"`
	RxBytes   uint64 `json:"rx_bytes"`
	TxPackets uint64 `json:"tx_packets"`
	TxBytes   uint64 `json:"tx_bytes"`

	// Packets we dropped on the way in: a descriptor that names no frame the
	// kernel had, or bytes outside one; more pieces than frame.MaxChain.
	RxInvalid uint64 `json:"rx_invalid"`
	RxTooLong uint64 `json:"rx_too_long"`
	// Completions of frames that were not being sent.
	CompletionInvalid uint64 `json:"completion_invalid"`
	// Refills that found the pool empty.
	PoolEmpty uint64 `json:"pool_empty"`

	// Packets we refused to hand to the kernel: bytes outside the frame, an
	// unfinished chain, more pieces than the kernel takes.
	TxInvalid uint64 `json:"tx_invalid"`
	// Packets the kernel or the driver dropped after taking them (EBUSY).
	TxBusy uint64 `json:"tx_busy"`

	// System calls that made the kernel look at the TX and fill rings.
	TxWakeups uint64 `json:"tx_wakeups"`
	RxWakeups uint64 `json:"rx_wakeups"`
	// Answers to the first of them. Nothing is lost: the packets wait.
	TxAgain   uint64 `json:"tx_again"`   // EAGAIN: budget used up, or back-pressure
	TxDown    uint64 `json:"tx_down"`    // ENETDOWN: the link is down
	TxUnbound uint64 `json:"tx_unbound"` // ENXIO: the interface is gone
	TxNoMem   uint64 `json:"tx_no_mem"`  // ENOBUFS, ENOMEM
	TxFailed  uint64 `json:"tx_failed"`  // any other
}

// KernelCounters are the six fields of XDP_STATISTICS.
type KernelCounters struct {
	RxDropped      uint64 `json:"rx_dropped"`
	RxInvalidDescs uint64 `json:"rx_invalid_descs"`
	TxInvalidDescs uint64 `json:"tx_invalid_descs"`
	RxRingFull     uint64 `json:"rx_ring_full"`
	FillRingEmpty  uint64 `json:"fill_ring_empty"`
	TxRingEmpty    uint64 `json:"tx_ring_empty"` // starvation, not a drop
}

// Stats is what there is to say about one socket.
type Stats struct {
	Interface string         `json:"interface"`
	Queue     int            `json:"queue"`
	Mode      Granted        `json:"mode"`
	Counters  Counters       `json:"counters"`
	Kernel    KernelCounters `json:"kernel"`
	// Frames the kernel holds to receive into, and frames it is sending.
	Filled  int `json:"filled"`
	Sending int `json:"sending"`
}

// Stats reads the socket's counters and the kernel's. A kernel that does not
// answer (the interface is gone) leaves zeros.
func (s *Socket) Stats() Stats {
	k, _ := statistics(s.fd)
	return Stats{
		Interface: s.nic.Name,
		Queue:     s.queue,
		Mode:      s.granted,
		Counters:  s.count,
		Kernel: KernelCounters{
			RxDropped:      k.Rx_dropped,
			RxInvalidDescs: k.Rx_invalid_descs,
			TxInvalidDescs: k.Tx_invalid_descs,
			RxRingFull:     k.Rx_ring_full,
			FillRingEmpty:  k.Rx_fill_ring_empty_descs,
			TxRingEmpty:    k.Tx_ring_empty_descs,
		},
		Filled:  int(s.filled),
		Sending: int(s.sending),
	}
}

// Stats are those of every socket, in the order of Sockets.
func (g *Group) Stats() []Stats {
	out := make([]Stats, len(g.sockets))
	for i, s := range g.sockets {
		out[i] = s.Stats()
	}
	return out
}
