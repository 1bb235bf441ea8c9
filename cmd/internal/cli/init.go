package cli

import (
	"embed"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"shiguan/cmd/internal/keyfile"
	"shiguan/configs"
)

//go:embed examples
var examples embed.FS

// What stands in the example configurations where this installation's names and keys belong.
const (
	exampleOrigin  = "audit.example.gov.cn/civil-affairs"
	exampleVKey    = exampleOrigin + "+352c20cf+Aa5Bqe1a9bjpLUBGWEVVWqUHvaG314LT/4GLmJm49V47"
	exampleWitness = "audit-office.example.gov.cn"
)

func initCommand() *cobra.Command {
	var dir, origin string
	cmd := &cobra.Command{
		Use:   "init --dir DIR --origin ORIGIN",
		Short: "Write commented configurations and fresh keys to begin with",
		Long: `Writes a configuration for each program, a small policy, the files they name and fresh keys into DIR. Nothing that is
there already is overwritten. Read what was written, change it, then let ` + "`shiguan check`" + ` have a look.

In earnest the parts belong on different machines: the investigator's identity never on the proxy's, a witness never in
the proxy's department.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			i := installation{dir: dir, origin: origin, out: cmd.OutOrStdout()}
			return i.write()
		},
	}
	cmd.Flags().StringVar(&dir, "dir", "", "directory to write into; made when missing")
	cmd.Flags().StringVar(&origin, "origin", exampleOrigin, "the log's name for ever, like a URL without its scheme")
	mustMarkRequired(cmd, "dir")
	return cmd
}

// installation is what init writes, file by file.
type installation struct {
	dir, origin string
	out         io.Writer
}

func (i *installation) write() error {
	if err := i.refuseExisting(); err != nil {
		return err
	}
	vkey, err := keyfile.NewLog(i.path("log.key"), i.origin)
	if err != nil {
		return err
	}
	recipient, err := keyfile.NewIdentity(i.path("investigator.identity"))
	if err != nil {
		return err
	}
	witness, err := keyfile.NewWitness(i.path("witness.key"), exampleWitness)
	if err != nil {
		return err
	}
	catalogue, err := keyfile.NewPassword(i.path("catalogue.password"))
	if err != nil {
		return err
	}
	clerk, err := keyfile.NewPassword(i.path("civil_affairs_clerk.password"))
	if err != nil {
		return err
	}
	err = errors.Join(
		keyfile.NewSubjectKey(i.path("subject.key")),
		i.create("investigators.recipients", recipient+"\n"),
		i.fromConfigs("proxy", vkey),
		i.fromConfigs("investigator", vkey),
		i.fromConfigs("witness", vkey),
		i.example("policy.yaml"), i.example("people.yaml"), i.example("investigators.yaml"),
		i.example("quorum.policy", vkey), i.example("roles.sql", catalogue, clerk),
	)
	if err != nil {
		return err
	}
	i.next(vkey, witness)
	return nil
}

func (i *installation) path(name string) string { return filepath.Join(i.dir, name) }

// refuseExisting makes sure of an empty place before the first key is made, so that no half of an installation ends up
// among another one.
func (i *installation) refuseExisting() error {
	for _, name := range []string{"proxy.yaml", "investigator.yaml", "witness.yaml", "log.key", "investigator.identity"} {
		if _, err := os.Lstat(i.path(name)); !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("%s %w", i.path(name), keyfile.ErrExists)
		}
	}
	return nil
}

// create writes a file that is not there yet. Whatever init writes may name a secret; only its owner reads it.
func (i *installation) create(name, text string) error { return keyfile.Write(i.path(name), text) }

// fromConfigs writes the documented example of a program, with this log's name and key in it.
func (i *installation) fromConfigs(program, vkey string) error {
	text, err := fs.ReadFile(configs.Examples(), program+".example.yaml")
	if err != nil {
		return err
	}
	r := strings.NewReplacer(exampleVKey, vkey, exampleOrigin, i.origin)
	return i.create(program+".yaml", r.Replace(string(text)))
}

func (i *installation) example(name string, values ...any) error {
	text, err := examples.ReadFile("examples/" + name)
	if err != nil {
		return err
	}
	if len(values) == 0 {
		return i.create(name, string(text))
	}
	return i.create(name, fmt.Sprintf(string(text), values...))
}

func (i *installation) next(vkey, witness string) {
	fmt.Fprintf(i.out, `Written to %[1]s. Next:

  1. Create the upstream roles with %[2]s, and remove that file.
  2. Set passwords: shiguan passwd --file %[3]s civil_clerk
                    shiguan passwd --file %[4]s investigator
  3. Say in %[5]s where the database is, and in %[6]s who may do what.
  4. Ask other departments to run witnesses for this log, and name their keys in %[7]s.
     The log's verifier key:  %[8]s
     The example witness's:   %[9]s
  5. shiguan check --config %[5]s
  6. shiguan proxy --config %[5]s
`, i.dir, i.path("roles.sql"), i.path("people.yaml"), i.path("investigators.yaml"), i.path("proxy.yaml"), i.path("policy.yaml"),
		i.path("quorum.policy"), vkey, witness)
}
