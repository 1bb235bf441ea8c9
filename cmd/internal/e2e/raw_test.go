package e2e

import (
	"bufio"
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgproto3/v2"
	"github.com/jackc/pgx/v5/pgconn"
)

// patience is how long a reply may take that must come. It decides no test that passes.
const patience = 30 * time.Second

// rawConn is the client's side of the protocol as bytes: what is sent and what comes is up to the test. The messages are
// made with pgproto3/v2, which shares no line with the proxy's own codec.
type rawConn struct {
	t testing.TB
	net.Conn
	r   *bufio.Reader
	pid uint32
	key []byte
}

// frame is one message of the server, header included.
type frame []byte

func (f frame) kind() byte { return f[0] }

// raw logs in and takes the connection over.
func raw(t testing.TB, dsn string) *rawConn {
	t.Helper()
	c, err := tryRaw(t, dsn)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func tryRaw(t testing.TB, dsn string) (*rawConn, error) {
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	pc, err := pgconn.Connect(ctx, dsn)
	if err != nil {
		return nil, err
	}
	h, err := pc.Hijack()
	if err != nil {
		return nil, err
	}
	t.Cleanup(func() { h.Conn.Close() })
	return &rawConn{t: t, Conn: h.Conn, r: bufio.NewReader(h.Conn), pid: h.PID, key: h.SecretKey}, nil
}

// dial connects without a word.
func dial(t testing.TB) *rawConn {
	t.Helper()
	nc, err := net.Dial("tcp", proxyAddress())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { nc.Close() })
	return &rawConn{t: t, Conn: nc, r: bufio.NewReader(nc)}
}

// proxyAddress is where clients connect to.
func proxyAddress() string { return net.JoinHostPort(city.Proxy.Host, strconv.Itoa(city.Proxy.Port)) }

func encode(messages ...pgproto3.FrontendMessage) []byte {
	var b []byte
	for _, m := range messages {
		var err error
		if b, err = m.Encode(b); err != nil {
			panic(err) // none of ours is too long
		}
	}
	return b
}

func (c *rawConn) send(messages ...pgproto3.FrontendMessage) {
	c.t.Helper()
	c.sendBytes(encode(messages...))
}

func (c *rawConn) sendBytes(b []byte) {
	c.t.Helper()
	c.SetWriteDeadline(time.Now().Add(patience))
	if _, err := c.Write(b); err != nil {
		c.t.Fatalf("the message cannot be sent: %v", err)
	}
}

// next reads one message.
func (c *rawConn) next() (frame, error) {
	c.SetReadDeadline(time.Now().Add(patience))
	head, err := c.r.Peek(5)
	if err != nil {
		return nil, err
	}
	f := make(frame, 1+int(binary.BigEndian.Uint32(head[1:])))
	_, err = io.ReadFull(c.r, f)
	return f, err
}

// until reads up to and including the first message of a type. It fails the test when none comes.
func (c *rawConn) until(kind byte) []frame {
	c.t.Helper()
	var all []frame
	for {
		f, err := c.next()
		if err != nil {
			c.t.Fatalf("waiting for %q after %s: %v", kind, kinds(all), err)
		}
		all = append(all, f)
		if f.kind() == kind {
			return all
		}
	}
}

// rest reads to the end of the connection.
func (c *rawConn) rest() []frame {
	c.t.Helper()
	var all []frame
	for {
		f, err := c.next()
		if err != nil {
			if e, ok := err.(net.Error); ok && e.Timeout() {
				c.t.Fatalf("the connection stays open after %s", kinds(all))
			}
			return all
		}
		all = append(all, f)
	}
}

// ask sends a simple Query and reads up to ReadyForQuery.
func (c *rawConn) ask(text string) []frame {
	c.t.Helper()
	c.send(&pgproto3.Query{String: text})
	return c.until('Z')
}

// kinds are the types of messages, one letter each; ReadyForQuery with its status.
func kinds(frames []frame) string {
	var b strings.Builder
	for _, f := range frames {
		b.WriteByte(f.kind())
		if f.kind() == 'Z' {
			b.WriteByte(f[5])
		}
	}
	return b.String()
}

// errorOf returns the first error among messages, with its SQLSTATE; nil when there is none.
func errorOf(frames []frame) *pgproto3.ErrorResponse {
	for _, f := range frames {
		if f.kind() == 'E' {
			var e pgproto3.ErrorResponse
			if err := e.Decode(f[5:]); err != nil {
				panic(err)
			}
			return &e
		}
	}
	return nil
}

// values are the columns of the DataRows among messages, NULL as "NULL".
func values(frames []frame) [][]string {
	var rows [][]string
	for _, f := range frames {
		if f.kind() != 'D' {
			continue
		}
		var d pgproto3.DataRow
		if err := d.Decode(f[5:]); err != nil {
			panic(err)
		}
		var row []string
		for _, v := range d.Values {
			if v == nil {
				row = append(row, "NULL")
			} else {
				row = append(row, string(v))
			}
		}
		rows = append(rows, row)
	}
	return rows
}

// text is what messages say, for failure reports; long ones are cut.
func text(frames []frame) string {
	var b bytes.Buffer
	for i, f := range frames {
		if i == 20 {
			fmt.Fprintf(&b, "  … %d more\n", len(frames)-i)
			break
		}
		body := f[5:]
		if len(body) > 300 {
			body = body[:300]
		}
		fmt.Fprintf(&b, "  %c %q\n", f.kind(), body)
	}
	return b.String()
}

// roles are the upstream roles of people, as the demo gives them.
var roles = map[string]string{"bench": "it_centre_load_test", "civil_manager": "civil_affairs_manager"}

// directDSN is how a person's upstream role reaches the server past the proxy, which the city's people cannot.
func directDSN(t testing.TB, user string) string {
	t.Helper()
	u, err := url.Parse(city.UpstreamDSN)
	if err != nil {
		t.Fatal(err)
	}
	password, err := os.ReadFile(filepath.Join(city.dir, "keys", "role-"+roles[user]+".password"))
	if err != nil {
		t.Fatal(err)
	}
	u.User = url.UserPassword(roles[user], strings.TrimSpace(string(password)))
	return u.String()
}
