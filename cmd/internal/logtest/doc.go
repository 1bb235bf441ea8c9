// Package logtest makes small logs of made-up records for tests: written by the real engine, cosigned by three witnesses
// that sign whatever they are shown, with every file beside it that an investigator's configuration names. Only tests
// import it. What it writes is plausible and the same every time, apart from keys and times; none of its people exist.
package logtest
