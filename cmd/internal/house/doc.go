// Package house holds no code: its tests are the rules of the house, over every package of the module. They check what
// DESIGN.md §3 and STYLE.md lay down and no compiler enforces: who may import whom, that every package says what it is,
// that files stay short, that formats are documented where they live.
package house
