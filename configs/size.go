package configs

import (
	"fmt"
	"strconv"
	"strings"

	"gopkg.in/yaml.v3"
)

// Size is a number of bytes, written as a plain number or with a unit: 64MiB, 512KiB, 1GiB.
type Size int64

var sizeUnits = []struct {
	name  string
	bytes int64
}{{"KiB", 1 << 10}, {"MiB", 1 << 20}, {"GiB", 1 << 30}, {"B", 1}}

// UnmarshalYAML reads one scalar; there are no keys inside whose strictness could be lost here.
func (s *Size) UnmarshalYAML(node *yaml.Node) error {
	n, err := parseSize(node.Value)
	if node.Kind != yaml.ScalarNode || err != nil {
		return fmt.Errorf("line %d: %q is no size: write bytes or KiB, MiB, GiB, such as 64MiB", node.Line, node.Value)
	}
	*s = n
	return nil
}

func parseSize(text string) (Size, error) {
	number, factor := text, int64(1)
	for _, unit := range sizeUnits {
		if rest, ok := strings.CutSuffix(text, unit.name); ok {
			number, factor = strings.TrimSpace(rest), unit.bytes
			break
		}
	}
	n, err := strconv.ParseInt(number, 10, 64)
	if err != nil {
		return 0, err
	}
	if n < 0 || n > (1<<62)/factor {
		return 0, strconv.ErrRange
	}
	return Size(n * factor), nil
}
