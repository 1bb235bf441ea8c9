// Package tour walks through Shiguan's main job in a running demo city and verifies every step: people read, are masked
// and are refused; an investigator finds it and hands out evidence that verifies; whatever is tampered with is rejected.
//
// It knows of the city only what DIR/demo.json says, uses PostgreSQL clients as a department's staff would, and this same
// binary's commands as an investigator would. What it expects of the data it asks the database directly, past the proxy.
package tour
