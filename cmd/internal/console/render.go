package console

import (
	"bytes"
	"context"
	"embed"
	"errors"
	"html/template"
	"net/http"
	"strconv"
	"strings"

	"shiguan/cmd/internal/investigation"
)

//go:embed templates/*.html
var templates embed.FS

// views are the parsed templates; html/template escapes each value for the place it stands in.
type views struct{ t *template.Template }

func parseViews() *views {
	return &views{template.Must(template.New("").ParseFS(templates, "templates/*.html"))}
}

// render writes a page only once all of it has been made, so that an error in the middle is not half a page.
func (c *Console) render(w http.ResponseWriter, r *http.Request, status int, name string, data any) {
	var page bytes.Buffer
	if err := c.views.t.ExecuteTemplate(&page, name, data); err != nil {
		c.logger.Error("console: template", "name", name, "error", err)
		http.Error(w, "something went wrong here; the console's log says what", http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.WriteHeader(status)
	if r.Method != http.MethodHead {
		_, _ = page.WriteTo(w) // the browser went away: nobody is left to be told
	}
}

// errorPage is what error.html shows.
type errorPage struct {
	Title, Origin, User, Message string
}

// fail shows an error. What the investigator reads may name the contradiction: it is the one thing the log exists to show.
func (c *Console) fail(w http.ResponseWriter, r *http.Request, s session, err error) {
	status, page := http.StatusBadGateway, errorPage{Title: "The log cannot be read", Origin: c.origin, User: s.user}
	var wrong *investigation.ContradictionError
	var early *investigation.NotWitnessedError
	switch {
	case errors.Is(err, context.Canceled):
		return
	case errors.Is(err, investigation.ErrNoRecord):
		status, page.Title, page.Message = http.StatusNotFound, "No such record", "The log holds no record with this number yet."
	case errors.Is(err, investigation.ErrErased):
		status, page.Title, page.Message = http.StatusConflict, "Content lawfully erased", "There is nothing left to hand over."
	case errors.As(err, &early):
		status, page.Title, page.Message = http.StatusConflict, "Not witnessed yet", sentence(err)+" There will be evidence as soon as it is."
	case errors.As(err, &wrong):
		status, page.Title = http.StatusInternalServerError, "The log contradicts itself"
		page.Message = sentence(err) + " Keep a copy of the log's directory as it is, and run shiguan fsck."
		c.logger.Error("console: the log contradicts itself", "error", err)
	default:
		page.Message = sentence(err) + " Check that the log's address or directory in the configuration is right and that it is running."
		c.logger.Warn("console: the log cannot be read", "error", err)
	}
	c.render(w, r, status, "error.html", page)
}

func (c *Console) nothingHere(w http.ResponseWriter, r *http.Request, s session) {
	c.render(w, r, http.StatusNotFound, "error.html", errorPage{Title: "Nothing here", Origin: c.origin, User: s.user,
		Message: "There is no page with this address."})
}

// recordIndex reads the {index} of a path; only the one spelling of a number is one.
func recordIndex(r *http.Request) (uint64, bool) {
	text := r.PathValue("index")
	n, err := strconv.ParseUint(text, 10, 63)
	return n, err == nil && strconv.FormatUint(n, 10) == text
}

// sentence makes an error's text read as one.
func sentence(err error) string {
	text := err.Error()
	return strings.ToUpper(text[:1]) + text[1:] + "."
}

// grouped writes a count with thin spaces between thousands.
func grouped[N ~int | ~int64 | ~uint64](n N) string {
	digits := strconv.FormatInt(int64(n), 10)
	var b strings.Builder
	for i, d := range digits {
		if i > 0 && digits[i-1] != '-' && (len(digits)-i)%3 == 0 {
			b.WriteRune('\u2009')
		}
		b.WriteRune(d)
	}
	return b.String()
}
