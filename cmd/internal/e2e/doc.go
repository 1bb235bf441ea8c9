// Package e2e tests the programs as users run them: the real binary, started as `shiguan demo`, a real PostgreSQL, real
// drivers, processes that get killed. It holds tests only. They share one city, which TestMain builds and tears down;
// what a test changes in it, it changes back.
package e2e
