package city

import (
	"fmt"
	"time"
)

// weights and checkDigits are those of GB 11643-1999.
var weights = [17]int{7, 9, 10, 5, 8, 4, 2, 1, 6, 3, 7, 9, 10, 5, 8, 4, 2}

const checkDigits = "10X98765432"

// residentID is region (6 digits), date of birth, sequence (3 digits, odd for men) and the check digit.
func residentID(region string, born time.Time, sequence int) string {
	body := fmt.Sprintf("%s%s%03d", region, born.Format("20060102"), sequence)
	return body + string(checkDigit(body))
}

// checkDigit computes the eighteenth character from the first seventeen.
func checkDigit(body string) byte {
	sum := 0
	for i, w := range weights {
		sum += w * int(body[i]-'0')
	}
	return checkDigits[sum%11]
}

// ValidResidentID reports whether a number has the length and the check digit that GB 11643 asks for.
func ValidResidentID(id string) bool {
	if len(id) != 18 {
		return false
	}
	for _, c := range []byte(id[:17]) {
		if c < '0' || c > '9' {
			return false
		}
	}
	return id[17] == checkDigit(id)
}
