package evidence

import "bytes"

// Rezip packs raw parts into the canonical container, so that tests can get past the container to the step they mean.
func Rezip(raw [6][]byte) []byte {
	p := parts(raw)
	var b bytes.Buffer
	if err := p.encode(&b); err != nil {
		panic(err)
	}
	return b.Bytes()
}

// Unzip takes a file apart.
func Unzip(file []byte) ([6][]byte, error) { p, err := decode(file); return p, err }

// PartNames are the names in the order of Rezip.
var PartNames = partNames
