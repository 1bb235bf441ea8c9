// Package quota counts what each person has had under a rule in a day: rows, bytes, and distinct subjects. Its counts
// outlive the process, so that neither a second session nor a crash gives anybody a second day's worth.
//
// The counts stand in one file. A count is written ahead, an eighth of its limit at a time, and a row is allowed only when
// the file covers it: what a crash takes is then at most the unused part of such a reservation, which counts as used. A
// count is never too low.
//
// The file has a line for each write: CRC-32C in hex, a space, and a JSON object with the day and what is reserved for each
// person and rule. A line that a crash tore can only be the last one, and nothing was allowed by it: it is cut. Anything
// else that is wrong with the file keeps it from being opened. The first error of the disk is for good.
//
// Days begin at midnight in Asia/Shanghai, as in conditions of rules. A clock that is put back begins no new day.
package quota
