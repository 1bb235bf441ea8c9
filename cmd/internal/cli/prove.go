package cli

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/spf13/cobra"

	"shiguan/auditlog/evidence"
	"shiguan/cmd/internal/investigation"
)

func proveCommand() *cobra.Command {
	var flags deskFlags
	var output string
	var wait time.Duration
	cmd := &cobra.Command{
		Use:   "prove INDEX -o FILE",
		Short: "Write evidence of one record that anyone can verify offline",
		Long: `Prove writes an evidence file: the record in clear, and the proof that it was in the log when the quorum of other
departments cosigned it. Whoever gets the file needs nothing from us to check it but the quorum policy:

  shiguan-verify --policy quorum.policy FILE

The file discloses this one record and no other. A record that is not witnessed yet is waited for. What is written is
verified before success is reported.`,
		Example: "  shiguan prove 482 -o record-482.evidence",
		Args:    wantArgs(1, 1, "shiguan prove INDEX -o FILE"),
		RunE: func(cmd *cobra.Command, args []string) error {
			index, err := parseIndex(args[0])
			if err != nil {
				return err
			}
			if output == "" {
				return fmt.Errorf("say where to write the evidence: -o record-%d.evidence", index)
			}
			d, err := flags.open(cmd)
			if err != nil {
				return err
			}
			defer d.Close()
			file, err := d.waitForEvidence(cmd.Context(), index, wait)
			if err != nil {
				return err
			}
			report, err := writeEvidence(output, file, d.Desk)
			if err != nil {
				return err
			}
			if flags.asJSON {
				return printJSON(cmd.OutOrStdout(), proved{output, len(file), report})
			}
			fmt.Fprintf(cmd.OutOrStdout(), "%s holds:\n", output)
			if err := report.WriteText(cmd.OutOrStdout()); err != nil {
				return err
			}
			fmt.Fprintf(cmd.OutOrStdout(), "Anyone checks it with: shiguan-verify --policy %s %s\n", filepath.Base(d.config.Quorum.String()), output)
			return nil
		},
	}
	flags.add(cmd)
	cmd.Flags().StringVarP(&output, "output", "o", "", "the file to write")
	cmd.Flags().DurationVar(&wait, "wait", 30*time.Second, "how long to wait for the quorum's cosignatures")
	return cmd
}

// proved is the object that prove --json prints.
type proved struct {
	File  string `json:"file"`
	Bytes int    `json:"bytes"`
	*evidence.Report
}

// askEvery is how often the log is asked whether a record has been witnessed.
const askEvery = 300 * time.Millisecond

// waitForEvidence makes the evidence as soon as the record is witnessed.
func (d *desk) waitForEvidence(ctx context.Context, index uint64, wait time.Duration) ([]byte, error) {
	deadline := time.Now().Add(wait)
	for {
		file, err := d.Evidence(ctx, index)
		var early *investigation.NotWitnessedError
		if !errors.As(err, &early) {
			if errors.Is(err, investigation.ErrErased) {
				return nil, exit(ExitNot, fmt.Errorf("record %d: %s, so there is nothing left to hand over; `shiguan show %d` shows what remains", index, lawfullyErased, index))
			}
			if errors.Is(err, investigation.ErrNoRecord) {
				return nil, exit(ExitNot, fmt.Errorf("the log holds no record %d", index))
			}
			return file, verdictOf(err)
		}
		if !time.Now().Before(deadline) {
			return nil, exit(ExitNot, fmt.Errorf("%w: see with `shiguan fsck` whether witnesses sign, then try again or wait longer with --wait", early))
		}
		select {
		case <-ctx.Done():
			return nil, errors.New("interrupted")
		case <-time.After(askEvery):
		}
	}
}

// writeEvidence writes the file beside its name first, reads it back, verifies what was read, and only then gives it its
// name: a file of that name is always whole and always holds.
func writeEvidence(output string, file []byte, d *investigation.Desk) (*evidence.Report, error) {
	f, err := os.CreateTemp(filepath.Dir(output), ".evidence-*")
	if err != nil {
		return nil, fmt.Errorf("writing evidence: %w", err)
	}
	defer os.Remove(f.Name()) // fails once it is renamed, as it should
	_, err = f.Write(file)
	err = errors.Join(err, f.Chmod(0o600), f.Sync(), f.Close())
	if err != nil {
		return nil, fmt.Errorf("writing evidence: %w", err)
	}
	written, err := os.ReadFile(f.Name())
	if err != nil {
		return nil, fmt.Errorf("reading the evidence back: %w", err)
	}
	report, err := evidence.VerifyWith(written, d.Quorum)
	if err != nil {
		return nil, exit(ExitNot, fmt.Errorf("the evidence just written does not hold: %w", err))
	}
	if err := os.Rename(f.Name(), output); err != nil {
		return nil, fmt.Errorf("writing evidence: %w", err)
	}
	return report, nil
}
