package auth_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgconn"

	"shiguan/proxy/auth"
	"shiguan/proxy/wire"
)

// serve is a server that can do nothing but let people in and answer every query with the name of who asked.
func serve(t *testing.T, p *auth.People) (port int) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	go func() {
		for {
			nc, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer nc.Close()
				if err := session(nc, p); err != nil && !errors.Is(err, io.EOF) {
					t.Errorf("session: %v", err)
				}
			}()
		}
	}()
	return l.Addr().(*net.TCPAddr).Port
}

func session(nc net.Conn, p *auth.People) error {
	var m wire.StartupMessage
	for m.Version == 0 {
		packet, err := wire.ReadStartup(nc)
		if err != nil {
			return err
		}
		switch packet := packet.(type) {
		case wire.SSLRequest, wire.GSSENCRequest:
			if _, err := nc.Write([]byte{'N'}); err != nil {
				return err
			}
		case wire.StartupMessage:
			m = packet
		default:
			return fmt.Errorf("unexpected %T", packet)
		}
	}
	user, _ := m.Get("user")
	r := wire.NewReader(nc, 1<<16)
	person, err := login(nc, r, p.Begin(user, auth.Channel{}))
	var refusal *auth.RefusedError
	if errors.As(err, &refusal) {
		_, err = nc.Write(wire.AppendError(nil, refusal.Wire()))
		return err
	} else if err != nil {
		return err
	}
	for {
		q, err := r.Next()
		if err != nil || q.Type() == wire.MsgTerminate {
			return err
		}
		out := wire.AppendRowDescription(nil, wire.Field{Name: []byte("who"), TypeOID: 25, TypeLen: -1, TypeMod: -1})
		row := wire.BeginDataRow(out)
		row.Value([]byte(person.User))
		out = wire.AppendReadyForQuery(wire.AppendCommandComplete(row.End(), "SELECT 1"), wire.TxIdle)
		if _, err := nc.Write(out); err != nil {
			return err
		}
	}
}

func login(nc net.Conn, r *wire.Reader, c *auth.Conversation) (auth.Person, error) {
	if _, err := nc.Write(wire.AppendAuthenticationSASL(nil, auth.Mechanism)); err != nil {
		return auth.Person{}, err
	}
	for first := true; ; first = false {
		m, err := r.Next()
		if err != nil {
			return auth.Person{}, err
		}
		data := m.Body()
		if first {
			initial, err := wire.ParseSASLInitialResponse(data)
			if err != nil || string(initial.Mechanism) != auth.Mechanism {
				return auth.Person{}, fmt.Errorf("mechanism %q, %v", initial.Mechanism, err)
			}
			data = initial.Data
		}
		reply, done, err := c.Step(data)
		if err != nil {
			return auth.Person{}, err
		}
		if !done {
			if _, err := nc.Write(wire.AppendAuthenticationSASLContinue(nil, reply)); err != nil {
				return auth.Person{}, err
			}
			continue
		}
		out := wire.AppendAuthenticationOk(wire.AppendAuthenticationSASLFinal(nil, reply))
		out = wire.AppendParameterStatus(out, "server_version", "15.18")
		out = wire.AppendParameterStatus(out, "client_encoding", "UTF8")
		out = wire.AppendBackendKeyData(out, 1, []byte("abcd"))
		_, err = nc.Write(wire.AppendReadyForQuery(out, wire.TxIdle))
		return c.Person(), err
	}
}

// clients are the real ones: each logs in, asks who it is and returns the answer.
var clients = map[string]func(t *testing.T, port int, user, password string) (string, error){
	"pgconn": func(t *testing.T, port int, user, password string) (string, error) {
		ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
		defer cancel()
		config, err := pgconn.ParseConfig(fmt.Sprintf("host=127.0.0.1 port=%d dbname=civil sslmode=disable", port))
		if err != nil {
			t.Fatal(err)
		}
		config.User, config.Password = user, password
		conn, err := pgconn.ConnectConfig(ctx, config)
		if err != nil {
			return "", err
		}
		defer conn.Close(ctx)
		results, err := conn.Exec(ctx, "select who").ReadAll()
		if err != nil {
			return "", err
		}
		return string(results[0].Rows[0][0]), nil
	},
	"psql": func(t *testing.T, port int, user, password string) (string, error) {
		psql, err := exec.LookPath("psql")
		if err != nil {
			t.Fatalf("psql is not on PATH: on Debian, `apt-get install postgresql-client`: %v", err)
		}
		cmd := exec.Command(psql, "-X", "-w", "-Atc", "select who", "-h", "127.0.0.1", "-p", fmt.Sprint(port), "-U", user, "-d", "civil")
		cmd.Env = append(os.Environ(), "PGPASSWORD="+password, "PGREQUIREAUTH=scram-sha-256", "PGCLIENTENCODING=UTF8", "PGCONNECT_TIMEOUT=30")
		out, err := cmd.CombinedOutput()
		if err != nil {
			return "", fmt.Errorf("%w: %s", err, out)
		}
		return strings.TrimSpace(string(out)), nil
	},
}

func TestRealClients(t *testing.T) {
	verifiers := map[string]string{}
	passwords := map[string]string{
		"ann": "pencil", "王小明": "密码口令", "space": " a b ", "symbols": `'"\,=$n,r=`, "prepared": "I\u00adX", "accents": "café",
		"long": strings.Repeat("长", 100),
	}
	for user, password := range passwords {
		verifiers[user] = fresh(t, password)
	}
	port := serve(t, peopleWith(t, verifiers))
	for name, connect := range clients {
		t.Run(name, func(t *testing.T) {
			for user, password := range passwords {
				if name == "pgconn" && user == "prepared" {
					continue // pgconn prepares with RFC 8265, under which a soft hyphen is not allowed
				}
				if who, err := connect(t, port, user, password); err != nil || who != user {
					t.Errorf("%s: %q, %v", user, who, err)
				}
			}
			for _, user := range []string{"ann", "nobody"} {
				_, err := connect(t, port, user, "pen")
				want := `password authentication failed for user "` + user + `"`
				if err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "unknown") {
					t.Errorf("%s with a wrong password: %v, want %s", user, err, want)
				}
			}
		})
	}
}
