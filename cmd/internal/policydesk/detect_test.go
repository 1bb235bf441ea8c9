package policydesk

import "testing"

func TestKinds(t *testing.T) {
	for _, c := range []struct {
		is    func(string) bool
		name  string
		yes   []string
		never []string
	}{
		{isResidentID, "resident ID", []string{"11010519491231002X", "11010519491231002x", "440524188001010014"},
			[]string{"110105194912310021", "11010519491331002X", "11010519491231002", "1101051949123100200", "", "01010519491231002X", "11010519491231 02X"}},
		{isCreditCode, "credit code", []string{"91350100M000100Y43", "911101080828461726"},
			[]string{"91350100M000100Y44", "91350100M000100Y4", "I1350100M000100Y43", "9135O100M000100Y43", ""}},
		{isMobile, "mobile", []string{"13800138000", "+8613800138000", "86 138-0013-8000", "19912345678"},
			[]string{"12800138000", "1380013800", "138001380000", "01013800138000", "+1 415 555 0100", ""}},
		{isBankCard, "bank card", []string{"6222021234567890128", "4111111111111111", "6222 0212 3456 7890 128"},
			[]string{"6222021234567890129", "4111111111111112", "411111111111", "0000000000000000", "41111111111111x1", ""}},
		{isEmail, "e-mail", []string{"a@example.com", "li.wei+x@mail.example.gov.cn"}, []string{"a@localhost", "a", "A <a@example.com>", "a@@example.com", ""}},
		{isAddress, "address", []string{"湖南省株洲市天元区长江北路12号3栋502室", "芦淞区建设路街道12号", "石峰区清水塘街道"}, []string{"市场部", "株洲市", "12 Main Street", ""}},
		{isName, "name", []string{"张三", "王小明", "欧阳修文", "诸葛亮", "阿卜杜拉·买买提"}, []string{"张", "欧阳", "财务部门", "市场营销部", "Zhang San", "张三丰的朋友", ""}},
	} {
		for _, v := range c.yes {
			if !c.is(v) {
				t.Errorf("%s is no %s", v, c.name)
			}
		}
		for _, v := range c.never {
			if c.is(v) {
				t.Errorf("%s is a %s", v, c.name)
			}
		}
	}
}

// Every single wrong digit and every exchange of neighbours is noticed by check digits.
func TestCheckDigits(t *testing.T) {
	for _, c := range []struct {
		is    func(string) bool
		value string
		from  int
	}{{isResidentID, "440524188001010014", 14}, {isCreditCode, "911101080828461726", 8}, {isBankCard, "4111111111111111", 1}} {
		for i := c.from; i < len(c.value); i++ {
			for d := byte('0'); d <= '9'; d++ {
				if wrong := c.value[:i] + string(d) + c.value[i+1:]; wrong != c.value && c.is(wrong) {
					t.Errorf("%s passes for %s", wrong, c.value)
				}
			}
		}
	}
}

func TestFewValuesProveNothing(t *testing.T) {
	c := counted{}
	for range leastSampled - 1 {
		c.see("13800138000")
	}
	if p, ok := c.proposal("phone"); ok {
		t.Errorf("%d values suffice: %+v", c.values, p)
	}
	c.see("13800138000")
	if p, ok := c.proposal("x"); !ok || p.Class != "phone" || p.Matched != leastSampled {
		t.Errorf("%+v", p)
	}
	for range 2 * leastSampled {
		c.see("unknown")
	}
	if p, ok := c.proposal("phone"); ok {
		t.Errorf("one in three suffices: %+v", p)
	}
}
