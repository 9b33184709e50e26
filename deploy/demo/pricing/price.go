package main

import "fmt"

// Price is what a customer pays for one piece, in cents.
type Price struct {
	Sku      string `json:"sku"`
	Cents    int64  `json:"cents"`
	Shipping int64  `json:"shipping_cents"`
}

// Prices of goods without shipping, in cents.
var goods = map[string]int64{
	"anchor":  5990,
	"lantern": 2450,
	"rope":    3175,
}

// ErrUnknown says that nothing is sold under a number.
type ErrUnknown string

func (sku ErrUnknown) Error() string { return fmt.Sprintf("nothing is sold as %q", string(sku)) }

// PriceOf gives the price of a piece and of sending it: 390 cents up to a kilogram, 120 for each further one begun.
func PriceOf(sku string, grams int64) (Price, error) {
	cents, sold := goods[sku]
	if !sold {
		return Price{}, ErrUnknown(sku)
	}
	shipping := int64(390)
	if grams > 1000 {
		shipping += (grams - 1) / 1000 * 120
	}
	return Price{Sku: sku, Cents: cents, Shipping: shipping}, nil
}
