package policy

import (
	"errors"
	"fmt"
	"time"

	"cel.dev/cel-go/cel"
	"cel.dev/cel-go/common/types"
	"cel.dev/cel-go/common/types/ref"
)

// What one evaluation may cost, in CEL's units (about one an operation), and how long a condition may be.
const (
	conditionCost   = 10_000
	conditionLength = 4_000
)

// shanghai is the zone of time.hour and time.weekday. A fixed offset: China has no daylight saving time, and a machine
// without zone files must decide the same.
var shanghai = time.FixedZone("Asia/Shanghai", 8*60*60)

// condition is a rule's compiled `when`.
type condition struct {
	text    string
	program cel.Program
}

// conditionEnv declares what a condition may speak of. All of it is known before the statement runs.
func conditionEnv() (*cel.Env, error) {
	return cel.NewEnv(
		cel.Variable("purpose", cel.StringType),
		cel.Variable("person", cel.StringType),
		cel.Variable("department", cel.StringType),
		cel.Variable("position", cel.StringType),
		cel.Variable("role", cel.StringType),
		cel.Variable("database", cel.StringType),
		cel.Variable("application", cel.StringType),
		cel.Variable("client", cel.StringType),
		cel.Variable("time.now", cel.TimestampType),
		cel.Variable("time.hour", cel.IntType),
		cel.Variable("time.weekday", cel.IntType),
	)
}

func compileCondition(env *cel.Env, text string) (*condition, error) {
	if len(text) > conditionLength {
		return nil, fmt.Errorf("when is longer than %d bytes: shorten it or split the rule", conditionLength)
	}
	ast, issues := env.Compile(text)
	if issues.Err() != nil {
		first := issues.Errors()[0]
		return nil, fmt.Errorf("when is not a CEL condition: %s (at character %d)%s", first.Message, first.Location.Column()+1, conditionAdvice(first.Message, text))
	}
	if !ast.OutputType().IsExactType(cel.BoolType) {
		return nil, fmt.Errorf("when must be true or false, this is a %s: compare it with something", ast.OutputType())
	}
	program, err := env.Program(ast, cel.CostLimit(conditionCost), cel.EvalOptions(cel.OptOptimize))
	if err != nil {
		return nil, fmt.Errorf("when cannot be prepared: %w", err)
	}
	return &condition{text: text, program: program}, nil
}

var errNotBool = errors.New("the condition did not come out as true or false")

// holds evaluates the condition. An error means that the rule does not apply: nothing is allowed by a condition that
// could not be judged.
func (c *condition) holds(r *Request) (bool, error) {
	if c == nil {
		return true, nil
	}
	v, _, err := c.program.Eval(facts{r})
	if err != nil {
		return false, err
	}
	b, ok := v.(types.Bool)
	if !ok {
		return false, errNotBool
	}
	return bool(b), nil
}

// facts resolves the variables of a condition from a request, without building a map for each evaluation.
type facts struct{ r *Request }

func (f facts) Parent() cel.Activation { return nil }

func (f facts) ResolveName(name string) (any, bool) {
	v, ok := f.value(name)
	return v, ok
}

func (f facts) value(name string) (ref.Val, bool) {
	r := f.r
	switch name {
	case "purpose":
		return types.String(r.Purpose), true
	case "person":
		return types.String(r.Person.User), true
	case "department":
		return types.String(r.Person.Department), true
	case "position":
		return types.String(r.Person.Position), true
	case "role":
		return types.String(r.Role), true
	case "database":
		return types.String(r.Database), true
	case "application":
		return types.String(r.Application), true
	case "client":
		return types.String(r.Client), true
	case "time.now":
		return types.Timestamp{Time: r.Time}, true
	case "time.hour":
		return types.Int(r.Time.In(shanghai).Hour()), true
	case "time.weekday":
		return types.Int((int(r.Time.In(shanghai).Weekday())+6)%7 + 1), true
	}
	return nil, false
}
