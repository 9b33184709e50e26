"""Against the image: does it start, listen and answer as documented?"""

import json
import unittest
import urllib.error
import urllib.request

BASE = "http://catalogue:8080"


def get(path):
    with urllib.request.urlopen(BASE + path, timeout=5) as response:
        return json.load(response)


class Catalogue(unittest.TestCase):
    def test_lists_products(self):
        self.assertIn("anchor", [product["sku"] for product in get("/products")["products"]])

    def test_shows_one_product(self):
        self.assertEqual(get("/products/lantern")["name"], "Storm lantern")

    def test_refuses_an_unknown_product(self):
        with self.assertRaises(urllib.error.HTTPError) as refused:
            get("/products/kraken")
        self.assertEqual(refused.exception.code, 404)


if __name__ == "__main__":
    unittest.main()
