package policy

import "slices"

// Keys lists every key that a policy file may have.
func Keys() []string {
	var keys []string
	for _, part := range specNames {
		keys = append(keys, specKeys(part.of)...)
	}
	slices.Sort(keys)
	return slices.Compact(keys)
}
