# frozen_string_literal: true

require "minitest/autorun"
require_relative "../lib/orders"
require_relative "../lib/stores"

class OrdersTest < Minitest::Test
  # Answers for the services that orders asks.
  class Known
    def get(service, path)
      return { sku: "rope", grams: 1900 } if service == "catalogue" && path == "/products/rope"
      return { cents: 3175, shipping_cents: 510 } if path == "/price?sku=rope&grams=3800"
    end
  end

  class Gone
    def get(*) = raise(IOError, "connection refused")
  end

  def orders(neighbours = Known.new) = Orders.new(MemoryStore.new, neighbours)

  def refusal(neighbours = Known.new, &block)
    assert_raises(Orders::Refused) { block.call(orders(neighbours)) }.status
  end

  def test_an_order_costs_its_pieces_and_the_shipping_of_their_weight
    assert_equal 6860, orders.place({ sku: "rope", quantity: 2 })[:total_cents]
  end

  def test_an_order_is_found_again
    taken = orders
    placed = taken.place({ sku: "rope", quantity: 2 })
    assert_equal placed, taken.find(placed[:id])
  end

  def test_goods_that_nobody_knows_are_refused
    assert_equal 404, refusal { |it| it.place({ sku: "kraken", quantity: 1 }) }
  end

  def test_a_quantity_must_make_sense
    [0, -1, 101, "two", nil].each do |quantity|
      assert_equal 400, refusal { |it| it.place({ sku: "rope", quantity: }) }
    end
  end

  def test_a_path_is_not_smuggled_in_as_a_number
    assert_equal 400, refusal { |it| it.place({ sku: "../healthz", quantity: 1 }) }
  end

  def test_a_missing_neighbour_is_named
    assert_equal 503, refusal(Gone.new) { |it| it.place({ sku: "rope", quantity: 1 }) }
  end
end
