package sql

import (
	"hash/maphash"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"unicode/utf8"

	"shiguan/policy/recent"
)

// Cache analyses the texts of one database and remembers what came of it: whole texts, and shapes, which are texts without
// those literals that cannot change what a text touches. What it answers equals what Analyse would. Errors are not
// remembered, nor texts that mean what the session named earlier (EXECUTE, FETCH).
type Cache struct {
	seed   maphash.Seed
	texts  *recent.Cache[uint64, *seen]
	shapes *recent.Cache[uint64, *shape]
	once   [1024]atomic.Uint64 // texts carried over once: those that come again are kept
}

// seen is a text with the session state that gave it its meaning.
type seen struct {
	*Analysis
	env Env
}

// shape is all that is known of texts that differ in literals only.
type shape struct {
	key       string // see reader
	env       Env
	catalogue *Catalogue
	templates []*Analysis // for each set of literals that are not inert, last used first; never changed
}

const (
	maxShaped    = 8 << 10 // bytes of a text that is remembered
	maxTemplates = 8       // of one shape
)

// NewCache makes a cache that takes up to so many bytes.
func NewCache(bytes int) *Cache {
	return &Cache{seed: maphash.MakeSeed(), texts: recent.New[uint64, *seen](bytes / 2), shapes: recent.New[uint64, *shape](bytes / 2)}
}

// Purge forgets everything. What was remembered for another catalogue than the one asked with is not used anyway.
func (c *Cache) Purge() {
	c.texts.Purge()
	c.shapes.Purge()
}

// Size says how many texts and shapes are remembered and how many bytes they take, about.
func (c *Cache) Size() (texts, shapes, bytes int) {
	texts, n := c.texts.Size()
	shapes, m := c.shapes.Size()
	return texts, shapes, n + m
}

// Analyse is the function Analyse.
func (c *Cache) Analyse(text string, cat *Catalogue, env Env) (*Analysis, error) {
	if len(text) > maxShaped {
		return Analyse(text, cat, env)
	}
	hash := c.hash(text, nil, &env)
	if s, ok := c.texts.Get(hash); ok && s.Catalogue == cat && s.literals.text == text && s.env.same(&env) {
		return s.Analysis, nil
	}
	r := readers.Get().(*reader)
	defer r.done()
	shaped := r.read(text)
	var key uint64
	if shaped {
		key = c.hash("", r.key, &env)
		if a := c.carried(r, key, cat, &env); a != nil {
			if c.once[hash%uint64(len(c.once))].Swap(hash) == hash {
				a.kept = true
				c.keep(hash, a, &env)
			}
			return a, nil
		}
	}
	a, err := Analyse(text, cat, env)
	if err != nil || a.DependsOnNames() {
		return a, err
	}
	a.kept = true
	known := c.keep(hash, a, &env)
	if shaped && a.carries() {
		c.learn(r, key, a, known)
	}
	return a, nil
}

func (c *Cache) keep(hash uint64, a *Analysis, env *Env) *Env {
	s := &seen{a, Env{SearchPath: slices.Clone(env.SearchPath), TempSchema: env.TempSchema, Role: env.Role, ParamTypes: slices.Clone(env.ParamTypes)}}
	c.texts.Add(hash, s, a.bytes())
	return &s.env
}

// carried finds a template for the text read, and carries its analysis over.
func (c *Cache) carried(r *reader, key uint64, cat *Catalogue, env *Env) *Analysis {
	s, ok := c.shapes.Get(key)
	if !ok || s.catalogue != cat || s.key != string(r.key) || !s.env.same(env) {
		return nil
	}
	for _, t := range s.templates {
		if t.agrees(r.text, r.literals) {
			return t.carry(r.text, r.literals)
		}
	}
	return nil
}

func (c *Cache) learn(r *reader, key uint64, a *Analysis, env *Env) {
	s := &shape{key: string(r.key), env: *env, catalogue: a.Catalogue, templates: []*Analysis{a}}
	if old, ok := c.shapes.Get(key); ok && old.key == s.key && old.catalogue == s.catalogue && old.env.same(env) {
		s.templates = append(s.templates, old.templates[:min(len(old.templates), maxTemplates-1)]...)
	}
	bytes := len(s.key)
	for _, t := range s.templates {
		bytes += t.bytes()
	}
	c.shapes.Add(key, s, bytes)
}

// hash is of a text or the key of a shape, and all that gives it its meaning but the catalogue.
func (c *Cache) hash(text string, key []byte, env *Env) uint64 {
	var h maphash.Hash
	h.SetSeed(c.seed)
	h.WriteString(text)
	h.Write(key)
	h.WriteByte(0)
	h.WriteString(env.Role)
	h.WriteByte(0)
	h.WriteString(env.TempSchema)
	for _, n := range env.SearchPath {
		h.WriteByte(0)
		h.WriteString(n)
	}
	for _, t := range env.ParamTypes {
		h.WriteByte(byte(t))
		h.WriteByte(byte(t >> 8))
		h.WriteByte(byte(t >> 16))
	}
	return h.Sum64()
}

// same says that two states of sessions give a text the same meaning, if it does not depend on names.
func (e *Env) same(o *Env) bool {
	return e.Role == o.Role && e.TempSchema == o.TempSchema && slices.Equal(e.SearchPath, o.SearchPath) &&
		(e.ParamTypes == nil) == (o.ParamTypes == nil) && slices.Equal(e.ParamTypes, o.ParamTypes)
}

// DependsOnNames says that the meaning depends on statements or cursors that the session named earlier.
func (a *Analysis) DependsOnNames() bool {
	for i := range a.Statements {
		for s := &a.Statements[i]; s != nil; s = s.Inner {
			if s.Verb == Execute || s.Verb == Fetch {
				return true
			}
		}
	}
	return false
}

// reader finds the shape of a text: in one pass, with the lexer that stands guard before the parser.
type reader struct {
	lexer
	key []byte
}

var readers = sync.Pool{New: func() any { return new(reader) }}

// done gives a reader back.
func (r *reader) done() {
	r.text = ""
	readers.Put(r)
}

// read sets key and literals. It is false for texts that have no shape: without literals, or not understood.
func (r *reader) read(text string) bool {
	r.lexer = lexer{text: text, keep: true, literals: r.literals[:0], chain: r.chain, joined: r.joined}
	if strings.IndexByte(text, 0) >= 0 || !utf8.ValidString(text) || r.run() != nil || len(r.literals) == 0 || r.continued {
		return false
	}
	// A NUL and the class for each literal. No text holds a NUL, so that no two shapes have the same key.
	k, at := r.key[:0], int32(0)
	for _, l := range r.literals {
		k = append(k, text[at:l.start]...)
		k = append(k, 0, l.class)
		at = l.end
	}
	r.key = append(k, text[at:]...)
	return true
}
