package policydesk

import (
	"net/mail"
	"regexp"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"
)

// kind is a kind of sensitive value that can be told by looking at it.
type kind struct {
	class string
	mask  string // as it stands under classes
	what  string // in words, for the evidence
	is    func(string) bool
	// least is the share of sampled values that must look so, in percent: less where the column's name agrees.
	least, leastNamed int
	named             *regexp.Regexp // names of columns that hold such values
}

// kinds are looked for in this order; the first that fits is proposed. Those with check digits come first: chance lets one in
// eleven or ten through, never nine of ten.
var kinds = []kind{
	{"resident_id", "{mask: keep, first: 6, last: 4, fill: 8}", "are resident IDs by GB 11643, check digit included", isResidentID, 80, 50,
		regexp.MustCompile(`(?i)id_?(number|card|no)|idcard|sfz|身份证|证件`)},
	{"credit_code", "{mask: keep, first: 2, last: 4}", "are unified social credit codes by GB 32100, check character included", isCreditCode, 80, 50,
		regexp.MustCompile(`(?i)uscc|credit_?code|xydm|信用代码`)},
	{"phone", "{mask: keep, first: 3, last: 4}", "are mobile numbers", isMobile, 80, 50, regexp.MustCompile(`(?i)phone|mobile|tel|sjh|手机|电话`)},
	{"bank_card", "{mask: keep, last: 4}", "are bank card numbers by the Luhn check", isBankCard, 80, 50, regexp.MustCompile(`(?i)card|account|bank|yhk|银行卡|账号`)},
	{"email", "{mask: keep, first: 1}", "are e-mail addresses", isEmail, 80, 50, regexp.MustCompile(`(?i)mail|邮箱`)},
	{"address", "{mask: keep, first: 6}", "read like addresses", isAddress, 80, 50, regexp.MustCompile(`(?i)addr|street|dizhi|地址|住址`)},
	{"person_name", "{mask: keep, first: 1, fill: 2}", "read like names of persons", isName, 90, 50, regexp.MustCompile(`(?i)name|xm|xingming|姓名`)},
}

// subjectClass is the kind that names the person whom a row is about.
const subjectClass = "resident_id"

// isResidentID checks length, date of birth and the check digit (ISO 7064 MOD 11-2).
func isResidentID(s string) bool {
	if len(s) != 18 || s[0] < '1' || s[0] > '9' {
		return false
	}
	sum := 0
	for i, weight := range []int{7, 9, 10, 5, 8, 4, 2, 1, 6, 3, 7, 9, 10, 5, 8, 4, 2} {
		if s[i] < '0' || s[i] > '9' {
			return false
		}
		sum += weight * int(s[i]-'0')
	}
	born, err := time.Parse("20060102", s[6:14])
	return err == nil && born.Year() >= 1850 && strings.ToUpper(s[17:]) == "10X98765432"[sum%11:sum%11+1]
}

const creditAlphabet = "0123456789ABCDEFGHJKLMNPQRTUWXY" // without I, O, S, V, Z

// isCreditCode checks GB 32100: 18 characters, the last computed modulo 31.
func isCreditCode(s string) bool {
	if len(s) != 18 || !strings.ContainsRune("123456789AEFGNY", rune(s[0])) {
		return false
	}
	sum, weight := 0, 1
	for i := range 17 {
		v := strings.IndexByte(creditAlphabet, s[i])
		if v < 0 || i >= 2 && i < 8 && v > 9 { // the administrative division is digits
			return false
		}
		sum += v * weight
		weight = weight * 3 % 31
	}
	return s[17] == creditAlphabet[(31-sum%31)%31]
}

var mobile = regexp.MustCompile(`^(\+?86[- ]?)?1[3-9][0-9]([- ]?[0-9]{4}){2}$`)

func isMobile(s string) bool { return mobile.MatchString(s) }

// isBankCard checks for 16 to 19 digits, as the cards of banks have, and the Luhn digit.
func isBankCard(s string) bool {
	s = strings.NewReplacer(" ", "", "-", "").Replace(s)
	if len(s) < 16 || len(s) > 19 || s[0] < '3' || s[0] > '6' && s[0] != '9' {
		return false
	}
	sum := 0
	for i := range len(s) {
		c := s[len(s)-1-i]
		if c < '0' || c > '9' {
			return false
		}
		d := int(c - '0')
		if i%2 == 1 {
			if d *= 2; d > 9 {
				d -= 9
			}
		}
		sum += d
	}
	return sum%10 == 0
}

func isEmail(s string) bool {
	a, err := mail.ParseAddress(s)
	if err != nil || a.Address != s {
		return false
	}
	_, domain, _ := strings.Cut(s, "@")
	return strings.Contains(domain, ".")
}

// addressMarks are what divides an address into its parts.
var addressMarks = regexp.MustCompile(`省|自治区|市|区|县|镇|乡|街道|村|路|街|巷|弄|号|幢|栋|楼|单元|室`)

func isAddress(s string) bool {
	n := utf8.RuneCountInString(s)
	return n >= 6 && n <= 120 && len(addressMarks.FindAllStringIndex(s, 3)) >= 2
}

// surnames are the hundred most frequent ones, about 85 of a hundred people.
const surnames = "王李张刘陈杨黄赵吴周徐孙马朱胡郭何林罗高梁郑谢宋唐许韩邓冯曹彭曾肖田董潘袁蔡蒋余于杜叶程魏苏吕丁任卢姚沈钟姜崔谭陆范汪廖石金韦贾夏付方邹熊白孟秦邱侯江尹薛闫段雷龙黎史陶贺毛郝顾龚邵万覃武钱戴严莫孔向常"

// doubleSurnames are of two characters.
var doubleSurnames = []string{"欧阳", "上官", "司马", "诸葛", "东方", "皇甫", "尉迟", "公孙", "慕容", "令狐", "夏侯", "司徒"}

// isName knows Chinese names: a surname and one or two characters more, or a name of Uyghur or Tibetan form with its dot.
func isName(s string) bool {
	if parts := strings.FieldsFunc(s, func(r rune) bool { return r == '·' || r == '•' }); len(parts) > 1 {
		return allHan(strings.Join(parts, "")) && utf8.RuneCountInString(s) <= 20
	}
	n := utf8.RuneCountInString(s)
	if n < 2 || n > 4 || !allHan(s) {
		return false
	}
	for _, d := range doubleSurnames {
		if strings.HasPrefix(s, d) {
			return n > 2
		}
	}
	first, _ := utf8.DecodeRuneInString(s)
	return n <= 3 && strings.ContainsRune(surnames, first)
}

func allHan(s string) bool {
	for _, r := range s {
		if !unicode.Is(unicode.Han, r) {
			return false
		}
	}
	return s != ""
}
