package cli

import (
	"fmt"
	"strings"

	"shiguan/auditlog/tiles"
	"shiguan/configs"
)

// signerKey is a signing key that a configuration names.
type signerKey struct {
	what string // the configuration's key for it
	file configs.Path
	vkey tiles.VKey
}

// logSigners reads the keys with which a log signs its heads: the Ed25519 key, and behind it the ML-DSA-44 key if there is one.
func logSigners(cfg *configs.Log) (signers []*tiles.LogSigner, keys []signerKey, err error) {
	return readSigners("log.", cfg.Key, cfg.KeyMLDSA, "shiguan key new-log", tiles.NewLogSigner, tiles.NewMLDSALogSigner)
}

// witnessSigners reads the keys with which a witness cosigns, in the same order.
func witnessSigners(cfg *configs.Witness) (signers []*tiles.CosignatureSigner, keys []signerKey, err error) {
	return readSigners("", cfg.Key, cfg.KeyMLDSA, "shiguan key new-witness", tiles.NewCosigner, tiles.NewMLDSACosigner)
}

func readSigners[T interface{ VKey() tiles.VKey }](section string, first, second configs.Path, command string,
	parse, parseMLDSA func(skey string) (T, error)) (signers []T, keys []signerKey, err error) {
	read := func(what string, file configs.Path, command string, parse func(string) (T, error)) error {
		s, err := parseFile(file.String(), what, "make one with `"+command+"`",
			func(text []byte) (T, error) { return parse(strings.TrimSpace(string(text))) })
		if err != nil {
			return err
		}
		signers, keys = append(signers, s), append(keys, signerKey{what, file, s.VKey()})
		return nil
	}
	if err := read(section+"key", first, command, parse); err != nil {
		return nil, nil, err
	}
	if second == "" {
		return signers, keys, nil
	}
	if err := read(section+"key_ml_dsa", second, command+" --ml-dsa", parseMLDSA); err != nil {
		return nil, nil, err
	}
	return signers, keys, nil
}

// named wants every key to have the name that the configuration says under field.
func named(keys []signerKey, name, field string) error {
	for _, k := range keys {
		if k.vkey.Name != name {
			return fmt.Errorf("%s is the key of %s, and %s says %s", k.file, k.vkey.Name, field, name)
		}
	}
	return nil
}
