// Package configs reads the configuration files of Shiguan's programs: one documented struct for each program, decoded
// strictly from YAML, so that a misspelt key is an error with file and line and never a setting silently ignored. Paths
// in a file are relative to the directory the file is in. Only cmd imports this package; the rooms below get plain
// options and know nothing of files.
//
// For each program there is a commented example beside the struct, NAME.example.yaml, which `shiguan init` writes out;
// tests check that it decodes and that it mentions every field.
package configs
