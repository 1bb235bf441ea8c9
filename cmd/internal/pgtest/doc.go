// Package pgtest runs throwaway PostgreSQL servers: for the demo city and for tests that want a real server. It finds
// the server's binaries on PATH or where Debian puts them, makes a cluster that listens on 127.0.0.1 and on a Unix
// socket and admits nobody without a password (SCRAM-SHA-256), and runs it as a child process of this one, as another
// user when this one is root, because PostgreSQL refuses to run as root.
//
// What it promises: nothing is left behind. A server dies with the process that started it, and a cluster without a
// directory of its own is removed when it is stopped. When no PostgreSQL is found it fails and says what to install;
// it never skips.
package pgtest
