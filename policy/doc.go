// Package policy decides whether a person may do what a statement does, and how its results must be masked. It is pure:
// it gets a request and returns a decision, keeps no connection and writes nothing, so that every decision can be
// explained and replayed. What no rule allows is refused.
package policy
