package investigation

import (
	"context"
	"errors"
	"fmt"

	"shiguan/auditlog"
)

// Each reads the log from one record on to the durable size that heads state, opens and proves every record, and gives it
// to fn. An error of fn ends it.
func (d *Desk) Each(ctx context.Context, heads *Heads, from uint64, fn func(*Entry) error) error {
	var failed error
	next := from
	err := d.Source.Records(ctx, from, func(s auditlog.Stored) error {
		if s.Index >= heads.Durable {
			return auditlog.ErrStop
		}
		if s.Index != next {
			failed = contradiction(next, fmt.Errorf("the log returned record %d in its place", s.Index))
			return auditlog.ErrStop
		}
		next++
		e, err := d.prove(ctx, heads, s)
		if err == nil {
			err = fn(e)
		}
		if err != nil {
			failed = err
			return auditlog.ErrStop
		}
		return nil
	})
	var corrupt *auditlog.CorruptError
	switch {
	case failed != nil:
		return failed
	case errors.As(err, &corrupt):
		return contradiction(next, err)
	case err != nil:
		return fmt.Errorf("reading record %d: %w", next, err)
	case next < heads.Durable:
		return contradiction(next, errors.New("the log ends before it"))
	}
	return nil
}
