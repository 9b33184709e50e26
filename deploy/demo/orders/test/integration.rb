# frozen_string_literal: true

# In the environment: an order is placed with what the other services say.

require "json"
require "minitest/autorun"
require "net/http"

class OrdersTogether < Minitest::Test
  def place(order)
    response = Net::HTTP.post(URI("http://orders:8080/orders"), JSON.generate(order))
    skip "a neighbour is not deployed here yet: #{response.body}" if response.code == "503"
    [response.code, JSON.parse(response.body, symbolize_names: true)]
  end

  def test_an_order_costs_what_catalogue_and_pricing_say
    code, order = place({ sku: "rope", quantity: 2 })
    assert_equal "201", code
    assert_operator order[:total_cents], :>, 2 * 1000
  end

  def test_what_the_catalogue_does_not_know_cannot_be_ordered
    code, = place({ sku: "kraken", quantity: 1 })
    assert_equal "404", code
  end
end
