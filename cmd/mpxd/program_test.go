//go:build linux

package main

import (
	"bufio"
	"context"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/gopacket/gopacket"
	"github.com/gopacket/gopacket/layers"
	"github.com/gopacket/gopacket/pcapgo"

	"github.com/mpxd/mpxd/internal/lab"
)

// asProgram makes the test binary the program itself.
const asProgram = "MPXD_TEST_IS_THE_PROGRAM"

func TestMain(m *testing.M) {
	if os.Getenv(asProgram) == "1" {
		main()
	}
	os.Exit(m.Run())
}

// TestProgram runs mpxd serve as a process with a capture, uses it, and ends it
// by a signal: what is open is reset, status 0, the interfaces free, the capture
// whole.
func TestProgram(t *testing.T) {
	lab.Root(t)
	c := newChain(t, lab.AllOffloads...)
	file := filepath.Join(t.TempDir(), "x.pcapng")
	cmd := exec.Command(os.Args[0], "serve", "--interface", "cl,or",
		"--address", "cl=10.1.0.2/24,or=10.2.0.2/24", "--gateway", "10.2.0.1",
		"--xdp-mode", "generic", "--frames", "8192", "--pcap", file)
	cmd.Env = append(os.Environ(), asProgram+"=1")
	logged, err := cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := c.proxy.Do(cmd.Start); err != nil {
		t.Fatal(err)
	}
	kill := time.AfterFunc(60*time.Second, func() { cmd.Process.Kill() })
	defer kill.Stop()
	lines := bufio.NewScanner(logged)
	for lines.Scan() {
		t.Log(lines.Text())
		if strings.Contains(lines.Text(), "listening") {
			break
		}
	}

	origin, err := c.origin.Serve(lab.Listen{Addr: target(false, 0)})
	if err != nil {
		t.Fatal(err)
	}
	defer origin.Close()
	client := lab.Client{NS: c.client, Proxy: entry(false)}
	const size = 1 << 20
	if _, err := client.Download(context.Background(), origin.Addr.String(), lab.Limit{Bytes: size}, 1); err != nil {
		t.Error(err)
	}
	open, err := client.Dial(context.Background(), origin.Addr.String())
	if err != nil {
		t.Fatal(err)
	}
	defer open.Close()
	if err := cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	open.SetReadDeadline(time.Now().Add(5 * time.Second))
	if _, err := open.Read(make([]byte, 1)); !errors.Is(err, syscall.ECONNRESET) {
		t.Errorf("a connection that was open at the end: %v, want a reset", err)
	}
	rest, _ := io.ReadAll(logged)
	if err := cmd.Wait(); err != nil {
		t.Errorf("after SIGTERM: %v\n%s", err, rest)
	}
	if i, err := c.proxy.Interface("cl"); err != nil || i.Xdp != nil && i.Xdp.Attached {
		t.Errorf("after the end: %+v, %v", i.Xdp, err)
	}
	in, out := capturedPayload(t, file)
	if in < size || out < size {
		t.Errorf("captured %d bytes of payload in and %d out, expected at least %d\n%s", in, out, size, rest)
	}
}

// capturedPayload counts the TCP payload in a capture by direction.
func capturedPayload(t *testing.T, name string) (in, out int) {
	t.Helper()
	f, err := os.Open(name)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	r, err := pcapgo.NewNgReader(f, pcapgo.DefaultNgReaderOptions)
	if err != nil {
		t.Fatal(err)
	}
	for {
		data, _, opts, err := r.ReadPacketDataWithOptions()
		if err == io.EOF {
			return in, out
		}
		if err != nil {
			t.Fatal(err)
		}
		tcp, ok := gopacket.NewPacket(data, layers.LayerTypeEthernet, gopacket.NoCopy).Layer(layers.LayerTypeTCP).(*layers.TCP)
		switch {
		case !ok:
		case opts.Flags.Direction == pcapgo.NgEpbFlagDirectionInbound:
			in += len(tcp.Payload)
		default:
			out += len(tcp.Payload)
		}
	}
}
