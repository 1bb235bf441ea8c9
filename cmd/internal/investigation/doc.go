// Package investigation is the investigator's desk: it joins one log, the key that opens it, the quorum that counts and
// the search index, and answers what the commands and the console both ask. The index only proposes: every record it
// names is read back from the log here, opened, held against its leaf and proved to be in a signed tree before anybody
// is shown it, and a record that fails is an error, never an empty line.
package investigation
