// Package city invents the people of the demo city: two thousand citizens with names, addresses, telephones, households,
// housing-fund accounts and welfare payments, the same ones on every run. Only the demo and its tests may use it.
//
// Nobody in it exists. The region codes begin with 99, which GB/T 2260 gives to no place, and the telephone numbers with
// 154, so that no number can be a living person's; the check digits are valid, so that software which checks them is
// content.
package city
