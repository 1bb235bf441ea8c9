// Package policydesk is the security administrator's desk: it tries policies on statements without running any. It holds
// the expectations of `policy test`, the replay of recorded statements of `policy diff`, and the search for sensitive
// columns of `policy discover`. Nothing here changes a database, a policy or a log, and no value of a table or literal of a
// statement leaves it.
package policydesk
