package auth_test

import (
	"errors"
	"regexp"
	"strings"
	"testing"

	"github.com/xdg-go/scram"

	"shiguan/proxy/auth"
	"shiguan/proxy/wire"
)

// talk runs a whole exchange with a client's library and returns the server's messages.
func talk(t *testing.T, c *auth.Conversation, user, password string) (replies []string, err error) {
	t.Helper()
	client, err := scram.SHA256.NewClient(user, password, "")
	if err != nil {
		t.Fatal(err)
	}
	conversation := client.NewConversation()
	said := ""
	for {
		msg, err := conversation.Step(said)
		if err != nil {
			t.Fatalf("the client does not understand %q: %v", said, err)
		}
		reply, done, err := c.Step([]byte(msg))
		if err != nil {
			if reply != nil || done {
				t.Errorf("refused with %q, done %t", reply, done)
			}
			return replies, err
		}
		said = string(reply)
		replies = append(replies, said)
		if done {
			if _, err := conversation.Step(said); err != nil || !conversation.Valid() {
				t.Errorf("the client does not trust the server: %v", err)
			}
			return replies, nil
		}
	}
}

func TestConversation(t *testing.T) {
	p := load(t)
	for _, user := range []string{"ann", "王小明", "eve"} {
		c := p.Begin(user, auth.Channel{})
		// The name inside SCRAM is somebody else's: it must not matter.
		replies, err := talk(t, c, "left", "pencil")
		if err != nil || len(replies) != 2 {
			t.Fatalf("%s: %q, %v", user, replies, err)
		}
		if got := c.Person(); got.User != user {
			t.Errorf("authenticated %q instead of %q", got.User, user)
		}
	}
}

var serverFirst = regexp.MustCompile(`^r=[!-+\--~]{20,}[A-Za-z0-9+/]{32},s=[A-Za-z0-9+/]{22}==,i=4096$`)

// TestRefusals: whatever the reason, a client gets the same messages and the same error.
func TestRefusals(t *testing.T) {
	p := load(t)
	for _, tc := range []struct{ user, password, reason string }{
		{"ann", "pen", auth.ReasonPassword},
		{"nobody", "pencil", auth.ReasonUnknown},
		{"", "pencil", auth.ReasonUnknown},
		{"left", "pencil", auth.ReasonExpired},
		{"left", "pen", auth.ReasonPassword},
	} {
		c := p.Begin(tc.user, auth.Channel{})
		replies, err := talk(t, c, "", tc.password)
		var refusal *auth.RefusedError
		if !errors.As(err, &refusal) {
			t.Fatalf("%q with %q: %q, %v", tc.user, tc.password, replies, err)
		}
		if len(replies) != 1 || !serverFirst.MatchString(replies[0]) {
			t.Errorf("%q with %q: the server said %q", tc.user, tc.password, replies)
		}
		want := wire.Error{Severity: "FATAL", Code: "28P01", Message: `password authentication failed for user "` + tc.user + `"`}
		if *refusal.Wire() != want || refusal.User != tc.user || refusal.Reason != tc.reason {
			t.Errorf("%q with %q: refused with %+v and %+v", tc.user, tc.password, refusal, refusal.Wire())
		}
		mustPanic(t, "Person after a refusal", func() { c.Person() })
		mustPanic(t, "Step after a refusal", func() { _, _, _ = c.Step(nil) })
	}
}

// TestUnknownUsersLookReal: an unknown user has one salt, of his own, that neither time nor a restart changes.
func TestUnknownUsersLookReal(t *testing.T) {
	salt := func(p *auth.People, user string) string {
		reply, _, err := p.Begin(user, auth.Channel{}).Step([]byte("n,,n=,r=0123456789"))
		if err != nil {
			t.Fatal(err)
		}
		_, rest, _ := strings.Cut(string(reply), ",s=")
		return rest
	}
	p, restarted := load(t), load(t)
	first := salt(p, "nobody")
	if salt(p, "nobody") != first || salt(restarted, "nobody") != first {
		t.Error("the salt of an unknown user changes")
	}
	if salt(p, "somebody") == first {
		t.Error("two unknown users have the same salt")
	}
	if salt(p.WithSecret([]byte("other")), "nobody") == first {
		t.Error("the salt of an unknown user does not depend on the secret")
	}
	if salt(p.WithSecret([]byte("other")), "ann") != salt(p, "ann") {
		t.Error("the salt of a real user depends on the secret")
	}
	v, err := auth.NewVerifier("x", 8192)
	if err != nil {
		t.Fatal(err)
	}
	if got := salt(peopleWith(t, map[string]string{"ann": v}), "nobody"); !strings.HasSuffix(got, ",i=8192") {
		t.Errorf("where people have 8192 iterations an unknown user has %s", got)
	}
}

func TestMalformed(t *testing.T) {
	p := load(t)
	for name, msg := range map[string]string{
		"empty":           "",
		"no nonce":        "n,,n=",
		"no GS2 header":   "n=,r=0123456789",
		"channel binding": "p=tls-server-end-point,,n=,r=0123456789",
		"for another":     "n,a=eve,n=,r=0123456789",
		"extension":       "n,,m=x,n=,r=0123456789",
		"too long":        "n,,n=,r=" + strings.Repeat("x", 1024),
	} {
		_, _, err := p.Begin("ann", auth.Channel{}).Step([]byte(msg))
		var refusal *auth.RefusedError
		if !errors.As(err, &refusal) || refusal.Reason != auth.ReasonMalformed {
			t.Errorf("%s: got %v", name, err)
		}
	}
	for name, final := range map[string]string{
		"empty":               "",
		"another nonce":       "c=biws,r=x,p=" + strings.Repeat("A", 43) + "=",
		"proof of wrong size": "c=biws,r=NONCE,p=AAAA",
		"another binding":     "c=eSws,r=NONCE,p=" + strings.Repeat("A", 43) + "=",
		"no proof":            "c=biws,r=NONCE",
	} {
		c := p.Begin("ann", auth.Channel{})
		reply, done, err := c.Step([]byte("n,,n=,r=0123456789"))
		if err != nil || done {
			t.Fatal(done, err)
		}
		nonce, _, _ := strings.Cut(strings.TrimPrefix(string(reply), "r="), ",")
		_, _, err = c.Step([]byte(strings.ReplaceAll(final, "NONCE", nonce)))
		var refusal *auth.RefusedError
		if !errors.As(err, &refusal) || refusal.Reason != auth.ReasonMalformed {
			t.Errorf("%s: got %v", name, err)
		}
	}
}

func TestPersonTooEarly(t *testing.T) {
	c := load(t).Begin("ann", auth.Channel{})
	mustPanic(t, "Person before the first Step", func() { c.Person() })
	if _, _, err := c.Step([]byte("n,,n=,r=0123456789")); err != nil {
		t.Fatal(err)
	}
	mustPanic(t, "Person in the middle", func() { c.Person() })
}

func mustPanic(t *testing.T, what string, f func()) {
	t.Helper()
	defer func() {
		if recover() == nil {
			t.Errorf("%s did not panic", what)
		}
	}()
	f()
}
