package city

// Surnames in the order of their frequency; pick gives the first ones more often.
var surnames = []rune("王李张刘陈杨黄赵吴周徐孙马朱胡郭何高林罗郑梁谢宋唐许韩冯邓曹彭曾肖田董袁潘于蒋蔡余杜叶程苏魏吕丁任沈姚卢姜崔钟谭陆汪范金石廖贾夏韦付方白邹孟熊秦邱江尹薛闫段雷侯龙史陶黎贺顾毛郝龚邵万钱严覃武戴莫孔向汤")

// Double surnames are rare, and break software that takes the first character for the surname.
var doubleSurnames = []string{"欧阳", "上官", "司马", "诸葛"}

var givenMale = []rune("伟强磊军勇涛明超杰鹏辉刚健波斌宇浩凯亮建国平志文华峰林东海洋飞龙俊毅新庆子轩博文昊天泽")

var givenFemale = []rune("芳娜敏静丽艳娟霞秀英慧巧美婷雪琳晶玉萍红玲芬燕彩春菊兰凤洁梅莉云欣怡雨涵诗佳梓萱悦")

// District is one of the city's districts with its region code.
type District struct {
	Name    string
	Region  string // first six digits of the resident IDs given out there
	streets []string
}

var districts = []District{
	{"东湖区", "990102", []string{"湖滨路", "钟楼街", "书院路", "柳堤巷"}},
	{"西岭区", "990103", []string{"松涛路", "采石街", "岭前大道", "枫树巷"}},
	{"南桥区", "990104", []string{"桥南大道", "渡口街", "纺织路", "米市巷"}},
	{"北关区", "990105", []string{"车站路", "关山街", "解放路", "铁匠巷"}},
	{"新城区", "990106", []string{"创新大道", "科技路", "银杏街", "学府路"}},
}

const cityName = "鹿鸣市"

var estates = []string{"阳光花园", "幸福里", "翠竹苑", "锦绣家园", "和平新村", "金桂小区", "水岸雅居", "铁路新村"}

var employers = []string{"鹿鸣市第一中学", "鹿鸣市人民医院", "东湖机车制造有限公司", "西岭陶瓷股份有限公司", "南桥纺织厂",
	"北关物流有限公司", "新城软件科技有限公司", "鹿鸣市公共交通集团", "鹿鸣市自来水公司", "鹿鸣银行", "湖滨百货", "鹿鸣市供电局",
	"岭前建筑工程有限公司", "鹿鸣市图书馆", "新城生物医药有限公司"}

// benefit is a kind of welfare payment and what it usually comes to, in yuan.
type benefit struct {
	reason string
	from   int
	to     int
	minAge int
	maxAge int
}

var benefits = []benefit{
	{"城市居民最低生活保障", 380, 720, 18, 110},
	{"高龄津贴", 100, 300, 80, 110},
	{"重度残疾人护理补贴", 110, 240, 6, 110},
	{"临时救助：重大疾病", 2000, 12000, 1, 110},
	{"孤儿基本生活费", 950, 1450, 1, 17},
	{"失业补助金", 900, 1500, 20, 59},
	{"残疾学生教育补助", 500, 1500, 7, 22},
	{"退役军人优待抚恤", 600, 1800, 22, 90},
}
