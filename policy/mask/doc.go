// Package mask changes one value into what a person without clearance sees of it. Masks are typed, so that text and
// binary clients can decode the result; NULL stays NULL, and no mask's output depends on hidden parts of its input, but for
// the pseudonyms of mask hash, which tell equal values from different ones and nothing else.
package mask
