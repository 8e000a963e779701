package cli

import (
	"embed"
	"encoding/xml"
	"fmt"
	"strconv"
	"strings"
	"text/template"
	"time"

	"github.com/duskfs/duskfs/flush/schedule"
)

// unit is a job for a service manager: a program that stays, or one that is started at times of day.
type unit struct {
	Kind    string // "mount", "mirror" or "upload"
	Name    string // tells several of a kind apart; may be empty
	Command []string
	Work    string // working directory
	Environ []variable
	Stays   bool
	At      string // the rule of Moments in words
	Moments []schedule.Moment
	Log     string // file for what it prints, where the manager keeps none itself
}

type variable struct{ Name, Value string }

// Label is how service managers know it.
func (u unit) Label() string {
	if u.Name == "" {
		return "duskfs-" + u.Kind
	}
	return "duskfs-" + u.Kind + "-" + u.Name
}

//go:embed units/*.tmpl
var unitFiles embed.FS

// render makes the text of one of the files of units.
func (u unit) render(file string) (string, error) {
	t, err := template.New(file+".tmpl").Funcs(template.FuncMap{
		"xml": xmlText, "word": systemdWord, "assign": systemdAssign, "unit": systemdText, "calendar": onCalendar, "cron": cronTime, "shell": cronWord,
	}).ParseFS(unitFiles, "units/"+file+".tmpl")
	if err != nil {
		return "", err
	}
	var b strings.Builder
	err = t.Execute(&b, u)
	return b.String(), err
}

func xmlText(s string) (string, error) {
	var b strings.Builder
	err := xml.EscapeText(&b, []byte(s))
	return b.String(), err
}

// systemdText writes a value in which "%" means something to systemd.
func systemdText(s string) string { return strings.ReplaceAll(s, "%", "%%") }

// systemdWord writes one word of a command line or of Environment.
func systemdWord(s string) string {
	s = strings.NewReplacer("%", "%%", `\`, `\\`, `"`, `\"`, "$", "$$", "\n", `\n`, "\t", `\t`).Replace(s)
	if s == "" || strings.ContainsAny(s, " '\"\\;") {
		return `"` + s + `"`
	}
	return s
}

// systemdAssign writes a word of Environment, where "$" means nothing.
func systemdAssign(v variable) string {
	return strings.ReplaceAll(systemdWord(v.Name+"="+v.Value), "$$", "$")
}

// onCalendar writes a time of day as systemd.time(7) does.
func onCalendar(m schedule.Moment) string {
	days := ""
	for i, d := range m.Days {
		if i > 0 {
			days += ","
		}
		days += d.String()[:3]
	}
	if days != "" {
		days += " "
	}
	return fmt.Sprintf("%s*-*-* %02d:%02d:00", days, m.Hour, m.Minute)
}

// cronTime writes a time of day as the first fields of a line of crontab.
func cronTime(m schedule.Moment) string {
	days := "*"
	for i, d := range m.Days {
		if i == 0 {
			days = ""
		} else {
			days += ","
		}
		days += strconv.Itoa(int(d % (time.Saturday + 1)))
	}
	return fmt.Sprintf("%d %d * * %s", m.Minute, m.Hour, days)
}

// cronWord writes one word for the shell in a line of crontab, where "%" would end the line.
func cronWord(s string) string {
	if s != "" && strings.Trim(s, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_./:=@+,") == "" {
		return s
	}
	return "'" + strings.NewReplacer("'", `'\''`, "%", `\%`).Replace(s) + "'"
}
