package wire

// Decoders of what a client sends. Each takes the body of a message and returns views of it.

// Kinds of object that Describe and Close name.
const (
	KindStatement byte = 'S'
	KindPortal    byte = 'P'
)

// ParseQuery returns the text of a simple Query.
func ParseQuery(body []byte) (text []byte, err error) {
	c := cursor{rest: body}
	text = c.text()
	return text, c.end("Query")
}

// Parse asks to prepare a statement.
type Parse struct {
	Name       []byte // empty: the unnamed statement
	Query      []byte
	ParamTypes OIDs // 0: to be inferred; may be shorter than the statement's parameters
}

// ParseParse decodes a Parse.
func ParseParse(body []byte) (p Parse, err error) {
	c := cursor{rest: body}
	p.Name = c.text()
	p.Query = c.text()
	p.ParamTypes = OIDs(c.bytes(4 * int(c.uint16())))
	return p, c.end("Parse")
}

// Bind asks to make a portal of a prepared statement.
type Bind struct {
	Portal        []byte // empty: the unnamed portal
	Statement     []byte
	ParamFormats  Formats // none, one for all, or one for each parameter
	Params        Values
	ResultFormats Formats // none, one for all, or one for each column; the number of columns is the statement's
}

// ParseBind decodes a Bind.
func ParseBind(body []byte) (b Bind, err error) {
	c := cursor{rest: body}
	b.Portal = c.text()
	b.Statement = c.text()
	b.ParamFormats = c.formats()
	b.Params = c.values(int(c.uint16()))
	b.ResultFormats = c.formats()
	if err := c.end("Bind"); err != nil {
		return Bind{}, err
	}
	if !b.ParamFormats.fits(b.Params.Len()) {
		return Bind{}, violation("bind message has %d parameter formats but %d parameters", b.ParamFormats.Len(), b.Params.Len())
	}
	if err := b.ParamFormats.known(); err != nil {
		return Bind{}, err
	}
	if err := b.ResultFormats.known(); err != nil {
		return Bind{}, err
	}
	return b, nil
}

// FormatOf is the format of parameter i.
func (b Bind) FormatOf(i int) int16 { return b.ParamFormats.Of(i) }

// ResultFormatOf is the format of result column i.
func (b Bind) ResultFormatOf(i int) int16 { return b.ResultFormats.Of(i) }

// Execute asks to run a portal.
type Execute struct {
	Portal  []byte
	MaxRows int32 // 0 (or less, as PostgreSQL reads it): all
}

// ParseExecute decodes an Execute.
func ParseExecute(body []byte) (e Execute, err error) {
	c := cursor{rest: body}
	e.Portal = c.text()
	e.MaxRows = int32(c.uint32())
	return e, c.end("Execute")
}

// Target is what a Describe or Close names.
type Target struct {
	Kind byte // KindStatement or KindPortal
	Name []byte
}

// ParseDescribe decodes a Describe.
func ParseDescribe(body []byte) (Target, error) { return parseTarget(body, "Describe") }

// ParseClose decodes a Close.
func ParseClose(body []byte) (Target, error) { return parseTarget(body, "Close") }

func parseTarget(body []byte, message string) (t Target, err error) {
	c := cursor{rest: body}
	t.Kind = c.byte()
	t.Name = c.text()
	if t.Kind != KindStatement && t.Kind != KindPortal {
		c.fail()
	}
	return t, c.end(message)
}

// ParseEmpty checks a message that has no body: Sync, Flush, Terminate, CopyDone, and the server's ParseComplete,
// BindComplete, CloseComplete, NoData, PortalSuspended and EmptyQueryResponse.
func ParseEmpty(body []byte) error {
	if len(body) > 0 {
		return violation("message has a body where none belongs")
	}
	return nil
}

// ParseCopyFail returns the reason a client gives for ending a COPY.
func ParseCopyFail(body []byte) (reason []byte, err error) {
	c := cursor{rest: body}
	reason = c.text()
	return reason, c.end("CopyFail")
}

// FunctionCall calls a function by its object ID, past all SQL.
type FunctionCall struct {
	Function     uint32
	ArgFormats   Formats
	Args         Values
	ResultFormat int16
}

// ParseFunctionCall decodes a FunctionCall.
func ParseFunctionCall(body []byte) (f FunctionCall, err error) {
	c := cursor{rest: body}
	f.Function = c.uint32()
	f.ArgFormats = c.formats()
	f.Args = c.values(int(c.uint16()))
	f.ResultFormat = int16(c.uint16())
	if err := c.end("FunctionCall"); err != nil {
		return FunctionCall{}, err
	}
	if !f.ArgFormats.fits(f.Args.Len()) {
		return FunctionCall{}, violation("function call message contains %d argument formats but %d arguments", f.ArgFormats.Len(), f.Args.Len())
	}
	if err := f.ArgFormats.known(); err != nil {
		return FunctionCall{}, err
	}
	if f.ResultFormat != FormatText && f.ResultFormat != FormatBinary {
		return FunctionCall{}, unsupportedFormat(f.ResultFormat)
	}
	return f, nil
}

// ParsePassword returns the password of a PasswordMessage.
func ParsePassword(body []byte) (password []byte, err error) {
	c := cursor{rest: body}
	password = c.text()
	return password, c.end("PasswordMessage")
}

// SASLInitialResponse is a client's choice of mechanism and its first words.
type SASLInitialResponse struct {
	Mechanism []byte
	Data      []byte // nil: none
}

// ParseSASLInitialResponse decodes a SASLInitialResponse. The body of a SASLResponse is the response itself.
func ParseSASLInitialResponse(body []byte) (s SASLInitialResponse, err error) {
	c := cursor{rest: body}
	s.Mechanism = c.text()
	s.Data = c.value()
	return s, c.end("SASLInitialResponse")
}
