package cli

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"os"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// openTerminal returns both ends of a pseudo-terminal: the one a person types at, and the one a program reads.
func openTerminal(t *testing.T) (person, program *os.File) {
	t.Helper()
	person, err := os.OpenFile("/dev/ptmx", os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { person.Close() })
	if err := unix.IoctlSetPointerInt(int(person.Fd()), unix.TIOCSPTLCK, 0); err != nil {
		t.Fatal(err)
	}
	n, err := unix.IoctlGetInt(int(person.Fd()), unix.TIOCGPTN)
	if err != nil {
		t.Fatal(err)
	}
	program, err = os.OpenFile(fmt.Sprintf("/dev/pts/%d", n), os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { program.Close() })
	return person, program
}

func shows(t *testing.T, tty *os.File) bool {
	t.Helper()
	s, err := unix.IoctlGetTermios(int(tty.Fd()), getTermios)
	if err != nil {
		t.Fatal(err)
	}
	return s.Lflag&unix.ECHO != 0
}

// prompts passes on what the command asks, prompt by prompt, so that the person answers only once asked and hidden.
type prompts struct {
	all  bytes.Buffer
	wait chan string
}

func (p *prompts) Write(b []byte) (int, error) {
	p.all.Write(b)
	if strings.HasSuffix(string(b), ": ") {
		p.wait <- string(b)
	}
	return len(b), nil
}

// typed runs the command at a terminal where a person answers the prompts in turn.
func typed(t *testing.T, answers ...string) (stdout, screen string, err error) {
	person, program := openTerminal(t)
	asked := &prompts{wait: make(chan string)}
	var out bytes.Buffer
	cmd := passwdCommand()
	cmd.SilenceErrors, cmd.SilenceUsage = true, true
	cmd.SetArgs([]string{"ann"})
	cmd.SetIn(program)
	cmd.SetOut(&out)
	cmd.SetErr(asked)
	ended := make(chan error, 1)
	go func() { ended <- cmd.ExecuteContext(context.Background()) }()
	for _, answer := range answers {
		<-asked.wait
		for shows(t, program) { // the prompt comes before the terminal is told to hide
		}
		if _, err := person.WriteString(answer); err != nil {
			t.Fatal(err)
		}
	}
	err = <-ended
	if !shows(t, program) {
		t.Error("afterwards the terminal does not show what is typed")
	}
	// What the person saw ends with a mark of ours.
	if _, err := program.WriteString("|end\n"); err != nil {
		t.Fatal(err)
	}
	screen, readErr := bufio.NewReader(person).ReadString('|')
	if readErr != nil {
		t.Fatal(readErr)
	}
	return out.String(), screen, err
}

func TestPasswdAtATerminal(t *testing.T) {
	out, screen, err := typed(t, "墨水\n", "墨水\n")
	if err != nil {
		t.Fatal(err)
	}
	if !opens(t, strings.TrimSuffix(out, "\n"), "墨水") {
		t.Errorf("%q does not open for what was typed", out)
	}
	if strings.Contains(screen, "墨") {
		t.Errorf("the screen shows the password: %q", screen)
	}
}

func TestPasswdTypedDifferently(t *testing.T) {
	out, _, err := typed(t, "ink\n", "inc\n")
	if err == nil || !strings.Contains(err.Error(), "differ") || exitCode(err) != ExitNot || out != "" {
		t.Errorf("%q, %v", out, err)
	}
}

func TestPasswdNothingTyped(t *testing.T) {
	if out, _, err := typed(t, "\x04"); err == nil || !strings.Contains(err.Error(), "no password was typed") || out != "" {
		t.Errorf("%q, %v", out, err)
	}
}

// TestPasswdInterrupted: the terminal must not stay mute when somebody gives up.
func TestPasswdInterrupted(t *testing.T) {
	person, program := openTerminal(t)
	ctx, interrupt := context.WithCancel(context.Background())
	asked := &prompts{wait: make(chan string)}
	ended := make(chan error, 1)
	go func() {
		_, err := askPassword(ctx, program, asked, "ann", false)
		ended <- err
	}()
	<-asked.wait
	for shows(t, program) {
	}
	interrupt()
	if err := <-ended; err == nil || !strings.Contains(err.Error(), "interrupted") {
		t.Errorf("got %v", err)
	}
	if !shows(t, program) {
		t.Error("afterwards the terminal does not show what is typed")
	}
	if _, err := person.WriteString("\n"); err != nil { // lets the reader that was left behind go
		t.Fatal(err)
	}
}
