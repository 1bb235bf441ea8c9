package policy

import "strings"

// Kinds of grants. The id of a grant begins with its kind, so that it is seen wherever the grant is named.
const (
	KindGrant      = "grant"
	KindBreakGlass = "break-glass"
)

// KindOfGrant tells a grant's kind by its id.
func KindOfGrant(id string) string {
	if strings.HasPrefix(id, KindBreakGlass+"-") {
		return KindBreakGlass
	}
	return KindGrant
}
