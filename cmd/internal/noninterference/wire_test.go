package noninterference

import (
	"bufio"
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"regexp"
	"strings"
	"time"

	"github.com/jackc/pgproto3/v2"
	"github.com/jackc/pgx/v5/pgconn"
)

// patience is how long a reply may take that must come.
const patience = 20 * time.Second

// client is a session with one of the worlds.
type client struct {
	net.Conn
	r        *bufio.Reader
	database string
}

// late is what is written into what came when nothing comes any more.
var late = []byte("nothing comes")

// frame is one message of the server, header included.
type frame []byte

func (f frame) kind() byte { return f[0] }

// login opens a session as a person through the proxy. With protocol options the session states a purpose.
func login(person, database, purpose string) (*client, error) {
	dsn, err := town.DSN(person)
	if err != nil {
		return nil, err
	}
	config, err := pgconn.ParseConfig(dsn)
	if err != nil {
		return nil, err
	}
	config.Database = database
	if purpose != "" {
		config.RuntimeParams["shiguan.purpose"] = purpose
	}
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	pc, err := pgconn.ConnectConfig(ctx, config)
	if err != nil {
		return nil, err
	}
	h, err := pc.Hijack()
	if err != nil {
		return nil, err
	}
	return &client{Conn: h.Conn, r: bufio.NewReader(h.Conn), database: database}, nil
}

// step is what is sent in one piece, and the message that is waited for before the next step: 0 waits for nothing.
type step struct {
	bytes []byte
	until []byte // one after the other
}

// script is what a client says.
type script []step

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

func queries(texts ...string) script {
	var s script
	for _, text := range texts {
		s = append(s, step{encode(&pgproto3.Query{String: text}), []byte{'Z'}})
	}
	return s
}

// play sends a script and returns what came. over says that the session has ended.
func (c *client) play(s script) (said []frame, over bool) {
	for _, st := range s {
		c.SetDeadline(time.Now().Add(patience))
		if len(st.bytes) > 0 {
			if _, err := c.Write(c.own(st.bytes)); err != nil {
				return append(said, c.end(err)), true
			}
		}
		for _, kind := range st.until {
			for {
				f, err := c.next()
				if err != nil {
					return append(said, c.end(err)), true
				}
				said = append(said, f)
				if f.kind() == kind || kind == 'G' && f.kind() == 'Z' { // no COPY came of it
					break
				}
			}
		}
	}
	return said, false
}

// own has statements that name the database name the session's.
func (c *client) own(b []byte) []byte {
	return bytes.ReplaceAll(b, []byte(trueName+"."+trueName+"."), []byte(c.database+"."+trueName+"."))
}

// end is how the end of a connection is written into what came.
func (c *client) end(err error) frame {
	c.Close()
	if e, ok := err.(net.Error); ok && e.Timeout() {
		return append(frame("!\x00\x00\x00\x04"), late...)
	}
	return frame("!\x00\x00\x00\x04closed")
}

func (c *client) next() (frame, error) {
	head, err := c.r.Peek(5)
	if err != nil {
		return nil, err
	}
	f := make(frame, 1+int(binary.BigEndian.Uint32(head[1:])))
	if _, err = io.ReadFull(c.r, f); err != nil {
		return nil, err
	}
	return c.alike(f), nil
}

var recordNumber = regexp.MustCompile(`record \d+ of the audit log`)

// alike takes out of a message what differs between any two sessions: the database's name, the number of a record.
func (c *client) alike(f frame) frame {
	if c.database != trueName {
		f = bytes.ReplaceAll(f, []byte(c.database), []byte(trueName))
	}
	if f.kind() == 'E' {
		f = recordNumber.ReplaceAll(f, []byte("record # of the audit log"))
		binary.BigEndian.PutUint32(f[1:], uint32(len(f)-1))
	}
	return f
}

// verdict says what became of a script, by the errors it met.
type verdict string

const (
	allowed verdict = "allowed"
	refused verdict = "refused" // by the proxy
	failed  verdict = "failed"  // by the server
)

func verdictOf(said []frame) verdict {
	v := allowed
	for _, f := range said {
		if f.kind() == '!' {
			return refused
		}
		if f.kind() != 'E' {
			continue
		}
		e := errorOf(f)
		if strings.HasPrefix(e.Message, "refused by policy") || e.Severity == "FATAL" {
			return refused
		}
		v = failed
	}
	return v
}

func errorOf(f frame) pgproto3.ErrorResponse {
	var e pgproto3.ErrorResponse
	if err := e.Decode(f[5:]); err != nil {
		panic(err)
	}
	return e
}

// difference shows the first message that is not the same on both sides; "" when there is none. Where the order of rows is
// not asked about, rows are compared as a bag.
func difference(a, b []frame, unordered bool) string {
	if unordered {
		a, b = sorted(a), sorted(b)
	}
	for i := range max(len(a), len(b)) {
		switch {
		case i >= len(a):
			return fmt.Sprintf("message %d only in the second world: %s", i, b[i].show())
		case i >= len(b):
			return fmt.Sprintf("message %d only in the first world: %s", i, a[i].show())
		case !bytes.Equal(a[i], b[i]):
			return fmt.Sprintf("message %d:\n\t\t%s\n\t\t%s", i, a[i].show(), b[i].show())
		}
	}
	return ""
}

func (f frame) show() string {
	body := f[5:]
	if len(body) > 300 {
		body = body[:300]
	}
	return fmt.Sprintf("%c %q", f.kind(), body)
}
