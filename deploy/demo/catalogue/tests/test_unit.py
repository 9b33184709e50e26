import catalogue


def test_every_product_has_a_number_of_its_own():
    numbers = [product["sku"] for product in catalogue.PRODUCTS]
    assert len(numbers) == len(set(numbers))


def test_every_product_weighs_something():
    assert all(product["grams"] > 0 for product in catalogue.PRODUCTS)


def test_a_product_is_found_by_its_number():
    assert catalogue.answer("/products/rope") == (200, catalogue.find("rope"))


def test_an_unknown_product_is_not_found():
    assert catalogue.answer("/products/kraken")[0] == 404


def test_an_unknown_page_is_not_found():
    assert catalogue.answer("/admin")[0] == 404
