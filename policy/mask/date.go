package mask

import (
	"bytes"
	"encoding/binary"
	"math"
	"strconv"
	"time"

	"github.com/jackc/pgx/v5/pgtype"
)

// Period is what a date is generalised to. A masked date is the first day of its period.
type Period string

// The periods.
const (
	Month   Period = "month"
	Quarter Period = "quarter"
	Year    Period = "year"
	Decade  Period = "decade"
)

// begin is the first day of the period that a day is in.
func (p Period) begin(y int, m time.Month) time.Time {
	switch p {
	case Quarter:
		m -= (m - 1) % 3
	case Year:
		m = 1
	case Decade:
		y, m = y-y%10, 1
	}
	return time.Date(max(y, 1), m, 1, 0, 0, 0, 0, time.UTC)
}

// epoch is PostgreSQL's, 2000-01-01, in days of Unix time.
const epoch = 10957

const microsecondsOfDay = 24 * 60 * 60 * 1_000_000

// zone is where the days of a timestamptz begin: in Asia/Shanghai, never in the session's time zone. Whoever could move the
// bounds of a period could find out where in it a value lies.
const zone = 8 * 60 * 60

func isDate(oid uint32) bool {
	return oid == pgtype.DateOID || oid == pgtype.TimestampOID || oid == pgtype.TimestamptzOID
}

// appendPeriod writes the beginning of the period of a date or timestamp. It is false for what has none: infinity, years
// before Christ, and text in another DateStyle than ISO.
func (p Period) appendPeriod(dst, value []byte, format int16, oid uint32) ([]byte, bool) {
	var day time.Time
	var ok bool
	if format == pgtype.BinaryFormatCode {
		day, ok = binaryDay(value, oid)
	} else {
		day, ok = textDay(value, oid)
	}
	if !ok || day.Year() < 1 {
		return dst, false
	}
	first := p.begin(day.Year(), day.Month())
	if format == pgtype.BinaryFormatCode {
		days := first.Unix()/86400 - epoch
		switch oid {
		case pgtype.DateOID:
			return binary.BigEndian.AppendUint32(dst, uint32(int32(days))), true
		case pgtype.TimestamptzOID:
			return binary.BigEndian.AppendUint64(dst, uint64(days*microsecondsOfDay-zone*1_000_000)), true
		}
		return binary.BigEndian.AppendUint64(dst, uint64(days*microsecondsOfDay)), true
	}
	dst = appendDay(dst, first)
	switch oid {
	case pgtype.TimestampOID:
		dst = append(dst, " 00:00:00"...)
	case pgtype.TimestamptzOID:
		dst = append(dst, " 00:00:00+08"...)
	}
	return dst, true
}

func appendDay(dst []byte, day time.Time) []byte {
	y := day.Year()
	for least := 1000; y < least && least > 1; least /= 10 {
		dst = append(dst, '0')
	}
	dst = strconv.AppendInt(dst, int64(y), 10)
	m := int(day.Month())
	return append(dst, '-', byte('0'+m/10), byte('0'+m%10), '-', '0', '1')
}

func binaryDay(value []byte, oid uint32) (time.Time, bool) {
	if oid == pgtype.DateOID {
		if len(value) != 4 {
			return time.Time{}, false
		}
		days := int32(binary.BigEndian.Uint32(value))
		return time.Unix((int64(days)+epoch)*86400, 0).UTC(), days != math.MaxInt32 && days != math.MinInt32
	}
	if len(value) != 8 {
		return time.Time{}, false
	}
	us := int64(binary.BigEndian.Uint64(value))
	if us == math.MaxInt64 || us == math.MinInt64 {
		return time.Time{}, false
	}
	seconds := us / 1_000_000
	if us%1_000_000 < 0 {
		seconds--
	}
	if oid == pgtype.TimestamptzOID {
		seconds += zone
	}
	return time.Unix(seconds+epoch*86400, 0).UTC(), true
}

// textDay reads YYYY-MM-DD, with a time behind it for timestamps and an offset for those with time zone.
func textDay(text []byte, oid uint32) (time.Time, bool) {
	dash := bytes.IndexByte(text, '-')
	if dash < 4 || dash > 7 || len(text) < dash+6 || text[dash+3] != '-' {
		return time.Time{}, false
	}
	y, ok := digits(text[:dash])
	m, okMonth := digits(text[dash+1 : dash+3])
	d, okDay := digits(text[dash+4 : dash+6])
	if !ok || !okMonth || !okDay || m < 1 || m > 12 || d < 1 || d > 31 {
		return time.Time{}, false
	}
	rest := text[dash+6:]
	if oid == pgtype.DateOID {
		return time.Date(y, time.Month(m), d, 0, 0, 0, 0, time.UTC), len(rest) == 0
	}
	if len(rest) < 9 || rest[0] != ' ' || rest[3] != ':' || rest[6] != ':' {
		return time.Time{}, false
	}
	hour, okHour := digits(rest[1:3])
	minute, okMinute := digits(rest[4:6])
	second, okSecond := digits(rest[7:9])
	if !okHour || !okMinute || !okSecond {
		return time.Time{}, false
	}
	if rest = rest[9:]; len(rest) > 0 && rest[0] == '.' {
		for rest = rest[1:]; len(rest) > 0 && rest[0] >= '0' && rest[0] <= '9'; {
			rest = rest[1:]
		}
	}
	day := time.Date(y, time.Month(m), d, hour, minute, second, 0, time.UTC)
	if oid == pgtype.TimestampOID {
		return day, len(rest) == 0
	}
	offset, ok := textOffset(rest)
	return day.Add(time.Duration(zone-offset) * time.Second), ok
}

// textOffset reads +HH, +HH:MM or +HH:MM:SS as seconds east. HH has three digits in some zones that only POSIX knows.
func textOffset(text []byte) (int, bool) {
	if len(text) < 3 || text[0] != '+' && text[0] != '-' {
		return 0, false
	}
	minus := text[0] == '-'
	hours, rest := text[1:3], text[3:]
	if len(rest) > 0 && rest[0] != ':' {
		hours, rest = text[1:4], text[4:]
	}
	offset, ok := digits(hours)
	if offset *= 3600; len(rest) > 6 {
		return 0, false
	}
	for unit := 60; len(rest) > 0; unit /= 60 {
		if len(rest) < 3 || rest[0] != ':' {
			return 0, false
		}
		n, more := digits(rest[1:3])
		offset, ok, rest = offset+n*unit, ok && more, rest[3:]
	}
	if minus {
		offset = -offset
	}
	return offset, ok
}

func digits(text []byte) (n int, ok bool) {
	for _, b := range text {
		if b < '0' || b > '9' {
			return 0, false
		}
		n = n*10 + int(b-'0')
	}
	return n, len(text) > 0
}
