package cli

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"syscall"

	"github.com/spf13/cobra"
	"golang.org/x/sys/unix"

	"shiguan/proxy/auth"
)

func passwdCommand() *cobra.Command {
	var (
		file       string
		stdin      bool
		iterations int
	)
	cmd := &cobra.Command{
		Use:   "passwd [--file PEOPLE_FILE] USER",
		Short: "Set a person's password, or print the verifier that proves it",
		Long: `The password is asked for twice, without showing it, and never stored: what is kept is a SCRAM-SHA-256 verifier, in the
form in which PostgreSQL keeps it. With --file the verifier of USER, who must be listed there already, is replaced and
nothing else in the file is touched; without, it is printed. Where standard input is no terminal, one line is read from it.`,
		Example: `  shiguan passwd --file people.yaml civil_clerk
  openssl rand -hex 16 | shiguan passwd --stdin bench`,
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) != 1 {
				return errors.New("say whose password it is: shiguan passwd [--file PEOPLE_FILE] USER")
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			user := args[0]
			if file != "" {
				// Nobody should type a password twice to learn that the name was misspelt.
				if err := checkPeople(file, user); err != nil {
					return err
				}
			}
			password, err := askPassword(cmd.Context(), cmd.InOrStdin(), cmd.ErrOrStderr(), user, stdin)
			if err != nil {
				return err
			}
			verifier, err := auth.NewVerifier(password, iterations)
			if err != nil {
				return err
			}
			if file == "" {
				_, err = fmt.Fprintln(cmd.OutOrStdout(), verifier)
				return err
			}
			if err := setVerifier(file, user, verifier); err != nil {
				return err
			}
			_, err = fmt.Fprintf(cmd.ErrOrStderr(), "%s: verifier of %q set; a running proxy takes it after SIGHUP\n", file, user)
			return err
		},
	}
	cmd.Flags().StringVarP(&file, "file", "f", "", "people file in which to replace the verifier")
	cmd.Flags().BoolVar(&stdin, "stdin", false, "read one line from standard input, even from a terminal, without asking")
	cmd.Flags().IntVar(&iterations, "iterations", auth.DefaultIterations, "work to try one password, for the client and for who guesses")
	return cmd
}

// checkPeople finds out whether a verifier could be set, with one that is thrown away.
func checkPeople(file, user string) error {
	text, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	trial, err := auth.NewVerifier("trial", auth.DefaultIterations)
	if err != nil {
		return err
	}
	_, err = auth.SetVerifier(file, text, user, trial)
	return err
}

// setVerifier replaces the people file: after a crash there is the old one or the new one, never a part.
func setVerifier(file, user, verifier string) error {
	target, err := filepath.EvalSymlinks(file) // a link stays a link
	if err != nil {
		return err
	}
	text, err := os.ReadFile(target)
	if err != nil {
		return err
	}
	if text, err = auth.SetVerifier(file, text, user, verifier); err != nil {
		return err
	}
	info, err := os.Stat(target)
	if err != nil {
		return err
	}
	draft, err := os.CreateTemp(filepath.Dir(target), ".people-*")
	if err != nil {
		return err
	}
	defer os.Remove(draft.Name()) // fails once it is renamed, as it should
	_, err = draft.Write(text)
	// The proxy must still be able to read it, and nobody else who could not before.
	if owner, ok := info.Sys().(*syscall.Stat_t); ok {
		err = errors.Join(err, draft.Chown(int(owner.Uid), int(owner.Gid)))
	}
	err = errors.Join(err, draft.Chmod(info.Mode().Perm()), draft.Sync(), draft.Close())
	if err != nil {
		return fmt.Errorf("writing %s: %w", file, err)
	}
	if err := os.Rename(draft.Name(), target); err != nil {
		return err
	}
	dir, err := os.Open(filepath.Dir(target))
	if err != nil {
		return err
	}
	return errors.Join(dir.Sync(), dir.Close())
}

// maxPassword bounds a line that may not be a password at all, such as a file given by mistake.
const maxPassword = 1024

// askPassword asks twice on a terminal; from anything else it reads one line.
func askPassword(ctx context.Context, in io.Reader, prompt io.Writer, user string, plain bool) (string, error) {
	tty, ok := in.(*os.File)
	if ok && !plain {
		_, err := unix.IoctlGetTermios(int(tty.Fd()), getTermios)
		ok = err == nil
	}
	if !ok || plain {
		return onlyLine(in)
	}
	var twice [2]string
	for i, what := range []string{fmt.Sprintf("New password for %q", user), "The same again"} {
		fmt.Fprintf(prompt, "%s: ", what)
		line, err := hiddenLine(ctx, tty)
		fmt.Fprintln(prompt) // the one that was typed was not shown
		if err != nil {
			return "", err
		}
		twice[i] = line
	}
	if twice[0] != twice[1] {
		return "", exit(ExitNot, errors.New("the two passwords differ: nothing was changed"))
	}
	return twice[0], nil
}

// onlyLine reads the one line there is; a second one means that something else was given.
func onlyLine(in io.Reader) (string, error) {
	text, err := io.ReadAll(io.LimitReader(in, maxPassword+2))
	if err != nil {
		return "", err
	}
	line, rest, _ := strings.Cut(string(text), "\n")
	if len(line) > maxPassword || rest != "" {
		return "", fmt.Errorf("standard input must hold one line of at most %d bytes: the password", maxPassword)
	}
	return strings.TrimSuffix(line, "\r"), nil
}

// hiddenLine reads a line from a terminal that does not show it. However it ends, the terminal shows again what is typed.
func hiddenLine(ctx context.Context, tty *os.File) (string, error) {
	shown, err := unix.IoctlGetTermios(int(tty.Fd()), getTermios)
	if err != nil {
		return "", err
	}
	hidden := *shown
	hidden.Lflag &^= unix.ECHO
	hidden.Lflag |= unix.ICANON | unix.ISIG
	hidden.Iflag |= unix.ICRNL
	if err := unix.IoctlSetTermios(int(tty.Fd()), setTermios, &hidden); err != nil {
		return "", err
	}
	defer unix.IoctlSetTermios(int(tty.Fd()), setTermios, shown)
	type result struct {
		line string
		err  error
	}
	// The terminal hands out one line a read, so nothing of the next is lost. After an interrupt the goroutine stays
	// behind in its read: the process ends anyway.
	done := make(chan result, 1)
	go func() {
		line, err := bufio.NewReaderSize(tty, 4096).ReadString('\n')
		done <- result{strings.TrimSuffix(line, "\n"), err}
	}()
	select {
	case <-ctx.Done():
		return "", errors.New("interrupted: nothing was changed")
	case r := <-done:
		if r.err == io.EOF {
			return "", errors.New("no password was typed: nothing was changed")
		}
		return r.line, r.err
	}
}
