package rest

import (
	"strings"
	"testing"
	"time"
)

// TestEveryWordOfAHost goes through what a host may say.
func TestEveryWordOfAHost(t *testing.T) {
	const open = `0{"sid":"x","upgrades":[],"pingInterval":25000,"pingTimeout":20000}`
	for _, c := range []struct {
		name, says string
		told       int
		answers    string
	}{
		{"both forms of joining", open + `|40{"sid":"a"}|40/notifications,{"sid":"b"}`, 1, "40|40/notifications,"},
		{"bare joining", open + `|40|40/notifications`, 1, "40|40/notifications,"},
		{"joined twice", open + `|40/notifications,|40/notifications,`, 1, "40|40/notifications,"},
		{"not joined", open + `|40{"sid":"a"}`, 0, "40|40/notifications,"},
		{"events", open + `|40/notifications,|42/notifications,["notification","{}"]|42["notification",{}]`, 3, "40|40/notifications,"},
		{"pings", open + `|40/notifications,|2|2probe`, 1, "40|40/notifications,|3|3probe"},
		{"noise", open + `|40/notifications,|6||4|49|5|43/notifications,1[]|41/other,|44{"message":"no root"}|42/notifications,`, 2, "40|40/notifications,"},
		{"disconnected", open + `|40/notifications,|41/notifications,|42/notifications,`, 1, "40|40/notifications,"},
		{"refused", open + `|44/notifications,{"message":"no"}|42/notifications,`, 0, "40|40/notifications,"},
		{"closed", open + `|40/notifications,|1|42/notifications,`, 1, "40|40/notifications,"},
		{"nonsense at first", `hello|0{|0null|40/notifications,`, 1, "40|40/notifications,|40|40/notifications,"},
	} {
		t.Run(c.name, func(t *testing.T) {
			told, answers := 0, []string(nil)
			words := talk{space: "/notifications"}
			for packet := range strings.SplitSeq(c.says, "|") {
				more, notice, err := words.heard(packet)
				answers = append(answers, more...)
				if notice {
					told++
				}
				if err != nil {
					break
				}
			}
			if told != c.told || strings.Join(answers, "|") != c.answers {
				t.Errorf("told %d times, answered %q", told, answers)
			}
		})
	}
}

func TestAddressesOfNotices(t *testing.T) {
	now := time.Now()
	for text, want := range map[string]string{
		"https://f3hb0mpua.svc.ms/zbaehwg/callback?snthgk=1ff3-x":     "https://f3hb0mpua.svc.ms/socket.io/?EIO=4&transport=websocket&snthgk=1ff3-x /zbaehwg/callback",
		"https://host:8443/notifications?token=a%2Bb&applicationId=c": "https://host:8443/socket.io/?EIO=4&transport=websocket&token=a%2Bb&applicationId=c /notifications",
		"https://host":                    "https://host/socket.io/?EIO=4&transport=websocket ",
		"https://host/?x=1":               "https://host/socket.io/?EIO=4&transport=websocket&x=1 ",
		"http://host/notifications":       "",
		"wss://host/notifications":        "",
		"https://user@host/notifications": "",
		"":                                "",
		"://":                             "",
	} {
		a, err := parseNotice(text, time.Time{}, now)
		if (err != nil) != (want == "") || err == nil && a.url+" "+a.space != want {
			t.Errorf("%s gave %+v, %v", text, a, err)
		}
	}
	for life, want := range map[time.Duration]time.Duration{time.Hour: 58 * time.Minute, 2 * time.Minute: time.Minute, -time.Hour: -time.Hour / 2, 0: 0} {
		a, err := parseNotice("https://host/n", now.Add(life), now)
		if got := a.until.Sub(now); err != nil || got != want && life > 0 || life <= 0 && got > 0 {
			t.Errorf("an address for %v is used for %v, %v", life, got, err)
		}
	}
}
