package auditlog

import (
	"testing"

	"go.uber.org/goleak"
)

// Close ends every goroutine of a log, however it ended.
func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }
