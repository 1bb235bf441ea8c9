package mask

// Stricter makes a mask that tells of a value no more than a does, and no more than b does: what it shows could be worked
// out from what either of them shows. ok is false where there is none but NULL, which nobody may have meant.
func Stricter(a, b *Mask) (m *Mask, ok bool) {
	s, t := a.spec, b.spec
	switch {
	case s == t, s.Kind == Null:
		return a, true
	case t.Kind == Null:
		return b, true
	case s.Kind == Constant:
		return a, true
	case t.Kind == Constant:
		return b, true
	case s.Kind != Keep || t.Kind != Keep || s.least() != t.least():
		return nil, false
	}
	// Both hide the same values whole; of the others what both keep may be kept.
	k := Spec{Kind: Keep, First: min(s.First, t.First), Last: min(s.Last, t.Last), Fill: min(s.Fill, t.Fill), Least: s.least()}
	fill := a.fill[:min(k.Fill, len(a.fill))]
	if k.First == 0 && k.Last == 0 {
		return &Mask{spec: Spec{Kind: Constant, Value: string(fill)}, constant: encodeConstant(string(fill))}, true
	}
	return &Mask{spec: k, fill: fill}, true
}

// least is the length in characters up to which values are hidden whole.
func (s Spec) least() int { return max(s.Least, s.First+s.Last) }
