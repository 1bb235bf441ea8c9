package configs

import (
	"embed"
	"io/fs"
)

//go:embed *.example.yaml
var examples embed.FS

// Examples holds the commented example of each program's configuration, named proxy.example.yaml and so on.
func Examples() fs.FS { return examples }
